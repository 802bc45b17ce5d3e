"""Abstract vectors: what their inner products stand for, and laws that hold for all of them."""

import copy
import pickle
import random

import numpy as np
import pytest
import sympy as sp

from gradflow.curvature import damped_step
from gradflow.energies.linear import Operator, Shift, Zero, add
from gradflow.proofs import linear_kinds
from gradflow.symbolic import AbstractLeastSquares, AbstractResiduals, Map, Space, is_zero, solve_damped
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


def test_a_skew_operator_does_no_work():
    V = Space()
    u, v = V.vectors("u v")
    K, L = V.skew("K"), V.operator("L")
    assert V.inner(K(u), u) == 0
    assert V.inner(L(K(L(u))), u) == 0
    assert is_zero(V.inner(K(u), v) + V.inner(u, K(v)))
    assert is_zero(V.inner(K(L(u)), v) + V.inner(u, L(K(v))))
    assert is_zero(K.adjoint(u) + K(u))
    assert K.adjoint.adjoint is K
    assert V.inner(K(K(u)), u).is_nonpositive
    assert V.inner(K(u), K(u)).is_nonnegative
    assert V.inner(K(L(K(u))), u).is_nonpositive
    y = L.solve_shifted(u, dt)  # of the implicit step for u' = -L u + K u: what K does vanishes from the law
    assert is_zero(V.inner(K(y), y))
    assert not is_zero(V.inner(K(u), v))
    assert not is_zero(V.inner(K(L(u)), u))


@pytest.mark.parametrize("seed", range(5))
def test_values_of_skew_and_indefinite_operators_are_those_of_matrices(seed):
    V = Space()
    u, v = V.vectors("u v")
    K, H = V.skew("K"), V.operator("H", positive=False)
    work, square, both = values_of(V.inner(K(u), v), V.inner(K(K(u)), u), V.inner(K(u), K(u)), seed=seed)
    assert square == -both < 0 != work
    found = [values_of(V.inner(H(u), u), seed=20 * seed + k)[0] for k in range(20)]
    assert min(found) < 0 < max(found)


def test_signs_of_operators_are_those_of_all_their_terms():
    V = Space()
    u = V.vector("u")
    L, S, H = V.operator("L"), V.operator("S"), V.operator("H", positive=False)
    assert (L + S).positive
    assert not (L + H).positive
    assert not (L + (S + H)).positive
    assert V.inner(L(u), u).is_nonnegative
    assert V.inner(H(u), u).is_nonnegative is None
    assert V.inner(H(u), H(u)).is_nonnegative
    with pytest.raises(TypeError, match="have no sum"):
        L + Space().operator("L")


def test_relations_that_may_loop_are_refused_and_leave_nothing():
    V, W = Space("P"), Space("N")
    u, v, w = V.vectors("u v w")
    L, K, J = V.operator("L"), V.operator("K"), Map.between("J", V, W)
    V.relate(L(v), L(w))
    W.relate(J(u), W.vector("q"))
    for atom, value in ((u, L(u)), (u, u), (K(u), -K(u)), (w, v), (L(w), L(v)), (u, v + L(L(u)))):
        before = dict(V.relations)
        with pytest.raises(ValueError, match="for ever"):
            V.relate(atom, value)
        assert V.relations == before
    with pytest.raises(ValueError, match="for ever"):
        W.relate(W.vector("q"), J(L(u)) + W.vector("q"))
    for atom, value, why in (
        (2 * u, v, "coefficient 1"),
        (u + v, w, "got 2"),
        (V.zero, v, "got 0"),
        (u, W.vector("u"), "its own vectors"),
        (V.vector("u"), Space("P").vector("u"), "its own vectors"),
    ):
        with pytest.raises(ValueError, match=why):
            V.relate(atom, value)
    y = L.solve_shifted(u, dt)
    with pytest.raises(ValueError, match="for ever"):
        V.relate(y, u)
    V.relate(w, K(y))
    assert is_zero(w - K(y))


def test_two_relations_that_rewrite_an_inner_product_for_ever_are_named():
    V = Space()
    u, w = V.vectors("u w")
    L, M = V.operator("L"), V.operator("M")
    V.relate(L(u), M(u))
    V.relate(M(w), L(w))
    with pytest.raises(ValueError, match="inner products for ever"):
        V.inner(w, L(V.vector("u")))


def test_relations_have_one_form_whatever_their_order():
    forms = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        V = Space("order")
        p, q, s, t = V.vectors("p q s t")
        relations = [(p, s + 2 * t), (q, p - s), (s, 3 * t)]
        for k in order:
            V.relate(*relations[k])
        assert is_zero(V.vector("q") - 2 * t)
        forms.append([V.inner(q, p).subs(V.inner(t, t), 1), V.inner(q, s).subs(V.inner(t, t), 1)])
    assert forms == 3 * [[10, 6]]


ENTRYWISE = {
    "product": lambda u: u * u,
    "quotient": lambda u: u / u,
    "inverse": lambda u: 1 / u,
    "SymPy inverse": lambda u: dt / u,
    "square": lambda u: u**2,
    "less": lambda u: u < u,
    "at least": lambda u: u >= u,
    "bool": bool,
    "float": float,
    "len": len,
    "list": list,
    "abs": abs,
    "entry": lambda u: u[0],
    "in": lambda u: 1 in u,
    "ufunc": np.exp,
    "difference": lambda u: np.float64(1) - u,
    "norm": np.linalg.norm,
    "array": np.array,
    "maximum": lambda u: np.maximum(u, 0),
}


