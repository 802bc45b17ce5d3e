"""What a step costs: evaluations, products and solves, counted by a problem that counts its calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..namespace import quiet
from ..run.states import leaves
from .certificate import Entry
from .trials import RAISED, Given, Sampled, stabilized, takes_stabilization

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
        Problems of the user, of which the first one counts; its own linear part does not count its solves.
    """
    counts: Counter[str] = Counter()
    rng = np.random.default_rng(2)
    P, N = 7, 4
    one = stabilized(scheme, 1.0) if takes_stabilization(scheme) else scheme
    linear: Any = _Operator(rng.uniform(0, 1, P), counts)
    problem = _Counting(Sampled(rng.standard_normal((N, P)), rng.standard_normal(N), linear=linear), counts)
    theta = rng.standard_normal(P)
    if given:
        one, problem, theta = scheme, _Counting(given[0].problem, counts), given[0].theta
        P, N = theta.shape[0], 0
    claim = "a step evaluates, solves and keeps"
    try:
        with quiet():
            state = one.init(problem, theta)
            for _ in range(WARM_UP):
                state = one.step(problem, state, 0.1)
            counts.clear()
            state = one.step(problem, state, 0.1)
    except RAISED as error:
        why = f"the step does not run on a counting problem: {type(error).__name__}: {error}"
        return [Entry("cost", "cost", claim, "undecided", detail=why)]
    sizes = [np.shape(x) for x in leaves(state)]
    kept = sum(s == (P,) for s in sizes)
    detail = [
        f"{counts[name]} {name if counts[name] > 1 else SINGULAR.get(name, name)}"
        for name in dict.fromkeys((*CALLS.values(), *counts))
        if counts[name]
    ]
    detail.append(
        f"{kept} vectors of P numbers kept, theta among them"
        if kept > 1
        else "theta and no other vector of P numbers kept"
    )
    detail += [f"{n} of N numbers" for n in [sum(s == (N,) for s in sizes)] if n]
    return [Entry("cost", "cost", claim, "measured", "the third step of a run", ", ".join(detail))]
