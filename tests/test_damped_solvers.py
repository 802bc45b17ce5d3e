"""The solvers of a damped step: they agree, they state what the model says, and each keeps its law."""

import numpy as np
import pytest

import gradflow as gf
from gradflow import curvature as C
from gradflow.curvature.damped_step import damped_step, solve_identity_plus
from gradflow.curvature.direct import factorised, factorises, largest_eigenvalue, solve_damped
from gradflow.curvature.lapack import eigh, svd
from gradflow.curvature.low_rank import nystrom
from gradflow.curvature.metric import CurvatureDiagonal
from gradflow.curvature.normal_equations import NormalEquations, side_of
from gradflow.curvature.pcg import PCG, conjugate_gradients
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import damped

EPS = float(np.finfo(float).eps)


def quadratic(B, c=None):
    """``theta . B theta / 2 + c . theta``."""
    c = np.ones(B.shape[0]) if c is None else c
    return gf.FunctionProblem(lambda t: t @ (B @ t) / 2 + c @ t, lambda t: B @ t + c, hvp=lambda t, v: B @ v)


def linear(J, q):
    """The residual ``J theta + q``."""
    return gf.DenseLeastSquares(lambda t: J @ t + q, lambda t: J)


def instance(N, P, seed=0, rank=None, dtype=float):
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((N, P)) if rank is None else rng.standard_normal((N, rank)) @ rng.standard_normal((rank, P))
    J = (J * 10 ** rng.uniform(-1, 1, P)).astype(dtype)
    return linear(J, rng.standard_normal(N).astype(dtype)), (0 * J[0])


def network(N=9, m=6, weight_decay=0.0):
    x = np.linspace(-1, 1, N)[:, None]
    problem = gf.Regression(gf.TwoLayerNet(1, m, activation="tanh"), x, np.sin(3 * x), weight_decay=weight_decay)
    return problem, problem.net.init(3)


PROBLEMS = {
    "tall": lambda: instance(30, 8),
    "wide": lambda: instance(8, 30),
    "tall, of low rank": lambda: instance(30, 8, rank=4),
    "wide, of low rank": lambda: instance(8, 30, rank=4),
    "network": network,
    "network with a mass and L": lambda: network(weight_decay=0.1),
}
METRICS = {"identity": C.Identity(), "diagonal": CurvatureDiagonal(floor=1e-3)}


def model_of(name, metric, curvature=None):
    problem, theta = PROBLEMS[name]()
    model = (curvature or C.GaussNewton()).at(problem, theta)
    weights = METRICS[metric].weights(model, METRICS[metric].start(theta))
    return model, weights if weights.shape else None


def eigen(model, weights, nu, solver="svd"):
    return minimise(model, weights, lambda form: damped(form.gamma, form.mu, np.float64(nu), form.tiny), solver)


