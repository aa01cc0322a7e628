"""How the road tells what it is doing; the command line draws it, a notebook may ignore it."""

from typing import Protocol


class Observer(Protocol):
    """Hears of every stage: its beginning, how far it is, and its end."""

    def begin(self, stage: str, purpose: str) -> None:
        """A stage starts; `purpose` is the question that it answers."""

    def progress(self, done_ratio: float, detail: str) -> None:
        """`done_ratio` of the present stage, 0 to 1, is done; `detail` says what is going on."""

    def end(self, stage: str, outcome: str) -> None:
        """A stage is finished, or was found finished."""


class Nobody:
    """The observer of a call that nobody watches."""

    def begin(self, stage: str, purpose: str) -> None:
        """Not heard."""

    def progress(self, done_ratio: float, detail: str) -> None:
        """Not heard."""

    def end(self, stage: str, outcome: str) -> None:
        """Not heard."""
