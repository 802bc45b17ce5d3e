r"""The derivative of a step at a minimum, from the scheme's own `step`, and which variables of the state matter.

Let x be the variables of the state (theta, momentum, averages, auxiliary and earlier variables, one entry each), ``x*`` the state
at rest at the minimum, and ``z = dt max_i lambda_i``. A step is a map Phi of x, with the derivative

.. math:: A(z) = D\Phi_{\Delta t}(x^*).                                                                  \tag{2}

**Which variables matter.** Only those on which theta depends, directly or through others, by a nonzero entry of A. The others
are dropped. The minimum is then asymptotically stable if the spectral radius of the rest satisfies

.. math:: \rho(A(z)) < 1,                                                                                \tag{3}

and not if it exceeds 1. A variable that is dropped, has the diagonal entry 1 and is felt by steps away from the minimum is
*carried*: `SAV` keeps any r > 0 at the minimum, and Adagrad any v. Such a scheme has a continuum of fixed points, and (3) is said
of one of them, that with the auxiliary variable equal to its definition. Others have other thresholds: with ``R = sqrt(e + C)``
vanilla SAV multiplies theta by ``1 - z r / R``. The orbit chooses its r, so that such a scheme may settle at a step size beyond
the threshold.

**Steps that take turns.** The whole numbers and flags of a state may come back after k steps, k <= 100, as those of `Restart`
with ``every=k`` do, or a step may use a count of steps modulo k. A is then the derivative of the map of k steps, a product of k
matrices, and a variable that is set anew in one of the k steps is not carried. If the k matrices still change with the count of
steps when this is large, no matrix has the threshold, and there is none: of gradient descent with the step ``dt / sqrt(n)`` every
orbit converges, with the step ``dt sqrt(n)`` none, and with ``dt / n^2`` none comes closer than by a factor.

**How A is computed.** The variables that vanish at ``x*`` are set to ``h = 2^-100``, one at a time. As ``Phi(x*)`` vanishes
there too, ``Phi / h`` is a column of A without truncation or cancellation, even where roots such as ``sqrt(v)`` are not
smooth: those are of second order. Whole numbers that count steps are set to ``2^40``, so that bias corrections have ended; beyond
``2^44`` A must be the same to ``1e-6`` of every entry of A - I. What a step does at numbers that are rare, such as every 1000th, is
not seen. A step that runs on symbols gives A as a matrix of rational
functions of z.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from math import inf, isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from ...namespace import quiet
from ...refusals import real_number
from .quadratics import Quadratic, energy_of, rational
from .states import (
    LATE,
    LONGEST,
    at_rest,
    counts_of,
    period_of,
    require_scheme,
    values_of,
    variables_of,
    with_values,
)

__all__ = ["amplification", "amplification_matrix"]

SMALL = 2.0**-100
"""The number h; its square is far from underflow and far below every epsilon."""
PERTURBATION = 2.0**-200
"""A perturbation that stays small where a step multiplies by 1e8, as Adam's does at the minimum."""
PROBES = (0.375, 2.625)
"""The z at which it is found which variables matter."""
LATER = 2**44
"""The periods after which a step must still be the same."""
CONTROLLED = (
    "the linearisation does not decide: the scheme controls its own step, or is not differentiable at the minimum"
)
COUNTED = (
    "the amplification depends on the number of steps, and neither settles nor takes turns in up to "
    f"{LONGEST} steps; there is no one matrix with a threshold"
)
"""Why a scheme that stays at the minimum has no threshold."""


class _Linearized(NamedTuple):
    """The derivative (2)."""

    A: Any
    """Of the variables that matter, over a period, (k, k)."""
    variables: tuple[str, ...]
    """Their names."""
    carried: tuple[str, ...]
    """The variables that are dropped, keep their value, and are felt away from the minimum."""
    places: tuple[int, ...]
    """The places of the variables among all."""
    forgets: bool
    """Whether no variable that is dropped keeps its value."""


def _columns(scheme: Any, problem: Quadratic, dt: float, rest: Any, places: Sequence[int]) -> Any:
    """Return the columns of A at some places, (all variables, places)."""
    x = np.array(values_of(rest), dtype=np.float64)
    columns = np.zeros((x.size, len(places)))

    def moved(i: int, h: float) -> Any:
        y = x.copy()
        y[i] += h
        return np.array(values_of(scheme.step(problem, with_values(rest, iter(y)), dt)), dtype=np.float64)

    for k, i in enumerate(places):
        if x[i] == 0:
            columns[:, k] = (moved(i, SMALL) - x) / SMALL
        else:
            with suppress(ValueError):  # a constant of the state, of which the scheme refuses other values
                columns[:, k] = (moved(i, 2.0**-20 * x[i]) - moved(i, -(2.0**-20) * x[i])) / (2.0**-19 * x[i])
    return columns


