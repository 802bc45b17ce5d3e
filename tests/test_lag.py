"""The lag theorem: schemes with a restarted scalar auxiliary variable are gradient descent, late by part of a step."""

import numpy as np
import pytest

from gradflow import SAV, AdaptiveIEQ, ExpSAV, FunctionProblem, GradientDescent, Restart

C, KAPPA = 0.3, 0.7


def energy(t):
    return 0.5 * t[0] ** 2 + t[1] ** 2 + 0.25 * t[0] ** 2 * t[1] + 0.1 * t[1] ** 4


def slope(t):
    return np.array([t[0] + 0.5 * t[0] * t[1], 2 * t[1] + 0.25 * t[0] ** 2 + 0.4 * t[1] ** 3])


PROBLEM = FunctionProblem(energy, slope)
LAGS = {  # in steps, from the energies at the start and at the end
    "SAV": (Restart(SAV(C=C)), lambda E0, E: np.log((E0 + C) / (E + C)) / 2),
    "adaptive IEQ": (AdaptiveIEQ(eps=2 * C), lambda E0, E: np.log((E0 + C) / (E + C)) / 2),
    "ExpSAV": (ExpSAV(scale=KAPPA), lambda E0, E: (E0 - E) / KAPPA),
    "section 2.2.4": (
        Restart(ExpSAV(form="section_2.2.4", scale=KAPPA)),
        lambda E0, E: np.exp(-E / KAPPA) - np.exp(-E0 / KAPPA),
    ),
}
START = [np.array([1.0, 0.5]), np.array([-0.6, 0.9])]


def iterates(scheme, start, dt, n):
    state, found = scheme.init(PROBLEM, start), [start]
    for _ in range(n):
        state = scheme.step(PROBLEM, state, dt)
        found.append(state.theta)
    return np.array(found)


@pytest.mark.parametrize("start", START, ids=str)
@pytest.mark.parametrize("name", LAGS)
def test_order_two_with_the_lag_and_one_without(name, start):
    """theta_n is gradient descent after n - lag steps, between whole steps linearly, up to O(dt^2)."""
    scheme, lag = LAGS[name]
    with_lag, without, twice = [], [], []
    for n in (100, 200, 400):
        dt = 1.0 / n
        plain, ours = iterates(GradientDescent(), start, dt, n), iterates(scheme, start, dt, n)[-1]
        late = lag(energy(start), energy(ours))
        assert late > 0

        def descent(steps, plain=plain):
            k = int(steps)
            return plain[k] + (steps - k) * (plain[min(k + 1, len(plain) - 1)] - plain[k])

        for errors, steps in ((with_lag, n - late), (without, n), (twice, n - 2 * late)):
            errors.append(np.linalg.norm(descent(steps) - ours))
    for errors, order in ((with_lag, 2), (without, 1), (twice, 1)):
        assert abs(np.log2(errors[1] / errors[2]) - order) < 0.15, errors


def curvature(t):
    off = 0.5 * t[0]
    return np.array([[1 + 0.5 * t[1], off], [off, 2 + 1.2 * t[1] ** 2]])


def orbit(start, dt, regularization):
    """Return points of the orbit of E + regularization dt |g|^2/4, as the length of the curve increases."""
    field = lambda t: -slope(t) - regularization * dt / 2 * (curvature(t) @ slope(t))  # noqa: E731
    unit = lambda t: field(t) / np.linalg.norm(field(t))  # noqa: E731
    h, t, points = 0.005, start, [start]
    for _ in range(180):
        middle = t + h / 2 * unit(t)
        t = t + h * unit(middle)
        points.append(t)
    return np.array(points)


def distance(point, points):
    """Return the distance of a point to a polygon."""
    a, d = points[:-1], np.diff(points, axis=0)
    along = np.clip(((point - a) * d).sum(axis=1) / (d * d).sum(axis=1), 0, 1)
    return np.linalg.norm(point - a - along[:, None] * d, axis=1).min()


@pytest.mark.parametrize("scheme", [SAV(C=C), ExpSAV(form="explicit", scale=KAPPA), Restart(SAV(C=C))], ids=str)
def test_the_orbit_is_that_of_gradient_descent(scheme):
    """The iterates are within O(dt^2) of the orbit of E + dt |g|^2/4 and within O(dt) of others: also if r is not restarted."""
    errors = {1: [], 0: [], -1: []}
    for n in (25, 50):
        dt = 0.6 / n
        ours = iterates(scheme, START[0], dt, n)[-1]
        for regularization, found in errors.items():
            found.append(distance(ours, orbit(START[0], dt, regularization)))
    for regularization, order in ((1, 2), (0, 1), (-1, 1)):
        assert abs(np.log2(errors[regularization][0] / errors[regularization][1]) - order) < 0.2, errors
