"""Step: what makes the results a BIDS derivatives dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msimaging.bids.derivatives import link_of
from msimaging.provenance import library_versions, version
from msimaging.tables import read_table, write_json, write_table
from msimaging.volumes import whole_file

_README = """# Results of msimaging

Change of diffusion tensors and resting-state connectivity between the visits of each patient.
`cohort/` holds the tables of the whole study, `figures/` its figures, `report/index.html` the
report. Every image and table has a JSON sidecar with its units, sources and settings.
"""
_IGNORED = ("cohort", "cohort/**", "figures", "figures/**", "report", "report/**", "**/*_xfm.*")
#: Columns of participants.tsv that are never copied, whatever the dataset holds.
_IDENTIFYING = frozenset({"name", "birth_date", "birthdate", "address", "phone", "email"})


def describe_dataset(
    *,
    bids_dir: str,
    patients: Sequence[str],
    out_description: str,
    out_participants: str,
    derivatives: Sequence[str] = (),
) -> None:
    """Write the description of the derivatives and the list of participants.

    Parameters
    ----------
    bids_dir : str
        The raw dataset.
    patients : sequence of str
        Patients of the study.
    out_description, out_participants : str
        ``dataset_description.json`` and ``participants.tsv``.
    derivatives : sequence of str
        Outputs of other pipelines from which visits entered.
    """
    root = Path(out_description).parent
    links = {"raw": bids_dir} | {link_of(folder): folder for folder in derivatives}
    write_json(
        out_description,
        {
            "Name": "msimaging derivatives",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "DatasetLinks": {name: Path(path).resolve().as_uri() for name, path in links.items()},
            "GeneratedBy": [
                {"Name": "msimaging", "Version": version(), "Libraries": library_versions()}
            ],
        },
    )
    for name, text in (("README.md", _README), (".bidsignore", "\n".join(_IGNORED) + "\n")):
        with whole_file(root / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_table(out_participants, _participants(Path(bids_dir) / "participants.tsv", patients))


def _participants(path: Path, patients: Sequence[str]) -> pd.DataFrame:
    listed = pd.DataFrame({"participant_id": list(patients)})
    if not path.exists():
        return listed
    known = read_table(path)
    kept = [name for name in known.columns if str(name).lower() not in _IDENTIFYING]
    return listed.merge(known[kept], on="participant_id", how="left")
