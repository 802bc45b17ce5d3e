r"""Mixtures of curvatures.

For curvatures ``G_i`` and weights ``alpha_i >= 0`` of sum 1,

.. math:: G = \sum_i \alpha_i\, G_i.                                                                      \tag{1}

G is positive semi-definite where all ``G_i`` of positive weight are, and its kernel is then the intersection of theirs. Each
``G_i`` contains the energy part L, and so does G. If each has a root ``R_i``, a root of G is

.. math:: R = \begin{pmatrix} \alpha_1^{1/2} R_1 \\ \vdots \\ \alpha_n^{1/2} R_n \end{pmatrix}.             \tag{2}

The product of powers ``alpha_i`` of normal densities with the precisions ``G_i`` is, normalised, that with the precision (1).

Weights may follow from the models, by a policy:

* `ByConditionNumber`: the weight of the first of two parts is ``min(1, kappa_max / kappa)`` with its condition number
  ``kappa = lambda_max / lambda_min``, and 0 where ``lambda_min <= 0`` to rounding: the condition number of an indefinite
  matrix says nothing of its steps.
* `ByGradient`: all weight on the first part where ``|g|_M`` is at most a threshold, and on the second elsewhere. There is
  no hysteresis: a model knows one theta. A small gradient is no sign of a minimum.
* `BySecondOrderTerm`: all weight on the first part, the Hessian ``G_1``, where it differs from the second, Gauss-Newton's
  ``G_2``, along the gradient by more than a share: ``|(G_1 - G_2) g|_M > share |G_2 g|_M``. For least squares the difference is
  the second-order term, ``sum_i q_i (q_i)''``. It costs two products.
* `ByNoise`: the weight of the first part is ``1 / (1 + sigma^2)``, with the variance of the gradient of the batch, relative to
  the gradient,

  .. math:: \sigma^2 = \frac{\mathrm{tr}\,C}{(N - 1)\,|g|_M^2},                                          \tag{3}

  for the covariance C of the gradients of the N samples (`gradflow.curvature.Fisher`, "centred"). sigma has no unit.

Weights that depend on earlier steps are those of `gradflow.curvature.AdaptiveMixture`.

Source: Dennis, Gay & Welsch, ACM Trans. Math. Softw. 7 (1981) 348, for the second-order term; Genest & Zidek, Stat. Sci. 1
(1986) 114, for the product of densities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import fsum, isfinite, nan
from typing import Protocol

from ..energies.protocols import Problem, norm, problem_ability
from ..namespace import Array, array_namespace
from ..refusals import as_float, plain_numbers, real_array, real_number
from .eigenvalues import extreme_eigenvalues
from .fisher import Fisher
from .model import Approximation, Curvature, Model, Root, curvature_in

__all__ = [
    "ByConditionNumber",
    "ByGradient",
    "ByNoise",
    "BySecondOrderTerm",
    "Mixture",
    "MixtureModel",
    "Weighting",
    "weights_of_policy",
]

SUM_TOLERANCE = 1e-12  # by which the sum of weights, rounded numbers, may miss 1


class Weighting(Protocol):
    """A policy for the weights of (1); implementations are frozen dataclasses."""

    def weights(self, parts: list[Model]) -> tuple[float, ...]:
        """Return one weight >= 0 for each part, of sum 1 to rounding; NaN where there is none.

        Parameters
        ----------
        parts : list of Model
            The models of the parts.
        """


@dataclass(frozen=True)
class ByConditionNumber:
    """Two parts: the first as far as its condition number allows, the second for the rest.

    The eigenvalues are those of a Lanczos process, `gradflow.curvature.extreme_eigenvalues`: the condition number is not
    overestimated.

    Parameters
    ----------
    most : float
        The condition number ``kappa_max`` up to which the first part has the weight 1, >= 1.

    Raises
    ------
    ValueError
        If `most` is below 1.
    """

    most: float = 1e6

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("most", self.most, 1)

    def weights(self, parts: list[Model]) -> tuple[float, ...]:
        """Return the weights of two parts; 0 for a first part that is, to rounding, not positive definite, or not finite."""
        found = extreme_eigenvalues(parts[0])
        low, high = found.smallest.value, found.largest.value
        xp, k = array_namespace(parts[0].theta), found.products
        zero = float(xp.finfo(parts[0].dtype).eps) * k * high  # to rounding
        alpha = min(1.0, self.most * low / high) if 0 <= zero < low <= high else 0.0
        return alpha, 1 - alpha


@dataclass(frozen=True)
class ByGradient:
    """Two parts: the first where ``|g|_M`` is at most a threshold, the second elsewhere.

    Parameters
    ----------
    threshold : float
        The length of the gradient, > 0.

    Raises
    ------
    ValueError
        If `threshold` is not positive.
    """

    threshold: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("threshold", self.threshold, 0, open_low=True)

    def weights(self, parts: list[Model]) -> tuple[float, ...]:
        """Return the weights of two parts."""
        small = norm(parts[0].problem.inner, parts[0].gradient) <= self.threshold
        return (1.0, 0.0) if small else (0.0, 1.0)


@dataclass(frozen=True)
class BySecondOrderTerm:
    """Two parts, the Hessian and Gauss-Newton's: the first where the second-order term counts, the second elsewhere.

    Parameters
    ----------
    share : float
        The length of the second-order term along the gradient, relative to that of Gauss-Newton's, >= 0.

    Raises
    ------
    ValueError
        If the share is negative.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("share", self.share, 0)

    def weights(self, parts: list[Model]) -> tuple[float, ...]:
        """Return the weights of two parts."""
        g, inner = parts[0].gradient, parts[0].problem.inner
        rest = parts[1].apply(g)
        large = norm(inner, parts[0].apply(g) - rest) > self.share * norm(inner, rest)
        return (1.0, 0.0) if large else (0.0, 1.0)


