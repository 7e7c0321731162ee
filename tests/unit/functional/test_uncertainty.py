from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from msimaging.errors import InputError
from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.uncertainty import (
    block_bootstrap_variance,
    effective_degrees_of_freedom,
    fisher_z_variance,
    xdf_variance,
)


def _autoregressive(rng, phi, n_volumes, n_series, mixing=None):
    noise = rng.normal(size=(n_volumes + 100, n_series))
    noise = noise if mixing is None else noise @ mixing
    return lfilter([1], [1, -phi], noise, axis=0)[100:]


def test_null_calibration_in_blocks_of_500_autocorrelated_pairs(capsys):
    rejected = []
    for seed in range(2019, 2024):
        rng = np.random.default_rng(seed)
        pairs = [_autoregressive(rng, 0.5, 200, 2) for _ in range(500)]
        r = np.array([np.corrcoef(pair.T)[0, 1] for pair in pairs])
        variance = np.array([xdf_variance(pair)[0, 1] for pair in pairs])
        z = np.abs(np.arctanh(r))
        corrected = z / np.sqrt(fisher_z_variance(variance, r)) > norm.ppf(0.975)
        naive = z * np.sqrt(197) > norm.ppf(0.975)
        rejected.append((100 * corrected.mean(), 100 * naive.mean()))
    with capsys.disabled():
        for corrected, naive in rejected:
            print(
                f"\nrejected of 500 null pairs: xDF {corrected:.1f} %, naive {naive:.1f} %", end=""
            )
    assert all(3 <= corrected <= 8 for corrected, _ in rejected)
    assert 10 < np.mean([naive for _, naive in rejected]) < 16


def test_formula_term_by_term():
    rng = np.random.default_rng(4)
    series = _autoregressive(rng, 0.6, 50, 2, np.array([[1, 0.5], [0, 1.0]]))
    x, y = ((series - series.mean(0)) / series.std(0)).T
    n, lags = 50, round(2 * np.sqrt(50))
    r = x @ y / n
    total = n * (1 - r**2) ** 2
    for k in range(1, lags):
        taper = (1 + np.cos(np.pi * k / lags)) / 2
        xx, yy = (taper * (s[:-k] @ s[k:]) / n for s in (x, y))
        forward, backward = taper * (x[:-k] @ y[k:]) / n, taper * (y[:-k] @ x[k:]) / n
        total += (n - k) * (
            r**2 * (xx**2 + yy**2 + forward**2 + backward**2)
            - 2 * r * (xx + yy) * (forward + backward)
            + 2 * (xx * yy + forward * backward)
        )
    variance = xdf_variance(series)
    assert variance[0, 1] == pytest.approx(max(total, n * (1 - r**2) ** 2) / n**2, rel=1e-9)
    assert variance[0, 1] == variance[1, 0]
    assert np.isnan(variance[0, 0])


def test_variance_is_that_of_repeated_experiments():
    rng = np.random.default_rng(5)
    mixing = np.array([[1, 0.4, 0], [0, 1, 0.7], [0, 0, 1.0]])
    runs = [_autoregressive(rng, 0.6, 300, 3, mixing) for _ in range(400)]
    observed = np.var([np.corrcoef(run.T) for run in runs], axis=0)
    predicted = np.mean([xdf_variance(run) for run in runs], axis=0)
    rows = np.triu_indices(3, 1)
    np.testing.assert_allclose(predicted[rows] / observed[rows], 1, atol=0.2)
    bootstrapped = np.mean(
        [block_bootstrap_variance(run, seed=1, n_resamples=100) for run in runs[:60]], axis=0
    )
    np.testing.assert_allclose(bootstrapped[rows] / observed[rows], 1, atol=0.3)


def test_white_series_have_the_floor_and_full_degrees():
    series = np.random.default_rng(6).normal(size=(400, 8))
    variance, r = xdf_variance(series), np.corrcoef(series.T)
    rows = np.triu_indices(8, 1)
    assert (variance[rows] >= (1 - r[rows] ** 2) ** 2 / 400 - 1e-15).all()
    assert 300 < np.median(effective_degrees_of_freedom(variance, r)[rows]) <= 400


@pytest.mark.parametrize(
    ("n_confounds", "low_pass", "censored"), [(36, None, 0.2), (24, 0.1, 0), (60, None, 0)]
)
def test_null_calibration_after_cleaning(n_confounds, low_pass, censored):
    rng = np.random.default_rng(n_confounds)
    edges = np.triu_indices(20, 1)
    corrected, plain = [], []
    for _ in range(12):
        series = _autoregressive(rng, 0.5, 200, 20)
        cleaned = clean_time_series(
            series,
            t_r=2.0,
            high_pass=0.01,
            low_pass=low_pass,
            confounds=_autoregressive(rng, 0.5, 200, n_confounds),
            sample_mask=np.sort(rng.choice(200, round(200 * (1 - censored)), replace=False)),
        )
        r = np.corrcoef(cleaned.time_series.T)
        variance = xdf_variance(cleaned.time_series, sample_mask=cleaned.sample_mask)
        z = np.abs(np.arctanh(r[edges])) / np.sqrt(fisher_z_variance(variance, r)[edges])
        plain.append(np.mean(z > norm.ppf(0.975)))
        corrected.append(np.mean(z / np.sqrt(cleaned.variance_inflation) > norm.ppf(0.975)))
    assert 0.03 <= np.mean(corrected) <= 0.08
    assert np.mean(plain) > 0.1


def test_regressors_and_gaps():
    rng = np.random.default_rng(7)
    run = _autoregressive(rng, 0.7, 400, 2, np.array([[1, 0.5], [0, 1.0]]))
    np.testing.assert_allclose(
        xdf_variance(run, n_regressors=40), xdf_variance(run) * 400 / 360, rtol=1e-12
    )
    np.testing.assert_allclose(
        xdf_variance(run, variance_inflation=1.5), xdf_variance(run) * 1.5, rtol=1e-12
    )
    mask = np.sort(rng.choice(400, size=200, replace=False))
    right = xdf_variance(run[mask], sample_mask=mask)[0, 1]
    wrong = xdf_variance(run[mask])[0, 1]
    full = xdf_variance(run)[0, 1]
    # every second volume gone: the rest is less correlated than neighbours in the file seem
    assert right > full
    assert right != pytest.approx(wrong, rel=0.02)
    np.testing.assert_allclose(
        xdf_variance(run, sample_mask=np.arange(400) + 9), xdf_variance(run), rtol=1e-12
    )


def test_uncovered_parcels_stay_nan_and_seeds_repeat():
    series = np.random.default_rng(8).normal(size=(60, 4))
    holes = np.insert(series, 2, np.nan, axis=1)
    kept = [0, 1, 3, 4]
    np.testing.assert_array_equal(xdf_variance(holes)[np.ix_(kept, kept)], xdf_variance(series))
    first = block_bootstrap_variance(holes, seed=3, n_resamples=20)
    assert np.isnan(first[2]).all()
    np.testing.assert_array_equal(first, block_bootstrap_variance(holes, seed=3, n_resamples=20))
    assert not np.array_equal(
        first[0, 1], block_bootstrap_variance(holes, seed=4, n_resamples=20)[0, 1]
    )


def test_more_regressors_than_volumes_is_refused():
    with pytest.raises(InputError, match="60 regressors for 60 volumes"):
        xdf_variance(np.random.default_rng(9).normal(size=(60, 3)), n_regressors=60)
