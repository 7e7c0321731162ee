"""What every computation on parcel time series asks of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError

# A parcel whose fluctuation is this small a share of its mean carries rounding, not signal.
_CONSTANT = 1e-10


def usable_parcels(
    time_series: NDArray[np.floating[Any]], where: str = "time_series", *, at_least: int = 2
) -> tuple[NDArray[np.bool_], tuple[Finding, ...]]:
    """Tell which parcels carry signal.

    Parameters
    ----------
    time_series : ndarray of shape (T, P)
        A parcel that is not covered is all NaN.
    where : str
        Name of the input in messages.
    at_least : int
        Parcels with signal that the computation cannot do without.

    Returns
    -------
    usable : ndarray of bool, shape (P,)
    findings : tuple of Finding
        A warning where parcels are constant.

    Raises
    ------
    InputError
        Fewer than two volumes, single values that are not finite, or too few parcels with signal.
    """
    if time_series.ndim != 2 or len(time_series) < 2:
        raise InputError([_too_short(np.shape(time_series), where)])
    missing = np.isnan(time_series)
    uncovered = missing.all(axis=0)
    holes = missing.any(axis=0) & ~uncovered
    if holes.any() or np.isinf(time_series).any():
        raise InputError([_not_finite(time_series, where)])
    scale = np.abs(time_series).max(axis=0)
    # uncovered columns give NaN, which compares as false
    constant = np.std(time_series, axis=0) <= _CONSTANT * scale
    usable = ~uncovered & ~constant
    if np.count_nonzero(usable) < at_least:
        raise InputError([too_few_parcels(usable, where)])
    findings = (_constant_parcels(constant, where),) if constant.any() else ()
    return usable, findings


def _too_short(shape: tuple[int, ...], where: str) -> Finding:
    return Finding(
        rule="time series hold two or more volumes, as volumes x parcels",
        where=where,
        found=f"an array of shape {shape}",
        remedy="Leave this run out; it holds too few volumes.",
    )


def too_few_parcels(usable: NDArray[np.bool_], where: str) -> Finding:
    """Describe an image that the atlas hardly meets."""
    return Finding(
        rule="parcels that can be analysed carry signal (connectivity needs two or more)",
        where=where,
        found=f"{np.count_nonzero(usable)} of {usable.size} parcels with signal",
        remedy="Check that atlas and image are in the same space and that the mask is not empty.",
    )


def _constant_parcels(constant: NDArray[np.bool_], where: str) -> Finding:
    positions = ", ".join(str(i) for i in np.flatnonzero(constant)[:10])
    return Finding(
        severity="warning",
        rule="a parcel's signal varies over time",
        where=where,
        found=f"{np.count_nonzero(constant)} constant parcels (columns {positions})",
        remedy="Their edges are n/a; check coverage and mask.",
    )


def _not_finite(time_series: NDArray[np.floating[Any]], where: str) -> Finding:
    bad = ~np.isfinite(time_series)
    column = int(np.argmax(bad.any(axis=0) & ~np.isnan(time_series).all(axis=0)))
    volume = int(np.argmax(bad[:, column]))
    return Finding(
        rule="a parcel's time series is finite throughout, or NaN throughout if not covered",
        where=where,
        found=f"column {column} not finite at volume {volume}",
        remedy="Censor such volumes before connectivity is measured.",
    )
