"""The atlases by name, as label images on one template grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.atlases.templates import load_template, nilearn_datasets
from msimaging.errors import Finding, InputError
from msimaging.parcellation import Parcellation, sphere_labels
from msimaging.tables import read_table

# the 2 mm grid of nilearn's MNI152 template
MNI_SHAPE = (99, 117, 95)
MNI_AFFINE = np.array(
    [[2.0, 0.0, 0.0, -98.0], [0.0, 2.0, 0.0, -134.0], [0.0, 0.0, 2.0, -72.0], [0.0, 0.0, 0.0, 1.0]]
)
NODE_RADIUS = 5.0
WHITE_MATTER_TABLE = Path(__file__).with_name("whitematter_spheres.tsv")

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "dosenbach160": (
            "160 nodes in six networks (Dosenbach et al. 2010, Science 329:1358), drawn as spheres "
            "of 5 mm around the coordinates that nilearn distributes (no licence stated there)."
        ),
        "power264": (
            "264 nodes (Power et al. 2011, Neuron 72:665), drawn as spheres of 5 mm around the "
            "coordinates that nilearn distributes (no licence stated there); without networks."
        ),
        "seitzman300": (
            "300 cortical, subcortical and cerebellar nodes with their networks (Seitzman et al. "
            "2020, NeuroImage 206:116290), drawn as spheres of 5 mm around the coordinates that "
            "nilearn distributes (no licence stated there)."
        ),
        "whitematter": (
            "37 spheres of 4 or 5 mm, placed by the msimaging developers (BSD-3-Clause) at the "
            "deepest places of tracts named in the ICBM-DTI-81 atlas (Mori et al. 2008, "
            "NeuroImage 40:570)."
        ),
    }
)

#: Share of an atlas that must lie in the template's brain; real ones have nine tenths and more.
_LEAST_IN_TEMPLATE = 0.5


def load_atlas(name: str) -> Parcellation:
    """Load an atlas that comes with the package; reads no network.

    Parameters
    ----------
    name : {"dosenbach160", "power264", "seitzman300", "whitematter"}
        Which atlas.

    Returns
    -------
    Parcellation
        On the 2 mm grid of nilearn's MNI152 template.

    Raises
    ------
    InputError
        When no atlas has this name.
    """
    if name not in _TABLES:
        finding = Finding(
            where="atlas",
            rule=f"a packaged atlas is one of {', '.join(_TABLES)}",
            found=repr(name),
            remedy="Use one of these names, or give a label image with its table.",
        )
        raise InputError([finding])
    table = _TABLES[name]()
    labels_img = sphere_labels(
        table[["x", "y", "z"]].to_numpy(),
        radius=table["radius"].to_numpy(),
        shape=MNI_SHAPE,
        affine=MNI_AFFINE,
    )
    return Parcellation(name=name, labels_img=labels_img, affine=MNI_AFFINE.copy(), table=table)


def load_label_atlas(
    labels_img: NDArray[np.generic],
    affine: NDArray[np.float64],
    table: pd.DataFrame,
    *,
    name: str = "custom",
) -> Parcellation:
    """Join a label image and its table to an atlas.

    Parameters
    ----------
    labels_img : (X, Y, Z) ndarray
        Whole numbers, 0 outside every parcel.
    affine : (4, 4) ndarray
        Voxel indices to template coordinates in mm.
    table : DataFrame
        Columns ``index`` and ``name``; ``network`` and the centres ``x y z`` are filled in
        (missing, and from the image) where the table has none.
    name : str
        Short name of the atlas.

    Returns
    -------
    Parcellation
        With the rows in the order of the table.

    Raises
    ------
    InputError
        When image and table do not belong together.
    """
    labels = np.rint(np.asarray(labels_img, dtype=np.float64)).astype(np.int32)
    full = table.copy()
    if "network" not in full.columns:
        full["network"] = None
    if "index" in full.columns and not {"x", "y", "z"} <= set(full.columns):
        full[["x", "y", "z"]] = _centres(labels, affine, full["index"].to_numpy())
    return Parcellation(name=name, labels_img=labels, affine=np.array(affine), table=full)


def template_faults(atlas: Parcellation) -> list[Finding]:
    """Find out whether an atlas lies in the template brain.

    Parameters
    ----------
    atlas : Parcellation
        Should be in MNI152 space.

    Returns
    -------
    list of Finding
        Empty when most of its voxels do.
    """
    template = load_template(resolution=2)
    voxels = np.argwhere(atlas.labels_img > 0)
    points = voxels @ atlas.affine[:3, :3].T + atlas.affine[:3, 3]
    to_template = np.linalg.inv(template.affine)
    places = np.rint(points @ to_template[:3, :3].T + to_template[:3, 3]).astype(int)
    known = np.all((places >= 0) & (places < template.mask.shape), axis=1)
    inside = template.mask[tuple(places[known].T)].sum() / max(len(voxels), 1)
    if inside >= _LEAST_IN_TEMPLATE:
        return []
    return [
        Finding(
            where=f"atlas {atlas.name}",
            rule="an atlas must lie in MNI152 space",
            found=f"{inside:.0%} of its voxels in the brain of the template",
            remedy="Give the label image in MNI152 space, with its affine.",
        )
    ]


def _centres(
    labels: NDArray[np.int32], affine: NDArray[np.float64], indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    voxels = np.nonzero(labels > 0)
    label = labels[voxels]
    count = np.bincount(label)
    sums = np.stack([np.bincount(label, weights=axis) for axis in voxels], axis=1)
    known = np.isin(indices, label)
    middle = np.full((len(indices), 3), np.nan)
    middle[known] = sums[indices[known]] / count[indices[known], None]
    return np.asarray(np.round(middle @ affine[:3, :3].T + affine[:3, 3], 3))


def _node_table(
    coordinates: pd.DataFrame, names: list[str], networks: NDArray[np.object_]
) -> pd.DataFrame:
    table = coordinates[["x", "y", "z"]].astype(float).reset_index(drop=True)
    table.insert(0, "index", np.arange(1, len(table) + 1))
    table.insert(1, "name", names)
    table.insert(2, "network", networks)
    return table.assign(radius=NODE_RADIUS)


def _dosenbach() -> pd.DataFrame:
    nodes = nilearn_datasets().fetch_coords_dosenbach_2010()
    names = [label.replace(" ", "_") for label in nodes.labels]
    return _node_table(nodes.rois, names, nodes.networks.to_numpy(dtype=object))


def _power() -> pd.DataFrame:
    nodes = nilearn_datasets().fetch_coords_power_2011()
    names = [f"power_{number:03d}" for number in nodes.rois["roi"]]
    return _node_table(nodes.rois, names, np.full(len(names), None, dtype=object))


def _seitzman() -> pd.DataFrame:
    nodes = nilearn_datasets().fetch_coords_seitzman_2018()
    networks = np.array(nodes.networks, dtype=object)
    # the number is that of the published list, whatever the order of the rows
    names = [
        f"{network}_{region}_{number + 1:03d}"
        for network, region, number in zip(networks, nodes.regions, nodes.rois.index, strict=True)
    ]
    networks[networks == "unassigned"] = None
    return _node_table(nodes.rois, names, networks)


def _white_matter() -> pd.DataFrame:
    return read_table(WHITE_MATTER_TABLE).assign(network=None)


_TABLES: Mapping[str, Callable[[], pd.DataFrame]] = MappingProxyType(
    {
        "dosenbach160": _dosenbach,
        "power264": _power,
        "seitzman300": _seitzman,
        "whitematter": _white_matter,
    }
)
