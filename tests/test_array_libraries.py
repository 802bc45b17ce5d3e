"""Networks and schemes on arrays that cannot be written into, on JAX arrays (also compiled and batched) and on PyTorch tensors."""

from importlib import import_module
from itertools import product

import array_api_strict as strict
import numpy as np
import pytest

from gradflow import solve
from gradflow.kernels import reference
from gradflow.models import Burgers, Classification, Regression, TwoLayerNet
from gradflow.models.activations import ACTIVATIONS
from gradflow.schemes import IEQ, SAV, ExpSAV, Relaxed, Restart
from kernel_cases import arrays, calls
from network_cases import network_case

LIBRARIES = ["read-only", pytest.param("jax", marks=pytest.mark.jax), pytest.param("torch", marks=pytest.mark.torch)]
CASES = [("relu", 1, "mse"), ("tanh", 3, "relative"), ("silu", 3, "cross_entropy"), ("softplus", 3, "squared_onehot")]
ROWS = [np.array([2, 0, 2]), slice(1, 4), slice(None, None, 2)]
COMPILED = [SAV(), Relaxed(SAV()), Restart(SAV(stabilization=1.0)), ExpSAV(), Relaxed(SAV(), budget="numerical")]
TOLERANCE = 1e-13


def read_only(a):
    """Return an array of array-api-strict that refuses to be written into."""
    a = np.array(a)
    a.flags.writeable = False
    return strict.asarray(a, copy=False)


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def array(request):
    """Return a function that turns NumPy's arrays into those of the library asked for."""
    if request.param == "read-only":
        return read_only
    if request.param == "jax":
        request.getfixturevalue("jax")
        return import_module("jax.numpy").asarray
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return lambda a: torch.asarray(np.array(a))


on_each_library = pytest.mark.parametrize("array", LIBRARIES, indirect=True)


def pairs(found, wanted):
    """Yield what two results have in the same places."""
    if isinstance(wanted, tuple):
        for a, b in zip(found, wanted, strict=True):
            yield from pairs(a, b)
    elif isinstance(wanted, dict):
        for key in wanted:
            yield from pairs(found[key], wanted[key])
    else:
        yield found, wanted


def assert_same(found, wanted, like):
    """Compare entry by entry: arrays of the kind of `like` on the left, NumPy's on the right."""
    for a, b in pairs(found, wanted):
        assert isinstance(a, type(like)), type(a)
        assert str(a.dtype).rpartition(".")[2] == str(b.dtype)
        assert tuple(a.shape) == np.shape(b)
        np.testing.assert_allclose(np.asarray(a), b, rtol=0, atol=TOLERANCE * (1 + np.max(np.abs(b))))


def both(array, activation="tanh", k=1, loss="mse", **options):
    """Return a problem and a theta in the library of `array`, and the same in NumPy's; all arrays of the problem are read-only."""
    case = network_case(activation, k, loss, kernels="reference", **options)
    kind = Regression if isinstance(case.problem, Regression) else Classification
    problem = kind(case.problem.net, array(case.x), array(case.y), loss, weight_decay=options.get("weight_decay", 0.0))
    freeze(problem, array)
    return problem, array(case.theta), case.problem, case.theta


def freeze(problem, array):
    if array is read_only:  # its own copies too, so that writing into them fails
        problem._X = array(np.asarray(problem._X))
        problem._set_targets(array(np.asarray(problem._y)))


def test_what_is_called_read_only_is():
    with pytest.raises(ValueError, match="read-only"):
        read_only(np.zeros(3))[0] = 1.0


@on_each_library
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name not in ("gelu", "erf")])
def test_kernels(array, activation, k):
    given, s = arrays(k, "float64"), ACTIVATIONS[activation]
    found = calls(reference, s, {name: array(value) for name, value in given.items()})
    assert_same(found, calls(reference, s, given), array(np.zeros(1)))


