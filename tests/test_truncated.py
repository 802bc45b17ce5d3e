"""Solvers without an eigenbasis: modified Cholesky factorisations, truncated conjugate gradients, dogleg, Cauchy point."""

from math import inf, nan

import array_api_strict as strict
import mpmath
import numpy as np
import pytest

import gradflow as gf
from gradflow.curvature.cholesky import modified_cholesky
from gradflow.curvature.normal_equations import cholesky_step
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import damped, trust_region
from gradflow.curvature.truncated import cauchy_point, dogleg, steihaug, to_boundary

C = gf.curvature
METRICS = {"identity": None, "diagonal": np.geomspace(0.3, 3, 6)}
MASSES = {"plain": 1.0, "number": 0.25, "diagonal": np.array([0.5, 1.0, 2.0, 3.0, 0.7, 1.3])}


def quadratic_model(rng, kind="definite", mass=1.0, P=6, condition=100.0, dtype=float):
    """Return the model of E = (g, t) + t^T B t / 2 at 0, and B."""
    Q = np.linalg.qr(rng.standard_normal((P, P)))[0]
    mu = np.geomspace(1, condition, P)
    if kind == "indefinite":
        mu = mu * np.where(rng.random(P) < 0.3, -1, 1)
    B = (Q * mu) @ Q.T
    B, g = ((B + B.T) / 2).astype(dtype), (rng.standard_normal(P) * 10 ** rng.uniform(-2, 2)).astype(dtype)
    mass = np.asarray(mass, dtype) if np.ndim(mass) else mass
    problem = gf.FunctionProblem(
        lambda t: (mass * g) @ t + t @ B @ t / 2, lambda t: g + B @ t / mass, lambda t, v: B @ v / mass, mass=mass
    )
    return C.Hessian().at(problem, np.zeros(P, dtype)), B


def exact(model, weights, radius):
    return minimise(model, weights, lambda form: trust_region(form.gamma, form.mu, radius), "eigh")


def decrease(step):
    return float(-step.slope - step.bend / 2)


# -- The root at the boundary -------------------------------------------------------------------------------------


def test_the_way_to_the_boundary_keeps_its_digits():
    """Against 60 digits, from points that are close to the boundary and far inside, along p in and out."""
    rng = np.random.default_rng(0)
    with mpmath.workdps(60):
        for _ in range(500):
            radius, bb = 10 ** rng.uniform(-5, 5), 10 ** rng.uniform(-10, 10)
            length = radius * (1 - 10 ** rng.uniform(-15, 0))
            ab = length * np.sqrt(bb) * rng.uniform(-1, 1)
            t = to_boundary(length**2, ab, bb, radius)
            c = (mpmath.sqrt(mpmath.mpf(length**2)) - radius) * (mpmath.sqrt(mpmath.mpf(length**2)) + radius)
            a, b = mpmath.mpf(bb), mpmath.mpf(ab)
            wanted = (-b + mpmath.sqrt(b * b - a * c)) / a
            gap = max(float(-c) / radius**2, 1e-300)  # the rounding of sqrt(|d|^2) is relative to the radius
            assert abs(t - wanted) <= (1e-14 + 1e-15 / gap) * abs(wanted)
    assert to_boundary(0.0, 0.0, 4.0, 3.0) == 1.5
    assert to_boundary(9.0, 0.0, 4.0, 3.0) == 0.0
    assert to_boundary(1.0, -2.0, 4.0, 1.0) == 1.0  # from (1, 0) along (-2, 0): to the other side


# -- Truncated conjugate gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("kind", ["definite", "indefinite"])
def test_steihaug_against_the_exact_minimiser(kind, mass, metric):
    """Inside it is the minimiser; no worse than the Cauchy point; half of the optimum if definite (Yuan); Lanczos is exact."""
    rng, weights = np.random.default_rng(0), METRICS[metric]
    for _ in range(60):
        model, _ = quadratic_model(rng, kind, MASSES[mass])
        radius = 10 ** rng.uniform(-3, 3)
        best, step = exact(model, weights, radius), steihaug(model, weights, radius)
        dot = lambda u: float(model.problem.inner(u if weights is None else weights * u, u))  # noqa: B023, E731
        length = np.sqrt(dot(step.d))
        assert length <= radius * (1 + 1e-12)
        np.testing.assert_allclose(step.length, length, rtol=1e-12)
        np.testing.assert_allclose(step.slope, model.problem.inner(model.gradient, step.d), rtol=1e-10)
        np.testing.assert_allclose(step.bend, model.problem.inner(step.d, model.apply(step.d)), rtol=1e-9, atol=1e-12)
        cauchy = cauchy_point(model, weights, radius)
        assert cauchy.length <= radius * (1 + 1e-12)
        assert decrease(best) * (1 + 1e-9) >= decrease(step) >= decrease(cauchy) * (1 - 1e-12) > 0
        if kind == "definite":
            assert decrease(step) >= decrease(best) / 2
        if step.boundary:
            np.testing.assert_allclose(length, radius, rtol=1e-12)
            assert step.most == inf
        else:
            np.testing.assert_allclose(step.d, best.d, atol=1e-8 * np.abs(best.d).max())
            np.testing.assert_allclose(step.most, decrease(best), rtol=1e-9)
            assert not best.boundary
        krylov = minimise(model, weights, lambda form: trust_region(form.gamma, form.mu, radius), "lanczos")  # noqa: B023
        np.testing.assert_allclose(decrease(krylov), decrease(best), rtol=1e-8)


