"""One life of Snakemake: started, followed line by line, ended when it must be."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from msimaging.study.cluster import jobs_of
from msimaging.study.lock import StudyLock, end_group
from msimaging.study.watch import Watchdog

_PROGRESS = re.compile(r"^(\d+) of (\d+) steps \((\d+)%\) done")
_STARTED = re.compile(r"^\s*(?:local)?rule (\w+):")
#: Seconds in which an interrupted Snakemake may cancel its jobs.
_FAREWELL = 120


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


class SnakemakeRun:
    """One life of Snakemake."""

    def __init__(
        self,
        study: Path,
        command: Sequence[str],
        lock: StudyLock,
        *,
        record: TextIO,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.locked = False
        self._study = study
        self._command = command
        self._lock = lock
        self._record = record
        self._on_progress = on_progress
        self._progress = Progress(done=0, total=0, step="")

    def until_end(self, deadline: float) -> tuple[int, bool]:
        """Return the exit code, and whether the run was ended because it was lost."""
        with subprocess.Popen(  # noqa: S603 - the command is our own, no shell reads it
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(self._study),
            # a group of its own, so that a later run can end all of it
            start_new_session=True,
        ) as process:
            self._lock.names_group(process.pid)
            watchdog = Watchdog(
                process.pid,
                deadline=deadline or float("inf"),
                has_jobs=lambda: _has_jobs(self._study),
                end=lambda: end_group(process.pid),
                beat=self._lock.beat,
            )
            try:
                with _stopped_by_signals(), watchdog:
                    self._follow(process, watchdog)
            except KeyboardInterrupt:
                self._stop(process)
                raise
            # local jobs that outlived a killed Snakemake hold its output open no longer
        return process.returncode, watchdog.lost

    def _follow(self, process: subprocess.Popen[str], watchdog: Watchdog) -> None:
        working = False
        for line in process.stdout or ():
            self._record.write(line)
            self._record.flush()
            self.locked |= line.startswith("LockException")
            started, progress = _STARTED.match(line), _PROGRESS.match(line)
            working |= bool(started)
            if working:
                watchdog.heard()
            if started:
                self._progress = replace(self._progress, step=started.group(1))
            elif progress:
                done, total = int(progress.group(1)), int(progress.group(2))
                self._progress = replace(self._progress, done=done, total=total)
            else:
                continue
            self._on_progress(self._progress)

    def _stop(self, process: subprocess.Popen[str]) -> None:
        """Let Snakemake cancel its jobs; a second interrupt, or two minutes, end it hard."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=_FAREWELL)
            self._record.write(rest)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            end_group(process.pid)
        unlock(self._study)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Take a closed terminal and a polite end as an interrupt."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # nohup's wish is kept
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_jobs(study: Path) -> bool | None:
    jobs = jobs_of(study)
    return None if jobs is None else bool(jobs)


def unlock(study: Path) -> None:
    """Remove the lock of a Snakemake that is known to be dead."""
    shutil.rmtree(study / ".snakemake" / "locks", ignore_errors=True)


def _environment(study: Path) -> dict[str, str]:
    # one thread per job: the same bytes everywhere, and no two jobs fight for a core
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Snakemake keeps copies of sources there; a home folder may be read-only or full
    cache = {"XDG_CACHE_HOME": str(study / ".msimaging" / "cache")}
    return {**os.environ, **threads, **cache, "PYTHONUNBUFFERED": "1"}
