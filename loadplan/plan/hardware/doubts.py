"""What is doubtful about capacities on hardware that was not measured."""

from collections.abc import Iterable, Sequence

from loadplan.caveat import Caveat
from loadplan.plan.hardware.measured import Ground
from loadplan.plan.hardware.misses import TransferMisses
from loadplan.plan.hardware.transfer import OTHER_ARCHITECTURE_FACTOR, SAME_ARCHITECTURE_FACTOR, UNPLACED_FACTOR


def hardware_caveats(grounds: Sequence[Ground], missed: TransferMisses) -> Iterable[Caveat]:
    """That the machine at hand has no place in the catalogue, and how wide every extrapolation is."""
    here = grounds[-1]
    measured = "this machine" if len(grounds) == 1 else "the machines that were measured"
    if here.family is None:
        yield Caveat(
            code="plan.machine_unplaced",
            what=(
                f"nothing tells which processor of the catalogue {here.fit.machine.cpu_model!r} is, so every other core"
                f" is taken to be as fast, up to a factor of {UNPLACED_FACTOR:g} either way"
            ),
            fix="measure on a machine of a type that the catalogue knows",
            number=UNPLACED_FACTOR,
        )
    same = max(SAME_ARCHITECTURE_FACTOR, missed.same_architecture)
    other = max(OTHER_ARCHITECTURE_FACTOR, missed.other_architecture)
    yield Caveat(
        code="plan.extrapolated",
        what=(
            f"capacities of other hardware are extrapolated from {measured} by clocks and peaks, give or take a factor"
            f" of {same:.3g} ({other:.3g} for another architecture); fleets are sized on the low end"
        ),
        fix="run `loadplan run` on a machine of the recommended type before you buy",
        number=same,
    )
