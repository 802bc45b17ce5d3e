"""Curvatures of a stream, and policies with a memory: frequent directions, factored damping, structured secant updates."""

from itertools import pairwise, product

import array_api_strict as strict
import numpy as np
import pytest

import gradflow as gf
from gradflow.curvature.adaptive_mixture import hedge_weights, secant_losses
from gradflow.curvature.frequent_directions import frequent_directions_update
from gradflow.curvature.structured_secant import structured_secant_update
from gradflow.energies.linear import Diagonal
from more_garbow_hillstrom import PROBLEMS
from network_cases import network_case

C = gf.curvature


def case_of(loss="cross_entropy", linear=0.0, time_scale="mean_field", **more):
    return network_case("tanh", 3, loss, "ntk", time_scale, weight_decay=linear, **more)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


# -- Frequent directions ------------------------------------------------------------------------------------------

STREAMS = ("noise", "decaying", "adversarial", "low rank")


def stream(kind, rng, n=90, P=14):
    """Return rows (n, P): without structure, with a decaying spectrum, with directions one after the other, of rank 4."""
    if kind == "adversarial":  # each direction once, the strongest last
        return np.sqrt(np.arange(1.0, n + 1))[:, None] * np.eye(P)[np.arange(n) % P]
    A = rng.standard_normal((n, P))
    if kind == "decaying":
        return A * 0.6 ** np.arange(P)
    return A if kind == "noise" else A[:, :4] @ rng.standard_normal((4, P))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("beta", [1.0, 0.8])
@pytest.mark.parametrize("size", [1, 5, 14])
@pytest.mark.parametrize("kind", STREAMS)
def test_frequent_directions_keep_their_bound(kind, size, beta, dtype):
    """0 <= A^T A - B^T B <= Delta, (l + 1) Delta <= |A|^2 - |B|^2, Delta <= |A - A_k|^2 / (l + 1 - k), after every chunk."""
    rng = np.random.default_rng(len(kind) + size)
    rows = stream(kind, rng).astype(dtype)
    B, lost, A = np.zeros((size, rows.shape[1]), dtype), 0.0, np.zeros((0, rows.shape[1]))
    start = 0
    while start < len(rows):
        new = rows[start : start + 1 + int(rng.integers(2 * size))]
        start += len(new)
        B, delta = frequent_directions_update(beta**0.5 * B, new)
        lost, A = beta * lost + float(delta), np.concatenate([beta**0.5 * A, new])
        assert B.dtype == dtype
        squares = np.linalg.svd(A, compute_uv=False) ** 2
        eps = 50 * np.finfo(dtype).eps * squares[0] * (1 + start)
        gap = np.linalg.eigvalsh(A.T @ A - B.T.astype(float) @ B)
        assert -eps <= gap[0]
        assert gap[-1] <= lost + eps
        assert (size + 1) * lost <= squares.sum() - np.sum(B.astype(float) ** 2) + eps
        for k in range(min(size, len(squares) - 1) + 1):
            assert lost <= squares[k:].sum() / (size + 1 - k) + eps
    if size == 14 or (kind == "low rank" and size > 4):  # the rank fits
        assert lost <= eps


def test_a_weak_direction_in_every_row_is_found_and_a_truncation_loses_it():
    """Rows e_1, 2 e_j with j = 2, 3, ... once each: the sum has 40 at e_1. To 2 rows: a truncation keeps what is strong in a step."""
    B, cut = np.zeros((2, 42)), np.zeros((2, 42))
    for j in range(1, 41):
        rows = np.eye(42)[[0, j]] * np.array([[1.0], [2.0 + j / 100]])
        B, _ = frequent_directions_update(B, rows)
        _, sigma, Vt = np.linalg.svd(np.concatenate([cut, rows]), full_matrices=False)
        cut = sigma[:2, None] * Vt[:2]
    assert np.sum(cut[:, 0] ** 2) < 2
    assert 0 <= 40 - np.sum(B[:, 0] ** 2) <= (40 + sum((2 + j / 100) ** 2 for j in range(1, 41))) / 3


def states_of(case, curvature, steps=5, globalization=C.FixedDamping(0.5)):  # noqa: B008
    scheme = gf.SecondOrder(curvature=curvature, globalization=globalization)
    states = [scheme.init(case.problem, case.theta)]
    for _ in range(steps):
        states.append(scheme.step(case.problem, states[-1], 1.0))
    return states


