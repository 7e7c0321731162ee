"""The search behind linear registration, and the group of affines it moves in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm, logm

from msimaging.errors import ComputationError, Finding, raise_on_errors
from msimaging.spatial.transforms import Matrix, checked_matrix, image_from_array, to_matrix
from msimaging.threads import one_thread

Metric = Literal["correlation", "mattes"]
Image = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How one search is run.

    Attributes
    ----------
    metric : {"correlation", "mattes"}
        Similarity.
    shrink_factors, smoothing_mm : tuples, one entry a level
        Resolution pyramid, coarse to fine.
    sampling : float
        Share of voxels read, in (0, 1].
    seed : int
        Seeds the jitter of the sampling lattice.
    """

    metric: Metric
    shrink_factors: tuple[int, ...]
    smoothing_mm: tuple[float, ...]
    sampling: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """An image with its mask and centre of mass in SimpleITK's frame."""

    image: sitk.Image
    mask: sitk.Image | None
    centre: list[float]


def prepare_image(
    data: Image, affine: ArrayLike, *, mask: Mask | None, where: str
) -> PreparedImage:
    """Check an image and bring it into the form that the search reads.

    Parameters
    ----------
    data : (X, Y, Z) ndarray
        Finite values.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    mask : (X, Y, Z) bool ndarray, optional
        Where it is compared.
    where : str
        What to call the image in messages.

    Returns
    -------
    PreparedImage
        Scaled to unit spread.

    Raises
    ------
    InputError
        For an image without contrast, with values that are not finite, or a mask that does not fit.
    """
    matrix = checked_matrix(affine, where=f"{where}_affine")
    raise_on_errors(_faults(data, mask, where))
    values = np.asarray(data, dtype=np.float32)
    # One spread for every image: the optimiser's step then means the same everywhere.
    image = image_from_array(values / np.float32(np.std(values)), matrix)
    weights = np.clip(values, 0, None)
    if mask is not None:
        tissue = np.asarray(mask) & (values > 0)
        weights = (tissue if tissue.any() else np.asarray(mask)).astype(np.float32)
    index = [float(np.average(axis, weights=weights)) for axis in np.indices(data.shape)]
    centre = list(image.TransformContinuousIndexToPhysicalPoint(index))
    roi = None if mask is None else image_from_array(np.asarray(mask).astype(np.uint8), matrix)
    return PreparedImage(image=image, mask=roi, centre=centre)


def _faults(data: Image, mask: Mask | None, where: str) -> list[Finding]:
    faults = []
    if data.ndim != 3 or min(data.shape) < 4:
        faults.append(("an image has three axes of four voxels or more", f"shape {data.shape}"))
    elif not np.isfinite(data).all():
        count = np.count_nonzero(~np.isfinite(data))
        faults.append(("images to be aligned hold finite values", f"{count} voxels not finite"))
    elif np.ptp(data) == 0 or (mask is None and not (data > 0).any()):
        faults.append(("an image to be aligned has contrast", "one value everywhere"))
    if mask is not None and mask.shape != data.shape:
        faults.append(("a mask has its image's shape", f"{mask.shape} for {data.shape}"))
    elif mask is not None and not mask.any():
        faults.append(("a mask holds voxels", "none"))
    remedy = "Check this image and its mask."
    return [Finding(rule=rule, where=where, found=found, remedy=remedy) for rule, found in faults]


def search_rigid(fixed: PreparedImage, moving: PreparedImage, settings: SearchSettings) -> Matrix:
    """Find six parameters from the centres of mass on; return ``fixed_to_moving``, (4, 4)."""
    return to_matrix(_rigid(fixed, moving, settings))


def search_affine(fixed: PreparedImage, moving: PreparedImage, settings: SearchSettings) -> Matrix:
    """Find twelve parameters from the rigid solution on; return ``fixed_to_moving``, (4, 4)."""
    rigid = _rigid(fixed, moving, settings)
    start = sitk.AffineTransform(3)
    start.SetCenter(fixed.centre)
    start.SetMatrix(rigid.GetMatrix())
    start.SetTranslation(rigid.GetTranslation())
    return to_matrix(_optimised(fixed, moving, settings, start))


def _rigid(
    fixed: PreparedImage, moving: PreparedImage, settings: SearchSettings
) -> sitk.Euler3DTransform:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(fixed.centre)
    shift = np.subtract(moving.centre, fixed.centre)
    transform.SetTranslation(shift.tolist())
    return _optimised(fixed, moving, settings, transform)


def _optimised(
    fixed: PreparedImage, moving: PreparedImage, settings: SearchSettings, start: sitk.Transform
) -> sitk.Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetInitialTransform(start, inPlace=False)
    if settings.metric == "mattes":
        method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    else:
        method.SetMetricAsCorrelation()
    if fixed.mask is not None:
        method.SetMetricFixedMask(fixed.mask)
    if moving.mask is not None:
        method.SetMetricMovingMask(moving.mask)
    if settings.sampling < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(settings.sampling, settings.seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(settings.shrink_factors))
    method.SetSmoothingSigmasPerLevel(list(settings.smoothing_mm))
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    _set_optimizer(method, fixed)
    try:
        with one_thread():
            result = method.Execute(fixed.image, moving.image)
    except RuntimeError as error:
        raise ComputationError(
            f"registration found no overlap between the images: {error}"
        ) from error
    return result.Downcast().GetNthTransform(0).Downcast() if _is_chain(result) else result


def _is_chain(transform: sitk.Transform) -> bool:
    return isinstance(transform.Downcast(), sitk.CompositeTransform)


def _set_optimizer(method: sitk.ImageRegistrationMethod, fixed: PreparedImage) -> None:
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=float(np.mean(fixed.image.GetSpacing())),
        minStep=1e-4,
        numberOfIterations=150,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-9,
    )
    # Steps in mm of voxel displacement, not in radians and mm mixed.
    method.SetOptimizerScalesFromPhysicalShift()


def halfway(first: ArrayLike, second: ArrayLike) -> Matrix:
    """Return the matrix in the middle of the geodesic between two affines.

    Parameters
    ----------
    first, second : (4, 4) array_like
        Nearby affines.

    Returns
    -------
    (4, 4) ndarray
        The same for exchanged arguments; inverse arguments give the inverse; rigid stays rigid.
    """
    start = np.asarray(first, dtype=np.float64)
    difference = logarithm(np.linalg.solve(start, np.asarray(second)))
    return np.asarray(start @ exponential(difference / 2))


def logarithm(matrix: ArrayLike) -> Matrix:
    """Return the principal logarithm of an affine, (4, 4)."""
    return np.asarray(np.real(logm(np.asarray(matrix))), dtype=np.float64)


def exponential(matrix: ArrayLike) -> Matrix:
    """Return the exponential of the logarithm of an affine, (4, 4)."""
    out = np.asarray(expm(np.asarray(matrix)), dtype=np.float64)
    out[3] = [0, 0, 0, 1]
    return out
