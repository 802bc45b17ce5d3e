r"""Where the conditions on A(z) end: by bisection of their eigenvalues, and exactly.

**Real modified flow.** A has a real logarithm that continues the identity at z = 0 as long as the eigenvalue of largest modulus
is real and positive: for explicit Euler ``1 - z > 0``. Beyond that no real autonomous flow of theta interpolates the iterates.

**Exactly.** Where the step runs on symbols, A has a characteristic polynomial p whose coefficients are rational in z. At a
threshold ``p(1) = 0``, ``p(-1) = 0`` or two reciprocal roots make the resultant of p(x) and ``x^n p(1/x)`` vanish; the candidate
at which the numbers cross is the exact threshold. Real flows end where p(0), the resultant of p(x) and p(-x) or the discriminant
vanishes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Any

import numpy as np

from ...refusals import require_package
from .linearization import AmplificationMap, exact_matrix
from .quadratics import Quadratic, energy_of
from .states import require_scheme

__all__ = ["ExactStability", "exact_stability"]

LEAST, LARGEST = 1e-14, 1e8
"""The least and the largest z that are tried."""


def _bisected(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a condition that differs at the two ends changes: the least double at which it is as at the upper end."""
    at_low = holds(low)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if holds(middle) == at_low else (low, middle)
    return high


def intervals(holds: Callable[[float], bool]) -> tuple[tuple[float, float], ...]:
    """Return the intervals of z in which a condition holds, found on a grid, with bisected ends."""
    grid = [LEAST * 2.0**n for n in range(int(log(LARGEST / LEAST) / log(2)) + 2)]
    grid = sorted([*grid, *(2.0 ** (n / 8) for n in range(-40, 81))])  # finer where thresholds are
    found_at = [holds(z) for z in grid]
    ends: list[float] = [0.0] if found_at[0] else []
    for a, b, at_a, at_b in zip(grid, grid[1:], found_at, found_at[1:], strict=False):
        if at_a != at_b:
            ends.append(_bisected(holds, a, b))
    if len(ends) % 2:
        ends.append(inf)
    return tuple(zip(ends[::2], ends[1::2], strict=True))


def first_end(found: tuple[tuple[float, float], ...]) -> float:
    """Return the end of the interval that begins at 0; 0 if none does."""
    return found[0][1] if found and found[0][0] == 0 else 0.0


@dataclass(frozen=True)
class ExactStability:
    """The stability of a scheme in exact expressions, from its step on symbols."""

    polynomial: Any
    """The characteristic polynomial of A in x and z, without the roots 1 of conserved quantities; a SymPy expression."""
    threshold: Any
    """The least z > 0 at which (3) ends, dimensionless; a SymPy expression, infinity for none."""
    real_flow: Any
    """The end of the first interval of z with a real modified flow, dimensionless; a SymPy expression, infinity without an end."""

    def __str__(self) -> str:
        return f"threshold z = {self.threshold}, real flow for z < {self.real_flow}, from p(x) = {self.polynomial}"


def exact_stability(
    scheme: Any, energy: Quadratic | None = None, *, at: dict[Any, Any] | None = None
) -> ExactStability:
    """Return the threshold and the end of the real flow as exact expressions, from the step on symbols.

    The candidates are exact. Which of them is the threshold is decided by the eigenvalues in numbers; the derivation
    `stability` proves it for the schemes of the library.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``. Its float fields are read as the decimal fractions that print as they do; they may
        also be symbols, see `gradflow.symbolic.configured`.
    energy : Quadratic, optional
        The energy (1), whose numbers may be symbols; by default ``theta^2 / 2``.
    at : dict, optional
        Numbers by symbol, at which the candidates are compared with eigenvalues.

    Raises
    ------
    ValueError
        If the minimum is no fixed point, A is not rational in z or depends on the number of steps, or no candidate is where the
        numbers cross.
    ImportError
        If SymPy is not installed.

    Examples
    --------
    >>> import gradflow as gf, sympy as sp
    >>> from gradflow.backward_error.linear_stability import exact_stability
    >>> from gradflow.symbolic import configured
    >>> exact_stability(gf.RungeKutta4()).threshold
    2*CRootOf(x**3 - 2*x**2 + 3*x - 3, 0)
    >>> beta = sp.Symbol("beta", nonnegative=True)
    >>> exact_stability(configured(gf.HeavyBall, momentum=beta), at={beta: sp.Rational(1, 3)}).threshold
    2*beta + 2
    """
    require_scheme(scheme)
    require_package("sympy", "proofs", "exact_stability")
    return _exact(scheme, energy_of(energy), {} if at is None else at)


