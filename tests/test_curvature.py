"""Curvatures of networks: generalised Gauss-Newton, Fisher matrices, diagonal blocks, Kronecker factors."""

from itertools import product

import array_api_strict as strict
import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import gradflow as gf
from gradflow.curvature import block_diagonal, choice, outer_products
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import damped
from gradflow.energies.linear import Diagonal, Matrix
from network_cases import complex_step, network_case

C = gf.curvature
FISHERS = {
    "true": C.Fisher(),
    "sampled": C.Fisher("sampled", samples=3, seed=5),
    "empirical": C.Fisher("empirical"),
    "centred": C.Fisher("centred"),
}
BLOCKS = {
    **{f"{kind}-{of}": C.BlockDiagonal(FISHERS[of], kind) for kind, of in product(("layer", "neuron"), FISHERS)},
    "neuron-Hessian": C.BlockDiagonal(C.Hessian(), "neuron"),
}
KRONECKER = {
    f"{name}-{of}": C.KFAC(FISHERS[of], corrected=name == "EKFAC")
    for name, of in product(("KFAC", "EKFAC"), ("true", "sampled", "empirical"))
}
CURVATURES = {"GGN": C.GeneralizedGaussNewton(), **FISHERS, **BLOCKS, **KRONECKER}
LOSSES = [("mse", 2), ("half_sum", 1), ("relative", 2), ("squared_onehot", 3), ("cross_entropy", 3)]
TIME_SCALES = ("mean_field", "autograd")


def jacobian(case):
    """Return J (N, k, P), by the complex step of the second implementation."""
    eye = np.eye(len(case.theta))
    return np.stack([complex_step(case.outputs, case.theta.astype(float), e) for e in eye], axis=-1)


