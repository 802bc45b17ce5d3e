"""Burgers' equation at a network: derivatives against a second implementation, adjointness, exact solutions, batches, schemes."""

import json
import pickle

import array_api_strict as strict
import numpy as np
import pytest

import gradflow as gf
from gradflow.models import burgers_solution
from gradflow.models.burgers_linearization import BurgersLinearization
from gradflow.schemes import REGISTRY

SCALES = {"mean_field": lambda m: 1 / m, "standard": lambda m: 1.0, "ntk": lambda m: m**-0.5}
CASES = [("standard", "autograd"), ("mean_field", "mean_field"), ("ntk", "mean_field")]
cases = pytest.mark.parametrize(("scaling", "time_scale"), CASES)


def burgers(
    m=4, N=5, *, M=3, scaling="standard", time_scale="autograd", dtype="float64", xp=np, nu=0.1, seed=0, **kwargs
):
    rng = np.random.default_rng(seed)
    net = gf.TwoLayerNet(2, m, activation="tanh", scaling=scaling)
    inside = np.stack([rng.uniform(0, 1, N), rng.uniform(-1, 1, N)], axis=1)
    initial = rng.uniform(-1, 1, (M, 2))
    data = [xp.asarray(a.astype(dtype)) for a in (inside, initial, rng.uniform(0, 1, M))]
    problem = gf.Burgers(net, *data, nu=nu, weights=(0.7, 2.0, 3.0), time_scale=time_scale, **kwargs)
    return problem, xp.asarray(rng.standard_normal(4 * m).astype(dtype))


def residual(problem, theta):
    """Return q, for real or complex theta: point by point, the network differentiated by hand in another way."""
    net, at = problem.net, problem._points
    W_t, W_x, bias, a = theta.reshape(4, net.width)
    a, q = SCALES[net.scaling](net.width) * a, []
    n, walls = problem.n_samples, 2 * walls_of(problem)
    counts = [n, len(at.X) - n - walls, walls]
    for i, (t, x, _) in enumerate(at.X):
        s = np.tanh(W_t * t + W_x * x + bias)
        d1 = 1 - s**2
        f, f_t, f_x, f_xx = (np.sum(a * k) for k in (s, d1 * W_t, d1 * W_x, -2 * s * d1 * W_x**2))
        part = 0 if i < n else 1 if i < n + counts[1] else 2
        mismatch = f_t + f * f_x - problem.nu * f_xx if part == 0 else f - at.y[i]
        q.append(np.sqrt(2 * problem.weights[part] / counts[part]) * mismatch)
    return np.array(q)


def walls_of(problem):
    """Return how many times at the walls there are."""
    return int(np.sum(problem._conditions.X[:, 1] == 1.0))


def directions(theta, n=3, seed=1):
    return np.random.default_rng(seed).standard_normal((n, theta.size))


def along(function, theta, v):
    """Return the derivative of an analytic function along v, to round-off: the complex step."""
    return np.imag(function(theta + 1e-100j * v)) / 1e-100


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * (1e-300 + np.max(np.abs(wanted))))


@pytest.mark.parametrize(("time_scale", "mass"), [("autograd", 1.0), ("mean_field", 1 / 7), (None, 1.0)])
def test_the_time_scale_names_the_inner_product(time_scale, mass):
    """(u, v)_M is u . v / m in the mean-field time and u . v in that of automatic differentiation, which is the default."""
    named = burgers(m=7, time_scale=time_scale)[0] if time_scale else burgers(m=7)[0]
    if time_scale is None:
        at = named
        data = (at._inside[:, :2], np.stack([np.zeros(2), np.ones(2)], axis=1), np.ones(1))
        named = gf.Burgers(at.net, *data)
    u, v = np.random.default_rng(0).standard_normal((2, 28))
    assert named.mass == mass
    np.testing.assert_allclose(named.inner(u, v), mass * (u @ v), rtol=1e-14)


