"""Iterates and modified flows in numbers: observed orders, elementary differentials, starts on the slow manifold."""

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import sympy as sp

import gradflow as gf
from gradflow.backward_error import Differentials, ModifiedField, modified_field, modified_flow, order_table
from gradflow.backward_error.differentials import parsed
from gradflow.backward_error.expansion import ENERGY, Node, invariant, leaf, node, written
from gradflow.backward_error.flow import as_modified_field
from gradflow.backward_error.orders import start
from gradflow.backward_error.symbolic_steps import DT
from network_cases import network_case

EPS = np.finfo(float).eps
HALF = sp.Rational(1, 2)
EULER = {"o": 1, "[o]": -HALF, "[o,o]": sp.Rational(1, 12), "[[o]]": sp.Rational(1, 3)}
SQUARE = invariant(leaf, leaf)


def midpoint(problem, theta, dt):
    gradient = lambda t: problem.energy_and_gradient(t)[1]  # noqa: E731
    return theta - dt * gradient(theta - dt / 2 * gradient(theta))


class Pair(NamedTuple):
    theta: Any
    kept: Any


class ExtrapolatedBDF2:
    """3 theta_new = 4 theta - theta_old - 2 dt g at the extrapolated point: it keeps a theta."""

    def init(self, problem, theta):
        return Pair(theta, theta)

    def step(self, problem, state, dt):
        _, g = problem.energy_and_gradient(2 * state.theta - state.kept)
        return Pair((4 * state.theta - state.kept - 2 * dt * g) / 3, state.theta)


class AdamsBashforth:
    """theta_new = theta - dt (3 g - g_old) / 2: it keeps a gradient."""

    def init(self, problem, theta):
        return Pair(theta, problem.energy_and_gradient(theta)[1])

    def step(self, problem, state, dt):
        _, g = problem.energy_and_gradient(state.theta)
        return Pair(state.theta - dt * (3 * g - state.kept) / 2, g)


class AveragedSize:
    """A step that an average of |g|^2 shortens: it keeps a number, which forgets its start, in a nested state."""

    def init(self, problem, theta):
        return Pair(theta, Pair(0 * problem.inner(theta, theta), 0))

    def step(self, problem, state, dt):
        _, g = problem.energy_and_gradient(state.theta)
        average = (state.kept.theta + problem.inner(g, g)) / 2
        return Pair(state.theta - g * (dt / (1 + dt * average)), Pair(average, 0))


def polynomial(mass=None):
    """Return E = x^2/2 + y^2 + x^2 y/2 + y^4/4, on which gradient descent has no modified loss at the third term."""
    m = np.ones(2) if mass is None else np.asarray(mass)
    return gf.FunctionProblem(
        lambda t: t[0] ** 2 / 2 + t[1] ** 2 + t[0] ** 2 * t[1] / 2 + t[1] ** 4 / 4,
        lambda t: np.array([t[0] + t[0] * t[1], 2 * t[1] + t[0] ** 2 / 2 + t[1] ** 3]) / m,
        lambda t, v: np.array([(1 + t[1]) * v[0] + t[0] * v[1], t[0] * v[0] + (2 + 3 * t[1] ** 2) * v[1]]) / m,
        third_derivative=lambda t, u, v: (
            np.array([u[0] * v[1] + u[1] * v[0], u[0] * v[0] + 6 * t[1] * u[1] * v[1]]) / m
        ),
        mass=mass,
    )


def product():
    """Return E = (y - a b x)^2 / 2 of Barrett & Dherin with x = 1.5, y = 1."""
    x, y = 1.5, 1.0
    swap = lambda t: t[::-1]  # noqa: E731
    rest = lambda t: t[0] * t[1] * x - y  # noqa: E731
    return gf.FunctionProblem(
        lambda t: rest(t) ** 2 / 2,
        lambda t: rest(t) * x * swap(t),
        lambda t, v: x**2 * (swap(t) @ v) * swap(t) + rest(t) * x * swap(v),
        third_derivative=lambda t, u, v: (
            x**2 * ((swap(u) @ v) * swap(t) + (swap(t) @ v) * swap(u) + (swap(t) @ u) * swap(v))
        ),
    )


