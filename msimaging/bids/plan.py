"""What a study's tables and settings ask for: which visits, pairs and files.

The Snakefile holds rules only; every question that a rule asks of the study is answered here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from msimaging.bids.layout import output
from msimaging.bids.visits import (
    MODALITIES,
    UNDECIDED,
    Modality,
    Scan,
    Visit,
    VisitPair,
    Visits,
    read_scans,
    read_visits,
    without_exclusions,
)
from msimaging.errors import ConfigError, Finding

#: BIDS label of the matrix of each kind of connectivity.
STAT_OF_KIND: Mapping[str, str] = {
    "correlation": "pearsoncorrelation",
    "partial correlation": "partialcorrelation",
    "covariance": "covariance",
    "precision": "precision",
    "tangent": "tangent",
}
#: A tangent-space reference needs at least this many visits.
SMALLEST_GROUP = 2
TENSOR_MEASURES = ("fa", "md", "ad", "rd")
TENSOR_PARAMS = (*TENSOR_MEASURES, "s0", "residual")
#: What lies beside the pictures of a figure: its data and its caption, in this order.
FIGURE_BESIDE = ("tsv", "rst")


@dataclass(frozen=True)
class Plan:
    """A study as its jobs see it.

    Attributes
    ----------
    settings : mapping
        Complete settings.
    visits : Visits
        All visits with the refused scans taken out.
    scans : mapping
        Files of each scan.
    """

    settings: Mapping[str, Any]
    visits: Visits
    scans: Mapping[str, Scan]

    @classmethod
    def of_study(cls, study: Path, settings: Mapping[str, Any]) -> Plan:
        """Read the tables of a study.

        Parameters
        ----------
        study : Path
            Folder with ``visits.tsv`` and ``scans.tsv``.
        settings : mapping
            Complete settings.

        Returns
        -------
        Plan
            The study.

        Raises
        ------
        ConfigError
            When a table is unusable or names a scan that was not indexed.
        """
        visits = without_exclusions(read_visits(study / "visits.tsv"), study / "exclusions.tsv")
        plan = cls(settings=settings, visits=visits, scans=read_scans(study / "scans.tsv"))
        unknown = [
            Finding(
                where=f"{study / 'visits.tsv'} line {visit.row}",
                rule="every scan of visits.tsv must be one that index found",
                found=str(visit.scan(modality)),
                remedy="Correct the path, or run msimaging index again after adding the scan.",
            )
            for modality in ("dwi", "bold")
            for visit in visits.having(modality).rows
            if visit.scan(modality) not in plan.scans
        ]
        if unknown:
            raise ConfigError(unknown)
        return plan

    @cached_property
    def _by_modality(self) -> dict[Modality, dict[str, tuple[Visit, ...]]]:
        return {
            "dwi": self.visits.having("dwi").by_patient(),
            "bold": self.visits.having("bold").by_patient(),
        }

    @cached_property
    def _pairs(self) -> dict[Modality, tuple[VisitPair, ...]]:
        rule = self.settings["pairs"]
        return {
            "dwi": self.visits.having("dwi").pairs(rule),
            "bold": self.visits.having("bold").pairs(rule),
        }

    @cached_property
    def _pair_by_name(self) -> dict[tuple[Modality, str, str], VisitPair]:
        return {
            (modality, pair.participant_id, pair.name): pair
            for modality, pairs in self._pairs.items()
            for pair in pairs
        }

    @cached_property
    def _scan_of(self) -> dict[tuple[Modality, str, str], Scan]:
        return {
            (modality, visit.participant_id, visit.session_id): self.scans[
                str(visit.scan(modality))
            ]
            for modality, grouped in self._by_modality.items()
            for visits in grouped.values()
            for visit in visits
        }

    def pairs(self, modality: Modality) -> tuple[VisitPair, ...]:
        """Return all pairs of visits of a modality."""
        return self._pairs[modality]

    def pair(self, modality: Modality, sub: str, name: str) -> VisitPair:
        """Return one pair of visits by its name."""
        return self._pair_by_name[modality, sub, name]

    def sessions(self, modality: Modality, sub: str) -> list[str]:
        """Return the sessions in which a patient has a modality, in the order of time."""
        return [visit.session_id for visit in self._by_modality[modality].get(sub, ())]

    def visits_with(self, modality: Modality) -> list[Visit]:
        """Return every visit that has a modality."""
        return [visit for group in self._by_modality[modality].values() for visit in group]

    def raw(self, modality: Modality, sub: str, ses: str) -> dict[str, Any]:
        """Return the raw files of one scan as paths from the study folder.

        Parameters
        ----------
        modality : {"dwi", "bold"}
            Which scan.
        sub, ses : str
            Patient and session with their prefixes.

        Returns
        -------
        dict
            ``image``, ``sidecars`` (root first) and for diffusion ``bval`` and ``bvec``.
        """
        scan = self._scan_of[modality, sub, ses]
        root = self.settings["bids_dir"]
        files: dict[str, Any] = {"image": f"{root}/{scan.path}"}
        files["sidecars"] = [f"{root}/{name}" for name in scan.sidecars]
        if modality == "dwi":
            files |= {"bval": f"{root}/{scan.bval}", "bvec": f"{root}/{scan.bvec}"}
        return files

    def lesion_masks(self, modality: Modality, sub: str) -> list[str]:
        """Return the lesion masks of a patient's visits as paths from the study folder.

        Parameters
        ----------
        modality : {"dwi", "bold"}
            Whose visits.
        sub : str
            Patient.

        Returns
        -------
        list of str
            One a session, in the order of time; empty unless every session has its own mask,
            because healthy tissue lies outside the lesions of all visits.
        """
        named = [self._scan_of[modality, sub, s].lesions for s in self.sessions(modality, sub)]
        root = PurePosixPath(self.settings["bids_dir"])
        usable = [str(root / path) for path in named if path and UNDECIDED not in path]
        return usable if len(usable) == len(named) else []

    def scans_behind(
        self, modality: Modality | None = None, *, sub: str = "", ses: str = "", pair: str = ""
    ) -> tuple[Scan, ...]:
        """Return the scans that a job works on: of a visit, a pair, a patient, or of all.

        Parameters
        ----------
        modality : {"dwi", "bold"}, optional
            Both without it.
        sub, ses, pair : str
            As the job's wildcards; empty where it has none.

        Returns
        -------
        tuple of Scan
            In the order of the visits.
        """
        return tuple(
            scan
            for each in ((modality,) if modality else MODALITIES)
            for scan in self._scans_behind_one(each, sub, ses, pair)
        )

    def _scans_behind_one(
        self, modality: Modality, sub: str, ses: str, pair: str
    ) -> Iterator[Scan]:
        if ses:
            sessions: Sequence[str] = (ses,)
        elif pair:
            found = self.pair(modality, sub, pair)
            sessions = (found.baseline.session_id, found.follow_up.session_id)
        elif sub:
            sessions = self.sessions(modality, sub)
        else:
            yield from (s for (kind, *_), s in self._scan_of.items() if kind == modality)
            return
        yield from (self._scan_of[modality, sub, name] for name in sessions)

    def of_visits(self, modality: Modality, key: str, sub: str, **wildcards: str) -> list[str]:
        """Return one output for every session of a patient, in the order of time."""
        sessions = self.sessions(modality, sub)
        return [output(key, sub=sub, ses=ses, **wildcards) for ses in sessions]

    def of_all_visits(
        self, modality: Modality, key: str, *, atlas: Sequence[str] = ("",), **wildcards: str
    ) -> list[str]:
        """Return one output for every atlas and every visit of the study."""
        return [
            output(key, sub=v.participant_id, ses=v.session_id, atlas=name, **wildcards)
            for name in atlas
            for v in self.visits_with(modality)
        ]

    def of_all_pairs(
        self, modality: Modality, key: str, *, atlas: Sequence[str] = ("",), **wildcards: str
    ) -> list[str]:
        """Return one output for every atlas and every pair of visits of the study."""
        return [
            output(key, sub=pair.participant_id, pair=pair.name, atlas=name, **wildcards)
            for name in atlas
            for pair in self.pairs(modality)
        ]

    def kinds(self, *, tangent: bool) -> dict[str, str]:
        """Return kind and estimator of the matrices made visit by visit, or of the group's."""
        kinds = self.settings["functional"]["kinds"]
        return {
            kind: estimator for kind, estimator in kinds.items() if (kind == "tangent") == tangent
        }

    def stats(self, *, tangent: bool) -> list[str]:
        """Return the BIDS labels of those matrices."""
        return [STAT_OF_KIND[kind] for kind in self.kinds(tangent=tangent)]

    def group_matrices(self) -> list[str]:
        """Return the matrices that need all visits at once; none with fewer than two visits."""
        if not self.kinds(tangent=True) or len(self.visits_with("bold")) < SMALLEST_GROUP:
            return []
        return self.of_all_visits(
            "bold",
            "connectivity",
            task=self.settings["functional"]["task"],
            atlas=self.functional_atlases,
            stat=STAT_OF_KIND["tangent"],
        )

    def targets(self) -> list[str]:
        """Return what a run ends with; the ledger waits for everything else."""
        return [output("ledger"), output("report")]

    def formats(self, key: str, **wildcards: str) -> list[str]:
        """Return one figure in every format of the settings."""
        return [output(key, ext=ext, **wildcards) for ext in self.settings["figures"]["formats"]]

    def figure_files(self, key: str, **wildcards: str) -> list[str]:
        """Return one figure in every format, then its data and its caption."""
        beside = [output(key, ext=ext, **wildcards) for ext in FIGURE_BESIDE]
        return [*self.formats(key, **wildcards), *beside]

    def figures(self) -> list[str]:
        """Return every figure of the study, in every format of the settings."""
        found: list[str] = []
        for ext in self.settings["figures"]["formats"]:
            for key in ("patient_maps_figure", "patient_change_figure"):
                found += self.of_all_pairs("dwi", key, ext=ext)
            found += self.of_all_pairs(
                "bold", "patient_connectivity_figure", atlas=self.functional_atlases, ext=ext
            )
        for atlas in self.diffusion_atlases if self.pairs("dwi") else ():
            for param in self.settings["figures"]["measures"]:
                found += self.formats("region_slopes_figure", atlas=atlas, param=param)
                found += self.formats("forest_figure", atlas=atlas, param=param)
        for atlas in self.functional_atlases if self.pairs("bold") else ():
            found += self.formats("cohort_connectivity_figure", atlas=atlas)
        return found

    def viewer_maps(self) -> list[str]:
        """Return FA at the earlier visit and change of RD of every pair, for the viewer."""
        return [
            *self.of_pairs_ends("dwi", "tensor_map_template", "baseline", param="fa"),
            *self.of_all_pairs("dwi", "tensor_map_change", param="rd"),
        ]

    def of_pairs_ends(
        self, modality: Modality, key: str, end: Literal["baseline", "follow_up"], **wildcards: str
    ) -> list[str]:
        """Return one output for the earlier or the later visit of every pair."""
        visits = [getattr(pair, end) for pair in self.pairs(modality)]
        return [output(key, sub=v.participant_id, ses=v.session_id, **wildcards) for v in visits]

    def results(self) -> list[str]:
        """Return what the ledger waits for: one file of every job, which stands for its others.

        A file more for each visit would cost seconds of planning in a study of a thousand visits.
        """
        return [
            *self.of_all_visits("dwi", "tensor_map_template", param=TENSOR_MEASURES[0]),
            *self.group_matrices()[:1],
            *self.figures(),
            *(output(name) for name in ("measures", "results", "dataset_description")),
        ]

    def visit_rows(self, modality: Modality, atlases: Sequence[str]) -> list[dict[str, Any]]:
        """Return one row for every atlas and visit, in the order of `of_all_visits`."""
        return [
            {
                "participant_id": visit.participant_id,
                "session_id": visit.session_id,
                "months": visit.months,
                "atlas": name,
            }
            for name in atlases
            for visit in self.visits_with(modality)
        ]

    def pair_rows(self, modality: Modality, atlases: Sequence[str]) -> list[dict[str, Any]]:
        """Return one row for every atlas and pair, in the order of `of_all_pairs`."""
        return [
            {
                "participant_id": pair.participant_id,
                "baseline": pair.baseline.session_id,
                "follow_up": pair.follow_up.session_id,
                "months": pair.months,
                "atlas": name,
            }
            for name in atlases
            for pair in self.pairs(modality)
        ]

    @property
    def diffusion_atlases(self) -> list[str]:
        """Return the atlases of the tensor measures."""
        return list(self.settings["atlases"]["diffusion"])

    @property
    def functional_atlases(self) -> list[str]:
        """Return the atlases of the time series."""
        return list(self.settings["atlases"]["functional"])


def shown_in_reports(figure: Sequence[str]) -> str:
    """Return which file of a figure a browser shows best.

    Parameters
    ----------
    figure : sequence of str
        Files of one figure in several formats.

    Returns
    -------
    str
        The PNG, else the SVG, else the PDF.
    """
    order = (".png", ".svg", ".pdf")
    pictures = [path for path in figure if path.endswith(order)]
    return min(pictures, key=lambda path: order.index(path[-4:]))
