"""What a command found, as Markdown, where a CI server asks for it."""

import os
from pathlib import Path

_VARIABLE = "GITHUB_STEP_SUMMARY"


def append_step_summary(markdown: str) -> None:
    """Add to the file that GITHUB_STEP_SUMMARY names; nothing where it names none."""
    name = os.environ.get(_VARIABLE)
    if name:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{markdown}\n\n")
