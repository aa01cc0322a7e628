"""Text encoders of Hugging Face's transformers to ONNX, pooled to one vector for each sentence. Owns transformers.

Requests carry token ids, as they do where Triton serves an encoder: the caller runs the tokenizer, whose time is in
no figure, and the report says so. A sentence becomes a row of ids that is cut at the model's maximum and followed by
zeros, with the attention mask beside it where the model takes one. Token types go along only where the tokenizer
writes others than 0, which models take by themselves. Pooling happens inside the graph: parity holds the vectors.
"""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from loadplan.caveat import Caveat
from loadplan.errors import InputError, first_line
from loadplan.export import torch as torch_source
from loadplan.export.source import Conversion, TextEncoder, TrainedModel

PACKAGES = ("transformers", *torch_source.PACKAGES)  # what decides the bytes of the graph

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_POOLINGS = ("mean", "cls")
_NO_MAXIMUM = 1 << 20  # a tokenizer that knows of none says so with a number of thirty digits
_NOT_TIMED = Caveat(
    code="export.tokens_on_client",
    what="requests carry token ids: the time that the caller's tokenizer takes is in no figure",
    fix="add it to what your callers see, and buy for it where it runs",
)


class PooledEncoder(torch.nn.Module):  # type: ignore[misc]  # types must not depend on whether torch is installed
    """An encoder with its pooling inside."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self._model = encoder.model
        self._pooling = encoder.pooling
        self._is_normalised = encoder.is_normalised
        self.training = encoder.model.training

    def forward(self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None) -> dict[str, Any]:
        """(n_rows, n_positions) each to the embedding, (n_rows, n_dimensions)."""
        given = dict(zip(_INPUTS, (input_ids, attention_mask, token_type_ids), strict=True))
        hidden = self._model(**{name: value for name, value in given.items() if value is not None}).last_hidden_state
        if self._pooling == "cls":
            pooled = hidden[:, 0]
        elif attention_mask is None:
            pooled = hidden.mean(dim=1)
        else:
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return {"embedding": torch.nn.functional.normalize(pooled, dim=1) if self._is_normalised else pooled}


def convert(trained: TrainedModel, *, where: str) -> Conversion:
    """The encoder and its pooling as an fp32 graph, beside their own answers to each sentence alone.

    Raises:
        InputError: when the estimator is no text encoder of transformers, or can't be captured or converted.
    """
    encoder = trained.estimator
    _require_encoder(encoder, where)
    sentences = [str(sentence) for sentence in trained.rows]
    limit = _max_tokens(encoder, where)
    inputs, lengths, n_cut = _tokenised(encoder, sentences, limit)
    _require_hidden_state(encoder, inputs, lengths, where)
    conversion = torch_source.convert(
        replace(trained, estimator=PooledEncoder(encoder), rows=inputs, lengths=lengths if lengths.max() > 1 else None),
        where=where,
    )
    name = type(encoder.model).__name__
    notes = [f"{name} pooled by {encoder.pooling}" + ", normalised" * encoder.is_normalised, conversion.note]
    return replace(
        conversion,
        note=", ".join(note for note in notes if note),
        caveats=(_NOT_TIMED, *([_cut_caveat(n_cut, len(sentences), limit)] if n_cut else [])),
    )


def _require_encoder(encoder: object, where: str) -> None:
    fix = "return TrainedModel(estimator=TextEncoder(model=…, tokenizer=…, pooling=…, is_normalised=…), rows=[…])"
    if not isinstance(encoder, TextEncoder):
        raise InputError(what=f"{type(encoder).__name__} is not a TextEncoder", where=where, fix=fix)
    for part, wanted in ((encoder.model, PreTrainedModel), (encoder.tokenizer, PreTrainedTokenizerBase)):
        if not isinstance(part, wanted):
            raise InputError(
                what=f"{type(part).__name__} is not a {wanted.__name__} of transformers", where=where, fix=fix
            )
    if encoder.pooling not in _POOLINGS:
        raise InputError(
            what=f"there is no pooling {encoder.pooling!r}", where=where, fix=f"use one of {', '.join(_POOLINGS)}"
        )
    if getattr(encoder.model.config, "is_encoder_decoder", False) and hasattr(encoder.model, "decoder"):
        raise InputError(
            what=f"{type(encoder.model).__name__} is an encoder and a decoder",
            where=where,
            fix="return the encoder alone, model.get_encoder()",
        )


def _max_tokens(encoder: TextEncoder, where: str) -> int:
    """Tokens of the longest sentence that the model takes, or of the longest that it is to be sent."""
    known = [encoder.tokenizer.model_max_length, getattr(encoder.model.config, "max_position_embeddings", None)]
    limits = [limit for limit in known if isinstance(limit, int) and 0 < limit < _NO_MAXIMUM]
    most = min(limits, default=encoder.max_tokens)
    if most is None or (encoder.max_tokens is not None and not 1 < encoder.max_tokens <= most):
        raise InputError(
            what=f"max_tokens is {encoder.max_tokens}; the model's own maximum is {most or 'unknown'}",
            where=where,
            fix="give TextEncoder(max_tokens=…) within the model's own maximum",
        )
    return encoder.max_tokens or most


def _tokenised(
    encoder: TextEncoder, sentences: Sequence[str], limit: int
) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.int64], int]:
    """Ids, mask and types side by side with zeros beyond each end, the sentences' lengths, and how many were cut."""
    whole = encoder.tokenizer(list(sentences), verbose=False)["input_ids"]
    tokens = encoder.tokenizer(list(sentences), truncation=True, max_length=limit)
    lengths = np.array([len(ids) for ids in tokens["input_ids"]], dtype=np.int64)
    taken = inspect.signature(encoder.model.forward).parameters
    inputs: dict[str, NDArray[np.generic]] = {}
    for name in _INPUTS:
        if name not in tokens or name not in taken:
            continue
        values = np.zeros((len(lengths), int(lengths.max())), dtype=np.int64)
        for row, of_sentence in enumerate(tokens[name]):
            values[row, : len(of_sentence)] = of_sentence
        if name != "token_type_ids" or values.any():
            inputs[name] = values
    return inputs, lengths, sum(len(ids) > length for ids, length in zip(whole, lengths, strict=True))


def _require_hidden_state(
    encoder: TextEncoder, inputs: dict[str, NDArray[np.generic]], lengths: NDArray[np.int64], where: str
) -> None:
    shortest = int(lengths.argmin())
    first = {
        name: torch.from_numpy(values[shortest : shortest + 1, : lengths[shortest]]) for name, values in inputs.items()
    }
    try:
        with torch.no_grad():
            returned = encoder.model(**first)
    except Exception as error:  # the model is the user's
        said = first_line(error)
        raise InputError(
            what=f"{type(encoder.model).__name__} refuses a tokenised sentence: {type(error).__name__}: {said}",
            where=where,
            fix="give the tokenizer that belongs to the model",
        ) from error
    if getattr(returned, "last_hidden_state", None) is None:
        raise InputError(
            what=f"{type(encoder.model).__name__} answers without last_hidden_state, so there is nothing to pool",
            where=where,
            fix="load it with AutoModel; a model with a head of its own is one of source torch",
        )


def _cut_caveat(n_cut: int, n_sentences: int, limit: int) -> Caveat:
    return Caveat(
        code="export.sentences_cut",
        what=f"{n_cut} of {n_sentences} sentences were longer than {limit} tokens and were cut there",
        fix="raise max_tokens as far as the model allows, or split them as your callers would",
        number=n_cut,
    )
