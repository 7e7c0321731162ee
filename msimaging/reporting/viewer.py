"""The interactive viewer: NiiVue as nilearn ships it, or none."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PLACES = ("_assets/js", "plotting/data/js", "reporting/data/js", "assets/js")


def niivue_source() -> str:
    """Return the source of NiiVue from the installed nilearn.

    Returns
    -------
    str
        JavaScript, or nothing when this nilearn carries none; pages then show pictures only.
    """
    found = importlib.util.find_spec("nilearn")
    folders = list(found.submodule_search_locations or ()) if found else []
    for folder in folders:
        for place in _PLACES:
            path = Path(folder) / place / "niivue.umd.js"
            if path.is_file():
                return path.read_text(encoding="utf-8")
    return ""
