"""What the tables of change have in common: their columns, and flags of unlike acquisitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding
from msimaging.longitudinal.rescans import sdc_of_rescans
from msimaging.tables import read_table

#: Flag of a run that is left out of statistics because little of it is clean.
TOO_LITTLE_DATA = "too-little-data"
CHANGE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "participant_id": "Patient.",
        "baseline": "Session of the earlier visit.",
        "follow_up": "Session of the later visit.",
        "months": "Months between the visits, from their dates.",
        "modality": "dwi or bold.",
        "atlas": "Atlas that defines the labels.",
        "label": "Region, parcel, or pair of networks.",
        "measure": "What was measured.",
        "baseline_value": "Value at the earlier visit.",
        "follow_up_value": "Value at the later visit.",
        "change": "Follow-up minus baseline.",
        "percent_change": "Change in per cent of the mean of both visits.",
        "se": "Standard error of the change from the noise of both scans.",
        "ci_low": "Lower limit of the change from scan noise.",
        "ci_high": "Upper limit of the change from scan noise.",
        "sdc": "Smallest change that an untreated rescan would show in no more than 5 %.",
        "detectable": "The change is larger than the noise of these scans.",
        "reliable": "The change is larger than an untreated rescan would show; n/a if not known.",
        "flags": "What speaks against reading the change, separated by semicolons.",
    }
)
MEASURE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "participant_id": "Patient.",
        "session_id": "Visit.",
        "months": "Months since the patient's first visit, from the dates.",
        "modality": "dwi or bold.",
        "atlas": "Atlas that defines the labels.",
        "label": "Region, parcel, or pair of networks.",
        "measure": "What was measured.",
        "value": "The measurement.",
        "units": "Unit of the value.",
        "coverage": "Share of the region that the scan covers.",
        "flags": "What speaks against using the value, separated by semicolons.",
    }
)


def known_only(verdicts: NDArray[np.bool_], basis: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return verdicts as objects, None where the number that they rest on is missing."""
    known = verdicts.astype(object)
    known[~np.isfinite(basis)] = None
    return known


def differing_in_all(flags: Iterable[object]) -> list[str]:
    """Return the fields in which the visits of every patient differ.

    Parameters
    ----------
    flags : iterable
        Cells of the column ``flags``, one or more a patient; missing cells count as empty.

    Returns
    -------
    list of str
        The effect of such a field cannot be told from the effect of time.
    """
    cells = [set(str(cell).split(";")) for cell in flags]
    common = set.intersection(*cells) if cells else set()
    return sorted(flag.removeprefix("differs:") for flag in common if flag.startswith("differs:"))


def comparability_flags(findings: Iterable[Finding]) -> str:
    """Put differences between two acquisitions into one cell of a table.

    Parameters
    ----------
    findings : iterable of Finding
        Of the comparison; notes are left out.

    Returns
    -------
    str
        ``differs:SoftwareVersions;differs:EchoTime``, empty where nothing differs.
    """
    grave = [finding for finding in findings if finding.severity != "note"]
    return ";".join(f"differs:{finding.where}" for finding in grave)


#: Flag of a smallest detectable change that comes from a paper.
PUBLISHED_SDC = "published-sdc"


def judged_by_rescans(
    changes: pd.DataFrame, repeatability: Sequence[str], *, modality: str, atlas: str
) -> pd.DataFrame:
    """Let this study's own rescans decide what is reliable, wherever there are enough of them.

    Parameters
    ----------
    changes : DataFrame
        Columns ``label measure change sdc reliable flags``.
    repeatability : sequence of str
        The table of rescan noise, or nothing where nobody was scanned again.
    modality, atlas : str
        Of the changes.

    Returns
    -------
    DataFrame
        The same rows; labels that were not measured often enough keep what they had.
    """
    if not repeatability:
        return changes
    noise = read_table(repeatability[0])
    own = noise[(noise["modality"] == modality) & (noise["atlas"] == atlas)]
    sdc = sdc_of_rescans(own, list(changes["label"]), list(changes["measure"]))
    size = changes["change"].abs().to_numpy(float)
    known = np.isfinite(sdc) & np.isfinite(size)
    verdicts = known_only(size > sdc, np.where(known, size, np.nan))
    published = changes["flags"].str.split(";").map(lambda flags: _without(flags, PUBLISHED_SDC))
    return changes.assign(
        sdc=np.where(known, sdc, changes["sdc"].to_numpy(float)),
        reliable=np.where(known, verdicts, changes["reliable"].to_numpy(object)),
        flags=np.where(known, published, changes["flags"]),
    )


def _without(flags: Sequence[str], unwanted: str) -> str:
    return ";".join(flag for flag in flags if flag != unwanted)
