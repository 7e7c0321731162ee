from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from nilearn.interfaces.fmriprep import load_confounds_strategy

from msimaging.errors import InputError
from msimaging.functional.confounds import confounds_table, cosine_basis, dvars, expansion
from msimaging.functional.strategies import MOTION, select_confounds

SHAPE, T, T_R, N_BAD = (12, 13, 11), 90, 2.0, 3


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(0)
    bold = 1000 + rng.normal(0, 10, size=(*SHAPE, T))
    white = np.zeros(SHAPE, dtype=bool)
    white[2:5, 3:9, 3:8] = True
    csf = np.zeros(SHAPE, dtype=bool)
    csf[7:9, 3:9, 3:8] = True
    brain = np.zeros(SHAPE, dtype=bool)
    brain[1:11, 2:11, 2:9] = True
    sources = rng.normal(size=(2, T))
    bold[white] += 12 * rng.normal(size=(white.sum(), 1)) * sources[0]
    bold[csf] += 15 * sources[1]
    bold[..., :N_BAD] += 200
    motion = np.cumsum(rng.normal(0, [0.05] * 3 + [0.001] * 3, size=(T, 6)), axis=0)
    motion[40:, 1] += 0.9
    bold[..., 60] += 60
    return {
        "bold": bold.astype(np.float32),
        "t_r": T_R,
        "brain_mask": brain,
        "motion": motion,
        "white_matter_mask": white,
        "csf_mask": csf,
        "n_non_steady": N_BAD,
    }, sources


@pytest.fixture(scope="module")
def confounds(run):
    return confounds_table(**run[0])


def test_expansion_by_hand():
    columns = expansion("csf", np.array([2.0, 5.0, 1.0]))
    assert list(columns) == ["csf", "csf_derivative1", "csf_power2", "csf_derivative1_power2"]
    np.testing.assert_array_equal(columns["csf_derivative1"], [np.nan, 3, -4])
    np.testing.assert_array_equal(columns["csf_power2"], [4, 25, 1])
    np.testing.assert_array_equal(columns["csf_derivative1_power2"], [np.nan, 9, 16])


def test_dvars_by_hand():
    # quartiles by the lower of two values, as FSL counts them
    voxels = np.array([[10.0, 12, 10, 14, 6, 10, 11, 9], [20, 21, 26, 20, 18, 23, 24, 20]])
    spread = np.array([11 - 9, 23 - 20]) / 1.349
    lag_one = []
    for voxel in voxels:
        centred = voxel - voxel.mean()
        lag_one.append(centred[1:] @ centred[:-1] / (centred @ centred))
    expected = np.mean(spread * np.sqrt(2 * (1 - np.array(lag_one))))
    steps = np.sqrt(np.mean(np.diff(voxels) ** 2, axis=0))
    constant = np.full(8, 15.0)
    bold = np.vstack([voxels, constant]).reshape(3, 1, 1, 8)
    raw, standardised = dvars(bold, mask=np.ones((3, 1, 1), dtype=bool))
    assert np.isnan(raw[0])
    assert np.isnan(standardised[0])
    np.testing.assert_allclose(raw[1:], steps * 1000 / 15)
    np.testing.assert_allclose(standardised[1:], steps / expected)


def test_signals_and_motion_are_those_of_the_run(run, confounds):
    table, arguments = confounds.table, run[0]
    white = arguments["bold"][arguments["white_matter_mask"]].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(table["white_matter"], white)
    np.testing.assert_allclose(
        table["global_signal"], arguments["bold"][arguments["brain_mask"]].mean(0), rtol=1e-5
    )
    n_white, n_csf = arguments["white_matter_mask"].sum(), arguments["csf_mask"].sum()
    weighted = (n_white * table["white_matter"] + n_csf * table["csf"]) / (n_white + n_csf)
    np.testing.assert_allclose(table["csf_wm"], weighted)
    assert np.corrcoef(table["csf"][N_BAD:], run[1][1][N_BAD:])[0, 1] > 0.9
    np.testing.assert_array_equal(table[list(MOTION)], arguments["motion"])
    step = np.abs(np.diff(arguments["motion"], axis=0)) @ [1, 1, 1, 50, 50, 50]
    np.testing.assert_allclose(table["framewise_displacement"][1:], step)