def close(found, wanted, tol):
    size = float(np.max(np.abs(wanted)))
    return float(np.max(np.abs(np.asarray(found) - np.asarray(wanted)))) <= tol * size


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("solver", ["cholesky", "qr", "pcg", "nystrom", "primal", "gram", "eigh"])
def test_the_solvers_agree_and_state_what_the_model_says(name, metric, solver):
    model, weights = model_of(name, metric)
    if solver == "gram" and not model.has_gram:
        pytest.skip("no Gram matrix with an energy part")
    nu = 0.05 * largest_eigenvalue(model, weights)
    wanted = eigen(model, weights, nu)
    if solver in ("gram", "eigh"):
        step = eigen(model, weights, nu, solver)
    elif solver == "nystrom":
        step = PCG(C.NystromPreconditioner(rank=6), tol=1e-14).step(model, weights, nu)
    elif solver == "primal":
        d = np.linalg.solve(
            model.matrix() + nu * np.diag(model.mass * np.ones(model.shape[0]) * (1 if weights is None else weights)),
            -model.mass * model.gradient,
        )
        assert close(d, wanted.d, 1e-12)
        return
    else:
        step = solve_damped(model, weights, nu, solver, tol=1e-14)
    assert close(step.d, wanted.d, 1e-12)
    for field in ("nu", "length", "slope", "bend"):
        assert close(getattr(step, field), getattr(wanted, field), 1e-12), field
    tol = 1e-9 if "rank" not in name and name != "network" else 1e-4
    if solver in ("pcg", "nystrom"):  # a bound, or the number
        predicted = -float(step.slope) - float(step.bend) / 2
        assert predicted <= float(step.most) <= float(wanted.most) * (1 + tol)
        assert close(step.most, wanted.most, tol) or 2 * predicted < float(step.most)
    else:
        assert close(step.most, wanted.most, tol)
    assert not step.negative
    assert not step.boundary


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("metric", METRICS)
def test_the_smaller_side_is_taken(name, metric):
    model, weights = model_of(name, metric)
    wide = model.has_gram and model.rows < model.shape[0]
    assert side_of(model) == ("residuals" if wide else "parameters")
    assert NormalEquations(model, weights).A.shape[0] == (min(model.rows, model.shape[0]) if wide else model.shape[0])


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)])
@pytest.mark.parametrize("e", [1e-8, 1e-10])
def test_qr_keeps_the_digits_that_the_normal_equations_lose(shape, e):
    J = np.vstack([np.ones((1, 2)), e * np.eye(2)])  # Läuchli's matrix
    J = J if shape == (3, 2) else J.T
    q = np.array([2.0, e, e]) if shape == (3, 2) else np.array([1.0, 1 + e])
    model = C.GaussNewton().at(linear(J, q), np.zeros(shape[1]))
    wanted = -np.linalg.lstsq(J, q, rcond=None)[0]
    step = solve_damped(model, None, 0.0, "qr")
    assert close(step.d, wanted, 1e-6 if shape == (3, 2) else 10 * EPS / e)
    assert close(step.d, eigen(model, None, 0.0).d, 100 * EPS / e)
    assert factorised(model, None, 0.0) is None  # too small to be tried; and
    assert NormalEquations(model, None).step(0.0) is None  # without the digits it is no step


def test_qr_needs_a_root_and_a_residual():
    model = C.Hessian().at(quadratic(np.eye(2)), np.ones(2))
    with pytest.raises(ValueError, match="needs a curvature with a root"):
        solve_damped(model, None, 1.0, "qr")


@pytest.mark.parametrize("kind", ["Jacobi", "Nystrom"])
@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_conjugate_gradients_stays_below_the_bound(kind, seed):
    rng = np.random.default_rng(seed)
    P, nu = 40, 1e-2
    Q = np.linalg.qr(rng.standard_normal((P, P)))[0]
    root = (Q * 10 ** np.linspace(0, -3, P)) @ Q.T
    model = C.GaussNewton().at(linear(root, rng.standard_normal(P)), np.zeros(P))
    inverse = (C.Jacobi() if kind == "Jacobi" else C.NystromPreconditioner(10)).at(model, None)
    A = model.matrix() + nu * np.eye(P)
    exact = -np.linalg.solve(A, model.gradient)
    inv = np.stack([inverse(e, nu) for e in np.eye(P)])
    assert np.allclose(inv, inv.T, atol=1e-10)
    half = np.linalg.cholesky(A)
    values = np.linalg.eigvalsh(half.T @ inv @ half)
    ratio = np.sqrt(values[-1] / values[0])
    norms, iterates = [], []

    def operator(v):
        return A @ v

    for k in range(1, 25):  # the target is that of the k-th iterate: the run is repeated with a counter
        count = 0

        def inner(u, v):
            return u @ v

        def stopped(v, most=k):
            nonlocal count
            count += 1
            return operator(v) if count <= most else np.nan * v

        found = conjugate_gradients(
            stopped, inner, lambda v: inverse(v, nu), 0 * exact, model.gradient, 1.0, target=0.0
        )
        iterates.append(found.x)
        error = found.x - exact
        norms.append(np.sqrt(error @ A @ error))
        bound = 2 * ((ratio - 1) / (ratio + 1)) ** k * np.sqrt(exact @ A @ exact)
        assert norms[-1] <= bound * (1 + 1e-8) + 1e-12
    assert norms[-1] < 1e-2 * norms[0]


