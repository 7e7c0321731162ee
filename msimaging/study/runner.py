"""Run the workflow on a study: Snakemake does the work, this watches it and tells how it ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from msimaging.bids.jobs import jobs_of
from msimaging.bids.layout import output
from msimaging.bids.ledger import Entry, read_ledger
from msimaging.bids.plan import Plan
from msimaging.errors import ConfigError, Finding
from msimaging.settings import WORKFLOW, read_settings
from msimaging.steps.write_ledger import write_ledger
from msimaging.study.cluster import Orphans, is_cluster_profile, settle_orphans
from msimaging.study.integrity import find_damage, mark_for_repair, remember_files
from msimaging.study.lock import StudyLock
from msimaging.study.process import Progress, SnakemakeRun, unlock
from msimaging.study.run_log import RUN_LOG

#: Exit codes of the command line.
DONE, FAILED, UNUSABLE, DONE_WITH_EXCLUSIONS = 0, 1, 2, 3
#: So often a run that was lost is resumed before it is given up.
_RESUMES = 5
#: So many damaged files are named one by one.
_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a study is to be run.

    Attributes
    ----------
    profile : str
        Folder below ``workflow/profiles``, or a path.
    cores : int or None
        Jobs at once on this machine (None: all its cores); with a cluster profile the most cores
        of one submission (None: the profile's).
    orphans : {"cancel", "wait"}
        What is done with cluster jobs of a run that was killed.
    lost_after : float
        Seconds after which a cluster run that waits for nothing is resumed; 0 never.
    take_over : bool
        Take the study from a run on another machine.
    extra : tuple of str
        Further arguments for Snakemake.
    """

    profile: str = "default"
    cores: int | None = None
    orphans: Orphans = "cancel"
    lost_after: float = 900
    take_over: bool = False
    extra: tuple[str, ...] = ()


def perform(
    study: Path,
    options: RunOptions,
    lock: StudyLock,
    *,
    on_progress: Callable[[Progress], None],
    tell: Callable[[str], None],
) -> int:
    """Run a checked study from whatever state the last run left it in.

    Parameters
    ----------
    study : Path
        Study folder.
    options : RunOptions
        How.
    lock : StudyLock
        Held by the caller.
    on_progress, tell : callable
        Told how far the run is, and what had to be put right.

    Returns
    -------
    int
        Snakemake's exit code.

    Raises
    ------
    ConfigError
        When another run, or its jobs, cannot be got out of the way.
    """
    on_cluster = is_cluster_profile(profile_folder(options.profile))
    if lock.left_by:
        tell(f"the run of {lock.left_by.user} since {lock.left_by.since} was killed; going on")
        of_cluster = lock.left_by.profile != "default"
        unlock(study)
    else:
        of_cluster = False
    settle_orphans(study, how=options.orphans, tell=tell, required=on_cluster or of_cluster)
    gone = mend(study, tell)
    command = snakemake_command(study, options)
    # before an option, because a list of files ends there
    command[3:3] = ["--forcerun", *gone] if gone else []
    return run_workflow(
        study,
        command,
        lock,
        on_progress=on_progress,
        tell=tell,
        deadline=options.lost_after if on_cluster else 0,
    )


def mend(study: Path, tell: Callable[[str], None]) -> list[str]:
    """Have Snakemake make again what was damaged since the last run.

    Parameters
    ----------
    study : Path
        Study folder.
    tell : callable
        Told one line for each file.

    Returns
    -------
    list of str
        Results that Snakemake has to be told to make: nothing may wait for them any more.
    """
    plan = Plan.of_study(study, read_settings(study / "config.yaml"))
    damage = find_damage(study, plan)
    gone = mark_for_repair(study, damage)
    for line in damage[:_TOLD]:
        tell(f"made again: {line}")
    if len(damage) > _TOLD:
        tell(f"made again: {len(damage) - _TOLD} more")
    asked_for = {path for job in jobs_of(plan) for path in job.outputs} if gone else set()
    return sorted(asked_for.intersection(gone))


