"""The scalar maps of the tensor: one registry that names, files, tables and figures follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

FromEvals = Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]


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
    from_evals: FromEvals


def _of_dipy(name: str) -> FromEvals:
    """Return a function of DIPY that is imported when it is called first.

    Figures and tables need the units of a metric only, and DIPY takes seconds to import.
    """

    def metric(evals: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        from dipy.reconst import dti  # noqa: PLC0415

        values: NDArray[np.floating[Any]] = getattr(dti, name)(evals)
        return values

    return metric


_ALL = (
    ScalarMetric(
        label="fa",
        name="FA",
        description="Fractional anisotropy: how far diffusion depends on direction, 0 to 1.",
        units="",
        bounds=(0.0, 1.0),
        from_evals=_of_dipy("fractional_anisotropy"),
    ),
    ScalarMetric(
        label="md",
        name="MD",
        description="Mean diffusivity: average of the three eigenvalues.",
        units="mm2/s",
        bounds=(0.0, 4e-3),
        from_evals=_of_dipy("mean_diffusivity"),
    ),
    ScalarMetric(
        label="ad",
        name="AD",
        description="Axial diffusivity: the largest eigenvalue, along the main direction.",
        units="mm2/s",
        bounds=(0.0, 4e-3),
        from_evals=_of_dipy("axial_diffusivity"),
    ),
    ScalarMetric(
        label="rd",
        name="RD",
        description="Radial diffusivity: average of the two smaller eigenvalues.",
        units="mm2/s",
        bounds=(0.0, 4e-3),
        from_evals=_of_dipy("radial_diffusivity"),
    ),
)

#: Metrics by label, in the order of tables.
SCALAR_METRICS: Mapping[str, ScalarMetric] = MappingProxyType(
    {metric.label: metric for metric in _ALL}
)

#: Measures of the tensor beside free water: known only where there is tissue.
OF_TISSUE_ONLY = tuple(f"fw{label}" for label in SCALAR_METRICS)
#: Unit of every measure of a voxel, those of other models than the tensor too.
UNITS: Mapping[str, str] = MappingProxyType(
    {label: metric.units or "1" for label, metric in SCALAR_METRICS.items()}
    | {f"fw{label}": metric.units or "1" for label, metric in SCALAR_METRICS.items()}
    | dict.fromkeys(("fw", "mk", "ak", "rk"), "1")
)
