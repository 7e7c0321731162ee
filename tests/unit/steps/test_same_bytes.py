"""Raw series to tensor maps in processes of their own: the same bytes from one thread and two."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from msimaging.gradient_files import write_gradients
from msimaging.phantom.diffusion import simulate_dwi
from msimaging.volumes import write_volume

_LIBRARIES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
_CHAIN = """
from msimaging.steps.fit_tensor import fit_visit_tensor
from msimaging.steps.preprocess_dwi import preprocess_dwi

fit = {"image": "o.nii.gz", "bval": "o.bval", "bvec": "o.bvec", "mask": "mask.nii.gz"}
preprocess_dwi(
    image="raw.nii.gz", bval="raw.bval", bvec="raw.bvec", sidecars=["raw.json"],
    opposite=["epi.nii.gz"], why_distorted="", denoise="mppca", unring="auto", outliers=True,
    why_moving="", bias=True, gradients="accept", out_reference="reference.nii.gz",
    out_weights="weights.nii.gz", out_quality="series.tsv", out_confounds="confounds.tsv",
    out_orientation="orientation.tsv", **{f"out_{name}": path for name, path in fit.items()},
)
maps = {name: f"{name}.nii.gz" for name in ("fa", "md", "ad", "rd", "s0", "residual")}
fit_visit_tensor(
    **fit, weights="weights.nii.gz", series_quality="series.tsv", method="wls",
    out_tensor="tensor.nii.gz", out_maps=maps, out_quality="quality.tsv",
)
"""


def _digests(folder: Path, n_threads: int) -> dict[str, str]:
    """Run the chain with every correction and return what it wrote."""
    folder.mkdir()
    common = {"voxel_size": 6.0, "n_b0": 2, "n_directions": 12, "snr": 25.0, "seed": 4}
    scan = simulate_dwi(**common, distortion_mm=6.0)
    other = simulate_dwi(voxel_size=6.0, n_b0=1, n_directions=0, snr=25.0, distortion_mm=-6.0)
    scan.data[:, :, 10, 6] *= 0.3
    write_volume(folder / "raw.nii.gz", scan.data, scan.affine)
    write_volume(folder / "epi.nii.gz", other.data, other.affine)
    write_gradients(folder / "raw.bval", folder / "raw.bvec", scan.bvals, scan.bvecs)
    told = {"PhaseEncodingDirection": "j", "PartialFourier": 1}
    (folder / "raw.json").write_text(json.dumps(told))
    given = {path.name for path in folder.iterdir()}
    environment = os.environ | dict.fromkeys(_LIBRARIES, str(n_threads))
    subprocess.run([sys.executable, "-c", _CHAIN], cwd=folder, env=environment, check=True)
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in given
    }


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    one, two = (_digests(tmp_path / str(n_threads), n_threads) for n_threads in (1, 2))
    assert one == two
    assert {"fa.nii.gz", "mask.nii.gz", "o.bvec", "quality.json", "quality.tsv"} <= one.keys()
