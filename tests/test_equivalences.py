"""Schemes that are each other in disguise, to round-off, and the limits that tie them to classical methods."""

from fractions import Fraction

import numpy as np
import pytest

from cases import LINEAR_PARTS, MASSES, affine_case, residual_case
from gradflow import ByGainRatio, Regression, Status, TwoLayerNet, solve
from gradflow.curvature import GaussNewton, Identity, NielsenDamping, damped_step, lapack
from gradflow.curvature.damped_step import choose_solver
from gradflow.energies.dense import DenseLeastSquares, DenseLinearization
from gradflow.energies.function import FunctionProblem
from gradflow.energies.linear import Diagonal, Shift, Zero
from gradflow.schemes import (
    IEQ,
    MSAV,
    SAV,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    ImplicitEuler,
    Restart,
    SecondOrder,
    SourceSAV,
)
from gradflow.schemes.exp_sav import EXP_SAV_FORMS

SIZES = [(3, 8), (8, 3), (20, 7), (7, 20), (1, 1), (1, 5), (5, 1)]
DTS = [1e-8, 1e-3, 1.0, 1e3]
MATRIX_SOLVERS = ("gram", "parameter", "cg", "auto")


def theta_path(scheme, problem, theta, dt, n=5):
    state = scheme.init(problem, theta)
    out = []
    for _ in range(n):
        state = scheme.step(problem, state, dt)
        out.append(state.theta)
    return np.array(out)


@pytest.mark.parametrize("solver", MATRIX_SOLVERS)
@pytest.mark.parametrize(("P", "N"), SIZES)
def test_restarted_ieq_is_levenberg_marquardt(P, N, solver):
    """One step is (J^T J + mu I) d = -J^T q with mu = 1/dt, solved here as a stacked least-squares problem by QR."""
    for dt in DTS:
        case = residual_case(P + 100 * N, P, N)
        at = case.problem.linearize(case.theta)
        J, q = at.jacobian(), at.residual
        stacked = np.vstack([J, np.eye(P) / np.sqrt(dt)])
        d, *_ = np.linalg.lstsq(stacked, -np.concatenate([q, np.zeros(P)]))
        scheme = Restart(IEQ(solver=solver, tol=1e-15))
        new = scheme.step(case.problem, scheme.init(case.problem, case.theta), dt)
        np.testing.assert_allclose(new.theta, case.theta + d, rtol=0, atol=1e-12 * (1 + np.abs(d).max()))


@pytest.mark.parametrize("solver", MATRIX_SOLVERS)
def test_with_weight_decay_it_is_levenberg_marquardt_on_the_extended_residual(solver):
    P, N, dt, wd, lam = 9, 5, 0.7, 1.5, 2.0
    case = residual_case(3, P, N, linear="shift")
    at = case.problem.linearize(case.theta)
    J, q = at.jacobian(), at.residual
    lhs = J.T @ J + (1 / dt + lam + wd) * np.eye(P)
    d = np.linalg.solve(lhs, -(J.T @ q + wd * case.theta))
    scheme = Restart(IEQ(stabilization=lam, solver=solver, tol=1e-15))
    new = scheme.step(case.problem, scheme.init(case.problem, case.theta), dt)
    np.testing.assert_allclose(new.theta, case.theta + d, atol=1e-12)


