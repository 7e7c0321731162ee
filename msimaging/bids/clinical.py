"""The tables of a dataset that hold what was asked, examined and sampled, besides the scans."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msimaging.bids.names import natural_key
from msimaging.bids.rows import read_rows, write_rows

TableKind = Literal["participants", "sessions", "phenotype", "treatments", "adverse_events"]
TABLE_COLUMNS = ("path", "kind")
#: The study's list of them, which ``index`` writes.
TABLE_LIST = "clinical_tables.tsv"
_MONTH = re.compile(r"(?:^|[^a-z])(?:month|mon|m)[-_]?(\d+)$", re.IGNORECASE)
_FIRST = re.compile(r"baseline|^bl$|^base$|screening", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalTable:
    """One table below the BIDS folder.

    Attributes
    ----------
    path : str
        Below the BIDS folder.
    kind : str
        ``participants``, ``sessions`` (of one patient), ``phenotype``, ``treatments`` or
        ``adverse_events``.
    """

    path: str
    kind: TableKind

    @property
    def participant_id(self) -> str:
        """Return whose sessions these are; empty for tables of all patients."""
        return self.path.split("/")[0] if self.kind == "sessions" else ""


def find_tables(bids_dir: Path) -> list[ClinicalTable]:
    """List the clinical tables of a dataset.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.

    Returns
    -------
    list of ClinicalTable
        Participants, sessions in natural order, then those in ``phenotype``.
    """
    tables = []
    if (bids_dir / "participants.tsv").is_file():
        tables.append(ClinicalTable(path="participants.tsv", kind="participants"))
    with os.scandir(bids_dir) as entries:
        patients = [e.name for e in entries if e.name.startswith("sub-") and e.is_dir()]
    for name in sorted(patients, key=natural_key):
        path = f"{name}/{name}_sessions.tsv"
        if (bids_dir / path).is_file():
            tables.append(ClinicalTable(path=path, kind="sessions"))
    folder = bids_dir / "phenotype"
    names = sorted(path.name for path in folder.glob("*.tsv")) if folder.is_dir() else []
    special: dict[str, TableKind] = {
        "treatments.tsv": "treatments",
        "adverse_events.tsv": "adverse_events",
    }
    tables += [
        ClinicalTable(path=f"phenotype/{name}", kind=special.get(name, "phenotype"))
        for name in names
    ]
    return tables


def write_table_list(study: Path, tables: Iterable[ClinicalTable]) -> None:
    """Write the study's list of clinical tables."""
    rows = [{"path": table.path, "kind": table.kind} for table in tables]
    write_rows(study / TABLE_LIST, TABLE_COLUMNS, rows)


def read_table_list(study: Path) -> tuple[ClinicalTable, ...]:
    """Read the study's list; empty where an older ``index`` wrote none."""
    path = study / TABLE_LIST
    if not path.exists():
        return ()
    return tuple(
        ClinicalTable(path=row["path"], kind=row["kind"])  # type: ignore[arg-type] # our own table
        for row in read_rows(path)
    )


def visits_in_tables(bids_dir: Path, tables: Iterable[ClinicalTable]) -> list[dict[str, str]]:
    """List patients and visits that the tables name, for a study without any scan.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    tables : iterable of ClinicalTable
        Its tables.

    Returns
    -------
    list of dict
        ``participant_id session_id acq_time``; patients in natural order, visits by date, else by
        the month that their names tell.
    """
    dates: dict[tuple[str, str], str] = {}
    for table in tables:
        if table.kind not in {"sessions", "phenotype"}:
            continue
        for row in read_rows(bids_dir / table.path):
            patient = table.participant_id or row.get("participant_id", "")
            session = row.get("session_id", "")
            if patient.startswith("sub-") and session.startswith("ses-"):
                date = row.get("acq_time", "") if table.kind == "sessions" else ""
                dates[patient, session] = dates.get((patient, session), "") or date
    rows = [
        {"participant_id": patient, "session_id": session, "acq_time": date}
        for (patient, session), date in dates.items()
    ]
    return sorted(rows, key=_in_order_of_time)


def _in_order_of_time(row: dict[str, str]) -> tuple[object, ...]:
    months = nominal_months(row["session_id"])
    last = float("inf") if months is None else months
    return (
        natural_key(row["participant_id"]),
        row["acq_time"] or "9",
        last,
        natural_key(row["session_id"]),
    )


def nominal_months(session_id: str) -> float | None:
    """Return the month that the name of a session tells, None where it tells none.

    Parameters
    ----------
    session_id : str
        With or without its ``ses-``.

    Returns
    -------
    float or None
        0 for a baseline.

    Examples
    --------
    >>> nominal_months("ses-month06"), nominal_months("ses-baseline"), nominal_months("ses-A")
    (6.0, 0.0, None)
    """
    label = session_id.removeprefix("ses-")
    if _FIRST.search(label):
        return 0.0
    found = _MONTH.search(f" {label}")
    return float(found.group(1)) if found else None
