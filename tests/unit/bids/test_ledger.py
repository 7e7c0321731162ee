import re
from pathlib import Path

import pytest

from msimaging.bids.job_records import FAILURE
from msimaging.bids.jobs import STEPS
from msimaging.bids.layout import output
from msimaging.bids.ledger import failure_in, read_ledger
from msimaging.bids.plan import Plan
from msimaging.bids.rows import read_rows, write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import EXCLUSION_COLUMNS, VISIT_COLUMNS
from msimaging.settings import validated


@pytest.fixture
def study(tmp_path: Path) -> Path:
    cells = (
        ("sub-1", "ses-a", "d1", "b1", ""),
        ("sub-1", "ses-b", "d2", "b2 | b3", ""),
        ("sub-2", "ses-a", "d4", "b4", "moved"),
        ("sub-3", "ses-a", "d5", "", ""),
    )
    names = ("participant_id", "session_id", "dwi", "bold", "exclude")
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    write_rows(tmp_path / "visits.tsv", VISIT_COLUMNS, rows)
    scans = [{"path": f"{k}{n}", "modality": k} for k in "db" for n in range(1, 6)]
    write_rows(tmp_path / "scans.tsv", SCAN_COLUMNS, scans)
    refused = {"participant_id": "sub-3", "session_id": "ses-a", "modality": "dwi"}
    reasons = [{**refused, "reason": reason} for reason in ("cut", "no b=0")]
    write_rows(tmp_path / "exclusions.tsv", EXCLUSION_COLUMNS, reasons)
    return tmp_path


def states(study: Path, *, running: bool = False) -> dict[tuple[str, str, str], tuple[str, str]]:
    plan = Plan.of_study(study, validated({"bids_dir": "raw"}))
    entries = read_ledger(study, plan, running=running)
    return {(e.step, e.participant_id, e.session_id): (e.state, e.reason) for e in entries}


def test_what_is_left_out_is_told_with_its_reason(study: Path) -> None:
    told = states(study)
    assert told["dwi", "sub-2", "ses-a"] == told["bold", "sub-2", "ses-a"] == ("excluded", "moved")
    assert told["dwi", "sub-3", "ses-a"] == ("excluded", "cut; no b=0")
    assert told["bold", "sub-3", "ses-a"][0] == "absent"
    state, reason = told["bold", "sub-1", "ses-b"]
    assert state == "excluded"
    assert reason.startswith("2 scans and no choice")
    assert told["change of bold", "sub-1", "ses-a"][0] == "unpaired"
    assert ("change of dwi", "sub-1", "ses-a") not in told


def test_a_step_is_pending_then_failed_then_done(study: Path) -> None:
    step = ("fit_tensor", "sub-1", "ses-b")
    assert states(study)[step] == ("pending", "")
    log = study / "logs" / "fit_tensor" / "sub-1_ses-b.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"some text\n{FAILURE}no signal\n{FAILURE}no mask\n")
    assert states(study)[step] == ("failed", "no signal; no mask")
    tensor = study / output("tensor", sub="sub-1", ses="ses-b")
    tensor.parent.mkdir(parents=True)
    tensor.touch()
    assert states(study)[step] == ("done", "")
    assert states(study)["fit_tensor", "sub-1", "ses-a"] == ("pending", "")


def test_jobs_of_patients_pairs_and_cohort_are_listed_once(study: Path) -> None:
    told = states(study)
    assert ("build_dwi_space", "sub-1", "") in told
    assert ("change_diffusion", "sub-1", "aToB") in told
    assert ("test_changes", "", "") in told
    assert {step for step, sub, _ in told if sub == "sub-2"} == {"dwi", "bold"}


def test_a_job_for_a_patient_is_told_of_each_visit_that_it_works_on(study: Path) -> None:
    told = states(study)
    assert told["measure_diffusion", "sub-1", "ses-a"] == ("pending", "")
    assert ("measure_diffusion", "sub-1", "") not in told
    log = study / "logs" / "measure_diffusion" / "sub-1.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"{FAILURE}no region\n")
    told = states(study)
    for session in ("ses-a", "ses-b"):
        assert told["measure_diffusion", "sub-1", session] == ("failed", "no region")
    measured = study / output("dwi_measured", sub="sub-1")
    measured.parent.mkdir(parents=True)
    measured.touch()
    assert states(study)["measure_diffusion", "sub-1", "ses-b"] == ("done", "")


