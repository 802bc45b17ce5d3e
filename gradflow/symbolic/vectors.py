r"""Abstract vectors: formal combinations of named vectors, of which only inner products are known.

A `Space` makes vectors and maps. A vector is a sum of atoms ``c * X Y ... u``, c a SymPy scalar, X, Y, ... maps, u a
named vector. The inner product is bilinear, with one symbol for each ``(u, X Y ... v)``; adjoints move over the comma,

.. math:: (X u, Y v) = (u, X^* Y v), \qquad (u, X Y v) = (v, Y^* X^* u),                                 \tag{1}

and that is all that is assumed. So an identity between expressions in these symbols holds in every dimension and every
inner product. What a linear solve returns is known by its defining relation only: ``solve_shifted(g, dt)`` of an
operator L returns a new vector u and from then on g is written as

.. math:: g = u + \Delta t\, L u.                                                                        \tag{2}

(Terms in u on the right, none in g on the left: rewriting ends.) A relation by which rewriting might not end is refused.
The symbol of ``(u, u)``, and of ``(u, L u)`` for L positive semi-definite, is nonnegative, so that SymPy knows the sign
of sums of squares. A skew operator K has :math:`K^* = -K`, hence :math:`(u, K u) = 0`.

The value T[u, v, ...] of a symmetric multilinear map is a named vector for each multiset of atoms, and all arguments of

.. math:: (T[u, v], w) = (T[u, w], v) = \cdots                                                           \tag{3}

change places: an inner product is a tree whose edges are the maps between its nodes, and the symbol of it is that of the
least of the ways to cut the tree at an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import sympy as sp

__all__ = [
    "Entry",
    "Gram",
    "Map",
    "SelfAdjoint",
    "Skew",
    "Space",
    "Symmetric",
    "Vector",
    "decimal_floats",
    "entry_of",
]


INSTEAD = (
    "is_zero(u - v) compares, the inner product is a number, and `symbols` makes object arrays, which have entries"
)
SOLUTION = "A^-1"
"""How the names of solutions begin."""
MOST_ATOMS = 1000  # that one atom may be rewritten into
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


class _InnerProduct(sp.Dummy):  # type: ignore[misc]  # SymPy has no types
    """The symbol of an inner product. What it stands for is known to this process alone, so it is not stored."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"the inner product {self.name} of abstract vectors cannot be pickled: make it anew from its vectors"
        )


def entry_of(symbol: sp.Symbol) -> Entry | None:
    """Return what a symbol stands for if it is that of an inner product of abstract vectors, else None."""
    return _MEANINGS.get(symbol)


_as_decimals: ContextVar[bool] = ContextVar("as_decimals", default=False)


@contextmanager
def decimal_floats() -> Iterator[None]:
    """Read the floats by which vectors are multiplied as the decimal fractions that they print as.

    Elsewhere a float is the number that it stores: 0.1 is not 1/10.

    Yields
    ------
    None

    Examples
    --------
    >>> u = Space().vector("u")
    >>> with decimal_floats():
    ...     (0.1 * u).terms
    {((), 'u'): 1/10}
    """
    token = _as_decimals.set(True)
    try:
        yield
    finally:
        _as_decimals.reset(token)


def _exact(c: Any) -> Any:
    """Return a number or expression with every Python float as the rational number that it stores, or as `decimal_floats` says."""
    c = sp.sympify(c)
    if not c.has(sp.Float):
        return c
    decimals = _as_decimals.get()
    return c.xreplace({x: sp.Rational(repr(float(x)) if decimals else x) for x in c.atoms(sp.Float)})


