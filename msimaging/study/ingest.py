"""DICOM files of one visit into a BIDS dataset: everything or nothing, and nobody's name."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from msimaging.bids.names import is_label
from msimaging.dicom.conversion import ConvertedImage, convert_series, find_converter
from msimaging.dicom.deidentification import found_in
from msimaging.dicom.naming import ScanName, name_scans, with_echo
from msimaging.dicom.phase_encoding import REQUIRED_FOR_EPI
from msimaging.dicom.register import Register
from msimaging.dicom.rules import Choice, Rule, built_in_rules, choose, parse_rules
from msimaging.dicom.series import Examination, Series, read_examination
from msimaging.errors import ConfigError, Finding, InputError
from msimaging.study.ingest_commit import (
    NewScan,
    VisitOfPatient,
    commit,
    dataset_lock,
    sidecar_fields,
)

State = Literal["taken", "ignored", "unknown", "known", "no image"]
#: A repetition time that dcm2niix corrects by more than this differs from the protocol, seconds.
_TIMING_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What became of one series.

    Attributes
    ----------
    number, description, n_files : int, str, int
        As in the headers.
    state : str
        ``taken``, ``ignored`` (by a rule), ``unknown`` (no rule), ``known`` (already in the
        dataset) or ``no image``.
    told : str
        What it became, or why it did not.
    warnings : tuple of str
        What dcm2niix and the checks noticed.
    """

    number: int
    description: str
    n_files: int
    state: State
    told: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did.

    Attributes
    ----------
    series : tuple of SeriesReport
        In the order of their numbers.
    notes : tuple of str
        What else a person should know.
    """

    series: tuple[SeriesReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Return whether every series was taken, or left out by a rule."""
        return all(one.state in {"taken", "ignored", "no image"} for one in self.series)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    series: Series
    converted: ConvertedImage
    choice: Choice


def ingest(
    dicom: Path,
    bids_dir: Path,
    *,
    sub: str,
    ses: str,
    settings: Mapping[str, Any],
    dry_run: bool = False,
) -> IngestReport:
    """Make one visit of a BIDS dataset from DICOM files.

    Parameters
    ----------
    dicom : Path
        Folder, zip or tar archive; only read.
    bids_dir : Path
        Dataset; made when missing.
    sub, ses : str
        Labels, with or without their prefixes.
    settings : mapping
        The section ``ingest`` of the settings.
    dry_run : bool
        Tell what would be done.

    Returns
    -------
    IngestReport
        Series by series.

    Raises
    ------
    InputError
        With every fault; nothing was written then.
    """
    visit = VisitOfPatient(sub=_label("--sub", "sub-", sub), ses=_label("--ses", "ses-", ses))
    rules = (*parse_rules(settings["rules"], where="config.yaml"), *built_in_rules())
    program = find_converter()
    # what stands in the scratch folder names the patient: it is the user's alone, and removed
    with tempfile.TemporaryDirectory(prefix="msimaging-") as name:
        scratch = Path(name)
        examination = read_examination(_unpacked(dicom, scratch / "archive"))
        _require_one_visit(dicom, examination, settings["visit_days"])
        with dataset_lock(bids_dir):
            register = Register(bids_dir)
            known = _known(examination, register, visit)
            reports, images = _convert(examination, known, rules, scratch, program)
            if not images:
                _refuse_nothing_new(dicom, reports)
            names = _names(images, visit, bids_dir)
            reports = _with_names(reports, names)
            notes = [*_notes(examination), *_identity_notes(images, register, visit)]
            scans = [
                NewScan(series=image.series, converted=image.converted, name=scan_name)
                for image, scan_name in zip(images, names, strict=True)
            ]
            if not dry_run:
                notes += commit(bids_dir, visit, scans, register, dates=settings["dates"])
    ordered = sorted(reports, key=lambda one: one.number)
    return IngestReport(series=tuple(ordered), notes=tuple(notes))


def _label(option: str, prefix: str, text: str) -> str:
    label = text.removeprefix(prefix)
    if not is_label(label):
        rule = "a BIDS label has letters and digits only"
        remedy = f"For example {option} 01."
        raise ConfigError([Finding(where=option, rule=rule, found=repr(text), remedy=remedy)])
    return prefix + label


