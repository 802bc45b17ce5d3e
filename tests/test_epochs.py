"""The mean of an epoch, and what it says of the modified loss of stochastic gradient descent."""

from itertools import permutations, product

import numpy as np
import pytest

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
