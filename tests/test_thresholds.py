"""Numbers at which a method decides, tested on both sides and close to their values; what a docstring says of them."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import gradflow as gf
from gradflow.curvature.bounds import _Box
from gradflow.curvature.direct import factorises, largest_eigenvalue, solve_damped
from gradflow.curvature.eigenbasis import Form, beside, dense_form, felt_form
from gradflow.curvature.eigenvalues import extreme_eigenvalues, ritz
from gradflow.curvature.globalization import Control
from gradflow.curvature.line_search import Trial, armijo, strong_wolfe
from gradflow.curvature.normal_equations import NormalEquations
from gradflow.curvature.spectral import Step, choose_form
from gradflow.curvature.structured_secant import structured_secant_update
from gradflow.energies.derivatives import difference, sizes
from gradflow.schemes.second_order import gain_ratio

C = gf.curvature
CLOSE = 1e-6
EPS = np.finfo(float).eps


def quadratic(mu, *, g=None, mass=None, energy=None):
    """Return E = (theta, diag(mu) theta) / 2 + g . theta, or with another energy; its second derivatives are exact."""
    mu, g, m = (
        np.array(mu, float),
        np.zeros(len(mu)) if g is None else np.array(g, float),
        1.0 if mass is None else mass,
    )
    return gf.FunctionProblem(
        energy or (lambda t: t @ (mu * t) / 2 + g @ t),
        lambda t: (mu * t + g) / m,
        lambda t, v: mu * v / m,
        mass=mass,
    )


# -- Ratios of decreases ------------------------------------------------------------------------------------------

STEP = Step(np.zeros(1), np.float64(0), np.float64(1.5), *(np.float64(0),) * 3, False, False, 0)
RATIOS = [  # globalisation, boundary, ratio, the control below and above, from 8
    (C.Cubic(), False, 0.1, 16.0, 8.0),
    (C.Cubic(), False, 0.9, 8.0, 4.0),
    (C.TrustRegion(), False, 0.25, 0.375, 8.0),
    (C.TrustRegion(), True, 0.75, 8.0, 16.0),
    (C.MarquardtDamping(factor=4.0, accept=0.3), False, 0.3, 32.0, 2.0),
    (C.NielsenDamping(accept=0.3), False, 0.3, 16.0, 8 * 1.064),
    (C.NielsenDamping(), False, 0.5 * (1 + (2 / 3) ** (1 / 3)), 8 / 3, 8 / 3),
    (C.BlockTrustRegion((0.5, 1.0)), False, 0.25, 0.75, 8.0),
    (C.BlockTrustRegion((0.5, 1.0)), True, 0.75, 8.0, 16.0),
    (C.CurvatureRegion(1.0, adaptive=False, accept=0.2), False, 0.2, 2.0, 1.0),
    (C.CurvatureRegion(1.0), True, 0.25, 2.0, 8.0),
    (C.CurvatureRegion(1.0, damping=4.0), False, 0.25, 0.75, 8.0),  # |d|_A = (4 * 1.5^2)^{1/2}
    (C.CurvatureRegion(1.0), True, 0.75, 8.0, 16.0),
    (C.StochasticTrustRegion(1.0, accept=0.2, factor=4.0), False, 0.2, 2.0, 32.0),
]


@pytest.mark.parametrize("case", RATIOS, ids=lambda case: f"{type(case[0]).__name__}-{case[2]:.2g}-{case[1]}")
def test_the_control_changes_at_the_ratio_of_the_table(case):
    globalization, boundary, ratio, below, above = case
    for side, wanted in ((1 - CLOSE, below), (1 + CLOSE, above)):
        control = Control(np.float64(8.0), np.float64(2.0))
        found = globalization.after(control, STEP._replace(boundary=boundary), np.float64(side * ratio))
        np.testing.assert_allclose(found.size, wanted, rtol=100 * CLOSE)


ACCEPTING = {
    "MarquardtDamping": C.MarquardtDamping(accept=0.3),
    "NielsenDamping": C.NielsenDamping(accept=0.3),
    "TrustRegion": C.TrustRegion(radius=0.5),
    "Cubic": C.Cubic(accept=0.05),
    "CurvatureRegion": C.CurvatureRegion(0.5),
    "StochasticTrustRegion": C.StochasticTrustRegion(0.5),
}


@pytest.mark.parametrize("name", ACCEPTING)
def test_a_trial_is_accepted_from_the_ratio_on_that_is_stated(name):
    """E has the value -share p at the trial, whatever that is."""
    scheme, theta, drop = gf.SecondOrder(curvature=C.Hessian(), globalization=ACCEPTING[name]), np.zeros(2), 1.0
    problem = quadratic([1.0, 2.0], g=[-1.0, 1.0], energy=lambda t: -drop * np.float64(np.any(t != 0)))
    predicted = float(scheme.step(problem, scheme.init(problem, theta), 1.0).predicted)
    for side, wanted in ((1 - CLOSE, 0), (1 + CLOSE, 1)):
        drop = side * ACCEPTING[name].accept * predicted
        state = scheme.step(problem, scheme.init(problem, theta), 1.0)
        assert state.accepted == wanted
        np.testing.assert_allclose(state.ratio, side * ACCEPTING[name].accept, rtol=1e-12)
        assert (state.theta is theta) == (not wanted)


@pytest.mark.parametrize(
    ("actual", "predicted", "wanted"),
    [
        (1 - CLOSE, 1 - CLOSE, 1.0),
        (1 - CLOSE, CLOSE - 1, 1.0),
        (0.0, 0.5, 1.0),
        (1 + CLOSE, 0.5, 2 * (1 + CLOSE)),
        (0.5, 1 + CLOSE, 0.5 / (1 + CLOSE)),
        (-CLOSE, 0.5, -2 * CLOSE),  # E rises
        (-CLOSE, -0.5, -1.0),
        (0.5, -1 - CLOSE, -1.0),
    ],
)
def test_two_decreases_that_are_rounding_errors_have_the_ratio_1_unless_the_energy_rises(actual, predicted, wanted):
    noise = 1e-9
    np.testing.assert_allclose(gain_ratio(np.float64(noise * actual), np.float64(noise * predicted), noise), wanted)


# -- Steps of second-order methods --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [C.MarquardtDamping, C.NielsenDamping])
@pytest.mark.parametrize("mu", [[1.0, -2.0], [1.0, -1e-3], [3.0, 0.5]])
@pytest.mark.parametrize("mass", [None, 0.5])
def test_the_multiplier_is_the_damping_less_the_least_negative_eigenvalue(rule, mu, mass):
    problem = quadratic(mu, g=[1.0, 1.0], mass=mass)
    own = np.array(mu) / (mass or 1.0)
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=rule(start_relative=0.5), solver="eigh")
    state = scheme.step(problem, scheme.init(problem, np.ones(2)), 1.0)
    np.testing.assert_allclose(state.size, 0.5 * np.abs(own).max(), rtol=1e-14)
    np.testing.assert_allclose(state.damping, state.size + max(0.0, -own.min()), rtol=1e-14)


@pytest.mark.parametrize("mass", [None, np.array([0.5, 4.0])])
def test_the_first_radius_is_the_length_of_theta_in_the_metric(mass):
    J, theta = np.diag([10.0, 1.0]), np.array([1.0, 2.0])
    problem = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J, mass=mass)
    for metric, D in (
        (C.CurvatureDiagonal(), np.array([100.0, 1.0]) / (1.0 if mass is None else mass)),
        (C.Identity(), 1.0),
    ):
        scheme = gf.LevenbergMarquardt(metric=metric)
        state = scheme.step(problem, scheme.init(problem, theta), 1.0)
        np.testing.assert_allclose(state.size, problem.inner(theta, D * theta) ** 0.5, rtol=1e-14)
    scheme = gf.TrustRegion()
    assert scheme.step(quadratic([1.0, 1.0], g=[1.0, 0.0]), scheme.init(problem, 0 * theta), 1.0).size == 1


CONTROLS = [C.MarquardtDamping(), C.NielsenDamping(), C.TrustRegion(), C.Cubic(), C.CurvatureRegion(2.0)]


@pytest.mark.parametrize("globalization", CONTROLS, ids=lambda g: type(g).__name__)
def test_a_trial_that_rounds_to_theta_leaves_theta_and_control(globalization):
    """The step is 1e-20 long beside theta = 1; the same step from 0 changes the control."""
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=globalization)
    for at, changes in ((1.0, False), (0.0, True)):
        problem = gf.FunctionProblem(lambda t: 1e-30 * np.sum(t), lambda t: 1e-20 + 0 * t, lambda t, v: v)
        start = scheme.init(problem, at + np.zeros(2))
        state = scheme.step(problem, start._replace(control=Control(np.float64(1e-3), np.float64(3.0))), 1.0)
        assert np.all(state.theta == at) or changes
        assert (state.control == (1e-3, 3.0)) != changes or type(globalization) in (C.TrustRegion, C.CurvatureRegion)


def test_a_trial_that_is_infinite_is_rejected_though_its_energy_is_finite():
    energy = lambda t: np.float64(0.0 if np.all(np.isfinite(t)) else -1e306)  # noqa: E731
    problem = gf.FunctionProblem(energy, lambda t: -np.ones(1), lambda t, v: np.zeros(1))
    scheme, theta = gf.SecondOrder(curvature=C.Hessian(), globalization=C.NielsenDamping()), np.array([1e308])
    start = scheme.init(problem, theta)._replace(control=Control(np.float64(1.0), np.float64(2.0)))
    with np.errstate(over="ignore"):
        state = scheme.step(problem, start, 1.7e308)
    assert np.isfinite(state.predicted)
    assert (state.ratio, state.actual, state.accepted) == (-1, 0, 0)
    assert state.theta is theta


# -- Line searches ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.8, 0.5), (0.5 + CLOSE, 0.5), (0.4, 0.4), (0.1 + CLOSE, 0.1 + CLOSE), (0.05, 0.1)]
)
def test_a_contraction_is_the_minimiser_of_the_parabola_within_a_tenth_and_a_half(share, wanted):
    """phi' (0) = -1 and phi(1) such that the parabola has its minimum at `share`; c1 is so large that phi(1) is too much."""
    tried = []

    def phi(a):
        tried.append(a)
        return Trial(a, -a + a * a / (2 * share) if a == 1 else -1.0, lambda: 0.0, 0.0)

    assert armijo(phi, -1.0, c1=0.49).trial.alpha == tried[1]
    np.testing.assert_allclose(tried, [1.0, wanted], rtol=1e-14)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_trial_that_is_not_finite_is_shortened_to_a_tenth(value):
    phi = lambda a: Trial(a, value if a > 0.5 else -a, lambda: -1.0, 0.0)  # noqa: E731
    assert armijo(phi, -1.0).trial.alpha == 0.1