def _exact(
    scheme: Any, energy: Quadratic, numbers: dict[Any, Any], places: Sequence[int] = (), period: int = 0
) -> ExactStability:
    import sympy as sp

    z, x = sp.Symbol("z", positive=True), sp.Symbol("x")
    products, _ = exact_matrix(scheme, z, energy, places, period)
    polynomials = [sp.Poly(sp.numer(sp.together(A.charpoly(x).as_expr())), x) for A in products]
    p = polynomials[-1]
    while p.eval(1).equals(0) and p.degree() > 1:
        polynomials = [_without_one(p) for p in polynomials]  # a conserved quantity
        p = polynomials[-1]
    n = p.degree()
    reverse = sp.Poly(p.all_coeffs()[::-1], x)
    inside: Any = [sp.lambdify(z, A.subs(numbers), "numpy") for A in products]
    count = products[-1].shape[0] - n

    def eigenvalues(value: float, steps: int) -> Any:
        found_there = np.linalg.eigvals(np.array(inside[steps](value), dtype=np.float64)).astype(complex)
        return found_there[np.argsort(np.abs(found_there - 1))][count:]

    def is_stable(value: float, margin: float) -> bool:
        return bool(np.max(np.abs(eigenvalues(value, -1))) < 1 - margin)

    def has_flow(value: float, margin: float) -> bool:
        leading = [max(eigenvalues(value, j), key=abs) for j in range(len(inside))]
        return all(one.imag == 0 and one.real > margin for one in leading)

    crossings = [p.eval(1), p.eval(-1), *([sp.resultant(p, reverse, x)] if n > 1 else [])]
    turns = [e for p in polynomials for e in _turns(p, x)]
    ends = [
        _first_end(condition, candidates, z, numbers)
        for condition, candidates in (
            (is_stable, crossings),
            (has_flow, turns),
        )
    ]
    return ExactStability(sp.factor(p.as_expr()), *ends)


def _without_one(p: Any) -> Any:
    """Return a polynomial without a factor x - 1, itself if it has none."""
    import sympy as sp

    return sp.Poly(sp.cancel(p.as_expr() / (p.gen - 1)), p.gen) if p.eval(1).equals(0) else p


def _turns(p: Any, x: Any) -> list[Any]:
    """Return what vanishes where the leading root of a polynomial may cease to be real and positive."""
    import sympy as sp

    if p.degree() < 2:
        return [p.eval(0)]
    return [p.eval(0), sp.discriminant(p, x), sp.resultant(p, p.compose(sp.Poly(-x, x)), x)]


def _first_end(holds: Callable[[float, float], bool], candidates: list[Any], z: Any, numbers: dict[Any, Any]) -> Any:
    """Return the candidate root at which the first interval of a condition ends.

    The condition can change at a root alone: it is looked at in every interval between two roots, and at the roots, where a margin
    sees what touches.
    """
    import sympy as sp

    roots: dict[float, Any] = {}
    for root in {root for e in candidates for root in _roots(sp.numer(sp.together(e)), z)}:
        value = complex(sp.N(root.subs(numbers), 30))
        if value.real > 0 and abs(value.imag) <= 1e-20 * value.real:
            roots.setdefault(value.real, root)
    places = sorted(roots)
    if not holds(places[0] / 2 if places else 1.0, 0.0):
        return sp.Integer(0)
    for place, after in zip(places, [*places[1:], 3 * places[-1]] if places else [], strict=True):
        if not holds(place, 1e-9) or not holds((place + after) / 2, 0.0):
            return roots[place]
    return sp.oo


def _roots(e: Any, z: Any) -> list[Any]:
    import sympy as sp

    if not e.has(z):
        return []
    if e.free_symbols == {z}:
        return [root for root in sp.Poly(e, z).real_roots() if root > 0]
    return [sp.factor(sp.radsimp(root)).expand() for root in sp.solve(e, z)]


def exact_or_none(scheme: Any, at: AmplificationMap) -> ExactStability | None:
    """Return the exact stability, None where the step does not run on symbols: whatever it raises there says so."""
    try:
        return _exact(scheme, at.problem, {}, () if at.linear is None else at.linear.places, at.period)
    except Exception:  # a step that was written for numbers may fail in any way
        return None
