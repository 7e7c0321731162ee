"""Everything that can be known to be wrong before any computing, told in one report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from msimaging.atlases.library import template_faults
from msimaging.bids.anatomical import unknown_anatomicals
from msimaging.bids.derivatives import mixed_stages, unlike_stages
from msimaging.bids.ratings import Rating, ScanKey, read_ratings
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import Scan, read_scans
from msimaging.bids.visits import (
    EXCLUSION_COLUMNS,
    MODALITIES,
    UNDECIDED,
    Modality,
    Visit,
    Visits,
    parse_visits,
)
from msimaging.diffusion.orientation import ORIENTATION_RULE
from msimaging.errors import ConfigError, Finding, InputError
from msimaging.provenance import code_digest
from msimaging.settings import read_settings
from msimaging.steps.atlas_files import named_atlas
from msimaging.study.clinical import clinical_findings, without_data
from msimaging.study.comparing import PairReport, compare_visits, write_incomparable
from msimaging.study.scan_check import check_scan, files_of_scan

#: Results of earlier checks, so that a scan is read again only when it changed.
_MEMORY = Path(".msimaging") / "checks.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """What was found about one scan of one visit."""

    participant_id: str
    session_id: str
    modality: Modality
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Return whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReport:
    """What was found about a study.

    Attributes
    ----------
    faults : tuple of Finding
        Faults of the settings and the tables; nothing can be started with them.
    scans : tuple of ScanReport
        One for each scan listed.
    comparability : tuple of PairReport
        Differences between the visits of each pair.
    cohort : tuple of (str, Finding)
        By modality, why the scanner's effect cannot be told from the visit's.
    ratings : tuple of Rating
        What people think of single scans.
    notices : tuple of Finding
        Warnings about the clinical tables.
    """

    faults: tuple[Finding, ...]
    notices: tuple[Finding, ...] = ()
    scans: tuple[ScanReport, ...] = ()
    comparability: tuple[PairReport, ...] = ()
    cohort: tuple[tuple[str, Finding], ...] = ()
    ratings: tuple[Rating, ...] = ()

    @property
    def rated_out(self) -> tuple[Rating, ...]:
        """Return the ratings by which scans leave the statistics."""
        return tuple(rating for rating in self.ratings if rating.verdict == "exclude")

    @property
    def refused(self) -> tuple[ScanReport, ...]:
        """Return the scans that cannot be used."""
        return tuple(report for report in self.scans if not report.usable)

    @property
    def incomparable(self) -> tuple[PairReport, ...]:
        """Return the pairs of visits that must not be compared."""
        return tuple(report for report in self.comparability if report.blocking)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {
            "faults": [asdict(finding) for finding in self.faults],
            "notices": [asdict(finding) for finding in self.notices],
            "scans": [
                {
                    "participant_id": report.participant_id,
                    "session_id": report.session_id,
                    "modality": report.modality,
                    "usable": report.usable,
                    "findings": [asdict(finding) for finding in report.findings],
                }
                for report in self.scans
            ],
            "comparability": [
                {
                    "participant_id": report.pair.participant_id,
                    "pair": report.pair.name,
                    "modality": report.modality,
                    **asdict(finding),
                }
                for report in self.comparability
                for finding in report.findings
            ],
            "cohort": [
                {"modality": modality, **asdict(finding)} for modality, finding in self.cohort
            ],
            "ratings": [asdict(rating) for rating in self.ratings],
        }


def check_study(study: Path) -> StudyReport:
    """Check settings, tables, every scan, and the visits of each patient against each other.

    Parameters
    ----------
    study : Path
        Study folder. ``exclusions.tsv`` is written there, one row a refused scan.

    Returns
    -------
    StudyReport
        All findings together.
    """
    faults: list[Finding] = []
    rated: dict[ScanKey, Rating] = {}
    settings: dict[str, Any] | None = None
    visits, scans = Visits(rows=()), {}
    try:
        settings = read_settings(study / "config.yaml")
    except ConfigError as error:
        faults += error.findings
    try:
        visits, table_faults = parse_visits(study / "visits.tsv")
        faults += table_faults
        scans = read_scans(study / "scans.tsv")
        if settings is not None:
            rated = read_ratings(study / "ratings.tsv", visits, seed=settings["seed"])
    except ConfigError as error:
        faults += error.findings
    if settings is None:
        return StudyReport(faults=tuple(faults))
    faults += _atlas_faults(study, settings)
    root = Path(study, settings["bids_dir"])
    if visits.rows:
        faults += without_data(study, root, visits, settings)
        if settings["functional"]["anatomical"] != "none":
            faults += unknown_anatomicals(visits, scans, table=study / "visits.tsv")
    clinical = clinical_findings(study, root, visits, settings)
    faults += [finding for finding in clinical if finding.severity == "error"]
    reports = _check_scans(study, root, visits, scans)
    mixed = {modality: dict(mixed_stages(visits, scans, modality)) for modality in MODALITIES}
    reports = [_with_stage(report, mixed[report.modality]) for report in reports]
    if settings["diffusion"]["gradients"] != "stop":
        reports = [_with_axes_allowed(report) for report in reports]
    write_rows(study / "exclusions.tsv", EXCLUSION_COLUMNS, _exclusions(reports))
    if faults:  # pairs of a faulty table mean nothing
        return StudyReport(
            faults=tuple(faults), scans=tuple(reports), ratings=tuple(rated.values())
        )
    bad = {(r.participant_id, r.session_id, r.modality) for r in reports if not r.usable}
    compared, confounded = compare_visits(
        visits, bad, settings, files=lambda path: files_of_scan(root, scans[path])
    )
    write_incomparable(study, compared)
    return StudyReport(
        faults=(),
        notices=tuple(clinical),
        scans=tuple(reports),
        comparability=tuple(compared),
        cohort=(*confounded, *((one.where, one) for one in unlike_stages(visits, scans))),
        ratings=tuple(rated.values()),
    )


def _atlas_faults(study: Path, settings: Mapping[str, Any]) -> list[Finding]:
    """Check the study's own atlases, which every visit would fail with."""
    atlases = settings["atlases"]
    asked = [name for name in atlases["files"] if name in atlases["functional"]]
    asked += [name for name in atlases["files"] if name in atlases["diffusion"]]
    faults: list[Finding] = []
    for name in dict.fromkeys(asked):
        files = {part: str(study / path) for part, path in atlases["files"][name].items()}
        try:
            faults += template_faults(named_atlas(name, {name: files}))
        except InputError as error:
            faults += error.findings
    return faults


