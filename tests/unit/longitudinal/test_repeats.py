from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.longitudinal.repeats import bland_altman, within_subject


def test_within_subject_sd_pools_people_of_unequal_repeats():
    repeats = [[10.0, 12.0, np.nan], [20.0, 20.0, 23.0], [7.0, np.nan, np.nan]]
    found = within_subject(repeats)
    # sums of squares 2 and 6 over 1 + 2 degrees of freedom
    assert found.sd == pytest.approx(np.sqrt(8 / 3))
    assert found.cov_percent == pytest.approx(100 * np.sqrt((2 / 11**2 + 6 / 21**2) / 3))
    assert (found.df, found.n) == (3, 2)
    assert found.ci_low < found.sd < found.ci_high


def test_the_limits_cover_the_true_sd():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(600):
        found = within_subject(rng.normal(5, 0.7, (8, 3)) + rng.normal(0, 3, (8, 1)))
        hits += found.ci_low < 0.7 < found.ci_high
    assert 0.93 < hits / 600 < 0.97


def test_nobody_measured_twice_is_refused():
    with pytest.raises(InputError, match="at least twice"):
        within_subject([[1.0, np.nan], [np.nan, 3.0]])
    with pytest.raises(InputError, match="people are rows"):
        within_subject([1.0, 2.0])


def test_bland_altman_limits():
    first = np.array([10.0, 12.0, 9.0, 14.0, np.nan])
    second = np.array([11.0, 12.0, 12.0, 14.0, 3.0])
    found = bland_altman(first, second)
    sd = np.std([1, 0, 3, 0], ddof=1)
    assert (found.bias, found.n) == (1.0, 4)
    assert found.sd == pytest.approx(sd)
    assert (found.lower, found.upper) == pytest.approx((1 - 1.96 * sd, 1 + 1.96 * sd))
    assert found.bias_ci_high == pytest.approx(1 + 3.182446 * sd / 2)
    assert found.limits_se == pytest.approx(sd * np.sqrt(1 / 4 + 1.96**2 / 6))
    back = bland_altman(second, first)
    assert (back.bias, back.lower) == (-found.bias, -found.upper)


def test_one_pair_has_no_limits():
    with pytest.raises(InputError, match="two complete pairs"):
        bland_altman([1.0, np.nan], [2.0, 3.0])


def test_peak_flow_as_bland_and_altman_printed_it():
    """Peak expiratory flow [L/min] of 17 people by two meters, each twice (Lancet 1986)."""
    large = np.array(
        [
            [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427],
            [490, 397, 512, 401, 470, 611, 415, 431, 638, 429, 420, 633, 275, 492, 165, 372, 421],
        ]
    )
    mini = np.array(
        [
            [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451],
            [525, 415, 508, 444, 500, 625, 460, 390, 642, 432, 420, 605, 227, 467, 268, 370, 443],
        ]
    )
    found = bland_altman(mini[0], large[0])
    assert (round(found.bias, 1), round(found.sd, 1)) == (-2.1, 38.8)
    assert (round(found.bias_ci_low, 1), round(found.bias_ci_high, 1)) == (-22.0, 17.8)
    # the paper takes 2 standard deviations: -79.7 and 75.5
    assert found.bias - 2 * found.sd == pytest.approx(-79.7, abs=0.06)
    assert found.lower == pytest.approx(-2.12 - 1.96 * 38.77, abs=0.02)
    assert [round(within_subject(meter.T).sd, 1) for meter in (large, mini)] == [15.3, 19.9]
