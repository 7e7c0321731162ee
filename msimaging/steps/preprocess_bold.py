"""Step: from the scanner's BOLD series to one without head motion and distortion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.bids.sidecars import check_repetition_time, read_acquisition
from msimaging.diffusion.bias import correct_bias, estimate_bias_field
from msimaging.errors import raise_on_errors
from msimaging.functional.masks import bold_brain_mask
from msimaging.functional.motion import estimate_head_motion
from msimaging.functional.strategies import MOTION
from msimaging.functional.timing import correct_slice_timing, non_steady_state_volumes
from msimaging.grids import check_finite
from msimaging.spatial.resampling import resample_image
from msimaging.spatial.transforms import compose, from_matrix
from msimaging.steps.bold_distortion import RunField, field_from_polarities
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import Volume, read_volume, write_volume


def preprocess_bold(
    *,
    image: str,
    sidecars: Sequence[str],
    opposite: Sequence[str],
    matched: Sequence[str],
    why_distorted: str,
    bias: bool,
    seed: int,
    out_image: str,
    out_reference: str,
    out_mask: str,
    out_motion: str,
) -> None:
    """Correct slice timing, head motion and distortion of one run, each volume resampled once.

    Parameters
    ----------
    image : str
        The raw run.
    sidecars : sequence of str
        Its JSON files, root first.
    opposite : sequence of str
        Image of opposite phase encoding; empty where no field map corrects the distortion.
    matched : sequence of str
        Field-map image of the run's own polarity and its sidecars, where there is one.
    why_distorted : str
        Why distortion stays; empty where it is corrected.
    bias : bool
        Whether the receive-coil bias is divided out of the reference, which registration rests on;
        the run itself keeps it: it changes no correlation.
    seed : int
        Of registrations.
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
    reference = Volume(data=motion.reference, affine=run.affine)
    told: dict[str, Any] = {"SusceptibilityDistortionCorrected": f"no: {why_distorted}"}
    field = None
    if opposite:
        field = field_from_polarities(
            reference, mask, acquisition, opposite=opposite, matched=matched, seed=seed
        )
    corrected = _in_place(data, run.affine, motion.reference_to_volume, field)
    if field is not None:
        still = np.eye(4)[np.newaxis]
        shown = _in_place(reference.data[..., np.newaxis], run.affine, still, field)
        reference = Volume(data=shown[..., 0], affine=run.affine)
        mask = bold_brain_mask(corrected, affine=run.affine, n_skipped=n_unsteady)
        told = field.told(mask)

    even, about_bias = _even(reference, mask, asked=bias)
    write_volume(out_image, corrected, run.affine, repetition_time=repetition_time)
    write_volume(out_reference, even, run.affine)
    write_volume(out_mask, mask, run.affine)
    table = pd.DataFrame(motion.parameters, columns=list(MOTION))
    write_table(out_motion, table.assign(non_steady_state=np.arange(len(table)) < n_unsteady))
    sources = [image, *sidecars, *opposite, *matched]
    describe(
        out_image,
        "BOLD run after correction of slice timing, head motion and, where it says so, "
        "distortion; each volume resampled once.",
        sources=sources,
        SkullStripped=False,
        NonSteadyStateVolumes=n_unsteady,
        SliceTimingCorrected=timing,
        **told,
        **acquisition,
    )
    describe(
        out_reference,
        "Mean of the steadiest volumes.",
        sources=sources,
        SkullStripped=False,
        BiasFieldCorrected=about_bias,
    )
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


def _even(
    reference: Volume, mask: NDArray[np.bool_], *, asked: bool
) -> tuple[NDArray[np.float32], str]:
    """Divide the receive-coil bias out of the reference where asked, and tell of it."""
    if not asked:
        return reference.data, "no: switched off in the settings"
    bias_field = estimate_bias_field(reference.data, mask, affine=reference.affine)
    inside = bias_field[mask]
    text = f"yes: N4, field from {inside.min():.2f} to {inside.max():.2f} in the brain"
    return correct_bias(reference.data, bias_field), text


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


def _in_place(
    data: NDArray[np.float32],
    affine: NDArray[np.float64],
    reference_to_volume: NDArray[np.float64],
    field: RunField | None,
) -> NDArray[np.float32]:
    """Show every volume in the pose of the reference, undistorted, in one resampling."""
    undistorted = None if field is None else field.transform(affine)
    corrected = np.empty_like(data)
    for position, matrix in enumerate(reference_to_volume):
        moved = from_matrix(matrix)
        corrected[..., position] = resample_image(
            data[..., position],
            affine,
            target_to_source=moved if undistorted is None else compose(undistorted, moved),
            target_shape=data.shape[:3],
            target_affine=affine,
            interpolation="bspline",
        )
    if field is not None:
        corrected *= field.brightness(affine)[..., np.newaxis]
    return corrected
