"""Who came when and where patients were lost: completeness grid and flow diagram."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from msimaging.figures.columns import require_columns
from msimaging.figures.style import (
    BLUE,
    DEFAULT_STYLE,
    ORANGE,
    PALE,
    FigureStyle,
    new_figure,
    styled,
)

_STATES = {
    "used": {"marker": "s", "color": BLUE, "markerfacecolor": BLUE},
    "excluded": {"marker": "X", "color": ORANGE, "markerfacecolor": ORANGE},
    "missing": {"marker": "s", "color": "#AAAAAA", "markerfacecolor": "w"},
}


@styled
def draw_completeness_grid(visits: pd.DataFrame, *, style: FigureStyle = DEFAULT_STYLE) -> Figure:
    """Draw which scans of which patients are there, left out or missing.

    Parameters
    ----------
    visits : DataFrame
        ``participant_id session_id modality state`` with state "used", "excluded" or "missing";
        absent combinations are missing.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide up to 6 columns of scans, else two.

    Raises
    ------
    InputError
        When columns are missing.
    """
    require_columns(
        visits, ["participant_id", "session_id", "modality", "state"], "completeness grid"
    )
    patients = list(dict.fromkeys(visits["participant_id"]))
    scans = [
        (session, modality)
        for modality in dict.fromkeys(visits["modality"])
        for session in dict.fromkeys(visits["session_id"])
    ]
    width = style.single_width_mm if len(scans) <= 6 else style.double_width_mm
    figure = new_figure(width, min(24 + 4 * len(patients), 235))
    axes = figure.subplots()
    keys = zip(visits["participant_id"], visits["session_id"], visits["modality"], strict=True)
    state_of = dict(zip(keys, visits["state"], strict=True))
    for state, look in _STATES.items():
        places = [
            (x, y)
            for y, patient in enumerate(patients)
            for x, scan in enumerate(scans)
            if state_of.get((patient, *scan), "missing") == state
        ]
        axes.plot(
            [x for x, _ in places],
            [y for _, y in places],
            ls="",
            ms=5,
            label=state,
            gid=state,
            **look,
        )
    _grid_axes(axes, patients, scans)
    return figure


def _grid_axes(axes: Axes, patients: Sequence[str], scans: Sequence[tuple[str, str]]) -> None:
    axes.set_yticks(range(len(patients)), patients)
    axes.set_ylim(len(patients) - 0.5, -0.5)
    axes.set_xlim(-0.6, len(scans) - 0.4)
    names = [f"{modality}\n{session}" for session, modality in scans]
    axes.set_xticks(range(len(scans)), names)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    handles = [Line2D([], [], ls="", ms=5, label=name, **look) for name, look in _STATES.items()]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3)


def caption_completeness_grid(visits: pd.DataFrame) -> str:
    """Return a caption with the counts of scans.

    Parameters
    ----------
    visits : DataFrame
        What was drawn.

    Returns
    -------
    str
        Plain text.
    """
    counts = visits["state"].value_counts()
    told = ", ".join(f"{counts.get(state, 0)} {state}" for state in _STATES)
    patients = visits["participant_id"].nunique()
    return f"Scans of {patients} patients: {told}."


@styled
def draw_flow(flow: pd.DataFrame, *, style: FigureStyle = DEFAULT_STYLE) -> Figure:
    """Draw the way from enrolled to analysed patients, with who was left out and why.

    Parameters
    ----------
    flow : DataFrame
        One row per box, from top to bottom: ``stage``, ``modality`` (empty for boxes of all
        patients; others stand side by side), ``n``, ``n_lost`` and ``reasons`` (why patients of
        the box before are not in this one).
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
    require_columns(flow, ["stage", "modality", "n", "n_lost", "reasons"], "flow diagram")
    rows = flow.assign(modality=flow["modality"].fillna(""), reasons=flow["reasons"].fillna(""))
    branches = [name for name in dict.fromkeys(rows["modality"]) if name] or [""]
    levels = list(dict.fromkeys(rows["stage"]))
    figure = new_figure(style.double_width_mm, 19 * len(levels) + 2, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, len(branches)), ylim=(len(levels), 0))
    axes.set_axis_off()
    below: dict[str, tuple[float, float]] = {}
    for row in rows.to_dict("records"):
        name = str(row["modality"])
        x = branches.index(name) + 0.3 if name in branches else 0.5 * len(branches) - 0.2
        place = (x, float(levels.index(row["stage"])))
        _flow_arrow(axes, below.get(name, below.get("")), place)
        _flow_lost(axes, place, row, 60 // len(branches))
        below[name] = _flow_box(axes, place, row)
    return figure


_BOX_TOP, _BOX_HEIGHT, _BOX_HALF = 0.45, 0.46, 0.24  # parts of a level and of a branch


def _flow_box(
    axes: Axes, place: tuple[float, float], row: Mapping[Hashable, object]
) -> tuple[float, float]:
    """Draw one box and return the middle of its lower edge."""
    x, top = place[0], place[1] + _BOX_TOP
    rounded = "round,pad=0,rounding_size=0.03"
    corner = (x - _BOX_HALF, top)
    axes.add_patch(FancyBboxPatch(corner, 2 * _BOX_HALF, _BOX_HEIGHT, boxstyle=rounded, fc="w"))
    name = f"{row['stage']}" + (f" ({row['modality']})" if row["modality"] else "")
    middle = top + _BOX_HEIGHT / 2
    axes.text(x, middle, f"{name}\nn = {row['n']}", ha="center", va="center", gid="flow-box")
    return x, top + _BOX_HEIGHT


def _flow_arrow(axes: Axes, start: tuple[float, float] | None, place: tuple[float, float]) -> None:
    """Draw the way into a box, with a corner where a branch begins."""
    if start is None:
        return
    x, top = place[0], place[1] + _BOX_TOP
    axes.plot([start[0], start[0], x], [start[1], place[1] + 0.03, place[1] + 0.03], "k-", lw=0.7)
    arrow = {"arrowstyle": "-|>", "lw": 0.7, "color": "k", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(x, top), xytext=(x, place[1] + 0.03), arrowprops=arrow)


def _flow_lost(
    axes: Axes, place: tuple[float, float], row: Mapping[Hashable, object], width: int
) -> None:
    """Write beside the arrow how many were lost on it and why."""
    if not row["n_lost"]:
        return
    reasons = f": {row['reasons']}" if row["reasons"] else ""
    lines = textwrap.fill(f"−{row['n_lost']}{reasons}", width)
    x, y = place[0] + 0.03, place[1] + 0.23
    axes.text(x, y, lines, va="center", fontsize=5.5, gid="flow-lost", bbox=_NOTE)


_NOTE = {"facecolor": PALE, "edgecolor": "none", "pad": 1.5}


def caption_flow(flow: pd.DataFrame) -> str:
    """Return a caption with the number of each box.

    Parameters
    ----------
    flow : DataFrame
        What was drawn.

    Returns
    -------
    str
        Plain text.
    """
    entries = []
    for row in flow.assign(modality=flow["modality"].fillna("")).to_dict("records"):
        name = f"{row['stage']} ({row['modality']})" if row["modality"] else str(row["stage"])
        entries.append(f"{name} {row['n']}")
    return f"Patients from enrolment to analysis: {'; '.join(entries)}."