@pytest.mark.parametrize("solver", ["gram", "parameter", "cg"])
@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("linear", LINEAR_PARTS)
def test_the_three_solvers_agree_with_a_dense_solve(solver, mass, linear):
    case = residual_case(11, 12, 9, linear=linear, mass=mass)
    at, dt = case.problem.linearize(case.theta), 0.8
    A = case.problem.linear
    rng = np.random.default_rng(0)
    q, h, J = rng.standard_normal(9), rng.standard_normal(12), at.jacobian()
    adjoint = J.T / np.reshape(case.problem.mass * np.ones(12), (-1, 1))
    shifted = np.eye(12) + dt * np.stack([A.apply(e) for e in np.eye(12)], axis=1)
    expected = np.linalg.solve(shifted / dt + adjoint @ J, -(adjoint @ q + h))
    d, J_d = damped_step(at, q, h, A, dt, mass=case.problem.mass, n_parameters=12, solver=solver, tol=1e-15)
    np.testing.assert_allclose(d, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(J_d, J @ expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dt", [1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize(("P", "N"), [(20, 30), (5, 40), (30, 20)])
def test_conjugate_gradients_with_their_own_tolerance_at_large_steps(P, N, dt):
    """The residual's 2-norm may grow by the root of the condition number on the way: this must not end the iteration."""
    case = residual_case(P + N, P, N)
    at = case.problem.linearize(case.theta)
    d, _ = damped_step(at, at.residual, None, Zero(), dt, mass=1.0, n_parameters=P, solver="cg")
    stacked = np.vstack([at.jacobian(), np.eye(P) / np.sqrt(dt)])
    wanted, *_ = np.linalg.lstsq(stacked, -np.concatenate([at.residual, np.zeros(P)]))
    assert np.linalg.norm(d - wanted) <= 1e-5 * np.linalg.norm(wanted)


def test_the_choice_of_solver():
    assert choose_solver(64, 42_000, closed_form=True) == "gram"
    assert choose_solver(100, 10, closed_form=True) == "parameter"
    assert choose_solver(100, 10, closed_form=False, diagonal=False) == "cg"
    assert choose_solver(10, 100, closed_form=False, diagonal=False) == "cg"
    assert choose_solver(10, 100, closed_form=False) == "gram"
    assert choose_solver(8000, 5000, closed_form=True) == "cg"
    assert choose_solver(2000, 42_000, closed_form=False) == "cg"
    assert choose_solver(2000, 42_000, closed_form=True) == "gram"


@pytest.mark.parametrize(
    ("A", "mass", "explicit"),
    [
        (Zero(), 1.0, True),
        (Shift(0.5), 1.0, True),
        (Diagonal(np.linspace(0, 1, 3)), 1.0, True),
        (Diagonal(np.linspace(0, 1, 3)), np.ones(3), True),
        (Shift(0.5), None, False),  # an inner product that is not known to be diagonal
    ],
)
def test_few_parameters_are_solved_for_on_their_side(A, mass, explicit):
    """From the explicit Jacobian, for every A that is diagonal in the inner product; the step is that of every solver."""
    case, asked = residual_case(3, 3, 9), []

    class Counted(DenseLinearization):
        def jacobian(self):
            asked.append(1)
            return super().jacobian()

    J = case.problem.linearize(case.theta).jacobian()
    at = Counted(case.problem.linearize(case.theta).residual, J)
    arguments = (at, at.residual, None, A, 0.7)
    auto = damped_step(*arguments, mass=mass, n_parameters=3).d
    assert bool(asked) is explicit
    np.testing.assert_allclose(auto, damped_step(*arguments, mass=mass, n_parameters=3, solver="cg").d, atol=1e-10)


class Logged:
    """A controller that writes down its verdicts."""

    def __init__(self, controller):
        self.controller, self.verdicts = controller, []

    def init(self):
        return self.controller.init()

    def propose(self, control, n):
        return self.controller.propose(control, n)

    def judge(self, control, attempt):
        verdict = self.controller.judge(control, attempt)
        self.verdicts.append(verdict.accepted)
        return verdict


def rosenbrock():
    residual = lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]])  # noqa: E731
    return DenseLeastSquares(residual, lambda t: np.array([[-20 * t[0], 10.0], [-1.0, 0.0]])), np.array([-1.2, 1.0])


def network():
    """A fit in which steps of small ratio are accepted, after which lambda grows."""
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    net = TwoLayerNet(n_inputs=2, width=30, activation="tanh")
    return Regression(net, x, np.sin(3 * x[:, 0]) * x[:, 1]), net.init(0)


GAINS = {
    "network": (network, 8),
    "rosenbrock": (rosenbrock, 15),
    **{
        f"{linear}-{mass}": (lambda m=mass, k=linear: residual_case(0, 5, 9, mass=m, linear=k, scale=4.0)[:2], 8)
        for linear in LINEAR_PARTS
        for mass in MASSES
    },
}


