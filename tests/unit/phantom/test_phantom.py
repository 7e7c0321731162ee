import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel

from msimaging.atlases.library import load_atlas
from msimaging.errors import InputError
from msimaging.phantom import simulate_trial, true_region_values
from msimaging.phantom.anatomy import tract_field, tracts
from msimaging.phantom.clinical import planned_visits, simulate_clinical
from msimaging.phantom.diffusion import fsl_bvecs, gradient_scheme, simulate_dwi
from msimaging.phantom.functional import (
    planted_correlation,
    planted_nodes,
    simulate_bold,
    simulate_node_series,
    typical_coupling,
)
from msimaging.phantom.head import Pose, random_head, random_motion, random_pose
from msimaging.phantom.microstructure import random_lesions, typical_biology

SMALL = {
    "dwi_voxel_size": 6.0,
    "n_b0": 2,
    "n_directions": 12,
    "bold_voxel_size": 6.0,
    "n_volumes": 20,
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bids")
    return folder, simulate_trial(folder, n_patients=2, seed=5, **SMALL)


def _hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _fit(dwi, mask):
    """Fit in the image's own frame, as a pipeline does, and turn the result to the scanner's."""
    flip = np.linalg.det(dwi.affine[:3, :3]) > 0
    along_axes = dwi.bvecs * ([-1, 1, 1] if flip else [1, 1, 1])
    gtab = gradient_table(dwi.bvals, bvecs=along_axes)
    fit = TensorModel(gtab, fit_method="OLS").fit(dwi.data[mask].astype(np.float64))
    axes = dwi.affine[:3, :3] / np.linalg.norm(dwi.affine[:3, :3], axis=0)
    return fit, fit.evecs[..., 0] @ axes.T


@pytest.fixture(scope="module")
def posed():
    rng = np.random.default_rng(8)
    turn = random_pose(rng, rotation_sd=9.0)
    oblique = random_pose(rng, rotation_sd=9.0).rotation
    head = random_head(rng)
    return simulate_dwi(head=head, pose=turn, oblique=oblique, voxel_size=5.0, snr=None), turn


def test_main_directions_are_those_of_the_turned_head_in_the_scanner(posed):
    dwi, pose = posed
    anisotropic = dwi.fa > 0.3
    fit, found = _fit(dwi, anisotropic)
    true = dwi.direction_ras[anisotropic]
    assert np.abs((found * true).sum(axis=1)).min() > 0.9999
    # without the pose, or with a flipped axis, the same check must fail
    unturned = true @ pose.rotation
    assert np.median(np.abs((found * unturned).sum(axis=1))) < 0.999
    flipped = found * [-1, 1, 1]
    assert np.median(np.abs((flipped * true).sum(axis=1))) < 0.95
    np.testing.assert_allclose(fit.fa, dwi.fa[anisotropic], atol=2e-5)
    np.testing.assert_allclose(fit.rd, dwi.rd[anisotropic], rtol=1e-4)
    np.testing.assert_allclose(fit.ad, dwi.ad[anisotropic], rtol=1e-4)


def test_fsl_flips_x_only_where_the_determinant_is_positive():
    bvecs = gradient_scheme(n_directions=6)[1]
    radiological = np.diag([-2.0, 2, 3, 1])
    np.testing.assert_allclose(fsl_bvecs(bvecs, radiological), bvecs * [-1, 1, 1])
    np.testing.assert_allclose(fsl_bvecs(bvecs, np.diag([2.0, 2, 3, 1])), bvecs * [-1, 1, 1])
    neurological_y = np.diag([2.0, -2, 3, 1])
    np.testing.assert_allclose(fsl_bvecs(bvecs, neurological_y), bvecs * [1, -1, 1])


def test_planted_change_is_found_where_planted_and_nowhere_else():
    def scan(rd_change):
        biology = replace(typical_biology(), rd_change=rd_change)
        return simulate_dwi(biology=biology, voxel_size=5.0, n_directions=12, n_b0=2, snr=None)

    before, after = scan(0.0), scan(-0.06)
    fits = [_fit(dwi, before.mask)[0] for dwi in (before, after)]
    change = 100 * (fits[1].rd / fits[0].rd - 1)
    expected = 100 * (after.rd[before.mask] / before.rd[before.mask] - 1)
    changed = expected < -5.99
    assert changed.sum() > 100
    np.testing.assert_allclose(change[changed], -6.0, atol=0.1)
    untouched = expected == 0
    assert untouched.sum() > 5000
    np.testing.assert_allclose(change[untouched], 0.0, atol=1e-6)
    np.testing.assert_array_equal(before.ad, after.ad)


def test_the_change_reaches_the_callosal_regions_of_the_atlas_only(trial):
    _, truth = trial
    values = true_region_values(truth, load_atlas("whitematter"))
    patient = values[values["participant_id"] == "sub-02"].set_index(["name", "session_id"])
    rd, ad = patient["rd"].unstack(), patient["ad"].unstack()
    change = 100 * (rd["ses-month06"] / rd["ses-baseline"] - 1)
    callosal = change.index.str.startswith("CC")
    assert change[callosal].between(-6.001, -5.9).all()
    assert change[~callosal].abs().max() == 0
    np.testing.assert_allclose(ad["ses-month06"], ad["ses-baseline"], rtol=2e-3)


def test_left_and_right_differ(trial):
    _, truth = trial
    values = true_region_values(truth, load_atlas("whitematter"))
    fa = values[values["session_id"] == "ses-baseline"].groupby("name")["fa"].mean()
    pairs = [name[:-2] for name in fa.index if name.endswith("_L") and not name.startswith("CC")]
    assert len(pairs) == 14
    difference = np.array([fa[f"{pair}_L"] - fa[f"{pair}_R"] for pair in pairs])
    assert np.median(difference) > 0.025
    # a mirrored image shows other directions, not only other values
    points = np.array([[-30.0, -10.0, 45.0], [-40.0, -60.0, 40.0], [-20.0, 30.0, 20.0]])
    left = tract_field(points).direction
    mirrored = tract_field(points * [-1, 1, 1]).direction * [-1, 1, 1]
    assert np.abs((left * mirrored).sum(axis=1)).max() < 0.995
    names = [tract.name for tract in tracts()]
    assert len(names) == len(set(names)) == 19
    left, right = (tracts()[names.index(f"corticospinal_tract_{side}")] for side in "LR")
    assert left.places[:, 0].max() < 0 < right.places[:, 0].min()
    assert left.ad > right.ad


def test_lesions_raise_diffusivity_lower_anisotropy_and_grow():
    centres, radii = random_lesions(np.random.default_rng(2), 5)
    ill = replace(typical_biology(), lesion_centres=centres, lesion_radii=radii + 1)
    grown = replace(ill, lesion_radii=radii + 2)
    settings = {"voxel_size": 4.0, "n_directions": 6, "n_b0": 1, "snr": None}
    healthy, first, second = (simulate_dwi(biology=b, **settings) for b in (None, ill, grown))
    where = first.lesion_mask
    assert 0 < where.sum() < second.lesion_mask.sum()
    assert np.median(first.md[where] / healthy.md[where]) > 1.25
    assert np.median(first.fa[where]) < np.median(healthy.fa[where]) - 0.1
    named = healthy.fa > 0.45
    np.testing.assert_array_equal(first.rd[named & ~where], healthy.rd[named & ~where])


def test_noise_is_rician_at_the_ratio_asked_for():
    settings = {"voxel_size": 6.0, "n_directions": 6, "n_b0": 3}
    clean, noisy = simulate_dwi(snr=None, **settings), simulate_dwi(snr=20.0, seed=4, **settings)
    sigma = 300 / 20
    bright = clean.data > 10 * sigma
    assert np.std((noisy.data - clean.data)[bright]) == pytest.approx(sigma, rel=0.03)
    air = clean.data == 0
    assert noisy.data[air].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)


