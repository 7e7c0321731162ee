"""Step: changes of connectivity between all pairs of visits of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.change_connectivity import change_connectivity
from msimaging.steps.file_list import write_list
from msimaging.steps.one_by_one import one_by_one


def change_patient_connectivity(
    *,
    pairs: Sequence[Mapping[str, Any]],
    grades: Mapping[str, str],
    repeatability: Sequence[str],
    atlases: Sequence[str],
    confidence: float,
    out_list: str,
) -> None:
    """Compare the visits of every pair.

    Parameters
    ----------
    pairs : sequence of mapping
        The other arguments of `change_connectivity`, for each pair.
    grades, repeatability, atlases, confidence
        As in `change_connectivity`.
    out_list : str
        List of all files written; it is written last.
    """
    one_by_one(
        pairs,
        lambda pair: change_connectivity(
            **pair,
            grades=grades,
            repeatability=repeatability,
            atlases=atlases,
            confidence=confidence,
        ),
    )
    write_list(pairs, out_list, "Changes of connectivity between this patient's visits.")
