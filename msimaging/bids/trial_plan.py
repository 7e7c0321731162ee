"""What the clinical side of a study asks for: tables, models, figures. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msimaging.bids.clinical import ClinicalTable, read_table_list
from msimaging.bids.layout import output

MODEL_PARTS = ("results", "tests", "contributions", "notes", "counts")
_SPECIAL = ("treatments", "adverse_events")


@dataclass(frozen=True)
class TrialPlan:
    """Outcomes, models and figures of a trial, as its jobs see them.

    Attributes
    ----------
    settings : mapping
        Complete settings.
    tables : tuple of ClinicalTable
        Clinical tables of the dataset.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[ClinicalTable, ...] = ()

    @classmethod
    def of_study(cls, study: Path, settings: Mapping[str, Any]) -> TrialPlan:
        """Read the study's list of clinical tables."""
        return cls(settings=settings, tables=read_table_list(study))

    def _section(self, name: str) -> Mapping[str, Any]:
        return dict(self.settings.get(name, {}))

    @property
    def wanted(self) -> bool:
        """Return whether there is anything to collect."""
        named = any(table.kind in _SPECIAL for table in self.tables)
        return bool(self._section("outcomes") or self._section("models") or named)

    def table_files(self) -> list[str]:
        """Return the clinical tables as paths from the study folder."""
        root = self.settings["bids_dir"]
        return [f"{root}/{table.path}" for table in self.tables] if self.wanted else []

    def clinical_settings(self) -> dict[str, Any]:
        """Return what reading the clinical tables depends on."""
        return {
            "bids_dir": self.settings["bids_dir"],
            "trial": dict(self.settings["trial"]),
            "outcomes": self._section("outcomes"),
            "statistics": {"confidence": self.settings["statistics"]["confidence"]},
        }

    @property
    def models(self) -> list[str]:
        """Return the models by name."""
        return list(self._section("models"))

    def model_settings(self, name: str) -> dict[str, Any]:
        """Return what one model depends on, so that the edit of another does not re-run it.

        Parameters
        ----------
        name : str
            Section of ``models``.

        Returns
        -------
        dict
            ``model trial outcomes confidence seed``.
        """
        return {
            "model": dict(self._section("models")[name]),
            "trial": dict(self.settings["trial"]),
            "outcomes": self._section("outcomes"),
            "confidence": self.settings["statistics"]["confidence"],
            "seed": self.settings["seed"],
        }

    def needs_motion(self, name: str) -> bool:
        """Return whether head motion is a covariate of a model."""
        return "motion" in self._section("models")[name].get("covariates", ())

    def needs_edges(self, name: str) -> bool:
        """Return whether a model works on every edge of the connectivity matrices."""
        return self._section("models")[name]["kind"] in {"nbs", "tfnbs"}

    def edge_atlases(self, name: str) -> list[str]:
        """Return the atlas whose edges a model works on, nothing where it works on none."""
        if not self.needs_edges(name):
            return []
        own = self._section("models")[name].get("atlas")
        return [own] if own else list(self.settings["atlases"]["functional"])[:1]

    def needs_images(self, name: str) -> bool:
        """Return whether a model asks for a measure that no outcome declares."""
        model = self._section("models")[name]
        names = {model["outcome"], model.get("with", "")} - {""}
        return not names <= set(self._section("outcomes"))

    def model_parts(self, part: str) -> list[str]:
        """Return one table of every model."""
        return [output("model_part", model=name, part=part) for name in self.models]

    @property
    def planned_model(self) -> str:
        """Return the paired model that the next trial is planned on; empty without one."""
        named = self._section("next_trial").get("model")
        return str(named) if named else self._first_paired()

    @property
    def primary_model(self) -> str:
        """Return the first primary paired model, else the first paired one."""
        return self._first_paired()

    def _first_paired(self) -> str:
        models = self._section("models")
        paired = [name for name, model in models.items() if model["kind"] == "paired"]
        primary = [name for name in paired if models[name].get("family") == "primary"]
        return next(iter([*primary, *paired]), "")

    @property
    def figures(self) -> list[str]:
        """Return the figures of the trial by name."""
        types = [outcome["type"] for outcome in self._section("outcomes").values()]
        found = ["courses"] if types else []
        found += ["swimmers"] if "edss" in types else []
        found += ["power", "specifications"] if self.planned_model else []
        return found

    @property
    def responder_models(self) -> list[str]:
        """Return the models that count responders."""
        models = self._section("models").items()
        return [name for name, model in models if model["kind"] == "responders"]

    def figure_files(self) -> list[str]:
        """Return every figure of the trial, in every format of the settings."""
        formats = self.settings["figures"]["formats"]
        return [
            *(output("trial_figure", figure=f, ext=ext) for f in self.figures for ext in formats),
            *(
                output("responders_figure", model=name, ext=ext)
                for name in self.responder_models
                for ext in formats
            ),
        ]

    def reported(self) -> list[str]:
        """Return the tables that the report shows beside the results."""
        keys = ["model_notes", "model_tests"] if self.models else []
        return [*keys, *(["next_trial"] if self.planned_model else [])]

    def results(self) -> list[str]:
        """Return the tables that the ledger waits for besides the imaging."""
        keys = ["outcomes"] if self.wanted else []
        keys += ["model_notes"] if self.models else []
        keys += ["next_trial", "specification_curve"] if self.planned_model else []
        return [output(key) for key in keys]
