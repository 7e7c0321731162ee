"""Exchanging the visits negates every change; the same scan twice changes nothing.

Every step from raw diffusion series to lesions and changes, for three patients made of two scans:
as scanned, exchanged, and one scan twice; rigidly aligned, and bent to the visits' mean. That mean,
from which the nonlinear way to the template is found too, is summed in an order of the scans'
content: the way is the same to the last bit whichever visit came first, so that maps need no larger
tolerance than regions.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from diffusion_chain import Scan, compare, compare_bent, prepared

from msimaging.bids.plan import TENSOR_MEASURES
from msimaging.spatial.transforms import from_matrix, transform_points
from msimaging.tables import read_table
from msimaging.xfms import read_midpoint, read_transform

pytestmark = pytest.mark.slow

#: In units of the largest change of a measure.
TOLERANCE = 1e-6
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


@pytest.fixture(scope="module")
def scans(good_trial: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scan, Scan]:
    root = tmp_path_factory.mktemp("scans")
    first, second = (
        prepared(raw, root / raw.parent.parent.name, edge)
        for raw, edge in zip(sorted(good_trial.glob("sub-01/*/dwi/*.nii.gz")), (2, 3), strict=True)
    )
    return first, second


@pytest.fixture(scope="module")
def patients(scans: tuple[Scan, Scan], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("swap")
    first, second = scans
    return {
        "scanned": compare(first, second, root / "scanned"),
        "swapped": compare(second, first, root / "swapped"),
        "same": compare(first, first, root / "same"),
    }


def changes(folder: Path) -> pd.DataFrame:
    return read_table(folder / "changes.tsv").set_index(["label", "measure"])


def largest(table: pd.DataFrame) -> pd.Series:
    return table.groupby("measure")["change"].transform(lambda change: change.abs().max())


def test_exchanging_the_visits_negates_changes_and_intervals(patients: dict[str, Path]) -> None:
    there, back = changes(patients["scanned"]), changes(patients["swapped"])
    assert list(there.index) == list(back.index)
    mirrored = {"change": "change", "ci_low": "ci_high", "ci_high": "ci_low"}
    for column, opposite in mirrored.items():
        worst = ((there[column] + back[opposite]).abs() / largest(there)).max()
        print(f"{column}: largest departure {worst:.1e} of the largest change")
        assert worst < TOLERANCE
    for column in ("se", "sdc", "angle"):
        np.testing.assert_allclose(there[column], back[column], rtol=TOLERANCE)
    np.testing.assert_allclose(there["baseline_value"], back["follow_up_value"], rtol=TOLERANCE)
    for column in ("detectable", "reliable", "flags"):
        assert there[column].astype(str).tolist() == back[column].astype(str).tolist()
    assert (there["change"].abs() > 0).mean() > 0.7
    assert {"fa-lesion", "rd-nawm", "lesion-volume"} <= set(there.index.get_level_values("measure"))


@pytest.mark.parametrize("name", [*TENSOR_MEASURES, "direction"])
def test_exchanging_the_visits_negates_maps(patients: dict[str, Path], name: str) -> None:
    there, back = (
        nib.load(patients[patient] / f"{name}.nii.gz").get_fdata()
        for patient in ("scanned", "swapped")
    )
    sign = 1 if name == "direction" else -1
    assert np.abs(there).max() > 0
    departure = np.abs(there - sign * back).max() / np.abs(there).max()
    print(f"{name}: largest departure {departure:.1e} of the largest change")
    assert departure < TOLERANCE


def test_the_lesions_exchange_their_words(patients: dict[str, Path]) -> None:
    kinds = {
        name: read_table(path / "lesions.tsv")["kind"].tolist() for name, path in patients.items()
    }
    assert kinds == {"scanned": ["enlarged"], "swapped": ["shrunken"], "same": ["stable"]}


def test_the_same_scan_twice_changes_nothing(patients: dict[str, Path]) -> None:
    same, scanned = changes(patients["same"]), changes(patients["scanned"])
    worst = (same["change"].abs() / largest(scanned).reindex(same.index)).max()
    print(f"identity: largest change {worst:.1e} of the largest change between two visits")
    assert worst < TOLERANCE
    assert not set(same["detectable"].astype(str)) & {"True"}
    assert not set(same["reliable"].astype(str)) & {"True"}
    flags = {flag for cell in same["flags"].dropna() for flag in str(cell).split(";")}
    assert flags <= {"", "published-sdc", "low-fa"}


@pytest.fixture(scope="module")
def bent(scans: tuple[Scan, Scan], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bent visits, in processes of their own with one thread and with two."""
    root = tmp_path_factory.mktemp("bent")
    first, second = scans
    folders = {name: root / name for name in ("scanned", "swapped", "two threads")}
    by_threads = {
        "1": [(first, second, folders["scanned"])],
        "2": [(first, second, folders["two threads"]), (second, first, folders["swapped"])],
    }
    for n_threads, tasks in by_threads.items():
        with pytest.MonkeyPatch.context() as patch:
            for name in THREADS:
                patch.setenv(name, n_threads)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(compare_bent, tasks).result()
    return folders


