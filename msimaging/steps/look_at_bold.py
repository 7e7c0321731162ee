"""Step: numbers and pictures by which a person judges one resting run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.atlases.templates import load_template
from msimaging.figures.quality import caption_carpet, draw_carpet
from msimaging.figures.scans import draw_coverage, draw_edge_distance, draw_outlines
from msimaging.figures.style import FigureStyle
from msimaging.figures.traces import caption_traces, draw_traces
from msimaging.functional.edges import fisher_z
from msimaging.functional.quality import (
    Carpet,
    RunQuality,
    carpet,
    edge_distance,
    run_quality,
    temporal_snr,
)
from msimaging.parcellation import Parcellation
from msimaging.spatial.resampling import resample_image
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import visit_to_template
from msimaging.steps.parcel_tables import read_matrix
from msimaging.steps.pictures import figure_style, save_picture
from msimaging.steps.quality_files import QUALITY_COLUMNS, write_quality
from msimaging.steps.records import describe
from msimaging.tables import read_json, read_table, sidecar_of
from msimaging.volumes import Volume, read_labels, read_volume, write_volume

_TISSUES = ("grey matter", "white matter", "CSF")
_UNITS = {
    "fd_mean": ("mm", "Mean framewise displacement."),
    "fd_median": ("mm", "Median framewise displacement."),
    "fd_max": ("mm", "Largest framewise displacement."),
    "fd_share_high": ("1", "Share of volumes that moved by more than fd_high."),
    "fd_high": ("mm", "Framewise displacement that counts as motion."),
    "dvars_mean": ("signal", "Mean change of the signal from volume to volume."),
    "std_dvars_mean": ("1", "Mean DVARS in units of its expected value."),
    "tsnr_median": ("1", "Median over the brain of mean over standard deviation in time."),
    "n_volumes": ("1", "Volumes of the run."),
    "n_retained": ("1", "Volumes kept by the denoising strategy."),
    "minutes_retained": ("min", "Time that these volumes cover."),
    "coverage_mean": ("1", "Mean share of the parcels inside the scan."),
    "coverage_least": ("1", "Share of the least covered parcel inside the scan."),
    "distortion_mean": ("mm", "Mean susceptibility displacement in the brain."),
    "distortion_max": ("mm", "Largest susceptibility displacement in the brain."),
    "distance_dependence": ("1", "Spearman correlation of edge strength and parcel distance."),
}

#: Rows that a run has whose distortion was corrected, and the sidecar's names for them.
_OF_FIELD = {
    "distortion_mean": "SusceptibilityDisplacementMean",
    "distortion_max": "SusceptibilityDisplacementMax",
}


def look_at_bold(
    *,
    image: str,
    reference: str,
    mask: str,
    confounds: str,
    denoised: str,
    coverage: str,
    matrix: str,
    midpoint: str,
    to_template: str,
    session: str,
    atlas: str,
    own: Mapping[str, Mapping[str, str]],
    min_coverage: float,
    style: Mapping[str, Any],
    out_quality: str,
    out_tsnr: str,
    out_pictures: Mapping[str, str],
) -> None:
    """Measure a run's quality and draw carpet, traces, registration, distance and coverage.

    Parameters
    ----------
    image, reference, mask : str
        Preprocessed run, its reference and brain mask.
    confounds : str
        Nuisance signals.
    denoised : str
        Parcel signals after cleaning; their sidecar tells how many volumes were kept.
    coverage, matrix : str
        Coverage and correlations of the parcels of one atlas.
    midpoint, to_template : str
        Way from the visit to the template.
    session : str
        The visit.
    atlas : str
        Of `coverage` and `matrix`.
    own : mapping
        Files of user atlases.
    min_coverage : float
        Least share of a parcel.
    style : mapping
        ``figures.style`` of the settings.
    out_quality : str
        Table of numbers.
    out_tsnr : str
        Map of the temporal signal-to-noise ratio.
    out_pictures : mapping
        PNG files of ``carpet``, ``motion``, ``registration``, ``edges`` and ``coverage``.
    """
    look = figure_style(style)
    run, brain = read_volume(image, ndim=4), read_labels(mask).data > 0
    nuisance, facts = read_table(confounds), read_json(sidecar_of(denoised))
    t_r = float(facts["RepetitionTime"])
    about_run = read_json(sidecar_of(image))
    n_skipped = int(about_run.get("NonSteadyStateVolumes", 0))
    ratio = temporal_snr(run.data, mask=brain, n_skipped=n_skipped)
    write_volume(out_tsnr, ratio, run.affine)
    text = "Temporal signal-to-noise ratio after a linear trend."
    describe(out_tsnr, text, sources=[image, mask], Units="1", SkullStripped=True)
    quality = run_quality(
        fd=nuisance["framewise_displacement"].to_numpy(float),
        dvars=nuisance["dvars"].to_numpy(float),
        std_dvars=nuisance["std_dvars"].to_numpy(float),
        tsnr=ratio,
        brain_mask=brain,
        n_retained=int(facts["VolumesRetained"]),
        t_r=t_r,
    )
    way = visit_to_template(to_template, midpoint, session)
    tissue = _tissue_classes(run, brain, way)
    rows = carpet(run.data, tissue=tissue, max_rows=1200, n_skipped=n_skipped)
    _draw_run(
        rows,
        nuisance,
        t_r=t_r,
        threshold=quality.fd_high,
        look=look,
        out_pictures=out_pictures,
        sources=[image, confounds],
    )
    template_brain = {"white matter of the template": tissue == 2, "brain mask": brain}
    save_picture(
        draw_outlines(read_volume(reference, ndim=3).data, template_brain, run.affine, style=look),
        out_pictures["registration"],
        caption="Mean of the run with the outline of its brain mask and of the template's white "
        "matter carried to it: they should follow the edges that the eye sees.",
        sources=[reference, mask, midpoint, to_template],
    )
    parcels = named_atlas(atlas, own)
    more = _draw_parcels(
        coverage, matrix, parcels, least=min_coverage, look=look, out_pictures=out_pictures
    )
    more |= {name: float(about_run[key]) for name, key in _OF_FIELD.items() if key in about_run}
    _write_quality(out_quality, quality, more, [image, confounds, denoised, coverage, matrix])


def _tissue_classes(run: Volume, brain: NDArray[np.bool_], way: Any) -> NDArray[np.int64]:
    """Return the most likely tissue of each voxel, 1 grey, 2 white, 3 CSF, 0 outside."""
    template = load_template(resolution=2)
    shares = np.stack(
        [
            resample_image(
                fraction,
                template.affine,
                target_to_source=way,
                target_shape=brain.shape,
                target_affine=run.affine,
                interpolation="linear",
            )
            for fraction in (template.grey_matter, template.white_matter, template.csf)
        ]
    )
    known = brain & (shares.max(axis=0) > 0.5)
    return np.where(known, shares.argmax(axis=0) + 1, 0)


def _draw_run(
    rows: Carpet,
    nuisance: pd.DataFrame,
    *,
    t_r: float,
    threshold: float,
    look: FigureStyle,
    out_pictures: Mapping[str, str],
    sources: Sequence[str],
) -> None:
    groups = [_TISSUES[number - 1] for number in rows.tissue]
    displacement = nuisance["framewise_displacement"].to_numpy(float)
    figure = draw_carpet(
        rows.image.astype(float),
        groups=groups,
        framewise_displacement=displacement,
        t_r=t_r,
        threshold=threshold,
        style=look,
    )
    caption = caption_carpet(groups, t_r=t_r, n_volumes=len(nuisance))
    save_picture(figure, out_pictures["carpet"], caption=caption, sources=sources)
    traces = {
        "FD [mm]": displacement,
        "std. DVARS": nuisance["std_dvars"].to_numpy(float),
        "global signal [%]": _percent(nuisance["global_signal"].to_numpy(float)),
    }
    save_picture(
        draw_traces(traces, xlabel="Time [s]", spacing=t_r, style=look),
        out_pictures["motion"],
        caption=caption_traces(traces, of="resting run"),
        sources=sources,
    )


def _percent(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = float(np.nanmean(signal))
    return 100 * (signal / middle - 1) if middle else signal


def _draw_parcels(
    coverage: str,
    matrix: str,
    atlas: Parcellation,
    *,
    least: float,
    look: FigureStyle,
    out_pictures: Mapping[str, str],
) -> dict[str, float]:
    shares = read_table(coverage)["coverage"].to_numpy(float)
    places = atlas.table[["x", "y", "z"]].to_numpy(float)
    edges = edge_distance(fisher_z(read_matrix(matrix)[0]), coordinates=places)
    save_picture(
        draw_coverage(shares, least=least, style=look),
        out_pictures["coverage"],
        caption=f"Coverage of {len(shares)} parcels of {atlas.name}; "
        f"{int((shares < least).sum())} lie below {least:g} and are n/a.",
        sources=[coverage],
    )
    save_picture(
        draw_edge_distance(edges.distance, edges.strength, units="Fisher z", style=look),
        out_pictures["edges"],
        caption=f"Strength of {len(edges.distance)} edges against the distance of their parcels; "
        f"Spearman correlation {edges.spearman_r:.2f}, {edges.slope:+.3f} Fisher z per 10 mm.",
        sources=[matrix],
    )
    return {
        "coverage_mean": float(shares.mean()),
        "coverage_least": float(shares.min()),
        "distance_dependence": edges.spearman_r,
    }


def _write_quality(
    path: str, quality: RunQuality, more: Mapping[str, float], sources: Sequence[str]
) -> None:
    numbers = asdict(quality) | dict(more)
    rows = [(name, value, *_UNITS[name]) for name, value in numbers.items()]
    table = pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))
    write_quality(path, table, "Quality of the resting run.", sources=sources)
