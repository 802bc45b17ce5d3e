"""Line searches as functions of phi, and as globalisations of second-order methods."""

import math

import numpy as np
import pytest

import gradflow as gf
from gradflow.curvature.line_search import EXITS, Trial, armijo, cubic_minimiser, difference, strong_wolfe
from smooth_problems import SPLITS, as_function_problem, double_well, smooth_problem

C = gf.curvature


NOISE = 64 * np.finfo(float).eps


def along(phi, slope, noise=0.0):
    """Return phi as the searches take it, and phi'(0); `noise` is relative."""
    return (
        lambda a: Trial(a, phi(a) - phi(0.0), lambda: slope(a), noise * max(abs(phi(a)), abs(phi(0.0)))),
        slope(0.0),
    )


def ramp(a, beta):
    """Moré and Thuente's third function without its wave: it falls with slope -1 and rises with slope 1 beyond 1."""
    if a <= 1 - beta:
        return 1 - a, -1.0
    if a >= 1 + beta:
        return a - 1, 1.0
    return (a - 1) ** 2 / (2 * beta) + beta / 2, (a - 1) / beta


def waved(a, beta=0.01, waves=39):
    value, slope = ramp(a, beta)
    k = waves * math.pi / 2
    return value + 2 * (1 - beta) / (waves * math.pi) * math.sin(k * a), slope + (1 - beta) * math.cos(k * a)


def yanai(a, beta1, beta2):
    """The family of Yanai, Ozawa and Kaneko."""
    g1, g2 = (math.sqrt(1 + b * b) - b for b in (beta1, beta2))
    r1, r2 = math.sqrt((1 - a) ** 2 + beta2**2), math.sqrt(a * a + beta1**2)
    return g1 * r1 + g2 * r2, g1 * (a - 1) / r1 + g2 * a / r2


PHIS = {  # value, slope; c1, c2: the functions of Moré & Thuente, ACM Trans. Math. Softw. 20 (1994) 286
    "1": (lambda a: -a / (a * a + 2), lambda a: (a * a - 2) / (a * a + 2) ** 2, 1e-3, 0.1),
    "2": (
        lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
        lambda a: 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3,
        0.05,
        0.1,
    ),
    "3": (lambda a: waved(a)[0], lambda a: waved(a)[1], 0.05, 0.1),
    "4": (lambda a: yanai(a, 1e-3, 1e-3)[0], lambda a: yanai(a, 1e-3, 1e-3)[1], 5e-4, 1e-3),
    "5": (lambda a: yanai(a, 1e-2, 1e-3)[0], lambda a: yanai(a, 1e-2, 1e-3)[1], 5e-4, 1e-3),
    "6": (lambda a: yanai(a, 1e-3, 1e-2)[0], lambda a: yanai(a, 1e-3, 1e-2)[1], 5e-4, 1e-3),
    "barrier": (lambda a: -2 * a - math.log(1 - a), lambda a: -2 + 1 / (1 - a), 1e-4, 0.1),
}


def safe(function):
    """Return the function with NaN where it is not defined."""

    def value(a):
        try:
            return function(a)
        except (ValueError, ZeroDivisionError):
            return math.nan

    return value


@pytest.mark.parametrize("start", [1e-3, 1e-1, 1.0, 1e1, 1e3])
@pytest.mark.parametrize("name", PHIS)
def test_the_published_functions_end_with_both_conditions_of_wolfe(name, start):
    value, slope, c1, c2 = PHIS[name]
    phi, slope0 = along(safe(value), safe(slope), NOISE)
    trial, how, evaluations = strong_wolfe(phi, slope0, start=start, c1=c1, c2=c2)
    assert how == "wolfe"
    assert trial.change <= c1 * trial.alpha * slope0
    assert abs(slope(trial.alpha)) <= c2 * abs(slope0)
    assert evaluations <= 25
    trial, how, evaluations = armijo(phi, slope0, start=start, c1=c1)
    assert how == "sufficient"
    assert trial.change <= c1 * trial.alpha * slope0
    assert evaluations <= 25


