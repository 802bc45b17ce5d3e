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

**Chebyshev iteration.** Let ``K >= lambda_max``, K > 0, be known, and let only eigenvalues below ``-delta`` matter. With
``delta' = 3 delta / 4``, the polynomial ``x(lambda) = (K - delta' - 2 lambda) / (K + delta')`` maps ``[-delta', K]`` to ``[-1, 1]``, and

.. math:: y_0 = z, \quad y_1 = x(G)\,z, \quad y_{k+1} = 2\,x(G)\,y_k - y_{k-1}, \qquad y_k = T_k(x(G))\,z.     \tag{4}

Let ``lambda_min <= -delta`` and let the component of z along an eigenvector of it have the share c of ``|z|_M^2``. Then

.. math:: \frac{(y_k, G y_k)_M}{|y_k|_M^2} \le \frac{K - \delta'\gamma}{1 + \gamma}, \qquad
          \gamma = c\,T_k(x(-\delta))^2,                                                               \tag{5}

since ``T_k^2 <= 1`` on ``[-1, 1]`` and it is at least ``T_k(x(-delta))^2`` at lambda_min. The right-hand side is at most
``-delta / 2`` if ``gamma >= (4 K + 2 delta) / delta``. For z uniform on the sphere,
``Pr{c < s^2} <= s (2 P / pi)^{1/2}``, so that with ``s = p (pi / (2 P))^{1/2}`` and

.. math:: k \ge \frac{\operatorname{arcosh}\bigl(s^{-1}\sqrt{(4K + 2\delta) / \delta}\bigr)}{\operatorname{arcosh} x(-\delta)}
          = O\Bigl(\sqrt{K / \delta}\,\log\frac{K P}{\delta\, p}\Bigr)                                    \tag{6}

an eigenvalue below ``-delta`` is missed with probability at most p. The iteration stores three vectors. If ``K <
lambda_max``, (5) is void: ``y_k`` grows along the other end too. The quotient itself is one of G whatever K is, and one
above K shows that K was too small.

Source: Kuczyński & Woźniakowski, SIAM J. Matrix Anal. Appl. 13 (1992) 1094, Theorem 4.2, for (2); Parlett, The Symmetric
Eigenvalue Problem (1998), chapters 4 and 13; Allen-Zhu & Li, NeurIPS 2018, section 3 (Neon2 for deterministic gradients),
for (4) with ``x(lambda) = 1 - 3 delta / (4 K) - lambda / K``, which needs a factor of ``2^{1/2}`` more products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from math import asinh, ceil, expm1, frexp, inf, isfinite, log, log1p, nan, pi, sqrt
from typing import NamedTuple

from ..energies.protocols import norm
from ..energies.random_vectors import normal_vector
from ..namespace import Array, array_namespace, quiet
from ..refusals import instance, one_of, real_number, whole_number
from .krylov import Krylov, combined, lanczos, tridiagonal
from .lapack import eigh
from .model import Model

__all__ = [
    "ENDS",
    "Eigenpair",
    "Ritz",
    "chebyshev_iteration",
    "chebyshev_iterations",
    "extreme_eigenvalues",
    "ritz",
    "shifted_power_iteration",
]

ENDS = ("both", "smallest", "largest")
"""The ends of the spectrum that `extreme_eigenvalues` waits for."""
MOST_PRODUCTS = 300  # each stores a vector
EPS = 2.0**-52  # of K, below which an eigenvalue is a rounding error


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
        k = len(space.alpha)
        self.products, self.invariant, self.uniform, self._scale = k, space.invariant, uniform, scale
        self._basis, self._length, self._finite = space.basis[:k], space.length, isfinite(space.length)
        if self._finite:
            self._values, self._vectors = eigh(tridiagonal(space))

    def __repr__(self) -> str:
        return f"<Ritz: smallest {self.smallest.value:.6g}, largest {self.largest.value:.6g}, after {self.products} products>"

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
            size = _length(inner, u)
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
    v = v / _length(inner, v)
    for _ in range(whole_number("iterations", iterations)):
        u = s * v - model.apply(v)
        length = _length(inner, u)
        if not 0 < length < inf:  # v is an eigenvector of the eigenvalue s, or a product is not finite
            break
        v = u / length
    Gv = model.apply(v)
    value = float(inner(v, Gv))
    return Eigenpair(value, v, _length(inner, Gv - value * v))


def chebyshev_iterations(size: int, largest: float, threshold: float, failure: float = 1e-6) -> int:
    """Return the smallest k of (6).

    Parameters
    ----------
    size : int
        The number P of parameters, >= 1.
    largest : float
        The number K, at least the largest eigenvalue, > 0.
    threshold : float
        The number delta, > 0.
    failure : float
        The probability p, in (0, 1).

    Raises
    ------
    ValueError
        If a number is out of its range, or delta / K is below the rounding error of float64 or above its inverse.
    """
    P = whole_number("size", size, 1)
    K, delta = (real_number(name, x, 0, open_low=True) for name, x in (("largest", largest), ("threshold", threshold)))
    p = real_number("failure", failure, 0, 1, open_low=True, open_high=True)
    t = delta / K  # by K, so that nothing overflows
    if not EPS <= t <= 1 / EPS:
        raise ValueError(f"threshold / largest must lie in [{EPS:.3g}, {1 / EPS:.3g}], got {threshold!r} / {largest!r}")
    rate = 2 * asinh(sqrt(t / 4 / (1 + 0.75 * t)))  # arcosh x(-delta) without cancellation
    a = (log(4 / t + 2) - log(pi / (2 * P))) / 2 - log(p)  # of the argument of arcosh in (6), which is above 1
    return ceil((a + log1p(sqrt(-expm1(-2 * a)))) / rate)  # (6)


def chebyshev_iteration(
    model: Model, largest: float, threshold: float, *, failure: float = 1e-6, seed: int = 0
) -> Eigenpair:
    """Return a direction of negative curvature by the Chebyshev iteration (4), or what it ends with.

    It ends with the first quotient of at most ``-threshold / 2``, or after the iterations (6), with one product in each. A
    value above ``-threshold / 2`` then says that, with probability at least ``1 - failure``, no eigenvalue is below
    ``-threshold``, if `largest` is what it should be.

    Parameters
    ----------
    model : Model
        The model.
    largest : float
        The number K, at least the largest eigenvalue, > 0; a Lipschitz constant of the gradient for the Hessian.
    threshold : float
        The number delta, > 0.
    failure : float
        The probability p that an eigenvalue below ``-threshold`` is missed, in (0, 1).
    seed : int
        Of the random start, >= 0.

    Raises
    ------
    ValueError
        If an argument is out of its range or the problem lacks what the curvature needs.
    """
    instance("model", model, Model, "a Model, from the `at` of a curvature")
    most, inner = chebyshev_iterations(model.shape[0], largest, threshold, failure), model.problem.inner
    K, delta = float(largest), float(threshold)
    y, before = normal_vector(model.problem, model.theta, whole_number("seed", seed))[0], None
    for k in range(most + 1):
        size = _length(inner, y)
        y, before = y / size, None if before is None else before / size  # (4) is linear; it would overflow
        Gy = model.apply(y)
        value = float(inner(y, Gy))
        if not value > -delta / 2 or k == most:  # a NaN ends it too
            break
        x_y = (1 - 0.75 * delta / K) / (1 + 0.75 * delta / K) * y - 2 / (1 + 0.75 * delta / K) * (Gy / K)
        y, before = x_y if before is None else 2 * x_y - before, y  # (4)
    return Eigenpair(value, y, _length(inner, Gy - value * y))


def _length(inner: Callable[[Array, Array], Array], u: Array) -> float:
    """Return ``|u|_M``; NumPy does not warn where only the square overflows."""
    with quiet():
        return norm(inner, u)
