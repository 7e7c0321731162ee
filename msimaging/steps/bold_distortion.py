"""Susceptibility distortion of a resting run: the field, found in the pose of its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.bids.sidecars import read_acquisition
from msimaging.diffusion.polarity import FieldEstimate, estimate_field_between
from msimaging.errors import Finding, raise_on_errors
from msimaging.functional.masks import bold_brain_mask
from msimaging.grids import check_finite
from msimaging.spatial.registration import register_rigid
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import displacement_transform, from_matrix
from msimaging.steps.dwi_series import phase_encoding_axis
from msimaging.volumes import Volume, read_volume

Mask = NDArray[np.bool_]
_PARALLEL = np.cos(np.deg2rad(5.0))  # displacement along axes farther apart is another one


@dataclass(frozen=True, slots=True, kw_only=True)
class RunField:
    """Displacement of a run's signal along phase encoding.

    Attributes
    ----------
    displacement : (X, Y, Z) ndarray
        mm, positive towards higher voxel numbers, on the grid and in the pose of the reference:
        what belongs to a voxel lies that far from it in the images.
    axis : int
        Voxel axis of phase encoding.
    method : str
        How it was found, for the sidecar.
    """

    displacement: NDArray[np.float64]
    axis: int
    method: str

    def transform(self, affine: NDArray[np.float64]) -> sitk.Transform:
        """Return the way of a point from the undistorted head to where the images show it."""
        way = affine[:3, self.axis] / np.linalg.norm(affine[:3, self.axis])
        return displacement_transform(self.displacement[..., np.newaxis] * way, affine)

    def brightness(self, affine: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return what squeezed places must be dimmed by, (X, Y, Z)."""
        zoom = np.linalg.norm(affine[:3, self.axis])
        stretch = np.gradient(self.displacement / zoom, axis=self.axis)
        return np.asarray(np.maximum(1 + stretch, 0), dtype=np.float32)

    def told(self, mask: Mask) -> dict[str, Any]:
        """Return what the sidecar says of it; the mask is the brain."""
        inside = np.abs(self.displacement[mask])
        return {
            "SusceptibilityDistortionCorrected": f"yes: {self.method}; displacement in the brain "
            f"{inside.mean():.2f} mm on average and {inside.max():.1f} mm at most",
            "SusceptibilityDisplacementMean": round(float(inside.mean()), 4),
            "SusceptibilityDisplacementMax": round(float(inside.max()), 4),
        }


def field_from_polarities(
    reference: Volume,
    mask: Mask,
    acquisition: Mapping[str, Any],
    *,
    opposite: Sequence[str],
    matched: Sequence[str],
    seed: int,
) -> RunField:
    """Estimate the field from images of both polarities.

    Parameters
    ----------
    reference : Volume
        Mean of the run's steadiest volumes.
    mask : (X, Y, Z) ndarray of bool
        Brain.
    acquisition : mapping
        Merged sidecar fields of the run.
    opposite : sequence of str
        Image of the other polarity.
    matched : sequence of str
        Where ``fmap/`` holds both polarities the image of the run's own and its sidecars: the field
        is then found between these two, which show one contrast, and carried to the run.
    seed : int
        Of the registration between field map and run.

    Returns
    -------
    RunField

    Raises
    ------
    InputError
        When an image is not finite, or not encoded along the axis of the run.
    ComputationError
        When the images do not show one head.
    """
    axis, _ = phase_encoding_axis(acquisition)
    other = _mean_volume(opposite[0])
    raise_on_errors(_not_parallel(reference, other, axis, opposite[0]))
    if not matched:
        found = _between(reference, other, mask, axis)
        return RunField(
            displacement=found.displacement,
            axis=axis,
            method="field between the run and an image of opposite phase encoding, "
            + _agreement(found),
        )
    own = _mean_volume(matched[0])
    raise_on_errors(_not_parallel(reference, own, axis, matched[0]))
    own_mask = bold_brain_mask(own.data[..., np.newaxis], affine=own.affine)
    found = _between(own, other, own_mask, axis)
    to_map = register_rigid(
        reference.data,
        reference.affine,
        own.data,
        own.affine,
        fixed_mask=np.asarray(ndimage.binary_dilation(mask, iterations=2)),
        metric="mattes",
        seed=seed,
    )
    carried = resample_image(
        found.displacement,
        own.affine,
        target_to_source=from_matrix(to_map),
        target_shape=reference.data.shape,
        target_affine=reference.affine,
        interpolation="linear",
    )
    ratio, known = _readout_ratio(acquisition, read_acquisition(matched[1:]))
    return RunField(
        displacement=carried * ratio,
        axis=axis,
        method=f"field between both polarities of fmap/, carried to the run ({known}), "
        + _agreement(found),
    )


def _between(image: Volume, other: Volume, mask: Mask, axis: int) -> FieldEstimate:
    return estimate_field_between(
        image.data,
        other.data,
        affine=image.affine,
        opposite_affine=other.affine,
        mask=mask,
        phase_encoding_axis=axis,
    )


def _agreement(found: FieldEstimate) -> str:
    return (
        f"correlation of both polarities {found.agreement_before:.3f} before and "
        f"{found.agreement_after:.3f} after"
    )


def _readout_ratio(own: Mapping[str, Any], of_map: Mapping[str, Any]) -> tuple[float, str]:
    """Return by what a field map's displacement is multiplied: signal drifts while it is read."""
    run, field_map = own.get("TotalReadoutTime"), of_map.get("TotalReadoutTime")
    if not isinstance(run, int | float) or not isinstance(field_map, int | float):
        return 1.0, "readout times not told and taken as equal"
    return run / field_map, f"readout times {run:g} and {field_map:g} s"


def _mean_volume(path: str) -> Volume:
    """Read an image of one polarity; the mean where it holds several volumes."""
    volume = read_volume(path)
    raise_on_errors(check_finite(volume, where=path))
    volumes = volume.data.reshape(*volume.data.shape[:3], -1)
    return Volume(data=volumes.mean(axis=3), affine=volume.affine)


def _not_parallel(reference: Volume, other: Volume, axis: int, where: str) -> list[Finding]:
    ways = [a[:3, axis] / np.linalg.norm(a[:3, axis]) for a in (reference.affine, other.affine)]
    if ways[0] @ ways[1] >= _PARALLEL:
        return []
    angle = np.rad2deg(np.arccos(np.clip(ways[0] @ ways[1], -1, 1)))
    return [
        Finding(
            where=where,
            rule="a field map is encoded along the axis of its run",
            found=f"axes {angle:.0f} degrees apart",
            remedy="Take another image of opposite polarity, or set functional.distortion: none.",
        )
    ]
