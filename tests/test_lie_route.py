"""The modified field by Lie series in jets: what it must agree with, on every scheme that it can run."""

import math
import re
from itertools import combinations_with_replacement, pairwise, product
from typing import Any, NamedTuple

import numpy as np
import pytest
import sympy as sp
from sympy.polys.domains import QQ

from gradflow import (
    IEQ,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    DenseLeastSquares,
    Diagonal,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Restart,
    RMSProp,
    RungeKutta4,
    SourceSAV,
)
from gradflow.backward_error.expansion import leaf, node
from gradflow.backward_error.lie import bernoulli_field, jet_field
from gradflow.backward_error.modified import modified_field
from gradflow.backward_error.symbolic_steps import Count, exact_settings
from gradflow.curvature import damped_step
from gradflow.energies.linear import Zero
from gradflow.symbolic import configured
from gradflow.symbolic.branches import where

C, beta = sp.symbols("C beta", positive=True)


def explicit_euler(problem, theta, dt):
    return theta - dt * problem.energy_and_gradient(theta)[1]


def implicit_euler(order):
    """Return the step that solves theta_new = theta - dt g(theta_new) by iteration, exact modulo dt^(order + 1)."""

    def step(problem, theta, dt):
        new = theta
        for _ in range(order):
            new = theta - dt * problem.energy_and_gradient(new)[1]
        return new

    return step


def two_stages(c, b):
    """Return the explicit Runge-Kutta method with stages at 0 and c and weights 1 - b and b."""

    def step(problem, theta, dt):
        k1 = -problem.energy_and_gradient(theta)[1]
        k2 = -problem.energy_and_gradient(theta + c * dt * k1)[1]
        return theta + dt * ((1 - b) * k1 + b * k2)

    return step


half = sp.Rational(1, 2)
MIDPOINT, HEUN = two_stages(half, 1), two_stages(1, half)
RALSTON = two_stages(sp.Rational(1, 3), sp.Rational(3, 2))


# %% rooted trees as nested brackets, and the differentials of f = -grad E by their definition


def trees(n):
    """Return the rooted trees with n nodes."""
    if n == 1:
        return ["o"]
    found = set()
    for count in range(1, n):
        for sizes in combinations_with_replacement(range(1, n), count):
            if sum(sizes) == n - 1:
                for branches in product(*(trees(k) for k in sizes)):
                    found.add("[" + ",".join(sorted(branches, key=lambda t: (len(t), t))) + "]")
    return sorted(found, key=lambda t: (len(t), t))


def branches(tree):
    """Return the trees at the root of a tree."""
    return [] if tree == "o" else re.findall(r"o|\[(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*\]", tree[1:-1])


def differential(algebra, tree, n):
    """Return the elementary differential of a tree: the derivatives of f applied to those of its branches."""
    arguments = [differential(algebra, t, n) for t in branches(tree)]
    result = []
    for i in range(n):
        total = algebra.ring.zero
        for along in product(range(n), repeat=len(arguments)):
            term = -algebra.jet(i, *along)
            for j, argument in zip(along, arguments, strict=True):
                term *= argument[j]
            total += term
        result.append(total)
    return result


def combination(algebra, coefficients, n):
    """Return the sum of coefficients times differentials."""
    total = [algebra.ring.zero] * n
    for tree, c in coefficients.items():
        total = [
            t + d * QQ.from_sympy(sp.Rational(c)) for t, d in zip(total, differential(algebra, tree, n), strict=True)
        ]
    return tuple(total)


EULER = {  # by substitution of B-series (Hairer, Lubich & Wanner, section IX.1), divided by the symmetry
    "o": 1,
    "[o]": -half,
    "[o,o]": sp.Rational(1, 12),
    "[[o]]": sp.Rational(1, 3),
    "[o,o,o]": 0,
    "[o,[o]]": sp.Rational(-1, 12),
    "[[o,o]]": sp.Rational(-1, 12),
    "[[[o]]]": sp.Rational(-1, 4),
}


def nodes(tree):
    return 1 + sum(map(nodes, branches(tree)))


def of_size(n, coefficients=EULER):
    return {tree: c for tree, c in coefficients.items() if nodes(tree) == n}


def test_the_trees_are_all_trees():
    assert [len(trees(n)) for n in range(1, 6)] == [1, 1, 2, 4, 9]
    assert all(nodes(tree) == n for n in range(1, 6) for tree in trees(n))
    assert set(EULER) == {tree for n in range(1, 5) for tree in trees(n)}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_explicit_euler_has_the_known_coefficients(n):
    found = jet_field(GradientDescent(), 4, variables=n)
    assert found.field == jet_field(explicit_euler, 4, variables=n).field
    for k, f in enumerate(found.field, 1):
        assert f == combination(found.algebra, of_size(k), n)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_implicit_euler_is_the_adjoint(n):
    """Its coefficients are those of explicit Euler for an odd number of nodes, and minus those for an even number."""
    found = jet_field(ImplicitEuler(), 4, variables=n)
    assert found.field == jet_field(implicit_euler(4), 4, variables=n).field
    for k, f in enumerate(found.field, 1):
        assert f == combination(found.algebra, {t: (-1) ** (k + 1) * c for t, c in of_size(k).items()}, n)


@pytest.mark.parametrize(
    ("step", "third"),
    [
        (MIDPOINT, (-sp.Rational(1, 24), -sp.Rational(1, 6))),
        (HEUN, (sp.Rational(1, 12), -sp.Rational(1, 6))),
        (RALSTON, (-sp.Rational(1, 12), -sp.Rational(1, 6))),
    ],
)
def test_two_stages_of_second_order(step, third):
    found = jet_field(step, 3, variables=2)
    assert not any(found.field[1])
    assert found.field[2] == combination(found.algebra, dict(zip(("[o,o]", "[[o]]"), third, strict=True)), 2)


def test_the_classical_method_is_of_fourth_order():
    found = jet_field(RungeKutta4(), 5, variables=2)
    assert not any(p for f in found.field[1:4] for p in f)
    assert all(found.field[4])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_bernoulli_numbers_give_the_same_field(n):
    found = jet_field(GradientDescent(), 6 if n < 3 else 5, variables=n)
    assert bernoulli_field(found.algebra, found.field[0], len(found.field)) == found.field


# %% one energy: the recursion in the variables themselves, and matrix functions