def test_a_job_that_was_killed_has_failed_unless_a_run_is_alive(study: Path) -> None:
    step = ("fit_tensor", "sub-1", "ses-b")
    log = study / "logs" / "fit_tensor" / "sub-1_ses-b.log"
    log.parent.mkdir(parents=True)
    log.write_text("")  # as Snakemake leaves it of a job that a cluster refused
    assert states(study)[step] == ("pending", "")
    log.write_text("began on n1\n")
    assert states(study)[step][0] == "failed"
    assert "without a word" in states(study)[step][1]
    assert states(study, running=True)[step] == ("pending", "running")
    log.write_text("warning: 3 voxels\ndone in 3.1 s\n")
    assert states(study)[step] == ("pending", "")


def test_a_result_that_a_run_would_replace_is_stale(study: Path) -> None:
    tensor = output("tensor", sub="sub-1", ses="ses-b")
    (study / tensor).parent.mkdir(parents=True)
    (study / tensor).touch()
    plan = Plan.of_study(study, validated({"bids_dir": "raw"}))
    reasons = {tensor: "an input is newer", output("dwi", sub="sub-1", ses="ses-b"): "params"}
    told = {(e.step, e.session_id): e for e in read_ledger(study, plan, outdated=reasons)}
    assert told["fit_tensor", "ses-b"].state == "stale"
    assert told["fit_tensor", "ses-b"].reason == "an input is newer"
    # what is not there is pending, whatever else is said of it
    assert told["preprocess_dwi", "ses-b"].state == "pending"


def test_every_rule_of_the_workflow_has_its_line(repository: Path) -> None:
    rules = (repository / "workflow" / "rules").glob("*.smk")
    named = {name for path in rules for name in re.findall(r"(?m)^rule (\w+):", path.read_text())}
    assert named == {step.rule for step in STEPS}, "add the rule to STEPS in bids/jobs.py"


def test_the_log_of_every_step_is_that_of_its_rule(repository: Path) -> None:
    rules = (repository / "workflow" / "rules").glob("*.smk")
    logs = [line for path in rules for line in re.findall(r" log\((.*)\),", path.read_text())]
    told = {tuple(re.findall(r'"(\w+)"', line)) for line in logs}
    assert {(step.rule, *step.wildcards) for step in STEPS} == told


def test_a_missing_log_tells_nothing(tmp_path: Path) -> None:
    assert failure_in(tmp_path / "no.log") == ""


@pytest.mark.parametrize(
    ("settings", "state"),
    [({"motion": "auto"}, "absent"), ({}, "pending"), ({"motion": False}, None)],
)
def test_motion_that_stays_is_told_with_its_reason(
    study: Path, settings: dict[str, object], state: str | None
) -> None:
    plan = Plan.of_study(study, validated({"bids_dir": "raw", "diffusion": settings}))
    told = {
        (e.participant_id, e.session_id): (e.state, e.reason)
        for e in read_ledger(study, plan)
        if e.step == "correct_dwi_motion"
    }
    if state is None:
        assert not told
    else:
        assert told["sub-1", "ses-a"][0] == state
        assert ("opposite phase encoding" in told["sub-1", "ses-a"][1]) is (state == "absent")


def test_runs_without_a_t1w_are_told_where_others_have_one(study: Path) -> None:
    def told() -> dict[str, str]:
        plan = Plan.of_study(study, validated({"bids_dir": "raw"}))
        entries = read_ledger(study, plan)
        return {e.participant_id: e.state for e in entries if e.step == "register_over_t1w"}

    assert told() == {}
    visits, scans = read_rows(study / "visits.tsv"), read_rows(study / "scans.tsv")
    visits[0]["anat"] = "first_T1w.nii.gz"
    visits[2]["exclude"] = ""
    scans.append({"path": "first_T1w.nii.gz", "modality": "T1w"})
    write_rows(study / "visits.tsv", VISIT_COLUMNS, visits)
    write_rows(study / "scans.tsv", SCAN_COLUMNS, scans)
    assert told() == {"sub-1": "pending", "sub-2": "absent"}
