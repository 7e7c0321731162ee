"""Step: every change of every patient in one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msimaging.steps.changes import CHANGE_COLUMNS
from msimaging.steps.collect_measures import stacked, with_facts
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table


def collect_changes(
    *,
    diffusion: Sequence[str],
    functional: Sequence[str],
    diffusion_rows: Sequence[Mapping[str, Any]],
    functional_rows: Sequence[Mapping[str, Any]],
    out_table: str,
) -> None:
    """Stack the tables of all pairs of visits.

    Parameters
    ----------
    diffusion, functional : sequence of str
        Changes of regions and of network means.
    diffusion_rows, functional_rows : sequence of mapping
        Patient, both sessions, months and atlas of each table.
    out_table : str
        ``changes.tsv``.
    """
    parts = [
        with_facts(read_table(path), row, modality=modality)
        for paths, rows, modality in (
            (diffusion, diffusion_rows, "dwi"),
            (functional, functional_rows, "bold"),
        )
        for path, row in zip(paths, rows, strict=True)
    ]
    write_table(out_table, stacked(parts, list(CHANGE_COLUMNS)))
    describe(
        out_table,
        "One row for each change between two visits of a patient.",
        sources=[*diffusion, *functional],
        columns=CHANGE_COLUMNS,
    )
