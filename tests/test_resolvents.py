"""Resolvents as functions of operators, signs of Gram matrices: when a decision about vectors is refused."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sympy")

import sympy as sp

from gradflow.symbolic import AbstractEnergy, AbstractResiduals, Map, Space, Undecided, is_small, is_zero
from gradflow.symbolic.gram import is_gram_form, is_known_nonnegative, is_known_positive, with_known_signs
from gradflow.symbolic.resolvents import parts_of

a, b = sp.symbols("a b", positive=True)
x = sp.Symbol("x", real=True)


def commutator(V: Space, S: Any, step: Any) -> Any:
    u = V.vector("u")
    return S(S.solve_shifted(u, step)) - S.solve_shifted(S(u), step)


def test_a_system_that_may_be_singular_proves_nothing() -> None:
    """The solutions of a singular system are not unique, so that A^-1 S = S A^-1 need not hold for two of them."""
    V = Space()
    S = V.operator("S")
    assert is_zero(commutator(V, S, a))
    V = Space()
    S = V.operator("S")
    S.positive = False
    with pytest.raises(Undecided, match="dependent"):
        is_zero(commutator(V, S, a))
    V = Space()
    with pytest.raises(Undecided, match="dependent"):
        is_zero(commutator(V, V.operator("S"), x))


def test_a_step_that_has_an_inner_product() -> None:
    V = Space()
    v = V.vector("v")
    assert is_zero(commutator(V, V.operator("S"), a / (1 + v @ v)))


def test_a_proof_needs_a_point_at_which_the_coefficients_are_defined() -> None:
    V = Space()
    s = sp.sqrt(a**2 + 2 * a + 1)
    with pytest.raises(Undecided):
        is_zero(commutator(V, V.operator("S"), b) / (s - a - 1))


def test_a_vector_may_be_on_the_right_of_several_systems() -> None:
    """The relation of p rewrites S p, which is on the right of a system with L + S as well."""
    V = Space()
    u, L, S = V.vector("u"), V.operator("L"), V.operator("S")
    p = S.solve_shifted(u, a)
    q = (L + S).solve_shifted(u, a)
    assert is_zero(p - q - a * (L + S).solve_shifted(L(p), a))
    assert is_zero(p - q - a * S.solve_shifted(L(q), a))


def test_without_resolvents_there_are_no_parts() -> None:
    V = Space()
    u, v, L = *V.vectors("u v"), V.operator("L")
    assert parts_of(u - v) is None
    assert parts_of(L(u) @ v - u @ v) is None
    p = L.solve_shifted(u, a)
    assert parts_of(sp.exp(p @ v)) is None
    assert parts_of((p @ v) ** 4) is None


def test_parts_of_what_is_not_zero_are_not_zero() -> None:
    V = Space()
    u, L, S = V.vector("u"), V.operator("L"), V.operator("S")
    p = L.solve_shifted(u, a)
    q = S.solve_shifted(p, a)
    parts = parts_of(q - p)
    assert parts is not None
    assert any(not is_zero(part) for part in parts)


def test_resolvents_are_near_the_identity() -> None:
    dt = sp.Symbol("dt", positive=True)
    V = Space()
    u, v, L, S = *V.vectors("u v"), V.operator("L"), V.operator("S")
    p, q = S.solve_shifted(u, dt), L.solve_shifted(v, dt)
    x, y = L.solve_shifted(p, dt), S.solve_shifted(q, dt)
    assert is_small(x - u + y - v, dt, 1)
    assert is_small((x - u) @ (y - v), dt, 1)


@pytest.mark.parametrize("k", range(1, 4))
def test_gram_determinants_and_what_is_none(k: int) -> None:
    vectors = Space().vectors("u v w")[:k]
    G = sp.Matrix(k, k, lambda i, j: vectors[i] @ vectors[j])
    assert is_gram_form(sp.expand(a * G.det()))
    assert not is_gram_form(sp.expand(-a * G.det()))
    assert not is_gram_form(sp.expand(x * G.det()))
    assert not is_gram_form(sp.expand(G.det() + 1))
    assert with_known_signs(sp.Abs(-G.det())) == G.det()


def test_forms_that_are_semidefinite_and_forms_that_are_not() -> None:
    """|u|^2 + 2 c (u, v) + |v|^2 is nonnegative in every space if, and only if, |c| <= 1."""
    u, v = Space().vectors("u v")
    for c in np.arange(-9, 10):
        f = u @ u + sp.Rational(int(c), 6) * (u @ v) + v @ v
        assert is_gram_form(f)
        g = u @ u + (2 + sp.Rational(abs(int(c)) + 1, 6)) * (u @ v) + v @ v
        assert not is_gram_form(g)
    z = sp.Symbol("z")
    assert not is_gram_form(sp.expand(u @ u + 2 * z * (u @ v) + z**2 * (v @ v)))
    assert is_gram_form(sp.expand(u @ u + 2 * x * (u @ v) + x**2 * (v @ v)))


def test_a_skew_map_has_no_gram_matrix() -> None:
    V = Space()
    u, v, K = *V.vectors("u v"), Map.between("K", V, V)
    d = sp.expand((K(u) @ u) * (K(v) @ v) - (K(u) @ v) * (K(v) @ u))
    assert not is_gram_form(d)
    assert not is_zero(abs(d) - d)


def test_the_value_of_a_dimension_is_the_dimension() -> None:
    """Three vectors of a plane are dependent, two are not."""
    V = Space("P")
    u, v, w = V.vectors("u v w")

    def in_the_plane(*vectors: Any) -> Any:
        d = sp.Matrix(len(vectors), len(vectors), lambda i, j: vectors[i] @ vectors[j]).det()
        return sp.Piecewise((d, V.dimension < 3), (0, True))

    assert not is_zero(in_the_plane(u, v))
    with pytest.raises(Undecided):
        is_zero(in_the_plane(u, v, w))


def test_a_relation_of_a_space_that_a_word_passes() -> None:
    """The word goes through W, where the relation is."""
    U, W, V = Space("M"), Space("N"), Space("P")
    r, s, t = U.vector("r"), W.vector("s"), V.vector("t")
    J, K = Map.between("J", U, W), Map.between("K", W, V)
    before = t @ K(J(r))
    W.relate(J(r), 2 * s)
    assert is_zero(before - 2 * (t @ K(s)))
    assert not is_zero(before - t @ K(s))


def test_thetas_that_may_be_one_have_no_values_of_their_own() -> None:
    V = Space()
    u, S = V.vector("u"), V.operator("S")
    S.positive = False  # so that the system may be singular
    problem = AbstractEnergy(V)
    p = S(S.solve_shifted(u, a))
    q = S.solve_shifted(S(u), a)
    first = problem.nonlinear_energy(p)
    with pytest.raises(Undecided, match="evaluated before"):
        problem.nonlinear_energy(q)
    assert problem.nonlinear_energy(p) == first  # a theta that is recognised has its value
    assert problem.nonlinear_energy(p + u) != first


def test_relations_that_leave_only_zero_are_refused() -> None:
    """K u = 0 holds for no other u, if K is regular: then |u|^2 is no denominator."""
    V = Space()
    u, v, K = *V.vectors("u v"), Map.between("K", V, V)
    V.relate(K(u), V.zero)
    with pytest.raises(Undecided, match="defined"):
        is_zero((u @ v) / (u @ u))


def test_a_skew_operator_between_resolvents_changes_the_sign() -> None:
    """(R S v, K r) = -(K R S v, r), where R S v has its place in the one and in the other side of the inner product."""
    V = Space()
    (u, v), S, T, K = V.vectors("u v"), V.operator("S"), V.operator("T"), V.skew("K")
    q, r, p = S.solve_shifted(S(v), a), T.solve_shifted(u, b), S.solve_shifted(v, a)
    assert is_zero(S(p) @ K(r) - q @ K(r))
    assert is_zero(K(S(p)) @ r + q @ K(r))
    assert not is_zero(S(p) @ K(r) + q @ K(r))


def test_a_vector_that_is_left_of_a_quotient_by_dt_is_not_constant() -> None:
    V = Space()
    g, u, w = V.vectors("g u w")
    V.relate(g, u + w / a)  # with g and w constant, u = g - w / a grows
    with pytest.raises(Undecided, match="may make a vector grow"):
        is_small(a * (u @ u), a, 1)
    V = Space()
    g, u, w = V.vectors("g u w")
    V.relate(g, u + a * w / (1 + a))
    assert is_small(a * (u @ u), a, 1)


def test_signs_of_sums_and_products_of_forms():
    V = Space()
    u, v, w = V.vectors("u v w")
    L = V.operator("L")
    form = V.inner(u - a * v, u - a * v)
    right = [
        form,
        a * form / (b + V.inner(w, L(w))),
        form + V.inner(w, L(w)) + a,
        sp.sqrt(a + form) * b,
        (1 / x - a) ** 2,
    ]
    wrong = [
        form - a,
        -form,
        V.inner(u, v),
        V.inner(u, L(v)) + V.inner(u, u) + V.inner(v, v),
        x * form,
        (1 / x - a) ** 3,
    ]
    assert all(map(is_known_nonnegative, right))
    assert not any(map(is_known_nonnegative, wrong))
    assert [is_known_positive(e) for e in (*right, a + form)] == [False, False, True, True, False, True]
    assert not any(map(is_known_positive, wrong))
    assert not is_known_nonnegative((sp.sqrt(x) - a) ** 2)  # of a root that may not be real


def test_a_form_with_a_negative_direction_is_not_taken_for_a_square() -> None:
    """With all diagonal entries of what elimination leaves zero, the others decide: x = -(y + z), y = -z gives -2 |z|^2."""
    u, v, w = Space().vectors("u v w")
    square = u + v + w
    assert is_gram_form(sp.expand(square @ square))
    for c in (2, -2):
        form = sp.expand(square @ square + c * (v @ w))
        assert not is_gram_form(form)
        assert not is_known_nonnegative(form)


def test_an_even_power_of_a_function_that_may_be_complex_has_no_sign() -> None:
    assert is_known_nonnegative(sp.exp(x) ** 2)
    assert is_known_nonnegative(x**2)
    for e in (sp.log(x) ** 2, sp.asin(x) ** 2, sp.sqrt(x) ** 4 * sp.log(x) ** 2):
        assert not is_known_nonnegative(e)


def test_residuals_have_either_sign() -> None:
    for n in (1, 3):
        V = Space()
        for q in AbstractResiduals(V, n).linearize(V.vector("theta")).residual:
            assert q.is_real
            assert q.is_nonnegative is None
            assert sp.sqrt(q**2) == abs(q) != q
