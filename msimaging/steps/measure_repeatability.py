"""Step: what rescans of untouched people in this study say about each measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msimaging.longitudinal.rescans import rescan_noise
from msimaging.steps.changes import STRENGTH_MEASURE
from msimaging.steps.collect_measures import read_networks, read_regions, stacked
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

REPEATABILITY_COLUMNS = {
    "modality": "dwi or bold.",
    "atlas": "Atlas that defines the labels.",
    "label": "Region, parcel, or pair of networks.",
    "measure": "What was measured.",
    "n": "Visits that were repeated without treatment.",
    "df": "Degrees of freedom: repeats beyond the first, summed.",
    "within_sd": "Within-subject standard deviation, in the measure's unit.",
    "cov_percent": "The same relative to the mean, in per cent.",
    "sdc": "Smallest change that an untreated rescan exceeds in no more than 5 % (t quantile).",
}
_NEEDED = ("modality", "atlas", "label", "measure", "series", "value")


def measure_repeatability(
    *,
    diffusion: Sequence[str],
    functional: Sequence[str],
    strengths: Sequence[str],
    diffusion_rows: Sequence[Mapping[str, str]],
    functional_rows: Sequence[Mapping[str, str]],
    confidence: float,
    out_table: str,
) -> None:
    """Pool the repeats of every region, network and parcel.

    Parameters
    ----------
    diffusion, functional, strengths : sequence of str
        Tables of regions, of network means and of the strength of parcels of every visit in a
        series of rescans.
    diffusion_rows, functional_rows : sequence of mapping
        Atlas and series of each table; the same for network means and strengths.
    confidence : float
        Of the smallest detectable change.
    out_table : str
        ``repeatability.tsv``.
    """
    parts = [
        read_regions(path).assign(**row, modality="dwi")
        for path, row in zip(diffusion, diffusion_rows, strict=True)
    ]
    parts += [
        read_networks(path).assign(**row, modality="bold")
        for path, row in zip(functional, functional_rows, strict=True)
    ]
    parts += [
        read_table(path).assign(**row, modality="bold", measure=STRENGTH_MEASURE)
        for path, row in zip(strengths, functional_rows, strict=True)
    ]
    noise = rescan_noise(stacked(parts, _NEEDED), confidence=confidence)
    write_table(out_table, noise)
    describe(
        out_table,
        "Scatter of repeated scans of people whom nothing happened to in between.",
        sources=[*diffusion, *functional, *strengths],
        columns=REPEATABILITY_COLUMNS,
    )
