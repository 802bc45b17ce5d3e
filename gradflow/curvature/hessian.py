r"""The exact Hessian as a curvature.

``G v`` is the derivative of the gradient along v, the problem's ``hvp``: the error of the model is ``O(|d|^3)``, with any
other curvature ``O(|d|^2)``. G need not be positive semi-definite.

Source: Pearlmutter, Neural Comput. 6 (1994) 147.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, read_only
from ..refusals import real_array
from .model import Model

__all__ = ["Hessian", "HessianModel"]


class HessianModel(Model):
    """The model with the Hessian, from the problem's ``energy_and_gradient`` and ``hvp``."""

    def error(self, rho: float) -> float:
        """Return a bound of ``|G v - H v|_M`` for a vector v of length 1: 0.

        Parameters
        ----------
        rho : float
            The Lipschitz constant of the Hessian, on which bounds of other curvatures depend.
        """
        return 0.0

    def apply(self, v: Array) -> Array:
        """Return the derivative of the gradient along v, (P,).

        Parameters
        ----------
        v : array (P,)
            A direction.
        """
        H_v = self.problem.hvp(read_only(self.theta), read_only(v))
        return real_array("hvp(theta, v)", H_v, {"P": self.shape[0]}, self.dtype, of="theta")

    def blocks(self, groups: list[Array]) -> list[Array]:
        """Return diagonal blocks of M H, for each group of shape (b, s, s): a product for each column, and no (P, P) array.

        Parameters
        ----------
        groups : list of int arrays
            Each of shape (b, s): the indices of b blocks of size s.
        """
        xp, mass, dense = array_namespace(self.theta), self.known_mass("blocks of the curvature"), list[Array]()
        indices = xp.arange(self.shape[0])
        for group in groups:
            rows = []
            for i in range(group.shape[0]):
                columns = [xp.astype(indices == group[i, j], self.dtype) for j in range(group.shape[1])]
                rows.append(xp.stack([xp.take(mass * self.apply(e), group[i, :]) for e in columns]))
            B = xp.stack(rows)
            dense.append((B + xp.matrix_transpose(B)) / 2)
        return dense


@dataclass(frozen=True)
class Hessian:
    """The exact Hessian. It needs a problem with ``hvp``."""

    def at(self, problem: Problem, theta: Array) -> HessianModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the problem has no second derivatives.
        """
        if not problem_ability(problem, "has_hvp") or not callable(getattr(problem, "hvp", None)):
            raise ValueError(
                f"Hessian needs a problem with second derivatives, and this {type(problem).__name__} was given no hvp: "
                "FunctionProblem(..., hvp=...) has one, and DenseLeastSquares finds its own"
            )
        return HessianModel(problem, theta)
