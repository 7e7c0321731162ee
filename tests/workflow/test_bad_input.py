"""Broken input: one report with every fault, each told with its file, rule and remedy."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from msimaging.bids.rows import read_rows
from msimaging.study.check import StudyReport, check_study
from msimaging.study.creation import create_study

BASELINE = "ses-baseline"
#: Slices of the simulated runs.
N_SLICES = 23


@dataclass(frozen=True)
class Fault:
    """One way to break a scan, and what must be said about it."""

    patient: str
    modality: str
    broken_file: str
    rule: str
    found: str
    remedy: str
    breaks: Callable[[Path], object]


def numbers(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change a text file of numbers."""
    return lambda path: np.savetxt(path, np.atleast_2d(change(np.loadtxt(path))), fmt="%.8g")


def image(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change the voxels of an image."""

    def apply(path: Path) -> None:
        loaded = nib.load(path)
        data = change(np.asarray(loaded.dataobj, dtype=np.float32))
        nib.save(nib.Nifti1Image(data, loaded.affine), path)

    return apply


def sidecar(**fields: object) -> Callable[[Path], None]:
    """Set fields of a sidecar; None takes one out."""

    def apply(path: Path) -> None:
        content = json.loads(path.read_text()) | fields
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return apply


def swap_tables(bval: Path) -> None:
    bvec = bval.with_suffix(".bvec")
    text = bval.read_text()
    bval.write_text(bvec.read_text())
    bvec.write_text(text)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage(path: Path) -> None:
    """Overwrite bytes in the middle of the compressed stream; the file keeps its length."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(bytes(content))


def shorten_header(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:200]))


def scaled(table: np.ndarray) -> np.ndarray:
    out = table.copy()
    out[:, 5] *= 0.7
    return out


def zeroed(table: np.ndarray) -> np.ndarray:
    out = table.copy()
    out[:, 5] = 0
    return out


def with_nan(data: np.ndarray) -> np.ndarray:
    out = data.copy()
    out[0, 0, 0, 1] = np.nan
    return out


