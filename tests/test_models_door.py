"""Wrong arguments raise a ValueError that says what was wanted and what came."""

from math import sqrt

import numpy as np
import pytest

from gradflow.energies.linear import Diagonal
from gradflow.models import Classification, Regression, TwoLayerNet
from network_cases import network_case

X, Y, LABELS = np.ones((4, 2)), np.ones((4, 3)), np.array([0, 1, 2, 0])
NET = TwoLayerNet(2, 5, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5), "n_inputs must be a whole number >= 1, got 0"),
        ((2, 5.0), r"width must be a whole number >= 1, got 5\.0"),
        ((2, True), "width must be a whole number >= 1, got True"),
        ((2, 5, -1), "n_outputs must be a whole number >= 1, got -1"),
        ((2, 5, 1, "swish"), "activation must be one of relu, .*; got 'swish'"),
        ((2, 5, 1, ["relu"]), "activation must be one of relu, .*; got list of length 1$"),
        ((2, 5, 1, "relu", ["ntk"]), "scaling must be one of .*; got list of length 1$"),
        ((2, 5, 1, "relu", "ntk", ["numba"]), "kernels must be one of .*; got list of length 1$"),
        ((2, -(10**5000)), "width must be a whole number >= 1, got an object of type int$"),
        ((2, "5" * 1000), "width must be a whole number >= 1, got str of length 1000$"),
        ((2, 5, 1, "relu", "mup"), "scaling must be one of mean_field, standard, ntk; got 'mup'"),
        ((2, 5, 1, "relu", "ntk", "torch"), "kernels must be one of auto, reference, numba, cupy; got 'torch'"),
    ],
)
def test_networks(arguments, message):
    with pytest.raises(ValueError, match=message):
        TwoLayerNet(*arguments)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"seed": -1}, "seed must be a whole number >= 0 or a numpy.random.Generator, got -1"),
        ({"seed": None}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"seed": True}, "seed must be"),
        ({"seed": 0, "dtype": "float16"}, "dtype must be float32 or float64, got 'float16'"),
        ({"seed": 0, "dtype": "int64"}, "dtype must be float32 or float64"),
        ({"seed": 0, "dtype": "no"}, "dtype must be float32 or float64, got 'no'"),
        (
            {"seed": 0, "distribution": "xavier"},
            "distribution must be one of normal, he, he_fan_out, uniform; got 'xavier'",
        ),
    ],
)
def test_initial_parameters(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NET.init(**kwargs)


def nan_at(a, *index):
    a = a.copy()
    a[index] = np.nan
    return a


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("net", X, Y), "net must be a TwoLayerNet, got 'net'"),
        (([NET], X, Y), "net must be a TwoLayerNet, got list of length 1$"),
        ((NET, X, Y, ["mse"]), "loss must be one of mse, half_sum, relative; got list of length 1$"),
        ((NET, X[:, :1], Y), r"x must have shape \(N, D\), N >= 1 and D = 2; got \(4, 1\)"),
        ((NET, X[0], Y), r"x must have shape .*; got \(2,\)"),
        ((NET, X[:0], Y[:0]), r"N >= 1 and D = 2; got \(0, 2\)"),
        ((NET, X.tolist(), Y), r"x must be an array of shape .*; got list of length 4; np.asarray"),
        ((NET, [[0.0, 1.0]] * 10_000, Y), r"x must be an array of shape .*; got list of length 10000; np.asarray"),
        ((NET, "x" * 1000, Y), r"x must be an array of shape .*; got str of length 1000$"),
        ((NET, object(), Y), r"x must be an array of shape .*; got an object of type object$"),
        ((NET, np.float64(2), Y), r"x must be an array of shape .*; got np\.float64\(2\.0\)$"),
        ((NET, X.astype(int), Y), "x must be float32 or float64, got int64"),
        ((NET, X.astype("float16"), Y), "x must be float32 or float64, got float16"),
        ((NET, X.astype(complex), Y), "x must be float32 or float64, got complex128"),
        ((NET, nan_at(X, 1, 1), Y), "x must have finite entries"),
        ((NET, X, Y[:3]), r"y must have shape \(N, k\), N = 4 and k = 3; got \(3, 3\)"),
        ((NET, X, Y[:, 0]), r"y must have shape \(N, k\), N = 4 and k = 3; got \(4,\)"),
        (
            (NET, X, Y.tolist()),
            r"y must be an array of shape \(N, k\), N = 4 and k = 3; got list of length 4; np.asarray",
        ),
        ((TwoLayerNet(2, 5), X, Y), r"y must have shape \(N, k\), N = 4 and k = 1; got \(4, 3\)"),
        ((NET, X, Y.astype("float32")), "y must have the dtype of x, float64; got float32"),
        ((NET, X, Y.astype(int)), "y must have the dtype of x, float64; got int64"),
        ((NET, X, -np.inf * Y), "y must have finite entries"),
        ((NET, X, Y, "mae"), "loss must be one of mse, half_sum, relative; got 'mae'"),
        ((NET, X, 0 * Y, "relative"), r"divides by sum\(y\^2\), which must be positive and finite; got 0"),
        ((NET, X, 1e200 * Y, "relative"), r"positive and finite; got inf"),
        ((NET, X, Y, "mse", "ntk"), "time_scale must be one of mean_field, autograd; got 'ntk'"),
        ((NET, X, Y, "mse", "autograd", -1.0), r"weight_decay must be a finite number >= 0 .*, got -1\.0"),
        ((NET, X, Y, "mse", "autograd", "l2"), "weight_decay must be a finite number >= 0 .*, got 'l2'"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_regression(arguments, message):
    with pytest.raises(ValueError, match=message):
        Regression(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NET, X, LABELS[:2]), r"labels must have shape \(N,\), N = 4; got \(2,\)"),
        ((NET, X, Y), r"labels must have shape \(N,\), N = 4; got \(4, 3\)"),
        ((NET, X, LABELS.astype(float)), "labels must be integers, got float64"),
        ((NET, X, LABELS == 0), "labels must be integers, got bool"),
        ((NET, X, LABELS + 1), r"labels must lie in \[0, 3\); got 1 to 3"),
        ((NET, X, LABELS - 1), r"labels must lie in \[0, 3\); got -1 to 1"),
        ((NET, X, LABELS, "mse"), "loss must be one of cross_entropy, squared_onehot; got 'mse'"),
        ((TwoLayerNet(2, 5), X, 0 * LABELS), "n_outputs >= 2; got 1"),
        ((NET, nan_at(X, 0, 0), LABELS), "x must have finite entries"),
    ],
)
def test_classification(arguments, message):
    with pytest.raises(ValueError, match=message):
        Classification(*arguments)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_onehot"])
