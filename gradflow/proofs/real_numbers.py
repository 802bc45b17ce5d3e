"""Relations between real numbers: as z3 reads them, and their exact value at a point.

An expression is *defined* where every radicand of its roots is nonnegative, every denominator is nonzero and one of the
pieces of a `Piecewise` applies. Pieces are looked at where their condition is the first that holds; everything else,
the parts of ``Or`` and ``And`` as well, must be defined everywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import sympy as sp
from sympy.logic.boolalg import Boolean

from ..symbolic import Undecided

__all__ = ["Formula", "Requirement", "holds_at"]

COMPARISONS: dict[Any, Callable[[Any, Any], Any]] = {
    sp.Eq: operator.eq,
    sp.Ne: operator.ne,
    sp.Lt: operator.lt,
    sp.Le: operator.le,
    sp.Gt: operator.gt,
    sp.Ge: operator.ge,
}
SIGNS: dict[str, Callable[[Any], Any]] = {
    "positive": lambda x: x > 0,
    "nonnegative": lambda x: x >= 0,
    "negative": lambda x: x < 0,
    "nonpositive": lambda x: x <= 0,
    "zero": lambda x: x == 0,
    "nonzero": lambda x: x != 0,
}
KINDS = {"integer", "noninteger", "even", "odd", "prime", "composite", "rational", "irrational"}
KINDS |= {"algebraic", "transcendental"}
LARGEST_POWER = 1000


def holds_at(relation: Any, point: dict[sp.Symbol, sp.Expr]) -> bool | None:
    """Return whether a relation holds at a point, computed exactly; None where it is not defined.

    Parameters
    ----------
    relation : SymPy relation
        What is evaluated.
    point : dict
        Rational or algebraic values of its symbols.

    Raises
    ------
    Undecided
        If the sign of a number is not found, or a value is not one that the symbol may have.
    """
    for symbol, value in point.items():
        _refuse_other(symbol, value)
    try:
        return bool(_value(relation, point))
    except _Undefined:
        return None


def _refuse_other(symbol: sp.Symbol, value: sp.Expr) -> None:
    known = symbol.assumptions0
    sign = _sign(value)
    right = all(bool(holds(sign)) == known[name] for name, holds in SIGNS.items() if name in known)
    if not right or any(known[name] != getattr(value, f"is_{name}") for name in KINDS if name in known):
        raise Undecided(f"{symbol} cannot be {value}")


def _value(e: Any, point: dict[sp.Symbol, sp.Expr]) -> Any:
    """Return the exact value of an expression or a relation at a point."""
    if isinstance(e, sp.Symbol):
        return point[e]
    if isinstance(e, sp.Piecewise):
        for value, condition in e.args:
            if _value(condition, point):
                return _value(value, point)
        raise _Undefined
    args = [_value(x, point) for x in e.args]
    if isinstance(e, sp.Pow):
        sign = _sign(args[0])
        if (sign == 0 and args[1].is_negative) or (sign < 0 and not args[1].is_Integer):
            raise _Undefined
    if type(e) in COMPARISONS and isinstance(args[0], sp.Expr):
        return sp.sympify(bool(COMPARISONS[type(e)](_sign(args[0] - args[1]), 0)))
    if isinstance(e, (sp.Abs, sp.sign)):
        return _sign(args[0]) * (args[0] if isinstance(e, sp.Abs) else sp.Integer(1))
    if isinstance(e, (sp.Max, sp.Min)):
        way = 1 if isinstance(e, sp.Max) else -1
        return reduce(lambda a, b: a if way * _sign(a - b) >= 0 else b, args)
    return e.func(*args) if args else e


def _sign(value: Any) -> int:
    """Return the sign of an algebraic number: from its rational value, 60 digits of it, or its minimal polynomial."""
    if value.is_Rational:
        return int(sp.sign(value))
    digits = value.evalf(60)
    if digits.is_Float and abs(digits) > sp.Float("1e-40"):
        return 1 if digits > 0 else -1
    x = sp.Dummy("x")
    try:
        vanishes = sp.minimal_polynomial(value, x) == x
    except (NotImplementedError, ValueError, sp.SympifyError) as error:
        raise Undecided(f"no sign of {value}") from error
    if not vanishes:
        raise Undecided(f"no sign of {value}")
    return 0


class Requirement(NamedTuple):
    """What makes a root or a quotient a number."""

    text: str
    """What is required, in words."""
    condition: Any
    """The same for z3."""
    definition: Any
    """What the unknown that stands for the root or the reciprocal then satisfies, for z3."""


class Formula:
    """Relations translated for z3, with one unknown for each symbol, root and reciprocal.

    `symbols` are the unknowns of the symbols, `facts` what the assumptions of these say, `required` what the roots and
    quotients need in order to be defined, inner ones first.
    """

    def __init__(self) -> None:
        self.z3: Any = import_module("z3")  # loaded on use, and without types
        self.symbols: dict[sp.Symbol, Any] = {}
        self.facts: list[Any] = []
        self.required: list[Requirement] = []
        self._named: dict[Any, Any] = {}
        self._guards: list[tuple[Any, Any]] = []

    def truth(self, e: Any) -> Any:
        """Return a relation, or a combination of relations, for z3.

        Parameters
        ----------
        e : SymPy relation
            What is translated.

        Raises
        ------
        Undecided
            If it has a function that z3 is not given.
        TypeError
            If it is no relation.
        """
        z3 = self.z3
        if e in (sp.true, sp.false):
            return z3.BoolVal(bool(e))
        if type(e) in COMPARISONS:
            read = self.value if all(isinstance(x, sp.Expr) for x in e.args) else self.truth
            return COMPARISONS[type(e)](*map(read, e.args))
        if not isinstance(e, Boolean) or isinstance(e, sp.Expr):
            raise TypeError(f"a relation is wanted, got {e}")
        connectives: dict[Any, Callable[..., Any]] = {
            sp.And: z3.And,
            sp.Or: z3.Or,
            sp.Not: z3.Not,
            sp.Implies: z3.Implies,
            sp.Xor: lambda *x: reduce(z3.Xor, x),
            sp.Equivalent: lambda *x: z3.And([a == b for a, b in pairwise(x)]),
            sp.ITE: z3.If,
        }
        if type(e) not in connectives:
            raise Undecided(f"z3 is given relations and their connectives, got {e}")
        return connectives[type(e)](*map(self.truth, e.args))

    def value(self, e: Any) -> Any:
        """Return an expression for z3.

        Parameters
        ----------
        e : SymPy expression
            What is translated.

        Raises
        ------
        Undecided
            If it has a function that z3 is not given.
        """
        z3 = self.z3
        if isinstance(e, sp.Symbol):
            return self._symbol(e)
        if e.is_Rational:
            return z3.RealVal(f"{e.p}/{e.q}")
        if isinstance(e, sp.Piecewise):
            return self._pieces(e.args)
        power = isinstance(e, sp.Pow) and e.exp.is_Rational
        if not power and not isinstance(e, (sp.Add, sp.Mul, sp.Abs, sp.sign, sp.Max, sp.Min)):
            raise Undecided(f"z3 is given polynomials, quotients, roots, |x|, sign, min, max and cases, got {e}")
        if power:
            n, q = int(e.exp.p), int(e.exp.q)
            if max(abs(n), q) > LARGEST_POWER:
                raise Undecided(f"z3 is given powers and roots up to {LARGEST_POWER}, got {e}")
            root = e.base if q == 1 else sp.Pow(e.base, sp.Rational(1, q))
            x = self._reciprocal(root) if n < 0 else self._root(e.base, q)
            return z3.Product([x] * abs(n))
        args = [self.value(x) for x in e.args]
        if isinstance(e, sp.Add):
            return z3.Sum(args)
        if isinstance(e, sp.Mul):
            return z3.Product(args)
        if isinstance(e, sp.Abs):
            return z3.If(args[0] >= 0, args[0], -args[0])
        if isinstance(e, sp.sign):
            return z3.If(args[0] > 0, z3.RealVal(1), z3.If(args[0] < 0, z3.RealVal(-1), z3.RealVal(0)))
        larger = isinstance(e, sp.Max)
        return reduce(lambda a, b: z3.If(a >= b, a, b) if larger else z3.If(a <= b, a, b), args)

    def point(self, model: Any) -> dict[sp.Symbol, sp.Expr] | None:
        """Return the values of the symbols in a model of z3; None if one is neither rational nor algebraic.

        Parameters
        ----------
        model : z3 model
            Of constraints that this object has translated.
        """
        z3, values = self.z3, {}
        for symbol, unknown in self.symbols.items():
            found = model.eval(unknown, model_completion=True)
            if z3.is_rational_value(found):
                values[symbol] = sp.Rational(found.numerator_as_long(), found.denominator_as_long())
            elif z3.is_algebraic_value(found):
                x = sp.Dummy("x")
                terms = [
                    sp.Rational(c.numerator_as_long(), c.denominator_as_long()) * x**k
                    for k, c in enumerate(found.poly())
                ]
                values[symbol] = sp.CRootOf(sp.Poly(sp.Add(*terms), x), found.index() - 1)
            else:
                return None
        return values

    def _symbol(self, e: sp.Symbol) -> Any:
        if e not in self.symbols:
            if e.is_extended_real is False or e.is_finite is False or not e.is_commutative:
                raise ValueError(f"the symbols of a relation must be real numbers, {e} is not one")
            z3, name = (
                self.z3,
                f"symbol#{len(self.symbols)}",
            )  # its own name may be that of another unknown, or hold a NUL
            unknown = z3.ToReal(z3.Int(name)) if e.is_integer else z3.Real(name)
            self.symbols[e] = unknown
            known = e.assumptions0
            for sign, holds in SIGNS.items():
                if sign in known:
                    self.facts.append(holds(unknown) if known[sign] else z3.Not(holds(unknown)))
            if e.is_even is not None and e.is_integer:
                self.facts.append(unknown == 2 * z3.ToReal(z3.Int(f"half#{name}")) + (0 if e.is_even else 1))
        return self.symbols[e]

    def _root(self, base: Any, q: int) -> Any:
        if q == 1:
            return self.value(base)

        def define(root: Any) -> Requirement:
            x = self.value(base)
            text = f"the radicand {base} is nonnegative"
            return Requirement(text, x >= 0, self.z3.And(root >= 0, self.z3.Product([root] * q) == x))

        return self._unknown((base, q), define)

    def _reciprocal(self, base: Any) -> Any:
        def define(reciprocal: Any) -> Requirement:
            x = self.value(base)
            return Requirement(f"the denominator {base} is not 0", x != 0, reciprocal * x == 1)

        return self._unknown((base, -1), define)

    def _unknown(self, key: Any, define: Callable[[Any], Requirement]) -> Any:
        """Return the unknown for a root or reciprocal, the one known already where that is required just as well."""
        guard = tuple(condition for condition, _ in self._guards)
        for known in ((key, ()), (key, guard)):
            if known in self._named:
                return self._named[known]
        unknown = self.z3.Real(f"unknown#{len(self._named)}")
        self._named[key, guard] = unknown
        self._require(*define(unknown))
        return unknown

    def _require(self, text: str, condition: Any, definition: Any) -> None:
        if self._guards:
            guard = self.z3.And([translated for _, translated in self._guards])
            condition, definition = self.z3.Implies(guard, condition), self.z3.Implies(guard, definition)
        self.required.append(Requirement(text, condition, definition))

    @contextmanager
    def _where(self, guards: Iterable[tuple[Any, Any]]) -> Iterator[None]:
        before = self._guards
        self._guards = [*before, *guards]
        try:
            yield
        finally:
            self._guards = before

    def _pieces(self, pieces: Any) -> Any:
        earlier: list[tuple[Any, Any]] = []
        found = []
        for value, condition in pieces:
            with self._where(earlier):
                applies = self.truth(condition)
            with self._where([*earlier, (condition, applies)]):
                found.append((applies, self.value(value)))
            earlier.append((sp.Not(condition), self.z3.Not(applies)))
        applies = self.z3.Or([one for one, _ in found])
        self._require("one of the cases applies", applies, self.z3.BoolVal(True))
        result = found[-1][1]
        for applies, value in reversed(found[:-1]):
            result = self.z3.If(applies, value, result)
        return result


class _Undefined(Exception):
    """An expression is not defined at a point."""
