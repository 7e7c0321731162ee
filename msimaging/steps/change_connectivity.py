"""Step: change of connectivity between two visits of one patient, edge by edge and by network."""

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
    TOO_LITTLE_DATA,
    comparability_flags,
    known_only,
)
from msimaging.steps.judging import judged_by_rescans
from msimaging.steps.parcel_tables import read_matrix, write_matrix
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

#: Name of network means among the measures.
NETWORK_MEASURE = "fisherz"


def change_connectivity(
    *,
    matrices: Sequence[str],
    variances: Sequence[str],
    networks: Sequence[str],
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
) -> None:
    """Compare two visits on Fisher's scale.

    Parameters
    ----------
    matrices, variances, networks : sequence of str
        Correlations, their variances, network means: baseline and follow-up of the first atlas,
        then of the next.
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
    out_matrices, out_errors, out_tables : sequence of str
        Change of each edge, its standard error, change of network means; one an atlas.
    """
    flags = comparability_flags(gate_pair(scans, networks[:2], graded_rules(grades)))
    for index, out_matrix in enumerate(out_matrices):
        pair = slice(2 * index, 2 * index + 2)
        (before, labels), (after, _) = (read_matrix(path) for path in matrices[pair])
        (before_var, _), (after_var, _) = (read_matrix(path) for path in variances[pair])
        tables = [read_table(path) for path in networks[pair]]
        thin = unusable_visits(tables, sessions)
        if thin:
            before, after = np.full_like(before, np.nan), np.full_like(after, np.nan)
        all_flags = ";".join(filter(None, (flags, *thin)))
        edges = connectivity_change(
            _without_diagonal(before),
            _without_diagonal(after),
            baseline_var_r=before_var,
            follow_up_var_r=after_var,
            confidence=confidence,
        )
        sources = [*matrices[pair], *variances[pair]]
        write_matrix(out_matrix, edges.estimate, labels)
        describe(
            out_matrix,
            "Change of Fisher z, follow-up minus baseline.",
            sources=sources,
            Units="Fisher z",
            Comparability=all_flags or "no difference found",
        )
        write_matrix(out_errors[index], edges.standard_error, labels)
        describe(
            out_errors[index],
            "Standard error of the change of Fisher z from both runs' autocorrelation.",
            sources=sources,
            Units="Fisher z",
        )
        table = network_changes(*tables, months=months, confidence=confidence, known=not thin)
        table["flags"] = all_flags
        table = judged_by_rescans(table, repeatability, modality="bold", atlas=atlases[index])
        write_table(out_tables[index], table)
        describe(
            out_tables[index],
            "Change of mean Fisher z within and between networks, follow-up minus baseline.",
            sources=[*networks[pair], *repeatability],
            columns={name: CHANGE_COLUMNS[name] for name in table.columns},
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
) -> pd.DataFrame:
    """Compare two tables of network means row by row.

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

    Returns
    -------
    DataFrame
        Columns of ``changes.tsv`` from ``label`` on; no smallest detectable change is published
        for network means, so that ``reliable`` is missing.
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
            "measure": NETWORK_MEASURE,
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


def _without_diagonal(matrix: np.ndarray) -> np.ndarray:
    edges = matrix.copy()
    np.fill_diagonal(edges, np.nan)
    return edges
