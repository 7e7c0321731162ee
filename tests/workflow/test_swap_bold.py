"""Exchanging the visits negates every change of connectivity; the same run twice changes nothing.

Every step from raw runs to changes, for three patients made of two runs: as scanned, exchanged, and
one run twice. The second run is shorter, so that the first must give up volumes for it in either
order.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msimaging.phantom import simulate_trial
from msimaging.settings import validated
from msimaging.steps.build_space import build_space
from msimaging.steps.change_connectivity import change_connectivity
from msimaging.steps.connect_parcels import connect_parcels
from msimaging.steps.equalise_visits import equalise_patient
from msimaging.steps.extract_parcels import extract_parcels
from msimaging.steps.parcel_tables import read_matrix
from msimaging.steps.preprocess_bold import preprocess_bold
from msimaging.tables import read_table

pytestmark = pytest.mark.slow

#: In units of the largest change.
TOLERANCE = 1e-6
ATLASES = ("dosenbach160",)
SETTINGS = validated({"bids_dir": "bids"})
FUNCTIONAL = SETTINGS["functional"]
STRATEGY = [FUNCTIONAL["strategy"]]
BAND = {name: FUNCTIONAL[name] for name in ("high_pass", "low_pass")}
SHORTER_BY = 8


@dataclass(frozen=True)
class Scan:
    """A preprocessed run: raw files, and everything made from them alone."""

    raw: dict[str, object]
    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)


def prepared(raw: Path, folder: Path) -> Scan:
    """Bring one run through the step that knows no other visit."""
    files = {"image": str(raw), "sidecars": [str(raw).replace(".nii.gz", ".json")]}
    scan = Scan(raw=files, folder=folder)
    preprocess_bold(
        **files,
        opposite=(),
        matched=(),
        why_distorted="not asked for",
        bias=FUNCTIONAL["bias"],
        seed=1,
        out_image=scan.file("bold.nii.gz"),
        out_reference=scan.file("reference.nii.gz"),
        out_mask=scan.file("mask.nii.gz"),
        out_motion=scan.file("motion.tsv"),
    )
    return scan


def compare(baseline: Scan, follow_up: Scan, folder: Path) -> Path:
    """Go from two runs to their change as the workflow's rules do."""
    scans, sessions = (baseline, follow_up), ("ses-a", "ses-b")
    folder.mkdir()
    names = ("midpoint.tsv", "template.nii.gz", "from_template.h5", "to_template.h5")
    midpoint, template, from_template, to_template = (str(folder / name) for name in names)
    build_space(
        images=[scan.file("reference.nii.gz") for scan in scans],
        masks=[scan.file("mask.nii.gz") for scan in scans],
        sessions=sessions,
        lesions=(),
        contrast="bright fluid",
        working_resolution=6,
        seed=1,
        out_midpoint=midpoint,
        out_template=template,
        out_from_template=from_template,
        out_to_template=to_template,
    )
    own = {session: folder / session for session in sessions}
    for scan, session in zip(scans, sessions, strict=True):
        extract_parcels(
            image=scan.file("bold.nii.gz"),
            sidecar=scan.file("bold.json"),
            mask=scan.file("mask.nii.gz"),
            motion=scan.file("motion.tsv"),
            given_confounds=(),
            midpoint=midpoint,
            to_template=to_template,
            session=session,
            sessions=sessions,
            lesions=(),
            poses=[midpoint] * 2,
            atlases=ATLASES,
            own={},
            min_coverage=FUNCTIONAL["min_coverage"],
            out_confounds=str(own[session] / "confounds.tsv"),
            out_series=[str(own[session] / "series.tsv")],
            out_coverage=[str(own[session] / "coverage.tsv")],
        )
    equalise_patient(
        confounds=[str(own[session] / "confounds.tsv") for session in sessions],
        coverages=[str(own[session] / "coverage.tsv") for session in sessions],
        sessions=sessions,
        atlases=ATLASES,
        strategies=STRATEGY,
        own_strategies={},
        **BAND,
        matching=FUNCTIONAL["matching"],
        min_coverage=FUNCTIONAL["min_coverage"],
        min_minutes=1,
        min_volumes=20,
        seed=1,
        out_dropped=str(folder / "dropped.tsv"),
        out_volumes=str(folder / "volumes.tsv"),
    )
    for session in sessions:
        connect_parcels(
            series=[str(own[session] / "series.tsv")],
            confounds=str(own[session] / "confounds.tsv"),
            volumes=str(folder / "volumes.tsv"),
            dropped=str(folder / "dropped.tsv"),
            session=session,
            atlases=ATLASES,
            own={},
            strategies=STRATEGY,
            own_strategies={},
            **BAND,
            kinds={"correlation": "empirical"},
            out_denoised=[str(own[session] / "denoised.tsv")],
            out_variances=[str(own[session] / "variance.tsv")],
            out_strengths=[str(own[session] / "strength.tsv")],
            out_networks=[str(own[session] / "networks.tsv")],
            out_matrices=[str(own[session] / "matrix.tsv")],
        )
    change_connectivity(
        matrices=[str(own[session] / "matrix.tsv") for session in sessions],
        variances=[str(own[session] / "variance.tsv") for session in sessions],
        networks=[str(own[session] / "networks.tsv") for session in sessions],
        strengths=[str(own[session] / "strength.tsv") for session in sessions],
        scans=[scan.raw for scan in scans],
        grades=SETTINGS["comparability"],
        sessions=sessions,
        repeatability=(),
        atlases=ATLASES,
        months=6.0,
        confidence=0.95,
        out_matrices=[str(folder / "change.tsv")],
        out_errors=[str(folder / "error.tsv")],
        out_tables=[str(folder / "networks.tsv")],
        out_strengths=[str(folder / "strengths.tsv")],
    )
    return folder


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("swap_bold")
    simulate_trial(
        root / "bids",
        n_patients=1,
        n_lesions=0,
        dwi_voxel_size=12.0,
        n_b0=1,
        n_directions=6,
        bold_voxel_size=8.0,
        n_volumes=48,
    )
    runs = sorted((root / "bids").glob("sub-01/*/func/*_bold.nii.gz"))
    longer, shorter = (prepared_run(path, root) for path in (runs[0], cut_short(runs[1])))
    return {
        "scanned": compare(longer, shorter, root / "scanned"),
        "swapped": compare(shorter, longer, root / "swapped"),
        "same": compare(longer, longer, root / "same"),
    }


