"""Distortion of a resting run is undone together with its motion, and told either way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from msimaging.errors import InputError
from msimaging.phantom.diffusion import SimulatedDWI, simulate_dwi
from msimaging.phantom.functional import SimulatedBOLD, simulate_bold
from msimaging.phantom.head import random_motion
from msimaging.steps.preprocess_bold import preprocess_bold
from msimaging.tables import read_json, write_json
from msimaging.volumes import read_volume, write_volume

MM, N_VOLUMES = 8.0, 6
COMMON: dict[str, Any] = {"voxel_size": 5.0, "drift_percent": 0.0, "physiology_percent": 0.0}
OUTPUTS = {
    "out_image": "out_bold.nii.gz",
    "out_reference": "out_boldref.nii.gz",
    "out_mask": "out_mask.nii.gz",
    "out_motion": "out_motion.tsv",
}


Wanted = tuple[NDArray[np.float32], NDArray[np.bool_]]


@pytest.fixture(scope="module")
def bent() -> SimulatedBOLD:
    return simulated(MM)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Wanted:
    """Return the mean of the run as it would be without distortion, and the true brain."""
    folder, straight = tmp_path_factory.mktemp("straight"), simulated(0.0)
    preprocess_bold(**written(folder, straight))
    return read_volume(folder / OUTPUTS["out_image"]).data.mean(axis=3), straight.mask


def simulated(mm: float) -> SimulatedBOLD:
    """Simulate a run of a head that moves, displaced by so much."""
    motion = random_motion(np.random.default_rng(3), N_VOLUMES, rotation_sd=1.0, translation_sd=1.0)
    return simulate_bold(
        **COMMON, n_volumes=N_VOLUMES, distortion_mm=mm, motion=motion, tsnr=100.0, seed=1
    )


def written(folder: Path, run: SimulatedBOLD, **acquisition: Any) -> dict[str, Any]:
    write_volume(folder / "bold.nii.gz", run.data, run.affine, repetition_time=run.t_r)
    fields = {"RepetitionTime": run.t_r, "PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.04}
    write_json(folder / "bold.json", fields | acquisition)
    return {
        "image": str(folder / "bold.nii.gz"),
        "sidecars": [str(folder / "bold.json")],
        "opposite": [],
        "matched": [],
        "why_distorted": "no image of opposite phase encoding",
        "bias": False,
        "seed": 1,
        **{key: str(folder / name) for key, name in OUTPUTS.items()},
    }


def polarity(folder: Path, name: str, mm: float, *, spin_echo: bool = False) -> list[str]:
    """Write two volumes of one polarity, of the run's contrast or that of spin echoes."""
    image: SimulatedBOLD | SimulatedDWI
    if spin_echo:
        image = simulate_dwi(voxel_size=5.0, n_b0=2, n_directions=0, distortion_mm=mm, snr=50.0)
    else:
        image = simulate_bold(**COMMON, n_volumes=2, distortion_mm=mm, tsnr=100.0, seed=8)
    write_volume(folder / f"{name}.nii.gz", image.data, image.affine)
    write_json(folder / f"{name}.json", {"TotalReadoutTime": 0.06})
    return [str(folder / f"{name}.nii.gz"), str(folder / f"{name}.json")]


def error(folder: Path, wanted: Wanted) -> float:
    """Root mean square of what the mean of the corrected run misses, in the true brain."""
    shown, (mean, brain) = read_volume(folder / OUTPUTS["out_image"]).data.mean(axis=3), wanted
    return float(np.sqrt(np.mean((shown - mean)[brain] ** 2)))


def told(folder: Path) -> dict[str, Any]:
    return read_json(folder / "out_bold.json")


def test_a_field_map_undoes_the_planted_distortion(
    tmp_path: Path, bent: SimulatedBOLD, wanted: Wanted
) -> None:
    files = written(tmp_path, bent)
    preprocess_bold(**files)
    before = error(tmp_path, wanted)
    says = told(tmp_path)["SusceptibilityDistortionCorrected"]
    assert says == "no: no image of opposite phase encoding"
    opposite = polarity(tmp_path, "opposite", -MM)[:1]
    preprocess_bold(**files | {"opposite": opposite, "why_distorted": ""})
    after = error(tmp_path, wanted)
    print(f"\nroot mean square error in the brain: {before:.1f} before, {after:.1f} after")
    assert after < 0.6 * before
    facts = told(tmp_path)
    assert facts["SusceptibilityDistortionCorrected"].startswith("yes: field between the run and")
    assert 5 < facts["SusceptibilityDisplacementMax"] < 10


def test_two_polarities_of_another_contrast_are_carried_to_the_run_and_swapped_harm_it(
    tmp_path: Path, bent: SimulatedBOLD, wanted: Wanted
) -> None:
    files = written(tmp_path, bent)
    preprocess_bold(**files)
    errors = {"none": error(tmp_path, wanted)}
    # read out at two thirds of the speed, a map is displaced by half as much again
    for name, mm in (("right", 1.5 * MM), ("swapped", -1.5 * MM)):
        own, other = (polarity(tmp_path, f"{name}{s:+d}", s * mm, spin_echo=True) for s in (1, -1))
        preprocess_bold(**files | {"opposite": other[:1], "matched": own, "why_distorted": ""})
        errors[name] = error(tmp_path, wanted)
    print(f"\nroot mean square error in the brain: {errors}")
    assert errors["right"] < 0.6 * errors["none"]
    assert errors["swapped"] > 1.3 * errors["none"]
    assert "readout times 0.04 and 0.06 s" in told(tmp_path)["SusceptibilityDistortionCorrected"]


def test_a_planted_bias_leaves_the_reference_where_asked_and_never_the_run(
    tmp_path: Path, wanted: Wanted
) -> None:
    mean, brain = wanted
    run = simulated(0.0)
    shade = np.exp(0.5 * np.linspace(-1, 1, len(run.data), dtype=np.float32))[:, None, None]
    tilted = replace(run, data=run.data * shade[..., None])

    def slope(shown: NDArray[np.float32]) -> float:
        """Return how much of the planted bias an image shows: 1 all of it, 0 nothing."""
        logarithm = np.log((shown / mean)[brain])
        return float(np.polyfit(np.log(np.broadcast_to(shade, mean.shape)[brain]), logarithm, 1)[0])

    shown = {}
    for asked in (False, True):
        preprocess_bold(**written(tmp_path, tilted) | {"bias": asked})
        shown[asked] = slope(read_volume(tmp_path / OUTPUTS["out_reference"]).data)
        assert slope(read_volume(tmp_path / OUTPUTS["out_image"]).data.mean(axis=3)) > 0.9
    print(f"\nshare of the planted bias in the reference: {shown[False]:.2f} -> {shown[True]:.2f}")
    assert shown[False] > 0.9
    assert abs(shown[True]) < 0.3
    assert read_json(tmp_path / "out_boldref.json")["BiasFieldCorrected"].startswith("yes: N4")


def test_a_field_map_along_another_axis_is_refused(tmp_path: Path, bent: SimulatedBOLD) -> None:
    files = written(tmp_path, bent)
    turned: NDArray[np.float64] = bent.affine[:, [1, 0, 2, 3]]
    write_volume(tmp_path / "epi.nii.gz", bent.data[..., 0], turned)
    with pytest.raises(InputError, match="encoded along the axis of its run") as caught:
        preprocess_bold(**files | {"opposite": [str(tmp_path / "epi.nii.gz")]})
    assert "epi.nii.gz" in str(caught.value)
    assert not (tmp_path / OUTPUTS["out_image"]).exists()
