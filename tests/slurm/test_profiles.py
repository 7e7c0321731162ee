"""The cluster profiles on a real Slurm: whole runs, and jobs that are killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PROFILES = Path(__file__).resolve().parents[2] / "workflow" / "profiles"
#: A test cluster answers at once and shares one disk.
QUICK = ("--latency-wait", "5", "--seconds-between-status-checks", "1")
OPTIONS = {
    "cluster-generic": QUICK,
    "slurm": (*QUICK, "--slurm-init-seconds-before-status-checks", "1"),
}
FOUR_JOBS = """\
rule all:
    input:
        "joined.txt",


rule part:
    output:
        "part-{number}.txt",
    shell:
        "echo {wildcards.number} > {output}"


rule join:
    input:
        expand("part-{number}.txt", number=[1, 2, 3]),
    output:
        "joined.txt",
    shell:
        "cat {input} > {output}"
"""
# takes 900 MB at every attempt, and asks for more at each
TOO_LARGE = """\
rule all:
    input:
        "large.txt",


rule large:
    output:
        "large.txt",
    resources:
        mem_mb=lambda wildcards, attempt: 600 * attempt**2,
    shell:
        "echo {resources.mem_mb} >> attempts.txt; "
        "python -c 'import time; block = bytearray(900_000_000); time.sleep(4)'; "
        "echo whole > {output}"
"""
# slow at its first attempt only, so that there is time to do it harm
SLOW_AT_FIRST = """\
rule all:
    input:
        "slow.txt",


rule slow:
    output:
        "slow.txt",
    shell:
        "echo half > {output}; echo started >> attempts.txt; "
        "if [ $(wc -l < attempts.txt) -eq 1 ]; then sleep {config[seconds]}; fi; "
        "echo whole > {output}"
"""
PAIRED = """\
rule all:
    input:
        expand("visit-{number}.map", number=[1, 2]),


rule preprocess_dwi:
    output:
        "visit-{number}.dwi",
    shell:
        "echo $SLURM_JOB_ID > {output}"


rule fit_tensor:
    input:
        "visit-{number}.dwi",
    output:
        "visit-{number}.map",
    shell:
        "echo $SLURM_JOB_ID > {output}"
"""


@dataclass
class Study:
    """A folder with a tiny workflow, run through one of the profiles."""

    folder: Path
    slurm: Any
    profile: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, snakefile: str, *options: str) -> subprocess.Popen[str]:
        (self.folder / "Snakefile").write_text(snakefile)
        command = [sys.executable, "-m", "snakemake", "--snakefile", self.folder / "Snakefile"]
        command += ["--directory", self.folder, "--cores", "2"]
        command += ["--workflow-profile", PROFILES / self.profile]
        process = subprocess.Popen(
            [*map(str, command), *OPTIONS[self.profile], *options],
            env=self.slurm.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], *, expected: int = 0) -> str:
        output, _ = process.communicate(timeout=150)
        assert process.returncode == expected, output
        return output

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        self.slurm.ask("scancel", "--user", "root")

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture(params=["cluster-generic", "slurm"])
def study(request: pytest.FixtureRequest, slurm: Any, tmp_path: Path) -> Iterator[Study]:
    started = Study(folder=tmp_path, slurm=slurm, profile=request.param)
    yield started
    started.end()


@pytest.fixture
def hardy(slurm: Any, tmp_path: Path) -> Iterator[Study]:
    started = Study(folder=tmp_path, slurm=slurm, profile="cluster-generic")
    yield started
    started.end()


def test_four_jobs_end_well(study: Study) -> None:
    study.finish(study.start(FOUR_JOBS))
    assert study.text("joined.txt").split() == ["1", "2", "3"]


def test_both_steps_of_a_visit_are_one_submission(study: Study) -> None:
    study.finish(study.start(PAIRED))
    jobs = [study.text(f"visit-{n}.{kind}").strip() for n in (1, 2) for kind in ("dwi", "map")]
    assert jobs[0] == jobs[1]
    assert jobs[2] == jobs[3]
    assert jobs[0] != jobs[2]


def test_a_job_over_its_memory_is_tried_again_with_more(study: Study) -> None:
    study.finish(study.start(TOO_LARGE))
    assert study.text("attempts.txt").split() == ["600", "2400"]
    assert study.text("large.txt").split() == ["whole"]


def test_a_cancelled_job_is_tried_again(study: Study) -> None:
    process = study.start(SLOW_AT_FIRST, "--config", "seconds=600")
    study.slurm.wait(lambda: study.text("attempts.txt"), "first attempt")
    study.slurm.ask("scancel", *study.slurm.jobs())
    study.finish(process)
    assert study.text("slow.txt").split() == ["whole"]
    assert study.text("attempts.txt").split() == ["started"] * 2


def test_a_job_that_always_fails_ends_the_run_with_1(hardy: Study) -> None:
    broken = SLOW_AT_FIRST.replace("echo whole > {output}", "exit 7")
    hardy.finish(hardy.start(broken, "--config", "seconds=0"), expected=1)
    assert hardy.text("attempts.txt").split() == ["started"] * 3
    assert not (hardy.folder / "slow.txt").exists()


def test_an_outage_of_the_controller_costs_nothing(hardy: Study) -> None:
    process = hardy.start(SLOW_AT_FIRST, "--config", "seconds=15")
    hardy.slurm.wait(lambda: hardy.text("attempts.txt"), "first attempt")
    with hardy.slurm.without_controller():
        time.sleep(8)
    hardy.finish(process)
    assert hardy.text("attempts.txt").split() == ["started"]
    assert hardy.text("slow.txt").split() == ["whole"]


def test_jobs_of_a_killed_run_are_found_and_the_next_run_ends_well(study: Study) -> None:
    first = study.start(SLOW_AT_FIRST, "--config", "seconds=600")
    study.slurm.wait(lambda: study.text("attempts.txt"), "first attempt")
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    # as the README tells: by name, and by the study that they work in
    listed = study.slurm.ask("squeue", "--me", "--noheader", "--format", "%i %j %Z").splitlines()
    orphans = [job.split()[0] for job in listed if str(study.folder) in job and "msimaging" in job]
    assert orphans == study.slurm.jobs()
    study.slurm.ask("scancel", *orphans)
    study.slurm.wait(lambda: not study.slurm.jobs(), "cancelled")
    study.finish(study.start(SLOW_AT_FIRST, "--unlock"))
    study.finish(study.start(SLOW_AT_FIRST, "--config", "seconds=600"))
    assert study.text("attempts.txt").split() == ["started"] * 2
    assert study.text("slow.txt").split() == ["whole"]
