"""The scalar maps of the tensor: one registry that names, files, tables and figures follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from dipy.reconst import dti
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarMetric:
    """A number per voxel that is a function of the tensor's eigenvalues.

    Attributes
    ----------
    label : str
        Value of the BIDS entity ``param``.
    name : str
        Name in tables and figures.
    description : str
        What it measures, one sentence.
    units : str
        Unit of the values; empty for a ratio.
    bounds : tuple of float
        Range of physically possible values in tissue and water; figures and checks use it.
    from_evals : callable
        Function of eigenvalues (..., 3), largest first, returning (...).
    """

    label: str
    name: str
    description: str
    units: str
    bounds: tuple[float, float]
    from_evals: Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]


_ALL = (
    ScalarMetric(
        label="fa",
        name="FA",
        description="Fractional anisotropy: how far diffusion depends on direction, 0 to 1.",
        units="",
        bounds=(0.0, 1.0),
        from_evals=dti.fractional_anisotropy,
    ),
    ScalarMetric(
        label="md",
        name="MD",
        description="Mean diffusivity: average of the three eigenvalues.",
        units="mm2/s",
        bounds=(0.0, 4e-3),
        from_evals=dti.mean_diffusivity,
    ),
    ScalarMetric(
        label="ad",
        name="AD",
        description="Axial diffusivity: the largest eigenvalue, along the main direction.",
        units="mm2/s",
        bounds=(0.0, 4e-3),
        from_evals=dti.axial_diffusivity,
    ),
    ScalarMetric(
        label="rd",
        name="RD",
        description="Radial diffusivity: average of the two smaller eigenvalues.",
        units="mm2/s",
        bounds=(0.0, 4e-3),
        from_evals=dti.radial_diffusivity,
    ),
)

#: Metrics by label, in the order of tables.
SCALAR_METRICS: Mapping[str, ScalarMetric] = MappingProxyType(
    {metric.label: metric for metric in _ALL}
)
