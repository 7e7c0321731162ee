"""Step: connectivity before, after and the difference, for one patient or the mean of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from msimaging.figures.connectomes import (
    caption_connectivity_change,
    caption_network_blocks,
    draw_connectivity_change,
    draw_network_blocks,
)
from msimaging.figures.glass import caption_glass_connectome, draw_glass_connectome
from msimaging.figures.style import FigureStyle
from msimaging.functional.edges import fisher_z
from msimaging.parcellation import Parcellation
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.parcel_tables import read_matrix
from msimaging.steps.pictures import figure_style, save_figure
from msimaging.tables import read_json, sidecar_of

#: Edges in a glass brain beyond which nothing can be told apart.
_MOST_EDGES = 60


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
    limit = special.ndtri((1 + confidence) / 2)
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
    out_blocks: Sequence[str],
    out_glass: Sequence[str],
) -> None:
    """Draw the mean over patients; the lower triangle shows edges whose interval excludes 0.

    Parameters
    ----------
    baselines, follow_ups : sequence of str
        Correlations of every pair of visits, in one order.
    atlas, own, confidence, style, out_figures
        As in `draw_patient_connectivity`.
    out_blocks, out_glass : sequence of str
        Every file of the figures of networks and of single edges in a glass brain.
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
    mean, beyond = _mean_and_beyond(differences, confidence)
    sources = [path for pair in shown for path in pair]
    look, parcels = figure_style(style), _parcels(atlas, own)
    _draw_blocks(differences, parcels, confidence, look=look, out=out_blocks, sources=sources)
    _draw_glass(mean, beyond, named_atlas(atlas, own), look=look, out=out_glass, sources=sources)
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


def _mean_and_beyond(
    differences: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean over patients, and where its confidence interval excludes 0."""
    n, mean = len(differences), differences.mean(axis=0)
    if n < 2:
        return mean, np.zeros(mean.shape, dtype=bool)
    half = special.stdtrit(n - 1, (1 + confidence) / 2) * differences.std(axis=0, ddof=1)
    with np.errstate(invalid="ignore"):
        return mean, np.abs(mean) > half / np.sqrt(n)


def _draw_blocks(
    differences: NDArray[np.float64],
    parcels: pd.DataFrame,
    confidence: float,
    *,
    look: FigureStyle,
    out: Sequence[str],
    sources: Sequence[str],
) -> None:
    """Draw the mean change within and between networks."""
    names = list(dict.fromkeys(parcels["network"]))
    members = [np.flatnonzero(parcels["network"] == name) for name in names]
    off_diagonal = ~np.eye(len(parcels), dtype=bool)
    blocks = np.full((len(differences), len(names), len(names)), np.nan)
    for row, first in enumerate(members):
        for column, second in enumerate(members):
            inside = off_diagonal[np.ix_(first, second)]
            edges = differences[:, first[:, None], second][:, inside]
            known = np.isfinite(edges).all(axis=0)
            if known.any():
                blocks[:, row, column] = edges[:, known].mean(axis=1)
    mean, beyond = _mean_and_beyond(blocks, confidence)
    told: dict[str, Any] = {"names": names, "interval_excludes_zero": beyond, "units": "Fisher z"}
    first, second = np.triu_indices(len(names))
    data = pd.DataFrame(
        {
            "network_a": np.array(names)[first],
            "network_b": np.array(names)[second],
            "change": mean[first, second],
            "interval_excludes_zero": beyond[first, second].astype(int),
        }
    )
    save_figure(
        draw_network_blocks(mean, **told, style=look),
        out,
        data=data,
        caption=caption_network_blocks(mean, **told, n_patients=len(differences)),
        sources=sources,
        style=look,
    )


def _draw_glass(
    mean: NDArray[np.float64],
    beyond: NDArray[np.bool_],
    atlas: Parcellation,
    *,
    look: FigureStyle,
    out: Sequence[str],
    sources: Sequence[str],
) -> None:
    """Draw the largest changes whose interval excludes 0 as edges in a glass brain."""
    upper = np.triu(beyond & np.isfinite(mean), k=1)
    sizes = np.sort(np.abs(mean[upper]))[::-1]
    least = sizes[_MOST_EDGES - 1] if sizes.size > _MOST_EDGES else 0.0
    shown = upper & (np.abs(np.nan_to_num(mean)) >= least)
    limit = float(sizes[0]) if sizes.size else 0.5
    places = atlas.table[["x", "y", "z"]].to_numpy(dtype=float)
    first, second = np.nonzero(shown)
    names = np.array(atlas.names)
    caption = caption_glass_connectome(shown=shown | shown.T, limit=limit, units="Fisher z")
    save_figure(
        draw_glass_connectome(
            np.where(shown | shown.T, mean, 0.0),
            places,
            shown=shown | shown.T,
            limit=limit,
            units="Fisher z",
            style=look,
        ),
        out,
        data=pd.DataFrame(
            {"node_a": names[first], "node_b": names[second], "change": mean[first, second]}
        ),
        caption=f"{caption} Shown are the largest of {int(upper.sum())} mean changes whose "
        "interval, not corrected for the number of edges, excludes 0.",
        sources=sources,
        style=look,
    )


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