def random_polynomial(x, degree, rng):
    """Return a polynomial with random rational coefficients."""
    return sum(
        sp.Rational(int(rng.integers(-9, 10)), int(rng.integers(1, 10)))
        * sp.prod([v**k for v, k in zip(x, a, strict=True)])
        for a in product(range(degree + 1), repeat=len(x))
        if sum(a) <= degree
    )


def along(f, p):
    """Return L_f p for polynomials in the variables."""
    return sum((c * p.diff(x) for c, x in zip(f, p.ring.gens, strict=True)), p.ring.zero)


@pytest.mark.parametrize("seed", range(2))
def test_random_polynomials_of_degree_six(seed):
    """To order 5: the recursion on the polynomials in x of this one energy, which knows nothing of jets."""
    x = sp.symbols("x y")
    energy = random_polynomial(x, 6, np.random.default_rng(seed))
    ring = sp.QQ[x].ring
    f, W = [[-ring.from_expr(sp.expand(sp.diff(energy, v))) for v in x]], {}
    W[1, 1] = f[0]
    for n in range(2, 6):
        total = [ring.zero, ring.zero]
        for k in range(2, n + 1):
            pairs = [(f[j - 1], W[k - 1, n - j]) for j in range(1, n - k + 2)]
            W[k, n] = [sum((along(field, w[i]) for field, w in pairs), ring.zero) for i in (0, 1)]
            total = [t - w / math.factorial(k) for t, w in zip(total, W[k, n], strict=True)]
        f.append(total)
        W[1, n] = total
    found = jet_field(GradientDescent(), 5)
    at = {x[0]: sp.Rational(2, 3), x[1]: sp.Rational(-5, 7)}
    jets = values(found.algebra, energy, x, at)
    for wanted, got in zip(f, found.field, strict=True):
        for p, q in zip(wanted, got, strict=True):
            assert p(*at.values()) == q.as_expr().subs(jets)


def values(algebra, energy, x, at):
    """Return the jets of an energy at a point."""
    jets = {}
    for symbol, (_, alpha) in algebra.record.jets.items():
        orders = [(v, k) for v, k in zip(x, alpha, strict=True) if k]
        jets[symbol] = (sp.diff(energy, *orders) if orders else energy).subs(at)
    return jets


def test_at_is_the_value_for_an_energy():
    x = sp.symbols("x y")
    energy = random_polynomial(x, 4, np.random.default_rng(5)) ** 2 + 1
    point = {x[0]: sp.Rational(1, 2), x[1]: sp.Rational(1, 3)}
    found = jet_field(Restart(configured(SAV, C=C)), 2)
    jets = values(found.algebra, energy, x, point)
    for p in found.field[1]:
        w = 1 / (energy.subs(point) + 5)
        direct = p.as_expr().subs(jets).subs({"w0": w, C: 5})
        assert found.algebra.at(p, energy, x, {C: 5}).subs(point) == direct


ORDER = 5
z = sp.Symbol("z")
AMPLIFICATIONS = {
    "explicit Euler": (GradientDescent(), 1 - z),
    "implicit Euler": (implicit_euler(ORDER), 1 / (1 + z)),
    "Heun": (HEUN, 1 - z + z**2 / 2),
    "Runge-Kutta": (RungeKutta4(), 1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24),
    "heavy ball": (
        configured(HeavyBall, momentum=sp.Rational(1, 4)),
        (sp.Rational(5, 4) - z + sp.sqrt((sp.Rational(5, 4) - z) ** 2 - 1)) / 2,
    ),
    "Nesterov": (
        configured(Nesterov, momentum=sp.Rational(1, 4)),
        sp.Rational(5, 8) * (1 - z) + sp.sqrt((sp.Rational(5, 4) * (1 - z)) ** 2 - (1 - z)) / 2,
    ),
}


@pytest.mark.parametrize("name", AMPLIFICATIONS)
def test_on_quadratics_the_field_is_a_logarithm(name):
    """For E = (theta, H theta)/2 the field is log(R(dt H))/dt theta; with momentum R is the root that is 1 at dt = 0."""
    scheme, R = AMPLIFICATIONS[name]
    series = sp.Poly(sp.series(sp.log(R), z, 0, ORDER + 1).removeO(), z)
    H = sp.Matrix([[2, -1], [-1, sp.Rational(1, 3)]])
    x = sp.symbols("x y")
    theta = sp.Matrix(x)
    found = jet_field(scheme, ORDER)
    for n, f in enumerate(found.field, 1):
        wanted = series.coeff_monomial(z**n) * H**n * theta
        got = sp.Matrix([found.algebra.at(p, (theta.T * H * theta)[0] / 2, x) for p in f])
        assert (wanted - got).expand() == sp.zeros(2, 1)


