"""How far a correlation of two autocorrelated time series can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError
from msimaging.functional.signals import usable_parcels

_LARGEST_R2 = 1 - 1e-12


def xdf_variance(
    time_series: NDArray[np.floating[Any]],
    *,
    variance_inflation: float = 1.0,
    n_regressors: int = 0,
    sample_mask: ArrayLike | None = None,
    max_lag: int | None = None,
) -> NDArray[np.float64]:
    """Variance of every Pearson correlation, corrected for autocorrelation.

    Auto- and cross-correlations enter up to ``max_lag`` under a Tukey taper. They are summed lag
    by lag as matrix products, so that no more than a few (P, P) arrays are held at once; with
    so few lags this also takes less time than Fourier transforms of all pairs.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        Cleaned parcel time series; NaN columns give NaN rows and columns.
    variance_inflation : float
        What the cleaning's own projection adds, from `projection_inflation` (``Cleaned`` holds
        it): the regressors used up, as far as they do not show as autocorrelation already.
    n_regressors : int
        For series cleaned elsewhere, whose projection is not known: nuisance regressors taken
        out, filter not counted. The variance grows by T / (T - n_regressors).
    sample_mask : array_like of T int, optional
        Positions of the volumes in the run where some were censored, so that a lag is never
        counted across a gap.
    max_lag : int, optional
        Width of the taper in volumes; 2 sqrt(T) by default.

    Returns
    -------
    ndarray of shape (P, P)
        Never below the variance of white series; NaN on the diagonal.

    Raises
    ------
    InputError
        Series too short, not finite, or no degree of freedom left after the regressors.

    References
    ----------
    Afyouni, Smith and Nichols 2019, NeuroImage 199 (xDF).
    """
    usable, _ = usable_parcels(time_series)
    n_retained = len(time_series)
    _check_degrees(n_retained, n_regressors)
    positions = np.arange(n_retained) if sample_mask is None else np.asarray(sample_mask)
    series = _unit_series(time_series[:, usable], positions)
    r = np.clip(series.T @ series, -1, 1)
    lags = max_lag if max_lag is not None else round(2 * np.sqrt(n_retained))
    white = (1 - r**2) ** 2
    total = n_retained * white
    for weight, forward in _tapered_lags(series, positions, lags):
        auto = np.diag(forward)
        total += weight * _lag_terms(r, auto, forward)
    variance = np.maximum(total / n_retained**2, white / n_retained)
    variance *= variance_inflation * n_retained / (n_retained - n_regressors)
    np.fill_diagonal(variance, np.nan)
    result = np.full((usable.size, usable.size), np.nan)
    result[np.ix_(usable, usable)] = variance
    return result


def quadratic_form_variances(
    time_series: NDArray[np.floating[Any]],
    forms: Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]],
    *,
    variance_inflation: float = 1.0,
    sample_mask: ArrayLike | None = None,
    max_lag: int | None = None,
) -> NDArray[np.float64]:
    """Variance of the mean over time of x' M x, corrected for autocorrelation.

    The lags, their taper and their weights are those of `xdf_variance`, of which this is the
    general case: with the influence of one edge as M it is that edge's variance on Fisher's scale.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        Cleaned signals, each taken in standard deviations.
    forms : sequence of (indices, M)
        Parcels concerned, (Q,), and a symmetric matrix, (Q, Q).
    variance_inflation, sample_mask, max_lag
        As in `xdf_variance`.

    Returns
    -------
    ndarray of shape (len(forms),)
        Never below the variance of white series.
    """
    return lagged_variances(
        time_series,
        lambda lagged: _form_covariances(lagged, forms),
        variance_inflation=variance_inflation,
        sample_mask=sample_mask,
        max_lag=max_lag,
    )


def lagged_variances(
    time_series: NDArray[np.floating[Any]],
    covariances: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    variance_inflation: float = 1.0,
    sample_mask: ArrayLike | None = None,
    max_lag: int | None = None,
) -> NDArray[np.float64]:
    """Variance of means over time of which the autocovariance is known, by the lags of xDF.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        Cleaned signals, each taken in standard deviations.
    covariances : callable
        From the correlations (P, P) of all signals with all signals some volumes later to the
        covariances (M,) of what is averaged, those volumes apart.
    variance_inflation, sample_mask, max_lag
        As in `xdf_variance`.

    Returns
    -------
    ndarray of shape (M,)
        Never below the variance of white series.
    """
    n_retained = len(time_series)
    positions = np.arange(n_retained) if sample_mask is None else np.asarray(sample_mask)
    series = _unit_series(time_series, positions)
    lags = max_lag if max_lag is not None else round(2 * np.sqrt(n_retained))
    white = covariances(series.T @ series)
    total = n_retained * white
    for weight, forward in _tapered_lags(series, positions, lags):
        total += 2 * weight * covariances(forward)
    variance = np.maximum(total / n_retained**2, white / n_retained)
    return np.asarray(variance_inflation * variance)


def _form_covariances(
    lagged: NDArray[np.float64], forms: Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]
) -> NDArray[np.float64]:
    """Covariance of x' M x at two times whose signals correlate as ``lagged``, Gaussian."""
    values = []
    for indices, form in forms:
        block = lagged[np.ix_(indices, indices)]
        values.append(2 * np.sum((form @ block) * (block @ form)))
    return np.array(values)