def probabilities(f):
    p = np.exp(f - f.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def scores_of_data(case):
    """Return the gradients of N E_i, (N, P), sample by sample."""
    J, f, N = jacobian(case), case.outputs(case.theta), len(case.x)
    if case.problem.loss == "cross_entropy":
        slopes = probabilities(f) - np.eye(f.shape[1])[case.y]
    else:
        slopes = N * case.problem.residual_scale * case.residual(case.theta).reshape(f.shape)
    return np.einsum("iop,io->ip", J, slopes)


def true_fisher(case):
    """Return (2) of `gradflow.curvature.fisher`, label by label, or J^T J / (N sigma^2)."""
    J, f, N = jacobian(case), case.outputs(case.theta), len(case.x)
    if case.problem.loss == "cross_entropy":
        p, k = probabilities(f), f.shape[1]
        scores = [[J[i].T @ (np.eye(k)[y] - p[i]) for y in range(k)] for i in range(N)]
        return sum(p[i, y] * np.outer(scores[i][y], scores[i][y]) for i in range(N) for y in range(k)) / N
    variance = 1 / (N * case.problem.residual_scale**2)
    return np.einsum("iop,ioq->pq", J, J) / (N * variance)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


# -- What the matrices are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_scale", TIME_SCALES)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("loss", "k"), [*LOSSES, ("cross_entropy", 2), ("cross_entropy", 10)])
def test_the_generalised_gauss_newton_matrix_is_the_fisher_matrix_of_enumerated_labels(loss, k, activation, time_scale):
    for seed, scaling in enumerate(("mean_field", "standard", "ntk")):
        case = network_case(activation, k, loss, scaling, time_scale, seed=seed)
        F = true_fisher(case)
        for curvature in (C.GeneralizedGaussNewton(), C.Fisher()):
            B = curvature.at(case.problem, case.theta).matrix()
            assert np.abs(B - F).max() <= 1e-13 * np.abs(F).max()


def test_the_diagonal_hessian_of_sigmoids_is_another_matrix_and_no_bound():
    """J^T diag(p (1 - p)) J is wrong for softmax by more than a third, and the error has both signs."""
    case = network_case("tanh", 3, "cross_entropy", "ntk")
    J, p = jacobian(case), probabilities(case.outputs(case.theta))
    diagonal = np.einsum("iop,io,ioq->pq", J, p * (1 - p), J) / len(p)
    F = true_fisher(case)
    assert relative(diagonal, F) > 1 / 3
    errors = np.linalg.eigvalsh(diagonal - F)
    assert errors[0] < -0.01 * errors[-1] < 0


@pytest.mark.parametrize("time_scale", TIME_SCALES)
@pytest.mark.parametrize(("loss", "k"), LOSSES)
def test_empirical_and_centred_matrices_are_second_moments_of_per_sample_gradients(loss, k, time_scale):
    case = network_case("tanh", k, loss, "ntk", time_scale)
    s = scores_of_data(case)
    mass = case.problem.mass
    g = mass * case.problem.energy_and_gradient(case.theta)[1]
    np.testing.assert_allclose(s.mean(axis=0), g, atol=1e-12 * np.abs(g).max())
    empirical, centred = (C.Fisher(kind).at(case.problem, case.theta).matrix() for kind in ("empirical", "centred"))
    assert relative(empirical, s.T @ s / len(s)) < 1e-13
    assert relative(centred, np.cov(s.T, bias=True)) < 1e-13
    assert relative(centred, empirical - np.outer(g, g)) < 1e-12


@pytest.mark.parametrize("shrink", [1e-1, 1e-3])
def test_the_empirical_matrix_of_a_squared_loss_scales_with_the_square_of_the_residual(shrink):
    case = network_case("tanh", 2, "half_sum", "ntk")
    f = case.problem.net(case.theta, case.x)
    near = gf.Regression(case.problem.net, case.x, f + shrink * (case.y - f), "half_sum")
    for kind, factor in (("empirical", shrink**2), ("centred", shrink**2), ("true", 1.0), ("sampled", 1.0)):
        before, after = (C.Fisher(kind).at(problem, case.theta).matrix() for problem in (case.problem, near))
        assert relative(after, factor * before) < 1e-11


@pytest.mark.parametrize("kind", ["true", "empirical", "centred"])
@pytest.mark.parametrize(("loss", "k"), [("mse", 2), ("cross_entropy", 3)])
def test_a_weight_is_a_number_of_repetitions(loss, k, kind):
    """Weights 2, 1, 0, 1, 3 are the batch of samples 0, 0, 1, 3, 4, 4, 4; a factor of all weights does not count."""
    case = network_case("tanh", k, loss, "ntk")
    weights, repeated = np.array([2.0, 1.0, 0.0, 1.0, 3.0]), np.array([0, 0, 1, 3, 4, 4, 4])
    for scale in (1.0, 5e307):  # the sum of the latter overflows
        curvature = C.Fisher(kind, weights=scale * weights)
        found = curvature.at(case.problem, case.theta).matrix()
        wanted = C.Fisher(kind).at(case.problem.batch(repeated), case.theta).matrix()
        assert relative(found, wanted) < 1e-13
        if kind != "centred":
            for corrected in (False, True):
                found = C.KFAC(curvature, corrected).at(case.problem, case.theta).matrix()
                wanted = C.KFAC(C.Fisher(kind), corrected).at(case.problem.batch(repeated), case.theta).matrix()
                assert relative(found, wanted) < 1e-12


# -- Drawn labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "k"), [("mse", 2), ("cross_entropy", 3)])
def test_the_mean_over_drawn_labels_is_the_true_matrix(loss, k):
    """Each entry of the mean of 400 estimates is within 5 standard errors; the errors fall as the root of the samples."""
    case = network_case("tanh", k, loss, "ntk")
    F = C.Fisher().at(case.problem, case.theta).matrix()
    many = np.stack([C.Fisher("sampled", seed=s).at(case.problem, case.theta).matrix() for s in range(400)])
    z = (many.mean(axis=0) - F) / (many.std(axis=0) / 20 + 1e-14)
    assert np.abs(z).max() < 5
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6
    errors = []
    for samples in (10, 1000):
        found = [C.Fisher("sampled", samples=samples, seed=s).at(case.problem, case.theta).matrix() for s in range(12)]
        errors.append(np.sqrt(np.mean([relative(B, F) ** 2 for B in found])))
    assert 0.4 < np.log10(errors[0] / errors[1]) / 2 < 0.6


def test_more_data_do_not_make_the_empirical_matrix_a_fisher_matrix():
    """With labels that the model draws it converges as N^{-1/2}; with labels that it did not draw a bias remains."""
    net = gf.TwoLayerNet(2, 3, 3, activation="tanh", scaling="standard")
    theta, rng = net.init(0), np.random.default_rng(1)

    def errors(labels_of):
        for N in (100, 1600):
            found = []
            for _ in range(6):
                x = rng.standard_normal((N, 2))
                problem = gf.Classification(net, x, labels_of(net(theta, x)))
                empirical, true = (C.Fisher(kind).at(problem, theta).matrix() for kind in ("empirical", "true"))
                found.append(relative(empirical, true) ** 2)
            yield np.sqrt(np.mean(found))

    few, many = errors(lambda f: np.sum(rng.random((len(f), 1)) > np.cumsum(probabilities(f), axis=1)[:, :-1], axis=1))
    assert 0.35 < np.log(few / many) / np.log(16) < 0.65
    few, many = errors(lambda f: np.argmin(f, axis=1))
    assert many > 0.8 * few > 0.5


@pytest.mark.parametrize(("loss", "k"), [("mse", 2), ("cross_entropy", 3)])
def test_a_draw_depends_on_the_seed_and_the_place_of_a_sample(loss, k):
    case = network_case("tanh", k, loss, "ntk")
    drawn = lambda problem, **more: C.Fisher("sampled", **more).at(problem, case.theta).matrix()  # noqa: E731
    np.testing.assert_array_equal(drawn(case.problem, seed=3), drawn(case.problem, seed=3))
    assert relative(drawn(case.problem, seed=3), drawn(case.problem, seed=4)) > 0.01
    # the first two samples have the same numbers alone as among the others
    two = case.problem.batch(slice(0, 2))
    R = C.Fisher("sampled", seed=3).at(case.problem, case.theta).root().R[:2]
    R_two = C.Fisher("sampled", seed=3).at(two, case.theta).root().R
    scale = 1.0 if loss == "half_sum" else np.sqrt(len(case.x) / 2)
    np.testing.assert_allclose(R_two, scale * R, rtol=1e-13)


# -- Operators ----------------------------------------------------------------------------------------------------

PARTS = {"none": 0.0, "shift": 0.3, "diagonal": Diagonal(np.linspace(0, 1, 24))}


@pytest.mark.parametrize("time_scale", TIME_SCALES)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("loss", "k"), [("mse", 2), ("cross_entropy", 3)])
@pytest.mark.parametrize("name", CURVATURES)
def test_an_operator_is_its_matrix(name, loss, k, part, time_scale):
    """Products, matrix, diagonal, root and SciPy's operator agree; symmetric in the inner product, semi-definite where said."""
    linear = PARTS[part] if part != "diagonal" else Diagonal(np.linspace(0, 1, 4 * (3 + k)))
    case = network_case("tanh", k, loss, "ntk", time_scale, weight_decay=linear)
    problem, theta, mass, P = case.problem, case.theta, case.problem.mass, len(case.theta)
    model, bare = (
        CURVATURES[name].at(p, theta) for p in (problem, network_case("tanh", k, loss, "ntk", time_scale).problem)
    )
    B, eye, size = model.matrix(), np.eye(P), np.abs(model.matrix()).max()
    L = mass * problem.linear.apply(eye)
    np.testing.assert_allclose(B, bare.matrix() + L, atol=1e-10 * size)
    np.testing.assert_array_equal(B, B.T)
    np.testing.assert_allclose(np.array([model.apply(e) for e in eye]) * mass, B, atol=1e-12 * size)
    np.testing.assert_allclose(aslinearoperator(model) @ eye, B / mass, atol=1e-12 * size / mass)
    np.testing.assert_allclose(model.diagonal() * mass, np.diag(B), atol=1e-12 * size)
    np.testing.assert_allclose(model.energy, problem.energy(theta), rtol=1e-13)
    np.testing.assert_allclose(model.gradient, problem.energy_and_gradient(theta)[1], rtol=1e-11, atol=1e-13)
    if model.definite:
        assert np.linalg.eigvalsh(B)[0] > -1e-13 * size
    root = model.root()
    if root is not None:
        np.testing.assert_allclose(root.R.T @ root.R, B, atol=1e-12 * size)
    assert (root is None) == (name not in FISHERS and name != "GGN")
    if model.has_gram:
        gram = model.gram()
        np.testing.assert_allclose(gram, root.R @ root.R.T / mass, atol=1e-12 * size / mass)
        np.testing.assert_allclose(
            np.linalg.eigvalsh(gram)[::-1][:3], np.linalg.eigvalsh(B / mass)[::-1][:3], rtol=1e-10
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CURVATURES)
def test_the_dtype_is_that_of_theta(name, dtype):
    problem, theta = (case := network_case("tanh", 3, "cross_entropy", "ntk", dtype=dtype)).problem, case.theta
    model = CURVATURES[name].at(problem, theta)
    fine = CURVATURES[name].at(network_case("tanh", 3, "cross_entropy", "ntk").problem, theta.astype("float64"))
    for found, wanted in (
        (model.apply(theta), fine.apply(theta.astype("float64"))),
        (model.matrix(), fine.matrix()),
        (model.diagonal(), fine.diagonal()),
    ):
        assert found.dtype == dtype
        assert np.abs(found - wanted).max() < (1e-12 if dtype == "float64" else 1e-4) * np.abs(wanted).max()


