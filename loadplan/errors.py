"""Every error a user can meet: what happened, where, and what to do. One class per reaction a caller may have.

    LoadplanError
    ├── ObjectiveMissed      exit 1: no fleet meets the objective, parity or verification failed
    ├── InputError           exit 2: a scenario, file, option or argument is wrong
    ├── InvalidMeasurement   exit 3: something was measured, but the figure can't be trusted
    ├── EnvironmentFault     exit 4: this machine lacks something (runtime, port, disk, an answer from the target)
    └── Interrupted          exit 130: Ctrl-C or SIGTERM; what was finished is kept

A percentile of nothing is an `InvalidMeasurement`, never 0.
"""

from typing import ClassVar


class LoadplanError(Exception):
    """What happened (with the offending value), where, and the fix, each one short sentence."""

    exit_code: ClassVar[int]

    def __init__(self, *, what: str, where: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} ({self.where}); {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments don't survive pickling between processes without this.
        return (_rebuild, (type(self), self.what, self.where, self.fix))


class ObjectiveMissed(LoadplanError):
    """The objective can't be met, or a check of the model or of the plan failed."""

    exit_code = 1


class InputError(LoadplanError):
    """What the user wrote can't be used."""

    exit_code = 2


class InvalidMeasurement(LoadplanError):
    """A measurement exists that must not be believed."""

    exit_code = 3


class EnvironmentFault(LoadplanError):
    """This machine, or the target, lacks what the work needs."""

    exit_code = 4


class Interrupted(LoadplanError):
    """The user or the system asked the run to stop."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """What an exception of somebody else's says, as far as it fits into a message; empty where it says nothing."""
    return (str(error).strip().splitlines() or [""])[0][:300]


def _rebuild(kind: type[LoadplanError], what: str, where: str, fix: str) -> LoadplanError:
    return kind(what=what, where=where, fix=fix)
