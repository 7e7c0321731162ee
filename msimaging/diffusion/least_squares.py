"""Linear algebra of many small problems at once: normal equations and 3 x 3 eigenvectors.

Arrays run over voxels along their last axis, so that each step is one operation on long vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Beyond this spread of squared weights normal equations lose digits.
MAX_WEIGHT_SPREAD = 1e8

# Row and column of the 28 entries of a symmetric 7 x 7 matrix, lower triangle.
_ROWS, _COLUMNS = np.tril_indices(7)


def log_linear_fit(
    design: Floats, log_signal: Floats, *, reweightings: int, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Fit ln S = design @ coefficients in a block of voxels by normal equations.

    Parameters
    ----------
    design : (N, 7) ndarray
        Design matrix with columns of similar size.
    log_signal : (V, N) ndarray
        Logarithm of the signal.
    reweightings : int
        0 is ordinary least squares; then each round weights by the squared predicted signal.
    weights : (V, N) ndarray, optional
        Further weights.

    Returns
    -------
    coefficients : (7, V) ndarray
        The solution; columns of ill-conditioned voxels are not to be trusted.
    spread : (V,) ndarray
        Largest over smallest weight of the last round, a bound on the loss of digits.
    """
    if weights is None:
        coefficients = np.linalg.pinv(design) @ log_signal.T
    else:
        coefficients = _solve_normal(design, log_signal.T, np.ascontiguousarray(weights.T))
    spread = np.ones(len(log_signal))
    for _ in range(reweightings):
        predicted = design @ coefficients
        predicted -= predicted.max(axis=0)
        spread = np.exp(-2 * np.maximum(predicted.min(axis=0), -300))
        squared = np.exp(np.multiply(predicted, 2, out=predicted), out=predicted)
        if weights is not None:
            squared *= weights.T
        coefficients = _solve_normal(design, log_signal.T, squared)
    return coefficients, spread


def eigen_decomposition(tensor: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues and eigenvectors of many symmetric 3 x 3 matrices at once (cyclic Jacobi).

    Parameters
    ----------
    tensor : (6, V) ndarray
        Dxx Dxy Dyy Dxz Dyz Dzz.

    Returns
    -------
    evals : (V, 3) ndarray
        From largest to smallest.
    evecs : (V, 3, 3) ndarray
        ``evecs[v, :, j]`` belongs to ``evals[v, j]``.
    """
    xx, xy, yy, xz, yz, zz = tensor
    matrix = {(0, 0): xx.copy(), (1, 1): yy.copy(), (2, 2): zz.copy()}
    matrix |= {(0, 1): xy.copy(), (0, 2): xz.copy(), (1, 2): yz.copy()}
    vectors = np.zeros((3, 3, tensor.shape[1]))
    for axis in range(3):
        vectors[axis, axis] = 1.0
    # quadratic convergence: four sweeps reach the last digit, the fifth is for safety
    for _ in range(5):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            _rotate(matrix, vectors, p, q)
    evals = np.stack([matrix[0, 0], matrix[1, 1], matrix[2, 2]])
    order = np.argsort(-evals, axis=0, kind="stable")
    evals = np.take_along_axis(evals, order, axis=0)
    vectors = np.take_along_axis(vectors, order[None], axis=1)
    return np.ascontiguousarray(evals.T), np.ascontiguousarray(vectors.transpose(2, 0, 1))


def symmetric_evals(tensor: Floats) -> Floats:
    """Eigenvalues alone of many symmetric 3 x 3 matrices, in closed form (Smith 1961).

    Parameters
    ----------
    tensor : (6, ...) ndarray
        Dxx Dxy Dyy Dxz Dyz Dzz.

    Returns
    -------
    (..., 3) ndarray
        From largest to smallest, right to about 1e-8 of the largest.
    """
    xx, xy, yy, xz, yz, zz = tensor
    mean = (xx + yy + zz) / 3
    xx, yy, zz = xx - mean, yy - mean, zz - mean
    size = np.sqrt((xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    half = (xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)) / 2
    scaled = half / np.maximum(size, np.finfo(np.float64).tiny ** (1 / 3)) ** 3
    angle = np.arccos(np.clip(scaled, -1, 1)) / 3
    first = mean + 2 * size * np.cos(angle)
    last = mean + 2 * size * np.cos(angle + 2 * np.pi / 3)
    return np.stack([first, 3 * mean - first - last, last], axis=-1)


def without_answer(coefficients: Floats, log_signal: Floats) -> NDArray[np.bool_]:
    """Tell voxels without any signal, and those whose fitted S0 is far from every signal.

    Parameters
    ----------
    coefficients : (7, V) ndarray
        The last is -ln S0.
    log_signal : (V, N) ndarray
        Logarithm of the signal.

    Returns
    -------
    (V,) ndarray of bool
        True where the fit is not to be used.
    """
    largest = log_signal.max(axis=1)
    with np.errstate(invalid="ignore"):
        near = np.abs(-coefficients[6] - largest) < np.log(1e3)
    varied = largest > log_signal.min(axis=1)
    return np.asarray(~(near & varied & np.isfinite(coefficients).all(axis=0)))


def _rotate(matrix: dict[tuple[int, int], Floats], vectors: Floats, p: int, q: int) -> None:
    """Turn axes p and q so that their off-diagonal entry vanishes, in place."""
    r = 3 - p - q
    off, difference = matrix[p, q], matrix[q, q] - matrix[p, p]
    # tan of the smaller angle; the sum is zero only where nothing is to be done
    double = 2 * off
    denominator = np.abs(difference)
    denominator += np.sqrt(difference * difference + double * double)
    denominator += np.finfo(np.float64).tiny
    tangent = double / np.copysign(denominator, difference)
    cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
    sine = tangent * cosine
    shift = tangent * off
    matrix[p, p] -= shift
    matrix[q, q] += shift
    matrix[p, q] = np.zeros_like(off)
    first, second = (min(p, r), max(p, r)), (min(q, r), max(q, r))
    a, b = matrix[first], matrix[second]
    matrix[first], matrix[second] = cosine * a - sine * b, sine * a + cosine * b
    u, v = vectors[:, p], vectors[:, q]
    vectors[:, p], vectors[:, q] = cosine * u - sine * v, sine * u + cosine * v


def _solve_normal(design: Floats, target: Floats, weights: Floats) -> Floats:
    """Solve (X' W X) c = X' W y for all voxels: one matrix product, then Cholesky on vectors."""
    products = design[:, _ROWS] * design[:, _COLUMNS]
    entries = products.T @ weights
    right = design.T @ (weights * target)
    factor: dict[tuple[int, int], Floats] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for place, (i, j) in enumerate(zip(_ROWS.tolist(), _COLUMNS.tolist(), strict=True)):
            entry = entries[place]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k]
            # the inverse of the diagonal is kept: it is only ever divided by
            factor[i, j] = 1.0 / np.sqrt(entry) if i == j else entry * factor[j, j]
        for i in range(7):
            for k in range(i):
                right[i] -= factor[i, k] * right[k]
            right[i] *= factor[i, i]
        for i in reversed(range(7)):
            for k in range(i + 1, 7):
                right[i] -= factor[k, i] * right[k]
            right[i] *= factor[i, i]
    return right
