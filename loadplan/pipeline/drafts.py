"""Scenarios that a command drafts for its user: where each is kept, and what is wrong with one before anybody saw it.

The decision a reader would question: a draft that somebody has corrected is never overwritten, and one of another
question gets a file of its own. So whoever asks the same again resumes, whatever was edited meanwhile.
"""

import re
from itertools import count
from pathlib import Path

from loadplan import clock
from loadplan.errors import InputError
from loadplan.pipeline.road import need_prices
from loadplan.scenario.reader import scenario_of
from loadplan.scenario.spec import Scenario
from loadplan.store.files import write_text


def keep_draft(text: str, *, results: Path, name: str) -> Path:
    """The file below `results` that holds the draft; written only when all of it can be used.

    Raises:
        InputError: when it can't: a key, or what runs today or may be bought has no price.
    """
    file = _file_for(text, results, name)
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
