from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.functional.masks import bold_brain_mask, tissue_masks

SHAPE = (20, 22, 18)


@pytest.fixture
def tissues():
    brain = np.zeros(SHAPE, dtype=bool)
    brain[2:18, 2:20, 2:16] = True
    white = np.zeros(SHAPE)
    white[4:12, 4:18, 4:14] = 1
    csf = np.zeros(SHAPE)
    csf[13:17, 5:17, 5:13] = 0.95
    return white, csf, brain


def test_brain_is_told_from_background():
    rng = np.random.default_rng(0)
    bold = rng.normal(20, 3, size=(24, 26, 20, 6)).clip(0)
    grid = np.moveaxis(np.indices((24, 26, 20)), 0, -1)
    inside = (((grid - [11, 13, 9]) / [8.5, 10.5, 7.5]) ** 2).sum(axis=-1) < 1
    bold[inside] += 500
    mask = bold_brain_mask(bold, affine=np.diag([3.0, 3, 3, 1]))
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.9
    assert not mask[:2].any()
    with pytest.raises(InputError, match=r"holds 0\.0 % of the image"):
        bold_brain_mask(np.zeros((8, 8, 8, 3)), affine=np.eye(4))


def test_masks_are_eroded_and_lesions_kept_out(tissues):
    white, csf, brain = tissues
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[7, 9, 8] = True
    masks = tissue_masks(white, csf, brain_mask=brain, lesion_mask=lesion)
    assert np.argwhere(masks.white_matter).min(axis=0).tolist() == [5, 5, 5]
    assert masks.white_matter.sum() == 6 * 12 * 8 - 7
    assert masks.csf.sum() == 2 * 10 * 6
    assert masks.n_lesion_voxels == 7
    assert masks.findings == ()
    no_margin = tissue_masks(white, csf, brain_mask=brain, lesion_mask=lesion, lesion_margin=0)
    assert no_margin.white_matter.sum() == 6 * 12 * 8 - 1


def test_thin_tissue_is_eroded_less_and_told(tissues):
    white, csf, brain = tissues
    csf[:] = 0
    csf[13:15, 5:17, 5:13] = 1
    masks = tissue_masks(white, csf, brain_mask=brain, n_erosions=2)
    assert masks.csf.sum() == 2 * 12 * 8
    assert "csf" in masks.findings[0].rule
    assert "192 voxels after 0 erosions" in masks.findings[0].found
    with pytest.raises(InputError, match="on the grid"):
        tissue_masks(white[1:], csf, brain_mask=brain)
