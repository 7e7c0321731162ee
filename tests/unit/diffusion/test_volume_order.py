"""Vectors and volumes on simulated tensors."""

import numpy as np
import pytest

from msimaging.diffusion.gradients import check_gradients, gradient_table
from msimaging.diffusion.volume_order import volumes_finding, volumes_match_vectors

MASK = np.ones((10, 10, 10), dtype=bool)


def scan(bvals, seed=0, snr=25):
    """Sticks in random directions with noise, and their table."""
    rng = np.random.default_rng(seed)
    bvecs = rng.normal(size=(len(bvals), 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    axes = rng.normal(size=(*MASK.shape, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    diffusivity = 0.4e-3 + 1.0e-3 * (axes @ bvecs.T) ** 2
    signal = 1000 * np.exp(-bvals * diffusivity)
    return np.abs(signal + rng.normal(scale=1000 / snr, size=signal.shape)), bvecs


ONE_SHELL = np.r_[0.0, np.full(12, 1000.0)]
TWO_SHELLS = np.r_[0.0, np.tile([1000.0, 2000.0], 8), 0.0]


@pytest.mark.parametrize("bvals", [ONE_SHELL, TWO_SHELLS])
def test_right_order_passes_and_shuffles_fail(bvals):
    data, bvecs = scan(bvals)
    check = volumes_match_vectors(data, gradient_table(bvals, bvecs), MASK)
    assert check.is_testable
    assert check.is_consistent
    assert volumes_finding(check) is None
    shuffled = bvecs.copy()
    shuffled[1:13] = np.roll(bvecs[1:13], 1, axis=0)
    check = volumes_match_vectors(data, gradient_table(bvals, shuffled), MASK)
    assert not check.is_consistent
    assert volumes_finding(check).severity == "error"


def test_one_exchange_is_named():
    data, bvecs = scan(TWO_SHELLS)
    bvecs[[3, 12]] = bvecs[[12, 3]]
    check = volumes_match_vectors(data, gradient_table(TWO_SHELLS, bvecs), MASK)
    assert not check.is_consistent
    assert set(check.swap) == {3, 12}
    assert "volumes 3 and 12" in volumes_finding(check).found or check.best_random > check.explained


def test_signs_of_vectors_do_not_matter():
    data, bvecs = scan(ONE_SHELL)
    flipped = bvecs * np.where(np.arange(13) % 2, -1, 1)[:, None]
    first, second = (
        volumes_match_vectors(data, gradient_table(ONE_SHELL, table), MASK)
        for table in (bvecs, flipped)
    )
    assert first.explained == pytest.approx(second.explained, rel=1e-12)


@pytest.mark.parametrize("count", [6, 7])
def test_too_few_directions_are_not_judged(count):
    bvals = np.r_[0.0, np.full(count, 1000.0)]
    data, bvecs = scan(bvals)
    check = volumes_match_vectors(data, gradient_table(bvals, bvecs), MASK)
    assert not check.is_testable
    assert check.is_consistent
    assert np.isnan(check.explained)


def test_the_gate_reports_shuffled_vectors():
    data, bvecs = scan(ONE_SHELL)
    bvecs[1:] = np.roll(bvecs[1:], 5, axis=0)
    findings = check_gradients(data, ONE_SHELL, bvecs.T, np.diag([-2.0, 2, 2, 1]), MASK)
    assert "each b-vector belongs to its volume" in [finding.rule for finding in findings]
