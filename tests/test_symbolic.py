"""The production updates run on symbols, and what comes out satisfies the printed identities for all values."""

import numpy as np
import pytest
import sympy as sp

from gradflow import symbolic
from gradflow.energies.linear import Shift
from gradflow.schemes.adaptive_ieq import adaptive_ieq_update
from gradflow.schemes.elementwise_sav import elementwise_sav_update
from gradflow.schemes.exp_sav import exp_sav_explicit_update
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.sav import sav_update
from gradflow.schemes.source_sav import source_sav_update
from gradflow.symbolic import Map, Space, Undecided, branches, is_small, is_zero, symbols, where

P = 3
theta, g = symbols("theta", P), symbols("g", P)
r, F, C = sp.symbols("r F C", positive=True)
dt, lam, wd, mu, kappa = sp.symbols("dt lambda omega mu kappa", positive=True)


def inner(u, v):
    return mu * (u @ v)


def shifted(shift):
    return lambda u: Shift.solve_shifted(type("S", (), {"shift": shift})(), u, dt)


def test_sav_identity_with_energy_part_and_stabilization():
    new, r_new = sav_update(
        theta, r, g, F, wd * theta, dt=dt, C=C, inner=inner, solve=lambda u: u / (1 + dt * (lam + wd))
    )
    d = new - theta
    before, after = r**2 + wd * inner(theta, theta) / 2, r_new**2 + wd * inner(new, new) / 2
    drop = inner(d, d) * (1 / dt + lam + wd / 2) + (r_new - r) ** 2
    assert is_zero(after - before + drop)
    assert not is_zero(after - before + drop + inner(d, d))


def test_sav_with_fresh_r_is_a_step_along_the_gradient():
    new, _ = sav_update(theta, None, g, F, dt=dt, C=C, inner=inner, solve=lambda u: u / (1 + dt * lam))
    eta = 1 / (1 / dt + lam + inner(g, g) / (2 * (F + C)))
    assert all(is_zero(entry) for entry in new - theta + eta * g)


def test_source_sav_moves_theta_like_restarted_sav_and_its_identity_is_weighted():
    solve = lambda u: u / (1 + dt * lam)  # noqa: E731
    new, r_new = source_sav_update(theta, r, g, F, dt=dt, C=C, inner=inner, solve=solve)
    restarted, _ = sav_update(theta, None, g, F, dt=dt, C=C, inner=inner, solve=solve)
    assert all(is_zero(entry) for entry in new - restarted)
    d = new - theta
    assert is_zero(r_new**2 - r**2 + (r_new - r) ** 2 + r**2 / (F + C) * inner(d, d) * (1 / dt + lam))


def test_explicit_exponential_sav_loses_exactly_what_the_flow_dissipates():
    s = sp.Symbol("s", real=True)
    xi = sp.Symbol("xi", positive=True)  # exp(s - s_consistent)
    new, s_new = exp_sav_explicit_update(
        theta,
        s,
        g,
        s - sp.log(xi),
        wd * theta,
        dt=dt,
        kappa=kappa,
        inner=inner,
        solve=lambda u: u / (1 + dt * (lam + wd)),
    )
    d = new - theta
    change = kappa * (s_new - s) + wd * (inner(new, new) - inner(theta, theta)) / 2
    assert is_zero(change + inner(d, d) * (1 / dt + lam + wd / 2))


def test_elementwise_sav_identity_coordinate_by_coordinate():
    r_vector = symbols("r", P, positive=True)
    new, r_new = elementwise_sav_update(theta, r_vector, g, F, dt=dt, C=C, mass=mu, solve=lambda u: u / (1 + dt * lam))
    for d, before, after in zip(new - theta, r_vector, r_new, strict=True):
        assert is_zero(after**2 - before**2 + (after - before) ** 2 + mu * d**2 * (1 / dt + lam))


def test_adaptive_ieq_is_restarted_sav_with_half_eps():
    eps = sp.Symbol("eps", positive=True)
    rho = sp.sqrt(2 * F)
    new, _ = adaptive_ieq_update(theta, rho, g, rho**2, dt=dt, eps=eps, inner=inner)
    restarted, _ = sav_update(theta, None, g, F, dt=dt, C=eps / 2, inner=inner, solve=lambda u: u)
    assert all(is_zero(entry) for entry in new - restarted)


