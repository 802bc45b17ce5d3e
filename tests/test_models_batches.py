"""Batches: the same law on fewer samples, and residuals that travel between their scales."""

import copy
import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow import SAV, solve
from gradflow.energies.protocols import batches
from gradflow.models import Burgers, Classification, Regression, SmoothedParticles, TwoLayerNet
from gradflow.refusals import rows_of
from gradflow.run.batches import parts, steps_per_epoch
from network_cases import CLASSIFICATION, REGRESSION, network_case

ALL = [(k, loss) for k in (1, 3) for loss in REGRESSION + CLASSIFICATION if k > 1 or loss in REGRESSION]
SQUARES = [(k, loss) for k, loss in ALL if loss != "cross_entropy"]


def close(actual, wanted, tolerance=1e-14):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.max(np.abs(wanted)) + 1e-300)


def rebuilt(case, rows, **kwargs):
    """Return the problem that the public constructor makes of some samples."""
    p = case.problem
    kind = Regression if isinstance(p, Regression) else Classification
    return kind(p.net, case.x[rows], case.y[rows], p.loss, p.time_scale, p.linear)


@pytest.mark.parametrize(("k", "loss"), ALL)
@pytest.mark.parametrize(
    "rows",
    [slice(None), slice(0, 3), slice(-4, None), slice(None, None, 2), slice(5, 1, -1), np.array([4]),
     np.array([5, 0, 5, 2]), np.array([1, 0], dtype=np.uint8), [2, 3]],
    ids=str,
)  # fmt: skip
def test_a_batch_is_the_problem_of_its_samples(rows, k, loss):
    case = network_case("tanh", k, loss, N=7, weight_decay=0.2)
    part, built, theta = case.problem.batch(rows), rebuilt(case, rows), case.theta
    assert type(part) is type(case.problem)
    assert part.n_samples == built.n_samples
    np.testing.assert_array_equal(part.x, built.x)
    assert part.energy(theta) == pytest.approx(built.energy(theta), rel=1e-15)
    close(part.energy_and_gradient(theta)[1], built.energy_and_gradient(theta)[1], 1e-15)
    close(part.hvp(theta, theta), built.hvp(theta, theta), 1e-15)
    assert part.describe() == built.describe()


@pytest.mark.parametrize(("k", "loss"), ALL)
def test_the_batch_of_all_samples_is_the_problem(k, loss):
    case = network_case("relu", k, loss, N=6)
    E, g = case.problem.energy_and_gradient(case.theta)
    for rows in (slice(None), np.arange(6)):
        E_all, g_all = case.problem.batch(rows).energy_and_gradient(case.theta)
        assert E_all == E
        np.testing.assert_array_equal(g_all, g)


def test_half_sums_of_a_partition_add_up_and_means_average():
    for loss, weight in (("half_sum", 1.0), ("mse", 1 / 3), ("cross_entropy", 1 / 3)):
        case = network_case("gelu", 3, loss, N=12)
        E, g = case.problem.energy_and_gradient(case.theta)
        parts = [case.problem.batch(np.arange(i, 12, 3)).energy_and_gradient(case.theta) for i in range(3)]
        assert weight * sum(p[0] for p in parts) == pytest.approx(E, rel=1e-14)
        close(weight * sum(p[1] for p in parts), g)


def test_a_slice_shares_memory_and_an_array_copies():
    problem = network_case("relu", 1, N=8).problem
    assert np.shares_memory(problem.batch(slice(2, 5)).x, problem.x)
    assert not np.shares_memory(problem.batch(np.array([2, 3])).x, problem.x)


@pytest.mark.parametrize(("k", "loss"), SQUARES)
@pytest.mark.parametrize("rows", [slice(1, 6, 2), np.array([6, 0, 3])], ids=["slice", "array"])
def test_residuals_travel_between_the_scales(rows, k, loss):
    case = network_case("tanh", k, loss, N=7)
    problem, theta = case.problem, case.theta
    part = problem.batch(rows)
    q_full, q_batch = problem.linearize(theta).residual, part.linearize(theta).residual
    close(part.gather(q_full), q_batch)  # the same f - y, in the scale of the batch
    close(part.scatter(q_full, q_batch), q_full)  # so that nothing changes where nothing moved
    new = np.cos(np.arange(q_batch.size))
    before = q_full.copy()
    scattered = part.scatter(q_full, new)
    close(part.gather(scattered), new)
    np.testing.assert_array_equal(q_full, before)
    outside = np.setdiff1d(np.arange(7), np.arange(7)[rows])
    np.testing.assert_array_equal(scattered.reshape(7, k)[outside], q_full.reshape(7, k)[outside])
    if loss == "half_sum":
        np.testing.assert_array_equal(part.gather(q_full), q_full.reshape(7, k)[rows].reshape(-1))