@pytest.mark.parametrize("rank", [5, 15, 40])
@pytest.mark.parametrize("metric", METRICS)
def test_the_condition_number_of_nystroms_preconditioner(rank, metric):
    problem, theta = instance(60, 40, seed=2)
    model = C.GaussNewton().at(problem, theta)
    weights = METRICS[metric].weights(model, METRICS[metric].start(theta))
    weights = weights if weights.shape else None
    D = np.ones(40) if weights is None else weights
    nu = 1e-3 * largest_eigenvalue(model, weights)
    inverse = C.NystromPreconditioner(rank).at(model, weights)
    U, mu = C.low_rank.nystrom(model, rank, 0, weights)
    assert np.allclose(U.T @ (D[:, None] * U), np.eye(rank), atol=1e-10)
    A = model.matrix() / np.sqrt(D)[:, None] / np.sqrt(D)
    W = np.sqrt(D)[:, None] * U
    E = A - (W * mu) @ W.T
    inv = np.stack([inverse(np.sqrt(D) * e, nu) for e in np.eye(40)], axis=1) * np.sqrt(D)[:, None]
    shifted = A + nu * np.eye(40)
    half = np.linalg.cholesky(shifted)
    values = np.linalg.eigvalsh(half.T @ inv @ half)
    bound = (mu[-1] + nu + np.linalg.norm(E, 2)) / nu
    assert values[-1] / values[0] <= bound * (1 + 1e-6)
    if rank == 40:
        assert values[-1] / values[0] <= 1 + 1e-6


