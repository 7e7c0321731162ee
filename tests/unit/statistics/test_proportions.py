"""Two-by-two tables and proportions against printed values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from msimaging.errors import InputError
from msimaging.statistics.proportions import (
    compare_proportions,
    compare_with_rate,
    mcnemar,
    newcombe_difference,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("n_a", "fisher_chi2_yates_barnard"),
    [
        (14, (0.0129, 0.0078, 0.0251, 0.0094)),
        (15, (0.0333, 0.0187, 0.0543, 0.0247)),
        (16, (0.0791, 0.0404, 0.1073, 0.0437)),
        (17, (0.1718, 0.0808, 0.1969, 0.1027)),
    ],
)
def test_nine_against_one_of_twenty_four(n_a, fisher_chi2_yates_barnard):
    result = compare_proportions(9, n_a, 1, 24 - n_a)
    printed = (result.p, result.p_chi2, result.p_yates, result.p_barnard)
    assert printed == pytest.approx(fisher_chi2_yates_barnard, abs=5.1e-5)
    assert result.depends_on_test == (n_a in (15, 16))


def test_tea_tasting_as_r_prints_it():
    result = compare_proportions(3, 4, 1, 4)
    assert result.p == pytest.approx(0.4857, abs=5e-5)
    # R stops its root search early: it prints 6.408309
    assert result.odds_ratio == pytest.approx(6.408309, abs=2e-5)
    assert result.odds_ratio_low == pytest.approx(0.2117329, abs=5e-6)
    # R's search leaves 621.93; the limit by its definition: three or fewer in 2.5 % of tables
    odds = result.odds_ratio_high
    weights = np.array([1, 16, 36, 16, 1]) * odds ** np.arange(5)
    assert weights[:4].sum() / weights.sum() == pytest.approx(0.025, abs=1e-9)
    assert result.p_floor == pytest.approx(2 / 70)
    assert not result.depends_on_test


def test_mid_p_is_half_the_weight_of_the_observed_table():
    result = compare_proportions(9, 16, 1, 8)
    # the table on the other side is less likely than the one observed, so it counts in full
    weight = stats.hypergeom.pmf(9, 24, 10, 16)
    assert result.p_mid == pytest.approx(result.p - weight / 2)
    assert compare_proportions(4, 4, 0, 4).p_mid == pytest.approx(1 / 70)


def test_nobody_responded():
    result = compare_proportions(0, 5, 0, 7)
    assert (result.p, result.p_floor, result.depends_on_test) == (1.0, 1.0, False)
    assert np.isnan([result.p_chi2, result.p_yates, result.p_barnard, result.p_boschloo]).all()
    assert result.ci_low < 0 < result.ci_high


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (10, 24, 0.245, 0.612),
        (10, 27, 0.215, 0.558),
    ],
)
def test_wilson_intervals_as_printed(k, n, low, high):
    interval = wilson_interval(k, n)
    places = 5.1e-5 if n not in (24, 27) else 5.1e-4
    assert (interval.ci_low, interval.ci_high) == pytest.approx((low, high), abs=places)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_differences_as_printed(counts, low, high):
    result = newcombe_difference(*counts)
    assert result.estimate == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])
    assert (result.ci_low, result.ci_high) == pytest.approx((low, high), abs=5.1e-5)


def test_mcnemar_of_approval_ratings_as_r_prints_it():
    result = mcnemar([[794, 150], [86, 570]])
    assert result.statistic == pytest.approx(16.82, abs=5e-3)
    assert result.p_chi2 == pytest.approx(4.115e-05, abs=5e-9)
    assert result.estimate == pytest.approx(-64 / 1600)


def test_mcnemar_exact_of_few_discordant_patients():
    result = mcnemar([[3, 1], [7, 4]])
    assert result.p == pytest.approx(2 * (1 + 8) / 256)
    assert result.p_mid == pytest.approx(2 * (1 + 4) / 256)
    assert result.p_floor == 2 / 256
    assert mcnemar([[3, 2], [2, 4]]).p_mid == pytest.approx(1 - 6 / 16 / 2)
    unchanged = mcnemar([[3, 0], [0, 4]])
    assert (unchanged.p, unchanged.p_mid) == (1.0, 0.5)
    assert np.isnan(unchanged.p_chi2)


def test_single_arm_beside_a_historical_rate():
    result = compare_with_rate(10, 24, rate=0.37)
    assert result.p == pytest.approx(stats.binomtest(10, 24, 0.37).pvalue)
    assert result.ci_low < 0.37 < result.ci_high
    everybody = compare_with_rate(5, 5, rate=0.5)
    assert (everybody.p, everybody.p_floor) == pytest.approx((0.0625, 0.0625))


def test_impossible_counts_are_refused():
    for counts in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(InputError, match=f"{counts[0]} of {counts[1]}"):
            wilson_interval(*counts)
    with pytest.raises(InputError, match="whole numbers"):
        compare_proportions(2.5, 4, 1, 4)
    with pytest.raises(InputError, match="four counts"):
        mcnemar([[1, 2, 3]])
    with pytest.raises(InputError, match="at least one patient"):
        mcnemar([[0, 0], [0, 0]])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_swapping_groups_turns_the_difference_only(n_a, n_b, data):
    k_a, k_b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
    there, back = compare_proportions(k_a, n_a, k_b, n_b), compare_proportions(k_b, n_b, k_a, n_a)
    assert back.p == pytest.approx(there.p)
    assert back.p == pytest.approx(stats.fisher_exact([[k_a, n_a - k_a], [k_b, n_b - k_b]]).pvalue)
    assert (back.ci_low, back.ci_high) == pytest.approx((-there.ci_high, -there.ci_low))
    assert there.ci_low <= there.estimate <= there.ci_high
    assert there.p_floor <= there.p * (1 + 1e-9)
    assert there.depends_on_test == back.depends_on_test
