"""Step: the same changes of network means under every denoising strategy and atlas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msimaging.steps.change_connectivity import network_changes, unusable_visits
from msimaging.steps.changes import CHANGE_COLUMNS
from msimaging.steps.collect_measures import stacked, with_facts
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

SPECIFICATION_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "strategy": "Denoising strategy; the primary one stands first.",
        **{
            name: text
            for name, text in CHANGE_COLUMNS.items()
            if name not in {"percent_change", "sdc", "reliable"}
        },
    }
)


def collect_specifications(
    *,
    networks: Sequence[str],
    visits: Sequence[tuple[str, str]],
    pairs: Sequence[Mapping[str, Any]],
    strategies: Sequence[str],
    atlases: Sequence[str],
    confidence: float,
    out_table: str,
) -> None:
    """Compare the visits of every patient under every strategy and atlas.

    Parameters
    ----------
    networks : sequence of str
        Network means of every visit; then the next atlas; then the next strategy.
    visits : sequence of (str, str)
        Patient and session in the order of ``networks``.
    pairs : sequence of mapping
        ``participant_id baseline follow_up months``, and ``rated`` where a person did, of each
        comparison.
    strategies, atlases : sequence of str
        Their names.
    confidence : float
        Coverage of the intervals.
    out_table : str
        ``specifications.tsv``.
    """
    parts = []
    paths = iter(networks)
    for strategy in strategies:
        for atlas in atlases:
            tables = {tuple(visit): read_table(next(paths)) for visit in visits}
            for pair in pairs:
                sessions = [pair["baseline"], pair["follow_up"]]
                both = [tables[pair["participant_id"], session] for session in sessions]
                thin = unusable_visits(both, sessions)
                change = network_changes(
                    *both, months=pair["months"], confidence=confidence, known=not thin
                )
                change = change.assign(flags=";".join(thin), strategy=strategy, atlas=atlas)
                parts.append(with_facts(change, pair, modality="bold"))
    write_table(out_table, stacked(parts, list(SPECIFICATION_COLUMNS)))
    describe(
        out_table,
        "Change of mean Fisher z under every denoising strategy and atlas: how far a result "
        "depends on these choices. The primary strategy's rows are those of changes.tsv.",
        sources=networks,
        columns=SPECIFICATION_COLUMNS,
        Strategies=list(strategies),
    )