def projection_inflation(
    basis: NDArray[np.floating[Any]],
    *,
    sample_mask: NDArray[np.integer[Any]],
    autocorrelation: float,
    max_lag: int | None = None,
) -> float:
    """Factor between the true variance of a null correlation and what xDF sees after cleaning.

    Cleaning with a projection R turns AR(1) series of covariance G into series of covariance
    S = R G R, whose correlation has variance tr(SS) / tr(S)^2. xDF sees only the average of S
    along its diagonals, under its taper. The ratio depends on regressors, filter and censoring,
    not on the data, and corrects for the degrees of freedom they used up.

    Parameters
    ----------
    basis : ndarray of shape (T', Q)
        Orthonormal columns that were projected out of the retained volumes.
    sample_mask : ndarray of int, shape (T',)
        Positions of the retained volumes in the run.
    autocorrelation : float
        Lag-1 autocorrelation of the signals before nuisance regression and low-pass filter.
    max_lag : int, optional
        As in `xdf_variance`.

    Returns
    -------
    float
    """
    n_retained = len(sample_mask)
    apart = np.abs(sample_mask[:, np.newaxis] - sample_mask)
    covariance = np.clip(autocorrelation, 0, 0.99) ** apart.astype(np.float64)
    covariance = covariance - basis @ (basis.T @ covariance)
    covariance = covariance - (covariance @ basis) @ basis.T
    power = float(np.trace(covariance))
    exact = float(np.sum(covariance**2)) / power**2
    lags = max_lag if max_lag is not None else round(2 * np.sqrt(n_retained))
    products = np.bincount(apart.ravel(), weights=covariance.ravel()) / power / 2
    pairs = np.bincount(apart.ravel()) / 2
    seen = float(n_retained)
    for lag in range(1, min(lags, len(pairs) - 1, n_retained)):
        if pairs[lag] > 0:
            taper = (1 + np.cos(np.pi * lag / lags)) / 2
            average = taper * products[lag] * (n_retained - lag) / pairs[lag]
            seen += (n_retained - lag) * 2 * average**2
    return exact * n_retained**2 / seen


