"""Step: sample sizes and power of the next trial."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from msimaging.statistics.course_models import courses
from msimaging.statistics.next_trial import plan_next_trial as sized
from msimaging.statistics.trial_data import ModelSettings
from msimaging.steps.fit_model import trial_data
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

PLAN_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "model": "Model that is planned on.",
        "label": "Region, or empty.",
        "design": "Design of the next trial.",
        "planned_on": "Which effect the size rests on.",
        "effect_name": "Kind of effect.",
        "effect": "The effect.",
        "n_present": "Patients of this trial.",
        "n_per_arm": "Evaluable patients per arm.",
        "n_total": "Evaluable patients in all.",
        "n_enrolled": "Patients to enrol, with the expected loss to follow-up.",
        "power": "Power that this number gives.",
        "alpha": "Significance level, two-sided.",
        "attrition": "Expected loss to follow-up.",
        "correlation": "Of baseline and follow-up, as in this trial.",
        "remark": "What the number assumes, or why there is none.",
    }
)
CURVE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "n": "Evaluable patients, of one group or per arm.",
        "effect": "Design and effect.",
        "power": "Power of the two-sided test.",
    }
)


def plan_next_trial(
    *,
    name: str,
    settings: Mapping[str, Any],
    next_trial: Mapping[str, Any],
    outcomes: str,
    patients: str,
    measures: str,
    changes: str,
    contributions: str,
    out_plan: str,
    out_curves: str,
) -> None:
    """Size the next trial on a paired model.

    Parameters
    ----------
    name : str
        The model.
    settings : mapping
        Of the model, as for `fit_model`.
    next_trial : mapping
        ``power alpha attrition months``.
    outcomes, patients, measures, changes : str
        Tables of the cohort.
    contributions : str
        What each patient contributed to the model.
    out_plan, out_curves : str
        ``next_trial.tsv`` and ``power_curves.tsv``.
    """
    model = ModelSettings.of(name, settings["model"])
    data = trial_data(
        settings,
        outcomes=read_table(outcomes),
        patients=read_table(patients),
        measures=read_table(measures),
        changes=read_table(changes),
        motion=pd.DataFrame(),
    )
    visits = dict(courses(model, data))
    table = read_table(contributions)
    # the last row of a model with several follow-ups is the latest of them
    latest = table[table["model"] == table["model"].iloc[-1]] if len(table) else table
    plans, curves = [], []
    for label, rows in latest.groupby(latest["label"].fillna("").astype(str), sort=False):
        plan, curve = sized(
            rows,
            visits.get(str(label), pd.DataFrame(columns=["participant_id", "months", "value"])),
            target=next_trial["power"],
            alpha=next_trial["alpha"],
            attrition=next_trial["attrition"],
            months=np.asarray(next_trial["months"], dtype=float),
            level=settings["confidence"],
        )
        plans.append(plan.assign(model=rows["model"].iloc[0], label=label))
        curves.append(curve)
    shown = curves[:1]  # one panel: of the first label
    for path, frames, columns, text in (
        (out_plan, plans, PLAN_COLUMNS, "Numbers of patients that the next trial needs."),
        (out_curves, shown, CURVE_COLUMNS, "Power against the number of patients."),
    ):
        rows = [row for frame in frames for row in frame.to_dict("records")]
        write_table(path, pd.DataFrame(rows, columns=list(columns)))
        describe(path, text, sources=[contributions, outcomes, measures], columns=columns)