t = sp.Symbol("dt", positive=True)
FACTORS = {  # R and log R, which is the field for theta_new = R theta
    "root": ((1 + t + 3 * t**2) ** sp.Rational(-3, 2), -sp.Rational(3, 2) * sp.log(1 + t + 3 * t**2)),
    "cube root": (t + (1 + t) ** sp.Rational(2, 3), sp.log(t + (1 + t) ** sp.Rational(2, 3))),
    "exponential": (sp.exp(t - 2 * t**2) ** 2, 2 * t - 4 * t**2),
    "logarithm": (1 - sp.log(1 + t + t**2), sp.log(1 - sp.log(1 + t + t**2))),
    "quotient": ((t + t**2) / (t + 5 * t**3), sp.log((1 + t) / (1 + 5 * t**2))),
    "cube": ((1 + t - t**2) ** 3, 3 * sp.log(1 + t - t**2)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_series_of_functions_of_dt(name):
    R, logarithm = FACTORS[name]
    found = jet_field(lambda problem, theta, dt: theta * R, 6, variables=1)
    (x,) = found.algebra.record.theta
    series = sp.series(logarithm, t, 0, 7).removeO()
    for n, (f,) in enumerate(found.field, 1):
        assert f.as_expr() == series.coeff(t, n) * x


def test_differences_of_gradients():
    """theta - (g(theta + dt g) - g(theta)) has d_1 = -Hg: all terms are there, and none is left out silently."""
    found = jet_field(lambda p, t, dt: t - slope(p, t + dt * slope(p, t)) + slope(p, t), 4, variables=1)
    g = found.algebra.jet(0)
    for n, (d,) in enumerate(found.taylor, 1):
        assert d == -found.algebra.jet(*(n + 1) * [0]) * g**n / math.factorial(n)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_curl_sees_every_pair_of_variables(n):
    """It vanishes for gradients; of a gradient with another i-th component it has the derivatives along all other variables."""
    algebra = jet_field(explicit_euler, 2, variables=n).algebra
    E = algebra.jet()
    f = algebra.gradient(E**2 * algebra.jet(n - 1))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    assert algebra.is_zero(*algebra.curl(f))
    for k in range(n):
        other = [component + (E if i == k else 0) for i, component in enumerate(f)]
        wanted = [-algebra.jet(j) if i == k else algebra.jet(i) if j == k else algebra.ring.zero for i, j in pairs]
        assert list(algebra.curl(other)) == wanted
    for i, j in pairs:  # x_i in the j-th component turns in one plane
        turned = [algebra.ring.gens[i] if k == j else algebra.ring.zero for k in range(n)]
        assert list(algebra.curl(turned)) == [algebra.ring(int(pair == (i, j))) for pair in pairs]


def test_every_root_of_a_step_is_reduced():
    """A power of w_k^q b_k is 1 for each of two roots, alone and in a product with the other one."""

    def two_roots(problem, theta, dt):
        E, g = problem.energy_and_gradient(theta)
        return theta - dt * (g / sp.sqrt(E + 1) + g / sp.sqrt(E + 2))

    algebra = jet_field(two_roots, 2, variables=1).algebra
    E = algebra.jet()
    roots = [algebra.power(b, -half) for b in (E + 1, E + 2)]
    units = [w**2 * b for w, b in zip(roots, (E + 1, E + 2), strict=True)]
    for k, unit in enumerate(units):
        assert algebra.reduced(unit) == 1
        assert algebra.reduced(unit * roots[1 - k]) == roots[1 - k]
        assert algebra.reduced(unit**2 * E) == E
        assert algebra.is_zero(algebra.derivative(unit, 0))
        assert algebra.reduced(algebra.derivative(unit, 0)) == 0
    assert algebra.reduced(units[0] * units[1]) == 1
    assert not algebra.is_zero(roots[0] - roots[1])


def slope(problem, theta):
    return problem.energy_and_gradient(theta)[1]


def test_series_of_functions_of_the_energy():
    """theta_new = theta + dt/(1 + dt a + dt^2 b)^(1/2) with a, b from the energy: d_n are the Taylor coefficients."""

    def step(problem, theta, dt):
        E, g = problem.energy_and_gradient(theta)
        return theta + dt * sp.sqrt(E) / sp.sqrt(E + dt * g[0] + dt**2 * E**2) + dt * sp.exp(-E + dt * g[0])

    found = jet_field(step, 5, variables=1)
    E, g = (found.algebra.jet(*k).as_expr() for k in ((), (0,)))
    series = sp.series(1 / sp.sqrt(1 + t * g / E + t**2 * E) + sp.exp(-E) * sp.exp(t * g), t, 0, 5).removeO()
    for n, (d,) in enumerate(found.taylor, 1):
        assert found.algebra.is_zero(d - found.algebra.element(sp.expand(series.coeff(t, n - 1))))


# %% memory


MEMORY = {
    "SAV": (SAV(C=0.5), 1.3),
    "explicit ExpSAV": (ExpSAV(form="explicit"), 0.8),
    "section 2.2.4": (ExpSAV(form="section_2.2.4"), 0.7),
    "Theorem 2.2": (ExpSAV(form="theorem_2.2"), 0.9),
    "restarted SAV": (Restart(SAV(C=0.5)), None),
    "adaptive IEQ": (AdaptiveIEQ(eps=0.5), None),
    "source SAV": (SourceSAV(C=0.5), None),
    "ExpSAV": (ExpSAV(scale=2.0), None),
    "heavy ball": (HeavyBall(momentum=0.5), None),
    "Nesterov": (Nesterov(momentum=0.5), None),
}


class Bowl:
    """E = (1 + x^2 + 2 y^2 + x^2 y / 2) / 4."""

    def inner(self, u, v):
        return u @ v

    def energy(self, t):
        return (1 + t[0] ** 2 + 2 * t[1] ** 2 + t[0] ** 2 * t[1] / 2) / 4

    def energy_and_gradient(self, t):
        return self.energy(t), np.array([2 * t[0] + t[0] * t[1], 4 * t[1] + t[0] ** 2 / 2]) / 4


def flow(field, x, time):
    """Return the solution of x' = field(x) by Kutta's method with small steps."""
    n = 40
    h = time / n
    for _ in range(n):
        a = field(x)
        b = field(x + h / 2 * a)
        c = field(x + h / 2 * b)
        x = x + h / 6 * (a + 2 * b + 2 * c + field(x + h * c))
    return x


@pytest.mark.parametrize("name", MEMORY)
def test_the_iterates_follow_the_field(name):
    """With the terms to dt^k, k = 0, 1, 2, the error is of order k + 1: also for an r that is not consistent."""
    scheme, start = MEMORY[name]
    problem, theta = Bowl(), np.array([0.6, -0.4])
    found = jet_field(scheme, 3)
    x = sp.symbols("x y")
    fields = [sp.Matrix([found.algebra.at(p, problem.energy(np.array(x)), x) for p in f]) for f in found.field]
    names = sorted(set().union(*(m.free_symbols for m in fields)) - set(x), key=str)
    functions = [sp.lambdify([x, names], list(m)) for m in fields]
    errors = []
    for n in (16, 32):
        dt = 0.8 / n
        at = theta if start is None else np.append(theta, start)

        def field(u, k, dt=dt):
            return sum(dt**j * np.array(functions[j](u[:2], u[2:])) for j in range(k + 1))

        state = scheme.init(problem, theta)
        if start is not None:
            state = state._replace(aux=np.float64(start))
        if found.slaved:  # begin on the slow manifold
            Z = [
                sum(
                    dt**k
                    * float(found.algebra.at(p, problem.energy(np.array(x)), x).subs(dict(zip(x, theta, strict=True))))
                    for k, p in enumerate(series)
                )
                for series in found.slaved.values()
            ]
            state = state._replace(d=np.array(Z))
        for _ in range(n):
            state = scheme.step(problem, state, dt)
        errors.append([np.linalg.norm(flow(lambda u, k=k: field(u, k), at, 0.8)[:2] - state.theta) for k in (0, 1, 2)])
    orders = np.log2(np.array(errors[0]) / np.array(errors[1]))
    np.testing.assert_allclose(orders, [1, 2, 3], atol=0.2)


def test_ieq_follows_the_field_of_its_residuals():
    residual = lambda t: np.array([t[0] ** 2 / 2 + t[1] - 0.5, t[0] + t[0] * t[1] / 2 + 1])  # noqa: E731
    jacobian = lambda t: np.array([[t[0], 1.0], [1 + t[1] / 2, t[0] / 2]])  # noqa: E731
    problem, scheme, start = DenseLeastSquares(residual, jacobian), Restart(IEQ()), np.array([0.6, -0.4])
    found = jet_field(scheme, 3, residuals=2)
    x = sp.symbols("x y")
    q = dict(zip(("q0", "q1"), residual(x), strict=True))
    functions = [sp.lambdify([x], [found.algebra.at(p, q, x) for p in f]) for f in found.field]
    errors = []
    for n in (16, 32):
        dt = 0.4 / n
        state = scheme.init(problem, start)
        for _ in range(n):
            state = scheme.step(problem, state, dt)
        ends = [
            flow(lambda u, k=k, dt=dt: sum(dt**j * np.array(functions[j](u)) for j in range(k + 1)), start, 0.4)
            for k in range(3)
        ]
        errors.append([np.linalg.norm(end - state.theta) for end in ends])
    np.testing.assert_allclose(np.log2(np.array(errors[0]) / np.array(errors[1])), [1, 2, 3], atol=0.2)


@pytest.mark.parametrize("stabilization", [0.0, 0.5, Diagonal(np.array([0.25, 2.0]))], ids=str)
def test_stabilized_ieq(stabilization):
    """theta - dt ((1 + dt S) I + dt G)^-1 g has f_2 = (S + G) g - Hg/2, G = J^T J."""
    found = jet_field(Restart(IEQ(stabilization=stabilization)), 2, residuals=2)
    a, S = found.algebra, [0.25, 2.0] if isinstance(stabilization, Diagonal) else 2 * [stabilization]
    q = [a.jet(name=f"q{k}") for k in (0, 1)]
    J = [a.gradient(p) for p in q]
    g = a.gradient(q[0] ** 2 / 2 + q[1] ** 2 / 2)
    Jg = [row[0] * g[0] + row[1] * g[1] for row in J]
    for i in (0, 1):
        G_g = J[0][i] * Jg[0] + J[1][i] * Jg[1]
        assert a.is_zero(found.field[1][i] - a.element(S[i]) * g[i] - G_g + a.lie(g, g[i]) / 2)


@pytest.mark.parametrize("more", [{}, {"residuals": 1}, {"residuals": 2}])
@pytest.mark.parametrize("n", [1, 2])
def test_second_derivatives(n, more):
    """The Taylor method theta - dt g + dt^2 Hg/2 is of order two; with D^3E[g, g] from products with H nearby, of order three."""

    def step(problem, theta, dt):
        _, g = problem.energy_and_gradient(theta)
        Hg = problem.hvp(theta, g)
        # H(theta - dt g) Hg = H^2 g + O(dt), H(theta - dt g) g = Hg - dt D^3E[g, g] + O(dt^2)
        HHg, T = problem.hvp(theta - dt * g, Hg), (Hg - problem.hvp(theta - dt * g, g)) / dt
        return theta - dt * g + dt**2 / 2 * Hg - dt**3 / 6 * (HHg + T)

    found = jet_field(step, 4, variables=n, **more)
    assert found.algebra.is_zero(*(p for f in found.field[1:3] for p in f))
    assert not found.algebra.is_zero(*found.field[3])


def test_several_energies_are_a_tuple():
    """One step on each of two energies: d_2 = H_1 g_0, and f_2 = -(1/2) (H_0 + H_1)(g_0 + g_1) + H_1 g_0."""

    def step(problems, theta, dt):
        for problem in problems:
            theta = theta_of(problem, theta, dt)
        return theta

    found = jet_field(step, 2, energies=2)
    a = found.algebra
    g = [[a.jet(i, name=f"E{k}") for i in (0, 1)] for k in (0, 1)]
    both = [p + q for p, q in zip(*g, strict=True)]
    for i in (0, 1):
        assert a.is_zero(found.field[0][i] + both[i])
        assert a.is_zero(found.field[1][i] + a.lie(both, both[i]) / 2 - a.lie(g[0], g[1][i]))


def test_only_memory_that_matters_is_kept():
    assert jet_field(SourceSAV(), 2).variables == ("theta_0", "theta_1")
    assert jet_field(SAV(), 2).variables == ("theta_0", "theta_1", "aux")
    assert not jet_field(SAV(), 2).slaved
    assert set(jet_field(HeavyBall(), 2).slaved) == {"d_0", "d_1"}


@pytest.mark.parametrize("method", [HeavyBall, Nesterov])
def test_the_slow_manifold_of_momentum(method):
    """d = dt theta' - dt^2 theta'' / 2 + ... on the manifold: d is the last increment, backwards along the field."""
    found = jet_field(configured(method, momentum=beta), 3)
    a, f = found.algebra, found.field
    for i in (0, 1):
        Z = found.slaved[f"d_{i}"]
        assert a.is_zero(Z[0], Z[1] - f[0][i], Z[2] - f[1][i] + a.lie(f[0], f[0][i]) / 2)


# %% steps that are functions of coordinates, in 80 digits


DIGITS = 80


class InDigits:
    """E = 2 + polynomial of two variables, on arrays of SymPy's floats; the dot product."""

    mass = 1

    def __init__(self):
        self.x = sp.symbols("x y")
        x, y = self.x
        self.E = 2 + x**2 + y**2 / 3 + x * y / 4 + x**3 / 7 - x * y**2 / 5 + x**4 / 9 + x**2 * y**2 / 11
        self._polynomials = [sp.Poly(e, *self.x).terms() for e in (self.E, *(sp.diff(self.E, v) for v in self.x))]

    def inner(self, u, v):
        return u @ v

    def energy(self, theta):
        return self.energy_and_gradient(theta)[0]

    def energy_and_gradient(self, theta):
        E, *g = (sum(c * theta[0] ** i * theta[1] ** j for (i, j), c in terms) for terms in self._polynomials)
        return E, np.array(g, dtype=object)


def exact(e):
    return sp.N(e, DIGITS)


def in_digits(scheme):
    """Return a scheme whose fractions are floats of so many digits."""
    for name, value in vars(scheme).items():
        if isinstance(value, sp.Rational) and not value.is_Integer:
            object.__setattr__(scheme, name, exact(value))
        elif hasattr(value, "step"):
            in_digits(value)
    return scheme


COORDINATES = {
    "element-wise SAV": (configured(ElementwiseSAV, C=sp.Rational(1, 2)), {}),
    "restarted element-wise SAV": (Restart(ElementwiseSAV()), {}),
    "RMSProp": (RMSProp(), {}),
    "RMSProp, large epsilon": (RMSProp(decay=0.5, eps=0.3), {}),
    "Adam": (Adam(), {"n": 10**6}),
    "Adam, short memories": (Adam(beta1=0.5, beta2=0.2, eps=0.01), {"n": 10**6}),
    "Adam in norm": (Adam(reading="norm"), {"n": 10**6}),
    "adaptive SAV": (AdaptiveSAV(reading="elementwise", beta2=0.7), {"n": 10**6}),
}


@pytest.mark.parametrize("name", COORDINATES)
def test_the_logarithm_of_the_shift_is_the_field(name):
    """Forward differences of iterates, (log(1 + Delta) / dt) theta, differ from k terms of the field by O(dt^k)."""
    scheme, counts = COORDINATES[name]
    found, problem = jet_field(scheme, 3), InDigits()
    theta = [sp.Rational(7, 10), sp.Rational(-4, 10)]
    aux = sp.Rational(9, 10)  # not consistent
    x, algebra = problem.x, found.algebra
    parameters = {v: aux + k for k, v in enumerate(algebra.variables[2:])}
    point = dict(zip(x, theta, strict=True))

    def value(p):
        return exact(algebra.at(p, problem.E, x, parameters).subs(point))

    fields = [[value(p) for p in f[:2]] for f in found.field]
    series = {name: [value(p) for p in terms] for name, terms in found.slaved.items()}
    start = np.array([exact(t) for t in theta], dtype=object)
    run = in_digits(exact_settings(scheme, {}))
    errors = []
    for dt in (sp.Float("1e-9", DIGITS), sp.Float("1e-10", DIGITS)):
        state = run.init(problem, start)._replace(**counts)
        known = {n: sum(dt**k * c for k, c in enumerate(terms)) for n, terms in series.items()}
        known |= {str(v): exact(e) for v, e in parameters.items()}
        for field in state._fields[1:]:
            if field in known:
                state = state._replace(**{field: known[field]})
            elif f"{field}_0" in known:
                state = state._replace(**{field: np.array([known[f"{field}_{i}"] for i in (0, 1)], dtype=object)})
        orbit = [state.theta]
        for _ in range(6):
            state = run.step(problem, state, dt)
            orbit.append(state.theta)
        differences, total = orbit, 0
        for k in range(1, 7):
            differences = [b - a for a, b in pairwise(differences)]
            total = total + sp.Rational((-1) ** (k + 1), k) * differences[0]
        flow = total / dt
        errors.append(
            [max(abs(flow[i] - sum(dt**k * fields[k][i] for k in range(n))) for i in (0, 1)) for n in (1, 2, 3)]
        )
    orders = [float(sp.log(a / b, 10)) for a, b in zip(*errors, strict=True)]
    np.testing.assert_allclose(orders, [1, 2, 3], atol=0.02)


@pytest.mark.parametrize("name", ["RMSProp", "Adam", "adaptive SAV", "element-wise SAV"])
def test_a_formula_has_the_values_of_its_element(name):
    """`written` is another form of the same function, also where first derivatives have other signs."""
    found = jet_field(COORDINATES[name][0], 2)
    x = sp.symbols("x y")
    energy = InDigits().E.subs(dict(zip(InDigits().x, x, strict=True)))
    parameters = {v: sp.Rational(3, 4) for v in found.algebra.variables[2:]}
    compiled = found.algebra.function([p for f in found.field for p in f], energy, x)
    for point in ((0.7, -0.4), (-0.9, 0.5), (1.1, 0.8)):
        at = {v: sp.Rational(str(t)) for v, t in zip(x, point, strict=True)}
        jets = {s: sp.diff(energy, *zip(x, a, strict=True)).subs(at) for s, (_, a) in found.algebra.record.jets.items()}
        numbers = compiled([*point, *map(float, parameters.values())])
        for p, number in zip((p for f in found.field for p in f), numbers, strict=True):
            wanted = sp.N(found.algebra.at(p, energy, x, parameters).subs(at), 30)
            assert abs(number - wanted) <= 1e-9 * (1 + abs(wanted))
            formula = found.algebra.written(p).xreplace({**jets, **parameters})
            formula = formula.subs({s: abs(jets[t]) for s in formula.free_symbols for t in jets if str(s) == f"|{t}|"})
            assert abs(sp.N(formula, 30) - wanted) <= 1e-20 * (1 + abs(wanted))


def test_adam_by_hand():
    """With eps = 0, g = E', h = E'': theta' = -sgn g + dt (b2/(1 - b2) - b1/(1 - b1)) h/g + O(dt^2) in one dimension."""
    found = jet_field(Adam(), 2, symbols={"beta1": beta, "beta2": C, "eps": 0}, variables=1)
    g, h, size = (
        sp.Symbol("E_0", real=True, nonzero=True),
        sp.Symbol("E_00", real=True),
        sp.Symbol("|E_0|", positive=True),
    )
    first, second = (sp.simplify(found.algebra.written(f[0])) for f in found.field)
    assert sp.simplify(first + g / size) == 0
    wanted = (C / (1 - C) - beta / (1 - beta)) * h * g / size**2
    assert sp.simplify(second - wanted) == 0


def test_what_grows_has_no_modified_equation():
    for n in (1, 2):
        with pytest.raises(ValueError, match=r"adds E_0\*\*2 to v_0, which grows with the number of steps"):
            jet_field(Adagrad(), 1, variables=n)


@pytest.mark.parametrize(
    ("scheme", "orders"), [(GradientDescent(), [True, True, False]), (Restart(ElementwiseSAV()), [True, False, False])]
)
def test_gradients_are_told(scheme, orders):
    found = jet_field(scheme, 3)
    assert [found.is_gradient(k) for k in (1, 2, 3)] == orders
    with pytest.raises(ValueError, match="order"):
        found.is_gradient(4)


def test_a_curl_that_only_a_root_makes_vanish_is_not_decided():
    """(E_0^2)^(1/2) w - |E_0| w vanishes for E_0 > 0, and for all E_0 by the relation of the root alone."""
    found = jet_field(RMSProp(), 1)
    (b, q), w = found.algebra._made[0], found.algebra._spare[0]
    g = found.algebra.jet(0)
    assert (b, q) == (g**2, 2)
    assert found.algebra.is_zero(w**2 * g**2 - 1)
    assert not found.algebra.is_zero(w * g - 1)
    assert any(not found.algebra.vanish_at([w * g - 1], seed) for seed in range(4))


def test_a_curl_has_every_pair_of_variables():
    found = jet_field(GradientDescent(), 2, variables=3)
    a = found.algebra
    zero, g = a.ring.zero, a.jet(0)
    assert a.curl((zero, zero, g)) == (zero, a.jet(0, 0), a.jet(0, 1))
    assert a.curl((g, zero, zero)) == (-a.jet(0, 1), -a.jet(0, 2), zero)
    assert a.curl(a.gradient(a.jet())) == (zero, zero, zero)


def test_every_root_is_reduced():
    a = jet_field(RMSProp(), 1).algebra
    roots = [(w, b) for (b, q), w in zip(a._made, a._spare, strict=False) if q == 2]
    assert len(roots) > 2
    for w, b in roots:
        assert a.is_zero(a.reduced(w**2 * b) - 1)
        assert len(a.reduced(w**2 * b).terms()) == 1


class Several(NamedTuple):
    theta: Any
    kept: tuple


class TwoKept:
    """Two numbers and a vector that a step with dt = 0 keeps, in a tuple."""

    def init(self, problem, theta):
        return Several(theta, (1.0, 2.0))

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        r, s = state.kept
        return Several(state.theta - dt * r * s * g, (r - dt * r, s + dt * s * E))


def test_several_unknowns_in_a_nested_state():
    trees, jets = modified_field(TwoKept(), 2), jet_field(TwoKept(), 2, variables=1)
    assert jets.variables == ("theta_0", "kept_0", "kept_1")
    r, s = (sp.Symbol(f"kept_{k}", positive=True) for k in (0, 1))
    E, g, h = (jets.algebra.jet(*k).as_expr() for k in ((), (0,), (0, 0)))
    assert [p.as_expr() for p in jets.field[0]] == [-r * s * g, -r, s * E]
    assert set(trees.rates[0]) == {r, s}
    # f_2 of theta is -(1/2) (d/dt of -r s g along the flow)
    change = -(r * s) * h * (-r * s * g) - (-r) * s * g - r * (s * E) * g
    assert sp.expand(jets.field[1][0].as_expr() + change / 2) == 0
    o, chain = trees.fields[1][leaf], trees.fields[1][node(leaf)]
    assert sp.expand(o * -g + chain * h * g + change / 2).subs(sp.Symbol("E", positive=True), E) == 0


# %% numbers in the source


class WithFloats:
    """An average with a rate that is an attribute of a plain object."""

    def __init__(self, rate):
        self.rate = rate

    def init(self, problem, theta):
        return Kept(theta, None, 0 * theta)

    def step(self, problem, state, dt):
        m = self.rate * state.g + (1 - self.rate) * problem.energy_and_gradient(state.theta)[1]
        return Kept(state.theta - dt * m, None, m)


def test_floats_are_the_decimal_fractions_that_they_print_as():
    """In the attributes of a scheme, and as numbers that a step multiplies by: by both routes."""

    def literal(problem, theta, dt):
        return (
            theta - 0.3 * dt * problem.energy_and_gradient(theta - 0.1 * dt * problem.energy_and_gradient(theta)[1])[1]
        )

    def fractions(problem, theta, dt):
        a, b = sp.Rational(3, 10), sp.Rational(1, 10)
        return theta - a * dt * problem.energy_and_gradient(theta - b * dt * problem.energy_and_gradient(theta)[1])[1]

    for one, two in ((literal, fractions), (WithFloats(0.9), WithFloats(sp.Rational(9, 10)))):
        assert jet_field(one, 3).field == jet_field(two, 3).field
        assert modified_field(one, 3).coefficients == modified_field(two, 3).coefficients
    assert modified_field(WithFloats(0.9), 2, symbols={"rate": beta}).coefficients["o"] == 1


# %% what is refused


class Growing:
    """Counts its steps."""

    def init(self, problem, theta):
        return Adam().init(problem, theta)

    def step(self, problem, state, dt):
        n = state.n + 1
        return state._replace(theta=theta_of(problem, state.theta, dt / n), n=n)


class Kept(NamedTuple):
    theta: Any
    k: Any
    g: Any


class Counted:
    """A step of the length dt times what `factor` makes of the value k, which `after` maps to the next one."""

    def __init__(self, k, factor, after):
        self.k, self.factor, self.after = k, factor, after

    def init(self, problem, theta):
        return Kept(theta, self.k, None)

    def step(self, problem, state, dt):
        new = state.theta - self.factor(state.k, dt) * problem.energy_and_gradient(state.theta)[1]
        return Kept(new, self.after(state.k), None)


class AdamsBashforth:
    """The first step is one of the midpoint rule, which a flag, a count or a missing gradient tells."""

    def __init__(self, start, is_first, after):
        self.start, self.is_first, self.after = start, is_first, after

    def init(self, problem, theta):
        return Kept(theta, self.start, None if self.start is None else 0 * theta)

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        if self.is_first(state):
            middle = problem.energy_and_gradient(state.theta - dt / 2 * g)[1]
            return Kept(state.theta - dt * middle, self.after(state.k), g)
        return Kept(state.theta - dt * (3 * g - state.g) / 2, self.after(state.k), g)


@pytest.mark.parametrize(
    "scheme",
    [
        AdamsBashforth(False, lambda s: not s.k, lambda k: True),
        AdamsBashforth(0, lambda s: s.k == 0, lambda k: 1),
        AdamsBashforth(0, lambda s: s.k == 0, lambda k: k + 1),
        AdamsBashforth("first", lambda s: s.k == "first", lambda k: "later"),
        AdamsBashforth(None, lambda s: s.g is None, lambda k: None),
    ],
    ids=["flag", "whole number", "count", "text", "nothing"],
)
def test_a_start_of_its_own_is_no_part_of_the_field(scheme):
    """The local error of Adams-Bashforth of second order is 5/12 of the third derivative, whatever tells it its first step."""
    found = jet_field(scheme, 3)
    wanted = dict.fromkeys(("[[o]]", "[o,o]"), sp.Rational(-5, 12))
    assert found.field[0] == combination(found.algebra, {"o": 1}, 2)
    assert not any(found.field[1])
    assert found.field[2] == combination(found.algebra, wanted, 2)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (Counted(0, lambda k, dt: dt * (2 if k % 2 == 1 else 1), lambda k: k + 1), "k of the state still changes"),
        (Counted(0, lambda k, dt: dt * (2 if k % 5000 == 1 else 1), lambda k: k + 1), "k of the state still changes"),
        (
            Counted(0, lambda k, dt: dt * (2 if k == 5 else 1), lambda k: k + 1),
            "compares k of the state, which counts steps, with 5:",
        ),
        (Counted(0, lambda k, dt: dt * (2 if k == 5000 else 1), lambda k: k + 1), "counts steps, with 5000"),
        (Counted(0, lambda k, dt: dt * (1 if k != 5000 else 2), lambda k: k + 1), "counts steps, with 5000"),
        (Counted(0, lambda k, dt: dt * (2 if k in (9, 99) else 1), lambda k: k + 1), "counts steps, with 9"),
        (Counted(0, lambda k, dt: dt * {5000: 2}.get(k, 1), lambda k: k + 1), "looks something up by k"),
        (Counted(0, lambda k, dt: dt * [1, 2][k > 5000], lambda k: k + 1), "counts steps, with 5000"),
        (Counted(0.0, lambda k, dt: dt * min(k, 5000), lambda k: k + 1.0), "counts steps, with 5000"),
        (Counted(0, lambda k, dt: dt if k < 100 else 2 * dt, lambda k: k + 1), "counts steps, with 100"),
        (Counted(0, lambda k, dt: dt * (1 + k), lambda k: k + 1), "multiplies by k"),
        (Counted(1, lambda k, dt: dt / k, lambda k: k + 1), "computes with k"),
        (Counted(1, lambda k, dt: dt * sp.Integer(2) ** k, lambda k: k + 1), "raises 2 to the power k"),
        (Counted(1, lambda k, dt: dt * (1 - dt) ** k, lambda k: k + 1), "to the power k"),
        (Counted(0, lambda k, dt: dt * (1 if k == 0 else 2), lambda k: (k + 1) % 3), "k of the state still changes"),
        (
            Counted(0, lambda k, dt: dt * (1 if k == 0 else 2), lambda k: min(k + 1, 5)),
            "counts steps at first, and is 5 later",
        ),
        (Counted(True, lambda k, dt: dt if k else 3 * dt, lambda k: not k), "k of the state still changes"),
        (Counted(1, lambda k, dt: dt * (3 + k) / 2, lambda k: -k), "k of the state still changes"),
        (Counted(1, lambda k, dt: dt * (1 + dt * k), lambda k: 2 * k), "k of the state still changes"),
        (Counted("a", lambda k, dt: dt * len(k), lambda k: k + "a"), "k of the state still changes"),
        (
            Counted(1.0, lambda k, dt: dt * (3 + k) / 2, lambda k: -k),
            "does not forget k: with dt = 0 it multiplies it by -1",
        ),
        (Counted(1.0, lambda k, dt: dt * (1 + dt * k), lambda k: 2 * k), "does not forget k: .* multiplies it by 2"),
        (HeavyBall(momentum=0.5), "multiplies it by -3"),
    ],
)
def test_what_changes_with_every_step_is_refused(scheme, message):
    symbols = {"momentum": sp.Integer(-3)} if isinstance(scheme, HeavyBall) else None
    with pytest.raises(ValueError, match=message):
        jet_field(scheme, 2, variables=1, symbols=symbols)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (None, "scheme must be an object with the methods init and step, or a function"),
        ("euler", "scheme must be an object"),
        (SAV, "scheme must be an object"),
        (lambda p, t: t, "scheme must be a function .problem, theta, dt. -> theta"),
        (lambda p, t, dt: None, "a step must return theta of shape"),
        (lambda p, t, dt: "x", "a step must return theta of shape"),
        (lambda p, t, dt: t[:1], "a step must return theta of shape"),
        (lambda p, t, dt: p.nothing, "does not run on symbols"),
    ],
)
def test_what_is_no_step_is_refused(scheme, message):
    with pytest.raises(ValueError, match=message):
        jet_field(scheme, 1)