@pytest.mark.parametrize("accept", [0.0, 0.3])
@pytest.mark.parametrize("name", GAINS)
def test_restarted_ieq_by_its_gain_ratio_is_the_damped_levenberg_marquardt_method(name, accept):
    """The accepted iterates, and the trials rejected between them, of Nielsen's method with the first lambda = 1/dt."""
    (problem, theta), steps = GAINS[name][0](), GAINS[name][1]
    damping = NielsenDamping(start_relative=1e-5, accept=accept)
    method = SecondOrder(curvature=GaussNewton(), metric=Identity(), globalization=damping)
    trials, start = [], method.step(problem, method.init(problem, theta), 1.0)
    keep = lambda n, state: trials.append((bool(state.accepted), state.theta)) or sum(a for a, _ in trials) == steps  # noqa: E731
    solve(problem, method, theta, steps=200, callback=keep)
    control = Logged(ByGainRatio(dt_init=1 / float(start.size), accept=accept))
    path = []
    solve(problem, Restart(IEQ()), theta, dt=control, steps=steps, callback=lambda n, state: path.append(state.theta))
    assert control.verdicts == [accepted for accepted, _ in trials]
    wanted = [moved for accepted, moved in trials if accepted]
    assert len(path) == len(wanted) == steps
    assert not all(control.verdicts)
    np.testing.assert_allclose(path, wanted, rtol=0, atol=1e-8 * (1 + np.abs(theta).max()))
    energies = [problem.energy(at) for at in (theta, *path)]
    assert np.all(np.diff(energies) <= 0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_in_mini_batches_it_is_that_method_with_each_batch_tried_until_it_is_accepted(seed):
    """The damping goes from batch to batch; a rejected trial is repeated on its batch, by the energy of that batch."""
    problem, theta = network()
    tried = []

    class Kept(Logged):
        def judge(self, control, attempt):
            verdict = super().judge(control, attempt)
            tried.append((attempt.problem, verdict.accepted, attempt.new.theta))
            return verdict

    how = {"epochs": 4, "batch_size": 12, "seed": seed}
    solve(problem, Restart(IEQ()), theta, dt=Kept(ByGainRatio(dt_init=1.0)), **how)
    damping = NielsenDamping(start_relative=1e-5)
    method = SecondOrder(curvature=GaussNewton(), metric=Identity(), globalization=damping)
    state = method.init(problem, theta)
    first = float(method.step(tried[0][0], state, 1.0).size)
    tried.clear()
    run = solve(problem, Restart(IEQ()), theta, dt=Kept(ByGainRatio(dt_init=1 / first)), **how)
    assert run.rejected > 0
    assert run.steps == 20
    for batch, accepted, moved in tried:
        state = method.step(batch, state, 1.0)
        assert bool(state.accepted) == accepted
        if accepted:
            np.testing.assert_allclose(state.theta, moved, rtol=0, atol=1e-8 * (1 + np.abs(theta).max()))
    np.testing.assert_allclose(run.theta, state.theta, rtol=0, atol=1e-8 * (1 + np.abs(theta).max()))


def test_a_linear_part_of_your_own_acts_along_the_last_axis():
    class Dense:
        scalar = None

        def __init__(self, K):
            self.K = K

        def apply(self, u):
            return u @ self.K

        def solve_shifted(self, u, dt):
            return np.linalg.solve(np.eye(len(self.K)) + dt * self.K, u.T).T

    rng = np.random.default_rng(0)
    B = rng.standard_normal((6, 6))
    case, L, dt = residual_case(0, 6, 8), Dense(B @ B.T), 0.7
    at = case.problem.linearize(case.theta)
    J, q, h = at.jacobian(), at.residual, L.apply(case.theta)
    wanted = np.linalg.solve(np.eye(6) / dt + L.K + J.T @ J, -(J.T @ q + h))
    for solver in ("gram", "cg"):
        d, J_d = damped_step(at, q, h, L, dt, mass=1.0, n_parameters=6, solver=solver)
        np.testing.assert_allclose(d, wanted, atol=1e-11)
        np.testing.assert_allclose(J_d, J @ wanted, atol=1e-11)
    with pytest.raises(ValueError, match="diagonal linear part"):
        damped_step(at, q, h, L, dt, mass=1.0, n_parameters=6, solver="parameter")
    with pytest.raises(ValueError, match="solver must be one of auto, gram, parameter, cg; got 'bogus'"):
        damped_step(at, q, h, L, dt, mass=1.0, n_parameters=6, solver="bogus")


class Pool:
    """A BLAS library as threadpoolctl shows it."""

    def __init__(self, filepath, told):
        self.filepath, self.threads, self.told = filepath, 4, told

    def get_num_threads(self):
        return self.threads

    def set_num_threads(self, n):
        self.told.append((self.filepath, n))
        self.threads = n


NUMPYS, SCIPYS = "/site-packages/numpy.libs/libopenblas.so", "/site-packages/scipy.libs/libopenblas.so"


@pytest.mark.parametrize(
    ("libraries", "held"),
    [
        ([NUMPYS, SCIPYS], [SCIPYS]),
        ([SCIPYS, NUMPYS, "/usr/lib/libblis.so"], [SCIPYS]),
        (["/opt/lib/libmkl_rt.so"], []),
        ([SCIPYS], []),  # the only one: NumPy's, too
        ([NUMPYS, "/usr/lib/libopenblas.so"], []),
        ([], []),
    ],
)
@pytest.mark.parametrize("definite", [True, False])
def test_a_cholesky_solve_holds_the_pool_that_scipy_brought_at_one_thread(libraries, held, definite, monkeypatch):
    """For the duration of the call: whatever becomes of it, the pool gets its threads back; NumPy's pool is left alone."""
    told = []
    pools = [Pool(path, told) for path in libraries]

    class Controller:
        lib_controllers = pools

        def select(self, *, user_api):
            assert user_api == "blas"
            return self

    monkeypatch.setattr("threadpoolctl.ThreadpoolController", Controller)
    lapack._separate_pools.cache_clear()
    try:
        M = np.diag([4.0, 1.0 if definite else -1.0])
        x = lapack.cholesky_solve(M, np.array([8.0, 3.0]))
    finally:
        lapack._separate_pools.cache_clear()
    calls = 2 if definite else 1  # the factor, and the solution with it
    assert told == [(path, n) for n in (1, 4) for path in held] * calls
    assert [pool.threads for pool in pools] == [4] * len(pools)
    if definite:
        np.testing.assert_array_equal(x, [2.0, 3.0])
    else:
        assert x is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["gram", "parameter", "cg"])
