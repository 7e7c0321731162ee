"""What of a volume's distortion follows its gradient: the second-level model of eddy currents.

Eddy currents grow with the gradient that causes them, so over a shell their field is linear in
the gradient's direction (Andersson & Sotiropoulos 2016, NeuroImage 125:1063-1078). In six real
series of 12 directions that line explained 79 to 100 % of the shears found volume by volume.
Head motion knows nothing of the gradients: the line tells the two apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from msimaging.diffusion.alignment import Array, EddyPrior, Pose

_MIN_VOLUMES = 8  # of a shell: three coefficients, two of drift and some to spare
_LEAST_F = 10.0  # F statistic of the line: below, shears may have another cause
_WIDEST = 0.01  # mm/mm: what linear eddy distortion usually stays within
_NARROWEST = 5e-4  # mm/mm: what no series needs to follow more closely


def eddy_priors(
    poses: list[Pose], bvecs: Array, labels: NDArray[np.intp], *, known: bool
) -> list[EddyPrior]:
    """Tell what eddy distortion to expect of each volume.

    Parameters
    ----------
    poses : list of Pose
        One per volume.
    bvecs : array (N, 3)
        Gradient directions in scanner axes.
    labels : array (N,) of int
        Shell of each volume, 0 for b=0.
    known : bool
        Whether the poses hold estimates of the eddy distortion yet.

    Returns
    -------
    list of EddyPrior
        Linear in the direction within each shell, as wide as the estimates scatter about the
        line; about zero where there are no estimates, fewer than eight volumes or no clear line.
    """
    eddy = np.stack([pose.eddy for pose in poses])
    expected, spread = np.zeros_like(eddy), np.full_like(eddy, _WIDEST)
    for label in np.unique(labels[labels > 0]):
        members = np.flatnonzero(labels == label)
        if not known or len(members) < _MIN_VOLUMES:
            continue
        line = bvecs[members] @ np.linalg.lstsq(bvecs[members], eddy[members])[0]
        left = np.sum((eddy[members] - line) ** 2, axis=0) / (len(members) - 3)
        sure = np.sum(line**2, axis=0) / 3 > _LEAST_F * left
        expected[members] = np.where(sure, line, 0)
        spread[members] = np.where(sure, np.clip(np.sqrt(left), _NARROWEST, _WIDEST), _WIDEST)
    return [EddyPrior(expected=e, spread=s) for e, s in zip(expected, spread, strict=True)]


def eddy_shifts(
    poses: list[Pose], bvecs: Array, labels: NDArray[np.intp], direction: Array
) -> Array:
    """Tell which part of the shifts along phase encoding follows the gradients, not the head.

    Parameters
    ----------
    poses : list of Pose
        One per volume.
    bvecs : array (N, 3)
        Gradient directions in scanner axes.
    labels : array (N,) of int
        Shell of each volume, 0 for b=0.
    direction : array (3,)
        Unit vector of phase encoding.

    Returns
    -------
    array (N,)
        Eddy-current shift [mm]: per shell the part linear in the direction (Andersson &
        Sotiropoulos 2016, second-level model), beside a drift linear in time, shrunk by its F
        statistic; 0 for b=0s and shells of fewer than eight volumes.
    """
    along = np.array([pose.translation @ direction for pose in poses])
    shifts = np.zeros(len(poses))
    for label in np.unique(labels[labels > 0]):
        members = np.flatnonzero(labels == label)
        if len(members) < _MIN_VOLUMES:
            continue
        drift = np.stack([np.ones(len(members)), members - members.mean()], axis=1)
        directions = bvecs[members]
        values = along[members] - drift @ np.linalg.lstsq(drift, along[members])[0]
        directions = directions - drift @ np.linalg.lstsq(drift, directions)[0]
        slope = np.linalg.lstsq(directions, values)[0]
        explained = directions @ slope
        left = np.sum((values - explained) ** 2) / (len(members) - 5)
        f_statistic = np.sum(explained**2) / 3 / max(left, 1e-12)
        shifts[members] = max(0.0, 1 - 1 / max(f_statistic, 1e-12)) * (bvecs[members] @ slope)
    return shifts
