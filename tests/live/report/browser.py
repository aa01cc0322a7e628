"""A headless Chromium for the pages: Debian's, driven through its own driver."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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


@contextmanager
def started(profile: Path) -> Iterator[Any]:
    """A fresh Chromium that keeps its console and every request it makes; skips where there is none."""
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
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield session
    finally:
        session.quit()


def reset(browser: Any) -> None:
    """A light page of 1280 x 800, scripts on, and empty logs."""
    run_scripts(browser, True)
    show_scheme(browser, "light")
    resize(browser, 1280, 800)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")


def run_scripts(browser: Any, may_run: bool) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not may_run})


def show_scheme(browser: Any, scheme: str) -> None:
    # Without motion, or a click comes before the page has scrolled to its target.
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def resize(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 720}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def wait_for_figures(browser: Any) -> int:
    """Wait until every figure of the page is drawn; how many there are."""
    from selenium.webdriver.support.ui import WebDriverWait

    n_figures = int(browser.execute_script("return document.querySelectorAll('figure').length"))
    drawn = "return document.querySelectorAll('.plot .main-svg .xaxislayer-above').length"
    WebDriverWait(browser, 30).until(lambda session: session.execute_script(drawn) >= n_figures)
    return n_figures


def asked_for(browser: Any) -> list[str]:
    """The addresses that the page asked for since the logs were emptied, itself first; none within itself."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("data:", "blob:"))]


def press(browser: Any, key: str) -> None:
    """One key, as a reader presses it."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(browser).send_keys(getattr(Keys, key)).perform()
