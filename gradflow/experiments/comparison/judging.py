"""Errors at equal epochs and at equal processor time, and what may be claimed of them.

Methods meet seed by seed: of one seed all have the same data, start and batches. One ends *below* another if its error
is more than `MARGIN` lower for every seed; it does not if that is so for no seed; otherwise, or with fewer than
`SEEDS` seeds, the run cannot tell. Nor can it when the one that comes out worse has its best dt at the edge of what
was tried: another dt might have helped it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..experiment import Claim
from .methods import ADAM, EULER, RELAXED, RESTARTED, RESTARTED_IEQ, VANILLA
from .tuning import Entry, error_at

__all__ = [
    "MARGIN",
    "SEEDS",
    "Entries",
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

Entries = Mapping[str, Entry]
"""The methods on one problem, by label."""


def epochs_in_time(entries: Entries, label: str, epochs: int) -> float:
    """Return how many epochs a method makes while gradient descent makes `epochs`, at most as many.

    Parameters
    ----------
    entries : mapping of str to Entry
        All methods.
    label : str
        Which one.
    epochs : int
        Of gradient descent.
    """
    return epochs * min(1.0, entries[EULER].seconds / entries[label].seconds)


def errors(entries: Entries, name: str, epochs: int, *, equal_time: bool) -> dict[str, NDArray[np.float64]]:
    """Return the errors of every method, shape (number of seeds,), at equal epochs or at equal processor time.

    Parameters
    ----------
    entries : mapping of str to Entry
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
                error_at(run, name, epochs_in_time(entries, label, epochs) if equal_time else epochs)
                for run in entry.runs
            ]
        )
        for label, entry in entries.items()
    }


def below(entries: Entries, found: Mapping[str, NDArray[np.float64]], one: str, other: str) -> bool | None:
    """Return whether one method ends below another; None if this run cannot tell.

    Parameters
    ----------
    entries : mapping of str to Entry
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
    return None if entries[loser].tuned.at_edge else bool(lower.all())


def best_first(found: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Return the labels by their median error, the lowest first.

    Parameters
    ----------
    found : mapping of str to array (number of seeds,)
        From `errors`.
    """
    return sorted(found, key=lambda label: float(np.median(found[label])))


def judge_problem(title: str, entries: Entries, epochs: int) -> list[Claim]:
    """Return what is claimed of the methods on one problem, and whether the data say so.

    Parameters
    ----------
    title : str
        Of the problem.
    entries : mapping of str to Entry
        All methods.
    epochs : int
        Of all runs.
    """
    train, timed = (errors(entries, "energy", epochs, equal_time=equal) for equal in (False, True))
    test = errors(entries, "test_error", epochs, equal_time=False)
    forms = [VANILLA, RESTARTED, RELAXED]
    helped = [below(entries, train, form, EULER) for form in forms[1:]]
    above = below(entries, train, EULER, VANILLA)
    adam = [below(entries, train, ADAM, form) for form in forms]
    first, first_timed, first_test = best_first(train)[0], best_first(timed)[0], best_first(test)[0]
    enough = len(train[EULER]) >= SEEDS
    edges = [label for label, entry in entries.items() if entry.tuned.at_edge]
    return [
        Claim(
            f"{title}: restarted or relaxed SAV ends below gradient descent",
            True if True in helped else None if None in helped else False,
            _told(train, [RESTARTED, RELAXED, EULER]),
        ),
        Claim(
            f"{title}: vanilla SAV does not end above gradient descent",
            None if above is None else not above,
            _told(train, [VANILLA, EULER]),
        ),
        Claim(
            f"{title}: Adam ends below SAV in each of its three forms",
            False if False in adam else None if None in adam else True,
            _told(train, [ADAM, *forms]),
        ),
        Claim(
            f"{title}: restarted IEQ ends lowest at equal epochs",
            _lowest(entries, train, RESTARTED_IEQ),
            _told(train, _ahead(train, RESTARTED_IEQ)) + _edges(entries, RESTARTED_IEQ),
        ),
        Claim(
            f"{title}: restarted IEQ ends lowest at equal processor time",
            _lowest(entries, timed, RESTARTED_IEQ),
            f"it makes {epochs_in_time(entries, RESTARTED_IEQ, epochs):.3g} of {epochs} epochs: "
            + _told(timed, _ahead(timed, RESTARTED_IEQ))
            + _edges(entries, RESTARTED_IEQ),
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
            f"{title}: the best dt of every method lies inside what was tried",
            not edges,
            f"at the edge: {', '.join(edges)}" if edges else f"all {len(entries)} methods",
        ),
    ]


def summary(problems: Mapping[str, Entries], epochs: int) -> str:
    """Return the verdict: which method came out first, and where gradient descent ended.

    Parameters
    ----------
    problems : mapping of str to mapping of str to Entry
        For each problem's title the methods.
    epochs : int
        Of all runs.
    """
    told = []
    for title, entries in problems.items():
        places = []
        for budget, equal_time in ((f"after {epochs} epochs", False), ("at equal processor time", True)):
            found = errors(entries, "energy", epochs, equal_time=equal_time)
            first = best_first(found)[0]
            of_euler = "" if first == EULER else f"; gradient descent {np.median(found[EULER]):.1e}"
            places.append(f"{first} {budget} (train error {np.median(found[first]):.1e}{of_euler})")
        told.append(f"lowest on {title} are {' and '.join(places)}")
    return f"measured: {'; '.join(told)}"


def _lowest(entries: Entries, found: Mapping[str, NDArray[np.float64]], label: str) -> bool | None:
    """Return whether a method ends below every other; False if one of them is not above it, None if open."""
    answers = [below(entries, found, label, other) for other in found if other != label]
    return False if False in answers else None if None in answers else True


def _ahead(found: Mapping[str, NDArray[np.float64]], label: str) -> list[str]:
    """Return a label and that of the best of all others."""
    return [label, next(other for other in best_first(found) if other != label)]


def _edges(entries: Entries, label: str) -> str:
    """Return which other methods might have done better with a dt that was not tried."""
    others = [other for other, entry in entries.items() if other != label and entry.tuned.at_edge]
    return f"; best dt at the edge of what was tried: {', '.join(others)}" if others else ""


def _medians(found: Mapping[str, NDArray[np.float64]], labels: Sequence[str]) -> str:
    return ", ".join(f"{np.median(found[label]):.2e}" for label in labels)


def _told(found: Mapping[str, NDArray[np.float64]], labels: Sequence[str]) -> str:
    return ", ".join(
        f"{label} {np.median(found[label]):.2e} ({found[label].min():.1e} to {found[label].max():.1e})"
        for label in labels
    )
