"""Network-based statistics as models of the trial: rows, parcels by name, who is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from msimaging.statistics.networks import network_based_statistic, threshold_free_networks
from msimaging.statistics.trial_data import EdgeChange, ModelResult, ModelSettings, TrialData
from msimaging.statistics.trial_models import fit_trial_model

LABELS = ("A", "B", "C", "D", "E", "F")
#: Edges A-B, B-C and C-D rise; E-F falls.
PLANTED = {(0, 1): 1.0, (1, 2): 1.0, (2, 3): 1.0, (4, 5): -1.0}


def change(number: int, session: str = "ses-m06", atlas: str = "own") -> EdgeChange:
    noise = np.random.default_rng((5, number)).normal(scale=0.2, size=(6, 6))
    matrix = noise + noise.T
    for (i, j), planted in PLANTED.items():
        matrix[i, j] += planted
        matrix[j, i] += planted
    np.fill_diagonal(matrix, np.nan)
    return EdgeChange(
        participant_id=f"sub-{number:02d}",
        baseline="ses-base",
        follow_up=session,
        atlas=atlas,
        months=6.0,
        labels=LABELS,
        matrix=matrix,
    )


def trial(edges: list[EdgeChange], n: int) -> TrialData:
    columns = ["participant_id", "session_id", "months", "atlas", "label", "measure", "value"]
    return TrialData(
        values=pd.DataFrame(columns=columns),
        changes=pd.DataFrame(),
        patients=pd.DataFrame(
            {"participant_id": [f"sub-{i:02d}" for i in range(n)], "arm": "", "concomitant": ""}
        ),
        motion=pd.DataFrame(),
        declared={},
        edges=tuple(edges),
    )


def fitted(data: TrialData, **settings: object) -> ModelResult:
    given = {"kind": "nbs", "outcome": "fisherz", "atlas": "own", **settings}
    return fit_trial_model(ModelSettings.of("edges", given), data)


def test_the_component_and_its_parcels_are_named() -> None:
    edges = [change(i) for i in range(7)]
    result = fitted(trial(edges, 7), threshold=[4.0])
    (row,) = result.rows
    expected = network_based_statistic(
        np.stack([e.matrix for e in edges]), threshold=4.0, kind="intensity"
    )
    assert (row["n"], row["n_excluded"], row["label"]) == (7, 0, "t > 4")
    assert (row["p"], row["p_floor"]) == (expected.p, 2 / 2**7)
    assert row["statistic"] == pytest.approx(expected.components[0].statistic)
    assert row["effect"] == 3
    assert row["estimate"] == pytest.approx(1.0, abs=0.2)
    rise, fall = (test["remark"] for test in result.tests if test["test"] != "NBS by size")
    assert rise.startswith("increase of 3 edges between 4 parcels")
    assert rise.endswith(": A, B, C, D")
    assert fall.startswith("decrease of 1 edges between 2 parcels")
    (size,) = [test for test in result.tests if test["test"] == "NBS by size"]
    assert size["statistic"] == 3


def test_several_thresholds_are_several_tests_of_a_family() -> None:
    result = fitted(trial([change(i) for i in range(5)], 5))
    assert [row["label"] for row in result.rows] == ["t > 2", "t > 3", "t > 4"]
    assert all(row["p"] >= row["p_floor"] == 0.0625 for row in result.rows)
    assert all("p-cannot-reach-0.05" in row["flags"] for row in result.rows)
    topics = {note["topic"] for note in result.notes}
    assert {"control", "floor", "threshold"} <= topics


def test_patients_and_edges_that_are_missing_are_told() -> None:
    edges = [change(i) for i in range(7)]
    thin = replace(edges[2], matrix=np.full((6, 6), np.nan))
    one_edge = edges[4].matrix.copy()
    one_edge[4, 5] = one_edge[5, 4] = np.nan
    edges = [*edges[:2], thin, edges[3], replace(edges[4], matrix=one_edge), *edges[5:]]
    result = fitted(trial(edges, 8), threshold=[4.0])
    (row,) = result.rows
    assert (row["n"], row["n_excluded"]) == (6, 2)
    told = " ".join(note["sentence"] for note in result.notes)
    assert "fewer than half of the edges: sub-02" in told
    assert "no scan at baseline or follow-up: sub-07" in told
    assert "1 of 15 edges are not tested" in told
    assert [p["participant_id"] for p in result.patients if not p["used"]] == ["sub-02", "sub-07"]
    nobody = fitted(trial([thin], 8), threshold=[4.0])
    assert nobody.rows[0]["flags"].startswith(
        "not-tested: no patient left: fewer than half of the edges, no scan at baseline"
    )
    assert len(nobody.patients) == 8


@pytest.mark.parametrize("kind", ["nbs", "tfnbs"])
@pytest.mark.parametrize("flips", [64, 4096])
def test_order_of_parcels_and_names_of_patients_change_nothing(kind: str, flips: int) -> None:
    """64 flips are random for nine patients, 4096 are all."""
    edges = [change(i) for i in range(9)]
    turned = [5, 2, 4, 0, 3, 1]
    others = [
        replace(
            each,
            participant_id=f"sub-{8 - place:02d}",
            labels=tuple(LABELS[i] for i in turned),
            matrix=each.matrix[np.ix_(turned, turned)],
        )
        for place, each in enumerate(edges)
    ]
    first = fitted(trial(edges, 9), kind=kind, flips=flips)
    second = fitted(trial(others, 9), kind=kind, flips=flips)
    for one, other in zip(first.rows, second.rows, strict=True):
        assert one["test"].startswith("random" if flips == 64 else "exact")
        assert set(one) == set(other)
        for key, value in one.items():
            same = value if isinstance(value, str) else pytest.approx(value, nan_ok=True)
            assert other[key] == same, key


def test_threshold_free_names_the_strongest_edge() -> None:
    edges = [change(i) for i in range(8)]
    result = fitted(trial([*edges, change(0, atlas="other")], 8), kind="tfnbs")
    (row,) = result.rows
    expected = threshold_free_networks(np.stack([e.matrix for e in edges]))
    assert row["p"] == np.nanmin(expected.p_adjusted)
    assert row["label"] in {"A - B", "B - C", "C - D"}
    assert row["statistic"] == pytest.approx(np.nanmax(np.abs(expected.statistic)))
    named = {test["test"]: test["p"] for test in result.tests}
    assert {f"edge {one}" for one in ("A - B", "B - C", "C - D", "E - F")} <= set(named)
