"""Whether a run that says nothing still waits for something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil


class Watchdog:
    """Ends a process that has been waiting for nothing for too long.

    A run is lost when, for the whole deadline, it said nothing, had no process of its own at work
    and the cluster, when asked, knew of no job of the study. A cluster that does not answer proves
    nothing.

    Parameters
    ----------
    pid : int
        The process that is watched.
    deadline : float
        Seconds.
    has_jobs : callable
        Whether the study has jobs on the cluster; None when the cluster does not answer.
    end : callable
        Ends the process.
    beat : callable
        Called at every look: a sign of life for others.
    """

    def __init__(
        self,
        pid: int,
        *,
        deadline: float,
        has_jobs: Callable[[], bool | None],
        end: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        self.lost = False
        self._pid = pid
        self._deadline = deadline
        self._has_jobs = has_jobs
        self._end = end
        self._beat = beat
        self._ended = threading.Event()
        self._quiet_since = float("inf")
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def heard(self) -> None:
        """Note that the process said something; nothing is lost before it has said anything."""
        self._quiet_since = time.monotonic()

    def _watch(self) -> None:
        pause = min(30.0, max(0.2, self._deadline / 5))
        while not self._ended.wait(pause):
            self._beat()
            if time.monotonic() - self._quiet_since < pause:
                continue
            if self._at_work() or self._has_jobs() is not False:
                self._quiet_since = max(self._quiet_since, time.monotonic())
            elif time.monotonic() - self._quiet_since > self._deadline:
                self.lost = True
                self._end()
                return

    def _at_work(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self._pid).children())
        return True
