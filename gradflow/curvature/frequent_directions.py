r"""Frequent directions: a curvature of a stream of rows, in l rows.

The steps of a run give rows ``R_1, R_2, ...``, roots of the curvatures at their thetas without the energy part L. With the decay
beta, the stream has the Gram matrix

.. math:: A_n^* A_n = \beta\,A_{n-1}^* A_{n-1} + (1 - \beta)\,R_n^* R_n,                                  \tag{1}

with 1 in the place of ``1 - beta`` for ``beta = 1``, a sum without decay. A sketch B of l rows is kept. New rows
are appended, and all squares of singular values are reduced by the first one that is left out:

.. math:: \begin{pmatrix} \beta^{1/2} B \\ (1 - \beta)^{1/2} R \end{pmatrix} = U\,\mathrm{diag}(\sigma)\,V^T, \qquad
          \delta = \sigma_{l+1}^2, \qquad B_+ = \mathrm{diag}\bigl(\max(\sigma_i^2 - \delta, 0)^{1/2}\bigr)_{i \le l}\, V_l^T. \tag{2}

The curvature is ``G = B^* B / w + L`` with the sum w of the weights of (1), and the memory is l P numbers. No matrix of
P^2 entries is formed, and at most l rows are appended at a time.

Law. With ``Delta_n = beta Delta_{n-1} + sum delta`` over the reductions of step n, in the order of semi-definite operators,

.. math:: 0 \le A^* A - B^* B \le \Delta\,I, \qquad (l + 1)\,\Delta \le |A|_F^2 - |B|_F^2, \qquad
          \Delta \le \frac{|A - A_k|_F^2}{l + 1 - k}, \quad k = 0, \dots, l,                              \tag{3}

``A_k`` the nearest of rank k. Each reduction takes delta from l + 1 squares at least, which is the second part; the
traces along the k leading singular vectors of A give the third. The source subtracts ``sigma_l^2``, keeps l - 1 rows,
and has the denominator l - k. A truncation to l rows, as in `gradflow.curvature.MovingAverage`, has no such bound: a
direction that is weak in each step is cut off in each.

========  =========  ==========
symbol    code       shape
========  =========  ==========
B         B          (l, P)
R         rows       (n, P)
sigma     sigma      (l + n,)
Delta     lost       0-d
w         weight     0-d
========  =========  ==========

Source: Ghashami, Liberty, Phillips & Woodruff, SIAM J. Comput. 45 (2016) 1762, Algorithm 2.1 and Theorem 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import few_entries, plain_numbers, real_number, whole_number
from .lapack import svd
from .low_rank import Factors, LowRankModel
from .model import Curvature, Model, curvature_in
from .outer_products import OuterProducts

__all__ = ["FrequentDirections", "frequent_directions_update"]


def frequent_directions_update(B: Array, rows: Array) -> tuple[Array, Array]:
    """Return the sketch B of (2) with new rows, (l, P), and delta, 0-d; NaN if they are not finite.

    Parameters
    ----------
    B : array
        The sketch, of shape (l, P), l <= P.
    rows : array
        The new rows, of shape (n, P).
    """
    xp, stack = array_namespace(B), array_namespace(B).concat([B, rows])
    _, sigma, Vt = svd(stack)
    squares, l = sigma**2, B.shape[0]
    delta = squares[l] if squares.shape[0] > l else 0 * squares[0]  # (2)
    return xp.sqrt(xp.maximum(squares[:l] - delta, 0 * squares[:l]))[:, None] * Vt[:l, :], delta  # (2)


@dataclass(frozen=True)
class FrequentDirections:
    """The sketch (2) of the stream of another curvature along a run, for `gradflow.SecondOrder`.

    Parameters
    ----------
    of : Curvature
        The curvature of each step, with a root: `gradflow.curvature.GaussNewton`, `gradflow.curvature.Fisher`, ...
    size : int
        The number l >= 1 of rows; more than P is P.
    beta : float
        The weight of the past, in [0, 1]; 1 for the mean of all steps.

    Raises
    ------
    ValueError
        If `of` is no curvature, or has a memory itself, or a number is out of its range; at `init`, if the curvature
        refuses the problem or has no root there, or the inner product is not diagonal.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 2))
    >>> problem = gf.Classification(gf.TwoLayerNet(2, 8, 2, activation="tanh", scaling="ntk"), x, (x[:, 0] > 0).astype(int))
    >>> stream = gf.curvature.FrequentDirections(gf.curvature.Fisher(), size=8, beta=0.9)
    >>> method = gf.SecondOrder(curvature=stream, globalization=gf.curvature.FixedDamping(0.1))
    >>> run = gf.solve(problem, method, problem.net.init(0), epochs=10, batch_size=20, dt=0.1, seed=0)
    >>> bool(run.history["energy"][-1] < 0.5 * run.history["energy"][0])
    True
    """

    of: Curvature
    size: int
    beta: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        curvature_in("of", self.of)
        object.__setattr__(self, "size", whole_number("size", self.size, 1))
        real_number("beta", self.beta, 0, 1)

    def at(self, problem: Problem, theta: Array) -> Model:
        """Return the model of the present theta alone.

        Raises
        ------
        ValueError
            If the curvature refuses the problem or has no root, or its inner product is not diagonal.
        """
        model = self.of.at(problem, theta)
        model.unconfined("FrequentDirections")
        model.known_mass("FrequentDirections")
        if model.rows is None:
            raise ValueError(f"FrequentDirections needs a curvature with a root, got {self.of!r}")
        return model

    def start(self, theta: Array) -> tuple[Array, ...]:
        """Return w and Delta, 0-d, and B, (l, P): zeros.

        Raises
        ------
        ValueError
            If that is too many numbers.
        """
        zero, l = 0 * theta, min(self.size, theta.shape[0])
        few_entries("FrequentDirections", l, theta.shape[0], "take a smaller size")
        return zero[0], zero[0], zero[:l][:, None] * zero

    def update(self, model: Model, memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return w and Delta, 0-d, and B, (l, P), of (2)."""
        weight, lost, B = memory
        new = 1.0 if self.beta == 1 else 1 - self.beta
        weight, lost, B = self.beta * weight + new, self.beta * lost, self.beta**0.5 * B
        S = model.known_mass("FrequentDirections") ** 0.5
        for rows in _rows(model, B.shape[0]):
            B, delta = frequent_directions_update(B, new**0.5 * rows / S)  # (2)
            lost = lost + delta
        return weight, lost, B

    def remembered(self, model: Model, memory: tuple[Array, ...]) -> Model:
        """Return the model with ``B^* B / w + L``, for w, Delta (0-d) and B (l, P)."""
        weight, _, B = memory
        return LowRankModel(model, lambda model: _factors(model, B, weight), True)


def _rows(model: Model, most: int) -> Iterator[Array]:
    """Yield the rows of a root without those of L, at most `most` at a time."""
    if isinstance(model, OuterProducts):
        blocks: Iterator[Array] = (rho for _, rho in model.blocks_of_rows())
    else:
        root = model.root()
        blocks = iter(()) if root is None else iter((root.R[: model.rows, :],))
    for block in blocks:
        for start in range(0, block.shape[0], most):
            yield block[start : min(start + most, block.shape[0]), :]


def _factors(model: Model, B: Array, weight: Array) -> Factors:
    """Return U, (P, l), and mu, (l,): the rows of B are orthogonal, those that are zero stay so."""
    xp, S = array_namespace(B), model.known_mass("FrequentDirections") ** 0.5
    squares = xp.sum(B * B, axis=1)
    lengths = xp.where(squares > 0, squares, 1 + 0 * squares) ** 0.5
    return ((B / lengths[:, None]) / S).T, squares / weight
