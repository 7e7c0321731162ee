"""The cohort's figures under one name: slopes, forest plot, Bland-Altman plot, visits, flow."""

from __future__ import annotations

from msimaging.figures.effects import (
    caption_bland_altman,
    caption_forest,
    draw_bland_altman,
    draw_forest,
)
from msimaging.figures.slopes import caption_region_slopes, draw_region_slopes
from msimaging.figures.visits import (
    caption_completeness_grid,
    caption_flow,
    draw_completeness_grid,
    draw_flow,
)

__all__ = [
    "caption_bland_altman",
    "caption_completeness_grid",
    "caption_flow",
    "caption_forest",
    "caption_region_slopes",
    "draw_bland_altman",
    "draw_completeness_grid",
    "draw_flow",
    "draw_forest",
    "draw_region_slopes",
]
