"""Step: change of the tensor measures between two visits of one patient, in regions and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.longitudinal.change import visit_change
from msimaging.longitudinal.comparability import graded_rules
from msimaging.longitudinal.reliability import (
    is_reliable,
    published_repeatability,
    smallest_detectable_change,
)
from msimaging.parcellation import Parcellation
from msimaging.spatial.reorientation import direction_change
from msimaging.steps.acquisitions import gate_pair
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import carried_labels
from msimaging.steps.changes import (
    CHANGE_COLUMNS,
    comparability_flags,
    known_only,
)
from msimaging.steps.judging import PUBLISHED_SDC, judged_by_rescans
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table
from msimaging.volumes import Volume, read_volume, write_volume

#: Below this FA the radial diffusivity has no tract to be radial to (Wheeler-Kingshott 2009).
_LOW_ANISOTROPY = 0.2
#: Beyond this angle in degrees the visits' main directions do not belong together (ibid.).
_LARGEST_ANGLE = 45.0
#: Tissues too small for the published repeatability of regions.
_SMALL = frozenset({"lesion", "rim", "share", "volume"})
_COLUMNS = {
    **CHANGE_COLUMNS,
    "annualised": "Change per year, by the true interval.",
    "angle": "Median angle between the visits' main directions in the region, degrees.",
}


def change_diffusion(
    *,
    tables: Sequence[str],
    maps: Sequence[str],
    directions: Sequence[str],
    scans: Sequence[Mapping[str, Any]],
    grades: Mapping[str, str],
    repeatability: Sequence[str],
    measures: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    months: float | None,
    confidence: float,
    rescan_cov_percent: Mapping[str, float],
    out_tables: Sequence[str],
    out_maps: Sequence[str],
    out_direction: str,
) -> None:
    """Compare two visits region by region and voxel by voxel.

    Parameters
    ----------
    tables : sequence of str
        Region tables: baseline and follow-up of the first atlas, then of the next.
    maps : sequence of str
        Template-space maps: baseline and follow-up of the first measure, then of the next.
    directions : sequence of str
        Main directions in template space of baseline and follow-up.
    scans : sequence of mapping
        Raw files of baseline and follow-up: ``image``, ``sidecars``, ``bval``.
    grades : mapping
        How grave a difference between the acquisitions is, by field.
    repeatability : sequence of str
        Table of this study's own rescan noise, or nothing.
    measures : sequence of str
        The tensor measures, FA first.
    atlases : sequence of str
        Atlases of the tables.
    own : mapping
        Files of user atlases.
    months : float or None
        Interval between the visits.
    confidence : float
        Coverage of the intervals.
    rescan_cov_percent : mapping
        Between-session coefficients of variation that a person gave; others are published ones.
    out_tables, out_maps : sequence of str
        One an atlas, one a measure.
    out_direction : str
        Angle between the main directions.
    """
    flags = comparability_flags(gate_pair(scans, tables[:2], graded_rules(grades)))
    angles = _write_direction_change(directions, maps[:2], out_direction)
    for place, (name, out_table) in enumerate(zip(atlases, out_tables, strict=True)):
        pair = tables[2 * place], tables[2 * place + 1]
        changes = region_changes(
            read_table(pair[0]),
            read_table(pair[1]),
            months=months,
            confidence=confidence,
            rescan_cov_percent=rescan_cov_percent,
            angles=_region_angles(named_atlas(name, own), angles),
        )
        changes = judged_by_rescans(changes, repeatability, modality="dwi", atlas=name)
        changes["flags"] = [";".join(filter(None, (flags, own))) for own in changes["flags"]]
        write_table(out_table, changes)
        describe(
            out_table,
            "Change of tensor measures per region, follow-up minus baseline.",
            sources=[
                *(*pair, *directions, *repeatability),
                *(path for scan in scans for path in scan["sidecars"]),
            ],
            columns={name: _COLUMNS[name] for name in changes.columns},
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


def _write_direction_change(directions: Sequence[str], fa: Sequence[str], out_map: str) -> Volume:
    """Write the angle between the visits' main directions; NaN where either has none."""
    vectors = [read_volume(path, ndim=4) for path in directions]
    anisotropy = [read_volume(path, ndim=3).data for path in fa]
    change = direction_change(
        *[volume.data for volume in vectors],
        baseline_fa=anisotropy[0],
        follow_up_fa=anisotropy[1],
        min_fa=_LOW_ANISOTROPY,
    )
    has_direction = np.minimum(*anisotropy) >= _LOW_ANISOTROPY
    shown = np.where(has_direction, np.nan_to_num(change.angle), 0.0).astype(np.float32)
    write_volume(out_map, shown, vectors[0].affine)
    describe(
        out_map,
        f"Angle between the visits' main directions where FA is {_LOW_ANISOTROPY} or more at both.",
        sources=[*directions, *fa],
        Units="degree",
        SkullStripped=True,
        Model={"Description": "Diffusion tensor"},
        Resolution="grid of the template",
    )
    angle = np.where(has_direction, change.angle, np.nan)
    return Volume(data=angle, affine=vectors[0].affine)


