"""Directions between file axes and scanner axes."""

import numpy as np

from msimaging.diffusion.frames import bvecs_fsl_to_ras, bvecs_ras_to_fsl


def test_fsl_frame_flips_x_only_for_positive_determinant():
    bvecs = np.array([[1.0, 0, 0], [0, 1, 0], [0.6, 0, 0.8]])
    ras = bvecs_fsl_to_ras(bvecs, np.diag([2.0, 3.0, 4.0, 1.0]))
    np.testing.assert_allclose(ras, [[-1, 0, 0], [0, 1, 0], [-0.6, 0, 0.8]], atol=1e-12)
    # two reversed axes leave the determinant positive, one does not
    ras = bvecs_fsl_to_ras(bvecs, np.diag([2.0, -3.0, -4.0, 1.0]))
    np.testing.assert_allclose(ras, [[-1, 0, 0], [0, -1, 0], [-0.6, 0, -0.8]], atol=1e-12)
    ras = bvecs_fsl_to_ras(bvecs, np.diag([2.0, 3.0, -4.0, 1.0]))
    np.testing.assert_allclose(ras, [[1, 0, 0], [0, 1, 0], [0.6, 0, -0.8]], atol=1e-12)


def test_fsl_frame_follows_an_oblique_permuted_affine_and_back():
    angle = np.deg2rad(20)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    # image x runs along -y, y along z, z along x before the turn: determinant negative
    affine[:3, :3] = turn @ np.array([[0, 0, 2.0], [-2, 0, 0], [0, 3, 0]])
    assert np.linalg.det(affine) < 0
    bvecs = np.array([[0.0, 0, 1], [0.36, 0.48, 0.8]])
    ras = bvecs_fsl_to_ras(bvecs, affine)
    np.testing.assert_allclose(ras[0], [np.cos(angle), np.sin(angle), 0], atol=1e-12)
    np.testing.assert_allclose(bvecs_ras_to_fsl(ras, affine), bvecs, atol=1e-12)


def test_rounded_header_still_gives_orthogonal_directions():
    affine = np.array([[-2.77, 0, 1.14, 0], [-0.39, 2.82, -0.94, 0], [1.07, 1.02, 2.61, 0]])
    ras = bvecs_fsl_to_ras(np.eye(3), affine)
    np.testing.assert_allclose(ras @ ras.T, np.eye(3), atol=1e-12)
