r"""Energies with a minimum at the origin, on which a scheme is linearised: in numbers, and in symbols.

.. math:: E(\theta) = \tfrac12 \sum_i \lambda_i \theta_i^2 + e.                                          \tag{1}

The energy e at the minimum matters to schemes with an auxiliary variable. `IEQ` and Levenberg-Marquardt depend on the residual
q of ``E = |q|^2 / 2`` as well, and (1) is the case of a linear q. `CurvedResidual` is curved.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from ...energies.dense import DenseLinearization
from ...energies.linear import LinearPart
from ...namespace import Array, array_namespace
from ...refusals import instance, real_number

__all__ = ["CurvedResidual", "Quadratic"]

LEAST_CURVATURE, LARGEST_CURVATURE = 1e-80, 1e80
"""Bounds of curvatures: the squares of the gradients of these small numbers neither vanish nor overflow."""


class Quadratic:
    """The energy (1), a least-squares problem, for numbers and for symbols.

    Parameters
    ----------
    curvature : float or sequence of float
        The eigenvalues lambda_i, 1 / time, from 1e-80 to 1e80.
    offset : float
        The energy e at the minimum, >= 0.

    Raises
    ------
    ValueError
        If an eigenvalue is not in this range, or the offset negative.

    Examples
    --------
    >>> import numpy as np
    >>> from gradflow.backward_error.linear_stability import Quadratic
    >>> float(Quadratic([1.0, 4.0], offset=0.5).energy(np.array([1.0, 1.0])))
    3.0
    """

    mass = 1.0
    """The inner product is the dot product."""

    def __init__(self, curvature: Any = 1.0, offset: Any = 0.0) -> None:
        values = curvature if isinstance(curvature, (Sequence, np.ndarray)) else [curvature]
        if not len(values):
            raise ValueError("curvature must have an eigenvalue, got none")
        symbols = any(hasattr(x, "free_symbols") for x in (*values, offset))
        if not symbols:
            values = [real_number("curvature", x, LEAST_CURVATURE, LARGEST_CURVATURE) for x in values]
            offset = real_number("offset", offset, 0)
        else:
            values, offset = [rational(x) for x in values], rational(offset)
        self.curvature = np.array(values, dtype=object if symbols else np.float64)
        self.offset = offset
        self.largest: Any = max(values) if not symbols else values[0]

    def __repr__(self) -> str:
        values = self.curvature.tolist()
        return (
            f"Quadratic({values[0] if len(values) == 1 else values}{f', offset={self.offset}' if self.offset else ''})"
        )

    def exact(self) -> Any:
        """Return the same energy with rational numbers: the decimal fractions that print as those given do."""
        values = [rational(x) for x in self.curvature]
        if all(x.is_number for x in values):
            values.sort(reverse=True)
        return Quadratic(values, rational(self.offset))

    def inner(self, u: Array, v: Array) -> Array:
        """Return the dot product, 0-d, of u and v, (P,)."""
        return u @ v

    def energy(self, theta: Array) -> Array:
        """Return E, 0-d, at theta, (P,)."""
        return theta @ (self.curvature * theta) / 2 + self.offset

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and its gradient, (P,), at theta, (P,)."""
        return self.energy(theta), self.curvature * theta

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the Hessian times v, (P,), at theta, (P,)."""
        return self.curvature * v

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return the residual ``(lambda_i^(1/2) theta_i, (2 e)^(1/2))``, (P + 1,), and its Jacobian at theta, (P,)."""
        xp = array_namespace(theta)
        roots, zero = xp.sqrt(self.curvature + 0 * theta), 0 * theta[:1]
        residual = np.concatenate([roots * theta, xp.sqrt(2 * self.offset + zero)])
        return _linearization(residual, np.concatenate([np.diag(roots), 0 * roots[None]]))