def profile_folder(profile: str) -> Path:
    """Return the folder of a profile.

    Parameters
    ----------
    profile : str
        Folder below ``workflow/profiles``, or a path.

    Returns
    -------
    Path
        It exists.

    Raises
    ------
    ConfigError
        When there is no such profile.
    """
    named = WORKFLOW / "workflow" / "profiles" / profile
    folder = named if named.is_dir() else Path(profile)
    if not (folder / "config.yaml").is_file():
        known = ", ".join(sorted(path.name for path in named.parent.iterdir()))
        fault = Finding(
            where="--profile",
            rule=f"a profile is a folder with a config.yaml, or one of {known}",
            found=profile,
            remedy="Name one of these, or give the path of your own.",
        )
        raise ConfigError([fault])
    return folder


def snakemake_command(study: Path, options: RunOptions) -> list[str]:
    """Return the Snakemake call behind ``msimaging run``.

    Parameters
    ----------
    study : Path
        Study folder.
    options : RunOptions
        How it is to be run.

    Returns
    -------
    list of str
        Program and arguments.

    Raises
    ------
    ConfigError
        When there is no such profile.
    """
    profile = profile_folder(options.profile)
    command = [sys.executable, "-m", "snakemake"]
    command += ["--snakefile", str(WORKFLOW / "Snakefile")]
    command += ["--directory", str(study), "--configfile", str(study / "config.yaml")]
    command += ["--workflow-profile", str(profile)]
    if is_cluster_profile(profile):
        # how many cores this machine has does not matter there
        command += ["--cores", str(options.cores)] if options.cores else []
    else:
        command += ["--cores", str(options.cores or os.cpu_count() or 1)]
        # jobs side by side must fit into memory together
        command += ["--resources", f"mem_mb={psutil.virtual_memory().total // 1_000_000}"]
    command += ["--rerun-incomplete"]
    return [*command, *options.extra]


def run_workflow(
    study: Path,
    command: Sequence[str],
    lock: StudyLock,
    *,
    on_progress: Callable[[Progress], None],
    tell: Callable[[str], None],
    deadline: float = 0,
) -> int:
    """Start Snakemake, keep its output in ``logs/run.log``, and see to it that it goes on.

    Parameters
    ----------
    study : Path
        Study folder.
    command : sequence of str
        From `snakemake_command`.
    lock : StudyLock
        Held by the caller.
    on_progress : callable
        Called at each job that starts or ends.
    tell : callable
        Told when the run is resumed.
    deadline : float
        Seconds after which a run that waits for nothing is ended and resumed; 0 never does.

    Returns
    -------
    int
        Snakemake's exit code.

    Raises
    ------
    ConfigError
        When a Snakemake that was not started by `msimaging run` holds the study, or left its lock.
    """
    path = study / RUN_LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as record:
        for _ in range(1 + _RESUMES):
            run = SnakemakeRun(study, command, lock, record=record, on_progress=on_progress)
            returncode, lost = run.until_end(deadline)
            if run.locked:
                raise ConfigError([_locked(study)])
            if returncode < 0:  # killed: nobody else has removed its lock
                unlock(study)
            if not lost:
                return returncode
            tell("Snakemake waited for jobs that the cluster no longer has; the run is resumed")
    return returncode


def _locked(study: Path) -> Finding:
    return Finding(
        where=str(study),
        rule="one run at a time works on a study",
        found="the lock of a Snakemake that msimaging run did not start",
        remedy="Wait until it has ended. If it is dead: "
        f"msimaging run {study} -- --unlock, then run again.",
    )


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
    plan = Plan.of_study(study, settings)
    entries = read_ledger(study, plan)
    # some runs are to stop on the way
    complete = returncode == 0 and all(entry.state != "pending" for entry in entries)
    if not complete:  # the job that writes it was not reached
        write_ledger(study=study, settings=settings, out_table=study / output("ledger"))
    remember_files(study, plan, complete=complete)
    if returncode:
        return FAILED, entries
    excluded = any(entry.state == "excluded" for entry in entries)
    return (DONE_WITH_EXCLUSIONS if excluded else DONE), entries
