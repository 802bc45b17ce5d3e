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

__all__ = [
    "ENOUGH",
    "READING",
    "at_epoch",
    "ends_above",
    "in_spread",
    "oscillates",
    "overall",
    "together",
    "told",
    "told_spread",
]

READING = 1.3
"""How far a value read off a logarithmic plot may be off, as a factor."""
ENOUGH = 5
"""Draws of the coefficients from which on a value outside their spread counts against the claim."""


def at_epoch(run: Solution, name: str, epoch: float) -> float | None:
    """Return a recorded quantity around an epoch: the geometric mean of the records within 5 per cent of it, or one record's spacing.

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
        None if the run was too short, infinity if it had diverged by then.
    """
    epochs = run.history["epoch"]
    if run.status is Status.NONFINITE and epochs[-1] <= epoch:
        return np.inf
    if run.status is Status.DONE and epochs[-1] < epoch and not run.message.startswith("stationary"):
        return None
    values = run.history[name].astype(np.float64)
    spacing = float(np.diff(epochs).max()) if len(epochs) > 1 else 0.0
    near = np.abs(epochs - epoch) <= max(0.05 * epoch, spacing)
    chosen = values[near] if near.any() else values[-1:]  # a run that stands still stays where it ended
    return float(np.exp(np.mean(np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))))


def in_spread(text: str, runs: Sequence[Solution], name: str, epoch: float, published: float) -> Claim:
    """Return the claim that a published value lies in the spread of the draws. A draw that diverges makes it fail.

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
    finite = [value for value in known if np.isfinite(value)]
    inside = len(finite) == len(known) and min(finite) / READING <= published <= max(finite) * READING
    told = f"{min(finite):.1e} to {max(finite):.1e} over {len(finite)} draws" if finite else "no finite value"
    if len(finite) < len(known):
        told += f", divergence for {len(known) - len(finite)}"
    return Claim(
        text,
        True if inside else False if len(known) >= ENOUGH else None,
        f"at epoch {epoch:g} {told}; paper {published:.1e}",
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


def ends_above(
    text: str,
    high: Sequence[Solution],
    low: Sequence[Solution],
    epoch: float,
    factor: float,
    *,
    name: str = "train_error",
) -> Claim:
    """Return the claim that one curve is at least a factor above another at an epoch, for every draw.

    Parameters
    ----------
    text : str
        What is claimed.
    high, low : sequence of Solution
        For each draw a run of the higher and of the lower curve.
    epoch : float
        When.
    factor : float
        The least quotient of the two.
    name : str
        A positive quantity that was recorded.

    Returns
    -------
    Claim
        Not decided if a run ended before the epoch. A divergent run counts as infinitely high.
    """
    quotients = []
    for above, below in zip(high, low, strict=True):
        a, b = (at_epoch(run, name, epoch) for run in (above, below))
        if a is None or b is None:
            return Claim(text, None, f"the runs end before epoch {epoch:g}")
        quotients.append(0.0 if b == np.inf else a / b)
    return Claim(text, min(quotients) >= factor, f"at epoch {epoch:g} their quotient is {told_spread(quotients)}")


def told_spread(values: Sequence[float]) -> str:
    """Return the median of the draws' values with their range, and how many they are; infinity is divergence.

    Parameters
    ----------
    values : sequence of float
        One for each draw.
    """
    if len(values) == 1:
        return f"{values[0]:.2g} (1 draw)"
    return f"{np.median(values):.2g} ({min(values):.2g} to {max(values):.2g}, {len(values)} draws)"


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


def told(*changes: str) -> str:
    """Return the stated changes of a run as one text, without the empty ones.

    Parameters
    ----------
    *changes : str
        What was not done as in the paper.
    """
    return ", ".join(change for change in changes if change)


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
