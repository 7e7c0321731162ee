"""Step: tensor measures of one visit averaged over the regions of every atlas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from msimaging.bids.layout import TEMPLATE
from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table, standard_table
from msimaging.diffusion.metrics import OF_TISSUE_ONLY, UNITS
from msimaging.diffusion.tensor import tensor_volumes
from msimaging.diffusion.uncertainty import wild_bootstrap
from msimaging.gradient_files import read_numbers
from msimaging.parcellation import Parcellation
from msimaging.spatial.transforms import from_matrix
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import (
    TISSUES,
    RegionPoints,
    Tissues,
    points_in_template,
    points_in_visit,
    template_to_visit,
    visit_to_template,
    weigh_regions,
    weigh_tissues,
)
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import Volume, read_labels, read_volume
from msimaging.xfms import read_midpoint

MeasureIn = Literal["native", "common"]
#: How a visit is read, for sidecars.
_READ: Mapping[MeasureIn, str] = {
    "native": "grid of the visit; regions carried as points, read trilinearly",
    "common": "grid of the template; the visit's maps read trilinearly at its voxels",
}
#: Label of the tissues of the whole atlas, and of the volume of all lesions.
ALL_REGIONS, ALL_LESIONS = "all regions", "all lesions"
#: Edge, in voxels, of the cubes within which a scanner's reconstruction ties the noise together.
_NOISE_BLOCK = 3
REGION_COLUMNS = {
    "index": "Label of the region in the atlas.",
    "name": "Region.",
    "measure": "fa, md, ad or rd; fw (free-water fraction), and fwfa, fwmd, fwad, fwrd of the "
    "tissue beside it; mk, ak, rk (kurtosis); with -lesion, -rim or -nawm in that tissue only; "
    "lesion-share; lesion-volume.",
    "value": "Mean over the region in the brain, weighted by each voxel's share of it.",
    "se": "Standard error of the mean from the noise of this scan (wild bootstrap); n/a for "
    "measures of other models than the tensor.",
    "units": "Unit of value and se.",
    "n_voxels": "Voxels averaged, as a sum of shares.",
    "coverage": "Share of the region that the scan covers.",
}


def measure_diffusion(
    *,
    image: str,
    bval: str,
    bvec: str,
    mask: str,
    maps: Mapping[str, str],
    further: Mapping[str, str],
    midpoint: str,
    to_template: str,
    from_template: str,
    warps: Sequence[str],
    session: str,
    lesions: Sequence[str],
    tissue: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    measure_in: MeasureIn,
    resolution: int,
    n_samples: int,
    seed: int,
    settings: str,
    out_tables: Sequence[str],
) -> None:
    """Average the maps of a visit over the regions of each atlas.

    Parameters
    ----------
    image, bval, bvec, mask : str
        Preprocessed series, its table, brain mask: what the standard errors are made from.
    maps : mapping
        From the tensor measure to its map.
    further : mapping
        From the measure of another model to its map; given without a standard error.
    midpoint, to_template, from_template : str
        Rigid poses of the visits, and the way from their midpoint to the template and back.
    warps : sequence of str
        Transforms from the midpoint to the visit and back; empty where the pose is all.
    session : str
        The visit.
    lesions, tissue : sequence of str
        Lesion mask of the visit and tissue image of the patient; empty where lesions are unknown.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    measure_in : {"native", "common"}
        Whether regions are carried to the visit, or the visit is read at the template's voxels.
    resolution : int
        Size of these voxels in mm.
    n_samples, seed : int
        Resamples of the wild bootstrap and where their random numbers start.
    settings : str
        Digest of the settings behind the table: visits are compared only when theirs are equal.
    out_tables : sequence of str
        One an atlas.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    bvals, bvecs_fsl = standard_table(read_numbers(bval), read_numbers(bvec))
    used = tensor_volumes(bvals)
    gtab = gradient_table(bvals[used], bvecs_fsl_to_ras(bvecs_fsl[used], series.affine))
    scalar_maps = {
        name: read_volume(path, ndim=3).data for name, path in {**maps, **further}.items()
    }
    place = _places(
        measure_in,
        series,
        to_template=to_template,
        from_template=from_template,
        midpoint=midpoint,
        warps=warps,
        session=session,
        resolution=resolution,
    )
    tissues = _tissues(lesions, tissue, midpoint, session)
    for name, out_table in zip(atlases, out_tables, strict=True):
        atlas = named_atlas(name, own)
        regions = _regions(atlas, place(atlas), tissues)
        touched = np.asarray(regions.weights.sum(axis=0)).reshape(brain.shape) > 0
        errors = wild_bootstrap(
            series.data[..., used],
            gtab,
            brain & touched,
            region_weights=regions.weights,
            n_samples=n_samples,
            seed=seed,
            block_voxels=_NOISE_BLOCK,
        )
        measured = [
            _measured(measure, values[brain], errors.regions.get(measure), regions, brain)
            for measure, values in scalar_maps.items()
        ]
        table = pd.concat([*measured, *regions.of_lesions])
        write_table(out_table, table[list(REGION_COLUMNS)])
        describe(
            out_table,
            "Tensor measures per region.",
            sources=[
                image,
                bval,
                bvec,
                mask,
                *maps.values(),
                *further.values(),
                midpoint,
                to_template if measure_in == "native" else from_template,
                *warps,
                *lesions,
                *tissue,
            ],
            columns=REGION_COLUMNS,
            AtlasSpace=TEMPLATE,
            MeasuredIn=_READ[measure_in],
            BootstrapSamples=n_samples,
            Seed=seed,
            Settings=settings,
        )


