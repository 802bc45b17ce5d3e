"""Saddles: extreme eigenvalues, the stationarity test, the methods that leave saddles, the Hessian of ReLU networks."""

from math import exp, sqrt

import numpy as np
import pytest

import gradflow as gf
from gradflow.curvature import (
    BlockDiagonal,
    GradientDifferences,
    Hessian,
    block_eigenvalues,
    capped_cg,
    chebyshev_iteration,
    extreme_eigenvalues,
    shifted_power_iteration,
)
from gradflow.curvature.eigenvalues import chebyshev_iterations, ritz
from gradflow.schemes.negative_curvature_descent import negative_curvature_update
from gradflow.schemes.protocols import scheme_ability
from smooth_problems import SPLITS, double_well, run, smooth_problem

WELL = gf.FunctionProblem(
    lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    lambda t: np.array([t[0], t[1] ** 3 - t[1]], dtype=t.dtype),
    hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]], dtype=t.dtype),
)


def quadratic(d, mass=None):
    """Return E = (theta, diag(d) theta)_M / 2."""
    weights = 1.0 if mass is None else mass
    return gf.FunctionProblem(lambda t: t @ (weights * d * t) / 2, lambda t: d * t, lambda t, v: d * v, mass=mass)


def hessian_of(problem, theta):
    """Return the symmetric matrix M^{-1/2} B M^{-1/2}, whose eigenvalues are those of the Hessian in the inner product."""
    model = Hessian().at(problem, theta)
    root = np.sqrt(model.mass * np.ones(theta.size))
    return model.matrix() / root / root[:, None]


def network_case(k=1, *, loss="mse", activation="relu", m=6, D=3, N=25, seed=0, dtype="float64"):
    """Return a problem of regression, or of classification for the loss cross_entropy, and a theta away from kinks."""
    rng = np.random.default_rng(seed)
    net = gf.TwoLayerNet(n_inputs=D, width=m, n_outputs=k, activation=activation)
    x = rng.standard_normal((N, D)).astype(dtype)
    if loss == "cross_entropy":
        problem = gf.Classification(net, x, rng.integers(0, k, N))
    else:
        problem = gf.Regression(net, x, rng.standard_normal((N, k)).astype(dtype))
    return problem, 2 * net.init(seed, dtype=dtype)


def relu_saddle(biases=(1.0, 1.5, 2.0)):
    """Return a ReLU network at a saddle: neurons constant on the data, outputs 0, the targets orthogonal to constants."""
    x = np.array([[-1.0], [0.0], [1.0]])  # its sums are exact, and with them the zero gradient
    net = gf.TwoLayerNet(n_inputs=1, width=len(biases), activation="relu", scaling="standard")
    zeros = np.zeros(len(biases))
    return gf.Regression(net, x, x[:, 0]), np.concatenate([zeros, biases, zeros])


# -- Eigenvalues ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("split", SPLITS)
def test_both_ends_are_those_of_the_matrix(split, dtype):
    for seed in range(3):
        problem, theta = smooth_problem(split, P=9, N=5, seed=seed, dtype=dtype)
        wanted = np.linalg.eigvalsh(hessian_of(problem, theta).astype(float))
        found = extreme_eigenvalues(Hessian().at(problem, theta), tol=1e-300, seed=seed)
        eps = np.finfo(dtype).eps
        for pair, value in ((found.smallest, wanted[0]), (found.largest, wanted[-1])):
            assert abs(pair.value - value) <= 100 * eps * np.abs(wanted).max()
            assert pair.vector.dtype == dtype
            assert abs(problem.inner(pair.vector, pair.vector) - 1) < 100 * eps
            left = problem.hvp(theta, pair.vector) - pair.vector * np.asarray(pair.value, dtype)
            assert abs(sqrt(problem.inner(left, left)) - pair.residual) <= 100 * eps * np.abs(wanted).max()
        assert found.bound() <= wanted[0] + 100 * eps * np.abs(wanted).max()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_of_a_network_too_and_an_eigenvalue_is_within_the_residual(loss, activation):
    problem, theta = network_case(3, loss=loss, activation=activation, m=20, N=60)
    wanted = np.linalg.eigvalsh(hessian_of(problem, theta))
    found = extreme_eigenvalues(Hessian().at(problem, theta))
    assert found.products < theta.size
    np.testing.assert_allclose((found.smallest.value, found.largest.value), wanted[[0, -1]], rtol=1e-9)
    for one in ritz(Hessian().at(problem, theta), most=30):
        for pair in (one.smallest, one.largest):
            assert wanted[0] - 1e-12 <= pair.value <= wanted[-1] + 1e-12
            assert np.min(np.abs(wanted - pair.value)) <= pair.residual + 1e-12
        assert one.bound(1e-6) <= wanted[0]


def test_the_same_seed_gives_the_same_bits_and_one_end_costs_less():
    problem, theta = network_case(1, activation="tanh", m=40)
    model = Hessian().at(problem, theta)
    one, same, other = (extreme_eigenvalues(model, seed=seed) for seed in (3, 3, 4))
    assert one.smallest.value == same.smallest.value
    np.testing.assert_array_equal(one.smallest.vector, same.smallest.vector)
    assert not np.array_equal(one.smallest.vector, other.smallest.vector)
    ends = [extreme_eigenvalues(model, end, tol=1e-9) for end in ("smallest", "largest", "both")]
    assert max(one.products for one in ends[:2]) == ends[2].products
    assert min(one.products for one in ends[:2]) < ends[2].products
    few = extreme_eigenvalues(model, most=3)
    assert few.products == 3
    assert few.smallest.residual > 1e-3


@pytest.mark.parametrize("mass", [None, 0.01, "diagonal"])
def test_the_bound_fails_no_more_often_than_it_says(mass):
    """100 starts on a spectrum with a single eigenvalue below a dense interval, where the process needs long to see it."""
    P = 400
    d = np.append(np.linspace(0, 1, P - 1), -0.002)
    mass = np.linspace(0.1, 10, P) if mass == "diagonal" else mass
    model = Hessian().at(quadratic(d, mass), np.ones(P))
    missed = {5: 0, 10: 0, 20: 0}
    for seed in range(100):
        for one in ritz(model, most=25, seed=seed):
            k = one.products
            assert one.bound(0.5) <= d.min()
            assert one.bound(1e-12) <= one.bound(0.5)
            assert (one.bound(0.5) > -np.inf) == (sqrt(0.5) * (2 * k - 1) > np.log(6.592 * k * (k + 1) * sqrt(P)))
            if k in missed:
                missed[k] += one.smallest.value > d.min() + 0.2 * np.ptp(d)
    for k, times in missed.items():
        assert times / 100 <= min(1, 1.648 * sqrt(P) * exp(-(2 * k - 1) * sqrt(0.2)))


def test_the_bound_is_finite_and_close_after_enough_products():
    d = np.linspace(-1, 10, 1000)
    found = list(ritz(Hessian().at(quadratic(d), np.ones(1000)), most=100))[-1]
    assert -1.3 < found.bound(1e-6) <= -1
    rows = gf.FunctionProblem(lambda t: t @ (d * t) / 2, lambda t: d * t, lambda t, v: d * v, inner=lambda u, v: u @ v)
    unknown = extreme_eigenvalues(Hessian().at(rows, np.ones(1000)), most=50)
    assert unknown.bound() == -np.inf  # the direction of the start may not be uniform
    known = extreme_eigenvalues(Hessian().at(quadratic(d), np.ones(1000)), most=50)
    assert abs(unknown.smallest.value - known.smallest.value) < 1e-12
    assert known.bound() > -np.inf