@pytest.mark.parametrize("search", [armijo, strong_wolfe])
@pytest.mark.parametrize("c1", [1e-4, 0.3])
def test_sufficient_decrease_is_asked_for_to_the_last_digit(search, c1):
    for side, first in ((1 + CLOSE, True), (1 - CLOSE, False)):
        phi = lambda a: Trial(a, -side * c1 * a if a == 1 else -a, lambda: 0.0, 0.0)  # noqa: B023, E731
        assert (search(phi, -1.0, c1=c1).trial.alpha == 1) == first


@pytest.mark.parametrize("c2", [0.1, 0.9])
def test_the_slope_that_is_left_is_bounded_to_the_last_digit(c2):
    for side, first in ((1 - CLOSE, True), (1 + CLOSE, False)):
        for sign in (1, -1):
            phi = lambda a: Trial(a, -a / 2, lambda: sign * side * c2 if a == 1 else 0.0, 0.0)  # noqa: B023, E731
            found = strong_wolfe(phi, -1.0, c2=c2)
            assert (found.exit == "wolfe" and found.evaluations == 1) == first


def test_a_slope_below_the_square_of_rounding_ends_a_search():
    """The decrease that the direction predicts is |g|^2; the bound is (64 eps)^2 |E|."""
    for side, accepted in ((1 - 1e-3, 0), (1 + 1e-3, 1)):
        g = 64 * EPS * side**0.5
        problem = gf.FunctionProblem(lambda t: 1.0 + 0 * t[0], lambda t: t + g, lambda t, v: v)  # noqa: B023
        scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=C.Armijo())
        assert scheme.step(problem, scheme.init(problem, np.zeros(1)), 1.0).accepted == accepted


