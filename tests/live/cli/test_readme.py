"""Every command that the README and the index of the docs show exists, with every option; so do their links."""

import re
from pathlib import Path

import pytest

from .conftest import Loadplan

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "docs" / "README.md"]
COMMANDS = sorted({line for page in PAGES for line in re.findall(r"`(loadplan [a-z]+[^`]*)`", page.read_text())})


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_is_one(loadplan: Loadplan, line: str) -> None:
    done = loadplan(line.split()[1], "--help", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert [option for option in re.findall(r"--[a-z-]+", line) if option not in done.stdout] == []


@pytest.mark.parametrize("page", PAGES, ids=["README", "docs"])
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert len(links) >= 4
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in index] == ["README.md"]


def test_what_the_readme_prints_is_the_committed_run() -> None:
    """The figures on the page are those of results/example-digits, not of some other day."""
    readme = (ROOT / "README.md").read_text()
    budget = (ROOT / "results" / "example-digits" / "budget.csv").read_text().splitlines()
    (run,) = set(re.findall(r"results/digits/(\d{8}T\d{6}Z-[0-9a-f]{10})", readme))
    assert run in (ROOT / "results" / "example-digits" / "report.html").read_text()
    assert len(budget) == 13
