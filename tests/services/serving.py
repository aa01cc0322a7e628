"""What the sample services share: work of a known length, and how a program serves until its standard input ends."""

import argparse
import math
import os
import random
import socket
import sys
import threading
import time

import uvicorn
from fastapi import FastAPI


def work(cpu_s: float) -> None:
    """Keep a core busy for so much time of this thread's own, however often it is interrupted."""
    end_s = time.thread_time() + cpu_s
    while time.thread_time() < end_s:
        pass


def lognormal(median: float, spread: float, draw: random.Random) -> float:
    """One draw; `spread` is the standard deviation of its logarithm."""
    return median * math.exp(spread * draw.gauss(0.0, 1.0))


def main(app: FastAPI, *, n_workers: int = 1) -> None:
    """Serve on a free port of loopback, which is printed, beside the load generator's core, the last.

    The port can be given, so that a service that failed can be started again at its address.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    port = options.parse_args().port
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:-1] or cores)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio leaves it off on a socket that it is given
    workers = [pid for _ in range(n_workers - 1) if (pid := os.fork())]
    if len(workers) == n_workers - 1:  # in the parent
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        threading.Thread(target=_until_input_ends, daemon=True).start()
    else:
        threading.Thread(target=_while_child_of, args=(os.getppid(),), daemon=True).start()
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def _until_input_ends() -> None:
    sys.stdin.read()
    os._exit(0)


def _while_child_of(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)
