from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from msimaging.errors import InputError
from msimaging.spatial.transforms import (
    compose,
    displacement_transform,
    from_matrix,
    to_matrix,
    transform_points,
)

POINTS = np.array([[1.0, -20.0, 7.0], [30.0, 4.0, -11.0]])


def affine(seed):
    matrix = np.eye(4)
    matrix[:3] += np.random.default_rng(seed).normal(0, 0.2, (3, 4))
    matrix[:3, 3] *= 40
    return matrix


def applied(matrix, points):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def test_a_matrix_moves_ras_points_as_written():
    matrix = affine(0)
    moved = transform_points(from_matrix(matrix), POINTS)
    np.testing.assert_allclose(moved, applied(matrix, POINTS), atol=1e-12)


def test_matrix_there_and_back():
    np.testing.assert_allclose(to_matrix(from_matrix(affine(1))), affine(1), atol=1e-12)


def test_compose_reads_in_the_order_of_travel():
    a_to_b, b_to_c = affine(2), affine(3)
    chain = compose(a_to_b, from_matrix(b_to_c))
    np.testing.assert_allclose(to_matrix(chain), b_to_c @ a_to_b, atol=1e-12)
    assert np.abs(to_matrix(chain) - a_to_b @ b_to_c).max() > 0.1


def test_nested_compositions_are_flattened_in_order():
    one, two, three = (affine(seed) for seed in range(3))
    chain = compose(compose(one, two), three)
    assert chain.GetNumberOfTransforms() == 3
    np.testing.assert_allclose(to_matrix(chain), three @ two @ one, atol=1e-12)


def test_composition_of_nothing_is_the_identity():
    np.testing.assert_array_equal(transform_points(compose(), POINTS), POINTS)


def test_displacements_are_ras_millimetres_at_voxel_centres():
    grid = np.array([[-2.0, 0, 0, 20], [0, 3, 0, -10], [0, 0, 4, -8], [0, 0, 0, 1]])
    rng = np.random.default_rng(0)
    field = rng.normal(0, 1, (6, 5, 4, 3))
    voxels = np.array([[1, 2, 3], [4, 0, 1]])
    centres = applied(grid, voxels)
    moved = transform_points(displacement_transform(field, grid), centres)
    np.testing.assert_allclose(moved, centres + field[tuple(voxels.T)], atol=1e-9)


def test_outside_its_grid_a_field_moves_nothing():
    field = np.ones((4, 4, 4, 3))
    far = np.array([[50.0, 50, 50]])
    np.testing.assert_array_equal(
        transform_points(displacement_transform(field, np.eye(4)), far), far
    )


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.zeros((4, 4)),
        np.full((4, 4), np.nan),
        np.diag([1.0, 1, 1, 2]),
        np.diag([1.0, 0, 1, 1]),
    ],
)
def test_matrices_that_are_no_affines_are_refused(matrix):
    with pytest.raises(InputError, match="4 x 4"):
        from_matrix(matrix)


def test_a_field_has_no_matrix():
    with pytest.raises(InputError, match="linear"):
        to_matrix(displacement_transform(np.zeros((3, 3, 3, 3)), np.eye(4)))


def test_a_field_with_holes_is_refused():
    field = np.zeros((3, 3, 3, 3))
    field[1, 1, 1, 0] = np.nan
    with pytest.raises(InputError, match="1 values not finite"):
        displacement_transform(field, np.eye(4))


def test_transforms_survive_a_file(tmp_path):
    field = np.random.default_rng(1).normal(0, 1, (5, 5, 5, 3))
    chain = compose(displacement_transform(field, np.eye(4)), affine(4))
    sitk.WriteTransform(chain, str(tmp_path / "a.h5"))
    again = compose(sitk.ReadTransform(str(tmp_path / "a.h5")))
    inside = np.array([[1.2, 2.5, 3.1]])
    np.testing.assert_allclose(
        transform_points(again, inside), transform_points(chain, inside), atol=1e-9
    )
