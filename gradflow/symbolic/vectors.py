r"""Abstract vectors: formal combinations of named vectors, of which only inner products are known.

A `Space` makes vectors and maps. A vector is a sum of atoms ``c * X Y ... u``, c a SymPy scalar, X, Y, ... maps, u a
named vector. The inner product is bilinear, with one symbol for each ``(u, X Y ... v)``; adjoints move over the comma,

.. math:: (X u, Y v) = (u, X^* Y v), \qquad (u, X Y v) = (v, Y^* X^* u),                                 \tag{1}

and that is all that is assumed. So an identity between expressions in these symbols holds in every dimension and every
inner product. What a linear solve returns is known by its defining relation only: ``solve_shifted(g, dt)`` of an
operator L returns a new vector u and from then on g is written as

.. math:: g = u + \Delta t\, L u.                                                                        \tag{2}

(Terms in u on the right, none in g on the left: rewriting ends.) A vector is the right-hand side of one system. The
symbol of ``(u, u)``, and of ``(u, L u)`` for L positive semi-definite, is nonnegative, so that SymPy knows the sign of
sums of squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import sympy as sp

__all__ = ["Entry", "Map", "SelfAdjoint", "Space", "Vector", "entry_of"]


_SERIALS = count()
_ENTRIES: dict[tuple[tuple[int, int], tuple[int, ...], str, str], Any] = {}
_MEANINGS: dict[sp.Symbol, Entry] = {}


class Entry(NamedTuple):
    """What the symbol of an inner product (u, X Y ... v) stands for."""

    left: str
    """The name of u."""
    left_space: Space
    """The space of u, in which the inner product is taken."""
    word: tuple[Map, ...]
    """The maps X, Y, ..., in the order in which they are written."""
    right: str
    """The name of v."""
    right_space: Space
    """The space of v."""


def entry_of(symbol: sp.Symbol) -> Entry | None:
    """Return what a symbol stands for if it is that of an inner product of abstract vectors, else None."""
    return _MEANINGS.get(symbol)


class Map:
    """A linear map from one space to another, known by its name and its adjoint.

    Parameters
    ----------
    name : str
        How it is written.
    source, target : Space
        From where to where.
    """

    def __init__(self, name: str, source: Space, target: Space) -> None:
        self.name, self.source, self.target = name, source, target
        self.serial = next(_SERIALS)
        self.positive = False
        self.adjoint: Map = self
        for a, b in ((source, target), (target, source)):
            if a is not b and b not in a.neighbours:
                a.neighbours.append(b)

    @classmethod
    def between(cls, name: str, source: Space, target: Space) -> Map:
        """Return a new map, and with it its adjoint, which goes from `target` to `source`.

        Parameters
        ----------
        name : str
            How it is written.
        source, target : Space
            From where to where.
        """
        forward, back = cls(name, source, target), cls(f"{name}^*", target, source)
        forward.adjoint, back.adjoint = back, forward
        return forward

    def __call__(self, u: Vector) -> Vector:
        """Return the image of u, a vector of the space from which the map starts.

        Raises
        ------
        TypeError
            If u is of another space.
        """
        if u.space is not self.source:
            raise TypeError(f"{self.name} takes vectors of {self.source.name}, got one of {u.space.name}")
        return self.target.combine({((self, *word), base): c for (word, base), c in u.terms.items()})

    def __repr__(self) -> str:
        return self.name


class SelfAdjoint(Map):
    """A self-adjoint, positive semi-definite operator; a linear part in the sense of `gradflow.energies.linear`.

    `terms` holds the operators that it is the sum of: itself, if it is not a sum.

    Parameters
    ----------
    name : str
        How it is written.
    space : Space
        Where it acts.
    """

    scalar = None

    def __init__(self, name: str, space: Space) -> None:
        super().__init__(name, space, space)
        self.positive = True
        self.terms: tuple[SelfAdjoint, ...] = (self,)

    def __add__(self, other: SelfAdjoint) -> SelfAdjoint:
        if not isinstance(other, SelfAdjoint):
            return NotImplemented
        total = SelfAdjoint(f"({self.name} + {other.name})", self.source)
        total.terms = (*self.terms, *other.terms)
        return total

    def apply(self, u: Vector) -> Vector:
        """Return L u."""
        image = Map.__call__(self.terms[0], u)
        for term in self.terms[1:]:
            image = image + Map.__call__(term, u)
        return image

    __call__ = apply

    def solve_shifted(self, u: Vector, dt: Any) -> Vector:
        """Return v with u = v + dt L v, relation (2), term by term of u."""
        space = self.source
        u, result = space.combine(u.terms), space.zero
        for v in space.solutions(self, dt):  # what an earlier relation has rewritten is recognised
            ((atom, _),) = v.terms.items()
            known = u.terms.get(atom, 0) * v
            rest = u - (known + dt * self.apply(known))
            if len(rest.terms) < len(u.terms):
                u, result = rest, result + known
        for atom, c in sorted(
            u.terms.items(), key=lambda x: -len(x[0][0])
        ):  # S p before p, whose relation rewrites S p
            result = result + c * space.solution_of(atom, self, dt)
        return result


Atom: TypeAlias = tuple[tuple[Map, ...], str]
"""Maps in the order in which they are written, and the name of the vector that they are applied to."""


class Space:
    """A real inner-product space of unknown dimension.

    Parameters
    ----------
    name : str
        What its dimension is called.
    """

    def __init__(self, name: str = "P") -> None:
        self.name = name
        self.serial = next(_SERIALS)
        self.dimension = sp.Symbol(name, positive=True, integer=True)
        self.has_dot = True
        self.relations: dict[Atom, Vector] = {}
        self.neighbours: list[Space] = []
        """Spaces between which and this one there are maps."""
        self._solutions: dict[Any, Vector] = {}

    @property
    def zero(self) -> Vector:
        """The zero vector."""
        return Vector(self, {})

    def vector(self, name: str) -> Vector:
        """Return the vector called `name`."""
        return Vector(self, {((), name): sp.Integer(1)})

    def vectors(self, names: str) -> list[Vector]:
        """Return the vectors of these names, a text in which spaces separate them."""
        return [self.vector(name) for name in names.split()]

    def operator(self, name: str) -> SelfAdjoint:
        """Return a self-adjoint, positive semi-definite operator, written as `name`."""
        return SelfAdjoint(name, self)

    def relate(self, atom: Vector, value: Vector) -> None:
        """From now on, write a vector that is a single atom (with coefficient 1), wherever it occurs, as `value`.

        Parameters
        ----------
        atom : Vector
            A single atom.
        value : Vector
            What it is.

        Raises
        ------
        ValueError
            If the vector is no single atom with coefficient 1, or has a relation.
        """
        ((key, c),) = atom.terms.items()
        if c != 1:
            raise ValueError(f"a relation is for one atom with coefficient 1, got {atom}")
        if key in self.relations:
            raise ValueError(f"{atom} has a relation already: one system is solved for a vector")
        self.relations[key] = value

    def combine(self, terms: dict[Atom, Any]) -> Vector:
        """Return the vector with these terms, coefficients by atom, rewritten by the relations of the space."""
        result: dict[Atom, Any] = {}
        for (word, base), c in terms.items():
            for atom, factor in self._rewritten(word, base).items():
                result[atom] = result.get(atom, 0) + c * factor
        return Vector(self, {atom: c for atom, c in result.items() if c != 0})

    def _rewritten(self, word: tuple[Map, ...], base: Any) -> dict[Atom, Any]:
        for k in range(len(word) + 1):  # the longest suffix first
            space = word[k].target if k < len(word) else self if not word else word[-1].source
            value = space.relations.get((word[k:], base))
            if value is not None:
                result = value
                for step in reversed(word[:k]):
                    result = Map.__call__(step, result)
                return result.terms
        return {(word, base): sp.Integer(1)}

    def solutions(self, operator: SelfAdjoint, dt: Any) -> list[Vector]:
        """Return the solutions of systems with this operator and dt that have been formed.

        Parameters
        ----------
        operator : SelfAdjoint
            The operator L.
        dt : SymPy expression
            Its factor.
        """
        return [v for (_, terms, step), v in self._solutions.items() if terms == operator.terms and step == dt]

    @property
    def systems(self) -> Mapping[tuple[Atom, tuple[SelfAdjoint, ...], Any], Vector]:
        """The solutions of shifted systems that have been formed, by right-hand side, terms of the operator, and step."""
        return MappingProxyType(self._solutions)

    def solution_of(self, atom: Atom, operator: SelfAdjoint, dt: Any) -> Vector:
        """Return the solution of (I + dt L) v = atom, formed by relation (2) on first use.

        Parameters
        ----------
        atom : tuple
            The right-hand side.
        operator : SelfAdjoint
            The operator L.
        dt : SymPy expression
            Its factor.

        Raises
        ------
        ValueError
            If the atom is the right-hand side of another system.
        """
        key = (atom, operator.terms, dt)
        if key not in self._solutions:
            if atom in self.relations:
                raise ValueError(f"{atom[1]} is the right-hand side of another system already")
            word, base = atom
            name = "".join(step.name for step in word) + base
            v = self.vector(f"A^-1 {name}" if not self._solutions else f"A^-1[{len(self._solutions)}] {name}")
            self._solutions[key] = v
            self.relations[atom] = v + dt * operator.apply(v)
        return self._solutions[key]

    def inner(self, u: Vector, v: Vector) -> Any:
        """Return (u, v), a polynomial in one symbol for each pair of atoms.

        Parameters
        ----------
        u, v : Vector
            Of the space.

        Raises
        ------
        TypeError
            If one of them is of another space.
        """
        if u.space is not self or v.space is not self:
            raise TypeError(f"the inner product of {self.name} takes its own vectors")
        u, v = self.combine(u.terms), self.combine(v.terms)  # relations may have come since
        return sp.Add(*(a * b * self._entry(x, y) for x, a in u.terms.items() for y, b in v.terms.items()))

    def _entry(self, x: Atom, y: Atom) -> Any:
        (left, u), (right, v) = x, y
        word = (*(step.adjoint for step in reversed(left)), *right)
        back = tuple(step.adjoint for step in reversed(word))
        # a relation may apply only once the word has moved to one side: (u, L theta) = (L u, theta)
        for w, base, other in ((word, v, u), (back, u, v)):
            target = w[0].target if w else self
            rewritten = target._rewritten(w, base)
            if set(rewritten) != {(w, base)}:
                whole = Vector(target, rewritten)
                return sp.Add(*(c * target._entry(((), other), atom) for atom, c in whole.terms.items()))
        key = min((u, word, v), (v, back, u), key=lambda k: (k[0], [m.name for m in k[1]], k[2]))
        a, word, b = key
        first, last = (word[0].target, word[-1].source) if word else (self, self)
        # two spaces, or two maps, may have one name
        known = ((first.serial, last.serial), tuple(m.serial for m in word), a, b)
        if known not in _ENTRIES:
            signs = {"real": True, "nonnegative": True} if _is_square(key) else {"real": True}
            symbol = sp.Dummy(f"({a}, {''.join(m.name + ' ' for m in word)}{b})", **signs)
            _ENTRIES[known], _MEANINGS[symbol] = symbol, Entry(a, first, word, b, last)
        return _ENTRIES[known]


def _is_square(key: tuple[str, tuple[Map, ...], str]) -> bool:
    """Return True for (u, X^* ... P ... X u), P positive or not there: then the entry is nonnegative."""
    u, word, v = key
    if u != v:
        return False
    while len(word) > 1:
        if word[0].adjoint is not word[-1]:
            return False
        word = word[1:-1]
    return not word or word[0].positive


class Vector:
    """A formal combination of atoms, as the updates use it: sums, multiples, ``@`` in its own space.

    Parameters
    ----------
    space : Space
        Where it lives.
    terms : dict
        Coefficients by atom.
    """

    __array_ufunc__ = None  # NumPy scalars leave products to this class
    __slots__ = ("space", "terms")
    __hash__ = None  # type: ignore[assignment]  # see __eq__

    def __init__(self, space: Space, terms: dict[Atom, Any]) -> None:
        self.space, self.terms = space, terms

    @property
    def shape(self) -> tuple[Any]:
        """One symbolic dimension."""
        return (self.space.dimension,)

    @property
    def ndim(self) -> int:
        """1."""
        return 1

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols of the coefficients."""
        return set().union(*(sp.sympify(c).free_symbols for c in self.terms.values()))

    def __add__(self, other: Vector) -> Vector:
        if not isinstance(other, Vector):
            return NotImplemented
        if other.space is not self.space:
            raise TypeError(f"vectors of {self.space.name} and {other.space.name} have no sum")
        terms = dict(self.terms)
        for atom, c in other.terms.items():
            terms[atom] = terms.get(atom, 0) + c
        return self.space.combine(terms)

    def __mul__(self, c: Any) -> Vector:
        if isinstance(c, Vector):
            raise TypeError("abstract vectors have no entrywise product: use one coordinate, or object arrays")
        c = sp.sympify(c)
        return Vector(self.space, {atom: c * a for atom, a in self.terms.items()} if c != 0 else {})

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        raise TypeError("vectors are compared by is_zero(u - v)")

    def __neg__(self) -> Vector:
        return self * -1

    def __sub__(self, other: Vector) -> Vector:
        if not isinstance(other, Vector):
            return NotImplemented
        return self + (-other)

    def __truediv__(self, c: Any) -> Vector:
        if isinstance(c, Vector):
            raise TypeError("vectors have no quotient")
        return self.__mul__(1 / sp.sympify(c))

    def __matmul__(self, other: Vector) -> Any:
        if not self.space.has_dot:
            raise TypeError("parameters have the inner product of their problem: problem.inner(u, v), not u @ v")
        return self.space.inner(self, other)

    def map_coefficients(self, function: Any) -> Vector:
        """Return the vector with `function` of each coefficient: a derivative, a limit, a substitution."""
        return self.space.combine({atom: function(sp.sympify(c)) for atom, c in self.terms.items()})

    def __repr__(self) -> str:
        parts = [f"({c}) {' '.join([m.name for m in word] + [base])}" for (word, base), c in self.terms.items()]
        return " + ".join(parts) or "0"