def test_an_invariant_space_ends_the_process():
    d = np.repeat([-2.0, 1.0, 5.0], 30)
    found = extreme_eigenvalues(Hessian().at(quadratic(d), np.ones(90)), tol=1e-300)
    assert found.products == 3
    assert found.invariant
    np.testing.assert_allclose((found.smallest.value, found.largest.value), (-2, 5), rtol=1e-14)
    assert -2 - 1e-13 < found.bound() <= found.smallest.value
    zero = extreme_eigenvalues(Hessian().at(quadratic(0 * d), np.ones(90)))
    assert (zero.products, zero.smallest.value, zero.largest.value, zero.bound()) == (1, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(t, 10.0**e) for t, far in (("float64", (200, 300)), ("float32", (20, 36))) for e in (*far, *(-x for x in far))],
)
@pytest.mark.parametrize("mass", [None, 0.1, "diagonal", "unknown"])
def test_eigenvalues_at_every_scale(mass, scale, dtype):
    """G of the scale s has s times the eigenvalues of G: also where their squares leave the range of the dtype."""
    d = np.array([-1.0, *np.linspace(0, 10, 59)], dtype)
    weights = np.linspace(0.5, 2, 60).astype(dtype) if mass == "diagonal" else None if mass == "unknown" else mass
    inner = (lambda u, v: u @ v) if mass == "unknown" else None
    found = {}
    for s in (1.0, scale):
        values = d * np.asarray(s, dtype)
        problem = gf.FunctionProblem(
            lambda t: 0 * t[0], lambda t: 0 * t, lambda t, v, c=values: c * v, inner, mass=weights
        )
        found[s] = extreme_eigenvalues(Hessian().at(problem, np.ones(60, dtype)), tol=1e-300, most=40)
    one, other = found[1.0], found[scale]
    eps = np.finfo(dtype).eps
    assert one.products == other.products == 40
    for pair, same in ((one.smallest, other.smallest), (one.largest, other.largest)):
        np.testing.assert_allclose(same.value / scale, pair.value, atol=200 * eps * 10)
        np.testing.assert_allclose(same.residual / scale, pair.residual, atol=200 * eps * 10)
    assert (one.bound() > -np.inf) == (mass != "unknown")
    if mass != "unknown":
        np.testing.assert_allclose(other.bound() / scale, one.bound(), rtol=1e-3)


def test_power_iteration_finds_the_far_end_of_the_shifted_spectrum():
    d = np.array([-1.0, *range(11)])
    for mass in (None, np.linspace(0.2, 3, 12)):
        model = Hessian().at(quadratic(d, mass), np.ones(12))
        for shift, value in ((0.0, 10.0), (10.0, -1.0), (4.4, 10.0), (4.6, -1.0), (-5.0, 10.0)):
            pair = shifted_power_iteration(model, shift, 1500)
            assert abs(pair.value - value) < 1e-6
            assert pair.residual < 1e-2
    assert shifted_power_iteration(Hessian().at(quadratic(0 * d + 2), np.ones(12)), 2.0, 5).residual < 1e-14


@pytest.mark.parametrize("mass", [None, "diagonal"])
def test_chebyshev_iteration_finds_what_is_below_the_threshold(mass):
    """(4) to (6): 100 starts, none misses -1 at failure=1e-6; its quotient is no smaller than that of Lanczos in the space."""
    P, K, delta = 200, 50.0, 0.5
    d = np.append(np.linspace(0, K, P - 1), -delta)
    mass = np.linspace(0.5, 2, P) if mass == "diagonal" else None
    model = Hessian().at(quadratic(d, mass), np.ones(P))
    most = chebyshev_iterations(P, K, delta)
    for seed in range(100):
        pair = chebyshev_iteration(model, K, delta, seed=seed)
        assert pair.value <= -delta / 2
        assert abs(model.problem.inner(pair.vector, pair.vector) - 1) < 1e-12
        left = d * pair.vector - pair.value * pair.vector
        assert abs(sqrt(model.problem.inner(left, left)) - pair.residual) < 1e-9
    above = Hessian().at(quadratic(np.maximum(d, -0.24 * delta), mass), np.ones(P))
    assert chebyshev_iteration(above, K, delta).value > -delta / 2  # nothing to find: all iterations are made
    asked = []
    counting = gf.FunctionProblem(
        lambda t: 0 * t[0], lambda t: 0 * t, lambda t, v: asked.append(0) or np.maximum(d, 0) * v, mass=mass
    )
    assert chebyshev_iteration(Hessian().at(counting, np.ones(P)), K, delta).value > 0
    assert len(asked) == most + 1
    for k, one in enumerate(ritz(model, most=10), start=1):  # the same start, so that the iterates are in its space
        z = one.smallest.vector if k == 1 else z  # noqa: F821
        x = (K - 0.75 * delta - 2 * d) / (K + 0.75 * delta)
        y = np.cos((k - 1) * np.arccos(np.clip(x, -1, 1)))
        y = np.where(x > 1, np.cosh((k - 1) * np.arccosh(np.maximum(x, 1))), y) * z
        quotient = model.problem.inner(y, d * y) / model.problem.inner(y, y)
        share = model.problem.inner(z, z * (d < 0))
        gamma = share * np.cosh((k - 1) * np.arccosh(x.max())) ** 2
        assert one.smallest.value - 1e-12 <= quotient <= (K - 0.75 * delta * gamma) / (1 + gamma)  # (5)


def test_chebyshev_iteration_with_too_small_a_bound_returns_a_quotient_and_may_show_it():
    d = np.append(np.linspace(0, 100, 199), -0.5)
    model = Hessian().at(quadratic(d), np.ones(200))
    assert chebyshev_iteration(model, 100.0, 0.5).value <= -0.25
    far = chebyshev_iteration(model, 10.0, 0.5)
    assert 10.0 < far.value <= 100.0
    just = [chebyshev_iteration(model, 99.5, 0.5, seed=seed).value for seed in range(20)]
    assert all(-0.5 <= value <= 100 for value in just)
    for scale in (1e-200, 1e200):
        scaled = Hessian().at(quadratic(d * scale), np.ones(200))
        assert chebyshev_iteration(scaled, 100 * scale, 0.5 * scale).value <= -0.25 * scale
    broken = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, lambda t, v: v * np.nan)
    assert np.isnan(chebyshev_iteration(Hessian().at(broken, np.ones(4)), 1.0, 0.1).value)


def test_chebyshev_iteration_ends_with_the_first_quotient_below_half_the_threshold():
    """No quotient is below the threshold itself: those of all iterations are made only where the end is at -delta."""
    P, K, delta = 30, 10.0, 0.5
    d = np.linspace(0, K, P)
    d[0] = -0.45
    products = []
    counting = gf.FunctionProblem(lambda t: t @ (d * t) / 2, lambda t: d * t, lambda t, v: products.append(v) or d * v)
    model = Hessian().at(counting, np.ones(P))
    for seed in range(5):
        products.clear()
        assert -0.45 <= chebyshev_iteration(model, K, delta, seed=seed).value <= -delta / 2
        quotients = [v @ (d * v) / (v @ v) for v in products]
        assert all(q > -delta / 2 for q in quotients[:-1])
        assert len(products) < chebyshev_iterations(P, K, delta) / 2


def test_the_number_of_chebyshev_iterations_is_that_of_the_formula():
    for P, K, delta, p in ((10, 1.0, 0.1, 0.01), (10**6, 1e3, 1e-6, 1e-9), (1, 1.0, 10.0, 0.5)):
        x = (K - 0.75 * delta + 2 * delta) / (K + 0.75 * delta)
        wanted = np.arccosh(sqrt((4 * K + 2 * delta) / delta) / (p * sqrt(np.pi / (2 * P)))) / np.arccosh(x)
        assert abs(chebyshev_iterations(P, K, delta, p) - wanted) <= 1 + 1e-6 * wanted
    assert chebyshev_iterations(3, 1.0, 1.0, 5e-324) > chebyshev_iterations(3, 1.0, 1.0, 1e-300)
    for K, delta in ((1.0, 1e-320), (1e300, 1e-300), (1e-320, 1.0), (1.0, 1e-17)):
        with pytest.raises(ValueError, match="threshold / largest"):
            chebyshev_iterations(3, K, delta)
    shares = np.array([abs(np.random.default_rng(s).standard_normal(7)) for s in range(4000)])
    shares = shares[:, 0] / np.linalg.norm(shares, axis=1)
    for s in (0.01, 0.05, 0.2):  # Pr{c < s^2} <= s sqrt(2 P / pi)
        assert np.mean(shares < s) <= s * sqrt(14 / np.pi) + 3 * sqrt(s / 4000)


