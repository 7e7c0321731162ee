"""Step: tangent-space connectivity, whose reference needs all visits of all patients at once."""

from __future__ import annotations

from collections.abc import Sequence

from msimaging.functional.connectivity import Estimator
from msimaging.functional.tangent import tangent_connectivity
from msimaging.steps.parcel_tables import read_time_series, write_matrix
from msimaging.steps.records import describe, report


def connect_group(
    *,
    series: Sequence[str],
    n_atlases: int,
    estimator: Estimator,
    out_matrices: Sequence[str],
) -> None:
    """Express every visit's covariance as a displacement from the group's mean.

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
        signals = [read_time_series(path) for path in paths]
        group = tangent_connectivity([values for values, _ in signals], estimator=estimator)
        report(group.findings)
        for index, (_, labels) in enumerate(signals):
            out_matrix = out_matrices[first + index]
            write_matrix(out_matrix, group.matrices[index], labels)
            describe(
                out_matrix,
                "Tangent-space connectivity: displacement of the covariance from the geometric "
                f"mean of {n_visits} visits. Results of different groups cannot be compared.",
                sources=paths,
                Kind="tangent",
                CovarianceEstimator=estimator,
                Shrinkage=float(group.shrinkage[index]),
                ReferenceVisits=n_visits,
            )
