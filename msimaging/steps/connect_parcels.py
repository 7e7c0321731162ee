"""Step: cleaned time series and connectivity matrices of one visit, by strategy, atlas and kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import InputError
from msimaging.functional.cleaning import Cleaned, clean_time_series
from msimaging.functional.comparable import MIN_DEGREES_OF_FREEDOM
from msimaging.functional.connectivity import KINDS, Estimator, connectivity_matrix
from msimaging.functional.networks import NetworkMeans, network_z, no_network_z
from msimaging.functional.strategies import Strategy, select_confounds, strategy_named
from msimaging.functional.strength import ParcelStrengths, no_parcel_strengths, parcel_strengths
from msimaging.functional.uncertainty import xdf_variance
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.changes import TOO_LITTLE_DATA
from msimaging.steps.parcel_tables import (
    read_time_series,
    write_matrix,
    write_time_series,
)
from msimaging.steps.records import describe, report
from msimaging.steps.run_parts import RunParts
from msimaging.tables import read_json, sidecar_of, write_table

NETWORK_COLUMNS: Mapping[str, str] = {
    "label": "The two networks.",
    "value": "Mean Fisher z of the covered edges.",
    "se": "Standard error of the mean.",
    "n_edges": "Covered edges.",
    "flags": f"{TOO_LITTLE_DATA} where the run is left out of statistics; its JSON tells why.",
}
STRENGTH_COLUMNS: Mapping[str, str] = {
    **NETWORK_COLUMNS,
    "label": "The parcel.",
    "value": "Mean Fisher z of the parcel's edges to all other covered parcels.",
    "n_edges": "Covered edges of the parcel.",
}
_ERRORS_OF_MEANS = (
    "standard errors corrected for autocorrelation (xDF carried to means of edges) and for the "
    "regressors used up"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One visit's parcels under one strategy.

    Attributes
    ----------
    cleaned : Cleaned or None
        None where nothing is left of a run that is left out of statistics.
    labels : tuple of P str
    networks : list of P str or None
    excluded : str
        Why the run is left out of statistics; empty where it is not.
    sources : list of str
    record : dict
        For the sidecars: strategy, filter and what they cost.
    """

    cleaned: Cleaned | None
    labels: tuple[str, ...]
    networks: list[str | None]
    excluded: str
    sources: list[str]
    record: dict[str, Any]

    @property
    def time_series(self) -> NDArray[np.float64]:
        """Return the cleaned signals, (T', P); one row of NaN where nothing is left."""
        if self.cleaned is None:
            return np.full((1, len(self.labels)), np.nan)
        return self.cleaned.time_series


def connect_parcels(
    *,
    series: Sequence[str],
    confounds: str,
    volumes: str,
    dropped: str,
    session: str,
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    strategies: Sequence[str],
    own_strategies: Mapping[str, Mapping[str, Any]],
    high_pass: float | None,
    low_pass: float | None,
    kinds: Mapping[str, Estimator],
    out_denoised: Sequence[str],
    out_variances: Sequence[str],
    out_strengths: Sequence[str],
    out_networks: Sequence[str],
    out_matrices: Sequence[str],
) -> None:
    """Clean the parcel signals once a strategy, then compute every kind of connectivity.

    Parameters
    ----------
    series : sequence of str
        Parcel time series, one an atlas.
    confounds : str
        Confounds of the run.
    volumes, dropped : str
        Volumes that are used at each visit of the patient, and what was left out.
    session : str
        This visit.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    strategies : sequence of str
        Named sets of confounds, the primary one first.
    own_strategies : mapping
        Definitions of strategies of the study's own.
    high_pass, low_pass : float or None
        Pass band in Hz.
    kinds : mapping
        From the kind of connectivity to its covariance estimator.
    out_denoised, out_networks : sequence of str
        All atlases of the first strategy, then of the next.
    out_variances, out_strengths : sequence of str
        One an atlas, of the primary strategy.
    out_matrices : sequence of str
        All kinds of the first atlas, then of the next; then the next strategy.
    """
    parts = RunParts.read(confounds, volumes, dropped, session)
    runs = (
        _cleaned_run(
            path,
            parts,
            networks=list(named_atlas(atlas, own).networks),
            atlas=atlas,
            strategy=strategy_named(strategy, own_strategies),
            band=(high_pass, low_pass),
        )
        for strategy in strategies
        for atlas, path in zip(atlases, series, strict=True)
    )
    for index, run in enumerate(runs):
        write_time_series(out_denoised[index], run.time_series, run.labels)
        describe(
            out_denoised[index],
            "Parcel signals after drift, filter and confounds were projected out together.",
            sources=run.sources,
            **run.record,
        )
        if index < len(atlases):
            _write_variance(out_variances[index], run)
            _write_strengths(out_strengths[index], run)
        _write_networks(out_networks[index], run)
        for place, (kind, estimator) in enumerate(kinds.items()):
            _write_matrix(out_matrices[index * len(kinds) + place], run, kind, estimator)


