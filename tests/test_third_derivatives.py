"""Third derivatives: against a second implementation by contour integrals, and symmetric in the problem's inner product."""

from itertools import permutations

import array_api_strict as strict
import numpy as np
import pytest

import gradflow as gf
from gradflow.energies.derivatives import differences, third_derivative
from gradflow.energies.protocols import problem_ability
from network_cases import LAWS, network_case, scales

EPS = np.finfo(float).eps


def close(actual, wanted, tolerance):
    """Compare relative to the largest entry."""
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.max(np.abs(wanted)) + 1e-300)


def second(function, theta, v, h=0.05, K=16):
    """Return the second derivative of an analytic function along v: a contour integral, of spectral accuracy."""
    circle = np.exp(2j * np.pi * np.arange(K) / K)
    h = h / np.max(np.abs(v))
    return 2 * np.mean([function(theta + h * z * v) / z**2 for z in circle], axis=0).real / h**2


def mixed(function, theta, u, v, **circle):
    """Return the second derivative along u and v."""
    return (second(function, theta, u + v, **circle) - second(function, theta, u - v, **circle)) / 4


def directions(theta, n=3, seed=1):
    return np.random.default_rng(seed).standard_normal((n, theta.size))


@pytest.mark.parametrize(("activation", "k", "loss"), LAWS)
def test_the_network_agrees_with_contour_integrals_of_its_gradient(activation, k, loss):
    kinked = activation.endswith("relu")
    circle = {"h": 1e-4, "K": 4} if kinked else {}  # no kink may be crossed; the network is a polynomial between them
    for case in scales(activation, k, loss):
        problem, theta = case.problem, case.theta
        u, v, w = directions(theta)
        D3 = problem.third_derivative(theta, u, v)
        size = np.max(np.abs(D3)) + np.max(np.abs(case.gradient(theta)))
        np.testing.assert_allclose(
            D3, mixed(case.gradient, theta, u, v, **circle), rtol=0, atol=(1e-6 if kinked else 1e-10) * size
        )
        close(problem.third_derivative(theta, u, u), problem.third_derivative(theta, u, u.copy()), 8 * EPS)
        close(problem.third_derivative(theta, u, 2 * v + w), 2 * D3 + problem.third_derivative(theta, u, w), 1e-12)


@pytest.mark.parametrize(("activation", "k", "loss"), LAWS)
def test_symmetry_in_all_three_arguments(activation, k, loss):
    for case in scales(activation, k, loss, weight_decay=0.3):
        problem, theta = case.problem, case.theta
        three = directions(theta)
        values = [problem.inner(problem.third_derivative(theta, u, v), w) for u, v, w in permutations(three)]
        D3 = problem.third_derivative(theta, three[0], three[1])
        terms = problem.inner(np.abs(D3), np.abs(three[2])) + abs(values[0])
        assert np.ptp(values) <= 500 * EPS * terms


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_it_is_the_derivative_of_hvp(loss):
    """With an energy part, on all samples, on a batch, and in several blocks."""
    case = network_case("silu", 3, loss, "ntk", N=9, weight_decay=0.3)
    u, v, _ = directions(case.theta)
    blocks = case.problem._with(_block=2)
    close(blocks.third_derivative(case.theta, u, v), case.problem.third_derivative(case.theta, u, v), 1e-14)
    for problem in (case.problem, case.problem.batch(slice(1, 4)), case.problem.batch(np.array([5, 0, 5]))):
        assert problem.has_third_derivative
        exact = third_derivative(problem, case.theta, u, v)
        close(differences(lambda t, problem=problem: problem.hvp(t, u), case.theta, v), exact, 1e-7)
        np.testing.assert_array_equal(exact, problem.third_derivative(case.theta, u, v))


def test_float32_stays_float32():
    for activation, k, loss in LAWS:
        case = network_case(activation, k, loss, "ntk", dtype="float32", weight_decay=0.1)
        wide = network_case(activation, k, loss, "ntk", weight_decay=0.1)
        D3 = case.problem.third_derivative(case.theta, case.theta, case.theta)
        assert D3.dtype == np.float32
        close(D3, wide.problem.third_derivative(*3 * [wide.theta]), 2e-4)


