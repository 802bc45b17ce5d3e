"""What the first-order baselines and the two reference schemes promise, step by step and for every dt."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import lambertw

from gradflow.curvature.minimising_movement import Movement, backtrack, truncated_cg
from gradflow.energies import linear
from gradflow.energies.function import FunctionProblem
from gradflow.energies.linear import Diagonal, Shift
from gradflow.schemes import (
    SAV,
    Adagrad,
    Adam,
    AdaptiveSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Restart,
    RMSProp,
    RungeKutta4,
)
from smooth_problems import SPLITS, as_function_problem, double_well, run, smooth_problem

EPS = np.finfo(np.float64).eps
DTS = [1e-8, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e8]
DTYPES = [np.float64, np.float32]
MASSES = {"euclidean": None, "scaled": 0.02, "diagonal": np.linspace(0.1, 10, 6)}

FIRST_ORDER = {
    "GradientDescent": GradientDescent(),
    "GradientDescent-stabilized": GradientDescent(stabilization=2.0),
    "HeavyBall": HeavyBall(),
    "Nesterov": Nesterov(),
    "Adam": Adam(),
    "Adam-norm": Adam(reading="norm"),
    "RMSProp": RMSProp(),
    "Adagrad": Adagrad(),
    "RungeKutta4": RungeKutta4(),
    "ImplicitEuler": ImplicitEuler(),
}


def one_step(scheme, problem, theta, dt):
    return scheme.step(problem, scheme.init(problem, theta), dt)


def quadratic(k, *, mass=None):
    """Return E = sum(k theta^2) / 2, k a number or (P,)."""
    m = 1.0 if mass is None else mass
    return FunctionProblem(lambda t: (k * t) @ t / 2, lambda t: k * t / m, lambda t, v: k * v / m, mass=mass)


def log_cosh(*, mass=None, linear=0.0, dtype=np.float64):
    """Return F = sum(log cosh theta), convex, second derivative in (0, 1]."""
    m = 1.0 if mass is None else mass

    def energy(t):
        a = np.abs(t)
        return np.sum(a + np.log1p(np.exp(-2 * a)) - dtype(math.log(2)))

    return FunctionProblem(
        energy, lambda t: np.tanh(t) / m, lambda t, v: (1 - np.tanh(t) ** 2) * v / m, mass=mass, linear=linear
    )


# --- all of them -------------------------------------------------------------------------------------------------


def snapshot(state):
    return [np.array(x, copy=True) for x in state]


@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass"])
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_step_is_pure(name, split):
    problem, theta = smooth_problem(split)
    scheme, before = FIRST_ORDER[name], theta.copy()
    state = run(scheme, problem, theta, 0.1, 3)
    kept = snapshot(state)
    once, twice = scheme.step(problem, state, 0.1), scheme.step(problem, state, 0.1)
    for a, b in zip(snapshot(once), snapshot(twice), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(kept, snapshot(state), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(theta, before)
    assert state._fields[0] == "theta"
    assert not np.array_equal(once.theta, state.theta)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass", "scalars"])
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_the_dtype_of_theta_is_the_dtype_of_every_array(name, split, dtype):
    problem, theta = smooth_problem(split, dtype=dtype)
    state = run(FIRST_ORDER[name], problem, theta, 0.1, 3)
    for x in state:
        assert not isinstance(x, np.ndarray) or (x.dtype == dtype and x.shape == theta.shape)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_stationary_point_is_kept_to_the_last_bit(name):
    problem, theta = double_well(), np.array([1.0, -1.0, 0.0, 1.0])
    for dt in DTS:
        assert np.array_equal(run(FIRST_ORDER[name], problem, theta, dt, 3).theta, theta)


@pytest.mark.parametrize(
    "name", ["HeavyBall", "Nesterov", "Adam", "Adam-norm", "RMSProp", "Adagrad", "RungeKutta4", "ImplicitEuler"]
)
def test_all_but_gradient_descent_see_only_the_whole_energy(name):
    """Where the energy is split, L is counted in the gradient: the split does not matter."""
    problem, theta = smooth_problem("energy-part-and-mass")
    whole = FunctionProblem(problem.energy, lambda t: problem.energy_and_gradient(t)[1], problem.hvp, mass=problem.mass)
    split, joined = (run(FIRST_ORDER[name], p, theta, 0.1, 10).theta for p in (problem, whole))
    np.testing.assert_allclose(split, joined, rtol=0, atol=1e-8 if name == "ImplicitEuler" else 100 * EPS)
    assert np.max(np.abs(run(GradientDescent(), problem, theta, 0.1, 10).theta - joined)) > 1e-3


@pytest.mark.parametrize("name", ["GradientDescent", "HeavyBall", "Nesterov", "RungeKutta4", "ImplicitEuler"])
def test_a_scaled_inner_product_is_a_scaled_time(name):
    """(u, v)_M = c u . v divides the gradient by c: the step c dt there is the step dt in the Euclidean product."""
    c = 0.25
    plain, theta = smooth_problem("plain")
    scaled = FunctionProblem(
        plain.energy,
        lambda t: plain.energy_and_gradient(t)[1] / c,
        lambda t, v: plain.hvp(t, v) / c,
        mass=c,
    )
    a = run(FIRST_ORDER[name], plain, theta, 0.1, 5).theta
    b = run(FIRST_ORDER[name], scaled, theta, 0.1 * c, 5).theta
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-8 if name == "ImplicitEuler" else 20 * EPS)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GradientDescent(stabilization=-1.0), "stabilization must be a finite number >= 0 .* got -1.0"),
        (lambda: HeavyBall(momentum=1.0), r"momentum must lie in \[0, 1\), got 1.0"),
        (lambda: HeavyBall(momentum=-0.1), r"momentum must lie in \[0, 1\), got -0.1"),
        (lambda: Nesterov(momentum=1.0), r"momentum must lie in \[0, 1\), got 1.0"),
        (lambda: Nesterov(momentum=math.nan), r"momentum must lie in \[0, 1\), got nan"),
        (lambda: Adam(beta1=1.0), r"beta1 must lie in \[0, 1\), got 1.0"),
        (lambda: Adam(beta2=1.5), r"beta2 must lie in \[0, 1\), got 1.5"),
        (lambda: Adam(eps=0.0), "eps must be a finite number > 0, got 0.0"),
        (lambda: Adam(reading="scalar"), "reading must be one of"),
        (lambda: RMSProp(decay=1.0), r"decay must lie in \[0, 1\), got 1.0"),
        (lambda: RMSProp(eps=-1.0), "eps must be a finite number > 0, got -1.0"),
        (lambda: Adagrad(eps=math.inf), "eps must be a finite number > 0, got inf"),
        (lambda: ImplicitEuler(tol=0.0), "tol must be a finite number > 0, got 0.0"),
        (lambda: ImplicitEuler(max_newton=0), "max_newton must be a whole number >= 1, got 0"),
        (lambda: ImplicitEuler(max_cg=2.5), "max_cg must be a whole number >= 1, got 2.5"),
    ],
)
def test_bad_arguments_are_refused_at_the_door(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_positional_arguments_are_refused():
    for scheme in (GradientDescent, HeavyBall, Nesterov, Adam, RMSProp, Adagrad, ImplicitEuler):
        with pytest.raises(TypeError):
            scheme(0.5)


# --- gradient descent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_descent_is_theta_minus_dt_g_to_the_last_bit(dtype):
    problem, theta = smooth_problem("mass", dtype=dtype)
    _, g = problem.energy_and_gradient(theta)
    for dt in DTS:
        assert np.array_equal(one_step(GradientDescent(), problem, theta, dt).theta, theta - dt * g)


@pytest.mark.parametrize("stabilization", [0.0, 3.0, "diagonal"])
@pytest.mark.parametrize("split", SPLITS)
def test_gradient_descent_satisfies_its_equation_and_its_energy_balance(split, stabilization):
    """(1) and (3): the drop of the energy is the dissipation less what linearising F leaves out, for every dt."""
    problem, theta = smooth_problem(split)
    S = Diagonal(np.linspace(0, 4, 4)) if stabilization == "diagonal" else linear.as_linear_part(stabilization, "S")
    L = problem.linear
    F, g = problem.nonlinear_energy_and_gradient(theta)
    for dt in DTS:
        new = one_step(GradientDescent(stabilization=S), problem, theta, dt).theta
        d = new - theta
        residual = d / dt + L.apply(new) + S.apply(d) + g
        size = np.linalg.norm(g) + np.linalg.norm(L.apply(theta)) + np.linalg.norm(theta) / dt
        assert np.linalg.norm(residual) <= 20 * EPS * (size + np.linalg.norm(d) * 4)
        left_out = problem.nonlinear_energy(new) - F - problem.inner(g, d)
        balance = -linear.dissipation(problem.inner, L, S, d, dt) + left_out
        terms = problem.energy(new) + problem.energy(theta) + abs(problem.inner(g, d)) + np.linalg.norm(theta) * size
        assert abs(problem.energy(new) - problem.energy(theta) - balance) <= 100 * EPS * terms


@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("energy_part", [0.0, 0.7])
def test_a_stabilization_of_half_the_lipschitz_constant_makes_gradient_descent_unconditionally_stable(
    mass, energy_part
):
    M = MASSES[mass]
    K = 1 / np.min(1.0 if M is None else M)  # of the gradient of F in this inner product
    problem = log_cosh(mass=M, linear=energy_part)
    theta = np.random.default_rng(1).standard_normal(6) * 5
    for dt in DTS:
        scheme = GradientDescent(stabilization=K / 2)
        state = scheme.init(problem, theta)
        for _ in range(20):
            new = scheme.step(problem, state, dt)
            assert problem.energy(new.theta) <= problem.energy(state.theta) * (1 + 4 * EPS)
            state = new
    rises = one_step(GradientDescent(), problem, theta, 1e4).theta
    assert energy_part > 0 or problem.energy(rises) > problem.energy(theta)


def test_gradient_descent_refuses_parts_without_a_known_sum():
    class Other:
        scalar = None

        def apply(self, u):
            return u

        def solve_shifted(self, u, dt):
            return u

    problem, theta = smooth_problem("energy-part")
    with pytest.raises(ValueError, match="no shifted solve is known"):
        GradientDescent(stabilization=Other()).init(problem, theta)


# --- momentum ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [HeavyBall, Nesterov])
def test_without_momentum_it_is_gradient_descent(scheme):
    problem, theta = smooth_problem("mass")
    a = run(scheme(momentum=0.0), problem, theta, 0.3, 10).theta
    np.testing.assert_array_equal(a, run(GradientDescent(), problem, theta, 0.3, 10).theta)


def recurrence(name, beta, z):
    """Return the matrix that takes (theta^n, theta^{n-1}) to (theta^{n+1}, theta^n) for E = k theta^2 / 2, z = dt k."""
    if name == "HeavyBall":
        return np.array([[1 + beta - z, -beta], [1.0, 0.0]])
    return np.array([[(1 - z) * (1 + beta), -(1 - z) * beta], [1.0, 0.0]])


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("scheme", [HeavyBall, Nesterov])
def test_on_a_quadratic_it_is_the_two_term_recurrence(scheme, beta):
    k, dt, n = np.array([0.1, 1.0, 3.0, 7.0]), 0.25, 40
    theta = np.array([1.0, -2.0, 0.5, 3.0])
    found = run(scheme(momentum=beta), quadratic(k), theta, dt, n).theta
    for i, z in enumerate(dt * k):
        power = np.linalg.matrix_power(recurrence(scheme.__name__, beta, z), n)
        wanted = power @ np.array([theta[i], theta[i]])
        assert abs(found[i] - wanted[0]) <= 1e-12 * max(abs(theta[i]), abs(wanted[0]))


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize(
    ("scheme", "limit"), [(HeavyBall, lambda b: 2 * (1 + b)), (Nesterov, lambda b: (2 + 2 * b) / (1 + 2 * b))]
)
def test_the_stability_limit_on_a_quadratic_is_sharp(scheme, limit, beta):
    """The map (theta, d) -> (theta_new, d_new) of one step contracts below the limit and not above."""
    for factor, stable in ((0.99, True), (1.01, False)):
        step = scheme(momentum=beta).step
        state = scheme(momentum=beta).init(quadratic(1.0), np.zeros(1))
        columns = [
            np.concatenate(step(quadratic(1.0), state._replace(theta=a, d=b), factor * limit(beta)))
            for a, b in ((np.ones(1), np.zeros(1)), (np.zeros(1), np.ones(1)))
        ]
        radius = np.max(np.abs(np.linalg.eigvals(np.stack(columns, axis=1))))
        assert (radius < 1) == stable


def test_nesterov_runs_through_the_points_that_deep_learning_libraries_store():
    """buffer <- beta buffer + g(y), y <- y - dt (g + beta buffer): y = theta + beta d."""
    problem, theta = smooth_problem("mass")
    beta, dt = 0.8, 0.2
    y, buffer = theta, 0 * theta
    scheme = Nesterov(momentum=beta)
    state = scheme.init(problem, theta)
    for _ in range(20):
        g = problem.energy_and_gradient(y)[1]
        buffer = beta * buffer + g
        y = y - dt * (g + beta * buffer)
        state = scheme.step(problem, state, dt)
        np.testing.assert_allclose(state.theta + beta * state.d, y, rtol=0, atol=200 * EPS)
        np.testing.assert_allclose(state.d, -dt * buffer, rtol=0, atol=200 * EPS)


@pytest.mark.parametrize("mu", [0.3, 0.01])
def test_nesterov_has_its_rate_on_strongly_convex_functions(mu):
    """E(theta^n) - E* <= (1 - sqrt(q))^n (E(theta^0) - E* + mu |theta^0 - theta*|^2 / 2), q = mu / K, dt = 1 / K."""
    K = 1 + mu
    problem = log_cosh(linear=mu)  # minimum 0 at 0
    theta = np.random.default_rng(0).standard_normal(6) * 4
    root = math.sqrt(mu / K)
    scheme = Nesterov(momentum=(1 - root) / (1 + root))
    state, bound = scheme.init(problem, theta), problem.energy(theta) + mu / 2 * (theta @ theta)
    for _ in range(100):
        state, bound = scheme.step(problem, state, 1 / K), bound * (1 - root)
        assert problem.energy(state.theta) <= bound + EPS


# --- adaptive learning rates -------------------------------------------------------------------------------------


def transcription(name, gradient, theta, dt, n_steps):
    """Return theta after n steps by the printed algorithms, one coordinate and one Python number at a time."""
    P = len(theta)
    theta, m, v = [float(x) for x in theta], [0.0] * P, [0.0] * P
    for n in range(1, n_steps + 1):
        g = [float(x) for x in gradient(np.array(theta))]
        for i in range(P):
            if name == "Adam":
                m[i] = 0.9 * m[i] + (1 - 0.9) * g[i]
                v[i] = 0.999 * v[i] + (1 - 0.999) * g[i] ** 2
                theta[i] -= dt * (m[i] / (1 - 0.9**n)) / (math.sqrt(v[i] / (1 - 0.999**n)) + 1e-8)
            elif name == "RMSProp":
                v[i] = 0.9 * v[i] + (1 - 0.9) * g[i] ** 2
                theta[i] -= dt * g[i] / (math.sqrt(v[i]) + 1e-8)
            else:
                v[i] += g[i] ** 2
                theta[i] -= dt * g[i] / (math.sqrt(v[i]) + 1e-10)
    return np.array(theta)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", ["Adam", "RMSProp", "Adagrad"])
def test_adaptive_methods_are_the_printed_algorithms(name, split):
    problem, theta = smooth_problem(split)
    found = run(FIRST_ORDER[name], problem, theta, 0.05, 20).theta
    wanted = transcription(name, lambda t: problem.energy_and_gradient(t)[1], theta, 0.05, 20)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=200 * EPS)


@pytest.mark.parametrize(
    ("scheme", "length"),
    [(Adam(), 1.0), (Adagrad(), 1.0), (RMSProp(), 1 / math.sqrt(0.1)), (RMSProp(decay=0.99), 10.0)],
)
def test_the_first_step_is_a_multiple_of_the_sign_of_the_gradient(scheme, length):
    problem, theta = smooth_problem("mass")
    g = problem.energy_and_gradient(theta)[1]
    for dt in (1e-3, 1.0):
        d = one_step(scheme, problem, theta, dt).theta - theta
        shorter = 1 + d / (length * dt * np.sign(g))  # in units of the step
        assert np.all(shorter <= length * scheme.eps / np.abs(g) + 1e3 * EPS / dt)
        assert np.all(shorter >= -1e3 * EPS / dt)


@pytest.mark.parametrize(
    ("scheme", "travelled"),
    [(Adam(eps=1e-300), lambda n: n), (Adagrad(eps=1e-300), lambda n: sum(1 / math.sqrt(k) for k in range(1, n + 1)))],
)
def test_on_a_linear_energy_the_way_is_known(scheme, travelled):
    c = np.array([3.0, -1e-6, 1e6])
    problem = FunctionProblem(lambda t: c @ t, lambda t: 1.0 * c)
    for n in (1, 10, 100):
        found = run(scheme, problem, np.zeros(3), 0.01, n).theta
        np.testing.assert_allclose(found, -0.01 * travelled(n) * np.sign(c), rtol=1e-12)


@pytest.mark.parametrize("name", ["Adam", "RMSProp", "Adagrad"])
def test_only_epsilon_sees_the_scale_of_the_inner_product(name):
    """In (u, v)_M = c u . v, epsilon acts as c epsilon does in the Euclidean product; without it nothing depends on c."""
    scheme = type(FIRST_ORDER[name])
    c = 2.0**-20
    plain, theta = smooth_problem("plain")
    scaled = FunctionProblem(plain.energy, lambda t: plain.energy_and_gradient(t)[1] / c, mass=c)

    def end(problem, eps):
        return run(scheme(eps=eps), problem, theta, 0.05, 30).theta

    np.testing.assert_array_equal(end(scaled, 1e-250), end(plain, 1e-250))
    np.testing.assert_array_equal(end(scaled, 2.0**-10), end(plain, c * 2.0**-10))
    default = scheme().eps
    gap = np.max(np.abs(end(scaled, default) - end(plain, default)))
    assert 0 < gap < 1e-5


@pytest.mark.parametrize("split", SPLITS)
def test_adam_by_the_norm_is_the_printed_algorithm(split):
    problem, theta = smooth_problem(split)
    found = run(Adam(reading="norm"), problem, theta, 0.05, 20).theta
    m, v = np.zeros_like(theta), 0.0
    for n in range(1, 21):
        g = problem.energy_and_gradient(theta)[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * float(problem.inner(g, g))
        theta = theta - 0.05 * (m / (1 - 0.9**n)) / (math.sqrt(v / (1 - 0.999**n)) + 1e-8)
    np.testing.assert_allclose(found, theta, rtol=0, atol=1e4 * EPS)  # 0.1 and 1 - 0.9 differ in their last bits


@pytest.mark.parametrize("dtype", DTYPES)
def test_by_the_norm_v_is_a_number(dtype):
    problem, theta = smooth_problem("mass", dtype=dtype)
    scheme = Adam(reading="norm")
    for state in (scheme.init(problem, theta), run(scheme, problem, theta, 0.1, 3)):
        assert np.shape(state.v) == ()
        assert state.v.dtype == dtype


def test_by_the_norm_the_first_step_has_the_length_dt_in_the_inner_product():
    problem, theta = smooth_problem("energy-part-and-mass")
    for dt in (1e-3, 1.0, 1e3):
        d = one_step(Adam(reading="norm"), problem, theta, dt).theta - theta
        assert math.sqrt(problem.inner(d, d)) == pytest.approx(dt, rel=1e-7)


def test_by_the_norm_the_inner_product_scales_the_step():
    """With mass c the step dt is the step dt / sqrt(c) in the Euclidean product: c a power of 4, every number is exact."""
    c = 2.0**-20
    plain, theta = smooth_problem("plain")
    scaled = FunctionProblem(plain.energy, lambda t: plain.energy_and_gradient(t)[1] / c, mass=c)
    scheme = Adam(reading="norm", eps=1e-250)
    found, wanted = (run(scheme, p, theta, dt, 30).theta for p, dt in ((scaled, 2.0**-15), (plain, 2.0**-5)))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass"])
@pytest.mark.parametrize("reading", ["norm", "elementwise"])
def test_adaptive_sav_with_a_large_constant_is_adam(reading, split):
    """Its step is that of Adam divided by 1 + (m_hat, tau m_hat) / (2 (E + C)), in the same reading."""
    problem, theta = smooth_problem(split)
    wanted = run(Adam(reading=reading), problem, theta, 0.05, 30).theta
    gaps = [
        np.max(np.abs(run(AdaptiveSAV(C=C, reading=reading), problem, theta, 0.05, 30).theta - wanted))
        for C in (1e4, 1e6, 1e14)
    ]
    other = Adam(reading={"norm": "elementwise", "elementwise": "norm"}[reading])
    assert gaps[-1] <= 1e3 * EPS
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.1)  # as 1 / C
    assert np.max(np.abs(run(other, problem, theta, 0.05, 30).theta - wanted)) > 1e-3


def test_adam_corrects_what_rmsprop_leaves():
    """With beta1 = 0 the two differ by the factor sqrt(1 - beta2^n) alone."""
    problem, theta = smooth_problem("plain")
    a, r = Adam(beta1=0.0, beta2=0.9, eps=1e-250), RMSProp(decay=0.9, eps=1e-250)
    state, other = a.init(problem, theta), r.init(problem, theta)
    for n in range(1, 20):
        new = a.step(problem, state, 0.01)
        moved = r.step(problem, other._replace(theta=state.theta), 0.01)
        ratio = (new.theta - state.theta) / (moved.theta - state.theta)
        np.testing.assert_allclose(ratio, math.sqrt(1 - 0.9**n), rtol=1e-10)
        state, other = new, moved
    assert state.n == 19
    assert isinstance(state.n, int)


# --- Runge-Kutta -------------------------------------------------------------------------------------------------


def test_runge_kutta_has_its_polynomial_on_a_quadratic():
    z = np.array([1e-3, 0.5, 2.785, 2.786, 10.0])
    factor = 1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24
    found = one_step(RungeKutta4(), quadratic(z / 0.5), np.ones(5), 0.5).theta
    np.testing.assert_allclose(found, factor, rtol=0, atol=1e-14 * (1 + np.max(z) ** 4))
    assert abs(found[2]) < 1 < abs(found[3])


# --- implicit Euler ----------------------------------------------------------------------------------------------


def rosenbrock(*, mass=None):
    m = 1.0 if mass is None else mass

    def energy(t):
        u = t[1:] - t[:-1] ** 2
        return 100 * (u @ u) + (1 - t[:-1]) @ (1 - t[:-1])

    def gradient(t):
        u, g = t[1:] - t[:-1] ** 2, np.zeros_like(t)
        g[1:] += 200 * u
        g[:-1] += -400 * t[:-1] * u - 2 * (1 - t[:-1])
        return g / m

    def hvp(t, v):
        u, du, h = t[1:] - t[:-1] ** 2, v[1:] - 2 * t[:-1] * v[:-1], np.zeros_like(t)
        h[1:] += 200 * du
        h[:-1] += -400 * (v[:-1] * u + t[:-1] * du) + 2 * v[:-1]
        return h / m

    return FunctionProblem(energy, gradient, hvp, mass=mass)


def pendulum(*, mass=None):
    m = 1.0 if mass is None else mass
    return FunctionProblem(
        lambda t: 2 * np.sin(t / 2) @ np.sin(t / 2), lambda t: np.sin(t) / m, lambda t, v: np.cos(t) * v / m, mass=mass
    )


def indefinite(*, mass=None):
    """Return a quartic with curvatures from -1e4 to 1e4."""
    m = 1.0 if mass is None else mass
    rng = np.random.default_rng(3)
    Q, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    K = (Q * np.array([-1e4, -1.0, -1e-4, 1e-4, 1.0, 1e4])) @ Q.T
    return FunctionProblem(
        lambda t: (t @ t) ** 2 / 4 + t @ (K @ t) / 2,
        lambda t: ((t @ t) * t + K @ t) / m,
        lambda t, v: ((t @ t) * v + 2 * (t @ v) * t + K @ v) / m,
        mass=mass,
    )


NONCONVEX = {"double well": double_well, "Rosenbrock": rosenbrock, "pendulum": pendulum, "indefinite": indefinite}
EVERY_DT = [10.0**e for e in range(-8, 9, 2)]


def rounding_of_energy(problem, old, new, eps):
    """Return what one may ask of a difference of energies: some units in the last place of what they are made of."""
    g = problem.energy_and_gradient(old)[1]
    with np.errstate(over="ignore"):
        size = math.sqrt(problem.inner(old, old)) * math.sqrt(problem.inner(g, g))
    return 40 * eps * (abs(problem.energy(old)) + abs(problem.energy(new)) + size)


@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("name", NONCONVEX)
def test_implicit_euler_is_a_minimizing_movement_and_solves_its_equation(name, mass):
    """(3) for every dt, wherever it starts, and (1) to the tolerance: its own account agrees with the equation."""
    M = MASSES[mass]
    problem = NONCONVEX[name](mass=M)
    scheme = ImplicitEuler()
    rng = np.random.default_rng(5)
    norm = lambda u: math.sqrt(problem.inner(u, u))  # noqa: E731
    for dt in EVERY_DT:
        for scale in (1e-6, 1.0, 10.0):
            state = scheme.init(problem, scale * rng.standard_normal(6))
            for _ in range(3):
                old, state = state.theta, scheme.step(problem, state, dt)
                d = state.theta - old
                drop = problem.energy(old) - problem.energy(state.theta)
                assert np.all(np.isfinite(state.theta))
                assert problem.inner(d, d) / (2 * dt) - drop <= rounding_of_energy(problem, old, state.theta, EPS)
                start = norm(problem.energy_and_gradient(old)[1])
                residual = norm(d / dt + problem.energy_and_gradient(state.theta)[1])
                rounding = EPS * norm(old) / dt + 1e-13 * norm(problem.hvp(state.theta, np.ones(6))) * norm(old)
                assert abs(residual - state.residual * start) <= 100 * rounding + 1e-12 * start
                assert state.converged
                assert state.newton <= 100


@pytest.mark.parametrize("mass", [None, 0.02])
@pytest.mark.parametrize("height", [1.0, 1e5])
def test_implicit_euler_works_in_single_precision(height, mass):
    problem = double_well(dtype=np.float32, mass=mass, height=np.float32(height))
    scheme = ImplicitEuler()
    rng = np.random.default_rng(6)
    for dt in EVERY_DT:
        for scale in (1e-4, 1.0, 20.0):
            theta = (scale * rng.standard_normal(6)).astype(np.float32)
            state = scheme.step(problem, scheme.init(problem, theta), dt)
            assert state.theta.dtype == np.float32
            assert np.all(np.isfinite(state.theta))
            d = (state.theta - theta).astype(np.float64)
            drop = float(problem.energy(theta)) - float(problem.energy(state.theta))
            eps = float(np.finfo(np.float32).eps)
            moved = float(problem.inner(d, d)) / (2 * dt)
            assert moved - drop <= rounding_of_energy(problem, theta, state.theta, eps)
            assert state.converged


@pytest.mark.parametrize("mass", MASSES)
def test_implicit_euler_on_a_quadratic_is_the_resolvent(mass):
    """theta_i / (1 + dt k_i / m_i), which Restart(SAV(C=0)) is as well in one dimension."""
    M = MASSES[mass]
    m = 1.0 if M is None else M
    k = np.array([0.0, 1e-3, 0.1, 1.0, 10.0, 1e3])
    theta = np.array([1.0, -2.0, 3.0, 0.5, -0.1, 4.0])
    whole = quadratic(k, mass=M)
    part = FunctionProblem(lambda t: 0 * t @ t, lambda t: 0 * t, lambda t, v: 0 * v, linear=Diagonal(k / m), mass=M)
    size = np.linalg.norm(theta)
    for dt in DTS:
        wanted = theta / (1 + dt * (k / m))
        conditioning = 1 + np.max(k / m) / (1 / dt + k / m)  # by which a rounding of R is seen in theta
        for problem in (whole, part):
            state = one_step(ImplicitEuler(tol=1e-14), problem, theta, dt)
            assert np.all(np.abs(state.theta - wanted) <= 20 * EPS * size * conditioning)
            assert state.converged
        assert state.newton <= 2, "the energy part is inverted by the preconditioner"
        found = one_step(GradientDescent(), part, theta, dt).theta
        np.testing.assert_allclose(found, wanted, rtol=0, atol=4 * EPS * np.max(np.abs(theta)))


@pytest.mark.parametrize("k", [1e-6, 1.0, 1e6])
def test_in_one_dimension_implicit_euler_on_a_quadratic_is_restarted_sav_without_constant(k):
    for dt in DTS:
        a = one_step(ImplicitEuler(), quadratic(k), np.array([3.0]), dt).theta
        b = one_step(Restart(SAV(C=0.0)), quadratic(k), np.array([3.0]), dt).theta
        np.testing.assert_allclose([a, b], 3.0 / (1 + dt * k), rtol=0, atol=10 * EPS * 3.0)


def test_implicit_euler_finds_known_proximal_points():
    """E = exp(theta) by Lambert's function, E = theta^4 / 4 by bracketing a cubic."""
    start = np.linspace(-3, 5, 6)
    exponential = FunctionProblem(lambda t: np.sum(np.exp(t)), np.exp, lambda t, v: np.exp(t) * v)
    quartic = FunctionProblem(lambda t: np.sum(t**4) / 4, lambda t: t**3, lambda t, v: 3 * t * t * v)
    for dt in EVERY_DT:
        found = one_step(ImplicitEuler(tol=1e-13), exponential, start, dt).theta
        wanted = start - lambertw(dt * np.exp(start)).real
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
        found = one_step(ImplicitEuler(tol=1e-14), quartic, start, dt).theta
        wanted = [brentq(lambda t, x=x, dt=dt: t + dt * t**3 - x, -6, 6, xtol=1e-15, rtol=1e-15) for x in start]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mass", MASSES)