def squares():
    """Return three quadratic residuals of two parameters, with all derivatives of their energy."""
    A = np.array([[[1.0, 0.3], [0.3, -0.4]], [[0.0, 1.0], [1.0, 0.2]], [[-0.5, 0.1], [0.1, 0.6]]])
    B, c = np.array([[0.4, 1.0], [1.0, -0.2], [0.3, 0.5]]), np.array([0.7, -0.4, 0.2])
    J = lambda t: A @ t + B  # noqa: E731
    q = lambda t: (A @ t) @ t / 2 + B @ t - c  # noqa: E731
    bent = lambda t, weights, v: np.einsum("i,ijk,k", weights, A, v)  # noqa: E731
    return gf.DenseLeastSquares(
        q,
        J,
        hvp=lambda t, v: J(t).T @ (J(t) @ v) + bent(t, q(t), v),
        third_derivative=lambda t, u, v: J(t).T @ (A @ u @ v) + bent(t, J(t) @ v, u) + bent(t, J(t) @ u, v),
    )


def small_network():
    case = network_case("tanh", 1, "mse", m=3, N=5)
    return case.problem, case.theta


PROBLEMS = {
    "polynomial": lambda: (polynomial(), np.array([0.8, 0.5])),
    "polynomial, another inner product": lambda: (polynomial(np.array([0.5, 2.0])), np.array([0.8, 0.5])),
    "product": lambda: (product(), np.array([0.3, 1.2])),
    "squares": lambda: (squares(), np.array([0.8, 0.5])),
    "network": small_network,
}
SCHEMES = {
    "euler": gf.GradientDescent(),
    "heavy ball": gf.HeavyBall(momentum=0.3),
    "nesterov": gf.Nesterov(momentum=0.3),
    "midpoint": midpoint,
    "rk4": gf.RungeKutta4(),
    "implicit euler": gf.ImplicitEuler(tol=1e-13),
    "restarted SAV": gf.Restart(gf.SAV()),
    "restarted ExpSAV": gf.Restart(gf.ExpSAV()),
    "SAV": gf.SAV(),
    "restarted IEQ": gf.Restart(gf.IEQ()),
    "extrapolated BDF2": ExtrapolatedBDF2(),
    "Adams-Bashforth": AdamsBashforth(),
    "averaged size": AveragedSize(),
    "SourceSAV": gf.SourceSAV(),
    "restarted AdaptiveIEQ": gf.Restart(gf.AdaptiveIEQ(eps=0.5)),
    "ExpSAV of theorem 2.2": gf.Restart(gf.ExpSAV(form="theorem_2.2", scale=2.0)),
    "stabilized euler": gf.GradientDescent(stabilization=0.5),
    "stabilized SAV": gf.Restart(gf.SAV(stabilization=0.5)),
}
EXPECTED = {"midpoint": (2, 2, 3), "rk4": (4, 4, 4), "extrapolated BDF2": (2, 2, 3), "Adams-Bashforth": (2, 2, 3)}
CASES = [(scheme, "polynomial") for scheme in SCHEMES if scheme != "restarted IEQ"]
CASES += [(scheme, "product") for scheme in ("euler", "heavy ball", "nesterov", "restarted SAV")]
CASES += [(scheme, "network") for scheme in ("euler", "nesterov", "restarted SAV", "restarted ExpSAV", "restarted IEQ")]
CASES += [("euler", "polynomial, another inner product"), ("restarted SAV", "polynomial, another inner product")]
CASES += [("restarted IEQ", "squares"), ("euler", "squares")]


@cache
def field(scheme):
    return modified_field(SCHEMES[scheme], 3)