# -- Gradients only ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mass", [None, 4.0])
def test_a_difference_of_gradients_is_within_its_bound_and_homogeneous(mass, dtype):
    """(2) with the constant rho of the cosines; the bound is sharp for a cubic energy."""
    rho, problem = 3.0, cosines(3.0, mass)
    constant = rho if mass is None else rho / mass**1.5
    eps = np.finfo(dtype).eps
    rng = np.random.default_rng(0)
    for radius in (1.0, 0.1, 1e-3, None):
        theta, v = (rng.standard_normal(3).astype(dtype) for _ in range(2))
        model, length = GradientDifferences(radius).at(problem, theta), sqrt(problem.inner(v, v))
        left = model.apply(v) - problem.hvp(theta, v)
        slack = 40 * eps * rho / model.radius
        assert sqrt(problem.inner(left, left)) <= (model.error(constant) + slack) * length
        np.testing.assert_allclose(model.apply(-4 * v)[0], 4 * model.apply(-v)[0], rtol=20 * eps)
        assert model.apply(v).dtype == dtype
        assert not np.any(model.apply(0 * v))
    cubic = gf.FunctionProblem(lambda t: (np.sum(t**3) / 6).astype(t.dtype), lambda t: t * t / 2, lambda t, v: t * v)
    model = GradientDifferences(0.5).at(cubic, np.zeros(1, dtype))
    assert model.apply(np.ones(1, dtype))[0] == model.error(1.0) == 0.25
    assert Hessian().at(cubic, np.zeros(1)).error(1.0) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_default_radius_balances_the_two_errors(dtype):
    """For derivatives of order 1, both errors are of the order eps^(1/2); with theta of size s the radius is s times longer."""
    root = float(np.finfo(dtype).eps) ** 0.5
    for theta, mass in ((np.array([0.3, 0.5]), 1.0), (np.array([30.0, 40.0]), 1.0), (np.array([30.0, 40.0]), 4.0)):
        theta = theta.astype(dtype)
        quadratic_ = quadratic(np.array([1.0, 2.0], dtype=dtype), mass)
        model = GradientDifferences().at(quadratic_, theta)
        np.testing.assert_allclose(model.radius, root * max(1, sqrt(mass) * np.linalg.norm(theta)), rtol=1e-6)
    theta, v = np.array([0.3, 0.5], dtype=dtype), np.array([0.6, 0.8], dtype=dtype)
    error = np.linalg.norm(GradientDifferences().at(WELL, theta).apply(v) - WELL.hvp(theta, v))
    assert 0 < error < 10 * root


def test_with_differences_a_point_is_stationary_to_within_their_error():
    """Half a radius of 0.1 hides an eigenvalue of -0.07 < -(rho eps)^(1/2); the bound with the error holds, and a shorter one finds it."""
    saddle = gf.FunctionProblem(
        lambda t: t[0] ** 2 / 2 - 0.035 * t[1] ** 2 + t[1] ** 4 / 24,
        lambda t: np.array([t[0], -0.07 * t[1] + t[1] ** 3 / 6]),
        hvp=lambda t, v: np.array([v[0], (-0.07 + t[1] ** 2 / 2) * v[1]]),
    )
    rho, eps, theta = 1.0, 1e-3, np.zeros(2)
    assert -sqrt(rho * eps) > -0.07
    for curvature, e, steps in (
        (Hessian(), 0.0, 1),
        (GradientDifferences(0.1), 0.05, 0),
        (GradientDifferences(0.01), 0.005, 1),
    ):
        method = gf.NegativeCurvatureDescent(rho=rho, gradient_tol=eps, curvature=curvature)
        state = method.step(saddle, method.init(saddle, theta), 1.0)
        assert (state.promised > 0) == steps
        if not steps:
            assert state.smallest >= -sqrt(rho * eps)
            assert -sqrt(rho * eps) - 2 * e <= -0.07
            np.testing.assert_array_equal(state.theta, theta)


@pytest.mark.parametrize("radius", [0.1, 1e-2, 1e-4])
def test_eigenvalues_from_gradients_are_within_the_stated_error_of_those_of_the_hessian(radius):
    """(3): in the whole space the eigenvalues are those of H to sqrt(P / 2) rho r; a quotient to rho r / 2."""
    c = np.linspace(0.5, 2, 12)
    problem = gf.FunctionProblem(
        lambda t: np.sum(np.cos(c * t) / c**3), lambda t: -np.sin(c * t) / c**2, lambda t, v: -np.cos(c * t) / c * v
    )
    for seed in range(10):
        theta = np.random.default_rng(seed).standard_normal(12)
        exact = extreme_eigenvalues(Hessian().at(problem, theta), tol=1e-300, seed=seed)
        model = GradientDifferences(radius).at(problem, theta)
        found = extreme_eigenvalues(model, tol=1e-300, seed=seed)
        bound = sqrt(12 / 2) * radius + 1e-9
        assert abs(found.smallest.value - exact.smallest.value) <= bound
        assert abs(found.largest.value - exact.largest.value) <= bound
        for pair in (found.smallest, chebyshev_iteration(model, 2.0, 0.5)):
            v = pair.vector
            assert abs(v @ model.apply(v) - v @ problem.hvp(theta, v)) <= model.error(1.0) + 1e-9


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_gradients_alone_find_the_smallest_eigenvalue_of_a_network(loss):
    problem, theta = network_case(3, loss=loss, activation="tanh", m=20, N=60)
    wanted = extreme_eigenvalues(Hessian().at(problem, theta), "smallest").smallest.value
    model = GradientDifferences().at(problem, theta)
    assert abs(extreme_eigenvalues(model, "smallest").smallest.value - wanted) < 1e-5 * abs(wanted)
    K = extreme_eigenvalues(model, "largest").largest.value
    assert chebyshev_iteration(model, 1.01 * K, 0.9 * abs(wanted)).value <= -0.45 * abs(wanted)
    power = shifted_power_iteration(model, 1.01 * K, 2000)  # NEON
    assert abs(power.value - wanted) < 1e-3 * abs(wanted)


def test_without_second_derivatives_differences_are_asked_for_and_never_taken_silently():
    gradients = gf.FunctionProblem(WELL._energy, WELL._gradient)
    method = gf.NegativeCurvatureDescent(rho=6.0)
    with pytest.raises(ValueError, match="hvp"):
        method.step(gradients, method.init(gradients, np.zeros(2)), 0.1)
    asked = gf.NegativeCurvatureDescent(rho=6.0, curvature=GradientDifferences(1e-5))
    new = asked.step(gradients, asked.init(gradients, np.zeros(2)), 0.1)
    assert abs(new.smallest - (-1 + 6.0 * 1e-5 / 2)) < 1e-9  # what was found, and its error
    assert new.products == 3
    for other in (gf.curvature.GaussNewton(), Hessian, None):
        with pytest.raises(ValueError, match="curvature must be"):
            gf.NegativeCurvatureDescent(curvature=other)


def test_a_product_that_is_not_finite_is_an_answer():
    for bad in (np.nan, np.inf):
        broken = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, lambda t, v, bad=bad: v * bad)
        with np.errstate(invalid="ignore"):
            found = extreme_eigenvalues(Hessian().at(broken, np.ones(4)))
            assert np.isnan(found.smallest.value)
            assert found.bound() == -np.inf
            assert gf.stationarity(broken, np.zeros(4)).kind == "not finite"
            record = ["energy", "smallest_eigenvalue"]
            end = gf.solve(broken, gf.GradientDescent(), np.ones(4), dt=0.1, steps=3, record=record)
        assert end.status is gf.Status.NONFINITE
        assert "smallest_eigenvalue" in end.message