@pytest.mark.parametrize("search", [C.Armijo, C.StrongWolfe])
@pytest.mark.parametrize("beta", [1e-3, 0.25])
def test_the_shift_of_an_indefinite_curvature_is_that_of_the_formula(search, beta):
    for mu, wanted in (
        ([4.0, -2.0], 2 + 4 * beta),
        ([4.0, 2.0], 0.0),
        ([4.0, 0.0], 4 * beta),
        ([1.0, -8.0], 8 + 8 * beta),
    ):
        problem = quadratic(mu, g=[1.0, 1.0])
        scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=search(beta=beta), solver="eigh")
        state = scheme.step(problem, scheme.init(problem, np.zeros(2)), 1.0)
        np.testing.assert_allclose(state.damping, wanted, rtol=1e-14)


# -- Negative curvature -------------------------------------------------------------------------------------------


def test_newton_cg_takes_negative_curvature_from_eps_on():
    """At a stationary point with the eigenvalue -lambda, (2) is taken for lambda > eps_H only."""
    for eps, scheme in ((1e-5**0.5, gf.NewtonCG()), (0.02, gf.NewtonCG(curvature_tol=0.02))):
        for side, taken in ((1 - 1e-3, 0), (1 + 1e-3, 1)):
            problem = quadratic([1.0, -side * eps])
            state = scheme.step(problem, scheme.init(problem, np.zeros(2)), 1.0)
            assert (state.negative_curvature, state.accepted) == (taken, taken)


def test_newton_cg_looks_for_negative_curvature_where_the_gradient_is_small():
    for side, taken in ((1 - CLOSE, 1), (1 + CLOSE, 0)):
        problem = quadratic([1.0, -1.0], g=[side * 1e-5, 0.0])
        scheme = gf.NewtonCG()
        assert scheme.step(problem, scheme.init(problem, np.zeros(2)), 1.0).negative_curvature == taken


@pytest.mark.parametrize("rho", [0.5, 4.0])
def test_negative_curvature_descent_steps_from_its_bounds_on(rho):
    tol = 1e-3
    scheme = gf.NegativeCurvatureDescent(rho=rho, gradient_tol=tol)
    for side, moved in ((1 - 1e-3, False), (1 + 1e-3, True)):
        problem = quadratic([1.0, -side * (rho * tol) ** 0.5])
        state = scheme.step(problem, scheme.init(problem, np.zeros(2)), 0.1)
        assert (state.promised > 0) == moved
        assert bool(np.any(state.theta != 0)) == moved
        problem = quadratic([1.0, -1.0], g=[(2 - side) * tol, 0.0])
        assert (scheme.step(problem, scheme.init(problem, np.zeros(2)), 0.1).promised > 0) == moved


