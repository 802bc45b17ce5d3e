r"""Quasi-Newton methods: BFGS, and L-BFGS with a limited memory.

The inverse of the Hessian is replaced by a positive definite H that is self-adjoint in the problem's inner product. A step
goes along

.. math:: d = -H^n g^n, \qquad \theta^{n+1} = \theta^n + \alpha\,d,                                      \tag{1}

where alpha satisfies the strong Wolfe conditions (`gradflow.curvature.line_search`). The change of the gradient is then
built into H. With ``s = theta^{n+1} - theta^n``, ``y = g^{n+1} - g^n``, ``s^* u = (s, u)_M`` and
``1 / rho = (s, y)_M``,

.. math:: H^{n+1} = (I - \rho\,s\,y^*)\,H^n\,(I - \rho\,y\,s^*) + \rho\,s\,s^*.                           \tag{2}

H satisfies the secant equation ``H^{n+1} y = s`` and is positive definite if ``(s, y)_M > 0``, which the Wolfe conditions
imply. A pair without that is left out.

`BFGS` keeps the symmetric matrix K with ``H u = K M u``, M the diagonal of the inner product:

.. math:: K^{n+1} = K - \rho\,(s\,w^T + w\,s^T) + \rho\,\bigl(1 + \rho\,(y, w)_M\bigr)\,s\,s^T, \qquad w = K M y. \tag{3}

`LBFGS` keeps the last m pairs. Its H is (2), applied to these pairs in their order, from a multiple of the identity,

.. math:: H_0 = \frac{(s, y)_M}{(y, y)_M}\, I \quad \text{of the newest pair},                            \tag{4}

and ``H g`` follows from two passes over the pairs:

.. math:: q \leftarrow q - a_i y_i, \quad a_i = \rho_i\,(s_i, q)_M, \quad i = m, \dots, 1, \qquad
          r \leftarrow r + \bigl(a_i - \rho_i\,(y_i, r)_M\bigr)\,s_i, \quad i = 1, \dots, m,               \tag{5}

from ``q = g`` and, in between, ``r = H_0 q``. BFGS begins with (4) of its first pair. Before the first pair H = I: the first
step is one of explicit Euler, of size alpha. A full step along -g may lead far away; its search starts from
``dt / max(1, |g|_M)``, a length of at most dt in theta. All others start from ``alpha = dt``.

The methods are the same for every inner product: with ``theta = M^{-1/2} z`` they make the steps of the plain method for z.

Energy law. As ``(g, d)_M = -(g, H g)_M < 0``, each step decreases E by at least ``c_1 alpha (g, H g)_M``. Where the search
finds no length, theta stays and the memory is emptied.

========  ==========  =======================
symbol    code        shape
========  ==========  =======================
theta     theta       (P,)
g         g           (P,)
d         d           (P,)
s, s_i    s           (P,), in a state (m, P)
y, y_i    y           (P,), in a state (m, P)
rho_i     rho         (m,)
K         K           (P, P)
alpha     size        0-d
========  ==========  =======================

Source: Nocedal & Wright, Numerical Optimization (2006), equations (6.17), (6.20) and (7.20), Algorithms 6.1, 7.4 and 7.5;
Liu & Nocedal, Math. Program. 45 (1989) 503.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, NamedTuple

from ..curvature.descent import Point, Searching, StrongWolfe, search_along
from ..curvature.line_search import Found
from ..energies.linear import Scalar
from ..energies.protocols import Problem, norm, problem_ability
from ..namespace import Array, array_namespace, copied, quiet
from ..refusals import plain_numbers, whole_number

__all__ = ["BFGS", "LBFGS", "BFGSState", "LBFGSState", "bfgs_update", "direction_update", "memory_update"]


class LBFGSState(NamedTuple):
    """State of `LBFGS`. Rows of the memory without a pair are zero."""

    theta: Array
    """Parameters, (P,)."""
    s: Array
    """Changes of theta, (m, P), the newest last."""
    y: Array
    """Changes of the gradient, (m, P)."""
    rho: Array
    """``1 / (s_i, y_i)_M``, (m,)."""
    scale: Array
    """The factor of (4), 0-d; 1 without a pair."""
    size: Array
    """The length alpha of the last step, 0-d; 0 if none was found."""
    accepted: Array
    """Whether the last search found a length, 0-d: 0 or 1."""
    evaluations: Array
    """Evaluations of energy and gradient in the last search, 0-d."""


class BFGSState(NamedTuple):
    """State of `BFGS`."""

    theta: Array
    """Parameters, (P,)."""
    K: Array
    """The matrix of (3), (P, P)."""
    fresh: Array
    """Whether K is that of the identity, 0-d: 0 or 1."""
    size: Array
    """The length alpha of the last step, 0-d; 0 if none was found."""
    accepted: Array
    """Whether the last search found a length, 0-d: 0 or 1."""
    evaluations: Array
    """Evaluations of energy and gradient in the last search, 0-d."""


def direction_update(g: Array, s: Array, y: Array, rho: Array, scale: Array, *, inner: Any) -> Array:
    """Return d = -H g, (P,), by the two passes (5).

    Parameters
    ----------
    g : array (P,)
        The gradient.
    s, y : array (m, P)
        The pairs, the newest last.
    rho : array (m,)
        ``1 / (s_i, y_i)_M``; 0 for a pair that is not there.
    scale : 0-d array
        The factor of H_0.
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    """
    q, a = g, {}
    for i in reversed(range(rho.shape[0])):
        a[i] = rho[i] * inner(s[i, ...], q)
        q = q - a[i] * y[i, ...]  # (5)
    r = scale * q  # (4)
    for i in range(rho.shape[0]):
        r = r + (a[i] - rho[i] * inner(y[i, ...], r)) * s[i, ...]  # (5)
    return -r  # (1)


def memory_update(
    s: Array, y: Array, rho: Array, scale: Array, s_new: Array, y_new: Array, *, inner: Any
) -> tuple[Array, Array, Array, Array]:
    """Return s, y (m, P), rho (m,) and scale (0-d) with a new pair in the place of the oldest; the same if (s, y)_M <= 0.

    Parameters
    ----------
    s, y : array (m, P)
        The pairs.
    rho : array (m,)
        ``1 / (s_i, y_i)_M``.
    scale : 0-d array
        The factor (4).
    s_new, y_new : array (P,)
        The new pair.
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    """
    xp = array_namespace(s_new)
    sy, yy = inner(s_new, y_new), inner(y_new, y_new)
    keep = _is_positive(sy, inner(s_new, s_new), yy, xp.finfo(s_new.dtype))
    one = xp.ones_like(sy)
    rho_new, scale_new = 1 / xp.where(keep, sy, one), sy / xp.where(keep, yy, one)  # (4)
    return (
        xp.where(keep, xp.concat([s[1:, ...], s_new[None, ...]]), s),
        xp.where(keep, xp.concat([y[1:, ...], y_new[None, ...]]), y),
        xp.where(keep, xp.concat([rho[1:], xp.reshape(rho_new, (1,))]), rho),
        xp.where(keep, scale_new, scale),
    )


def bfgs_update(K: Array, fresh: Array, s: Array, y: Array, *, mass: Array | float) -> tuple[Array, Array]:
    """Return K (P, P) of equation (3), and whether it is that of the identity (0-d); unchanged if (s, y)_M is not positive.

    Parameters
    ----------
    K : array (P, P)
        The matrix.
    fresh : 0-d array
        Whether it is that of the identity: 0 or 1.
    s, y : array (P,)
        The new pair.
    mass : array (P,) or float
        Diagonal of the inner product.
    """
    xp = array_namespace(s)
    M_y = mass * y
    sy, yy = s @ M_y, y @ M_y
    keep = _is_positive(sy, s @ (mass * s), yy, xp.finfo(s.dtype))
    one = xp.ones_like(sy)
    rho = 1 / xp.where(keep, sy, one)
    K_0 = xp.where(keep & (fresh > 0), sy / xp.where(keep, yy, one), one) * K  # (4)
    w = K_0 @ M_y
    s_w = s[:, None] * w[None, :]
    new = K_0 - rho * (s_w + s_w.T) + rho * (1 + rho * (M_y @ w)) * (s[:, None] * s[None, :])  # (3)
    return xp.where(keep, new, K), xp.where(keep, xp.zeros_like(fresh), fresh)


def _is_positive(sy: Array, ss: Array, yy: Array, numbers: Any) -> Array:
    """Return whether (s, y) > eps |s| |y|, 0-d, in the range of the dtype: the pair has a curvature that is no rounding error."""
    xp, tiny = array_namespace(sy), float(numbers.smallest_normal)
    seen = sy > float(numbers.eps) * xp.sqrt(ss) * xp.sqrt(yy)
    return seen & (sy > tiny) & (yy > tiny) & (yy < inf)


def _searched(search: Searching, problem: Problem, theta: Array, d: Array, at: Any, dt: Scalar, empty: bool) -> Found:
    """Return the length along d, from energy and gradient at theta; each trial keeps energy and gradient there."""
    E, g = at

    def evaluate(point: Array) -> Point:
        new = _evaluated(problem, point)
        return Point(float(new[0]), float(new[0] - E), lambda: new[1], new)

    start = float(dt) / max(1.0, norm(problem.inner, g)) if empty else float(dt)
    slope = float(problem.inner(g, d))
    return search_along(search, problem, theta, d, evaluate, energy=float(E), slope=slope, start=start)


def _evaluated(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """Return copies of energy (0-d) and gradient (P,): a problem of one's own may reuse its arrays."""
    E, g = problem.energy_and_gradient(theta)
    return 0 + E, copied(g)


