import numpy as np
import pandas as pd
import pytest

from msimaging.statistics.inference import adjust_p_values
from msimaging.steps.changes import differing_in_all
from msimaging.steps.report_comparability import comparability_section
from msimaging.steps.test_changes import family_results

IDENTITY = {
    "baseline": "ses-a",
    "follow_up": "ses-b",
    "modality": "dwi",
    "atlas": "whitematter",
    "measure": "rd",
}
OPTIONS = {"confidence": 0.95, "seed": 1}


def test_a_label_without_values_is_told_and_the_others_are_tested() -> None:
    changes = pd.DataFrame({"CC": [1.0, 2, 3, 5], "empty": [np.nan] * 4, "CST": [1, -2, np.nan, 4]})
    corpus, empty, tract = family_results(changes, IDENTITY, adjustment="holm", **OPTIONS)
    assert (corpus["n"], corpus["estimate"], corpus["p"]) == (4, 2.75, 0.125)
    assert (empty["n"], empty["n_excluded"], empty["flags"]) == (0, 4, "no-values")
    assert np.isnan([empty["p"], empty["p_adjusted"]]).all()
    assert (tract["n"], tract["n_excluded"]) == (3, 1)
    expected = adjust_p_values([corpus["p"], tract["p"]], method="holm")
    assert [corpus["p_adjusted"], tract["p_adjusted"]] == pytest.approx(expected)
    assert corpus["adjustment"] == "holm over 2 tests"


def test_a_test_that_cannot_reach_the_level_says_so() -> None:
    few = pd.DataFrame({"CC": [1.0, 2.0, 3.0]})
    many = pd.DataFrame({"CC": np.arange(1.0, 8.0)})
    (of_few,) = family_results(few, IDENTITY, adjustment="bh", **OPTIONS)
    (of_many,) = family_results(many, IDENTITY, adjustment="bh", **OPTIONS)
    assert of_few["flags"] == "uncontrolled;p-cannot-reach-0.05"
    assert of_few["p_floor"] == 0.25
    assert of_many["flags"] == "uncontrolled"
    assert of_many["model"] == "paired change ses-a to ses-b"


def changes_of(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "modality": "dwi",
            "participant_id": [sub for sub, _ in pairs],
            "baseline": "ses-a",
            "follow_up": "ses-b",
            "flags": [flags for _, flags in pairs],
        }
    )


LEDGER = pd.DataFrame(
    {
        "step": ["change of bold", "fit_tensor"],
        "participant_id": ["sub-3", "sub-3"],
        "session_id": ["aToB", "ses-a"],
        "state": ["excluded", "done"],
        "reason": ["VoxelSize: 3 then 2", ""],
    }
)


def test_what_differs_in_every_patient_cannot_be_told_from_time() -> None:
    software = "differs:SoftwareVersions"
    everyone = changes_of(
        ("sub-1", f"{software};low-fa"), ("sub-2", f"differs:EchoTime;{software}")
    )
    assert differing_in_all(everyone["flags"]) == ["SoftwareVersions"]
    assert differing_in_all([software, np.nan]) == []
    assert differing_in_all([]) == []
    section = comparability_section(everyone, LEDGER)
    assert section.paragraphs[0].startswith("2 of 2 compared pairs of scans differ")
    assert "1 pairs were not compared" in section.paragraphs[0]
    assert "not estimable" in section.paragraphs[1]
    assert section.tables[1].table["reason"].tolist() == ["VoxelSize: 3 then 2"]
    one = changes_of(("sub-1", software), ("sub-2", "published-sdc"))
    assert len(comparability_section(one, LEDGER).paragraphs) == 1