def theta_of(problem, theta, dt):
    return theta - dt * problem.energy_and_gradient(theta)[1]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda p, t, dt: t - sp.sqrt(dt) * p.energy_and_gradient(t)[1], "not smooth at dt = 0"),
        (lambda p, t, dt: t - p.energy_and_gradient(t)[1], "with dt = 0"),
        (lambda p, t, dt: theta_of(p, t + 1, dt), "with dt = 0"),
        (lambda p, t, dt: t - dt * sp.sin(p.energy(t)), "made of sums"),
        (lambda p, t, dt: t - dt * sp.log(p.energy(t)), "logarithms"),
        (lambda p, t, dt: t - dt**2 / (p.energy(t + dt**9) - p.energy(t)), "divides by"),
        (lambda p, t, dt: t - p.energy(t) / dt, "not smooth at dt = 0"),
        (lambda p, t, dt: t - (theta_of(p, t + dt * t, dt) - theta_of(p, t, dt)) / dt**2, "not smooth at dt = 0"),
        (lambda p, t, dt: t - dt * t * (p.energy(t + dt**6 * t) - p.energy(t)) / dt**6, "more terms"),
        (lambda p, t, dt: t - dt * sp.sqrt(2) * t, "irrational"),
        (lambda p, t, dt: theta_of(p, t[:1], dt), "shape"),
        (lambda p, t, dt: t - dt * p.linearize(t).vjp(p.linearize(t).residual), "residual"),
        (Growing(), "computes with n of the state: it counts steps"),
    ],
)
def test_steps_without_a_taylor_series_are_refused(step, message):
    with pytest.raises(ValueError, match=message):
        jet_field(step, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": 0},
        {"order": 1.5},
        {"order": 10**9},
        {"variables": 0},
        {"variables": 10},
        {"energies": 0},
        {"residuals": -1},
    ],
)
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        jet_field(GradientDescent(), **wrong)