def test_for_a_convex_energy_implicit_euler_is_firmly_nonexpansive(mass):
    """|Tx - Ty|^2 <= (Tx - Ty, x - y)_M, and (3) holds without its factor 2."""
    problem = log_cosh(mass=MASSES[mass], linear=0.1)
    rng = np.random.default_rng(7)
    scheme = ImplicitEuler(tol=1e-13)
    for dt in EVERY_DT:
        x, y = 5 * rng.standard_normal(6), 5 * rng.standard_normal(6)
        Tx, Ty = one_step(scheme, problem, x, dt).theta, one_step(scheme, problem, y, dt).theta
        assert problem.inner(Tx - Ty, Tx - Ty) <= problem.inner(Tx - Ty, x - y) + 1e-12 * problem.inner(x, x)
        moved = problem.inner(Tx - x, Tx - x) / dt
        assert problem.energy(Tx) + moved <= problem.energy(x) + rounding_of_energy(problem, x, Tx, EPS)


def test_implicit_euler_returns_at_once_from_a_stationary_point():
    calls = []
    well = double_well()
    problem = FunctionProblem(
        lambda t: (calls.append(0), well.energy(t))[1], lambda t: well.energy_and_gradient(t)[1], well.hvp
    )
    for theta in (np.array([1.0, -1.0]), np.zeros(3)):  # minimum, maximum
        for dt in DTS:
            state = ImplicitEuler().init(problem, theta)
            calls.clear()
            new = ImplicitEuler().step(problem, state, dt)
            assert len(calls) == 1
            assert np.array_equal(new.theta, theta)
            assert (new.residual, new.newton, new.converged) == (0.0, 0, True)