@pytest.mark.parametrize("linear", [0.0, 0.3, Diagonal(np.linspace(0, 1, 24))], ids=["none", "shift", "diagonal"])
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
@pytest.mark.parametrize("beta", [0.0, 0.6, 1.0])
def test_a_sketch_with_all_rows_is_the_moving_average(beta, time_scale, linear):
    """With l = P it is the weighted mean along the run, and the steps are those with it; with l < P, the bound holds."""
    case = case_of(linear=linear, time_scale=time_scale)
    mass = case.problem.mass
    L = mass * case.problem.linear.apply(np.eye(24))
    for size in (24, 6):
        curvature = C.FrequentDirections(C.Fisher(), size, beta)
        states = states_of(case, curvature)
        thetas = [state.theta for state in states[:-1]]
        each = [C.Fisher().at(case.problem, theta).matrix() - L for theta in thetas]
        weights = np.ones(5) if beta == 1 else beta ** np.arange(5)[::-1] * (1 - beta)
        mean = sum(w * B for w, B in zip(weights, each, strict=True)) / weights.sum()
        model = curvature.remembered(curvature.at(case.problem, thetas[-1]), states[-1].memory)
        gap = np.linalg.eigvalsh((mean + L - model.matrix()) / mass)
        weight, lost, _ = states[-1].memory
        np.testing.assert_allclose(weight, weights.sum(), rtol=1e-14)
        assert gap[0] > -1e-12 * np.linalg.norm(mean / mass)
        assert gap[-1] <= lost / weight + 1e-12 * np.linalg.norm(mean / mass)
        assert 7 * lost <= weight * np.trace((mean + L - model.matrix()) / mass) * (7 if size == 24 else 1) + 1e-12
        U, mu = model.factors
        np.testing.assert_allclose((mass * U.T @ U)[mu > 1e-12][:, mu > 1e-12], np.eye(np.sum(mu > 1e-12)), atol=1e-10)
        if size == 24:
            assert lost < 1e-14 * np.linalg.norm(mean / mass)
        else:
            assert lost > 0
        d = np.linalg.solve(model.matrix() + 0.5 * mass * np.eye(24), -mass * model.gradient)
        np.testing.assert_allclose(states[-1].theta - thetas[-1], d, rtol=0, atol=1e-11)


def test_rows_that_are_zero_stay_zero():
    """After one step the stream of the square of the gradient has one row, and the sketch of three has two that are zero."""
    case = case_of()
    curvature = C.FrequentDirections(C.GradientSquare(), 3)
    for theta in (case.theta, 0 * case.theta):
        model = curvature.at(case.problem, theta)
        found = curvature.remembered(model, curvature.update(model, curvature.start(theta)))
        np.testing.assert_allclose(found.matrix(), model.matrix(), atol=1e-15)
    none = curvature.remembered(model, (np.float64(1.0), np.float64(0.0), np.zeros((3, 24))))
    np.testing.assert_array_equal(none.matrix(), 0.0)
    with pytest.raises(ValueError, match="with a root"):
        C.FrequentDirections(C.Hessian(), 3).at(case.problem, case.theta)


def test_frequent_directions_take_roots_of_fits_and_no_rejected_trial():
    """Gauss-Newton's root; a trial that is rejected leaves the memory as it is."""
    problem = gf.DenseLeastSquares(lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]))
    curvature = C.FrequentDirections(C.GaussNewton(), 2, 0.2)
    scheme = gf.SecondOrder(curvature=curvature, globalization=C.TrustRegion(radius=10.0))
    state, refused = scheme.init(problem, np.array([-1.2, 1.0])), 0
    for _ in range(30):
        before, state = state, scheme.step(problem, state, 1.0)
        if before.ratio != 0 and not before.accepted:
            refused += 1
            for one, other in zip(before.memory, state.memory, strict=True):
                np.testing.assert_array_equal(one, other)
    assert refused > 0
    run = gf.solve(problem, scheme, np.array([-1.2, 1.0]), steps=200, stop=gf.Tolerance(gradient=1e-8))
    assert run.status is gf.Status.CONVERGED


# -- Factored damping of K-FAC --------------------------------------------------------------------------------------