def test_a_particular_energy_has_the_functions_of_the_field():
    x = sp.symbols("x y")
    found = jet_field(GradientDescent(), 1)
    for energies, theta in (({"q0": x[0]}, x), (x[0], x[:1]), ({"E": x[0], "F": x[0]}, x)):
        with pytest.raises(ValueError, match="energies must give E of 2 symbols"):
            found.algebra.at(found.field[0][0], energies, theta)
    with pytest.raises(ValueError, match="residuals are of one energy"):
        jet_field(GradientDescent(), 1, energies=2, residuals=1)
    with pytest.raises(ValueError, match="field called B"):
        jet_field(SAV(), 1, symbols={"B": C})


def test_jets_end():
    found = jet_field(GradientDescent(), 1, variables=1)
    assert found.algebra.derivative(found.algebra.jet(0), 0) == found.algebra.jet(0, 0)
    with pytest.raises(ValueError, match="no derivative"):
        found.algebra.derivative(found.algebra.jet(0, 0), 0)
    with pytest.raises(ValueError, match="no derivative"):
        found.algebra.jet(1)
    with pytest.raises(ValueError, match="no root"):
        found.algebra.element(1 / sp.Symbol("E", positive=True))
    with pytest.raises(ValueError, match="order"):
        bernoulli_field(found.algebra, found.field[0], 0)


