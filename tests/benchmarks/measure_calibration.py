"""How often the tests of the trial reject where nothing changed, and how often intervals cover.

Prints, for 5, 6, 10 and 20 patients, the rejection rate at 0.05 of the sign-flip test and the
coverage of its t interval on normal changes; the family-wise rate of max-T, of network-based
statistics by intensity and by size, and of their threshold-free form over correlated edges. A rate
that the test cannot reach is 0, and the floor is printed beside it. Exact tests go by steps: the
largest rate up to 5 % that all flips of n patients can give is printed too. Sizes of components are
whole numbers and tie: beside their rate stands the one that they can reach, on average over the
trials.

Run: python tests/benchmarks/measure_calibration.py [--patients 5 6 10 20] [--trials 20000]
    [--networks 3000] [--seed 7]
"""

from __future__ import annotations

import argparse

import numpy as np

from msimaging.statistics.inference import max_t_test, paired_effect
from msimaging.statistics.networks import network_based_statistic, threshold_free_networks

LEVEL = 0.05
NODES = 10
#: On t, of networks.
THRESHOLD = 2.0
#: Networks of more patients go through random flips, as models of the config do by default above 16
#: (threshold-free above 12); max-T and the sign-flip test go through all of them.
FLIPS = {"max_exact": 12, "n_random": 4095}
#: Columns of the sign-flip test that are held at once.
COLUMNS = 1000


def attainable(n: int) -> float:
    """Return the largest rate up to 5 % that all flips of n patients can give."""
    flips = 2 ** (n - 1)
    return np.floor(LEVEL * flips + 1e-9) / flips


def told(hits: float, n: int) -> str:
    rate = hits / n
    half = 1.96 * np.sqrt(rate * (1 - rate) / n)
    return f"{100 * rate:5.2f} % (+- {100 * half:.2f})"


def single(n: int, trials: int, seed: int) -> None:
    """Print the rates of one test and one interval."""
    changes = np.random.default_rng((seed, n, 0)).normal(size=(trials, n))
    # every trial is a column of its own: the test of each by itself
    parts = [changes[start : start + COLUMNS].T for start in range(0, trials, COLUMNS)]
    rejected = sum(int((max_t_test(part).p <= LEVEL).sum()) for part in parts)
    effects = [paired_effect(np.zeros(n), row) for row in changes]
    covered = sum(e.ci_low <= 0 <= e.ci_high for e in effects)
    print(
        f"n = {n:2d}: rejects {told(rejected, trials)}, attainable {100 * attainable(n):.2f} %, "
        f"floor {2.0 ** (1 - n):.4g}; interval covers {told(covered, trials)}",
        flush=True,
    )


def family_wise(n: int, trials: int, seed: int) -> None:
    """Print how often any of all edges, and any component, is called changed."""
    generator = np.random.default_rng((seed, n, 1))
    rows, columns = np.triu_indices(NODES, 1)
    hits = {"max-T": 0, "NBS by intensity": 0, "NBS by size": 0, "threshold-free": 0}
    attained = {"NBS by intensity": 0.0, "NBS by size": 0.0}
    for _ in range(trials):
        edges = generator.normal(size=(n, rows.size)) + generator.normal(size=(n, 1))
        matrices = np.zeros((n, NODES, NODES))
        matrices[:, rows, columns] = matrices[:, columns, rows] = edges
        hits["max-T"] += bool(np.nanmin(max_t_test(edges).p_adjusted) <= LEVEL)
        for kind in ("intensity", "size"):
            found = network_based_statistic(matrices, threshold=THRESHOLD, kind=kind, **FLIPS)
            hits[f"NBS by {kind}"] += found.p <= LEVEL
            attained[f"NBS by {kind}"] += found.attainable / trials
        p = np.nanmin(threshold_free_networks(matrices, **FLIPS).p_adjusted)
        hits["threshold-free"] += bool(p <= LEVEL)
    for name, count in hits.items():
        reach = 100 * attained.get(name, attainable(n))
        print(f"n = {n:2d}: {name:16s} {told(count, trials)}, attainable {reach:.2f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[5, 6, 10, 20])
    parser.add_argument("--trials", type=int, default=20000)
    parser.add_argument("--networks", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(f"sign-flip test of one change, and the t interval: {arguments.trials} trials")
    for n in arguments.patients:
        single(n, arguments.trials, arguments.seed)
    edges = NODES * (NODES - 1) // 2
    print(
        f"family-wise over {edges} correlated edges of {NODES} nodes, t > {THRESHOLD:g}: "
        f"{arguments.networks} trials"
    )
    for n in arguments.patients:
        family_wise(n, arguments.networks, arguments.seed)


if __name__ == "__main__":
    main()
