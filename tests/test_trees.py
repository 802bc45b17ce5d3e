"""Rooted and free trees: counts, sums over all trees, the two normal forms, and what splittings and partitions add up to."""

import re
from collections import Counter
from fractions import Fraction
from itertools import combinations, permutations
from math import factorial, prod
from pathlib import Path

import pytest

import gradflow
from gradflow.backward_error import trees as listing
from gradflow.backward_error.trees import (
    LARGEST,
    butcher_product,
    density,
    free_symmetry,
    free_tree,
    free_trees,
    order,
    partitions,
    rootings,
    splittings,
    symmetry,
    text,
    tree,
    trees,
)


@pytest.fixture(autouse=True)
def _nothing_is_known():
    """Each test computes its trees itself, whatever others have computed before."""
    for value in vars(listing).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


ALL = [t for n in range(1, 7) for t in trees(n)]
SMALL = [t for n in range(1, 5) for t in trees(n)]


def parents(t):
    """Return for each node its parent; node 0 is the root."""
    found = []

    def visit(branches, above):
        found.append(above)
        here = len(found) - 1
        for branch in branches:
            visit(branch, here)

    visit(t, None)
    return found


def rooted(edges, root, nodes):
    """Return the component of a node in a graph without circles, rooted there, as nested tuples in no order."""
    neighbours = {v: {b for a, b in edges if a == v} | {a for a, b in edges if b == v} for v in nodes}

    def grow(v, above):
        return tuple(grow(w, v) for w in neighbours[v] - {above})

    return tree(grow(root, None))


def edges_of(t):
    return [(above, v) for v, above in enumerate(parents(t)) if above is not None]


def test_there_are_as_many_trees_as_in_the_tables():
    """OEIS A000081 and A000055."""
    counts = [1, 1, 2, 4, 9, 20, 48, 115, 286, 719, 1842, 4766, 12486, 32973]
    assert [len(trees(n)) for n in range(1, LARGEST + 1)] == counts
    assert [len(free_trees(n)) for n in range(1, 11)] == [1, 1, 1, 2, 3, 6, 11, 23, 47, 106]


@pytest.mark.parametrize("n", range(1, 11))
def test_all_trees_are_there_once_in_order_and_in_canonical_form(n):
    found = trees(n)
    assert len(set(found)) == len(found)
    assert all(tree(t) == t and order(t) == n for t in found)

    def rank(t):
        return (order(t), *map(rank, t))

    assert sorted(found, key=rank) == list(found)
    assert all(sorted(t, key=rank) == list(t) for t in found)


@pytest.mark.parametrize("n", range(1, 11))
def test_sums_over_all_trees(n):
    """Labellings that increase from the root: (n-1)!; all labelled rooted trees: n^(n-1); labelled trees: n^(n-2)."""
    assert sum(Fraction(factorial(n), symmetry(t) * density(t)) for t in trees(n)) == factorial(n - 1)
    assert sum(Fraction(factorial(n), symmetry(t)) for t in trees(n)) == n ** (n - 1)
    assert sum(Fraction(factorial(n), free_symmetry(t)) for t in free_trees(n)) == Fraction(n) ** (n - 2)


@pytest.mark.parametrize("n", range(1, 9))
def test_the_text_is_read_again(n):
    texts = [text(t) for t in trees(n)]
    assert len(set(texts)) == len(texts)
    assert [tree(written) for written in texts] == list(trees(n))
    assert all(written.count("o") == sum(not branch for branch in _nodes(tree(written))) for written in texts)


def _nodes(t):
    yield t
    for branch in t:
        yield from _nodes(branch)


def test_the_texts_of_the_small_trees():
    listed = [text(t) for t in SMALL]
    assert listed == ["o", "[o]", "[o,o]", "[[o]]", "[o,o,o]", "[o,[o]]", "[[o,o]]", "[[[o]]]"]


@pytest.mark.parametrize("t", ALL, ids=text)
def test_the_order_of_branches_has_no_meaning(t):
    def shuffles(t):
        for arranged in permutations(t):
            yield arranged
            yield tuple(next(iter(shuffles(branch))) for branch in reversed(arranged))

    def written(t):
        return f"[ {' , '.join(map(written, t))} ]" if t else " o"

    for other in shuffles(t):
        assert tree(other) == t
        assert tree(written(other)) == t
        assert text(other) == text(t)
        assert (order(other), symmetry(other), density(other)) == (order(t), symmetry(t), density(t))


WRONG = ["", " ", "[]", "o,o", "[o", "o]", "[o,]", "[,o]", "x", "[[o]", "[o]]", "oo", "[o o]", "[o][o]", "(o)", "[0]"]


@pytest.mark.parametrize("value", [*WRONG, 1, None, True, 1.5, ("o",), ((), 1), b"o", [()], ((), [()]), {}])
def test_what_is_no_tree_is_refused(value):
    with pytest.raises(ValueError, match="a tree must be"):
        tree(value)


