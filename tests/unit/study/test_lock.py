"""Two runs of one study: refused while the first lives, taken over when it is dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from msimaging.errors import ConfigError
from msimaging.study.lock import LOCK, end_group, hold_study

HOLDER = """
import sys, time
from pathlib import Path
from msimaging.study.lock import hold_study
with hold_study(Path(sys.argv[1]), profile="slurm") as lock:
    lock.names_group(int(sys.argv[2]))
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """What Snakemake and its jobs are to a run: a group of processes of their own."""
    command = ["sh", "-c", "sleep 600 & sleep 600 & wait"]
    process = subprocess.Popen(command, start_new_session=True)
    yield process
    end_group(process.pid)
    process.wait()


@pytest.fixture
def holder(worker: subprocess.Popen[bytes], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), str(worker.pid)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def edit(study: Path, **changes: object) -> None:
    path = study / LOCK
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_second_run_is_refused_and_told_who_holds_the_study(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused, hold_study(tmp_path, profile="default"):
        pass
    message = str(refused.value)
    assert f"process {holder.pid}, since 20" in message
    assert f"kill -INT {holder.pid}" in message
    # not even with force, because here it can be seen that it lives
    with pytest.raises(ConfigError), hold_study(tmp_path, profile="default", take_over=True):
        pass


def test_a_killed_run_is_followed_at_once_and_its_processes_are_ended(
    holder: subprocess.Popen[str], worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    holder.kill()
    holder.wait()
    children = psutil.Process(worker.pid).children()
    assert len(children) == 2
    with hold_study(tmp_path, profile="default") as lock:
        assert lock.left_by is not None
        assert lock.left_by.profile == "slurm"
        assert not any(p.is_running() and p.status() != "zombie" for p in children)
    assert not (tmp_path / LOCK).exists()


def test_another_process_of_the_same_number_does_not_hold_it(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    edit(tmp_path, started=1.0, group=0)
    with hold_study(tmp_path, profile="default") as lock:
        assert lock.left_by is not None


def test_a_run_on_another_machine_is_taken_over_only_when_asked(
    holder: subprocess.Popen[str], worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    edit(tmp_path, host="login2")
    os.utime(tmp_path / LOCK, (0, 0))
    with pytest.raises(ConfigError, match="on login2") as refused:
        hold_study(tmp_path, profile="default").__enter__()
    assert "last sign of life" in str(refused.value)
    assert "--take-over" in str(refused.value)
    with hold_study(tmp_path, profile="default", take_over=True) as lock:
        assert lock.left_by is not None
        # numbers of another machine mean nothing here
        assert worker.poll() is None


def test_a_lock_that_was_cut_off_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK).parent.mkdir()
    (tmp_path / LOCK).write_text('{"host": "lo')
    with hold_study(tmp_path, profile="default") as lock:
        assert lock.left_by is None


def test_an_error_gives_the_study_free(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hold_study(tmp_path, profile="default"):
        raise KeyboardInterrupt
    assert list((tmp_path / LOCK).parent.iterdir()) == []


def test_who_was_taken_over_does_not_release_what_is_not_its_own(tmp_path: Path) -> None:
    with hold_study(tmp_path, profile="default"):
        edit(tmp_path, pid=1, user="somebody else")
    assert (tmp_path / LOCK).exists()


def test_ending_a_group_that_is_gone_does_nothing() -> None:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    end_group(process.pid)
