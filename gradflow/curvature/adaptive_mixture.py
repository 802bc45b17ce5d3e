r"""Mixtures of curvatures whose weights depend on earlier steps.

The curvature is ``G = sum_i alpha_i G_i`` as in `gradflow.curvature.mixture`. A `Learning` policy determines the weights
from a memory in the state of the method, which changes once for each accepted step. With ``s = theta - theta_-`` of the
last accepted step and the gradients g and ``g_-`` at its ends, both of the present batch, each part is judged by what its
model at theta predicts for ``theta_-``, where the energy and the gradient are known.

* `Switching`: all weight on the first part once ``|g|_M <= enter``, and on the second once ``|g|_M > leave``; in between,
  nothing changes. With ``enter < leave`` a gradient that varies between the two bounds causes no change of the model.
* `ByAgreement`: the weight of the first of two parts is

  .. math:: \alpha = \min(1, \max(0, \rho)), \qquad \rho = \frac{E(\theta_-) - E(\theta)}{\tfrac12 (s, G_1 s)_M - (g, s)_M},   \tag{1}

  the actual difference over that of the model of the first part; 0 where the latter is not positive, and the last
  weight where the former is a rounding error. The ratio is 1 for a quadratic energy and its Hessian. Without the bounds
  the mixture of two semi-definite operators may be indefinite. A ratio above 1 also indicates an inaccurate model; its
  weight is 1.
* `Hedge`: exponential weights of losses. The loss of a part is its error in the secant equation,

  .. math:: \ell_i = \frac{|G_i s - y|_M}{|G_i s|_M + |y|_M} \in [0, 1], \qquad y = g - g_-,                 \tag{2}
  .. math:: \alpha_i = \frac{e^{-\eta \Lambda_i}}{\sum_j e^{-\eta \Lambda_j}}, \qquad
            \Lambda_i = \sum_{t} \ell_{i,t}.                                                             \tag{3}

  The weights (3) minimise ``(alpha, Lambda) + (1/eta) sum_i alpha_i log alpha_i``: this is follow-the-regularised-leader with the
  entropy. For all losses in [0, 1], T steps and n parts,

  .. math:: \sum_{t=1}^T (\alpha_t, \ell_t) - \min_i \sum_{t=1}^T \ell_{i,t} \le \frac{\log n}{\eta} + \frac{\eta\,T}{8},       \tag{4}

  which is least, ``(T log(n) / 2)^{1/2}``, for ``eta = (8 log(n) / T)^{1/2}``. (4) bounds the mean of the losses of the parts. As
  (2) is not convex in G, it does not bound the loss of the mixture, and it says nothing of the energy.

Source: Cesa-Bianchi & Lugosi, Prediction, Learning, and Games (2006), Theorem 2.2, for (4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..energies.protocols import Problem, norm
from ..namespace import Array, array_namespace, quiet, read_only
from ..refusals import plain_numbers, real_number
from .mixture import MixtureModel, weights_of_policy
from .model import Curvature, Model, curvature_in, memory_of

__all__ = ["AdaptiveMixture", "ByAgreement", "Hedge", "Learning", "Switching", "hedge_weights", "secant_losses"]

ROUNDING = 64.0  # multiple of eps |E| up to which a difference of energies is a rounding error


class Learning(Protocol):
    """A policy with a memory; implementations are frozen dataclasses."""

    def start(self, theta: Array, n: int) -> tuple[Array, ...]:
        """Return the memory before the first step, arrays of fixed shapes.

        Parameters
        ----------
        theta : array (P,)
            Initial parameters.
        n : int
            The number of parts.
        """

    def update(self, parts: list[Model], memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the memory at the theta of a step, arrays of the shapes of `start`.

        Parameters
        ----------
        parts : list of Model
            The models of the parts.
        memory : tuple of arrays
            That of the step before, of the shapes of `start`.
        """

    def weights(self, memory: tuple[Array, ...]) -> Array:
        """Return one weight >= 0 for each part, (n,), of sum 1 to rounding; NaN where there is none.

        Parameters
        ----------
        memory : tuple of arrays
            From `update`, of the shapes of `start`.
        """