FAULTS = [
    Fault("sub-bvalShort", "dwi", "dwi.bval", "one b-value and one b-vector per volume",
          "13 b-values, 14 b-vectors and 14 volumes", "convert it again",
          numbers(lambda t: t[:-1])),
    Fault("sub-bvecShort", "dwi", "dwi.bvec", "one b-value and one b-vector per volume",
          "14 b-values, 13 b-vectors and 14 volumes", "convert it again",
          numbers(lambda t: t[:, :-1])),
    Fault("sub-swapped", "dwi", "dwi.bval", "bval holds one number per volume and bvec three",
          "look swapped", "Exchange the contents", swap_tables),
    Fault("sub-zeroVector", "dwi", "dwi.bvec", "every weighted volume has a direction",
          "volume 5", "Restore the b-vectors", numbers(zeroed)),
    Fault("sub-longVector", "dwi", "dwi.bvec", "b-vectors of weighted volumes have length 1",
          "volume 5", "divide the vectors", numbers(scaled)),
    Fault("sub-noB0", "dwi", "dwi.bval", "at least one volume without diffusion weighting",
          "lowest b-value is 1000", "Add the b=0 image", numbers(lambda t: np.full_like(t, 1000))),
    Fault("sub-words", "dwi", "dwi.bval", "numbers in rows of equal length",
          "could not convert", "dcm2niix", lambda path: path.write_text("b zero")),
    Fault("sub-noTable", "dwi", "dwi.bvec", "must have b-values and b-vectors",
          "no bvec", "msimaging index", Path.unlink),
    Fault("sub-cutDwi", "dwi", "dwi.nii.gz", "the image must be whole and readable",
          "ended before", "exclude the visit", cut),
    Fault("sub-damagedDwi", "dwi", "dwi.nii.gz", "the image must be whole and readable",
          "", "exclude the visit", damage),
    Fault("sub-headerDwi", "dwi", "dwi.nii.gz", "the image must be whole and readable",
          "", "exclude the visit", shorten_header),
    Fault("sub-emptyDwi", "dwi", "dwi.nii.gz", "must show a head",
          "", "exclude the visit", image(np.zeros_like)),
    Fault("sub-cutBold", "bold", "bold.nii.gz", "the image must be whole and readable",
          "ended before", "exclude the visit", cut),
    Fault("sub-nanDwi", "dwi", "dwi.nii.gz", "every voxel must be a finite number",
          "1 of", "Convert the scan again", image(with_nan)),
    Fault("sub-nanBold", "bold", "bold.nii.gz", "every voxel must be a finite number",
          "1 of", "Convert the scan again", image(with_nan)),
    Fault("sub-flatDwi", "dwi", "dwi.nii.gz", "must have 4 dimensions",
          "shape (", "Convert or copy", image(lambda data: data[..., 0])),
    Fault("sub-flatBold", "bold", "bold.nii.gz", "must have 4 dimensions",
          "shape (", "Convert or copy", image(lambda data: data[..., 0])),
    Fault("sub-noTR", "bold", "bold.json", "RepetitionTime must be given in seconds",
          "no RepetitionTime", 'Add "RepetitionTime"', sidecar(RepetitionTime=None)),
    Fault("sub-millis", "bold", "bold.json", "RepetitionTime must be given in seconds",
          "2000", "milliseconds: write 2", sidecar(RepetitionTime=2000)),
    Fault("sub-textTR", "bold", "bold.json", "RepetitionTime must be given in seconds",
          "'2 s'", "as a number", sidecar(RepetitionTime="2 s")),
    Fault("sub-badJson", "bold", "bold.json", "a sidecar must be readable JSON",
          "", "Repair the file", lambda path: path.write_text("{'RepetitionTime': 2,")),
    Fault("sub-oneVolume", "bold", "bold.nii.gz", "must hold 10 or more volumes",
          "1", "exclude the visit", image(lambda data: data[..., :1])),
    Fault("sub-emptyBold", "bold", "bold.nii.gz", "shows a brain that differs",
          "0.0 % of the image", "Look at the image", image(np.zeros_like)),
    Fault("sub-sliceMillis", "bold", "bold.json", "between 0 and the repetition time, in seconds",
          "500", "in seconds", sidecar(SliceTiming=[500.0] * N_SLICES)),
    Fault("sub-sliceCount", "bold", "bold.json", "one slice time for each slice",
          "3 times", "Correct SliceTiming", sidecar(SliceTiming=[0.0, 0.5, 1.0])),
    Fault("sub-listJson", "dwi", "dwi.json", "a sidecar must hold one JSON object",
          "a list", "Repair the file", lambda path: path.write_text("[2]")),
]  # fmt: skip


def broken_path(bids: Path, fault: Fault) -> Path:
    folder = bids / fault.patient / BASELINE / ("dwi" if fault.modality == "dwi" else "func")
    task = "" if fault.modality == "dwi" else "task-rest_"
    return folder / f"{fault.patient}_{BASELINE}_{task}{fault.broken_file}"


