"""What Snakemake and a cluster said, read from the record of a run."""

from __future__ import annotations

from pathlib import Path

from msimaging.study.run_log import RUN_LOG, last_words, read_run_log, refusals

RECORD = """\
Building DAG of jobs...
sbatch: error: invalid partition specified: long
sbatch: error: Batch job submission failed: Invalid partition name specified
Error in group visit_dwi
    ValueError: told by a job, not by Snakemake
sbatch: error: invalid partition specified: long
WorkflowError:

At least one job did not complete successfully.
"""


def test_a_study_that_never_ran_has_no_record(tmp_path: Path) -> None:
    assert read_run_log(tmp_path) == ""
    assert refusals("") == last_words("") == []


def test_each_refusal_is_told_once_and_the_error_is_snakemakes_own(tmp_path: Path) -> None:
    (tmp_path / RUN_LOG).parent.mkdir()
    (tmp_path / RUN_LOG).write_text(RECORD)
    record = read_run_log(tmp_path)
    assert refusals(record) == [
        "sbatch: error: invalid partition specified: long",
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
    ]
    assert last_words(record) == [
        "WorkflowError:",
        "At least one job did not complete successfully.",
    ]
