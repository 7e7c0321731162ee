"""Scalars do not depend on how the head or the image lies; directions turn along."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor
from msimaging.phantom.diffusion import simulate_dwi
from msimaging.phantom.head import STRAIGHT, Pose

TURN = Rotation.from_rotvec(np.radians(15) * np.array([1.0, 2.0, 3.0]) / np.sqrt(14)).as_matrix()
WHITE = 0.4


def scan(pose, snr):
    return simulate_dwi(voxel_size=5.0, n_b0=2, n_directions=20, snr=snr, pose=pose)


@pytest.fixture(scope="module")
def straight():
    return scan(STRAIGHT, 30.0)


def fitted(data, bvals, bvecs_ras, white):
    """Return the scalars (V,) and main directions (V, 3) of white matter."""
    fit = fit_tensor(data, gradient_table(bvals, bvecs_ras), white)
    evals = fit.evals[white]
    scalars = {name: SCALAR_METRICS[name].from_evals(evals) for name in ("fa", "md", "rd")}
    return scalars, fit.evecs[white][..., 0]


def angles(first, second):
    return np.degrees(np.arccos(np.abs((first * second).sum(-1)).clip(0, 1)))


def test_an_image_turned_with_its_table_keeps_scalars_and_turns_directions(straight):
    """The same voxels under a turned affine: FSL's table turns with them."""
    white, turned = straight.fa > WHITE, straight.affine.copy()
    turned[:3, :3] = TURN @ turned[:3, :3]
    tables = [bvecs_fsl_to_ras(straight.bvecs, affine) for affine in (straight.affine, turned)]
    (before, main), (after, main_turned) = (
        fitted(straight.data, straight.bvals, table, white) for table in tables
    )
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5)
    assert angles(main @ TURN.T, main_turned).max() < 0.01
    assert np.median(angles(main, main_turned)) > 5


def test_a_turned_head_keeps_its_white_matter_and_turns_its_directions():
    """Other voxels of the same head, the gradients still in the scanner."""
    means = []
    for turn in (np.eye(3), TURN):
        head = scan(Pose(rotation=turn, translation=np.zeros(3)), None)
        white = head.fa > WHITE
        scalars, main = fitted(head.data, head.bvals, head.bvecs_ras, white)
        assert np.median(angles(main, head.direction_ras[white])) < 0.5
        means.append({name: values.mean() for name, values in scalars.items()})
    for name in ("fa", "rd"):
        change = means[1][name] / means[0][name] - 1
        print(f"{name.upper()} of white matter in the turned head: {change:+.2%}")
        assert abs(change) < 0.01


def test_a_table_flipped_along_x_keeps_scalars_and_loses_directions(straight):
    white = straight.fa > WHITE
    tables = [straight.bvecs_ras, straight.bvecs_ras * [-1, 1, 1]]
    (before, main), (after, flipped) = (
        fitted(straight.data, straight.bvals, table, white) for table in tables
    )
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5)
    assert np.median(angles(main, straight.direction_ras[white])) < 10
    assert np.median(angles(flipped, straight.direction_ras[white])) > 25
