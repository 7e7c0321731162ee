"""Lesions of all visits on the grid of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msimaging.functional.confounds import confounds_table
from msimaging.steps.bold_tissues import lesions_at
from msimaging.volumes import Volume, read_volume, write_volume
from msimaging.xfms import write_midpoint

SHAPE = (12, 12, 10)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def _pose(shift_mm: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = shift_mm
    return pose


def _visit(folder: Path, session: str, *, shift_mm: float, lesion: tuple[int, int, int]) -> dict:
    """A lesion of 2 x 2 x 2 voxels; the head lies ``shift_mm`` to the right of the midpoint."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    x, y, z = lesion
    mask[x : x + 2, y : y + 2, z : z + 2] = 1
    paths = {"mask": str(folder / f"{session}.nii.gz"), "pose": str(folder / f"{session}.tsv")}
    write_volume(paths["mask"], mask, AFFINE)
    write_midpoint(paths["pose"], {session: _pose(shift_mm)})
    return paths


def _run(folder: Path) -> Volume:
    write_volume(folder / "run.nii.gz", np.ones((*SHAPE, 2), dtype=np.float32), AFFINE)
    return read_volume(folder / "run.nii.gz", ndim=4)


def test_lesions_of_all_visits_are_united_where_the_head_of_this_visit_lies(tmp_path) -> None:
    first = _visit(tmp_path, "ses-a", shift_mm=0.0, lesion=(2, 4, 4))
    second = _visit(tmp_path, "ses-b", shift_mm=6.0, lesion=(8, 4, 4))
    masks = [first["mask"], second["mask"]]
    poses = {"ses-a": first["pose"], "ses-b": second["pose"]}
    run = _run(tmp_path)
    here = lesions_at(masks, run, "ses-a", poses)
    # what lies at 8 in the second visit lies two voxels to the left in the first
    assert set(np.argwhere(here)[:, 0]) == {2, 3, 6, 7}
    there = lesions_at(masks, run, "ses-b", poses)
    assert set(np.argwhere(there)[:, 0]) == {4, 5, 8, 9}
    assert here.sum() == there.sum() == 16


def test_without_masks_nothing_is_left_out(tmp_path) -> None:
    assert lesions_at([], _run(tmp_path), "ses-a", {}) is None


def test_temporal_compcor_does_not_choose_lesions() -> None:
    rng = np.random.default_rng(0)
    bold = rng.normal(100, 1, size=(*SHAPE, 60))
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[5:8, 5:8, 4:7] = True
    course = rng.normal(size=60)
    bold[lesion] += 30 * course  # the most variable voxels of all
    brain = np.ones(SHAPE, dtype=bool)

    def first_component(**masks: np.ndarray) -> np.ndarray:
        found = confounds_table(bold, t_r=2.0, brain_mask=brain, n_components=1, **masks)
        return found.table["t_comp_cor_00"].to_numpy()

    assert abs(np.corrcoef(first_component(), course)[0, 1]) > 0.9
    assert abs(np.corrcoef(first_component(lesion_mask=lesion), course)[0, 1]) < 0.5
