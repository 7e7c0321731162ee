"""Named denoising strategies: which confounds are regressed out and which volumes censored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")


def expand(signals: tuple[str, ...]) -> tuple[str, ...]:
    """Name each signal, its derivative and the squares of both, as fMRIPrep does."""
    return tuple(signal + suffix for signal in signals for suffix in EXPANSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What one strategy takes from a confounds table.

    Attributes
    ----------
    name : str
    description : str
        For sidecars and methods text.
    columns : tuple of str
        Columns in fMRIPrep's names.
    cosines : bool
        Whether the table's own high-pass basis is regressed out too. aCompCor components were
        taken from high-passed data, so they need it.
    compcor : {"none", "combined", "separated"}
        Anatomical CompCor components: of white matter and CSF together, or of each.
    n_components : int or None
        Components of each mask; None takes all that the table's metadata names as retained.
    fd_threshold, std_dvars_threshold : float
        Volumes beyond either are censored [mm, standard deviations]; infinity censors none.
    min_segment : int
        Shorter runs of volumes between censored ones are censored too.
    """

    name: str
    description: str
    columns: tuple[str, ...] = ()
    cosines: bool = False
    compcor: Literal["none", "combined", "separated"] = "none"
    n_components: int | None = None
    fd_threshold: float = np.inf
    std_dvars_threshold: float = np.inf
    min_segment: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedConfounds:
    """The part of a confounds table that a strategy asks for.

    Attributes
    ----------
    design : ndarray of shape (T, C)
        A missing first row (a derivative) is replaced by the second, as nilearn does.
    names : tuple of C str
    sample_mask : ndarray of int, shape (T',)
        Positions of the retained volumes: neither censored nor before the steady state.
    """

    design: NDArray[np.float64]
    names: tuple[str, ...]
    sample_mask: NDArray[np.int64]


_TISSUES = ("csf", "white_matter")

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            Strategy(name="none", description="no confounds"),
            Strategy(
                name="24p",
                description="24 motion terms (Friston 1996)",
                columns=expand(MOTION),
            ),
            Strategy(
                name="36p",
                description="24 motion terms and CSF, white-matter and global signal with "
                "derivatives and squares (Satterthwaite 2013)",
                columns=expand((*MOTION, *_TISSUES, "global_signal")),
            ),
            Strategy(
                name="simple",
                description="24 motion terms, CSF and white-matter signal, cosines",
                columns=(*expand(MOTION), *_TISSUES),
                cosines=True,
            ),
            Strategy(
                name="scrubbing",
                description="24 motion terms, CSF and white-matter signal with derivatives and "
                "squares, cosines; volumes with FD > 0.5 mm or standardised DVARS > 1.5 censored",
                columns=expand((*MOTION, *_TISSUES)),
                cosines=True,
                fd_threshold=0.5,
                std_dvars_threshold=1.5,
            ),
            Strategy(
                name="acompcor",
                description="24 motion terms, anatomical CompCor of white matter and CSF "
                "together, cosines (Behzadi 2007)",
                columns=expand(MOTION),
                cosines=True,
                compcor="combined",
            ),
            Strategy(
                name="acompcor+gsr",
                description="24 motion terms, anatomical CompCor of white matter and CSF "
                "together, global signal, cosines",
                columns=(*expand(MOTION), "global_signal"),
                cosines=True,
                compcor="combined",
            ),
        )
    }
)


def strategy_named(name: str, own: Mapping[str, Mapping[str, Any]]) -> Strategy:
    """Look up a strategy among the built-in ones and a study's own.

    Parameters
    ----------
    name : str
    own : mapping
        From names to attributes of `Strategy`; columns of ``expand`` come with their derivatives
        and squares.

    Returns
    -------
    Strategy

    Raises
    ------
    InputError
        Where neither knows the name.
    """
    if name not in own:
        return _known_strategy(name)
    definition = dict(own[name])
    columns = (*definition.pop("columns", ()), *expand(tuple(definition.pop("expand", ()))))
    description = definition.pop("description", "") or f"own strategy {name}"
    return Strategy(name=name, description=description, columns=columns, **definition)


