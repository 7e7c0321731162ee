"""Step: one visit's tensor measures in the regions of every atlas, and its maps in the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msimaging.steps.measure_diffusion import MeasureIn, measure_diffusion
from msimaging.steps.normalise_maps import normalise_maps


def map_visit(
    *,
    image: str,
    bval: str,
    bvec: str,
    mask: str,
    tensor: str,
    maps: Mapping[str, str],
    further: Mapping[str, str],
    midpoint: str,
    to_template: str,
    from_template: str,
    warps: Sequence[str],
    session: str,
    lesions: Sequence[str],
    tissue: Sequence[str],
    atlases: Sequence[str],
    own: Mapping[str, Mapping[str, str]],
    measure_in: MeasureIn,
    resolution: int,
    n_samples: int,
    seed: int,
    settings: str,
    out_tables: Sequence[str],
    out_maps: Sequence[str],
    out_tensor: str,
    out_direction: str,
) -> None:
    """Use both ways between a visit and the template in one job: there for maps, back for atlases.

    Parameters
    ----------
    image, bval, bvec, mask, further, lesions, tissue, atlases, own, measure_in, n_samples,
    seed, settings, out_tables
        As in `measure_diffusion`.
    tensor, from_template, resolution, out_maps, out_tensor, out_direction
        As in `normalise_maps`.
    maps : mapping
        From the measure to its map.
    midpoint, to_template : str
        Rigid poses of the visits, and the way from their midpoint to the template.
    warps : sequence of str
        Transforms from the midpoint to the visit and back; empty where the pose is all.
    session : str
        The visit.
    """
    measure_diffusion(
        image=image,
        bval=bval,
        bvec=bvec,
        mask=mask,
        maps=maps,
        further=further,
        midpoint=midpoint,
        to_template=to_template,
        from_template=from_template,
        warps=warps,
        session=session,
        lesions=lesions,
        tissue=tissue,
        atlases=atlases,
        own=own,
        measure_in=measure_in,
        resolution=resolution,
        n_samples=n_samples,
        seed=seed,
        settings=settings,
        out_tables=out_tables,
    )
    normalise_maps(
        maps=list(maps.values()),
        measures=list(maps),
        tensor=tensor,
        mask=mask,
        midpoint=midpoint,
        from_template=from_template,
        warps=warps,
        session=session,
        resolution=resolution,
        out_maps=out_maps,
        out_tensor=out_tensor,
        out_direction=out_direction,
    )
