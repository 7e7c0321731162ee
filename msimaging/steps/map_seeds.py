"""Step: connectivity of named seeds with every voxel of a run, in template space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from msimaging.atlases.library import MNI_AFFINE, MNI_SHAPE
from msimaging.atlases.templates import template_grid
from msimaging.errors import Finding, InputError
from msimaging.functional.seeds import seed_maps
from msimaging.functional.strategies import select_confounds, strategy_named
from msimaging.parcellation import Parcellation, parcel_time_series, sphere_labels
from msimaging.spatial.resampling import resample_image
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import carry_labels, template_to_visit, visit_to_template
from msimaging.steps.records import describe, report
from msimaging.steps.run_parts import RunParts
from msimaging.tables import read_json, sidecar_of
from msimaging.volumes import Volume, read_labels, read_volume, write_volume

#: Share of a template voxel that must lie in the brain of the run for it to have a value.
_LEAST_BRAIN = 0.5


def map_seeds(
    *,
    image: str,
    mask: str,
    confounds: str,
    volumes: str,
    dropped: str,
    midpoint: str,
    from_template: str,
    to_template: str,
    session: str,
    seeds: Sequence[Mapping[str, Any]],
    own: Mapping[str, Mapping[str, str]],
    min_coverage: float,
    strategy: str,
    own_strategies: Mapping[str, Mapping[str, Any]],
    high_pass: float | None,
    low_pass: float | None,
    smoothing: float,
    resolution: int,
    out_maps: Sequence[str],
) -> None:
    """Correlate seeds with every voxel after the primary strategy, on Fisher's scale.

    Correlations are computed on the grid of the run, over the volumes that are used at all visits
    of the patient, and carried to the template in one resampling.

    Parameters
    ----------
    image, mask, confounds : str
        Preprocessed run, its brain mask and nuisance signals.
    volumes, dropped : str
        Volumes that are used at each visit of the patient, and what was left out.
    midpoint, from_template, to_template : str
        Rigid poses of the visits, and the ways between their midpoint and the template.
    session : str
        The visit.
    seeds : sequence of mapping
        ``name`` with ``coordinates`` (MNI mm) and ``radius`` (mm), or with ``atlas`` and ``label``.
    own : mapping
        Files of user atlases.
    min_coverage : float
        Share of a seed that must lie in the scan, else its map is n/a.
    strategy : str
        The primary strategy.
    own_strategies : mapping
        Definitions of strategies of the study's own.
    high_pass, low_pass : float or None
        Pass band in Hz.
    smoothing : float
        Full width at half maximum of the kernel that smooths the run inside the brain (mm); the
        signals of the seeds themselves are not smoothed.
    resolution : int
        Voxel size of the maps in mm.
    out_maps : sequence of str
        One map a seed; NaN outside the brain of the run.

    Raises
    ------
    InputError
        When a seed names no parcel of its atlas or no place in the template, or nothing of a run
        is left after cleaning.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    parts = RunParts.read(confounds, volumes, dropped, session)
    way = visit_to_template(to_template, midpoint, session)
    regions = [seed_region(seed, own) for seed in seeds]
    signals, coverage = _seed_signals(series, brain, way, regions, min_coverage)
    chosen = strategy_named(strategy, own_strategies)
    excluded = parts.excluded(strategy)
    voxels = smoothed_in(series, brain, fwhm=smoothing)[brain].T
    try:
        z = seed_maps(
            voxels,
            signals,
            t_r=float(read_json(sidecar_of(image))["RepetitionTime"]),
            high_pass=high_pass,
            low_pass=low_pass,
            confounds=select_confounds(parts.confounds, chosen, metadata=parts.components).design,
            sample_mask=parts.used(strategy),
        )
    except InputError as error:
        # a run that is left out anyway may be too short to clean: its maps are n/a
        if not excluded:
            raise
        report(replace(each, where=parts.sources[0]) for each in error.findings)
        z = np.full((len(seeds), voxels.shape[1]), np.nan)
    del voxels
    shape, affine = template_grid(resolution=resolution)
    back = template_to_visit(from_template, midpoint, session)
    for seed, values, share, path in zip(seeds, z, coverage, out_maps, strict=True):
        own_grid = np.full(brain.shape, np.nan)
        own_grid[brain] = values
        carried = carried_values(Volume(data=own_grid, affine=series.affine), back, shape, affine)
        write_volume(path, carried.astype(np.float32), affine)
        describe(
            path,
            f"Correlation of {seed['name']} with every voxel, Fisher z.",
            sources=[image, mask, midpoint, from_template, to_template, *parts.sources],
            Units="Fisher z",
            Seed=dict(seed),
            SeedCoverage=round(float(share), 4),
            SkullStripped=True,
            Strategy=strategy,
            SmoothingFWHM=smoothing,
            VolumesUsed=len(parts.used(strategy)),
            Resolution=f"{resolution} mm isotropic, linear, resampled once",
            Excluded=excluded or None,
        )


