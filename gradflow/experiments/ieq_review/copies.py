r"""The smallest problem on which a stored residual goes wrong: N copies of one residual.

.. math:: q_i(\theta) = \theta \in \mathbb R, \quad i = 1, \dots, N, \qquad E(\theta) = \tfrac N2\,\theta^2       \tag{1}

with the minimum at 0, and batches of the same residual. See `gradflow.experiments.ieq_review.drift`.
"""

from __future__ import annotations

import numpy as np

from ...energies.dense import DenseLeastSquares
from ...namespace import Array

__all__ = ["Copies"]


class Copies(DenseLeastSquares):
    """N copies of the residual q_i = theta, equation (1), a problem with batches.

    Parameters
    ----------
    n_samples : int
        N.
    rows : int array (B,), optional
        Of a batch: which samples.
    """

    def __init__(self, n_samples: int, rows: Array | None = None) -> None:
        self.n_samples = n_samples if rows is None else len(rows)
        self._whole, self._rows = n_samples, rows
        super().__init__(self._copied, self._ones)

    def _copied(self, theta: Array) -> Array:
        return np.repeat(theta, self.n_samples)

    def _ones(self, theta: Array) -> Array:
        return np.ones((self.n_samples, 1), dtype=theta.dtype)

    def batch(self, indices: Array) -> Copies:
        """Return the same residual for some samples.

        Parameters
        ----------
        indices : int array (B,)
            Which.
        """
        return Copies(self._whole, indices)

    def gather(self, q_full: Array) -> Array:
        """Return the batch's entries, (B,), of stored residuals.

        Parameters
        ----------
        q_full : array (N,)
            Of all samples.
        """
        return q_full if self._rows is None else q_full[self._rows]

    def scatter(self, q_full: Array, q_batch: Array) -> Array:
        """Return a copy of `q_full` (N,) with the batch's entries replaced.

        Parameters
        ----------
        q_full : array (N,)
            Of all samples.
        q_batch : array (B,)
            Of the batch.
        """
        if self._rows is None:
            return q_batch
        q = np.array(q_full)
        q[self._rows] = q_batch
        return q
