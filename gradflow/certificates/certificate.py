"""What a certificate holds: entries, each a claim with its status, and their text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..description import escaped, found
from ..refusals import instance

__all__ = ["SECTIONS", "STATUSES", "Certificate", "Entry"]

STATUSES = {
    "proved": "decided exactly, for the scope that is stated",
    "measured": "holds in floating point in every instance that was tried",
    "not applicable": "the scheme makes no such claim",
    "undecided": "neither shown nor refuted",
    "false": "an instance refutes it",
}
"""What the status of an entry may be, and what it means."""
SECTIONS = {
    "energy law": "Energy law",
    "consistency": "Consistency and limit flow",
    "modified equation": "Modified equation and implicit regularization",
    "solvability": "Solvability",
    "stability": "Linear stability",
    "step": "The step as a function",
    "cost": "Cost of a step",
}
"""The sections, in the order in which they are printed, with their titles."""
FORMAT = 1
LONGEST = 500
"""Characters of a detail that is printed as one paragraph; of a longer one each clause has a line of its own."""


@dataclass(frozen=True)
class Entry:
    """One claim about a scheme, and what became of it."""

    section: str
    """A key of `SECTIONS`."""
    name: str
    """A short name, by which programs and tests find the entry."""
    claim: str
    """What is claimed, a sentence."""
    status: str
    """A key of `STATUSES`."""
    scope: str = ""
    """What the claim is shown for."""
    detail: str = ""
    """What was measured, or why the claim is false, undecided or not made."""
    counterexample: str = ""
    """An instance with numbers that refutes the claim; empty unless the status is "false"."""
    table: tuple[tuple[str, ...], ...] = ()
    """Rows of measured numbers as texts, the first one their heading."""

    @property
    def sentence(self) -> str:
        """The entry in a few sentences, as `Certificate.failures` has it."""
        stated = f"not true that {self.claim}" if self.status == "false" else self.claim
        detail = self.detail[:1].upper() + self.detail[1:]
        parts = (f"{self.name}: {stated}", detail, self.counterexample)
        return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)


@dataclass(frozen=True)
class Certificate:
    """The datasheet of a scheme: what holds for it, how that was shown, and what a step costs.

    Raises
    ------
    ValueError
        If an entry has a section or a status that there is not.

    Examples
    --------
    >>> import gradflow as gf
    >>> certificate = gf.certify(gf.GradientDescent(), proofs=False)
    >>> certificate.holds, certificate.failures
    (True, ())
    >>> certificate["order"].status
    'measured'
    """

    scheme: str
    """The scheme as a call."""
    entries: tuple[Entry, ...]
    """The claims, by sections."""

    def __post_init__(self) -> None:
        for entry in self.entries:
            if entry.section not in SECTIONS:
                raise ValueError(f"section must be one of {', '.join(SECTIONS)}; got {found(entry.section)}")
            if entry.status not in STATUSES:
                raise ValueError(f"status must be one of {', '.join(STATUSES)}; got {found(entry.status)}")

    def __getitem__(self, name: str) -> Entry:
        """Return the entry of this name.

        Parameters
        ----------
        name : str
            As in `Entry.name`.

        Raises
        ------
        ValueError
            If there is no such entry.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise ValueError(f"no entry is called {name!r}; there are {', '.join(entry.name for entry in self.entries)}")

    @property
    def holds(self) -> bool:
        """Whether no entry is false."""
        return not any(entry.status == "false" for entry in self.entries)

    @property
    def failures(self) -> tuple[str, ...]:
        """What is false, one text for each entry, with a counterexample in numbers."""
        return tuple(entry.sentence for entry in self.entries if entry.status == "false")

    def _sections(self) -> Iterator[tuple[str, list[Entry]]]:
        for section, title in SECTIONS.items():
            entries = [entry for entry in self.entries if entry.section == section]
            if entries:
                yield title, entries

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        counts = {status: sum(entry.status == status for entry in self.entries) for status in STATUSES}
        return ("holds" if self.holds else "does not hold") + ": " + ", ".join(
            f"{n} {status}" for status, n in counts.items() if n
        )  # fmt: skip

    def __str__(self) -> str:
        lines = [self.scheme, self.verdict]
        for title, entries in self._sections():
            lines += ["", title]
            for entry in entries:
                lines.append(f"  {entry.status:14}  {entry.name}: {entry.claim}")
                detail, below = _clauses(entry.detail)
                texts = (entry.scope, detail, *below, entry.counterexample)
                lines += [f"{'':18}{text}" for text in texts if text]
                if entry.table:
                    widths = [max(map(len, column)) for column in zip(*entry.table, strict=True)]
                    lines += [
                        " " * 20 + "  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True))
                        for row in entry.table
                    ]
        return "\n".join(lines)

    def to_markdown(self, *, level: int = 1) -> str:
        """Return the certificate as MyST Markdown.

        Parameters
        ----------
        level : int
            The level of its heading, from 1.

        Raises
        ------
        ValueError
            If the level is no whole number from 1 to 5.
        """
        if level not in range(1, 6):
            raise ValueError(f"level must be a whole number from 1 to 5, got {found(level)}")
        lines = [f"{'#' * level} {escaped(self.scheme.partition('(')[0], inside=True)}", ""]
        lines += [f"`{self.scheme}`", "", f"**{self.verdict}**", ""]
        for title, entries in self._sections():
            lines += [f"{'#' * (level + 1)} {title}", ""]
            for entry in entries:
                detail, below = _clauses(entry.detail)
                shown = [escaped(t, inside=True) for t in (entry.scope, detail, entry.counterexample) if t]
                text = f"* **{entry.name}**, {entry.status}: {escaped(entry.claim, inside=True)}"
                lines.append(" ".join(part if part.endswith(".") else f"{part}." for part in (text, *shown)))
                lines += [f"  * {escaped(clause, inside=True)}" for clause in below]
                if entry.table:
                    head, *rows = [[escaped(cell, inside=True) for cell in row] for row in entry.table]
                    marks = [["---:"] * len(head)]
                    lines += ["", *(f"  | {' | '.join(row)} |" for row in (head, *marks, *rows)), ""]
            lines.append("")
        return "\n".join(lines).rstrip() + "\n"

    def to_json(self) -> str:
        """Return the certificate as JSON, from which `from_json` makes it again."""
        entries = [
            {key: value for key, value in vars(entry).items() if value not in ("", ())} for entry in self.entries
        ]
        held = {"format": FORMAT, "scheme": self.scheme, "holds": self.holds, "entries": entries}
        return json.dumps(held, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """Return the certificate that `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Raises
        ------
        ValueError
            If the text is no certificate of this format.
        """
        held = json.loads(instance("text", text, str, "JSON"))
        if not isinstance(held, Mapping) or held.get("format") != FORMAT:
            raise ValueError(f"the text must be a certificate of format {FORMAT}, got {found(held)}")
        try:
            return cls(
                instance("scheme", held["scheme"], str, "a text"), tuple(_entry(values) for values in held["entries"])
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the text must be a certificate: {error}") from error


def _clauses(detail: str) -> tuple[str, list[str]]:
    """Return a detail and no clauses, or its clauses in the place of a long one: each equation has its line."""
    return (detail, []) if len(detail) <= LONGEST or "; " not in detail else ("", detail.split("; "))


def _entry(values: Mapping[str, Any]) -> Entry:
    instance("an entry", values, Mapping, "an object")
    for key, value in values.items():
        instance(key, value, list if key == "table" else str, "a list of rows" if key == "table" else "a text")
    table = tuple(tuple(row) for row in values.get("table", ()))
    return Entry(**{**values, "table": table})
