"""Strength of parcels: their values, their errors by brute force, and how often they are right."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

from msimaging.functional.strength import no_parcel_strengths, parcel_strengths
from msimaging.functional.uncertainty import (
    fisher_z_variance,
    quadratic_form_variances,
    xdf_variance,
)

#: Share of its variance that each parcel has from one signal, at both visits.
COUPLED, RECOUPLED = np.repeat([0.7, 0.5, 0.0], 4), np.repeat([0.5, 0.5, 0.2], 4)


def _run(seed, coupled=COUPLED, n_volumes=200, phi=0.5):
    """Twelve parcels of autocorrelated signals, some of which share one."""
    noise = np.random.default_rng(seed).normal(size=(n_volumes + 50, 1 + len(coupled)))
    signals = lfilter([1], [1, -phi], noise, axis=0)[50:]
    return np.sqrt(coupled) * signals[:, :1] + np.sqrt(1 - coupled) * signals[:, 1:]


def _true_strength(coupled):
    z = np.arctanh(np.sqrt(np.outer(coupled, coupled)))
    return (z.sum(axis=1) - np.diag(z)) / (len(coupled) - 1)


def _form(r, parcel):
    """Matrix M of one parcel's edges, edge by edge."""
    form = np.zeros_like(r)
    for other in set(range(len(r))) - {parcel}:
        weight = 1 / (1 - r[parcel, other] ** 2) / (len(r) - 1)
        form[parcel, other] += weight / 2
        form[other, parcel] += weight / 2
        form[[parcel, other], [parcel, other]] -= weight * r[parcel, other] / 2
    return form


def test_strength_and_its_error_are_those_of_every_edge_taken_one_by_one():
    kept = np.delete(np.arange(200), [7, 8, 90])
    series = _run(0)[kept]
    found = parcel_strengths(series, variance_inflation=1.2, sample_mask=kept)
    r = np.corrcoef(series.T)
    z = np.arctanh(np.where(np.eye(len(r)) == 1, np.nan, r))
    np.testing.assert_allclose(found.estimate, np.nanmean(z, axis=1), rtol=1e-12)
    every = np.arange(len(r))
    forms = [(every, _form(r, parcel)) for parcel in every]
    variance = quadratic_form_variances(series, forms, variance_inflation=1.2, sample_mask=kept)
    np.testing.assert_allclose(found.standard_error, np.sqrt(variance), rtol=1e-10)
    assert (found.n_edges == 11).all()


def test_of_two_parcels_strength_is_their_edge():
    series = _run(1)[:, :2]
    found = parcel_strengths(series)
    r = np.corrcoef(series.T)[0, 1]
    expected = np.sqrt(fisher_z_variance(xdf_variance(series)[0, 1], r))
    np.testing.assert_allclose(found.estimate, np.arctanh(r))
    np.testing.assert_allclose(found.standard_error, expected)


def test_parcels_without_signal_count_for_nobody():
    series = _run(2)
    holed = series.copy()
    holed[:, 3], holed[:, 5] = np.nan, 7.0
    found, without = parcel_strengths(holed), parcel_strengths(np.delete(series, [3, 5], axis=1))
    assert found.n_edges.tolist() == [0 if parcel in (3, 5) else 9 for parcel in range(12)]
    for name in ("estimate", "standard_error"):
        values = getattr(found, name)
        assert np.isnan(values[[3, 5]]).all()
        np.testing.assert_array_equal(np.delete(values, [3, 5]), getattr(without, name))
    nothing = no_parcel_strengths(12)
    assert nothing.estimate.shape == found.estimate.shape
    assert nothing.n_edges.sum() == 0


def test_intervals_of_change_cover_the_truth(capsys):
    """Pairs of autoregressive runs, with and without a change; edges of a parcel go together."""
    truth = _true_strength(RECOUPLED) - _true_strength(COUPLED)
    assert np.abs(truth).max() > 0.1
    inside, too_narrow = [], []
    for pair in range(500):
        changed = pair % 2
        visits = (COUPLED, RECOUPLED if changed else COUPLED)
        first, second = (parcel_strengths(_run([pair, i], visits[i])) for i in (0, 1))
        missed = np.abs(second.estimate - first.estimate - changed * truth)
        error = np.hypot(first.standard_error, second.standard_error)
        inside.append(missed < norm.ppf(0.975) * error)
        white = np.sqrt(2 / (200 - 3) / first.n_edges)
        too_narrow.append(missed < norm.ppf(0.975) * white)
    covered, naive = np.mean(inside), np.mean(too_narrow)
    with capsys.disabled():
        print(f"\nintervals of the change of strength that hold the truth: {covered:.1%}", end="")
        print(
            f" (unchanged {np.mean(inside[::2]):.1%}, changed {np.mean(inside[1::2]):.1%};", end=""
        )
        print(f" {naive:.1%} with edges and volumes taken for independent)")
    assert 0.93 < covered < 0.97
    assert np.mean(inside, axis=0).min() > 0.90
    assert naive < 0.8