def fisher_z_variance(
    variance: NDArray[np.floating[Any]], r: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Variance of Fisher's z from the variance of r, by the delta method.

    Parameters
    ----------
    variance : ndarray
        Variance of each correlation.
    r : ndarray of the same shape
        Correlations.

    Returns
    -------
    ndarray
    """
    squared = np.clip(np.asarray(r, dtype=np.float64) ** 2, 0, _LARGEST_R2)
    return np.asarray(variance / (1 - squared) ** 2, dtype=np.float64)


def effective_degrees_of_freedom(
    variance: NDArray[np.floating[Any]], r: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Count the independent volumes that would give the same variance of r.

    Parameters
    ----------
    variance : ndarray
        Variance of each correlation.
    r : ndarray of the same shape
        Correlations.

    Returns
    -------
    ndarray
        ``(1 - r^2)^2 / variance``.
    """
    return np.asarray(1 / fisher_z_variance(variance, r), dtype=np.float64)


def block_bootstrap_variance(
    time_series: NDArray[np.floating[Any]],
    *,
    seed: int,
    n_resamples: int = 500,
    block_length: int | None = None,
) -> NDArray[np.float64]:
    """Variance of every Pearson correlation from resampled circular blocks of volumes.

    A cross-check of `xdf_variance` that assumes no formula; all parcels of a resample share the
    same blocks.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        NaN columns give NaN rows and columns.
    seed : int
        Seed of the draws.
    n_resamples : int
        Two or more.
    block_length : int, optional
        Volumes in a block; by default from the parcels' median lag-1 autocorrelation.

    Returns
    -------
    ndarray of shape (P, P)
        NaN on the diagonal.

    Raises
    ------
    InputError
        Series too short or not finite.

    References
    ----------
    Politis and Romano 1992 (circular blocks); Carlstein 1986 (length of blocks under AR(1)).
    """
    usable, _ = usable_parcels(time_series)
    signals = np.asarray(time_series[:, usable], dtype=np.float64)
    n_volumes = len(signals)
    length = _block_length(signals) if block_length is None else block_length
    rng = np.random.default_rng(seed)
    mean = np.zeros((signals.shape[1], signals.shape[1]))
    squares = np.zeros_like(mean)
    for count in range(1, n_resamples + 1):
        starts = rng.integers(n_volumes, size=-(-n_volumes // length))
        rows = (starts[:, np.newaxis] + np.arange(length)).ravel()[:n_volumes] % n_volumes
        unit = _unit_series(signals[rows], np.arange(n_volumes))
        deviation = unit.T @ unit - mean
        mean += deviation / count
        squares += deviation**2 * (count - 1) / count
    variance = squares / (n_resamples - 1)
    np.fill_diagonal(variance, np.nan)
    result = np.full((usable.size, usable.size), np.nan)
    result[np.ix_(usable, usable)] = variance
    return result


def _unit_series(
    signals: NDArray[np.floating[Any]], positions: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Centre and scale to length one; zeros where a volume was censored."""
    centred = np.asarray(signals, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    run = np.zeros((int(positions[-1] - positions[0]) + 1, centred.shape[1]))
    run[positions - positions[0]] = centred / np.linalg.norm(centred, axis=0)
    return run


def _tapered_lags(
    series: NDArray[np.float64], positions: NDArray[np.integer[Any]], max_lag: int
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Yield for each lag the weight of its terms and corr(x_t, y_(t+lag)) of all pairs."""
    n_retained = len(positions)
    present = np.zeros(len(series))
    present[positions - positions[0]] = 1
    for lag in range(1, min(max_lag, len(series) - 1)):
        pairs = float(present[:-lag] @ present[lag:])
        if pairs == 0:
            continue
        taper = (1 + np.cos(np.pi * lag / max_lag)) / 2
        # gaps leave fewer products at this lag: bring the sum to that of a run without gaps
        scale = taper * (n_retained - lag) / pairs if n_retained > lag else 0.0
        yield n_retained - lag, scale * (series[:-lag].T @ series[lag:])


def _lag_terms(
    r: NDArray[np.float64], auto: NDArray[np.float64], forward: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Terms of one lag: squares, products with r, products of autocorrelations."""
    backward = forward.T
    autos = auto[:, np.newaxis] + auto
    squares = auto[:, np.newaxis] ** 2 + auto**2 + forward**2 + backward**2
    products = auto[:, np.newaxis] * auto + forward * backward
    return r**2 * squares - 2 * r * autos * (forward + backward) + 2 * products


def _block_length(signals: NDArray[np.float64]) -> int:
    unit = _unit_series(signals, np.arange(len(signals)))
    phi = float(np.clip(np.median(np.sum(unit[:-1] * unit[1:], axis=0)), 0.05, 0.95))
    length = (np.sqrt(6) * phi / (1 - phi**2)) ** (2 / 3) * len(signals) ** (1 / 3)
    return int(np.clip(np.ceil(length), 1, len(signals) // 2))


def _check_degrees(n_retained: int, n_regressors: int) -> None:
    if not 0 <= n_regressors < n_retained - 3:
        finding = Finding(
            rule="the variance of a correlation needs four volumes more than regressors",
            where="n_regressors",
            found=f"{n_regressors} regressors for {n_retained} volumes",
            remedy="Leave the run out or choose a strategy that costs less.",
        )
        raise InputError([finding])
