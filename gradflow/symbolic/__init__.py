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
from .decide import Undecided, is_small, is_zero
from .diagonal import Entries
from .problems import AbstractEnergy, AbstractLeastSquares, configured, entries
from .vectors import Map, SelfAdjoint, Space, Vector

__all__ = [
    "AbstractEnergy",
    "AbstractLeastSquares",
    "Branch",
    "Entries",
    "Map",
    "SelfAdjoint",
    "Space",
    "Undecided",
    "Vector",
    "abs",
    "asarray",
    "branches",
    "concat",
    "configured",
    "copysign",
    "entries",
    "exp",
    "expm1",
    "finfo",
    "hypot",
    "is_small",
    "is_zero",
    "isnan",
    "log",
    "log1p",
    "logaddexp",
    "maximum",
    "minimum",
    "ones_like",
    "reshape",
    "sqrt",
    "sum",
    "symbols",
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
sum = np.sum
reshape = np.reshape
concat = np.concatenate


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two scalars, nan if one of them is."""
    return sp.nan if isnan(a) or isnan(b) else where(a > b, a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two scalars, nan if one of them is."""
    return sp.nan if isnan(a) or isnan(b) else where(a < b, a, b)


def isnan(a: Any) -> bool:
    """Return True for SymPy's nan; a symbol is a number."""
    return sp.sympify(a) is sp.nan


def copysign(a: Any, b: Any) -> Any:
    """Return ``|a|`` with the sign of b, + for zero."""
    return where(b >= 0, abs(a), -abs(a))


def asarray(a: Any, *, copy: bool | None = None) -> Any:
    """Return an object array, or abstract entries, which cannot be written, themselves.

    Parameters
    ----------
    a : object array (...) or Entries
        Any shape.
    copy : bool, optional
        Whether an object array is copied.
    """
    return np.array(a, copy=bool(copy)) if isinstance(a, np.ndarray) else a


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
