"""Nonlinear registration of two images that share a grid.

DIPY's SyN takes one brain to another (a patient to the template); SimpleITK's diffeomorphic demons
take a brain to itself at another time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from dipy.align import VerbosityLevels
from dipy.align.imwarp import DiffeomorphicMap, SymmetricDiffeomorphicRegistration
from dipy.align.metrics import CCMetric
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from msimaging.errors import Finding, InputError
from msimaging.spatial.transforms import (
    RAS_LPS,
    Matrix,
    displacement_transform,
    image_from_array,
    voxel_sizes,
)
from msimaging.threads import one_thread

#: Smoothing of both images, of every update and of the whole displacement (sigma, mm).
_BLUR_MM, _UPDATE_MM, _STIFFNESS_MM = 2.5, 2.5, 5.0
_DEMONS_ITERATIONS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """A diffeomorphism between two images on one grid.

    Attributes
    ----------
    fixed_to_moving, moving_to_fixed : SimpleITK.DisplacementFieldTransform
        Both directions; each is the other's inverse.
    """

    fixed_to_moving: sitk.DisplacementFieldTransform
    moving_to_fixed: sitk.DisplacementFieldTransform


def register_syn(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    affine: Matrix,
    *,
    level_iterations: Sequence[int],
    radius: int,
    field_sigma: float,
) -> Warp:
    """Warp one image to another on the same grid (symmetric normalisation, Avants 2008).

    Parameters
    ----------
    fixed, moving : (X, Y, Z) ndarray
        Affinely aligned images, 0 where nothing is to be matched.
    affine : (4, 4) ndarray
        Voxel indices of both to RAS mm.
    level_iterations : sequence of int
        Most iterations at each level, coarse to fine; each level halves the voxels. The coarsest
        that the grid is too small for are left out.
    radius : int
        Of the local cross-correlation window, in voxels.
    field_sigma : float
        Gaussian smoothing of every update, in voxels: larger is stiffer.

    Returns
    -------
    Warp
        Displacements in mm on the grid.

    Raises
    ------
    InputError
        When the grid is smaller than the window.
    """
    levels = min(len(level_iterations), _most_levels(fixed.shape, radius))
    metric = CCMetric(3, sigma_diff=field_sigma, radius=radius)
    syn = SymmetricDiffeomorphicRegistration(
        metric, level_iters=list(level_iterations)[-levels:], inv_iter=40, inv_tol=1e-4
    )
    syn.verbosity = VerbosityLevels.NONE
    mapping = syn.optimize(fixed, moving, static_grid2world=affine, moving_grid2world=affine)
    return Warp(
        fixed_to_moving=_as_transform(mapping, affine, inverse=False),
        moving_to_fixed=_as_transform(mapping, affine, inverse=True),
    )


def register_demons(
    fixed: NDArray[np.float32], moving: NDArray[np.float32], affine: Matrix
) -> Warp:
    """Warp an image to another of the same brain (diffeomorphic demons, Vercauteren 2009).

    Local correlation, which SyN maximises, follows the noise where two images hardly differ: each
    of its updates is scaled to the same size. Demons move as far as the intensities ask for, and
    a stiff displacement lets a boundary follow a shift of millimetres and little else.

    Parameters
    ----------
    fixed, moving : (X, Y, Z) ndarray
        One contrast on one scale, rigidly aligned, 0 outside the brain.
    affine : (4, 4) ndarray
        Voxel indices of both to RAS mm.

    Returns
    -------
    Warp
        Displacements in mm on the grid.
    """
    sizes = voxel_sizes(affine)
    smooth = [
        image_from_array(gaussian_filter(data.astype(np.float32), _BLUR_MM / sizes), affine)
        for data in (fixed, moving)
    ]
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetNumberOfIterations(_DEMONS_ITERATIONS)
    demons.SetMaximumUpdateStepLength(1.0)
    demons.SetUseGradientType(demons.Symmetric)
    demons.SetSmoothUpdateField(True)
    demons.SetUpdateFieldStandardDeviations((_UPDATE_MM / sizes).tolist())
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations((_STIFFNESS_MM / sizes).tolist())
    with one_thread():
        field = demons.Execute(*smooth)
        inverse = sitk.InvertDisplacementField(
            field,
            maximumNumberOfIterations=50,
            maxErrorToleranceThreshold=0.01,
            meanErrorToleranceThreshold=0.001,
        )
    return Warp(
        fixed_to_moving=displacement_transform(_vectors(field), affine),
        moving_to_fixed=displacement_transform(_vectors(inverse), affine),
    )


def _vectors(field: sitk.Image) -> NDArray[np.float64]:
    """Return the displacements (X, Y, Z, 3) along R, A, S."""
    lps = sitk.GetArrayFromImage(field).transpose(2, 1, 0, 3)
    return np.asarray(lps * np.diag(RAS_LPS)[:3], dtype=np.float64)


def _as_transform(
    mapping: DiffeomorphicMap, affine: Matrix, *, inverse: bool
) -> sitk.DisplacementFieldTransform:
    # Asking DIPY where it carries each voxel's centre keeps its field conventions out of here.
    shape = tuple(int(size) for size in mapping.domain_shape)
    voxels = np.indices(shape).reshape(3, -1).T
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    move = mapping.transform_points_inverse if inverse else mapping.transform_points
    field = (np.asarray(move(points), dtype=np.float64) - points).reshape(*shape, 3)
    return displacement_transform(field, affine)


def _most_levels(shape: Sequence[int], radius: int) -> int:
    """Return how often the voxels can be halved so that a correlation window still fits."""
    window = 2 * radius + 1
    if min(shape) < window:
        raise InputError(
            [
                Finding(
                    rule="the grid holds at least one correlation window",
                    where="working_resolution",
                    found=f"a grid {tuple(shape)} for a window of {window} voxels",
                    remedy="Choose a finer spatial.working_resolution.",
                )
            ]
        )
    return 1 + int(np.log2(min(shape) // window))


def local_correlation(
    first: NDArray[np.float32], second: NDArray[np.float32], mask: NDArray[np.bool_]
) -> float:
    """Return the mean squared correlation in windows of 5 x 5 x 5 voxels.

    Parameters
    ----------
    first, second : (X, Y, Z) ndarray
        Images on one grid; their contrasts may differ, also in sign.
    mask : (X, Y, Z) bool ndarray
        Window centres that count.

    Returns
    -------
    float
        Between 0 and 1; windows where an image is flat count as 0.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = uniform_filter(a, 5), uniform_filter(b, 5)
    covariance = uniform_filter(a * b, 5) - mean_a * mean_b
    variance_a = uniform_filter(a * a, 5) - mean_a**2
    variance_b = uniform_filter(b * b, 5) - mean_b**2
    flat = (variance_a < 1e-8 * a.var()) | (variance_b < 1e-8 * b.var())
    squared = covariance**2 / np.where(flat, 1, variance_a * variance_b)
    return float(np.where(flat, 0, squared)[mask].mean())


