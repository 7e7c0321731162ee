"""Exact max-T over 80,000 edges of 16 patients (65,536 flips) beside scipy and nilearn.

Times are processor time of one process, so that other work on the machine does not count; with
several threads ours is told on the clock too.

The peers are run with a few random flips at two sizes; their time for 65,536 flips is the slope
between both sizes times 65,536, so that what they spend once is not multiplied. It is an
extrapolation and is printed as one. scipy's test gives each edge its own p-value and no family-wise
one: it does less.

Run: python tests/benchmarks/bench_max_t.py [--edges 80000] [--patients 16] [--threads 2]
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable

import numpy as np
from nilearn.mass_univariate import permuted_ols
from scipy import stats

from msimaging.statistics.inference import max_t_test


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    work()
    return clock() - start


def peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def per_flip(work: Callable[[int], object], few: int, many: int) -> float:
    """Return the time of one more flip: the slope between two numbers of flips."""
    work(few)  # what is loaded and compiled once
    return (seconds(lambda: work(many)) - seconds(lambda: work(few))) / (many - few)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=80_000)
    parser.add_argument("--patients", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    differences = generator.normal(size=(arguments.patients, arguments.edges))
    differences += 0.5 * generator.normal(size=(arguments.patients, 1))
    n_flips = 2**arguments.patients
    print(f"{arguments.patients} patients, {arguments.edges:,} edges, {n_flips:,} flips")

    before = peak_gigabytes()
    ours = seconds(lambda: max_t_test(differences))
    peak = peak_gigabytes()
    print(f"msimaging, all flips, one thread: {ours:.1f} s of processor time (measured)")
    threads = arguments.threads
    elapsed = seconds(lambda: max_t_test(differences, n_threads=threads), time.perf_counter)
    print(f"msimaging, all flips, {threads} threads: {elapsed:.1f} s on the clock (measured)")
    print(f"peak memory of the process {peak:.2f} GB, of it before the test {before:.2f} GB")

    def nilearn_flips(count: int) -> object:
        return permuted_ols(
            np.ones((arguments.patients, 1)),
            differences,
            model_intercept=False,
            n_perm=count,
            two_sided_test=True,
            random_state=0,
            n_jobs=1,
        )

    def scipy_flips(count: int) -> object:
        return stats.permutation_test(
            (differences,),
            np.mean,
            permutation_type="samples",
            n_resamples=count,
            batch=10,
            vectorized=True,
            axis=0,
            rng=np.random.default_rng(0),
        )

    peers = (
        ("nilearn.permuted_ols", nilearn_flips, 100, 400),
        ("scipy.permutation_test", scipy_flips, 20, 80),
    )
    for name, work, few, many in peers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flip = per_flip(work, few, many)
        total = flip * n_flips
        print(
            f"{name}: {1000 * flip:.2f} ms a flip from {few} and {many} flips, so {total:.0f} s "
            f"for {n_flips:,} (extrapolated): {total / ours:.0f} times as long"
        )


if __name__ == "__main__":
    main()
