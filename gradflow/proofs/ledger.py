"""The ledger of claims: one TOML file for each source document, one row for each claim."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..description import found
from .checks import METHODS

__all__ = ["VERDICTS", "Claim", "read_claims"]

VERDICTS = ("true", "true under conditions", "false", "ambiguous", "unchecked")
"""What may become of a claim."""
OPTIONAL = ("printed", "corrected", "notebook", "check", "method", "reason")
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
    verdict: str
    """One of `VERDICTS`."""
    corrected: str
    """What is true instead, or under which conditions; empty where the claim is true as it stands."""
    notebook: str
    """Topic of the derivation; empty where unchecked."""
    check: str
    """Function in it."""
    method: str
    """How it is settled, a key of `METHODS`; empty where unchecked."""
    reason: str
    """Why a claim is unchecked: a quotation, a reported experiment, or no criterion to decide it by."""


def read_claims(folder: Path) -> list[Claim]:
    """Return the claims of all TOML files in a folder, in the order of their ids, numbers by their size.

    Raises
    ------
    ValueError
        If there is no claim, a file cannot be read, is a link out of the folder or does not name its source, a row
        lacks a field or has an unknown one, a field is not one printable line of text, an id, a notebook or a check is
        not a name, a verdict or method is unknown, a formula holds a command that does more than typeset, an id occurs
        twice, or a row has neither a check nor a reason.
    """
    claims: dict[str, Claim] = {}
    for path in sorted(folder.glob("*.toml")):
        document = _read_toml(path, folder)
        source, rows = document.get("source"), document.get("claim", [])
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
    return [claims[key] for key in sorted(claims, key=_parts)]


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
    for name, value in {"notebook": claim.notebook, "check": claim.check}.items():
        if not re.fullmatch(r"\w*", value):
            raise ValueError(f"{where}: {name} must be a name of letters, digits and underscores, got {found(value)}")
    if "$" in claim.printed:
        raise ValueError(f"{where}: printed is one formula, without dollar signs")
    for text in (claim.printed, claim.corrected, claim.statement, claim.reason):
        if command := NOT_TYPESETTING.search(text):
            raise ValueError(f"{where}: a formula must only typeset, got {command.group()}")
    if not claim.statement or not claim.place:
        raise ValueError(f"{where}: a claim has a place and a statement")
    if claim.verdict not in VERDICTS:
        raise ValueError(f"{where}: verdict must be one of {', '.join(VERDICTS)}; got {claim.verdict!r}")
    if (claim.verdict == "unchecked") == bool(claim.check):
        raise ValueError(f"{where}: a verdict needs a check, and 'unchecked' has none")
    if claim.check and (claim.method not in METHODS or not claim.notebook):
        raise ValueError(f"{where}: a check has a notebook and a method, got {claim.notebook!r}, {claim.method!r}")
    if claim.verdict == "unchecked" and not claim.reason:
        raise ValueError(f"{where}: an unchecked claim says why")
    if claim.verdict not in ("true", "unchecked") and not claim.corrected:
        raise ValueError(f"{where}: {claim.verdict!r} says what is true instead, in `corrected`")
    return claim