def test_inside_the_region_it_is_the_exact_solution():
    rng = np.random.default_rng(1)
    for _ in range(50):
        model, B = quadratic_model(rng, condition=10.0)
        newton = np.linalg.solve(B, -model.gradient)
        step = steihaug(model, None, 2 * np.linalg.norm(newton), tol=1e-14)
        assert not step.boundary
        assert not step.negative
        np.testing.assert_allclose(step.d, newton, rtol=0, atol=1e-10 * np.linalg.norm(newton))
        assert step.products <= 4 * 6


def test_the_iterates_grow():
    """The step for a larger radius is longer and lower, and continues the same path: monotone norms."""
    rng = np.random.default_rng(2)
    for kind in ("definite", "indefinite"):
        for _ in range(20):
            model, _ = quadratic_model(rng, kind)
            steps = [steihaug(model, None, radius) for radius in np.geomspace(1e-4, 1e4, 60)]
            lengths, values = (np.array(list(map(f, steps))) for f in (lambda s: float(s.length), decrease))
            assert np.all(np.diff(lengths) >= -1e-12 * lengths[1:])
            assert np.all(np.diff(values) >= -1e-12 * np.abs(values[1:]))


def test_the_hard_case_is_not_seen():
    """diag(-1, 2, 3), g = (0, 1, 1), radius 5: conjugate gradients end inside at -0.4167; the minimum is -12.7917."""
    H = np.diag([-1.0, 2.0, 3.0])
    problem = gf.FunctionProblem(
        lambda t: t[1] + t[2] + t @ H @ t / 2, lambda t: np.array([0.0, 1, 1]) + H @ t, lambda t, v: H @ v
    )
    model = C.Hessian().at(problem, np.zeros(3))
    step = steihaug(model, None, 5.0)
    assert not step.boundary
    assert not step.negative
    np.testing.assert_allclose(decrease(step), 5 / 12, rtol=1e-12)
    np.testing.assert_allclose(decrease(exact(model, None, 5.0)), 12.5 + 7 / 24, rtol=1e-12)


def test_a_zero_gradient_and_a_zero_curvature():
    flat = gf.FunctionProblem(lambda t: 0 * t[0], lambda t: 0 * t, lambda t, v: 0 * v)
    slope = gf.FunctionProblem(lambda t: t[0], lambda t: np.array([1.0, 0.0]), lambda t, v: 0 * v)
    for solve in (steihaug, cauchy_point):
        step = solve(C.Hessian().at(flat, np.ones(2)), None, 3.0)
        np.testing.assert_array_equal(step.d, [0, 0])
        assert not step.boundary
        step = solve(C.Hessian().at(slope, np.ones(2)), None, 3.0)
        np.testing.assert_array_equal(step.d, [-3, 0])
        assert step.boundary
        assert not step.negative


@pytest.mark.parametrize("metric", METRICS)
def test_the_dogleg(metric):
    """Its length and its decrease grow with the radius; it ends in the minimiser; with P = 2 it is Steihaug's path."""
    rng, weights = np.random.default_rng(3), METRICS[metric]
    for _ in range(30):
        model, _ = quadratic_model(rng, mass=MASSES["diagonal"])
        newton = cholesky_step(model, weights, 0.0).d
        steps = [dogleg(model, weights, radius, newton) for radius in np.geomspace(1e-4, 1e4, 40)]
        values = np.array(list(map(decrease, steps)))
        assert np.all(np.diff(values) >= -1e-12 * values[1:])
        for step, radius in zip(steps, np.geomspace(1e-4, 1e4, 40), strict=True):
            assert step.length <= radius * (1 + 1e-12)
            assert decrease(step) >= decrease(cauchy_point(model, weights, radius)) * (1 - 1e-12)
            assert step.boundary == (step.length < steps[-1].length * (1 - 1e-12))
        np.testing.assert_allclose(steps[-1].d, newton, rtol=1e-14)
    for _ in range(30):
        model, B = quadratic_model(rng, P=2, condition=10.0)
        newton = np.linalg.solve(B, -model.gradient)
        for radius in np.geomspace(0.01, 2, 10) * np.linalg.norm(newton):
            one, other = dogleg(model, None, radius, newton).d, steihaug(model, None, radius, tol=1e-13).d
            np.testing.assert_allclose(one, other, atol=1e-9 * radius)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_trust_region_method_with_truncated_gradients_reaches_the_minimum(dtype):
    problem = gf.FunctionProblem(
        lambda t: 100 * (t[1] - t[0] ** 2) ** 2 + (1 - t[0]) ** 2,
        lambda t: np.array([-400 * t[0] * (t[1] - t[0] ** 2) - 2 * (1 - t[0]), 200 * (t[1] - t[0] ** 2)], t.dtype),
        lambda t, v: np.array(
            [(1200 * t[0] ** 2 - 400 * t[1] + 2) * v[0] - 400 * t[0] * v[1], -400 * t[0] * v[0] + 200 * v[1]], t.dtype
        ),
    )
    method = gf.TrustRegion(solver="steihaug")
    run = gf.solve(problem, method, np.array([-1.2, 1.0], dtype), steps=100, record=["energy", "products", "boundary"])
    np.testing.assert_allclose(run.theta, 1, atol={"float64": 1e-10, "float32": 1e-3}[dtype])
    assert np.all(np.diff(run.history["energy"]) <= 0)
    assert 1 <= run.history["products"][1] <= 8


