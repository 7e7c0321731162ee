"""Run the workflow on a study: Snakemake does the work, this watches it and tells how it ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msimaging.bids.layout import output
from msimaging.bids.ledger import Entry, read_ledger
from msimaging.bids.plan import Plan
from msimaging.errors import ConfigError, Finding
from msimaging.settings import WORKFLOW, read_settings
from msimaging.steps.write_ledger import write_ledger

#: Exit codes of the command line.
DONE, FAILED, UNUSABLE, DONE_WITH_EXCLUSIONS = 0, 1, 2, 3
_PROGRESS = re.compile(r"^(\d+) of (\d+) steps \((\d+)%\) done")
_STARTED = re.compile(r"^(?:local)?rule (\w+):")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total : int
        Jobs; 0 of 0 before the first has ended.
    step : str
        Rule that was started last.
    """

    done: int
    total: int
    step: str


def snakemake_command(
    study: Path, *, cores: int, profile: str, dry_run: bool, extra: Sequence[str]
) -> list[str]:
    """Return the Snakemake call behind ``msimaging run``.

    Parameters
    ----------
    study : Path
        Study folder.
    cores : int
        Jobs at once on this machine.
    profile : str
        Folder below ``workflow/profiles``, or a path.
    dry_run : bool
        Show the jobs only.
    extra : sequence of str
        Further arguments for Snakemake.

    Returns
    -------
    list of str
        Program and arguments.

    Raises
    ------
    ConfigError
        When there is no such profile.
    """
    named = WORKFLOW / "workflow" / "profiles" / profile
    folder = named if named.is_dir() else Path(profile)
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in named.parent.iterdir()))
        fault = Finding(
            where="--profile",
            rule=f"a profile is a folder or one of {known}",
            found=profile,
            remedy="Name one of these, or give the path of your own.",
        )
        raise ConfigError([fault])
    command = [sys.executable, "-m", "snakemake"]
    command += ["--snakefile", str(WORKFLOW / "Snakefile")]
    command += ["--directory", str(study), "--configfile", str(study / "config.yaml")]
    command += ["--workflow-profile", str(folder), "--cores", str(cores)]
    return [*command, *(["--dry-run"] if dry_run else []), *extra]


def run_workflow(
    study: Path, command: Sequence[str], on_progress: Callable[[Progress], None]
) -> int:
    """Start Snakemake, keep its output in ``logs/run.log``, and report its progress.

    Parameters
    ----------
    study : Path
        Study folder.
    command : sequence of str
        From `snakemake_command`.
    on_progress : callable
        Called at each job that starts or ends.

    Returns
    -------
    int
        Snakemake's exit code.

    Raises
    ------
    ConfigError
        When another run holds the study, or one that was killed left its lock.
    """
    path = study / "logs" / "run.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    done, total, step, locked = 0, 0, "", False
    with (
        path.open("w", encoding="utf-8") as record,
        subprocess.Popen(  # noqa: S603 - the command is our own, no shell reads it
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
        ) as process,
    ):
        for line in process.stdout or ():
            record.write(line)
            record.flush()
            locked |= line.startswith("LockException")
            started, progress = _STARTED.match(line), _PROGRESS.match(line)
            if started:
                step = started.group(1)
            elif progress:
                done, total = int(progress.group(1)), int(progress.group(2))
            else:
                continue
            on_progress(Progress(done=done, total=total, step=step))
    if locked:
        raise ConfigError([_locked(study)])
    return process.returncode


def _locked(study: Path) -> Finding:
    return Finding(
        where=str(study),
        rule="one run at a time works on a study",
        found="the lock of another run, or of one that was killed",
        remedy="Wait until the other has ended. If none is alive: "
        f"msimaging run {study} -- --unlock, then run again.",
    )


def _environment() -> dict[str, str]:
    # one thread per job: the same bytes everywhere, and no two jobs fight for a core
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONUNBUFFERED": "1"}


def close_run(study: Path, returncode: int) -> tuple[int, list[Entry]]:
    """Bring the ledger up to date after a run and tell how the run ended.

    Parameters
    ----------
    study : Path
        Study folder.
    returncode : int
        Snakemake's exit code.

    Returns
    -------
    code : int
        0 done, 1 a step failed, 3 done with exclusions.
    entries : list of Entry
        The ledger.
    """
    settings = read_settings(study / "config.yaml")
    entries = read_ledger(study, Plan.of_study(study, settings))
    if returncode:
        write_ledger(study=study, settings=settings, out_table=study / output("ledger"))
        return FAILED, entries
    excluded = any(entry.state == "excluded" for entry in entries)
    return (DONE_WITH_EXCLUSIONS if excluded else DONE), entries
