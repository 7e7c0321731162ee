"""Design and trust: power, analysis choices, detection of planted change, recovery of truth."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msimaging.figures.columns import require_columns, truth
from msimaging.figures.style import (
    DEFAULT_STYLE,
    NETWORK_COLOURS,
    PALE,
    FigureStyle,
    new_figure,
    styled,
)


@styled
def draw_power_curves(
    curves: pd.DataFrame, *, wanted: float = 0.8, style: FigureStyle = DEFAULT_STYLE
) -> Figure:
    """Draw power against the number of patients, a line per effect.

    Parameters
    ----------
    curves : DataFrame
        ``n effect power``.
    wanted : float
        Power drawn as a dashed line.
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
    require_columns(curves, ["n", "effect", "power"], "power curves")
    figure = new_figure(style.single_width_mm, 60)
    axes = figure.subplots()
    axes.axhline(wanted, color=style.reference, lw=0.7, ls="--", gid="wanted")
    _lines(axes, curves, ("n", "power", "effect"))
    axes.set(ylim=(0, 1.02), xlabel="Number of patients", ylabel="Power")
    return figure


def _lines(axes: Axes, table: pd.DataFrame, columns: tuple[str, str, str]) -> None:
    """Draw a named line per value of the third column."""
    x, y, group = columns
    for place, (name, rows) in enumerate(table.sort_values(x).groupby(group, sort=False)):
        colour = NETWORK_COLOURS[place % len(NETWORK_COLOURS)]
        axes.plot(rows[x], rows[y], "o-", ms=2.5, color=colour, label=str(name))
        if {"ci_low", "ci_high"} <= set(rows.columns):
            axes.fill_between(
                rows[x], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.2, lw=0
            )
    axes.legend(title=group.replace("_", " "), title_fontsize=axes.xaxis.label.get_fontsize())


def caption_power_curves(curves: pd.DataFrame, *, wanted: float = 0.8) -> str:
    """Return a caption with the smallest sufficient number of patients for each effect.

    Parameters
    ----------
    curves, wanted
        As for `draw_power_curves`.

    Returns
    -------
    str
        Plain text.
    """
    told = []
    for effect, rows in curves.groupby("effect", sort=False):
        enough = rows.loc[rows["power"] >= wanted, "n"]
        reached = f"{enough.min():.0f} patients" if len(enough) else "not reached"
        told.append(f"{effect}: {reached}")
    return f"Power against the number of patients; for {wanted:g}: {'; '.join(told)}."


