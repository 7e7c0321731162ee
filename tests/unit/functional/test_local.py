from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.functional.local import (
    low_frequency_amplitude,
    regional_homogeneity,
    seed_correlations,
)


def test_amplitude_of_planted_cosines():
    time = np.arange(200) * 2.0
    slow, fast = np.cos(2 * np.pi * 0.05 * time), np.cos(2 * np.pi * 0.2 * time)
    result = low_frequency_amplitude(np.column_stack([3 * slow + fast, 7 * fast + 90]), t_r=2.0)
    np.testing.assert_allclose(result.alff, [3, 0], atol=1e-9)
    np.testing.assert_allclose(result.falff, [0.75, 0], atol=1e-9)
    with pytest.raises(InputError, match="4 volumes at 2 s"):
        low_frequency_amplitude(np.ones((4, 1)), t_r=2.0)


def test_homogeneity_of_equal_and_independent_neighbours():
    rng = np.random.default_rng(0)
    bold = rng.normal(size=(9, 7, 6, 80))
    bold[:4] = np.exp(rng.normal(size=80)) * 5
    mask = np.ones((9, 7, 6), dtype=bool)
    w = regional_homogeneity(bold, mask=mask)
    np.testing.assert_allclose(w[1:3, 1:-1, 1:-1], 1, atol=1e-5)
    assert np.nanmean(w[5:8, 1:-1, 1:-1]) == pytest.approx(1 / 27, rel=0.1)
    assert np.isnan(w[0, 0, 0])


def test_kendalls_w_by_hand():
    ranks = np.array([[1.0, 2, 3, 4], [2, 1, 3, 4], [1, 3, 2, 4]])
    bold = ranks.reshape(3, 1, 1, 4) * 10
    w = regional_homogeneity(bold, mask=np.ones((3, 1, 1), dtype=bool), min_neighbours=3)
    total = ranks.sum(axis=0)
    assert w[1, 0, 0] == pytest.approx(12 * ((total - 7.5) ** 2).sum() / (9 * 60))
    assert np.isnan(w[0, 0, 0])


def test_seed_correlations_equal_numpy():
    rng = np.random.default_rng(1)
    voxels, seed = rng.normal(5, 2, size=(50, 4)), rng.normal(size=50)
    voxels[:, 2] = 3
    r = seed_correlations(voxels, seed=seed)
    assert r[1] == pytest.approx(np.corrcoef(seed, voxels[:, 1])[0, 1])
    assert np.isnan(r[2])
