"""Raw diffusion series to FA, MD, AD, RD: ours against MRtrix3's five commands, in one run.

Run as ``python tests/benchmarks/bench_raw_to_maps.py``. Both chains get the same volume, read and
write uncompressed files, and may use the same number of threads; every command and every stage of
ours is a process of its own, so that times contain its start and its peak memory is its own.
Ours is timed twice: as the pipeline does it, in one process, and stage by stage. The order of the
chains alternates from repeat to repeat, and the ratios of a repeat are those of neighbours in time.
MRtrix3 (Debian package mrtrix3) is left out with a message where it is missing.

``--growth`` prints peak memory of ours at half and at full length of the series instead.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from bench_preprocessing import AFFINE, simulated

#: Ours in the order of the pipeline, which needs the brain first: only there is noise removed.
STAGES = ("mask", "denoise", "unring", "fit")
PEERS = {
    "denoise": (("dwidenoise", "raw.nii", "peer_denoised.nii"),),
    "unring": (("mrdegibbs", "peer_denoised.nii", "peer_unrung.nii"),),
    "mask": (("dwi2mask", "peer_unrung.nii", "peer_mask.nii"),),
    "fit": (
        ("dwi2tensor", "peer_unrung.nii", "peer_tensor.nii", "-mask", "peer_mask.nii"),
        (
            *("tensor2metric", "peer_tensor.nii", "-mask", "peer_mask.nii"),
            *("-fa", "peer_fa.nii", "-adc", "peer_md.nii", "-ad", "peer_ad.nii"),
            *("-rd", "peer_rd.nii"),
        ),
    ),
}
#: Which peers understand -fslgrad.
WITH_TABLE = ("dwi2mask", "dwi2tensor")
#: What a stage of ours reads and leaves when it runs alone; the fit writes maps.
READ = {"mask": "raw.nii", "denoise": "raw.nii", "unring": "denoised.nii", "fit": "unrung.nii"}
WRITTEN = {"denoise": "denoised.nii", "unring": "unrung.nii", "mask": "mask.nii"}
MAPS = ("fa", "md", "ad", "rd")


class Cost(NamedTuple):
    """What a process took: seconds by the clock, seconds of processor, peak memory in GB."""

    wall: float
    processor: float
    memory: float

    def __add__(self, other):
        return Cost(
            self.wall + other.wall,
            self.processor + other.processor,
            max(self.memory, other.memory),
        )


def load(path):
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def save(path, data):
    nib.save(nib.Nifti1Image(data, AFFINE), path)


def run_stages(folder, stages, n_threads):
    """Run stages of ours, handing the volume on in memory; the first reads, the last writes."""
    data = load(folder / READ[stages[0]])
    mask = load(folder / "mask.nii") > 0 if stages[0] in ("denoise", "fit") else None
    table = np.load(folder / "table.npz")
    for stage in stages:
        if stage == "mask":
            from msimaging.diffusion.masks import brain_mask

            mask = brain_mask(data[..., table["bvals"] == 0].mean(axis=-1), AFFINE)
        elif stage == "denoise":
            from msimaging.diffusion.denoising import denoise_mppca
            from msimaging.steps.dwi_corrections import around_brain

            rim = around_brain(mask, AFFINE)
            data = denoise_mppca(data, mask=rim, n_threads=n_threads).data
        elif stage == "unring":
            from msimaging.diffusion.unringing import remove_gibbs_ringing

            data = remove_gibbs_ringing(data, n_threads=n_threads)
        else:
            fit_and_write(folder, data, mask, table)
    if len(stages) == 1 and stages[0] in WRITTEN:
        save(folder / WRITTEN[stages[0]], mask.astype(np.uint8) if stages == ["mask"] else data)


def fit_and_write(folder, data, mask, table):
    from msimaging.diffusion.gradients import gradient_table
    from msimaging.diffusion.metrics import SCALAR_METRICS
    from msimaging.diffusion.tensor import fit_tensor, tensor_components

    fit = fit_tensor(data, gradient_table(table["bvals"], table["bvecs"]), mask)
    save(folder / "tensor.nii", tensor_components(fit))
    for name, metric in SCALAR_METRICS.items():
        save(folder / f"{name}.nii", np.asarray(metric.from_evals(fit.evals), dtype=np.float32))


def timed(command):
    """Run a command and return its cost by the operating system's own account."""
    start = time.perf_counter()
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(message.decode()[-2000:])
    wall = time.perf_counter() - start
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6)


def ours(folder, stages, n_threads):
    arguments = ("--folder", folder, "--threads", n_threads, "--stages", *stages)
    return timed((sys.executable, __file__, *arguments))


def theirs(folder, stage, n_threads):
    total = Cost(0.0, 0.0, 0.0)
    for name, *arguments in PEERS[stage]:
        paths = [folder / text if text.endswith(".nii") else text for text in arguments]
        table = ("-fslgrad", folder / "bvec", folder / "bval") if name in WITH_TABLE else ()
        options = ("-quiet", "-force", "-nthreads", n_threads)
        total += timed((name, *paths, *table, *options))
    return total


