"""Coherence of single shells: a planted bundle, one shell of which is spoilt."""

import numpy as np
import pytest

from msimaging.diffusion.coherence import shell_coherence
from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.orientation import check_orientation, fibre_coherence
from msimaging.diffusion.tensor import fit_tensor
from msimaging.phantom.diffusion import simulate_dwi


@pytest.fixture(scope="module")
def head():
    return simulate_dwi(voxel_size=5.0, n_b0=2, n_directions=20, snr=None, seed=1)


def test_the_score_is_that_of_the_orientation_test_for_the_given_table(head):
    gtab = gradient_table(head.bvals, head.bvecs_ras)
    fit = fit_tensor(head.data, gtab, head.mask)
    score = fibre_coherence(fit, head.affine, head.mask)
    check = check_orientation(fit, head.affine, head.mask)
    assert score == pytest.approx(check.scores[0])
    assert score > 1.01 * np.delete(check.scores, 0).max()
    assert np.isnan(fibre_coherence(fit, head.affine, np.zeros_like(head.mask)))


def test_only_the_spoilt_shell_loses_coherence(head):
    weighted = head.bvals > 0
    # a second shell of the same head: ln S scales with b
    b0 = head.data[..., ~weighted].mean(axis=-1, keepdims=True)
    second = head.data[..., weighted] ** 2 / np.maximum(b0, 1e-6)
    bval = head.bvals[weighted][0]
    gtab = gradient_table(
        np.r_[head.bvals, np.full(weighted.sum(), 2 * bval)],
        np.vstack([head.bvecs_ras, head.bvecs_ras[weighted]]),
    )
    good = shell_coherence(
        np.concatenate([head.data, second], axis=-1), gtab, head.affine, head.mask
    )
    low, high = sorted(good)
    assert (low, high) == (bval, 2 * bval)
    assert good[high] == pytest.approx(good[low], rel=0.02)
    noise = np.random.default_rng(0).normal(scale=0.3 * b0[head.mask].mean(), size=second.shape)
    spoilt = shell_coherence(
        np.concatenate([head.data, np.abs(second + noise)], axis=-1),
        gtab,
        head.affine,
        head.mask,
    )
    assert spoilt[low] == good[low]
    assert spoilt[high] < 0.7 * good[high]


def test_a_shell_without_six_directions_gives_nan(head):
    few = np.r_[np.flatnonzero(head.bvals == 0), np.flatnonzero(head.bvals)[:5]]
    gtab = gradient_table(head.bvals[few], head.bvecs_ras[few])
    (value,) = shell_coherence(head.data[..., few], gtab, head.affine, head.mask).values()
    assert np.isnan(value)