def _with_stage(report: ScanReport, mixed: Mapping[str, Finding]) -> ScanReport:
    """Refuse the scans of a patient whose visits enter at different stages."""
    found = mixed.get(report.participant_id)
    return replace(report, findings=(*report.findings, found)) if found else report


def _with_axes_allowed(report: ScanReport) -> ScanReport:
    """Make a warning of the one fault that the settings allow: b-vectors along other axes."""
    findings = tuple(
        replace(finding, severity="warning") if finding.rule == ORIENTATION_RULE else finding
        for finding in report.findings
    )
    return replace(report, findings=findings)


def _exclusions(reports: Iterable[ScanReport]) -> list[dict[str, str]]:
    return [
        {
            "participant_id": report.participant_id,
            "session_id": report.session_id,
            "modality": report.modality,
            "reason": str(finding).replace("\t", " ").replace("\n", " "),
        }
        for report in reports
        for finding in report.findings
        if finding.severity == "error"
    ]


def _check_scans(
    study: Path, root: Path, visits: Visits, scans: Mapping[str, Scan]
) -> list[ScanReport]:
    memory = _Memory(study / _MEMORY)
    asked = [
        (visit, modality)
        for visit in visits.rows
        for modality in MODALITIES
        if visit.exclude is None and visit.scan(modality)
    ]
    files = {
        str(visit.scan(modality)): (modality, files_of_scan(root, scans[str(visit.scan(modality))]))
        for visit, modality in asked
        if _named(scans, visit, modality) == modality
    }
    unknown = {path: entry for path, entry in files.items() if not memory.knows(entry[1])}
    workers = min(len(unknown), os.cpu_count() or 1)
    if workers:
        with ProcessPoolExecutor(max_workers=workers) as pool:
            results = pool.map(check_scan, *zip(*unknown.values(), strict=True))
            for (_, paths), findings in zip(unknown.values(), results, strict=True):
                memory.learn(paths, findings)
        memory.save()
    reports = []
    for visit, modality in asked:
        fault = _fault_of_cell(study, visit, modality, _named(scans, visit, modality))
        reports.append(
            ScanReport(
                participant_id=visit.participant_id,
                session_id=visit.session_id,
                modality=modality,
                findings=(fault,) if fault else memory.of(files[str(visit.scan(modality))][1]),
            )
        )
    return reports


def _named(scans: Mapping[str, Scan], visit: Visit, modality: Modality) -> str | None:
    """Return the kind of the scan that a cell names, None where index found no such scan."""
    scan = scans.get(str(visit.scan(modality)))
    return scan.modality if scan else None


def _fault_of_cell(
    study: Path, visit: Visit, modality: Modality, named: str | None
) -> Finding | None:
    path = str(visit.scan(modality))
    if named == modality:
        return None
    if UNDECIDED in path:
        rule = f"one {modality} scan must be chosen for each visit"
        found = f"{len(path.split(UNDECIDED))} scans and no choice: {path}"
        remedy = (
            "Keep one path in the cell, or choose by entities with select in config.yaml "
            "before indexing."
        )
    elif named is None:
        rule, found = "every scan of visits.tsv must be one that index found", path
        remedy = "Correct the path, or run msimaging index again."
    else:
        rule, found = f"a cell of column {modality} must name a {modality} scan", path
        remedy = f"Move the path to the column of {named} scans."
    where = f"{study / 'visits.tsv'} line {visit.row}"
    return Finding(where=where, rule=rule, found=found, remedy=remedy)


class _Memory:
    """Findings of scans that were read before, valid while no file of theirs changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._code = code_digest("msimaging.study.check")
        self._known: dict[str, Any] = {}
        # a memory that a crash left unreadable is only a slower check
        with suppress(OSError, ValueError, AttributeError):
            content = json.loads(path.read_text(encoding="utf-8"))
            self._known = content["scans"] if content.get("code") == self._code else {}

    def knows(self, files: Mapping[str, Any]) -> bool:
        return bool(self._known.get(files["image"], {}).get("state") == _state(files))

    def learn(self, files: Mapping[str, Any], findings: Iterable[Finding]) -> None:
        plain = [asdict(finding) for finding in findings]
        self._known[files["image"]] = {"state": _state(files), "findings": plain}

    def of(self, files: Mapping[str, Any]) -> tuple[Finding, ...]:
        return tuple(Finding(**plain) for plain in self._known[files["image"]]["findings"])

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"code": self._code, "scans": self._known}))
        temporary.replace(self._path)


def _state(files: Mapping[str, Any]) -> list[list[int | str]]:
    names = [files[kind] for kind in ("image", "bval", "bvec", "mask", "confounds")]
    names += files["sidecars"]
    state: list[list[int | str]] = []
    for name in filter(None, names):
        path = Path(name)
        status = path.stat() if path.exists() else None
        state.append([name, status.st_size if status else -1, status.st_mtime_ns if status else 0])
    return state
