"""EDSS: legal scores, three rules of change, and confirmed events of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError
from msimaging.statistics.inputs import refuse

EdssRule = Literal["any", "kragt", "pymsprog"]
EDSS_RULES: tuple[EdssRule, ...] = ("any", "kragt", "pymsprog")
LEGAL_SCORES = (0.0, *(half / 2 for half in range(2, 21)))
WEEKS_PER_MONTH = 365.25 / 12 / 7


@dataclass(frozen=True, slots=True, kw_only=True)
class EdssEvent:
    """One confirmed worsening or improvement.

    Attributes
    ----------
    kind : {"worsening", "improvement"}
        Direction.
    months : float
        Visit at which the change was first seen.
    confirmed_months : float
        Visit that confirmed it.
    reference : float
        Score that it was measured against.
    sustained : float
        The score least far from the reference between both visits: what is really confirmed.
    """

    kind: Literal["worsening", "improvement"]
    months: float
    confirmed_months: float
    reference: float
    sustained: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EdssCourse:
    """Confirmed events of one patient, and the time to the first of each kind.

    Attributes
    ----------
    events : tuple of EdssEvent
        In order of time.
    months_to_worsening, months_to_improvement : float
        Month of the first event, or of the last visit where there was none.
    worsened, improved : bool
        Whether there was one (False: censored).
    unconfirmed : tuple of float
        Months of visits that met the rule but were not confirmed, among them those after which
        follow-up ended too early.
    """

    events: tuple[EdssEvent, ...]
    months_to_worsening: float
    months_to_improvement: float
    worsened: bool
    improved: bool
    unconfirmed: tuple[float, ...]


def check_edss(
    scores: ArrayLike, *, column: str = "edss", rows: Sequence[Any] | None = None
) -> NDArray[np.float64]:
    """Return EDSS scores as floats, or refuse every illegal one with its row and column.

    Parameters
    ----------
    scores : array_like, shape (S,)
        0, 1.0, 1.5, ... 10.0; NaN or None where the visit is missing.
    column : str
        Name of the column, for the message.
    rows : sequence, optional
        Names of the rows (patient and visit, or line); counted from 1 without them.

    Raises
    ------
    InputError
        One finding per score that does not exist (0.5, 6.25, 10.5, text).
    """
    values = np.asarray(scores, dtype=object).reshape(-1)
    names = range(1, values.size + 1) if rows is None else rows
    findings, legal = [], np.full(values.size, np.nan)
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        number = _as_number(value)
        if number is None or not (np.isnan(number) or number in LEGAL_SCORES):
            findings.append(_illegal(name, column, value))
        else:
            legal[index] = number
    if findings:
        raise InputError(findings)
    return legal


def _as_number(value: object) -> float | None:
    if value is None:
        return float("nan")
    try:
        return float(value)  # type: ignore[arg-type] # what is no number is told to the user
    except (TypeError, ValueError):
        return None


def _illegal(row: object, column: str, value: object) -> Finding:
    return Finding(
        rule="EDSS is 0 or a half point from 1.0 to 10.0 (0.5 does not exist)",
        where=f"row {row}, column {column}",
        found=repr(value),
        remedy="Correct the score, or leave the cell empty where it is unknown.",
    )


def edss_change(
    baseline: ArrayLike, follow_up: ArrayLike, *, rows: Sequence[Any] | None = None
) -> NDArray[np.float64]:
    """Return follow-up minus baseline of legal scores, NaN where one is missing.

    Parameters
    ----------
    baseline, follow_up : array_like, shape (S,)
        EDSS, one per patient in the same order.
    rows : sequence, optional
        Names of the rows for messages.

    Raises
    ------
    InputError
        For illegal scores (all of them) or arrays of different length.
    """
    before, after = _both_visits(baseline, follow_up, rows)
    return after - before


def minimum_change(
    baseline: ArrayLike, *, rule: EdssRule = "kragt", step_from_zero: float | None = None
) -> NDArray[np.float64]:
    """Return the smallest change that a rule counts, from each baseline score.

    Parameters
    ----------
    baseline : array_like, shape (S,)
        EDSS at the reference visit.
    rule : {"any", "kragt", "pymsprog"}
        Any change; 1.0 up to 5.5 and 0.5 above; or 1.5 from 0, 1.0 below 5.5 and 0.5 from 5.5.
    step_from_zero : float, optional
        Step asked for from a baseline of 0, in place of the rule's own.

    Raises
    ------
    InputError
        For illegal scores or an unknown rule.

    References
    ----------
    Kragt 2006; the third is the default of the pymsprog package.
    """
    if rule not in EDSS_RULES:
        raise refuse("rule", f"one of {', '.join(EDSS_RULES)}", repr(rule), "Choose one of these.")
    scores = check_edss(baseline, column="baseline")
    if rule == "any":
        steps = np.full(scores.shape, 0.5)
    elif rule == "kragt":
        steps = np.where(scores > 5.5, 0.5, 1.0)
    else:
        steps = np.select([scores == 0, scores < 5.5], [1.5, 1.0], 0.5)
    if step_from_zero is not None:
        steps = np.where(scores == 0, step_from_zero, steps)
    return np.asarray(np.where(np.isnan(scores), np.nan, steps))


def classify_edss(
    baseline: ArrayLike,
    follow_up: ArrayLike,
    *,
    rule: EdssRule = "kragt",
    step_from_zero: float | None = None,
    rows: Sequence[Any] | None = None,
) -> NDArray[np.str_]:
    """Return "improved", "stable", "worsened" or "missing" for every patient.

    Parameters
    ----------
    baseline, follow_up : array_like, shape (S,)
        EDSS, one per patient in the same order.
    rule : {"any", "kragt", "pymsprog"}
        What counts as a change: see ``minimum_change``.
    step_from_zero : float, optional
        Step asked for from a baseline of 0, in place of the rule's own.
    rows : sequence, optional
        Names of the rows for messages.

    Raises
    ------
    InputError
        For illegal scores (all of them), arrays of different length or an unknown rule.
    """
    before, after = _both_visits(baseline, follow_up, rows)
    step, change = minimum_change(before, rule=rule, step_from_zero=step_from_zero), after - before
    labels = np.select([change >= step, change <= -step], ["worsened", "improved"], "stable")
    return np.asarray(np.where(np.isnan(change), "missing", labels))


def progression_events(
    months: ArrayLike,
    scores: ArrayLike,
    *,
    rule: EdssRule = "kragt",
    confirmation_weeks: float = 12,
    reference: Literal["fixed", "roving"] = "fixed",
    step_from_zero: float | None = None,
) -> EdssCourse:
    """Return the confirmed worsenings and improvements of one patient.

    A change is confirmed when every score from the visit that first shows it to the first visit at
    least ``confirmation_weeks`` later meets the rule against the same reference.

    Parameters
    ----------
    months : array_like, shape (T,)
        Months since baseline, in any order; the earliest score is the baseline.
    scores : array_like, shape (T,)
        EDSS at these visits; missing ones are passed over.
    rule, step_from_zero
        What counts as a change: see ``minimum_change``.
    confirmation_weeks : float
        12 or 24 in most trials.
    reference : {"fixed", "roving"}
        Fixed: everything is measured against baseline, and the first event of each kind counts.
        Roving: after each confirmed event its sustained score is the new reference.

    Raises
    ------
    InputError
        For illegal scores, visits before baseline, two visits at one time, or no score at all.

    References
    ----------
    Kalincik 2015 (criteria and their persistence).
    """
    if reference not in ("fixed", "roving"):
        raise refuse("reference", "fixed or roving", repr(reference), "Choose one of these.")
    times, values = _ordered_visits(months, scores)
    course = _Course(times, values, rule, step_from_zero, confirmation_weeks / WEEKS_PER_MONTH)
    events, unconfirmed = course.scan(roving=reference == "roving")
    first = {kind: next((e.months for e in events if e.kind == kind), None) for kind in KINDS}
    last = float(times[-1])
    return EdssCourse(
        events=events,
        months_to_worsening=last if first["worsening"] is None else first["worsening"],
        months_to_improvement=last if first["improvement"] is None else first["improvement"],
        worsened=first["worsening"] is not None,
        improved=first["improvement"] is not None,
        unconfirmed=unconfirmed,
    )


KINDS: tuple[Literal["worsening", "improvement"], ...] = ("worsening", "improvement")


@dataclass(frozen=True, slots=True)
class _Course:
    """Visits of one patient in order, with the rule that they are read by."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    rule: EdssRule
    step_from_zero: float | None
    wait: float

    def scan(self, *, roving: bool) -> tuple[tuple[EdssEvent, ...], tuple[float, ...]]:
        """Go through the visits once, moving the reference where it roves."""
        level = float(self.values[0])
        events: list[EdssEvent] = []
        unconfirmed: list[float] = []
        for index in range(1, self.times.size):
            kind = self._kind(index, level)
            if kind is None or (not roving and any(e.kind == kind for e in events)):
                continue
            event = self._confirm(index, level, kind)
            if event is None:
                unconfirmed.append(float(self.times[index]))
                continue
            events.append(event)
            level = event.sustained if roving else level
        return tuple(events), tuple(unconfirmed)

    def _kind(self, index: int, level: float) -> Literal["worsening", "improvement"] | None:
        change = self.values[index] - level
        step = minimum_change([level], rule=self.rule, step_from_zero=self.step_from_zero)[0]
        if abs(change) < step:
            return None
        return "worsening" if change > 0 else "improvement"

    def _confirm(
        self, index: int, level: float, kind: Literal["worsening", "improvement"]
    ) -> EdssEvent | None:
        # a thousandth of a month forgives the rounding of weeks into months
        late = np.flatnonzero(self.times >= self.times[index] + self.wait - 1e-3)
        late = late[late > index]
        if not late.size:
            return None
        window = range(index, int(late[0]) + 1)
        if any(self._kind(visit, level) != kind for visit in window):
            return None
        held = self.values[index : window.stop]
        return EdssEvent(
            kind=kind,
            months=float(self.times[index]),
            confirmed_months=float(self.times[late[0]]),
            reference=level,
            sustained=float(held.min() if kind == "worsening" else held.max()),
        )


