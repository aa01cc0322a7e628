"""Vendors are imported when asked for: a command that draws nothing shouldn't wait for plotly."""

import subprocess
import sys


def test_reading_and_pricing_a_plan_takes_no_plotly() -> None:
    script = (
        "import sys, loadplan.report.html, loadplan.report.budget.workbook; "
        "print([name for name in sys.modules if name.split('.')[0] in {'plotly', 'pandas', 'xlsxwriter'}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