class Carried(NamedTuple):
    theta: Any
    v: Any


class Carrying:
    """Carries a number v, or one for each variable, and steps by it."""

    def __init__(self, start, new, factor):
        self.start, self.new, self.factor = start, new, factor

    def init(self, problem, theta):
        return Carried(theta, self.start(problem, theta))

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        return Carried(state.theta - dt * g * self.factor(state.v), self.new(state.v, E, g, dt))


def ten(problem, theta):
    return 10.0


LOST = {
    "a countdown": (ten, lambda v, E, g, dt: v - dt),
    "the energy, moved": (lambda p, t: p.energy(t), lambda v, E, g, dt: v / 2 + (E - sp.Rational(1, 8)) / 2),
    "falling with the energy": (ten, lambda v, E, g, dt: v - dt * E),
    "an average of the gradient": (lambda p, t: 0 * t + 1, lambda v, E, g, dt: (v + g) / 2),
}
KEPT = {
    "decaying": (ten, lambda v, E, g, dt: v / (1 + dt)),
    "growing with the energy": (ten, lambda v, E, g, dt: v + dt * E),
    "an average of the energy": (lambda p, t: p.energy(t), lambda v, E, g, dt: (v + E) / 2),
    "an average of squares": (lambda p, t: 0 * t + 1, lambda v, E, g, dt: (v + g * g) / 2),
}
BY_SIGN = {"abs": abs, "where": lambda v: where(v > 0, 1, 2), "root": lambda v: sp.sqrt(v**2)}


