"""Changes of the strength of parcels: when they are comparable, and what a page tells of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.steps.change_connectivity import OTHER_PARCELS, strength_changes
from msimaging.steps.report_strength import MOST_TOLD, strength_sections
from msimaging.tables import write_table

SPAN = {"months": 6.0, "confidence": 0.95}


def strengths(values: list[float]) -> pd.DataFrame:
    labels = [f"parcel{place}" for place in range(len(values))]
    return pd.DataFrame({"label": labels, "value": values, "se": 0.03})


def test_a_parcel_that_both_visits_lack_leaves_the_others_comparable() -> None:
    found = strength_changes(strengths([0.2, np.nan, 0.4]), strengths([0.4, np.nan, 0.35]), **SPAN)
    assert found["change"].tolist() == pytest.approx([0.2, np.nan, -0.05], nan_ok=True)
    assert found["se"][0] == pytest.approx(0.03 * np.sqrt(2))
    assert found["detectable"].tolist() == [True, None, False]
    assert set(found["measure"]) == {"strength"}
    assert (found["flags"] == "").all()


def test_strengths_over_other_parcels_are_not_compared() -> None:
    before, after = strengths([0.2, np.nan, 0.4]), strengths([0.4, 0.1, 0.35])
    found = strength_changes(before, after, **SPAN)
    assert found["change"].isna().all()
    assert (found["flags"] == OTHER_PARCELS).all()
    assert found["follow_up_value"].tolist() == [0.4, 0.1, 0.35]
    thin = strength_changes(before, after, **SPAN, known=False)
    assert thin["change"].isna().all()
    assert (thin["flags"] == "").all()


def test_the_page_tells_the_largest_changes_and_how_many_chance_would_give(tmp_path: Path) -> None:
    before = np.full(40, 0.2)
    after = before + np.linspace(-0.3, 0.1, 40)
    paths = [str(tmp_path / name) for name in ("a.tsv", "b.tsv")]
    found = strength_changes(strengths(list(before)), strengths(list(after)), **SPAN)
    write_table(paths[0], found)
    nothing = [np.nan] * 3
    write_table(paths[1], strength_changes(strengths(nothing), strengths(nothing), **SPAN))
    visits = {"baseline": "ses-a", "follow_up": "ses-b", "atlas": "own"}
    rows = [{**visits, "participant_id": name} for name in ("sub-1", "sub-2")]
    told = strength_sections(paths, rows, confidence=0.95)
    assert set(told) == {"sub-1", "sub-2"}
    ((known,), (unknown,)) = (told[name][0].tables for name in ("sub-1", "sub-2"))
    detectable = int((np.abs(after - before) > 1.96 * 0.03 * np.sqrt(2)).sum())
    assert known.caption.startswith(f"{detectable} of 40 parcels")
    assert "about 2 would without any change" in known.caption
    assert known.table["label"].tolist() == [f"parcel{place}" for place in range(MOST_TOLD)]
    assert set(known.table["verdict"]) == {"detectable (rescans unknown)"}
    assert unknown.caption.startswith("Not compared")
    assert unknown.table.empty