@dataclass(frozen=True)
class Switching:
    """Two parts: the first from ``|g|_M <= enter`` on, the second from ``|g|_M > leave`` on. It begins with the second.

    Parameters
    ----------
    enter, leave : float
        Lengths of the gradient, ``0 < enter <= leave``.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    enter: float
    leave: float

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("enter", self.enter, 0, open_low=True)
        real_number("leave", self.leave, self.enter)

    def start(self, theta: Array, n: int) -> tuple[Array, ...]:
        """Return 0, 0-d: the second part."""
        return (0 * theta[0],)

    def update(self, parts: list[Model], memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return whether the first part is used, 0-d."""
        g, (first,) = parts[0].gradient, memory
        length = norm(parts[0].problem.inner, g)
        return (1 + 0 * first if length <= self.enter else 0 * first if length > self.leave else first,)

    def weights(self, memory: tuple[Array, ...]) -> Array:
        """Return (1, 0) or (0, 1), (2,)."""
        return array_namespace(memory[0]).stack([memory[0], 1 - memory[0]])


@dataclass(frozen=True)
class ByAgreement:
    """Two parts: the first with the weight (1), the second with the rest. The first step has the weight 1."""

    def start(self, theta: Array, n: int) -> tuple[Array, ...]:
        """Return theta, (P,), whether there is a step before, and the weight 1, both 0-d."""
        return theta, 0 * theta[0], 1 + 0 * theta[0]

    def update(self, parts: list[Model], memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return theta, (P,), the flag and the weight (1), 0-d."""
        before, known, alpha = memory
        first, xp = parts[0], array_namespace(before)
        if bool(known > 0):
            s, inner, eps = first.theta - before, first.problem.inner, float(xp.finfo(first.dtype).eps)
            actual = first.problem.energy(read_only(before)) - first.energy
            modelled = inner(s, first.apply(s)) / 2 - inner(first.gradient, s)
            if not abs(float(actual)) <= ROUNDING * eps * abs(float(first.energy)):
                ratio = actual / modelled if bool(modelled > 0) else 0 * alpha  # (1)
                alpha = xp.clip(ratio, 0, 1)
        return first.theta, 1 + 0 * known, alpha

    def weights(self, memory: tuple[Array, ...]) -> Array:
        """Return alpha and 1 - alpha, (2,)."""
        return array_namespace(memory[0]).stack([memory[2], 1 - memory[2]])


def secant_losses(parts: list[Model], before: Array) -> Array:
    """Return the losses (2), (n,): 0 where both changes vanish, and 1 where one is not finite.

    Parameters
    ----------
    parts : list of Model
        The models at the present theta.
    before : array (P,)
        ``theta_-``.
    """
    xp, first = array_namespace(before), parts[0]
    inner, s = first.problem.inner, first.theta - before
    y = first.gradient - first.problem.energy_and_gradient(read_only(before))[1]
    found = []
    for part in parts:
        G_s = part.apply(s)
        error, scale = (inner(G_s - y, G_s - y) ** 0.5, inner(G_s, G_s) ** 0.5 + inner(y, y) ** 0.5)
        one, usable = xp.ones_like(scale), (scale > 0) & xp.isfinite(scale)
        rest = xp.where(scale == 0, xp.zeros_like(scale), one)  # a part that is not finite has the greatest loss
        found.append(xp.where(usable, error / xp.where(usable, scale, one), rest))  # (2)
    return xp.clip(xp.stack(found), 0, 1)


def hedge_weights(losses: Array, rate: float) -> Array:
    """Return the weights (3), (n,); any constant may be added to the losses.

    Parameters
    ----------
    losses : array (n,)
        The sums Lambda of the losses.
    rate : float
        The rate eta > 0.
    """
    xp = array_namespace(losses)
    eta = min(rate, float(xp.finfo(losses.dtype).max))  # a greater one is infinite in float32, and 0 times it NaN
    with quiet():  # a product may overflow: its weight is 0
        w = xp.exp(-eta * (losses - xp.min(losses)))
    return w / xp.sum(w)  # (3)


@dataclass(frozen=True)
class Hedge:
    """Any number of parts with the weights (3) of the losses (2). The first step has equal weights.

    Each step costs one product with each part and one gradient at the theta before.

    Parameters
    ----------
    rate : float
        The rate eta > 0.

    Raises
    ------
    ValueError
        If the rate is not positive.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("rate", self.rate, 0, open_low=True)

    def start(self, theta: Array, n: int) -> tuple[Array, ...]:
        """Return theta, (P,), whether there is a step before, 0-d, and Lambda = 0, (n,)."""
        return theta, 0 * theta[0], array_namespace(theta).stack([0 * theta[0]] * n)

    def update(self, parts: list[Model], memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return theta, (P,), the flag, 0-d, and Lambda, (n,)."""
        before, known, losses = memory
        if bool(known > 0):
            losses = losses + secant_losses(parts, before)
        return parts[0].theta, 1 + 0 * known, losses

    def weights(self, memory: tuple[Array, ...]) -> Array:
        """Return (3), (n,)."""
        return hedge_weights(memory[2], self.rate)


@dataclass(frozen=True)
class AdaptiveMixture:
    """The mixture of curvatures with the weights of a policy that remembers, for `gradflow.SecondOrder`.

    Parameters
    ----------
    parts : tuple of Curvature
        The curvatures ``G_i``, two or more.
    policy : Learning
        `gradflow.curvature.Switching`, `gradflow.curvature.ByAgreement` (two parts), `gradflow.curvature.Hedge`, or yours.

    Raises
    ------
    ValueError
        If a part is no curvature or has a memory itself, the policy lacks a method, or the number of parts is not that of the
        policy; at `init`, if a part refuses the problem; in a step, if the memory or the weights of the policy are not as
        `Learning` says.

    Examples
    --------
    Hedge finds out that the Hessian predicts changes of the gradient better than an empirical Fisher matrix:

    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 4, activation="tanh"), x, np.sin(3 * x))
    >>> parts = gf.curvature.Hessian(), gf.curvature.Fisher("empirical")
    >>> mixed = gf.curvature.AdaptiveMixture(parts, gf.curvature.Hedge(rate=1.0))
    >>> run = gf.solve(problem, gf.SecondOrder(curvature=mixed), problem.net.init(0), steps=30)
    >>> first, second = mixed.policy.weights(run.state.memory)
    >>> bool(first > 0.99)
    True
    """

    parts: tuple[Curvature, ...]
    policy: Learning

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple) or len(self.parts) < 2:
            raise ValueError(f"parts must be a tuple of two curvatures or more, got {self.parts!r}")
        for i, part in enumerate(self.parts):
            curvature_in(f"parts[{i}]", part)
        missing = [name for name in ("start", "update", "weights") if not callable(getattr(self.policy, name, None))]
        if isinstance(self.policy, type) or missing:
            raise ValueError(f"policy must be an object with start, update and weights, got {self.policy!r}")
        if isinstance(self.policy, (Switching, ByAgreement)) and len(self.parts) != 2:
            raise ValueError(f"policy={self.policy!r} needs two parts, got {len(self.parts)}")

    def at(self, problem: Problem, theta: Array) -> MixtureModel:
        """Return the model at theta with equal weights: those of the policy are known to `remembered`.

        Raises
        ------
        ValueError
            If a part refuses the problem.
        """
        n = len(self.parts)
        return MixtureModel([part.at(problem, theta) for part in self.parts], (1 / n,) * n)

    def start(self, theta: Array) -> tuple[Array, ...]:
        """Return the memory of the policy at theta, (P,), arrays of its own shapes.

        Raises
        ------
        ValueError
            If it is not a tuple of arrays of the dtype of theta.
        """
        return memory_of("policy.start", self.policy.start(theta, len(self.parts)), theta)

    def update(self, model: Model, memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the memory of the policy, arrays of the shapes of `start`.

        Raises
        ------
        ValueError
            If it is not a tuple of arrays of these shapes and of the dtype of theta.
        """
        if not isinstance(model, MixtureModel):
            return memory
        return memory_of("policy.update", self.policy.update(model.parts, memory), model.theta, memory)

    def remembered(self, model: Model, memory: tuple[Array, ...]) -> Model:
        """Return the mixture with the weights of the policy, for its memory, arrays of the shapes of `start`.

        Raises
        ------
        ValueError
            If the weights are not one number >= 0 for each part, of sum 1 to rounding, or NaN.
        """
        if not isinstance(model, MixtureModel):
            return model
        return MixtureModel(model.parts, weights_of_policy(self.policy.weights(memory), len(self.parts), model.theta))