@pytest.mark.parametrize("name", ENTRYWISE)
def test_what_vectors_cannot_do_is_refused_with_what_can_be_done(name):
    with pytest.raises(TypeError, match="object arrays"):
        ENTRYWISE[name](Space().vector("u"))


@pytest.mark.parametrize("c", [2, 2.5, sp.Integer(2), dt, sp.sqrt(dt), np.float64(2.5), np.int64(3)])
def test_numbers_times_vectors_from_both_sides(c):
    u = Space().vector("u")
    for v in (c * u, u * c):
        assert list(v.terms.values()) == [sp.Rational(c) if isinstance(c, float) else sp.sympify(c)]
    assert is_zero((c * u) / c - u)


def test_what_is_no_number_is_no_factor():
    V = Space()
    u, L = V.vector("u"), V.operator("L")
    for c in (L, np.ones(2), [1, 2], "2"):
        with pytest.raises(TypeError, match="multiplied by a number"):
            u * c
    with pytest.raises(TypeError, match=r"L\(u\)"):
        L * u


def test_names_of_solutions_are_kept_for_them():
    V = Space()
    for name in ("A^-1 g", "A^-1", "a,b"):
        with pytest.raises(ValueError, match="a name must not begin with"):
            V.vector(name)
    with pytest.raises(ValueError, match="spaces separate names"):
        V.vectors("a, b")


def test_an_inner_product_is_not_stored_without_its_vectors():
    V = Space()
    u, v = V.vectors("u v")
    gram = V.inner(u, u) * V.inner(v, v) - V.inner(u, v) ** 2
    for store in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="make it anew from its vectors"):
            store(sp.sqrt(gram**2) - gram)
    assert is_zero(sp.sqrt(gram**2) - gram)


def test_a_float_is_the_number_that_it_stores():
    V = Space()
    L, g = V.operator("L"), V.vector("g")
    u = L.solve_shifted(g, 0.5 * dt)
    assert is_zero(u - L.solve_shifted(g, dt / 2))
    assert is_zero(0.5 * u - u / 2)
    assert not is_zero(0.1 * u - u / 10)
    assert not is_zero(u - g)


@pytest.mark.parametrize("kind", list(linear_kinds()), ids=lambda kind: "-".join(kind.names))
def test_the_solution_of_a_damped_system_is_known_by_its_equation(kind):
    """(1/dt + A + J^* J) d = -(J^* q + h), whatever A is a sum of; and again for the same system, and for a sum of right sides."""
    dt = sp.Symbol("dt", positive=True)
    problem = AbstractLeastSquares(kind.space, Space("N"), kind.L)
    at, A = problem.linearize(kind.theta), add(kind.L, kind.S)
    h = None if A.scalar == 0 else A.apply(kind.theta)
    q, other = at.residual, problem.residuals.vector("r")
    found = [at.solve_damped(*rest, A, dt) for rest in ((q, h), (q, h), (other, None), (q + 2 * other, h))]
    for d, u in zip(found, (q, q, other, q + 2 * other), strict=True):
        left = d / dt + A.apply(d) + at.vjp(at.jvp(d))
        right = at.vjp(u) if h is None or u is other else at.vjp(u) + h
        assert is_zero(left + right)
        assert not is_zero(left + 2 * right)
    assert is_zero(found[0] - found[1])
    assert is_zero(found[3] - found[0] - 2 * found[2])


def test_a_damped_system_with_another_operator_is_refused():
    problem = AbstractLeastSquares(Space(), Space("N"))
    at = problem.linearize(problem.space.vector("theta"))
    with pytest.raises(TypeError, match="sums of numbers and self-adjoint operators"):
        at.solve_damped(at.residual, None, Operator(lambda u: u, lambda u, dt: u / (1 + dt)), sp.Integer(1))


def test_in_the_place_of_a_solution_any_vector_is_one_for_each_system():
    problem = AbstractResiduals(Space(), 2)
    V, dt = problem.space, sp.Symbol("dt", positive=True)
    at, elsewhere = (problem.linearize(V.vector(name)) for name in ("theta", "other"))
    q = at.residual
    d = damped_step(at, q, None, Zero(), dt, mass=None, n_parameters=V.dimension).d
    others = [solve_damped(*system) for system in (
        (at, 2 * q, None, Zero(), dt), (at, q, V.vector("h"), Zero(), dt), (at, q, None, Shift(1.0), dt),
        (at, q, None, Zero(), 2 * dt), (elsewhere, q, None, Zero(), dt),
    )]  # fmt: skip
    assert is_zero(d - solve_damped(at, q, None, Zero(), dt))
    assert not any(is_zero(d - other) for other in others)
    assert all(V.is_arbitrary(base) for v in (d, *others) for _, base in v.terms)
    assert not V.is_arbitrary("h_0")
    assert is_zero(at.gram()[0, 1] - V.inner(at.rows[0], at.rows[1]))
    F, g = problem.nonlinear_energy_and_gradient(V.vector("theta"))
    assert is_zero(F - q @ q / 2)
    assert is_zero(g - at.vjp(q))