class Map:
    """A linear map from one space to another, known by its name and its adjoint.

    Parameters
    ----------
    name : str
        How it is written.
    source, target : Space
        From where to where.
    """

    sign = 1
    """-1 for a skew operator: what moving it over the comma multiplies by, where it stays what it is."""

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
    """A self-adjoint operator; a linear part in the sense of `gradflow.energies.linear`.

    `terms` holds the operators that it is the sum of: itself, if it is not a sum. A sum is positive if all terms are.

    Parameters
    ----------
    name : str
        How it is written.
    space : Space
        Where it acts.
    positive : bool, optional
        Whether it is positive semi-definite; otherwise nothing is known of its sign.
    """

    scalar = None

    def __init__(self, name: str, space: Space, *, positive: bool = True) -> None:
        super().__init__(name, space, space)
        self.positive = positive
        self.terms: tuple[SelfAdjoint, ...] = (self,)

    def __add__(self, other: SelfAdjoint) -> SelfAdjoint:
        if not isinstance(other, SelfAdjoint):
            return NotImplemented
        if other.source is not self.source:
            raise TypeError(f"operators of {self.source.name} and {other.source.name} have no sum")
        name = f"({self.name} + {other.name})"
        total = SelfAdjoint(name, self.source, positive=self.positive and other.positive)
        total.terms = (*self.terms, *other.terms)
        return total

    def apply(self, u: Vector) -> Vector:
        """Return L u."""
        image = self.terms[0]._image(u)
        for term in self.terms[1:]:
            image = image + term._image(u)
        return image

    __call__ = apply

    def _image(self, u: Vector) -> Vector:
        """Return L u of an operator that is no sum."""
        return Map.__call__(self, u)

    def solve_shifted(self, u: Vector, dt: Any) -> Vector:
        """Return v with u = v + dt L v, relation (2), term by term of u."""
        space, dt = self.source, _exact(dt)
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


class Gram(SelfAdjoint):
    """The operator ``J^* J`` of a map J, positive semi-definite. The images of vectors are written with J and its adjoint.

    Parameters
    ----------
    J : Map
        The map.
    """

    def __init__(self, J: Map) -> None:
        super().__init__(f"{J.adjoint.name} {J.name}", J.source)
        self.J = J

    def _image(self, u: Vector) -> Vector:
        return self.J.adjoint(self.J(u))


class Skew(Map):
    """A skew operator K: (K u, v) = -(u, K v), hence (K u, u) = 0.

    Parameters
    ----------
    name : str
        How it is written.
    space : Space
        Where it acts.
    """

    sign = -1

    def __init__(self, name: str, space: Space) -> None:
        super().__init__(name, space, space)
        self.adjoint = _Minus(self)


class _Minus(Map):
    """Minus a skew operator, which stands in no word."""

    def __init__(self, of: Skew) -> None:
        super().__init__(f"-{of.name}", of.source, of.target)
        self.adjoint = of

    def __call__(self, u: Vector) -> Vector:
        return -self.adjoint(u)


class Symmetric:
    """A multilinear map T of a space into itself for which (T[u, v, ...], w) is symmetric in all of u, v, ..., w.

    Parameters
    ----------
    name : str
        How it is written.
    space : Space
        Where it acts.

    Examples
    --------
    >>> from gradflow.symbolic import Space, is_zero
    >>> from gradflow.symbolic.vectors import Symmetric
    >>> V = Space()
    >>> u, v, w = V.vectors("u v w")
    >>> T = Symmetric("T", V)
    >>> is_zero(V.inner(T(u, v + w), w) - V.inner(u, T(v, w)) - V.inner(T(w, w), u))
    True
    """

    def __init__(self, name: str, space: Space) -> None:
        self.name, self.space = name, space

    def __call__(self, *arguments: Vector) -> Vector:
        """Return T[u, v, ...].

        Parameters
        ----------
        *arguments : Vector
            Of the space.

        Raises
        ------
        TypeError
            If an argument is of another space.
        """
        terms: dict[tuple[Atom, ...], Any] = {(): sp.Integer(1)}
        for u in arguments:
            if u.space is not self.space:
                raise TypeError(f"{self.name} takes vectors of {self.space.name}, got one of {u.space.name}")
            atoms = self.space.combine(u.terms).terms
            longer: dict[tuple[Atom, ...], Any] = {}
            for chosen, c in terms.items():
                for atom, factor in atoms.items():
                    key = tuple(sorted((*chosen, atom), key=_rank))
                    longer[key] = longer.get(key, 0) + c * factor
            terms = longer
        return self.space.combine({((), self.value(atoms)): c for atoms, c in terms.items()})

    def value(self, atoms: tuple[Atom, ...]) -> str:
        """Return the name of the vector T[u, v, ...] of some atoms.

        Parameters
        ----------
        atoms : tuple of Atom
            The arguments.
        """
        atoms = tuple(sorted(atoms, key=_rank))
        written = [" ".join([*(step.name for step in word), base]) for word, base in atoms]
        name = f"{self.name}[{', '.join(written)}]"
        while self.space.values.setdefault(name, (self, atoms)) != (self, atoms):
            name += "'"  # two maps may have one name
        return name


