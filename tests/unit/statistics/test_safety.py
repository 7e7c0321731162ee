"""Adverse events counted by hand."""

from __future__ import annotations

import pytest

from msimaging.errors import InputError
from msimaging.statistics.safety import tally_adverse_events

ENROLLED = ["a", "b", "c", "d", "e"]


def test_patients_are_counted_once_at_their_worst():
    anything, headache, fever = tally_adverse_events(
        ["a", "a", "b", "a"],
        ["headache", "headache", "headache", "fever"],
        [1, 2, 1, 3],
        enrolled=ENROLLED,
    )
    assert (headache.term, headache.n_events, headache.patients.k) == ("headache", 3, 2)
    assert headache.patients_by_worst_grade == {1: 1, 2: 1, 3: 0, 4: 0, 5: 0}
    assert headache.patients.estimate == 0.4
    assert (fever.term, fever.patients.k) == ("fever", 1)
    assert anything.patients_by_worst_grade == {1: 1, 2: 0, 3: 1, 4: 0, 5: 0}


def test_no_event_among_five_leaves_much_open():
    (anything,) = tally_adverse_events([], [], [], enrolled=ENROLLED)
    assert anything.patients.k == 0
    assert anything.patients.ci_high == pytest.approx(0.4345, abs=5e-5)


def test_unknown_patients_and_grades_are_named_together():
    with pytest.raises(InputError) as caught:
        tally_adverse_events(["a", "z"], ["fever", "rash"], [6, 0], enrolled=ENROLLED)
    assert len(caught.value.findings) == 3
    assert "row 2, column patient" in str(caught.value)
    with pytest.raises(InputError, match="one of each per report"):
        tally_adverse_events(["a"], [], [1], enrolled=ENROLLED)
