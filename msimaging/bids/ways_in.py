"""How the visits of each patient enter: raw, or preprocessed by another pipeline, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msimaging.bids.derivatives import in_template_space
from msimaging.bids.plan import Plan
from msimaging.bids.visits import MODALITIES, Modality

WayIn = Literal["raw", "preprocessed", "in template space", "in own space"]
#: What is done in place of a step for patients whose visits enter in a certain way.
INSTEAD: Mapping[str, tuple[WayIn, str]] = {
    "preprocess_dwi": ("preprocessed", "import_dwi"),
    "preprocess_bold": ("preprocessed", "import_bold"),
    "build_bold_space": ("in template space", "adopt_bold_space"),
}


@dataclass(frozen=True, slots=True)
class WaysIn:
    """Patients by how their visits enter; all visits of a patient alike.

    Attributes
    ----------
    patients : mapping
        From modality and way to patients.
    """

    patients: Mapping[tuple[Modality, WayIn], frozenset[str]]

    @classmethod
    def of(cls, plan: Plan) -> WaysIn:
        """Sort the patients of a study.

        Parameters
        ----------
        plan : Plan
            The study.

        Returns
        -------
        WaysIn
            Each patient with scans of a modality is in ``raw`` or ``preprocessed``, and in
            ``in template space`` or ``in own space``.
        """
        patients: dict[tuple[Modality, WayIn], frozenset[str]] = {}
        for modality in MODALITIES:
            # the plan has seen to it that any scan of a patient speaks for the others
            any_of = {
                visit.participant_id: plan.scans[str(visit.scan(modality))]
                for visit in plan.looked_at_with(modality)
            }
            prepared = frozenset(sub for sub, scan in any_of.items() if scan.pipeline)
            template = frozenset(sub for sub, scan in any_of.items() if in_template_space(scan))
            patients[modality, "preprocessed"] = prepared
            patients[modality, "raw"] = frozenset(any_of) - prepared
            patients[modality, "in template space"] = template
            patients[modality, "in own space"] = frozenset(any_of) - template
        return cls(patients)

    def does(self, modality: Modality, rule: str, sub: str) -> bool:
        """Tell whether a rule has jobs for a patient, among rules that stand for each other.

        Parameters
        ----------
        modality : {"dwi", "bold"}
            Of the rule.
        rule : str
            Its name.
        sub : str
            The patient.

        Returns
        -------
        bool
            True for rules that all patients have.
        """
        if rule in INSTEAD:
            return sub not in self.patients[modality, INSTEAD[rule][0]]
        ways = [way for way, instead in INSTEAD.values() if instead == rule]
        return all(sub in self.patients[modality, way] for way in ways)

    def pattern(self, modality: Modality, way: WayIn, otherwise: WayIn) -> str:
        """Return the regular expression of the patients who enter in one of two ways.

        Parameters
        ----------
        modality : {"dwi", "bold"}
            Of the visits.
        way, otherwise : str
            Two ways of which every patient goes one.

        Returns
        -------
        str
            For a rule's wildcard ``sub``; short where all go this way, and matching nothing where
            none does.
        """
        if not self.patients[modality, otherwise]:
            return "sub-[A-Za-z0-9]+"
        return "|".join(sorted(self.patients[modality, way])) or "(?!)"
