"""The network's derivatives, against complex steps of an implementation that shares no code with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.energies.protocols import LeastSquares, Problem
from gradflow.kernels import select
from gradflow.models import Classification, Regression, TwoLayerNet
from gradflow.models.losses import CrossEntropy
from gradflow.models.two_layer import block_rows
from network_cases import ACTIVATION_NAMES, CLASSIFICATION, LAWS, REGRESSION, complex_step, network_case, scales

SQUARES = [law for law in LAWS if law[2] != "cross_entropy"]


def close(actual, wanted, tolerance=1e-12):
    """Compare relative to the largest entry."""
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.max(np.abs(wanted)) + 1e-300)


def inverse_mass(problem):
    return problem.net.width if problem.time_scale == "mean_field" else 1.0


@pytest.mark.parametrize(("activation", "k", "loss"), LAWS)
def test_energy_and_gradient(activation, k, loss):
    for case in scales(activation, k, loss):
        problem, theta = case.problem, case.theta
        E, g = problem.energy_and_gradient(theta)
        close(E, case.energy(theta))
        close(problem.energy(theta), case.energy(theta))
        partials = np.array([complex_step(case.energy, theta, e) for e in np.eye(theta.size)])
        close(g, inverse_mass(problem) * partials)
        close(case.gradient(theta), g)
        v = np.cos(np.arange(theta.size))
        close(problem.inner(g, v), partials @ v)  # the definition of a gradient


@pytest.mark.parametrize(("activation", "k", "loss"), LAWS)
def test_hvp_is_the_derivative_of_the_gradient(activation, k, loss):
    for case in scales(activation, k, loss):
        problem, theta = case.problem, case.theta
        v, w = np.random.default_rng(1).standard_normal((2, theta.size))
        close(problem.hvp(theta, v), complex_step(case.gradient, theta, v))
        assert problem.inner(problem.hvp(theta, v), w) == pytest.approx(
            problem.inner(v, problem.hvp(theta, w)), rel=1e-12, abs=1e-12 * problem.inner(v, v)
        )


@pytest.mark.parametrize(("activation", "k", "loss"), SQUARES)
def test_linearization(activation, k, loss):
    for case in scales(activation, k, loss):
        problem, theta = case.problem, case.theta
        at = problem.linearize(theta)
        close(at.residual, case.residual(theta))
        assert at.residual @ at.residual / 2 == pytest.approx(problem.energy(theta), rel=4e-16 * at.residual.size)
        columns = np.array([complex_step(case.residual, theta, e) for e in np.eye(theta.size)]).T
        J = at.jacobian()
        close(J, columns)
        close(at.gram(), inverse_mass(problem) * columns @ columns.T)
        np.testing.assert_array_equal(at.gram(), at.gram().T)
        d, u = np.random.default_rng(2).standard_normal(theta.size), np.cos(np.arange(at.residual.size))
        close(at.jvp(d), columns @ d)
        close(at.vjp(u), inverse_mass(problem) * columns.T @ u)
        close(at.vjp(at.residual), problem.energy_and_gradient(theta)[1], 1e-13)  # dE = J^* q


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.sampled_from(ACTIVATION_NAMES), st.integers(1, 4), st.integers(1, 30), st.integers(1, 20), st.integers(0, 99),
    st.sampled_from(["float32", "float64"]), st.sampled_from(["mean_field", "autograd"]),
)  # fmt: skip
def test_vjp_is_the_adjoint_of_jvp(activation, k, m, N, seed, dtype, time_scale):
    case = network_case(activation, k, "mse", "ntk", time_scale, m=m, N=N, seed=seed, dtype=dtype)
    at = case.problem.linearize(case.theta)
    rng = np.random.default_rng(seed)
    d, u = rng.standard_normal(case.theta.size).astype(dtype), rng.standard_normal(N * k).astype(dtype)
    terms = float(np.abs(u) @ np.abs(at.jacobian().astype(float)) @ np.abs(d))
    gap = abs(float(case.problem.inner(at.vjp(u), d)) - float(u @ at.jvp(d)))
    assert gap <= 4 * np.finfo(dtype).eps * np.sqrt(m * N * k) * terms


@pytest.mark.parametrize(("activation", "k", "loss"), [("relu", 1, "mse"), ("tanh", 3, "cross_entropy")])
def test_weight_decay_is_a_term_of_the_energy(activation, k, loss):
    decay = 0.3
    plain, decayed = network_case(activation, k, loss), network_case(activation, k, loss, weight_decay=decay)
    theta, v, problem = plain.theta, np.cos(plain.theta), decayed.problem
    F, g = plain.problem.energy_and_gradient(theta)
    E, h = problem.energy_and_gradient(theta)
    assert pytest.approx(F + decay * problem.inner(theta, theta) / 2, rel=1e-14) == E
    close(h, g + decay * theta, 1e-14)
    close(problem.hvp(theta, v), plain.problem.hvp(theta, v) + decay * v, 1e-14)
    np.testing.assert_array_equal(problem.nonlinear_energy_and_gradient(theta)[1], g)
    assert problem.linear.scalar == decay
    assert plain.problem.linear.scalar == 0


@pytest.mark.parametrize("loss", REGRESSION + CLASSIFICATION)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_float32_stays_float32_and_close_to_float64(activation, k, loss):
    if k == 1 and loss in CLASSIFICATION:
        return
    for single in scales(activation, k, loss, dtype="float32", weight_decay=0.1):
        problem, theta = single.problem, single.theta
        v = np.cos(theta)
        out = [problem.inner(v, v), problem.energy(theta), *problem.energy_and_gradient(theta), problem.hvp(theta, v)]
        out.append(problem.net(theta, single.x))
        if isinstance(problem, LeastSquares):
            at = problem.linearize(theta)
            out += [at.residual, at.jvp(v), at.vjp(at.residual), at.gram(), at.jacobian()]
            part = problem.batch(np.array([2, 0]))
            out += [part.gather(at.residual), part.scatter(at.residual, part.linearize(theta).residual)]
        assert [a.dtype for a in out] == ["float32"] * len(out)
        assert problem.energy(theta) == pytest.approx(
            single.energy(theta.astype(float)) + 0.1 * problem.inner(theta, theta) / 2, rel=1e-5
        )


@pytest.mark.parametrize("block", [1, 2, 5])
@pytest.mark.parametrize(("activation", "k", "loss"), [("relu", 1, "relative"), ("gelu", 3, "cross_entropy")])
def test_blocks_of_samples_add_up(activation, k, loss, block):
    case = network_case(activation, k, loss, N=7)
    problem, theta = case.problem, case.theta
    E, g, H_v = *problem.energy_and_gradient(theta), problem.hvp(theta, theta)
    problem._block = block
    close(problem.energy(theta), E, 1e-15)
    close(problem.energy_and_gradient(theta)[0], E, 1e-15)
    close(problem.energy_and_gradient(theta)[1], g, 1e-15)
    close(problem.hvp(theta, theta), H_v, 1e-15)


def test_many_samples_go_through_several_blocks():
    case = network_case("relu", m=300, N=2000, kernels="auto")
    assert case.problem._block < 2000
    close(case.problem.energy(case.theta), case.energy(case.theta), 1e-13)
    close(case.problem.net(case.theta, case.x), case.outputs(case.theta), 1e-13)
    _, g = case.problem.energy_and_gradient(case.theta)
    close(g, case.problem.linearize(case.theta).vjp(case.problem.linearize(case.theta).residual), 1e-13)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_order_of_samples_and_of_neurons_does_not_matter(activation, loss):
    case = network_case(activation, 10, loss, m=6, N=8)
    problem, theta = case.problem, case.theta
    rng = np.random.default_rng(3)
    E, g = problem.energy_and_gradient(theta)
    samples = problem.batch(rng.permutation(8))
    close(samples.energy(theta), E, 1e-14)
    close(samples.energy_and_gradient(theta)[1], g, 1e-14)
    order = rng.permutation(6)

    def permuted(v):
        W, a = problem.net.unpack(v)
        return np.concatenate([W[:, order].reshape(-1), a[order].reshape(-1)])

    close(problem.energy(permuted(theta)), E, 1e-14)
    close(problem.energy_and_gradient(permuted(theta))[1], permuted(g), 1e-14)
    close(problem.hvp(permuted(theta), permuted(g)), permuted(problem.hvp(theta, g)), 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dead_neurons_have_zero_gradients(dtype):
    case = network_case("relu", 2, dtype=dtype, m=3)
    theta = case.theta.copy()
    W, _ = case.problem.net.unpack(theta)
    W[:-1], W[-1] = 0, -1
    E, g = case.problem.energy_and_gradient(theta)
    H_v = case.problem.hvp(theta, np.ones_like(theta))
    assert pytest.approx(np.mean(case.y**2), rel=1e-5) == E
    np.testing.assert_array_equal(g, np.zeros_like(g))
    np.testing.assert_array_equal(H_v, np.zeros_like(g))
    at = case.problem.linearize(theta)
    np.testing.assert_array_equal(at.gram(), np.zeros((10, 10)))
    np.testing.assert_array_equal(at.jacobian(), np.zeros((10, theta.size)))


@pytest.mark.parametrize("loss", REGRESSION)
def test_one_neuron_one_sample(loss):
    case = network_case("tanh", 1, loss, D=1, m=1, N=1)
    assert case.theta.shape == (3,)
    close(case.problem.energy(case.theta), case.energy(case.theta))
    at = case.problem.linearize(case.theta)
    close(at.gram(), at.jacobian() @ at.jacobian().T)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_huge_logits(dtype):
    f = np.array([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], dtype=dtype)
    loss = CrossEntropy(np.eye(3, dtype=dtype)[[0, 1, 2]], 1 / 3)
    E, delta = loss.energy_and_slope(f)
    np.testing.assert_allclose([E, loss.energy(f)], (0.0 + 2e4 + np.log(3)) / 3, rtol=1e-6)
    wanted = np.array([[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]]) / 3
    np.testing.assert_allclose(delta, wanted, rtol=1e-6)
    assert np.all(np.isfinite(loss.curvature(f, np.ones_like(f))))


def test_cross_entropy_keeps_its_digits_when_nearly_zero():
    gap = 60.0  # exp(-60) is far below the round-off of 1
    f = np.array([[gap, 0.0, -1.0]])
    E, delta = CrossEntropy(np.eye(3)[[0]], 1.0).energy_and_slope(f)
    tail = np.exp(-gap) + np.exp(-gap - 1)
    assert pytest.approx(tail, rel=1e-14, abs=0) == E
    np.testing.assert_allclose(delta, [[-tail, np.exp(-gap), np.exp(-gap - 1)]], rtol=1e-14)


def test_classification_accuracy_and_kind():
    case = network_case("tanh", 3, "cross_entropy", N=40)
    right = np.argmax(case.outputs(case.theta), axis=1) == case.y
    assert case.problem.accuracy(case.theta) == np.mean(right)
    np.testing.assert_array_equal(case.problem.labels, case.y)
    np.testing.assert_array_equal(case.problem.batch(np.array([3, 1])).labels, case.y[[3, 1]])
    squared = network_case("tanh", 3, "squared_onehot").problem
    assert isinstance(case.problem, Problem)
    assert not isinstance(case.problem, LeastSquares)
    assert not hasattr(case.problem, "linearize")
    assert isinstance(squared, Classification)
    assert isinstance(squared, LeastSquares)
    assert isinstance(network_case().problem, LeastSquares)
    as_keyword = Classification(net=case.problem.net, x=case.x, labels=case.y, loss="squared_onehot")
    assert isinstance(as_keyword, LeastSquares)


def test_defaults_are_a_mean_in_mean_field_time_without_weight_decay():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((5, 2)), np.array([0, 1, 2, 1, 0])
    for kind, net, targets, loss in (
        (Regression, TwoLayerNet(2, 3), labels / 2, "mse"),
        (Classification, TwoLayerNet(2, 3, n_outputs=3), labels, "cross_entropy"),
    ):
        problem = kind(net, x, targets)
        written = kind(net, x, targets, loss=loss, time_scale="mean_field", weight_decay=0.0)
        theta = net.init(0)
        assert problem.linear.scalar == 0
        assert problem.loss == loss
        assert problem.energy(theta) == written.energy(theta)
        np.testing.assert_array_equal(problem.energy_and_gradient(theta)[1], written.energy_and_gradient(theta)[1])


def test_the_work_of_a_network_grows_with_every_size():
    def work(N, D, m, k):
        net = TwoLayerNet(D, m, n_outputs=k)
        rng = np.random.default_rng(0)
        problem = Regression(net, rng.standard_normal((N, D)), rng.standard_normal((N, k)))
        return problem.linearize(net.init(0)).work

    least = work(4, 3, 5, 2)
    for larger in (work(5, 3, 5, 2), work(4, 4, 5, 2), work(4, 3, 6, 2), work(4, 3, 5, 3)):
        assert larger.products > least.products
        assert larger.gram > least.gram


def test_targets_may_be_a_vector_and_are_copied():
    net, x, y = TwoLayerNet(2, 3), np.ones((4, 2)), np.arange(4.0)
    problem = Regression(net, x, y)
    theta = net.init(0)
    E = problem.energy(theta)
    x[:], y[:] = 7, 7
    assert problem.energy(theta) == E
    assert problem.y.shape == (4, 1)
    np.testing.assert_array_equal(problem.x, np.ones((4, 2)))
    assert (problem.n_samples, problem.n_outputs, problem.mass) == (4, 1, 1 / 3)


def test_evaluations_write_into_nothing():
    case = network_case("relu", 1, N=6)
    theta = case.theta.copy()
    at = case.problem.linearize(theta)
    first = (at.jvp(theta), at.vjp(at.residual), at.gram(), at.jacobian(), at.residual.copy())
    case.problem.energy_and_gradient(theta + 1)
    case.problem.hvp(theta, theta)
    np.testing.assert_array_equal(theta, case.theta)
    again = (at.jvp(theta), at.vjp(at.residual), at.gram(), at.jacobian(), at.residual)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8)])
def test_the_hidden_values_of_a_block_fill_its_bytes(dtype, size):
    """As many samples as fit into BLOCK_BYTES, 64 at least."""
    net = TwoLayerNet(2, 1000)
    K = select(net.kernels, np.zeros(1))
    for width in (100, 1000, 2048):
        rows = block_rows(K, width, np.dtype(dtype))
        assert rows * width * size <= K.BLOCK_BYTES < (rows + 1) * width * size
    assert block_rows(K, 10**7, np.dtype(dtype)) == 64
