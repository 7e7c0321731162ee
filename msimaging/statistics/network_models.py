"""Models of all edges: network-based statistics, at thresholds and without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.statistics.networks import (
    NetworkBasedStatistic,
    NetworkComponent,
    network_based_statistic,
    threshold_free_networks,
)
from msimaging.statistics.trial_data import EdgeChange, ModelResult, ModelSettings, TrialData
from msimaging.statistics.trial_pairs import LAST
from msimaging.statistics.trial_rows import (
    base_flags,
    comparison,
    design_notes,
    floor_flags,
    floor_note,
    identity,
    missing_note,
    not_tested,
)

#: A result of NBS depends on the threshold: several are told by default.
THRESHOLDS = (2.0, 3.0, 4.0)
#: All flips are gone through up to these numbers; the threshold-free form costs twenty times more.
NBS_FLIPS, THRESHOLD_FREE_FLIPS = 2**16, 2**12
#: Components or edges that are told one by one.
MAX_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Edges:
    """Changes of the patients who have them, on parcels that all files name."""

    labels: tuple[str, ...]
    matrices: NDArray[np.float64]
    reasons: pd.Series[str]


def fit_nbs(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Test connected components of changed edges at each threshold.

    Parameters
    ----------
    settings : ModelSettings
        With ``threshold`` (t, one or several), ``alternative`` and ``flips``.
    data : TrialData
        With ``edges``.

    Returns
    -------
    ModelResult
        A row per follow-up and threshold: the component of the largest intensity. All components,
        with their parcels, and the test of their sizes stand among the alternatives.
    """
    result = ModelResult()
    design_notes(settings, data, result, compares_arms=False)
    for follow_up in _sessions(settings, data):
        what = f"NBS of change to {follow_up}"
        edges = _edges(settings, data, follow_up)
        missing_note(result, edges.reasons, what=what)
        if not len(edges.matrices):
            result.rows.append(_without_edges(settings, edges, what))
            result.patients += _patients(settings, edges, what)
            continue
        for threshold in settings.threshold or THRESHOLDS:
            found, sizes = (
                network_based_statistic(
                    edges.matrices, threshold=threshold, kind=kind,
                    alternative=settings.alternative, **_flips(settings, data, NBS_FLIPS),
                )
                for kind in ("intensity", "size")
            )  # fmt: skip
            row = _nbs_row(settings, data, edges, found, what)
            result.rows.append(row)
            result.tests += [
                comparison(
                    row, f"component {place}", component.p, statistic=component.statistic,
                    p_floor=found.p_floor, remark=_told_component(component, edges),
                )
                for place, component in enumerate(found.components[:MAX_TOLD], start=1)
            ]  # fmt: skip
            result.tests.append(_size_test(row, sizes))
            _tell_flips(result, found.n_not_tested, edges, what)
            floor_note(result, test="exact NBS", n=found.n, p_floor=found.p_floor)
        result.patients += _patients(settings, edges, what)
    result.note(
        "threshold",
        "Components, and with them p, depend on the threshold of t: none of several may be chosen "
        "afterwards. What is called changed is a component as a whole, not each of its edges.",
    )
    return result


def _nbs_row(
    settings: ModelSettings,
    data: TrialData,
    edges: _Edges,
    found: NetworkBasedStatistic,
    what: str,
) -> dict[str, Any]:
    largest = found.components[0] if found.components else None
    kind = "exact" if found.exact else "random"
    flags = base_flags(settings, data, compares_arms=False) + floor_flags(found.p_floor, found.p)
    flags.append("edges-chosen-by-their-change" if largest else "no-edge-above-threshold")
    return {
        **identity(settings, f"t > {found.threshold:g}", what=what),
        "n": found.n,
        "n_excluded": int((edges.reasons != "").sum()),
        "estimate": _mean_change(largest, edges) if largest else np.nan,
        "effect": largest.n_edges if largest else 0,
        "effect_name": "edges of the component",
        "test": f"{kind} NBS by intensity, {found.n_flips} flips, {settings.alternative}",
        "statistic": largest.statistic if largest else 0.0,
        "p": found.p,
        "p_floor": found.p_floor,
        "flags": ";".join(flags),
    }


def _size_test(row: dict[str, Any], sizes: NetworkBasedStatistic) -> dict[str, Any]:
    return comparison(
        row, "NBS by size", sizes.p, p_floor=sizes.p_floor,
        statistic=sizes.components[0].statistic if sizes.components else 0.0,
        remark="number of edges; whole numbers tie: where nothing changed it rejects "
        f"{100 * sizes.attainable:.2g} % and not 5 %",
    )  # fmt: skip


def _told_component(component: NetworkComponent, edges: _Edges) -> str:
    parcels = ", ".join(edges.labels[node] for node in component.nodes)
    return (
        f"{component.direction} of {component.n_edges} edges between {len(component.nodes)} "
        f"parcels by {_mean_change(component, edges):.3g} on average: {parcels}"
    )


def _mean_change(component: NetworkComponent, edges: _Edges) -> float:
    return float(edges.matrices[:, component.edges[:, 0], component.edges[:, 1]].mean())


