r"""What a scheme may ask of an energy, and two ways to state your own.

A gradient flow needs an inner product before it has a gradient:

.. math::
   \theta' = -\nabla_M E(\theta), \qquad (\nabla_M E(\theta), v)_M = \mathrm{d}E(\theta)[v] \ \text{ for all } v. \tag{1}

So the inner product ``(u, v)_M`` belongs to the problem, ``energy_and_gradient`` returns the gradient with respect to it,
and schemes know no other dot product. The energy splits into an energy part of `gradflow.linear` and the rest,

.. math::
   E(\theta) = \tfrac12 (\theta, L\theta)_M + F(\theta), \tag{2}

where L is `linear` (`Zero` unless said otherwise) and the ``nonlinear_*`` methods speak of F. A least-squares problem is
scaled so that

.. math::
   F(\theta) = \tfrac12 |q(\theta)|^2 \quad \text{exactly}, \qquad q(\theta + d) = q + J d + O(|d|^2), \tag{3}

and the adjoint ``J^*`` is the one in the problem's inner product, ``(J^* u, d)_M = u . J d``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from .description import describe
from .linear import LinearPart, Zero, as_linear_part
from .namespace import Array, array_namespace, is_number

__all__ = [
    "DenseLeastSquares",
    "DenseLinearization",
    "FunctionProblem",
    "LeastSquares",
    "Linearization",
    "Problem",
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


_NONE = Zero()


class SplitEnergy:
    """Equation (2) for classes that know `linear`, `inner` and the ``nonlinear_*`` methods."""

    linear: LinearPart = Zero()

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        raise TypeError("a problem must define its inner product")

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array."""
        raise TypeError("a problem must define nonlinear_energy")

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient, shape (P,)."""
        raise TypeError("a problem must define nonlinear_energy_and_gradient")

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,)."""
        raise TypeError("a problem must define nonlinear_hvp")

    def energy(self, theta: Array) -> Array:
        """Return E(theta), a 0-d array."""
        F = self.nonlinear_energy(theta)
        if self.linear.scalar == 0:
            return F
        return F + self.inner(theta, self.linear.apply(theta)) / 2

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E (0-d) and its gradient with respect to `inner`, shape (P,)."""
        F, g = self.nonlinear_energy_and_gradient(theta)
        if self.linear.scalar == 0:
            return F, g
        L_theta = self.linear.apply(theta)
        return F + self.inner(theta, L_theta) / 2, g + L_theta

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of E along v, shape (P,)."""
        H_v = self.nonlinear_hvp(theta, v)
        return H_v if self.linear.scalar == 0 else H_v + self.linear.apply(v)


