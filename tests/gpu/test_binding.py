"""Bound to the device: the answers of the CPU, at any size and from several threads, and copies that are told."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.bench.timing import time_copies
from loadplan.execution import ExecutionConfig
from loadplan.export.variants import make_variant
from loadplan.inference import Session, Tensors, open_session, run

from .conftest import normal, words


def as_numbers(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def assert_alike(bound: Session, plain: Session, feeds: Sequence[Tensors], *, tolerance: float) -> None:
    assert bound.binding is not None
    for feed in feeds:
        expected, answers = run(plain, feed), run(bound, feed)
        for name, values in expected.items():
            np.testing.assert_allclose(as_numbers(answers[name]), as_numbers(values), rtol=tolerance, atol=tolerance)


def test_answers_are_the_cpus_for_changing_numbers_of_rows(
    small: Path, resnet: Path, on_gpu: ExecutionConfig, on_cpu: ExecutionConfig
) -> None:
    feeds: list[Tensors] = [{"x": normal(n, 64)} for n in (1, 7, 512, 2, 2, 64)]
    assert_alike(open_session(small, on_gpu), open_session(small, on_cpu), feeds, tolerance=1e-4)
    images: list[Tensors] = [{"x": normal(n, 3, 224, 224)} for n in (1, 4, 2)]
    assert_alike(open_session(resnet, on_gpu), open_session(resnet, on_cpu), images, tolerance=1e-3)


def test_answers_are_the_cpus_for_changing_lengths(
    encoder: Path, on_gpu: ExecutionConfig, on_cpu: ExecutionConfig
) -> None:
    feeds = [words(n, length) for n, length in ((1, 5), (8, 128), (3, 17), (1, 1))]
    assert_alike(open_session(encoder, on_gpu), open_session(encoder, on_cpu), feeds, tolerance=1e-3)


def test_half_precision_answers_are_near_the_cpus(
    small: Path, tmp_path: Path, on_gpu: ExecutionConfig, on_cpu: ExecutionConfig
) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(make_variant("fp16", small.read_bytes(), calibration=()))
    bound = open_session(half, replace(on_gpu, variant="fp16"))
    assert_alike(bound, open_session(small, on_cpu), [{"x": normal(8, 64)}], tolerance=0.05)


def test_a_plain_call_on_the_gpu_answers_the_same(small: Path, on_gpu: ExecutionConfig) -> None:
    bound = open_session(small, on_gpu)
    feed: Tensors = {"x": normal(9, 64)}
    np.testing.assert_array_equal(run(bound, feed)["y"], run(replace(bound, binding=None), feed)["y"])


@pytest.mark.parametrize("n_sessions", [2, 4])
def test_sessions_side_by_side_each_answer_their_own(
    small: Path, on_gpu: ExecutionConfig, on_cpu: ExecutionConfig, n_sessions: int
) -> None:
    sessions = [open_session(small, on_gpu) for _ in range(n_sessions)]
    plain = open_session(small, on_cpu)
    feeds: list[Tensors] = [{"x": normal(1 + i, 64) + np.float32(i)} for i in range(n_sessions)]
    expected = [run(plain, feed)["y"] for feed in feeds]

    def work(i: int) -> bool:
        answers = (run(sessions[i], feeds[i])["y"] for _ in range(200))
        return all(np.allclose(as_numbers(answer), as_numbers(expected[i]), rtol=1e-4, atol=1e-4) for answer in answers)

    with ThreadPoolExecutor(n_sessions) as pool:
        assert all(pool.map(work, range(n_sessions)))


def test_copies_take_time_and_more_for_more(resnet: Path, on_gpu: ExecutionConfig) -> None:
    session = open_session(resnet, on_gpu)
    one: list[Tensors] = [{"x": normal(1, 3, 224, 224)}] * 5
    many: list[Tensors] = [{"x": normal(64, 3, 224, 224)}] * 5
    time_copies(session, [*one, *many])  # warm
    few_s, more_s = time_copies(session, one), time_copies(session, many)
    assert few_s is not None
    assert more_s is not None
    assert min(*few_s, *more_s) > 0.0
    assert more_s[0] > 4.0 * few_s[0]  # 64 times the bytes in
