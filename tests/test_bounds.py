"""Bounds on parameters: steps in a box against the enumeration of active sets, fits against SciPy, covariances on a face."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

import gradflow as gf
from gradflow.curvature.bounds import bounded_step
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import trust_region
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
        R = rng.standard_normal((P + 2, P)) * 10 ** rng.uniform(-1, 1, P)
        A, b = R.T @ R, 3 * rng.standard_normal(P)
        lower, upper, theta = random_box(rng, P)
        mass, weights = (None, None) if seed % 2 else (rng.uniform(0.2, 3, P), rng.uniform(0.2, 3, P))
        model = C.Hessian().at(quadratic(A, b, mass), theta)
        step = bounded_step(model, weights, gf.Bounds(lower, upper), 1e3)
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


# -- Runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("split", SPLITS)
def test_a_run_is_feasible_and_monotone_and_ends_where_l_bfgs_b_does(split, name):
    for seed in range(3):
        problem, _ = smooth_problem(split, seed=seed)
        lower, upper, theta = random_box(np.random.default_rng(seed + 50), 4)
        path = []
        run = gf.solve(
            problem, METHODS[name](gf.Bounds(lower, upper)), theta, steps=200, stop=gf.Tolerance(gradient=1e-8),
            callback=lambda n, state, path=path: path.append(state.theta),
        )  # fmt: skip
        assert run.status is gf.Status.CONVERGED
        assert all(np.all((t >= lower) & (t <= upper)) for t in path)
        assert np.all(np.diff(run.history["energy"]) <= 64 * EPS)
        g = problem.energy_and_gradient(run.theta)[1]
        np.testing.assert_allclose(np.clip(run.theta - g, lower, upper), run.theta, rtol=0, atol=1e-7)
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
