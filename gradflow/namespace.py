"""Which array library do these arrays belong to? The only module, with `kernels`, that asks.

Every formula of the library is written in the Python array API standard; `array_namespace` hands it the
functions (`xp.sqrt`, `xp.where`, ...) that fit its arguments: NumPy's, CuPy's, those of array-api-strict,
or, for object arrays, the SymPy ones of `gradflow.symbolic`, so that a proof reads the same function that runs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from numbers import Integral, Real
from typing import Any, TypeAlias, cast

import numpy as np

Array: TypeAlias = Any
"""An array of any library that follows the array API standard (a static name only; nothing is checked)."""

Namespace: TypeAlias = Any
"""The functions of the array API standard for one library (a static name only)."""

__all__ = [
    "Array",
    "Namespace",
    "array_namespace",
    "as_array",
    "blas_threads",
    "fingerprint",
    "is_number",
    "is_numpy",
    "quiet",
    "shape_of",
    "to_numpy",
]


def array_namespace(*arrays: Array) -> Namespace:
    """Return the array-API namespace that `arrays` share.

    Python scalars and None are passed over. NumPy arrays short-cut the general look-up, which would cost a
    few microseconds in every update.

    Parameters
    ----------
    *arrays : array, number or None
        What a formula is given, of any shapes.

    Raises
    ------
    ValueError
        If there is no array among the arguments.
    TypeError
        If the arrays belong to different libraries.
    """
    found = False
    for a in arrays:
        if isinstance(a, (np.ndarray, np.generic)):
            if a.dtype == object:
                from . import symbolic

                return symbolic
            found = True
        elif hasattr(a, "free_symbols"):
            from . import symbolic

            return symbolic
        elif a is not None and not isinstance(a, (int, float, complex)):
            break
    else:
        if found:
            return np
        raise ValueError("array_namespace needs at least one array, got only scalars")
    from array_api_compat import array_namespace as general

    return general(*(a for a in arrays if a is not None and not isinstance(a, (int, float, complex))))


def as_array(a: Array | float) -> Array:
    """Return `a` itself if it is an array, and a NumPy float64 array of its shape (0-d for a number) otherwise.

    Parameters
    ----------
    a : array or float
        The value: an array of any shape, a Python number, or nested lists of such.
    """
    return a if hasattr(a, "shape") or hasattr(a, "free_symbols") else np.asarray(a, dtype=np.float64)[()]


def shape_of(a: Array) -> tuple[int, ...]:
    """Return the shape of an array; () for a SymPy scalar, which has none.

    Parameters
    ----------
    a : array
        Of any library and shape.
    """
    return getattr(a, "shape", ())


def is_number(value: Any) -> bool:
    """Return True for a real number of Python or NumPy, False for a truth value or anything else.

    Parameters
    ----------
    value : object
        Anything.
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def is_numpy(a: Array) -> bool:
    """Return True if `a` is a NumPy array of numbers, so that SciPy's LAPACK may be used on it.

    Parameters
    ----------
    a : object
        Anything; an array may have any shape.
    """
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype != object


def to_numpy(a: Array) -> np.ndarray[Any, Any]:
    """Return `a` as a NumPy array of its shape on the host (a copy where it lives on a device).

    Parameters
    ----------
    a : array
        Of any library and shape.
    """
    if isinstance(a, (np.ndarray, np.generic)):
        return np.asarray(a)
    if hasattr(a, "get"):  # CuPy refuses implicit transfers
        return np.asarray(a.get())
    return np.asarray(a)


def fingerprint(*arrays: Array) -> str:
    """Return the SHA-256 of shapes, dtypes and bytes: two data sets with the same one are the same.

    Parameters
    ----------
    *arrays : array
        Of any library and shape.
    """
    digest = sha256()
    for a in map(to_numpy, arrays):
        digest.update(f"{a.shape} {a.dtype.str}".encode())
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()


def blas_threads(n: int | None) -> AbstractContextManager[Any]:
    """Hold the BLAS libraries of this process at `n` threads, or leave them as they are (None).

    Parameters
    ----------
    n : int or None
        Threads, >= 1.

    Returns
    -------
    context manager
        Gives the former number back at its end.

    Raises
    ------
    ValueError
        If `n` is neither None nor a whole number >= 1.
    """
    if n is None:
        return nullcontext()
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n must be a whole number >= 1 or None, got {n!r}")
    from threadpoolctl import threadpool_limits

    return cast(AbstractContextManager[Any], threadpool_limits(limits=n, user_api="blas"))


def quiet() -> AbstractContextManager[Any]:
    """Silence floating-point warnings: for loops that report overflow as a `Status` instead.

    Returns
    -------
    context manager
        That of NumPy's ``errstate``.
    """
    return np.errstate(all="ignore")
