"""Planted truth: do the limits cover, and do the two questions get their own answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from msimaging.functional.uncertainty import xdf_variance
from msimaging.longitudinal.change import connectivity_change, visit_change
from msimaging.longitudinal.reliability import is_reliable, smallest_detectable_change
from msimaging.longitudinal.repeats import within_subject

N_PAIRS = 500


def design(rng, n_directions=30, b=1000.0):
    """Log-signal design of a tensor fit: Dxx Dyy Dzz Dxy Dxz Dyz, log S0."""
    g = rng.normal(size=(n_directions, 3))
    g /= np.linalg.norm(g, axis=1, keepdims=True)
    g = np.vstack([np.zeros((3, 3)), g])
    cross = [g[:, i] * g[:, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    weights = -b * np.array([1, 1, 1, 2, 2, 2])
    return np.column_stack([np.stack(cross, -1) * weights, np.ones(len(g))])


def scalars(coefficients):
    """FA and RD of tensor coefficients (..., 7)."""
    order = [[0, 3, 4], [3, 1, 5], [4, 5, 2]]
    evals = np.linalg.eigvalsh(coefficients[..., order])
    mean = evals.mean(-1, keepdims=True)
    fa = np.sqrt(1.5 * ((evals - mean) ** 2).sum(-1) / (evals**2).sum(-1))
    return np.stack([fa, evals[..., :2].mean(-1)], axis=-1)


def scanned_region(rng, X, evals, *, n_voxels, snr, n_boot):
    """Mean FA and RD of a region in one noisy scan, and their wild-bootstrap standard errors."""
    truth = np.zeros(7)
    truth[:3], truth[6] = evals, np.log(100)
    clean = np.exp(X @ truth)
    noise = rng.normal(0, 100 / snr, (2, n_voxels, len(X)))
    signal = np.log(np.hypot(clean + noise[0], noise[1]))
    fit = np.linalg.pinv(X)
    coefficients = signal @ fit.T
    predicted = coefficients @ X.T
    leverage = np.einsum("ij,ji->i", X, fit)
    residuals = (signal - predicted) / np.sqrt(1 - leverage)
    flips = rng.choice([-1.0, 1.0], (n_boot, *signal.shape))
    redone = scalars((predicted + flips * residuals) @ fit.T).mean(axis=1)
    return scalars(coefficients).mean(axis=0), redone.std(axis=0, ddof=1)


def simulate_regions(*, rd_change=0.0, n_pairs=N_PAIRS, seed=0, n_voxels=25, snr=25.0):
    """Changes of FA and RD of one region in many pairs of scans, and the planted change."""
    rng = np.random.default_rng(seed)
    X = design(rng)
    before = np.array([1.5e-3, 0.45e-3, 0.35e-3])
    after = before * [1, 1 + rd_change, 1 + rd_change]
    settings = {"n_voxels": n_voxels, "snr": snr, "n_boot": 80}
    first = [scanned_region(rng, X, before, **settings) for _ in range(n_pairs)]
    second = [scanned_region(rng, X, after, **settings) for _ in range(n_pairs)]
    values = [np.array([scan[0] for scan in visit]) for visit in (first, second)]
    errors = [np.array([scan[1] for scan in visit]) for visit in (first, second)]
    change = visit_change(*values, baseline_se=errors[0], follow_up_se=errors[1])
    truth = [scalars(np.r_[evals, 0, 0, 0, 0]) for evals in (before, after)]
    return change, truth[1] - truth[0]


def correlated_series(rng, r, *, n_volumes=200, phi=0.5):
    """Pairs of AR(1) series with correlation ``r`` (E,), (E, T, 2)."""
    white = rng.normal(size=(len(r), n_volumes + 50, 2))
    white[..., 1] = r[:, None] * white[..., 0] + np.sqrt(1 - r[:, None] ** 2) * white[..., 1]
    out = np.zeros_like(white)
    for volume in range(1, white.shape[1]):
        out[:, volume] = phi * out[:, volume - 1] + white[:, volume]
    return out[:, 50:]


def session(rng, z, between_sd):
    """One scan of unchanged edges: Pearson r and xDF variance."""
    series = correlated_series(rng, np.tanh(z + rng.normal(0, between_sd, len(z))))
    r = np.array([np.corrcoef(pair.T)[0, 1] for pair in series])
    return r, np.array([xdf_variance(pair)[0, 1] for pair in series])


def simulate_edges(*, between_sd, n_pairs=N_PAIRS, seed=0, n_controls=20):
    """Unchanged edges scanned twice; each with its own twenty healthy people scanned twice."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.0, 0.6, n_pairs)
    (r1, v1), (r2, v2) = (session(rng, z, between_sd) for _ in range(2))
    change = connectivity_change(r1, r2, baseline_var_r=v1, follow_up_var_r=v2)
    people = z + rng.normal(0, 0.2, (n_controls, n_pairs))
    repeats = np.stack(
        [[plain_z(rng, person, between_sd) for person in people] for _ in range(2)], axis=-1
    )
    scatter = [within_subject(repeats[:, edge]) for edge in range(n_pairs)]
    sdc = np.array([float(smallest_detectable_change(s.sd, df=s.df)) for s in scatter])
    return change, is_reliable(change, sdc)


