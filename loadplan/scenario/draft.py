"""Drafts the scenario of a model that came without one: what was told, and each assumption where it can be corrected.

The decision a reader would question: made-up rows are not written to a file that the draft names. They would pass for
given ones from then on, and the doubt about them would be lost; the export makes them up itself, and says so.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadplan.execution import TensorSpec, takes_one_row
from loadplan.scenario.document import (
    DEFAULT_BATCH_WINDOWS_MS,
    DEFAULT_MAX_BATCH_SIZES,
    DEFAULT_PROVIDERS,
    DEFAULT_REGIONS,
    DEFAULT_THREADS,
)
from loadplan.units import SECONDS_PER_MS

# What a draft assumes, for whoever reads the answer before the file.
ASSUMED = (
    "the rows are made up: times may differ on real ones, and nothing is said about how good the answers are",
    "each request carries one row; callers know nothing of each other (Poisson) and keep office hours",
    "one request in a thousand may fail; one replica may be gone, and a fifth of the capacity is kept free at the peak",
    "little was measured, so as to answer within a minute: the intervals are wide",
)

# Of the stages that measure, these two last as long as they are told to. A verification lasts as long as its proof
# takes: 8 s, or up to a minute where requests are few or the limit is near; a shorter one would show nothing.
_BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # half as many as by default: each gets a few tenths of a second of the budget
_BENCH_BUDGET_S = 5.0
_LOAD_DURATION_S = 1.5  # of each of five runs, whose servers take as long again to start
_N_INPUTS_NAMED = 16
_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickQuestion:
    """What is told; all else is assumed."""

    model: Path  # an ONNX file
    peak_rps: float
    p99_s: float  # the limit
    providers: tuple[str, ...] = ()  # none: those that a scenario has by default
    regions: tuple[str, ...] = ()
    today: tuple[tuple[str, int], ...] = ()  # what runs now: names of offers, and replicas of each
    proposal: tuple[tuple[str, int], ...] = ()  # what somebody would buy instead, told alike


def name_of(model: Path) -> str:
    """The file's name, as far as it may name a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model.stem).lstrip("._-")[:_NAME_CHARACTERS] or "model"


def draft_scenario(question: QuickQuestion, inputs: Sequence[TensorSpec]) -> str:
    """The text of a scenario file, wherever it will lie; the same question gives the same text.

    Args:
        question: what is told. The model's path must be printable.
        inputs: of the model; what they are named goes into comments, as harmless text.
    """
    is_single = takes_one_row(inputs)
    model = question.model.parent.resolve() / question.model.name  # a link stays one: its data lies beside it
    largest = [1] if is_single else DEFAULT_MAX_BATCH_SIZES
    windows_ms = [0.0] if is_single else DEFAULT_BATCH_WINDOWS_MS
    return f"""\
# What `loadplan quick` asked. It was told the model, the peak and the limit, and assumed the rest. Correct what is
# marked as assumed, then `loadplan run` this file. `loadplan schema` prints every key.
schema: 1
name: {flow(name_of(question.model))}

model:
  source: onnx
  file: {flow(str(model))}
  # assumed: the rows. They are made up, so times may differ on real ones, and nothing is said about how good the
  # answers are. Write real ones beside this file, numpy.savez("rows.npz", …) with one array for each of these inputs:
{_comments(inputs)}  # payload: rows.npz

traffic:
  peak_rps: {number(question.peak_rps)}
  rows_per_request: 1                  # assumed
  arrivals: {{process: poisson}}         # assumed: callers who know nothing of each other
  profile: office_hours                # assumed; also evening_peak, constant, or a CSV of a week

objectives:
  - p99_ms: {number(question.p99_s / SECONDS_PER_MS)}
    max_failed_ratio: 0.001            # assumed: this share may fail or time out

serving:
  threads: {flow(DEFAULT_THREADS)}
  max_batch_size: {flow(largest)}
  batch_window_ms: [{", ".join(map(number, windows_ms))}]

# Short, so as to answer within a minute. Without these two lines more is measured, and the intervals are narrower.
bench: {{batch_sizes: {flow([1] if is_single else _BATCH_SIZES)}, budget_s: {number(_BENCH_BUDGET_S)}}}
load: {{duration_s: {number(_LOAD_DURATION_S)}}}

{plan_section(question.providers, question.regions, today=question.today, proposal=question.proposal)}"""


def _comments(inputs: Sequence[TensorSpec]) -> str:
    """The inputs that rows are wanted for, one a line. Names are cut and escaped: they may hold anything."""
    lines = [
        f"  #   {json.dumps(spec.name):.80}: {spec.dtype} {_shape(spec.shape)}" for spec in inputs[:_N_INPUTS_NAMED]
    ]
    if len(inputs) > _N_INPUTS_NAMED:
        lines.append(f"  #   and {len(inputs) - _N_INPUTS_NAMED} more")
    return "".join(f"{line}\n" for line in lines)


def _shape(shape: Iterable[int | None]) -> str:
    """Such as `(rows, 64)`."""
    _, *others = shape
    return f"({', '.join(['rows', *('any' if axis is None else str(axis) for axis in others)])})"


def plan_section(
    providers: Sequence[str],
    regions: Sequence[str],
    *,
    today: Sequence[tuple[str, int]],
    proposal: Sequence[tuple[str, int]],
) -> str:
    """The section `plan` of a draft: what was told, and what is assumed of every fleet."""
    told = {"today": today, "proposal": proposal}
    fleets = "".join(f"  {key}: {flow(dict(fleet))}\n" for key, fleet in told.items() if fleet)
    return f"""\
plan:
  providers: {flow(providers or DEFAULT_PROVIDERS)}
  regions: {flow(regions or DEFAULT_REGIONS)}
{fleets}  purchase: [on_demand]                # assumed
  spare_replicas: 1                    # assumed: the objectives hold with one machine gone
  headroom_ratio: 0.2                  # assumed: a fifth of the usable capacity stays free at the peak
"""


def number(value: float) -> str:
    """As a person writes it: 300, not 300.0, and without what the change of unit left in the last digits."""
    return f"{value:.12g}"


def flow(value: object) -> str:
    """A value in one line: JSON is YAML, and quotes whatever would be read as something else."""
    return json.dumps(value, ensure_ascii=False)
