"""What is wrong with one scan and the files that belong to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from msimaging.bids.scans import Scan
from msimaging.bids.sidecars import check_repetition_time, read_acquisition
from msimaging.bids.visits import Modality
from msimaging.diffusion.gradients import check_gradients, check_table
from msimaging.errors import ComputationError, Finding, InputError
from msimaging.functional.masks import bold_brain_mask
from msimaging.functional.timing import SLICE_AXES, slice_time_faults
from msimaging.gradient_files import read_numbers
from msimaging.grids import check_finite
from msimaging.steps.derivative_files import derivative_faults
from msimaging.volumes import Volume, read_volume

#: Fewer volumes are no time series, whatever is asked of it.
_FEWEST_VOLUMES = 10


def files_of_scan(root: Path, scan: Scan) -> dict[str, Any]:
    """Return the files that belong to a scan.

    Parameters
    ----------
    root : Path
        The dataset.
    scan : Scan
        A line of ``scans.tsv``.

    Returns
    -------
    dict
        Whole paths by kind, None for what there is not; ``modality`` and ``pipeline``.
    """
    return {
        "image": str(root / scan.path),
        "bval": str(root / scan.bval) if scan.bval else None,
        "bvec": str(root / scan.bvec) if scan.bvec else None,
        "sidecars": [str(root / name) for name in scan.sidecars],
        "modality": scan.modality,
        "pipeline": scan.pipeline,
        "mask": str(root / scan.mask) if scan.mask else None,
        "confounds": str(root / scan.confounds) if scan.confounds else None,
    }


def check_scan(modality: Modality, files: Mapping[str, Any]) -> list[Finding]:
    """Check one scan with all files that belong to it.

    Parameters
    ----------
    modality : {"dwi", "bold"}
        What it should be.
    files : mapping
        ``image``, ``bval``, ``bvec`` and ``sidecars``; of a preprocessed scan also ``pipeline``,
        ``mask`` and ``confounds``.

    Returns
    -------
    list of Finding
        Everything noticed, errors and notes.
    """
    findings: list[Finding] = []
    volume, acquisition, table = None, None, None
    try:
        volume = read_volume(files["image"], ndim=4)
        findings += check_finite(volume, where=files["image"])
    except InputError as error:
        findings += error.findings
    try:
        acquisition = read_acquisition(files["sidecars"])
    except InputError as error:
        findings += error.findings
    if files["pipeline"]:
        findings += derivative_faults(files, volume)
    if modality == "bold":
        if acquisition is not None:
            findings += check_repetition_time(acquisition, where=files["image"])
        if volume is not None and acquisition is not None and not (findings or files["pipeline"]):
            findings += _check_run(volume, acquisition, files["image"])
        return findings
    try:
        table = _gradient_files(files)
    except InputError as error:
        findings += error.findings
    if table is not None:
        findings += _check_gradients(volume, table, files)
    return findings


def _check_run(volume: Volume, acquisition: Mapping[str, Any], where: str) -> Iterable[Finding]:
    """Check what only a readable run with a repetition time can show."""
    n_volumes = volume.data.shape[3]
    if n_volumes < _FEWEST_VOLUMES:
        yield Finding(
            where=where,
            rule=f"a BOLD run must hold {_FEWEST_VOLUMES} or more volumes",
            found=f"{n_volumes}",
            remedy="Convert the series again, or exclude the visit in visits.tsv.",
        )
        return
    try:
        bold_brain_mask(volume.data, affine=volume.affine)
    except InputError as error:
        yield from (replace(finding, where=where) for finding in error.findings)
    times = acquisition.get("SliceTiming")
    if times is not None:
        axis = SLICE_AXES[str(acquisition.get("SliceEncodingDirection", "k"))[0]]
        faults = slice_time_faults(
            volume.data.shape,
            np.asarray(times, dtype=np.float64),
            t_r=float(acquisition["RepetitionTime"]),
            axis=axis,
        )
        yield from (replace(finding, where=f"{where}: SliceTiming") for finding in faults)


def _gradient_files(files: Mapping[str, Any]) -> tuple[Any, Any]:
    missing = [name for name in ("bval", "bvec") if files[name] is None]
    if missing:
        raise InputError(
            [
                Finding(
                    where=files["image"],
                    rule="a diffusion series must have b-values and b-vectors",
                    found=f"no {' and no '.join(missing)} file beside or above it",
                    remedy="Convert the series again with dcm2niix, then run msimaging index.",
                )
            ]
        )
    findings: list[Finding] = []
    tables = []
    for name in ("bval", "bvec"):
        try:
            tables.append(read_numbers(files[name]))
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return tables[0], tables[1]


def _check_gradients(
    volume: Volume | None, table: tuple[Any, Any], files: Mapping[str, Any]
) -> Sequence[Finding]:
    where = f"{files['bval']} and {files['bvec']}"
    if volume is None:
        # the image is unreadable, but faults within the table can still be told
        return check_table(*table, n_volumes=table[0].size, where=where)
    try:
        return check_gradients(volume.data, *table, volume.affine, where=where)
    except ComputationError as error:
        # one scan in which nothing can be recognised must not end the check of all others
        rule = "a diffusion series must show a head whose gradients can be checked"
        remedy = "Look at the images; convert the scan again, or exclude the visit in visits.tsv."
        return [Finding(where=files["image"], rule=rule, found=str(error), remedy=remedy)]