def test_motion_moves_the_head_and_turns_what_the_gradients_see():
    motion = random_motion(np.random.default_rng(3), 9, rotation_sd=6.0, translation_sd=4.0)
    np.testing.assert_allclose(motion[0].rotation, np.eye(3))
    settings = {"voxel_size": 4.0, "n_directions": 8, "n_b0": 1, "snr": None}
    still, moving = simulate_dwi(**settings), simulate_dwi(motion=motion, **settings)
    np.testing.assert_allclose(moving.data[..., 0], still.data[..., 0], atol=0.1)
    # posing the head directly is the exact answer that the interpolation has to come near
    direct = simulate_dwi(pose=motion[-1], **settings)
    inside = still.mask & direct.mask
    error, size = (
        np.sqrt(np.mean((other.data[..., -1] - direct.data[..., -1])[inside] ** 2))
        for other in (moving, still)
    )
    assert error < 0.35 * size


def test_distortion_shifts_along_the_second_axis_and_opposite_polarities_mirror_it():
    settings = {"voxel_size": 4.0, "n_directions": 0, "n_b0": 1, "snr": None}
    oblique = random_pose(np.random.default_rng(1), rotation_sd=6.0).rotation
    one, other, none = (
        simulate_dwi(distortion_mm=mm, oblique=oblique, **settings) for mm in (6.0, -6.0, 0.0)
    )
    np.testing.assert_array_equal(one.fa, none.fa)
    rows = np.arange(none.data.shape[1])
    middle = [
        float((dwi.data[..., 0].sum(axis=(0, 2)) * rows).sum() / dwi.data.sum())
        for dwi in (one, other, none)
    ]
    frontal = [np.flatnonzero(dwi.data[22, :, 17, 0] > 150).max() for dwi in (one, none, other)]
    assert frontal[0] > frontal[1] > frontal[2]
    assert middle[0] != middle[1]
    # a shift moves signal along a line of the image and loses none
    lines = [dwi.data[..., 0].sum(axis=1) for dwi in (one, other, none)]
    inner = lines[2] > 5000
    for line in lines[:2]:
        assert np.abs(line[inner] / lines[2][inner] - 1).mean() < 0.02


