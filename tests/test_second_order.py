"""Second-order methods: subproblems, eigenbases, metrics, globalisation, derivatives of user functions."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator, cg, eigsh

import gradflow as gf
from cases import residual_case
from gradflow.curvature.gauss_newton import GaussNewton
from gradflow.curvature.globalization import Control
from gradflow.curvature.hessian import Hessian
from gradflow.curvature.model import Model, decrease
from gradflow.curvature.spectral import Step, minimise
from gradflow.curvature.subproblem import cubic, damped, trust_region
from smooth_problems import SPLITS, smooth_problem

C = gf.curvature
GLOBALIZATIONS = {
    "fixed": C.FixedDamping(0.1),
    "Marquardt": C.MarquardtDamping(),
    "Nielsen": C.NielsenDamping(),
    "region": C.TrustRegion(radius=0.3),
    "cubic": C.Cubic(weight=3.0),
    "curvature region": C.CurvatureRegion(radius=0.3),
    "linear in a curvature region": C.CurvatureRegion(radius=0.3, objective="linear", damping=0.1),
    "stochastic": C.StochasticTrustRegion(0.3),
}
CURVATURES = {"GaussNewton": GaussNewton(), "Hessian": Hessian()}


# -- Subproblems in the eigenbasis --------------------------------------------------------------------------------


def random_model(rng, kind):
    """Return gamma and mu: any, the hard case, nearly the hard case, semi-definite, a multiple least eigenvalue."""
    K = rng.integers(1, 8)
    mu, gamma = (rng.standard_normal(K) * 10 ** rng.uniform(-3, 3) for _ in range(2))
    least = np.argmin(mu)
    if kind == "hard":
        mu[least] = -abs(mu[least])
        gamma[least] = 0
    elif kind == "nearly hard":
        gamma[least] *= 1e-14
    elif kind == "semi-definite":
        mu = np.where(rng.random(K) < 0.3, 0.0, abs(mu))
    elif kind == "multiple":
        mu = np.minimum(mu, mu[0])
    return gamma, mu, 10 ** rng.uniform(-3, 3)


def model_value(gamma, mu, z):
    return gamma @ z + z @ (mu * z) / 2


@pytest.mark.parametrize("kind", ["any", "hard", "nearly hard", "semi-definite", "multiple"])
def test_the_solutions_of_10_000_subproblems_satisfy_the_conditions_of_optimality(kind):
    rng = np.random.default_rng(0)
    for _ in range(2000):
        gamma, mu, size = random_model(rng, kind)
        scale = np.abs(mu).max() + 1e-300
        z, nu, boundary = trust_region(gamma, mu, size)
        length = np.linalg.norm(z)
        # backward error of (mu + nu) z = -gamma
        assert np.linalg.norm((mu + nu) * z + gamma) <= 1e-10 * (np.linalg.norm(gamma) + (scale + nu) * length)
        assert nu >= 0
        assert np.min(mu) + nu >= -1e-10 * scale
        assert length <= size * (1 + 1e-10)
        assert nu <= 1e-10 * scale or abs(length - size) <= 1e-10 * size
        assert boundary == (nu > 0)
        s, sigma, _ = *cubic(gamma, mu, size)[:2], None
        length = np.linalg.norm(s)
        assert np.linalg.norm((mu + sigma) * s + gamma) <= 1e-10 * (np.linalg.norm(gamma) + (scale + sigma) * length)
        assert abs(sigma - size * length) <= 1e-10 * sigma + 1e-300
        assert np.min(mu) + sigma >= -1e-10 * scale


def test_no_random_point_is_below_the_minimum_of_a_region():
    rng = np.random.default_rng(1)
    for kind in ("any", "hard", "multiple"):
        for _ in range(100):
            gamma, mu, size = random_model(rng, kind)
            z, _, _ = trust_region(gamma, mu, size)
            others = rng.standard_normal((200, len(mu)))
            others *= size * rng.random((200, 1)) / np.linalg.norm(others, axis=1, keepdims=True)
            lowest = min(model_value(gamma, mu, u) for u in others)
            assert model_value(gamma, mu, z) <= lowest + 1e-12 * (abs(lowest) + size * np.abs(gamma).max())


def test_the_published_hard_case():
    """diag(-1, 2, 3), g = (0, 1, 1), radius 5: the minimum is -12.7917 (Conn, Gould & Toint give the conditions)."""
    gamma, mu = np.array([0.0, 1.0, 1.0]), np.array([-1.0, 2.0, 3.0])
    z, nu, boundary = trust_region(gamma, mu, 5.0)
    assert boundary
    assert nu == 1
    np.testing.assert_allclose(z[1:], [-1 / 3, -1 / 4])
    np.testing.assert_allclose(model_value(gamma, mu, z), -12.5 - (1 / 3 + 1 / 4) / 2, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_of_every_size(dtype):
    """Squares that overflow or underflow do not show."""
    largest = {"float64": 1e200, "float32": 1e25}[dtype]
    for size in (largest, 1 / largest):
        gamma, mu = np.array([size, size], dtype), np.array([1.0, 2.0], dtype)
        for radius in (size / 100, 100 * size):
            z = trust_region(gamma, mu, radius)[0]
            assert z.dtype == dtype
            assert np.all(np.isfinite(z))
            assert np.max(np.abs(z)) <= radius * (1 + 1e-6)


def test_damping_leaves_out_what_is_zero_to_rounding():
    gamma, mu = np.array([1.0, 1e-30]), np.array([2.0, 1e-40])
    np.testing.assert_array_equal(damped(gamma, mu, np.float64(0.0), tiny=1e-20).z, [-0.5, 0.0])
    np.testing.assert_allclose(damped(gamma, mu, np.float64(1.0), tiny=1e-20).z, [-1 / 3, -1e-30])


# -- Models and their eigenbases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("curvature", CURVATURES)
def test_a_curvature_is_its_dense_definition(split, curvature):
    problem, theta = smooth_problem(split)
    model = CURVATURES[curvature].at(problem, theta)
    P, mass = theta.shape[0], problem.mass * np.ones(theta.shape[0])
    eye = np.eye(P)
    L = np.array([problem.linear.apply(e) for e in eye]) * mass[:, None]
    J = problem.linearize(theta).jacobian()
    B = J.T @ J + L if curvature == "GaussNewton" else np.array([problem.hvp(theta, e) * mass for e in eye])
    np.testing.assert_allclose(model.matrix(), B, atol=1e-10)
    np.testing.assert_allclose(model.diagonal(), np.diag(B) / mass, atol=1e-10)
    np.testing.assert_array_equal(model.matrix(), model.matrix().T)
    if model.definite:
        assert np.linalg.eigvalsh(model.matrix())[0] > -1e-12
        R, r = model.root()
        np.testing.assert_allclose(R.T @ R, B, atol=1e-12)
        np.testing.assert_allclose(R.T @ r, mass * model.gradient, atol=1e-12)
    np.testing.assert_allclose(model.energy, problem.energy(theta), rtol=1e-14)
    np.testing.assert_allclose(model.gradient, problem.energy_and_gradient(theta)[1], rtol=1e-13)
    # SciPy's operator: G, self-adjoint in the inner product
    G = aslinearoperator(model)
    np.testing.assert_allclose(G @ eye, B / mass[:, None], atol=1e-10)
    np.testing.assert_allclose(G.rmatmat(eye), (B / mass[:, None]).T, atol=1e-10)


def test_scipy_finds_the_eigenvalues_of_a_network():
    net = gf.TwoLayerNet(3, 20, activation="tanh")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 3))
    problem = gf.Regression(net, x, np.sin(x.sum(1)), time_scale="autograd")
    model = Hessian().at(problem, net.init(0))
    found = eigsh(aslinearoperator(model), k=2, which="BE", return_eigenvectors=False, v0=np.ones(net.n_parameters))
    exact = np.linalg.eigvalsh(model.matrix())
    np.testing.assert_allclose(np.sort(found), [exact[0], exact[-1]], rtol=1e-8)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("metric", [C.Identity(), C.CurvatureDiagonal()], ids=["identity", "diagonal"])
@pytest.mark.parametrize("name", GLOBALIZATIONS)
@pytest.mark.parametrize("curvature", CURVATURES)
def test_the_solvers_agree(curvature, name, metric, split):
    """Every eigenbasis gives the same step: singular values, the Gram matrix, the matrix, a Krylov space."""
    problem, theta = smooth_problem(split, N=3 if split == "plain" else 6)
    solvers = ["eigh", "lanczos"] + (["svd"] if curvature == "GaussNewton" else [])
    if curvature == "GaussNewton" and isinstance(metric, C.Identity) and split in ("plain", "mass"):
        solvers.append("gram")
    states = []
    for solver in solvers:
        scheme = gf.SecondOrder(
            curvature=CURVATURES[curvature], metric=metric, globalization=GLOBALIZATIONS[name], solver=solver, tol=1e-13
        )
        states.append(scheme.step(problem, scheme.init(problem, theta), 1.0))
    for state in states[1:]:
        np.testing.assert_allclose(state.theta, states[0].theta, rtol=0, atol=1e-9)
        for field in ("damping", "length", "predicted", "actual", "ratio", "accepted", "boundary"):
            np.testing.assert_allclose(getattr(state, field), getattr(states[0], field), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("dual", [True, False])
def test_a_step_solves_its_equation(dual):
    """(G + nu D) d = -g to 1e-12, by the dense matrices, with more residuals or more parameters."""
    case = residual_case(0, *((8, 5) if dual else (5, 8)), linear="diagonal", mass="diagonal")
    model = GaussNewton().at(case.problem, case.theta)
    weights = C.CurvatureDiagonal().weights(model, C.CurvatureDiagonal().start(case.theta))
    for solver in ("svd", "eigh", "lanczos"):
        step = minimise(model, weights, lambda form: damped(form.gamma, form.mu, np.float64(0.3)), solver, tol=1e-14)
        G = model.matrix() / case.problem.mass[:, None]
        residual = G @ step.d + 0.3 * weights * step.d + model.gradient
        assert np.abs(residual).max() < 1e-12
        np.testing.assert_allclose(step.slope, case.problem.inner(model.gradient, step.d), rtol=1e-10)
        np.testing.assert_allclose(step.bend, case.problem.inner(step.d, G @ step.d), rtol=1e-10)
        np.testing.assert_allclose(step.length**2, case.problem.inner(step.d, weights * step.d), rtol=1e-10)


def test_the_normal_equations_are_not_formed():
    """Läuchli's matrix with eps = 1e-9: J^T J is singular in float64, and J is not."""
    eps = 1e-9
    J = np.vstack([np.ones(3), eps * np.eye(3)])
    problem = gf.DenseLeastSquares(lambda t: J @ t - J @ np.array([1.0, 2.0, 3.0]), lambda t: J)
    end = gf.solve(problem, gf.GaussNewton(), np.zeros(3), steps=3).theta
    np.testing.assert_allclose(end, [1, 2, 3], atol=1e-5)


