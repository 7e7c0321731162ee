"""The simulated scans on disk: names, headers and sidecars as a scanner and dcm2niix leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.phantom.diffusion import SimulatedDWI
from msimaging.phantom.functional import SimulatedBOLD
from msimaging.phantom.truth import PATIENT, VisitTruth
from msimaging.tables import write_json, write_table
from msimaging.volumes import whole_file, write_volume

ECHO_SPACING = 0.00053
README = """# Simulated trial

Patients with multiple sclerosis scanned twice or more, about six months apart: diffusion series
and resting-state BOLD made by msimaging from the MNI152 tissue maps. Nobody was scanned. The
changes that were planted are in the object that the simulation returned, not in this dataset.
`derivatives/lesions` holds the true lesion masks on the grid of each diffusion series.
"""
SCANNER: dict[str, Any] = {
    "Manufacturer": "Simulated",
    "ManufacturersModelName": "msimaging phantom",
    "MagneticFieldStrength": 3,
    "SoftwareVersions": "phantom 1",
    "DeviceSerialNumber": "0",
    "InstitutionName": "Nowhere",
    "ReceiveCoilName": "Head_32",
    "MRAcquisitionType": "2D",
    "PhaseEncodingDirection": "j-",
    "EffectiveEchoSpacing": ECHO_SPACING,
}


def write_dataset(
    bids_dir: Path | str, patients: Sequence[Sequence[VisitTruth]], *, seed: int
) -> None:
    """Write everything but the scans.

    Parameters
    ----------
    bids_dir : path
        The dataset.
    patients : sequence of sequence of VisitTruth
        Visits of each patient.
    seed : int
        Of the trial, for age, sex and arm.
    """
    root = Path(bids_dir)
    _write_description(root, "raw", "Simulated trial")
    _write_description(root / "derivatives" / "lesions", "derivative", "lesions")
    with whole_file(root / "README.md") as temporary:
        temporary.write_text(README, encoding="utf-8")
    people = [_person(visits[0].participant_id, seed, n) for n, visits in enumerate(patients)]
    write_table(root / "participants.tsv", pd.DataFrame(people))
    write_json(root / "participants.json", _PARTICIPANT_COLUMNS)
    for visits in patients:
        name = visits[0].participant_id
        write_table(root / name / f"{name}_sessions.tsv", _sessions(visits))
        write_json(root / name / f"{name}_sessions.json", _SESSION_COLUMNS)


def _write_description(folder: Path, kind: str, name: str) -> None:
    content: dict[str, Any] = {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": kind}
    content |= {"License": "CC0", "Authors": ["msimaging phantom"]}
    content |= {"GeneratedBy": [{"Name": name if kind == "derivative" else "msimaging"}]}
    write_json(folder / "dataset_description.json", content)


def _person(participant_id: str, seed: int, patient: int) -> dict[str, Any]:
    rng = np.random.default_rng((seed, patient, 1, PATIENT))
    return {
        "participant_id": participant_id,
        "age": int(rng.integers(20, 56)),
        "sex": str(rng.choice(["F", "F", "M"])),
        # alternating, so that a small trial has both arms
        "arm": ("treatment", "control")[patient % 2],
    }


def _sessions(visits: Sequence[VisitTruth]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "session_id": [visit.session_id for visit in visits],
            "acq_time": [visit.acquired.strftime("%Y-%m-%dT%H:%M:%S") for visit in visits],
            "edss": [visit.edss for visit in visits],
        }
    )


_PARTICIPANT_COLUMNS: dict[str, Any] = {
    "age": {"Description": "Age at baseline", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "arm": {
        "Description": "Arm of the trial; the simulation treats both alike",
        "Levels": {"treatment": "treatment", "control": "control"},
    },
}
_SESSION_COLUMNS: dict[str, Any] = {
    "acq_time": {"Description": "Start of the session"},
    "edss": {"Description": "Expanded Disability Status Scale"},
}


def write_dwi(bids_dir: Path | str, visit: VisitTruth, dwi: SimulatedDWI) -> None:
    """Write a diffusion series with bval, bvec and sidecar, and its lesion mask.

    Parameters
    ----------
    bids_dir : path
        The dataset.
    visit : VisitTruth
        Whose series.
    dwi : SimulatedDWI
        The series.
    """
    stem = _folder(bids_dir, visit, "dwi") / f"{visit.participant_id}_{visit.session_id}"
    name = f"{stem}_dwi"
    _write_scan(f"{name}.nii.gz", dwi.data, dwi.affine, t_r=8.0)
    _write_rows(f"{name}.bval", dwi.bvals[None], "%d")
    _write_rows(f"{name}.bvec", dwi.bvecs.T, "%.8f")
    timing = {"EchoTime": 0.085, "RepetitionTime": 8.0, "FlipAngle": 90}
    write_json(f"{name}.json", SCANNER | timing | _readout(dwi.data.shape))
    lesions = _folder(Path(bids_dir) / "derivatives" / "lesions", visit, "dwi") / stem.name
    mask_name = f"{lesions}_label-lesion_mask"
    write_volume(f"{mask_name}.nii.gz", dwi.lesion_mask, dwi.affine)
    sources = f"bids::{stem.relative_to(bids_dir)}_dwi.nii.gz"
    write_json(
        f"{mask_name}.json", {"Type": "Lesion", "SkullStripped": False, "RawSources": [sources]}
    )


def write_opposite(bids_dir: Path | str, visit: VisitTruth, dwi: SimulatedDWI) -> None:
    """Write b=0 volumes of the opposite phase-encoding polarity.

    Parameters
    ----------
    bids_dir : path
        The dataset.
    visit : VisitTruth
        Whose volumes.
    dwi : SimulatedDWI
        Volumes without weighting, displaced the other way.
    """
    stem = f"{visit.participant_id}_{visit.session_id}"
    name = f"{_folder(bids_dir, visit, 'fmap') / stem}_dir-PA_epi"
    _write_scan(f"{name}.nii.gz", dwi.data, dwi.affine, t_r=8.0)
    target = f"bids::{visit.participant_id}/{visit.session_id}/dwi/{stem}_dwi.nii.gz"
    timing = {"EchoTime": 0.085, "RepetitionTime": 8.0, "FlipAngle": 90}
    own = {"PhaseEncodingDirection": "j", "IntendedFor": target}
    write_json(f"{name}.json", SCANNER | timing | _readout(dwi.data.shape) | own)


def write_bold(bids_dir: Path | str, visit: VisitTruth, bold: SimulatedBOLD) -> None:
    """Write a resting run with its sidecar.

    Parameters
    ----------
    bids_dir : path
        The dataset.
    visit : VisitTruth
        Whose run.
    bold : SimulatedBOLD
        The run.
    """
    folder = _folder(bids_dir, visit, "func")
    name = f"{folder / visit.participant_id}_{visit.session_id}_task-rest_bold"
    _write_scan(f"{name}.nii.gz", bold.data, bold.affine, t_r=bold.t_r)
    n_slices = bold.data.shape[2]
    timing = {
        "TaskName": "rest",
        "RepetitionTime": bold.t_r,
        "EchoTime": 0.03,
        "FlipAngle": 75,
        # one excitation for the whole volume: all simulated slices show the same moment
        "MRAcquisitionType": "3D",
        "SliceTiming": [0.0] * n_slices,
    }
    write_json(f"{name}.json", SCANNER | timing | _readout(bold.data.shape))


def _readout(shape: tuple[int, ...]) -> dict[str, float]:
    return {"TotalReadoutTime": round(ECHO_SPACING * (shape[1] - 1), 6)}


def _folder(root: Path | str, visit: VisitTruth, datatype: str) -> Path:
    return Path(root) / visit.participant_id / visit.session_id / datatype


def _write_rows(path: str, rows: NDArray[np.float64], form: str) -> None:
    lines = [" ".join(form % value for value in row) for row in rows]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_scan(
    path: str, data: NDArray[np.float32], affine: NDArray[np.float64], *, t_r: float
) -> None:
    """Write 16-bit whole numbers, as scanners do."""
    image = nib.Nifti1Image(np.rint(data).clip(0, 32767).astype(np.int16), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_qform(affine, code=1)
    image.header.set_sform(affine, code=1)
    image.header["pixdim"][4] = t_r
    with whole_file(path) as temporary:
        nib.save(image, temporary)