def _finite_places(state: Any) -> list[int]:
    return [i for i, value in enumerate(values_of(state)) if isfinite(value)]


def _jacobians(scheme: Any, problem: Quadratic, dt: float, states: Sequence[Any]) -> list[Any]:
    """Return the derivatives of the steps from some states, each (all variables, all variables)."""
    found = []
    for state in states:
        places = _finite_places(state)
        J = np.zeros((len(values_of(state)),) * 2)
        J[:, places] = _columns(scheme, problem, dt, state, places)
        found.append(J)
    return found


def _that_matter(scheme: Any, problem: Quadratic, dts: Sequence[float], period: int) -> _Linearized | None:
    """Return which variables matter at these step sizes, with A at the last one; None without a state at rest."""
    matters: set[int] = set(range(problem.curvature.size))
    rests: Any = None
    for dt in dts:
        rests = at_rest(scheme, problem, dt, period=period)
        if rests is None:
            return None
        steps = _jacobians(scheme, problem, dt, rests[:-1])
        matters = closure(matters, np.any([J != 0 for J in steps], axis=0).tolist())
    names = [name for name, _ in variables_of(rests[0])]
    order, J = tuple(sorted(matters)), _product(steps)
    kept = [i for i in range(len(names)) if i not in matters and J[i, i] == 1]
    carried = tuple(names[i] for i in kept if _is_felt(scheme, problem, dt, rests[0], i))
    return _Linearized(J[np.ix_(order, order)], tuple(names[i] for i in order), carried, order, not kept)


def _product(steps: Sequence[Any]) -> Any:
    """Return the derivative of several steps, the last one on the left."""
    return reduce(lambda done, J: J @ done, steps)


def _agree(A: Any, B: Any) -> bool:
    """Return whether two steps do the same to every variable: the entries of A - I agree, those of dt / sqrt(n) among them."""
    noise = 2.0**-48 * np.maximum(1.0, np.abs(B))
    return bool(np.all(np.abs(A - B) <= 1e-6 * np.abs(B - np.eye(len(B))) + noise))


def period_at(scheme: Any, problem: Quadratic, dt: float, start: Any = None) -> int:
    """Return the steps of a period of a scheme, 0 if its steps still change with their number when this is large.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    problem : Quadratic
        The energy.
    dt : float
        The step size.
    start : array (P,), optional
        Where the scheme starts, if it does not at the minimum; what a step does is not looked at then.
    """
    period = period_of(scheme, problem, dt, 0 * problem.curvature if start is None else start)
    rests = at_rest(scheme, problem, dt, period=period) if period and start is None else None
    if rests is None:
        return period
    counts = counts_of(rests[0], rests[-1])
    if counts_of(rests[-1], rests[0]) or (counts and min(counts) < LATE):
        return 0  # a count that grew goes back, after more steps than are looked at
    if not counts:
        return period
    states = rests[:1]
    for _ in range(2 * LONGEST - 1):
        states.append(scheme.step(problem, states[-1], dt))
    steps = _jacobians(scheme, problem, dt, states)
    order = sorted(closure(set(range(problem.curvature.size)), np.any([J != 0 for J in steps], axis=0).tolist()))
    steps = [J[np.ix_(order, order)] for J in steps]
    for k in range(period, LONGEST + 1, period):
        if all(_agree(A, B) for A, B in zip(steps[k:], steps, strict=False)):
            break
    else:
        return 0

    def from_count(late: int | None) -> list[Any]:
        states = at_rest(scheme, problem, dt, late, period=k)
        return [] if states is None else [J[np.ix_(order, order)] for J in _jacobians(scheme, problem, dt, states[:-1])]

    later, first = from_count(LATE + k * LATER), from_count(None)
    settles = bool(later) and all(_agree(A, B) for A, B in zip(later, steps, strict=False))
    one = np.eye(len(order))
    stops = _agree(_product(steps[:k]), one) and not (first and _agree(_product(first), one))
    return k if settles and not stops else 0


