"""Simulated patients with known truth: the demo, planning, and the ground truth of the tests."""

from msimaging.phantom.trial import simulate_trial
from msimaging.phantom.truth import TrialTruth, VisitTruth, true_region_values

__all__ = ["TrialTruth", "VisitTruth", "simulate_trial", "true_region_values"]