def _places(
    measure_in: MeasureIn,
    visit: Volume,
    *,
    to_template: str,
    from_template: str,
    midpoint: str,
    warps: Sequence[str],
    session: str,
    resolution: int,
) -> Callable[[Parcellation], RegionPoints]:
    """Return what places the regions of an atlas for reading the visit."""
    if measure_in == "native":
        to_atlas = visit_to_template(to_template, midpoint, session, warps=warps)
        return lambda atlas: points_in_visit(atlas, visit, to_atlas)
    to_visit = template_to_visit(from_template, midpoint, session, warps=warps)
    return lambda atlas: points_in_template(atlas, visit, to_visit, resolution=resolution)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Regions:
    """Rows of the table: regions, and their tissues where lesions are known."""

    index: NDArray[np.int64]
    names: list[str]
    tissue: list[str]
    weights: csr_array
    expected: NDArray[np.float64]
    of_lesions: list[pd.DataFrame]


def _tissues(
    lesions: Sequence[str], tissue: Sequence[str], midpoint: str, session: str
) -> Tissues | None:
    if not lesions:
        return None
    (mask,), (image,) = lesions, tissue
    # tissues were drawn where masks of all visits meet rigidly: a warp would undo a lesion's growth
    back = np.linalg.inv(read_midpoint(midpoint)[session])
    return Tissues(
        image=read_labels(image), visit_to_midpoint=from_matrix(back), lesions=read_labels(mask)
    )


def _regions(atlas: Parcellation, points: RegionPoints, tissues: Tissues | None) -> _Regions:
    weights, expected = weigh_regions(points)
    index, names = np.asarray(atlas.indices), [str(name) for name in atlas.names]
    if tissues is None:
        return _Regions(
            index=index,
            names=names,
            tissue=[""] * len(names),
            weights=weights,
            expected=expected,
            of_lesions=[],
        )
    divided = weigh_tissues(points, tissues)
    present = divided.expected > 0
    kinds = [f"-{kind}" for _ in range(len(names) + 1) for kind in TISSUES]
    divided_names = [name for name in (ALL_REGIONS, *names) for _ in TISSUES]
    chosen = np.flatnonzero(present)
    return _Regions(
        index=np.concatenate([index, np.repeat([0, *index], len(TISSUES))[chosen]]),
        names=[*names, *(divided_names[place] for place in chosen)],
        tissue=[*([""] * len(names)), *(kinds[place] for place in chosen)],
        weights=csr_array(vstack([weights, divided.weights[chosen]])),
        expected=np.concatenate([expected, divided.expected[chosen]]),
        of_lesions=[_lesion_rows(atlas, divided.lesion_share, expected, tissues.lesions)],
    )


def _lesion_rows(
    atlas: Parcellation, share: NDArray[np.float64], expected: NDArray[np.float64], mask: Volume
) -> pd.DataFrame:
    """Return the share of every region that is lesion, and the volume of all lesions."""
    volume = float((mask.data > 0).sum() * np.prod(mask.voxel_sizes))
    shares = pd.DataFrame(
        {
            "index": atlas.indices,
            "name": atlas.names,
            "measure": "lesion-share",
            "value": share,
            "units": "1",
            "n_voxels": expected,
        }
    )
    whole = {
        "index": 0,
        "name": ALL_LESIONS,
        "measure": "lesion-volume",
        "value": volume,
        "units": "mm3",
    }
    return pd.concat([shares, pd.DataFrame([whole])]).assign(se=np.nan)


def _measured(
    measure: str,
    values: NDArray[np.float32],
    errors: NDArray[np.float64] | None,
    regions: _Regions,
    brain: NDArray[np.bool_],
) -> pd.DataFrame:
    """Average a map (V,) in the brain with the weights of each region."""
    weights = regions.weights[:, np.flatnonzero(brain)]
    if measure in OF_TISSUE_ONLY:
        # where all is water the model has no tissue to measure
        weights = weights.multiply(values != 0).tocsr()
    present = np.asarray(weights.sum(axis=1)).ravel()
    sums = weights @ values.astype(np.float64)
    mean = np.divide(sums, present, out=np.full(len(sums), np.nan), where=present > 0)
    return pd.DataFrame(
        {
            "index": regions.index,
            "name": regions.names,
            "measure": [f"{measure}{tissue}" for tissue in regions.tissue],
            "value": mean,
            "se": np.nan if errors is None else np.where(present > 0, errors, np.nan),
            "units": UNITS[measure],
            "n_voxels": present,
            "coverage": present / regions.expected,
        }
    )
