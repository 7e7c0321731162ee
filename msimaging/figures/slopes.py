"""One small panel per region, one line per patient."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msimaging.figures.columns import require_columns, require_one, truth
from msimaging.figures.style import DEFAULT_STYLE, PALE, FigureStyle, new_figure, styled


@styled
def draw_region_slopes(
    changes: pd.DataFrame,
    *,
    units: str = "",
    n_columns: int = 4,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw one small panel per region, one line per patient from baseline to every follow-up.

    Parameters
    ----------
    changes : DataFrame
        Rows of ``changes.tsv`` of one measure and one baseline: ``participant_id label measure
        baseline_value follow_up_value months``, and where known ``sdc`` (the smallest detectable
        change, drawn as a band around the mean baseline) and ``detectable``.
    units : str
        Units of the values.
    n_columns : int
        Panels in a row.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide (one for a single region).

    Raises
    ------
    InputError
        When columns are missing or several measures are mixed.
    """
    needed = ["participant_id", "label", "measure", "baseline_value", "follow_up_value", "months"]
    require_columns(changes, needed, "region slopes")
    require_one(changes, ["measure", "baseline", "atlas"], "region slopes")
    regions = list(dict.fromkeys(changes["label"]))
    columns = min(n_columns, max(len(regions), 1))
    rows = -(-max(len(regions), 1) // columns)
    width = style.single_width_mm if columns == 1 else style.double_width_mm
    figure = new_figure(width, 12 + 42 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, region in zip(panels, regions, strict=False):
        _slopes(axes, changes[changes["label"] == region], style)
        axes.set_title(_wrapped(region))
    for axes in panels[len(regions) :]:
        axes.set_visible(False)
    figure.supxlabel("Months since baseline", fontsize=style.font_size)
    figure.supylabel(_axis_label(changes["measure"], units), fontsize=style.font_size)
    return figure


def _slopes(axes: Axes, rows: pd.DataFrame, style: FigureStyle) -> None:
    """Draw one region: band first, then the patients."""
    _sdc_band(axes, rows, style)
    for _, patient in rows.sort_values("months").groupby("participant_id", sort=False):
        months = [0.0, *patient["months"]]
        values = [patient["baseline_value"].iloc[0], *patient["follow_up_value"]]
        axes.plot(months, values, color=style.reference, lw=0.7, zorder=2)
        axes.plot(months[:1], values[:1], "o", ms=2.8, color=style.baseline, zorder=3)
        _follow_up_dots(axes, patient, style)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.5), high)


def _follow_up_dots(axes: Axes, patient: pd.DataFrame, style: FigureStyle) -> None:
    """Draw follow-ups filled where the change is detectable, open where it is not."""
    sure = truth(patient["detectable"]) if "detectable" in patient else np.ones(len(patient), bool)
    for filled, rows in ((True, patient[sure]), (False, patient[~sure])):
        face = style.follow_up if filled else "w"
        axes.plot(
            rows["months"],
            rows["follow_up_value"],
            "o",
            ms=2.8,
            color=style.follow_up,
            markerfacecolor=face,
            mew=0.7,
            zorder=3,
        )


def _sdc_band(axes: Axes, rows: pd.DataFrame, style: FigureStyle) -> None:
    if "sdc" not in rows or rows["sdc"].isna().all():
        return
    middle = rows.drop_duplicates("participant_id")["baseline_value"].mean()
    half = rows["sdc"].dropna().iloc[0]
    axes.axhspan(middle - half, middle + half, color=PALE, lw=0, zorder=0, gid="sdc-band")
    axes.axhline(middle, color=style.reference, lw=0.5, ls=":", zorder=1)


def _wrapped(text: Hashable) -> str:
    """Break a region's name into lines that fit above a small panel."""
    words = str(text).replace("_", " ").split()
    lines = [""]
    for word in words:
        fits = len(lines[-1]) + len(word) < 22
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if fits else [*lines, word]
    return "\n".join(lines)


def _axis_label(measure: pd.Series[Any], units: str) -> str:
    name = str(measure.iloc[0]).upper() if len(measure) else ""
    return f"{name} [{units}]" if units else name


def caption_region_slopes(changes: pd.DataFrame, *, units: str = "") -> str:
    """Return a caption with the number of patients, the months and the bands used.

    Parameters
    ----------
    changes : DataFrame
        What was drawn.
    units : str
        Units of the values.

    Returns
    -------
    str
        Plain text.
    """
    patients = changes["participant_id"].nunique()
    months = changes["months"]
    text = (
        f"{_axis_label(changes['measure'], units)} of {patients} patients in "
        f"{changes['label'].nunique()} regions from baseline (blue) to follow-up (vermilion) after "
        f"{months.min():.1f} to {months.max():.1f} months; one line per patient."
    )
    if "detectable" in changes:
        sure = int(truth(changes["detectable"]).sum())
        text += f" Filled: detectable against the noise of the scans ({sure} of {len(changes)})."
    if "sdc" in changes and changes["sdc"].notna().any():
        sdc = changes["sdc"].dropna()
        text += (
            " Grey band: smallest detectable change around the mean baseline "
            f"(±{sdc.min():.3g} to ±{sdc.max():.3g})."
        )
    return text