@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
@pytest.mark.parametrize(("loss", "lam"), [("cross_entropy", 0.1), ("mse", 3.0)])
def test_factored_damping_is_a_product_of_damped_factors(loss, lam, time_scale):
    """It exceeds A (x) B + lambda by sqrt(lambda) (pi I (x) B + A (x) I / pi), the trace of which is least at this pi."""
    case = case_of(loss, time_scale=time_scale, N=7)
    mass = case.problem.mass
    plain, damped = (C.KFAC(factored=f).at(case.problem, case.theta) for f in (0.0, lam))
    start, root = 0, np.sqrt(lam * mass)
    extra = damped.matrix() - plain.matrix() - lam * mass * np.eye(24)
    for A, B in plain.factors:
        p, q = len(A), len(B)
        pi = np.sqrt(np.trace(A) / p / (np.trace(B) / q))
        part = slice(start, start + p * q)
        wanted = root * (pi * np.kron(np.eye(p), B) + np.kron(A, np.eye(q)) / pi)
        assert relative(extra[part, part], wanted) < 1e-12
        traces = [
            np.trace(root * (c * np.kron(np.eye(p), B) + np.kron(A, np.eye(q)) / c)) for c in (pi / 1.01, pi * 1.01)
        ]
        assert np.trace(wanted) < min(traces)
        norm = root * (pi * np.linalg.eigvalsh(B)[-1] + np.linalg.eigvalsh(A)[-1] / pi)
        np.testing.assert_allclose(np.linalg.norm(wanted, 2), norm, rtol=1e-12)
        start += p * q
    assert np.linalg.eigvalsh(extra)[0] > 0
    exact, factored = (
        gf.SecondOrder(curvature=C.KFAC(factored=f), globalization=C.FixedDamping(nu)) for f, nu in ((0, lam), (lam, 0))
    )
    steps = [s.step(case.problem, s.init(case.problem, case.theta), 1.0).theta - case.theta for s in (exact, factored)]
    wanted = np.linalg.solve(damped.matrix(), -mass * plain.gradient)
    np.testing.assert_allclose(steps[1], wanted, rtol=0, atol=1e-10 * np.abs(wanted).max())
    assert relative(steps[1], steps[0]) > 0.05


def test_factored_damping_of_dead_units_is_finite():
    """All units of a ReLU network are dead: the factor of the scores vanishes, pi is 1, and nothing is NaN."""
    case = network_case("relu", 3, "cross_entropy", "ntk")
    case.problem.net.unpack(case.theta)[0][...] = 0.0
    model = C.KFAC(factored=0.25).at(case.problem, case.theta)
    assert np.all(np.isfinite(model.matrix()))
    assert np.linalg.eigvalsh(model.matrix() / case.problem.mass)[0] >= 0.25 * (1 - 1e-12)


# -- The structured secant update -----------------------------------------------------------------------------------


def pairs(P, dtype, seed):
    """Return M S, s, y, y# with (y, s)_M > 0, and M."""
    rng = np.random.default_rng(seed)
    S = rng.standard_normal((P, P))
    mass = rng.uniform(0.5, 2, P) if seed % 2 else 1.5
    s, y, y_sharp = rng.standard_normal((3, P))
    y = y * np.sign(y @ (mass * s))
    return [np.asarray(a, dtype) if np.ndim(a) else a for a in (S + S.T, s, y, y_sharp, mass)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("P", "seed"), [*product((2, 7), range(6))])
def test_the_structured_update_satisfies_the_secant_equation(P, seed, dtype):
    """S_+ s = y#, symmetric, for every S and with the factor (3); a pair without (y, s)_M > 0 changes nothing."""
    S, s, y, y_sharp, mass = pairs(P, dtype, seed)
    new = structured_secant_update(S, s, y, y_sharp, mass=mass)
    assert new.dtype == dtype
    scale = np.abs(y).max() ** 2 * np.abs(S).max() * np.abs(s).max() / (y @ (mass * s)) ** 2 + 1
    tol = 200 * np.finfo(dtype).eps * scale * (1 + np.abs(s).max()) ** 2
    np.testing.assert_allclose(new, new.T, rtol=0, atol=tol)
    np.testing.assert_allclose(new @ s / mass, y_sharp, rtol=0, atol=tol)
    for none in (-y, 0 * y):
        np.testing.assert_array_equal(structured_secant_update(S, s, none, y_sharp, mass=mass), S)


@pytest.mark.parametrize("seed", range(8))
def test_the_structured_update_is_its_formula(seed):
    """By operators: M^{-1} (M S), adjoints in the inner product, and sigma below 1 in half of the cases."""
    S, s, y, y_sharp, mass = pairs(5, "float64", seed)
    y_sharp = y_sharp * (1e-2 if seed < 4 else 1e2)
    M = mass * np.eye(5)
    A, inner = np.linalg.solve(M, S), lambda u, v: u @ M @ v
    sigma = min(1.0, abs(inner(s, y_sharp)) / abs(inner(s, A @ s)))
    w = y_sharp - sigma * A @ s
    star = lambda u: u @ M  # noqa: E731
    new = sigma * A + (np.outer(w, star(y)) + np.outer(y, star(w))) / inner(y, s)
    new -= inner(w, s) / inner(y, s) ** 2 * np.outer(y, star(y))
    assert relative(structured_secant_update(S, s, y, y_sharp, mass=mass), M @ new) < 1e-12
    assert (sigma < 1) == (seed < 4)


