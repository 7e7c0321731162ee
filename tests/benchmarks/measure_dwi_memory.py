"""Peak memory and processor time of the whole step of a raw diffusion series, corrections all on.

    python tests/benchmarks/measure_dwi_memory.py [--shape 128 128 80] [--volumes 70]

Denoising, unringing, dropped slices, head motion with eddy currents, distortion and bias, from the
file to the files, at half and at full length of the series; then the tensor fit. Every run is a
process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from bench_preprocessing import AFFINE, simulated
from bench_raw_to_maps import timed

#: What the scanner tells: full Fourier data, phase encoding to the front.
SIDECAR = {
    "PhaseEncodingDirection": "j-",
    "TotalReadoutTime": 0.05,
    "PartialFourier": 1.0,
    "SliceEncodingDirection": "k",
}


def save(path, data):
    nib.save(nib.Nifti1Image(np.rint(data).astype(np.int16), AFFINE), path)


def prepare(folder, data, bvals, bvecs):
    from msimaging.diffusion.gradients import bvecs_ras_to_fsl

    save(folder / "dwi.nii.gz", data)
    # lying a voxel farther along phase encoding than the series: something to correct
    save(folder / "opposite.nii.gz", np.roll(data[..., 0], 1, axis=1))
    np.savetxt(folder / "dwi.bvec", bvecs_ras_to_fsl(bvecs, AFFINE).T)
    np.savetxt(folder / "dwi.bval", bvals[None])
    (folder / "dwi.json").write_text(json.dumps(SIDECAR))


def run_preprocess(folder):
    from msimaging.steps.preprocess_dwi import preprocess_dwi

    outputs = ("quality", "confounds", "orientation")
    preprocess_dwi(
        image=str(folder / "dwi.nii.gz"),
        bval=str(folder / "dwi.bval"),
        bvec=str(folder / "dwi.bvec"),
        sidecars=[str(folder / "dwi.json")],
        opposite=[str(folder / "opposite.nii.gz")],
        why_distorted="",
        why_moving="",
        denoise="mppca",
        unring="auto",
        outliers=True,
        bias=True,
        gradients="accept",
        out_image=str(folder / "out.nii.gz"),
        out_bval=str(folder / "out.bval"),
        out_bvec=str(folder / "out.bvec"),
        out_reference=str(folder / "reference.nii.gz"),
        out_mask=str(folder / "mask.nii.gz"),
        out_weights=str(folder / "weights.nii.gz"),
        **{f"out_{name}": str(folder / f"{name}.tsv") for name in outputs},
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 128, 80))
    parser.add_argument("--volumes", type=int, default=70)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        run_preprocess(options.folder)
        return
    _, noisy, _, bvals, bvecs = simulated(tuple(options.shape), options.volumes)
    peaks = []
    for count in (options.volumes // 2, options.volumes):
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name), noisy[..., :count], bvals[:count], bvecs[:count])
            cost = timed([sys.executable, __file__, "--folder", name])
        peaks.append(cost.memory)
        size = "x".join(map(str, (*options.shape, count)))
        signal = np.prod(options.shape) * count * 4 / 1e9
        print(
            f"{size}: {cost.memory:.2f} GB peak, {signal:.2f} GB of signal in float32, "
            f"{cost.wall:.0f} s by the clock, {cost.processor:.0f} s of processor",
            flush=True,
        )
    print(f"peak grows by {peaks[1] / peaks[0]:.2f} for twice the volumes")


if __name__ == "__main__":
    main()
