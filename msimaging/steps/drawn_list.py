"""The list of a patient's pictures, which stands for all of them in the workflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from msimaging.bids.companions import files_drawn
from msimaging.steps.records import describe
from msimaging.tables import write_table


def write_list(drawn: Iterable[Mapping[str, Any]], path: str) -> None:
    """Write the names of all files that a patient's job has drawn.

    Parameters
    ----------
    drawn : iterable of mapping
        Files of each scan and each pair of visits.
    path : str
        Table with a row a file; what waits for the pictures waits for it.
    """
    names = [PurePosixPath(file).name for one in drawn for file in files_drawn(one)]
    write_table(path, pd.DataFrame({"file": names}))
    text = "Pictures and tables of this patient's scans and pairs of visits."
    describe(path, text, sources=[], columns={"file": "Name of the file."})
