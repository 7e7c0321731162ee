"""Quality of scans: carpet, head motion, gradient directions, one strip per number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.figures.columns import require_columns
from msimaging.figures.style import (
    DEFAULT_STYLE,
    NETWORK_COLOURS,
    ORANGE,
    PALE,
    FigureStyle,
    new_figure,
    styled,
)


@styled
def draw_carpet(
    standardised: NDArray[np.float64],
    *,
    groups: Sequence[str],
    framewise_displacement: NDArray[np.float64],
    t_r: float,
    threshold: float | None = None,
    limit: float = 2.0,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw every voxel's (or parcel's) time course as a grey carpet below the head's motion.

    Parameters
    ----------
    standardised : NDArray (V, T)
        Time courses in standard deviations, sorted by group.
    groups : sequence of str, (V,)
        Tissue or network of each row.
    framewise_displacement : NDArray (T,)
        Motion between volumes [mm]; the first may be missing.
    t_r : float
        Repetition time [s].
    threshold : float, optional
        Motion above which volumes are left out [mm].
    limit : float
        Grey runs from ``-limit`` to ``+limit`` standard deviations.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When lengths do not agree.
    """
    _check_lengths(standardised.shape, (len(groups), len(framewise_displacement)), "carpet plot")
    figure = new_figure(style.double_width_mm, 90)
    motion, carpet = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
    _motion_trace(motion, framewise_displacement, t_r, threshold, style)
    extent = (0, standardised.shape[1] * t_r, standardised.shape[0], 0)
    image = carpet.imshow(
        standardised, aspect="auto", cmap="gray", vmin=-limit, vmax=limit, extent=extent
    )
    _group_bars(carpet, groups)
    carpet.set_xlabel("Time [s]")
    bar = figure.colorbar(image, ax=carpet, pad=0.01, aspect=30)
    bar.set_label("standard deviations")
    return figure


def caption_carpet(groups: Sequence[str], *, t_r: float, n_volumes: int) -> str:
    """Return a caption with the number of rows and volumes.

    Parameters
    ----------
    groups : sequence of str, (V,)
        Tissue or network of each row.
    t_r : float
        Repetition time [s].
    n_volumes : int
        Number of volumes.

    Returns
    -------
    str
        Plain text.
    """
    told = ", ".join(f"{name} {list(groups).count(name)}" for name in dict.fromkeys(groups))
    return (
        f"Framewise displacement and standardised time courses of {n_volumes} volumes, one every "
        f"{t_r:g} s. Rows: {told}."
    )


def _check_lengths(shape: tuple[int, ...], wanted: tuple[int, ...], figure: str) -> None:
    if shape != wanted:
        finding = Finding(
            where=figure,
            rule="every row has a name and every column a value beside it",
            found=f"data of shape {shape}, names and values for {wanted}",
            remedy="Pass arrays of the same scan.",
        )
        raise InputError([finding])


def _group_bars(axes: Axes, groups: Sequence[str]) -> None:
    """Name each run of equal groups at the left and draw a line between them."""
    names = list(dict.fromkeys(groups))
    sizes = [
        groups.count(name) if isinstance(groups, list) else list(groups).count(name)
        for name in names
    ]
    edges = np.cumsum([0, *sizes])
    for edge in edges[1:-1]:
        axes.axhline(edge, color=ORANGE, lw=0.6)
    axes.set_yticks((edges[:-1] + edges[1:]) / 2, names)
    axes.tick_params(axis="y", length=0)


def _motion_trace(
    axes: Axes,
    displacement: NDArray[np.float64],
    t_r: float,
    threshold: float | None,
    style: FigureStyle,
) -> None:
    time = np.arange(len(displacement)) * t_r
    axes.plot(time, displacement, color=style.baseline, lw=0.8)
    axes.set(ylabel="FD [mm]", ylim=(0, None), xlim=(0, len(displacement) * t_r))
    if threshold is not None:
        above = np.asarray(displacement) > threshold
        axes.axhline(threshold, color=style.follow_up, lw=0.7, ls="--")
        axes.plot(time[above], displacement[above], ".", ms=3, color=style.follow_up, gid="above")


