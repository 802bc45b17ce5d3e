"""Curvatures made from others: mixtures, truncations, the Nyström approximation, steps in a random subspace."""

from itertools import product

import array_api_strict as strict
import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import gradflow as gf
from gradflow.curvature import low_rank, sketched
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import damped
from gradflow.energies.linear import Diagonal, Matrix
from network_cases import network_case

C = gf.curvature
GGN = C.GeneralizedGaussNewton()
MIXTURES = {
    "one": C.Mixture((GGN,), (1.0,)),
    "three": C.Mixture((C.Fisher("empirical"), GGN, C.KFAC()), (0.25, 0.0, 0.75)),
    "roots": C.Mixture((C.Fisher("sampled", samples=2), GGN), (0.3, 0.7)),
    "Hessian": C.Mixture((C.Hessian(), GGN), (0.5, 0.5)),
    "condition": C.Mixture((C.Hessian(), GGN), C.ByConditionNumber()),
    "gradient": C.Mixture((C.Hessian(), GGN), C.ByGradient(1e-9)),
}
LOW_RANK = {
    "LowRank": C.LowRank(GGN, 4),
    "LowRank-Hessian": C.LowRank(C.Hessian(), 5),
    "LowRank-positive": C.LowRank(C.Hessian(), 24, C.Floor()),
    "LowRank-absolute": C.LowRank(C.Hessian(), 24, "absolute"),
    "Nystrom": C.Nystrom(GGN, 4, seed=1),
    "Nystrom-KFAC": C.Nystrom(C.KFAC(), 30),
    "Nystrom-mixture": C.Nystrom(MIXTURES["three"], 3),
}
SKETCHED = {kind: C.Sketched(GGN, 5, kind) for kind in sketched.SKETCHES}
SKETCHED["sketched-Hessian"] = C.Sketched(C.Hessian(), 5, seed=3)
CURVATURES = {**MIXTURES, **LOW_RANK, **SKETCHED}
SEMIDEFINITE = {"one", "three", "roots", "LowRank", "LowRank-positive", "LowRank-absolute", *sketched.SKETCHES}
SEMIDEFINITE |= {name for name in LOW_RANK if name.startswith("Nystrom")}
PARTS = {"none": 0.0, "shift": 0.3, "diagonal": Diagonal(np.linspace(0, 1, 24))}
GLOBALIZATIONS = (
    C.FixedDamping(0.1),
    C.MarquardtDamping(),
    C.NielsenDamping(),
    C.TrustRegion(radius=0.3),
    C.Cubic(2.0),
)
GLOBALIZATIONS += (C.Armijo(), C.StrongWolfe())


def case_of(loss="cross_entropy", part="none", time_scale="mean_field", **more):
    return network_case("tanh", 3, loss, "ntk", time_scale, weight_decay=PARTS[part], **more)


def symmetric(model):
    """Return ``M^{1/2} (G - L) M^{-1/2}``, symmetric, and ``M^{1/2}`` (P,)."""
    S = np.sqrt(model.mass + 0 * model.theta)
    L = model.linear.apply(np.eye(len(S)))
    return model.matrix() / S / S[:, None] - L, S


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


def span(case, size, kind="gaussian", **more):
    """Return the sketch S, (P, d), in coordinates."""
    model = C.Sketched(GGN, size, kind, **more).at(case.problem, case.theta)
    return model.T / np.sqrt(model.mass + 0 * model.theta)[:, None]


