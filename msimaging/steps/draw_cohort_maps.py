"""Step: the mean change of one tensor measure over patients, seen through a glass brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, special

from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.figures.glass import caption_glass_change, draw_glass_change
from msimaging.steps.pictures import figure_style, save_figure
from msimaging.volumes import read_volume

#: Smallest cluster that is shown [ml]: single voxels beyond their interval are mostly chance.
_LEAST_ML = 0.5
#: Colours end here when nothing is shown.
_NO_CHANGE = {"fa": 0.05, "md": 1e-4, "ad": 1e-4, "rd": 1e-4}
_COLUMNS = ("x", "y", "z", "volume_ml", "mean_change", "peak_change")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanChange:
    """Mean of change maps over patients.

    Attributes
    ----------
    mean : (X, Y, Z) ndarray
        0 where not every patient has a value.
    excludes_zero : (X, Y, Z) ndarray of bool
        Where the interval of the mean excludes 0; nowhere for less than two patients.
    affine : (4, 4) ndarray
        Voxels to template coordinates in mm.
    """

    mean: NDArray[np.float64]
    excludes_zero: NDArray[np.bool_]
    affine: NDArray[np.float64]


def draw_cohort_maps(
    *,
    changes: Sequence[str],
    measure: str,
    confidence: float,
    style: Mapping[str, Any],
    out_figure: Sequence[str],
) -> None:
    """Draw where a measure changed in the mean of the patients.

    Parameters
    ----------
    changes : sequence of str
        Change map of every patient between the same two visits, in template space.
    measure : str
        ``fa md ad rd``.
    confidence : float
        Coverage of the intervals.
    style : mapping
        ``figures.style`` of the settings.
    out_figure : sequence of str
        Every file of the figure; its data are the clusters that are shown.
    """
    found = mean_change(changes, confidence=confidence)
    shown, clusters = _clusters(found)
    largest = float(np.abs(shown).max())
    told: dict[str, Any] = {
        "limit": float(f"{largest or _NO_CHANGE[measure]:.2g}"),
        "threshold": 0.0,
        "label": measure.upper(),
        "units": SCALAR_METRICS[measure].units,
    }
    look = figure_style(style)
    save_figure(
        draw_glass_change(shown, found.affine, **told, style=look),
        out_figure,
        data=clusters,
        caption=f"{caption_glass_change(**told)} Mean of {_patients(len(changes))}, "
        f"{len(clusters)} clusters of at least {_LEAST_ML:g} ml in which the {confidence:.0%} "
        "interval of every voxel excludes 0; not corrected for the number of voxels, not smoothed.",
        sources=changes,
        style=look,
    )


def _patients(n: int) -> str:
    return f"{n} patient{'s' if n > 1 else ''}"


def mean_change(changes: Sequence[str], *, confidence: float) -> MeanChange:
    """Read change maps one after the other and take their mean.

    Parameters
    ----------
    changes : sequence of str
        Maps on one grid; 0 and not finite mean no value.
    confidence : float
        Coverage of Student's interval of the mean.

    Returns
    -------
    MeanChange
        Memory is that of some maps, however many patients there are.
    """
    volume = read_volume(changes[0], ndim=3)
    total, squares = np.zeros(volume.data.shape), np.zeros(volume.data.shape)
    known = np.ones(volume.data.shape, dtype=bool)
    for path in changes:
        data = read_volume(path, ndim=3).data.astype(np.float64)
        known &= np.isfinite(data) & (data != 0)
        data = np.where(known, data, 0)
        total += data
        squares += data**2
    n = len(changes)
    mean = np.where(known, total / n, 0)
    if n < 2:
        return MeanChange(mean=mean, excludes_zero=np.zeros_like(known), affine=volume.affine)
    variance = np.maximum(squares / n - mean**2, 0) * n / (n - 1)
    half = special.stdtrit(n - 1, (1 + confidence) / 2) * np.sqrt(variance / n)
    excludes_zero = known & (np.abs(mean) > half)
    return MeanChange(mean=mean, excludes_zero=excludes_zero, affine=volume.affine)


def _clusters(found: MeanChange) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Return the map of clusters of one sign that are large enough, and their table."""
    voxel_ml = abs(float(np.linalg.det(found.affine[:3, :3]))) / 1000
    shown, rows = np.zeros_like(found.mean), []
    for sign in (1, -1):
        labels, _ = ndimage.label(found.excludes_zero & (sign * found.mean > 0))
        sizes = np.bincount(labels.ravel()) * voxel_ml
        for label in np.flatnonzero(sizes[1:] >= _LEAST_ML) + 1:
            inside = labels == label
            shown[inside] = found.mean[inside]
            peak = np.unravel_index(
                int(np.argmax(np.where(inside, sign * found.mean, 0))), shown.shape
            )
            place = (found.affine @ [*peak, 1.0])[:3]
            rows.append((*place, sizes[label], found.mean[inside].mean(), found.mean[peak]))
    table = pd.DataFrame(rows, columns=list(_COLUMNS), dtype=float)
    return shown, table.sort_values("volume_ml", ascending=False, kind="stable", ignore_index=True)
