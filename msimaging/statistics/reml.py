"""Many linear mixed models of one design at once, for the parametric bootstrap.

All simulated data sets share patients, visits and effects; only the outcome differs. What the
likelihood needs of the outcome are a few sums per patient, so that hundreds of fits run side by
side as arrays. Variances are profiled out; the relative Cholesky factor of the random effects is
looked for by a compass search that starts at the factor the data were simulated from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_STEPS = 60
SMALLEST_STEP = 2e-3


@dataclass(frozen=True, slots=True)
class SharedDesign:
    """Cross-products of one design.

    Attributes
    ----------
    ZZ : ndarray, shape (S, Q, Q)
        Random effects by themselves, per patient.
    ZX : ndarray, shape (S, Q, K)
        Random by fixed effects, per patient.
    XX : ndarray, shape (K, K)
        Fixed effects by themselves.
    n_rows : int
        Visits.
    """

    ZZ: NDArray[np.float64]
    ZX: NDArray[np.float64]
    XX: NDArray[np.float64]
    n_rows: int


@dataclass(frozen=True, slots=True)
class OutcomeSums:
    """What the likelihood needs of B outcomes: shapes (B, S, Q), (B, K) and (B,)."""

    Zy: NDArray[np.float64]
    Xy: NDArray[np.float64]
    yy: NDArray[np.float64]


def share_design(
    design: NDArray[np.float64], random: NDArray[np.float64], patients: NDArray[np.int64]
) -> SharedDesign:
    """Return the cross-products of fixed effects (rows, K) and random effects (rows, Q)."""
    n = int(patients.max()) + 1
    q, k = random.shape[1], design.shape[1]
    zz, zx = np.zeros((n, q, q)), np.zeros((n, q, k))
    np.add.at(zz, patients, random[:, :, np.newaxis] * random[:, np.newaxis, :])
    np.add.at(zx, patients, random[:, :, np.newaxis] * design[:, np.newaxis, :])
    return SharedDesign(zz, zx, design.T @ design, len(design))


def sum_outcomes(
    outcomes: NDArray[np.float64],
    design: NDArray[np.float64],
    random: NDArray[np.float64],
    patients: NDArray[np.int64],
) -> OutcomeSums:
    """Return the sums of outcomes (B, rows)."""
    indicator = (patients[:, np.newaxis] == np.arange(patients.max() + 1)).astype(np.float64)
    zy = np.einsum("br,rq,rs->bsq", outcomes, random, indicator, optimize=True)
    return OutcomeSums(zy, outcomes @ design, np.square(outcomes).sum(axis=1))


def t_statistics(
    shared: SharedDesign, sums: OutcomeSums, start: NDArray[np.float64], *, reml: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return estimates and standard errors, shape (B, K), of the best-fitting models.

    Parameters
    ----------
    shared : SharedDesign
        Cross-products of the design.
    sums : OutcomeSums
        Sums of the outcomes.
    start : ndarray, shape (Q, Q)
        Covariance of the random effects over the residual variance, to start from.
    reml : bool
        Restricted likelihood.
    """
    root = _lower_factor(start)
    lower = np.tril_indices(len(start))
    typical = 1 / np.sqrt(np.einsum("sqq->q", shared.ZZ) / len(shared.ZZ))
    scale = np.maximum(np.abs(root), 0.3 * typical[lower[0]])
    theta = _compass(shared, sums, np.tile(root, (len(sums.yy), 1)), scale, reml=reml)
    _, estimates, errors = _profile(shared, sums, theta, reml=reml)
    return estimates, errors


def standard_errors(
    shared: SharedDesign, sums: OutcomeSums, relative_covariance: NDArray[np.float64], *, reml: bool
) -> NDArray[np.float64]:
    """Return the standard errors (B, K) of the fixed effects at given random effects.

    They come from the fixed effects' own information, which exists where the random effects are at
    their boundary and the joint Hessian does not.
    """
    theta = np.tile(_lower_factor(relative_covariance), (len(sums.yy), 1))
    return _profile(shared, sums, theta, reml=reml)[2]


def _lower_factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower triangle of a Cholesky factor, which this way singular matrices have too."""
    values, vectors = np.linalg.eigh(covariance)
    root = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0))).T)[1].T
    return np.asarray(root[np.tril_indices(len(covariance))])


def _compass(
    shared: SharedDesign,
    sums: OutcomeSums,
    theta: NDArray[np.float64],
    scale: NDArray[np.float64],
    *,
    reml: bool,
) -> NDArray[np.float64]:
    """Step along each axis while that helps, else halve the step; every data set by itself."""
    best = _profile(shared, sums, theta, reml=reml)[0]
    step = np.full(len(theta), 0.5)
    moves = np.vstack([np.diag(scale), -np.diag(scale)])
    for _ in range(MAX_STEPS):
        active = np.flatnonzero(step > SMALLEST_STEP)
        if not active.size:
            break
        part = OutcomeSums(sums.Zy[active], sums.Xy[active], sums.yy[active])
        tried = [theta[active] + step[active, np.newaxis] * move for move in moves]
        values = np.array([_profile(shared, part, point, reml=reml)[0] for point in tried])
        winner = values.argmin(axis=0)
        lowest = values[winner, np.arange(active.size)]
        better = lowest < best[active] - 1e-7
        chosen = np.stack(tried)[winner, np.arange(active.size)]
        theta[active[better]] = chosen[better]
        best[active[better]] = lowest[better]
        step[active] = np.where(better, step[active] * 1.3, step[active] / 2)
    return theta


def _profile(
    shared: SharedDesign, sums: OutcomeSums, theta: NDArray[np.float64], *, reml: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return deviance (B,), estimates and standard errors (B, K) at given Cholesky factors."""
    q = shared.ZZ.shape[1]
    factor = np.zeros((len(theta), 1, q, q))
    factor[:, 0][:, *np.tril_indices(q)] = theta
    turned = np.swapaxes(factor, -1, -2)
    inner = np.eye(q) + turned @ shared.ZZ @ factor
    weight = factor @ np.linalg.inv(inner) @ turned
    zx = np.swapaxes(shared.ZX, -1, -2)
    information = shared.XX - (zx @ weight @ shared.ZX).sum(axis=1)
    weighted = (weight @ sums.Zy[..., np.newaxis])[..., 0]
    score = sums.Xy - np.einsum("sqk,bsq->bk", shared.ZX, weighted)
    inverse = np.linalg.inv(information)
    estimates = (inverse @ score[..., np.newaxis])[..., 0]
    rest = sums.yy - (sums.Zy * weighted).sum(axis=(1, 2)) - (score * estimates).sum(axis=1)
    df = shared.n_rows - (score.shape[1] if reml else 0)
    variance = np.maximum(rest, 1e-300) / df
    deviance = np.linalg.slogdet(inner)[1].sum(axis=1) + df * np.log(variance)
    if reml:
        deviance = deviance + np.linalg.slogdet(information)[1]
    errors = np.sqrt(variance[:, np.newaxis] * np.diagonal(inverse, axis1=1, axis2=2))
    return deviance, estimates, errors
