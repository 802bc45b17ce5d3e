r"""Kronecker-factored curvature (K-FAC), and its corrected eigenvalues (EKFAC).

The rows of a Fisher matrix (`gradflow.curvature.fisher`) are, for a layer with the inputs ``x_i``, (p,), and back-propagated
scores ``d_ij``, (q,), Kronecker products: ``rho_ij = x_i (x) d_ij``. The block of a layer is replaced by a product of means,

.. math:: \sum_i w_i\, x_i x_i^T \otimes \mathbb E[d_i d_i^T] \;\approx\; A \otimes B, \qquad
          A = \sum_i w_i\, x_i x_i^T, \quad B = \sum_i w_i\, \mathbb E[d_i d_i^T],                         \tag{1}

and blocks between layers by zero. (1) is exact for one sample, and where ``E[d_i d_i^T]`` does not depend on i: in the
output layer of a squared loss, and in every layer of a linear network with a squared loss.

The eigenbasis. With ``A = U diag(alpha) U^T`` and ``B = V diag(beta) V^T``,

.. math:: A \otimes B + \lambda I = (U \otimes V)\,\mathrm{diag}(\alpha_a \beta_b + \lambda)\,(U \otimes V)^T,    \tag{2}

so that damping, a trust region and the cubic term are exact for (1). EKFAC keeps the basis and takes the diagonal of the
block itself in it,

.. math:: \mu_{ab} = \sum_i w_i\, (U^T x_i)_a^2\; \mathbb E\bigl[(V^T d_i)_b^2\bigr],                        \tag{3}

the best diagonal in the Frobenius norm.

Factored damping. Where the factors are to be inverted and not decomposed, each is damped for itself,

.. math:: (A + \pi\sqrt\lambda\,I) \otimes (B + \pi^{-1}\sqrt\lambda\,I)
          = A \otimes B + \lambda I + \sqrt\lambda\,\bigl(\pi\,I \otimes B + \pi^{-1} A \otimes I\bigr).      \tag{4}

It is not the damped operator (2): it exceeds it by the last term, which is positive semi-definite, of the norm
``sqrt(lambda) (pi max beta + max alpha / pi)``, and only vanishes with A and B. Its trace is least for

.. math:: \pi^2 = \frac{\mathrm{tr} A / p}{\mathrm{tr} B / q},                                              \tag{5}

which is taken here; 1 if a trace is 0. For an inner product ``M = m I``, lambda stands for ``m lambda``.

A layer needs ``p^2 + q^2`` numbers in place of ``(p q)^2``.

=============  ===============  =========
symbol         code             shape
=============  ===============  =========
A, B           A, B             (p, p), (q, q)
U, V           U, V             (p, p), (q, q)
alpha, beta    alpha, beta      (p,), (q,)
mu             mu               (p, q)
pi             ratio            0-d
=============  ===============  =========

Source: Martens & Grosse, arXiv:1503.05671, sections 3 and 6, section 6.3 for (4) and (5); George, Laurent, Bouthillier, Ballas & Vincent, NeurIPS 31
(2018), for (3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..energies.protocols import Layer, Problem, problem_ability
from ..namespace import Array, array_namespace
from ..refusals import instance, real_number
from .block_diagonal import Restricted, joined
from .eigenbasis import Form
from .fisher import Fisher
from .lapack import eigh
from .outer_products import OuterProducts

__all__ = ["KFAC", "KroneckerFactors", "KroneckerModel", "trace_ratio"]


class KroneckerFactors(NamedTuple):
    """The eigenbasis of a layer, (2), and the eigenvalues in it."""

    U: Array
    """Eigenvectors of A, (p, p)."""
    V: Array
    """Eigenvectors of B, (q, q)."""
    mu: Array
    """Eigenvalues, ``alpha_a beta_b``, (3) or those of (4), (p, q), >= 0."""


def trace_ratio(A: Array, B: Array) -> Array:
    """Return pi of (5), 0-d; 1 if a trace is not positive.

    Parameters
    ----------
    A : array
        The factor of the inputs, of shape (p, p).
    B : array
        The factor of the scores, of shape (q, q).
    """
    xp = array_namespace(A)
    a, b = xp.linalg.trace(A) / A.shape[0], xp.linalg.trace(B) / B.shape[0]
    felt, one = (a > 0) & (b > 0), 1 + 0 * a
    return xp.where(felt, (xp.where(felt, a, one) / xp.where(felt, b, one)) ** 0.5, one)  # (5)


class KroneckerModel(Restricted):
    """A model with the curvature (1), or with the eigenvalues (3), plus the energy part L.

    Parameters
    ----------
    whole : OuterProducts
        The model of the Fisher matrix.
    groups : list of int arrays
        The indices of each layer, of shape (1, p q).
    corrected : bool
        Whether the eigenvalues are (3).
    factored : float
        The damping lambda of (4); 0 without.
    """

    has_diagonal = True
    whole: OuterProducts

    def __init__(self, whole: OuterProducts, groups: list[Array], corrected: bool, factored: float = 0.0) -> None:
        super().__init__(whole, groups)
        self.corrected, self.factored = corrected, factored

    def _layers(self) -> Iterator[tuple[list[Layer], Array | None]]:
        """Yield the layers of each block of samples, and the relative weights of its samples."""
        start, relative = 0, self.whole.of.relative
        for block in self.whole.blocks_of_samples():
            stop = start + block.Q.shape[0]
            yield block.at.layers(block.Q), None if relative is None else relative[start:stop]
            start = stop

    @cached_property
    def factors(self) -> list[tuple[Array, Array]]:
        """A (p, p) and B (q, q) of (1), for each layer."""
        xp, N = array_namespace(self.theta), int(problem_ability(self.problem, "n_samples"))
        sums: list[tuple[Array, Array]] = [(0.0, 0.0)] * len(self.groups)
        for layers, relative in self._layers():
            for at, (x, d) in enumerate(layers):
                weighted = x if relative is None else relative[:, None] * x
                d = xp.reshape(d, (-1, d.shape[2]))
                A, B = sums[at]
                sums[at] = A + weighted.T @ x / N, B + d.T @ d  # (1): the rows contain the weights
        return sums

    @cached_property
    def eigen(self) -> list[KroneckerFactors]:
        """The eigenbasis (2) of each layer, with its eigenvalues."""
        xp, found = array_namespace(self.theta), list[KroneckerFactors]()
        for A, B in self.factors:
            (alpha, U), (beta, V) = (eigh((C + C.T) / 2) for C in (A, B))
            alpha, beta = (xp.where(e > 0, e, 0 * e) for e in (alpha, beta))
            if self.factored > 0:
                ratio, root = trace_ratio(A, B), (self.factored * self.known_mass("factored damping")) ** 0.5
                alpha, beta = alpha + ratio * root, beta + root / ratio  # (4)
            found.append(KroneckerFactors(U, V, alpha[:, None] * beta[None, :]))  # (2)
        if not self.corrected:
            return found
        mus: list[Array] = [0.0] * len(found)
        for layers, _ in self._layers():
            for at, (x, d) in enumerate(layers):
                U, V, _ = found[at]
                mus[at] = mus[at] + ((x @ U) ** 2).T @ xp.sum((d @ V) ** 2, axis=1)  # (3)
        return [one._replace(mu=mu) for one, mu in zip(found, mus, strict=True)]

    def _matrices(self, v: Array) -> list[Array]:
        """The entries of a vector for each layer, (p, q)."""
        pairs = zip(self.parts(v), self.eigen, strict=True)
        return [array_namespace(v).reshape(part, one.mu.shape) for part, one in pairs]

    def _vector(self, matrices: list[Array]) -> Array:
        """The vector, (P,), of the entries of each layer."""
        xp = array_namespace(self.theta)
        return self.whole_of([xp.reshape(matrix, (1, -1)) for matrix in matrices])

    def _turned(self, matrices: list[Array]) -> list[Array]:
        """The coefficients in the eigenbasis, (p, q)."""
        return [one.U.T @ matrix @ one.V for matrix, one in zip(matrices, self.eigen, strict=True)]

    def _back(self, matrices: list[Array]) -> list[Array]:
        """What has the coefficients, (p, q)."""
        return [one.U @ matrix @ one.V.T for matrix, one in zip(matrices, self.eigen, strict=True)]

    def apply(self, v: Array) -> Array:
        """Return G v, (P,)."""
        turned = zip(self._turned(self._matrices(v)), self.eigen, strict=True)
        u = self._vector(self._back([one.mu * c for c, one in turned])) / self.known_mass("G")
        return u if self.linear.scalar == 0 else u + self.linear.apply(v)

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        own = self._vector([(one.U**2) @ one.mu @ (one.V**2).T for one in self.eigen]) / self.known_mass("G")
        return own + self.linear_diagonal()

    def has_own_form(self, weights: Array | None) -> bool:
        """Return whether M, L and D are multiples of the identity; D is, for weights None, and may not be for (P,)."""
        return weights is None and isinstance(self.mass, (int, float)) and self.linear.scalar is not None

    def own_form(self, weights: Array | None) -> Form:
        """Return the eigenbasis (2) of all layers; weights must be None, not (P,)."""
        xp, mass = array_namespace(self.theta), self.known_mass("G")
        mu = joined([one.mu for one in self.eigen])
        gamma = joined(self._turned(self._matrices(self.gradient))) * mass**0.5

        def lift(z: Array) -> Array:
            parts, start = [], 0
            for one in self.eigen:
                p, q = one.mu.shape
                parts.append(xp.reshape(z[start : start + p * q], (p, q)))
                start += p * q
            return self._vector(self._back(parts)) / mass**0.5

        mu = mu / mass + self.linear.scalar
        return Form(gamma, mu, lift, float(xp.finfo(mu.dtype).eps) * max(map(max, self.shapes)) * float(xp.max(mu)))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(p, q) of each layer."""
        return [one.mu.shape for one in self.eigen]


