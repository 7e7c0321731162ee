"""The quality pages' content: strips of numbers, one page a scan, and the paired comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msimaging.bids.plan import SCAN_PICTURES
from msimaging.bids.ratings import blind_code
from msimaging.figures.quality import caption_quality_strips, draw_quality_strips
from msimaging.figures.style import render
from msimaging.reporting.content import FigureContent, ScanContent, SectionContent, TableContent
from msimaging.reporting.names import scan_page_name
from msimaging.tables import read_json, sidecar_of

#: Numbers that have a strip, by modality, in their order.
_STRIPS = {
    "dwi": ("fd_mean", "dropped_slice_share", "outlier_share", "snr_b0", "snr_fit", "cnr_.*", "ndc",
            "residual_median", "coherence_.*", "clamped_voxels", "zero_fraction"),
    "bold": ("fd_mean", "fd_share_high", "std_dvars_mean", "tsnr_median", "minutes_retained",
             "coverage_mean", "coverage_least", "distance_dependence"),
}  # fmt: skip
_WORDS = {"dwi": "Diffusion scans", "bold": "Resting runs"}
_TITLES = {
    "gradients": "Gradients",
    "motion": "Head motion",
    "residual": "Residual of the tensor fit",
    "mask": "Brain mask",
    "carpet": "Carpet",
    "registration": "Registration",
    "edges": "Edge strength against distance",
    "coverage": "Coverage of the parcels",
}


def scan_contents(
    scans: Sequence[Mapping[str, Any]],
    quality: pd.DataFrame,
    *,
    blind: bool,
    seed: int,
) -> tuple[ScanContent, ...]:
    """Return what is shown of each scan.

    Parameters
    ----------
    scans : sequence of mapping
        ``participant_id session_id modality rating comment`` and ``pictures``, files by name.
    quality : DataFrame
        ``quality.tsv``.
    blind : bool
        Name the scans by codes, in the order of these.
    seed : int
        Of the codes.

    Returns
    -------
    tuple of ScanContent
        Scans in the order of the study, or of their codes.
    """
    found = []
    numbers = dict(list(quality.groupby(["participant_id", "session_id", "modality"], sort=False)))
    for scan in scans:
        key = (scan["participant_id"], scan["session_id"], scan["modality"])
        code = blind_code(*key, seed=seed)
        own = numbers.get(key, quality.iloc[:0])
        found.append(
            ScanContent(
                participant_id=code if blind else key[0],
                session_id=code if blind else key[1],
                modality=key[2],
                rating=scan["rating"],
                comment=scan["comment"],
                pictures=_pictures(key[2], scan["pictures"]),
                numbers=own[["number", "value", "units", "description"]],
            )
        )
    return tuple(sorted(found, key=lambda scan: scan.participant_id) if blind else found)


def _pictures(modality: str, files: Mapping[str, str]) -> Iterable[FigureContent]:
    for name in SCAN_PICTURES["dwi" if modality == "dwi" else "bold"]:
        path = files.get(name)
        if path and Path(path).exists():
            yield FigureContent(
                title=_TITLES[name],
                caption=read_json(sidecar_of(path))["Description"],
                picture=Path(path).read_bytes(),
            )


def strip_sections(
    quality: pd.DataFrame, *, blind: bool, seed: int, lower: Mapping[str, float] | None = None
) -> tuple[SectionContent, ...]:
    """Return one strip a number for each modality; a click on a dot leads to the scan.

    Parameters
    ----------
    quality : DataFrame
        ``quality.tsv``.
    blind : bool
        Neither join the visits of a patient nor tell which came first.
    seed : int
        Of the codes.
    lower : mapping, optional
        Limits drawn as lines.

    Returns
    -------
    tuple of SectionContent
        One a modality that has numbers.
    """
    sections = []
    for modality, wanted in _STRIPS.items():
        rows = quality[(quality["modality"] == modality) & quality["value"].notna()]
        names = dict.fromkeys(rows["number"])
        shown = [name for form in wanted for name in names if re.fullmatch(form, name)]
        rows = rows[rows["number"].isin(shown)]
        if rows.empty:
            continue
        strips = _strip_rows(rows, shown, modality, blind=blind, seed=seed)
        figure = FigureContent(
            title="One dot a scan",
            caption=caption_quality_strips(strips, limits=lower)
            + " A click on a dot opens the scan.",
            picture=render(draw_quality_strips(strips, limits=lower), "svg"),
            media_type="image/svg+xml",
            inline=True,
        )
        sections.append(SectionContent(title=_WORDS[modality], figures=(figure,)))
    return tuple(sections)


def _strip_rows(
    rows: pd.DataFrame, shown: Sequence[str], modality: str, *, blind: bool, seed: int
) -> pd.DataFrame:
    order = {name: place for place, name in enumerate(dict.fromkeys(shown))}
    rows = rows.sort_values("number", key=lambda column: column.map(order), kind="stable")
    keys = list(zip(rows["participant_id"], rows["session_id"], strict=True))
    codes = [blind_code(sub, ses, modality, seed=seed) for sub, ses in keys]
    units = [f" [{unit}]" if unit != "1" else "" for unit in rows["units"]]
    named = [(code, code) for code in codes] if blind else keys
    pages = [scan_page_name(sub, ses, modality) for sub, ses in named]
    return pd.DataFrame(
        {
            "participant_id": codes if blind else rows["participant_id"],
            "session_id": "all scans" if blind else rows["session_id"],
            "number": [f"{n}{u}" for n, u in zip(rows["number"], units, strict=True)],
            "value": rows["value"].astype(float),
            "excluded": rows["rating"].eq("exclude").fillna(value=False),
            "address": pages,
        }
    )


def comparison_section(tests: pd.DataFrame) -> SectionContent:
    """Return the paired test of quality, to be read beside that of biology.

    Parameters
    ----------
    tests : DataFrame
        ``quality_tests.tsv``.

    Returns
    -------
    SectionContent
        With one table.
    """
    changed = tests[tests["p"] < 0.05] if len(tests) else tests
    floor = float(tests["p_floor"].min()) if len(tests) else 0.0
    names = ", ".join(f"{row['number']} ({row['modality']})" for row in changed.to_dict("records"))
    words = (
        f"Below p = 0.05, not corrected: {names}. Read changes of the brain with this in mind."
        if names
        else "No number differs between the visits at p < 0.05, not corrected"
        + (f" (the smallest p possible was {floor:.2g})." if floor > 0 else ".")
    )
    return SectionContent(
        title="Did the quality of the scans change?",
        paragraphs=(
            "A change of scan quality can look like a change of the brain, so the same paired "
            f"test is made of the quality. {words}",
        ),
        tables=(
            TableContent(
                title="Quality, follow-up minus baseline",
                table=tests,
                caption="Sign-flip p-values are not corrected: a guard has to be alert.",
            ),
        ),
    )
