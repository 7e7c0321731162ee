"""The comparability gate: what differs is told, and what blocks keeps the pair out."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from msimaging.bids.layout import output
from msimaging.bids.ledger import left_out
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows
from msimaging.errors import InputError
from msimaging.longitudinal.comparability import DEFAULT_RULES
from msimaging.settings import read_settings
from msimaging.steps.acquisitions import acquisition_of, gate_pair
from msimaging.study.check import check_study
from msimaging.study.creation import create_study
from msimaging.tables import sidecar_of, write_json


def set_fields(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture
def dataset(good_trial: Path, copy_patient: Callable[[Path, str, Path], Path], tmp_path: Path):
    """Two patients: one as acquired, one whose second visit was made on another scanner."""
    root = tmp_path / "bids"
    shutil.copytree(good_trial, root)
    other = copy_patient(root, "sub-moved", root) / "ses-month06"
    (dwi,), (bold,) = other.glob("dwi/*_dwi.json"), other.glob("func/*_bold.json")
    set_fields(dwi, DeviceSerialNumber="81541", SoftwareVersions="phantom 2", EchoTime=0.1)
    set_fields(bold, PhaseEncodingDirection="j")
    return root


def plan_of(study: Path) -> Plan:
    return Plan.of_study(study, read_settings(study / "config.yaml"))


def test_what_differs_is_told_and_only_what_blocks_is_left_out(
    dataset: Path, tmp_path: Path, msimaging: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    study = tmp_path / "study"
    create_study(dataset, study)
    result = msimaging("check", study)
    assert result.returncode == 3, result.stdout + result.stderr
    place = "sub-moved baselineToMonth06"
    assert f"warning: dwi {place}: SoftwareVersions: SoftwareVersions is the same" in result.stdout
    assert "found 0.085 then 0.1" in result.stdout
    assert f"error: bold {place}: PhaseEncodingDirection" in result.stdout
    assert f"excluded: change of bold {place} will not be computed" in result.stdout
    assert "DeviceSerialNumber" in result.stdout
    assert "81541" not in result.stdout

    plan = plan_of(study)
    assert [pair.participant_id for pair in plan.pairs("dwi")] == ["sub-01", "sub-moved"]
    assert [pair.participant_id for pair in plan.pairs("bold")] == ["sub-01"]
    told = [e for e in left_out(study, plan) if e.step == "change of bold"]
    assert [(e.participant_id, e.session_id, e.state) for e in told] == [
        ("sub-moved", "baselineToMonth06", "excluded")
    ]
    assert "found j- then j" in told[0].reason
    (row,) = read_rows(study / "incomparable.tsv")
    assert (row["baseline"], row["follow_up"]) == ("ses-baseline", "ses-month06")


@pytest.mark.slow
def test_a_run_with_a_blocked_pair_says_so_and_ends_with_3(
    dataset: Path, tmp_path: Path, msimaging: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    study = tmp_path / "study"
    create_study(dataset, study)
    target = output("dataset_description")
    result = msimaging("run", study, "--cores", 1, "--", target)
    assert result.returncode == 3, result.stdout + result.stderr
    assert (study / target).is_file()
    told = [line for line in result.stdout.splitlines() if "excluded: change of bold" in line]
    assert told
    assert all("sub-moved baselineToMonth06" in line for line in told)
    assert "PhaseEncodingDirection" in result.stdout
    assert "excluded: change of dwi" not in result.stdout

    # without the difference the same run ends with 0
    (bold,) = (dataset / "sub-moved" / "ses-month06").glob("func/*_bold.json")
    set_fields(bold, PhaseEncodingDirection="j-")
    result = msimaging("run", study, "--cores", 1, "--", target)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_settings_grade_the_differences(
    dataset: Path, tmp_path: Path, edit_config: Callable[..., None]
) -> None:
    study = tmp_path / "study"
    create_study(dataset, study)
    edit_config(
        study, comparability__EchoTime="blocking", comparability__PhaseEncodingDirection="note"
    )
    blocked = [(r.modality, r.pair.participant_id) for r in check_study(study).incomparable]
    assert blocked == [("dwi", "sub-moved")]
    # a second check after the scans were made alike lets the pair in again
    (dwi,) = (dataset / "sub-moved" / "ses-month06").glob("dwi/*_dwi.json")
    set_fields(dwi, EchoTime=0.085)
    assert check_study(study).incomparable == ()
    assert len(plan_of(study).pairs("dwi")) == 2


def test_a_scanner_that_changes_with_the_visit_in_everybody_refuses_harmonisation(
    dataset: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    create_study(dataset, study)
    assert check_study(study).cohort == ()
    (dwi,) = (dataset / "sub-01" / "ses-month06").glob("dwi/*_dwi.json")
    set_fields(dwi, DeviceSerialNumber="81541", SoftwareVersions="phantom 2")
    found = check_study(study).cohort
    assert {(modality, finding.where) for modality, finding in found} == {
        ("dwi", "scanner"),
        ("dwi", "SoftwareVersions"),
    }
    assert all("not estimable" in finding.remedy for _, finding in found)
    assert all("81541" not in str(finding) for _, finding in found)


def test_every_rule_has_a_field_that_the_scans_can_fill(dataset: Path, tmp_path: Path) -> None:
    folder = dataset / "sub-01" / "ses-baseline"
    (dwi,) = folder.glob("dwi/*_dwi.nii.gz")
    (bold,) = folder.glob("func/*_bold.nii.gz")
    optional = {
        "PulseSequenceType": "EPI",
        "ParallelReductionFactorInPlane": 2,
        "MultibandAccelerationFactor": 1,
    }
    extra = tmp_path / "extra.json"
    extra.write_text(json.dumps(optional))
    stem = str(dwi).removesuffix(".nii.gz")
    of_dwi = acquisition_of(
        {"image": dwi, "sidecars": [extra, f"{stem}.json"], "bval": f"{stem}.bval"}
    )
    sidecar = str(bold).removesuffix(".nii.gz") + ".json"
    of_bold = acquisition_of({"image": bold, "sidecars": [sidecar]})
    made = {"PipelineVersion", "Settings", "Strategy"}
    assert set(DEFAULT_RULES) <= {*of_dwi, *of_bold, *made}
    assert (of_dwi["BValues"], of_dwi["DirectionCount"]) == ([0.0, 1000.0], 12)
    assert of_dwi["VoxelSize"] == of_bold["VoxelSize"] == [8.0, 8.0, 8.0]
    assert of_bold["RunLength"] == 40.0


def test_results_of_other_versions_or_settings_are_never_compared(tmp_path: Path) -> None:
    scans, tables = [], []
    for visit, settings in enumerate(("ab12", "cd34")):
        image, sidecar = tmp_path / f"{visit}.nii.gz", tmp_path / f"{visit}.json"
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)), image)
        sidecar.write_text("{}")
        scans.append({"image": image, "sidecars": [sidecar]})
        table = tmp_path / f"table{visit}.tsv"
        made = {"GeneratedBy": [{"Name": "msimaging", "Version": "1.0"}], "Settings": settings}
        write_json(sidecar_of(table), made)
        tables.append(str(table))
    with pytest.raises(InputError, match=r"Settings is the same.*ab12.*cd34"):
        gate_pair(scans, tables, DEFAULT_RULES)
    other = {"GeneratedBy": [{"Name": "msimaging", "Version": "1.1"}], "Settings": "ab12"}
    write_json(sidecar_of(tables[1]), other)
    with pytest.raises(InputError, match=r"PipelineVersion is the same.*1\.0 then 1\.1"):
        gate_pair(scans, tables, DEFAULT_RULES)
    gate_pair(scans, [tables[0], tables[0]], DEFAULT_RULES)
