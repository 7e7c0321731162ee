"""The whole room on one simulated cohort with known change."""

from __future__ import annotations

import runpy

import pytest


@pytest.mark.slow
def test_best_strategy_recovers_the_planted_change(repository):
    bench = runpy.run_path(str(repository / "tests/benchmarks/bench_functional_strategies.py"))
    found = {name: rows.mean(axis=0) for name, rows in bench["compare"](n_patients=12).items()}
    bias, change, false_change = found["scrubbing"][:3]
    assert abs(bias) < 0.02
    assert change == pytest.approx(bench["PLANTED"], abs=0.03)
    assert abs(false_change) < 0.03
    # motion alone makes a change where there is none, and global signal regression shifts all
    assert found["none"][2] > 0.2
    assert found["36p"][0] < -0.05
    assert found["scrubbing"][3] > found["24p"][3] > found["none"][3]
