"""A timer exact to some 50 microseconds, for batch windows.

The event loop's own timers count whole milliseconds, too coarse for a window of two. Linux gives a timer as a file
descriptor, which the loop polls like a socket. Python has it as `os.timerfd_create` from 3.13; before, the C library is
called. Times are seconds on the monotonic clock.
"""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable

# From <time.h>, <sys/timerfd.h> and <bits/timerfd.h>.
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC

_NS_PER_S = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class WindowTimer:
    """Calls `on_due` in the event loop at the moment last asked for. Lives as long as the process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_due: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "no timer can be had from the kernel")
        self._spec = _TimerSpec()
        self._due_s = 0.0
        self._on_due = on_due
        loop.add_reader(self._descriptor, self._expired)

    def wake_at(self, due_s: float) -> None:
        """Replace the moment to wake at."""
        if due_s == self._due_s:
            return
        self._due_s = due_s
        seconds, nanoseconds = divmod(int(due_s * _NS_PER_S) + 1, _NS_PER_S)
        self._spec.value.seconds, self._spec.value.nanoseconds = seconds, nanoseconds
        self._libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(self._spec), None)

    def _expired(self) -> None:
        self._due_s = 0.0  # asked for again, should the clock read a nanosecond too little
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)  # the kernel reports it as readable until it is read
        self._on_due()
