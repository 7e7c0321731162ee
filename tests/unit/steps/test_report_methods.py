import pandas as pd
import pytest

from msimaging.reporting.methods import methods_text
from msimaging.settings import validated
from msimaging.steps.report_methods import step_records

MOVED = pd.DataFrame({"step": ["correct_dwi_motion"], "state": ["done"]})
LEDGER = pd.DataFrame({"step": ["preprocess_dwi", "fit_tensor"], "state": ["done", "done"]})


@pytest.mark.parametrize("motion", [True, False])
def test_a_correction_that_was_switched_off_leaves_the_methods_text(motion: bool) -> None:
    diffusion = {"motion": motion, "outliers": not motion}
    settings = validated({"bids_dir": "bids", "diffusion": diffusion})
    ledger = pd.concat([LEDGER, MOVED]) if motion else LEDGER
    text = methods_text(step_records(ledger, settings))
    told = " ".join(sentence for chapter in text.chapters for sentence in chapter.sentences)
    left_out = " ".join(text.not_run)
    assert ("eddy currents were corrected" in told) is motion
    assert ("eddy currents" in left_out) is not motion
    assert ("Slices that had lost signal were replaced" in told) is not motion
    assert ("dropped slices" in left_out) is motion
    assert "susceptibility distortion" in left_out


def test_lesions_are_told_where_there_are_some_and_missed_nowhere() -> None:
    settings = validated({"bids_dir": "bids", "spatial": {"lesion_rim_mm": 2}})
    without = methods_text(step_records(LEDGER, settings))
    assert "lesion" not in " ".join(without.not_run)
    split = pd.DataFrame({"step": ["split_tissue"], "state": ["done"]})
    text = methods_text(step_records(pd.concat([LEDGER, split]), settings))
    told = " ".join(sentence for chapter in text.chapters for sentence in chapter.sentences)
    assert "a rim of 2 mm" in told


@pytest.mark.parametrize("state", ["done", "absent"])
@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("correct_distortion", "Correction of susceptibility distortion: not done"),
        ("correct_bold_distortion", "susceptibility distortion of resting runs: not done"),
    ],
)
def test_distortion_is_told_as_the_ledger_has_it(state: str, step: str, name: str) -> None:
    reason = "no second polarity" if state == "absent" else ""
    rows = pd.DataFrame({"step": [step], "state": [state], "reason": [reason]})
    settings = validated({"bids_dir": "bids"})
    text = methods_text(step_records(pd.concat([LEDGER, rows]), settings))
    told = " ".join(sentence for chapter in text.chapters for sentence in chapter.sentences)
    assert ("opposite phase encoding" in told) is (state == "done")
    left_out = [line for line in text.not_run if name in line]
    assert len(left_out) == (state == "absent")
    assert all("no second polarity" in line for line in left_out)


@pytest.mark.parametrize("asked", [False, "auto"])
def test_free_water_is_told_as_asked(asked: object) -> None:
    settings = validated({"bids_dir": "bids", "diffusion": {"free_water": asked}})
    rows = pd.DataFrame({"step": ["fit_free_water"], "state": ["done"]}) if asked else None
    text = methods_text(step_records(pd.concat([LEDGER, rows]), settings))
    told = " ".join(sentence for chapter in text.chapters for sentence in chapter.sentences)
    left_out = " ".join(text.not_run).lower()
    assert ("shells up to 2000 s/mm2" in told) is bool(asked)
    assert ("free-water elimination" in left_out) is not bool(asked)
    assert "diffusion kurtosis" in left_out
