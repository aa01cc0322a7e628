"""The whole road for a model without a scenario: the scenario is drafted, kept beside the results, and walked.

The decision a reader would question: a draft that somebody has corrected is never overwritten, and one of another
question gets a file of its own. So whoever asks the same again resumes, whatever was edited meanwhile.
"""

import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from loadplan import clock
from loadplan.errors import InputError
from loadplan.export.guard import inspect_model
from loadplan.pipeline.observer import Observer
from loadplan.pipeline.road import RoadEnd, need_prices, run
from loadplan.scenario.draft import QuickQuestion, draft_scenario, name_of
from loadplan.scenario.reader import scenario_of
from loadplan.scenario.spec import Scenario, StageName
from loadplan.scenario.synthetic import synthetic_payloads
from loadplan.store.files import write_text


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
    text = draft_scenario(question, given.inputs)
    file = _file_for(text, results, name_of(model))
    need_prices(_read(text, file), file, as_of=clock.utc_now().date())
    if not file.exists():
        write_text(file, text)
    return file


def _file_for(text: str, results: Path, name: str) -> Path:
    """The first file of this name, or of this name with a number, that holds the text or isn't there."""
    files = (results / (f"{name}.yaml" if n == 1 else f"{name}-{n}.yaml") for n in count(1))
    return next(file for file in files if not file.exists() or (file.is_file() and file.read_bytes() == text.encode()))


def _read(text: str, file: Path) -> Scenario:
    """The scenario. Mistakes are the command's, for nobody has seen the file."""
    try:
        return scenario_of(text, file)
    except InputError as error:
        raise InputError(
            what=re.sub(rf"^{re.escape(str(file))}:\d+:\d+ ", "", error.what, flags=re.MULTILINE),
            where="the options of `loadplan quick`",
            fix="correct the option that the key stands for",
        ) from error
