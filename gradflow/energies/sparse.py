"""Explicit Jacobians, dense or sparse: the operations in which the two differ.

A sparse Jacobian is a ``csr_array`` of SciPy. Its products, the squares of its columns and its row scalings cost as much as it
has entries. SciPy is imported with the first sparse array, which is the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..namespace import Array, array_namespace, is_sparse

__all__ = [
    "DENSE_ENTRIES",
    "as_dense",
    "column_squares",
    "normal_entries",
    "normal_matrix",
    "rows_times",
    "scaled",
    "shifted_factor",
]

DENSE_ENTRIES = 2 * 10**8  # of the largest dense matrix that is made of a sparse one: 1.6 GB in float64


def as_dense(a: Array) -> Array:
    """Return a dense matrix (N, P) itself, and the dense copy of a sparse one.

    Parameters
    ----------
    a : array (N, P)
        Dense or sparse.

    Raises
    ------
    ValueError
        If a sparse matrix is too large.
    """
    if not is_sparse(a):
        return a
    N, P = a.shape
    if N * P > DENSE_ENTRIES:
        raise ValueError(
            f"a sparse matrix of shape ({N}, {P}) is too large to be stored as a dense one: use products only"
        )
    return a.toarray()


def column_squares(J: Array) -> Array:
    """Return the sums of squares of the columns, (P,).

    Parameters
    ----------
    J : array (N, P)
        Dense or sparse.
    """
    return (J * J).sum(axis=0) if is_sparse(J) else array_namespace(J).sum(J * J, axis=0)


def rows_times(a: Array, factors: Array) -> Array:
    """Return a matrix (N, P), or a vector (N,), with its rows multiplied by factors.

    Parameters
    ----------
    a : array (N, P) or (N,)
        Dense, or a sparse matrix.
    factors : array (N,)
        The factors.
    """
    if is_sparse(a):
        return a.multiply(factors[:, None]).tocsr()
    return a * factors if a.ndim == 1 else a * factors[:, None]


def normal_entries(J: Any) -> int:
    """Return the number of products that ``J^T J`` is summed from, a bound of its entries: a dense row of J has P^2.

    Parameters
    ----------
    J : sparse array (N, P)
        The Jacobian.
    """
    counts = J.indptr[1:] - J.indptr[:-1]
    return int((counts * counts.astype(float)).sum())


def normal_matrix(J: Any, diagonal: Array | float) -> Any:
    """Return ``J^T J + diag(diagonal)``, a sparse matrix (P, P).

    Parameters
    ----------
    J : sparse array (N, P)
        The Jacobian.
    diagonal : array (P,) or float
        What is added.
    """
    from scipy.sparse import diags_array

    P = J.shape[1]
    return (J.T @ J + diags_array(diagonal + 0 * J.sum(axis=0), shape=(P, P))).tocsc()


def scaled(B: Any, factors: Array) -> Any:
    """Return ``diag(f) B diag(f)``, a sparse matrix (P, P).

    Parameters
    ----------
    B : sparse array (P, P)
        Symmetric.
    factors : array (P,)
        The numbers f.
    """
    return B.multiply(factors[:, None]).multiply(factors[None, :]).tocsc()


def shifted_factor(B: Any, shift: float) -> Callable[[Array], Array] | None:
    """Return the function b, (P,) -> ``(B + shift I)^{-1} b``, (P,), of a sparse factorisation; None where the matrix is exactly singular.

    Parameters
    ----------
    B : sparse array (P, P)
        Symmetric positive semi-definite.
    shift : float
        A number > 0.
    """
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import splu

    K = (B + shift * eye_array(B.shape[0], dtype=B.dtype, format="csc")).tocsc()
    try:
        factors = splu(K, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:  # exactly singular
        return None
    solve: Callable[[Array], Array] = factors.solve
    return solve
