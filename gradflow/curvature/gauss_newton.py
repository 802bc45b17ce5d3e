r"""The Gauss-Newton curvature of a least-squares problem.

For ``E = (theta, L theta)_M / 2 + |q|^2 / 2`` and the Jacobian J of q, with its adjoint ``J^*`` in the inner product,

.. math:: G = J^* J + L, \qquad g = J^* q + L\theta.                                                    \tag{1}

The Hessian has the additional term ``sum_i q_i (q_i)''``, which vanishes where the residual is zero or affine. A root is

.. math:: R = \begin{pmatrix} J \\ (M L)^{1/2} \end{pmatrix}, \qquad
          r = \begin{pmatrix} q \\ (M L)^{1/2}\theta \end{pmatrix}                                      \tag{2}

for a diagonal L. A sparse J is used as it is, except in R and in the matrix ``J^T J``, which are dense.

Source: Nocedal & Wright, Numerical Optimization (2006), section 10.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..energies.linear import Diagonal
from ..energies.protocols import Linearization, Problem, normal_diagonal, problem_ability, sparse_jacobian
from ..energies.sparse import as_dense, column_squares, normal_matrix
from ..namespace import Array, array_namespace, copied
from ..refusals import real_array
from .model import Model, Root

__all__ = ["GaussNewton", "GaussNewtonModel"]


class GaussNewtonModel(Model):
    """The model with the curvature (1).

    Parameters
    ----------
    problem : LeastSquares
        The energy.
    theta : array (P,)
        Where the model is made.
    """

    has_diagonal = True
    definite = True
    in_range = True
    residual: Array
    """The residual q, (N,)."""

    def __init__(self, problem: Problem, theta: Array) -> None:
        super().__init__(problem, theta)
        linearize = problem_ability(problem, "linearize_later") or problem_ability(problem, "linearize")
        self.at: Linearization = linearize(theta)
        residual = real_array("the residual", self.at.residual, {"N": None}, self.dtype, of="theta")
        self.residual = copied(residual)  # a problem of one's own may reuse the array

    @cached_property
    def _linear_term(self) -> Array | None:
        """L theta, (P,); None for zero."""
        return None if self.linear.scalar == 0 else self.linear.apply(self.theta)

    @cached_property
    def energy(self) -> Array:
        """E(theta), 0-d."""
        F = self.residual @ self.residual / 2
        return F if self._linear_term is None else F + self.problem.inner(self.theta, self._linear_term) / 2

    @cached_property
    def gradient(self) -> Array:
        """The gradient g of (1), (P,)."""
        g = real_array("vjp(residual)", self.at.vjp(self.residual), {"P": self.shape[0]}, self.dtype, of="theta")
        return g if self._linear_term is None else g + self._linear_term

    def apply(self, v: Array) -> Array:
        """Return G v of (1), (P,).

        Parameters
        ----------
        v : array (P,)
            A direction.
        """
        u = self.at.vjp(self.at.jvp(v))
        return u if self._linear_term is None else u + self.linear.apply(v)

    @cached_property
    def jacobian(self) -> Array:
        """J, (N, P): SciPy's sparse array if the problem has it so."""
        sparse = sparse_jacobian(self.at)
        return self.at.jacobian() if sparse is None else sparse

    def matrix(self) -> Array:
        """Return B = J^T J + M L, (P, P), symmetric."""
        J, xp = self.jacobian, array_namespace(self.theta)
        B = as_dense(J.T @ J)
        if self._linear_term is None:
            return B
        L = self.linear.apply(xp.eye(J.shape[1], dtype=J.dtype)) * self.known_mass("a matrix of the curvature")
        return B + (L + L.T) / 2

    def sparse_matrix(self) -> Any:
        """Return B of a sparse Jacobian and a diagonal L, a sparse matrix (P, P); made once."""
        if "sparse" not in self.forms:
            linear: Array | float = 0.0
            if self._linear_diagonal is not None and self._linear_term is not None:
                linear = self._linear_diagonal * self.known_mass("a matrix of the curvature")
            self.forms["sparse"] = normal_matrix(self.jacobian, linear)
        return self.forms["sparse"]

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        squares = normal_diagonal(self.at)
        squares = column_squares(self.jacobian) if squares is None else squares
        return squares / self.known_mass("the diagonal of the curvature") + self.linear_diagonal()

    @property
    def _linear_diagonal(self) -> Array | float | None:
        """L, if it is a number or diagonal."""
        return self.linear.diagonal if isinstance(self.linear, Diagonal) else self.linear.scalar

    @property
    def rows(self) -> int | None:  # type: ignore[override]
        """N; None if L is not diagonal."""
        return None if self._linear_diagonal is None else self.residual.shape[0]

    @property
    def has_gram(self) -> bool:
        """Whether L = 0."""
        return self.linear.scalar == 0

    def gram(self) -> Array:
        """Return J J^*, (N, N)."""
        return self.at.gram()

    def from_rows(self, u: Array) -> Array:
        """Return J^* u, (P,)."""
        return self.at.vjp(u)

    def root(self) -> Root | None:
        """Return (2); None if L is not diagonal."""
        L = self._linear_diagonal
        if L is None:
            return None
        J, xp = self.at.jacobian(), array_namespace(self.theta)
        if self._linear_term is None:
            return Root(J, self.residual)
        s = xp.sqrt(xp.ones(J.shape[1], dtype=J.dtype) * L * self.known_mass("a root of the curvature"))
        return Root(
            xp.concat([J, s[:, None] * xp.eye(J.shape[1], dtype=J.dtype)]), xp.concat([self.residual, s * self.theta])
        )


@dataclass(frozen=True)
class GaussNewton:
    """The Gauss-Newton curvature (1). It needs a problem with ``linearize``."""

    def at(self, problem: Problem, theta: Array) -> GaussNewtonModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the problem is not one of least squares.
        """
        if problem_ability(problem, "linearize") is None:
            raise ValueError(
                f"GaussNewton needs a least-squares problem, got {type(problem).__name__} without linearize; "
                "GeneralizedGaussNewton takes other losses"
            )
        return GaussNewtonModel(problem, theta)
