r"""Curvatures of low rank, from eigenvectors and from products with random vectors.

With the energy part L, which is kept as it is, ``G_0 - L`` of another curvature ``G_0`` is replaced by

.. math:: G = U\,\mathrm{diag}(\mu)\,U^* + L, \qquad U^* U = I,                                           \tag{1}

with k vectors that are orthonormal in the inner product. ``U^* = U^T M`` in coordinates.

**Truncation.** mu are the k eigenvalues of ``G_0 - L`` of the largest absolute value: of all operators of rank k, (1) is then
the nearest in the operator and the Frobenius norm. The eigenvalues may be bounded below or replaced by their absolute
values: with `Floor`, ``U diag(mu) U^*`` is the positive part of ``G_0 - L`` for k = P.

**Nyström.** For a positive semi-definite ``A = G_0 - L`` and the orthonormal columns Omega of a random matrix, of k columns,

.. math:: A\,\Omega\,(\Omega^* A\,\Omega)^\dagger\,\Omega^* A,                                             \tag{2}

for k products with ``G_0``. (2) is never above A in the order of semi-definite operators, and equal to it if and only if the
rank of ``A Omega`` is that of A, which has the probability 1 for k at least that rank. It is computed for ``A + s I`` with
the small shift ``s = eps |A Omega|_F``:

.. math:: Y = A\,\Omega + s\,\Omega, \quad \Omega^* Y = Q\,\mathrm{diag}(e)\,Q^T, \quad
          Y Q\,\mathrm{diag}(e)^{-1/2} = U\,\mathrm{diag}(\sigma)\,V^T, \quad
          \mu = \max(\sigma^2 - s, 0).                                                                  \tag{3}

Where the source has a Cholesky factor, (3) has an eigenbasis. All ``e >= s`` in exact numbers, and computed ones that are
below are set to s: there is no factorisation that fails.

Damping. The complement of U is an eigenspace of (1), for a number L. The damped step is exact there too,

.. math:: (G + \nu I)^{-1} = \frac{1}{\lambda + \nu}\Bigl(I - U\,\mathrm{diag}\Bigl(\frac{\mu}{\mu + \lambda + \nu}\Bigr)U^*\Bigr),
          \qquad L = \lambda I.                                                                         \tag{4}

The part of g outside of the range of U is one more vector of the eigenbasis, with the eigenvalue lambda. For L = 0 the
same holds in every metric D, with U made orthogonal in D. Without damping and without L, the step is that in the range.

=========  ==========  =========
symbol     code        shape
=========  ==========  =========
U          U           (P, k)
mu         mu          (k,)
Omega      Omega       (P, k)
Y          Y           (P, k)
e          e           (k,)
=========  ==========  =========

Source: Eckart & Young, Psychometrika 1 (1936) 211, for the truncation; Frangella, Tropp & Udell, SIAM J. Matrix Anal.
Appl. 44 (2023) 718, Algorithm 2.1, for (3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from ..energies.protocols import Problem
from ..energies.random_vectors import normal_vector
from ..namespace import Array, array_namespace
from ..refusals import one_of, whole_number
from .choice import DENSE_LIMIT, ROOT_LIMIT, SVD_LIMIT
from .eigenbasis import Form, beside
from .krylov import lanczos, tridiagonal
from .lapack import eigh, svd
from .model import Approximation, Curvature, Model, curvature_in
from .spectral import SPECTRA, Floor

__all__ = ["Factors", "LowRank", "LowRankModel", "Nystrom", "leading", "linear_matrix", "nystrom", "truncated_sum"]

MOST_PRODUCTS = 300  # of the Lanczos process, at least
Factors: TypeAlias = tuple[Array, Array]
"""U, (P, k), and mu, (k,), of (1)."""


class LowRankModel(Approximation):
    """A model with the curvature (1).

    Parameters
    ----------
    whole : Model
        That of the curvature ``G_0``.
    factors : callable
        Maps the model ``G_0`` to U and mu; it is called once, for the first product or step.
    definite : bool
        Whether no mu is negative.
    """

    has_diagonal = True

    def __init__(self, whole: Model, factors: Callable[[Model], Factors], definite: bool) -> None:
        super().__init__(whole)
        self._make, self.definite = factors, definite
        self.known_mass("a curvature of low rank")

    @cached_property
    def factors(self) -> Factors:
        """U, (P, k), and mu, (k,), of (1)."""
        return self._make(self.whole)

    @property
    def _weighted(self) -> Array:
        """M U, (P, k)."""
        return self.factors[0] * _column(self.known_mass("a curvature of low rank"))

    def apply(self, v: Array) -> Array:
        """Return G v of (1), (P,)."""
        U, mu = self.factors
        u = U @ (mu * (self._weighted.T @ v))
        return u if self.linear.scalar == 0 else u + self.linear.apply(v)

    def _linear(self) -> Array:
        """L, (P, P)."""
        return self.linear.apply(array_namespace(self.theta).eye(self.shape[0], dtype=self.dtype))

    def matrix(self) -> Array:
        """Return M G, (P, P), symmetric."""
        W, B = self._weighted, 0.0
        if self.linear.scalar != 0:
            B = self._linear() * self.known_mass("a curvature of low rank")
        B = (W * self.factors[1]) @ W.T + B
        return (B + B.T) / 2

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        return (self.factors[0] * self._weighted) @ self.factors[1] + self.linear_diagonal()

    def has_own_form(self, weights: Array | None) -> bool:
        """Return whether the complement of U is an eigenspace: L is a number, and is 0 for weights (P,) other than None."""
        return self.linear.scalar is not None and (weights is None or self.linear.scalar == 0)

    def own_form(self, weights: Array | None) -> Form:
        """Return the eigenbasis of (1) in the metric of the weights, (P,) or None, and the rest of g."""
        xp, mass = array_namespace(self.theta), self.known_mass("a curvature of low rank")
        S = (mass * (1.0 if weights is None else weights) + 0 * self.theta) ** 0.5
        W, T = xp.linalg.qr(self._weighted / S[:, None])  # S^{-1} B S^{-1} = (W T) diag(mu) (W T)^T
        core = (T * self.factors[1]) @ T.T
        mu, V = eigh((core + core.T) / 2)
        W, g, lam = W @ V, self.gradient * mass / S, self.linear.scalar
        rest, length = beside(g, lambda u: u - W @ (W.T @ u), lambda u: u @ u)
        tiny = float(xp.finfo(mu.dtype).eps) * mu.shape[0] * float(xp.max(xp.abs(mu)))
        return Form(
            xp.concat([W.T @ g, length + 0 * g[:1]]),
            xp.concat([mu, 0 * mu[:1]]) + lam,
            lambda z: (W @ z[:-1] + z[-1] * rest) / S,
            tiny,
        )


def leading(model: Model, rank: int) -> Factors:
    """Return the eigenvectors and eigenvalues of ``G_0 - L`` of the largest absolute values, (P, k) and (k,).

    They are singular vectors of a root, or eigenvectors of the matrix; those of a Lanczos process where both are large. Of a
    multiple eigenvalue, that process finds one vector. After `MOST_PRODUCTS` or ``3 k`` products they are what it has found.

    Parameters
    ----------
    model : Model
        That of ``G_0``.
    rank : int
        The number k; P if it is larger.
    """
    P, N = model.shape[0], model.rows
    rank, mass = min(rank, P), model.known_mass("a curvature of low rank")
    if N is not None and N * P <= ROOT_LIMIT and N * P * min(N, P) <= SVD_LIMIT:
        root = model.root()
        if root is not None:
            R = root.R[:N, :] / mass**0.5  # rows of L are below
            _, sigma, Vt = svd(R)
            return Vt[:rank, :].T / _column(mass**0.5), sigma[:rank] ** 2
    if P > DENSE_LIMIT:
        return _by_lanczos(model, rank)
    S = mass**0.5 + 0 * model.theta
    A = (model.matrix() - linear_matrix(model)) / S / S[:, None]
    mu, V = eigh(A)
    return _largest(mu, V / S[:, None], rank)


def nystrom(model: Model, rank: int, seed: int, weights: Array | None = None) -> Factors:
    """Return U, (P, k), and mu, (k,), of (3).

    With weights, they are those of ``D^{-1} G_0``, and U is orthonormal in the metric D.

    Parameters
    ----------
    model : Model
        That of ``G_0``, positive semi-definite.
    rank : int
        The number k of random vectors; P if it is larger.
    seed : int
        Of the random vectors, >= 0. They depend on it alone: every step of a run has the same ones.
    weights : array (P,), optional
        Diagonal of D, entries > 0; by default the identity.
    """
    D: Array | float = 1.0 if weights is None else weights
    xp, S = array_namespace(model.theta), (model.known_mass("a curvature of low rank") * D) ** 0.5 + 0 * model.theta
    eps = float(xp.finfo(S.dtype).eps)
    draws = [S * normal_vector(model.problem, model.theta, seed, j)[0] for j in range(min(rank, model.shape[0]))]
    Omega = xp.linalg.qr(xp.stack(draws, axis=1))[0]
    Y = xp.stack([S / D * _without_part(model, Omega[:, j] / S) for j in range(Omega.shape[1])], axis=1)
    size = float(xp.max(xp.abs(Y)))
    if size == 0:
        return Omega / S[:, None], 0 * Omega[0, :]
    Y = Y / size  # the square of Y may overflow
    s = eps * float(xp.linalg.matrix_norm(Y))
    Y = Y + s * Omega  # (3)
    core = Omega.T @ Y
    e, Q = eigh((core + core.T) / 2)  # (3)
    U, sigma, _ = svd((Y @ Q) / xp.sqrt(xp.maximum(e, s + 0 * e)))  # (3)
    return U / S[:, None], size * xp.maximum(sigma**2 - s, 0 * sigma)  # (3)


def _by_lanczos(model: Model, rank: int) -> Factors:
    xp, eps = array_namespace(model.theta), float(array_namespace(model.theta).finfo(model.dtype).eps)
    b, most = normal_vector(model.problem, model.theta, 0)[0], max(MOST_PRODUCTS, 3 * rank)
    tol = 1e-10 if eps < 1e-10 else 1e-5
    for space in lanczos(lambda v: _without_part(model, v), model.problem.inner, b, model.mass):
        k = len(space.alpha)
        last = space.invariant or k == most
        if last or (k >= rank and k % 5 == 0):
            mu, Q = eigh(tridiagonal(space) + 0 * space.length)  # NaN for a product that is not finite
            found, Q = _largest(mu, Q, rank)[::-1]
            if last or space.length * float(xp.max(xp.abs(Q[-1, :]))) <= tol * float(xp.max(xp.abs(mu))):
                break
    return xp.stack(space.basis[:k], axis=1) @ Q, found


def _largest(mu: Array, V: Array, rank: int) -> Factors:
    """Return the columns of V and the eigenvalues mu of the largest absolute values."""
    xp = array_namespace(mu)
    order = xp.argsort(-xp.abs(mu))[:rank]
    return xp.take(V, order, axis=1), xp.take(mu, order)


def truncated_sum(first: Factors, second: Factors, mass: Array | float) -> Factors:
    """Return the sum of two operators of low rank, truncated to the rank of the first, (P, k) and (k,).

    With ``M^{1/2} (U_1, U_2) = Q T`` it is ``Q (T diag(mu_1, mu_2) T^T) Q^T``, whose eigenvectors are those of a small matrix.

    Parameters
    ----------
    first, second : tuple of arrays (P, k), (k,)
        The operators.
    mass : float or array (P,)
        The diagonal of the inner product.
    """
    (U, mu), (V, nu) = first, second
    xp, S = array_namespace(U), _column(mass) ** 0.5
    Q, T = xp.linalg.qr(S * xp.concat([U, V], axis=1))
    core = (T * xp.concat([mu, nu])) @ T.T
    found, W = eigh((core + core.T) / 2)
    W, found = _largest(found, W, mu.shape[0])
    return (Q @ W) / S, found


def _without_part(model: Model, v: Array) -> Array:
    """Return ``(G_0 - L) v``, (P,)."""
    u = model.apply(v)
    return u if model.linear.scalar == 0 else u - model.linear.apply(v)


def linear_matrix(model: Model) -> Array | float:
    """Return M L, (P, P), or 0 where there is no energy part.

    Parameters
    ----------
    model : Model
        It determines L and M.
    """
    if model.linear.scalar == 0:
        return 0.0
    eye = array_namespace(model.theta).eye(model.shape[0], dtype=model.dtype)
    return model.linear.apply(eye) * model.known_mass("a curvature of low rank")


def _column(mass: Any) -> Any:
    """A number, or (P, 1)."""
    return mass[:, None] if getattr(mass, "shape", ()) else mass


@dataclass(frozen=True)
class LowRank:
    """The truncation (1) of another curvature to its k eigenvalues of the largest absolute value.

    Parameters
    ----------
    of : Curvature
        The curvature ``G_0``.
    rank : int
        The number k >= 1; more than P is P.
    spectrum : {"exact", "absolute"} or gradflow.curvature.Floor
        Whether mu are the eigenvalues, their absolute values, or bounded below.

    Raises
    ------
    ValueError
        If `of` is no curvature, `rank` is below 1, or `spectrum` is none of these.

    Examples
    --------
    The convex combination of a Fisher matrix with the positive part of the Hessian:

    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 4, activation="tanh"), x, np.sin(3 * x))
    >>> positive = gf.curvature.LowRank(gf.curvature.Hessian(), rank=12, spectrum=gf.curvature.Floor())
    >>> mixed = gf.curvature.Mixture((gf.curvature.Fisher(), positive), (0.5, 0.5))
    >>> method = gf.SecondOrder(curvature=mixed)
    >>> run = gf.solve(problem, method, problem.net.init(0), steps=30)
    >>> bool(run.history["energy"][-1] < 0.1 * run.history["energy"][0])
    True
    """

    of: Curvature
    rank: int
    spectrum: str | Floor = "exact"

    def __post_init__(self) -> None:
        curvature_in("of", self.of)
        object.__setattr__(self, "rank", whole_number("rank", self.rank, 1))
        if not isinstance(self.spectrum, Floor):
            one_of("spectrum", self.spectrum, SPECTRA)

    def at(self, problem: Problem, theta: Array) -> LowRankModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the curvature refuses the problem, or its inner product is not diagonal.
        """
        whole = self.of.at(problem, theta)
        return LowRankModel(whole, self._factors, whole.definite or self.spectrum != "exact")

    def _factors(self, whole: Model) -> Factors:
        U, mu = leading(whole, self.rank)
        if isinstance(self.spectrum, Floor):
            return U, self.spectrum(mu)
        return U, mu if self.spectrum == "exact" else array_namespace(mu).abs(mu)