@pytest.mark.parametrize("mass", [1.0, np.array([4.0, 0.25])], ids=["number", "diagonal"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_pair_whose_product_is_a_rounding_error_is_left_out(scale, mass):
    """(y, s)_M against eps |s|_M |y|_M, whatever the units of s and of y."""
    S, s = np.eye(2), scale * np.array([1.0, 0.0]) / mass**0.5
    for cosine, taken in ((0.5, False), (2.0, True)):
        y = np.array([cosine * np.finfo(float).eps, 1.0]) / mass**0.5 / scale**2
        assert np.any(structured_secant_update(S, s, y, y, mass=mass) != S) == taken


@pytest.mark.parametrize("seed", range(0, 6, 2))
def test_the_structured_update_is_the_nearest_in_every_norm_that_maps_s_to_y(seed):
    """S_+ - sigma S is orthogonal to all D with D s = 0, in the product tr(W^{-1} A W^{-1} B), for every W with W s = y."""
    P = 4
    S, s, y, y_sharp, _ = pairs(P, "float64", seed)
    sigma = min(1.0, abs(s @ y_sharp) / abs(s @ S @ s))
    change = structured_secant_update(S, s, y, y_sharp, mass=1.0) - sigma * S
    rng = np.random.default_rng(seed)
    for _ in range(3):
        A = rng.standard_normal((P, P))
        A = A @ A.T + np.eye(P)
        A_s = A @ s
        W = A - np.outer(A_s, A_s) / (s @ A_s) + np.outer(y, y) / (y @ s)  # positive definite, W s = y
        Q = np.eye(P) - np.outer(s, s) / (s @ s)
        D = Q @ rng.standard_normal((P, P)) @ Q
        inverse = np.linalg.inv(W)
        product_of = np.trace(inverse @ change @ inverse @ (D + D.T))
        assert abs(product_of) < 1e-10 * np.linalg.norm(inverse) ** 2 * np.linalg.norm(change) * np.linalg.norm(D)


def quadratic(N=6, P=3, mass=1.0, seed=0):
    """Return a fit with residuals c_i + b_i . t + t . A_i t / 2 and its matrices A_i."""
    rng = np.random.default_rng(seed)
    A, b, c = rng.standard_normal((N, P, P)), rng.standard_normal((N, P)), rng.standard_normal(N)
    A = (A + A.transpose(0, 2, 1)) / 2
    residual = lambda t: c + b @ t + (A @ t) @ t / 2  # noqa: E731
    return gf.DenseLeastSquares(residual, lambda t: b + A @ t, mass=mass), A


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("mass", [1.0, np.array([0.5, 1.0, 2.0])], ids=["number", "diagonal"])
def test_along_a_run_the_secant_equation_is_that_of_the_second_order_term(mass, share):
    """For quadratic residuals y# = sum q_i A_i s exactly, so that S_n has the second-order term along the last step; (4) decides on its use."""
    problem, A = quadratic(mass=mass)
    scheme = gf.SecondOrder(curvature=C.StructuredSecant(share), globalization=C.TrustRegion(radius=0.3))
    state, used, seen = scheme.init(problem, np.array([0.3, -0.2, 0.5])), [], 0
    for n in range(14):
        before, state = state, scheme.step(problem, state, 1.0)
        if n == 0 or not before.accepted:
            for one, other in zip(before.memory[2:], state.memory[2:], strict=True):
                np.testing.assert_array_equal(one, other)
            continue
        theta, old = before.theta, before.memory[0]  # the memory of `state` is that of the model at this theta
        at, s = problem.linearize(theta), theta - old
        J, q, term = at.jacobian(), at.residual, np.einsum("i,ijk->jk", at.residual, A)
        y_M = mass * (problem.energy_and_gradient(theta)[1] - problem.energy_and_gradient(old)[1])
        if y_M @ s > 1e-12:
            np.testing.assert_allclose(state.memory[3] @ s, term @ s, rtol=0, atol=1e-10 * np.abs(term).max())
            seen += 1
        F, F_old = q @ q / 2, problem.energy(old)
        plain = F - (J.T @ q) @ s + (J @ s) @ (J @ s) / 2 - F_old
        wanted = F_old - F < share * F_old and abs(plain + s @ before.memory[3] @ s / 2) < abs(plain)
        assert bool(state.memory[2]) == wanted
        model = scheme.curvature.remembered(scheme.curvature.at(problem, theta), state.memory)
        B, v = J.T @ J + wanted * state.memory[3], np.array([1.0, -2.0, 0.5])
        np.testing.assert_allclose(model.matrix(), B, atol=1e-12)
        np.testing.assert_allclose(mass * model.apply(v), B @ v, atol=1e-12)
        np.testing.assert_allclose(mass * model.diagonal(), np.diag(B), atol=1e-12)
        used.append(wanted)
    assert seen > 3
    assert set(used) == {True, False}


def trials(name, curvature):
    """Return the number of trials until |g| is 1e-7 of its first value, and |q| there."""
    given = PROBLEMS[name]

    def jacobian(x):
        return np.stack([given.residual(x + 1e-30j * e).imag / 1e-30 for e in np.eye(given.n)], axis=1)

    problem = gf.DenseLeastSquares(given.residual, jacobian)
    scheme = gf.SecondOrder(curvature=curvature, globalization=C.TrustRegion())
    start = given.start()
    first = np.linalg.norm(problem.energy_and_gradient(start)[1])
    run = gf.solve(problem, scheme, start, steps=300, stop=gf.Tolerance(gradient=1e-7 * float(first)))
    assert run.status is gf.Status.CONVERGED
    return run.steps, float(2 * run.history["energy"][-1]) ** 0.5


@pytest.mark.parametrize(
    "name",
    ["Freudenstein and Roth", "Kowalik and Osborne", "Jennrich and Sampson", "Brown and Dennis", "Chebyquad 8 8"],
)
def test_large_residuals_need_the_second_order_term(name):
    """Problems of the collection whose residual does not vanish: at most 0.7 times the trials of Gauss-Newton, to the same minimum."""
    plain, at_plain = trials(name, C.GaussNewton())
    secant, at_secant = trials(name, C.StructuredSecant())
    assert secant <= 0.7 * plain
    np.testing.assert_allclose(at_secant, at_plain, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "more"),
    [("Rosenbrock", 0), ("helical valley", 0), ("Powell singular", 0), ("box", 0), ("Bard", 1), ("Watson 6", 1)],
)
def test_small_residuals_do_not_suffer_from_it(name, more):
    """No more trials than Gauss-Newton where the residual vanishes, and at most one more where it is small."""
    assert trials(name, C.StructuredSecant())[0] <= trials(name, C.GaussNewton())[0] + more


# -- Policies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["random", "alternating", "one good"])
@pytest.mark.parametrize(("n", "T"), [(2, 40), (5, 300)])
@pytest.mark.parametrize("rate", [0.05, 0.5, 3.0, "best"])
def test_the_regret_of_hedge_is_bounded(n, T, rate, kind):
    """sum (alpha_t, l_t) - min_i sum l_i <= log(n) / eta + eta T / 8, for all losses in [0, 1]."""
    eta = np.sqrt(8 * np.log(n) / T) if rate == "best" else rate
    rng = np.random.default_rng(n)
    losses = rng.uniform(size=(T, n))
    if kind == "alternating":  # the part that has been best so far loses: follow-the-leader's worst case
        losses, total = np.zeros((T, n)), np.zeros(n)
        for t in range(T):
            losses[t, np.argmin(total)] = 1
            total += losses[t]
    elif kind == "one good":
        losses = np.ones((T, n)) * (np.arange(n) > 0)
    total, paid = np.zeros(n), 0.0
    for row in losses:
        paid += hedge_weights(total, eta) @ row
        total = total + row
    assert paid - total.min() <= np.log(n) / eta + eta * T / 8 + 1e-12
    if kind == "alternating" and rate == "best":  # follow-the-leader pays 1 in every step
        assert paid < T / 2 + 5
        assert T - total.min() > np.log(n) / eta + eta * T / 8


def test_hedge_is_follow_the_regularised_leader():
    """(q, L) + sum q log q / eta exceeds its value at the weights by the divergence of q from them, over eta."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        L, eta = 10 * rng.uniform(size=4), rng.uniform(0.1, 3)
        alpha, q = hedge_weights(L, eta), rng.dirichlet(np.ones(4))
        value = lambda p, L=L, eta=eta: p @ L + p @ np.log(p) / eta  # noqa: E731
        np.testing.assert_allclose(value(q) - value(alpha), q @ np.log(q / alpha) / eta, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(hedge_weights(L + 1e6, eta), alpha, rtol=1e-8)


def mixed_run(policy, parts, case, steps=8):
    curvature = C.AdaptiveMixture(parts, policy)
    states = states_of(case, curvature, steps, C.NielsenDamping())
    return curvature, states


def test_losses_are_errors_of_the_secant_equation_along_the_run():
    """Lambda is the sum over accepted steps of |G_i s - y| / (|G_i s| + |y|), with G_i at the end of each; the weights follow."""
    case = case_of()
    parts = (C.Hessian(), C.GeneralizedGaussNewton(), C.Fisher("empirical"))
    curvature, states = mixed_run(C.Hedge(2.0), parts, case)
    M = case.problem.mass
    thetas = [states[0].theta]
    for state in states[1:-1]:
        if state.accepted:
            thetas.append(state.theta)
    wanted = np.zeros(3)
    for old, new in pairwise(thetas):
        s = new - old
        y = case.problem.energy_and_gradient(new)[1] - case.problem.energy_and_gradient(old)[1]
        for i, part in enumerate(parts):
            G_s = part.at(case.problem, new).matrix() @ s / M
            wanted[i] += np.linalg.norm(G_s - y) / (np.linalg.norm(G_s) + np.linalg.norm(y))
    np.testing.assert_allclose(states[-1].memory[2], wanted, rtol=1e-9)
    model = curvature.remembered(curvature.at(case.problem, thetas[-1]), states[-1].memory)
    alpha = np.exp(-2 * wanted) / np.exp(-2 * wanted).sum()
    B = sum(a * part.at(case.problem, thetas[-1]).matrix() for a, part in zip(alpha, parts, strict=True))
    assert relative(model.matrix(), B) < 1e-9
    assert wanted[0] < wanted[2]  # the Hessian is the derivative of the gradient; the empirical matrix is not


def test_losses_of_no_step_are_zero_and_of_no_number_are_one():
    nan = float("nan")
    good, bad = (gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, hvp=lambda t, v, c=c: c * v) for c in (3.0, nan))
    theta = np.array([1.0, 2.0])
    parts = [C.Hessian().at(problem, theta) for problem in (good, bad)]
    np.testing.assert_array_equal(secant_losses(parts[:1], theta), [0.0])
    np.testing.assert_allclose(secant_losses(parts, 2 * theta), [0.5, 1.0], rtol=1e-14)  # |3s - s| / (|3s| + |s|)


def test_switching_remembers_between_its_bounds():
    """Gradients of length 5, 2, 0.5, 2, 0.9, 5, 2: the first part from 0.5 on, the second from 5 on; without a gap it follows one bound."""
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, hvp=lambda t, v: v)
    lengths = (5.0, 2.0, 0.5, 2.0, 0.9, 5.0, 2.0)
    for policy, wanted in ((C.Switching(1.0, 3.0), "0011100"), (C.Switching(1.0, 1.0), "0010100")):
        memory, seen = policy.start(np.ones(2), 2), ""
        np.testing.assert_array_equal(policy.weights(memory), [0.0, 1.0])  # it begins with the second part
        for length in lengths:
            models = [C.Hessian().at(problem, np.array([length, 0.0]))] * 2
            memory = policy.update(models, memory)
            weights = policy.weights(memory)
            assert weights.sum() == 1
            seen += str(int(weights[0]))
        assert seen == wanted


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rate_of_any_size_gives_weights_of_sum_one(dtype):
    """Up to the largest number: the part with the least loss has all weight, and equal losses share it."""
    for losses, wanted in (
        ([0.0, 1e-3, 3.0], [1, 0, 0]),
        ([2.0, 2.0, 9.0], [0.5, 0.5, 0]),
        ([5.0, 5.0, 5.0], [1 / 3] * 3),
    ):
        for rate in (1e30, 1e38, 1e300, np.finfo(float).max):
            w = hedge_weights(np.asarray(losses, dtype=dtype), rate)
            assert w.dtype == dtype
            np.testing.assert_allclose(w, wanted, rtol=1e-6)


class Own:
    """A policy of one's own with given weights, and a function of its memory, one number."""

    def __init__(self, weights, update=lambda memory: memory, start=None):
        self.given, self.change, self.first = weights, update, start

    def start(self, theta, n):
        return (0 * theta[0],) if self.first is None else self.first

    def update(self, parts, memory):
        return self.change(memory)

    def weights(self, memory):
        return self.given + 0 * memory[0] if isinstance(self.given, np.ndarray) else self.given


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_and_memory_of_a_policy_are_checked_and_a_nan_is_a_status(dtype):
    problem, theta = fit(np, getattr(np, dtype))
    half, parts = np.full(2, 0.5, dtype=dtype), (C.GaussNewton(), C.GradientSquare())
    scheme = lambda policy: gf.SecondOrder(curvature=C.AdaptiveMixture(parts, policy))  # noqa: E731
    for weights in (half, (0.5, 0.5), np.array([1.0, 0.0], dtype=dtype), np.array([0.1, 0.9], dtype=dtype)):
        assert gf.solve(problem, scheme(Own(weights)), theta, steps=2).steps == 2
    third = np.full(3, 1 / 3, dtype=dtype)
    for weights in (
        0 * half,
        -half,
        10 * half,
        half[:1],
        third,
        np.array([2.0, -1.0]),
        None,
        0.5,
        [0.5, 0.5],
        half + 0j,
    ):
        with pytest.raises(ValueError, match="weights of a policy must"):
            gf.solve(problem, scheme(Own(weights)), theta, steps=1)
    for weights in (1.0, (1.0,), ("a", "b"), (0.6, 0.6), (1.5, -0.5)):
        with pytest.raises(ValueError, match="weights of a policy must"):
            C.Mixture(parts, Own(weights)).at(problem, theta).used  # noqa: B018
    for change in (lambda m: None, list, lambda m: m + m, lambda m: (theta,), lambda m: ("a",), lambda m: (1j,)):
        with pytest.raises(ValueError, match=r"policy\.update"):
            gf.solve(problem, scheme(Own(half, change)), theta, steps=1)
    for start in (None, theta, ("a",), (np.zeros(2, dtype=complex),)):
        with pytest.raises(ValueError, match=r"policy\.start"):
            scheme(Own(half, start=(start,) if start is None else start)).init(problem, theta)
    for nan in (Own(half * np.nan), Own(np.array([np.inf, 0.0])), Own(half, lambda m: (m[0] * np.nan,))):
        run = gf.solve(problem, scheme(nan), theta, steps=3)
        assert run.status is gf.Status.NONFINITE
        np.testing.assert_array_equal(run.theta, theta)


def test_the_weight_by_agreement_is_the_bounded_ratio():
    """1 for a quadratic energy and its Hessian; below 1 for a model that overestimates; 0 for a model of the other sign."""
    H = np.diag([1.0, 4.0, 9.0])
    problem = gf.FunctionProblem(lambda t: t @ H @ t / 2, lambda t: H @ t, hvp=lambda t, v: H @ v)
    policy = C.ByAgreement()
    old, new = np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.3, -0.2])
    s, g = new - old, H @ new
    gain = (old @ H @ old - new @ H @ new) / 2
    for B, what in ((H, 1.0), (3 * H, gain / (1.5 * s @ H @ s - g @ s)), (0.5 * H, 1.0), (-9 * H, 0.0)):
        part = gf.FunctionProblem(problem.energy, lambda t: H @ t, hvp=lambda t, v, B=B: B @ v)
        memory = policy.start(old, 2)
        for theta in (old, new):
            memory = policy.update([C.Hessian().at(part, theta)] * 2, memory)
        alpha, rest = policy.weights(memory)
        np.testing.assert_allclose(alpha, what, rtol=1e-12)
        assert 0 <= alpha <= 1
        assert alpha + rest == 1
    # a difference that is small and no rounding error counts
    near = new * (1 + 1e-4)
    memory = policy.start(near, 2)
    for theta in (near, new):
        memory = policy.update(
            [C.Hessian().at(gf.FunctionProblem(problem.energy, lambda t: H @ t, lambda t, v: 1e6 * v), theta)] * 2,
            memory,
        )
    assert 0 < memory[2] < 0.1
    # at the minimum the difference is a rounding error, and the weight stays
    after = policy.update([C.Hessian().at(problem, new)] * 2, (new, memory[1], memory[2]))
    assert after[2] == memory[2]