@pytest.mark.parametrize("name", [*LOST, *KEPT])
@pytest.mark.parametrize("how", BY_SIGN)
def test_a_sign_that_a_step_does_not_keep_is_not_assumed(name, how):
    """What starts positive and may become negative has no sign; what a step keeps positive has."""
    start, new = (LOST | KEPT)[name]
    factor = BY_SIGN[how]
    if "gradient" in name or "squares" in name:
        single = factor
        factor = lambda v: np.array([single(e) for e in v], dtype=object)  # noqa: E731
    scheme = Carrying(start, new, factor)
    if name in LOST:
        with pytest.raises(ValueError, match=r"starts positive and is not shown to stay so|got Abs\(v"):
            jet_field(scheme, 2, variables=1)
    else:
        plain = Carrying(start, new, (lambda v: v**0) if how == "where" else (lambda v: v))
        assert jet_field(scheme, 2, variables=1).field == jet_field(plain, 2, variables=1).field


@pytest.mark.parametrize("name", [n for n in (*LOST, *KEPT) if "gradient" not in n and "squares" not in n])
def test_a_sign_that_a_step_does_not_keep_is_not_assumed_on_abstract_vectors(name):
    start, new = (LOST | KEPT)[name]
    choosing = Carrying(start, new, BY_SIGN["where"])
    if name in LOST:
        with pytest.raises(ValueError, match="starts positive and is not shown to stay so"):
            modified_field(choosing, 2)
    else:
        assert modified_field(choosing, 2).coefficients == modified_field(explicit_euler, 2).coefficients
    if name == "a countdown":
        v = sp.Symbol("v", real=True)
        assert modified_field(Carrying(start, new, abs), 1).coefficients == {"o": abs(v)}