# -- The step ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [C.Identity(), C.CurvatureDiagonal(), C.CurvatureDiagonal(running=False)])
@pytest.mark.parametrize("name", [n for n in GLOBALIZATIONS if n != "fixed"])
@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("dt", [1.0, 0.5, 1.9])
def test_an_accepted_step_has_a_share_of_the_predicted_decrease(curvature, name, metric, dt):
    problem, theta = smooth_problem("energy-part-and-mass", scale=2.0)
    globalization = GLOBALIZATIONS[name]
    scheme = gf.SecondOrder(curvature=CURVATURES[curvature], metric=metric, globalization=globalization)
    state, rejected = scheme.init(problem, theta), 0
    for _ in range(40):
        new = scheme.step(problem, state, dt)
        drop = problem.energy(state.theta) - problem.energy(new.theta)
        if new.accepted:
            rounding = 64 * np.finfo(float).eps * problem.energy(state.theta)
            assert drop >= globalization.accept * new.predicted - rounding
            assert new.predicted >= 0
            np.testing.assert_allclose(drop, new.actual, atol=rounding)
        else:
            rejected += 1
            assert new.theta is state.theta
            assert new.control.size != state.control.size or np.abs(new.length) < 1e-14
        state = new
    assert problem.energy(state.theta) < 0.9 * problem.energy(theta)


@pytest.mark.parametrize("linear", ["none", "shift", "diagonal"])
@pytest.mark.parametrize("mass", ["euclidean", "mean_field", "diagonal"])
def test_damped_gauss_newton_is_restarted_ieq(linear, mass):
    case = residual_case(3, 5, 7, linear=linear, mass=mass)
    for dt in (0.1, 10.0):
        one = gf.solve(case.problem, gf.GaussNewton(damping=1 / dt), case.theta, steps=4).theta
        other = gf.solve(case.problem, gf.Restart(gf.IEQ()), case.theta, dt=dt, steps=4).theta
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_the_diagonal_of_the_curvature_makes_a_method_invariant_to_scales():
    """theta_i -> c_i theta_i: with Marquardt's or Moré's metric the iterates are the same, with the identity they are not."""
    case = residual_case(1, 4, 9)
    scales = np.array([0.1, 1.0, 10.0, 100.0])
    scaled = gf.DenseLeastSquares(
        lambda t: np.sin(case.J @ (scales * t)) - case.b,
        lambda t: np.cos(case.J @ (scales * t))[:, None] * case.J * scales,
    )
    for metric, same in (
        (C.CurvatureDiagonal(), True),
        (C.CurvatureDiagonal(running=False), True),
        (C.Identity(), False),
    ):
        method = gf.LevenbergMarquardt(metric=metric, globalization=C.NielsenDamping())
        one = gf.solve(case.problem, method, case.theta, steps=6).theta
        other = scales * gf.solve(scaled, method, case.theta / scales, steps=6).theta
        assert np.allclose(one, other, rtol=1e-8) is same