@dataclass(frozen=True)
class ByNoise:
    """Two parts: the first with the weight ``1 / (1 + sigma^2)``, sigma of (3), the second with the rest.

    A problem without outputs raises ValueError in a step, as `gradflow.curvature.Fisher` does. For one sample, and where g is
    0, the weight is 0.
    """

    def weights(self, parts: list[Model]) -> tuple[float, ...]:
        """Return the weights of two parts."""
        first = parts[0]
        xp, problem = array_namespace(first.theta), first.problem
        of_gradients = Fisher("centred").at(problem, first.theta)
        linear = first.linear.apply(xp.eye(first.shape[0], dtype=first.dtype)) if first.linear.scalar is None else None
        own = xp.linalg.diagonal(linear) if linear is not None else first.linear.scalar + 0 * first.theta
        spread = float(xp.sum(of_gradients.diagonal() - own))
        square = (int(problem_ability(problem, "n_samples")) - 1) * float(problem.inner(first.gradient, first.gradient))
        alpha = square / (square + max(spread, 0.0)) if square > 0 else 0.0
        return alpha, 1 - alpha


def _checked(weights: object, n: int) -> tuple[float, ...]:
    """Return weights of n parts, or raise ValueError."""
    if not isinstance(weights, tuple) or len(weights) != n:
        raise ValueError(f"weights must be a policy or a tuple of {n} numbers, one for each part; got {weights!r}")
    numbers = tuple(real_number(f"weights[{i}]", a, 0) for i, a in enumerate(weights))
    if abs(fsum(numbers) - 1) > SUM_TOLERANCE:
        raise ValueError(f"weights must have the sum 1, got {weights!r}")
    return numbers


def weights_of_policy(weights: object, n: int, theta: Array) -> tuple[float, ...]:
    """Return the weights that a policy has found, with the sum 1; all are NaN if one is not finite, and the model is then, too.

    Parameters
    ----------
    weights : tuple of float or array (n,)
        The weights.
    n : int
        The number of parts.
    theta : array (P,)
        Its rounding unit bounds the error of the sum.

    Raises
    ------
    ValueError
        If there is not one real number for each part, a weight is negative, or their sum is not 1 to rounding.
    """
    if isinstance(weights, tuple):
        numbers = [as_float(a) for a in weights]
    else:
        given = real_array("the weights of a policy", weights, {"n": n})
        numbers = [float(given[i]) for i in range(n)]
    alpha = [a for a in numbers if a is not None]
    if len(alpha) != n or len(numbers) != n:
        raise ValueError(f"the weights of a policy must be {n} numbers, one for each part; got {weights!r}")
    if not all(map(isfinite, alpha)):
        return (nan,) * n
    total, eps = fsum(alpha), float(array_namespace(theta).finfo(theta.dtype).eps)
    if min(alpha) < 0 or abs(total - 1) > max(SUM_TOLERANCE, 16 * n * eps):
        raise ValueError(f"the weights of a policy must be >= 0 and have the sum 1, got {alpha}")
    return tuple(a / total for a in alpha)


