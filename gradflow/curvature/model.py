r"""The quadratic model of an energy, and the curvatures that give it one.

Near theta, second-order methods replace the energy by

.. math:: m(d) = E(\theta) + (g, d)_M + \tfrac12 (d, G d)_M,                                            \tag{1}

with the gradient g and an operator G that is self-adjoint in the problem's inner product: the Hessian, or an
approximation of it. A `Curvature` chooses G; its `at` returns the model at one theta.

In coordinates, ``(u, G v)_M = u^T B v`` with the symmetric matrix ``B = M G``, M the diagonal of the inner product. A
model with ``G = R^* R``, where R maps to K residuals r with ``g = R^* r``, has a *root*. Its curvature is positive
semi-definite, its solvers need no square of the condition number, and they work on the side of the K residuals where K
is smaller than P.

The metric. The length of a step is ``|d|_D^2 = (d, D d)_M`` with a positive diagonal operator D; `weights` is its
diagonal, None for the identity. `gradflow.curvature.metric` has the usual ones.

A model is also a linear operator: ``model @ v`` applies G, and SciPy's functions take the model as it is. G is self-adjoint
in the inner product, and a symmetric matrix only if M is a number: functions for symmetric matrices, ``eigsh`` and ``cg``,
want `Model.symmetric`, which has the eigenvalues of G.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..description import found
from ..energies.linear import Diagonal, LinearPart
from ..energies.protocols import Problem, linear_part, problem_ability
from ..namespace import Array, array_namespace, copied, read_only
from ..refusals import real_array, real_scalar

__all__ = [
    "Approximation",
    "Curvature",
    "Model",
    "Remembering",
    "Root",
    "curvature_in",
    "decrease",
    "memory_of",
    "picked",
]


class Root(NamedTuple):
    """A root of the curvature in coordinates: ``B = R^T R``, and ``M g = R^T r`` where a residual r is known."""

    R: Array
    """(K, P)."""
    r: Array | None
    """(K,); None if g need not lie in the range of G."""


class Model:
    """A model (1) at one theta. A derived class defines `apply`.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        Where the model is made.
    """

    definite = False
    """Whether G is positive semi-definite for certain."""
    in_range = False
    """Whether g lies in the range of G for certain, to rounding: the model then has a minimum."""
    rows: int | None = None
    """The number of rows of a root that `root` can return, without those of the energy part; None without a root."""
    residual: Array | None = None
    """The residual q, (N,), of a problem with ``F = |q|^2 / 2``."""
    has_diagonal = False
    """Whether `diagonal` takes less than P products with G."""
    confined = False
    """Whether steps are confined to a subspace, which only `own_form` knows."""

    def __init__(self, problem: Problem, theta: Array) -> None:
        self.problem, self.theta = problem, theta
        self.forms: dict[Any, Any] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.theta.shape[0], self.theta.shape[0]

    @property
    def dtype(self) -> Any:
        """The dtype of theta."""
        return self.theta.dtype

    @cached_property
    def mass(self) -> Array | float | None:
        """The diagonal M of the inner product, a number or (P,); None if it is not diagonal or not known."""
        mass: Array | float | None = problem_ability(self.problem, "mass")
        scalar = mass is None or not getattr(mass, "shape", ())
        return mass if scalar else real_array("mass", mass, {"P": self.shape[0]}, self.dtype, of="theta")

    @cached_property
    def linear(self) -> LinearPart:
        """The energy part L of the problem."""
        return linear_part(self.problem)

    @cached_property
    def _energy_and_gradient(self) -> tuple[Array, Array]:
        energy, gradient = self.problem.energy_and_gradient(read_only(self.theta))
        shape = {"P": self.shape[0]}
        # a problem of one's own may reuse its arrays
        return 0 + energy, copied(real_array("the gradient", gradient, shape, self.dtype, of="theta"))

    @property
    def energy(self) -> Array:
        """E(theta), 0-d."""
        return self._energy_and_gradient[0]

    @property
    def gradient(self) -> Array:
        """The gradient g, (P,), in the problem's inner product."""
        return self._energy_and_gradient[1]

    def apply(self, v: Array) -> Array:
        """Return G v, (P,). The base class raises NotImplementedError.

        Parameters
        ----------
        v : array (P,)
            A direction.
        """
        raise NotImplementedError(f"{type(self).__name__} must define apply")

    def matvec(self, v: Array) -> Array:
        """Return G v, of the shape of v, as SciPy's operators do.

        Parameters
        ----------
        v : array (P,) or (P, 1)
            A direction.
        """
        return self.apply(v) if v.ndim == 1 else self.apply(v[:, 0])[:, None]

    def __matmul__(self, v: Array) -> Array:
        """Return G v, of the shape of v.

        Parameters
        ----------
        v : array (P,) or (P, n)
            A direction, or n of them as columns.
        """
        if v.ndim == 1:
            return self.apply(v)
        xp = array_namespace(v)
        return xp.stack([copied(self.apply(v[:, j])) for j in range(v.shape[1])], axis=1)

    def symmetric(self) -> Any:
        """Return ``M^{1/2} G M^{-1/2}``, a symmetric ``scipy.sparse.linalg.LinearOperator`` with the eigenvalues of G.

        An eigenvector w of it belongs to the eigenvector ``M^{-1/2} w`` of G. The arrays are those of NumPy.

        Raises
        ------
        ValueError
            If the inner product is not known as a diagonal.
        """
        from scipy.sparse.linalg import LinearOperator

        root = self.known_mass("a symmetric form of G") ** 0.5

        def matvec(w: Array) -> Array:
            return root * self.apply(w.reshape(-1) / root)

        return LinearOperator(self.shape, matvec=matvec, rmatvec=matvec, dtype=self.dtype)

    def rmatvec(self, v: Array) -> Array:
        """Return the transpose of G in coordinates, M G M^{-1}, applied to v, of the shape of v.

        Parameters
        ----------
        v : array (P,) or (P, 1)
            A vector.
        """
        mass = self.known_mass("the transpose of G")
        mass = mass if v.ndim == 1 or isinstance(mass, (int, float)) else mass[:, None]
        return mass * self.matvec(v / mass)

    def known_mass(self, what: str) -> Array | float:
        """Return `mass`, a number or (P,); raise ValueError where it is not known.

        Parameters
        ----------
        what : str
            What needs it, for the message.
        """
        if self.mass is None:
            raise ValueError(f"{what} needs a problem with a diagonal inner product, declared as `mass`")
        return self.mass

    def unconfined(self, what: str) -> None:
        """Raise ValueError where steps are confined to a subspace.

        Parameters
        ----------
        what : str
            What knows of no subspace, for the message.
        """
        if self.confined:
            raise ValueError(
                f"{what} does not keep the steps of {type(self).__name__} in their subspace; solver='own' does"
            )

    def matrix(self) -> Array:
        """Return B = M G, (P, P), symmetric: P products with G."""
        xp = array_namespace(self.theta)
        P = self.shape[0]
        indices = xp.arange(P)
        columns = [
            copied(self.apply(xp.astype(indices == j, self.dtype))) for j in range(P)
        ]  # apply may reuse its array
        B = xp.stack(columns) * self.known_mass("a matrix of the curvature")  # row j is G e_j, weighted
        return (B + B.T) / 2

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,): P products with G, and no matrix."""
        xp, P = array_namespace(self.theta), self.shape[0]
        self.known_mass("the diagonal of the curvature")
        indices = xp.arange(P)
        return xp.stack([0 + self.apply(xp.astype(indices == j, self.dtype))[j] for j in range(P)])

    def linear_diagonal(self) -> Array | float:
        """Return the diagonal of the energy part L, a number or (P,)."""
        if isinstance(self.linear, Diagonal):
            return self.linear.diagonal
        if self.linear.scalar is not None:
            return self.linear.scalar
        xp = array_namespace(self.theta)
        return xp.linalg.diagonal(self.linear.apply(xp.eye(self.shape[0], dtype=self.dtype)))

    def blocks(self, groups: list[Array]) -> list[Array]:
        """Return diagonal blocks of B, for each group of shape (b, s, s).

        Parameters
        ----------
        groups : list of int arrays
            Each of shape (b, s): the indices of b blocks of size s.
        """
        return [picked(self.matrix(), group) for group in groups]

    def root(self) -> Root | None:
        """Return a root of G, or None if there is none."""
        return None

    @property
    def has_gram(self) -> bool:
        """Whether `gram`, and `from_rows`, are known, and there is no energy part."""
        return False

    def gram(self) -> Array:
        """Return ``R R^*``, (K, K), for the root R and its adjoint in the inner product. The base class raises NotImplementedError."""
        raise NotImplementedError(f"{type(self).__name__} must define gram")

    def along_rows(self, v: Array) -> Array:
        """Return R v, (K,), without the matrix. The base class raises NotImplementedError.

        Parameters
        ----------
        v : array (P,)
            A direction.
        """
        raise NotImplementedError(f"{type(self).__name__} must define along_rows")

    def from_rows(self, u: Array) -> Array:
        """Return R^* u, (P,), without the matrix. The base class raises NotImplementedError.

        Parameters
        ----------
        u : array (K,)
            Coefficients.
        """
        raise NotImplementedError(f"{type(self).__name__} must define from_rows")

    def has_own_form(self, weights: Array | None) -> bool:
        """Return whether `own_form` is known for a metric.

        Parameters
        ----------
        weights : array (P,) or None
            Diagonal of D.
        """
        return False

    def own_form(self, weights: Array | None) -> Any:
        """Return the `gradflow.curvature.spectral.Form` that the structure of G gives. The base class raises NotImplementedError.

        Parameters
        ----------
        weights : array (P,) or None
            Diagonal of D.
        """
        raise NotImplementedError(f"{type(self).__name__} must define own_form")


def picked(B: Array, group: Array) -> Array:
    """Return diagonal blocks of a matrix, of shape (b, s, s).

    Parameters
    ----------
    B : array (P, P)
        The matrix.
    group : int array
        Of shape (b, s): the indices of b blocks of size s.
    """
    xp = array_namespace(B)
    flat = group[:, :, None] * B.shape[0] + group[:, None, :]
    return xp.reshape(xp.take(xp.reshape(B, (-1,)), xp.reshape(flat, (-1,))), flat.shape)


class Approximation(Model):
    """A model with the energy and the gradient of another one, and a curvature that is made from its curvature.

    Parameters
    ----------
    whole : Model
        The other model.
    """

    def __init__(self, whole: Model) -> None:
        super().__init__(whole.problem, whole.theta)
        whole.unconfined(type(self).__name__)
        self.whole, self.definite, self.residual = whole, whole.definite, whole.residual

    @property
    def energy(self) -> Array:
        """E(theta), 0-d."""
        return self.whole.energy

    @property
    def gradient(self) -> Array:
        """The gradient, (P,), in the problem's inner product."""
        return self.whole.gradient


