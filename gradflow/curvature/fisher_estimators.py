r"""Estimators of a Fisher matrix from some of the samples.

Let ``F = (1/N) sum_i F_i`` with the semi-definite matrices ``F_i`` of the samples (`gradflow.curvature.fisher`). All
estimators are sums with weights that have the mean 1,

.. math:: \hat F = \frac1N \sum_{i=1}^N w_i\, F_i, \qquad \mathbb E w_i = 1,                              \tag{1}

so that ``E F^ = F``. Let ``c_i`` be the number of times that sample i is drawn.

**Importance sampling.** n independent draws with the probabilities ``p_i > 0``:

.. math:: w_i = \frac{c_i}{n\,p_i}, \qquad
          \mathbb E |\hat F - F|^2 = \frac1n \Bigl(\frac{1}{N^2} \sum_i \frac{|F_i|^2}{p_i} - |F|^2\Bigr)        \tag{2}

in the Frobenius norm. It is least for ``p_i`` in proportion to ``|F_i|``, which is ``|g_i|^2`` for ``F_i = g_i g_i^T``, and then
``((sum |F_i| / N)^2 - |F|^2) / n``. Without the factor 1/n, the sum over n draws is n times too large.

**Strata.** The samples are divided into strata of ``N_h`` samples, of which ``n_h >= 1`` are drawn uniformly, with replacement:

.. math:: w_i = \frac{N_h}{n_h}\,c_i \;\; (i \in h), \qquad
          \mathbb E |\hat F - F|^2 = \sum_h \frac{N_h^2}{N^2}\,\frac{\sigma_h^2}{n_h},                        \tag{3}

with the variance ``sigma_h^2`` of the ``F_i`` in stratum h. With ``n_h`` in proportion to ``N_h`` it is never above that of
n uniform draws. The plain mean of the draws is biased where ``n_h / N_h`` differ.

**Control variates.** With an estimate ``F^_0`` from the same draws of a matrix ``F_0`` that is known,

.. math:: \hat F + c\,(F_0 - \hat F_0), \qquad
          \mathbb E|\cdot - F|^2 = V(\hat F) - 2c\,\mathrm{Cov}(\hat F, \hat F_0) + c^2\,V(\hat F_0).        \tag{4}

The mean is F for every c if and only if ``E F^_0 = F_0``. The variance is least for ``c = Cov / V(F^_0)``. The result need
not be semi-definite. For c = 1 and the matrix at an earlier theta, the snapshot, this is variance reduction as in SVRG: if
all ``F_i`` are Lipschitz continuous, the variance is ``O(|theta - snapshot|^2)``. Drawn labels are not: between theta and
the snapshot each changes with a probability in proportion to their distance, and the variance is ``O(|theta - snapshot|)``
for ``kind="sampled"``. Both estimates and ``F_0`` are to be of the same samples: with ``F_0`` of one mini-batch and the
estimates of another, the mean is wrong by c times the difference of their matrices at the snapshot.

These weights are for `gradflow.curvature.Fisher` with ``normalized=False``. All samples are evaluated there, those of
weight 0 included: the estimators are for comparison. Uniform draws for the price of the draws are batches.

Source: Zhao & Zhang, ICML (2015), for (2); Cochran, Sampling Techniques (1977), sections 5.3 and 5.5, for (3); Johnson & Zhang, NIPS 26
(2013), for the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, fingerprint
from ..refusals import Floats, few_entries, instance, plain_numbers, real_array, real_number, whole_number
from .fisher import Fisher
from .low_rank import linear_matrix
from .model import Model
from .moving_average import DenseModel
from .outer_products import OuterProducts, predicting

__all__ = ["SnapshotFisher", "importance_weights", "stratified_weights"]

_PURPOSE = 35  # sets these random numbers apart from others of the same seed


def importance_weights(draws: Array, p: Floats) -> Floats:
    """Return the weights of (2), (N,).

    Parameters
    ----------
    draws : int array (n,)
        The samples that were drawn, n >= 1.
    p : array (N,)
        The probabilities, positive normal numbers, of sum 1 to 1e-12.

    Raises
    ------
    ValueError
        If a probability is not positive, or so small that its inverse overflows, they do not have the sum 1, or nothing was
        drawn.
    """
    p = real_array("p", p, {"N": None}, low=0)
    if not (p.min() >= np.finfo(p.dtype).smallest_normal and abs(p.sum() - 1) < 1e-12):
        raise ValueError("p must have positive normal entries of sum 1")
    draws = _numbers("draws", draws, len(p))
    return np.bincount(draws, minlength=len(p)) / (len(draws) * p)  # (2)


def stratified_weights(draws: Array, strata: Array) -> Floats:
    """Return the weights of (3), (N,).

    Parameters
    ----------
    draws : int array (n,)
        The samples that were drawn, one or more of each stratum.
    strata : int array (N,)
        The stratum of each sample, numbers from 0 to N - 1.

    Raises
    ------
    ValueError
        If an argument is not an array of such numbers, or a stratum with samples has no draw.
    """
    strata = _numbers("strata", strata, None)
    draws = _numbers("draws", draws, len(strata))
    sizes = np.bincount(strata)
    drawn = np.bincount(strata[draws], minlength=len(sizes))
    if np.any((sizes > 0) & (drawn == 0)):
        raise ValueError("draws must contain a sample of each stratum")
    return (np.bincount(draws, minlength=len(strata)) * (sizes / np.maximum(drawn, 1))[strata]).astype(float)  # (3)


def _numbers(name: str, given: Any, N: int | None) -> Array:
    """Return whole numbers from 0 to N - 1 as an array, (n,), or raise ValueError; N is their count for None."""
    try:
        a = np.asarray(given)
    except (TypeError, ValueError):  # rows of several lengths
        a = np.zeros(())
    top = (a.size if N is None else N) - 1
    if a.ndim != 1 or a.size == 0 or a.dtype.kind not in "iu" or a.min() < 0 or a.max() > top:
        raise ValueError(
            f"{name} must be whole numbers from 0 to {'N - 1' if top < 0 else top}, one or more; got {given!r}"
        )
    return a.astype(np.int64)


@dataclass(frozen=True)
class SnapshotFisher:
    """The estimator (4) with the matrix at a snapshot as the control, for `gradflow.SecondOrder`.

    In each step n samples are drawn uniformly. The snapshot is renewed after some steps: the first step is one with the
    full matrix. The matrix at the snapshot is made in each step, from the samples of the step: for a mini-batch the mean of
    the estimator is the matrix of the batch. The energy and the gradient are those of all its samples.

    Parameters
    ----------
    fisher : Fisher
        The matrix, without weights, and not centred.
    draws : int
        The number n >= 1.
    every : int
        The number of steps between two snapshots, >= 1.
    coefficient : float
        The factor c; 1 as in SVRG, 0 without a control.
    seed : int
        Of the draws, >= 0. They depend on it and on theta.

    Raises
    ------
    ValueError
        If `fisher` is not as said, or a number is out of its range; at `init`, if the problem has no outputs, or its inner
        product is not diagonal.
    """

    fisher: Fisher = Fisher()
    draws: int = 32
    every: int = 10
    coefficient: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        plain_numbers(self)
        instance("fisher", self.fisher, Fisher, "a gradflow.curvature.Fisher")
        if self.fisher.weights is not None or self.fisher.kind == "centred":
            raise ValueError(f"fisher must have no weights and not be centred, got {self.fisher!r}")
        object.__setattr__(self, "draws", whole_number("draws", self.draws, 1))
        object.__setattr__(self, "every", whole_number("every", self.every, 1))
        real_number("coefficient", self.coefficient)
        object.__setattr__(self, "seed", whole_number("seed", self.seed))

    def at(self, problem: Problem, theta: Array) -> OuterProducts:
        """Return the model of the full matrix at theta.

        Raises
        ------
        ValueError
            If the problem has no outputs, or its inner product is not diagonal.
        """
        predicting(problem, "SnapshotFisher")
        return self.fisher.at(problem, theta)

    def start(self, theta: Array) -> tuple[Array, ...]:
        """Return the age of the snapshot, 0-d, -1 for none, and the snapshot, (P,).

        Raises
        ------
        ValueError
            If the matrices of a step have too many numbers.
        """
        few_entries("SnapshotFisher", theta.shape[0], theta.shape[0], "Fisher() stores none")
        return 0 * theta[0] - 1, theta

    def update(self, model: Model, memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the age, 0-d, and the snapshot, (P,): new ones at the age `every`."""
        age, snapshot = memory
        if bool((age >= 0) & (age + 1 < self.every)):
            return age + 1, snapshot
        return 0 * age, model.theta

    def remembered(self, model: Model, memory: tuple[Array, ...]) -> Model:
        """Return the model with (4), for an age (0-d) and a snapshot (P,)."""
        _, snapshot = memory
        whole = self.fisher.at(model.problem, snapshot)
        F = whole.matrix() - linear_matrix(whole)
        estimate = self._drawn(model.problem, model.theta, model.theta)
        control = self._drawn(model.problem, snapshot, model.theta)
        found = DenseModel(model, estimate + self.coefficient * (F - control))  # (4)
        found.definite = False
        return found

    def _drawn(self, problem: Problem, theta: Array, of: Array) -> Array:
        """The estimate (1) at theta with the draws of another theta, without L, (P, P)."""
        N, xp = int(problem_ability(problem, "n_samples")), array_namespace(theta)
        rng = np.random.default_rng([self.seed, int(fingerprint(of), 16), _PURPOSE])
        w = importance_weights(rng.integers(N, size=self.draws), np.full(N, 1 / N))
        fisher = Fisher(
            self.fisher.kind, self.fisher.samples, self.fisher.seed, xp.asarray(w, dtype=theta.dtype), False
        )
        model = fisher.at(problem, theta)
        return model.matrix() - linear_matrix(model)