def _check_search(search: Any) -> None:
    """Raise ValueError unless the object searches."""
    if isinstance(search, type) or not callable(getattr(search, "search", None)):
        raise ValueError(f"search must be a line search of gradflow.curvature, such as StrongWolfe(), got {search!r}")


@dataclass(frozen=True, kw_only=True)
class LBFGS:
    """L-BFGS, equations (1), (4) and (5). ``dt`` is the first length of each search, 1 by default.

    Parameters
    ----------
    memory : int
        Number m of pairs, >= 1.
    search : Searching
        The line search: `gradflow.curvature.StrongWolfe`; with `gradflow.curvature.Armijo`, pairs may be left out.

    Raises
    ------
    ValueError
        If the memory is not a whole number >= 1, or `search` is no line search.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rosenbrock = gf.FunctionProblem(
    ...     lambda t: 100 * (t[1] - t[0] ** 2) ** 2 + (1 - t[0]) ** 2,
    ...     lambda t: np.array([-400 * t[0] * (t[1] - t[0] ** 2) - 2 * (1 - t[0]), 200 * (t[1] - t[0] ** 2)]),
    ... )
    >>> solution = gf.solve(rosenbrock, gf.LBFGS(), np.array([-1.2, 1.0]), steps=100, stop=gf.Tolerance(gradient=1e-8))
    >>> solution.status, bool(abs(solution.theta - 1).max() < 1e-8)
    (<Status.CONVERGED: 'converged'>, True)
    """

    memory: int = 10
    search: Searching = StrongWolfe()

    records: ClassVar[tuple[str, ...]] = ("size", "accepted", "evaluations")
    usual_dt: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        whole_number("memory", self.memory, 1)
        _check_search(self.search)

    def init(self, problem: Problem, theta: Array) -> LBFGSState:
        """Return the state with an empty memory."""
        zero = 0 * theta[0]
        return self._empty(theta, zero, zero)

    def _empty(self, theta: Array, accepted: Array, evaluations: Array) -> LBFGSState:
        """Return a state with an empty memory."""
        xp, zero, m = array_namespace(theta), 0 * theta[0], self.memory
        pairs, rho = xp.zeros((m, theta.shape[0]), dtype=theta.dtype), xp.zeros((m,), dtype=theta.dtype)
        return LBFGSState(theta, pairs, pairs, rho, zero + 1, zero, accepted, evaluations)

    def rejected(self, state: LBFGSState) -> bool:
        """Return whether the last search found no length: theta was left as it was."""
        return not bool(state.accepted)

    def shortened(self, state: LBFGSState) -> bool:
        """Return whether the search took less than half of the direction: the first one does, and one at a wall."""
        return not bool(state.accepted) or bool(state.size < 0.5)

    def step(self, problem: Problem, state: LBFGSState, dt: Scalar) -> LBFGSState:
        """Return the state after one search."""
        return self.step_evaluated(problem, state, dt, None)[0]

    def step_evaluated(self, problem: Problem, state: LBFGSState, dt: Scalar, at: Any) -> tuple[LBFGSState, Any]:
        """Return ``step(problem, state, dt)``, and energy and gradient at its theta."""
        with quiet():  # a trial may overflow; it is then shortened
            at = _evaluated(problem, state.theta) if at is None else at
            theta, (_, g), zero = state.theta, at, 0 * state.theta[0]
            d = direction_update(g, state.s, state.y, state.rho, state.scale, inner=problem.inner)
            trial, _, evaluations = _searched(
                self.search, problem, theta, d, at, dt, not bool(array_namespace(theta).any(state.rho > 0))
            )
            if trial is None:
                return self._empty(theta, zero, zero + evaluations), at
            new, g_new = theta + trial.alpha * d, trial.at[1]  # (1)
            memory = memory_update(
                state.s, state.y, state.rho, state.scale, new - theta, g_new - g, inner=problem.inner
            )
        return LBFGSState(new, *memory, zero + trial.alpha, zero + 1, zero + evaluations), trial.at


