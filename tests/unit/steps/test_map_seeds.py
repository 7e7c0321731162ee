"""Seed maps are nilearn's numbers, in template space; their change is a difference of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker
from numpy.typing import NDArray

from msimaging.atlases.library import load_atlas
from msimaging.atlases.templates import template_grid
from msimaging.errors import ConfigError, InputError
from msimaging.settings import validated
from msimaging.steps.change_seeds import change_seeds
from msimaging.steps.map_seeds import map_seeds, smoothed_in
from msimaging.tables import read_json, sidecar_of, write_json, write_table
from msimaging.volumes import Volume, read_volume, write_volume
from msimaging.xfms import write_midpoint, write_transform

MM, T, T_R, HIGH_PASS = 6, 60, 2.0, 0.02
CENTRE, RADIUS = np.array([0.0, -52.0, 18.0]), 9.0
GRID, AFFINE = template_grid(resolution=MM)
ATLAS, NODE = load_atlas("dosenbach160"), 15
SEEDS: list[dict[str, Any]] = [
    {"name": "PCC", "coordinates": CENTRE.tolist(), "radius": RADIUS},
    {"name": "Node", "atlas": "dosenbach160", "label": ATLAS.names[NODE]},
    # at the rim of the template, where the run has no brain
    {"name": "Away", "coordinates": (AFFINE @ [16, 1, 16, 1])[:3].tolist(), "radius": 6.0},
]


def written(folder: Path, *, excluded: bool = False, seed: int = 0) -> dict[str, Any]:
    """Write a run that lies on the template's grid already, and all that belongs to it."""
    rng = np.random.default_rng(seed)
    common = np.cumsum(rng.normal(size=T))
    bold = 600 + rng.normal(0, 8, size=(*GRID, T)) + common * rng.uniform(0, 1, size=(*GRID, 1))
    brain = np.zeros(GRID, dtype=np.uint8)
    brain[8:-8, 6:-6, 6:-6] = 1
    names = ("image", "mask")
    paths = {name: str(folder / f"{name}.nii.gz") for name in names}
    write_volume(paths["image"], bold.astype(np.float32), AFFINE)
    write_json(sidecar_of(paths["image"]), {"RepetitionTime": T_R})
    write_volume(paths["mask"], brain, AFFINE)
    tables = {name: str(folder / f"{name}.tsv") for name in ("confounds", "volumes", "dropped")}
    write_table(tables["confounds"], pd.DataFrame({"one": rng.normal(size=T), "two": common}))
    write_json(sidecar_of(tables["confounds"]), {})
    volumes = pd.DataFrame({"session_id": "ses-a", "volume": range(T), "mine": "used"})
    row = {"session_id": "ses-a", "what": "run", "strategy": "mine", "reason": "too short"}
    dropped = pd.DataFrame([row] if excluded else [], columns=list(row))
    if excluded:
        volumes["mine"] = "censored"
    write_table(tables["volumes"], volumes)
    write_table(tables["dropped"], dropped)
    write_midpoint(folder / "midpoint.tsv", {"ses-a": np.eye(4)})
    ways = {name: str(folder / f"{name}.h5") for name in ("from_template", "to_template")}
    for path in ways.values():
        write_transform(path, sitk.AffineTransform(3))
    return {
        **paths,
        **tables,
        **ways,
        "midpoint": str(folder / "midpoint.tsv"),
        "session": "ses-a",
        "seeds": SEEDS,
        "own": {},
        "min_coverage": 0.5,
        "strategy": "mine",
        "own_strategies": {"mine": {"columns": ["one", "two"]}},
        "high_pass": HIGH_PASS,
        "low_pass": None,
        "smoothing": 0.0,
        "resolution": MM,
        "out_maps": [str(folder / f"{seed['name']}.nii.gz") for seed in SEEDS],
    }


def nilearn_map(files: dict[str, Any], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Correlate a seed with every voxel as nilearn's example does."""
    image = nib.load(files["image"])
    # in double precision: nilearn averages in that of the image
    image = nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float64), image.affine)
    brain = nib.load(files["mask"])
    inside = labels & (np.asarray(brain.dataobj) > 0)
    choices = {"standardize": "zscore_sample", "detrend": True, "high_pass": HIGH_PASS}
    choices |= {"t_r": T_R, "clean_args": {"filter": "cosine"}}
    confounds = pd.read_table(files["confounds"])
    seed_masker = NiftiLabelsMasker(nib.Nifti1Image(inside.astype(np.int32), AFFINE), **choices)
    brain_masker = NiftiMasker(brain, dtype=np.float64, **choices)
    seed = seed_masker.fit_transform(image, confounds=confounds)
    voxels = brain_masker.fit_transform(image, confounds=confounds)
    z = np.arctanh(voxels.T @ seed / (len(seed) - 1))
    return np.asarray(brain_masker.inverse_transform(z[:, 0]).dataobj)


