"""Several visits by one number per patient: the slope, tested like any other change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.statistics.effects import PairedEffect, paired_effect
from msimaging.statistics.inputs import refuse
from msimaging.statistics.sign_flip import SignFlipTest, sign_flip_test
from msimaging.statistics.visits import complete_visits, time_design


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientSlopes:
    """Slope of every patient, and the test of their mean.

    Attributes
    ----------
    patients : tuple
        Patients with enough visits, sorted.
    slopes : ndarray, shape (S,)
        Change per month; with a knot, slope after the knot minus slope before.
    effect : PairedEffect
        Mean slope with t(n - 1).
    flips : SignFlipTest
        Exact sign-flip test of the same slopes.
    left_out : tuple
        Patients with too few visits for a slope.
    """

    patients: tuple[Any, ...]
    slopes: NDArray[np.float64]
    effect: PairedEffect
    flips: SignFlipTest
    left_out: tuple[Any, ...]


def patient_slopes(
    visits: pd.DataFrame,
    *,
    outcome: str,
    time: str = "months",
    patient: str = "participant_id",
    knot: float | None = None,
    level: float = 0.95,
) -> PatientSlopes:
    """Fit a line to each patient's visits and test the mean slope with t(n - 1).

    For few patients this is the default: its t-test is exact when slopes are normal and visits
    alike, whatever the covariance within patients.

    Parameters
    ----------
    visits : DataFrame
        One row per patient and visit.
    outcome, time, patient : str
        Columns; true months since baseline.
    knot : float, optional
        Month of treatment, where visits lie on both sides: the line may bend there, and the bend
        is tested.
    level : float
        Level of the interval.

    Raises
    ------
    InputError
        For missing columns, text, two visits of a patient at one time, or no slope at all.

    References
    ----------
    Matthews 1990 (summary measures).
    """
    table = complete_visits(visits, columns=[outcome, time], patient=patient, time=time)[0]
    slopes: dict[Any, float] = {}
    left_out = []
    for name, rows in table.groupby(patient, sort=True):
        design = time_design(rows[time].to_numpy(), knot)
        if np.linalg.matrix_rank(design) < design.shape[1]:
            left_out.append(name)
            continue
        slopes[name] = float(np.linalg.lstsq(design, rows[outcome].to_numpy())[0][-1])
    if not slopes:
        raise refuse(
            outcome,
            "visits at two times (three with a knot) of at least one patient",
            f"{len(left_out)} patients with fewer",
            "Model the change between two visits instead.",
        )
    values = np.array(list(slopes.values()))
    return PatientSlopes(
        patients=tuple(slopes),
        slopes=values,
        effect=paired_effect(np.zeros(values.size), values, level=level),
        flips=sign_flip_test(values),
        left_out=tuple(left_out),
    )
