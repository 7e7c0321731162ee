"""Tensor fit of one whole-brain volume: against DIPY's stock WLS and MRtrix3's dwi2tensor.

Run with ``python tests/benchmarks/bench_tensor.py``. Every program gets the same volume and cores.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from dipy.reconst.dti import TensorModel

from msimaging.diffusion.gradients import bvecs_ras_to_fsl, gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor

SHAPE, AFFINE = (128, 128, 60), np.diag([-2.0, 2.0, 2.0, 1.0])


def simulate():
    """Return 3 b=0 and 30 weighted volumes of random tensors at SNR 25, float32."""
    rng = np.random.default_rng(0)
    bvecs = rng.normal(size=(33, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    gtab = gradient_table(np.r_[0, 0, 0, np.full(30, 1000.0)], bvecs)
    data = np.empty((*SHAPE, 33), dtype=np.float32)
    for x in range(SHAPE[0]):
        axes = rng.normal(size=(*SHAPE[1:], 3))
        axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
        decay = gtab.bvals * (0.4e-3 + 1.1e-3 * (axes @ gtab.bvecs.T) ** 2)
        data[x] = np.abs(1000 * np.exp(-decay) + rng.normal(scale=40, size=decay.shape))
    return data, gtab


def timed(call, repeats=3):
    """Return the last result and the shortest time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return result, min(times)


def mrtrix_time(data, gtab):
    """Time dwi2tensor with its default two iterations, reading and writing uncompressed files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nib.save(nib.Nifti1Image(data, AFFINE), folder / "dwi.nii")
        np.savetxt(folder / "bvec", bvecs_ras_to_fsl(gtab.bvecs, AFFINE).T)
        np.savetxt(folder / "bval", gtab.bvals[None])
        cores = len(os.sched_getaffinity(0))
        command = ["dwi2tensor", "-quiet", "-force", "-nthreads", str(cores), "-fslgrad"]
        command += [folder / "bvec", folder / "bval", folder / "dwi.nii", folder / "dt.nii"]
        return timed(lambda: subprocess.run(command, check=True))[1]


def main():
    """Print times and ratios."""
    data, gtab = simulate()
    mask = np.ones(SHAPE, dtype=bool)
    ours, fast = timed(lambda: fit_tensor(data, gtab, mask))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    _, maps = timed(lambda: [metric.from_evals(ours.evals) for metric in SCALAR_METRICS.values()])
    peer, stock = timed(lambda: TensorModel(gtab, fit_method="WLS").fit(data, mask=mask), 1)
    apart = np.abs(ours.evals - peer.evals).max()
    print(f"volume {SHAPE} x {data.shape[-1]}, {len(os.sched_getaffinity(0))} cores allowed")
    print(
        f"msimaging WLS      {fast:7.2f} s   peak memory {peak:.2f} GB   FA MD AD RD {maps:.2f} s"
    )
    print(
        f"DIPY WLS           {stock:7.2f} s   ratio {stock / fast:5.1f}   evals differ {apart:.1e}"
    )
    if shutil.which("dwi2tensor"):
        mrtrix = mrtrix_time(data, gtab)
        print(
            f"MRtrix3 dwi2tensor {mrtrix:7.2f} s   msimaging takes {fast / mrtrix:.2f} of its time"
        )
    else:
        print("MRtrix3 dwi2tensor is not installed (Debian package mrtrix3)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