def test_the_switch_by_the_second_order_term_compares_it_with_gauss_newton():
    problem, A = quadratic(seed=3)
    theta = np.array([0.3, -0.2, 0.5])
    at = problem.linearize(theta)
    J, g = at.jacobian(), problem.energy_and_gradient(theta)[1]
    S = np.einsum("i,ijk->jk", at.residual, A)
    full = gf.FunctionProblem(problem.energy, lambda t: problem.energy_and_gradient(t)[1], lambda t, v: 0 * v)
    assert full.energy(theta) == problem.energy(theta)
    share = np.linalg.norm(S @ g) / np.linalg.norm(J.T @ (J @ g))

    class WithHessian(type(problem)):
        def hvp(self, theta, v):
            at = self.linearize(theta)
            return at.vjp(at.jvp(v)) + np.einsum("i,ijk->jk", at.residual, A) @ v

    problem.__class__ = WithHessian
    for factor, kind in ((0.99, "HessianModel"), (1.01, "GaussNewtonModel")):
        mixed = C.Mixture((C.Hessian(), C.GaussNewton()), C.BySecondOrderTerm(factor * share))
        ((weight, part),) = mixed.at(problem, theta).used
        assert (weight, type(part).__name__) == (1.0, kind)


@pytest.mark.parametrize("linear", [0.0, 0.3, Diagonal(np.linspace(0, 1, 24))], ids=["none", "shift", "diagonal"])
@pytest.mark.parametrize(("loss", "time_scale"), [("mse", "mean_field"), ("cross_entropy", "autograd")])
def test_noise_is_the_relative_variance_of_the_mean_of_the_gradients(loss, time_scale, linear):
    case = case_of(loss, linear, time_scale, N=6)
    each = [case.problem.batch(np.array([i])).energy_and_gradient(case.theta)[1] for i in range(6)]
    g = case.problem.energy_and_gradient(case.theta)[1]
    np.testing.assert_allclose(np.mean(each, axis=0), g, atol=1e-13)
    variance = np.sum(np.var(each, axis=0, ddof=1)) / 6  # of the mean of 6 draws
    sigma2 = variance / (g @ g)
    mixed = C.Mixture((C.GeneralizedGaussNewton(), C.Fisher("empirical")), C.ByNoise())
    used = mixed.at(case.problem, case.theta).used
    np.testing.assert_allclose([a for a, _ in used], [1 / (1 + sigma2), sigma2 / (1 + sigma2)], rtol=1e-10)
    alone = mixed.at(case.problem.batch(np.array([0])), case.theta).used
    assert [type(part).__name__ for _, part in alone] == ["OuterProducts"]


