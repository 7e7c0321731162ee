"""A volume is foretold by the others of its shell, never by itself."""

from __future__ import annotations

import numpy as np

from msimaging.diffusion.prediction import prediction_matrix, shell_labels


def table():
    rng = np.random.default_rng(2)
    bvecs = rng.normal(size=(29, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    bvals = np.r_[0, 5.0, 1000 + np.arange(15.0), 2000 + np.arange(12.0)]
    return bvals, bvecs


def test_shells_are_told_apart():
    bvals = np.array([1005.0, 0, 2000, 990, 45, 1990, 300])
    np.testing.assert_array_equal(shell_labels(bvals), [2, 0, 3, 2, 0, 3, 1])
    np.testing.assert_array_equal(shell_labels(np.zeros(3)), [0, 0, 0])


def test_log_signals_of_a_tensor_are_predicted_exactly():
    bvals, bvecs = table()
    tensor = np.array([[1.5, 0.2, 0.1], [0.2, 0.6, 0.0], [0.1, 0.0, 0.4]]) * 1e-3
    b = np.r_[0, 0, np.full(15, 1000.0), np.full(12, 2000.0)]
    logs = 6.0 - b * np.einsum("ni,ij,nj->n", bvecs, tensor, bvecs)
    matrix = prediction_matrix(bvals, bvecs)
    np.testing.assert_allclose(matrix @ logs, logs, atol=1e-10)
    np.testing.assert_array_equal(np.diag(matrix), 0)


def test_prediction_equals_a_fit_without_the_volume():
    bvals, bvecs = table()
    logs = np.random.default_rng(0).normal(size=29)
    n = 7
    x, y, z = bvecs.T
    design = np.stack([x * x, y * y, z * z, x * y, x * z, y * z], 1)
    others = np.setdiff1d(np.arange(2, 17), [n])
    refit = design[n] @ np.linalg.lstsq(design[others], logs[others])[0]
    np.testing.assert_allclose(prediction_matrix(bvals, bvecs)[n] @ logs, refit)


def test_unusable_volumes_predict_nothing():
    bvals, bvecs = table()
    usable = np.ones(29, dtype=bool)
    usable[[0, 5]] = False
    matrix = prediction_matrix(bvals, bvecs, usable=usable)
    off_diagonal = matrix - np.diag(np.diag(matrix))
    assert (off_diagonal[:, [0, 5]] == 0).all()
    assert np.abs(matrix[5]).sum() > 0
    assert matrix[1, 1] == 1  # the only usable b=0 can but predict itself
