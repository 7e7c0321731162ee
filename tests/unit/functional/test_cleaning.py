from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker
from nilearn.signal import clean

from msimaging.errors import InputError
from msimaging.functional.cleaning import clean_time_series, standardize
from msimaging.parcellation import parcel_time_series

T = 120


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(size=(T, 5)), axis=0) + np.arange(5) * 100 + 500


@pytest.fixture
def confounds():
    return np.random.default_rng(1).normal(size=(T, 6)) + 3


def test_from_voxels_to_clean_parcels_as_nilearn_does(confounds):
    rng = np.random.default_rng(5)
    bold = 700 + np.cumsum(rng.normal(size=(8, 9, 7, T)), axis=3)
    labels = rng.integers(0, 6, size=(8, 9, 7)).astype(np.int32)
    signals = parcel_time_series(bold, labels, [1, 2, 3, 4, 5]).time_series
    ours = clean_time_series(signals, t_r=2.0, high_pass=None, low_pass=None, confounds=confounds)
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, np.eye(4)), standardize=None, detrend=True)
    theirs = masker.fit_transform(nib.Nifti1Image(bold, np.eye(4)), confounds=confounds)
    np.testing.assert_allclose(ours.time_series, theirs, atol=1e-6)


def test_a_single_precision_run_is_cleaned_as_its_exact_numbers_say(confounds):
    """Ours averages and cleans float32 voxels in double precision and meets the exact answer.

    nilearn keeps the precision of the image: at a brightness of 800 its means of the same voxels
    are off by 3e-5 and its residuals by 1e-4, both about one unit in the last place of float32.
    Given the same voxels in float64 the two agree to 1e-11, so the difference seen with float32
    runs, a relative 1e-6 of the brightness, is nilearn's rounding.
    """
    rng = np.random.default_rng(5)
    drift = np.cumsum(rng.normal(size=(16, 17, 12, T)), axis=3)
    bold = (800 + drift).astype(np.float32)
    labels = rng.integers(0, 4, size=bold.shape[:3]).astype(np.int32)
    means = [bold[labels == k].astype(np.longdouble).mean(axis=0) for k in (1, 2, 3)]
    exact = np.stack(means, axis=1).astype(np.float64)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(T), np.arange(T), confounds]))
    exact -= basis @ (basis.T @ exact)

    signals = parcel_time_series(bold, labels, [1, 2, 3]).time_series
    ours = clean_time_series(signals, t_r=2.0, high_pass=None, low_pass=None, confounds=confounds)
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, np.eye(4)), standardize=None, detrend=True)
    single, double = (
        masker.fit_transform(nib.Nifti1Image(run, np.eye(4)), confounds=confounds)
        for run in (bold, bold.astype(np.float64))
    )
    errors = {
        name: np.abs(found - exact).max()
        for name, found in (("ours", ours.time_series), ("float32", single), ("float64", double))
    }
    print(errors)
    assert errors["ours"] < 1e-10
    np.testing.assert_allclose(ours.time_series, double, atol=1e-10)
    assert errors["float32"] > 1000 * errors["ours"]
    np.testing.assert_allclose(ours.time_series, single, atol=1e-6 * 800)


CENSORED = np.delete(np.arange(T), [0, 1, 40, 41, 77, 119])


def test_equals_nilearn_without_censoring(series, confounds):
    ours = clean_time_series(series, t_r=2.0, high_pass=0.01, low_pass=None, confounds=confounds)
    theirs = clean(
        series, confounds=confounds, filter="cosine", high_pass=0.01, t_r=2.0, standardize=None
    )
    np.testing.assert_allclose(ours.time_series, theirs, atol=1e-6)
    # mean, trend, floor(2 * 120 * 2 * .01) = 4 cosines, 6 confounds
    assert (ours.n_filter_regressors, ours.degrees_of_freedom_lost) == (6, 12)
    assert (ours.n_retained, ours.degrees_of_freedom_left) == (T, T - 12)


@pytest.mark.parametrize("mask", [CENSORED, np.isin(np.arange(T), CENSORED)])
def test_equals_nilearn_with_censoring(series, confounds, mask):
    ours = clean_time_series(
        series,
        t_r=2.0,
        high_pass=0.01,
        low_pass=None,
        confounds=confounds,
        sample_mask=mask,
        polynomial_order=0,
    )
    theirs = clean(
        series,
        confounds=confounds,
        detrend=False,
        filter="cosine",
        high_pass=0.01,
        t_r=2.0,
        sample_mask=CENSORED,
        standardize="zscore_sample",
    )
    np.testing.assert_allclose(standardize(ours.time_series), theirs, atol=1e-6)
    np.testing.assert_array_equal(ours.sample_mask, CENSORED)
    assert ours.degrees_of_freedom_left == len(CENSORED) - 11


