from pathlib import Path

import pytest

from msimaging.bids.rows import write_rows
from msimaging.bids.visits import EXCLUSION_COLUMNS, read_visits, without_exclusions
from msimaging.errors import ConfigError

HEADER = "participant_id\tsession_id\tacq_time\tmonths\tdwi\tbold\tanat\texclude\n"


def table(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "visits.tsv"
    lines = ["\t".join((row.split(",") + ["n/a"] * 8)[:8]) for row in rows]
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


def test_months_are_computed_from_the_dates_of_each_patient(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "sub-1,ses-a,2020-09-17,99,d1",
        "sub-1,ses-b,2021-10-06T08:00:00,99,d2",
        "sub-2,ses-a,,0,d3",
        "sub-2,ses-b,n/a,6,d4",
    )
    visits = read_visits(path)
    assert [visit.months for visit in visits.rows] == [0.0, 12.62, 0.0, 6.0]
    first, second = visits.pairs()
    assert (first.name, first.months) == ("aToB", 12.62)
    assert second.months == 6.0


def test_pair_rules_differ_for_three_visits(tmp_path: Path) -> None:
    rows = [f"sub-1,ses-m{month},2020-0{month + 1}-01,n/a,d{month}" for month in (0, 3, 6)]
    visits = read_visits(table(tmp_path, *rows))
    assert [pair.name for pair in visits.pairs("to-baseline")] == ["m0ToM3", "m0ToM6"]
    assert [pair.name for pair in visits.pairs("consecutive")] == ["m0ToM3", "m3ToM6"]
    assert [pair.name for pair in visits.pairs("all")] == ["m0ToM3", "m0ToM6", "m3ToM6"]


def test_every_fault_of_the_table_is_told_at_once(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "sub-1,ses-a,2021-01-01,n/a,d",
        "sub-1,ses-a,2022-01-01,n/a,d2",
        "sub-1,ses-c,2020-01-01,n/a,d3",
        "patient2,ses-a,last week,soon,d4",
    )
    with pytest.raises(ConfigError) as caught:
        read_visits(path)
    told = str(caught.value)
    for part in (
        "line 3: one row per patient and visit",
        "line 4: the visits of a patient must stand in the order of their dates",
        "line 5: participant_id must be sub-",
        "'last week'",
        "'soon'",
    ):
        assert part in told
    assert len(caught.value.findings) == 5


def test_one_scan_named_for_two_visits_is_a_fault(tmp_path: Path) -> None:
    path = table(tmp_path, "sub-1,ses-a,,,d1,b1", "sub-1,ses-b,,,d2,b1")
    with pytest.raises(ConfigError, match="line 3: a scan belongs to one visit; found b1"):
        read_visits(path)


def test_a_visit_left_out_or_refused_or_undecided_has_no_scan(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "sub-1,ses-a,,,d1,b1,n/a,moved too much",
        "sub-1,ses-b,,,d2,b2",
        "sub-1,ses-c,,,d3 | d4,b3",
    )
    exclusions = tmp_path / "exclusions.tsv"
    refused = {"participant_id": "sub-1", "session_id": "ses-b", "modality": "bold"}
    write_rows(exclusions, EXCLUSION_COLUMNS, [{**refused, "reason": "truncated"}])
    visits = without_exclusions(read_visits(path), exclusions)
    assert [visit.session_id for visit in visits.having("dwi").rows] == ["ses-b"]
    assert [visit.session_id for visit in visits.having("bold").rows] == ["ses-c"]


def test_a_missing_table_names_the_verb_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="msimaging index"):
        read_visits(tmp_path / "visits.tsv")


def test_rescans_are_series_of_their_own_and_in_no_pair(tmp_path: Path) -> None:
    path = tmp_path / "visits.tsv"
    rows = [
        ("sub-1", "ses-a", "d1", "no"),
        ("sub-1", "ses-aAgain", "d2", "yes"),
        ("sub-1", "ses-b", "d3", ""),
        ("sub-1", "ses-bAgain", "d4", "YES"),
        ("sub-2", "ses-a", "d5", ""),
        ("sub-2", "ses-b", "d6", ""),
    ]
    lines = ["\t".join((*row[:2], row[2], row[3] or "n/a")) for row in rows]
    path.write_text("participant_id\tsession_id\tdwi\trescan\n" + "\n".join(lines) + "\n")
    visits = read_visits(path)
    assert [pair.name for pair in visits.pairs("consecutive")] == ["aToB", "aToB"]
    series = [[visit.session_id for visit in one] for one in visits.repeats()]
    assert series == [["ses-a", "ses-aAgain"], ["ses-b", "ses-bAgain"]]


def test_a_rescan_that_is_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "visits.tsv"
    path.write_text("participant_id\tsession_id\tdwi\trescan\nsub-1\tses-a\td1\tmaybe\n")
    with pytest.raises(ConfigError, match=r"line 2.*\n?.*yes or no"):
        read_visits(path)
