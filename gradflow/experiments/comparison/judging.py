"""Errors at equal epochs and at equal processor time, and what may be claimed of them.

Methods meet seed by seed: of one seed all have the same data, start and batches. One ends *below* another if its error
is more than `MARGIN` lower for every seed; it does not if that is so for no seed; otherwise, or with fewer than
`SEEDS` seeds, the run cannot tell. Nor can it when the one that comes out worse has its best dt or constant at the edge of
what was tried: another one might have helped it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..experiment import Claim
from ..words import median_text
from .methods import ADAM, EULER, RELAXED, RESTARTED, RESTARTED_IEQ, VANILLA
from .tuning import TunedMethod, error_at

__all__ = [
    "MARGIN",
    "SEEDS",
    "TunedMethods",
    "below",
    "best_first",
    "epochs_in_time",
    "errors",
    "judge_problem",
    "summary",
]

MARGIN = 0.1
"""What counts as lower, relative."""
SEEDS = 3
"""Seeds from which on a claim is decided."""

TunedMethods: TypeAlias = Mapping[str, TunedMethod]
"""The methods on one problem, by label."""


def epochs_in_time(methods: TunedMethods, label: str, epochs: int) -> float:
    """Return how many epochs a method makes while gradient descent makes `epochs`, at most as many.

    Parameters
    ----------
    methods : mapping of str to TunedMethod
        All methods.
    label : str
        Which one.
    epochs : int
        Of gradient descent.
    """
    return epochs * min(1.0, methods[EULER].seconds / methods[label].seconds)


def errors(methods: TunedMethods, name: str, epochs: int, *, equal_time: bool) -> dict[str, NDArray[np.float64]]:
    """Return the errors of every method, shape (number of seeds,), at equal epochs or at equal processor time.

    Parameters
    ----------
    methods : mapping of str to TunedMethod
        All methods.
    name : str
        A recorded error.
    epochs : int
        Of all, or of gradient descent.
    equal_time : bool
        Which of the two.
    """
    return {
        label: np.asarray(
            [
                error_at(run, name, epochs_in_time(methods, label, epochs) if equal_time else epochs)
                for run in method.runs
            ]
        )
        for label, method in methods.items()
    }


def below(methods: TunedMethods, found: Mapping[str, NDArray[np.float64]], one: str, other: str) -> bool | None:
    """Return whether one method ends below another; None if this run cannot tell.

    `gradflow.experiments.judging.ends_above` does not serve here: it holds from one draw on, knows no dt or constant at the edge of what
    was tried, and takes both curves at one epoch, where equal time has one for each.

    Parameters
    ----------
    methods : mapping of str to TunedMethod
        All methods.
    found : mapping of str to array (number of seeds,)
        From `errors`.
    one, other : str
        Labels.
    """
    lower = found[one] < (1 - MARGIN) * found[other]
    if len(lower) < SEEDS or (lower.any() and not lower.all()):
        return None
    loser = other if lower.all() else one
    return None if methods[loser].tuned.at_edge else bool(lower.all())


def best_first(found: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Return the labels by their median error, the lowest first.

    Parameters
    ----------
    found : mapping of str to array (number of seeds,)
        From `errors`.
    """
    return sorted(found, key=lambda label: float(np.median(found[label])))


