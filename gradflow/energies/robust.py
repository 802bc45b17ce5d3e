r"""Robust losses as scalings of the residual: a large residual counts less, and ``E = |q^|^2 / 2`` holds exactly.

A robust loss replaces the square of a residual by a function that grows more slowly. With the scale c,

.. math:: E = \tfrac{c^2}{2}\sum_i \rho(z_i), \qquad z_i = (q_i/c)^2, \qquad \rho(z) = z + O(z^2),       \tag{1}

which is the energy of least squares of the scaled residual

.. math:: \hat q_i = s(q_i)\,q_i, \qquad s = \sqrt{\rho(z)/z}, \qquad
          t = \frac{d\hat q}{dq} = \frac{\rho'(z)}{s}.                                                   \tag{2}

No scheme need know of the loss. The energy has the derivatives

.. math:: \psi = \frac{dE}{dq} = \rho'(z)\,q = t\,\hat q, \qquad
          \psi' = \rho'(z) + 2z\rho''(z) \le t^2.                                                        \tag{3}

The Gauss-Newton curvature of (2) has the factor ``t^2``, which is positive, in place of ``psi'``, which need not be.
With ``x = |q| / c``, ``h = (1 + x^2)^{1/2}``, and x > 1 in the second row:

============  ===========================  ===============================  =======================  ======================
loss          rho                          s                                t                        psi'
============  ===========================  ===============================  =======================  ======================
`Huber`       ``x^2`` for ``x <= 1``       1                                1                        1
..            ``2 x - 1``                  ``(2 x - 1)^{1/2} / x``          ``(2 x - 1)^{-1/2}``     0
`SoftL1`      ``2 (h - 1)``                ``(2 / (1 + h))^{1/2}``          ``((1 + h)/2)^{1/2}/h``  ``h^{-3}``
`Cauchy`      ``2 log h``                  ``(2 log h)^{1/2} / x``          ``1 / (h^2 s)``          ``(1 - x^2) / h^4``
============  ===========================  ===============================  =======================  ======================

The functions take x, not z, whose square would overflow: they are finite and accurate for every finite x.

=======  ======  =====
symbol   code    shape
=======  ======  =====
x        x       (N,)
s        s       (N,)
t        t       (N,)
psi'     bend    (N,)
h        h       (N,)
=======  ======  =====

Source: Huber, Ann. Math. Statist. 35 (1964) 73; Triggs, McLauchlan, Hartley & Fitzgibbon, Lecture Notes in Computer Science
1883 (2000) 298, whose scaled residual has the gradient and the curvature (3), and not the energy (1). The convention (1) is
that of ``scipy.optimize.least_squares``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number

__all__ = ["Cauchy", "Huber", "RobustLoss", "Scaling", "SoftL1", "cauchy", "huber", "soft_l1"]


class Scaling(NamedTuple):
    """The scaling (2) of a residual, and what its derivatives need."""

    s: Array
    """``q^ / q``, (N,), in (0, 1]; 1 where q = 0."""
    t: Array
    """``d q^ / d q``, (N,), in (0, 1]."""
    bend: Array
    """``psi'``, (N,), at most 1."""


@runtime_checkable
class RobustLoss(Protocol):
    """A loss that can be written as (2); implementations are frozen dataclasses."""

    def at(self, q: Array) -> Scaling:
        """Return the scaling of a residual q, (N,)."""


def huber(x: Array) -> Scaling:
    """Return the scaling of Huber's loss.

    Parameters
    ----------
    x : array (N,)
        Residuals over the scale, in absolute value.
    """
    xp = array_namespace(x)
    inside, out = x <= 1, xp.maximum(x, 1 + 0 * x)
    root = 2**0.5 * xp.sqrt(out - 0.5)  # (2 x - 1)^{1/2} without an overflow
    one, zero = 1 + 0 * x, 0 * x
    return Scaling(xp.where(inside, one, root / out), xp.where(inside, one, 1 / root), xp.where(inside, one, zero))


def soft_l1(x: Array) -> Scaling:
    """Return the scaling of the soft L1 loss.

    Parameters
    ----------
    x : array (N,)
        Residuals over the scale, in absolute value.
    """
    xp = array_namespace(x)
    h = xp.hypot(1 + 0 * x, x)
    half = 0.5 + h / 2
    return Scaling(1 / xp.sqrt(half), xp.sqrt(half) / h, (1 / h) ** 3)


def cauchy(x: Array) -> Scaling:
    """Return the scaling of Cauchy's loss.

    Parameters
    ----------
    x : array (N,)
        Residuals over the scale, in absolute value.
    """
    xp = array_namespace(x)
    one = 1 + 0 * x
    h, out = xp.hypot(one, x), xp.maximum(x, one)
    z = xp.minimum(x, one) ** 2  # for x <= 1, where log h would lose the digits of z
    felt = z > 0
    near = xp.where(felt, xp.log1p(z) / xp.where(felt, z, one), one)
    s = xp.where(x <= 1, xp.sqrt(near), xp.sqrt(2 * xp.log(xp.maximum(h, 2**0.5 * one))) / out)
    u, v = 1 / h, x / h
    return Scaling(s, u * (u / s), u**2 * (u - v) * (u + v))


@dataclass(frozen=True)
class _Scaled:
    """A loss with a scale."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("scale", self.scale, 0, open_low=True)

    def _over(self, q: Array) -> Array:
        """Return |q| / c, (N,)."""
        return array_namespace(q).abs(q) / self.scale


@dataclass(frozen=True)
class Huber(_Scaled):
    """Huber's loss: a square up to the scale, linear beyond. Convex; a residual beyond has a bounded influence.

    Parameters
    ----------
    scale : float
        The residual c > 0 from which on it counts as an outlier; 1.345 standard deviations of normal errors cost 5 % of
        the efficiency of least squares.

    Raises
    ------
    ValueError
        If the scale is not positive.
    """

    def at(self, q: Array) -> Scaling:
        """Return the scaling of a residual q, (N,)."""
        return huber(self._over(q))


@dataclass(frozen=True)
class SoftL1(_Scaled):
    """The soft L1 loss ``2 c^2 ((1 + z)^{1/2} - 1) / 2``: a smooth form of Huber's, convex.

    Parameters
    ----------
    scale : float
        The residual c > 0 around which the loss turns from a square to a line.

    Raises
    ------
    ValueError
        If the scale is not positive.
    """

    def at(self, q: Array) -> Scaling:
        """Return the scaling of a residual q, (N,)."""
        return soft_l1(self._over(q))


@dataclass(frozen=True)
class Cauchy(_Scaled):
    """Cauchy's loss ``c^2 log(1 + z) / 2``: the influence of a residual tends to zero. Not convex, with further minima.

    Parameters
    ----------
    scale : float
        The residual c > 0 of the largest influence.

    Raises
    ------
    ValueError
        If the scale is not positive.
    """

    def at(self, q: Array) -> Scaling:
        """Return the scaling of a residual q, (N,)."""
        return cauchy(self._over(q))
