"""The next trial: size, power and smallest detectable effect, on effects that are not wishful."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from msimaging.statistics.effects import standardised_effect
from msimaging.statistics.inputs import as_floats, check_fraction, refuse

Design = Literal["paired", "two-arm"]
Tails = Literal["two-sided", "one-sided"]
LARGEST_TRIAL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDesign:
    """Size, effect and power that belong together.

    Attributes
    ----------
    design : {"paired", "two-arm"}
        Change of one group, or two parallel arms of equal size.
    n, n_total : int
        Evaluable patients per arm and in all.
    n_enrolled : int
        Patients to enrol in all, so that ``n_total`` are left after loss to follow-up.
    effect : float
        dz (paired) or Cohen's d (two-arm) that the figures hold for.
    power, alpha : float
        Power that ``n`` gives, and significance level.
    alternative : {"two-sided", "one-sided"}
        Direction.
    correlation, attrition : float
        Correlation of baseline and follow-up used by ANCOVA, and expected loss.
    df : float
        Degrees of freedom of the t-test.
    p_floor : float
        Smallest p-value of the exact sign-flip (paired) or permutation (two-arm) test.
    exact_attainable : bool
        Whether that test can reach ``alpha`` at all.
    """

    design: Design
    n: int
    n_total: int
    n_enrolled: int
    effect: float
    power: float
    alpha: float
    alternative: Tails
    correlation: float
    attrition: float
    df: float
    p_floor: float
    exact_attainable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningEffect:
    """Effects to plan on, in place of the one observed.

    Attributes
    ----------
    observed : float
        dz as observed: too large on average when a small trial was published for it.
    hedges_g : float
        Without its small-sample bias.
    shrunken : float
        g times ``1 - 1 / t**2`` (never below 0).
    safeguard : float
        Lower limit of the 60 % interval (Perugini).
    lower_limit : float
        Lower limit of the 95 % interval.
    """

    observed: float
    hedges_g: float
    shrunken: float
    safeguard: float
    lower_limit: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What stays the same while size or effect are looked for."""

    design: Design
    correlation: float
    alpha: float
    alternative: Tails
    attrition: float = 0.0

    def __post_init__(self) -> None:
        check_fraction(self.alpha, where="alpha")
        _check_choice("design", self.design, ("paired", "two-arm"))
        _check_choice("alternative", self.alternative, ("two-sided", "one-sided"))
        for where, part in (("correlation", self.correlation), ("attrition", self.attrition)):
            if not 0 <= part < 1:
                raise refuse(where, "0 or more and below 1", repr(part), "Correct this argument.")
        if self.design == "paired" and self.correlation:
            raise refuse(
                "correlation", "0 for dz", repr(self.correlation), "dz holds it already: leave it."
            )

    @property
    def fewest(self) -> int:
        return 3 if self.correlation else 2

    def df(self, n: int) -> float:
        if self.design == "paired":
            return float(n - 1)
        return float(2 * n - (3 if self.correlation else 2))

    def power(self, effect: float, n: int) -> float:
        """Return power from the noncentral t."""
        df = self.df(n)
        per_arm = n if self.design == "paired" else n / 2
        noncentrality = effect * math.sqrt(per_arm / (1 - self.correlation**2))
        two_sided = self.alternative == "two-sided"
        critical = stats.t.isf(self.alpha / 2 if two_sided else self.alpha, df)
        upper = 1 - special.nctdtr(df, noncentrality, critical)
        lower = special.nctdtr(df, noncentrality, -critical) if two_sided else 0.0
        return float(np.clip(upper + np.nan_to_num(lower), 0, 1))

    def smallest(self, effect: float, target: float) -> int:
        """Return the smallest n that reaches the target, by doubling and halving."""
        low, high = self.fewest - 1, self.fewest
        while self.power(effect, high) < target:
            low, high = high, 2 * high
            if high > LARGEST_TRIAL:
                raise refuse(
                    "effect",
                    "an effect that a trial can find",
                    f"{effect:g}",
                    "A lower limit at or below 0 says that the data do not show an effect.",
                )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.power(effect, middle) >= target else (middle, high)
        return high

    def at(self, effect: float, n: int) -> TrialDesign:
        """Return all figures of a trial of this size."""
        if n < self.fewest:
            raise refuse("n", f"{self.fewest} patients per arm or more", f"{n}", "Plan for more.")
        arms = 1 if self.design == "paired" else 2
        floor = _exact_floor(self.design, n, self.alternative)
        return TrialDesign(
            design=self.design,
            n=n,
            n_total=arms * n,
            n_enrolled=arms * _enrolled(n, self.attrition),
            effect=effect,
            power=self.power(effect, n),
            alpha=self.alpha,
            alternative=self.alternative,
            correlation=self.correlation,
            attrition=self.attrition,
            df=self.df(n),
            p_floor=floor,
            exact_attainable=floor <= self.alpha,
        )


