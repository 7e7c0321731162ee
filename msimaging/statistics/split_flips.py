"""All sign flips of many columns by halves of the patients, added only where they matter.

A flipped sum is a sum over the first patients plus one over the others, so ``2**S`` of them come
from two short lists. With one list sorted, the number of sums beyond a limit is a binary search for
each entry of the other; and once the running maximum of a flip is large, only the few sums above
the smallest of these maxima have to be formed at all (meet in the middle, Horowitz and Sahni 1974).
Nothing is approximated: every flip that could count is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from msimaging.statistics.flips import enumerate_signs

#: Columns looked at together, and sums formed at once (8 MB of float64).
COLUMN_BLOCK = 64
DENSE_VALUES = 1_000_000
#: Part of all sums beyond which forming them one by one takes longer than forming all.
DENSE_SHARE = 0.05
#: Part of the flips that may be below the block's largest threshold; the unflipped data always are.
WAITING_SHARE = 0.02
#: Distance between the columns of a block when their lists stand behind one another; sums lie in
#: -1 to 1, so that none reaches a neighbour.
_APART = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class SplitFlips:
    """Flips ``start`` to ``stop`` of the first half of patients, with all flips of the second.

    Attributes
    ----------
    first : ndarray, shape (A, S1)
        Signs of the first patients.
    second : ndarray, shape (B, S2)
        Signs of the others.
    two_sided : bool
        Whether the size of a sum counts, or the sum itself.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    two_sided: bool

    @classmethod
    def cut(cls, n_patients: int, *, two_sided: bool, n_parts: int) -> list[SplitFlips]:
        """Return all flips in parts; two-sided ones keep the first patient's sign."""
        n_second = n_patients // 2
        n_first = n_patients - n_second
        n_signs = 2 ** (n_first - 1) if two_sided else 2**n_first
        edges = np.linspace(0, n_signs, n_parts + 1).astype(np.int64)
        second = enumerate_signs(0, 2**n_second, n_second)
        return [
            cls(enumerate_signs(start, stop, n_first), second, two_sided)
            for start, stop in pairwise(edges.tolist())
            if stop > start
        ]

    @property
    def n_flips(self) -> int:
        """Flips of this part."""
        return len(self.first) * len(self.second)

    def count(
        self, rows: NDArray[np.float64], thresholds: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Count the flips that reach each column: alone, those up to it, and all columns.

        Parameters
        ----------
        rows : ndarray, shape (E, S)
            Unit columns, one a row, in the order of their statistic.
        thresholds : ndarray, shape (E,)
            Statistic less tolerance; never falling.

        Returns
        -------
        ndarray, shape (3, E)
            Flips whose own sum reaches the threshold; whose maximum over this and all smaller
            columns does; whose maximum over all columns does.
        """
        hits = np.zeros((3, len(rows)), np.int64)
        highest = np.full((len(self.first), len(self.second)), -np.inf)
        for start in range(0, len(rows), COLUMN_BLOCK):
            block = slice(start, start + COLUMN_BLOCK)
            sums = _HalfSums.of(rows[block], self)
            hits[0, block] = sums.count_reaching(thresholds[block])
            hits[1, block] = sums.raise_maxima(highest, thresholds[block])
        maxima = np.sort(highest, axis=None)
        hits[2] = maxima.size - np.searchsorted(maxima, thresholds, side="left")
        return hits


@dataclass(frozen=True, slots=True, eq=False)
class _HalfSums:
    """Sums of both halves for a block of columns, the second sorted."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    order: NDArray[np.int64]
    chain: NDArray[np.float64]
    two_sided: bool

    @classmethod
    def of(cls, rows: NDArray[np.float64], flips: SplitFlips) -> _HalfSums:
        n_first = flips.first.shape[1]
        first = rows[:, :n_first] @ flips.first.T
        second = rows[:, n_first:] @ flips.second.T
        order = np.argsort(second, axis=1)
        second = np.take_along_axis(second, order, axis=1)
        chain = (second + _APART * np.arange(len(rows))[:, np.newaxis]).ravel()
        return cls(first, second, order, chain, flips.two_sided)

    def count_reaching(self, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Count for each column the sums at or above its threshold."""
        limits = thresholds[:, np.newaxis]
        n_second = self.second.shape[1]
        found = (n_second - self._below(limits - self.first)).sum(axis=1)
        if self.two_sided:
            found += self._below(-limits - self.first, or_equal=True).sum(axis=1)
            # at a threshold of 0 every sum is on both sides
            found = np.where(thresholds <= 0, self.first.shape[1] * n_second, found)
        return np.asarray(found)

    def raise_maxima(
        self, highest: NDArray[np.float64], thresholds: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Raise the running maxima, and count those that reach each threshold on the way."""
        waiting = np.flatnonzero(highest.reshape(-1) < thresholds[-1])
        lowest = highest.min(axis=1)
        if waiting.size > WAITING_SHARE * highest.size or (self.two_sided and lowest.min() <= 0):
            return self._raise_densely(highest, thresholds)
        n_second = self.second.shape[1]
        starts = self._below(lowest - self.first)
        ends = self._below(-lowest - self.first, or_equal=True) if self.two_sided else 0 * starts
        if (n_second - starts + ends).sum() > DENSE_SHARE * starts.size * n_second:
            return self._raise_densely(highest, thresholds)
        halves, entries = np.divmod(waiting, n_second)
        sums = self.first[:, halves] + self.unsorted()[:, entries]
        if self.two_sided:
            np.abs(sums, out=sums)
        counts = _count_running(sums, thresholds, highest.reshape(-1)[waiting])
        self._form(highest, starts, np.full_like(starts, n_second), sign=1.0)
        self._form(highest, np.zeros_like(ends), ends, sign=-1.0)
        return counts + (highest.size - waiting.size)

    def unsorted(self) -> NDArray[np.float64]:
        """Return the sums of the second half in the order of their flips."""
        values = np.empty_like(self.second)
        np.put_along_axis(values, self.order, self.second, axis=1)
        return values

    def _form(
        self,
        highest: NDArray[np.float64],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        *,
        sign: float,
    ) -> None:
        """Form the sums of each first half with entries ``starts`` to ``stops`` of the second."""
        columns, halves = np.nonzero(stops > starts)
        begin = starts[columns, halves]
        counts = stops[columns, halves] - begin
        owner = np.repeat(np.arange(counts.size), counts)
        place = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        column, half, entry = columns[owner], halves[owner], begin[owner] + place
        sums = sign * (self.first[column, half] + self.second[column, entry])
        np.maximum.at(highest, (half, self.order[column, entry]), sums)

    def _raise_densely(
        self, highest: NDArray[np.float64], thresholds: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        counts = np.empty(len(thresholds), np.int64)
        unsorted = self.unsorted()
        flat = highest.reshape(-1)
        size = max(1, DENSE_VALUES // highest.size)
        for start in range(0, len(thresholds), size):
            block = slice(start, start + size)
            sums = self.first[block, :, np.newaxis] + unsorted[block, np.newaxis, :]
            sums = sums.reshape(len(sums), -1)
            if self.two_sided:
                np.abs(sums, out=sums)
            counts[block] = _count_running(sums, thresholds[block], flat)
            np.maximum(flat, sums.max(axis=0), out=flat)
        return counts

    def _below(self, limits: NDArray[np.float64], *, or_equal: bool = False) -> NDArray[np.int64]:
        """Return how many entries of the second half lie below each limit (columns, A)."""
        n_columns, n_second = self.second.shape
        rows = np.arange(n_columns)[:, np.newaxis]
        asked = np.clip(limits, -2.0, 2.0) + _APART * rows
        side: Literal["left", "right"] = "right" if or_equal else "left"
        found = np.searchsorted(self.chain, asked.ravel(), side=side).reshape(limits.shape)
        return np.asarray(found - rows * n_second)


def _count_running(
    sums: NDArray[np.float64], limits: NDArray[np.float64], highest: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Count flips whose maximum up to each column reaches its limit; limits never fall.

    A flip that was above the last limit before this block is above all of them: only the others
    need their running maximum, and after the first blocks they are few.
    """
    waiting = np.flatnonzero(highest < limits[-1])
    running = np.maximum.accumulate(np.vstack([highest[waiting], sums[:, waiting]]), axis=0)[1:]
    above: NDArray[np.int64] = (running >= limits[:, np.newaxis]).sum(axis=1)
    return above + (highest.size - waiting.size)