def _is_felt(scheme: Any, problem: Quadratic, dt: float, rest: Any, i: int) -> bool:
    """Return whether a step from near the minimum depends on variable i."""
    x = np.array(values_of(rest), dtype=np.float64)
    x[: problem.curvature.size] = SMALL
    other = x.copy()
    other[i] += 0.125 * (abs(x[i]) or 1.0)
    with suppress(ValueError):
        one, two = (scheme.step(problem, with_values(rest, iter(y)), dt).theta for y in (x, other))
        return bool(np.max(np.abs(one - two)) > 1e-9 * SMALL)
    return False


def closure(start: set[int], depends: Sequence[Sequence[bool]]) -> set[int]:
    """Return the variables on which those of `start` depend, directly or through others; row i says on which i does."""
    reached, open_ones = set(start), list(start)
    while open_ones:
        new = {j for j, does in enumerate(depends[open_ones.pop()]) if does} - reached
        reached |= new
        open_ones += new
    return reached


def is_defined_at_the_minimum(scheme: Any, problem: Quadratic) -> bool:
    """Return whether the scheme starts at the minimum, as SAV does not for C = e = 0; what it refuses close to it is an error.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    problem : Quadratic
        The energy.
    """
    try:
        scheme.init(problem, 0 * problem.curvature)
    except ValueError:
        scheme.init(problem, PERTURBATION + 0 * problem.curvature)
        return False
    return True


