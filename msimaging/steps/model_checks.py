"""Models as they are declared, held against the outcomes, patients and visits that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msimaging.bids.visits import MODALITIES, Visits
from msimaging.errors import Finding
from msimaging.statistics.trial_models import KINDS
from msimaging.steps.outcome_tables import ClinicalData

#: Measures of the imaging tables.
IMAGING_MEASURES = ("fa", "md", "ad", "rd", "fisherz")
_WHERE = "config.yaml"


def check_models(
    settings: Mapping[str, Any], clinical: ClinicalData, visits: Visits
) -> list[Finding]:
    """Check every section of ``models``, ``trial`` and ``next_trial``.

    Parameters
    ----------
    settings : mapping
        Complete settings.
    clinical : ClinicalData
        What the clinical tables hold.
    visits : Visits
        Of ``visits.tsv``.

    Returns
    -------
    list of Finding
        All faults together.
    """
    checker = _Checker(settings, clinical, visits)
    findings = list(checker.trial())
    for name, model in settings["models"].items():
        findings += checker.model(name, model)
    findings += checker.next_trial()
    return findings


class _Checker:
    def __init__(self, settings: Mapping[str, Any], clinical: ClinicalData, visits: Visits) -> None:
        self._settings = settings
        self._trial = settings["trial"]
        self._declared = settings["outcomes"]
        people = clinical.people.values()
        self._columns = sorted({column for row in people for column in row})
        self._people = list(people)
        sessions = {session for _, session in clinical.months}
        self._sessions = sorted(sessions | {visit.session_id for visit in visits.rows})
        self._scanned = any(v.scan(m) for v in visits.rows for m in MODALITIES)
        self._counted = bool(clinical.treatments) or bool(self._trial["n_treatments"])

    def trial(self) -> Iterator[Finding]:
        """Check that the columns of ``trial`` are there."""
        for key in ("arm", "concomitant", "n_treatments"):
            column = self._trial[key]
            if column and column not in self._columns:
                yield _fault(f"trial.{key} is a column of participants.tsv", column, self._columns)
        arm, control = self._trial["arm"], self._trial["control"]
        if control and not arm:
            yield _fault("trial.control needs trial.arm", control, self._columns)
        if control and arm in self._columns:
            arms = sorted({row.get(arm, "") for row in self._people} - {""})
            if control not in arms:
                yield _fault("trial.control is one of the arms", control, arms)

    def model(self, name: str, model: Mapping[str, Any]) -> Iterator[Finding]:
        """Check one section."""
        known = KINDS[model["kind"]][1]
        for key in sorted(set(model) - known):
            yield _fault(f"models.{name}: {model['kind']} models know this key", key, known)
        yield from self._measure(f"models.{name}.outcome", model["outcome"], model)
        for key in ("baseline", "follow_up"):
            session = model.get(key)
            if session and session not in {"last", "all", *self._sessions}:
                yield _fault(f"models.{name}.{key} is a session", session, self._sessions)
        yield from self._patients(name, model)
        yield from self._kind(name, model)

    def _measure(self, where: str, measure: str, model: Mapping[str, Any]) -> Iterator[Finding]:
        if measure in self._declared or model.get("components"):
            return
        imaging = IMAGING_MEASURES if self._scanned else ()
        if measure not in imaging:
            yield _fault(
                f"{where} is a declared outcome or a measure of measures.tsv",
                measure,
                [*self._declared, *imaging],
            )
            return
        modality = "functional" if measure == "fisherz" else "diffusion"
        atlases = self._settings["atlases"][modality]
        if len(atlases) > 1 and not model.get("atlas"):
            yield _fault(f"{where}: one of several atlases must be named (atlas)", "none", atlases)
        elif model.get("atlas") and model["atlas"] not in atlases and where.endswith("outcome"):
            yield _fault(
                f"{where}: its atlas is one of atlases.{modality}", model["atlas"], atlases
            )

    def _patients(self, name: str, model: Mapping[str, Any]) -> Iterator[Finding]:
        """Check what a model asks of the patients: groups and covariates."""
        for key, columns in (
            ("group", [model.get("group")]),
            ("covariates", model.get("covariates", ())),
        ):
            for column in filter(None, columns):
                fault = self._column_fault(str(column))
                if fault:
                    yield _fault(f"models.{name}.{key}: {fault}", column, self._columns)

        if "motion" in model.get("covariates", ()):
            yield from self._motion(name, model)

    def _motion(self, name: str, model: Mapping[str, Any]) -> Iterator[Finding]:
        """Warn of a covariate that nothing measures: motion within raw diffusion series."""
        measures = [model["outcome"], model.get("with", "")]
        imaging = [each for each in measures if each in IMAGING_MEASURES]
        known = self._settings["diffusion"]["motion"] or self._settings["derivatives"]
        if imaging[:1] in ([], ["fisherz"]) or known or not self._scanned:
            return
        yield Finding(
            severity="warning",
            where=_WHERE,
            rule=f"models.{name}: motion is a covariate where it is measured",
            found="diffusion.motion is off, so that raw diffusion series have none",
            remedy="Switch on diffusion.motion, or leave the covariate out: the model is not "
            "tested otherwise.",
        )

    def _column_fault(self, column: str) -> str:
        if column == "arm":
            return "" if self._trial["arm"] else "trial.arm must name the column of arms"
        if column == "n_treatments":
            return (
                "" if self._counted else "trial.n_treatments or phenotype/treatments.tsv is needed"
            )
        if column == "motion":
            return "" if self._scanned else "motion is known of scans only"
        return "" if column in self._columns else "is a column of participants.tsv"

    def _kind(self, name: str, model: Mapping[str, Any]) -> Iterator[Finding]:
        """Check what one kind of model needs beyond the others."""
        kind, declared = model["kind"], self._declared.get(model["outcome"], {})
        if kind == "association":
            with_ = model.get("with", "")
            if not with_:
                yield _fault(f"models.{name}.with is needed by an association", "nothing", ())
            elif self._column_fault(with_) and with_ not in self._declared:
                yield from self._measure(f"models.{name}.with", with_, model)
        if kind == "ancova" and not model.get("group") and not self._trial["arm"]:
            yield _fault(
                f"models.{name}: an ANCOVA compares the arms of trial.arm, or a group",
                "neither",
                (),
            )
        if kind == "time-to-event" and declared.get("type") != "edss":
            yield _fault(f"models.{name}: confirmed events are those of EDSS", model["outcome"], ())
        if kind in {"nbs", "tfnbs"} and model["outcome"] != "fisherz":
            yield _fault(f"models.{name}: {kind} works on edges", model["outcome"], ["fisherz"])
        if kind == "responders" and not model.get("components"):
            yield from self._responders(name, model)
        for component in model.get("components", ()):
            if component not in self._declared:
                yield _fault(
                    f"models.{name}.components are declared outcomes", component, self._declared
                )

    def _responders(self, name: str, model: Mapping[str, Any]) -> Iterator[Finding]:
        declared = self._declared.get(model["outcome"])
        if declared is None:
            rule = f"models.{name}: responders are counted of a declared outcome"
            yield _fault(rule, model["outcome"], self._declared)
        elif declared["type"] != "edss" and model.get("rule"):
            yield _fault(f"models.{name}.rule is for EDSS", model["rule"], ())

    def next_trial(self) -> Iterator[Finding]:
        """Check the model that the next trial is planned on."""
        name = self._settings["next_trial"]["model"]
        models = self._settings["models"]
        paired = [key for key, model in models.items() if model["kind"] == "paired"]
        if name and name not in paired:
            yield _fault("next_trial.model is a paired model", name, paired)


def _fault(rule: str, found: object, known: Iterable[str]) -> Finding:
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(found), names, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    offered = f"Known here: {', '.join(names)}." if names else "Correct the settings."
    return Finding(where=_WHERE, rule=rule, found=repr(found), remedy=f"{meant}{offered}")