def _both_visits(
    baseline: ArrayLike, follow_up: ArrayLike, rows: Sequence[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if np.size(baseline) != np.size(follow_up):
        raise refuse(
            "baseline, follow_up",
            "one score per patient at either visit",
            f"{np.size(baseline)} and {np.size(follow_up)} scores",
            "Align both by patient, NaN where a visit is missing.",
        )
    findings: list[Finding] = []
    checked = []
    for column, scores in (("baseline", baseline), ("follow_up", follow_up)):
        try:
            checked.append(check_edss(scores, column=column, rows=rows))
        except InputError as error:
            findings.extend(error.findings)
    if findings:
        raise InputError(findings)
    return checked[0], checked[1]


def _ordered_visits(
    months: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times, values = np.asarray(months, dtype=np.float64), check_edss(scores)
    if times.shape != values.shape:
        raise refuse(
            "months, scores",
            "one month per score",
            f"{times.size} and {values.size}",
            "Align them.",
        )
    times, values = times[~np.isnan(values)], values[~np.isnan(values)]
    findings = []
    if not times.size:
        findings.append(("at least one score", "none", "Leave this patient out."))
    if np.isnan(times).any() or (times < 0).any():
        wrong = times[np.isnan(times) | (times < 0)].tolist()
        findings.append(("months count from baseline, 0 or more", f"{wrong}", "Correct the dates."))
    if np.unique(times).size < times.size:
        findings.append(("one score per visit", f"months {times.tolist()}", "Drop the duplicate."))
    if findings:
        raise InputError(
            Finding(rule=rule, where="months", found=found, remedy=remedy)
            for rule, found, remedy in findings
        )
    order = np.argsort(times)
    return times[order], values[order]
