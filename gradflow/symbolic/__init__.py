"""The array-API names that the updates use, over SymPy scalars, object arrays of them, and abstract vectors.

`gradflow.namespace.array_namespace` returns this module for symbols. Functions such as ``sav_update`` then run on
symbols unchanged, so that a proof is about the function that runs. There are two kinds of vectors:

* **abstract vectors** (`Space`, `Vector`, `Map`): formal combinations of named vectors, of which only inner products are
  known, one symbol each. An identity between them holds in every dimension and every inner product;
* **object arrays** (`symbols`) of fixed small size, where coordinates are needed. They prove that size.

`is_zero` decides whether a result vanishes. If an update calls `where` and the assumptions do not decide the condition,
the result is a `Piecewise`; inside `branches`, both cases are followed separately.
"""

from __future__ import annotations

from builtins import abs as _abs
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from .branches import Branch, branches, where
from .decide import Undecided, Undefined, is_small, is_zero
from .diagonal import Entries
from .problems import AbstractEnergy, AbstractLeastSquares, AbstractResiduals, configured, entries
from .vectors import Map, SelfAdjoint, Skew, Space, Vector

__all__ = [
    "AbstractEnergy",
    "AbstractLeastSquares",
    "AbstractResiduals",
    "Branch",
    "Entries",
    "Map",
    "SelfAdjoint",
    "Skew",
    "Space",
    "Undecided",
    "Undefined",
    "Vector",
    "abs",
    "arange",
    "argsort",
    "asarray",
    "astype",
    "branches",
    "broadcast_to",
    "concat",
    "configured",
    "copysign",
    "cos",
    "entries",
    "exp",
    "expm1",
    "eye",
    "finfo",
    "float64",
    "hypot",
    "is_small",
    "is_zero",
    "isnan",
    "log",
    "log1p",
    "logaddexp",
    "max",
    "maximum",
    "min",
    "minimum",
    "ones",
    "ones_like",
    "reshape",
    "searchsorted",
    "sin",
    "solve_damped",
    "sqrt",
    "stack",
    "sum",
    "symbols",
    "take",
    "tanh",
    "where",
    "zeros_like",
]


def symbols(name: str, n: int, **assumptions: Any) -> np.ndarray[Any, Any]:
    """Return an object array (n,) of real symbols name_0 ... name_{n-1}.

    Parameters
    ----------
    name : str
        The stem of the names.
    n : int
        How many.
    **assumptions : bool
        SymPy's, such as ``positive=True``.
    """
    assumptions = {"real": True, **assumptions}
    return np.array([sp.Symbol(f"{name}_{i}", **assumptions) for i in range(n)], dtype=object)


def _entrywise(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*args: Any) -> Any:
        if any(isinstance(a, np.ndarray) for a in args):
            return np.frompyfunc(function, len(args), 1)(*args)
        return function(*map(sp.sympify, args))

    return apply