def test_each_step_has_a_start_of_its_own():
    """With one product, the quotient is that of the start: of `seed + n`."""
    mu = np.linspace(1.0, 2.0, 5)
    scheme = gf.NegativeCurvatureDescent(most=1, seed=3)
    state, problem = scheme.init(quadratic(mu), np.zeros(5)), quadratic(mu)
    for n in range(3):
        state = scheme.step(problem, state, 0.1)
        wanted = extreme_eigenvalues(C.Hessian().at(problem, np.zeros(5)), "smallest", most=1, seed=3 + n)
        assert state.smallest == wanted.smallest.value
    problem, scheme = quadratic(-mu), gf.NewtonCG(most=1, seed=3)
    start = scheme.init(problem, np.zeros(5))
    for n in range(3):
        wanted = extreme_eigenvalues(C.Hessian().at(problem, np.zeros(5)), "smallest", most=1, seed=3 + n).smallest
        d = scheme.step(problem, start._replace(n=n), 1.0).theta
        np.testing.assert_allclose(abs(d @ wanted.vector), np.linalg.norm(d), rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_direction_of_a_proved_saddle_is_that_of_the_first_space_with_a_tenth(seed):
    """The residual is at most a tenth of the eigenvalue, and no larger space is used."""
    rng = np.random.default_rng(seed)
    problem, theta = quadratic(np.concatenate([-rng.uniform(0.5, 1, 3), rng.uniform(0, 2, 97)])), np.zeros(100)
    found = gf.stationarity(problem, theta, seed=seed)
    assert found.kind == "saddle"
    rest = problem.hvp(theta, found.direction) - found.eigenvalue * found.direction
    assert np.linalg.norm(rest) <= -found.eigenvalue / 10 * (1 + 1e-6)
    for space in ritz(C.Hessian().at(problem, theta), seed=seed):
        if space.smallest.value < -1e-3 and space.smallest.residual <= -space.smallest.value / 10:
            break
    assert found.products == space.products
    first = next(s for s in ritz(C.Hessian().at(problem, theta), seed=seed) if s.smallest.value < -1e-3)
    assert first.products < found.products  # so that the test of the residual decided


# -- Truncated conjugate gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-10), ("float32", 1e-5)])
def test_the_usual_residual_of_truncated_conjugate_gradients(dtype, tol):
    mu = np.geomspace(1, 100, 60).astype(dtype)
    problem = gf.FunctionProblem(lambda t: t @ (mu * t) / 2 - np.sum(t), lambda t: mu * t - 1, lambda t, v: mu * v)
    model = C.Hessian().at(problem, np.zeros(60, dtype))
    usual = C.steihaug(model, None, 1e6)
    assert np.linalg.norm(mu * usual.d - 1) <= 1.5 * tol * 60**0.5
    for other, same in ((tol, True), (10 * tol, False), (tol / 10, False)):
        step = C.steihaug(model, None, 1e6, tol=other)
        assert (step.products == usual.products and np.array_equal(step.d, usual.d)) == same


def test_the_boundary_is_met_from_the_radius_on():
    """The minimiser has the length 1."""
    model = C.Hessian().at(quadratic([1.0, 1.0], g=[0.6, 0.8]), np.zeros(2))
    for radius, boundary in ((1 + CLOSE, False), (1 - CLOSE, True)):
        step = C.steihaug(model, None, radius)
        assert step.boundary == boundary
        np.testing.assert_allclose(step.length, min(1.0, radius), rtol=1e-12)


# -- Metrics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [1e-12, 1e-4])
def test_the_floor_of_a_diagonal_is_relative_to_the_largest_entry(floor):
    metric = C.CurvatureDiagonal() if floor == 1e-12 else C.CurvatureDiagonal(floor=floor)
    mu = 8.0 * np.array([1.0, floor / 2, 2 * floor, 0.0])
    model = C.Hessian().at(quadratic(mu), np.zeros(4))
    np.testing.assert_allclose(
        metric.weights(model, np.zeros(4)), 8 * np.array([1, floor, 2 * floor, floor]), rtol=1e-14
    )


def test_the_diagonal_of_an_indefinite_curvature_counts_with_its_absolute_values():
    model = C.Hessian().at(quadratic([-3.0, 1.0, -0.5]), np.zeros(3))
    np.testing.assert_array_equal(C.CurvatureDiagonal().weights(model, np.zeros(3)), [3.0, 1.0, 0.5])
    np.testing.assert_array_equal(C.CurvatureDiagonal().weights(model, np.array([1.0, 2.0, 0.0])), [3.0, 2.0, 0.5])


# -- Derivatives --------------------------------------------------------------------------------------------------


def test_a_zero_has_the_size_of_the_median_of_the_others():
    np.testing.assert_array_equal(sizes(np.array([0.0, 3e-9, -1e-9, 2e-9])), [2e-9, 3e-9, 1e-9, 2e-9])
    np.testing.assert_array_equal(sizes(np.array([0.0, -5e7])), [5e7, 5e7])
    np.testing.assert_array_equal(sizes(np.zeros(2)), [1.0, 1.0])


@pytest.mark.parametrize("noise", [None, "given"])
def test_a_difference_is_lengthened_while_the_change_is_at_most_10_000_rounding_errors(noise):
    theta, v = np.array([1e-6, 1.0]), np.array([1.0, 0.0])
    change = 2 * EPS ** (1 / 3) * 1e-6
    for side, evaluations in ((1.05, 2), (0.95, 4)):
        tried, size = [], change / (side * 1e4)
        function = lambda t: tried.append(t) or np.array([t[0] + (0.0 if noise else size / EPS)])  # noqa: B023, E731
        difference(function, theta, v, 1.0, np.array([size]) if noise else None)
        assert len(tried) == evaluations


@pytest.mark.parametrize(("other", "size"), [(1e-3, 1.0), (1.0, 1.0), (50.0, 50.0)])
def test_the_longest_step_of_a_difference_is_that_of_the_largest_entry_or_of_1(other, size):
    tried = []
    function = lambda t: tried.append(t[0]) or t[:1]  # noqa: E731
    difference(function, np.array([1e-9, other]), np.array([1.0, 0.0]), 1.0, np.array([1e10]))
    np.testing.assert_allclose(np.ptp(tried) / 2, EPS ** (1 / 3) * size, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_derivative_is_wrong_from_the_tolerance_on(dtype):
    """The Jacobian of a linear residual is wrong in one entry; the rounding errors of differences are below four tolerances."""
    tolerance = 100 * float(np.finfo(dtype).eps) ** (2 / 3)
    for side, passed in ((0.8, True), (5, False)):
        wrong = np.eye(2)
        wrong[1, 1] += side * tolerance
        wrong = wrong.astype(dtype)
        problem = gf.DenseLeastSquares(lambda t: t - t.dtype.type(0), lambda t: wrong)  # noqa: B023
        check = gf.check_derivatives(problem, np.ones(2, dtype))
        assert check.tolerance == tolerance
        assert check.passed == passed, check


# -- Statistics ---------------------------------------------------------------------------------------------------


def test_columns_are_independent_from_n_rounding_errors_on():
    """Two columns at the angle delta have the scaled singular values 2^{1/2} and delta / 2^{1/2}."""
    N = 64
    a, b = np.ones(N), np.tile([1.0, -1.0], N // 2)
    for side, determined in ((4, True), (0.25, False)):
        J = np.stack([a, a + 2 * side * N * EPS * b], axis=1)
        problem = gf.DenseLeastSquares(lambda t: J @ t + np.cos(a), lambda t: J)  # noqa: B023
        if determined:
            assert np.all(gf.solve(problem, gf.GaussNewton(), np.zeros(2), steps=1).covariance().standard_errors > 0)
        else:
            with pytest.raises(ValueError, match="rank 1, P = 2"):
                gf.solve(problem, gf.GaussNewton(), np.zeros(2), steps=1).covariance()


# -- Linear solvers -----------------------------------------------------------------------------------------------


def shapes(N, P, **more):
    """Return what the choice of a solver reads of a model of N rows and P parameters."""
    usual = {
        "has_gram": N is not None, "in_range": True, "definite": True, "residual": True, "mass": 1.0,
        "linear": SimpleNamespace(scalar=0), "has_own_form": lambda weights: False,
    }  # fmt: skip
    return SimpleNamespace(rows=N, shape=(P,), **(usual | more))


@pytest.mark.parametrize(
    ("model", "plain", "in_metric"),
    [
        (shapes(1000, 1000), "svd", "svd"),  # N P min(N, P) = 1e9
        (shapes(1000, 1001), "gram", "eigh"),
        (shapes(10, 2_000_000), "svd", "svd"),  # N P = 2e7
        (shapes(10, 2_000_001), "gram", "lanczos"),
        (shapes(3000, 30_000), "gram", "lanczos"),
        (shapes(3001, 30_000), "lanczos", "lanczos"),
        (shapes(None, 3000), "eigh", "eigh"),
        (shapes(None, 3001), "lanczos", "lanczos"),
    ],
)
def test_the_sizes_at_which_another_decomposition_is_taken(model, plain, in_metric):
    assert (choose_form(model, None), choose_form(model, 1.0)) == (plain, in_metric)


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (shapes(200, 250), True),  # w = N P min(N, P) = 1e7
        (shapes(200, 249), False),
        (shapes(250, 200), True),
        (shapes(249, 200), False),
        (shapes(216, 100_000), True),  # w = N^3
        (shapes(215, 100_000), False),
        (shapes(None, 216), True),  # w = P^3
        (shapes(None, 215), False),
        (shapes(None, 20, definite=False), True),
        (shapes(200, 250, definite=False), False),
        (shapes(10, 3000, has_gram=False, linear=SimpleNamespace(scalar=1.0)), True),
        (shapes(10, 3001, has_gram=False, linear=SimpleNamespace(scalar=1.0)), False),
        (shapes(200, 250, in_range=False), False),
    ],
)
def test_the_sizes_from_which_on_a_damped_step_is_factorised(model, wanted):
    assert factorises(model, None) is wanted


class Counted(C.Model):
    """A model with a matrix and a gradient, which counts its products."""

    has_diagonal = True

    def __init__(self, B, g):
        super().__init__(gf.FunctionProblem(lambda t: 0 * t[0], lambda t: 0 * t), 0 * g)
        self.B, self.g, self.products = B, g, 0

    @property
    def gradient(self):
        return self.g

    def apply(self, v):
        self.products += 1
        return self.B @ v

    def matrix(self):
        return self.B

    def diagonal(self):
        return np.diagonal(self.B)


def ritz_pairs(B, g):
    """Yield the largest Ritz value in absolute value and its residual, by an orthogonal basis of the Krylov space."""
    V = np.zeros((len(g), 0))
    v = g / np.linalg.norm(g)
    while True:
        V = np.column_stack([V, v])
        mu, Y = np.linalg.eigh(V.T @ B @ V)
        i = np.argmax(np.abs(mu))
        yield abs(mu[i]), np.linalg.norm(B @ (V @ Y[:, i]) - mu[i] * (V @ Y[:, i]))
        v = B @ v
        for _ in range(2):
            v = v - V @ (V.T @ v)
        v = v / np.linalg.norm(v)


SPECTRA = {
    "one large": np.append(np.linspace(1, 2, 79), 100.0),
    "even": np.linspace(0, 1, 80),
    "two ends": np.linspace(-1, 0.99, 80),
    "negative": -(np.linspace(0, 1, 80) ** 2),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("seed", range(6))
def test_the_size_of_a_model_takes_8_to_30_products_and_is_known_to_a_percent(name, seed):
    mu, rng = SPECTRA[name], np.random.default_rng(seed)
    g = rng.standard_normal(80) * (1.0 if seed < 3 else np.maximum(1 - np.abs(mu / np.abs(mu).max()), 1e-8) ** 3)
    model = Counted(np.diag(mu), g)
    found = largest_eigenvalue(model, None)
    for k, (value, rest) in enumerate(ritz_pairs(np.diag(mu), g), 1):
        if k == 30 or (k >= 8 and rest <= 0.01 * value):
            break
    assert model.products == k
    np.testing.assert_allclose(found, value, rtol=1e-8)


def test_the_size_of_a_model_does_not_depend_on_that_of_the_gradient():
    mu = np.linspace(1, 2, 12)
    for size in (1e-300, 1e-160, 1.0, 1e160, 1e300):
        np.testing.assert_allclose(largest_eigenvalue(Counted(np.diag(mu), size * np.ones(12)), None), 2, rtol=1e-3)


@pytest.mark.parametrize("weights", [None, np.linspace(1, 3, 30)])
def test_conjugate_gradients_end_at_the_residual_that_is_asked_for(weights):
    """With the residual of the iterate k as the tolerance, k products are made, and with less k + 1."""
    rng = np.random.default_rng(0)
    J = rng.standard_normal((40, 30))
    model, D = Counted(J.T @ J, rng.standard_normal(30)), 1.0 if weights is None else weights
    for tol in (1e-1, 1e-3):
        step = C.PCG(tol=tol).step(model, weights, 0.0)
        r = model.B @ step.d + model.g
        rest = ((r @ (r / D)) / (model.g @ (model.g / D))) ** 0.5
        assert rest <= tol
        assert C.PCG(tol=rest * (1 + CLOSE)).step(model, weights, 0.0).products == step.products
        assert C.PCG(tol=rest * (1 - CLOSE)).step(model, weights, 0.0).products == step.products + 1


def test_conjugate_gradients_end_after_four_products_for_each_parameter():
    model = Counted(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 0.3]))
    assert C.PCG(tol=1e-300).step(model, None, 0.0).products == 8


