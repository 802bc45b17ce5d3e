"""The promise of the library: the energy identity of every scheme, for every dt, to k * eps.

k = 6, in units of eps times the sum of the magnitudes that are added up, including what rounding theta_new to
its own precision does to |theta_new - theta|^2 / dt. Seen: 2.5.
"""

import numpy as np
import pytest

from cases import DTYPES, LINEAR_PARTS, MASSES, auxiliary_schemes, residual_case
from gradflow.schemes.protocols import begun

SCHEMES = tuple(auxiliary_schemes())
K = 6


def step_size(state, dt):
    return getattr(getattr(state, "base", state), "tau", dt)


def identity_error(scheme, problem, state, new, dt):
    """Return |left - right| of the identity, and the sum of magnitudes that it must be small against."""
    terms = scheme.energy_terms(problem, state, new, dt)
    start = begun(scheme, state)
    before, after = scheme.modified_energy(problem, start), scheme.modified_energy(problem, new)
    base = getattr(scheme, "base", scheme)
    physical = base.dissipation(problem, state.theta, new.theta, step_size(new, dt))
    d = new.theta - state.theta
    rounding = problem.inner(np.abs(new.theta), np.abs(d) / step_size(new, dt))
    C = getattr(base, "C", 0.0) * (np.size(new.aux) if type(base).__name__ == "MSAV" else 1)
    magnitude = abs(before) + abs(after) + abs(physical) + abs(terms.numerical) + rounding + 2 * abs(C)
    if type(base).__name__ == "AdaptiveIEQ":  # the weight |q|^2 / (w + eps) may exceed 1
        magnitude = magnitude + abs(terms.dissipation) + rounding * float(np.float64(state.aux) ** 2)
    if type(base).__name__ == "ExpSAV":
        magnitude = magnitude + base.scale
    return float(abs(after - before + terms.dissipation + terms.numerical)), float(magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCHEMES)
def test_identity(name, dtype):
    rng = np.random.default_rng(7)
    eps, checked = np.finfo(dtype).eps, 0
    for trial in range(12):
        P, N = (int(n) for n in rng.integers(1, 201, size=2))
        linear, mass = LINEAR_PARTS[trial % 3], MASSES[trial // 3 % 3]
        case = residual_case(trial, P, N, dtype=dtype, linear=linear, mass=mass, scale=10 ** rng.uniform(-1, 0.5))
        scheme = auxiliary_schemes(stabilization=4.0 * (trial % 2))[name]
        dt = float(10 ** rng.uniform(-8, 8))
        state = scheme.init(case.problem, case.theta)
        for n in range(3):
            new = scheme.step(case.problem, state, dt)
            assert new.theta.dtype == dtype
            assert np.asarray(new.aux).dtype == dtype
            with np.errstate(over="ignore", invalid="ignore"):  # 1/r of the form that freezes may overflow
                error, magnitude = identity_error(scheme, case.problem, state, new, dt)
            checked += bool(np.isfinite(magnitude))
            if np.isfinite(magnitude):
                assert error <= K * eps * magnitude, (dt, P, N, linear, mass, n, error / (eps * magnitude))
            state = new
    assert checked >= (9 if "theorem" in name else 36)  # where 1/r overflows there is nothing to compare


DECAYING = [n for n in SCHEMES if not n.startswith("Restart") and "theorem" not in n]


@pytest.mark.parametrize("name", DECAYING)
def test_modified_energy_never_rises(name):
    rng = np.random.default_rng(3)
    for trial in range(8):
        case = residual_case(100 + trial, 30, 20, linear=LINEAR_PARTS[trial % 3], mass=MASSES[trial % 2])
        scheme = auxiliary_schemes(stabilization=trial % 2)[name]
        dt = float(10 ** rng.uniform(-6, 8))
        state = scheme.init(case.problem, case.theta)
        before = scheme.modified_energy(case.problem, state)
        for _ in range(20):
            state = scheme.step(case.problem, state, dt)
            with np.errstate(over="ignore"):
                after = scheme.modified_energy(case.problem, state)
            if not np.isfinite(after):  # -1/r of the form that freezes, once r is below the smallest number
                break
            assert after <= before + 1e-13 * (1 + abs(before) + abs(getattr(scheme, "scale", 0.0)))
            before = after


def test_a_wrong_inner_product_breaks_the_identity():
    """Decision D1: r updated with the plain dot product while theta moves along the gradient in another one."""
    from gradflow.schemes import SAV
    from gradflow.schemes.sav import sav_update

    case = residual_case(5, 40, 10, mass="mean_field")
    F, g = case.problem.nonlinear_energy_and_gradient(case.theta)
    scheme, dt = SAV(C=1.0), 0.2
    state = scheme.init(case.problem, case.theta)
    wrong = sav_update(case.theta, state.aux, g, F, dt=dt, C=1.0, inner=np.dot, solve=lambda u: u)
    right = scheme.step(case.problem, state, dt)
    for theta, r, ok in ((*wrong, False), (*right, True)):
        error, magnitude = identity_error(scheme, case.problem, state, type(state)(theta, r), dt)
        assert (error < 1e-14 * magnitude) == ok
