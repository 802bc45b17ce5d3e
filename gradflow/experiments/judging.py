"""What the claims of a figure come to: a row for each claim, the verdict with its counts, the file ``claims.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..run.storage import write_whole
from .claims import ALL, Claim, Curves, follows
from .published import Published
from .traces import Panels

__all__ = ["Judged", "Report", "judge"]


class Judged(Protocol):
    """What is judged of a `gradflow.experiments.Figure`, whose members these are."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def claims(self) -> Sequence[Claim]:
        """About its curves, or about what was published."""

    @property
    def published(self) -> Mapping[str, Mapping[str, Mapping[str, Published]]]:
        """For panel, label and quantity the published curve."""

    @property
    def follow(self) -> bool:
        """Whether each published curve is a claim by itself."""

    @property
    def alternatives(self) -> Sequence[str]:
        """Words that stand for what the publication leaves open."""


class Report(NamedTuple):
    """What a figure comes to."""

    figure: str
    """Its name."""
    settings: Mapping[str, Any]
    """All settings, by name."""
    changed: Mapping[str, Sequence[Any]]
    """For each setting that is not the published one [ours, published]."""
    versions: Mapping[str, str]
    """The versions that ran."""
    seconds: float
    """Duration of the runs, s."""
    claims: Sequence[Mapping[str, Any]]
    """The rows of `judge`."""

    def write(self, path: Path) -> None:
        """Write all that is here to a JSON file, a line for each member and each claim.

        Parameters
        ----------
        path : Path
            The file, ``claims.json``.
        """
        *parts, (_, claims) = self._asdict().items()
        lines = [f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in parts]
        rows = ",\n".join(f"  {json.dumps(row)}" for row in claims)
        write_whole(path, f'{{\n{"".join(lines)} "claims": [\n{rows}\n ]\n}}\n'.encode())

    @property
    def headline(self) -> str:
        """The verdict with its counts."""
        of = [row["holds"] for row in self.claims]
        counts = f"{of.count(True)} hold, {of.count(False)} fail, {of.count(None)} open"
        best: dict[Any, Mapping[str, Any]] = {}
        for n, row in enumerate(self.claims):  # of alternatives: holds, open or fails, in this order
            key = row["either"] or n
            if not row["ours"] and (key not in best or best[key]["holds"] is False or row["holds"]):
                best[key] = row
        refutes = any(row["regardless"] and row["holds"] is False for row in best.values())
        found = verdict([row["holds"] for row in best.values()], bool(self.changed) and not refutes)
        return f"{found if best or not of else 'measured'}: {counts}"


def verdict(holds: Sequence[bool | None], changed: bool) -> str:
    """Return the verdict on a figure: only what was run as printed can refute it.

    Parameters
    ----------
    holds : sequence of bool or None
        Of every claim.
    changed : bool
        Whether a setting is not the published one.

    Examples
    --------
    >>> verdict([True, False], True), verdict([True, False], False), verdict([True, None], False)
    ('reproduced in part', 'refuted', 'not decided')
    """
    if False in holds:
        return "refuted" if not changed else "reproduced in part" if True in holds else "not reproduced"
    return "not decided" if None in holds or not holds else "reproduced"


def judge(figure: Judged, panels: Panels) -> list[dict[str, Any]]:
    """Return the rows of all claims: for each panel the claims whose curves it has, and those about several panels once.

    Parameters
    ----------
    figure : Judged
        The figure.
    panels : dict
        Its traces.

    Raises
    ------
    ValueError
        If a claim cannot be judged.
    """

    def row(claim: Claim, curves: Curves, panel: str = "") -> dict[str, Any]:
        try:
            return claim.row(curves, panel)
        except Exception as error:  # a number of the user's may raise anything
            why = f"{type(error).__name__}: {error}"
            raise ValueError(f"{figure.name}: the claim {claim.text!r} cannot be judged: {why}") from error

    everything: Curves = {title + ALL + label: t for title, curves in panels.items() for label, t in curves.items()}
    rows = [(row(claim, everything), "") for claim in figure.claims if set(claim.labels) <= set(everything)]
    for title, curves in panels.items():
        rows += [(row(c, curves, title), "") for c in figure.claims if c.labels and set(c.labels) <= set(curves)]
        for label, quantities in figure.published.get(title, {}).items():
            for of, curve in quantities.items() if label in curves and figure.follow else ():
                column = f"{Path(curve.file).stem} {curve.column}"
                rows += [(row(c, curves, title), column) for c in follows(label, curve, of=of)]
    for one, column in rows:
        text = one["claim"].rpartition(": ")[2] if column else f"{one['panel']}: {one['claim']}"
        for word in figure.alternatives:
            text = text.replace(word, "")
        one["either"] = f"{column}: {text}" if column or figure.alternatives else ""
    return [one for one, _ in rows]


def shown(rows: Sequence[Mapping[str, Any]], least: int) -> list[Mapping[str, Any]]:
    """Return of the claims whose texts are the same behind the last colon those of the least means, or all if `least` is 0."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row["claim"].rpartition(": ")[2] if least else "", []).append(row)

    def middle(row: Mapping[str, Any]) -> float:
        return float(np.mean([inf if value is None else float(value) for value in row["values"]]))

    return [row for kind in kinds.values() for row in (sorted(kind, key=middle)[:least] if least else kind)]