@cases
@pytest.mark.parametrize(("m", "N"), [(4, 5), (1, 1), (7, 2)])
def test_residual_and_all_first_derivatives(m, N, scaling, time_scale):
    problem, theta = burgers(m, N, scaling=scaling, time_scale=time_scale)
    at, q = problem.linearize(theta), residual(problem, theta)
    close(at.residual, q, 1e-13)
    assert float(problem.energy(theta)) == pytest.approx(q @ q / 2, rel=1e-12)
    E, g = problem.energy_and_gradient(theta)
    assert float(E) == pytest.approx(q @ q / 2, rel=1e-12)
    for v in directions(theta):
        J_v = along(lambda t: residual(problem, t), theta, v)
        close(at.jvp(v), J_v, 1e-12)
        close(at.jacobian() @ v, J_v, 1e-12)
        assert float(problem.inner(g, v)) == pytest.approx(q @ J_v, rel=1e-10, abs=1e-12)


@cases
def test_the_derivative_of_the_gradient(scaling, time_scale):
    """Against high-order differences of a gradient that is known to be right; and it is self-adjoint."""
    problem, theta = burgers(scaling=scaling, time_scale=time_scale)
    u, v, w = directions(theta)
    for d in (u, v, w):
        at = {k: problem.energy_and_gradient(theta + k * 1e-3 * d)[1] for k in (-3, -2, -1, 1, 2, 3)}
        wanted = (45 * (at[1] - at[-1]) - 9 * (at[2] - at[-2]) + (at[3] - at[-3])) / (60 * 1e-3)
        close(problem.hvp(theta, d), wanted, 1e-9)
    left, right = problem.inner(u, problem.hvp(theta, v)), problem.inner(problem.hvp(theta, u), v)
    assert float(left) == pytest.approx(float(right), rel=1e-11)
    close(problem.hvp(theta, 2 * u + w), 2 * problem.hvp(theta, u) + problem.hvp(theta, w), 1e-12)


@cases
def test_products_are_adjoint_and_the_gram_matrix_is_theirs(scaling, time_scale):
    problem, theta = burgers(6, 9, scaling=scaling, time_scale=time_scale)
    at, rng = problem.linearize(theta), np.random.default_rng(2)
    N = at.residual.size
    for d in directions(theta):
        u = rng.standard_normal(N)
        assert float(problem.inner(at.vjp(u), d)) == pytest.approx(float(u @ at.jvp(d)), rel=1e-11)
    close(at.gram(), np.stack([at.jvp(at.vjp(e)) for e in np.eye(N)], axis=1), 1e-12)
    assert np.array_equal(at.gram(), at.gram().T)
    assert np.linalg.eigvalsh(at.gram()).min() > -1e-12 * np.linalg.norm(at.gram())


@pytest.mark.parametrize(("A", "speed", "nu"), [(1.0, 0.0, 0.1), (0.7, 0.3, 0.05), (2.0, -1.0, 0.5)])
def test_a_travelling_shock_is_a_network_and_solves_the_equation(A, speed, nu):
    """u = s - A tanh(A (x - s t) / (2 nu)) solves it exactly; its constant is a second neuron."""
    net = gf.TwoLayerNet(2, 2, activation="tanh", scaling="standard")
    theta = np.array([-A * speed / (2 * nu), 0, A / (2 * nu), 0, 0, 1.0, -A, speed / np.tanh(1.0)])
    t, x = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 7), np.linspace(-1, 1, 21)))
    u = speed - A * np.tanh(A * (x - speed * t) / (2 * nu))
    at_0 = np.stack([x[t == 0], u[t == 0]], axis=1)
    problem = gf.Burgers(net, np.stack([t, x], axis=1), at_0, np.zeros(0), nu=nu)
    close(net(theta, np.stack([t, x], axis=1))[:, 0], u, 1e-14)
    size = A * (A + abs(speed)) / nu  # of the terms that cancel
    assert np.max(np.abs(problem.linearize(theta).residual)) < 1e-13 * size
    assert np.max(np.abs(problem.energy_and_gradient(theta)[1])) < 1e-12 * size**2
    other = gf.Burgers(net, np.stack([t, x], axis=1), at_0, np.zeros(0), nu=2 * nu)
    assert np.max(np.abs(other.linearize(theta).residual)) > 1e-3