class MixtureModel(Approximation):
    """A model with the curvature (1). Energy and gradient are those of the first part with a residual, or of the first.

    Parameters
    ----------
    parts : list of Model
        The models of ``G_i``.
    weights : tuple of float or Weighting
        The weights, or what determines them; the model is NaN where they are.
    """

    def __init__(self, parts: list[Model], weights: tuple[float, ...] | Weighting) -> None:
        super().__init__(next((part for part in parts if part.residual is not None), parts[0]))
        for part in parts:
            part.unconfined(type(self).__name__)
        self.parts, self._given = parts, weights
        used, some = parts, all  # of a policy any part may have the weight 0
        if isinstance(weights, tuple):
            used, some = [part for part, a in zip(parts, weights, strict=True) if a != 0], any
        self.definite = all(part.definite for part in used)
        self.in_range = self.definite and some(part.in_range for part in used)

    @cached_property
    def used(self) -> list[tuple[float, Model]]:
        """The weights that are not 0, with their parts."""
        given = self._given
        if not isinstance(given, tuple):
            given = weights_of_policy(given.weights(self.parts), len(self.parts), self.theta)
        return [(a, part) for a, part in zip(given, self.parts, strict=True) if a != 0]

    def apply(self, v: Array) -> Array:
        """Return G v of (1), (P,)."""
        return sum((a * part.apply(v) for a, part in self.used), start=0 * v)  # (1)

    def matrix(self) -> Array:
        """Return M G, (P, P), symmetric."""
        return sum(a * part.matrix() for a, part in self.used)

    @property
    def has_diagonal(self) -> bool:  # type: ignore[override]
        """Whether all parts have one."""
        return all(part.has_diagonal for _, part in self.used)

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        return sum((a * part.diagonal() for a, part in self.used), start=0 * self.theta)

    def blocks(self, groups: list[Array]) -> list[Array]:
        """Return diagonal blocks of M G, for each group of shape (b, s, s)."""
        each = [[a * B for B in part.blocks(groups)] for a, part in self.used]
        return [sum(same) for same in zip(*each, strict=True)]

    @property
    def rows(self) -> int | None:  # type: ignore[override]
        """The sum of those of the parts; None if one has no root."""
        counts = [part.rows for _, part in self.used]
        return None if None in counts else sum(count for count in counts if count is not None)

    def root(self) -> Root | None:
        """Return (2), in which the rows of the energy part stand once, below; None if a part has no root."""
        roots = [part.root() for _, part in self.used]
        if self.rows is None or any(root is None for root in roots):
            return None
        xp = array_namespace(self.theta)
        found = [(a, part.rows, root) for (a, part), root in zip(self.used, roots, strict=True) if root is not None]
        _, first, (below, r_below) = found[0]
        R = [a**0.5 * root.R[:rows, :] for a, rows, root in found]  # (2)
        r = [a**0.5 * root.r[:rows] for a, rows, root in found if root.r is not None]
        known = len(r) == len(found) and r_below is not None
        return Root(
            xp.concat([*R, below[first:, :]]),
            xp.concat([*r, r_below[first:]]) if known and r_below is not None else None,
        )


@dataclass(frozen=True)
class Mixture:
    """The mixture (1) of curvatures.

    Parameters
    ----------
    parts : sequence of Curvature
        The curvatures ``G_i``, one or more; kept as a tuple.
    weights : sequence of float or Weighting
        The weights ``alpha_i >= 0``, of sum 1; or a policy, `gradflow.curvature.ByConditionNumber`,
        `gradflow.curvature.ByGradient`, `gradflow.curvature.BySecondOrderTerm` or `gradflow.curvature.ByNoise`, for two
        parts, or yours.

    Raises
    ------
    ValueError
        If a part is no curvature, or the weights are not as said; in a step, if those of a policy are not.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 4, activation="tanh"), x, np.sin(3 * x))
    >>> curvature = gf.curvature.Mixture((gf.curvature.Hessian(), gf.curvature.Fisher()), gf.curvature.ByConditionNumber(1e4))
    >>> model = curvature.at(problem, problem.net.init(0))
    >>> [type(part).__name__ for _, part in model.used]  # the Hessian is indefinite there
    ['OuterProducts']
    """

    parts: tuple[Curvature, ...]
    weights: tuple[float, ...] | Weighting

    def __post_init__(self) -> None:
        for name in ("parts", "weights"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if not isinstance(self.parts, tuple) or not self.parts:
            raise ValueError(f"parts must be a tuple of curvatures, got {self.parts!r}")
        for i, part in enumerate(self.parts):
            curvature_in(f"parts[{i}]", part)
        if callable(getattr(self.weights, "weights", None)) and not isinstance(self.weights, type):
            if (
                isinstance(self.weights, (ByConditionNumber, ByGradient, BySecondOrderTerm, ByNoise))
                and len(self.parts) != 2
            ):
                raise ValueError(f"weights={self.weights!r} needs two parts, got {len(self.parts)}")
            return
        object.__setattr__(self, "weights", _checked(self.weights, len(self.parts)))

    def at(self, problem: Problem, theta: Array) -> MixtureModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If a part refuses the problem.
        """
        return MixtureModel([part.at(problem, theta) for part in self.parts], self.weights)
