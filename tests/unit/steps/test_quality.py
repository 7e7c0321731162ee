"""Quality of scans: the paired comparison finds a planted change, blind pages tell nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.bids.rows import read_rows
from msimaging.reporting.content import PatientContent, ReportContent
from msimaging.reporting.pages import report_pages
from msimaging.steps.blinding import record_blinding
from msimaging.steps.collect_quality import quality_tests
from msimaging.steps.report_quality import scan_contents, strip_sections

PATIENTS = [f"sub-{n:02d}" for n in range(1, 9)]
SESSIONS = ("ses-first", "ses-second")


@pytest.fixture
def quality() -> pd.DataFrame:
    """Eight patients: motion rises at every second visit, tSNR does not change on average."""
    rng = np.random.default_rng(7)
    rows = []
    for patient in PATIENTS:
        motion, signal = rng.uniform(0.1, 0.3), rng.uniform(40, 60)
        for place, session in enumerate(SESSIONS):
            values = {"fd_mean": motion + 0.1 * place, "tsnr_median": signal + rng.normal(0, 3)}
            rows += [
                {
                    "participant_id": patient,
                    "session_id": session,
                    "modality": "bold",
                    "number": number,
                    "value": value,
                    "units": "mm" if number == "fd_mean" else "1",
                    "description": number,
                    "rating": "exclude" if (patient, place) == ("sub-03", 1) else None,
                }
                for number, value in {**values, "n_volumes": 100.0 + place}.items()
            ]
    return pd.DataFrame(rows)


def scans() -> list[dict[str, object]]:
    return [
        {
            "participant_id": patient,
            "session_id": session,
            "modality": "bold",
            "rating": "",
            "comment": "",
            "pictures": {},
        }
        for patient in PATIENTS
        for session in SESSIONS
    ]


def test_more_motion_at_the_second_visit_is_found_and_a_protocol_number_is_not_tested(
    quality: pd.DataFrame,
) -> None:
    ends = {"baseline": SESSIONS[0], "follow_up": SESSIONS[1], "modality": "bold"}
    pairs = pd.DataFrame([{"participant_id": patient, **ends} for patient in PATIENTS])
    found = quality_tests(quality, pairs, confidence=0.95, seed=1).set_index("number")
    assert list(found.index) == ["fd_mean", "tsnr_median"]
    motion = found.loc["fd_mean"]
    assert (motion["n"], motion["units"]) == (8, "mm")
    assert motion["estimate"] == pytest.approx(0.1)
    assert motion["p"] == motion["p_floor"] == pytest.approx(2 / 2**8)
    assert found.loc["tsnr_median", "p"] > 0.05


def test_every_dot_leads_to_a_page_that_is_there(quality: pd.DataFrame) -> None:
    content = ReportContent(
        title="t",
        quality=strip_sections(quality, blind=False, seed=1),
        scans=scan_contents(scans(), quality, blind=False, seed=1),
    )
    pages = dict(report_pages(content))
    for patient in PATIENTS:
        for session in SESSIONS:
            name = f"scan-{patient}-{session}-bold.html"
            assert name in pages
            # one dot in each of the strips for motion and signal, and one row of the ratings
            assert pages["quality.html"].count(f'href="{name}"') == 2 + 1


def test_blind_pages_name_no_patient_no_visit_and_no_result(quality: pd.DataFrame) -> None:
    content = ReportContent(
        title="t",
        blind=True,
        patients=tuple(PatientContent(participant_id=patient) for patient in PATIENTS),
        patient_table=pd.DataFrame({"participant_id": PATIENTS, "arm": "verum"}),
        ledger=pd.DataFrame({"participant_id": PATIENTS, "reason": "secret"}),
        quality=strip_sections(quality, blind=True, seed=1),
        scans=scan_contents(scans(), quality, blind=True, seed=1),
    )
    pages = dict(report_pages(content))
    text = "".join(pages.values()) + "".join(pages)
    for told in (*PATIENTS, *SESSIONS, "verum", "secret", "ledger.html"):
        assert told not in text
    scan_pages = [name for name in pages if name.startswith("scan-")]
    assert len(scan_pages) == 16
    # the order of the codes is not that of the visits
    codes = [scan.participant_id for scan in content.scans]
    assert codes == sorted(codes)


def test_masking_and_unmasking_are_recorded_once_each(tmp_path: Path) -> None:
    path = tmp_path / "blinding.tsv"
    record_blinding(path, blind=False)
    assert not path.exists()
    for blind in (True, True, False, False, True):
        record_blinding(path, blind=blind)
    rows = read_rows(path)
    assert [row["event"] for row in rows] == ["masked", "unmasked", "masked"]
    assert all(row["user"] and "T" in row["time"] for row in rows)
