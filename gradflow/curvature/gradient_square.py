r"""The square of the gradient as a curvature.

.. math:: G = g\,g^* + L, \qquad g^* v = (g, v)_M,                                                       \tag{1}

with the gradient g, that of the batch if there is one, and the energy part L. It is what the averages of methods of the
kind of Adam are made of: the diagonal of ``g g^*`` has the entries ``m_j g_j^2`` for the diagonal ``m_j`` of M. Its moving
average is the full matrix of second moments, and no Fisher matrix: for batches of B samples, drawn with replacement, the
mean of ``g g^*`` is ``(F + (B - 1) h h^*) / B`` with the empirical matrix F and the mean h of g.

Source: Duchi, Hazan & Singer, J. Mach. Learn. Res. 12 (2011) 2121; Agarwal et al., ICML (2019), for the full matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.linear import Diagonal
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from .model import Model, Root

__all__ = ["GradientSquare", "GradientSquareModel"]


class GradientSquareModel(Model):
    """A model with the curvature (1), from the problem's ``energy_and_gradient``."""

    has_diagonal = True
    definite = True

    def apply(self, v: Array) -> Array:
        """Return G v of (1), (P,)."""
        u = self.problem.inner(self.gradient, v) * self.gradient  # (1)
        return u if self.linear.scalar == 0 else u + self.linear.apply(v)

    @property
    def rows(self) -> int | None:  # type: ignore[override]
        """1; None if L is neither a number nor diagonal."""
        return 1 if self.linear.scalar is not None or isinstance(self.linear, Diagonal) else None

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,): ``m g^2`` and that of L."""
        own = self.known_mass("the diagonal of the curvature") * self.gradient**2
        return own + self.linear_diagonal()

    def root(self) -> Root | None:
        """Return the row M g, and those of L below; None if L is neither a number nor diagonal."""
        if self.rows is None:
            return None
        xp, mass = array_namespace(self.theta), self.known_mass("a root of the curvature")
        R = (mass * self.gradient)[None, :]
        if self.linear.scalar == 0:
            return Root(R, None)
        L = self.linear.diagonal if isinstance(self.linear, Diagonal) else self.linear.scalar
        s = xp.sqrt(xp.ones_like(self.theta) * L * mass)
        return Root(xp.concat([R, s[:, None] * xp.eye(self.shape[0], dtype=self.dtype)]), None)


@dataclass(frozen=True)
class GradientSquare:
    """The curvature (1). It has rank one: it is meant for averages, such as `gradflow.curvature.MovingAverage`."""

    def at(self, problem: Problem, theta: Array) -> GradientSquareModel:
        """Return the model at theta."""
        return GradientSquareModel(problem, theta)
