"""Step: regions of the cohort: each patient's slopes, and the forest of mean changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.figures.cohort import (
    caption_bland_altman,
    caption_forest,
    caption_region_slopes,
    draw_bland_altman,
    draw_forest,
    draw_region_slopes,
)
from msimaging.steps.pictures import figure_style, save_figure
from msimaging.tables import read_table


def draw_regions(
    *,
    changes: str,
    results: str,
    atlas: str,
    measure: str,
    style: Mapping[str, Any],
    out_slopes: Sequence[str],
    out_forest: Sequence[str],
    out_agreement: Sequence[str],
) -> None:
    """Draw one measure over the regions of one atlas.

    Parameters
    ----------
    changes, results : str
        ``changes.tsv`` and ``results.tsv``.
    atlas, measure : str
        What is drawn.
    style : mapping
        ``figures.style`` of the settings.
    out_slopes, out_forest, out_agreement : sequence of str
        Every file of each figure.
    """
    units = SCALAR_METRICS[measure].units
    shown = _of(read_table(changes), atlas, measure)
    # rows of one baseline and one follow-up; further visits have models of their own
    shown = shown[shown["baseline"] == shown["baseline"].iloc[0]]
    look = figure_style(style)
    save_figure(
        draw_region_slopes(shown, units=units, style=look),
        out_slopes,
        data=shown,
        caption=caption_region_slopes(shown, units=units),
        sources=[changes],
        style=look,
    )
    middle, spread = float(shown["change"].mean()), float(shown["change"].std())
    lines: dict[str, Any] = {
        "bias": middle,
        "limits": (middle - 1.96 * spread, middle + 1.96 * spread),
    }
    save_figure(
        draw_bland_altman(shown, **lines, units=units, style=look),
        out_agreement,
        data=shown,
        caption=caption_bland_altman(shown, **lines, units=units),
        sources=[changes],
        style=look,
    )
    tested = _of(read_table(results), atlas, measure)
    # the models of the settings have names of their own before the colon
    tested = tested[tested["model"].str.startswith("paired change ")]
    tested = tested[tested["model"] == tested["model"].iloc[0]]
    save_figure(
        draw_forest(tested, shown, units=units, style=look),
        out_forest,
        data=tested,
        caption=caption_forest(tested, units=units),
        sources=[results, changes],
        style=look,
    )


def _of(table: pd.DataFrame, atlas: str, measure: str) -> pd.DataFrame:
    return table[(table["atlas"] == atlas) & (table["measure"] == measure)]
