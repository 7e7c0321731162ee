from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.spatial.templates import t2_like_template


def test_fluid_is_brighter_than_grey_than_white_and_nothing_is_outside():
    grey, white = np.zeros((5, 1, 1)), np.zeros((5, 1, 1))
    grey[1], white[2] = 1, 1
    grey[3], white[3] = 0.5, 0.25
    brain = np.ones((5, 1, 1), dtype=bool)
    brain[4] = False
    fluid, only_grey, only_white, mixed, outside = t2_like_template(
        grey, white, brain=brain
    ).ravel()
    assert fluid > only_grey > only_white > outside == 0
    assert mixed == pytest.approx(0.5 * only_grey + 0.25 * only_white + 0.25 * fluid)


def test_maps_in_per_cent_are_refused():
    with pytest.raises(InputError, match="probabilities"):
        t2_like_template(np.full((2, 2, 2), 80), np.zeros((2, 2, 2)), brain=np.ones((2, 2, 2)))