@pytest.mark.parametrize(("scheme", "problem"), CASES, ids=str)
def test_observed_orders(scheme, problem):
    """Order 1, 2, 3 as terms are added; the residual's second derivatives alone are found by differences."""
    E, theta = PROBLEMS[problem]()
    missing = "differences" if scheme == "restarted IEQ" else "refuse"
    few = scheme in ("rk4", "restarted IEQ")  # rounding soon counts, and a step costs most
    steps = (30, 60) if few else (60, 120)
    table = order_table(E, SCHEMES[scheme], theta, [0.6 / n for n in steps], 0.6, field=field(scheme), missing=missing)
    wanted = EXPECTED.get(scheme, (1, 2, 3))
    np.testing.assert_allclose(table.orders[:, 0], wanted, atol=0.15)
    assert all(e == w or (w > e == 3) for e, w in zip(table.expected, wanted, strict=True))
    assert np.all(np.diff(table.errors, axis=0)[:, 0] <= 0)


@pytest.mark.parametrize(
    ("wrong", "order"),
    [
        ({"o": 1, "[o]": HALF}, 1),  # the sign of the source's (2.15)
        ({**EULER, "[[o]]": -sp.Rational(1, 12)}, 2),  # its factor of f'f'f
        ({**EULER, "[o,o]": 0}, 2),  # the chains alone
    ],
    ids=str,
)
def test_wrong_terms_add_no_order(wrong, order):
    E, theta = PROBLEMS["polynomial"]()
    table = order_table(E, gf.GradientDescent(), theta, (0.004, 0.002), 0.6, field=wrong)
    np.testing.assert_allclose(table.orders[-1, 0], order, atol=0.15)


def test_momentum_started_from_rest_stays_at_first_order():
    """A mapping says nothing of the slow manifold: the scheme starts from rest."""
    E, theta = PROBLEMS["polynomial"]()
    numbers = field("heavy ball").coefficients
    table = order_table(E, SCHEMES["heavy ball"], theta, (0.01, 0.005), 0.6, field=numbers)
    np.testing.assert_allclose(table.orders[1:, 0], 1, atol=0.15)


