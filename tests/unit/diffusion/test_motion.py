"""Planted head motion and eddy shear are found, undone once, and the b-vectors turned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msimaging.diffusion.alignment import eddy_matrix, frame_of, transform
from msimaging.diffusion.motion import estimate_motion, poses_of, rotate_bvecs
from msimaging.diffusion.resampling import (
    apply_motion,
    apply_motion_to_weights,
    foretell_in_place,
)
from msimaging.errors import InputError

SHAPE, N_WEIGHTED, PE = (44, 48, 32), 30, 1


@pytest.fixture(scope="module")
def moved_head():
    """A head of three tissues with fibres, moved up to 3 mm and 3 degrees, at SNR 20."""
    rng = np.random.default_rng(5)
    z = 1 - (2 * np.arange(N_WEIGHTED) + 1) / (2 * N_WEIGHTED)
    turn = np.pi * (1 + 5**0.5) * np.arange(N_WEIGHTED)
    ring = np.sqrt(1 - z**2)
    bvecs = np.r_[np.zeros((2, 3)), np.stack([ring * np.cos(turn), ring * np.sin(turn), z], 1)]
    bvals = np.r_[0.0, 5.0, np.full(N_WEIGHTED, 1000.0)]
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = 60, -70, -20
    x, y, w = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in SHAPE), indexing="ij")
    head = (x / 0.7) ** 2 + (y / 0.8) ** 2 + (w / 0.75) ** 2 < 1
    fluid = ((x - 0.2) / 0.15) ** 2 + ((y - 0.1) / 0.3) ** 2 + (w / 0.4) ** 2 < 1
    fluid |= head & ((x / 0.63) ** 2 + (y / 0.72) ** 2 + (w / 0.67) ** 2 > 1)
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2)
    white = head & ~fluid & (texture > 0)
    s0 = ndimage.gaussian_filter(np.where(fluid, 1600.0, np.where(white, 800, 1000)) * head, 0.7)
    axial = np.where(fluid, 3.0e-3, np.where(white, 1.6e-3, 0.9e-3))
    radial = np.where(fluid, 3.0e-3, np.where(white, 0.4e-3, 0.75e-3))
    angle = ndimage.gaussian_filter(rng.normal(size=SHAPE), 4)
    angle *= 1.5 / angle.std()
    fibre = np.stack([np.cos(angle), np.sin(angle), 0.3 + 0 * angle], -1) / np.hypot(1, 0.3)
    centre = affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + affine[:3, 3]
    data, affines, rigid = [], [], []
    for n, (b, g) in enumerate(zip(bvals, bvecs, strict=True)):
        size = 0 if n == 0 else 1
        rotation = Rotation.from_euler("xyz", size * rng.uniform(-3, 3, 3), degrees=True)
        shift = size * rng.uniform(-3, 3, 3)
        eddy = np.eye(3)
        eddy[PE] += (b > 50) * rng.uniform(-0.01, 0.01, 3)
        head_moved, both = np.eye(4), np.eye(4)
        head_moved[:3, :3] = rotation.as_matrix()
        head_moved[:3, 3] = centre + shift - head_moved[:3, :3] @ centre
        both[:3, :3] = eddy @ head_moved[:3, :3]
        both[:3, 3] = centre + eddy @ shift - both[:3, :3] @ centre
        seen = rotation.as_matrix().T @ g
        signal = s0 * np.exp(-b * (radial + (axial - radial) * (fibre @ seen) ** 2))
        back = np.linalg.inv(affine) @ np.linalg.inv(both) @ affine
        signal = ndimage.affine_transform(signal, back[:3, :3], back[:3, 3], order=3)
        signal /= np.linalg.det(eddy)
        noise = rng.normal(0, 50, (2, *SHAPE))
        data.append(np.hypot(signal + noise[0], noise[1]))
        affines.append(both)
        rigid.append(head_moved)
    return {
        "data": np.stack(data, -1).astype(np.float32),
        "bvals": bvals,
        "bvecs_ras": bvecs,
        "affine": affine,
        "mask": ndimage.binary_dilation(head),
        "affines": np.stack(affines),
        "rigid": np.stack(rigid),
        "truth": s0,
        "centre": centre,
    }


def estimated(moved_head, **changes):
    names = ("data", "bvals", "bvecs_ras", "affine", "mask")
    arguments = {name: moved_head[name] for name in names} | changes
    return estimate_motion(**arguments, phase_encoding_axis=PE)


@pytest.fixture(scope="module")
def estimate(moved_head):
    return estimated(moved_head, n_threads=2)


def test_motion_is_recovered_within_three_tenths_of_a_millimetre_and_degree(moved_head, estimate):
    home = np.r_[moved_head["centre"], 1]
    off = np.linalg.norm((estimate.affines - moved_head["affines"]) @ home, axis=1)
    back = np.swapaxes(moved_head["rigid"], 1, 2)[:, :3, :3] @ estimate.rigid[:, :3, :3]
    angles = np.abs(np.rad2deg(Rotation.from_matrix(back).as_rotvec()))
    assert np.median(off) < 0.3
    assert np.median(angles, axis=0).max() < 0.3
    assert off[1] < 0.1
    assert angles[1].max() < 0.1


def test_bvecs_are_within_one_degree(moved_head, estimate):
    turned = rotate_bvecs(moved_head["bvecs_ras"], estimate.rigid)
    rotations = moved_head["rigid"][:, :3, :3]
    truth = np.einsum("nji,nj->ni", rotations, moved_head["bvecs_ras"])
    cosine = np.abs(np.einsum("ni,ni->n", turned, truth))[2:]
    assert np.rad2deg(np.arccos(np.minimum(cosine, 1))).max() < 1.0
    assert (turned[:2] == 0).all()


def test_reference_is_untouched_and_displacement_counted(moved_head, estimate):
    np.testing.assert_array_equal(estimate.affines[0], np.eye(4))
    assert estimate.framewise_displacement[0] == 0
    steps = np.abs(np.diff(estimate.translations, axis=0)).sum(1)
    steps += 50 * np.abs(np.diff(np.deg2rad(estimate.rotations), axis=0)).sum(1)
    np.testing.assert_allclose(estimate.framewise_displacement[1:], steps)


def test_one_resampling_restores_the_image(moved_head, estimate):
    restored = apply_motion(
        moved_head["data"], affine=moved_head["affine"], affines=estimate.affines
    )
    inner = ndimage.binary_erosion(moved_head["mask"], iterations=3)

    def error(volume):
        return np.sqrt(np.mean((volume - moved_head["truth"])[inner] ** 2))

    assert error(restored[..., 1]) < 0.6 * error(moved_head["data"][..., 1])


@pytest.mark.slow
def test_bytes_do_not_depend_on_threads(moved_head, estimate):
    again = estimated(moved_head, n_threads=1)
    assert again.affines.tobytes() == estimate.affines.tobytes()


def test_rotation_is_taken_out_of_a_sheared_transform():
    rotation = Rotation.from_euler("z", 10, degrees=True).as_matrix()
    sheared = np.eye(4)
    sheared[:3, :3] = np.array([[1, 0, 0], [0.01, 1.01, 0], [0, 0, 1]]) @ rotation
    turned = rotate_bvecs(np.array([[1.0, 0, 0]]), sheared[None])
    # the head turned towards +y, so the head sees the x gradient turned towards -y
    expected = [np.cos(np.deg2rad(10)), -np.sin(np.deg2rad(10)), 0]
    np.testing.assert_allclose(turned[0], expected, atol=0.006)


def test_shift_and_susceptibility_displacement_are_composed():
    affine = np.diag([2.0, 2.5, 3.0, 1.0])
    ramp = np.broadcast_to(np.arange(30.0)[None, :, None], (8, 30, 6))
    data = np.stack([ramp, ramp], -1)
    affines = np.stack([np.eye(4), np.eye(4)])
    affines[1, 1, 3] = 5.0  # mm: two voxels along y
    displacement = np.full((8, 30, 6), 2.5)
    moved = apply_motion(
        data, affine=affine, affines=affines, displacement=displacement, phase_encoding_axis=1
    )
    np.testing.assert_allclose(moved[4, 5:20, 3, 0], np.arange(6, 21), atol=1e-4)
    np.testing.assert_allclose(moved[4, 5:20, 3, 1], np.arange(8, 23), atol=1e-4)
    assert (moved[:, -2:, :, 1] == 0).all()
    stretching = 0.1 * 2.5 * ramp  # a tenth of a voxel per voxel
    moved = apply_motion(
        data, affine=affine, affines=affines, displacement=stretching, phase_encoding_axis=1
    )
    np.testing.assert_allclose(moved[4, 5:20, 3, 0], 1.1 * 1.1 * np.arange(5, 20), rtol=1e-4)


def test_weights_stay_weights():
    weights = np.ones((8, 8, 8, 1))
    weights[:, :, 3] = 0
    affines = np.eye(4)[None].copy()
    affines[0, 2, 3] = 0.5
    moved = apply_motion_to_weights(weights, affine=np.eye(4), affines=affines)
    np.testing.assert_allclose(moved[4, 4, :6, 0], [1, 1, 0.5, 0.5, 1, 1])


def test_each_volume_is_foretold_where_the_head_was():
    rng = np.random.default_rng(2)
    bvecs = rng.normal(size=(13, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1)[:, None]
    bvecs[0] = 0
    bvals = np.r_[0.0, np.full(12, 1000.0)]
    image = ndimage.gaussian_filter(rng.random((20, 20, 20)), 2) + 1
    series = image[..., None] * np.exp(-bvals * (4e-4 + 8e-4 * bvecs[:, 0] ** 2))
    affines = np.tile(np.eye(4), (13, 1, 1))
    affines[7, 0, 3] = 2.0  # voxels of one mm
    acquired = series.copy()
    acquired[..., 7] = np.roll(series[..., 7], 2, axis=0)
    acquired[9:12, ..., 7] *= 0.3  # what was lost there is foretold by the others
    foretold = foretell_in_place(
        acquired, bvals=bvals, bvecs_ras=bvecs, affine=np.eye(4), affines=affines, floor=1e-3
    )
    inner = (slice(4, 16),) * 3
    expected = np.roll(series[..., 7], 2, axis=0)[inner]
    np.testing.assert_allclose(foretold[(*inner, 7)], expected, rtol=2e-3)
    assert (foretold[..., 0] == 0).all()


def test_a_second_round_starts_where_the_first_ended(moved_head, estimate):
    frame = frame_of(moved_head["data"], moved_head["affine"], moved_head["mask"].astype(bool), PE)
    for pose, matrix in zip(poses_of(estimate, frame), estimate.affines, strict=True):
        np.testing.assert_allclose(
            transform(eddy_matrix(pose, frame), pose, frame), matrix, atol=1e-9
        )


def test_faults_are_told_together(moved_head):
    with pytest.raises(InputError) as caught:
        estimated(
            moved_head, bvals=np.full(N_WEIGHTED + 2, 900.0), mask=np.zeros(SHAPE, dtype=bool)
        )
    assert {finding.where for finding in caught.value.findings} == {"bvals", "mask"}
    with pytest.raises(InputError, match="one b-value"):
        estimated(moved_head, bvals=np.zeros(3))
    with pytest.raises(InputError, match="transform"):
        rotate_bvecs(np.zeros((3, 3)), np.eye(4)[None])
    with pytest.raises(InputError, match="phase-encoding axis"):
        apply_motion(
            np.zeros((4, 4, 4, 1)),
            affine=np.eye(4),
            affines=np.eye(4)[None],
            displacement=np.zeros((4, 4, 4)),
        )
