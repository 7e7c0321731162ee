"""One run at a time works on a study: who holds it, whether that run lives, taking it over."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from msimaging.errors import ConfigError, Finding

LOCK = Path(".msimaging") / "lock.json"
#: Clocks of process tables are that coarse, in seconds.
_SAME_START = 2.0
#: A process that was killed may take so many seconds to disappear.
_PATIENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The run that holds a study.

    Attributes
    ----------
    host, user, pid : str, str, int
        Where, who, and as which process.
    started : float
        When that process began, seconds since 1970; tells it from a later one of the same number.
    since : str
        When the run began, ISO 8601 in UTC.
    profile : str
        Of the run.
    group : int
        Process group of Snakemake and its local jobs; 0 before it is started.
    """

    host: str
    user: str
    pid: int
    started: float
    since: str
    profile: str
    group: int = 0

    def __str__(self) -> str:
        """Return who, where and since when, for people."""
        return f"{self.user} on {self.host}, process {self.pid}, since {self.since}"

    @property
    def here(self) -> bool:
        """Return whether it runs on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Return whether the process is still there; only known on its own machine."""
        return _is_process(self.pid, self.started)


def _is_process(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _SAME_START
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class StudyLock:
    """A study that is held; made by `hold_study`."""

    def __init__(self, study: Path, holder: Holder, *, left_by: Holder | None) -> None:
        self._path = study / LOCK
        self._holder = holder
        self.left_by = left_by

    def names_group(self, group: int) -> None:
        """Write down the process group of Snakemake, so that a later run can end it."""
        self._holder = replace(self._holder, group=group)
        _write(self._path, self._holder)

    def beat(self) -> None:
        """Show that the run is alive, for those who look from other machines."""
        with suppress(OSError):
            os.utime(self._path)

    def release(self) -> None:
        """Give the study free, unless somebody took it over."""
        if _read(self._path) == self._holder:
            self._path.unlink(missing_ok=True)


@contextmanager
def hold_study(study: Path, *, profile: str, take_over: bool = False) -> Iterator[StudyLock]:
    """Hold a study while a run works on it.

    Parameters
    ----------
    study : Path
        Study folder.
    profile : str
        Of the run, for others to see.
    take_over : bool
        Take it from a run on another machine, which cannot be asked from here.

    Yields
    ------
    StudyLock
        Its ``left_by`` is the run that was killed and left the lock, None where there was none.

    Raises
    ------
    ConfigError
        When another run holds it.
    """
    path = study / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = _this_run(profile)
    left_by = None
    while not _acquired(path, holder):
        other = _read(path)
        if other is None:  # released in between, or cut off when a disk was full
            _remove(path, other)
            continue
        if (other.here and other.alive) or not (other.here or take_over):
            raise ConfigError([_held(study, other)])
        _remove(path, other)
        left_by = other
    lock = StudyLock(study, holder, left_by=left_by)
    try:
        if left_by and left_by.here and left_by.group:
            end_group(left_by.group)
        yield lock
    finally:
        lock.release()


def holder_of(study: Path) -> Holder | None:
    """Return the run that holds a study, or that was killed while it did; None without one.

    Parameters
    ----------
    study : Path
        Study folder; nothing in it is changed.
    """
    return _read(study / LOCK)


def last_sign_of_life(study: Path) -> str:
    """Tell how long ago the run that holds a study was seen alive; empty when the lock is gone.

    Parameters
    ----------
    study : Path
        Study folder.
    """
    try:
        silent = time.time() - (study / LOCK).stat().st_mtime
    except OSError:
        return ""
    return f", last sign of life {max(0, silent) / 60:.0f} min ago"


def _this_run(profile: str) -> Holder:
    return Holder(
        host=socket.gethostname(),
        user=_user(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        profile=profile,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in containers
        return str(os.getuid())


def _acquired(path: Path, holder: Holder) -> bool:
    """Put the lock there if there is none; a link is atomic on network file systems too."""
    temporary = path.with_name(f"{path.name}.{holder.host}.{holder.pid}")
    temporary.write_text(json.dumps(asdict(holder)), encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _write(path: Path, holder: Holder) -> None:
    temporary = path.with_name(f"{path.name}.{holder.host}.{holder.pid}")
    temporary.write_text(json.dumps(asdict(holder)), encoding="utf-8")
    temporary.replace(path)


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _remove(path: Path, judged: Holder | None) -> None:
    """Remove the lock that was judged, and no other that came in between."""
    aside = path.with_name(f"{path.name}.stale.{os.getpid()}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if _read(aside) != judged:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _held(study: Path, other: Holder) -> Finding:
    found = str(other)
    if other.here:
        remedy = f"Wait until it has ended, or stop it there: kill -INT {other.pid}"
    else:
        found += last_sign_of_life(study)
        remedy = (
            f"Wait until it has ended. If you know that it is dead (look on {other.host}): "
            f"msimaging run {study} --take-over"
        )
    return Finding(
        where=str(study), rule="one run at a time works on a study", found=found, remedy=remedy
    )


def end_group(group: int) -> None:
    """Kill what is left of a process group and wait until it is gone.

    Parameters
    ----------
    group : int
        A number that the system has given to no other as long as a member lives.
    """
    deadline = time.monotonic() + _PATIENCE
    while _members(group) and time.monotonic() < deadline:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        time.sleep(0.1)


def _members(group: int) -> list[int]:
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