@pytest.fixture(scope="module")
def study(
    good_trial: Path,
    copy_patient: Callable[[Path, str, Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A dataset with one sound patient and one patient for each fault, broken at baseline."""
    root = tmp_path_factory.mktemp("broken")
    shutil.copytree(good_trial, root / "bids")
    for fault in FAULTS:
        copy_patient(good_trial, fault.patient, root / "bids")
        fault.breaks(broken_path(root / "bids", fault))
    create_study(root / "bids", root / "study")
    return root / "study"


@pytest.fixture(scope="module")
def report(study: Path) -> StudyReport:
    return check_study(study)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.patient)
def test_a_fault_is_told_with_file_rule_and_remedy(fault: Fault, report: StudyReport) -> None:
    refused = [scan for scan in report.refused if scan.participant_id == fault.patient]
    assert [(scan.session_id, scan.modality) for scan in refused] == [(BASELINE, fault.modality)]
    errors = [finding for finding in refused[0].findings if finding.severity == "error"]
    told = [finding for finding in errors if fault.rule in finding.rule]
    assert len(told) == 1, errors
    stem = f"{fault.patient}_{BASELINE}_"
    assert stem in told[0].where
    assert fault.found in told[0].found
    assert fault.remedy in told[0].remedy
    assert "\n" not in str(told[0])


def test_all_faults_come_in_one_report_and_nothing_else_is_refused(report: StudyReport) -> None:
    assert report.faults == ()
    refused = {(scan.participant_id, scan.modality) for scan in report.refused}
    assert refused == {(fault.patient, fault.modality) for fault in FAULTS}
    assert len(report.scans) == 4 * (len(FAULTS) + 1)


def test_every_refused_scan_has_a_row_with_its_reason(study: Path, report: StudyReport) -> None:
    rows = read_rows(study / "exclusions.tsv")
    assert {row["participant_id"] for row in rows} == {fault.patient for fault in FAULTS}
    for fault in FAULTS:
        (row,) = [
            row
            for row in rows
            if row["participant_id"] == fault.patient and fault.rule in row["reason"]
        ]
        assert (row["session_id"], row["modality"]) == (BASELINE, fault.modality)
        assert fault.remedy in row["reason"]


def test_a_second_check_says_the_same_from_memory(study: Path, report: StudyReport) -> None:
    assert check_study(study) == report


def test_two_faults_of_one_scan_are_both_told(
    good_trial: Path, copy_patient: Callable[[Path, str, Path], Path], tmp_path: Path
) -> None:
    copy_patient(good_trial, "sub-01", tmp_path / "bids")
    stem = tmp_path / "bids" / "sub-01" / BASELINE / "dwi" / f"sub-01_{BASELINE}_dwi"
    cut(Path(f"{stem}.nii.gz"))
    numbers(zeroed)(Path(f"{stem}.bvec"))
    Path(f"{stem}.json").write_text("{")
    create_study(tmp_path / "bids", tmp_path / "study")
    (scan,) = check_study(tmp_path / "study").refused
    assert [f.rule for f in scan.findings if f.severity == "error"] == [
        "the image must be whole and readable",
        "a sidecar must be readable JSON",
        "every weighted volume has a direction",
    ]


@pytest.fixture
def sound(good_trial: Path, tmp_path: Path) -> Path:
    """A study without faults, of its own for each test."""
    create_study(good_trial, tmp_path / "study")
    return tmp_path / "study"


def rewrite_visits(study: Path, change: Callable[[list[list[str]]], object]) -> None:
    path = study / "visits.tsv"
    cells = [line.split("\t") for line in path.read_text().splitlines()]
    change(cells)
    path.write_text("\n".join("\t".join(row) for row in cells) + "\n")


def two_runs(rows: list[list[str]]) -> None:
    rows[1][4] = f"{rows[1][4]} | {rows[1][4].replace('_dwi.', '_run-2_dwi.')}"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda rows: rows.append(rows[2]), "one row per patient and visit"),
        (lambda rows: rows.__setitem__(slice(1, 3), rows[:0:-1]), "in the order of their dates"),
        (lambda rows: rows[2].__setitem__(4, rows[1][4]), "a scan belongs to one visit"),
        (lambda rows: rows[2].__setitem__(2, "last week"), "acq_time must be a date"),
        (lambda rows: rows[2].__setitem__(1, "n/a"), "session_id must be ses-"),
    ],
    ids=["duplicate", "order", "shared", "date", "session"],
)
def test_a_faulty_visits_table_starts_nothing(
    change: Callable[[list[list[str]]], object],
    rule: str,
    sound: Path,
    msimaging: Callable[..., object],
) -> None:
    rewrite_visits(sound, change)
    before = sorted(path.name for path in sound.iterdir())
    result = msimaging("run", sound, "--cores", 1)
    assert result.returncode == 2
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("error:")]
    assert f"{sound / 'visits.tsv'} line" in line
    assert rule in line
    assert "Correct the table" in line
    assert "nothing was started" in result.stdout
    after = {path.name for path in sound.iterdir()} - set(before)
    assert after <= {"exclusions.tsv", ".msimaging"}


def test_an_unknown_key_and_a_faulty_table_are_told_together(
    sound: Path, edit_config: Callable[..., None], msimaging: Callable[..., object]
) -> None:
    edit_config(sound, functional__strategie="simple", statistics__confidence=95)
    rewrite_visits(sound, lambda rows: rows.append(rows[2]))
    before = {path: path.read_bytes() for path in sound.glob("*.*") if path.is_file()}
    result = msimaging("run", sound)
    assert result.returncode == 2
    told = result.stdout
    assert f"{sound / 'config.yaml'}: every key must be one that the schema knows" in told
    assert "unknown key 'functional.strategie'. Did you mean 'strategies'?" in told
    assert "statistics.confidence" in told
    assert "one row per patient and visit" in told
    assert {path: path.read_bytes() for path in sound.glob("*.*") if path.is_file()} == before


def test_an_atlas_in_another_space_is_told_before_anything_runs(
    sound: Path, edit_config: Callable[..., None], tmp_path: Path
) -> None:
    labels = np.zeros((20, 20, 20), dtype=np.int16)
    labels[2:18, 2:18, 2:10], labels[2:18, 2:18, 10:18] = 1, 2
    # as if the voxel axes were the template's: all of it lies far outside the brain
    affine = np.array([[4, 0, 0, 90], [0, 4, 0, 90], [0, 0, 4, 90], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "far.nii.gz")
    (tmp_path / "far.tsv").write_text("index\tname\n1\tlower\n2\tupper\n")
    files = {"image": str(tmp_path / "far.nii.gz"), "table": str(tmp_path / "far.tsv")}
    edit_config(sound, atlases__files={"far": files}, atlases__functional=["far"])
    told = [str(fault) for fault in check_study(sound).faults]
    assert len(told) == 1
    assert "atlas far: an atlas must lie in MNI152 space; found 0% of its voxels" in told[0]


def test_a_path_that_was_not_indexed_and_a_swapped_cell_are_refused(sound: Path) -> None:
    def change(rows: list[list[str]]) -> None:
        rows[1][4] = "sub-01/nowhere_dwi.nii.gz"
        rows[2][4:6] = ["n/a", rows[2][4]]

    rewrite_visits(sound, change)
    nowhere, swapped = check_study(sound).refused
    assert "one that index found" in nowhere.findings[0].rule
    assert "line 2" in nowhere.findings[0].where
    assert (swapped.session_id, swapped.modality) == ("ses-month06", "bold")
    assert swapped.findings[0].rule == "a cell of column bold must name a bold scan"


def test_two_runs_without_a_choice_leave_only_that_scan_out(
    sound: Path, msimaging: Callable[..., object]
) -> None:
    rewrite_visits(sound, two_runs)
    result = msimaging("check", sound, "--json")
    assert result.returncode == 3
    content = json.loads(result.stdout)
    refused = [scan for scan in content["scans"] if not scan["usable"]]
    assert [(scan["session_id"], scan["modality"]) for scan in refused] == [(BASELINE, "dwi")]
    (finding,) = refused[0]["findings"]
    assert finding["where"] == f"{sound / 'visits.tsv'} line 2"
    assert finding["rule"] == "one dwi scan must be chosen for each visit"
    assert "Keep one path" in finding["remedy"]
    (row,) = read_rows(sound / "exclusions.tsv")
    assert "2 scans and no choice" in row["reason"]


def test_the_check_of_a_broken_patient_ends_with_3(
    study: Path, report: StudyReport, msimaging: Callable[..., object]
) -> None:
    result = msimaging("check", study)
    assert result.returncode == 3
    assert f"excluded: sub-noTR {BASELINE} bold will be left out" in result.stdout
    usable = len(report.scans) - len(FAULTS)
    assert f"{usable} of {len(report.scans)} scans usable" in result.stdout
    assert not (study / "derivatives").exists()


def only_tensors(root: Path, good_trial: Path, copy_patient: Callable[..., Path]) -> Path:
    """Make a study of two patients with one diffusion series each."""
    for name in ("sub-01", "sub-02"):
        folder = copy_patient(good_trial, name, root / "bids")
        shutil.rmtree(folder / "ses-month06")
        shutil.rmtree(folder / BASELINE / "func")
        (folder / f"{name}_sessions.tsv").unlink()
    for path in good_trial.glob("*.*"):
        shutil.copy(path, root / "bids")
    create_study(root / "bids", root / "study")
    return root / "study"


def ledger_of(study: Path, patient: str) -> dict[str, tuple[str, str]]:
    rows = read_rows(study / "derivatives/msimaging/cohort/ledger.tsv")
    own = [row for row in rows if row["participant_id"] == patient]
    return {row["step"]: (row["state"], row["reason"]) for row in own}


@pytest.mark.slow
def test_a_series_cut_off_during_a_run_or_before_it_costs_its_patient_alone(
    good_trial: Path,
    copy_patient: Callable[..., Path],
    tmp_path: Path,
    msimaging: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    study = only_tensors(tmp_path, good_trial, copy_patient)
    broken = f"sub-02/{BASELINE}/dwi/sub-02_{BASELINE}_dwi.nii.gz"
    until = ("--cores", "1", "--", "--until", "fit_tensor")
    command = [sys.executable, "-m", "msimaging", "run", str(study), *until]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        # the check is over, and Snakemake begins to plan: no job has started
        while not (study / "logs" / "run.log").exists() and running.poll() is None:
            time.sleep(0.05)
        cut(tmp_path / "bids" / broken)
        told, _ = running.communicate(timeout=300)
    assert running.returncode == 1, told
    (line,) = {line for line in told.splitlines() if broken in line}
    assert line.startswith("failed: preprocess_dwi sub-02 ses-baseline: ")
    results = study / "derivatives" / "msimaging"
    tensor = next((results / "sub-01").rglob("*_param-diffusivity_dwimap.nii.gz"))
    assert np.isfinite(nib.load(tensor).get_fdata()).all()
    assert not [path for path in (results / "sub-02").rglob("*") if path.is_file()]
    told_of = ledger_of(study, "sub-02")
    assert told_of["preprocess_dwi"][0] == "failed"
    assert broken in told_of["preprocess_dwi"][1]
    assert told_of["fit_tensor"] == ("pending", "")
    assert ledger_of(study, "sub-01")["fit_tensor"] == ("done", "")

    before = tensor.stat().st_mtime_ns
    again = msimaging("run", study, *until)
    assert again.returncode == 3, again.stdout + again.stderr
    told = [line.split(": ")[0] for line in again.stdout.splitlines() if broken in line]
    assert told == ["error", "excluded"]
    assert tensor.stat().st_mtime_ns == before


def test_a_study_without_any_usable_scan_is_unusable(
    sound: Path, msimaging: Callable[..., object]
) -> None:
    def change(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[4] = row[5] = "n/a"

    rewrite_visits(sound, change)
    result = msimaging("run", sound)
    assert result.returncode == 2
    assert "a study must have at least one scan" in result.stdout


def test_a_folder_that_is_no_study_is_named_with_the_verb_that_makes_one(
    tmp_path: Path, msimaging: Callable[..., object]
) -> None:
    result = msimaging("check", tmp_path)
    assert result.returncode == 2
    assert str(tmp_path / "config.yaml") in result.stdout
    assert "msimaging index BIDS STUDY" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_patients_makes_no_study(
    tmp_path: Path, msimaging: Callable[..., object]
) -> None:
    (tmp_path / "bids").mkdir()
    result = msimaging("index", tmp_path / "bids", tmp_path / "study")
    assert result.returncode == 2
    assert "must hold folders sub-*" in result.stderr
    assert not (tmp_path / "study").exists()
