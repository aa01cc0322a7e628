"""May rows of different lengths share a batch, the shorter padded with zeros?

A matter of the graph's design, so it is measured on the fp32 graph for all variants: within the looser limits of a
lossy variant a model without a mask might pass.
"""

import tempfile
from pathlib import Path

from loadplan.caveat import Caveat
from loadplan.errors import InputError, ObjectiveMissed
from loadplan.execution import ExecutionConfig, padding_problem
from loadplan.export.parity import Tolerance, padding_holds, tolerance_of
from loadplan.inference import open_session
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ParityLimits
from loadplan.store.files import write_bytes

# Where no limit is given for fp32: its usual one.
_USUAL = Tolerance(absolute=1e-5)


def why_not_padded(fp32: bytes, payloads: PayloadSet, limits: ParityLimits | None) -> str | None:
    """Why rows of different lengths are not to share a batch; None where they may.

    Args:
        fp32: the graph, serialised.
        payloads: the rows.
        limits: what fp32 is held to, if it was asked for; padding may change as much.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed.
    """
    if payloads.lengths is None:
        return "its rows are of one length"
    with tempfile.TemporaryDirectory(prefix="loadplan-export-") as scratch:
        graph = Path(scratch) / "fp32.onnx"
        write_bytes(graph, fp32)
        try:
            session = open_session(graph, ExecutionConfig(variant="fp32"))
            problem = padding_problem(session.inputs, session.outputs)
            tolerance = (tolerance_of(limits) if limits else None) or _USUAL
            if problem is None and not padding_holds(session, payloads, tolerance=tolerance):
                problem = "padding changes what it answers"
        except (InputError, ObjectiveMissed) as error:
            return error.what  # it fails again, and is told, where the variant is checked
    return problem


def padding_caveats(reason: str | None, payloads: PayloadSet) -> tuple[Caveat, ...]:
    """What follows for the plan where rows differ in length and may not share a batch."""
    if reason is None or payloads.lengths is None or payloads.lengths.min() == payloads.lengths.max():
        return ()
    shortest, longest = int(payloads.lengths.min()), int(payloads.lengths.max())
    return (
        Caveat(
            code="export.not_padded",
            what=f"the rows are {shortest} to {longest} positions long and can't share a batch with others of another "
            f"length, since {reason}: the plan reckons with larger batches than the server will form",
            fix="give the model a mask that leaves padded positions out, and one answer for each row",
            number=float(longest),
        ),
    )