@pytest.mark.parametrize("scheme", [gf.GradientDescent(), gf.Relaxed(gf.SAV())], ids=repr)
def test_eigenvalues_along_a_run_are_those_of_the_hessian(scheme):
    problem, theta = network_case(2, activation="tanh")
    record = ["energy", "smallest_eigenvalue", "largest_eigenvalue"]
    end = gf.solve(problem, scheme, theta, dt=0.5, steps=20, every=10, record=record, snapshots=[0, 10, 20])
    for i, snapshot in enumerate(end.snapshots):
        values = np.linalg.eigvalsh(hessian_of(problem, snapshot.theta))
        np.testing.assert_allclose(end.history["smallest_eigenvalue"][i], values[0], rtol=1e-8)
        np.testing.assert_allclose(end.history["largest_eigenvalue"][i], values[-1], rtol=1e-8)
    without = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t)
    with pytest.raises(ValueError, match="second derivatives"):
        gf.solve(without, gf.GradientDescent(), np.ones(2), dt=0.1, steps=1, record=["largest_eigenvalue"])


# -- Stationarity -----------------------------------------------------------------------------------------------------


def test_the_kinds_of_points():
    kinds = [gf.stationarity(WELL, np.array([0.0, y])).kind for y in (0.0, 0.5, 1.0, -1.0)]
    assert kinds == ["saddle", "not stationary", "minimum", "minimum"]
    saddle = gf.stationarity(WELL, np.zeros(2))
    assert abs(saddle.eigenvalue + 1) < 1e-12
    np.testing.assert_allclose(np.abs(saddle.direction), [0, 1], atol=1e-12)
    assert saddle.failure == 0
    assert str(saddle).startswith("saddle: gradient norm 0, smallest eigenvalue at most -1")


@pytest.mark.parametrize(("rho", "kind"), [(0.9, "saddle"), (1.1, "second-order stationary")])
def test_rho_and_the_gradient_say_which_eigenvalues_count(rho, kind):
    d = np.array([-0.1, 1.0, 2.0])
    assert gf.stationarity(quadratic(d), np.zeros(3), gradient_tol=0.01, rho=rho).kind == kind
    for size, answer in ((0.0999, kind), (0.1001, "not stationary")):
        theta = np.array([size, 0, 0])
        assert gf.stationarity(quadratic(d), theta, gradient_tol=0.01, rho=rho).kind == answer


def test_with_too_few_products_the_answer_is_open_and_later_it_is_not():
    d = np.append(np.linspace(0, 1, 999), -0.01)
    point = np.zeros(1000)
    assert gf.stationarity(quadratic(d), point, gradient_tol=1e-4, most=5).kind == "undecided"
    found = gf.stationarity(quadratic(d), point, gradient_tol=1e-6)  # the threshold is -1e-3
    assert (found.kind, found.failure) == ("saddle", 0.0)
    convex = gf.stationarity(quadratic(np.linspace(0, 1, 1000)), point, gradient_tol=0.09, most=300)
    assert (convex.kind, convex.failure) == ("second-order stationary", 1e-6)
    assert -0.3 <= convex.bound < 0 <= convex.eigenvalue
    assert convex.products < 300


def test_a_degenerate_saddle_is_no_minimum():
    """x^3 / 3 + y^2 / 2 satisfies the conditions of second order at the origin, which is no minimum."""
    cubic = gf.FunctionProblem(
        lambda t: t[0] ** 3 / 3 + t[1] ** 2 / 2,
        lambda t: np.array([t[0] ** 2, t[1]]),
        hvp=lambda t, v: np.array([2 * t[0] * v[0], v[1]]),
    )
    found = gf.stationarity(cubic, np.zeros(2))
    assert found.kind == "second-order stationary"
    assert str(found).startswith("second-order stationary: gradient norm 0, smallest eigenvalue at most ")


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_minimum_is_near_where_it_is_said_to_be(share):
    """x^3 / 3 - a x has its minimum at a^{1/2}, and rho = 2: the condition 2 rho |g| < lambda^2 is share < 1 at x."""
    x = 0.3
    slope = share * x**2  # |x^2 - a| = slope, 2 rho slope < 4 x^2
    problem = gf.FunctionProblem(
        lambda t: t[0] ** 3 / 3 - (x**2 + slope) * t[0],
        lambda t: t**2 - (x**2 + slope),
        hvp=lambda t, v: 2 * t * v,
    )
    found = gf.stationarity(problem, np.array([x]), gradient_tol=1.0, rho=2.0)
    assert found.kind == ("minimum" if share < 1 else "second-order stationary")
    if share < 1:
        assert abs((x**2 + slope) ** 0.5 - x) <= 2 * found.gradient_norm / (2 * x)


def test_what_is_not_known_of_an_eigenvalue_is_not_printed():
    moving = str(gf.stationarity(WELL, np.array([0.0, 0.5])))
    assert moving == "not stationary: gradient norm 0.375"
    undecided = gf.stationarity(quadratic(np.linspace(-0.01, 1, 1000)), np.zeros(1000), gradient_tol=1e-4, most=5)
    assert undecided.bound == -np.inf
    assert "at most" in str(undecided)
    assert "at least" not in str(undecided)
    found = extreme_eigenvalues(Hessian().at(WELL, np.array([0.0, 1.0])))
    assert repr(found) == "<Ritz: smallest 1, largest 2, after 2 products>"


def test_a_relu_saddle_has_a_zero_gradient_and_a_negative_eigenvalue():
    problem, saddle = relu_saddle()
    found = gf.stationarity(problem, saddle, gradient_tol=1e-12)
    assert found.kind == "saddle"
    for sign in (1, -1):
        moved = saddle + 1e-2 * sign * found.direction
        assert problem.energy(moved) < problem.energy(saddle)


# -- Methods that leave saddles ---------------------------------------------------------------------------------------

ESCAPING = {
    "SaddleFreeNewton": (gf.SaddleFreeNewton(damping=0.1), 1.0, 200),
    "TrustRegion": (gf.TrustRegion(), 1.0, 100),
    "CubicRegularization": (gf.CubicRegularization(), 1.0, 200),
    "NegativeCurvatureDescent": (gf.NegativeCurvatureDescent(rho=20.0), 0.02, 4000),
    "PerturbedGradientDescent": (gf.PerturbedGradientDescent(), 0.02, 4000),
    "NoisyGradientDescent": (gf.NoisyGradientDescent(sigma=1e-3), 0.02, 4000),
    "NewtonCG": (gf.NewtonCG(curvature_tol=0.1), 1.0, 300),
}
STAYING = {"Newton": (gf.Newton(damping=1e-4), 1.0, 100), "GradientDescent": (gf.GradientDescent(), 0.02, 4000)}


@pytest.mark.parametrize("name", {**ESCAPING, **STAYING})
def test_who_leaves_the_saddle_of_a_relu_network(name):
    """Newton's method from nearby, and gradient descent from the saddle, end there; the others reach a second-order point."""
    problem, saddle = relu_saddle()
    scheme, dt, steps = (ESCAPING | STAYING)[name]
    nearby = saddle + 1e-2 * np.random.default_rng(1).standard_normal(9)
    start = saddle if "Descent" in name or name == "SaddleFreeNewton" else nearby
    end = gf.solve(problem, scheme, start, dt=dt, steps=steps)
    found = gf.stationarity(problem, end.theta, gradient_tol=1e-3)
    if name in STAYING:
        assert found.kind == "saddle"
        assert abs(problem.energy(end.theta) - problem.energy(saddle)) < 1e-6
    else:
        assert found.kind == "second-order stationary"  # zero eigenvalues: neurons may be rescaled
        assert problem.energy(end.theta) < 1e-3 * problem.energy(saddle)


