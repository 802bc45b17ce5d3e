"""Is it zero? Decided, not simplified."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import sympy as sp

from .vectors import Vector

__all__ = ["Undecided", "is_small", "is_zero"]

DIGITS = 60


class Undecided(ValueError):
    """An expression for which neither a proof nor a refutation of zero was found."""


def is_zero(expression: Any) -> bool:
    """Decide whether an expression in symbols, square roots, exponentials and logarithms vanishes identically.

    Square roots become new symbols s with s^2 = (their argument), exponentials of monomials and logarithms new symbols
    without any relation; the numerator over a common denominator is then expanded and every s^2 replaced. If nothing is
    left, the expression is zero wherever it is defined: **True is a proof**. **False is a refutation** by its value at
    a point of rational numbers that have the signs their symbols are known to have: a rational number other than zero,
    or, where roots and functions are left, a real one that exceeds 1e-40 times the sum of its terms' sizes, computed to
    60 digits.

    Parameters
    ----------
    expression : SymPy expression, number, object array, Vector, or a tuple or list of these
        An array or a vector is zero if all its entries or coefficients are (the atoms of a vector count as
        independent).

    Returns
    -------
    bool
        True is a proof, False a refutation.

    Raises
    ------
    Undecided
        If neither succeeds.
    TypeError
        If it is not an expression: a truth value, a relation, None.
    """
    if isinstance(expression, Vector):
        expression = expression.space.combine(expression.terms)
        return all(is_zero(c) for c in expression.terms.values())
    if isinstance(expression, (np.ndarray, list, tuple)):
        return all(is_zero(entry) for entry in np.ravel(np.asarray(expression, dtype=object)))
    e = sp.sympify(expression)
    if not isinstance(e, sp.Expr):
        raise TypeError(f"is_zero takes expressions, vectors and arrays of them, got {expression!r}")
    e = e.xreplace({x: sp.Rational(x) for x in e.atoms(sp.Float)})  # a Python float is the number that it stores
    if e.is_Rational:
        return bool(e == 0)
    if _refuted(e, exactly=True):
        return False
    try:
        if _vanishes(e):
            return True
    except Undecided:  # a function that is not known may still be evaluated
        if _refuted(e, exactly=False):
            return False
        raise
    if _refuted(e, exactly=False):
        return False
    raise Undecided(f"neither shown to be zero nor shown not to be: {expression}")


def is_small(expression: Any, dt: sp.Symbol, order: int) -> bool:
    """Decide whether an expression, or every coefficient of a vector or array, is O(dt^order) as dt tends to 0.

    The value and the first ``order - 1`` derivatives with respect to dt are shown to vanish at 0, and the next one to
    be finite there, all other symbols held fixed (inner products with the solution of a shifted system depend on dt,
    but stay bounded). The conditions of `is_zero` apply.

    Parameters
    ----------
    expression : SymPy expression, Vector, object array, tuple or list
        What is looked at.
    dt : Symbol
        What tends to 0.
    order : int
        The order p of O(dt^p).

    Returns
    -------
    bool
        True is a proof, False a refutation, as for `is_zero`.

    Raises
    ------
    Undecided
        If neither succeeds, or a derivative is not finite at 0.
    """
    if isinstance(expression, Vector):
        return all(is_small(c, dt, order) for c in expression.terms.values())
    if isinstance(expression, (np.ndarray, list, tuple)):
        return all(is_small(entry, dt, order) for entry in np.ravel(np.asarray(expression, dtype=object)))
    e = sp.sympify(expression)
    if sp.diff(e, dt, order).subs(dt, 0).has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise Undecided(f"derivative {order} with respect to {dt} is not finite at 0: {e}")
    return all(is_zero(sp.diff(e, dt, k).subs(dt, 0)) for k in range(order))


def _refuted(e: sp.Expr, *, exactly: bool) -> bool:
    """Return True if e differs from zero at one of a few points; `exactly` looks at rational values only."""
    rng = random.Random(0)
    for _ in range(3 if exactly else 30):
        at = {}
        for s in sorted(e.free_symbols, key=str):
            size = sp.Rational(rng.randint(1, 97), rng.randint(1, 89))
            at[s] = -size if s.is_nonpositive else size
        value = e.subs(at)
        if exactly or value.is_Rational:
            if value.is_Rational and value != 0:
                return True
            continue
        terms = sp.Add(*(abs(x) for x in sp.Add.make_args(value))).evalf(DIGITS)
        value = value.evalf(DIGITS)
        if value.is_Float and terms.is_Float and abs(value) > sp.Float("1e-40") * terms:
            return True
    return False


def _vanishes(e: sp.Expr) -> bool:
    e = sp.expand_power_exp(e) if e.has(sp.exp) else e
    e = e.replace(lambda x: isinstance(x, (sp.exp, sp.log)), _Names())
    if e.atoms(sp.Function):
        return False
    e = e.replace(
        _is_radical, lambda x: sp.factor_terms(sp.together(x.base)) ** x.exp
    )  # sqrt(2 a + 2 b) = sqrt(2) sqrt(a + b)
    roots: list[tuple[sp.Symbol, sp.Expr]] = []
    while True:
        radicals = [p for p in e.atoms(sp.Pow) if _is_radical(p)]
        innermost = [p for p in radicals if not any(q != p and p.base.has(q) for q in radicals)]
        if not innermost:
            break
        base = innermost[0].base
        s = sp.Dummy("s", positive=True)
        roots.append((s, base))
        e = e.replace(
            lambda x, base=base: _is_radical(x) and x.base == base,
            lambda x, s=s: s ** (2 * x.exp),
        )
    names = sorted(e.free_symbols.union(*(base.free_symbols for _, base in roots)), key=lambda x: x.sort_key())
    if not names:
        return bool(sp.expand(e) == 0)
    ring = sp.ring(names, sp.QQ)[0]
    try:
        numerator, _ = _fraction(e, ring)
    except ValueError as error:
        raise Undecided(f"only rational operations, roots, exponentials and logarithms are known: {error}") from error
    for s, base in reversed(roots):
        numerator = _reduced(numerator, ring.index(ring(s)), *_fraction(base, ring))
    return not numerator


def _is_radical(x: Any) -> bool:
    return isinstance(x, sp.Pow) and bool(x.exp.is_Rational) and x.exp.q == 2


def _fraction(e: sp.Expr, ring: Any) -> tuple[Any, dict[Any, int]]:
    """Return a numerator and the factors of a denominator with their powers; no common divisor is looked for."""
    if e.is_Add:
        parts = [_fraction(x, ring) for x in e.args]
        common: dict[Any, int] = {}
        for _, factors in parts:
            for f, k in factors.items():
                common[f] = max(k, common.get(f, 0))
        total = ring.zero
        for numerator, factors in parts:
            for f, k in common.items():
                missing = k - factors.get(f, 0)
                numerator = numerator * f**missing if missing else numerator
            total += numerator
        return total, common
    if e.is_Mul:
        product, denominator = ring.one, dict[Any, int]()
        for x in e.args:
            numerator, factors = _fraction(x, ring)
            product *= numerator
            for f, k in factors.items():
                denominator[f] = denominator.get(f, 0) + k
        return product, denominator
    if e.is_Pow and e.exp.is_Integer:
        numerator, factors = _fraction(e.base, ring)
        n = int(e.exp)
        if n >= 0:
            return numerator**n, {f: n * k for f, k in factors.items()}
        top = ring.one
        for f, k in factors.items():
            top *= f ** (-n * k)
        if not numerator:
            raise ZeroDivisionError(f"{e.base} is zero")
        lead = numerator.LC
        monic = numerator.mul_ground(1 / lead)
        return top.mul_ground(lead**n), {} if monic == 1 else {monic: -n}
    return ring(e), {}


def _reduced(numerator: Any, index: int, top: Any, factors: dict[Any, int]) -> Any:
    """Return the numerator with s^2 = top / (product of factors), s being the generator at `index`."""
    ring = numerator.ring
    bottom = ring.one
    for f, k in factors.items():
        bottom *= f**k
    powers: dict[int, Any] = {}
    for monomial, c in numerator.terms():
        k = monomial[index]
        rest = (*monomial[:index], 0, *monomial[index + 1 :])
        powers.setdefault(k, ring.zero)[rest] = c
    highest = max((k // 2 for k in powers), default=0)
    s, result = ring.gens[index], ring.zero
    for k, coefficient in powers.items():
        result += coefficient * top ** (k // 2) * bottom ** (highest - k // 2) * s ** (k % 2)
    return result


class _Names:
    """A new positive symbol for each exponential, a new real one for each logarithm."""

    def __init__(self) -> None:
        self.known: dict[sp.Expr, sp.Expr] = {}

    def __call__(self, x: sp.Expr) -> sp.Expr:
        if isinstance(x, sp.log):
            return self.known.setdefault(x, sp.Dummy("log", real=True))
        c, monomial = x.args[0].as_coeff_Mul()
        if not c.is_Integer:
            c, monomial = sp.Integer(1), x.args[0]
        return self.known.setdefault(sp.exp(monomial), sp.Dummy("exp", positive=True)) ** c
