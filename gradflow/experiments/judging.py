"""Claims about curves, decided from runs over several draws of unpublished coefficients.

A published value, read off a plot to some 30 per cent, is judged by whether it lies in the spread of the draws, widened by
that reading error. A run that ended before the epoch in question decides nothing, unless it diverged; a value outside the spread of
a few draws decides nothing either. Only what was run as printed can refute a figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..solution import Solution, Status
from .experiment import Claim

__all__ = ["ENOUGH", "READING", "at_epoch", "in_spread", "oscillates", "overall", "together"]

READING = 1.3
"""How far a value read off a logarithmic plot may be off, as a factor."""
ENOUGH = 5
"""Draws of the coefficients from which on a value outside their spread counts against the claim."""


def at_epoch(run: Solution, name: str, epoch: float) -> float | None:
    """Return a recorded quantity around an epoch: the geometric mean of the records within 5 per cent of it.

    Parameters
    ----------
    run : Solution
        A run.
    name : str
        A positive quantity.
    epoch : float
        When.

    Returns
    -------
    float or None
        None if the run was too short, infinity if it diverged.
    """
    if run.status is Status.NONFINITE:
        return np.inf
    epochs = run.history["epoch"]
    if run.status is Status.DONE and epochs[-1] < epoch:
        return None
    values = run.history[name].astype(np.float64)
    near = np.abs(epochs - epoch) <= max(0.05 * epoch, float(np.diff(epochs).max()))
    chosen = values[near] if near.any() else values[-1:]  # a stagnated run stays where it ended
    return float(np.exp(np.mean(np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))))


def in_spread(text: str, runs: Sequence[Solution], name: str, epoch: float, published: float) -> Claim:
    """Return the claim that a published value lies in the spread of the draws.

    Parameters
    ----------
    text : str
        What is claimed.
    runs : sequence of Solution
        One for each draw.
    name : str
        A recorded quantity.
    epoch : float
        When.
    published : float
        What the paper shows.
    """
    values = [at_epoch(run, name, epoch) for run in runs]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Claim(text, None, f"the runs end before epoch {epoch:g}")
    low, high = min(known), max(known)
    inside = low / READING <= published <= high * READING
    return Claim(
        text,
        True if inside else False if len(known) >= ENOUGH else None,
        f"at epoch {epoch:g} {low:.1e} to {high:.1e} over {len(known)} draws; paper {published:.1e}",
    )


def together(text: str, curves: Sequence[Sequence[Solution]], name: str, epoch: float, within: float) -> Claim:
    """Return the claim that curves agree within a relative tolerance at an epoch, for every draw.

    Parameters
    ----------
    text : str
        What is claimed.
    curves : sequence of sequences of Solution
        For each curve a run for each draw.
    name : str
        A recorded quantity.
    epoch : float
        When.
    within : float
        The largest quotient of two of them, less 1.
    """
    worst = 0.0
    for runs in zip(*curves, strict=True):
        values = [at_epoch(run, name, epoch) for run in runs]
        if any(value is None for value in values):
            return Claim(text, None, f"the runs end before epoch {epoch:g}")
        found = np.asarray(values, dtype=np.float64)
        worst = max(worst, float(found.max() / found.min() - 1) if np.isfinite(found).all() else np.inf)
    return Claim(text, worst <= within, f"at epoch {epoch:g} up to {worst:.1%} apart, over all draws")


def oscillates(run: Solution, name: str, until: float, by: float) -> float:
    """Return the share of records up to an epoch at which a quantity has risen by more than a factor 1 + `by`.

    Parameters
    ----------
    run : Solution
        A run.
    name : str
        A positive quantity.
    until : float
        The last epoch that counts.
    by : float
        What counts as a rise.
    """
    values = run.history[name][run.history["epoch"] <= until].astype(np.float64)
    return float(np.mean(values[1:] > (1 + by) * values[:-1])) if len(values) > 1 else 0.0


def overall(claims: Iterable[Claim], changed: str = "") -> str:
    """Return the verdict on a figure: reproduced (with a stated change), refuted, or not decided, and why.

    What fails with a stated change does not refute what was printed without it.

    Parameters
    ----------
    claims : iterable of Claim
        All of them.
    changed : str
        What was not done as in the paper; empty if nothing.
    """
    claims = list(claims)
    failing = [f"{claim.text} fails ({claim.evidence})" for claim in claims if claim.holds is False]
    if failing and changed:
        return f"not decided: with a stated change ({changed}) {'; '.join(failing)}"
    if failing:
        return f"refuted: {'; '.join(failing)}"
    undecided = [f"{claim.text} ({claim.evidence})" for claim in claims if claim.holds is None]
    if undecided:
        return f"not decided: {'; '.join(undecided)}"
    return f"reproduced with a stated change: {changed}" if changed else "reproduced"