def test_bent_visits_are_exchanged_as_rigid_ones_are(
    bent: dict[str, Path], patients: dict[str, Path]
) -> None:
    """The warp of a visit to their mean knows no order: the tolerance stays that of regions.

    The inverse of a warp holds to a tenth of a voxel only, and so would changes if one visit were
    bent to the other. Here each visit is bent to the mean of all, which is the same to the last bit
    in either order.
    """
    moved = [displacement(bent["scanned"] / session) for session in ("ses-a", "ses-b")]
    print(f"bent by {np.median(moved):.2f} mm in the median, at most {np.max(moved):.1f} mm")
    assert np.median(moved) > 0.2
    there, back = changes(bent["scanned"]), changes(bent["swapped"])
    for column, opposite in {"change": "change", "ci_low": "ci_high", "ci_high": "ci_low"}.items():
        worst = ((there[column] + back[opposite]).abs() / largest(there)).max()
        print(f"{column}: largest departure {worst:.1e} of the largest change")
        assert worst < TOLERANCE
    np.testing.assert_allclose(there["se"], back["se"], rtol=TOLERANCE)
    for name in TENSOR_MEASURES:
        maps = [
            nib.load(bent[order] / f"{name}.nii.gz").get_fdata() for order in ("scanned", "swapped")
        ]
        worst = np.abs(maps[0] + maps[1]).max() / np.abs(maps[0]).max()
        print(f"map of {name}: largest departure {worst:.1e} of the largest change")
        assert worst < TOLERANCE
    # the rim of a lesion reaches some regions by one way only
    rigid = changes(patients["scanned"])["change"].reindex(there.index)
    assert rigid.notna().sum() > 0.9 * len(there)
    assert ((there["change"] - rigid).abs() / largest(there)).max() > 0.01


def test_bent_visits_give_the_same_bytes_from_one_thread_and_two(bent: dict[str, Path]) -> None:
    names = [
        path.relative_to(bent["scanned"])
        for path in sorted(bent["scanned"].rglob("*"))
        if path.is_file()
    ]
    assert {Path("ses-a/to_visit.h5"), Path("ses-a/volume.nii.gz")} <= set(names)
    unlike = [
        str(name)
        for name in names
        if content(bent["scanned"], name) != content(bent["two threads"], name)
    ]
    print(f"{len(names)} files, {len(unlike)} differ between one thread and two")
    assert not unlike


def content(folder: Path, name: Path) -> bytes:
    """Return a file's bytes; sidecars name their sources, which stand in the same folder."""
    return (folder / name).read_bytes().replace(bytes(folder), b"")


def displacement(visit: Path) -> np.ndarray:
    """Return how far the bent way leads away from the rigid one, mm, within the brain's middle."""
    pose = read_midpoint(visit.parent / "midpoint.tsv")[visit.name]
    points = np.random.default_rng(0).uniform(-40, 40, size=(2000, 3))
    bent = transform_points(read_transform(visit / "to_visit.h5"), points)
    return np.linalg.norm(bent - transform_points(from_matrix(pose), points), axis=1)
