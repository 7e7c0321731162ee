"""Step: what is read from the BOLD series: confounds, and the mean signal of every parcel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from msimaging.bids.layout import TEMPLATE
from msimaging.functional.confounds import ConfoundsTable, confounds_table
from msimaging.functional.masks import tissue_masks
from msimaging.functional.strategies import MOTION
from msimaging.parcellation import parcel_time_series
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.bold_tissues import lesions_at, tissue_fractions
from msimaging.steps.carrying import carry_labels, visit_to_template
from msimaging.steps.derivative_files import component_facts, read_bold_confounds
from msimaging.steps.parcel_tables import write_time_series
from msimaging.steps.records import describe, report
from msimaging.tables import read_json, read_table, sidecar_of, write_table
from msimaging.volumes import Volume, read_labels, read_volume


def extract_parcels(
    *,
    image: str,
    sidecar: str,
    mask: str,
    motion: str,
    given_confounds: Sequence[str],
    midpoint: str,
    to_template: str,
    session: str,
    sessions: Sequence[str],
    lesions: Sequence[str],
    poses: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    min_coverage: float,
    out_confounds: str,
    out_series: Sequence[str],
    out_coverage: Sequence[str],
) -> None:
    """Carry tissue maps and atlases to the visit's grid and average the series over them.

    Parameters
    ----------
    image, sidecar, mask : str
        Preprocessed BOLD series and brain mask.
    motion : str
        Head position in each volume.
    given_confounds : sequence of str
        Confounds that the pipeline which preprocessed the run has computed; empty for raw runs,
        whose confounds are computed here.
    midpoint, to_template : str
        Rigid poses of the visits, and the way from their midpoint to the template.
    session : str
        The visit.
    sessions, lesions, poses : sequence of str
        All visits of the patient, the lesion mask of each (no mask where one has none), and the
        table with the pose of each.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    min_coverage : float
        Share of a parcel that must be there; thinner parcels become n/a and keep their column.
    out_confounds : str
        Nuisance signals in fMRIPrep's columns.
    out_series, out_coverage : sequence of str
        One table each an atlas.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    way = visit_to_template(to_template, midpoint, session)
    repetition_time = float(read_json(sidecar)["RepetitionTime"])
    sources = [image, mask, motion, midpoint, to_template, *given_confounds]
    found = lesions_at(lesions, series, session, dict(zip(sessions, poses, strict=True)))
    if given_confounds:
        confounds = _given(given_confounds[0], series.data.shape[3])
        about_lesions = "as the preprocessing before made the table"
    else:
        confounds, n_lesion_voxels = _confounds(
            series, brain, way, read_table(motion), repetition_time=repetition_time, lesions=found
        )
        about_lesions = _told_lesions(found, n_lesion_voxels)
    write_table(out_confounds, confounds.table)
    describe(
        out_confounds,
        "Nuisance signals of the run, in the columns of fMRIPrep.",
        sources=[*sources, *lesions],
        SamplingFrequency=1 / repetition_time,
        Lesions=about_lesions,
        RegistrationOver=read_json(sidecar_of(to_template)).get("RegistrationOver"),
        **confounds.metadata,
    )
    for name, out_table, out_cover in zip(atlases, out_series, out_coverage, strict=True):
        atlas = named_atlas(name, own)
        carried = carry_labels(atlas, series, way)
        signals = parcel_time_series(
            series.data,
            carried.labels_img,
            atlas.indices,
            mask=brain,
            expected_voxels=carried.expected_voxels,
            min_coverage=min_coverage,
        )
        write_time_series(out_table, signals.time_series, atlas.names)
        thin = int(np.count_nonzero(np.isnan(signals.time_series).all(axis=0)))
        describe(
            out_table,
            f"Mean BOLD signal of each parcel; {thin} of {len(atlas.names)} parcels are n/a "
            f"because less than {min_coverage:.0%} of them lies in the scan.",
            sources=sources,
            SamplingFrequency=1 / repetition_time,
            RepetitionTime=repetition_time,
            MinimumCoverage=min_coverage,
            MeasuredIn="grid of the visit; labels carried by nearest neighbour",
            AtlasSpace=TEMPLATE,
        )
        cover = pd.DataFrame(
            {"name": atlas.names, "coverage": signals.coverage, "n_voxels": signals.n_voxels}
        )
        write_table(out_cover, cover)
        describe(
            out_cover,
            "How much of each parcel the scan covers.",
            sources=sources,
            columns={
                "name": "Parcel.",
                "coverage": "Share of the parcel's voxels inside field of view and brain mask.",
                "n_voxels": "Voxels averaged.",
            },
        )


def _given(path: str, n_volumes: int) -> ConfoundsTable:
    table = read_bold_confounds(path, n_volumes)
    return ConfoundsTable(table=table, metadata=component_facts(path, table))


def _told_lesions(found: NDArray[np.bool_] | None, n_voxels: int) -> str:
    if found is None:
        return "no lesion mask of every visit: lesions may lie in the nuisance masks"
    return (
        f"lesions of all visits and their rim left out of the nuisance masks: {n_voxels} voxels "
        "of white matter and CSF"
    )


def _confounds(
    series: Volume,
    brain: NDArray[np.bool_],
    way: sitk.Transform,
    motion: pd.DataFrame,
    *,
    repetition_time: float,
    lesions: NDArray[np.bool_] | None,
) -> tuple[ConfoundsTable, int]:
    """Make the table, and count the tissue voxels that lesions and their rim took away."""
    fractions = tissue_fractions(series, way)
    tissues = tissue_masks(
        fractions.white_matter, fractions.csf, brain_mask=brain, lesion_mask=lesions
    )
    report(tissues.findings)
    table = confounds_table(
        series.data,
        t_r=repetition_time,
        brain_mask=brain,
        motion=motion[list(MOTION)].to_numpy(dtype=np.float64),
        white_matter_mask=tissues.white_matter,
        csf_mask=tissues.csf,
        lesion_mask=None if lesions is None else tissues.lesions,
        n_non_steady=int(motion["non_steady_state"].sum()),
    )
    return table, tissues.n_lesion_voxels
