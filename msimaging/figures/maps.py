"""Maps on slices: scalar maps of several visits side by side, and maps of change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.figures.slices import Plane, SliceView, choose_view
from msimaging.figures.style import DEFAULT_STYLE, MM_PER_INCH, FigureStyle, new_figure, styled

_SIDES: dict[Plane, tuple[str, str]] = {
    "axial": ("L", "R"),
    "coronal": ("L", "R"),
    "sagittal": ("P", "A"),
}
_GAP, _SLICE_GAP, _TITLE, _BAR = 0.6, 2.5, 5.0, 19.0  # [mm]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarMapPanel:
    """One scalar map of one visit.

    Attributes
    ----------
    data : NDArray (X, Y, Z)
        Values; zero or not finite is drawn as background.
    visit : str
        Name shown above the column ("Baseline").
    label, units : str
        What is shown ("RD", "mm2/s"); one row per label.
    vmin, vmax : float
        Display window, the same for every visit of a label.
    cmap : str
        Matplotlib colour map.
    """

    data: NDArray[Any]
    visit: str
    label: str
    units: str
    vmin: float
    vmax: float
    cmap: str = "gray"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMapPanel:
    """One map of change, follow-up minus baseline.

    Attributes
    ----------
    data : NDArray (X, Y, Z)
        Change; not finite means no value.
    label, units : str
        What changed; one row per label.
    limit : float
        The colours run from ``-limit`` to ``+limit``.
    mask : NDArray of bool (X, Y, Z) or None
        Where the change is shown; elsewhere only the background.
    outline : NDArray of bool (X, Y, Z) or None
        Voxels to be outlined, for example where the interval excludes zero.
    """

    data: NDArray[Any]
    label: str
    units: str
    limit: float
    mask: NDArray[np.bool_] | None = None
    outline: NDArray[np.bool_] | None = None


def _check_panels(panels: Sequence[ScalarMapPanel] | Sequence[ChangeMapPanel]) -> None:
    shapes = {panel.data.shape for panel in panels}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        finding = Finding(
            where="panels",
            rule="the maps of one figure lie on one three-dimensional grid",
            found=f"shapes {sorted(shapes)}",
            remedy="Resample the maps to one space first.",
        )
        raise InputError([finding])


def _check_windows(panels: Sequence[ScalarMapPanel]) -> None:
    findings = []
    for label in dict.fromkeys(panel.label for panel in panels):
        windows = {(p.vmin, p.vmax, p.cmap, p.units) for p in panels if p.label == label}
        if len(windows) > 1:
            findings.append(
                Finding(
                    where=label,
                    rule="all visits of a measure are shown with one window",
                    found=f"{len(windows)} windows: {sorted(windows)}",
                    remedy="Give every visit the same vmin, vmax, cmap and units.",
                )
            )
    if findings:
        raise InputError(findings)


@styled
def draw_scalar_maps(
    panels: Sequence[ScalarMapPanel],
    affine: NDArray[np.float64],
    *,
    plane: Plane = "axial",
    slices_mm: Sequence[float] | None = None,
    n_slices: int = 3,
    extent: NDArray[Any] | None = None,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw scalar maps: a row per measure; each slice with its visits side by side.

    Parameters
    ----------
    panels : sequence of ScalarMapPanel, data (X, Y, Z)
        Every measure at every visit, on one grid.
    affine : NDArray (4, 4)
        Voxel to world (RAS) of the grid; any orientation. Left is drawn on the left.
    plane : {"axial", "coronal", "sagittal"}
        Cutting plane.
    slices_mm : sequence of float, optional
        Positions along the normal [mm]; else `n_slices` spread over the middle of what is shown.
    n_slices : int
        Number of slices when no positions are given.
    extent : NDArray (X, Y, Z), optional
        Volume whose non-zero part sets crop and slices, so that several figures fit on each other;
        else all panels together.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When grids or the windows of a measure differ.
    """
    _check_panels(panels)
    _check_windows(panels)
    view = choose_view(_shown(panels, extent), affine, plane, slices_mm, n_slices)
    labels = list(dict.fromkeys(p.label for p in panels))
    visits = list(dict.fromkeys(p.visit for p in panels))
    columns = [(index, visit) for index in view.indices for visit in visits]
    by_place = {(p.label, p.visit): p for p in panels}
    figure, cells, bars = _grid_of_slices(view, labels, [c[0] for c in columns], style)
    for row, label in enumerate(labels):
        for column, (index, visit) in enumerate(columns):
            axes = cells[row][column]
            panel = by_place.get((label, visit))
            _slice_frame(axes, view, index, top=row == 0, name=visit, place=visit == visits[0])
            if panel is None:
                axes.text(0.5, 0.5, "no scan", transform=axes.transAxes, ha="center", color="w")
                continue
            picture = view.cut(panel.data, index)
            image = _show(axes, np.ma.masked_equal(picture, 0), view, panel.cmap)
            image.set_clim(panel.vmin, panel.vmax)
            _colour_bar(figure, bars[row], image, label, panel.units)
    return figure


