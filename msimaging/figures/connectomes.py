"""Connectivity matrices before, after and their difference, and means of network blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.figures.style import (
    DEFAULT_STYLE,
    NETWORK_COLOURS,
    FigureStyle,
    new_figure,
    styled,
)


def network_order(networks: Sequence[str]) -> NDArray[np.intp]:
    """Return the order of parcels that brings networks together, each in its first place.

    Parameters
    ----------
    networks : sequence of str, (P,)
        Network of each parcel.

    Returns
    -------
    NDArray of int (P,)
        Indices; parcels of one network keep their order.
    """
    rank = {name: place for place, name in enumerate(dict.fromkeys(networks))}
    return np.argsort([rank[name] for name in networks], kind="stable")


@styled
def draw_connectivity_change(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    difference: NDArray[np.float64],
    *,
    networks: Sequence[str],
    interval_excludes_zero: NDArray[np.bool_] | None = None,
    limit: float = 1.0,
    difference_limit: float = 0.5,
    units: str = "z",
    titles: Sequence[str] = ("Baseline", "Follow-up", "Difference"),
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw connectivity before, after and the difference, parcels sorted by network.

    Parameters
    ----------
    before, after, difference : NDArray (P, P)
        Symmetric matrices; not finite (uncovered parcels) is drawn grey.
    networks : sequence of str, (P,)
        Network of each parcel.
    interval_excludes_zero : NDArray of bool (P, P), optional
        When given, the difference's lower triangle shows only these edges.
    limit, difference_limit : float
        The colours run symmetrically about zero to these values.
    units : str
        What the values are ("Fisher z").
    titles : sequence of str, (3,)
        Names above the three matrices.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When the shapes of matrices and networks do not agree.
    """
    matrices = [before, after, difference]
    _check_matrices([*matrices, *_given(interval_excludes_zero)], len(networks))
    order = network_order(networks)
    sorted_networks = [networks[i] for i in order]
    shown = [np.array(m, dtype=np.float64)[np.ix_(order, order)] for m in matrices]
    if interval_excludes_zero is not None:
        shown[2] = _lower_where(shown[2], interval_excludes_zero[np.ix_(order, order)])
    figure = new_figure(style.double_width_mm, 68)
    panels = figure.subplots(1, 3)
    limits = (limit, limit, difference_limit)
    for axes, matrix, title, bound in zip(panels, shown, titles, limits, strict=True):
        image = _matrix(axes, matrix, style.diverging_map, bound)
        axes.set_title(title)
        _network_bars(axes, sorted_networks, named=axes is panels[0])
        bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.7, aspect=30, pad=0.06)
        bar.outline.set_linewidth(0.4)
        bar.set_label(units if bound is limit else f"change of {units}")
    return figure


def _given(mask: NDArray[np.bool_] | None) -> list[NDArray[Any]]:
    return [] if mask is None else [mask]


def _check_matrices(matrices: Sequence[NDArray[Any]], n_parcels: int) -> None:
    shapes = [matrix.shape for matrix in matrices]
    if any(shape != (n_parcels, n_parcels) for shape in shapes):
        finding = Finding(
            where="connectivity figure",
            rule="every matrix has one row and column per parcel",
            found=f"{n_parcels} networks named, matrices of shape {shapes}",
            remedy="Give matrices and networks of the same atlas.",
        )
        raise InputError([finding])


