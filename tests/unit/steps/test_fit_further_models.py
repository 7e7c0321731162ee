"""Maps and sidecars of the models beside the tensor, and their means over regions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from msimaging.diffusion.gradients import bvecs_ras_to_fsl
from msimaging.errors import InputError
from msimaging.gradient_files import write_gradients
from msimaging.steps.fit_further_models import fit_visit_free_water, fit_visit_kurtosis
from msimaging.steps.measure_diffusion import _measured, _Regions
from msimaging.volumes import read_volume, write_volume

SHAPE = (4, 4, 3)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def _write(folder: Path, *shells: float) -> dict[str, str]:
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(24, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bvals = np.r_[np.zeros(4), np.repeat(shells, 24)]
    bvecs = np.vstack([np.zeros((4, 3)), *[directions] * len(shells)])
    water = np.where(np.arange(4) < 2, 0.3, 0.0)[:, None, None, None]
    tissue = np.exp(-bvals * (0.4e-3 + 1.2e-3 * bvecs[:, 0] ** 2))
    data = 1000 * ((1 - water) * tissue + water * np.exp(-bvals * 3e-3))
    data = np.broadcast_to(data, (*SHAPE, len(bvals))).astype(np.float32)
    write_volume(folder / "dwi.nii.gz", data, AFFINE)
    write_volume(folder / "mask.nii.gz", np.ones(SHAPE, dtype=np.uint8), AFFINE)
    fsl = bvecs_ras_to_fsl(bvecs, AFFINE)
    write_gradients(folder / "dwi.bval", folder / "dwi.bvec", bvals, fsl)
    names = {"image": "dwi.nii.gz", "bval": "dwi.bval", "bvec": "dwi.bvec", "mask": "mask.nii.gz"}
    return {key: str(folder / name) for key, name in names.items()}


def test_free_water_maps_tell_what_they_are(tmp_path: Path) -> None:
    files = _write(tmp_path, 700, 1500, 3000)
    out = {name: str(tmp_path / f"{name}.nii.gz") for name in ("fw", "fa", "md", "ad", "rd")}
    fit_visit_free_water(**files, out_maps=out)
    fraction = read_volume(out["fw"]).data
    assert fraction[:2] == pytest.approx(0.3, abs=0.01)
    assert fraction[2:] == pytest.approx(0.0, abs=0.01)
    assert read_volume(out["md"]).data == pytest.approx(0.8e-3, rel=0.02)
    told = json.loads((tmp_path / "md.json").read_text())
    assert told["Units"] == "mm2/s"
    assert told["Model"]["Parameters"]["Shells"] == (
        "b = 0, 700, 1500 s/mm2; b = 3000 s/mm2 left out: free-water elimination is fitted up to "
        "2000 s/mm2"
    )


def test_kurtosis_maps_tell_what_they_are(tmp_path: Path) -> None:
    files = _write(tmp_path, 1000, 2000)
    out = {name: str(tmp_path / f"{name}.nii.gz") for name in ("mk", "ak", "rk")}
    fit_visit_kurtosis(**files, out_maps=out)
    values = read_volume(out["mk"]).data
    # tissue alone is Gaussian; water beside it looks like kurtosis
    assert values[2:] == pytest.approx(0.0, abs=0.01)
    assert (values[:2] > 0.3).all()
    told = json.loads((tmp_path / "ak.json").read_text())
    assert told["Model"]["Parameters"]["LargestBValue"] == 2000
    assert "24 directions" not in told["Model"]["Parameters"]["Shells"]


def test_a_single_shell_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    files = _write(tmp_path, 1000)
    out = {name: str(tmp_path / f"{name}.nii.gz") for name in ("fw", "fa", "md", "ad", "rd")}
    with pytest.raises(InputError, match="needs b = 0 and two shells up to 2000 s/mm2") as error:
        fit_visit_free_water(**files, out_maps=out)
    assert files["image"] in str(error.value)
    assert not (tmp_path / "fw.nii.gz").exists()


def test_voxels_of_water_alone_do_not_enter_the_means_of_tissue() -> None:
    brain = np.ones((4, 1, 1), dtype=bool)
    regions = _Regions(
        index=np.array([1]),
        names=["one"],
        tissue=[""],
        weights=csr_array(np.ones((1, 4))),
        expected=np.array([4.0]),
        of_lesions=[],
    )
    values = np.array([0.0, 0.4, 0.5, 0.6], dtype=np.float32)
    rows = [_measured(name, values, None, regions, brain) for name in ("fwfa", "fw")]
    table = pd.concat(rows).set_index("measure")
    assert table.loc["fwfa", ["value", "n_voxels", "coverage"]].tolist() == pytest.approx(
        [0.5, 3, 0.75]
    )
    assert table.loc["fw", "value"] == pytest.approx(0.375)
    assert table["se"].isna().all()
    assert table["units"].tolist() == ["1", "1"]