@pytest.mark.parametrize("part", ["none", "diagonal"])
@pytest.mark.parametrize("name", [n for n in CURVATURES if "Hessian" not in n])
def test_blocks_of_samples_do_not_show(name, part, monkeypatch):
    """Sums over one, two or all samples at a time agree to round-off."""
    linear = Diagonal(np.linspace(0, 1, 24)) if part == "diagonal" else 0.0
    case = network_case("tanh", 3, "cross_entropy", "ntk", weight_decay=linear, N=7)
    whole = CURVATURES[name].at(case.problem, case.theta)
    v = np.random.default_rng(0).standard_normal(len(case.theta))
    wanted = whole.matrix(), whole.diagonal(), whole.apply(v)
    for rows in (1, 2):
        monkeypatch.setattr(outer_products, "BLOCK_ENTRIES", 3 * rows * len(v))
        monkeypatch.setattr(case.problem, "_block", rows)
        model = CURVATURES[name].at(case.problem, case.theta)
        for found, other in zip((model.matrix(), model.diagonal(), model.apply(v)), wanted, strict=True):
            assert relative(found, other) < 1e-13
        if name in FISHERS and part == "none":
            R, u = model.root().R, np.linspace(-1, 1, model.rows)
            np.testing.assert_allclose(model.along_rows(v), R @ v, atol=1e-12)
            np.testing.assert_allclose(model.from_rows(u), R.T @ u / case.problem.mass, atol=1e-12)
            assert not model.has_gram
            with pytest.raises(ValueError, match="one block of samples"):
                model.gram()


