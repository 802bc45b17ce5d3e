"""The ledger of claims: one TOML file for each source document, one row for each claim."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .checks import METHODS

__all__ = ["VERDICTS", "Claim", "read_claims"]

VERDICTS = ("true", "true under conditions", "false", "ambiguous", "unchecked")
"""What may become of a claim."""


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
    """The formula as printed, LaTeX; empty where there is none."""
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
    """Why a claim is unchecked: a quotation, or a reported experiment."""


def read_claims(folder: Path) -> list[Claim]:
    """Return the claims of all TOML files in a folder, in the order of their ids.

    Parameters
    ----------
    folder : Path
        Where the TOML files are.

    Raises
    ------
    ValueError
        If there is no claim, a file does not name its source, a row lacks a field or has an unknown one, a verdict or method is
        unknown, an id occurs twice, or a row has neither a check nor a reason.
    """
    claims: dict[str, Claim] = {}
    optional = {"printed": "", "corrected": "", "notebook": "", "check": "", "method": "", "reason": ""}
    for path in sorted(folder.glob("*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if not document.get("source"):
            raise ValueError(f"{path.name} does not name its source")
        for row in document.get("claim", []):
            try:
                claim = Claim(**{"source": document["source"], **optional, **row})
            except TypeError as error:
                raise ValueError(f"{path.name}, {row.get('id')}: {error}") from error
            if claim.id in claims:
                raise ValueError(f"{path.name}: {claim.id} occurs twice")
            if claim.verdict not in VERDICTS:
                raise ValueError(f"{claim.id}: verdict must be one of {', '.join(VERDICTS)}; got {claim.verdict!r}")
            if (claim.verdict == "unchecked") == bool(claim.check):
                raise ValueError(f"{claim.id}: a verdict needs a check, and 'unchecked' has none")
            if claim.check and (claim.method not in METHODS or not claim.notebook):
                raise ValueError(
                    f"{claim.id}: a check has a notebook and a method, got {claim.notebook!r}, {claim.method!r}"
                )
            if claim.verdict == "unchecked" and not claim.reason:
                raise ValueError(f"{claim.id}: an unchecked claim says why")
            if claim.verdict not in ("true", "unchecked") and not claim.corrected:
                raise ValueError(f"{claim.id}: {claim.verdict!r} says what is true instead, in `corrected`")
            claims[claim.id] = claim
    if not claims:
        raise ValueError(f"no claims in {folder}")
    return [claims[key] for key in sorted(claims)]
