r"""Exponential moving averages of a curvature along a run.

With the curvature ``G_0`` at the theta of step n, of the batch of that step if there is one, and the energy part L, which is
kept as it is, the average is

.. math:: A^n = \beta\,A^{n-1} + (1 - \beta)\,(G_0 - L), \qquad A^{-1} = 0, \qquad
          G = \frac{A^n}{1 - \beta^{n+1}} + L.                                                           \tag{1}

The denominator is the sum of the weights: G is a mean from the first step on, and for ``beta = 0`` it is ``G_0``. It is positive
semi-definite where ``G_0`` is. With the power 1/2, for a semi-definite ``G_0``,

.. math:: G = \Bigl(\frac{A^n}{1 - \beta^{n+1}}\Bigr)^{1/2} + L.                                           \tag{2}

A step with (1) is one with ``F^{-1}``, as for natural gradients; one with (2) is one with ``F^{-1/2}``, as for the second
moments of gradients. If the energy is multiplied by c, the curvature of `gradflow.curvature.GradientSquare` is by ``c^2``:
the undamped steps with (1) are divided by c, and those with (2) stay. With the diagonal, (2), the damping eps and the inner
product M = I, these are the steps of Adam without momentum. For another diagonal M, the diagonal of ``g g^*`` has the
entries ``m_j g_j^2``, and the steps are those with second moments that are weighted by ``m_j``.

* **dense**: ``M A``, of P^2 numbers.
* **diagonal**: the diagonal of A, of P numbers. Its eigenbasis is known.
* **low rank**: ``A = U diag(mu) U^*`` with k vectors. The sum of (1) has rank 2 k at most, and is truncated to the k eigenvalues
  of the largest absolute value. What is cut off is lost for later steps: the error of ``A^n`` in the operator norm is at most
  the sum over all steps i of what was cut off in step i, times ``beta^{n-i}``.

The memory belongs to the state of the method, `gradflow.SecondOrder`. A rejected trial adds nothing to it.

Source: Martens & Grosse, arXiv:1503.05671, section 5; Kingma & Ba, ICLR (2015), section 3, for the denominator; Duchi,
Hazan & Singer, J. Mach. Learn. Res. 12 (2011) 2121, for the root of the full matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..energies.linear import Diagonal
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import few_entries, instance, one_of, plain_numbers, real_number, whole_number
from .eigenbasis import Form
from .lapack import eigh
from .low_rank import LowRankModel, leading, linear_matrix, truncated_sum
from .model import Approximation, Curvature, Model, curvature_in

__all__ = ["FORMS", "DenseModel", "DiagonalModel", "MovingAverage", "matrix_root"]

FORMS = ("dense", "diagonal", "low_rank")
"""What of the average is kept."""


class DenseModel(Approximation):
    """A model with the curvature ``M^{-1} B + L`` for a given matrix.

    Parameters
    ----------
    whole : Model
        Energy, gradient and L.
    B : array (P, P)
        The matrix, symmetric.
    """

    has_diagonal = True

    def __init__(self, whole: Model, B: Array) -> None:
        super().__init__(whole)
        self.B = B

    def apply(self, v: Array) -> Array:
        """Return G v, (P,)."""
        u = self.B @ v / self.known_mass("a moving average")
        return u if self.linear.scalar == 0 else u + self.linear.apply(v)

    def matrix(self) -> Array:
        """Return M G, (P, P), symmetric."""
        B = self.B + linear_matrix(self)
        return (B + B.T) / 2

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        own = array_namespace(self.B).linalg.diagonal(self.B) / self.known_mass("the diagonal of the curvature")
        return own + self.linear_diagonal()


class DiagonalModel(Approximation):
    """A model with the curvature ``diag(a) + L`` for a given diagonal.

    Parameters
    ----------
    whole : Model
        Energy, gradient and L.
    a : array (P,)
        The diagonal.
    """

    has_diagonal = True

    def __init__(self, whole: Model, a: Array) -> None:
        super().__init__(whole)
        self.a = a

    def apply(self, v: Array) -> Array:
        """Return G v, (P,)."""
        return self.a * v if self.linear.scalar == 0 else self.a * v + self.linear.apply(v)

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        return self.a + self.linear_diagonal()

    @cached_property
    def _whole_diagonal(self) -> Any:
        """The diagonal of G, (P,), if L is a number or diagonal."""
        L = self.linear.diagonal if isinstance(self.linear, Diagonal) else self.linear.scalar
        return None if L is None else self.a + L

    def has_own_form(self, weights: Array | None) -> bool:
        """Return whether L is a number or diagonal, for every metric (P,)."""
        return self._whole_diagonal is not None

    def own_form(self, weights: Array | None) -> Form:
        """Return the unit vectors as the eigenbasis, for a metric (P,) or None."""
        xp, D = array_namespace(self.theta), 1.0 if weights is None else weights
        S = (self.known_mass("a moving average") * D + 0 * self.theta) ** 0.5
        mu = self._whole_diagonal / D
        gamma = self.gradient * self.known_mass("a moving average") / S
        return Form(gamma, mu, lambda z: z / S, float(xp.finfo(mu.dtype).eps) * float(xp.max(xp.abs(mu))))


@dataclass(frozen=True)
class MovingAverage:
    """The moving average (1) of another curvature, for `gradflow.SecondOrder`.

    Parameters
    ----------
    of : Curvature
        The curvature ``G_0``.
    beta : float
        The weight of the past, in [0, 1).
    form : {"dense", "diagonal", "low_rank"}
        What of the average is kept.
    rank : int, optional
        The number k >= 1 of vectors, for "low_rank", and only for it; more than P is P.
    root : bool
        Whether G is (2), with the root of the average, in the place of (1).

    Raises
    ------
    ValueError
        If `of` is no curvature, or has a memory itself, `beta` is outside [0, 1), `form` is unknown, `rank` is missing,
        below 1, or given for another form, or `root` is not True or False; at `init`, if the curvature refuses the problem,
        the inner product is not diagonal, or a root is asked for of a curvature that is not known to be semi-definite.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 2))
    >>> problem = gf.Classification(gf.TwoLayerNet(2, 8, 2, activation="tanh", scaling="ntk"), x, (x[:, 0] > 0).astype(int))
    >>> average = gf.curvature.MovingAverage(gf.curvature.Fisher(), beta=0.9)
    >>> method = gf.SecondOrder(curvature=average, globalization=gf.curvature.FixedDamping(0.1))
    >>> run = gf.solve(problem, method, problem.net.init(0), epochs=10, batch_size=20, dt=0.1, seed=0)
    >>> bool(run.history["energy"][-1] < 0.5 * run.history["energy"][0])
    True
    """

    of: Curvature
    beta: float = 0.95
    form: str = "dense"
    rank: int | None = None
    root: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        instance("root", self.root, bool, "True or False")
        curvature_in("of", self.of)
        real_number("beta", self.beta, 0, 1, open_high=True)
        one_of("form", self.form, FORMS)
        if self.form == "low_rank":
            object.__setattr__(self, "rank", whole_number("rank", self.rank, 1))
        elif self.rank is not None:
            raise ValueError(f"rank is for form='low_rank', got rank={self.rank!r} with form={self.form!r}")

    def at(self, problem: Problem, theta: Array) -> Model:
        """Return the model of ``G_0`` at theta.

        Raises
        ------
        ValueError
            If the curvature refuses the problem, its inner product is not diagonal, or it is not known to be semi-definite
            and a root is asked for.
        """
        model = self.of.at(problem, theta)
        model.unconfined("MovingAverage")
        model.known_mass("a moving average")
        if self.root and not model.definite:
            raise ValueError(f"root needs a curvature that is known to be positive semi-definite, got {self.of!r}")
        return model

    def start(self, theta: Array) -> tuple[Array, ...]:
        """Return the weight 0, 0-d, and zeros: (P, P), (P,), or (P, k) and (k,).

        Raises
        ------
        ValueError
            If that is too many numbers.
        """
        zero, P = 0 * theta, theta.shape[0]
        if self.form == "diagonal":
            return zero[0], zero
        if self.form == "dense":
            few_entries("form='dense'", P, P, "form='low_rank' and form='diagonal' keep fewer")
            return zero[0], zero[:, None] * zero
        k = min(self.rank or 1, P)
        few_entries("form='low_rank'", P, k, "take a smaller rank")
        return zero[0], zero[:, None] * zero[:k], zero[:k]

    def update(self, model: Model, memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the weight ``1 - beta^{n+1}``, 0-d, and A of (1); the memory is of shape (P, P), (P,), or (P, k) and (k,)."""
        beta, mass = self.beta, model.known_mass("a moving average")
        weight, *past = memory
        weight = beta * weight + (1 - beta)
        if self.form == "low_rank":
            (U, mu), (V, nu) = past, leading(model, past[1].shape[0])
            return (weight, *truncated_sum((U, beta * mu), (V, (1 - beta) * nu), mass))  # (1)
        if self.form == "dense":
            return weight, beta * past[0] + (1 - beta) * (model.matrix() - linear_matrix(model))  # (1)
        return weight, beta * past[0] + (1 - beta) * (model.diagonal() - model.linear_diagonal())  # (1)

    def remembered(self, model: Model, memory: tuple[Array, ...]) -> Model:
        """Return the model with G of (1) or (2); the memory is of shape (P, P), (P,), or (P, k) and (k,)."""
        weight, *A = memory
        if self.form == "low_rank":
            mu = A[1] / weight  # (1)
            return LowRankModel(model, lambda _: (A[0], _root(mu) if self.root else mu), model.definite)
        if self.form == "diagonal":
            return DiagonalModel(model, _root(A[0] / weight) if self.root else A[0] / weight)
        B = A[0] / weight
        return DenseModel(model, matrix_root(B, model.known_mass("a moving average")) if self.root else B)


def _root(mu: Array) -> Array:
    """The root of numbers that are not negative but for rounding."""
    xp = array_namespace(mu)
    return xp.sqrt(xp.where(mu < 0, 0 * mu, mu))  # (2)


def matrix_root(B: Array, mass: Array | float) -> Array:
    """Return ``M (M^{-1} B)^{1/2}``, (P, P), of a semi-definite matrix; NaN if it is not finite.

    Parameters
    ----------
    B : array (P, P)
        The matrix.
    mass : array (P,) or float
        Diagonal of the inner product.
    """
    S = mass**0.5 + 0 * B[0, :]
    C = B / S / S[:, None]
    mu, V = eigh((C + C.T) / 2)
    return S[:, None] * ((V * _root(mu)) @ V.T) * S  # (2)
