"""The whole pipeline through both cluster profiles gives the bytes of a run on one machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from msimaging.phantom.trial import simulate_trial
from msimaging.study.creation import create_study
from msimaging.study.lock import LOCK

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

QUICK = ("--latency-wait", "5", "--seconds-between-status-checks", "1")
PROFILES = {
    "cluster-generic": (*QUICK, "--default-resources", "slurm_extra='--comment=extra'"),
    "slurm": (*QUICK, "--slurm-init-seconds-before-status-checks", "1"),
}
COARSE = {
    "spatial": {"working_resolution": 6, "map_resolution": 4},
    "diffusion": {"bootstrap_samples": 50},
    # two minutes of data are enough for a test
    "functional": {"min_minutes": 1, "min_volumes": 30},
    "figures": {"formats": ["png"]},
}


class Trial:
    """One dataset, and studies of it that are run in different ways."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self._repository = repository
        self._started: list[subprocess.Popen[str]] = []
        simulate_trial(
            folder / "bids",
            n_patients=1,
            n_lesions=0,
            dwi_voxel_size=8.0,
            n_b0=2,
            n_directions=12,
            bold_voxel_size=8.0,
            n_volumes=60,
        )

    def start(self, name: str, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
        if not (self.folder / name).exists():
            create_study(self.folder / "bids", self.folder / name)
            config = self.folder / name / "config.yaml"
            config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | COARSE))
        process = subprocess.Popen(
            [sys.executable, "-m", "msimaging", "run", str(self.folder / name), *options],
            env={**environment, **self._elsewhere()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def end_with(self, stack: ExitStack) -> None:
        """Let no run outlive the tests, whatever becomes of them."""
        stack.callback(lambda: [process.terminate() for process in self._started])

    def _elsewhere(self) -> dict[str, str]:
        """The package is read-only and the home folder is none of ours."""
        return {
            "PYTHONPATH": str(self._repository),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.home),
        }

    def package(self) -> dict[str, int]:
        """When each file of the installed package was last written."""
        paths = [p for f in ("msimaging", "workflow") for p in (self._repository / f).rglob("*")]
        return {str(path): path.stat().st_mtime_ns for path in paths if path.is_file()}

    def results(self, name: str) -> dict[str, bytes]:
        root = self.folder / name / "derivatives" / "msimaging"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("[!.]*"))
            if path.is_file() and "report" not in path.parts
        }


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Trial:
    return Trial(tmp_path_factory.mktemp("trial"), repository)


@pytest.fixture(scope="module")
def killed(slurm: Any, trial: Trial) -> dict[str, str]:
    """Run everything at once; each cluster run is killed when its first job works, and repeated."""
    with ExitStack() as stack:
        trial.end_with(stack)
        return _run_and_kill(slurm, trial)


def _run_and_kill(slurm: Any, trial: Trial) -> dict[str, str]:
    package = trial.package()
    local = trial.start("local", dict(os.environ), "--cores", "2")
    first = {}
    for profile, options in PROFILES.items():
        arguments = ("--cores", "2", "--profile", profile, "--", *options)
        first[profile] = trial.start(profile, slurm.environment, *arguments)
    said = {}
    for profile, process in first.items():
        slurm.wait(lambda p=profile: _working(slurm, trial.folder / p), f"{profile}: a job", 120)
        # the machine goes down: the run and its Snakemake at once, so that nobody cancels its jobs
        group = json.loads((trial.folder / profile / LOCK).read_text())["group"]
        os.killpg(group, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGKILL)
        os.killpg(group, signal.SIGKILL)
        process.communicate()
        arguments = ("--cores", "2", "--profile", profile, "--", *PROFILES[profile])
        first[profile] = trial.start(profile, slurm.environment, *arguments)
    for name, process in {"local": local, **first}.items():
        said[name], _ = process.communicate(timeout=900)
        assert process.returncode == 0, said[name]
    assert trial.package() == package
    return said


def _working(slurm: Any, study: Path) -> list[str]:
    jobs = slurm.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %Z").splitlines()
    return [job for job in jobs if job.endswith(str(study))]


@pytest.mark.parametrize("profile", PROFILES)
def test_cluster_and_one_machine_write_the_same_bytes(
    profile: str, killed: dict[str, str], trial: Trial
) -> None:
    local, cluster = trial.results("local"), trial.results(profile)
    assert {"cohort/changes.tsv", "cohort/results.tsv", "cohort/ledger.tsv"} <= set(local)
    kinds = Counter(name.rpartition(".")[2] for name in local)
    assert min(kinds[kind] for kind in ("gz", "tsv", "json", "png")) > 5
    assert local.keys() == cluster.keys()
    assert [name for name in local if local[name] != cluster[name]] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_a_killed_run_is_told_and_its_jobs_are_cancelled(
    profile: str, killed: dict[str, str]
) -> None:
    assert "was killed; going on" in killed[profile]
    assert "are still on the cluster and are cancelled" in killed[profile]


@pytest.mark.parametrize("profile", PROFILES)
def test_two_submissions_a_visit_and_one_for_the_cohort(
    profile: str, slurm: Any, killed: dict[str, str], trial: Trial
) -> None:
    jobs = slurm.ask("squeue", "-h", "-t", "COMPLETED", "-o", "%i %Z").splitlines()
    finished = [job for job in jobs if job.endswith(str(trial.folder / profile))]
    # two diffusion series, the patient's diffusion, the patient's BOLD, the cohort
    assert len(finished) == 5, finished


def test_nothing_is_written_to_the_home_folder(killed: dict[str, str], trial: Trial) -> None:
    # matplotlib, numba, dipy, nilearn and Snakemake would all keep something there
    assert [str(path) for path in trial.home.rglob("*")] == []
    assert (trial.folder / "local" / ".msimaging" / "cache" / "matplotlib").is_dir()


def test_what_is_given_to_sbatch_reaches_it(
    slurm: Any, killed: dict[str, str], trial: Trial
) -> None:
    jobs = slurm.ask("squeue", "-h", "-t", "all", "-o", "%k %Z").splitlines()
    ours = [job for job in jobs if job.endswith(str(trial.folder / "cluster-generic"))]
    assert ours
    assert all(job.startswith("extra ") for job in ours)
