"""The same trial in other orders and under other names: the same `results.tsv`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.phantom.clinical import simulate_clinical
from msimaging.settings import validated
from msimaging.steps.changes import CHANGE_COLUMNS, MEASURE_COLUMNS
from msimaging.steps.collect_outcomes import collect_outcomes
from msimaging.steps.fit_model import fit_model
from msimaging.steps.test_changes import test_changes as combine_results
from msimaging.study.creation import create_study
from msimaging.tables import read_table, write_table

PARTS = ("results", "tests", "patients", "notes", "counts")
FIRST, LAST = "ses-baseline", "ses-month12"
#: One of each kind, those with something random in them among them (24 patients are too many to
#: go through all flips, orders and assignments).
MODELS = {
    "disability": {"kind": "paired", "family": "primary", "outcome": "edss", "follow_up": "last"},
    "rd": {"kind": "paired", "outcome": "rd", "follow_up": LAST, "adjustment": "max-t"},
    "course": {"kind": "slopes", "outcome": "il10"},
    "mixed": {"kind": "mixed", "outcome": "il10", "bootstrap": 199, "random_slope": False},
    "visits": {"kind": "friedman", "outcome": "sdmt"},
    "arms": {"kind": "ancova", "outcome": "t25fw", "group": "sex", "follow_up": "last"},
    "rd-walking": {
        "kind": "association", "outcome": "rd", "with": "t25fw", "summary": "mean",
        "follow_up": LAST, "covariates": ["age"],
    },
    "worsening": {
        "kind": "time-to-event", "outcome": "edss", "group": "n_treatments", "more_than": 2
    },
    "dose": {
        "kind": "responders", "outcome": "edss", "rule": "any",
        "group": "n_treatments", "more_than": 2,
    },
}  # fmt: skip


def other_name(name: str) -> str:
    """Turn the order of the names around."""
    return f"sub-{99 - int(name[-2:]):02d}"


def renamed(bids: Path, target: Path) -> None:
    for path in sorted(path for path in bids.rglob("*") if path.is_file()):
        named = re.sub(r"sub-\d\d", lambda m: other_name(m[0]), path.relative_to(bids).as_posix())
        text = re.sub(r"sub-\d\d", lambda m: other_name(m[0]), path.read_text())
        (target / named).parent.mkdir(parents=True, exist_ok=True)
        (target / named).write_text(text)


def turned(bids: Path, target: Path) -> None:
    shutil.copytree(bids, target)
    for path in target.rglob("*.tsv"):
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *rows[::-1]]) + "\n")


def imaging_changes() -> pd.DataFrame:
    generator = np.random.default_rng(8)
    rows = []
    for number in range(24):
        own = generator.normal(scale=0.02)
        for label, planted in (("CC", -0.02), ("CST", 0.0), ("fornix", -0.005)):
            before = generator.normal(0.6, 0.05)
            change = planted + own + generator.normal(scale=0.02)
            rows.append(
                {
                    "participant_id": f"sub-{number + 1:02d}",
                    "baseline": FIRST,
                    "follow_up": LAST,
                    "months": 12.0,
                    "modality": "dwi",
                    "atlas": "whitematter",
                    "label": label,
                    "measure": "rd",
                    "baseline_value": before,
                    "follow_up_value": before + change,
                    "change": change,
                    "flags": "",
                }
            )
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))


def results(bids: Path, root: Path, changes: pd.DataFrame) -> pd.DataFrame:
    """Go the way of the workflow's rules to ``results.tsv``."""
    truth = simulate_clinical(root / "unused", shape="long")
    create_study(bids, root / "study")
    settings = validated({**truth.settings, "bids_dir": str(bids), "models": MODELS})
    tables = {name: str(root / f"{name}.tsv") for name in ("outcomes", "patients", "measures")}
    collect_outcomes(
        study=str(root / "study"), settings=settings, tables=[],
        out_outcomes=tables["outcomes"], out_patients=tables["patients"],
        **{f"out_{name}": str(root / f"{name}.tsv") for name in ("treatments", "events", "safety")},
    )  # fmt: skip
    write_table(tables["measures"], pd.DataFrame(columns=list(MEASURE_COLUMNS)))
    write_table(root / "changes.tsv", changes)
    for name, model in MODELS.items():
        fit_model(
            name=name, changes=str(root / "changes.tsv"),
            motion=[], motion_rows=[], edges=[], edge_rows=[],
            settings={
                "model": model, "trial": settings["trial"], "outcomes": settings["outcomes"],
                "confidence": 0.95, "seed": 1,
            },
            **tables,
            **{f"out_{part}": str(root / f"{name}_{part}.tsv") for part in PARTS},
        )  # fmt: skip
    combine_results(
        changes=str(root / "changes.tsv"),
        models=[str(root / f"{name}_results.tsv") for name in MODELS],
        families={"primary": "holm", "secondary": "holm", "exploratory": "bh"},
        adjustment="max-t", confidence=0.95, seed=1, out_table=str(root / "results.tsv"),
    )  # fmt: skip
    table = read_table(root / "results.tsv")
    return table.sort_values(["model", "label"], kind="stable").reset_index(drop=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    root = tmp_path_factory.mktemp("original")
    simulate_clinical(root / "bids", shape="long")
    return root / "bids", results(root / "bids", root, imaging_changes())


def test_every_kind_of_model_was_fitted(original: tuple[Path, pd.DataFrame]) -> None:
    table = original[1]
    declared = table[table["family"].isin(["primary", "exploratory"])]
    assert {name.split(":")[0] for name in declared["model"]} == set(MODELS)
    assert not table["flags"].str.contains("not-tested").any(), table["flags"].tolist()
    assert table["test"].str.contains("random").sum() >= 3


@pytest.mark.parametrize("way", [renamed, turned])
def test_other_names_and_orders_give_the_same_results(
    way: Callable[[Path, Path], None], original: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    bids, expected = original
    way(bids, tmp_path / "bids")
    changes = imaging_changes().iloc[::-1]  # labels and patients the other way round
    if way is renamed:
        changes["participant_id"] = changes["participant_id"].map(other_name)
    found = results(tmp_path / "bids", tmp_path, changes)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-7, atol=1e-12)
