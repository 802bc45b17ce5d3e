"""Claims about curves, decided from runs over several draws of unpublished coefficients.

A published value, read off a plot to some 30 per cent, is judged by whether it lies in the spread of the draws, widened by
that reading error. What a figure shows of one curve beside another is one draw's: it holds if every draw here shows it, fails if
none of at least `ENOUGH` does, and is open between. A run that ended before the epoch in question decides nothing, unless it
diverged. Only what was run as printed can refute a figure, or what fails whatever was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..solution import Solution, Status
from .experiment import Claim
from .words import median_text, range_text

__all__ = [
    "ENOUGH",
    "OFTEN",
    "READING",
    "at_epoch",
    "ends_above",
    "failed",
    "in_spread",
    "oscillates",
    "over_draws",
    "overall",
    "together",
    "told",
]

READING = 1.3
"""How far a value read off a logarithmic plot may be off, as a factor."""
ENOUGH = 5
"""Draws of the coefficients from which on a value outside their spread counts against the claim."""
OFTEN = 0.05
"""Share of the records at which a curve must rise to be said to oscillate: one rise alone is none."""


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
        return Claim(text, None, _too_short(epoch))
    finite = [value for value in known if np.isfinite(value)]
    inside = len(finite) == len(known) and min(finite) / READING <= published <= max(finite) * READING
    found = f"{range_text(finite)} over {len(finite)} draws" if finite else "no finite value"
    if len(finite) < len(known):
        found += f", divergence for {len(known) - len(finite)}"
    return Claim(
        text,
        True if inside else False if len(known) >= ENOUGH else None,
        f"at epoch {epoch:g} {found}; paper {published:.1e}",
    )


def over_draws(shown: Sequence[bool], *, enough: int = ENOUGH) -> bool | None:
    """Return whether a claim holds of which each draw shows something: all do, none of enough does, or open.

    Parameters
    ----------
    shown : sequence of bool
        For each draw whether it shows what is claimed.
    enough : int
        Draws from which on a claim fails that none of them shows.

    Examples
    --------
    >>> over_draws([True, True]), over_draws([False] * 5), over_draws([False, True, False, False, False])
    (True, False, None)
    """
    return True if all(shown) else False if not any(shown) and len(shown) >= enough else None


def together(text: str, curves: Sequence[Sequence[Solution]], name: str, epoch: float, within: float) -> Claim:
    """Return the claim that curves agree within a relative tolerance at an epoch.

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

    Returns
    -------
    Claim
        Decided by `over_draws`. A divergent run agrees with none.
    """
    gaps = []
    for runs in zip(*curves, strict=True):
        values = [at_epoch(run, name, epoch) for run in runs]
        if any(value is None for value in values):
            return Claim(text, None, _too_short(epoch))
        found = np.asarray(values, dtype=np.float64)
        gaps.append(float(found.max() / found.min() - 1) if np.isfinite(found).all() else np.inf)
    shown = [gap <= within for gap in gaps]
    return Claim(text, over_draws(shown), f"at epoch {epoch:g} they are {range_text(gaps, '.1%')} apart, {_of(shown)}")


def ends_above(
    text: str,
    higher: Sequence[Sequence[Solution]],
    lower: Sequence[Sequence[Solution]],
    epoch: float,
    factor: float = READING,
    *,
    name: str = "train_error",
    enough: int = ENOUGH,
) -> Claim:
    """Return the claim that the lowest of some curves is at least a factor above the highest of others at an epoch.

    Parameters
    ----------
    text : str
        What is claimed.
    higher, lower : sequence of sequences of Solution
        For each of the higher and of the lower curves a run for each draw.
    epoch : float
        When.
    factor : float
        The least quotient; by default what is above in a plot beyond the error of reading it.
    name : str
        A positive quantity that was recorded.
    enough : int
        As for `over_draws`.

    Returns
    -------
    Claim
        Decided by `over_draws`; open if a run ended before the epoch. A divergent run counts as infinitely high, and is
        above no other divergent one.
    """
    quotients = []
    for of_draw in zip(zip(*higher, strict=True), zip(*lower, strict=True), strict=True):
        above, below = ([at_epoch(run, name, epoch) for run in group] for group in of_draw)
        low, high = ([value for value in group if value is not None] for group in (above, below))
        if len(low) < len(above) or len(high) < len(below):
            return Claim(text, None, _too_short(epoch))
        quotients.append(0.0 if max(high) == np.inf else min(low) / max(high))
    shown = [quotient >= factor for quotient in quotients]
    found = median_text(quotients, ".2g", infinite="infinite")
    asked = f"at least {factor:g} was asked for, {_of(shown)}"
    return Claim(text, over_draws(shown, enough=enough), f"at epoch {epoch:g} their quotient is {found}; {asked}")


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
    """Return the verdict on a figure: reproduced (in part, or with a stated change), refuted, or not decided, and why.

    What fails with a stated change does not refute what was printed without it, unless the claim says so (`Claim.regardless`): the
    figure then is reproduced in part, or not.

    Parameters
    ----------
    claims : iterable of Claim
        All of them.
    changed : str
        What was not done as in the paper; empty if nothing.
    """
    claims = list(claims)
    of = {answer: [claim for claim in claims if claim.holds is answer] for answer in (True, False, None)}
    against = [claim for claim in of[False] if claim.regardless or not changed]
    if against:
        return f"refuted: {'; '.join(f'{claim.text} fails ({claim.evidence})' for claim in against)}"
    failing, undecided = ("; ".join(f"{claim.text} ({claim.evidence})" for claim in of[no]) for no in (False, None))
    count = f"{len(of[True])} of {len(claims)} claims hold" + f", {len(of[None])} are open" * bool(undecided)
    if failing:
        return f"{failed(of[True], changed)}; {count}; what fails: {failing}"
    if undecided:
        return f"not decided: {count}: {undecided}"
    return f"reproduced with a stated change: {changed}" if changed else "reproduced"


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


def _too_short(epoch: float) -> str:
    return f"the runs end before epoch {epoch:g}"


def _of(shown: Sequence[bool]) -> str:
    """Return how many draws show what is claimed."""
    return f"{sum(shown)} of {len(shown)} draws"
