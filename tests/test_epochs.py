"""The mean of an epoch, and what it says of the modified loss of stochastic gradient descent."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
import sympy as sp

from gradflow.backward_error.epochs import mean_epoch

RNG = np.random.default_rng(7)


def brute_force(step, m, theta, replacement):
    ends = []
    for order in product(range(m), repeat=m) if replacement else permutations(range(m)):
        at = theta
        for k in order:
            at = step(k, at)
        ends.append(at)
    return np.mean(ends, axis=0)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_it_is_the_mean_over_all_orders(m, replacement):
    """Of steps that do not commute."""
    A = RNG.normal(size=(m, 3, 3))
    step = lambda k, at: np.tanh(A[k] @ at)  # noqa: E731
    theta = RNG.normal(size=3)
    found = mean_epoch(step, m, theta, replacement=replacement)
    np.testing.assert_allclose(found, brute_force(step, m, theta, replacement), rtol=1e-13, atol=1e-15)


def test_common_beginnings_are_computed_once():
    calls = []
    mean_epoch(lambda k, at: calls.append(k) or at, 4, np.zeros(1))
    assert len(calls) == 4 + 4 * 3 + 4 * 3 * 2 + 24
    calls.clear()
    mean_epoch(lambda k, at: calls.append(k) or at, 3, np.zeros(1), replacement=True)
    assert len(calls) == 3 + 9 + 27


@pytest.mark.parametrize("batches", [0, 9, 2.0, True])
def test_wrong_numbers_of_batches_are_refused(batches):
    with pytest.raises(ValueError, match="batches must be a whole number from 1 to 8"):
        mean_epoch(lambda k, at: at, batches, np.zeros(1))
    with pytest.raises(ValueError, match="from 1 to 6"):
        mean_epoch(lambda k, at: at, 7, np.zeros(1), replacement=True)


def test_a_step_may_write_into_its_argument():
    """And the theta of the caller stays what it was."""
    slopes = RNG.normal(size=3)

    def in_place(k, at):
        at *= 1 - slopes[k]
        at += slopes[k] ** 2
        return at

    buffer = np.empty(2)

    def in_a_buffer(k, at):
        buffer[:] = (1 - slopes[k]) * at + slopes[k] ** 2
        return buffer

    elsewhere = lambda k, at: (1 - slopes[k]) * at + slopes[k] ** 2  # noqa: E731
    for replacement in (False, True):
        theta = np.array([1.0, -2.0])
        wanted = mean_epoch(elsewhere, 3, theta, replacement=replacement)
        for step in (in_place, in_a_buffer):
            np.testing.assert_allclose(mean_epoch(step, 3, theta, replacement=replacement), wanted, rtol=1e-14)
        np.testing.assert_array_equal(theta, [1.0, -2.0])


def test_fractions_and_symbols_are_exact():
    t, dt = sp.symbols("t dt")
    step = lambda k, at: at - dt * (k + 1) * at  # noqa: E731
    found = mean_epoch(step, 2, np.array([t], dtype=object))
    assert sp.expand(found[0] - t * (1 - dt) * (1 - 2 * dt)) == 0
    third = mean_epoch(
        lambda k, at: at * Fraction(k + 1, 3), 2, np.array([Fraction(1)], dtype=object), replacement=True
    )
    assert third[0] == Fraction(1, 4)


@pytest.mark.parametrize(
    ("step", "theta", "message"),
    [
        (lambda k, at: at[:1], np.ones(2), r"step\(k, theta\) must have shape \(P,\), P = 2"),
        (lambda k, at: 1.0, np.ones(2), r"step\(k, theta\) must be an array of shape"),
        (lambda k, at: None, np.ones(2), r"step\(k, theta\) must be an array of shape"),
        (
            lambda k, at: at.astype("f"),
            np.ones(2),
            r"step\(k, theta\) must have the dtype of theta, float64; got float32",
        ),
        (lambda k, at: at[:1], np.array([sp.Symbol("t")] * 2), r"step\(k, theta\) must have shape \(P,\), P = 2"),
        (lambda k, at: at, np.array([3, 4]), "theta must be float32 or float64"),
        (lambda k, at: at, [1.0, 2.0], "theta must be an array of shape"),
        (lambda k, at: at, np.ones((2, 2)), "theta must have shape"),
        (None, np.ones(2), "step must be a function of the number of a batch"),
    ],
)
def test_what_is_no_step_is_refused(step, theta, message):
    with pytest.raises(ValueError, match=message):
        mean_epoch(step, 2, theta)


# four batches E_k = log cosh(a_k theta_0 + b_k theta_1 + c_k)
a = np.array([[1.0, 0.3], [-0.5, 1.2], [0.7, -0.8], [0.2, 0.9]])
c = np.array([0.4, -0.3, 0.8, -0.6])
M = len(c)


def gradient(k, t):
    return np.tanh(a[k] @ t + c[k]) * a[k]


def hessian(k, t):
    return (1 - np.tanh(a[k] @ t + c[k]) ** 2) * np.outer(a[k], a[k])


def modified_gradient(t, dt, spread):
    """Return the gradient of E + dt |g|^2/4 + spread dt/(4m) sum |g_k - g|^2."""
    g, H = [gradient(k, t) for k in range(M)], [hessian(k, t) for k in range(M)]
    mean, whole = np.mean(g, axis=0), np.mean(H, axis=0)
    of_whole = whole @ mean / 2
    of_spread = np.mean([h @ u for h, u in zip(H, g, strict=True)], axis=0) / 2 - of_whole
    return mean + dt * (of_whole + spread * of_spread)


def flow(t, dt, spread):
    """Return the solution after the time m dt, by Kutta's method."""
    n, h = 8, M * dt / 8
    field = lambda u: -modified_gradient(u, dt, spread)  # noqa: E731
    for _ in range(n):
        k1 = field(t)
        k2 = field(t + h / 2 * k1)
        k3 = field(t + h / 2 * k2)
        t = t + h / 6 * (k1 + 2 * k2 + 2 * k3 + field(t + h * k3))
    return t


@pytest.mark.parametrize(
    ("replacement", "spread", "order"), [(0, 1, 3), (0, 0, 2), (0, 2, 2), (1, 0, 3), (1, 1, 2), (1, 2, 2)]
)
def test_local_order_of_the_modified_loss(replacement, spread, order):
    """After one epoch: without replacement the term dt/(4m) sum |g_k - g|^2 is right, with replacement none is; other ones lose an order."""
    start = np.array([0.5, -0.4])
    errors = []
    for dt in (0.02, 0.01):
        step = lambda k, at, dt=dt: at - dt * gradient(k, at)  # noqa: E731
        end = mean_epoch(step, M, start, replacement=bool(replacement))
        errors.append(np.linalg.norm(end - flow(start, dt, spread)))
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.15
