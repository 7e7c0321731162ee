"""Step: confounds and parcel signals of all resting runs of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.extract_parcels import extract_parcels
from msimaging.steps.file_list import write_list
from msimaging.steps.one_by_one import one_by_one


def extract_patient(
    *,
    visits: Sequence[Mapping[str, Any]],
    sessions: Sequence[str],
    lesions: Sequence[str],
    poses: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    min_coverage: float,
    out_list: str,
) -> None:
    """Read every run of a patient.

    The nuisance masks of a run leave out the lesions of all visits, and the way to the template is
    that of all visits: a new visit asks for all runs again, so one job does them all.

    Parameters
    ----------
    visits : sequence of mapping
        The other arguments of `extract_parcels`, for each run.
    sessions, lesions, poses, atlases, own, min_coverage
        As in `extract_parcels`.
    out_list : str
        List of all files written; it is written last.
    """
    one_by_one(
        visits,
        lambda visit: extract_parcels(
            **visit,
            sessions=sessions,
            lesions=lesions,
            poses=poses,
            atlases=atlases,
            own=own,
            min_coverage=min_coverage,
        ),
    )
    write_list(visits, out_list, "Confounds and parcel signals of this patient's runs.")
