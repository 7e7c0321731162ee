"""What clusters do to jobs, through both profiles at once: everything ends whole."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

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
from msimaging.study.runner import run_workflow

study, deadline, *command = sys.argv[1:]
with hold_study(Path(study), profile="test") as lock:
    code = run_workflow(
        Path(study), command, lock,
        on_progress=lambda progress: None, tell=print, deadline=float(deadline),
    )
sys.exit(code)
"""
# every job says when it starts, writes half, and comes to harm at its first attempt only
FAULTS = """\
NAMES = ["cancelled", "late", "large", "crashed", "full/disk"]


rule all:
    input:
        expand("{name}.txt", name=NAMES),


def place(wildcards, attempt):
    first = wildcards.name == "crashed" and attempt == 1
    return "--nodelist=n2" if first else "--nodelist=n1"


rule job:
    output:
        "{name}.txt",
    resources:
        mem_mb=lambda wildcards, attempt: 600 * attempt**2,
        runtime=lambda wildcards, attempt: 1 if wildcards.name == "late" and attempt == 1 else 10,
        slurm_extra=place,
    shell:
        "python job.py {wildcards.name} {output}"
"""
JOB = """\
import os, sys, time
from pathlib import Path
from msimaging.bids.rows import write_rows

name, output = sys.argv[1:]
log = Path(name.replace("/", "_") + ".attempts")
with log.open("a") as handle:
    handle.write("started\\n")
first = len(log.read_text().splitlines()) == 1
if name == "large":
    block = bytearray(900_000_000)
    time.sleep(4)
elif name == "full/disk":
    if not first:
        Path("full/filler").unlink()
elif first:
    Path(output).write_text("half")
    time.sleep(600)
try:
    write_rows(Path(output), ["text"], [{"text": "x" * 600_000}])
except OSError as error:
    Path("refused.txt").write_text(f"{error.errno} {sorted(os.listdir('full'))}")
    raise
"""
LONG = """\
rule all:
    input:
        "long.txt",


rule long:
    output:
        "long.txt",
    shell:
        "echo started >> long.attempts; "
        "if [ $(wc -l < long.attempts) -eq 1 ]; then sleep {config[seconds]}; fi; "
        "echo whole > {output}"
"""


@dataclass
class Run:
    """A tiny workflow in a folder of its own, run through one profile."""

    folder: Path
    profile: str
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None
    said: str = ""

    def start(self, snakefile: str, *options: str, deadline: float = 0) -> None:
        (self.folder / "Snakefile").write_text(snakefile)
        (self.folder / "job.py").write_text(JOB)
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
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
    (folder / "filler").write_bytes(b"x" * 600_000)


@pytest.fixture(scope="module")
def harmed(
    slurm: Any, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[dict[str, Run]]:
    """Both profiles after a run in which every job came to harm."""
    with ExitStack() as stack:
        runs = both(slurm, tmp_path_factory.mktemp("faults"), repository, stack)
        for run in runs:
            _small_disk(run.folder / "full", stack)
            run.start(FAULTS)
        for run in runs:
            for name in ("cancelled", "crashed"):
                slurm.wait(lambda run=run, n=name: run.attempts(n), f"{run.profile} {name}", 180)
        for line in slurm.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %Z").splitlines():
            number, folder = line.split()
            if "python job.py cancelled" in _children_of(number):
                slurm.ask("scancel", number)
                assert Path(folder).name in OPTIONS
        with slurm.without_node("n2"):
            for run in runs:  # until its job runs on the other node
                slurm.wait(lambda run=run: run.attempts("crashed") == 2, run.profile, 180)
        _finish(runs)
        for run in runs:  # a plain run afterwards: nothing is lost, so nothing is left to do
            run.start(FAULTS)
        _finish(runs)
        yield {run.profile: run for run in runs}


def _finish(runs: list[Run]) -> None:
    codes = {run.profile: run.end() for run in runs}
    for run in runs:
        assert codes[run.profile] == 0, run.told()


def _children_of(job: str) -> str:
    """Return the command lines of a Slurm job."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        text = " ".join(process.info["cmdline"] or ())
        if f"[{job}." in text and "slurmstepd" in text:
            lines += [" ".join(child.cmdline()) for child in process.children(recursive=True)]
    return "\n".join(lines)


@pytest.mark.parametrize("profile", OPTIONS)
@pytest.mark.parametrize("name", ["cancelled", "late", "large", "crashed", "full_disk"])
def test_a_harmed_job_is_done_again_and_its_result_is_whole(
    profile: str, name: str, harmed: dict[str, Run]
) -> None:
    run = harmed[profile]
    assert run.attempts(name) == 2
    assert (run.folder / f"{name.replace('_', '/')}.txt").read_text() == f"text\n{'x' * 600_000}\n"


@pytest.mark.parametrize("profile", OPTIONS)
def test_a_full_disk_leaves_nothing_half_written(profile: str, harmed: dict[str, Run]) -> None:
    folder = harmed[profile].folder
    assert (folder / "refused.txt").read_text() == "28 ['filler']"  # 28: no space left
    assert sorted(path.name for path in (folder / "full").iterdir()) == ["disk.txt"]


@pytest.mark.parametrize(("forgetting", "seconds"), [(False, 30), (True, 0)])
def test_a_controller_that_is_away_or_forgets_does_not_end_the_run(
    forgetting: bool, seconds: float, slurm: Any, tmp_path: Path, repository: Path
) -> None:
    with ExitStack() as stack:
        runs = both(slurm, tmp_path, repository, stack)
        length = f"seconds={600 if forgetting else seconds}"
        for run in runs:
            run.start(LONG, "--config", length, deadline=12)
        for run in runs:
            slurm.wait(lambda run=run: run.attempts("long"), run.profile, 180)
        with slurm.without_controller(forgetting=forgetting):
            time.sleep(seconds)
        _finish(runs)
        for run in runs:
            run.start(LONG, "--config", length)
        _finish(runs)
        for run in runs:
            assert (run.folder / "long.txt").read_text() == "whole\n"
            assert run.attempts("long") == (2 if forgetting else 1)
