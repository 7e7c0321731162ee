from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from msimaging.errors import ComputationError, InputError
from msimaging.spatial.reorientation import (
    TRIANGLE,
    direction_change,
    finite_strain_rotation,
    full_tensors,
    jacobian,
    normalise_tensors,
    principal_direction_rotation,
    reorient_directions,
    resample_tensors,
    rotate_tensors,
)
from msimaging.spatial.transforms import compose, displacement_transform, from_matrix

EVALS = np.array([1.7e-3, 0.5e-3, 0.2e-3])
SHAPE = (9, 8, 7)
AFFINE = np.array([[-2.0, 0, 0, 8], [0, 2.5, 0, -9], [0, 0, 3, -9], [0, 0, 0, 1]])


def random_rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def tensor(evecs):
    return evecs @ np.diag(EVALS) @ evecs.T


def test_a_turned_head_is_pulled_back_with_its_directions(head):
    """The tissue's own frame is the target; the head was scanned turned by 25 degrees."""
    evecs = random_rotation(0)
    target_to_source = head.pose([1, 2, 3], 25, [1, -2, 1])
    scanned = np.broadcast_to(tensor(target_to_source[:3, :3] @ evecs), (*SHAPE, 3, 3))
    moved = resample_tensors(
        scanned,
        AFFINE,
        target_to_source=from_matrix(target_to_source),
        target_shape=SHAPE,
        target_affine=AFFINE,
    )
    np.testing.assert_allclose(moved[4, 4, 3], tensor(evecs), atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(moved[4, 4, 3])[::-1], EVALS, rtol=1e-9)


def test_both_rules_agree_for_rigid_motion(head):
    turn = head.pose([0, 1, 3], 33, [0, 0, 0])[:3, :3]
    evecs = random_rotation(1)
    np.testing.assert_allclose(finite_strain_rotation(turn), turn.T, atol=1e-12)
    by_direction = principal_direction_rotation(evecs, turn)
    np.testing.assert_allclose(by_direction, turn.T, atol=1e-12)


def test_finite_strain_ignores_stretch():
    np.testing.assert_allclose(
        finite_strain_rotation(np.diag([2.0, 0.5, 1.1])), np.eye(3), atol=1e-12
    )


def test_principal_direction_follows_a_shear_and_finite_strain_does_not():
    # forward: x' = x + .5 y; a fibre along y goes to (.5, 1, 0)
    forward = np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    backward = np.linalg.inv(forward)
    evecs = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
    goal = np.array([0.5, 1, 0]) / np.hypot(0.5, 1)
    turn = principal_direction_rotation(evecs, backward)
    np.testing.assert_allclose(turn @ evecs[:, 0], goal, atol=1e-12)
    np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(reorient_directions([0.0, 1, 0], backward), goal, atol=1e-12)
    strain = finite_strain_rotation(backward) @ evecs[:, 0]
    assert np.degrees(np.arccos(strain @ goal)) == pytest.approx(26.565 - 14.036, abs=0.01)


def test_eigenvalues_survive_any_rotation():
    turned = rotate_tensors(tensor(random_rotation(2)), random_rotation(3))
    np.testing.assert_allclose(np.linalg.eigvalsh(turned)[::-1], EVALS, rtol=1e-9)


def test_jacobian_of_an_affine_is_its_matrix(head):
    matrix = head.pose([1, 0, 1], 20, [3, 2, 1])
    matrix[:3, :3] = matrix[:3, :3] @ np.diag([1.2, 0.9, 1.05])
    found = jacobian(from_matrix(matrix), shape=SHAPE, affine=AFFINE)
    np.testing.assert_allclose(found, np.broadcast_to(matrix[:3, :3], (*SHAPE, 3, 3)), atol=1e-9)