class _ExactLinearization(DenseLinearization):
    """A linearisation of symbols, with the exact solution of damped systems (`gradflow.energies.protocols.Solving`)."""

    def solve_damped(self, q: Array, h: Array | None, A: LinearPart, dt: Any) -> Array:
        import sympy as sp

        J = self.jacobian()
        one = np.array(sp.eye(J.shape[1]).tolist(), dtype=object)
        system = one / dt + np.stack([A.apply(row) for row in one]) + J.T @ J
        right = -(J.T @ q) if h is None else -(J.T @ q) - h
        solution = sp.Matrix(system.tolist()).LUsolve(sp.Matrix(right.tolist()))
        return np.array([sp.cancel(sp.together(x)) for x in solution], dtype=object)


def _linearization(residual: Array, J: Array) -> DenseLinearization:
    return (_ExactLinearization if residual.dtype == object else DenseLinearization)(residual, J)


class CurvedResidual(Quadratic):
    r"""The energy ``|q|^2 / 2`` of a residual that is curved where it does not vanish, in one dimension.

    .. math:: q(\theta) = \bigl(c + \tfrac{\kappa}{2}\theta^2,\; \mu^{1/2}\theta\bigr), \qquad \lambda = \mu + c\kappa, \quad e = \tfrac12 c^2.  \tag{5}

    At the minimum the Gauss-Newton matrix is mu, which is not the Hessian lambda.

    Parameters
    ----------
    c : float
        The residual at the minimum.
    kappa : float
        Its second derivative.
    mu : float
        The Gauss-Newton matrix at the minimum, 1 / time, > 0.

    Raises
    ------
    ValueError
        If a number is not finite, mu is not positive or ``mu + c kappa`` is not from 1e-80 to 1e80.

    Examples
    --------
    Restarted IEQ, which is Levenberg-Marquardt with damping 1 / dt, is not stable for every dt:

    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import CurvedResidual, stability
    >>> found = stability(gf.Restart(gf.IEQ()), CurvedResidual(3.0, 1.0, 1.0))
    >>> round(found.threshold / 4, 12)  # dt, since lambda = 4
    1.0
    """

    def __init__(self, c: Any, kappa: Any, mu: Any) -> None:
        for name, value in (("c", c), ("kappa", kappa), ("mu", mu)):
            if not hasattr(value, "free_symbols"):
                real_number(name, value, 0 if name == "mu" else -inf, open_low=name == "mu")
        hessian = mu + c * kappa
        if not hasattr(hessian, "free_symbols"):
            real_number("mu + c kappa", hessian, LEAST_CURVATURE, LARGEST_CURVATURE)
        super().__init__(hessian, c**2 / 2)
        self.c, self.kappa, self.mu = c, kappa, mu

    def __repr__(self) -> str:
        return f"CurvedResidual({self.c}, {self.kappa}, {self.mu})"

    def exact(self) -> Any:
        """Return the same energy with rational numbers: the decimal fractions that print as those given do."""
        return CurvedResidual(*(rational(x) for x in (self.c, self.kappa, self.mu)))

    def energy(self, theta: Array) -> Array:
        """Return E, 0-d, at theta, (1,)."""
        q = self.linearize(theta).residual
        return q @ q / 2

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and its gradient, (1,), at theta, (1,)."""
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the Hessian times v, (1,), at theta, (1,)."""
        return (self.mu + self.kappa * (self.c + 1.5 * self.kappa * theta**2)) * v

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return the residual, (2,), and its Jacobian at theta, (1,)."""
        root = array_namespace(theta).sqrt(self.mu + 0 * theta)
        q = np.concatenate([self.c + self.kappa * theta**2 / 2, root * theta])
        return _linearization(q, np.stack([self.kappa * theta, root]))


def energy_of(energy: Quadratic | None) -> Quadratic:
    given: Quadratic = Quadratic() if energy is None else instance("energy", energy, Quadratic, "a Quadratic")
    return given


def rational(e: Any) -> Any:
    import sympy as sp

    e = sp.sympify(e)
    return e.xreplace({x: sp.Rational(str(x)) for x in e.atoms(sp.Float)})
