"""Smoothed particles: the mean over random displacements, whose draws are a function of (seed, step) and nothing else."""

import copy
import json
import pickle

import array_api_strict as strict
import numpy as np
import pytest

import gradflow as gf
from gradflow.models import smoothed_particles
from network_cases import complex_step, network_case

LAWS = [("tanh", 1, "mse"), ("gelu", 3, "relative"), ("sin", 3, "cross_entropy"), ("softplus", 1, "half_sum")]
ROWS = np.array([4, 0, 2])
RECORD = ["energy", "modified_energy", "identity_residual"]


def smoothed(case, **kwargs):
    return gf.SmoothedParticles(case.problem, **{"h": 0.1, "draws": 4, "seed": 5, **kwargs})


def draws(problem, P):
    """Return the draws (J, P) that a problem must have made, in one call."""
    return np.random.default_rng([problem.seed, problem.step, 0x53504D]).standard_normal((problem.draws, P))


def close(actual, wanted, tolerance=1e-14):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.max(np.abs(wanted)) + 1e-300)


def all_of(problem, theta):
    """Return energy, gradient and Hessian-vector product, with and without the energy part."""
    return (
        problem.energy(theta),
        *problem.energy_and_gradient(theta),
        problem.hvp(theta, theta[::-1].copy()),
        problem.nonlinear_energy(theta),
        *problem.nonlinear_energy_and_gradient(theta),
    )


@pytest.mark.parametrize(("activation", "k", "loss"), [*LAWS, ("relu", 1, "mse")])
@pytest.mark.parametrize("J", [1, 7])
def test_without_width_it_is_the_wrapped_problem(activation, k, loss, J):
    case = network_case(activation, k, loss, weight_decay=0.3)
    problem = smoothed(case, h=0, draws=J).at_step(2)
    for actual, wanted in zip(all_of(problem, case.theta), all_of(case.problem, case.theta), strict=True):
        close(actual, wanted, 2e-15)
    assert problem.n_samples == case.problem.n_samples
    assert problem.mass == case.problem.mass
    assert problem.linear is case.problem.linear


@pytest.mark.parametrize(("activation", "k", "loss"), LAWS)
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_derivatives_at_a_fixed_step(activation, k, loss, time_scale):
    """Energy and gradient against a complex-valued network that shares no code, displaced by hand."""
    case = network_case(activation, k, loss, time_scale=time_scale)
    problem, theta, rng = smoothed(case).at_step(3), case.theta, np.random.default_rng(1)
    displaced = 0.1 * draws(problem, theta.size)
    F, g = problem.nonlinear_energy_and_gradient(theta)
    assert pytest.approx(F, rel=1e-13) == np.mean([case.energy(theta + d) for d in displaced])
    assert problem.nonlinear_energy(theta) == pytest.approx(F, rel=1e-14)
    for v in rng.standard_normal((3, theta.size)):
        slope = complex_step(lambda t: sum(case.energy(t + d) for d in displaced) / 4, theta, v)
        close(problem.inner(g, v), slope, 1e-11)
        curved = complex_step(lambda t: sum(case.gradient(t + d) for d in displaced) / 4, theta, v)
        close(problem.hvp(theta, v), curved, 1e-11)


def test_derivatives_against_differences_of_its_own():
    case = network_case("tanh", weight_decay=0.3)
    problem, theta = smoothed(case).at_step(1), case.theta
    v, s = np.random.default_rng(2).standard_normal(theta.size), 1e-5
    _, g = problem.energy_and_gradient(theta)
    slope = (problem.energy(theta + s * v) - problem.energy(theta - s * v)) / (2 * s)
    close(problem.inner(g, v), slope, 1e-8)
    ends = [problem.energy_and_gradient(theta + sign * s * v)[1] for sign in (1, -1)]
    close(problem.hvp(theta, v), (ends[0] - ends[1]) / (2 * s), 1e-8)


def test_draws_are_a_function_of_seed_and_step():
    case = network_case()
    problem, theta = smoothed(case), case.theta
    energies = {(seed, n): smoothed(case, seed=seed).at_step(n).energy(theta) for seed in (0, 1) for n in range(5)}
    assert len(set(energies.values())) == 10
    for (seed, n), E in energies.items():
        again = smoothed(case, seed=seed).at_step(7).at_step(n)
        assert again.energy_and_gradient(theta)[0] == pytest.approx(E, rel=1e-15)
        assert again.energy(theta) == again.energy(theta) == E
    assert problem.step == 0
    assert problem.at_step(0) is problem
    for twin in (copy.deepcopy(problem.at_step(2)), pickle.loads(pickle.dumps(problem.at_step(2)))):
        assert twin.energy(theta) == problem.at_step(2).energy(theta)


