"""File names of pages, safe for any id and different for different ids."""

from __future__ import annotations

import re


def page_name(participant_id: str) -> str:
    """Return the file name of a patient's page.

    Parameters
    ----------
    participant_id : str
        Id of the dataset.

    Returns
    -------
    str
        ``patient-<id>.html``; unusual characters are written as ``_`` and their code.
    """
    return f"patient-{_safe(participant_id)}.html"


def scan_page_name(participant_id: str, session_id: str, modality: str) -> str:
    """Return the file name of a scan's page.

    Parameters
    ----------
    participant_id, session_id, modality : str
        Which scan; a scan that is rated blind has its code as patient and session.

    Returns
    -------
    str
        ``scan-<id>-<session>-<modality>.html``, or ``<code>-<modality>.html``.
    """
    same = participant_id == session_id
    name = participant_id if same else f"scan-{participant_id}-{session_id}"
    return f"{_safe(name)}-{_safe(modality)}.html"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found.group()):x}_", text)
