"""The series in a folder of DICOM files: their files, and what in their headers names a person."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

#: What is read of every file; the whole header is read of the first file of a series only.
_TAGS = (
    *("SeriesInstanceUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesNumber", "Modality"),
    *("SeriesDescription", "ProtocolName", "PatientID", "PatientName", "RepetitionTime"),
    *("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate", "AcquisitionDateTime"),
    *("Rows", "ImageType"),
)
_DATES = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")
#: Elements of these kinds always tell of a person, a moment or one examination.
_IDENTIFYING_KINDS = frozenset({"PN", "DA", "DT", "TM", "UI", "AS"})
#: Others that do, though their kind is plain text.
_IDENTIFYING = frozenset(
    {
        *("PatientID", "IssuerOfPatientID", "OtherPatientIDs", "PatientAddress", "MilitaryRank"),
        *("PatientTelephoneNumbers", "MedicalRecordLocator", "PatientComments", "Occupation"),
        *("InsurancePlanIdentification", "CountryOfResidence", "RegionOfResidence"),
        *("PatientReligiousPreference", "AdditionalPatientHistory", "EthnicGroup"),
        *("AccessionNumber", "StudyID", "DeviceSerialNumber", "DeviceUID", "DetectorID"),
        *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
        *("ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers", "PlateID"),
        *("PerformedProcedureStepID", "ScheduledProcedureStepID", "RequestedProcedureID"),
        *("StudyDescription", "StudyComments", "ImageComments", "FillerOrderNumber"),
        *("PlacerOrderNumberImagingServiceRequest", "CurrentPatientLocation", "AdmissionID"),
    }
)
#: UIDs of the standard itself (kinds of image, compressions) tell nothing of an examination.
_STANDARD_UID = "1.2.840.10008."
#: Shorter texts occur everywhere by chance.
_SHORTEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of an examination.

    Attributes
    ----------
    uid, study_uid : str
        As in the headers.
    number : int
        Its place in the examination.
    description : str
        As the operator of the scanner sees it.
    patient : str
        Identifier and name, for telling patients apart.
    acquired : date or None
        Day of the scan.
    repetition_time : float or None
        In seconds, as the header gives it.
    files : tuple of Path
        One for each SOP instance.
    is_image : bool
        Whether these are MR images at all.
    fields : mapping
        What the rule table may look at where nothing could be converted.
    identifying : frozenset of str
        Values of the header that may not appear in any output.
    """

    uid: str
    study_uid: str
    number: int
    description: str
    patient: str
    acquired: date | None
    repetition_time: float | None
    files: tuple[Path, ...]
    is_image: bool
    fields: Mapping[str, Any] = field(default_factory=dict)
    identifying: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything found in a folder.

    Attributes
    ----------
    series : tuple of Series
        In the order of their numbers.
    duplicates : int
        Files left out because another file holds the same SOP instance.
    others : tuple of Path
        Files that are no DICOM images of a series.
    """

    series: tuple[Series, ...]
    duplicates: int
    others: tuple[Path, ...]


def read_examination(folder: Path) -> Examination:
    """Sort the DICOM files below a folder into series.

    Parameters
    ----------
    folder : Path
        Searched to any depth.

    Returns
    -------
    Examination
        What was found.
    """
    instances: dict[str, dict[str, tuple[Path, Dataset]]] = {}
    duplicates, others = 0, []
    for path in _files(folder):
        header = _header(path, tags=True)
        if header is None or "SeriesInstanceUID" not in header:
            others.append(path)
            continue
        of_series = instances.setdefault(str(header.SeriesInstanceUID), {})
        instance = str(header.get("SOPInstanceUID", path))
        duplicates += instance in of_series
        of_series.setdefault(instance, (path, header))
    series = [_series(uid, list(found.values())) for uid, found in instances.items()]
    return Examination(
        series=tuple(sorted(series, key=lambda one: (one.number, one.uid))),
        duplicates=duplicates,
        others=tuple(others),
    )


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root) / name for name in sorted(names) if name != "DICOMDIR")


def _header(path: Path, *, tags: bool) -> Dataset | None:
    with warnings.catch_warnings():
        # values that break the standard are common, and none of them is used unchecked
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=list(_TAGS) if tags else None
            )
        except (InvalidDicomError, EOFError, OSError, ValueError, KeyError):
            return None


def _series(uid: str, instances: list[tuple[Path, Dataset]]) -> Series:
    first_path, first = instances[0]
    whole = _header(first_path, tags=False)
    days = [day for _, header in instances if (day := _day(header))]
    repetition = _number(first.get("RepetitionTime"))
    return Series(
        uid=uid,
        study_uid=str(first.get("StudyInstanceUID", "")),
        number=int(_number(first.get("SeriesNumber")) or 0),
        description=str(first.get("SeriesDescription") or first.get("ProtocolName") or ""),
        patient=f"{first.get('PatientID', '')}\n{first.get('PatientName', '')}",
        acquired=min(days, default=None),
        repetition_time=repetition / 1000 if repetition else None,
        files=tuple(path for path, _ in instances),
        is_image=str(first.get("Modality", "")) == "MR" and "Rows" in first,
        fields=_fields(first),
        identifying=frozenset(_identifying(whole)) if whole is not None else frozenset(),
    )


def _fields(header: Dataset) -> dict[str, Any]:
    names = ("SeriesDescription", "ProtocolName")
    told: dict[str, Any] = {name: str(header[name].value) for name in names if name in header}
    return told | {"ImageType": [str(part) for part in header.get("ImageType", ())]}


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _day(header: Dataset) -> date | None:
    for name in (*_DATES, "AcquisitionDateTime"):
        text = str(header.get(name, ""))[:8]
        if len(text) == 8 and text.isdigit():
            try:
                return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
            except ValueError:
                continue
    return None


def _identifying(header: Dataset) -> Iterator[str]:
    for element in header.iterall():
        if element.VR not in _IDENTIFYING_KINDS and element.keyword not in _IDENTIFYING:
            continue
        values = element.value if element.VM > 1 else [element.value]
        for value in values or ():
            yield from _forms(element.VR, str(value).strip())


def _forms(kind: str, text: str) -> Iterable[str]:
    """Yield a value in the forms in which it could stand in an output."""
    if kind == "UI" and text.startswith(_STANDARD_UID):
        return
    parts = [text]
    if kind == "PN":
        parts += re.split(r"[\^= ]+", text)
    if kind == "DA" and len(text) == 8:
        parts.append(f"{text[:4]}-{text[4:6]}-{text[6:]}")
    if kind == "DT" and len(text) >= 8:
        parts += [text[:8], f"{text[:4]}-{text[4:6]}-{text[6:8]}"]
    if kind == "TM" and len(text) >= 6:
        clock = text[:6]
        parts = [text, clock, f"{clock[:2]}:{clock[2:4]}:{clock[4:]}"]
    for part in parts:
        if len(part) >= _SHORTEST and re.search(r"[A-Za-z0-9]", part):
            yield part
