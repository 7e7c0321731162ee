"""Acquisition fields of a scan, merged from its sidecars; nothing that names a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msimaging.errors import Finding, InputError

#: The only fields that are ever read: none of them tells who was scanned, or where.
ACQUISITION_FIELDS = frozenset(
    {
        "AcquisitionMatrixPE",
        "B0FieldIdentifier",
        "B0FieldSource",
        "ConversionSoftware",
        "ConversionSoftwareVersion",
        "EchoTime",
        "EffectiveEchoSpacing",
        "FlipAngle",
        "IntendedFor",
        "MRAcquisitionType",
        "MagneticFieldStrength",
        "Manufacturer",
        "ManufacturersModelName",
        "MultibandAccelerationFactor",
        "ParallelReductionFactorInPlane",
        "PartialFourier",
        "PhaseEncodingAxis",
        "PhaseEncodingDirection",
        "PulseSequenceType",
        "ReceiveCoilName",
        "RepetitionTime",
        "SliceEncodingDirection",
        "SliceThickness",
        "SliceTiming",
        "SoftwareVersions",
        "TaskName",
        "TotalReadoutTime",
    }
)
#: No sequence in use takes longer per volume; larger numbers are milliseconds.
_LONGEST_REPETITION_TIME = 100.0


def read_acquisition(sidecars: Iterable[Path | str]) -> dict[str, Any]:
    """Merge the acquisition fields of a scan's sidecars.

    Parameters
    ----------
    sidecars : iterable of path
        From the dataset's root downwards; later ones override earlier ones.

    Returns
    -------
    dict
        Fields of `ACQUISITION_FIELDS` only.

    Raises
    ------
    InputError
        Naming every sidecar that is not readable JSON.
    """
    merged: dict[str, Any] = {}
    findings: list[Finding] = []
    for path in sidecars:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            findings.append(_fault(str(path), "a sidecar must be readable JSON", str(error)))
            continue
        if not isinstance(content, dict):
            found = f"a {type(content).__name__}"
            findings.append(_fault(str(path), "a sidecar must hold one JSON object", found))
            continue
        merged |= {key: value for key, value in content.items() if key in ACQUISITION_FIELDS}
    if findings:
        raise InputError(findings)
    return merged


def _fault(where: str, rule: str, found: str) -> Finding:
    remedy = "Repair the file, or convert the scan again with dcm2niix."
    return Finding(where=where, rule=rule, found=found, remedy=remedy)


def check_repetition_time(acquisition: dict[str, Any], *, where: str) -> list[Finding]:
    """Check that a BOLD run tells its repetition time, in seconds.

    Parameters
    ----------
    acquisition : dict
        Merged fields.
    where : str
        The image, for the message.

    Returns
    -------
    list of Finding
        Empty when all is well.
    """
    rule = "RepetitionTime must be given in seconds"
    value = acquisition.get("RepetitionTime")
    if value is None:
        remedy = 'Add "RepetitionTime" (in seconds) to the JSON sidecar of the run.'
        return [Finding(where=where, rule=rule, found="no RepetitionTime", remedy=remedy)]
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        remedy = "Write the seconds between two volumes as a number."
        return [Finding(where=where, rule=rule, found=repr(value), remedy=remedy)]
    if value > _LONGEST_REPETITION_TIME:
        remedy = f"These look like milliseconds: write {value / 1000:g}."
        return [Finding(where=where, rule=rule, found=f"{value:g}", remedy=remedy)]
    return []
