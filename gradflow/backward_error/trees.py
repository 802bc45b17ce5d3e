r"""Rooted trees and free trees: what the terms of B-series are indexed by.

A *rooted tree* is the tuple of its branches, each a rooted tree; the leaf, one node alone, is ``()``. The order of the
branches has no meaning, so that each tree is stored in one canonical form: trees are ordered by their number of nodes
and then by their tuples of branches, compared entry by entry, and the branches of a node do not decrease in this order.
As text the leaf is ``o``, and other trees are the list of their branches in brackets: ``[o,[o]]`` is a root with a leaf
and a chain of two nodes above it. `tree` reads both forms, with the branches in any order; all functions below call it.

For :math:`t = [t_1, \dots, t_m]` the number of nodes (the *order*), the *symmetry* and the *density* are

.. math::
   |t| &= 1 + |t_1| + \dots + |t_m|,                                                                     \tag{1} \\
   \sigma(t) &= \mu_1!\,\mu_2! \cdots\, \sigma(t_1) \cdots \sigma(t_m),                                  \tag{2} \\
   \gamma(t) &= |t|\, \gamma(t_1) \cdots \gamma(t_m),                                                    \tag{3}

where :math:`\mu_1, \mu_2, \dots` count equal branches: :math:`\sigma` is the number of permutations of the nodes that
leave the tree unchanged. The *Butcher product* attaches the root of v to that of u,

.. math:: u \circ v = [u_1, \dots, u_m, v].                                                              \tag{4}

Then :math:`v \circ u` is the same tree, with its root at the other end of the edge between the two roots. A *free tree*
is a tree without a root: a class of rooted trees that arise from one another in this way. It is represented by the
rooted tree among them that is the first in the canonical order.

A *splitting* of t is a subtree that contains the root, together with the forest that is left when it is removed; the
subtree may be empty. A *partition* of t is a set of edges that are removed: it leaves a forest of *components*, and the
*skeleton* is the tree whose nodes are the components and whose edges are those that were removed. There are
:math:`2^{|t| - 1}` partitions. Composition of B-series sums over the splittings and substitution over the partitions,
see `gradflow.backward_error.bseries`.

The trees here have one kind of node, so that they can be listed and cut; a `gradflow.backward_error.expansion.Node` is also an
operator, a vector or one side of a residual, as a step makes them.

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), sections III.1.2 and III.1.4 and, for
partitions, Chartier, Hairer & Vilmart, Found. Comput. Math. 10 (2010) 407, section 3. The functions `order`, `symmetry`
and `density` are their :math:`|\tau|`, :math:`\sigma(\tau)` and :math:`\gamma(\tau)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from math import factorial, prod
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from ..description import found
from ..refusals import whole_number

__all__ = [
    "LARGEST",
    "Forest",
    "Tree",
    "butcher_product",
    "density",
    "free_symmetry",
    "free_tree",
    "free_trees",
    "order",
    "partitions",
    "rootings",
    "splittings",
    "symmetry",
    "text",
    "tree",
    "trees",
]

Tree: TypeAlias = tuple["Tree", ...]
"""A rooted tree: the tuple of its branches in the canonical order."""

Forest: TypeAlias = tuple[Tree, ...]
"""Rooted trees in the canonical order, equal ones repeated."""

_Kind = TypeVar("_Kind")

LARGEST = 14
"""The largest number of nodes for which `trees` lists all trees; there are 32 973 of this size."""

LONGEST = 9_999  # characters of a text, which are odd in number
DEEPEST = 200  # nodes above one another; each is a call


def tree(value: Any) -> Tree:
    """Return a rooted tree in canonical form.

    Parameters
    ----------
    value : str or tuple
        A text such as ``[o,[o]]``, in which spaces have no meaning, or nested tuples. Branches may be in any order.

    Raises
    ------
    ValueError
        If the value is neither, the text is no tree, or the tree is higher than 200 nodes.

    Examples
    --------
    >>> tree("[[o],o]")
    ((), ((),))
    >>> text(tree("[[o],o]"))
    '[o,[o]]'
    """
    try:
        return _known(value)
    except TypeError:  # not hashable
        raise ValueError(f"a tree must be a text such as [o,[o]] or nested tuples, got {found(value)}") from None


@cache
def _known(value: Any) -> Tree:
    if isinstance(value, str):
        return _read(value)
    return _sorted_tuples(value, 1)


def _sorted_tuples(value: Any, depth: int) -> Tree:
    if not isinstance(value, tuple):
        raise ValueError(f"a tree must be a text such as [o,[o]] or nested tuples, got {found(value)}")
    _refuse_height(depth)
    return _joined(_sorted_tuples(branch, depth + 1) for branch in value)


def _read(written: str) -> Tree:
    """Return the tree of a text; a stack holds the branches that were read of each open bracket."""
    letters = written.replace(" ", "")
    if len(letters) > LONGEST:
        raise ValueError(f"the text of a tree must have at most {LONGEST} characters, got {len(letters)}")
    open_lists: list[list[Tree]] = [[]]
    wanted = "o["
    for position, letter in enumerate(letters):
        if letter not in wanted:
            raise ValueError(f"a tree must be written like [o,[o]], got {found(written)}: {letter!r} at {position}")
        if letter == "[":
            open_lists.append([])
            _refuse_height(len(open_lists))
        elif letter == "o":
            open_lists[-1].append(())
        elif letter == "]":
            closed = _joined(open_lists.pop())
            open_lists[-1].append(closed)
        inside = len(open_lists) > 1
        wanted = "o[" if letter in "[," else ",]" if inside else ""
    if len(open_lists) != 1 or len(open_lists[0]) != 1:
        raise ValueError(f"a tree must be written like [o,[o]], got {found(written)}, which has no end")
    return open_lists[0][0]


def _refuse_height(height: int) -> None:
    if height > DEEPEST:
        raise ValueError(f"a tree must have at most {DEEPEST} nodes above one another")


@cache
def _rank(t: Tree) -> tuple[Any, ...]:
    """Return what trees are ordered by."""
    return (_order(t), *map(_rank, t))


def _joined(branches: Any) -> Tree:
    """Return the tree with the branches, which are canonical and in any order."""
    return tuple(sorted(branches, key=_rank))


def text(t: str | Tree) -> str:
    """Return a tree as text: ``o`` for a leaf, the branches in brackets otherwise.

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.

    Examples
    --------
    >>> [text(t) for t in trees(4)]
    ['[o,o,o]', '[o,[o]]', '[[o,o]]', '[[[o]]]']
    """
    return _text(tree(t))


@cache
def _text(t: Tree) -> str:
    return f"[{','.join(map(_text, t))}]" if t else "o"


def order(t: str | Tree) -> int:
    """Return the number of nodes, equation (1).

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.
    """
    return _order(tree(t))


@cache
def _order(t: Tree) -> int:
    return 1 + sum(map(_order, t))


def symmetry(t: str | Tree) -> int:
    """Return the number of symmetries of a rooted tree, equation (2).

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.
    """
    return _symmetry(tree(t))


@cache
def _symmetry(t: Tree) -> int:
    return prod(factorial(k) * _symmetry(branch) ** k for branch, k in Counter(t).items())


def density(t: str | Tree) -> int:
    """Return the density of a rooted tree (its "tree factorial"), equation (3).

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.
    """
    return _density(tree(t))


@cache
def _density(t: Tree) -> int:
    return _order(t) * prod(map(_density, t))


def trees(n: int) -> tuple[Tree, ...]:
    """Return all rooted trees with n nodes, in the canonical order.

    Parameters
    ----------
    n : int
        The number of nodes, from 1 to `LARGEST`.

    Raises
    ------
    ValueError
        If n is no whole number in this range.

    Examples
    --------
    >>> [len(trees(n)) for n in range(1, 11)]
    [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]
    """
    return _trees(whole_number("n", n, 1, LARGEST))


@cache
def _trees(n: int) -> tuple[Tree, ...]:
    return tuple(sorted(_forests(n - 1, n - 1), key=_rank))


def trees_up_to(n: int) -> list[Tree]:
    """Return all rooted trees with at most n nodes, by their number of nodes."""
    return [t for size in range(1, n + 1) for t in trees(size)]


def _forests(nodes: int, largest: int) -> Iterator[Forest]:
    """Yield the forests with a number of nodes, whose trees have at most `largest` nodes each, once each."""
    if nodes == 0:
        yield ()
        return
    for n in range(min(nodes, largest), 0, -1):
        for times in range(1, nodes // n + 1):
            rest = list(_forests(nodes - n * times, n - 1))
            for chosen in _multisets(_trees(n), times):
                for others in rest:
                    yield (*others, *chosen)


def _multisets(kinds: tuple[Tree, ...], size: int) -> Iterator[Forest]:
    """Yield the multisets of trees that are in the canonical order."""
    if size == 0:
        yield ()
        return
    for n, kind in enumerate(kinds):
        for rest in _multisets(kinds[n:], size - 1):
            yield (kind, *rest)


def butcher_product(u: str | Tree, v: str | Tree) -> Tree:
    """Return the tree in which the root of v is a branch of that of u, equation (4).

    Parameters
    ----------
    u, v : str or tuple
        Trees, see `tree`.

    Examples
    --------
    >>> text(butcher_product("[o]", "o")), text(butcher_product("o", "[o]"))
    ('[o,o]', '[[o]]')
    """
    return _joined((*tree(u), tree(v)))


def rootings(t: str | Tree) -> Mapping[Tree, int]:
    """Return the rooted trees that a tree becomes when each of its nodes is made the root.

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.

    Returns
    -------
    mapping of tree to int
        The rooted trees in the canonical order, each with the number of nodes for which it arises.

    Examples
    --------
    >>> {text(t): nodes for t, nodes in rootings("[o,o]").items()}
    {'[o,o]': 1, '[[o]]': 2}
    """
    return _rootings(tree(t))


@cache
def _rootings(t: Tree) -> Mapping[Tree, int]:
    counts = Counter(_each_rooting(t))
    return MappingProxyType({rooted: counts[rooted] for rooted in sorted(counts, key=_rank)})


def _each_rooting(t: Tree) -> Iterator[Tree]:
    """Yield the tree with its root at each of its nodes: at the root, then along each branch."""
    yield t
    for n, branch in enumerate(t):
        rest = t[:n] + t[n + 1 :]
        yield from _with_attachment(branch, rest)


def _with_attachment(t: Tree, above: Tree) -> Iterator[Tree]:
    """Yield t, to whose root the tree `above` is attached by an edge, with the root at each node of t."""
    yield _joined((*t, above))
    for n, branch in enumerate(t):
        yield from _with_attachment(branch, _joined((*t[:n], *t[n + 1 :], above)))


def free_tree(t: str | Tree) -> Tree:
    """Return the free tree of a rooted tree: the first of its `rootings` in the canonical order.

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.

    Examples
    --------
    >>> text(free_tree("[[[o]]]"))
    '[o,[o]]'
    """
    return next(iter(rootings(t)))


def free_trees(n: int) -> tuple[Tree, ...]:
    """Return all free trees with n nodes, in the canonical order of their first rooted trees.

    Parameters
    ----------
    n : int
        The number of nodes, from 1 to `LARGEST`.

    Raises
    ------
    ValueError
        If n is no whole number in this range.

    Examples
    --------
    >>> [len(free_trees(n)) for n in range(1, 9)]
    [1, 1, 1, 2, 3, 6, 11, 23]
    """
    return tuple(t for t in trees(n) if free_tree(t) == t)


def free_symmetry(t: str | Tree) -> int:
    r"""Return the number of symmetries of the free tree of a rooted tree.

    It is :math:`\sigma(t)` times the number of nodes at which the root gives the same rooted tree.

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.

    Examples
    --------
    >>> free_symmetry("[o]"), free_symmetry("[o,o]"), free_symmetry("[o,o,o]")
    (2, 2, 6)
    """
    at = tree(t)
    return _symmetry(at) * _rootings(at)[at]


def splittings(t: str | Tree) -> Mapping[tuple[Tree | None, Forest], int]:
    """Return the splittings of a tree into a subtree that contains the root and the forest that is left.

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.

    Returns
    -------
    mapping of (tree or None, forest) to int
        How often each pair arises; None is the empty subtree, with the forest of t alone.

    Examples
    --------
    >>> for (kept, forest), times in splittings("[o,o]").items():
    ...     print(times, text(kept) if kept is not None else "-", *map(text, forest))
    1 - [o,o]
    1 o o o
    2 [o] o
    1 [o,o]
    """
    return _splittings(tree(t))


@cache
def _splittings(t: Tree) -> Mapping[tuple[Tree | None, Forest], int]:
    def grown(counted: tuple[Tree, Forest], branch: Tree) -> Iterator[tuple[tuple[Tree, Forest], int]]:
        kept, forest = counted
        for (part, left), ways in _splittings(branch).items():
            yield (kept if part is None else _joined((*kept, part)), _joined((*forest, *left))), ways

    return MappingProxyType({(None, (t,)): 1, **_over_branches(t, ((), ()), grown)})


def _over_branches(t: Tree, leaf: _Kind, grown: Callable[[_Kind, Tree], Iterator[tuple[_Kind, int]]]) -> Counter[_Kind]:
    """Return how often each kind arises: that of the leaf, grown by one branch of t after another in all ways."""
    counts = Counter({leaf: 1})
    for branch in t:
        more: Counter[_Kind] = Counter()
        for kind, times in counts.items():
            for new, ways in grown(kind, branch):
                more[new] += times * ways
        counts = more
    return counts


def partitions(t: str | Tree) -> Mapping[tuple[Tree, Forest], int]:
    """Return the partitions of a tree: for each set of removed edges, the skeleton and the components.

    Parameters
    ----------
    t : str or tuple
        A tree, see `tree`.

    Returns
    -------
    mapping of (tree, forest) to int
        How often each pair of a skeleton and its components arises. The skeleton has as many nodes as there are
        components.

    Examples
    --------
    >>> for (skeleton, components), times in partitions("[o,o]").items():
    ...     print(times, text(skeleton), *map(text, components))
    1 [o,o] o o o
    2 [o] o [o]
    1 o [o,o]
    """
    return _partitions(tree(t))


@cache
def _partitions(t: Tree) -> Mapping[tuple[Tree, Forest], int]:
    counts: Counter[tuple[Tree, Forest]] = Counter()
    for (root, skeleton, others), times in _rooted_partitions(t).items():
        counts[skeleton, _joined((root, *others))] += times
    return MappingProxyType(dict(counts))


@cache
def _rooted_partitions(t: Tree) -> Mapping[tuple[Tree, Tree, Forest], int]:
    """Return the component of the root, the skeleton and the other components, with how often they arise."""

    def grown(counted: tuple[Tree, Tree, Forest], branch: Tree) -> Iterator[tuple[tuple[Tree, Tree, Forest], int]]:
        root, skeleton, others = counted
        for (part, below, left), ways in _rooted_partitions(branch).items():
            # the edge to the branch is removed
            yield (root, _joined((*skeleton, below)), _joined((*others, part, *left))), ways
            # the edge is kept: the component of the branch's root is joined to that of the root
            yield (_joined((*root, part)), _joined((*skeleton, *below)), _joined((*others, *left))), ways

    return _over_branches(t, ((), (), ()), grown)
