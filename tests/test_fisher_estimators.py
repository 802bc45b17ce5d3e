"""Estimators of Fisher matrices by enumeration of all draws, and roots of second moments."""

from itertools import product

import numpy as np
import pytest

import gradflow as gf
from gradflow.curvature.fisher_estimators import importance_weights, stratified_weights
from gradflow.curvature.moving_average import matrix_root
from gradflow.energies.linear import Diagonal
from network_cases import network_case

C = gf.curvature
KINDS = {"true": C.Fisher(), "empirical": C.Fisher("empirical"), "sampled": C.Fisher("sampled", samples=2)}
PARTS = {"none": 0.0, "shift": 0.3, "diagonal": Diagonal(np.linspace(0, 1, 24))}


def case_of(loss="cross_entropy", part="none", time_scale="mean_field", N=3, **more):
    return network_case("tanh", 3, loss, "ntk", time_scale, weight_decay=PARTS[part], N=N, **more)


def weighted(case, kind, w):
    """Return ``sum w_i F_i / N``, without L, by the class."""
    fisher = C.Fisher(kind, samples=KINDS[kind].samples, weights=w, normalized=False)
    L = case.problem.mass * case.problem.linear.apply(np.eye(24))
    return fisher.at(case.problem, case.theta).matrix() - L


def each_of(case, kind):
    """Return F_i, (N, P, P)."""
    N = case.problem.n_samples
    return np.stack([N * weighted(case, kind, np.eye(N)[i]) for i in range(N)])


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


def moments(estimates, chances):
    """Return the mean and the variance in the Frobenius norm of enumerated matrices."""
    mean = sum(p * F for p, F in zip(chances, estimates, strict=True))
    return mean, sum(p * np.sum((F - mean) ** 2) for p, F in zip(chances, estimates, strict=True))


