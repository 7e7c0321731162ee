"""Step: comparable volumes of a patient's runs, and the connectivity of each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.bids.job_records import connected_files
from msimaging.functional.connectivity import Estimator
from msimaging.steps.connect_parcels import connect_parcels
from msimaging.steps.equalise_visits import equalise_patient
from msimaging.steps.file_list import write_list


def connect_patient(
    *,
    visits: Sequence[Mapping[str, Any]],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    strategies: Sequence[str],
    own_strategies: Mapping[str, Mapping[str, Any]],
    high_pass: float | None,
    low_pass: float | None,
    kinds: Mapping[str, Estimator],
    matching: str,
    min_coverage: float,
    min_minutes: float,
    min_volumes: int,
    seed: int,
    out_dropped: str,
    out_volumes: str,
    out_list: str,
) -> None:
    """Choose volumes for all visits alike, then clean and connect each visit.

    What one visit loses the others lose too: a new scan of a visit changes all of them, so one job
    does them all.

    Parameters
    ----------
    visits : sequence of mapping
        In the order of time: ``session series confounds coverages`` to read, ``denoised variances
        strengths networks matrices`` to write, each in the order that `connect_parcels` takes.
    atlases, strategies, own_strategies, high_pass, low_pass
        As in both `equalise_patient` and `connect_parcels`.
    own, kinds
        As in `connect_parcels`.
    matching, min_coverage, min_minutes, min_volumes, seed, out_dropped, out_volumes
        As in `equalise_patient`.
    out_list : str
        List of all files written; it is written last.
    """
    equalise_patient(
        confounds=[visit["confounds"] for visit in visits],
        coverages=[visit["coverages"][place] for place in range(len(atlases)) for visit in visits],
        sessions=[visit["session"] for visit in visits],
        atlases=atlases,
        strategies=strategies,
        own_strategies=own_strategies,
        high_pass=high_pass,
        low_pass=low_pass,
        matching=matching,
        min_coverage=min_coverage,
        min_minutes=min_minutes,
        min_volumes=min_volumes,
        seed=seed,
        out_dropped=out_dropped,
        out_volumes=out_volumes,
    )
    for visit in visits:
        connect_parcels(
            series=visit["series"],
            confounds=visit["confounds"],
            volumes=out_volumes,
            dropped=out_dropped,
            session=visit["session"],
            atlases=atlases,
            own=own,
            strategies=strategies,
            own_strategies=own_strategies,
            high_pass=high_pass,
            low_pass=low_pass,
            kinds=kinds,
            out_denoised=visit["denoised"],
            out_variances=visit["variances"],
            out_strengths=visit["strengths"],
            out_networks=visit["networks"],
            out_matrices=visit["matrices"],
        )
    files = [out_dropped, out_volumes, *(path for v in visits for path in connected_files(v))]
    write_list([{"out_files": files}], out_list, "Connectivity of this patient's runs.")
