"""DICOM to a BIDS visit by the verb's function: what comes out, what is refused, what is left."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from msimaging.bids.rows import read_rows
from msimaging.errors import InputError
from msimaging.settings import validated
from msimaging.study import ingest_commit
from msimaging.study.creation import create_study
from msimaging.study.ingest import IngestReport, ingest

DEFAULTS = validated({"bids_dir": "bids"})["ingest"]
#: The headers of this scanner do not tell how long the read-out takes.
TIMED = {
    "match": {"SeriesDescription": "b0_(?P<dir>PA)"},
    "suffix": "epi",
    "fields": {"TotalReadoutTime": 0.04},
    "intended_for": "dwi",
}


def run(dicom: Path, bids: Path, *, sub: str = "01", ses: str = "baseline", **settings):
    dry_run = settings.pop("dry_run", False)
    return ingest(dicom, bids, sub=sub, ses=ses, settings=DEFAULTS | settings, dry_run=dry_run)


def states(report: IngestReport) -> dict[int, str]:
    return {one.number: one.state for one in report.series}


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def refusal(*arguments: Path, **settings: object) -> str:
    with pytest.raises(InputError) as error:
        run(*arguments, **settings)
    return str(error.value)


def test_a_whole_session_becomes_a_visit(session, tmp_path: Path) -> None:
    report = run(session.folder, tmp_path / "bids", rules=[TIMED])
    taken = dict.fromkeys(range(2, 8), "taken")
    assert states(report) == {1: "ignored", **taken, 8: "unknown"}
    assert not report.complete
    stem = "sub-01/ses-baseline/{}/sub-01_ses-baseline_{}"
    names = {
        "anat": ("T1w", "FLAIR"),
        "func": ("task-rest_run-1_bold", "task-rest_run-2_bold"),
        "fmap": ("dir-PA_epi",),
        "dwi": ("dir-AP_dwi",),
    }
    expected = {stem.format(kind, n) + ".nii.gz" for kind, both in names.items() for n in both}
    images = {name for name in files(tmp_path / "bids") if name.endswith(".nii.gz")}
    assert images == expected
    folder = tmp_path / "bids" / "sub-01" / "ses-baseline"
    bold = json.loads(
        (folder / "func" / "sub-01_ses-baseline_task-rest_run-1_bold.json").read_text()
    )
    assert (bold["TaskName"], bold["RepetitionTime"]) == ("rest", 2)
    epi = json.loads((folder / "fmap" / "sub-01_ses-baseline_dir-PA_epi.json").read_text())
    assert epi["IntendedFor"] == ["bids::" + stem.format("dwi", "dir-AP_dwi") + ".nii.gz"]
    # the second image axis runs to anterior: from posterior is forwards
    assert (epi["PhaseEncodingDirection"], epi["TotalReadoutTime"]) == ("j", 0.04)
    dwi = json.loads((folder / "dwi" / "sub-01_ses-baseline_dir-AP_dwi.json").read_text())
    assert dwi["PhaseEncodingDirection"] == "j-"
    (row,) = read_rows(tmp_path / "bids" / "sub-01" / "sub-01_sessions.tsv")
    assert int(row["acq_time"][:4]) < 1925


def test_the_visit_is_valid_bids_and_can_be_indexed(session, tmp_path: Path) -> None:
    run(session.folder, tmp_path / "bids", rules=[TIMED])
    validator = Path(sys.executable).with_name("bids-validator-deno")
    command = [validator, tmp_path / "bids", "--ignoreWarnings", "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    errors = {(one["code"], one.get("location")) for one in issues if one["severity"] == "error"}
    assert not errors
    (row,) = create_study(tmp_path / "bids", tmp_path / "study").rows
    assert row["dwi"].endswith("dir-AP_dwi.nii.gz")
    assert row["anat"].endswith("_T1w.nii.gz")


def test_nothing_that_names_the_patient_is_left(session, tmp_path: Path) -> None:
    run(session.folder, tmp_path / "bids")
    header = pydicom.dcmread(session.folder / "IM00004")
    uids = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
    secrets = [*session.secrets.values(), *uids, "20210314", "2021-03-14", "10:02", "Weissmann"]
    secrets += ["Dorothea", "Ostermann", "Survey", "T1W_3D_TFE", "IM00004"]
    searched = 0
    for path in (tmp_path / "bids").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".gz":
            assert content[3:10] == bytes([0, 0, 0, 0, 0, content[8], 255])  # no name, no time
            whole = gzip.decompress(content)
            content = whole[:352]
            assert int(np.frombuffer(whole[108:112], "<f4")[0]) == 352
        text = (str(path.relative_to(tmp_path / "bids")) + content.decode("latin-1")).lower()
        assert not [secret for secret in secrets if str(secret).lower() in text], path.name
        searched += bool(content)
    assert searched > 15


def expected_bvecs(affine: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Scanner directions (left, posterior, superior) in FSL's frame of an image."""
    rotation = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    ijk = (directions * [-1, -1, 1]) @ rotation
    if np.linalg.det(rotation) > 0:
        ijk[:, 0] *= -1
    return ijk


