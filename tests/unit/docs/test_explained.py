"""Whoever meets a doubt or an exit code finds a paragraph on it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import loadplan
from loadplan.errors import LoadplanError

SOURCES = Path(loadplan.__file__).parent
DOCS = SOURCES.parent / "docs"
MAKERS = {"Caveat", "Doubt", "_Factor"}  # what has a code


def paragraphs(page: str, heading: str) -> dict[str, str]:
    """What stands below each heading that matches, by what is caught in it."""
    parts = re.split(heading, (DOCS / page).read_text(), flags=re.MULTILINE)
    return {name: body.partition("\n#")[0].strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def codes_in_the_sources() -> frozenset[str]:
    makes_one = re.compile(rf"\b({'|'.join(MAKERS)})\(")
    sources = (file.read_text() for file in SOURCES.rglob("*.py"))
    return frozenset(code for source in sources if makes_one.search(source) for code in codes_in(source))


def codes_in(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
            for code in (keyword.value for keyword in node.keywords if keyword.arg == "code"):
                yield from texts(constants.get(code.id, code) if isinstance(code, ast.Name) else code)


def texts(code: ast.expr) -> Iterator[str]:
    """One code, or either of two; none where it is handed on from a record that has its own."""
    if isinstance(code, ast.Attribute) and code.attr == "code":
        return
    for node in (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,):
        assert isinstance(node, ast.Constant), f"the code of a caveat is no plain text: {ast.unparse(code)}"
        yield str(node.value)


def test_every_doubt_has_a_paragraph_and_every_paragraph_a_doubt() -> None:
    codes = codes_in_the_sources()
    assert len(codes) > 60
    told = paragraphs("doubts.md", r"^### `([a-z_]+\.[a-z_0-9]+)`$")
    assert sorted(told) == sorted(codes)
    assert [code for code, said in told.items() if len(said) < 80] == []


def test_every_exit_code_has_a_paragraph() -> None:
    told = paragraphs("exit-codes.md", r"^### (\d+): .+$")
    assert {int(code) for code in told} == {0, *(kind.exit_code for kind in LoadplanError.__subclasses__())}
    assert [code for code, said in told.items() if len(said) < 60] == []


def test_the_stages_of_the_page_are_those_of_its_codes() -> None:
    page = (DOCS / "doubts.md").read_text()
    assert page.count("\n## ") == len({code.partition(".")[0] for code in codes_in_the_sources()})
    stage = ""
    for line in page.splitlines():
        if line.startswith("## "):
            stage = line.removeprefix("## ")
        if line.startswith("### `"):
            assert line.startswith(f"### `{stage}.")
