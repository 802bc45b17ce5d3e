r"""The edge of stability during a run: the step that a scheme really takes, and the curvature that it can take.

Source: Cohen, Kaur, Li, Kolter & Talwalkar, ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

from ...energies.protocols import Problem, problem_ability
from ...namespace import Array, quiet
from ...refusals import real_number
from .linearization import SMALL, AmplificationMap
from .quadratics import LARGEST_CURVATURE, LEAST_CURVATURE, CurvedResidual, Quadratic
from .states import at_rest, require_scheme, values_of, with_values
from .thresholds import first_end, intervals

__all__ = ["edge_of_stability", "effective_step"]

STEEP = 2.0**20
"""A curvature times dt in comparison with which stabilizations are small."""


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


def limit_of(at: AmplificationMap, threshold: float) -> float:
    """Return the largest eigenvalue times the effective step at a threshold; NaN if the steps of a period differ in it.

    Parameters
    ----------
    at : AmplificationMap
        The scheme on a quadratic.
    threshold : float
        The threshold, dimensionless.
    """
    if not 0 < threshold < inf:
        return threshold
    scheme, problem = at.scheme, at.problem
    dt = threshold / problem.largest
    with quiet():
        near = SMALL + 0 * problem.curvature
        if at.linear is not None:
            rests = at_rest(scheme, problem, dt, period=at.period)
        else:
            rests = [scheme.init(problem, near), None]
        if rests is None:
            return nan
        etas = []
        for rest in rests[:-1]:
            values = values_of(rest)
            values[: problem.curvature.size] = near.tolist()
            etas.append(float(problem.largest * _response(scheme, problem, with_values(rest, iter(values)), dt)))
        return etas[0] if all(abs(eta - etas[0]) <= 1e-9 * abs(etas[0]) for eta in etas) or len(etas) == 1 else nan


def edge_of_stability(problem: Problem, scheme: Any, dt: float) -> tuple[str | tuple[str, Callable[[Any], float]], ...]:
    r"""Return what `gradflow.solve` records to compare the curvature with what the scheme can take.

    The quantities are ``largest_eigenvalue`` of the Hessian; ``effective_step``, eta of (4); and ``stability_limit``, the curvature
    beyond which the scheme with this effective step is unstable on a quadratic, ``w / eta``, with w the `Stability.limit` of the
    scheme: ``2 / dt`` for gradient descent, ``2 (1 + beta) / dt`` for the heavy ball, ``2 sqrt(E + C) / (r^{n+1} dt)`` for `SAV`. It is
    infinite if there is no threshold, and NaN for a scheme whose threshold depends on more of the
    residual than the Hessian, as that of `IEQ`, or whose steps take turns with different effective steps. `gradflow.plotting.edges.plot_edge_of_stability` draws them.

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
    require_scheme(scheme)
    step = real_number("dt", dt, STEEP / LARGEST_CURVATURE, STEEP / LEAST_CURVATURE)
    steep = Quadratic(STEEP / step)  # so steep that no stabilization of the scheme hides the threshold
    at = AmplificationMap(scheme, steep)
    w = nan
    if at.decides:
        w = limit_of(at, first_end(intervals(lambda z: at.radius(z) < 1)))
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
    at = AmplificationMap(scheme, curved)
    return bool(at.decides and at.radius(3 * curved.largest) < 1)