@pytest.mark.parametrize("energy_part", [False, True])
def test_ieq_scales_the_exact_solution_by_one(energy_part):
    J, q = symbols("j", P), symbols("q", 1)
    shift = dt * (wd if energy_part else 0)
    gram = (J @ J) / mu / (1 + shift)

    def direction(q, h):  # the push-through form of one residual
        h = 0 * theta if h is None else h
        q_tilde = (q[0] - dt * (J @ h) / (1 + shift)) / (1 + dt * gram)
        d = -dt / (1 + shift) * (J * q_tilde / mu + h)
        return d, np.array([J @ d], dtype=object)

    new, q_new = ieq_update(
        theta,
        q,
        wd * theta if energy_part else None,
        inner=inner,
        damping=lambda d: inner(d, d) * (1 + shift) / dt,
        direction=direction,
    )
    new, q_new = [_moving(e) for e in new], _moving(q_new[0])
    d = [a - b for a, b in zip(new, theta, strict=True)]
    assert is_zero(q_new - q[0] - sum(a * b for a, b in zip(J, d, strict=True)))
    force = [wd * t if energy_part else 0 for t in new]
    for increment, f, j in zip(d, force, J, strict=True):
        assert is_zero(increment / dt + f + j * q_new / mu)


def _moving(expression):
    """Return the branch of the update that a step which moves takes."""
    return expression.replace(lambda e: isinstance(e, sp.Piecewise), lambda e: e.args[0][0])


def test_is_zero_decides_with_roots():
    a, b = sp.symbols("a b", positive=True)
    assert is_zero(sp.sqrt(a + b) ** 2 - a - b)
    assert is_zero(1 / sp.sqrt(a) - sp.sqrt(a) / a)
    assert is_zero(sp.sqrt(sp.sqrt(a) + b) ** 4 - a - 2 * b * sp.sqrt(a) - b**2)
    assert is_zero(sp.sqrt(2 * a + 2 * b) / sp.sqrt(a + b) - sp.sqrt(2))
    assert not is_zero(sp.sqrt(a) - sp.sqrt(b))
    assert not is_zero(sp.exp(a))
    assert is_zero(sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1)
    with pytest.raises(Undecided, match="gamma is not known"):
        is_zero(sp.gamma(a + 1) - a * sp.gamma(a))
    with pytest.raises(TypeError, match="takes expressions"):
        is_zero(a > b)


def test_is_zero_decides_with_exponentials_and_logarithms():
    a, b = sp.symbols("a b", positive=True)
    assert is_zero(sp.exp(a - 2 * b) - sp.exp(a) / sp.exp(b) ** 2)
    assert is_zero(sp.exp(-sp.log(1 + a)) * (1 + a) - 1)
    assert not is_zero(sp.log(a) - sp.log(b))


def test_rounding_refutes_nothing():
    a = sp.Symbol("a", positive=True)
    large = 1000 * a  # exp(2000 a) loses the 1 in 60 digits
    assert is_zero((sp.exp(large) + 1) * (sp.exp(large) - 1) - sp.exp(2 * large) + 1)
    assert not is_zero(sp.Symbol("n", negative=True) - a)


def test_small_means_an_expansion_in_powers():
    a, dt = sp.symbols("a dt", positive=True)
    assert is_small(sp.sqrt(1 + a * dt) - 1 - a * dt / 2, dt, 2)
    assert not is_small(sp.sqrt(1 + a * dt) - 1, dt, 2)
    for singular, order in ((sp.sqrt(dt), 1), (sp.sqrt(dt) ** 3, 2)):
        with pytest.raises(Undecided, match="not finite"):
            is_small(singular, dt, order)


def test_is_zero_takes_numbers_for_what_they_are():
    a = sp.Symbol("a", positive=True)
    assert is_zero(1 / (1 + sp.sqrt(21)) - (sp.sqrt(21) - 1) / 20)
    assert is_zero(0.5 * a + a / 2 - 1.0 * a)


def test_branches_cover_both_answers_and_ask_each_question_once():
    a, b = sp.symbols("a b", real=True)
    found = {branch.conditions: branch.value for branch in branches(lambda: where(a > b, 1, where(a > 0, 2, 3)))}
    assert found == {(a > 0, a > b): 1, (a > 0, a <= b): 2, (a <= 0, a > b): 1, (a <= 0, a <= b): 3}
    (first, second) = branches(lambda: (where(a > b, 1, 2), where(a <= b, 1, 2)))
    assert (first.value, second.value) == ((1, 2), (2, 1))


