"""Explicit Jacobians, dense or sparse: the operations in which the two differ.

A sparse Jacobian is a ``csr_array`` of SciPy. Its products, the squares of its columns and its row scalings cost as much as it
has entries. SciPy is imported with the first sparse array, which is the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import Any
from zlib import crc32

from ..namespace import Array, array_namespace, is_sparse

__all__ = [
    "DENSE_ENTRIES",
    "as_dense",
    "column_squares",
    "normal_entries",
    "normal_matrix",
    "normal_width",
    "rows_times",
    "scaled",
    "shifted_factor",
]

KEPT_PATTERNS = 8  # whose width is remembered
_WIDTHS: dict[tuple[Any, ...], float] = {}
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


def normal_width(J: Any, most: float) -> float:
    """Return the root-mean-square width of the envelope of ``J^T J`` in the order of Cuthill and McKee; infinite above `most`.

    A factorisation takes at most its square times P multiply-adds. It depends on the pattern of J only, and is kept for the
    last patterns. It is infinite, too, where a row has more than ``2 most`` entries: ``J^T J`` is then not formed.

    Parameters
    ----------
    J : sparse array (N, P)
        The Jacobian.
    most : float
        The largest width of interest.
    """
    if normal_entries(J) > most**2 * sum(J.shape) or int((J.indptr[1:] - J.indptr[:-1]).max(initial=0)) > 2 * most:
        return inf
    key = (J.shape, J.nnz, crc32(J.indptr.tobytes()), crc32(J.indices.tobytes()))
    if key not in _WIDTHS:
        if len(_WIDTHS) == KEPT_PATTERNS:
            _WIDTHS.pop(next(iter(_WIDTHS)))
        _WIDTHS[key] = _envelope(J)
    return _WIDTHS[key] if _WIDTHS[key] <= most else inf


def _envelope(J: Any) -> float:
    """Return the root-mean-square width of the envelope of J^T J, reordered."""
    import numpy as np
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    pattern = J.copy()
    pattern.data = np.ones_like(pattern.data)  # no entry cancels
    B = (pattern.T @ pattern).tocsr()
    order = reverse_cuthill_mckee(B, symmetric_mode=True)
    place, P = np.empty_like(order), B.shape[0]
    place[order] = np.arange(P)
    first = np.arange(P)
    np.minimum.at(first, np.repeat(place, B.indptr[1:] - B.indptr[:-1]), place[B.indices])
    return sqrt(float(np.mean((np.arange(P) - first).astype(float) ** 2)))


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
    C = B.tocsc(copy=True)
    C.data = C.data * factors[C.indices] * factors.repeat(C.indptr[1:] - C.indptr[:-1])
    return C


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