def test_distinct_eigenvalues_are_counted():
    J = np.diag(np.repeat([1.0, 2.0, 5.0], 10))
    model = C.GaussNewton().at(linear(J, np.arange(1.0, 31.0)), np.zeros(30))
    jacobi = PCG(tol=1e-12).step(model, np.ones(30), 0.1)
    assert jacobi.products == 1 or jacobi.products == 2  # the diagonal is the matrix

    class Plain:
        def at(self, model, weights):
            return lambda v, nu: v

    assert PCG(Plain(), tol=1e-12).step(model, None, 100.0).products == 3


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
@pytest.mark.parametrize("nu", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_negative_curvature_is_declared_and_the_step_descends(solver, nu, seed):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    mu = np.array([-2.0, -0.7, 0.3, 1.0, 2.0, 5.0])
    model = C.Hessian().at(quadratic((Q * mu) @ Q.T, rng.standard_normal(6)), rng.standard_normal(6))
    step = solve_damped(model, None, nu, solver)
    assert step.negative
    assert float(step.slope) < 0
    assert float(step.most) == np.inf
    assert float(step.nu) > nu
    A = model.matrix() + float(step.nu) * np.eye(6)
    assert np.linalg.norm(A @ step.d + model.gradient) <= 1e-8 * np.linalg.norm(model.gradient)
    assert NormalEquations(model, None).step(nu) is None  # auto leaves it to the eigenbasis


def test_a_zero_model_has_no_step_and_a_zero_gradient_the_step_zero():
    model = C.Hessian().at(quadratic(np.zeros((3, 3))), np.zeros(3))
    assert not np.isfinite(float(solve_damped(model, None, 0.0, "cholesky").length))
    assert not float(solve_damped(model, None, 0.0, "pcg").length) > 0
    model = C.Hessian().at(quadratic(np.eye(3), np.zeros(3)), np.zeros(3))
    for solver in ("cholesky", "pcg"):
        assert float(solve_damped(model, None, 1.0, solver).length) == 0


@pytest.mark.parametrize(
    "globalization", [C.FixedDamping(0.0), C.Armijo(), C.StrongWolfe()], ids=lambda g: type(g).__name__
)
@pytest.mark.parametrize("spread", [1.0, 1e7])
def test_newton_does_not_depend_on_the_scale_of_single_parameters(globalization, spread):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((6, 6))
    s = spread ** np.linspace(0, 1, 6)
    B = (A @ A.T + 6 * np.eye(6)) * s * s[:, None]
    problem = quadratic(B, s * rng.standard_normal(6))
    method = gf.SecondOrder(curvature=C.Hessian(), globalization=globalization)
    run = gf.solve(problem, method, np.ones(6) / s, steps=3)
    wanted = -np.linalg.solve(B / s / s[:, None], problem.energy_and_gradient(np.zeros(6))[1] / s) / s
    assert np.all(np.abs(run.theta - wanted) * s <= 1e-12 * np.max(np.abs(wanted * s)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "globalization", [C.FixedDamping(1e-2), C.NielsenDamping(), C.MarquardtDamping()], ids=lambda g: type(g).__name__
)
@pytest.mark.parametrize("solver", ["cholesky", "qr", "pcg", PCG(C.NystromPreconditioner(8)), "auto", "svd"], ids=str)
def test_every_damping_takes_every_solver(metric, globalization, solver):
    problem, theta = network(20, 12)
    tol = 1e-13 if isinstance(solver, str) and solver == "pcg" else None
    method = gf.SecondOrder(globalization=globalization, metric=METRICS[metric], solver=solver, tol=tol)
    run = gf.solve(problem, method, theta, steps=25)
    assert run.history["energy"][-1] < 0.5 * run.history["energy"][0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(150, 400), (150, 500), (300, 200)])
def test_large_models_are_factorised_and_the_steps_are_those_of_the_eigenbasis(metric, shape):
    problem, theta = instance(*shape)
    model = C.GaussNewton().at(problem, theta)
    weights = METRICS[metric].weights(model, METRICS[metric].start(theta))
    weights = weights if weights.shape else None
    large = shape[0] * shape[1] * min(shape) >= 10**7
    assert factorises(model, weights) is large
    nu = 1e-4 * largest_eigenvalue(model, weights)
    step = factorised(model, weights, nu)
    assert (step is None) == (not large)
    if step is not None:
        assert close(step.d, eigen(model, weights, nu).d, 1e-9)
    assert factorised(model, weights, 0.0) is None or side_of(model) == "residuals" or shape[0] >= shape[1]


def test_the_size_of_a_model_is_that_of_its_largest_eigenvalue():
    for name in PROBLEMS:
        for metric in METRICS:
            model, weights = model_of(name, metric)
            D = np.ones(model.shape[0]) if weights is None else weights
            exact = np.max(
                np.linalg.eigvalsh(model.matrix() / np.sqrt(model.mass * D) / np.sqrt(model.mass * D)[:, None])
            )
            assert 0.9 * exact <= largest_eigenvalue(model, weights) <= exact * (1 + 1e-10)


@pytest.mark.parametrize("bad", [C.PCG, 3, "cg"])
def test_unknown_solvers_are_refused(bad):
    with pytest.raises(ValueError, match="solver"):
        gf.SecondOrder(solver=bad)
    with pytest.raises(ValueError, match="preconditioner must be"):
        C.PCG(C.Jacobi)
    with pytest.raises(ValueError, match="positive semi-definite"):
        C.NystromPreconditioner().at(C.Hessian().at(quadratic(np.eye(2)), np.ones(2)), None)


# -- Out of range ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (5, 3), (3, 5)])
def test_decompositions_of_what_is_not_finite_are_nan(shape, bad):
    A = np.ones(shape)
    A[..., 1, 1] = bad
    for of, finite in ((eigh, np.linalg.eigh), (svd, lambda B: np.linalg.svd(B, full_matrices=False))):
        if (of is svd and len(shape) == 3) or (of is eigh and shape[-1] != shape[-2]):
            continue
        for found, wanted in zip(of(A), finite(np.ones(shape)), strict=True):
            assert found.shape == wanted.shape
            assert np.all(np.isnan(found))


@pytest.mark.parametrize("rank", [3, 8])
@pytest.mark.parametrize("k", [-500, 400, 480])
def test_the_nystrom_approximation_scales_with_the_matrix(rank, k):
    """For 2^k G the eigenvalues are 2^k times those of G, and the vectors the same, also where squares are out of range."""
    B = np.diag(np.arange(1.0, 9.0)) + 0.1
    factors = []
    for c in (1.0, 2.0**k):
        model = C.GaussNewton().at(quadratic_of_rows(np.linalg.cholesky(B).T * c**0.5), np.zeros(8))
        factors.append(nystrom(model, rank, 0))
    np.testing.assert_array_equal(factors[1][0], factors[0][0])
    np.testing.assert_array_equal(factors[1][1], 2.0**k * factors[0][1])


def quadratic_of_rows(R):
    return linear(R, np.zeros(R.shape[0]))


@pytest.mark.parametrize("of", [C.Jacobi(), C.NystromPreconditioner(4)], ids=lambda of: type(of).__name__)
@pytest.mark.parametrize("k", [-600, 600, 900])
def test_a_step_of_conjugate_gradients_scales_with_the_energy(of, k):
    """For 2^k E and 2^k nu, the step is the same."""
    B = np.diag(np.arange(1.0, 9.0)) + 0.1
    steps = []
    for c in (1.0, 2.0**k):
        model = C.Hessian().at(quadratic(B * c, c * np.ones(8)), np.zeros(8))
        model.definite = True
        steps.append(PCG(of).step(model, None, c / 2).d)
    np.testing.assert_array_equal(steps[1], steps[0])


NOT_FINITE = {
    "Fisher": C.Fisher("empirical"),
    "KFAC": C.KFAC(C.Fisher("empirical")),
    "EKFAC": C.KFAC(C.Fisher("empirical"), corrected=True),
    "average": C.MovingAverage(C.KFAC(C.Fisher("empirical"))),
    "directions": C.FrequentDirections(C.Fisher("empirical"), 3, 0.9),
    "Nystrom": C.Nystrom(C.Fisher("empirical"), 3),
    "low rank": C.LowRank(C.Fisher("empirical"), 3),
    "blocks": C.BlockDiagonal(C.Fisher("empirical")),
    "sketch": C.Sketched(C.Fisher("empirical"), 3),
}


@pytest.mark.parametrize("solver", ["auto", "cholesky", "pcg", "lanczos", PCG(C.NystromPreconditioner(3))], ids=str)
@pytest.mark.parametrize("name", NOT_FINITE)
def test_squares_that_overflow_end_in_a_status(name, solver):
    """Fisher matrices have the fourth powers of the data: no exception, and a finite theta whose energy is not larger."""
    if name == "sketch" and solver != "auto":
        pytest.skip("its own form alone keeps steps in the subspace")
    x = np.linspace(-1, 1, 8)[:, None]
    for scale, start, dtype in (
        (1e100, 1, float),
        (1e153, 1, float),
        (1.0, 1e70, float),
        (1e10, 1, "f"),
        (1e18, 1, "f"),
    ):
        net = gf.TwoLayerNet(1, 3, activation="tanh" if start == 1 else "relu")
        problem = gf.Regression(net, x.astype(dtype), (scale * np.sin(3 * x)).astype(dtype))
        globalization = C.TrustRegion() if solver == "lanczos" else C.NielsenDamping()
        method = gf.SecondOrder(curvature=NOT_FINITE[name], globalization=globalization, solver=solver)
        theta = (start * net.init(0)).astype(dtype)
        run = gf.solve(problem, method, theta, steps=3, record=["energy"])
        assert np.all(np.isfinite(run.theta))
        assert problem.energy(run.theta) <= problem.energy(theta)


def test_the_jacobi_preconditioner_takes_no_products_for_a_diagonal():
    P, count = 300, [0]

    def hvp(t, v):
        count[0] += 1
        return v * (1 + np.arange(P) % 3)

    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy(), hvp=hvp)
    for curvature in (C.Hessian(), C.Mixture((C.Hessian(), C.GradientSquare()), (0.5, 0.5))):
        model = curvature.at(problem, np.ones(P))
        PCG().step(model, None, 0.5)
        assert count[0] < 30
        np.testing.assert_allclose(model.diagonal(), np.diag(model.matrix()), rtol=1e-14)
        count[0] = 0


