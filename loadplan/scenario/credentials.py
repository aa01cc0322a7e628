"""Values that come from the environment, so that no file and no command line holds them: `Bearer $TOKEN`.

What is filled in goes to the target and nowhere else: no record keeps it, and no message repeats it.
"""

import os
import re
from collections.abc import Iterable

from loadplan.errors import InputError

# `$TOKEN` or `${TOKEN}`.
VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


def fill_headers(headers: Iterable[tuple[str, str]], *, where: str) -> tuple[tuple[str, str], ...]:
    """The headers with each variable's value in its place; `where` says in a message where they were written.

    Raises:
        InputError: when a variable isn't set or is empty, as one whose secret was not handed over often is.
    """
    return tuple((name, _filled(value, f"{where} {name}")) for name, value in headers)


def _filled(text: str, where: str) -> str:
    return VARIABLE.sub(lambda found: _value(found, where), text)


def _value(found: re.Match[str], where: str) -> str:
    variable = found[1] or found[2]
    value = os.environ.get(variable, "")
    if not value:
        state = "is empty" if variable in os.environ else "isn't set"
        raise InputError(
            what=f"the variable {variable} of the environment {state}",
            where=where,
            fix=f"set it first: export {variable}=…",
        )
    return value