# -- Operators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("name", CURVATURES)
def test_an_operator_is_its_matrix(name, loss, part, time_scale):
    """Products, matrix, diagonal, blocks, root and SciPy's operator agree; energy and gradient are the problem's."""
    case = case_of(loss, part, time_scale)
    problem, theta = case.problem, case.theta
    model = CURVATURES[name].at(problem, theta)
    B, eye, mass = model.matrix(), np.eye(len(theta)), problem.mass + 0 * theta
    size = np.abs(B).max()
    np.testing.assert_allclose(B, B.T, rtol=0, atol=1e-15 * size)
    np.testing.assert_allclose(np.array([model.apply(e) for e in eye]) * mass, B, rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(mass[:, None] * (aslinearoperator(model) @ eye), B, rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(model.diagonal() * mass, np.diag(B), rtol=0, atol=1e-12 * size)
    (blocks,) = model.blocks([np.array([[0, 3], [5, 1]])])
    np.testing.assert_allclose(blocks[0], B[np.ix_([0, 3], [0, 3])], rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(model.energy, problem.energy(theta), rtol=1e-13)
    np.testing.assert_allclose(model.gradient, problem.energy_and_gradient(theta)[1], rtol=1e-11, atol=1e-13)
    assert model.definite == (name in SEMIDEFINITE)
    if model.definite:
        assert np.linalg.eigvalsh(B)[0] > -1e-12 * size
    root = model.root()
    assert (root is None) == (model.rows is None)
    if name not in ("condition", "gradient"):
        assert (root is None) == (name not in ("one", "roots"))
    if root is not None:
        np.testing.assert_allclose(root.R.T @ root.R, B, rtol=0, atol=1e-12 * size)
        if root.r is not None:
            assert loss == "mse"
            np.testing.assert_allclose(root.R.T @ root.r, mass * model.gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CURVATURES)
def test_the_dtype_is_that_of_theta(name):
    case, fine = (case_of(dtype=dtype) for dtype in ("float32", "float64"))
    theta = case.theta
    model, other = CURVATURES[name].at(case.problem, theta), CURVATURES[name].at(fine.problem, theta.astype(float))
    for found, wanted in (
        (model.apply(theta), other.apply(theta.astype(float))),
        (model.matrix(), other.matrix()),
        (model.diagonal(), other.diagonal()),
    ):
        assert found.dtype == "float32"
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


# -- Mixtures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_a_mixture_is_the_sum_of_its_parts(part):
    """Three parts with their weights, one of them 0, and the energy part once."""
    case = case_of(part=part)
    parts = (C.Fisher("empirical"), C.Hessian(), C.BlockDiagonal(GGN, "neuron"), C.LowRank(GGN, 3))
    models = [each.at(case.problem, case.theta) for each in parts]
    for weights in ((0.1, 0.2, 0.3, 0.4), (0.5, 0.0, 0.5, 0.0)):
        mixed = C.Mixture(parts, weights).at(case.problem, case.theta)
        assert relative(mixed.matrix(), sum(a * each.matrix() for a, each in zip(weights, models, strict=True))) < 1e-14
        assert mixed.definite == (weights[1] == 0)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("parts", [(C.GaussNewton(), GGN), (GGN, C.GaussNewton(), GGN)], ids=len)
def test_the_root_of_a_mixture_gives_curvature_and_gradient(part, parts):
    """R^* R = G and R^* r = g, with the rows of L once."""
    case = case_of("mse", part)
    mixed = C.Mixture(parts, (0.2, 0.8) if len(parts) == 2 else (0.2, 0.3, 0.5)).at(case.problem, case.theta)
    root = mixed.root()
    np.testing.assert_allclose(root.R.T @ root.R, mixed.matrix(), atol=1e-13)
    np.testing.assert_allclose(root.R.T @ root.r, mixed.mass * mixed.gradient, atol=1e-13)
    rows = sum(p.at(case.problem, case.theta).rows for p in parts)
    assert root.R.shape[0] == rows + (0 if mixed.linear.scalar == 0 else case.theta.shape[0])


def test_a_semidefinite_sum_needs_weights_that_are_not_negative():
    """The kernel of a sum is the intersection of kernels; with a weight -1/2, two semi-definite parts have an eigenvalue -1/2."""
    f = [gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, hvp=lambda t, v, d=d: d * v) for d in np.eye(2)]
    first, second = (C.Hessian().at(problem, np.ones(2)).matrix() for problem in f)
    assert np.linalg.eigvalsh(0.5 * first + 0.5 * second)[0] == 0.5
    assert np.linalg.eigvalsh(1.5 * first - 0.5 * second)[0] == -0.5
    for weights in ((1.5, -0.5), (0.5, 0.4), (0.5, 0.5, 0.0), (0.5, float("nan"))):
        with pytest.raises(ValueError, match="weights"):
            C.Mixture((GGN, C.Hessian()), weights)


@pytest.mark.parametrize("least", [1e-3, 0.2, -0.5, 0.0])
@pytest.mark.parametrize("most", [1.0, 100.0])
def test_the_weight_of_an_ill_conditioned_part(least, most):
    """min(1, kappa_max / kappa), and 0 for an indefinite or singular matrix."""
    d = np.array([least, 0.5, 2.0])
    problem = gf.FunctionProblem(lambda t: d @ t**2 / 2, lambda t: d * t, hvp=lambda t, v: d * v)
    mixed = C.Mixture((C.Hessian(), C.LowRank(C.Hessian(), 3, "absolute")), C.ByConditionNumber(most))
    weights = [a for a, _ in mixed.at(problem, np.ones(3)).used]
    alpha = min(1.0, most * least / 2) if least > 0 else 0.0
    np.testing.assert_allclose(weights, [a for a in (alpha, 1 - alpha) if a > 0], rtol=1e-9)


def test_a_part_for_small_gradients():
    case = case_of()
    g = case.problem.energy_and_gradient(case.theta)[1]
    size = float(case.problem.inner(g, g)) ** 0.5
    for threshold, wanted in ((size * (1 + 1e-12), C.Hessian()), (size * (1 - 1e-12), GGN)):
        mixed = C.Mixture((C.Hessian(), GGN), C.ByGradient(threshold)).at(case.problem, case.theta)
        np.testing.assert_array_equal(mixed.matrix(), wanted.at(case.problem, case.theta).matrix())


def test_a_policy_of_ones_own_is_checked():
    class Third:
        def __init__(self, *weights):
            self.given = weights

        def weights(self, parts):
            return self.given

    case = case_of()
    mixed = C.Mixture((GGN, C.Hessian()), Third(1 / 3, 2 / 3)).at(case.problem, case.theta)
    assert [a for a, _ in mixed.used] == [1 / 3, 2 / 3]
    with pytest.raises(ValueError, match="sum 1"):
        C.Mixture((GGN, C.Hessian()), Third(1 / 3, 1 / 3)).at(case.problem, case.theta).matrix()


# -- Low rank -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("path", ["dense", "root", "lanczos"])
@pytest.mark.parametrize(("of", "rank"), [*product((GGN, C.Hessian(), C.Fisher("sampled")), (1, 4))])
def test_a_truncation_is_the_nearest_of_its_rank(of, rank, path, part, monkeypatch):
    """The error in the operator norm is the next eigenvalue, in the Frobenius norm that of the rest."""
    if path != "root":
        monkeypatch.setattr(low_rank, "ROOT_LIMIT", 0)
    if path == "lanczos":
        monkeypatch.setattr(low_rank, "DENSE_LIMIT", 0)
    case = case_of(part=part)
    A, _ = symmetric(of.at(case.problem, case.theta))
    found, _ = symmetric(C.LowRank(of, rank).at(case.problem, case.theta))
    mu = np.sort(np.abs(np.linalg.eigvalsh(A)))[::-1]
    assert np.linalg.matrix_rank(found, 1e-9 * mu[0]) == rank
    np.testing.assert_allclose(np.linalg.norm(A - found, 2), mu[rank], rtol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(A - found), np.linalg.norm(mu[rank:]), rtol=1e-7)


def test_changed_eigenvalues():
    """All eigenvalues: the positive part and the absolute value of the Hessian, by a decomposition of the oracle's own."""
    case = case_of("mse")
    A, _ = symmetric(C.Hessian().at(case.problem, case.theta))
    mu, V = np.linalg.eigh(A)
    assert mu[0] < -1e-3 * mu[-1]
    for spectrum, changed in (
        ("exact", mu),
        ("absolute", abs(mu)),
        (C.Floor(), np.maximum(mu, 0)),
        (C.Floor(0.1), np.maximum(mu, 0.1 * abs(mu).max())),
    ):
        found, _ = symmetric(C.LowRank(C.Hessian(), 24, spectrum).at(case.problem, case.theta))
        assert relative(found, (V * changed) @ V.T) < 1e-12


@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", [*LOW_RANK, *MIXTURES])
def test_every_eigenbasis_gives_the_same_step(name, part, time_scale):
    """The complement of the vectors included; with the identity as the metric and another one."""
    case = case_of(part=part, time_scale=time_scale, N=3)
    model = CURVATURES[name].at(case.problem, case.theta)
    for metric, globalization in product((C.Identity(), C.CurvatureDiagonal(floor=1e-3)), GLOBALIZATIONS[:5]):
        own = name in LOW_RANK and (part == "none" or (part == "shift" and isinstance(metric, C.Identity)))
        weights = None if isinstance(metric, C.Identity) else metric.weights(model, 0 * case.theta)
        assert model.has_own_form(weights) == own
        states = []
        for solver in ("eigh", "lanczos", *(["own"] if own else []), *(["svd"] if model.rows else [])):
            scheme = gf.SecondOrder(
                curvature=CURVATURES[name], metric=metric, globalization=globalization, solver=solver, tol=1e-13
            )
            states.append(scheme.step(case.problem, scheme.init(case.problem, case.theta), 1.0))
        for state in states[1:]:
            np.testing.assert_allclose(state.theta, states[0].theta, rtol=0, atol=1e-8)
            for field in ("damping", "length", "predicted", "accepted", "boundary"):
                np.testing.assert_allclose(getattr(state, field), getattr(states[0], field), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("nu", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("part", ["none", "shift"])
@pytest.mark.parametrize("curvature", [C.LowRank(GGN, 3), C.Nystrom(GGN, 3)])
def test_a_damped_step_is_exact_on_the_complement(curvature, part, nu):
    """Equation (4) of `gradflow.curvature.low_rank`, which has no difference of close numbers for small nu."""
    case = case_of(part=part)
    model = curvature.at(case.problem, case.theta)
    step = minimise(model, None, lambda form: damped(form.gamma, form.mu, np.float64(nu)))
    U, mu = model.factors
    g, lam = model.gradient, PARTS[part]
    c = U.T @ (model.mass * g)
    d = -(g - U @ c) / (lam + nu) - U @ (c / (mu + lam + nu))
    assert relative(step.d, d) < 1e-7 if nu < 1 else 1e-12
    assert relative(model.apply(step.d) + nu * step.d, -g) < 1e-7 if nu < 1 else 1e-12
    assert step.most == np.inf if lam == 0 else step.most < np.inf


# -- Nyström ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("N", [1, 2, 9])
def test_nystrom_is_below_and_exact_where_the_rank_is_captured(N, part, time_scale):
    """Softmax of 3 classes has 2 N rows of independent directions. The oracle is (2) with a pseudo-inverse."""
    case = case_of(part=part, time_scale=time_scale, N=N)
    A, S = symmetric(GGN.at(case.problem, case.theta))
    size, true_rank = np.linalg.norm(A, 2), np.linalg.matrix_rank(A, 1e-10 * np.linalg.norm(A, 2))
    assert true_rank == min(2 * N, np.linalg.matrix_rank(A, 1e-12 * size))
    before = np.zeros_like(A)
    for rank in (1, 2, 4, 24):
        found, _ = symmetric(C.Nystrom(GGN, rank, seed=7).at(case.problem, case.theta))
        draws = [gf.energies.random_vectors.normal_vector(case.problem, case.theta, 7, j)[0] for j in range(rank)]
        Omega = np.linalg.qr(S[:, None] * np.stack(draws, axis=1))[0]
        oracle = A @ Omega @ np.linalg.pinv(Omega.T @ A @ Omega, rtol=1e-11, hermitian=True) @ Omega.T @ A
        np.testing.assert_allclose(found, oracle, rtol=0, atol=1e-8 * size)
        for smaller, larger in ((found, A), (before, found)):
            assert np.linalg.eigvalsh(larger - smaller)[0] > -1e-12 * size
        assert (np.linalg.norm(A - found) < 1e-9 * size) == (rank >= true_rank)
        before = found


def test_nystrom_of_zero_and_of_rank_one():
    for d in (np.zeros(5), np.array([0, 0, 3.0, 0, 0])):
        problem = gf.DenseLeastSquares(lambda t, d=d: d * t, lambda t, d=d: np.diag(d))
        for curvature in (C.Nystrom(C.GaussNewton(), 4), C.LowRank(C.GaussNewton(), 4)):
            B = curvature.at(problem, np.ones(5)).matrix()
            np.testing.assert_allclose(B, np.diag(d**2), atol=1e-13)


def test_uniform_columns_may_carry_nothing():
    """Column sampling of diag(1, 0, ..., 0) misses it with the probability 1 - k/P; random combinations do not."""
    problem = gf.DenseLeastSquares(lambda t: t[:1], lambda t: np.eye(50)[:1])
    A = C.GaussNewton().at(problem, np.ones(50)).matrix()
    columns = np.eye(50)[:, 10:30]
    assert not (columns.T @ A @ columns).any()
    assert relative(C.Nystrom(C.GaussNewton(), 1).at(problem, np.ones(50)).matrix(), A) < 1e-10


# -- Sketches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("P", "d"), [(5, 2), (8, 3), (7, 7)])
@pytest.mark.parametrize("kind", sketched.SKETCHES)
def test_the_mean_of_a_sketch_is_the_identity(kind, P, d):
    """Every entry of the mean of T T^T over 4000 draws is within 5 standard errors of that of I."""
    rng = np.random.default_rng(0)
    squares = np.array([T @ T.T for T in (sketched.draw(kind, P, d, rng) for _ in range(4000))])
    error, spread = squares.mean(axis=0) - np.eye(P), squares.std(axis=0) / 4000**0.5
    exact = spread < 1e-14
    assert np.abs(error[exact]).max(initial=0.0) < 1e-13
    assert np.abs(error[~exact] / spread[~exact]).max(initial=0.0) < 5
    assert exact.all() == (kind == "srht" and P == d == 8)
    if kind != "gaussian":
        assert np.diag(exact).all()


def test_the_hadamard_matrix_is_that_of_scipy():
    from scipy.linalg import hadamard

    H = sketched.hadamard_columns(np.ones(11), np.arange(16))
    np.testing.assert_array_equal(H, hadamard(16)[:11])


@pytest.mark.parametrize("metric", ["identity", "diagonal"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", SKETCHED)
def test_a_step_is_optimal_in_the_subspace(name, part, metric):
    """S^T (B d + nu M D d + M g) = 0 with d in the range of S, in which the model has no smaller value."""
    case = case_of(part=part)
    model = SKETCHED[name].at(case.problem, case.theta)
    weights = None if metric == "identity" else C.CurvatureDiagonal(floor=1e-2).weights(model, 0 * case.theta)
    M, D = model.mass + 0 * case.theta, 1.0 if weights is None else weights
    S, g, B = model.T / np.sqrt(M)[:, None], model.gradient, model.matrix()
    nu = 0.3 - min(0.0, np.linalg.eigvalsh(B / np.sqrt(M * D) / np.sqrt(M * D)[:, None])[0])
    step = minimise(model, weights, lambda form: damped(form.gamma, form.mu, np.float64(nu)))
    y, *_ = np.linalg.lstsq(S, step.d, rcond=None)
    np.testing.assert_allclose(S @ y, step.d, rtol=0, atol=1e-12)
    H = S.T @ (B + np.diag(nu * M * D)) @ S
    wanted = -S @ np.linalg.pinv(H, rtol=1e-12, hermitian=True) @ (S.T @ (M * g))  # independent of the scale of S
    assert relative(step.d, wanted) < 1e-10
    np.testing.assert_allclose(step.slope, (M * g) @ step.d, rtol=1e-10)
    np.testing.assert_allclose(step.bend, step.d @ B @ step.d, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("globalization", GLOBALIZATIONS, ids=lambda g: type(g).__name__)
@pytest.mark.parametrize("kind", sketched.SKETCHES)
def test_a_sketch_of_full_rank_is_no_sketch(kind, globalization):
    """The sparse and the Hadamard matrix may lose rank; P = 16 columns of a Hadamard matrix of size 16 do not."""
    rng = np.random.default_rng(0)
    J, q = rng.standard_normal((20, 16)), rng.standard_normal(20)
    problem = gf.DenseLeastSquares(lambda t: J @ t + 0.1 * (J @ t) ** 2 + q, mass=np.linspace(0.5, 2, 16))
    theta = np.full(16, 0.1)
    states = []
    for curvature in (C.GaussNewton(), C.Sketched(C.GaussNewton(), 99, kind)):
        scheme = gf.SecondOrder(curvature=curvature, globalization=globalization)
        states.append(scheme.step(problem, scheme.init(problem, theta), 1.0))
    if np.linalg.matrix_rank(C.Sketched(C.GaussNewton(), 99, kind).at(problem, theta).T) == 16:
        np.testing.assert_allclose(states[0].theta, states[1].theta, rtol=1e-8)
    else:
        assert kind == "sparse"
        assert states[1].predicted < states[0].predicted


def test_eigenvalues_interlace():
    case = case_of("mse")
    whole = C.Hessian().at(case.problem, case.theta)
    mu = np.linalg.eigvalsh(symmetric(whole)[0])
    form = SKETCHED["sketched-Hessian"].at(case.problem, case.theta).own_form(None)
    tol = 1e-12 * mu[-1]
    assert np.all(form.mu >= mu[:5] - tol)
    assert np.all(form.mu <= mu[-5:] + tol)


def test_a_draw_depends_on_the_seed_and_on_theta():
    case = case_of()
    other = case._replace(theta=case.theta + 1e-15)
    one = span(case, 4)
    np.testing.assert_array_equal(one, span(case, 4))
    assert relative(one, span(case, 4, seed=1)) > 0.1
    assert relative(one, span(other, 4)) > 0.1
    np.testing.assert_array_equal(span(case, 4, fresh=False), span(other, 4, fresh=False))
    fine, coarse = (
        C.Sketched(GGN, 4, fresh=False).at(c.problem, c.theta).T for c in (case_of(), case_of(dtype="float32"))
    )
    np.testing.assert_array_equal(fine.astype("float32"), coarse)
    drawn = [C.Nystrom(GGN, 4, seed).at(case.problem, case.theta).matrix() for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert relative(drawn[0], drawn[2]) > 1e-3


def test_a_run_with_one_sketch_stays_in_its_subspace_and_one_with_fresh_ones_does_not():
    """With one sketch, the limit is the minimiser in theta_0 + range(S); with fresh ones it is the minimiser."""
    rng = np.random.default_rng(1)
    J = rng.standard_normal((12, 8))
    problem = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J)
    theta, best = np.zeros(8), np.linalg.lstsq(J, np.ones(12), rcond=None)[0]
    runs = {}
    for fresh in (True, False):
        curvature = C.Sketched(C.GaussNewton(), 3, fresh=fresh)
        method = gf.SecondOrder(curvature=curvature, globalization=C.FixedDamping())
        runs[fresh] = gf.solve(problem, method, theta, steps=400).theta
    S = C.Sketched(C.GaussNewton(), 3, fresh=False).at(problem, theta).T
    np.testing.assert_allclose(runs[False], S @ np.linalg.lstsq(J @ S, np.ones(12), rcond=None)[0], atol=1e-13)
    np.testing.assert_allclose(runs[True], best, atol=1e-6)


def test_only_the_own_eigenbasis_keeps_to_the_subspace():
    case = case_of()
    curvature = SKETCHED["gaussian"]
    for solver, globalization in (
        *product(("eigh", "lanczos", "svd", "gram"), GLOBALIZATIONS[:1]),
        ("cholesky", C.FixedDamping(0.1)),
        ("steihaug", C.TrustRegion(radius=0.3)),
    ):
        scheme = gf.SecondOrder(curvature=curvature, globalization=globalization, solver=solver)
        with pytest.raises(ValueError, match="subspace"):
            scheme.step(case.problem, scheme.init(case.problem, case.theta), 1.0)
    for of in (
        C.LowRank(curvature, 2), C.Nystrom(curvature, 2), C.BlockDiagonal(curvature), C.Sketched(curvature, 2),
        C.Mixture((GGN, curvature), (0.5, 0.5)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="subspace"):
            of.at(case.problem, case.theta)


# -- Runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("globalization", GLOBALIZATIONS, ids=lambda g: type(g).__name__)
@pytest.mark.parametrize("name", CURVATURES)
def test_every_globalisation_goes_downhill(name, globalization, dtype):
    """24 parameters, 5 samples of 3 classes; without damping where the line searches have none."""
    case = case_of(dtype=dtype)
    method = gf.SecondOrder(curvature=CURVATURES[name], globalization=globalization)
    run = gf.solve(case.problem, method, case.theta, steps=12)
    assert run.theta.dtype == dtype
    assert np.all(np.isfinite(run.theta))
    energies = run.history["energy"]
    if name in SEMIDEFINITE or not isinstance(globalization, (C.FixedDamping, C.Armijo, C.StrongWolfe)):
        assert energies[-1] < energies[0]
        if not isinstance(globalization, C.FixedDamping):
            assert np.all(np.diff(energies) <= 1e-6 * energies[0])


@pytest.mark.parametrize(
    "curvature", [C.LowRank(C.GaussNewton(), 8), C.Nystrom(C.GaussNewton(), 12), C.Sketched(C.GaussNewton(), 12)]
)
def test_more_parameters_than_residuals_and_dead_units(curvature):
    net = gf.TwoLayerNet(2, 60, 1, activation="relu", scaling="ntk")
    rng = np.random.default_rng(0)
    x = rng.random((6, 2))
    problem, theta = gf.Regression(net, x, rng.standard_normal((6, 1))), net.init(0)
    net.unpack(theta)[0][:, :20] = -1.0  # dead on positive inputs
    run, exact = (gf.solve(problem, gf.SecondOrder(curvature=G), theta, steps=40) for G in (curvature, C.GaussNewton()))
    assert run.history["energy"][-1] < 0.6 * run.history["energy"][0]
    if not isinstance(curvature, C.Sketched):  # the rank of the whole, 6, is captured
        np.testing.assert_allclose(run.theta, exact.theta, rtol=0, atol=1e-5)


@pytest.mark.parametrize("path", ["dense", "lanczos"])
@pytest.mark.parametrize("name", [n for n in CURVATURES if "KFAC" not in n and n not in ("three", "Nystrom-mixture")])
def test_a_model_that_is_not_finite_is_a_status(name, path, monkeypatch):
    """The energy is finite and the Jacobian is not: no exception, no warning, and the last finite state."""
    if path == "lanczos":
        monkeypatch.setattr(low_rank, "ROOT_LIMIT", 0)
        monkeypatch.setattr(low_rank, "DENSE_LIMIT", 0)
    nan = float("nan")
    problem = gf.DenseLeastSquares(lambda t: t**2, lambda t: np.diag(2 * t) * nan)
    function = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, hvp=lambda t, v: nan * v)
    swap = {GGN: C.GaussNewton(), C.Fisher("sampled", samples=2): C.GaussNewton()}
    curvature = CURVATURES[name]
    if isinstance(curvature, C.Mixture):
        if C.Hessian() not in curvature.parts:
            curvature = C.Mixture(tuple(swap.get(part, part) for part in curvature.parts), curvature.weights)
        else:
            curvature = C.Mixture((C.Hessian(), C.LowRank(C.Hessian(), 2)), curvature.weights)
    else:
        of = swap.get(curvature.of, curvature.of)
        curvature = type(curvature)(of, 2)
    chosen = function if "Hessian" in repr(curvature) else problem
    run = gf.solve(chosen, gf.SecondOrder(curvature=curvature), np.ones(4), steps=3)
    assert run.status is not gf.Status.CONVERGED
    np.testing.assert_array_equal(run.theta, 1.0)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("name", CURVATURES)
def test_the_formulas_run_in_the_array_api_standard(name, loss):
    rng = np.random.default_rng(0)
    x, labels, y = rng.standard_normal((4, 2)), np.array([0, 1, 2, 0]), rng.standard_normal((4, 3))
    thetas = []
    for xp in (np, strict):
        net = gf.TwoLayerNet(2, 3, 3, activation="tanh", scaling="ntk", kernels="reference")
        if loss == "mse":
            problem = gf.Regression(net, xp.asarray(x), xp.asarray(y))
        else:
            problem = gf.Classification(net, xp.asarray(x), xp.asarray(labels))
        theta = xp.asarray(net.init(0))
        model = CURVATURES[name].at(problem, theta)
        scheme = gf.SecondOrder(curvature=CURVATURES[name], globalization=C.FixedDamping(0.5))
        state = scheme.step(problem, scheme.init(problem, theta), 1.0)
        thetas.append([np.asarray(a) for a in (model.matrix(), model.diagonal(), model.apply(theta), state.theta)])
    for one, other in zip(*thetas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


# -- At the door --------------------------------------------------------------------------------------------------


def test_a_mixture_takes_lists():
    assert C.Mixture([GGN, GGN], [0.5, 0.5]) == C.Mixture((GGN, GGN), (0.5, 0.5))


def test_bad_arguments_are_named():
    case = case_of()
    for make, words in (
        (lambda: C.Mixture((), ()), "parts must be a tuple"),
        (lambda: C.Mixture(GGN, (1.0,)), "parts must be a tuple"),
        (lambda: C.Mixture((C.Hessian,), (1.0,)), r"parts\[0\] must be a curvature"),
        (lambda: C.Mixture((GGN,), C.ByGradient(1.0)), "needs two parts"),
        (lambda: C.Mixture((GGN, GGN), C.ByGradient), "weights must be a policy"),
        (lambda: C.ByConditionNumber(0.5), "most must be"),
        (lambda: C.ByGradient(0.0), "threshold must be"),
        (lambda: C.LowRank(C.Hessian, 2), "of must be a curvature"),
        (lambda: C.LowRank(GGN, 0), "rank must be"),
        (lambda: C.LowRank(GGN, 2, "positive"), "spectrum must be"),
        (lambda: C.Nystrom(GGN, 2, -1), "seed must be"),
        (lambda: C.Nystrom(C.Hessian(), 2).at(case.problem, case.theta), "semi-definite"),
        (lambda: C.Sketched(GGN, 0), "size must be"),
        (lambda: C.Sketched(GGN, 2, "fourier"), "kind must be"),
        (lambda: C.Sketched(GGN, 2, fresh=1), "fresh must be"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    dense = Matrix(np.eye(3) + 0.1)
    problem = gf.DenseLeastSquares(lambda t: t, linear=dense)
    scheme = gf.SecondOrder(curvature=C.LowRank(C.GaussNewton(), 2), solver="own")
    with pytest.raises(ValueError, match="low rank"):
        scheme.step(problem, scheme.init(problem, np.ones(3)), 1.0)


# -- Moving averages ----------------------------------------------------------------------------------------------

AVERAGES = {"dense": {}, "diagonal": {}, "low_rank": {"rank": 24}}


def run_of(case, curvature, steps=6, globalization=C.NielsenDamping(), **more):  # noqa: B008
    """Return the states of a run."""
    scheme = gf.SecondOrder(curvature=curvature, globalization=globalization, **more)
    states = [scheme.init(case.problem, case.theta)]
    for _ in range(steps):
        states.append(scheme.step(case.problem, states[-1], 1.0))
    return states


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", AVERAGES)
@pytest.mark.parametrize("beta", [0.0, 0.6])
def test_a_moving_average_is_the_weighted_mean_along_the_run(beta, form, part):
    """By the sum over the thetas of accepted steps, with weights of sum 1; the energy part is that of the end."""
    case = case_of(part=part)
    curvature = C.MovingAverage(C.Fisher("empirical"), beta, form, **AVERAGES[form])
    states = run_of(case, curvature, globalization=C.FixedDamping(0.5))
    thetas = [state.theta for state in states[:-1]]
    L = case.problem.mass * case.problem.linear.apply(np.eye(24))
    each = [C.Fisher("empirical").at(case.problem, theta).matrix() - L for theta in thetas]
    weights = beta ** np.arange(len(each))[::-1] * (1 - beta)
    wanted = sum(w * B for w, B in zip(weights / weights.sum(), each, strict=True))
    wanted = (np.diag(np.diag(wanted)) if form == "diagonal" else wanted) + L
    model = curvature.remembered(curvature.at(case.problem, thetas[-1]), states[-1].memory)
    assert relative(model.matrix(), wanted) < 1e-12
    v = np.linspace(-1, 1, 24)
    np.testing.assert_allclose(case.problem.mass * model.apply(v), wanted @ v, atol=1e-12)
    assert model.definite
    np.testing.assert_allclose(states[-1].memory[0], 1 - beta**6, rtol=1e-14)
    d = np.linalg.solve(wanted + 0.5 * case.problem.mass * np.eye(24), -case.problem.mass * model.gradient)
    np.testing.assert_allclose(states[-1].theta - thetas[-1], d, rtol=0, atol=1e-11)


def test_without_a_past_the_average_is_the_curvature():
    case = case_of()
    for globalization in GLOBALIZATIONS[:5]:  # without damping, what a semi-definite G does not reach would be noise
        one, other = (run_of(case, G, 5, globalization, solver="eigh")[-1] for G in (GGN, C.MovingAverage(GGN, 0.0)))
        np.testing.assert_allclose(one.theta, other.theta, rtol=0, atol=1e-8 * np.abs(one.theta).max())


@pytest.mark.parametrize("form", AVERAGES)
def test_a_rejected_trial_adds_nothing_to_an_average(form):
    """With a radius far too large, trials are rejected; `solve`, which hands models over, has the states of steps alone."""
    root = lambda t: np.sqrt(1 + t * t)  # noqa: E731
    problem = gf.FunctionProblem(lambda t: np.sum(root(t)), lambda t: t / root(t), lambda t, v: v / root(t) ** 3)
    curvature = C.MovingAverage(C.LowRank(C.Hessian(), 3, C.Floor(1e-6)), 0.5, form, **AVERAGES[form])
    scheme = gf.SecondOrder(curvature=curvature, globalization=C.TrustRegion(radius=1e3))
    state, theta, refused = None, np.array([-3.0, 2.0, 1.5]), 0
    state = scheme.init(problem, theta)
    for _ in range(40):
        before, state = state, scheme.step(problem, state, 1.0)
        if before.ratio != 0 and not before.accepted:
            refused += 1
            for a, b in zip(before.memory, state.memory, strict=True):
                np.testing.assert_array_equal(a, b)
    run = gf.solve(problem, scheme, theta, steps=40)
    np.testing.assert_allclose(run.theta, state.theta, rtol=0, atol=1e-10)
    assert refused > 0


def test_truncation_of_an_average():
    """Of rank 3: what is cut off in a step is what later steps lack, and the error is at most the weighted sum of it."""
    case, beta = case_of(N=8), 0.7
    whole = C.MovingAverage(GGN, beta, "low_rank", rank=24)
    cut = C.MovingAverage(GGN, beta, "low_rank", rank=3)
    rng = np.random.default_rng(0)
    full, small, bound = whole.start(case.theta), cut.start(case.theta), 0.0
    S = np.sqrt(case.problem.mass + 0 * case.theta)[:, None]
    dense = lambda memory: (S * memory[1] * memory[2]) @ (S * memory[1]).T  # noqa: E731
    for _ in range(8):
        model = GGN.at(case.problem, rng.standard_normal(24))
        full = whole.update(model, full)
        tail = np.sort(np.linalg.eigvalsh(symmetric(model)[0]))[-4]
        untruncated = beta * dense(small) + (1 - beta) * symmetric(C.LowRank(GGN, 3).at(case.problem, model.theta))[0]
        small = cut.update(model, small)
        bound = beta * bound + (1 - beta) * tail + np.linalg.norm(untruncated - dense(small), 2)
        assert np.linalg.norm(dense(full) - dense(small), 2) <= bound * (1 + 1e-10)
        assert np.linalg.matrix_rank(dense(small), 1e-10) <= 3


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", AVERAGES)
def test_an_average_over_batches_goes_downhill(form, dtype):
    case = case_of(dtype=dtype, N=40)
    scheme = gf.SecondOrder(
        curvature=C.MovingAverage(C.Fisher("empirical"), 0.9, form, **AVERAGES[form]), globalization=C.FixedDamping(0.1)
    )
    run = gf.solve(case.problem, scheme, case.theta, epochs=10, batch_size=10, dt=0.2, seed=0)
    assert run.theta.dtype == dtype
    assert {a.dtype for a in run.state.memory} == {np.dtype(dtype)}
    assert run.history["energy"][-1] < 0.8 * run.history["energy"][0]


@pytest.mark.parametrize("form", AVERAGES)
def test_averages_run_in_the_array_api_standard_and_survive_bad_models(form):
    nan, curvature = float("nan"), C.MovingAverage(C.GaussNewton(), 0.5, form, **AVERAGES[form])
    thetas = []
    for xp in (np, strict):
        problem = gf.DenseLeastSquares(lambda t: t**2 - 1, lambda t, xp=xp: 2 * t[:, None] * xp.eye(4))
        scheme = gf.SecondOrder(curvature=curvature, globalization=C.FixedDamping(0.5))
        state = scheme.init(problem, xp.asarray([0.5, 1.5, 2.0, 3.0]))
        for _ in range(3):
            state = scheme.step(problem, state, 1.0)
        thetas.append(np.asarray(state.theta))
    np.testing.assert_allclose(*thetas, rtol=1e-10)
    problem = gf.DenseLeastSquares(lambda t: t**2, lambda t: np.diag(2 * t) * nan)
    run = gf.solve(problem, gf.SecondOrder(curvature=curvature), np.ones(4), steps=3)
    assert run.status is not gf.Status.CONVERGED
    np.testing.assert_array_equal(run.theta, 1.0)


def test_bad_averages_are_named():
    for make, words in (
        (lambda: C.MovingAverage(GGN, 1.0), "beta must"),
        (lambda: C.MovingAverage(GGN, form="sparse"), "form must"),
        (lambda: C.MovingAverage(GGN, form="low_rank"), "rank must"),
        (lambda: C.MovingAverage(GGN, rank=2), "rank is for"),
        (lambda: C.LowRank(C.MovingAverage(GGN), 2), "with a memory"),
        (lambda: C.MovingAverage(C.MovingAverage(GGN)), "with a memory"),
        (lambda: C.Mixture((GGN, C.MovingAverage(GGN)), (0.5, 0.5)), "with a memory"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.parametrize(
    "curvature",
    [
        C.MovingAverage(C.GradientSquare()),
        C.MovingAverage(C.GradientSquare(), form="low_rank", rank=10**9),
        C.StructuredSecant(),
        C.FrequentDirections(C.GradientSquare(), 10**9),
        C.SnapshotFisher(),
    ],
    ids=lambda c: type(c).__name__,
)
def test_matrices_of_too_many_numbers_are_refused_before_they_are_made(curvature):
    with pytest.raises(ValueError, match=r"stores .* more than 100000000 numbers"):
        curvature.start(np.ones(10001))


def test_sketches_of_too_many_numbers_are_refused():
    with pytest.raises(ValueError, match="a sketch stores"):
        sketched.draw_at(np.ones(10001), 10001, "gaussian", 10**9, 0)


@pytest.mark.parametrize("dt", [1e-320, 1e-310, 1e-200, 1e200])
def test_a_step_in_a_subspace_is_taken_or_a_status_for_every_dt(dt):
    J = np.random.default_rng(0).standard_normal((9, 5))
    problem = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J, linear=0.1)
    run = gf.solve(problem, gf.Restart(gf.IEQ(solver=C.ColumnSketch(3))), np.ones(5), dt=dt, steps=2)
    assert (run.status is gf.Status.NONFINITE) == (dt < 1e-300)  # the energy balance divides by dt
    assert np.all(np.isfinite(run.theta))
    assert problem.energy(run.theta) <= problem.energy(np.ones(5))


def test_a_dense_average_of_many_parameters_is_refused():
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy(), hvp=lambda t, v: v)
    with pytest.raises(ValueError, match=r"form='dense' stores .* form='low_rank'"):
        gf.solve(problem, gf.SecondOrder(curvature=C.MovingAverage(C.Hessian())), np.ones(10001), steps=1)
