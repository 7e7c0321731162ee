"""Which files of fMRIPrep and QSIPrep belong together, and which of them a visit enters with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msimaging.bids.derivatives import (
    best_of_each_run,
    in_template_space,
    index_derivatives,
    mixed_stages,
    stage,
)
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows
from msimaging.bids.scans import Scan, read_scans
from msimaging.bids.visits import read_visits
from msimaging.errors import ConfigError
from msimaging.settings import validated
from msimaging.study.check import check_study
from msimaging.study.creation import create_study

FUNC, DWI = "sub-1/ses-a/func/sub-1_ses-a_", "sub-1/ses-a/dwi/sub-1_ses-a_"


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def folder_of(root: Path, name: str, version: str, *files: str, key: str = "GeneratedBy") -> Path:
    touch(root, *files)
    made_by = {"Name": name, "Version": version}
    content = {key: [made_by] if key == "GeneratedBy" else made_by}
    (root / "dataset_description.json").write_text(json.dumps(content))
    return root


def in_spaces(*entities: str) -> list[str]:
    """Names of one run of fMRIPrep in several spaces."""
    return [
        f"{FUNC}task-rest_{part}{end}"
        for part in entities
        for end in ("desc-preproc_bold.nii.gz", "desc-preproc_bold.json", "desc-brain_mask.nii.gz")
    ]


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    for ses in ("a", "b"):
        stem = f"sub-1/ses-{ses}/"
        touch(root, *(f"{stem}func/sub-1_ses-{ses}_task-rest_bold.{e}" for e in ("nii.gz", "json")))
        touch(root, *(f"{stem}dwi/sub-1_ses-{ses}_dir-AP_dwi.{e}" for e in ("nii.gz", "json")))
        touch(root, *(f"{stem}dwi/sub-1_ses-{ses}_dir-PA_dwi.{e}" for e in ("nii.gz", "json")))
    return root


LTS = (
    *in_spaces("space-MNI152NLin6Asym_res-2_", "space-MNI152NLin2009cAsym_res-2_", "space-T1w_"),
    f"{FUNC}task-rest_space-MNI152NLin6Asym_desc-smoothAROMAnonaggr_bold.nii.gz",
    f"{FUNC}task-rest_space-fsLR_den-91k_bold.dtseries.nii",
    f"{FUNC}task-rest_space-MNIPediatricAsym_cohort-1_desc-preproc_bold.nii.gz",
    f"{FUNC}task-rest_echo-1_desc-preproc_bold.nii.gz",
    f"{FUNC}task-rest_desc-confounds_timeseries.tsv",
    f"{FUNC}task-movie_desc-confounds_timeseries.tsv",
)


def test_of_one_run_in_several_spaces_the_template_of_the_default_comes_first(
    bids: Path, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "fmriprep", "fMRIPrep", "20.2.7", *LTS)
    (visit,) = index_derivatives(folder, bids)
    spaces = [scan.path.split("task-rest_")[1].split("_desc")[0] for scan in visit.scans["bold"]]
    assert spaces == [
        "space-MNI152NLin2009cAsym_res-2",
        "space-MNI152NLin6Asym_res-2",
        "space-T1w",
    ]
    (best,) = best_of_each_run(visit.scans["bold"])
    stem = f"{folder}/{FUNC}task-rest_"
    assert best.path == f"{stem}space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz"
    assert best.mask == f"{stem}space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz"
    assert best.confounds == f"{stem}desc-confounds_timeseries.tsv"
    assert best.sidecars == (best.path.replace(".nii.gz", ".json"),)
    assert stage(best) == "fMRIPrep 20.2.7, space MNI152NLin2009cAsym"
    assert [in_template_space(scan) for scan in visit.scans["bold"]] == [True, True, False]


def test_older_confounds_and_a_run_on_its_own_grid_are_found(bids: Path, tmp_path: Path) -> None:
    regressors = f"{FUNC}task-rest_desc-confounds_regressors.tsv"
    other_run = f"{FUNC}task-rest_run-2_desc-confounds_regressors.tsv"
    folder = folder_of(
        tmp_path / "f",
        "fMRIPrep",
        "20.1.1",
        *in_spaces(""),
        regressors,
        other_run,
        key="PipelineDescription",
    )
    ((scan,),) = (visit.scans["bold"] for visit in index_derivatives(folder, bids))
    assert scan.confounds == f"{folder}/{regressors}"
    assert scan.mask == f"{folder}/{FUNC}task-rest_desc-brain_mask.nii.gz"
    assert stage(scan) == "fMRIPrep 20.1.1, native space"


@pytest.mark.parametrize(
    ("space", "confounds"),
    [("ACPC", "desc-confounds_timeseries.tsv"), ("T1w", "confounds.tsv")],
)
def test_a_series_of_qsiprep_has_its_own_table_mask_and_confounds(
    space: str, confounds: str, bids: Path, tmp_path: Path
) -> None:
    stem = f"{DWI}space-{space}_desc-preproc_dwi"
    files = [f"{stem}.{end}" for end in ("nii.gz", "bval", "bvec", "b", "b_table.txt")]
    files += [f"{DWI}space-{space}_desc-brain_mask.nii.gz", f"{DWI}{confounds}"]
    # below the dataset: paths stay relative to it, and move with it
    folder = folder_of(bids / "derivatives" / "qsiprep", "QSIPrep", "1.0.0", *files)
    ((scan,),) = (visit.scans["dwi"] for visit in index_derivatives(folder, bids))
    below = "derivatives/qsiprep/"
    assert (scan.bval, scan.bvec) == (f"{below}{stem}.bval", f"{below}{stem}.bvec")
    assert scan.mask == f"{below}{DWI}space-{space}_desc-brain_mask.nii.gz"
    assert scan.confounds == f"{below}{DWI}{confounds}"
    assert not in_template_space(scan)


def test_a_visit_enters_preprocessed_with_what_the_scanner_told(bids: Path, tmp_path: Path) -> None:
    fmriprep = folder_of(tmp_path / "fmriprep", "fMRIPrep", "23.2.1", *LTS)
    stem = f"{DWI}space-ACPC_desc-preproc_dwi"
    qsiprep = folder_of(tmp_path / "qsiprep", "QSIPrep", "1.0.0", f"{stem}.nii.gz", f"{stem}.json")
    study = tmp_path / "study"
    inventory = create_study(bids, study, derivatives=[fmriprep, qsiprep])
    first, second = read_rows(study / "visits.tsv")
    assert first["dwi"] == f"{qsiprep}/{stem}.nii.gz"
    assert "space-MNI152NLin2009cAsym_res-2" in first["bold"]
    assert second["bold"] == "sub-1/ses-b/func/sub-1_ses-b_task-rest_bold.nii.gz"
    assert inventory.mixed == ("sub-1 bold",)
    assert inventory.undecided == ("sub-1 ses-b",)  # two raw series, and no choice
    scans = read_scans(study / "scans.tsv")
    # joined by the pipeline: both series tell of the scanner, the pipeline's own word is the last
    assert scans[first["dwi"]].sidecars == (
        "sub-1/ses-a/dwi/sub-1_ses-a_dir-AP_dwi.json",
        "sub-1/ses-a/dwi/sub-1_ses-a_dir-PA_dwi.json",
        f"{qsiprep}/{stem}.json",
    )
    # the folders are remembered
    assert create_study(bids, study).new == ()
    with pytest.raises(ConfigError, match=r"an existing config\.yaml is not changed"):
        create_study(bids, study, derivatives=[fmriprep])


def test_another_space_can_be_chosen(bids: Path, tmp_path: Path) -> None:
    fmriprep = folder_of(tmp_path / "fmriprep", "fMRIPrep", "23.2.1", *LTS)
    create_study(bids, tmp_path / "s", derivatives=[fmriprep], select=["bold:space-T1w"])
    first, _ = read_rows(tmp_path / "s" / "visits.tsv")
    assert first["bold"].endswith("space-T1w_desc-preproc_bold.nii.gz")


@pytest.mark.parametrize(
    ("name", "files", "told"),
    [
        ("XCP-D", [f"{FUNC}task-rest_space-T1w_desc-denoised_bold.nii.gz"], "found XCP-D"),
        ("fMRIPrep", [f"{FUNC}task-rest_desc-confounds_timeseries.tsv"], "none in 1 visits"),
        (None, [], "No such file"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    name: str | None, files: list[str], told: str, bids: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    if name:
        folder_of(folder, name, "1", *files)
    with pytest.raises(ConfigError, match=told):
        index_derivatives(folder, bids)


def test_visits_at_different_stages_are_never_compared(bids: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "fmriprep", "fMRIPrep", "23.2.1", *LTS)
    create_study(bids, tmp_path / "s", derivatives=[folder])
    visits, scans = read_visits(tmp_path / "s" / "visits.tsv"), read_scans(tmp_path / "s/scans.tsv")
    ((patient, finding),) = mixed_stages(visits, scans, "bold")
    assert patient == "sub-1"
    assert finding.found == "ses-a fMRIPrep 23.2.1, space MNI152NLin2009cAsym; ses-b raw scan"
    settings = validated({"bids_dir": str(bids)})
    with pytest.raises(ConfigError, match="all visits of a patient enter at the same stage"):
        Plan.of_study(tmp_path / "s", settings)
    # two releases of one pipeline are two stages, two patients with different ones are none
    path = str(visits.rows[1].bold)
    later = Scan(path="x_space-T1w_bold.nii", modality="bold", bval=None, bvec=None, sidecars=())
    assert stage(later) == "raw scan"
    assert dict(mixed_stages(visits, {**scans, path: later}, "bold"))


def test_the_check_refuses_the_patient_and_warns_of_the_cohort(bids: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "fmriprep", "fMRIPrep", "23.2.1", *LTS)
    create_study(bids, tmp_path / "s", derivatives=[folder])
    report = check_study(tmp_path / "s")
    rule = "all visits of a patient enter at the same stage"
    refused = {
        (scan.session_id, scan.modality)
        for scan in report.refused
        for finding in scan.findings
        if finding.rule.startswith(rule)
    }
    assert refused == {("ses-a", "bold"), ("ses-b", "bold")}
    assert [place for place, _ in report.cohort] == ["bold"]
    reasons = [row["reason"] for row in read_rows(tmp_path / "s" / "exclusions.tsv")]
    assert sum(rule in reason for reason in reasons) == 2