@pytest.mark.parametrize("residuals", [1, 2])
@pytest.mark.parametrize(
    "correction",
    [
        lambda d, g, at, dt: d / dt + g,
        lambda d, g, at, dt: (d / dt + g) * (at.residual @ at.residual),
        lambda d, g, at, dt: (d + dt * g - dt**2 * at.vjp(at.jvp(g))) / dt**2,
    ],
)
def test_a_field_does_not_depend_on_the_order_that_is_asked_for(residuals, correction):
    """A damped system is solved by a series; a step that divides its solution by dt gets the terms that this takes."""

    def step(problem, theta, dt):
        at = problem.linearize(theta)
        d = damped_step(at, at.residual, None, Zero(), dt, mass=1, n_parameters=len(theta)).d
        return theta + d + correction(d, at.vjp(at.residual), at, dt)

    def closed(problem, theta, dt):
        at = problem.linearize(theta)
        J, q = at.jvp(np.array([1], dtype=object)), at.residual
        g = at.vjp(q)
        d = -dt * g / (1 + dt * (J @ J))
        return theta + d + correction(d, g, at, dt)

    def fields(function, order):
        found = jet_field(function, order, variables=1, residuals=residuals)
        return [found.algebra.reduced(f[0]).as_expr() for f in found.field]

    exact = fields(closed, 3)
    for order in (1, 2, 3):
        assert fields(step, order) == exact[:order]


@pytest.mark.parametrize("factor", [-1, 0, -0.5, sp.Rational(-1, 2)])
def test_a_number_of_steps_keeps_growing_only_by_a_positive_factor(factor):
    n = Count("n", 5)
    for made in (lambda: n * factor, lambda: factor * n):
        with pytest.raises(ValueError, match="multiplies by n of the state"):
            made()
    assert n * 2 > 9
    if factor:
        with pytest.raises(ValueError, match="divides n of the state"):
            n / factor


class Halting(Growing):
    """Counts its first steps only; a number of steps that is no Python number stays."""

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        n = state.n
        return state._replace(theta=state.theta - dt * g * (1 - 0.5 ** (n + 1)), n=n + 1 if isinstance(n, int) else n)


def test_a_number_that_counts_at_first_only_is_refused():
    with pytest.raises(ValueError, match="n of the state counts steps at first"):
        jet_field(Halting(), 1, variables=1)
