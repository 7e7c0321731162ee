"""Which visits, pairs and scans of a study its tables and settings select."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Self

from msimaging.bids.anatomical import unknown_anatomicals
from msimaging.bids.derivatives import in_template_space, mixed_stages
from msimaging.bids.fieldmaps import why_moving, why_uncorrected
from msimaging.bids.incomparable import read_incomparable
from msimaging.bids.ratings import Rating, ScanKey, flags_of, read_ratings, without_rated_out
from msimaging.bids.scans import Scan, read_scans
from msimaging.bids.shells import refused_models, why_without_model
from msimaging.bids.trial_plan import TrialPlan
from msimaging.bids.visits import (
    MODALITIES,
    Modality,
    Visit,
    VisitPair,
    Visits,
    is_decided,
    read_visits,
    without_exclusions,
)
from msimaging.errors import ConfigError, Finding

#: Visits that make a frozen space: the pair of a first comparison.
FOUNDING_VISITS = 2


@dataclass(frozen=True)
class Selection:
    """The scans that take part in a study.

    Attributes
    ----------
    settings : mapping
        Complete settings.
    visits : Visits
        All visits with the refused scans, and those rated ``exclude``, taken out.
    scans : mapping
        Files of each scan.
    ratings : mapping
        What people think of single scans.
    looked_at : Visits or None
        Visits with the scans that people rated ``exclude``: their quality stays on show.
    incomparable : mapping
        From patient, baseline, follow-up and modality of a pair to why it must not be compared.
    trial : TrialPlan
        Clinical tables, models and their figures.
    """

    settings: Mapping[str, Any]
    visits: Visits
    scans: Mapping[str, Scan]
    ratings: Mapping[ScanKey, Rating] = field(default_factory=dict)
    looked_at: Visits | None = None
    incomparable: Mapping[tuple[str, str, str, str], str] = field(default_factory=dict)
    trial: TrialPlan = field(default_factory=TrialPlan)

    @classmethod
    def of_study(cls, study: Path, settings: Mapping[str, Any]) -> Self:
        """Read the tables of a study.

        Parameters
        ----------
        study : Path
            Folder with ``visits.tsv`` and ``scans.tsv``.
        settings : mapping
            Complete settings.

        Returns
        -------
        Self
            The study.

        Raises
        ------
        ConfigError
            When a table is unusable, names a scan that was not indexed, lets the visits of a
            patient enter at different stages, or when the settings ask for a model in every scan
            and a scan has too few shells.
        """
        listed = read_visits(study / "visits.tsv")
        ratings = read_ratings(study / "ratings.tsv", listed, seed=settings["seed"])
        usable = without_exclusions(listed, study / "exclusions.tsv")
        plan = cls(
            settings=settings,
            visits=without_rated_out(usable, ratings),
            scans=read_scans(study / "scans.tsv"),
            ratings=ratings,
            looked_at=usable,
            incomparable=read_incomparable(study / "incomparable.tsv"),
            trial=TrialPlan.of_study(study, settings),
        )
        unknown = [
            Finding(
                where=f"{study / 'visits.tsv'} line {visit.row}",
                rule="every scan of visits.tsv must be one that index found",
                found=str(visit.scan(modality)),
                remedy="Correct the path, or run msimaging index again after adding the scan.",
            )
            for modality in ("dwi", "bold")
            for visit in usable.having(modality).rows
            if visit.scan(modality) not in plan.scans
        ]
        unknown += [
            finding
            for modality in MODALITIES
            for _, finding in mixed_stages(usable, plan.scans, modality)
        ]
        if settings["functional"]["anatomical"] != "none":
            unknown += unknown_anatomicals(usable, plan.scans, table=study / "visits.tsv")
        unknown += refused_models(usable, plan.scans, settings["diffusion"])
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
        return {
            modality: tuple(
                pair
                for pair in self.visits.having(modality).pairs(self.settings["pairs"])
                if (*pair.key, modality) not in self.incomparable
            )
            for modality in MODALITIES
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
            for modality in MODALITIES
            for visit in self.looked_at_with(modality)
        }

    def looked_at_with(self, modality: Modality) -> tuple[Visit, ...]:
        """Return every visit whose scan is shown on the quality page, those rated out too."""
        return (self.looked_at or self.visits).having(modality).rows

    def pairs(self, modality: Modality) -> tuple[VisitPair, ...]:
        """Return all pairs of visits of a modality."""
        return self._pairs[modality]

    def pair(self, modality: Modality, sub: str, name: str) -> VisitPair:
        """Return one pair of visits by its name."""
        return self._pair_by_name[modality, sub, name]

    def sessions(self, modality: Modality, sub: str) -> list[str]:
        """Return the sessions in which a patient has a modality, in the order of time."""
        return [visit.session_id for visit in self._by_modality[modality].get(sub, ())]

    def visits_of(self, modality: Modality, sub: str) -> tuple[Visit, ...]:
        """Return the visits at which a patient has a modality, in the order of time."""
        return self._by_modality[modality].get(sub, ())

    def patients_with(self, modality: Modality) -> list[str]:
        """Return every patient who has a modality."""
        return list(self._by_modality[modality])

    def visits_with(self, modality: Modality) -> list[Visit]:
        """Return every visit that has a modality."""
        return [visit for group in self._by_modality[modality].values() for visit in group]

    def repeats(self, modality: Modality) -> list[list[Visit]]:
        """Return the series of rescans in which a modality was scanned twice or more."""
        scanned = {(v.participant_id, v.session_id) for v in self.visits_with(modality)}
        series = [
            [v for v in one if (v.participant_id, v.session_id) in scanned]
            for one in self.visits.repeats()
        ]
        return [one for one in series if len(one) > 1]

    def raw(self, modality: Modality, sub: str, ses: str) -> dict[str, Any]:
        """Return the files with which one scan enters, as paths from the study folder.

        Parameters
        ----------
        modality : {"dwi", "bold"}
            Which scan.
        sub, ses : str
            Patient and session with their prefixes.

        Returns
        -------
        dict
            ``image``, ``sidecars`` (root first), for diffusion ``bval`` and ``bvec`` and, where
            distortion is corrected, ``opposite`` (its image and, for a series, its b-values); for
            a run ``matched`` (image of its own polarity and its sidecars); for a scan that a
            pipeline has preprocessed ``mask`` and ``confounds`` (at most one).
        """
        scan = self._scan_of[modality, sub, ses]
        files: dict[str, Any] = {"image": self.below(scan.path)}
        files["sidecars"] = [self.below(name) for name in scan.sidecars]
        if modality == "dwi":
            files |= {"bval": self.below(scan.bval), "bvec": self.below(scan.bvec)}
        if not scan.pipeline:
            files |= self._against_distortion(modality, sub, ses)
        if scan.pipeline:
            confounds = [self.below(scan.confounds)] if scan.confounds else []
            files |= {"mask": self.below(scan.mask), "confounds": confounds}
        return files

    def _against_distortion(self, modality: Modality, sub: str, ses: str) -> dict[str, list[str]]:
        """Return the images that distortion is corrected with, by what they are."""
        scan = self._scan_of[modality, sub, ses]
        # a scan rated out is prepared too, to be looked at, but the others do not wait for it
        if self.why_distorted(modality, sub) or scan.reversed not in self.scans:
            return {}
        other = self.scans[str(scan.reversed)]
        named = (other.path, other.bval if other.modality == "dwi" else None)
        files = {"opposite": [self.below(name) for name in named if name]}
        if scan.matched in self.scans:
            matched = self.scans[str(scan.matched)]
            files["matched"] = [self.below(n) for n in (matched.path, *matched.sidecars)]
        return files

    @cached_property
    def _known_distorted(self) -> dict[tuple[Modality, str], str]:
        """Return what was found already: each job of a patient's scans asks several times."""
        return {}

    def why_distorted(self, modality: Modality, sub: str) -> str:
        """Return why a patient's scans keep their distortion, empty if they do not."""
        if (modality, sub) not in self._known_distorted:
            self._known_distorted[modality, sub] = self._why_distorted(modality, sub)
        return self._known_distorted[modality, sub]

    def _why_distorted(self, modality: Modality, sub: str) -> str:
        by_session = {s: self._scan_of[modality, sub, s] for s in self.sessions(modality, sub)}
        # a table made by hand may name a scan that index did not find
        known = {
            session: replace(
                scan,
                reversed=scan.reversed if scan.reversed in self.scans else None,
                matched=scan.matched if scan.matched in self.scans else None,
            )
            for session, scan in by_session.items()
        }
        section = "diffusion" if modality == "dwi" else "functional"
        return why_uncorrected(self.settings[section]["distortion"], known)

    def why_without_model(self, setting: str, sub: str) -> str:
        """Return why a further diffusion model is not fitted to a patient, empty if it is."""
        asked = self.settings["diffusion"][setting]
        sessions = self.sessions("dwi", sub) if asked else ()
        by_session = {session: self._scan_of["dwi", sub, session] for session in sessions}
        return why_without_model(setting, asked, by_session)

    def why_moving(self, sub: str) -> str:
        """Return why a patient's diffusion series keep head motion, empty if they do not."""
        return why_moving(self.settings["diffusion"]["motion"], self.why_distorted("dwi", sub))

    def below(self, name: str | None) -> str:
        """Return a file of the dataset from the study folder; absolute paths stay."""
        return posixpath.join(self._dataset, str(name))

    @cached_property
    def _dataset(self) -> str:
        return str(PurePosixPath(self.settings["bids_dir"]))

    def raw_of_pair(self, modality: Modality, sub: str, name: str) -> list[dict[str, Any]]:
        """Return the files of both scans of a pair, baseline first, and what preprocessed them."""
        return [
            {
                **self.raw(modality, sub, ses),
                "pipeline": self._scan_of[modality, sub, ses].pipeline,
            }
            for ses in self.pair(modality, sub, name).sessions
        ]

    def lesion_masks(
        self, modality: Modality, sub: str, among: Sequence[str] | None = None
    ) -> list[str]:
        """Return the lesion masks of a patient's visits as paths from the study folder.

        Parameters
        ----------
        modality : {"dwi", "bold"}
            Whose visits.
        sub : str
            Patient.
        among : sequence of str, optional
            Sessions; by default all.

        Returns
        -------
        list of str
            One a session, in the order given; empty unless every session of the patient has its
            own mask, because healthy tissue lies outside the lesions of all visits.
        """
        sessions = self.sessions(modality, sub)
        named = [self._scan_of[modality, sub, ses].lesions for ses in sessions]
        known = {
            ses: self.below(path)
            for ses, path in zip(sessions, named, strict=True)
            if is_decided(path)
        }
        complete = len(known) == len(sessions)
        return [known[ses] for ses in among or sessions] if complete else []

    def founders(self, modality: Modality, sub: str) -> list[str]:
        """Return the sessions that make a patient's midpoint space, in the order of time.

        All of them, or with a frozen space the first two, which depends on nothing but the table.
        A space that a pipeline has made needs no freezing: no visit moves another's.
        """
        sessions = self.sessions(modality, sub)
        made = any(in_template_space(scan) for scan in self.scans_behind(modality, sub=sub))
        frozen = self.settings["spatial"]["new_visit"] == "frozen" and not made
        return sessions[:FOUNDING_VISITS] if frozen else sessions

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
            sessions = self.pair(modality, sub, pair).sessions
        elif sub:
            sessions = self.sessions(modality, sub)
        else:
            yield from (s for (kind, *_), s in self._scan_of.items() if kind == modality)
            return
        yield from (self._scan_of[modality, sub, name] for name in sessions)

    def visit_rows(self, modality: Modality, atlases: Sequence[str]) -> list[dict[str, Any]]:
        """Return one row for every atlas and visit, in the order of `of_all_visits`."""
        return [
            {
                "participant_id": visit.participant_id,
                "session_id": visit.session_id,
                "months": visit.months,
                "atlas": name,
                **self._rated(modality, visit),
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
                **self._rated(modality, pair.baseline, pair.follow_up),
            }
            for name in atlases
            for pair in self.pairs(modality)
        ]

    def _rated(self, modality: Modality, *visits: Visit) -> dict[str, str]:
        """Return the flag of numbers from a scan rated doubtful, nothing for all others."""
        keys = [(visit.participant_id, visit.session_id, modality) for visit in visits]
        flag = flags_of(self.ratings, keys)
        return {"rated": flag} if flag else {}

    def repeat_rows(self, modality: Modality, atlases: Sequence[str]) -> list[dict[str, Any]]:
        """Return the series that each output belongs to, in the order of `of_repeats`."""
        return [
            {"atlas": name, "series": f"{series[0].participant_id} {series[0].session_id}"}
            for name in atlases
            for series in self.repeats(modality)
            for _ in series
        ]
