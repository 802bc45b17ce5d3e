"""Your own energy or residual: inner products, adjoints, and refusals that say what was wanted."""

import numpy as np
import pytest

import gradflow as gf
from cases import LINEAR_PARTS, MASSES, residual_case
from gradflow.energies.dense import DenseLinearization
from gradflow.energies.linear import add


@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("linear", LINEAR_PARTS)
def test_gradient_is_the_representer_of_the_derivative(linear, mass):
    """(grad E, v)_M = dE[v], by central differences, and it is J^* q plus L theta."""
    case = residual_case(0, 7, 5, linear=linear, mass=mass)
    E, g = case.problem.energy_and_gradient(case.theta)
    np.testing.assert_array_equal(E, case.problem.energy(case.theta))
    h = 1e-5
    for v in np.random.default_rng(1).standard_normal((5, 7)):
        slope = (case.problem.energy(case.theta + h * v) - case.problem.energy(case.theta - h * v)) / (2 * h)
        assert case.problem.inner(g, v) == pytest.approx(slope, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("mass", MASSES)
def test_vjp_is_the_adjoint_of_jvp_and_gram_their_product(mass):
    case = residual_case(2, 7, 5, mass=mass)
    at = case.problem.linearize(case.theta)
    rng = np.random.default_rng(0)
    d, u = rng.standard_normal(7), rng.standard_normal(5)
    assert case.problem.inner(at.vjp(u), d) == pytest.approx(u @ at.jvp(d), rel=1e-13)
    np.testing.assert_allclose(at.gram() @ u, at.jvp(at.vjp(u)), rtol=1e-12)
    assert np.array_equal(at.gram(), at.gram().T)


def test_the_protocols_know_their_own():
    case = residual_case(0, 3, 3)
    function = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    assert isinstance(case.problem, gf.LeastSquares)
    assert isinstance(function, gf.Problem)
    assert not isinstance(function, gf.LeastSquares)


def test_a_custom_inner_product_is_the_only_one_used():
    """With (u, v)_M = u . M v and the gradient M^{-1} dE the flow of a quadratic decays as exp(-t M^{-1} K)."""
    M, K = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[3.0, 1.0], [1.0, 2.0]])
    problem = gf.FunctionProblem(
        lambda t: t @ K @ t / 2, lambda t: np.linalg.solve(M, K @ t), inner=lambda u, v: u @ M @ v
    )
    solution = gf.solve(
        problem, gf.SAV(C=1.0), np.array([1.0, -1.0]), dt=1e-3, steps=1000, record=["identity_residual"]
    )
    values, vectors = np.linalg.eig(np.linalg.solve(M, K))
    exact = vectors @ (np.exp(-values) * np.linalg.solve(vectors, [1.0, -1.0]))
    np.testing.assert_allclose(solution.theta, exact, atol=2e-3)
    assert np.abs(solution.history["identity_residual"][1:]).max() < 1e-14


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gf.FunctionProblem(1.0, lambda t: t), "energy must be a function of theta, got 1.0"),
        (lambda: gf.FunctionProblem(lambda t: t, lambda t: t, hvp=3), "hvp must be a function of two vectors"),
        (lambda: gf.FunctionProblem(lambda t: t, lambda t: t, inner=np.dot, mass=1.0), "inner or mass, not both"),
        (lambda: gf.DenseLeastSquares(lambda t: t, 1.0), "jacobian must be a function"),
        (lambda: gf.DenseLeastSquares(lambda t: t, lambda t: t, mass=0.0), "mass must be a finite number > 0"),
        (lambda: gf.DenseLeastSquares(lambda t: t, lambda t: t, mass=np.array([1.0, -1.0])), "entries > 0"),
        (lambda: gf.DenseLeastSquares(lambda t: t, lambda t: t, linear=-1.0), "linear must be a finite number >= 0"),
        (lambda: gf.Shift(-1.0), "shift must be a finite number >= 0, got -1.0"),
        (lambda: gf.Diagonal(np.array([1.0, np.nan])), "finite entries >= 0"),
        (lambda: gf.Diagonal(2.0), r"array of shape \(P,\)"),
        (lambda: gf.SAV(C=float("nan")), "C must be a finite number, got nan"),
        (lambda: gf.SAV(stabilization=-1.0), "stabilization must be a finite number >= 0 or a LinearPart, got -1.0"),
        (lambda: gf.ExpSAV(form="exp"), "form must be one of implicit"),
        (lambda: gf.ExpSAV(scale=0.0), "scale must be a finite number > 0"),
        (lambda: gf.IEQ(solver="qr"), "solver must be one of auto"),
        (lambda: gf.AdaptiveSAV(beta1=1.0), r"beta1 must lie in \[0, 1\), got 1.0"),
    ],
)
def test_doors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_shapes_from_your_functions():
    theta = np.ones(3)
    with pytest.raises(ValueError, match=r"jacobian\(theta\) must have shape \(N, P\), N = 2 and P = 3; got \(3, 2\)"):
        gf.DenseLeastSquares(lambda t: np.ones(2), lambda t: np.ones((3, 2))).linearize(theta)
    with pytest.raises(ValueError, match=r"residual\(theta\) must have shape \(N,\)"):
        gf.DenseLeastSquares(lambda t: np.ones((2, 1)), lambda t: np.ones((2, 3))).energy(theta)
    with pytest.raises(ValueError, match=r"gradient\(theta\) must have shape \(P,\), P = 3; got \(2,\)"):
        gf.FunctionProblem(lambda t: t @ t, lambda t: np.ones(2)).energy_and_gradient(theta)
    with pytest.raises(ValueError, match="diagonal inner product"):
        gf.ElementwiseSAV().init(gf.FunctionProblem(lambda t: t @ t, lambda t: t, inner=np.dot), theta)


def test_nothing_promotes_float32_silently():
    theta = np.ones(3, dtype=np.float32)
    wide = np.float64(2.0)
    problem = gf.FunctionProblem(lambda t: wide * (t @ t), lambda t: np.float32(4) * t)
    assert problem.energy(theta).dtype == np.float32
    with pytest.raises(ValueError, match=r"gradient\(theta\) must have the dtype of theta, float32; got float64"):
        gf.FunctionProblem(lambda t: t @ t, lambda t: wide * t).energy_and_gradient(theta)
    J = np.eye(3)
    with pytest.raises(ValueError, match=r"residual\(theta\) must have the dtype of theta, float32; got float64"):
        gf.DenseLeastSquares(lambda t: J @ t, lambda t: J).linearize(theta)


def test_a_linearisation_without_an_inner_product_is_euclidean():
    J, q, u = np.arange(6.0).reshape(2, 3), np.ones(2), np.array([2.0, -1.0])
    at = DenseLinearization(q, J)
    np.testing.assert_array_equal(at.vjp(u), J.T @ u)
    np.testing.assert_array_equal(at.gram(), J @ J.T)


def test_operators_that_know_their_sum_are_added():
    class Known:
        scalar = None

        def __init__(self, K):
            self.K = K

        def __add__(self, other):
            return Known(self.K + other.K)

        def apply(self, u):
            return u @ self.K

        def solve_shifted(self, u, dt):
            return np.linalg.solve(np.eye(2) + dt * self.K, u)

    A, B = np.diag([1.0, 2.0]), np.array([[2.0, 1.0], [1.0, 2.0]])
    u = np.array([1.0, -3.0])
    total = add(Known(A), Known(B))
    np.testing.assert_array_equal(total.apply(u), u @ (A + B))
    np.testing.assert_allclose(total.solve_shifted(u, 0.5), np.linalg.solve(np.eye(2) + (A + B) / 2, u))
