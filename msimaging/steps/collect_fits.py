"""Step: the same changes of regions under other tensor fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msimaging.steps.changes import CHANGE_COLUMNS
from msimaging.steps.collect_measures import stacked
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

_KEYS = ("participant_id", "baseline", "follow_up", "months", "modality", "atlas", "label")
_KEPT = (*_KEYS, "measure", "baseline_value", "follow_up_value", "change")
FIT_CHANGE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"fit": "How the tensor was fitted.", **{name: CHANGE_COLUMNS[name] for name in _KEPT}}
)


def collect_fits(
    *,
    regions: Sequence[str],
    visits: Sequence[tuple[str, str]],
    pairs: Sequence[Mapping[str, Any]],
    atlases: Sequence[str],
    out_table: str,
) -> None:
    """Compare the visits of every patient under every other fit.

    Parameters
    ----------
    regions : sequence of str
        Region means of every visit; then of the next atlas.
    visits : sequence of (str, str)
        Patient and session in the order of ``regions``.
    pairs : sequence of mapping
        ``participant_id baseline follow_up months`` of each comparison.
    atlases : sequence of str
        Their names.
    out_table : str
        ``fits.tsv``.
    """
    parts = []
    paths = iter(regions)
    for atlas in atlases:
        tables = {tuple(visit): read_table(next(paths)) for visit in visits}
        for pair in pairs:
            before, after = (
                tables[pair["participant_id"], pair[end]] for end in ("baseline", "follow_up")
            )
            both = before.merge(after, on=["fit", "name", "measure"], suffixes=("_a", "_b"))
            both = both.rename(
                columns={"name": "label", "value_a": "baseline_value", "value_b": "follow_up_value"}
            )
            facts = {
                key: pair[key] for key in ("participant_id", "baseline", "follow_up", "months")
            }
            change = both["follow_up_value"] - both["baseline_value"]
            parts.append(both.assign(**facts, atlas=atlas, modality="dwi", change=change))
    write_table(out_table, stacked(parts, list(FIT_CHANGE_COLUMNS)))
    describe(
        out_table,
        "Change of region means under tensor fits besides that of changes.tsv: how far a result "
        "depends on the fit.",
        sources=regions,
        columns=FIT_CHANGE_COLUMNS,
    )