def _unpacked(dicom: Path, target: Path) -> Path:
    if dicom.is_dir():
        return dicom
    try:
        if zipfile.is_zipfile(dicom):
            shutil.unpack_archive(dicom, target, format="zip")
            return target
        if dicom.exists() and tarfile.is_tarfile(dicom):
            shutil.unpack_archive(dicom, target, format="tar", filter="data")
            return target
        found = "neither a folder nor a zip or tar archive" if dicom.exists() else "no such file"
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError) as error:
        found = str(error)
    rule = "DICOM files come as a folder or a readable zip or tar archive"
    remedy = "Give the folder or archive that the scanner or PACS exported."
    raise InputError([Finding(where=str(dicom), rule=rule, found=found, remedy=remedy)])


def _require_one_visit(dicom: Path, examination: Examination, visit_days: int) -> None:
    def fault(rule: str, found: str, remedy: str) -> InputError:
        return InputError([Finding(where=str(dicom), rule=rule, found=found, remedy=remedy)])

    if not examination.series:
        found = f"{len(examination.others)} other files"
        remedy = "Give the folder or archive that the scanner or PACS exported."
        raise fault("there must be DICOM series", found, remedy)
    patients = {one.patient for one in examination.series}
    if len(patients) > 1:
        remedy = "Give each patient's files in a folder of its own."
        raise fault("one ingest is one patient", f"{len(patients)} patients", remedy)
    days = [one.acquired for one in examination.series if one.acquired]
    span = (max(days) - min(days)).days if days else 0
    if span > visit_days:
        found = f"scans {span} days apart (at most {visit_days} by ingest.visit_days)"
        remedy = "Give each visit's files in a folder of its own, or raise ingest.visit_days."
        raise fault("one ingest is one visit", found, remedy)


def _known(
    examination: Examination, register: Register, visit: VisitOfPatient
) -> dict[str, SeriesReport]:
    """Find the series that the dataset holds; those of another visit are a mix-up."""
    known: dict[str, SeriesReport] = {}
    findings: list[Finding] = []
    for series in examination.series:
        before = register.known(series.uid)
        if before is None:
            continue
        if (before.participant_id, before.session_id) != (visit.sub, visit.ses):
            findings.append(
                Finding(
                    where=f"series {series.number} ({series.description})",
                    rule="a series belongs to one visit",
                    found=f"already ingested as {before.path}",
                    remedy="Correct --sub and --ses, or remove that visit from the dataset first.",
                )
            )
        known[series.uid] = _report(series, "known", f"already there: {before.path}")
    if findings:
        raise InputError(findings)
    return known


def _report(series: Series, state: State, told: str, warnings: Sequence[str] = ()) -> SeriesReport:
    return SeriesReport(
        number=series.number,
        description=series.description,
        n_files=len(series.files),
        state=state,
        told=told,
        warnings=tuple(warnings),
    )


def _convert(
    examination: Examination,
    known: Mapping[str, SeriesReport],
    rules: Sequence[Rule],
    scratch: Path,
    program: str,
) -> tuple[list[SeriesReport], list[_Image]]:
    reports = list(known.values())
    images: list[_Image] = []
    findings: list[Finding] = []
    for number, series in enumerate(examination.series):
        if series.uid in known:
            continue
        if not series.is_image:
            reports.append(_report(series, "no image", "holds no MR images"))
            continue
        try:
            told, found = _convert_one(series, rules, scratch / f"{number}", program)
        except InputError as error:
            about = choose(rules, series.fields, n_volumes=0, has_gradients=False)
            if about is None or not about.ignore:
                findings += error.findings
            else:
                reports.append(_report(series, "ignored", about.ignore))
            continue
        reports += told
        images += found
    if findings:
        raise InputError(findings)
    return reports, images


def _convert_one(
    series: Series, rules: Sequence[Rule], scratch: Path, program: str
) -> tuple[list[SeriesReport], list[_Image]]:
    conversion = convert_series(series, scratch, program=program)
    reports: list[SeriesReport] = []
    images: list[_Image] = []
    for converted in conversion.images:
        fields = {**series.fields, **converted.fields}
        choice = choose(
            rules, fields, n_volumes=converted.n_volumes, has_gradients=converted.has_gradients
        )
        if choice is None:
            told = f"no rule fits; volumes: {converted.n_volumes}; add a rule to ingest.rules"
            reports.append(_report(series, "unknown", told))
        elif choice.ignore:
            reports.append(_report(series, "ignored", choice.ignore))
        else:
            complete = with_echo(choice, converted.part)
            lacking = _lacking(converted, choice)
            if complete is None:
                told = f"one of several images of its series ({converted.part})"
                reports.append(_report(series, "unknown", told))
            elif lacking:
                told = f"a field map needs {' and '.join(lacking)}; give them by fields in a rule"
                reports.append(_report(series, "unknown", told))
            else:
                warnings = (*conversion.warnings, *_timing(series, converted, complete))
                reports.append(_report(series, "taken", f"{len(images)}", warnings))
                images.append(_Image(series=series, converted=converted, choice=complete))
    return reports, images


