"""Make a patient's visits comparable: the same amount of clean data, the same parcels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError

Volumes = NDArray[np.int64]

_Row = tuple[str, str, str, float, float, str]

#: Fewer degrees of freedom than this carry no correlation with a meaningful error.
MIN_DEGREES_OF_FREEDOM = 10
DROPPED_COLUMNS = ("visit", "what", "label", "before", "after", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparableVisits:
    """What of each visit may be compared with the others.

    Attributes
    ----------
    sample_masks : dict of str to ndarray of int
        Volumes to use, as many at every visit; visits with too little data are not in it.
    common_parcels : ndarray of bool, shape (P,)
        Parcels covered at every visit that is used.
    excluded : dict of str to Finding
        Visits with too little clean data and why.
    dropped : DataFrame
        Columns visit, what (run, volumes or parcel), label, before, after, reason.
    """

    sample_masks: dict[str, Volumes]
    common_parcels: NDArray[np.bool_]
    excluded: dict[str, Finding]
    dropped: pd.DataFrame


def match_contiguous(sample_mask: Volumes, n_volumes: int, *, seed: int) -> Volumes:
    """Take a stretch of neighbouring retained volumes that begins at random.

    Keeps the spacing of a run, and so what a filter and the autocorrelation make of it.

    Parameters
    ----------
    sample_mask : ndarray of int
        Retained volumes.
    n_volumes : int
        How many to take.
    seed : int
        The same run, number and seed give the same stretch, whatever the other visits are.

    Returns
    -------
    ndarray of int, shape (n_volumes,)
    """
    first = np.random.default_rng(seed).integers(len(sample_mask) - n_volumes + 1)
    return sample_mask[first : first + n_volumes]


def match_random(sample_mask: Volumes, n_volumes: int, *, seed: int) -> Volumes:
    """Take retained volumes at random over the whole run.

    Parameters
    ----------
    sample_mask : ndarray of int
        Retained volumes.
    n_volumes : int
        How many to take.
    seed : int
        As in `match_contiguous`.

    Returns
    -------
    ndarray of int, shape (n_volumes,)
        In order of time.
    """
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(sample_mask, size=n_volumes, replace=False))


MATCHINGS: Mapping[str, Callable[..., Volumes]] = MappingProxyType(
    {"contiguous": match_contiguous, "random": match_random}
)


def too_little_data(
    n_retained: int,
    *,
    t_r: float,
    where: str = "",
    min_minutes: float = 4.0,
    min_volumes: int = 100,
) -> Finding | None:
    """Tell whether a run holds too little clean data for connectivity.

    Parameters
    ----------
    n_retained : int
        Volumes after censoring.
    t_r : float
        Repetition time [s].
    where : str
        The run's name in the message.
    min_minutes, min_volumes : float, int
        Both must be reached.

    Returns
    -------
    Finding or None
        A warning: the run is kept, flagged and left out of statistics.
    """
    minutes = n_retained * t_r / 60
    if minutes >= min_minutes and n_retained >= min_volumes:
        return None
    return Finding(
        severity="warning",
        rule=f"a run keeps {min_minutes:g} minutes and {min_volumes} volumes after censoring",
        where=where,
        found=f"{minutes:.1f} minutes in {n_retained} volumes",
        remedy="It is left out of statistics; censor less strictly only with good reason.",
    )


def equalise_visits(
    sample_masks: Mapping[str, Volumes],
    *,
    coverages: Mapping[str, NDArray[np.floating[Any]]],
    t_r: Mapping[str, float],
    labels: Sequence[str],
    matching: str,
    seed: int,
    min_coverage: float = 0.5,
    min_minutes: float = 4.0,
    min_volumes: int = 100,
    n_regressors: Mapping[str, int] | None = None,
    places: Mapping[str, str] | None = None,
) -> ComparableVisits:
    """Give all visits of a patient the same number of volumes and the same parcels.

    Longer and cleaner runs have less noisy, and with shrinkage larger, connectivity: without this
    a calmer visit looks like a change.

    Parameters
    ----------
    sample_masks : mapping of str to ndarray of int
        Retained volumes of each visit under one strategy.
    coverages : mapping of str to ndarray of shape (P,)
        Share of each parcel that the visit's image covers.
    t_r : mapping of str to float
        Repetition time of each visit [s].
    labels : sequence of P str
        Names of the parcels.
    matching : {"contiguous", "random"}
        How volumes are chosen where a visit has more than another.
    seed : int
    min_coverage : float
        Thinner parcels are n/a at every visit.
    min_minutes, min_volumes : float, int
        Visits below either are excluded, and do not shorten the others.
    n_regressors : mapping of str to int, optional
        Degrees of freedom that cleaning takes from each visit; visits of which hardly any would
        be left, alone or once they are as short as the others, are excluded too.
    places : mapping of str to str, optional
        What messages call each visit, such as its file.

    Returns
    -------
    ComparableVisits
        The same whatever the order of the visits.

    Raises
    ------
    InputError
        Different visits or numbers of parcels in the inputs, or an unknown matching.
    """
    _check_visits(sample_masks, coverages, t_r, labels, matching)
    excluded = {}
    costs = n_regressors or dict.fromkeys(sample_masks, 0)
    called = {visit: (places or {}).get(visit, visit) for visit in sample_masks}
    for visit, mask in sample_masks.items():
        finding = too_little_data(
            len(mask),
            t_r=t_r[visit],
            where=called[visit],
            min_minutes=min_minutes,
            min_volumes=min_volumes,
        ) or _too_costly(len(mask), costs[visit], called[visit])
        if finding is not None:
            excluded[visit] = finding
    used = {visit: mask for visit, mask in sample_masks.items() if visit not in excluded}
    shortest = min((len(mask) for mask in used.values()), default=0)
    # the shortest visit itself passes again, so that this leaves the others as long as they are
    for visit in list(used):
        finding = _too_costly(shortest, costs[visit], called[visit])
        if finding is not None:
            excluded[visit] = finding
            del used[visit]
    matched = {
        visit: MATCHINGS[matching](np.asarray(mask, dtype=np.int64), shortest, seed=seed)
        for visit, mask in used.items()
    }
    covered = {visit: np.asarray(coverages[visit]) >= min_coverage for visit in used}
    common = np.logical_and.reduce(list(covered.values()) or [np.zeros(len(labels), dtype=bool)])
    rows: list[_Row] = [
        (v, "run", "", len(sample_masks[v]), 0, str(excluded[v])) for v in sorted(excluded)
    ]
    rows += _dropped_volumes(used, shortest, matching)
    rows += _dropped_parcels(covered, coverages, labels, min_coverage)
    return ComparableVisits(
        sample_masks=matched,
        common_parcels=common,
        excluded=excluded,
        dropped=pd.DataFrame(rows, columns=list(DROPPED_COLUMNS)),
    )


def _too_costly(n_volumes: int, n_regressors: int, where: str) -> Finding | None:
    if n_volumes - n_regressors >= MIN_DEGREES_OF_FREEDOM:
        return None
    return Finding(
        severity="warning",
        rule=f"a run keeps {MIN_DEGREES_OF_FREEDOM} more volumes than cleaning has regressors",
        where=where,
        found=f"{n_volumes} volumes for {n_regressors} regressors",
        remedy="It is left out of statistics; choose a strategy with fewer regressors.",
    )


def _dropped_volumes(used: Mapping[str, Volumes], shortest: int, matching: str) -> list[_Row]:
    return [
        (visit, "volumes", "", len(used[visit]), shortest, f"as many as the shortest ({matching})")
        for visit in sorted(used)
        if len(used[visit]) > shortest
    ]


def _dropped_parcels(
    covered: Mapping[str, NDArray[np.bool_]],
    coverages: Mapping[str, NDArray[np.floating[Any]]],
    labels: Sequence[str],
    min_coverage: float,
) -> list[_Row]:
    return [
        (
            visit,
            "parcel",
            labels[parcel],
            float(coverages[visit][parcel]),
            0.0,
            f"coverage below {min_coverage:g}: n/a at every visit",
        )
        for visit in sorted(covered)
        for parcel in np.flatnonzero(~covered[visit]).tolist()
    ]


def _check_visits(
    sample_masks: Mapping[str, Volumes],
    coverages: Mapping[str, NDArray[np.floating[Any]]],
    t_r: Mapping[str, float],
    labels: Sequence[str],
    matching: str,
) -> None:
    findings = []
    if not set(sample_masks) == set(coverages) == set(t_r):
        findings.append(
            Finding(
                rule="volumes, coverage and repetition time are given for the same visits",
                where="visits",
                found=f"{sorted(sample_masks)}, {sorted(coverages)} and {sorted(t_r)}",
                remedy="Give all three for every visit.",
            )
        )
    sizes = {visit: np.size(coverage) for visit, coverage in coverages.items()}
    if set(sizes.values()) - {len(labels)}:
        findings.append(
            Finding(
                rule="all visits have the parcels of one atlas",
                where="coverages",
                found=f"{sizes} for {len(labels)} labels",
                remedy="Extract every visit with the same atlas.",
            )
        )
    if matching not in MATCHINGS:
        findings.append(
            Finding(
                rule="the matching of volumes is one that is known",
                where="matching",
                found=repr(matching),
                remedy=f"Choose one of: {', '.join(MATCHINGS)}.",
            )
        )
    if findings:
        raise InputError(findings)
