"""The page in a real browser, opened from a file.

Debian's Chromium is driven through its own driver; where either is missing the tests skip, unless
LOADPLAN_REQUIRE_BROWSER=1 makes that a failure.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report

pytestmark = pytest.mark.browser

_FLAGS = (
    "--headless",
    "--no-sandbox",  # Chromium refuses to run as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PAGES = ("whole", "invalid", "stopped")


def media(scheme: str) -> dict[str, list[dict[str, str]]]:
    # Without motion, or a click comes before the page has scrolled to its target.
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    return {"features": [{"name": name, "value": value} for name, value in wanted.items()]}


@pytest.fixture(scope="module")
def addresses(
    findings: Findings, invalid: Findings, provenance: Provenance, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A whole run, an invalid one and one that stopped at once."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "whole": render_report(findings, provenance),
        "invalid": render_report(invalid, replace(provenance, failure="the live verification is invalid")),
        "stopped": render_report(
            Findings(scenario=findings.scenario, machine=findings.machine),
            replace(provenance, failure="the port is taken; free it"),
        ),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A fresh Chromium that keeps its console and every request it makes."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        reason = "chromium and chromedriver are not both installed: apt-get install chromium chromium-driver"
        if os.environ.get("LOADPLAN_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    yield session
    session.quit()


@pytest.fixture(autouse=True)
def _as_new(browser: Any) -> None:
    """Every test begins with a light page of 1280 x 800, scripts on, and empty logs."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media("light"))
    resize(browser, 1280, 800)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")


def resize(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 720}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def wait_for_figures(browser: Any, n_figures: int) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    script = "return document.querySelectorAll('.plot .main-svg .xaxislayer-above').length"
    WebDriverWait(browser, 30).until(lambda session: session.execute_script(script) >= n_figures)


@pytest.mark.parametrize("page", _PAGES)
def test_no_page_writes_an_error_to_the_console(browser: Any, addresses: dict[str, str], page: str) -> None:
    browser.get(addresses[page])
    assert browser.execute_script("return document.readyState") == "complete"
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("page", _PAGES)
def test_no_request_leaves_a_page(browser: Any, addresses: dict[str, str], page: str) -> None:
    browser.get(addresses[page])
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
    assert asked[0] == addresses[page]
    assert [url for url in asked[1:] if not url.startswith(("data:", "blob:"))] == []
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []


def test_every_figure_is_drawn(browser: Any, addresses: dict[str, str]) -> None:
    browser.get(addresses["whole"])
    n_figures = browser.execute_script("return document.querySelectorAll('figure').length")
    wait_for_figures(browser, n_figures)
    n_shapes = browser.execute_script(
        "return [...document.querySelectorAll('figure')].map("
        "figure => figure.querySelectorAll('.scatterlayer path').length)"
    )
    assert n_figures == 10
    assert min(n_shapes) >= 1


@pytest.mark.parametrize("width", [390, 720, 1280])
@pytest.mark.parametrize("page", _PAGES)
def test_no_page_scrolls_sideways(browser: Any, addresses: dict[str, str], page: str, width: int) -> None:
    resize(browser, width, 800)
    browser.get(addresses[page])
    browser.execute_script("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("page", _PAGES)
def test_the_whole_answer_is_above_the_fold(browser: Any, addresses: dict[str, str], page: str) -> None:
    browser.get(addresses[page])
    bottom = browser.execute_script("return document.getElementById('answer').getBoundingClientRect().bottom")
    assert bottom <= 800


def test_without_scripts_the_answer_the_tables_and_the_numbers_of_figures_are_there(
    browser: Any, addresses: dict[str, str]
) -> None:
    from selenium.webdriver.common.by import By

    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(addresses["whole"])
    answer = browser.find_element(By.ID, "answer")
    assert answer.is_displayed()
    assert "4 × h.xlarge" in answer.text
    assert "$292.00 a month" in answer.text
    assert "PASS" in answer.text
    assert browser.find_elements(By.CSS_SELECTOR, ".main-svg") == []
    assert "the numbers are below" in browser.find_element(By.CSS_SELECTOR, ".plot").text
    browser.find_element(By.CSS_SELECTOR, "figure summary").click()
    assert "f.large" in browser.find_element(By.CSS_SELECTOR, "figure table").text


def test_figures_take_the_colours_of_the_readers_scheme_when_it_changes(
    browser: Any, addresses: dict[str, str]
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    colour = "return getComputedStyle(document.querySelector('#latency-over-rate .scatterlayer .js-line')).stroke"
    browser.get(addresses["whole"])
    wait_for_figures(browser, 10)
    assert browser.execute_script(colour) in {"rgb(0, 114, 178)", "rgb(213, 94, 0)"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media("dark"))
    dark = {"rgb(230, 159, 0)", "rgb(86, 180, 233)"}
    WebDriverWait(browser, 10).until(lambda session: session.execute_script(colour) in dark)


def test_print_opens_every_fold_fits_the_paper_and_gives_all_back(browser: Any, addresses: dict[str, str]) -> None:
    browser.get(addresses["whole"])
    closed = "return document.querySelectorAll('details:not([open], figure details)').length"
    n_closed = browser.execute_script(closed)
    assert n_closed > 0
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(closed) == 0
    widest = "return Math.max(...[...document.querySelectorAll('.main-svg')].map(svg => svg.clientWidth))"
    assert browser.execute_script(widest) <= 680  # 180 mm
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(closed) == n_closed


def test_a_script_that_a_viewer_or_a_name_slips_in_does_not_run(
    browser: Any, addresses: dict[str, str], tmp_path: Path
) -> None:
    page = Path(addresses["stopped"].removeprefix("file://")).read_text(encoding="utf-8")
    (tmp_path / "slipped.html").write_text(
        page.replace("</body>", "<script>window.slipped = true</script></body>"), encoding="utf-8"
    )
    browser.get((tmp_path / "slipped.html").as_uri())
    assert browser.execute_script("return window.slipped === undefined")
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_figures_keep_their_height_when_a_window_shrinks_or_a_phone_is_turned(
    browser: Any, addresses: dict[str, str]
) -> None:
    browser.get(addresses["whole"])
    wait_for_figures(browser, 3)
    heights = "return [...document.querySelectorAll('.plot .main-svg')].map(svg => svg.clientHeight)"
    before = browser.execute_script(heights)
    from selenium.webdriver.support.ui import WebDriverWait

    resize(browser, 900, 800)
    resize(browser, 390, 800)
    narrow = "return [...document.querySelectorAll('.plot .main-svg')].every(svg => svg.clientWidth < 400)"
    WebDriverWait(browser, 30).until(lambda session: session.execute_script(narrow))
    assert browser.execute_script(heights) == before
    assert min(before) > 300
