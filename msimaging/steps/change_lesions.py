"""Step: what became of each lesion between two visits of one patient."""

from __future__ import annotations

from collections.abc import Sequence

from msimaging.longitudinal.lesions import lesion_changes
from msimaging.steps.records import describe
from msimaging.steps.split_tissue import carried_mask, midpoint_grid
from msimaging.tables import write_table
from msimaging.volumes import read_volume

LESION_COLUMNS = {
    "kind": "new, gone, enlarged, shrunken, stable, merged, split or regrouped.",
    "n_baseline": "Lesions at the earlier visit.",
    "n_follow_up": "Lesions at the later visit.",
    "baseline_mm3": "Volume at the earlier visit, mm3.",
    "follow_up_mm3": "Volume at the later visit, mm3.",
    "change_mm3": "Follow-up minus baseline, mm3.",
    "x_mm": "Centre, towards the right in the midpoint space, mm.",
    "y_mm": "Centre, towards the front, mm.",
    "z_mm": "Centre, upwards, mm.",
}


def change_lesions(
    *,
    lesions: Sequence[str],
    sessions: Sequence[str],
    midpoints: Sequence[str],
    template: str,
    out_table: str,
) -> None:
    """Carry both masks to the midpoint alike and follow every lesion by overlap.

    Parameters
    ----------
    lesions : sequence of str
        Masks of baseline and follow-up, each in its own scanner space.
    sessions : sequence of str
        The two visits.
    midpoints : sequence of str
        Table with the pose of each.
    template : str
        Image on the grid of the midpoint space.
    out_table : str
        One row a lesion, or group of lesions that merged or split.
    """
    space = midpoint_grid(read_volume(template, ndim=3))
    baseline, follow_up = (
        carried_mask(path, midpoint, session, space)
        for path, midpoint, session in zip(lesions, midpoints, sessions, strict=True)
    )
    changes = lesion_changes(baseline, follow_up, space.affine)
    write_table(out_table, changes.table[list(LESION_COLUMNS)])
    describe(
        out_table,
        "Lesions between two visits, by connected components in the midpoint space.",
        sources=[*lesions, *dict.fromkeys(midpoints), template],
        columns=LESION_COLUMNS,
        Counts=changes.counts,
        BaselineMillimetres3=changes.baseline_mm3,
        FollowUpMillimetres3=changes.follow_up_mm3,
        SpecksIgnored=changes.n_ignored,
    )