def fit_tfnbs(settings: ModelSettings, data: TrialData) -> ModelResult:
    """Test every edge, each helped by the components that it belongs to at all thresholds.

    Parameters
    ----------
    settings : ModelSettings
        With ``alternative`` and ``flips``.
    data : TrialData
        With ``edges``.

    Returns
    -------
    ModelResult
        A row per follow-up: the edge with the highest score; p holds over all edges. Further edges
        stand among the alternatives.
    """
    result = ModelResult()
    design_notes(settings, data, result, compares_arms=False)
    for follow_up in _sessions(settings, data):
        what = f"threshold-free NBS of change to {follow_up}"
        edges = _edges(settings, data, follow_up)
        missing_note(result, edges.reasons, what=what)
        if not len(edges.matrices):
            result.rows.append(_without_edges(settings, edges, what))
            result.patients += _patients(settings, edges, what)
            continue
        found = threshold_free_networks(
            edges.matrices, alternative=settings.alternative,
            **_flips(settings, data, THRESHOLD_FREE_FLIPS),
        )  # fmt: skip
        first, second = np.triu_indices(len(edges.labels), 1)
        scores, p = found.statistic[first, second], found.p_adjusted[first, second]
        order = np.argsort(-np.abs(np.nan_to_num(scores)), kind="stable")[:MAX_TOLD]
        told = [(edges.labels[first[e]], edges.labels[second[e]], e) for e in order]
        changes = edges.matrices[:, first, second].mean(axis=0)
        kind = "exact" if found.exact else "random"
        flags = base_flags(settings, data, compares_arms=False)
        strongest = order[0]
        row = {
            **identity(settings, " - ".join(sorted(told[0][:2])), what=what),
            "n": found.n,
            "n_excluded": int((edges.reasons != "").sum()),
            "estimate": float(changes[strongest]),
            "effect": int((p <= 0.05).sum()),
            "effect_name": "edges with p <= 0.05",
            "test": f"{kind} threshold-free NBS, {found.n_flips} flips, {settings.alternative}",
            "statistic": float(scores[strongest]),
            "p": float(p[strongest]),
            "p_floor": found.p_floor,
        }
        flags += floor_flags(found.p_floor, row["p"])
        row["flags"] = ";".join([*flags, "edges-chosen-by-their-change"])
        result.rows.append(row)
        result.tests += [
            comparison(
                row, "edge " + " - ".join(sorted((one, other))), float(p[edge]),
                statistic=float(scores[edge]), p_floor=found.p_floor,
                remark=f"mean change {changes[edge]:.3g}; p holds over all edges",
            )
            for one, other, edge in told
        ]  # fmt: skip
        _tell_flips(result, found.n_not_tested, edges, what)
        floor_note(result, test="threshold-free NBS", n=found.n, p_floor=found.p_floor)
        result.patients += _patients(settings, edges, what)
    return result


def _flips(settings: ModelSettings, data: TrialData, default: int) -> dict[str, int]:
    """Return which flips are gone through: all, as long as they are no more than asked for."""
    most = settings.flips or default
    return {"n_random": most, "max_exact": int(np.log2(most)), "seed": data.seed}


def _sessions(settings: ModelSettings, data: TrialData) -> list[str]:
    if settings.follow_up != "all":
        return [settings.follow_up]
    table = pd.DataFrame(
        [(each.follow_up, each.months) for each in data.edges], columns=["session", "months"]
    )
    middle = table.groupby("session")["months"].median()
    return [str(name) for name in sorted(middle.index, key=lambda name: (middle[name], name))]


def _chosen(settings: ModelSettings, data: TrialData, follow_up: str) -> dict[str, EdgeChange]:
    found: dict[str, EdgeChange] = {}
    for each in sorted(data.edges, key=lambda each: each.months):
        if settings.baseline and each.baseline != settings.baseline:
            continue
        if settings.atlas and each.atlas != settings.atlas:
            continue
        if follow_up in (LAST, each.follow_up):
            found[each.participant_id] = each
    return found


def _edges(settings: ModelSettings, data: TrialData, follow_up: str) -> _Edges:
    """Lay the matrices of all patients on the same parcels, and say who has none."""
    chosen = _chosen(settings, data, follow_up)
    # sorted: of edges with equal scores the first is told whatever the order in the files
    labels = tuple(sorted({label for each in chosen.values() for label in each.labels}))
    reasons, matrices = {}, []
    for name in data.patients["participant_id"].astype(str):
        if name not in chosen:
            reasons[name] = "no scan at baseline or follow-up"
            continue
        matrix = _on_labels(chosen[name], labels)
        known = np.isfinite(matrix[np.triu_indices(len(labels), 1)]).mean()
        # a patient who lacks most edges must not decide which ones all others are judged by
        reasons[name] = "" if known > 0.5 else "fewer than half of the edges"
        if not reasons[name]:
            matrices.append(matrix)
    stacked = np.stack(matrices) if matrices else np.empty((0, len(labels), len(labels)))
    return _Edges(labels=labels, matrices=stacked, reasons=pd.Series(reasons, dtype=str))


def _on_labels(change: EdgeChange, labels: Sequence[str]) -> NDArray[np.float64]:
    table = pd.DataFrame(change.matrix, index=change.labels, columns=change.labels)
    return table.reindex(index=list(labels), columns=list(labels)).to_numpy(dtype=np.float64)


def _without_edges(settings: ModelSettings, edges: _Edges, what: str) -> dict[str, Any]:
    reason = f"no patient left: {', '.join(sorted(set(edges.reasons)))}"
    return not_tested(settings, "", what=what, n=0, n_excluded=len(edges.reasons), reason=reason)


def _tell_flips(result: ModelResult, n_not_tested: int, edges: _Edges, what: str) -> None:
    if n_not_tested:
        n_edges = len(edges.labels) * (len(edges.labels) - 1) // 2
        result.note(
            "edges",
            f"{what}: {n_not_tested} of {n_edges} edges are not tested, because a patient lacks "
            "them at a visit.",
        )


def _patients(settings: ModelSettings, edges: _Edges, what: str) -> list[dict[str, Any]]:
    name = identity(settings, "", what=what)
    return [
        {
            **{key: name[key] for key in ("model", "atlas", "label", "measure")},
            "participant_id": patient,
            "used": reason == "",
            "reason": reason,
        }
        for patient, reason in edges.reasons.items()
    ]
