from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.longitudinal.change import connectivity_change, visit_change

BASELINE = np.array([0.40, 0.55, 0.62, np.nan, 0.30])
FOLLOW_UP = np.array([0.44, 0.50, 0.62, 0.51, np.nan])
ERRORS = {
    "baseline_se": np.array([0.01, 0.02, 0.03, 0.01, 0.02]),
    "follow_up_se": np.full(5, 0.012),
}


def test_change_is_follow_up_minus_baseline():
    change = visit_change(BASELINE, FOLLOW_UP, months=6, **ERRORS)
    np.testing.assert_allclose(change.estimate[:3], [0.04, -0.05, 0.0], atol=1e-15)
    np.testing.assert_allclose(
        change.percent_change[:3], [100 * 0.04 / 0.42, -100 * 0.05 / 0.525, 0]
    )
    np.testing.assert_allclose(change.annualised[:2], [0.08, -0.10])
    np.testing.assert_allclose(change.standard_error[0], np.hypot(0.01, 0.012))
    half = 1.959963984540054 * np.hypot(0.01, 0.012)
    np.testing.assert_allclose([change.ci_low[0], change.ci_high[0]], [0.04 - half, 0.04 + half])
    assert change.detectable.tolist() == [True, True, False, False, False]


def test_a_missing_visit_leaves_every_number_missing():
    change = visit_change(BASELINE, FOLLOW_UP, months=6, **ERRORS)
    for name in ("estimate", "percent_change", "annualised", "standard_error", "ci_low", "ci_high"):
        assert np.isnan(getattr(change, name)[3:]).all(), name
        assert np.isfinite(getattr(change, name)[:3]).all(), name


def test_exchanging_the_visits_negates_everything_exactly():
    there = visit_change(BASELINE, FOLLOW_UP, months=7.3, **ERRORS)
    back = visit_change(
        FOLLOW_UP,
        BASELINE,
        months=7.3,
        baseline_se=ERRORS["follow_up_se"],
        follow_up_se=ERRORS["baseline_se"],
    )
    for name in ("estimate", "percent_change", "annualised"):
        np.testing.assert_array_equal(getattr(back, name), -getattr(there, name))
    np.testing.assert_array_equal(back.ci_low, -there.ci_high)
    np.testing.assert_array_equal(back.standard_error, there.standard_error)
    np.testing.assert_array_equal(back.detectable, there.detectable)


def test_the_same_scan_twice_is_no_change():
    change = visit_change([0.4, 0.0], [0.4, 0.0], baseline_se=[0, 0], follow_up_se=[0, 0])
    np.testing.assert_array_equal(change.estimate, 0)
    np.testing.assert_array_equal([change.ci_low, change.ci_high], 0)
    assert not change.detectable.any()
    assert change.percent_change[0] == 0
    assert np.isnan(change.percent_change[1])


def test_without_errors_there_are_no_limits():
    change = visit_change(0.4, 0.5)
    assert float(change.estimate) == pytest.approx(0.1)
    assert np.isnan(change.ci_low)
    assert np.isnan(change.annualised)
    assert not change.detectable


def test_levels_widen_the_limits():
    wide, narrow = (
        visit_change(1.0, 2.0, baseline_se=0.1, follow_up_se=0.1, confidence=c) for c in (0.99, 0.8)
    )
    assert wide.ci_low < narrow.ci_low < narrow.ci_high < wide.ci_high


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"months": 0}, "above 0 months"),
        ({"months": -6}, "above 0 months"),
        ({"confidence": 1.0}, "confidence level"),
        ({"baseline_se": [0.1] * 5}, "both visits have a standard error"),
        ({"baseline_se": [-0.1] * 5, "follow_up_se": [0.1] * 5}, "not negative"),
        ({"baseline_se": [0.1] * 4, "follow_up_se": [0.1] * 5}, "one shape"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        visit_change(BASELINE, FOLLOW_UP, **arguments)


def test_connectivity_changes_on_fishers_scale():
    variances = {
        "baseline_var_r": np.full((2, 2), 0.004),
        "follow_up_var_r": np.full((2, 2), 0.009),
    }
    first = np.array([[1.0, 0.3], [0.3, 1.0]])
    second = np.array([[1.0, 0.6], [0.6, 1.0]])
    change = connectivity_change(first, second, **variances)
    assert change.estimate[0, 1] == pytest.approx(np.arctanh(0.6) - np.arctanh(0.3))
    assert change.standard_error[0, 1] == pytest.approx(
        np.sqrt(0.004 / (1 - 0.09) ** 2 + 0.009 / (1 - 0.36) ** 2)
    )
    assert np.isnan(np.diag(change.estimate)).all()
    assert np.isnan(change.percent_change).all()
    np.testing.assert_array_equal(change.estimate, change.estimate.T)


def test_connectivity_swaps_exactly_and_is_zero_for_the_same_scan():
    r = np.array([0.1, -0.5, 0.93, np.nan])
    s = np.array([0.3, -0.6, 0.91, 0.2])
    v, w = np.array([0.01, 0.02, 0.001, 0.01]), np.array([0.03, 0.01, 0.002, 0.02])
    there = connectivity_change(r, s, baseline_var_r=v, follow_up_var_r=w)
    back = connectivity_change(s, r, baseline_var_r=w, follow_up_var_r=v)
    np.testing.assert_array_equal(back.estimate, -there.estimate)
    np.testing.assert_array_equal(back.ci_high, -there.ci_low)
    same = connectivity_change(r, r, baseline_var_r=0 * v, follow_up_var_r=0 * v)
    np.testing.assert_array_equal(same.estimate[:3], 0)
    assert not same.detectable.any()


def test_impossible_correlations_are_named():
    with pytest.raises(InputError, match=r"between -1 and 1.*1\.3"):
        connectivity_change([0.2, 1.3], [0.1, 0.2], baseline_var_r=[1, 1], follow_up_var_r=[1, 1])


def test_inputs_stay_as_they_were():
    r = np.array([[1.0, 0.3], [0.3, 1.0]])
    before = r.copy()
    change = connectivity_change(r, r, baseline_var_r=r * 0, follow_up_var_r=r * 0)
    np.testing.assert_array_equal(r, before)
    assert {field.name for field in fields(change)} >= {
        "estimate",
        "ci_low",
        "ci_high",
        "detectable",
    }
