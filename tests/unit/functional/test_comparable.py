from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.functional.comparable import (
    equalise_visits,
    match_contiguous,
    match_random,
    too_little_data,
)

LABELS = ["a", "b", "c", "d"]


def _visits(names=("baseline", "month06", "month12")):
    masks = {
        "baseline": np.delete(np.arange(220), [0, 1, 50, 51, 52]),
        "month06": np.delete(np.arange(220), np.arange(20, 90)),
        "month12": np.arange(0, 220, 10),
    }
    coverages = {
        "baseline": np.array([1.0, 0.4, 0.9, 0.8]),
        "month06": np.array([0.9, 0.9, 0.9, 0.5]),
        "month12": np.array([0.1, 0.1, 0.1, 0.1]),
    }
    return (
        {name: masks[name] for name in names},
        {
            "coverages": {name: coverages[name] for name in names},
            "t_r": dict.fromkeys(names, 2.0),
            "labels": LABELS,
        },
    )


@pytest.mark.parametrize("matching", ["contiguous", "random"])
def test_visits_get_the_same_number_and_parcels(matching):
    masks, inputs = _visits()
    result = equalise_visits(masks, **inputs, matching=matching, seed=5)
    assert set(result.sample_masks) == {"baseline", "month06"}
    assert {len(mask) for mask in result.sample_masks.values()} == {150}
    for visit, mask in result.sample_masks.items():
        assert np.isin(mask, masks[visit]).all()
        assert (np.diff(mask) > 0).all()
    assert result.common_parcels.tolist() == [True, False, True, True]
    rows = [tuple(row) for row in result.dropped.drop(columns="reason").to_numpy()]
    assert rows == [
        ("month12", "run", "", 22, 0),
        ("baseline", "volumes", "", 215, 150),
        ("baseline", "parcel", "b", 0.4, 0),
    ]
    assert "0.7 minutes in 22 volumes" in result.excluded["month12"].found


def test_order_of_the_visits_changes_nothing():
    masks, inputs = _visits()
    reverse, reversed_inputs = _visits(("month12", "month06", "baseline"))
    first = equalise_visits(masks, **inputs, matching="random", seed=5)
    second = equalise_visits(reverse, **reversed_inputs, matching="random", seed=5)
    for visit, mask in first.sample_masks.items():
        np.testing.assert_array_equal(mask, second.sample_masks[visit])
    assert first.dropped.equals(second.dropped)


def test_matchings_take_what_they_are_named_for():
    mask = np.delete(np.arange(100), [10, 11, 70])
    stretch = match_contiguous(mask, 40, seed=1)
    first = mask.tolist().index(stretch[0])
    np.testing.assert_array_equal(stretch, mask[first : first + 40])
    spread = match_random(mask, 40, seed=1)
    assert np.ptp(spread) > 60
    np.testing.assert_array_equal(spread, match_random(mask, 40, seed=1))
    assert not np.array_equal(spread, match_random(mask, 40, seed=2))
    np.testing.assert_array_equal(match_contiguous(mask, 97, seed=3), mask)


@pytest.mark.parametrize(
    ("n", "t_r", "flagged"),
    [(120, 2.0, False), (119, 2.0, True), (100, 2.4, False), (99, 3.0, True), (200, 0.8, True)],
)
def test_four_minutes_and_100_volumes_are_both_needed(n, t_r, flagged):
    finding = too_little_data(n, t_r=t_r, where="sub-01 ses-02")
    assert (finding is not None) == flagged
    if finding is not None:
        assert finding.severity == "warning"
        assert finding.where == "sub-01 ses-02"


def test_no_visit_with_enough_data():
    masks, inputs = _visits(("month12",))
    result = equalise_visits(masks, **inputs, matching="random", seed=5)
    assert result.sample_masks == {}
    assert not result.common_parcels.any()


def test_misfits_are_told_together():
    masks, inputs = _visits()
    del inputs["t_r"]["month06"]
    inputs["coverages"]["month06"] = np.ones(3)
    with pytest.raises(InputError) as error:
        equalise_visits(masks, **inputs, matching="best", seed=5)
    assert [finding.where for finding in error.value.findings] == [
        "visits",
        "coverages",
        "matching",
    ]
