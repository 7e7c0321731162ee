"""Declared models on simulated trials with known truth: their numbers, floors and sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.bids.clinical import find_tables
from msimaging.bids.visits import Visits
from msimaging.phantom.clinical import ClinicalTruth, simulate_clinical
from msimaging.settings import validated
from msimaging.statistics.functional_composite import MSFC_REFERENCE, msfc_z
from msimaging.statistics.trial_data import ModelResult, ModelSettings, TrialData
from msimaging.statistics.trial_models import adjust_families, fit_trial_model
from msimaging.steps.collect_outcomes import patients_of
from msimaging.steps.fit_model import trial_data
from msimaging.steps.outcome_tables import read_clinical


def load(root: Path, truth: ClinicalTruth) -> TrialData:
    settings = validated({"bids_dir": str(root), **truth.settings})
    clinical = read_clinical(root, find_tables(root), Visits(rows=()), settings)
    values = pd.DataFrame(
        [{name: getattr(v, name) for name in v.__dataclass_fields__} for v in clinical.values]
    )
    needed = {"trial": settings["trial"], "outcomes": settings["outcomes"]}
    return trial_data(
        {**needed, "confidence": 0.95, "seed": 1},
        outcomes=values,
        patients=patients_of(clinical, settings, []),
        measures=pd.DataFrame(),
        changes=pd.DataFrame(),
        motion=pd.DataFrame(),
    )


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClinicalTruth, TrialData]:
    root = tmp_path_factory.mktemp("early")
    truth = simulate_clinical(root, shape="early")
    return truth, load(root, truth)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClinicalTruth, TrialData]:
    root = tmp_path_factory.mktemp("late")
    truth = simulate_clinical(root, shape="long")
    return truth, load(root, truth)


def fitted(trial: tuple[ClinicalTruth, TrialData], name: str) -> ModelResult:
    truth, data = trial
    return fit_trial_model(ModelSettings.of(name, truth.settings["models"][name]), data)


def told(result: ModelResult, topic: str) -> str:
    return " ".join(note["sentence"] for note in result.notes if note["topic"] == topic)


def test_five_equal_changes_give_no_t_and_the_floor(early):
    result = fitted(early, "disability")
    (row,) = result.rows
    assert (row["n"], row["estimate"]) == (5, -1.0)
    assert row["p"] == row["p_floor"] == 0.0625
    assert np.isnan([row["statistic"], row["ci_low"], row["effect"]]).all()
    assert {"no-t-test", "p-cannot-reach-0.05", "uncontrolled"} <= set(row["flags"].split(";"))
    (t,) = [test for test in result.tests if test["test"] == "paired t"]
    assert np.isnan(t["p"])
    assert "SD is 0" in t["remark"]
    assert "below 0.0625" in told(result, "floor")


def test_no_model_of_five_patients_gives_a_sign_flip_p_below_its_floor(early):
    for name in ("disability", "walking", "b-cells", "il10-course"):
        for row in fitted(early, name).rows:
            assert row["p"] >= row["p_floor"] >= 0.0625


def test_nine_of_sixteen_against_one_of_eight_depends_on_the_test(late):
    result = fitted(late, "dose")
    (row,) = result.rows
    assert row["p"] == pytest.approx(0.0791, abs=5e-5)
    p = {test["test"]: test["p"] for test in result.tests}
    assert p["chi-square, uncorrected"] == pytest.approx(0.0404, abs=5e-5)
    assert p["Barnard"] == pytest.approx(0.0437, abs=5e-4)
    assert {"depends-on-test", "survivor-bias", "post-hoc-subgroup"} <= set(row["flags"].split(";"))
    assert "9 of 16 (more than 2 n_treatments) against 1 of 8" in told(result, "test")
    assert "The claim depends on the test" in told(result, "test")
    assert "immortal time" in told(result, "survivor bias")


def test_a_placebo_rate_stands_beside_a_single_arm(late):
    result = fitted(late, "responders")
    assert result.rows[0]["estimate"] == 10 / 24
    assert "41.7 % (24.5 to 61.2 %)" in told(result, "placebo")
    assert "lies inside" in told(result, "placebo")
    assert "regression-to-the-mean" in result.rows[0]["flags"]
    rules = {row["rule"]: row["k"] for row in result.counts if row["outcome"] == "improved"}
    assert rules == {"any": 10, "kragt": 8, "pymsprog": 10}


@pytest.mark.parametrize("name", ["il10-course", "il10-mixed"])
def test_the_planted_slope_is_found(name, late):
    (row,) = fitted(late, name).rows
    assert row["n"] == 24
    assert row["ci_low"] < late[0].il10_slope < row["ci_high"]


def test_concomitant_drugs_are_named_beside_b_cells_and_nowhere_else(early):
    assert "sub-01 (rituximab)" in told(fitted(early, "b-cells"), "concomitant treatment")
    assert not told(fitted(early, "walking"), "concomitant treatment")


def test_the_patient_without_a_value_is_told(early):
    result = fitted(early, "b-cells")
    assert (result.rows[0]["n"], result.rows[0]["n_excluded"]) == (4, 1)
    assert "no value at ses-month06: sub-05" in told(result, "missing")
    (left,) = [row for row in result.patients if not row["used"]]
    assert (left["participant_id"], left["reason"]) == ("sub-05", "no value at ses-month06")


def test_leaving_each_patient_out_is_what_it_says(early):
    result = fitted(early, "walking")
    changes = np.array([row["value"] for row in result.patients])
    without = [row["estimate_without"] for row in result.patients]
    assert without == pytest.approx((changes.sum() - changes) / 4)


def test_order_and_names_of_patients_change_nothing(late):
    truth, data = late
    shuffled = replace(
        data,
        values=data.values.sample(frac=1, random_state=3),
        patients=data.patients.sample(frac=1, random_state=4),
    )
    for name in truth.settings["models"]:
        first = fitted((truth, data), name).rows[0]
        second = fitted((truth, shuffled), name).rows[0]
        for key in ("n", "estimate", "ci_low", "p_floor"):
            assert second.get(key) == pytest.approx(first.get(key), nan_ok=True), (name, key)


def test_families_are_corrected_apart_and_max_t_is_kept():
    rows = [
        {"family": "primary", "p": 0.04},
        {"family": "secondary", "p": 0.01},
        {"family": "secondary", "p": 0.03},
        {"family": "secondary", "p": 0.5, "p_adjusted": 0.9, "adjustment": "max-t over 4 labels"},
    ]
    found = adjust_families(rows, {"primary": "holm", "secondary": "holm"})
    assert [row["p_adjusted"] for row in found] == pytest.approx([0.04, 0.02, 0.03, 0.9])


def test_a_model_without_values_says_so(early):
    _, data = early
    settings = ModelSettings.of("none", {"kind": "paired", "outcome": "rd"})
    empty = replace(data, changes=pd.DataFrame(columns=["measure", "follow_up", "months"]))
    (row,) = fit_trial_model(settings, empty).rows
    assert row["flags"].startswith("not-tested: no values of rd")


def test_msfc_is_zero_at_its_reference_and_better_when_faster():
    reference = {name: mean for name, (mean, _) in MSFC_REFERENCE.items()}
    pegs = [[1 / reference["nhpt"]] * 2] * 2
    z = msfc_z([reference["t25fw"], 5.0], pegs, [reference["pasat"]] * 2)
    assert z == pytest.approx([0.0, (9.5353 - 5.0) / 11.4058 / 3])
