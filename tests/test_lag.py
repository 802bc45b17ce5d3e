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
