"""Taylor polynomials of abstract energies: the orders of methods, and symmetric multilinear maps."""

import itertools
import random

import pytest
import sympy as sp

from gradflow.schemes.gradient_descent import GradientDescent
from gradflow.schemes.state import FlowState
from gradflow.symbolic import Space, Undecided, is_small, is_zero
from gradflow.symbolic.realization import is_entry, realize
from gradflow.symbolic.taylor import SmoothEnergy
from gradflow.symbolic.vectors import Symmetric

dt = sp.Symbol("dt", positive=True)


def energy(order, linear=False):
    V = Space()
    problem = SmoothEnergy(V, V.vector("theta"), dt, order, V.operator("L") if linear else None)
    return problem, lambda at: problem.energy_and_gradient(at)[1]


def euler(theta, slope):
    return theta - dt * slope(theta)


def midpoint(theta, slope):
    return theta - dt * slope(theta - dt / 2 * slope(theta))


def heun(theta, slope):
    return theta - dt / 2 * (slope(theta) + slope(theta - dt * slope(theta)))


def kutta3(theta, slope):
    k1 = slope(theta)
    k2 = slope(theta - dt / 2 * k1)
    return theta - dt / 6 * (k1 + 4 * k2 + slope(theta - dt * (2 * k2 - k1)))


def wrong_heun(theta, slope):
    return theta - dt / 3 * (slope(theta) + 2 * slope(theta - dt * slope(theta)))


METHODS = {
    "euler": (euler, 1),
    "midpoint": (midpoint, 2),
    "heun": (heun, 2),
    "kutta3": (kutta3, 3),
    "wrong": (wrong_heun, 1),
}


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_explicit_methods(name, linear):
    method, order = METHODS[name]
    problem, slope = energy(order + 1, linear)
    error = method(problem.theta, slope) - problem.flow()
    assert is_small(error, dt, order + 1)
    assert not is_small(error, dt, order + 2)
    with pytest.raises(Undecided):  # beyond what the energy knows, nothing is refuted or shown
        is_small(
            midpoint(problem.theta, slope) - midpoint(problem.theta + dt**9 * slope(problem.theta), slope),
            dt,
            order + 4,
        )


def test_the_scheme_of_the_library_is_of_order_one():
    problem, _ = energy(2)
    error = GradientDescent().step(problem, FlowState(problem.theta), dt).theta - problem.flow()
    assert is_small(error, dt, 2)
    assert not is_small(error, dt, 3)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_flow_loses_energy_and_runs_backwards(order):
    problem, slope = energy(order)
    F, g, V = problem.nonlinear_energy(problem.flow()), problem.g, problem.space
    assert is_small(F - problem.F + dt * V.inner(g, g), dt, 2)
    if order >= 2:
        assert is_small(F - problem.F + dt * V.inner(g, g) - dt**2 * V.inner(g, problem.hessian(g)), dt, 3)
    forth = problem.flow().map_coefficients(lambda c: c.subs(dt, -dt))
    assert is_small(forth - problem.flow(-1), dt, order + 1)
    assert is_small(slope(problem.flow(2)) - slope(problem.flow(1)), dt, 1)


@pytest.mark.parametrize("seed", range(5))
def test_symmetric_maps_are_symmetric_and_so_are_their_realizations(seed):
    V = Space()
    T, L, K = Symmetric("T", V), V.operator("L"), V.skew("K")
    u, v, w, x = V.vectors("u v w x")
    inner = {V.inner(T(a, b), c) for a, b, c in itertools.permutations((u, L(v), K(w)))}
    assert len(inner) == 1
    nested = [
        V.inner(T(u, T(v, w)), x),
        V.inner(T(v, w), T(u, x)),
        V.inner(T(v, T(x, u)), w),
        V.inner(w, T(T(u, x), v)),
    ]
    assert len(set(nested)) == 1
    others = [V.inner(T(v, T(u, w)), x), V.inner(T(u, u), u), V.inner(T(u, v), L(w))]
    symbols = {s for e in (*nested, *others, *inner) for s in e.free_symbols}
    assert all(is_entry(s) for s in symbols)
    values, (uv, vu, scaled, sums) = realize(
        symbols, [T(u, v), T(v, u), T(2 * u, 3 * v), T(u + w, v) - T(w, v)], {}, random.Random(seed)
    )
    assert uv == vu == sums
    assert scaled == [6 * c for c in uv]
    assert any(uv)
    assert nested[0].subs(values) != others[0].subs(values)


def test_what_has_no_realization_is_not_refuted():
    V = Space()
    u, rest = V.vector("u"), V.unknown("rest")
    T, L = Symmetric("T", V), V.operator("L")
    for vector in (rest, u + rest, T(u, rest), T(u, T(u, rest))):
        with pytest.raises(Undecided):
            is_zero(vector)
    assert is_zero(V.inner(rest, u) - V.inner(u, rest))
    y = L.solve_shifted(rest, dt)
    with pytest.raises(Undecided):
        is_zero(y)
    with pytest.raises(TypeError, match="takes vectors of"):
        T(u, Space().vector("u"))


def test_what_the_energy_does_not_know_is_refused():
    V = Space()
    theta, u = V.vectors("theta u")
    problem = SmoothEnergy(V, theta, dt, 2)
    for at in (u, theta + u, theta + (1 + dt) * u, 2 * theta):
        with pytest.raises(ValueError, match="known near"):
            problem.nonlinear_energy(at)
    with pytest.raises(ValueError, match="no Taylor polynomial"):
        problem.nonlinear_energy(theta + u / dt)
    for step, order in ((1.0, 2), (dt, 0), (dt, True), (dt, 1.5)):
        with pytest.raises(ValueError, match=r"dt must|order must"):
            SmoothEnergy(V, theta, step, order)
    V.operator("L").solve_shifted(u, dt)
    with pytest.raises(ValueError, match="before a system is solved"):
        SmoothEnergy(V, theta, dt, 2)


@pytest.mark.parametrize("c", [sp.exp(dt), 1 / (1 + dt), sp.sqrt(1 + dt), 3 + dt**2, dt * sp.log(1 + dt)])
def test_the_series_of_a_vector_is_that_of_its_coefficients(c):
    V = Space()
    theta, u = V.vectors("theta u")
    found = SmoothEnergy(V, theta, dt, order=4).series(c * u, 4)
    whole = sp.series(c, dt, 0, 5).removeO()
    for n, part in enumerate(found):
        assert is_zero(part - whole.coeff(dt, n) * u)