# -- Cholesky -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xp", [np, strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1e-10, 1.0, 1e10])
def test_every_symmetric_matrix_has_a_factorisation_within_the_trials(size, dtype, xp):
    """Indefinite, singular, negative: the shift is at most twice what is needed, or beta |A| more."""
    rng, beta = np.random.default_rng(0), 1e-3
    for kind in ("definite", "indefinite", "negative", "singular", "zero diagonal"):
        for _ in range(10):
            A = rng.standard_normal((5, 5))
            A = {
                "definite": A @ A.T + np.eye(5),
                "indefinite": A + A.T,
                "negative": -A @ A.T,
                "singular": A[:, :2] @ A[:, :2].T,
                "zero diagonal": A + A.T - np.diag(np.diag(A + A.T)),
            }[kind]
            A, b = (size * A).astype(dtype), rng.standard_normal(5).astype(dtype)
            x, tau, trials = modified_cholesky(xp.asarray(A), xp.asarray(b), beta=beta)
            x, norm, least = np.from_dlpack(x), np.abs(A).sum(1).max(), np.linalg.eigvalsh(A.astype(float))[0]
            assert 1 <= trials <= 13
            assert (tau == 0) == (kind == "definite") or kind == "singular"
            assert tau <= max(2 * max(-least, 0), max(-np.diag(A).min(), 0)) + 2 * beta * norm
            assert least + tau >= -1e-6 * norm
            if least + tau > 1e-4 * norm:
                rtol = {"float64": 1e-9, "float32": 2e-1}[dtype]
                np.testing.assert_allclose(
                    x, np.linalg.solve(A.astype(float) + tau * np.eye(5), b), rtol=rtol, atol=rtol * np.abs(x).max()
                )
            assert x @ b >= 0  # a direction of descent for b = -g


def test_the_traps_of_a_loop_that_retries():
    """A zero matrix, NaN, infinity: no factor, no loop without an end; a matrix that is not symmetric is refused."""
    b = np.ones(2)
    for A in (
        np.zeros((2, 2)),
        np.full((2, 2), nan),
        np.diag([1.0, nan]),
        np.diag([inf, 1.0]),
        np.array([[1.0, nan], [0.0, 1.0]]),
    ):
        x, tau, trials = modified_cholesky(A, b)
        assert np.all(np.isnan(x))
        assert tau == inf
        assert trials == 0
    with pytest.raises(ValueError, match="A must be symmetric"):
        modified_cholesky(np.array([[1.0, 99.0], [0.0, 1.0]]), b)
    x, tau, _ = modified_cholesky(np.diag([-1.0, 1.0]), b, beta=1e-8)
    assert 1 < tau < 1.01  # a factor of ten at a time would go to 10


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("nu", [0.0, 0.3])
def test_a_definite_curvature_gives_the_step_of_the_eigenbasis(nu, mass, metric):
    rng, weights = np.random.default_rng(4), METRICS[metric]
    for _ in range(10):
        model, _ = quadratic_model(rng, mass=MASSES[mass])
        one = cholesky_step(model, weights, nu)
        other = minimise(model, weights, lambda form: damped(form.gamma, form.mu, np.float64(nu)), "eigh")
        for name in ("d", "nu", "length", "slope", "bend", "most"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12, err_msg=name)
        assert (one.boundary, one.negative, one.products) == (False, False, 0)
        model, B = quadratic_model(rng, "indefinite", MASSES[mass])
        step = cholesky_step(model, weights, nu)
        if np.linalg.eigvalsh(B)[0] < 0:
            assert step.slope < 0
            assert step.negative or step.nu == nu
            S = model.mass * (np.ones(6) if weights is None else weights)
            np.testing.assert_allclose(
                (B + step.nu * np.diag(S)) @ step.d,
                -model.mass * model.gradient,
                atol=1e-8 * np.abs(model.gradient).max(),
            )


def test_a_curvature_that_is_not_finite_is_a_rejected_trial():
    problem = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, lambda t, v: nan * v)
    method = gf.SecondOrder(curvature=C.Hessian(), globalization=C.Armijo(), solver="cholesky")
    state = method.step(problem, method.init(problem, np.ones(2)), 1.0)
    np.testing.assert_array_equal(state.theta, np.ones(2))
    assert state.accepted == 0
    assert state.ratio == -1
