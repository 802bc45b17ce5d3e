"""Bounds on parameters: steps in a box against the enumeration of active sets, fits against SciPy, covariances on a face."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

import gradflow as gf
from gradflow.curvature.bounds import SUFFICIENT, _Box, _shares, bounded_step
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import trust_region
from gradflow.curvature.truncated import cauchy_point
from gradflow.run.fit import covariance
from smooth_problems import SPLITS, double_well, smooth_problem

C = gf.curvature
EPS = np.finfo(np.float64).eps
METHODS = {
    "Gauss-Newton": lambda box: gf.LevenbergMarquardt(bounds=box),
    "Newton": lambda box: gf.TrustRegion(bounds=box),
    "Newton, scaled": lambda box: gf.TrustRegion(bounds=box, metric=C.CurvatureDiagonal()),
    "lanczos": lambda box: gf.TrustRegion(bounds=box, solver="lanczos"),
}


def random_box(rng, P):
    """Return l <= u, with infinite and equal ones among them, and a point of the box."""
    lower, upper = np.sort(rng.standard_normal((2, P)), axis=0)
    lower[rng.random(P) < 0.2], upper[rng.random(P) < 0.2] = -np.inf, np.inf
    theta = np.clip(rng.standard_normal(P), lower, upper)
    fixed = rng.random(P) < 0.1
    lower[fixed] = upper[fixed] = theta[fixed]
    return lower, upper, theta


def quadratic(A, b, mass=None):
    """Return E = theta^T A theta / 2 - b^T theta."""
    m = 1.0 if mass is None else mass
    return gf.FunctionProblem(
        lambda t: t @ (A @ t) / 2 - b @ t, lambda t: (A @ t - b) / m, hvp=lambda t, v: (A @ v) / m, mass=mass
    )


def minimiser_by_enumeration(A, b, lower, upper):
    """Return the minimiser of a strictly convex quadratic in a box: of all faces, the one whose point is optimal."""
    best, least = None, np.inf
    for face in product((-1, 0, 1), repeat=b.size):
        face = np.array(face)
        x = np.where(face < 0, lower, np.where(face > 0, upper, 0.0))
        if not np.all(np.isfinite(x)):
            continue
        free = face == 0
        x[free] = np.linalg.solve(A[np.ix_(free, free)], b[free] - A[np.ix_(free, ~free)] @ x[~free])
        if np.all((x >= lower - 1e-12) & (x <= upper + 1e-12)) and (value := x @ A @ x / 2 - b @ x) < least:
            best, least = x, value
    return best


# -- Steps -------------------------------------------------------------------------------------------------------------


def test_a_long_step_is_the_minimiser_of_a_convex_quadratic_in_the_box():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        P = 1 + seed % 5
        R, c = rng.standard_normal((P + 2, P)) * 10 ** rng.uniform(-1, 1, P), 3 * rng.standard_normal(P + 2)
        A, b = R.T @ R, R.T @ c
        lower, upper, theta = random_box(rng, P)
        mass, weights = (None, None) if seed % 2 else (rng.uniform(0.2, 3, P), rng.uniform(0.2, 3, P))
        if seed % 4 < 2:
            model = C.Hessian().at(quadratic(A, b, mass), theta)
        else:
            affine = gf.DenseLeastSquares(lambda t, R=R, c=c: R @ t - c, lambda t, R=R: R, mass=mass)
            model = C.GaussNewton().at(affine, theta)
        step = bounded_step(model, weights, gf.Bounds(lower, upper), 1e3)
        np.testing.assert_allclose(step.slope, model.problem.inner(model.gradient, step.d), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(step.bend, model.problem.inner(step.d, model.apply(step.d)), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(step.most, -step.slope - step.bend / 2, rtol=1e-9, atol=1e-9)
        wanted = minimiser_by_enumeration(A, b, lower, upper)
        scale = np.linalg.cond(A) * EPS * max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(theta + step.d, wanted, rtol=0, atol=100 * scale)
        assert not step.boundary


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_step_stays_in_box_and_ball_and_predicts_a_decrease(split, dtype):
    for seed in range(12):
        problem, theta = smooth_problem(split, P=6, seed=seed, dtype=dtype)
        rng = np.random.default_rng(seed)
        lower, upper, theta = (a.astype(dtype) for a in random_box(rng, 6))
        box, D = gf.Bounds(lower, upper), rng.uniform(0.2, 3, 6).astype(dtype)
        for curvature in (C.Hessian(), C.GaussNewton()):
            for radius in (0.03, 0.3, 3.0):
                model = curvature.at(problem, theta)
                step = bounded_step(model, D, box, radius)
                eps = np.finfo(dtype).eps
                assert step.d.dtype == dtype
                assert problem.inner(D * step.d, step.d) ** 0.5 <= radius * (1 + 2e3 * eps)
                assert np.all((step.d >= lower - theta) & (step.d <= upper - theta))
                assert -step.slope - step.bend / 2 >= 0
                # no worse than the point of the first Cauchy stage, hence a decrease unless theta is stationary
                moving = np.abs(box.reduced(theta, model.gradient)).max() > 1e-3
                assert not moving or -step.slope - step.bend / 2 > 0


@pytest.mark.parametrize("split", SPLITS)
def test_a_step_that_meets_no_bound_is_that_of_the_trust_region(split):
    for seed in range(5):
        problem, theta = smooth_problem(split, seed=seed)
        for curvature in (C.Hessian(), C.GaussNewton()):
            for radius in (0.05, 50.0):
                model = curvature.at(problem, theta)
                free = minimise(model, None, lambda form, radius=radius: trust_region(form.gamma, form.mu, radius))
                step = bounded_step(model, None, gf.Bounds(), radius)
                np.testing.assert_allclose(step.d, free.d, rtol=1e-9, atol=1e-12 * np.abs(free.d).max())
                assert step.boundary == free.boundary


def convex_quadratic(rng, P, narrow=2.0):
    """Return A, positive definite with eigenvalues of 10^-narrow to 10^narrow, and b."""
    Q = np.linalg.qr(rng.standard_normal((P, P)))[0]
    A = Q @ np.diag(10 ** rng.uniform(-narrow, narrow, P)) @ Q.T
    return (A + A.T) / 2, rng.standard_normal(P)


def test_a_convex_model_is_minimised_in_the_box_or_on_a_face_of_it_and_the_sphere():
    on_sphere = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        A, b = convex_quadratic(rng, 3)
        lower, upper = -rng.exponential(0.3, 3), rng.exponential(0.3, 3)
        D, radius = 10 ** rng.uniform(-1, 1, 3), 10 ** rng.uniform(-1.5, 1)
        step = bounded_step(C.Hessian().at(quadratic(A, b), np.zeros(3)), D, gf.Bounds(lower, upper), radius)
        s, slope = step.d, A @ step.d - b
        if step.length < radius * (1 - 1e-9):
            np.testing.assert_allclose(s, minimiser_by_enumeration(A, b, lower, upper), rtol=0, atol=1e-9)
        else:
            on_sphere += 1
            free = (s > lower) & (s < upper)  # there the slope is -nu D s with one nu >= 0
            nu = -(slope[free] @ s[free]) / (s[free] @ (D[free] * s[free])) if np.any(free) else 0.0
            np.testing.assert_allclose(slope[free], -nu * D[free] * s[free], rtol=0, atol=1e-7 * np.abs(b).max())
            assert nu >= 0
    assert on_sphere > 50


@pytest.mark.parametrize("split", SPLITS)
def test_the_cauchy_stage_without_bounds_is_the_cauchy_point(split):
    for seed in range(20):
        problem, theta = smooth_problem(split, seed=seed)
        D = np.random.default_rng(seed).uniform(0.2, 3, 4)
        for curvature in (C.Hessian(), C.GaussNewton()):
            for radius in (0.05, 50.0):
                model = curvature.at(problem, theta)
                box = _Box(model, D, gf.Bounds(), radius)
                found, wanted = box.cauchy_stage(box.place(box.zero, box.zero)), cauchy_point(model, D, radius)
                np.testing.assert_allclose(found.s, wanted.d, rtol=1e-12, atol=0)
                np.testing.assert_allclose(found.decrease, -wanted.slope - wanted.bend / 2, rtol=1e-9)


def test_a_stage_takes_a_decrease_of_a_hundredth_of_the_slope():
    """On E = t^2/2 - t from 0, the step beta decreases E by the share 1 - beta / 2 of beta times the slope."""
    model = C.Hessian().at(quadratic(np.eye(1), np.ones(1)), np.zeros(1))
    box = _Box(model, None, gf.Bounds(), 10.0)
    start = box.place(box.zero, box.zero)
    for beta, taken in ((1.979, True), (1.981, False)):
        found = box.search(start, np.ones(1), iter([beta]))
        np.testing.assert_array_equal(found.s, beta if taken else 0.0)
    assert SUFFICIENT == 0.01


def test_a_projected_search_to_the_minimiser_of_a_face_reaches_a_bound():
    """In a narrow valley, the projection of a longer way increases the model: the way to the first bound is then taken."""
    only_the_first_bound = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        A, b = convex_quadratic(rng, 3, narrow=3.0)
        way = np.linalg.solve(A, b)
        bound = np.abs(way) * rng.uniform(0.05, 1.5, 3)
        box = _Box(C.Hessian().at(quadratic(A, b), np.zeros(3)), None, gf.Bounds(-bound, bound), 1e9)
        start = box.place(box.zero, box.zero)
        nearest = box.nearest(start, way)
        if nearest < 1:
            found = box.search(start, way, _shares(nearest))
            np.testing.assert_allclose(np.max(np.abs(found.s) / bound), 1, rtol=1e-14)
            only_the_first_bound += np.allclose(found.s, nearest * way, rtol=1e-14)
    assert only_the_first_bound > 20


SADDLE = gf.FunctionProblem(
    lambda t: t[0] ** 2 / 2 - t[1] ** 2 / 2 + t[1] ** 4 / 4,
    lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
)


@pytest.mark.parametrize("solver", ["auto", "eigh", "lanczos"])
@pytest.mark.parametrize("start", [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, -0.2]])
def test_infinite_bounds_change_nothing_also_at_a_saddle(start, solver):
    for stop in (None, gf.Tolerance(gradient=1e-9)):
        free, boxed = (
            gf.solve(SADDLE, gf.TrustRegion(bounds=bounds, solver=solver), np.array(start), steps=30, stop=stop)
            for bounds in (None, gf.Bounds())
        )
        assert boxed.status is free.status
        assert boxed.history["energy"].size == free.history["energy"].size
        np.testing.assert_allclose(boxed.theta, free.theta, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(boxed.history["energy"], free.history["energy"], rtol=1e-9, atol=1e-12)


def test_a_saddle_of_a_face_is_left_within_it():
    for low, high in (([1.0, -2.0], [2.0, 2.0]), ([1.0, -1e-3], [2.0, 0.5]), ([0.0, -np.inf], [0.0, np.inf])):
        start = np.array([low[0], 0.0])  # held by the gradient, or fixed; the other entry of the gradient is zero
        run = gf.solve(
            SADDLE, gf.TrustRegion(bounds=gf.Bounds(low, high)), start, steps=60, stop=gf.Tolerance(gradient=1e-9)
        )
        assert run.status is gf.Status.CONVERGED
        assert run.theta[0] == low[0]
        assert run.theta[1] in (low[1], high[1]) or abs(abs(run.theta[1]) - 1) < 1e-8
    held = gf.solve(SADDLE, gf.TrustRegion(bounds=gf.Bounds([1.0, 0.0], [2.0, 0.0])), np.array([1.0, 0.0]), steps=12)
    assert held.status is gf.Status.DONE  # a vertex has no face to leave along


def test_a_step_to_a_bound_lands_on_it():
    rng = np.random.default_rng(0)
    inside, far = 10 ** rng.uniform(-3, 3, (2, 1000))
    missed = inside + (far - inside) != far
    assert np.any(missed)
    for sign in (1.0, -1.0):
        theta, goal = sign * inside, sign * far
        box = gf.Bounds(np.minimum(theta, goal), np.maximum(theta, goal))
        d = goal - theta
        np.testing.assert_array_equal(box.landed(theta, d, theta + d), goal)
        half = box.landed(theta, d, theta + 0.5 * d)  # dt = 1/2
        np.testing.assert_allclose(half, (theta + goal) / 2, rtol=1e-12)


@pytest.mark.parametrize("method", [gf.LevenbergMarquardt, gf.TrustRegion])
def test_a_part_of_each_step_ends_on_the_bound_too(method):
    problem = gf.DenseLeastSquares(lambda t: np.array([t[0] - 7.0, t[1] - 1.0]))
    stop = gf.Tolerance(gradient=1e-9)
    for upper in (
        5.0,
        np.nextafter(5.0, 6.0),
    ):  # half of the last distance rounds up to the first one, and to zero for the other
        run = gf.solve(problem, method(bounds=gf.Bounds(-1.0, upper)), np.ones(2) / 3, dt=0.5, steps=200, stop=stop)
        assert run.status is gf.Status.CONVERGED
        assert run.theta[0] == upper


UNITS = [2.0**k for k in (0, -10, -30, -40, 30)]


@pytest.mark.parametrize("stop", [{"gradient": 1e-8}, {"gradient_relative": 1e-8}], ids=lambda stop: next(iter(stop)))
@pytest.mark.parametrize("upper", [1.0, 0.5])
def test_units_of_the_parameters_change_no_run(stop, upper):
    """exp(-theta x / u) in the box [0, u] or [0, u / 2] fits exp(-0.7 x): a power of 2 for u changes no digit of theta / u."""
    x, ends = np.linspace(0, 1, 9), []
    for unit in UNITS:
        problem = gf.DenseLeastSquares(
            lambda t, unit=unit: np.exp(-t[0] / unit * x) - np.exp(-0.7 * x),
            lambda t, unit=unit: (-x / unit * np.exp(-t[0] / unit * x))[:, None],
        )
        tolerance = gf.Tolerance(**{k: v / unit if k == "gradient" else v for k, v in stop.items()})
        method = gf.LevenbergMarquardt(bounds=gf.Bounds(0.0, upper * unit))
        ends.append(gf.solve(problem, method, np.array([0.1 * unit]), steps=60, stop=tolerance))
    for unit, end in zip(UNITS, ends, strict=True):
        assert end.status is gf.Status.CONVERGED
        np.testing.assert_array_equal(end.history["energy"], ends[0].history["energy"])
        np.testing.assert_array_equal(end.theta / unit, ends[0].theta)
    np.testing.assert_allclose(ends[0].theta, min(upper, 0.7), rtol=1e-6)


def test_a_tolerance_in_a_box_narrower_than_itself_is_one_on_the_gradient():
    """The gradient at the start is 1e9, in a box of width 1e-9; `Pi(theta - g) - theta` is at most that width."""
    x, unit = np.linspace(0, 1, 9), 1e-9
    problem = gf.DenseLeastSquares(lambda t: np.exp(-t[0] / unit * x) - np.exp(-0.7 * x))
    for method in (gf.LevenbergMarquardt, gf.TrustRegion):
        run = gf.solve(
            problem, method(bounds=gf.Bounds(0.0, unit)), np.array([0.1 * unit]), steps=200, stop=gf.Tolerance(gradient=1e-3)
        )  # fmt: skip
        assert run.status is gf.Status.CONVERGED
        np.testing.assert_allclose(run.theta, 0.7 * unit, rtol=1e-6)
    held = gf.solve(
        problem, gf.LevenbergMarquardt(bounds=gf.Bounds(0.0, unit)), np.array([0.1 * unit]), dt=1e-300, steps=30
    )
    assert held.status is gf.Status.STAGNATED
    assert "gradient has norm 1.31e+09" in held.message


def test_a_held_parameter_does_not_excuse_the_gradient_of_another():
    """The gradient is 1e6 for a parameter at its bound and 1e-3 for one that a tiny dt keeps in place."""
    slopes, statuses = np.array([1e6, 1e-3, 0.0]), []
    for kept in (slice(0, 3), slice(1, 3)):
        lower, upper, c = np.array([0, 0, 1e6])[kept], np.array([1, 1e-20, 1e6])[kept], slopes[kept]
        linear = gf.FunctionProblem(lambda t, c=c: 1 + c @ t, lambda t, c=c: 0 * t + c, lambda t, v: 0 * v)
        start = np.array([0, 0.5e-20, 1e6])[kept]
        statuses.append(
            gf.solve(linear, gf.TrustRegion(bounds=gf.Bounds(lower, upper)), start, dt=1e-300, steps=20).status
        )
    assert statuses == [gf.Status.STAGNATED, gf.Status.STAGNATED]


def test_a_zero_step_in_a_narrow_box_is_no_end_of_the_model():
    """The step underflows, yet the gradient times theta is more than a rounding error of E; so it is without bounds."""
    problem = gf.FunctionProblem(lambda t: 1e-160 + 1e-20 * t[0], lambda t: 0 * t + 1e-20, lambda t, v: 1e305 * v)
    for box in (None, gf.Bounds(), gf.Bounds(0.0, 1e-150)):
        method = gf.TrustRegion(bounds=box)
        state = method.step(problem, method.init(problem, np.array([0.5e-150])), 1.0)
        assert state.length == 0
        assert state.exhausted == 0


def test_the_free_gradient_is_the_gradient_without_the_entries_that_a_bound_holds():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        lower, upper, theta = random_box(rng, 6)
        theta = np.where(rng.random(6) < 0.4, np.clip(theta + rng.choice([-9, 9], 6), lower, upper), theta)
        g, box = rng.standard_normal(6) * (rng.random(6) > 0.1), gf.Bounds(lower, upper)
        free, reduced = box.free(theta, g), box.reduced(theta, g)
        np.testing.assert_array_equal(free == 0, reduced == 0)
        np.testing.assert_array_equal(free[free != 0], g[free != 0])
        assert np.all(np.abs(reduced) <= np.abs(free))
        inwards = np.clip(theta - 1e-9 * g, lower, upper) != theta
        np.testing.assert_array_equal(free != 0, inwards)


def test_numbers_bound_every_parameter():
    method = gf.TrustRegion(bounds=gf.Bounds(-0.25, 0.5))
    run = gf.solve(double_well(), method, np.array([-0.1, 0.1]), steps=60, stop=gf.Tolerance(gradient=1e-8))
    assert run.status is gf.Status.CONVERGED
    np.testing.assert_array_equal(run.theta, [-0.25, 0.5])
    np.testing.assert_array_equal(run.active, [-1, 1])


@pytest.mark.parametrize("unit", [1e150, 1.0, 1e-150])
def test_energies_of_every_size(unit):
    problem = gf.DenseLeastSquares(lambda t: unit * np.array([t[0] - 7.0, t[1] * t[0] - 1, t[1]]))
    for method in (gf.LevenbergMarquardt(bounds=gf.Bounds(0, 5)), gf.TrustRegion(bounds=gf.Bounds(0, 5))):
        run = gf.solve(problem, method, np.ones(2), steps=60, stop=gf.Tolerance(step_relative=1e-8))
        assert run.status is gf.Status.CONVERGED
        np.testing.assert_allclose(run.theta, [5.0, 5 / 26], rtol=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("solver", ["auto", "lanczos"])
def test_numbers_that_are_not_finite_end_a_run_with_a_status(value, solver):
    """Beyond t = 2 the Jacobian, or the residual too, is wrong: no exception, and theta stays finite and in the box."""
    wrong = lambda t: value if t[0] > 2 else 1.0  # noqa: E731
    for of_residual in (False, True):
        problem = gf.DenseLeastSquares(
            lambda t, bad=of_residual: np.array([t[0] - 7.0, t[1] * t[0] - 1]) * (wrong(t) if bad else 1),
            lambda t: np.array([[1.0, 0.0], [t[1], t[0]]]) * wrong(t),
        )
        for method in (gf.LevenbergMarquardt, gf.TrustRegion):
            run = gf.solve(problem, method(bounds=gf.Bounds(0, 5), solver=solver), np.ones(2), steps=20)
            assert np.all((run.theta >= 0) & (run.theta <= 5))
            assert run.status is not gf.Status.CONVERGED


# -- Runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("split", SPLITS)
def test_a_run_is_feasible_and_monotone_and_ends_where_l_bfgs_b_does(split, name):
    for seed in range(3):
        problem, _ = smooth_problem(split, seed=seed)
        lower, upper, theta = random_box(np.random.default_rng(seed + 50), 4)
        half = gf.solve(problem, METHODS[name](gf.Bounds(lower, upper)), theta, dt=0.5, steps=8)
        assert np.all((half.theta >= lower) & (half.theta <= upper))
        assert np.all(np.diff(half.history["energy"]) <= 64 * EPS)
        path = []
        run = gf.solve(
            problem, METHODS[name](gf.Bounds(lower, upper)), theta, steps=200, stop=gf.Tolerance(gradient=1e-6),
            callback=lambda n, state, path=path: path.append(state.theta),
        )  # fmt: skip
        assert run.status is gf.Status.CONVERGED
        assert all(np.all((t >= lower) & (t <= upper)) for t in path)
        assert np.all(np.diff(run.history["energy"]) <= 64 * EPS)
        g = problem.energy_and_gradient(run.theta)[1]
        np.testing.assert_allclose(
            np.clip(run.theta - g, lower, upper), run.theta, rtol=0, atol=1e-6 * (1 + 1 / np.min(problem.mass))
        )
        np.testing.assert_array_equal(
            run.state.active, np.where(run.theta == upper, 1, np.where(run.theta == lower, -1, 0))
        )
        mass = problem.mass
        other = minimize(
            lambda t, mass=mass, problem=problem: (float(problem.energy(t)), mass * problem.energy_and_gradient(t)[1]),
            run.theta, jac=True, bounds=np.stack([lower, upper], axis=1), method="L-BFGS-B",
        )  # fmt: skip
        np.testing.assert_allclose(problem.energy(run.theta), other.fun, rtol=0, atol=1e-9)


def test_a_saddle_within_the_box_is_left_and_float32_works():
    for dtype in (np.float64, np.float32):
        box = gf.Bounds([-0.5, -3.0, 0.25], [2.0, -0.1, 0.25])
        start = np.array([-0.4, -0.2, 0.25], dtype=dtype)
        run = gf.solve(
            double_well(dtype=dtype), gf.TrustRegion(bounds=box), start, steps=60, stop=gf.Tolerance(gradient=1e-5)
        )
        assert run.status is gf.Status.CONVERGED
        assert run.theta.dtype == dtype
        np.testing.assert_allclose(np.abs(run.theta[1:]), [1.0, 0.25], atol=1e-5)
        assert run.theta[0] in (-0.5, dtype(1.0)) or abs(run.theta[0] - 1) < 1e-5


def test_a_minimum_at_a_vertex_meets_every_tolerance():
    problem, _ = smooth_problem("plain")
    run = gf.solve(problem, gf.TrustRegion(), np.zeros(4), steps=100, stop=gf.Tolerance(gradient=1e-9))
    g, corner = problem.energy_and_gradient(run.theta - 1)[1], run.theta - 1
    box = gf.Bounds(np.where(g > 0, corner, corner - 1), np.where(g > 0, corner + 1, corner))  # held by the gradient
    for stop in (gf.Tolerance(gradient=1e-12), gf.Tolerance(step=1e-12), gf.Tolerance(energy=1e-12)):
        end = gf.solve(problem, gf.LevenbergMarquardt(bounds=box), corner, steps=30, stop=stop)
        assert end.status is gf.Status.CONVERGED
        np.testing.assert_array_equal(end.theta, corner)
    end = gf.solve(problem, gf.LevenbergMarquardt(bounds=box), corner, steps=30)
    assert end.status is gf.Status.DONE
    assert "stationary" in end.message


def test_all_parameters_may_be_fixed():
    problem, theta = smooth_problem("plain")
    run = gf.solve(
        problem, gf.TrustRegion(bounds=gf.Bounds(theta, theta)), theta, steps=5, stop=gf.Tolerance(gradient=1e-300)
    )
    assert run.status is gf.Status.CONVERGED
    np.testing.assert_array_equal(run.theta, theta)
    with pytest.raises(ValueError, match="every parameter is at a bound"):
        run.covariance()


def test_what_bounds_cannot_be_combined_with_is_refused():
    problem, theta = smooth_problem("plain")
    box = gf.Bounds(-3.0, 3.0)
    for wrong in (
        {"globalization": C.NielsenDamping()}, {"globalization": C.Armijo()}, {"solver": "steihaug"}, {"solver": "gram"},
        {"bounds": (0.0, 1.0)},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"bounds|globalization"):
            gf.SecondOrder(**{"globalization": C.TrustRegion(), "bounds": box} | wrong)
    with pytest.raises(ValueError, match="must not exceed"):
        gf.Bounds([0.0, 1.0], 0.5)
    with pytest.raises(ValueError, match="shape"):
        gf.Bounds([0.0, 1.0], [1.0, 2.0, 3.0])
    method = gf.TrustRegion(bounds=gf.Bounds(upper=float(theta.max()) - 0.01))
    with pytest.raises(ValueError, match=rf"theta0 must lie within the bounds, but entry \[{theta.argmax()}\]"):
        gf.solve(problem, method, theta, steps=1)
    with pytest.raises(ValueError, match=r"P = 4; got \(2,\)"):
        gf.solve(problem, gf.TrustRegion(bounds=gf.Bounds([0.0, 0.0])), theta, steps=1)
    with pytest.raises(ValueError, match="dt with bounds"):
        gf.solve(problem, gf.TrustRegion(bounds=box), theta, dt=1.5, steps=1)
    other = gf.FunctionProblem(problem.energy, lambda t: t, lambda t, v: v, inner=lambda u, v: u @ v)
    with pytest.raises(ValueError, match="diagonal inner product"):
        gf.solve(other, gf.TrustRegion(bounds=box), theta, steps=1)
    sketched = C.Sketched(C.GaussNewton(), 2)
    with pytest.raises(ValueError, match="subspace"):
        gf.solve(problem, gf.TrustRegion(bounds=box, curvature=sketched), theta, steps=1)


def test_a_theta_that_is_no_real_vector_is_refused_by_every_method():
    box, theta = gf.Bounds([0.5, 0.0], 1.5), np.array([0.75, 1.0])
    calls = {
        "around": box.around, "require": box.require, "project": box.project, "active": box.active,
        "reduced": lambda t: box.reduced(t, theta), "free": lambda t: box.free(t, theta),
        "landed": lambda t: box.landed(t, theta, theta),
    }  # fmt: skip
    for call in calls.values():
        for wrong in (
            [0.75, 1.0],
            np.array(0.75),
            np.array([1, 1]),
            np.ones((2, 2)),
            np.ones(2, complex),
            np.ones(3),
            0.75,
        ):
            with pytest.raises(ValueError, match=r"theta|lower|shape"):
                call(wrong)
    for wrong in (np.ones(1), np.ones(3), np.ones(2, np.float32), [1.0, 1.0]):
        for call in (box.reduced, box.free):
            with pytest.raises(ValueError, match=r"^g must"):
                call(theta, wrong)
        with pytest.raises(ValueError, match=r"^d must"):
            box.landed(theta, wrong, theta)
        with pytest.raises(ValueError, match=r"^trial must"):
            box.landed(theta, theta, wrong)
    for free in (box, gf.Bounds()):
        with pytest.raises(ValueError, match=r"entry \[1\] is nan"):
            free.require(np.array([0.75, np.nan]))


def test_bounds_compare_by_value_and_are_copied():
    lower = np.array([0.0, 1.0])
    box = gf.Bounds(lower)
    assert box == gf.Bounds([0, 1])
    assert hash(box) == hash(gf.Bounds([0, 1]))
    assert box != gf.Bounds([0, 2])
    lower[0] = 5
    assert box == gf.Bounds([0, 1])
    assert gf.TrustRegion(bounds=box) == gf.TrustRegion(bounds=gf.Bounds([0, 1]))


# -- Fits --------------------------------------------------------------------------------------------------------------

X = np.linspace(0, 4, 40)
Y = 2.0 * np.exp(-1.3 * X) + 0.5 + 0.05 * np.random.default_rng(3).standard_normal(40)
START = np.array([1.0, 0.5, 0.0])
BOXES = {
    "inactive": ([0.0, 0.0, -1.0], [5.0, 5.0, 5.0]),
    "one": ([0.0, 0.0, -np.inf], [1.8, np.inf, np.inf]),
    "two": ([0.0, 0.0, -1.0], [1.8, np.inf, 0.45]),
    "all": ([0.0, 0.0, -1.0], [1.5, 0.8, 0.2]),
    "fixed": ([1.0, 0.0, -1.0], [1.0, 9.0, 9.0]),
}


def decay(**more):
    return gf.DenseLeastSquares(lambda p: p[0] * np.exp(-p[1] * X) + p[2] - Y, **more)


@pytest.mark.parametrize("loss", [None, gf.Huber(0.05)])
@pytest.mark.parametrize("name", BOXES)
def test_a_fit_within_bounds_is_that_of_scipy(name, loss):
    lower, upper = BOXES[name]
    problem = decay(loss=loss)
    methods = [gf.LevenbergMarquardt(bounds=gf.Bounds(lower, upper)), gf.TrustRegion(bounds=gf.Bounds(lower, upper))]
    ends = [
        gf.solve(problem, m, START, steps=200, stop=gf.Tolerance(step_relative=1e-9))
        for m in methods[: 1 if loss else 2]
    ]
    wide = np.array(upper) + np.where(np.equal(lower, upper), 1e-11, 0)  # SciPy refuses equal bounds
    other = least_squares(
        lambda p: p[0] * np.exp(-p[1] * X) + p[2] - Y, np.clip(START, lower, upper), bounds=(lower, wide), x_scale="jac",
        loss="huber" if loss else "linear", f_scale=0.05, xtol=1e-12, ftol=1e-14, gtol=1e-14, max_nfev=2000,
    )  # fmt: skip
    for end in ends:
        assert end.status is gf.Status.CONVERGED
        np.testing.assert_allclose(end.theta, other.x, rtol=2e-4, atol=1e-5)
        assert problem.energy(end.theta) <= other.cost * (1 + 1e-9)
    if name != "fixed":
        np.testing.assert_array_equal(
            ends[0].active, np.where(end.theta == lower, -1, np.where(end.theta == upper, 1, 0))
        )


@pytest.mark.parametrize("name", BOXES)
def test_a_fit_without_tolerances_ends_at_a_stationary_point_and_needs_nothing_outside(name):
    lower, upper = BOXES[name]

    def residual(p):
        outside = np.max(np.abs(p - np.clip(p, lower, upper)))
        assert outside <= 1e-6  # rounding errors of a sum of squares are measured next to theta
        return np.full(40, np.nan) if outside > 0 else p[0] * np.exp(-p[1] * X) + p[2] - Y

    def jacobian(p):
        return np.stack([np.exp(-p[1] * X), -p[0] * X * np.exp(-p[1] * X), np.ones(40)], axis=1)

    problem = gf.DenseLeastSquares(residual, jacobian)
    end = gf.solve(
        problem, gf.LevenbergMarquardt(bounds=gf.Bounds(lower, upper)), np.clip(START, lower, upper), steps=200
    )
    assert end.status is gf.Status.DONE
    assert "stationary" in end.message


@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
@pytest.mark.parametrize("loss", [None, gf.Huber(0.05)])
def test_a_parameter_at_a_bound_is_fixed_in_the_covariance(kind, loss):
    bounded = gf.LevenbergMarquardt(bounds=gf.Bounds(upper=[1.8, np.inf, np.inf]))
    stop = gf.Tolerance(step_relative=1e-10)
    end = gf.solve(decay(loss=loss), bounded, START, steps=200, stop=stop)
    rest = gf.DenseLeastSquares(lambda p: 1.8 * np.exp(-p[0] * X) + p[1] - Y, loss=loss)
    wanted = gf.solve(rest, gf.LevenbergMarquardt(), START[1:], steps=200, stop=stop).covariance(kind)
    found = end.covariance(kind)
    assert found.degrees_of_freedom == wanted.degrees_of_freedom == 38
    np.testing.assert_allclose(found.matrix[1:, 1:], wanted.matrix, rtol=1e-4)
    np.testing.assert_allclose(found.standard_errors[1:], wanted.standard_errors, rtol=1e-4)
    assert not np.any(found.matrix[0])
    assert not np.any(found.matrix[:, 0])
    assert "fixed  at its upper bound" in end.summary()
    assert "38 degrees of freedom" in end.summary()


@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
@pytest.mark.parametrize("scale", [1e-140, 1.0, 1e140, 1e180])
def test_errors_next_to_a_fixed_parameter_are_those_of_the_rest_at_every_scale(scale, kind):
    rng = np.random.default_rng(0)
    J, y = rng.standard_normal((12, 3)) * np.array([scale, 1, 1]), rng.standard_normal(12)
    theta = np.zeros(3)
    whole = gf.DenseLeastSquares(lambda t: J @ t - y, lambda t: J)
    rest = gf.DenseLeastSquares(lambda t: J[:, :2] @ t - y, lambda t: J[:, :2])
    found, wanted = covariance(whole, theta, kind, np.array([False, False, True])), covariance(rest, theta[:2], kind)
    np.testing.assert_array_equal(found.standard_errors, [*wanted.standard_errors, 0])
    np.testing.assert_array_equal(found.matrix[:2, :2], wanted.matrix)
    assert np.all(wanted.standard_errors > 0)
    assert not np.any(found.matrix[2])
    assert not np.any(found.matrix[:, 2])


def test_a_variance_out_of_range_leaves_the_errors_and_the_zeros_of_a_fixed_parameter():
    rng = np.random.default_rng(0)
    J, y = rng.standard_normal((12, 3)) * np.array([1e-180, 1, 1]), rng.standard_normal(12)
    with np.errstate(over="ignore"):
        found = covariance(
            gf.DenseLeastSquares(lambda t: J @ t - y, lambda t: J), np.zeros(3), fixed=np.array([False, False, True])
        )
    assert found.matrix[0, 0] == np.inf
    assert 1e179 < found.standard_errors[0] < 1e181
    np.testing.assert_array_equal(found.matrix[2], 0)
    assert found.standard_errors[2] == 0


def test_a_stored_fit_knows_its_bounds(tmp_path):
    method = gf.LevenbergMarquardt(bounds=gf.Bounds(upper=[1.8, np.inf, np.inf]))
    end = gf.solve(decay(), method, START, steps=200, stop=gf.Tolerance(step_relative=1e-10))
    kept = gf.Solution.load(end.save(tmp_path / "fit"))
    np.testing.assert_array_equal(kept.active, [1, 0, 0])
    np.testing.assert_array_equal(kept.covariance(problem=decay()).matrix, end.covariance().matrix)
    assert gf.solve(decay(), gf.LevenbergMarquardt(), START, steps=5).active is None


# -- Second derivatives of a residual ----------------------------------------------------------------------------------


def exact_hessian(p):
    """Return the Hessian of the energy of `decay`, (3, 3)."""
    e = np.exp(-p[1] * X)
    q = p[0] * e + p[2] - Y
    J = np.stack([e, -p[0] * X * e, np.ones_like(X)], axis=1)
    H = J.T @ J
    H[0, 1] -= q @ (X * e)
    H[1, 0] = H[0, 1]
    H[1, 1] += q @ (p[0] * X**2 * e)
    return H


@pytest.mark.parametrize("given", ["residual", "jacobian", "hvp"])
def test_a_residual_has_second_derivatives(given):
    more = {}
    if given == "jacobian":
        more["jacobian"] = lambda p: np.stack([np.exp(-p[1] * X), -p[0] * X * np.exp(-p[1] * X), np.ones(40)], axis=1)
    if given == "hvp":
        more["hvp"] = lambda p, v: exact_hessian(p) @ v
    problem = decay(**more)
    assert problem.second_derivative == "not used"
    H = np.stack([problem.hvp(START, e) for e in np.eye(3)])
    np.testing.assert_allclose(H, exact_hessian(START), rtol=0, atol=1e-7 * np.abs(H).max())
    np.testing.assert_array_equal(problem.hvp(START, np.zeros(3)), 0)
    assert problem.second_derivative == ("given" if given == "hvp" else "differences of the Jacobian")


@pytest.mark.parametrize("loss", [None, gf.SoftL1(0.2)])
@pytest.mark.parametrize("split", ["weights", "mass"])
def test_the_product_is_the_derivative_of_the_gradient(loss, split):
    more = (
        {"weights": np.linspace(0, 2, 40)} if split == "weights" else {"mass": np.array([0.5, 1.0, 3.0]), "linear": 0.3}
    )
    problem, v, h = decay(loss=loss, **more), np.array([1.0, -0.5, 2.0]), 1e-5
    high, low = (problem.energy_and_gradient(START + s * h * v)[1] for s in (1, -1))
    np.testing.assert_allclose(problem.hvp(START, v), (high - low) / (2 * h), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "method",
    [
        gf.Newton(globalization=C.Armijo()), gf.Newton(globalization=C.StrongWolfe()), gf.Newton(globalization=C.TrustRegion()),
        gf.Newton(globalization=C.NielsenDamping()), gf.NewtonCG(), gf.CubicRegularization(),
    ],
    ids=lambda m: f"{type(m).__name__}-{type(getattr(m, 'globalization', None)).__name__}",
)  # fmt: skip
def test_newtons_methods_fit_a_residual(method):
    end = gf.solve(decay(), method, START, steps=100, stop=gf.Tolerance(gradient=1e-6))
    assert end.status is gf.Status.CONVERGED
    np.testing.assert_allclose(end.theta, [1.98869, 1.31136, 0.50332], atol=1e-4)
    assert np.all(np.diff(end.history["energy"]) <= 0)
    assert "second derivatives: differences of the Jacobian" in end.summary()
    near = gf.solve(decay(), gf.SaddleFreeNewton(), end.theta + 0.01, steps=20, stop=gf.Tolerance(gradient=1e-6))
    assert near.status is gf.Status.CONVERGED


def test_a_problem_without_second_derivatives_is_refused_at_the_door():
    class Bare(gf.FunctionProblem):
        """A problem of one's own."""

    class Own(Bare):
        def nonlinear_hvp(self, theta, v):
            return v

    functions = (lambda t: t @ t / 2, lambda t: 1.0 * t)
    assert not Bare(*functions).has_hvp
    assert Own(*functions).has_hvp
    for method in (gf.Newton(), gf.NewtonCG(), gf.SaddleFreeNewton(), gf.TrustRegion(), gf.NegativeCurvatureDescent()):
        method.init(Own(*functions), np.ones(2))
        with pytest.raises(ValueError, match="second derivatives"):
            method.init(Bare(*functions), np.ones(2))
    with pytest.raises(ValueError, match="not both"):
        gf.Newton(damping=1.0, globalization=C.Armijo())
