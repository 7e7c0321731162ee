import json
from pathlib import Path

import pytest

from msimaging.bids.jobs import STEPS
from msimaging.bids.layout import output
from msimaging.bids.plan import Plan
from msimaging.bids.resources import COSTS
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.visits import VISIT_COLUMNS
from msimaging.settings import read_settings
from msimaging.study.forecast import (
    _SHARED,
    Forecast,
    forecast_study,
    predicted_against_measured,
)

SHAPE = (100, 100, 60, 40)


def study_of(root: Path, n_patients: int, shape: tuple[int, ...] = SHAPE) -> Path:
    """A study of diffusion series of one size, two visits each, of which nothing is done."""
    root.mkdir()
    (root / "config.yaml").write_text("bids_dir: bids\n")
    rows, scans = [], []
    for patient in range(n_patients):
        for number, ses in enumerate(("ses-a", "ses-b")):
            sub = f"sub-{patient}"
            stem = f"{sub}/{ses}/dwi/{sub}_{ses}_dwi"
            scan = {"path": f"{stem}.nii", "modality": "dwi", "shape": "x".join(map(str, shape))}
            scans.append(scan | {"bval": f"{stem}.bval", "bvec": f"{stem}.bvec"})
            row = {"participant_id": sub, "session_id": ses, "dwi": scan["path"]}
            rows.append(row | {"acq_time": f"2020-0{number + 1}-01"})
            for end in (".nii", ".bval", ".bvec"):
                path = root / "bids" / f"{stem}{end}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    write_rows(root / "visits.tsv", VISIT_COLUMNS, rows)
    write_rows(root / "scans.tsv", SCAN_COLUMNS, scans)
    return root


def forecast(study: Path) -> Forecast:
    return forecast_study(study, plan_of(study))


def plan_of(study: Path) -> Plan:
    return Plan.of_study(study, read_settings(study / "config.yaml"))


def test_twice_the_patients_take_twice_the_time_disk_and_jobs(tmp_path: Path) -> None:
    one, two = (forecast(study_of(tmp_path / str(n), n)) for n in (2, 4))
    steps = [{step.step: step for step in each.steps} for each in (one, two)]
    assert (steps[0]["fit_tensor"].jobs, steps[1]["fit_tensor"].jobs) == (4, 8)
    assert steps[1]["fit_tensor"].hours == pytest.approx(2 * steps[0]["fit_tensor"].hours)
    assert steps[1]["fit_tensor"].memory_mb == steps[0]["fit_tensor"].memory_mb
    assert two.gigabytes == pytest.approx(2 * one.gigabytes, rel=0.2)
    assert one.jobs < two.jobs < 2 * one.jobs  # the cohort's are there once
    assert two.hours_with(1) == pytest.approx(two.core_hours)
    longest = sum(step.longest for step in two.steps)
    assert two.hours_with(10_000) == pytest.approx(longest)
    json.dumps(two.as_dict())


def test_what_is_done_counts_no_more_and_its_records_correct_the_rest(tmp_path: Path) -> None:
    study = study_of(tmp_path / "study", 2)
    before = {step.step: step for step in forecast(study).steps}["fit_tensor"]
    assert (before.jobs, before.to_do, before.records) == (4, 4, 0)
    log = study / "logs" / "fit_tensor" / "sub-0_ses-a.log"
    log.parent.mkdir(parents=True)
    seconds, memory = 3 * 3600 * before.longest, 2 * before.memory_mb
    told = f"done in {9 * seconds:.1f} s, processor {seconds:.1f} s, peak memory {memory:.0f} MB"
    log.write_text(f"warning: 2 voxels\n{told}\n")
    made = study / output("tensor", sub="sub-0", ses="ses-a")
    made.parent.mkdir(parents=True)
    made.touch()
    after = {step.step: step for step in forecast(study).steps}["fit_tensor"]
    assert (after.jobs, after.to_do, after.records) == (4, 3, 1)
    assert after.hours == pytest.approx(3 * 3 * before.hours / 4, rel=0.01)
    assert after.memory_mb == pytest.approx(2 * before.memory_mb, rel=0.01)
    (row,) = predicted_against_measured(study, plan_of(study))
    assert row["measured_s"] == pytest.approx(3 * row["predicted_s"], rel=0.01)


def test_larger_scans_take_more_of_everything(tmp_path: Path) -> None:
    small = forecast(study_of(tmp_path / "small", 1))
    large = forecast(study_of(tmp_path / "large", 1, (200, 200, 120, 40)))
    assert large.memory_mb > small.memory_mb
    assert large.core_hours > small.core_hours
    assert large.gigabytes > 2 * small.gigabytes
    assert large.files == small.files
    # the corrected series alone: 2 visits of 24 million samples
    assert small.gigabytes > 2 * 24e6 * 1.5 / 1e9


def test_every_step_has_its_costs() -> None:
    """A step without them would end every check of a study that has it."""
    assert {_SHARED.get(step.rule, step.rule) for step in STEPS} <= set(COSTS)
