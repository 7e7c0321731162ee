"""Step: change of connectivity of one patient between two visits: edges, networks, parcels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from msimaging.longitudinal.change import connectivity_change, visit_change
from msimaging.longitudinal.comparability import graded_rules
from msimaging.steps.acquisitions import gate_pair
from msimaging.steps.changes import (
    CHANGE_COLUMNS,
    NETWORK_MEASURE,
    STRENGTH_MEASURE,
    TOO_LITTLE_DATA,
    comparability_flags,
    known_only,
)
from msimaging.steps.judging import judged_by_rescans
from msimaging.steps.parcel_tables import read_matrix, write_matrix
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

#: Flag of strengths that count other parcels at one visit than at the other.
OTHER_PARCELS = "other-parcels"
_OF_NETWORKS = "Change of mean Fisher z within and between networks, follow-up minus baseline."
_OF_STRENGTHS = (
    "Change of the strength of each parcel (mean Fisher z of its edges to all parcels that every "
    "visit of the patient covers), follow-up minus baseline. Limits and verdicts hold for one "
    "parcel by itself: of many, some are beyond them by chance."
)


def change_connectivity(
    *,
    matrices: Sequence[str],
    variances: Sequence[str],
    networks: Sequence[str],
    strengths: Sequence[str],
    scans: Sequence[Mapping[str, Any]],
    grades: Mapping[str, str],
    sessions: Sequence[str],
    repeatability: Sequence[str],
    atlases: Sequence[str],
    months: float | None,
    confidence: float,
    out_matrices: Sequence[str],
    out_errors: Sequence[str],
    out_tables: Sequence[str],
    out_strengths: Sequence[str],
) -> None:
    """Compare two visits on Fisher's scale.

    Parameters
    ----------
    matrices, variances, networks, strengths : sequence of str
        Correlations, their variances, network means, strengths of parcels: baseline and follow-up
        of the first atlas, then of the next.
    scans : sequence of mapping
        Raw files of baseline and follow-up: ``image``, ``sidecars``, ``bval``.
    grades : mapping
        How grave a difference between the acquisitions is, by field.
    sessions : sequence of str
        Both visits.
    repeatability : sequence of str
        Table of this study's own rescan noise, or nothing.
    atlases : sequence of str
        Their names.
    months : float or None
        Interval between the visits.
    confidence : float
        Coverage of the intervals.
    out_matrices, out_errors, out_tables, out_strengths : sequence of str
        Change of each edge, its standard error, change of network means and of the strength of
        parcels; one an atlas.
    """
    flags = comparability_flags(gate_pair(scans, networks[:2], graded_rules(grades)))
    span: dict[str, Any] = {"months": months, "confidence": confidence}
    for index, atlas in enumerate(atlases):
        pair = slice(2 * index, 2 * index + 2)
        tables = [read_table(path) for path in networks[pair]]
        thin = unusable_visits(tables, sessions)
        all_flags = ";".join(filter(None, (flags, *thin)))
        _write_edges(
            out_matrices[index],
            out_errors[index],
            matrices[pair],
            variances[pair],
            known=not thin,
            confidence=confidence,
            flags=all_flags,
        )
        means = network_changes(*tables, **span, known=not thin)
        own = strength_changes(
            *(read_table(path) for path in strengths[pair]), **span, known=not thin
        )
        for path, sources, table, description in (
            (out_tables[index], networks[pair], means, _OF_NETWORKS),
            (out_strengths[index], strengths[pair], own, _OF_STRENGTHS),
        ):
            given = [";".join(filter(None, (all_flags, flag))) for flag in table["flags"]]
            judged = judged_by_rescans(
                table.assign(flags=given), repeatability, modality="bold", atlas=atlas
            )
            write_table(path, judged)
            describe(
                path,
                description,
                sources=[*sources, *repeatability],
                columns={name: CHANGE_COLUMNS[name] for name in judged.columns},
            )


def _write_edges(
    out_matrix: str,
    out_error: str,
    matrices: Sequence[str],
    variances: Sequence[str],
    *,
    known: bool,
    confidence: float,
    flags: str,
) -> None:
    (before, labels), (after, _) = (read_matrix(path) for path in matrices)
    (before_var, _), (after_var, _) = (read_matrix(path) for path in variances)
    if not known:
        before, after = np.full_like(before, np.nan), np.full_like(after, np.nan)
    edges = connectivity_change(
        _without_diagonal(before),
        _without_diagonal(after),
        baseline_var_r=before_var,
        follow_up_var_r=after_var,
        confidence=confidence,
    )
    sources = [*matrices, *variances]
    write_matrix(out_matrix, edges.estimate, labels)
    describe(
        out_matrix,
        "Change of Fisher z, follow-up minus baseline.",
        sources=sources,
        Units="Fisher z",
        Comparability=flags or "no difference found",
    )
    write_matrix(out_error, edges.standard_error, labels)
    describe(
        out_error,
        "Standard error of the change of Fisher z from both runs' autocorrelation.",
        sources=sources,
        Units="Fisher z",
    )


def unusable_visits(tables: Sequence[pd.DataFrame], sessions: Sequence[str]) -> list[str]:
    """Flag the visits whose runs are left out of statistics.

    Parameters
    ----------
    tables : sequence of DataFrame
        Network means of both visits, with their column ``flags``.
    sessions : sequence of str
        Both visits.

    Returns
    -------
    list of str
        ``too-little-data:ses-month06`` for each such visit.
    """
    return [
        f"{TOO_LITTLE_DATA}:{session}"
        for table, session in zip(tables, sessions, strict=True)
        if (table["flags"] == TOO_LITTLE_DATA).any()
    ]


def network_changes(
    baseline: pd.DataFrame,
    follow_up: pd.DataFrame,
    *,
    months: float | None,
    confidence: float,
    known: bool = True,
    measure: str = NETWORK_MEASURE,
) -> pd.DataFrame:
    """Compare two tables of means of edges row by row.

    Parameters
    ----------
    baseline, follow_up : DataFrame
        Columns ``label value se``.
    months : float or None
        Interval between the visits.
    confidence : float
        Coverage of the intervals.
    known : bool
        Whether both visits may be compared; else their values stand there without a change.
    measure : str
        Name of what was averaged.

    Returns
    -------
    DataFrame
        Columns of ``changes.tsv`` from ``label`` on; no smallest detectable change is published
        for means of edges, so that ``reliable`` is missing.
    """
    both = baseline.merge(follow_up, on="label", suffixes=("_a", "_b"))
    hidden = 0.0 if known else np.nan
    change = visit_change(
        both["value_a"].to_numpy(float) + hidden,
        both["value_b"].to_numpy(float) + hidden,
        baseline_se=both["se_a"].to_numpy(float),
        follow_up_se=both["se_b"].to_numpy(float),
        months=months,
        confidence=confidence,
    )
    return pd.DataFrame(
        {
            "label": both["label"],
            "measure": measure,
            "baseline_value": both["value_a"],
            "follow_up_value": both["value_b"],
            "change": change.estimate,
            # per cent of a number that may be 0 or negative says nothing
            "percent_change": np.nan,
            "se": change.standard_error,
            "ci_low": change.ci_low,
            "ci_high": change.ci_high,
            "sdc": np.nan,
            "detectable": known_only(change.detectable, change.standard_error),
            "reliable": None,
            "flags": "",
        }
    )


def strength_changes(
    baseline: pd.DataFrame,
    follow_up: pd.DataFrame,
    *,
    months: float | None,
    confidence: float,
    known: bool = True,
) -> pd.DataFrame:
    """Compare the strengths of parcels at two visits.

    Parameters
    ----------
    baseline, follow_up : DataFrame
        Columns ``label value se``.
    months, confidence, known
        As in `network_changes`.

    Returns
    -------
    DataFrame
        As from `network_changes`. Where one visit has a parcel that the other lacks, strengths
        are means over other edges: the changes are missing, and a flag tells why.
    """
    both = baseline.merge(follow_up, on="label", suffixes=("_a", "_b"))
    same = both["value_a"].notna().eq(both["value_b"].notna()).all()
    table = network_changes(
        baseline,
        follow_up,
        months=months,
        confidence=confidence,
        known=known and bool(same),
        measure=STRENGTH_MEASURE,
    )
    return table.assign(flags="" if same or not known else OTHER_PARCELS)


def _without_diagonal(matrix: np.ndarray) -> np.ndarray:
    edges = matrix.copy()
    np.fill_diagonal(edges, np.nan)
    return edges