def plain_z(rng, z, between_sd):
    series = correlated_series(rng, np.tanh(z + rng.normal(0, between_sd, len(z))))
    centred = series - series.mean(axis=1, keepdims=True)
    products = (centred[..., 0] * centred[..., 1]).sum(axis=1)
    return np.arctanh(products / np.sqrt((centred**2).sum(axis=1).prod(axis=-1)))


def coverage(change, truth):
    return np.mean((change.ci_low <= truth) & (truth <= change.ci_high), axis=0)


@pytest.mark.parametrize("planted", [0.0, 0.10])
def test_limits_of_regions_cover_and_rd_is_not_biased(planted):
    change, truth = simulate_regions(rd_change=planted)
    covered = coverage(change, truth)
    error = change.percent_change[:, 1].mean() - 100 * planted / (1 + planted / 2)
    print(
        f"planted RD {planted:+.0%}: coverage FA {covered[0]:.3f} RD {covered[1]:.3f}, "
        f"bias of RD change {error:+.3f} percentage points"
    )
    assert (covered > 0.93).all()
    assert (covered < 0.97).all()
    assert abs(error) < 0.3


def test_limits_of_edges_cover():
    change, _ = simulate_edges(between_sd=0.0, n_controls=2)
    covered = coverage(change, 0.0)
    print(f"coverage of edges {covered:.3f}")
    assert 0.93 < covered < 0.97


def test_scan_noise_and_rescan_noise_are_two_questions():
    change, reliable = simulate_edges(between_sd=0.1, seed=1)
    shares = change.detectable.mean(), reliable.mean()
    print("unchanged edges: detectable {:.3f}, reliable {:.3f}".format(*shares))
    assert 0.14 < shares[0] < 0.26
    assert 0.03 < shares[1] <= 0.07


def simulate_detection(effect_percent, *, cov_percent=2.4, n_regions=4000, n_controls=20, seed=0):
    """Share of regions called reliable when each has its own rescans of healthy people."""
    rng = np.random.default_rng(seed)
    sd = cov_percent / 100
    repeats = rng.normal(1.0, sd, (n_regions, n_controls, 2))
    within = np.sqrt((np.diff(repeats)[..., 0] ** 2).mean(axis=1) / 2)
    sdc = smallest_detectable_change(within, df=n_controls)
    change = visit_change(
        rng.normal(1, sd, n_regions), rng.normal(1 + effect_percent / 100, sd, n_regions)
    )
    return is_reliable(change, sdc).mean()


def test_detection_rises_with_the_effect_from_five_per_cent():
    effects = np.array([0, 2.5, 5, 7.5, 10, 15])
    rates = np.array([simulate_detection(effect) for effect in effects])
    pairs = zip(effects, rates, strict=True)
    print("reliable by planted change: " + ", ".join(f"{e:g} %: {rate:.3f}" for e, rate in pairs))
    # The change over its estimated scatter follows Student's noncentral t.
    shift, line = effects / (2.4 * np.sqrt(2)), stats.t.ppf(0.975, 20)
    expected = stats.nct.sf(line, 20, shift) + stats.nct.cdf(-line, 20, shift)
    np.testing.assert_allclose(rates, expected, atol=0.02)
    assert abs(rates[0] - 0.05) < 0.015
