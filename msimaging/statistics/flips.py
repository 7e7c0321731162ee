"""All sign flips of a few patients, or seeded random ones of many.

Under the null hypothesis of a symmetric change every patient's difference could as well have had
the other sign. With ``S`` patients there are ``2**S`` such flips, and no p-value of this family of
tests can be smaller than ``2 / 2**S`` (two-sided) or ``1 / 2**S`` (one-sided).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msimaging.statistics.inputs import Alternative

MAX_EXACT_PATIENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipPlan:
    """Which flips a test goes through.

    Attributes
    ----------
    n_patients : int
        Patients (rows) whose sign is flipped.
    n_flips : int
        Flips that count in the p-value: ``2**S`` when exact, else the random ones.
    exact : bool
        Whether every flip is there.
    folded : bool
        Whether only the half with the first sign kept is made, the other half being its mirror.
    seed : int
        Seed of the random flips.
    """

    n_patients: int
    n_flips: int
    exact: bool
    folded: bool
    seed: int

    @property
    def n_rows(self) -> int:
        """Sign vectors that are really made."""
        return self.n_flips // 2 if self.folded else self.n_flips

    def signs(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return the sign vectors ``start`` to ``stop`` (rows, S); row 0 of exact flips is +1."""
        if self.exact:
            return enumerate_signs(start, stop, self.n_patients)
        # one generator per row, so that any cut into blocks gives the same flips
        blocks = [self._random_block(block) for block in range(start // 1024, -(-stop // 1024))]
        offset = start // 1024 * 1024
        return np.concatenate(blocks)[start - offset : stop - offset]

    def _random_block(self, block: int) -> NDArray[np.float64]:
        generator = np.random.default_rng([self.seed, block])
        return generator.choice(np.array([-1.0, 1.0]), size=(1024, self.n_patients))

    def p_values(self, hits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return p from the number of rows at least as extreme as what was observed."""
        if self.exact:
            return np.asarray(hits / self.n_rows)
        return np.asarray((hits + 1) / (self.n_flips + 1))

    def floor(self, alternative: Alternative) -> float:
        """Return the smallest p-value that this plan can give."""
        if self.exact:
            tails = 2 if alternative == "two-sided" else 1
            return min(1.0, tails / self.n_flips)
        return 1 / (self.n_flips + 1)


def plan_flips(
    n_patients: int,
    *,
    alternative: Alternative,
    n_random: int,
    seed: int,
    max_exact: int = MAX_EXACT_PATIENTS,
) -> FlipPlan:
    """Return all flips up to ``max_exact`` patients, ``n_random`` seeded ones above."""
    exact = n_patients <= max_exact
    return FlipPlan(
        n_patients=n_patients,
        n_flips=2**n_patients if exact else n_random,
        exact=exact,
        folded=exact and alternative == "two-sided" and n_patients > 0,
        seed=seed,
    )


def enumerate_signs(start: int, stop: int, n_patients: int) -> NDArray[np.float64]:
    """Return the flips numbered ``start`` to ``stop``: bit ``i`` set turns patient ``S-1-i``.

    The first half of all numbers keeps the first patient's sign, so that half is one of each
    mirrored pair.
    """
    numbers = np.arange(start, stop, dtype=np.int64)[:, np.newaxis]
    bits = (numbers >> np.arange(n_patients - 1, -1, -1)) & 1
    return np.asarray(1.0 - 2.0 * bits)


def flipped_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ``2**S`` sums of the values under all flips, by doubling."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
