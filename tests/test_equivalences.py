"""Schemes that are each other in disguise, to round-off, and the limits that tie them to classical methods."""

from fractions import Fraction

import numpy as np
import pytest

from cases import LINEAR_PARTS, MASSES, affine_case, residual_case
from gradflow.curvature import damped_step
from gradflow.linear import Diagonal, Shift, Zero
from gradflow.problem import DenseLeastSquares, FunctionProblem
from gradflow.schemes import (
    IEQ,
    SAV,
    AdaptiveIEQ,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    ImplicitEuler,
    Restart,
    SourceSAV,
)

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
        new = scheme.step(problem, state, dt)
        assert np.all(np.isfinite(new.theta))
        assert np.all(np.isfinite(new.aux))
        assert new.aux @ new.aux <= state.aux @ state.aux * (1 + 8 * np.finfo(dtype).eps)


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


def test_large_stabilization_makes_the_true_energy_fall_for_every_step():
    """Smooth E with constant K, stabilization >= K/2 and r consistent: E(new) <= E(old) for every dt."""
    K = 4.0  # energy sum 2 (1 - cos(theta)) has second derivative 2 cos <= 2; K = 4 leaves room
    problem = FunctionProblem(lambda t: 2 * np.sum(1 - np.cos(t)), lambda t: 2 * np.sin(t))
    rng = np.random.default_rng(0)
    scheme = Restart(SAV(C=0.5, stabilization=K / 2))
    for _ in range(200):
        theta, dt = rng.uniform(-4, 4, 5), float(10 ** rng.uniform(-8, 8))
        new = scheme.step(problem, scheme.init(problem, theta), dt)
        assert problem.energy(new.theta) <= problem.energy(theta) * (1 + 1e-14)


def test_parts_add_up():
    u = np.array([1.0, 2.0])
    d = Diagonal(np.array([1.0, 3.0]))
    from gradflow.linear import add

    for first, second, dense in [
        (Zero(), d, [1, 3]),
        (Shift(2.0), d, [3, 5]),
        (d, d, [2, 6]),
        (Shift(1.0), Shift(2.0), [3, 3]),
    ]:
        total = add(first, second)
        np.testing.assert_allclose(total.apply(u), np.array(dense) * u)
        np.testing.assert_allclose(total.solve_shifted(u, 0.5), u / (1 + 0.5 * np.array(dense)))