sqrt = _entrywise(sp.sqrt)
exp = _entrywise(sp.exp)
log = _entrywise(sp.log)
log1p = _entrywise(lambda x: sp.log(1 + x))
expm1 = _entrywise(lambda x: sp.exp(x) - 1)
logaddexp = _entrywise(lambda x, y: sp.log(sp.exp(x) + sp.exp(y)))
hypot = _entrywise(lambda x, y: sp.sqrt(x**2 + y**2))
abs = _entrywise(_abs)
tanh = _entrywise(lambda x: 1 - 2 / (sp.exp(2 * x) + 1))
sin = _entrywise(sp.sin)
cos = _entrywise(sp.cos)
sum = np.sum
reshape = np.reshape
concat = np.concatenate
stack = np.stack
broadcast_to = np.broadcast_to
arange = np.arange
argsort = np.argsort
searchsorted = np.searchsorted
eye = np.eye
ones = np.ones
float64 = np.float64


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two scalars, nan if one of them is; entry by entry for object arrays."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.frompyfunc(maximum, 2, 1)(a, b)
    return sp.nan if isnan(a) or isnan(b) else where(a > b, a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two scalars, nan if one of them is; entry by entry for object arrays."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.frompyfunc(minimum, 2, 1)(a, b)
    return sp.nan if isnan(a) or isnan(b) else where(a < b, a, b)


def max(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the largest entry of an object array, along an axis or of all.

    Parameters
    ----------
    a : object array
        Of any shape.
    axis : int, optional
        The axis.
    keepdims : bool
        Whether the axis stays, of length 1.
    """
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.frompyfunc(maximum, 2, 1).reduce(a, axis=axis, keepdims=keepdims)


def min(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the smallest entry of an object array, along an axis or of all.

    Parameters
    ----------
    a : object array
        Of any shape.
    axis : int, optional
        The axis.
    keepdims : bool
        Whether the axis stays, of length 1.
    """
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.frompyfunc(minimum, 2, 1).reduce(a, axis=axis, keepdims=keepdims)


def solve_damped(at: Any, q: Any, h: Any, A: Any, dt: Any) -> Any:
    """Return any vector in the place of d with ``(1/dt + A + J^* J) d = -(J^* q + h)``, or None if it is no abstract vector.

    A law that holds for every d holds for the solution, exact or not.

    Parameters
    ----------
    at : Linearization
        With J.
    q : object array (N,)
        The residual, or the auxiliary variable in its place.
    h : Vector or None
        None for zero.
    A : LinearPart
        An operator.
    dt : SymPy expression
        The step size.
    """
    image = at.vjp(q)
    if not isinstance(image, Vector):
        return None
    rows = [at.vjp(row) for row in np.eye(len(q), dtype=int).astype(object)]  # J: two systems have two solutions
    return image.space.arbitrary("d", f"{image}; {rows}; {h}; {A}; {dt}")


def astype(a: Any, dtype: Any) -> Any:
    """Return an array with another dtype; as symbols, truth values are 1 and 0.

    Parameters
    ----------
    a : array
        Of any shape.
    dtype : dtype
        That of integers, or of objects.
    """
    return a.astype(np.int64).astype(dtype) if np.dtype(dtype).kind == "O" and a.dtype == bool else a.astype(dtype)


def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    """Return entries of an array, along an axis or of all; indices that `where` has chosen are objects.

    Parameters
    ----------
    a : array
        Of any shape.
    indices : array
        Integers, of any shape.
    axis : int, optional
        The axis.
    """
    return np.take(a, np.asarray(indices, dtype=np.int64), axis=axis)


def isnan(a: Any) -> bool:
    """Return True for SymPy's nan; a symbol is a number."""
    return sp.sympify(a) is sp.nan


def copysign(a: Any, b: Any) -> Any:
    """Return ``|a|`` with the sign of b, + for zero."""
    return where(b >= 0, abs(a), -abs(a))


def asarray(a: Any, dtype: Any = None, *, copy: bool | None = None) -> Any:
    """Return an array; abstract entries, which cannot be written, themselves.

    Parameters
    ----------
    a : array (...), list or Entries
        Any shape.
    dtype : dtype, optional
        Of the result.
    copy : bool, optional
        Whether an array is copied; None copies where it must be.
    """
    return a if isinstance(a, Entries) else np.array(a, dtype, copy=copy)


def zeros_like(a: Any) -> Any:
    """Return 0 a, and 0 for nan."""
    return sp.Integer(0) if a is sp.nan else 0 * a


def ones_like(a: Any) -> Any:
    """Return 0 a + 1, of the shape of a, and 1 for nan."""
    return zeros_like(a) + 1


class Finfo(NamedTuple):
    """What `finfo` tells of exact arithmetic."""

    eps: int = 0
    smallest_normal: int = 0
    bits: int = 64


def finfo(dtype: Any) -> Finfo:
    """Return the rounding constants of exact arithmetic, all 0."""
    del dtype
    return Finfo()