def test_implicit_euler_leaves_the_neighbourhood_of_a_saddle():
    """From 1e-12 off a maximum, a long step goes down into the wells, and not back to the maximum."""
    for dt in (1e2, 1e8):
        state = one_step(ImplicitEuler(), double_well(), np.array([1e-12, -1e-9, 1e-6]), dt)
        np.testing.assert_allclose(state.theta, [1.0, -1.0, 1.0], atol=1.0 / dt)
        assert state.converged


def test_a_failed_solve_is_visible_and_still_lowers_the_energy():
    problem = rosenbrock()
    theta = np.array([-1.2, 1.0, -1.2, 1.0])
    state = one_step(ImplicitEuler(max_newton=1, max_cg=1), problem, theta, 10.0)
    d = state.theta - theta
    assert not state.converged
    assert state.newton == 1
    assert state.residual > 1e-8
    assert problem.energy(state.theta) + d @ d / 20 < problem.energy(theta)


HOSTILE = {
    "unbounded below": (lambda t: -(t @ t) / 2, lambda t: -t, lambda t, v: -v),
    "overflow": (lambda t: np.sum(np.exp(t)), np.exp, lambda t, v: np.exp(t) * v),
    "kink": (lambda t: np.sum(np.abs(t)), np.sign, lambda t, v: 0 * v),
    "infinite curvature": (
        lambda t: np.sum(np.abs(t) ** 1.5),
        lambda t: 1.5 * np.sign(t) * np.sqrt(np.abs(t)),
        lambda t, v: 0.75 * v / np.sqrt(np.abs(t)),
    ),
    "barrier": (lambda t: np.sum(t - np.log(t)), lambda t: 1 - 1 / t, lambda t, v: v / t**2),
    "infinite beyond 3, of finite slope": (
        lambda t: np.sum(np.where(t > 3, np.inf, (t - 500) ** 2)),
        lambda t: 2 * (t - 500),
        lambda t, v: 2 * v,
    ),
    "minus infinite beyond 3": (
        lambda t: np.sum(np.where(t > 3, -np.inf, (t - 500) ** 2)),
        lambda t: 2 * (t - 500),
        lambda t, v: 2 * v,
    ),
    "wrong hvp": (lambda t: t @ t / 2, lambda t: 1.0 * t, lambda t, v: np.roll(v, 1) - 5 * v),
    "hvp is NaN": (lambda t: t @ t / 2, lambda t: 1.0 * t, lambda t, v: np.nan * v),
    "hvp is 0": (lambda t: t @ t / 2, lambda t: 1.0 * t, lambda t, v: 0 * v),
    "wrong gradient": (lambda t: t @ t / 2, lambda t: -t, lambda t, v: -v),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_implicit_euler_ends_finite_and_no_higher_on_hostile_energies(name):
    energy, gradient, hvp = HOSTILE[name]
    counts = []
    problem = FunctionProblem(lambda t: (counts.append(0), energy(t))[1], gradient, hvp)
    for dt in EVERY_DT:
        for theta in (np.array([0.5, 1.0, 2.0]), np.array([1e-8, 1e-3, 10.0]), np.array([200.0, 300.0, 700.0])):
            counts.clear()
            state = one_step(ImplicitEuler(), problem, theta, dt)
            assert len(counts) < 6000
            assert np.all(np.isfinite(state.theta))
            if not np.isfinite(energy(theta)):
                assert np.array_equal(state.theta, theta)
                continue
            d = state.theta - theta
            moved = (d @ d) / (2 * dt)
            assert np.isfinite(energy(state.theta))
            assert energy(state.theta) + moved <= energy(theta) + rounding_of_energy(problem, theta, state.theta, EPS)
            assert math.isfinite(state.residual)
            if "hvp" in name:
                assert energy(state.theta) + moved < energy(theta)


@pytest.mark.parametrize(("noise", "evaluations"), [(1e-6, 200), (1e-11, 15)])
def test_implicit_euler_stops_soon_when_only_noise_is_left(noise, evaluations):
    """A gradient that is right to `noise`: the residual cannot fall further, and few evaluations find that out."""
    counts = []
    problem = FunctionProblem(
        lambda t: (counts.append(0), 1.0 + np.sum(np.cosh(t)))[1],
        lambda t: np.sinh(t) + noise * np.sin(1e13 * t),
        lambda t, v: np.cosh(t) * v,
    )
    for seed in range(20):
        theta = np.random.default_rng(seed).standard_normal(3)
        for dt in (1.0, 1e4, 1e8):
            counts.clear()
            state = one_step(ImplicitEuler(), problem, theta, dt)
            assert state.residual <= 100 * noise
            assert state.converged == (noise < 1e-10)
            assert len(counts) <= evaluations


def test_where_the_energy_has_no_digits_left_the_slopes_decide():
    """Every change is below the rounding of 1e17 + E; a step that overshoots is still shortened until E has fallen."""
    well = double_well()
    hidden = FunctionProblem(lambda t: 1e17 + well.energy(t), lambda t: well.energy_and_gradient(t)[1], well.hvp)
    phi = Movement(np.array([0.1]), 1e8, hidden.energy_and_gradient, hidden.inner)
    start = phi.at(np.zeros(1))
    for length in (1.0, 10.0, 1e3):
        new = backtrack(phi, start, start, np.array([length]), 1.0, bent=True, smallest=1e-16)
        assert well.energy(new.theta) < well.energy(start.theta)
    assert backtrack(phi, start, start, np.array([-1.0]), 1.0, bent=True, smallest=1e-16) is None


def test_implicit_euler_hands_non_finite_data_on():
    problem = FunctionProblem(lambda t: np.float64(np.nan), lambda t: np.nan * t, lambda t, v: v)
    theta = np.ones(2)
    state = one_step(ImplicitEuler(), problem, theta, 1.0)
    assert not state.converged
    assert math.isnan(state.residual)
    assert state.newton == 0
    assert np.array_equal(state.theta, theta)


@pytest.mark.parametrize("power", [-40, -20, 20, 40])
@pytest.mark.parametrize("dt", [1e-2, 1.0, 1e3])
def test_a_multiple_of_the_energy_is_a_multiple_of_the_time(dt, power):
    """c E with the step dt / c has the step of E with dt, to the last bit where c is a power of 2: no decision has a unit."""
    c, well = 2.0**power, double_well()
    scaled = FunctionProblem(
        lambda t: c * well.energy(t), lambda t: c * well.energy_and_gradient(t)[1], lambda t, v: c * well.hvp(t, v)
    )
    for seed in range(10):
        theta = 2 * np.random.default_rng(seed).standard_normal(4)
        a, b = one_step(ImplicitEuler(), well, theta, dt), one_step(ImplicitEuler(), scaled, theta, dt / c)
        assert np.array_equal(a.theta, b.theta)
        assert (a.newton, a.converged) == (b.newton, b.converged)
        assert math.isclose(a.residual, b.residual, rel_tol=4 * EPS)  # norms of tiny vectors are scaled


def test_implicit_euler_needs_second_derivatives():
    without = FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t)
    with pytest.raises(ValueError, match=r"ImplicitEuler needs second derivatives.*given no hvp"):
        ImplicitEuler().init(without, np.ones(2))
    short = FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t, lambda t, v: v[:1])
    with pytest.raises(ValueError, match=r"hvp\(theta, v\) must have shape \(P,\), P = 2; got \(1,\)"):
        ImplicitEuler().init(short, np.ones(2))