def test_walls_and_initial_values_are_where_they_should_be():
    net = gf.TwoLayerNet(2, 3, activation="tanh", scaling="standard")
    theta, t, x = net.init(0), np.array([0.25, 0.5]), np.array([-0.3, 0.2, 0.9])
    problem = gf.Burgers(net, np.zeros((1, 2)), np.stack([x, np.sin(x)], axis=1), t, weights=(0.0, 0.5, 0.25))
    q = problem.linearize(theta).residual
    at_0 = net(theta, np.stack([0 * x, x], axis=1))[:, 0]
    left, right = (net(theta, np.stack([t, 0 * t + wall], axis=1))[:, 0] for wall in (-1, 1))
    close(q[1:4], np.sqrt(1 / 3) * (at_0 - np.sin(x)), 1e-14)
    close(q[4:], np.sqrt(0.5 / 4) * np.concatenate([left, right]), 1e-14)
    assert q[0] == 0


@pytest.mark.parametrize("rows", [np.array([4, 0, 2]), slice(1, 4), np.array([3])], ids=str)
def test_a_batch_is_some_points_inside_and_all_conditions(rows):
    problem, theta = burgers(N=5)
    batch, X = problem.batch(rows), problem._inside
    twin = gf.Burgers(
        problem.net, X[rows][:, :2], np.stack([problem._conditions.X[:3, 1], problem._conditions.y[:3]], axis=1),
        problem._conditions.X[3:6, 0], nu=problem.nu, weights=problem.weights,
    )  # fmt: skip
    assert np.array_equal(batch.linearize(theta).residual, twin.linearize(theta).residual)
    assert np.array_equal(batch.energy_and_gradient(theta)[1], twin.energy_and_gradient(theta)[1])
    q = problem.linearize(theta).residual
    close(batch.gather(q), batch.linearize(theta).residual, 1e-14)
    close(batch.scatter(q, batch.gather(q)), q, 1e-14)
    changed = batch.scatter(q, 0 * batch.gather(q))
    assert np.count_nonzero(changed) == 5 - len(np.arange(5)[rows])
    assert problem.gather(q) is q
    assert problem.scatter(q, 2 * q)[0] == 2 * q[0]


