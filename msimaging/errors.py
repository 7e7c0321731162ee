"""The few exceptions of the package, and the form in which a fault is told to a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing noticed about an input: where, which rule, what was found, what to do.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
        ``error`` stops the work on this input, ``warning`` is carried into flags, ``note`` is told.
    rule : str
        The rule that is broken, in words that hold for every input ("one b-value per volume").
    where : str
        File, table cell or argument.
    found : str
        What was found instead, with the numbers.
    remedy : str
        What the user can do.
    """

    severity: Severity = "error"
    rule: str
    where: str = ""
    found: str
    remedy: str

    def __str__(self) -> str:
        """Return the one line that is shown to people."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.rule}; found {self.found}. {self.remedy}"


class MsimagingError(Exception):
    """Parent of every error that msimaging raises on purpose."""


class InputError(MsimagingError, ValueError):
    """Input that breaks a rule; carries every finding, not only the first.

    Parameters
    ----------
    findings : iterable of Finding
        All faults, reported together.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class ConfigError(InputError):
    """Settings, tables or arguments that cannot be used."""


class ComputationError(MsimagingError, RuntimeError):
    """A computation that could not reach a trustworthy result on valid input."""


def raise_on_errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Raise when any finding is an error, else hand the findings back.

    Parameters
    ----------
    findings : iterable of Finding
        What the checks noticed.

    Returns
    -------
    tuple of Finding
        The warnings and notes.

    Raises
    ------
    InputError
        Holding every finding of severity ``error``.
    """
    kept = tuple(findings)
    errors = [finding for finding in kept if finding.severity == "error"]
    if errors:
        raise InputError(errors)
    return kept
