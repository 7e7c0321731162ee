"""How often the tests of the trial reject where nothing changed, and how often intervals cover.

Prints, for 5, 6, 10 and 20 patients, the rejection rate at 0.05 of the sign-flip test and the
coverage of its t interval on normal changes; the family-wise rate of max-T and of network-based
statistics over correlated edges. A rate that the test cannot reach is 0, and the floor is printed
beside it. Discrete tests lie below 5 %: what they could attain at most is printed too.

Run: python tests/benchmarks/measure_calibration.py [--trials 4000] [--networks 400]
"""

from __future__ import annotations

import argparse

import numpy as np

from msimaging.statistics.inference import max_t_test, paired_effect
from msimaging.statistics.networks import network_based_statistic

LEVEL = 0.05


def attainable(n: int) -> float:
    """Return the largest rate up to 5 % that all flips of n patients can give."""
    flips = 2 ** (n - 1)
    return np.floor(LEVEL * flips + 1e-9) / flips


def wilson(rate: float, n: int) -> str:
    half = 1.96 * np.sqrt(rate * (1 - rate) / n)
    return f"{100 * rate:5.2f} % (+- {100 * half:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--networks", type=int, default=400)
    arguments = parser.parse_args()
    generator = np.random.default_rng(7)
    print("sign-flip test of one change, and the t interval")
    for n in (5, 6, 10, 20):
        changes = generator.normal(size=(arguments.trials, n))
        # every trial is a column of its own: the test of each by itself
        p = max_t_test(changes.T).p
        effects = [paired_effect(np.zeros(n), row) for row in changes]
        covered = np.mean([e.ci_low <= 0 <= e.ci_high for e in effects])
        told = wilson(float(np.mean(p <= LEVEL)), arguments.trials)
        print(
            f"n = {n:2d}: rejects {told}, attainable {100 * attainable(n):.2f} %, floor "
            f"{2.0 ** (1 - n):.4g}; interval covers {wilson(float(covered), arguments.trials)}"
        )
    print("max-T over 40 correlated edges and NBS over 10 nodes (45 edges), family-wise")
    rows, columns = np.triu_indices(10, 1)
    for n in (5, 6, 10):
        hits = {"max-T": 0, "NBS": 0}
        for _ in range(arguments.networks):
            edges = generator.normal(size=(n, rows.size)) + generator.normal(size=(n, 1))
            hits["max-T"] += bool(np.nanmin(max_t_test(edges[:, :40]).p_adjusted) <= LEVEL)
            matrices = np.zeros((n, 10, 10))
            matrices[:, rows, columns] = matrices[:, columns, rows] = edges
            hits["NBS"] += network_based_statistic(matrices, threshold=2.0).p <= LEVEL
        told = ", ".join(
            f"{name} {wilson(count / arguments.networks, arguments.networks)}"
            for name, count in hits.items()
        )
        print(f"n = {n:2d}: {told}; floor {2.0 ** (1 - n):.4g}")


if __name__ == "__main__":
    main()