def test_two_classes_are_enough(loss):
    problem = Classification(TwoLayerNet(2, 5, n_outputs=2), X, LABELS % 2, loss)
    np.testing.assert_array_equal(problem.labels, LABELS % 2)
    assert np.isfinite(problem.energy(problem.net.init(0)))


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("method", ["energy", "energy_and_gradient", "hvp", "linearize", "accuracy"])
def test_theta_in_every_method(method, loss):
    problem = network_case("relu", 3, loss, m=10).problem  # P = 60
    if not hasattr(problem, method):
        return

    def call(v):
        return getattr(problem, method)(v, v) if method == "hvp" else getattr(problem, method)(v)

    with pytest.raises(ValueError, match=r"theta must have shape \(P,\), P = 60; got \(59,\)"):
        call(np.zeros(59))
    with pytest.raises(ValueError, match=r"theta must have shape \(P,\), P = 60; got \(60, 1\)"):
        call(np.zeros((60, 1)))
    with pytest.raises(
        ValueError, match=r"theta must be an array of shape \(P,\), P = 60; got list of length 60; np.asarray"
    ):
        call([0.0] * 60)
    if method != "accuracy":
        with pytest.raises(ValueError, match="theta must have the dtype of the data, float64; got float32"):
            call(np.zeros(60, dtype="float32"))