def test_without_damping_less_than_twice_the_decrease_the_iteration_is_continued():
    """One eigenvalue mu: p / bound = x (2 - x) with x = mu / (mu + nu), which is 1/2 for x = 1 - 2^{-1/2}."""
    for side, products in ((1 - 1e-3, 1), (1 + 1e-3, 2)):
        x = side * (1 - 0.5**0.5)
        step = C.PCG().step(Counted(x * np.eye(3), np.ones(3)), None, 1 - x)
        assert step.products == products
        np.testing.assert_allclose(step.most, 3 / (2 * x), rtol=1e-9)


@pytest.mark.parametrize(("least", "negative"), [(-0.5, True), (0.5, False)])
def test_negative_curvature_that_the_damping_hides_is_found_where_the_iteration_is_continued(least, negative):
    step = C.PCG().step(Counted(np.diag([1.0, least]), np.array([1.0, 1e-3])), None, 1.0)
    np.testing.assert_allclose(step.d, [-0.5, -1e-3 / (1 + least)], rtol=1e-12)
    np.testing.assert_allclose(step.most, math.inf if negative else 0.5 + 1e-6 / (2 * least), rtol=1e-9)
    assert step.negative is negative


def test_a_factorisation_is_a_step_of_a_singular_curvature_with_damping_only():
    for J, plain in ((np.diag([1.0, 2.0]), True), (np.ones((2, 2)), False)):
        problem = gf.DenseLeastSquares(lambda t: J @ t + 1, lambda t: J)  # noqa: B023
        system = NormalEquations(C.GaussNewton().at(problem, np.zeros(2)), None)
        assert (system.step(0.0) is not None) == plain
        assert system.step(0.1) is not None


