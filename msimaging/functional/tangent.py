"""Connectivity of many runs as displacements from their common mean."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nilearn.connectome import ConnectivityMeasure
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.functional.connectivity import (
    Estimator,
    check_rank,
    covariance_estimator,
    put_back,
)
from msimaging.functional.signals import too_few_parcels, usable_parcels

#: Parcels that all runs of a group must share.
FEWEST_PARCELS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TangentConnectomes:
    """Connectivity of a group of runs as displacements from a reference.

    Attributes
    ----------
    matrices : ndarray of shape (S, P, P)
        NaN for parcels that are not common to all runs.
    reference : ndarray of shape (P, P) or (S, P, P)
        Geometric mean covariance; one for each run where its own patient was left out.
    estimator : str
    shrinkage : ndarray of shape (S,)
        Intensity of each run's covariance.
    n_volumes : ndarray of shape (S,)
    findings : tuple of Finding
    """

    matrices: NDArray[np.float64]
    reference: NDArray[np.float64]
    estimator: Estimator
    shrinkage: NDArray[np.float64]
    n_volumes: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()


def tangent_connectivity(
    time_series: Sequence[NDArray[np.floating[Any]]], *, estimator: Estimator
) -> TangentConnectomes:
    """Express every run's covariance as a displacement from the group's geometric mean.

    Parameters
    ----------
    time_series : sequence of ndarray of shape (T, P)
        One per run; the numbers of volumes may differ.
    estimator : {"empirical", "ledoit-wolf"}

    Returns
    -------
    TangentConnectomes
        With one reference of shape (P, P).

    Raises
    ------
    InputError
        Fewer than two runs, different numbers of parcels, or a covariance that has no inverse.

    References
    ----------
    Varoquaux and others 2010, MICCAI.
    """
    runs, usable, findings = _common_runs(time_series, estimator)
    measure, not_converged = _fit_reference(runs, estimator)
    blocks = measure.transform(runs)
    return TangentConnectomes(
        matrices=np.stack([put_back(block, usable) for block in blocks]),
        reference=put_back(measure.mean_, usable),
        estimator=estimator,
        shrinkage=np.array([_shrinkage(run, estimator) for run in runs]),
        n_volumes=np.array([len(run) for run in runs]),
        findings=findings + not_converged,
    )


def tangent_connectivity_leaving_out(
    time_series: Sequence[NDArray[np.floating[Any]]],
    *,
    patients: Sequence[str],
    estimator: Estimator,
) -> TangentConnectomes:
    """Express every run against the geometric mean of the other patients' runs.

    A reference that holds a patient's own visits pulls that patient's matrices towards zero.

    Parameters
    ----------
    time_series : sequence of ndarray of shape (T, P)
    patients : sequence of str
        Patient of each run; all of a patient's runs are left out together.
    estimator : {"empirical", "ledoit-wolf"}

    Returns
    -------
    TangentConnectomes
        With one reference for each run, of shape (S, P, P).

    Raises
    ------
    InputError
        As for `tangent_connectivity`, or fewer than two patients.
    """
    if len(set(patients)) < 2 or len(patients) != len(time_series):
        raise InputError([_too_few_patients(patients, len(time_series))])
    runs, usable, findings = _common_runs(time_series, estimator)
    blocks: list[NDArray[np.float64]] = []
    references: list[NDArray[np.float64]] = []
    for run, patient in zip(runs, patients, strict=True):
        others = [o for o, owner in zip(runs, patients, strict=True) if owner != patient]
        measure, not_converged = _fit_reference(others, estimator)
        # nilearn refuses to transform a single run; a second copy changes nothing
        blocks.append(put_back(measure.transform([run, run])[0], usable))
        references.append(put_back(measure.mean_, usable))
        findings = tuple(dict.fromkeys(findings + not_converged))
    return TangentConnectomes(
        matrices=np.stack(blocks),
        reference=np.stack(references),
        estimator=estimator,
        shrinkage=np.array([_shrinkage(run, estimator) for run in runs]),
        n_volumes=np.array([len(run) for run in runs]),
        findings=findings,
    )


def _fit_reference(
    runs: list[NDArray[np.float64]], estimator: Estimator
) -> tuple[ConnectivityMeasure, tuple[Finding, ...]]:
    measure = ConnectivityMeasure(kind="tangent", cov_estimator=covariance_estimator(estimator))
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="Maximum number of iterations")
        measure.fit(runs)
    return measure, (_NOT_CONVERGED,) if caught else ()


_NOT_CONVERGED = Finding(
    severity="warning",
    rule="the geometric mean covariance of the group converges",
    where="tangent reference",
    found="iterations ended before the tolerance was met",
    remedy="Use the estimator ledoit-wolf, or look for a run unlike all others.",
)


def _shrinkage(signals: NDArray[np.float64], estimator: str) -> float:
    fitted = covariance_estimator(estimator).fit(signals)
    return float(getattr(fitted, "shrinkage_", 0.0))


def common_parcels(
    time_series: Sequence[NDArray[np.floating[Any]]],
) -> tuple[NDArray[np.bool_], tuple[Finding, ...]]:
    """Tell which parcels carry signal in every run.

    Parameters
    ----------
    time_series : sequence of (T, P) ndarray
        Cleaned signals of the same parcels; a parcel that a run does not cover is all NaN.

    Returns
    -------
    common : (P,) ndarray of bool
        A group needs `FEWEST_PARCELS` of them.
    findings : tuple of Finding
        A warning for each run with constant parcels.

    Raises
    ------
    InputError
        When a run by itself cannot be used, as `usable_parcels`.
    """
    checked = [usable_parcels(run, f"run {i}") for i, run in enumerate(time_series)]
    common = np.logical_and.reduce([each for each, _ in checked])
    return common, tuple(finding for _, some in checked for finding in some)


def _common_runs(
    time_series: Sequence[NDArray[np.floating[Any]]], estimator: Estimator
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_], tuple[Finding, ...]]:
    widths = sorted({np.shape(run)[-1] for run in time_series})
    if len(time_series) < 2 or len(widths) != 1:
        finding = Finding(
            rule="the tangent kind needs two or more runs with the same parcels",
            where="time_series",
            found=f"{len(time_series)} runs with {widths} parcels",
            remedy="Give all visits of all patients, extracted with one atlas.",
        )
        raise InputError([finding])
    usable, findings = common_parcels(time_series)
    if np.count_nonzero(usable) < FEWEST_PARCELS:
        raise InputError([too_few_parcels(usable, "parcels common to all runs")])
    runs = [np.ascontiguousarray(run[:, usable], dtype=np.float64) for run in time_series]
    for position, run in enumerate(runs):
        check_rank(run, "tangent", estimator, f"run {position}")
    return runs, usable, findings


def _too_few_patients(patients: Sequence[str], n_runs: int) -> Finding:
    return Finding(
        rule="leaving a patient out needs two or more patients and one name for each run",
        where="patients",
        found=f"{len(set(patients))} patients in {len(patients)} names for {n_runs} runs",
        remedy="Use the common reference of all runs.",
    )