class AmplificationMap:
    """The matrix A of a scheme as a function of z, over the steps of a period."""

    def __init__(self, scheme: Any, problem: Quadratic) -> None:
        self.scheme, self.problem = scheme, problem
        self.linear: _Linearized | None = None
        self.conserved = 0
        self.obstacle = ""
        self._known: dict[float, Any] = {}
        self._rest: Any = None
        dts = [z / problem.largest for z in PROBES]
        self.at_rest = True
        with quiet():
            if is_defined_at_the_minimum(scheme, problem):
                self.period = period_at(scheme, problem, dts[0])
                self.linear = _that_matter(scheme, problem, dts, self.period or 1)
                self.at_rest = self.linear is not None or not self.period
                follows = self.linear is not None and all(map(self._is_followed, PROBES))
            else:
                self.period = period_at(scheme, problem, dts[0], PERTURBATION + 0 * problem.curvature)
                follows = self.period > 0 and all(map(self._is_homogeneous, PROBES))
        self.decides = self.period > 0 and follows
        if self.at_rest and not self.decides:
            self.obstacle = CONTROLLED if self.period else COUNTED
            if self.period and self.linear is None and self._counts_steps(dts[0]):
                self.obstacle += ", or depends on the number of steps"
        if self.linear is not None and self.decides:
            ones = min(int(np.sum(np.abs(self.all_eigenvalues(z) - 1) < 1e-9)) for z in PROBES)
            self.conserved = ones if ones < len(self.linear.places) else 0

    def require(self) -> None:
        """Raise ValueError unless the scheme has a matrix A."""
        if not self.at_rest:
            raise _not_at_rest(self.scheme)
        if not self.period:
            raise ValueError(f"{type(self.scheme).__name__}: {COUNTED}")

    def _is_followed(self, z: float) -> bool:
        """Return whether four steps from a small perturbation are the product of their derivatives."""
        assert self.linear is not None
        dt, places = z / self.problem.largest, list(self.linear.places)
        rests = at_rest(self.scheme, self.problem, dt, period=self.period or 1)
        assert rests is not None
        x = np.array(values_of(rests[0]), dtype=np.float64)
        v = np.cos(1.0 + np.arange(len(places)))  # any direction
        y = x.copy()
        y[places] += np.where(x[places] == 0, PERTURBATION, 0.0) * v
        v = np.where(x[places] == 0, v, 0.0)
        state = with_values(rests[0], iter(y))
        for n in range(4):
            rest = rests[n % (len(rests) - 1)]
            v = _columns(self.scheme, self.problem, dt, rest, places)[places] @ v
            state = self.scheme.step(self.problem, state, dt)
        rest = np.array(values_of(rests[4 % (len(rests) - 1)]), dtype=np.float64)
        reached = (np.array(values_of(state), dtype=np.float64) - rest)[places] / PERTURBATION
        return bool(np.max(np.abs(reached - v)) <= 1e-6 * np.max(np.abs(v)))

    def _counts_steps(self, dt: float) -> bool:
        state = self.scheme.init(self.problem, PERTURBATION + 0 * self.problem.curvature)
        return bool(counts_of(state, self.scheme.step(self.problem, state, dt)))

    def _ratios(self, dt: float) -> list[Any]:
        """Return theta_new / theta over a period, (P,), for a few periods close to the minimum."""
        state = self.scheme.init(self.problem, PERTURBATION + 0 * self.problem.curvature)
        ratios = []
        for _ in range(4):
            old = state
            for _ in range(self.period):
                state = self.scheme.step(self.problem, state, dt)
            ratios.append(state.theta / np.where(old.theta == 0, nan, old.theta))
        return ratios

    def _is_homogeneous(self, z: float) -> bool:
        """Return whether steps close to the minimum multiply by one factor, whatever the other variables are."""
        dt = z / self.problem.largest
        ratios = self._ratios(dt)
        state = self.scheme.init(self.problem, PERTURBATION + 0 * self.problem.curvature)
        values = np.array(values_of(state), dtype=np.float64)
        values[self.problem.curvature.size :] *= 1.0 + 2.0**-10
        new = with_values(state, iter(values))
        for _ in range(self.period):
            new = self.scheme.step(self.problem, new, dt)
        ratios.append(new.theta / state.theta)
        return all(bool(np.max(np.abs(ratio - ratios[0])) <= 1e-9) for ratio in ratios)

    def _eigenvalues(self, z: float) -> list[tuple[Any, float]]:
        """Return the eigenvalues of the derivatives of one step of a period, of two steps and so on, each (k,), with a factor."""
        if z not in self._known:
            with quiet():
                self._known[z] = self._computed(z / self.problem.largest)
        known: list[tuple[Any, float]] = self._known[z]
        return known

    def _computed(self, dt: float) -> list[tuple[Any, float]]:
        if self.linear is None:
            return [(self._ratios(dt)[0], 1.0)]  # a step may end in 0, of which there is no ratio
        rests = at_rest(self.scheme, self.problem, dt, near=self._rest, period=self.period)
        if rests is None:
            self._rest = None
            return [(np.array([nan]), 1.0)]
        self._rest = rests[0]
        places = list(self.linear.places)
        A, factor, found = np.eye(len(places)), 1.0, []
        for n, rest in enumerate(rests[:-1]):
            A = _columns(self.scheme, self.problem, dt, rest, places)[places] @ A
            if n and 0 < (size := float(np.max(np.abs(A)))) < inf:  # a product of many steps may underflow
                A, factor = A / size, factor * size
            found.append((np.linalg.eigvals(A) if np.isfinite(A).all() else np.array([nan]), factor))
        return found

    def all_eigenvalues(self, z: float) -> Any:
        """Return the eigenvalues of A, (k,), with those of conserved quantities."""
        values, factor = self._eigenvalues(z)[-1]
        with quiet():  # a product of many steps may overflow
            return values * factor

    def _moving(self, values: Any, factor: float) -> Any:
        with quiet():
            return values[np.argsort(np.abs(values * factor - 1))][self.conserved :]

    def eigenvalues(self, z: float) -> Any:
        """Return the eigenvalues of A, (k,), without the ones of conserved quantities."""
        return self._moving(self.all_eigenvalues(z), 1.0)

    def radius(self, z: float) -> float:
        """Return the spectral radius, or NaN if there is no linearisation."""
        return float(np.max(np.abs(self.eigenvalues(z))))

    def has_flow(self, z: float) -> bool:
        """Return whether the eigenvalue of largest modulus is real and positive, after every step of a period."""
        for found in self._eigenvalues(z):
            values = np.asarray(self._moving(*found), dtype=complex)
            leading = values[np.argmax(np.abs(values))]
            if not (leading.imag == 0 and leading.real > 0):
                return False
        return True


def _not_at_rest(scheme: Any) -> ValueError:
    return ValueError(f"the minimum is no fixed point of {type(scheme).__name__}: a step from it leads elsewhere")