def test_a_gauss_newton_step_solves_an_affine_problem():
    case = residual_case(0, 4, 9)
    affine = gf.DenseLeastSquares(lambda t: case.J @ t - case.b, lambda t: case.J)
    end = gf.solve(affine, gf.GaussNewton(), case.theta, steps=1).theta
    np.testing.assert_allclose(end, np.linalg.lstsq(case.J, case.b)[0], rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_network_with_dead_units_and_more_parameters_than_samples(activation):
    """Directions that the loss does not feel are left alone: ReLU units that are dead, and P - N more."""
    net = gf.TwoLayerNet(2, 8, activation=activation)
    rng = np.random.default_rng(0)
    x = rng.random((6, 2))
    problem = gf.Regression(net, x, np.sin(3 * x.sum(1)))
    theta = net.init(0)
    W, _ = net.unpack(theta)
    W[:, :2] = -1.0  # dead on positive inputs
    for method in (
        gf.LevenbergMarquardt(),
        gf.GaussNewton(damping=1e-3),
        gf.LevenbergMarquardt(solver="gram", metric=C.Identity()),
    ):
        run = gf.solve(problem, method, theta, steps=60)
        assert np.all(np.isfinite(run.theta))
        assert run.history["energy"][-1] < 0.1 * run.history["energy"][0]
        if activation == "relu":
            np.testing.assert_allclose(net.unpack(run.theta)[0][:, :2], -1.0, atol=1e-8)


def test_a_mini_batch_run_has_the_numbers_of_its_batches():
    net = gf.TwoLayerNet(3, 10, activation="tanh")
    x = np.random.default_rng(0).standard_normal((40, 3))
    problem = gf.Regression(net, x, np.sin(x.sum(1)))
    run = gf.solve(
        problem, gf.LevenbergMarquardt(), net.init(0), epochs=6, batch_size=20, seed=0, record=["energy", "ratio"]
    )
    assert run.history["energy"][-1] < 0.1 * run.history["energy"][0]
    assert np.all(np.isfinite(run.history["ratio"]))


# -- What a run says ----------------------------------------------------------------------------------------------


def test_rejected_trials_are_counted_and_are_no_standstill():
    """From a point where the model is wrong many trials are rejected in a row; the run goes on."""
    problem = gf.DenseLeastSquares(lambda t: np.arctan(t), lambda t: np.diag(1 / (1 + t**2)))
    method = gf.LevenbergMarquardt(globalization=C.MarquardtDamping(start_relative=1e-15, factor=2.0))
    run = gf.solve(
        problem,
        method,
        np.array([50.0]),
        steps=200,
        stop=gf.Tolerance(step=1e-12),
        record=["energy", "accepted"],
        every=1,
    )
    assert run.status is gf.Status.CONVERGED
    assert run.rejected == np.sum(run.history["accepted"][1:] == 0) >= 10
    assert abs(run.theta[0]) < 1e-10


def test_a_short_step_is_no_convergence_if_the_method_made_it_short():
    case = residual_case(0, 3, 6)
    stop = gf.Tolerance(step=1e-3)
    region = gf.LevenbergMarquardt(globalization=C.TrustRegion(radius=1e-6), metric=C.Identity())
    damping = gf.LevenbergMarquardt(globalization=C.NielsenDamping(start_relative=1e6))
    for method in (region, damping):
        run = gf.solve(case.problem, method, case.theta, steps=200, stop=stop)
        assert run.status is gf.Status.CONVERGED
        assert np.linalg.norm(case.problem.energy_and_gradient(run.theta)[1]) < 1e-2
    fixed = gf.solve(case.problem, gf.GaussNewton(damping=1e6), case.theta, steps=5, stop=stop)
    assert fixed.status is gf.Status.DONE  # each step is short, and none of them because of the minimum


def test_a_run_from_a_minimum_is_done():
    problem = gf.DenseLeastSquares(lambda t: t, lambda t: np.eye(2))
    for method in (
        gf.LevenbergMarquardt(),
        gf.GaussNewton(),
        gf.LevenbergMarquardt(metric=C.Identity()),
    ):
        run = gf.solve(problem, method, np.zeros(2), steps=30)
        assert run.status is gf.Status.DONE
        assert np.all(run.theta == 0)


def test_the_step_size_may_be_left_out_only_where_there_is_a_usual_one():
    problem, theta = smooth_problem()
    assert gf.solve(problem, gf.GaussNewton(), theta, steps=2).history["time"][-1] == 2
    with pytest.raises(ValueError, match="dt must be given: SAV has no usual step size"):
        gf.solve(problem, gf.SAV(), theta, steps=2)


def test_the_decrease_of_a_sum_of_squares_keeps_its_digits():
    """f = (1 + x^2) / 2 near 0: E(x) - E(0) is x^2 / 2 to full precision, where 1 + x^2 is 1."""
    problem = gf.DenseLeastSquares(lambda t: np.array([1.0, t[0]]), lambda t: np.array([[0.0], [1.0]]))
    old, new = (GaussNewton().at(problem, np.array([x])) for x in (1e-9, 5e-10))
    assert old.energy == new.energy
    np.testing.assert_allclose(decrease(old, new), (1e-18 - 0.25e-18) / 2, rtol=1e-14)


# -- Derivatives of user functions --------------------------------------------------------------------------------

RESIDUALS = {
    "analytic": (lambda t: np.array([np.exp(t[0]) * t[1], t[0] ** 3, np.sin(t[1])]), "complex step"),
    "absolute value": (
        lambda t: np.array([np.abs(t[0]) * t[1], t[0] + 0j if np.iscomplexobj(t) else t[0]]),
        "differences",
    ),
    "real part": (lambda t: np.array([np.real(t[0]), t[1] ** 2]), "differences"),
    "conjugate": (lambda t: np.array([np.conj(t[0]) * t[1], t[1] ** 2]), "differences"),
    "cast": (lambda t: np.asarray(t, dtype=float) ** 2, "differences"),
    "math": (lambda t: np.array([float(t[0]) ** 2, float(t[1])]), "differences"),
    "stiff": (lambda t: np.array([np.exp(100 * t[0]), t[1]]), "complex step"),
}


@pytest.mark.parametrize("name", RESIDUALS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_complex_step_is_taken_where_the_residual_is_analytic(name, dtype):
    residual, wanted = RESIDUALS[name]
    typed = lambda t: residual(t).astype(np.result_type(t.dtype, np.float32))  # noqa: E731
    theta = np.array([0.3, -0.7], dtype)
    problem = gf.DenseLeastSquares(typed)
    J = problem.linearize(theta).jacobian()
    assert J.dtype == dtype
    if name != "stiff" or dtype == "float64":
        assert problem.derivative == wanted
    h = 1e-6
    shift = h * np.eye(2)
    exact = np.stack(
        [(residual(theta.astype(float) + e) - residual(theta.astype(float) - e)) / (2 * h) for e in shift], 1
    )
    rtol = {"float64": 1e-6, "float32": 1e-2}[dtype]
    np.testing.assert_allclose(J, exact, rtol=rtol, atol=rtol * np.abs(exact).max())
    assert gf.check_derivatives(problem, theta)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_wrong_entry_of_a_jacobian_or_gradient_is_found(size):
    case = residual_case(0, 4, 6)
    J = lambda t: np.cos(case.J @ t / size)[:, None] * case.J / size  # noqa: E731
    wrong = lambda t: J(t) + 1e-4 / size * (np.arange(24).reshape(6, 4) == 13)  # noqa: E731
    theta = case.theta * size
    right, broken = (gf.DenseLeastSquares(lambda t: np.sin(case.J @ t / size), f) for f in (J, wrong))
    assert gf.check_derivatives(right, theta)
    found = gf.check_derivatives(broken, theta)
    assert not found
    assert found.worst == (3, 1)
    for mass in (None, 3.0, np.array([1.0, 2.0, 3.0])):
        over = 1.0 if mass is None else mass
        good = gf.FunctionProblem(lambda t: np.sum(t**4) / 4, lambda t: t**3 / over, mass=mass)  # noqa: B023
        bad = gf.FunctionProblem(lambda t: np.sum(t**4) / 4, lambda t: t**3 / over + [0, 1e-3, 0], mass=mass)  # noqa: B023
        assert gf.check_derivatives(good, np.array([1.0, 2.0, -1.0]))
        assert gf.check_derivatives(bad, np.array([1.0, 2.0, -1.0])).worst == (1,)


class OwnResidual:
    """A problem of least squares with an own linearisation; `wrong` names the part that has an error."""

    def __init__(self, case, mass, wrong):
        self.case, self.mass, self.wrong, self.linear = case, mass, wrong, 0.5

    def off(self, part, value):
        return value * (1 + 1e-4 * (self.wrong == part))

    def inner(self, u, v):
        return np.sum(self.mass * u * v)

    def energy(self, theta):
        return np.sum(np.sin(self.case.J @ theta) ** 2) / 2 + self.linear * self.inner(theta, theta) / 2

    def energy_and_gradient(self, theta):
        at = self.linearize(theta)
        g = at.jacobian().T @ at.residual / self.mass + self.linear * theta
        return self.energy(theta), self.off("gradient", g)

    def linearize(self, theta):
        J, off = np.cos(self.case.J @ theta)[:, None] * self.case.J, self.off

        class At:
            residual = np.sin(self.case.J @ theta)
            jvp = staticmethod(lambda d: off("jvp", J @ d))
            vjp = staticmethod(lambda u: off("vjp", J.T @ u / self.mass))
            gram = staticmethod(lambda: off("gram", (J / self.mass) @ J.T))
            jacobian = staticmethod(lambda: off("jacobian", J))

        return At


@pytest.mark.parametrize("part", [None, "jacobian", "gradient", "jvp", "vjp", "gram", "mass"])
@pytest.mark.parametrize("size", [1.0, 1e9])
def test_an_own_linearisation_is_compared_with_itself(part, size):
    case = residual_case(0, 4, 6)
    problem = OwnResidual(case, size * np.array([1.0, 2.0, 3.0, 4.0]), part)
    if part == "mass":
        own, problem.mass = problem.mass.copy(), problem.mass
        problem.inner = lambda u, v: np.sum(own * u * v)
        problem.linear = 0.0
        problem.mass = 1.001 * own
        problem.energy_and_gradient = lambda t: (problem.energy(t), problem.linearize(t).jacobian().T @ problem.linearize(t).residual / own)  # fmt: skip
        problem.linearize = lambda t: OwnResidual(case, own, None).linearize(t)
    found = gf.check_derivatives(problem, case.theta)
    assert bool(found) == (part is None), found
    if part is not None:
        assert found.error > 100 * found.tolerance
        assert found.quantity == part


def test_small_entries_beside_large_ones_are_compared():
    """Rows of very different size: an error in a small one counts by what that row is."""
    scales = np.array([1e8, 1.0, 1e-8])
    right = lambda t: scales[:, None] * np.cos(t)[None, :] * np.arange(1, 4)[:, None]  # noqa: E731
    residual = lambda t: scales * np.sum(np.sin(t)) * np.arange(1, 4)  # noqa: E731
    theta = np.array([0.3, -0.6])
    assert gf.check_derivatives(gf.DenseLeastSquares(residual, right), theta)
    for row in range(3):
        wrong = lambda t, row=row: right(t) * (1 + 1e-5 * (np.arange(3) == row))[:, None]  # noqa: E731
        found = gf.check_derivatives(gf.DenseLeastSquares(residual, wrong), theta)
        assert not found
        assert found.worst[0] == row


@pytest.mark.parametrize(
    ("dtype", "small", "size"),
    [
        ("float64", 0.1, 1.0),
        ("float64", 1e-05, 1.0),
        ("float64", 1e-10, 1.0),
        ("float64", 0.1, 100000.0),
        ("float64", 1e-05, 100000.0),
        ("float32", 0.1, 1.0),
    ],
)
def test_a_column_that_is_not_analytic_does_not_hide_behind_a_larger_one(dtype, small, size):
    """``|t_1|`` has the complex step 0: the fit must not stay where it began, however little the parameter counts there."""
    x = np.linspace(1, 5, 20).astype(dtype)
    truth = np.array([2, 3 * size], dtype)
    problem = gf.DenseLeastSquares(lambda t: truth.dtype.type(size) * (t[0] - truth[0]) * x + np.abs(t[1]) - truth[1])
    tolerance = gf.Tolerance(step_relative=1e-9 if dtype == "float64" else 1e-4)
    run = gf.solve(problem, gf.LevenbergMarquardt(), np.array([1, small], dtype), steps=100, stop=tolerance)
    np.testing.assert_allclose(run.theta, truth, rtol=1e-6 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize("small", [1e-1, 1e-4])
def test_a_column_of_which_the_complex_step_has_half_is_found(small):
    x = np.linspace(1, 5, 20)
    problem = gf.DenseLeastSquares(lambda t: (t[0] - 2) * x + t[1] * np.abs(t[1]) - 3)
    J = problem.linearize(np.array([1, small])).jacobian()
    assert problem.derivative == "differences"
    np.testing.assert_allclose(J[:, 1], 2 * small, rtol=1e-5)


@pytest.mark.parametrize("base", [0.0, 1e4, 1e7])
@pytest.mark.parametrize("analytic", [True, False])
def test_rounding_errors_of_a_residual_are_those_of_the_model(base, analytic):
    """A model that is nearly equal to its data is rounded as the model is; b, close to 0, has a short step at first."""
    x = np.linspace(1, 5, 20)
    y = base + 2 * x + 0.01 * np.random.default_rng(1).standard_normal(20)
    part = (lambda t: t) if analytic else np.real
    problem = gf.DenseLeastSquares(lambda t: (base + part(t[0]) * x + part(t[1])) - y)
    theta, *_ = np.linalg.lstsq(np.stack([x, np.ones(20)], 1), y - base, rcond=None)
    J = problem.linearize(theta).jacobian()
    assert problem.derivative == ("complex step" if analytic else "differences")
    np.testing.assert_allclose(
        J, np.stack([x, np.ones(20)], 1), rtol=1e-14 if analytic else 1e-6 if base == 0 else 1e-3
    )


@pytest.mark.parametrize("near", [0.0, 1e-16, 1e-12, 1e-8, 1e-4])
def test_a_wrong_column_of_a_parameter_near_zero_is_found(near):
    x = np.linspace(1, 2, 6)
    columns = np.stack([x, np.ones(6)], axis=1)
    theta = np.array([1.0, near])
    for wrong in (0.0, 1.0, 1.001, 7.0):
        J = columns * [1, wrong]
        problem = gf.DenseLeastSquares(lambda t: t[0] * x + t[1] - 3, lambda t, J=J: J)
        found = gf.check_derivatives(problem, theta)
        assert bool(found) == (wrong == 1)
        assert wrong == 1 or found.worst[1] == 1


@pytest.mark.parametrize("mass", [1.0, 3.0, np.array([1.0, 20.0, 3.0, 0.5])])
def test_a_model_is_an_operator_of_numpy_and_scipy(mass):
    case = residual_case(0, 4, 9)
    problem = gf.DenseLeastSquares(lambda t: case.J @ t - 1, lambda t: case.J, mass=mass)
    model = GaussNewton().at(problem, case.theta)
    G = (case.J.T @ case.J) / np.reshape(np.ones(4) * mass, (-1, 1))
    v = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_allclose(model @ v, G @ v, rtol=1e-13)
    np.testing.assert_allclose(model @ v[:, 0], G @ v[:, 0], rtol=1e-13)
    np.testing.assert_allclose(aslinearoperator(model).rmatvec(v[:, 0]), G.T @ v[:, 0], rtol=1e-12)
    A = model.symmetric()
    np.testing.assert_allclose(A @ np.eye(4), (A @ np.eye(4)).T, rtol=1e-12, atol=1e-14)
    found = eigsh(A, k=2, which="BE", return_eigenvectors=False, v0=np.ones(4))
    np.testing.assert_allclose(np.sort(found), np.sort(np.linalg.eigvals(G).real)[[0, -1]], rtol=1e-10)
    d, info = cg(A, -np.sqrt(mass) * model.gradient, rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(G @ (d / np.sqrt(mass)), -model.gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("mass", [None, np.array([1.0, 20.0, 3.0])])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_wrong_hvp_is_found(mass, size):
    """A wrong sign, a wrong factor in one entry, and a matrix that is not self-adjoint in the inner product."""
    over = np.ones(3) if mass is None else mass
    theta = np.array([1.0, -2.0, 0.5]) * size
    energy, gradient = lambda t: np.sum(t**4) / 4 + t[0] * t[1], lambda t: (t**3 + np.array([t[1], t[0], 0])) / over

    def hvp(t, v):
        return (3 * t**2 * v + np.array([v[1], v[0], 0])) / over

    def problem(hvp):
        return gf.FunctionProblem(energy, gradient, hvp=hvp, mass=mass)

    assert gf.check_derivatives(problem(hvp), theta)
    for wrong in (
        lambda t, v: -hvp(t, v),
        lambda t, v: hvp(t, v) * [1, 1, 1.001],
        lambda t, v: hvp(t, v) + v[::-1] * [0, 0, t[2] ** 2],
    ):
        found = gf.check_derivatives(problem(wrong), theta)
        assert not found
        assert found.quantity == "hvp"
    squares = gf.DenseLeastSquares(lambda t: t**2, hvp=lambda t, v: 5 * t**2 * v)
    assert gf.check_derivatives(squares, theta).quantity == "hvp"
    assert gf.check_derivatives(gf.DenseLeastSquares(lambda t: t**2, hvp=lambda t, v: 6 * t**2 * v), theta)


@pytest.mark.parametrize("base", [0.0, 100.0, 300.0, 1e5])
@pytest.mark.parametrize("metric", [C.CurvatureDiagonal(), C.Identity()])
def test_fits_end_in_few_trials_however_large_the_data_are(base, metric):
    """The residual is rounded as the data are: trials that are rejected for it are no reason to shrink the region for ever."""
    x = np.linspace(1, 5, 20)
    for seed in range(20):
        y = base + 2 * np.exp(-0.7 * x) + 0.01 * np.random.default_rng(seed).standard_normal(20)
        problem = gf.DenseLeastSquares(
            lambda t: base + t[0] * np.exp(-t[1] * x) - y,  # noqa: B023
            lambda t: np.stack([np.exp(-t[1] * x), -t[0] * x * np.exp(-t[1] * x)], axis=1),
        )
        stop = gf.Tolerance(step_relative=1e-9)
        run = gf.solve(problem, gf.LevenbergMarquardt(metric=metric), np.array([1.0, 1.0]), steps=100, stop=stop)
        assert run.status is gf.Status.CONVERGED
        assert run.steps <= 20
        free = gf.solve(problem, gf.LevenbergMarquardt(metric=metric), np.array([1.0, 1.0]), steps=100)
        assert free.status is gf.Status.DONE, free.message


def test_a_large_parameter_does_not_hide_a_small_one():
    """An offset of 1e5 and a rate of 3e-7, which do not interact: the step is measured in the metric of the method."""
    x, rng = np.linspace(0, 1, 40), np.random.default_rng(0)
    offset, decay = 1e5 + 0.5 * rng.standard_normal(40), np.exp(-3 * x) + 0.01 * rng.standard_normal(40)
    problem = gf.DenseLeastSquares(lambda p: np.concatenate([p[0] - offset, 100 * (np.exp(-p[1] * 1e7 * x) - decay)]))
    rates = []
    for start in ([1.1e5, 1e-7], [9e4, 1e-6], [1e5, 6e-7]):
        run = gf.solve(
            problem, gf.LevenbergMarquardt(), np.array(start), steps=300, stop=gf.Tolerance(step_relative=1e-9)
        )
        assert run.status is gf.Status.CONVERGED
        rates.append(run.theta[1])
        error = run.covariance().standard_errors[1]
    assert np.ptp(rates) < 1e-3 * error
    plain = gf.solve(problem, gf.GaussNewton(), run.theta, steps=3)  # with D = I both lengths are those of M
    assert plain.theta[1] == pytest.approx(run.theta[1], abs=1e-3 * error)


def test_a_run_of_rejected_trials_is_not_at_rest(tmp_path):
    """A first radius that is far too long: the budget ends before a trial is accepted, and the run can be continued."""
    problem = gf.FunctionProblem(
        lambda t: np.sqrt(1 + t @ t),
        lambda t: t / np.sqrt(1 + t @ t),
        hvp=lambda t, v: v / np.sqrt(1 + t @ t) - t * (t @ v) / (1 + t @ t) ** 1.5,
    )
    method, start, file = gf.TrustRegion(radius=1e4), np.array([5.0, 0.0]), tmp_path / "run"
    short = gf.solve(problem, method, start, steps=2, checkpoint=file)
    assert (short.status, short.rejected) == (gf.Status.DONE, 2)
    assert np.all(short.theta == start)
    longer = gf.solve(problem, method, start, steps=20, checkpoint=file)
    whole = gf.solve(problem, method, start, steps=20)
    assert np.array_equal(longer.theta, whole.theta)
    assert np.max(np.abs(whole.theta)) < 1e-8


@pytest.mark.parametrize("near", [0.0, 5e-324, 1e-320, 1e-310, 1e-290, 1e-200])
@pytest.mark.parametrize("analytic", [True, False])
def test_differences_end_where_a_parameter_is_as_good_as_zero(near, analytic):
    part = (lambda t: t) if analytic else np.real
    problem = gf.DenseLeastSquares(lambda t: np.array([part(t[0]) - 1, 3 * part(t[1]), part(t[0]) * part(t[1])]))
    J = problem.linearize(np.array([1.0, near])).jacobian()
    np.testing.assert_allclose(J, [[1, 0], [0, 3], [near, 1]], rtol=1e-6, atol=1e-6 if not analytic else 1e-300)
    assert gf.check_derivatives(problem, np.array([1.0, near]))
    v = np.array([0.0, max(near, 1e-320)])
    assert np.all(np.isfinite(problem.hvp(np.array([1.0, near]), v)))


@pytest.mark.parametrize("frequency", [1.0, 1e3, 1e5, 1e8])
def test_differences_that_do_not_settle_overrule_no_complex_step(frequency):
    problem = gf.DenseLeastSquares(lambda t: np.sin(frequency * t))
    theta = np.array([1.0, 2.0])
    J = problem.linearize(theta).jacobian()
    np.testing.assert_allclose(np.diag(J), frequency * np.cos(frequency * theta), rtol=1e-7)


@pytest.mark.parametrize("rows", [1, 20])
def test_a_right_jacobian_of_cancelling_terms_passes(rows):
    """Days counted from 4713 BC: q is rounded as they are. At such points binary fractions would show no rounding."""
    rng = np.random.default_rng(0)
    for theta in (*rng.uniform(0.1, 3, (40, 2)), np.array([1.0, 1.0]), np.array([0.5, 2.0]), np.array([2.0, 1.0])):
        w = rng.uniform(1, 2, rows)
        problem = gf.DenseLeastSquares(
            lambda t: ((2451545 + w * t[0]) - 2451545) * t[1] - 1,  # noqa: B023
            lambda t: np.stack([w * t[1], w * t[0]], axis=1),  # noqa: B023
        )
        assert gf.check_derivatives(problem, theta)


def test_a_derivative_that_vanishes_is_no_error():
    for n in (2, 3, 5):
        problem = gf.FunctionProblem(lambda t: np.sum(t**n), lambda t: n * t ** (n - 1))  # noqa: B023
        assert gf.check_derivatives(problem, np.zeros(2))
        assert gf.check_derivatives(problem, np.array([1.0, 0.0, -1e-9]))


def test_a_covariance_needs_its_problem(tmp_path):
    case = residual_case(0, 3, 9)
    run = gf.solve(case.problem, gf.LevenbergMarquardt(), case.theta, steps=30)
    loaded = gf.Solution.load(run.save(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"covariance\(problem=...\)"):
        loaded.covariance()
    again = loaded.covariance(problem=case.problem)
    np.testing.assert_array_equal(again.matrix, run.covariance().matrix)
    assert "standard error" in run.summary()
    assert "calls" in run.summary()
    assert "calls" not in loaded.summary()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200, -1e300])
@pytest.mark.parametrize("kind", ["jacobian", "hvp", "gradient"])
def test_derivatives_that_are_not_finite_end_a_run_with_a_status(kind, value):
    """At the start, or from a point on: no exception from inside a library, and theta stays finite."""
    at = lambda t: value if t[0] < 0.5 else 1.0  # noqa: E731
    if kind == "jacobian":
        problem, curvature = gf.DenseLeastSquares(lambda t: 1.0 * t, lambda t: at(t) * np.eye(2)), GaussNewton()
    else:
        gradient, hvp = (at, lambda t: 1.0) if kind == "gradient" else (lambda t: 1.0, at)
        problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: gradient(t) * t, hvp=lambda t, v: hvp(t) * v)
        curvature = Hessian()
    for solver in ("svd", "gram", "eigh", "lanczos") if kind == "jacobian" else ("eigh", "lanczos"):
        for globalization in GLOBALIZATIONS.values():
            scheme = gf.SecondOrder(curvature=curvature, globalization=globalization, solver=solver)
            for start in ([0.1, 0.2], [1.0, 1.0]):
                run = gf.solve(problem, scheme, np.array(start), steps=20)
                assert np.all(np.isfinite(run.theta))
                assert run.status is not gf.Status.CONVERGED
                assert run.status is gf.Status.NONFINITE or np.isfinite(at(run.theta))


def test_subproblems_of_extreme_numbers_raise_nothing():
    rng = np.random.default_rng(0)
    numbers = [0, 1, -1, 1e-300, -1e-300, 1e300, -1e300, 1e-160, 1e160, 5e-324, 1e-8, -3.0]
    for _ in range(3000):
        gamma, mu = (rng.choice(numbers, 1 + rng.integers(4)) for _ in range(2))
        K = min(len(gamma), len(mu))
        size = float(rng.choice([1e-300, 1e-160, 1e-8, 1, 1e8, 1e160, 1e300]))
        z, nu, _ = trust_region(gamma[:K], mu[:K], size)
        assert np.max(np.abs(z)) <= size * (1 + 1e-9)
        assert np.isfinite(nu)
        cubic(gamma[:K], mu[:K], size)  # its minimum may be outside of the range of numbers


def test_a_trial_evaluates_the_residual_once():
    """The energy of the default record is that of the model that the step hands on, to the bit."""
    case = residual_case(0, 4, 9, linear="diagonal", mass="diagonal")
    for stop in (None, gf.Tolerance(step_relative=1e-300)):
        calls = {}
        for steps in (5, 9):
            problem = residual_case(0, 4, 9, linear="diagonal", mass="diagonal").problem
            run = gf.solve(problem, gf.LevenbergMarquardt(), case.theta, steps=steps, stop=stop)
            calls[steps] = problem.calls["residual"]
            assert run.history["energy"][-1] == problem.energy(run.theta)
        assert calls[9] - calls[5] == 4


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_diagonal_of_a_network_needs_no_jacobian(activation, k, dtype):
    net = gf.TwoLayerNet(3, 7, k, activation=activation)
    x = np.random.default_rng(0).standard_normal((9, 3)).astype(dtype)
    problem = gf.Regression(net, x, np.ones((9, k), dtype), weight_decay=0.1)
    model = GaussNewton().at(problem, net.init(0, dtype=dtype))
    dense = np.sum(model.at.jacobian() ** 2, axis=0) / problem.mass + 0.1
    np.testing.assert_allclose(model.diagonal(), dense, rtol=20 * np.finfo(dtype).eps)
    assert model.diagonal().dtype == dtype


# -- Faults that were found by trying ------------------------------------------------------------------------------


def test_every_jacobian_is_tested_for_being_analytic():
    """A residual that is analytic where a run begins, and not where it passes: J is not the zero that Im says."""
    x = np.linspace(0, 1, 8)
    y = 3 * np.exp(-2 * x)

    def residual(t):
        k = t[1] if t[1] > 0.5 else abs(t[1])
        return t[0] * np.exp(-k * x) - y

    problem = gf.DenseLeastSquares(residual)
    run = gf.solve(problem, gf.LevenbergMarquardt(), np.array([1.0, 5.0]), steps=50, stop=gf.Tolerance(gradient=1e-8))
    assert run.status is gf.Status.CONVERGED
    np.testing.assert_allclose(np.abs(run.theta), [3, 2], rtol=1e-6)


def test_a_row_that_is_not_analytic_does_not_hide_behind_a_larger_one():
    problem = gf.DenseLeastSquares(lambda t: np.array([1e6 * (t[0] - 1), abs(t[1] - 3)]))
    np.testing.assert_allclose(problem.linearize(np.array([2.0, 1.0])).jacobian(), [[1e6, 0], [0, -1]], rtol=1e-8)
    assert problem.derivative == "differences"


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1.0, 1e9])
@pytest.mark.parametrize("analytic", [True, False])
def test_parameters_may_have_any_units(unit, analytic):
    """A lifetime fit with times in seconds or nanoseconds: the same Jacobian, and the same check of it."""
    x = np.linspace(0, 20 * unit, 40)
    part = (lambda t: t) if analytic else np.real

    def residual(t):
        return t[0] * np.exp(-x / part(t[1])) - np.cos(x / unit)

    theta = np.array([1e4, 4 * unit])
    J = np.stack([np.exp(-x / theta[1]), theta[0] * np.exp(-x / theta[1]) * x / theta[1] ** 2], axis=1)
    problem = gf.DenseLeastSquares(residual)
    found = problem.linearize(theta).jacobian()
    assert problem.derivative == ("complex step" if analytic else "differences")
    np.testing.assert_allclose(found * theta, J * theta, rtol=1e-6, atol=1e-6 * 1e4)
    right, wrong = gf.DenseLeastSquares(residual, lambda t: J), gf.DenseLeastSquares(residual, lambda t: J * [1, 1.001])
    assert gf.check_derivatives(right, theta)
    assert not gf.check_derivatives(wrong, theta)


@pytest.mark.parametrize("solver", ["svd", "eigh", "gram", "lanczos", "steihaug"])
@pytest.mark.parametrize("size", [1e7, 1e-12, 1e-13])
def test_a_step_of_length_zero_is_no_convergence_where_squares_leave_the_range(solver, size):
    """float32: (p, G p) overflows, or g.g underflows, for ordinary residuals; the run reaches the minimum or says it did not."""
    f = np.float32
    problem = gf.DenseLeastSquares(
        lambda t: f(size) * (t - np.array([1, 2], f)), lambda t: f(size) * np.eye(2, dtype=f)
    )
    for globalization in (C.TrustRegion(), C.Cubic(), C.NielsenDamping()):
        if solver == "steihaug" and not isinstance(globalization, C.TrustRegion):
            continue
        method = gf.SecondOrder(curvature=GaussNewton(), globalization=globalization, solver=solver)
        run = gf.solve(problem, method, np.full(2, 5, f), steps=40, stop=gf.Tolerance(step=1e-6))
        near = np.allclose(run.theta, [1, 2], rtol=1e-4)
        assert near or run.status in (gf.Status.STAGNATED, gf.Status.DONE, gf.Status.NONFINITE)
        if isinstance(globalization, C.TrustRegion):
            assert near


class Reusing:
    """A problem of one's own that returns the same arrays again and again."""

    def __init__(self):
        self.E, self.g, self.Hv = np.zeros(()), np.zeros(2), np.zeros(2)
        self.H = np.array([[3.0, 1.0], [1.0, 2.0]])

    def inner(self, u, v):
        return u @ v

    mass = 1.0

    def energy(self, theta):
        self.E[...] = theta @ self.H @ theta / 2
        return self.E

    def energy_and_gradient(self, theta):
        self.g[:] = self.H @ theta
        return self.energy(theta), self.g

    def hvp(self, theta, v):
        self.Hv[:] = self.H @ v
        return self.Hv


@pytest.mark.parametrize(
    "method", [gf.Newton(), gf.TrustRegion(), gf.CubicRegularization(), gf.NewtonCG(), gf.LBFGS(), gf.BFGS()]
)
def test_a_problem_may_reuse_every_array_that_it_returns(method):
    fresh = gf.FunctionProblem(
        lambda t: t @ Reusing().H @ t / 2, lambda t: Reusing().H @ t, hvp=lambda t, v: Reusing().H @ v
    )
    start, stop = np.array([1.0, -2.0]), gf.Tolerance(energy=1e-12)
    own = gf.solve(Reusing(), method, start, steps=20, stop=stop)
    wanted = gf.solve(fresh, method, start, steps=20, stop=stop)
    assert (own.status, own.steps) == (wanted.status, wanted.steps)
    np.testing.assert_allclose(own.theta, wanted.theta, atol=1e-12)


def test_the_metric_of_ones_own_keeps_its_array():
    """An array that a metric returns is copied: it is not made read-only in the hands of its owner."""

    class Own:
        def __init__(self):
            self.w = np.ones(2)

        def start(self, theta):
            return self.w

        def weights(self, model, before):
            self.w += 1
            return self.w

    problem = gf.DenseLeastSquares(lambda t: np.sin(t) - 0.3, lambda t: np.diag(np.cos(t)))
    run = gf.solve(problem, gf.LevenbergMarquardt(metric=Own()), np.array([1.0, 0.2]), steps=6)
    np.testing.assert_allclose(np.sin(run.theta), 0.3, atol=1e-6)


def test_a_huge_dt_is_a_status():
    problem = gf.DenseLeastSquares(lambda t: t, lambda t: np.eye(2))
    run = gf.solve(problem, gf.GaussNewton(), np.ones(2), dt=1e200, steps=2)
    assert np.all(np.isfinite(run.theta))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_covariance_of_numbers_that_are_not_finite_is_refused(value):
    problem = gf.DenseLeastSquares(lambda t: np.ones(5) * t[0], lambda t: np.full((5, 1), value))
    with pytest.raises(ValueError, match="finite residual and Jacobian"):
        gf.solve(problem, gf.GradientDescent(), np.ones(1), dt=0.1, steps=0).covariance()


def test_a_flat_point_of_an_infinite_energy_is_no_minimum():
    for value in (np.nan, np.inf, -np.inf):
        problem = gf.FunctionProblem(lambda t: value, lambda t: 0 * t, hvp=lambda t, v: v)  # noqa: B023
        assert gf.stationarity(problem, np.ones(2)).kind == "not finite"


def test_a_curvature_of_ones_own_that_lacks_its_product_says_which():
    class Own:
        def at(self, problem, theta):
            return Model(problem, theta)

    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t)
    with pytest.raises(NotImplementedError, match="Model must define apply"):
        gf.solve(problem, gf.SecondOrder(curvature=Own()), np.ones(2), steps=1)


