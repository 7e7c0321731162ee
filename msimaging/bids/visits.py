"""The visits table: who was scanned when, with which scan for which modality.

``visits.tsv`` belongs to the people of the study, ``scans.tsv`` (which metadata files go with
which scan) and ``exclusions.tsv`` (what the check refused) to the program. Together with the
settings they determine every job. Only the standard library is imported: every cluster job reads
these tables again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import Literal, TypeGuard

from msimaging.bids.names import is_label
from msimaging.bids.rows import read_rows
from msimaging.errors import ConfigError, Finding

Modality = Literal["dwi", "bold"]
MODALITIES: tuple[Modality, ...] = ("dwi", "bold")
PairRule = Literal["to-baseline", "consecutive", "all"]

#: Mean length of a month in days, Gregorian calendar.
DAYS_PER_MONTH = 365.2425 / 12
#: What stands between the candidates of a cell in which a person has still to choose.
UNDECIDED = " | "
VISIT_COLUMNS = (
    "participant_id",
    "session_id",
    "acq_time",
    "months",
    "dwi",
    "bold",
    "anat",
    "exclude",
    "rescan",
)
EXCLUSION_COLUMNS = ("participant_id", "session_id", "modality", "reason")


def is_decided(cell: str | None) -> TypeGuard[str]:
    """Tell whether a cell names one file: neither nothing nor candidates to choose from."""
    return bool(cell) and UNDECIDED not in str(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One patient at one visit.

    Attributes
    ----------
    participant_id, session_id : str
        ``sub-01`` and ``ses-baseline``.
    acq_time : datetime or None
        Date of the scan.
    months : float or None
        Months since the patient's first visit.
    dwi, bold, anat : str or None
        Path of the scan below the BIDS folder, or from the root when it lies elsewhere; holds
        `UNDECIDED` where several wait for a choice.
    exclude : str or None
        The reason for which a person left the visit out.
    rescan : bool
        Whether nothing happened between the visit before and this one but time: an untreated
        repeat, as of healthy people. It tells how much a rescan adds and is never compared as a
        patient's follow-up.
    row : int
        Line in the table, for messages.
    """

    participant_id: str
    session_id: str
    acq_time: datetime | None
    months: float | None
    dwi: str | None
    bold: str | None
    anat: str | None = None
    exclude: str | None
    rescan: bool = False
    row: int

    def scan(self, modality: Modality) -> str | None:
        """Return the path of the scan of one modality."""
        return self.dwi if modality == "dwi" else self.bold


