"""Visits in long form: numbers checked, incomplete rows counted, duplicates refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.statistics.inputs import refuse


def complete_visits(
    visits: pd.DataFrame, *, columns: list[str], patient: str, time: str
) -> tuple[pd.DataFrame, int]:
    """Return complete rows in order of patient and time, and how many were incomplete.

    Parameters
    ----------
    visits : DataFrame
        One row per patient and visit; its index names the rows in messages.
    columns : list of str
        Columns that must be numbers, ``time`` among them.
    patient, time : str
        Columns of the patient and of the months since baseline.

    Raises
    ------
    InputError
        For missing columns, text in number columns, or two rows of a patient at one time.
    """
    absent = [column for column in [*columns, patient] if column not in visits.columns]
    if absent:
        raise refuse(
            "visits", "columns of the model are in the table", f"no {absent}", "Check the names."
        )
    table = visits[[patient, *columns]].copy()
    findings: list[Finding] = []
    for column in columns:
        numbers = pd.to_numeric(table[column], errors="coerce")
        findings.extend(_text_in_numbers(table[column], numbers))
        table[column] = numbers.astype(np.float64)
    complete = table.dropna().sort_values([patient, time], kind="stable")
    findings.extend(_duplicates(complete, patient, time))
    if findings:
        raise InputError(findings)
    return complete, len(table) - len(complete)


def time_design(months: NDArray[np.float64], knot: float | None) -> NDArray[np.float64]:
    """Return intercept, months, and (with a knot) months after it, one row per visit."""
    columns = [np.ones_like(months), months]
    if knot is not None:
        columns.append(np.maximum(months - knot, 0.0))
    return np.column_stack(columns)


def _text_in_numbers(column: pd.Series, numbers: pd.Series) -> list[Finding]:
    wrong = column[numbers.isna() & column.notna()]
    return [
        Finding(
            rule="values are numbers",
            where=f"row {row}, column {column.name}",
            found=repr(value),
            remedy="Correct the cell, or leave it empty where the value is unknown.",
        )
        for row, value in wrong.items()
    ]


def _duplicates(complete: pd.DataFrame, patient: str, time: str) -> list[Finding]:
    twice = complete[complete.duplicated([patient, time], keep=False)]
    return [
        Finding(
            rule="one row per patient and visit",
            where=f"row {row}, column {time}",
            found=f"{patient} {name!s} more than once at {months:g}",
            remedy="Drop the duplicate.",
        )
        for row, name, months in zip(twice.index, twice[patient], twice[time], strict=True)
    ]