@pytest.mark.parametrize("energy_part", [None, Shift(2.0)])
def test_truncated_cg_solves_what_is_positive_and_bends_where_it_is_not(energy_part):
    rng = np.random.default_rng(8)
    P, dt = 12, 0.3
    mass = rng.uniform(0.1, 3, P)
    B = rng.standard_normal((P, P))
    inner = lambda u, v: (mass * u) @ v  # noqa: E731
    R = rng.standard_normal(P)
    R = R / math.sqrt(inner(R, R))
    precondition = (lambda u: u) if energy_part is None else (lambda u: energy_part.solve_shifted(u, dt))
    arguments = {"dt": dt, "inner": inner, "precondition": precondition, "max_cg": 100}

    H = (B @ B.T) / mass[:, None]
    p, h, bent = truncated_cg(R, hvp=lambda v: H @ v, rtol=1e-12, **arguments)
    np.testing.assert_allclose(p, np.linalg.solve(H + np.eye(P) / dt, -R), rtol=0, atol=1e-10)
    top = np.max(np.linalg.eigvals(H).real)
    assert not bent
    assert 0 < h <= top * (1 + 1e-12)

    H = H - 10 * np.eye(P)
    p, _, bent = truncated_cg(R, hvp=lambda v: H @ v, rtol=1e-12, **arguments)
    assert bent
    assert inner(R, p) < 0
    assert inner(p, H @ p + p / dt) < 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bend", [0.0, -0.1, -1.0])