def _region_angles(atlas: Parcellation, angles: Volume) -> dict[str, float]:
    """Return the median angle of every region, over its voxels that have a direction."""
    labels = carried_labels(
        atlas.labels_img, atlas.affine, np.eye(4), angles.data.shape, angles.affine
    )
    known = np.isfinite(angles.data)
    return {
        str(name): float(np.median(angles.data[inside]))
        for name, index in zip(atlas.names, atlas.indices, strict=True)
        if (inside := known & (labels == index)).any()
    }


def region_changes(
    baseline: pd.DataFrame,
    follow_up: pd.DataFrame,
    *,
    months: float | None,
    confidence: float,
    rescan_cov_percent: Mapping[str, float],
    angles: Mapping[str, float],
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
    angles : mapping
        Angle between the visits' main directions of each region, degrees.

    Returns
    -------
    DataFrame
        Columns of ``changes.tsv`` from ``label`` on, then ``annualised`` and ``angle``.
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
            "flags": _region_flags(both, rescan_cov_percent, angles),
            "annualised": change.annualised,
            "angle": [angles.get(str(name), np.nan) for name in both["name"]],
        }
    )


def _rescan_cov(measure: str, own: Mapping[str, float]) -> float:
    """Return the rescan's coefficient of variation; NaN where none is known."""
    base, _, tissue = measure.partition("-")
    if base not in SCALAR_METRICS or tissue in _SMALL:
        # repeatability is published for large regions of whole tissue only
        return np.nan
    return own[base] if base in own else published_repeatability(base).cov_percent


def _region_flags(
    both: pd.DataFrame, own: Mapping[str, float], angles: Mapping[str, float]
) -> list[str]:
    anisotropy = both[both["measure"].str.partition("-")[0] == "fa"]
    lowest = anisotropy[["value_a", "value_b"]].min(axis=1)
    tissue = anisotropy["measure"].str.partition("-")[2]
    named = zip(anisotropy["name"], tissue, lowest, strict=True)
    low = {(name, kind) for name, kind, fa in named if fa < _LOW_ANISOTROPY}
    flags = []
    for name, measure in zip(both["name"], both["measure"], strict=True):
        base, _, tissue_of = measure.partition("-")
        published = base in SCALAR_METRICS and base not in own and tissue_of not in _SMALL
        found = [PUBLISHED_SDC] if published else []
        if base in {"rd", "ad"} and (name, tissue_of) in low:
            found.append("low-fa")
        if base in {"rd", "ad"} and angles.get(str(name), 0.0) > _LARGEST_ANGLE:
            found.append("direction")
        flags.append(";".join(found))
    return flags
