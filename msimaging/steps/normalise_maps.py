"""Step: tensor maps of one visit in template space, each resampled once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msimaging.atlases.templates import template_grid
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.spatial.reorientation import normalise_tensors
from msimaging.spatial.resampling import resample_image
from msimaging.steps.carrying import template_to_visit
from msimaging.steps.records import describe
from msimaging.volumes import read_labels, read_volume, write_volume


def normalise_maps(
    *,
    maps: Sequence[str],
    measures: Sequence[str],
    tensor: str,
    mask: str,
    midpoint: str,
    from_template: str,
    warps: Sequence[str],
    session: str,
    resolution: int,
    out_maps: Sequence[str],
    out_tensor: str,
    out_direction: str,
) -> None:
    """Bring a visit's maps to the template with all transforms composed.

    Parameters
    ----------
    maps : sequence of str
        Maps on the visit's grid.
    measures : sequence of str
        Their measures, in the same order.
    tensor : str
        Tensor components on the visit's grid.
    mask : str
        Brain mask of the visit; outside it the results are 0.
    midpoint, from_template : str
        Rigid poses of the visits, and the way from the template to their midpoint.
    warps : sequence of str
        Transforms from the midpoint to the visit and back; empty where the pose is all.
    session : str
        The visit.
    resolution : float
        Voxel size of the result in mm.
    out_maps : sequence of str
        Results, in the same order.
    out_tensor, out_direction : str
        Tensor turned by the finite strain, and main direction preserved along the tissue.
    """
    shape, affine = template_grid(resolution=resolution)
    way = template_to_visit(from_template, midpoint, session, warps=warps)
    brain = read_labels(mask)
    inside = resample_image(
        brain.data > 0,
        brain.affine,
        target_to_source=way,
        target_shape=shape,
        target_affine=affine,
        interpolation="nearest",
    )
    for path, measure, out_map in zip(maps, measures, out_maps, strict=True):
        volume = read_volume(path, ndim=3)
        moved = resample_image(
            volume.data,
            volume.affine,
            target_to_source=way,
            target_shape=shape,
            target_affine=affine,
            interpolation="bspline",
        )
        metric = SCALAR_METRICS[measure]
        # the spline overshoots at the rim of the brain, and rings beyond it
        kept = np.where(inside, np.clip(moved, *metric.bounds), 0)
        write_volume(out_map, kept, affine)
        describe(
            out_map,
            metric.description,
            sources=[path, mask, midpoint, from_template, *warps],
            Units=metric.units or "1",
            Resolution=f"{resolution:g} mm isotropic, cubic B-spline, resampled once",
            SkullStripped=True,
            Model={"Description": "Diffusion tensor"},
        )
    image = read_volume(tensor, ndim=4)
    turned = normalise_tensors(
        image.data, image.affine, target_to_source=way, target_affine=affine, mask=inside
    )
    write_volume(out_tensor, turned.components.astype(np.float32), affine)
    write_volume(out_direction, turned.directions.astype(np.float32), affine)
    for path, text, kind in (
        (out_tensor, "Tensor components, turned by the finite strain.", "tensor"),
        (out_direction, "Main direction, turned by preservation of principal direction.", "vector"),
    ):
        describe(
            path,
            text,
            sources=[tensor, mask, midpoint, from_template, *warps],
            Units="mm2/s" if kind == "tensor" else "1",
            Resolution=f"{resolution:g} mm isotropic, linear per component, resampled once",
            SkullStripped=True,
            Model={"Description": "Diffusion tensor"},
            FoldedVoxels=turned.n_folded,
            OrientationEncoding={"EncodingAxis": 3, "Reference": "scanner", "Type": kind},
        )
