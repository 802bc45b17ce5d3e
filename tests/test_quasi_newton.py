"""BFGS and L-BFGS: against dense formulas, conjugate gradients, SciPy, and themselves in another inner product."""

import numpy as np
import pytest
from scipy.optimize import minimize

import gradflow as gf
from gradflow.schemes.quasi_newton import bfgs_update, direction_update, memory_update
from more_garbow_hillstrom import PROBLEMS
from smooth_problems import SPLITS, double_well, smooth_problem

C = gf.curvature
EXACT = C.StrongWolfe(c1=1e-9, c2=1e-8)
METHODS = {"LBFGS": gf.LBFGS(), "LBFGS-1": gf.LBFGS(memory=1), "BFGS": gf.BFGS(), "Armijo": gf.LBFGS(search=C.Armijo())}


def quadratic(P=8, *, seed=0, mass=None, condition=1e3):
    """Return E = (theta - c)^T B (theta - c) / 2, its B and c."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((P, P)))[0]
    B, c = Q @ np.diag(np.geomspace(1, condition, P)) @ Q.T, rng.standard_normal(P)
    over = 1.0 if mass is None else mass
    problem = gf.FunctionProblem(lambda t: (t - c) @ B @ (t - c) / 2, lambda t: B @ (t - c) / over, mass=mass)
    return problem, B, c


def trajectory(scheme, problem, theta, n):
    states = [scheme.init(problem, theta)]
    for _ in range(n):
        states.append(scheme.step(problem, states[-1], 1.0))
    return states


# -- Formulas -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("m", [1, 3, 6])
def test_the_two_passes_and_the_matrix_are_the_dense_formula(m, diagonal, dtype):
    """H by (2), and the inverse of B by its own update, to rounding; H is self-adjoint and H y = s."""
    rng, P = np.random.default_rng(m), 6
    root = np.diag(rng.uniform(0.5, 2, P)) if diagonal else rng.standard_normal((P, P)) + 3 * np.eye(P)
    M = root.T @ root
    A = np.linalg.inv(M) @ (lambda G: G @ G.T + np.eye(P))(rng.standard_normal((P, P)))
    inner = lambda u, v: u @ M.astype(dtype) @ v  # noqa: E731
    zeros = np.zeros((m, P), dtype)
    memory = (zeros, zeros, zeros[:, 0], np.ones((), dtype)[()])
    K, fresh = np.linalg.inv(M).astype(dtype), np.ones((), dtype)[()]
    pairs = []
    for _ in range(m + 2):
        s = rng.standard_normal(P)
        y = A @ s
        pairs.append((s, y))
        memory = memory_update(*memory, s.astype(dtype), y.astype(dtype), inner=inner)
        if diagonal:
            K, fresh = bfgs_update(K, fresh, s.astype(dtype), y.astype(dtype), mass=np.diag(M).astype(dtype))

    def formula(H, pairs):
        for s, y in pairs:
            rho = 1 / (s @ M @ y)
            V = np.eye(P) - rho * np.outer(y, s @ M)
            H = np.linalg.inv(M) @ V.T @ M @ H @ V + rho * np.outer(s, s @ M)
        return H

    s, y = pairs[-1]
    kept = formula(np.eye(P) * (s @ M @ y) / (y @ M @ y), pairs[-m:])
    found = -np.array([direction_update(e, *memory, inner=inner) for e in np.eye(P, dtype=dtype)]).T
    tolerance = {"float64": 1e-11, "float32": 2e-3}[dtype] * np.abs(kept).max()
    np.testing.assert_allclose(found, kept, atol=tolerance)
    np.testing.assert_allclose(M @ found, (M @ found).T, atol=10 * tolerance)
    np.testing.assert_allclose(found @ y, s, atol=10 * tolerance * np.abs(y).max())
    assert found.dtype == dtype
    if diagonal:
        s, y = pairs[0]
        H = formula(np.eye(P) * (s @ M @ y) / (y @ M @ y), pairs)
        tolerance = {"float64": 1e-11, "float32": 5e-3}[dtype] * np.abs(H).max()
        np.testing.assert_allclose(K @ M, H, atol=tolerance)
        np.testing.assert_allclose(K, K.T, atol=tolerance)
        B = np.eye(P) * (y @ M @ y) / (s @ M @ y)
        for s, y in pairs:
            B = B - np.outer(B @ s, s @ M @ B) / (s @ M @ B @ s) + np.outer(y, y @ M) / (s @ M @ y)
        np.testing.assert_allclose(K.astype(float) @ M @ B, np.eye(P), atol=tolerance * np.abs(B).max() * P)


@pytest.mark.parametrize("pair", ["orthogonal", "negative", "zero", "overflow", "underflow", "nan"])
def test_a_pair_without_curvature_is_left_out(pair):
    s = np.array([1.0, 2.0])
    y = {
        "orthogonal": np.array([2.0, -1.0]),
        "negative": -s,
        "zero": 0 * s,
        "overflow": 1e200 * s,
        "underflow": 1e-200 * s,
        "nan": np.nan * s,
    }[pair]
    memory = (np.ones((2, 2)), np.ones((2, 2)), np.ones(2), np.float64(3.0))
    with np.errstate(all="ignore"):
        for found, kept in zip(memory_update(*memory, s, y, inner=lambda u, v: u @ v), memory, strict=True):
            np.testing.assert_array_equal(found, kept)
        K, fresh = bfgs_update(np.eye(2), np.float64(1.0), s, y, mass=1.0)
    np.testing.assert_array_equal(K, np.eye(2))
    assert fresh == 1


# -- Laws of a step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", METHODS)
def test_a_step_has_the_decrease_of_its_search_and_keeps_H_positive(name, split, dtype):
    problem, theta = smooth_problem(split, scale=2.0, dtype=dtype)
    scheme, eps = METHODS[name], np.finfo(dtype).eps
    state = scheme.init(problem, theta)
    for _ in range(15):
        new = scheme.step(problem, state, 1.0)
        (E, g), (E_new, g_new) = map(problem.energy_and_gradient, (state.theta, new.theta))
        s, rounding = new.theta - state.theta, 128 * eps * E
        if new.accepted:
            assert problem.inner(g, s) < 0
            assert E - E_new >= -1e-4 * problem.inner(g, s) - rounding
            if name != "Armijo" and E - E_new > 100 * rounding:
                assert abs(problem.inner(g_new, s)) <= 0.9 * abs(problem.inner(g, s)) + rounding
                assert problem.inner(s, g_new - g) > 0
        else:
            assert new.theta is state.theta
        if name == "BFGS":
            assert np.linalg.eigvalsh(new.K)[0] > 0
        else:
            assert np.all(new.rho >= 0)
        state = new
    assert problem.energy(state.theta) < 0.9 * problem.energy(theta)


@pytest.mark.parametrize("name", METHODS)
def test_the_energy_falls_where_it_is_not_convex(name):
    """Pairs may have (s, y) < 0 with a backtracking search: they are left out."""
    problem = double_well(mass=np.array([0.5, 1.0, 2.0]))
    for seed in range(10):
        theta = np.random.default_rng(seed).uniform(-2, 2, 3)
        run = gf.solve(problem, METHODS[name], theta, steps=100, stop=gf.Tolerance(gradient=1e-9))
        assert run.status is gf.Status.CONVERGED
        assert np.all(np.diff(run.history["energy"]) <= 1e-15)
        np.testing.assert_allclose(np.abs(run.theta), 1, atol=1e-7)


# -- Equivalences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_the_method_is_the_same_in_every_inner_product(name):
    """theta in the inner product M and z = M^{1/2} theta in the plain one: the same steps."""
    mass = np.array([0.1, 1.0, 4.0, 9.0])
    problem, theta = smooth_problem("plain", scale=1.5)
    energy, gradient = problem.energy, lambda t: problem.energy_and_gradient(t)[1]
    over = gf.FunctionProblem(energy, lambda t: gradient(t) / mass, mass=mass)
    root = np.sqrt(mass)
    plain = gf.FunctionProblem(lambda z: energy(z / root), lambda z: gradient(z / root) / root)
    one = trajectory(METHODS[name], over, theta, 8)
    other = trajectory(METHODS[name], plain, root * theta, 8)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(root * a.theta, b.theta, rtol=1e-7)
        assert a.evaluations == b.evaluations
        np.testing.assert_allclose(a.size, b.size, rtol=1e-6)


@pytest.mark.parametrize("mass", [None, 3.0, np.geomspace(0.5, 2, 8)], ids=["plain", "number", "diagonal"])
@pytest.mark.parametrize("name", ["LBFGS", "LBFGS-1", "BFGS"])
def test_with_an_exact_search_the_iterates_on_a_quadratic_are_those_of_conjugate_gradients(name, mass):
    problem, B, c = quadratic(condition=30.0, mass=mass)
    over = np.ones(8) if mass is None else mass * np.ones(8)
    scheme = {
        "LBFGS": gf.LBFGS(search=EXACT),
        "LBFGS-1": gf.LBFGS(memory=1, search=EXACT),
        "BFGS": gf.BFGS(search=EXACT),
    }
    states = trajectory(scheme[name], problem, np.zeros(8), 8)
    x, r = np.zeros(8), -B @ c
    p = -r / over
    for state in states[1:]:
        alpha = (r @ (r / over)) / (p @ B @ p)
        x, r_new = x + alpha * p, r + alpha * B @ p
        p, r = -r_new / over + (r_new @ (r_new / over)) / (r @ (r / over)) * p, r_new
        np.testing.assert_allclose(state.theta, x, atol=1e-5)
    np.testing.assert_allclose(states[-1].theta, c, atol=1e-5)  # P steps


def test_bfgs_has_the_inverse_of_the_hessian_after_P_exact_steps():
    problem, B, _ = quadratic(P=5, condition=20.0, mass=2.0)
    state = trajectory(gf.BFGS(search=EXACT), problem, np.zeros(5), 5)[-1]
    np.testing.assert_allclose(state.K @ B, np.eye(5), atol=1e-5)


# -- Convergence --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LBFGS", "BFGS"])
@pytest.mark.parametrize("problem", [n for n in PROBLEMS if n not in ("Chebyquad 1 8", "Watson 12")])
def test_the_published_problems_end_in_a_published_minimum(problem, name):
    """As energies, from the standard starts; with at most three times the evaluations of SciPy, and no higher."""
    published = PROBLEMS[problem]
    energy = gf.DenseLeastSquares(published.residual)
    run = gf.solve(
        energy,
        METHODS[name],
        published.start(),
        steps=600,
        stop=gf.Tolerance(gradient_relative=1e-11),
        record=["energy", "evaluations", "accepted"],
    )
    end = np.sqrt(2 * energy.energy(run.theta))
    assert min(abs(end - least) / max(least, 1e-2) for least in published.minima) < 2e-4, (end, run.message)

    def value(t):
        E, g = energy.energy_and_gradient(t)
        return float(E), np.array(g)

    options = {"gtol": 1e-9} if name == "BFGS" else {"ftol": 1e-14, "gtol": 1e-9, "maxfun": 5000, "maxiter": 5000}
    with np.errstate(all="ignore"):
        other = minimize(
            value, published.start(), jac=True, method={"BFGS": "BFGS", "LBFGS": "L-BFGS-B"}[name], options=options
        )
    assert run.history["energy"][-1] <= other.fun * (1 + 1e-4) + 1e-7
    assert run.history["evaluations"][run.history["accepted"] == 1].sum() <= 3 * other.nfev


def test_convergence_is_superlinear():
    """Rosenbrock's function: the quotients of errors tend to 0, and so do those of Dennis and Moré."""
    hessian = np.array([[802.0, -400.0], [-400.0, 200.0]])
    problem = gf.FunctionProblem(
        lambda t: 100 * (t[1] - t[0] ** 2) ** 2 + (1 - t[0]) ** 2,
        lambda t: np.array([-400 * t[0] * (t[1] - t[0] ** 2) - 2 * (1 - t[0]), 200 * (t[1] - t[0] ** 2)]),
    )
    states = trajectory(gf.BFGS(), problem, np.array([-1.2, 1.0]), 60)
    errors = np.array([np.linalg.norm(state.theta - 1) for state in states])
    near = np.flatnonzero((errors < 1e-2) & (errors > 1e-13))
    quotients = errors[near[1:]] / errors[near[:-1]]
    assert quotients[-1] < 1e-2
    assert np.max(quotients[-2:]) < np.max(quotients[:2])
    last = near[-1]
    s = states[last].theta - states[last - 1].theta
    B = np.linalg.inv(states[last - 1].K)
    assert np.linalg.norm((B - hessian) @ s) < 0.05 * np.linalg.norm(hessian @ s)


