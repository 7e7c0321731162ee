from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.longitudinal.change import visit_change
from msimaging.longitudinal.reliability import (
    icc,
    is_reliable,
    published_repeatability,
    reliable_change_index,
    smallest_detectable_change,
    standard_error_of_measurement,
    verdict,
)

# Shrout and Fleiss (1979), table 2: six targets, four judges.
RATINGS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)


@pytest.mark.parametrize(
    ("kind", "estimate", "low", "high"),
    [
        ("ICC(1,1)", 0.17, -0.13, 0.72),
        ("ICC(2,1)", 0.29, 0.02, 0.76),
        ("ICC(3,1)", 0.71, 0.34, 0.95),
    ],
)
def test_icc_gives_the_textbook_values(kind, estimate, low, high):
    found = icc(RATINGS, kind=kind)
    assert [round(x, 2) for x in (found.estimate, found.ci_low, found.ci_high)] == [
        estimate,
        low,
        high,
    ]
    assert (found.kind, found.n, found.k) == (kind, 6, 4)


def test_agreement_suffers_from_a_shift_that_consistency_forgives():
    shifted = RATINGS + np.array([0, 5, 0, -3])
    assert icc(shifted, kind="ICC(3,1)").estimate == pytest.approx(
        icc(RATINGS, kind="ICC(3,1)").estimate
    )
    assert icc(shifted).estimate != pytest.approx(icc(RATINGS).estimate, abs=0.02)


def test_icc_of_a_constant_is_unknown_not_a_crash():
    assert np.isnan(icc(np.ones((5, 3))).estimate)


@pytest.mark.parametrize("table", [np.ones((1, 4)), np.ones((4, 1)), [[1, np.nan], [2, 3]], [1, 2]])
def test_icc_needs_complete_repeats(table):
    with pytest.raises(InputError):
        icc(table)


def test_sdc_is_two_point_seven_seven_within_sd():
    assert float(smallest_detectable_change(2.4)) == pytest.approx(2.4 * 2.7718, abs=1e-3)
    few = smallest_detectable_change([1.0, 2.0], df=4)
    np.testing.assert_allclose(few, [2.776445 * np.sqrt(2), 2 * 2.776445 * np.sqrt(2)], rtol=1e-6)


def test_five_in_a_hundred_unchanged_people_exceed_it():
    rng = np.random.default_rng(4)
    repeats = rng.normal(0, 1.3, (40_000, 2))
    beyond = np.abs(np.diff(repeats)) > smallest_detectable_change(1.3)
    assert beyond.mean() == pytest.approx(0.05, abs=0.005)
    # and when the SD itself comes from five repeats
    sds = np.sqrt((rng.normal(0, 1.3, (40_000, 5)) ** 2).mean(axis=1))
    assert (
        np.abs(np.diff(repeats))[:, 0] > smallest_detectable_change(sds, df=5)
    ).mean() == pytest.approx(0.05, abs=0.005)
    assert (np.abs(np.diff(repeats))[:, 0] > smallest_detectable_change(sds)).mean() > 0.08


@pytest.mark.parametrize(
    "arguments",
    [{"within_sd": -1.0}, {"within_sd": 1.0, "confidence": 0}, {"within_sd": 1.0, "df": 0}],
)
def test_sdc_refuses_nonsense(arguments):
    with pytest.raises(InputError, match="within-subject SD"):
        smallest_detectable_change(**arguments)


def test_reliable_change_index_of_jacobson_and_truax():
    # SEM = 7.5 sqrt(1 - .8) = 3.354, standard error of the difference 4.743
    assert float(reliable_change_index(47.5, 32.5, sd=7.5, reliability=0.80)) == pytest.approx(
        -3.162, abs=1e-3
    )
    with_practice = reliable_change_index(10, 14, sd=4, reliability=0.75, practice_effect=4)
    assert float(with_practice) == 0
    assert np.isnan(reliable_change_index(1, 2, sd=3, reliability=1.0))


def test_rci_and_sdc_draw_the_same_line():
    sem = standard_error_of_measurement(5.0, reliability=0.6)
    line = float(smallest_detectable_change(sem))
    assert abs(float(reliable_change_index(0, line, sd=5.0, reliability=0.6))) == pytest.approx(
        1.95996, abs=1e-4
    )
    with pytest.raises(InputError, match="reliability"):
        standard_error_of_measurement(5.0, reliability=1.2)


@pytest.mark.parametrize(("measure", "cov"), [("fa", 2.4), ("md", 1.9), ("ad", 1.7), ("rd", 2.4)])
def test_published_repeatability_has_its_source(measure, cov):
    line = published_repeatability(measure)
    assert line.cov_percent == cov
    assert "Veenith 2013" in line.source
    assert published_repeatability(measure, interval="within-session").cov_percent < cov


def test_published_edges_have_an_icc_only():
    line = published_repeatability("connectivity")
    assert (line.icc, line.icc_low, line.icc_high) == (0.29, 0.23, 0.36)
    assert np.isnan(line.cov_percent)


def test_an_unknown_measure_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"rd \(between-session\).*'odi'"):
        published_repeatability("odi")


def test_verdicts_keep_the_two_questions_apart():
    change = visit_change(
        np.zeros(6),
        np.array([0.5, 3.0, 9.0, 9.0, np.nan, 1.0]),
        baseline_se=np.array([1, 1, 1, 9, 1, 1.0]),
        follow_up_se=np.zeros(6),
    )
    sdc = np.array([4, 4, 4, 4, 4, np.nan])
    assert verdict(change, sdc).tolist() == [
        "within noise",
        "detectable, not reliable",
        "reliable",
        "reliable, not detectable",
        "unknown",
        "unknown",
    ]
    assert is_reliable(change, sdc).tolist() == [False, False, True, True, False, False]
