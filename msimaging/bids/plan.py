"""What a study's tables and settings ask for: which visits, pairs and files.

The Snakefile holds rules only; every question that a rule asks of the study is answered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from msimaging.bids.layout import FIGURE_BESIDE, output, shown_in_reports
from msimaging.bids.shells import FURTHER_MODELS
from msimaging.bids.spaces import Spaces
from msimaging.bids.visits import MODALITIES, Modality, VisitPair

#: BIDS label of the matrix of each kind of connectivity.
STAT_OF_KIND: Mapping[str, str] = {
    "correlation": "pearsoncorrelation",
    "partial correlation": "partialcorrelation",
    "covariance": "covariance",
    "precision": "precision",
    "tangent": "tangent",
}
#: Pictures by which raters judge a scan.
SCAN_PICTURES: Mapping[Modality, tuple[str, ...]] = {
    "dwi": ("gradients", "motion", "residual", "mask"),
    "bold": ("carpet", "motion", "registration", "edges", "coverage"),
}
COMPARISON_VIEWS = ("baseline", "followup", "difference")
#: A tangent-space reference needs at least this many visits.
SMALLEST_GROUP = 2
#: Radius of a seed that names none (mm).
SEED_RADIUS = 6.0
TENSOR_MEASURES = ("fa", "md", "ad", "rd")
TENSOR_PARAMS = (*TENSOR_MEASURES, "s0", "residual")


def strategy_label(strategy: str) -> str:
    """Return the label of a denoising strategy in file names: letters and digits only."""
    return strategy.replace("+", "")


@dataclass(frozen=True)
class Plan(Spaces):
    """A study as its jobs see it: the files they make from what is selected."""

    @cached_property
    def _pairs_by_patient(self) -> dict[tuple[Modality, str], list[VisitPair]]:
        found: dict[tuple[Modality, str], list[VisitPair]] = {}
        for modality, pairs in self._pairs.items():
            for pair in pairs:
                found.setdefault((modality, pair.participant_id), []).append(pair)
        return found

    def pairs_of(self, modality: Modality, sub: str) -> Sequence[VisitPair]:
        """Return the pairs of visits of one patient."""
        return self._pairs_by_patient.get((modality, sub), ())

    def of_repeats(
        self, modality: Modality, key: str, *, atlas: Sequence[str], **wildcards: str
    ) -> list[str]:
        """Return one output for every atlas and every visit in a series of rescans."""
        return [
            output(key, sub=v.participant_id, ses=v.session_id, atlas=name, **wildcards)
            for name in atlas
            for series in self.repeats(modality)
            for v in series
        ]

    def repeatability(self) -> list[str]:
        """Return the table of rescan noise, nothing where nobody was scanned again."""
        known = any(self.repeats(modality) for modality in MODALITIES)
        return [output("repeatability")] if known else []

    def of_visits(self, modality: Modality, key: str, sub: str, **wildcards: str) -> list[str]:
        """Return one output for every session of a patient, in the order of time."""
        sessions = self.sessions(modality, sub)
        return [output(key, sub=sub, ses=ses, **wildcards) for ses in sessions]

    def measured(self) -> list[str]:
        """Return what stands for the measured diffusion of each patient."""
        return [output("dwi_measured", sub=sub) for sub in self.patients_with("dwi")]

    def measured_repeats(self) -> list[str]:
        """Return what stands for the measured diffusion of each patient who was scanned again."""
        patients = dict.fromkeys(series[0].participant_id for series in self.repeats("dwi"))
        return [output("dwi_measured", sub=sub) for sub in patients]

    def connected(self) -> list[str]:
        """Return what stands for the connectivity of each patient."""
        return self._connected(self.patients_with("bold"))

    def connected_repeats(self) -> list[str]:
        """Return what stands for the connectivity of each patient who was scanned again."""
        return self._connected(series[0].participant_id for series in self.repeats("bold"))

    def _connected(self, patients: Iterable[str]) -> list[str]:
        task = self.settings["functional"]["task"]
        return [output("bold_connected", sub=sub, task=task) for sub in dict.fromkeys(patients)]

    def changed(self, modality: Modality, sub: str = "") -> list[str]:
        """Return what stands for the changes of one patient, or of each who has a pair."""
        task = self.settings["functional"]["task"]
        patients = [sub] if sub else self.patients_with(modality)
        return [
            output(f"{modality}_changed", sub=each, task=task)
            for each in patients
            if self.pairs_of(modality, each)
        ]

    def drawn(self, modality: Modality) -> list[str]:
        """Return what stands for the pictures of each patient's scans."""
        patients = self.patients_with(modality)
        return [output("patient_pictures", sub=sub, modality=modality) for sub in patients]

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

    def by_strategy(
        self, key: str, *, atlas: Sequence[str] = ("",), stat: Sequence[str] = ("",)
    ) -> list[str]:
        """Return an output of every strategy, atlas and kind of matrix, with its other wildcards.

        Files of the primary strategy do not name it; those of the others do, in ``desc-``.
        """
        task = self.settings["functional"]["task"]
        found = []
        for place, strategy in enumerate(self.strategies):
            named = f"{key}_by_strategy" if place else key
            label = strategy_label(strategy)
            found += [
                output(named, task=task, strategy=label, atlas=name, stat=kind)
                for name in atlas
                for kind in stat
            ]
        return found

    def network_means_of_all(self) -> list[str]:
        """Return the network means of every strategy, atlas and visit, in this order."""
        patterns = self.by_strategy("network_means", atlas=self.functional_atlases)
        return [
            pattern.replace("{sub}", v.participant_id).replace("{ses}", v.session_id)
            for pattern in patterns
            for v in self.visits_with("bold")
        ]

    def bold_pairs(self) -> list[dict[str, Any]]:
        """Return what is known of every pair of visits with BOLD, the atlas left out."""
        rows = self.pair_rows("bold", [""])
        return [{key: row[key] for key in row if key != "atlas"} for row in rows]

    def other_fits(self) -> list[str]:
        """Return the tensor fits besides the one of all results, where one is to be varied."""
        name = self.trial.primary_model
        outcome = self.settings["models"][name]["outcome"] if name else ""
        if outcome not in TENSOR_MEASURES or not self.pairs("dwi"):
            return []
        own = self.settings["diffusion"]["fit"]
        return [fit for fit in self.settings["statistics"]["tensor_fits"] if fit != own]

    def fits(self) -> list[str]:
        """Return the table of changes under other fits, nothing where there are none."""
        return [output("fits")] if self.other_fits() else []

    def voxel_maps(self) -> list[str]:
        """Return a map of single voxels of every BOLD run, nothing where none are asked for."""
        if not self.settings["functional"]["voxel_maps"]:
            return []
        task = self.settings["functional"]["task"]
        return self.of_all_visits("bold", "bold_reho", task=task)

    @property
    def seeds(self) -> list[dict[str, Any]]:
        """Return the seeds whose connectivity is mapped, complete."""
        seeds = self.settings["functional"]["seeds"]
        return [seed if "atlas" in seed else {"radius": SEED_RADIUS, **seed} for seed in seeds]

    def by_seed(self, key: str) -> list[str]:
        """Return one output of every seed, with its other wildcards."""
        task = self.settings["functional"]["task"]
        return [output(key, task=task, seed=seed["name"]) for seed in self.seeds]

    def seed_results(self) -> list[str]:
        """Return a map of every run and the change of every pair, nothing without seeds."""
        if not self.seeds or not self.functional_atlases:
            return []
        task, name = self.settings["functional"]["task"], self.seeds[0]["name"]
        maps = self.of_all_visits("bold", "seed_map", task=task, seed=name)
        return [*maps, *self.of_all_pairs("bold", "seed_change", task=task, seed=name)]

    def qcfc(self) -> list[str]:
        """Return the table of motion in connectivity, nothing without correlations."""
        known = self.visits_with("bold") and "correlation" in self.kinds(tangent=False)
        return [output("qcfc")] if known and self.functional_atlases else []

    @property
    def strategies(self) -> list[str]:
        """Return the denoising strategies, the primary one first."""
        return list(self.settings["functional"]["strategies"])

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
        return [*found, *self.cohort_figures()]

    def cohort_figures(self) -> list[str]:
        """Return every figure of more than one patient, in every format of the settings."""
        found: list[str] = []
        for atlas in self.diffusion_atlases if self.pairs("dwi") else ():
            for param in self.settings["figures"]["measures"]:
                found += self.formats("region_slopes_figure", atlas=atlas, param=param)
                found += self.formats("forest_figure", atlas=atlas, param=param)
                found += self.formats("agreement_figure", atlas=atlas, param=param)
        if self.pairs("dwi"):
            found += self.formats("detection_figure")
            for param in self.settings["figures"]["measures"]:
                found += self.formats("glass_change_figure", param=param)
        for atlas in self.functional_atlases if self.pairs("bold") else ():
            found += self.formats("cohort_connectivity_figure", atlas=atlas)
            found += self.formats("network_blocks_figure", atlas=atlas)
            found += self.formats("glass_connectome_figure", atlas=atlas)
        return found

    def of_first_pair(self, modality: Modality, key: str, **wildcards: str) -> list[str]:
        """Return one output of every patient for the visits of the study's first pair."""
        pairs = self.pairs(modality)
        return [
            output(key, sub=pair.participant_id, pair=pair.name, **wildcards)
            for pair in pairs
            if pair.name == pairs[0].name
        ]

    def lesion_changes(self) -> list[str]:
        """Return the table of lesions of every pair whose patient has masks."""
        return [
            output("lesion_change", sub=pair.participant_id, pair=pair.name)
            for pair in self.pairs("dwi")
            if self.lesion_masks("dwi", pair.participant_id)
        ]

    def scan_pictures(self, modality: Modality, **wildcards: str) -> dict[str, str]:
        """Return the pictures of one scan by their names."""
        return {
            name: output("scan_picture", modality=modality, picture=name, **wildcards)
            for name in SCAN_PICTURES[modality]
        }

    def comparison_pictures(self, **wildcards: str) -> list[str]:
        """Return each drawn measure of a pair: earlier visit, later visit, difference, alone."""
        return [
            output("comparison_picture", param=param, view=view, **wildcards)
            for param in self.settings["figures"]["measures"]
            for view in COMPARISON_VIEWS
        ]

    def drawn_figures(self) -> list[str]:
        """Return one file of every figure."""
        return shown_in_reports([*self.figures(), *self.trial.figure_files()])

    def drawn_for_cohort(self) -> list[str]:
        """Return one file of every figure of more than one patient."""
        return shown_in_reports([*self.cohort_figures(), *self.trial.figure_files()])

    def comparisons(self) -> list[dict[str, Any]]:
        """Return what every pair's page compares, with the three pictures of each measure."""
        found = []
        for pair in self.pairs("dwi"):
            files = iter(self.comparison_pictures(sub=pair.participant_id, pair=pair.name))
            found += [
                {
                    "participant_id": pair.participant_id,
                    "measure": param,
                    "visits": list(pair.sessions),
                    "pictures": [next(files) for _ in COMPARISON_VIEWS],
                }
                for param in self.settings["figures"]["measures"]
            ]
        return found

    def quality_tables(self) -> list[str]:
        """Return what stands for the quality numbers of every scan in the statistics."""
        return [*self.of_all_visits("dwi", "tensor"), *self.drawn("bold")]

    def scan_rows(self) -> list[dict[str, Any]]:
        """Return every scan that raters look at, with its rating and its table of quality."""
        task = self.settings["functional"]["task"]
        rows = []
        for modality in MODALITIES:
            for visit in self.looked_at_with(modality):
                sub, ses = visit.participant_id, visit.session_id
                rating = self.ratings.get((sub, ses, modality))
                rows.append(
                    {
                        "participant_id": sub,
                        "session_id": ses,
                        "modality": modality,
                        "rating": rating.verdict if rating else "",
                        "comment": rating.comment if rating else "",
                        "path": output(f"{modality}_quality", sub=sub, ses=ses, task=task),
                        "pictures": self.scan_pictures(modality, sub=sub, ses=ses),
                    }
                )
        return rows

    def model_maps(self, sub: str, ses: str) -> dict[str, str]:
        """Return the maps of the models that a visit has beside the tensor, by their measures."""
        return {
            measure: output(model.output, sub=sub, ses=ses, param=param)
            for setting, model in FURTHER_MODELS.items()
            if not self.why_without_model(setting, sub)
            for measure, param in model.measures.items()
        }

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
            *self.lesion_changes(),
            *self.group_matrices()[:1],
            *self.qcfc(),
            *self.voxel_maps(),
            *self.seed_results(),
            *self.drawn("dwi"),
            *self.drawn("bold"),
            *self.drawn_for_cohort(),
            *self.repeatability(),
            *(
                output(name)
                for name in ("measures", "results", "specifications", "dataset_description")
            ),
        ]

    @property
    def diffusion_atlases(self) -> list[str]:
        """Return the atlases of the tensor measures."""
        return list(self.settings["atlases"]["diffusion"])

    @property
    def functional_atlases(self) -> list[str]:
        """Return the atlases of the time series."""
        return list(self.settings["atlases"]["functional"])
