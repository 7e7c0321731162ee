"""The methods section, written from what ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msimaging.reporting.method_sentences import BY_SETTING, CHAPTERS, SENTENCES, MethodSentence
from msimaging.reporting.references import REFERENCES

Setting = str | int | float | bool | None | Sequence[object] | Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of the analysis as the ledger knows it.

    Attributes
    ----------
    name : str
        Step, for example ``fit_tensor``.
    ran : bool
        Whether it was done for any visit.
    reason : str
        Why it was skipped.
    settings : mapping of str to plain values
        All settings that the step used.
    n_done, n_failed : int
        How often it was done, how often it failed; 0 when not counted.
    """

    name: str
    ran: bool
    reason: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    n_done: int = 0
    n_failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsChapter:
    """A paragraph of the methods section.

    Attributes
    ----------
    title : str
        Heading.
    sentences : tuple of str
        Plain text, with numbers in square brackets for the references.
    """

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsText:
    """The methods section.

    Attributes
    ----------
    chapters : tuple of MethodsChapter
        In the order of a paper.
    not_run : tuple of str
        What did not run, with the reason.
    references : tuple of str
        Works in the order of their numbers.
    settings : tuple of (step, setting, value)
        Every setting of every step that ran.
    """

    chapters: tuple[MethodsChapter, ...] = ()
    not_run: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        """Return the section as plain text, for pasting into a manuscript."""
        parts = [f"{chapter.title}. {' '.join(chapter.sentences)}" for chapter in self.chapters]
        if self.not_run:
            parts.append("Not done. " + " ".join(self.not_run))
        listed = [f"{i}. {work}" for i, work in enumerate(self.references, start=1)]
        return "\n\n".join([*parts, "\n".join(listed)]).strip() + "\n"


class _Numbering:
    """Numbers references in the order in which they are first named."""

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}

    def mark(self, keys: Iterable[str]) -> str:
        numbers = [self.keys.setdefault(key, len(self.keys) + 1) for key in dict.fromkeys(keys)]
        return f" [{', '.join(map(str, numbers))}]" if numbers else ""


class _Settings(dict[str, str]):
    """Settings for a sentence; one that was not recorded says so instead of failing."""

    def __missing__(self, key: str) -> str:
        return f"{key.replace('_', ' ')} not recorded"


def methods_text(
    steps: Sequence[StepRecord], *, versions: Mapping[str, str] | None = None
) -> MethodsText:
    """Write the methods section of what ran, and name what did not.

    Parameters
    ----------
    steps : sequence of StepRecord
        In the order of the analysis; a name that is not known is told by its name and settings.
    versions : mapping of str to str, optional
        Software and its version.

    Returns
    -------
    MethodsText
        Skipping a step takes its sentence out and puts it into ``not_run``.
    """
    numbering = _Numbering()
    told: dict[str, list[str]] = {title: [] for title in CHAPTERS}
    for step in (step for step in steps if step.ran):
        known = SENTENCES.get(step.name) or _plain(step.name)
        told[known.chapter].append(_written(step, known, numbering))
    if versions:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        told["Software"].append(f"Versions: {listed}.")
    return MethodsText(
        chapters=tuple(
            MethodsChapter(title=title, sentences=tuple(lines))
            for title, lines in told.items()
            if lines
        ),
        not_run=tuple(_skipped(step) for step in steps if not step.ran),
        references=tuple(REFERENCES[key] for key in numbering.keys),
        settings=tuple(
            (step.name, key, _value(value))
            for step in steps
            if step.ran
            for key, value in step.settings.items()
        ),
    )


def _plain(name: str) -> MethodSentence:
    words = name.replace("_", " ")
    return MethodSentence(chapter="Data", name=words, text=f"Step done: {words}.")


def _written(step: StepRecord, known: MethodSentence, numbering: _Numbering) -> str:
    """Fill a sentence with the step's settings; settings it does not name follow in brackets."""
    values = {key: _value(value) for key, value in step.settings.items()}
    text = known.text.format_map(_Settings(values))
    rest = [f"{key} {value}" for key, value in values.items() if f"{{{key}}}" not in known.text]
    keys = [*known.references, *(BY_SETTING.get(pair, "") for pair in values.items())]
    mark = numbering.mark(key for key in keys if key)
    told = f" ({'; '.join(rest)})" if rest else ""
    failed = (
        f" It failed in {step.n_failed} of {step.n_failed + step.n_done}." if step.n_failed else ""
    )
    return f"{text.removesuffix('.')}{told}{mark}.{failed}"


def _skipped(step: StepRecord) -> str:
    known = SENTENCES.get(step.name) or _plain(step.name)
    reason = step.reason or "no reason recorded"
    return f"{known.name[:1].upper()}{known.name[1:]}: not done ({reason.removesuffix('.')})."


def _value(value: object) -> str:
    """Return a setting as a reader writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(inner) for inner in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
