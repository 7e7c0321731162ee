"""Quality numbers of a scan on disk: a table for programs, a flat JSON object for other tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from msimaging.steps.records import describe
from msimaging.tables import write_table

QUALITY_COLUMNS = {
    "metric": "Short name of the number.",
    "value": "The number; n/a where the step behind it did not run or cannot tell.",
    "units": "Unit of the value.",
    "description": "What the number means.",
}
#: Framewise displacement [mm] from which a volume counts in fd_num, MRIQC's default.
HIGH_MOTION = 0.2


def write_quality(
    path: Path | str, table: pd.DataFrame, description: str, *, sources: Iterable[Path | str]
) -> None:
    """Write a table of quality numbers; its sidecar holds the same numbers by their names.

    Parameters
    ----------
    path : path
        Ends in ``.tsv``. The sidecar beside it is read as the JSON that MRIQC writes for a scan:
        one key a number; numbers that are not known are left out.
    table : DataFrame
        Columns of `QUALITY_COLUMNS`.
    description : str
        One sentence.
    sources : iterable of path
        Files behind the numbers.
    """
    write_table(path, table)
    known = table.dropna(subset="value")
    numbers = dict(zip(known["metric"], known["value"].astype(float), strict=True))
    finite = {name: value for name, value in numbers.items() if np.isfinite(value)}
    describe(path, description, sources=sources, columns=QUALITY_COLUMNS, **finite)


def motion_numbers(framewise_displacement: pd.Series[float]) -> Mapping[str, float]:
    """Summarise head motion under MRIQC's names.

    Parameters
    ----------
    framewise_displacement : Series (N,)
        Of every volume [mm]; the first has none.

    Returns
    -------
    mapping
        ``fd_mean``, ``fd_max`` [mm], ``fd_num`` volumes above 0.2 mm, ``fd_perc`` their share
        [per cent] of the volumes after the first.
    """
    steps = np.asarray(framewise_displacement, dtype=np.float64)[1:]
    if not np.isfinite(steps).any():
        return {}
    high = steps > HIGH_MOTION
    return {
        "fd_mean": float(np.nanmean(steps)),
        "fd_max": float(np.nanmax(steps)),
        "fd_num": float(high.sum()),
        "fd_perc": float(100 * high.mean()),
    }
