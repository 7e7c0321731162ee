"""Clinical tables: what is read, and every fault with its file, row and column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from msimaging.bids.clinical import find_tables, nominal_months
from msimaging.bids.visits import Visits, read_visits
from msimaging.phantom.clinical import simulate_clinical
from msimaging.settings import validated
from msimaging.steps.model_checks import check_models
from msimaging.steps.outcome_tables import ClinicalData, read_clinical
from msimaging.study.check import check_study
from msimaging.study.creation import create_study


@pytest.fixture
def trial(tmp_path: Path) -> tuple[Path, dict]:
    """A study without images, with settings that ask for its outcomes."""
    truth = simulate_clinical(tmp_path / "bids", shape="early")
    create_study(tmp_path / "bids", tmp_path / "study")
    config = tmp_path / "study" / "config.yaml"
    settings = yaml.safe_load(config.read_text()) | truth.settings
    config.write_text(yaml.safe_dump(settings))
    return tmp_path, settings


def read(trial: tuple[Path, dict], **outcomes: dict) -> ClinicalData:
    root, settings = trial
    wanted = settings | {"outcomes": settings["outcomes"] | outcomes}
    visits = read_visits(root / "study" / "visits.tsv")
    bids = root / "bids"
    return read_clinical(bids, find_tables(bids), visits, validated(wanted))


def change(root: Path, table: str, row: int, column: str, text: str) -> None:
    """Write a text into one cell; rows count from the first below the header."""
    path = root / "bids" / table
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    frame.loc[row, column] = text
    frame.to_csv(path, sep="\t", index=False)


def repeat(root: Path, table: str) -> None:
    path = root / "bids" / table
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")


SESSIONS, BLOOD = "sub-02/sub-02_sessions.tsv", "phenotype/blood.tsv"
CELLS: list[tuple[str, int, str, str, str]] = [
    (SESSIONS, 1, "edss", "0.5", "0.5 does not exist"),
    (SESSIONS, 1, "edss", "6.25", "EDSS is 0 or a half point"),
    (SESSIONS, 2, "edss", "10.5", "EDSS is 0 or a half point"),
    (SESSIONS, 1, "t25fw", "twelve", "t25fw is a number"),
    (SESSIONS, 1, "t25fw", "12 s", "a number without its unit"),
    (SESSIONS, 2, "acq_time", "2001-01-01", "before the patient's first visit"),
    (SESSIONS, 2, "acq_time", "spring", "a date looks like"),
    (BLOOD, 3, "participant_id", "sub-77", "one of the study"),
    (BLOOD, 3, "il10", "<0.1", "needs that limit of the assay"),
    (BLOOD, 3, "cd20", "180", "a proportion %: 0 to 100"),
    ("phenotype/sdmt.tsv", 0, "sdmt", "41.5", "a whole number"),
    ("phenotype/adverse_events.tsv", 1, "grade", "7", "grades are 1 to 5"),
    ("phenotype/adverse_events.tsv", 1, "date", "2001-05-05", "before the patient's first visit"),
    ("phenotype/treatments.tsv", 0, "date", "2001-05-05", "before the patient's first visit"),
]  # fmt: skip


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[2]}={cell[3]}")
def test_a_faulty_cell_is_told_with_file_row_and_column(
    cell: tuple[str, int, str, str, str], trial: tuple[Path, dict]
) -> None:
    table, row, column, text, rule = cell
    assert not [f for f in read(trial).findings if f.severity == "error"]
    change(trial[0], table, row, column, text)
    errors = [f for f in read(trial).findings if f.severity == "error"]
    assert len(errors) == 1, errors
    assert errors[0].where == f"{trial[0] / 'bids' / table} line {row + 2}, column {column}"
    assert rule in f"{errors[0].rule}"


@pytest.mark.parametrize("table", ["participants.tsv", SESSIONS, BLOOD])
def test_a_repeated_row_is_refused(table: str, trial: tuple[Path, dict]) -> None:
    repeat(trial[0], table)
    errors = [f for f in read(trial).findings if f.severity == "error"]
    assert len(errors) == 1, errors
    assert f"{table} line " in errors[0].where
    assert errors[0].rule.startswith("one row per patient")


def test_another_unit_in_the_sidecar_is_refused(trial: tuple[Path, dict]) -> None:
    declared = trial[1]["outcomes"]["il10"] | {"units": "ng/mL"}
    (error,) = [f for f in read(trial, il10=declared).findings if f.severity == "error"]
    assert error.where.endswith("blood.tsv, column il10")
    assert (error.rule, error.found) == ("il10 is declared in ng/mL", "'pg/mL'")


def test_all_faults_come_together_and_start_nothing(
    trial: tuple[Path, dict], msimaging_main: Callable[..., tuple[int, str]]
) -> None:
    root, _ = trial
    change(root, SESSIONS, 1, "edss", "0.5")
    change(root, BLOOD, 3, "il10", "much")
    config = root / "study" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["models"]["walking"]["follow_up"] = "ses-month60"
    config.write_text(yaml.safe_dump(settings))
    rules = [fault.rule for fault in check_study(root / "study").faults]
    assert len(rules) == 3, rules
    code, told = msimaging_main("run", root / "study")
    assert code == 2
    assert "nothing was started" in told
    assert told.count("error:") == 3
    assert not (root / "study" / "derivatives").exists()


def test_every_kind_of_fault_is_told_in_one_report(trial: tuple[Path, dict]) -> None:
    """What must be refused, all at once: nothing hides behind the first fault."""
    root, settings = trial
    people = root / "bids" / "participants.tsv"
    people.write_text(people.read_text() + people.read_text().splitlines()[2] + "\n")
    sessions = [f"sub-0{n}/sub-0{n}_sessions.tsv" for n in (1, 2, 3, 4)]
    faults = [
        (sessions[0], 1, "edss", "0.5", "0.5 does not exist"),
        (sessions[1], 2, "edss", "6.25", "EDSS is 0 or a half point"),
        (sessions[2], 3, "edss", "10.5", "EDSS is 0 or a half point"),
        (sessions[3], 1, "t25fw", "twelve", "t25fw is a number"),
        (sessions[0], 2, "t25fw", "12 s", "a number without its unit"),
        (sessions[3], 2, "acq_time", "2001-01-01", "before the patient's first visit"),
        (BLOOD, 3, "participant_id", "sub-77", "one of the study"),
        (BLOOD, 6, "il10", "high", "il10 is a number"),
    ]
    for table, row, column, text, _ in faults:
        change(root, table, row, column, text)
    repeat(root, "phenotype/sdmt.tsv")
    cd20 = {"cd20": settings["outcomes"]["cd20"] | {"units": "cells/uL", "type": "count"}}
    errors = {f.where: f.rule for f in read(trial, **cd20).findings if f.severity == "error"}
    bids = root / "bids"
    expected = {
        f"{bids / table} line {row + 2}, column {column}": rule
        for table, row, column, _, rule in faults
    }
    # header, five people; header and 20 visits
    expected[f"{people} line 7, column participant_id"] = "one row per patient"
    expected[f"{bids / 'phenotype/sdmt.tsv'} line 22, column session_id"] = "one row per patient"
    expected[f"{bids / BLOOD}, column cd20"] = "cd20 is declared in cells/uL"
    for where, rule in expected.items():
        assert rule in errors[where], where
    # the percentages are no counts either; nothing else is complained of
    others = {where for where in errors if where not in expected}
    assert all(where.endswith("column cd20") for where in others)


COMPOSITE = {
    "type": "msfc",
    "parts": {"t25fw": "t25fw", "nhpt": "nhpt", "pasat": "sdmt"},
    "references": {"pasat": [40.0, 10.0]},
}


def test_a_composite_is_computed_at_every_visit_that_has_all_parts(
    trial: tuple[Path, dict],
) -> None:
    change(trial[0], "phenotype/sdmt.tsv", 5, "sdmt", "n/a")
    data = read(trial, msfc=COMPOSITE)
    assert not [f for f in data.findings if f.severity == "error"]
    own = {(v.participant_id, v.session_id, v.measure): v.value for v in data.values}
    scores = {key[:2]: value for key, value in own.items() if key[2] == "msfc"}
    assert len(scores) == 19
    assert ("sub-02", "ses-month01") not in scores
    for visit, score in scores.items():
        walk, hand, words = (own[(*visit, part)] for part in ("t25fw", "nhpt", "sdmt"))
        by_hand = (
            (1 / hand - 0.0439) / 0.0101 - (walk - 9.5353) / 11.4058 + (words - 40.0) / 10.0
        ) / 3
        assert score == pytest.approx(by_hand)


def test_a_composite_of_unknown_parts_or_of_no_time_is_refused(trial: tuple[Path, dict]) -> None:
    parts = COMPOSITE["parts"] | {"nhpt": ["left", "nhpt"]}
    (error,) = [
        f for f in read(trial, msfc=COMPOSITE | {"parts": parts}).findings if "parts" in f.rule
    ]
    assert error.found == "'left'"
    change(trial[0], SESSIONS, 1, "t25fw", "0")
    (error,) = [f for f in read(trial, msfc=COMPOSITE).findings if f.severity == "error"]
    assert error.where.endswith("sub-02 ses-month01, t25fw")
    assert error.rule == "times are above 0"


def test_values_carry_true_months_and_the_limit_of_the_assay(trial: tuple[Path, dict]) -> None:
    change(trial[0], BLOOD, 1, "il10", "<0.5")
    data = read(trial)
    months = [v.months for v in data.values if v.participant_id == "sub-01" and v.measure == "edss"]
    assert months[0] == 0
    assert months == pytest.approx([0, 1, 3, 6], abs=0.2)
    assert months != [0, 1, 3, 6], "dates are a few days off the plan"
    (below,) = [v for v in data.values if v.limit == "below" and v.months == months[1]]
    assert (below.measure, below.value) == ("il10", 0.25)
    (note,) = [f for f in data.findings if f.severity == "warning"]
    assert "BIDS validator refuses" in note.remedy


def test_the_order_of_rows_changes_nothing(trial: tuple[Path, dict]) -> None:
    before = {(v.participant_id, v.session_id, v.measure): v.value for v in read(trial).values}
    for table in (BLOOD, SESSIONS, "participants.tsv"):
        path = trial[0] / "bids" / table
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *rows[::-1]]) + "\n")
    after = {(v.participant_id, v.session_id, v.measure): v.value for v in read(trial).values}
    assert after == before


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"kind": "paired", "outcome": "eds"}, "Did you mean 'edss'?"),
        ({"kind": "paired", "outcome": "edss", "knot": 3}, "paired models know this key"),
        ({"kind": "ancova", "outcome": "edss"}, "trial.arm"),
        ({"kind": "association", "outcome": "edss"}, "with is needed"),
        ({"kind": "time-to-event", "outcome": "t25fw"}, "are those of EDSS"),
        ({"kind": "paired", "outcome": "rd"}, "a measure of measures.tsv"),
        ({"kind": "mixed", "outcome": "edss", "group": "dose"}, "a column of participants.tsv"),
    ],
)
def test_a_model_that_cannot_be_is_told_before_computing(
    model: dict, told: str, trial: tuple[Path, dict]
) -> None:
    root, settings = trial
    wanted = validated(settings | {"models": {"wrong": model}})
    visits = read_visits(root / "study" / "visits.tsv")
    clinical = read_clinical(root / "bids", find_tables(root / "bids"), visits, wanted)
    findings = check_models(wanted, clinical, visits)
    assert any(told in str(finding) for finding in findings), findings
    assert all("models.wrong" in str(finding) for finding in findings)


def test_a_covariate_that_nothing_measures_is_warned_of(trial: tuple[Path, dict]) -> None:
    root, settings = trial
    model = {"kind": "association", "outcome": "rd", "with": "t25fw", "covariates": ["motion"]}
    visits = read_visits(root / "study" / "visits.tsv")
    scanned = Visits(rows=tuple(replace(visit, dwi="dwi.nii.gz") for visit in visits.rows))

    def told(**diffusion: bool) -> list[tuple[str, str]]:
        own = {"models": {"walking": model}, "diffusion": diffusion}
        wanted = validated(settings | own)
        clinical = read_clinical(root / "bids", find_tables(root / "bids"), visits, wanted)
        return [(f.severity, f.found) for f in check_models(wanted, clinical, scanned)]

    ((severity, found),) = told(motion=False)
    assert severity == "warning"
    assert found.startswith("diffusion.motion is off")
    assert told() == []


def test_months_are_read_from_names_only_where_they_tell_them() -> None:
    assert [nominal_months(f"ses-{n}") for n in ("baseline", "m03", "month12", "V2", "A")] == [
        0.0,
        3.0,
        12.0,
        None,
        None,
    ]
