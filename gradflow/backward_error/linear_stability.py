r"""Linear stability of a scheme, and what lies beyond it, from the scheme's own `step` on a quadratic.

The energy is

.. math:: E(\theta) = \tfrac12 \sum_i \lambda_i \theta_i^2 + e, \qquad z = \Delta t\,\max_i \lambda_i.              \tag{1}

The minimum is the origin, and e is the energy there, since schemes with an auxiliary variable depend on it. Let x be the
variables of the state (theta, momentum, averages, auxiliary and earlier variables, one entry each) and ``x*`` the state at
rest at the minimum. A step is a map Phi of x, with the derivative

.. math:: A(z) = D\Phi_{\Delta t}(x^*).                                                                  \tag{2}

**Which variables matter.** Only those on which theta depends, directly or through others, by a nonzero entry of A. The others
are dropped. The minimum is then asymptotically stable if the spectral radius of the rest satisfies

.. math:: \rho(A(z)) < 1,                                                                                \tag{3}

and not if it exceeds 1. A variable that is dropped, has the diagonal entry 1 and is felt by steps away from the minimum is *carried*:
`SAV` keeps any r > 0 at the minimum, and Adagrad any v. Such a scheme has a continuum of fixed points, and (3) is said of one of them, that with the
auxiliary variable equal to its definition. Others have other thresholds: with ``R = sqrt(e + C)`` vanilla SAV multiplies theta
by ``1 - z r / R``. The orbit chooses its r, so that such a scheme may settle at a step size beyond the threshold.

**How A is computed.** The variables that vanish at ``x*`` are set to ``h = 2^-100``, one at a time. As ``Phi(x*)`` vanishes
there too, ``Phi / h`` is a column of A without truncation or cancellation, even where roots such as ``sqrt(v)`` are not
smooth: those are of second order. Whole numbers that count steps are set to ``2^40``, so that bias corrections have ended.

**Real modified flow.** A has a real logarithm that continues the identity at z = 0 as long as the eigenvalue of largest modulus
is real and positive: for explicit Euler ``1 - z > 0``. Beyond that no real autonomous flow of theta interpolates the iterates.

**Beyond the threshold** the scheme runs, from one start, and the orbit is classified (`Fate`). All of this is measured. The
Lyapunov exponent is the mean of ``log |D Phi|`` along the orbit, by the separation of two neighbouring orbits.

**Exactly.** Where the step runs on symbols, A is a matrix of rational functions of z, with the characteristic polynomial p. At a
threshold ``p(1) = 0``, ``p(-1) = 0`` or two reciprocal roots make the resultant of p(x) and ``x^n p(1/x)`` vanish; the candidate
at which the numbers cross is the exact threshold. Real flows end where p(0), p(-x) or the discriminant vanishes.

Source: Strogatz, Nonlinear Dynamics and Chaos (1994), chapter 10, for cycles of maps and Lyapunov exponents; Cohen, Kaur, Li,
Kolter & Talwalkar, ICLR 2021, for the edge of stability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite, log, nan
from typing import Any, NamedTuple

import numpy as np

from ..description import found
from ..energies.dense import DenseLinearization
from ..energies.linear import LinearPart
from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, quiet
from ..refusals import instance, real_number, whole_number

__all__ = [
    "CurvedResidual",
    "ExactStability",
    "Fate",
    "Quadratic",
    "Stability",
    "amplification",
    "amplification_matrix",
    "edge_of_stability",
    "effective_step",
    "exact_stability",
    "fate",
    "stability",
]

SMALL = 2.0**-100
"""The number h; its square is far from underflow and far below every epsilon."""
PERTURBATION = 2.0**-200
"""A perturbation that stays small where a step multiplies by 1e8, as Adam's does at the minimum."""
PROBES = (0.375, 2.625)
"""The z at which it is found which variables matter."""
LATE = 2**40
"""Where a counter of steps is set."""
LEAST, LARGEST = 1e-14, 1e8
"""The least and the largest z that are tried."""
STEEP = 2.0**20
"""A curvature times dt in comparison with which stabilizations are small."""
LEAST_CURVATURE, LARGEST_CURVATURE = 1e-80, 1e80
"""Bounds of curvatures: the squares of the gradients of these small numbers neither vanish nor overflow."""
BEYOND = (0.5, 0.95, 1.05, 1.5, 2.25, 5.0)
"""Multiples of the threshold at which an orbit is run."""
WITHOUT_END = (0.5, 3.0, 30.0, 300.0)
"""The z at which an orbit is run if there is no threshold."""
ROUND, TINY = 1e-9, 1e-120
"""What is zero in an orbit, relative to its size, and what is so small that the orbit need not be followed further."""