def cosines(rho=1.0, mass=None):
    """Return E = sum cos(c t) / c^3 * rho with the Lipschitz constants rho of the Hessian, for mass 1, and rho / c of the gradient."""
    c = np.array([1.0, 2.0, 0.5])
    weights = 1.0 if mass is None else mass
    return gf.FunctionProblem(
        lambda t: (rho * np.sum(np.cos(c * t) / c**3)).astype(t.dtype),
        lambda t: (-rho * np.sin(c * t) / c**2 / weights).astype(t.dtype),
        lambda t, v: (-rho * np.cos(c * t) / c * v / weights).astype(t.dtype),
        mass=mass,
    )


@pytest.mark.parametrize(("rho", "mass"), [(1.0, None), (5.0, None), (1.0, 4.0)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("curvature", [Hessian(), GradientDifferences(1e-2)], ids=["hvp", "gradients"])
def test_negative_curvature_descent_keeps_its_promise(rho, mass, curvature, dtype):
    """On a Hessian with the constant rho, every step along negative curvature lowers E by at least what was promised.

    In the inner product m u.v, the constant is rho / m^(3/2).
    """
    problem = cosines(rho, mass)
    constant = rho if mass is None else rho / mass**1.5
    method = gf.NegativeCurvatureDescent(rho=constant, gradient_tol=0.2 * constant, curvature=curvature)
    K, taken = 2 * rho / (1.0 if mass is None else mass), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        state = method.init(problem, (0.005 * rng.standard_normal(3)).astype(dtype))
        for _ in range(40):
            E, g = problem.energy_and_gradient(state.theta)
            state = method.step(problem, state, 1 / K)
            drop = E - problem.energy(state.theta)
            least = state.promised if state.promised else problem.inner(g, g) / (2 * K)
            assert drop >= least - 20 * np.finfo(dtype).eps * rho * 9
            taken += bool(state.promised)
            if state.promised:
                assert state.promised >= 2 * abs(state.smallest) ** 3 / (3 * constant**2) * (1 - 1e-5)
                assert state.smallest < -sqrt(constant * method.gradient_tol)
                assert state.products > 0
        assert gf.stationarity(problem, state.theta, gradient_tol=method.gradient_tol, rho=constant).kind == "minimum"
    assert taken >= 20


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mass", [None, 4.0])
def test_a_perturbation_raises_the_energy_by_no_more_than_its_bound(mass, dtype):
    problem = cosines(1.0, mass)
    K = 2.0 / (1.0 if mass is None else mass)
    method = gf.PerturbedGradientDescent(gradient_tol=0.05, radius=0.1, wait=10)
    state = method.init(problem, np.zeros(3, dtype))
    times = []
    for n in range(200):
        E = problem.energy(state.theta)
        new = method.step(problem, state, 1 / K)
        made = new.perturbed > state.perturbed
        times += [n] if made else []
        most = 0.05 * 0.1 + K * 0.01 / 2 if made else 0.0
        assert problem.energy(new.theta) <= E + most + 20 * np.finfo(dtype).eps
        state = new
    assert times[:2] == [0, *times[1:2]]
    assert np.all(np.diff(times) >= 10)
    assert len(times) > 5
    assert state.perturbed == len(times)
    found = gf.stationarity(problem, state.theta, gradient_tol=0.1)
    assert found.kind == "minimum"


def test_gradient_descent_with_perturbations_leaves_what_gradient_descent_ends_at():
    for dim, seed in ((2, 0), (20, 1), (200, 2)):
        well = double_well()
        ends = {}
        noisy = gf.NoisyGradientDescent(seed=seed)
        for scheme in (gf.GradientDescent(), gf.PerturbedGradientDescent(seed=seed), noisy):
            end = gf.solve(well, scheme, np.zeros(dim), dt=0.2, steps=400)
            ends[type(scheme).__name__] = gf.stationarity(well, end.theta, gradient_tol=1e-2).kind
        assert ends == {
            "GradientDescent": "saddle",
            "PerturbedGradientDescent": "minimum",
            "NoisyGradientDescent": "minimum",
        }


def test_a_run_that_waits_at_a_saddle_does_not_stand_still():
    """In 30 steps the iterate does not move, more than a run may stand still, and then it is perturbed."""
    method = gf.PerturbedGradientDescent(wait=40)
    state = method.init(WELL, np.zeros(2))
    waiting = state._replace(since=state.since - 30)
    assert np.array_equal(method.step(WELL, waiting, 0.1).theta, np.zeros(2))
    valley = gf.FunctionProblem(lambda t: 0 * t[0], lambda t: 0 * t)  # nothing moves but by perturbations
    end = gf.solve(valley, method, np.zeros(2), dt=0.1, steps=100, record=["perturbed", "since"])
    assert end.steps == 100
    assert end.history["perturbed"][-1] == 3


@pytest.mark.parametrize(
    "scheme",
    [
        gf.PerturbedGradientDescent(wait=7, gradient_tol=10.0),
        gf.NoisyGradientDescent(sigma=0.1),
        gf.NegativeCurvatureDescent(rho=5.0, gradient_tol=10.0),
    ],
    ids=lambda s: type(s).__name__,
)
def test_a_run_is_resumed_to_the_last_bit(scheme, tmp_path):
    problem, theta = relu_saddle()
    whole = gf.solve(problem, scheme, theta, dt=0.02, steps=30, record=["energy", *scheme_ability(scheme, "records")])
    how = {"dt": 0.02, "record": list(whole.history)[1:] and ["energy", *scheme_ability(scheme, "records")]}
    gf.solve(problem, scheme, theta, steps=11, checkpoint=tmp_path / "run", **how)
    rest = gf.solve(problem, scheme, theta, steps=30, checkpoint=tmp_path / "run", **how)
    np.testing.assert_array_equal(rest.theta, whole.theta)
    for name, values in whole.history.items():
        np.testing.assert_array_equal(rest.history[name], values)


@pytest.mark.parametrize("kind", [gf.PerturbedGradientDescent, gf.NoisyGradientDescent])
def test_draws_are_the_same_in_both_precisions_and_other_in_another_step_or_seed(kind):
    method, other = kind(), kind(seed=1)
    problem = cosines(mass=2.0)
    draws = [method.draw(problem, np.zeros(3, dtype), 5) for dtype in ("float64", "float32")]
    np.testing.assert_allclose(*draws, rtol=1e-6)
    assert draws[1].dtype == np.float32
    assert not np.allclose(draws[0], method.draw(problem, np.zeros(3), 6))
    assert not np.allclose(draws[0], other.draw(problem, np.zeros(3), 5))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mass", [None, "diagonal"])
def test_a_noisy_step_stays_within_its_bound_and_its_mean_is_the_gradient_step(mass, dtype):
    """The bound (3) holds for every draw; over 4000 draws the mean is that of gradient descent, the variance dt^2 sigma^2."""
    problem = cosines(1.0, np.array([0.5, 1.0, 2.0], dtype) if mass == "diagonal" else None)
    K = 2.0 / (0.5 if mass == "diagonal" else 1.0)
    method, dt = gf.NoisyGradientDescent(sigma=0.3), 0.4 / K
    theta = np.array([0.3, -0.2, 1.0], dtype)
    E, g = problem.energy_and_gradient(theta)
    square, off = problem.inner(g, g), []
    for n in range(4000):
        new = method.step(problem, method.init(problem, theta)._replace(n=n), dt)
        zeta = method.draw(problem, theta, n)
        most = -dt * (1 - K * dt / 2) * square - dt * (1 - K * dt) * problem.inner(g, zeta) + K * dt**2 * 0.09 / 2
        assert problem.energy(new.theta) <= E + most + 20 * np.finfo(dtype).eps
        assert new.theta.dtype == dtype
        off.append(new.theta - (theta - dt * g))
    off = np.sqrt(1.0 if mass is None else np.array([0.5, 1.0, 2.0])) * np.array(off, "float64")
    assert np.abs(off.mean(axis=0)).max() < 4 * dt * 0.3 / sqrt(3 * 4000)
    np.testing.assert_allclose(np.sum(off**2, axis=1), (dt * 0.3) ** 2, rtol=1e-4)


def test_the_variance_along_an_eigenvector_is_a_geometric_sum():
    """(4), at saddles and minima: 500 runs of 30 steps from the stationary point; every 100th is run, the others are sums."""
    P, n, sigma = 4, 30, 0.2
    methods = [gf.NoisyGradientDescent(sigma=sigma, seed=seed) for seed in range(500)]
    plain = quadratic(np.ones(P))
    zetas = np.array([[method.draw(plain, np.zeros(P), k)[0] for k in range(n)] for method in methods])
    for curvature, dt in ((-1.0, 0.1), (-0.2, 0.5), (1.0, 0.1), (3.0, 0.5)):
        q = 1 - dt * curvature
        ends = -dt * zetas @ q ** np.arange(n - 1.0, -1, -1)
        problem = quadratic(np.array([curvature, 0.5, 0.7, 1.0]))
        for method, end in zip(methods[::100], ends[::100], strict=True):
            np.testing.assert_allclose(run(method, problem, np.zeros(P), dt, n).theta[0], end, rtol=1e-11, atol=1e-15)
        variance = (dt * sigma) ** 2 / P * (q ** (2 * n) - 1) / (q**2 - 1)
        assert abs(np.mean(ends**2) / variance - 1) < 4 * sqrt(2 / 500)
        assert abs(np.mean(ends)) < 4 * sqrt(variance / 500)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mass", [None, 4.0])
@pytest.mark.parametrize("curvature", [Hessian(), GradientDifferences(1e-2)], ids=["hvp", "gradients"])
def test_alternating_steps_lower_the_energy_by_both_bounds(curvature, mass, dtype):
    """(5): at least what was promised, and dt (1 - K dt/2) |g|^2 at the point between; the gradient may be large."""
    rho, problem = 1.0, cosines(1.0, mass)
    constant = rho if mass is None else rho / mass**1.5
    K, both = 2 * rho / (1.0 if mass is None else mass), 0
    method = gf.NegativeCurvatureDescent(
        rho=constant, gradient_tol=0.02 * constant, alternating=True, curvature=curvature
    )
    for seed in range(20):
        state = method.init(problem, np.random.default_rng(seed).standard_normal(3).astype(dtype))
        for _ in range(15):
            E, g = problem.energy_and_gradient(state.theta)
            new = method.step(problem, state, 1 / K)
            between = new.theta  # theta-hat - g(theta-hat) / K; its gradient is that of the old theta without (2)
            least = float(new.promised)
            if not new.promised:
                np.testing.assert_allclose(between, state.theta - g / np.asarray(K, dtype), rtol=1e-6)
                least += problem.inner(g, g) / (2 * K)
            else:
                model = curvature.at(problem, state.theta)
                found = extreme_eigenvalues(model, "smallest", seed=method.seed + state.n).smallest
                slope = problem.inner(g, found.vector)
                hat, _ = negative_curvature_update(state.theta, found.vector, new.smallest, slope, rho=constant)
                g_hat = problem.energy_and_gradient(hat)[1]
                np.testing.assert_allclose(between, hat - g_hat / np.asarray(K, dtype), rtol=1e-5, atol=1e-6)
                least += problem.inner(g_hat, g_hat) / (2 * K)
                both += problem.inner(g, g) > 1e-3
            assert E - problem.energy(new.theta) >= least - 200 * np.finfo(dtype).eps
            state = new
    assert both > 10


def test_alternating_steps_on_mini_batches_lower_the_energy_of_the_batch():
    problem, theta = network_case(1, activation="tanh", m=5, N=24)
    method = gf.NegativeCurvatureDescent(rho=50.0, gradient_tol=1e-3, alternating=True)
    state, taken, rng = method.init(problem, theta), 0, np.random.default_rng(0)
    for _ in range(40):
        batch = problem.batch(rng.choice(24, 8, replace=False))
        new = method.step(batch, state, 1e-3)
        assert batch.energy(new.theta) <= batch.energy(state.theta) - new.promised
        taken, state = taken + bool(new.promised), new
    assert taken > 20
    end = gf.solve(problem, method, theta, dt=1e-2, epochs=20, batch_size=8, seed=1)
    assert end.status is gf.Status.DONE
    assert problem.energy(end.theta) < problem.energy(theta)


# -- From a saddle itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["eigh", "lanczos"])
def test_saddle_free_newton_leaves_the_saddle_itself(solver, dtype):
    """From the saddle, and from where Newton's path ends there; without `escape` it stays, to the last bit."""
    for start in ([0.0, 0.0], [1.0, 0.0]):
        theta = np.array(start, dtype)
        end = gf.solve(WELL, gf.SaddleFreeNewton(solver=solver), theta, steps=60)
        np.testing.assert_allclose(np.abs(end.theta), [0, 1], atol=1e-5)
        assert gf.solve(WELL, gf.SaddleFreeNewton(solver=solver, escape=None), theta, steps=60).theta[1] == 0


@pytest.mark.parametrize("metric", [gf.curvature.Identity(), gf.curvature.CurvatureDiagonal()], ids=repr)
@pytest.mark.parametrize("mass", [None, "diagonal"])
@pytest.mark.parametrize(
    "globalization",
    [gf.curvature.FixedDamping(0.1), gf.curvature.TrustRegion(), gf.curvature.Cubic(), gf.curvature.NielsenDamping()],
    ids=lambda g: type(g).__name__,
)
def test_an_escape_has_the_length_and_the_decrease_that_it_says(globalization, mass, metric):
    """On a quadratic the predicted decrease is the actual one, s^2 |lambda| / (2 |v|_D^2)."""
    d = np.array([3.0, 1.0, -2.0, 0.5])
    problem = quadratic(d, np.array([0.5, 1.0, 2.0, 4.0]) if mass else None)
    method = gf.SecondOrder(
        curvature=Hessian(), metric=metric, globalization=globalization, spectrum="absolute", escape=0.25
    )
    state = method.init(problem, np.zeros(4))
    new = method.step(problem, state, 1.0)
    weights = new.weights * np.ones(4)
    assert abs(sqrt(problem.inner(new.theta, weights * new.theta)) - 0.25) < 1e-12
    assert abs(float(new.length) - 0.25) < 1e-12
    np.testing.assert_allclose(new.theta[[0, 1, 3]], 0, atol=1e-12)
    np.testing.assert_allclose(new.predicted, 0.0625 * 2 / (2 * weights[2]), rtol=1e-12)
    np.testing.assert_allclose(new.actual, new.predicted, rtol=1e-12)
    assert bool(new.accepted)
    assert bool(new.negative_curvature)
    assert new.products > 0


def test_an_escape_goes_down_the_slope_and_is_taken_only_where_the_step_is_none():
    d = np.array([1.0, -2.0])
    for y in (1e-13, -1e-13):
        method = gf.SaddleFreeNewton(damping=0.5, escape=0.01)
        new = method.step(quadratic(d), method.init(quadratic(d), np.array([0.0, y])), 1.0)
        np.testing.assert_allclose(new.theta, [0, y + 0.01 * np.sign(y)], rtol=1e-12, atol=1e-16)
    plain = gf.SaddleFreeNewton(damping=0.5, escape=None)
    for problem, theta in (
        (quadratic(d), np.array([0.0, 1e-6])),  # the step of the model is long enough
        (quadratic(np.abs(d)), np.zeros(2)),  # a minimum
        (quadratic(np.array([1.0, -1e-9])), np.zeros(2)),  # an eigenvalue of zero, to the accuracy of the process
        (quadratic(0 * d), np.zeros(2)),
    ):
        steps = [one.step(problem, one.init(problem, theta), 1.0).theta for one in (method, plain)]
        np.testing.assert_array_equal(*steps)
    high = gf.FunctionProblem(lambda t: 1e8 + t @ (d * t) / 2, lambda t: d * t, lambda t, v: d * v)
    tiny = gf.SaddleFreeNewton(escape=1e-6)  # its decrease of 1e-12 is a rounding error of 1e8
    assert not np.any(tiny.step(high, tiny.init(high, np.zeros(2)), 1.0).theta)
    broken = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, lambda t, v: v * np.nan)
    assert gf.solve(broken, method, np.zeros(2), steps=30).status is not gf.Status.CONVERGED
    with pytest.raises(ValueError, match="line search"):
        gf.SecondOrder(curvature=Hessian(), globalization=gf.curvature.Armijo(), escape=0.1)


@pytest.mark.parametrize("damping", [1.0, 0.1])
def test_absolute_eigenvalues_in_a_krylov_space_are_those_of_the_matrix(damping):
    """`lanczos` against the absolute values of a diagonal Hessian with a few negative eigenvalues, P = 600."""
    rng = np.random.default_rng(0)
    d = np.concatenate([-np.linspace(0.5, 1, 10), np.abs(rng.standard_normal(590)) ** 3 * 0.02])
    problem, theta = quadratic(d), rng.standard_normal(600)
    method = gf.SaddleFreeNewton(solver="lanczos", damping=damping)
    new = method.step(problem, method.init(problem, theta), 1.0)
    exact = -d * theta / (np.abs(d) + damping)
    assert np.linalg.norm(new.theta - theta - exact) < 1e-6 * np.linalg.norm(exact)
    assert new.products <= 200


# -- Newton-CG --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mass", ["ones", "small", "diagonal"])
def test_capped_cg_solves_or_finds_negative_curvature(mass, dtype):
    """On random quadratics: a solution has the residual and (4), a direction has the curvature it says, below -eps."""
    kinds = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        P = int(rng.integers(1, 40))
        Q, _ = np.linalg.qr(rng.standard_normal((P, P)))
        H = ((Q * rng.uniform(-0.05 if seed % 2 else 0.0, 1, P)) @ Q.T).astype(dtype)
        weights = {"ones": np.ones(P), "small": np.full(P, 0.01), "diagonal": rng.uniform(0.2, 3, P)}[mass].astype(
            dtype
        )
        b = rng.standard_normal(P).astype(dtype)
        problem = gf.FunctionProblem(
            lambda t, H=H, b=b: (t @ (H @ t) / 2 - b @ t).astype(t.dtype),
            lambda t, H=H, b=b, w=weights: (H @ t - b) / w,
            lambda t, v, H=H, w=weights: (H @ v) / w,
            mass=weights,
        )
        theta, eps = np.zeros(P, dtype), 1e-2
        model = Hessian().at(problem, theta)
        found, inner, g = capped_cg(model, eps), problem.inner, model.gradient
        d, size, slack = found.d, sqrt(inner(g, g)), 1e-3 if dtype == "float32" else 1e-9
        Hd = problem.hvp(theta, d)
        assert d.dtype == dtype
        assert abs(inner(d, Hd) - found.bend) <= slack * found.length**2 / weights.min()
        assert abs(sqrt(inner(d, d)) - found.length) <= slack * found.length
        kinds.append(found.kind)
        if found.kind == "negative curvature":
            assert found.bend < -eps * found.length**2
            assert np.linalg.eigvalsh(hessian_of(problem, theta).astype(float))[0] < -eps
        else:
            assert found.kind == "solution"
            left = Hd + d * np.asarray(2 * eps, dtype) + g
            assert sqrt(inner(left, left)) <= found.residual + slack * size / weights.min()
            assert found.residual < 0.5 * eps * size
            assert (
                inner(g, d) <= -0.99 * (found.bend + 2 * eps * found.length**2) < 0
            )  # (4); (r, d) is lost to rounding
            assert found.bend >= -eps * found.length**2
        assert found.products <= 3 * P + 10
    assert {"solution", "negative curvature"} == set(kinds)


def test_capped_cg_says_where_it_stopped():
    d = np.linspace(1e-3, 1, 500)
    model = Hessian().at(quadratic(d), np.ones(500))
    capped = capped_cg(model, 1e-4, most=7)
    assert (capped.kind, capped.products) == ("capped", 7)
    assert abs(model.problem.inner(model.gradient, capped.d) + capped.bend + 2e-4 * capped.length**2) < 1e-10
    broken = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, lambda t, v: v * np.nan)
    assert capped_cg(Hessian().at(broken, np.ones(3)), 0.1).kind == "not finite"
    end = gf.solve(broken, gf.NewtonCG(), np.ones(3), steps=30)
    assert end.status is gf.Status.STAGNATED
    assert np.array_equal(end.theta, np.ones(3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_every_step_of_newton_cg_lowers_the_energy_by_what_it_asked_for(activation, dtype):
    problem, theta = network_case(2, activation=activation, dtype=dtype)
    method = gf.NewtonCG(curvature_tol=0.1)
    state, taken = method.init(problem, theta), 0
    for _ in range(60):
        new = method.step(problem, state, 1.0)
        if new.accepted:
            assert problem.energy(state.theta) - problem.energy(new.theta) >= new.promised > 0
        else:
            np.testing.assert_array_equal(new.theta, state.theta)
        taken += bool(new.accepted and new.negative_curvature)
        state = new
    assert taken > 0
    assert problem.energy(state.theta) < 0.5 * problem.energy(theta)


# -- ReLU networks ----------------------------------------------------------------------------------------------------


def parts_of(problem, theta):
    """Return the rows of theta of the two layers, and those of each neuron."""
    net = problem.net
    m, k, first = net.width, net.n_outputs, (net.n_inputs + 1) * net.width
    rows = np.arange(theta.size)
    return (rows[:first], rows[first:]), [
        np.concatenate([rows[j:first:m], rows[first + j * k : first + (j + 1) * k]]) for j in range(m)
    ]


def neurons(problem, theta):
    """Return w_j with its bias and a_j of each neuron, (m, D + 1) and (m, k)."""
    _, parts = parts_of(problem, theta)
    n = problem.net.n_inputs + 1
    return np.array([theta[rows][:n] for rows in parts]), np.array([theta[rows][n:] for rows in parts])


CASES = [(1, "mse"), (2, "mse"), (5, "mse"), (2, "cross_entropy"), (4, "cross_entropy")]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("k", "loss"), CASES)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_layer_blocks_of_a_relu_network_are_semidefinite_and_few_eigenvalues_negative(k, loss, activation, seed):
    problem, theta = network_case(k, loss=loss, activation=activation, seed=seed)
    H = hessian_of(problem, theta)
    values, scale = np.linalg.eigvalsh(H), np.abs(H).max()
    layers, parts = parts_of(problem, theta)
    assert values[0] < -1e-3 * scale
    assert min(np.linalg.eigvalsh(H[np.ix_(rows, rows)])[0] for rows in layers) >= -1e-13 * scale
    seen = min(np.linalg.eigvalsh(H[np.ix_(rows, rows)])[0] for rows in parts)
    assert values[0] - 1e-13 <= seen < -1e-4 * scale
    assert np.sum(values < -1e-12 * scale) <= problem.net.width * min(problem.net.n_inputs + 1, k)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("k", "loss"), CASES)
