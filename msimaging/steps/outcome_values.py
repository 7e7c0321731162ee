"""One outcome of one patient at one time, and outcomes that are computed from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msimaging.errors import Finding
from msimaging.statistics.functional_composite import MSFC_REFERENCE, msfc_z
from msimaging.statistics.outcomes import OutcomeDeclaration

PARTS = ("t25fw", "nhpt", "pasat")
_TIMED = ("t25fw", "nhpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One outcome of one patient at one time."""

    participant_id: str
    session_id: str
    months: float
    measure: str
    value: float
    limit: str
    source: str


def composite_values(
    values: Sequence[Value], declared: Mapping[str, OutcomeDeclaration]
) -> tuple[list[Value], list[Finding]]:
    """Compute functional composites from the outcomes that they are made of.

    Parameters
    ----------
    values : sequence of Value
        What the tables hold.
    declared : mapping
        All outcomes by name.

    Returns
    -------
    values : list of Value
        One for each visit at which a patient has all parts.
    findings : list of Finding
        Parts that are not declared, and times that are none.
    """
    composed: list[Value] = []
    findings: list[Finding] = []
    for name, outcome in declared.items():
        if outcome.type != "msfc":
            continue
        faults = _faults(name, outcome, values, declared)
        findings += faults
        if not faults:
            composed += _composed(outcome, values)
    return composed, findings


def _names(outcome: OutcomeDeclaration) -> dict[str, tuple[str, ...]]:
    return {
        part: (given,) if isinstance(given, str) else tuple(given)
        for part, given in outcome.parts.items()
    }


def _faults(
    name: str,
    outcome: OutcomeDeclaration,
    values: Sequence[Value],
    declared: Mapping[str, OutcomeDeclaration],
) -> list[Finding]:
    names = _names(outcome)
    lacking = [part for part in PARTS if part not in names]
    unknown = [each for given in names.values() for each in given if each not in declared]
    if lacking or unknown:
        return [
            Finding(
                where="config.yaml",
                rule=f"outcomes.{name}.parts names a declared outcome for each of t25fw, nhpt "
                "and pasat",
                found=", ".join([f"no {part}" for part in lacking] + [repr(u) for u in unknown]),
                remedy=f"Declared are: {', '.join(declared)}.",
            )
        ]
    timed = {each for part in _TIMED for each in names[part]}
    return [
        Finding(
            where=f"{value.source}, {value.participant_id} {value.session_id}, {value.measure}",
            rule="times are above 0",
            found=f"{value.value:g}",
            remedy="Leave the cell of a test that could not be done empty.",
        )
        for value in values
        if value.measure in timed and value.value <= 0
    ]


def _composed(outcome: OutcomeDeclaration, values: Sequence[Value]) -> list[Value]:
    names = _names(outcome)
    wanted = [each for part in PARTS for each in names[part]]
    visits: dict[tuple[str, str], dict[str, Value]] = {}
    for value in values:
        if value.measure in wanted:
            visits.setdefault((value.participant_id, value.session_id), {})[value.measure] = value
    complete = {key: own for key, own in visits.items() if len(own) == len(set(wanted))}
    if not complete:
        return []
    column = {
        each: [own[each].value for own in complete.values()] for each in dict.fromkeys(wanted)
    }
    own_reference = {part: (pair[0], pair[1]) for part, pair in outcome.references.items()}
    scores = msfc_z(
        column[names["t25fw"][0]],
        list(zip(*(column[hand] for hand in names["nhpt"]), strict=True)),
        column[names["pasat"][0]],
        reference={**MSFC_REFERENCE, **own_reference},
    )
    return [
        Value(
            participant_id=patient,
            session_id=session,
            months=own[wanted[0]].months,
            measure=outcome.name,
            value=float(score),
            limit="",
            source=f"computed from {', '.join(dict.fromkeys(wanted))}",
        )
        for ((patient, session), own), score in zip(complete.items(), scores, strict=True)
    ]
