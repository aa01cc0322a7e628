"""Process entry of the load generator: `python -m locust -f locustfile.py --headless`, started by `load.driver`.

The environment variable LOADPLAN_JOB_FOLDER names the folder with the job; the result is written there.
"""

import os
import resource
import sys
from pathlib import Path

from loadplan.child_process import die_with_parent
from loadplan.load.generator.handoff import GeneratorJob, read_job, write_result
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.user import OpenLoopUser

die_with_parent()
_FOLDER = Path(os.environ["LOADPLAN_JOB_FOLDER"])
_JOB = read_job(_FOLDER)
if _JOB.core is not None:
    os.sched_setaffinity(0, {_JOB.core})
_MOST_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_FILES, _MOST_FILES))


class Generator(OpenLoopUser):
    """Drives the job in the folder."""

    tells_locust = "LOADPLAN_TELLS_LOCUST" in os.environ

    def job(self) -> GeneratorJob:
        """The job as the driver wrote it."""
        return _JOB

    def start_s(self) -> float:
        """At once; the driver is told, which shows the progress."""
        sys.stdout.write("began\n")
        sys.stdout.flush()
        return super().start_s()

    def finished(self, result: LoopResult) -> None:
        """Leave the records for the driver."""
        write_result(_FOLDER, result)

    def failed(self, reason: str) -> None:
        """End at once, web page and all: the driver waits for this process, and its log ends with the reason."""
        sys.stderr.write(f"{reason}\n")
        sys.stderr.flush()
        os._exit(1)