@pytest.mark.parametrize("blocks", ["layer", "neuron"])
def test_eigenvalues_of_blocks_are_those_of_the_matrix_and_an_upper_bound(blocks, k, loss, dtype):
    problem, theta = network_case(k, loss=loss, dtype=dtype)
    model = Hessian().at(problem, theta)
    H = hessian_of(problem, theta).astype(float)
    found, tol = block_eigenvalues(model, blocks), 50 * np.finfo(dtype).eps * np.abs(H).max()
    parts = parts_of(problem, theta)[0 if blocks == "layer" else 1]
    wanted = [np.linalg.eigvalsh(H[np.ix_(rows, rows)])[0] for rows in parts]
    np.testing.assert_allclose(np.sort(found.values), np.sort(wanted), atol=tol)
    assert found.value == found.values.min() >= np.linalg.eigvalsh(H)[0] - tol  # (1)
    v = found.vector
    assert v.dtype == dtype
    assert abs(problem.inner(v, v) - 1) < 20 * np.finfo(dtype).eps
    assert abs(problem.inner(v, problem.hvp(theta, v)) - found.value) < tol
    assert sum(bool(np.any(v[rows])) for rows in parts) == 1
    matrix = model.matrix()
    for B, group in zip(model.blocks(problem.parameter_blocks(blocks)), problem.parameter_blocks(blocks), strict=True):
        np.testing.assert_allclose(B, gf.curvature.model.picked(matrix, group), atol=tol)


