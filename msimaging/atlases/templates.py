"""The template brain that nilearn ships: MNI ICBM152 2009a, symmetric, without skull."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The tissues of the template brain.

    Attributes
    ----------
    mask : (X, Y, Z) ndarray of bool
        The brain.
    white_matter, grey_matter, csf : (X, Y, Z) ndarray
        Share of the tissue in each voxel; CSF is what is neither white nor grey matter.
    affine : (4, 4) ndarray
        Voxels to MNI coordinates in mm.
    """

    mask: NDArray[np.bool_]
    white_matter: NDArray[np.float32]
    grey_matter: NDArray[np.float32]
    csf: NDArray[np.float32]
    affine: NDArray[np.float64]


def nilearn_datasets() -> ModuleType:
    """Import what nilearn ships where it is read: that takes seconds, many steps need none of it.

    Returns
    -------
    module
        ``nilearn.datasets``.
    """
    from nilearn import datasets  # noqa: PLC0415

    module: ModuleType = datasets
    return module


def load_template(*, resolution: int) -> Template:
    """Load the packaged template; nothing is downloaded.

    Parameters
    ----------
    resolution : int
        Voxel size in whole mm.

    Returns
    -------
    Template
        On its own grid.
    """
    datasets = nilearn_datasets()
    brain = np.asarray(datasets.load_mni152_brain_mask(resolution=resolution).dataobj) > 0
    image = datasets.load_mni152_wm_template(resolution=resolution)
    white = np.asarray(image.dataobj, dtype=np.float32)
    grey_image = datasets.load_mni152_gm_template(resolution=resolution)
    grey = np.asarray(grey_image.dataobj, dtype=np.float32)
    return Template(
        mask=brain,
        white_matter=white,
        grey_matter=grey,
        csf=np.where(brain, np.clip(1 - white - grey, 0, 1), 0).astype(np.float32),
        affine=np.asarray(image.affine, dtype=np.float64),
    )


def load_t1w_template(*, resolution: int) -> NDArray[np.float32]:
    """Load the template's T1-weighted image, on the grid of `load_template`.

    Parameters
    ----------
    resolution : int
        Voxel size in whole mm.

    Returns
    -------
    (X, Y, Z) ndarray
        The brain between 0 and 1, 0 outside.
    """
    image = nilearn_datasets().load_mni152_template(resolution=resolution)
    return np.asarray(image.dataobj, dtype=np.float32)


def template_grid(*, resolution: int) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return shape and affine of the template at a voxel size, without loading its images.

    Parameters
    ----------
    resolution : int
        Voxel size in whole mm.

    Returns
    -------
    shape : tuple of three ints
        Voxels.
    affine : (4, 4) ndarray
        Voxels to MNI coordinates in mm.
    """
    image = nilearn_datasets().load_mni152_brain_mask(resolution=resolution)
    return image.shape, np.asarray(image.affine, dtype=np.float64)
