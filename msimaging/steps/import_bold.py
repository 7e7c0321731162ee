"""Step: a resting run that fMRIPrep has preprocessed enters in front of the parcels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msimaging.bids.names import parse_name
from msimaging.bids.sidecars import check_repetition_time, read_acquisition
from msimaging.errors import raise_on_errors
from msimaging.functional.strategies import MOTION
from msimaging.grids import check_finite
from msimaging.steps.derivative_files import (
    only_confounds,
    read_bold_confounds,
    read_brain_mask,
)
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import read_volume, write_volume


def import_bold(
    *,
    image: str,
    mask: str,
    confounds: Sequence[str],
    sidecars: Sequence[str],
    pipeline: str,
    out_image: str,
    out_reference: str,
    out_mask: str,
    out_motion: str,
) -> None:
    """Check a preprocessed run and the files that belong to it, and hand it on as it is.

    Parameters
    ----------
    image, mask : str
        The preprocessed run and the pipeline's brain mask.
    confounds : sequence of str
        The pipeline's confounds, one.
    sidecars : sequence of str
        JSON files of the raw run and of the preprocessed one.
    pipeline : str
        Name and version.
    out_image, out_reference, out_mask, out_motion : str
        As of `preprocess_bold`; the reference is the mean of the steady volumes.

    Raises
    ------
    InputError
        With every fault of the run, its mask or confounds.
    """
    acquisition = read_acquisition(sidecars)
    run = read_volume(image, ndim=4)
    raise_on_errors(
        [*check_repetition_time(acquisition, where=image), *check_finite(run, where=image)]
    )
    repetition_time = float(acquisition["RepetitionTime"])
    brain = read_brain_mask(mask, run)
    table = read_bold_confounds(only_confounds(confounds, image), run.data.shape[3])
    outliers = table.filter(regex="^non_steady_state").to_numpy(dtype=np.float64)
    unsteady = np.asarray(outliers.sum(axis=1) > 0)

    write_volume(out_image, run.data, run.affine, repetition_time=repetition_time)
    write_volume(out_reference, run.data[..., ~unsteady].mean(axis=-1), run.affine)
    write_volume(out_mask, brain, run.affine)
    write_table(out_motion, table[list(MOTION)].assign(non_steady_state=unsteady))
    sources = [image, mask, *confounds, *sidecars]
    name = parse_name(image)
    space = "unknown" if name is None else name.entities.get("space", "native")
    describe(
        out_image,
        f"BOLD run preprocessed by {pipeline}.",
        sources=sources,
        SkullStripped=False,
        NonSteadyStateVolumes=int(unsteady.sum()),
        PreprocessedBy=pipeline,
        SpaceOfPipeline=space,
        **acquisition,
    )
    describe(out_reference, "Mean of the steady volumes.", sources=sources, SkullStripped=False)
    describe(out_mask, f"Brain mask of {pipeline}.", sources=sources, Type="Brain")
    describe(
        out_motion,
        f"Head position in each volume as {pipeline} found it.",
        sources=sources,
        columns={
            **{name: f"{name}, mm" for name in MOTION[:3]},
            **{name: f"{name}, rad" for name in MOTION[3:]},
            "non_steady_state": "Volume before the steady state.",
        },
    )