def test_a_saddle_is_seen_by_neurons_not_by_layers_and_never_excluded_by_blocks():
    problem, saddle = relu_saddle()
    kinds = {b: gf.stationarity(problem, saddle, gradient_tol=1e-12, blocks=b).kind for b in (None, "layer", "neuron")}
    assert kinds == {None: "saddle", "layer": "undecided", "neuron": "saddle"}
    by_neuron = gf.stationarity(problem, saddle, gradient_tol=1e-12, blocks="neuron")
    assert (by_neuron.bound, by_neuron.failure, by_neuron.products) == (-np.inf, 0.0, 9)
    for sign in (1, -1):
        assert problem.energy(saddle + 1e-2 * sign * by_neuron.direction) < problem.energy(saddle)
    # two equal neurons and two outputs: the stationary point of the derivation
    x, target = np.array([[-1.0], [0.0], [1.0]]), np.array([[2.0, 0.25], [2.0, 0.0], [2.0, -0.25]])
    net = gf.TwoLayerNet(n_inputs=1, width=2, n_outputs=2, activation="relu", scaling="standard")
    pair = gf.Regression(net, x, target)
    point = np.array([0, 0, 1.0, 1.0, 1.0, 0, 1.0, 0])
    kinds = {b: gf.stationarity(pair, point, gradient_tol=1e-12, blocks=b).kind for b in (None, "layer", "neuron")}
    assert kinds == {None: "saddle", "layer": "undecided", "neuron": "undecided"}


