from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from msimaging.longitudinal.comparability import (
    DEFAULT_RULES,
    compare_acquisitions,
    confounded_with_visit,
    harmonisation_findings,
)

VISIT = {
    "Manufacturer": "Canon",
    "ManufacturersModelName": "Galan 3T",
    "DeviceSerialNumber": "s1",
    "MagneticFieldStrength": 3,
    "ReceiveCoilName": "Head32",
    "SoftwareVersions": "V6.0",
    "PulseSequenceType": "EPI",
    "EchoTime": 0.079,
    "RepetitionTime": 10.0,
    "FlipAngle": 90,
    "ParallelReductionFactorInPlane": 2,
    "MultibandAccelerationFactor": 1,
    "TotalReadoutTime": 0.05,
    "PhaseEncodingDirection": "j",
    "SliceTiming": [0.0, 5.0, 1.0, 6.0],
    "VoxelSize": np.array([3.0, 3.0, 3.0]),
    "DirectionCount": 12,
    "BValues": (0, 1500),
    "RunLength": 130.0,
    "Preprocessing": "msimaging",
    "Strategy": "24P",
    "PipelineVersion": "0.1.0",
    "Settings": "ab12",
}
OTHER = {
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Vida",
    "DeviceSerialNumber": "s2",
    "MagneticFieldStrength": 1.5,
    "ReceiveCoilName": "Head20",
    "SoftwareVersions": "V6.1",
    "PulseSequenceType": "GRE",
    "EchoTime": 0.081,
    "RepetitionTime": 10.1,
    "FlipAngle": 80,
    "ParallelReductionFactorInPlane": 3,
    "MultibandAccelerationFactor": 2,
    "TotalReadoutTime": 0.06,
    "PhaseEncodingDirection": "j-",
    "SliceTiming": [0.0, 1.0, 5.0, 6.0],
    "VoxelSize": [3.0, 3.0, 3.2],
    "DirectionCount": 13,
    "BValues": (0, 1400),
    "RunLength": 190.0,
    "Preprocessing": "QSIPrep",
    "Strategy": "36P",
    "PipelineVersion": "0.2.0",
    "Settings": "cd34",
}


def graded(findings):
    return {finding.where: finding.severity for finding in findings}


def test_the_examples_cover_every_rule():
    assert set(VISIT) == set(OTHER) == set(DEFAULT_RULES)


def test_the_same_acquisition_raises_nothing():
    assert compare_acquisitions(VISIT, dict(VISIT, VoxelSize=[3.0, 3.0, 3.01], RunLength=128)) == ()


@pytest.mark.parametrize("field", sorted(DEFAULT_RULES))
def test_each_field_is_seen_with_its_grade_from_both_sides(field):
    changed = {**VISIT, field: OTHER[field]}
    there, back = compare_acquisitions(VISIT, changed), compare_acquisitions(changed, VISIT)
    assert graded(there) == graded(back) == {field: DEFAULT_RULES[field]["grade"]}


def test_the_values_are_told_in_order():
    (finding,) = compare_acquisitions(VISIT, {**VISIT, "EchoTime": 0.081})
    assert "0.079 then 0.081" in str(finding)
    assert "within 0.0005" in str(finding)


def test_shells_of_other_number_differ():
    found = compare_acquisitions(VISIT, {**VISIT, "BValues": (0, 1000, 2000)})
    assert graded(found) == {"BValues": "error"}


def test_a_value_missing_at_one_visit_warns_and_at_both_is_named_once():
    known = {key: value for key, value in VISIT.items() if key != "PhaseEncodingDirection"}
    (finding,) = compare_acquisitions(known, VISIT)
    assert (finding.where, finding.severity) == ("PhaseEncodingDirection", "warning")
    assert "'j'" not in finding.found
    assert "follow-up" in finding.found
    (note,) = compare_acquisitions(known, known)
    assert note.severity == "note"
    assert "PhaseEncodingDirection" in note.found


def test_the_table_of_rules_can_be_changed():
    rules = {"EchoTime": {"tolerance": 0.01, "grade": "error"}}
    assert compare_acquisitions(VISIT, OTHER, rules=rules) == ()
    strict = {"EchoTime": {"tolerance": None, "grade": "error"}}
    assert graded(compare_acquisitions(VISIT, OTHER, rules=strict)) == {"EchoTime": "error"}


@pytest.mark.real_data
def test_the_real_software_upgrade_is_seen(shared_data):
    visits = [
        json.loads(path.read_text())
        for path in sorted(shared_data.glob("bids/sub-CD01/ses-*/dwi/*acq-ax20*.json"))
    ]
    grades = graded(compare_acquisitions(*visits))
    assert grades.pop("sidecars of both visits") == "note"
    assert grades == {"SoftwareVersions": "warning", "ParallelReductionFactorInPlane": "note"}


def cohort(scanners):
    rows = [
        {"participant_id": f"sub-{index:02d}", "session_id": session, "scanner": scanner}
        for index, pair in enumerate(scanners)
        for session, scanner in zip(("ses-00", "ses-06"), pair, strict=True)
        if scanner is not None
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("scanners", "confounded"),
    [
        ([("A", "B")] * 4, True),
        ([("A", "A")] * 4, False),
        ([("A", "A"), ("A", "A"), ("B", "B")], False),
        ([("A", "B"), ("A", "B"), ("A", "A")], False),
        ([("A", "B"), ("B", "A"), ("A", "B")], False),
        ([("A", "B"), ("A", "B"), ("A", None)], True),
        ([("A", "C"), ("B", "D")], True),
    ],
)
def test_confounding_is_a_matter_of_rank(scanners, confounded):
    table = cohort(scanners)
    assert confounded_with_visit(table) is confounded
    assert bool(harmonisation_findings(table)) is confounded


def test_harmonisation_is_refused_with_the_reason():
    (finding,) = harmonisation_findings(cohort([("V6.0", "V6.1")] * 3))
    assert finding.severity == "error"
    assert "3 on V6.0" in finding.found
    assert "not estimable" in finding.remedy