def prepare(folder, shape, n_volumes):
    """Write a simulated head as raw.nii with its table."""
    _, noisy, _, bvals, bvecs = simulated(shape, n_volumes)
    write_raw(folder, noisy, bvals, bvecs)
    return noisy, bvals, bvecs


def write_raw(folder, data, bvals, bvecs):
    from msimaging.diffusion.gradients import bvecs_ras_to_fsl

    save(folder / "raw.nii", data)
    np.savez(folder / "table.npz", bvals=bvals, bvecs=bvecs)
    np.savetxt(folder / "bvec", bvecs_ras_to_fsl(bvecs, AFFINE).T)
    np.savetxt(folder / "bval", bvals[None])


def compare(folder, options):
    """Time both chains in turn and print stage by stage, then whole."""
    peers = all(shutil.which(command[0]) for stage in PEERS.values() for command in stage)
    if not peers:
        print("MRtrix3 is not installed (Debian package mrtrix3): ours only")
    costs = {"ours": {}, "theirs": {}}
    for repeat in range(options.repeats):
        turns = [("ours", "whole"), *(("ours", s) for s in STAGES)]
        turns += [("theirs", s) for s in PEERS] if peers else []
        for who, stage in turns if repeat % 2 == 0 else stages_reversed(turns):
            if who == "ours":
                asked = STAGES if stage == "whole" else (stage,)
                cost = ours(folder, asked, options.threads)
            else:
                cost = theirs(folder, stage, options.threads)
            costs[who].setdefault(stage, []).append(cost)
    if peers:
        costs["theirs"]["whole"] = [
            sum(parts, Cost(0.0, 0.0, 0.0)) for parts in zip(*costs["theirs"].values(), strict=True)
        ]
    for stage in (*STAGES, "whole"):
        show(stage, costs["ours"][stage], costs["theirs"].get(stage))
    if peers:
        agree(folder)


def stages_reversed(turns):
    """Let the other chain go first; within a chain the order of the data stays."""
    return [turn for turn in turns if turn[0] == "theirs"] + [
        turn for turn in turns if turn[0] == "ours"
    ]


def show(stage, mine, peer):
    def median(costs, field):
        return statistics.median(getattr(cost, field) for cost in costs)

    line = f"{stage:8s} ours {median(mine, 'wall'):7.1f} s wall {median(mine, 'processor'):7.1f} s"
    line += f" processor {max(cost.memory for cost in mine):5.2f} GB"
    if peer:
        line += f"   MRtrix3 {median(peer, 'wall'):7.1f} {median(peer, 'processor'):7.1f}"
        line += f" {max(cost.memory for cost in peer):5.2f}   ratio"
        for field in ("wall", "processor"):
            ratios = [
                getattr(a, field) / getattr(b, field) for a, b in zip(mine, peer, strict=True)
            ]
            line += f" {field} {statistics.median(ratios):.2f}"
    print(line, flush=True)


def agree(folder):
    """Print how far the maps of both chains are apart where both found brain."""
    brain = (load(folder / "mask.nii") > 0) & (load(folder / "peer_mask.nii") > 0)
    for name in MAPS:
        mine, peer = (load(folder / f"{prefix}{name}.nii")[brain] for prefix in ("", "peer_"))
        print(
            f"{name}: median {np.median(mine):.4g} ours, {np.median(peer):.4g} MRtrix3; "
            f"median absolute difference {np.median(np.abs(mine - peer)):.2g}"
        )


def growth(folder, shape, n_volumes):
    """Print the peak memory of the whole chain at half and full length."""
    noisy, bvals, bvecs = prepare(folder, shape, n_volumes)
    peaks = []
    for count in (n_volumes // 2, n_volumes):
        write_raw(folder, noisy[..., :count], bvals[:count], bvecs[:count])
        peaks.append(ours(folder, STAGES, 1).memory)
        raw = np.prod(shape) * count * 4 / 1e9
        size = "x".join(map(str, (*shape, count)))
        print(f"{size}: {peaks[-1]:.2f} GB peak, {raw:.2f} GB of signal in float32", flush=True)
    print(f"peak grows by {peaks[1] / peaks[0]:.2f} for twice the volumes")


def same_bytes(folder):
    """Print whether one and two threads write the same maps."""
    digests = []
    for n_threads in (1, 2):
        ours(folder, STAGES, n_threads)
        maps = [(folder / f"{name}.nii").read_bytes() for name in MAPS]
        digests.append([hashlib.sha256(content).hexdigest() for content in maps])
    print(f"same bytes for 1 and 2 threads: {digests[0] == digests[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 96, 40))
    parser.add_argument("--volumes", type=int, default=33)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="peak memory at two lengths")
    parser.add_argument("--stages", nargs="+", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stages:
        run_stages(options.folder, options.stages, options.threads)
        return
    shape = tuple(options.shape)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.growth:
            growth(folder, shape, options.volumes)
            return
        prepare(folder, shape, options.volumes)
        size = "x".join(map(str, (*shape, options.volumes)))
        print(f"{size}, {options.threads} threads, load {os.getloadavg()[0]:.1f}", flush=True)
        compare(folder, options)
        same_bytes(folder)


if __name__ == "__main__":
    main()