def test_blocks_that_are_not_there_or_not_finite():
    problem, saddle = relu_saddle()
    with pytest.raises(ValueError, match="parameter_blocks"):
        block_eigenvalues(Hessian().at(WELL, np.zeros(2)))
    with pytest.raises(ValueError, match="blocks"):
        gf.stationarity(problem, saddle, blocks="weight")
    with pytest.raises(ValueError, match="blocks"):
        block_eigenvalues(Hessian().at(problem, saddle), None)
    broken = Hessian().at(problem, saddle)
    broken.blocks = lambda groups: [
        np.full((group.shape[0], group.shape[1], group.shape[1]), np.nan) for group in groups
    ]
    assert np.isnan(block_eigenvalues(broken).value)
    whole = BlockDiagonal(Hessian(), "neuron").at(problem, saddle)
    assert abs(extreme_eigenvalues(whole, "smallest").smallest.value - block_eigenvalues(whole.whole).value) < 1e-12


def test_with_tanh_neither_holds():
    seen, most = [], []
    for seed in range(4):
        problem, theta = network_case(1, activation="tanh", seed=seed)
        H = hessian_of(problem, theta)
        first = parts_of(problem, theta)[0][0]
        seen.append(np.linalg.eigvalsh(H[np.ix_(first, first)])[0] < -1e-3 * np.abs(H).max())
        most.append(np.sum(np.linalg.eigvalsh(H) < -1e-12) > problem.net.width)
    assert all(seen)
    assert any(most)


def test_the_saddle_of_a_relu_network_has_a_negative_eigenvalue_for_each_neuron():
    problem, saddle = relu_saddle()
    H = hessian_of(problem, saddle)
    layers, parts = parts_of(problem, saddle)
    assert np.sum(np.linalg.eigvalsh(H) < -1e-12) == 3
    assert min(np.linalg.eigvalsh(H[np.ix_(rows, rows)])[0] for rows in layers) >= -1e-13
    assert all(np.linalg.eigvalsh(H[np.ix_(rows, rows)])[0] < -0.1 for rows in parts)


@pytest.mark.parametrize(("k", "loss"), CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gauge_vectors_are_null_vectors_of_the_jacobian_and_orthogonal_to_gradients(k, loss, dtype):
    problem, theta = network_case(k, loss=loss, dtype=dtype)
    (w, a), g = neurons(problem, theta), problem.energy_and_gradient(theta)[1]
    g_w, g_a = neurons(problem, g)
    eps = np.finfo(dtype).eps
    assert np.abs(np.sum(w * g_w, axis=1) - np.sum(a * g_a, axis=1)).max() < 50 * eps * np.abs(g).max()
    _, parts = parts_of(problem, theta)
    for j, rows in enumerate(parts):
        t = 0 * theta
        t[rows] = np.concatenate([w[j], -a[j]])
        Ht = problem.hvp(theta, t)
        wanted = 0 * theta
        wanted[rows] = np.concatenate([-g_w[j], g_a[j]])
        assert np.abs(Ht - wanted).max() < 200 * eps * (1 + np.abs(g).max())
        if loss == "mse":
            assert np.abs(problem.linearize(theta).jvp(t)).max() < 50 * eps


def squares(problem, theta):
    """Return |w_j|^2 - |a_j|^2 of each neuron, which the flow conserves."""
    w, a = neurons(problem, theta)
    return np.sum(w * w, axis=1) - np.sum(a * a, axis=1)


@pytest.mark.parametrize(
    ("scheme", "order"),
    [
        (gf.GradientDescent(), 1),
        (gf.SAV(), 1),
        (gf.ExpSAV(), 1),
        (gf.Restart(gf.IEQ()), 1),
        (gf.Relaxed(gf.SAV()), 1),
        (gf.RungeKutta4(), 4),
        (gf.ImplicitEuler(tol=1e-13), 1),
    ],
    ids=lambda x: x if isinstance(x, int) else repr(x)[:20],
)
def test_a_step_of_order_p_changes_the_conserved_squares_by_dt_to_the_p_plus_1(scheme, order):
    """B4: the slope of the defect of one step, where no pre-activation changes its sign."""
    problem, theta = network_case(1, m=4, N=8, seed=3)
    dts = np.array([1.0, 0.5, 0.25]) * (0.005 if order == 4 else 1e-4)
    inputs, W = np.hstack([problem.x, np.ones((8, 1))]), problem.net.unpack(theta)[0]
    defects = []
    for dt in dts:
        new = run(scheme, problem, theta, dt, 1).theta
        assert np.array_equal(np.sign(inputs @ problem.net.unpack(new)[0]), np.sign(inputs @ W))
        defects.append(np.abs(squares(problem, new) - squares(problem, theta)).max())
    slopes = np.diff(np.log(defects)) / np.diff(np.log(dts))
    np.testing.assert_allclose(slopes, order + 1, atol=0.15)


@pytest.mark.parametrize("name", ["GradientDescent", "SAV", "ExpSAV", "IEQ", "GaussNewton"])
def test_a_step_that_is_orthogonal_to_the_gauge_vectors_changes_the_squares_by_its_own_only(name):
    """|w|^2 - |a|^2 changes by |d_w|^2 - |d_a|^2 exactly; with the diagonal of the curvature as the metric it does not."""
    problem, theta = network_case(1, m=4, N=8, seed=3)
    schemes = {
        "GradientDescent": gf.GradientDescent(),
        "SAV": gf.SAV(),
        "ExpSAV": gf.ExpSAV(),
        "IEQ": gf.IEQ(),
        "GaussNewton": gf.GaussNewton(damping=2.0),
    }
    new = run(schemes[name], problem, theta, 0.5, 1).theta
    defect = squares(problem, new) - squares(problem, theta)
    np.testing.assert_allclose(defect, squares(problem, new - theta), atol=1e-13)
    scaled = run(gf.LevenbergMarquardt(), problem, theta, 1.0, 1).theta
    defect = squares(problem, scaled) - squares(problem, theta)
    assert np.abs(defect - squares(problem, scaled - theta)).max() > 1e-3
