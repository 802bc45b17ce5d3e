r"""The minimising movement of an energy, by an inexact Newton method that descends in every iteration.

The increment d minimises the function

.. math:: \varphi(d) = E(\theta + d) + \frac{|d|_M^2}{2\,\Delta t}                                     \tag{1}

locally, from ``d = 0``: this is a proximal step of E. The iteration starts at 0 and descends on phi. For every dt > 0
and every E, and wherever it stops,

.. math:: E(\theta + d) + \frac{|d|_M^2}{2\,\Delta t} \le E(\theta).                                   \tag{2}

Newton. The unknown is d, not ``theta + d``, which would lose the digits of a small step. With H the derivative of the
gradient at ``theta + d``,

.. math:: R = \nabla\varphi = \nabla E(\theta + d) + \frac{d}{\Delta t}, \qquad B = H + \frac{I}{\Delta t},  \tag{3}

.. math:: B p \approx -R \quad\text{to}\quad |B p + R|_M \le \min(0.1,\ |R|_M / |\nabla E(\theta)|_M)\,|R|_M  \tag{4}

by conjugate gradients in the problem's inner product, where B is self-adjoint, preconditioned with ``(I + dt L)^{-1}``,
L the energy part. A direction in which B is not positive ends the iteration. It is added with ten times the length that
balances slope and curvature. In both cases p is a direction of descent. Then ``d <- d + s p``, with s from 1 downwards
until

.. math:: \varphi(d + sp) - \varphi(d) \le 10^{-4}\,s\,(R, p)_M.                                       \tag{5}

If the left side is below the rounding of E, it is replaced by the trapezoidal rule in the slopes at both ends (the
approximate Wolfe condition of Hager & Zhang). Then ``|R|_M`` must also fall by a tenth, unless B was not positive. The
reason is that, near a minimum, differences of energies have lost the digits that gradients still have. There, (2) holds
to the rounding of E. An energy computed with cancellation, such as ``1 - cos(theta)`` near 0, has a larger and unknown
error, and (2) then stops the iteration early.

Convergence. If H is not finite, a gradient step is taken, and the iteration does not count as converged. Otherwise it
has converged when ``|R|_M <= tol |grad E(theta)|_M``, or when R is rounding error,
``|R|_M <= 8 eps (|d|_M / dt + |H| |theta|_M)``, with the largest Rayleigh quotient of H that occurred there for
``|H|``. It continues as long as full steps reduce R, until ``|R|_M <= tol |d|_M / dt``. For convex E, d then has the
relative error tol. The iteration may end before: if no s is accepted, if phi and R no longer fall, or after
`max_newton` iterations. Then (2) still holds, but d is stationary only up to the residual that is returned with it.

========  ======  ========
symbol    code    shape
========  ======  ========
theta     theta   (P,)
d         d       (P,)
R         R       (P,)
B         B       map (P,)
H         hvp     map (P,)
p         p       (P,)
========  ======  ========

Source: for (4), Dembo & Steihaug, Math. Program. 26 (1983) 190; for (5), Hager & Zhang, SIAM J. Optim. 16 (2005) 170.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import NamedTuple

from ..energies.protocols import norm
from ..namespace import Array, array_namespace

__all__ = ["Increment", "minimising_movement", "residual", "truncated_cg"]

ARMIJO = 1e-4  # the factor of (5)
MAX_STALLED = 5  # iterations in which neither phi nor R falls by more than rounding
ROUNDING_OF_R = 8.0  # in units of eps
ROUNDING_OF_E = 16.0


class Increment(NamedTuple):
    """The increment, and the accuracy of its solution."""

    d: Array
    """(P,); 0 if the energy or the gradient at theta is not finite."""
    residual: float
    """``|R|_M / |grad E(theta)|_M``, dimensionless. NaN if the energy or the gradient at theta is not finite."""
    newton: int
    """Newton iterations taken."""
    converged: bool
    """Whether R vanishes, to the tolerance or to rounding."""


def residual(g: Array, d: Array, *, dt: float) -> Array:
    """Return R (P,) of equation (3), g being the gradient of E at theta + d.

    Parameters
    ----------
    g : array (P,)
        Gradient of E at theta + d.
    d : array (P,)
        The increment.
    dt : float
        Step size, > 0.
    """
    return g + d / dt  # (3)


class Point(NamedTuple):
    """An iterate, with the quantities evaluated there."""

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
    """The function phi of equation (1) about one theta."""

    theta: Array
    dt: float
    energy_and_gradient: Callable[[Array], tuple[Array, Array]]
    inner: Callable[[Array, Array], Array]

    def norm(self, u: Array) -> float:
        """Return ``|u|_M``."""
        return norm(self.inner, u)

    def at(self, d: Array) -> Point:
        """Return the iterate theta + d with energy and gradient."""
        theta = self.theta + d
        E, g = self.energy_and_gradient(theta)
        R = residual(g, d, dt=self.dt)
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
    """Return p of equation (4), (P,), the largest Rayleigh quotient of H, and whether B was not positive.

    Parameters
    ----------
    R : array (P,)
        Gradient of phi, with ``|R|_M`` near 1.
    hvp : callable
        Maps u (P,) to H u, (P,).
    dt : float
        Step size, > 0.
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    precondition : callable
        Maps u (P,) to (I + dt L)^{-1} u, or another positive self-adjoint operator.
    rtol : float
        Residual of (4) to reach, relative to R.
    max_cg : int
        Most products with H.
    """
    eps = _eps(R)
    p, r = 0 * R, -R
    z = precondition(r)
    direction, rz = z, float(inner(r, z))
    target = rtol**2 * float(inner(r, r))
    h = 0.0
    for _ in range(max_cg):
        H_u = hvp(direction)
        uu, uHu = float(inner(direction, direction)), float(inner(direction, H_u))
        if not isfinite(uHu):
            return p, inf, True
        curvature, terms = uHu + uu / dt, abs(uHu) + uu / dt
        h = max(h, abs(uHu) / uu if uu > 0 else 0.0)
        if not curvature > 4 * eps * terms:
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
    """Return the first d + s p, s >= smallest, that satisfies (5) and (2), or None; `bent` where B was not positive."""
    slope, p_d, p_p = (float(phi.inner(u, p)) for u in (now.R, now.d, p))
    size_p = sqrt(p_p) if 0 < p_p < inf else inf
    smallest = max(smallest, 1e-3 * _eps(p) * now.size_theta / size_p)  # below it theta would not change
    s = 1.0
    while slope < 0:
        new = phi.at(now.d + s * p)
        change = (new.E - now.E) + s * (p_d + s * p_p / 2) / phi.dt
        if isfinite(change) and isfinite(new.E) and isfinite(new.size_R):
            rounding = phi.rounding_of_phi(start, new, h)
            sufficient = change <= ARMIJO * s * slope  # (5)
            if not sufficient and abs(change) <= rounding and (bent or new.size_R <= 0.9 * now.size_R):
                sufficient = float(phi.inner(new.R, p)) <= (2 * ARMIJO - 1) * slope  # (5), trapezoidal rule
            if sufficient and phi.difference(new, start) <= rounding:  # (2)
                return new
            excess = change - s * slope
            # to the minimum of the parabola through what is known, but within [s / 10, s / 2]
            s *= min(0.5, max(0.1, -s * slope / (2 * excess))) if excess > 0 else 0.5
        else:
            s *= 0.1
        if not s >= smallest:
            break
    return None


def minimising_movement(
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
) -> Increment:
    """Return the increment d from theta that descends on equation (1), with (2).

    Parameters
    ----------
    theta : array (P,)
        Where to start from.
    dt : float
        Step size, > 0: the weight of the distance is its inverse.
    energy_and_gradient : callable
        Maps theta (P,) to E, 0-d, and its gradient with respect to `inner`, (P,).
    hvp : callable
        Maps (theta, v) to the derivative of that gradient along v, (P,).
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    precondition : callable
        Maps u (P,) to (I + dt L)^{-1} u, or any other positive self-adjoint operator; the identity if nothing is known.
    tol : float
        Residual to reach, relative to the gradient at theta, dimensionless.
    max_newton : int
        Most Newton iterations.
    max_cg : int
        Most products with H in a Newton iteration.
    """
    phi = Movement(theta, dt, energy_and_gradient, inner)
    start = now = phi.at(array_namespace(theta).zeros_like(theta))
    if not (isfinite(start.E) and isfinite(start.size_R)):
        return Increment(now.d, nan, 0, False)
    newton, stalled, h, smallest_R, known = 0, 0, 0.0, start.size_R, True
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
        known = h_now < inf
        p, h = now.size_R * p, max(h, h_now) if known else h  # (4)
        if known and now.size_R <= phi.rounding_of_R(now, h_now):
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
    return Increment(now.d, now.size_R / start.size_R if start.size_R > 0 else 0.0, newton, good and known)