@dataclass(frozen=True, kw_only=True)
class BFGS:
    """BFGS, equations (1) and (3), with a dense matrix. ``dt`` is the first length of each search, 1 by default.

    Parameters
    ----------
    search : Searching
        The line search, as in `LBFGS`.

    Raises
    ------
    ValueError
        If `search` is no line search; at `init`, if the inner product is not diagonal or not known.
    """

    search: Searching = StrongWolfe()

    records: ClassVar[tuple[str, ...]] = ("size", "accepted", "evaluations")
    usual_dt: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        _check_search(self.search)

    def init(self, problem: Problem, theta: Array) -> BFGSState:
        """Return the state with the identity for H."""
        if problem_ability(problem, "mass") is None:
            raise ValueError("BFGS needs a problem with a diagonal inner product, declared as `mass`; LBFGS does not")
        zero = 0 * theta[0]
        return self._identity(problem, theta, zero, zero)

    def _identity(self, problem: Problem, theta: Array, accepted: Array, evaluations: Array) -> BFGSState:
        """Return a state with the identity for H."""
        xp, zero = array_namespace(theta), 0 * theta[0]
        K = xp.eye(theta.shape[0], dtype=theta.dtype) / problem_ability(problem, "mass")
        return BFGSState(theta, K, zero + 1, zero, accepted, evaluations)

    def rejected(self, state: BFGSState) -> bool:
        """Return whether the last search found no length: theta was left as it was."""
        return not bool(state.accepted)

    def shortened(self, state: BFGSState) -> bool:
        """Return whether the search took less than half of the direction: the first one does, and one at a wall."""
        return not bool(state.accepted) or bool(state.size < 0.5)

    def step(self, problem: Problem, state: BFGSState, dt: Scalar) -> BFGSState:
        """Return the state after one search."""
        return self.step_evaluated(problem, state, dt, None)[0]

    def step_evaluated(self, problem: Problem, state: BFGSState, dt: Scalar, at: Any) -> tuple[BFGSState, Any]:
        """Return ``step(problem, state, dt)``, and energy and gradient at its theta."""
        with quiet():  # a trial may overflow; it is then shortened
            at = _evaluated(problem, state.theta) if at is None else at
            theta, (_, g), zero = state.theta, at, 0 * state.theta[0]
            mass = problem_ability(problem, "mass")
            d = -(state.K @ (mass * g))  # (1)
            trial, _, evaluations = _searched(self.search, problem, theta, d, at, dt, bool(state.fresh > 0))
            if trial is None:
                return self._identity(problem, theta, zero, zero + evaluations), at
            new, g_new = theta + trial.alpha * d, trial.at[1]  # (1)
            K, fresh = bfgs_update(state.K, state.fresh, new - theta, g_new - g, mass=mass)
        return BFGSState(new, K, fresh, zero + trial.alpha, zero + 1, zero + evaluations), trial.at
