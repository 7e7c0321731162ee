"""The whole pipeline through a cluster profile gives the bytes of a run on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from msimaging.phantom.trial import simulate_trial
from msimaging.study.creation import create_study

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

QUICK = ("--latency-wait", "5", "--seconds-between-status-checks", "1")
#: Extra words for sbatch, given as the README tells.
EXTRA = "slurm_extra='--partition=main --comment=trial'"


def _run(study: Path, environment: dict[str, str], *options: str) -> None:
    command = [sys.executable, "-m", "msimaging", "run", str(study), "--cores", "2", *options]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _tables(study: Path) -> dict[str, bytes]:
    root = study / "derivatives" / "msimaging"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.tsv"))}


def test_cluster_and_one_machine_write_the_same_tables(
    slurm: Any, tmp_path: Path, repository: Path
) -> None:
    simulate_trial(
        tmp_path / "bids",
        n_patients=1,
        dwi_voxel_size=8.0,
        n_b0=2,
        n_directions=12,
        bold_voxel_size=8.0,
        n_volumes=60,
    )
    for name in ("local", "cluster"):
        create_study(tmp_path / "bids", tmp_path / name)
    source = {"PYTHONPATH": str(repository)}
    _run(tmp_path / "local", {**os.environ, **source})
    profile = ("--profile", "cluster-generic", "--", *QUICK, "--default-resources", EXTRA)
    _run(tmp_path / "cluster", {**slurm.environment, **source}, *profile)

    local, cluster = _tables(tmp_path / "local"), _tables(tmp_path / "cluster")
    assert {"cohort/changes.tsv", "cohort/results.tsv", "cohort/ledger.tsv"} <= set(local)
    assert [name for name in local if local[name] != cluster.get(name)] == []
    submissions = slurm.ask("squeue", "-h", "-t", "all", "-o", "%k %Z").splitlines()
    ours = [job for job in submissions if job.startswith("trial") and job.endswith("cluster")]
    # two visits of two modalities, one patient of two modalities, group matrices, cohort
    assert len(ours) == 8
