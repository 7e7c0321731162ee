"""A scanner that writes DICOM series with pydicom: classic and enhanced, with a patient's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

#: Everything that may appear in no output, by how it is told in the headers.
SECRETS = {
    "PatientName": "Weissmann^Dorothea",
    "PatientID": "HOSP774411",
    "PatientBirthDate": "19810423",
    "PatientAddress": "Lindenallee",
    "OtherPatientIDs": "ALT998877",
    "AccessionNumber": "ACC556677",
    "InstitutionName": "Klinikum Nordstadt",
    "DeviceSerialNumber": "SN443322",
    "ReferringPhysicianName": "Ostermann^Karl",
    "OperatorsName": "mtraxyz",
    "StationName": "MRSTATION7",
    "StudyID": "EXAM8812",
    "StudyDescription": "MS Verlauf Weissmann",
}
BVALS = (0, 1000, 1000, 1000, 1000, 1000, 1000)
S = np.sqrt(0.5)
#: In the patient's coordinates, as DICOM tells them (left, posterior, superior).
DIRECTIONS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (S, S, 0), (S, 0, S), (0, S, -S))
TILT = np.deg2rad(20)


@dataclass
class Scanner:
    """One examination of one patient on one day."""

    folder: Path
    date: str = "20210314"
    study_uid: str = field(default_factory=generate_uid)
    secrets: dict[str, str] = field(default_factory=lambda: dict(SECRETS))
    manufacturer: str = "Philips"
    written: int = 0

    def series(
        self,
        number: int,
        description: str,
        *,
        n_volumes: int = 1,
        n_slices: int = 5,
        uid: str | None = None,
        gradients: bool = False,
        change: Callable[[Dataset, int, int], None] | None = None,
        **fields: Any,
    ) -> list[Path]:
        """Write a series, one file an image; return the files in the order of time."""
        uid, rng = uid or generate_uid(), np.random.default_rng(number)
        paths = []
        for volume in range(n_volumes):
            for slice_number in range(n_slices):
                dataset = self._image(MRImageStorage, number, description, uid)
                self._place(dataset, slice_number)
                dataset.InstanceNumber = volume * n_slices + slice_number + 1
                dataset.AcquisitionTime = f"10{number % 60:02d}{2 * volume:02d}.000000"
                dataset.TemporalPositionIdentifier = volume + 1
                dataset.NumberOfTemporalPositions = n_volumes
                if gradients:
                    weigh(dataset, volume, self.manufacturer)
                pixels(dataset, rng.integers(0, 1000, (16, 16)) + 10 * slice_number)
                for name, value in fields.items():
                    setattr(dataset, name, value)
                if change:
                    change(dataset, volume, slice_number)
                paths.append(self._save(dataset))
        return paths

    def enhanced(self, number: int, description: str, *, n_slices: int = 6) -> Path:
        """Write a 3D image as one enhanced multi-frame file."""
        rng = np.random.default_rng(number)
        dataset = self._image(EnhancedMRImageStorage, number, description, generate_uid())
        dataset.NumberOfFrames, dataset.InstanceNumber = n_slices, 1
        dataset.AcquisitionDateTime = f"{self.date}101500.000000"
        shared, measures, plane = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = [2.0, 2.0], 3.0
        measures.SpacingBetweenSlices = 3.0
        plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        shared.PixelMeasuresSequence = Sequence([measures])
        shared.PlaneOrientationSequence = Sequence([plane])
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
        frames = []
        for slice_number in range(n_slices):
            frame, position, content = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [-16.0, -16.0, 3.0 * slice_number]
            content.DimensionIndexValues = [1, slice_number + 1]
            content.StackID, content.InStackPositionNumber = "1", slice_number + 1
            frame.PlanePositionSequence = Sequence([position])
            frame.FrameContentSequence = Sequence([content])
            frames.append(frame)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
        pixels(dataset, rng.integers(0, 1000, (n_slices, 16, 16)))
        return self._save(dataset)

    def _image(self, kind: str, number: int, description: str, uid: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = kind, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
        for name, value in self.secrets.items():
            setattr(dataset, name, value)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study_uid, uid
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = self.date
        dataset.ContentDate, dataset.StudyTime = self.date, "100000"
        dataset.Modality, dataset.Manufacturer = "MR", self.manufacturer
        dataset.ManufacturerModelName, dataset.SoftwareVersions = "Ingenia", "5.6.1"
        dataset.SeriesNumber, dataset.AcquisitionNumber = number, 1
        dataset.SeriesDescription = dataset.ProtocolName = description
        dataset.ScanningSequence, dataset.MRAcquisitionType = "EP", "2D"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "FFE"]
        dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = 2000, 30, 80
        dataset.MagneticFieldStrength, dataset.PatientPosition = 3, "HFS"
        dataset.InPlanePhaseEncodingDirection = "COL"
        return dataset

    @staticmethod
    def _place(dataset: Dataset, slice_number: int) -> None:
        """Put a slice of 2 x 2 x 3 mm voxels, turned about the left-right axis."""
        normal = np.array([0, -np.sin(TILT), np.cos(TILT)])
        corner = np.array([-16.0, -16.0, 0.0]) + 3.0 * slice_number * normal
        dataset.ImageOrientationPatient = [1, 0, 0, 0, np.cos(TILT), np.sin(TILT)]
        dataset.ImagePositionPatient = [round(float(x), 6) for x in corner]
        dataset.PixelSpacing, dataset.SliceThickness = [2.0, 2.0], 3.0
        dataset.SpacingBetweenSlices = 3.0

    def _save(self, dataset: FileDataset) -> Path:
        self.written += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"IM{self.written:05d}"
        dataset.save_as(path, enforce_file_format=True)
        return path


def pixels(dataset: Dataset, values: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = values.astype("<u2").tobytes()


def weigh(dataset: Dataset, volume: int, manufacturer: str) -> None:
    """Tell b-value and direction as the vendor does: private elements by Siemens."""
    bval, direction = BVALS[volume], [float(x) for x in DIRECTIONS[volume]]
    if manufacturer == "SIEMENS":
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", str(bval))
        if bval:
            block.add_new(0x0E, "FD", direction)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
        return
    dataset.DiffusionBValue = float(bval)
    dataset.DiffusionGradientOrientation = direction
    dataset.DiffusionDirectionality = "DIRECTIONAL" if bval else "NONE"


@pytest.fixture
def scanner(tmp_path: Path) -> Scanner:
    """An examination of which nothing is written yet."""
    return Scanner(folder=tmp_path / "dicom")


def full_session(scanner: Scanner) -> Scanner:
    """Write what a visit of the trial has: planning, T1w, FLAIR, two rests, DWI, and one more."""
    scanner.series(1, "Survey", n_slices=3)
    scanner.series(2, "T1W_3D_TFE", MRAcquisitionType="3D", EchoTime=3.7, RepetitionTime=8.0)
    scanner.enhanced(3, "FLAIR_3D")
    scanner.series(4, "rest_bold_run", n_volumes=12)
    scanner.series(5, "rest_bold_run", n_volumes=12)
    scanner.series(6, "DTI_AP", n_volumes=7, gradients=True, RepetitionTime=9000)
    scanner.series(7, "DTI_b0_PA", n_volumes=2, RepetitionTime=9000)
    scanner.series(8, "SWI_hires")
    return scanner


@pytest.fixture
def session(scanner: Scanner) -> Scanner:
    """A whole visit."""
    return full_session(scanner)


@pytest.fixture(scope="session")
def make_scanner() -> Callable[..., Scanner]:
    """Return the scanner itself, for examinations that differ."""
    return Scanner
