"""What rescans of untouched people say about a measure: its own smallest detectable change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.longitudinal.reliability import smallest_detectable_change
from msimaging.longitudinal.repeats import within_subject

_KEY = ["modality", "atlas", "label", "measure"]
#: Fewest degrees of freedom at which a scatter is trusted over a published one.
MIN_DF = 3


def rescan_noise(measurements: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Pool the scatter of rescans for each label and measure.

    Parameters
    ----------
    measurements : DataFrame
        Columns ``modality atlas label measure series value``: one row a measurement. A series is a
        visit with its untreated repeats; values that are missing do not count.
    confidence : float
        Of the smallest detectable change.

    Returns
    -------
    DataFrame
        Columns ``modality atlas label measure n df within_sd cov_percent sdc``; labels that nobody
        was measured twice at are left out. ``sdc`` takes Student's t with ``df`` degrees of
        freedom, so that few rescans do not promise too much.

    Raises
    ------
    InputError
        When columns are missing.
    """
    missing = [name for name in (*_KEY, "series", "value") if name not in measurements.columns]
    if missing:
        raise InputError([_without_columns(missing)])
    known = measurements.dropna(subset=["value"])
    rows = []
    for key, group in known.groupby(_KEY, sort=False):
        repeats = _in_rows(group)
        if repeats.shape[1] < 2:
            continue
        scatter = within_subject(repeats)
        sdc = smallest_detectable_change(scatter.sd, confidence=confidence, df=scatter.df)
        rows.append(
            {
                **dict(zip(_KEY, key, strict=True)),
                "n": scatter.n,
                "df": scatter.df,
                "within_sd": scatter.sd,
                "cov_percent": scatter.cov_percent,
                "sdc": float(sdc),
            }
        )
    return pd.DataFrame(rows, columns=[*_KEY, "n", "df", "within_sd", "cov_percent", "sdc"])


def sdc_of_rescans(
    noise: pd.DataFrame, labels: Sequence[str], measures: Sequence[str]
) -> NDArray[np.float64]:
    """Look the smallest detectable changes of one atlas up.

    Parameters
    ----------
    noise : DataFrame
        Rows of `rescan_noise` of one modality and atlas.
    labels, measures : sequence of str, one length E
        What changed.

    Returns
    -------
    (E,) ndarray
        NaN where nobody was scanned twice, or too few: fewer than three degrees of freedom.
    """
    trusted = noise[noise["df"] >= MIN_DF]
    wanted = pd.MultiIndex.from_arrays([list(labels), list(measures)], names=["label", "measure"])
    return trusted.set_index(["label", "measure"])["sdc"].reindex(wanted).to_numpy(np.float64)


def _in_rows(group: pd.DataFrame) -> NDArray[np.float64]:
    """Return one row a series, its measurements side by side, NaN behind the last."""
    place = group.groupby("series", sort=False).cumcount()
    table = group.assign(place=place).pivot_table(index="series", columns="place", values="value")
    return table.to_numpy(np.float64)


def _without_columns(missing: Sequence[str]) -> Finding:
    return Finding(
        rule="rescans come with modality, atlas, label, measure, series and value",
        where="rescans",
        found=f"no {', '.join(missing)}",
        remedy="Give the table of measurements with these columns.",
    )
