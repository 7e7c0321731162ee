"""Time series and matrices on disk: labels travel with every number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.tables import read_json, read_table, sidecar_of, write_table


def write_time_series(
    path: Path | str, time_series: NDArray[np.float64], names: Sequence[str]
) -> None:
    """Write a time series, one named column a parcel; parcels without signal are ``n/a``."""
    write_table(path, pd.DataFrame(time_series, columns=list(names)))


def read_time_series(path: Path | str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read (T, P) values and the P names of a time series."""
    table = read_table(path)
    return table.to_numpy(dtype=np.float64), tuple(str(name) for name in table.columns)


def write_matrix(path: Path | str, matrix: NDArray[np.float64], names: Sequence[str]) -> None:
    """Write a matrix with its labels in the first column and in the header."""
    table = pd.DataFrame(matrix, columns=list(names))
    table.insert(0, "Node", list(names))
    write_table(path, table)


def read_matrix(path: Path | str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read (P, P) values and the P labels of a matrix."""
    table = read_table(path)
    names = tuple(str(name) for name in table["Node"])
    return table[list(names)].to_numpy(dtype=np.float64), names


def component_masks(confounds: Path | str) -> dict[str, Any]:
    """Read from the JSON of a confounds table what is known of each CompCor component."""
    sidecar = read_json(sidecar_of(confounds))
    return {name: fact for name, fact in sidecar.items() if "_comp_cor_" in name}
