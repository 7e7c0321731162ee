"""Sizes of trials against printed tables and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from msimaging.errors import InputError
from msimaging.statistics.design import (
    detectable_effect,
    planning_effect,
    power,
    power_curve,
    sample_size,
    slope_effect,
)


@pytest.mark.parametrize(
    ("d", "r", "n"),
    [
        (0.2, 0.0, 394),
        (0.5, 0.0, 64),
        (0.8, 0.0, 26),
        (1.0, 0.0, 17),
        (0.5, 0.7, 34),
        (0.8, 0.7, 15),
        (1.0, 0.7, 10),
    ],
)
def test_patients_per_arm_as_printed(d, r, n):
    design = sample_size(d, design="two-arm", correlation=r)
    assert (design.n, design.n_total) == (n, 2 * n)
    assert design.power >= 0.8
    # the rule with 1 - r**2 may ask for one patient per arm more than the noncentral t
    smaller = power(d, n=n - (2 if r else 1), design="two-arm", correlation=r)
    assert smaller.power < 0.8


def test_paired_sizes_as_printed():
    assert [sample_size(dz).n for dz in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert power(0.5, n=34).power == pytest.approx(0.8078, abs=5e-5)
    assert sample_size(0.5, alternative="one-sided").n == 27
    assert sample_size(-0.5).n == 34


@pytest.mark.parametrize("effect", [0.3, 1.7])
def test_power_as_statsmodels_has_it(effect):
    paired = TTestPower().power(effect, 9, 0.05)
    assert power(effect, n=9).power == pytest.approx(paired, abs=1e-6)
    arms = TTestIndPower().power(effect, 9, 0.05)
    assert power(effect, n=9, design="two-arm").power == pytest.approx(arms, abs=1e-6)


@pytest.mark.parametrize(("n", "percent"), [(5, 5.7), (10, 3.4), (20, 2.2), (30, 1.8)])
def test_detectable_change_of_radial_diffusivity(n, percent):
    """Between-session CoV of 2.4 %: the SD of a difference is 1.414 times that."""
    design = detectable_effect(n)
    assert design.effect * 2.4 * np.sqrt(2) == pytest.approx(percent, abs=0.051)
    assert design.power == pytest.approx(0.8)


def test_five_patients_cannot_reach_five_percent_exactly():
    assert (power(2.0, n=5).p_floor, power(2.0, n=5).exact_attainable) == (0.0625, False)
    assert power(2.0, n=6).exact_attainable
    assert power(2.0, n=5, alternative="one-sided").exact_attainable
    assert power(2.0, n=4, design="two-arm").p_floor == pytest.approx(2 / 70)


def test_losses_are_enrolled_on_top():
    design = sample_size(0.5, design="two-arm", attrition=0.2)
    assert (design.n, design.n_total, design.n_enrolled) == (64, 128, 160)
    assert power(1.0, n=20, attrition=0.2).n_enrolled == 25
    assert power(1.0, n=20, attrition=0.25).n_enrolled == 27


def test_five_patient_trial_is_not_planned_on_what_it_observed():
    plan = planning_effect(3.831, 5)
    assert (plan.observed, plan.hedges_g) == pytest.approx((1.713, 1.367), abs=5e-4)
    assert plan.lower_limit == pytest.approx(0.244, abs=5e-4)
    assert plan.shrunken == pytest.approx(1.367 * (1 - 1 / 3.831**2), abs=1e-3)
    assert plan.lower_limit < plan.safeguard < plan.shrunken < plan.observed
    sizes = [sample_size(e).n for e in (plan.observed, plan.shrunken, plan.lower_limit)]
    assert sizes[0] == 5
    assert sizes[1] == 7
    assert sizes[2] > 130
    assert planning_effect(-3.831, 5) == plan
    assert planning_effect(0.5, 8).lower_limit == 0.0
    with pytest.raises(InputError, match="effect that a trial can find"):
        sample_size(planning_effect(0.5, 8).lower_limit)


def test_power_curve_rises_to_the_size_found():
    curve = power_curve(0.5, [10, 33, 34, 60])
    assert (np.diff(curve) > 0).all()
    assert curve[1] < 0.8 <= curve[2]


def test_slopes_of_several_visits():
    few = slope_effect(0.1, slope_sd=0.2, residual_sd=1.0, months=[0, 6])
    assert few == pytest.approx(0.1 / np.sqrt(0.04 + 1 / 18))
    more = slope_effect(0.1, slope_sd=0.2, residual_sd=1.0, months=[0, 3, 6, 12])
    assert more > few
    with pytest.raises(InputError, match="two different months"):
        slope_effect(0.1, slope_sd=0.2, residual_sd=1.0, months=[6, 6])


def test_power_of_slopes_by_simulation():
    months, generator = np.array([0, 1, 3, 6.0]), np.random.default_rng(0)
    effect = slope_effect(0.25, slope_sd=0.3, residual_sd=0.8, months=months)
    visits = (0.25 + generator.normal(0, 0.3, (4000, 15, 1))) * months
    visits += generator.normal(0, 0.8, visits.shape)
    slopes = (visits * (months - months.mean())).sum(-1) / np.square(months - months.mean()).sum()
    found = np.mean(stats.ttest_1samp(slopes, 0, axis=1).pvalue < 0.05)
    assert power(effect, n=15).power == pytest.approx(found, abs=0.025)


def test_power_of_ancova_by_simulation():
    generator, n, r = np.random.default_rng(1), 15, 0.7
    baseline = generator.normal(size=(3000, 2 * n))
    follow_up = r * baseline + generator.normal(0, np.sqrt(1 - r * r), baseline.shape)
    arm = np.repeat([0.0, 1.0], n)
    follow_up += 0.8 * arm
    found = 0
    for before, after in zip(baseline, follow_up, strict=True):
        design = np.column_stack([np.ones(2 * n), arm, before])
        inverse = np.linalg.inv(design.T @ design)
        weights = inverse @ design.T @ after
        spread = np.square(after - design @ weights).sum() / (2 * n - 3)
        found += abs(weights[1]) / np.sqrt(spread * inverse[1, 1]) > stats.t.isf(0.025, 2 * n - 3)
    assert power(0.8, n=n, design="two-arm", correlation=r).power == pytest.approx(
        found / 3000, abs=0.025
    )


def test_impossible_designs_are_refused():
    with pytest.raises(InputError, match="paired or two-arm"):
        power(0.5, n=10, design="crossover")
    with pytest.raises(InputError, match="0 for dz"):
        power(0.5, n=10, correlation=0.5)
    with pytest.raises(InputError, match="below 1"):
        sample_size(0.5, attrition=1.0)
    with pytest.raises(InputError, match="2 patients per arm"):
        power(0.5, n=1)
    with pytest.raises(InputError, match="more than alpha"):
        detectable_effect(10, target=0.04)
    with pytest.raises(InputError, match="finite t"):
        planning_effect(np.inf, 5)