def quartic(mass=None, *, b=None):
    """Return E = sum(b theta^4) / 4 + theta_0 theta_1^2 / 2 in a diagonal inner product, with all derivatives."""
    m = np.ones(3) if mass is None else np.asarray(mass)
    b = np.array([1.0, 2.0, 0.5]) if b is None else b
    cross = lambda x, y: np.array([x[1] * y[1], x[0] * y[1] + x[1] * y[0], 0.0])  # noqa: E731
    return gf.FunctionProblem(
        lambda t: b @ t**4 / 4 + t[0] * t[1] ** 2 / 2,
        lambda t: (b * t**3 + cross(t, t) / 2) / m,
        lambda t, v: (3 * b * t**2 * v + cross(t, v)) / m,
        third_derivative=lambda t, u, v: (6 * b * t * u * v + cross(u, v)) / m,
        mass=mass,
        linear=0.7,
    )


MASSES = [None, 0.25, np.array([0.5, 2.0, 3.0])]
THETA = np.array([0.3, -1.2, 0.8])


@pytest.mark.parametrize("mass", MASSES, ids=["euclidean", "number", "diagonal"])
def test_functions_of_a_user_and_their_sums(mass):
    full = np.ones(3) if mass is None else mass * np.ones(3)
    problem = quartic(full if mass is not None else None)
    other = quartic(full if mass is not None else None, b=np.array([0.0, 1.0, -1.0]))
    total = gf.SumOfEnergies([problem, other], [2.0, 0.5])
    u, v, _ = directions(THETA)
    for each in (problem, other, total):
        assert each.has_third_derivative
        close(each.third_derivative(THETA, u, v), differences(lambda t, each=each: each.hvp(t, u), THETA, v), 1e-8)
        values = [each.inner(each.third_derivative(THETA, a, b), c) for a, b, c in permutations(directions(THETA))]
        assert np.ptp(values) <= 50 * EPS * np.max(np.abs(values))
    close(
        total.third_derivative(THETA, u, v),
        2 * problem.third_derivative(THETA, u, v) + other.third_derivative(THETA, u, v) / 2,
        4 * EPS,
    )


def test_a_residual_of_a_user():
    """q = (theta_0 theta_1, theta_2^2): E = (theta_0^2 theta_1^2 + theta_2^4) / 2."""

    def third(t, u, v):
        a, b = t[0], t[1]
        pairs = u[0] * v[1] + u[1] * v[0]
        return np.array(
            [2 * b * pairs + 2 * a * u[1] * v[1], 2 * a * pairs + 2 * b * u[0] * v[0], 12 * t[2] * u[2] * v[2]]
        )

    residual = lambda t: np.array([t[0] * t[1], t[2] ** 2])  # noqa: E731
    J = lambda t: np.array([[t[1], t[0], 0.0], [0.0, 0.0, 2 * t[2]]])  # noqa: E731
    problem = gf.DenseLeastSquares(residual, J, third_derivative=third, linear=0.3)
    u, v, w = directions(THETA)
    assert problem.has_third_derivative
    close(problem.third_derivative(THETA, u, v), mixed(lambda t: J(t).T @ residual(t), THETA, u, v), 1e-11)
    values = [problem.inner(problem.third_derivative(THETA, a, b), c) for a, b, c in permutations((u, v, w))]
    assert np.ptp(values) <= 50 * EPS * np.max(np.abs(values))
    assert "third_derivative" in problem.describe()


def test_functions_on_strict_arrays():
    array = lambda t: strict.asarray(np.asarray(t))  # noqa: E731
    problem = gf.FunctionProblem(
        lambda t: strict.sum(t**4) / 4, lambda t: t**3, third_derivative=lambda t, u, v: 6 * t * u * v
    )
    u, v, _ = directions(THETA)
    for each in (problem, gf.SumOfEnergies([problem], [2.0])):
        factor = 6.0 if each is problem else 12.0
        D3 = each.third_derivative(array(THETA), array(u), array(v))
        np.testing.assert_allclose(np.asarray(D3), factor * THETA * u * v, rtol=4 * EPS)


