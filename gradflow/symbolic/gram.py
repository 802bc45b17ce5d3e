r"""Gram determinants are nonnegative: the sign of polynomials in inner products, for roots and absolute values.

The inner products :math:`G_{ij} = (x_i, P x_j)` of some vectors, P positive semi-definite or the identity, are a positive
semi-definite matrix G. So is its k-th compound matrix, whose entries are the minors of order k with rows I and columns J
(it is the Gram matrix of the products :math:`x_{i_1} \wedge \cdots \wedge x_{i_k}`). The trace of the product of two
positive semi-definite matrices is nonnegative, hence

.. math:: \sum_{I, J} C_{I J} \det G_{I J} \ge 0 \quad \text{for every positive semi-definite } C.        \tag{1}

For k = 1 that is a sum of squares of norms, as :math:`|u|^2 + |v|^2 - 2 (u, v)`; a principal minor is the case of one entry
:math:`C_{I I} = 1`. `with_known_signs` looks for C, and takes squares of such polynomials out of roots.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import sympy as sp

from .vectors import Atom, Entry, Map, Space, Vector, entry_of

__all__ = ["is_gram_form", "is_known_nonnegative", "is_known_positive", "with_known_signs"]

LARGEST_ORDER = 3
MOST_VECTORS = 4


def with_known_signs(e: sp.Expr) -> sp.Expr:
    """Return an expression in which roots, absolute values and signs know the sign of forms (1).

    Parameters
    ----------
    e : SymPy expression
        Of inner products and other symbols.

    Examples
    --------
    >>> import sympy as sp
    >>> from gradflow.symbolic import Space
    >>> u, v = Space().vectors("u v")
    >>> G = (u @ u) * (v @ v) - (u @ v) ** 2
    >>> with_known_signs(sp.sqrt(G**2) + abs(G)) - 2 * G
    0
    """
    known: dict[sp.Expr, sp.Symbol] = {}
    rooted = sorted(
        (x for x in e.atoms(sp.Pow, sp.Abs, sp.sign) if not (x.is_Pow and x.exp.is_Integer) and _has_entry(x.args[0])),
        key=lambda x: x.count_ops(),
    )
    for x in rooted:
        inner = x.args[0]
        if not inner.is_rational_function(*inner.free_symbols):
            continue
        top, bottom = (_named(part, known) for part in sp.fraction(sp.together(inner)))
        if (top / bottom).free_symbols & set(known.values()):
            e = e.xreplace({x: x.func(top / bottom, *x.args[1:])})
    return sp.sympify(e.xreplace({s: f for f, s in known.items()}))


def is_known_nonnegative(e: sp.Expr) -> bool:
    """Return whether an expression is shown to be nonnegative: by its symbols, or by sums and products of such and forms (1).

    Parameters
    ----------
    e : SymPy expression
        Of inner products and other symbols. False says nothing.

    Examples
    --------
    >>> import sympy as sp
    >>> from gradflow.symbolic import Space
    >>> a, (u, v) = sp.Symbol("a", positive=True), Space().vectors("u v")
    >>> is_known_nonnegative(a + (u - v) @ (u - v) / a)
    True
    """
    e = sp.factor_terms(e)
    if e.is_nonnegative:
        return True
    if e.is_Mul:
        return all(map(is_known_nonnegative, e.args))
    if e.is_Pow:
        even = e.exp.is_even and _is_real_where_defined(e.base)
        return bool(even or (e.exp.is_real and is_known_nonnegative(e.base)))
    if not e.is_Add:
        return False
    known = [x for x in e.args if is_known_nonnegative(x)]
    rest = [x for x in e.args if x not in known]
    if not rest:
        return True
    entries = sorted((s for s in e.free_symbols if entry_of(s) is not None), key=lambda s: s.sort_key())
    for space, form, atoms in _bases(entries):  # what is left, with the squares that belong to it
        products = set().union(*(x.free_symbols for x in _gram(space, form, atoms)))
        own = [x for x in known if _has_entry(x) and {s for s in x.free_symbols if entry_of(s)} <= products]
        if is_gram_form(sp.expand(sp.Add(*rest, *own))):
            return True
    return False


def _is_real_where_defined(e: sp.Expr) -> bool:
    """Return whether a number is real for every value of its symbols for which there is one."""
    if not all(s.is_real for s in e.free_symbols) or e.atoms(sp.Function) - e.atoms(sp.exp):
        return False
    return all(p.exp.is_integer or is_known_nonnegative(p.base) for p in e.atoms(sp.Pow) if p.base != sp.E)


def is_known_positive(e: sp.Expr) -> bool:
    """Return whether an expression is shown to be positive: as `is_known_nonnegative`, and a term of a sum is not 0.

    Parameters
    ----------
    e : SymPy expression
        Of inner products and other symbols. False says nothing.
    """
    e = sp.factor_terms(e)
    if e.is_positive:
        return True
    if e.is_Mul:
        return all(map(is_known_positive, e.args))
    if e.is_Pow:
        return bool(e.exp.is_real and is_known_positive(e.base))
    positive = [x for x in e.args if x.is_positive] if e.is_Add else []
    return bool(positive) and is_known_nonnegative(sp.Add(*(x for x in e.args if x not in positive)))


def _named(polynomial: sp.Expr, known: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """Return a polynomial with symbols for those of its factors whose signs are known."""
    try:
        c, factors = sp.factor_list(polynomial)
    except sp.PolynomialError:
        return polynomial
    return sp.Mul(c, *((_name(f, known) if _has_entry(f) else f) ** k for f, k in factors))


def _name(f: sp.Expr, known: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """Return a nonnegative symbol for the polynomial or its negative, or the polynomial itself."""
    for sign in (1, -1):
        g = sp.expand(sign * f)
        if g.is_Symbol:
            break
        if g in known:
            return sign * known[g]
        if is_gram_form(g):
            known[g] = sp.Dummy("gram", nonnegative=True)
            return sign * known[g]
    return f


def _has_entry(e: sp.Expr) -> bool:
    return any(entry_of(s) is not None for s in e.free_symbols)


def is_gram_form(f: sp.Expr) -> bool:
    """Return True if a homogeneous polynomial in inner products is shown to be a form (1); False says nothing.

    Parameters
    ----------
    f : SymPy expression
        A polynomial in inner products. Its coefficients may have other symbols.
    """
    entries = sorted((s for s in f.free_symbols if entry_of(s) is not None), key=lambda s: s.sort_key())
    try:
        polynomial = sp.Poly(f, *entries)
    except sp.PolynomialError:
        return False
    order = polynomial.homogeneous_order()
    if order is None or not 1 <= order <= LARGEST_ORDER:
        return False
    for space, form, atoms in _bases(entries):
        if order <= len(atoms) <= MOST_VECTORS and _is_form_of(polynomial, _gram(space, form, atoms), int(order)):
            return True
    return False


def _bases(entries: list[sp.Symbol]) -> Iterator[tuple[Space, Map | None, list[Atom]]]:
    """Yield the spaces and maps P of squares (x, P x) among inner products, with the atoms x."""
    found: dict[tuple[Space, Map | None], list[Atom]] = {}
    for s in entries:
        entry = entry_of(s)
        if entry is None or entry.left != entry.right or entry.left_space is not entry.right_space:
            continue
        half, odd = divmod(len(entry.word), 2)
        form = entry.word[half] if odd else None
        left, right = entry.word[:half], entry.word[half + odd :]
        if tuple(X.adjoint for X in reversed(left)) != right or (form is not None and not form.positive):
            continue
        if any(getattr(X, "sign", 1) < 0 for X in right):
            continue
        space = _space_of(entry, right)
        found.setdefault((space, form), []).append((right, entry.right))
    for (space, form), atoms in found.items():
        yield space, form, atoms


def _space_of(entry: Entry, right: tuple[Map, ...]) -> Space:
    return right[0].target if right else entry.right_space


def _gram(space: Space, form: Map | None, atoms: list[Atom]) -> Any:
    vectors = [Vector(space, {atom: sp.Integer(1)}) for atom in atoms]
    images = vectors if form is None else [Map.__call__(form, x) for x in vectors]
    return sp.Matrix(len(atoms), len(atoms), lambda i, j: space.inner(vectors[i], images[j]))


def _is_form_of(polynomial: sp.Poly, G: Any, order: int) -> bool:
    """Return True if the polynomial is a form (1) of the minors of this order, with a C that is shown to be semi-definite.

    Minors are dependent if there are four vectors. One C is tried.
    """
    if not all(x.is_Symbol for x in G):
        return False
    rows = list(combinations(range(G.rows), order))
    unknown = {(i, j): sp.Dummy(f"c_{i}_{j}") for i in range(len(rows)) for j in range(i, len(rows))}
    total = sp.Add(
        *(c * (1 if i == j else 2) * G.extract(list(rows[i]), list(rows[j])).det() for (i, j), c in unknown.items())
    )
    gens = sorted(set(polynomial.gens) | set(G), key=lambda s: s.sort_key())
    difference = sp.Poly(sp.expand(total - polynomial.as_expr()), *gens)
    solutions = sp.linsolve(difference.coeffs(), list(unknown.values()))
    if not solutions:
        return False
    values = dict(zip(unknown.values(), next(iter(solutions)), strict=True))
    free = {c: sp.Integer(0) for c in unknown.values()}
    C = sp.Matrix(len(rows), len(rows), lambda i, j: sp.sympify(values[unknown[min(i, j), max(i, j)]]).xreplace(free))
    return _is_semidefinite(C)


def _is_semidefinite(C: Any) -> bool:
    """Return True if elimination shows that a real symmetric matrix is positive semi-definite."""
    if not all(x.is_real for x in C):
        return False
    while C.rows:
        pivot = next((k for k in range(C.rows) if C[k, k].is_positive), None)
        if pivot is None:
            return all(sp.expand(x) == 0 for x in C)
        rest = [k for k in range(C.rows) if k != pivot]
        C = sp.Matrix(
            len(rest),
            len(rest),
            lambda i, j, C=C, p=pivot, rest=rest: sp.expand(
                C[rest[i], rest[j]] - C[rest[i], p] * C[p, rest[j]] / C[p, p]
            ),
        )
    return True
