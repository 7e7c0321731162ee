"""Step: what all models found, each kind of table in one file."""

from __future__ import annotations

from collections.abc import Sequence

from msimaging.steps.collect_measures import stacked
from msimaging.steps.fit_model import (
    COUNT_COLUMNS,
    NOTE_COLUMNS,
    PATIENT_COLUMNS,
    TEST_COLUMNS,
)
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table


def collect_models(
    *,
    tests: Sequence[str],
    contributions: Sequence[str],
    notes: Sequence[str],
    counts: Sequence[str],
    out_tests: str,
    out_contributions: str,
    out_notes: str,
    out_counts: str,
) -> None:
    """Stack the tables of all models.

    Parameters
    ----------
    tests, contributions, notes, counts : sequence of str
        One of each a model.
    out_tests, out_contributions, out_notes, out_counts : str
        ``tests.tsv``, ``contributions.tsv``, ``notes.tsv`` and ``responders.tsv``.
    """
    for paths, path, columns, text in (
        (tests, out_tests, TEST_COLUMNS, "Labelled alternatives beside results.tsv."),
        (contributions, out_contributions, PATIENT_COLUMNS, "What each patient contributed."),
        (notes, out_notes, NOTE_COLUMNS, "Sentences that belong beside results.tsv."),
        (counts, out_counts, COUNT_COLUMNS, "Responders and points of survival curves."),
    ):
        write_table(path, stacked([read_table(name) for name in paths], list(columns)))
        describe(path, text, sources=paths, columns=columns)
