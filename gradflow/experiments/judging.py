r"""Claims about curves, decided from runs over several draws of unpublished coefficients.

A published value, read off a plot to some 30 per cent, is judged by whether it lies in the spread of the draws, widened by
that reading error. One that does not is one more draw, if the figure is right, and n draws say where it may be: the logarithms
taken as normal, 95 per cent of further draws are within

.. math:: \bar x \pm t_{n-1,\,0.975}\; s\, \sqrt{1 + 1/n}                                                   \tag{1}

of mean and standard deviation of n draws. Beyond that, widened likewise, the claim fails; between it is open.

What a figure shows of one curve beside another is one draw's: it holds if every draw here shows it, fails if none of at least
`ENOUGH` does (or of fewer, where an experiment says so), and is open between. A run that ended before the epoch in
question decides nothing, unless it diverged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..run.solution import Solution, Status
from .experiment import Claim
from .verdicts import too_short
from .words import median_text, range_text

__all__ = [
    "ENOUGH",
    "OFTEN",
    "READING",
    "at_epoch",
    "ends_above",
    "further_draws",
    "in_spread",
    "oscillates",
    "over_draws",
    "together",
]

READING = 1.3
"""How far a value read off a logarithmic plot may be off, as a factor."""
ENOUGH = 5
"""Draws of the coefficients from which on they count against a claim."""
OFTEN = 0.05
"""Share of the records at which a curve must rise to be said to oscillate: one rise alone is none."""


def at_epoch(run: Solution, name: str, epoch: float, *, average: bool = True) -> float | None:
    """Return a recorded quantity around an epoch: the geometric mean of the records within 5 per cent of it, or one record's spacing.

    Parameters
    ----------
    run : Solution
        A run.
    name : str
        A positive quantity.
    epoch : float
        When.
    average : bool
        False takes the first record at or after the epoch alone, whatever its sign: of what changes fast.

    Returns
    -------
    float or None
        None if the run was too short, infinity if it had diverged by then; the last record of a run that stands still.
    """
    epochs = run.history["epoch"]
    if run.status is Status.NONFINITE and epochs[-1] <= epoch:
        return np.inf
    if run.status is Status.DONE and epochs[-1] < epoch and not run.message.startswith("stationary"):
        return None
    values = run.history[name].astype(np.float64)
    if not average:
        return float(values[min(int(np.searchsorted(epochs, epoch)), len(values) - 1)])
    spacing = float(np.diff(epochs).max()) if len(epochs) > 1 else 0.0
    near = np.abs(epochs - epoch) <= max(0.05 * epoch, spacing)
    chosen = values[near] if near.any() else values[-1:]  # a run that stands still stays where it ended
    return float(np.exp(np.mean(np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))))


def in_spread(text: str, runs: Sequence[Solution], name: str, epoch: float, published: float) -> Claim:
    """Return the claim that a published value lies in the spread of the draws. Draws that diverge make it fail, if there are enough.

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
        return Claim(text, None, too_short(epoch))
    finite = [value for value in known if np.isfinite(value)]
    inside = len(finite) == len(known) and min(finite) / READING <= published <= max(finite) * READING
    found = f"{range_text(finite)} over {len(finite)} draws" if finite else "no finite value"
    if len(finite) < len(known):
        found += f", divergence for {len(known) - len(finite)}"
    evidence = f"at epoch {epoch:g} {found}; paper {published:.1e}"
    if inside or len(known) < ENOUGH:
        return Claim(text, inside or None, evidence)
    if len(finite) < len(known):
        return Claim(text, False, evidence)
    low, high = further_draws(finite)
    expected = f"; 95% of further draws are expected in {low:.1e} to {high:.1e}"
    return Claim(text, None if low / READING <= published <= high * READING else False, evidence + expected)


def further_draws(values: Sequence[float]) -> tuple[float, float]:
    """Return the interval (1) in which 95 per cent of further draws are expected, their logarithms taken as normal.

    Parameters
    ----------
    values : sequence of float
        Of at least two draws, > 0.

    Examples
    --------
    >>> low, high = further_draws([1e-3, 1e-2, 1e-1])
    >>> f"{low:.0e} to {high:.0e}"
    '1e-07 to 9e+02'
    """
    from scipy.special import stdtrit  # here, so that a list of the experiments does not wait for SciPy

    logs = np.log(values)
    half = float(stdtrit(len(logs) - 1, 0.975) * np.std(logs, ddof=1) * np.sqrt(1 + 1 / len(logs)))
    middle = float(np.mean(logs))
    return float(np.exp(middle - half)), float(np.exp(middle + half))


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
            return Claim(text, None, too_short(epoch))
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
            return Claim(text, None, too_short(epoch))
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


def _of(shown: Sequence[bool]) -> str:
    """Return how many draws show what is claimed."""
    return f"{sum(shown)} of {len(shown)} draws"