def test_who_has_none_says_so():
    without = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy(), lambda t, v: v.copy())
    residual = gf.DenseLeastSquares(lambda t: t.copy())
    mixture = gf.SumOfEnergies([quartic(), without])
    for problem in (without, residual, mixture, network_case("tanh").problem.net):
        assert not problem_ability(problem, "has_third_derivative")
    with pytest.raises(ValueError, match=r"given no third derivatives: pass FunctionProblem\(..., third_derivative"):
        without.third_derivative(THETA, THETA, THETA)
    with pytest.raises(ValueError, match=r"given no third derivatives: pass DenseLeastSquares\(..., third_derivative"):
        residual.third_derivative(THETA, THETA, THETA)
    for problem in (without, mixture):
        with pytest.raises(
            ValueError, match=r'(FunctionProblem|SumOfEnergies) has no third derivatives.*="differences" for'
        ):
            third_derivative(problem, THETA, THETA, THETA)
    np.testing.assert_allclose(third_derivative(without, THETA, THETA, THETA, missing="differences"), 0, atol=1e-9)
    with pytest.raises(ValueError, match="missing must be one of refuse, differences; got 'given'"):
        third_derivative(quartic(), THETA, THETA, THETA, missing="given")


def test_arguments_and_values_are_checked():
    case, own = network_case("tanh"), quartic()
    for problem, theta in ((case.problem, case.theta), (own, THETA)):
        with pytest.raises(ValueError, match=r"u must have shape"):
            problem.third_derivative(theta, theta[1:], theta)
        with pytest.raises(ValueError, match=r"v must have the dtype"):
            problem.third_derivative(theta, theta, theta.astype("f"))
    with pytest.raises(ValueError, match="third_derivative must be a function of three vectors or None, got 3"):
        gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, third_derivative=3)
    wrong = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, third_derivative=lambda t, u, v: u[1:])
    with pytest.raises(ValueError, match=r"third_derivative\(theta, u, v\) must have shape"):
        wrong.third_derivative(THETA, THETA, THETA)


@pytest.mark.parametrize(
    ("theta", "u", "v", "message"),
    [
        (np.array([1, 2, 3]), THETA, THETA, "theta must be float32 or float64"),
        ([1.0, 2.0, 3.0], THETA, THETA, "theta must be an array of shape"),
        (np.ones((3, 3)), THETA, THETA, "theta must have shape"),
        (THETA, THETA[1:], THETA, "u must have shape"),
        (THETA, THETA, THETA[1:], "v must have shape"),
        (THETA, THETA, 2.0, "v must be an array of shape"),
        (THETA, THETA, np.array([1, 2, 3]), "v must have the dtype of theta"),
        (THETA, THETA.astype("f"), THETA, "u must have the dtype of theta"),
        (THETA * 1j, THETA, THETA, "theta must be float32 or float64"),
    ],
)
def test_arguments_of_differences_are_checked(theta, u, v, message):
    without = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy(), lambda t, v: v.copy())
    with pytest.raises(ValueError, match=message):
        third_derivative(without, theta, u, v, missing="differences")


def test_differences_need_second_derivatives():
    for problem in (gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy()), None, gf.FunctionProblem):
        with pytest.raises(ValueError, match="problem must"):
            third_derivative(problem, THETA, THETA, THETA, missing="differences")


def test_check_derivatives_finds_a_wrong_one():
    right = quartic(np.array([0.5, 2.0, 3.0]))
    assert gf.check_derivatives(right, THETA).passed
    case = network_case("tanh", 3, "cross_entropy")
    assert gf.check_derivatives(case.problem, case.theta).passed
    b = np.array([1.0, 2.0, 0.5])
    for wrong in (
        lambda t, u, v: 3 * b * t * u * v,
        lambda t, u, v: 6 * b * t * u * v + 1e-3 * u[0] * v,
        lambda t, u, v: 6 * b * t * u * np.roll(v, 1),
        lambda t, u, v: (6 + np.array_equal(u, v)) * b * t * u * v,
    ):
        problem = gf.FunctionProblem(
            lambda t: b @ t**4 / 4, lambda t: b * t**3, lambda t, v: 3 * b * t**2 * v, third_derivative=wrong
        )
        found = gf.check_derivatives(problem, THETA)
        assert (found.passed, found.quantity) == (False, "third_derivative")
