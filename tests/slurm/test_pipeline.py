"""The whole pipeline through both cluster profiles gives the bytes of a run on one machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
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
    "figures": {"formats": ["png"], "measures": ["fa"]},
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

    def status(self, name: str, environment: dict[str, str], *options: str) -> str:
        command = [sys.executable, "-m", "msimaging", "status", str(self.folder / name), *options]
        told = subprocess.run(
            command,
            env={**environment, **self._elsewhere()},
            capture_output=True,
            text=True,
            check=True,
        )
        return told.stdout

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

    def begun(self, name: str) -> list[Path]:
        """The logs of the first jobs that work."""
        return list((self.folder / name / "logs").glob("preprocess_*/*.log"))

    def root(self, name: str) -> Path:
        return self.folder / name / "derivatives" / "msimaging"

    def files(self, name: str) -> dict[str, Path]:
        root = self.root(name)
        return {
            str(path.relative_to(root)): path
            for path in sorted(root.rglob("[!.]*"))
            if path.is_file() and "report" not in path.parts
        }

    def results(self, name: str) -> dict[str, bytes]:
        return {name: path.read_bytes() for name, path in self.files(name).items()}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Trial:
    return Trial(tmp_path_factory.mktemp("trial"), repository)


@dataclass(frozen=True)
class Ended:
    """How the runs of each study went: what they said, and what was seen of them."""

    said: dict[str, str]
    #: `status` between the kill and the run after it, as text and as JSON.
    after_kill: dict[str, tuple[str, str]]
    #: Submissions that came to their end.
    finished: dict[str, list[str]]


@pytest.fixture(scope="module")
def killed(slurm: Any, trial: Trial) -> Ended:
    """Run everything at once; each cluster run is killed when its first job works, and repeated."""
    with ExitStack() as stack:
        trial.end_with(stack)
        return _run_and_kill(slurm, trial)


def _run_and_kill(slurm: Any, trial: Trial) -> Ended:
    package = trial.package()
    local = trial.start("local", dict(os.environ), "--cores", "2")
    first, after_kill = {}, {}
    for profile in PROFILES:
        first[profile] = trial.start(profile, slurm.environment, *_through(profile))
    for profile, process in first.items():
        slurm.wait(lambda p=profile: trial.begun(p), f"{profile}: a job", 120)
        # the machine goes down: the run and its Snakemake at once, so that nobody cancels its jobs
        group = json.loads((trial.folder / profile / LOCK).read_text())["group"]
        os.killpg(group, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGKILL)
        os.killpg(group, signal.SIGKILL)
        process.communicate()
        for job in _working(slurm, trial.folder / profile):
            # held still, or it ends while it is asked for
            slurm.ask("scontrol", "suspend", job)
        text, ledger = (
            trial.status(profile, slurm.environment, "--quick", *form) for form in ((), ("--json",))
        )
        after_kill[profile] = (text, ledger)
        first[profile] = trial.start(profile, slurm.environment, *_through(profile))
    said = _ended({"local": local, **first})
    assert trial.package() == package
    jobs = slurm.ask("squeue", "-h", "-t", "COMPLETED", "-o", "%i %Z").splitlines()
    finished = {
        profile: [job for job in jobs if job.endswith(str(trial.folder / profile))]
        for profile in PROFILES
    }
    return Ended(said=said, after_kill=after_kill, finished=finished)


def _through(profile: str) -> tuple[str, ...]:
    return ("--cores", "2", "--profile", profile, "--", *PROFILES[profile])


def _ended(runs: dict[str, subprocess.Popen[str]]) -> dict[str, str]:
    said = {}
    for name, process in runs.items():
        said[name], _ = process.communicate(timeout=900)
        assert process.returncode == 0, said[name]
    return said


def _working(slurm: Any, study: Path) -> list[str]:
    jobs = slurm.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %Z").splitlines()
    return [job.split()[0] for job in jobs if job.endswith(str(study))]


@pytest.mark.parametrize("profile", PROFILES)
def test_cluster_and_one_machine_write_the_same_bytes(
    profile: str, killed: Ended, trial: Trial
) -> None:
    local, cluster = trial.results("local"), trial.results(profile)
    assert {"cohort/changes.tsv", "cohort/results.tsv", "cohort/ledger.tsv"} <= set(local)
    kinds = Counter(name.rpartition(".")[2] for name in local)
    assert min(kinds[kind] for kind in ("gz", "tsv", "json", "png")) > 5
    assert local.keys() == cluster.keys()
    assert [name for name in local if local[name] != cluster[name]] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_a_killed_run_is_told_and_its_jobs_are_cancelled(profile: str, killed: Ended) -> None:
    assert "was killed; going on" in killed.said[profile]
    assert "are still on the cluster and are cancelled" in killed.said[profile]


@pytest.mark.parametrize("profile", PROFILES)
def test_between_a_kill_and_the_next_run_the_ledger_tells_what_is_still_at_work(
    profile: str, killed: Ended
) -> None:
    text, ledger = killed.after_kill[profile]
    last = text.splitlines()[-1]
    assert last.startswith("killed: the run of ")
    assert "; its jobs are still on the cluster: " in last
    entries = json.loads(ledger)
    states = Counter((entry["state"], entry["reason"]) for entry in entries)
    assert states["pending", "running"] >= 1
    # its job works, so nothing has failed, and what it has not finished is not done
    assert not [entry for entry in entries if entry["state"] in {"failed", "stale"}]
    assert states["pending", ""] > 10


@pytest.mark.parametrize("profile", PROFILES)
def test_two_submissions_a_visit_and_one_for_the_cohort(profile: str, killed: Ended) -> None:
    # two diffusion series, the patient's diffusion, the patient's BOLD, the cohort
    assert len(killed.finished[profile]) == 5, killed.finished


def test_nothing_is_written_to_the_home_folder(killed: Ended, trial: Trial) -> None:
    # matplotlib, numba, dipy, nilearn and Snakemake would all keep something there
    assert [str(path) for path in trial.home.rglob("*")] == []
    assert (trial.folder / "local" / ".msimaging" / "cache" / "matplotlib").is_dir()


def test_what_is_given_to_sbatch_reaches_it(slurm: Any, killed: Ended, trial: Trial) -> None:
    jobs = slurm.ask("squeue", "-h", "-t", "all", "-o", "%k %Z").splitlines()
    ours = [job for job in jobs if job.endswith(str(trial.folder / "cluster-generic"))]
    assert ours
    assert all(job.startswith("extra ") for job in ours)


STUDIES = ("local", *PROFILES)
DELETED = "sub-01/ses-baseline/dwi/sub-01_ses-baseline_model-tensor_param-fa_dwimap.nii.gz"
CUT = "sub-01/ses-month06/func/*_atlas-*_stat-partialcorrelation_relmat.tsv"


@dataclass(frozen=True)
class Harmed:
    """A finished study before and after harm was done to it, and what was told in between."""

    before: dict[str, bytes]
    times: dict[str, int]
    cut: str
    ledger: dict[tuple[str, str], tuple[str, str]]
    said: str


@pytest.fixture(scope="module")
def harmed(slurm: Any, trial: Trial, killed: Ended) -> dict[str, Harmed]:
    """Delete one result, cut another off, exchange a scan; then a plain run of each study."""
    with ExitStack() as stack:
        trial.end_with(stack)
        return _harm_and_run(slurm, trial)


def _harm_and_run(slurm: Any, trial: Trial) -> dict[str, Harmed]:
    before = {name: trial.results(name) for name in STUDIES}
    times = {
        name: {file: path.stat().st_mtime_ns for file, path in trial.files(name).items()}
        for name in STUDIES
    }
    _exchange(next(trial.folder.glob("bids/sub-01/ses-month06/dwi/*_dwi.nii.gz")))
    runs, cuts, ledgers = {}, {}, {}
    for name in STUDIES:
        (trial.root(name) / DELETED).unlink()
        cuts[name] = next(trial.root(name).glob(CUT))
        cuts[name].write_bytes(cuts[name].read_bytes()[:200])
        entries = json.loads(trial.status(name, slurm.environment, "--json"))
        ledgers[name] = {
            (entry["step"], entry["session_id"]): (entry["state"], entry["reason"])
            for entry in entries
        }
    for name in STUDIES:
        options = ("--cores", "2") if name == "local" else _through(name)
        runs[name] = trial.start(name, slurm.environment, *options)
    said = _ended(runs)
    return {
        name: Harmed(
            before=before[name],
            times=times[name],
            cut=str(cuts[name].relative_to(trial.root(name))),
            ledger=ledgers[name],
            said=said[name],
        )
        for name in STUDIES
    }


def _exchange(scan: Path) -> None:
    """Put another scan in its place: the signal without weighting is 3 % larger in one half."""
    image = nib.load(scan)
    data = image.get_fdata(dtype=np.float32)
    weighted = np.loadtxt(scan.with_name(scan.name.replace(".nii.gz", ".bval"))) > 50
    data[: data.shape[0] // 2, ..., ~weighted] *= 1.03
    nib.save(nib.Nifti1Image(data, image.affine, image.header), scan)


@pytest.mark.parametrize("name", STUDIES)
def test_what_was_done_to_a_finished_study_is_told_before_it_is_mended(
    name: str, harmed: dict[str, Harmed]
) -> None:
    found = harmed[name]
    ledger, folder = found.ledger, "derivatives/msimaging/"
    assert ledger["preprocess_dwi", "ses-month06"] == ("stale", "an input is newer")
    assert ledger["fit_tensor", "ses-baseline"] == ("stale", f"{folder}{DELETED} was deleted")
    assert ledger["connect_parcels", ""] == ("stale", f"{folder}{found.cut} was altered")
    for kept in (("preprocess_dwi", "ses-baseline"), ("preprocess_bold", "ses-month06")):
        assert ledger[kept] == ("done", "")
    assert f"made again: {folder}{DELETED} was deleted" in found.said
    assert f"made again: {folder}{found.cut} was altered" in found.said


@pytest.mark.parametrize("name", STUDIES)
def test_a_plain_run_mends_it_and_does_anew_only_what_follows_from_the_scan(
    name: str, harmed: dict[str, Harmed], trial: Trial
) -> None:
    found, after = harmed[name], trial.results(name)
    assert after.keys() == found.before.keys()
    assert after[DELETED] == found.before[DELETED]
    assert after[found.cut] == found.before[found.cut]
    changed = {file for file in after if after[file] != found.before[file]}
    assert DELETED.replace("baseline", "month06") in changed
    assert {"cohort/measures.tsv", "cohort/changes.tsv"} <= changed
    assert not [file for file in changed if "/func/" in file]
    times = {file: path.stat().st_mtime_ns for file, path in trial.files(name).items()}
    series = re.compile(r".*(desc-preproc_bold|ses-baseline_desc-preproc_dwi)\.nii\.gz")
    kept = {file: time for file, time in times.items() if series.fullmatch(file)}
    assert len(kept) == 3
    assert kept.items() <= found.times.items()
    ledger = after["cohort/ledger.tsv"].decode().splitlines()[1:]
    assert {line.split("\t")[3] for line in ledger} <= {"done", "absent", "unpaired"}


@pytest.mark.parametrize("profile", PROFILES)
def test_mended_on_the_cluster_and_on_one_machine_the_bytes_are_the_same(
    profile: str, harmed: dict[str, Harmed], trial: Trial
) -> None:
    assert harmed[profile].said
    local, cluster = trial.results("local"), trial.results(profile)
    assert local.keys() == cluster.keys()
    assert [name for name in local if local[name] != cluster[name]] == []
