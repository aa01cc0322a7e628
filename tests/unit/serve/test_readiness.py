"""Readiness follows a real inference, at most every half second."""

from loadplan.inference import Tensors
from loadplan.serve.readiness import Readiness


class _Model:
    def __init__(self) -> None:
        self.fails = False
        self.n_inferences = 0

    def infer(self, inputs: Tensors) -> Tensors:
        self.n_inferences += 1
        if self.fails:
            raise RuntimeError("device lost")
        return inputs


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_model_that_stops_answering_is_not_ready_within_half_a_second() -> None:
    model, clock = _Model(), _Clock()
    readiness = Readiness(model.infer, {}, clock=clock)
    assert readiness.is_ready()
    model.fails = True
    clock.now_s += 0.5
    assert not readiness.is_ready()
    model.fails = False
    clock.now_s += 0.5
    assert readiness.is_ready()


def test_frequent_probes_share_one_inference() -> None:
    model, clock = _Model(), _Clock()
    readiness = Readiness(model.infer, {}, clock=clock)
    for _ in range(49):
        assert readiness.is_ready()
        clock.now_s += 0.01
    assert model.n_inferences == 1


def test_a_server_that_is_stopping_is_not_ready() -> None:
    readiness = Readiness(_Model().infer, {})
    assert readiness.is_ready()
    readiness.is_stopping = True
    assert not readiness.is_ready()


def test_an_inference_that_runs_far_longer_than_any_did_is_not_ready_and_no_more_are_tried() -> None:
    model, clock = _Model(), _Clock()
    since_s: list[float | None] = [None]
    readiness = Readiness(model.infer, {}, full_batch_s=0.3, running_since_s=lambda: since_s[0], clock=clock)
    since_s[0] = clock.now_s
    clock.now_s += 2.9  # ten full batches would be 3 s
    assert readiness.is_ready()
    clock.now_s += 0.2
    assert not readiness.is_ready()
    assert model.n_inferences == 1
    since_s[0] = None
    assert readiness.is_ready()
