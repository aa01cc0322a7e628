"""The one module that imports Locust: a `User` whose whole life is one run of loadplan's open loop.

Locust owns the process, start and stop, events and the UI. It is asked for no figure: its statistics keep two digits.
Importing it patches `time.sleep`, sockets and epoll for the whole process, so this module belongs in a process of its
own, and the loop is given the unpatched ones: a greenlet per request gave 3,000 requests a second at a send delay of
37 ms (p99), one loop over plain sockets 12,000 at 13 µs.
"""

import logging
import signal
import time
from collections.abc import Callable

import gevent
from gevent.monkey import get_original
from locust import User, events, task
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.exception import StopUser
from locust.rpc import Message
from locust.runners import STATE_MISSING, DistributedRunner, MasterRunner, WorkerNode

from loadplan.load.connections.connection import Network
from loadplan.load.generator.channel import Channel, Data, Listener
from loadplan.load.generator.closed_loop import ClosedLoop
from loadplan.load.generator.handoff import GeneratorJob
from loadplan.load.generator.locust_events import LocustEvents
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.open_loop import HEAD_START_S, OpenLoop
from loadplan.load.messages.answers import AnswerBook
from loadplan.load.messages.judges import judge_of

_log = logging.getLogger(__name__)


class OpenLoopUser(User):
    """Runs one job and then ends the test. One per process: a second would share the first one's core.

    Subclasses give the job, and take the result.
    """

    abstract = True
    fixed_count = 1
    tells_locust = False  # fires Locust's `request` events; loadplan needs none of them
    _is_driving = False
    _loop: OpenLoop | None = None

    @classmethod
    def stop_sending(cls) -> None:
        """Send nothing more, and wait for nobody: what has ended by now is the result. May come from a signal."""
        if OpenLoopUser._loop is not None:
            OpenLoopUser._loop.stop()

    def job(self) -> GeneratorJob:
        """The run to be driven."""
        raise NotImplementedError

    def start_s(self) -> float:
        """Everything is ready: when the schedule starts, on CLOCK_MONOTONIC."""
        return time.monotonic() + HEAD_START_S

    def finished(self, result: LoopResult) -> None:
        """Take the records of the run."""
        raise NotImplementedError

    def failed(self, reason: str) -> None:
        """Take the reason why there are no records."""

    def ended(self) -> None:
        """End the test, and Locust with it where no page shows its figures any longer.

        Both wait for this very greenlet, so somebody else has to do it.
        """
        OpenLoopUser._is_driving = False
        runner = self.environment.runner
        gevent.spawn(runner.quit if self.environment.web_ui is None else runner.stop)

    @task
    def drive(self) -> None:
        """Run the job from its first due time to its last answer."""
        if OpenLoopUser._is_driving:
            raise StopUser
        OpenLoopUser._is_driving = True
        try:
            self._drive()
        except gevent.GreenletExit:
            self.failed("the test was stopped")
            raise
        except Exception as error:
            # Locust would log this and start the task again, for ever.
            _log.exception("the load generator failed")
            self.environment.process_exit_code = 1
            self.failed(f"{type(error).__name__}: {error}")
        finally:
            self.ended()
        raise StopUser

    def _drive(self) -> None:
        job = self.job()
        events = LocustEvents(job.order, self.environment.events.request.fire) if self.tells_locust else None

        def pause() -> None:
            if events is not None:
                events.tell_some(loop)
            gevent.sleep(0)

        loop = (OpenLoop if job.order.again is None else ClosedLoop)(
            job.order,
            Network(open_socket=get_original("socket", "socket"), open_epoll=get_original("select", "epoll")),
            answers=None if job.expected is None else AnswerBook(judge_of(job.expected)),
            yield_to_others=pause,
        )
        OpenLoopUser._loop = loop
        signal.signal(signal.SIGUSR1, lambda *_: self.stop_sending())
        result = loop.run(self.start_s)
        if events is not None:
            events.tell_rest(loop, pause=lambda: gevent.sleep(0))
        self.finished(result)


def on_connection(*, lead: Callable[[Channel], None], join: Callable[[Channel], None]) -> None:
    """When Locust has opened its connection, have the master `lead` beside all else, or the worker `join`.

    When `lead` returns, the master tells all workers to quit, and ends.
    """

    def begin(environment: Environment, runner: DistributedRunner, **_: object) -> None:
        channel = _LocustChannel(runner)
        if not isinstance(runner, MasterRunner):
            join(channel)
            return
        environment.dispatcher_class = _OneEach
        leader = gevent.spawn(lead, channel)
        leader.link(lambda _leader: gevent.spawn(runner.quit))

    events.init.add_listener(begin)  # type: ignore[no-untyped-call]


class _LocustChannel:
    """Messages of one's own over Locust's connection of master and workers."""

    def __init__(self, runner: DistributedRunner) -> None:
        self._runner = runner

    def send(self, kind: str, data: Data, *, to: str | None = None) -> None:
        self._runner.send_message(kind, data, client_id=to)

    def listen(self, kind: str, listener: Listener) -> None:
        def hear(msg: Message, **_: object) -> None:
            listener(msg.node_id, msg.data)

        self._runner.register_message(kind, hear)

    def is_missing(self, worker: str) -> bool:
        node = self._runner.clients.get(worker) if isinstance(self._runner, MasterRunner) else None
        return node is None or node.state == STATE_MISSING


class _OneEach(UsersDispatcher):
    """In place of Locust's dispatcher: one user on each worker, and never another for a worker that is lost."""

    def __init__(self, worker_nodes: list[WorkerNode], user_classes: list[type[User]]) -> None:
        self._users = {node.id: {kind.__name__: 1 for kind in user_classes} for node in worker_nodes}
        self._is_due = False

    @property
    def dispatch_in_progress(self) -> bool:
        return self._is_due

    def new_dispatch(self, *_: object, **__: object) -> None:
        self._is_due = True

    def __next__(self) -> dict[str, dict[str, int]]:
        if not self._is_due:
            raise StopIteration
        self._is_due = False
        return self._users

    def add_worker(self, worker_node: WorkerNode) -> None:
        """It came too late, or comes back: it has what it has."""

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """Its requests are nobody else's."""
