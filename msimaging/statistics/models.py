"""Models of several visits, arms, doses and events, under one name."""

from __future__ import annotations

from msimaging.statistics.association import Association, association
from msimaging.statistics.groups import Ancova, Contrast, FriedmanTest, ancova, friedman
from msimaging.statistics.mixed import MixedModel, Term, mixed_model
from msimaging.statistics.slopes import PatientSlopes, patient_slopes
from msimaging.statistics.survival import SurvivalCurve, TimeToEvent, time_to_event

__all__ = [
    "Ancova",
    "Association",
    "Contrast",
    "FriedmanTest",
    "MixedModel",
    "PatientSlopes",
    "SurvivalCurve",
    "Term",
    "TimeToEvent",
    "ancova",
    "association",
    "friedman",
    "mixed_model",
    "patient_slopes",
    "time_to_event",
]
