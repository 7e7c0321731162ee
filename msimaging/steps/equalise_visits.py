"""Step: which volumes and parcels of a patient's BOLD runs are comparable, what was dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.errors import Finding, InputError
from msimaging.functional.cleaning import regressors_of
from msimaging.functional.comparable import ComparableVisits, equalise_visits
from msimaging.functional.strategies import select_confounds, strategy_named
from msimaging.steps.parcel_tables import component_masks
from msimaging.steps.records import describe, report
from msimaging.tables import read_json, read_table, sidecar_of, write_table

DROPPED_COLUMNS: Mapping[str, str] = {
    "strategy": "Denoising strategy.",
    "atlas": "Atlas of the parcel; n/a for runs and volumes.",
    "session_id": "Visit.",
    "what": "run (left out of statistics), volumes (not used, so that all visits have as many) or "
    "parcel (n/a at every visit).",
    "label": "Parcel.",
    "before": "Clean volumes of the run, or coverage of the parcel.",
    "after": "Volumes used, 0 for what is left out.",
    "reason": "Why.",
}
#: Cells of the table of volumes.
USED, SURPLUS, CENSORED = "used", "surplus", "censored"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one visit brings to the comparison under one strategy."""

    sample_mask: NDArray[np.int64]
    n_volumes: int
    t_r: float
    n_regressors: int


def equalise_patient(
    *,
    confounds: Sequence[str],
    coverages: Sequence[str],
    sessions: Sequence[str],
    atlases: Sequence[str],
    strategies: Sequence[str],
    own_strategies: Mapping[str, Mapping[str, Any]],
    high_pass: float | None,
    low_pass: float | None,
    matching: str,
    min_coverage: float,
    min_minutes: float,
    min_volumes: int,
    seed: int,
    out_dropped: str,
    out_volumes: str,
) -> None:
    """Give all visits of one patient the same number of volumes and the same parcels.

    Parameters
    ----------
    confounds : sequence of str
        Confounds of each visit, in the order of ``sessions``.
    coverages : sequence of str
        Coverage tables: all visits of the first atlas, then of the next.
    sessions, atlases, strategies : sequence of str
        Their names.
    own_strategies : mapping
        Definitions of strategies of the study's own.
    high_pass, low_pass : float or None
        Pass band in Hz.
    matching : {"contiguous", "random"}
        How volumes are chosen where a visit has more than another.
    min_coverage : float
        Share of a parcel that every visit must cover.
    min_minutes, min_volumes : float, int
        Least clean data of a run.
    seed : int
        Of the choice of volumes.
    out_dropped, out_volumes : str
        What was dropped and why; each volume's fate under each strategy.
    """
    cover = {
        atlas: dict(zip(sessions, coverages[first : first + len(sessions)], strict=True))
        for atlas, first in zip(atlases, range(0, len(coverages), len(sessions)), strict=True)
    }
    covered = {
        atlas: {session: read_table(path) for session, path in paths.items()}
        for atlas, paths in cover.items()
    }
    dropped, fates = [], []
    for name in strategies:
        runs, refused = _runs(
            dict(zip(sessions, confounds, strict=True)), name, own_strategies, high_pass, low_pass
        )
        for atlas, tables in covered.items():
            result = equalise_visits(
                {session: run.sample_mask for session, run in runs.items()},
                coverages={s: tables[s]["coverage"].to_numpy(dtype=float) for s in runs},
                t_r={session: run.t_r for session, run in runs.items()},
                labels=[str(label) for label in tables[sessions[0]]["name"]],
                matching=matching,
                seed=seed,
                min_coverage=min_coverage,
                min_minutes=min_minutes,
                min_volumes=min_volumes,
                n_regressors={session: run.n_regressors for session, run in runs.items()},
                places=dict(zip(sessions, confounds, strict=True)),
            )
            first_atlas = atlas == atlases[0]
            dropped += _rows(result, refused, name, atlas, with_runs=first_atlas)
            if first_atlas:
                report([*result.excluded.values(), *refused.values()])
                fates.append(_fates(runs, result, name))
    write_table(out_dropped, pd.DataFrame(dropped, columns=list(DROPPED_COLUMNS)))
    settings: dict[str, Any] = {
        "Strategies": list(strategies),
        "Matching": matching,
        "MinimumMinutes": min_minutes,
        "MinimumVolumes": min_volumes,
        "MinimumCoverage": min_coverage,
    }
    sources = [*confounds, *coverages]
    describe(
        out_dropped,
        "What of the patient's runs is not used, so that the visits can be compared.",
        sources=sources,
        columns=DROPPED_COLUMNS,
        **settings,
    )
    _write_volumes(out_volumes, fates, strategies, sources, settings)