def test_semidefinite_and_hopeless_systems_do_not_give_nan(solver, dtype):
    """Duplicated residuals, zero rows, scales from 1e-6 to 1e6 and dt = 1e8: the energy still falls, nothing is NaN."""
    rng = np.random.default_rng(0)
    J = np.repeat(rng.standard_normal((6, 4)), 3, axis=0) * np.repeat(10.0 ** np.arange(-6, 12, 3), 3)[:, None]
    J[4] = 0
    J = J.astype(dtype)
    q0 = rng.standard_normal(18).astype(dtype)
    problem = DenseLeastSquares(lambda t: q0 + J @ t, lambda t: J)
    scheme = IEQ(solver=solver)
    state = scheme.init(problem, np.zeros(4, dtype=dtype))
    for dt in (1e-8, 1.0, 1e8):
        with np.errstate(over="ignore", invalid="ignore"):  # conjugate gradients in float32 run into it, and stop
            new = scheme.step(problem, state, dt)
        assert np.all(np.isfinite(new.theta))
        assert np.all(np.isfinite(new.aux))
        assert new.aux @ new.aux <= state.aux @ state.aux * (1 + 8 * np.finfo(dtype).eps)


class Given:
    """A linearisation with a Gram matrix of one's own; J is the identity."""

    def __init__(self, K, q):
        self.K, self.residual = K, q

    def gram(self):
        return self.K

    def jvp(self, d):
        return d

    def vjp(self, u):
        return u


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_negative_eigenvalue_can_only_be_rounding(dtype):
    """Beside 1e20, -1e3 stands for 0: the Cholesky factorisation fails, the eigenvalue decomposition does not."""
    K, q = np.diag([1e20, -1e3]).astype(dtype), np.array([2.0, 3.0], dtype=dtype)
    d, J_d = damped_step(Given(K, q), q, None, Zero(), 1.0, mass=1.0, n_parameters=2, solver="gram")
    np.testing.assert_allclose(d, [-2e-20, -3.0], rtol=1e-6, atol=1e-19)
    assert J_d.dtype == dtype
    d, _ = damped_step(Given(K + dtype(np.nan), q), q, None, Zero(), 1.0, mass=1.0, n_parameters=2, solver="gram")
    assert np.all(np.isnan(d))  # handed on, for `solve` to report


def test_small_steps_are_gradient_descent_and_large_ones_gauss_newton():
    case = residual_case(4, 6, 10)
    at = case.problem.linearize(case.theta)
    J, q = at.jacobian(), at.residual
    scheme = Restart(IEQ())
    state = scheme.init(case.problem, case.theta)
    small = scheme.step(case.problem, state, 1e-7).theta - case.theta
    np.testing.assert_allclose(small / 1e-7, -J.T @ q, rtol=1e-4)
    large = scheme.step(case.problem, state, 1e9).theta - case.theta
    np.testing.assert_allclose(large, -np.linalg.lstsq(J, q)[0], rtol=1e-6)