def test_maps_equal_nilearn_to_a_millionth_and_uncovered_seeds_are_missing(tmp_path: Path) -> None:
    files = written(tmp_path)
    map_seeds(**files)
    places = np.moveaxis(np.indices(GRID), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    to_voxel = np.linalg.inv(ATLAS.affine)
    nearest = np.rint(places @ to_voxel[:3, :3].T + to_voxel[:3, 3]).astype(int)
    nearest = nearest.clip(0, np.array(ATLAS.labels_img.shape) - 1)
    wanted = {
        "PCC": np.linalg.norm(places - CENTRE, axis=-1) <= RADIUS,
        "Node": ATLAS.labels_img[tuple(np.moveaxis(nearest, -1, 0))] == ATLAS.indices[NODE],
    }
    assert min(np.count_nonzero(seed) for seed in wanted.values()) > 1
    for name, path in zip(("PCC", "Node"), files["out_maps"], strict=False):
        ours, theirs = read_volume(path).data, nilearn_map(files, wanted[name])
        brain = np.isfinite(ours)
        assert brain.sum() == read_volume(files["mask"]).data.sum()
        difference = np.abs(ours - theirs)[brain].max()
        print(f"\n{name}: off nilearn by {difference:.1e}, z up to {ours[brain].max():.2f}")
        assert difference < 1e-6
    away = read_json(sidecar_of(files["out_maps"][2]))
    assert (np.isnan(read_volume(files["out_maps"][2]).data).all(), away["SeedCoverage"]) == (
        True,
        0,
    )


def test_smoothing_stays_inside_the_brain() -> None:
    rng = np.random.default_rng(2)
    brain = np.zeros((12, 12, 12), dtype=bool)
    brain[2:10, 2:10, 2:10] = True
    data = np.where(brain[..., None], 500.0, 9000.0) + np.zeros(3)
    noisy = np.where(brain[..., None], 500 + rng.normal(0, 10, size=(*brain.shape, 3)), 9000.0)
    flat, smooth = (
        smoothed_in(Volume(data=run.astype(np.float32), affine=AFFINE), brain, fwhm=12.0)
        for run in (data, noisy)
    )
    np.testing.assert_allclose(flat[brain], 500, rtol=1e-5)
    assert 0.1 < smooth[brain].std() / noisy[brain].std() < 0.6
    same = smoothed_in(Volume(data=noisy, affine=AFFINE), brain, fwhm=0.0)
    np.testing.assert_array_equal(same, noisy)


def test_a_run_left_out_of_statistics_gets_missing_values_and_another_an_error(
    tmp_path: Path,
) -> None:
    files = written(tmp_path, excluded=True)
    map_seeds(**files)
    assert np.isnan(read_volume(files["out_maps"][0]).data).all()
    assert read_json(sidecar_of(files["out_maps"][0]))["Excluded"] == "too short"
    write_table(
        files["dropped"], pd.DataFrame(columns=["session_id", "what", "strategy", "reason"])
    )
    with pytest.raises(InputError):
        map_seeds(**files)


def test_the_change_is_follow_up_minus_baseline(tmp_path: Path) -> None:
    maps = []
    for visit, number in (("a", 0), ("b", 1)):
        (tmp_path / visit).mkdir()
        files = written(tmp_path / visit, seed=number)
        map_seeds(**files)
        maps.append(files["out_maps"])
        table = pd.DataFrame({"label": ["x"], "value": [0.1], "se": [0.1], "flags": [""]})
        write_table(tmp_path / visit / "networks.tsv", table)
        made = {"GeneratedBy": [{"Version": "1"}], "Settings": "same"}
        write_json(tmp_path / visit / "networks.json", made)
    scan = {"image": str(tmp_path / "a/image.nii.gz"), "sidecars": [str(tmp_path / "a/image.json")]}
    out = [str(tmp_path / f"{seed['name']}.nii.gz") for seed in SEEDS]
    change_seeds(
        maps=[path for pair in zip(*maps, strict=True) for path in pair],
        networks=[str(tmp_path / visit / "networks.tsv") for visit in "ab"],
        names=[seed["name"] for seed in SEEDS],
        scans=[scan, scan],
        grades=validated({"bids_dir": "x"})["comparability"],
        sessions=["ses-a", "ses-b"],
        out_maps=out,
    )
    before, after = (read_volume(files[0]).data for files in maps)
    np.testing.assert_array_equal(read_volume(out[0]).data, after - before)
    assert np.nanmax(np.abs(after - before)) > 0.1


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([{"name": "A", "atlas": "nowhere", "label": "x"}], "known atlases"),
        ([{"name": "A", "coordinates": [0, 0, 0]}] * 2, "names of their own"),
        ([{"name": "A"}], "functional.seeds.0"),
        ([{"name": "A", "coordinates": [0, 0]}], "functional.seeds.0"),
        ([{"name": "A", "coordinates": [0, 0, 0], "label": "x"}], "functional.seeds.0"),
    ],
)
def test_faulty_seeds_are_told_with_the_settings(seeds: list[Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        validated({"bids_dir": "x", "functional": {"seeds": seeds}})


def test_a_label_or_a_place_that_does_not_exist_is_named(tmp_path: Path) -> None:
    files = written(tmp_path)
    files["seeds"] = [{"name": "A", "atlas": "dosenbach160", "label": "nothing"}]
    with pytest.raises(InputError, match="name of a parcel of dosenbach160"):
        map_seeds(**files | {"out_maps": [str(tmp_path / "A.nii.gz")]})
    assert not (tmp_path / "A.nii.gz").exists()
    files["seeds"] = [{"name": "A", "coordinates": [0, 0, 500], "radius": 6}]
    with pytest.raises(InputError, match=r"functional\.seeds: A.*inside the template"):
        map_seeds(**files | {"out_maps": [str(tmp_path / "A.nii.gz")]})
