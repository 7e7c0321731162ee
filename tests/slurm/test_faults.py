"""What clusters do to jobs, through both profiles at once: everything ends whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from msimaging.bids.layout import output
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import VISIT_COLUMNS

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PROFILES = Path(__file__).resolve().parents[2] / "workflow" / "profiles"
QUICK = ("--latency-wait", "5", "--seconds-between-status-checks", "1", "--cores", "2")
OPTIONS = {
    "cluster-generic": QUICK,
    "slurm": (*QUICK, "--slurm-init-seconds-before-status-checks", "1"),
}
#: `msimaging run` on a workflow of our own.
DRIVER = """\
import sys
from pathlib import Path

from msimaging.study.lock import hold_study
from msimaging.study.runner import close_run, run_workflow
from msimaging.terminal import summary_lines

study, deadline, *command = sys.argv[1:]
with hold_study(Path(study), profile="test") as lock:
    code = run_workflow(
        Path(study), command, lock,
        on_progress=lambda progress: None, tell=print, deadline=float(deadline),
    )
    if (Path(study) / "visits.tsv").exists():
        ended = code
        code, entries = close_run(Path(study), ended)
        print(*summary_lines(Path(study), entries, ended), sep="\\n")
sys.exit(code)
"""
#: Patients of a study, by what their jobs come to.
HARMS = ("cancelled", "late", "large", "crashed", "full")
KINDS = ("dwi", "bold")
# every job says when it starts, writes half, and comes to harm at its first attempt only;
# diffusion is tried again in the same run, a resting run is not: the next run mends it
FAULTS = """\
from msimaging.bids.layout import output

HARMS = ["cancelled", "late", "large", "crashed", "full"]
DWI = output("dwi", sub="sub-{name}", ses="ses-a")
BOLD = output("bold", sub="sub-{name}", ses="ses-a", task="rest")


rule all:
    input:
        expand([DWI, BOLD], name=HARMS),


def place(wildcards, attempt):
    first = wildcards.name == "crashed" and attempt == 1
    return "--nodelist=n2" if first else "--nodelist=n1"


def memory(wildcards, attempt):
    return 600 * attempt**2


def limit(wildcards, attempt):
    return 1 if wildcards.name == "late" and attempt == 1 else 10


rule preprocess_dwi:
    output:
        DWI,
    log:
        "logs/preprocess_dwi/sub-{name}_ses-a.log",
    resources:
        mem_mb=memory,
        runtime=limit,
        slurm_extra=place,
    shell:
        "python job.py {wildcards.name} dwi {log} {output}"


rule preprocess_bold:
    output:
        BOLD,
    log:
        "logs/preprocess_bold/sub-{name}_ses-a.log",
    retries: 0
    resources:
        mem_mb=memory,
        runtime=limit,
        slurm_extra=place,
    shell:
        "python job.py {wildcards.name} bold {log} {output}"
"""
JOB = """\
import sys, time
from pathlib import Path

from msimaging.bids.rows import write_rows
from msimaging.steps.records import job_log


def work(name, kind, output):
    attempts = Path(f"{name}_{kind}.attempts")
    with attempts.open("a") as handle:
        handle.write("started\\n")
    first = len(attempts.read_text().splitlines()) == 1
    if name == "large":
        # a resting run is as large for once; a series is so until it is given more memory
        block = bytearray(900_000_000 if first or kind == "dwi" else 1)
        time.sleep(4)
    elif name == "full":
        if not first:
            output.with_name("filler").unlink()
    elif first:
        output.write_text("half")
        time.sleep(600)
    write_rows(output, ["text"], [{"text": "x" * 600_000}])


name, kind, log, output = sys.argv[1:]
with job_log(log):
    work(name, kind, Path(output))
"""
#: Its job is long at the first attempt.
LONG = """\
from msimaging.bids.layout import output

DWI = output("dwi", sub="sub-{name}", ses="ses-a")


rule all:
    input:
        expand(DWI, name="long"),


rule preprocess_dwi:
    output:
        DWI,
    log:
        "logs/preprocess_dwi/sub-{name}_ses-a.log",
    resources:
        mem_mb=500,
        runtime=10,
    shell:
        "python long.py {config[seconds]} {log} {output}"
"""
LONG_JOB = """\
import sys, time
from pathlib import Path

from msimaging.bids.rows import write_rows
from msimaging.steps.records import job_log

seconds, log, output = sys.argv[1:]
with job_log(log):
    attempts = Path("long_dwi.attempts")
    with attempts.open("a") as handle:
        handle.write("started\\n")
    if len(attempts.read_text().splitlines()) == 1:
        time.sleep(float(seconds))
    write_rows(Path(output), ["text"], [{"text": "whole"}])