def _rank(atom: Atom) -> Any:
    word, base = atom
    return base, [(step.name, step.serial) for step in word]


def _adjoint(word: tuple[Map, ...]) -> tuple[int, tuple[Map, ...]]:
    """Return the adjoint of a word as a sign and a word."""
    sign = -1 if sum(step.sign < 0 for step in word) % 2 else 1
    return sign, tuple(step if step.sign < 0 else step.adjoint for step in reversed(word))


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
        self.values: dict[str, tuple[Symmetric | None, tuple[Atom, ...]]] = {}
        """Named vectors that are values of symmetric multilinear maps, and of what; None for a vector with no realization."""
        self.neighbours: list[Space] = []
        """Spaces between which and this one there are maps."""
        self._solutions: dict[Any, Vector] = {}
        self._arbitrary: list[tuple[str, Any, Vector]] = []

    @property
    def zero(self) -> Vector:
        """The zero vector."""
        return Vector(self, {})

    def vector(self, name: str) -> Vector:
        """Return the vector called `name`.

        Raises
        ------
        ValueError
            If the name is that of a solution of a system, or holds a comma.
        """
        if name.startswith(SOLUTION) or "," in name:
            raise ValueError(
                f"a name must not begin with {SOLUTION}, nor hold a comma: spaces separate names; got {name!r}"
            )
        return self._named(name)

    def _named(self, name: str) -> Vector:
        return Vector(self, {((), name): sp.Integer(1)})

    def vectors(self, names: str) -> list[Vector]:
        """Return the vectors of these names, a text in which spaces separate them."""
        return [self.vector(name) for name in names.split()]

    def unknown(self, name: str) -> Vector:
        """Return a new vector of which nothing may be assumed: what depends on it is never refuted.

        Parameters
        ----------
        name : str
            How it is written.
        """
        while name in self.values:
            name += "'"
        self.values[name] = None, ()
        return self.vector(name)

    def arbitrary(self, name: str, of: Any) -> Vector:
        """Return a vector that may be any, in the place of one of which nothing else is used: the same for the same data.

        What is shown with it holds for every vector, hence for that one. What it refutes may hold for that one: see
        `is_arbitrary`.

        Parameters
        ----------
        name : str
            How it is written; the next one has a number as well.
        of : object
            What that vector is made from, compared by its text.
        """
        for known, data, v in self._arbitrary:
            if known == name and data == of:
                return v
        v = self.vector(f"{name}_{len(self._arbitrary)}" if self._arbitrary else name)
        self._arbitrary.append((name, of, v))
        return v

    def is_arbitrary(self, name: str) -> bool:
        """Return whether a named vector is one that `arbitrary` has returned.

        Parameters
        ----------
        name : str
            Its name.
        """
        return any(((), name) in v.terms for _, _, v in self._arbitrary)

    def operator(self, name: str, *, positive: bool = True) -> SelfAdjoint:
        """Return a self-adjoint operator.

        Parameters
        ----------
        name : str
            How it is written.
        positive : bool, optional
            Whether it is positive semi-definite; False for one of any sign.
        """
        return SelfAdjoint(name, self, positive=positive)

    def skew(self, name: str) -> Skew:
        """Return a skew operator, written as `name`."""
        return Skew(name, self)

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
            If the vector is no single atom with coefficient 1, is of another space, or has a relation; or if it could be
            rewritten for ever: ``u = L u``, or ``u = v`` after ``L v = L u``.
        """
        if atom.space is not self or value.space is not self:
            raise ValueError(f"a relation of {self.name} is between its own vectors")
        if len(atom.terms) != 1:
            raise ValueError(f"a relation is for one atom, got {len(atom.terms)} in {atom}: solve it for one of them")
        ((key, c),) = atom.terms.items()
        if c != 1:
            raise ValueError(f"a relation is for one atom with coefficient 1, got {atom}")
        if key in self.relations:
            raise ValueError(f"{atom} has a relation already: one system is solved for a vector")
        self.relations[key] = value
        if not _ends(self):
            del self.relations[key]
            raise ValueError(f"by {atom} = {value} a vector may be rewritten for ever: solve it for another vector")

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
                result: dict[Atom, Any] = {}
                for (more, other), c in value.terms.items():  # relations may have come since
                    for atom, factor in self._rewritten((*word[:k], *more), other).items():
                        result[atom] = result.get(atom, 0) + c * factor
                return {atom: c for atom, c in result.items() if c != 0}
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
            v = self._named(
                f"{SOLUTION} {name}" if not self._solutions else f"{SOLUTION}[{len(self._solutions)}] {name}"
            )
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

    def _entry(self, x: Atom, y: Atom, seen: frozenset[Any] = frozenset()) -> Any:
        (left, u), (right, v) = x, y
        sign, moved = _adjoint(left)
        word = (*moved, *right)
        turn, back = _adjoint(word)
        # a relation may apply only once the word has moved to one side: (u, L theta) = (L u, theta)
        for w, base, other, c in ((word, v, u, sign), (back, u, v, sign * turn)):
            target = w[0].target if w else self
            rewritten = target._rewritten(w, base)
            if set(rewritten) != {(w, base)}:
                if (w, base, other) in seen:
                    raise ValueError(f"the relations of {base} and {other} rewrite their inner products for ever")
                seen = seen | {(w, base, other)}
                atoms = rewritten.items()
                return c * sp.Add(*(factor * target._entry(((), other), atom, seen) for atom, factor in atoms))
        start: Way = (self if not word else word[0].target, u, word, v)
        signs, todo = {start: sign}, [start]
        while todo:
            one = todo.pop()
            for way, c in _other_ways(*one):
                if way not in signs:
                    signs[way] = c * signs[one]
                    todo.append(way)
                elif signs[way] != c * signs[one]:
                    return sp.Integer(0)  # (u, K u) = -(K u, u)
        way = min(signs, key=lambda way: (way[1], [(m.name, m.serial) for m in way[2]], way[3]))
        (first, a, word, b), sign = way, signs[way]
        last = word[-1].source if word else first
        # two spaces, or two maps, may have one name
        known = ((first.serial, last.serial), tuple(m.serial for m in word), a, b)
        if known not in _ENTRIES:
            symbol = _InnerProduct(
                f"({a}, {''.join(m.name + ' ' for m in word)}{b})", real=True, **_sign_of_square(a, word, b)
            )
            _ENTRIES[known], _MEANINGS[symbol] = symbol, Entry(a, first, word, b, last)
        return _ENTRIES[known] if sign > 0 else -_ENTRIES[known]


Way: TypeAlias = tuple[Space, str, tuple[Map, ...], str]
"""An inner product (u, X Y ... v): its space, u, the maps, v."""


def _other_ways(space: Space, u: str, word: tuple[Map, ...], v: str) -> Iterator[tuple[Way, int]]:
    """Yield what (u, X ... v) is equal to up to a sign: turned, and by (3) with u in the place of an argument of v."""
    turn, back = _adjoint(word)
    last = word[-1].source if word else space
    yield (last, v, back, u), turn
    form, atoms = last.values.get(v, (None, ()))
    if form is not None:
        for k, (steps, base) in enumerate(atoms):
            value = form.value((*atoms[:k], (back, u), *atoms[k + 1 :]))
            sign, moved = _adjoint(steps)
            yield (_space_of(last, (steps, base)), base, moved, value), turn * sign


def _ends(space: Space) -> bool:
    """Return True if no atom can be rewritten for ever.

    Relations rewrite the end of an atom. If rewriting does not end, some left-hand side is rewritten into an atom that
    ends in itself: of an infinite chain take the steps in which the part left of what is rewritten is not touched again.
    """
    spaces = [space]
    for one in spaces:  # the list grows
        spaces += [other for other in one.neighbours if other not in spaces]
    for one in spaces:
        for key, value in one.relations.items():
            found, todo = set(value.terms), list(value.terms)
            while todo:
                word, base = todo.pop()
                if (word[len(word) - len(key[0]) :], base) == key and _space_of(one, (word, base)) is _space_of(
                    one, key
                ):
                    return False
                for k in range(len(word) + 1):
                    at = word[k].target if k < len(word) else _space_of(one, (word, base))
                    image = at.relations.get((word[k:], base))
                    new = [] if image is None else [((*word[:k], *more), other) for more, other in image.terms]
                    todo += [atom for atom in new if atom not in found]
                    found |= set(new)
                if len(found) > MOST_ATOMS:
                    return False
    return True


def _space_of(space: Space, atom: Atom) -> Space:
    """Return the space of the named vector in an atom of a space."""
    return atom[0][-1].source if atom[0] else space


def _sign_of_square(u: str, word: tuple[Map, ...], v: str) -> dict[str, bool]:
    """Return what is known of the sign of (u, X^* ... P ... X u), P positive or not there: minus for (u, K K u)."""
    if u != v:
        return {}
    nonnegative = True
    while len(word) > 1:
        turn, (back,) = _adjoint(word[-1:])
        if word[0] is not back:
            return {}
        nonnegative ^= turn < 0
        word = word[1:-1]
    if word and not word[0].positive:
        return {}
    return {"nonnegative": True} if nonnegative else {"nonpositive": True}


class Vector:
    """A formal combination of atoms, as the updates use it: sums, multiples, ``@`` in its own space.

    Parameters
    ----------
    space : Space
        Where it lives.
    terms : dict
        Coefficients by atom.
    """

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
            raise TypeError(f"abstract vectors have no entrywise product: {INSTEAD}")
        if isinstance(c, (Map, str)) or np.ndim(c):
            raise TypeError(f"an abstract vector is multiplied by a number, got {c!r}; a map is called: L(u)")
        c = _exact(c)
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
            raise TypeError(f"abstract vectors have no quotient: {INSTEAD}")
        return self.__mul__(1 / _exact(c))

    def __matmul__(self, other: Vector) -> Any:
        if not self.space.has_dot:
            raise TypeError("parameters have the inner product of their problem: problem.inner(u, v), not u @ v")
        return self.space.inner(self, other)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"an abstract vector has no order, no truth value, no entries and no functions of them: {INSTEAD}"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __float__ = __int__ = __complex__ = __abs__ = _refuse
    __len__ = __iter__ = __getitem__ = __contains__ = __pow__ = __rpow__ = __rtruediv__ = __array__ = _refuse

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **_: Any) -> Any:
        if ufunc is np.multiply and method == "__call__" and inputs[1] is self:
            return self * inputs[0]  # a NumPy scalar times the vector
        return self._refuse()

    def _sympy_(self) -> Any:
        raise sp.SympifyError(self)  # so SymPy asks for no float and leaves products to this class

    def map_coefficients(self, function: Any) -> Vector:
        """Return the vector with `function` of each coefficient: a derivative, a limit, a substitution."""
        return self.space.combine({atom: function(sp.sympify(c)) for atom, c in self.terms.items()})

    def __repr__(self) -> str:
        parts = [f"({c}) {' '.join([m.name for m in word] + [base])}" for (word, base), c in self.terms.items()]
        return " + ".join(parts) or "0"
