r"""The smallest and the largest eigenvalue of a model, from products with its curvature.

**Lanczos.** On the Krylov space of G and a random vector b, the eigenvalues ``theta_1 <= ... <= theta_k`` of the
projection lie between ``lambda_min`` and ``lambda_max`` of G. Each is the Rayleigh quotient of its Ritz vector v,

.. math:: \theta_1 = (v, G v)_M \ge \lambda_{\min}, \qquad |v|_M = 1,                                   \tag{1}

so that ``theta_1 < 0`` proves a negative eigenvalue. With the residual ``r = |G v - theta_1 v|_M``, there is an eigenvalue
of G in ``[theta_1 - r, theta_1 + r]``, not necessarily the smallest. That one is missed only if b has next to no component
along its eigenvectors. For b uniformly distributed on the unit sphere,

.. math:: \Pr\bigl\{\theta_1 > \lambda_{\min} + \varepsilon\,(\lambda_{\max} - \lambda_{\min})\bigr\}
            \le 1.648\,\sqrt{P}\; e^{-(2k - 1)\sqrt{\varepsilon}},                                      \tag{2}

and the same at the other end. Put ``delta / (2 k (k + 1))`` for the right-hand side, whose sum over all k is ``delta / 2``,
and eliminate the spread of G, which is at most ``(theta_k - theta_1) / (1 - 2 eps)`` if (2) fails at neither end. With
probability at least ``1 - delta``, for all k at once, and so also if k depends on what was computed,

.. math:: \lambda_{\min} \ge \theta_1 - \varepsilon_k\,\frac{\theta_k - \theta_1}{1 - 2\varepsilon_k}, \qquad
          \varepsilon_k = \Bigl(\frac{\log(3.296\,k(k+1)\sqrt P/\delta)}{2k - 1}\Bigr)^2 < \tfrac12.     \tag{3}

On an invariant space, in particular for k = P, the eigenvalues are exact with probability 1.

**Shifted power iteration.** ``v <- (s I - G) v``, normalised, converges to an eigenvector of ``lambda_min`` if
``s > (lambda_min + lambda_max) / 2``; ``s >= lambda_max`` is enough. It needs ``O(1 / eps)`` products where Lanczos needs
``O(1 / sqrt(eps))``. With s = 0 it converges to the eigenvalue of largest absolute value, whatever its sign: on
``diag(-1, 0, ..., 10)`` it never sees the negative one.

Source: Kuczyński & Woźniakowski, SIAM J. Matrix Anal. Appl. 13 (1992) 1094, Theorem 4.2, for (2); Parlett, The Symmetric
Eigenvalue Problem (1998), chapters 4 and 13.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import frexp, inf, isfinite, log, nan, sqrt
from typing import NamedTuple

from ..energies.protocols import norm
from ..energies.random_vectors import normal_vector
from ..namespace import Array, array_namespace, quiet
from ..refusals import instance, one_of, real_number, whole_number
from .krylov import Krylov, combined, lanczos, tridiagonal
from .model import Model

__all__ = ["ENDS", "Eigenpair", "Ritz", "extreme_eigenvalues", "ritz", "shifted_power_iteration"]

ENDS = ("both", "smallest", "largest")
"""The ends of the spectrum that `extreme_eigenvalues` waits for."""
MOST_PRODUCTS = 300  # each stores a vector


class Eigenpair(NamedTuple):
    """An approximate eigenvalue with its vector."""

    value: float
    """The Rayleigh quotient (1); NaN if a product was not finite."""
    vector: Array
    """(P,), of length 1 in the problem's inner product."""
    residual: float
    """``|G v - value v|_M``: there is an eigenvalue of G at most this far away."""


class Ritz:
    """The eigenvalues of G on a Krylov space.

    Parameters
    ----------
    space : Krylov
        The space.
    uniform : bool
        Whether b was uniformly distributed on the unit sphere of the inner product.
    scale : float
        The number s > 0 if the space is that of ``G / s``.
    """

    def __init__(self, space: Krylov, uniform: bool, scale: float = 1.0) -> None:
        xp, k = array_namespace(space.basis[0]), len(space.alpha)
        self.products, self.invariant, self.uniform, self._scale = k, space.invariant, uniform, scale
        self._basis, self._length, self._finite = space.basis[:k], space.length, isfinite(space.length)
        if self._finite:
            self._values, self._vectors = xp.linalg.eigh(tridiagonal(space))

    def _pair(self, i: int) -> Eigenpair:
        if not self._finite:
            return Eigenpair(nan, self._basis[0], nan)
        y = self._vectors[:, i]
        value, residual = float(self._values[i]), abs(float(y[-1])) * self._length
        return Eigenpair(self._scale * value, combined(self._basis, y), self._scale * residual)

    @cached_property
    def smallest(self) -> Eigenpair:
        """The pair ``theta_1``."""
        return self._pair(0)

    @cached_property
    def largest(self) -> Eigenpair:
        """The pair ``theta_k``."""
        return self._pair(self.products - 1)

    def bound(self, failure: float = 1e-6) -> float:
        """Return the lower bound (3) of the smallest eigenvalue.

        It is minus infinity where there is none: for too few products, for an inner product that is not known to be
        diagonal, in which b is not uniform, or if a product was not finite.

        Parameters
        ----------
        failure : float
            The probability delta that the bound is wrong, in (0, 1).

        Raises
        ------
        ValueError
            If the probability is outside (0, 1).
        """
        delta = real_number("failure", failure, 0, 1, open_low=True, open_high=True)
        if not self._finite:
            return -inf
        low, high, k = float(self._values[0]), float(self._values[-1]), self.products
        if self.invariant:
            eps = float(array_namespace(self._values).finfo(self._values.dtype).eps)
            return self._scale * (low - eps * k * max(abs(low), abs(high)))
        P = self._basis[0].shape[0]
        eps = (log(3.296 * k * (k + 1) * sqrt(P) / delta) / (2 * k - 1)) ** 2  # (3)
        return self._scale * (low - eps * (high - low) / (1 - 2 * eps)) if self.uniform and eps < 0.5 else -inf