@dataclass(frozen=True)
class Nystrom:
    """The Nyström approximation (2) of another curvature, from k products with random vectors.

    Parameters
    ----------
    of : Curvature
        The curvature ``G_0``, known to be positive semi-definite.
    rank : int
        The number k >= 1 of random vectors; more than P is P.
    seed : int
        Of the random vectors, >= 0. Every step of a run has the same ones.

    Raises
    ------
    ValueError
        If `of` is no curvature, `rank` is below 1 or `seed` is negative.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 200, activation="tanh", scaling="ntk"), x, np.sin(3 * x))
    >>> method = gf.SecondOrder(curvature=gf.curvature.Nystrom(gf.curvature.GaussNewton(), rank=10))
    >>> run = gf.solve(problem, method, problem.net.init(0), steps=30)
    >>> bool(run.history["energy"][-1] < 1e-3 * run.history["energy"][0])
    True
    """

    of: Curvature
    rank: int
    seed: int = 0

    def __post_init__(self) -> None:
        curvature_in("of", self.of)
        object.__setattr__(self, "rank", whole_number("rank", self.rank, 1))
        object.__setattr__(self, "seed", whole_number("seed", self.seed))

    def at(self, problem: Problem, theta: Array) -> LowRankModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the curvature refuses the problem, is not known to be positive semi-definite, or the inner product is not
            diagonal.
        """
        whole = self.of.at(problem, theta)
        if not whole.definite:
            raise ValueError(f"Nystrom needs a curvature that is known to be positive semi-definite, got {self.of!r}")
        return LowRankModel(whole, lambda model: nystrom(model, self.rank, self.seed), True)