def pair_name(baseline: str, follow_up: str) -> str:
    """Return the label of a pair of sessions, for example ``baselineToMonth06``."""
    first, second = baseline.removeprefix("ses-"), follow_up.removeprefix("ses-")
    return f"{first}To{second[0].upper()}{second[1:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitPair:
    """Two visits of one patient, in the order of time."""

    baseline: Visit
    follow_up: Visit

    @property
    def participant_id(self) -> str:
        """Return the patient of both visits."""
        return self.baseline.participant_id

    @property
    def sessions(self) -> tuple[str, str]:
        """Return both sessions, with their prefixes."""
        return (self.baseline.session_id, self.follow_up.session_id)

    @property
    def name(self) -> str:
        """Return the label of the pair, for example ``baselineToMonth06``."""
        return pair_name(*self.sessions)

    @property
    def key(self) -> tuple[str, str, str]:
        """Return the patient and both sessions."""
        return (self.participant_id, *self.sessions)

    @property
    def months(self) -> float | None:
        """Return the interval in months, None where a date is missing."""
        if self.baseline.months is None or self.follow_up.months is None:
            return None
        return self.follow_up.months - self.baseline.months


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """All visits of a study, each patient's in the order of time."""

    rows: tuple[Visit, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Return the patients in the order of the table."""
        return tuple(dict.fromkeys(visit.participant_id for visit in self.rows))

    def having(self, modality: Modality) -> Visits:
        """Return the visits that have a decided, not excluded scan of a modality."""
        kept = (visit for visit in self.rows if visit.exclude is None and visit.scan(modality))
        return Visits(rows=tuple(v for v in kept if UNDECIDED not in (v.scan(modality) or "")))

    def of(self, participant_id: str) -> tuple[Visit, ...]:
        """Return one patient's visits in the order of time."""
        return tuple(visit for visit in self.rows if visit.participant_id == participant_id)

    def by_patient(self) -> dict[str, tuple[Visit, ...]]:
        """Return the visits of every patient."""
        grouped: dict[str, list[Visit]] = {}
        for visit in self.rows:
            grouped.setdefault(visit.participant_id, []).append(visit)
        return {patient: tuple(visits) for patient, visits in grouped.items()}

    def pairs(self, rule: PairRule = "to-baseline") -> tuple[VisitPair, ...]:
        """Return the pairs of visits that are compared.

        Parameters
        ----------
        rule : {"to-baseline", "consecutive", "all"}
            Every visit with the patient's first, each with the one before, or all pairs.

        Returns
        -------
        tuple of VisitPair
            Patients with one visit have none; rescans are in no pair.
        """
        pairs: list[VisitPair] = []
        for all_visits in self.by_patient().values():
            visits = [visit for visit in all_visits if not visit.rescan]
            if rule == "to-baseline":
                chosen = [(visits[0], later) for later in visits[1:]]
            elif rule == "consecutive":
                chosen = list(pairwise(visits))
            else:
                chosen = list(combinations(visits, 2))
            pairs.extend(VisitPair(baseline=a, follow_up=b) for a, b in chosen)
        return tuple(pairs)

    def repeats(self) -> tuple[tuple[Visit, ...], ...]:
        """Return each visit that was repeated without treatment, with its repeats."""
        series: list[list[Visit]] = []
        for visits in self.by_patient().values():
            for place, visit in enumerate(visits):
                if visit.rescan and place:
                    series[-1].append(visit)
                else:
                    series.append([visit])
        return tuple(tuple(one) for one in series if len(one) > 1)


def read_visits(path: Path) -> Visits:
    """Read and validate ``visits.tsv``.

    Parameters
    ----------
    path : Path
        The table.

    Returns
    -------
    Visits
        With months since each patient's first visit computed from the dates.

    Raises
    ------
    ConfigError
        With every fault of the table.
    """
    visits, findings = parse_visits(path)
    if findings:
        raise ConfigError(findings)
    return visits


def parse_visits(path: Path) -> tuple[Visits, list[Finding]]:
    """Read ``visits.tsv`` and list its faults beside what could be read.

    Parameters
    ----------
    path : Path
        The table.

    Returns
    -------
    visits : Visits
        Every row, the faulty ones too.
    findings : list of Finding
        Faults of the table.

    Raises
    ------
    ConfigError
        When the file is not a table of visits at all.
    """
    rows = read_rows(path)
    missing = [name for name in VISIT_COLUMNS[:2] if not rows or name not in rows[0]]
    if missing:
        fault = _fault(path, "visits.tsv must name its visits", f"no {' and no '.join(missing)}")
        raise ConfigError([fault])
    findings: list[Finding] = []
    visits = [_visit(path, row, line, findings) for line, row in enumerate(rows, start=2)]
    findings += _duplicates(path, visits)
    findings += _shared_scans(path, visits)
    with_months: list[Visit] = []
    for patient_visits in Visits(rows=tuple(visits)).by_patient().values():
        findings += _out_of_order(path, patient_visits)
        with_months += _months_since_first(patient_visits)
    return Visits(rows=tuple(with_months)), findings


def _fault(path: Path, rule: str, found: str, *, row: int | None = None) -> Finding:
    where = f"{path}" if row is None else f"{path} line {row}"
    return Finding(where=where, rule=rule, found=found, remedy="Correct the table and run again.")


def _visit(path: Path, row: Mapping[str, str], line: int, findings: list[Finding]) -> Visit:
    for column, prefix in (("participant_id", "sub-"), ("session_id", "ses-")):
        text = row[column]
        if not text.startswith(prefix) or not is_label(text.removeprefix(prefix)):
            rule = f"{column} must be {prefix} followed by letters and digits"
            findings.append(_fault(path, rule, repr(text), row=line))
    return Visit(
        participant_id=row["participant_id"],
        session_id=row["session_id"],
        acq_time=_date(path, row.get("acq_time", ""), line, findings),
        months=_number(path, row.get("months", ""), line, findings),
        dwi=row.get("dwi") or None,
        bold=row.get("bold") or None,
        anat=row.get("anat") or None,
        exclude=row.get("exclude") or None,
        rescan=_yes(path, row.get("rescan", ""), line, findings),
        row=line,
    )


def _yes(path: Path, text: str, line: int, findings: list[Finding]) -> bool:
    if text.lower() not in {"", "yes", "no"}:
        findings.append(_fault(path, "rescan must be yes or no", repr(text), row=line))
    return text.lower() == "yes"


def _date(path: Path, text: str, line: int, findings: list[Finding]) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        rule = "acq_time must be a date such as 2026-03-09 or 2026-03-09T14:30:00"
        findings.append(_fault(path, rule, repr(text), row=line))
        return None


def _number(path: Path, text: str, line: int, findings: list[Finding]) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        findings.append(_fault(path, "months must be a number", repr(text), row=line))
        return None


def _duplicates(path: Path, visits: Iterable[Visit]) -> list[Finding]:
    seen: dict[tuple[str, str], int] = {}
    findings = []
    for visit in visits:
        key = (visit.participant_id, visit.session_id)
        if key in seen:
            found = f"{' '.join(key)} in line {seen[key]} and again here"
            findings.append(_fault(path, "one row per patient and visit", found, row=visit.row))
        seen.setdefault(key, visit.row)
    return findings


def _shared_scans(path: Path, visits: Iterable[Visit]) -> list[Finding]:
    seen: dict[str, Visit] = {}
    findings = []
    for visit in visits:
        for scan in filter(None, (visit.dwi, visit.bold)):
            first = seen.setdefault(scan, visit)
            if (first.participant_id, first.session_id) != (visit.participant_id, visit.session_id):
                found = f"{scan} in line {first.row} and again here"
                findings.append(_fault(path, "a scan belongs to one visit", found, row=visit.row))
    return findings


def _out_of_order(path: Path, visits: tuple[Visit, ...]) -> list[Finding]:
    findings = []
    # a repeated row is told as such, not as one more date
    once = {visit.session_id: visit for visit in reversed(visits)}
    dated = [v for v in visits if v.acq_time is not None and once[v.session_id] is v]
    for earlier, later in pairwise(dated):
        if earlier.acq_time and later.acq_time and later.acq_time <= earlier.acq_time:
            found = (
                f"{later.participant_id} {later.session_id} on {later.acq_time:%Y-%m-%d}, but "
                f"{earlier.session_id} above it on {earlier.acq_time:%Y-%m-%d}"
            )
            rule = "the visits of a patient must stand in the order of their dates"
            findings.append(_fault(path, rule, found, row=later.row))
    return findings


def _months_since_first(visits: tuple[Visit, ...]) -> list[Visit]:
    first = visits[0].acq_time
    if first is None:
        return list(visits)
    return [
        visit
        if visit.acq_time is None
        else replace(visit, months=round((visit.acq_time - first).days / DAYS_PER_MONTH, 2))
        for visit in visits
    ]


def without_exclusions(visits: Visits, path: Path) -> Visits:
    """Take out the scans that the check refused.

    Parameters
    ----------
    visits : Visits
        All visits.
    path : Path
        ``exclusions.tsv``; nothing is excluded where it does not exist.

    Returns
    -------
    Visits
        With the refused scans removed from their visits.
    """
    if not path.exists():
        return visits
    refused = {(r["participant_id"], r["session_id"], r["modality"]) for r in read_rows(path)}
    return Visits(rows=tuple(_without_refused(visit, refused) for visit in visits.rows))


def _without_refused(visit: Visit, refused: set[tuple[str, str, str]]) -> Visit:
    key = (visit.participant_id, visit.session_id)
    return replace(
        visit,
        dwi=None if (*key, "dwi") in refused else visit.dwi,
        bold=None if (*key, "bold") in refused else visit.bold,
    )
