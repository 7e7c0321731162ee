"""Model of patients who changed: responders under every rule, groups and placebo beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from msimaging.statistics.clinical import (
    EDSS_RULES,
    classify_change,
    classify_edss,
    classify_timed_test,
    edss_plus,
    reliable_change,
)
from msimaging.statistics.proportions import compare_proportions, compare_with_rate, wilson_interval
from msimaging.statistics.survival_models import patient_events
from msimaging.statistics.trial_data import ModelResult, ModelSettings, TrialData, group_of
from msimaging.statistics.trial_pairs import LAST, Choice, choice_of, paired_values
from msimaging.statistics.trial_rows import (
    base_flags,
    comparison,
    design_notes,
    floor_flags,
    identity,
    missing_note,
    not_tested,
)

LABELS = ("improved", "stable", "worsened")
#: What a timed walk or peg test must change by, as part of baseline (Hobart 2013).
TIMED_FRACTION = 0.2


def fit_responders(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Count who improved and worsened, and compare groups or a historical placebo rate.

    Parameters
    ----------
    settings : ModelSettings
        With ``rule`` for EDSS, ``components`` for EDSS-Plus, ``group`` and ``more_than``.
    data : TrialData
        Of the trial.

    Returns
    -------
    ModelResult
        One row; counts under every rule of EDSS, whichever the row rests on.
    """
    result = ModelResult()
    by_arm = settings.group == "arm"
    design_notes(settings, data, result, compares_arms=by_arm)
    follow_up = LAST if settings.follow_up == "all" else settings.follow_up
    rules = _labels_by_rule(settings, data, follow_up)
    for rule, table in rules.items():
        result.counts += _counts(settings, data, table, rule)
    chosen = settings.rule or next(iter(rules))
    table = rules[chosen]
    missing_note(result, table["reason"], what=f"responders of {settings.outcome} at {follow_up}")
    what = f"improved at {follow_up}, rule {chosen}"
    known = table[table["label"] != "missing"]
    if known.empty:
        row = not_tested(
            settings, "", what=what, n=0, n_excluded=len(table), reason="no patient has both visits"
        )
        result.rows.append(row)
        return result
    if settings.group:
        result.add(_compared_groups(settings, data, table, what))
    else:
        result.add(_single_arm(settings, data, table, what))
    _rule_note(result, rules)
    return result


def _labels_by_rule(
    settings: ModelSettings, data: TrialData, follow_up: str
) -> dict[str, pd.DataFrame]:
    """Return ``label reason`` of every patient under each rule that fits the outcome."""
    if settings.components:
        return {"edss-plus": _edss_plus(settings, data, follow_up)}
    declared = data.declared[settings.outcome]
    pairs = paired_values(choice_of(settings), data, follow_up)[""]
    before, after = pairs["baseline_value"], pairs["follow_up_value"]
    reasons = pairs["reason"]
    if settings.confirmation_weeks is not None:
        return {settings.rule or "kragt": _confirmed(settings, data, pairs)}
    if declared.type == "edss":
        return {
            rule: _labelled(pairs, classify_edss(before, after, rule=rule), reasons)
            for rule in EDSS_RULES
        }
    if declared.retest:
        index = reliable_change(
            before, after, **declared.retest, higher_is_better=not declared.lower_is_better
        )
        return {"reliable": _labelled(pairs, index.label, reasons)}
    labels = classify_change(
        before,
        after,
        points=declared.responder_points,
        fraction=declared.responder_fraction,
        higher_is_better=not declared.lower_is_better,
    )
    return {"declared change": _labelled(pairs, labels, reasons)}


def _labelled(table: pd.DataFrame, labels: Any, reasons: pd.Series[str]) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, "reason": reasons}, index=table.index)


def _edss_plus(settings: ModelSettings, data: TrialData, follow_up: str) -> pd.DataFrame:
    """Combine EDSS, T25FW and 9HPT: any component that changed counts, worsening first."""
    edss, *timed = (
        paired_values(Choice(measure=name, baseline=settings.baseline), data, follow_up)[""]
        for name in settings.components
    )
    labels = [classify_edss(edss["baseline_value"], edss["follow_up_value"], rule="kragt")]
    labels += [
        classify_timed_test(
            part["baseline_value"], part["follow_up_value"], fraction=TIMED_FRACTION
        )
        for part in timed
    ]
    combined = edss_plus(*labels)
    label = np.select([combined.worsened, combined.improved], ["worsened", "improved"], "stable")
    label = np.where(combined.n_components == 0, "missing", label)
    reasons = np.where(combined.n_components == 0, "no component at both visits", "")
    return pd.DataFrame({"label": label, "reason": reasons}, index=edss.index)


def _confirmed(settings: ModelSettings, data: TrialData, pairs: pd.DataFrame) -> pd.DataFrame:
    """Label patients by their confirmed events: worsening first."""
    events = patient_events(settings, data).reindex(pairs.index)
    label = np.select(
        [events["worsened"].eq(1.0), events["improved"].eq(1.0)],
        ["worsened", "improved"],
        "stable",
    )
    label = np.where(events["worsened"].isna(), "missing", label)
    return _labelled(pairs, label, events["reason"].fillna("no value"))


