"""Every kernel set agrees with the reference, and the reference is array-API Python."""

import sys

import array_api_strict as strict
import numpy as np
import pytest

import gradflow.kernels
from gradflow.kernels import KERNELS, kernel_name, reference, select
from gradflow.models import Classification, Regression, TwoLayerNet
from gradflow.models.activations import ACTIVATIONS
from gradflow.models.linearization import NetworkLinearization
from gradflow.namespace import read_only
from kernel_cases import arrays, calls
from network_cases import ACTIVATION_NAMES, network_case

STRICT_NAMES = [name for name in ACTIVATION_NAMES if name not in ("gelu", "erf")]
try:
    import cupy

    KERNEL_SETS = ["numba", "cupy"] if cupy.cuda.is_available() else ["numba"]
except ImportError:
    KERNEL_SETS = ["numba"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@pytest.mark.parametrize("name", KERNEL_SETS)
def test_parity_with_the_reference(name, activation, k, dtype):
    K, s, d = select(name), ACTIVATIONS[activation], arrays(k, dtype)
    before = {key: v.copy() for key, v in d.items()}
    given = {key: cupy.asarray(v) for key, v in d.items()} if name == "cupy" else d
    results = calls(K, s, given)
    for key, wanted in calls(reference, s, d).items():
        got = results[key].get() if name == "cupy" else results[key]
        assert got.dtype == wanted.dtype == dtype, key
        assert got.shape == wanted.shape, key
        np.testing.assert_allclose(
            got, wanted, rtol=0, atol=8 * np.finfo(dtype).eps * np.abs(wanted).max(), err_msg=key
        )
    for key, value in before.items():
        np.testing.assert_array_equal(d[key], value, err_msg=key)  # nothing was written into
    assert set(reference.__all__) <= set(dir(K))


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", ["reference", *KERNEL_SETS])
def test_the_gram_matrix_is_that_of_the_jacobian_for_every_factor(name, k, factor):
    """Equation (6) has the factor c^2 where (5) has c."""
    K, d = select(name), arrays(k, "float64")
    given = [cupy.asarray(d[n]) if name == "cupy" else d[n] for n in ("X", "S", "slope", "a")]
    J = K.jacobian(*given, factor**0.5)
    np.testing.assert_allclose(
        np.asarray(K.gram(*given, factor)), np.asarray(J @ J.T), rtol=0, atol=1e-12 * factor * 100
    )


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_numba_keeps_nan_and_infinity_as_the_reference_does(activation):
    s, X = ACTIVATIONS[activation], np.eye(4)
    W = np.array([[np.nan], [np.inf], [-np.inf], [-0.0]])
    with np.errstate(invalid="ignore"):  # 0 * inf in the product
        W = np.broadcast_to(W, (4, 4)) * 1.0
        for K in (reference, select("numba")):
            S = np.stack([K.hidden(np.array([[1.0]]), np.array([[w]]), s)[0] for w in W[:, 0]])
            np.testing.assert_array_equal(S, s.value(W[:, :1]))
    assert X.shape == (4, 4)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("activation", STRICT_NAMES)
def test_the_reference_needs_nothing_beyond_the_array_api(activation, k):
    s, d = ACTIVATIONS[activation], arrays(k, "float64")
    results = calls(reference, s, {key: strict.asarray(v) for key, v in d.items()})
    for key, wanted in calls(reference, s, d).items():
        assert type(results[key]) is type(strict.asarray(0.0)), key
        np.testing.assert_array_equal(np.asarray(results[key]), wanted, err_msg=key)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("activation", "k", "loss"),
    [("relu", 1, "mse"), ("tanh", 3, "relative"), ("silu", 3, "cross_entropy"), ("softplus", 3, "squared_onehot")],
)
def test_whole_problems_run_on_strict_arrays(activation, k, loss, dtype):
    case = network_case(activation, k, loss, dtype=dtype, kernels="reference", weight_decay=0.1)
    numbers, kind = case.problem, Regression if isinstance(case.problem, Regression) else Classification
    problem = kind(numbers.net, strict.asarray(case.x), strict.asarray(case.y), loss, weight_decay=0.1)
    theta = strict.asarray(case.theta)

    def same(actual, wanted):
        assert str(actual.dtype).endswith(dtype)
        np.testing.assert_array_equal(np.asarray(actual), wanted)

    for rows in (None, slice(1, 4), np.array([3, 0])):
        part, other = (p if rows is None else p.batch(rows) for p in (problem, numbers))
        same(part.energy(theta), other.energy(case.theta))
        for actual, wanted in zip(part.energy_and_gradient(theta), other.energy_and_gradient(case.theta), strict=True):
            same(actual, wanted)
        same(part.hvp(theta, theta), other.hvp(case.theta, case.theta))
        same(part.third_derivative(theta, theta, theta), other.third_derivative(*3 * [case.theta]))
        same(part.net(theta, part.x), other.net(case.theta, other.x))
        if loss == "cross_entropy":
            assert part.accuracy(theta) == other.accuracy(case.theta)
            continue
        at, there = part.linearize(theta), other.linearize(case.theta)
        assert isinstance(at, NetworkLinearization)
        same(at.residual, there.residual)
        same(at.gram(), there.gram())
        same(at.jacobian(), there.jacobian())
        same(at.jvp(theta), there.jvp(case.theta))
        same(at.vjp(at.residual), there.vjp(there.residual))
        q = numbers.linearize(case.theta).residual
        same(part.gather(strict.asarray(q)), other.gather(q))
        same(part.scatter(strict.asarray(q), at.residual), other.scatter(q, there.residual))


