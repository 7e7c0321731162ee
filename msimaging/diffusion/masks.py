"""Brain mask from the mean b=0 image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.errors import ComputationError

_SMOOTHING_MM = 2.0
_OPENING_MM = 12.0
_CLOSING_MM = 10.0
_SHADING_MM = 25.0
# half of the tissue level is the rim of the brain; scalp and skull stay below
_LEVEL = 0.5


def brain_mask(
    mean_b0: NDArray[np.floating[Any]], affine: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """Find the brain in the mean image without diffusion weighting.

    Parameters
    ----------
    mean_b0 : (X, Y, Z) ndarray
        Mean of the b=0 images.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS coordinates [mm]; sizes of the steps below follow from it.

    Returns
    -------
    (X, Y, Z) ndarray of bool
        One connected piece without holes.

    Raises
    ------
    ComputationError
        When the image has no contrast.

    Notes
    -----
    Otsu's threshold (1979) finds the head; slow shading is divided out; the brain is what exceeds
    half of the tissue's level. Bridges to eyes and scalp are cut by an opening of 12 mm, the
    largest piece is kept, grown back within the threshold, and holes are filled. The border of the
    field of view does not count as outside, so that slabs are not eroded at their ends.
    """
    image = np.nan_to_num(np.asarray(mean_b0, dtype=np.float64))
    top = np.percentile(image, 99)
    if not top > max(float(np.median(image)), 0.0) * 1.05:
        raise ComputationError("the mean b=0 image has no contrast: no brain can be told from air")
    sizes = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    # fluid is several times brighter than tissue at long echo times: it must not set the threshold
    smooth = ndimage.gaussian_filter(
        np.clip(image, 0, top), _SMOOTHING_MM / 2.355 / sizes, mode="nearest"
    )
    head = smooth > _otsu(smooth)
    even = _without_shading(smooth, head, sizes)
    bright = even > _LEVEL * np.median(even[_largest_piece(_erode(head, sizes, _OPENING_MM / 2))])
    core = _largest_piece(_erode(bright, sizes, _OPENING_MM / 2))
    grown = ~_erode(~core, sizes, _OPENING_MM / 2 + sizes.max()) & bright
    closed = _close(_largest_piece(grown), sizes, _CLOSING_MM / 2)
    return _fill(closed)


def _without_shading(
    image: NDArray[np.float64], head: NDArray[np.bool_], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Divide by the slow change of brightness over the head: coils close by make its rim bright."""
    width = _SHADING_MM / sizes
    weight = ndimage.gaussian_filter(head.astype(np.float64), width, mode="constant")
    logs = np.log(
        np.maximum(image, np.finfo(np.float64).tiny), where=head, out=np.zeros_like(image)
    )
    slow = ndimage.gaussian_filter(logs, width, mode="constant")
    return np.asarray(image / np.exp(slow / np.maximum(weight, 1e-3)))


def _otsu(image: NDArray[np.float64]) -> float:
    """Return the threshold that separates two classes best (Otsu 1979), on the square root."""
    values = np.sqrt(image[image > 0])
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centres[np.nanargmax(contrast)] ** 2)


def _erode(mask: NDArray[np.bool_], sizes: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Take away what is nearer than ``radius`` mm to the outside; the image's end is no border."""
    if mask.all():
        return mask
    distance = ndimage.distance_transform_edt(mask, sampling=sizes)
    return np.asarray(distance > radius)


def _close(mask: NDArray[np.bool_], sizes: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    grown = ~_erode(~mask, sizes, radius)
    return _erode(grown, sizes, radius) | mask


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _fill(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill holes, also those that are open only along one axis (ventricles cut by a slab)."""
    filled = np.asarray(ndimage.binary_fill_holes(mask))
    for axis in range(3):
        for index in range(mask.shape[axis]):
            place = (slice(None),) * axis + (index,)
            filled[place] = ndimage.binary_fill_holes(filled[place])
    return filled
