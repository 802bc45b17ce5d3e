r"""Implicit Euler, solved as the minimising movement that it is, by an inexact Newton method.

.. math:: \theta^{n+1} = \theta^n - \Delta t\,\nabla E(\theta^{n+1})                                   \tag{1}

says that ``theta^{n+1}`` is a stationary point of

.. math:: \varphi(\theta) = E(\theta) + \frac{|\theta - \theta^n|_M^2}{2\,\Delta t}.                   \tag{2}

The solver starts from ``theta^n`` and descends on phi. So for every dt > 0 and every E, however far it came,

.. math:: E(\theta^{n+1}) + \frac{|d|_M^2}{2\,\Delta t} \le E(\theta^n), \qquad d = \theta^{n+1} - \theta^n.  \tag{3}

If E is convex, (1) has one solution, at a distance of at most ``dt |R|_M`` with R as in (4), and for it (3)
holds without the factor 2. Otherwise, once dt exceeds one over the most negative curvature, phi may have
several stationary points: which one is returned is decided by the descent, not by (1).

Newton. The unknown is d, not ``theta^n + d``, which would lose the digits of a small step. With H the
derivative of the gradient,

.. math:: R = \nabla\varphi = \nabla E(\theta^n + d) + \frac{d}{\Delta t}, \qquad B = H + \frac{I}{\Delta t},  \tag{4}

.. math:: B p \approx -R \quad\text{to}\quad |B p + R|_M \le \min(0.1,\ |R|_M / |\nabla E(\theta^n)|_M)\,|R|_M  \tag{5}

by conjugate gradients in the problem's inner product, where B is self-adjoint, preconditioned with
``(I + dt L)^{-1}``, L the energy part. A direction in which B is not positive ends them: it is added, ten
times as long as balances slope and curvature. Either way p descends. Then ``d <- d + s p``, with s from 1
downwards until

.. math:: \varphi(d + sp) - \varphi(d) \le 10^{-4}\,s\,(R, p)_M.                                       \tag{6}

Where the left side is below the rounding of E, the trapezoidal rule in the slopes at both ends takes its
place (the approximate Wolfe condition of Hager & Zhang) and ``|R|_M`` must fall by a tenth, unless B was not
positive: near a minimum, differences of energies have lost the digits that gradients still have. There, (3)
holds to the rounding of E. An energy computed with cancellation, such as ``1 - cos(theta)`` near 0, has lost
more than can be known, and (3) then stops the iteration early.

The end. The iteration has converged when ``|R|_M <= tol |grad E(theta^n)|_M``, or when R is rounding error,
``|R|_M <= 8 eps (|d|_M / dt + |H| |theta|_M)`` with the largest Rayleigh quotient of H met there for ``|H|``.
It goes on as long as full steps still pay, to ``|R|_M <= tol |d|_M / dt``: then, for convex E, d is right to
the relative error tol. If no s is left before, or neither phi nor R falls any more, or `max_newton`
iterations are spent, the step has (3) all the same, but solves (1) only up to the residual that its state
reports.

========  ======  ========
symbol    code    shape
========  ======  ========
theta^n   theta   (P,)
d         d       (P,)
R         R       (P,)
B         B       map (P,)
H         hvp     map (P,)
p         p       (P,)
========  ======  ========

Source: for (2) and (3), Rockafellar, SIAM J. Control Optim. 14 (1976) 877, and Ambrosio, Gigli & Savare,
Gradient Flows (2008), chapter 2; for (5), Dembo & Steihaug, Math. Program. 26 (1983) 190; for (6), Hager &
Zhang, SIAM J. Optim. 16 (2005) 170.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import NamedTuple

from ..linear import Scalar
from ..namespace import Array, array_namespace, quiet
from ..problem import Problem, linear_part
from .doors import plain_numbers, require_positive

__all__ = ["ImplicitEuler", "ImplicitEulerState", "implicit_euler_update", "truncated_cg"]

ARMIJO = 1e-4  # the factor of (6)
MAX_STALLED = 5  # iterations in which neither phi nor R falls by more than rounding
ROUNDING_OF_R = 8.0  # in units of eps
ROUNDING_OF_E = 16.0


class ImplicitEulerState(NamedTuple):
    """State of `ImplicitEuler`: theta, and how well the step that led there was solved."""

    theta: Array
    """Parameters, (P,)."""
    residual: float
    """|R|_M over |grad E(theta^n)|_M, dimensionless; 0 at the start. NaN if the energy there was not finite."""
    newton: int
    """Newton iterations taken."""
    converged: bool
    """Whether (1) was solved, to the tolerance or to rounding."""


class Point(NamedTuple):
    """Where the iteration stands."""

    d: Array
    theta: Array
    E: float
    R: Array
    size_R: float
    size_g: float
    size_theta: float
    speed: float  # |d|_M / dt


@dataclass(frozen=True)
class Movement:
    """The function phi of equation (2) about one theta^n."""

    theta: Array
    dt: float
    energy_and_gradient: Callable[[Array], tuple[Array, Array]]
    inner: Callable[[Array, Array], Array]

    def norm(self, u: Array) -> float:
        """Return |u|_M; scaled where the square leaves the range of the dtype."""
        square = float(self.inner(u, u))
        if 1e-30 < square < 1e30:
            return sqrt(square)
        xp = array_namespace(u)
        largest = float(xp.max(xp.abs(u)))
        if not 0 < largest < inf:
            return largest
        u = u / largest
        return largest * sqrt(float(self.inner(u, u)))

    def at(self, d: Array) -> Point:
        """Return everything about theta^n + d but second derivatives."""
        theta = self.theta + d
        E, g = self.energy_and_gradient(theta)
        R = g + d / self.dt  # (4)
        return Point(d, theta, float(E), R, self.norm(R), self.norm(g), self.norm(theta), self.norm(d) / self.dt)

    def difference(self, new: Point, old: Point) -> float:
        """Return phi(new) - phi(old)."""
        return (new.E - old.E) + self.dt / 2 * (new.speed - old.speed) * (new.speed + old.speed)

    def rounding_of_R(self, now: Point, h: float) -> float:
        """Return the size below which R is rounding error, h standing for the norm of H there."""
        return ROUNDING_OF_R * _eps(now.R) * (now.speed + h * now.size_theta)

    def rounding_of_phi(self, start: Point, new: Point, h: float) -> float:
        """Return the size below which a difference is: from E, and from theta, as in E = |q|^2 / 2 with |J|^2 = h."""
        through_theta = (start.size_g + sqrt(2 * abs(start.E) * h)) * start.size_theta
        return ROUNDING_OF_E * _eps(new.R) * (abs(start.E) + abs(new.E) + through_theta)


def _eps(u: Array) -> float:
    return float(array_namespace(u).finfo(u.dtype).eps)


def truncated_cg(
    R: Array,
    *,
    hvp: Callable[[Array], Array],
    dt: float,
    inner: Callable[[Array, Array], Array],
    precondition: Callable[[Array], Array],
    rtol: float,
    max_cg: int,
) -> tuple[Array, float, bool]:
    """Return p of equation (5) for |R|_M near 1, the largest Rayleigh quotient of H met, and whether B was not positive."""
    eps = _eps(R)
    p, r = 0 * R, -R
    z = precondition(r)
    direction, rz = z, float(inner(r, z))
    target = rtol**2 * float(inner(r, r))
    h = 0.0
    for _ in range(max_cg):
        H_u = hvp(direction)
        uu, uHu = float(inner(direction, direction)), float(inner(direction, H_u))
        curvature, terms = uHu + uu / dt, abs(uHu) + uu / dt
        h = max(h, abs(uHu) / uu if uu > 0 else 0.0)
        if not curvature > 4 * eps * terms:  # also where H is NaN
            length = 10 * rz / max(abs(curvature), sqrt(eps) * terms) if 0 < terms < inf else 0.0
            return p + length * direction, h, True
        alpha = rz / curvature
        p, r = p + alpha * direction, r - alpha * (H_u + direction / dt)
        if not float(inner(r, r)) > target:
            break
        z = precondition(r)
        rz, rz_old = float(inner(r, z)), rz
        direction = z + (rz / rz_old) * direction
    return p, h, False


def backtrack(
    phi: Movement, start: Point, now: Point, p: Array, h: float, *, bent: bool, smallest: float
) -> Point | None:
    """Return the first d + s p, s >= smallest, that satisfies (6) and (3), or None; `bent` where B was not positive."""
    slope, p_d, p_p = (float(phi.inner(u, p)) for u in (now.R, now.d, p))
    size_p = sqrt(p_p) if 0 < p_p < inf else inf
    smallest = max(smallest, 1e-3 * _eps(p) * now.size_theta / size_p)  # below it theta would not change
    s = 1.0
    while slope < 0:
        new = phi.at(now.d + s * p)
        change = (new.E - now.E) + s * (p_d + s * p_p / 2) / phi.dt
        if isfinite(change) and isfinite(new.E) and isfinite(new.size_R):
            rounding = phi.rounding_of_phi(start, new, h)
            sufficient = change <= ARMIJO * s * slope  # (6)
            if not sufficient and abs(change) <= rounding and (bent or new.size_R <= 0.9 * now.size_R):
                sufficient = float(phi.inner(new.R, p)) <= (2 * ARMIJO - 1) * slope  # (6), trapezoidal rule
            if sufficient and phi.difference(new, start) <= rounding:  # (3)
                return new
            excess = change - s * slope
            # to the minimum of the parabola through what is known, but within [s / 10, s / 2]
            s *= min(0.5, max(0.1, -s * slope / (2 * excess))) if excess > 0 else 0.5
        else:
            s *= 0.1
        if not s >= smallest:
            break
    return None


def implicit_euler_update(
    theta: Array,
    *,
    dt: float,
    energy_and_gradient: Callable[[Array], tuple[Array, Array]],
    hvp: Callable[[Array, Array], Array],
    inner: Callable[[Array, Array], Array],
    precondition: Callable[[Array], Array],
    tol: float,
    max_newton: int,
    max_cg: int,
) -> ImplicitEulerState:
    """Return theta_new (P,) of equation (1) and the account of its solution; `precondition` is (I + dt L)^{-1}."""
    phi = Movement(theta, dt, energy_and_gradient, inner)
    start = now = phi.at(array_namespace(theta).zeros_like(theta))
    if not (isfinite(start.E) and isfinite(start.size_R)):
        return ImplicitEulerState(theta, nan, 0, False)
    newton, stalled, h, smallest_R = 0, 0, 0.0, start.size_R
    while True:
        good = now.size_R <= tol * start.size_R
        if now.size_R <= tol * min(start.size_R, now.speed) or (good and stalled):
            break
        if newton == max_newton or stalled == MAX_STALLED:
            break
        p, h_now, bent = truncated_cg(
            now.R / now.size_R,
            hvp=lambda u, at=now.theta: hvp(at, u),  # type: ignore[misc]
            dt=dt,
            inner=inner,
            precondition=precondition,
            rtol=min(0.1, now.size_R / start.size_R),
            max_cg=max_cg,
        )
        p, h = now.size_R * p, max(h, h_now)  # (5)
        if now.size_R <= phi.rounding_of_R(now, h_now):
            good = True
            break
        if not float(inner(now.R, p)) < 0:  # hvp is not a derivative of the gradient: a gradient step is left
            p = -dt * precondition(now.R)
        new = backtrack(phi, start, now, p, h, bent=bent, smallest=1.0 if good else 1e-16)
        if new is None:
            break
        falls = phi.difference(now, new) > phi.rounding_of_phi(start, new, h)
        stalled = 0 if falls or bent or new.size_R <= 0.9 * smallest_R else stalled + 1
        now, newton, smallest_R = new, newton + 1, min(smallest_R, new.size_R)
    residual = now.size_R / start.size_R if start.size_R > 0 else 0.0
    return ImplicitEulerState(now.theta, residual, newton, good)


@dataclass(frozen=True, kw_only=True)
class ImplicitEuler:
    """Implicit Euler as a minimising movement, equations (1) to (6).

    Parameters
    ----------
    tol : float, optional
        Relative residual to reach, dimensionless; 1e-10 in float64 and 1e-5 in float32 when left out.
    max_newton : int
        Most Newton iterations in a step.
    max_cg : int
        Most conjugate gradient iterations (products with H) in a Newton iteration.

    Raises
    ------
    ValueError
        If tol is not positive, a limit is not a whole number >= 1, or (at `init`) the problem has no ``hvp``.
    """

    tol: float | None = None
    max_newton: int = 100
    max_cg: int = 200

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.tol is not None:
            require_positive("tol", self.tol)
        for name, limit in {"max_newton": self.max_newton, "max_cg": self.max_cg}.items():
            if not isinstance(limit, int) or limit < 1:
                raise ValueError(f"{name} must be a whole number >= 1, got {limit!r}")

    def init(self, problem: Problem, theta: Array) -> ImplicitEulerState:
        """Return the state to start from; one product with H is tried, so that its absence is known now."""
        try:
            with quiet():
                product = problem.hvp(theta, array_namespace(theta).ones_like(theta))
        except (AttributeError, ValueError) as error:
            raise ValueError(f"ImplicitEuler needs second derivatives, got a problem without: {error}") from error
        if getattr(product, "shape", None) != theta.shape:
            raise ValueError(f"hvp must return shape {theta.shape}, got {getattr(product, 'shape', product)!r}")
        return ImplicitEulerState(theta, 0.0, 0, True)

    def step(self, problem: Problem, state: ImplicitEulerState, dt: Scalar) -> ImplicitEulerState:
        """Return the state one step of size dt later."""
        theta, dt = state.theta, float(dt)
        single = array_namespace(theta).finfo(theta.dtype).bits == 32
        with quiet():  # a trial point may overflow; it is then refused
            return implicit_euler_update(
                theta,
                dt=dt,
                energy_and_gradient=problem.energy_and_gradient,
                hvp=problem.hvp,
                inner=problem.inner,
                precondition=lambda u: linear_part(problem).solve_shifted(u, dt),
                tol=self.tol if self.tol is not None else (1e-5 if single else 1e-10),
                max_newton=self.max_newton,
                max_cg=self.max_cg,
            )