def smoothed_in(series: Volume, brain: NDArray[np.bool_], *, fwhm: float) -> NDArray[np.float32]:
    """Smooth a run inside the brain, so that nothing from outside leaks in.

    Parameters
    ----------
    series : Volume
        (X, Y, Z, T).
    brain : (X, Y, Z) ndarray of bool
    fwhm : float
        Of the Gaussian kernel [mm]; 0 leaves the run as it is.

    Returns
    -------
    (X, Y, Z, T) ndarray of float32
    """
    if not fwhm:
        return series.data
    width = fwhm / np.sqrt(8 * np.log(2)) / series.voxel_sizes
    share = ndimage.gaussian_filter(brain.astype(np.float32), width)
    smooth = np.zeros_like(series.data)
    for volume in range(series.data.shape[3]):
        inside = np.where(brain, series.data[..., volume], 0)
        spread = ndimage.gaussian_filter(inside, width)
        np.divide(spread, share, out=smooth[..., volume], where=brain)
    return smooth


def seed_region(seed: Mapping[str, Any], own: Mapping[str, Mapping[str, str]]) -> Parcellation:
    """Return a seed of the settings as an atlas of one parcel.

    Parameters
    ----------
    seed : mapping
        As in the settings.
    own : mapping
        Files of user atlases.

    Returns
    -------
    Parcellation
        In template space.

    Raises
    ------
    InputError
        When its atlas has no such label, or the template no such place.
    """
    if "atlas" not in seed:
        labels = sphere_labels(
            seed["coordinates"], radius=seed["radius"], shape=MNI_SHAPE, affine=MNI_AFFINE
        )
        if not labels.any():
            rule = "coordinates of a seed lie inside the template (MNI152, mm)"
            remedy = "Correct them; x grows to the right, y to the front, z upwards."
            raise InputError([_fault(seed, rule, str(seed["coordinates"]), remedy)])
        return _one_parcel(seed["name"], labels > 0, MNI_AFFINE)
    atlas = named_atlas(seed["atlas"], own)
    places = [i for i, name in enumerate(atlas.names) if name == seed["label"]]
    if len(places) != 1:
        rule = f"a seed's label is the name of a parcel of {seed['atlas']}"
        remedy = f"Take a name of its table, such as {atlas.names[0]!r}."
        raise InputError([_fault(seed, rule, repr(seed["label"]), remedy)])
    return _one_parcel(seed["name"], atlas.labels_img == atlas.indices[places[0]], atlas.affine)


def _fault(seed: Mapping[str, Any], rule: str, found: str, remedy: str) -> Finding:
    where = f"functional.seeds: {seed['name']}"
    return Finding(where=where, rule=rule, found=found, remedy=remedy)


def _one_parcel(name: str, where: NDArray[np.bool_], affine: NDArray[np.float64]) -> Parcellation:
    table = pd.DataFrame([{"index": 1, "name": name, "network": None, "x": 0, "y": 0, "z": 0}])
    return Parcellation(name=name, labels_img=where.astype(np.int32), affine=affine, table=table)


def _seed_signals(
    series: Volume,
    brain: NDArray[np.bool_],
    way: sitk.Transform,
    regions: Sequence[Parcellation],
    min_coverage: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean signal (T, S) and the coverage (S,) of each seed; seeds may overlap."""
    found = []
    for region in regions:
        carried = carry_labels(region, series, way)
        found.append(
            parcel_time_series(
                series.data,
                carried.labels_img,
                region.indices,
                mask=brain,
                expected_voxels=carried.expected_voxels,
                min_coverage=min_coverage,
            )
        )
    signals = np.column_stack([one.time_series[:, 0] for one in found])
    return signals, np.concatenate([one.coverage for one in found])


def carried_values(
    image: Volume,
    target_to_source: sitk.Transform,
    shape: Sequence[int],
    affine: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Carry a map with gaps to another grid; what is missing thins no value beside it.

    Parameters
    ----------
    image : Volume
        NaN where there is no value.
    target_to_source : SimpleITK.Transform
        Points of the new grid to points of the image.
    shape : sequence of int
        New grid.
    affine : (4, 4) ndarray
        Its voxels to mm.

    Returns
    -------
    ndarray of shape
        Linear interpolation among the known voxels; NaN where they make up less than half.
    """
    known = np.isfinite(image.data)
    sums, shares = (
        resample_image(
            values,
            image.affine,
            target_to_source=target_to_source,
            target_shape=shape,
            target_affine=affine,
            interpolation="linear",
        )
        for values in (np.where(known, image.data, 0.0), known.astype(np.float64))
    )
    result = np.full(tuple(shape), np.nan)
    np.divide(sums, shares, out=result, where=shares >= _LEAST_BRAIN)
    return result
