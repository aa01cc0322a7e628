"""The one module that imports Locust: a `User` whose whole life is one run of loadplan's open loop.

Locust owns the process, start and stop, events and the UI. It is asked for no figure: its statistics keep two digits.
Importing it patches `time.sleep`, sockets and epoll for the whole process, so this module belongs in a process of its
own, and the loop is given the unpatched ones: a greenlet per request gave 3,000 requests a second at a send delay of
37 ms (p99), one loop over plain sockets 12,000 at 13 µs.
"""

import logging

import gevent
from gevent.monkey import get_original
from locust import User, task
from locust.exception import StopUser

from loadplan.load.answers import AnswerBook
from loadplan.load.connection import Network
from loadplan.load.handoff import GeneratorJob
from loadplan.load.judges import judge_of
from loadplan.load.open_loop import LoopResult, OpenLoop

_log = logging.getLogger(__name__)


class OpenLoopUser(User):
    """Runs one job and then ends the test. One per process: a second would share the first one's core.

    Subclasses give the job, and take the result.
    """

    abstract = True
    fixed_count = 1

    def job(self) -> GeneratorJob:
        """The run to be driven."""
        raise NotImplementedError

    def began(self) -> None:
        """Everything is ready, the first request is about to fall due."""

    def finished(self, result: LoopResult) -> None:
        """Take the records of the run."""
        raise NotImplementedError

    @task
    def drive(self) -> None:
        """Run the job from its first due time to its last answer."""
        try:
            self._drive()
        except Exception:
            # Locust would log this and start the task again, for ever.
            _log.exception("the load generator failed")
            self.environment.process_exit_code = 1
        finally:
            # Quitting waits for this very greenlet, so somebody else has to do it.
            gevent.spawn(self.environment.runner.quit)
        raise StopUser

    def _drive(self) -> None:
        job = self.job()
        loop = OpenLoop(
            job.order,
            Network(open_socket=get_original("socket", "socket"), open_epoll=get_original("select", "epoll")),
            answers=None if job.expected is None else AnswerBook(judge_of(job.expected)),
            yield_to_others=lambda: gevent.sleep(0),
        )
        self.began()
        self.finished(loop.run())
