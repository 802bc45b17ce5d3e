"""Subproblems by a few factorisations: the conditions of optimality, the eigenbasis as the oracle, what is kept and refused."""

import array_api_strict as strict
import numpy as np
import pytest
import scipy.sparse

import gradflow as gf
from gradflow import curvature as C
from gradflow.curvature import choice, spectral
from gradflow.curvature.choice import choose_form, factorises, first_vectors, root_rows
from gradflow.curvature.curvature_region import curvature_region
from gradflow.curvature.normal_equations import NormalEquations
from gradflow.curvature.projected import MOST_VECTORS
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import cubic, trust_region
from gradflow.energies.protocols import norm
from gradflow.energies.sparse import normal_width

SHAPES = {"tall": (40, 25, 50), "wide": (25, 40, 50), "tall, rank 9": (40, 25, 9), "wide, rank 9": (25, 40, 9)}


def linear(J, q):
    return gf.DenseLeastSquares(lambda t: J @ t + q, lambda t: J)


def model_of(shape, seed, dtype=float, spread=0.6):
    N, P, rank = SHAPES[shape]
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((N, rank)) * 10 ** rng.uniform(-spread, spread, rank) @ rng.standard_normal((rank, P))
    return C.GaussNewton().at(linear(J.astype(dtype), rng.standard_normal(N).astype(dtype)), np.zeros(P, dtype))


def metric_of(name, model):
    return C.CurvatureDiagonal(floor=1e-3).weights(model, 0 * model.theta) if name == "diagonal" else None


def in_ball(radius):
    return lambda form: trust_region(form.gamma, form.mu, radius)


def residual(model, weights, step):
    """The length of ``g + (G + nu D) d`` over that of g, in the norm of D^{-1}."""
    D = np.ones(model.shape[0]) if weights is None else weights
    r = model.gradient + model.apply(step.d) + step.nu * D * step.d
    return np.sqrt(r @ (r / D)) / np.sqrt(model.gradient @ (model.gradient / D))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("metric", ["identity", "diagonal"])
@pytest.mark.parametrize("seed", range(5))
def test_a_trust_region_step_is_optimal_and_that_of_the_eigenbasis(shape, metric, seed):
    model = model_of(shape, seed)
    weights = metric_of(metric, model)
    D = np.ones(model.shape[0]) if weights is None else weights
    longest = float(minimise(model, weights, in_ball(1e300), "svd").length)
    equations = NormalEquations(model, weights)
    for share in (1e-8, 1e-3, 0.1, 0.6, 0.999, 1.001, 50.0):
        step, wanted = (
            equations.minimise(in_ball(share * longest)),
            minimise(model, weights, in_ball(share * longest), "svd"),
        )
        assert residual(model, weights, step) <= 1e-9
        length = np.sqrt(step.d @ (D * step.d))
        assert step.nu >= 0
        assert length == pytest.approx(float(step.length), rel=1e-9)
        if share < 1:
            assert step.boundary
            assert length == pytest.approx(share * longest, rel=1e-9)
        else:
            assert (step.boundary, float(step.nu)) == (False, 0.0)
        assert np.max(np.abs(step.d - wanted.d)) <= 1e-7 * np.max(np.abs(wanted.d))
        for field in ("nu", "length", "slope", "bend", "most"):
            rel = 1e-4 if field == "most" and shape == "wide, rank 9" else 1e-6  # equation (4) of the normal equations
            assert float(getattr(step, field)) == pytest.approx(float(getattr(wanted, field)), rel=rel), field
        assert (step.negative, step.products) == (False, 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [1.0, 30.0, 1e6])
def test_a_cubic_step_is_optimal(shape, sigma):
    model = model_of(shape, 7)
    step = NormalEquations(model, None).minimise(lambda form: cubic(form.gamma, form.mu, sigma))
    assert residual(model, None, step) <= 1e-9
    assert float(step.nu) == pytest.approx(sigma * np.linalg.norm(step.d), rel=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_single_precision(shape):
    model = model_of(shape, 3, np.float32, spread=0.3)
    longest = float(minimise(model, None, in_ball(1e30), "svd").length)
    for share in (1e-3, 0.3):
        step, wanted = (
            NormalEquations(model, None).minimise(in_ball(share * longest)),
            minimise(model, None, in_ball(share * longest), "svd"),
        )
        assert step.d.dtype == np.float32
        assert np.max(np.abs(step.d - wanted.d)) <= 1e-3 * np.max(np.abs(wanted.d))


def test_another_radius_at_the_same_theta_takes_fewer_factorisations():
    model = model_of("wide", 1, spread=2.0)
    longest = float(minimise(model, None, in_ball(1e300), "svd").length)
    space, counts = NormalEquations(model, None)._space, []
    for share in (0.5, 0.25, 0.0625, 0.0625):
        counts.append(space.solve(in_ball(share * longest), 1e-10, 12).factors)
    assert 1 <= counts[0] <= 4
    assert counts[3] == 0
    fresh = [
        NormalEquations(model, None)._space.solve(in_ball(share * longest), 1e-10, 12).factors
        for share in (0.5, 0.25, 0.0625)
    ]
    assert sum(counts) < sum(fresh)


def test_a_region_of_another_shape_is_left_to_the_eigenbasis():
    model = model_of("tall", 0)
    region = lambda form: curvature_region(form.gamma, form.mu, np.float64(0.01), 1e-3, linear=False)  # noqa: E731
    assert NormalEquations(model, None).minimise(region) is None


def hessian(mu):
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((len(mu), len(mu))))[0]
    B = (Q * mu) @ Q.T
    B = (B + B.T) / 2
    problem = gf.FunctionProblem(lambda t: t @ (B @ t) / 2 + t.sum(), lambda t: B @ t + 1, hvp=lambda t, v: B @ v)
    return C.Hessian().at(problem, np.zeros(len(mu)))


