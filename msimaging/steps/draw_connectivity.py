"""Step: connectivity before, after and the difference, for one patient or the mean of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from msimaging.figures.connectomes import caption_connectivity_change, draw_connectivity_change
from msimaging.functional.connectivity import fisher_z
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.parcel_tables import read_matrix
from msimaging.steps.pictures import figure_style, save_figure
from msimaging.tables import read_json, sidecar_of


def draw_patient_connectivity(
    *,
    matrices: Sequence[str],
    change: str,
    error: str,
    atlas: str,
    own: Mapping[str, Mapping[str, str]],
    visits: Sequence[str],
    confidence: float,
    style: Mapping[str, Any],
    out_figures: Sequence[str],
) -> None:
    """Draw one patient's matrices; the lower triangle shows edges beyond the noise of the scans.

    Parameters
    ----------
    matrices : sequence of str
        Correlations at baseline and follow-up.
    change, error : str
        Change of Fisher z and its standard error.
    atlas : str
        Its name.
    own : mapping
        Files of user atlases.
    visits : sequence of str
        Names of both visits.
    confidence : float
        Coverage of the intervals.
    style : mapping
        ``figures.style`` of the settings.
    out_figures : sequence of str
        Every file of the figure.
    """
    before, after = (fisher_z(read_matrix(path)[0]) for path in matrices)
    difference, errors = read_matrix(change)[0], read_matrix(error)[0]
    limit = stats.norm.ppf((1 + confidence) / 2)
    with np.errstate(invalid="ignore"):
        beyond = np.abs(difference) > limit * errors
    _draw(
        (before, after, difference),
        beyond,
        parcels=_parcels(atlas, own),
        visits=visits,
        style=style,
        out_figures=out_figures,
        sources=matrices,
    )


def draw_cohort_connectivity(
    *,
    baselines: Sequence[str],
    follow_ups: Sequence[str],
    atlas: str,
    own: Mapping[str, Mapping[str, str]],
    confidence: float,
    style: Mapping[str, Any],
    out_figures: Sequence[str],
) -> None:
    """Draw the mean over patients; the lower triangle shows edges whose interval excludes 0.

    Parameters
    ----------
    baselines, follow_ups : sequence of str
        Correlations of every pair of visits, in one order.
    atlas, own, confidence, style, out_figures
        As in `draw_patient_connectivity`.
    """
    pairs = list(zip(baselines, follow_ups, strict=True))
    used = [pair for pair in pairs if not any(_left_out(path) for path in pair)]
    # a cohort of which nobody is left still gets its picture: empty
    shown = used or pairs
    before, after = (
        np.stack([fisher_z(read_matrix(pair[end])[0]) for pair in shown]) for end in (0, 1)
    )
    if not used:
        before, after = np.full_like(before, np.nan), np.full_like(after, np.nan)
    differences = after - before
    n = len(differences)
    mean = differences.mean(axis=0)
    beyond = np.zeros(mean.shape, dtype=bool)
    if n > 1:
        half = stats.t.ppf((1 + confidence) / 2, n - 1) * differences.std(axis=0, ddof=1)
        with np.errstate(invalid="ignore"):
            beyond = np.abs(mean) > half / np.sqrt(n)
    _draw(
        (before.mean(axis=0), after.mean(axis=0), mean),
        beyond,
        parcels=_parcels(atlas, own),
        visits=("Baseline", "Follow-up"),
        style=style,
        out_figures=out_figures,
        sources=[*baselines, *follow_ups],
        n_patients=len(used),
    )


def _left_out(matrix: str) -> bool:
    """Tell whether a run is left out of statistics."""
    return bool(read_json(sidecar_of(matrix)).get("Excluded"))


def _parcels(atlas: str, own: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    known = named_atlas(atlas, own)
    networks = [str(name or "none") for name in known.networks]
    return pd.DataFrame({"label": list(known.names), "network": networks})


def _draw(
    matrices: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    beyond: NDArray[np.bool_],
    *,
    parcels: pd.DataFrame,
    visits: Sequence[str],
    style: Mapping[str, Any],
    out_figures: Sequence[str],
    sources: Sequence[str],
    n_patients: int | None = None,
) -> None:
    look = figure_style(style)
    networks = list(parcels["network"])
    figure = draw_connectivity_change(
        *matrices,
        networks=networks,
        interval_excludes_zero=beyond,
        units="Fisher z",
        titles=(*visits, "Difference"),
        style=look,
    )
    caption = caption_connectivity_change(
        matrices[2],
        networks=networks,
        interval_excludes_zero=beyond,
        units="Fisher z",
        n_patients=n_patients,
    )
    edges = _edges(matrices, beyond, parcels)
    save_figure(figure, out_figures, data=edges, caption=caption, sources=sources, style=look)


def _edges(
    matrices: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    beyond: NDArray[np.bool_],
    parcels: pd.DataFrame,
) -> pd.DataFrame:
    """Return one row for each edge that has a value, for whoever draws the figure anew."""
    first, second = np.triu_indices(len(parcels), k=1)
    before, after, difference = (matrix[first, second].round(4) for matrix in matrices)
    edges = pd.DataFrame(
        {
            "node_a": parcels["label"].to_numpy()[first],
            "node_b": parcels["label"].to_numpy()[second],
            "before": before,
            "after": after,
            "difference": difference,
            "interval_excludes_zero": beyond[first, second].astype(int),
        }
    )
    return edges[np.isfinite(difference)]
