"""Which lesion mask belongs to which scan."""

from __future__ import annotations

from pathlib import Path

import pytest

from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows
from msimaging.settings import validated
from msimaging.study.creation import create_study


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    for session in ("a", "b"):
        stem = f"sub-01_ses-{session}"
        folder = root / "sub-01" / f"ses-{session}"
        touch(folder / "dwi" / f"{stem}_dwi.nii.gz")
        touch(folder / "func" / f"{stem}_task-rest_bold.nii.gz")
        masks = root / "derivatives" / "drawn" / "sub-01" / f"ses-{session}" / "anat"
        touch(masks / f"{stem}_space-FLAIR_label-lesion_mask.nii.gz")
        touch(masks / f"{stem}_space-MNI152NLin2009aSym_label-lesion_mask.nii.gz")
        touch(masks / f"{stem}_desc-brain_mask.nii.gz")
    return root


def lesions(study: Path) -> dict[str, str]:
    return {row["path"].split("/")[-1]: row["lesions"] for row in read_rows(study / "scans.tsv")}


def test_a_mask_in_the_derivatives_serves_both_scans_of_its_visit(
    dataset: Path, tmp_path: Path
) -> None:
    create_study(dataset, tmp_path / "study")
    mask = (
        "derivatives/drawn/sub-01/ses-{0}/anat/sub-01_ses-{0}_space-FLAIR_label-lesion_mask.nii.gz"
    )
    assert lesions(tmp_path / "study") == {
        f"sub-01_ses-{session}{scan}.nii.gz": mask.format(session)
        for session in "ab"
        for scan in ("_dwi", "_task-rest_bold")
    }
    settings = validated({"bids_dir": str(dataset)})
    plan = Plan.of_study(tmp_path / "study", settings)
    wanted = [str(dataset / mask.format(session)) for session in "ab"]
    assert plan.lesion_masks("dwi", "sub-01") == wanted


def test_the_mask_on_the_scans_own_grid_is_nearer(dataset: Path, tmp_path: Path) -> None:
    own = "sub-01/ses-a/dwi/sub-01_ses-a_label-lesion_mask.nii.gz"
    touch(dataset / "derivatives" / "drawn" / own)
    create_study(dataset, tmp_path / "study")
    found = lesions(tmp_path / "study")
    assert found["sub-01_ses-a_dwi.nii.gz"] == f"derivatives/drawn/{own}"
    assert "/anat/" in found["sub-01_ses-a_task-rest_bold.nii.gz"]


def test_several_masks_wait_for_a_choice_and_one_missing_mask_leaves_all_out(
    dataset: Path, tmp_path: Path
) -> None:
    other = "sub-01/ses-b/anat/sub-01_ses-b_desc-second_label-lesion_mask.nii.gz"
    touch(dataset / "derivatives" / "drawn" / other)
    settings = validated({"bids_dir": str(dataset)})
    create_study(dataset, tmp_path / "study")
    assert lesions(tmp_path / "study")["sub-01_ses-b_dwi.nii.gz"].count(" | ") == 1
    assert Plan.of_study(tmp_path / "study", settings).lesion_masks("dwi", "sub-01") == []

    create_study(dataset, tmp_path / "chosen", select=["lesion:desc-second"])
    assert lesions(tmp_path / "chosen")["sub-01_ses-b_dwi.nii.gz"].endswith(other)
    chosen = Plan.of_study(tmp_path / "chosen", settings)
    assert len(chosen.lesion_masks("bold", "sub-01")) == 2