def prepared_run(raw: Path, root: Path) -> Scan:
    return prepared(raw, root / raw.parent.parent.name)


def cut_short(raw: Path) -> Path:
    image = nib.load(raw)
    whole = image.get_fdata(dtype=np.float32)
    kept = nib.Nifti1Image(whole[..., :-SHORTER_BY], image.affine, image.header)
    target = raw.with_name("short_bold.nii.gz")
    nib.save(kept, target)
    shutil.copy(str(raw).replace(".nii.gz", ".json"), str(target).replace(".nii.gz", ".json"))
    return target


def edges(folder: Path, name: str) -> np.ndarray:
    matrix, _ = read_matrix(folder / f"{name}.tsv")
    return matrix[np.triu_indices(len(matrix), 1)]


def departure(there: np.ndarray, back: np.ndarray) -> float:
    """Return how far two changes are from cancelling, in units of the largest."""
    np.testing.assert_array_equal(np.isnan(there), np.isnan(back))
    return float(np.nanmax(np.abs(there + back)) / np.nanmax(np.abs(there)))


def test_the_longer_run_gives_up_volumes_in_either_order(patients: dict[str, Path]) -> None:
    for name, longer in (("scanned", "ses-a"), ("swapped", "ses-b")):
        fates = read_table(patients[name] / "volumes.tsv")
        fates = fates[fates["session_id"] == longer]
        assert (fates[STRATEGY[0]] == "surplus").sum() > 0
    flags = read_table(patients["scanned"] / "networks.tsv")["flags"]
    assert (flags == "differs:RunLength").all()


def test_exchanging_the_visits_negates_every_edge_and_its_interval(
    patients: dict[str, Path],
) -> None:
    there, back = (edges(patients[name], "change") for name in ("scanned", "swapped"))
    worst = departure(there, back)
    print(f"{np.isfinite(there).sum()} edges: largest departure {worst:.1e} of the largest change")
    assert worst < TOLERANCE
    # nodes of 9 mm may fall between voxels of 8 mm: about half of the 160 are there
    assert np.isfinite(there).sum() > 3000
    assert np.nanmedian(np.abs(there)) > 0.05
    errors = [edges(patients[name], "error") for name in ("scanned", "swapped")]
    np.testing.assert_allclose(*errors, rtol=TOLERANCE)
    assert np.nanmin(errors[0]) > 0


@pytest.mark.parametrize("what", ["networks", "strengths"])
def test_exchanging_the_visits_negates_every_mean_of_edges_and_its_interval(
    patients: dict[str, Path], what: str
) -> None:
    there, back = (means(patients[name], what) for name in ("scanned", "swapped"))
    assert list(there.index) == list(back.index)
    mirrored = {"change": "change", "ci_low": "ci_high", "ci_high": "ci_low"}
    for column, opposite in mirrored.items():
        worst = departure(there[column].to_numpy(), back[opposite].to_numpy())
        print(f"{column} of {what}: largest departure {worst:.1e} of the largest")
        assert worst < TOLERANCE
    np.testing.assert_allclose(there["se"], back["se"], rtol=TOLERANCE)
    np.testing.assert_allclose(there["baseline_value"], back["follow_up_value"], rtol=TOLERANCE)
    for column in ("detectable", "reliable", "flags"):
        assert there[column].astype(str).tolist() == back[column].astype(str).tolist()
    changed = there["change"].dropna()
    assert (changed.abs() > 0).all()
    assert len(changed) == (len(there) if what == "networks" else len(parcels(patients)))


def means(folder: Path, what: str) -> pd.DataFrame:
    return read_table(folder / f"{what}.tsv").set_index("label")


def parcels(patients: dict[str, Path]) -> list[str]:
    """Return the parcels of which there are edges."""
    matrix, names = read_matrix(patients["scanned"] / "change.tsv")
    return [name for name, row in zip(names, matrix, strict=True) if np.isfinite(row).any()]


def test_change_of_strength_is_the_mean_change_of_a_parcels_edges(
    patients: dict[str, Path],
) -> None:
    matrix, names = read_matrix(patients["scanned"] / "change.tsv")
    kept = parcels(patients)
    mean = pd.DataFrame(matrix, index=names, columns=names).loc[kept, kept].mean(axis=1)
    change = means(patients["scanned"], "strengths")["change"]
    np.testing.assert_allclose(change[kept], mean, atol=1e-9)
    assert change.drop(kept).isna().all()


def test_the_same_run_twice_changes_nothing(patients: dict[str, Path]) -> None:
    assert np.nanmax(np.abs(edges(patients["same"], "change"))) == 0
    for what in ("networks", "strengths"):
        same = means(patients["same"], what)
        assert (same["change"].dropna() == 0).all()
        assert same["change"].notna().sum() >= 6
        assert not set(same["detectable"].astype(str)) & {"True"}
        assert not set(same["reliable"].astype(str)) & {"True"}
        assert same["flags"].isna().all()