@pytest.mark.parametrize(("mu", "wanted"), [(-1.001, 1.5), (-1.3, 1.6), (-3.0, 5.0)])
def test_the_damping_of_a_negative_direction_grows_by_twice_what_is_missing_or_by_half(mu, wanted):
    step = C.PCG().step(Counted(mu * np.eye(2), np.ones(2)), None, 1.0)
    np.testing.assert_allclose(step.nu, wanted, rtol=1e-12)
    assert step.negative


def test_jacobis_preconditioner_is_the_absolute_diagonal():
    v, D = np.array([1.0, -2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    model = Counted(np.diag([3.0, -0.5, 0.0]), v)
    np.testing.assert_allclose(C.Jacobi().at(model, None)(v, 2.0), v / [5.0, 2.5, 2.0], rtol=1e-15)
    np.testing.assert_allclose(C.Jacobi().at(model, D)(v, 2.0), v / [5.0, 4.5, 8.0], rtol=1e-15)
    np.testing.assert_allclose(C.Jacobi().at(model, D)(v, 0.0), v / [3.0, 0.5, 1.0], rtol=1e-15)


def test_a_triangle_is_relied_on_from_max_k_n_rounding_errors_on():
    """J = (1 1; 0 delta) in 8 rows: beyond the threshold d is the solution, below it the shortest one of rank 1."""
    for side, wanted in ((1.01, [-1 + 1 / (8.08 * EPS), -1 / (8.08 * EPS)]), (0.99, [-0.5, -0.5])):
        J, q = np.zeros((8, 2)), np.append([1.0, 1.0], np.zeros(6))
        J[:2] = [[1.0, 1.0], [0.0, side * 8 * EPS]]
        model = C.GaussNewton().at(gf.DenseLeastSquares(lambda t: J @ t + q, lambda t: J), np.zeros(2))  # noqa: B023
        np.testing.assert_allclose(solve_damped(model, None, 0.0, "qr").d, wanted, rtol=1e-9)


@pytest.mark.parametrize("bad", [[math.nan, 1.0], [1.0, math.nan]])
def test_a_residual_that_is_not_finite_gives_no_number(bad):
    problem = gf.DenseLeastSquares(lambda t: t + np.array(bad), lambda t: np.eye(2))
    assert np.all(np.isnan(solve_damped(C.GaussNewton().at(problem, np.zeros(2)), None, 1.0, "qr").d))


def test_a_factorisation_without_damping_states_the_decrease_of_the_model():
    """The least eigenvalue is 4 eps: there is a factorisation, and no margin for rounding errors in it."""
    model = Counted(np.array([[1.0, 1 - 4 * EPS], [1 - 4 * EPS, 1.0]]), np.array([1.0, 1.0]))
    step = solve_damped(model, None, 0.0, "cholesky")
    np.testing.assert_allclose([step.nu, step.most], [0.0, 0.5], rtol=1e-6)


# -- Steps from a saddle itself -----------------------------------------------------------------------------------


def escaped(mu, g=(0.0, 0.0), *, length, energy=0.0, dtype="float64"):
    """Return whether the step of a saddle-free method from 0, of E = energy + (theta, mu theta) / 2 + g . theta, is an escape."""
    mu, g = np.array(mu, dtype), np.array(g, dtype)
    problem = gf.FunctionProblem(
        lambda t: t.dtype.type(energy) + t @ (mu * t) / 2 + g @ t, lambda t: mu * t + g, lambda t, v: mu * v
    )
    scheme = gf.SaddleFreeNewton(damping=0.0, solver="eigh", escape=length)
    state = scheme.step(problem, scheme.init(problem, np.zeros(2, dtype)), 1.0)
    taken = state.length == mu.dtype.type(length)
    assert not taken or (state.share == 0 and not state.exhausted)  # the model offers more than any step takes
    return taken


@pytest.mark.parametrize(
    "case",
    [
        lambda side: escaped([1.0, -1.0], (EPS**0.5 * 1e-3 / side, 0.0), length=1e-3),  # |d_0| <= eps^{1/2} s
        lambda side: escaped(
            [1.0, -1.0], ((128 * EPS) ** 0.5 / side, 0.0), length=1e-3, energy=1.0
        ),  # p_0 <= 64 eps |E|
        lambda side: escaped([1.0, -1e-6 * side], length=1.0),  # -lambda > 1e-6 max |theta_i|
        lambda side: escaped([1.0, -1e-3 * side], length=1.0, dtype="float32"),
        lambda side: escaped([1.0, -1.0], length=side * (128 * EPS) ** 0.5, energy=1.0),  # (2) exceeds 64 eps |E|
    ],
    ids=["length", "decrease", "eigenvalue", "eigenvalue in float32", "gain"],
)
def test_an_escape_is_taken_from_its_bounds_on(case):
    assert case(1 + 1e-3)
    assert not case(1 - 1e-3)


def test_a_step_that_goes_up_to_a_saddle_is_no_step_of_length_zero():
    """Newton's method is attracted by the saddle: its predicted decrease is negative, and no rounding error."""
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=C.FixedDamping(0.0), escape=1e-3)
    problem = quadratic([1.0, -2.0])
    state = scheme.step(problem, scheme.init(problem, np.array([0.0, 0.1])), 1.0)
    assert state.predicted < 0
    np.testing.assert_allclose(state.theta, 0, atol=1e-15)


# -- The Lanczos process ------------------------------------------------------------------------------------------


def test_ritz_values_are_those_of_1_to_10_and_15_and_20_products():
    model = C.Hessian().at(quadratic(np.linspace(-1, 1, 60)), np.zeros(60))
    seen = [found.products for found in ritz(model, most=27)]
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 27]


@pytest.mark.parametrize("failure", [1e-6, 0.3])
def test_the_lower_bound_is_its_formula(failure):
    """(3), from theta_1 and theta_k, which the pairs of the process have."""
    model = C.Hessian().at(quadratic(np.linspace(-1, 3, 200)), np.zeros(200))
    bounded = 0
    for found in ritz(model, most=100):
        k, low, high = found.products, found.smallest.value, found.largest.value
        eps = (math.log(3.296 * k * (k + 1) * 200**0.5 / failure) / (2 * k - 1)) ** 2
        wanted = low - eps * (high - low) / (1 - 2 * eps) if eps < 0.5 else -math.inf
        np.testing.assert_allclose(found.bound(failure), wanted, rtol=1e-12)
        bounded += eps < 0.5
    assert 0 < bounded < k


