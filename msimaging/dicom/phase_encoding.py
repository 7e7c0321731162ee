"""Direction and duration of phase encoding, completed where a vendor's header leaves them open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

#: Fields without which a field map of this kind is of no use, and no valid BIDS.
REQUIRED_FOR_EPI = ("PhaseEncodingDirection", "TotalReadoutTime")
_OPPOSITE = {"A": "P", "P": "A", "L": "R", "R": "L", "S": "I", "I": "S"}


def complete_phase_encoding(
    fields: Mapping[str, Any], *, label: str, affine: NDArray[np.float64]
) -> dict[str, Any]:
    """Add what the name of a series and dcm2niix's estimates tell.

    Parameters
    ----------
    fields : mapping
        Sidecar; given fields are not changed.
    label : str
        Of the entity ``dir``, for example ``AP``: from anterior to posterior.
    affine : (4, 4) ndarray
        Of the image.

    Returns
    -------
    dict
        Only the fields that were added. Some vendors write the axis into the header and not its
        sign; the sign then follows from the label and from the way the axis runs in the image.
    """
    added: dict[str, Any] = {}
    estimated = fields.get("EstimatedTotalReadoutTime")
    if "TotalReadoutTime" not in fields and estimated is not None:
        added["TotalReadoutTime"] = estimated
    axis = str(fields.get("PhaseEncodingAxis", ""))[:1]
    if "PhaseEncodingDirection" in fields or axis not in {"i", "j", "k"} or len(label) != 2:
        return added
    towards = nib.aff2axcodes(affine)["ijk".index(axis)]
    if label == _OPPOSITE[towards] + towards:
        added["PhaseEncodingDirection"] = axis
    elif label == towards + _OPPOSITE[towards]:
        added["PhaseEncodingDirection"] = f"{axis}-"
    return added
