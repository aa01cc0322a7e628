"""A service of a known structure, as JSON in its argument: it prints its port and serves until its input ends.

Each request waits without CPU for about `delay_s` (lognormal, s = `delay_sigma`), then works for `cpu_s` of CPU time.
In `threads` a pool of `n_slots` threads does both, as a plain `def` endpoint of FastAPI has it; in `loop` the event
loop waits for all at once and works on one at a time, as an `async def` endpoint that computes has it. `holds_gil`
works in pure Python, else in numpy, which lets other threads run; its own threads are to be one (OMP_NUM_THREADS). With
`by_rows` the body is a number k from 1 on, and the work is `cpu_s` times (0.1 + 0.9 k / 200). `n_workers` processes
share the port.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import time

import anyio.to_thread
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

LAW = {
    "handler": "threads",
    "delay_s": 0.02,
    "delay_sigma": 0.4,
    "cpu_s": 2.9e-3,
    "n_slots": 40,
    "n_workers": 1,
    "holds_gil": False,
    "by_rows": False,
} | json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
RNG = np.random.default_rng(os.getpid())
MATRIX = RNG.random((128, 128))
MEAN_ROWS, FIXED = 200.0, 0.1


def numpy_step() -> None:
    """Some tenth of a millisecond outside the lock."""
    np.matmul(MATRIX, MATRIX)


def python_step() -> None:
    """Some microseconds inside it."""
    sum(range(300))


STEP = python_step if LAW["holds_gil"] else numpy_step


def calibrated() -> float:
    """Steps in a second of CPU time: the best of some tries, for neighbours only slow it down."""
    best_s, n = float("inf"), 5_000 if LAW["holds_gil"] else 100
    for _ in range(9):
        began_s = time.thread_time()
        for _ in range(n):
            STEP()
        best_s = min(best_s, time.thread_time() - began_s)
    return n / best_s


STEPS_PER_S = calibrated()


def delay_s() -> float:
    """A wait without CPU."""
    return float(LAW["delay_s"] * np.exp(LAW["delay_sigma"] * RNG.standard_normal()))


def work(factor: float) -> None:
    """So many times the usual CPU time."""
    for _ in range(round(STEPS_PER_S * LAW["cpu_s"] * factor)):
        STEP()


def wait_and_work(factor: float) -> None:
    """What a thread of the pool does."""
    time.sleep(delay_s())
    work(factor)


async def answer(request: Request) -> Response:
    """The one endpoint."""
    body = await request.body()
    factor = FIXED + (1.0 - FIXED) * int(body) / MEAN_ROWS if LAW["by_rows"] else 1.0
    if LAW["handler"] == "loop":
        await asyncio.sleep(delay_s())
        work(factor)
    else:
        await anyio.to_thread.run_sync(wait_and_work, factor, limiter=LIMITER[0])
    return PlainTextResponse("ok")


LIMITER: list[anyio.CapacityLimiter] = []


async def serve(listener: socket.socket) -> None:
    """One process of the service."""
    LIMITER.append(anyio.CapacityLimiter(LAW["n_slots"]))
    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=600)
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    """Serve on a free port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    # Asyncio leaves it off on a socket that it is given, and an answer in two writes then waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    workers = []
    for _ in range(LAW["n_workers"] - 1):
        pid = os.fork()
        if pid == 0:
            asyncio.run(serve(listener))
            os._exit(0)
        workers.append(pid)

    def end_with_input() -> None:
        sys.stdin.read()
        for pid in workers:
            os.kill(pid, 9)
        os._exit(0)

    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=end_with_input, daemon=True).start()
    asyncio.run(serve(listener))


if __name__ == "__main__":
    main()
