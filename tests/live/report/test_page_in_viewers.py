"""The page where a viewer sets a policy of its own, as Jenkins does, and a page whose every string is hostile."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report, render_split_report
from tests.live.report.browser import asked_for, run_scripts, wait_for_figures
from tests.unit.report.hostile import rewritten

pytestmark = pytest.mark.browser

# What Jenkins sends with every file of a build, and what its documentation offers for reports with scripts in files.
_JENKINS = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"
_JENKINS_WITH_SCRIPTS = (
    "sandbox allow-same-origin allow-scripts; default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self';"
)
_HOSTILE = (
    "</script></style></title><script>window.brought = 1</script><img src=x onerror='window.brought = 2'>"
    "\" onmouseover=\"window.brought = 3\" ' autofocus onfocus='window.brought = 4' \u202e{{ 7 * 7 }}<!-- <svg/onload="
    "window.brought=5>"
)
_EMPTY = "return document.querySelectorAll('.main-svg').length"


@contextmanager
def served(folder: Path, policy: str) -> Iterator[str]:
    """The folder behind a server that sends this policy with every file."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", policy)
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name there
            """Nothing is said."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def split(findings: Findings, provenance: Provenance, tmp_path: Path) -> Path:
    return write(tmp_path, render_split_report(findings, provenance))


def test_a_page_in_several_files_draws_from_a_folder_without_a_word(browser: Any, split: Path) -> None:
    browser.get((split / "report.html").as_uri())
    assert wait_for_figures(browser) > 0
    assert browser.get_log("browser") == []
    assert {url.rpartition("/")[2] for url in asked_for(browser)} == {
        "report.html",
        "report.css",
        "report.js",
        "plotly.js",
    }


def test_a_viewer_that_allows_scripts_in_files_shows_every_figure(browser: Any, split: Path) -> None:
    with served(split, _JENKINS_WITH_SCRIPTS) as url:
        browser.get(f"{url}/report.html")
        assert wait_for_figures(browser) > 0


def test_a_viewer_that_allows_none_shows_the_answer_in_its_own_style(browser: Any, split: Path) -> None:
    with served(split, _JENKINS) as url:
        browser.get(f"{url}/report.html")
        assert browser.execute_script(_EMPTY) == 0
        answer = browser.execute_script("return document.getElementById('answer').innerText")
        border = browser.execute_script("return getComputedStyle(document.getElementById('answer')).borderLeftWidth")
    assert "4 × h.xlarge" in answer
    assert border == "6px"


def test_the_page_of_one_file_draws_nothing_in_such_a_viewer(
    browser: Any, findings: Findings, provenance: Provenance, tmp_path: Path
) -> None:
    """Which is what the page of several files is for."""
    folder = write(tmp_path, {"report.html": render_report(findings, provenance)})
    with served(folder, _JENKINS_WITH_SCRIPTS) as url:
        browser.get(f"{url}/report.html")
        assert browser.execute_script(_EMPTY) == 0
        assert "4 × h.xlarge" in browser.execute_script("return document.getElementById('answer').innerText")


@pytest.mark.parametrize("may_run", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["scripts", "none"])
def test_no_string_brings_an_element_or_a_script_into_a_browser(
    browser: Any, findings: Findings, provenance: Provenance, tmp_path: Path, may_run: bool
) -> None:
    elements = (
        "return [...document.querySelectorAll('*')].filter(element => !element.closest('.plot')).map("
        "element => [element.tagName, element.getAttributeNames().sort()])"
    )
    found = {}
    for name, brought in {"harmless": "x", "hostile": _HOSTILE}.items():
        change = brought.__add__
        page = render_report(rewritten(findings, change), rewritten(provenance, change))
        (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
        run_scripts(browser, may_run)
        browser.get((tmp_path / f"{name}.html").as_uri())
        if may_run:
            wait_for_figures(browser)
            assert browser.execute_script("return window.brought === undefined")
            inside = "return document.querySelectorAll('.plot script, .plot img, .plot a').length"
            assert browser.execute_script(inside) == 0
        found[name] = browser.execute_script(elements)
        assert browser.get_log("browser") == []
        assert asked_for(browser) == [(tmp_path / f"{name}.html").as_uri()]
        browser.get("about:blank")
        browser.get_log("performance")
    assert found["hostile"] == found["harmless"]
