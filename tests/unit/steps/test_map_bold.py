"""Maps of single voxels from a run whose slow and fast voxels are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.errors import InputError
from msimaging.steps.map_bold import map_bold
from msimaging.tables import read_json, sidecar_of, write_json, write_table
from msimaging.volumes import read_volume, write_volume

SHAPE, N_VOLUMES, T_R = (8, 8, 6), 150, 2.0


def write_dropped(path: Path, reason: str = "") -> None:
    """Write what of a patient is left out: the run of its only visit, or nothing."""
    columns = ["strategy", "atlas", "session_id", "what", "label", "before", "after", "reason"]
    row = ["mine", None, "ses-a", "run", None, 9, 0, reason]
    write_table(path, pd.DataFrame([row] if reason else [], columns=columns))


def test_slow_voxels_stand_out_in_falff_and_neighbours_that_agree_in_reho(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    time = np.arange(N_VOLUMES) * T_R
    bold = rng.normal(500, 2, size=(*SHAPE, N_VOLUMES))
    bold[:4] += 20 * np.sin(2 * np.pi * 0.04 * time)  # slow, and alike
    bold[4:] += rng.normal(0, 6, size=(4, *SHAPE[1:], N_VOLUMES))  # every voxel its own noise
    drifting = 100 * np.linspace(-1, 1, N_VOLUMES)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    names = ("image", "mask", "alff", "falff", "reho")
    paths = {name: str(tmp_path / f"{name}.nii.gz") for name in names}
    write_volume(paths["image"], (bold + drifting).astype(np.float32), affine)
    write_json(sidecar_of(paths["image"]), {"RepetitionTime": T_R})
    write_volume(paths["mask"], np.ones(SHAPE, dtype=np.uint8), affine)
    confounds, volumes = tmp_path / "confounds.tsv", tmp_path / "volumes.tsv"
    write_table(confounds, pd.DataFrame({"drift": drifting}))
    write_json(sidecar_of(confounds), {})
    write_dropped(tmp_path / "dropped.tsv")
    fate = ["censored"] * 3 + ["used"] * (N_VOLUMES - 3)
    fate[60] = "censored"
    table = pd.DataFrame({"session_id": "ses-a", "volume": range(N_VOLUMES), "mine": fate})
    write_table(volumes, table)
    map_bold(
        image=paths["image"],
        mask=paths["mask"],
        confounds=str(confounds),
        volumes=str(volumes),
        dropped=str(tmp_path / "dropped.tsv"),
        session="ses-a",
        strategy="mine",
        own_strategies={"mine": {"columns": ["drift"]}},
        high_pass=0.008,
        low_pass=None,
        out_alff=paths["alff"],
        out_falff=paths["falff"],
        out_reho=paths["reho"],
    )
    alff, falff, reho = (read_volume(paths[name], ndim=3).data for name in names[2:])
    assert np.median(falff[:4]) > 1.2 * np.median(falff[4:])
    assert np.median(alff[:4]) > 2 * np.median(alff[4:])
    assert np.nanmedian(reho[:3]) > 0.9
    assert np.nanmedian(reho[5:]) < 0.2
    # a censored volume within the stretch counts for fluctuations, not for agreement
    assert read_json(sidecar_of(paths["falff"]))["VolumesUsed"] == N_VOLUMES - 3
    assert read_json(sidecar_of(paths["reho"]))["VolumesUsed"] == N_VOLUMES - 4


@pytest.mark.parametrize("reason", ["", "9 volumes for 8 regressors"])
def test_a_run_too_short_to_clean_has_empty_maps_where_it_is_left_out(
    tmp_path: Path, reason: str
) -> None:
    rng, affine = np.random.default_rng(2), np.diag([4.0, 4.0, 4.0, 1.0])
    paths = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "mask", "a", "f", "r")}
    write_volume(paths["image"], rng.normal(500, 2, (*SHAPE, 9)).astype(np.float32), affine)
    write_json(sidecar_of(paths["image"]), {"RepetitionTime": T_R})
    write_volume(paths["mask"], np.ones(SHAPE, dtype=np.uint8), affine)
    confounds, volumes = tmp_path / "confounds.tsv", tmp_path / "volumes.tsv"
    names = [f"c{number}" for number in range(8)]
    write_table(confounds, pd.DataFrame(rng.normal(size=(9, 8)), columns=names))
    write_json(sidecar_of(confounds), {})
    fates = pd.DataFrame({"session_id": "ses-a", "volume": range(9), "mine": "used"})
    write_table(volumes, fates)
    write_dropped(tmp_path / "dropped.tsv", reason)
    asked = {
        "image": paths["image"],
        "mask": paths["mask"],
        "confounds": str(confounds),
        "volumes": str(volumes),
        "dropped": str(tmp_path / "dropped.tsv"),
        "session": "ses-a",
        "strategy": "mine",
        "own_strategies": {"mine": {"columns": names}},
        "high_pass": 0.008,
        "low_pass": None,
        "out_alff": paths["a"],
        "out_falff": paths["f"],
        "out_reho": paths["r"],
    }
    if not reason:
        with pytest.raises(InputError, match=r"regressors|degrees of freedom"):
            map_bold(**asked)
        assert not Path(paths["a"]).exists()
        return
    map_bold(**asked)
    for name in ("a", "f", "r"):
        assert np.isnan(read_volume(paths[name], ndim=3).data).all()
        assert read_json(sidecar_of(paths[name]))["Excluded"] == reason
