"""Step: cleaned time series and connectivity matrices of one visit, for every atlas and kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from msimaging.functional.cleaning import Cleaned, clean_time_series
from msimaging.functional.connectivity import Estimator, connectivity_matrix
from msimaging.functional.networks import network_z
from msimaging.functional.strategies import select_confounds
from msimaging.functional.uncertainty import xdf_variance
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.parcel_tables import read_time_series, write_matrix, write_time_series
from msimaging.steps.records import describe, report
from msimaging.tables import read_json, read_table, sidecar_of, write_table


def connect_parcels(
    *,
    series: Sequence[str],
    confounds: str,
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    strategy: str,
    high_pass: float | None,
    low_pass: float | None,
    kinds: Mapping[str, Estimator],
    seed: int,
    out_denoised: Sequence[str],
    out_variances: Sequence[str],
    out_networks: Sequence[str],
    out_matrices: Sequence[str],
) -> None:
    """Clean the parcel signals once, then compute every kind of connectivity from them.

    Parameters
    ----------
    series : sequence of str
        Parcel time series, one an atlas.
    confounds : str
        Confounds of the run.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    strategy : str
        Named set of confounds.
    high_pass, low_pass : float or None
        Pass band in Hz.
    kinds : mapping
        From the kind of connectivity to its covariance estimator.
    seed : int
        Seed of the block bootstrap of network means.
    out_denoised, out_variances, out_networks : sequence of str
        One an atlas.
    out_matrices : sequence of str
        All kinds of the first atlas, then of the next.
    """
    nuisance = read_table(confounds)
    selection = select_confounds(nuisance, strategy, metadata=_components(confounds))
    for index, (name, path) in enumerate(zip(atlases, series, strict=True)):
        signals, labels = read_time_series(path)
        repetition_time = float(read_json(sidecar_of(path))["RepetitionTime"])
        cleaned = clean_time_series(
            signals,
            t_r=repetition_time,
            high_pass=high_pass,
            low_pass=low_pass,
            confounds=selection.design,
            sample_mask=selection.sample_mask,
        )
        report(cleaned.findings)
        cost = _cost(cleaned, strategy, high_pass, low_pass)
        sources = [path, confounds]
        write_time_series(out_denoised[index], cleaned.time_series, labels)
        describe(
            out_denoised[index],
            "Parcel signals after drift, filter and confounds were projected out together.",
            sources=sources,
            RepetitionTime=repetition_time,
            SamplingFrequency=1 / repetition_time,
            **cost,
        )
        variance = xdf_variance(
            cleaned.time_series,
            variance_inflation=cleaned.variance_inflation,
            sample_mask=cleaned.sample_mask,
        )
        write_matrix(out_variances[index], variance, labels)
        describe(
            out_variances[index],
            "Variance of each Pearson correlation, corrected for autocorrelation "
            "(Afyouni 2019) and for the regressors used up.",
            sources=sources,
            **cost,
        )
        networks = named_atlas(name, own).networks
        means = network_z(cleaned.time_series, list(networks), seed=seed)
        write_table(
            out_networks[index],
            pd.DataFrame(
                {
                    "label": [f"{a}-{b}" for a, b in means.pairs],
                    "value": means.estimate,
                    "se": means.standard_error,
                    "n_edges": means.n_edges,
                }
            ),
        )
        describe(
            out_networks[index],
            "Mean Fisher z within and between networks; standard errors by block bootstrap.",
            sources=sources,
            columns={
                "label": "The two networks.",
                "value": "Mean Fisher z of the covered edges.",
                "se": "Standard error of the mean.",
                "n_edges": "Covered edges.",
            },
            **cost,
        )
        for place, (kind, estimator) in enumerate(kinds.items()):
            out_matrix = out_matrices[index * len(kinds) + place]
            connectome = connectivity_matrix(cleaned.time_series, kind=kind, estimator=estimator)
            write_matrix(out_matrix, connectome.matrix, labels)
            describe(
                out_matrix,
                connectome.kind.description,
                sources=sources,
                Kind=kind,
                CovarianceEstimator=estimator,
                Shrinkage=connectome.shrinkage,
                **cost,
            )


def _components(confounds: str) -> dict[str, Any]:
    sidecar = read_json(sidecar_of(confounds))
    return {name: fact for name, fact in sidecar.items() if "_comp_cor_" in name}


def _cost(
    cleaned: Cleaned, strategy: str, high_pass: float | None, low_pass: float | None
) -> dict[str, Any]:
    return {
        "Strategy": strategy,
        "HighPassHz": high_pass,
        "LowPassHz": low_pass,
        "VolumesRetained": cleaned.n_retained,
        "VolumesOfRun": cleaned.n_volumes,
        "DegreesOfFreedomLost": cleaned.degrees_of_freedom_lost,
        "DegreesOfFreedomLeft": cleaned.degrees_of_freedom_left,
    }
