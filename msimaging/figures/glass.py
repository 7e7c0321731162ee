"""Through the glass brain: change maps and edges in template space, drawn by nilearn."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from msimaging.figures.maps import scale_exponent
from msimaging.figures.style import DEFAULT_STYLE, FigureStyle, new_figure, styled

_HEIGHT_MM = 48.0


def _plotting() -> ModuleType:
    """Import nilearn's drawing where it is used: it takes longer than most figures."""
    from nilearn import plotting  # noqa: PLC0415

    module: ModuleType = plotting
    return module


@styled
def draw_glass_change(
    change: NDArray[np.float64],
    affine: NDArray[np.float64],
    *,
    limit: float,
    threshold: float,
    label: str,
    units: str = "",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw a change map in MNI space as seen through a glass brain.

    Parameters
    ----------
    change : NDArray (X, Y, Z)
        Follow-up minus baseline; not finite means no value.
    affine : NDArray (4, 4)
        Voxel to MNI space.
    limit : float
        The colours run from ``-limit`` to ``+limit``.
    threshold : float
        Smaller changes are not shown.
    label, units : str
        What changed.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide. Left is on the left.
    """
    values = np.nan_to_num(change)
    shown = np.where(np.abs(values) > threshold, values, 0)
    exponent = scale_exponent(limit)
    shown, bound = shown / 10.0**exponent, limit / 10.0**exponent
    figure = new_figure(style.double_width_mm, _HEIGHT_MM, layout=None)
    display = _plotting().plot_glass_brain(
        # nilearn warns of a map in which nothing is to be seen
        Nifti1Image(shown.astype(np.float32), affine) if shown.any() else None,
        # without one nilearn paints what did not change
        threshold=max(threshold / 10.0**exponent, 1e-9),
        vmin=-bound,
        vmax=bound,
        plot_abs=False,
        annotate=False,
        cmap=style.diverging_map,
        colorbar=bool(shown.any()),
        symmetric_cbar=True,
        cbar_tick_format="%.3g",
        display_mode="lyrz",
        figure=figure,
        axes=(0, 0, 1, 0.94),
    )
    display.annotate(size=style.font_size)
    factor = f"1e{exponent} " if exponent else ""
    unit = f" [{factor}{units}]" if factor or units else ""
    figure.text(0.01, 0.99, f"change of {label}{unit}", va="top")
    return figure


@styled
def draw_glass_connectome(
    difference: NDArray[np.float64],
    coordinates: NDArray[np.float64],
    *,
    shown: NDArray[np.bool_],
    limit: float,
    node_colours: Any = "k",
    units: str = "z",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw chosen edges of a difference of connectivity in a glass brain.

    Parameters
    ----------
    difference : NDArray (P, P)
        Follow-up minus baseline.
    coordinates : NDArray (P, 3)
        Places of the parcels in MNI space [mm].
    shown : NDArray of bool (P, P)
        Edges to be drawn, for example those whose interval excludes zero.
    limit : float
        The colours run from ``-limit`` to ``+limit``.
    node_colours : colour or sequence of colours, (P,)
        Colours of the parcels.
    units : str
        What the values are.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide. Left is on the left.
    """
    figure = new_figure(style.double_width_mm, _HEIGHT_MM, layout=None)
    edges = np.where(shown & np.isfinite(difference), difference, 0.0)
    np.fill_diagonal(edges, 0.0)
    display = _plotting().plot_connectome(
        edges,
        coordinates,
        node_size=4,
        node_color=node_colours,
        edge_cmap=style.diverging_map,
        edge_vmin=-limit,
        edge_vmax=limit,
        edge_kwargs={"linewidth": 0.8},
        display_mode="lyrz",
        annotate=False,
        # nilearn has no colours to explain where nothing is drawn
        colorbar=bool(edges.any()),
        figure=figure,
        axes=(0, 0, 1, 0.94),
    )
    display.annotate(size=style.font_size)
    figure.text(0.01, 0.99, f"change of connectivity [{units}]", va="top")
    return figure


def caption_glass_change(*, limit: float, threshold: float, label: str, units: str = "") -> str:
    """Return a caption with the colour limits and the threshold used.

    Parameters
    ----------
    limit, threshold, label, units
        As for `draw_glass_change`.

    Returns
    -------
    str
        Plain text.
    """
    hidden = f", smaller than {threshold:g} not shown" if threshold else ""
    return (
        f"Change of {label} (follow-up minus baseline) through a glass brain; colours "
        f"±{limit:g} {units}".rstrip()
        + f"{hidden}."
    )


def caption_glass_connectome(*, shown: NDArray[np.bool_], limit: float, units: str = "z") -> str:
    """Return a caption with the number of edges drawn.

    Parameters
    ----------
    shown, limit, units
        As for `draw_glass_connectome`.

    Returns
    -------
    str
        Plain text.
    """
    edges = int(np.triu(shown, k=1).sum())
    return f"Change of connectivity on {edges} chosen edges; colours ±{limit:g} {units}."
