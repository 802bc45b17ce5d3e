"""Claims about orders of magnitude, decided from several draws and from every form in which a method is printed.

The study names no numbers but orders of magnitude, of one run with unpublished seeds and initial parameters. A
published order is met if it lies in the range of the draws widened by half a decade to both sides, and missed if it
is more than a further decade away from every one of at least `DRAWS` draws. A draw that diverged is of no order: it
does not stretch the range, and it misses every order, unless the published error is a blow-up itself. A method printed in
several forms meets it as soon as one of them does, and misses it when all do. A run that is too short decides nothing,
unless it has ended by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, isnan, sqrt

import numpy as np

from ...solution import Solution
from ..experiment import Claim
from ..judging import at_epoch
from .thresholds import epochs_to

__all__ = [
    "DRAWS",
    "HALF_DECADE",
    "describe_range",
    "end",
    "level",
    "never_below",
    "of_order",
    "verdict",
    "whenever",
]

HALF_DECADE = sqrt(10)
"""How far a value may be from an order of magnitude that is its own, as a factor."""
MISSED = 10 * HALF_DECADE
"""From which factor on it is another order for certain."""
DRAWS = 3
"""Draws from which on a missed order counts against the claim."""


def level(run: Solution, name: str, epoch: float) -> float | None:
    """Return a recorded error around an epoch; None if the run was too short, infinity if it diverged.

    Parameters
    ----------
    run : Solution
        A run.
    name : str
        A positive quantity.
    epoch : float
        When.
    """
    value = at_epoch(run, name, epoch)
    return inf if value is not None and isnan(value) else value


def describe_range(values: Sequence[float]) -> str:
    """Return the range of numbers as text; infinity is divergence.

    Parameters
    ----------
    values : sequence of float
        At least one.
    """
    low, high = (f"{value:.1e}" if value < inf else "divergence" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def of_order(
    text: str,
    forms: Mapping[str, Sequence[Solution]],
    name: str,
    epoch: float,
    low: float,
    high: float,
    *,
    epochs_of: Mapping[str, float] | None = None,
    blow_up: bool = False,
) -> Claim:
    """Return the claim that an error is of a published order of magnitude at an epoch.

    Parameters
    ----------
    text : str
        What is claimed.
    forms : mapping of str to sequence of Solution
        For each form of the method a run for each draw.
    name : str
        A recorded error.
    epoch : float
        When.
    low, high : float
        The published order, or the orders between which it lies; in the units of the error. With ``low = 0`` an error
        below `high` is as good: a method that does better than was published does not miss it.
    epochs_of : mapping of str to float, optional
        Of forms that run to another epoch.
    blow_up : bool
        Whether the published error is a blow-up itself: an error that has grown by decades and, by what is published,
        stays there. A draw that diverged does not stay, so it is not of that order; but where a blow-up ends depends on
        the initial parameters, which are not published, so it does not miss it either: it says nothing.
    """
    found: list[str] = []
    holds: list[bool | None] = []
    for form, runs in forms.items():
        until = (epochs_of or {}).get(form, epoch)
        values = [level(run, name, until) for run in runs]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            ends = [end(run, name) for run in runs]
            last = max(float(run.history["epoch"][-1]) for run in runs)
            found.append(f"{form} {describe_range(ends)} after {last:.0f} epochs, too few")
            holds.append(None)
            continue
        found.append(f"{form} {describe_range(known)}")
        finite = [value for value in known if value < inf]
        telling = finite if blow_up else known
        away = [max(low / value if value else inf, value / high, 1.0) for value in telling]
        meets = bool(finite) and min(finite) <= high * HALF_DECADE and max(finite) >= low / HALF_DECADE
        missed = len(telling) >= DRAWS and min(away) > MISSED
        holds.append(True if meets else False if missed else None)
    answer = True if True in holds else None if None in holds else False
    published = f"{low:.0e}" if low == high else f"{low:.0e} to {high:.0e}" if low else f"{high:.0e} (or less)"
    return Claim(text, answer, f"{'; '.join(found)}; published {published}, epoch {epoch:g}")


def never_below(
    text: str, forms: Mapping[str, Sequence[Solution]], name: str, thresholds: Sequence[float], epoch: float
) -> Claim:
    """Return the claim that no run of any form gets an error to a threshold up to an epoch.

    Parameters
    ----------
    text : str
        What is claimed.
    forms : mapping of str to sequence of Solution
        For each form a run for each draw.
    name : str
        A recorded error.
    thresholds : sequence of float
        For each draw, in the units of the error.
    epoch : float
        Up to when; a shorter run that has not reached the threshold decides nothing.
    """
    reach = {
        form: sum(epochs_to(run, name, at) <= epoch for run, at in zip(runs, thresholds, strict=True))
        for form, runs in forms.items()
    }
    some = [f"{form} in {n} of {len(forms[form])} draws" for form, n in reach.items() if n]
    if some:
        return Claim(text, False, f"it is reached by {', '.join(some)}")
    short = any(level(run, name, epoch) is None for runs in forms.values() for run in runs)
    least = min(float(np.nanmin(run.history[name])) for runs in forms.values() for run in runs)
    return Claim(text, None if short else True, f"the least of all recorded values is {least:.1e}")


def whenever(
    text: str, runs: Sequence[Solution], holds: Callable[[Solution], bool], told: Callable[[Solution], str]
) -> Claim:
    """Return the claim that something is true of every run; None if there is no run.

    Parameters
    ----------
    text : str
        What is claimed.
    runs : sequence of Solution
        Of which.
    holds : callable
        Whether it is true of a run.
    told : callable
        What a run says about it.
    """
    if not runs:
        return Claim(text, None, "no such draw")
    return Claim(text, all(holds(run) for run in runs), "; ".join(told(run) for run in runs))


def verdict(published: Sequence[Claim], explained: Sequence[Claim], init: str, changed: str = "") -> str:
    """Return the verdict: on what was published, and how much of it the explanations hold for.

    Parameters
    ----------
    published : sequence of Claim
        What the study states.
    explained : sequence of Claim
        Why, as the runs show it; these do not decide the first words.
    init : str
        The law of the initial parameters, which the study leaves unsaid: a refutation is one for that law.
    changed : str
        What was not done as printed; empty if nothing. What fails with a change refutes nothing.
    """
    of = {answer: [claim for claim in published if claim.holds is answer] for answer in (True, False, None)}
    count = f"{len(of[True])} of {len(published)} statements hold, {len(of[False])} fail, {len(of[None])} are open"
    failing = "; ".join(claim.text for claim in of[False])
    held = sum(claim.holds is True for claim in explained)
    why = f"; {held} of {len(explained)} explanations hold" if explained else ""
    if of[False] and not changed:
        start = f"from initial parameters of the law {init}, which the study leaves unsaid"
        return f"refuted ({start}): {count}; what fails: {failing}{why}"
    if of[False] or of[None]:
        with_change = f"with a stated change ({changed}) " if changed else ""
        return f"not decided: {with_change}{count}{f'; what fails: {failing}' if failing else ''}{why}"
    return f"reproduced with a stated change: {changed}{why}" if changed else f"reproduced: {count}{why}"


def end(run: Solution, name: str) -> float:
    """Return the last record of an error, infinity if it is NaN.

    Parameters
    ----------
    run : Solution
        A run.
    name : str
        A recorded error.
    """
    value = float(run.history[name][-1])
    return inf if isnan(value) else value