def test_planted_coupling_is_found_in_long_series():
    networks = planted_nodes().networks
    coupling = typical_coupling()
    follow_up = coupling | {"default": coupling["default"] + 0.15}
    upper = np.triu(networks[:, None] == networks, 1)
    found = {}
    for name, planted in (("before", coupling), ("after", follow_up)):
        series = simulate_node_series(planted, n_volumes=20_000, seed=11)
        found[name] = np.arctanh(np.corrcoef(series.T) - np.eye(len(networks)))
        for network, z in planted.items():
            within = upper & (networks[:, None] == network)
            assert found[name][within].mean() == pytest.approx(z, abs=0.02)
    change = found["after"] - found["before"]
    assert change[upper & (networks[:, None] == "default")].mean() == pytest.approx(0.15, abs=0.01)
    assert abs(change[upper & (networks[:, None] != "default")].mean()) < 0.005
    lagged = np.mean(series[1:] * series[:-1])
    assert lagged == pytest.approx(0.4, abs=0.02)


def test_voxels_carry_their_nodes_series():
    bold = simulate_bold(
        n_volumes=40, tsnr=None, physiology_percent=0, drift_percent=0, voxel_size=5.0, seed=3
    )
    nodes = planted_nodes()
    to_voxels = np.linalg.inv(bold.affine)
    places = np.rint(nodes.centres @ to_voxels[:3, :3].T + to_voxels[:3, 3]).astype(int)
    series = bold.data[tuple(places.T)]
    alive = series.std(axis=1) > 0.5
    assert alive.mean() > 0.8
    own = np.array(
        [
            np.corrcoef(a, b)[0, 1]
            for a, b in zip(series[alive], bold.node_series.T[alive], strict=True)
        ]
    )
    assert np.mean(own > 0.999) > 0.95


