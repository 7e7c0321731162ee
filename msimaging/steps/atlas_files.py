"""The atlas that a setting names: one of the package's, or a user's image and table."""

from __future__ import annotations

from collections.abc import Mapping

from msimaging.atlases.library import load_atlas, load_label_atlas
from msimaging.parcellation import Parcellation
from msimaging.tables import read_table
from msimaging.volumes import read_labels


def named_atlas(name: str, own: Mapping[str, Mapping[str, str]]) -> Parcellation:
    """Load an atlas by its name.

    Parameters
    ----------
    name : str
        As in the settings.
    own : mapping
        From the names of user atlases to their ``image`` and ``table``.

    Returns
    -------
    Parcellation
        In template space.

    Raises
    ------
    InputError
        When the image and the table do not belong together.
    """
    if name not in own:
        return load_atlas(name)
    files = own[name]
    image = read_labels(files["image"])
    return load_label_atlas(image.data, image.affine, read_table(files["table"]), name=name)