@styled
def draw_motion(
    displacements: Mapping[str, NDArray[np.float64]],
    *,
    t_r: float,
    threshold: float | None = None,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw the framewise displacement of every visit below each other on one scale.

    Parameters
    ----------
    displacements : mapping of visit to NDArray (T,)
        Motion between volumes [mm].
    t_r : float
        Repetition time [s].
    threshold : float, optional
        Motion above which volumes are left out [mm].
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.
    """
    figure = new_figure(style.double_width_mm, 10 + 25 * len(displacements))
    panels = figure.subplots(len(displacements), 1, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (visit, displacement) in zip(panels, displacements.items(), strict=True):
        _motion_trace(axes, displacement, t_r, threshold, style)
        axes.set_title(visit, loc="left", pad=2)
    longest = max(len(d) for d in displacements.values())
    highest = max(float(np.nanmax(d)) for d in displacements.values())
    panels[0].set(xlim=(0, longest * t_r), ylim=(0, 1.08 * max(highest, threshold or 0)))
    panels[-1].set_xlabel("Time [s]")
    return figure


def caption_motion(
    displacements: Mapping[str, NDArray[np.float64]], *, threshold: float | None = None
) -> str:
    """Return a caption with the number of volumes above the threshold.

    Parameters
    ----------
    displacements : mapping of visit to NDArray (T,)
        What was drawn.
    threshold : float, optional
        Motion above which volumes are left out [mm].

    Returns
    -------
    str
        Plain text.
    """
    if threshold is None:
        return "Framewise displacement of the head."
    counts = [
        f"{visit} {int((np.asarray(d) > threshold).sum())} of {len(d)}"
        for visit, d in displacements.items()
    ]
    return (
        f"Framewise displacement of the head; dashed: {threshold:g} mm. Volumes above it: "
        f"{', '.join(counts)}."
    )


@styled
def draw_gradients(
    bvals: NDArray[np.float64],
    bvecs: NDArray[np.float64],
    *,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw the gradient directions from three sides, with their opposites, and the b-values.

    Parameters
    ----------
    bvals : NDArray (N,)
        b-values [s/mm2].
    bvecs : NDArray (N, 3)
        Unit directions; zero for b=0.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When lengths do not agree.
    """
    _check_lengths(bvecs.shape, (len(bvals), 3), "gradient picture")
    figure = new_figure(style.double_width_mm, 48)
    panels = figure.subplots(1, 4)
    shells = np.round(bvals / 100) * 100
    for axes, (across, up) in zip(panels[:3], ((0, 1), (0, 2), (1, 2)), strict=True):
        _sphere(axes, bvecs, shells, (across, up))
    for place, shell in enumerate(np.unique(shells)):
        numbers = np.flatnonzero(shells == shell)
        colour = NETWORK_COLOURS[place % len(NETWORK_COLOURS)]
        panels[3].plot(numbers, bvals[numbers], ".", ms=3, color=colour)
    panels[3].set(xlabel="Volume", ylabel="b [s/mm2]")
    return figure


def _sphere(
    axes: Axes,
    bvecs: NDArray[np.float64],
    shells: NDArray[np.float64],
    sides: tuple[int, int],
) -> None:
    for place, shell in enumerate(np.unique(shells)):
        vectors = bvecs[shells == shell]
        vectors = vectors[np.linalg.norm(vectors, axis=1) > 0][:, list(sides)]
        colour = NETWORK_COLOURS[place % len(NETWORK_COLOURS)]
        axes.plot(*vectors.T, "o", ms=2.2, color=colour, mew=0)
        axes.plot(*-vectors.T, "o", ms=2.2, color=colour, mew=0.4, mfc="w")
    turn = np.linspace(0, 2 * np.pi, 100)
    axes.plot(np.cos(turn), np.sin(turn), color=PALE, lw=0.7, zorder=0)
    axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=[], yticks=[], aspect="equal")
    axes.set(xlabel="ijk"[sides[0]], ylabel="ijk"[sides[1]])
    axes.spines[:].set_visible(False)


def caption_gradients(bvals: NDArray[np.float64]) -> str:
    """Return a caption with the number of volumes of each shell.

    Parameters
    ----------
    bvals : NDArray (N,)
        b-values [s/mm2].

    Returns
    -------
    str
        Plain text.
    """
    shells, counts = np.unique(np.round(bvals / 100) * 100, return_counts=True)
    told = ", ".join(f"b={s:.0f}: {n}" for s, n in zip(shells, counts, strict=True))
    return (
        "Gradient directions along pairs of image axes (filled) and their opposites (open), and "
        f"the b-value of every volume. Volumes: {told}."
    )


