"""Write what fMRIPrep and QSIPrep leave behind, in the names of their releases.

Only the files that a reader needs or could mistake for those are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from msimaging.atlases.templates import load_template
from msimaging.bids.layout import TEMPLATE
from msimaging.diffusion.gradients import bvecs_fsl_to_ras, bvecs_ras_to_fsl
from msimaging.gradient_files import read_numbers, write_gradients
from msimaging.spatial.resampling import resample_image
from msimaging.steps.carrying import template_to_visit
from msimaging.tables import write_json, write_table
from msimaging.volumes import Volume, read_labels, read_volume, write_volume


def describe_pipeline(folder: Path, name: str, version: str) -> None:
    """Write the description by which a folder says whose it is."""
    content = {"Name": f"{name} - outputs", "BIDSVersion": "1.4.0", "DatasetType": "derivative"}
    made_by = [{"Name": name, "Version": version, "CodeURL": "https://github.com"}]
    write_json(folder / "dataset_description.json", {**content, "GeneratedBy": made_by})


def write_qsiprep_visit(
    folder: Path,
    visit: tuple[str, str],
    image: Volume,
    table: tuple[NDArray[np.float64], NDArray[np.float64]],
    mask: NDArray[np.bool_],
    *,
    confounds: pd.DataFrame,
    old: bool = False,
) -> Path:
    """Write one diffusion series as QSIPrep does since 1.0, or as 0.x did (``old``)."""
    stem = folder.joinpath(*visit, "dwi", "_".join(visit))
    stem.parent.mkdir(parents=True, exist_ok=True)
    space = "T1w" if old else "ACPC"
    name = f"{stem}_space-{space}_desc-preproc_dwi"
    write_volume(f"{name}.nii.gz", image.data, image.affine)
    write_gradients(f"{name}.bval", f"{name}.bvec", *table)
    Path(f"{name}.b").write_text("# of MRtrix3, not of FSL\n")
    write_volume(f"{stem}_space-{space}_desc-brain_mask.nii.gz", mask, image.affine)
    write_volume(f"{stem}_space-{space}_dwiref.nii.gz", image.data[..., 0], image.affine)
    if old:
        write_table(f"{stem}_confounds.tsv", confounds)
    else:
        write_json(f"{name}.json", {"PhaseEncodingDirection": "j-"})
        write_table(f"{stem}_desc-confounds_timeseries.tsv", confounds)
    return Path(f"{name}.nii.gz")


def write_fmriprep_run(
    folder: Path,
    visit: tuple[str, str],
    spaces: Mapping[str, tuple[Volume, NDArray[np.bool_]]],
    *,
    repetition_time: float,
    confounds: pd.DataFrame,
    facts: Mapping[str, Any],
    lts: bool = False,
) -> None:
    """Write one resting run in several spaces as fMRIPrep 23 does, or as 20.2 LTS (``lts``).

    ``spaces`` goes from the entities behind ``task-rest`` (``space-T1w``, or nothing for the
    run's own grid) to the series and its mask.
    """
    stem = folder.joinpath(*visit, "func", f"{'_'.join(visit)}_task-rest")
    stem.parent.mkdir(parents=True, exist_ok=True)
    for entities, (image, mask) in spaces.items():
        name = f"{stem}_{entities}" if entities else f"{stem}"
        write_volume(
            f"{name}_desc-preproc_bold.nii.gz",
            image.data,
            image.affine,
            repetition_time=repetition_time,
        )
        sidecar = {"RepetitionTime": repetition_time, "SkullStripped": False, "TaskName": "rest"}
        write_json(f"{name}_desc-preproc_bold.json", sidecar)
        write_volume(f"{name}_desc-brain_mask.nii.gz", mask, image.affine)
        write_volume(f"{name}_boldref.nii.gz", image.data[..., 0], image.affine)
        if lts:
            # of the same run and space, smoothed and denoised: not the one to take
            aroma = np.zeros_like(image.data)
            write_volume(f"{name}_desc-smoothAROMAnonaggr_bold.nii.gz", aroma, image.affine)
    if not lts:
        first = next(iter(spaces.values()))[0]
        write_volume(f"{stem}_desc-hmc_boldref.nii.gz", first.data[..., 0], first.affine)
        write_volume(f"{stem}_desc-coreg_boldref.nii.gz", first.data[..., 0], first.affine)
    write_table(f"{stem}_desc-confounds_timeseries.tsv", confounds)
    write_json(f"{stem}_desc-confounds_timeseries.json", facts)


def _turned(volume: Volume, degrees: float) -> tuple[Volume, NDArray[np.float64]]:
    """Turn the head in its space and reverse two axes, as alignment to ACPC in LPS+ does.

    No voxel is resampled. Returned beside it: the turn.
    """
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xz", (degrees, -degrees), degrees=True).as_matrix()
    reverse = np.diag([-1.0, -1.0, 1.0, 1.0])
    reverse[:2, 3] = np.array(volume.data.shape[:2]) - 1
    return (
        Volume(data=volume.data[::-1, ::-1], affine=turn @ volume.affine @ reverse),
        turn[:3, :3],
    )


def qsiprep_from_results(results: Path, folder: Path, visit: tuple[str, str], turn: float) -> None:
    """Write a visit's own corrected series as QSIPrep would: turned to ACPC, axes in LPS+."""
    stem = results.joinpath(*visit, "dwi", "_".join(visit))
    series = read_volume(f"{stem}_desc-preproc_dwi.nii.gz")
    bvals = read_numbers(f"{stem}_desc-preproc_dwi.bval")[0]
    bvecs_ras = bvecs_fsl_to_ras(read_numbers(f"{stem}_desc-preproc_dwi.bvec").T, series.affine)
    moved, rotation = _turned(series, turn)
    bvecs = bvecs_ras_to_fsl(bvecs_ras @ rotation.T, moved.affine)
    mask = read_labels(f"{stem}_desc-brain_mask.nii.gz").data[::-1, ::-1] > 0
    motion = np.linspace(0, 0.5, len(bvals))
    confounds = pd.DataFrame({"framewise_displacement": motion, "trans_x": motion, "hmc_r2": 1.0})
    confounds.loc[0, "framewise_displacement"] = np.nan
    write_qsiprep_visit(folder, visit, moved, (bvals, bvecs), mask, confounds=confounds)


def fmriprep_from_results(results: Path, folder: Path, visit: tuple[str, str]) -> None:
    """Write a visit's own corrected run as fMRIPrep 20.2 LTS would: in MNI space, and in others.

    The way to the template is that of the study's own registration. The series in the other
    spaces are noise: nothing of the result agrees when one of them is taken.
    """
    stem = results.joinpath(*visit, "func", f"{'_'.join(visit)}_task-rest")
    way_stem = results / visit[0] / "func" / f"{visit[0]}_task-rest_from-"
    run = read_volume(f"{stem}_desc-preproc_bold.nii.gz")
    brain = read_labels(f"{stem}_desc-brain_mask.nii.gz").data > 0
    way = template_to_visit(
        f"{way_stem}{TEMPLATE}_to-subject_mode-image_xfm.h5",
        f"{way_stem}subject_to-boldref_mode-image_xfm.tsv",
        visit[1],
    )
    template = load_template(resolution=4)
    grid = {
        "target_to_source": way,
        "target_shape": template.mask.shape,
        "target_affine": template.affine,
    }
    data = np.stack(
        [
            resample_image(volume, run.affine, interpolation="linear", **grid)
            for volume in np.moveaxis(run.data, 3, 0)
        ],
        axis=-1,
    )
    mask = resample_image(brain, run.affine, interpolation="nearest", **grid) > 0
    in_template = Volume(data=data, affine=template.affine), mask
    rng = np.random.default_rng(0)
    noise = Volume(data=rng.normal(1000, 10, run.data.shape), affine=run.affine), brain
    confounds = pd.read_csv(f"{stem}_desc-confounds_timeseries.tsv", sep="\t", na_values="n/a")
    facts = json.loads(Path(f"{stem}_desc-confounds_timeseries.json").read_text())
    sidecar = json.loads(Path(f"{stem}_desc-preproc_bold.json").read_text())
    write_fmriprep_run(
        folder,
        visit,
        {
            "space-MNI152NLin2009cAsym_res-2": in_template,
            "space-MNI152NLin6Asym_res-2": noise,
            "space-T1w": noise,
        },
        repetition_time=sidecar["RepetitionTime"],
        confounds=confounds,
        facts=facts,
        lts=True,
    )
