"""Whether two visits were acquired and processed alike enough to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, Severity


class Rule(TypedDict):
    """How far two values of one field may differ, and how bad it is when they do."""

    tolerance: float | None
    grade: Severity


def _rule(grade: Severity, tolerance: float | None = None) -> Rule:
    return {"tolerance": tolerance, "grade": grade}


# Names of BIDS sidecars where they exist; the others are filled in by whoever describes the visit.
# Tolerances are absolute, in the field's own unit (s, mm, s/mm2, T).
DEFAULT_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Manufacturer": _rule("error"),
        "ManufacturersModelName": _rule("warning"),
        "DeviceSerialNumber": _rule("warning"),
        "MagneticFieldStrength": _rule("error", 0.15),
        "ReceiveCoilName": _rule("warning"),
        "SoftwareVersions": _rule("warning"),
        "PulseSequenceType": _rule("warning"),
        "EchoTime": _rule("warning", 0.0005),
        "RepetitionTime": _rule("warning", 0.001),
        "FlipAngle": _rule("warning", 0.5),
        "ParallelReductionFactorInPlane": _rule("note", 0.01),
        "MultibandAccelerationFactor": _rule("warning", 0.01),
        "TotalReadoutTime": _rule("note", 0.002),
        "PhaseEncodingDirection": _rule("error"),
        "SliceTiming": _rule("warning", 0.005),
        "VoxelSize": _rule("error", 0.05),
        "DirectionCount": _rule("warning", 0),
        "BValues": _rule("error", 50),
        "RunLength": _rule("warning", 15),
        "Preprocessing": _rule("error"),
        "Strategy": _rule("error"),
        "PipelineVersion": _rule("error"),
        "Settings": _rule("error"),
    }
)


#: Grades as a person writes them in the settings.
GRADES: Mapping[str, Severity] = MappingProxyType(
    {"blocking": "error", "warn": "warning", "note": "note"}
)
#: Fields that are compared and never shown.
_NOT_SHOWN = frozenset({"DeviceSerialNumber"})


def graded_rules(grades: Mapping[str, str]) -> dict[str, Rule]:
    """Return the rules with the grades of the settings.

    Parameters
    ----------
    grades : mapping
        From fields of `DEFAULT_RULES` to ``blocking``, ``warn`` or ``note``; tolerances stay.

    Returns
    -------
    dict
        A rule for every field.
    """
    return {
        field: _rule(GRADES[grades[field]], rule["tolerance"]) if field in grades else rule
        for field, rule in DEFAULT_RULES.items()
    }


def compare_acquisitions(
    baseline: Mapping[str, object],
    follow_up: Mapping[str, object],
    *,
    rules: Mapping[str, Rule] = DEFAULT_RULES,
) -> tuple[Finding, ...]:
    """Compare how two visits were made, field by field.

    Parameters
    ----------
    baseline, follow_up : mapping
        Field to value: numbers, words or sequences of either. Besides the sidecar's fields:
        ``VoxelSize`` (three, mm), ``DirectionCount``, ``BValues`` (shells, s/mm2), ``RunLength``
        (s), ``Preprocessing``, ``Strategy``, ``PipelineVersion``, ``Settings`` (their digest).
    rules : mapping
        Field to ``{"tolerance": largest absolute difference or None for equality, "grade":
        "error" blocks the comparison, "warning" flags it, "note" is told}``. Fields without a rule
        are not compared.

    Returns
    -------
    tuple of Finding
        One for each field that differs or that one visit lacks (never more than a warning), and
        one note naming the fields that neither visit records. The same fields and grades when the
        visits are exchanged.
    """
    findings = []
    unrecorded = []
    for field, rule in rules.items():
        first, second = baseline.get(field), follow_up.get(field)
        if first is None and second is None:
            unrecorded.append(field)
        elif first is None or second is None:
            findings.append(_one_sided(field, rule, first, second))
        elif not _alike(first, second, rule["tolerance"]):
            findings.append(_difference(field, rule, first, second))
    if unrecorded:
        findings.append(_unknown(unrecorded))
    return tuple(findings)


def _alike(first: object, second: object, tolerance: float | None) -> bool:
    if tolerance is None:
        return _plain(first) == _plain(second)
    try:
        one, two = (np.asarray(value, dtype=np.float64) for value in (first, second))
    except (TypeError, ValueError):
        return _plain(first) == _plain(second)
    # A hair more, so that 50.0 passes a tolerance of 50 after rounding.
    return one.shape == two.shape and bool((np.abs(one - two) <= tolerance + 1e-9).all())


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return tuple(_plain(entry) for entry in value)
    return value.strip() if isinstance(value, str) else value


def _difference(field: str, rule: Rule, first: object, second: object) -> Finding:
    allowed = "" if not rule["tolerance"] else f" within {rule['tolerance']:g}"
    remedy = {
        "error": "These visits are not compared; see comparability in config.yaml.",
        "warning": "The change carries this flag: it may come from the acquisition.",
        "note": "Told for the record.",
    }[rule["grade"]]
    return Finding(
        severity=rule["grade"],
        rule=f"{field} is the same at both visits{allowed}",
        where=field,
        found="two different values"
        if field in _NOT_SHOWN
        else f"{_short(first)} then {_short(second)}",
        remedy=remedy,
    )


def _one_sided(field: str, rule: Rule, first: object, second: object) -> Finding:
    known = "a value" if field in _NOT_SHOWN else _short(second if first is None else first)
    where = "follow-up" if first is None else "baseline"
    return Finding(
        severity="note" if rule["grade"] == "note" else "warning",
        rule=f"{field} is recorded at both visits",
        where=field,
        found=f"{known} at {where} and nothing at the other visit",
        remedy="Add it to the sidecar of the other visit, or judge the change with care.",
    )


def _unknown(fields: list[str]) -> Finding:
    return Finding(
        severity="note",
        rule="what is compared is recorded",
        where="sidecars of both visits",
        found="nothing about " + ", ".join(fields),
        remedy="These could not be compared.",
    )


def _short(value: object) -> str:
    words = str(_plain(value))
    return words if len(words) <= 60 else words[:57] + "..."


def confounded_with_visit(
    table: pd.DataFrame,
    *,
    scanner: str = "scanner",
    participant: str = "participant_id",
    visit: str = "session_id",
) -> bool:
    """Tell whether the effect of the visit cannot be separated from the scanner's.

    Parameters
    ----------
    table : DataFrame
        One row a patient and visit.
    scanner, participant, visit : str
        Column names; ``scanner`` may hold any mark of the acquisition (serial number, software).

    Returns
    -------
    bool
        True when, with a level for every patient and every scanner, some difference between
        visits is not estimable, for example when everybody changed scanner between the visits.
        A single scanner, or patients who stayed on theirs, confound nothing.

    Raises
    ------
    KeyError
        When a column is missing.
    """
    patients, scanners, visits = (
        _indicators(table[column]) for column in (participant, scanner, visit)
    )
    without_scanner = np.hstack([patients, visits])
    with_scanner = np.hstack([patients, scanners, visits])
    adjusted = np.hstack([patients, scanners])
    gained = _rank(with_scanner) - _rank(adjusted)
    return gained < _rank(without_scanner) - _rank(patients)


def _indicators(column: pd.Series) -> NDArray[np.float64]:
    codes, levels = pd.factorize(column)
    return np.eye(len(levels))[codes]


def _rank(design: NDArray[np.float64]) -> int:
    return int(np.linalg.matrix_rank(design))


def harmonisation_findings(
    table: pd.DataFrame,
    *,
    scanner: str = "scanner",
    participant: str = "participant_id",
    visit: str = "session_id",
) -> tuple[Finding, ...]:
    """Refuse harmonisation where scanner and visit are one and the same.

    Parameters
    ----------
    table : DataFrame
        One row a patient and visit.
    scanner, participant, visit : str
        Column names.

    Returns
    -------
    tuple of Finding
        Empty, or one error.
    """
    if not confounded_with_visit(table, scanner=scanner, participant=participant, visit=visit):
        return ()
    counts = pd.crosstab(table[visit], table[scanner])
    rows = [
        f"{name}: " + ", ".join(f"{count} on {level}" for level, count in row.items() if count)
        for name, row in counts.iterrows()
    ]
    return (
        Finding(
            rule="harmonisation needs patients in whom scanner and visit do not change together",
            where=scanner,
            found="; ".join(rows),
            remedy="The scanner's effect is not estimable here and no method can remove it. Leave "
            "harmonisation off and report the change of scanner, or add travelling controls.",
        ),
    )
