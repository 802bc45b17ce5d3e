"""Explicit Jacobians, dense or sparse: the operations in which the two differ.

A sparse Jacobian is a ``csr_array`` of SciPy. Its products, the squares of its columns and its row scalings cost as much as it
has entries. SciPy is not imported here: a sparse array brings it.
"""

from __future__ import annotations

from ..namespace import Array, array_namespace, is_sparse

__all__ = ["DENSE_ENTRIES", "as_dense", "column_squares", "rows_times"]

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