@pytest.mark.parametrize("dt", [1e-3, 0.3, 1.0, 1e3])
def test_along_a_direction_without_curvature_the_step_is_bounded_by_rounding(dt, bend, dtype):
    """p = -10 R / max(|b|, sqrt(eps) t): b the curvature, t = |H| + 1/dt the size of the terms that cancel in it."""
    eps = np.finfo(dtype).eps
    R = np.array([0.6, 0.8], dtype=dtype)
    H = -(1 - bend) / dt  # B = bend / dt
    p, h, bent = truncated_cg(
        R, hvp=lambda v: dtype(H) * v, dt=dt, inner=lambda u, v: u @ v, precondition=lambda u: u, rtol=0.1, max_cg=10
    )
    terms = abs(H) + 1 / dt
    length = 10 / max(abs(bend) / dt, math.sqrt(eps) * terms)
    np.testing.assert_allclose(p, -length * R, rtol=1e-2 if bend == 0 else 1e3 * eps)
    assert bent
    assert abs(h - abs(H)) <= 10 * eps * abs(H)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_without_a_finite_curvature_no_direction_is_taken(value):
    with np.errstate(invalid="ignore"):
        p, _, bent = truncated_cg(
            np.array([0.6, 0.8]), hvp=lambda v: value * v, dt=0.5, inner=lambda u, v: u @ v, precondition=lambda u: u,
            rtol=0.1, max_cg=10,
        )  # fmt: skip
    assert bent
    assert np.array_equal(p, np.zeros(2))


