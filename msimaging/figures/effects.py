"""Effects of a cohort: forest plot of regions, agreement of two visits."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msimaging.figures.columns import require_columns, require_one
from msimaging.figures.style import DEFAULT_STYLE, FigureStyle, new_figure, styled


@styled
def draw_forest(
    results: pd.DataFrame,
    changes: pd.DataFrame | None = None,
    *,
    value: str = "change",
    units: str = "",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw each region's estimate with its interval, over the points of the patients.

    Parameters
    ----------
    results : DataFrame
        Rows of ``results.tsv`` of one model and measure: ``label estimate ci_low ci_high``, and
        where known ``p_adjusted`` and ``n``, which are printed at the right.
    changes : DataFrame, optional
        Rows of ``changes.tsv`` of the same measure: ``label`` and the column `value`.
    value : str
        Column of `changes` drawn as points, in the same units as the estimates.
    units : str
        Units of the estimates (for example "%").
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.

    Raises
    ------
    InputError
        When columns are missing or several measures are mixed.
    """
    require_columns(results, ["label", "estimate", "ci_low", "ci_high"], "forest plot")
    require_one(results, ["measure", "model"], "forest plot")
    figure = new_figure(style.double_width_mm, 18 + 5 * max(len(results), 2))
    axes = figure.subplots()
    axes.axvline(0, color=style.reference, lw=0.6)
    for place, row in enumerate(results.to_dict("records")):
        _patient_points(axes, changes, (place, row["label"]), value, style)
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color="k", lw=1.2, zorder=3)
        axes.plot(row["estimate"], place, "s", ms=4, color="k", zorder=4, gid="estimate")
        note = _result_note(row)
        axes.text(1.01, place, note, transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    axes.set_yticks(
        range(len(results)), [str(label).replace("_", " ") for label in results["label"]]
    )
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.set_xlabel(f"Change [{units}]" if units else "Change")
    return figure


def _patient_points(
    axes: Axes,
    changes: pd.DataFrame | None,
    place: tuple[int, Hashable],
    value: str,
    style: FigureStyle,
) -> None:
    """Draw the patients of one region, shifted up and down in turn so that they stay apart."""
    if changes is None:
        return
    points = changes.loc[changes["label"] == place[1], value].dropna().sort_values()
    shift = 0.22 * (np.arange(len(points)) % 3 - 1)
    axes.plot(
        points, place[0] + shift, "o", ms=2.5, color=style.follow_up, alpha=0.7, mew=0, zorder=2
    )


def _result_note(row: dict[Hashable, Any]) -> str:
    parts = []
    if pd.notna(row.get("n")):
        parts.append(f"n = {row['n']:.0f}")
    if pd.notna(row.get("p_adjusted")):
        parts.append(f"adj. p = {row['p_adjusted']:.3g}")
    return ", ".join(parts)


def caption_forest(results: pd.DataFrame, *, units: str = "") -> str:
    """Return a caption with estimates, intervals, n, test, family and smallest possible p.

    Parameters
    ----------
    results : DataFrame
        What was drawn.
    units : str
        Units of the estimates.

    Returns
    -------
    str
        Plain text.
    """
    entries = [
        f"{row['label']} {row['estimate']:.3g} [{row['ci_low']:.3g}, {row['ci_high']:.3g}]"
        for row in results.to_dict("records")
    ]
    facts = []
    for column, words in _FACTS.items():
        if column in results and results[column].notna().any():
            facts.append(words.format(_span(results[column])))
    unit = f" in {units}" if units else ""
    told = f" {'; '.join(facts)}." if facts else ""
    return (
        f"Mean change{unit} with confidence interval (square and line) and every patient (dots): "
        f"{'; '.join(entries)}.{told}"
    )


_FACTS = {
    "n": "n = {}",
    "test": "test: {}",
    "adjustment": "p adjusted by {}",
    "family": "family: {}",
    "p_floor": "smallest p this test can give: {}",
}


def _span(column: pd.Series[Any]) -> str:
    """Return the values of a column shortly: one, a range, or a list."""
    values = column.dropna()
    if pd.api.types.is_numeric_dtype(values):
        low, high = values.min(), values.max()
        return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return ", ".join(dict.fromkeys(map(str, values)))


@styled
def draw_bland_altman(
    changes: pd.DataFrame,
    *,
    bias: float | None = None,
    limits: tuple[float, float] | None = None,
    units: str = "",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw the difference of two visits against their mean.

    Parameters
    ----------
    changes : DataFrame
        ``baseline_value follow_up_value`` of one measure, one point per row.
    bias : float, optional
        Mean difference, drawn as a line.
    limits : tuple of float, optional
        Limits of agreement, drawn dashed.
    units : str
        Units of the values.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide.

    Raises
    ------
    InputError
        When columns are missing or several measures are mixed.
    """
    require_columns(changes, ["baseline_value", "follow_up_value"], "Bland-Altman plot")
    require_one(changes, ["measure"], "Bland-Altman plot")
    figure = new_figure(style.single_width_mm, 62)
    axes = figure.subplots()
    middle = (changes["baseline_value"] + changes["follow_up_value"]) / 2
    difference = changes["follow_up_value"] - changes["baseline_value"]
    axes.plot(middle, difference, "o", ms=3, color=style.follow_up, mew=0, alpha=0.8)
    axes.axhline(0, color=style.reference, lw=0.5)
    lines = [(bias, "-", "bias"), *((limit, "--", "limit") for limit in limits or ())]
    for height, dash, name in lines:
        if height is not None:
            axes.axhline(height, color="k", lw=0.8, ls=dash, gid=name)
            text = f"{height:.3g}"
            place = axes.get_yaxis_transform()
            axes.text(1.0, height, text, transform=place, ha="right", va="bottom", fontsize=6)
    unit = f" [{units}]" if units else ""
    axes.set(xlabel=f"Mean of both visits{unit}", ylabel=f"Follow-up − baseline{unit}")
    axes.locator_params(axis="x", nbins=6)
    axes.ticklabel_format(style="sci", scilimits=(-3, 4))
    return figure


def caption_bland_altman(
    changes: pd.DataFrame,
    *,
    bias: float | None = None,
    limits: tuple[float, float] | None = None,
    units: str = "",
) -> str:
    """Return a caption with the bias and limits drawn.

    Parameters
    ----------
    changes, bias, limits, units
        As for `draw_bland_altman`.

    Returns
    -------
    str
        Plain text.
    """
    both = changes[["baseline_value", "follow_up_value"]].notna().all(axis=1)
    text = f"Difference against mean of two visits, {int(both.sum())} pairs."
    if bias is not None:
        text += f" Line: mean difference {bias:.3g} {units}".rstrip() + "."
    if limits is not None:
        text += f" Dashed: limits of agreement {limits[0]:.3g} to {limits[1]:.3g} {units}".rstrip()
        text += "."
    return text
