"""What the tables of a visit say of its resting run: nuisance, volumes used, what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.steps.equalise_visits import USED
from msimaging.steps.parcel_tables import component_masks
from msimaging.tables import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What all atlases and strategies of a visit share.

    Attributes
    ----------
    confounds : DataFrame
    components : dict
        What the JSON of the confounds tells of each CompCor component.
    fates : DataFrame
        Each volume of this visit under each strategy.
    dropped : DataFrame
        What of the patient's visits is not used.
    session : str
    sources : tuple of str
    """

    confounds: pd.DataFrame
    components: dict[str, Any]
    fates: pd.DataFrame
    dropped: pd.DataFrame
    session: str
    sources: tuple[str, ...]

    @classmethod
    def read(cls, confounds: str, volumes: str, dropped: str, session: str) -> RunParts:
        """Read the tables of one visit."""
        fates = read_table(volumes)
        return cls(
            confounds=read_table(confounds),
            components=component_masks(confounds),
            fates=fates[fates["session_id"] == session],
            dropped=read_table(dropped),
            session=session,
            sources=(confounds, volumes, dropped),
        )

    def excluded(self, strategy: str) -> str:
        """Return why the run is left out of statistics, empty where it is not."""
        rows = self.dropped
        mine = (rows["strategy"] == strategy) & (rows["session_id"] == self.session)
        return "; ".join(rows.loc[mine & (rows["what"] == "run"), "reason"])

    def thin_parcels(self, strategy: str, atlas: str) -> set[str]:
        """Return the parcels that some visit of the patient does not cover."""
        rows = self.dropped
        mine = (rows["strategy"] == strategy) & (rows["atlas"] == atlas)
        return {str(label) for label in rows.loc[mine & (rows["what"] == "parcel"), "label"]}

    def used(self, strategy: str) -> NDArray[np.int64]:
        """Return the positions of the volumes that are used."""
        chosen = self.fates[strategy] == USED
        return self.fates.loc[chosen, "volume"].to_numpy(dtype=np.int64)
