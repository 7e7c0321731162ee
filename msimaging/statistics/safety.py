"""Adverse events: how many patients had which event, by worst grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msimaging.errors import Finding, InputError
from msimaging.statistics.inputs import refuse
from msimaging.statistics.proportions import Proportion, wilson_interval

GRADES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdverseEventTally:
    """One kind of event.

    Attributes
    ----------
    term : str
        Event; ``any`` for all together.
    n_events : int
        Reports of it.
    patients : Proportion
        Patients who had it, of all patients of the trial, with the Wilson interval.
    patients_by_worst_grade : dict
        Patients by the worst grade they had of it, 1 to 5.
    """

    term: str
    n_events: int
    patients: Proportion
    patients_by_worst_grade: dict[int, int]


def tally_adverse_events(
    participants: Sequence[Any],
    terms: Sequence[str],
    grades: Sequence[int],
    *,
    enrolled: Sequence[Any],
    level: float = 0.95,
) -> tuple[AdverseEventTally, ...]:
    """Tally adverse events over all patients of a trial, those without any included.

    Parameters
    ----------
    participants, terms, grades : sequence
        Patient, event and grade (1 to 5) of each report.
    enrolled : sequence
        All patients who were treated: the denominator.
    level : float
        Level of the intervals; with no event among n the upper limit says what 0 of n leaves open.

    Returns
    -------
    tuple of AdverseEventTally
        ``any`` first, then the events by number of patients.

    Raises
    ------
    InputError
        Every report of an unknown patient or with a grade that does not exist.
    """
    if not len(participants) == len(terms) == len(grades):
        raise refuse(
            "participants, terms, grades",
            "one of each per report",
            f"{len(participants)}, {len(terms)} and {len(grades)}",
            "Align them by report.",
        )
    reports = list(zip(participants, terms, grades, strict=True))
    findings = [
        finding
        for row, (patient, _, grade) in enumerate(reports, 1)
        for finding in _faults(row, patient, grade, set(enrolled))
    ]
    if findings:
        raise InputError(findings)
    n = len(set(enrolled))
    tallies = [
        _tally(term, [(p, g) for p, t, g in reports if t == term], n, level)
        for term in sorted(set(terms))
    ]
    tallies.sort(key=lambda tally: -tally.patients.k)
    return (_tally("any", [(p, g) for p, _, g in reports], n, level), *tallies)


def _faults(row: int, patient: object, grade: object, enrolled: set[Any]) -> list[Finding]:
    faults = []
    if patient not in enrolled:
        faults.append(("patient", "events belong to patients of the trial", repr(patient)))
    if grade not in GRADES:
        faults.append(("grade", "grades are 1 to 5", repr(grade)))
    return [
        Finding(
            rule=rule,
            where=f"row {row}, column {column}",
            found=found,
            remedy="Correct the row of the adverse events table.",
        )
        for column, rule, found in faults
    ]


def _tally(
    term: str, reports: list[tuple[Any, int]], n_enrolled: int, level: float
) -> AdverseEventTally:
    worst: dict[Any, int] = {}
    for patient, grade in reports:
        worst[patient] = max(grade, worst.get(patient, 0))
    return AdverseEventTally(
        term=term,
        n_events=len(reports),
        patients=wilson_interval(len(worst), n_enrolled, level=level),
        patients_by_worst_grade={
            grade: sum(value == grade for value in worst.values()) for grade in GRADES
        },
    )
