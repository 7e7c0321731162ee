"""What a job asks for follows the sizes of its scans, and never falls below what it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from msimaging.bids import resources
from msimaging.bids.plan import Plan
from msimaging.bids.resources import (
    COSTS,
    TYPICAL_SHAPE,
    expected,
    request_memory,
    request_minutes,
    work_on,
)
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS, Scan
from msimaging.bids.visits import VISIT_COLUMNS
from msimaging.settings import validated


def scan(*shape: int) -> Scan:
    return Scan(path="x", modality="dwi", bval=None, bvec=None, sidecars=(), shape=shape)


def test_work_adds_voxels_and_samples_of_all_scans() -> None:
    work = work_on([scan(100, 100, 50, 40), scan(50, 40, 10)])
    assert (work.voxels, work.samples, work.scans) == (0.52, 20.02, 2)
    assert (work.largest_voxels, work.largest_samples) == (0.5, 20)


def test_a_job_that_takes_scans_one_by_one_holds_the_largest() -> None:
    one, three = (work_on([scan(100, 100, 50, 40)] * count) for count in (1, 3))
    (memory, seconds), (memory_of_three, seconds_of_three) = (
        expected("measure_diffusion", work) for work in (one, three)
    )
    assert memory_of_three == memory
    assert seconds_of_three > 2 * seconds


def test_a_scan_of_unknown_size_counts_as_a_large_one() -> None:
    assert work_on([scan()]) == work_on([scan(*TYPICAL_SHAPE)])


def test_a_series_of_twice_the_volumes_adds_twice_the_slope() -> None:
    sizes = [work_on([scan(100, 100, 60, n)]) for n in (50, 100, 150)]
    memory = [expected("fit_tensor", work)[0] for work in sizes]
    assert memory[1] - memory[0] == pytest.approx(30 * COSTS["fit_tensor"].mb_per_samples)
    assert memory[2] - memory[1] == pytest.approx(memory[1] - memory[0])


def test_corrections_add_to_the_job_that_does_them() -> None:
    work = work_on([scan(100, 100, 60, 50)])
    plain, corrected = (
        expected("preprocess_dwi", work, corrections=names) for names in ((), ("denoise", "motion"))
    )
    assert corrected[0] > plain[0]
    assert corrected[1] > plain[1]


@pytest.mark.parametrize(
    ("motion", "fieldmap", "done"),
    [
        ("auto", True, ("denoise", "motion", "distortion")),
        # what the scans do not allow costs nothing
        ("auto", False, ("denoise",)),
        (True, False, ("denoise", "motion")),
    ],
)
def test_corrections_are_those_that_settings_and_scans_allow(
    motion: object, fieldmap: bool, done: tuple[str, ...], tmp_path: Path
) -> None:
    series = {"path": "dwi.nii.gz", "modality": "dwi", "bval": "dwi.bval", "bvec": "dwi.bvec"}
    opposite = {"path": "epi.nii.gz", "modality": "epi"}
    rows = [series | {"reversed": opposite["path"]}, opposite] if fieldmap else [series]
    write_rows(tmp_path / "scans.tsv", SCAN_COLUMNS, rows)
    visit = {"participant_id": "sub-1", "session_id": "ses-a", "dwi": series["path"]}
    write_rows(tmp_path / "visits.tsv", VISIT_COLUMNS, [visit])
    diffusion = {"denoise": "mppca", "motion": motion}
    plan = Plan.of_study(tmp_path, validated({"bids_dir": "raw", "diffusion": diffusion}))
    assert resources.corrections_on(plan, "sub-1") == done


def test_each_attempt_asks_for_twice_as_much() -> None:
    assert [request_memory(1000, attempt=n) for n in (1, 2, 3)] == [1600, 3100, 6200]
    assert [request_minutes(600, attempt=n) for n in (1, 2)] == [45, 90]


def test_no_job_asks_for_less_than_its_starters_need() -> None:
    assert request_memory(0) == 500


def test_every_rule_has_its_costs(repository: Path) -> None:
    rules = {
        name
        for path in (repository / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"(?:memory|minutes)\(\"(\w+)\"", path.read_text())
    }
    assert rules == set(COSTS)