def _cleaned_run(
    path: str,
    parts: RunParts,
    *,
    atlas: str,
    networks: list[str | None],
    strategy: Strategy,
    band: tuple[float | None, float | None],
) -> _Run:
    signals, labels = read_time_series(path)
    thin = parts.thin_parcels(strategy.name, atlas)
    signals[:, [label in thin for label in labels]] = np.nan
    excluded = parts.excluded(strategy.name)
    repetition_time = float(read_json(sidecar_of(path))["RepetitionTime"])
    high_pass, low_pass = band
    cleaned = None
    try:
        cleaned = clean_time_series(
            signals,
            t_r=repetition_time,
            high_pass=high_pass,
            low_pass=low_pass,
            confounds=select_confounds(parts.confounds, strategy, metadata=parts.components).design,
            sample_mask=parts.used(strategy.name),
        )
        if excluded and cleaned.degrees_of_freedom_left < MIN_DEGREES_OF_FREEDOM:
            cleaned = None
    except InputError as error:
        # a run that is left out anyway may be too short to clean: its place is n/a
        if not excluded:
            raise
        report(replace(each, where=parts.sources[0]) for each in error.findings)
    record = {
        "Strategy": strategy.name,
        "StrategyDescription": strategy.description,
        "HighPassHz": high_pass,
        "LowPassHz": low_pass,
        "RepetitionTime": repetition_time,
        "SamplingFrequency": 1 / repetition_time,
        "Excluded": excluded or None,
        **_cost(cleaned),
    }
    report(cleaned.findings if cleaned else ())
    return _Run(
        cleaned=cleaned,
        labels=labels,
        networks=networks,
        excluded=excluded,
        sources=[path, *parts.sources],
        record=record,
    )


def _cost(cleaned: Cleaned | None) -> dict[str, Any]:
    if cleaned is None:
        return {"VolumesRetained": 0}
    return {
        "VolumesRetained": cleaned.n_retained,
        "VolumesOfRun": cleaned.n_volumes,
        "DegreesOfFreedomLost": cleaned.degrees_of_freedom_lost,
        "DegreesOfFreedomLeft": cleaned.degrees_of_freedom_left,
    }


def _write_variance(path: str, run: _Run) -> None:
    if run.cleaned is None:
        variance = _nothing(run)
    else:
        variance = xdf_variance(
            run.time_series,
            variance_inflation=run.cleaned.variance_inflation,
            sample_mask=run.cleaned.sample_mask,
        )
    write_matrix(path, variance, run.labels)
    describe(
        path,
        "Variance of each Pearson correlation, corrected for autocorrelation "
        "(Afyouni 2019) and for the regressors used up.",
        sources=run.sources,
        **run.record,
    )


def _nothing(run: _Run) -> NDArray[np.float64]:
    return np.full((len(run.labels), len(run.labels)), np.nan)


def _write_networks(path: str, run: _Run) -> None:
    if run.cleaned is None:
        means = no_network_z(run.networks)
    else:
        means = network_z(
            run.time_series,
            run.networks,
            variance_inflation=run.cleaned.variance_inflation,
            sample_mask=run.cleaned.sample_mask,
        )
    write_table(path, _means_table([f"{a}-{b}" for a, b in means.pairs], means, run))
    describe(
        path,
        f"Mean Fisher z within and between networks; {_ERRORS_OF_MEANS}.",
        sources=run.sources,
        columns=NETWORK_COLUMNS,
        **run.record,
    )


def _write_strengths(path: str, run: _Run) -> None:
    if run.cleaned is None:
        strengths = no_parcel_strengths(len(run.labels))
    else:
        strengths = parcel_strengths(
            run.time_series,
            variance_inflation=run.cleaned.variance_inflation,
            sample_mask=run.cleaned.sample_mask,
        )
    write_table(path, _means_table(run.labels, strengths, run))
    describe(
        path,
        "Strength of each parcel: mean Fisher z of its edges to all parcels that every visit of "
        f"the patient covers; {_ERRORS_OF_MEANS}.",
        sources=run.sources,
        columns=STRENGTH_COLUMNS,
        **run.record,
    )


def _means_table(
    labels: Sequence[str], means: NetworkMeans | ParcelStrengths, run: _Run
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": list(labels),
            "value": means.estimate,
            "se": means.standard_error,
            "n_edges": means.n_edges,
            "flags": TOO_LITTLE_DATA if run.excluded else "",
        }
    )


def _write_matrix(path: str, run: _Run, kind: str, estimator: Estimator) -> None:
    matrix, shrinkage = _nothing(run), None
    if run.cleaned is not None:
        connectome = connectivity_matrix(run.time_series, kind=kind, estimator=estimator)
        matrix, shrinkage = connectome.matrix, connectome.shrinkage
    write_matrix(path, matrix, run.labels)
    describe(
        path,
        KINDS[kind].description,
        sources=run.sources,
        Kind=kind,
        CovarianceEstimator=estimator,
        Shrinkage=shrinkage,
        **run.record,
    )
