r"""Trust-region steps without an eigenbasis: the Cauchy point, the dogleg, and truncated conjugate gradients.

The problem is to make ``m(d) = (g, d)_M + (d, G d)_M / 2`` small in ``|d|_D <= delta``. Conjugate gradients with the metric
as the preconditioner start from ``d_0 = 0`` and the direction ``p_0 = -D^{-1} g``:

.. math:: \alpha_k = \frac{(r_k, D^{-1} r_k)_M}{(p_k, G p_k)_M}, \qquad d_{k+1} = d_k + \alpha_k p_k.      \tag{1}

The lengths ``|d_k|_D`` increase and the values ``m(d_k)`` decrease, so that the iteration is left where it first meets the
sphere. `steihaug` ends

* in the **interior**, at the residual ``|r_k| <= tol |g|`` in the norm of ``D^{-1}``: d is the minimiser of m;
* at the **boundary**, if ``|d_{k+1}|_D >= delta``;
* with **negative curvature**, if ``(p_k, G p_k)_M <= 0``: it follows p_k to the boundary.

The way to the boundary is the root ``t >= 0`` of ``|d_k + t p_k|_D = delta``. With ``a = |p|^2``, ``b = (d, p)``,
``c = |d|^2 - delta^2 <= 0`` and ``s = b + sign(b) (b^2 - a c)^{1/2}``, it is

.. math:: t = -c / s \ \text{ for } b \ge 0, \qquad t = -s / a \ \text{ otherwise},                       \tag{2}

without a difference of nearly equal numbers.

The first iterate is the Cauchy point, the minimiser of m on ``-t D^{-1} g`` in the ball: no later one is worse. For a
positive definite G the decrease is at least half of the largest possible (Yuan). For others it may be any share of it: in
the hard case the iteration sees no negative curvature.

The dogleg goes from 0 to the minimiser of m along ``-D^{-1} g``, and from there to the minimiser of m. It needs a positive
definite G.

Source: Steihaug, SIAM J. Numer. Anal. 20 (1983) 626; Toint, in Sparse Matrices and Their Uses (1981), 57; Yuan, Math.
Program. 87 (2000) 561; Powell, in Numerical Methods for Nonlinear Algebraic Equations (1970), 87; Nocedal & Wright,
Numerical Optimization (2006), Algorithm 7.2 and section 4.1.
"""

from __future__ import annotations

from math import copysign, inf, sqrt

from ..namespace import Array, array_namespace
from .model import Model
from .spectral import Step, measured

__all__ = ["cauchy_point", "dogleg", "steihaug", "to_boundary"]

PRODUCTS_PER_PARAMETER = 4  # at which conjugate gradients are ended; without rounding, 1 is enough


def to_boundary(aa: float, ab: float, bb: float, radius: float) -> float:
    """Return the root t >= 0 of ``|d + t p| = radius``, (2).

    Parameters
    ----------
    aa, ab, bb : float
        ``|d|^2 <= radius^2``, (d, p) and ``|p|^2 > 0``.
    radius : float
        The radius, > 0.
    """
    c = (sqrt(aa) - radius) * (sqrt(aa) + radius)
    s = ab + copysign(sqrt(max(ab * ab - bb * c, 0.0)), ab)
    if s == 0:
        return 0.0
    return -c / s if ab >= 0 else -s / bb  # (2)


class _Space:
    """Products of a model in its metric."""

    def __init__(self, model: Model, weights: Array | None) -> None:
        self.model, self.weights, self.inner = model, weights, model.problem.inner

    def over(self, u: Array) -> Array:
        """Return D^{-1} u."""
        return u if self.weights is None else u / self.weights

    def dot(self, u: Array, v: Array) -> float:
        """Return D(u, v)."""
        return float(self.inner(u if self.weights is None else self.weights * u, v))

    def step(self, d: Array, *, boundary: bool, negative: bool, products: int) -> Step:
        """Return d and what the model says of it, at the cost of one product."""
        step = measured(self.model, self.weights, d, boundary=boundary, negative=negative, products=products)
        return step if boundary or negative else step._replace(most=-step.slope - step.bend / 2)