def exact_matrix(
    scheme: Any, z: Any, energy: Quadratic, places: Sequence[int] = (), period: int = 0
) -> tuple[list[Any], tuple[str, ...]]:
    """Return the derivatives of one step of a period, of two steps and so on up to A, and the names of the variables that matter.

    The period is looked for if it is 0.
    """
    import sympy as sp

    from ..symbolic_steps import exact_settings

    problem = energy.exact()
    dt, exact_scheme, h = z / problem.largest, exact_settings(scheme, {}), sp.Symbol("h", positive=True)
    period = period or period_of(exact_scheme, problem, dt, 0 * problem.curvature)
    if not period:
        raise ValueError(f"{type(scheme).__name__}: {COUNTED}")
    rests = at_rest(exact_scheme, problem, dt, sp.oo, period=period)
    if rests is None:
        ever = at_rest(exact_scheme, problem, dt, None, period=period)  # infinity times 0 is not 0
        raise _not_at_rest(scheme) if ever is None else ValueError(f"{type(scheme).__name__}: {COUNTED}")
    names = [name for name, _ in variables_of(rests[0])]
    products, depends = [sp.eye(len(names))], np.zeros((len(names),) * 2, dtype=bool)
    for rest in rests[:-1]:
        x = values_of(rest)
        J = sp.zeros(len(x), len(x))
        for i in places or range(len(x)):
            y = [sp.sympify(value) for value in x]
            y[i] = y[i] + h
            new = values_of(exact_scheme.step(problem, with_values(rest, iter(y)), dt))
            for j in places or range(len(x)):
                slope = sp.diff(new[j], h).subs(h, 0)
                if slope.has(sp.nan, sp.zoo):  # a quotient such as h^3 / h^2
                    slope = sp.diff(sp.cancel(sp.together(new[j])), h).subs(h, 0)
                J[j, i] = sp.cancel(sp.together(rational(slope)))
        depends |= np.array([[e != 0 for e in row] for row in J.tolist()])
        products.append((J * products[-1]).applyfunc(sp.cancel))
    start = set(range(problem.curvature.size))
    matters = sorted(closure(start, depends.tolist()))
    products = [A.extract(matters, matters) for A in products[1:]]
    A = products[-1]
    if A.has(sp.nan, sp.zoo, sp.oo) or sp.eye(len(matters)) == A:
        raise ValueError(
            f"a step of {type(scheme).__name__} is not differentiable at the minimum, or depends on the number of steps"
        )
    return products, tuple(names[i] for i in matters)


def amplification_matrix(scheme: Any, z: Any, energy: Quadratic | None = None) -> tuple[Any, tuple[str, ...]]:
    """Return the matrix A of (2) over the variables that matter, and their names.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``; its parameters may be symbols.
    z : float or SymPy symbol
        The step size times the largest eigenvalue, dimensionless, > 0. A symbol makes A exact.
    energy : Quadratic, optional
        The energy (1); by default ``theta^2 / 2``.

    Returns
    -------
    A : array (k, k), or a SymPy matrix
        Entries of the state of k variables, theta first; of a scheme whose steps take turns, over the steps of a period.
    variables : tuple of str
        The names of the variables.

    Raises
    ------
    ValueError
        If the minimum is no fixed point of the scheme, its steps depend on their number, or an argument is out of range.

    Examples
    --------
    >>> import gradflow as gf, sympy as sp
    >>> from gradflow.backward_error.linear_stability import amplification_matrix
    >>> A, variables = amplification_matrix(gf.HeavyBall(momentum=0.5), 2.0)
    >>> A.tolist(), variables
    ([[-1.0, 0.5], [-2.0, 0.5]], ('theta', 'd'))
    >>> amplification_matrix(gf.SAV(C=3.0), sp.Symbol("z", positive=True))
    (Matrix([[1 - z]]), ('theta',))
    """
    require_scheme(scheme)
    problem = energy_of(energy)
    if hasattr(z, "free_symbols"):
        products, names = exact_matrix(scheme, z, problem)
        return products[-1], names
    dt = real_number("z", z, 0, open_low=True) / problem.largest
    with quiet():
        period = period_at(scheme, problem, dt)
        linear = _that_matter(scheme, problem, [dt], period or 1)
    if not period:
        raise ValueError(f"{type(scheme).__name__}: {COUNTED}")
    if linear is None:
        raise _not_at_rest(scheme)
    return linear.A, linear.variables


def amplification(scheme: Any, z: float, energy: Quadratic | None = None) -> float:
    """Return the spectral radius (3), dimensionless: the factor by which perturbations of the minimum grow in a step.

    Of a scheme whose steps take turns it is the geometric mean over a period.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``.
    z : float
        The step size times the largest eigenvalue, dimensionless, > 0.
    energy : Quadratic, optional
        The energy (1); by default ``theta^2 / 2``.

    Raises
    ------
    ValueError
        If the minimum is no fixed point of the scheme, its steps depend on their number, or an argument is out of range.

    Examples
    --------
    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import amplification
    >>> amplification(gf.GradientDescent(), 2.5), amplification(gf.ImplicitEuler(), 3.0)
    (1.5, 0.25)
    """
    require_scheme(scheme)
    at = AmplificationMap(scheme, energy_of(energy))
    at.require()
    return float(at.radius(real_number("z", z, 0, open_low=True)) ** (1 / at.period))
