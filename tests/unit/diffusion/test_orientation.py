"""The orientation test on drawn bundles whose directions are known."""

import numpy as np
import pytest
from dipy.reconst.dti import TensorFit, TensorModel

from msimaging.diffusion.frames import bvecs_fsl_to_ras, bvecs_ras_to_fsl
from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.orientation import (
    check_orientation,
    describe_transform,
    orientation_finding,
)

SHAPE = (26, 30, 20)


def affine_of(reversed_x):
    """An oblique grid with unequal voxels, with or without its x axis reversed."""
    a, b = np.deg2rad(17), np.deg2rad(-11)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * [-2.0 if reversed_x else 2.0, 2.0, 3.0]
    return affine


def bundles(affine):
    """Main directions of thin bent fibres in RAS, and where they are."""
    linear, rng = affine[:3, :3], np.random.default_rng(12)
    place = np.indices(SHAPE).transpose(1, 2, 3, 0) @ linear.T
    centre = place.reshape(-1, 3).mean(axis=0)
    directions, nearest = np.zeros((*SHAPE, 3)), np.full(SHAPE, 3.0)
    for _ in range(25):
        start = centre + rng.normal(size=3) * 9
        first, bend = rng.normal(size=3), rng.normal(size=3) * 0.015
        first /= np.linalg.norm(first)
        for t in np.arange(-30, 30, 0.7):
            distance = np.linalg.norm(place - (start + first * t + bend * t**2), axis=-1)
            closer = distance < nearest
            tangent = first + 2 * bend * t
            directions[closer] = tangent / np.linalg.norm(tangent)
            nearest[closer] = distance[closer]
    return directions, nearest < 3


def fit_of(directions, inside, noise=0.3):
    rng = np.random.default_rng(1)
    noisy = directions + noise * rng.normal(size=directions.shape)
    parameters = np.zeros((*SHAPE, 12))
    parameters[..., :3] = 0.8e-3
    parameters[inside, :3] = [1.5e-3, 0.5e-3, 0.4e-3]
    # only the main direction is used
    parameters[..., 3::3] = noisy / np.linalg.norm(noisy, axis=-1, keepdims=True)
    gtab = gradient_table(
        np.r_[0, np.full(6, 1000.0)], np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    )
    return TensorFit(TensorModel(gtab), parameters)


MASK = np.ones(SHAPE, dtype=bool)


@pytest.mark.parametrize("reversed_x", [True, False])
def test_right_table_is_consistent(reversed_x):
    affine = affine_of(reversed_x)
    check = check_orientation(fit_of(*bundles(affine)), affine, MASK)
    assert check.is_consistent
    assert check.is_clear
    assert check.ratio > 1.02
    assert orientation_finding(check) is None


@pytest.mark.parametrize("reversed_x", [True, False])
def test_each_of_23_wrong_tables_is_found_with_its_remedy(reversed_x):
    affine = affine_of(reversed_x)
    right, inside = bundles(affine)
    transforms = check_orientation(fit_of(right, inside), affine, MASK).transforms
    assert len({tuple(np.sign(t.ravel() @ np.arange(1, 10)) * t.ravel()) for t in transforms}) == 24
    for wrong in transforms[1:]:
        in_file = bvecs_ras_to_fsl(right, affine) @ wrong.T
        check = check_orientation(fit_of(bvecs_fsl_to_ras(in_file, affine), inside), affine, MASK)
        undone = check.best_transform @ wrong
        assert (np.abs(undone) == np.eye(3)).all()
        assert abs(np.trace(undone)) == 3
        finding = orientation_finding(check, where="sub-01_dwi.bvec")
        assert finding.severity == "error"
        assert describe_transform(check.best_transform) in finding.remedy


def test_directions_without_order_give_at_most_a_warning():
    rng = np.random.default_rng(7)
    affine = affine_of(True)
    _, inside = bundles(affine)
    check = check_orientation(fit_of(rng.normal(size=(*SHAPE, 3)), inside), affine, MASK)
    assert check.scores.max() / check.scores.min() < 1.1


@pytest.mark.parametrize("tilt", [0.1, 0.5])
def test_shape_of_voxels_favours_no_table(tilt):
    # the same direction everywhere, in voxels five times as long as wide: nothing to choose by
    affine = np.diag([-1.0, 1.0, 5.0, 1.0])
    direction = np.array([1.0, tilt, 0.3]) / np.linalg.norm([1.0, tilt, 0.3])
    inside = np.zeros(SHAPE, dtype=bool)
    inside[2:-2, 2:-2, 2:-2] = True
    check = check_orientation(
        fit_of(np.broadcast_to(direction, (*SHAPE, 3)), inside, 0), affine, MASK
    )
    assert check.scores.max() / check.scores.min() < 1.25


def test_nothing_in_the_mask_is_no_alarm():
    affine = affine_of(True)
    check = check_orientation(fit_of(*bundles(affine)), affine, np.zeros(SHAPE, dtype=bool))
    assert check.is_consistent
    assert not check.is_clear


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, -1]], "(x, y, -z)"),
        ([[0, 0, 1], [-1, 0, 0], [0, 1, 0]], "(z, -x, y)"),
    ],
)
def test_tables_are_described_as_people_write_them(matrix, text):
    assert describe_transform(np.array(matrix)) == text