def test_no_residual_no_direction():
    p, h, bent = truncated_cg(
        np.zeros(2), hvp=lambda v: v, dt=0.5, inner=lambda u, v: u @ v, precondition=lambda u: u, rtol=0.1, max_cg=10
    )
    assert np.array_equal(p, np.zeros(2))
    assert (h, bent) == (0.0, True)


@pytest.mark.parametrize(
    ("length", "trials"), [(1.0, [1]), (4.0, [1, 0.25]), (20.0, [1, 0.1, 0.05]), (200.0, [1, 0.1, 0.01, 0.005])]
)
def test_a_step_is_shortened_to_the_minimum_of_the_parabola(length, trials):
    """On a parabola the first trial within [s/10, s/2] that can be its minimum is, and is taken."""
    seen = []
    parabola = quadratic(1.0)

    def recorded(theta):
        seen.append((1 - float(theta[0])) / length)
        return parabola.energy_and_gradient(theta)

    phi = Movement(np.ones(1), 1e12, recorded, parabola.inner)
    start = phi.at(np.zeros(1))
    seen.clear()
    new = backtrack(phi, start, start, np.array([-length]), 1.0, bent=False, smallest=1e-16)
    np.testing.assert_allclose(seen, trials, rtol=1e-9)
    assert abs(new.theta[0]) <= 1e-9