@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-6), ("float32", 1e-3)])
@pytest.mark.parametrize("end", ["smallest", "largest", "both"])
def test_the_usual_residual_of_an_extreme_eigenvalue(end, dtype, tol):
    mu = np.append(np.linspace(1, 2, 120), 2.5 if end == "smallest" else 10.0).astype(dtype)
    problem = gf.FunctionProblem(lambda t: t @ (mu * t) / 2, lambda t: mu * t, lambda t, v: mu * v)
    model = C.Hessian().at(problem, np.zeros(121, dtype))
    found = C.extreme_eigenvalues(model, end)
    pairs = [getattr(found, one) for one in ("smallest", "largest") if end in (one, "both")]
    assert max(pair.residual for pair in pairs) <= tol * found.largest.value
    before = [space for space in ritz(model) if space.products < found.products][-1]
    rests = [getattr(before, one).residual for one in ("smallest", "largest") if end in (one, "both")]
    assert max(rests) > tol * before.largest.value


# -- Memories -----------------------------------------------------------------------------------------------------


def test_switching_changes_at_its_bounds():
    problem, policy = quadratic([1.0, 1.0]), C.Switching(1.0, 3.0)
    for before, length, after in ((0, 1.0, 1), (0, 1 + EPS, 0), (1, 3.0, 1), (1, 3 + 4 * EPS, 0)):
        models = [C.Hessian().at(problem, np.array([length, 0.0]))] * 2
        assert policy.update(models, (np.float64(before),)) == (after,)


def test_a_difference_of_energies_is_a_rounding_error_up_to_64_eps():
    """The weight stays at 1/2, or is the ratio, which is bounded by 1."""
    for side, wanted in ((1 - 1e-2, 0.5), (1 + 2e-2, 1.0)):
        before = np.array([0.0])
        problem = gf.FunctionProblem(
            lambda t: np.float64(1.0) + side * 64 * EPS * (t[0] == 0),  # noqa: B023
            lambda t: np.zeros(1),
            lambda t, v: EPS * v,
        )
        model = C.Hessian().at(problem, np.array([1.0]))
        assert C.ByAgreement().update([model] * 2, (before, np.float64(1.0), np.float64(0.5)))[2] == wanted


@pytest.mark.parametrize("mass", [1.0, 0.25])
def test_a_pair_counts_if_y_s_exceeds_a_rounding_error_of_its_lengths(mass):
    S, s = np.diag([1.0, 2.0]), np.array([1.0, 0.0])
    for side, kept in ((0.99, False), (1.01, True)):
        y = np.array([side * EPS, 1.0])
        assert np.array_equal(structured_secant_update(S, s, y, 3 * s, mass=mass), S) != kept


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_second_order_term_is_used_below_a_share_of_the_decrease(share):
    """q = (theta^2 - c, r) with S = 2 q_1: F falls from 1 to 1 - side share, and e has the sign that S makes smaller."""
    for side, used in ((1 - 1e-3, 1), (1 + 1e-3, 0)):
        F = 1 - side * share
        q = {1.0: np.array([0.0, 2**0.5]), 2.0: np.array([0.0, (2 * F) ** 0.5])}
        J = np.array([[1.0], [0.0]])
        problem = gf.DenseLeastSquares(lambda t: q[float(t[0])], lambda t: J)  # noqa: B023
        e = F + 0.5 - 1
        model, curvature = C.GaussNewton().at(problem, np.array([2.0])), C.StructuredSecant(share)
        for S, helps in ((-e, True), (-3.9 * e, True), (-4.1 * e, False), (e, False)):
            memory = (np.array([1.0]), np.float64(1.0), np.float64(0.0), np.array([[S]]))
            assert curvature.update(model, memory)[2] == (used if helps else 0)


# -- Eigenbases ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_range", [True, False])
def test_what_is_zero_to_rounding_is_zero(in_range):
    """An eigenvalue of at most `tiny`; and what g has there, all of it or 64 rounding errors of g."""
    tiny, noise = 1e-9, 64 * EPS
    mu = np.array([1.0, tiny * (1 + CLOSE), tiny * (1 - CLOSE), tiny * (1 - CLOSE), -tiny])
    gamma = np.array([1.0, noise / 2, noise * (1 - CLOSE), noise * (1 + CLOSE), -noise * (1 + CLOSE)])
    found = felt_form(Form(gamma, mu, None, tiny), in_range)
    np.testing.assert_array_equal(found.mu, [*mu[:2], 0, 0, 0])
    np.testing.assert_array_equal(found.gamma, [*gamma[:2], 0, *(0 if in_range else 1) * gamma[3:]])


def test_without_a_residual_an_eigenvalue_is_zero_up_to_max_n_p_rounding_errors():
    """The gradient is not known to be in the range of a root: the square of a singular value has no more digits."""
    for side, kept in ((1.02, 2), (0.98, 1)):
        R = np.zeros((8, 2))
        R[0, 0], R[1, 1] = 1.0, (side * 8 * EPS) ** 0.5
        model = Counted(R.T @ R, np.array([1.0, 0.0]))
        model.definite, model.root = True, lambda: C.Root(R, None)  # noqa: B023
        assert np.count_nonzero(dense_form("svd", model, None).mu) == kept


def test_what_a_projection_leaves_is_a_rounding_error_up_to_64_eps():
    for side, wanted in ((1 - CLOSE, 0.0), (1 + CLOSE, 2 * 64 * EPS)):
        g = np.array([1.0, 64 * EPS * side])
        _, length = beside(g, lambda u: np.array([0.0, u[1]]), lambda u: 4 * u @ u)
        np.testing.assert_allclose(length, wanted, rtol=10 * CLOSE)


@pytest.mark.parametrize("shape", [(8, 2), (2, 8)])
def test_a_singular_value_is_zero_up_to_max_n_p_rounding_errors(shape):
    for side, kept in ((2, True), (0.5, False)):
        J = np.zeros(shape)
        J[0, 0], J[1, 1] = 1.0, side * 8 * EPS
        problem = gf.DenseLeastSquares(lambda t: J @ t + 1, lambda t: J)  # noqa: B023
        form = dense_form("svd", C.GaussNewton().at(problem, np.zeros(shape[1])), None)
        assert np.count_nonzero(form.mu) == 1 + kept
        assert np.count_nonzero(form.gamma) == 1 + kept


