"""Over the T1-weighted image a run comes to the template with half the error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.functional.masks import bold_brain_mask
from msimaging.phantom.anatomical import simulate_t1w
from msimaging.phantom.functional import SimulatedBOLD, simulate_bold
from msimaging.phantom.head import (
    Head,
    Pose,
    distorted_origin,
    grid_points,
    random_head,
    random_pose,
)
from msimaging.spatial.transforms import transform_points
from msimaging.steps.anatomical import why_not_over
from msimaging.steps.build_space import build_space
from msimaging.steps.carrying import visit_to_template
from msimaging.tables import read_json
from msimaging.volumes import write_volume

DISTORTION_MM = 4.0


def written(folder: Path, head: Head, pose: Pose, **changes: float) -> SimulatedBOLD:
    run = simulate_bold(head=head, pose=pose, voxel_size=4.0, n_volumes=8, **changes)
    write_volume(folder / "reference.nii.gz", run.data.mean(axis=3), run.affine)
    mask = bold_brain_mask(run.data, affine=run.affine)
    write_volume(folder / "mask.nii.gz", mask, run.affine)
    return run


def space(folder: Path, name: str, *, anatomical: tuple[str, ...], resolution: int) -> Path:
    out = folder / name
    out.mkdir()
    build_space(
        images=[str(folder / "reference.nii.gz")],
        masks=[str(folder / "mask.nii.gz")],
        sessions=["ses-01"],
        lesions=(),
        contrast="bright fluid",
        working_resolution=resolution,
        seed=1,
        anatomical=anatomical,
        anatomical_session="ses-01" if anatomical else "",
        out_midpoint=str(out / "midpoint.tsv"),
        out_template=str(out / "template.nii.gz"),
        out_from_template=str(out / "from.h5"),
        out_to_template=str(out / "to.h5"),
    )
    return out


@pytest.mark.slow
def test_the_error_in_the_brain_is_far_smaller_than_without(tmp_path: Path) -> None:
    """A head with skull, another pose of the T1w, and a BOLD run distorted by up to 4 mm."""
    rng = np.random.default_rng(1)
    head, pose = random_head(rng, scale_sd=0.04, deformation=3.0), random_pose(rng)
    moved = Pose(rotation=pose.rotation, translation=pose.translation + np.array([1.5, -1.0, 1.0]))
    run = written(tmp_path, head, pose, distortion_mm=DISTORTION_MM)
    t1w = simulate_t1w(head=head, pose=moved, voxel_size=2.0)
    write_volume(tmp_path / "T1w.nii.gz", t1w.data, t1w.affine)

    shown = grid_points(run.mask.shape, run.affine)[run.mask.ravel()][::11]
    axis = run.affine[:3, 1] / np.linalg.norm(run.affine[:3, 1])
    places, _ = distorted_origin(shown, pose=pose, axis=axis, distortion_mm=DISTORTION_MM)
    truth = head.to_template(pose.to_head(places))
    errors = {}
    for name, anatomical in (("directly", ()), ("over T1w", (str(tmp_path / "T1w.nii.gz"),))):
        out = space(tmp_path, name, anatomical=anatomical, resolution=3)
        way = visit_to_template(str(out / "to.h5"), str(out / "midpoint.tsv"), "ses-01")
        errors[name] = np.linalg.norm(transform_points(way, shown) - truth, axis=1)
        sidecar = read_json(out / "to.json")
        assert sidecar["RegistrationOver"].startswith("T1w" if anatomical else "none")
        assert any("T1w" in source for source in sidecar["Sources"]) == bool(anatomical)
        # forth and back is the same way
        back = transform_points(
            visit_to_template(str(out / "from.h5"), str(out / "midpoint.tsv"), "ses-01"),
            transform_points(way, shown),
        )
        assert np.median(np.linalg.norm(back - shown, axis=1)) < 0.2
    told = {k: f"{v.mean():.2f} mm, 95 % {np.percentile(v, 95):.2f}" for k, v in errors.items()}
    print(told)
    assert errors["over T1w"].mean() < 1.4
    assert errors["over T1w"].mean() < 0.75 * errors["directly"].mean()
    assert np.percentile(errors["over T1w"], 95) < 0.8 * np.percentile(errors["directly"], 95)


def test_an_image_without_contrast_is_refused_by_its_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    written(tmp_path, random_head(rng), random_pose(rng))
    write_volume(tmp_path / "T1w.nii.gz", np.full((20, 20, 20), 7.0), np.eye(4))
    with pytest.raises(InputError, match="must show a head") as caught:
        space(tmp_path, "flat", anatomical=(str(tmp_path / "T1w.nii.gz"),), resolution=6)
    assert caught.value.findings[0].where.endswith("T1w.nii.gz")


def test_runs_that_end_within_the_brain_need_a_t1w_without_skull(tmp_path: Path) -> None:
    whole, cut = np.zeros((20, 20, 20), dtype=bool), np.zeros((20, 20, 20), dtype=bool)
    whole[3:17, 3:17, 3:17], cut[3:17, 3:17, 3:18] = True, True
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    for name, scalp in (("head", True), ("brain", False)):
        t1w = simulate_t1w(voxel_size=6.0, scalp=scalp)
        write_volume(tmp_path / f"{name}.nii.gz", t1w.data, t1w.affine)
    head, brain = (str(tmp_path / f"{name}.nii.gz") for name in ("head", "brain"))
    assert why_not_over(head, [(whole, affine)]) == ""
    assert why_not_over(brain, [(whole, affine), (cut, affine)]) == ""
    told = why_not_over(head, [(whole, affine), (cut, affine)])
    # 14 x 14 voxels of 8 mm
    assert "the runs end within the brain (125 cm2 of it" in told
    assert "whose skull was removed" in told
