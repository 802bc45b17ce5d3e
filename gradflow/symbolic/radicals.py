r"""Proofs that an expression vanishes: polynomials in names of roots, exponentials and logarithms.

`vanishes` gives names to what is no rational operation. A root :math:`b^{1/q}` is named s with the relation
:math:`s^q = b`, which holds for the principal value of every number; exponentials are powers of names
:math:`\exp(m/q)`, one for each monomial m of the exponents with the common denominator q of its coefficients; logarithms
of products of factors known to be positive are sums. Over a common denominator an expression is then a polynomial, and
it vanishes where it is defined if the polynomial does modulo the relations.

That is a test, not a decision: :math:`\sqrt{a^2 + 2 a + 1} - a - 1` is not zero modulo :math:`s^2 = a^2 + 2 a + 1`. If
the base b of the last root is positive for all values of the other names, and N = P(s) is the polynomial, then N times
the product M of its conjugates is the norm of N, in which s does not occur. If the norm vanishes and M is not zero at
one point, then N vanishes in a neighbourhood of that point, and, as both are analytic on a connected domain (a product of
intervals), everywhere. If the norm does not vanish, neither does N. The norm has one root less: that ends.
"""

from __future__ import annotations

import random
from functools import reduce
from math import comb
from typing import Any

import sympy as sp

from .enclosures import NoValue, contains_zero, precision, sample, value

__all__ = ["Unknown", "is_plain", "vanishes"]

BITS = 200
LARGEST_DEGREE = 12
LARGEST_EXPANSION = 20_000  # terms of a power


class Unknown(ValueError):
    """An operation on which no proof can be built."""


def vanishes(e: sp.Expr) -> bool:
    """Return True if the expression is shown to be zero wherever it is defined; False says nothing.

    Parameters
    ----------
    e : SymPy expression
        In commuting symbols, without floats.

    Raises
    ------
    Unknown
        If there is an operation on which no proof can be built.
    """
    if _shown(e, factored=False):
        return True
    named = e.has(sp.I) or e.atoms(sp.Function, sp.Max, sp.Min) or any(not p.exp.is_Integer for p in e.atoms(sp.Pow))
    return bool(named) and _shown(e, factored=True)


def _shown(e: sp.Expr, *, factored: bool) -> bool:
    names = _Names(factored=factored)
    e = names.rational(e)
    gens = sorted(
        e.free_symbols.union(*(base.free_symbols for _, base, _ in names.roots), {s for s, _, _ in names.roots}),
        key=lambda x: x.sort_key(),
    )
    if not gens:
        return bool(sp.expand(e) == 0)
    ring = sp.ring(gens, sp.QQ)[0]
    try:
        numerator, _ = _fraction(e, ring)
        if not factored:
            for s, base, q in reversed(names.roots):
                numerator = _replaced(numerator, ring.index(ring(s)), q, *_fraction(base, ring))
            return not numerator
        roots = [_Root(ring, s, _fraction(base, ring)[0], q, names.tame(s)) for s, base, q in names.roots]
    except ZeroDivisionError as error:
        raise Unknown(f"a denominator vanishes identically: {error}") from error
    except Unknown:
        raise
    except (ValueError, sp.PolynomialError) as error:
        raise Unknown(f"no rational operation, root, exponential or logarithm: {error}") from error
    numerator = _reduced(numerator, roots)
    if not numerator or not roots:
        return not numerator
    wild = [k for k, s in enumerate(gens) if not names.tame(s)]
    return _is_zero_in_tower(numerator, roots, wild, gens)


