"""Where the brain is in a BOLD run, and where nuisance signals may be taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from nilearn.masking import compute_epi_mask
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.errors import Finding, InputError

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueMasks:
    """Voxels deep inside white matter and CSF, without lesions.

    Attributes
    ----------
    white_matter, csf : ndarray of bool, shape (X, Y, Z)
    n_lesion_voxels : int
        White-matter and CSF voxels that were left out as lesion or its rim.
    lesions : ndarray of bool, shape (X, Y, Z)
        Lesions with their rim.
    findings : tuple of Finding
        Masks that could not be eroded, or hold no voxel.
    """

    white_matter: Mask
    csf: Mask
    n_lesion_voxels: int
    lesions: Mask
    findings: tuple[Finding, ...] = ()


def bold_brain_mask(
    bold: NDArray[np.floating[Any]], *, affine: NDArray[np.float64], n_skipped: int = 0
) -> Mask:
    """Find the brain in the mean of a BOLD run's steady volumes.

    Parameters
    ----------
    bold : ndarray of shape (X, Y, Z, T)
    affine : ndarray of shape (4, 4)
        Voxel to RAS [mm].
    n_skipped : int
        Volumes at the start that are not in steady state; they look brighter.

    Returns
    -------
    ndarray of bool, shape (X, Y, Z)
        One connected piece, holes filled.

    Raises
    ------
    InputError
        No brain can be told from the background.

    References
    ----------
    Nichols' EPI mask as in nilearn's `compute_epi_mask`.
    """
    mean = np.asarray(bold[..., n_skipped:].mean(axis=3), dtype=np.float32)
    share = 0.0
    if np.isfinite(mean).all() and mean.max() > mean.min():
        image = compute_epi_mask(nib.Nifti1Image(mean, affine))
        mask = ndimage.binary_fill_holes(np.asarray(image.dataobj) > 0)
        share = float(mask.mean())
    if not 0.01 < share < 0.9:
        finding = Finding(
            rule="a BOLD run shows a brain that differs from its background",
            where="bold",
            found=f"a mask that holds {100 * share:.1f} % of the image",
            remedy="Look at the image; give a mask of your own if it is right.",
        )
        raise InputError([finding])
    return np.asarray(mask, dtype=bool)


def tissue_masks(
    white_matter: NDArray[np.floating[Any]],
    csf: NDArray[np.floating[Any]],
    *,
    brain_mask: Mask,
    lesion_mask: Mask | None = None,
    threshold: float = 0.9,
    n_erosions: int = 1,
    lesion_margin: int = 1,
    min_voxels: int = 20,
) -> TissueMasks:
    """Erode tissue maps to voxels that hold no grey matter and no lesion.

    A lesion's signal is neither that of white matter nor noise: regressing it out would take part
    of the disease away, differently at every visit.

    Parameters
    ----------
    white_matter, csf : ndarray of shape (X, Y, Z)
        Tissue fractions on the grid of the run.
    brain_mask : ndarray of bool, shape (X, Y, Z)
    lesion_mask : ndarray of bool, shape (X, Y, Z), optional
    threshold : float
        Least tissue fraction.
    n_erosions : int
        Voxel layers taken off; fewer where too little would be left.
    lesion_margin : int
        Voxel layers around lesions that are left out too.
    min_voxels : int
        A mask with fewer is eroded less.

    Returns
    -------
    TissueMasks

    Raises
    ------
    InputError
        Images on different grids.
    """
    images = {"white_matter": white_matter, "csf": csf, "brain_mask": brain_mask}
    if lesion_mask is not None:
        images["lesion_mask"] = lesion_mask
    _check_same_grid(images)
    lesions = np.zeros(brain_mask.shape, dtype=bool)
    if lesion_mask is not None and lesion_mask.any():
        lesions = ndimage.binary_dilation(lesion_mask, iterations=max(lesion_margin, 1))
        lesions = lesions if lesion_margin else lesion_mask.astype(bool)
    masks, findings, n_lost = {}, [], 0
    for name, fraction in (("white_matter", white_matter), ("csf", csf)):
        tissue = (fraction >= threshold) & brain_mask
        n_lost += int(np.count_nonzero(tissue & lesions))
        masks[name], layers = _eroded(tissue, lesions, n_erosions, min_voxels)
        if layers < n_erosions or not masks[name].any():
            findings.append(_hardly_eroded(name, masks[name], layers, n_erosions))
    return TissueMasks(**masks, n_lesion_voxels=n_lost, lesions=lesions, findings=tuple(findings))


def _eroded(tissue: Mask, lesions: Mask, n_erosions: int, min_voxels: int) -> tuple[Mask, int]:
    for layers in range(n_erosions, 0, -1):
        inner = ndimage.binary_erosion(tissue, iterations=layers) & ~lesions
        if np.count_nonzero(inner) >= min_voxels:
            return np.asarray(inner, dtype=bool), layers
    return tissue & ~lesions, 0


def _hardly_eroded(name: str, mask: Mask, layers: int, wanted: int) -> Finding:
    return Finding(
        severity="warning",
        rule=f"the {name} mask keeps enough voxels when it is eroded {wanted} times",
        where="tissue masks",
        found=f"{np.count_nonzero(mask)} voxels after {layers} erosions",
        remedy="Nuisance signals of this tissue may hold some grey matter; check the tissue maps.",
    )


def _check_same_grid(images: dict[str, NDArray[Any]]) -> None:
    shapes = {name: image.shape for name, image in images.items()}
    if len(set(shapes.values())) > 1:
        finding = Finding(
            rule="tissue maps and masks are on the grid of the run",
            where="tissue masks",
            found=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
            remedy="Resample them to the run first.",
        )
        raise InputError([finding])