class Curvature(Protocol):
    """A choice of G in (1); implementations are frozen dataclasses."""

    def at(self, problem: Problem, theta: Array) -> Model:
        """Return the model at theta.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Parameters.

        Raises
        ------
        ValueError
            If the problem lacks what this curvature needs.
        """


@runtime_checkable
class Remembering(Curvature, Protocol):
    """A curvature that depends on earlier steps, through arrays in the state of the method.

    Its `at` returns a model of the present theta alone. `gradflow.SecondOrder` calls `update` once for each theta, and takes
    the steps of `remembered`.
    """

    def start(self, theta: Array) -> tuple[Array, ...]:
        """Return the memory before the first step, arrays of fixed shapes.

        Parameters
        ----------
        theta : array (P,)
            Initial parameters.
        """

    def update(self, model: Model, memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the memory with the model of a step, arrays of the shapes of `start`.

        Parameters
        ----------
        model : Model
            That of `at`.
        memory : tuple of arrays
            That of the step before, of the shapes of `start`.
        """

    def remembered(self, model: Model, memory: tuple[Array, ...]) -> Model:
        """Return the model whose steps are taken.

        Parameters
        ----------
        model : Model
            That of `at`.
        memory : tuple of arrays
            From `update`, of the shapes of `start`.
        """


def memory_of(name: str, value: Any, theta: Array, like: tuple[Array, ...] | None = None) -> tuple[Array, ...]:
    """Return a memory, arrays of any shapes, or raise ValueError unless it is a tuple of arrays of the dtype of theta.

    Parameters
    ----------
    name, value : str, object
        What returned it, for the message, and the given value. NaN is let through, which becomes a status of a run.
    theta : array (P,)
        Parameters.
    like : tuple of arrays, optional
        The memory before, whose shapes must be kept.
    """
    if not isinstance(value, tuple) or (like is not None and len(value) != len(like)):
        wanted = "" if like is None else f"{len(like)} "
        raise ValueError(f"{name} must return a tuple of {wanted}arrays, got {found(value)}")
    kept = []
    for i, a in enumerate(value):
        label, shape = f"{name}()[{i}]", getattr(a, "shape", ()) if like is None else like[i].shape
        axes = {f"n{k}": n for k, n in enumerate(shape)}
        kept.append(real_array(label, a, axes, theta.dtype, of="theta") if shape else real_scalar(label, a, theta))
    return tuple(kept)


def curvature_in(name: str, value: Any) -> None:
    """Raise ValueError unless an argument is a curvature, an object with a method `at`, that may be a part of another one.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value.
    """
    if isinstance(value, type) or not callable(getattr(value, "at", None)):
        raise ValueError(f"{name} must be a curvature, an object with a method at; got {value!r}")
    if isinstance(value, Remembering):
        raise ValueError(f"{name} must not be a curvature with a memory, which only SecondOrder keeps; got {value!r}")


def decrease(old: Model, new: Model) -> Array:
    """Return E(old) - E(new), 0-d, with the digits that a difference of squares would lose.

    For two residuals it is ``(q - q') . (q + q') / 2``, plus the same for the energy part.

    Parameters
    ----------
    old, new : Model
        Models of one problem at two points.
    """
    if old.residual is None or new.residual is None:
        return old.energy - new.energy
    drop = (old.residual - new.residual) @ (old.residual + new.residual) / 2
    L = old.linear
    if L.scalar == 0:
        return drop
    return drop + old.problem.inner(old.theta - new.theta, L.apply(old.theta + new.theta)) / 2
