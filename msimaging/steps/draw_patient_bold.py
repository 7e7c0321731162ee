"""Step: every picture of one patient's resting runs and of their pairs of visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.draw_connectivity import draw_patient_connectivity
from msimaging.steps.file_list import write_list
from msimaging.steps.look_at_bold import look_at_bold


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
    text = "Pictures and tables of this patient's resting runs and pairs of visits."
    write_list([*scans, *pairs], out_pictures, text)