def _groups(
    settings: ModelSettings, data: TrialData, table: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    if not settings.group:
        return {"all": table}
    group = group_of(settings, data).reindex(table.index)
    names = sorted(str(name) for name in group.dropna().unique())
    # the treated, or those with more, come first: differences are theirs minus the others
    names.sort(key=lambda name: (name == data.control, not name.startswith("more than")))
    return {name: table[group.astype(str) == name] for name in names}


def _counts(
    settings: ModelSettings, data: TrialData, table: pd.DataFrame, rule: str
) -> list[dict[str, Any]]:
    rows = []
    for name, members in _groups(settings, data, table).items():
        known = members[members["label"] != "missing"]
        for label in LABELS if len(known) else ():
            share = wilson_interval(
                int((known["label"] == label).sum()), len(known), level=data.level
            )
            rows.append(
                {
                    "model": settings.name,
                    "table": "responders",
                    "measure": settings.outcome,
                    "rule": rule,
                    "group": name,
                    "outcome": label,
                    "months": np.nan,
                    "k": share.k,
                    "n": share.n,
                    "share": share.estimate,
                    "ci_low": share.ci_low,
                    "ci_high": share.ci_high,
                }
            )
    return rows


def _compared_groups(
    settings: ModelSettings, data: TrialData, table: pd.DataFrame, what: str
) -> ModelResult:
    result = ModelResult()
    groups = _groups(settings, data, table)
    known = {name: rows[rows["label"] != "missing"] for name, rows in groups.items()}
    known = {name: rows for name, rows in known.items() if len(rows)}
    n = sum(map(len, known.values()))
    if len(known) != 2:
        row = not_tested(
            settings, "", what=what, n=n, n_excluded=len(table) - n,
            reason=f"two groups are compared, there are {len(known)}",
        )  # fmt: skip
        result.rows.append(row)
        return result
    (first, a), (second, b) = known.items()
    k_a, k_b = (int((rows["label"] == "improved").sum()) for rows in (a, b))
    found = compare_proportions(k_a, len(a), k_b, len(b), level=data.level)
    by_arm = settings.group == "arm"
    flags = base_flags(settings, data, compares_arms=by_arm) + floor_flags(found.p_floor, found.p)
    if settings.more_than is not None:
        flags.append("post-hoc-subgroup")
    row = {
        **identity(settings, "", what=f"{what}, {first} - {second}"),
        "n": found.n,
        "n_excluded": len(table) - found.n,
        "estimate": found.estimate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "effect": found.odds_ratio,
        "effect_name": "odds ratio",
        "test": "Fisher exact, two-sided",
        "statistic": np.nan,
        "p": found.p,
        "p_floor": found.p_floor,
    }
    told = f"{k_a} of {len(a)} ({first}) against {k_b} of {len(b)} ({second}) improved"
    if found.depends_on_test:
        flags.append("depends-on-test")
    result.note("test", _test_sentence(told, found.p_by_test, depends=found.depends_on_test))
    row["flags"] = ";".join(flags)
    result.rows.append(row)
    result.tests += [comparison(row, name, p) for name, p in found.p_by_test.items()]
    return result


def _test_sentence(told: str, p_by_test: Any, *, depends: bool) -> str:
    values = "; ".join(f"{name} p = {p:.3f}" for name, p in p_by_test.items() if not np.isnan(p))
    claim = (
        "The claim depends on the test: some of these lie below 0.05 and others do not; Fisher's "
        "is the one to report."
        if depends
        else "All these tests lie on the same side of 0.05."
    )
    return f"{told}: {values}. {claim}"


def _single_arm(
    settings: ModelSettings, data: TrialData, table: pd.DataFrame, what: str
) -> ModelResult:
    result = ModelResult()
    known = table[table["label"] != "missing"]
    k, n = int((known["label"] == "improved").sum()), len(known)
    share = wilson_interval(k, n, level=data.level)
    row = {
        **identity(settings, "", what=what),
        "n": n,
        "n_excluded": len(table) - n,
        "estimate": share.estimate,
        "ci_low": share.ci_low,
        "ci_high": share.ci_high,
        "effect": share.estimate,
        "effect_name": "share improved, Wilson interval",
        "p": np.nan,
        "flags": ";".join(base_flags(settings, data, compares_arms=False)),
    }
    if data.placebo_rate is not None and _is_disability(settings, data):
        found = compare_with_rate(k, n, rate=data.placebo_rate, level=data.level)
        row |= {
            "test": f"exact binomial against a placebo rate of {data.placebo_rate:.3g}",
            "p": found.p,
            "p_floor": found.p_floor,
        }
        inside = share.ci_low <= data.placebo_rate <= share.ci_high
        source = f" ({data.placebo_source})" if data.placebo_source else ""
        result.note(
            "placebo",
            f"{k} of {n} improved, {100 * share.estimate:.1f} % ({100 * share.ci_low:.1f} to "
            f"{100 * share.ci_high:.1f} %). Under placebo elsewhere{source} "
            f"{100 * data.placebo_rate:.0f} % improved, which lies "
            f"{'inside' if inside else 'outside'} this interval; that rate is of other patients.",
        )
    else:
        row["test"] = "none: a single arm has no comparison"
    result.rows.append(row)
    return result


def _is_disability(settings: ModelSettings, data: TrialData) -> bool:
    """Return whether a placebo rate of disability belongs beside the outcome."""
    return bool(settings.components) or data.declared[settings.outcome].type == "edss"


def _rule_note(result: ModelResult, rules: dict[str, pd.DataFrame]) -> None:
    """Tell how the tally depends on the rule."""
    if len(rules) < 2:
        return
    told = "; ".join(
        f"rule {rule}: "
        + ", ".join(f"{int((table['label'] == label).sum())} {label}" for label in LABELS)
        for rule, table in rules.items()
    )
    differ = len({tuple(table["label"]) for table in rules.values()}) > 1
    verdict = "The tally depends on the rule" if differ else "All rules give one tally"
    result.note("rule", f"{verdict}. {told}.")