def power(
    effect: float,
    n: int,
    *,
    design: Design = "paired",
    correlation: float = 0.0,
    alpha: float = 0.05,
    alternative: Tails = "two-sided",
    attrition: float = 0.0,
) -> TrialDesign:
    """Return the power of a trial.

    Parameters
    ----------
    effect : float
        dz of the change (paired), or difference of arms over the SD of the outcome (two-arm).
    n : int
        Evaluable patients, per arm.
    design : {"paired", "two-arm"}
        One group before and after, or two arms.
    correlation : float
        Correlation of baseline and follow-up: ANCOVA divides the SD by ``sqrt(1 - r**2)``.
    alpha : float
        Significance level.
    alternative : {"two-sided", "one-sided"}
        Direction.
    attrition : float
        Part of the patients expected to be lost.

    Raises
    ------
    InputError
        For impossible numbers.

    References
    ----------
    Cohen 1988; Borm 2007 (ANCOVA).
    """
    return _Plan(design, correlation, alpha, alternative, attrition).at(effect, n)


def sample_size(
    effect: float,
    *,
    design: Design = "paired",
    target: float = 0.8,
    correlation: float = 0.0,
    alpha: float = 0.05,
    alternative: Tails = "two-sided",
    attrition: float = 0.0,
) -> TrialDesign:
    """Return the smallest trial that reaches a power.

    With a correlation, the patients of the t-test are multiplied by ``1 - r**2`` and one per arm is
    added (Borm's rule), which the noncentral t confirms to be enough.

    Parameters
    ----------
    effect : float
        dz or d to plan on: the lower limit or a shrunken effect (``planning_effect``), not the
        one that a small trial observed.
    target : float
        Power asked for.
    design, correlation, alpha, alternative, attrition
        As for ``power``.

    Raises
    ------
    InputError
        For impossible numbers, or an effect so small that a million patients would not do.
    """
    check_fraction(target, where="target")
    plan = _Plan(design, correlation, alpha, alternative, attrition)
    if not correlation:
        return plan.at(effect, plan.smallest(abs(effect), target))
    plain = replace(plan, correlation=0.0).smallest(abs(effect), target)
    # one more per arm pays for the slope on baseline
    shortcut = math.ceil(plain * (1 - correlation**2) - 1e-9) + 1
    return plan.at(effect, max(shortcut, plan.smallest(abs(effect), target)))


def detectable_effect(
    n: int,
    *,
    design: Design = "paired",
    target: float = 0.8,
    correlation: float = 0.0,
    alpha: float = 0.05,
    alternative: Tails = "two-sided",
) -> TrialDesign:
    """Return the smallest effect that ``n`` patients (per arm) find with the power asked for.

    Parameters
    ----------
    n : int
        Evaluable patients, per arm.
    target : float
        Power asked for, above ``alpha``.
    design, correlation, alpha, alternative
        As for ``power``.

    Raises
    ------
    InputError
        For impossible numbers.
    """
    check_fraction(target, where="target")
    plan = _Plan(design, correlation, alpha, alternative)
    if target <= plan.at(0.0, n).power:
        raise refuse("target", f"more than alpha ({alpha})", f"{target}", "Ask for 0.8 or more.")
    largest = 0.1
    # far beyond any wanted power the noncentral t is not a number any more
    while plan.power(largest, n) < target:
        largest *= 1.5
    effect = optimize.brentq(lambda d: plan.power(d, n) - target, 0.0, largest)
    return plan.at(float(effect), n)


