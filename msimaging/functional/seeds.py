"""Connectivity of a seed with every voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.edges import fisher_z
from msimaging.functional.local import seed_correlations

_VOXELS_AT_ONCE = 20_000


def seed_maps(
    voxels: NDArray[np.floating[Any]],
    seeds: NDArray[np.floating[Any]],
    *,
    t_r: float,
    high_pass: float | None,
    low_pass: float | None,
    confounds: pd.DataFrame | NDArray[np.floating[Any]] | None = None,
    sample_mask: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Clean voxels and seeds alike and correlate them.

    Parameters
    ----------
    voxels : ndarray of shape (T, V)
        Before cleaning.
    seeds : ndarray of shape (T, S)
        Mean signals of the seeds, before cleaning; all NaN where a seed is not covered.
    t_r, high_pass, low_pass, confounds, sample_mask
        As in `clean_time_series`.

    Returns
    -------
    ndarray of shape (S, V)
        Fisher's z; NaN for seeds that are not covered and voxels that do not vary.

    Raises
    ------
    InputError
        As `clean_time_series`.

    Notes
    -----
    The numbers of nilearn's maskers on the same choices; voxels are cleaned piece by piece, so
    that memory does not grow with the brain.
    """
    choices: dict[str, Any] = {
        "t_r": t_r,
        "high_pass": high_pass,
        "low_pass": low_pass,
        "confounds": confounds,
        "sample_mask": sample_mask,
    }
    z = np.full((seeds.shape[1], voxels.shape[1]), np.nan)
    if np.isnan(seeds).all():
        return z
    cleaned_seeds = clean_time_series(seeds, **choices).time_series
    for start in range(0, voxels.shape[1], _VOXELS_AT_ONCE):
        piece = slice(start, start + _VOXELS_AT_ONCE)
        cleaned = clean_time_series(voxels[:, piece], **choices).time_series
        for row, seed in zip(z, cleaned_seeds.T, strict=True):
            row[piece] = fisher_z(seed_correlations(cleaned, seed=seed))
    return z
