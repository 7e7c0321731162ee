"""Fields that identify people, places or machines never reach a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import pandas as pd

T = TypeVar("T")

# DICOM attributes that dcm2niix and other converters can leave in sidecars
_IDENTIFYING = (
    "patient(s)?(name|id|birth|sex|age|weight|size|address|comments|telephone)|otherpatient"
    "|issuerofpatient|(^|_)birth_?date|institution|deviceserial|stationname|physician|operator"
    "|accessionnumber|studyid|(study|series|sop|acquisition)?instanceuid|ethnicgroup"
    "|^acquisition(date)?time$|^(study|series|content)(date|time)$|imagecomments|procedurestep"
)


def identifies(name: str) -> bool:
    """Tell whether a field's name is one of those that can identify a person or a site.

    Parameters
    ----------
    name : str
        Column or sidecar key.

    Returns
    -------
    bool
        True for PatientName, InstitutionName, DeviceSerialNumber and their like.
    """
    return re.search(_IDENTIFYING, re.sub(r"[\s_-]", "", str(name).lower())) is not None


def without_identifying(fields: Mapping[str, T]) -> dict[str, T]:
    """Return a mapping without identifying fields.

    Parameters
    ----------
    fields : mapping
        For example a sidecar.

    Returns
    -------
    dict
        A copy.
    """
    return {name: value for name, value in fields.items() if not identifies(name)}


def shareable(table: pd.DataFrame, masked_columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return a table without identifying columns and, for single patients, masked ones.

    Parameters
    ----------
    table : DataFrame
        Anything on a page.
    masked_columns : iterable of str
        Left out when the table has a row per patient (a column ``participant_id``).

    Returns
    -------
    DataFrame
        A copy with fewer columns.
    """
    masked = set(masked_columns) if "participant_id" in table.columns else set()
    kept = [name for name in table.columns if not identifies(name) and name not in masked]
    return table[kept]