def fill_from_surroundings(
    data: NDArray[np.float32],
    affine: Matrix,
    *,
    holes: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    fwhm_mm: float = 8.0,
) -> NDArray[np.float32]:
    """Replace voxels by a weighted mean of their healthy neighbours.

    A lesion would otherwise pull the warp; filled, it neither attracts nor repels (Sdika 2009).

    Parameters
    ----------
    data : (X, Y, Z) ndarray
        Image.
    affine : (4, 4) ndarray
        Voxel indices to RAS mm.
    holes : (X, Y, Z) bool ndarray
        Voxels to replace.
    mask : (X, Y, Z) bool ndarray
        Voxels that may lend their values.
    fwhm_mm : float
        Width of the Gaussian weights.

    Returns
    -------
    (X, Y, Z) ndarray
        The filled image; a hole without healthy neighbours gets the mean of the mask.
    """
    donors = mask & ~holes
    sigma = fwhm_mm / 2.3548 / voxel_sizes(affine)
    weight = gaussian_filter(donors.astype(np.float64), sigma)
    value = gaussian_filter(np.where(donors, data, 0).astype(np.float64), sigma)
    known = weight > 1e-6
    smooth = np.where(known, value / np.where(known, weight, 1), data[donors].mean())
    return np.where(holes, smooth, data).astype(np.float32)