@pytest.mark.parametrize("kernels", ["reference", "auto"])
def test_of_a_sample_taken_twice_the_last_residual_counts(kernels):
    problem = network_case("tanh", 1, "half_sum", N=4, kernels=kernels).problem
    out = problem.batch(np.array([2, 0, 2])).scatter(np.zeros(4), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(out, [2, 0, 3, 0])


def test_on_the_full_problem_gather_and_scatter_are_the_identity():
    case = network_case("tanh", 2, "mse", N=4)
    q, new = case.problem.linearize(case.theta).residual, np.arange(8.0)
    np.testing.assert_array_equal(case.problem.gather(q), q)
    np.testing.assert_array_equal(case.problem.scatter(q, new), new)


def test_a_batch_of_a_batch_refers_to_the_batch():
    case = network_case("tanh", 1, "mse", N=9)
    part = case.problem.batch(np.arange(1, 8))
    inner = part.batch(np.array([4, 0]))
    np.testing.assert_array_equal(inner.x, case.x[[5, 1]])
    q = part.linearize(case.theta).residual
    close(inner.gather(q), inner.linearize(case.theta).residual)
    assert case.problem.n_samples == 9


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=12), st.sampled_from(REGRESSION), st.integers(1, 3))
def test_any_batch_of_any_loss(rows, loss, k):
    case = network_case("silu", k, loss, N=9)
    part, built = case.problem.batch(np.array(rows)), rebuilt(case, rows)
    close(part.linearize(case.theta).gram(), built.linearize(case.theta).gram(), 1e-13)
    close(part.gather(case.problem.linearize(case.theta).residual), built.linearize(case.theta).residual, 1e-13)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([0, 7]), r"indices must lie in \[0, 7\); got 0 to 7"),
        (np.array([-1, 3]), r"indices must lie in \[0, 7\); got -1 to 3"),
        (np.array([], dtype=int), r"indices must have shape \(B,\), B >= 1; got \(0,\)"),
        (np.array([0.0, 1.0]), "indices must be integers, got float64"),
        (np.array([True, False]), "indices must be integers, got bool"),
        (np.array([[0, 1]]), r"shape .*; got \(1, 2\)"),
        (np.array(3), r"shape .*; got \(\)"),
        (["a"], "each of indices must be a whole number >= 0, got 'a'"),
        (None, r"indices must be an array of shape .*; got None"),
        (slice(7, None), "at least one sample"),
        (slice(3, 3), "at least one sample"),
        (slice(0.5, 3), "integer ends"),
    ],
)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_bad_indices_are_refused(rows, message, loss):
    with pytest.raises(ValueError, match=message):
        network_case("relu", 3, loss, N=7).problem.batch(rows)


def test_a_batch_without_a_relative_error_is_refused():
    case = network_case("relu", 1, "relative", N=3)
    y = np.array([1.0, 0.0, 0.0])
    problem = Regression(case.problem.net, case.x, y, "relative")
    with pytest.raises(ValueError, match=r"sum\(y\^2\), which must be positive"):
        problem.batch(np.array([1, 2]))


def test_residuals_of_a_wrong_shape_or_dtype_are_refused():
    problem = network_case("relu", 2, N=5).problem
    part = problem.batch(np.array([1, 2]))
    calls = {
        r"q_full must have shape \(N k,\), N k = 10; got \(4,\)": lambda: part.gather(np.zeros(4)),
        r"q_full must have shape \(N k,\), N k = 10; got \(9,\)": lambda: part.scatter(np.zeros(9), np.zeros(4)),
        r"q_batch must have shape \(N k,\), N k = 4; got \(10,\)": lambda: part.scatter(np.zeros(10), np.zeros(10)),
        "q_full must have the dtype of the data": lambda: part.gather(np.zeros(10, dtype="f")),
        r"q_full must have shape .*; got \(3,\)": lambda: problem.gather(np.zeros(3)),
        r"q_batch must have shape .*; got \(3,\)": lambda: problem.scatter(np.zeros(10), np.zeros(3)),
        r"q_full must have shape .*; got \(4,\)": lambda: problem.scatter(np.zeros(4), np.zeros(10)),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "squared_onehot"])
def test_problems_can_be_copied_and_sent_to_other_processes(loss):
    case = network_case("relu", 3, loss, N=5, weight_decay=0.1)
    for twin in (pickle.loads(pickle.dumps(case.problem)), copy.deepcopy(case.problem)):
        assert type(twin) is type(case.problem)
        np.testing.assert_array_equal(
            twin.energy_and_gradient(case.theta)[1], case.problem.energy_and_gradient(case.theta)[1]
        )
        assert twin.batch(slice(0, 2)).n_samples == 2


def test_descriptions_are_plain_json():
    case = network_case("relu", 3, "squared_onehot", time_scale="mean_field", dtype="float32", kernels="reference")
    d = case.problem.describe()
    assert json.loads(json.dumps(d)) == d
    data = d.pop("data")
    assert len(data) == 64
    assert case.problem.batch(slice(0, 4)).describe()["data"] != data
    assert d == {
        "problem": "Classification", "loss": "squared_onehot", "time_scale": "mean_field", "mass": 0.25,
        "weight_decay": 0.0, "n_samples": 5, "dtype": "float32", "kernels": "reference", "n_inputs": 2, "width": 4,
        "n_outputs": 3, "activation": "relu", "scaling": "mean_field", "n_parameters": 24,
    }  # fmt: skip