@pytest.mark.parametrize("manufacturer", ["Philips", "SIEMENS"])
def test_gradients_of_tilted_slices_by_two_vendors(
    manufacturer: str, make_scanner: Callable, tmp_path: Path
) -> None:
    scanner = make_scanner(folder=tmp_path / "dicom", manufacturer=manufacturer)
    scanner.series(5, "diff_AP", n_volumes=7, gradients=True, RepetitionTime=9000)
    run(scanner.folder, tmp_path / "bids")
    stem = tmp_path / "bids/sub-01/ses-baseline/dwi/sub-01_ses-baseline_dir-AP_dwi"
    bvals, bvecs = (np.loadtxt(f"{stem}.{name}") for name in ("bval", "bvec"))
    np.testing.assert_array_equal(bvals, [0] + 6 * [1000])
    image = nib.load(f"{stem}.nii.gz")
    assert image.shape == (16, 16, 5, 7)
    half = np.sqrt(0.5)
    directions = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [half, half, 0], [half, 0, half], [0, half, -half]]
    )
    wanted = expected_bvecs(image.affine, directions)
    found = bvecs.T[1:]
    signs = np.sign((wanted * found).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found * signs, wanted, atol=1e-4)
    assert abs(wanted[1, 1]) == pytest.approx(np.cos(np.deg2rad(20)))  # the slices are tilted