# -- Runs -----------------------------------------------------------------------------------------------------------

REMEMBERING = {
    "FrequentDirections": C.FrequentDirections(C.GaussNewton(), 3, 0.9),
    "FrequentDirections-all": C.FrequentDirections(C.GaussNewton(), 99),
    "StructuredSecant": C.StructuredSecant(),
    "StructuredSecant-always": C.StructuredSecant(1.0),
    "Switching": C.AdaptiveMixture((C.GaussNewton(), C.GradientSquare()), C.Switching(1e-2, 1.0)),
    "ByAgreement": C.AdaptiveMixture((C.GaussNewton(), C.GradientSquare()), C.ByAgreement()),
    "Hedge": C.AdaptiveMixture((C.GaussNewton(), C.GradientSquare(), C.LowRank(C.GaussNewton(), 2)), C.Hedge(0.5)),
    "root": C.MovingAverage(C.GradientSquare(), 0.5, root=True),
}


def fit(xp, dtype):
    """Return a fit of 4 parameters with a residual that does not vanish, and a start."""
    shift = xp.asarray([1.0, -1.0, 0.5, 3.0], dtype=dtype)
    turn = xp.asarray(np.cos(np.arange(16).reshape(4, 4)) / 2, dtype=dtype)
    problem = gf.DenseLeastSquares(
        lambda t: xp.concat([t**2 - shift, turn @ t]),
        lambda t: xp.concat([2 * t[:, None] * xp.eye(4, dtype=dtype), turn]),
    )
    return problem, xp.asarray([0.5, 1.5, 2.0, 3.0], dtype=dtype)