@pytest.mark.parametrize("linear", ["none", "shift", "diagonal"])
def test_for_affine_residuals_ieq_vanilla_restarted_and_implicit_euler_agree(linear):
    case = affine_case(5, 6, 4, linear=linear)
    with_hvp = FunctionProblem(
        case.problem.nonlinear_energy,
        lambda t: case.problem.nonlinear_energy_and_gradient(t)[1],
        hvp=lambda t, v: case.J.T @ (case.J @ v),
        linear=case.problem.linear,
    )
    for dt in (0.01, 1.0, 100.0):
        vanilla = theta_path(IEQ(), case.problem, case.theta, dt)
        np.testing.assert_allclose(theta_path(Restart(IEQ()), case.problem, case.theta, dt), vanilla, atol=1e-11)
        np.testing.assert_allclose(theta_path(ImplicitEuler(), with_hvp, case.theta, dt), vanilla, atol=1e-6)


@pytest.mark.parametrize("mass", MASSES)
def test_one_residual_makes_ieq_the_scalar_auxiliary_variable_method(mass):
    """q = sqrt(2 (E + C)) with C = 0: the same steps as SAV."""
    case = residual_case(6, 7, 1, mass=mass)
    for dt in (1e-3, 1.0, 1e3):
        a = theta_path(IEQ(), case.problem, case.theta, dt)
        b = theta_path(SAV(C=0.0), case.problem, case.theta, dt)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_source_sav_is_restarted_sav_whatever_r_is():
    case = residual_case(7, 8, 5)
    scheme = SourceSAV(C=2.0, stabilization=0.5)
    a = scheme.init(case.problem, case.theta)
    b = a._replace(aux=a.aux * 1e-3)
    reference = theta_path(Restart(SAV(C=2.0, stabilization=0.5)), case.problem, case.theta, 0.4)
    for n in range(5):
        a, b = scheme.step(case.problem, a, 0.4), scheme.step(case.problem, b, 0.4)
        np.testing.assert_allclose(a.theta, reference[n], rtol=1e-13)
        assert np.array_equal(a.theta, b.theta)


def test_adaptive_ieq_is_restarted_sav_with_half_eps():
    case = residual_case(8, 8, 5)
    a = theta_path(AdaptiveIEQ(eps=0.3), case.problem, case.theta, 0.4)
    b = theta_path(Restart(SAV(C=0.15)), case.problem, case.theta, 0.4)
    np.testing.assert_allclose(a, b, rtol=1e-13)


def test_elementwise_sav_is_aegd():
    """Against the published iteration: v = g / (2 sqrt(F + c)), r <- r / (1 + 2 eta v^2), theta <- theta - 2 eta r v."""
    case = residual_case(9, 8, 5)
    theta, eta, c = case.theta.copy(), 0.3, 1.0
    r = np.full(8, np.sqrt(case.problem.energy(theta) + c))
    path = theta_path(ElementwiseSAV(C=c), case.problem, case.theta, eta, n=10)
    for n in range(10):
        F, g = case.problem.energy_and_gradient(theta)
        v = g / (2 * np.sqrt(F + c))
        r = r / (1 + 2 * eta * v**2)
        theta = theta - 2 * eta * r * v
        np.testing.assert_allclose(path[n], theta, rtol=1e-12)


def test_element_wise_in_one_dimension_is_scalar():
    case = residual_case(10, 1, 5)
    a = theta_path(ElementwiseSAV(C=1.0, stabilization=0.5), case.problem, case.theta, 0.7)
    np.testing.assert_allclose(a, theta_path(SAV(C=1.0, stabilization=0.5), case.problem, case.theta, 0.7), rtol=1e-13)


def test_exponential_sav_with_a_large_scale_is_gradient_descent_and_implicit_form_ignores_r():
    case = residual_case(11, 8, 5)
    descent = theta_path(GradientDescent(), case.problem, case.theta, 0.01)
    for form in ("implicit", "explicit"):
        np.testing.assert_allclose(
            theta_path(ExpSAV(form=form, scale=1e12), case.problem, case.theta, 0.01), descent, rtol=1e-9
        )
    a = theta_path(ExpSAV(C=1.0), case.problem, case.theta, 0.5)
    assert np.array_equal(a, theta_path(ExpSAV(C=1e5), case.problem, case.theta, 0.5))