class Quadratic:
    """The energy (1), a least-squares problem, for numbers and for symbols.

    Parameters
    ----------
    curvature : float or sequence of float
        The eigenvalues lambda_i, 1 / time, from 1e-80 to 1e80.
    offset : float
        The energy e at the minimum, >= 0.

    Raises
    ------
    ValueError
        If an eigenvalue is not in this range, or the offset negative.

    Examples
    --------
    >>> import numpy as np
    >>> from gradflow.backward_error.linear_stability import Quadratic
    >>> float(Quadratic([1.0, 4.0], offset=0.5).energy(np.array([1.0, 1.0])))
    3.0
    """

    mass = 1.0
    """The inner product is the dot product."""

    def __init__(self, curvature: Any = 1.0, offset: Any = 0.0) -> None:
        values = curvature if isinstance(curvature, (Sequence, np.ndarray)) else [curvature]
        if not len(values):
            raise ValueError("curvature must have an eigenvalue, got none")
        symbols = any(hasattr(x, "free_symbols") for x in (*values, offset))
        if not symbols:
            values = [real_number("curvature", x, LEAST_CURVATURE, LARGEST_CURVATURE) for x in values]
            offset = real_number("offset", offset, 0)
        else:
            values, offset = [_rational(x) for x in values], _rational(offset)
        self.curvature = np.array(values, dtype=object if symbols else np.float64)
        self.offset = offset
        self.largest: Any = max(values) if not symbols else values[0]

    def __repr__(self) -> str:
        values = self.curvature.tolist()
        return (
            f"Quadratic({values[0] if len(values) == 1 else values}{f', offset={self.offset}' if self.offset else ''})"
        )

    def exact(self) -> Any:
        """Return the same energy with rational numbers: the decimal fractions that print as those given do."""
        values = [_rational(x) for x in self.curvature]
        if all(x.is_number for x in values):
            values.sort(reverse=True)
        return Quadratic(values, _rational(self.offset))

    def inner(self, u: Array, v: Array) -> Array:
        """Return the dot product, 0-d, of u and v, (P,)."""
        return u @ v

    def energy(self, theta: Array) -> Array:
        """Return E, 0-d, at theta, (P,)."""
        return theta @ (self.curvature * theta) / 2 + self.offset

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and its gradient, (P,), at theta, (P,)."""
        return self.energy(theta), self.curvature * theta

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the Hessian times v, (P,), at theta, (P,)."""
        return self.curvature * v

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return the residual ``(lambda_i^(1/2) theta_i, (2 e)^(1/2))``, (P + 1,), and its Jacobian at theta, (P,)."""
        xp = array_namespace(theta)
        roots, zero = xp.sqrt(self.curvature + 0 * theta), 0 * theta[:1]
        residual = np.concatenate([roots * theta, xp.sqrt(2 * self.offset + zero)])
        return _linearization(residual, np.concatenate([np.diag(roots), 0 * roots[None]]))


class _ExactLinearization(DenseLinearization):
    """A linearisation of symbols, with the exact solution of damped systems (`gradflow.energies.protocols.Solving`)."""

    def solve_damped(self, q: Array, h: Array | None, A: LinearPart, dt: Any) -> Array:
        import sympy as sp

        J = self.jacobian()
        one = np.array(sp.eye(J.shape[1]).tolist(), dtype=object)
        system = one / dt + np.stack([A.apply(row) for row in one]) + J.T @ J
        right = -(J.T @ q) if h is None else -(J.T @ q) - h
        solution = sp.Matrix(system.tolist()).LUsolve(sp.Matrix(right.tolist()))
        return np.array([sp.cancel(sp.together(x)) for x in solution], dtype=object)


def _linearization(residual: Array, J: Array) -> DenseLinearization:
    return (_ExactLinearization if residual.dtype == object else DenseLinearization)(residual, J)


class CurvedResidual(Quadratic):
    r"""The energy ``|q|^2 / 2`` of a residual that is curved where it does not vanish, in one dimension.

    .. math:: q(\theta) = \bigl(c + \tfrac{\kappa}{2}\theta^2,\; \mu^{1/2}\theta\bigr), \qquad \lambda = \mu + c\kappa, \quad e = \tfrac12 c^2.  \tag{5}

    At the minimum the Gauss-Newton matrix is mu, which is not the Hessian lambda.

    Parameters
    ----------
    c : float
        The residual at the minimum.
    kappa : float
        Its second derivative.
    mu : float
        The Gauss-Newton matrix at the minimum, 1 / time, > 0.

    Raises
    ------
    ValueError
        If a number is not finite, mu is not positive or ``mu + c kappa`` is not from 1e-80 to 1e80.

    Examples
    --------
    Restarted IEQ, which is Levenberg-Marquardt with damping 1 / dt, is not stable for every dt:

    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import CurvedResidual, stability
    >>> found = stability(gf.Restart(gf.IEQ()), CurvedResidual(3.0, 1.0, 1.0))
    >>> round(found.threshold / 4, 12)  # dt, since lambda = 4
    1.0
    """

    def __init__(self, c: Any, kappa: Any, mu: Any) -> None:
        for name, value in (("c", c), ("kappa", kappa), ("mu", mu)):
            if not hasattr(value, "free_symbols"):
                real_number(name, value, 0 if name == "mu" else -inf, open_low=name == "mu")
        hessian = mu + c * kappa
        if not hasattr(hessian, "free_symbols"):
            real_number("mu + c kappa", hessian, LEAST_CURVATURE, LARGEST_CURVATURE)
        super().__init__(hessian, c**2 / 2)
        self.c, self.kappa, self.mu = c, kappa, mu

    def __repr__(self) -> str:
        return f"CurvedResidual({self.c}, {self.kappa}, {self.mu})"

    def exact(self) -> Any:
        """Return the same energy with rational numbers: the decimal fractions that print as those given do."""
        return CurvedResidual(*(_rational(x) for x in (self.c, self.kappa, self.mu)))

    def energy(self, theta: Array) -> Array:
        """Return E, 0-d, at theta, (1,)."""
        q = self.linearize(theta).residual
        return q @ q / 2

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and its gradient, (1,), at theta, (1,)."""
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the Hessian times v, (1,), at theta, (1,)."""
        return (self.mu + self.kappa * (self.c + 1.5 * self.kappa * theta**2)) * v

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return the residual, (2,), and its Jacobian at theta, (1,)."""
        root = array_namespace(theta).sqrt(self.mu + 0 * theta)
        q = np.concatenate([self.c + self.kappa * theta**2 / 2, root * theta])
        return _linearization(q, np.stack([self.kappa * theta, root]))


def _energy_of(energy: Quadratic | None) -> Quadratic:
    given: Quadratic = Quadratic() if energy is None else instance("energy", energy, Quadratic, "a Quadratic")
    return given


# States as lists of numbers