@pytest.mark.parametrize("k", [1, 2])
def test_scattered_rows_are_those_of_an_assignment(k):
    """Repeated, unsorted, none or all of the rows: of repeated indices the last counts."""
    rng = np.random.default_rng(0)
    for N in (1, 2, 5, 40):
        full = rng.standard_normal((N, k))
        for B in (1, 2, N, 3 * N):
            indices, rows = rng.integers(0, N, B), rng.standard_normal((B, k))
            wanted = full.copy()
            for i, row in zip(indices, rows, strict=True):
                wanted[i] = row
            for dtype, array in product(
                ("int64", "int32"), (read_only, np.asarray)
            ):  # NumPy's sort is not stable unless asked
                found = reference.scatter_rows(*map(array, (full, indices.astype(dtype), rows)))
                np.testing.assert_array_equal(np.asarray(found), wanted)


@on_each_library
@pytest.mark.parametrize(("activation", "k", "loss"), CASES)
def test_a_network_problem(array, activation, k, loss):
    problem, theta, wanted, x = both(array, activation, k, loss, weight_decay=0.1)
    problem._block = wanted._block = 2  # sums over several blocks
    assert_same(problem.energy(theta), wanted.energy(x), theta)
    assert_same(problem.energy_and_gradient(theta), wanted.energy_and_gradient(x), theta)
    assert_same(problem.hvp(theta, theta), wanted.hvp(x, x), theta)
    assert_same(problem.third_derivative(theta, theta, theta), wanted.third_derivative(x, x, x), theta)
    assert_same(problem.net(theta, problem.x), wanted.net(x, wanted.x), theta)
    if loss == "cross_entropy":
        return
    at, there = problem.linearize(theta), wanted.linearize(x)
    for name in ("gram", "jacobian"):
        assert_same(getattr(at, name)(), getattr(there, name)(), theta)
    assert_same(at.jvp(theta), there.jvp(x), theta)
    assert_same(at.vjp(at.residual), there.vjp(there.residual), theta)


@on_each_library
def test_burgers(array):
    net, s = TwoLayerNet(2, 5, activation="tanh", scaling="standard", kernels="reference"), np.linspace(-1, 1, 5)
    points = (np.stack([s / 2 + 0.5, s[::-1]], 1), np.stack([s, -np.sin(np.pi * s)], 1), s / 2 + 0.5)
    wanted, problem = Burgers(net, *points), Burgers(net, *map(array, points))
    x = net.init(0)
    theta = array(x)
    assert_same(problem.energy_and_gradient(theta), wanted.energy_and_gradient(x), theta)
    assert_same(problem.hvp(theta, theta), wanted.hvp(x, x), theta)
    q = wanted.linearize(x).residual
    for rows in ROWS:
        part, other = problem.batch(rows), wanted.batch(rows)
        assert_same(part.gather(array(q)), other.gather(q), theta)
        new = 2 * other.gather(q)
        assert_same(part.scatter(array(q), array(new)), other.scatter(q, new), theta)


@on_each_library
@pytest.mark.parametrize("scheme", [SAV(), Relaxed(SAV()), Restart(SAV()), Restart(IEQ()), IEQ(solver="cg")], ids=repr)
def test_steps(array, scheme):
    problem, theta, wanted, x = both(array, weight_decay=0.1)
    state, other = scheme.init(problem, theta), scheme.init(wanted, x)
    for _ in range(2):
        state, other = scheme.step(problem, state, 0.3), scheme.step(wanted, other, 0.3)
        assert_same(state, other, theta)
    np.testing.assert_array_equal(np.asarray(theta), x)  # nothing was written into it


@on_each_library
@pytest.mark.parametrize("rows", ROWS, ids=repr)
@pytest.mark.parametrize("scheme", [IEQ(), IEQ(solver="parameter"), Relaxed(IEQ(solver="gram"))], ids=repr)
def test_a_step_of_ieq_on_a_batch(array, scheme, rows):
    problem, theta, wanted, x = both(array, "tanh", 2)
    ends = []
    for whole, start in ((problem, theta), (wanted, x)):
        part, state = whole.batch(rows), scheme.init(whole, start)
        freeze(part, array if whole is problem else None)
        new = scheme.step(part, state._replace(aux=part.gather(state.aux)), 0.3)
        ends.append((new.theta, part.scatter(state.aux, new.aux)))
    assert_same(*ends, theta)


