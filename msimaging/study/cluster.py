"""The jobs that a study has on a Slurm cluster, and what to do with those of a run that died."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from msimaging.errors import ConfigError, Finding

#: Every submission of the cluster profiles is named so.
PREFIX = "msimaging"
#: A question to Slurm that nobody answers is given up after so many seconds.
_TIMEOUT = 30
#: Where nobody answers at the start of a run, it is asked again for so many seconds.
_PATIENCE = 180

Orphans = Literal["cancel", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """A submission that is waiting or running."""

    number: str
    user: str
    state: str


def is_cluster_profile(folder: Path) -> bool:
    """Return whether a profile sends its jobs elsewhere.

    Parameters
    ----------
    folder : Path
        Folder of the profile.
    """
    content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
    return str(content.get("executor", "local")) not in {"local", "dryrun", "touch"}


def has_slurm() -> bool:
    """Return whether Slurm can be asked from this machine."""
    return shutil.which("squeue") is not None


def jobs_of(study: Path) -> list[ClusterJob] | None:
    """List the jobs of a study that wait or run on the cluster.

    They are known by their names and by the folder they work in, so that jobs of a run of which
    nothing else is left are found too.

    Parameters
    ----------
    study : Path
        Study folder.

    Returns
    -------
    list of ClusterJob or None
        None when Slurm does not answer.
    """
    # no job can have the last column's separator in its first ones
    answer = _ask("squeue", "--noheader", "--format", "%i|%u|%T|%j|%Z")
    if answer is None:
        return None
    here = os.path.realpath(study)
    found = []
    for line in answer.splitlines():
        number, user, state, name, folder = line.split("|", maxsplit=4)
        if name.startswith(PREFIX) and os.path.realpath(folder) == here:
            found.append(ClusterJob(number=number, user=user, state=state))
    return found


def _ask(*command: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the command is our own, no shell reads it
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if answer.returncode else answer.stdout


def settle_orphans(
    study: Path,
    *,
    how: Orphans,
    tell: Callable[[str], None],
    required: bool,
    patience: float = _PATIENCE,
) -> bool:
    """Cancel the jobs that a dead run left on the cluster, or wait for them.

    Parameters
    ----------
    study : Path
        Study folder, held by this run: whatever it has on the cluster belongs to a dead one.
    how : {"cancel", "wait"}
        Cancelled jobs are run again; what jobs end with in time stays.
    tell : callable
        Told what is done.
    required : bool
        Whether the question must be answered before anything can be started.
    patience : float
        Seconds to wait for an answer.

    Returns
    -------
    bool
        Whether there were any.

    Raises
    ------
    ConfigError
        When Slurm does not answer, or jobs cannot be cancelled.
    """
    if not has_slurm():
        return False
    jobs = _asked_until_answered(study, tell, patience) if required else jobs_of(study)
    if not jobs:
        return False
    numbers = ", ".join(job.number for job in jobs)
    if how == "cancel":
        tell(f"jobs of an earlier run are still on the cluster and are cancelled: {numbers}")
        _cancel(study, jobs)
    else:
        tell(f"waiting for the jobs of an earlier run on the cluster: {numbers}")
    _wait_until_gone(study, patience if how == "cancel" else None, tell)
    return True


def _asked_until_answered(
    study: Path, tell: Callable[[str], None], patience: float
) -> list[ClusterJob]:
    deadline, told = time.monotonic() + patience, False
    while (jobs := jobs_of(study)) is None:
        if time.monotonic() > deadline:
            rule = "Slurm must tell which jobs of this study are still running"
            remedy = "Try again when squeue answers; two jobs must not write one file."
            found = "no answer from squeue"
            raise ConfigError([Finding(where=str(study), rule=rule, found=found, remedy=remedy)])
        if not told:
            tell("Slurm does not answer; asking again")
            told = True
        time.sleep(min(5, patience / 10))
    return jobs


def _cancel(study: Path, jobs: Iterable[ClusterJob]) -> None:
    numbers = [job.number for job in jobs]
    if _ask("scancel", *numbers) is None and (left := jobs_of(study)):
        whose = ", ".join(f"{job.number} of {job.user}" for job in left)
        fault = Finding(
            where=str(study),
            rule="jobs of an earlier run must end before the next one starts",
            found=f"cannot cancel {whose}",
            remedy="Ask that user to cancel them, or wait for them: msimaging run --orphans wait",
        )
        raise ConfigError([fault])


def _wait_until_gone(study: Path, patience: float | None, tell: Callable[[str], None]) -> None:
    started, pause = time.monotonic(), 0.2
    while jobs := jobs_of(study):
        if patience is not None and time.monotonic() - started > patience:
            # a node that answers no more cannot confirm the end; whole files only, so go on
            numbers = ", ".join(job.number for job in jobs)
            tell(f"cancelled, but not yet confirmed by their nodes: {numbers}; going on")
            return
        time.sleep(pause)
        pause = min(2 * pause, 10)
