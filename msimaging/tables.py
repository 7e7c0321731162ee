"""The door to tables and sidecars on disk: TSV with ``n/a`` for missing, JSON, whole files only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msimaging.errors import Finding, InputError
from msimaging.volumes import whole_file

FLOAT_FORMAT = "%.10g"


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a BIDS table; ``n/a`` becomes missing, identifiers stay text.

    Parameters
    ----------
    path : path
        Tab-separated file with a header.

    Returns
    -------
    DataFrame
        Columns whose names end in ``_id`` are text.

    Raises
    ------
    InputError
        When the file is missing, empty or not a table.
    """
    try:
        header = pd.read_csv(path, sep="\t", nrows=0)
        text = {name: str for name in header.columns if str(name).endswith("_id")}
        return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=text)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        finding = Finding(
            where=str(path),
            rule="a table must be tab-separated text with one header line",
            found=str(error).strip().split("\n")[0],
            remedy="Save it as tab-separated UTF-8 text.",
        )
        raise InputError([finding]) from error


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table, whole or not at all; missing values and empty text become ``n/a``.

    Parameters
    ----------
    path : path
        Ends in ``.tsv``.
    table : DataFrame
        Written without its index.
    """
    with whole_file(path) as temporary:
        table.replace("", np.nan).to_csv(
            temporary,
            sep="\t",
            index=False,
            na_rep="n/a",
            float_format=FLOAT_FORMAT,
            lineterminator="\n",
        )


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path : path
        A sidecar.

    Returns
    -------
    dict
        The object.

    Raises
    ------
    InputError
        When the file is missing, not JSON, or not an object.
    """
    remedy = "Repair or remove the file; dcm2niix writes such sidecars."
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = "a sidecar must be readable JSON"
        raise InputError(
            [Finding(where=str(path), rule=rule, found=str(error), remedy=remedy)]
        ) from error
    if not isinstance(content, dict):
        found = f"a {type(content).__name__}"
        rule = "a sidecar must hold one JSON object"
        raise InputError([Finding(where=str(path), rule=rule, found=found, remedy=remedy)])
    return content


def write_json(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.json``.
    content : mapping
        Plain values; numpy numbers are not accepted.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sidecar_of(path: Path | str) -> Path:
    """Return the name of the JSON sidecar that belongs to an image or a table.

    Parameters
    ----------
    path : path
        ``x.nii.gz``, ``x.tsv`` and the like.

    Returns
    -------
    Path
        ``x.json``.
    """
    path = Path(path)
    return path.with_name(path.name.split(".")[0] + ".json")