def test_a_large_constant_in_the_energy_hides_no_minimum():
    """E = 10^4 + ...: its values have 12 digits, and the gradient falls below 1e-9 nevertheless."""
    _, B, c = quadratic(condition=100.0)
    raised = gf.FunctionProblem(lambda t: 1e4 + (t - c) @ B @ (t - c) / 2, lambda t: B @ (t - c))
    for scheme in (gf.LBFGS(), gf.BFGS(), gf.LBFGS(search=C.Armijo())):
        run = gf.solve(raised, scheme, np.zeros(8), steps=200, stop=gf.Tolerance(gradient=1e-9))
        assert run.status is gf.Status.CONVERGED, run.message


@pytest.mark.parametrize("name", METHODS)
def test_a_run_without_a_tolerance_ends_at_the_minimum(name):
    problem, theta = smooth_problem("energy-part", scale=1.0)
    run = gf.solve(problem, METHODS[name], theta, steps=2000)
    assert run.status is gf.Status.DONE
    assert "stationary" in run.message
    assert run.steps < 300


def test_a_large_network_keeps_a_memory_only():
    net = gf.TwoLayerNet(3, 50, activation="tanh")
    x = np.random.default_rng(0).standard_normal((40, 3))
    problem = gf.Regression(net, x, np.sin(x.sum(1)), time_scale="autograd")
    run = gf.solve(problem, gf.LBFGS(memory=5), net.init(0), steps=100)
    assert run.state.s.shape == run.state.y.shape == (5, net.n_parameters)
    assert run.history["energy"][-1] < 1e-3 * run.history["energy"][0]