def test_random_polynomials_end_with_both_conditions():
    """Quartics with a positive leading coefficient, of sizes from 1e-8 to 1e8: a length with both conditions exists."""
    rng = np.random.default_rng(0)
    for _ in range(400):
        p = np.polynomial.Polynomial([0, -abs(rng.standard_normal()), *rng.standard_normal(2), 0.05 + rng.random()])
        size, stretch = 10 ** rng.uniform(-8, 8), 10 ** rng.uniform(-4, 4)
        phi = lambda a: size * float(p(a / stretch))  # noqa: B023, E731
        slope = lambda a: size / stretch * float(p.deriv()(a / stretch))  # noqa: B023, E731
        c2 = 10 ** rng.uniform(-3, -0.1)
        trial, how, _ = strong_wolfe(*along(phi, slope), c2=c2)
        assert how == "wolfe"
        assert trial.change <= 1e-4 * trial.alpha * slope(0)
        assert abs(slope(trial.alpha)) <= c2 * abs(slope(0))


def test_an_exact_search_finds_the_minimum_of_a_parabola_at_the_second_trial():
    for k in (1e-3, 0.3, 0.7, 2.0, 7.0):
        phi, slope0 = along(lambda a: k * a * a / 2 - a, lambda a: k * a - 1)  # noqa: B023
        start = np.clip(1.0, 0.15 / k, 6 / k)  # within the factors 1/10 and 10 of the cubic
        found = strong_wolfe(phi, slope0, start=start, c2=1e-10, c1=1e-11)
        np.testing.assert_allclose(found.trial.alpha, 1 / k, rtol=1e-12)
        assert found.evaluations <= 2


def test_the_minimiser_of_a_cubic():
    rng = np.random.default_rng(1)
    for _ in range(200):
        x, k, b3 = rng.standard_normal(), rng.random() + 0.1, rng.standard_normal()
        cubic = np.polynomial.Polynomial([0, 0, k / 2, b3])  # a minimum at 0
        a, b = rng.standard_normal(2)
        slope = cubic.deriv()
        found = cubic_minimiser(a + x, slope(a), b + x, slope(b), cubic(b) - cubic(a))
        np.testing.assert_allclose(found, x, rtol=1e-6, atol=1e-6)
    assert cubic_minimiser(0.0, -1.0, 1.0, -1.0, -1.0) is None  # a line
    assert cubic_minimiser(0.0, 0.0, 1.0, 0.0, 0.0) is None
    assert cubic_minimiser(0.0, -1.0, 1.0, -4.0, -2.0) is None  # falls ever faster
    assert cubic_minimiser(0.0, -1.0, 1.0, 1.0, math.inf) is None


def test_a_difference_that_is_rounding_is_replaced_by_the_trapezoidal_rule():
    assert difference(Trial(1.0, 0.0, lambda: 1.0, 0.4), Trial(0.0, 0.0, lambda: -0.5, 0.4)) == 0.0
    assert difference(Trial(1.0, 0.0, lambda: 1.0, 0.6), Trial(0.0, 0.0, lambda: -0.5, 0.4)) == 0.25
    for noise, wanted in ((0.0, 0.0), (NOISE, 1 - 0.0625)):
        phi, _ = along(lambda a: 1e16 + a * a, lambda a: 2 * a, noise)
        assert difference(phi(1.0), phi(0.25)) == wanted
    assert difference(Trial(1.0, 5.0, lambda: 0.0, 4.0), Trial(0.0, 0.0, lambda: 0.0, 1.0)) == 5.0
    assert difference(Trial(1.0, 5.0, lambda: 0.0, 1.0), Trial(0.0, 0.0, lambda: 4.0, 5.0)) == 2.0