@pytest.mark.parametrize("form", ["implicit", "explicit", "section_2.2.4", "theorem_2.2"])
@pytest.mark.parametrize("E", [1e3, 1e300])
def test_exponential_sav_of_huge_energies(form, E):
    """exp(E) overflows at 710; an energy of 1e300 is just another number here."""
    problem = FunctionProblem(lambda t: E + t @ t / 2, lambda t: t)
    scheme = ExpSAV(form=form)
    state = scheme.step(problem, scheme.init(problem, np.array([1.0, -2.0])), 0.1)
    assert np.all(np.isfinite(state.theta))
    assert np.isfinite(state.aux)
    if form == "theorem_2.2":
        assert np.array_equal(state.theta, [1.0, -2.0])  # frozen: the step is dt exp(-E)
    else:
        assert np.all(np.abs(state.theta) < [1.0, 2.0])


def test_restarted_sav_without_constant_is_implicit_euler_on_a_parabola():
    k, dt = 3.0, 0.7
    problem = FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t)
    path = theta_path(Restart(SAV(C=0.0)), problem, np.array([1.3]), dt)
    np.testing.assert_allclose(path[:, 0], 1.3 / (1 + dt * k) ** np.arange(1, 6), rtol=1e-14)


def test_true_energy_may_rise_exact_counterexamples():
    """SAV: E = theta^2/2, theta = 1, C = 100, dt = 10 gives -1799/211. IEQ: q = theta^2 - 1, theta = 1/10, dt = 100: 203/50."""
    problem = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    new = SAV(C=100.0).step(problem, SAV(C=100.0).init(problem, np.array([1.0])), 10.0)
    assert new.theta[0] == pytest.approx(float(Fraction(-1799, 211)), rel=1e-14)
    square = DenseLeastSquares(lambda t: t**2 - 1, lambda t: 2 * t[:, None])
    scheme = Restart(IEQ())
    new = scheme.step(square, scheme.init(square, np.array([0.1])), 100.0)
    assert new.theta[0] == pytest.approx(float(Fraction(203, 50)), rel=1e-13)
    assert square.energy(new.theta) > 200 * square.energy(np.array([0.1]))
    assert scheme.modified_energy(square, new) < square.energy(np.array([0.1]))


def test_weight_decay_moves_the_minimum_and_stabilization_does_not():
    J, y, wd = np.array([[2.0]]), np.array([3.0]), 0.5
    for linear, minimum in ((wd, 2 * 3 / (4 + wd)), (0.0, 1.5)):
        problem = DenseLeastSquares(lambda t: J @ t - y, lambda t: J, linear=linear)
        for scheme in (
            Restart(SAV(stabilization=3.0)),
            IEQ(stabilization=3.0),
            GradientDescent(stabilization=3.0),
        ):
            assert theta_path(scheme, problem, np.array([0.0]), 0.1, n=600)[-1, 0] == pytest.approx(minimum, rel=1e-8)


SMOOTH = {
    "SAV": lambda S: SAV(C=0.5, stabilization=S),
    "SourceSAV": lambda S: SourceSAV(C=0.5, stabilization=S),
    "ExpSAV": lambda S: ExpSAV(form="explicit", scale=3.0, stabilization=S),
    "MSAV": lambda S: MSAV(parts=3, C=0.5, stabilization=S),
    "IEQ": lambda S: IEQ(stabilization=S),
}
"""Schemes whose restarted step satisfies E_new - E = -D - 2 N + T, T the Taylor remainder of F."""


def smooth_case(seed, mass):
    """Return a residual problem and K, a Lipschitz constant of its gradient in its inner product.

    F is a sum of functions of z = J theta with second derivatives cos(2 z) + b sin(z), at most 1 + |b|.
    """
    case = residual_case(seed, 4, 6, mass=mass)
    K = np.max(1 + np.abs(case.b)) * np.linalg.eigvalsh(case.J @ (case.J / case.problem.mass).T)[-1]
    return case, float(K)


