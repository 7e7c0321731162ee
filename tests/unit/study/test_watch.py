"""A run is lost only when it is silent, idle, and has nothing on the cluster."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from msimaging.study.watch import Watchdog

DEADLINE = 0.6


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def lost(
    process: subprocess.Popen[bytes],
    has_jobs: Callable[[], bool | None],
    *,
    says: float = 0,
    pid: int = 0,
) -> bool:
    """Watch for three deadlines; the process says something for the first `says` of them."""
    beats: list[float] = []
    watchdog = Watchdog(
        pid or process.pid,
        deadline=DEADLINE,
        has_jobs=has_jobs,
        end=process.kill,
        beat=lambda: beats.append(time.monotonic()),
    )
    with watchdog:
        started = time.monotonic()
        while time.monotonic() - started < 3 * DEADLINE:
            if time.monotonic() - started < says * DEADLINE:
                watchdog.heard()
            time.sleep(0.05)
    assert len(beats) > 1
    assert (process.poll() is not None) == watchdog.lost
    return watchdog.lost


def test_a_silent_run_without_jobs_is_ended(process: subprocess.Popen[bytes]) -> None:
    assert lost(process, lambda: False, says=0.1)


def test_a_run_that_has_not_begun_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    assert not lost(process, lambda: False)


def test_a_run_that_talks_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    assert not lost(process, lambda: False, says=3)


def test_jobs_on_the_cluster_are_waited_for(process: subprocess.Popen[bytes]) -> None:
    assert not lost(process, lambda: True, says=0.1)


def test_a_cluster_that_does_not_answer_proves_nothing(process: subprocess.Popen[bytes]) -> None:
    assert not lost(process, lambda: None, says=0.1)


def test_a_run_with_a_job_of_its_own_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    # this test has a child: the process above
    assert not lost(process, lambda: False, says=0.1, pid=os.getpid())