"""


@dataclass
class Run:
    """A tiny workflow in a folder of its own, run through one profile."""

    folder: Path
    profile: str
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None
    said: str = ""
    #: State and reason of each step and patient, and what lies beside each result, by moments.
    ledgers: dict[str, dict[tuple[str, str], tuple[str, str]]] = field(default_factory=dict)
    files: dict[str, dict[tuple[str, str], list[str]]] = field(default_factory=dict)

    def start(self, snakefile: str, *options: str, deadline: float = 0) -> None:
        (self.folder / "Snakefile").write_text(snakefile)
        (self.folder / "job.py").write_text(JOB)
        (self.folder / "long.py").write_text(LONG_JOB)
        command = [sys.executable, "-m", "snakemake", "--directory", str(self.folder)]
        command += ["--snakefile", str(self.folder / "Snakefile")]
        command += ["--workflow-profile", str(PROFILES / self.profile)]
        command += [*OPTIONS[self.profile], *options]
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.folder), str(deadline), *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> int:
        assert self.process
        self.said, _ = self.process.communicate(timeout=400)
        return self.process.returncode

    def attempts(self, name: str) -> int:
        path = self.folder / f"{name}.attempts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def result(self, name: str, kind: str) -> Path:
        return self.folder / output(kind, sub=f"sub-{name}", ses="ses-a", task="rest")

    def remember(self, moment: str) -> None:
        """Ask for the ledger, and list the folder of each result."""
        command = [sys.executable, "-m", "msimaging", "status", str(self.folder), "--json"]
        told = subprocess.run(
            [*command, "--quick"], env=self.environment, capture_output=True, text=True, check=True
        )
        self.ledgers[moment] = {
            (entry["step"], entry["participant_id"]): (entry["state"], entry["reason"])
            for entry in json.loads(told.stdout)
        }
        self.files[moment] = {
            (name, kind): sorted(path.name for path in self.result(name, kind).parent.glob("*"))
            for name in HARMS
            for kind in KINDS
        }

    def told(self) -> str:
        log = self.folder / "logs" / "run.log"
        return self.said + (log.read_text() if log.exists() else "")


def both(slurm: Any, folder: Path, repository: Path, stack: ExitStack) -> list[Run]:
    runs = []
    for profile in OPTIONS:
        (folder / profile).mkdir()
        environment = {**slurm.environment, "PYTHONPATH": str(repository)}
        run = Run(folder=folder / profile, profile=profile, environment=environment)
        stack.callback(_stop, run, slurm)
        runs.append(run)
    return runs


def _stop(run: Run, slurm: Any) -> None:
    if run.process and run.process.poll() is None:
        run.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            run.process.communicate(timeout=30)
        run.process.kill()
        run.process.communicate()
    slurm.ask("scancel", "--user", "root")


def _small_disk(folder: Path, stack: ExitStack) -> None:
    """A disk of 1 MB, more than half full."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
    (folder / "filler").write_bytes(b"x" * 600_000)


def _make_study(folder: Path, names: Sequence[str], kinds: Sequence[str]) -> None:
    """A study of patients with one visit each: what the ledger tells of."""
    patients = [f"sub-{name}" for name in names]
    scans = [(sub, kind, f"{sub}_{kind}.nii.gz") for sub in patients for kind in kinds]
    rows = [{"path": path, "modality": kind} for _, kind, path in scans]
    write_rows(folder / "scans.tsv", SCAN_COLUMNS, rows)
    visits = [
        {"participant_id": sub, "session_id": "ses-a"}
        | {kind: path for of, kind, path in scans if of == sub}
        for sub in patients
    ]
    write_rows(folder / "visits.tsv", VISIT_COLUMNS, visits)
    (folder / "config.yaml").write_text("bids_dir: bids\n")


