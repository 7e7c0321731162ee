"""The record of blinding: when pages were masked, and when and by whom they were unmasked."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path

from msimaging.bids.rows import read_rows, write_rows

COLUMNS = ("time", "user", "event")


def record_blinding(path: Path, *, blind: bool) -> None:
    """Add a line whenever the pages change between masked and unmasked.

    Parameters
    ----------
    path : Path
        ``blinding.tsv`` of the study; a study that was never masked has none.
    blind : bool
        Whether the pages written now are masked.
    """
    rows = read_rows(path) if path.exists() else []
    event = "masked" if blind else "unmasked"
    before = rows[-1]["event"] if rows else "unmasked"
    if event == before:
        return
    time = datetime.now(UTC).isoformat(timespec="seconds")
    write_rows(path, COLUMNS, [*rows, {"time": time, "user": _user(), "event": event}])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no entry for its user
        return "unknown"