class Own:
    """A preconditioner of a user."""

    def __init__(self, inverse):
        self.inverse = inverse

    def at(self, model, weights):
        return self.inverse


@pytest.mark.parametrize(
    ("inverse", "words"),
    [
        (None, "must return a function"),
        (lambda v, nu: None, "must be an array of shape"),
        (lambda v, nu: list(v), "must be an array of shape"),
        (lambda v, nu: np.append(v, 1.0), "must be an array of shape|must have shape"),
        (lambda v, nu: v.astype("f"), "dtype"),
        (lambda v, nu: v.__imul__(2), "must not write"),
    ],
)
def test_bad_preconditioners_are_named(inverse, words):
    problem, theta = instance(9, 4)
    method = gf.LevenbergMarquardt(globalization=C.NielsenDamping(), solver=PCG(Own(inverse)))
    with pytest.raises(ValueError, match=words):
        gf.solve(problem, method, theta, steps=2)


def test_a_preconditioner_may_reuse_its_array():
    problem, theta = instance(9, 4)
    kept = np.zeros(4)

    def reused(v, nu):
        kept[:] = v
        return kept

    runs = [
        gf.solve(problem, gf.LevenbergMarquardt(globalization=C.NielsenDamping(), solver=PCG(Own(f))), theta, steps=3)
        for f in (reused, lambda v, nu: v.copy())
    ]
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)


