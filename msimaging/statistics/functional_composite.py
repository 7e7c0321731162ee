"""Multiple Sclerosis Functional Composite: walking, hands and attention in one z-score."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msimaging.statistics.inputs import as_floats, refuse

#: Mean and SD of the reference sample of the MSFC: reciprocal of the 9HPT [1/s], T25FW [s],
#: PASAT-3 [correct answers].
MSFC_REFERENCE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"nhpt": (0.0439, 0.0101), "t25fw": (9.5353, 11.4058), "pasat": (45.0311, 12.0771)}
)


def msfc_z(
    t25fw: ArrayLike,
    nhpt: ArrayLike,
    pasat: ArrayLike,
    *,
    reference: Mapping[str, tuple[float, float]] = MSFC_REFERENCE,
) -> NDArray[np.float64]:
    """Return the Multiple Sclerosis Functional Composite: more is better.

    Parameters
    ----------
    t25fw : array_like, shape (S,)
        Timed 25-foot walk [s].
    nhpt : array_like, shape (S, 2)
        Nine-hole peg test of both hands, each the mean of its trials [s]: their reciprocals are
        averaged.
    pasat : array_like, shape (S,)
        Correct answers of the PASAT-3.
    reference : mapping
        Mean and SD of a reference sample for each part, as in `MSFC_REFERENCE` (the pooled data
        base of the task force); a trial may use its own baseline.

    Returns
    -------
    ndarray, shape (S,)
        Mean of the three z-scores, NaN where a part is missing.

    Raises
    ------
    InputError
        For times that are not positive or arrays of different length.

    References
    ----------
    Fischer, Rudick, Cutter and Reingold 1999.
    """
    hands = as_floats(nhpt, where="nhpt", ndim=2)
    walk, answers = as_floats(t25fw, where="t25fw"), as_floats(pasat, where="pasat")
    if not len(walk) == len(hands) == len(answers):
        raise refuse(
            "t25fw, nhpt, pasat",
            "one value of each per patient",
            f"{len(walk)}, {len(hands)} and {len(answers)}",
            "Align all by patient, NaN where a part is missing.",
        )
    if (walk <= 0).any() or (hands <= 0).any():
        raise refuse(
            "t25fw, nhpt",
            "times are above 0",
            f"{min(np.nanmin(walk), np.nanmin(hands)):g}",
            "Code a test that could not be done as missing.",
        )
    parts = {
        "nhpt": (1 / hands).mean(axis=1),
        "t25fw": walk,
        "pasat": answers,
    }
    z = {name: (value - reference[name][0]) / reference[name][1] for name, value in parts.items()}
    return np.asarray((z["nhpt"] - z["t25fw"] + z["pasat"]) / 3)
