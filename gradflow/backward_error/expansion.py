r"""Elementary differentials of a gradient flow, and fields that are combinations of them.

For f = -grad E, an elementary differential is a rooted tree. With the branches :math:`t_1, \dots, t_k`,

.. math:: F([t_1, \dots, t_k]) = f^{(k)}\bigl(F(t_1), \dots, F(t_k)\bigr), \qquad F(o) = f,                     \tag{1}

a leaf is written ``o``. The derivatives of E are symmetric: :math:`(f^{(k)}(u_1, \dots, u_k), u_{k+1})_M` does not
depend on the order of the k + 1 vectors. So the number :math:`(F(s), F(t))_M` belongs to the tree without a root in
which s and t are joined by an edge, and it may be cut at any other edge. Besides E itself, these numbers are all
invariants that a step can form; the coefficients of a field are functions of them.

The derivative along a field X follows from the product rule: a tree gets the tree of X as a further branch, at each of its
nodes in turn,

.. math:: F(t)'\,F(s) = \sum_{v \in t} F(t \leftarrow_v s), \qquad E'\,F(s) = -(F(o), F(s))_M.                  \tag{2}

For a least-squares energy :math:`E = |q|^2/2` a node has two sides, since a derivative of E falls on either factor,

.. math:: \bigl(F([A\,|\,B]), u\bigr)_M = -\,q^{(|A| + 1)}(A, u) \cdot q^{(|B|)}(B), \qquad
    F([t_1, \dots, t_k]) = \sum_{A \cup B = \{t_1, \dots, t_k\}} F([A\,|\,B]),                                    \tag{3}

so that ``[|t]`` is :math:`-J^*J\,F(t)`. A constant self-adjoint operator S is a node with one branch, ``S(t)``.

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration, 2nd ed., 2006, sections III.1 and IX.1; (3) and the
invariants are derived here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import sympy as sp
from sympy.polys.domains import QQ
from sympy.polys.fields import FracField
from sympy.polys.orderings import lex

__all__ = [
    "ENERGY",
    "Field",
    "Node",
    "derivative",
    "field_derivative",
    "grafted",
    "in_latex",
    "invariant",
    "invariant_trees",
    "is_varying",
    "joined",
    "latex_of",
    "leaf",
    "node",
    "normal",
    "residual_node",
    "rooted",
    "size",
    "split",
    "split_number",
    "written",
]

ENERGY = sp.Symbol("E", positive=True)
"""The energy at theta. The constants of the schemes make it positive, where that matters."""


class Node(NamedTuple):
    """A rooted tree."""

    label: str
    """"" for a derivative of f, "|" for (3), else the name of an operator or of a vector."""
    branches: tuple[Node, ...] = ()
    """Sorted; of (3), A."""
    other: tuple[Node, ...] = ()
    """Sorted; the B of (3)."""


Field: TypeAlias = dict[Node, Any]
"""A combination of elementary differentials: SymPy coefficients by tree."""

leaf = Node("")
"""The tree of f."""


@cache
def size(tree: Node) -> int:
    """Return the number of nodes.

    Parameters
    ----------
    tree : Node
        A tree.
    """
    return 1 + sum(size(one) for one in (*tree.branches, *tree.other))


@cache
def written(tree: Node) -> str:
    """Return a tree in brackets: ``o``, ``[o]``, ``[o,[o]]``; ``[o|]`` and ``[|o]`` of (3); ``S(o)``.

    Parameters
    ----------
    tree : Node
        A tree.
    """
    inside = ",".join(map(written, tree.branches))
    if tree.label in ("", "|"):
        if not tree.branches and not tree.other:
            return "o"
        return f"[{inside}]" if not tree.label else f"[{inside}|{','.join(map(written, tree.other))}]"
    return f"{tree.label}({inside})" if tree.branches else tree.label


def latex_of(tree: Node) -> tuple[int, str]:
    r"""Return the elementary differential of a tree in LaTeX, ``f'f``, ``f''(f, f)``, ``J^*J f``, and its sign.

    Derivatives apply to all that follows. A node of (3) is minus a product of derivatives of q, of which the first is J.

    Parameters
    ----------
    tree : Node
        A tree.

    Examples
    --------
    >>> latex_of(node(node(leaf, leaf)))
    (1, "f'f''(f, f)")
    >>> latex_of(residual_node((), (leaf,)))
    (-1, 'J^*J f')
    """
    sign, sides = 1, []
    for side in (tree.branches, tree.other):
        parts = [latex_of(one) for one in side]
        sign *= prod(s for s, _ in parts)
        sides.append([text for _, text in parts])
    if tree.label == "|" and (sides[0] or sides[1]):
        first = (
            f"{_derivative('q', len(sides[0]) + 1)}({', '.join([*sides[0], chr(92) + 'cdot'])})^*"
            if sides[0]
            else "J^*"
        )
        return -sign, first + (
            "q" if not sides[1] else _applied("J" if len(sides[1]) == 1 else _derivative("q", len(sides[1])), sides[1])
        )
    if tree.label not in ("", "|"):
        return sign, _applied(tree.label, sides[0]) if sides[0] else tree.label
    return sign, _applied(_derivative("f", len(sides[0])), sides[0]) if sides[0] else "f"


def _derivative(name: str, k: int) -> str:
    return name + ("'" * k if k <= 3 else f"^{{({k})}}")


def _applied(map_: str, arguments: list[str]) -> str:
    if len(arguments) > 1:
        return f"{map_}({', '.join(arguments)})"
    return f"{map_}{'' if map_.endswith(chr(39)) else ' '}{arguments[0]}"


def in_latex(expression: Any) -> str:
    r"""Return a coefficient or a modified loss in LaTeX, with :math:`\Delta t` and with ``|f|_M^2`` or ``(f, f'f)_M`` for invariants.

    Parameters
    ----------
    expression : SymPy expression
        In E, dt, invariants and constants.

    Examples
    --------
    >>> print(in_latex(ENERGY - invariant(leaf, node(leaf)) / 2))
    - \frac{(f, f'f)_M}{2} + E
    """
    c, names, values = sp.sympify(expression), {}, {}
    for symbol in c.free_symbols:
        if str(symbol) == "dt":
            names[symbol] = r"\Delta t"
        if symbol in _INVARIANTS:
            (s, u), (t, v) = map(latex_of, _INVARIANTS[symbol])
            values[symbol] = s * t * symbol
            names[symbol] = f"|{u}|_M^2" if u == v else f"({u}, {v})_M"
    return str(sp.latex(c.xreplace(values), symbol_names=names))


def _sorted(trees: Any) -> tuple[Node, ...]:
    return tuple(sorted(trees, key=lambda one: (size(one), written(one))))


def node(*branches: Node) -> Node:
    """Return the tree of a derivative of f.

    Parameters
    ----------
    *branches : Node
        In any order.
    """
    return Node("", _sorted(branches))


def residual_node(branches: Any, other: Any) -> Node:
    """Return the tree of (3) with the sides A and B; the leaf is that of f.

    Parameters
    ----------
    branches, other : sequence of Node
        In any order.
    """
    if not branches and not other:
        return leaf
    return Node("|", _sorted(branches), _sorted(other))


@cache
def split(tree: Node) -> tuple[tuple[Node, int], ...]:
    """Return a tree as the sum of trees with the nodes of (3) alone, with multiplicities.

    Parameters
    ----------
    tree : Node
        A tree.
    """
    total: dict[Node, int] = {}
    for parts in product(*(split(one) for one in tree.branches)):
        times = 1
        for _, count in parts:
            times *= count
        branches = [one for one, _ in parts]
        if tree.label != "":
            others = list(product(*(split(one) for one in tree.other)))
            for other in others:
                more = times
                for _, count in other:
                    more *= count
                sides = [one for one, _ in other]
                made = residual_node(branches, sides) if tree.label == "|" else Node(tree.label, _sorted(branches))
                total[made] = total.get(made, 0) + more
            continue
        for chosen in product((False, True), repeat=len(branches)):
            left = [one for one, side in zip(branches, chosen, strict=True) if side]
            right = [one for one, side in zip(branches, chosen, strict=True) if not side]
            made = residual_node(left, right)
            total[made] = total.get(made, 0) + times
    return tuple(total.items())


@cache
def grafted(tree: Node, branch: Node) -> tuple[tuple[Node, int], ...]:
    """Return the trees of (2): `branch` grafted onto each node of `tree` in turn, with multiplicities.

    Parameters
    ----------
    tree, branch : Node
        Trees. A leaf takes part in both kinds of trees: it is split if the branch is one of (3).
    """
    total: dict[Node, int] = {}

    def add(made: Node, times: int = 1) -> None:
        total[made] = total.get(made, 0) + times

    if tree.label == "":
        add(node(*tree.branches, branch))
    elif tree.label == "|":
        add(residual_node((*tree.branches, branch), tree.other))
        add(residual_node(tree.branches, (*tree.other, branch)))
    for k, one in enumerate(tree.branches):
        for grown, times in grafted(one, branch):
            rest = (*tree.branches[:k], grown, *tree.branches[k + 1 :])
            add(Node(tree.label, _sorted(rest), tree.other), times)
    for k, one in enumerate(tree.other):
        for grown, times in grafted(one, branch):
            rest = (*tree.other[:k], grown, *tree.other[k + 1 :])
            add(Node(tree.label, tree.branches, _sorted(rest)), times)
    return tuple(total.items())


def _moved(u: Node, v: Node) -> Iterator[tuple[Node, Node]]:
    """Yield the other ways to cut the tree in which u and v are joined, at the edges of u's root."""
    for k, one in enumerate(u.branches):
        rest = (*u.branches[:k], *u.branches[k + 1 :], v)
        yield one, Node(u.label, _sorted(rest), u.other)
    for k, one in enumerate(u.other):
        rest = (*u.other[:k], *u.other[k + 1 :])
        yield one, residual_node(rest, (*u.branches, v))


@cache
def joined(u: Node, v: Node) -> tuple[Node, Node]:
    """Return the least of the ways to cut the tree in which u and v are joined: equal for equal numbers (F(u), F(v)).

    Parameters
    ----------
    u, v : Node
        Trees.
    """
    seen, todo = {(u, v)}, [(u, v)]
    while todo:
        a, b = todo.pop()
        for way in ((b, a), *_moved(a, b)):
            if way not in seen:
                seen.add(way)
                todo.append(way)
    return min(seen, key=lambda way: (size(way[0]), written(way[0]), written(way[1])))


_INVARIANTS: dict[sp.Symbol, tuple[Node, Node]] = {}
_VARYING: set[sp.Symbol] = {ENERGY}  # and the keys of _INVARIANTS


def invariant(u: Node, v: Node) -> sp.Symbol:
    """Return the symbol of the number (F(u), F(v))_M.

    Parameters
    ----------
    u, v : Node
        Trees.
    """
    a, b = joined(u, v)
    symbol = sp.Symbol(f"({written(a)}, {written(b)})", real=True, **({"nonnegative": True} if a == b else {}))
    _INVARIANTS[symbol] = a, b
    _VARYING.add(symbol)
    return symbol


def is_varying(symbol: sp.Symbol) -> bool:
    """Return whether a symbol is the energy or an invariant, which vary with theta.

    Parameters
    ----------
    symbol : Symbol
        Any.
    """
    return symbol in _VARYING


def invariant_trees(symbol: sp.Symbol) -> tuple[Node, Node]:
    """Return the u and v of a symbol (F(u), F(v))_M.

    Parameters
    ----------
    symbol : Symbol
        From `invariant`.
    """
    return _INVARIANTS[symbol]


def split_number(c: Any) -> Any:
    """Return a coefficient with its invariants written in the nodes of (3) alone.

    Parameters
    ----------
    c : SymPy expression
        Of invariants.
    """
    values = {}
    for symbol in sp.sympify(c).free_symbols & set(_INVARIANTS):
        u, v = _INVARIANTS[symbol]
        values[symbol] = sum(m * n * invariant(a, b) for a, m in split(u) for b, n in split(v))
    return sp.sympify(c).xreplace(values)


def rooted(u: Node, v: Node) -> dict[Node, int]:
    """Return the rooted trees that the tree in which u and v are joined becomes, with multiplicities: one for each node.

    Parameters
    ----------
    u, v : Node
        Trees of (1).
    """
    total: dict[Node, int] = {}

    def add(tree: Node, above: Node | None) -> None:
        whole = tree if above is None else node(*tree.branches, above)
        total[whole] = total.get(whole, 0) + 1
        for k, one in enumerate(tree.branches):
            rest = (*tree.branches[:k], *tree.branches[k + 1 :])
            add(one, node(*rest) if above is None else node(*rest, above))

    add(node(*u.branches, v), None)
    return total


def normal(c: Any) -> Any:
    """Return a coefficient multiplied out; a fraction, whose denominator varies with theta, in lowest terms.

    Sums of fractions that are multiplied out alone grow with every derivative.

    Parameters
    ----------
    c : SymPy expression
        Of E, invariants, and further variables.
    """
    c = sp.sympify(c)
    powers = c.atoms(sp.Pow)
    varying = any(p.exp.is_negative and p.base.free_symbols & _VARYING for p in powers)
    if not varying or not all(p.exp.is_Integer for p in powers) or not c.is_rational_function():
        return sp.expand(c)
    return FracField(sorted(c.free_symbols, key=str), QQ, lex).from_expr(c).as_expr()


def derivative(c: Any, field: Mapping[Node, Any], rates: Mapping[sp.Symbol, Any]) -> Any:
    """Return the derivative of a coefficient along a field, (2).

    Parameters
    ----------
    c : SymPy expression
        Of E, invariants, and further variables.
    field : mapping
        The field of theta.
    rates : mapping
        What the further variables move with; the other symbols are constants.
    """
    c = sp.sympify(c)
    total: Any = sp.Integer(0)
    for symbol in sorted(c.free_symbols, key=str):
        if symbol in rates:
            speed = rates[symbol]
        elif symbol == ENERGY:
            speed = -sum(x * invariant(leaf, tree) for tree, x in field.items())
        elif symbol in _INVARIANTS:
            speed = sp.Integer(0)
            for u, v in (_INVARIANTS[symbol], _INVARIANTS[symbol][::-1]):
                for tree, x in field.items():
                    speed += x * sum(times * invariant(grown, v) for grown, times in grafted(u, tree))
        else:
            continue
        if speed != 0:
            total += sp.diff(c, symbol) * speed
    return normal(total)


def field_derivative(of: Mapping[Node, Any], field: Mapping[Node, Any], rates: Mapping[sp.Symbol, Any]) -> Field:
    """Return the derivative of a field along another one.

    Parameters
    ----------
    of : mapping
        What is differentiated.
    field, rates : mapping
        As for `derivative`.
    """
    total: Field = {}
    for tree, c in of.items():
        for other, x in field.items():
            for grown, times in grafted(tree, other):
                total[grown] = total.get(grown, 0) + c * x * times
        change = derivative(c, field, rates)
        if change != 0:
            total[tree] = total.get(tree, 0) + change
    return {tree: value for tree, c in total.items() if (value := normal(c)) != 0}
