"""The mean change over patients in a glass brain: only where all agree, and in clusters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from msimaging.settings import validated
from msimaging.steps.draw_cohort_maps import draw_cohort_maps, mean_change
from msimaging.tables import read_table
from msimaging.volumes import write_volume

STYLE = validated({"bids_dir": "bids"})["figures"]["style"] | {"dpi": 60}
AFFINE = np.array([[4.0, 0, 0, -78], [0, 4, 0, -110], [0, 0, 4, -70], [0, 0, 0, 1]])


def _maps(folder: Path, changes: list[np.ndarray]) -> list[str]:
    paths = [folder / f"sub-{number}.nii.gz" for number in range(len(changes))]
    for path, change in zip(paths, changes, strict=True):
        write_volume(path, change.astype(np.float32), AFFINE)
    return [str(path) for path in paths]


@pytest.fixture
def changes(tmp_path: Path) -> list[str]:
    """Five patients: a block of 8 ml falls in all, one voxel rises, one patient lacks a corner."""
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 1e-5, (5, 40, 48, 40))
    maps[:, 20:25, 20:25, 20:25] -= 1e-4
    maps[:, 5, 5, 5] = 1e-4
    maps[2, :3] = 0
    maps[3, 30, 30, 30] = np.nan
    return _maps(tmp_path, list(maps))


def test_the_mean_and_its_interval_are_those_of_students_t(changes: list[str]) -> None:
    found = mean_change(changes, confidence=0.95)
    assert found.mean[22, 22, 22] == pytest.approx(-1e-4, abs=2e-5)
    assert found.excludes_zero[20:25, 20:25, 20:25].all()
    assert not found.mean[:3].any()
    assert found.mean[30, 30, 30] == 0
    elsewhere = found.excludes_zero[10:20, 10:40, 10:40]
    assert elsewhere.mean() == pytest.approx(0.05, abs=0.01)


def test_clusters_are_drawn_and_listed_beside_the_figure(
    changes: list[str], tmp_path: Path
) -> None:
    files = [str(tmp_path / f"glass.{suffix}") for suffix in ("png", "tsv", "rst")]
    draw_cohort_maps(changes=changes, measure="rd", confidence=0.95, style=STYLE, out_figure=files)
    table = read_table(files[1])
    largest = table.iloc[0]
    assert largest["volume_ml"] >= 8
    assert largest["mean_change"] == pytest.approx(-1e-4, rel=0.2)
    assert table["volume_ml"].min() >= 0.5
    assert tuple(largest[["x", "y", "z"]]) >= (2, -30, 10)
    caption = json.loads((tmp_path / "glass.json").read_text())["Description"]
    assert f"Mean of 5 patients, {len(table)} clusters" in caption
    assert Path(files[0]).read_bytes().startswith(b"\x89PNG")


def test_one_patient_has_no_interval_and_shows_nothing(changes: list[str], tmp_path: Path) -> None:
    files = [str(tmp_path / f"one.{suffix}") for suffix in ("png", "tsv", "rst")]
    one = {"changes": changes[:1], "measure": "fa", "confidence": 0.95, "style": STYLE}
    draw_cohort_maps(**one, out_figure=files)
    assert read_table(files[1]).empty
    assert "Mean of 1 patient, 0 clusters" in Path(files[2]).read_text()