def test_an_indefinite_model_is_left_to_the_eigenbasis():
    mu = np.linspace(1, 9, 20)
    step, wanted = (
        NormalEquations(hessian(mu), None).minimise(in_ball(0.1)),
        minimise(hessian(mu), None, in_ball(0.1), "eigh"),
    )
    assert np.max(np.abs(step.d - wanted.d)) <= 1e-9 * np.max(np.abs(wanted.d))
    mu[0] = -1e-3
    assert NormalEquations(hessian(mu), None).minimise(in_ball(0.1)) is None
    auto, wanted = minimise(hessian(mu), None, in_ball(0.1)), minimise(hessian(mu), None, in_ball(0.1), "eigh")
    assert auto.negative
    assert np.array_equal(auto.d, wanted.d)


@pytest.mark.parametrize("q", [0.0, np.nan])
def test_without_a_gradient_or_a_number_there_is_no_space(q):
    model = C.GaussNewton().at(linear(np.eye(3), q * np.ones(3)), np.zeros(3))
    assert NormalEquations(model, None).minimise(in_ball(1.0)) is None


def large(weight_decay=0.0, N=240, m=60):
    x = np.random.default_rng(2).standard_normal((N, 12))
    problem = gf.Regression(
        gf.TwoLayerNet(12, m, activation="tanh", scaling="ntk"), x, np.sin(x[:, :1]), weight_decay=weight_decay
    )
    return problem, problem.net.init(1)


@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
@pytest.mark.parametrize("method", [gf.LevenbergMarquardt(), gf.TrustRegion(curvature=C.GaussNewton())], ids=["D", "I"])
def test_auto_takes_factorisations_at_large_sizes(method, weight_decay, monkeypatch):
    problem, theta = large(weight_decay)
    wanted = gf.solve(problem, type(method)(**{**vars(method), "solver": "svd"}), theta, steps=4)
    monkeypatch.setattr(spectral, "dense_form", lambda *_: pytest.fail("an eigenbasis was made"))
    found = gf.solve(problem, method, theta, steps=4)
    assert found.history["energy"] == pytest.approx(wanted.history["energy"], rel=1e-6)


def test_the_rows_of_the_energy_part_count():
    (problem, theta), (decaying, _) = large(N=40, m=80), large(1e-3, N=40, m=80)
    plain, model = (C.GaussNewton().at(each, theta) for each in (problem, decaying))
    P = theta.shape[0]
    assert (root_rows(plain), root_rows(model)) == (40, 40 + P)
    assert choose_form(plain, None) == "svd"
    assert choose_form(model, None) == "eigh"  # (N + P) P^2 exceeds the limit of singular values
    assert factorises(model, None)
    assert not factorises(plain, None)


def test_several_factorisations_save_nothing_in_a_small_model():
    small, large_one = hessian(np.linspace(1, 2, 20)), hessian(np.linspace(1, 2, 216))
    assert [factorises(each, None) for each in (small, large_one)] == [True, True]
    assert [factorises(each, None, several=True) for each in (small, large_one)] == [False, True]


@pytest.mark.parametrize("shape", [(20, 8), (8, 20)])
def test_the_space_keeps_to_the_array_standard(shape):
    rng = np.random.default_rng(0)
    J, q = rng.standard_normal(shape), rng.standard_normal(shape[0])
    wanted = minimise(C.GaussNewton().at(linear(J, q), np.zeros(shape[1])), None, in_ball(0.1), "svd")
    model = C.GaussNewton().at(
        linear(strict.asarray(J), strict.asarray(q)), strict.zeros(shape[1], dtype=strict.float64)
    )
    assert np.max(np.abs(np.asarray(NormalEquations(model, None).minimise(in_ball(0.1)).d) - wanted.d)) <= 1e-12


def slow_problem(P=400):
    """A curvature of condition number 1e12: a Krylov space of `MOST_VECTORS` is too small."""
    h = 10 ** np.linspace(0, 6, P)
    return gf.FunctionProblem(
        lambda t: (h * t) @ (h * t) / 2 + h.sum() * t[0], lambda t: h * (h * t) + h, hvp=lambda t, v: h * (h * v)
    )