def ritz(model: Model, *, most: int = MOST_PRODUCTS, seed: int = 0) -> Iterator[Ritz]:
    """Yield the eigenvalues on Krylov spaces of growing dimension, after 1, ..., 10, 15, 20, ... products.

    Parameters
    ----------
    model : Model
        The model.
    most : int
        The largest number of products, >= 1; a vector is stored for each.
    seed : int
        Of the random vector b, >= 0.
    """
    most, seed = whole_number("most", most, 1), whole_number("seed", seed)
    inner, scale = model.problem.inner, 0.0

    def scaled(v: Array) -> Array:
        nonlocal scale
        u = model.apply(v)
        if scale == 0:  # without it, the squares of products may underflow or overflow
            with quiet():
                size = norm(inner, u)
            scale = 2.0 ** (frexp(size)[1] - 1) if 0 < size < inf else 1.0  # a power of two: no digit changes
        return u / scale

    for space in lanczos(scaled, inner, normal_vector(model.problem, model.theta, seed)[0], model.mass):
        k = len(space.alpha)
        if k <= 10 or k % 5 == 0 or k == most or space.invariant:
            yield Ritz(space, model.mass is not None, scale)
        if k == most:
            return


def extreme_eigenvalues(
    model: Model, ends: str = "both", *, tol: float | None = None, most: int = MOST_PRODUCTS, seed: int = 0
) -> Ritz:
    """Return the extreme eigenvalues of a model by the Lanczos process.

    Parameters
    ----------
    model : Model
        The model.
    ends : {"both", "smallest", "largest"}
        The eigenvalues that must have converged.
    tol : float, optional
        The residual to reach, relative to the largest absolute value among the two, > 0; by default 1e-6 in float64 and 1e-3
        in float32. The error of an eigenvalue that is well separated is of the order of its square.
    most : int
        The largest number of products with G, >= 1. Where it is reached, the residual says what was not.
    seed : int
        Of the random vector b, >= 0.

    Raises
    ------
    ValueError
        If an argument is out of its range or the problem lacks what the curvature needs.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> d = np.arange(-1.0, 11.0)
    >>> quadratic = gf.FunctionProblem(lambda t: t @ (d * t) / 2, lambda t: d * t, lambda t, v: d * v)
    >>> found = gf.curvature.extreme_eigenvalues(gf.curvature.Hessian().at(quadratic, np.ones(12)))
    >>> round(found.smallest.value, 9), round(found.largest.value, 9)
    (-1.0, 10.0)
    """
    instance("model", model, Model, "a Model, from the `at` of a curvature")
    one_of("ends", ends, ENDS)
    if tol is None:
        tol = 1e-6 if float(array_namespace(model.theta).finfo(model.dtype).eps) < 1e-10 else 1e-3
    real_number("tol", tol, 0, open_low=True)
    for found in ritz(model, most=most, seed=seed):
        pairs = [getattr(found, end) for end in ENDS[1:] if ends in (end, "both")]
        scale = max(abs(found.smallest.value), abs(found.largest.value))
        if all(pair.residual <= tol * scale for pair in pairs):
            break
    return found


def shifted_power_iteration(model: Model, shift: float, iterations: int, *, seed: int = 0) -> Eigenpair:
    """Return the approximation of the smallest eigenvalue by the power iteration with ``shift I - G``.

    Parameters
    ----------
    model : Model
        The model.
    shift : float
        The number s, at least the largest eigenvalue.
    iterations : int
        Number of iterations, >= 0, each of one product with G; one more is made for the eigenvalue.
    seed : int
        Of the random start, >= 0.

    Raises
    ------
    ValueError
        If an argument is out of its range or the problem lacks what the curvature needs.
    """
    instance("model", model, Model, "a Model, from the `at` of a curvature")
    s, inner = real_number("shift", shift), model.problem.inner
    v = normal_vector(model.problem, model.theta, whole_number("seed", seed))[0]
    v = v / norm(inner, v)
    for _ in range(whole_number("iterations", iterations)):
        u = s * v - model.apply(v)
        length = norm(inner, u)
        if not 0 < length < inf:  # v is an eigenvector of the eigenvalue s, or a product is not finite
            break
        v = u / length
    Gv = model.apply(v)
    value = float(inner(v, Gv))
    return Eigenpair(value, v, norm(inner, Gv - value * v))
