"""One door to all models of the trial, and the correction within their families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from msimaging.statistics.between_models import fit_ancova, fit_association
from msimaging.statistics.course_models import fit_friedman, fit_mixed, fit_slopes
from msimaging.statistics.event_models import fit_responders
from msimaging.statistics.inference import adjust_p_values
from msimaging.statistics.network_models import fit_nbs, fit_tfnbs
from msimaging.statistics.paired_models import fit_paired
from msimaging.statistics.survival_models import fit_time_to_event
from msimaging.statistics.trial_data import ModelKind, ModelResult, ModelSettings, TrialData
from msimaging.statistics.trial_rows import not_tested

_COMMON = {"kind", "family", "outcome"}
_IMAGING = {"atlas", "labels", "summary"}
_PAIR = {"baseline", "follow_up"}
_SECOND = {"with", "with_atlas", "with_labels", "method", "covariates"}
_NETWORKS = {"atlas", "alternative", "flips"}
_EDSS = {"rule", "confirmation_weeks", "reference"}

#: What each kind of model does, and which settings it knows.
KINDS: Mapping[ModelKind, tuple[Callable[[ModelSettings, TrialData], ModelResult], set[str]]] = (
    MappingProxyType(
        {
            "paired": (fit_paired, _COMMON | _IMAGING | _PAIR | {"alternative", "adjustment"}),
            "slopes": (fit_slopes, _COMMON | _IMAGING | {"knot"}),
            "mixed": (
                fit_mixed,
                _COMMON
                | _IMAGING
                | {"knot", "group", "more_than", "covariates", "random_slope", "bootstrap"},
            ),
            "friedman": (fit_friedman, _COMMON | _IMAGING),
            "ancova": (
                fit_ancova,
                _COMMON | _IMAGING | _PAIR | {"group", "more_than", "covariates"},
            ),
            "association": (fit_association, _COMMON | _IMAGING | _PAIR | _SECOND),
            "time-to-event": (fit_time_to_event, _COMMON | _EDSS | {"event", "group", "more_than"}),
            "nbs": (fit_nbs, _COMMON | _PAIR | _NETWORKS | {"threshold"}),
            "tfnbs": (fit_tfnbs, _COMMON | _PAIR | _NETWORKS),
            "responders": (
                fit_responders,
                _COMMON | _PAIR | _EDSS | {"components", "group", "more_than"},
            ),
        }
    )
)


def fit_trial_model(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Fit one model as declared.

    Parameters
    ----------
    settings : ModelSettings
        The model.
    data : TrialData
        Of the trial; the order of its rows does not matter.

    Returns
    -------
    ModelResult
        At least one row: a model without any value to work on says so.
    """
    result = KINDS[settings.kind][0](settings, data)
    if not result.rows:
        result.rows.append(
            not_tested(
                settings, "", what=settings.kind, n=0, n_excluded=len(data.patients),
                reason=f"no values of {settings.outcome}",
            )
        )  # fmt: skip
    _tell_images(settings, data, result)
    return result


def _tell_images(settings: ModelSettings, data: TrialData, result: ModelResult) -> None:
    """Name modality and atlas of an imaging measure in every row."""
    if data.is_clinical(settings.outcome) or settings.outcome not in set(data.values["measure"]):
        return
    images = data.values[data.values["measure"] == settings.outcome]
    told = {
        "modality": str(images["modality"].iloc[0]),
        "atlas": settings.atlas or str(images["atlas"].iloc[0]),
    }
    for row in result.rows:
        row.update(told)
    for row in (*result.tests, *result.patients):
        row["atlas"] = told["atlas"]


def adjust_families(
    rows: Sequence[Mapping[Any, Any]], methods: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Correct the p-values of all models within their families.

    Parameters
    ----------
    rows : list of dict
        With ``family p`` and, where a model has corrected its own rows, ``p_adjusted``.
    methods : mapping
        Correction by family.

    Returns
    -------
    list of dict
        Rows with ``p_adjusted adjustment``, in their order.
    """
    adjusted = [dict(row) for row in rows]
    for family, method in methods.items():
        own = [row for row in adjusted if row["family"] == family and not _has_own(row)]
        p = [float(row.get("p", np.nan)) for row in own]
        n_tests = int(np.isfinite(p).sum())
        values = adjust_p_values(p, method=method)  # type: ignore[arg-type] # the schema's words
        for row, value in zip(own, values, strict=True):
            row["p_adjusted"] = value
            row["adjustment"] = f"{method} over {n_tests} tests of family {family}"
    return adjusted


def _has_own(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("adjustment"), str) and row["adjustment"].startswith("max-t")
