"""Spatial transforms: matrices, displacement fields and their composition.

A transform or matrix named ``a_to_b`` maps the scanner coordinates (RAS, mm) of a point in space
``a`` to the same point in space ``b``. Resampling an image that lives in ``b`` onto a grid of
``a`` pulls values, and so needs ``a_to_b``. SimpleITK counts in LPS; this module is the only place
where the two meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from msimaging.errors import Finding, InputError

Matrix = NDArray[np.float64]
RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def from_matrix(matrix: ArrayLike) -> sitk.AffineTransform:
    """Turn a RAS matrix into a SimpleITK transform.

    Parameters
    ----------
    matrix : (4, 4) array_like
        ``a_to_b`` in RAS, mm.

    Returns
    -------
    SimpleITK.AffineTransform
        The same mapping.

    Raises
    ------
    InputError
        When the matrix is not a finite, invertible (4, 4) affine.
    """
    lps = RAS_LPS @ checked_matrix(matrix) @ RAS_LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def checked_matrix(matrix: ArrayLike, *, where: str = "matrix") -> Matrix:
    """Hand back an affine as float64, or say what is wrong with it.

    Parameters
    ----------
    matrix : (4, 4) array_like
        Candidate affine.
    where : str
        What to call it in the message.

    Returns
    -------
    (4, 4) ndarray
        The matrix.

    Raises
    ------
    InputError
        When it is not a finite, invertible (4, 4) affine.
    """
    array = np.asarray(matrix, dtype=np.float64)
    if array.shape != (4, 4):
        found = f"shape {array.shape}"
    elif not np.isfinite(array).all():
        found = "values that are not finite"
    elif not np.array_equal(array[3], [0, 0, 0, 1]):
        found = f"last row {array[3].tolist()}"
    elif np.linalg.det(array[:3, :3]) == 0:
        found = "determinant 0"
    else:
        return array
    raise InputError(
        [
            Finding(
                rule="an affine is a finite, invertible 4 x 4 matrix ending in 0 0 0 1",
                where=where,
                found=found,
                remedy="Check the header of the image or the saved transform.",
            )
        ]
    )


def to_matrix(transform: sitk.Transform) -> Matrix:
    """Turn a linear SimpleITK transform into a RAS matrix.

    Parameters
    ----------
    transform : SimpleITK.Transform
        Any linear ``a_to_b`` (rigid, affine, or a composition of those).

    Returns
    -------
    (4, 4) ndarray
        The mapping in RAS, mm.

    Raises
    ------
    InputError
        When the transform is not linear.
    """
    if not transform.IsLinear():
        raise InputError(
            [
                Finding(
                    rule="only linear transforms can be written as a matrix",
                    where=transform.GetName(),
                    found="a displacement field",
                    remedy="Keep the transform as it is, or pass only its affine part.",
                )
            ]
        )
    origin = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, 3] = origin
    for axis, point in enumerate(np.eye(3).tolist()):
        lps[:3, axis] = np.asarray(transform.TransformPoint(point)) - origin
    return np.asarray(RAS_LPS @ lps @ RAS_LPS)


def compose(*transforms: sitk.Transform | ArrayLike) -> sitk.CompositeTransform:
    """Chain transforms in the order in which a point travels.

    Parameters
    ----------
    *transforms : SimpleITK.Transform or (4, 4) array_like
        ``a_to_b, b_to_c, ...``; matrices are in RAS, mm.

    Returns
    -------
    SimpleITK.CompositeTransform
        ``compose(a_to_b, b_to_c)`` is ``a_to_c``. Compositions within are flattened.
    """
    parts = [part for transform in transforms for part in _parts(transform)]
    # SimpleITK applies the last transform of its list first.
    return sitk.CompositeTransform(parts[::-1]) if parts else sitk.CompositeTransform(3)


def _parts(transform: sitk.Transform | ArrayLike) -> list[sitk.Transform]:
    if not isinstance(transform, sitk.Transform):
        return [from_matrix(transform)]
    specific = transform.Downcast()
    if not isinstance(specific, sitk.CompositeTransform):
        return [specific]
    count = specific.GetNumberOfTransforms()
    inner = [specific.GetNthTransform(index) for index in range(count)]
    return [part for nested in inner[::-1] for part in _parts(nested)]


def displacement_transform(field: ArrayLike, affine: ArrayLike) -> sitk.DisplacementFieldTransform:
    """Turn displacement vectors on a grid into a SimpleITK transform.

    Parameters
    ----------
    field : (X, Y, Z, 3) array_like
        Displacement of every voxel's centre along R, A, S in mm: ``a_to_b(p) = p + field(p)``.
    affine : (4, 4) array_like
        Voxel indices of the grid to RAS mm of space ``a``.

    Returns
    -------
    SimpleITK.DisplacementFieldTransform
        The mapping, linear between voxel centres and the identity outside the grid.

    Raises
    ------
    InputError
        When the field has another shape or holds values that are not finite.
    """
    vectors = np.asarray(field, dtype=np.float64)
    if vectors.ndim != 4 or vectors.shape[3] != 3 or not np.isfinite(vectors).all():
        raise InputError(
            [
                Finding(
                    rule="a displacement field holds three finite numbers per voxel",
                    where="field",
                    found=f"shape {vectors.shape}, "
                    f"{np.count_nonzero(~np.isfinite(vectors))} values not finite",
                    remedy="Check the registration that made it.",
                )
            ]
        )
    lps = vectors * np.diag(RAS_LPS)[:3]
    return sitk.DisplacementFieldTransform(image_from_array(lps, affine, vector=True))


def image_from_array(data: ArrayLike, affine: ArrayLike, *, vector: bool = False) -> sitk.Image:
    """Put an array and its affine into a SimpleITK image.

    Parameters
    ----------
    data : (X, Y, Z) or (X, Y, Z, C) array_like
        Values; C components when ``vector``.
    affine : (4, 4) array_like
        Voxel indices to RAS mm.
    vector : bool
        Whether the last axis holds the components of one vector per voxel.

    Returns
    -------
    SimpleITK.Image
        The image in LPS.
    """
    array = np.asarray(data)
    order = (2, 1, 0, 3) if vector else (2, 1, 0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(order)), isVector=vector)
    lps = RAS_LPS @ checked_matrix(affine, where="affine")
    spacing = voxel_sizes(lps)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def voxel_sizes(affine: Matrix) -> NDArray[np.float64]:
    """Return the edge lengths of a voxel in mm, (3,)."""
    return np.asarray(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))


def transform_points(transform: sitk.Transform, points: ArrayLike) -> NDArray[np.float64]:
    """Carry points through a transform.

    Parameters
    ----------
    transform : SimpleITK.Transform
        ``a_to_b``.
    points : (M, 3) array_like
        RAS coordinates in space ``a``, mm.

    Returns
    -------
    (M, 3) ndarray
        RAS coordinates in space ``b``, mm.
    """
    sign = np.diag(RAS_LPS)[:3]
    lps: Sequence[list[float]] = (np.asarray(points, dtype=np.float64) * sign).tolist()
    moved = np.array([transform.TransformPoint(point) for point in lps]).reshape(-1, 3)
    return np.asarray(moved * sign)
