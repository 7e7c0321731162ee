from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msimaging.errors import ComputationError, InputError
from msimaging.functional.motion import (
    estimate_head_motion,
    framewise_displacement,
    motion_parameters,
    reference_volume,
)

SHAPE = (28, 34, 24)
AFFINE = np.array(
    [[-3.0, 0.2, 0.0, 40.0], [0.2, 3.2, 0.1, -52.0], [0.0, -0.1, 3.5, -40.0], [0, 0, 0, 1]]
)
STEPS = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [1.1, -0.4, 0.7, 0.01, -0.03, 0.02],
        [-0.3, 0.9, -1.2, -0.02, 0.01, 0.04],
        [0.2, 0.1, 0.3, 0.005, 0.002, -0.01],
    ]
)


def _matrix(parameters, centre):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", parameters[3:]).as_matrix()
    matrix[:3, 3] = centre + parameters[:3] - matrix[:3, :3] @ centre
    return matrix


def _head():
    rng = np.random.default_rng(0)
    grid = np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2
    mask = (grid**2 / np.array([9.0, 11.0, 7.5]) ** 2).sum(axis=-1) < 1
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.3)
    head = ndimage.gaussian_filter(mask * (800 + 900 * texture / texture.std() / 3), 0.7)
    return head, mask


@pytest.fixture(scope="module")
def moved():
    head, mask = _head()
    centre = AFFINE[:3, :3] @ np.argwhere(mask).mean(axis=0) + AFFINE[:3, 3]
    rng = np.random.default_rng(1)
    volumes = []
    for parameters in STEPS:
        back = np.linalg.inv(AFFINE) @ np.linalg.inv(_matrix(parameters, centre)) @ AFFINE
        volume = ndimage.affine_transform(head, back[:3, :3], back[:3, 3], order=3)
        volumes.append(volume + rng.normal(0, 8, SHAPE))
    still = [head + rng.normal(0, 8, SHAPE) for _ in range(20)]
    return np.stack(still + volumes, axis=3).astype(np.float32), mask, centre


def test_planted_motion_is_found_in_its_own_units(moved):
    bold, mask, centre = moved
    motion = estimate_head_motion(bold[..., 16:], affine=AFFINE, mask=mask)
    found = motion.parameters[4:] - motion.parameters[4]
    error = found - STEPS
    print("largest error: mm", np.abs(error[:, :3]).max(), "rad", np.abs(error[:, 3:]).max())
    assert np.abs(error[:, :3]).max() < 0.02
    assert np.abs(error[:, 3:]).max() < 0.001
    np.testing.assert_allclose(
        motion.reference_to_volume[5], _matrix(motion.parameters[5], centre), atol=1e-9
    )


def test_threads_and_repeats_change_nothing(moved):
    bold, mask, _ = moved
    first = estimate_head_motion(bold[..., 18:], affine=AFFINE, mask=mask, n_threads=1)
    second = estimate_head_motion(bold[..., 18:], affine=AFFINE, mask=mask, n_threads=2)
    np.testing.assert_array_equal(first.parameters, second.parameters)


def test_a_volume_without_the_head_is_named(moved):
    bold, mask, _ = moved
    far = bold[..., :4].copy()
    far[..., 2] = np.random.default_rng(0).normal(size=SHAPE)
    far[..., 2] += np.linspace(0, 9000, SHAPE[0])[:, np.newaxis, np.newaxis]
    with pytest.raises(ComputationError, match="volumes 2 show too little"):
        estimate_head_motion(far, affine=AFFINE, mask=mask)


def test_reference_leaves_moved_and_unsteady_volumes_out(moved):
    bold, mask, _ = moved
    bright = np.concatenate([bold[..., :1] + 500, bold], axis=3)
    np.testing.assert_allclose(
        reference_volume(bright, mask=mask, n_skipped=1),
        reference_volume(bold, mask=mask),
        rtol=1e-6,
    )
    still = bold[..., :20].mean(axis=3)
    everything = bold.mean(axis=3)
    reference = reference_volume(bold, mask=mask)
    assert np.abs(reference - still)[mask].mean() < 0.2 * np.abs(everything - still)[mask].mean()


def test_framewise_displacement_of_the_step_is_0_775_mm():
    parameters = np.array([[1.0, 2, 3, 0.1, 0.2, 0.3], [1.1, 1.8, 3.3, 0.101, 0.198, 0.3005]])
    displacement = framewise_displacement(parameters)
    assert np.isnan(displacement[0])
    assert displacement[1] == pytest.approx(0.775, abs=1e-12)


def test_parameters_and_matrices_are_inverse():
    centre = np.array([3.0, -20.0, 11.0])
    matrices = np.stack([_matrix(parameters, centre) for parameters in STEPS])
    np.testing.assert_allclose(motion_parameters(matrices, centre=centre), STEPS, atol=1e-12)


def test_unusable_runs_are_refused(moved):
    bold, mask, _ = moved
    with pytest.raises(InputError, match="two or more volumes"):
        estimate_head_motion(bold[..., :1], affine=AFFINE, mask=mask)
    with pytest.raises(InputError, match="with 0 voxels"):
        estimate_head_motion(bold[..., :3], affine=AFFINE, mask=mask & False)
    broken = bold[..., :3].copy()
    broken[3, 4, 5, 1] = np.nan
    with pytest.raises(InputError, match="1 values that are not"):
        estimate_head_motion(broken, affine=AFFINE, mask=mask)
