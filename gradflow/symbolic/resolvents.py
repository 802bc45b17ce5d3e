r"""Resolvents as functions of operators: what of a difference of vectors or of inner products is left to be zero.

A solution of a shifted system is :math:`R g`, :math:`R = (I + a L)^{-1}`. It exists for every g, and is the only one, if
:math:`a \ge 0` and L is positive semi-definite. So every vector is a sum of words applied to vectors that solve no
system; the letters of a word are functions of single operators,

.. math:: f_1(X_1)\, f_2(X_2) \cdots f_k(X_k)\, u, \qquad f_i(\lambda) = \frac{\lambda^m}{\prod_j (1 + a_j \lambda)}.    \tag{1}

Functions of one operator commute and multiply as functions of a number :math:`\lambda` do: neighbours with one operator are
one letter. With :math:`f = f(0) + (f - f(0))` every letter is a number or vanishes at 0. Words are then sorted by their
operators and vectors. The words of one sort have the sum

.. math:: \sum_w c_w\, f_{w,1}(X_1) \cdots f_{w,k}(X_k)\, u,                                              \tag{2}

which vanishes if the function :math:`\sum_w c_w f_{w,1}(\lambda_1) \cdots f_{w,k}(\lambda_k)` of k independent variables
does: multiplied by its denominators it is a polynomial all of whose coefficients vanish, and every letter may be
multiplied by the denominator of its operator, which is invertible. Nothing is divided by. (That is a decision, and not a
test only, for operators that are independent of one another: functions that vanish at 0, in words without equal
neighbours, are a basis of the free product of the algebras.)

An operator that is solved with may be a sum, T = L + S. Then T is a letter, and L = T - S is none. If L, S and L + S are all
solved with, there is no such choice.

An inner product :math:`(R u, X v)` is :math:`(u, R^* X v)`, of which the sorts are those of the words, with both vectors. Of
:math:`(u, w v) = (v, w^* u)` one is taken; if both are of one sort, the mean of both. A product of inner products has the
letters of all its factors, and is summed over the orders of factors of one sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple, TypeAlias

import sympy as sp

from .vectors import Atom, Map, Space, Vector, entry_of

__all__ = ["parts_of"]

MOST_WORDS = 300
LARGEST_DEGREE = 3
LAMBDA = sp.Dummy("lambda", positive=True)
Letter: TypeAlias = tuple[Map, ...]
"""A map, or the terms of a sum."""
Word: TypeAlias = tuple[tuple[Letter, Any], ...]
"""Letters with their functions of `LAMBDA`."""
Base: TypeAlias = tuple[Space, str]
Sort: TypeAlias = tuple[Any, ...]


class NoParts(ValueError):
    """A difference that is not of the form that is looked at."""


class System(NamedTuple):
    """What a vector solves."""

    space: Space
    right: Atom
    terms: Letter
    step: sp.Expr


def parts_of(e: Vector | sp.Expr) -> list[sp.Expr] | None:
    """Return expressions such that the vector, or the expression in inner products, is zero if they all vanish.

    Parameters
    ----------
    e : Vector or SymPy expression
        What is looked at.

    Returns
    -------
    list of SymPy expressions or None
        In the symbols of e and others, which are positive; the sums (2). None if e has no solutions of shifted systems,
        or is not of the form that is looked at: a system with an operator that is not positive semi-definite or a step
        that may be negative, an expression that is no quotient of polynomials in inner products, or of high degree.

    Examples
    --------
    >>> from gradflow.symbolic import Space, symbols
    >>> V = Space()
    >>> u, S, a = V.vector("u"), V.operator("S"), symbols("a", 1, positive=True)[0]
    >>> p, q = S.solve_shifted(u, a), S.solve_shifted(S(u), a)
    >>> [part.expand().simplify() for part in parts_of(q - S(p))]
    [0]
    """
    try:
        if isinstance(e, Vector):
            algebra = _Algebra([_base(e.space, atom) for atom in e.terms])
            return list(_vector_sums(algebra, e).values())
        entries = sorted((s for s in e.free_symbols if entry_of(s) is not None), key=lambda s: s.sort_key())
        known = [entry for s in entries if (entry := entry_of(s)) is not None]
        bases = [base for x in known for base in ((x.left_space, x.left), (x.right_space, x.right))]
        return list(_form_sums(_Algebra(bases), e, entries).values())
    except NoParts:
        return None


class _Algebra:
    """The letters that belong to some vectors, and the words of these."""

    def __init__(self, bases: list[Base]) -> None:
        self.systems: dict[Base, System] = {}
        self.seen: set[Base] = set()
        self.maps: dict[Map, None] = {}
        for base in bases:
            self._reach(base)
        if not self.systems:
            raise NoParts
        self._choose_letters()

    def _reach(self, base: Base) -> None:
        if base in self.seen:
            return
        self.seen.add(base)
        space, name = base
        for (right, terms, step), solution in space.systems.items():
            if ((), name) in solution.terms:
                step = sp.sympify(step)
                if not (step.is_nonnegative and all(X.positive and X.adjoint is X for X in terms)):
                    raise NoParts
                self.systems[base] = System(space, right, terms, step)
                self._reach(_base(space, right))

    def _choose_letters(self) -> None:
        """Choose sums of operators that are solved with, and single maps, as letters; write all maps in them."""
        sums = list(dict.fromkeys(tuple(sorted(s.terms, key=_serial)) for s in self.systems.values()))
        atoms = sorted({X for terms in sums for X in terms}, key=_serial)
        candidates = [*sums, *((X,) for X in atoms)]
        rows = sp.Matrix([[terms.count(X) for X in atoms] for terms in candidates])
        chosen = list(rows.T.rref()[1])  # the first rows that are independent
        self.letters: list[Letter] = [candidates[k] for k in chosen]
        inverse = sp.Matrix([list(rows.row(k)) for k in chosen]).inv()
        self.written: dict[Letter, list[tuple[Letter, sp.Expr]]] = {}
        for k, terms in enumerate(candidates):
            coefficients = rows.row(k) * inverse
            self.written[terms] = [(x, c) for x, c in zip(self.letters, coefficients, strict=True) if c]
        if any(len(self.written[terms]) != 1 for terms in sums):
            raise NoParts  # L, S and L + S are all solved with

    def words(
        self, word: tuple[Map, ...], base: Base, inside: frozenset[Base] = frozenset()
    ) -> list[tuple[Any, Word, Base]]:
        """Return the words that these maps, applied to a named vector, are: (coefficient, word, base)."""
        found: list[tuple[Any, Word, Base]] = [(sp.Integer(1), (), base)]
        system = self.systems.get(base)
        if system is not None:
            if base in inside:
                raise NoParts
            ((letter, factor),) = self.written[tuple(sorted(system.terms, key=_serial))]
            resolvent = 1 / (1 + system.step * factor * LAMBDA)
            rest = self.words(system.right[0], _base(system.space, system.right), inside | {base})
            found = [(c, _product(((letter, resolvent),), w), b) for c, w, b in rest]
        for step in reversed(word):
            found = [
                (c * factor, _product(((letter, LAMBDA),), w), b)
                for c, w, b in found
                for letter, factor in self.written.get((step,), [((step,), sp.Integer(1))])
            ]
            if len(found) > MOST_WORDS:
                raise NoParts
        return found


def _vector_sums(algebra: _Algebra, v: Vector) -> dict[Sort, sp.Expr]:
    """Return the sums (2) of a vector."""
    sums: dict[Sort, sp.Expr] = {}
    for atom, c in v.terms.items():
        for factor, word, base in algebra.words(atom[0], _base(v.space, atom)):
            for number, short in _without_constants(word):
                sort = (tuple(letter for letter, _ in short), base)
                sums[sort] = sums.get(sort, sp.Integer(0)) + c * factor * number * _function(short, 0)
    return sums


def _form_sums(algebra: _Algebra, e: sp.Expr, entries: list[sp.Symbol]) -> dict[Sort, sp.Expr]:
    """Return the sums (2) of the numerator of an expression in inner products."""
    if any(p.exp.is_negative and not p.free_symbols.isdisjoint(entries) for p in e.atoms(sp.Pow)):
        e = sp.fraction(sp.together(e))[0]
    try:
        polynomial = sp.Poly(e, *entries)
    except sp.PolynomialError as error:
        raise NoParts from error
    if polynomial.total_degree() > LARGEST_DEGREE:
        raise NoParts
    forms = [list(_forms(algebra, s)) for s in entries]
    sums: dict[Sort, sp.Expr] = {}
    for powers, c in polynomial.terms():
        products: list[tuple[Any, list[Any]]] = [(c, [])]
        for form, power in zip(forms, powers, strict=True):
            for _ in range(power):
                products = [(b * a, [*factors, x]) for b, factors in products for a, x in form]
                if len(products) > MOST_WORDS:
                    raise NoParts
        for b, factors in products:
            factors.sort(key=lambda x: x[0])
            sort = tuple(x[0] for x in factors)
            sums[sort] = sums.get(sort, sp.Integer(0)) + b * _over_orders(factors)
    return sums


def _forms(algebra: _Algebra, symbol: sp.Symbol) -> Iterator[tuple[Any, tuple[Any, Word]]]:
    """Yield what an inner product is the sum of: a coefficient, a sort and a word."""
    entry = entry_of(symbol)
    assert entry is not None
    left = algebra.words((), (entry.left_space, entry.left))
    right = algebra.words(entry.word, (entry.right_space, entry.right))
    if len(left) * len(right) > MOST_WORDS:
        raise NoParts
    for a, x, u in left:
        for b, y, v in right:
            for number, word in _without_constants(_product(_adjoint(x), y)):
                there, back = _key(u, word, v), _key(v, _adjoint(word), u)
                if there == back:
                    yield a * b * number / 2, (there, word)
                    yield a * b * number / 2, (back, _adjoint(word))
                else:
                    yield a * b * number, min((there, word), (back, _adjoint(word)), key=lambda x: x[0])


def _over_orders(factors: list[tuple[Any, Word]]) -> sp.Expr:
    """Return the function of a product of inner products, summed over the orders of those of one sort."""
    total = sp.Integer(0)
    for order in permutations(factors):
        if [x[0] for x in order] == [x[0] for x in factors]:
            product, first = sp.Integer(1), 0
            for _, word in order:
                product *= _function(word, first)
                first += len(word)
            total += product
    return total


def _key(u: Base, word: Word, v: Base) -> tuple[Any, ...]:
    letters = tuple(tuple(X.serial for X in letter) for letter, _ in word)
    return ((u[0].serial, u[1]), letters, (v[0].serial, v[1]))


def _product(x: Word, y: Word) -> Word:
    if x and y and x[-1][0] == y[0][0]:
        return (*x[:-1], (x[-1][0], x[-1][1] * y[0][1]), *y[1:])
    return (*x, *y)


def _adjoint(word: Word) -> Word:
    """Return the adjoint: f(-X) for a skew operator X, which has the sign -1."""
    result: list[tuple[Letter, Any]] = []
    for letter, f in reversed(word):
        if len(letter) == 1 and getattr(letter[0], "sign", 1) < 0:
            result.append((letter, f.xreplace({LAMBDA: -LAMBDA})))
        else:
            result.append((letter if len(letter) > 1 else (letter[0].adjoint,), f))
    return tuple(result)


def _without_constants(word: Word) -> list[tuple[sp.Expr, Word]]:
    """Return words whose functions vanish at 0, and numbers, by which they are multiplied."""
    for k, (letter, f) in enumerate(word):
        constant = f.subs(LAMBDA, 0)
        if constant != 0:
            rest = _without_constants((*word[:k], (letter, f - constant), *word[k + 1 :]))
            short = _without_constants(_product(word[:k], word[k + 1 :]))
            return rest + [(constant * c, w) for c, w in short]
    return [(sp.Integer(1), word)]


_SLOTS: list[sp.Dummy] = []


def _function(word: Word, first: int) -> sp.Expr:
    """Return the product of the functions of a word, each of a variable of its own, from the one with this number on."""
    while len(_SLOTS) < first + len(word):
        _SLOTS.append(sp.Dummy(f"lambda_{len(_SLOTS)}", positive=True))
    return sp.Mul(*(f.xreplace({LAMBDA: _SLOTS[first + k]}) for k, (_, f) in enumerate(word)))


def _serial(X: Map) -> int:
    return X.serial


def _base(space: Space, atom: Atom) -> Base:
    word, name = atom
    return (word[-1].source if word else space), name
