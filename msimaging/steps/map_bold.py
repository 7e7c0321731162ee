"""Step: maps of single voxels of a BOLD run: slow fluctuations and local agreement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.local import low_frequency_amplitude, regional_homogeneity
from msimaging.functional.strategies import select_confounds, strategy_named
from msimaging.steps.equalise_visits import USED
from msimaging.steps.parcel_tables import component_masks
from msimaging.steps.records import describe
from msimaging.tables import read_json, read_table, sidecar_of
from msimaging.volumes import read_labels, read_volume, write_volume


def map_bold(
    *,
    image: str,
    mask: str,
    confounds: str,
    volumes: str,
    session: str,
    strategy: str,
    own_strategies: dict[str, dict[str, Any]],
    high_pass: float | None,
    low_pass: float | None,
    out_alff: str,
    out_falff: str,
    out_reho: str,
) -> None:
    """Measure every voxel of a run after the primary denoising strategy.

    ALFF and fALFF need all frequencies and no gap: they come from a stretch without filter in
    which nothing is censored. ReHo takes the volumes and the band of the connectivity.

    Parameters
    ----------
    image, mask, confounds : str
        Preprocessed run, its brain mask and nuisance signals.
    volumes : str
        Volumes that are used at each visit of the patient.
    session : str
        The visit.
    strategy : str
        The primary strategy.
    own_strategies : dict
        Definitions of strategies of the study's own.
    high_pass, low_pass : float or None
        Pass band of ReHo in Hz.
    out_alff, out_falff, out_reho : str
        Maps on the grid of the run.

    Raises
    ------
    InputError
        Nothing left after cleaning, or a run too short for slow fluctuations.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    t_r = float(read_json(sidecar_of(image))["RepetitionTime"])
    chosen = select_confounds(
        read_table(confounds),
        strategy_named(strategy, own_strategies),
        metadata=component_masks(confounds),
    )
    fates = read_table(volumes)
    used = fates.loc[
        (fates["session_id"] == session) & (fates[strategy] == USED), "volume"
    ].to_numpy(dtype=np.int64)
    voxels = series.data[brain].T
    steady = np.arange(used.min(initial=len(voxels)), used.max(initial=-1) + 1)
    whole = clean_time_series(
        voxels,
        t_r=t_r,
        high_pass=None,
        low_pass=None,
        confounds=chosen.design,
        sample_mask=steady,
    )
    amplitude = low_frequency_amplitude(whole.time_series, t_r=t_r)
    kept = clean_time_series(
        voxels,
        t_r=t_r,
        high_pass=high_pass,
        low_pass=low_pass,
        confounds=chosen.design,
        sample_mask=used,
    )
    cleaned = np.zeros((*brain.shape, len(used)), dtype=np.float32)
    cleaned[brain] = np.nan_to_num(kept.time_series.T)
    maps = (
        (out_alff, _in_brain(amplitude.alff, brain), "ALFF (0.01 to 0.08 Hz, Zang 2007)."),
        (out_falff, _in_brain(amplitude.falff, brain), "fALFF (Zou 2008)."),
        (out_reho, regional_homogeneity(cleaned, mask=brain), "ReHo, Kendall's W (Zang 2004)."),
    )
    for path, values, text in maps:
        write_volume(path, values, series.affine)
        describe(
            path,
            text,
            sources=[image, mask, confounds, volumes],
            SkullStripped=True,
            Strategy=strategy,
            VolumesUsed=len(used) if path == out_reho else len(steady),
        )


def _in_brain(values: NDArray[np.float64], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    image = np.full(brain.shape, np.nan, dtype=np.float32)
    image[brain] = values
    return image
