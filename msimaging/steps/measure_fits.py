"""Step: region means of one visit under tensor fits besides the one that all else rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from msimaging.diffusion.gradients import bvecs_fsl_to_ras, gradient_table, standard_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import FitMethod, fit_tensor, tensor_volumes
from msimaging.gradient_files import read_numbers
from msimaging.steps.atlas_files import named_atlas
from msimaging.steps.carrying import carry_weights, visit_to_template
from msimaging.steps.fit_tensor import sample_trust
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import read_labels, read_volume

FIT_COLUMNS = {
    "fit": "How the tensor was fitted.",
    "index": "Label of the region in the atlas.",
    "name": "Region.",
    "measure": "fa, md, ad or rd.",
    "value": "Mean over the region in the brain, weighted by each voxel's share of it.",
}


def measure_fits(
    *,
    image: str,
    bval: str,
    bvec: str,
    mask: str,
    weights: str,
    midpoint: str,
    to_template: str,
    session: str,
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    methods: Sequence[FitMethod],
    out_tables: Sequence[str],
) -> None:
    """Fit the tensor in other ways and average each over the same regions.

    Parameters
    ----------
    image, bval, bvec, mask, weights : str
        As for the fit of the visit.
    midpoint, to_template : str
        Rigid poses of the visits, and the way from their midpoint to the template.
    session : str
        The visit.
    atlases : sequence of str
        Their names.
    own : mapping
        Files of user atlases.
    methods : sequence of str
        Fits.
    out_tables : sequence of str
        One an atlas.
    """
    series = read_volume(image, ndim=4)
    brain = read_labels(mask).data > 0
    bvals, bvecs_fsl = standard_table(read_numbers(bval), read_numbers(bvec))
    used = tensor_volumes(bvals)
    gtab = gradient_table(bvals[used], bvecs_fsl_to_ras(bvecs_fsl[used], series.affine))
    maps = {}
    for method in methods:
        trust, _ = sample_trust(weights, used, brain, method)
        fit = fit_tensor(series.data[..., used], gtab, brain, method=method, weights=trust)
        maps[method] = {
            name: metric.from_evals(fit.evals)[brain] for name, metric in SCALAR_METRICS.items()
        }
    way = visit_to_template(to_template, midpoint, session)
    for name, path in zip(atlases, out_tables, strict=True):
        atlas = named_atlas(name, own)
        shares = carry_weights(atlas, series, way)[0][:, np.flatnonzero(brain)]
        regions = pd.DataFrame({"index": atlas.indices, "name": atlas.names})
        parts = [
            regions.assign(fit=method, measure=measure, value=values)
            for method, own_maps in maps.items()
            for measure, values in _means(shares, own_maps)
        ]
        table = pd.concat(parts)
        write_table(path, table[list(FIT_COLUMNS)])
        describe(
            path,
            "Tensor measures per region under other fits of the same series.",
            sources=[image, bval, bvec, mask, weights, midpoint, to_template],
            columns=FIT_COLUMNS,
        )


def _means(
    shares: csr_array, maps: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    present = np.asarray(shares.sum(axis=1)).ravel()
    for measure, values in maps.items():
        # as float32: the maps of the other fit have gone through a file
        sums = shares @ values.astype(np.float32).astype(np.float64)
        empty = np.full(len(present), np.nan)
        yield measure, np.divide(sums, present, out=empty, where=present > 0)
