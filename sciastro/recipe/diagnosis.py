"""What the doctor says, as plain data and as plain text."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Diagnosis", "Issue", "Section", "as_text", "duration", "plain", "seconds"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that the user should know.

    Attributes
    ----------
    code
        Stable name such as "no-flats".
    severity
        "error" (a product cannot be made as it should), "warning" or "note".
    message
        What was found.
    suggestion
        What to do.
    """

    code: str
    severity: str
    message: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a title; `rows` have as many texts as `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The tables and the issues of a session, worst issues first."""

    root: str
    sections: tuple[Section, ...]
    issues: tuple[Issue, ...]

    def lines(self, width: int = 110) -> Iterator[str]:
        """Yield the diagnosis as plain text, tables aligned, long cells wrapped at `width`."""
        yield self.root
        for section in self.sections:
            yield ""
            yield section.title
            yield from _table(section, width)
        yield ""
        yield "What to do" if self.issues else "Nothing to complain about."
        for issue in self.issues:
            yield from _wrap(
                f"[{issue.severity}] {issue.message} {issue.suggestion}".strip(), width, "  ", "    "
            )


def as_text(diagnosis: Diagnosis, width: int = 110) -> str:
    """Return `diagnosis` as plain text."""
    return "\n".join(diagnosis.lines(width))


def plain(value: float | None) -> str:
    """Return a number as short text, "" for None."""
    return "" if value is None else f"{value:g}"


def seconds(value: float | None) -> str:
    """Return a time with its unit, "" for None."""
    return "" if value is None else f"{value:g} s"


def duration(time: float) -> str:
    """Return a time [s] in the unit that suits it."""
    if time < 90:
        return f"{time:g} s"
    if time < 5400:
        return f"{time / 60:.1f} min"
    return f"{time / 3600:.2f} h"


def _table(section: Section, width: int) -> Iterator[str]:
    """Yield aligned lines; the last column takes what is left and is wrapped."""
    keep = [i for i in range(len(section.columns)) if any(row[i] for row in section.rows)]
    columns = [section.columns[i] for i in keep]
    rows = [[row[i] for i in keep] for row in section.rows]
    sizes = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    left = 2 + sum(size + 2 for size in sizes[:-1])
    for cells in [columns, *rows]:
        head = "  " + "".join(cell.ljust(size + 2) for cell, size in zip(cells[:-1], sizes[:-1], strict=True))
        yield from _wrap(cells[-1], max(width, left + 30), head, " " * left)


def _wrap(text: str, width: int, first: str, other: str) -> Iterator[str]:
    line, indent = first, len(first)
    for word in text.split(" "):
        if len(line) > indent and len(line) + 1 + len(word) > width:
            yield line.rstrip()
            line, indent = other, len(other)
        line += word if len(line) == indent else f" {word}"
    yield line.rstrip()