@styled
def draw_specification_curve(
    specifications: pd.DataFrame,
    *,
    choices: Sequence[str],
    units: str = "",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw the estimate of every defensible analysis in order of size, its choices below.

    Parameters
    ----------
    specifications : DataFrame
        ``estimate ci_low ci_high``, the columns in `choices`, and where known ``prespecified``
        (marks the one analysis that was planned).
    choices : sequence of str
        Columns that tell the analyses apart.
    units : str
        Units of the estimates.
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
    require_columns(
        specifications, ["estimate", "ci_low", "ci_high", *choices], "specification curve"
    )
    rows = specifications.sort_values("estimate").reset_index(drop=True)
    options = [(c, o) for c in choices for o in dict.fromkeys(specifications[c])]
    figure = new_figure(style.double_width_mm, 50 + 4.2 * len(options))
    ratios = (40, 4.2 * len(options))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
    planned = truth(rows["prespecified"]) if "prespecified" in rows else rows["estimate"].isna()
    colours = [style.follow_up if chosen else "k" for chosen in planned]
    above.vlines(rows.index, rows["ci_low"], rows["ci_high"], color=colours, lw=0.7)
    above.scatter(rows.index, rows["estimate"], c=colours, s=7, zorder=3, gid="estimates")
    above.axhline(0, color=style.reference, lw=0.6)
    above.set_ylabel(f"Change [{units}]" if units else "Change")
    for place, (choice, option) in enumerate(options):
        used = rows.index[rows[choice] == option]
        below.axhspan(place - 0.5, place + 0.5, color=PALE, lw=0, alpha=0.5 * (place % 2))
        below.plot(used, [place] * len(used), "|", ms=5, color="k", gid=f"{choice}={option}")
    below.set_yticks(range(len(options)), [f"{c.replace('_', ' ')}: {o}" for c, o in options])
    below.set(ylim=(len(options) - 0.5, -0.5), xlabel="Analyses in order of their estimate")
    return figure


def caption_specification_curve(specifications: pd.DataFrame, *, units: str = "") -> str:
    """Return a caption with the number of analyses, their range and how many exclude zero.

    Parameters
    ----------
    specifications, units
        As for `draw_specification_curve`.

    Returns
    -------
    str
        Plain text.
    """
    low, high = specifications["estimate"].min(), specifications["estimate"].max()
    away = (specifications["ci_low"] > 0) | (specifications["ci_high"] < 0)
    planned = " Vermilion: the planned analysis." if "prespecified" in specifications else ""
    return (
        f"{len(specifications)} analyses of the same data; estimates from {low:.3g} to {high:.3g} "
        f"{units}".rstrip()
        + f"; the interval excludes zero in {int(away.sum())}.{planned}"
    )


@styled
def draw_operating_characteristic(
    rates: pd.DataFrame,
    *,
    nominal: float = 0.05,
    units: str = "",
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw how often a planted change is called a change, false alarms at zero.

    Parameters
    ----------
    rates : DataFrame
        ``planted verdict rate`` and where known ``ci_low ci_high`` (shares, 0 to 1).
    nominal : float
        Wanted rate of false alarms, drawn as a dashed line.
    units : str
        Units of the planted change.
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
    require_columns(rates, ["planted", "verdict", "rate"], "operating characteristic")
    figure = new_figure(style.single_width_mm, 60)
    axes = figure.subplots()
    axes.axhline(nominal, color=style.reference, lw=0.7, ls="--", gid="nominal")
    _lines(axes, rates, ("planted", "rate", "verdict"))
    label = f"Planted change [{units}]" if units else "Planted change"
    axes.set(ylim=(0, 1.02), xlabel=label, ylabel="Share called changed")
    return figure


def caption_operating_characteristic(rates: pd.DataFrame, *, nominal: float = 0.05) -> str:
    """Return a caption with the rates of false alarms.

    Parameters
    ----------
    rates, nominal
        As for `draw_operating_characteristic`.

    Returns
    -------
    str
        Plain text.
    """
    none = rates[rates["planted"] == 0]
    told = ", ".join(f"{r['verdict']} {r['rate']:.3f}" for r in none.to_dict("records"))
    alarms = f" With nothing planted: {told}." if told else ""
    return (
        f"Share of simulated patients called changed, against the planted change; dashed: the "
        f"nominal {nominal:g}.{alarms}"
    )


@styled
def draw_recovery(
    truth_table: pd.DataFrame, *, units: str = "", style: FigureStyle = DEFAULT_STYLE
) -> Figure:
    """Draw the recovered against the planted change, a point per region or network.

    Parameters
    ----------
    truth_table : DataFrame
        ``label planted recovered`` and where known ``ci_low ci_high``.
    units : str
        Units of both.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        One column wide, square; points on the diagonal are recovered exactly.

    Raises
    ------
    InputError
        When columns are missing.
    """
    require_columns(truth_table, ["label", "planted", "recovered"], "recovery plot")
    figure = new_figure(style.single_width_mm, style.single_width_mm)
    axes = figure.subplots()
    axes.axline((0, 0), slope=1, color=style.reference, lw=0.7, ls="--")
    axes.axhline(0, color=PALE, lw=0.6, zorder=0)
    if {"ci_low", "ci_high"} <= set(truth_table.columns):
        bounds = truth_table["ci_low"], truth_table["ci_high"]
        axes.vlines(truth_table["planted"], *bounds, color=style.reference, lw=0.7)
    axes.plot(
        truth_table["planted"], truth_table["recovered"], "o", ms=3.5, color=style.follow_up, mew=0
    )
    for row in truth_table[truth_table["planted"] != 0].to_dict("records"):
        place = (row["planted"], row["recovered"])
        axes.annotate(str(row["label"]), place, (4, -2), textcoords="offset points", fontsize=5.5)
    unit = f" [{units}]" if units else ""
    axes.set(xlabel=f"Planted change{unit}", ylabel=f"Recovered change{unit}")
    axes.margins(0.12)
    return figure


def caption_recovery(truth_table: pd.DataFrame, *, units: str = "") -> str:
    """Return a caption with planted and recovered change wherever something was planted.

    Parameters
    ----------
    truth_table, units
        As for `draw_recovery`.

    Returns
    -------
    str
        Plain text.
    """
    rows = truth_table[truth_table["planted"] != 0].to_dict("records")
    told = "; ".join(f"{r['label']} {r['planted']:.3g} → {r['recovered']:.3g}" for r in rows)
    unit = f" [{units}]" if units else ""
    nothing = int((truth_table["planted"] == 0).sum())
    return (
        f"Recovered against planted change{unit}; dashed: equal. {told}. "
        f"Nothing was planted in {nothing} others."
    )
