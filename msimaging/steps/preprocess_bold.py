"""Step: from the scanner's BOLD series to one without head motion, and where the head was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.bids.sidecars import check_repetition_time, read_acquisition
from msimaging.errors import raise_on_errors
from msimaging.functional.masks import bold_brain_mask
from msimaging.functional.motion import HeadMotion, estimate_head_motion
from msimaging.functional.strategies import MOTION
from msimaging.functional.timing import correct_slice_timing, non_steady_state_volumes
from msimaging.grids import check_finite
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import from_matrix
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import read_volume, write_volume


def preprocess_bold(
    *,
    image: str,
    sidecars: Sequence[str],
    out_image: str,
    out_reference: str,
    out_mask: str,
    out_motion: str,
) -> None:
    """Correct slice timing and head motion of one run, each volume resampled once.

    Parameters
    ----------
    image : str
        The raw run.
    sidecars : sequence of str
        Its JSON files, root first.
    out_image, out_reference, out_mask : str
        Corrected run, mean of its steadiest volumes, brain mask.
    out_motion : str
        Table of head positions, one row a volume.

    Raises
    ------
    InputError
        With every fault of the run.
    """
    acquisition = read_acquisition(sidecars)
    run = read_volume(image, ndim=4)
    faults = [*check_repetition_time(acquisition, where=image), *check_finite(run, where=image)]
    raise_on_errors(faults)
    repetition_time = float(acquisition["RepetitionTime"])
    rough_mask = bold_brain_mask(run.data, affine=run.affine)
    n_unsteady = non_steady_state_volumes(run.data[rough_mask].mean(axis=0))
    data, timing = _in_time(run.data, acquisition, repetition_time, n_unsteady)
    mask = bold_brain_mask(data, affine=run.affine, n_skipped=n_unsteady)
    motion = estimate_head_motion(data, affine=run.affine, mask=mask, n_skipped=n_unsteady)
    corrected = _without_motion(data, run.affine, motion)

    write_volume(out_image, corrected, run.affine, repetition_time=repetition_time)
    write_volume(out_reference, motion.reference, run.affine)
    write_volume(out_mask, mask, run.affine)
    table = pd.DataFrame(motion.parameters, columns=list(MOTION))
    write_table(out_motion, table.assign(non_steady_state=np.arange(len(table)) < n_unsteady))
    sources = [image, *sidecars]
    describe(
        out_image,
        "BOLD run after slice timing and head-motion correction, each volume resampled once.",
        sources=sources,
        SkullStripped=False,
        NonSteadyStateVolumes=n_unsteady,
        SliceTimingCorrected=timing,
        DistortionCorrection="none: compare visits of one phase-encoding direction",
        **acquisition,
    )
    describe(out_reference, "Mean of the steadiest volumes.", sources=sources, SkullStripped=False)
    describe(out_mask, "Brain mask of the BOLD run.", sources=sources, Type="Brain")
    describe(
        out_motion,
        "Head position in each volume relative to the reference.",
        sources=sources,
        columns={
            **{name: f"{name}, mm" for name in MOTION[:3]},
            **{name: f"{name}, rad" for name in MOTION[3:]},
            "non_steady_state": "Volume before the steady state.",
        },
    )


def _in_time(
    data: NDArray[np.float32],
    acquisition: dict[str, Any],
    repetition_time: float,
    n_unsteady: int,
) -> tuple[NDArray[np.float32], str]:
    if "SliceTiming" not in acquisition:
        return data, "no: the sidecar has no SliceTiming"
    corrected = correct_slice_timing(
        data,
        slice_times=acquisition["SliceTiming"],
        t_r=repetition_time,
        encoding_direction=acquisition.get("SliceEncodingDirection", "k"),
        n_skipped=n_unsteady,
    )
    return corrected, "yes: to the middle of the repetition time"


def _without_motion(
    data: NDArray[np.float32], affine: NDArray[np.float64], motion: HeadMotion
) -> NDArray[np.float32]:
    corrected = np.empty_like(data)
    for position, matrix in enumerate(motion.reference_to_volume):
        corrected[..., position] = resample_image(
            data[..., position],
            affine,
            target_to_source=from_matrix(matrix),
            target_shape=data.shape[:3],
            target_affine=affine,
            interpolation="bspline",
        )
    return corrected
