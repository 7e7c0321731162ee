"""Who works on a study: a live run, one elsewhere, a killed one, Snakemake alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from msimaging.study.activity import activity_of
from msimaging.study.cluster import has_slurm
from msimaging.study.lock import LOCK


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / LOCK).parent.mkdir()
    return tmp_path


def hold(study: Path, **changes: object) -> None:
    process = psutil.Process()
    holder = {"host": socket.gethostname(), "user": "ana", "pid": process.pid}
    holder |= {"started": process.create_time(), "since": "2026-01-02T03:04:05+00:00"}
    (study / LOCK).write_text(json.dumps(holder | {"profile": "default"} | changes))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_nobody(study: Path) -> None:
    assert activity_of(study).told == ""
    assert not activity_of(study).running


def test_a_live_run_is_told(study: Path) -> None:
    hold(study)
    found = activity_of(study)
    assert found.running
    assert found.told.startswith("running: ana on ")
    assert f"process {os.getpid()}, since 2026-01-02" in found.told


def test_of_a_run_elsewhere_only_its_last_sign_of_life_is_known(study: Path) -> None:
    hold(study, host="another", pid=dead_process())
    ago = (study / LOCK).stat().st_mtime - 600
    os.utime(study / LOCK, (ago, ago))
    found = activity_of(study)
    assert found.running
    assert found.told.endswith("last sign of life 10 min ago")


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_a_killed_run_is_told_with_the_way_out(
    profile: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(study))  # no Slurm to ask
    hold(study, pid=dead_process(), profile=profile)
    found = activity_of(study)
    assert not found.running
    assert found.told.startswith("killed: the run of ana on ")
    assert found.told.endswith(f"msimaging run {study} goes on")


@pytest.mark.skipif(not has_slurm(), reason="no Slurm here: install slurm-client")
def test_a_slurm_that_does_not_answer_proves_nothing(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "slurm.conf").write_text("SlurmctldHost=\n")
    monkeypatch.setenv("SLURM_CONF", str(study / "slurm.conf"))
    hold(study, pid=dead_process(), profile="slurm")
    found = activity_of(study)
    assert found.running
    assert "Slurm does not tell" in found.told


def test_a_snakemake_without_msimaging_run_is_told(study: Path) -> None:
    locks = study / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").touch()
    assert activity_of(study).running
    assert "Snakemake" in activity_of(study).told
