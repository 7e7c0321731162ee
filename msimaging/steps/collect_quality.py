"""Step: the quality of every scan in one table, and whether it differs between the visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msimaging.errors import InputError
from msimaging.statistics.effects import paired_effect
from msimaging.statistics.sign_flip import sign_flip_test
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

QUALITY_TABLE = {
    "participant_id": "Patient.",
    "session_id": "Visit.",
    "modality": "dwi or bold.",
    "number": "Short name of the number.",
    "value": "The number.",
    "units": "Unit of the value.",
    "description": "What the number means.",
    "rating": "Rating of the scan in ratings.tsv.",
}
TEST_TABLE = {
    "modality": "dwi or bold.",
    "number": "Short name of the number.",
    "units": "Unit of the estimate.",
    "n": "Pairs of visits with the number at both.",
    "estimate": "Mean of follow-up minus baseline.",
    "ci_low": "Lower confidence limit.",
    "ci_high": "Upper confidence limit.",
    "hedges_g": "Standardised mean difference.",
    "p": "Exact or random sign-flip test, two-sided, not corrected: a guard has to be alert.",
    "p_floor": "Smallest p-value that the test could have given.",
}
#: Numbers that are the same for every scan of a protocol, or only point at a volume.
_NOT_COMPARED = {"n_volumes", "fd_high", "ndc_min_volume"}


def collect_quality(
    *,
    scans: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    confidence: float,
    seed: int,
    out_table: str,
    out_tests: str,
) -> None:
    """Stack the quality numbers of all scans and compare the visits of each patient.

    Parameters
    ----------
    scans : sequence of mapping
        ``participant_id session_id modality rating path`` of each scan; the table of a scan that
        was rated out stands from earlier or is left out.
    pairs : sequence of mapping
        ``participant_id modality baseline follow_up`` of each compared pair.
    confidence : float
        Coverage of the intervals.
    seed : int
        Seed of random flips.
    out_table, out_tests : str
        Numbers of all scans, and the paired comparison of each.
    """
    there = [scan for scan in scans if Path(scan["path"]).exists()]
    parts = [_of_scan(scan) for scan in there]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=list(QUALITY_TABLE))
    write_table(out_table, table)
    sources = [scan["path"] for scan in there]
    describe(out_table, "Quality of every scan.", sources=sources, columns=QUALITY_TABLE)
    tests = quality_tests(table, pd.DataFrame(pairs), confidence=confidence, seed=seed)
    write_table(out_tests, tests)
    describe(
        out_tests,
        "Does the quality of the scans differ between the visits? A change of quality can look "
        "like a change of the brain.",
        sources=[out_table],
        columns=TEST_TABLE,
    )


def _of_scan(scan: Mapping[str, Any]) -> pd.DataFrame:
    facts = {name: scan[name] for name in ("participant_id", "session_id", "modality", "rating")}
    table = read_table(scan["path"]).rename(columns={"metric": "number"})
    return table.assign(**facts)[list(QUALITY_TABLE)]


def quality_tests(
    table: pd.DataFrame, pairs: pd.DataFrame, *, confidence: float, seed: int
) -> pd.DataFrame:
    """Compare each quality number between the visits of the same patients.

    Parameters
    ----------
    table : DataFrame
        Columns of `QUALITY_TABLE`.
    pairs : DataFrame
        ``participant_id modality baseline follow_up``.
    confidence : float
        Coverage of the intervals.
    seed : int
        Seed of random flips.

    Returns
    -------
    DataFrame
        Columns of `TEST_TABLE`; numbers without two pairs, or that never differ, are left out.
    """
    if table.empty or pairs.empty:
        return pd.DataFrame(columns=list(TEST_TABLE))
    keys = ["participant_id", "session_id", "modality", "number"]
    values = table.set_index(keys)["value"].astype(float)
    rows = []
    for (modality, number), group in table.groupby(["modality", "number"], sort=False):
        if number in _NOT_COMPARED:
            continue
        own = pairs[pairs["modality"] == modality]
        ends = [
            values.reindex(
                [
                    (row["participant_id"], row[end], modality, number)
                    for row in own.to_dict("records")
                ]
            ).to_numpy()
            for end in ("baseline", "follow_up")
        ]
        found = _compared(ends[0], ends[1], confidence=confidence, seed=seed)
        if found is not None:
            units = group["units"].iloc[0]
            rows.append({"modality": modality, "number": number, "units": units, **found})
    return pd.DataFrame(rows, columns=list(TEST_TABLE))


def _compared(
    before: np.ndarray, after: np.ndarray, *, confidence: float, seed: int
) -> dict[str, Any] | None:
    differences = after - before
    known = differences[np.isfinite(differences)]
    if known.size < 2 or not np.any(known):
        return None
    try:
        effect = paired_effect(before, after, level=confidence)
        flips = sign_flip_test(differences, seed=seed)
    except InputError:
        return None
    return {
        "n": effect.n,
        "estimate": effect.estimate,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "hedges_g": effect.hedges_g,
        "p": flips.p,
        "p_floor": flips.p_floor,
    }
