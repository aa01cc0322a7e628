"""The law of arrivals from a command line: a bare name, or what a scenario writes under `traffic.arrivals`."""

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from loadplan.scenario.arrivals import Arrivals
from loadplan.scenario.arrivals_section import resolve_arrivals
from loadplan.scenario.mistakes import empty_values, from_pydantic, refusal
from loadplan.scenario.section import Section
from loadplan.scenario.traffic_section import TrafficSection
from loadplan.scenario.yaml_tree import Mark, Mistake, read_tree

# Read as a part of a scenario, so that a mistake is told as there; its first line is not the user's.
_BEFORE, _AFTER = "traffic: {peak_rps: 1, arrivals:\n", "\n}"
_N_PARTS_BEFORE = 2  # traffic, arrivals


class _Inline(Section):
    traffic: TrafficSection


def read_arrivals(text: str, *, where: str) -> Arrivals:
    """The law in `poisson`, `{process: gamma, cv: 2}` or the like; a file that it names lies where the user says.

    Raises:
        InputError: with every mistake in the text, or in the file that it names.
    """
    law = text if text.lstrip().startswith("{") else f"{{process: {text}}}"
    tree = read_tree(f"{_BEFORE}{law}{_AFTER}")
    mistakes = list(tree.mistakes)
    inline: _Inline | None = None
    if tree.value is not None:
        try:
            inline = _Inline.model_validate(tree.value)
        except ValidationError as error:
            mistakes += from_pydantic(error.errors(include_url=False), tree)
        mistakes += empty_values(tree, named={mistake.path for mistake in mistakes})
    if mistakes or inline is None:
        raise refusal([_in_the_text(mistake) for mistake in mistakes], where)
    return resolve_arrivals(inline.traffic.arrivals, find=Path)


def _in_the_text(mistake: Mistake) -> Mistake:
    line = max(mistake.mark.line - 1, 1)
    return replace(mistake, mark=Mark(line=line, column=mistake.mark.column), path=mistake.path[_N_PARTS_BEFORE:])