def _runs(
    confounds: Mapping[str, str],
    strategy: str,
    own: Mapping[str, Mapping[str, Any]],
    high_pass: float | None,
    low_pass: float | None,
) -> tuple[dict[str, _Run], dict[str, Finding]]:
    """Read what each visit keeps under a strategy; visits that it cannot clean, with the fault."""
    runs, refused = {}, {}
    for session, path in confounds.items():
        repetition_time = 1 / float(read_json(sidecar_of(path))["SamplingFrequency"])
        try:
            chosen = select_confounds(
                read_table(path), strategy_named(strategy, own), metadata=component_masks(path)
            )
            cost = 0
            if len(chosen.sample_mask):
                cost = regressors_of(
                    chosen.design,
                    n_volumes=len(chosen.design),
                    t_r=repetition_time,
                    high_pass=high_pass,
                    low_pass=low_pass,
                    sample_mask=chosen.sample_mask,
                )
        except InputError as error:
            refused[session] = replace(error.findings[0], where=path)
            continue
        runs[session] = _Run(
            sample_mask=chosen.sample_mask,
            n_volumes=len(chosen.design),
            t_r=repetition_time,
            n_regressors=cost,
        )
    return runs, refused


def _rows(
    result: ComparableVisits,
    refused: Mapping[str, Finding],
    strategy: str,
    atlas: str,
    *,
    with_runs: bool,
) -> list[dict[str, Any]]:
    """Rows of the table of what was dropped; runs and volumes are the same for every atlas."""
    rows: list[dict[Any, Any]] = [
        {"session_id": session, "what": "run", "label": None, "after": 0, "reason": str(finding)}
        for session, finding in sorted(refused.items())
    ]
    rows += result.dropped.rename(columns={"visit": "session_id"}).to_dict("records")
    return [
        {**row, "strategy": strategy, "atlas": atlas if row["what"] == "parcel" else None}
        for row in rows
        if with_runs or row["what"] == "parcel"
    ]


def _fates(runs: Mapping[str, _Run], result: ComparableVisits, strategy: str) -> pd.DataFrame:
    """One row a volume of each visit; a run that is left out keeps all its clean volumes."""
    parts = []
    for session, run in runs.items():
        fate = np.full(run.n_volumes, CENSORED, dtype=object)
        fate[run.sample_mask] = SURPLUS
        fate[result.sample_masks.get(session, run.sample_mask)] = USED
        part = pd.DataFrame({"session_id": session, "volume": range(run.n_volumes)})
        parts.append(part.assign(strategy=strategy, fate=fate))
    return pd.concat(parts) if parts else pd.DataFrame()


def _write_volumes(
    path: str,
    fates: Sequence[pd.DataFrame],
    strategies: Sequence[str],
    sources: Sequence[str],
    settings: Mapping[str, Any],
) -> None:
    columns = ["session_id", "volume"]
    wide = pd.DataFrame(columns=[*columns, *strategies])
    known = [part for part in fates if len(part)]
    if known:
        wide = pd.concat(known).pivot_table(
            index=columns, columns="strategy", values="fate", aggfunc="first", sort=False
        )
        wide = wide.reindex(columns=list(strategies)).reset_index()
    write_table(path, wide)
    meaning = f"{USED}, {SURPLUS} (more than the shortest visit has) or {CENSORED}."
    describe(
        path,
        "What becomes of each volume of the patient's runs under each strategy.",
        sources=sources,
        columns={
            "session_id": "Visit.",
            "volume": "Position in the run, from 0.",
            **dict.fromkeys(strategies, meaning),
        },
        **settings,
    )