# -- Enumerated expectations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("loss", "kind"), [*product(["cross_entropy", "mse", "half_sum"], KINDS)])
@pytest.mark.parametrize("n", [1, 2])
def test_importance_sampling_is_unbiased_and_has_its_variance(n, loss, kind, part):
    """Over all 3^n draws: the mean is F for every p, the variance is (2), and the best p is in proportion to |F_i|."""
    case = case_of(loss, part)
    F_i = each_of(case, kind)
    F, sizes = F_i.mean(axis=0), np.linalg.norm(F_i, axis=(1, 2))
    whole = KINDS[kind].at(case.problem, case.theta).matrix()
    L = case.problem.mass * case.problem.linear.apply(np.eye(24))
    assert relative(F, whole - L) < 1e-12
    variances = []
    for p in (sizes / sizes.sum(), np.full(3, 1 / 3), np.array([0.5, 0.2, 0.3])):
        draws = list(product(range(3), repeat=n))
        estimates = [weighted(case, kind, importance_weights(np.array(d), p)) for d in draws]
        mean, variance = moments(estimates, [np.prod(p[list(d)]) for d in draws])
        assert relative(mean, F) < 1e-12
        wanted = (np.sum(sizes**2 / p) / 9 - np.sum(F**2)) / n
        np.testing.assert_allclose(variance, wanted, rtol=1e-9, atol=1e-13 * np.sum(F**2))
        variances.append(wanted)
    assert variances[0] <= min(variances[1:])
    np.testing.assert_allclose(variances[0], (sizes.mean() ** 2 - np.sum(F**2)) / n, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_h", "proportional"), [((2, 1), True), ((1, 1), False), ((1, 2), False)])
def test_strata_are_unbiased_and_have_their_variance(n_h, proportional, kind):
    """Strata of 4 and 2 samples, all draws: the mean is F, the variance is (3), at most that of uniform draws in proportion."""
    case = case_of(N=6)
    strata = np.array([0, 1, 0, 0, 1, 0])
    members = [np.flatnonzero(strata == h) for h in (0, 1)]
    F_i = each_of(case, kind)
    F = F_i.mean(axis=0)
    draws = [
        np.array(a + b) for a, b in product(product(members[0], repeat=n_h[0]), product(members[1], repeat=n_h[1]))
    ]
    mean, variance = moments(
        [weighted(case, kind, stratified_weights(d, strata)) for d in draws], [1 / len(draws)] * len(draws)
    )
    assert relative(mean, F) < 1e-12
    spread = [np.mean(np.sum((F_i[m] - F_i[m].mean(axis=0)) ** 2, axis=(1, 2))) for m in members]
    wanted = sum((len(m) / 6) ** 2 * s / k for m, s, k in zip(members, spread, n_h, strict=True))
    np.testing.assert_allclose(variance, wanted, rtol=1e-9)
    uniform = np.mean(np.sum((F_i - F) ** 2, axis=(1, 2))) / sum(n_h)
    if proportional:
        assert variance <= uniform
    plain = sum(F_i[d].mean(axis=0) for d in draws) / len(draws)
    assert (relative(plain, F) < 1e-12) == proportional


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("c", [0.0, 0.5, 1.0, "best"])
def test_a_control_keeps_the_mean_and_has_its_variance(kind, c):
    """Over all 9 draws of two samples, with the matrix at another theta as the control; c = Cov / Var is best."""
    case = case_of()
    other = case._replace(theta=case.theta + 0.3 * np.cos(np.arange(24)))
    draws = [importance_weights(np.array(d), np.full(3, 1 / 3)) for d in product(range(3), repeat=2)]
    pairs = [(weighted(case, kind, w), weighted(other, kind, w)) for w in draws]
    F, F_0 = (each_of(at, kind).mean(axis=0) for at in (case, other))
    covariance = sum(np.sum((a - F) * (b - F_0)) for a, b in pairs) / 9
    V, V_0 = (sum(np.sum((pair[i] - M) ** 2) for pair in pairs) / 9 for i, M in ((0, F), (1, F_0)))
    factor = covariance / V_0 if c == "best" else c
    mean, variance = moments([a + factor * (F_0 - b) for a, b in pairs], [1 / 9] * 9)
    assert relative(mean, F) < 1e-12
    np.testing.assert_allclose(variance, V - 2 * factor * covariance + factor**2 * V_0, rtol=1e-9)
    if c == "best":
        np.testing.assert_allclose(variance, V - covariance**2 / V_0, rtol=1e-9)
        assert variance < V


def test_the_variance_with_a_snapshot_falls_with_the_square_of_the_distance():
    """(4) with c = 1 along theta + h u, by the class: order 2 in h; at the snapshot itself it is exact."""
    case = case_of(N=5)
    u, spreads = np.sin(np.arange(24)), []
    for h in (1e-2, 1e-3, 0.0):
        square = 0.0
        for seed in range(20):
            curvature = C.SnapshotFisher(C.Fisher(), draws=2, every=9, seed=seed)
            memory = curvature.update(curvature.at(case.problem, case.theta), curvature.start(case.theta))
            model = curvature.at(case.problem, case.theta + h * u)
            memory = curvature.update(model, memory)
            square += np.sum((curvature.remembered(model, memory).matrix() - model.matrix()) ** 2)
        spreads.append(square)
    assert 1.8 < np.log10(spreads[0] / spreads[1]) < 2.2
    assert spreads[2] < 1e-28


def test_the_variance_with_a_snapshot_falls_with_the_distance_alone_for_drawn_labels():
    """The mean of ``|F_i(theta + h u) - F_i(theta)|^2`` over draws of labels has the order 1 in h, for the labels jump."""
    case, u, spreads = case_of(N=40), np.sin(np.arange(24)), []
    u = u / np.linalg.norm(u)
    for h in (0.3, 0.03):
        square = 0.0
        for seed in range(200):
            fisher = C.Fisher("sampled", seed=seed)
            a, b = (fisher.at(case.problem, case.theta + t * u).root().R for t in (h, 0.0))
            square += np.sum(np.sum(a * a, 1) ** 2 + np.sum(b * b, 1) ** 2 - 2 * np.sum(a * b, 1) ** 2)
        spreads.append(square)
    assert 0.8 < np.log10(spreads[0] / spreads[1]) < 1.2


def test_draws_are_those_of_a_theta_and_differ_from_theta_to_theta():
    """Without a control: theta changes by rounding, so that the matrices differ by the draws alone; their mean tends to F."""
    case = case_of(N=5)
    curvature = C.SnapshotFisher(C.Fisher(), draws=2, coefficient=0.0)

    def estimate(theta):
        model = curvature.at(case.problem, theta)
        return curvature.remembered(model, curvature.update(model, curvature.start(theta))).matrix()

    F = C.Fisher().at(case.problem, case.theta).matrix()
    found = [estimate(case.theta * (1 + 1e-13 * n)) for n in range(60)]
    np.testing.assert_array_equal(estimate(case.theta), found[0])
    assert len({round(float(np.linalg.norm(one)), 9) for one in found}) >= 8  # of the 15 pairs of samples
    each = np.mean([relative(one, F) for one in found])
    assert relative(sum(found) / 60, F) < each / 3


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("c", [1.0, 0.4])
def test_a_snapshot_is_its_formula(c, part):
    """F^(theta) + c (F(t) - F^(t)) + L, both estimates with one set of draws, and the energy part once."""
    case = case_of("mse", part, N=5)
    curvature = C.SnapshotFisher(C.Fisher("empirical"), draws=2, every=9, coefficient=c, seed=1)
    memory = curvature.update(curvature.at(case.problem, case.theta), curvature.start(case.theta))
    other = case._replace(theta=case.theta + 0.1)
    model = curvature.at(case.problem, other.theta)
    found = curvature.remembered(model, curvature.update(model, memory)).matrix()
    F_i, at_snapshot = each_of(other, "empirical"), each_of(case, "empirical")
    L = case.problem.mass * case.problem.linear.apply(np.eye(24))
    pairs = product(range(5), repeat=2)
    errors = []
    for i, j in pairs:
        estimate, control = (F_i[i] + F_i[j]) / 2, (at_snapshot[i] + at_snapshot[j]) / 2
        errors.append(relative(found, estimate + c * (at_snapshot.mean(axis=0) - control) + L))
    assert min(errors) < 1e-12


def test_a_controlled_estimate_may_be_indefinite_and_a_run_survives():
    case = case_of(N=30)
    curvature = C.SnapshotFisher(C.Fisher("empirical"), draws=3, every=4)
    low = []
    for globalization in (C.NielsenDamping(), C.TrustRegion(radius=0.3)):
        scheme = gf.SecondOrder(curvature=curvature, globalization=globalization)
        state, energies = scheme.init(case.problem, case.theta), []
        for _ in range(12):
            before, state = state, scheme.step(case.problem, state, 1.0)
            energies.append(float(case.problem.energy(state.theta)))
            assert float(state.memory[0]) in range(4)
            renewed = bool(state.memory[0] != before.memory[0])
            assert renewed == (
                bool(before.accepted) or float(before.memory[0]) < 0
            )  # not by a trial after a rejected one
            model = curvature.at(case.problem, state.theta)
            low.append(np.linalg.eigvalsh(curvature.remembered(model, state.memory).matrix())[0])
        assert np.all(np.diff(energies) <= 0)
        assert energies[-1] < energies[0]
    assert min(low) < -1e-6


def test_the_memory_of_a_snapshot_keeps_its_shapes():
    case, curvature = case_of(), C.SnapshotFisher(draws=4)
    memory = curvature.start(case.theta)
    new = curvature.update(curvature.at(case.problem, case.theta), memory)
    assert [a.shape for a in new] == [a.shape for a in memory]


def test_bad_estimators_are_named():
    draws, p = np.array([0, 1]), np.array([0.5, 0.5])
    for make, words in (
        (lambda: importance_weights(draws, np.array([0.5, 0.4])), "p must"),
        (lambda: importance_weights(draws, np.array([1.0, 0.0])), "p must"),
        (lambda: importance_weights(np.array([2]), p), "draws must"),
        (lambda: importance_weights(np.array([0, 2]), p), "draws must"),
        (lambda: importance_weights(np.array([-1, 0]), p), "draws must"),
        (lambda: importance_weights(np.array([0.5]), p), "draws must"),
        (lambda: stratified_weights(np.array([0]), np.array([0, 1])), "each stratum"),
        (lambda: C.Fisher("centred", weights=p, normalized=False), "normalized must"),
        (lambda: C.KFAC(C.Fisher(weights=p, normalized=False)), "normalized"),
        (lambda: C.SnapshotFisher(C.Fisher(weights=p)), "no weights"),
        (lambda: C.MovingAverage(C.Hessian(), root=True).at(case_of().problem, case_of().theta), "semi-definite"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


# -- Roots of second moments ----------------------------------------------------------------------------------------


def steps_of(problem, theta, curvature, damping, steps=6, dt=0.1):
    scheme = gf.SecondOrder(curvature=curvature, globalization=C.FixedDamping(damping))
    states = [scheme.init(problem, theta)]
    for _ in range(steps):
        states.append(scheme.step(problem, states[-1], dt))
    return states


def test_the_diagonal_with_the_root_is_adam_without_momentum():
    """Iterate for iterate, with the correction of the start and eps as the damping; with the power 1 it is another method."""
    case = case_of(time_scale="autograd", N=8)
    adam = gf.Adam(beta1=0.0, beta2=0.9, eps=1e-3)
    state, thetas = adam.init(case.problem, case.theta), [case.theta]
    for _ in range(6):
        state = adam.step(case.problem, state, 0.1)
        thetas.append(state.theta)
    square = C.GradientSquare()
    root, plain = (
        steps_of(case.problem, case.theta, C.MovingAverage(square, 0.9, "diagonal", root=r), 1e-3)
        for r in (True, False)
    )
    for one, other in zip(thetas, root, strict=True):
        np.testing.assert_allclose(other.theta, one, rtol=0, atol=1e-12)
    assert relative(plain[-1].theta, thetas[-1]) > 1e-2


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", ["dense", "low_rank"])
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_the_full_matrix_is_the_root_of_the_mean_of_squares(time_scale, form, part):
    """G = (sum of weights g g^*)^{1/2} + L, and the step is (G + eps)^{-1} g, by a second computation."""
    case, beta = case_of("mse", part, time_scale, N=6), 0.8
    M = case.problem.mass * np.ones(24)
    more = {"rank": 24} if form == "low_rank" else {}
    curvature = C.MovingAverage(C.GradientSquare(), beta, form, root=True, **more)
    states = steps_of(case.problem, case.theta, curvature, 0.05, 5, 1.0)
    gradients = [case.problem.energy_and_gradient(state.theta)[1] for state in states[:-1]]
    weights = beta ** np.arange(5)[::-1] * (1 - beta) / (1 - beta**5)
    S = np.sqrt(M)
    mean = sum(w * np.outer(S * g, S * g) for w, g in zip(weights, gradients, strict=True))
    mu, V = np.linalg.eigh(mean)
    wanted = S[:, None] * ((V * np.sqrt(np.maximum(mu, 0))) @ V.T) * S + M * case.problem.linear.apply(np.eye(24))
    model = curvature.remembered(curvature.at(case.problem, states[-2].theta), states[-1].memory)
    np.testing.assert_allclose(
        model.matrix(), wanted, atol=3e-8 * np.linalg.norm(wanted, 2)
    )  # roots of rounding errors
    d = np.linalg.solve(wanted + 0.05 * np.diag(M), -M * gradients[-1])
    np.testing.assert_allclose(states[-1].theta - states[-2].theta, d, rtol=0, atol=1e-6 * np.abs(d).max())


@pytest.mark.parametrize(("root", "power"), [(False, -1), (True, 0)])
def test_how_steps_scale_with_the_energy(root, power):
    """E times c: an undamped step with F^{-1} is divided by c, and one with F^{-1/2} stays."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 5))
    A = A @ A.T + np.eye(5)
    steps = []
    for c in (1.0, 7.0):
        problem = gf.FunctionProblem(lambda t, c=c: c * (t @ A @ t) / 2, lambda t, c=c: c * (A @ t))
        curvature = C.MovingAverage(C.GradientSquare(), 0.5, root=root)
        memory = curvature.start(np.ones(5))
        for j in range(6):
            model = curvature.at(problem, np.cos(np.arange(5.0) ** 2 * (j + 1)))
            memory = curvature.update(model, memory)
        B = curvature.remembered(model, memory).matrix()
        steps.append(np.linalg.solve(B, -problem.energy_and_gradient(model.theta)[1]))
    np.testing.assert_allclose(steps[1], 7.0**power * steps[0], rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mass", [2.0, np.linspace(0.5, 2, 6)], ids=["number", "diagonal"])
def test_the_root_of_a_matrix_is_its_own_half(mass, dtype):
    rng = np.random.default_rng(1)
    R = rng.standard_normal((4, 6))
    B, mass = (R.T @ R).astype(dtype), mass if np.ndim(mass) == 0 else mass.astype(dtype)
    half = matrix_root(B, mass)
    assert half.dtype == dtype
    tol = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(half, half.T, atol=tol * np.abs(half).max())
    np.testing.assert_allclose((half / mass) @ half, B, atol=tol * np.abs(B).max())  # (M^{-1} half)^2 = M^{-1} B
    assert np.all(np.isnan(matrix_root(B * np.nan, mass)))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_the_square_of_the_gradient_is_its_formula(time_scale, part):
    case = case_of("mse", part, time_scale)
    model, M = C.GradientSquare().at(case.problem, case.theta), case.problem.mass
    g, L = case.problem.energy_and_gradient(case.theta)[1], case.problem.linear.apply(np.eye(24))
    R, _ = model.root()
    wanted = M * M * np.outer(g, g) + M * L
    np.testing.assert_allclose(model.matrix(), wanted, atol=1e-13)
    np.testing.assert_allclose(R.T @ R, wanted, atol=1e-13)
    assert np.linalg.matrix_rank(R[: model.rows]) == 1


# -- Batches and doors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_with_mini_batches_the_mean_of_a_snapshot_estimate_is_the_matrix_of_the_batch(kind):
    """Snapshot from one batch, a step with another: over many seeds, in which all draws occur, the mean is F of the second.

    The mean over all n^2 draws of two samples is exact where each occurs equally often; the estimates are affine in the
    counts, so that the mean over seeds is F plus the matrix of the mean counts minus 1.
    """
    case = case_of(N=6)
    first, second = case.problem.batch(np.arange(3)), case.problem.batch(np.arange(3, 6))
    theta = case.theta + 0.3 * np.cos(np.arange(24))
    F = KINDS[kind].at(second, theta).matrix()
    there, here = (case._replace(problem=second, theta=t) for t in (case.theta, theta))
    differences = each_of(here, kind) - each_of(there, kind)
    fisher = C.Fisher(kind, samples=KINDS[kind].samples)
    for seed in range(6):
        curvature = C.SnapshotFisher(fisher, draws=2, every=9, seed=seed)
        memory = curvature.update(curvature.at(first, case.theta), curvature.start(case.theta))
        model = curvature.at(second, theta)
        found = curvature.remembered(model, curvature.update(model, memory)).matrix()
        pairs = [(differences[i] + differences[j]) / 2 - differences.mean(axis=0) for i in range(3) for j in range(3)]
        assert min(np.linalg.norm(found - F - of_pair) for of_pair in pairs) < 1e-12 * np.linalg.norm(F)
        assert np.linalg.norm(sum(pairs)) < 1e-12 * np.linalg.norm(F)  # each pair has the same chance


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_the_diagonal_of_a_gradient_square_is_that_of_its_matrix(part, time_scale):
    case = case_of(part=part, time_scale=time_scale)
    model = C.GradientSquare().at(case.problem, case.theta)
    mass = model.known_mass("")
    np.testing.assert_allclose(model.diagonal(), np.diag(model.matrix()) / mass, rtol=1e-12)


@pytest.mark.parametrize(
    "strata", [[0.0, 1.0], ["a", "b"], None, [[0, 1], [1, 0]], [-1, 0], [True, False], [], [[0], [0, 1]], [0, 10**9], 0]
)
def test_strata_that_are_no_numbers_of_strata_are_refused(strata):
    with pytest.raises(ValueError, match="strata must be whole numbers"):
        stratified_weights([0, 1], strata)


def test_draws_and_probabilities_out_of_range_are_refused():
    for draws in ([[0], [0, 1]], [0.5], None, [], [-1], [2]):
        with pytest.raises(ValueError, match="draws must be whole numbers"):
            stratified_weights(draws, [0, 1])
        with pytest.raises(ValueError, match="draws must be whole numbers"):
            importance_weights(draws, np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="p must"):
        importance_weights([0], np.array([1e-320, 1.0]))
