"""From raw diffusion series to changes, step by step as the workflow's rules go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from msimaging.bids.plan import TENSOR_MEASURES, TENSOR_PARAMS
from msimaging.settings import validated
from msimaging.steps.build_space import build_space
from msimaging.steps.change_diffusion import change_diffusion
from msimaging.steps.change_lesions import change_lesions
from msimaging.steps.fit_tensor import fit_visit_tensor
from msimaging.steps.measure_diffusion import measure_diffusion
from msimaging.steps.normalise_maps import normalise_maps
from msimaging.steps.preprocess_dwi import preprocess_dwi
from msimaging.steps.split_tissue import split_tissue
from msimaging.steps.warp_visit import warp_visit

SETTINGS = validated({"bids_dir": "bids"})


@dataclass(frozen=True)
class Scan:
    """A preprocessed visit: raw files, and everything made from them alone."""

    raw: dict[str, object]
    lesions: Path
    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)


def prepared(raw: Path, folder: Path, lesion_edge: int) -> Scan:
    """Preprocess a series, fit its tensor, and draw a lesion."""
    stem = str(raw).removesuffix(".nii.gz")
    files = {"image": str(raw), "sidecars": [f"{stem}.json"], "bval": f"{stem}.bval"}
    options = SETTINGS["diffusion"]
    names = ("denoise", "unring", "outliers", "bias", "gradients")
    scan = Scan(raw=files, lesions=folder / "lesions.nii.gz", folder=folder)
    preprocess_dwi(
        **files,
        bvec=f"{stem}.bvec",
        **{name: options[name] for name in names},
        opposite=(),
        why_distorted="not asked for",
        why_moving="",
        out_image=scan.file("dwi.nii.gz"),
        out_bval=scan.file("dwi.bval"),
        out_bvec=scan.file("dwi.bvec"),
        out_reference=scan.file("reference.nii.gz"),
        out_mask=scan.file("mask.nii.gz"),
        out_weights=scan.file("weights.nii.gz"),
        out_orientation=scan.file("orientation.tsv"),
        out_quality=scan.file("series_quality.tsv"),
        out_confounds=scan.file("confounds.tsv"),
    )
    fit_visit_tensor(
        image=scan.file("dwi.nii.gz"),
        bval=scan.file("dwi.bval"),
        bvec=scan.file("dwi.bvec"),
        mask=scan.file("mask.nii.gz"),
        weights=scan.file("weights.nii.gz"),
        series_quality=scan.file("series_quality.tsv"),
        method="wls",
        out_tensor=scan.file("tensor.nii.gz"),
        out_maps={name: scan.file(f"{name}.nii.gz") for name in TENSOR_PARAMS},
        out_quality=scan.file("quality.tsv"),
    )
    image = nib.load(raw)
    drawn = np.zeros(image.shape[:3], dtype=np.uint8)
    centre = np.array(image.shape[:3]) // 2
    drawn[tuple(slice(c, c + lesion_edge) for c in centre)] = 1
    nib.save(nib.Nifti1Image(drawn, image.affine), scan.lesions)
    return scan


def compare(baseline: Scan, follow_up: Scan, folder: Path, *, bent: bool = False) -> Path:
    """Go from two scans to their changes as the workflow's rules do."""
    scans, sessions = (baseline, follow_up), ("ses-a", "ses-b")
    folder.mkdir()
    names = (
        "midpoint.tsv",
        "template.nii.gz",
        "from_template.h5",
        "to_template.h5",
        "tissue.nii.gz",
    )
    midpoint, template, from_template, to_template, tissue = (str(folder / n) for n in names)
    lesions = [str(scan.lesions) for scan in scans]
    build_space(
        images=[scan.file("fa.nii.gz") for scan in scans],
        masks=[scan.file("mask.nii.gz") for scan in scans],
        sessions=sessions,
        lesions=lesions,
        contrast="white matter",
        working_resolution=6,
        seed=1,
        out_midpoint=midpoint,
        out_template=template,
        out_from_template=from_template,
        out_to_template=to_template,
    )
    of_lesions = {
        "lesions": lesions,
        "sessions": sessions,
        "midpoints": [midpoint] * 2,
        "template": template,
    }
    split_tissue(**of_lesions, rim_mm=3.0, out_image=tissue)
    change_lesions(**of_lesions, out_table=str(folder / "lesions.tsv"))
    for scan, session in zip(scans, sessions, strict=True):
        own = folder / session
        warps = (str(own / "to_visit.h5"), str(own / "from_visit.h5")) if bent else ()
        if bent:
            warp_visit(
                image=scan.file("fa.nii.gz"),
                mask=scan.file("mask.nii.gz"),
                midpoint=midpoint,
                template=template,
                lesions=lesions,
                poses=[midpoint] * 2,
                session=session,
                sessions=sessions,
                out_to_visit=warps[0],
                out_from_visit=warps[1],
                out_log_jacobian=str(own / "volume.nii.gz"),
            )
        measure_diffusion(
            image=scan.file("dwi.nii.gz"),
            bval=scan.file("dwi.bval"),
            bvec=scan.file("dwi.bvec"),
            mask=scan.file("mask.nii.gz"),
            maps={name: scan.file(f"{name}.nii.gz") for name in TENSOR_MEASURES},
            further={},
            midpoint=midpoint,
            to_template=to_template,
            from_template=from_template,
            warps=warps,
            session=session,
            lesions=[str(scan.lesions)],
            tissue=[tissue],
            atlases=["whitematter"],
            own={},
            measure_in="native",
            resolution=6,
            n_samples=50,
            seed=1,
            settings="same",
            out_tables=[str(own / "regions.tsv")],
        )
        normalise_maps(
            maps=[scan.file(f"{name}.nii.gz") for name in TENSOR_MEASURES],
            measures=TENSOR_MEASURES,
            tensor=scan.file("tensor.nii.gz"),
            mask=scan.file("mask.nii.gz"),
            midpoint=midpoint,
            from_template=from_template,
            warps=warps,
            session=session,
            resolution=6,
            out_maps=[str(own / f"{name}.nii.gz") for name in TENSOR_MEASURES],
            out_tensor=str(own / "tensor.nii.gz"),
            out_direction=str(own / "direction.nii.gz"),
        )
    both = [folder / session for session in sessions]
    change_diffusion(
        tables=[str(own / "regions.tsv") for own in both],
        maps=[str(own / f"{name}.nii.gz") for name in TENSOR_MEASURES for own in both],
        directions=[str(own / "direction.nii.gz") for own in both],
        scans=[scan.raw for scan in scans],
        grades=SETTINGS["comparability"],
        measures=TENSOR_MEASURES,
        atlases=["whitematter"],
        own={},
        months=6.0,
        confidence=0.95,
        rescan_cov_percent={},
        repeatability=(),
        out_tables=[str(folder / "changes.tsv")],
        out_maps=[str(folder / f"{name}.nii.gz") for name in TENSOR_MEASURES],
        out_direction=str(folder / "direction.nii.gz"),
    )
    return folder


def compare_bent(tasks: Sequence[tuple[Scan, Scan, Path]]) -> None:
    """Compare several patients whose visits are bent to their mean."""
    for baseline, follow_up, folder in tasks:
        compare(baseline, follow_up, folder, bent=True)
