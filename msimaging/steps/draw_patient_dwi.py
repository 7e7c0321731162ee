"""Step: every picture of one patient's diffusion scans and of their pairs of visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.draw_patient_maps import draw_patient_maps
from msimaging.steps.file_list import write_list
from msimaging.steps.look_at_dwi import look_at_dwi


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
    text = "Pictures and tables of this patient's diffusion scans and pairs of visits."
    write_list([*scans, *pairs], out_pictures, text)
