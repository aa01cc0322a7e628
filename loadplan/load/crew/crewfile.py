"""Process entry of a master or a worker: `python -m locust -f crewfile.py --master …` or `--worker …`.

The environment variable LOADPLAN_JOB_FOLDER names the folder of the process, LOADPLAN_CORES the cores that the workers
have to themselves: a worker stays on its one, the master off all of them.
"""

import os
import resource
import signal
import sys
from pathlib import Path

from loadplan.child_process import die_with_parent
from loadplan.load.crew.coordinator import Coordinator, read_crew_order, write_crew_record
from loadplan.load.crew.member import Member
from loadplan.load.generator.channel import Channel
from loadplan.load.generator.handoff import GeneratorJob
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.user import OpenLoopUser, on_connection

die_with_parent()
_FOLDER = Path(os.environ["LOADPLAN_JOB_FOLDER"])
_CORES = {int(core) for core in os.environ["LOADPLAN_CORES"].split(",") if core}
_members: list[Member] = []


def _lead(channel: Channel) -> None:
    others = os.sched_getaffinity(0) - _CORES
    if others:
        os.sched_setaffinity(0, others)
    coordinator = Coordinator(channel, _FOLDER, read_crew_order(_FOLDER), began=_say_began)
    signal.signal(signal.SIGUSR1, lambda *_: coordinator.stop())
    write_crew_record(_FOLDER, coordinator.run())


def _join(channel: Channel) -> None:
    if _CORES:
        os.sched_setaffinity(0, _CORES)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _members.append(Member(channel, folder=_FOLDER, core=min(_CORES, default=None), stop=Generator.stop_sending))


def _say_began() -> None:
    sys.stdout.write("began\n")
    sys.stdout.flush()


on_connection(lead=_lead, join=_join)


class Generator(OpenLoopUser):
    """Drives a worker's share."""

    tells_locust = "LOADPLAN_TELLS_LOCUST" in os.environ

    def job(self) -> GeneratorJob:
        """The share, once the master has sent it."""
        return _members[0].job()

    def start_s(self) -> float:
        """When all begin together."""
        return _members[0].start_s()

    def finished(self, result: LoopResult) -> None:
        """Hand the records to the master."""
        _members[0].deliver(result)

    def failed(self, reason: str) -> None:
        """Tell the master, which need not wait any longer."""
        _members[0].fail(reason)

    def ended(self) -> None:
        """The master ends the run for all. Until then nothing is driven again, should Locust spawn a user anew."""