# -- Bounds -------------------------------------------------------------------------------------------------------


def box_of(b, radius, upper=math.inf):
    """Return the box around 0 of the model -s + b s^2 / 2, and the place s = 0."""
    box = _Box(Counted(np.array([[b]]), np.array([-1.0])), None, gf.Bounds(-math.inf, upper), radius)
    return box, box.place(np.zeros(1), np.zeros(1))


def test_a_projected_step_has_a_hundredth_of_the_linear_decrease_and_stays_in_the_ball():
    """m(t) - m(0) = -t + b t^2 / 2 <= -t / 100 for b t <= 1.98."""
    for side, wanted in ((1 - CLOSE, 1.0), (1 + CLOSE, 0.5)):
        box, at = box_of(1.98 * side, 10.0)
        assert box.search(at, np.ones(1), iter((1.0, 0.5))).s == wanted
    for margin, wanted in ((990, 1.0), (1010, 0.5)):
        box, at = box_of(0.0, 1 - margin * EPS)
        assert box.search(at, np.ones(1), iter((1.0, 0.5))).s == wanted
    box, at = box_of(1.0, 10.0, upper=0.25)
    assert box.search(at, np.ones(1), iter((1.0,))).s == 0.25
    assert box.search(at, -np.ones(1), iter((1.0, 0.5))) is at


@pytest.mark.parametrize(("b", "radius", "first"), [(4.0, 10.0, 0.25), (4.0, 0.125, 0.125), (-4.0, 3.0, 3.0)])
def test_the_cauchy_stage_tries_the_minimiser_or_the_sphere_and_quarters_of_it(b, radius, first):
    box, at = box_of(b, radius)
    box.search = lambda at, p, sizes: [size * p[0] for size in sizes]
    np.testing.assert_allclose(box.cauchy_stage(at), first * 0.25 ** np.arange(60), rtol=1e-14)


def test_the_share_of_a_way_that_the_nearest_bound_leaves():
    box, _ = box_of(1.0, 10.0, upper=2.0)
    at = box.place(np.array([0.5]), np.array([0.5]))
    assert box.nearest(at, np.array([3.0])) == 0.5
    assert box.nearest(at, np.array([-3.0])) == math.inf
    assert box.nearest(at, np.zeros(1)) == math.inf


@pytest.mark.parametrize("kind", [">f8", ">i8", np.float16, complex])
def test_bounds_are_numbers_of_the_usual_kinds(kind):
    with pytest.raises(ValueError, match="lower must be a real number or have shape"):
        gf.Bounds(np.ones(2).astype(kind))


def test_a_row_sketch_needs_no_diagonal_inner_product():
    """The same numbers, whether the inner product says that it is the Euclidean one or not."""
    J = np.random.default_rng(0).standard_normal((20, 4))
    problem, scheme = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J), gf.IEQ(solver=C.RowSketch(8))

    class Unknown:
        mass = None
        linear = 0.0

        def __getattr__(self, name):
            if name in ("energy", "energy_and_gradient", "linearize", "inner"):
                return getattr(problem, name)
            raise AttributeError(name)

    thetas = []
    for one in (problem, Unknown()):
        thetas.append(scheme.step(one, scheme.init(one, np.ones(4)), 0.5).theta)
    np.testing.assert_allclose(thetas[1], thetas[0], rtol=1e-10)


ITERATIVE = {
    "lanczos": (C.FixedDamping(0.1), "lanczos", 0.1),
    "steihaug": (C.TrustRegion(radius=1e6), "steihaug", 0.0),
    "pcg": (C.FixedDamping(0.0), "pcg", 0.0),
}


@pytest.mark.parametrize("tol", [1e-1, 1e-3])
@pytest.mark.parametrize("mass", [None, np.linspace(1, 2, 60)])
@pytest.mark.parametrize("name", ITERATIVE)
def test_an_iteration_ends_at_the_residual_that_is_asked_for(name, mass, tol):
    """With the residual of a step as the tolerance the step is the same; with less, products are added."""
    rng = np.random.default_rng(1)
    Q, g = np.linalg.qr(rng.standard_normal((60, 60)))[0], rng.standard_normal(60)
    H, m, (globalization, solver, nu) = (
        (Q * np.geomspace(0.1, 10, 60)) @ Q.T,
        1.0 if mass is None else mass,
        ITERATIVE[name],
    )
    problem = gf.FunctionProblem(
        lambda t: t @ (H @ t) / 2 + g @ t, lambda t: (H @ t + g) / m, lambda t, v: (H @ v) / m, mass=mass
    )

    def step(tol):
        scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=globalization, solver=solver, tol=tol)
        return scheme.step(problem, scheme.init(problem, np.zeros(60)), 1.0)

    first = step(tol)
    r = (H @ first.theta + g) / m + nu * first.theta
    rest = float(r @ (m * r) / (g @ (g / m))) ** 0.5
    assert rest <= tol
    assert step(rest * (1 + CLOSE)).products == first.products
    assert step(rest * (1 - CLOSE)).products > first.products


@pytest.mark.parametrize("P", [12, 13, 14])
def test_a_krylov_space_that_ends_between_two_looks_is_looked_at(P):
    problem = quadratic(np.geomspace(1e-3, 1e3, P), g=np.ones(P))
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=C.FixedDamping(0.0), solver="lanczos")
    state = scheme.step(problem, scheme.init(problem, np.zeros(P)), 1.0)
    np.testing.assert_allclose(state.theta, -np.geomspace(1e3, 1e-3, P), rtol=1e-6)
    assert state.products == P


def test_a_krylov_space_has_at_most_200_vectors():
    problem = quadratic(np.geomspace(1e-9, 1, 205), g=np.ones(205))
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=C.FixedDamping(0.0), solver="lanczos", tol=1e-300)
    assert scheme.step(problem, scheme.init(problem, np.zeros(205)), 1.0).products == 200