def test_the_solutions_of_subproblems_have_the_signs_of_their_closed_forms():
    """One dimension: the multiplier and z of a region and of a cubic term, for curvatures of both signs."""
    for mu, gamma in ((2.0, 4.0), (-2.0, 4.0), (0.0, -4.0)):
        z, nu, _ = trust_region(np.array([gamma]), np.array([mu]), 0.5)
        np.testing.assert_allclose([z[0], nu], [-np.sign(gamma) / 2, 8.0 - mu], rtol=1e-12)
        z, nu, _ = cubic(np.array([gamma]), np.array([mu]), 3.0)
        length = (-mu + np.sqrt(mu**2 + 12 * abs(gamma))) / 6  # 3 s^2 + mu s = |gamma|
        np.testing.assert_allclose([z[0], nu], [-np.sign(gamma) * length, 3 * length], rtol=1e-12)


CONTROLS = [  # globalisation, control before, ratio, boundary, control after: the table of the module in numbers
    (C.FixedDamping(3.0), (3.0, 1.0), -1.0, False, (3.0, 1.0)),
    (C.MarquardtDamping(factor=10.0), (2.0, 1.0), 0.5, False, (0.2, 1.0)),
    (C.MarquardtDamping(factor=10.0), (2.0, 1.0), 0.0, False, (20.0, 1.0)),
    (C.NielsenDamping(), (2.0, 8.0), 0.5, False, (2.0, 2.0)),
    (C.NielsenDamping(), (2.0, 8.0), 1.0, False, (2 / 3, 2.0)),
    (C.NielsenDamping(), (2.0, 8.0), 5.0, False, (2 / 3, 2.0)),
    (C.NielsenDamping(), (2.0, 8.0), 0.25, False, (2.25, 2.0)),
    (C.NielsenDamping(), (2.0, 8.0), 0.75, False, (1.75, 2.0)),
    (C.NielsenDamping(), (2.0, 8.0), -1.0, False, (16.0, 16.0)),
    (C.TrustRegion(), (2.0, 1.0), 0.8, True, (4.0, 1.0)),
    (C.TrustRegion(), (2.0, 1.0), 0.8, False, (2.0, 1.0)),
    (C.TrustRegion(), (2.0, 1.0), 0.7, True, (2.0, 1.0)),
    (C.TrustRegion(), (2.0, 1.0), 0.2, True, (0.375, 1.0)),
    (C.TrustRegion(), (2.0, 1.0), 0.25, True, (2.0, 1.0)),
    (C.TrustRegion(most=3.0), (2.0, 1.0), 0.8, True, (3.0, 1.0)),
    (C.Cubic(), (2.0, 1.0), 0.95, False, (1.0, 1.0)),
    (C.Cubic(), (2.0, 1.0), 0.5, False, (2.0, 1.0)),
    (C.Cubic(), (2.0, 1.0), 0.05, False, (4.0, 1.0)),
]


