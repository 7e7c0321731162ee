import pandas as pd
import pytest

from msimaging.reporting.privacy import identifies, shareable, without_identifying


@pytest.mark.parametrize(
    "name",
    [
        "PatientName",
        "PatientBirthDate",
        "patient_birth_date",
        "InstitutionName",
        "InstitutionAddress",
        "DeviceSerialNumber",
        "StationName",
        "ReferringPhysicianName",
        "AccessionNumber",
        "StudyInstanceUID",
        "AcquisitionDateTime",
    ],
)
def test_fields_of_people_and_places_identify(name):
    assert identifies(name)


@pytest.mark.parametrize(
    "name", ["participant_id", "session_id", "age", "sex", "RepetitionTime", "coverage", "stage"]
)
def test_fields_of_the_science_do_not(name):
    assert not identifies(name)


def test_only_tables_of_single_patients_are_masked():
    per_patient = pd.DataFrame({"participant_id": ["01"], "arm": ["a"], "PatientID": ["7"]})
    per_arm = pd.DataFrame({"arm": ["a"], "estimate": [1.0]})
    assert list(shareable(per_patient, ["arm"]).columns) == ["participant_id"]
    assert list(shareable(per_arm, ["arm"]).columns) == ["arm", "estimate"]
    assert "PatientID" in per_patient
    assert without_identifying({"PatientWeight": 70, "EchoTime": 0.03}) == {"EchoTime": 0.03}
