"""Denoising, unringing and motion against MRtrix3 on one volume: times, memory, ratios.

Run as ``python tests/benchmarks/bench_preprocessing.py --shape 96 96 40 --volumes 33``; peers
not on the path are left out. Each of our steps runs in a process of its own, so that its peak
memory is its own; times of ours include reading and writing the volume, as the peers' do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def simulated(shape, n_volumes, *, sigma=50.0, seed=0):
    """A head of three tissues, fibres of many directions, moved, at SNR 20 of b=0."""
    rng = np.random.default_rng(seed)
    z = 1 - (2 * np.arange(n_volumes - 1) + 1) / (2 * (n_volumes - 1))
    turn = np.pi * (1 + 5**0.5) * np.arange(n_volumes - 1)
    ring = np.sqrt(1 - z**2)
    bvecs = np.r_[np.zeros((1, 3)), np.stack([ring * np.cos(turn), ring * np.sin(turn), z], 1)]
    bvals = np.r_[0.0, np.full(n_volumes - 1, 1000.0)]
    x, y, w = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in shape), indexing="ij")
    mask = (x / 0.72) ** 2 + (y / 0.85) ** 2 + (w / 0.85) ** 2 < 1
    fluid = (((x - 0.2) / 0.12) ** 2 + ((y - 0.1) / 0.3) ** 2 + (w / 0.4) ** 2) < 1
    texture, angle, rise = (ndimage.gaussian_filter(rng.normal(size=shape), s) for s in (3, 8, 8))
    white = mask & ~fluid & (texture > 0)
    s0 = np.where(fluid, 1600.0, np.where(white, 800, 1000)) * mask
    axial = np.where(fluid, 3.0e-3, np.where(white, 1.6e-3, 0.9e-3))
    radial = np.where(fluid, 3.0e-3, np.where(white, 0.4e-3, 0.75e-3))
    angle, rise = 1.5 * angle / angle.std(), 0.7 * rise / rise.std()
    fibre = np.stack(
        [np.cos(angle) * np.cos(rise), np.sin(angle) * np.cos(rise), np.sin(rise)], axis=-1
    )
    truth = np.empty((*shape, n_volumes), dtype=np.float32)
    noisy = np.empty_like(truth)
    for n, (b, g) in enumerate(zip(bvals, bvecs, strict=True)):
        signal = ndimage.gaussian_filter(
            s0 * np.exp(-b * (radial + (axial - radial) * (fibre @ g) ** 2)), 0.6
        )
        if n:
            signal = ndimage.shift(signal, rng.uniform(-1, 1, 3), order=1)
        truth[..., n] = signal
        noise = rng.normal(0, sigma, (2, *shape))
        noisy[..., n] = np.hypot(signal + noise[0], noise[1])
    return truth, noisy, mask, bvals, bvecs


def run_step(step, folder, n_threads):
    """Run one of our steps on the volume in ``folder`` (in a process of its own)."""
    image = nib.load(folder / "dwi.nii")
    data = np.asarray(image.dataobj)
    if step == "denoise":
        from msimaging.diffusion.denoising import denoise_mppca

        result = denoise_mppca(data, n_threads=n_threads).data
    elif step == "unring":
        from msimaging.diffusion.unringing import remove_gibbs_ringing

        result = remove_gibbs_ringing(data, n_threads=n_threads)
    else:
        from msimaging.diffusion.motion import estimate_motion
        from msimaging.diffusion.resampling import apply_motion

        table = np.load(folder / "table.npz")
        found = estimate_motion(
            data,
            bvals=table["bvals"],
            bvecs_ras=table["bvecs"],
            affine=image.affine,
            mask=table["mask"],
            phase_encoding_axis=1,
            n_threads=n_threads,
        )
        result = apply_motion(data, affine=image.affine, affines=found.affines, n_threads=n_threads)
    nib.save(nib.Nifti1Image(result, image.affine), folder / f"{step}.nii")


def timed(command):
    """Return wall seconds, processor seconds and peak memory (GB) of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process:
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(message.decode()[-2000:])
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def report(name, figures, peer=None):
    wall, processor, memory = figures
    line = f"{name:28s} {wall:8.1f} s wall {processor:8.1f} s processor {memory:6.2f} GB"
    if peer is not None:
        line += (
            f"   ratio to MRtrix3: wall {wall / peer[0]:.2f}, processor {processor / peer[1]:.2f}"
        )
    print(line, flush=True)


def residual(folder, name, truth, mask):
    values = np.asarray(nib.load(folder / name).dataobj)[mask]
    return float(np.sqrt(np.mean((values - truth[mask]) ** 2)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 96, 40))
    parser.add_argument("--volumes", type=int, default=33)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-motion", action="store_true")
    parser.add_argument("--step", choices=("denoise", "unring", "motion"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_step(options.step, options.folder, options.threads)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options)


def compare(folder, options):
    truth, noisy, mask, bvals, bvecs = simulated(tuple(options.shape), options.volumes)
    nib.save(nib.Nifti1Image(noisy, AFFINE), folder / "dwi.nii")
    np.savez(folder / "table.npz", bvals=bvals, bvecs=bvecs, mask=mask)
    size = "x".join(map(str, (*options.shape, options.volumes)))
    print(f"{size}, {options.threads} threads, load {os.getloadavg()[0]:.1f}", flush=True)
    peers = {"denoise": ["dwidenoise"], "unring": ["mrdegibbs"]}
    for step in ("denoise", "unring", "motion"):
        if step == "motion" and options.skip_motion:
            continue
        theirs = None
        for peer in peers.get(step, []):
            if shutil.which(peer):
                command = [peer, folder / "dwi.nii", folder / f"{peer}.nii", "-quiet", "-force"]
                theirs = timed([*command, "-nthreads", str(options.threads)])
                report(peer, theirs)
        arguments = ["--step", step, "--folder", folder, "--threads", str(options.threads)]
        report(f"ours: {step}", timed([sys.executable, __file__, *arguments]), theirs)
    for name in ("dwi.nii", "denoise.nii", "dwidenoise.nii"):
        if (folder / name).exists():
            print(
                f"RMS against truth in the head, {name}: {residual(folder, name, truth, mask):.2f}"
            )


if __name__ == "__main__":
    main()