def _lacking(converted: ConvertedImage, choice: Choice) -> list[str]:
    if choice.suffix != "epi":
        return []
    told = sidecar_fields(converted, choice)
    return [name for name in REQUIRED_FOR_EPI if name not in told]


def _timing(series: Series, converted: ConvertedImage, choice: Choice) -> list[str]:
    """Compare the time between volumes with the protocol's: dcm2niix computes it from clocks."""
    computed, protocol = converted.fields.get("RepetitionTime"), series.repetition_time
    if choice.suffix != "bold" or computed is None or protocol is None:
        return []
    if abs(computed - protocol) <= _TIMING_TOLERANCE:
        return []
    return [f"RepetitionTime is {computed:g} s by dcm2niix and {protocol:g} s by the header"]


def _refuse_nothing_new(dicom: Path, reports: Sequence[SeriesReport]) -> None:
    findings = [
        Finding(
            where=f"{dicom}: series {one.number} ({one.description}, {one.n_files} files)",
            rule="a series is ingested once"
            if one.state == "known"
            else "an ingest must hold a scan that a rule knows",
            found=f"{one.state}: {one.told}",
            remedy="Nothing to do."
            if one.state == "known"
            else "Add a rule to ingest.rules in a config.yaml and give it with --config.",
        )
        for one in reports
    ]
    raise InputError(findings)


def _names(images: Sequence[_Image], visit: VisitOfPatient, bids_dir: Path) -> list[ScanName]:
    findings = [
        Finding(
            where=f"series {image.series.number}",
            rule="no label may hold what names a person",
            found=f"entity {key}",
            remedy="Correct the rule that takes this label from the header.",
        )
        for image in images
        for key, label in image.choice.entities.items()
        if found_in(label, image.series.identifying)
    ]
    if findings:
        raise InputError(findings)
    session = bids_dir / visit.sub / visit.ses
    taken = [path.relative_to(bids_dir).as_posix() for path in session.glob("*/*.nii*")]
    choices = [image.choice for image in images]
    return name_scans(choices, sub=visit.sub, ses=visit.ses, taken=taken)


def _with_names(reports: Sequence[SeriesReport], names: Sequence[ScanName]) -> list[SeriesReport]:
    """Fill in what the taken series became; they stand in the order of the images."""
    stems = iter([f"{name.stem}.nii.gz" for name in names])
    told = {id(one): next(stems) for one in reports if one.state == "taken"}
    return [replace(one, told=told[id(one)]) if id(one) in told else one for one in reports]


def _notes(examination: Examination) -> list[str]:
    notes = []
    if examination.duplicates:
        notes.append(f"{examination.duplicates} files hold images that other files hold too")
    if examination.others:
        shown = ", ".join(path.name for path in examination.others[:5])
        more = " ..." if len(examination.others) > 5 else ""
        notes.append(f"{len(examination.others)} files are no DICOM series: {shown}{more}")
    return notes


def _identity_notes(
    images: Sequence[_Image], register: Register, visit: VisitOfPatient
) -> list[str]:
    """Tell of what looks like a mix-up of patients; trials do change identifiers, so no refusal."""
    if not images:
        return []
    series = images[0].series
    notes = []
    others = register.participants_of(series.patient) - {visit.sub}
    if others:
        notes.append(
            f"this patient's identifier was ingested before as {', '.join(sorted(others))}: "
            f"is --sub {visit.sub} right?"
        )
    before = register.patients_of(visit.sub)
    if before and register.digest(series.patient) not in before:
        notes.append(f"{visit.sub} was ingested before with another identifier in its headers")
    label = visit.sub.removeprefix("sub-")
    if label.lower() in {name.lower() for name in series.identifying}:
        notes.append(
            f"the label {visit.sub} stands in the DICOM headers as well: is it a pseudonym?"
        )
    return notes