class FunctionProblem(SplitEnergy):
    """Your own energy, from functions of theta.

    Parameters
    ----------
    energy : callable
        Maps theta (P,) to F(theta), 0-d; the whole energy if `linear` is left out.
    gradient : callable
        Maps theta (P,) to the gradient of F with respect to `inner`, (P,).
    hvp : callable, optional
        Maps (theta, v) to the derivative of that gradient along v, (P,). Left out, only schemes that need it will refuse.
    inner : callable, optional
        Maps (u, v) to (u, v)_M, 0-d. The Euclidean dot product when left out.
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in `inner`.
    mass : float or array (P,), optional
        Instead of `inner`, a diagonal inner product ``sum(mass * u * v)``, entries > 0.

    Raises
    ------
    ValueError
        If an argument is not callable, or both `inner` and `mass` are given.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> quartic = gf.FunctionProblem(lambda t: (t @ t) ** 2 / 4, lambda t: (t @ t) * t)
    >>> state = gf.SAV(C=1.0).init(quartic, np.array([1.0, 2.0]))
    >>> float(state.aux)  # sqrt(25/4 + 1)
    2.692582403567252
    """

    def __init__(
        self,
        energy: Callable[[Array], Array],
        gradient: Callable[[Array], Array],
        hvp: Callable[[Array, Array], Array] | None = None,
        inner: Callable[[Array, Array], Array] | None = None,
        *,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
    ) -> None:
        for name, f in {"energy": energy, "gradient": gradient}.items():
            if not callable(f):
                raise ValueError(f"{name} must be a function of theta, got {f!r}")
        for name, g in {"hvp": hvp, "inner": inner}.items():
            if g is not None and not callable(g):
                raise ValueError(f"{name} must be a function of two vectors or None, got {g!r}")
        if inner is not None and mass is not None:
            raise ValueError("give inner or mass, not both")
        self._energy, self._gradient, self._hvp, self._inner = energy, gradient, hvp, inner
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array | None = None if inner is not None else _checked_mass(mass)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        return self._inner(u, v) if self._inner is not None else weighted_dot(self.mass, u, v)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array."""
        F = self._energy(theta)
        if getattr(F, "shape", ()) != ():
            raise ValueError(f"energy must return a number or a 0-d array, got shape {F.shape}")
        if getattr(F, "dtype", None) == theta.dtype or theta.dtype == object:
            return F
        return array_namespace(theta).asarray(F, dtype=theta.dtype)  # a Python or wider number must not promote float32

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient, shape (P,)."""
        g = self._gradient(theta)
        if getattr(g, "shape", None) != theta.shape:
            raise ValueError(f"gradient must return shape {theta.shape}, got {getattr(g, 'shape', g)!r}")
        _same_dtype("gradient", g, theta)
        return self.nonlinear_energy(theta), g

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,)."""
        if self._hvp is None:
            raise ValueError("this problem was given no hvp: pass FunctionProblem(..., hvp=...)")
        return self._hvp(theta, v)

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {
            "problem": "FunctionProblem",
            "energy": describe(self._energy),
            "inner": describe(self._inner),
            "mass": describe(self.mass),
            "linear": describe(self.linear),
        }


class DenseLinearization:
    """A `Linearization` from an explicit Jacobian and a diagonal inner product.

    Parameters
    ----------
    residual : array (N,)
        The residual q.
    J : array (N, P)
        Partial derivatives of q.
    mass : float or array (P,)
        Diagonal of the inner product.
    """

    def __init__(self, residual: Array, J: Array, mass: Array | float = 1.0) -> None:
        self.residual, self._J, self._mass = residual, J, mass

    def jvp(self, d: Array) -> Array:
        """Return J d, shape (N,)."""
        return self._J @ d

    def vjp(self, u: Array) -> Array:
        """Return J^* u = M^{-1} J^T u, shape (P,)."""
        return (self._J.T @ u) / self._mass

    def gram(self) -> Array:
        """Return J M^{-1} J^T, shape (N, N); symmetric to the last bit."""
        if isinstance(self._mass, (int, float)):
            return self._J @ self._J.T / self._mass
        xp = array_namespace(self._J)
        B = self._J / xp.sqrt(self._mass)
        return B @ B.T

    def jacobian(self) -> Array:
        """Return J, shape (N, P)."""
        return self._J


class DenseLeastSquares(SplitEnergy):
    """Your own residual: ``F(theta) = |residual(theta)|^2 / 2``.

    Parameters
    ----------
    residual : callable
        Maps theta (P,) to q, shape (N,).
    jacobian : callable
        Maps theta (P,) to J, shape (N, P), the partial derivatives (no inner product in them).
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in the inner product.
    mass : float or array (P,), optional
        Diagonal of the inner product, entries > 0; 1 when left out.

    Raises
    ------
    ValueError
        If an argument is not callable; later, if the residual or the Jacobian has the wrong shape.
    """

    def __init__(
        self,
        residual: Callable[[Array], Array],
        jacobian: Callable[[Array], Array],
        *,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
    ) -> None:
        for name, f in {"residual": residual, "jacobian": jacobian}.items():
            if not callable(f):
                raise ValueError(f"{name} must be a function of theta, got {f!r}")
        self._residual, self._jacobian = residual, jacobian
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array = _checked_mass(mass)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        return weighted_dot(self.mass, u, v)

    def _checked_residual(self, theta: Array) -> Array:
        q = self._residual(theta)
        if getattr(q, "ndim", None) != 1:
            raise ValueError(f"residual must return shape (N,), got {getattr(q, 'shape', q)!r}")
        _same_dtype("residual", q, theta)
        return q

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return residual and Jacobian at theta."""
        q, J = self._checked_residual(theta), self._jacobian(theta)
        if getattr(J, "shape", None) != (q.shape[0], theta.shape[0]):
            wanted = (q.shape[0], theta.shape[0])
            raise ValueError(f"jacobian must return shape (N, P) = {wanted}, got {getattr(J, 'shape', J)!r}")
        _same_dtype("jacobian", J, theta)
        return DenseLinearization(q, J, self.mass)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array."""
        q = self._checked_residual(theta)
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient J^* q, shape (P,)."""
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Refuse: second derivatives of the residual are not known here."""
        raise ValueError("DenseLeastSquares knows no second derivatives: use a scheme that needs no hvp")

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {
            "problem": "DenseLeastSquares",
            "residual": describe(self._residual),
            "mass": describe(self.mass),
            "linear": describe(self.linear),
        }


def weighted_dot(mass: Array | float | None, u: Array, v: Array) -> Array:
    """Return sum(mass * u * v), a 0-d array; BLAS does it when `mass` is a number.

    Parameters
    ----------
    mass : float, array (P,) or None
        Diagonal of the inner product; None for 1.
    u, v : array (P,)
        Vectors.
    """
    if mass is None or isinstance(mass, (int, float)):
        dot = u @ v
        return dot if mass is None or mass == 1 else mass * dot
    return (mass * u) @ v


def _same_dtype(name: str, value: Array, theta: Array) -> None:
    """Refuse what would silently promote a float32 run to float64."""
    if value.dtype != theta.dtype:
        raise ValueError(f"{name} must return theta's dtype {theta.dtype}, got {value.dtype}")


def _checked_mass(mass: Any) -> Array | float:
    if mass is None:
        return 1.0
    if is_number(mass):
        if not 0 < mass < float("inf"):
            raise ValueError(f"mass must be positive and finite, got {mass!r}")
        return float(mass)
    if not hasattr(mass, "ndim"):
        raise ValueError(f"mass must be a number or an array (P,), got {type(mass).__name__}")
    xp = array_namespace(mass)
    if mass.ndim != 1 or (mass.dtype != object and not bool(xp.all(xp.isfinite(mass)) & xp.all(mass > 0))):
        raise ValueError(f"mass must be a number or an array (P,) with entries > 0, got shape {mass.shape}")
    return mass
