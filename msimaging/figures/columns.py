"""What figures ask of the tables they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError


def require_columns(table: pd.DataFrame, columns: Sequence[str], figure: str) -> None:
    """Raise when a table lacks what a figure draws.

    Parameters
    ----------
    table : DataFrame
        Given to the figure.
    columns : sequence of str
        Needed columns.
    figure : str
        Name of the figure, for the message.

    Raises
    ------
    InputError
        Naming every missing column.
    """
    missing = [name for name in columns if name not in table.columns]
    if missing:
        finding = Finding(
            where=figure,
            rule=f"the table needs the columns {', '.join(columns)}",
            found=f"no {', '.join(missing)}",
            remedy="Pass the table with these columns.",
        )
        raise InputError([finding])


def require_one(table: pd.DataFrame, columns: Sequence[str], figure: str) -> None:
    """Raise when a figure of one measure is given several.

    Parameters
    ----------
    table : DataFrame
        Given to the figure.
    columns : sequence of str
        Columns that must hold one value; absent ones are not looked at.
    figure : str
        Name of the figure, for the message.

    Raises
    ------
    InputError
        Naming every column with several values.
    """
    findings = [
        Finding(
            where=figure,
            rule=f"one figure shows one {name}",
            found=", ".join(map(str, table[name].unique())),
            remedy=f"Select the rows of one {name}.",
        )
        for name in columns
        if name in table.columns and len(table[name].unique()) > 1
    ]
    if findings:
        raise InputError(findings)


def truth(column: pd.Series[Any]) -> NDArray[np.bool_]:
    """Return a verdict column as booleans; missing is False, also when read as text.

    Parameters
    ----------
    column : Series
        Booleans, 0/1 or the words true/false.

    Returns
    -------
    NDArray of bool
        One per row.
    """
    words = column.astype("string").str.lower()
    return words.isin(["true", "1", "1.0", "yes"]).fillna(value=False).to_numpy(dtype=bool)
