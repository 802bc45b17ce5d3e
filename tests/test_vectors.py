"""Abstract vectors: what their inner products stand for, and laws that hold for all of them."""

import random

import pytest
import sympy as sp

from gradflow.symbolic import Map, Space
from gradflow.symbolic.realization import is_entry, realize

dt, mu = sp.symbols("dt mu", positive=True)


def products(*expressions):
    """Return the symbols of inner products in these expressions."""
    return {s for e in expressions for s in e.free_symbols if is_entry(s)}


def values_of(*expressions, seed, at=None):
    """Return the expressions where vectors and matrices of rational numbers are put in."""
    at = {dt: sp.Rational(2, 3), mu: sp.Rational(5, 7)} if at is None else at
    found, _ = realize(products(*expressions), [], at, random.Random(seed))
    return [e.subs({**at, **found}) for e in expressions]


@pytest.mark.parametrize("seed", range(20))
def test_values_of_inner_products_are_those_of_vectors(seed):
    V, W = Space("P"), Space("N")
    u, v, r = *V.vectors("u v"), W.vector("r")
    J, L = Map.between("J", V, W), V.operator("L")
    Ju = V.inner(J.adjoint(r), u)
    uu, uv, vv, rr, JJ, uLu, uLv, vLv = values_of(
        u @ u, u @ v, v @ v, r @ r, J(u) @ J(u), L(u) @ u, L(u) @ v, L(v) @ v, seed=seed
    )
    assert uv**2 <= uu * vv
    assert uLv**2 <= uLu * vLv
    rJ, rr, JJ = values_of(Ju, r @ r, J(u) @ J(u), seed=seed)
    assert rJ**2 <= rr * JJ
    assert min(uu, vv, rr, JJ, uLu, vLv) >= 0


@pytest.mark.parametrize("seed", range(10))
def test_coordinates_agree_with_inner_products_and_solve_the_systems(seed):
    V, W = Space("P"), Space("N")
    theta, g, q, d = *V.vectors("theta g"), W.vector("q"), V.vector("d")
    J, L, S = Map.between("J", V, W), V.operator("L"), V.operator("S")
    before = V.inner(g, L(theta))  # its symbol is made before the system is solved
    y = (L + S).solve_shifted(g, dt)
    V.relate(J.adjoint(q), -(d / mu + J.adjoint(J(d))))
    V.relate(V.vector("force"), L(theta) + y)
    after = V.inner(g, L(theta))
    residual = y + dt * (L(y) + S(y)) - V.vector("g")
    law = q @ J(d) + (d @ d) / mu + J(d) @ J(d)
    squares = V.inner(V.vector("force"), V.vector("force")) - V.inner(L(theta) + y, L(theta) + y)
    found = values_of(before - after, law, squares, seed=seed)
    assert found == [0, 0, 0]
    _, (zero, force, sum_of, q_at) = realize(
        set(),
        [residual, V.vector("force"), L(theta) + y, q],
        {dt: sp.Integer(3), mu: sp.Integer(2)},
        random.Random(seed),
    )
    assert all(sp.expand(x.subs(dt, 3)) == 0 for x in zero)
    assert force == sum_of
    assert len(q_at) >= 2
    assert any(x != 0 for x in q_at)


def test_a_coefficient_without_a_rational_value_is_not_realized():
    V = Space()
    u, v, w = V.vectors("u v w")
    V.relate(w, sp.sqrt(2) * u)
    assert realize({u @ u}, [v], {}, random.Random(0)) is not None
    assert realize({u @ u}, [Space.vector(V, "w")], {}, random.Random(0)) is None
    with pytest.raises(ValueError, match="no symbol of an inner product"):
        realize({dt}, [], {}, random.Random(0))