def power_curve(
    effect: float,
    sizes: ArrayLike,
    *,
    design: Design = "paired",
    correlation: float = 0.0,
    alpha: float = 0.05,
    alternative: Tails = "two-sided",
) -> NDArray[np.float64]:
    """Return the power at each number of patients (per arm), for a figure.

    Raises
    ------
    InputError
        For impossible numbers.
    """
    plan = _Plan(design, correlation, alpha, alternative)
    numbers = as_floats(sizes, where="sizes").astype(np.int64)
    return np.array([plan.at(effect, int(n)).power for n in numbers])


def planning_effect(statistic: float, n: int) -> PlanningEffect:
    """Return what an observed paired t of ``n`` patients allows to plan on.

    Parameters
    ----------
    statistic : float
        Paired t of the earlier trial; its sign is dropped.
    n : int
        Its patients.

    Raises
    ------
    InputError
        For a t that is not finite or fewer than 3 patients.

    References
    ----------
    Copas 1983 (shrinkage); Perugini, Gallucci and Costantini 2014 (safeguard power).
    """
    if not np.isfinite(statistic) or n < 3:
        raise refuse(
            "statistic, n", "a finite t of 3 patients or more", f"{statistic}, {n}", "Plan anew."
        )
    t = abs(statistic)
    wide, narrow = standardised_effect(t, n), standardised_effect(t, n, level=0.6)
    return PlanningEffect(
        observed=wide.dz,
        hedges_g=wide.hedges_g,
        shrunken=wide.hedges_g * max(0.0, 1 - 1 / t**2) if t > 0 else 0.0,
        safeguard=max(0.0, narrow.dz_low),
        lower_limit=max(0.0, wide.dz_low),
    )


def slope_effect(
    difference: float, *, slope_sd: float, residual_sd: float, months: ArrayLike
) -> float:
    """Return the standardised effect of a difference in slopes, for a trial with several visits.

    The slope of one patient varies by the SD of true slopes and by what the residuals leave at
    these visits; the mixed model of complete visits has the power of these slopes.

    Parameters
    ----------
    difference : float
        Difference of slopes between arms, or mean slope of one group [unit / month].
    slope_sd : float
        SD of patients' true slopes [unit / month].
    residual_sd : float
        SD of a visit about the patient's line [unit].
    months : array_like, shape (T,)
        Planned visits.

    Raises
    ------
    InputError
        For fewer than two different months or negative SDs.

    References
    ----------
    Fitzmaurice, Laird and Ware 2011, chapter 20.
    """
    times = as_floats(months, where="months")
    if np.unique(times).size < 2 or min(slope_sd, residual_sd) < 0:
        raise refuse(
            "months, slope_sd, residual_sd",
            "two different months, and SDs of 0 or more",
            f"{times.tolist()}, {slope_sd}, {residual_sd}",
            "Plan a further visit.",
        )
    variance = slope_sd**2 + residual_sd**2 / np.square(times - times.mean()).sum()
    if variance == 0:
        raise refuse("slope_sd, residual_sd", "slopes that vary", "0", "Take them from a model.")
    return float(difference / np.sqrt(variance))


def _exact_floor(design: Design, n: int, alternative: Tails) -> float:
    tails = 2 if alternative == "two-sided" else 1
    if design == "paired":
        return tails * 2.0**-n
    return tails * math.exp(2 * math.lgamma(n + 1) - math.lgamma(2 * n + 1))


def _enrolled(n: int, attrition: float) -> int:
    # 20 / (1 - 0.2) is 25 patients, not the 26 that binary rounding would ask for
    return math.ceil(n / (1 - attrition) - 1e-9)


def _check_choice(where: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise refuse(where, " or ".join(choices), repr(found), "Choose one of these.")