@on_each_library
@pytest.mark.parametrize("scheme", [IEQ(), Relaxed(SAV())], ids=repr)
def test_solve_on_mini_batches(array, scheme):
    problem, theta, wanted, x = both(array)
    settings = {"dt": 0.3, "epochs": 3, "batch_size": 2, "seed": 0}
    run, other = solve(problem, scheme, theta, **settings), solve(wanted, scheme, x, **settings)
    assert (run.status, run.steps) == (other.status, other.steps)
    assert_same((run.theta, run.state.aux), (other.theta, other.state.aux), theta)
    np.testing.assert_allclose(run.history["energy"], other.history["energy"], rtol=1e-12)


@pytest.mark.jax
@pytest.mark.parametrize("scheme", COMPILED, ids=repr)
def test_a_compiled_step_is_the_step(jax, scheme):
    """The step size is traced too."""
    problem, theta, wanted, x = both(jax.numpy.asarray, weight_decay=0.1)
    step = jax.jit(lambda state, dt: scheme.step(problem, state, dt))
    state, other = scheme.init(problem, theta), scheme.init(wanted, x)
    for dt in (0.3, 3.0):
        state, other = step(state, dt), scheme.step(wanted, other, dt)
        assert_same(state, other, theta)


@pytest.mark.jax
@pytest.mark.parametrize("scheme", COMPILED, ids=repr)
def test_a_step_batched_over_theta_is_each_step(jax, scheme):
    problem, theta, wanted, x = both(jax.numpy.asarray, weight_decay=0.1)
    start = scheme.init(problem, theta)

    def step(problem, state, theta):
        return scheme.step(problem, state._replace(theta=theta), 0.3)

    ensemble = jax.numpy.stack([theta, 2 * theta, theta * theta])
    found = jax.jit(jax.vmap(lambda t: step(problem, start, t)))(ensemble)
    for i, at in enumerate((x, 2 * x, x * x)):
        one = jax.tree.map(lambda a, i=i: a[i], found)
        assert_same(one, step(wanted, scheme.init(wanted, x), at), theta)


@pytest.mark.jax
def test_compiled_derivatives_and_batches(jax):
    problem, theta, wanted, x = both(jax.numpy.asarray, "tanh", 2)
    for transform in (jax.jit, jax.vmap):
        given = theta if transform is jax.jit else theta[None]
        hvp = transform(lambda t: problem.hvp(t, t))(given)
        assert_same(hvp if transform is jax.jit else hvp[0], wanted.hvp(x, x), theta)
    q = wanted.linearize(x).residual
    for rows in ROWS:
        part, other = problem.batch(rows), wanted.batch(rows)
        assert_same(jax.jit(part.gather)(q), other.gather(q), theta)
        new = 2 * other.gather(q)
        assert_same(jax.jit(part.scatter)(q, new), other.scatter(q, new), theta)


@pytest.mark.torch
@pytest.mark.parametrize("scheme", COMPILED, ids=repr)
def test_a_step_batched_over_theta_with_torch(scheme):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    problem, theta, wanted, x = both(torch.asarray, weight_decay=0.1)
    start, other = scheme.init(problem, theta), scheme.init(wanted, x)
    ensemble = torch.stack([theta, 2 * theta])
    found = torch.func.vmap(lambda t: tuple(scheme.step(problem, start._replace(theta=t), 0.3))[:2])(ensemble)
    for i, at in enumerate((x, 2 * x)):
        new = scheme.step(wanted, other._replace(theta=at), 0.3)
        assert_same(tuple(a[i] for a in found), tuple(new)[:2], theta)
