"""Results as JUnit XML, which every CI server shows beside its tests."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as Xml  # nothing is parsed here

from loadplan.store import files

# Characters that XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Outcome = Literal["passed", "failure", "error", "skipped"]  # an error: it could not be checked


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCase:
    """One thing that was checked."""

    name: str
    outcome: Outcome
    message: str = ""


def write_junit(path: Path, *, suite: str, cases: Sequence[CheckedCase]) -> None:
    """Write one suite.

    Raises:
        EnvironmentFault: when the file can't be written.
    """
    counted = {
        f"{kind}{'' if kind == 'skipped' else 's'}": sum(case.outcome == kind for case in cases)
        for kind in ("failure", "error", "skipped")
    }
    numbers = {name: str(n) for name, n in {"tests": len(cases), **counted}.items()}
    root = Xml.Element("testsuites", numbers)
    element = Xml.SubElement(root, "testsuite", {"name": _clean(suite), **numbers})
    for case in cases:
        test = Xml.SubElement(element, "testcase", {"classname": _clean(suite), "name": _clean(case.name)})
        if case.outcome != "passed":
            Xml.SubElement(test, case.outcome, {"message": _clean(case.message)})
    Xml.indent(root)
    files.write_text(path, Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