@pytest.mark.real_data
def test_a_real_series_equals_its_nifti_copy(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "dicom" / "canon_DTI_PA-ortho.tar.gz"
    report = run(archive, tmp_path / "bids", sub="CD01", ses="01", visit_days=0)
    assert states(report) == {9000: "taken"}
    stem = tmp_path / "bids/sub-CD01/ses-01/dwi/sub-CD01_ses-01_dir-PA_dwi"
    copy = shared_data / "bids/sub-CD01/ses-01/dwi/sub-CD01_ses-01_acq-ortho_dir-PA_dwi"
    for kind in ("bval", "bvec"):
        assert Path(f"{stem}.{kind}").read_text() == Path(f"{copy}.{kind}").read_text()
    mine, theirs = nib.load(f"{stem}.nii.gz"), nib.load(f"{copy}.nii.gz")
    np.testing.assert_array_equal(np.asarray(mine.dataobj), np.asarray(theirs.dataobj))
    np.testing.assert_allclose(mine.affine, theirs.affine)
    with gzip.open(f"{stem}.nii.gz") as packed:
        text = Path(f"{stem}.json").read_text() + packed.read(352).decode("latin-1")
    for secret in (
        "cd200917a",
        "pCASL",
        "9143",
        "GHU",
        "20200917",
        "2020-09-17",
        "102254",
        "1.2.392",
    ):
        assert secret not in text


def test_a_series_is_ingested_once(session, tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    run(session.folder, bids)
    before = {name: (bids / name).read_bytes() for name in files(bids)}
    told = refusal(session.folder, bids)
    assert "series 6 (DTI_AP, 35 files): a series is ingested once" in told
    assert "already there: sub-01/ses-baseline/dwi/" in told
    assert {name: (bids / name).read_bytes() for name in files(bids)} == before
    elsewhere = refusal(session.folder, bids, sub="02")
    assert "a series belongs to one visit" in elsewhere
    assert "already ingested as sub-01/ses-baseline" in elsewhere
    assert not (bids / "sub-02").exists()


def test_a_field_map_without_its_timing_is_not_taken(session, tmp_path: Path) -> None:
    report = run(session.folder, tmp_path / "bids")
    (epi,) = [one for one in report.series if one.number == 7]
    assert (epi.state, epi.told) == (
        "unknown",
        "a field map needs TotalReadoutTime; give them by fields in a rule",
    )


def test_what_was_unknown_comes_in_later_by_a_rule(session, tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    run(session.folder, bids)
    rule = {"match": {"SeriesDescription": "swi"}, "suffix": "T2starw", "entities": {"acq": "swi"}}
    report = run(session.folder, bids, rules=[rule])
    assert {number for number, state in states(report).items() if state == "taken"} == {8}
    assert states(report)[6] == "known"
    assert (bids / "sub-01/ses-baseline/anat/sub-01_ses-baseline_acq-swi_T2starw.nii.gz").exists()


def test_a_second_run_of_the_visit_joins_the_first(session, make_scanner, tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    run(session.folder, bids)
    later = make_scanner(folder=tmp_path / "later", study_uid=session.study_uid)
    later.series(9, "rest_bold_run", n_volumes=12)
    run(later.folder, bids)
    runs = sorted(path.name for path in (bids / "sub-01/ses-baseline/func").glob("*.nii.gz"))
    assert [name.split("_")[3] for name in runs] == ["run-1", "run-2", "run-3"]


def test_visits_stand_in_the_order_of_time_with_true_intervals(
    make_scanner: Callable, tmp_path: Path
) -> None:
    bids = tmp_path / "bids"
    for ses, day in (("month06", "20210920"), ("baseline", "20210314")):
        scanner = make_scanner(folder=tmp_path / ses, date=day)
        scanner.series(2, "T1W_3D_TFE")
        run(scanner.folder, bids, ses=ses)
    rows = read_rows(bids / "sub-01" / "sub-01_sessions.tsv")
    assert [row["session_id"] for row in rows] == ["ses-baseline", "ses-month06"]
    days = np.array([row["acq_time"][:10] for row in rows], dtype="datetime64[D]")
    assert (days[1] - days[0]).astype(int) == 190
    scanner = make_scanner(folder=tmp_path / "wrong", date="20220901")
    scanner.series(3, "FLAIR_3D")
    assert "ses-month06 holds scans 346 days apart" in refusal(scanner.folder, bids, ses="month06")
    assert "Set ingest.dates to shift" in refusal(scanner.folder, bids, ses="m18", dates="keep")


def test_an_archive_and_a_folder_give_the_same_bytes(session, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "exam.tar.gz", "w:gz") as packed:
        packed.add(session.folder, "exam")
    shutil.make_archive(str(tmp_path / "exam"), "zip", session.folder)
    found = []
    for number, source in enumerate(
        (session.folder, tmp_path / "exam.tar.gz", tmp_path / "exam.zip")
    ):
        bids = tmp_path / f"bids{number}"
        run(source, bids, dates="keep")
        scans = sorted(path for path in (bids / "sub-01").rglob("*") if path.is_file())
        found.append([(path.name, path.read_bytes()) for path in scans])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 12


def test_an_incomplete_series_is_refused_and_leaves_nothing(session, tmp_path: Path) -> None:
    folder = session.folder
    lost = [path for path in sorted(folder.iterdir()) if header(path).SeriesNumber == 6][17]
    lost.unlink()
    told = refusal(folder, tmp_path / "bids")
    assert "series 6 (DTI_AP, 34 files): a series must be whole" in told
    assert "missing images" in told
    assert str(tmp_path) not in told
    assert not (tmp_path / "bids").exists()


def header(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)


def test_a_failure_while_writing_leaves_the_dataset_as_it_was(
    session, make_scanner: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bids = tmp_path / "bids"
    first = make_scanner(folder=tmp_path / "first")
    first.series(2, "T1W_3D_TFE")
    run(first.folder, bids)
    before = {name: (bids / name).read_bytes() for name in files(bids)}
    moved = []
    rename = Path.rename

    def full_disk(path: Path, target: Path) -> Path:
        moved.append(target)
        if len(moved) > 6:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(ingest_commit.Path, "rename", full_disk)
    with pytest.raises(OSError, match="No space left"):
        run(session.folder, bids)
    assert {name: (bids / name).read_bytes() for name in files(bids)} == before
    assert not [path for path in bids.rglob("*") if path.is_dir() and not any(path.iterdir())]
    monkeypatch.undo()
    assert states(run(session.folder, bids))[6] == "taken"


def test_a_dry_run_writes_nothing(session, tmp_path: Path) -> None:
    report = run(session.folder, tmp_path / "bids", dry_run=True)
    assert states(report)[6] == "taken"
    assert not (tmp_path / "bids").exists()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"PatientID": "HOSP1"}, "one ingest is one patient; found 2 patients"),
        ({"AcquisitionDate": "20210920"}, "one ingest is one visit; found scans 190 days apart"),
    ],
)
def test_two_patients_or_two_visits_in_one_folder_are_refused(
    changes: dict[str, str], rule: str, session, tmp_path: Path
) -> None:
    session.series(9, "DTI_more", n_volumes=2, **changes)
    told = refusal(session.folder, tmp_path / "bids")
    assert rule in told
    assert "HOSP1" not in told


def test_copies_reports_and_other_files_are_told(session, tmp_path: Path) -> None:
    folder = session.folder
    (folder / "copy").mkdir()
    shutil.copy(folder / "IM00010", folder / "copy")
    (folder / "readme.txt").write_text("burnt on a Monday")
    session.series(99, "PhoenixZIPReport", n_slices=1, Modality="SR")
    report = run(folder, tmp_path / "bids")
    assert states(report)[99] == "no image"
    assert any("1 files hold images that other files hold too" in note for note in report.notes)
    assert any("1 files are no DICOM series: readme.txt" in note for note in report.notes)
    shape = nib.load(next((tmp_path / "bids").rglob("*T1w.nii.gz"))).shape
    assert shape == (16, 16, 5)


def test_a_mix_up_of_patients_is_noticed(session, make_scanner: Callable, tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    run(session.folder, bids)
    same = make_scanner(folder=tmp_path / "same")
    same.series(2, "T1W_3D_TFE")
    notes = run(same.folder, bids, sub="02").notes
    assert any("ingested before as sub-01: is --sub sub-02 right?" in note for note in notes)
    other = make_scanner(
        folder=tmp_path / "other", secrets={"PatientID": "X77", "PatientName": "Q"}
    )
    other.series(2, "T1W_3D_TFE")
    notes = run(other.folder, bids, ses="later").notes
    assert any("sub-01 was ingested before with another identifier" in note for note in notes)
    notes = run(make_pseudonymous(make_scanner, tmp_path), bids, sub="X78").notes
    assert any("sub-X78 stands in the DICOM headers" in note for note in notes)


def make_pseudonymous(make_scanner: Callable, tmp_path: Path) -> Path:
    scanner = make_scanner(folder=tmp_path / "third", secrets={"PatientID": "X78"})
    scanner.series(2, "T1W_3D_TFE")
    return scanner.folder


def test_what_is_no_dicom_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there must be DICOM series" in refusal(tmp_path / "empty", tmp_path / "bids")
    (tmp_path / "notes.txt").write_text("no archive")
    assert "neither a folder nor a zip" in refusal(tmp_path / "notes.txt", tmp_path / "bids")
    assert "no such file" in refusal(tmp_path / "nothing", tmp_path / "bids")
    assert "letters and digits only" in refusal(tmp_path / "empty", tmp_path / "bids", sub="a_b")
    assert not (tmp_path / "bids").exists()


def test_the_verb_ends_with_3_when_a_series_is_unknown(session, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "msimaging", "ingest", session.folder, tmp_path / "bids"]
    options = ["--sub", "01", "--ses", "baseline"]
    result = subprocess.run(
        [*map(str, command), *options], capture_output=True, text=True, check=False, env=os.environ
    )
    assert result.returncode == 3, result.stderr
    assert "unknown: series 8 SWI_hires (5 files): no rule fits" in result.stdout
    assert "taken: series 6 DTI_AP (35 files): sub-01/ses-baseline/dwi/" in result.stdout
    assert "Next: msimaging index" in result.stdout
