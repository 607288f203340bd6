"""The content of a report, before it is HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["good", "bad", "plain"]

MISSING = "–"
"""Stands where nothing was measured; a missing figure is never a zero."""


@dataclass(frozen=True)
class Cell:
    """A figure, and a word about it below."""

    text: str
    note: str = ""
    tone: Tone = "plain"

    def __str__(self) -> str:
        return f"{self.text} ({self.note})" if self.note else self.text


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first of each row says what it is about."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Plot:
    """A plot in two shapes, as SVG with the page's colours."""

    name: str
    title: str
    alternative: str
    """What it shows, in words, for those who do not see it."""
    wide: str
    narrow: str


@dataclass(frozen=True)
class Picture:
    """A picture with its caption."""

    caption: str
    file: str
    """Name in the folder of pictures."""
    data: str
    """The same as a data URI."""


@dataclass(frozen=True)
class Sheet:
    """Pictures side by side."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Section:
    """One suite."""

    name: str
    title: str
    findings: Sequence[str] = ()
    """Sentences that say what the figures mean."""
    notices: Sequence[str] = ()
    """What failed, was skipped, or is not done yet."""
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    sheets: Sequence[Sheet] = ()
    how: str = ""
    command: str = ""


@dataclass(frozen=True)
class Claim:
    """A part of the verdict."""

    title: str
    figure: str
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Report:
    """Everything."""

    title: str
    claims: Sequence[Claim]
    """The verdict."""
    notices: Sequence[str]
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """About the machine and the run."""
