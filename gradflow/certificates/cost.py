"""What a step costs: evaluations, products and solves, counted by a problem that counts its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..namespace import quiet
from .certificate import Entry
from .trials import RAISED, Given, Sampled, entries_of, is_number, plural, stabilized, takes_stabilization

__all__ = ["counted_cost"]

CALLS = {
    "energy": "energies",
    "nonlinear_energy": "energies",
    "energy_and_gradient": "gradients",
    "nonlinear_energy_and_gradient": "gradients",
    "hvp": "Hessian products",
    "nonlinear_hvp": "Hessian products",
    "linearize": "linearisations",
    "linearize_later": "linearisations",
}
"""The methods of a problem that are counted, with what they evaluate."""
SOLVES = "solves with I + dt (L + S)"
SINGULAR = {
    "energies": "energy",
    "gradients": "gradient",
    "Hessian products": "Hessian product",
    "linearisations": "linearisation",
    SOLVES: "solve with I + dt (L + S)",
}
WARM_UP = 2
DT = 0.1
"""The step size."""


class _Operator:
    """An energy part that counts its solves; a diagonal that is not known as one."""

    scalar = None

    def __init__(self, d: Any, counts: Counter[str]) -> None:
        self._d, self._counts = d, counts

    def apply(self, u: Any) -> Any:
        return self._d * u

    def solve_shifted(self, u: Any, dt: Any) -> Any:
        self._counts[SOLVES] += 1
        return u / (1 + dt * self._d)


class _Counting:
    """A problem that counts the calls of its methods by a scheme, not those of one method by another."""

    def __init__(self, problem: Any, counts: Counter[str]) -> None:
        self._problem, self._counts = problem, counts

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._problem, name)
        if name not in CALLS or not callable(value):
            return value

        def counted(*args: Any) -> Any:
            self._counts[CALLS[name]] += 1
            return value(*args)

        return counted


def counted_cost(scheme: Any, *, given: tuple[Given, ...] = ()) -> list[Entry]:
    """Return the cost of a step, after the first ones of a run.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    given : tuple of Given
        Problems of the user, each with a count of its own; their own linear parts do not count their solves.
    """
    claim, scope = "a step evaluates, solves and keeps", f"the third step of a run with dt = {DT}"
    counts: Counter[str] = Counter()
    if not given:
        rng = np.random.default_rng(2)
        P, N = 7, 4
        one = stabilized(scheme, 1.0) if takes_stabilization(scheme) else scheme
        linear: Any = _Operator(rng.uniform(0, 1, P), counts)
        problem = Sampled(rng.standard_normal((N, P)), rng.standard_normal(N), linear=linear)
        words, failed = _counted(one, problem, rng.standard_normal(P), N, counts)
        return [Entry("cost", "cost", claim, "undecided" if failed else "measured", "" if failed else scope, words)]
    found: dict[str, list[int]] = {}
    unknown = []
    for k, (problem, theta) in enumerate(given, 1):
        words, failed = _counted(scheme, problem, theta, None, counts)
        if failed:
            unknown.append(f"on problem {k} {words}")
        else:
            found.setdefault(words, []).append(k)
    if not found:
        return [Entry("cost", "cost", claim, "undecided", detail="; ".join(unknown))]
    if len(found) == 1 and not unknown:
        return [Entry("cost", "cost", claim, "measured", scope, next(iter(found)))]
    each = [f"on problem {' and '.join(map(str, numbers))}: {words}" for words, numbers in found.items()]
    return [Entry("cost", "cost", claim, "measured", scope, "; ".join([*each, *unknown]))]


def _counted(scheme: Any, problem: Any, theta: Any, N: int | None, counts: Counter[str]) -> tuple[str, bool]:
    """Return what a later step costs, or why it is not known, and whether it is not."""
    counting = _Counting(problem, counts)
    try:
        with quiet():
            state = scheme.init(counting, theta.copy())
            for _ in range(WARM_UP):
                state = scheme.step(counting, state, DT)
            counts.clear()
            state = scheme.step(counting, state, DT)
    except RAISED as error:
        return f"the step does not run on a counting problem: {type(error).__name__}: {error}", True
    calls = [
        f"{counts[name]} {name if counts[name] > 1 else SINGULAR.get(name, name)}"
        for name in dict.fromkeys((*CALLS.values(), *counts))
        if counts[name]
    ]
    return ", ".join([*calls, *_kept(state, theta.shape[0], N)]), False


def _kept(state: Any, P: int, N: int | None) -> list[str]:
    """Return what a state keeps: vectors of P numbers and of others, matrices, and numbers."""
    vectors = matrices = numbers = 0
    lengths: Counter[str] = Counter()
    for x in _arrays_and_numbers(state):
        shape = np.shape(x)
        others = [n for k, n in enumerate(shape) if k != shape.index(P)] if P in shape else []
        if P in others:
            matrices += np.size(x) // P**2
        elif P in shape:
            vectors += int(np.prod(others))
        elif len(shape) == 1:
            lengths["N" if shape == (N,) else str(shape[0])] += 1
        else:
            numbers += np.size(x)
    kept = [
        f"{vectors} vectors of P numbers kept, theta among them"
        if vectors > 1
        else "theta and no other vector of P numbers kept"
    ]
    kept += [f"{plural(matrices, 'matrix', 'matrices')} of P x P numbers"] if matrices else []
    kept += [f"{plural(n, 'vector')} of {length} numbers" for length, n in lengths.items()]
    return kept + ([plural(numbers, "other number")] if numbers else [])


def _arrays_and_numbers(state: Any) -> Iterator[Any]:
    """Yield what holds numbers in a state, each array and floating-point number once: a wrapper shares them with its base."""
    seen: set[int] = set()
    for x in entries_of(state):
        shared = not isinstance(x, (bool, int))
        if is_number(x) and not (shared and id(x) in seen):
            yield x
        seen.add(id(x))
