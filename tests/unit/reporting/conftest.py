import struct
import zlib

import pandas as pd
import pytest

from msimaging.reporting.content import (
    ComparisonContent,
    FigureContent,
    PatientContent,
    ReportContent,
    ScanContent,
    SectionContent,
    TableContent,
    VolumeContent,
)
from msimaging.reporting.methods import StepRecord, methods_text

HOSTILE = "<script>alert(1)</script>"
QUOTES = 'moved "a lot" & <b>slept</b>'


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, grey):
    rows = b"".join(b"\0" + bytes([grey]) * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _changes(patient):
    return pd.DataFrame(
        {
            "participant_id": patient,
            "modality": "dwi",
            "atlas": "whitematter",
            "label": ["genu", "fornix", "splenium"],
            "measure": "rd",
            "baseline_value": [5.1e-4, 6.2e-4, 4.9e-4],
            "change": [-3.1e-5, 2.0e-6, float("nan")],
            "detectable": [True, False, None],
            "reliable": [True, False, None],
            "PatientBirthDate": "19700101",
        }
    )


def _patient(name):
    pictures = [
        FigureContent(title=title, caption="Axial.", picture=png(60, 30, grey))
        for title, grey in (("Baseline", 90), ("Month 06", 120), ("Difference", 200))
    ]
    return PatientContent(
        participant_id=name,
        facts={"arm": "verum", "months": "6.1", "PatientName": "Jane Roe"},
        changes=_changes(name),
        comparisons=(
            ComparisonContent(
                title="FA", baseline=pictures[0], follow_up=pictures[1], difference=pictures[2]
            ),
        ),
    )


@pytest.fixture
def hostile():
    return HOSTILE


@pytest.fixture
def content():
    """A report of three patients, one of them with a hostile name."""
    names = ("sub-01", HOSTILE, "sub-10")
    svg = (
        b'<?xml version="1.0"?>\n<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="240.9pt"'
        b' xmlns="http://www.w3.org/2000/svg"><metadata>\n<a b="http://purl.org/dc/"/></metadata>'
        b'<a xlink:href="patient-sub-01.html"><text>strip</text></a></svg>'
    )
    strips = FigureContent(
        title="Motion", caption=QUOTES, picture=svg, media_type="image/svg+xml", inline=True
    )
    results = pd.DataFrame(
        {"label": ["genu", "fornix", "arcuate"], "estimate": [10.0, 9.0, float("nan")]}
    )
    quality = pd.DataFrame(
        {
            "participant_id": names,
            "arm": "verum",
            "InstitutionName": "Clinic",
            "fd": [0.1, 0.2, 0.3],
        }
    )
    return ReportContent(
        title="Trial",
        banner="Exploratory and uncontrolled.",
        patients=tuple(_patient(name) for name in names),
        patient_table=pd.DataFrame({"participant_id": names}),
        cohort=(SectionContent(title="R", tables=(TableContent(title="Results", table=results),)),),
        quality=(
            SectionContent(
                title="Numbers",
                figures=(strips,),
                tables=(TableContent(title="Motion", table=quality),),
            ),
        ),
        scans=tuple(
            ScanContent(participant_id=name, session_id="month06", modality="dwi", comment=comment)
            for name, comment in zip(names, (QUOTES, "", ""), strict=True)
        ),
        methods=methods_text([StepRecord(name="fit_tensor", ran=True, settings={"fit": "wls"})]),
        ledger=pd.DataFrame(
            [("dwi", HOSTILE, "month06", "excluded", QUOTES)],
            columns=["step", "participant_id", "session_id", "state", "reason"],
        ),
    )


@pytest.fixture
def volume():
    return VolumeContent
