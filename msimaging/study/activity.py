"""Whether somebody works on a study now, for those who look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msimaging.study.cluster import has_slurm, jobs_of
from msimaging.study.lock import Holder, holder_of, last_sign_of_life


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What is known of the run that holds a study.

    Attributes
    ----------
    running : bool
        Whether jobs of it may be at work.
    told : str
        One line for people; empty when nobody works on the study.
    """

    running: bool
    told: str


def activity_of(study: Path) -> Activity:
    """Tell who works on a study, or that a run was killed and what it left.

    Parameters
    ----------
    study : Path
        Study folder; nothing in it is changed.

    Returns
    -------
    Activity
        After a killed run its jobs on the cluster go on; they count as running.
    """
    holder = holder_of(study)
    if holder is None:
        return _of_snakemake(study)
    if not holder.here:
        return Activity(running=True, told=f"running: {holder}{last_sign_of_life(study)}")
    if holder.alive:
        return Activity(running=True, told=f"running: {holder}")
    return _of_killed(study, holder)


def _of_snakemake(study: Path) -> Activity:
    """Look for a Snakemake without `msimaging run`; whether it lives cannot be seen."""
    locked = any((study / ".snakemake" / "locks").glob("*.lock"))
    told = "a Snakemake that msimaging run did not start works here, or was killed"
    return Activity(running=locked, told=told if locked else "")


def _of_killed(study: Path, holder: Holder) -> Activity:
    told = f"killed: the run of {holder}; msimaging run {study} goes on"
    if holder.profile == "default" or not has_slurm():
        return Activity(running=False, told=told)
    jobs = jobs_of(study)
    if jobs is None:
        return Activity(running=True, told=f"{told}; Slurm does not tell which jobs are left")
    left = ", ".join(job.number for job in jobs)
    told += f"; its jobs are still on the cluster: {left}" if left else ""
    return Activity(running=bool(jobs), told=told)