@styled
def draw_change_maps(
    panels: Sequence[ChangeMapPanel],
    affine: NDArray[np.float64],
    *,
    background: NDArray[Any] | None = None,
    plane: Plane = "axial",
    slices_mm: Sequence[float] | None = None,
    n_slices: int = 5,
    extent: NDArray[Any] | None = None,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw maps of change on slices, colours symmetric about zero, over a grey background.

    Parameters
    ----------
    panels : sequence of ChangeMapPanel, data (X, Y, Z)
        One row each.
    affine : NDArray (4, 4)
        Voxel to world (RAS); any orientation. Left is drawn on the left.
    background : NDArray (X, Y, Z), optional
        Grey picture below the change, for example the mean b=0 image.
    plane, slices_mm, n_slices, extent, style
        As for `draw_scalar_maps`.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When grids differ.
    """
    _check_panels(panels)
    view = choose_view(
        _shown(panels, background if extent is None else extent), affine, plane, slices_mm, n_slices
    )
    labels = [panel.label for panel in panels]
    figure, cells, bars = _grid_of_slices(view, labels, list(view.indices), style)
    for row, panel in enumerate(panels):
        for column, index in enumerate(view.indices):
            axes = cells[row][column]
            _slice_frame(axes, view, index, top=False, name="", place=row == 0)
            if background is not None:
                _show(axes, view.cut(background, index), view, "gray")
            image = _show(axes, _masked_cut(panel, view, index), view, style.diverging_map)
            image.set_clim(-panel.limit, panel.limit)
            _outline(axes, panel, view, index)
            _colour_bar(figure, bars[row], image, f"change of {panel.label}", panel.units)
    return figure


def _shown(
    panels: Sequence[ScalarMapPanel] | Sequence[ChangeMapPanel], extent: NDArray[Any] | None
) -> list[NDArray[Any]]:
    return [panel.data for panel in panels] if extent is None else [extent]


def _masked_cut(panel: ChangeMapPanel, view: SliceView, index: int) -> NDArray[Any]:
    change = view.cut(panel.data, index).astype(np.float64)
    if panel.mask is not None:
        change[~view.cut(panel.mask, index)] = np.nan
    return change


def _outline(axes: Axes, panel: ChangeMapPanel, view: SliceView, index: int) -> None:
    if panel.outline is None:
        return
    inside = view.cut(panel.outline, index)
    if inside.any() and not inside.all():
        axes.contour(inside.astype(float), levels=[0.5], colors="k", linewidths=0.5)


def _grid_of_slices(
    view: SliceView, labels: Sequence[str], indices: Sequence[int], style: FigureStyle
) -> tuple[Figure, list[list[Axes]], list[Axes]]:
    """Place a row of pictures per label and a colour bar at its end, true to scale."""
    gaps = [_GAP if a == b else _SLICE_GAP for a, b in pairwise(indices)]
    width_mm = style.double_width_mm - _BAR
    cell = (width_mm - sum(gaps)) / len(indices)
    height = cell * view.extent[1] / view.extent[0]
    total = _TITLE + len(labels) * (height + _GAP)
    figure = new_figure(style.double_width_mm, total, layout=None)
    lefts = np.cumsum([0.0, *(cell + gap for gap in gaps)])
    cells, bars = [], []
    for row in range(len(labels)):
        bottom = total - _TITLE - (row + 1) * (height + _GAP) + _GAP
        cells.append([_axes_mm(figure, left, bottom, cell, height) for left in lefts])
        bars.append(_axes_mm(figure, width_mm + 1, bottom + 0.1 * height, 2, 0.8 * height))
    return figure, cells, bars


def _axes_mm(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    full_width, full_height = figure.get_size_inches() * MM_PER_INCH
    box = (left / full_width, bottom / full_height, width / full_width, height / full_height)
    return figure.add_axes(box)


def _slice_frame(
    axes: Axes, view: SliceView, index: int, *, top: bool, name: str, place: bool
) -> None:
    """Black ground, side letters, visit above, position in the corner."""
    axes.set(xticks=[], yticks=[], facecolor="k")
    axes.spines[:].set_visible(False)
    small = axes.title.get_fontsize() - 2
    marks = {"transform": axes.transAxes, "color": "w", "fontsize": small}
    left, right = _SIDES[view.plane]
    axes.text(0.02, 0.5, left, va="center", ha="left", gid="left-side", **marks)
    axes.text(0.98, 0.5, right, va="center", ha="right", gid="right-side", **marks)
    if top:
        axes.set_title(name, pad=2)
    if place:
        axes.text(0.02, 0.02, view.name(index), va="bottom", ha="left", **marks)


def _show(axes: Axes, picture: NDArray[Any], view: SliceView, cmap: str) -> AxesImage:
    across, up = view.spacing
    shown = np.ma.masked_invalid(picture)
    return axes.imshow(shown, origin="lower", cmap=cmap, aspect=up / across)


def _colour_bar(figure: Figure, axes: Axes, image: AxesImage, label: str, units: str) -> None:
    if axes.has_data():
        return
    bar = figure.colorbar(image, cax=axes)
    bar.outline.set_linewidth(0.4)
    exponent = scale_exponent(max(abs(limit) for limit in image.get_clim()))
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value / 10.0**exponent:g}")
    factor = f"1e{exponent}" if exponent else ""
    unit = " ".join(part for part in (factor, units) if part)
    bar.set_label(f"{label}\n[{unit}]" if unit else label)


def scale_exponent(largest: float) -> int:
    """Return the power of ten, in steps of three, that keeps tick labels short.

    Parameters
    ----------
    largest : float
        Largest absolute value on the axis.

    Returns
    -------
    int
        0 for values between 0.01 and 9999.
    """
    if largest <= 0 or 1e-2 <= largest < 1e4:
        return 0
    return 3 * math.floor(math.log10(largest * (1 + 1e-9)) / 3)


def caption_scalar_maps(panels: Sequence[ScalarMapPanel], *, plane: Plane = "axial") -> str:
    """Return a caption with the windows used.

    Parameters
    ----------
    panels : sequence of ScalarMapPanel
        What was drawn.
    plane : {"axial", "coronal", "sagittal"}
        Cutting plane.

    Returns
    -------
    str
        Plain text.
    """
    windows = {p.label: f"{p.label} {p.vmin:g} to {p.vmax:g} {p.units}".strip() for p in panels}
    visits = ", ".join(dict.fromkeys(p.visit for p in panels))
    return (
        f"{plane.capitalize()} slices of {', '.join(windows)} at {visits}, side by side at the "
        f"same places and with the same windows ({'; '.join(windows.values())}). "
        f"{_SIDE_SENTENCE[plane]}"
    )


def caption_change_maps(panels: Sequence[ChangeMapPanel], *, plane: Plane = "axial") -> str:
    """Return a caption with the colour limits used.

    Parameters
    ----------
    panels : sequence of ChangeMapPanel
        What was drawn.
    plane : {"axial", "coronal", "sagittal"}
        Cutting plane.

    Returns
    -------
    str
        Plain text.
    """
    limits = "; ".join(f"{p.label} ±{p.limit:g} {p.units}".strip() for p in panels)
    outlined = any(p.outline is not None for p in panels)
    lines = " Black lines enclose voxels whose interval excludes zero." if outlined else ""
    return (
        f"Change (follow-up minus baseline) on {plane} slices; colours symmetric about zero: "
        f"{limits}.{lines} {_SIDE_SENTENCE[plane]}"
    )


_SIDE_SENTENCE: dict[Plane, str] = {
    "axial": "Left is on the left.",
    "coronal": "Left is on the left.",
    "sagittal": "Anterior is on the right.",
}
