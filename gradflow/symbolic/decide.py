"""Is it zero? Decided, not simplified: a proof, a refutation, or a refusal that says why.

A proof is algebra (`radicals`) together with one admissible point at which the expression is defined; a refutation is an
admissible point at which its value is known to be other than zero (`enclosures`). Inner products of abstract vectors are
not independent numbers: points for them come from vectors and matrices of rational numbers; proofs may use that
resolvents are functions of their operators (`resolvents`) and that Gram matrices are positive semi-definite (`gram`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sympy as sp

from .enclosures import NoValue, contains_zero, precision, sample, value
from .gram import with_known_signs
from .radicals import Unknown, is_plain, vanishes
from .realization import is_entry, realize
from .resolvents import parts_of
from .vectors import Vector, entry_of

__all__ = ["Undecided", "Undefined", "is_small", "is_zero"]

QUICK, BITS, MORE_BITS = 64, 256, 1024
ATTEMPTS = 32
LARGEST_CASES = 3  # symbols whose signs are told apart
KINKED = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise)


class Undecided(ValueError):
    """An expression for which neither a proof nor a refutation of zero was found."""


class Undefined(Undecided):
    """A statement that is not defined everywhere where it is to hold: a denominator vanishes, a radicand is negative."""


def is_zero(expression: Any) -> bool:
    """Decide whether an expression vanishes for every admissible value of its symbols.

    A value is admissible if it agrees with what SymPy assumes of the symbol; a symbol without assumptions is a complex
    number. Roots, powers and logarithms have their principal values, and a float is the binary number that it stores.

    Parameters
    ----------
    expression : SymPy expression, number, object array, Vector, or a tuple or list of these
        An array is zero if all its entries are, a vector if it is zero for all vectors and operators that satisfy the
        relations of its space. Polynomials in noncommuting symbols and their inverses are compared word by word.

    Returns
    -------
    bool
        **True is a proof** that the expression is zero wherever it is defined, and that it is defined somewhere.
        **False is a refutation**: there is an admissible point at which it is defined and, by exact arithmetic or by an
        enclosure, not zero. For abstract vectors and their inner products that point is given by vectors and matrices
        of rational numbers that satisfy all relations.

    Raises
    ------
    Undecided
        If neither succeeds; the reason is named.
    TypeError
        If it is not an expression: a truth value, a relation, a text, None.

    Examples
    --------
    >>> import sympy as sp
    >>> from gradflow.symbolic import is_zero
    >>> a, x = sp.Symbol("a", positive=True), sp.Symbol("x", real=True)
    >>> is_zero(sp.sqrt(a**2 + 2 * a + 1) - a - 1), is_zero(sp.sqrt(x**2) - x)
    (True, False)
    """
    return _all_of(_is_zero, expression, {})


def is_small(expression: Any, dt: sp.Symbol, order: int) -> bool:
    r"""Decide whether an expression, or every coefficient of a vector or array, is O(dt^order) as dt tends to 0.

    dt tends to 0 from above if it is positive. All other symbols are constants, and the statement is made for each of
    their values. The expression must be smooth at dt = 0, or a quotient of two that are. Its value and its first
    ``order - 1`` derivatives with respect to dt are shown to vanish there.

    An inner product with the solution of a shifted system depends on dt. It is a smooth function near 0, since
    :math:`(I + \Delta t L)^{-1}` is one. The derivatives hold it fixed: a function that is smooth in dt and in such
    numbers, and has no terms of lower order for any value of them, is bounded by a multiple of :math:`\Delta t^p` on
    bounded sets. Vectors with another relation that contains dt are refused.

    Parameters
    ----------
    expression : SymPy expression, Vector, object array, tuple or list
        What is looked at.
    dt : Symbol
        What tends to 0.
    order : int
        The order p of O(dt^p), at least 1.

    Returns
    -------
    bool
        True is a proof, False a refutation, as for `is_zero`.

    Raises
    ------
    Undecided
        If neither succeeds, or the expression is not known to be smooth at 0.
    ValueError
        If dt is no symbol that can tend to 0, or the order no positive integer.
    """
    if not isinstance(dt, sp.Symbol):
        raise ValueError(f"dt must be a symbol, got {dt!r}")
    if not dt.is_commutative or dt.is_zero or dt.is_integer or dt.is_finite is False:
        raise ValueError(f"dt must be a symbol of a number that can tend to 0 and is not 0, got {dt!r}")
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 1:
        raise ValueError(f"order must be a positive integer, got {order!r}")
    return _all_of(lambda e, _: _is_small(e, dt, int(order)), expression, {})


def _all_of(decide: Any, expression: Any, fixed: Mapping[sp.Symbol, sp.Expr]) -> bool:
    """Decide for all entries: False if one is refuted, even if others are undecided."""
    if isinstance(expression, Vector):
        return bool(decide(expression, fixed))
    if isinstance(expression, (np.ndarray, list, tuple, sp.MatrixBase)):
        entries = list(expression) if not isinstance(expression, np.ndarray) else list(np.ravel(expression))
        if not entries:
            raise Undecided("an empty array has no entries")
        undecided, refuted = None, False
        for entry in entries:
            try:
                if isinstance(entry, np.ndarray) and entry.ndim == 0:
                    entry = entry.item()
                refuted = refuted or not _all_of(decide, entry, fixed)
            except Undecided as error:
                undecided = undecided or error
        if undecided is not None and not refuted:
            raise undecided
        return not refuted
    if isinstance(expression, str):
        raise TypeError(f"is_zero takes expressions, vectors and arrays of them, got the text {expression!r}")
    try:
        e = sp.sympify(expression)
    except sp.SympifyError as error:
        raise TypeError(f"is_zero takes expressions, vectors and arrays of them, got {expression!r}") from error
    if not isinstance(e, sp.Expr) or isinstance(e, sp.MatrixExpr):
        raise TypeError(f"is_zero takes expressions, vectors and arrays of them, got {expression!r}")
    if e.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise Undecided(f"no number: {e}")
    for s in e.free_symbols:
        if s.is_infinite or s.is_finite is False:
            raise Undecided(f"{s} is no finite number")
    e = e.xreplace({x: sp.Rational(x) for x in e.atoms(sp.Float)})  # a Python float is the number that it stores
    e = sp.sympify(e.xreplace({s: sp.Integer(0) for s in e.free_symbols if s.is_zero}))
    if e.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise Undecided(f"a denominator vanishes identically: {expression}")
    return bool(decide(e, fixed))


def _is_zero(e: Any, fixed: Mapping[sp.Symbol, sp.Expr]) -> bool:
    if isinstance(e, Vector):
        return _vector_is_zero(e, fixed)
    e = _renewed(e)
    if e.is_Rational:
        return bool(e == 0)
    if not e.is_commutative:
        return _words_vanish(e, fixed)
    points = _points(e, fixed)
    defined = False
    for at in _first(points, 2):
        found = _value(e, at, QUICK)
        if found is not None:
            if not contains_zero(found):
                return False
            defined = True
    reason = "neither shown to be zero nor shown not to be"
    try:
        proved = _proved(e)
    except Unknown as error:
        proved, reason = False, str(error)
    if proved:
        if defined or _always_defined(e) or any(_value(e, at, BITS) is not None for at in points):
            return True
        raise Undecided(_undefined(e))
    seen: list[Any] = []
    for at in points:
        found = _value(e, at, QUICK)
        if found is not None:
            if not contains_zero(found):
                return False
            seen.append(at)
    for bits in (BITS, MORE_BITS):
        for at in seen[:2] or [{}]:
            found = _value(e, at, bits)
            if found is not None and not contains_zero(found):
                return False
    if not seen and not defined:
        raise Undecided(_undefined(e))
    weaker = with_known_signs(e)
    if (weaker != e and _proves(weaker)) or _parts_vanish(weaker):
        return True
    raise Undecided(f"{reason}: {e}")


def _proves(e: sp.Expr) -> bool:
    try:
        return _proved(e)
    except Unknown:
        return False


def _parts_vanish(e: Any) -> bool:
    """Return True if all that resolvents, as functions of operators, leave of the expression or vector is zero.

    That holds for every step of a system. `_is_small` needs it: what vanishes at dt = 0 only has a derivative.
    """
    parts = parts_of(e)
    return parts is not None and all(_proves(sp.sympify(part)) for part in parts)


def _all_defined(coefficients: list[sp.Expr], fixed: Mapping[sp.Symbol, sp.Expr]) -> bool:
    """Return True if all are defined at one point."""
    e = sp.Tuple(*coefficients)
    return any(all(_value(c, at, QUICK) is not None for c in coefficients) for at in _points(e, fixed))


def _renewed(e: sp.Expr) -> sp.Expr:
    """Return e with its inner products rewritten by relations that have come since they were formed."""
    new = {}
    for s in e.free_symbols:
        entry = entry_of(s)
        if entry is not None:
            space = entry.left_space
            spaces = [space, entry.right_space, *(step.target for step in entry.word)]
            related = {name for passed in spaces for _, name in passed.relations}
            if entry.left in related or entry.right in related:
                right = Vector(space, {(entry.word, entry.right): sp.Integer(1)})
                new[s] = space.inner(Vector(space, {((), entry.left): sp.Integer(1)}), right)
    return sp.sympify(e.xreplace(new)) if new else e


def _vector_is_zero(v: Vector, fixed: Mapping[sp.Symbol, sp.Expr]) -> bool:
    """Decide by the coefficients; where they do not all vanish, the atoms may still be dependent."""
    v = v.space.combine(v.terms)
    coefficients = [sp.sympify(c) for c in v.terms.values()]
    undecided: ValueError | None = None
    shown = True
    for c in coefficients:
        try:
            shown = shown and c.is_commutative and _is_zero(c, fixed)
        except Undecided as error:
            shown, undecided = False, error
    if shown:
        return True
    symbols = v.free_symbols
    rng = random.Random(0)
    for attempt in range(4):
        values = _ordinary({s for s in symbols if not is_entry(s)}, 2 * attempt, rng, fixed)
        if values is None:
            break
        realized = realize({s for s in symbols if is_entry(s)}, [v], values, rng)
        if realized is None:
            break
        at = {**values, **realized[0]}
        for coordinate in realized[1][0]:
            found = _value(sp.sympify(coordinate), at, QUICK)
            if found is not None and not contains_zero(found):
                return False
    if _all_defined(coefficients, fixed) and _parts_vanish(v):
        return True
    raise undecided or Undecided(f"the atoms of an abstract vector may be dependent: {v}")


def _words_vanish(e: sp.Expr, fixed: Mapping[sp.Symbol, sp.Expr]) -> bool:
    """Decide in the free algebra: words in noncommuting symbols and their inverses are linearly independent."""
    words: dict[tuple[Any, ...], list[Any]] = {}
    for term in sp.Add.make_args(sp.expand(e)):
        scalars, word = term.args_cnc() if term.is_Mul else ([], [term]) if not term.is_commutative else ([term], [])
        for x in word:
            base, exponent = x.as_base_exp()
            if not (base.is_Symbol and exponent.is_Integer):
                where = "in a quotient" if exponent.is_negative else f"in {x}"
                raise Undecided(f"noncommuting symbols {where}: {e}")
        words.setdefault(tuple(word), []).append(sp.Mul(*scalars))
    everything = sp.Tuple(*(c for factors in words.values() for c in factors))
    defined = False
    letters = sorted((s for s in e.free_symbols if not s.is_commutative), key=str)
    scalar = {s: sp.Rational(k + 2, 3) for k, s in enumerate(letters)}  # numbers are elements of an algebra as well
    commuting = sp.Tuple(*(s for s in e.free_symbols if s.is_commutative))
    for at in _points(commuting, fixed):  # all has to be defined at one point
        if _value(e, {**at, **scalar}, QUICK) is None or any(_value(c, at, QUICK) is None for c in everything):
            continue
        defined = True
        for factors in words.values():
            found = _value(sp.Add(*factors), at, QUICK)
            if found is not None and not contains_zero(found):
                return False
    if defined and all(_is_zero(sp.Add(*factors), fixed) for factors in words.values()):
        return True
    raise Undecided(_undefined(sp.Add(*everything)) if not defined else f"neither zero nor not: {e}")


def _first(points: Iterator[Any], n: int) -> Iterator[Any]:
    for _ in range(n):
        at = next(points, None)
        if at is None:
            return
        yield at


def _ordinary(
    symbols: set[sp.Symbol], attempt: int, rng: random.Random, fixed: Mapping[sp.Symbol, sp.Expr]
) -> dict[sp.Symbol, sp.Expr] | None:
    at = dict(fixed)
    for s in sorted(symbols - set(fixed), key=lambda s: s.sort_key()):
        number = sample(s, attempt, rng)
        if number is None:
            return None
        at[s] = number
    return at


def _points(e: sp.Expr, fixed: Mapping[sp.Symbol, sp.Expr]) -> Iterator[dict[sp.Symbol, sp.Expr]]:
    """Yield admissible points, with inner products that vectors have."""
    rng = random.Random(0)
    entries = {s for s in e.free_symbols if is_entry(s)}
    for attempt in range(ATTEMPTS if e.free_symbols else 1):
        at = _ordinary(e.free_symbols - entries, attempt if not entries else 2 * attempt, rng, fixed)
        if at is None:
            return
        if entries:
            if attempt > 5:
                return
            realized = realize(entries, [], at, rng)
            if realized is None:
                return
            at |= realized[0]
        yield at


def _value(e: sp.Expr, at: Mapping[sp.Symbol, sp.Expr], bits: int) -> Any:
    """Return the exact or enclosed value, None if there is none."""
    try:
        with precision(bits):
            return value(e, at)
    except NoValue:
        return None


def _always_defined(e: sp.Expr) -> bool:
    """Return True if SymPy knows that no denominator vanishes, and there is nothing else that may be undefined."""
    if e.atoms(sp.Function) - e.atoms(sp.exp, sp.log, sp.Abs):
        return False
    arguments = [x.args[0] for x in e.atoms(sp.log)]
    arguments += [p.base for p in e.atoms(sp.Pow) if not p.exp.is_nonnegative]
    return all(x.is_nonzero or sp.factor_terms(x).is_nonzero for x in arguments)


def _undefined(e: sp.Expr) -> str:
    """Say why no point was found at which the expression is defined."""
    try:
        value(e, next(_points(e, {}), {}))
    except NoValue as error:
        if "function" in str(error):
            return str(error)
    for p in sorted(e.atoms(sp.Pow), key=str):
        if not p.exp.is_nonnegative:
            try:
                if _proved(p.base):
                    return f"a denominator vanishes identically: {p.base}"
            except Unknown:
                continue
    return f"no point is known at which it is defined: {e}"


def _proved(e: sp.Expr) -> bool:
    """Return True if the expression is shown to vanish wherever it is defined, case by case where signs matter."""
    if e.has(sp.re, sp.im, sp.conjugate, sp.Abs) and any(not x.is_real for x in e.free_symbols):
        parts = {z: sp.Dummy(real=True) + sp.I * sp.Dummy(real=True) for z in e.free_symbols if z.is_real is None}
        e = sp.sympify(e.xreplace(parts)).doit()
        if e.has(sp.re, sp.im, sp.conjugate):
            e = e.replace(lambda x: isinstance(x, (sp.re, sp.im)), lambda x: x.expand(complex=True))
    return _proved_by_cases(e, LARGEST_CASES)


def _proved_by_cases(e: sp.Expr, depth: int) -> bool:
    if e.is_Rational or e.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        return not e.is_Rational or bool(e == 0)  # what has no value need not vanish
    kinked = e.atoms(*KINKED)
    if not kinked:
        return _vanishes(e)
    if not any(isinstance(x, (sp.sign, sp.Piecewise)) for x in kinked) and _vanishes(e):
        return True
    symbols = [s for s in set().union(*(x.free_symbols for x in kinked)) if s.is_real and _sign_is_open(s)]
    if symbols and depth:
        s = min(symbols, key=lambda s: s.sort_key())
        cases: list[sp.Expr] = [sp.Integer(0)] if s.is_nonzero is None else []
        cases += [] if s.is_nonnegative else [-sp.Dummy(positive=True, integer=s.is_integer)]
        cases += [] if s.is_nonpositive else [sp.Dummy(positive=True, integer=s.is_integer)]
        return all(_proved_by_cases(sp.sympify(e.xreplace({s: case})), depth - 1) for case in cases)
    pieces = sorted(e.atoms(sp.Piecewise), key=lambda x: x.count_ops())
    if pieces:
        return depth > 0 and all(_proved_by_cases(e.xreplace({pieces[0]: x}), depth - 1) for x, _ in pieces[0].args)
    return _vanishes(e)


def _sign_is_open(s: sp.Symbol) -> bool:
    return not (s.is_positive or s.is_negative or s.is_zero)


def _interior(e: sp.Expr) -> sp.Expr:
    """Return e with symbols of which the sign alone is assumed, positive for nonnegative ones: e is continuous."""
    continuous = all(isinstance(f, SMOOTH) for f in e.atoms(sp.Function)) and all(
        p.exp.is_Rational or p.base.is_positive for p in e.atoms(sp.Pow)
    )
    plain = {}
    for s in e.free_symbols:
        if s.is_real and not is_plain(s):
            if s.is_positive or (continuous and s.is_nonnegative):
                plain[s] = sp.Dummy(positive=True)
            elif s.is_negative or (continuous and s.is_nonpositive):
                plain[s] = sp.Dummy(negative=True)
            elif s.is_nonnegative is None and s.is_nonpositive is None:
                plain[s] = sp.Dummy(real=True)
    return sp.sympify(e.xreplace(plain)) if plain else e


def _vanishes(e: sp.Expr) -> bool:
    if vanishes(e):
        return True
    weaker = _interior(e)
    return weaker != e and (weaker == 0 or vanishes(weaker))


ENTIRE = (sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh)
LARGEST_VALUATION = 12
SMOOTH = (sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.log)


def _is_small(e: Any, dt: sp.Symbol, order: int) -> bool:
    """Decide from the derivatives at dt = 0, the lowest one first."""
    _check_relations(e, dt)
    if isinstance(e, Vector):
        terms = e.space.combine(e.terms).terms  # a coefficient may hold what a relation with dt rewrites
        e = Vector(e.space, {atom: _renewed(sp.sympify(c)) for atom, c in terms.items()})
        for c in e.terms.values():
            if _singular(sp.sympify(c), dt):
                raise Undecided(f"a derivative with respect to {dt} is not finite at 0: {c}")
        for k in range(order):
            terms = {atom: sp.diff(sp.sympify(c), dt, k).subs(dt, 0) for atom, c in e.terms.items()}
            if not _vector_is_zero(Vector(e.space, terms), {dt: sp.Integer(0)}):
                return False
        return True
    e = _renewed(e)
    if not (_always_defined(e) or any(_value(e, at, QUICK) is not None for at in _points(e, {}))):
        raise Undecided(_undefined(e))
    if _singular(e, dt):  # as a quotient of smooth functions
        e, bottom = sp.fraction(sp.together(e))
        if bottom == 1 or _singular(e, dt) or _singular(bottom, dt):
            raise Undecided(f"a derivative with respect to {dt} is not finite at 0: {e}")
        for _ in range(LARGEST_VALUATION):
            leading = bottom.subs(dt, 0)
            if not (leading == 0 or _proved(leading)):
                break
            bottom, order = sp.diff(bottom, dt), order + 1
        else:
            raise Undecided(f"a denominator vanishes identically, or to a high order in {dt}: {e}")
        if not _never_zero(leading):
            raise Undecided(f"a denominator may vanish at {dt} = 0 to another order: {leading}")
    return all(_is_zero(sp.diff(e, dt, k).subs(dt, 0), {dt: sp.Integer(0)}) for k in range(order))


def _never_zero(e: sp.Expr) -> bool:
    return bool(e.is_nonzero or sp.factor_terms(e).is_nonzero or (e.is_number and not contains_zero(value(e, {}))))


def _singular(e: sp.Expr, dt: sp.Symbol) -> bool:
    """Return True if a denominator vanishes at dt = 0; raise if e is not known to be a quotient of analytic functions."""
    singular = False
    for x in e.atoms(sp.Pow, sp.Function, sp.Max, sp.Min, sp.Derivative):
        if not x.has(dt) or isinstance(x, ENTIRE) or (isinstance(x, sp.Pow) and x.exp.is_Integer and x.exp > 0):
            continue
        inner = x.args[0]
        if isinstance(x, sp.tanh) and inner.is_real:
            continue
        if not isinstance(x, (sp.Pow, sp.log)):
            raise Undecided(f"{type(x).__name__} is not known to be smooth in {dt}: {e}")
        at_zero = inner.subs(dt, 0)
        if at_zero.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
            singular = True
            continue
        if isinstance(x, sp.Pow) and x.exp.is_Integer:
            singular = singular or not _never_zero(at_zero)
            continue
        nonzero = at_zero.is_positive or sp.factor_terms(at_zero).is_positive
        if not (nonzero or (at_zero.is_negative and inner.is_real)):
            raise Undecided(
                f"a derivative with respect to {dt} is not finite at 0, or may not be, where {inner} vanishes or is no positive"
                f" number: {e}"
            )
    return singular


def _is_regular(c: Any, dt: sp.Symbol) -> bool:
    """Return True if c is a quotient of polynomials in dt of which the lower one does not vanish at dt = 0."""
    top, bottom = sp.fraction(sp.together(sp.sympify(c)))
    return bool(top.is_polynomial(dt) and bottom.is_polynomial(dt) and bottom.subs(dt, 0).is_nonzero)


def _check_relations(e: Any, dt: sp.Symbol) -> None:
    """Refuse vectors that are not known to be smooth in dt at 0.

    A relation with dt determines a vector u. Where u alone, with a factor that is not zero, is left of its terms in u
    as dt = 0, and all its coefficients are quotients of polynomials in dt whose denominators do not vanish at 0, u is
    smooth in dt by Cramer's rule: g = u + dt L u.
    """
    found = [entry_of(s) for s in e.free_symbols]
    spaces = [space for entry in found if entry for space in (entry.left_space, entry.right_space)]
    spaces += [e.space] if isinstance(e, Vector) else []
    for space in spaces:  # the list grows
        spaces += [other for other in space.neighbours if other not in spaces]
    for space in dict.fromkeys(spaces):
        for (_, name), v in space.relations.items():
            if dt not in v.free_symbols:
                continue
            at_zero = {atom: sp.sympify(c).subs(dt, 0) for atom, c in v.terms.items() if _is_regular(c, dt)}
            if len(at_zero) < len(v.terms) or not any(
                not word
                and base != name
                and c.is_nonzero
                and all(at_zero[x] == 0 for x in at_zero if x[1] == base and x[0])
                for (word, base), c in at_zero.items()
            ):
                raise Undecided(f"{dt} is in a relation of {name} that may make a vector grow as {dt} tends to 0: {v}")
