"""Verdicts: what the claims about a figure come to, and what was not done as published.

Only what was run as printed can refute a figure, or what fails whatever was changed (`Claim.regardless`). What a publication leaves
unsaid is no change; it is chosen, and told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any

from .experiment import Claim

__all__ = ["differences", "failed", "overall", "told", "too_short"]

TOO_SHORT = "the runs end before epoch"


def overall(claims: Iterable[Claim], changed: str = "", unsaid: str = "") -> str:
    """Return the verdict on a figure: reproduced (in part, or with a stated change), refuted, or not decided, and why.

    What fails with a stated change does not refute what was printed without it, unless the claim says so (`Claim.regardless`): the
    figure then is reproduced in part, or not. So it is if what was run holds, and the rest is of epochs that were not run.

    Parameters
    ----------
    claims : iterable of Claim
        All of them.
    changed : str
        What was not done as in the paper; empty if nothing.
    unsaid : str
        What the paper leaves unsaid and was chosen here: a verdict is one for that choice.
    """
    claims = list(claims)
    of = {answer: [claim for claim in claims if claim.holds is answer] for answer in (True, False, None)}
    given = f"with {unsaid}, which the paper leaves unsaid" if unsaid else ""
    count = f"{len(of[True])} of {len(claims)} claims hold" + f", {len(of[None])} open" * bool(of[None])
    against = [claim for claim in of[False] if claim.regardless or not changed]
    if against:
        failing = "; ".join(f"{claim.text} fails ({claim.evidence})" for claim in against)
        return f"refuted{f' ({given})' if given else ''}: {failing}; {count}"
    head = f" with a stated change: {told(changed, given)}"
    open_ = _listed(of[None])
    if of[False]:
        return f"{failed(of[True], told(changed, given))}; {count}; what fails: {_listed(of[False])}"
    if of[None] and of[True] and changed and all(claim.evidence.startswith(TOO_SHORT) for claim in of[None]):
        return f"reproduced in part{head}; {count}: {open_}"
    if of[None]:
        return f"not decided: {f'{given}, ' if given else ''}{count}: {open_}"
    return f"reproduced{head}" if changed else f"reproduced ({given})" if given else "reproduced"


def failed(holding: Sequence[Claim], changed: str) -> str:
    """Return the first words of a verdict if something fails that does not refute, since other things were changed.

    Parameters
    ----------
    holding : sequence of Claim
        What holds.
    changed : str
        What was not done as in the paper.

    Examples
    --------
    >>> failed([], "half of the epochs")
    'not reproduced with a stated change: half of the epochs'
    """
    return f"{'reproduced in part' if holding else 'not reproduced'} with a stated change: {changed}"


def told(*changes: str) -> str:
    """Return the stated changes of a run as one text, without the empty ones.

    Parameters
    ----------
    *changes : str
        What was not done as in the paper.
    """
    return ", ".join(change for change in changes if change)


def differences(settings: Any, printed: Any, *, unprinted: Collection[str] = (), source: str = "paper") -> list[str]:
    """Return each setting that is not as printed, as text, with what is.

    Parameters
    ----------
    settings, printed : dataclass instance
        Of the run, and as printed; of one class.
    unprinted : collection of str
        Settings that are not compared.
    source : str
        What the text calls the publication.
    """
    names = [field.name for field in fields(printed) if field.name not in unprinted]
    pairs = [(name, getattr(settings, name), getattr(printed, name)) for name in names]
    return [f"{name.replace('_', ' ')} {_short(a)} ({source}: {_short(b)})" for name, a, b in pairs if a != b]


def too_short(epoch: float) -> str:
    """Return the evidence of a claim that a run is too short to decide.

    Parameters
    ----------
    epoch : float
        That it does not reach.
    """
    return f"{TOO_SHORT} {epoch:g}"


def _listed(claims: Sequence[Claim]) -> str:
    """Return claims with what they rest on; those that runs are too short for only by their number."""
    short = [claim for claim in claims if claim.evidence.startswith(TOO_SHORT)]
    texts = [f"{claim.text} ({claim.evidence})" for claim in claims if claim not in short]
    return "; ".join([*texts, *([f"{len(short)} of later epochs ({short[-1].evidence})"] if short else [])])


def _short(value: Any) -> str:
    return format(value, ".3g") if isinstance(value, float) else str(value)