@styled
def draw_quality_strips(
    quality: pd.DataFrame,
    *,
    limits: Mapping[str, float] | None = None,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw one strip per quality number: a dot per scan, the visits of a patient joined.

    Parameters
    ----------
    quality : DataFrame
        ``participant_id session_id number value`` and, where known, ``excluded`` and ``address``
        (a page that a click on the dot leads to, in SVG).
    limits : mapping of number to float, optional
        Threshold drawn as a line.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When columns are missing.
    """
    require_columns(quality, ["participant_id", "session_id", "number", "value"], "quality strips")
    numbers = list(dict.fromkeys(quality["number"]))
    columns = min(4, max(len(numbers), 1))
    rows = -(-max(len(numbers), 1) // columns)
    figure = new_figure(style.double_width_mm, 10 + 44 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, number in zip(panels, numbers, strict=False):
        _strip(axes, quality[quality["number"] == number], (limits or {}).get(number), style)
        axes.set_title(str(number).replace("_", " "))
    for axes in panels[len(numbers) :]:
        axes.set_visible(False)
    return figure


def _strip(axes: Axes, rows: pd.DataFrame, limit: float | None, style: FigureStyle) -> None:
    sessions = list(dict.fromkeys(rows["session_id"]))
    patients = list(dict.fromkeys(rows["participant_id"]))
    shift = np.linspace(-0.14, 0.14, len(patients)) if len(patients) > 1 else np.zeros(1)
    places = pd.DataFrame(
        {
            "x": rows["session_id"].map(sessions.index)
            + rows["participant_id"].map(dict(zip(patients, shift, strict=True))),
            "y": rows["value"],
            "patient": rows["participant_id"],
        }
    ).sort_values("x")
    # one line with gaps between the patients: hundreds of lines make a page slow
    gap = pd.DataFrame({"x": [np.nan], "y": [np.nan]})
    parts = [part for _, rows in places.groupby("patient", sort=False) for part in (rows, gap)]
    joined = pd.concat(parts, ignore_index=True)
    axes.plot(joined["x"], joined["y"], color=PALE, lw=0.8, zorder=1, gid="visits")
    _strip_dots(axes, rows, places.reindex(rows.index), sessions, style)
    if limit is not None:
        axes.axhline(limit, color="k", lw=0.7, ls="--", gid="limit")
    axes.set_xticks(range(len(sessions)), sessions)
    axes.set_xlim(-0.4, len(sessions) - 0.6)
    if rows["value"].min() == rows["value"].max() >= 0:
        # one value in all scans: an axis from 0, not a magnified nothing
        axes.set_ylim(0, 2 * rows["value"].max() or 1)


def _strip_dots(
    axes: Axes, rows: pd.DataFrame, places: pd.DataFrame, sessions: list[str], style: FigureStyle
) -> None:
    left_out = rows["excluded"].to_numpy(bool) if "excluded" in rows else np.zeros(len(rows), bool)
    later = rows["session_id"].map(sessions.index).to_numpy() > 0
    for out, marker in ((False, "o"), (True, "X")):
        chosen = left_out == out
        colours = np.where(later, style.follow_up, style.baseline)[chosen]
        dots = axes.scatter(
            places["x"][chosen], places["y"][chosen], s=11, c=colours, marker=marker, lw=0, zorder=2
        )
        if "address" in rows:
            dots.set_urls(list(rows["address"][chosen]))


def caption_quality_strips(
    quality: pd.DataFrame, *, limits: Mapping[str, float] | None = None
) -> str:
    """Return a caption with the number of scans and the thresholds.

    Parameters
    ----------
    quality : DataFrame
        What was drawn.
    limits : mapping of number to float, optional
        Thresholds.

    Returns
    -------
    str
        Plain text.
    """
    scans = len(quality.drop_duplicates(["participant_id", "session_id"]))
    text = (
        f"Quality of {scans} visits of {quality['participant_id'].nunique()} patients: one dot per "
        "scan, the visits of a patient joined; crosses are left out."
    )
    if limits:
        told = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in limits.items())
        text += f" Dashed: {told}."
    return text
