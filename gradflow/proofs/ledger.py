"""The ledger of claims: one TOML file for each source document, one row for each claim.

A row says what a document states. What became of it is computed: a check of a derivation names the claims that it
proves or refutes, and `decide` reads the verdict from all checks that name a claim. That the statement of the check is
the statement of the document stays a human reading, and so does a condition.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..description import found
from .checks import Check

__all__ = ["VERDICTS", "Claim", "Decision", "decide", "read_claims"]

VERDICTS = ("true", "true under conditions", "false", "ambiguous", "unchecked")
"""What may become of a claim."""
OPTIONAL = ("printed", "corrected", "reason", "same_as")
"""Fields that a row may leave out."""
NOT_TYPESETTING = re.compile(
    r"\\(?:href|url|class|style|cssId|data|html\w*|require|mmlToken|unicode|includegraphics|input|include|write|open(?:in|out))(?![a-zA-Z])"
)
"""Commands of TeX and MathJax that link, load or set attributes."""


@dataclass(frozen=True)
class Claim:
    """A statement of a source document and what became of it."""

    id: str
    """Such as C001-39."""
    source: str
    """Title of the document."""
    place: str
    """Section, theorem or table."""
    statement: str
    """What is claimed, in one line."""
    printed: str
    """The formula as printed, LaTeX; empty for a claim without one."""
    corrected: str
    """What is true instead, or what the condition means; empty where the claim is true as it stands."""
    reason: str
    """Why no check decides the claim: a quotation, a reported experiment, or no criterion; empty where one does."""
    same_as: str
    """Id of the claim of another document that states the same; empty where there is none."""


@dataclass(frozen=True)
class Decision:
    """A claim and what became of it, as the checks that name it show."""

    claim: Claim
    """The row of the ledger."""
    verdict: str
    """One of `VERDICTS`."""
    conditions: tuple[str, ...]
    """Under which the claim is true, as the checks state them."""
    checks: tuple[tuple[str, Check], ...]
    """The checks that name it, or the claim that it is the same as, each with the topic of its derivation."""
    fault: str
    """Why the verdict does not stand: checks contradict each other, or the row says too little; empty if it stands."""


def read_claims(folder: Path) -> list[Claim]:
    """Return the claims of all TOML files in a folder, in the order of their ids, numbers by their size.

    Raises
    ------
    ValueError
        If there is no claim, a file cannot be read, is a link out of the folder or does not name its source, a row
        lacks a field or has an unknown one, a file has anything else in it, a field is not one printable line of text, an id is not a name, a formula
        holds a command that does more than typeset, an id occurs twice, or a row is the same as one that does not exist
        or that is itself the same as another.
    """
    claims: dict[str, Claim] = {}
    for path in sorted(folder.glob("*.toml")):
        document = _read_toml(path, folder)
        source, rows = document.get("source"), document.get("claim", [])
        if unknown := sorted(document.keys() - {"source", "claim"}):
            raise ValueError(f"{path.name} has a source and tables [[claim]], got {', '.join(unknown)}")
        if not source:
            raise ValueError(f"{path.name} does not name its source")
        _require_line(source, f"{path.name}: source")
        if not isinstance(rows, list):
            raise ValueError(f"{path.name}: claim must be a list of tables, got {found(rows)}")
        for n, row in enumerate(rows, start=1):
            claim = _claim(source, row, f"{path.name}, claim {n}")
            if claim.id in claims:
                raise ValueError(f"{path.name}: {claim.id} occurs twice")
            claims[claim.id] = claim
    if not claims:
        raise ValueError(f"no claims in {folder}")
    for claim in claims.values():
        if claim.same_as and (claim.same_as not in claims or claims[claim.same_as].same_as):
            raise ValueError(f"{claim.id}: same_as must be a row that stands for itself, got {claim.same_as!r}")
    return [claims[key] for key in sorted(claims, key=_parts)]


def decide(claims: list[Claim], checks: Mapping[str, Mapping[str, Check]]) -> list[Decision]:
    """Return what became of every claim, from the checks that name it.

    A check that proves a claim makes it true; under a condition, true under conditions; a check that refutes it makes
    it false. One check that proves and refutes a claim shows two readings of it: the claim is ambiguous. A claim that
    no check names is unchecked. Several checks have to agree, but for one: a refutation of a claim that holds under a
    condition shows that the condition is needed.

    Parameters
    ----------
    claims : list of Claim
        The ledger.
    checks : mapping of str to mapping of str to Check
        The checks by their names, by the topics of their derivations.
    """
    named: dict[str, list[tuple[str, Check]]] = {claim.id: [] for claim in claims}
    for topic, own in checks.items():
        for one in own.values():
            for name in dict.fromkeys((*one.proves, *one.refutes, *dict(one.given))):
                if name in named:
                    named[name].append((topic, one))
    return [_decision(claim, named[claim.id], named[claim.same_as or claim.id]) for claim in claims]


def _decision(claim: Claim, own: list[tuple[str, Check]], checks: list[tuple[str, Check]]) -> Decision:
    """Return what became of a claim from the checks that name it and those that decide it."""
    name = claim.same_as or claim.id
    shown = {verdict: f"{topic}.{one.name}" for topic, one in checks for verdict in [_verdict(name, one)]}
    conditions = tuple(dict(one.given)[name] for _, one in checks if name in dict(one.given))
    verdict, fault = next((word for word in VERDICTS if word in shown), "unchecked"), ""
    if own and claim.same_as:
        fault = f"{claim.same_as} decides it, and {own[0][1].name} names it as well"
    elif len(shown) > 1 and set(shown) != {"true under conditions", "false"}:
        fault = f"its checks contradict each other ({', '.join(f'{where}: {word}' for word, where in shown.items())})"
    elif not checks and not claim.reason:
        fault = "no check names it, and it does not say why"
    elif checks and claim.reason:
        fault = f"{checks[0][1].name} names it, and it has a reason for being unchecked"
    elif verdict in ("false", "ambiguous") and not claim.corrected and not claim.same_as:
        fault = "it does not say what is true instead, in `corrected`"
    return Decision(claim, verdict, conditions, tuple(checks), fault)


def _verdict(name: str, one: Check) -> str:
    """Return the verdict of one check on a claim that it names."""
    if name in dict(one.given):
        return "true under conditions"
    if name in one.proves:
        return "ambiguous" if name in one.refutes else "true"
    return "false"


def _parts(name: str) -> list[str | int]:
    """Return the words and numbers of an id: C004-100 comes after C004-99."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _read_toml(path: Path, folder: Path) -> dict[str, Any]:
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()) or not path.is_file():
            raise ValueError("it must be a file within its folder")
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ValueError(f"{path.name} must be a file that can be read, got: {error.strerror}") from error
    except (ValueError, RecursionError, RuntimeError) as error:
        raise ValueError(f"{path.name} must be a TOML file: {error}") from error


def _require_line(value: object, name: str) -> None:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name} must be one printable line of text, got {found(value)}")


def _claim(source: str, row: object, where: str) -> Claim:
    """Return a row as a claim, or raise ValueError with where it stands."""
    if not isinstance(row, dict):
        raise ValueError(f"{where} must be a table, got {found(row)}")
    try:
        claim = Claim(**{"source": source, **dict.fromkeys(OPTIONAL, ""), **row})
    except TypeError as error:
        raise ValueError(f"{where}, {row.get('id')!r}: {error}") from error
    for name, value in vars(claim).items():
        _require_line(value, f"{where}: {name}")
    where = f"{where}, {claim.id}"
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", claim.id):
        raise ValueError(f"{where}: an id has letters, digits and single hyphens")
    if "$" in claim.printed:
        raise ValueError(f"{where}: printed is one formula, without dollar signs")
    for text in (claim.printed, claim.corrected, claim.statement, claim.reason):
        if command := NOT_TYPESETTING.search(text):
            raise ValueError(f"{where}: a formula must only typeset, got {command.group()}")
    if not claim.statement or not claim.place:
        raise ValueError(f"{where}: a claim has a place and a statement")
    return claim
