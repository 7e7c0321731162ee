"""Where the ways between a patient's visits and the template stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msimaging.bids.layout import output
from msimaging.bids.selection import Selection
from msimaging.bids.visits import Modality


@dataclass(frozen=True)
class Spaces(Selection):
    """A study with the spaces of its patients."""

    def pose(self, modality: Modality, sub: str, ses: str, **wildcards: str) -> str:
        """Return the table that holds the pose of a visit in the midpoint space."""
        founding = ses in self.founders(modality, sub)
        key = f"{modality}_midpoint" if founding else f"{modality}_pose"
        return output(key, sub=sub, ses=ses, **wildcards)

    def poses(
        self, modality: Modality, sub: str, sessions: Sequence[str], **wildcards: str
    ) -> list[str]:
        """Return the table that holds the pose of each of some visits."""
        return [self.pose(modality, sub, ses, **wildcards) for ses in sessions]

    def ways(
        self, modality: Modality, sub: str, sessions: Sequence[str], **wildcards: str
    ) -> list[str]:
        """Return what stands for the ways between some visits of a patient and the template."""
        founders = self.founders(modality, sub)
        space = output(f"{modality}_from_template", sub=sub, **wildcards)
        joined = [ses for ses in sessions if ses not in founders]
        return [space, *self.poses(modality, sub, joined, **wildcards)]

    @property
    def warped(self) -> bool:
        """Return whether each diffusion visit is bent to the mean of its patient's visits."""
        return bool(self.settings["spatial"]["within_patient"] == "diffeomorphic")

    def warps(self, sub: str, ses: str) -> list[str]:
        """Return the bent ways from the midpoint to a visit and back; none where it is rigid."""
        keys = ("dwi_warp_to_visit", "dwi_warp_from_visit") if self.warped else ()
        return [output(key, sub=sub, ses=ses) for key in keys]
