"""Means of edges within and between networks: their values and how wide their errors are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.networks import network_z, no_network_z
from msimaging.functional.uncertainty import fisher_z_variance, xdf_variance

NETWORKS = ["a"] * 8 + ["b"] * 8 + ["c"] * 8
WITHIN = {"a": 0.5, "b": 0.35, "c": 0.2}


def _autoregressive(rng, n_volumes, n_series, phi=0.4):
    return lfilter([1], [1, -phi], rng.normal(size=(n_volumes + 50, n_series)), axis=0)[50:]


def _run(seed, n_volumes=150):
    """Three coupled networks under a signal common to all."""
    rng = np.random.default_rng(seed)
    shared = _autoregressive(rng, n_volumes, 3)
    own = _autoregressive(rng, n_volumes, len(NETWORKS))
    everywhere = _autoregressive(rng, n_volumes, 1)
    share = np.array([WITHIN[name] for name in NETWORKS])
    common = shared[:, ["abc".index(name) for name in NETWORKS]]
    return np.sqrt(share) * common + np.sqrt(1 - share) * own + 0.3 * everywhere


def test_means_are_those_of_the_edges_and_keep_the_order_of_the_networks():
    series = _run(0)
    series[:, 3] = np.nan
    means = network_z(series, [*NETWORKS[:-1], None])
    assert means.pairs == (("a", "a"), ("a", "b"), ("a", "c"), ("b", "b"), ("b", "c"), ("c", "c"))
    assert means.n_edges.tolist() == [21, 56, 49, 28, 56, 21]
    z = np.arctanh(np.corrcoef(series[:, :8].T)[np.triu_indices(8, 1)])
    assert means.estimate[0] == pytest.approx(np.nanmean(z))


def test_the_error_of_a_mean_of_one_edge_is_that_of_xdf():
    series = _run(1)[:, :2]
    kept = np.delete(np.arange(150), [4, 5, 60])
    means = network_z(series[kept], ["a", "b"], variance_inflation=1.3, sample_mask=kept)
    variance = xdf_variance(series[kept], variance_inflation=1.3, sample_mask=kept)[0, 1]
    r = np.corrcoef(series[kept].T)[0, 1]
    expected = np.sqrt(fisher_z_variance(variance, r))
    assert means.standard_error[1] == pytest.approx(expected, rel=1e-10)
    assert np.isnan(means.standard_error[[0, 2]]).all()  # a parcel alone has no edge


def test_a_run_of_which_nothing_is_left_has_the_same_rows():
    nothing = no_network_z(NETWORKS)
    assert nothing.pairs == network_z(_run(2), NETWORKS).pairs
    assert np.isnan(nothing.estimate).all()
    assert nothing.n_edges.sum() == 0


def test_unchanged_networks_are_rarely_called_changed(capsys):
    """Short runs (150 volumes), 26 regressors and a high-pass filter, as in the pipeline."""
    values, variances = [], []
    for seed in range(320):
        rng = np.random.default_rng([seed, 1])
        walk = np.cumsum(rng.normal(size=(150, 6)), axis=0)
        nuisance = np.column_stack([walk, walk**2, rng.normal(size=(150, 14))])
        cleaned = clean_time_series(
            _run(seed), t_r=2.0, high_pass=0.008, low_pass=None, confounds=nuisance
        )
        means = network_z(
            cleaned.time_series, NETWORKS, variance_inflation=cleaned.variance_inflation
        )
        values.append(means.estimate)
        variances.append(means.standard_error**2)
    z, variance = np.array(values), np.array(variances)
    change = z[1::2] - z[::2]
    rejected = np.abs(change) > norm.ppf(0.975) * np.sqrt(variance[1::2] + variance[::2])
    with capsys.disabled():
        print(f"\nnull changes of network means called detectable: {rejected.mean():.1%}")
    assert 0.03 < rejected.mean() < 0.08
    assert rejected.mean(axis=0).max() < 0.12
