r"""What a scheme may ask of an energy.

A gradient flow needs an inner product before it has a gradient:

.. math::
   \theta' = -\nabla_M E(\theta), \qquad (\nabla_M E(\theta), v)_M = \mathrm{d}E(\theta)[v] \ \text{ for all } v. \tag{1}

So the inner product ``(u, v)_M`` belongs to the problem, ``energy_and_gradient`` returns the gradient with respect to it,
and schemes know no other dot product. The energy splits into an energy part of `gradflow.energies.linear` and the rest,

.. math::
   E(\theta) = \tfrac12 (\theta, L\theta)_M + F(\theta), \tag{2}

where L is `linear` (`Zero` unless said otherwise) and the ``nonlinear_*`` methods speak of F. A least-squares problem is
scaled so that

.. math::
   F(\theta) = \tfrac12 |q(\theta)|^2 \quad \text{exactly}, \qquad q(\theta + d) = q + J d + O(|d|^2), \tag{3}

and the adjoint ``J^*`` is the one in the problem's inner product, ``(J^* u, d)_M = u . J d``.

To state an energy of your own: `gradflow.FunctionProblem` from functions, `gradflow.DenseLeastSquares` from a residual, or a
class with the methods of `Problem`, which `SplitEnergy` completes.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..namespace import Array
from .linear import LinearPart, Zero

__all__ = [
    "LeastSquares",
    "Linearization",
    "Problem",
    "linear_part",
    "nonlinear_energy",
    "nonlinear_energy_and_gradient",
]


@runtime_checkable
class Problem(Protocol):
    """An energy E: R^P -> R with its inner product. All values are dimensionless.

    A problem may also split its energy, equation (2): `linear`, ``nonlinear_energy`` and ``nonlinear_energy_and_gradient``.
    """

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array.

        Parameters
        ----------
        u, v : array (P,)
            Vectors.

        Returns
        -------
        0-d array
            Symmetric, bilinear, positive for u = v != 0.
        """

    def energy(self, theta: Array) -> Array:
        """Return E(theta), a 0-d array.

        Parameters
        ----------
        theta : array (P,)
            Parameters.

        Returns
        -------
        0-d array
            Of the dtype of theta.
        """

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E (0-d) and its gradient with respect to `inner`, shape (P,).

        Parameters
        ----------
        theta : array (P,)
            Parameters.

        Returns
        -------
        tuple of arrays
            E, 0-d, and the gradient g, (P,), with (g, v)_M the derivative of E along v; of the dtype of theta.
        """

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of that gradient along v, shape (P,).

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        v : array (P,)
            Direction.

        Returns
        -------
        array (P,)
            Of the dtype of theta.

        Raises
        ------
        ValueError
            If the problem has no second derivatives.
        """


class Linearization(Protocol):
    """The residual and its derivative at one theta, equation (3). Nothing here need store a matrix."""

    residual: Array
    """q(theta), shape (N,)."""

    def jvp(self, d: Array) -> Array:
        """Return J d, shape (N,), for d of shape (P,).

        Parameters
        ----------
        d : array (P,)
            Increment of theta.

        Returns
        -------
        array (N,)
            Of the dtype of the residual.
        """

    def vjp(self, u: Array) -> Array:
        """Return J^* u, shape (P,), for u of shape (N,): the adjoint of `jvp` in the problem's inner product.

        Parameters
        ----------
        u : array (N,)
            Vector in the space of residuals.

        Returns
        -------
        array (P,)
            With (vjp(u), d)_M = u . jvp(d).
        """

    def gram(self) -> Array:
        """Return J J^*, shape (N, N), symmetric positive semi-definite.

        Returns
        -------
        array (N, N)
            The products of jvp and vjp as a matrix.
        """

    def jacobian(self) -> Array:
        """Return J, shape (N, P).

        Returns
        -------
        array (N, P)
            The partial derivatives, with no inner product in them.
        """


@runtime_checkable
class LeastSquares(Problem, Protocol):
    """An energy with ``F = |q|^2 / 2``.

    A problem whose inner product is diagonal says so by `mass`, a number or (P,): ``(u, v)_M = sum(mass * u * v)``. Solvers
    that form a matrix from the explicit Jacobian need it.
    """

    def linearize(self, theta: Array) -> Linearization:
        """Return the linearisation at theta.

        Parameters
        ----------
        theta : array (P,)
            Parameters.

        Returns
        -------
        Linearization
            Of the residual.
        """


_NONE = Zero()


def linear_part(problem: Problem) -> LinearPart:
    """Return the energy part L of equation (2); zero for a problem that names none.

    Parameters
    ----------
    problem : Problem
        The energy.
    """
    return getattr(problem, "linear", _NONE)


def nonlinear_energy(problem: Problem, theta: Array) -> Array:
    """Return F(theta), 0-d; the whole energy for a problem that does not split it.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        Parameters.
    """
    return getattr(problem, "nonlinear_energy", problem.energy)(theta)


def nonlinear_energy_and_gradient(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """Return F (0-d) and its gradient (P,); those of the whole energy for a problem that does not split it.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        Parameters.
    """
    both: tuple[Array, Array] = getattr(problem, "nonlinear_energy_and_gradient", problem.energy_and_gradient)(theta)
    return both