@pytest.mark.parametrize("n", [3, 12])
def test_a_matrix_that_rounding_makes_indefinite_is_solved_without_its_negative_part(n):
    """Where Cholesky's factorisation ends, the eigenvalues below 0 are taken for 0, whichever triangle they are seen in."""
    rng = np.random.default_rng(n)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    values = np.array([-2.0, 0.0, *rng.uniform(0, 9, n - 2)])
    K, b = (Q * values) @ Q.T, rng.standard_normal(n)
    wanted = Q @ ((Q.T @ b) / (1 + np.maximum(values, 0)))
    skew = 0.1 * rng.standard_normal((n, n))
    for matrix in (K, K + (skew - skew.T)):
        np.testing.assert_allclose(solve_identity_plus(matrix, b), wanted, rtol=0, atol=100 * EPS * np.max(np.abs(b)))


@pytest.mark.parametrize("L", [0.3, gf.Diagonal(np.linspace(0, 1, 4))])
@pytest.mark.parametrize("N", [3, 9])
def test_the_side_of_auto_is_the_smaller_one(N, L):
    """`auto` takes the side of the parameters for a number and a diagonal in the place of L, if N > P."""
    rng = np.random.default_rng(N)
    J, q = rng.standard_normal((N, 4)), rng.standard_normal(N)
    part, used = gf.Shift(L) if isinstance(L, float) else L, []

    class At:
        residual = q

        def jvp(self, d):
            return J @ d

        def vjp(self, u):
            return J.T @ u

        def gram(self):
            used.append("gram")
            return J @ J.T

        def jacobian(self):
            used.append("jacobian")
            return J

    step = damped_step(At(), q, None, part, 0.5, mass=1.0, n_parameters=4)
    diagonal = np.broadcast_to(np.asarray(L if isinstance(L, float) else L.diagonal), 4)
    wanted = -np.linalg.solve(np.diag(2 + diagonal) + J.T @ J, J.T @ q)
    np.testing.assert_allclose(step.d, wanted, rtol=1e-12, atol=1e-13)
    assert used == ["jacobian" if N > 4 or not isinstance(L, float) else "gram"]