@dataclass(frozen=True)
class KFAC:
    """The Kronecker-factored curvature (1), or with `corrected` that of EKFAC. It needs a problem with outputs and layers.

    Parameters
    ----------
    fisher : Fisher
        Whose scores: those of all labels of the model ("true"), of drawn ones ("sampled") or of the data ("empirical").
    corrected : bool
        Whether the eigenvalues are (3), those of EKFAC.
    factored : float
        The damping lambda >= 0 of (4), 1 / time, as a part of the curvature; 0 for none. The exact damping (2) is
        `gradflow.curvature.FixedDamping`.

    Raises
    ------
    ValueError
        If `fisher` is no `gradflow.curvature.Fisher`, a centred one, or one without normalised weights, `corrected` is not
        True or False, or `factored` is negative, or given with `corrected`; at `init`, if the inner product does not have
        the same weight for all parameters, with `factored`.
    """

    fisher: Fisher = Fisher()
    corrected: bool = False
    factored: float = 0.0

    def __post_init__(self) -> None:
        instance("fisher", self.fisher, Fisher, "a gradflow.curvature.Fisher")
        instance("corrected", self.corrected, bool, "True or False")
        object.__setattr__(self, "factored", real_number("factored", self.factored, 0))
        if self.factored and self.corrected:
            raise ValueError("factored is the damping of the two factors; the eigenvalues of EKFAC have none")
        if not self.fisher.normalized:
            raise ValueError("fisher must have weights that are normalized: a product of two means has none of its own")
        if self.fisher.kind == "centred":
            raise ValueError("fisher must not be centred: the rows of (5) there are no Kronecker products")

    def at(self, problem: Problem, theta: Array) -> KroneckerModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the problem has no outputs or no layers, or an inner product of several weights with `factored`.
        """
        partition = problem_ability(problem, "parameter_blocks")
        if partition is None:
            raise ValueError(
                f"KFAC needs a problem with parameter_blocks, which {type(problem).__name__} does not have"
            )
        fisher = self.fisher.at(problem, theta)
        if self.factored and not isinstance(fisher.mass, (int, float)):
            raise ValueError("factored damping needs an inner product with one weight for all parameters")
        return KroneckerModel(fisher, partition("layer"), self.corrected, self.factored)
