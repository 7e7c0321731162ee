"""The primary result under every defensible choice of the analysis (Simonsohn 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from msimaging.statistics.effects import paired_effect
from msimaging.statistics.sign_flip import sign_flip_test
from msimaging.statistics.trial_data import ModelSettings, TrialData
from msimaging.statistics.trial_pairs import choice_of, follow_ups, paired_values

#: What tells the analyses apart.
CHOICES = ("measure", "atlas", "strategy", "fit", "summary", "follow_up", "scale", "patients")

_SUMMARIES: tuple[Literal["mean", "median"], ...] = ("mean", "median")


def specification_curve(
    settings: ModelSettings,
    data: TrialData,
    strategies: pd.DataFrame,
    *,
    fit: str = "wls",
    fits: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Repeat a paired model over every choice that the data offer.

    Choices are measures, atlases, summaries, visits, scales, patients, strategies of denoising, and
    tensor fits.

    Parameters
    ----------
    settings : ModelSettings
        The primary paired model, which is marked as prespecified.
    data : TrialData
        Of the trial; every measure and atlas of its changes takes part that shares the modality.
    strategies : DataFrame
        Changes of network means under every strategy of denoising (``strategy`` and the columns of
        the changes), the primary one first; empty where there are none.
    fit : str
        Tensor fit behind the changes of the trial.
    fits : DataFrame, optional
        Changes of regions under other fits (``fit`` and the columns of the changes).

    Returns
    -------
    DataFrame
        A row per analysis: `CHOICES`, ``n estimate ci_low ci_high p p_floor prespecified``; the
        estimate is Hedges g, so that measures of different units stand on one axis.
    """
    rows = []
    for strategy, fitted, under in _alternatives(settings, data, strategies, fit, fits):
        choice = {"strategy": strategy, "fit": fitted}
        for variant in _variants(settings, under):
            rows += [{**row, **choice} for row in _analyses(variant, under)]
    columns = [*CHOICES, "n", "estimate", "ci_low", "ci_high", "p", "p_floor", "prespecified"]
    table = pd.DataFrame(rows, columns=columns)
    first = rows[0] if rows else {}
    planned = _planned(settings, data) | {key: first.get(key, "") for key in ("strategy", "fit")}
    same = np.logical_and.reduce([table[key] == value for key, value in planned.items()])
    return table.assign(prespecified=same).drop_duplicates(list(CHOICES)).reset_index(drop=True)


def _alternatives(
    settings: ModelSettings,
    data: TrialData,
    strategies: pd.DataFrame,
    fit: str,
    fits: pd.DataFrame | None,
) -> Iterator[tuple[str, str, TrialData]]:
    """Yield the data under each strategy of denoising or tensor fit, the one of all else first."""
    if data.is_clinical(settings.outcome):
        yield "none", "none", data
    elif settings.outcome in set(strategies["measure"]):
        for strategy, changes in strategies.groupby("strategy", sort=False):
            yield str(strategy), "none", replace(data, changes=changes)
    else:
        is_tensor = (
            data.changes.loc[data.changes["measure"] == settings.outcome, "modality"] == "dwi"
        ).any()
        yield "none", fit if is_tensor else "none", data
        for other, changes in fits.groupby("fit", sort=False) if fits is not None else ():
            yield "none", str(other), replace(data, changes=_under_fit(data.changes, changes))


def _under_fit(changes: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Put the values of another fit in the place of those of the same comparisons."""
    keys = ["participant_id", "baseline", "follow_up", "atlas", "label", "measure"]
    values = ["baseline_value", "follow_up_value", "change"]
    both = changes.drop(columns=values).merge(others[[*keys, *values]], on=keys)
    known = changes.set_index(keys)["change"].notna()
    kept = known.reindex(pd.MultiIndex.from_frame(both[keys])).to_numpy()
    # a comparison that was not allowed stays away
    return both.assign(change=both["change"].where(kept))


def _planned(settings: ModelSettings, data: TrialData) -> dict[str, str]:
    clinical = data.is_clinical(settings.outcome)
    follow_up = next(iter(follow_ups(choice_of(settings), data, settings.follow_up)), "")
    return {
        "measure": settings.outcome,
        "atlas": "none" if clinical else settings.atlas or "all",
        "summary": "none" if clinical else _one_number(settings),
        "follow_up": follow_up,
        "scale": "units",
        "patients": "all",
    }


def _one_number(settings: ModelSettings) -> Literal["none", "mean", "median"]:
    return "mean" if settings.summary == "none" else settings.summary


def _variants(settings: ModelSettings, data: TrialData) -> Iterator[ModelSettings]:
    """Yield the model with other measures, atlases and summaries."""
    if data.is_clinical(settings.outcome):
        yield settings
        return
    changes = data.changes
    modality = set(changes.loc[changes["measure"] == settings.outcome, "modality"])
    alike = changes[changes["modality"].isin(modality)]
    for measure, atlas in alike[["measure", "atlas"]].drop_duplicates().itertuples(index=False):
        for summary in _SUMMARIES:
            # labels of one atlas are none of another
            labels = settings.labels if atlas == settings.atlas else ()
            yield replace(settings, outcome=measure, atlas=atlas, summary=summary, labels=labels)
    if not settings.atlas:
        yield replace(settings, summary=_one_number(settings))


def _analyses(settings: ModelSettings, data: TrialData) -> Iterator[dict[str, Any]]:
    choice = choice_of(settings)
    clinical = data.is_clinical(settings.outcome)
    sessions = follow_ups(choice, data, "all")
    if settings.follow_up == "last":
        sessions.append("last")
    flagged = _flagged_patients(settings, data)
    for follow_up in sessions:
        for table in paired_values(choice, data, follow_up).values():
            for patients, kept in (("all", table), ("without flags", table.drop(index=flagged))):
                if patients != "all" and not flagged:
                    continue
                for scale in ("units", "percent of baseline"):
                    numbers = _numbers(kept, scale, data)
                    if numbers:
                        yield {
                            "measure": settings.outcome,
                            "atlas": "none" if clinical else settings.atlas or "all",
                            "summary": "none" if clinical else settings.summary,
                            "follow_up": follow_up,
                            "scale": scale,
                            "patients": patients,
                            **numbers,
                        }


def _flagged_patients(settings: ModelSettings, data: TrialData) -> list[str]:
    """Return patients with a flag on any of the changes that the model uses."""
    if data.is_clinical(settings.outcome) or "flags" not in data.changes:
        return []
    rows = data.changes[data.changes["measure"] == settings.outcome]
    # where the noise of a rescan was taken from says nothing against a change
    grave = rows["flags"].fillna("").astype(str).str.split(";").map(_is_grave)
    flagged = rows[grave]
    return sorted(set(flagged["participant_id"]))


def _is_grave(flags: list[str]) -> bool:
    return any(flag and not flag.startswith("published") for flag in flags)


def _numbers(table: pd.DataFrame, scale: str, data: TrialData) -> dict[str, Any]:
    changes = table["change"].to_numpy(dtype=float)
    if scale != "units":
        before = table["baseline_value"].to_numpy(dtype=float)
        if not (before[~np.isnan(before)] > 0).all():
            return {}
        changes = 100 * changes / before
    effect = paired_effect(np.zeros_like(changes), changes, level=data.level)
    if effect.n < 3 or effect.reason:
        return {}
    flips = sign_flip_test(changes, seed=data.seed)
    return {
        "n": effect.n,
        "estimate": effect.hedges_g,
        "ci_low": effect.hedges_g_low,
        "ci_high": effect.hedges_g_high,
        "p": flips.p,
        "p_floor": flips.p_floor,
    }