def test_the_mean_of_the_batches_is_the_whole():
    problem, theta = burgers(N=6)
    parts = [problem.batch(np.array(rows)).energy_and_gradient(theta) for rows in ([0, 4], [2, 1], [5, 3])]
    E, g = problem.energy_and_gradient(theta)
    assert float(np.mean([p[0] for p in parts])) == pytest.approx(float(E), rel=1e-13)
    close(np.mean([p[1] for p in parts], axis=0), g, 1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_strict_arrays_give_numpys_numbers(dtype):
    (strict_problem, strict_theta), (problem, theta) = (burgers(dtype=dtype, xp=xp) for xp in (strict, np))
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    found, wanted = strict_problem.linearize(strict_theta), problem.linearize(theta)
    v, u = theta[::-1].copy(), wanted.residual[::-1].copy()
    pairs = [
        (found.residual, wanted.residual),
        (found.jvp(strict.asarray(v)), wanted.jvp(v)),
        (found.vjp(strict.asarray(u)), wanted.vjp(u)),
        (found.gram(), wanted.gram()),
        (strict_problem.hvp(strict_theta, strict.asarray(v)), problem.hvp(theta, v)),
        (strict_problem.energy(strict_theta), problem.energy(theta)),
        (strict_problem.batch(slice(0, 2)).energy(strict_theta), problem.batch(slice(0, 2)).energy(theta)),
    ]
    for a, b in pairs:
        assert str(a.dtype).endswith(dtype)
        assert str(np.asarray(b).dtype) == dtype
        close(np.from_dlpack(a), b, tolerance)


def test_float32_is_float64_rounded():
    (single, theta32), (double, theta64) = burgers(dtype="float32"), burgers()
    close(single.energy_and_gradient(theta32)[1], double.energy_and_gradient(theta64)[1], 2e-5)
    assert single.energy(theta32).dtype == single.hvp(theta32, theta32).dtype == np.float32


def test_a_nan_stays_a_nan():
    problem, theta = burgers()
    theta[0] = np.nan
    E, g = problem.energy_and_gradient(theta)
    assert np.isnan(E)
    assert np.isnan(g).any()
    assert np.isnan(problem.energy(theta))


def made(name):
    scheme = REGISTRY[name]
    return scheme(gf.SAV(C=1.0)) if name in ("Restart", "Relaxed") else scheme()


@pytest.mark.parametrize("name", REGISTRY)
def test_every_scheme_steps_on_it(name):
    problem, theta = burgers(8, 20)
    run = gf.solve(problem, made(name), theta, dt=1e-3, steps=20)
    assert run.status is gf.Status.DONE
    assert run.history["energy"][-1] < run.history["energy"][0]


@pytest.mark.parametrize("solver", ["gram", "parameter", "cg"])
def test_levenberg_marquardt_from_either_side(solver):
    """The same steps from all solvers, and far down on a smooth solution; the vanilla scheme keeps its energy law."""
    problem, theta = burgers(6, 30, nu=0.5)
    runs = [gf.solve(problem, gf.Restart(gf.IEQ(solver=s)), theta, dt=1.0, steps=10) for s in (solver, "auto")]
    close(runs[0].theta, runs[1].theta, 1e-6)
    assert runs[0].history["energy"][-1] < 0.5 * runs[0].history["energy"][0]
    vanilla = gf.solve(problem, gf.IEQ(solver=solver), theta, dt=0.1, steps=5, record=("identity_residual",))
    assert np.nanmax(np.abs(vanilla.history["identity_residual"])) < 1e-12


def test_vanilla_ieq_runs_on_batches():
    problem, theta = burgers(6, 12)
    run = gf.solve(problem, gf.IEQ(), theta, dt=0.01, epochs=2, batch_size=4, seed=0)
    assert run.status is gf.Status.DONE
    assert run.state.aux.shape == problem.linearize(theta).residual.shape


def test_a_problem_is_told_and_copied():
    problem, theta = burgers()
    told = problem.describe()
    assert json.loads(json.dumps(told)) == told
    assert told["data"] != burgers(seed=1)[0].describe()["data"]
    assert told != burgers(nu=0.2)[0].describe()
    assert pickle.loads(pickle.dumps(problem)).energy(theta) == problem.energy(theta)
    assert isinstance(problem, gf.LeastSquares)


GOOD = {"interior": np.zeros((4, 2)), "initial": np.zeros((3, 2)), "walls": np.zeros(2)}
NET = gf.TwoLayerNet(2, 3, activation="tanh")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": gf.TwoLayerNet(2, 3)}, "net must be a TwoLayerNet with n_inputs = 2"),
        ({"net": gf.TwoLayerNet(1, 3, activation="tanh")}, "net must be a TwoLayerNet with n_inputs = 2"),
        ({"interior": np.zeros((0, 2))}, r"interior must have shape \(N, 2\), N >= 1; got \(0, 2\)"),
        ({"interior": np.zeros((4, 3))}, r"interior must have shape \(N, 2\), N >= 1; got \(4, 3\)"),
        ({"interior": np.zeros((4, 2), dtype=int)}, "interior must be float32 or float64, got int64"),
        ({"interior": np.full((4, 2), np.inf)}, "interior must have finite entries"),
        ({"initial": np.zeros(3)}, r"initial must have shape \(N, 2\); got \(3,\)"),
        ({"walls": np.zeros((2, 1))}, r"walls must have shape \(N,\); got \(2, 1\)"),
        ({"initial": np.zeros((3, 3))}, r"initial must have shape \(N, 2\); got \(3, 3\)"),
        ({"initial": np.zeros((3, 1))}, r"initial must have shape \(N, 2\); got \(3, 1\)"),
        ({"walls": np.zeros(2, dtype="float32")}, "walls must have the dtype of interior"),
        ({"initial": np.full((3, 2), np.nan)}, "initial must have finite entries"),
        ({"nu": -1.0}, "nu must be a finite number >= 0, got -1.0"),
        ({"weights": (1.0, 1.0)}, "weights must be three finite numbers >= 0"),
        ({"weights": (1.0, 1.0, float("inf"))}, "each of weights must be a finite number >= 0"),
        ({"time_scale": "other"}, "time_scale must be one of"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        gf.Burgers(**{"net": NET, **GOOD, **change})


def test_wrong_vectors_are_refused():
    problem, theta = burgers()
    at = problem.linearize(theta)
    for call in (problem.energy, problem.energy_and_gradient, problem.linearize):
        with pytest.raises(ValueError, match=r"theta must have shape \(P,\), P = 16; got \(15,\)"):
            call(theta[1:])
        with pytest.raises(ValueError, match="theta must have the dtype of the data"):
            call(theta.astype("float32"))
    for call, name in ((at.jvp, "d"), (lambda v: problem.hvp(theta, v), "v")):
        with pytest.raises(ValueError, match=f"{name} must have shape"):
            call(theta[1:])
    with pytest.raises(ValueError, match="u must have shape"):
        at.vjp(theta[:3])
    with pytest.raises(ValueError, match="second derivatives need order = 4, got 3"):
        at.second(theta)
    with pytest.raises(ValueError, match="q_full must have shape"):
        problem.batch(slice(0, 2)).gather(theta[:3])
    assert isinstance(at, BurgersLinearization)


# -- The exact solution -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nu", [0.01 / np.pi, 0.1])
def test_the_reference_solves_the_equation(nu):
    """By differences of sixth order, away from the shock; the terms themselves are of size one and more."""
    t, x = np.meshgrid(np.linspace(0.05, 0.95, 7), np.linspace(0.12, 0.95, 9))
    h = 2e-3
    first = {1: 45, 2: -9, 3: 1}
    u_t = sum(w * (burgers_solution(t + k * h, x, nu) - burgers_solution(t - k * h, x, nu)) for k, w in first.items())
    u_x = sum(w * (burgers_solution(t, x + k * h, nu) - burgers_solution(t, x - k * h, nu)) for k, w in first.items())
    u = burgers_solution(t, x, nu)
    second = {1: 270, 2: -27, 3: 2}
    around = [w * (burgers_solution(t, x + k * h, nu) + burgers_solution(t, x - k * h, nu)) for k, w in second.items()]
    u_xx = (sum(around) - 490 * u) / (180 * h**2)
    mismatch = u_t / (60 * h) + u * u_x / (60 * h) - nu * u_xx
    assert np.max(np.abs(mismatch)) < 1e-8
    assert np.max(np.abs(u * u_x / (60 * h))) > 0.3


def test_the_reference_starts_from_the_sine_and_is_odd():
    nu, x = 0.01 / np.pi, np.linspace(0, 1, 31)
    close(burgers_solution(0.0, x, nu), -np.sin(np.pi * x), 1e-14)
    u = burgers_solution(np.array([[0.3], [1.0]]), x, nu)
    assert u.shape == (2, 31)
    close(burgers_solution(np.array([[0.3], [1.0]]), -x, nu), -u, 1e-12)
    assert np.max(np.abs(u[:, [0, -1]])) < 1e-14
    close(burgers_solution(0.7, x, nu), burgers_solution(0.7, x, nu, 2 * 128), 1e-12)


def test_the_reference_has_the_slope_of_the_literature():
    """Basdevant et al. (1986): 152.00516 at x = 0, t = 1.6037 / pi, for nu = 0.01 / pi."""
    h, t, nu = 1e-4, 1.6037 / np.pi, 0.01 / np.pi
    u = {k: burgers_solution(t, k * h, nu) for k in (1, 2, 3)}
    assert -(45 * u[1] - 9 * u[2] + u[3]) / (30 * h) == pytest.approx(152.00516, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1.0, 0.0, 0.1), "t must be >= 0"), ((0.5, 0.0, 0.0), "nu must be a finite number > 0")],
)
def test_the_reference_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        burgers_solution(*arguments)
