"""Children die with their parent, also where loadplan is the first process of a container."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTS_A_CHILD = """\
import subprocess, sys
code = "from loadplan.child_process import die_with_parent; die_with_parent(); print('alive')"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
"""


def test_a_child_of_the_first_process_of_a_container_lives() -> None:
    new_namespace = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*new_namespace, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this system makes no process namespaces")
    done = subprocess.run(
        [*new_namespace, sys.executable, "-c", STARTS_A_CHILD], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "alive"
