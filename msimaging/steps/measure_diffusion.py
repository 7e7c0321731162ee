"""Step: tensor measures of one visit averaged over the regions of every atlas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from msimaging.bids.layout import TEMPLATE
from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table, standard_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import tensor_volumes
from msimaging.diffusion.uncertainty import wild_bootstrap
from msimaging.gradient_files import read_numbers
from msimaging.parcellation import Parcellation
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import carry_weights, visit_to_template
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import read_labels, read_volume

#: Edge, in voxels, of the cubes within which a scanner's reconstruction ties the noise together.
_NOISE_BLOCK = 3
REGION_COLUMNS = {
    "index": "Label of the region in the atlas.",
    "name": "Region.",
    "measure": "fa, md, ad or rd.",
    "value": "Mean over the region in the brain, weighted by each voxel's share of it.",
    "se": "Standard error of the mean from the noise of this scan (wild bootstrap).",
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
    midpoint: str,
    to_template: str,
    session: str,
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    n_samples: int,
    seed: int,
    out_tables: Sequence[str],
) -> None:
    """Carry each atlas to the visit's grid and average the maps over its regions.

    Parameters
    ----------
    image, bval, bvec, mask : str
        Preprocessed series, its table, brain mask: what the standard errors are made from.
    maps : mapping
        From the measure to its map.
    midpoint, to_template : str
        Rigid poses of the visits, and the way from their midpoint to the template.
    session : str
        The visit.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    n_samples, seed : int
        Resamples of the wild bootstrap and where their random numbers start.
    out_tables : sequence of str
        One an atlas.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    bvals, bvecs_fsl = standard_table(read_numbers(bval), read_numbers(bvec))
    used = tensor_volumes(bvals)
    gtab = gradient_table(bvals[used], bvecs_fsl_to_ras(bvecs_fsl[used], series.affine))
    scalar_maps = {name: read_volume(path, ndim=3).data for name, path in maps.items()}
    way = visit_to_template(to_template, midpoint, session)
    for name, out_table in zip(atlases, out_tables, strict=True):
        atlas = named_atlas(name, own)
        weights, expected = carry_weights(atlas, series, way)
        touched = np.asarray(weights.sum(axis=0)).reshape(brain.shape) > 0
        errors = wild_bootstrap(
            series.data[..., used],
            gtab,
            brain & touched,
            region_weights=weights,
            n_samples=n_samples,
            seed=seed,
            block_voxels=_NOISE_BLOCK,
        )
        table = pd.concat(
            [
                _measured(
                    measure,
                    values[brain],
                    atlas=atlas,
                    weights=weights[:, np.flatnonzero(brain)],
                    expected=expected,
                ).assign(se=errors.regions[measure])
                for measure, values in scalar_maps.items()
            ]
        )
        write_table(out_table, table[list(REGION_COLUMNS)])
        describe(
            out_table,
            "Tensor measures per region.",
            sources=[image, bval, bvec, mask, *maps.values(), midpoint, to_template],
            columns=REGION_COLUMNS,
            AtlasSpace=TEMPLATE,
            MeasuredIn="grid of the visit; regions carried as points, read trilinearly",
            BootstrapSamples=n_samples,
            Seed=seed,
        )


def _measured(
    measure: str,
    values: NDArray[np.float32],
    *,
    atlas: Parcellation,
    weights: csr_array,
    expected: NDArray[np.float64],
) -> pd.DataFrame:
    """Average a map (V,) in the brain with the weights (P, V) of each region."""
    present = np.asarray(weights.sum(axis=1)).ravel()
    sums = weights @ values.astype(np.float64)
    mean = np.divide(sums, present, out=np.full(len(sums), np.nan), where=present > 0)
    return pd.DataFrame(
        {
            "index": atlas.indices,
            "name": atlas.names,
            "measure": measure,
            "value": mean,
            "units": SCALAR_METRICS[measure].units or "1",
            "n_voxels": present,
            "coverage": present / expected,
        }
    )