def _lower_where(matrix: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Keep the upper triangle; below the diagonal only the masked edges (others zero)."""
    lower = np.tril(np.ones(matrix.shape, dtype=bool), k=-1)
    return np.where(lower & ~mask & np.isfinite(matrix), 0.0, matrix)


def _matrix(axes: Axes, matrix: NDArray[np.float64], cmap: str, limit: float) -> AxesImage:
    shown = matrix.copy()
    np.fill_diagonal(shown, np.nan)
    axes.set_facecolor("#BBBBBB")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes.imshow(np.ma.masked_invalid(shown), cmap=cmap, vmin=-limit, vmax=limit)


def _network_bars(axes: Axes, networks: Sequence[str], *, named: bool) -> None:
    """Colour bars at the left and lower edge, thin lines between networks, names at the left."""
    total = len(networks)
    starts = [0, *(i for i in range(1, total) if networks[i] != networks[i - 1]), total]
    thick = 0.03 * total
    centres = []
    for place, (start, stop) in enumerate(pairwise(starts)):
        colour = NETWORK_COLOURS[place % len(NETWORK_COLOURS)]
        style = {"facecolor": colour, "edgecolor": "none", "clip_on": False}
        length = stop - start
        axes.add_patch(Rectangle((-0.5 - 1.5 * thick, start - 0.5), thick, length, **style))
        axes.add_patch(Rectangle((start - 0.5, total - 0.5 + 0.5 * thick), length, thick, **style))
        if start:
            axes.axhline(start - 0.5, color="k", lw=0.25)
            axes.axvline(start - 0.5, color="k", lw=0.25)
        centres.append((start + stop - 1) / 2)
    if named:
        places = spread(centres, 0.055 * total, total - 0.5)
        names = [networks[start] for start in starts[:-1]]
        for y, name in zip(places, names, strict=True):
            axes.text(-0.5 - 2.0 * thick, y, name, ha="right", va="center", fontsize=5)


def spread(places: Sequence[float], gap: float, highest: float) -> list[float]:
    """Move sorted label places apart so that neighbours keep a distance.

    Parameters
    ----------
    places : sequence of float
        Wanted places, ascending.
    gap : float
        Smallest distance between neighbours.
    highest : float
        No place beyond this one.

    Returns
    -------
    list of float
        Places in the same order.
    """
    moved = list(places)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    ceiling = highest
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


def caption_connectivity_change(
    difference: NDArray[np.float64],
    *,
    networks: Sequence[str],
    interval_excludes_zero: NDArray[np.bool_] | None = None,
    limit: float = 1.0,
    difference_limit: float = 0.5,
    units: str = "z",
    n_patients: int | None = None,
) -> str:
    """Return a caption with the counts and colour limits used.

    Parameters
    ----------
    difference : NDArray (P, P)
        What was drawn.
    networks, interval_excludes_zero, limit, difference_limit, units
        As for `draw_connectivity_change`.
    n_patients : int, optional
        Number of patients behind the matrices.

    Returns
    -------
    str
        Plain text.
    """
    upper = np.triu_indices(len(networks), k=1)
    edges = int(np.isfinite(difference[upper]).sum())
    who = f" of {n_patients} patients" if n_patients else ""
    text = (
        f"Connectivity ({units}){who} between {len(networks)} parcels in "
        f"{len(set(networks))} networks; colours ±{limit:g}, differences ±{difference_limit:g}. "
        f"Difference: upper triangle the change on {edges} edges"
    )
    if interval_excludes_zero is None:
        return f"{text}. Grey: no value."
    kept = int(interval_excludes_zero[upper].sum())
    return f"{text}; lower triangle the {kept} edges whose interval excludes zero. Grey: no value."


@styled
def draw_network_blocks(
    change: NDArray[np.float64],
    *,
    names: Sequence[str],
    interval_excludes_zero: NDArray[np.bool_] | None = None,
    limit: float = 0.3,
    units: str = "z",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw the mean change within and between networks, one number in each block.

    Parameters
    ----------
    change : NDArray (K, K)
        Mean change of each pair of networks.
    names : sequence of str, (K,)
        Networks.
    interval_excludes_zero : NDArray of bool (K, K), optional
        These blocks are framed and their numbers bold.
    limit : float
        The colours run symmetrically about zero to this value.
    units : str
        What the values are.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide up to 8 networks, else two columns.

    Raises
    ------
    InputError
        When shapes and names do not agree.
    """
    _check_matrices([change, *_given(interval_excludes_zero)], len(names))
    width = style.single_width_mm if len(names) <= 8 else style.double_width_mm
    figure = new_figure(width, 0.8 * width)
    axes = figure.subplots()
    image = axes.imshow(
        np.ma.masked_invalid(change), cmap=style.diverging_map, vmin=-limit, vmax=limit
    )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    none = np.zeros(change.shape, dtype=bool)
    sure = none if interval_excludes_zero is None else interval_excludes_zero
    for row, column in np.ndindex(*change.shape):
        _block_number(
            axes,
            (row, column),
            float(change[row, column]),
            sure=bool(sure[row, column]),
            limit=limit,
        )
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    bar.outline.set_linewidth(0.4)
    bar.set_label(f"change of {units}")
    return figure


def _block_number(
    axes: Axes, place: tuple[int, int], value: float, *, sure: bool, limit: float
) -> None:
    if not np.isfinite(value):
        return
    row, column = place
    colour = "w" if abs(value) > 0.65 * limit else "k"
    weight = "bold" if sure else "normal"
    size = {"ha": "center", "va": "center", "fontsize": 5.5}
    axes.text(column, row, f"{value:+.2f}", color=colour, fontweight=weight, **size)
    if sure:
        box = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, lw=1.0, edgecolor="k")
        axes.add_patch(box)


def caption_network_blocks(
    change: NDArray[np.float64],
    *,
    names: Sequence[str],
    interval_excludes_zero: NDArray[np.bool_] | None = None,
    units: str = "z",
    n_patients: int | None = None,
) -> str:
    """Return a caption with the counts used.

    Parameters
    ----------
    change, names, interval_excludes_zero, units
        As for `draw_network_blocks`.
    n_patients : int, optional
        Number of patients.

    Returns
    -------
    str
        Plain text.
    """
    upper = np.triu_indices(len(names))
    who = f" in {n_patients} patients" if n_patients else ""
    blocks = int(np.isfinite(change[upper]).sum())
    text = f"Mean change of connectivity ({units}) within and between {len(names)} networks{who}, "
    text += f"{blocks} blocks"
    if interval_excludes_zero is None:
        return f"{text}."
    framed = int(interval_excludes_zero[upper].sum())
    return f"{text}; framed: the {framed} whose interval excludes zero."