def _leaves(state: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the variables of a state, entry by entry, with their names; counters, flags and None are left out."""
    if isinstance(state, tuple):
        names = getattr(state, "_fields", range(len(state)))
        for key, value in zip(names, state, strict=True):
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, np.ndarray) and state.dtype.kind in "fO":
        for i, value in enumerate(state.ravel()):
            yield (f"{name}[{i}]" if state.size > 1 else name), value
    elif isinstance(state, (float, np.floating)) or hasattr(state, "free_symbols"):
        yield name, state


def _with(state: Any, values: Iterator[Any]) -> Any:
    """Return the state with its variables replaced, in the order of `_leaves`."""
    if isinstance(state, tuple):
        parts = [_with(value, values) for value in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    if isinstance(state, np.ndarray) and state.dtype.kind in "fO":
        return np.array([next(values) for _ in range(state.size)], dtype=state.dtype).reshape(state.shape)
    if isinstance(state, (float, np.floating)):
        value = next(values)
        return value if hasattr(value, "free_symbols") else type(state)(value)
    return next(values) if hasattr(state, "free_symbols") else state


def _values(state: Any) -> list[Any]:
    return [value for _, value in _leaves(state)]


def _late(before: Any, after: Any, late: Any) -> Any:
    """Return `after` with the whole numbers that are one more than in `before` set to `late`."""
    if isinstance(after, tuple) and isinstance(before, tuple) and len(after) == len(before):
        parts = [_late(a, b, late) for a, b in zip(before, after, strict=True)]
        return type(after)(*parts) if hasattr(after, "_fields") else tuple(parts)
    whole = all(isinstance(x, (int, np.integer)) and not isinstance(x, bool) for x in (before, after))
    return late if whole and after == before + 1 else after


def _at_rest(scheme: Any, problem: Quadratic, dt: Any, late: Any = LATE, near: Any = None) -> Any:
    """Return the state at rest at the minimum, or None if the scheme does not stay there; `near` is one for another dt.

    Raises
    ------
    ValueError
        If a step returns parameters of another shape, for example because an operator of the scheme has another size.
    """
    if near is not None and _values(scheme.step(problem, near, dt)) == _values(near):
        return near
    state = scheme.init(problem, 0 * problem.curvature)
    for n in range(12):  # a multi-step scheme fills its past
        new = scheme.step(problem, state, dt)
        if new.theta.shape != problem.curvature.shape:
            raise ValueError(
                f"a step must return theta of shape {problem.curvature.shape}, got {new.theta.shape}: give as many eigenvalues"
            )
        if any(value != 0 for value in new.theta):
            return None
        same = [a == b for a, b in zip(_values(state), _values(new), strict=False)]
        state = _late(state, new, late) if n == 1 else new
        if n > 1 and len(_values(state)) == len(same) and all(same):
            return state
    return None


class _Linearized(NamedTuple):
    """The derivative (2)."""

    A: Any
    """Of the variables that matter, (k, k)."""
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
    x = np.array(_values(rest), dtype=np.float64)
    columns = np.zeros((x.size, len(places)))

    def moved(i: int, h: float) -> Any:
        y = x.copy()
        y[i] += h
        return np.array(_values(scheme.step(problem, _with(rest, iter(y)), dt)), dtype=np.float64)

    for k, i in enumerate(places):
        if x[i] == 0:
            columns[:, k] = (moved(i, SMALL) - x) / SMALL
        else:
            with suppress(ValueError):  # a constant of the state, of which the scheme refuses other values
                columns[:, k] = (moved(i, 2.0**-20 * x[i]) - moved(i, -(2.0**-20) * x[i])) / (2.0**-19 * x[i])
    return columns


def _that_matter(scheme: Any, problem: Quadratic, dts: Sequence[float]) -> _Linearized | None:
    """Return which variables matter at these step sizes, with A at the last one; None without a state at rest."""
    matters: set[int] = set(range(problem.curvature.size))
    for dt in dts:
        rest = _at_rest(scheme, problem, dt)
        if rest is None:
            return None
        names, x = zip(*_leaves(rest), strict=True)
        places = [i for i, value in enumerate(x) if isfinite(value)]
        J = np.zeros((len(x), len(x)))
        J[:, places] = _columns(scheme, problem, dt, rest, places)
        matters = _closure(matters, (J != 0).tolist())
    order = tuple(sorted(matters))
    kept = [i for i in range(len(x)) if i not in matters and J[i, i] == 1]
    carried = tuple(names[i] for i in kept if _is_felt(scheme, problem, dt, rest, i))
    return _Linearized(J[np.ix_(order, order)], tuple(names[i] for i in order), carried, order, not kept)


def _is_felt(scheme: Any, problem: Quadratic, dt: float, rest: Any, i: int) -> bool:
    """Return whether a step from near the minimum depends on variable i."""
    x = np.array(_values(rest), dtype=np.float64)
    x[: problem.curvature.size] = SMALL
    other = x.copy()
    other[i] += 0.125 * (abs(x[i]) or 1.0)
    with suppress(ValueError):
        one, two = (scheme.step(problem, _with(rest, iter(y)), dt).theta for y in (x, other))
        return bool(np.max(np.abs(one - two)) > 1e-9 * SMALL)
    return False


def _closure(start: set[int], depends: Sequence[Sequence[bool]]) -> set[int]:
    """Return the variables on which those of `start` depend, directly or through others; row i says on which i does."""
    reached, open_ones = set(start), list(start)
    while open_ones:
        new = {j for j, does in enumerate(depends[open_ones.pop()]) if does} - reached
        reached |= new
        open_ones += new
    return reached


def _is_defined_at_the_minimum(scheme: Any, problem: Quadratic) -> bool:
    """Return whether the scheme starts at the minimum, as SAV does not for C = e = 0; what it refuses close to it is an error."""
    try:
        scheme.init(problem, 0 * problem.curvature)
    except ValueError:
        scheme.init(problem, PERTURBATION + 0 * problem.curvature)
        return False
    return True


class _Map:
    """The matrix A of a scheme as a function of z."""

    def __init__(self, scheme: Any, problem: Quadratic) -> None:
        self.scheme, self.problem = scheme, problem
        self.linear: _Linearized | None = None
        self.conserved = 0
        self._known: dict[float, Any] = {}
        self._rest: Any = None
        with quiet():
            if _is_defined_at_the_minimum(scheme, problem):
                self.linear = _that_matter(scheme, problem, [z / problem.largest for z in PROBES])
                self.at_rest = self.linear is not None
                self.decides = self.at_rest and all(map(self._is_followed, PROBES))
            else:
                self.at_rest = True
                self.decides = all(map(self._is_homogeneous, PROBES))
        if self.linear is not None and self.decides:
            self.conserved = min(int(np.sum(np.abs(self.all_eigenvalues(z) - 1) < 1e-9)) for z in PROBES)

    def _is_followed(self, z: float) -> bool:
        """Return whether four steps from a small perturbation are A^4 of it."""
        assert self.linear is not None
        dt, places = z / self.problem.largest, list(self.linear.places)
        rest = _at_rest(self.scheme, self.problem, dt)
        x = np.array(_values(rest), dtype=np.float64)
        A = _columns(self.scheme, self.problem, dt, rest, places)[places]
        v = np.cos(1.0 + np.arange(len(places)))  # any direction
        y = x.copy()
        y[places] += np.where(x[places] == 0, PERTURBATION, 0.0) * v
        v = np.where(x[places] == 0, v, 0.0)
        state = _with(rest, iter(y))
        for _ in range(4):
            state, v = self.scheme.step(self.problem, state, dt), A @ v
        reached = (np.array(_values(state), dtype=np.float64) - x)[places] / PERTURBATION
        return bool(np.max(np.abs(reached - v)) <= 1e-6 * np.max(np.abs(v)))

    def _ratios(self, dt: float) -> list[Any]:
        """Return theta_new / theta, (P,), for a few steps close to the minimum."""
        state = self.scheme.init(self.problem, PERTURBATION + 0 * self.problem.curvature)
        ratios = []
        for _ in range(4):
            old, state = state, self.scheme.step(self.problem, state, dt)
            ratios.append(state.theta / np.where(old.theta == 0, nan, old.theta))
        return ratios

    def _is_homogeneous(self, z: float) -> bool:
        """Return whether steps close to the minimum multiply by one factor, whatever the other variables are."""
        dt = z / self.problem.largest
        ratios = self._ratios(dt)
        state = self.scheme.init(self.problem, PERTURBATION + 0 * self.problem.curvature)
        values = np.array(_values(state), dtype=np.float64)
        values[self.problem.curvature.size :] *= 1.0 + 2.0**-10
        new = self.scheme.step(self.problem, _with(state, iter(values)), dt)
        ratios.append(new.theta / state.theta)
        return all(bool(np.max(np.abs(ratio - ratios[0])) <= 1e-9) for ratio in ratios)

    def all_eigenvalues(self, z: float) -> Any:
        """Return the eigenvalues of A, (k,), with those of conserved quantities."""
        if z not in self._known:
            with quiet():
                self._known[z] = self._computed(z / self.problem.largest)
        return self._known[z]

    def _computed(self, dt: float) -> Any:
        if self.linear is None:
            return self._ratios(dt)[0]  # a step may end in 0, of which there is no ratio
        self._rest = _at_rest(self.scheme, self.problem, dt, near=self._rest)
        if self._rest is None:
            return np.array([nan])
        A = _columns(self.scheme, self.problem, dt, self._rest, self.linear.places)[list(self.linear.places)]
        return np.linalg.eigvals(A) if np.isfinite(A).all() else np.array([nan])

    def eigenvalues(self, z: float) -> Any:
        """Return the eigenvalues of A, (k,), without the ones of conserved quantities."""
        values = self.all_eigenvalues(z)
        return values[np.argsort(np.abs(values - 1))][self.conserved :]

    def radius(self, z: float) -> float:
        """Return the spectral radius, or NaN if there is no linearisation."""
        return float(np.max(np.abs(self.eigenvalues(z))))

    def has_flow(self, z: float) -> bool:
        """Return whether the eigenvalue of largest modulus is real and positive."""
        values = np.asarray(self.eigenvalues(z), dtype=complex)
        leading = values[np.argmax(np.abs(values))]
        return bool(leading.imag == 0 and leading.real > 0)


def _bisected(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a condition that differs at the two ends changes: the least double at which it is as at the upper end."""
    at_low = holds(low)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if holds(middle) == at_low else (low, middle)
    return high


def _intervals(holds: Callable[[float], bool]) -> tuple[tuple[float, float], ...]:
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


# What an orbit does


class Fate(NamedTuple):
    """What an orbit of a scheme does on the quadratic, measured."""

    z: float
    """The step size times the largest eigenvalue, dimensionless."""
    kind: str
    """``converges`` (to the minimum), ``decays`` (on its way there), ``stops`` (elsewhere), ``cycle``, ``chaos`` (bounded, with a
    Lyapunov exponent above 0.02), ``bounded`` (none of these within the steps taken), ``diverges`` or ``fails`` (a value that is
    not finite)."""
    period: int
    """Of a cycle, in steps; otherwise 0."""
    amplitude: float
    """The largest ``|theta|`` at the end of the orbit."""
    energy: float
    """The largest ``E - e`` at the end of the orbit, in the units of the energy."""
    multiplier: float
    """Of a cycle: the derivative of the map of `period` steps, the eigenvalue of largest modulus, dimensionless; else NaN."""
    lyapunov: float
    """The mean of ``log |D Phi|`` along the end of the orbit, 1 / step; NaN where it was not computed."""


def fate(
    scheme: Any,
    z: float,
    energy: Quadratic | None = None,
    *,
    start: float | None = None,
    steps: int = 1000,
) -> Fate:
    """Run a scheme on the quadratic and return what its orbit does.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``.
    z : float
        The step size times the largest eigenvalue, dimensionless, > 0.
    energy : Quadratic, optional
        The energy (1); by default ``theta^2 / 2``.
    start : float, optional
        Every entry of theta at the start; by default 1, or ``20 dt`` if that is less: for Adam and its relatives dt is a length.
    steps : int
        The steps that are taken before the orbit is classified, >= 64. 1000 more are taken for a Lyapunov exponent.

    Returns
    -------
    Fate
        What was measured.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    The true energy of restarted SAV beyond ``z = 2`` is that of a cycle of two steps, ``C (z - 2) / (z + 2)``:

    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import fate
    >>> end = fate(gf.Restart(gf.SAV(C=1.0)), 5.0)
    >>> end.kind, end.period, round(end.energy, 9), round(end.multiplier, 6)
    ('cycle', 2, 0.428571429, 0.4624)
    """
    _require_scheme(scheme)
    problem = _energy_of(energy)
    dt = real_number("z", z, 0, open_low=True) / problem.largest
    steps = whole_number("steps", steps, 64)
    first = min(1.0, 20 * dt) if start is None else real_number("start", start)
    with quiet():
        state = scheme.init(problem, first + 0 * problem.curvature)
        states, sizes, tiny = [state], [abs(first)], 0
        bound = 1e12 * max(1.0, z) * abs(first)
        for _ in range(steps):
            state = scheme.step(problem, state, dt)
            size = float(np.max(np.abs(state.theta)))
            if not size <= bound:
                return Fate(z, "diverges" if size > bound else "fails", 0, size, inf, nan, nan)
            states, sizes = [*states[-63:], state], [*sizes, size]
            tiny = tiny + 1 if size <= TINY * abs(first) else 0
            if tiny == 8:  # a momentum may cross the minimum in one step, but does not stay there
                return Fate(z, "converges", 0, size, float(problem.energy(state.theta) - problem.offset), nan, nan)
        return _classified(scheme, problem, dt, z, states, np.array(sizes))


def _classified(scheme: Any, problem: Quadratic, dt: float, z: float, tail: list[Any], sizes: Any) -> Fate:
    """Return the fate of an orbit that ends with some states, from the sizes of theta along all of it."""
    thetas = np.array([state.theta for state in tail])
    amplitude = float(np.max(np.abs(thetas)))
    energy = float(max(problem.energy(theta) for theta in thetas) - problem.offset)
    if amplitude <= ROUND * sizes[0]:
        return Fate(z, "converges", 0, amplitude, energy, nan, nan)
    for p in range(1, 17):
        if np.max(np.abs(thetas[p:] - thetas[:-p])) <= ROUND * amplitude:
            if p == 1:
                return Fate(z, "stops", 0, amplitude, energy, nan, nan)
            return Fate(z, "cycle", p, amplitude, energy, _cycle_multiplier(scheme, problem, dt, tail[-1], p), nan)
    if amplitude < 0.9 * np.max(sizes[sizes.size // 2 :][:64]):
        return Fate(z, "decays", 0, amplitude, energy, nan, nan)
    exponent = _lyapunov(scheme, problem, dt, tail[-1], 1000)
    return Fate(z, "chaos" if exponent > 0.02 else "bounded", 0, amplitude, energy, nan, exponent)


def _moved(scheme: Any, problem: Quadratic, dt: float, state: Any, p: int) -> Any:
    for _ in range(p):
        state = scheme.step(problem, state, dt)
    return np.array(_values(state), dtype=np.float64)


def _cycle_multiplier(scheme: Any, problem: Quadratic, dt: float, state: Any, p: int) -> float:
    """Return the eigenvalue of largest modulus of the derivative of p steps, by central differences."""
    x = np.array(_values(state), dtype=np.float64)
    size = np.max(np.abs(state.theta))
    places = [i for i in range(x.size) if isfinite(x[i])]
    J = np.zeros((x.size, x.size))
    for i in places:
        h = 2.0**-18 * (abs(x[i]) or 2.0**-10 * size)
        ends = []
        with suppress(ValueError):  # a constant of the state, of which the scheme refuses other values
            for sign in (-1, 1):
                y = x.copy()
                y[i] += sign * h
                ends.append(_moved(scheme, problem, dt, _with(state, iter(y)), p))
            J[:, i] = (ends[1] - ends[0]) / (2 * h)
    if not np.isfinite(J[np.ix_(places, places)]).all():
        return nan
    noise = 1e-8 * np.max(np.abs(J[places]))
    matters = sorted(_closure(set(range(problem.curvature.size)), (np.abs(J) > noise).tolist()))
    J = J[np.ix_(matters, matters)]
    values = np.linalg.eigvals(J)
    moving = values[np.abs(values - 1) > 1e-6]  # 1 is the multiplier of a variable that is carried
    if not moving.size:
        return 1.0
    leading = moving[np.argmax(np.abs(moving))]
    return float(leading.real) if leading.imag == 0 else float(abs(leading))


def _lyapunov(scheme: Any, problem: Quadratic, dt: float, state: Any, steps: int) -> float:
    """Return the mean growth of the separation of two orbits, which is brought back to 1e-8 of theta in each step."""
    size = float(np.max(np.abs(state.theta)))
    x = np.array(_values(state), dtype=np.float64)
    places = [i for i in range(x.size) if isfinite(x[i])]
    gap = np.zeros(x.size)
    gap[: problem.curvature.size] = 1e-8 * size
    total = 0.0
    for _ in range(steps):
        other = scheme.step(problem, _with(state, iter(x + gap)), dt)
        state = scheme.step(problem, state, dt)
        x = np.array(_values(state), dtype=np.float64)
        gap = np.array(_values(other), dtype=np.float64) - x
        length = float(np.linalg.norm(gap[places]))
        if not 0 < length < inf:
            return nan if length else -inf
        total += log(length / (1e-8 * size))
        gap = np.where(np.isfinite(gap), gap * (1e-8 * size / length), 0.0)
    return total / steps


# The report


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


@dataclass(frozen=True)
class Stability:
    """What `stability` found. All z are step sizes times the largest eigenvalue, dimensionless."""

    scheme: str
    """The scheme, in words."""
    energy: str
    """The energy (1), in words."""
    at_rest: bool
    """Whether the scheme stays at the minimum."""
    decides: bool
    """Whether the linearisation (2) describes the orbits close to the minimum: a few steps from a small perturbation are those of
    A. If not, because the scheme is not differentiable there or controls its own step, the numbers from A are NaN and empty."""
    variables: tuple[str, ...]
    """The variables of the state that matter."""
    carried: tuple[str, ...]
    """The variables that keep any value at the minimum, and on which the multiplier depends: a continuum of fixed points, each with a
    threshold of its own."""
    conserved: int
    """The number of quantities that A conserves, such as the inconsistency of a carried residual; their eigenvalue 1 is left out."""
    threshold: float
    """The end of the first interval of `stable`; infinite if there is no end up to 1e8."""
    stable: tuple[tuple[float, float], ...]
    """The intervals of z with asymptotic stability, between 1e-14 and 1e8. One narrower than a factor 2 may be missed."""
    real_flow: float
    """The end of the first interval of z with a real modified flow; 0 if small z have none."""
    limit: float
    """The threshold in terms of the step that the scheme takes against a constant gradient (`effective_step`): the largest
    eigenvalue times the effective step at `threshold`, dimensionless. 2 for gradient descent with any stabilization."""
    fates: tuple[Fate, ...]
    """Orbits at z below and beyond the threshold."""
    exact: ExactStability | None
    """The exact threshold; None where the step does not run on symbols or it was not asked for."""

    @property
    def beyond(self) -> tuple[str, ...]:
        """What happens beyond the threshold: the kinds of `fates` there, in the order of z, without repetitions."""
        kinds = [
            _named(end)
            for end in self.fates
            if end.z > self.threshold or self.threshold in (0.0, inf) or self.threshold != self.threshold
        ]
        return tuple(dict.fromkeys(kinds))

    def __str__(self) -> str:
        lines = [f"stability of {self.scheme} on {self.energy}, z = dt max lambda_i"]
        if not self.at_rest:
            lines.append("the scheme does not stay at the minimum")
        elif not self.decides:
            lines.append(
                "the linearisation does not decide: the scheme is not differentiable at the minimum, or controls its step"
            )
        elif not self.stable:
            lines.append("the minimum is not asymptotically stable for any z in [1e-14, 1e8]")
        else:
            exactly = "" if self.exact is None else f", exactly {self.exact.threshold}"
            every = "every z up to 1e8" if self.exact is None else "every z, exactly"
            until = every if self.threshold == inf else f"z < {self.threshold:.12g}{exactly}"
            lines.append(f"the minimum is asymptotically stable for {until}")
            lines += [f"and again for {a:.12g} < z < {b:.12g}" for a, b in self.stable[1:]]
            until = "every z" if self.real_flow == inf else f"z < {self.real_flow:.12g}"
            lines.append(f"there is a real modified flow for {until}")
        if self.carried:
            lines.append(
                f"a continuum of fixed points: {', '.join(self.carried)} may have any value; this is the consistent one"
            )
        if self.conserved:
            lines.append(
                f"{self.conserved} conserved quantity of A is left out: an inconsistent start stays inconsistent"
            )
        lines += [f"measured, z = {end.z:.6g}: {_told(end)}" for end in self.fates]
        return "\n".join(lines)


def _named(end: Fate) -> str:
    return f"{end.period}-cycle" if end.kind == "cycle" else end.kind


def _told(end: Fate) -> str:
    if end.kind in ("converges", "diverges", "fails"):
        return end.kind
    told = f"{_named(end)}, E - e up to {end.energy:.6g}"
    if end.kind == "cycle":
        return f"{told}, multiplier {end.multiplier:.6g}"
    return told if end.lyapunov != end.lyapunov else f"{told}, Lyapunov exponent {end.lyapunov:.3g}"


def stability(scheme: Any, energy: Quadratic | None = None, *, exact: bool = False, steps: int = 1000) -> Stability:
    """Return the linear stability of a scheme on the quadratic (1), and what lies beyond its threshold.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``, yours too.
    energy : Quadratic, optional
        The energy (1); by default ``theta^2 / 2``. A stabilization and an epsilon have units: their effect depends on it.
    exact : bool
        Whether to run the step on symbols as well, for the exact threshold (some seconds).
    steps : int
        The steps of each orbit, >= 64.

    Returns
    -------
    Stability
        What was found.

    Raises
    ------
    ValueError
        If an argument is out of range, or the scheme refuses the quadratic.

    Examples
    --------
    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import stability
    >>> found = stability(gf.HeavyBall(momentum=0.5))
    >>> found.threshold, found.variables, found.beyond
    (3.0, ('theta', 'd'), ('diverges',))
    >>> print(stability(gf.Restart(gf.SAV(C=1.0)), exact=True))
    stability of Restart(base=SAV(C=1.0, stabilization=0.0)) on Quadratic(1.0), z = dt max lambda_i
    the minimum is asymptotically stable for z < 2, exactly 2
    there is a real modified flow for z < 1
    measured, z = 1: converges
    measured, z = 1.9: converges
    measured, z = 2.1: 2-cycle, E - e up to 0.0243902, multiplier 0.662692
    measured, z = 3: 2-cycle, E - e up to 0.2, multiplier 0.0123457
    measured, z = 4.5: 2-cycle, E - e up to 0.384615, multiplier 0.36595
    measured, z = 10: 2-cycle, E - e up to 0.666667, multiplier 0.8464
    """
    _require_scheme(scheme)
    instance("exact", exact, bool, "True or False")
    problem = _energy_of(energy)
    at = _Map(scheme, problem)
    stable: tuple[tuple[float, float], ...] = ()
    threshold = real_flow = limit = nan
    if at.decides:
        stable = _intervals(lambda z: at.radius(z) < 1)
        threshold = stable[0][1] if stable and stable[0][0] == 0 else 0.0
        flows = _intervals(at.has_flow)
        real_flow = flows[0][1] if flows and flows[0][0] == 0 else 0.0
        limit = _limit(scheme, problem, threshold)
    multiples = [m * threshold for m in BEYOND] if 0 < threshold < inf else WITHOUT_END
    fates = [fate(scheme, z, problem, steps=steps) for z in multiples]
    if (
        at.decides and at.linear is not None and at.linear.forgets and not at.conserved
    ):  # nothing stops the growth for good
        fates = [end._replace(kind="decays") if end.kind == "converges" and end.z > threshold else end for end in fates]
    return Stability(
        scheme=repr(scheme),
        energy=repr(problem),
        at_rest=at.at_rest,
        decides=at.decides,
        variables=() if at.linear is None else at.linear.variables,
        carried=() if at.linear is None else at.linear.carried,
        conserved=at.conserved,
        threshold=threshold,
        stable=stable,
        real_flow=real_flow,
        limit=limit,
        fates=tuple(fates),
        exact=_exact_or_none(scheme, at) if exact and at.decides else None,
    )


def _limit(scheme: Any, problem: Quadratic, threshold: float) -> float:
    """Return the largest eigenvalue times the effective step at a threshold."""
    if not 0 < threshold < inf:
        return threshold
    dt = threshold / problem.largest
    with quiet():
        near = SMALL + 0 * problem.curvature
        rest = (
            _at_rest(scheme, problem, dt) if _is_defined_at_the_minimum(scheme, problem) else scheme.init(problem, near)
        )
        if rest is None:
            return nan
        values = _values(rest)
        values[: problem.curvature.size] = [SMALL] * problem.curvature.size
        return float(problem.largest * _response(scheme, problem, _with(rest, iter(values)), dt))


# During a run


class _Still:
    """A linearisation with the residual of another one and no derivative."""

    def __init__(self, at: Any) -> None:
        self.at, self.residual = at, at.residual

    def jvp(self, d: Array) -> Array:
        return 0 * self.at.jvp(d)

    def vjp(self, u: Array) -> Array:
        return 0 * self.at.vjp(u)

    def gram(self) -> Array:
        return 0 * self.at.gram()

    def jacobian(self) -> Array:
        return 0 * self.at.jacobian()


class _Constant:
    """A problem with its gradient at theta everywhere, or with no gradient; the energy is that of the problem."""

    def __init__(self, problem: Any, theta: Array, *, moves: bool) -> None:
        self.problem, self.theta, self.moves = problem, theta, moves
        self.inner, self.energy, self.mass = problem.inner, problem.energy, problem_ability(problem, "mass")
        self.g = problem.energy_and_gradient(theta)[1]

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        return self.energy(theta), self.g if self.moves else 0 * self.g

    def hvp(self, theta: Array, v: Array) -> Array:
        return 0 * v

    def linearize(self, theta: Array) -> Any:
        at = self.problem.linearize(self.theta)
        return at if self.moves else _Still(at)


def _response(scheme: Any, problem: Any, state: Any, dt: Any) -> Any:
    """Return -(d(g) - d(0), g) / (g, g) of (4)."""
    pulled, free = (_Constant(problem, state.theta, moves=moves) for moves in (True, False))
    d = scheme.step(pulled, state, dt).theta - scheme.step(free, state, dt).theta
    return -problem.inner(d, pulled.g) / problem.inner(pulled.g, pulled.g)


def effective_step(problem: Problem, scheme: Any, state: Any, dt: Any) -> float:
    r"""Return the step size that the next step of a scheme really takes, a time.

    With a gradient that is g at every theta, let d(g) be the increment of the step. The effective step is

    .. math:: \eta = -\frac{(d(g) - d(0), g)_M}{(g, g)_M}.                                              \tag{4}

    It is dt for gradient descent, Runge-Kutta and momentum methods, ``dt / (1 + dt S)`` with a stabilization ``S I``, ``dt r^{n+1} /
    sqrt(E + C)`` for `SAV`. For a method with a diagonal matrix, such as Adam, it is the mean of the diagonal weighted with the
    squares of g. An energy part L of the problem is included in g. Where g vanishes it is NaN.

    Parameters
    ----------
    problem : Problem
        The energy.
    scheme : Scheme
        Any object with ``init`` and ``step`` that asks for gradients only: not for residuals.
    state : NamedTuple
        A state of the scheme.
    dt : float
        The step size, > 0.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> from gradflow.backward_error.linear_stability import Quadratic, effective_step
    >>> problem, scheme = Quadratic(1.0), gf.SAV(C=0.5)
    >>> state = scheme.init(problem, np.array([1.0]))
    >>> effective_step(problem, scheme, state, 4.0)  # 4 / (1 + 4 / (2 (1/2 + 1/2)))
    1.3333333333333333
    """
    with quiet():
        return float(_response(scheme, problem, state, dt))


def edge_of_stability(problem: Problem, scheme: Any, dt: float) -> tuple[str | tuple[str, Callable[[Any], float]], ...]:
    r"""Return what `gradflow.solve` records to compare the curvature with what the scheme can take.

    The quantities are ``largest_eigenvalue`` of the Hessian; ``effective_step``, eta of (4); and ``stability_limit``, the curvature
    beyond which the scheme with this effective step is unstable on a quadratic, ``w / eta``, with w the `Stability.limit` of the
    scheme: ``2 / dt`` for gradient descent, ``2 (1 + beta) / dt`` for the heavy ball, ``2 sqrt(E + C) / (r^{n+1} dt)`` for `SAV`. It is
    infinite if there is no threshold, and NaN for a scheme whose threshold depends on more of the
    residual than the Hessian, as that of `IEQ`. `gradflow.plotting.edges.plot_edge_of_stability` draws them.

    Parameters
    ----------
    problem : Problem
        The full problem, with second derivatives.
    scheme : Scheme
        The scheme of the run; see `effective_step`.
    dt : float
        Its step size, from 1.1e-74 to 1e86.

    Returns
    -------
    tuple
        For the argument ``record`` of `gradflow.solve`, together with other quantities. A record costs two steps and the
        eigenvalue.

    Raises
    ------
    ValueError
        If dt is not in this range, or the scheme none.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> from gradflow.backward_error.linear_stability import edge_of_stability
    >>> bowl = gf.FunctionProblem(lambda t: 2 * t @ t, lambda t: 4 * t, lambda t, v: 4 * v)
    >>> scheme = gf.GradientDescent()
    >>> run = gf.solve(bowl, scheme, np.ones(3), dt=0.2, steps=2, record=edge_of_stability(bowl, scheme, 0.2))
    >>> run.history["largest_eigenvalue"].round(6).tolist(), run.history["stability_limit"].round(6).tolist()
    ([4.0, 4.0, 4.0], [10.0, 10.0, 10.0])
    """
    _require_scheme(scheme)
    step = real_number("dt", dt, STEEP / LARGEST_CURVATURE, STEEP / LEAST_CURVATURE)
    steep = Quadratic(STEEP / step)  # so steep that no stabilization of the scheme hides the threshold
    at = _Map(scheme, steep)
    w = nan
    if at.decides:
        stable = _intervals(lambda z: at.radius(z) < 1)
        w = _limit(scheme, steep, stable[0][1]) if stable and stable[0][0] == 0 else 0.0
    if w == inf and not _is_stable_on_a_curved_residual(scheme):
        w = nan

    def taken(state: Any) -> float:
        return effective_step(problem, scheme, state, step)

    def limit(state: Any) -> float:
        if w in (0.0, inf):
            return w
        eta = taken(state)
        return w / eta if eta else inf  # a step that is lost in the rounding of theta

    return "largest_eigenvalue", ("effective_step", taken), ("stability_limit", limit)


def _is_stable_on_a_curved_residual(scheme: Any) -> bool:
    """Return whether a scheme that is stable on every quadratic is so for the residual (3 + theta^2 / 2, theta) and dt = 3."""
    curved = CurvedResidual(3.0, 1.0, 1.0)
    at = _Map(scheme, curved)
    return bool(at.decides and at.radius(3 * curved.largest) < 1)


# On symbols


def _rational(e: Any) -> Any:
    import sympy as sp

    e = sp.sympify(e)
    return e.xreplace({x: sp.Rational(str(x)) for x in e.atoms(sp.Float)})


def _exact_matrix(scheme: Any, z: Any, energy: Quadratic, places: Sequence[int] = ()) -> tuple[Any, tuple[str, ...]]:
    """Return A over the variables that matter as a SymPy matrix, and their names."""
    import sympy as sp

    from .symbolic_steps import exact_settings

    problem = energy.exact()
    dt, exact_scheme, h = z / problem.largest, exact_settings(scheme, {}), sp.Symbol("h", positive=True)
    rest = _at_rest(exact_scheme, problem, dt, sp.oo)
    if rest is None:
        raise ValueError(f"the minimum is no fixed point of {type(scheme).__name__}: a step from it leads elsewhere")
    names, x = zip(*_leaves(rest), strict=True)
    J = sp.zeros(len(x), len(x))
    for i in places or range(len(x)):
        y = [sp.sympify(value) for value in x]
        y[i] = y[i] + h
        new = _values(exact_scheme.step(problem, _with(rest, iter(y)), dt))
        for j in places or range(len(x)):
            slope = sp.diff(new[j], h).subs(h, 0)
            if slope.has(sp.nan, sp.zoo):  # a quotient such as h^3 / h^2
                slope = sp.diff(sp.cancel(sp.together(new[j])), h).subs(h, 0)
            J[j, i] = sp.cancel(sp.together(_rational(slope)))
    start = set(range(problem.curvature.size))
    matters = sorted(_closure(start, [[e != 0 for e in row] for row in J.tolist()]))
    A = J.extract(matters, matters)
    if A.has(sp.nan, sp.zoo, sp.oo):
        raise ValueError(f"a step of {type(scheme).__name__} is not differentiable at the minimum")
    return A, tuple(names[i] for i in matters)


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
        If the minimum is no fixed point, A is not rational in z, or no candidate is where the numbers cross.

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
    _require_scheme(scheme)
    return _exact(scheme, _energy_of(energy), {} if at is None else at)


def _exact(scheme: Any, energy: Quadratic, numbers: dict[Any, Any], places: Sequence[int] = ()) -> ExactStability:
    import sympy as sp

    z, x = sp.Symbol("z", positive=True), sp.Symbol("x")
    A, _ = _exact_matrix(scheme, z, energy, places)
    p = sp.Poly(sp.numer(sp.together(A.charpoly(x).as_expr())), x)
    while p.eval(1).equals(0) and p.degree() > 1:
        p = sp.Poly(sp.cancel(p.as_expr() / (x - 1)), x)  # a conserved quantity
    n = p.degree()
    reverse = sp.Poly(p.all_coeffs()[::-1], x)
    inside: Any = sp.lambdify(z, A.subs(numbers), "numpy")
    count = A.shape[0] - n

    def eigenvalues(value: float) -> Any:
        found_there = np.linalg.eigvals(np.array(inside(value), dtype=np.float64)).astype(complex)
        return found_there[np.argsort(np.abs(found_there - 1))][count:]

    def is_stable(value: float, margin: float) -> bool:
        return bool(np.max(np.abs(eigenvalues(value))) < 1 - margin)

    def has_flow(value: float, margin: float) -> bool:
        leading = max(eigenvalues(value), key=abs)
        return bool(leading.imag == 0 and leading.real > margin)

    crossings = [p.eval(1), p.eval(-1), *([sp.resultant(p, reverse, x)] if n > 1 else [])]
    turns = [p.eval(0), *([sp.discriminant(p, x), sp.resultant(p, p.compose(sp.Poly(-x, x)), x)] if n > 1 else [])]
    ends = [
        _first_end(condition, candidates, z, numbers)
        for condition, candidates in (
            (is_stable, crossings),
            (has_flow, turns),
        )
    ]
    return ExactStability(sp.factor(p.as_expr()), *ends)


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


def _exact_or_none(scheme: Any, at: _Map) -> ExactStability | None:
    """Return the exact stability, None where the step does not run on symbols: whatever it raises there says so."""
    try:
        return _exact(scheme, at.problem, {}, () if at.linear is None else at.linear.places)
    except Exception:  # a step that was written for numbers may fail in any way
        return None


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
        Entries of the state of k variables, theta first.
    variables : tuple of str
        The names of the variables.

    Raises
    ------
    ValueError
        If the minimum is no fixed point of the scheme, or an argument is out of range.

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
    _require_scheme(scheme)
    problem = _energy_of(energy)
    if hasattr(z, "free_symbols"):
        return _exact_matrix(scheme, z, problem)
    dt = real_number("z", z, 0, open_low=True) / problem.largest
    with quiet():
        linear = _that_matter(scheme, problem, [dt])
    if linear is None:
        raise ValueError(f"the minimum is no fixed point of {type(scheme).__name__}: a step from it leads elsewhere")
    return linear.A, linear.variables


def amplification(scheme: Any, z: float, energy: Quadratic | None = None) -> float:
    """Return the spectral radius (3), dimensionless: the factor by which perturbations of the minimum grow in a step.

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
        If the minimum is no fixed point of the scheme, or an argument is out of range.

    Examples
    --------
    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import amplification
    >>> amplification(gf.GradientDescent(), 2.5), amplification(gf.ImplicitEuler(), 3.0)
    (1.5, 0.25)
    """
    _require_scheme(scheme)
    at = _Map(scheme, _energy_of(energy))
    if not at.at_rest:
        raise ValueError(f"the minimum is no fixed point of {type(scheme).__name__}: a step from it leads elsewhere")
    return at.radius(real_number("z", z, 0, open_low=True))


def _require_scheme(scheme: Any) -> None:
    if isinstance(scheme, type) or not all(callable(getattr(scheme, name, None)) for name in ("init", "step")):
        raise ValueError(f"scheme must be an object with the methods init and step, got {found(scheme)}")