@pytest.mark.parametrize("search", [armijo, strong_wolfe])
def test_a_newton_step_is_taken_where_the_energy_has_no_digits(search):
    """phi = 1 + (a - 1)^2 h / 2 with h = 1e-20: every value is 1, the slopes are exact."""
    flat = (lambda a: 1.0 + 1e-20 * (a - 1) ** 2 / 2, lambda a: 1e-20 * (a - 1))
    found = search(*along(*flat, NOISE))
    assert found.trial.alpha == 1
    assert found.evaluations == 1
    assert search(*along(*flat), shortest=1e-18).trial is None


NAN = lambda a: math.nan if a else 0.0  # noqa: E731
EXIT_CASES = {
    "sufficient": (lambda a: -a if a < 1 else 10.0, lambda a: -1.0, {"shortest": 1e-3}),
    "wolfe": (lambda a: (a - 1) ** 2, lambda a: 2 * (a - 1), {}),
    "largest": (lambda a: -a, lambda a: -1.0, {"largest": 50.0}),
    "no descent": (lambda a: a, lambda a: 1.0, {}),
    "too short": (lambda a: a, lambda a: -1.0, {"shortest": 1e-6}),
    "evaluations": (NAN, NAN, {"most": 7}),
}


@pytest.mark.parametrize("name", EXITS)
def test_every_exit_is_named(name):
    value, slope, more = EXIT_CASES[name]
    phi, slope0 = along(value, slope)
    trial, how, evaluations = strong_wolfe(phi, -1.0 if name == "evaluations" else slope0, **more)
    assert how == name
    assert (trial is None) == (name in EXITS[3:])
    assert (evaluations == 0) == (name == "no descent")
    if name == "largest":
        assert trial.alpha == 50
    if name in ("no descent", "too short", "evaluations"):
        more = {k: v for k, v in more.items() if k != "largest"}
        assert armijo(phi, -1.0 if name == "evaluations" else slope0, **more).exit == name


@pytest.mark.parametrize("slope0", [0.0, 1.0, math.nan, -math.inf, math.inf])
def test_without_a_slope_nothing_is_evaluated(slope0):
    for search in (armijo, strong_wolfe):
        assert search(None, slope0) == (None, "no descent", 0)


def test_a_gradient_of_the_wrong_sign_is_not_believed():
    """phi rises, phi' is said to be negative: near alpha = 0 all differences are rounding errors."""
    phi, slope0 = along(lambda a: 1 + a, lambda a: -1.0, NOISE)
    for search in (armijo, strong_wolfe):
        assert search(phi, slope0, shortest=1e-19).trial is None


# -- As a globalisation -------------------------------------------------------------------------------------------

SEARCHES = {"Armijo": C.Armijo(), "StrongWolfe": C.StrongWolfe(), "StrongWolfe-exact": C.StrongWolfe(c2=1e-3)}
CURVATURES = {"GaussNewton": C.GaussNewton(), "Hessian": C.Hessian()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["auto", "cholesky", "lanczos"])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("name", SEARCHES)
def test_an_accepted_step_has_the_decrease_of_armijo(name, curvature, split, solver, dtype):
    problem, theta = smooth_problem(split, scale=2.0, dtype=dtype)
    search = SEARCHES[name]
    scheme = gf.SecondOrder(curvature=CURVATURES[curvature], globalization=search, solver=solver)
    state, eps = scheme.init(problem, theta), np.finfo(dtype).eps
    for _ in range(12):
        model = CURVATURES[curvature].at(problem, state.theta)
        new = scheme.step(problem, state, 1.0)
        drop = problem.energy(state.theta) - problem.energy(new.theta)
        rounding = 128 * eps * problem.energy(state.theta)
        if new.accepted:
            slope = problem.inner(model.gradient, new.theta - state.theta)  # alpha (g, d)
            assert slope < 0
            assert drop >= -search.c1 * slope - rounding
            assert new.size > 0
            if name != "Armijo" and drop > 100 * rounding:
                end = problem.inner(problem.energy_and_gradient(new.theta)[1], new.theta - state.theta)
                assert abs(end) <= search.c2 * abs(slope) + rounding
        else:
            assert new.theta is state.theta
            assert new.size == 0
            assert new.exhausted or drop == 0
        state = new


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", SEARCHES)
def test_newton_with_a_search_converges(name, split):
    problem, theta = smooth_problem(split, scale=2.0)
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=SEARCHES[name])
    run = gf.solve(problem, scheme, theta, steps=40, stop=gf.Tolerance(gradient=1e-9), record=["size"])
    assert run.status is gf.Status.CONVERGED
    assert run.rejected == 0


