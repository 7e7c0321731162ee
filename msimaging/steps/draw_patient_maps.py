"""Step: one patient's tensor maps, visits side by side, and their change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.figures.maps import (
    ChangeMapPanel,
    ScalarMapPanel,
    caption_change_maps,
    caption_scalar_maps,
    draw_change_maps,
    draw_scalar_maps,
)
from msimaging.figures.style import FigureStyle
from msimaging.steps.pictures import figure_style, save_figure, save_picture
from msimaging.volumes import read_volume

#: Display windows; diffusivities in mm2/s.
_WINDOWS = {"fa": (0.0, 0.8), "md": (0.0, 2e-3), "ad": (0.0, 2.5e-3), "rd": (0.0, 2e-3)}
#: Slices of a visit that is drawn alone.
_ALONE = 5
_CHANGE_LIMITS = {"fa": 0.15, "md": 2e-4, "ad": 2e-4, "rd": 2e-4}


def draw_patient_maps(
    *,
    maps: Sequence[str],
    changes: Sequence[str],
    measures: Sequence[str],
    visits: Sequence[str],
    style: Mapping[str, Any],
    out_maps: Sequence[str],
    out_changes: Sequence[str],
    out_compared: Sequence[str],
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
    style : mapping
        ``figures.style`` of the settings.
    out_maps, out_changes : sequence of str
        Every file of each figure.
    out_compared : sequence of str
        For each measure baseline, follow-up and difference alone, to flicker between: PNG.
    """
    look = figure_style(style)
    panels, affine = _scalar_panels(maps, measures, visits, look)
    save_figure(
        draw_scalar_maps(panels, affine, style=look),
        out_maps,
        data=pd.DataFrame([_scalar_row(panel) for panel in panels]),
        caption=caption_scalar_maps(panels),
        sources=maps,
        style=look,
    )
    change_panels = _change_panels(changes, measures)
    save_figure(
        draw_change_maps(change_panels, affine, background=panels[0].data, style=look),
        out_changes,
        data=pd.DataFrame([_change_row(panel, visits) for panel in change_panels]),
        caption=f"{caption_change_maps(change_panels)} From {visits[0]} to {visits[1]}, voxel by "
        "voxel, not smoothed and not thresholded: most of what is seen is noise.",
        sources=changes,
        style=look,
    )
    for place, change in enumerate(change_panels):
        both, files = panels[2 * place : 2 * place + 2], out_compared[3 * place : 3 * place + 3]
        sources = [*maps[2 * place : 2 * place + 2], changes[place]]
        _draw_alone(both, change, affine, look=look, files=files, sources=sources)


def _draw_alone(
    both: Sequence[ScalarMapPanel],
    change: ChangeMapPanel,
    affine: NDArray[np.float64],
    *,
    look: FigureStyle,
    files: Sequence[str],
    sources: Sequence[str],
) -> None:
    """Draw two visits and their difference as pictures that fit on each other."""
    extent = np.nan_to_num(both[0].data) + np.nan_to_num(both[1].data)
    for panel, path, source in zip(both, files, sources, strict=False):
        figure = draw_scalar_maps([panel], affine, extent=extent, n_slices=_ALONE, style=look)
        window = f"{panel.vmin:g} to {panel.vmax:g} {panel.units}".strip()
        caption = f"{panel.label} at {panel.visit}, {window}."
        save_picture(figure, path, caption=caption, sources=[source])
    figure = draw_change_maps(
        [change],
        affine,
        background=both[0].data,
        extent=extent,
        n_slices=_ALONE,
        style=look,
    )
    save_picture(figure, files[2], caption=caption_change_maps([change]), sources=sources)


def _scalar_panels(
    maps: Sequence[str], measures: Sequence[str], visits: Sequence[str], style: FigureStyle
) -> tuple[list[ScalarMapPanel], NDArray[np.float64]]:
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
                    cmap=style.scalar_map,
                )
            )
    return panels, volume.affine


def _change_panels(changes: Sequence[str], measures: Sequence[str]) -> list[ChangeMapPanel]:
    return [
        ChangeMapPanel(
            data=_inside(read_volume(path, ndim=3).data),
            label=measure.upper(),
            units=SCALAR_METRICS[measure].units,
            limit=_CHANGE_LIMITS[measure],
        )
        for measure, path in zip(measures, changes, strict=True)
    ]


def _scalar_row(panel: ScalarMapPanel) -> dict[str, Any]:
    return {
        "map": panel.label,
        "units": panel.units,
        "visit": panel.visit,
        "window_low": panel.vmin,
        "window_high": panel.vmax,
        **_distribution(panel.data),
    }


def _change_row(panel: ChangeMapPanel, visits: Sequence[str]) -> dict[str, Any]:
    return {
        "map": panel.label,
        "units": panel.units,
        "baseline": visits[0],
        "follow_up": visits[1],
        "window_low": -panel.limit,
        "window_high": panel.limit,
        **_distribution(panel.data),
    }


def _distribution(data: NDArray[np.float32]) -> dict[str, float]:
    """Return how the voxels of a map are distributed: a picture has no numbers of its own."""
    values = data[np.isfinite(data)].astype(np.float64)
    low, first, median, third, high = np.percentile(values, (2.5, 25, 50, 75, 97.5))
    numbers = {"n_voxels": values.size, "mean": values.mean(), "sd": values.std(ddof=1)}
    return numbers | {"p2.5": low, "p25": first, "median": median, "p75": third, "p97.5": high}


def _inside(data: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(data == 0, np.nan, data)