@pytest.mark.parametrize("case", CONTROLS, ids=lambda case: f"{type(case[0]).__name__}-{case[2]}-{case[3]}")
def test_the_control_after_a_trial_is_that_of_the_table(case):
    globalization, before, ratio, boundary, after = case
    step = Step(np.zeros(1), np.float64(0), np.float64(1.5), *(np.float64(0),) * 3, boundary, False, 0)
    found = globalization.after(Control(*map(np.float64, before)), step, np.float64(ratio))
    np.testing.assert_allclose(found, after, rtol=1e-14)


class OwnMetric:
    """A metric whose diagonal is what it is given."""

    def __init__(self, diagonal):
        self.diagonal = diagonal

    def start(self, theta):
        return 0 * theta

    def weights(self, model, before):
        return self.diagonal


class OwnDamping(C.NielsenDamping):
    """A damping that keeps a number of Python, where an array is wanted."""

    def after(self, control, step, ratio):
        return 1.0


@pytest.mark.parametrize("diagonal", [None, 2.0, np.ones(3), np.zeros(2), -np.ones(2), np.ones(2, np.float32), "D"])
def test_an_own_metric_is_checked(diagonal):
    problem = gf.DenseLeastSquares(lambda t: t - 1, lambda t: np.eye(2))
    with pytest.raises(ValueError, match=r"metric\.weights"):
        gf.solve(problem, gf.SecondOrder(metric=OwnMetric(diagonal)), np.zeros(2), steps=2)


