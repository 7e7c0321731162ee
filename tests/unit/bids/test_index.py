"""The index against pybids, on a dataset whose metadata are inherited in every way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids import BIDSLayout

from msimaging.bids.index import image_shape, index_dataset


def write(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    description = {"Name": "x", "BIDSVersion": "1.10.0"}
    write(tmp_path / "dataset_description.json", json.dumps(description))
    write(tmp_path / "dwi.bval", "0 1000")
    write(tmp_path / "dwi.bvec", "0 1\n0 0\n0 0")
    write(tmp_path / "dwi.json", json.dumps({"EchoTime": 0.08, "RepetitionTime": 9}))
    write(tmp_path / "acq-ortho_dwi.json", json.dumps({"EchoTime": 0.07}))
    write(tmp_path / "task-rest_bold.json", json.dumps({"RepetitionTime": 2}))
    for session, acq in (("a", "ax20"), ("b", "ortho")):
        stem = f"sub-01_ses-{session}"
        folder = tmp_path / "sub-01" / f"ses-{session}"
        write(folder / "dwi" / f"{stem}_acq-{acq}_dwi.nii.gz")
        write(folder / "func" / f"{stem}_task-rest_bold.nii.gz")
    own = tmp_path / "sub-01" / "ses-b" / "dwi" / "sub-01_ses-b_acq-ortho_dwi"
    write(own.with_suffix(".bval"), "0 2000")
    write(own.with_suffix(".json"), json.dumps({"FlipAngle": 90}))
    rows = "session_id\tacq_time\nses-b\t2021-01-01\nses-a\t2021-07-01\n"
    write(tmp_path / "sub-01" / "sub-01_sessions.tsv", rows)
    return tmp_path


def test_gradients_and_metadata_are_those_that_pybids_finds(dataset: Path) -> None:
    layout = BIDSLayout(dataset)
    for visit in index_dataset(dataset):
        for scan in (*visit.scans["dwi"], *visit.scans["bold"]):
            image = str(dataset / scan.path)
            merged: dict[str, float] = {}
            for sidecar in scan.sidecars:
                merged |= json.loads((dataset / sidecar).read_text())
            expected = layout.get_metadata(image)
            assert merged == {key: expected[key] for key in merged}
            assert set(expected) - set(merged) <= {"TaskName"}
            if scan.modality == "dwi":
                assert str(dataset / str(scan.bval)) == layout.get_bval(image)
                assert str(dataset / str(scan.bvec)) == layout.get_bvec(image)


def test_the_order_of_visits_is_that_of_sessions_tsv(dataset: Path) -> None:
    visits = index_dataset(dataset)
    assert [(visit.session_id, visit.acq_time) for visit in visits] == [
        ("ses-b", "2021-01-01"),
        ("ses-a", "2021-07-01"),
    ]


def test_a_patient_without_session_folders_gets_one_session(tmp_path: Path) -> None:
    write(tmp_path / "sub-7" / "dwi" / "sub-7_dwi.nii.gz")
    (visit,) = index_dataset(tmp_path)
    assert visit.session_id == "ses-01"
    assert [scan.path for scan in visit.scans["dwi"]] == ["sub-7/dwi/sub-7_dwi.nii.gz"]


@pytest.mark.slow
def test_a_thousand_patients_are_indexed_in_ten_seconds_of_processor_time(tmp_path: Path) -> None:
    for patient in range(1000):
        for session in ("a", "b"):
            stem = f"sub-{patient:04d}_ses-{session}"
            folder = tmp_path / f"sub-{patient:04d}" / f"ses-{session}"
            for kind, name in (("dwi", "dwi"), ("func", "task-rest_bold")):
                write(folder / kind / f"{stem}_{name}.nii.gz")
                write(folder / kind / f"{stem}_{name}.json")
    started = time.process_time()
    visits = index_dataset(tmp_path)
    assert len(visits) == 2000
    assert time.process_time() - started < 10


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 40)])
def test_the_size_of_an_image_is_read_from_its_header(
    name: str, kind: type, shape: tuple[int, ...], tmp_path: Path
) -> None:
    nib.save(kind(np.zeros(shape, dtype=np.int16), np.eye(4)), tmp_path / name)
    assert image_shape(tmp_path / name) == shape


def test_big_endian_images_have_a_size_and_other_files_have_none(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_shape((5, 6, 7, 8))
    (tmp_path / "big.nii").write_bytes(header.binaryblock)
    (tmp_path / "text.nii").write_text("not an image" * 100)
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "cut.nii.gz").write_bytes(b"\x1f\x8b\x08\x00cut")
    shapes = [image_shape(path) for path in sorted(tmp_path.iterdir())]
    assert shapes == [(5, 6, 7, 8), (), (), ()]


def test_later_visits_of_healthy_people_and_marked_ones_are_rescans(dataset: Path) -> None:
    for name in ("sub-02", "sub-03"):
        for session in ("a", "b"):
            write(dataset / name / f"ses-{session}" / "dwi" / f"{name}_ses-{session}_dwi.nii.gz")
    groups = "sub-01\tcontrol\nsub-02\tHealthy_Control\nsub-03\tpatient\n"
    write(dataset / "participants.tsv", "participant_id\tgroup\n" + groups)
    rows = "session_id\trescan\nses-a\tn/a\nses-b\tyes\n"
    write(dataset / "sub-03" / "sub-03_sessions.tsv", rows)
    found = {(v.participant_id, v.session_id): v.rescan for v in index_dataset(dataset)}
    rescans = {visit for visit, rescan in found.items() if rescan}
    assert rescans == {("sub-02", "ses-b"), ("sub-03", "ses-b")}
