"""The cluster profiles on a real Slurm: whole runs, submissions that are shared, and failure."""

from __future__ import annotations

import subprocess
import sys
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


def test_a_job_that_always_fails_ends_the_run_with_1(hardy: Study) -> None:
    broken = SLOW_AT_FIRST.replace("echo whole > {output}", "exit 7")
    hardy.finish(hardy.start(broken, "--config", "seconds=0"), expected=1)
    assert hardy.text("attempts.txt").split() == ["started"] * 3
    assert not (hardy.folder / "slow.txt").exists()
