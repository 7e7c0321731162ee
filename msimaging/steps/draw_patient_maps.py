"""Step: one patient's tensor maps, visits side by side, and their change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.figures.maps import (
    ChangeMapPanel,
    ScalarMapPanel,
    draw_change_maps,
    draw_scalar_maps,
)
from msimaging.steps.pictures import write_figure
from msimaging.volumes import read_volume

#: Display windows; diffusivities in mm2/s.
_WINDOWS = {"fa": (0.0, 0.8), "md": (0.0, 2e-3), "ad": (0.0, 2.5e-3), "rd": (0.0, 2e-3)}
_CHANGE_LIMITS = {"fa": 0.15, "md": 2e-4, "ad": 2e-4, "rd": 2e-4}


def draw_patient_maps(
    *,
    maps: Sequence[str],
    changes: Sequence[str],
    measures: Sequence[str],
    visits: Sequence[str],
    out_maps: Sequence[str],
    out_changes: Sequence[str],
) -> None:
    """Draw the maps of a pair of visits in template space.

    Parameters
    ----------
    maps : sequence of str
        Baseline and follow-up of the first measure, then of the next.
    changes : sequence of str
        Change of each measure.
    measures : sequence of str
        ``fa md ad rd``.
    visits : sequence of str
        Names of both visits.
    out_maps, out_changes : sequence of str
        One file a format.
    """
    panels = []
    for index, measure in enumerate(measures):
        for visit, path in zip(visits, maps[2 * index : 2 * index + 2], strict=True):
            volume = read_volume(path, ndim=3)
            low, high = _WINDOWS[measure]
            panels.append(
                ScalarMapPanel(
                    data=_inside(volume.data),
                    visit=visit,
                    label=measure.upper(),
                    units=SCALAR_METRICS[measure].units,
                    vmin=low,
                    vmax=high,
                )
            )
    affine = volume.affine
    names = " and ".join(measure.upper() for measure in measures)
    write_figure(
        out_maps,
        draw_scalar_maps(panels, affine),
        caption=f"{names} at {visits[0]} and {visits[1]}, same slices, same windows.",
        sources=maps,
    )
    change_panels = [
        ChangeMapPanel(
            data=_inside(read_volume(path, ndim=3).data),
            label=measure.upper(),
            units=SCALAR_METRICS[measure].units,
            limit=_CHANGE_LIMITS[measure],
        )
        for measure, path in zip(measures, changes, strict=True)
    ]
    write_figure(
        out_changes,
        draw_change_maps(change_panels, affine, background=panels[0].data),
        caption=f"Change of {names} from {visits[0]} to {visits[1]}, voxel by voxel. Not smoothed, "
        "not thresholded: most of what is seen is noise.",
        sources=changes,
    )


def _inside(data: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(data == 0, np.nan, data)
