"""What preprocessed scans bring along: brain masks and confounds that must belong to the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.functional.strategies import MOTION
from msimaging.grids import check_same_grid
from msimaging.tables import read_json, read_table, sidecar_of
from msimaging.volumes import Volume, read_labels

_REMEDY = "Copy the pipeline's output again and index again, or name the raw scan in visits.tsv."


def read_brain_mask(path: str, image: Volume) -> NDArray[np.bool_]:
    """Read the mask of a preprocessed image.

    Parameters
    ----------
    path : str
        The mask.
    image : Volume
        What it must lie on.

    Returns
    -------
    (X, Y, Z) ndarray of bool
        Brain.

    Raises
    ------
    InputError
        When the mask is missing, unreadable, empty or on another grid.
    """
    mask = read_labels(path)
    findings = check_same_grid(image, mask, where=path)
    if not findings and not mask.data.any():
        findings = [_fault(path, "a brain mask must hold voxels", "an empty mask")]
    if findings:
        raise InputError(findings)
    return np.asarray(mask.data > 0)


def read_given_confounds(path: str, n_volumes: int) -> pd.DataFrame:
    """Read the confounds of a preprocessed series.

    Parameters
    ----------
    path : str
        Table of fMRIPrep or QSIPrep.
    n_volumes : int
        Volumes of the series.

    Returns
    -------
    DataFrame of n_volumes rows
        As it is.

    Raises
    ------
    InputError
        When the table is missing or unreadable, or has another number of rows.
    """
    table = read_table(path)
    if len(table) != n_volumes:
        rule = "confounds must have one row per volume of the preprocessed series"
        found = f"{len(table)} rows for {n_volumes} volumes"
        raise InputError([_fault(path, rule, found)])
    return table


def read_bold_confounds(path: str, n_volumes: int) -> pd.DataFrame:
    """Read the confounds of a preprocessed run, which must tell where the head was.

    Parameters
    ----------
    path : str
        fMRIPrep's table.
    n_volumes : int
        Volumes of the run.

    Returns
    -------
    DataFrame of n_volumes rows
        As it is.

    Raises
    ------
    InputError
        As `read_given_confounds`, or when motion parameters are missing, as columns or at some
        volume.
    """
    table = read_given_confounds(path, n_volumes)
    missing = [name for name in MOTION if name not in table]
    if missing:
        rule = "the confounds of a run must hold its head motion"
        raise InputError([_fault(path, rule, f"no column {', '.join(missing)}")])
    motion = table[list(MOTION)].apply(pd.to_numeric, errors="coerce")
    unknown = ~np.isfinite(motion.to_numpy(dtype=np.float64))
    if unknown.any():
        rule = "the head motion of a run must be a number at every volume"
        places = [
            f"{name} at volume {np.argmax(unknown[:, column])}"
            for column, name in enumerate(MOTION)
            if unknown[:, column].any()
        ]
        found = f"{np.count_nonzero(unknown)} missing values: {', '.join(places)}"
        raise InputError([_fault(path, rule, found)])
    return table


def component_facts(path: str, table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Read which mask each CompCor component of a confounds table comes from.

    Parameters
    ----------
    path : str
        The table; its JSON stands beside it.
    table : DataFrame
        Its content.

    Returns
    -------
    dict
        From columns to fMRIPrep's facts about them; empty without a JSON.
    """
    sidecar = sidecar_of(path)
    facts = read_json(sidecar) if sidecar.exists() else {}
    return {
        name: fact for name, fact in facts.items() if "_comp_cor_" in name and name in table.columns
    }


def derivative_faults(files: Mapping[str, Any], image: Volume | None) -> list[Finding]:
    """Find what is wrong with the files that a pipeline wrote beside an image.

    Parameters
    ----------
    files : mapping
        ``image``, ``modality``, ``mask`` and ``confounds`` (None where not found).
    image : Volume or None
        The image, None where it cannot be read.

    Returns
    -------
    list of Finding
        Empty when all is well.
    """
    findings: list[Finding] = []
    needed = ["mask", "confounds"] if files["modality"] == "bold" else ["mask"]
    for name in needed:
        if files[name] is None:
            shown = "desc-brain_mask" if name == "mask" else "desc-confounds_timeseries"
            rule = f"a preprocessed image must have its pipeline's {name} beside it"
            findings.append(_fault(files["image"], rule, f"no {shown} for this image"))
    if image is None:
        return findings
    try:
        if files["mask"] is not None:
            read_brain_mask(files["mask"], image)
    except InputError as error:
        findings += error.findings
    read = read_bold_confounds if files["modality"] == "bold" else read_given_confounds
    try:
        if files["confounds"] is not None:
            read(files["confounds"], image.data.shape[3])
    except InputError as error:
        findings += error.findings
    return findings


def only_confounds(paths: Sequence[str], image: str) -> str:
    """Return the one confounds table of a run.

    Parameters
    ----------
    paths : sequence of str
        None or one.
    image : str
        The run, for the message.

    Returns
    -------
    str
        The table.

    Raises
    ------
    InputError
        When there is none.
    """
    if not paths:
        rule = "a preprocessed image must have its pipeline's confounds beside it"
        raise InputError([_fault(image, rule, "no desc-confounds_timeseries for this image")])
    return paths[0]


def _fault(path: Path | str, rule: str, found: str) -> Finding:
    return Finding(where=str(path), rule=rule, found=found, remedy=_REMEDY)
