"""The whole road for a model without a scenario: the scenario is drafted, kept beside the results, and walked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadplan.errors import InputError
from loadplan.export.guard import inspect_model
from loadplan.pipeline.drafts import keep_draft
from loadplan.pipeline.observer import Observer
from loadplan.pipeline.road import RoadEnd, run
from loadplan.scenario.draft import QuickQuestion, draft_scenario, name_of
from loadplan.scenario.spec import StageName
from loadplan.scenario.synthetic import synthetic_payloads


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickEnd:
    """How far the walk came, and the scenario that was walked."""

    scenario: Path
    end: RoadEnd


def quick(
    question: QuickQuestion,
    *,
    results: Path,
    fresh: bool = False,
    until: StageName = "report",
    observer: Observer | None = None,
) -> QuickEnd:
    """Draft the scenario of an ONNX file below `results`, unless it lies there already, and walk it.

    Raises:
        InputError: when the file is no model or a hostile one, rows can't be made up for it, or what was told can't be
            used; then no file is left.
        LoadplanError: as `road.run`.
    """
    scenario = _drafted(question, results)
    return QuickEnd(scenario=scenario, end=run(scenario, results=results, fresh=fresh, until=until, observer=observer))


def _drafted(question: QuickQuestion, results: Path) -> Path:
    """The file that holds the draft; written only when all of it can be used."""
    model = question.model
    if not str(model.absolute()).isprintable():
        raise InputError(
            what="the path of the model holds characters that a scenario can't",
            where=ascii(str(model)),
            fix="rename the file, or the folder that it lies in",
        )
    given = inspect_model(model)
    synthetic_payloads(given.inputs, n_rows=1, rng=np.random.default_rng(0))  # refuses where rows can't be made up
    return keep_draft(draft_scenario(question, given.inputs), results=results, name=name_of(model))