def test_a_krylov_space_that_is_too_small_says_so():
    model = C.Hessian().at(slow_problem(), np.zeros(400))
    step = minimise(model, None, in_ball(1e3), "lanczos")
    assert step.products == MOST_VECTORS
    assert step.residual > 1e-6
    assert step.residual == pytest.approx(residual(model, None, step), rel=1e-2)
    assert minimise(model, None, in_ball(1e-12), "lanczos").residual <= 1e-10


def test_a_krylov_space_is_kept_for_the_trials_at_its_theta():
    model = model_of("wide", 2)
    first = minimise(model, None, in_ball(1.0), "lanczos")
    again, shorter = minimise(model, None, in_ball(1.0), "lanczos"), minimise(model, None, in_ball(0.01), "lanczos")
    assert first.products > 0 == again.products == shorter.products
    assert np.array_equal(again.d, first.d)
    fresh = minimise(model_of("wide", 2), None, in_ball(0.01), "lanczos")
    assert np.max(np.abs(shorter.d - fresh.d)) <= 1e-8 * np.max(np.abs(fresh.d))


def test_products_are_tried_before_the_matrix_of_the_residuals(monkeypatch):
    """Lanczos is taken where a few vectors suffice, factorisations where they do not."""
    monkeypatch.setattr(choice, "DENSE_LIMIT", 80)  # P is too large for a matrix, N is not
    monkeypatch.setattr(choice, "SVD_LIMIT", 0)
    rng = np.random.default_rng(0)
    for spread, taken in ((0.0, False), (4.0, True)):
        J = 10 ** np.linspace(0, spread, 80) * rng.standard_normal((80, 80)) / 9
        J = np.linalg.qr(J)[0] * 10 ** np.linspace(0, spread, 80) if spread else J
        model = C.GaussNewton().at(linear(np.hstack([J, J]), rng.standard_normal(80)), np.zeros(160))
        weights = np.linspace(1, 2, 160)
        assert choose_form(model, weights) == "lanczos"
        assert first_vectors(model, weights) == 50
        step, wanted = minimise(model, weights, in_ball(2.0)), minimise(model, weights, in_ball(2.0), "svd")
        assert ("normal" in model.forms) == taken
        assert (step.products == 0) == taken
        assert np.max(np.abs(step.d - wanted.d)) <= 1e-7 * np.max(np.abs(wanted.d))


def sparse_linear(J):
    return C.GaussNewton().at(gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J), np.zeros(J.shape[1]))


def band(n, k, order=None):
    rows = range(-k, k + 1)
    J = scipy.sparse.diags_array([np.full(n, np.exp(-abs(i) / 3)) for i in rows], offsets=list(rows), shape=(n, n))
    J = J.tocsr()
    return J if order is None else J[:, order].tocsr()


def test_the_width_is_that_of_the_best_order_and_bounds_what_a_factorisation_costs():
    shuffled = np.random.default_rng(0).permutation(400)
    assert normal_width(band(400, 3), 200) == pytest.approx(6, rel=0.05)  # J^T J has the half band width 6
    assert normal_width(band(400, 3, shuffled), 200) == pytest.approx(6, rel=0.3)
    assert normal_width(band(400, 3), 4) == np.inf
    dense_row = scipy.sparse.vstack([scipy.sparse.eye_array(900), np.ones((1, 900))], format="csr")
    assert normal_width(dense_row, 200) == np.inf


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_wide_band_is_factorised(shuffled):
    """31 entries a row: J^T J is summed from 480 products for each row and parameter, and has 61 entries a row."""
    n = 1500
    order = np.random.default_rng(0).permutation(n) if shuffled else None
    J = band(n, 15, order)
    assert choose_form(sparse_linear(J), None) == "sparse"
    rng = np.random.default_rng(1)
    random = scipy.sparse.csr_array(
        (np.ones(60 * n), (np.repeat(np.arange(n), 60), rng.integers(0, n, 60 * n))), shape=(n, n)
    )
    assert choose_form(sparse_linear(random), None) == "lanczos"  # every order fills it


@pytest.mark.parametrize("size", [1e-140, 1e-100, 1e100, 1e140])
@pytest.mark.parametrize("radius", [1e-3, 1e3])
def test_sparse_factorisations_at_any_scale_of_the_residual(size, radius):
    J, q = size * band(60, 2), size * np.cos(np.arange(60.0))
    steps = [
        minimise(
            C.GaussNewton().at(gf.DenseLeastSquares(lambda t: J @ t + q, lambda t: J), np.zeros(60)),
            None,
            in_ball(radius),
            s,
        )
        for s in ("sparse", "svd")
    ]
    assert np.max(np.abs(steps[0].d - steps[1].d)) <= 1e-8 * np.max(np.abs(steps[1].d))


def test_a_norm_whose_square_overflows_is_found_without_a_warning():
    assert norm(lambda u, v: u @ v, np.array([3e200, 4e200])) == pytest.approx(5e200)
