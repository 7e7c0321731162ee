"""Single figures of a study by their names."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from msimaging.bids.plan import Plan
from msimaging.errors import ConfigError, Finding


def figures_by_name(plan: Plan) -> dict[str, list[str]]:
    """Return the figures of a study.

    Parameters
    ----------
    plan : Plan
        The study.

    Returns
    -------
    dict
        From a figure's name, its file's without extension, to its file in every format.
    """
    found: dict[str, list[str]] = {}
    for path in (*plan.figures(), *plan.trial.figure_files()):
        found.setdefault(PurePosixPath(path).stem, []).append(path)
    return found


def chosen_figures(plan: Plan, name: str) -> list[str]:
    """Return the files of the figures that a name or a pattern stands for.

    Parameters
    ----------
    plan : Plan
        The study.
    name : str
        A name from `figures_by_name`, or a pattern such as ``sub-01*maps``.

    Returns
    -------
    list of str
        Paths below the study folder, in every format of the settings.

    Raises
    ------
    ConfigError
        When no figure is called so, with the nearest names.
    """
    known = figures_by_name(plan)
    files = [path for own, paths in known.items() if fnmatchcase(own, name) for path in paths]
    if files:
        return files
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
    near = f"Did you mean {' or '.join(close)}? " if close else ""
    fault = Finding(
        where="msimaging figure",
        rule="a figure is named as its file without extension, or by a pattern",
        found=repr(name),
        remedy=f"{near}`msimaging figure STUDY --list` prints all {len(known)} names.",
    )
    raise ConfigError([fault])