def test_blocks_on_strict_arrays():
    case = network_case("tanh", 2, "mse", kernels="reference")
    problem = Regression(case.problem.net, strict.asarray(case.x), strict.asarray(case.y))
    theta = strict.asarray(case.theta)
    wanted = problem.energy_and_gradient(theta)
    problem._block = 2
    for actual, other in zip(problem.energy_and_gradient(theta), wanted, strict=True):
        np.testing.assert_allclose(np.asarray(actual), np.asarray(other), rtol=1e-14)


@pytest.mark.parametrize("activation", ["gelu", "erf"])
def test_erf_outside_numpy_and_cupy_is_refused_in_words(activation):
    case = network_case(activation)
    problem = Regression(case.problem.net, strict.asarray(case.x), strict.asarray(case.y))
    with pytest.raises(ValueError, match=r"'erf' and 'gelu' need NumPy or CuPy arrays.*got array_api_strict"):
        problem.energy(strict.asarray(case.theta))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("k", [1, 3])
def test_read_only_arguments_compile_nothing(activation, k):
    """The results are the same, to the last bit, and no loop has a second specialisation."""
    case = network_case(activation, k, "mse", kernels="numba")
    problem, v = case.problem, case.theta[::-1].copy()
    module = select("numba")
    loops = [loop for loop in vars(module).values() if hasattr(loop, "signatures")]
    assert loops

    def evaluations(theta, v):
        at = problem.linearize(theta)
        u = read_only(at.residual) if not theta.flags.writeable else at.residual
        E, g = problem.energy_and_gradient(theta)
        D3 = problem.third_derivative(theta, theta, v)
        return (
            E,
            g,
            D3,
            problem.hvp(theta, v),
            at.jvp(v),
            at.vjp(u),
            at.jacobian(),
            at.gram(),
            problem.net(theta, case.x),
        )

    free = evaluations(case.theta, v)
    compiled = [len(loop.signatures) for loop in loops]
    for a, b in zip(free, evaluations(read_only(case.theta), read_only(v)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [len(loop.signatures) for loop in loops] == compiled


def test_selection():
    assert kernel_name(select()) == kernel_name(select("auto", np.zeros(2))) == "numba"
    assert kernel_name(select("reference")) == kernel_name(select("auto", strict.asarray([1.0]))) == "reference"
    with pytest.raises(ValueError, match="one of auto, reference, numba, cupy; got 'jax'"):
        select("jax")
    with pytest.raises(ValueError, match="kernels='numba' cannot run on arrays of array_api_strict"):
        select("numba", strict.asarray([1.0]))
    with pytest.raises(ValueError, match="kernels='cupy' cannot run on arrays of numpy"):
        select("cupy", np.zeros(2))
    for name in KERNELS[:3]:
        net = TwoLayerNet(1, 2, kernels=name)
        assert Regression(net, np.ones((2, 1)), np.ones(2)).describe()["kernels"] == name.replace("auto", "numba")


@pytest.mark.parametrize(
    "error", [ImportError("Numba needs NumPy 2.4 or less"), OSError("libLLVM"), RuntimeError("cache")]
)
def test_without_numba_auto_is_the_reference_and_numba_is_refused(monkeypatch, error):
    load = gradflow.kernels._load

    def broken(name):
        if name == "numba":
            raise error
        return load(name)

    monkeypatch.setattr(gradflow.kernels, "_load", broken)
    assert select("auto") is reference
    with pytest.raises(ValueError, match="kernels='numba' is not available"):
        select("numba")
    case = network_case("relu", kernels="auto")
    assert case.problem.describe()["kernels"] == "reference"
    np.testing.assert_allclose(case.problem.energy(case.theta), case.energy(case.theta), rtol=1e-14)


def test_numba_is_not_imported_before_it_is_selected():
    import subprocess

    code = (
        "import sys; from gradflow.models import TwoLayerNet, Regression; TwoLayerNet(2, 3); "
        "assert 'numba' not in sys.modules and 'cupy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
