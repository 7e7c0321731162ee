"""Step: tensor measures in the regions, and maps in the template, of all visits of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.file_list import write_list
from msimaging.steps.map_visit import map_visit
from msimaging.steps.measure_diffusion import MeasureIn
from msimaging.steps.one_by_one import one_by_one


def measure_patient(
    *,
    visits: Sequence[Mapping[str, Any]],
    tissue: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    measure_in: MeasureIn,
    resolution: int,
    n_samples: int,
    seed: int,
    settings: str,
    out_list: str,
) -> None:
    """Measure every visit of a patient.

    The midpoint of the visits, and tissue outside the lesions of all of them, are other ones with
    each new visit: one job does them all.

    Parameters
    ----------
    visits : sequence of mapping
        The other arguments of `map_visit`, for each visit.
    tissue, atlases, own, measure_in, resolution, n_samples, seed, settings
        As in `map_visit`.
    out_list : str
        List of all files written; it is written last.
    """
    one_by_one(
        visits,
        lambda visit: map_visit(
            **visit,
            tissue=tissue,
            atlases=atlases,
            own=own,
            measure_in=measure_in,
            resolution=resolution,
            n_samples=n_samples,
            seed=seed,
            settings=settings,
        ),
    )
    write_list(visits, out_list, "Tensor measures of this patient's visits, and their maps.")
