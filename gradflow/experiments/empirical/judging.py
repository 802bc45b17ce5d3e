"""Claims about runs of several draws and several forms, and the verdict on what the study states.

A run that is too short decides nothing, unless it has ended by itself. Claims about orders of magnitude, which is what
the study mostly states, are in `gradflow.experiments.empirical.orders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, isnan

import numpy as np

from ...run.solution import Solution
from ..experiment import Claim
from ..judging import at_epoch
from ..verdicts import failed, told
from .thresholds import epochs_to

__all__ = [
    "DRAWS",
    "any_of",
    "end",
    "level",
    "never_below",
    "one_form",
    "start",
    "unless_short",
    "verdict",
    "whenever",
]

DRAWS = 3
"""Draws from which on a published value that is missed in all of them counts against the claim."""


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


def any_of(holds: Iterable[bool | None]) -> bool | None:
    """Return whether a claim holds of one of several forms: true if one is, open if one is, false if all are.

    Parameters
    ----------
    holds : iterable of bool or None
        For each form whether the claim holds of it; None where that is open.
    """
    answers = list(holds)
    return True if True in answers else None if None in answers else False


def one_form(family: str, answers: Mapping[str, Sequence[bool | None]]) -> list[Claim]:
    """Return the claim that one and the same form of a method shows all that is stated of it.

    Each statement is judged by the form that meets it, whichever that is; the method that was run had one form.

    Parameters
    ----------
    family : str
        The method.
    answers : mapping of str to sequence of bool or None
        For each form whether each statement holds of it; None where that is open.

    Returns
    -------
    list of Claim
        None where it says nothing new: of one form, of one statement, or where a statement fails of all forms.

    Examples
    --------
    >>> one_form("SAV", {"a": [True, False], "b": [False, True]})[0].holds
    False
    >>> one_form("SAV", {"a": [True, False], "b": [False, False]})
    []
    """
    statements = list(zip(*answers.values(), strict=True))
    if min(len(answers), len(statements)) < 2 or any(any_of(of_forms) is False for of_forms in statements):
        return []
    of_form = {form: False if False in each else None if None in each else True for form, each in answers.items()}
    found = "; ".join(
        f"{form} shows {sum(answer is True for answer in each)} of {len(each)}" + ", some open" * (None in each)
        for form, each in answers.items()
    )
    return [Claim(f"{family}: one form shows all of this", any_of(of_form.values()), found)]


def never_below(
    text: str,
    forms: Mapping[str, Sequence[Solution]],
    name: str,
    thresholds: Sequence[float],
    epoch: float,
    *,
    epochs_of: Mapping[str, float] | None = None,
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
    epochs_of : mapping of str to float, optional
        Of forms that run to another epoch.
    """
    until = {form: (epochs_of or {}).get(form, epoch) for form in forms}
    reach = {
        form: sum(epochs_to(run, name, at) <= until[form] for run, at in zip(runs, thresholds, strict=True))
        for form, runs in forms.items()
    }
    some = [f"{form} in {n} of {len(forms[form])} draws" for form, n in reach.items() if n]
    if some:
        return Claim(text, False, f"it is reached by {', '.join(some)}", regardless=True)
    short = any(level(run, name, until[form]) is None for form, runs in forms.items() for run in runs)
    least = min(float(np.nanmin(run.history[name])) for runs in forms.values() for run in runs)
    return Claim(text, None if short else True, f"the least of all recorded values is {least:.1e}")


def unless_short(holds: Sequence[bool], runs: Sequence[Solution], epochs: float) -> bool | None:
    """Return whether something is true of every run; None if it is not of one that was too short to tell.

    Parameters
    ----------
    holds : sequence of bool
        For each run whether it is true of it.
    runs : sequence of Solution
        The runs.
    epochs : float
        A run of fewer epochs that has not ended by itself is too short.
    """
    wrong = [run for run, true in zip(runs, holds, strict=True) if not true]
    short = any(at_epoch(run, "epoch", epochs) is None for run in wrong)  # it would be None of any quantity
    return None if short else not wrong


def whenever(
    text: str,
    runs: Sequence[Solution],
    holds: Callable[[Solution], bool],
    told: Callable[[Solution], str],
    *,
    epochs: float = 0.0,
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
    epochs : float
        As for `unless_short`; 0 if it can be told of every run.
    """
    if not runs:
        return Claim(text, None, "no such draw")
    answer = unless_short([holds(run) for run in runs], runs, epochs)
    return Claim(text, answer, "; ".join(told(run) for run in runs))


def verdict(published: Sequence[Claim], explained: Sequence[Claim], unsaid: str, changed: str = "") -> str:
    """Return the verdict: on what was published, and how much of it the explanations hold for.

    Parameters
    ----------
    published : sequence of Claim
        What the study states.
    explained : sequence of Claim
        Why, as the runs show it; these do not decide the first words.
    unsaid : str
        What the study leaves unsaid and was chosen here, such as the law of the initial parameters: a verdict is one for that choice.
    changed : str
        What was not done as printed; empty if nothing. What fails with a change refutes nothing.
    """
    of = {answer: [claim for claim in published if claim.holds is answer] for answer in (True, False, None)}
    count = f"{len(of[True])} of {len(published)} statements hold, {len(of[False])} fail, {len(of[None])} are open"
    refuting = [claim for claim in of[False] if claim.regardless or not changed]
    given = f"with {unsaid}, which the study leaves unsaid"
    failing = "; ".join(claim.text for claim in of[False])
    held = sum(claim.holds is True for claim in explained)
    why = f"; {held} of {len(explained)} explanations hold" if explained else ""
    if refuting and len(refuting) < len(of[False]):
        failing += f"; with the stated change ({changed}) {len(refuting)} of these refute: {'; '.join(claim.text for claim in refuting)}"
    if refuting:
        return f"refuted ({given}): {count}; what fails: {failing}{why}"
    if of[False]:
        return f"{failed(of[True], told(changed, given))}; {count}; what fails: {failing}{why}"
    if of[None]:
        return f"not decided: {f'with a stated change ({changed}) ' if changed else ''}{count}, {given}{why}"
    first = f"reproduced with a stated change: {changed}; " if changed else "reproduced: "
    return f"{first}{count}, {given}{why}"


def start(run: Solution, name: str) -> float:
    """Return the first record of an error.

    Parameters
    ----------
    run : Solution
        A run.
    name : str
        A recorded error.
    """
    return float(run.history[name][0])


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
