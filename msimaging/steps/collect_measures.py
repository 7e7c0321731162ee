"""Step: every measurement of every visit in one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from msimaging.steps.changes import MEASURE_COLUMNS, NETWORK_MEASURE
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table


def collect_measures(
    *,
    diffusion: Sequence[str],
    functional: Sequence[str],
    diffusion_rows: Sequence[Mapping[str, Any]],
    functional_rows: Sequence[Mapping[str, Any]],
    out_table: str,
) -> None:
    """Stack the tables of all visits.

    Parameters
    ----------
    diffusion, functional : sequence of str
        Region tables and tables of network means.
    diffusion_rows, functional_rows : sequence of mapping
        Patient, session, months and atlas of each table.
    out_table : str
        ``measures.tsv``.
    """
    parts = [
        with_facts(read_regions(path), row, modality="dwi")
        for path, row in zip(diffusion, diffusion_rows, strict=True)
    ]
    parts += [
        with_facts(read_networks(path), row, modality="bold").assign(units="1", coverage=None)
        for path, row in zip(functional, functional_rows, strict=True)
    ]
    write_table(out_table, stacked(parts, list(MEASURE_COLUMNS)))
    describe(
        out_table,
        "One row for each measurement.",
        sources=[*diffusion, *functional],
        columns=MEASURE_COLUMNS,
    )


def read_regions(path: str) -> pd.DataFrame:
    """Read a visit's table of regions, whose names become labels."""
    return read_table(path).rename(columns={"name": "label"})


def read_networks(path: str) -> pd.DataFrame:
    """Read a visit's table of network means, with the name of the measure."""
    return read_table(path).assign(measure=NETWORK_MEASURE)


def with_facts(table: pd.DataFrame, row: Mapping[str, Any], *, modality: str) -> pd.DataFrame:
    """Add what is known of a whole table to its rows; a rating joins the flags.

    Parameters
    ----------
    table : DataFrame
        One table of a visit or of a pair of visits.
    row : mapping
        Patient, sessions, months, atlas and, of a scan that was rated doubtful, ``rated``.
    modality : str
        Of the table.

    Returns
    -------
    DataFrame
        With a column ``flags``, empty where there are none.
    """
    facts = {name: value for name, value in row.items() if name != "rated"}
    own = table["flags"].fillna("") if "flags" in table else [""] * len(table)
    flags = [";".join(filter(None, (flag, row.get("rated")))) for flag in own]
    return table.assign(**facts, modality=modality, flags=flags)


def stacked(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Stack tables of unlike columns; a column that a table lacks is missing there.

    Parameters
    ----------
    parts : sequence of DataFrame
        May be empty.
    columns : sequence of str
        Columns of the result.

    Returns
    -------
    DataFrame
        Rows in the order given.
    """
    rows = [row for part in parts for row in part.to_dict("records")]
    return pd.DataFrame(rows, columns=list(columns))
