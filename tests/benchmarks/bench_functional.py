"""Parcel extraction and cleaning against nilearn: time, memory, and equality of the numbers.

Run as ``python tests/benchmarks/bench_functional.py``; every timing is the best of three in a
process of its own, so that peak memory is that of one way alone. Processor time is counted, with
one thread, so that other work on the machine does not matter.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  # the number of threads is read at import
from scipy import ndimage  # noqa: E402  # likewise

SHAPE, N_VOLUMES, T_R = (61, 73, 61), 200, 2.0
N_PARCELS = (100, 200, 400)
HIGH_PASS = 0.008
REPEATS = 3


def make_run(n_volumes=N_VOLUMES):
    """A brain-shaped run of noise and drift with three parcellations and three designs."""
    rng = np.random.default_rng(0)
    grid = np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2
    brain = ((grid / (np.array(SHAPE) * 0.44)) ** 2).sum(axis=-1) < 1
    # the order in which NIfTI files lie in memory: first axis fastest
    bold = rng.standard_normal((n_volumes, *SHAPE[::-1]), dtype=np.float32).T
    bold *= 20
    bold += (800 * ndimage.gaussian_filter(brain.astype(np.float32), 1))[..., np.newaxis]
    atlases = []
    for n_parcels in N_PARCELS:
        inside = np.argwhere(brain)
        centres = inside[rng.choice(len(inside), n_parcels, replace=False)]
        seeds = np.zeros(SHAPE, dtype=np.int32)
        seeds[tuple(centres.T)] = np.arange(1, n_parcels + 1)
        nearest = ndimage.distance_transform_edt(
            seeds == 0, return_distances=False, return_indices=True
        )
        atlases.append((seeds[tuple(nearest)] * brain).astype(np.int32))
    designs = [rng.normal(size=(n_volumes, n)).cumsum(axis=0) for n in (24, 28, 36)]
    return bold, np.diag([3.0, 3.0, 3.0, 1.0]), atlases, designs


def ours(bold, _affine, atlases, designs):
    from msimaging.functional.cleaning import clean_time_series
    from msimaging.parcellation import parcel_time_series

    results = []
    for labels in atlases:
        signals = parcel_time_series(bold, labels, np.arange(1, labels.max() + 1)).time_series
        for design in designs:
            cleaned = clean_time_series(
                signals,
                t_r=T_R,
                high_pass=HIGH_PASS,
                low_pass=None,
                confounds=design,
            )
            results.append(cleaned.time_series)
    return results


def theirs(bold, affine, atlases, designs):
    import nibabel as nib
    from nilearn.maskers import NiftiLabelsMasker
    from nilearn.signal import create_cosine_drift

    frames = np.arange(bold.shape[3]) * T_R
    cosines = create_cosine_drift(HIGH_PASS, frames)[:, :-1]
    masker = NiftiLabelsMasker(
        nib.Nifti1Image(atlases[0], affine), standardize=None, detrend=True, t_r=T_R
    )
    # the cosines are given as confounds: nilearn leaves its own out when a confound looks like one
    confounds = np.column_stack([designs[0], cosines])
    return [masker.fit_transform(nib.Nifti1Image(bold, affine), confounds=confounds)]


def _measure(way, queue):
    warnings.simplefilter("ignore")
    run = make_run()
    bold = run[0]
    way(bold[..., :60], run[1], [run[2][0]], [run[3][0][:60, :5]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    base = _resident()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        results = way(*run)
        times.append(time.process_time() - start)
    peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, before * 1024)
    queue.put((min(times), bold.nbytes, base, peak, results[0]))


def _resident():
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(way):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(way, queue))
    process.start()
    result = queue.get()
    process.join()
    return result


def largest_difference():
    """Compare with nilearn in double precision: it rounds what it makes of float32 to float32."""
    warnings.simplefilter("ignore")
    bold, affine, atlases, designs = make_run(n_volumes=50)
    designs = [design[:, :8] for design in designs]
    run = bold.astype(np.float64), affine, atlases[:1], designs[:1]
    return np.abs(ours(*run)[0] - theirs(*run)[0]).max()


def measure_uncertainty():
    from msimaging.functional.uncertainty import xdf_variance

    for n_parcels in (100, 400):
        series = np.random.default_rng(1).normal(size=(N_VOLUMES, n_parcels))
        start = time.process_time()
        xdf_variance(series)
        print(f"xDF of {n_parcels} parcels: {time.process_time() - start:.3f} s")


def main():
    own, peer = measure(ours), measure(theirs)
    size = own[1] / 2**20
    print(f"BOLD {SHAPE} x {N_VOLUMES} float32: {size:.0f} MiB")
    print(f"msimaging, 3 atlases x 3 strategies: {own[0]:.2f} s")
    print(f"nilearn NiftiLabelsMasker, 1 atlas x 1 strategy: {peer[0]:.2f} s")
    print(f"time ratio: {own[0] / peer[0]:.2f} (wanted: at most 1.5)")
    for name, result in (("msimaging", own), ("nilearn", peer)):
        with_input = 1 + (result[3] - result[2]) / result[1]
        print(f"peak memory {name}: {with_input:.2f} x the BOLD array (its own one included)")
    print(f"largest difference, float32 run: {np.abs(own[4] - peer[4]).max():.1e}")
    print(f"largest difference, float64 run: {largest_difference():.1e}")
    measure_uncertainty()


if __name__ == "__main__":
    main()
