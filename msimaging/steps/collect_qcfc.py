"""Step: whether motion still shows in the connectivity of the cohort, where n allows to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from msimaging.functional.edges import fisher_z, upper_triangle
from msimaging.functional.quality import edge_distance, parcel_distances, qc_fc
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.parcel_tables import read_matrix
from msimaging.steps.records import describe
from msimaging.tables import read_json, read_table, sidecar_of, write_table

QCFC_COLUMNS = {
    "atlas": "Atlas of the edges.",
    "comparison": "first visits, changes (over patients: edges against mean framewise "
    "displacement, or the changes of both), or the pair of one patient.",
    "participant_id": "Patient, for a pair of visits.",
    "baseline": "Earlier visit.",
    "follow_up": "Later visit.",
    "n": "Patients.",
    "fd_change": "Change of mean framewise displacement, mm.",
    "median_absolute_r": "Median over edges of the absolute correlation with motion.",
    "share_significant": "Share of edges with p below .05, uncorrected.",
    "distance_dependence": "Spearman correlation with the parcels' distance: of the edges' "
    "correlation with motion, or of one patient's change of the edges.",
    "refusal": "Why nothing is reported.",
}


def collect_qcfc(
    *,
    matrices: Sequence[str],
    qualities: Sequence[str],
    visits: Sequence[tuple[str, str]],
    pairs: Sequence[Mapping[str, Any]],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    out_table: str,
) -> None:
    """Relate edges to motion over patients, and each patient's change of both.

    Parameters
    ----------
    matrices : sequence of str
        Correlations of all visits of the first atlas, then of the next.
    qualities : sequence of str
        Quality tables of all visits.
    visits : sequence of (str, str)
        Patient and session of each visit.
    pairs : sequence of mapping
        ``participant_id baseline follow_up`` of each comparison.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    out_table : str
        ``qcfc.tsv``.
    """
    keys = [tuple(visit) for visit in visits]
    motion = dict(zip(keys, map(_mean_displacement, qualities), strict=True))
    paths = iter(matrices)
    rows: list[dict[str, Any]] = []
    for atlas in atlases:
        centres = named_atlas(atlas, own).table[["x", "y", "z"]].to_numpy(dtype=np.float64)
        found = {key: _usable_matrix(next(paths)) for key in keys}
        edges = {key: z for key, z in found.items() if z is not None}
        rows += [{"atlas": atlas, **row} for row in _rows_of_atlas(edges, motion, pairs, centres)]
    write_table(out_table, pd.DataFrame(rows, columns=list(QCFC_COLUMNS)))
    describe(
        out_table,
        "Motion in connectivity (Ciric 2017), and each patient's change of both.",
        sources=[*qualities, *matrices],
        columns=QCFC_COLUMNS,
    )


def _rows_of_atlas(
    edges: Mapping[tuple[str, ...], np.ndarray],
    motion: Mapping[tuple[str, ...], float],
    pairs: Sequence[Mapping[str, Any]],
    centres: np.ndarray,
) -> list[dict[str, Any]]:
    first: dict[str, tuple[str, ...]] = {}
    for key in edges:
        first.setdefault(key[0], key)
    changes: dict[str, tuple[np.ndarray, float]] = {}
    rows = []
    for pair in pairs:
        before, after = ((pair["participant_id"], pair[end]) for end in ("baseline", "follow_up"))
        if before not in edges or after not in edges:
            continue
        change = edges[after] - edges[before]
        moved = motion[after] - motion[before]
        changes.setdefault(pair["participant_id"], (change, moved))
        rows.append(
            {
                "comparison": "pair",
                **{key: pair[key] for key in ("participant_id", "baseline", "follow_up")},
                "fd_change": moved,
                "distance_dependence": edge_distance(change, coordinates=centres).spearman_r,
            }
        )
    distance = parcel_distances(centres)
    over_patients = {
        "first visits": [(edges[key], motion[key]) for key in first.values()],
        "changes": list(changes.values()),
    }
    return [*(_over(name, of, distance) for name, of in over_patients.items()), *rows]


def _over(
    name: str, runs: Sequence[tuple[np.ndarray, float]], distance: np.ndarray
) -> dict[str, Any]:
    edges = np.array([upper_triangle(z) for z, _ in runs]).reshape(len(runs), len(distance))
    found = qc_fc(edges, motion=np.array([fd for _, fd in runs]), distance=distance)
    return {
        "comparison": name,
        "n": found.n,
        "median_absolute_r": found.median_absolute_r,
        "share_significant": found.share_significant,
        "distance_dependence": found.distance_dependence,
        "refusal": found.refusal,
    }


def _usable_matrix(path: str) -> np.ndarray | None:
    """Fisher z of a run; None where it is left out of statistics."""
    if read_json(sidecar_of(path)).get("Excluded"):
        return None
    return fisher_z(read_matrix(path)[0])


def _mean_displacement(path: str) -> float:
    table = read_table(path).set_index("metric")["value"]
    return float(table["fd_mean"])
