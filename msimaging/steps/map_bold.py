"""Step: maps of single voxels of a BOLD run: slow fluctuations and local agreement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msimaging.errors import InputError
from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.local import low_frequency_amplitude, regional_homogeneity
from msimaging.functional.strategies import select_confounds, strategy_named
from msimaging.steps.records import describe, report
from msimaging.steps.run_parts import RunParts
from msimaging.tables import read_json, sidecar_of
from msimaging.volumes import read_labels, read_volume, write_volume


def map_bold(
    *,
    image: str,
    mask: str,
    confounds: str,
    volumes: str,
    dropped: str,
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
    volumes, dropped : str
        Volumes that are used at each visit of the patient, and what of them is left out: the maps
        of a run that cannot be cleaned are n/a.
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
    parts = RunParts.read(confounds, volumes, dropped, session)
    excluded = parts.excluded(strategy)
    used = parts.used(strategy)
    steady = np.arange(used.min(initial=series.data.shape[3]), used.max(initial=-1) + 1)
    try:
        alff, falff, reho = _measured(
            series.data[brain].T,
            brain,
            t_r=t_r,
            design=select_confounds(
                parts.confounds,
                strategy_named(strategy, own_strategies),
                metadata=parts.components,
            ).design,
            band=(high_pass, low_pass),
            used=used,
            steady=steady,
        )
    except InputError as error:
        # a run that is left out anyway may be too short to clean: its maps are n/a
        if not excluded:
            raise
        report(replace(each, where=confounds) for each in error.findings)
        alff = falff = reho = np.full(brain.shape, np.nan, dtype=np.float32)
    maps = (
        (out_alff, alff, "ALFF (0.01 to 0.08 Hz, Zang 2007)."),
        (out_falff, falff, "fALFF (Zou 2008)."),
        (out_reho, reho, "ReHo, Kendall's W (Zang 2004)."),
    )
    for path, values, text in maps:
        write_volume(path, values, series.affine)
        describe(
            path,
            text,
            sources=[image, mask, *parts.sources],
            SkullStripped=True,
            Strategy=strategy,
            VolumesUsed=len(used) if path == out_reho else len(steady),
            Excluded=excluded or None,
        )


def _measured(
    voxels: NDArray[np.float32],
    brain: NDArray[np.bool_],
    *,
    t_r: float,
    design: NDArray[np.float64],
    band: tuple[float | None, float | None],
    used: NDArray[np.int64],
    steady: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return ALFF, fALFF and ReHo, (X, Y, Z) each, of voxels (T, V)."""
    whole = clean_time_series(
        voxels, t_r=t_r, high_pass=None, low_pass=None, confounds=design, sample_mask=steady
    )
    amplitude = low_frequency_amplitude(whole.time_series, t_r=t_r)
    high_pass, low_pass = band
    kept = clean_time_series(
        voxels,
        t_r=t_r,
        high_pass=high_pass,
        low_pass=low_pass,
        confounds=design,
        sample_mask=used,
    )
    cleaned = np.zeros((*brain.shape, len(used)), dtype=np.float32)
    cleaned[brain] = np.nan_to_num(kept.time_series.T)
    return (
        _in_brain(amplitude.alff, brain),
        _in_brain(amplitude.falff, brain),
        regional_homogeneity(cleaned, mask=brain),
    )


def _in_brain(values: NDArray[np.float64], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    image = np.full(brain.shape, np.nan, dtype=np.float32)
    image[brain] = values
    return image