def steihaug(model: Model, weights: Array | None, radius: Array | float, *, tol: float | None = None) -> Step:
    """Return the step of truncated conjugate gradients.

    ``most`` of the step is infinite at the boundary: how much the model offers is not known there. The multiplier is 0.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    radius : float or 0-d array
        The radius delta, > 0.
    tol : float, optional
        The residual to reach, relative to the gradient; by default 1e-10 in float64 and 1e-5 in float32.
    """
    model.unconfined("solver='steihaug'")
    space, r, delta = _Space(model, weights), model.gradient, float(radius)
    xp = array_namespace(r)
    size = float(xp.max(xp.abs(r)))
    unit = size if 0 < size < inf else 1.0  # the square of g may underflow or overflow, that of g / unit does not
    r, delta = r / unit, delta / unit
    tol = (1e-10 if float(xp.finfo(r.dtype).eps) < 1e-10 else 1e-5) if tol is None else tol
    z = space.over(r)
    d, p = 0 * r, -z
    rz = first = space.dot(z, z)
    most = PRODUCTS_PER_PARAMETER * r.shape[0]
    k, boundary, negative = 0, False, False
    while first > 0 and k < most and rz > tol * tol * first:
        G_p, k = model.apply(p), k + 1
        bend = float(space.inner(p, G_p))
        alpha = rz / bend if bend > 0 else inf  # (1)
        negative = bend < 0
        dd, dp, pp = space.dot(d, d), space.dot(d, p), space.dot(p, p)
        if not alpha < inf or dd + alpha * (2 * dp + alpha * pp) >= delta**2:
            d, boundary = d + to_boundary(dd, dp, pp, delta) * p, True
            break
        d, r = d + alpha * p, r + alpha * G_p  # (1)
        z = space.over(r)
        rz, rz_old = space.dot(z, z), rz
        p = -z + (rz / rz_old) * p
    return space.step(unit * d, boundary=boundary, negative=negative, products=k)


def cauchy_point(model: Model, weights: Array | None, radius: Array | float) -> Step:
    """Return the minimiser of the model on the ray of steepest descent in the ball.

    Parameters
    ----------
    model, weights, radius : Model, array (P,) or None, float or 0-d array
        As in `steihaug`.
    """
    space, delta = _Space(model, weights), float(radius)
    z = space.over(model.gradient)
    zz = space.dot(z, z)
    bend = float(space.inner(z, model.apply(z)))
    t = zz / bend if bend > 0 else inf
    boundary = zz > 0 and t * sqrt(zz) >= delta
    t = delta / sqrt(zz) if boundary else t if zz > 0 and t < inf else 0.0
    return space.step(-t * z, boundary=boundary, negative=bend < 0, products=1)


def dogleg(model: Model, weights: Array | None, radius: Array | float, newton: Array) -> Step:
    """Return the point on the dogleg path that is farthest in the ball.

    Parameters
    ----------
    model, weights, radius : Model, array (P,) or None, float or 0-d array
        As in `steihaug`; the curvature must be positive definite.
    newton : array (P,)
        The minimiser of the model, such as the d of `gradflow.curvature.cholesky.cholesky_step`.
    """
    space, delta = _Space(model, weights), float(radius)
    if space.dot(newton, newton) <= delta**2:
        return space.step(newton, boundary=False, negative=False, products=0)
    corner = cauchy_point(model, weights, delta)
    if corner.boundary:
        return corner
    p = newton - corner.d
    t = to_boundary(space.dot(corner.d, corner.d), space.dot(corner.d, p), space.dot(p, p), delta)
    return space.step(corner.d + t * p, boundary=True, negative=False, products=1)
