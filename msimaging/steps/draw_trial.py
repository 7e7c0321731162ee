"""Step: figures of the trial: courses, disability, responders, power, choices of analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from msimaging.figures.clinical import (
    caption_edss_swimmers,
    caption_responders,
    caption_time_courses,
    draw_edss_swimmers,
    draw_responders,
    draw_time_courses,
)
from msimaging.figures.design import (
    caption_power_curves,
    caption_specification_curve,
    draw_power_curves,
    draw_specification_curve,
)
from msimaging.figures.style import FigureStyle, new_figure
from msimaging.statistics.specifications import CHOICES
from msimaging.steps.pictures import figure_style, save_figure
from msimaging.tables import read_table

Drawing = tuple[Figure, pd.DataFrame, str]


def draw_trial(
    *,
    figure: str,
    tables: Mapping[str, str],
    settings: Mapping[str, Any],
    style: Mapping[str, Any],
    out_figure: Sequence[str],
) -> None:
    """Draw one figure of the trial.

    Parameters
    ----------
    figure : str
        A key of `FIGURES`.
    tables : mapping
        From name to file, what this figure shows.
    settings : mapping
        ``placebo_rate``, ``power`` and, for responders, ``rule``.
    style : mapping
        ``figures.style`` of the settings.
    out_figure : sequence of str
        One file a format, the data and the caption.
    """
    look = figure_style(style)
    read = {name: read_table(path) for name, path in tables.items()}
    drawing, data, caption = FIGURES[figure](read, settings, look)
    save_figure(
        drawing, out_figure, data=data, caption=caption, sources=list(tables.values()), style=look
    )


def _swimmers(
    tables: Mapping[str, pd.DataFrame], _: Mapping[str, Any], style: FigureStyle
) -> Drawing:
    outcomes, given = tables["outcomes"], tables["treatments"]
    rows = outcomes[outcomes["type"] == "edss"].dropna(subset=["months"])
    visits = rows.rename(columns={"value": "edss"})[["participant_id", "months", "edss"]]
    known = given.dropna(subset=["months"]) if len(given) else None
    if visits.empty:
        return _nothing("No EDSS with a known time.", style)
    drawing = draw_edss_swimmers(visits, known, style=style)
    return drawing, visits, caption_edss_swimmers(visits, known)


def _courses(
    tables: Mapping[str, pd.DataFrame], _: Mapping[str, Any], style: FigureStyle
) -> Drawing:
    rows = tables["outcomes"].dropna(subset=["months", "value"])
    if rows.empty:
        return _nothing("No outcome with a known time.", style)
    units = rows["units"].fillna("")
    named = rows["measure"].where(units == "", rows["measure"] + " [" + units + "]")
    values = rows.assign(measure=named)[
        ["participant_id", "session_id", "months", "measure", "value"]
    ]
    # the middle of a planned visit, at the middle of its true months
    by_visit = values.groupby(["measure", "session_id"], sort=False)
    middle = by_visit[["months", "value"]].median().rename(columns={"value": "centre"})
    enough = by_visit["participant_id"].size() > 1
    centres = middle[enough].reset_index().assign(participant_id="", value=float("nan"))
    shown = pd.concat([values.assign(centre=float("nan")), centres], ignore_index=True)
    drawing = draw_time_courses(shown, style=style)
    return drawing, values, caption_time_courses(values.assign(centre=0.0))


def _responders(
    tables: Mapping[str, pd.DataFrame], settings: Mapping[str, Any], style: FigureStyle
) -> Drawing:
    counts = tables["counts"]
    rows = counts[counts["table"] == "responders"]
    if rows.empty:
        return _nothing("No patient with both visits.", style)
    rules = list(dict.fromkeys(rows["rule"]))
    rule = settings["rule"] if settings["rule"] in rules else rules[0]
    several = len(set(rows["group"])) > 1
    chosen = rows[rows["rule"] == rule] if several else rows
    name = chosen["group"] if several else "rule " + chosen["rule"]
    table = chosen.assign(group=name, n=chosen["k"], n_group=chosen["n"])
    rate = settings["placebo_rate"]
    drawing = draw_responders(table, placebo_rate=rate, style=style)
    shown = table[["group", "outcome", "n", "n_group", "share", "ci_low", "ci_high"]]
    text = caption_responders(table, placebo_rate=rate)
    return drawing, shown, f"{text} Rule: {rule}." if several else text


def _power(
    tables: Mapping[str, pd.DataFrame], settings: Mapping[str, Any], style: FigureStyle
) -> Drawing:
    curves = tables["curves"]
    if curves.empty:
        return _nothing("No effect to plan on: the lower limits are 0.", style)
    drawing = draw_power_curves(curves, wanted=settings["power"], style=style)
    return drawing, curves, caption_power_curves(curves, wanted=settings["power"])


def _specifications(
    tables: Mapping[str, pd.DataFrame], _: Mapping[str, Any], style: FigureStyle
) -> Drawing:
    table = tables["specifications"]
    if table.empty:
        return _nothing("No analysis could be made.", style)
    # a choice without an alternative tells nothing
    choices = [name for name in CHOICES if len(set(table[name])) > 1] or ["measure"]
    drawing = draw_specification_curve(
        table.fillna(dict.fromkeys(choices, "none")),
        choices=choices,
        units="Hedges g",
        style=style,
    )
    return drawing, table, caption_specification_curve(table, units="(Hedges g)")


def _nothing(reason: str, style: FigureStyle) -> Drawing:
    """Say why there is no figure, where the rule has promised one."""
    drawing = new_figure(style.single_width_mm, 12, layout=None)
    drawing.text(0.5, 0.5, reason, ha="center", va="center", fontsize=style.font_size)
    return drawing, pd.DataFrame({"reason": [reason]}), reason


#: Figure by name.
FIGURES: Mapping[
    str, Callable[[Mapping[str, pd.DataFrame], Mapping[str, Any], FigureStyle], Drawing]
] = MappingProxyType(
    {
        "swimmers": _swimmers,
        "courses": _courses,
        "responders": _responders,
        "power": _power,
        "specifications": _specifications,
    }
)
