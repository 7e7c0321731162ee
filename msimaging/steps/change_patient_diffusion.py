"""Step: changes of the tensor measures between all pairs of visits of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.change_diffusion import change_diffusion
from msimaging.steps.file_list import write_list
from msimaging.steps.one_by_one import one_by_one


def change_patient_diffusion(
    *,
    pairs: Sequence[Mapping[str, Any]],
    grades: Mapping[str, str],
    repeatability: Sequence[str],
    measures: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    confidence: float,
    rescan_cov_percent: Mapping[str, float],
    out_list: str,
) -> None:
    """Compare the visits of every pair.

    Parameters
    ----------
    pairs : sequence of mapping
        The other arguments of `change_diffusion`, for each pair.
    grades, repeatability, measures, atlases, own, confidence, rescan_cov_percent
        As in `change_diffusion`.
    out_list : str
        List of all files written; it is written last.
    """
    one_by_one(
        pairs,
        lambda pair: change_diffusion(
            **pair,
            grades=grades,
            repeatability=repeatability,
            measures=measures,
            atlases=atlases,
            own=own,
            confidence=confidence,
            rescan_cov_percent=rescan_cov_percent,
        ),
    )
    write_list(pairs, out_list, "Changes of the tensor measures between this patient's visits.")