class _Names:
    """Names for roots, exponentials and logarithms, with what is known of them.

    `roots` holds (s, b, q) with s^q = b, b a polynomial in names that come earlier.
    """

    def __init__(self, *, factored: bool) -> None:
        self.factored = factored
        self.roots: list[tuple[sp.Symbol, sp.Expr, int]] = []
        self.named: dict[sp.Expr, sp.Expr] = {}
        self.exponents: dict[sp.Expr, tuple[sp.Symbol, int]] = {}
        self.logarithms: dict[sp.Symbol, sp.Expr] = {}  # the argument by the name
        self.exponentials: dict[sp.Symbol, sp.Expr] = {}  # the exponent by the name
        self.by_base: dict[tuple[sp.Expr, int], sp.Expr] = {}
        self.wild: set[sp.Symbol] = set()
        self.continuous = False

    def tame(self, s: sp.Symbol) -> bool:
        """Return True for real symbols, names of free real numbers, and roots of what is positive for all of those."""
        return s not in self.wild and is_plain(s)

    def rational(self, e: sp.Expr) -> sp.Expr:
        """Return e as a rational expression in names, the innermost ones made first."""
        powers = [p for p in e.atoms(sp.Pow) if not p.exp.is_Rational]
        if powers:
            e = sp.expand_power_base(e)  # (z w)^k = z^k w^k for integer k
            self.continuous = all(isinstance(f, (sp.exp, sp.log, *CIRCULAR)) for f in e.atoms(sp.Function))
            self.continuous &= not any(s.is_integer for p in powers for s in p.base.free_symbols)
        e = e.replace(lambda x: isinstance(x, CIRCULAR), lambda x: x.rewrite(sp.exp)) if e.has(*CIRCULAR) else e
        e = e.xreplace({sp.E: sp.exp(1, evaluate=False), sp.GoldenRatio: (1 + sp.sqrt(5)) / 2})
        while True:
            found = [
                x
                for x in e.atoms(sp.Pow, sp.Function, sp.Max, sp.Min, sp.Derivative, sp.NumberSymbol)
                if _needs_name(x)
            ]
            if e.has(sp.I):
                found.append(sp.I)
            inner = [x for x in found if not any(y is not x and y != x and x.has(y) for y in found)]
            if not inner:
                return e
            self.common_degrees(inner)
            e = e.xreplace({x: self.name(x) for x in inner})

    def common_degrees(self, found: list[sp.Expr]) -> None:
        """Prepare the common denominators of the exponents of what is about to be named."""
        self.arguments = {x: self.exponent(x) for x in found if isinstance(x, sp.exp)}
        bottom = reduce(sp.lcm, (sp.fraction(a)[1] for a in self.arguments.values()), sp.Integer(1))
        self.degrees: dict[sp.Expr, int] = {}
        for x, argument in self.arguments.items():
            terms = []
            for term in sp.Add.make_args(sp.expand(sp.cancel(argument * bottom) if bottom != 1 else argument)):
                c, monomial = term.as_coeff_Mul()
                if not c.is_Rational:
                    c, monomial = sp.Integer(1), term
                monomial = monomial / bottom
                terms.append((c, monomial))
                self.degrees[monomial] = int(sp.ilcm(self.degrees.get(monomial, 1), c.q))
            self.arguments[x] = terms
        self.root_degrees: dict[sp.Expr, int] = {}
        for x in found:
            if isinstance(x, sp.Pow) and x.exp.is_Rational:
                self.root_degrees[x.base] = int(sp.ilcm(self.root_degrees.get(x.base, 1), x.exp.q))

    def exponent(self, x: sp.Expr) -> sp.Expr:
        argument = x.args[0]
        return sp.cancel(sp.together(argument)) if _has_quotient(argument) else sp.expand(argument)

    def name(self, x: sp.Expr) -> sp.Expr:
        if x not in self.named:
            self.named[x] = self.new_name(x)
        return self.named[x]

    def new_name(self, x: sp.Expr) -> sp.Expr:
        if x is sp.I:
            return self.root(sp.Integer(-1), 2)
        if isinstance(x, sp.exp):
            return sp.Mul(*(self.exponential(c, m) for c, m in self.arguments[x]))
        if isinstance(x, sp.log):
            return self.logarithm(x.args[0])
        if isinstance(x, sp.Pow) and x.exp.is_Rational:
            return self.power(x)
        if isinstance(x, sp.Pow) and (x.base.is_zero is False or (self.continuous and x.base.free_symbols)):
            return sp.exp(x.exp * sp.log(x.base), evaluate=False)  # by definition, or by continuity if the base is 0
        if isinstance(x, (sp.Max, sp.Min)) and all(a.is_real for a in x.args):
            first, rest = x.args[0], x.func(*x.args[1:])
            half = sp.Abs(first - rest) / 2
            return (first + rest) / 2 + (half if isinstance(x, sp.Max) else -half)
        if isinstance(x, sp.Abs) and x.args[0].is_real:
            split = sp.Abs(sp.factor(x.args[0]))
            if split.is_Mul:
                return split
            s = sp.Dummy("abs", nonnegative=True)
            self.wild.add(s)
            self.roots.append((s, *self.polynomial(x.args[0] ** 2)[:1], 2))
            bottom = self.polynomial(x.args[0] ** 2)[1]
            return s / bottom if bottom == 1 else self.free(x)
        return self.free(x)

    def free(self, x: sp.Expr) -> sp.Symbol:
        """Return a name without any relation: equal things have equal names, and that is all that is used."""
        return sp.Dummy("x", positive=True) if x.is_positive else sp.Dummy("x", real=x.is_real)

    def polynomial(self, e: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """Return numerator and denominator."""
        top, bottom = sp.fraction(sp.together(e))
        return top, bottom

    def power(self, x: sp.Pow) -> sp.Expr:
        base = sp.together(x.base)
        base = sp.factor(base) if self.factored else sp.factor_terms(base)
        result = (
            base**x.exp
        )  # SymPy takes factors out that are known to be positive: sqrt(2 a + 2 b) = sqrt(2) sqrt(a + b)
        if isinstance(result, sp.Pow) and result.base == base:
            return self.root(base, int(self.root_degrees.get(x.base, x.exp.q))) ** int(
                x.exp * self.root_degrees.get(x.base, x.exp.q)
            )
        parts = []
        for factor in sp.Mul.make_args(result):
            if isinstance(factor, sp.Pow) and factor.exp.is_Rational and not factor.exp.is_Integer:
                q = int(sp.ilcm(self.root_degrees.get(x.base, 1), factor.exp.q))
                parts.append(self.root(factor.base, q) ** int(factor.exp * q))
            else:
                parts.append(factor)
        return sp.Mul(*parts)

    def root(self, base: sp.Expr, q: int) -> sp.Expr:
        """Return the principal q-th root of the base: s / d with s^q = n d^(q - 1) for the base n / d."""
        for (known, degree), s in self.by_base.items():
            if known == base and degree % q == 0:
                return s ** (degree // q)
        if q == 2 and base.is_negative and base != -1:
            return self.name(sp.I) * self.root(sp.expand(-base), 2)
        if not self.factored:
            s = sp.Dummy("s", positive=base.is_positive)
            self.roots.append((s, base, q))
            self.by_base[base, q] = s
            return s
        top, bottom = self.polynomial(base)
        free = top.free_symbols | bottom.free_symbols
        positive = bool(base.is_positive) and (bottom == 1 or bool(bottom.is_positive))
        tame = positive and all(self.tame(s) for s in free)
        if not free and base.is_real:
            tame = positive = bool(base.is_positive)
        elif free and not positive and free <= {s for s, _, _ in self.roots} and self._is_positive_number(base):
            tame = positive = bottom == 1
        if positive:
            s = sp.Dummy("s", positive=True)
        elif base.is_nonnegative and bottom == 1:
            s = sp.Dummy("s", nonnegative=True)
        else:
            s = sp.Dummy("s")
        if not tame:
            self.wild.add(s)
        self.roots.append((s, sp.expand(top * bottom ** (q - 1)), q))
        self.by_base[base, q] = s / bottom
        return s / bottom

    def _is_positive_number(self, base: sp.Expr) -> bool:
        """Return True if the base has roots of numbers only, all positive, and is positive by an enclosure."""
        at: dict[Any, Any] = {}
        for s, b, q in self.roots:
            if s in self.wild or not b.free_symbols <= set(at):
                continue
            at[s] = b.xreplace(at) ** sp.Rational(1, q)
        try:
            with precision(BITS):
                x = value(base.xreplace(at), {})
        except NoValue:
            return False
        return not contains_zero(x) and bool(getattr(x, "re", x) > 0) and getattr(x, "im", None) is None

    def exponential(self, c: sp.Rational, monomial: sp.Expr) -> sp.Expr:
        """Return exp(c m)."""
        if monomial in self.logarithms:
            return self.logarithms[monomial] ** c
        if monomial not in self.exponents:
            s = sp.Dummy("exp", positive=True) if monomial.is_real else sp.Dummy("exp")
            q = self.degrees[monomial]
            self.exponents[monomial] = (s, q)
            self.exponentials[s] = monomial / q
            if any(not self.tame(x) for x in monomial.free_symbols):
                self.wild.add(s)
        s, q = self.exponents[monomial]
        power = c * q
        return s**power

    def logarithm(self, argument: sp.Expr) -> sp.Expr:
        """Return the sum of the logarithms of the factors, as far as they are known to be positive."""
        total = sp.expand_log(sp.log(sp.factor(sp.together(argument))), factor=True)
        terms = {}
        for x in total.atoms(sp.log):
            inner = x.args[0]
            root = next(((b, q) for s, b, q in self.roots if s == inner and s.is_positive and self.tame(s)), None)
            if root is not None:
                terms[x] = self.logarithm(root[0]) / root[1]
            elif inner.is_negative:
                terms[x] = self.logarithm(-inner) + self.name(sp.I) * self.name(sp.pi)
            elif inner in self.exponentials and inner.is_positive:
                terms[x] = self.exponentials[inner]
            else:
                if x not in self.named:
                    name = sp.Dummy("log", real=True) if inner.is_positive else sp.Dummy("log")
                    self.logarithms[name] = inner
                    self.named[x] = name
                terms[x] = self.named[x]
        return total.xreplace(terms)


PLAIN = tuple(sp.Dummy(**signs).assumptions0 for signs in ({"real": True}, {"positive": True}, {"negative": True}))


def is_plain(s: sp.Symbol) -> bool:
    """Return True if all that is assumed of the symbol is that it is real, or its sign: then it may be in an interval.

    Parameters
    ----------
    s : Symbol
        Its assumptions are looked at.
    """
    return s.assumptions0 in PLAIN


CIRCULAR = (sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch)


def _needs_name(x: sp.Expr) -> bool:
    return not (isinstance(x, sp.Pow) and x.exp.is_Integer)


def _has_quotient(e: sp.Expr) -> bool:
    return any(p.exp.is_negative for p in e.atoms(sp.Pow))


class _Root:
    """The relation s^q = base in a ring."""

    def __init__(self, ring: Any, s: sp.Symbol, base: Any, q: int, tame: bool) -> None:
        self.index, self.base, self.q, self.tame, self.name = ring.index(ring(s)), base, q, tame, s


def _replaced(numerator: Any, index: int, q: int, top: Any, factors: dict[Any, int]) -> Any:
    """Return a multiple of the numerator with s^q = top / (product of factors), s being the generator at `index`."""
    ring = numerator.ring
    bottom = ring.one
    for f, k in factors.items():
        bottom *= f**k
    powers = {k: c for (k,), c in _by_powers(numerator, [index]).items()}
    highest = max((k // q for k in powers), default=0)
    s, result = ring.gens[index], ring.zero
    for k, coefficient in powers.items():
        result += coefficient * top ** (k // q) * bottom ** (highest - k // q) * s ** (k % q)
    return result


def _reduced(polynomial: Any, roots: list[_Root]) -> Any:
    """Return the polynomial with s^q = base for all roots, the last one first."""
    for root in reversed(roots):
        while any(monomial[root.index] >= root.q for monomial in polynomial.itermonoms()):
            powers: dict[int, Any] = {}
            result = polynomial.ring.zero
            for monomial, c in polynomial.terms():
                k, rest = divmod(monomial[root.index], root.q)
                reduced = (*monomial[: root.index], rest, *monomial[root.index + 1 :])
                powers.setdefault(k, polynomial.ring.zero)[reduced] = c
            for k, coefficient in powers.items():
                result += coefficient * root.base**k if k else coefficient
            polynomial = result
    return polynomial


def _by_powers(polynomial: Any, indices: list[int]) -> dict[tuple[int, ...], Any]:
    parts: dict[tuple[int, ...], Any] = {}
    for monomial, c in polynomial.terms():
        rest = list(monomial)
        for k in indices:
            rest[k] = 0
        part = parts.setdefault(tuple(monomial[k] for k in indices), polynomial.ring.zero)
        part[tuple(rest)] = c
    return parts


def _is_zero_in_tower(N: Any, roots: list[_Root], wild: list[int], gens: list[sp.Symbol]) -> bool:
    """Return True if the reduced polynomial is shown to vanish for all values of the names that are no roots."""
    if not N:
        return True
    parts = _by_powers(N, wild)
    if set(parts) != {(0,) * len(wild)}:
        return all(_is_zero_in_tower(part, roots, wild, gens) for part in parts.values())
    last = next((r for r in reversed(roots) if r.tame and any(m[r.index] for m in N.itermonoms())), None)
    if last is None:
        return False
    if all(_is_zero_in_tower(part, roots, wild, gens) for part in _by_powers(N, [last.index]).values()):
        return True
    if last.q > LARGEST_DEGREE:
        return False
    norm, conjugates = _norm(N, last, roots)
    return _is_zero_in_tower(norm, roots, wild, gens) and _somewhere_nonzero(conjugates, roots, gens)


def _norm(N: Any, root: _Root, roots: list[_Root]) -> tuple[Any, Any]:
    """Return the norm with respect to s, and the product M of the other conjugates: N M = norm.

    Newton's identities give the characteristic polynomial of the multiplication with N from the traces of its powers;
    the trace of s^k is 0 for k = 1, ..., q - 1. By Cayley and Hamilton N divides the last coefficient.
    """
    q, one = root.q, N.ring.one
    powers = [one]
    for _ in range(q):
        powers.append(_reduced(powers[-1] * N, roots))
    zero_power = [_by_powers(p, [root.index]).get((0,), N.ring.zero) for p in powers]
    traces = [p * q for p in zero_power]
    coefficients = [one]
    for k in range(1, q + 1):
        total = sum((coefficients[k - i] * traces[i] for i in range(1, k + 1)), N.ring.zero)
        coefficients.append(_reduced(total, roots).mul_ground(sp.QQ(-1, k)))
    conjugates = sum((coefficients[k] * powers[q - 1 - k] for k in range(q)), N.ring.zero)
    return coefficients[q], _reduced(conjugates, roots)


def _somewhere_nonzero(M: Any, roots: list[_Root], gens: list[sp.Symbol]) -> bool:
    """Return True if the polynomial has a nonzero value for some values of the names that are no roots."""
    rng = random.Random(1)
    e = M.as_expr()
    own = {r.name: r for r in roots}
    for attempt in range(4):
        at: dict[Any, Any] = {}
        for s in gens:
            if s not in own:
                number = sample(sp.Dummy(positive=s.is_positive, negative=s.is_negative, real=True), 2 * attempt, rng)
                at[s] = number if number is not None else sp.Integer(1)
        for r in roots:
            if r.tame:
                at[r.name] = sp.Pow(r.base.as_expr().xreplace(at), sp.Rational(1, r.q), evaluate=False)
        try:
            with precision(BITS):
                if not contains_zero(value(e, at)):
                    return True
        except NoValue:
            continue
    return False


def _fraction(e: sp.Expr, ring: Any) -> tuple[Any, dict[Any, int]]:
    """Return a numerator and the factors of a denominator with their powers; no common divisor is looked for."""
    if e.is_Add:
        parts = [_fraction(x, ring) for x in e.args]
        common: dict[Any, int] = {}
        for _, factors in parts:
            for f, k in factors.items():
                common[f] = max(k, common.get(f, 0))
        total: dict[Any, Any] = {}  # a sum of polynomials copies the longer one for each term
        for numerator, factors in parts:
            for f, k in common.items():
                missing = k - factors.get(f, 0)
                numerator = numerator * f**missing if missing else numerator
            for monomial, c in numerator.terms():
                total[monomial] = total.get(monomial, 0) + c
        return ring.from_dict(total), common
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
        if abs(n) > LARGEST_DEGREE and comb(abs(n) + max(len(numerator), 1) - 1, abs(n)) > LARGEST_EXPANSION:
            raise Unknown("a power is too large to be expanded")
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
