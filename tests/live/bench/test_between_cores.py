"""The ball between real cores."""

import os

import psutil
import pytest

from loadplan.bench.between_cores import BetweenCores


def test_a_ball_to_another_core_takes_longer_than_one_turn_alone() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("there is one core only")
    with BetweenCores(cores) as between_cores:
        told = [between_cores.apart_ratio() for _ in range(3)]
        assert sorted(os.sched_getaffinity(0)) == cores  # whoever asked is not left pinned
    # A neighbour may have held every ball of one game.
    assert max(ratio for ratio in told if ratio is not None) > 1.0


def test_on_one_core_there_is_nobody_to_play_with() -> None:
    with BetweenCores([0]) as between_cores:
        assert between_cores.apart_ratio() is None


def test_another_player_who_is_gone_is_no_answer_and_no_fault() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("there is one core only")
    with BetweenCores(cores) as between_cores:
        (player,) = (
            child for child in psutil.Process().children() if "loadplan.bench.between_cores" in child.cmdline()
        )
        player.kill()
        player.wait()
        assert between_cores.apart_ratio() is None
    assert sorted(os.sched_getaffinity(0)) == cores
