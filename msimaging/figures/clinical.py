"""Clinical course: disability and treatments, blood values, responders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msimaging.figures.columns import require_columns
from msimaging.figures.style import (
    DEFAULT_STYLE,
    NETWORK_COLOURS,
    PALE,
    FigureStyle,
    new_figure,
    styled,
)


@styled
def draw_edss_swimmers(
    visits: pd.DataFrame,
    treatments: pd.DataFrame | None = None,
    *,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw a lane per patient: disability at every visit as a number, treatments as marks.

    Parameters
    ----------
    visits : DataFrame
        ``participant_id months edss``.
    treatments : DataFrame, optional
        ``participant_id months treatment``.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide; a dot's shade runs with the disability from 0 to 10.

    Raises
    ------
    InputError
        When columns are missing.
    """
    require_columns(visits, ["participant_id", "months", "edss"], "EDSS swimmer plot")
    patients = list(dict.fromkeys(visits["participant_id"]))
    figure = new_figure(style.double_width_mm, 22 + 6.5 * len(patients))
    axes = figure.subplots()
    for lane, patient in enumerate(patients):
        rows = visits[visits["participant_id"] == patient].dropna(subset=["edss"])
        axes.plot(rows["months"], [lane] * len(rows), color=PALE, lw=6, zorder=0)
        _edss_dots(axes, rows, lane)
    if treatments is not None:
        _treatment_marks(axes, treatments, patients)
    axes.set_yticks(range(len(patients)), patients)
    axes.set_ylim(len(patients) - 0.4, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("Months since baseline")
    return figure


def _edss_dots(axes: Axes, rows: pd.DataFrame, lane: int) -> None:
    dots = axes.scatter(
        rows["months"], [lane] * len(rows), s=95, c=rows["edss"], cmap="cividis_r", vmin=0, vmax=10
    )
    dots.set_gid("edss")
    for month, score in zip(rows["months"], rows["edss"], strict=True):
        colour = "w" if score > 4.5 else "k"
        middle = {"ha": "center", "va": "center_baseline"}
        axes.text(month, lane, f"{score:g}", fontsize=5.5, color=colour, **middle)


def _treatment_marks(axes: Axes, treatments: pd.DataFrame, patients: Sequence[str]) -> None:
    require_columns(treatments, ["participant_id", "months", "treatment"], "EDSS swimmer plot")
    for place, (name, rows) in enumerate(treatments.groupby("treatment", sort=False)):
        known = rows[rows["participant_id"].isin(patients)]
        lanes = [patients.index(patient) - 0.42 for patient in known["participant_id"]]
        colour = NETWORK_COLOURS[(place + 1) % len(NETWORK_COLOURS)]
        axes.plot(known["months"], lanes, "v", ms=4, color=colour, mew=0, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)


def caption_edss_swimmers(visits: pd.DataFrame, treatments: pd.DataFrame | None = None) -> str:
    """Return a caption with the numbers of patients, visits and treatments.

    Parameters
    ----------
    visits, treatments
        What was drawn.

    Returns
    -------
    str
        Plain text.
    """
    known = visits.dropna(subset=["edss"])
    text = (
        f"Disability (EDSS, number and shade) at {len(known)} visits of "
        f"{known['participant_id'].nunique()} patients."
    )
    if treatments is None or treatments.empty:
        return text
    counts = treatments["treatment"].value_counts(sort=False)
    told = ", ".join(f"{name} ({count})" for name, count in counts.items())
    return f"{text} Triangles: {told}."


@styled
def draw_time_courses(
    values: pd.DataFrame, *, units: str = "", style: FigureStyle = DEFAULT_STYLE
) -> Figure:
    """Draw the course of every measured substance or score, a thin line per patient.

    Parameters
    ----------
    values : DataFrame
        ``participant_id months measure value``; where known ``centre`` (the cohort's mean or
        median at these months) is drawn as a thick line.
    units : str
        Units of the values.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide, a panel per measure.

    Raises
    ------
    InputError
        When columns are missing.
    """
    require_columns(values, ["participant_id", "months", "measure", "value"], "time courses")
    measures = list(dict.fromkeys(values["measure"]))
    columns = min(4, max(len(measures), 1))
    rows = -(-max(len(measures), 1) // columns)
    figure = new_figure(style.double_width_mm, 8 + 42 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for axes, measure in zip(panels, measures, strict=False):
        _courses(axes, values[values["measure"] == measure].sort_values("months"), style)
        axes.set_title(measure)
    for axes in panels[len(measures) :]:
        axes.set_visible(False)
    figure.supxlabel("Months since baseline", fontsize=style.font_size)
    figure.supylabel(units, fontsize=style.font_size)
    return figure


def _courses(axes: Axes, rows: pd.DataFrame, style: FigureStyle) -> None:
    for _, patient in rows.dropna(subset=["value"]).groupby("participant_id", sort=False):
        axes.plot(patient["months"], patient["value"], "o-", ms=2, lw=0.6, color=style.reference)
    if "centre" in rows:
        middle = rows.dropna(subset=["centre"]).drop_duplicates("months")
        axes.plot(
            middle["months"],
            middle["centre"],
            color=style.follow_up,
            lw=1.8,
            gid="centre",
            zorder=3,
        )


def caption_time_courses(values: pd.DataFrame) -> str:
    """Return a caption with the number of patients and values of each measure.

    Parameters
    ----------
    values : DataFrame
        What was drawn.

    Returns
    -------
    str
        Plain text.
    """
    known = values.dropna(subset=["value"])
    counts = [
        f"{measure} ({rows['participant_id'].nunique()} patients, {len(rows)} values)"
        for measure, rows in known.groupby("measure", sort=False)
    ]
    thick = " Thick: centre of the cohort." if "centre" in values else ""
    return f"Courses of single patients: {', '.join(counts)}.{thick}"


OUTCOMES = ("improved", "stable", "worsened")


@styled
def draw_responders(
    counts: pd.DataFrame,
    *,
    placebo_rate: float | None = None,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw the shares of improved, stable and worsened patients, with a placebo reference.

    Parameters
    ----------
    counts : DataFrame
        ``group outcome n`` with outcome "improved", "stable" or "worsened"; where known
        ``ci_low ci_high`` of the improved share (0 to 1).
    placebo_rate : float, optional
        Share improved under placebo in other trials (0 to 1), drawn as a line.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide.

    Raises
    ------
    InputError
        When columns are missing.
    """
    require_columns(counts, ["group", "outcome", "n"], "responder bars")
    table = counts.pivot_table(index="group", columns="outcome", values="n", sort=False)
    table = table.reindex(columns=list(OUTCOMES)).fillna(0)
    figure = new_figure(style.single_width_mm, 24 + 9 * len(table))
    axes = figure.subplots()
    start = np.zeros(len(table))
    for outcome, colour in zip(OUTCOMES, (style.improved, PALE, style.worsened), strict=True):
        share = (table[outcome] / table.sum(axis=1)).to_numpy()
        axes.barh(range(len(table)), share, left=start, height=0.6, color=colour, label=outcome)
        _bar_numbers(axes, start + share / 2, table[outcome].to_numpy())
        start = start + share
    _responder_intervals(axes, counts, list(table.index))
    if placebo_rate is not None:
        axes.axvline(placebo_rate, color="k", lw=0.9, ls="--", gid="placebo", label="placebo")
    axes.set_yticks(range(len(table)), [f"{g} (n = {n:.0f})" for g, n in table.sum(axis=1).items()])
    axes.set(xlim=(0, 1), ylim=(len(table) - 0.5, -0.5), xlabel="Share of patients")
    axes.legend(loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=4, columnspacing=0.8)
    return figure


def _bar_numbers(axes: Axes, middles: np.ndarray, numbers: np.ndarray) -> None:
    for place, (x, n) in enumerate(zip(middles, numbers, strict=True)):
        if n > 0:
            axes.text(x, place + 0.12, f"{n:.0f}", ha="center", va="center", fontsize=6)


def _responder_intervals(axes: Axes, counts: pd.DataFrame, groups: Sequence[str]) -> None:
    if not {"ci_low", "ci_high"} <= set(counts.columns):
        return
    rows = counts[counts["outcome"] == "improved"].dropna(subset=["ci_low", "ci_high"])
    for row in rows.to_dict("records"):
        place = groups.index(row["group"]) - 0.18
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], "k|-", lw=0.9, ms=4)


def caption_responders(counts: pd.DataFrame, *, placebo_rate: float | None = None) -> str:
    """Return a caption with the counts and the reference.

    Parameters
    ----------
    counts, placebo_rate
        As for `draw_responders`.

    Returns
    -------
    str
        Plain text.
    """
    told = []
    for group, rows in counts.groupby("group", sort=False):
        parts = ", ".join(
            f"{n:.0f} {outcome}" for outcome, n in zip(rows["outcome"], rows["n"], strict=True)
        )
        told.append(f"{group}: {parts}")
    text = f"Outcome of patients. {'; '.join(told)}."
    if placebo_rate is not None:
        text += f" Dashed: {100 * placebo_rate:.0f}% improved under placebo in other trials."
    return text
