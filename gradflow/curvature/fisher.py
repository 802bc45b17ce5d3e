r"""Fisher matrices: true, with drawn labels, empirical, centred.

Let the energy be the mean over N samples of negative log-likelihoods, ``F = (1/N) sum_i l_i`` with
``l_i = -log p(y_i | f_i)`` up to a constant. The score of a label y of sample i is

.. math:: s_i(y) = \nabla_\theta \log p(y \mid f_i) = -J_i^T\,\frac{\partial l_i}{\partial f_i}(f_i, y).   \tag{1}

With weights ``w_i >= 0`` of the samples, ``sum w_i = 1`` and ``w_i = 1/N`` by default, the matrices are, in coordinates,

.. math::
   \text{true} &\quad \sum_i w_i\, \mathbb E_{y \sim p(\cdot \mid f_i)} [s_i(y)\, s_i(y)^T]                \tag{2} \\
   \text{sampled} &\quad \sum_i w_i\, \frac1S \sum_{s=1}^S s_i(y_s)\, s_i(y_s)^T, \qquad
        y_s \sim p(\cdot \mid f_i)                                                                       \tag{3} \\
   \text{empirical} &\quad \sum_i w_i\, s_i(y_i)\, s_i(y_i)^T                                            \tag{4} \\
   \text{centred} &\quad \sum_i w_i\, (s_i - \bar s)(s_i - \bar s)^T = (4) - \bar s\,\bar s^T, \qquad
        \bar s = \sum_i w_i\, s_i(y_i)                                                                    \tag{5}

and the curvature is ``M^{-1}`` times that, plus L. Rows of roots are scores, weighted by the root of their probability.

* (2) is exact: for softmax the sum over all labels, whose rows are ``sqrt(p_y) (e_y - p)``; for a squared loss the
  expectation over ``y ~ N(f, sigma^2 I)``, ``sigma^2 = 1 / (N c^2)``, which is ``J^T J / (N sigma^2)``. It is the
  generalised Gauss-Newton matrix, at every theta.
* (3) has (2) as its expectation, and an error of order ``(N S)^{-1/2}``. The random numbers depend on `seed` alone, and not on
  theta: the n-th sample has the same ones in every step and, for a batch, by its place in the batch. Labels, and with them
  (3), are piecewise constant functions of theta for softmax; for a squared loss ``y - f`` does not depend on theta.
* (4) has the labels of the data. It is no estimate of (2), unless the model is right and theta is its true value: for a
  squared loss with residuals r, (4) scales as ``r^2``, and (2) does not.
* (5) is the covariance of the per-sample gradients. Without weights, ``-s`` is the gradient of F.

g lies in the range of (2) and (4), but not of (3) and (5).

The loss of a sample is ``A(f) - f . y`` up to terms without f, A the logarithm of the normalisation. The mean divergence of the
model at theta' from the model at theta is therefore the remainder of F, as a function of the outputs, after its tangent:

.. math::
   \frac1N \sum_i \mathrm{KL}\bigl(p(\cdot \mid f_i) \,\|\, p(\cdot \mid f_i')\bigr)
      = F(f') - F(f) - \frac{\partial F}{\partial f}(f) \cdot (f' - f).                                   \tag{6}

It does not depend on the labels. It is computed as this difference, with a rounding error of the order ``eps F``: a divergence of
this size or below may come out negative. To second order in ``d = theta' - theta`` it is ``d^T (2) d / 2`` without weights.

Source: Amari, Neural Comput. 10 (1998) 251; Martens, J. Mach. Learn. Res. 21 (2020) 146; Kunstner, Balles & Hennig, NeurIPS
32 (2019), for (4); Le Roux, Manzagol & Bengio, NIPS 20 (2008), for (5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, copied, fingerprint
from ..refusals import instance, one_of, real_array, whole_number
from .outer_products import OuterProducts, Rows, predicting

__all__ = ["KINDS", "Fisher", "divergence"]

KINDS = ("true", "sampled", "empirical", "centred")
"""The matrices (2) to (5)."""


@dataclass(frozen=True)
class Fisher:
    """The Fisher matrices (2) to (5) as a curvature. It needs a problem with outputs.

    Parameters
    ----------
    kind : {"true", "sampled", "empirical", "centred"}
        Which labels the scores have, and whether their mean is subtracted.
    samples : int
        The number S >= 1 of labels that are drawn for each sample, for "sampled".
    seed : int
        Of the random numbers, for "sampled".
    weights : array (N,), optional
        Weights of the samples, finite, >= 0 and not all zero; only their ratios count.
    normalized : bool
        Whether ``w_i`` is a weight over the sum of all, as above. If not, it is ``weights_i / N``, for estimators whose
        weights have the mean 1 on average (`gradflow.curvature.fisher_estimators`).

    Raises
    ------
    ValueError
        If the kind is unknown, or a number or the weights are not as said; if a centred matrix is to have weights that are not
        normalised.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 4, activation="tanh"), x, np.sin(3 * x))
    >>> theta = problem.net.init(0)
    >>> true, drawn = (gf.curvature.Fisher(kind, samples=2000).at(problem, theta).matrix() for kind in ("true", "sampled"))
    >>> bool(np.abs(drawn - true).max() < 0.05 * np.abs(true).max())
    True
    """

    kind: str = "true"
    samples: int = 1
    seed: int = 0
    weights: Array | None = field(default=None, compare=False)
    normalized: bool = True
    _weights: str = field(default="", init=False, repr=False)  # by which weights are compared

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        object.__setattr__(self, "samples", whole_number("samples", self.samples, 1))
        object.__setattr__(self, "seed", whole_number("seed", self.seed))
        instance("normalized", self.normalized, bool, "True or False")
        if not self.normalized and self.kind == "centred":
            raise ValueError("normalized must be True for a centred matrix: the weights of a mean have the sum 1")
        if self.weights is not None:
            weights = copied(real_array("weights", self.weights, {"N": None}, low=0))
            if not float(array_namespace(weights).max(weights)) > 0:
                raise ValueError("weights must not all be zero")
            object.__setattr__(self, "weights", weights)
            object.__setattr__(self, "_weights", fingerprint(weights))

    def at(self, problem: Problem, theta: Array) -> OuterProducts:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the problem has no outputs, or its number of samples is not that of the weights.
        """
        predicting(problem, "Fisher")
        return OuterProducts(problem, theta, self._rows(problem, theta))

    def _relative(self, problem: Problem, theta: Array) -> Array | None:
        """N w of (2), (N,); None for ones."""
        if self.weights is None:
            return None
        N = int(problem_ability(problem, "n_samples"))
        xp = array_namespace(theta)
        w = xp.astype(real_array("weights", self.weights, {"N": N}), theta.dtype)
        if not self.normalized:
            return w
        w = w / xp.max(w)
        return w * (N / xp.sum(w))

    def _rows(self, problem: Problem, theta: Array) -> Rows:
        xp, N = array_namespace(theta), int(problem_ability(problem, "n_samples"))
        relative = self._relative(problem, theta)
        root = None if relative is None else xp.sqrt(relative)[:, None, None]

        def weighted(Q: Array, part: slice) -> Array:
            return Q if root is None else root[part] * Q

        if self.kind == "true":
            each = int(problem_ability(problem, "n_outputs"))
            return Rows(lambda loss, f, part: weighted(loss.root(f), part), each, relative=relative)  # (2)
        if self.kind == "sampled":
            draws: Any = problem_ability(problem, "output_loss").draws(np.random.default_rng(self.seed), self.samples)

            def drawn(loss: Any, f: Array, part: slice) -> Array:
                return weighted(loss.sampled_root(f, draws[part]), part)

            return Rows(drawn, self.samples, relative=relative)  # (3)

        def slopes(loss: Any, f: Array, part: slice) -> Array:
            return weighted(N**0.5 * loss.energy_and_slope(f)[1][:, None, :], part)

        one = Rows(slopes, 1, relative=relative)
        if self.kind == "empirical":
            return one  # (4)
        s = xp.ones(N, dtype=theta.dtype) / N**0.5 if root is None else root[:, 0, 0] / N**0.5
        return one._replace(s=s, mean=OuterProducts(problem, theta, one).weighted_rows(s))  # (5)


def divergence(problem: Problem, theta: Array, theta_new: Array) -> Array:
    """Return the mean divergence (6), 0-d.

    Parameters
    ----------
    problem : Predicting
        The energy.
    theta, theta_new : array (P,)
        Parameters of the two models.

    Raises
    ------
    ValueError
        If the problem has no outputs.
    """
    predicting(problem, "divergence")
    blocks: Any = problem_ability(problem, "output_blocks")
    xp, total = array_namespace(theta), 0 * theta[0]
    for (old, loss), (new, _) in zip(blocks(theta), blocks(theta_new), strict=True):
        f, f_new = copied(old.outputs), new.outputs
        energy, slope = loss.energy_and_slope(f)
        total = total + (loss.energy_and_slope(f_new)[0] - energy - xp.sum(slope * (f_new - f)))  # (6)
    return total