@pytest.fixture(scope="module")
def harmed(
    slurm: Any, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[dict[str, Run]]:
    """Both profiles after a run in which every job came to harm, and a plain run after it."""
    with ExitStack() as stack:
        runs = both(slurm, tmp_path_factory.mktemp("faults"), repository, stack)
        for run in runs:
            _make_study(run.folder, HARMS, KINDS)
            for kind in KINDS:
                _small_disk(run.result("full", kind).parent, stack)
            run.start(FAULTS)
        for run in runs:
            for name in ("cancelled_dwi", "cancelled_bold", "crashed_dwi", "crashed_bold"):
                slurm.wait(lambda run=run, n=name: run.attempts(n), f"{run.profile} {name}", 180)
        for line in slurm.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %Z").splitlines():
            number, folder = line.split()
            if "python job.py cancelled" in _children_of(number):
                slurm.ask("scancel", number)
                assert Path(folder).name in OPTIONS
        with slurm.without_node("n2"):
            for run in runs:  # until its job runs on the other node
                slurm.wait(lambda run=run: run.attempts("crashed_dwi") == 2, run.profile, 180)
        _finish(runs, code=1)
        for run in runs:
            run.remember("harmed")
            run.start(FAULTS)
        _finish(runs)
        for run in runs:
            run.remember("mended")
        yield {run.profile: run for run in runs}


def _finish(runs: list[Run], *, code: int = 0) -> None:
    codes = {run.profile: run.end() for run in runs}
    for run in runs:
        assert codes[run.profile] == code, run.told()


def _children_of(job: str) -> str:
    """Return the command lines of a Slurm job."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        text = " ".join(process.info["cmdline"] or ())
        if f"[{job}." in text and "slurmstepd" in text:
            lines += [" ".join(child.cmdline()) for child in process.children(recursive=True)]
    return "\n".join(lines)


@pytest.mark.parametrize("profile", OPTIONS)
@pytest.mark.parametrize("name", HARMS)
def test_a_harmed_job_is_done_again_and_its_result_is_whole(
    profile: str, name: str, harmed: dict[str, Run]
) -> None:
    run = harmed[profile]
    for kind in KINDS:
        assert run.attempts(f"{name}_{kind}") == 2, kind
        assert run.result(name, kind).read_text() == f"text\n{'x' * 600_000}\n"


@pytest.mark.parametrize("profile", OPTIONS)
@pytest.mark.parametrize("name", HARMS)
def test_the_ledger_tells_of_each_fault_and_of_its_mending(
    profile: str, name: str, harmed: dict[str, Run]
) -> None:
    run = harmed[profile]
    step = ("preprocess_bold", f"sub-{name}")
    reason = "No space left on device" if name == "full" else "the job ended without a word"
    # the diffusion job of the same fault was repeated by the run itself
    assert run.ledgers["harmed"]["preprocess_dwi", f"sub-{name}"] == ("done", "")
    state, told = run.ledgers["harmed"][step]
    assert (state, reason in told) == ("failed", True), told
    assert run.files["harmed"][name, "bold"] == (["filler"] if name == "full" else [])
    assert run.ledgers["mended"][step] == ("done", "")
    whole = [run.result(name, "bold").name]
    assert run.files["mended"][name, "bold"] == whole


@pytest.mark.parametrize(("forgetting", "seconds"), [(False, 30), (True, 0)])
def test_a_controller_that_is_away_or_forgets_does_not_end_the_run(
    forgetting: bool, seconds: float, slurm: Any, tmp_path: Path, repository: Path
) -> None:
    step = ("preprocess_dwi", "sub-long")
    with ExitStack() as stack:
        runs = both(slurm, tmp_path, repository, stack)
        length = f"seconds={600 if forgetting else seconds}"
        for run in runs:
            _make_study(run.folder, ["long"], ["dwi"])
            run.start(LONG, "--config", length, deadline=12)
        for run in runs:
            slurm.wait(lambda run=run: run.attempts("long_dwi"), run.profile, 180)
        with slurm.without_controller(forgetting=forgetting):
            for run in runs:
                run.remember("away")
            time.sleep(seconds)
        _finish(runs)
        for run in runs:
            run.remember("ended")
            run.start(LONG, "--config", length)
        _finish(runs)
        for run in runs:
            assert run.ledgers["away"][step] == ("pending", "running")
            assert run.ledgers["ended"][step] == ("done", "")
            assert run.result("long", "dwi").read_text() == "text\nwhole\n"
            # the plain run after it had nothing to do
            assert run.attempts("long_dwi") == (2 if forgetting else 1)


REFUSED = {
    "cluster-generic": "slurm_extra='--partition=nowhere'",
    "slurm": "slurm_partition=nowhere",
}


def test_what_the_cluster_refuses_did_not_begin_and_is_told_so(
    slurm: Any, tmp_path: Path, repository: Path
) -> None:
    with ExitStack() as stack:
        runs = both(slurm, tmp_path, repository, stack)
        for run in runs:
            _make_study(run.folder, ["long"], ["dwi"])
            run.start(LONG, "--config", "seconds=0", "--default-resources", REFUSED[run.profile])
        _finish(runs, code=1)
        for run in runs:
            run.remember("refused")
            assert run.ledgers["refused"]["preprocess_dwi", "sub-long"] == ("pending", "")
            assert "jobs did not begin" in run.said
            assert run.attempts("long_dwi") == 0
            assert "At least one job did not complete successfully" in run.said
            if run.profile == "cluster-generic":  # the plugin keeps the words of sbatch to itself
                assert "refused by the cluster: sbatch: error: invalid partition" in run.said
            run.start(LONG, "--config", "seconds=0")
        _finish(runs)
        for run in runs:
            assert run.result("long", "dwi").read_text() == "text\nwhole\n"