def test_what_is_too_large_is_refused():
    with pytest.raises(ValueError, match="200 nodes above one another"):
        tree("[" * 200 + "o" + "]" * 200)
    deep = ()
    for _ in range(200):
        deep = (deep,)
    with pytest.raises(ValueError, match="200 nodes above one another"):
        tree(deep)
    assert order("[" * 199 + "o" + "]" * 199) == 200
    assert order("[" + "o," * 4998 + "o]") == 5000
    with pytest.raises(ValueError, match="9999 characters, got 10001"):
        tree("[" + "o," * 4999 + "o]")
    for n in (0, -1, LARGEST + 1, 2.0, True, "3"):
        with pytest.raises(ValueError, match="n must be a whole number from 1 to"):
            trees(n)
        with pytest.raises(ValueError, match="n must be a whole number from 1 to"):
            free_trees(n)


@pytest.mark.parametrize("t", ALL, ids=text)
def test_symmetry_counts_the_permutations_of_nodes_that_change_nothing(t):
    above = parents(t)
    same = 0
    for moved in permutations(range(1, len(above))):
        to = (0, *moved)
        same += all(above[to[v]] == to[above[v]] for v in range(1, len(above)))
    assert symmetry(t) == same


@pytest.mark.parametrize("t", ALL, ids=text)
def test_free_symmetry_counts_the_permutations_that_keep_the_edges(t):
    edges = {frozenset(edge) for edge in edges_of(t)}
    same = sum({frozenset(to[v] for v in edge) for edge in edges} == edges for to in permutations(range(order(t))))
    assert free_symmetry(t) == same


@pytest.mark.parametrize("t", ALL, ids=text)
def test_density_is_the_product_of_the_sizes_of_all_subtrees(t):
    assert density(t) == prod(order(branch) for branch in _nodes(t))


@pytest.mark.parametrize("t", ALL, ids=text)
def test_rootings_are_the_trees_with_each_node_as_the_root(t):
    nodes = range(order(t))
    expected = Counter(rooted(edges_of(t), v, nodes) for v in nodes)
    assert dict(rootings(t)) == expected
    assert sum(rootings(t).values()) == order(t)
    for other, times in rootings(t).items():
        assert dict(rootings(other)) == expected
        assert free_tree(other) == free_tree(t)
        assert times * symmetry(other) == free_symmetry(t)  # orbit and stabiliser
    assert free_tree(t) == next(s for s in trees(order(t)) if s in expected)


@pytest.mark.parametrize("n", range(2, 9))
def test_a_free_tree_is_a_class_of_exchanged_butcher_products(n):
    """The classes generated by u o v ~ v o u are those of `free_tree`."""
    classes = {t: t for t in trees(n)}

    def find(t):
        while classes[t] != t:
            t = classes[t]
        return t

    for size in range(1, n):
        for u in trees(size):
            for v in trees(n - size):
                assert free_tree(butcher_product(u, v)) == free_tree(butcher_product(v, u))
                classes[find(butcher_product(u, v))] = find(butcher_product(v, u))
    assert len({find(t) for t in trees(n)}) == len(free_trees(n))


@pytest.mark.parametrize("t", ALL, ids=text)
def test_splittings_are_the_sets_of_nodes_that_are_closed_upwards(t):
    above, edges = parents(t), edges_of(t)
    expected = Counter()
    for size in range(len(above) + 1):
        for removed in map(set, combinations(range(len(above)), size)):
            if any(above[v] in removed and v not in removed for v in range(1, len(above))):
                continue
            kept = set(range(len(above))) - removed
            inside = rooted([e for e in edges if set(e) <= kept], 0, kept) if kept else None
            below = [e for e in edges if set(e) <= removed]
            tops = [v for v in removed if v == 0 or above[v] in kept]
            left = Counter(rooted(below, v, removed) for v in tops)
            expected[inside, frozenset(left.items())] += 1
    found = Counter()
    for (kept, forest), times in splittings(t).items():
        found[kept, frozenset(Counter(forest).items())] += times
    assert found == expected


@pytest.mark.parametrize("t", ALL, ids=text)
def test_partitions_are_the_sets_of_removed_edges(t):
    edges, nodes = edges_of(t), range(order(t))
    expected = Counter()
    for size in range(len(edges) + 1):
        for removed in combinations(edges, size):
            kept = [e for e in edges if e not in removed]
            tops = {0, *(v for _, v in removed)}
            component = {}
            for v in nodes:
                at = v
                while at not in tops:
                    at = parents(t)[at]
                component[v] = at
            forest = Counter(rooted(kept, v, nodes) for v in tops)
            skeleton = rooted([(component[a], component[b]) for a, b in removed], 0, tops)
            expected[skeleton, frozenset(forest.items())] += 1
    found = Counter()
    for (skeleton, components), times in partitions(t).items():
        assert order(skeleton) == len(components)
        found[skeleton, frozenset(Counter(components).items())] += times
    assert found == expected
    assert found.total() == 2 ** (order(t) - 1)


def test_what_is_listed_cannot_be_changed():
    for found in (rootings("[o]"), splittings("[o]"), partitions("[o]")):
        with pytest.raises(TypeError):
            found[()] = 0


PAGE = Path(gradflow.__file__).parents[1] / "docs" / "theory" / "b_series.md"


@pytest.mark.skipif(not PAGE.exists(), reason="an installed wheel has no pages")
def test_the_table_of_the_page():
    rows = re.findall(
        r"^\| `(\S+)` \| (\d+) \| (\d+) \| (\d+) \|.*\| `(\S+)` \|$", PAGE.read_text(encoding="utf-8"), re.M
    )
    assert rows == [(text(t), *map(str, (order(t), symmetry(t), density(t))), text(free_tree(t))) for t in SMALL]