@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("name", SMOOTH)
def test_half_the_lipschitz_constant_makes_the_true_energy_fall_for_every_step(name, mass):
    """Restarted, S = K/2: E falls by at least |d|^2/dt + 2 N; and the identity E_new - E = -D - 2 N + T holds without K."""
    rng = np.random.default_rng(0)
    for trial in range(40):
        case, K = smooth_case(trial, mass)
        problem, theta, dt = case.problem, case.theta, float(10 ** rng.uniform(-8, 8))
        F, g = problem.nonlinear_energy_and_gradient(theta)
        for S in (K / 2, 0.0):
            scheme = Restart(SMOOTH[name](S))
            state = scheme.init(problem, theta)
            new = scheme.step(problem, state, dt)
            d, terms = new.theta - theta, scheme.energy_terms(problem, state, new, dt)
            rise, F_new = problem.energy(new.theta) - problem.energy(theta), problem.nonlinear_energy(new.theta)
            T = F_new - F - problem.inner(g, d)
            size = F + F_new + abs(problem.inner(g, d)) + terms.dissipation + terms.numerical
            size = size + problem.inner(np.abs(theta), np.abs(d) / dt + (S + np.sqrt(problem.inner(g, g))) * np.abs(d))
            assert abs(rise + terms.dissipation + 2 * terms.numerical - T) <= 1e-13 * (1 + size)
            if S > 0:
                assert rise <= -problem.inner(d, d) / dt - 2 * terms.numerical + 1e-13 * (1 + size)


@pytest.mark.parametrize("mass", MASSES)
def test_less_than_half_the_lipschitz_constant_does_not_suffice(mass):
    """On the stiffest direction of a quadratic energy, S = 0.45 K raises E for some dt; S = K/2 does for none."""
    case = affine_case(3, 4, 6, mass=mass)
    at, M = case.problem.linearize(case.theta), case.problem.mass * np.ones(4)
    root = at.jacobian() / np.sqrt(M)
    values, vectors = np.linalg.eigh(root.T @ root)
    minimum, K = np.linalg.lstsq(case.J, case.b)[0], values[-1]
    theta = minimum + vectors[:, -1] / np.sqrt(M)
    for share, rises in ((0.5, False), (0.45, True)):
        rose = False
        for dt in 10.0 ** np.arange(-8, 9):
            scheme = Restart(SAV(C=1e4 * K, stabilization=share * K))
            new = scheme.step(case.problem, scheme.init(case.problem, theta), float(dt))
            rose |= case.problem.energy(new.theta) > case.problem.energy(theta) * (1 + 1e-12)
        assert rose == rises


def test_parts_add_up():
    u = np.array([1.0, 2.0])
    d = Diagonal(np.array([1.0, 3.0]))
    from gradflow.energies.linear import add

    for first, second, dense in [
        (Zero(), d, [1, 3]),
        (Shift(2.0), d, [3, 5]),
        (d, d, [2, 6]),
        (Shift(1.0), Shift(2.0), [3, 3]),
    ]:
        total = add(first, second)
        np.testing.assert_allclose(total.apply(u), np.array(dense) * u)
        np.testing.assert_allclose(total.solve_shifted(u, 0.5), u / (1 + 0.5 * np.array(dense)))


def test_adaptive_sav_follows_its_algorithm_for_three_steps():
    """Averages with bias correction, epsilon outside the root, both readings, against a transcription of Algorithm 5."""
    beta1, beta2, eps, C, dt = 0.8, 0.95, 1e-3, 2.0, 0.05
    for reading in ("norm", "elementwise"):
        case = residual_case(12, 5, 4)
        theta, r = case.theta, np.sqrt(case.problem.energy(case.theta) + C)
        m, v = np.zeros(5), np.zeros(5) if reading == "elementwise" else 0.0
        scheme = AdaptiveSAV(C=C, reading=reading, beta1=beta1, beta2=beta2, eps=eps)
        state = scheme.init(case.problem, case.theta)
        for n in (1, 2, 3):
            E, g = case.problem.energy_and_gradient(theta)
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * (g * g if reading == "elementwise" else g @ g)
            m_hat, tau = m / (1 - beta1**n), dt / (np.sqrt(v / (1 - beta2**n)) + eps)
            r = r / (1 + np.sum(m_hat * tau * m_hat) / (2 * (E + C)))
            theta = theta - r / np.sqrt(E + C) * tau * m_hat
            state = scheme.step(case.problem, state, dt)
            np.testing.assert_allclose(state.theta, theta, rtol=1e-12)
            np.testing.assert_allclose(state.aux, r, rtol=1e-12)


