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

**How A is computed.** The variables that vanish at ``x*`` are set to ``h = 2^-100``, one at a time. As ``Phi(x*)`` vanishes
there too, ``Phi / h`` is a column of A without truncation or cancellation, even where roots such as ``sqrt(v)`` are not
smooth: those are of second order. Whole numbers that count steps are set to ``2^40``, so that bias corrections have ended. A step
that runs on symbols gives A as a matrix of rational functions of z.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from ...namespace import quiet
from ...refusals import real_number
from .quadratics import Quadratic, energy_of, rational
from .states import at_rest, require_scheme, values_of, variables_of, with_values

__all__ = ["amplification", "amplification_matrix"]

SMALL = 2.0**-100
"""The number h; its square is far from underflow and far below every epsilon."""
PERTURBATION = 2.0**-200
"""A perturbation that stays small where a step multiplies by 1e8, as Adam's does at the minimum."""
PROBES = (0.375, 2.625)
"""The z at which it is found which variables matter."""


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


def _that_matter(scheme: Any, problem: Quadratic, dts: Sequence[float]) -> _Linearized | None:
    """Return which variables matter at these step sizes, with A at the last one; None without a state at rest."""
    matters: set[int] = set(range(problem.curvature.size))
    for dt in dts:
        rest = at_rest(scheme, problem, dt)
        if rest is None:
            return None
        names, x = zip(*variables_of(rest), strict=True)
        places = [i for i, value in enumerate(x) if isfinite(value)]
        J = np.zeros((len(x), len(x)))
        J[:, places] = _columns(scheme, problem, dt, rest, places)
        matters = closure(matters, (J != 0).tolist())
    order = tuple(sorted(matters))
    kept = [i for i in range(len(x)) if i not in matters and J[i, i] == 1]
    carried = tuple(names[i] for i in kept if _is_felt(scheme, problem, dt, rest, i))
    return _Linearized(J[np.ix_(order, order)], tuple(names[i] for i in order), carried, order, not kept)


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
    """The matrix A of a scheme as a function of z."""

    def __init__(self, scheme: Any, problem: Quadratic) -> None:
        self.scheme, self.problem = scheme, problem
        self.linear: _Linearized | None = None
        self.conserved = 0
        self._known: dict[float, Any] = {}
        self._rest: Any = None
        with quiet():
            if is_defined_at_the_minimum(scheme, problem):
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
        rest = at_rest(self.scheme, self.problem, dt)
        x = np.array(values_of(rest), dtype=np.float64)
        A = _columns(self.scheme, self.problem, dt, rest, places)[places]
        v = np.cos(1.0 + np.arange(len(places)))  # any direction
        y = x.copy()
        y[places] += np.where(x[places] == 0, PERTURBATION, 0.0) * v
        v = np.where(x[places] == 0, v, 0.0)
        state = with_values(rest, iter(y))
        for _ in range(4):
            state, v = self.scheme.step(self.problem, state, dt), A @ v
        reached = (np.array(values_of(state), dtype=np.float64) - x)[places] / PERTURBATION
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
        values = np.array(values_of(state), dtype=np.float64)
        values[self.problem.curvature.size :] *= 1.0 + 2.0**-10
        new = self.scheme.step(self.problem, with_values(state, iter(values)), dt)
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
        self._rest = at_rest(self.scheme, self.problem, dt, near=self._rest)
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


def _not_at_rest(scheme: Any) -> ValueError:
    return ValueError(f"the minimum is no fixed point of {type(scheme).__name__}: a step from it leads elsewhere")


def exact_matrix(scheme: Any, z: Any, energy: Quadratic, places: Sequence[int] = ()) -> tuple[Any, tuple[str, ...]]:
    """Return A over the variables that matter as a SymPy matrix, and their names."""
    import sympy as sp

    from ..symbolic_steps import exact_settings

    problem = energy.exact()
    dt, exact_scheme, h = z / problem.largest, exact_settings(scheme, {}), sp.Symbol("h", positive=True)
    rest = at_rest(exact_scheme, problem, dt, sp.oo)
    if rest is None:
        raise _not_at_rest(scheme)
    names, x = zip(*variables_of(rest), strict=True)
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
    start = set(range(problem.curvature.size))
    matters = sorted(closure(start, [[e != 0 for e in row] for row in J.tolist()]))
    A = J.extract(matters, matters)
    if A.has(sp.nan, sp.zoo, sp.oo):
        raise ValueError(f"a step of {type(scheme).__name__} is not differentiable at the minimum")
    return A, tuple(names[i] for i in matters)


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
    require_scheme(scheme)
    problem = energy_of(energy)
    if hasattr(z, "free_symbols"):
        return exact_matrix(scheme, z, problem)
    dt = real_number("z", z, 0, open_low=True) / problem.largest
    with quiet():
        linear = _that_matter(scheme, problem, [dt])
    if linear is None:
        raise _not_at_rest(scheme)
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
    require_scheme(scheme)
    at = AmplificationMap(scheme, energy_of(energy))
    if not at.at_rest:
        raise _not_at_rest(scheme)
    return at.radius(real_number("z", z, 0, open_low=True))
