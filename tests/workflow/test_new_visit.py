"""A visit that joins a finished study of twenty patients: exactly the jobs that depend on it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from test_dag import Table, snakemake


def planned(study: Path) -> list[tuple[str, str, list[str]]]:
    """List the jobs of a dry run: rule, wildcards, outputs."""
    base = ("--directory", study, "--configfile", study / "config.yaml", "-n")
    result = snakemake(*base)
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = []
    for text in re.split(r"(?m)^\[.*\]$", result.stdout):
        rule = re.search(r"(?m)^(?:local)?rule (\w+):", text)
        files = re.search(r"(?m)^    output: (.*)$", text)
        wildcards = re.search(r"(?m)^    wildcards: (.*)$", text)
        if rule and files:
            names = wildcards.group(1) if wildcards else ""
            jobs.append((rule.group(1), names, files.group(1).split(", ")))
    return jobs


def finish(study: Path) -> None:
    """Put every output there, later than every scan and all at the same time."""
    now = time.time()
    for path in (study / "bids").rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    for _, _, files in planned(study):
        for name in files:
            path = study / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # pictures of a patient are a folder
            path.touch() if path.suffix else path.mkdir()
            os.utime(path, (now, now))


@pytest.mark.slow
def test_a_new_visit_among_twenty_patients(tmp_path: Path) -> None:
    table = Table(tmp_path)
    for patient in range(20):
        table.add(f"sub-{patient:02d}", 0).add(f"sub-{patient:02d}", 6)
    study = table.write()
    finish(study)
    assert planned(study) == []

    table.add("sub-07", 12)
    # a table keeps the visits of a patient together
    table.visits.sort(key=lambda row: row["participant_id"])
    table.write()
    jobs = planned(study)
    of_patients = {names for _, names, _ in jobs if "sub=" in names}
    assert {name for names in of_patients for name in re.findall(r"sub=([\w-]+)", names)} == {
        "sub-07"
    }
    # its patient's space is another one with it: all of the patient's visits are measured again
    own = ("preprocess_dwi", "fit_tensor", "preprocess_bold")
    of_its_patient = ("build_dwi_space", "measure_diffusion", "change_diffusion")
    of_its_patient += ("build_bold_space", "extract_parcels", "connect_parcels")
    of_its_patient += ("change_connectivity", "draw_patient_dwi", "draw_patient_bold")
    of_the_cohort = ("collect_measures", "collect_changes", "collect_specifications")
    of_the_cohort += ("collect_qcfc", "collect_quality", "connect_group", "test_changes")
    of_the_cohort += ("draw_cohort_connectivity", "write_ledger", "write_report")
    rules = [rule for rule, _, _ in jobs]
    assert {rule: rules.count(rule) for rule in rules} == {
        **dict.fromkeys((*own, *of_its_patient, *of_the_cohort), 1),
        **dict.fromkeys(("draw_regions", "draw_cohort_maps"), 2),
    }
    assert all("ses=ses-m12" in names for rule, names, _ in jobs if rule in own)
    assert len(jobs) == len({(rule, names) for rule, names, _ in jobs})
