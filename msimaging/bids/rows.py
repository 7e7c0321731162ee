"""The study's own tables as rows of text, with the standard library only."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msimaging.errors import ConfigError, Finding


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a TSV as a list of rows; every value is text.

    Parameters
    ----------
    path : Path
        Table with a header.

    Returns
    -------
    list of dict
        Empty cells and ``n/a`` become the empty text.

    Raises
    ------
    ConfigError
        When the file is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t"))
    except (OSError, UnicodeDecodeError) as error:
        fault = Finding(
            where=str(path),
            rule="the study's table must be readable",
            found=str(error),
            remedy="Make it with: msimaging index BIDS STUDY",
        )
        raise ConfigError([fault]) from error
    return [{key: _value(cell) for key, cell in row.items() if key} for row in rows]


def _value(cell: str | None) -> str:
    text = (cell or "").strip()
    return "" if text.lower() == "n/a" else text


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as TSV under a temporary name and move the file into place.

    Parameters
    ----------
    path : Path
        Table to write.
    columns : iterable of str
        Header.
    rows : iterable of mapping
        None and the empty text become ``n/a``.
    """
    names = list(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of its own for each writer: two at once must not mix their rows
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
            writer.writerow(names)
            writer.writerows([row.get(name) or "n/a" for name in names] for row in rows)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
