"""The clinical tables of a study, read by their declarations: every fault with row and column."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from msimaging.bids.clinical import ClinicalTable, nominal_months
from msimaging.bids.rows import read_rows
from msimaging.bids.visits import DAYS_PER_MONTH, Visits
from msimaging.errors import Finding, InputError
from msimaging.statistics.outcomes import OutcomeDeclaration, read_cells, unit_fault
from msimaging.steps.outcome_values import Value, composite_values

#: Columns that may hold the date of a row, the first that is there counts.
DATE_COLUMNS = ("acq_time", "date", "assessment_date", "acq_date", "visit_date", "start_date")
SESSION_COLUMN_NOTE = (
    "phenotype tables with a session_id column are read; the BIDS validator refuses that column "
    "and wants values per visit in sub-X_sessions.tsv"
)


@dataclass(slots=True, kw_only=True)
class ClinicalData:
    """What the clinical tables hold.

    Attributes
    ----------
    values : list of Value
        One for each cell that holds an outcome.
    people : dict
        Row of ``participants.tsv`` of every patient.
    months : dict
        From patient and session to months since the patient's first visit.
    treatments, events : list of dict
        Rows with ``participant_id months`` and their own columns.
    findings : list of Finding
        Faults, warnings and notes.
    """

    values: list[Value] = field(default_factory=list)
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    months: dict[tuple[str, str], float] = field(default_factory=dict)
    treatments: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def declarations_of(settings: Mapping[str, Any]) -> dict[str, OutcomeDeclaration]:
    """Return the declared outcomes by name."""
    fields = set(OutcomeDeclaration.__dataclass_fields__) - {"name"}
    declared = {}
    for name, given in settings["outcomes"].items():
        known = {key: value for key, value in given.items() if key in fields}
        if "levels" in known:
            known["levels"] = tuple(float(level) for level in known["levels"])
        if known["type"] == "msfc":
            known = {"units": "z", "better": "higher"} | known
        declared[name] = OutcomeDeclaration(name=name, **known)
    return declared


def read_clinical(
    bids_dir: Path,
    tables: Sequence[ClinicalTable],
    visits: Visits,
    settings: Mapping[str, Any],
) -> ClinicalData:
    """Read every clinical table of a study.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    tables : sequence of ClinicalTable
        From the study's list.
    visits : Visits
        Of ``visits.tsv``.
    settings : mapping
        Complete settings.

    Returns
    -------
    ClinicalData
        With all findings together; nothing is raised.
    """
    reader = _Reader(bids_dir, visits, settings)
    order = ("participants", "sessions", "phenotype", "treatments", "adverse_events")
    for table in sorted(tables, key=lambda table: order.index(table.kind)):
        reader.read(table)
    reader.check_columns()
    composed, findings = composite_values(reader.data.values, declarations_of(settings))
    reader.data.values += composed
    reader.data.findings += findings
    return reader.data


class _Reader:
    """Reads table after table; participants and sessions before all that refer to them."""

    def __init__(self, bids_dir: Path, visits: Visits, settings: Mapping[str, Any]) -> None:
        self.data = ClinicalData()
        self._root = bids_dir
        self._declared = declarations_of(settings)
        self._columns = {
            name: (given.get("column") or name, given.get("table"))
            for name, given in settings["outcomes"].items()
            if given["type"] != "msfc"
        }
        self._found: dict[str, list[str]] = {name: [] for name in self._columns}
        self._seen: dict[tuple[str, str, str], str] = {}
        self._patients = set(visits.patients)
        self._start: dict[str, datetime] = {}
        self._first: dict[str, str] = {}
        self._noted = False
        for visit in visits.rows:
            patient = visit.participant_id
            self._first.setdefault(patient, visit.session_id)
            if visit.acq_time:
                self._start.setdefault(patient, visit.acq_time)
            if visit.months is not None:
                self.data.months[patient, visit.session_id] = visit.months

    def read(self, table: ClinicalTable) -> None:
        path = self._root / table.path
        try:
            rows = read_rows(path)
        except InputError as error:
            self.data.findings += error.findings
            return
        if rows and table.kind != "sessions" and "participant_id" not in rows[0]:
            self._fault(path, "a clinical table names its patients", "no column participant_id")
            return
        if table.kind == "sessions":
            self._begin_patient(table.participant_id, rows)
        if table.kind == "phenotype" and rows and "session_id" in rows[0] and not self._noted:
            self._noted = True
            self._note(path, SESSION_COLUMN_NOTE)
        for line, row in enumerate(rows, start=2):
            self._read_row(path, table, line, row)
        if table.kind in {"participants", "sessions", "phenotype"}:
            self._read_outcomes(path, table, rows)

    def _begin_patient(self, patient: str, rows: Sequence[Mapping[str, str]]) -> None:
        """Take the first session of a patient's own table as the baseline of all dates."""
        self._patients.add(patient)
        first = _first_session(rows)
        if first.get("session_id"):
            self._first[patient] = first["session_id"]
            date = _parsed_date(_date_cell(first)[1])
            if date:
                self._start[patient] = date

    def _read_row(self, path: Path, table: ClinicalTable, line: int, row: dict[str, str]) -> None:
        patient = table.participant_id or row.get("participant_id", "")
        place = f"{path} line {line}"
        if table.kind == "participants":
            if patient in self.data.people:
                self._fault(f"{place}, column participant_id", "one row per patient", patient)
            self.data.people.setdefault(patient, row)
            return
        known = set(self.data.people) or self._patients
        if patient not in known:
            near = f"sub-{patient}" if f"sub-{patient}" in known else "participants.tsv"
            remedy = f"Correct the name (see {near}), or add the patient to participants.tsv."
            self._fault(
                f"{place}, column participant_id",
                "every patient of a clinical table is one of the study",
                repr(patient),
                remedy,
            )
            return
        months = self._months(path, line, row, patient, table)
        session = row.get("session_id", "")
        if table.kind in {"sessions", "phenotype"}:
            self._check_repeated(place, table, patient, session or f"month {months:g}")
            if session and not math.isnan(months):
                self.data.months.setdefault((patient, session), months)
        elif table.kind == "treatments":
            self.data.treatments.append({**row, "participant_id": patient, "months": months})
        else:
            self._check_grade(place, row)
            self.data.events.append({**row, "participant_id": patient, "months": months})

    def _check_repeated(self, place: str, table: ClinicalTable, patient: str, time: str) -> None:
        key = (table.path, patient, time)
        if key in self._seen:
            self._fault(
                f"{place}, column session_id",
                "one row per patient and visit",
                f"{patient} {time} also in {self._seen[key]}",
            )
        self._seen.setdefault(key, place.rpartition(" line ")[2])

    def _check_grade(self, place: str, row: Mapping[str, str]) -> None:
        if row.get("grade", "") not in {"1", "2", "3", "4", "5"}:
            self._fault(f"{place}, column grade", "grades are 1 to 5", repr(row.get("grade", "")))
        if not row.get("term"):
            self._fault(f"{place}, column term", "an adverse event has a name", "nothing")

    def _months(
        self, path: Path, line: int, row: Mapping[str, str], patient: str, table: ClinicalTable
    ) -> float:
        """Return months since the patient's first visit: by date, column, visit, or name."""
        column, text = _date_cell(row)
        place = f"{path} line {line}, column {column or 'months'}"
        months = math.nan
        session = row.get("session_id", "")
        if text:
            date = _parsed_date(text)
            if date is None:
                self._fault(place, "a date looks like 2026-03-09", repr(text))
            elif patient in self._start:
                months = round((date - self._start[patient]).days / DAYS_PER_MONTH, 2)
        elif row.get("months"):
            months = self._number(place, row["months"])
        elif session:
            named = nominal_months(session)
            known = self.data.months.get((patient, session))
            months = known if known is not None else (math.nan if named is None else named)
            if math.isnan(months):
                self._fault(
                    f"{path} line {line}, column session_id",
                    "the time of every visit is known",
                    f"{patient} {session}: no date, no months, and no month in its name",
                    "Add the session with its acq_time to the patient's sessions.tsv.",
                )
        elif table.kind == "phenotype":
            months = 0.0
        # a drug may have been taken before; the treatment under study may not
        concomitant = table.kind == "treatments" and row.get("role") == "concomitant"
        if months < 0 and not concomitant:
            self._fault(
                place,
                "nothing of a trial lies before the patient's first visit",
                f"{text or row.get('months')}, first visit {self._start_text(patient)}",
            )
        return months

    def _start_text(self, patient: str) -> str:
        start = self._start.get(patient)
        return f"{start:%Y-%m-%d}" if start else "at month 0"

    def _number(self, place: str, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            self._fault(place, "months are a number", repr(text))
            return math.nan

    def _read_outcomes(
        self, path: Path, table: ClinicalTable, rows: Sequence[Mapping[str, str]]
    ) -> None:
        units = _sidecar_units(path)
        for name, (column, wanted) in self._columns.items():
            if not rows or column not in rows[0] or (wanted and wanted != _plain_name(table)):
                continue
            declared = self._declared[name]
            self._found[name].append(_plain_name(table))
            place = f"{path}, column {column}"
            self.data.findings += unit_fault(units.get(column, ""), declared, place)
            self._read_column(path, table, rows, declared, column)

    def _read_column(
        self,
        path: Path,
        table: ClinicalTable,
        rows: Sequence[Mapping[str, str]],
        declared: OutcomeDeclaration,
        column: str,
    ) -> None:
        places = [f"{path} line {line}, column {column}" for line in range(2, len(rows) + 2)]
        readings, faults = read_cells([row[column] for row in rows], places, declared)
        self.data.findings += faults
        for row, place, reading in zip(rows, places, readings, strict=True):
            own = row.get(f"{column}_units", "")
            self.data.findings += unit_fault(own, declared, f"{place}_units")
            patient = table.participant_id or row.get("participant_id", "")
            session = row.get("session_id", "") or self._first.get(patient, "")
            if math.isnan(reading.value):
                continue
            self.data.values.append(
                Value(
                    participant_id=patient,
                    session_id=session,
                    months=self._time_of(table, row, patient, session),
                    measure=declared.name,
                    value=reading.value,
                    limit=reading.limit,
                    source=table.path,
                )
            )

    def _time_of(
        self, table: ClinicalTable, row: Mapping[str, str], patient: str, session: str
    ) -> float:
        """Return the row's own time where it tells one, else that of its visit."""
        date = _parsed_date(_date_cell(row)[1])
        if date and patient in self._start:
            return round((date - self._start[patient]).days / DAYS_PER_MONTH, 2)
        if row.get("months"):
            try:
                return float(row["months"])
            except ValueError:
                return math.nan  # told already
        if table.kind == "participants" or not row.get("session_id"):
            return 0.0
        return self.data.months.get((patient, session), math.nan)

    def check_columns(self) -> None:
        """Tell declared outcomes that no table holds, or that several do."""
        for name, (column, wanted) in self._columns.items():
            places = list(dict.fromkeys(self._found[name]))
            if len(places) == 1:
                continue
            told = ", ".join(places) or f"no column {column!r}"
            rule = f"outcome {name} is a column of {f'table {wanted}' if wanted else 'one table'}"
            remedy = (
                f"Name the table: outcomes.{name}.table."
                if places
                else f"Correct outcomes.{name}.column, or index the dataset again."
            )
            self._fault("config.yaml", rule, told, remedy)

    def _fault(
        self, where: Path | str, rule: str, found: str, remedy: str = "Correct the table."
    ) -> None:
        self.data.findings.append(Finding(where=str(where), rule=rule, found=found, remedy=remedy))

    def _note(self, path: Path, text: str) -> None:
        self.data.findings.append(
            Finding(
                severity="warning",
                where=str(path),
                rule="BIDS keeps values of visits in sessions.tsv",
                found="a session_id column",
                remedy=f"Nothing to do: {text}.",
            )
        )


def _plain_name(table: ClinicalTable) -> str:
    """Return the name by which settings call a table: ``sessions``, ``sdmt`` ..."""
    return table.kind if table.kind != "phenotype" else Path(table.path).stem


def _first_session(rows: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the row of the baseline: by the months in the names, else the first one.

    Dates do not tell it, because a date before the baseline is to be found as a fault.
    """
    months = [nominal_months(row.get("session_id", "")) for row in rows]
    known = [month for month in months if month is not None]
    if not rows or len(known) < len(rows):
        return rows[0] if rows else {}
    return rows[known.index(min(known))]


def _date_cell(row: Mapping[str, str]) -> tuple[str, str]:
    for name in DATE_COLUMNS:
        if row.get(name):
            return name, row[name]
    return "", ""


def _parsed_date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        return None


def _sidecar_units(path: Path) -> dict[str, str]:
    """Return the units that a table's own sidecar tells, by column."""
    try:
        content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        column: str(told["Units"])
        for column, told in content.items()
        if isinstance(told, dict) and told.get("Units")
    }


def columns_found(bids_dir: Path, tables: Iterable[ClinicalTable]) -> list[str]:
    """Return the columns of the clinical tables that could be outcomes."""
    fixed = {"participant_id", "session_id", "months", *DATE_COLUMNS}
    names: dict[str, None] = {}
    for table in tables:
        if table.kind in {"sessions", "phenotype"}:
            for row in read_rows(bids_dir / table.path)[:1]:
                names |= dict.fromkeys(name for name in row if name not in fixed)
    return list(names)