def test_nothing_that_was_removed_comes_back(confounds):
    rng = np.random.default_rng(2)
    time = np.arange(T) + 0.5
    outside = np.column_stack([np.cos(np.pi * k * time / T) for k in (2, 72, 100)])
    signal = np.cos(np.pi * 24 * time / T)
    mixture = signal[:, np.newaxis] + outside @ rng.normal(size=(3, 2)) * 5 + confounds[:, :2] * 9
    spiked = mixture.copy()
    spiked[[50, 51]] += 1000
    mask = np.delete(np.arange(T), [50, 51])
    ours = clean_time_series(
        spiked,
        t_r=2.0,
        high_pass=0.009,
        low_pass=0.1,
        confounds=confounds[:, :2],
        sample_mask=mask,
    ).time_series
    assert np.abs(ours.T @ confounds[mask, :2]).max() < 1e-6
    for parcel in ours.T:
        assert np.corrcoef(parcel, signal[mask])[0, 1] > 0.95
    untouched = clean_time_series(
        mixture,
        t_r=2.0,
        high_pass=0.009,
        low_pass=0.1,
        sample_mask=mask,
        confounds=confounds[:, :2],
    )
    np.testing.assert_allclose(ours, untouched.time_series, atol=1e-8)


def test_band_pass_costs_what_it_costs(series):
    cleaned = clean_time_series(series, t_r=2.0, high_pass=0.01, low_pass=0.1)
    # cosines 1..4 and 49..119 of frequency k / 480 Hz, mean; the trend is not among them
    assert cleaned.degrees_of_freedom_lost == 1 + 1 + 4 + 71
    twice = clean_time_series(cleaned.time_series, t_r=2.0, high_pass=0.01, low_pass=0.1)
    np.testing.assert_allclose(twice.time_series, cleaned.time_series, atol=1e-9)


def test_first_row_of_derivatives_is_filled_as_nilearn_does(series, confounds):
    table = pd.DataFrame(confounds, columns=list("abcdef"))
    table.loc[0, "c"] = np.nan
    filled = table.copy()
    filled.loc[0, "c"] = table.loc[1, "c"]
    kwargs = {"t_r": 2.0, "high_pass": None, "low_pass": None}
    first = clean_time_series(series, confounds=table, **kwargs)
    np.testing.assert_array_equal(
        first.time_series, clean_time_series(series, confounds=filled, **kwargs).time_series
    )
    assert np.isnan(table.loc[0, "c"])
    table.loc[7, "d"] = np.nan
    with pytest.raises(InputError, match="1 missing values: d at volume 7") as error:
        clean_time_series(series, confounds=table, **kwargs)
    assert len(error.value.findings) == 1
    censored = clean_time_series(
        series, confounds=table, sample_mask=np.delete(np.arange(T), 7), **kwargs
    )
    assert np.isfinite(censored.time_series).all()


def test_parcels_without_signal_are_told_and_stay_nan(series, confounds):
    series = series.copy()
    series[:, 1] = 42.0
    series[:, 3] = np.nan
    series[:, 4] = 7 + 3 * confounds[:, 0]
    cleaned = clean_time_series(series, t_r=2.0, high_pass=0.01, low_pass=None, confounds=confounds)
    assert np.isnan(cleaned.time_series).all(axis=0).tolist() == [False, True, False, True, True]
    assert [finding.severity for finding in cleaned.findings] == ["warning", "warning"]
    assert "columns 1)" in cleaned.findings[0].found
    assert "columns 4)" in cleaned.findings[1].found
    assert series[0, 1] == 42.0


def test_collinear_regressors_are_counted_once(series, confounds):
    doubled = np.column_stack([confounds, confounds[:, 0] - confounds[:, 1], np.ones(T)])
    kwargs = {"t_r": 2.0, "high_pass": 0.01, "low_pass": None}
    once = clean_time_series(series, confounds=confounds, **kwargs)
    twice = clean_time_series(series, confounds=doubled, **kwargs)
    assert twice.degrees_of_freedom_lost == once.degrees_of_freedom_lost
    np.testing.assert_allclose(twice.time_series, once.time_series, atol=1e-8)


def test_bad_input_has_one_message_each(series, confounds):
    kwargs = {"t_r": 2.0, "high_pass": 0.01, "low_pass": None}
    few = np.arange(0, T, 10)
    many = np.random.default_rng(3).normal(size=(T, 130))
    for change, message in [
        ({"time_series": series[:1]}, "two or more volumes"),
        ({"t_r": 2000.0}, "seconds, not milliseconds"),
        ({"high_pass": 0.2, "low_pass": 0.1}, "high_pass below low_pass"),
        ({"low_pass": 0.3}, "half the sampling rate"),
        ({"confounds": many}, "120 of 120 volumes retained for 6 .* and 130 confounds"),
        ({"confounds": confounds, "sample_mask": few}, "12 of 120 volumes retained"),
        ({"sample_mask": np.array([], dtype=int)}, "every volume censored"),
        ({"sample_mask": [3, 2]}, "increasing positions"),
        ({"confounds": confounds[1:]}, "119 rows for 120 volumes"),
        ({"time_series": np.ones((T, 2))}, "0 of 2 parcels with signal"),
    ]:
        arguments = {"time_series": series, **kwargs, **change}
        with pytest.raises(InputError, match=message) as error:
            clean_time_series(arguments.pop("time_series"), **arguments)
        assert len(error.value.findings) == 1
