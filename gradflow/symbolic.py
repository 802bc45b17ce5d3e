"""The array-API names that the updates use, over SymPy scalars and NumPy object arrays of them.

`gradflow.namespace.array_namespace` hands out this module for object arrays, so that ``sav_update`` and its like run on
symbols unchanged, and a proof is about the function that runs. `is_zero` decides what comes out: it is exact for
rational expressions in symbols and square roots, and uses no simplification heuristics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

__all__ = [
    "concat",
    "exp",
    "expm1",
    "is_zero",
    "log",
    "log1p",
    "logaddexp",
    "reshape",
    "sqrt",
    "sum",
    "symbols",
    "where",
]


def symbols(name: str, n: int, **assumptions: Any) -> np.ndarray[Any, Any]:
    """Return an object array (n,) of real symbols name_0 ... name_{n-1}."""
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
sum = np.sum
reshape = np.reshape
concat = np.concatenate


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if condition in (True, sp.true):
        return yes
    if condition in (False, sp.false):
        return no
    return sp.Piecewise((yes, condition), (no, True))


where = _entrywise(_where)


def is_zero(expression: Any) -> bool:
    """Decide whether an expression, rational in symbols and square roots of such expressions, is identically zero.

    Square roots become new symbols s with s^2 = (their argument); the numerator over a common denominator is then
    expanded and every s^2 replaced until no root appears but to the first power. True is a proof. False is one when the
    roots are independent (no root is a rational expression of the others), which is so for a single root of a sum.

    Raises
    ------
    ValueError
        If a function other than a square root is left in the expression.
    """
    e = sp.sympify(expression)
    roots: list[tuple[sp.Symbol, sp.Expr]] = []
    while True:
        radicals = [p for p in e.atoms(sp.Pow) if p.exp.is_Rational and p.exp.q == 2]
        innermost = [p for p in radicals if not any(q != p and p.base.has(q) for q in radicals)]
        if not innermost:
            break
        base = innermost[0].base
        s = sp.Dummy("s", positive=True)
        roots.append((s, base))
        e = e.replace(
            lambda x, base=base: isinstance(x, sp.Pow) and x.base == base and x.exp.is_Rational and x.exp.q == 2,
            lambda x, s=s: s ** (2 * x.exp),
        )
    if e.atoms(sp.Function):
        raise ValueError(f"is_zero decides rational expressions in symbols and square roots, got {expression}")
    numerator = sp.expand(sp.numer(sp.together(e)))
    for s, base in reversed(roots):
        p = sp.Poly(numerator, s)
        reduced = [sp.Integer(0), sp.Integer(0)]
        for (k,), coefficient in p.terms():
            reduced[k % 2] += coefficient * base ** (k // 2)
        numerator = sp.expand(sp.numer(sp.together(reduced[0] + s * reduced[1])))
    return bool(numerator == 0)
