r"""The subproblems of second-order methods in the eigenbasis of their model.

The model of an energy near theta is

.. math:: m(d) = E + (g, d)_M + \tfrac12 B(d, d),                                                       \tag{1}

with a symmetric form B, the curvature. Steps are measured in a second form D, positive definite, the metric:
``|d|_D^2 = D(d, d)``. In a basis in which D is the identity and B is diagonal, ``d = V z`` with

.. math:: |d|_D = |z|, \qquad (g, d)_M = \gamma^T z, \qquad B(d, d) = \sum_i \mu_i z_i^2,               \tag{2}

and each method is a problem for one number, the multiplier nu:

.. math:: (\mu_i + \nu)\, z_i = -\gamma_i.                                                              \tag{3}

* **damped** (Levenberg, Marquardt): nu is given.
* **trust region**: z minimises m in ``|z| <= delta``. It does so if and only if (3) holds with

  .. math:: \nu \ge 0, \qquad \mu_i + \nu \ge 0, \qquad \nu\,(\delta - |z|) = 0.                         \tag{4}

* **cubic**: z minimises ``m + sigma |z|^3 / 3``. It does so if and only if (3) holds with

  .. math:: \nu = \sigma\,|z|, \qquad \mu_i + \nu \ge 0.                                                 \tag{5}

The secular equation. With ``mu_1 = min mu_i`` and ``nu_0 = max(-mu_1, 0)``, the unknown is the excess ``s = nu - nu_0``.
The denominators of (3) are ``b_i + s`` with ``b_i = mu_i + nu_0 >= 0``, computed as a difference from ``mu_1``, so that a
small s keeps its digits. ``|z(s)|`` decreases, and the length that (4) or (5) wants does not: the root is unique. It is
found in ``log s``, after gamma and mu have been divided by their sizes.

The hard case. If gamma vanishes in the eigenspace of a ``mu_1 < 0``, and ``|z(s)|`` stays below the wanted length down to
s = 0, then s = 0, and z is completed by a vector of that eigenspace. Both signs of it are solutions; the positive one is
taken.

==========  =========  =====
symbol      code       shape
==========  =========  =====
gamma       gamma      (K,)
mu          mu         (K,)
z           z          (K,)
nu          nu         0-d
delta       radius     float
sigma       sigma      float
==========  =========  =====

Source: Moré & Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983) 553; Conn, Gould & Toint, Trust-Region Methods (2000),
sections 7.2 and 7.3; Cartis, Gould & Toint, Math. Program. 127 (2011) 245, section 3, for (5).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, sqrt
from typing import NamedTuple

from ..namespace import Array, array_namespace, quiet

__all__ = ["Coefficients", "cubic", "damped", "trust_region"]

SMALLEST = 1e-300  # lengths and excesses below are not distinguished from 0


class Coefficients(NamedTuple):
    """The solution of a subproblem in the eigenbasis."""

    z: Array
    """The solution z of (3), (K,)."""
    nu: Array
    """The multiplier, 0-d."""
    boundary: bool
    """Whether a trust region ends the step."""


def damped(gamma: Array, mu: Array, nu: Array, tiny: float = 0.0) -> Coefficients:
    """Return z of (3) for a given multiplier.

    A component with ``|mu_i + nu| <= tiny`` is set to zero: the step is then the shortest one. If ``mu_i + nu`` is
    negative, (3) has the sign that Newton's method has there, and the step increases the model.

    Parameters
    ----------
    gamma, mu : array (K,)
        The model (2).
    nu : 0-d array
        The multiplier, >= 0.
    tiny : float
        Size of an eigenvalue that is zero to rounding.
    """
    xp = array_namespace(gamma, mu)
    shifted = mu + nu
    zero = xp.abs(shifted) <= tiny
    z = xp.where(zero, 0 * gamma, -gamma / xp.where(zero, 1 + 0 * shifted, shifted))  # (3)
    return Coefficients(z, nu, False)


def trust_region(gamma: Array, mu: Array, radius: float) -> Coefficients:
    """Return the minimiser of the model in the ball of a radius, (3) and (4).

    Parameters
    ----------
    gamma, mu : array (K,)
        The model (2); finite.
    radius : float
        The radius delta, > 0.
    """
    xp, G, M = array_namespace(gamma, mu), _largest(gamma), _largest(mu)
    radius = min(radius, float(xp.finfo(mu.dtype).max))
    if M * radius <= G:
        scaled, unit = (gamma / G, mu * radius / G) if G > 0 else (gamma, mu), G / radius
    else:
        scaled, unit = (gamma / M / radius if M * radius == inf else gamma / (M * radius), mu / M), M
    y = _minimiser(*scaled, lambda nu: 1.0)
    return Coefficients(radius * y.z, _finite(y.nu * unit), y.boundary)


def cubic(gamma: Array, mu: Array, sigma: float) -> Coefficients:
    """Return the minimiser of the model with a cubic term, (3) and (5).

    Parameters
    ----------
    gamma, mu : array (K,)
        The model (2); finite.
    sigma : float
        The weight sigma of the cubic term, > 0.
    """
    xp, least = array_namespace(gamma, mu), float(array_namespace(mu).min(mu))
    if least > 0:
        with quiet():  # z may overflow
            z = -gamma / mu
        if sigma * _length(z) <= float(xp.finfo(mu.dtype).eps) * least:  # nu is below the rounding of mu
            return Coefficients(z, 0 * gamma[0] + sigma * _length(z), False)
    root, size = sqrt(sigma), _largest(gamma)
    unit = max(_largest(mu), root * sqrt(size))
    if unit == 0:
        return Coefficients(0 * gamma, 0 * gamma[0], False)
    length = unit / root  # the unit of z is length / root
    y = _minimiser(gamma / length / length if size > 0 else gamma, mu / unit, lambda nu: nu)
    with quiet():  # the minimum may lie outside of the range of the dtype
        return Coefficients(y.z * length / root, _finite(y.nu * unit), False)


def _minimiser(gamma: Array, mu: Array, wanted: Callable[[float], float]) -> Coefficients:
    """Return the solution of (3) of the length that a multiplier wants, or a shorter one with nu = 0.

    No entry of gamma or mu exceeds 1, and the length wanted is 1 or nu.
    """
    xp = array_namespace(gamma, mu)
    least = float(xp.min(mu))
    b, nu_0 = (mu, 0.0) if least > 0 else (mu - least, -least)
    flat = b == 0

    def z_of(s: float) -> Array:
        shifted = b + s
        still = (gamma == 0) | (shifted == 0)
        with quiet():  # over a subnormal number z is infinite, and longer than wanted
            return xp.where(still, 0 * gamma, -gamma / xp.where(still, 1 + 0 * b, shifted))  # (3)

    def excess(log_s: float) -> float:
        s = exp(log_s)
        return log(max(_length(z_of(s)), SMALLEST)) - log(wanted(nu_0 + s))

    with quiet():  # z(0) may be infinite
        z, endless = z_of(0.0), bool(xp.any(flat & (gamma != 0)))
        length = _length(z)
    if not endless and length <= wanted(nu_0):
        if nu_0 > 0:  # the hard case
            missing = sqrt(max(wanted(nu_0) ** 2 - length**2, 0.0))
            first = xp.argmax(xp.astype(flat, xp.int64))
            z = xp.where(xp.arange(mu.shape[0]) == first, missing + 0 * z, z)
        return Coefficients(z, 0 * gamma[0] + nu_0, nu_0 > 0)
    from scipy.optimize import brentq

    size = max(_length(gamma), SMALLEST)  # s is at most |gamma| over the length
    high = (log(size) if wanted(0.0) > 0 else log(size) / 2) + 1e-3
    low = high - 1.0
    with quiet():
        while excess(low) <= 0 and low > log(SMALLEST):
            low -= 4.0
        s = exp(brentq(excess, low, high, xtol=1e-15, rtol=1e-15)) if excess(low) > 0 > excess(high) else exp(low)
        return Coefficients(z_of(s), 0 * gamma[0] + (nu_0 + s), True)


def _largest(v: Array) -> float:
    """Return the largest absolute value."""
    xp = array_namespace(v)
    return float(xp.max(xp.abs(v)))


def _finite(nu: Array) -> Array:
    """Return a multiplier within the range of its dtype, 0-d."""
    xp = array_namespace(nu)
    return xp.clip(nu, 0.0, float(xp.finfo(nu.dtype).max))


def _length(z: Array) -> float:
    """Return ``|z|`` without overflow of the squares."""
    largest = _largest(z)
    if not 0 < largest < inf:
        return largest
    scaled = z / largest
    return largest * sqrt(float(scaled @ scaled))