def test_an_own_curvature_and_globalization_are_checked():
    problem = gf.DenseLeastSquares(lambda t: t - 1, lambda t: np.eye(2))
    own = type("Own", (), {"at": lambda self, problem, theta: np.eye(2)})()
    with pytest.raises(ValueError, match=r"curvature\.at must return"):
        gf.solve(problem, gf.SecondOrder(curvature=own), np.zeros(2), steps=2)
    with pytest.raises(ValueError, match=r"globalization\.after must return a Control"):
        gf.solve(problem, gf.SecondOrder(globalization=OwnDamping()), np.zeros(2), steps=2)


@pytest.mark.parametrize(
    ("part", "value"), [("vjp", np.ones(3)), ("vjp", np.ones((2, 1))), ("residual", [1.0, 2.0]), ("mass", np.ones(3))]
)
def test_shapes_of_an_own_linearisation_are_checked(part, value):
    problem = OwnResidual(residual_case(0, 2, 6), np.ones(2), None)
    right = problem.linearize

    def linearize(theta):
        at = right(theta)
        setattr(at, part, staticmethod(lambda u: value) if part == "vjp" else value)
        return at

    if part == "mass":
        problem.mass, problem.linear = value, 0.0
        problem.inner = lambda u, v: np.sum(u * v)
    else:
        problem.linearize = linearize
    with pytest.raises(ValueError, match=part):
        gf.solve(problem, gf.SecondOrder(solver="lanczos"), np.zeros(2) + 0.1, steps=2)
