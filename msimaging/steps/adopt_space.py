"""Step: the space of a patient whose runs a pipeline has already brought to the template."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msimaging.atlases.templates import load_template
from msimaging.bids.job_records import DIRECTLY
from msimaging.bids.layout import TEMPLATE
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose
from msimaging.steps.records import describe
from msimaging.volumes import read_volume, write_volume
from msimaging.xfms import write_midpoint, write_transform


def adopt_space(
    *,
    images: Sequence[str],
    sessions: Sequence[str],
    working_resolution: int,
    out_midpoint: str,
    out_template: str,
    out_from_template: str,
    out_to_template: str,
) -> None:
    """Write that nothing has to be registered: identities, and the mean image for the eye.

    Parameters
    ----------
    images : sequence of str
        BOLD reference of each visit, in a space of the MNI152 family.
    sessions : sequence of str
        Their sessions, in the same order.
    working_resolution : int
        Voxel size in mm of the mean image.
    out_midpoint, out_template, out_from_template, out_to_template : str
        As of `build_space`.
    """
    template = load_template(resolution=working_resolution)
    nowhere = compose(np.eye(4))
    on_grid = [
        resample_image(
            volume.data,
            volume.affine,
            target_to_source=nowhere,
            target_shape=template.mask.shape,
            target_affine=template.affine,
            interpolation="linear",
        )
        for volume in map(read_volume, images)
    ]
    write_midpoint(out_midpoint, dict.fromkeys(sessions, np.eye(4)))
    write_volume(out_template, np.mean(on_grid, axis=0), template.affine)
    write_transform(out_from_template, nowhere)
    write_transform(out_to_template, nowhere)
    over = f"{DIRECTLY}done by the pipeline before"
    text = "Identity: the pipeline that preprocessed the runs has brought them to the template."
    for path in (out_midpoint, out_from_template, out_to_template):
        describe(path, text, sources=images, RegistrationOver=over)
    describe(
        out_template,
        "Mean of all visits.",
        sources=images,
        SpatialReference=f"MNI152 space of the pipeline, taken as {TEMPLATE}.",
        SkullStripped=False,
    )
