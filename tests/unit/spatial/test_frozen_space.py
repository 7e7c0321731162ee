"""A later visit joins the space of the first two, which stays as it is."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from msimaging.steps.build_space import join_space
from msimaging.xfms import read_midpoint

SHAPE = (34, 34, 34)


def test_the_pose_of_a_later_visit_is_found(head, tmp_path):
    affine = head.centred(SHAPE, (2.0, 2.0, 2.0))
    midpoint_to_visit = head.pose((1, 2, 1), 4.0, (2.0, -1.0, 1.5))
    visit_to_midpoint = np.linalg.inv(midpoint_to_visit)
    images = {
        "template": head.sampled(SHAPE, affine, np.eye(4)),
        "visit": head.sampled(SHAPE, affine, visit_to_midpoint, seed=1),
        "mask": np.ones(SHAPE),
    }
    for name, data in images.items():
        nib.save(nib.Nifti1Image(data.astype(np.float32), affine), tmp_path / f"{name}.nii.gz")
    join_space(
        image=str(tmp_path / "visit.nii.gz"),
        mask=str(tmp_path / "mask.nii.gz"),
        session="ses-month12",
        template=str(tmp_path / "template.nii.gz"),
        seed=1,
        out_pose=str(tmp_path / "pose.tsv"),
    )
    poses = read_midpoint(tmp_path / "pose.tsv")
    assert list(poses) == ["ses-month12"]
    points = head.grid_points(SHAPE, affine)[::6, ::6, ::6].reshape(-1, 3)
    error = head.distance(poses["ses-month12"], midpoint_to_visit, points)
    assert error.max() < 0.3
