"""Batched linear algebra against LAPACK."""

import numpy as np

from msimaging.diffusion.least_squares import eigen_decomposition, log_linear_fit, symmetric_evals


def test_eigen_decomposition_equals_lapack_also_where_values_coincide():
    rng = np.random.default_rng(2)
    tensors = rng.normal(size=(500, 3, 3))
    tensors = tensors + tensors.transpose(0, 2, 1)
    tensors[:3] = np.eye(3) * 0.7, np.zeros((3, 3)), np.diag([1.0, 3.0, 3.0])
    tensors[3] = 2 * np.eye(3) + 1e-12 * tensors[3]
    lower = tensors[:, (0, 1, 1, 2, 2, 2), (0, 0, 1, 0, 1, 2)].T
    evals, evecs = eigen_decomposition(lower)
    np.testing.assert_allclose(evals, np.linalg.eigvalsh(tensors)[:, ::-1], atol=1e-13)
    rebuilt = np.einsum("vij,vj,vkj->vik", evecs, evals, evecs)
    np.testing.assert_allclose(rebuilt, tensors, atol=1e-13)
    np.testing.assert_allclose(
        evecs.transpose(0, 2, 1) @ evecs, np.broadcast_to(np.eye(3), evecs.shape), atol=1e-13
    )


def test_log_linear_fit_equals_weighted_lstsq():
    rng = np.random.default_rng(9)
    design = np.concatenate([rng.normal(size=(20, 6)), np.ones((20, 1))], axis=1)
    log_signal = rng.normal(size=(4, 20))
    trust = rng.uniform(0.1, 1, (4, 20))
    ours, _ = log_linear_fit(design, log_signal, reweightings=1, weights=trust)
    for voxel in range(4):
        root = np.sqrt(trust[voxel])
        first = np.linalg.lstsq(design * root[:, None], root * log_signal[voxel])[0]
        root = root * np.exp(design @ first)
        second = np.linalg.lstsq(design * root[:, None], root * log_signal[voxel])[0]
        np.testing.assert_allclose(ours[:, voxel], second, rtol=1e-9)


def test_closed_form_eigenvalues_equal_lapack():
    rng = np.random.default_rng(4)
    tensors = 1e-3 * rng.normal(size=(300, 3, 3))
    tensors = tensors + tensors.transpose(0, 2, 1)
    tensors[:3] = np.eye(3) * 0.7e-3, np.zeros((3, 3)), np.diag([1e-3, 3e-3, 3e-3])
    lower = tensors[:, (0, 1, 1, 2, 2, 2), (0, 0, 1, 0, 1, 2)].T
    expected = np.linalg.eigvalsh(tensors)[:, ::-1]
    np.testing.assert_allclose(symmetric_evals(lower), expected, atol=1e-10)
