"""Step: tangent-space connectivity, whose reference needs all visits of all patients at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msimaging.functional.connectivity import Estimator
from msimaging.functional.tangent import tangent_connectivity
from msimaging.steps.parcel_tables import read_time_series, write_matrix
from msimaging.steps.records import describe, report
from msimaging.tables import read_json, sidecar_of

#: A reference needs at least this many visits.
_SMALLEST_GROUP = 2


def connect_group(
    *,
    series: Sequence[str],
    n_atlases: int,
    estimator: Estimator,
    out_matrices: Sequence[str],
) -> None:
    """Express every visit's covariance as a displacement from the group's mean.

    Visits that are left out of statistics get n/a and do not move the mean.

    Parameters
    ----------
    series : sequence of str
        Cleaned time series: all visits of the first atlas, then of the next.
    n_atlases : int
        Number of atlases.
    estimator : {"empirical", "ledoit-wolf"}
        Covariance estimator.
    out_matrices : sequence of str
        In the order of ``series``.
    """
    n_visits = len(series) // n_atlases
    for first in range(0, len(series), n_visits):
        paths = series[first : first + n_visits]
        reasons = [read_json(sidecar_of(path)).get("Excluded", "") for path in paths]
        signals = [read_time_series(path) for path in paths]
        used = [index for index, reason in enumerate(reasons) if not reason]
        matrices = np.full((n_visits, *[len(signals[0][1])] * 2), np.nan)
        shrinkage: dict[int, float] = {}
        if len(used) >= _SMALLEST_GROUP:
            group = tangent_connectivity([signals[i][0] for i in used], estimator=estimator)
            report(group.findings)
            matrices[used] = group.matrices
            shrinkage = dict(zip(used, group.shrinkage.tolist(), strict=True))
        for index, (_, labels) in enumerate(signals):
            out_matrix = out_matrices[first + index]
            write_matrix(out_matrix, matrices[index], labels)
            describe(
                out_matrix,
                "Tangent-space connectivity: displacement of the covariance from the geometric "
                f"mean of {len(used)} visits. Results of different groups cannot be compared.",
                sources=paths,
                Kind="tangent",
                CovarianceEstimator=estimator,
                Shrinkage=shrinkage.get(index),
                ReferenceVisits=len(used),
                Excluded=reasons[index] or None,
            )
