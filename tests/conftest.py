"""What holds for every test: none is held to a time, and none reads what the developer has at home.

Machines are noisy (Hypothesis gives an example 200 ms). Price lists that somebody imported, and what fits left of this
machine's server, would change plans and fits: the folders for both are the session's own, of all its processes
together, so that a fit still begins where the last one ended. Compiled code is kept beside its source.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_HOME = "LOADPLAN_TESTS_HOME"  # the session's folder, as the workers of pytest-xdist inherit it
_IS_MINE = _HOME not in os.environ
if _IS_MINE:
    os.environ[_HOME] = tempfile.mkdtemp(prefix="loadplan-tests-")
os.environ["XDG_DATA_HOME"] = str(Path(os.environ[_HOME]) / "data")
os.environ["XDG_CACHE_HOME"] = str(Path(os.environ[_HOME]) / "cache")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The end of the session."""
    if _IS_MINE:
        shutil.rmtree(os.environ.pop(_HOME), ignore_errors=True)
