r"""The observed order of the distance between the iterates of a scheme and its modified flow.

The distance at a fixed time is :math:`O(\Delta t^{k})` with k terms of the field, equation (1) of
`gradflow.backward_error.flow`, and of higher order where :math:`f_{k+1}` vanishes.

For a method with momentum this holds on the slow manifold only. `start` returns the state there, from the expansion that
belongs to the field. A method that starts from rest leaves its start by :math:`O(\Delta t)`, which no modified equation sees.

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration, 2nd ed., 2006, section IX.1 and theorem IX.7.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from ..energies.protocols import norm
from ..namespace import Array, quiet
from ..refusals import instance, real_number
from .differentials import Differentials, require_problem
from .expansion import size
from .flow import (
    Expressions,
    ModifiedFlow,
    as_modified_field,
    modified_flow,
    named_values,
    numbers_of,
    numpy_vector,
    pair_of,
    polynomial,
)
from .modified import ModifiedField
from .symbolic_steps import Path, replaced, require_step
from .taylor_fields import THETA

__all__ = ["OrderTable", "order_table", "start"]

MOST_STEPS = 10**6  # of a run in a table: minutes
MANY = 10**6
"""A number of steps after which averages have forgotten their start."""


def start(problem: Any, scheme: Any, field: ModifiedField, theta0: Array, dt: float, *, missing: str = "refuse") -> Any:
    """Return the state of a scheme at theta0 on the slow manifold of its field; what its ``init`` returns if it has none.

    Parameters
    ----------
    problem : Problem
        The energy.
    scheme : Scheme
        The scheme.
    field : ModifiedField
        Its field. The expansion of the manifold is truncated before the first tree with more nodes than the field has: what such
        a term changes in theta is of the order of the terms that the field lacks.
    theta0 : array (P,)
        The start, NumPy.
    dt : float
        The step size, > 0.
    missing : {"refuse", "differences"}
        As for `modified_flow`.

    Raises
    ------
    ValueError
        If an argument is outside what is said above, the field is that of another scheme, or the problem lacks a derivative.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> square = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1 * t, lambda t, v: 1 * v)
    >>> ball = gf.HeavyBall(momentum=0.5)
    >>> field = gf.backward_error.modified_field(ball, 2)
    >>> start(square, ball, field, np.array([1.0]), 0.01).d  # -2 dt g - 8 dt^2 H g
    array([-0.0208])
    """
    require_problem(problem)
    require_step(scheme)
    instance("field", field, ModifiedField, "a ModifiedField")
    numpy_vector("theta0", theta0)
    dt = real_number("dt", dt, 0, open_low=True)
    state = scheme.init(problem, theta0) if hasattr(scheme, "init") else (theta0,)
    unknowns = sorted({str(symbol) for rates in field.rates for symbol in rates})
    needed = {*field.manifold, *unknowns}
    if hasattr(scheme, "step") and not needed <= set(named_values(state)):  # a two-step method has no past yet
        state = replaced(scheme.step(problem, state, dt), {(0,): theta0})
    F, named = Differentials(problem, theta0, missing=missing), named_values(state)
    if not needed <= set(named):
        missed = ", ".join(sorted(needed - set(named)))
        raise ValueError(f"field must be that of the scheme, whose state has no value {missed}")
    numbers = [float(named[name][1]) for name in unknowns]
    # the field is that after many steps, and so are its counters
    counts = {path for path, value in named.values() if isinstance(value, int) and not isinstance(value, bool)}
    values: dict[Path, Any] = dict.fromkeys(counts, MANY) if field.manifold else {}
    for name, series in field.manifold.items():
        path, terms = named[name][0], list(takewhile(lambda part: _nodes(part) <= field.order, series))
        if all(isinstance(part, dict) for part in terms):
            trees = list(dict.fromkeys(tree for part in terms for tree in part))
            weights = Expressions([polynomial([part.get(tree, 0) for part in terms]) for tree in trees], unknowns)(
                F, dt, numbers
            )
            value = 0 * theta0
            for tree, c in zip(trees, weights, strict=True):
                value = value + c * (theta0 if tree == THETA else F(tree))
            values[path] = value
        else:
            values[path] = Expressions([polynomial(terms)], unknowns)(F, dt, numbers)[0]
    return replaced(state, values)


class OrderTable(NamedTuple):
    """The distance between iterates and the modified flow with one, two, ... terms, from `order_table`."""

    dts: Array
    """The step sizes, (m,)."""
    errors: Array
    """``|theta^n - y(t_end)|_M`` by number of terms and step size, (k, m), in the norm of the problem."""
    orders: Array
    """Slopes of the logarithms between neighbouring step sizes, (k, m - 1), dimensionless."""
    expected: tuple[int, ...]
    """The orders that follow from the field, k of them. A number k is a lower bound: the next terms are not known."""

    def rows(self) -> list[list[str]]:
        """Return the table as text: a head, and a row for each number of terms."""
        head = ["terms", "expected", *(f"dt = {dt:.3g}" for dt in self.dts), "order"]
        body = [
            [
                str(k),
                f"{'>= ' if expected == len(self.expected) else ''}{expected}",
                *(f"{e:.2e}" for e in errors),
                ", ".join(f"{o:.2f}" for o in orders),
            ]
            for k, (expected, errors, orders) in enumerate(zip(self.expected, self.errors, self.orders, strict=True), 1)
        ]
        return [head, *body]

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        head, *body = self.rows()
        return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def order_table(
    problem: Any,
    scheme: Any,
    theta0: Array,
    dts: Sequence[float],
    t_end: float,
    *,
    order: int = 3,
    field: Any = None,
    missing: str = "refuse",
) -> OrderTable:
    """Return the observed order of the distance between the iterates of a scheme and its modified flow, term by term.

    Parameters
    ----------
    problem : Problem
        The energy.
    scheme : Scheme or callable
        It is started on its slow manifold, by `start`; or a function ``(problem, theta, dt) -> theta``.
    theta0 : array (P,)
        The start, NumPy.
    dts : sequence of float
        Two or more step sizes that fall; each divides `t_end`, into at most 10^6 steps.
    t_end : float
        The time of comparison, > 0.
    order : int
        The largest number of terms, 1 to 3 unless the field is given.
    field : ModifiedField or mapping, optional
        The field, by default that of the scheme. A mapping says nothing of a slow manifold: the scheme then starts from its
        ``init``.
    missing : {"refuse", "differences"}
        As for `modified_flow`.

    Raises
    ------
    ValueError
        If an argument is outside what is said above, or as `modified_flow`.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> quartic = gf.FunctionProblem(
    ...     lambda t: t @ t**3 / 4, lambda t: t**3, lambda t, v: 3 * t**2 * v, third_derivative=lambda t, u, v: 6 * t * u * v
    ... )
    >>> print(order_table(quartic, gf.GradientDescent(), np.array([1.0, -0.7]), (0.02, 0.01), 0.2))
    terms  expected  dt = 0.02  dt = 0.01  order
        1         1   3.22e-03   1.59e-03   1.02
        2         2   1.25e-04   3.08e-05   2.02
        3      >= 3   5.93e-06   7.32e-07   3.02
    """
    theta0, T = numpy_vector("theta0", theta0), real_number("t_end", t_end, 0, open_low=True)
    sizes = numbers_of(dts) if np.ndim(dts) == 1 else None
    if sizes is None or len(sizes) < 2 or min(sizes) <= 0 or any(a <= b for a, b in pairwise(sizes)):
        raise ValueError(f"dts must be two or more step sizes > 0 that fall, got {dts!r}")
    if T / sizes[-1] > MOST_STEPS:
        raise ValueError(f"dts must divide t_end = {T} into at most {MOST_STEPS} steps, got {sizes[-1]}")
    counts = [round(T / dt) for dt in sizes]
    for dt, n in zip(sizes, counts, strict=True):
        if abs(n * dt - T) > 1e-9 * T:
            raise ValueError(f"dts must divide t_end = {T}, got {dt}")
    require_step(scheme)
    flow = modified_flow(problem, scheme if field is None else field, sizes[0], order, missing=missing)
    whole, inner = flow.field, problem.inner
    errors = np.empty((order, len(sizes)))
    for i, (dt, n) in enumerate(zip(sizes, counts, strict=True)):
        with quiet():
            end = _iterated(problem, scheme, start(problem, scheme, whole, theta0, dt, missing=missing), dt, n)
        for k in range(1, order + 1):
            truncated = ModifiedFlow(problem, as_modified_field(whole, k), dt, scheme, missing)
            errors[k - 1, i] = norm(inner, truncated(theta0, T) - end)
    with quiet():
        orders = np.diff(np.log(errors), axis=1) / np.diff(np.log(sizes))
    return OrderTable(np.array(sizes), errors, orders, tuple(_expected(whole, k) for k in range(1, order + 1)))


def _expected(field: ModifiedField, k: int) -> int:
    """Return the order of the distance to the flow with k terms, the least one if the next terms vanish or are not known."""
    later = (n for n in range(k + 1, field.order + 1) if field.fields[n - 1])
    return next(later, field.order + 1) - 1


def _iterated(problem: Any, scheme: Any, state: Any, dt: float, n: int) -> Array:
    """Return theta after n steps."""
    for _ in range(n):
        state = scheme.step(problem, state, dt) if hasattr(scheme, "step") else (scheme(problem, state[0], dt),)
    theta: Array = state[0]
    return theta


def _nodes(part: Any) -> int:
    """Return the number of nodes of the largest tree in a term of the slow manifold, a field or a number."""
    trees, coefficients = (part, part.values()) if isinstance(part, dict) else ((), (part,))
    symbols = set().union(*(sp.sympify(c).free_symbols for c in coefficients))
    return max((size(tree) for tree in (*trees, *(tree for s in symbols for tree in pair_of(s)))), default=0)
