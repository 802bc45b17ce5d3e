r"""Capped conjugate gradients: a Newton direction, or a direction of negative curvature, in a bounded number of products.

For a self-adjoint H and ``eps > 0``, conjugate gradients are applied to

.. math:: \bar H d = -g, \qquad \bar H = H + 2\varepsilon I.                                            \tag{1}

Every iterate y and direction p is tested for

.. math:: (p, \bar H p)_M < \varepsilon\,|p|_M^2, \qquad \text{that is,}\quad (p, H p)_M < -\varepsilon\,|p|_M^2.   \tag{2}

Without such a vector the iteration behaves as for a positive definite operator of the condition number
``kappa = (|H| + 2 eps) / eps``, and the residual is at most

.. math:: |r_j| \le \sqrt{T}\,\tau^{j/2}\,|r_0|, \qquad \tau = \frac{\sqrt\kappa}{\sqrt\kappa + 1}, \quad
          T = \frac{4\kappa^4}{(1 - \sqrt\tau)^2}.                                                      \tag{3}

If it is larger, one of the differences ``y_{j+1} - y_i`` satisfies (2). The result therefore is of negative curvature, (2), or a
solution with ``|r| <= zeta |g| / (3 kappa)``, after ``O(min(P, eps^{-1/2} log(1 / eps)))`` products. The norm of H is estimated
from the products that are made anyway: ``H y`` and ``H r`` follow from those with the directions.

In exact arithmetic a solution has ``(r, d)_M = 0``, and so

.. math:: (g, d)_M = -(d, \bar H d)_M \le -\varepsilon\,|d|_M^2.                                        \tag{4}

Source: Royer, O'Neill & Wright, Math. Program. 180 (2020) 451, Algorithm 1 and Lemma 3.
"""

from __future__ import annotations

from math import inf, isfinite, sqrt
from typing import NamedTuple

from ..namespace import Array
from ..refusals import instance, real_number, whole_number
from .model import Model

__all__ = ["Direction", "capped_cg"]


class Direction(NamedTuple):
    """The result of capped conjugate gradients."""

    d: Array
    """The direction, (P,)."""
    kind: str
    """``solution``, ``negative curvature``, ``capped`` after the largest number of products, or ``not finite``."""
    bend: float
    """``(d, H d)_M``."""
    length: float
    """``|d|_M``."""
    residual: float
    """``|r|_M`` of (1), of a solution."""
    products: int
    """Products with H."""


def capped_cg(model: Model, eps: float, *, accuracy: float = 0.5, most: int = 300) -> Direction:
    """Return a solution of (1) or a direction of negative curvature (2).

    Parameters
    ----------
    model : Model
        The model, with H as its curvature and g as its gradient, which is not zero.
    eps : float
        Half of the shift, and the negative curvature that is looked for; > 0.
    accuracy : float
        The number zeta of the residual, in (0, 1).
    most : int
        The largest number of products, >= 1; an iterate is stored for each.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the problem lacks what the curvature needs.
    """
    instance("model", model, Model, "a Model, from the `at` of a curvature")
    eps = real_number("eps", eps, 0, open_low=True)
    zeta = real_number("accuracy", accuracy, 0, 1, open_low=True, open_high=True)
    most, inner = whole_number("most", most, 1), model.problem.inner

    def dot(u: Array, v: Array) -> float:
        return float(inner(u, v))

    def answer(d: Array, Hd: Array, kind: str) -> Direction:
        return Direction(d, kind, dot(d, Hd), sqrt(dot(d, d)), sqrt(rr), k)

    def negative(u: Array, Hu: Array) -> bool:
        return dot(u, Hu) + eps * dot(u, u) < 0  # (2)

    r = model.gradient
    y, Hy, p = 0 * r, 0 * r, -r
    Hp, rr, k, bound = model.apply(p), dot(r, r), 1, 0.0
    first, iterates = rr, [(y, Hy)]
    if not 0 < rr < inf or not isfinite(dot(p, Hp)):
        return answer(0 * r, 0 * r, "not finite")
    if negative(p, Hp):
        return answer(p, Hp, "negative curvature")
    bound = _quotient(dot(Hp, Hp), rr)
    while True:
        bend = dot(p, Hp) + 2 * eps * dot(p, p)
        if not bend > 0:  # it has underflowed
            return answer(y, Hy, "solution")
        alpha = rr / bend
        y, Hy = y + alpha * p, Hy + alpha * Hp
        r = r + alpha * (Hp + 2 * eps * p)
        before, rr = rr, dot(r, r)
        if not isfinite(rr):
            return answer(0 * r, 0 * r, "not finite")
        if negative(y, Hy):
            return answer(y, Hy, "negative curvature")
        bound = max(bound, _quotient(dot(Hy, Hy), dot(y, y)))
        kappa = (bound + 2 * eps) / eps
        if sqrt(rr) <= zeta / (3 * kappa) * sqrt(first):
            return answer(y, Hy, "solution")
        if k == most:
            return answer(y, Hy, "capped")
        iterates.append((y, Hy))
        beta, Hp_before = rr / before, Hp
        p = -r + beta * p
        Hp, k = model.apply(p), k + 1
        Hr = beta * Hp_before - Hp
        bound = max(bound, _quotient(dot(Hp, Hp), dot(p, p)), _quotient(dot(Hr, Hr), rr))
        if negative(p, Hp):
            return answer(p, Hp, "negative curvature")
        kappa = (bound + 2 * eps) / eps
        tau = sqrt(kappa) / (sqrt(kappa) + 1)
        if sqrt(rr) > 2 * kappa * kappa / (1 - sqrt(tau)) * tau ** ((k - 1) / 2) * sqrt(first):  # (3)
            alpha = rr / (dot(p, Hp) + 2 * eps * dot(p, p))
            y, Hy = y + alpha * p, Hy + alpha * Hp
            differences = [(y - z, Hy - Hz) for z, Hz in iterates]
            d, Hd = min(differences, key=lambda pair: dot(*pair) / max(dot(pair[0], pair[0]), 5e-324))
            return answer(d, Hd, "negative curvature" if negative(d, Hd) else "capped")


def _quotient(top: float, bottom: float) -> float:
    """Return the root of a quotient; 0 where the denominator has underflowed."""
    return sqrt(top / bottom) if bottom > 0 else 0.0