@pytest.mark.parametrize("mass", [None, 3.0, np.array([0.5, 1.0, 4.0])])
@pytest.mark.parametrize("solver", ["eigh", "cholesky"])
@pytest.mark.parametrize("name", SEARCHES)
def test_newton_with_a_search_leaves_indefinite_points_downhill(name, solver, mass):
    """From every start in [-2, 2]^3 the double well ends in a minimum, and E never rises."""
    problem = double_well(mass=mass)
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=SEARCHES[name], solver=solver)
    for seed in range(20):
        theta = np.random.default_rng(seed).uniform(-2, 2, 3)
        run = gf.solve(problem, scheme, theta, steps=60, stop=gf.Tolerance(gradient=1e-10), record=["energy", "size"])
        assert run.status is gf.Status.CONVERGED, run.message
        np.testing.assert_allclose(np.abs(run.theta), 1, atol=1e-9)
        assert np.all(np.diff(run.history["energy"]) <= 0)
        assert run.history["size"][-1] == 1  # the full step, in the end


def test_a_search_hands_its_last_evaluation_on():
    """Each theta is evaluated once: the trial that is accepted is where the next step starts."""
    problem, theta = smooth_problem("energy-part-and-mass", scale=2.0)
    problem, seen = as_function_problem(problem), []
    energy_and_gradient = problem.energy_and_gradient
    problem.energy_and_gradient = lambda t: seen.append(t.tobytes()) or energy_and_gradient(t)
    for scheme in (
        gf.SecondOrder(curvature=C.Hessian(), globalization=C.StrongWolfe()),
        gf.LBFGS(),
        gf.BFGS(),
    ):
        seen.clear()
        run = gf.solve(problem, scheme, theta, steps=6, record=["evaluations"], every=1)
        assert len(set(seen)) == run.history["evaluations"].sum() + 1
        assert len(seen) <= len(set(seen)) + 1


def test_a_solver_belongs_to_its_subproblem():
    for globalization, solver in (
        (C.Armijo(), "steihaug"),
        (C.TrustRegion(), "cholesky"),
        (C.NielsenDamping(), "steihaug"),
        (C.Cubic(), "steihaug"),
    ):
        with pytest.raises(ValueError, match=r"solver with \w+ must be one of"):
            gf.SecondOrder(globalization=globalization, solver=solver)
    with pytest.raises(ValueError, match="spectrum must be one of exact"):
        gf.SecondOrder(globalization=C.Armijo(), solver="cholesky", spectrum="absolute")


@pytest.mark.parametrize("solver", ["auto", "cholesky"])
@pytest.mark.parametrize("curvature", CURVATURES)
def test_a_network_with_dead_units_and_more_parameters_than_samples(curvature, solver):
    net = gf.TwoLayerNet(2, 8, activation="relu")
    x = np.random.default_rng(0).random((6, 2))
    problem = gf.Regression(net, x, np.sin(3 * x.sum(1)))
    theta = net.init(0)
    W, _ = net.unpack(theta)
    W[:, :2] = -1.0  # dead on positive inputs
    for search in (C.Armijo(), C.StrongWolfe()):
        scheme = gf.SecondOrder(curvature=CURVATURES[curvature], globalization=search, solver=solver)
        run = gf.solve(problem, scheme, theta, steps=30)
        energy = run.history["energy"]
        assert np.all(np.isfinite(run.theta))
        assert np.all(np.diff(energy) <= NOISE * energy[1:])
        assert run.history["energy"][-1] < 0.1 * run.history["energy"][0]
        np.testing.assert_allclose(net.unpack(run.theta)[0][:, :2], -1.0, atol=1e-8)