def test_the_first_volumes_are_brighter_until_the_steady_state():
    settings = {"n_volumes": 8, "voxel_size": 8.0, "tsnr": None, "drift_percent": 0}
    steady = simulate_bold(**settings)
    rising = simulate_bold(saturation_seconds=4.0, **settings)
    excess = np.array(
        [
            r.mean() / s.mean() - 1
            for r, s in zip(
                np.moveaxis(rising.data, 3, 0), np.moveaxis(steady.data, 3, 0), strict=True
            )
        ]
    )
    np.testing.assert_allclose(excess, 0.3 * np.exp(-3 * np.arange(8) * 2 / 4), atol=1e-5)


def test_impossible_plans_are_refused(tmp_path):
    with pytest.raises(InputError) as refusal:
        simulate_trial(tmp_path, tract="fornix", network="salience", n_patients=0)
    assert len(refusal.value.findings) == 3
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"at least 0\.1"):
        planted_correlation(typical_coupling() | {"default": 0.0})


def test_visits_come_at_the_planned_months_and_patients_may_leave(tmp_path):
    coarse = SMALL | {"dwi_voxel_size": 12.0, "n_directions": 6, "bold_voxel_size": 12.0}
    truth = simulate_trial(tmp_path, months=[(0, 1, 12), (0, 3)], n_lesions=0, **coarse)
    months = {(v.participant_id, v.session_id): v.months for v in truth.visits}
    planned = {
        ("sub-01", "ses-baseline"): 0,
        ("sub-01", "ses-month01"): 1,
        ("sub-01", "ses-month12"): 12,
        ("sub-02", "ses-baseline"): 0,
        ("sub-02", "ses-month03"): 3,
    }
    assert months == pytest.approx(planned, abs=0.15)
    assert months != planned, "dates are some days off the plan"
    for kind in ("dwi", "bold"):
        scans = tmp_path.glob(f"sub-*/ses-*/*/*_{kind}.nii.gz")
        assert {path.parts[-4:-2] for path in scans} == set(planned)
    with pytest.raises(InputError) as refusal:
        simulate_trial(tmp_path, months=[(0, 6), (1, 3), (0, 6, 6), ()])
    assert [finding.where for finding in refusal.value.findings] == [
        "months of patient 2",
        "months of patient 3",
        "months of patient 4",
    ]


@pytest.mark.parametrize("shape", ["early", "long"])
def test_scans_can_be_planned_at_the_visits_of_the_tables(shape, tmp_path):
    planned = planned_visits(shape, seed=3)
    truth = simulate_clinical(tmp_path, shape=shape, seed=3)
    for name, months in planned.items():
        rows = (tmp_path / name / f"{name}_sessions.tsv").read_text().splitlines()[1:]
        sessions = [row.split("\t")[0] for row in rows]
        assert sessions == ["ses-baseline", *(f"ses-month{month:02d}" for month in months[1:])]
    lasts = {name: months[-1] for name, months in planned.items()}
    assert lasts == truth.last_month
    assert len(planned) == {"early": 5, "long": 24}[shape]
    assert (len(set(lasts.values())) > 1) == (shape == "long")
    assert max(lasts.values()) == {"early": 6, "long": 48}[shape]


def test_same_seed_same_bytes_whatever_the_number_of_patients(trial, tmp_path):
    folder, _ = trial
    simulate_trial(tmp_path, n_patients=1, seed=5, **SMALL)
    first, second = _hashes(folder), _hashes(tmp_path)
    common = {name for name in second if "sub-01" in name}
    assert len(common) == 18
    assert {name: second[name] for name in common} == {name: first[name] for name in common}
    scans = [value for name, value in first.items() if name.endswith(("dwi.nii.gz", "bold.nii.gz"))]
    assert len(scans) == len(set(scans)) == 8