def test_no_array_of_all_rows_is_made(monkeypatch):
    """With one sample at a time, a matrix or diagonal blocks of 500 samples never hold more than the rows of one."""
    case = network_case("tanh", 3, "cross_entropy", N=500)
    largest = []
    rows = outer_products.gradient_rows
    monkeypatch.setattr(outer_products, "BLOCK_ENTRIES", 1)
    monkeypatch.setattr(
        outer_products, "gradient_rows", lambda layers: largest.append(rows(layers).shape[0]) or rows(layers)
    )
    C.BlockDiagonal(C.Fisher(), "neuron").at(case.problem, case.theta).apply(case.theta)
    assert max(largest) == 3
    assert len(largest) == 500


# -- Steps --------------------------------------------------------------------------------------------------------

GLOBALIZATIONS = (C.FixedDamping(0.1), C.TrustRegion(radius=0.3), C.Cubic(weight=2.0))


@pytest.mark.parametrize("time_scale", TIME_SCALES)
@pytest.mark.parametrize("N", [2, 9])
@pytest.mark.parametrize("name", CURVATURES)
def test_every_eigenbasis_gives_the_same_step(name, N, time_scale):
    """Whether g is in the range of G or not, and with fewer rows than parameters or more."""
    case = network_case("tanh", 3, "cross_entropy", "ntk", time_scale, N=N, m=3)
    model = CURVATURES[name].at(case.problem, case.theta)
    solvers = ["eigh", "lanczos", *(["svd"] if model.rows else []), *(["gram"] if model.has_gram else [])]
    solvers += ["own"] if model.has_own_form(None) else []
    assert len(solvers) >= 3
    for globalization in GLOBALIZATIONS:
        states = []
        for solver in (*solvers, "auto"):
            scheme = gf.SecondOrder(curvature=CURVATURES[name], globalization=globalization, solver=solver, tol=1e-13)
            states.append(scheme.step(case.problem, scheme.init(case.problem, case.theta), 1.0))
        for solver, state in zip(solvers, states[1:], strict=True):
            tol = 1e-9 if "gram" not in (solver, solvers[-1]) else 1e-7
            np.testing.assert_allclose(state.theta, states[0].theta, rtol=0, atol=tol)
            for field in ("damping", "length", "predicted", "accepted", "boundary"):
                np.testing.assert_allclose(getattr(state, field), getattr(states[0], field), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("metric", ["identity", "diagonal"])
@pytest.mark.parametrize("name", CURVATURES)
def test_a_damped_step_solves_its_equation(name, metric):
    """(G + nu D) d = -g to 1e-12, by the dense matrix."""
    case = network_case("tanh", 3, "cross_entropy", "ntk", weight_decay=0.1)
    model = CURVATURES[name].at(case.problem, case.theta)
    weights = None if metric == "identity" else C.CurvatureDiagonal().weights(model, 0 * case.theta)
    shift = 0.3 - min(0.0, np.linalg.eigvalsh(model.matrix() / case.problem.mass)[0])
    step = minimise(model, weights, lambda form: damped(form.gamma, form.mu, np.float64(shift)))
    D = np.eye(len(case.theta)) if weights is None else np.diag(weights)
    d = np.linalg.solve(model.matrix() / case.problem.mass + shift * D, -model.gradient)
    assert relative(step.d, d) < 1e-11


@pytest.mark.parametrize("bound", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("time_scale", TIME_SCALES)
def test_eigenvalues_may_be_bounded_below(time_scale, bound):
    """d = -U max(Lambda, c |Lambda|)^{-1} U^T g by the dense eigenbasis; a semi-definite model and c = 0 is the exact one."""
    case = network_case("tanh", 3, "cross_entropy", "ntk", time_scale)
    model = C.Hessian().at(case.problem, case.theta)
    mu, U = np.linalg.eigh(model.matrix() / case.problem.mass)
    assert mu[0] < -0.01 * mu[-1]
    largest = np.abs(mu).max()
    wanted = -U @ (U.T @ model.gradient / (np.maximum(mu, bound * largest) + 0.1))
    for solver in ("eigh", "lanczos"):
        method = gf.SecondOrder(
            curvature=C.Hessian(), globalization=C.FixedDamping(0.1), spectrum=C.Floor(bound), solver=solver, tol=1e-13
        )
        state = method.step(case.problem, method.init(case.problem, case.theta), 1.0)
        assert relative(state.theta - case.theta, wanted) < 1e-9
        assert state.negative_curvature


@pytest.mark.parametrize("solver", ["svd", "gram", "eigh", "lanczos"])
def test_a_model_without_a_minimum_says_so(solver):
    """g is in the range of the true and the empirical matrix, and not in that of drawn labels: no step has a share of an endless decrease."""
    case = network_case("tanh", 3, "cross_entropy", "ntk", N=2)
    for kind, endless in (("true", False), ("empirical", False), ("sampled", True)):
        scheme = gf.SecondOrder(curvature=C.Fisher(kind), globalization=C.FixedDamping(1e-3), solver=solver, tol=1e-12)
        state = scheme.step(case.problem, scheme.init(case.problem, case.theta), 1.0)
        assert (state.share == 0) == endless
        assert scheme.shortened(state) == endless
        assert not state.exhausted


def test_a_solver_that_a_curvature_lacks_is_refused():
    case = network_case("tanh", 3, "cross_entropy", weight_decay=Diagonal(np.linspace(0, 1, 24)))
    dense = gf.Matrix(np.eye(24))
    full = network_case("tanh", 3, "cross_entropy", weight_decay=dense)
    for problem, curvature, solver, words in (
        (case.problem, C.KFAC(), "own", "own"),
        (case.problem, C.KFAC(), "svd", "root"),
        (case.problem, C.Fisher(), "own", "own"),
        (case.problem, C.Fisher(), "gram", "gram"),
        (full.problem, C.Fisher(), "svd", "root"),
        (network_case("tanh", 3, "cross_entropy").problem, C.Fisher("centred"), "gram", "gram"),
    ):
        scheme = gf.SecondOrder(curvature=curvature, solver=solver)
        with pytest.raises(ValueError, match=words):
            scheme.step(problem, scheme.init(problem, case.theta), 1.0)


def test_an_energy_part_may_be_any_matrix():
    A = np.random.default_rng(0).standard_normal((24, 24))
    A = A @ A.T / 24
    case = network_case("tanh", 3, "cross_entropy", weight_decay=Matrix(A))
    bare = network_case("tanh", 3, "cross_entropy")
    for name, curvature in CURVATURES.items():
        model, mass = curvature.at(case.problem, case.theta), case.problem.mass
        if name.startswith(("layer", "neuron")):
            assert len(model.dense) >= 1
            continue
        wanted = curvature.at(bare.problem, case.theta).matrix() + mass * A
        assert relative(model.matrix(), wanted) < 1e-13
        np.testing.assert_allclose(model.diagonal() * mass, np.diag(wanted), rtol=1e-12)


@pytest.mark.parametrize("curvature", [C.GeneralizedGaussNewton(), C.Fisher(), C.BlockDiagonal(), C.KFAC()])
def test_a_problem_without_outputs_is_refused(curvature):
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    with pytest.raises(ValueError, match="needs a problem with"):
        curvature.at(problem, np.ones(3))


def test_bad_arguments_are_named():
    case = network_case("tanh", 3, "cross_entropy")
    with pytest.raises(ValueError, match="weights must not all be zero"):
        C.Fisher(weights=np.zeros(5))
    with pytest.raises(ValueError, match=r"weights must have shape \(N,\), N = 5; got \(4,\)"):
        C.Fisher(weights=np.ones(4)).at(case.problem, case.theta)
    with pytest.raises(ValueError, match="fisher must not be centred"):
        C.KFAC(C.Fisher("centred"))
    with pytest.raises(ValueError, match="of must be a curvature"):
        C.BlockDiagonal(C.Fisher)
    assert C.KFAC() == C.KFAC(C.Fisher())
    assert C.Fisher(weights=np.ones(3)) != C.Fisher(weights=np.arange(3.0))
    assert C.Fisher(weights=np.ones(3)) == C.Fisher(weights=np.ones(3))


# -- Blocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["layer", "neuron"])
def test_blocks_are_those_of_the_whole_and_nothing_else(kind):
    case = network_case("tanh", 3, "cross_entropy", "ntk", m=4, D=2)
    layer = np.repeat([0, 1], [12, 12])
    neuron = np.concatenate([np.tile(np.arange(4), 3), np.repeat(np.arange(4), 3)])
    number = layer if kind == "layer" else neuron
    same = number[:, None] == number[None, :]
    for of in (C.Fisher(), C.Hessian()):
        whole = of.at(case.problem, case.theta).matrix()
        found = C.BlockDiagonal(of, kind).at(case.problem, case.theta).matrix()
        assert relative(found, np.where(same, whole, 0)) < 1e-14
        assert np.all(found[~same] == 0)


@pytest.mark.parametrize("kind", ["layer", "neuron"])
def test_large_blocks_are_not_stored(kind, monkeypatch):
    case = network_case("tanh", 3, "cross_entropy", "ntk", weight_decay=0.1)
    curvature = C.BlockDiagonal(C.Fisher(), kind)
    wanted, method = curvature.at(case.problem, case.theta), gf.SecondOrder(curvature=curvature, tol=1e-13)
    assert wanted.stored
    first = method.step(case.problem, method.init(case.problem, case.theta), 1.0)
    monkeypatch.setattr(block_diagonal, "STORED_ENTRIES", 1)
    model = curvature.at(case.problem, case.theta)
    assert not model.stored
    np.testing.assert_allclose(model.apply(case.theta), wanted.apply(case.theta), rtol=1e-11, atol=1e-14)
    assert "dense" not in vars(model)
    monkeypatch.setattr(choice, "DENSE_LIMIT", 1)
    again = method.step(case.problem, method.init(case.problem, case.theta), 1.0)
    assert again.products > 0 == first.products
    np.testing.assert_allclose(again.theta, first.theta, rtol=1e-6, atol=1e-9)


def test_the_block_of_the_only_neuron_is_the_whole():
    case = network_case("tanh", 3, "cross_entropy", m=1)
    whole, block = (
        c.at(case.problem, case.theta).matrix() for c in (C.Fisher(), C.BlockDiagonal(C.Fisher(), "neuron"))
    )
    assert relative(block, whole) < 1e-14


def test_relu_gauge_directions_are_in_the_kernel_of_neurons_blocks_and_not_of_layers():
    """J t = 0 for t = (W_j, -a_j): the outputs do not change where a ReLU unit is scaled."""
    case = network_case("relu", 3, "cross_entropy", "ntk", N=40)
    net, theta = case.problem.net, case.theta
    for j in range(net.width):
        W, a = net.unpack(theta)
        t = np.concatenate(
            [(W * (np.arange(net.width) == j)).ravel(), -(a * (np.arange(net.width) == j)[:, None]).ravel()]
        )
        for curvature in (C.Fisher(), C.Fisher("empirical"), C.BlockDiagonal(C.Fisher(), "neuron")):
            model = curvature.at(case.problem, theta)
            assert np.abs(model.apply(t)).max() <= 1e-13 * np.linalg.norm(model.matrix()) * np.linalg.norm(t)
        layers = C.BlockDiagonal(C.Fisher(), "layer").at(case.problem, theta)
        alive = np.any(case.x @ W[:-1, j] + W[-1, j] > 0)
        assert (t @ layers.apply(t) > 1e-4 * np.linalg.norm(layers.matrix()) * (t @ t)) == alive


# -- Kronecker factors --------------------------------------------------------------------------------------------


def errors_of_layers(case, curvature):
    """Return the errors of the blocks of W and of a, relative to those of the Fisher matrix."""
    F, K = (c.at(case.problem, case.theta).matrix() for c in (curvature.fisher, curvature))
    n = (case.problem.net.n_inputs + 1) * case.problem.net.width
    assert np.all(K[:n, n:] == 0)
    return relative(K[:n, :n], F[:n, :n]), relative(K[n:, n:], F[n:, n:])


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("of", ["true", "empirical"])
def test_kronecker_factors_are_exact_where_theory_says_so_and_nowhere_else(of, corrected):
    curvature = C.KFAC(FISHERS[of], corrected=corrected)
    exact = 1e-13
    # one sample and one row; one sample and all labels
    for loss in ("mse", "cross_entropy"):
        for error in errors_of_layers(network_case("tanh", 3, loss, "ntk", N=1), curvature):
            assert error < exact
    wrong = []
    for activation, loss in product(("identity", "tanh", "relu"), ("mse", "cross_entropy")):
        of_W, of_a = errors_of_layers(network_case(activation, 3, loss, "ntk", N=30), curvature)
        if of == "true" and loss == "mse":
            assert of_a < exact  # the output Hessian is constant
            if activation == "identity":
                assert of_W < exact
                continue
            wrong.append(of_W)
        else:
            wrong += [of_W, of_a]
    assert min(wrong) > 0.02
    assert max(wrong) < 1.5


@pytest.mark.parametrize("of", ["true", "sampled", "empirical"])
def test_the_corrected_eigenvalues_are_the_best_in_their_basis(of):
    """EKFAC is nearer to the blocks than K-FAC, and its diagonal in the basis is that of the blocks."""
    for activation in ("tanh", "relu"):
        case = network_case(activation, 3, "cross_entropy", "ntk", N=30)
        plain, better = (errors_of_layers(case, C.KFAC(FISHERS[of], corrected=c)) for c in (False, True))
        assert better[0] < plain[0]
        assert better[1] < plain[1]
        model = C.KFAC(FISHERS[of], corrected=True).at(case.problem, case.theta)
        F = FISHERS[of].at(case.problem, case.theta).matrix()
        n = model.eigen[0].mu.size
        for one, block in zip(model.eigen, (F[:n, :n], F[n:, n:]), strict=True):
            basis = np.kron(one.U, one.V)
            np.testing.assert_allclose(np.diag(basis.T @ block @ basis), one.mu.ravel(), atol=1e-13)


def test_the_factored_damping_is_another_operator():
    """(A + sqrt(lambda)) (x) (B + sqrt(lambda)) differs from A (x) B + lambda by far more than rounding."""
    case = network_case("tanh", 3, "cross_entropy", "ntk", "autograd", N=30)
    model = C.KFAC().at(case.problem, case.theta)
    (A, B), lam = model.factors[0], 0.3
    exact = np.kron(A, B) + lam * np.eye(len(A) * len(B))
    factored = np.kron(A + lam**0.5 * np.eye(len(A)), B + lam**0.5 * np.eye(len(B)))
    assert relative(factored, exact) > 0.3
    step = minimise(model, None, lambda form: damped(form.gamma, form.mu, np.float64(lam)))
    n = len(exact)
    assert relative(step.d[:n], np.linalg.solve(exact, -model.gradient[:n])) < 1e-12


def test_what_kronecker_factors_store():
    """(D+1)^2 + m^2 and m^2 + k^2 numbers, in place of the squares of (D+1) m and m k."""
    case = network_case("tanh", 3, "cross_entropy", D=6, m=5)
    sizes = [A.size + B.size for A, B in C.KFAC().at(case.problem, case.theta).factors]
    assert sizes == [7**2 + 5**2, 5**2 + 3**2]


# -- Where it is hard ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1.0, 50.0, 1e4])
def test_confident_and_wrong_outputs(size, dtype):
    """Logits of any size: the root and the steps are finite, and a damped step goes downhill where H underflows."""
    net = gf.TwoLayerNet(1, 2, 2, activation="identity", scaling="standard")
    x = np.array([[1.0], [1.0], [-1.0]], dtype)
    problem = gf.Classification(net, x, np.array([1, 1, 0]))
    theta = np.array(
        [size, 0, 0, 0, 1, -1, 0, 0], dtype
    )  # f = (size x, -size x): every label has the small probability
    g = problem.energy_and_gradient(theta)[1]
    for name, curvature in CURVATURES.items():
        model = curvature.at(problem, theta)
        assert np.all(np.isfinite(model.matrix())), name
        for globalization in (C.FixedDamping(1.0), C.TrustRegion(radius=1.0)):
            scheme = gf.SecondOrder(curvature=curvature, globalization=globalization)
            state = scheme.step(problem, scheme.init(problem, theta), 1.0)
            assert np.all(np.isfinite(state.theta)), name
            if name in ("GGN", "true") or name.startswith(("layer-true", "neuron-true", "KFAC-true")):
                assert problem.inner(g, state.theta - theta) < 0, name


def test_a_softmax_root_keeps_relative_accuracy():
    """1 - p_y is a sum of the other probabilities: the root for p = (1 - 1e-20, 1e-20) has no entry that is zero."""
    from gradflow.models.losses import CrossEntropy

    f = np.array([[np.log(1e20), 0.0]])
    for label in (0, 1):
        Q = CrossEntropy(np.eye(2)[[label]], 1.0).root(f)[0]
        np.testing.assert_allclose(Q, [[1e-20, -1e-20], [-1e-10, 1e-10]], rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("name", [n for n in CURVATURES if "Hessian" not in n])
def test_dead_units_and_more_parameters_than_samples(name, loss, activation):
    net = gf.TwoLayerNet(2, 8, 3, activation=activation, scaling="ntk")
    rng = np.random.default_rng(0)
    x, labels = rng.random((6, 2)), np.array([0, 1, 2, 0, 1, 2])
    problem = gf.Classification(net, x, labels) if loss == "cross_entropy" else gf.Regression(net, x, np.eye(3)[labels])
    theta = net.init(0)
    W, _ = net.unpack(theta)
    W[:, :2] = -1.0  # dead on positive inputs
    for globalization in (C.FixedDamping(0.0), C.NielsenDamping(), C.TrustRegion()):
        run = gf.solve(
            problem, gf.SecondOrder(curvature=CURVATURES[name], globalization=globalization), theta, steps=12
        )
        assert np.all(np.isfinite(run.theta))
        if not isinstance(globalization, C.FixedDamping):
            assert run.history["energy"][-1] < 0.95 * run.history["energy"][0]
        if activation == "relu" and run.status is gf.Status.DONE and not isinstance(globalization, C.FixedDamping):
            np.testing.assert_allclose(net.unpack(run.theta)[0][:, :2], -1.0, atol=1e-8)


@pytest.mark.parametrize("method", [gf.NaturalGradient, gf.KFAC])
def test_methods_by_their_names(method):
    case = network_case("tanh", 3, "cross_entropy", "ntk", N=40)
    scheme = method(damping=0.1)
    run = gf.solve(case.problem, scheme, case.theta, epochs=10, batch_size=20, dt=0.3, seed=0)
    assert run.history["energy"][-1] < 0.8 * run.history["energy"][0]
    assert scheme == method(damping=0.1)
    fisher = C.Fisher("empirical")
    one, other = (
        gf.solve(case.problem, m(damping=0.1, fisher=fisher), case.theta, steps=2).theta
        for m in (gf.NaturalGradient, gf.KFAC)
    )
    assert relative(one, other) > 1e-3


def test_natural_gradient_of_a_squared_loss_is_gauss_newton():
    case = network_case("tanh", 2, "mse", "ntk")
    one, other = (
        gf.solve(case.problem, method(damping=0.1), case.theta, steps=3).theta
        for method in (gf.NaturalGradient, gf.GaussNewton)
    )
    np.testing.assert_allclose(one, other, rtol=1e-9)


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
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("scaling", ["standard", "ntk"])
@pytest.mark.parametrize("method", [gf.NaturalGradient, gf.KFAC])
def test_natural_gradients_learn_with_their_defaults(method, activation, scaling):
    """Full batches never raise the energy; batches of 20 end far below the start."""
    x = np.random.default_rng(0).standard_normal((300, 2))
    labels = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    problem = gf.Classification(gf.TwoLayerNet(2, 8, 3, activation=activation, scaling=scaling), x, labels)
    theta = problem.net.init(0)
    whole = gf.solve(problem, method(), theta, steps=20)
    assert np.all(np.diff(whole.history["energy"]) <= 0)
    batches = gf.solve(problem, method(), theta, epochs=3, batch_size=20, seed=0)
    start = whole.history["energy"][0]
    assert max(whole.history["energy"][-1], batches.history["energy"][-1]) < 0.3 * start


def test_a_damping_and_a_globalization_exclude_each_other():
    for method in (gf.NaturalGradient, gf.KFAC, gf.Newton):
        with pytest.raises(ValueError, match="give damping or globalization, not both"):
            method(damping=1.0, globalization=gf.curvature.Armijo())
        assert method(damping=0.5).globalization == gf.curvature.FixedDamping(0.5)
        assert method(globalization=gf.curvature.Armijo()).globalization == gf.curvature.Armijo()