def test_directions_and_the_network_itself():
    case = network_case("relu", 3, "mse", m=10)
    problem, theta = case.problem, case.theta
    at = problem.linearize(theta)
    calls = {
        r"v must have shape \(P,\), P = 60; got \(3,\)": lambda: problem.hvp(theta, np.zeros(3)),
        "v must have the dtype": lambda: problem.hvp(theta, theta.astype("f")),
        r"d must have shape \(P,\), P = 60; got \(3,\)": lambda: at.jvp(np.zeros(3)),
        "d must have the dtype": lambda: at.jvp(theta.astype("f")),
        r"u must have shape \(N k,\), N k = 15; got \(60,\)": lambda: at.vjp(theta),
        "u must have the dtype": lambda: at.vjp(at.residual.astype("f")),
        r"theta must have shape \(P,\), P = 60; got \(2,\)": lambda: problem.net.unpack(np.zeros(2)),
        r"x must have shape \(N, D\), N >= 1 and D = 2; got \(5, 3\)": lambda: problem.net(theta, np.zeros((5, 3))),
        r"x must have shape \(N, D\), N >= 1 and D = 2; got \(2,\)": lambda: problem.net(theta, np.zeros(2)),
        "x must have the dtype of theta, float64; got float32": lambda: problem.net(theta, case.x.astype("f")),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_layout_and_scale_of_the_parameters():
    net = TwoLayerNet(np.int64(2), 3, 2)
    theta = np.arange(15.0)
    W, a = net.unpack(theta)
    np.testing.assert_array_equal(W, np.arange(9.0).reshape(3, 3))
    np.testing.assert_array_equal(a, np.arange(9.0, 15).reshape(3, 2))
    assert np.shares_memory(W, theta)
    assert np.shares_memory(a, theta)
    assert net.n_parameters == 15
    assert [TwoLayerNet(1, 4, 1, "relu", s).scale for s in ("mean_field", "standard", "ntk")] == [0.25, 1, 0.5]
    x = np.array([[1.0, -1.0]])
    z = np.array([[0 - 3 + 6.0, 1 - 4 + 7.0, 2 - 5 + 8.0]])  # the last row of W is the bias
    np.testing.assert_allclose(net(theta, x), z @ a / 3, rtol=1e-15)
    assert net == TwoLayerNet(2, 3, 2)
    assert net.describe()["n_inputs"] == 2
    assert type(net.describe()["n_inputs"]) is int


@pytest.mark.parametrize("scaling", ["mean_field", "standard", "ntk"])
@pytest.mark.parametrize("distribution", ["normal", "he", "he_fan_out", "uniform"])
def test_initial_distributions(distribution, scaling):
    net = TwoLayerNet(3, 4000, scaling=scaling)
    theta = net.init(7, distribution=distribution)
    W, a = net.unpack(theta)
    spread = {
        "normal": (1, 1),
        "uniform": (sqrt(1 / 3),) * 2,
        "he": (sqrt(2 / 4), 1),
        "he_fan_out": (sqrt(2 / 4000), sqrt(2)),
    }[distribution]
    if distribution == "he" and scaling == "standard":
        spread = (sqrt(2 / 4), sqrt(2 / 4000))
    assert np.std(W) == pytest.approx(spread[0], rel=0.03)
    assert np.std(a) == pytest.approx(spread[1], rel=0.05)
    assert abs(np.mean(W)) < 0.03 * spread[0]
    if distribution == "uniform":
        assert -1 <= theta.min() < -0.99
        assert 0.99 < theta.max() < 1
    single = net.init(7, distribution=distribution, dtype="float32")
    assert single.dtype == "float32"
    assert net.init(7, dtype=np.float32).dtype == net.init(7, dtype=np.dtype("float32")).dtype == "float32"
    np.testing.assert_array_equal(single, theta.astype("float32"))
    np.testing.assert_array_equal(net.init(np.random.default_rng(7), distribution=distribution), theta)
    assert theta.shape == (net.n_parameters,)


def test_weight_decay_may_be_a_diagonal():
    decay = Diagonal(np.linspace(0, 1, NET.n_parameters))
    problem, theta = Regression(NET, X, Y, weight_decay=decay), NET.init(0)
    assert problem.describe()["weight_decay"]["type"] == "Diagonal"
    E, g = problem.energy_and_gradient(theta)
    F, g_F = problem.nonlinear_energy_and_gradient(theta)
    assert pytest.approx(F + np.sum(decay.diagonal * theta**2) / 5 / 2, rel=1e-14) == E
    np.testing.assert_allclose(g, g_F + decay.diagonal * theta, rtol=1e-14)
    with pytest.raises(ValueError, match=r"weight_decay must have shape \(P,\), P = 30; got \(40,\)"):
        Regression(NET, X, Y, weight_decay=Diagonal(np.ones(40)))
    with pytest.raises(ValueError, match="weight_decay must have the dtype of the data, float64; got float32"):
        Regression(NET, X, Y, weight_decay=Diagonal(np.ones(30, dtype="float32")))
