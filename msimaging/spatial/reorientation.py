"""Turning tensors and directions along with the image, and comparing directions of visits.

Moving a tensor image moves its voxels; the tensors in them must turn as the tissue does. With
``target_to_source`` the transform used to pull the image, tissue moves by its inverse, whose local
linear part F is the inverse of the Jacobian. Two rules are kept (Alexander 2001): finite strain
turns by the rotation within F; preservation of principal direction turns the main axis to where F
carries it, and the second axis with the plane of both. For rigid transforms they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import ComputationError, Finding, InputError
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import RAS_LPS, checked_matrix, image_from_array

Values = NDArray[np.float64]
TRIANGLE = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionChange:
    """Angle between the visits' main directions, voxel by voxel.

    Attributes
    ----------
    angle : ndarray
        Degrees in [0, 90]; NaN where a direction or FA is missing.
    unreadable : bool ndarray
        Where a change of radial or axial diffusivity is not to be read: the angle is too large,
        FA at either visit too small, or either unknown.
    """

    angle: Values
    unreadable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedTensors:
    """Tensors on a template's grid.

    Attributes
    ----------
    components : (X, Y, Z, 6) ndarray
        D11 D12 D13 D22 D23 D33 in RAS, turned by the finite strain.
    directions : (X, Y, Z, 3) ndarray
        Main directions, unit vectors in RAS, turned so that they are preserved along tissue.
    n_folded : int
        Voxels of the mask at which the transform folds: tissue has no orientation there.
    """

    components: Values
    directions: Values
    n_folded: int


def jacobian(transform: sitk.Transform, *, shape: Sequence[int], affine: ArrayLike) -> Values:
    """Return the local linear part of a transform on a grid.

    Parameters
    ----------
    transform : SimpleITK.Transform
        ``target_to_source``.
    shape : three ints
        Shape of the target grid, two voxels or more along each axis.
    affine : (4, 4) array_like
        Voxel indices of the target grid to RAS mm.

    Returns
    -------
    (X, Y, Z, 3, 3) ndarray
        d source / d target in RAS, by central differences between voxel centres.
    """
    matrix = checked_matrix(affine, where="affine")
    field = _displacements(transform, shape, matrix)
    per_voxel = np.stack([np.gradient(field, axis=axis) for axis in range(3)], axis=-1)
    return np.asarray(np.eye(3) + per_voxel @ np.linalg.inv(matrix[:3, :3]))


def _displacements(transform: sitk.Transform, shape: Sequence[int], affine: Values) -> Values:
    grid = image_from_array(np.zeros((1, 1, 1), dtype=np.uint8), affine)
    sampler = sitk.TransformToDisplacementFieldFilter()
    sampler.SetNumberOfThreads(1)
    sampler.SetOutputPixelType(sitk.sitkVectorFloat64)
    sampler.SetSize([int(size) for size in shape])
    sampler.SetOutputOrigin(grid.GetOrigin())
    sampler.SetOutputSpacing(grid.GetSpacing())
    sampler.SetOutputDirection(grid.GetDirection())
    field = sitk.GetArrayFromImage(sampler.Execute(transform)).transpose(2, 1, 0, 3)
    return np.asarray(field * np.diag(RAS_LPS)[:3])


def finite_strain_rotation(jacobians: ArrayLike) -> Values:
    """Return the rotations by which finite strain turns tissue.

    Parameters
    ----------
    jacobians : (..., 3, 3) array_like
        d source / d target.

    Returns
    -------
    (..., 3, 3) ndarray
        The rotation nearest to the inverse Jacobian (its polar factor).

    Raises
    ------
    ComputationError
        Where the transform folds (determinant not above 0).
    """
    left, _, right = np.linalg.svd(_forward(jacobians))
    return np.asarray(left @ right)


def principal_direction_rotation(evecs: ArrayLike, jacobians: ArrayLike) -> Values:
    """Return the rotations that preserve the principal direction.

    Parameters
    ----------
    evecs : (..., 3, 3) array_like
        Eigenvectors in columns, largest eigenvalue first, in RAS.
    jacobians : (..., 3, 3) array_like
        d source / d target.

    Returns
    -------
    (..., 3, 3) ndarray
        Turns the first eigenvector along F e1, and the second into the plane of F e1 and F e2
        (Alexander 2001).

    Raises
    ------
    ComputationError
        Where the transform folds (determinant not above 0).
    """
    vectors = np.asarray(evecs, dtype=np.float64)
    moved = _forward(jacobians) @ vectors
    first = _unit(moved[..., 0])
    along = (moved[..., 1] * first).sum(axis=-1, keepdims=True)
    second = _unit(moved[..., 1] - along * first)
    new = np.stack([first, second, np.cross(first, second)], axis=-1)
    e1, e2 = vectors[..., 0], vectors[..., 1]
    old = np.stack([e1, e2, np.cross(e1, e2)], axis=-1)
    return np.asarray(new @ np.swapaxes(old, -1, -2))


def rotate_tensors(tensors: ArrayLike, rotations: ArrayLike) -> Values:
    """Turn tensors: R D R'.

    Parameters
    ----------
    tensors, rotations : (..., 3, 3) array_like
        In RAS.

    Returns
    -------
    (..., 3, 3) ndarray
        Eigenvalues as before, eigenvectors turned.
    """
    turn = np.asarray(rotations, dtype=np.float64)
    return np.asarray(turn @ np.asarray(tensors, dtype=np.float64) @ np.swapaxes(turn, -1, -2))


def reorient_directions(directions: ArrayLike, jacobians: ArrayLike) -> Values:
    """Carry unit directions of tissue along a transform.

    Parameters
    ----------
    directions : (..., 3) array_like
        Main directions in RAS, at the target's voxels.
    jacobians : (..., 3, 3) array_like
        d source / d target.

    Returns
    -------
    (..., 3) ndarray
        Unit vectors along F e1.

    Raises
    ------
    ComputationError
        Where the transform folds (determinant not above 0).
    """
    vectors = np.asarray(directions, dtype=np.float64)[..., None]
    return _unit((_forward(jacobians) @ vectors)[..., 0])


def resample_tensors(
    tensors: NDArray[Any],
    affine: ArrayLike,
    *,
    target_to_source: sitk.Transform,
    target_shape: Sequence[int],
    target_affine: ArrayLike,
) -> Values:
    """Move a tensor image: its six components once, linearly, then turned by the finite strain.

    Parameters
    ----------
    tensors : (X, Y, Z, 3, 3) ndarray
        Symmetric, in RAS. Dyads e1 e1' of main directions move in the same way, whatever the
        signs of the directions.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    target_to_source : SimpleITK.Transform
        Maps a point of the target to the source.
    target_shape : three ints
        Shape of the target grid.
    target_affine : (4, 4) array_like
        Voxel indices of the target grid to RAS mm.

    Returns
    -------
    (X, Y, Z, 3, 3) ndarray
        On the target grid; 0 outside the source.

    Raises
    ------
    ComputationError
        Where the transform folds.
    """
    parts = np.stack([tensors[..., i, j] for i, j in TRIANGLE], axis=-1)
    moved = resample_image(
        parts.astype(np.float64),
        affine,
        target_to_source=target_to_source,
        target_shape=target_shape,
        target_affine=target_affine,
        interpolation="linear",
    )
    local = jacobian(target_to_source, shape=target_shape, affine=target_affine)
    return rotate_tensors(full_tensors(moved), finite_strain_rotation(local))


def normalise_tensors(
    components: NDArray[Any],
    affine: ArrayLike,
    *,
    target_to_source: sitk.Transform,
    target_affine: ArrayLike,
    mask: NDArray[np.bool_],
) -> NormalisedTensors:
    """Bring a tensor image to a template: each component once, linearly, then turned.

    Parameters
    ----------
    components : (X, Y, Z, 6) ndarray
        D11 D12 D13 D22 D23 D33 in RAS.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    target_to_source : SimpleITK.Transform
        Maps a point of the template to the source.
    target_affine : (4, 4) array_like
        Voxel indices of the template's grid to RAS mm.
    mask : (X, Y, Z) ndarray of bool
        Voxels of the template's grid that are wanted.

    Returns
    -------
    NormalisedTensors
        On the template's grid; 0 outside the mask and where the transform folds.
    """
    moved = resample_image(
        np.asarray(components, dtype=np.float64),
        affine,
        target_to_source=target_to_source,
        target_shape=mask.shape,
        target_affine=target_affine,
        interpolation="linear",
    )
    local = jacobian(target_to_source, shape=mask.shape, affine=target_affine)
    unfolded = mask & (np.linalg.det(local) > 0)
    tensors = full_tensors(moved[unfolded])
    turned = rotate_tensors(tensors, finite_strain_rotation(local[unfolded]))
    main = reorient_directions(np.linalg.eigh(tensors)[1][..., -1], local[unfolded])
    present = np.abs(tensors).max(axis=(-1, -2)) > 0
    out = np.zeros_like(moved)
    out[unfolded] = np.stack([turned[..., i, j] for i, j in TRIANGLE], axis=-1)
    directions = np.zeros((*mask.shape, 3))
    directions[unfolded] = np.where(present[:, None], main, 0.0)
    return NormalisedTensors(
        components=out,
        directions=directions,
        n_folded=int(np.count_nonzero(mask & ~unfolded)),
    )


def full_tensors(components: ArrayLike) -> Values:
    """Return symmetric matrices (..., 3, 3) from D11 D12 D13 D22 D23 D33 (..., 6)."""
    parts = np.asarray(components, dtype=np.float64)
    out = np.empty((*parts.shape[:-1], 3, 3))
    for index, (i, j) in enumerate(TRIANGLE):
        out[..., i, j] = out[..., j, i] = parts[..., index]
    return out


def direction_change(
    baseline: ArrayLike,
    follow_up: ArrayLike,
    *,
    baseline_fa: ArrayLike,
    follow_up_fa: ArrayLike,
    max_angle: float = 45.0,
    min_fa: float = 0.2,
) -> DirectionChange:
    """Compare the main directions of two visits.

    Parameters
    ----------
    baseline, follow_up : (..., 3) array_like
        Main directions in one frame; length and sign do not matter. NaN or 0 where missing.
    baseline_fa, follow_up_fa : (...) array_like
        FA of both visits.
    max_angle : float
        Degrees from which on the directions do not belong together.
    min_fa : float
        FA below which a main direction has no meaning.

    Returns
    -------
    DirectionChange
        The same for exchanged visits.

    Raises
    ------
    InputError
        For shapes that do not fit.
    """
    first, second = (np.asarray(v, dtype=np.float64) for v in (baseline, follow_up))
    fa = [np.asarray(values, dtype=np.float64) for values in (baseline_fa, follow_up_fa)]
    shapes = [first.shape, second.shape, *[(*values.shape, 3) for values in fa]]
    if len(set(shapes)) > 1:
        raise InputError(
            [
                Finding(
                    rule="both visits have one direction of three numbers and one FA per voxel",
                    where="direction_change",
                    found=f"directions {shapes[0]}, {shapes[1]}; FA {fa[0].shape}, {fa[1].shape}",
                    remedy="Bring both visits onto one grid.",
                )
            ]
        )
    # atan2 of cross and dot product: exact near 0 where the arc cosine is not.
    sine = np.linalg.norm(np.cross(first, second), axis=-1)
    cosine = np.abs((first * second).sum(axis=-1))
    missing = ((sine == 0) & (cosine == 0)) | np.isnan(fa[0]) | np.isnan(fa[1])
    angle = np.where(missing, np.nan, np.degrees(np.arctan2(sine, cosine)))
    readable = (angle <= max_angle) & (np.minimum(*fa) >= min_fa)
    return DirectionChange(angle=angle, unreadable=np.asarray(~readable))


def _forward(jacobians: ArrayLike) -> Values:
    local = np.asarray(jacobians, dtype=np.float64)
    folded = int(np.count_nonzero(~(np.linalg.det(local) > 0)))
    if folded:
        raise ComputationError(
            f"the transform folds at {folded} of {local[..., 0, 0].size} voxels: tissue there has "
            f"no orientation; use a stiffer registration"
        )
    return np.asarray(np.linalg.inv(local))


def _unit(vectors: Values) -> Values:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length == 0, 1, length))