def orders(N=5):
    return [np.array([3, 0, 2, 4, 1]), np.array([0, 0, 4, 2]), slice(1, N)]


def makers():
    """Return name -> problem with batches."""
    network = network_case("tanh", 2).problem
    s = np.linspace(-1, 1, 5)
    points = (np.stack([s / 2 + 0.5, s], 1), np.stack([s, -np.sin(np.pi * s)], 1), s / 2 + 0.5)
    burgers = Burgers(TwoLayerNet(2, 4, activation="tanh", scaling="standard"), *points)
    return {"network": network, "burgers": burgers, "smoothed": SmoothedParticles(network, h=1e-2, draws=2)}


@pytest.mark.parametrize("name", ["network", "burgers", "smoothed"])
def test_batches_of_an_order_are_the_batches_of_its_runs(name):
    problem = makers()[name]
    theta = getattr(problem, "wrapped", problem).net.init(0)
    for order in orders():
        rows = np.arange(5)[order]
        for size in (1, 2, 4):
            wanted = [problem.batch(rows[i : i + size]) for i in range(0, len(rows) - size + 1, size)]
            for found in (list(problem.batches(order, size)), list(batches(problem, rows, size))):
                assert [part.n_samples for part in found] == [size] * len(wanted)
                for a, b in zip(found, wanted, strict=True):
                    assert type(a) is type(problem)
                    assert a.energy(theta) == b.energy(theta)
                    if name != "smoothed":
                        q = np.arange(float(problem.linearize(theta).residual.shape[0]))
                        np.testing.assert_array_equal(a.gather(q), b.gather(q))


@pytest.mark.parametrize("name", ["network", "burgers", "smoothed"])
def test_an_order_is_checked_before_the_first_batch(name):
    problem = makers()[name]
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 5\); got 0 to 5"):
        problem.batches(np.array([0, 5]), 1)
    with pytest.raises(ValueError, match="size must be a whole number >= 1, got 0"):
        problem.batches(np.array([0, 1]), 0)
    order = np.array([0, 1, 2, 3])
    parts = problem.batches(order, 2)
    order[:] = 4  # a copy was made
    theta = getattr(problem, "wrapped", problem).net.init(0)
    assert next(parts).energy(theta) == problem.batch([0, 1]).energy(theta)


def test_solve_checks_an_order_once_and_takes_the_same_batches(monkeypatch):
    problem = network_case("tanh", N=12).problem
    theta, checked = problem.net.init(0), []
    monkeypatch.setattr("gradflow.models.network_problem.rows_of", lambda *a: checked.append(len(a[0])) or rows_of(*a))
    how = {"dt": 0.1, "epochs": 3, "batch_size": 5, "seed": 0}
    run = solve(problem, SAV(), theta, **how)
    assert checked == [12] * 3

    class Own(Regression):
        """Overrides `batch` alone: it is asked for each batch."""

        def batch(self, indices):
            asked.append(np.asarray(indices))
            return super().batch(indices)

    class Bare:
        """Has `batch` alone."""

        n_samples = 12

        def __init__(self, wrapped):
            self.wrapped = wrapped

        def batch(self, indices):
            asked.append(np.asarray(indices))
            return self.wrapped.batch(indices)

        def __getattr__(self, name):
            if name == "batches":
                raise AttributeError(name)
            return getattr(self.wrapped, name)

    for other in (Own(problem.net, problem.x, problem.y), Bare(problem)):
        asked = []
        np.testing.assert_array_equal(solve(other, SAV(), theta, **how).theta, run.theta)
        assert [len(rows) for rows in asked] == [5] * 6
        assert len(np.unique(np.concatenate(asked[:2]))) == 10


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_takes_the_batches_that_are_left():
    problem = network_case("tanh", N=12).problem
    theta = problem.net.init(0)
    whole = [part.energy(theta) for part in parts(problem, 5, 3, 0, 7)]
    for start in range(7):
        assert [part.energy(theta) for part in parts(problem, 5, 3, start, 7)] == whole[start:]


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_the_order_of_an_epoch_is_the_permutation_of_its_seed_and_number(seed):
    problem = network_case("tanh", N=12).problem
    theta = problem.net.init(0)
    for step, part in enumerate(parts(problem, 5, seed, 0, 6)):
        order = np.random.default_rng([0 if seed is None else seed, step // 2]).permutation(12)
        rows = order[5 * (step % 2) : 5 * (step % 2) + 5]
        assert part.energy(theta) == problem.batch(rows).energy(theta)


def test_an_epoch_of_batches_needs_samples_and_batches():
    assert steps_per_epoch(network_case("tanh", N=12).problem, 5) == 2
    for known in ({}, {"n_samples": 12}, {"batch": lambda rows: None}):
        with pytest.raises(ValueError, match="n_samples and batch"):
            steps_per_epoch(SimpleNamespace(**known), 5)
        assert steps_per_epoch(SimpleNamespace(**known), None) == 1
