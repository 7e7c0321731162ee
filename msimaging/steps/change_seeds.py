"""Step: change of seed maps between two visits of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from msimaging.longitudinal.comparability import graded_rules
from msimaging.steps.acquisitions import gate_pair
from msimaging.steps.change_connectivity import unusable_visits
from msimaging.steps.changes import comparability_flags
from msimaging.steps.records import describe
from msimaging.tables import read_table
from msimaging.volumes import read_volume, write_volume


def change_seeds(
    *,
    maps: Sequence[str],
    networks: Sequence[str],
    names: Sequence[str],
    scans: Sequence[Mapping[str, Any]],
    grades: Mapping[str, str],
    sessions: Sequence[str],
    out_maps: Sequence[str],
) -> None:
    """Subtract the baseline's seed maps from the follow-up's, on Fisher's scale.

    Parameters
    ----------
    maps : sequence of str
        Baseline and follow-up of the first seed, then of the next, in template space.
    networks : sequence of str
        Network means of both visits: their flags and settings are those of the maps.
    names : sequence of str
        Seeds.
    scans : sequence of mapping
        Raw files of baseline and follow-up.
    grades : mapping
        How grave a difference between the acquisitions is, by field.
    sessions : sequence of str
        Both visits.
    out_maps : sequence of str
        One map a seed; NaN where a visit has no value, and throughout where a run is left out of
        statistics.

    Raises
    ------
    InputError
        When the visits must not be compared.
    """
    flags = comparability_flags(gate_pair(scans, networks, graded_rules(grades)))
    thin = unusable_visits([read_table(path) for path in networks], sessions)
    all_flags = ";".join(filter(None, (flags, *thin)))
    for index, (name, path) in enumerate(zip(names, out_maps, strict=True)):
        pair = maps[2 * index : 2 * index + 2]
        before, after = (read_volume(one, ndim=3) for one in pair)
        change = after.data - before.data
        write_volume(path, np.full_like(change, np.nan) if thin else change, after.affine)
        describe(
            path,
            f"Change of the correlation of {name} with every voxel, Fisher z, follow-up minus "
            "baseline.",
            sources=[*pair, *networks],
            Units="Fisher z",
            SkullStripped=True,
            Comparability=all_flags or "no difference found",
        )
