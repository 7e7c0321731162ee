"""What the tables of change have in common: their columns, and flags of unlike acquisitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from msimaging.errors import Finding

#: Names of network means and of mean connectivity of parcels among the measures.
NETWORK_MEASURE, STRENGTH_MEASURE = "fisherz", "strength"
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
