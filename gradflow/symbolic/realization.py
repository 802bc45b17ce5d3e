"""Vectors and matrices of rational numbers in the place of abstract ones: points at which identities are refuted.

Inner products of abstract vectors are not independent. They form a Gram matrix, and those of solutions of linear systems
satisfy further relations. `realize` takes random rational matrices for the maps and random rational vectors, solves the
systems exactly, and computes all inner products from these; every relation that concerns them is verified.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import sympy as sp

from .enclosures import Box, NoValue, sample, value
from .vectors import Atom, Map, Space, Vector, entry_atoms

__all__ = ["is_entry", "realize"]

DIMENSION, LARGEST_DIMENSION = 3, 8


class _Impossible(ValueError):
    """The relations are not solved by this construction."""


def is_entry(symbol: sp.Symbol) -> bool:
    """Return True for the symbol of an inner product of abstract vectors."""
    return entry_atoms(symbol) is not None


def realize(
    symbols: Iterable[sp.Symbol],
    vectors: Iterable[Vector],
    values: Mapping[sp.Symbol, sp.Expr],
    rng: random.Random,
) -> tuple[dict[sp.Symbol, sp.Expr], list[list[sp.Expr]]] | None:
    """Return values of inner products, and coordinates of vectors, for random maps and vectors in small dimensions.

    Parameters
    ----------
    symbols : iterable of Symbol
        Inner products.
    vectors : iterable of Vector
        Vectors whose coordinates are wanted.
    values : dict
        Exact values of the other symbols, such as dt, by symbol. A symbol of which the relations alone depend gets a
        value at random.
    rng : random.Random
        Where the numbers are taken from.

    Returns
    -------
    tuple or None
        The values by symbol and, for each vector, its coordinates, expressions in all symbols of its coefficients. None
        if the relations are not of a kind that is solved here.
    """
    vectors = list(vectors)
    model = _Model(dict(values), rng)
    try:
        at: dict[sp.Symbol, sp.Expr] = {}
        for symbol in symbols:
            number = model.entry(symbol)
            at[symbol] = sp.Rational(number.numerator, number.denominator)
        at |= {s: x for s, x in model.entries.items() if s in at}
        coordinates = []
        for v in vectors:
            columns = [(sp.sympify(c), model.atom(atom, v.space)) for atom, c in v.terms.items()]
            coordinates.append(
                [
                    sp.Add(*(c * sp.Rational(x[k].numerator, x[k].denominator) for c, x in columns))
                    for k in range(model.dimension(v.space))
                ]
            )
        model.verify()
    except (_Impossible, NoValue, ZeroDivisionError, RecursionError):
        return None
    return at, coordinates


class _Model:
    """Maps as matrices, vectors as tuples of fractions; made on first use."""

    def __init__(self, values: dict[sp.Symbol, sp.Expr], rng: random.Random) -> None:
        self.values, self.rng = values, rng
        self.matrices: dict[int, list[list[Fraction]]] = {}
        self.bases: dict[tuple[int, str], list[Fraction]] = {}
        self.under_way: set[tuple[int, str]] = set()
        self.spaces: dict[int, Space] = {}
        self.entries: dict[sp.Symbol, sp.Expr] = {}

    def dimension(self, space: Space) -> int:
        self.spaces[space.serial] = space
        n = int(self.values.get(space.dimension, DIMENSION))
        if n > LARGEST_DIMENSION:
            raise _Impossible
        return n

    def number(self) -> Fraction:
        return Fraction(self.rng.randint(-7, 7), self.rng.randint(1, 3))

    def matrix(self, one: Map) -> list[list[Fraction]]:
        if one.serial not in self.matrices:
            rows, columns = self.dimension(one.target), self.dimension(one.source)
            A = [[self.number() for _ in range(columns)] for _ in range(rows)]
            transposed = [list(column) for column in zip(*A, strict=True)]
            if one.adjoint is one:
                if one.positive:
                    A = [[_dot(x, y) for y in A] for x in A]
                else:
                    A = [[x + y for x, y in zip(p, q, strict=True)] for p, q in zip(A, transposed, strict=True)]
            else:
                self.matrices[one.adjoint.serial] = transposed
            self.matrices[one.serial] = A
        return self.matrices[one.serial]

    def scalar(self, c: Any) -> Fraction:
        """Return the value of a coefficient of a relation."""
        c = sp.sympify(c)
        at = {}
        for s in sorted(c.free_symbols, key=lambda s: s.sort_key()):
            if is_entry(s):
                number = self.entry(s)
                at[s] = sp.Rational(number.numerator, number.denominator)
                continue
            if s not in self.values:
                found = sample(s, 0, self.rng)
                if found is None:
                    raise _Impossible
                self.values[s] = found
            at[s] = self.values[s]
        number = value(c, at)
        if isinstance(number, Box):
            raise _Impossible
        return Fraction(int(number.numerator), int(number.denominator))

    def entry(self, symbol: sp.Symbol) -> Fraction:
        found = entry_atoms(symbol)
        if found is None:
            raise _Impossible
        space, left, right = found
        return _dot(self.atom(left, space), self.atom(right, space))

    def atom(self, atom: Atom, space: Space) -> list[Fraction]:
        word, base = atom
        home = word[-1].source if word else space
        x = self.base(base, home)
        for one in reversed(word):
            x = [_dot(row, x) for row in self.matrix(one)]
        return x

    def combination(self, v: Vector, without: Atom | None = None) -> list[Fraction]:
        total = [Fraction(0)] * self.dimension(v.space)
        for atom, c in v.terms.items():
            if atom != without:
                factor = self.scalar(c)
                total = [a + factor * b for a, b in zip(total, self.atom(atom, v.space), strict=True)]
        return total

    def base(self, name: str, space: Space) -> list[Fraction]:
        key = (space.serial, name)
        if key not in self.bases:
            if key in self.under_way:
                raise _Impossible
            self.under_way.add(key)
            self.bases[key] = self._base(name, space)
        return self.bases[key]

    def _base(self, name: str, space: Space) -> list[Fraction]:
        n = self.dimension(space)
        own = ((), name)
        solved = {atom for atom, _, _ in space._solutions}
        for (atom, terms, step), v in space._solutions.items():
            if own in v.terms:
                A = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
                factor = self.scalar(step)
                for one in terms:
                    A = [
                        [a + factor * b for a, b in zip(p, q, strict=True)]
                        for p, q in zip(A, self.matrix(one), strict=True)
                    ]
                return _solved(A, self.atom(atom, space))
        for atom, v in space.relations.items():  # what the caller has related
            if atom in solved:
                continue
            if atom == own:
                return self.combination(v)
            if own in v.terms and not any(base == name and word for word, base in v.terms) and atom[1] != name:
                # the last named vector of the relation follows from the others
                if own == [key for key in v.terms if not key[0]][-1] and (atom[0] or atom[1] not in _names(space)):
                    rest = self.combination(v, without=own)
                    factor = self.scalar(v.terms[own])
                    return [(a - b) / factor for a, b in zip(self.atom(atom, space), rest, strict=True)]
        return [self.number() for _ in range(n)]

    def verify(self) -> None:
        """Raise if a relation of the vectors that have got coordinates does not hold."""
        for space in list(self.spaces.values()):
            for (word, base), v in list(space.relations.items()):
                home = word[-1].source if word else space
                names = {(home.serial, base)} | {
                    ((w[-1].source if w else v.space).serial, name) for w, name in v.terms
                }
                solution = ((word, base) in {atom for atom, _, _ in space._solutions}) and not any(
                    name in self.bases for name in names - {(home.serial, base)}
                )
                if solution or not names & set(self.bases):
                    continue
                if self.atom((word, base), space) != self.combination(v):
                    raise _Impossible


def _names(space: Space) -> set[str]:
    """Return the names that are written by others."""
    return {base for word, base in space.relations if not word}


def _dot(x: list[Fraction], y: list[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0))


def _solved(A: list[list[Fraction]], b: list[Fraction]) -> list[Fraction]:
    """Return the solution of A x = b by Gauss and Jordan."""
    n = len(b)
    rows = [[*row, y] for row, y in zip(A, b, strict=True)]
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k] != 0), None)
        if pivot is None:
            raise _Impossible
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k] != 0:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n] for row in rows]