def select_confounds(
    table: pd.DataFrame,
    strategy: str | Strategy,
    *,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> SelectedConfounds:
    """Take from a confounds table what a strategy asks for.

    Parameters
    ----------
    table : DataFrame of T rows
        Columns in fMRIPrep's names (current or 20.2).
    strategy : str or Strategy
        A name of ``STRATEGIES``, or a strategy of one's own.
    metadata : mapping, optional
        The table's JSON; needed for CompCor, because only it tells the mask of a component.

    Returns
    -------
    SelectedConfounds

    Raises
    ------
    InputError
        Unknown strategy, or columns that the table does not hold.
    """
    chosen = _known_strategy(strategy)
    names = list(chosen.columns)
    if chosen.cosines:
        names += [column for column in table.columns if column.startswith("cosine")]
    if chosen.compcor != "none":
        names += _compcor_columns(table, chosen, metadata)
    needed = set(names)
    if np.isfinite(chosen.fd_threshold):
        needed.add("framewise_displacement")
    if np.isfinite(chosen.std_dvars_threshold):
        needed.add("std_dvars")
    missing = sorted(needed - set(table.columns))
    if missing:
        raise InputError([_missing_columns(chosen.name, missing)])
    design = table[names].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    if len(design) > 1:
        first = np.isnan(design[0])
        design[0, first] = design[1, first]
    return SelectedConfounds(
        design=design, names=tuple(names), sample_mask=retained_volumes(table, chosen)
    )


def retained_volumes(table: pd.DataFrame, strategy: Strategy) -> NDArray[np.int64]:
    """Find the volumes that a strategy keeps.

    Parameters
    ----------
    table : DataFrame of T rows
    strategy : Strategy

    Returns
    -------
    ndarray of int, shape (T',)
        Positions; empty where everything is censored.
    """
    outlier = np.zeros(len(table), dtype=bool)
    if np.isfinite(strategy.fd_threshold):
        outlier |= _beyond(table["framewise_displacement"], strategy.fd_threshold)
    if np.isfinite(strategy.std_dvars_threshold):
        outlier |= _beyond(table["std_dvars"], strategy.std_dvars_threshold)
    if outlier.any():
        outlier |= _short_segments(~outlier, strategy.min_segment)
    for column in table.columns:
        if column.startswith("non_steady_state"):
            outlier |= table[column].to_numpy() > 0
    return np.flatnonzero(~outlier).astype(np.int64)


def _beyond(values: pd.Series[Any], threshold: float) -> NDArray[np.bool_]:
    # the first volume has no displacement: NaN compares as false
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(numbers > threshold)


def _short_segments(kept: NDArray[np.bool_], min_segment: int) -> NDArray[np.bool_]:
    edges = np.diff(np.concatenate([[0], kept.astype(int), [0]]))
    short = np.zeros(kept.size, dtype=bool)
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        short[start:stop] = stop - start < min_segment
    return short


def _compcor_columns(
    table: pd.DataFrame, strategy: Strategy, metadata: Mapping[str, Mapping[str, Any]] | None
) -> list[str]:
    names: list[str] = []
    for mask in ("combined",) if strategy.compcor == "combined" else ("WM", "CSF"):
        found = [
            column
            for column in table.columns
            if "_comp_cor_" in column
            and (metadata or {}).get(column, {}).get("Mask") == mask
            and (metadata or {})[column].get("Retained", True)
        ]
        if not found:
            raise InputError([_no_compcor(strategy.name, mask, metadata is None)])
        names += found[: strategy.n_components]
    return names


def _known_strategy(strategy: str | Strategy) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    if strategy not in STRATEGIES:
        finding = Finding(
            rule="the denoising strategy is one that is known",
            where="strategy",
            found=repr(strategy),
            remedy=f"Choose one of: {', '.join(STRATEGIES)}; or list the columns of your own.",
        )
        raise InputError([finding])
    return STRATEGIES[strategy]


def _missing_columns(name: str, missing: list[str]) -> Finding:
    return Finding(
        rule=f"the confounds table holds what the strategy {name} needs",
        where="confounds",
        found=f"no column {', '.join(missing)}",
        remedy="Choose another strategy, or make the table again with these columns.",
    )


def _no_compcor(name: str, mask: str, no_metadata: bool) -> Finding:
    lacking = "no JSON beside the table" if no_metadata else f"no component of the mask {mask}"
    return Finding(
        rule=f"the strategy {name} needs CompCor components and the JSON that names their masks",
        where="confounds",
        found=lacking,
        remedy="Give the JSON of the confounds table, or choose a strategy without CompCor.",
    )
