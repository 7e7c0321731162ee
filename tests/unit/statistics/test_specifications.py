"""The specification curve: each choice does to the numbers what its name says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from msimaging.statistics.inference import paired_effect
from msimaging.statistics.specifications import CHOICES, specification_curve
from msimaging.statistics.trial_data import ModelSettings, TrialData

PATIENTS = [f"sub-{number}" for number in range(7)]
KEYS = ["participant_id", "baseline", "follow_up", "atlas", "label", "measure"]
RD = ModelSettings.of(
    "rd",
    {
        "kind": "paired", "outcome": "rd", "atlas": "whitematter", "summary": "mean",
        "follow_up": "ses-m06",
    },
)  # fmt: skip


def changes(seed: int, measures: tuple[str, ...] = ("rd", "fa"), modality: str = "dwi"):
    generator = np.random.default_rng(seed)
    rows = []
    for name in PATIENTS:
        for measure in measures:
            for label in ("CC", "CST"):
                before = generator.normal(0.7, 0.05)
                change = generator.normal(-0.03, 0.03)
                rows.append(
                    {
                        **dict(zip(KEYS, (name, "ses-0", "ses-m06", "whitematter", label, measure),
                                   strict=True)),
                        "months": 6.0,
                        "modality": modality,
                        "baseline_value": before,
                        "follow_up_value": before + change,
                        "change": change,
                        "flags": "",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def trial(table: pd.DataFrame) -> TrialData:
    values = table.rename(columns={"baseline_value": "value", "baseline": "session_id"})
    return TrialData(
        values=values.assign(months=0.0),
        changes=table,
        patients=pd.DataFrame({"participant_id": PATIENTS, "arm": "", "concomitant": ""}),
        motion=pd.DataFrame(),
        declared={},
    )


def hedges_g(table: pd.DataFrame) -> float:
    means = table[table["measure"] == "rd"].groupby("participant_id")["change"].mean()
    return paired_effect(np.zeros(len(means)), means).hedges_g


NO_STRATEGIES = pd.DataFrame(columns=["strategy", "measure"])


def test_every_tensor_fit_is_an_analysis_of_its_own_numbers() -> None:
    own, other = changes(1), changes(2)
    curve = specification_curve(
        RD, trial(own), NO_STRATEGIES, fit="wls", fits=other.assign(fit="ols")
    )
    assert not curve.duplicated(list(CHOICES)).any()
    assert set(curve["fit"]) == {"wls", "ols"}
    assert set(curve["measure"]) == {"rd", "fa"}
    alike = curve[
        (curve["measure"] == "rd") & (curve["summary"] == "mean") & (curve["scale"] == "units")
    ].set_index("fit")
    assert alike["estimate"].to_dict() == pytest.approx(
        {"wls": hedges_g(own), "ols": hedges_g(other)}
    )
    (planned,) = curve[curve["prespecified"]].to_dict("records")
    assert (planned["fit"], planned["measure"], planned["scale"]) == ("wls", "rd", "units")


def test_a_comparison_that_was_not_allowed_stays_away_under_every_fit() -> None:
    own, other = changes(1), changes(2)
    own.loc[own["participant_id"] == "sub-3", "change"] = np.nan
    curve = specification_curve(
        RD, trial(own), NO_STRATEGIES, fit="wls", fits=other.assign(fit="ols")
    )
    assert set(curve["n"]) == {6}
    under = curve[(curve["fit"] == "ols") & (curve["measure"] == "rd")]
    (row,) = under[(under["summary"] == "mean") & (under["scale"] == "units")].to_dict("records")
    assert row["estimate"] == pytest.approx(hedges_g(other[other["participant_id"] != "sub-3"]))


def test_without_other_fits_there_is_one() -> None:
    curve = specification_curve(RD, trial(changes(1)), NO_STRATEGIES, fit="nlls")
    assert set(curve["fit"]) == {"nlls"}
    assert set(curve["strategy"]) == {"none"}


def test_strategies_are_for_connectivity_and_fits_are_not() -> None:
    table = changes(1, ("fisherz",), "bold")
    model = ModelSettings.of(
        "fc", {"kind": "paired", "outcome": "fisherz", "atlas": "whitematter", "summary": "mean"}
    )
    strategies = pd.concat(
        [table.assign(strategy="simple"), changes(5, ("fisherz",), "bold").assign(strategy="24p")]
    )
    curve = specification_curve(model, trial(table), strategies, fits=changes(2).assign(fit="ols"))
    assert set(curve["fit"]) == {"none"}
    assert list(dict.fromkeys(curve["strategy"])) == ["simple", "24p"]
    assert curve.loc[curve["prespecified"], "strategy"].tolist() == ["simple"]
