"""The comparability gate of a study: which pairs of visits may be compared, which may not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from msimaging.bids.incomparable import INCOMPARABLE_COLUMNS
from msimaging.bids.rows import write_rows
from msimaging.bids.visits import MODALITIES, Modality, VisitPair, Visits
from msimaging.errors import Finding
from msimaging.longitudinal.comparability import (
    compare_acquisitions,
    graded_rules,
    harmonisation_findings,
)
from msimaging.steps.acquisitions import acquisition_of

#: What may change with the visit in a whole cohort; together the first three name the scanner.
_SCANNER = ("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber")
_MARKS = ("scanner", "SoftwareVersions", "ReceiveCoilName")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """What was found about the two scans of one pair of visits."""

    pair: VisitPair
    modality: Modality
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Return the differences that forbid a comparison."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def place(self) -> str:
        """Return modality, patient and pair in words."""
        return f"{self.modality} {self.pair.participant_id} {self.pair.name}"


def compare_visits(
    visits: Visits,
    unusable: Collection[tuple[str, str, Modality]],
    settings: Mapping[str, Any],
    *,
    files: Callable[[str], Mapping[str, Any]],
) -> tuple[list[PairReport], list[tuple[str, Finding]]]:
    """Compare the visits of every patient, as the settings pair them.

    Parameters
    ----------
    visits : Visits
        Of the study.
    unusable : collection of (str, str, str)
        Patient, session and modality of scans that the check refused.
    settings : mapping
        Complete settings.
    files : callable
        From the path of a scan to its ``image``, ``sidecars`` and ``bval``.

    Returns
    -------
    reports : list of PairReport
        One a pair and modality.
    cohort : list of (str, Finding)
        By modality, why harmonisation over scanners is refused; empty where it is not.
    """
    compared: list[PairReport] = []
    cohort: list[tuple[str, Finding]] = []
    for modality in MODALITIES:
        rows = (
            visit
            for visit in visits.having(modality).rows
            if (visit.participant_id, visit.session_id, modality) not in unusable
        )
        pairs, found = _compare_pairs(
            Visits(rows=tuple(rows)).pairs(settings["pairs"]),
            modality,
            files=files,
            grades=settings["comparability"],
        )
        compared += pairs
        cohort += [(modality, finding) for finding in found]
    return compared, cohort


def _compare_pairs(
    pairs: Sequence[VisitPair],
    modality: Modality,
    *,
    files: Callable[[str], Mapping[str, Any]],
    grades: Mapping[str, str],
) -> tuple[list[PairReport], tuple[Finding, ...]]:
    rules = graded_rules(grades)
    visits = {
        (visit.participant_id, visit.session_id): str(visit.scan(modality))
        for pair in pairs
        for visit in (pair.baseline, pair.follow_up)
    }
    known = {key: acquisition_of(files(scan)) for key, scan in visits.items()}
    reports = [
        PairReport(
            pair=pair,
            modality=modality,
            findings=compare_acquisitions(
                known[pair.participant_id, pair.baseline.session_id],
                known[pair.participant_id, pair.follow_up.session_id],
                rules=rules,
            ),
        )
        for pair in pairs
    ]
    return reports, tuple(_confounded(known))


def _confounded(known: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Finding]:
    rows = [
        {
            "participant_id": sub,
            "session_id": ses,
            "scanner": " ".join(str(fields.get(name, ""))[:24] for name in _SCANNER).strip(),
            **{name: str(fields.get(name, "")) for name in _MARKS[1:]},
        }
        for (sub, ses), fields in known.items()
    ]
    if not rows:
        return
    table = pd.DataFrame(rows)
    for mark in _MARKS:
        if (table[mark] != table[mark].iloc[0]).any():
            yield from harmonisation_findings(table, scanner=mark)


def write_incomparable(study: Path, reports: Iterable[PairReport]) -> None:
    """Write ``incomparable.tsv``, one row for each blocking difference.

    Parameters
    ----------
    study : Path
        Study folder.
    reports : iterable of PairReport
        All pairs.
    """
    rows = [
        {
            "participant_id": report.pair.participant_id,
            "baseline": report.pair.baseline.session_id,
            "follow_up": report.pair.follow_up.session_id,
            "modality": report.modality,
            "reason": str(finding).replace("\t", " ").replace("\n", " "),
        }
        for report in reports
        for finding in report.blocking
    ]
    write_rows(study / "incomparable.tsv", INCOMPARABLE_COLUMNS, rows)
