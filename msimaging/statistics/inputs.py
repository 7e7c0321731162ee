"""Numbers as they come in: made into float arrays, or refused with where and why."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError

Alternative = Literal["two-sided", "greater", "less"]
ALTERNATIVES = ("two-sided", "greater", "less")

#: Two-sided level at which tests are judged, and a test that cannot reach it is flagged.
LEVEL = 0.05

# Differences of decimals carry rounding noise of about 1e-13 of the value they were taken from;
# anything closer than this part of the scale is one and the same number to a reader.
TIE_TOLERANCE = 1e-9


def refuse(where: str, rule: str, found: str, remedy: str) -> InputError:
    """Return the error that names one broken rule, ready to be raised."""
    return InputError([Finding(rule=rule, where=where, found=found, remedy=remedy)])


def as_floats(values: ArrayLike, *, where: str, ndim: int = 1) -> NDArray[np.float64]:
    """Return a float copy with NaN for missing values; refuse text, infinities, wrong shapes."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refuse(
            where,
            "values are numbers",
            _text_in(values) or str(error),
            "Correct these cells, or leave them empty where the value is unknown.",
        ) from error
    if array.ndim != ndim:
        raise refuse(
            where,
            f"an array with {ndim} dimension(s) is needed",
            f"shape {array.shape}",
            "Pass one value per patient" + (" and column." if ndim > 1 else "."),
        )
    if np.isinf(array).any():
        positions = np.argwhere(np.isinf(array))[:5].tolist()
        raise refuse(
            where,
            "values are finite",
            f"infinity at {positions}",
            "Correct or remove these values.",
        )
    return array


def _text_in(values: ArrayLike) -> str:
    """Return the first cells that are no number, with their rows counted from 1."""
    found = []
    for row, value in enumerate(np.array(values, dtype=object).reshape(-1), 1):
        try:
            float(value)
        except (TypeError, ValueError):
            found.append(f"{value!r} in row {row}")
    return ", ".join(found[:5])


def drop_missing(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return the values that are there and how many are missing."""
    present = ~np.isnan(values)
    return values[present], int((~present).sum())


def order_of_rows(rows: NDArray[np.float64], *, columns_alike: bool = False) -> NDArray[np.intp]:
    """Return an order of patients that follows from their values and not from their names.

    Random draws are dealt out in this order, so that renaming or sorting patients changes nothing.

    Parameters
    ----------
    rows : ndarray, shape (S, C)
        One row per patient.
    columns_alike : bool
        Whether the columns may stand in any order, as labels of an atlas do.
    """
    keys = np.sort(rows, axis=1) if columns_alike else rows
    return np.lexsort(keys.T[::-1]) if keys.shape[1] else np.arange(len(keys))


def check_alternative(alternative: str) -> None:
    """Refuse an alternative hypothesis that does not exist."""
    if alternative not in ALTERNATIVES:
        raise refuse(
            "alternative",
            f"one of {', '.join(ALTERNATIVES)}",
            repr(alternative),
            "Choose the direction before looking at the data.",
        )


def check_fraction(value: float, *, where: str) -> None:
    """Refuse what is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise refuse(where, "a number between 0 and 1", repr(value), "Give, for example, 0.95.")


def tolerance_of(values: NDArray[np.float64]) -> float:
    """Return the distance under which two of these values count as equal."""
    return TIE_TOLERANCE * float(np.abs(values).max(initial=0.0))