def test_a_null_trial_plants_nothing(tmp_path):
    truth = simulate_trial(
        tmp_path, n_patients=1, rd_change=0, coupling_change=0, n_lesions=0, **SMALL
    )
    values = true_region_values(truth, load_atlas("whitematter")).set_index(["name", "session_id"])
    rd = values["rd"].unstack()
    np.testing.assert_array_equal(rd["ses-month06"], rd["ses-baseline"])
    assert truth.visits[0].coupling == truth.visits[1].coupling


def test_pybids_reads_the_dataset(trial):
    bids = pytest.importorskip("bids")
    folder, _ = trial
    layout = bids.BIDSLayout(folder, validate=True)
    assert layout.get_subjects() == ["01", "02"]
    assert layout.get_sessions() == ["baseline", "month06"]
    (dwi,) = layout.get(subject="02", session="month06", suffix="dwi", extension=".nii.gz")
    bvals = np.loadtxt(layout.get_bval(dwi.path))
    bvecs = np.loadtxt(layout.get_bvec(dwi.path))
    assert sorted(set(bvals)) == [0, 1000]
    assert bvecs.shape == (3, 14)
    np.testing.assert_allclose(np.linalg.norm(bvecs[:, bvals > 0], axis=0), 1, atol=1e-6)
    (bold,) = layout.get(subject="01", session="baseline", suffix="bold", extension=".nii.gz")
    metadata = bold.get_metadata()
    image = nib.load(bold.path)
    assert metadata["RepetitionTime"] == image.header.get_zooms()[3] == 2.0
    assert len(metadata["SliceTiming"]) == image.shape[2]
    assert np.linalg.det(image.affine[:3, :3]) < 0
    assert image.get_data_dtype() == np.int16


def test_sessions_are_five_to_seven_months_apart(trial):
    folder, truth = trial
    for first, second in (truth.visits[:2], truth.visits[2:]):
        assert first.months == 0
        assert 5 <= second.months <= 7
        assert second.coupling["default"] - first.coupling["default"] == pytest.approx(0.15)
        assert second.coupling["occipital"] == first.coupling["occipital"]
        table = folder / first.participant_id / f"{first.participant_id}_sessions.tsv"
        assert first.acquired.strftime("%Y-%m-%dT%H:%M:%S") in table.read_text()
    assert not np.allclose(truth.visits[0].pose.rotation, truth.visits[1].pose.rotation)
    assert isinstance(truth.visits[0].pose, Pose)


def test_a_distorted_trial_comes_with_the_opposite_polarity(tmp_path):
    simulate_trial(tmp_path, n_patients=1, n_visits=1, distortion_mm=5.0, **SMALL)
    (fieldmap,) = tmp_path.rglob("*_epi.json")
    metadata = json.loads(fieldmap.read_text())
    assert metadata["PhaseEncodingDirection"] == "j"
    target = tmp_path / metadata["IntendedFor"].removeprefix("bids::")
    series = nib.load(target)
    opposite = nib.load(fieldmap.with_name(fieldmap.name.replace(".json", ".nii.gz")))
    np.testing.assert_array_equal(series.affine, opposite.affine)
    assert (
        json.loads(target.with_name(target.name.replace(".nii.gz", ".json")).read_text())[
            "PhaseEncodingDirection"
        ]
        == "j-"
    )
    first, second = (np.asarray(image.dataobj)[..., 0] for image in (series, opposite))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.995


@pytest.mark.slow
def test_the_bids_validator_accepts_the_dataset(trial):
    folder, _ = trial
    program = Path(sys.executable).with_name("bids-validator-deno")
    if not program.exists():
        pytest.skip("bids-validator-deno is not installed")
    for dataset in (folder, folder / "derivatives" / "lesions"):
        found = subprocess.run(
            [program, dataset, "--ignoreWarnings"], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout
