"""Steps that start for every scan import nothing heavy that they do not use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("dipy", "nilearn", "scipy.stats", "SimpleITK", "sklearn", "statsmodels")
DRAWING = (
    *("draw_connectivity", "draw_detection", "draw_patient_dwi", "draw_regions", "look_at_dwi"),
    "write_report",
)


def test_drawing_starts_without_the_libraries_of_computing() -> None:
    names = ", ".join(f"msimaging.steps.{name}" for name in DRAWING)
    code = f"import sys, {names}; print(*[name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == []
