"""Step: tangent-space connectivity, whose reference needs all visits of all patients at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from msimaging.errors import Finding
from msimaging.functional.connectivity import Estimator
from msimaging.functional.tangent import (
    FEWEST_PARCELS,
    TangentConnectomes,
    common_parcels,
    tangent_connectivity,
    tangent_connectivity_leaving_out,
)
from msimaging.steps.parcel_tables import read_time_series, write_matrix
from msimaging.steps.records import describe, report
from msimaging.tables import read_json, sidecar_of

#: A reference needs at least this many visits, or patients where each patient's own are left out.
_SMALLEST_GROUP = 2
_NOTHING_SHARED = "no two parcels are covered by all runs of the group"
#: Whose visits make the reference.
Reference = Literal["group", "other patients"]


def connect_group(
    *,
    series: Sequence[str],
    n_atlases: int,
    patients: Sequence[str],
    estimator: Estimator,
    reference: Reference,
    out_matrices: Sequence[str],
) -> None:
    """Express every visit's covariance as a displacement from the group's mean.

    Visits that are left out of statistics get n/a and do not move the mean; all get n/a where no
    two parcels are covered by all of them.

    Parameters
    ----------
    series : sequence of str
        Cleaned time series: all visits of the first atlas, then of the next.
    n_atlases : int
        Number of atlases.
    patients : sequence of str
        Patient of each visit.
    estimator : {"empirical", "ledoit-wolf"}
        Covariance estimator.
    reference : {"group", "other patients"}
        Whose visits make the mean: all, or all but the patient's own.
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
        owners = [patients[index] for index in used]
        enough = len(used if reference == "group" else set(owners)) >= _SMALLEST_GROUP
        if enough and not _share_parcels([signals[i][0] for i in used], where=paths[0]):
            reasons = [reason or _NOTHING_SHARED for reason in reasons]
        elif enough:
            group = _tangent([signals[i][0] for i in used], owners, estimator, reference)
            report(group.findings)
            matrices[used] = group.matrices
            shrinkage = dict(zip(used, group.shrinkage.tolist(), strict=True))
        own = reference == "other patients"
        n_others = [len(used) - own * owners.count(patient) for patient in patients]
        for index, (_, labels) in enumerate(signals):
            out_matrix = out_matrices[first + index]
            write_matrix(out_matrix, matrices[index], labels)
            describe(
                out_matrix,
                "Tangent-space connectivity: displacement of the covariance from the geometric "
                f"mean of {n_others[index]} visits. Results of different groups cannot be "
                "compared.",
                sources=paths,
                Kind="tangent",
                CovarianceEstimator=estimator,
                Shrinkage=shrinkage.get(index),
                Reference=reference,
                ReferenceVisits=n_others[index],
                Excluded=reasons[index] or None,
            )


def _share_parcels(time_series: Sequence[NDArray[np.float64]], *, where: str) -> bool:
    """Tell whether the runs have parcels in common; a warning where they have not."""
    common, _ = common_parcels(time_series)
    found = np.count_nonzero(common)
    if found >= FEWEST_PARCELS:
        return True
    finding = Finding(
        where=where,
        rule="tangent matrices need parcels that all runs of the group cover",
        found=f"{found} of {len(common)} parcels common to {len(time_series)} runs",
        remedy="Exclude runs that cover little in visits.tsv, or lower functional.min_coverage.",
        severity="warning",
    )
    report([finding])
    return False


def _tangent(
    time_series: Sequence[NDArray[np.float64]],
    patients: Sequence[str],
    estimator: Estimator,
    reference: Reference,
) -> TangentConnectomes:
    if reference == "group":
        return tangent_connectivity(time_series, estimator=estimator)
    return tangent_connectivity_leaving_out(time_series, patients=patients, estimator=estimator)
