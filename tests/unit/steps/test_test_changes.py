import numpy as np
import pandas as pd
import pytest

from msimaging.statistics.inference import adjust_p_values
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
