"""Arguments and options that several commands share, and how their texts are read."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.errors import InputError

if TYPE_CHECKING:
    from loadplan.pipeline.profiles import ProfileFile

ScenarioArgument = Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario file (YAML).")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `loadplan run` made.")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where run folders are kept.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start a new run folder and measure everything again.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

AsOfOption = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="The day prices are judged on.")]

DEFAULT_OUTPUT = Path("results")


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """The counts in `1,4,16`. Raises InputError for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(
            what=f"{text!r} is not a list of whole numbers above 0",
            where=option,
            fix="separate the numbers by commas, such as 1,4,16",
        )
    return tuple(int(part) for part in parts)


def parse_prices(texts: Sequence[str]) -> dict[str, Decimal]:
    """USD per hour by `provider/region/type`. Raises InputError for anything but `provider/region/type=X`."""
    prices = {}
    for text in texts:
        name, _, amount = text.partition("=")
        try:
            prices[name.strip()] = Decimal(amount.strip())
        except InvalidOperation:
            raise InputError(
                what=f"{text!r} is no price",
                where="--price",
                fix="write provider/region/type=USD per hour, such as aws/us-east-1/c7i.large=0.0892",
            ) from None
    return prices


def parse_today(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """What runs now. Raises InputError as `_parse_fleet`."""
    return _parse_fleet(texts, "--today")


def parse_proposal(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """What somebody would buy. Raises InputError as `_parse_fleet`."""
    return _parse_fleet(texts, "--proposal")


def _parse_fleet(texts: Sequence[str], option: str) -> tuple[tuple[str, int], ...]:
    """Offers and replicas of each, from `OFFER=N`. Raises InputError for anything else, or an offer named twice."""
    running: dict[str, int] = {}
    for text in texts:
        name, _, count = (part.strip() for part in text.partition("="))
        if name.count("/") != 3 or not count.isdecimal() or int(count) == 0 or name in running:
            raise InputError(
                what=f"{text!r} is no fleet" if name not in running else f"{name} is named twice",
                where=option,
                fix="write provider/region/type/purchase=replicas once, such as aws/us-east-1/c7i.large/on_demand=4",
            )
        running[name] = int(count)
    return tuple(running.items())


def parse_profiles(texts: Sequence[str]) -> tuple["ProfileFile", ...]:
    """Each `FILE` or `FILE=provider/type`; what is a file by its whole name has no type in it."""
    return tuple(_profile_file(text) for text in texts)


def _profile_file(text: str) -> "ProfileFile":
    from loadplan.pipeline.profiles import ProfileFile

    name, equals, type_name = text.rpartition("=")
    if not equals or Path(text).is_file():
        return ProfileFile(path=Path(text), type_name=None)
    if not all(type_name.partition("/")):
        raise InputError(
            what=f"{type_name!r} is no instance type",
            where="--profiles",
            fix=f"write FILE=provider/type, such as {name}=aws/c7i.large",
        )
    return ProfileFile(path=Path(name), type_name=type_name)


def parse_date(text: str | None, *, option: str = "--as-of") -> date | None:
    """A day such as 2026-11-24. Raises InputError for anything else."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(what=f"{text!r} is no date", where=option, fix="write it like 2026-11-24") from None


def parse_pointer(text: str) -> str:
    """A JSON pointer. Raises InputError for anything else."""
    if text and not text.startswith("/"):
        raise InputError(what=f"{text!r} is no JSON pointer", where="--answer", fix="write it like /predictions/0")
    return text


def parse_headers(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Name and value of each `K: V`, as written: a `$TOKEN` in it is filled in when it is sent, so it shows nowhere.

    Raises:
        InputError: for a header without a colon.
    """
    headers = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise InputError(
                what="a header has no colon", where="--header", fix="write it like 'Authorization: $TOKEN'"
            )
        headers.append((name.strip(), value.strip()))
    return tuple(headers)