def test_compcor_finds_the_planted_sources(run, confounds):
    table, metadata = confounds.table, confounds.metadata
    steady = slice(N_BAD, None)
    basis = np.column_stack([np.ones(T - N_BAD), cosine_basis(T - N_BAD, t_r=T_R)])
    for column, source in (("w_comp_cor_00", run[1][0]), ("c_comp_cor_00", run[1][1])):
        filtered = source[steady] - basis @ np.linalg.lstsq(basis, source[steady])[0]
        assert abs(np.corrcoef(table[column][steady], filtered)[0, 1]) > 0.9
        assert (table[column][:N_BAD] == 0).all()
        assert metadata[column]["Retained"] is True
    assert {fact["Mask"] for fact in metadata.values()} == {"combined", "WM", "CSF", "temporal"}
    for prefix in "awct":
        names = [name for name in table if name.startswith(f"{prefix}_comp_cor_")]
        shares = [metadata[name]["CumulativeVarianceExplained"] for name in names]
        assert shares[-1] >= 0.5
        assert all(share < 0.5 for share in shares[:-1])
        assert metadata[names[0]]["VarianceExplained"] == pytest.approx(shares[0])
    assert set(metadata) == {name for name in table if "_comp_cor_" in name}


def test_a_fixed_number_of_components(run):
    table = confounds_table(**run[0], n_components=5).table
    assert sum(name.startswith("w_comp_cor_") for name in table) == 5


def test_outlier_columns_are_one_hot(confounds):
    table = confounds.table
    steady = [name for name in table if name.startswith("non_steady_state_outlier")]
    assert steady == [f"non_steady_state_outlier{i:02d}" for i in range(N_BAD)]
    np.testing.assert_array_equal(table[steady].to_numpy()[:N_BAD], np.eye(N_BAD))
    outliers = [name for name in table if name.startswith("motion_outlier")]
    volumes = table[outliers].to_numpy().argmax(axis=0)
    assert table[outliers].to_numpy().sum() == len(outliers)
    assert {40, 60, 61} <= set(volumes.tolist())
    beyond = (table["framewise_displacement"] > 0.5) | (table["std_dvars"] > 1.5)
    np.testing.assert_array_equal(volumes, np.flatnonzero(beyond))


def test_cosines_are_slow_orthonormal_and_begin_with_the_steady_state(confounds):
    cosines = confounds.table.filter(like="cosine").to_numpy()
    # floor(2 * 87 volumes * 2 s / 128 s) = 2
    assert cosines.shape == (T, 2)
    np.testing.assert_allclose(cosines.T @ cosines, np.eye(2), atol=1e-12)
    assert not cosines[:N_BAD].any()


@pytest.mark.parametrize(
    ("theirs", "ours"), [("simple", "simple"), ("scrubbing", "scrubbing"), ("compcor", "acompcor")]
)
def test_nilearn_loads_the_table_as_it_is(tmp_path, confounds, theirs, ours):
    stem = tmp_path / "sub-01_task-rest_desc-"
    image = nib.Nifti1Image(np.zeros((2, 2, 2, T), dtype=np.float32), np.eye(4))
    nib.save(image, f"{stem}preproc_bold.nii.gz")
    confounds.table.to_csv(f"{stem}confounds_timeseries.tsv", sep="\t", na_rep="n/a", index=False)
    with open(f"{stem}confounds_timeseries.json", "w") as file:  # noqa: PTH123  # a str of nilearn's
        json.dump(confounds.metadata, file)
    loaded, mask = load_confounds_strategy(f"{stem}preproc_bold.nii.gz", denoise_strategy=theirs)
    selected = select_confounds(confounds.table, ours, metadata=confounds.metadata)
    assert sorted(loaded.columns) == sorted(selected.names)
    np.testing.assert_array_equal(mask, selected.sample_mask)
    centred = selected.design - selected.design[selected.sample_mask].mean(axis=0)
    np.testing.assert_allclose(
        loaded[list(selected.names)].to_numpy(), centred, atol=1e-6 * np.abs(centred).max()
    )


def test_without_motion_and_tissues_the_rest_is_there(run):
    arguments = {
        key: value
        for key, value in run[0].items()
        if key not in {"motion", "white_matter_mask", "csf_mask"}
    }
    table = confounds_table(**arguments).table
    assert {"global_signal", "std_dvars", "t_comp_cor_00", "cosine00"} <= set(table)
    assert not [name for name in table if name.startswith(("trans", "a_comp", "csf"))]


def test_misfits_are_told_together(run):
    arguments = dict(run[0])
    arguments["motion"] = arguments["motion"][1:]
    arguments["csf_mask"] = arguments["csf_mask"][1:]
    arguments["brain_mask"] = np.zeros(SHAPE, dtype=bool)
    with pytest.raises(InputError) as error:
        confounds_table(**arguments)
    assert [finding.where for finding in error.value.findings] == [
        "brain mask",
        "csf mask",
        "motion",
    ]
    arguments["bold"] = arguments["bold"][..., :4]
    with pytest.raises(InputError, match="three or more volumes"):
        confounds_table(**arguments)
