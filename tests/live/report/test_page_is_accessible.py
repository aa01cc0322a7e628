"""The page for readers who see, hear or steer it differently, held against axe-core's rules of WCAG 2.2, A and AA.

Axe lies beside the tests as others made it (`axe/`, under its own licence), packed; `npm pack axe-core` brings another.
"""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.report.browser import resize, show_scheme, wait_for_figures

pytestmark = pytest.mark.browser

_AXE = Path(__file__).parent / "axe"
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_RUN = (
    "const [rules, done] = arguments;"
    "axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']}).then("
    "found => done(found.violations.map(one => [one.id, one.help, one.nodes.slice(0, 3).map("
    "node => [node.html.slice(0, 200), node.failureSummary])])), error => done([['failed', String(error), []]]));"
)


@pytest.fixture(scope="module")
def axe() -> str:
    script = gzip.decompress((_AXE / "axe.min.js.gz").read_bytes())
    assert hashlib.sha256(script).hexdigest() == json.loads((_AXE / "axe.json").read_text())["sha256"]
    return script.decode()


# Of a whole run the rules are looked up for thousands of cells: seconds each.
_ALL = [
    pytest.param(page, width, scheme, marks=[] if page == "stopped" else [pytest.mark.nightly])
    for page in ("whole", "invalid", "stopped", "budget")
    for width in (390, 1440)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize(("page", "width", "scheme"), _ALL)
def test_no_rule_is_broken_with_every_fold_open(
    browser: Any, addresses: dict[str, str], axe: str, page: str, width: int, scheme: str
) -> None:
    show_scheme(browser, scheme)
    resize(browser, width, 900)
    browser.get(addresses[page])
    wait_for_figures(browser)
    browser.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true;")
    browser.execute_script(axe)
    browser.set_script_timeout(100)
    assert browser.execute_async_script(_RUN, list(_RULES)) == []
