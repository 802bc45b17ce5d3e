r"""Concrete vectors for abstract ones: rational coordinates that satisfy every relation, and the inner products of them.

Inner products of vectors are not independent numbers: :math:`(u, v)^2 \le |u|^2 |v|^2`, and a relation ties many of them.
So an expression in their symbols is refuted only by values that vectors have. `realize` makes such values. Each space gets
a dimension of 2, 3 or 4, which is the value of its symbol, and an inner product :math:`u^T M v`, each map a random matrix X, its adjoint then being

.. math:: X^* = M_1^{-1} X^T M_2,                                                                        \tag{1}

a self-adjoint operator :math:`M^{-1} B`, B symmetric, and positive semi-definite where the operator is; a skew one has a
skew B. A symmetric multilinear map is that of a random polynomial. With the maps chosen every relation is a linear equation between coordinates,

.. math:: X \cdots Y u - \sum_i c_i\, X_i \cdots Y_i u_i = 0,                                             \tag{2}

of which a random solution is taken. There is one always, zero, so that a relation that no vector but zero satisfies for
these matrices makes its vectors zero.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, TypeAlias

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from .vectors import Atom, Map, Space, Symmetric, Vector, entry_of

__all__ = ["is_entry", "realize"]

Matrix: TypeAlias = list[list[Any]]
Base: TypeAlias = tuple[Space, str]
"""A named vector."""
Realized: TypeAlias = tuple[dict[sp.Symbol, sp.Expr], list[list[sp.Expr]]]
"""Values of symbols, and coordinates of vectors."""


def is_entry(symbol: sp.Symbol) -> bool:
    """Return True for the symbol of an inner product of abstract vectors."""
    return entry_of(symbol) is not None


def realize(
    symbols: set[sp.Symbol], vectors: list[Vector], values: dict[sp.Symbol, sp.Expr], rng: random.Random
) -> Realized | None:
    """Return values of inner products, and coordinates of vectors, that rational vectors and matrices have.

    Parameters
    ----------
    symbols : set of Symbol
        Symbols of inner products, see `is_entry`.
    vectors : list of Vector
        Vectors whose coordinates are asked for.
    values : dict
        Rational values of other symbols, which stand in the relations. A symbol that has none here gets one of its sign.
        That of a dimension is not used: the dimension of a space is chosen here.
    rng : random.Random
        Where matrices and vectors come from.

    Returns
    -------
    values : dict
        The value of each of the symbols, of each symbol of an inner product in a coefficient of the vectors, of each
        symbol that was given one, and of the dimensions. Spaces whose dimensions have one symbol have one dimension.
    coordinates : list of lists
        The coordinates of each vector, (dimension,). Other symbols in its coefficients stay in them.
        Both are in a tuple; None is returned in its place where a coefficient of a relation is no rational number.

    Examples
    --------
    >>> import random
    >>> from gradflow.symbolic import Space
    >>> V = Space()
    >>> u, v = V.vectors("u v")
    >>> values, _ = realize({u @ u, u @ v, v @ v}, [], {}, random.Random(0))
    >>> bool(values[u @ v] ** 2 <= values[u @ u] * values[v @ v])
    True
    """
    return _Realization(dict(values), rng).all_of(symbols, vectors)


class _Realization:
    def __init__(self, values: dict[sp.Symbol, sp.Expr], rng: random.Random) -> None:
        self.values, self.rng = values, rng
        self.new: dict[sp.Symbol, sp.Expr] = {}
        self.products: dict[Space, tuple[Any, Any]] = {}
        self.matrices: dict[Map, Any] = {}
        self.coordinates: dict[Base, Any] = {}
        self.forms: dict[tuple[Symmetric, int], list[Any]] = {}

    def all_of(self, symbols: Iterable[sp.Symbol], vectors: list[Vector]) -> Realized | None:
        inside = {s for v in vectors for s in v.free_symbols if is_entry(s)}
        entries = [(s, entry_of(s)) for s in sorted({*symbols, *inside}, key=lambda s: s.sort_key())]
        bases: dict[Base, None] = {}
        for symbol, entry in entries:
            if entry is None:
                raise ValueError(f"{symbol} is no symbol of an inner product")
            bases |= {(entry.left_space, entry.left): None, (entry.right_space, entry.right): None}
        for v in vectors:
            bases |= {_base(v.space, atom): None for atom in v.terms}
        values = {base: base[0].values[base[1]] for base in bases if base[1] in base[0].values}
        todo = list(values)
        while todo:  # arguments of arguments
            space, name = todo.pop()
            for atom in values[space, name][1]:
                base = _base(space, atom)
                bases[base] = None
                if base[1] in base[0].values and base not in values:
                    values[base] = base[0].values[base[1]]
                    todo.append(base)
        for space in _reached(dict.fromkeys(space for space, _ in bases)):
            if space.dimension not in self.new:
                self.new[space.dimension] = sp.Integer(self.rng.randint(2, 4))
        self.values |= self.new
        if any(form is None for form, _ in values.values()):
            return None
        if not self._solve({base: None for base in bases if base not in values}):
            return None
        if any(name in space.values for space, name in self.coordinates):
            return None  # a relation ties it to other vectors: that is no linear equation
        for base in values:
            self._evaluate(base)
        for symbol, entry in entries:
            assert entry is not None
            left = self.coordinates[entry.left_space, entry.left]
            image = self._image(entry.word, self.coordinates[entry.right_space, entry.right])
            self.new[symbol] = _number((left.transpose() * self._product(entry.left_space)[0] * image).to_list()[0][0])
        return self.new, [self._coordinates_of(v) for v in vectors]

    def _solve(self, bases: dict[Base, None]) -> bool:
        """Give coordinates to these vectors and to all that relations tie to them; False if a coefficient is not rational."""
        equations, todo = [], dict.fromkeys(space for space, _ in bases)
        relations = [
            [(key, sp.Integer(-1), space), *((atom, c, space) for atom, c in value.terms.items())]
            for space in _reached(todo)
            for key, value in space.relations.items()
        ]
        used = [{_base(space, atom) for atom, _, space in r} for r in relations]
        while True:  # u = ... says nothing of the others if u is in no other relation and is not asked for
            idle = [
                k
                for k, r in enumerate(relations)
                if not r[0][0][0]
                and (key := _base(r[0][2], r[0][0])) not in bases
                and key[1] not in key[0].values
                and not any(key in names for m, names in enumerate(used) if m != k)
                and not any(_base(space, atom) == key for atom, _, space in r[1:])
            ]
            if not idle:
                break
            relations = [r for k, r in enumerate(relations) if k not in idle]
            used = [names for k, names in enumerate(used) if k not in idle]
        while True:
            tied = [r for r, names in zip(relations, used, strict=True) if names & set(bases)]
            if not tied:
                break
            used = [names for r, names in zip(relations, used, strict=True) if r not in tied]
            relations = [r for r in relations if r not in tied]
            equations += tied
            bases |= {_base(space, atom): None for r in tied for atom, _, space in r}
        start, size = {}, 0
        for base in bases:
            start[base] = size
            size += self._dimension(base[0])
        rows: list[dict[int, Any]] = []
        for equation in equations:
            block: list[dict[int, Any]] = [{} for _ in range(self._dimension(equation[0][2]))]
            for atom, c, space in equation:
                factor = self._rational(c)
                if factor is None:
                    return False
                base = _base(space, atom)
                image = self._image(atom[0], _identity(self._dimension(base[0]))).to_list()
                for row, entries in zip(block, image, strict=True):
                    for j, x in enumerate(entries):
                        row[start[base] + j] = row.get(start[base] + j, sp.QQ.zero) + factor * x
            rows += [{j: x for j, x in row.items() if x} for row in block]
        rows = [row for row in rows if row]
        free = [sp.QQ(self.rng.choice([-3, -2, -1, 1, 2, 3])) for _ in range(size)]
        solution = free
        if rows:
            system = DomainMatrix.from_rep(sp.polys.matrices.sdm.SDM(dict(enumerate(rows)), (len(rows), size), sp.QQ))
            reduced, pivots = system.rref()
            solution = list(free)
            for i, pivot in enumerate(pivots):
                row = reduced.rep.to_sdm().get(i, {})
                solution[pivot] = -sum((x * free[j] for j, x in row.items() if j != pivot), sp.QQ.zero)
        for base in bases:
            n = self._dimension(base[0])
            column = [[x] for x in solution[start[base] : start[base] + n]]
            self.coordinates[base] = _matrix(column, (n, 1))
        return True

    def _evaluate(self, base: Base) -> Any:
        """Return the coordinates of a value of a symmetric multilinear map, or of another vector.

        The map is that of an energy sum_j c_j (l_j . u)^m / m!, so that its values are M^-1 sum_j c_j (l_j . u) (l_j . v) ... l_j.
        """
        space, name = base
        if base not in self.coordinates:
            form, atoms = space.values[name]
            assert form is not None
            vectors = [self._image(atom[0], self._evaluate(_base(space, atom))) for atom in atoms]
            n = self._dimension(space)
            if (form, len(atoms)) not in self.forms:
                self.forms[form, len(atoms)] = [self._random(1, n) for _ in range(n + 2)]
            total = _matrix([[sp.QQ.zero]] * n, (n, 1))
            for k, row in enumerate(self.forms[form, len(atoms)]):
                factor = sp.QQ(-1 if k % 2 else 1)
                for v in vectors:
                    factor *= (row * v).to_list()[0][0]
                total = total + row.transpose() * factor
            self.coordinates[base] = self._product(space)[1] * total
        return self.coordinates[base]

    def _rational(self, c: Any) -> Any:
        """Return a coefficient of a relation as a rational number, None if it is none."""
        c = sp.sympify(c)
        for s in sorted(c.free_symbols - set(self.values), key=lambda s: s.sort_key()):
            if is_entry(s):
                return None
            size = sp.Integer(self.rng.randint(1, 9))
            size = size if s.is_integer else size / self.rng.randint(1, 9)
            self.values[s] = self.new[s] = -size if s.is_nonpositive else size
        c = c.subs(self.values)
        return sp.QQ.from_sympy(c) if c.is_Rational else None

    def _dimension(self, space: Space) -> int:
        return int(self._product(space)[0].shape[0])

    def _product(self, space: Space) -> tuple[Any, Any]:
        """Return M and its inverse: M = T^T T for a triangular T, so that both have small entries."""
        if space not in self.products:
            n = int(self.new[space.dimension])
            T = [
                [sp.QQ(self.rng.randint(-1, 1) if j > i else self.rng.randint(1, 2) if j == i else 0) for j in range(n)]
                for i in range(n)
            ]
            M = _matrix(T, (n, n)).transpose() * _matrix(T, (n, n))
            self.products[space] = M, M.inv()
        return self.products[space]

    def _map(self, step: Map) -> Any:
        if step not in self.matrices:
            (M, inverse), (N, _) = self._product(step.source), self._product(step.target)
            m, n = N.shape[0], M.shape[0]
            terms = getattr(step, "terms", (step,))
            if len(terms) > 1:
                total = self._map(terms[0])
                for term in terms[1:]:
                    total = total + self._map(term)
                self.matrices[step] = total
            elif step.sign < 0:
                B = self._random(n, n)
                self.matrices[step] = inverse * (B - B.transpose())
            elif step.adjoint is step:
                B = self._random(n, n)
                self.matrices[step] = inverse * (B.transpose() * B if step.positive else B + B.transpose())
            else:
                X = self._random(m, n)
                self.matrices[step] = X
                self.matrices[step.adjoint] = inverse * X.transpose() * N
        return self.matrices[step]

    def _random(self, m: int, n: int) -> Any:
        return _matrix([[sp.QQ(self.rng.randint(-3, 3)) for _ in range(n)] for _ in range(m)], (m, n))

    def _image(self, word: tuple[Map, ...], x: Any) -> Any:
        for step in reversed(word):
            x = self._map(step) * x
        return x

    def _coordinates_of(self, v: Vector) -> list[sp.Expr]:
        total = [sp.Integer(0)] * self._dimension(v.space)
        for atom, c in v.terms.items():
            image = self._image(atom[0], self.coordinates[_base(v.space, atom)]).to_list()
            total = [t + sp.sympify(c) * _number(x) for t, (x,) in zip(total, image, strict=True)]
        return [t.xreplace(self.new) for t in total]


def _base(space: Space, atom: Atom) -> Base:
    """Return the named vector of an atom of this space."""
    word, name = atom
    return (word[-1].source if word else space), name


def _reached(spaces: Iterable[Space]) -> list[Space]:
    """Return these spaces and those that relations join to them."""
    found = dict.fromkeys(spaces)
    todo = list(found)
    while todo:
        space = todo.pop()
        joined = set(space.neighbours)
        for other in sorted(joined - set(found), key=lambda s: s.serial):
            found[other] = None
            todo.append(other)
    return list(found)


def _number(x: Any) -> sp.Expr:
    return sp.QQ.to_sympy(x)


def _matrix(rows: Matrix, shape: tuple[int, int]) -> Any:
    return DomainMatrix(rows, shape, sp.QQ)


def _identity(n: int) -> Any:
    return DomainMatrix.eye(n, sp.QQ)
