"""The providers that a scenario asks for, as this machine has them: each of their devices counts."""

from collections.abc import Callable, Sequence

from loadplan.bench.grid import CPU
from loadplan.errors import EnvironmentFault
from loadplan.providers import Provider, discover_providers


def providers_here(
    asked: Sequence[str], *, discover: Callable[[], Sequence[Provider]] = discover_providers
) -> tuple[str, ...]:
    """Names for `ExecutionConfig.provider`, one for each device that runs a model: CPU, CUDA, or CUDA:0 and CUDA:1.

    Nothing is tried where only the CPU is asked for.

    Args:
        asked: providers in any case of letters.
        discover: what finds out which providers and devices run a model.

    Raises:
        EnvironmentFault: when one of them is missing here, or runs no model.
    """
    if all(name.upper() == CPU for name in asked):
        return (CPU,)
    found = discover()
    return tuple(name for provider in asked for name in _names(provider, found))


def _names(asked: str, found: Sequence[Provider]) -> list[str]:
    own = [each for each in found if each.name.lower() == asked.lower()]
    usable = [each for each in own if each.usable]
    if not usable:
        reason = next((each.reason for each in own if each.reason), "the installed ONNX Runtime has no such provider")
        usable_names = dict.fromkeys(each.name for each in found if each.usable)
        raise EnvironmentFault(
            what=f"the provider {asked} can't run a model here: {reason}",
            where="bench.providers, or --providers",
            fix=f"install the ONNX Runtime, the driver and the libraries that it needs, or ask for "
            f"{' or '.join(usable_names) or 'another one'}",
        )
    if len(usable) == 1 and not usable[0].device_index:
        return [usable[0].name]
    return [f"{each.name}:{each.device_index}" for each in usable]