def test_names_for_object_arrays():
    a, b = sp.symbols("a b", positive=True)
    z = np.array([[a, -b], [sp.Integer(2), sp.Integer(-3)]], dtype=object)
    assert symbolic.maximum(z, 0.0).tolist() == [[a, 0], [2, 0]]
    assert symbolic.minimum(z, -z).tolist() == [[-a, -b], [-2, -3]]
    assert symbolic.max(z, axis=1, keepdims=True).tolist() == [[a], [2]]
    assert symbolic.max(z[1]) == 2
    assert symbolic.max(np.array([a, sp.nan], dtype=object)) is sp.nan
    (first, second) = branches(lambda: symbolic.max(np.array([a, b], dtype=object)))
    assert (first.value, second.value) == (a, b)
    ones = symbolic.astype(np.array([True, False]), z.dtype)
    assert (ones * a).tolist() == [a, 0]
    assert symbolic.astype(np.array([2, 3]), np.float64).dtype == float
    chosen = symbolic.where(np.array([True, False]), np.array([1, 1]), np.array([0, 0]))
    assert chosen.dtype == object
    assert symbolic.take(z, chosen, axis=0)[:, 0].tolist() == [2, a]
    assert is_zero(symbolic.tanh(z)[0, 0] - (sp.exp(a) - sp.exp(-a)) / (sp.exp(a) + sp.exp(-a)))


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (lambda a, b: a > b, lambda a, b: b < a),
        (lambda a, b: a > b, lambda a, b: sp.Not(a <= b)),
        (lambda a, b: a >= b, lambda a, b: sp.Not(b > a)),
        (lambda a, b: sp.Eq(a, b), lambda a, b: sp.Not(sp.Ne(b, a))),
        (lambda a, b: sp.And(a > b, b > 0), lambda a, b: sp.Not(sp.Or(b <= 0, b >= a))),
        (lambda a, b: sp.Or(a > b, b > 0), lambda a, b: sp.Not(sp.And(a <= b, sp.Not(b > 0)))),
        (lambda a, b: sp.Not(sp.And(a > b, b > 0)), lambda a, b: sp.Or(a <= b, b <= 0)),
    ],
)
def test_a_question_is_known_however_it_is_written(one, same):
    a, b = sp.symbols("a b", real=True)
    for first, second in ((one, same), (same, one)):
        found = list(branches(lambda f=first, s=second: (where(f(a, b), 1, 2), where(s(a, b), 1, 2))))
        assert [branch.value for branch in found] == [(1, 1), (2, 2)]
        found = list(branches(lambda f=first, s=second: (where(f(a, b), 1, 2), where(sp.Not(s(a, b)), 1, 2))))
        assert [branch.value for branch in found] == [(1, 2), (2, 1)]


def test_branches_refuse_what_they_cannot_follow():
    a = sp.Symbol("a", real=True)
    calls = []

    def restless():
        calls.append(None)
        return where(a > len(calls), 1, 2)

    with pytest.raises(ValueError, match="the same questions in every run"):
        list(branches(restless))
    once = iter((True, False))
    with pytest.raises(ValueError, match="the same questions in every run"):
        list(branches(lambda: where(a > 0, 1, 2) if next(once) else 3))
    with pytest.raises(ValueError, match="must not be called by a function"):
        list(branches(lambda: list(branches(lambda: where(a > 0, 1, 2)))))
    with pytest.raises(ValueError, match="at most 1000 branches"):
        list(branches(lambda: [where(entry > 0, 1, 2) for entry in symbols("x", 10)]))
    with pytest.raises(TypeError, match="relations and truth values"):
        where(a, 1, 2)


def test_an_error_tells_its_branch_and_ends_it():
    a = sp.Symbol("a", real=True)

    def fails():
        if where(a > 0, False, True):
            raise ZeroDivisionError
        return a

    found = branches(fails)
    assert next(found).value == a
    with pytest.raises(ZeroDivisionError) as error:
        next(found)
    assert error.value.__notes__ == ["in the branch a <= 0"]
    assert where(a > 0, 1, 2) == sp.Piecewise((1, a > 0), (2, True))


def test_abstract_vectors_keep_adjoints_and_solves():
    V, W = Space("P"), Space("N")
    u, v, g = V.vectors("u v g")
    J, L, S = Map.between("J", V, W), V.operator("L"), V.operator("S")
    dt = sp.Symbol("dt", positive=True)
    assert is_zero(V.inner(J.adjoint(J(u)), v) - J(u) @ J(v))
    assert is_zero(V.inner(L(S(u)), v) - V.inner(u, S(L(v))))
    assert not is_zero(V.inner(L(S(u)), v) - V.inner(u, L(S(v))))  # L and S need not commute
    A_g = (L + S).solve_shifted(g, dt)
    assert is_zero(A_g + dt * (L(A_g) + S(A_g)) - g)
    assert V.inner(g, A_g).is_nonnegative
    assert is_zero((L + S).solve_shifted(2 * g, dt) - 2 * A_g)
    other = Space("P").vector("u")
    assert not is_zero(u @ u - other @ other)  # nor are spaces known by their names
    with pytest.raises(ValueError, match="relation already"):
        V.relate(V.vector("g"), u)
    with pytest.raises(TypeError, match="is_zero"):
        assert u == v
    assert V.inner(J(u).space.vector("x") @ J(u) * u, u).is_nonnegative is None
    with pytest.raises(TypeError, match="no sum"):
        u + J(u)