def test_exponential_sav_constants():
    """C shifts s by log C in every form, drops out of (2), (3) and of the modified energy, and divides the step of (5)."""
    case, dt = residual_case(11, 8, 5), 0.2
    for form in ("implicit", "explicit"):
        one, two = ExpSAV(form=form, C=1.0, scale=3.0), ExpSAV(form=form, C=7.0, scale=3.0)
        a, b = one.init(case.problem, case.theta), two.init(case.problem, case.theta)
        assert one.modified_energy(case.problem, a) == pytest.approx(case.problem.energy(case.theta), rel=1e-14)
        for _ in range(4):
            a, b = one.step(case.problem, a, dt), two.step(case.problem, b, dt)
            np.testing.assert_allclose(a.theta, b.theta, rtol=1e-11)
            assert b.aux - a.aux == pytest.approx(np.log(7.0), rel=1e-12)
            assert two.modified_energy(case.problem, b) == pytest.approx(
                one.modified_energy(case.problem, a), abs=1e-12
            )
    E, g = case.problem.energy_and_gradient(case.theta)
    r = 7.0 * np.exp(E / 3.0)
    scheme = ExpSAV(form="theorem_2.2", C=7.0, scale=3.0)
    new = scheme.step(case.problem, scheme.init(case.problem, case.theta), dt)
    np.testing.assert_allclose(new.theta, case.theta - dt / (r + dt * (g @ g) / 3.0) * g, rtol=1e-13)
    at_rest = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    for form in EXP_SAV_FORMS:
        rest = ExpSAV(form=form)
        assert np.array_equal(rest.step(at_rest, rest.init(at_rest, np.zeros(2)), dt).theta, np.zeros(2))


def test_printed_adaptive_ieq_counts_in_the_units_of_the_residual():
    """On a network with a mean loss rho is |f - y|, not sqrt(2 E): the published normalisation."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    net = TwoLayerNet(2, 6)
    problem, theta = Regression(net, x, y, loss="mse"), net.init(0)
    scheme = AdaptiveIEQ(form="printed", eps=1e-6)
    state = scheme.init(problem, theta)
    rho = np.linalg.norm(net(theta, x)[:, 0] - y)
    assert state.aux == pytest.approx(rho, rel=1e-13)
    _, g = problem.energy_and_gradient(theta)
    alpha = 1 / (1 + 0.3 * problem.inner(g, g) / (rho**2 + 1e-6))
    np.testing.assert_allclose(scheme.step(problem, state, 0.3).theta, theta - 0.3 * alpha * g, rtol=1e-12)


def test_problems_with_the_contracts_methods_alone():
    """No `linear`, no ``nonlinear_*``, no `mass`: the first four methods of the protocol are enough."""

    class Bare:
        def inner(self, u, v):
            return u @ v

        def energy(self, t):
            return t @ t / 2

        def energy_and_gradient(self, t):
            return t @ t / 2, t

        def hvp(self, t, v):
            return v

    class BareSquares(Bare):
        def linearize(self, t):
            return DenseLinearization(t, np.eye(t.shape[0]))

    for scheme in (SAV(), Restart(SAV()), ExpSAV(form="explicit"), GradientDescent(), ImplicitEuler(), AdaptiveSAV()):
        assert theta_path(scheme, Bare(), np.array([1.0, 2.0]), 0.5)[-1].sum() < 3
        assert solve(Bare(), scheme, np.array([1.0, 2.0]), dt=0.5, steps=3).status is Status.DONE
    for solver in ("auto", "gram", "cg"):
        path = theta_path(IEQ(solver=solver), BareSquares(), np.array([1.0, 2.0]), 0.5)
        np.testing.assert_allclose(path[0], np.array([1.0, 2.0]) / 1.5, rtol=1e-12)


@pytest.mark.parametrize("scheme", [SourceSAV(C=1.0), AdaptiveIEQ(), AdaptiveIEQ(form="printed")], ids=repr)
def test_leaving_the_admissible_set_is_not_done(scheme):
    shift = 0.0 if isinstance(scheme, SourceSAV) else 2.0
    slope = FunctionProblem(lambda t: t.sum() + shift, lambda t: np.ones_like(t))
    assert solve(slope, scheme, np.zeros(2), dt=1.0, steps=2000).status is Status.INADMISSIBLE
    with pytest.raises(ValueError, match=r"energy >= 0|C must satisfy"):
        scheme.init(slope, -2 * np.ones(2))


def test_zero_is_not_admissible():
    flat = FunctionProblem(lambda t: 0 * t.sum(), lambda t: 0 * t)
    with pytest.raises(ValueError, match="C must satisfy"):
        SAV(C=0.0).init(flat, np.ones(2))
