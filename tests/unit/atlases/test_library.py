import socket

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msimaging.atlases.library import SOURCES, load_atlas, load_label_atlas
from msimaging.errors import InputError


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("an atlas reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("name", "size", "networks"),
    [("dosenbach160", 160, 6), ("power264", 264, 0), ("seitzman300", 300, 13)],
)
def test_functional_nodes_lie_at_their_coordinates(name, size, networks):
    atlas = load_atlas(name)
    assert len(atlas.table) == size
    assert len(set(atlas.names)) == size
    assert len({network for network in atlas.networks if network is not None}) == networks
    centre = np.rint((atlas.table[["x", "y", "z"]].to_numpy() - atlas.affine[:3, 3]) / 2).astype(
        int
    )
    at_centre = atlas.labels_img[tuple(centre.T)]
    assert np.mean(at_centre == atlas.indices) > 0.98


def test_names_are_unique_and_readable_and_networks_belong_to_their_nodes():
    atlas = load_atlas("dosenbach160")
    table = atlas.table.set_index("name")
    assert table.loc["vmPFC_1", "network"] == "default"
    assert tuple(table.loc["vmPFC_1", ["x", "y", "z"]]) == (6, 64, 3)
    seitzman = load_atlas("seitzman300").table.set_index("name")
    first = [name for name in seitzman.index if name.endswith("_001")]
    assert seitzman.loc[first[0], "x"] == pytest.approx(-56.16)


def test_every_atlas_says_where_it_comes_from():
    for name, sentence in SOURCES.items():
        assert load_atlas(name).name == name
        assert sentence.endswith(".")


@pytest.mark.real_data
def test_white_matter_spheres_lie_in_their_tracts(shared_data):
    image = nib.load(shared_data / "atlases" / "JHU-ICBM-DTI-81-labels_1mm_LRcorrected.nii.gz")
    rows = (shared_data / "atlases" / "JHU-ICBM-DTI-81-labels.txt").read_text().splitlines()
    number = {name: int(label) for label, name in (row.split("\t") for row in rows)}
    jhu, to_voxels = np.rint(image.get_fdata()).astype(int), np.linalg.inv(image.affine)
    atlas = load_atlas("whitematter")
    for row in atlas.table.itertuples():
        voxels = np.argwhere(atlas.labels_img == row.index)
        mm = voxels @ atlas.affine[:3, :3].T + atlas.affine[:3, 3]
        place = np.rint(mm @ to_voxels[:3, :3].T + to_voxels[:3, 3]).astype(int)
        share = np.mean(jhu[tuple(place.T)] == number[row.tract])
        thin = row.name.startswith("cingulum")
        assert share >= (0.6 if thin else 0.9), f"{row.name}: {share:.2f}"


def test_left_and_right_are_where_the_names_say():
    table = load_atlas("whitematter").table
    assert (table.loc[table["name"].str.endswith("_L"), "x"] < 0).all()
    assert (table.loc[table["name"].str.endswith("_R"), "x"] > 0).all()
    assert table["name"].str.endswith("_L").sum() == table["name"].str.endswith("_R").sum()


def test_a_users_label_image_gets_its_centres_in_mm():
    labels = np.zeros((6, 7, 8))
    labels[1, 2, 3], labels[4:6, 5, 6] = 7, 3
    affine = np.array([[-2.0, 0, 0, 10], [0, 3, 0, -5], [0, 0, 4, 1], [0, 0, 0, 1]])
    atlas = load_label_atlas(labels, affine, pd.DataFrame({"index": [7, 3], "name": ["a", "b"]}))
    assert atlas.table[["x", "y", "z"]].to_numpy().tolist() == [[8, 1, 13], [1, 10, 25]]
    assert list(atlas.networks) == [None, None]


def test_a_table_that_does_not_fit_is_refused_with_all_its_faults():
    table = pd.DataFrame({"index": [1, 9], "name": ["a", "a"]})
    with pytest.raises(InputError) as refusal:
        load_label_atlas(np.ones((2, 2, 2)), np.eye(4), table, name="mine")
    assert "a more than once" in str(refusal.value)
    assert "no voxel with 9" in str(refusal.value)
    with pytest.raises(InputError, match="index, name, network"):
        load_label_atlas(np.ones((2, 2, 2)), np.eye(4), pd.DataFrame({"name": ["a"]}))


def test_an_unknown_atlas_is_refused():
    with pytest.raises(InputError, match=r"dosenbach160.*'aal'"):
        load_atlas("aal")
