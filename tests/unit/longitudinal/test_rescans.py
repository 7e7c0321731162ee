"""Rescans of untouched people: the scatter they show, and whom it may judge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from msimaging.errors import InputError
from msimaging.longitudinal.rescans import rescan_noise, sdc_of_rescans


def measured(label, values, *, measure="rd"):
    """One row a measurement; a list of repeats for each series."""
    return pd.DataFrame(
        [
            {
                "modality": "dwi",
                "atlas": "a",
                "label": label,
                "measure": measure,
                "series": series,
                "value": value,
            }
            for series, repeats in enumerate(values)
            for value in repeats
        ]
    )


def test_the_scatter_of_pairs_and_triples_is_pooled_within_each_label():
    table = pd.concat(
        [
            measured("genu", [[1.0, 1.2], [2.0, 2.0, 2.3]]),
            measured("body", [[5.0, 5.0], [7.0, np.nan]]),
        ]
    )
    noise = rescan_noise(table).set_index("label")
    variance = (0.02 + 2 * 0.03) / 3
    assert noise.loc["genu", "df"] == 3
    assert noise.loc["genu", "n"] == 2
    assert noise.loc["genu", "within_sd"] == pytest.approx(np.sqrt(variance))
    wanted = stats.t.ppf(0.975, 3) * np.sqrt(2 * variance)
    assert noise.loc["genu", "sdc"] == pytest.approx(wanted)
    assert noise.loc["body", ["n", "df"]].tolist() == [1, 1]


def test_labels_with_few_rescans_are_left_to_published_numbers():
    table = pd.concat(
        [
            measured("genu", [[1.0, 1.2], [2.0, 2.3], [3.0, 3.1]]),
            measured("genu", [[1.0, 1.3], [2.0, 2.3]], measure="fa"),
        ]
    )
    noise = rescan_noise(table)
    found = sdc_of_rescans(noise, ["genu", "genu", "body"], ["fa", "rd", "rd"])
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == noise.set_index("measure").loc["rd", "sdc"]


def test_nobody_scanned_twice_gives_an_empty_table():
    assert rescan_noise(measured("genu", [[1.0], [2.0]])).empty


def test_missing_columns_are_named():
    with pytest.raises(InputError, match="series, value"):
        rescan_noise(pd.DataFrame(columns=["modality", "atlas", "label", "measure"]))


def test_unchanged_people_are_called_reliable_in_five_per_cent():
    rng = np.random.default_rng(3)
    called = []
    for _ in range(400):
        repeats = rng.normal(1.0, 0.1, (6, 2))
        sdc = rescan_noise(measured("genu", repeats))["sdc"].iloc[0]
        called.append(np.abs(np.diff(rng.normal(1.0, 0.1, (20, 2)))) > sdc)
    assert np.mean(called) == pytest.approx(0.05, abs=0.015)
