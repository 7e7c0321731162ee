"""Step: change of the tensor measures between two visits of one patient, in regions and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from msimaging.bids.sidecars import read_acquisition
from msimaging.longitudinal.change import visit_change
from msimaging.longitudinal.comparability import compare_acquisitions
from msimaging.longitudinal.reliability import (
    is_reliable,
    published_repeatability,
    smallest_detectable_change,
)
from msimaging.steps.changes import CHANGE_COLUMNS, comparability_flags, known_only
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table
from msimaging.volumes import read_volume, write_volume

#: Below this FA the radial diffusivity has no tract to be radial to (Wheeler-Kingshott 2009).
_LOW_ANISOTROPY = 0.2


def change_diffusion(
    *,
    tables: Sequence[str],
    maps: Sequence[str],
    sidecars: Sequence[str],
    measures: Sequence[str],
    months: float | None,
    confidence: float,
    rescan_cov_percent: Mapping[str, float],
    out_tables: Sequence[str],
    out_maps: Sequence[str],
) -> None:
    """Compare two visits region by region and voxel by voxel.

    Parameters
    ----------
    tables : sequence of str
        Region tables: baseline and follow-up of the first atlas, then of the next.
    maps : sequence of str
        Template-space maps: baseline and follow-up of the first measure, then of the next.
    sidecars : sequence of str
        Acquisition of baseline and follow-up.
    measures : sequence of str
        The tensor measures.
    months : float or None
        Interval between the visits.
    confidence : float
        Coverage of the intervals.
    rescan_cov_percent : mapping
        The study's own between-session coefficients of variation; others are published ones.
    out_tables, out_maps : sequence of str
        One a atlas, one a measure.
    """
    acquisitions = [read_acquisition([path]) for path in sidecars]
    flags = comparability_flags(compare_acquisitions(*acquisitions))
    for first, out_table in zip(range(0, len(tables), 2), out_tables, strict=True):
        pair = tables[first], tables[first + 1]
        changes = region_changes(
            read_table(pair[0]),
            read_table(pair[1]),
            months=months,
            confidence=confidence,
            rescan_cov_percent=rescan_cov_percent,
        )
        changes["flags"] = [";".join(filter(None, (flags, own))) for own in changes["flags"]]
        write_table(out_table, changes)
        describe(
            out_table,
            "Change of tensor measures per region, follow-up minus baseline.",
            sources=[*pair, *sidecars],
            columns={name: CHANGE_COLUMNS[name] for name in changes.columns},
            Months=months,
            Comparability=flags or "no difference found",
        )
    for index, (measure, out_map) in enumerate(zip(measures, out_maps, strict=True)):
        pair = maps[2 * index], maps[2 * index + 1]
        baseline, follow_up = (read_volume(path, ndim=3) for path in pair)
        both = (baseline.data != 0) & (follow_up.data != 0)
        write_volume(out_map, np.where(both, follow_up.data - baseline.data, 0.0), baseline.affine)
        describe(
            out_map,
            f"Change of {measure.upper()}, follow-up minus baseline.",
            sources=pair,
            Units="1" if measure == "fa" else "mm2/s",
            SkullStripped=True,
            Model={"Description": "Diffusion tensor"},
            Resolution="grid of the template",
        )


def region_changes(
    baseline: pd.DataFrame,
    follow_up: pd.DataFrame,
    *,
    months: float | None,
    confidence: float,
    rescan_cov_percent: Mapping[str, float],
) -> pd.DataFrame:
    """Compare two region tables row by row.

    Parameters
    ----------
    baseline, follow_up : DataFrame
        Columns ``name measure value se coverage``.
    months : float or None
        Interval between the visits.
    confidence : float
        Coverage of the intervals.
    rescan_cov_percent : mapping
        The study's own between-session coefficients of variation by measure, in per cent.

    Returns
    -------
    DataFrame
        Columns of ``changes.tsv`` from ``label`` on.
    """
    both = baseline.merge(follow_up, on=["name", "measure"], suffixes=("_a", "_b"))
    values = both["value_a"].to_numpy(float), both["value_b"].to_numpy(float)
    change = visit_change(
        *values,
        baseline_se=both["se_a"].to_numpy(float),
        follow_up_se=both["se_b"].to_numpy(float),
        months=months,
        confidence=confidence,
    )
    cov = [_rescan_cov(measure, rescan_cov_percent) for measure in both["measure"]]
    within_sd = np.array(cov) / 100 * np.mean(values, axis=0)
    sdc = smallest_detectable_change(within_sd, confidence=confidence)
    return pd.DataFrame(
        {
            "label": both["name"],
            "measure": both["measure"],
            "baseline_value": values[0],
            "follow_up_value": values[1],
            "change": change.estimate,
            "percent_change": change.percent_change,
            "se": change.standard_error,
            "ci_low": change.ci_low,
            "ci_high": change.ci_high,
            "sdc": sdc,
            "detectable": known_only(change.detectable, change.standard_error),
            "reliable": known_only(is_reliable(change, sdc), sdc),
            "flags": _region_flags(both, rescan_cov_percent),
        }
    )


def _rescan_cov(measure: str, own: Mapping[str, float]) -> float:
    return own[measure] if measure in own else published_repeatability(measure).cov_percent


def _region_flags(both: pd.DataFrame, own: Mapping[str, float]) -> list[str]:
    anisotropy = both[both["measure"] == "fa"].set_index("name")[["value_a", "value_b"]]
    low = set(anisotropy.index[anisotropy.min(axis=1) < _LOW_ANISOTROPY])
    flags = []
    for name, measure in zip(both["name"], both["measure"], strict=True):
        found = [] if measure in own else ["published-sdc"]
        if measure in {"rd", "ad"} and name in low:
            found.append("fa-below-0.2")
        flags.append(";".join(found))
    return flags