def test_a_run_is_continued_from_its_memory(tmp_path):
    problem, theta = smooth_problem("energy-part-and-mass", scale=2.0)
    for scheme in (gf.LBFGS(memory=3), gf.BFGS()):
        file = tmp_path / type(scheme).__name__
        gf.solve(problem, scheme, theta, steps=4, checkpoint=file)
        again = gf.solve(problem, scheme, theta, steps=9, checkpoint=file)
        np.testing.assert_array_equal(again.theta, gf.solve(problem, scheme, theta, steps=9).theta)


def test_bfgs_needs_a_diagonal_inner_product_and_lbfgs_does_not():
    M = np.array([[2.0, 1.0], [1.0, 3.0]])
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: np.linalg.solve(M, t), inner=lambda u, v: u @ M @ v)
    with pytest.raises(ValueError, match="BFGS needs a problem with a diagonal inner product"):
        gf.solve(problem, gf.BFGS(), np.ones(2), steps=1)
    assert np.linalg.norm(gf.solve(problem, gf.LBFGS(), np.ones(2), steps=20).theta) < 1e-10


@pytest.mark.parametrize("method", [gf.LBFGS, gf.BFGS])
@pytest.mark.parametrize("search", [gf.curvature.Armijo(), gf.curvature.StrongWolfe()])
def test_a_step_that_the_search_made_short_is_no_convergence(method, search):
    """The first search starts from a length 1 / |g|: relative to theta = 1e5 that is short, and no sign of a minimum."""
    parabola = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t)
    run = gf.solve(parabola, method(search=search), np.full(2, 1e5), steps=50, stop=gf.Tolerance(step_relative=1e-5))
    assert np.max(np.abs(run.theta)) < 1e-3
