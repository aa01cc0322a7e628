"""How soon a page shows its answer and its figures: `python -m tests.performance.page [report.html]`.

Opens the page from a file in a headless Chromium, again and again with an empty cache, and prints milliseconds: to the
first words on the screen, and until every figure is drawn and nothing is left to do. Wanted: 1 s. By default the page
of the run in `results/example-digits`.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from tests.live.report.browser import reset, started, wait_for_figures

_EXAMPLE = Path(__file__).parents[2] / "results" / "example-digits" / "report.html"
_N_TIMES = 9
_TIMES = (
    "const paint = performance.getEntriesByName('first-contentful-paint')[0];"
    "const whole = performance.getEntriesByType('navigation')[0];"
    "return [paint ? paint.startTime : NaN, whole.loadEventEnd]"
)


def main() -> None:
    """Open it so often, and print the median and the slowest."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else _EXAMPLE
    found = []
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as browser:
        for _ in range(_N_TIMES):
            reset(browser)
            browser.get(page.absolute().as_uri())
            n_figures = wait_for_figures(browser)
            found.append(browser.execute_script(_TIMES))
    sys.stdout.write(f"{page}: {page.stat().st_size / 1e6:.2f} MB, {n_figures} figures, opened {_N_TIMES} times\n")
    for name, times_ms in zip(("first words", "all drawn"), zip(*found, strict=True), strict=True):
        sys.stdout.write(f"{name:<12} {statistics.median(times_ms):6.0f} ms, slowest {max(times_ms):6.0f} ms\n")


if __name__ == "__main__":
    main()
