"""What all sections of a scenario file share: strictness, the kinds of numbers, and how they contradict each other."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

# Largest figures that still make sense; beyond them a unit was confused.
MAX_MS = 3_600_000.0
MAX_COUNT = 100_000

PositiveInt = Annotated[int, Field(ge=1, le=MAX_COUNT)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # safe as the name of a folder
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
TYPE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"  # provider/type
OfferName = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+$")]  # provider/region/type/purchase
LimitMs = Annotated[float, Field(gt=0, le=MAX_MS)]

# Begins the name that pydantic's errors give to a branch of a key that takes several shapes; no file holds it.
TAG_MARK = "\0"

Contradiction = tuple[tuple[str, ...], str]


class Section(BaseModel):
    """Base of every section: no unknown key, no text for numbers, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def contradiction(*found: Contradiction) -> PydanticCustomError:
    """One error for several contradictions: the keys that disagree, relative to the section, and what is wrong."""
    return PydanticCustomError("contradiction", "keys contradict each other", {"found": list(found)})


def annotation_parts(annotation: Any) -> Iterator[Any]:
    """The type of a key, and all that it is made of: items of a list, shapes that it may take."""
    yield annotation
    if get_origin(annotation) in {list, Union, types.UnionType, Annotated}:
        for part in get_args(annotation):
            yield from annotation_parts(part)


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a key holds, or holds several of, or may hold in place of a plain value; None: it holds none."""
    sections = (part for part in annotation_parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel))
    return next(sections, None)
