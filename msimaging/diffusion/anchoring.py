"""Where the weighted volumes lie relative to the b=0s, whose contrast is another.

Two things tell: the images (a shell's statistics, regressed on the b=0s) and time (a head is where
it was a moment before). The images are the less sure of the two: fluid that only the b=0s show
moved six series of a head that lay still by 1.0 to 1.4 mm along z. So both are weighted by their
precision, and the images alone count where the head moves much or has jumped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msimaging.diffusion.alignment import (
    HEAD_RADIUS,
    Array,
    Frame,
    Pose,
    align_shell,
    shell_features,
)
from msimaging.diffusion.eddy import eddy_shifts

_IMAGE_SD = 0.7  # mm at the head's surface: error of an offset told by images of two contrasts
_USELESS = 2.0  # times as uncertain as the images: then time tells nothing
_JUMP = 5.0  # mm at the head's surface: no contrast feigns so much
_LEAST_STEP = 0.02  # mm: no head lies stiller
_TO_MM = np.r_[np.ones(3), np.full(3, HEAD_RADIUS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offset:
    """Translation [mm] and rotation vector (in mm at the head's surface), with its variance."""

    value: Array
    variance: Array


def anchor_shells(
    signals: NDArray[np.float32],
    frame: Frame,
    poses: list[Pose],
    labels: NDArray[np.intp],
    bvecs: Array,
) -> list[Pose]:
    """Bring each shell as a whole to the b=0 volumes.

    Parameters
    ----------
    signals : array (X, Y, Z, N)
        Volumes in the reference pose as far as it is known.
    frame : Frame
        Grid and samples.
    poses : list of Pose
        One per volume, in the order of acquisition.
    labels : array (N,) of int
        Shell of each volume, 0 for b=0.
    bvecs : array (N, 3)
        Gradient directions in scanner axes.

    Returns
    -------
    list of Pose
        With each shell moved as one.
    """
    reference = signals[..., labels == 0].mean(axis=-1)
    spline = ndimage.spline_filter(reference, order=3, output=np.float32, mode="mirror")
    track = _track(poses, eddy_shifts(poses, bvecs, labels, frame.direction), frame)
    anchored = list(poses)
    for label in np.unique(labels[labels > 0]):
        members = np.flatnonzero(labels == label)
        seen = align_shell(spline, shell_features(signals[..., members], frame), frame)
        turn = Rotation.from_matrix(seen.rotation).as_rotvec()
        offset = _weighed(np.r_[seen.translation, turn] * _TO_MM, _in_time(track, labels, label))
        rotation = Rotation.from_rotvec(offset[3:] / HEAD_RADIUS).as_matrix()
        for n in members:
            back = poses[n].rotation @ rotation.T
            translation = poses[n].translation - back @ offset[:3]
            anchored[n] = replace(poses[n], rotation=back, translation=translation)
    return anchored


def _track(poses: list[Pose], shifts: Array, frame: Frame) -> Array:
    """Return where the head was (N, 6): translation and rotation vector, all in mm."""
    moved = np.stack([pose.translation for pose in poses]) - shifts[:, None] * frame.direction
    turned = np.stack([Rotation.from_matrix(pose.rotation).as_rotvec() for pose in poses])
    return np.asarray(np.concatenate([moved, turned], axis=1) * _TO_MM)


def _in_time(track: Array, labels: NDArray[np.intp], label: int) -> _Offset:
    """Take the offset of a shell from b=0s and weighted volumes that follow each other."""
    steps = []
    for kind in np.unique(labels):
        members = np.flatnonzero(labels == kind)
        gaps = np.diff(members)[:, None]
        steps.append(np.diff(track[members], axis=0) / np.sqrt(gaps))
    walked = np.concatenate(steps)
    if not len(walked):
        return _Offset(value=np.zeros(6), variance=np.full(6, np.inf))
    variance = (1.4826 * np.median(np.abs(walked), axis=0)) ** 2 + _LEAST_STEP**2
    both = np.flatnonzero((labels == 0) | (labels == label))
    ends = np.stack([both[:-1], both[1:]], axis=1)
    ends = ends[labels[ends[:, 0]] != labels[ends[:, 1]]]
    sign = np.where(labels[ends[:, 1]] == label, 1.0, -1.0)
    weights = 1 / (ends[:, 1] - ends[:, 0])
    jumps = sign[:, None] * (track[ends[:, 1]] - track[ends[:, 0]])
    value: Array = np.asarray(weights @ jumps / weights.sum())
    return _Offset(value=value, variance=variance / weights.sum())


def _weighed(seen: Array, timed: _Offset) -> Array:
    """Weigh both offsets by their precision; a head that walks or jumps is only seen."""
    restless = timed.variance.max() > (_USELESS * _IMAGE_SD) ** 2
    away = seen - timed.value
    if restless or np.linalg.norm(away[:3]) + np.linalg.norm(away[3:]) > _JUMP:
        return seen
    share: Array = timed.variance / (timed.variance + _IMAGE_SD**2)
    return np.asarray(timed.value + share * away)
