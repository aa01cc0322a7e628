"""Locust patches the process that imports it, so only the generator's process may."""

import subprocess
import sys


def test_driving_a_load_does_not_import_locust_here() -> None:
    code = (
        "import sys, loadplan.load.driver, loadplan.load.target.server_process;"
        "import loadplan.load.verdict, loadplan.load.table;"
        "assert not {'locust', 'gevent', 'pandas', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
