"""Single scans as a rater looks at them: outlines, map in the scan's space, distance, coverage."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from msimaging.figures.slices import SliceView, choose_view
from msimaging.figures.style import DEFAULT_STYLE, FigureStyle, new_figure, styled

_ROWS = ("axial", "sagittal")


@styled
def draw_outlines(
    background: NDArray[np.float32],
    outlines: dict[str, NDArray[np.bool_]],
    affine: NDArray[np.float64],
    *,
    n_slices: int = 6,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw outlines on slices of a scan: where the registration believes the tissue to be.

    Parameters
    ----------
    background : NDArray (X, Y, Z)
        The scan.
    outlines : dict of str to NDArray of bool (X, Y, Z)
        Regions by the name in the legend.
    affine : NDArray (4, 4)
        Voxel to world (RAS).
    n_slices : int
        Slices of each plane.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide, axial and sagittal slices.
    """
    anywhere = np.any(list(outlines.values()), axis=0)
    figure = new_figure(style.double_width_mm, 66)
    colours = (style.follow_up, style.improved, style.baseline)
    high = float(np.percentile(background[anywhere], 99)) if anywhere.any() else 1.0
    panels = figure.subplots(2, n_slices)
    for row, plane in zip(panels, _ROWS, strict=True):
        view = choose_view([anywhere.astype(float)], affine, plane, None, n_slices)  # type: ignore[arg-type]
        for axes, index in zip(row, view.indices, strict=False):
            axes.imshow(view.cut(background, index), origin="lower", cmap="gray", vmin=0, vmax=high)
            axes.set(xticks=[], yticks=[], aspect=_aspect(view))
            axes.set_title(view.name(index), pad=1, fontsize=style.font_size - 2)
            for (_, region), colour in zip(outlines.items(), colours, strict=False):
                inside = view.cut(region, index)
                if inside.any() and not inside.all():
                    axes.contour(inside.astype(float), levels=[0.5], colors=colour, linewidths=0.7)
    for (name, _), colour in zip(outlines.items(), colours, strict=False):
        panels[0, 0].plot([], [], color=colour, label=name)
    figure.legend(loc="outside lower center", ncols=len(outlines))
    return figure


def _aspect(view: SliceView) -> float:
    across, up = view.spacing
    return up / across


@styled
def draw_scan_map(
    values: NDArray[np.float32],
    affine: NDArray[np.float64],
    *,
    label: str,
    vmax: float,
    n_slices: int = 9,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw a map of one scan on axial slices with its colour bar.

    Parameters
    ----------
    values : NDArray (X, Y, Z)
        Zero or not finite is background.
    affine : NDArray (4, 4)
        Voxel to world (RAS).
    label : str
        What is shown, with its unit.
    vmax : float
        The colours run from 0 to this value.
    n_slices : int
        Slices over the middle of the map.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.
    """
    shown = np.nan_to_num(values)
    view = choose_view([shown], affine, "axial", None, n_slices)
    figure = new_figure(style.double_width_mm, 34)
    panels = figure.subplots(1, n_slices)
    for axes, index in zip(panels, view.indices, strict=False):
        picture = np.ma.masked_equal(view.cut(shown, index), 0)
        image = axes.imshow(picture, origin="lower", cmap="magma", vmin=0, vmax=vmax)
        axes.set(xticks=[], yticks=[], aspect=_aspect(view), facecolor="k")
        axes.set_title(view.name(index), pad=1, fontsize=style.font_size - 2)
    bar = figure.colorbar(image, ax=panels, location="bottom", fraction=0.06, aspect=60)
    bar.set_label(label)
    return figure


@styled
def draw_edge_distance(
    distance: NDArray[np.float64],
    strength: NDArray[np.float64],
    *,
    units: str,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw edge strength against the distance of the parcels: motion tilts the cloud.

    Parameters
    ----------
    distance, strength : NDArray (E,)
        Distance [mm] and strength of every edge.
    units : str
        Of the strength.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide, with the median in bins of 10 mm.
    """
    figure = new_figure(style.single_width_mm, 55)
    axes = figure.subplots()
    if len(distance):
        axes.hexbin(distance, strength, gridsize=40, cmap="Greys", bins="log", linewidths=0)
        bins = (distance // 10).astype(int)
        places = np.unique(bins)
        medians = [float(np.median(strength[bins == place])) for place in places]
        axes.plot(10 * places + 5, medians, "o-", ms=2.5, color=style.follow_up, label="median")
        axes.legend(loc="upper right")
    axes.axhline(0, color="k", lw=0.5)
    axes.set(xlabel="Distance of the parcels [mm]", ylabel=f"Edge strength [{units}]")
    return figure


@styled
def draw_coverage(
    coverage: NDArray[np.float64], *, least: float, style: FigureStyle = DEFAULT_STYLE
) -> Figure:
    """Draw how much of each parcel a scan holds, parcels in rising order.

    Parameters
    ----------
    coverage : NDArray (P,)
        Shares from 0 to 1.
    least : float
        Parcels below are n/a.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide.
    """
    figure = new_figure(style.single_width_mm, 45)
    axes = figure.subplots()
    ordered = np.sort(coverage)
    colours = np.where(ordered < least, style.follow_up, style.baseline)
    axes.bar(np.arange(1, len(ordered) + 1), ordered, width=1.0, color=colours)
    axes.axhline(least, color="k", lw=0.7, ls="--")
    axes.set(ylim=(0, 1.02), xlim=(0, len(ordered) + 1))
    axes.set(xlabel="Parcels, least covered first", ylabel="Share inside the scan")
    axes.set_title(f"dashed: least share {least:g}", loc="right", fontsize=style.font_size - 1)
    return figure
