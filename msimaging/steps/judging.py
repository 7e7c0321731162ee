"""Verdicts on changes by this study's own rescans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from msimaging.longitudinal.rescans import sdc_of_rescans
from msimaging.steps.changes import known_only
from msimaging.tables import read_table

#: Flag of a smallest detectable change that comes from a paper.
PUBLISHED_SDC = "published-sdc"


def judged_by_rescans(
    changes: pd.DataFrame, repeatability: Sequence[str], *, modality: str, atlas: str
) -> pd.DataFrame:
    """Let this study's own rescans decide what is reliable, wherever there are enough of them.

    Parameters
    ----------
    changes : DataFrame
        Columns ``label measure change sdc reliable flags``.
    repeatability : sequence of str
        The table of rescan noise, or nothing where nobody was scanned again.
    modality, atlas : str
        Of the changes.

    Returns
    -------
    DataFrame
        The same rows; labels that were not measured often enough keep what they had.
    """
    if not repeatability:
        return changes
    noise = read_table(repeatability[0])
    own = noise[(noise["modality"] == modality) & (noise["atlas"] == atlas)]
    sdc = sdc_of_rescans(own, list(changes["label"]), list(changes["measure"]))
    size = changes["change"].abs().to_numpy(float)
    known = np.isfinite(sdc) & np.isfinite(size)
    verdicts = known_only(size > sdc, np.where(known, size, np.nan))
    published = changes["flags"].str.split(";").map(lambda flags: _without(flags, PUBLISHED_SDC))
    return changes.assign(
        sdc=np.where(known, sdc, changes["sdc"].to_numpy(float)),
        reliable=np.where(known, verdicts, changes["reliable"].to_numpy(object)),
        flags=np.where(known, published, changes["flags"]),
    )


def _without(flags: Sequence[str], unwanted: str) -> str:
    return ";".join(flag for flag in flags if flag != unwanted)
