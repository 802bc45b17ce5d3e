r"""Preconditioners of the damped system ``(G + nu D) d = -g``.

A preconditioner is an approximation Pi of ``G + nu D`` whose inverse is cheap to apply. It is made once for a model, and
serves every nu.

* `Jacobi`: the diagonal, ``Pi = diag(G) + nu D``. An entry of diag(G) that is not positive counts as its absolute value. Where the
  diagonal would take P products, as that of a Hessian, it is the metric, ``Pi = D``.
* `NystromPreconditioner`: with ``S = (M D)^{1/2}``, and the Nyström approximation ``U diag(mu) U^T``, of rank k, of the
  positive semi-definite ``A = S^{-1} B S^{-1}``, mu in descending order,

  .. math:: \Pi^{-1} = S^{-1}\Bigl[(\mu_k + \nu)\, U\,\mathrm{diag}\Bigl(\frac1{\mu + \nu}\Bigr) U^T + I - U U^T\Bigr] S^{-1} M,
                                                                                                        \tag{1}

  up to a factor. For ``E = A - U diag(mu) U^T``, which is positive semi-definite, the condition number of the
  preconditioned system is at most

  .. math:: \kappa \le \frac{\mu_k + \nu + |E|}{\nu}.                                                    \tag{2}

  With ``k = 2 ceil(1.5 d) + 1`` Gaussian vectors, for the effective dimension ``d = tr A (A + nu I)^{-1}``, its mean is below 28,
  whatever P is.

Source: Frangella, Tropp & Udell, SIAM J. Matrix Anal. Appl. 44 (2023) 718, equation (5.3) for (1), Proposition 5.3
for (2), and Theorem 5.1 for the rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeAlias

from ..namespace import Array, array_namespace
from ..refusals import whole_number
from .low_rank import nystrom
from .model import Model

__all__ = ["Inverse", "Jacobi", "NystromPreconditioner", "Preconditioner"]

Inverse: TypeAlias = Callable[[Array, float], Array]
"""Maps v, (P,), and nu to ``Pi^{-1} v``, (P,), self-adjoint and positive in the inner product."""


class Preconditioner(Protocol):
    """A choice of Pi; implementations are frozen dataclasses."""

    def at(self, model: Model, weights: Array | None) -> Inverse:
        """Return the inverse of Pi.

        Parameters
        ----------
        model : Model
            The model.
        weights : array (P,) or None
            Diagonal of D, entries > 0; None for the identity.

        Raises
        ------
        ValueError
            If the model lacks what the preconditioner needs.
        """


@dataclass(frozen=True)
class Jacobi:
    """The diagonal of ``G + nu D``, or D where the diagonal of G would take P products."""

    def at(self, model: Model, weights: Array | None) -> Inverse:
        """Return the inverse of Pi."""
        xp, D = array_namespace(model.theta), 1.0 if weights is None else weights
        if not model.has_diagonal:
            return lambda v, nu: v / D
        diagonal = xp.abs(model.diagonal())

        def inverse(v: Array, nu: float) -> Array:
            Pi = diagonal + nu * D
            return v / xp.where(Pi > 0, Pi, 1 + 0 * Pi)

        return inverse


@dataclass(frozen=True)
class NystromPreconditioner:
    """The preconditioner (1), from `rank` products with random vectors.

    Parameters
    ----------
    rank : int
        The number k >= 1 of random vectors; more than P is P.
    seed : int
        Of the random vectors, >= 0. Every step of a run has the same ones.

    Raises
    ------
    ValueError
        If `rank` is below 1 or `seed` is negative.
    """

    rank: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", whole_number("rank", self.rank, 1))
        object.__setattr__(self, "seed", whole_number("seed", self.seed))

    def at(self, model: Model, weights: Array | None) -> Inverse:
        """Return the inverse of Pi.

        Raises
        ------
        ValueError
            If the curvature is not known to be positive semi-definite, or the inner product is not diagonal.
        """
        if not model.definite:
            raise ValueError(
                f"NystromPreconditioner needs a curvature that is known to be positive semi-definite, got {type(model).__name__}"
            )
        U, mu = nystrom(model, self.rank, self.seed, weights)
        xp, D = array_namespace(mu), 1.0 if weights is None else weights
        least, largest, W = (
            float(xp.min(mu)),
            float(xp.max(mu)),
            (U.T * D * model.known_mass("a Nyström preconditioner")).T,
        )

        def inverse(v: Array, nu: float) -> Array:
            u = v / D
            if not (least + nu > 0 and largest < inf):  # NaN and infinity: the metric alone
                return u
            c = W.T @ u
            return u + U @ (((least + nu) / (mu + nu) - 1) * c)  # (1)

        return inverse
