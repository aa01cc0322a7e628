"""With inference in a thread the loop goes on: it accepts, refuses and says how it is, and a hang is seen."""

import json
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.live.serve.conftest import StartServer


def test_a_full_queue_refuses_while_an_inference_runs(start_server: "StartServer") -> None:
    server = start_server("--inference", "thread", "--max-batch-size", "1", "--max-queue-rows", "1")
    assert server.said["inference"] == "thread"
    clients = server.send_while_busy([server.row(1)], [server.row(2)])
    # Inline, this would have to wait for the inference; and no place in the queue would be known to be taken.
    assert clients[2].recv(65536).startswith(b"HTTP/1.1 503")
    assert server.metrics()['loadplan_requests_total{outcome="ok"}'] == 0
    for client, identity in zip(clients[:2], (0.0, 1.0), strict=True):
        assert json.loads(client.recv(65536).split(b"\r\n\r\n")[1])["outputs"][0]["data"][0] == identity


def test_what_comes_during_an_inference_shares_the_next_and_a_bad_one_fails_alone(start_server: "StartServer") -> None:
    server = start_server("--inference", "thread", "--max-batch-size", "8")
    clients = server.send_while_busy(*([server.row(index, fails=index == 3)] for index in range(8)))
    answers = [client.recv(65536) for client in clients]
    assert [int(answer[9:12]) for answer in answers] == [200] * 4 + [500] + [200] * 4
    for index in (0, 1, 2, 4, 5, 6, 7):
        assert json.loads(answers[index + 1].split(b"\r\n\r\n")[1])["outputs"][0]["data"][0] == index
    assert server.batches() == {"1.0": 8}  # the long one, and seven of the eight that failed together


def test_while_an_inference_hangs_the_server_says_that_it_is_not_ready(start_server: "StartServer") -> None:
    server = start_server("--inference", "thread")
    assert server.get("/v2/health/ready")[0] == 200
    server.send_at_once([server.row(trips=1_000_000_000)])
    time.sleep(1.2)
    assert server.get("/v2/health/ready") == (503, {"ready": False})
    assert server.get("/v2/health/live")[0] == 200
    server.process.kill()


def test_auto_takes_the_loop_for_a_short_inference(start_server: "StartServer") -> None:
    server = start_server("--inference", "auto", "--max-batch-size", "4")
    assert server.said["inference"] == "inline"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0
