r"""The covariance of a fit with a large sparse Jacobian, by a sparse factorisation.

In the notation of `gradflow.run.fit`, with the factor C of ``B = C^T C`` and A scaled to a unit diagonal by S, the variance of a
linear function x of the parameters is

.. math:: x^T \operatorname{Cov} x = |C y|^2, \qquad y = A^{-1} x, \qquad S^{-1} A S^{-1} = L D L^T,       \tag{1}

one pair of sparse triangular systems for each function; for the standard errors there are P of them, in blocks. A is positive
definite if and only if D is (Sylvester). No matrix of P^2 entries is made, unless the covariance itself is asked for.

The condition number of the Jacobian is squared here. Its size is known from ``|S^{-1} A S^{-1}|_1`` and a few steps of inverse
iteration; the relative errors of (1) are about eps times its square. Where fewer than four digits would be left, there is
no answer: a dense Jacobian is decomposed by its singular values, whose errors are eps times the condition number itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..energies.sparse import DENSE_ENTRIES
from ..namespace import Array

__all__ = ["SparseSpread"]

DIGITS = 1e-4  # relative error of a variance beyond which there is none
BLOCK = 16  # systems that are solved together
MOST_WORK = 10**11  # P times the entries of L and U, up to which all standard errors are computed: some minutes
ITERATIONS = 20
INDEFINITE = "theta is no minimum of positive curvature, or the residuals do not determine all parameters: A is not positive definite"


class SparseSpread:
    """The covariance (1).

    Parameters
    ----------
    A : sparse array (P, P)
        The matrix A, symmetric.
    C : sparse array (N, P)
        The factor of B.
    dtype : dtype
        Of the results; the work is in float64.
    names : list of str
        The names of the P parameters, for a refusal.

    Raises
    ------
    ValueError
        If A is not positive definite, or its condition number leaves no digits.
    """

    method = "a sparse factorisation of J^T J"
    """How the covariance was factorised."""

    def __init__(self, A: Any, C: Any, dtype: Any, names: list[str]) -> None:
        from scipy.sparse.linalg import splu

        A, self._C, self._dtype = A.astype(np.float64), C.astype(np.float64), dtype
        diagonal = A.diagonal()
        if np.any(diagonal == 0):
            where = np.flatnonzero(diagonal == 0)[0]
            raise ValueError(f"the residuals do not determine all parameters: not {names[where]}")
        if np.any(diagonal < 0):
            raise ValueError(INDEFINITE)
        self._scale = 1 / np.sqrt(diagonal)
        scaled = A.multiply(self._scale[:, None]).multiply(self._scale[None, :]).tocsc()
        try:
            self._factors = splu(
                scaled, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )
        except RuntimeError as error:
            raise ValueError("the residuals do not determine all parameters: J^T J is singular") from error
        factors = self._factors
        definite = np.array_equal(factors.perm_r, factors.perm_c) and bool(np.all(factors.U.diagonal() > 0))
        if not definite:
            raise ValueError(INDEFINITE)
        v = np.random.default_rng(0).standard_normal(scaled.shape[0])
        for _ in range(ITERATIONS):
            v = factors.solve(v / np.linalg.norm(v))
        condition = float(np.linalg.norm(v)) * float(abs(scaled).sum(axis=0).max())
        if not condition * np.finfo(np.float64).eps <= DIGITS:
            raise ValueError(
                f"the residuals hardly determine all parameters: J^T J, with columns scaled to length 1, has a condition "
                f"number of about {condition:.1g}, and a sparse factorisation leaves no digits of the covariance; take fewer "
                "parameters, a linear part, or a dense Jacobian, which is decomposed by its singular values"
            )

    @property
    def work(self) -> int:
        """P times the entries of the factors: what all standard errors cost, in some 4 ns each."""
        return int(self._C.shape[1] * self._factors.nnz)

    def _solved(self, X: Any) -> Any:
        """Return A^{-1} X, (P, K)."""
        return self._scale[:, None] * self._factors.solve(self._scale[:, None] * X)

    def errors(self, X: Array | None) -> Array:
        """Return the standard errors of X theta, (K,); those of theta for None.

        Parameters
        ----------
        X : array (K, P) or None
            Its rows are linear functions.

        Raises
        ------
        ValueError
            If X is None and the work is too large.
        """
        P = self._C.shape[1]
        if X is None and self.work > MOST_WORK:
            raise ValueError(
                f"the standard errors of all {P} parameters are too much work, {P} sparse systems with "
                f"{self._factors.nnz} entries: take those that matter, errors_of(X) with rows of the identity"
            )
        K = P if X is None else X.shape[0]
        found = np.empty(K)
        for i in range(0, K, BLOCK):
            n = min(BLOCK, K - i)
            x = np.zeros((P, n), order="F")
            if X is None:
                x[np.arange(i, i + n), np.arange(n)] = 1.0
            else:
                x[:, :] = X[i : i + n].T
            found[i : i + n] = np.linalg.norm(self._C @ self._solved(x), axis=0)  # (1)
        return found.astype(self._dtype)

    def matrix(self) -> Array:
        """Return the covariance, (P, P).

        Raises
        ------
        ValueError
            If it has too many entries.
        """
        P = self._C.shape[1]
        if 4 * P * P > DENSE_ENTRIES:
            raise ValueError(
                f"the covariance of {P} parameters is too large to be stored: take standard_errors, or errors_of(X) for "
                "linear functions of the parameters"
            )
        inverse = self._solved(np.eye(P))
        matrix = inverse.T @ ((self._C.T @ self._C) @ inverse)
        return ((matrix + matrix.T) / 2).astype(self._dtype)
