"""Step: every picture of one patient's scans of a modality, and of its pairs of visits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from msimaging.bids.companions import files_drawn
from msimaging.steps.draw_connectivity import draw_patient_connectivity
from msimaging.steps.draw_patient_maps import draw_patient_maps
from msimaging.steps.look_at_bold import look_at_bold
from msimaging.steps.look_at_dwi import look_at_dwi
from msimaging.steps.records import describe
from msimaging.tables import write_table


def draw_patient_dwi(
    *,
    scans: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    measures: Sequence[str],
    style: Mapping[str, Any],
    out_pictures: str,
) -> None:
    """Draw each diffusion scan for raters, and the maps of each pair of visits.

    Parameters
    ----------
    scans : sequence of mapping
        Files of each visit, as `look_at_dwi` takes them.
    pairs : sequence of mapping
        Files and visits of each pair, as `draw_patient_maps` takes them.
    measures : sequence of str
        ``fa md ad rd``.
    style : mapping
        ``figures.style`` of the settings.
    out_pictures : str
        List of all files drawn; it is written last.
    """
    for scan in scans:
        look_at_dwi(**scan, style=style)
    for pair in pairs:
        draw_patient_maps(**pair, measures=measures, style=style)
    _write_list([*scans, *pairs], out_pictures)


def draw_patient_bold(
    *,
    scans: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    atlas: str,
    own: Mapping[str, Mapping[str, str]],
    min_coverage: float,
    confidence: float,
    style: Mapping[str, Any],
    out_pictures: str,
) -> None:
    """Measure and draw each resting run for raters, and the connectivity of each pair of visits.

    Parameters
    ----------
    scans : sequence of mapping
        Files of each visit, as `look_at_bold` takes them.
    pairs : sequence of mapping
        Files, visits and atlas of each figure, as `draw_patient_connectivity` takes them.
    atlas : str
        Of the parcels that the scans are judged by.
    own : mapping
        Files of user atlases.
    min_coverage : float
        Least share of a parcel.
    confidence : float
        Coverage of the intervals.
    style : mapping
        ``figures.style`` of the settings.
    out_pictures : str
        List of all files written; it is written last.
    """
    for scan in scans:
        look_at_bold(**scan, atlas=atlas, own=own, min_coverage=min_coverage, style=style)
    for pair in pairs:
        draw_patient_connectivity(**pair, own=own, confidence=confidence, style=style)
    _write_list([*scans, *pairs], out_pictures)


def _write_list(drawn: Iterable[Mapping[str, Any]], path: str) -> None:
    names = [PurePosixPath(file).name for one in drawn for file in files_drawn(one)]
    write_table(path, pd.DataFrame({"file": names}))
    text = "Pictures and tables of this patient's scans and pairs of visits."
    describe(path, text, sources=[], columns={"file": "Name of the file."})
