"""An asymmetric head-like phantom that can be sampled on any grid, from any pose."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def intensity(points):
    """Smooth asymmetric function of RAS coordinates (..., 3) in mm."""
    rng = np.random.default_rng(3)
    out = np.zeros(points.shape[:-1])
    for _ in range(14):
        centre, width, height = (
            rng.uniform(-22, 22, 3),
            rng.uniform(5, 11, 3),
            rng.uniform(0.4, 1.2),
        )
        out += height * np.exp(-(((points - centre) / width) ** 2).sum(-1) / 2)
    return out


def grid_points(shape, affine):
    return np.stack(np.indices(shape), -1) @ affine[:3, :3].T + affine[:3, 3]


def pose(axis, degrees, shift):
    matrix = np.eye(4)
    direction = np.array(axis) / np.linalg.norm(axis)
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * direction).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def sampled(shape, affine, world_to_head, *, noise=0.02, seed=0):
    """The head as scanned: ``world_to_head`` carries scanner points into the head's own frame."""
    points = grid_points(shape, affine) @ world_to_head[:3, :3].T + world_to_head[:3, 3]
    return intensity(points) + np.random.default_rng(seed).normal(0, noise, shape)


def centred(shape, sizes):
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def distance(matrix, truth, points):
    difference = np.asarray(matrix) - truth
    return np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=-1)


@pytest.fixture(scope="session")
def head():
    return SimpleNamespace(
        intensity=intensity,
        grid_points=grid_points,
        pose=pose,
        sampled=sampled,
        centred=centred,
        distance=distance,
    )