def judge_problem(title: str, methods: TunedMethods, epochs: int) -> list[Claim]:
    """Return what is claimed of the methods on one problem, and whether the data say so.

    Parameters
    ----------
    title : str
        Of the problem.
    methods : mapping of str to TunedMethod
        All methods.
    epochs : int
        Of all runs.
    """
    train, timed = (errors(methods, "energy", epochs, equal_time=equal) for equal in (False, True))
    test = errors(methods, "test_error", epochs, equal_time=False)
    forms = [VANILLA, RESTARTED, RELAXED]
    helped = [below(methods, train, form, EULER) for form in forms[1:]]
    above = below(methods, train, EULER, VANILLA)
    adam = [below(methods, train, ADAM, form) for form in forms]
    first, first_timed, first_test = best_first(train)[0], best_first(timed)[0], best_first(test)[0]
    enough = len(train[EULER]) >= SEEDS
    edges = [label for label, method in methods.items() if method.tuned.at_edge]
    return [
        Claim(
            f"{title}: restarted or relaxed SAV ends below gradient descent",
            True if True in helped else None if None in helped else False,
            _spreads(train, [RESTARTED, RELAXED, EULER]),
        ),
        Claim(
            f"{title}: vanilla SAV does not end above gradient descent",
            None if above is None else not above,
            _spreads(train, [VANILLA, EULER]),
        ),
        Claim(
            f"{title}: Adam ends below SAV in each of its three forms",
            False if False in adam else None if None in adam else True,
            _spreads(train, [ADAM, *forms]),
        ),
        Claim(
            f"{title}: restarted IEQ ends lowest at equal epochs",
            _lowest(methods, train, RESTARTED_IEQ),
            _spreads(train, _ahead(train, RESTARTED_IEQ)) + _edges(methods, RESTARTED_IEQ),
        ),
        Claim(
            f"{title}: restarted IEQ ends lowest at equal processor time",
            _lowest(methods, timed, RESTARTED_IEQ),
            f"it makes {epochs_in_time(methods, RESTARTED_IEQ, epochs):.3g} of {epochs} epochs: "
            + _spreads(timed, _ahead(timed, RESTARTED_IEQ))
            + _edges(methods, RESTARTED_IEQ),
        ),
        Claim(
            f"{title}: the same method has the lowest median at equal epochs and at equal processor time",
            first == first_timed if enough else None,
            f"{first} and {first_timed}",
        ),
        Claim(
            f"{title}: the method of the lowest train error has the lowest test error",
            first == first_test if enough else None,
            f"{first} has the test error {_medians(test, [first])}, the lowest is {_medians(test, [first_test])} "
            f"({first_test})",
        ),
        Claim(
            f"{title}: the best dt and constant of every method lie inside what was tried",
            not edges,
            f"at the edge: {', '.join(edges)}" if edges else f"all {len(methods)} methods",
        ),
    ]


def summary(problems: Mapping[str, TunedMethods], epochs: int) -> str:
    """Return the verdict: which method came out first, and where gradient descent ended.

    Parameters
    ----------
    problems : mapping of str to mapping of str to TunedMethod
        For each problem's title the methods.
    epochs : int
        Of all runs.
    """
    lowest = []
    for title, methods in problems.items():
        winners = []
        for budget, equal_time in ((f"after {epochs} epochs", False), ("at equal processor time", True)):
            found = errors(methods, "energy", epochs, equal_time=equal_time)
            first = best_first(found)[0]
            of_euler = "" if first == EULER else f"; gradient descent {np.median(found[EULER]):.1e}"
            winners.append(f"{first} {budget} (train error {np.median(found[first]):.1e}{of_euler})")
        lowest.append(f"lowest on {title} are {' and '.join(winners)}")
    return f"measured: {'; '.join(lowest)}"


def _lowest(methods: TunedMethods, found: Mapping[str, NDArray[np.float64]], label: str) -> bool | None:
    """Return whether a method ends below every other; False if one of them is not above it, None if open."""
    answers = [below(methods, found, label, other) for other in found if other != label]
    return False if False in answers else None if None in answers else True


def _ahead(found: Mapping[str, NDArray[np.float64]], label: str) -> list[str]:
    """Return a label and that of the best of all others."""
    return [label, next(other for other in best_first(found) if other != label)]


def _edges(methods: TunedMethods, label: str) -> str:
    """Return which other methods might have done better with a dt or a constant that was not tried."""
    others = [other for other, method in methods.items() if other != label and method.tuned.at_edge]
    return f"; best dt or constant at the edge of what was tried: {', '.join(others)}" if others else ""


def _medians(found: Mapping[str, NDArray[np.float64]], labels: Sequence[str]) -> str:
    return ", ".join(f"{np.median(found[label]):.2e}" for label in labels)


def _spreads(found: Mapping[str, NDArray[np.float64]], labels: Sequence[str]) -> str:
    return ", ".join(f"{label} {median_text(found[label], '.2e')}" for label in labels)
