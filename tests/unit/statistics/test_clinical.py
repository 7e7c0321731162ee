"""EDSS engine and clinical rules, on courses whose answer is counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from msimaging.errors import InputError
from msimaging.statistics.clinical import (
    LEGAL_SCORES,
    check_edss,
    classify_edss,
    classify_sdmt,
    classify_timed_test,
    edss_change,
    edss_plus,
    minimum_change,
    progression_events,
    reliable_change,
    responder_tally,
    tally_edss_rules,
)
from msimaging.statistics.inference import signed_rank_test

SCORES = st.sampled_from(LEGAL_SCORES)


def test_scores_that_do_not_exist_are_named_together():
    rows = ["sub-01 ses-a", "sub-02 ses-a", "sub-03 ses-a", "sub-04 ses-a", "sub-05 ses-a"]
    with pytest.raises(InputError) as caught:
        check_edss([0.5, 6.0, 6.25, 10.5, "six"], column="edss_total", rows=rows)
    message = str(caught.value)
    assert len(caught.value.findings) == 4
    for part in ("row sub-01 ses-a, column edss_total", "found 6.25", "found 10.5", "'six'"):
        assert part in message
    assert "sub-02" not in message
    with pytest.raises(InputError, match="row 2, column follow_up"):
        edss_change([6.0, 6.0], [6.0, 5.25])
    with pytest.raises(InputError, match="2 and 1 scores"):
        edss_change([6.0, 6.0], [6.0])


def test_there_are_twenty_legal_scores():
    assert len(LEGAL_SCORES) == 20
    assert check_edss(LEGAL_SCORES).tolist() == list(LEGAL_SCORES)
    assert np.isnan(check_edss(pd.Series([np.nan, 1.0]))[0])


@pytest.mark.parametrize(
    ("score", "kragt", "pymsprog"),
    [(0, 1.0, 1.5), (1, 1.0, 1.0), (5.0, 1.0, 1.0), (5.5, 1.0, 0.5), (6.0, 0.5, 0.5)],
)
def test_smallest_change_that_counts(score, kragt, pymsprog):
    assert minimum_change([score], rule="kragt") == [kragt]
    assert minimum_change([score], rule="pymsprog") == [pymsprog]
    assert minimum_change([score], rule="any") == [0.5]


def test_step_from_zero_is_a_setting():
    assert minimum_change([0, 2], step_from_zero=1.5).tolist() == [1.5, 1.0]
    with pytest.raises(InputError, match="one of any, kragt, pymsprog"):
        minimum_change([1], rule="expanded")


def test_the_tally_depends_on_the_rule_at_five_and_a_half():
    baseline = [5.5, 5.5, 6.5, 4.0, np.nan, 5.5]
    follow_up = [5.0, 6.0, 6.0, 4.5, 6.0, 6.5]
    assert classify_edss(baseline, follow_up, rule="kragt").tolist() == [
        "stable", "stable", "improved", "stable", "missing", "worsened",
    ]  # fmt: skip
    assert classify_edss(baseline, follow_up, rule="pymsprog").tolist() == [
        "improved", "worsened", "improved", "stable", "missing", "worsened",
    ]  # fmt: skip
    tallies = tally_edss_rules(baseline, follow_up)
    counts = {rule: (t.improved.k, t.worsened.k, t.n_missing) for rule, t in tallies.items()}
    assert counts == {"any": (2, 3, 1), "kragt": (1, 1, 1), "pymsprog": (2, 2, 1)}


def test_arithmetic_of_the_twenty_four_patient_trial():
    """The one set of half-point changes that agrees with every printed figure."""
    change = np.r_[[-0.5] * 5, [-1.0] * 2, [-1.5] * 2, -2.0, [0.0] * 12, 0.5, 1.0]
    baseline = np.full(24, 6.5)
    assert change.sum() == -8
    tally = responder_tally(classify_edss(baseline, baseline + change, rule="any"))
    assert (tally.improved.k, tally.stable.k, tally.worsened.k) == (10, 12, 2)
    assert (tally.improved.ci_low, tally.improved.ci_high) == pytest.approx(
        (0.245, 0.612), abs=5e-4
    )
    # the published .028 is the asymptotic signed-rank test; exact with these ties it is .032
    assert stats.wilcoxon(change, method="asymptotic").pvalue == pytest.approx(0.0284, abs=5e-5)
    assert signed_rank_test(change).p == 130 / 4096


def test_worsening_needs_confirmation():
    months = [0, 3, 6, 9, 12]
    held = progression_events(months, [4.0, 5.0, 5.0, 5.0, 5.0])
    assert (held.worsened, held.months_to_worsening) == (True, 3)
    assert (held.events[0].confirmed_months, held.events[0].sustained) == (6, 5.0)
    lost = progression_events(months, [4.0, 5.0, 4.5, 4.0, 4.0])
    assert (lost.worsened, lost.months_to_worsening, lost.unconfirmed) == (False, 12, (3,))
    late = progression_events(months, [4.0, 4.0, 4.0, 4.0, 5.0])
    assert (late.worsened, late.unconfirmed) == (False, (12,))


def test_twenty_four_weeks_ask_for_more_than_twelve():
    months, scores = [0, 3, 6, 9, 12], [4.0, 5.0, 5.5, 4.5, 4.0]
    assert progression_events(months, scores, confirmation_weeks=12).worsened
    assert not progression_events(months, scores, confirmation_weeks=24).worsened
    # 12 weeks are 2.76 months: a visit at 2.5 months does not confirm, the next one has to
    early = progression_events([0, 3, 5.5, 6], [4.0, 5.0, 5.0, 4.0])
    assert not early.worsened


def test_the_score_in_between_must_hold_too():
    course = progression_events([0, 1, 2, 4], [4.0, 5.0, 4.0, 5.0])
    assert not course.worsened
    assert course.unconfirmed == (1, 4)


def test_roving_reference_finds_what_fixed_cannot():
    months = [0, 3, 6, 9, 12, 15, 18]
    scores = [5.0, 4.0, 4.0, 5.0, 5.0, 6.0, 6.5]
    fixed = progression_events(months, scores, rule="kragt")
    assert [(e.kind, e.months) for e in fixed.events] == [("improvement", 3), ("worsening", 15)]
    assert fixed.events[1].reference == 5.0
    roving = progression_events(months, scores, rule="kragt", reference="roving")
    assert [(e.kind, e.months, e.reference, e.sustained) for e in roving.events] == [
        ("improvement", 3, 5.0, 4.0),
        ("worsening", 9, 4.0, 5.0),
        ("worsening", 15, 5.0, 6.0),
    ]


def test_missing_scores_are_passed_over_and_wrong_dates_refused():
    course = progression_events([6, 0, 3, 9], [5.0, 4.0, np.nan, 5.5])
    assert course.months_to_worsening == 6
    with pytest.raises(InputError, match=r"(?s)from baseline.*one score per visit"):
        progression_events([0, -3, 6, 6], [4.0, 4.0, 5.0, 5.0])
    with pytest.raises(InputError, match="at least one score"):
        progression_events([0], [np.nan])


def test_single_visit_has_no_event():
    course = progression_events([0], [4.0])
    assert (course.events, course.months_to_worsening, course.worsened) == ((), 0, False)


@given(st.lists(SCORES, min_size=2, max_size=9), st.randoms())
def test_visit_order_changes_nothing_and_mirrored_rules_agree(scores, random):
    visits = list(zip(range(0, 3 * len(scores), 3), scores, strict=True))
    shuffled = visits.copy()
    random.shuffle(shuffled)
    for reference in ("fixed", "roving"):
        expected = progression_events(*zip(*visits, strict=True), reference=reference)
        assert progression_events(*zip(*shuffled, strict=True), reference=reference) == expected
        assert all(e.confirmed_months >= e.months + 3 for e in expected.events)
        assert expected.worsened == any(e.kind == "worsening" for e in expected.events)


def test_timed_tests_change_by_a_fifth():
    labels = classify_timed_test([10.0, 10.0, 10.0, 5.0, np.nan], [12.0, 11.9, 8.0, 6.0, 6.0])
    assert labels.tolist() == ["worsened", "stable", "improved", "worsened", "missing"]
    with pytest.raises(InputError, match="row 2, column follow_up: 0"):
        classify_timed_test([10.0, 10.0], [12.0, 0.0])


def test_sdmt_by_points_by_percent_and_by_either():
    baseline, follow_up = [30, 60, 60, 30, 20], [33, 56, 54, 26, np.nan]
    expected = {
        "points": ["stable", "worsened", "worsened", "worsened", "missing"],
        "percent": ["improved", "stable", "worsened", "worsened", "missing"],
        "either": ["improved", "worsened", "worsened", "worsened", "missing"],
    }
    for rule, labels in expected.items():
        assert classify_sdmt(baseline, follow_up, rule=rule).tolist() == labels


def test_edss_plus_is_any_of_three():
    result = edss_plus(
        ["stable", "improved", "missing"],
        ["worsened", "worsened", "stable"],
        ["stable", "stable", "missing"],
    )
    assert result.worsened.tolist() == [True, True, False]
    assert result.improved.tolist() == [False, True, False]
    assert result.n_components.tolist() == [3, 3, 1]
    with pytest.raises(InputError, match="better"):
        edss_plus(["better"], ["stable"], ["stable"])
    with pytest.raises(InputError, match="one label per patient"):
        edss_plus(["stable"], ["stable", "stable"], ["stable"])


def test_jacobson_truax_1991_as_printed():
    """Their couple: 32.5 before, 47.5 after; SD 7.5, reliability .80."""
    result = reliable_change([32.5, 40.0, np.nan], [47.5, 46.0, 50.0], sd=7.5, reliability=0.80)
    assert result.standard_error == pytest.approx(4.74, abs=5e-3)
    assert result.statistic[0] == pytest.approx(3.16, abs=5e-3)
    assert result.label.tolist() == ["improved", "stable", "missing"]


def test_practice_effect_and_second_sd_move_the_verdict():
    plain = reliable_change([50.0, 50.0], [56.0, 46.0], sd=5, reliability=0.82)
    assert plain.label.tolist() == ["improved", "stable"]
    practised = reliable_change([50.0, 50.0], [56.0, 46.0], sd=5, reliability=0.82, practice=3)
    assert practised.estimate.tolist() == [3.0, -7.0]
    assert practised.label.tolist() == ["stable", "worsened"]
    wider = reliable_change([50.0], [46.0], sd=5, sd_retest=8, reliability=0.82, practice=3)
    assert wider.standard_error == pytest.approx(np.sqrt(0.18 * (25 + 64)))
    lower_is_better = reliable_change(
        [50.0], [35.0], sd=5, reliability=0.82, higher_is_better=False
    )
    assert lower_is_better.label.tolist() == ["improved"]
    with pytest.raises(InputError, match="positive SD"):
        reliable_change([50.0], [46.0], sd=0, reliability=0.8)


def test_tally_refuses_what_it_cannot_count():
    with pytest.raises(InputError, match="at least one patient"):
        responder_tally(["missing"])
    with pytest.raises(InputError, match="responder"):
        responder_tally(["responder", "stable"])
