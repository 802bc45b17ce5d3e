r"""Losses of a block of samples: energy, derivative by the outputs, curvature.

A least-squares loss is a scaled residual, so that its energy is half a square *exactly*:

.. math::
   q = c\,(f - y), \qquad E = \tfrac12 |q|^2, \qquad \partial E/\partial f = c\,q, \qquad
   \partial^2 E/\partial f^2 = c^2 I                                                                   \tag{1}

with

======  =====  ======
symbol  code   shape
======  =====  ======
f, y    f, y   (N, k)
delta   delta  (N, k)
v       v      (N, k)
c       c      number
======  =====  ======

v being a direction of f. The losses are

=================  ==========================================  ================================
loss               energy                                      c
=================  ==========================================  ================================
half_sum           1/2 sum (f - y)^2                           1
mse                mean of (f - y)^2 over all N k entries      sqrt(2 / (N k))
relative           sum (f - y)^2 / sum y^2                     sqrt(2 / sum y^2)
squared_onehot     mse with y the indicator of the label       sqrt(2 / (N k))
=================  ==========================================  ================================

Cross-entropy is no square. With the logits of sample i taken relative to that of its label l, ``g_j = f_j - f_l``,
and ``M = max g >= 0``, ``e_j = exp(g_j - M)``,

.. math::
   E &= \frac1N \sum_i \Bigl( \log \sum_j e^{f_j} - f_l \Bigr)
      = \frac1N \sum_i \Bigl( M + \mathrm{log1p}\bigl(r + \mathrm{expm1}(-M)\bigr) \Bigr),
      \qquad r = \sum_{j \ne l} e_j                                                                    \tag{2} \\
   \frac{\partial E}{\partial f_j} &= \frac{p_j - \delta_{jl}}{N}, \qquad p = \frac{e}{r + e_l}, \qquad
   p_l - 1 = -\frac{r}{r + e_l}                                                                        \tag{3} \\
   \frac{\partial^2 E}{\partial f^2} v &= \frac{p \circ v - p\,(p \cdot v)}{N}                          \tag{4} \\
   \frac{\partial^3 E}{\partial f^3}[u, v] &= \frac{p \circ w - p\,(p \cdot w)}{N}, \qquad
   w = (u - p \cdot u) \circ (v - p \cdot v)                                                          \tag{6}

A root of (4), ``Q^T Q = (diag(p) - p p^T) / N``, is

.. math::
   Q = N^{-1/2}\,\mathrm{diag}(\sqrt p)\,(I - \mathbf 1 p^T), \qquad
   1 - p_y = \sum_{j \ne y} p_j.                                                                       \tag{5}

Its row y is ``sqrt(p_y / N) (e_y - p)``: up to the sign, the score of the label y, weighted by its probability. The squares
of the scores of labels that the model draws therefore have (4) as their expectation. For (1) the model is
``y ~ N(f, sigma^2 I)`` with ``sigma^2 = 1 / (N c^2)``, ``Q = c I``, and c times a standard normal vector.

The printed log-sum-exp would round an energy below 1e-16 (1e-7 in float32) to zero or to noise; (2) and (3) keep full
relative accuracy there, and nothing overflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any, TypeAlias

from ..namespace import Array, array_namespace

__all__ = [
    "CLASSIFICATION_LOSSES",
    "REGRESSION_LOSSES",
    "CrossEntropy",
    "Loss",
    "ScaledResidual",
    "onehot",
    "residual_scale",
]

REGRESSION_LOSSES = ("mse", "half_sum", "relative")
"""What `Regression` takes."""
CLASSIFICATION_LOSSES = ("cross_entropy", "squared_onehot")
"""What `Classification` takes."""


def residual_scale(loss: str, y: Array) -> float:
    """Return the factor c of equation (1) for targets `y` of shape (N, k).

    Parameters
    ----------
    loss : str
        A least-squares loss of the table above.
    y : array (N, k)
        Targets.

    Raises
    ------
    ValueError
        If the loss is "relative" and sum y^2 is zero or overflows.
    """
    if loss == "half_sum":
        return 1.0
    if loss == "relative":
        xp = array_namespace(y)
        square = float(xp.sum(y * y))
        if not (square > 0 and isfinite(square)):
            raise ValueError(f"loss 'relative' divides by sum(y^2), which must be positive and finite; got {square}")
        return sqrt(2 / square)
    return sqrt(2 / (y.shape[0] * y.shape[1]))


def onehot(labels: Array, k: int, like: Array) -> Array:
    """Return the indicator of `labels` (N,), shape (N, k), in the dtype of `like`.

    Parameters
    ----------
    labels : int array (N,)
        Classes in [0, k).
    k : int
        Number of classes.
    like : array
        Of the library and dtype wanted, of any shape.
    """
    xp = array_namespace(like)
    return xp.astype(labels[:, None] == xp.arange(k, dtype=labels.dtype)[None, :], like.dtype)


@dataclass(frozen=True, eq=False)
class ScaledResidual:
    """A least-squares loss, equation (1)."""

    y: Array
    """Targets, shape (N, k)."""
    c: float
    """Scale of the residual."""

    def rows(self, rows: slice) -> ScaledResidual:
        """Return the part of this sum that belongs to a slice of the rows; the scale stays."""
        return ScaledResidual(self.y[rows, :], self.c)

    def _scaled(self, f: Array) -> Array:
        q = f - self.y
        if self.c != 1.0:
            q *= self.c  # (1)
        return q

    def residual(self, f: Array) -> Array:
        """Return q, shape (N k,), sample-major."""
        return array_namespace(f).reshape(self._scaled(f), (-1,))

    def energy(self, f: Array) -> Array:
        """Return E, 0-d."""
        q = self.residual(f)
        return q @ q / 2

    def energy_and_slope(self, f: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and dE/df, shape (N, k)."""
        delta = self._scaled(f)
        q = array_namespace(f).reshape(delta, (-1,))
        return q @ q / 2, delta if self.c == 1.0 else self.c * delta

    def curvature(self, f: Array, v: Array) -> Array:
        """Return (d^2 E / df^2) v, shape (N, k)."""
        return (self.c * self.c) * v

    def third_derivative(self, f: Array, u: Array, v: Array) -> Array:
        """Return (d^3 E / df^3)[u, v], shape (N, k), which vanishes.

        Parameters
        ----------
        f, u, v : array (N, k)
            Outputs, and two directions.
        """
        return array_namespace(f).zeros_like(f)

    def root(self, f: Array) -> Array:
        """Return c I for each sample, shape (N, k, k)."""
        xp = array_namespace(f)
        N, k = f.shape
        return xp.broadcast_to(self.c * xp.eye(k, dtype=f.dtype), (N, k, k))

    def draws(self, rng: Any, samples: int) -> Any:
        """Return standard normal numbers from a NumPy generator rng, an array of shape (N, samples, k)."""
        N, k = self.y.shape
        return rng.standard_normal((N, samples, k))

    def sampled_root(self, f: Array, draws: Any) -> Array:
        """Return c / sqrt(samples) times the draws, shape (N, samples, k)."""
        return (self.c / sqrt(draws.shape[1])) * array_namespace(f).asarray(draws, dtype=f.dtype)


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Softmax cross-entropy, equation (2); `weight` is 1/N of the whole sum."""

    y: Array
    """Indicator of the labels, shape (N, k)."""
    weight: float
    """1 / N of the whole sum."""

    def rows(self, rows: slice) -> CrossEntropy:
        """Return the part of this sum that belongs to a slice of the rows; the weight stays."""
        return CrossEntropy(self.y[rows, :], self.weight)

    def _parts(self, f: Array) -> tuple[Array, Array, Array]:
        """Return M (N, 1), e without the label's entry (N, k), and r (N, 1)."""
        xp = array_namespace(f)
        g = f - xp.sum(self.y * f, axis=1, keepdims=True)
        M = xp.max(g, axis=1, keepdims=True)
        e = xp.exp(g - M) * (1 - self.y)
        return M, e, xp.sum(e, axis=1, keepdims=True)

    def _probabilities(self, f: Array) -> Array:
        """Return p, (N, k)."""
        M, e, r = self._parts(f)
        e_label = array_namespace(f).exp(-M)
        return (e + self.y * e_label) / (r + e_label)

    def energy(self, f: Array) -> Array:
        """Return E, 0-d."""
        xp = array_namespace(f)
        M, _, r = self._parts(f)
        return self.weight * xp.sum(M + xp.log1p(r + xp.expm1(-M)))  # (2)

    def energy_and_slope(self, f: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and dE/df, shape (N, k)."""
        xp = array_namespace(f)
        M, e, r = self._parts(f)
        E = self.weight * xp.sum(M + xp.log1p(r + xp.expm1(-M)))  # (2)
        return E, (e - self.y * r) * (self.weight / (r + xp.exp(-M)))  # (3)

    def curvature(self, f: Array, v: Array) -> Array:
        """Return (d^2 E / df^2) v, shape (N, k)."""
        xp, p = array_namespace(f), self._probabilities(f)
        return self.weight * p * (v - xp.sum(p * v, axis=1, keepdims=True))  # (4)

    def third_derivative(self, f: Array, u: Array, v: Array) -> Array:
        """Return (d^3 E / df^3)[u, v], shape (N, k).

        Parameters
        ----------
        f, u, v : array (N, k)
            Outputs, and two directions.
        """
        xp, p = array_namespace(f), self._probabilities(f)
        w = (u - xp.sum(p * u, axis=1, keepdims=True)) * (v - xp.sum(p * v, axis=1, keepdims=True))
        return self.weight * p * (w - xp.sum(p * w, axis=1, keepdims=True))  # (6)

    def _scores(self, f: Array) -> tuple[Array, Array]:
        """Return p (N, k), and the scores ``e_y - p`` of all labels y, (N, k, k), to full relative accuracy."""
        xp, p = array_namespace(f), self._probabilities(f)
        same = xp.eye(p.shape[1], dtype=p.dtype)
        others = p @ (1 - same)  # 1 - p_y of (5)
        return p, same * others[:, :, None] - (1 - same) * p[:, None, :]

    def root(self, f: Array) -> Array:
        """Return (5), shape (N, k, k)."""
        p, scores = self._scores(f)
        return array_namespace(f).sqrt(self.weight * p)[:, :, None] * scores

    def draws(self, rng: Any, samples: int) -> Any:
        """Return numbers uniform in [0, 1) from a NumPy generator rng, an array of shape (N, samples)."""
        return rng.random((self.y.shape[0], samples))

    def sampled_root(self, f: Array, draws: Any) -> Array:
        """Return sqrt(weight / samples) times the scores of the drawn labels, shape (N, samples, k).

        The label is the first y with ``draw < p_1 + ... + p_y``.
        """
        xp = array_namespace(f)
        p, scores = self._scores(f)
        k = p.shape[1]
        sums = p @ xp.triu(xp.ones((k, k), dtype=p.dtype))
        passed = xp.asarray(draws, dtype=p.dtype)[:, :, None] >= sums[:, None, :-1]
        label = xp.sum(xp.astype(passed, xp.int64), axis=2)
        chosen = onehot(xp.reshape(label, (-1,)), k, p)
        return sqrt(self.weight / draws.shape[1]) * (xp.reshape(chosen, (*label.shape, k)) @ scores)


Loss: TypeAlias = ScaledResidual | CrossEntropy
"""A loss of a block of samples."""
