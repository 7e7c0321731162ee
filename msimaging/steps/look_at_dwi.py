"""Step: pictures by which a person judges one diffusion scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from msimaging.figures.quality import caption_gradients, draw_gradients
from msimaging.figures.scans import draw_outlines, draw_scan_map
from msimaging.figures.traces import caption_traces, draw_traces
from msimaging.gradient_files import read_numbers
from msimaging.steps.pictures import figure_style, save_picture
from msimaging.tables import read_table
from msimaging.volumes import read_labels, read_volume


def look_at_dwi(
    *,
    bval: str,
    bvec: str,
    confounds: str,
    reference: str,
    mask: str,
    residual: str,
    style: Mapping[str, Any],
    out_pictures: Mapping[str, str],
) -> None:
    """Draw gradients, head motion, residuals of the tensor fit, and the brain mask.

    Parameters
    ----------
    bval, bvec : str
        Gradients of the preprocessed series.
    confounds : str
        Head motion and dropped slices, one row a volume.
    reference, mask, residual : str
        Mean b=0 image, brain mask, residuals of the fit.
    style : mapping
        ``figures.style`` of the settings.
    out_pictures : mapping
        PNG files of ``gradients``, ``motion``, ``residual`` and ``mask``.
    """
    look = figure_style(style)
    bvals = np.atleast_1d(np.squeeze(read_numbers(bval)))
    bvecs = read_numbers(bvec).T
    save_picture(
        draw_gradients(bvals, bvecs, style=look),
        out_pictures["gradients"],
        caption=caption_gradients(bvals),
        sources=[bval, bvec],
    )
    traces = read_table(confounds)[["framewise_displacement", "dropped_slices"]]
    shown = {
        "FD [mm]": traces.iloc[:, 0].to_numpy(),
        "dropped slices": traces.iloc[:, 1].to_numpy(),
    }
    save_picture(
        draw_traces(shown, xlabel="Volume", style=look),
        out_pictures["motion"],
        caption=caption_traces(shown, of="diffusion series"),
        sources=[confounds],
    )
    _draw_maps(reference, mask, residual, style=style, out_pictures=out_pictures)


def _draw_maps(
    reference: str,
    mask: str,
    residual: str,
    *,
    style: Mapping[str, Any],
    out_pictures: Mapping[str, str],
) -> None:
    look = figure_style(style)
    brain = read_labels(mask).data > 0
    left = read_volume(residual, ndim=3)
    values = np.abs(left.data[brain])
    highest = float(np.percentile(values, 99)) or 1.0
    save_picture(
        draw_scan_map(left.data, left.affine, label="residual / S0", vmax=highest, style=look),
        out_pictures["residual"],
        caption="What the tensor leaves unexplained: standard deviation relative to S0. Median in "
        f"the brain {np.median(values):.3g}; colours up to the 99th percentile, {highest:.3g}. "
        "Bands along slices speak for dropped signal, rims for motion.",
        sources=[residual],
    )
    image = read_volume(reference, ndim=3)
    save_picture(
        draw_outlines(image.data, {"brain mask": brain}, image.affine, style=look),
        out_pictures["mask"],
        caption="Mean b=0 image with the outline of the brain mask.",
        sources=[reference, mask],
    )
