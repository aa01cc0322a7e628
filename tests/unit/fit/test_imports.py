"""The fit is arithmetic on records: whoever plans with it needs neither a runtime nor a load engine."""

import subprocess
import sys


def test_fitting_imports_no_vendor_of_measurement_or_show() -> None:
    code = (
        "import sys, loadplan.fit.capacity, loadplan.fit.fleet_capacity, loadplan.fit.calibration,"
        "loadplan.fit.overhead, loadplan.fit.run_prediction,"
        "loadplan.fit.black_box.calibration, loadplan.fit.black_box.fit, loadplan.fit.black_box.doubt,"
        "loadplan.fit.carried, loadplan.fit.records, loadplan.fit.service_time, loadplan.fit.simulate;"
        "found = {'onnxruntime', 'locust', 'gevent', 'plotly', 'typer', 'rich', 'pandas', 'duckdb'} & set(sys.modules);"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