@pytest.mark.parametrize("globalization", [C.NielsenDamping(), C.TrustRegion()], ids=lambda g: type(g).__name__)
@pytest.mark.parametrize("name", REMEMBERING)
def test_runs_go_downhill_in_the_array_api_standard_and_in_both_dtypes(name, globalization):
    thetas = {}
    for xp, dtype in ((np, "float64"), (strict, "float64"), (np, "float32")):
        problem, theta = fit(xp, getattr(xp, dtype))
        scheme = gf.SecondOrder(curvature=REMEMBERING[name], globalization=globalization)
        state = scheme.init(problem, theta)
        energies = [float(problem.energy(theta))]
        for _ in range(8):
            state = scheme.step(problem, state, 1.0)
            energies.append(float(problem.energy(state.theta)))
            assert all(a.dtype == theta.dtype for a in state.memory)
            assert [a.shape for a in state.memory] == [a.shape for a in scheme.curvature.start(theta)]
        assert np.all(np.diff(energies) <= 1e-6 * energies[0])
        assert energies[-1] < 0.8 * energies[0]
        thetas[xp.__name__, dtype] = np.asarray(state.theta)
    first, second, _ = thetas.values()
    np.testing.assert_allclose(second, first, rtol=1e-7)


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_model_that_is_not_finite_is_a_status(name):
    """The energy is finite and the Jacobian is not: no exception, no warning, and the last finite state."""
    problem = gf.DenseLeastSquares(lambda t: t**2, lambda t: np.diag(2 * t) * float("nan"))
    run = gf.solve(problem, gf.SecondOrder(curvature=REMEMBERING[name]), np.ones(4), steps=3)
    assert run.status is not gf.Status.CONVERGED
    np.testing.assert_array_equal(run.theta, 1.0)


def test_bad_arguments_are_named():
    pair = (C.GaussNewton(), C.GradientSquare())
    for make, words in (
        (lambda: C.FrequentDirections(C.GaussNewton(), 0), "size must"),
        (lambda: C.FrequentDirections(C.GaussNewton(), 2, 1.5), "beta must"),
        (lambda: C.FrequentDirections(C.StructuredSecant(), 2), "with a memory"),
        (lambda: C.KFAC(factored=-1.0), "factored must"),
        (lambda: C.KFAC(corrected=True, factored=1.0), "factored is"),
        (lambda: C.StructuredSecant(1.5), "share must"),
        (
            lambda: C.StructuredSecant().at(gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t), np.ones(2)),
            "least-squares",
        ),
        (lambda: C.Switching(1.0, 0.5), "leave must"),
        (lambda: C.AdaptiveMixture(pair[:1], C.Hedge()), "parts must"),
        (lambda: C.AdaptiveMixture(pair, C.ByGradient(1.0)), "policy must"),
        (lambda: C.AdaptiveMixture((*pair, C.GaussNewton()), C.ByAgreement()), "needs two parts"),
        (lambda: C.Mixture((*pair, C.GaussNewton()), C.ByNoise()), "needs two parts"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
