"""The array library of given arrays. Only this module and `kernels` depend on the library.

Every formula of the library is written in the Python array API standard; `array_namespace` returns the functions
(`xp.sqrt`, `xp.where`, ...) for its arguments: those of NumPy, CuPy or array-api-strict, or, for object arrays, the
SymPy functions of `gradflow.symbolic`. A proof therefore uses the same function that runs.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from hashlib import sha256
from numbers import Real
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
    "blas_pools",
    "blas_threads",
    "copied",
    "fingerprint",
    "is_array",
    "is_number",
    "is_numpy",
    "is_sparse",
    "no_infinity",
    "quiet",
    "read_only",
    "shape_of",
    "to_numpy",
]


def array_namespace(*arrays: Array) -> Namespace:
    """Return the array-API namespace that `arrays` share.

    Python scalars and None are ignored. For NumPy arrays the general look-up is skipped, which would cost a few
    microseconds in every update.

    Parameters
    ----------
    *arrays : array, number or None
        The arguments of a formula, of any shapes.

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


def is_array(a: Any) -> bool:
    """Return True for an array of NumPy itself, a memory map, or an array of a library that follows the standard.

    The subclasses of NumPy's array compute by other rules: a masked array, a matrix.

    Parameters
    ----------
    a : object
        Anything; an array may have any shape.
    """
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) in (np.ndarray, np.memmap)
    from array_api_compat import is_array_api_obj

    return not isinstance(a, type) and bool(is_array_api_obj(a))


def is_numpy(a: Array) -> bool:
    """Return True if `a` is a NumPy array of numbers, so that SciPy's LAPACK may be used on it.

    Parameters
    ----------
    a : object
        Anything; an array may have any shape.
    """
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype != object


def is_sparse(a: Any) -> bool:
    """Return True for a sparse array or matrix of SciPy, of any format; SciPy is not imported for the answer.

    Parameters
    ----------
    a : object
        Anything; an array may have any shape.
    """
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(a))


def to_numpy(a: Array) -> np.ndarray[Any, Any]:
    """Return `a` as a NumPy array of its shape on the host (a copy if it is on a device).

    Parameters
    ----------
    a : array
        Of any library and shape.
    """
    return np.asarray(a.get() if hasattr(a, "get") else a)  # CuPy refuses implicit transfers


def copied(a: Array) -> Array:
    """Return a copy of an array, of its shape.

    Parameters
    ----------
    a : array
        Of any library and shape, or sparse.
    """
    if isinstance(a, np.ndarray):
        return np.array(a)
    return a.copy() if is_sparse(a) else array_namespace(a).asarray(a, copy=True)


def read_only(a: Array) -> Array:
    """Return a read-only view of `a` in NumPy, and a copy in other libraries, of the same shape.

    Parameters
    ----------
    a : array
        Of any library and shape. A scalar of NumPy and a symbol cannot be written, and are returned themselves.
    """
    if isinstance(a, np.ndarray):
        view = a.view(np.ndarray)
        view.setflags(write=False)
        return view
    return copied(a) if is_array(a) else a


def fingerprint(*arrays: Array) -> str:
    """Return the SHA-256 of shapes, dtypes and bytes; equal values mean equal data sets.

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


def blas_pools() -> Any:
    """Return threadpoolctl's controller of the thread pools of BLAS that are loaded.

    The search takes milliseconds, as long as tens of small steps. It is repeated only after a module was imported,
    which may have loaded a library.
    """
    from threadpoolctl import ThreadpoolController  # imported before the modules are counted

    return _blas_pools(ThreadpoolController, len(sys.modules))


@lru_cache(maxsize=1)
def _blas_pools(controller: Any, modules: int) -> Any:
    return controller().select(user_api="blas")


def blas_threads(n: int | None) -> AbstractContextManager[Any]:
    """Return a context manager in which BLAS uses `n` threads; at its end the former number is restored.

    Parameters
    ----------
    n : int or None
        Threads, >= 1. None leaves their number unchanged.
    """
    if n is None:
        return nullcontext()
    return cast(AbstractContextManager[Any], blas_pools().limit(limits=int(n)))


def no_infinity(x: Array) -> Array:
    """Return x, of the same shape, with NaN for an infinity: an overflow then shows, and ``1 / x`` is not 0.

    Parameters
    ----------
    x : array
        Of any shape, or a symbol.
    """
    return x + 0 * x


def quiet() -> AbstractContextManager[Any]:
    """Return a context manager without floating-point warnings, for loops that report overflow as a `Status`."""
    return np.errstate(all="ignore")