def test_draws_are_new_numbers():
    """NumPy gives [seed, 0] and seed the same stream, and the order of a batch comes from [seed, epoch]."""
    case = network_case("identity")
    P = case.theta.size
    for n in range(3):
        xi = draws(smoothed(case, seed=0).at_step(n), P)[0]
        for entropy in (0, n, [0, n], [n, 0]):
            assert not np.any(xi == np.random.default_rng(entropy).standard_normal(P))
    assert np.array_equal(np.random.default_rng([0, 0]).standard_normal(P), np.random.default_rng(0).standard_normal(P))


def test_draws_too_large_to_keep_are_the_same(monkeypatch):
    case = network_case(weight_decay=0.1)
    kept = [np.array(a) for a in all_of(smoothed(case).at_step(1), case.theta)]
    monkeypatch.setattr(smoothed_particles, "KEPT_BYTES", 0)
    problem = smoothed(case).at_step(1)
    for _ in range(2):
        for actual, wanted in zip(all_of(problem, case.theta), kept, strict=True):
            np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize(("k", "loss"), [(1, "relative"), (3, "cross_entropy")])
def test_batch_and_step_commute(k, loss):
    case = network_case("relu", k, loss, weight_decay=0.2)
    problem, theta = smoothed(case), case.theta
    one, other = problem.batch(ROWS).at_step(3), problem.at_step(3).batch(ROWS)
    by_hand = gf.SmoothedParticles(case.problem.batch(ROWS), h=0.1, draws=4, seed=5).at_step(3)
    assert one.n_samples == other.n_samples == 3
    assert one.describe() == other.describe() == by_hand.describe()
    for a, b, c in zip(all_of(one, theta), all_of(other, theta), all_of(by_hand, theta), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_batches_of_a_partition_add_up_at_one_step():
    """All samples of a step see the same displacements."""
    case = network_case("tanh", 1, "half_sum", N=6)
    problem = smoothed(case).at_step(2)
    parts = [problem.batch(slice(i, None, 2)).energy(case.theta) for i in range(2)]
    assert sum(parts) == pytest.approx(problem.energy(case.theta), rel=1e-14)


def test_float32_sees_the_same_draws():
    double = network_case("tanh", weight_decay=0.2)
    p = double.problem
    x, y, theta = (a.astype(np.float32) for a in (double.x, double.y, double.theta))
    single = gf.SmoothedParticles(gf.Regression(p.net, x, y, weight_decay=0.2), h=0.1, draws=4, seed=5)
    for actual, wanted in zip(all_of(single, theta), all_of(smoothed(double), double.theta), strict=True):
        assert actual.dtype == np.float32
        close(actual, wanted, 5e-6)
    problem = smoothed(double)
    problem.energy(double.theta)
    with pytest.raises(ValueError, match="dtype of the data"):  # not the draws kept for another dtype
        problem.energy(theta)


def test_another_array_library_gets_its_own_arrays():
    case = network_case("tanh", weight_decay=0.2)
    x, y, theta = (strict.asarray(a) for a in (case.x, case.y, case.theta))
    problem = gf.SmoothedParticles(gf.Regression(case.problem.net, x, y, weight_decay=0.2), h=0.1, draws=4, seed=5)
    E, g = problem.energy_and_gradient(theta)
    wanted = smoothed(case).energy_and_gradient(case.theta)
    assert type(g) is type(theta)
    close(np.asarray(E), wanted[0])
    close(np.asarray(g), wanted[1])


def test_weight_decay_is_not_smoothed():
    plain, decayed = (smoothed(network_case("tanh", weight_decay=w), h=1.0).at_step(4) for w in (0.0, 0.7))
    theta = network_case("tanh").theta
    E_0, g_0 = plain.energy_and_gradient(theta)
    E, g = decayed.energy_and_gradient(theta)
    close(E - E_0, 0.35 * decayed.inner(theta, theta), 1e-13)
    close(g - g_0, 0.7 * theta, 1e-13)
    close(decayed.hvp(theta, theta) - plain.hvp(theta, theta), 0.7 * theta, 1e-13)
    assert decayed.nonlinear_energy(theta) == E_0


def test_the_mean_over_draws_adds_half_h_squared_times_the_trace():
    case, h, J = network_case("tanh", D=1, m=2, N=4, seed=3), 0.1, 40
    problem, theta = smoothed(case, h=h, draws=J), case.theta
    trace = case.problem.mass * sum(case.problem.hvp(theta, e)[i] for i, e in enumerate(np.eye(theta.size)))
    F = case.problem.energy(theta)
    excess = np.array([problem.at_step(n).energy(theta) - F for n in range(500)])
    wanted, error = h**2 / 2 * trace, excess.std(ddof=1) / len(excess) ** 0.5
    assert abs(excess.mean() - wanted) <= 3 * error
    assert error < wanted / 5  # or the law could be another


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scheme", [gf.SAV(), gf.Restart(gf.SAV()), gf.Relaxed(gf.SAV())], ids=repr)
def test_every_step_has_the_identity_of_its_own_energy(scheme, dtype, batch_size):
    case = network_case("relu", N=17, m=6, weight_decay=0.2, dtype=dtype)
    run = gf.solve(
        smoothed(case), scheme, case.theta, dt=0.5, steps=25, batch_size=batch_size, seed=0, record=RECORD, every=1
    )
    assert run.check().steps == 25
    assert run.theta.dtype == case.theta.dtype
    size = 1 + abs(run.history["modified_energy"]).max()
    assert abs(run.history["identity_residual"][1:]).max() <= 20 * np.finfo(dtype).eps * size
    if not isinstance(scheme, gf.Restart):  # as on mini-batches, the law of r and L needs no energy
        assert np.all(np.diff(run.history["modified_energy"]) <= 20 * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("batch_size", [None, 5])
def test_solve_gives_each_step_its_own_draws(batch_size):
    case, scheme = network_case("relu", N=17), gf.Relaxed(gf.SAV())
    problem = smoothed(case)
    run = gf.solve(problem, scheme, case.theta, dt=0.3, steps=7, batch_size=batch_size, seed=2)
    state = scheme.init(problem, case.theta)
    for n in range(7):
        part = problem
        if batch_size is not None:
            order = np.random.default_rng([2, n // 3]).permutation(17)
            part = problem.batch(order[n % 3 * 5 :][:5])
        state = scheme.step(part.at_step(n), state, 0.3)
    np.testing.assert_array_equal(run.theta, state.theta)
    assert run.history["energy"][-1] == problem.energy(state.theta)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("scheme", [gf.GradientDescent(), gf.Relaxed(gf.SAV()), gf.Adam()], ids=repr)
def test_an_interrupted_run_goes_on_with_the_same_draws(tmp_path, scheme, batch_size):
    case = network_case("relu", N=17, weight_decay=0.1)
    settings = {"dt": 0.05, "batch_size": batch_size, "seed": 3, "every": 2}
    whole = gf.solve(smoothed(case), scheme, case.theta, steps=18, **settings)
    path = tmp_path / "run"
    gf.solve(smoothed(case), scheme, case.theta, steps=11, checkpoint=path, **settings)
    resumed = gf.solve(smoothed(case), scheme, case.theta, steps=18, checkpoint=path, **settings)
    assert np.array_equal(resumed.theta, whole.theta)
    for name in whole.history:
        common = np.isin(resumed.history["step"], whole.history["step"])
        np.testing.assert_array_equal(resumed.history[name][common], whole.history[name])
    for other in ({"seed": 6}, {"h": 0.2}, {"draws": 5}):
        with pytest.raises(ValueError, match=r"other settings \(problem"):
            gf.solve(smoothed(case, **other), scheme, case.theta, steps=18, checkpoint=path, **settings)


def test_describe_names_everything():
    case = network_case()
    told = smoothed(case).at_step(2).describe()
    assert json.loads(json.dumps(told)) == told
    assert told == {
        "problem": "SmoothedParticles", "h": 0.1, "draws": 4, "seed": 5, "step": 2, "wrapped": case.problem.describe(),
    }  # fmt: skip


def test_ieq_refuses():
    case = network_case()
    with pytest.raises(ValueError, match="IEQ needs a least-squares problem"):
        gf.solve(smoothed(case), gf.IEQ(), case.theta, dt=0.1, steps=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"h": -1e-4}, "h must be a finite number >= 0"),
        ({"h": np.inf}, "h must be a finite number >= 0"),
        ({"h": np.nan}, "h must be a finite number >= 0"),
        ({"h": "1"}, "h must be a finite number >= 0"),
        ({"h": True}, "h must be a finite number >= 0"),
        ({"draws": 0}, "draws must be a whole number >= 1"),
        ({"draws": 2.0}, "draws must be a whole number >= 1"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"seed": 1.5}, "seed must be a whole number >= 0"),
        ({"seed": None}, "seed must be a whole number >= 0"),
        ({"seed": True}, "seed must be a whole number >= 0"),
    ],
    ids=str,
)
def test_numbers_at_the_door(change, message):
    with pytest.raises(ValueError, match=message):
        smoothed(network_case(), **change)


def test_other_doors():
    case = network_case()
    problem = smoothed(case, h=np.float64(0.1), draws=np.int64(4), seed=np.int64(5))
    assert problem.describe() == smoothed(case).describe()
    for wrong in (None, gf.Regression, gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t), problem):
        with pytest.raises(ValueError, match="problem must be a Regression or a Classification"):
            gf.SmoothedParticles(wrong)
    for n in (-1, 0.5, True):
        with pytest.raises(ValueError, match="n must be a whole number >= 0"):
            problem.at_step(n)
    for theta in (case.theta[:-1], case.theta[:, None], list(case.theta), np.zeros(case.theta.size, int)):
        for evaluate in (problem.energy, problem.energy_and_gradient, lambda t: problem.hvp(t, case.theta)):
            with pytest.raises(ValueError, match="theta must"):
                evaluate(theta)
    with pytest.raises(ValueError, match="v must"):
        problem.hvp(case.theta, case.theta[1:])
    with pytest.raises(ValueError, match="indices must lie"):
        problem.batch(np.array([99]))
