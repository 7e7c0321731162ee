"""What leaves the scratch folder: acquisition fields, clean image headers, shifted dates."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import re
import shutil
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nibabel as nib

from msimaging.bids.sidecars import ACQUISITION_FIELDS

#: Fields of a sidecar that are kept: how was scanned. Free text (descriptions, protocol names,
#: comments), who, where, when, and numbers that single out one scanner are not among them.
KEPT_FIELDS = ACQUISITION_FIELDS | frozenset(
    {
        *("Modality", "ScanningSequence", "SequenceVariant", "PulseSequenceType", "ScanOptions"),
        *("ImageType", "SpacingBetweenSlices", "EchoNumber", "InversionTime", "EchoTrainLength"),
        *("PercentPhaseFOV", "PercentSampling", "PhaseEncodingSteps", "ReconMatrixPE"),
        *("PixelBandwidth", "DwellTime", "BaseResolution", "PhaseResolution", "SliceTiming"),
        *("PhaseOversampling", "BandwidthPerPixelPhaseEncode", "EstimatedEffectiveEchoSpacing"),
        *("EstimatedTotalReadoutTime", "WaterFatShift", "NumberOfAverages", "DiffusionScheme"),
        *("CoilString", "ReceiveCoilActiveElements", "MTState", "SpoilingState", "BodyPart"),
        *("NonlinearGradientCorrection", "ParallelAcquisitionTechnique", "PartialFourierDirection"),
        *("ImageOrientationPatientDICOM", "InPlanePhaseEncodingDirectionDICOM", "Dcm2bidsVersion"),
        *("PatientPosition", "NumberOfVolumesDiscardedByScanner", "VariableFlipAngleFlag"),
        *("UsePhilipsFloatNotDisplayScaling", "PhilipsRescaleSlope", "PhilipsRescaleIntercept"),
        *("PhilipsRWVSlope", "PhilipsRWVIntercept", "PhilipsScaleSlope", "RawImage"),
    }
)
_EARLIEST_SHIFT = 43_830  # days, about 120 years: BIDS marks shifted dates by years before 1925
_SPREAD_OF_SHIFTS = 3_650
_TEXT_OF_HEADER = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
_CHUNK = 1 << 20


def kept_fields(
    fields: Mapping[str, Any], identifying: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """Cut a sidecar down to how was scanned.

    Parameters
    ----------
    fields : mapping
        As dcm2niix wrote it.
    identifying : iterable of str
        Values of the DICOM header that may appear nowhere.

    Returns
    -------
    kept : dict
        Fields of `KEPT_FIELDS` whose text holds no identifying value.
    dropped : list of str
        Names of fields on the list that had to go because of their text.
    """
    known = {key: value for key, value in fields.items() if key in KEPT_FIELDS}
    names = tuple(identifying)
    dropped = [key for key, value in known.items() if _holds(value, names)]
    return {key: value for key, value in known.items() if key not in dropped}, dropped


def _holds(value: object, names: Iterable[str]) -> bool:
    texts = [str(part) for part in value] if isinstance(value, list) else [str(value)]
    if isinstance(value, int | float) or all(_is_number(text) for text in texts):
        return False
    return any(found_in(text, names) for text in texts)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d+)?", text) is not None


def found_in(text: str, names: Iterable[str]) -> list[str]:
    """Return the identifying values that stand in a text as words of their own.

    Parameters
    ----------
    text : str
        Any text.
    names : iterable of str
        Identifying values.

    Returns
    -------
    list of str
        Those that occur, without regard to case.
    """
    lower = text.lower()
    return [
        name
        for name in names
        if name.lower() in lower
        and re.search(rf"(?<![a-z0-9.]){re.escape(name.lower())}(?![a-z0-9])", lower)
    ]


def write_clean_image(source: Path, target: Path) -> None:
    """Compress an image with a header that holds geometry only; the voxels keep their bytes.

    Parameters
    ----------
    source : Path
        Uncompressed NIfTI-1, single file.
    target : Path
        ``.nii.gz``; neither a file name nor a time stands in its gzip header.
    """
    with source.open("rb") as handle:
        # as it stands in the file: an image that nibabel has loaded no longer knows its scaling
        header = nib.Nifti1Header.from_fileobj(handle)
        handle.seek(int(header["vox_offset"]))
        for name in _TEXT_OF_HEADER:
            header[name] = b""
        header["vox_offset"] = 352
        with (
            target.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        ):
            packed.write(header.binaryblock + bytes(4))
            shutil.copyfileobj(handle, packed, _CHUNK)


def shifted_day(day: date, participant_id: str, key: bytes) -> date:
    """Move a date into the past by a number of days that only the key tells.

    Parameters
    ----------
    day : date
        Day of a scan.
    participant_id : str
        All visits of a patient are moved alike, so that intervals stay true.
    key : bytes
        The dataset's secret.

    Returns
    -------
    date
        Before 1925, which is how BIDS tells moved dates from true ones.
    """
    digest = hmac.new(key, b"dates\n" + participant_id.encode(), hashlib.sha256).digest()
    days = _EARLIEST_SHIFT + int.from_bytes(digest[:8], "big") % _SPREAD_OF_SHIFTS
    return day - timedelta(days=days)