def test_a_direction_that_does_not_descend_is_not_tried():
    well = double_well()
    phi = Movement(np.array([0.5, 2.0]), 1.0, well.energy_and_gradient, well.inner)
    start = phi.at(np.zeros(2))
    across = np.array([start.R[1], -start.R[0]])
    for p in (np.zeros(2), across - start.R * (across @ start.R) / (start.R @ start.R), start.R):
        if float(start.R @ p) >= 0:
            assert backtrack(phi, start, start, p, 1.0, bent=False, smallest=1e-16) is None


def test_the_rounding_of_phi_is_of_the_first_order_in_theta_and_in_the_energies():
    well = double_well()
    phi = Movement(np.array([0.5, 2.0]), 1.0, well.energy_and_gradient, well.inner)
    start = phi.at(np.zeros(2))

    def rounding(size, E=1.0, g=1.0, h=2.0):
        return phi.rounding_of_phi(start._replace(size_theta=size, E=E, size_g=g), start._replace(E=E), h)

    unit = rounding(0.0) / 2  # of |E| = 1, at both ends
    assert 0 < unit < 1e-13
    for size, E, g, h in ((1.0, 1.0, 1.0, 2.0), (10.0, 1.0, 3.0, 2.0), (1e3, 0.0, 1.0, 2.0), (2.0, 8.0, 0.0, 9.0)):
        wanted = unit * (2 * E + (g + math.sqrt(2 * E * h)) * size)
        np.testing.assert_allclose(rounding(size, E, g, h), wanted, rtol=1e-13)
        np.testing.assert_allclose(rounding(size, -E, g, h), wanted, rtol=1e-13)


def test_function_problem_and_least_squares_problem_agree():
    problem, theta = smooth_problem("energy-part-and-mass")
    for scheme in FIRST_ORDER.values():
        a, b = (run(scheme, p, theta, 0.3, 4).theta for p in (problem, as_function_problem(problem)))
        np.testing.assert_allclose(a, b, rtol=0, atol=20 * EPS)
