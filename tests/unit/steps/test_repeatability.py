"""The study's own rescans take the place of a published number, where there are enough."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from msimaging.steps.judging import judged_by_rescans
from msimaging.steps.measure_repeatability import measure_repeatability
from msimaging.tables import read_table, write_table


@pytest.fixture
def repeatability(tmp_path):
    """Four people scanned twice: the genu scatters more than the body; two missed the stem."""
    tables, rows = [], []
    for person, (genu, body) in enumerate([(0.3, 0.1), (-0.3, 0.1), (0.3, -0.1), (-0.3, -0.1)]):
        for visit in (0, 1):
            path = tmp_path / f"{person}_{visit}.tsv"
            values = [5 + visit * genu, 7 + visit * body, np.nan if person < 2 else 1.0 + visit]
            names = ["genu", "body", "stem"]
            write_table(path, pd.DataFrame({"name": names, "measure": "rd", "value": values}))
            tables.append(str(path))
            rows.append({"atlas": "tracts", "series": f"sub-{person} ses-a"})
    out = str(tmp_path / "repeatability.tsv")
    measure_repeatability(
        diffusion=tables,
        functional=[],
        strengths=[],
        diffusion_rows=rows,
        functional_rows=[],
        confidence=0.95,
        out_table=out,
    )
    return out


def test_verdicts_follow_the_scatter_of_each_region(repeatability):
    noise = read_table(repeatability).set_index("label")
    assert noise.loc["genu", "within_sd"] == pytest.approx(0.3 / np.sqrt(2))
    assert noise["df"].to_dict() == {"genu": 4, "body": 4, "stem": 2}
    changes = pd.DataFrame(
        {
            "label": ["genu", "body", "stem"],
            "measure": "rd",
            "change": [0.5, -0.5, 0.5],
            "sdc": 0.7,
            "reliable": False,
            "flags": ["published-sdc;fa-below-0.2", "published-sdc", "published-sdc"],
        }
    )
    judged = judged_by_rescans(changes, [repeatability], modality="dwi", atlas="tracts")
    assert judged["reliable"].tolist() == [False, True, False]
    assert judged["flags"].tolist() == ["fa-below-0.2", "", "published-sdc"]
    assert judged["sdc"].tolist()[2] == 0.7
    other = judged_by_rescans(changes, [repeatability], modality="dwi", atlas="other")
    pd.testing.assert_frame_equal(other, changes, check_dtype=False)


def test_strengths_of_parcels_have_their_own_scatter(tmp_path):
    """A network may bear the name of a parcel: the measure tells them apart."""
    files = {"networks": [], "strengths": []}
    for person, sign in enumerate((1, -1, 1, -1)):
        for visit in (0, 1):
            for kind, step in (("networks", 0.02), ("strengths", 0.10)):
                path = tmp_path / f"{kind}_{person}_{visit}.tsv"
                table = {"label": ["default"], "value": [0.3 + sign * visit * step], "se": 0.01}
                write_table(path, pd.DataFrame(table))
                files[kind].append(str(path))
    rows = [{"atlas": "own", "series": f"sub-{place // 2} ses-a"} for place in range(8)]
    out = str(tmp_path / "repeatability.tsv")
    measure_repeatability(
        diffusion=[],
        functional=files["networks"],
        strengths=files["strengths"],
        diffusion_rows=[],
        functional_rows=rows,
        confidence=0.95,
        out_table=out,
    )
    scatter = read_table(out).set_index("measure")["within_sd"]
    assert scatter["fisherz"] == pytest.approx(0.02 / np.sqrt(2))
    assert scatter["strength"] == pytest.approx(0.10 / np.sqrt(2))
    changes = pd.DataFrame(
        {
            "label": ["default", "default"],
            "measure": ["fisherz", "strength"],
            "change": 0.15,
            "sdc": np.nan,
            "reliable": None,
            "flags": "",
        }
    )
    judged = judged_by_rescans(changes, [out], modality="bold", atlas="own")
    assert judged["reliable"].tolist() == [True, False]
