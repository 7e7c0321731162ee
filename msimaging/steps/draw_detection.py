"""Step: how often the method calls a planted change of a region a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd

import msimaging.longitudinal
from msimaging.figures.design import (
    caption_operating_characteristic,
    draw_operating_characteristic,
)
from msimaging.steps.pictures import figure_style, save_figure
from msimaging.tables import read_table

#: The measure in which the change was planted.
_MEASURE = "rd"


def draw_detection(*, style: Mapping[str, Any], out_figure: Sequence[str]) -> None:
    """Draw the rates that were simulated for this version of the package.

    Parameters
    ----------
    style : mapping
        ``figures.style`` of the settings.
    out_figure : sequence of str
        Every file of the figure.
    """
    rates = simulated_rates()
    look = figure_style(style)
    units = "% lower RD"
    n_pairs, n_regions = int(rates["n_pairs"].max()), int(rates["n_regions"].max())
    save_figure(
        draw_operating_characteristic(rates, units=units, style=look),
        out_figure,
        data=rates,
        caption=(
            f"{caption_operating_characteristic(rates)} {n_pairs} simulated pairs of scans, "
            f"{n_regions} regions without change, 3 mm, 30 directions, SNR 30; detectable asks for "
            "the noise of the two scans, reliable for what rescans of 20 untouched people, or "
            "published rescans, would show. Not this study's data."
        ),
        sources=[],
        style=look,
    )


def simulated_rates() -> pd.DataFrame:
    """Return the packaged rates of RD.

    Returns
    -------
    DataFrame
        Columns ``planted verdict rate ci_low ci_high n_pairs n_regions``.
    """
    path = files(msimaging.longitudinal).joinpath("operating_characteristics.tsv")
    table = read_table(str(path))
    rates = table[table["measure"] == _MEASURE].drop(columns="measure")
    return rates.rename(columns={"planted_percent": "planted", "question": "verdict"})