def test_jacobian_of_a_field_is_its_derivative():
    points = np.stack(np.indices(SHAPE), -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    slope = np.array([[0.1, 0.02, 0], [-0.03, 0.05, 0.04], [0.01, 0, -0.08]])
    field = displacement_transform(points @ slope.T, AFFINE)
    found = jacobian(compose(field), shape=SHAPE, affine=AFFINE)
    np.testing.assert_allclose(
        found[1:-1, 1:-1, 1:-1], np.broadcast_to(np.eye(3) + slope, (7, 6, 5, 3, 3)), atol=1e-6
    )


def test_smooth_warps_bend_fibres_along(head):
    """Directions tangent to a curve stay tangent to the curve's image."""
    rng = np.random.default_rng(0)
    shape = (16, 15, 14)
    affine = head.centred(shape, (2.0, 2.0, 2.0))
    field = np.stack([gaussian_filter(rng.normal(size=shape), 3) for _ in range(3)], -1)
    field *= 2 / np.abs(field).max()
    local = jacobian(displacement_transform(field, affine), shape=shape, affine=affine)[
        5:10, 5:10, 5:10
    ]
    tangent = np.array([1.0, 0, 0])
    moved = reorient_directions(np.broadcast_to(tangent, (*local.shape[:3], 3)), local)
    # source tangent is J times target tangent
    back = np.einsum("...ij,...j->...i", local, moved)
    back /= np.linalg.norm(back, axis=-1, keepdims=True)
    np.testing.assert_allclose(back, np.broadcast_to(tangent, back.shape), atol=1e-9)
    assert np.degrees(np.arccos(moved[..., 0])).max() > 5


def test_folding_is_named():
    with pytest.raises(ComputationError, match="folds at 1 of 2"):
        finite_strain_rotation([np.eye(3), np.diag([-1.0, 1, 1])])


def test_angles_ignore_sign_and_length():
    first = np.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]])
    tilt = np.radians([0, 30, 50, 10, 0])
    second = np.array(
        [
            [-3, 0, 0],
            [0, -np.cos(tilt[1]), np.sin(tilt[1])],
            [np.sin(tilt[2]), 0, np.cos(tilt[2])],
            [np.sin(tilt[3]), 0, np.cos(tilt[3])],
            [1, 0, 0],
            [0, 1, 0],
        ]
    )
    fa, later = (
        np.array([0.6, 0.5, 0.5, 0.3, np.nan, 0.5]),
        np.array([0.6, 0.5, 0.5, 0.19, 0.5, 0.5]),
    )
    there = direction_change(first, second, baseline_fa=fa, follow_up_fa=later)
    np.testing.assert_allclose(there.angle, [0, 30, 50, 10, np.nan, np.nan], atol=1e-12)
    assert there.unreadable.tolist() == [False, False, True, True, True, True]
    back = direction_change(second, first, baseline_fa=later, follow_up_fa=fa)
    np.testing.assert_array_equal(back.angle, there.angle)
    np.testing.assert_array_equal(back.unreadable, there.unreadable)


def test_directions_on_other_grids_are_refused():
    with pytest.raises(InputError, match="one grid"):
        direction_change(
            np.ones((3, 3)), np.ones((4, 3)), baseline_fa=np.ones(3), follow_up_fa=np.ones(4)
        )


def test_normalised_tensors_are_turned_by_both_rules_inside_the_mask():
    turn = Rotation.from_rotvec([0.3, -0.2, 0.4]).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    shape, affine = (9, 9, 9), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -8
    main = np.array([1.0, 2.0, 2.0]) / 3
    tensor = 1e-3 * (0.4 * np.eye(3) + 1.2 * np.outer(main, main))
    components = np.broadcast_to([tensor[i, j] for i, j in TRIANGLE], (*shape, 6))
    mask = np.zeros(shape, dtype=bool)
    mask[3:6, 3:6, 3:6] = True
    found = normalise_tensors(
        components, affine, target_to_source=from_matrix(matrix), target_affine=affine, mask=mask
    )
    expected = turn.T @ tensor @ turn
    np.testing.assert_allclose(full_tensors(found.components[4, 4, 4]), expected, atol=1e-9)
    assert abs(found.directions[4, 4, 4] @ (turn.T @ main)) == pytest.approx(1, abs=1e-9)
    assert not found.components[~mask].any()
    assert not found.directions[~mask].any()
    assert found.n_folded == 0
    mirror = from_matrix(np.diag([-1.0, 1, 1, 1]))
    folded = normalise_tensors(
        components, affine, target_to_source=mirror, target_affine=affine, mask=mask
    )
    assert folded.n_folded == mask.sum()
    assert not folded.directions.any()
