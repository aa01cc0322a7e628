"""PyTorch's files: weights for the module that a factory makes, and whole modules where the user trusts them.

`weights_only` keeps a file of weights from running code; it is no sandbox (CVE-2026-24747 was a way through it), so it
is done in the process of the export, and a .safetensors file, which holds numbers and nothing else, is the better one.
A whole module is a pickle like any other.
"""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from loadplan.errors import InputError

_SAFE = ".safetensors"
_NAMED = 3


def fill(module: Any, path: Path) -> None:
    """Load the file's weights into the module: every one that it has, and no other.

    Raises:
        InputError: when the file holds more than weights, or the weights of another module.
        Exception: whatever PyTorch raises on bytes that it didn't write.
    """
    if not isinstance(module, torch.nn.Module):
        return  # the converter says so
    weights = _weights(path)
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InputError(
            what="the file holds something else than the weights of a module by name",
            where=str(path),
            fix="save them with torch.save(model.state_dict(), 'model.pt')",
        )
    own = module.state_dict()
    wrong = [
        *(f"lacks {name}" for name in own if name not in weights),
        *(f"has {name}" for name in weights if name not in own),
        *(
            f"has {name} of the shape {tuple(weights[name].shape)} for {tuple(own[name].shape)}"
            for name in own
            if name in weights and weights[name].shape != own[name].shape
        ),
    ]
    if wrong:
        more = f" and differs in {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(
            what=f"the file doesn't fit the module that the factory made: it {', '.join(wrong[:_NAMED])}{more}",
            where=str(path),
            fix="make the module in the factory as it was made when it was trained",
        )
    module.load_state_dict(weights)


def whole_module(path: Path) -> Any:
    """What a trusted file holds; reading it runs the code in it."""
    return torch.load(path, map_location="cpu", weights_only=False)


def _weights(path: Path) -> Any:
    if path.suffix.lower() == _SAFE:
        from safetensors.torch import load_file

        return load_file(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of protocols that a file of weights doesn't have
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            what="the file holds more than weights, and reading that runs whatever code is in it: it was not opened",
            where=str(path),
            fix="save the weights alone: torch.save(model.state_dict(), 'model.pt'); or, if the file is yours, write "
            "model.trust: true and model.payload in place of model.factory",
        ) from error
