"""The writing half of an ingest: a staged visit moves into the dataset, or nothing changes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import nibabel as nib

from msimaging.bids.rows import read_rows, write_rows
from msimaging.dicom.conversion import ConvertedImage
from msimaging.dicom.deidentification import kept_fields, shifted_day, write_clean_image
from msimaging.dicom.naming import ScanName
from msimaging.dicom.phase_encoding import complete_phase_encoding
from msimaging.dicom.register import FOLDER, Ingested, Register
from msimaging.dicom.rules import Choice
from msimaging.dicom.series import Series
from msimaging.errors import ConfigError, Finding
from msimaging.provenance import version
from msimaging.tables import write_json
from msimaging.volumes import whole_file

Dates = Literal["shift", "keep", "none"]
BIDS_VERSION = "1.10.0"
_STAGING = ".msimaging-ingest-"
_README = """# Scans of a study

Made from DICOM with msimaging and dcm2niix. Sidecars and image headers hold how was scanned, not
who, where or when. `sourcedata/msimaging` holds the dataset's key and digests of what was
ingested: leave it out when you share the dataset. T1w and FLAIR images still show faces.
"""
_ACQ_TIME = {
    "shift": "Start of the session, moved into the past: all sessions of a patient by the same "
    "number of days, so that intervals are true and dates are not",
    "keep": "Day of the session",
}
#: BIDS tells moved dates from true ones by the year.
_FIRST_TRUE_YEAR = 1925


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitOfPatient:
    """Labels of a visit, with their prefixes."""

    sub: str
    ses: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScan:
    """One image on its way into the dataset."""

    series: Series
    converted: ConvertedImage
    name: ScanName


@contextmanager
def dataset_lock(bids_dir: Path) -> Iterator[None]:
    """Hold a dataset for one ingest at a time; leave an empty folder as it was.

    Parameters
    ----------
    bids_dir : Path
        Dataset; made when missing, and removed again when it stays empty.

    Raises
    ------
    ConfigError
        When another ingest writes into the dataset.
    """
    made = not bids_dir.exists()
    bids_dir.mkdir(parents=True, exist_ok=True)
    path = bids_dir / f"{_STAGING}lock"
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            rule = "one ingest at a time writes into a dataset"
            remedy = "Wait until the other ingest has ended."
            fault = Finding(where=str(bids_dir), rule=rule, found="another", remedy=remedy)
            raise ConfigError([fault]) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if made:
                with suppress(OSError):
                    bids_dir.rmdir()


def commit(
    bids_dir: Path,
    visit: VisitOfPatient,
    scans: Sequence[NewScan],
    register: Register,
    *,
    dates: Dates,
) -> list[str]:
    """Write the scans of a visit into the dataset, all of them or none.

    Parameters
    ----------
    bids_dir : Path
        Dataset, held by `dataset_lock`.
    visit : VisitOfPatient
        Whose scans.
    scans : sequence of NewScan
        Converted and named.
    register : Register
        Of the dataset; the series are added.
    dates : {"shift", "keep", "none"}
        What stands in ``sessions.tsv``.

    Returns
    -------
    list of str
        What a person should know.

    Raises
    ------
    ConfigError
        When the dates do not fit those that the dataset holds.
    """
    for left in bids_dir.glob(f"{_STAGING}*/"):
        shutil.rmtree(left)  # of an ingest that was killed
    acquired = _acquired(scans, visit, register, dates)
    _require_fitting_date(bids_dir, visit, acquired, dates)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=bids_dir))
    try:
        notes = _stage(staging, visit, scans)
        with ExitStack() as undo:
            _remember(bids_dir, visit, undo)
            _write_tables(bids_dir, visit, acquired, dates)
            register.write(_ingested(scans, visit, register))
            _move(staging, bids_dir, visit, undo)
            undo.pop_all()
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return notes


def _acquired(
    scans: Sequence[NewScan], visit: VisitOfPatient, register: Register, dates: Dates
) -> date | None:
    days = [scan.series.acquired for scan in scans if scan.series.acquired]
    if not days or dates == "none":
        return None
    return shifted_day(min(days), visit.sub, register.key) if dates == "shift" else min(days)


def _require_fitting_date(
    bids_dir: Path, visit: VisitOfPatient, acquired: date | None, dates: Dates
) -> None:
    path = _sessions(bids_dir, visit)
    rows = read_rows(path) if path.exists() else []
    told = {row["session_id"]: row.get("acq_time", "")[:10] for row in rows}
    if acquired is None:
        return
    for session, text in told.items():
        if not text:
            continue
        moved = int(text[:4]) < _FIRST_TRUE_YEAR
        if moved != (dates == "shift"):
            rule = "all dates of a patient are moved alike, or none"
            found = f"{session} on {text}, and ingest.dates: {dates}"
            remedy = "Set ingest.dates to " + ("shift." if moved else "keep.")
            raise ConfigError([Finding(where=str(path), rule=rule, found=found, remedy=remedy)])
    before = told.get(visit.ses)
    apart = abs((date.fromisoformat(before) - acquired).days) if before else 0
    if apart > 31:
        rule = "all scans of a visit are of one time"
        found = f"{visit.ses} holds scans {apart} days apart from these"
        remedy = "Give another --ses, or correct the table."
        raise ConfigError([Finding(where=str(path), rule=rule, found=found, remedy=remedy)])


def _stage(staging: Path, visit: VisitOfPatient, scans: Sequence[NewScan]) -> list[str]:
    notes = []
    for scan in scans:
        stem = staging / scan.name.stem
        stem.parent.mkdir(parents=True, exist_ok=True)
        told = sidecar_fields(scan.converted, scan.name.choice)
        fields, dropped = kept_fields(told, scan.series.identifying)
        if dropped:
            notes.append(
                f"series {scan.series.number}: {', '.join(dropped)} left out of the sidecar, "
                "because the text holds an identifying value of the header"
            )
        write_json(stem.with_name(f"{stem.name}.json"), fields | _own_fields(scan, scans))
        write_clean_image(scan.converted.image, stem.with_name(f"{stem.name}.nii.gz"))
        if scan.name.choice.suffix == "dwi":
            for name in ("bval", "bvec"):
                source = scan.converted.bval if name == "bval" else scan.converted.bvec
                if source is not None:
                    shutil.copyfile(source, stem.with_name(f"{stem.name}.{name}"))
    for path in staging.rglob("*"):
        if path.is_file():
            with path.open("rb") as written:
                os.fsync(written.fileno())
    (staging / visit.sub).mkdir(exist_ok=True)
    return notes


def sidecar_fields(converted: ConvertedImage, choice: Choice) -> dict[str, Any]:
    """Return dcm2niix's fields, those of the rule, and what completes the phase encoding.

    Parameters
    ----------
    converted : ConvertedImage
        The image.
    choice : Choice
        What it is.

    Returns
    -------
    dict
        Identifying fields included.
    """
    told = {**converted.fields, **choice.fields}
    if choice.suffix not in {"dwi", "bold", "sbref", "epi"}:
        return told
    label = choice.entities.get("dir", "")
    affine = nib.load(converted.image).affine
    return told | complete_phase_encoding(told, label=label, affine=affine)


def _own_fields(scan: NewScan, scans: Sequence[NewScan]) -> dict[str, Any]:
    choice = scan.name.choice
    own: dict[str, Any] = {}
    if "task" in choice.entities:
        own["TaskName"] = choice.entities["task"]
    if choice.intended_for:
        own["IntendedFor"] = [
            f"bids::{other.name.stem}.nii.gz"
            for other in scans
            if other.name.choice.suffix == choice.intended_for
        ]
    return own


def _remember(bids_dir: Path, visit: VisitOfPatient, undo: ExitStack) -> None:
    """Arrange that a failure puts every table back and removes what was made."""
    subject = bids_dir / visit.sub
    for folder in (bids_dir / "sourcedata", bids_dir / FOLDER, subject):
        if not folder.exists():
            undo.callback(_remove_if_empty, folder)
    tables = ("dataset_description.json", "README.md", "participants.tsv")
    register = tuple((FOLDER / name).as_posix() for name in ("key", "series.tsv"))
    own = tuple(f"{visit.sub}/{visit.sub}_sessions.{kind}" for kind in ("tsv", "json"))
    for name in (*tables, *register, *own):
        path = bids_dir / name
        undo.callback(_restore, path, path.read_bytes() if path.exists() else None)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif path.read_bytes() != content:
        with whole_file(path) as temporary:
            temporary.write_bytes(content)


def _write_tables(
    bids_dir: Path, visit: VisitOfPatient, acquired: date | None, dates: Dates
) -> None:
    description = bids_dir / "dataset_description.json"
    if not description.exists():
        content: dict[str, Any] = {"Name": "Scans of a study", "BIDSVersion": BIDS_VERSION}
        content |= {"DatasetType": "raw"}
        content |= {"GeneratedBy": [{"Name": "msimaging", "Version": version()}]}
        write_json(description, content)
    if not any(bids_dir.glob("README*")):
        with whole_file(bids_dir / "README.md") as temporary:
            temporary.write_text(_README, encoding="utf-8")
    _add_row(bids_dir / "participants.tsv", {"participant_id": visit.sub})
    path = _sessions(bids_dir, visit)
    row = {"session_id": visit.ses}
    if acquired is not None:
        row["acq_time"] = f"{acquired.isoformat()}T00:00:00"
        if not path.with_suffix(".json").exists():
            told = {"acq_time": {"Description": _ACQ_TIME[dates]}}
            write_json(path.with_suffix(".json"), told)
    _add_row(path, row)


def _sessions(bids_dir: Path, visit: VisitOfPatient) -> Path:
    return bids_dir / visit.sub / f"{visit.sub}_sessions.tsv"


def _add_row(path: Path, row: Mapping[str, str]) -> None:
    """Add a row, or fill the missing cells of the one that is there; sessions stay in order."""
    rows: list[dict[str, str]] = read_rows(path) if path.exists() else []
    columns = path.read_text("utf-8-sig").split("\n")[0].strip().split("\t") if rows else []
    columns += [name for name in row if name not in columns]
    key = next(iter(row))
    same = [one for one in rows if one.get(key) == row[key]]
    for one in same:
        one.update({name: text for name, text in row.items() if not one.get(name)})
    if not same:
        rows.append(dict(row))
    if "acq_time" in columns and all(one.get("acq_time") for one in rows):
        rows.sort(key=lambda one: one["acq_time"])
    write_rows(path, columns, rows)


def _ingested(
    scans: Sequence[NewScan], visit: VisitOfPatient, register: Register
) -> list[Ingested]:
    return [
        Ingested(
            series=register.digest(scan.series.uid),
            patient=register.digest(scan.series.patient),
            participant_id=visit.sub,
            session_id=visit.ses,
            path=f"{scan.name.stem}.nii.gz",
        )
        for scan in scans
    ]


def _move(staging: Path, bids_dir: Path, visit: VisitOfPatient, undo: ExitStack) -> None:
    source, target = staging / visit.sub / visit.ses, bids_dir / visit.sub / visit.ses
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        source.rename(target)  # the whole visit at once
        return
    files = sorted(path for path in source.rglob("*") if path.is_file())
    # images last: a scan is there when its image is
    for path in sorted(files, key=lambda one: one.name.endswith(".nii.gz")):
        final = target / path.relative_to(source)
        if not final.parent.exists():
            final.parent.mkdir()
            undo.callback(_remove_if_empty, final.parent)
        undo.callback(final.unlink, missing_ok=True)
        path.rename(final)