def test_the_start_is_on_the_slow_manifold():
    """On a quadratic it is an eigenspace of the step: d = (1 - 1 / mu) theta, mu^2 - (1 + beta - dt k) mu + beta = 0."""
    k, beta = 0.7, 0.5
    square = gf.FunctionProblem(
        lambda t: k * t @ t / 2, lambda t: k * t, lambda t, v: k * v, third_derivative=lambda t, u, v: 0 * v
    )
    scheme, theta, errors = gf.HeavyBall(momentum=beta), np.array([1.0, -2.0]), []
    for dt in (0.02, 0.01):
        b = 1 + beta - dt * k
        mu = (b + np.sqrt(b * b - 4 * beta)) / 2
        state = start(square, scheme, modified_field(scheme, 3), theta, dt)
        errors.append(np.max(np.abs(state.d - (1 - 1 / mu) * theta)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.2)
    plain = gf.GradientDescent()
    assert start(square, plain, modified_field(plain, 3), theta, 0.1).theta is theta


def test_a_mapping_is_the_field_of_the_scheme():
    """Coefficients by hand, with powers of dt, E and invariants, against those from the scheme's own step."""
    E, theta = PROBLEMS["polynomial"]()
    by_hand = {"o": 1 - DT * SQUARE / (2 * (ENERGY + 1)), "[o]": -HALF}
    in_full = field("restarted SAV").coefficients  # with dt^2 in the coefficient of f
    assert sp.degree(sp.numer(sp.together(in_full["o"])), DT) == 2
    for known, scheme, order in (
        (EULER, "euler", 3), (in_full, "restarted SAV", 3), (by_hand, "restarted SAV", 2), (by_hand, "restarted SAV", 1)
    ):  # fmt: skip
        one = modified_flow(E, known, 0.1, order).velocity(theta)[0]
        other = modified_flow(E, SCHEMES[scheme], 0.1, order).velocity(theta)[0]
        np.testing.assert_allclose(one, other, rtol=8 * EPS)
    g = E.energy_and_gradient(theta)[1]
    velocity, rest = modified_flow(E, by_hand, 0.1, 2).velocity(theta)
    wanted = -(1 - 0.1 * g @ g / (2 * (E.energy(theta) + 1))) * g - 0.05 * E.hvp(theta, g)
    np.testing.assert_allclose(velocity, wanted, rtol=8 * EPS)
    assert rest == ()
    np.testing.assert_array_equal(modified_flow(E, by_hand, 0.1, 1).velocity(theta)[0], -g)


def test_the_modified_loss_falls_along_its_flow():
    """y' = -grad (E + dt |g|^2 / 4) is the flow with two terms, in any inner product."""
    for problem in ("polynomial", "polynomial, another inner product"):
        E, theta = PROBLEMS[problem]()
        dt = 0.1
        path = modified_flow(E, SCHEMES["euler"], dt, 2)(theta, np.linspace(0, 2, 21))
        loss = [E.energy(t) + dt / 4 * E.inner(*2 * [E.energy_and_gradient(t)[1]]) for t in path]
        assert np.all(np.diff(loss) < 0)
        g = E.energy_and_gradient(theta)[1]
        velocity = modified_flow(E, SCHEMES["euler"], dt, 2).velocity(theta)[0]
        np.testing.assert_allclose(velocity, -g - dt / 2 * E.hvp(theta, g), rtol=8 * EPS)


def test_flows_are_flows():
    E, theta = PROBLEMS["polynomial"]()
    flow = modified_flow(E, EULER, 0.05)
    path = flow(theta, [0.0, 0.3, 0.3, 1.0])
    np.testing.assert_array_equal(path[0], theta)
    np.testing.assert_array_equal(path[1], path[2])
    np.testing.assert_allclose(flow(path[1], 0.7), path[3], rtol=1e-9)
    np.testing.assert_allclose(flow(theta, 1.0), path[3], rtol=1e-9)
    assert flow(theta, 1.0).shape == (2,)


@pytest.mark.parametrize("size", [1e-100, 1e-9, 1.0, 1e9, 1e100])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_flow_on_a_quadratic_is_the_exponential_at_every_size(n, size):
    """theta' = -(h + dt h^2 / 2 + dt^2 h^3 / 3) theta, to the relative tolerance of each start."""
    h, dt = np.array([1.0, 3.0]), 0.1
    quadratic = gf.FunctionProblem(
        lambda t: t @ (h * t) / 2, lambda t: h * t, lambda t, v: h * v, third_derivative=lambda t, u, v: 0 * t
    )
    rate = sum(dt**k * h ** (k + 1) / (k + 1) for k in range(n))
    flow = modified_flow(quadratic, EULER, dt, n)
    np.testing.assert_allclose(flow(np.full(2, size), 0.7), size * np.exp(-0.7 * rate), rtol=1e-10)


def test_a_carried_root_moves_with_theta():
    E, theta = PROBLEMS["polynomial"]()
    flow = modified_flow(E, gf.SAV(), 0.05, 1)
    assert flow.unknowns == ("aux",)
    root = np.sqrt(E.energy(theta) + 1)
    velocity, (rate,) = flow.velocity(theta, [root])
    g = E.energy_and_gradient(theta)[1]
    np.testing.assert_allclose(velocity, -g, rtol=8 * EPS)
    assert rate == pytest.approx(-g @ g / (2 * root), rel=8 * EPS)
    np.testing.assert_allclose(flow(theta, 0.5), flow(theta, 0.5, [root]), rtol=1e-13)
    alone = modified_flow(E, modified_field(gf.SAV(), 1), 0.05, 1)
    with pytest.raises(ValueError, match="unknowns must be given: the initial values of aux"):
        alone(theta, 0.5)
    with pytest.raises(ValueError, match=r"unknowns must be 1 numbers \(aux\), got \[\]"):
        alone(theta, 0.5, [])


def test_a_flow_that_ends_is_nan():
    uphill = gf.FunctionProblem(lambda t: -(t @ t**3) / 4, lambda t: -(t**3))  # theta^2 = 1 / (1 - 2 t)
    path = modified_flow(uphill, {"o": 1}, 0.1, 1)(np.array([1.0]), [0.25, 0.75, 1.0])
    assert path[0, 0] == pytest.approx(2**0.5, rel=1e-10)
    assert np.all(np.isnan(path[1:]))


def test_the_errors_of_differences_are_no_reason_for_short_steps(monkeypatch):
    exact, theta = squares(), np.array([0.8, 0.5])
    found = gf.DenseLeastSquares(exact._residual, exact._jacobian)  # hvp by differences of J
    with_third = gf.FunctionProblem(exact.energy, lambda t: exact.energy_and_gradient(t)[1], exact.hvp)
    for problem, order, missing, rtol in (
        (exact, 3, "refuse", 1e-12),
        (found, 2, "refuse", 1e-9),
        (with_third, 3, "differences", 1e-9),
    ):
        flow = modified_flow(problem, EULER, 0.02, order, missing=missing)
        np.testing.assert_array_equal(flow(theta, 0.5), flow(theta, 0.5, rtol=rtol))
        wanted = modified_flow(exact, EULER, 0.02, order)(theta, 0.5)
        np.testing.assert_allclose(flow(theta, 0.5), wanted, rtol=1e-8)
    rng, calls = np.random.default_rng(0), []
    noisy = gf.FunctionProblem(exact.energy, lambda t: (calls.append(0), 1e-3 * rng.standard_normal(2) + t)[1])
    monkeypatch.setattr("gradflow.backward_error.flow.MOST_EVALUATIONS", 300)
    assert np.all(np.isnan(modified_flow(noisy, {"o": 1}, 0.1, 1)(theta, 1.0)))
    assert 300 <= len(calls) <= 302


@pytest.mark.parametrize("problem", PROBLEMS)
def test_elementary_differentials(problem):
    E, theta = PROBLEMS[problem]()
    F = Differentials(E, theta)
    f = -E.energy_and_gradient(theta)[1]
    np.testing.assert_array_equal(F("o"), f)
    np.testing.assert_array_equal(F("[o]"), -E.hvp(theta, f))
    np.testing.assert_array_equal(F("[[o]]"), E.hvp(theta, E.hvp(theta, f)))
    np.testing.assert_array_equal(F("[o,o]"), -E.third_derivative(theta, f, f))
    assert F.energy == E.energy(theta)
    for u, v in (("o", "o"), ("o", "[o]"), ("o", "[[o]]"), ("o", "[o,o]"), ("[o]", "[[o]]"), ("[[o]]", "o")):
        assert F.inner(u, v) == pytest.approx(E.inner(F(u), F(v)), rel=1e-12)


@pytest.mark.parametrize("problem", ["squares", "network"])
def test_two_sides_of_a_residual(problem):
    E, theta = PROBLEMS[problem]()
    F = Differentials(E, theta, missing="differences")
    at, f = E.linearize(theta), F("o")
    np.testing.assert_array_equal(F("[|o]"), -at.vjp(at.jvp(f)))
    np.testing.assert_allclose(F("[o|]") + F("[|o]"), F("[o]"), rtol=0, atol=8 * EPS * np.max(np.abs(F("[|o]"))))
    step, v = 1e-5, F("[o]")

    def gauss_newton(t, w):
        there = E.linearize(t)
        return there.vjp(there.jvp(w))

    along = (gauss_newton(theta + step * f, v) - gauss_newton(theta - step * f, v)) / (2 * step)
    np.testing.assert_allclose(-F("[o|[o]]") - F("[|o,[o]]"), along, rtol=0, atol=1e-7 * np.max(np.abs(along)))
    total = F("[o,[o]|]") + F("[o|[o]]") + F("[[o]|o]") + F("[|o,[o]]")
    np.testing.assert_allclose(total, F("[o,[o]]"), rtol=0, atol=1e-12 * np.max(np.abs(total)))
    with pytest.raises(ValueError, match=r'no second derivatives of its residual: pass missing="differences"'):
        Differentials(E, theta)("[o|o]")


def test_each_differential_is_evaluated_once():
    calls = {"gradient": 0, "hvp": 0, "third": 0}

    def counted(name, value):
        calls[name] += 1
        return value

    problem = gf.FunctionProblem(
        lambda t: t @ t**3 / 4,
        lambda t: counted("gradient", t**3),
        lambda t, v: counted("hvp", 3 * t * t * v),
        third_derivative=lambda t, u, v: counted("third", 6 * t * u * v),
    )
    modified_flow(problem, gf.Restart(gf.SAV()), 0.1, 3).velocity(np.array([1.0, 2.0]))
    assert calls == {"gradient": 1, "hvp": 2, "third": 1}


@pytest.mark.parametrize(
    "text", ["o", "[o]", "[o,o]", "[[o]]", "[[o],o]", "[o,[o,[o]]]", "[o|]", "[|o]", "[o|o,[|o]]", "[ o , o ]"]
)
def test_trees_are_read_as_they_are_written(text):
    tree = parsed(text)
    assert sorted(written(tree)) == sorted(text.replace(" ", ""))
    assert parsed(written(tree)) == tree
    assert parsed("[o,[o]]") == parsed("[[o],o]") == node(leaf, node(leaf))


@pytest.mark.parametrize("text", ["", "x", "[]", "[o", "o]", "[o]]", "oo", "[o,,o]", "[o,]", "[o|o|o]", "[|]", "[oo]"])
def test_what_is_no_tree_is_refused(text):
    with pytest.raises(ValueError, match="a tree must be written as"):
        parsed(text)


def test_refusals():
    E, theta = PROBLEMS["polynomial"]()
    without = gf.FunctionProblem(E.energy, lambda t: E.energy_and_gradient(t)[1], E.hvp)
    flow = modified_flow(without, EULER, 0.1)
    with pytest.raises(ValueError, match=r'no third derivatives.*"differences" for'):
        flow(theta, 0.1)
    by_differences = modified_flow(without, EULER, 0.1, missing="differences")(theta, 0.1)
    np.testing.assert_allclose(by_differences, modified_flow(E, EULER, 0.1)(theta, 0.1), rtol=1e-8)
    decayed = gf.FunctionProblem(E.energy, lambda t: E.energy_and_gradient(t)[1], E.hvp, linear=0.5)
    for build, message in (
        (lambda: modified_flow(E, {"o": sp.Symbol("C")}, 0.1), "a coefficient contains C, of which no value is known"),
        (lambda: modified_flow(E, {"x": 1}, 0.1), "a tree must be written"),
        (lambda: modified_flow(E, EULER, 0.0), "dt must be"),
        (lambda: modified_flow(E, EULER, 0.1, 0), "order must be"),
        (lambda: modified_flow(E, field("euler"), 0.1, 4), "order must be at most that of the field, 3"),
        (lambda: modified_flow(decayed, gf.GradientDescent(), 0.1), "an energy without a linear part"),
        (lambda: modified_flow(E, {"[o,o,o]": 1}, 0.1, 4)(theta, 0.1), r"\[o,o,o\] needs derivatives that problems"),
        (lambda: modified_flow(E, {Node("S", (leaf,)): 1}, 0.1)(theta, 0.1), r"S\(o\) needs derivatives"),
        (lambda: modified_flow(E, {"[|o]": 1}, 0.1)(theta, 0.1), "needs an energy .q.\\^2 / 2"),
        (lambda: modified_flow(E, EULER, 0.1, missing="no"), "missing must be one of"),
        (lambda: Differentials(E, theta, missing="no"), "missing must be one of refuse, differences"),
        (lambda: modified_flow(E, EULER, 0.1)(theta, [0.2, 0.1]), "times must be"),
        (lambda: modified_flow(E, EULER, 0.1)(theta, np.nan), "times must be"),
        (lambda: modified_flow(E, EULER, 0.1)(theta.astype("f"), 0.1), "theta0 must be a float64 array of NumPy"),
        (lambda: order_table(E, gf.GradientDescent(), theta, (0.1,), 1.0), "dts must be two or more"),
        (lambda: order_table(E, gf.GradientDescent(), theta, (0.1, 0.2), 1.0), "dts must be two or more"),
        (lambda: order_table(E, gf.GradientDescent(), theta, (0.3, 0.2), 1.0), "dts must divide t_end = 1.0, got 0.3"),
        (lambda: as_modified_field(EULER, True), "order must be"),
    ):
        with pytest.raises(ValueError, match=message):
            build()


def cubic(factor=1.0):
    """Return theta^4 / 4 in each entry, with a gradient that is multiplied by a number."""
    return gf.FunctionProblem(
        lambda t: factor * (t @ t**3) / 4,
        lambda t: factor * t**3,
        lambda t, v: 3 * factor * t**2 * v,
        third_derivative=lambda t, u, v: 6 * factor * t * u * v,
    )


@pytest.mark.parametrize(
    "wrong", [1j, sp.I, sp.I * ENERGY, np.nan, np.inf, sp.zoo, None, "1", True, [1.0], sp.Symbol("A") * sp.oo], ids=str
)
def test_what_is_no_coefficient_is_refused(wrong):
    with pytest.raises(
        ValueError, match=r"the coefficient of \[o\] must be a finite real number or a SymPy expression"
    ):
        modified_flow(cubic(), {"o": 1, "[o]": wrong}, 0.1)
    if isinstance(wrong, sp.Basic):
        of_hand = ModifiedField(2, ({leaf: sp.Integer(1)}, {node(leaf): wrong}))
        with pytest.raises(ValueError, match=r"the coefficient of \[o\] must be"):
            modified_flow(cubic(), of_hand, 0.1, 2)


def test_exact_numbers_are_coefficients():
    theta = np.array([0.5])
    flows = [
        modified_flow(cubic(), {"o": 1, "[o]": c}, 0.1)(theta, 1) for c in (-0.5, np.float32(-0.5), Fraction(-1, 2))
    ]
    assert flows[0] == flows[1] == flows[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 1e300}, "dt must have a power dt\\^2 that is finite"),
        ({"dt": 1j}, "dt must be"),
        ({"dt": np.nan}, "dt must be"),
        ({"order": 4}, "order must be a whole number from 1 to 3"),
        ({"order": 10**9}, "order must be"),
        ({"scheme": {"o": 1}, "order": 10**9}, "order must be"),
        ({"scheme": {"o": 1 / DT}}, "the coefficient of o has no Taylor polynomial in dt"),
        ({"scheme": gf.SAV}, "scheme must be"),
        ({"scheme": lambda p, t: t}, "scheme must be"),
        ({"scheme": None}, "scheme must be"),
        ({"problem": None}, "problem must be a problem"),
        ({"problem": gf.FunctionProblem}, "problem must be a problem"),
        ({"times": []}, "times must be"),
        ({"times": 1j}, "times must be"),
        ({"times": "x"}, "times must be"),
        ({"times": None}, "times must be"),
        ({"times": [[0.1]]}, "times must be"),
        ({"times": True}, "times must be"),
        ({"times": [0.1, np.inf]}, "times must be"),
        ({"times": np.array([0.1, np.nan])}, "times must be"),
        ({"rtol": 0}, "rtol must lie in"),
        ({"rtol": -1}, "rtol must lie in"),
        ({"rtol": np.nan}, "rtol must lie in"),
        ({"rtol": 1e-15}, "rtol must lie in"),
        ({"rtol": "x"}, "rtol must lie in"),
        ({"unknowns": 3.0}, "unknowns must be 0 numbers"),
        ({"unknowns": [1.0]}, "unknowns must be 0 numbers"),
        ({"unknowns": ["a"], "scheme": gf.SAV()}, "unknowns must be 1 numbers .aux."),
        ({"unknowns": [np.nan], "scheme": gf.SAV()}, "unknowns must be 1 numbers .aux."),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else str(given),
)
def test_arguments_of_a_flow_are_checked_at_the_door(change, message):
    given = {"problem": cubic(), "scheme": gf.GradientDescent(), "dt": 0.1, "order": 3, "times": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        modified_flow(given["problem"], given["scheme"], given["dt"], given["order"])(
            np.array([1.0, -0.5]), given["times"], given.get("unknowns"), rtol=given.get("rtol")
        )


@pytest.mark.parametrize("rtol", [None, 1e-8])
def test_a_field_that_is_not_finite_gives_nan(rtol):
    """At the start, from a later time on, and by an overflow."""
    theta = np.array([1.0, -0.5])
    at_once = modified_flow(cubic(np.nan), gf.GradientDescent(), 0.1)
    assert np.all(np.isnan(at_once(theta, 0.1, rtol=rtol)))
    np.testing.assert_array_equal(at_once(theta, [0, 0.1], rtol=rtol)[0], theta)
    leaving = gf.FunctionProblem(lambda t: -t @ t / 2, lambda t: np.where(t @ t < 10, -t, np.nan))
    path = modified_flow(leaving, {"o": 1}, 0.1, 1)(theta, [0.5, 2.0, 3.0], rtol=rtol)
    np.testing.assert_allclose(path[0], np.exp(0.5) * theta, rtol=1e-6)
    assert np.all(np.isnan(path[1:]))
    assert np.all(np.isnan(modified_flow(cubic(), gf.GradientDescent(), 0.1)(1e200 * theta, 0.1, rtol=rtol)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dts": 3}, "dts must be two or more"),
        ({"dts": ("a", "b")}, "dts must be two or more"),
        ({"dts": (0.1, np.nan)}, "dts must be two or more"),
        ({"dts": (0.1, 0.0)}, "dts must be two or more"),
        ({"dts": (0.1 + 1e-8, 0.05)}, "dts must divide t_end = 0.2, got 0.1"),
        ({"dts": (0.1, 0.05 - 1e-8)}, "dts must divide t_end = 0.2, got 0.0499"),
        ({"dts": (0.1, 1e-9)}, "dts must divide t_end = 0.2 into at most 1000000 steps"),
        ({"t_end": 1e300}, "into at most 1000000 steps"),
        ({"t_end": np.nan}, "t_end must be"),
        ({"order": 10**9}, "order must be"),
        ({"order": 0}, "order must be"),
        ({"problem": gf.FunctionProblem}, "problem must be a problem"),
        ({"scheme": gf.SAV}, "scheme must be"),
        ({"scheme": None, "field": {"o": 1}}, "scheme must be"),
        ({"theta0": np.array([1, 2])}, "theta0 must be"),
        ({"field": {"o": 1j}}, "the coefficient of o must be"),
    ],
    ids=str,
)
def test_arguments_of_a_table_are_checked_at_the_door(change, message):
    given = {
        "problem": cubic(), "scheme": gf.GradientDescent(), "theta0": np.ones(2), "dts": (0.1, 0.05), "t_end": 0.2, **change
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        order_table(**{"order": 2, **given})


def test_arguments_of_a_start_are_checked_at_the_door():
    ball, E, theta = gf.HeavyBall(momentum=0.5), cubic(), np.ones(2)
    known = modified_field(ball, 2)
    for arguments, message in (
        ((None, ball, known, theta, 0.1), "problem must be a problem"),
        ((E, None, known, theta, 0.1), "scheme must be"),
        ((E, ball, {"o": 1}, theta, 0.1), "field must be a ModifiedField"),
        ((E, gf.GradientDescent(), known, theta, 0.1), "field must be that of the scheme, whose state has no value d"),
        ((E, lambda p, t, dt: t, known, theta, 0.1), "whose state has no value d"),
        ((E, ball, modified_field(gf.SAV(), 1), theta, 0.1), "whose state has no value aux"),
        ((E, ball, known, [1.0], 0.1), "theta0 must be"),
        ((E, ball, known, theta, -0.1), "dt must be"),
    ):
        with pytest.raises(ValueError, match=message):
            start(*arguments)


def test_a_table_as_text():
    E, theta = PROBLEMS["polynomial"]()
    table = order_table(E, gf.GradientDescent(), theta, (0.02, 0.01), 0.1, order=2)
    head, *body = str(table).splitlines()
    assert head.split("  ")[0].strip() == "terms"
    assert len({len(line) for line in (head, *body)}) == 1
    assert body[1].split()[1:3] == [">=", "2"]
    rows = table.to_markdown().splitlines()
    assert rows[1] == "| --- | --- | --- | --- | --- |"
    assert rows[2].startswith(
        f"| 1 | 1 | {table.errors[0, 0]:.2e} | {table.errors[0, 1]:.2e} | {table.orders[0, 0]:.2f}"
    )
