"""Who gets which answer, and the rule of one turn as seen from outside."""

import asyncio
import json
import random
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.live.serve.conftest import Server, StartServer

_N_CALLERS = 32
_N_REQUESTS_EACH = 320  # some ten thousand in all


class _Caller:
    """Asks for one to four rows at a time, checks that each answer is its own, and now and then leaves early."""

    def __init__(self, server: "Server", number: int) -> None:
        self.server = server
        self.number = number
        self.random = random.Random(number)
        self.n_answers = 0
        self.n_left = 0

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        for turn in range(_N_REQUESTS_EACH):
            first = (self.number * _N_REQUESTS_EACH + turn) * 4
            rows = [self.server.row(first + index) for index in range(self.random.randint(1, 4))]
            writer.write(self.server.message(rows))
            if self.random.random() < 0.05:
                self.n_left += 1
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
                continue
            head = await reader.readuntil(b"\r\n\r\n")
            n_bytes = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(n_bytes))
            assert answer["outputs"][0]["data"] == [value for row in rows for value in row]
            self.n_answers += 1
        writer.close()


def test_every_answer_reaches_its_caller_at_every_batch_position(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8")
    callers = [_Caller(server, number) for number in range(_N_CALLERS)]

    async def all_callers() -> None:
        await asyncio.gather(*(caller.run() for caller in callers))

    asyncio.run(all_callers())
    n_left = sum(caller.n_left for caller in callers)
    assert sum(caller.n_answers for caller in callers) == _N_CALLERS * _N_REQUESTS_EACH - n_left
    assert n_left > 100
    assert server.batches()["8.0"] > 100  # the test would prove nothing without full batches
    assert server.metrics()["loadplan_queue_rows"] == 0.0
    server.wait_for("loadplan_requests_in_flight", 0.0)


def test_requests_that_arrive_during_an_inference_share_the_next_batch(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8")
    clients = server.send_while_busy(*([server.row(index)] for index in range(8)))
    assert _statuses(clients) == [200] * 9
    assert server.batches() == {"1.0": 1, "8.0": 1}


def test_callers_that_connect_anew_wait_for_few_inferences(start_server: "StartServer") -> None:
    """A stall makes every caller connect anew. Let in one per turn, the last of 64 would wait for 64 inferences."""
    server = start_server("--max-batch-size", "32")
    server.send_at_once([server.row(trips=20_000)])
    time.sleep(0.1)  # it is being computed, and the kernel keeps the newcomers
    newcomers = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(64)]
    server.clients += newcomers
    for client in newcomers:
        client.sendall(server.message([server.row()]))
    assert _statuses(newcomers) == [200] * 64
    assert sum(server.batches().values()) <= 12


def test_a_request_that_would_overfill_the_batch_waits_for_the_next(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8")
    clients = server.send_while_busy(*([server.row()] * 5 for _ in range(3)))
    assert _statuses(clients) == [200] * 4
    assert server.batches() == {"1.0": 1, "8.0": 3}  # of 5 rows each: two would be 10
    assert server.metrics()["loadplan_batch_rows_sum"] == 16


def test_the_sockets_are_polled_again_before_the_next_batch(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "2")
    late = server.connect()
    # While the first runs three arrive; two of them make the next batch. While that runs, a last one arrives: were the
    # sockets not polled before the third batch, it would have to wait for a fourth.
    clients = server.send_while_busy(*([server.row(trips=20_000)] for _ in range(3)))
    assert _statuses(clients[:1]) == [200]
    late.sendall(server.message([server.row()]))
    assert _statuses([*clients[1:], late]) == [200] * 4
    assert server.batches() == {"1.0": 1, "2.0": 2}


def test_a_request_larger_than_a_batch_runs_alone_in_one_inference(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "4")
    rows = [server.row(index) for index in range(11)]
    status, answer = server.infer(server.document(rows))
    assert (status, answer["outputs"][0]["data"][::4]) == (200, list(range(11)))
    assert server.batches() == {"+Inf": 1}
    assert server.metrics()["loadplan_batch_rows_sum"] == 11


def test_a_window_ends_when_the_batch_is_full(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "4", "--batch-window-ms", "60000")
    assert _statuses(server.send_at_once(*([server.row(index)] for index in range(4)))) == [200] * 4
    assert server.batches() == {"4.0": 1}


def test_a_window_ends_when_the_oldest_request_is_that_old(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "4", "--batch-window-ms", "400")
    for _ in range(2):
        started_s = time.monotonic()
        assert _statuses(server.send_at_once([server.row(1)], [server.row(2)])) == [200] * 2
        assert time.monotonic() - started_s >= 0.4
    assert server.batches() == {"2.0": 2}


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "1", "--max-queue-rows", "2")
    clients = server.send_while_busy(*([server.row()] for _ in range(8)))
    heads = [client.recv(65536).lower() for client in clients]
    refused = [head for head in heads if int(head[9:12]) == 503]
    assert len(refused) == 6  # of nine: one ran, two waited
    assert all(b"retry-after: 1\r\n" in head and b'{"error":' in head for head in refused)
    assert server.metrics()['loadplan_requests_total{outcome="rejected"}'] == 6
    assert server.get("/v2/health/ready")[0] == 200


def test_a_request_of_more_rows_than_the_queue_holds_is_served_when_nobody_waits(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "2", "--max-queue-rows", "2", "--batch-window-ms", "60000")
    five_rows = server.document([server.row(index) for index in range(5)])
    assert server.infer(five_rows)[0] == 200
    waiting = server.send_at_once([server.row()])
    server.wait_for("loadplan_queue_rows", 1.0)
    assert server.infer(five_rows)[0] == 503
    waiting += server.send_at_once([server.row()])
    assert _statuses(waiting) == [200] * 2


def test_a_request_that_fails_in_the_model_fails_alone(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8", "--batch-window-ms", "60000")
    clients = server.send_at_once(*([server.row(index, fails=index == 3)] for index in range(8)))
    answers = [client.recv(65536) for client in clients]
    assert [int(answer[9:12]) for answer in answers] == [200, 200, 200, 500, 200, 200, 200, 200]
    for index in (0, 1, 2, 4, 5, 6, 7):
        document = json.loads(answers[index].split(b"\r\n\r\n")[1])
        assert document["outputs"][0]["data"][0] == index
    assert b"indices element out of data bounds" in answers[3]
    assert server.get("/v2/health/ready")[0] == 200


def test_requests_of_clients_that_left_are_dropped_before_they_are_computed(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "1")
    busy, *others = server.send_while_busy(*([server.row(index)] for index in range(6)))
    for client in others:
        client.close()
    assert _statuses([busy]) == [200]
    # The first of the six is computed: its bytes and the end of its connection can't be read in one poll.
    server.wait_for('loadplan_requests_total{outcome="disconnected"}', 5.0)
    assert server.batches() == {"1.0": 2}


def test_a_request_whose_timeout_passes_in_the_queue_gets_504_in_time_and_is_never_computed(
    start_server: "StartServer",
) -> None:
    server = start_server("--max-batch-size", "8", "--batch-window-ms", "60000", "--max-queue-rows", "1")
    status, answer = server.infer(server.document([server.row()], parameters={"timeout": 30_000}))
    assert (status, list(answer)) == (504, ["error"])
    assert server.metrics()["loadplan_queue_rows"] == 0.0  # its place is free again
    assert server.infer(server.document([server.row()], parameters={"timeout": 30_000}))[0] == 504
    assert server.metrics()['loadplan_requests_total{outcome="expired"}'] == 2
    assert server.batches() == {}


def test_timeouts_that_pass_while_others_are_computed_cost_no_inference(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "1")
    late = server.connect()
    busy, in_time = server.send_while_busy([server.row(7)])
    late.sendall(server.message([server.row()], parameters={"timeout": 1}))
    assert _statuses([busy, in_time, late]) == [200, 200, 504]
    assert server.batches() == {"1.0": 2}
    server.wait_for("loadplan_requests_in_flight", 0.0)


def test_a_request_that_is_computed_in_time_is_answered(start_server: "StartServer") -> None:
    server = start_server()
    for timeout in (0, 30_000_000):
        assert server.infer(server.document([server.row()], parameters={"timeout": timeout}))[0] == 200


def test_pipelined_requests_are_answered_in_order(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8")
    client = server.connect()
    client.sendall(b"".join(server.message([server.row(index)]) for index in (1, 2, 3)))
    received = b""
    while received.count(b'"twice"') < 3:
        received += client.recv(65536)
    first_values = [part.split(b'"data":[')[1].split(b",")[0] for part in received.split(b'"name":"y"')[1:]]
    assert first_values == [b"1.0", b"2.0", b"3.0"]


def _statuses(clients: list[socket.socket]) -> list[int]:
    return [int(client.recv(65536)[9:12]) for client in clients]
