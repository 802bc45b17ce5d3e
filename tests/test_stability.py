"""Stability on a quadratic: thresholds by formula and by bisection, orbits, cycles, and the edge of stability along a run."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sympy as sp

import gradflow as gf
from gradflow.backward_error.linear_stability import (
    CurvedResidual,
    Quadratic,
    amplification,
    amplification_matrix,
    edge_of_stability,
    effective_step,
    exact_stability,
    fate,
    stability,
)
from gradflow.certificates.linear_stability import measured_stability
from gradflow.plotting.edges import plot_edge_of_stability
from gradflow.schemes import REGISTRY
from gradflow.symbolic import configured

Z, BETA = sp.Symbol("z", positive=True), sp.Symbol("beta", nonnegative=True)
PAGE = (Path(__file__).parents[1] / "docs" / "theory" / "stability.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells[2:]
    for line in re.findall(r"^\| (`\w+\(.*) \|$", PAGE, flags=re.MULTILINE)
    for cells in [line.split(" | ")]
}
"""By the scheme as written on the page: z, the end of the real flow, and what lies beyond."""
NUMBERS = {"-": math.nan, "none": math.inf, "every z": math.inf}
THRESHOLDS = {code: NUMBERS.get(z) or float(z) for code, (z, _, _) in ROWS.items()}
ALMOST = pytest.approx


def run(scheme, z, start, steps, energy=None):
    """Return theta after each step of `solve`, shape (steps, P)."""
    energy, path = energy or Quadratic(), []
    theta = np.full(energy.curvature.shape, start)
    gf.solve(
        energy, scheme, theta, dt=z / energy.largest, steps=steps, callback=lambda _, state: path.append(state.theta)
    )
    return np.array(path)


def made(code):
    return eval(code, vars(gf))


def test_the_page_has_every_scheme_of_the_registry():
    assert {name for code in ROWS for name in re.findall(r"\w+(?=\()", code)} == REGISTRY.keys()


@pytest.mark.parametrize("code", ROWS)
def test_the_table_of_the_page(code):
    found, (z, flow, beyond) = stability(made(code)), ROWS[code]
    for number, cell in ((found.threshold, z), (found.real_flow, flow)):
        assert number == ALMOST(NUMBERS.get(cell) or float(cell), rel=1e-9, nan_ok=True)
    assert ", ".join(found.beyond) == beyond
    assert math.isnan(found.threshold) == (not (found.at_rest and found.decides)) == (found.stable == ())
    assert code.partition("(")[0] in str(found)


LOCAL = [code for code, z in THRESHOLDS.items() if 1e-3 < z < math.inf and "Relaxed" not in code]


@pytest.mark.parametrize("code", LOCAL)
def test_orbits_of_solve_stay_below_the_threshold_and_leave_above(code):
    below, above = (run(made(code), m * THRESHOLDS[code], 1e-6, 400) for m in (0.95, 1.05))
    assert np.abs(below[-1]).max() < 1e-9
    assert np.abs(above).max() > 1e-5


@pytest.mark.parametrize("code", [code for code, z in THRESHOLDS.items() if z == math.inf])
def test_orbits_of_solve_converge_where_there_is_no_threshold(code):
    for z in (0.5, 5.0, 50.0):
        assert np.abs(run(made(code), z, 1e-3, 300)[-1]).max() < 1e-8


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.5, 0.81, 0.9, 0.99])
def test_formulas_of_momentum(beta):
    heavy, nesterov = (stability(kind(momentum=beta), steps=64) for kind in (gf.HeavyBall, gf.Nesterov))
    assert heavy.threshold == ALMOST(2 * (1 + beta), rel=1e-12)
    assert heavy.real_flow == ALMOST((1 - math.sqrt(beta)) ** 2, rel=1e-9)
    assert nesterov.threshold == ALMOST(2 * (1 + beta) / (1 + 2 * beta), rel=1e-12)
    assert nesterov.real_flow == ALMOST(((1 - beta) / (1 + beta)) ** 2, rel=1e-9)
    assert heavy.limit == ALMOST(heavy.threshold)  # the effective step of a momentum method is dt


@pytest.mark.parametrize("curvature", [0.25, 100.0])
@pytest.mark.parametrize("s", [0.05, 60.0])
def test_formulas_of_stabilized_schemes(curvature, s):
    expected = 2 / (1 - 2 * s / curvature) if 2 * s < curvature else math.inf
    flow = 1 / (1 - s / curvature) if s < curvature else math.inf
    for scheme in (
        gf.GradientDescent(stabilization=s),
        gf.SAV(stabilization=s),
        gf.Restart(gf.ExpSAV(stabilization=s)),
    ):
        found = stability(scheme, Quadratic(curvature, offset=0.5), steps=64)
        assert found.threshold == ALMOST(expected, rel=1e-12)
        assert found.real_flow == ALMOST(flow, rel=1e-12)
        assert found.limit == (ALMOST(2.0) if expected < math.inf else math.inf)


@pytest.mark.parametrize("scheme", [gf.Nesterov(), gf.Restart(gf.SAV()), gf.ElementwiseSAV(), gf.RungeKutta4()])
def test_the_largest_eigenvalue_decides(scheme):
    one, many = (stability(scheme, Quadratic(values), steps=64) for values in (4.0, [0.5, 4.0, 1.0]))
    assert many.threshold == ALMOST(one.threshold, rel=1e-12)
    assert len(many.variables) == 3 * len(one.variables)


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_formulas_of_adaptive_methods(beta1, eps):
    for scheme in (gf.Adam(beta1=beta1, eps=eps), gf.Adam(beta1=beta1, eps=eps, beta2=0.9, reading="norm")):
        found = stability(scheme, Quadratic(4.0), steps=64)
        assert found.threshold == ALMOST(2 * eps * (1 + beta1) / (1 - beta1), rel=1e-12)
        assert found.limit == ALMOST(2 * (1 + beta1), rel=1e-9)


@pytest.mark.parametrize(("c", "mu"), [(0.25, 4.0), (20.0, 4.0)])
def test_levenberg_marquardt_on_a_curved_residual(c, mu):
    """It is stable for dt (c kappa - mu) < 2, kappa = 1."""
    energy = CurvedResidual(c, 1.0, mu)
    found = stability(gf.Restart(gf.IEQ()), energy, steps=64)
    dt = found.threshold / energy.largest
    assert dt == (ALMOST(2 / (c - mu), rel=1e-9) if c > mu else math.inf)
    exact = float(exact_stability(gf.Restart(gf.IEQ()), energy).threshold)
    assert exact == (ALMOST(2 * (mu + c) / (c - mu)) if c > mu else math.inf)


def test_levenberg_marquardt_leaves_the_minimum_beyond_dt_1():
    energy = CurvedResidual(3.0, 1.0, 1.0)
    below, above = (run(gf.Restart(gf.IEQ()), 4 * dt, 1e-4, 2000, energy)[-1] for dt in (0.95, 1.05))
    assert abs(below[0]) < 1e-12
    assert abs(above[0]) > 0.1
    assert gf.check_derivatives(energy, np.array([0.3])).passed
    assert energy.energy(np.zeros(1)) == energy.offset == 4.5


@pytest.mark.parametrize(
    "scheme",
    [gf.HeavyBall(momentum=0.7), gf.Nesterov(), gf.RungeKutta4(), gf.SAV(stabilization=0.25), gf.Restart(gf.IEQ())],
)
def test_exact_and_numerical_thresholds_agree(scheme):
    found = stability(scheme, exact=True, steps=64)
    assert float(found.exact.threshold) == ALMOST(found.threshold, rel=1e-12)
    assert float(found.exact.real_flow) == ALMOST(found.real_flow, rel=1e-9)
    told = "every z, exactly" if found.threshold == math.inf else f"exactly {found.exact.threshold}"
    assert told in str(found)
    A, variables = amplification_matrix(scheme, Z)
    numbers, same = amplification_matrix(scheme, 0.75)
    assert variables == same
    np.testing.assert_allclose(np.array(A.subs(Z, sp.Rational(3, 4)).tolist(), dtype=float), numbers, rtol=1e-12)


def test_exact_thresholds_keep_symbols():
    found = exact_stability(configured(gf.Nesterov, momentum=BETA), at={BETA: sp.Rational(1, 3)})
    assert sp.simplify(found.threshold - 2 * (1 + BETA) / (1 + 2 * BETA)) == 0
    assert exact_stability(gf.SAV(), Quadratic(sp.Symbol("k", positive=True))).threshold == 2
    assert exact_stability(gf.IEQ()).polynomial.free_symbols == {
        Z,
        sp.Symbol("x"),
    }  # the conserved quantity is left out
    assert exact_stability(gf.Restart(gf.IEQ(stabilization=0.5)), CurvedResidual(3.0, 1.0, 1.0)).threshold == 8
    many = Quadratic([2.0, 1.0], offset=0.5)
    A, _ = amplification_matrix(gf.Restart(gf.IEQ()), Z, many)
    numbers, _ = amplification_matrix(gf.Restart(gf.IEQ()), 3.0, many)
    assert A.subs(Z, 3) == sp.diag(sp.Rational(1, 4), sp.Rational(2, 5))
    np.testing.assert_allclose(numbers, np.diag([0.25, 0.4]), atol=1e-12)
    assert stability(gf.ImplicitEuler(), exact=True, steps=64).exact is None  # its solver is one for numbers


# Beyond the threshold


@pytest.mark.parametrize("C", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("z", [2.1, 3.0, 5.0, 10.0])
def test_the_cycle_of_restarted_sav(C, z):
    end = fate(gf.Restart(gf.SAV(C=C)), z)
    assert (end.kind, end.period) == ("cycle", 2)
    assert end.energy == ALMOST(C * (z - 2) / (z + 2), rel=1e-9)
    assert end.multiplier == ALMOST((1 - 8 / z**2) ** 2, rel=1e-6, abs=1e-8)
    path = run(gf.Restart(gf.SAV(C=C)), z, 0.1, 1001)[-2:]
    assert path[0] == ALMOST(-path[1], rel=1e-9)
    assert path[1] ** 2 / 2 == ALMOST(end.energy, rel=1e-9)


PERIODS = [(int(k), row.split(" | ")) for k, row in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, flags=re.MULTILINE)]


@pytest.mark.parametrize(("k", "row"), PERIODS)
def test_the_cycles_of_sav_restarted_every_k_steps(k, row):
    """As in the table of the page; the state comes back after a multiple of k steps."""
    assert [k for k, _ in PERIODS] == [1, 2, 3, 5]
    for z, said in zip((2.1, 3.0, 4.5, 10.0), row, strict=True):
        end = fate(gf.Restart(gf.SAV(C=1.0), every=k), z)
        assert said == (f"{end.period}-cycle" if end.kind == "cycle" else end.kind)
        assert end.period % k == 0
        assert end.kind == "chaos" or abs(end.multiplier) < 0.95
        assert np.isfinite(end.energy)


def test_the_cycle_of_restarted_sav_in_two_dimensions():
    """It is one of the steepest direction: E = C (z - 2)/(z + 2) with z = dt 100."""
    path = run(gf.Restart(gf.SAV(C=1.0)), 5.0, 1.0, 3000, Quadratic([100.0, 1.0]))
    assert 50 * path[-1, 0] ** 2 == ALMOST(3 / 7, rel=1e-9)
    assert abs(path[-1, 1]) < 1e-12


@pytest.mark.parametrize(
    ("z", "multiplier"), [(2.5, (3 - 8 / 2.5) ** 2), (3.5, (3 - 8 / 3.5) ** 2), (4.25, 0.5), (4.75, -0.5)]
)
def test_the_cycles_of_exponential_sav(z, multiplier):
    for scheme in (gf.ExpSAV(scale=2.0), gf.Restart(gf.ExpSAV(scale=2.0))):
        end = fate(scheme, z)
        assert (end.kind, end.period) == ("cycle", 2)
        assert end.multiplier == ALMOST(multiplier, rel=1e-5)
        if z < 4:
            assert end.energy == ALMOST(2.0 * (z - 2) / (4 * z), rel=1e-9)


@pytest.mark.parametrize("z", [8.01, 8.1, 8.3, 8.4])
def test_the_cycle_of_four_steps_of_exponential_sav(z):
    end, s = fate(gf.ExpSAV(), z, steps=20000), (z - math.sqrt(z**2 - 8 * z)) / 2
    assert (end.kind, end.period) == ("cycle", 4)
    assert end.multiplier == ALMOST(((32 - 8 * s + 7 * s**2 - 2 * s**3) / s**2) ** 2, abs=1e-5)


@pytest.mark.parametrize(("z", "kind", "period"), [(7.99, "chaos", 0), (8.653, "cycle", 4), (8.655, "cycle", 8)])
def test_the_ends_of_its_window(z, kind, period):
    end = fate(gf.ExpSAV(), z, steps=40000)
    assert (end.kind, end.period) == (kind, period)


@pytest.mark.parametrize("z", [6.0, 7.0, 12.0, 20.0])
def test_exponential_sav_has_positive_lyapunov_exponents(z):
    """Measured, as is the mean of log |derivative| of the map in one variable, along 20000 steps."""
    end = fate(gf.Restart(gf.ExpSAV()), z)
    assert end.kind == "chaos"
    x, total = 0.3, 0.0
    for _ in range(20000):
        total += math.log(abs(z * (1 - x * x) / (1 + x * x) ** 2 - 1))
        x *= z / (1 + x * x) - 1
    assert end.lyapunov == ALMOST(total / 20000, abs=0.08)


@pytest.mark.parametrize(("z", "decay"), [(4e-8, 0.9), (1e-6, 0.9), (1e-6, 0.5)])
def test_the_cycle_of_rmsprop(z, decay):
    end = fate(gf.RMSProp(decay=decay), z, steps=2000)
    assert (end.kind, end.period) == ("cycle", 2)
    assert end.amplitude == ALMOST(z / 2 - 1e-8, rel=1e-9)
    M = np.array([[1 - 2 * (1 - decay) * (1 - 2e-8 / z), -2 * decay / z], [(1 - decay) * (z - 2e-8), decay]])
    assert abs(end.multiplier) == ALMOST(np.abs(np.linalg.eigvals(M @ M)).max(), rel=1e-6)


def test_a_carried_r_settles_beyond_the_threshold():
    """Vanilla SAV converges for z = 4, at an r below R / 2, where the minimum is stable; for z = 30 it stops elsewhere."""
    found = stability(gf.SAV(C=1.0))
    assert found.carried == ("aux",)
    assert found.beyond[0] == "converges"
    state = gf.SAV(C=1.0).init(Quadratic(), np.ones(1))
    for _ in range(500):
        state = gf.SAV(C=1.0).step(Quadratic(), state, 4.0)
    assert abs(state.theta[0]) < 1e-6
    assert 0 < state.aux < 0.5
    assert fate(gf.SAV(C=1.0), 30.0).kind == "stops"
    assert amplification(gf.SAV(C=1.0), 4.0) == 3.0


def test_a_conserved_inconsistency_is_left_out():
    found = stability(gf.IEQ(), steps=64)
    assert found.conserved == 1
    A, variables = amplification_matrix(gf.IEQ(), 3.0)
    assert variables == ("theta", "aux[0]")
    assert np.sort(np.linalg.eigvals(A)) == ALMOST([0.25, 1.0])


def test_sav_without_a_constant_is_implicit_euler_in_one_dimension():
    found = stability(gf.Restart(gf.SAV(C=0.0)), steps=64)
    assert found.threshold == math.inf
    assert amplification(gf.Restart(gf.SAV(C=0.0)), 3.0) == ALMOST(0.25)
    carried = stability(gf.SAV(C=0.0), steps=64)
    assert carried.at_rest
    assert not carried.decides  # r / sqrt(E) does not stay 1


def test_diverging_and_undecided_orbits():
    assert stability(gf.GradientDescent()).beyond == ("diverges",)
    assert stability(gf.Restart(gf.ExpSAV(form="explicit"))).beyond == ("diverges",)
    assert "decays" in stability(gf.Adam()).beyond  # the average of squares has not ended after 1000 steps
    assert fate(gf.NoisyGradientDescent(), 0.5).kind == "bounded"


# Schemes of one's own


class TwoState(NamedTuple):
    theta: Any
    past: tuple[Any, ...] = ()


class AdamsBashforth:
    """theta_new = theta - dt (3 g - g_old) / 2, stable on the negative axis up to 1."""

    def init(self, problem, theta):
        return TwoState(theta)

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        old = state.past[0] if state.past else g
        return TwoState(state.theta - dt * (3 * g - old) / 2, (g,))


class Ascent:
    def init(self, problem, theta):
        return TwoState(theta)

    def step(self, problem, state, dt):
        return TwoState(state.theta + dt * problem.energy_and_gradient(state.theta)[1])


class Shifted(Ascent):
    def step(self, problem, state, dt):
        return TwoState(state.theta - dt * (problem.energy_and_gradient(state.theta)[1] - 1))


def test_a_two_step_scheme_of_ones_own():
    found = stability(AdamsBashforth(), exact=True)
    assert found.threshold == ALMOST(1.0, rel=1e-12)
    assert found.exact.threshold == 1
    assert found.variables == ("theta", "past.0")
    assert found.beyond == ("diverges",)
    assert found.limit == ALMOST(1.5)  # of a gradient that begins now, a step takes 3/2


def test_ascent_and_a_wrong_fixed_point_are_told():
    up = stability(Ascent())
    assert (up.threshold, up.stable, up.beyond) == (0.0, (), ("diverges",))
    assert "not asymptotically stable" in str(up)
    away = stability(Shifted(), steps=64)
    assert not away.at_rest
    assert "does not stay at the minimum" in str(away)
    with pytest.raises(ValueError, match="no fixed point of Shifted"):
        amplification_matrix(Shifted(), 1.0)
    with pytest.raises(ValueError, match="no fixed point of Shifted"):
        amplification_matrix(Shifted(), Z)
    with pytest.raises(ValueError, match="no fixed point of Shifted"):
        amplification(Shifted(), 1.0)


class MeanOfGradients:
    """The mean of the last k gradients."""

    def __init__(self, k):
        self.k = k

    def init(self, problem, theta):
        return TwoState(theta)

    def step(self, problem, state, dt):
        past = (problem.energy_and_gradient(state.theta)[1], *state.past)[: self.k]
        return TwoState(state.theta - dt * sum(past) / len(past), past)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_a_scheme_with_a_long_past(k):
    """The threshold is where a root of x^k - x^(k-1) + z (x^(k-1) + ... + 1) / k leaves the unit circle."""
    found = stability(MeanOfGradients(k), steps=64)

    def radius(z):
        return np.max(np.abs(np.roots([1, z / k - 1, *(k - 1) * [z / k]])))

    assert radius(found.threshold * (1 - 1e-6)) < 1 < radius(found.threshold * (1 + 1e-6))


class Factor(NamedTuple):
    theta: Any
    a: float = 1.0
    k: int = 0


class Multiplies:
    """Explicit Euler with another factor of the gradient, a function of theta, of a number that stays, and of the step."""

    def __init__(self, factor):
        self.factor = factor

    def init(self, problem, theta):
        return Factor(theta)

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        return Factor(state.theta - dt * self.factor(state.theta, state.a, state.k) * g, state.a, state.k + 1)


class AwayFromTheMinimum(Multiplies):
    def init(self, problem, theta):
        if not np.any(theta):
            raise ValueError("theta must not be 0")
        return Factor(theta)


@pytest.mark.parametrize("small", [0.0, 1e-5, 1e-2])
def test_what_the_factor_of_a_step_barely_depends_on(small):
    """On theta's sign: no linearisation; on a number that stays: it is carried; on the step, where none is defined: no factor."""
    by_sign = stability(Multiplies(lambda theta, a, k: 1 + small * np.sign(theta)), steps=64)
    assert by_sign.decides == (small == 0)
    by_number = stability(Multiplies(lambda theta, a, k: 1 + small * (a - 1)), steps=64)
    assert by_number.carried == (("a",) if small else ())
    assert by_number.threshold == ALMOST(2.0, rel=1e-12)
    by_step = stability(AwayFromTheMinimum(lambda theta, a, k: 1 + small * (k % 2)), steps=64)
    assert by_step.decides == (small == 0)
    assert ("or depends on the number of steps" in str(by_step)) == (small > 0)
    if small == 0:
        assert by_step.threshold == by_step.limit == ALMOST(2.0, rel=1e-12)


class Fading(Multiplies):
    """A number that fades by a small part in each step, and moves theta."""

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        return Factor(state.theta - dt * g + state.a / 8, state.a * (1 - self.factor))

    def init(self, problem, theta):
        return Factor(theta, 0.0)


@pytest.mark.parametrize("fades", [2.0**-3, 2.0**-13, 0.0])
def test_a_number_that_fades_slowly_is_not_conserved(fades):
    found = stability(Fading(fades), steps=64)
    assert found.variables == ("theta", "a")
    assert found.conserved == (fades == 0)
    assert found.threshold == ALMOST(2.0, rel=1e-9)


class Mirror(Multiplies):
    """theta_new = -factor theta, for every dt."""

    def step(self, problem, state, dt):
        return Factor(-self.factor * state.theta)


@pytest.mark.parametrize(("factor", "threshold"), [(1 - 1e-12, math.inf), (1.0, 0.0), (1 + 1e-12, 0.0)])
def test_an_eigenvalue_on_the_unit_circle_is_not_asymptotically_stable(factor, threshold):
    found = stability(Mirror(factor), steps=64)
    assert found.threshold == threshold
    assert found.real_flow == 0
    assert math.isfinite(found.fates[0].energy)


# Steps that take turns, and steps that depend on their number


@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize(
    ("energy", "flow"), [(Quadratic(), 1), (Quadratic([4.0, 1.0], offset=0.5), sp.Rational(8, 5))], ids=["one", "two"]
)
def test_restarted_sav_is_stable_up_to_2_for_every_k(k, energy, flow):
    """A is (I - dt H)^k, and no auxiliary variable is carried: at the minimum it is set anew every k steps."""
    scheme = gf.Restart(gf.SAV(), every=k)
    found = stability(scheme, energy, exact=True)
    assert (found.period, found.carried, found.conserved, found.obstacle) == (k, (), 0, "")
    assert found.threshold == found.limit == ALMOST(2.0, rel=1e-12)
    assert found.real_flow == ALMOST(float(flow), rel=1e-12)
    assert (found.exact.threshold, found.exact.real_flow) == (2, flow)
    assert ("take turns" in str(found)) == (k > 1)
    for z in (0.3, 1.0, 1.9, 2.1, 7.0):
        own = np.linalg.matrix_power(np.eye(energy.curvature.size) - z * np.diag(energy.curvature / energy.largest), k)
        assert amplification(scheme, z, energy) ** k == ALMOST(
            np.abs(np.linalg.eigvals(own)).max(), rel=1e-12, abs=1e-12
        )
        np.testing.assert_allclose(amplification_matrix(scheme, z, energy)[0], own, rtol=1e-9, atol=1e-9)
    below, above = (run(scheme, z, 1e-6, 400, energy) for z in (1.9, 2.1))
    assert np.abs(below[-1]).max() < 1e-9
    assert np.abs(above[-1]).max() > 1e-2


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize(
    "base", [gf.SAV(), gf.IEQ(), gf.ExpSAV(form="explicit"), gf.MSAV(parts=1), gf.SAV(stabilization=0.2)]
)
@pytest.mark.parametrize("energy", [Quadratic(2.0, offset=0.5), CurvedResidual(3.0, 1.0, 1.0)], ids=repr)
def test_the_amplification_of_a_period_is_that_of_orbits(base, energy, k):
    scheme = gf.Restart(base, every=k)
    assert stability(scheme, energy, steps=64).carried == ()
    for z in (0.4, 3.0, 9.0):
        orbit = run(scheme, z, 1e-7, k, energy)
        assert amplification(scheme, z, energy) ** k == ALMOST(abs(orbit[-1, 0]) / 1e-7, rel=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_restarted_ieq_is_stable_for_a_linear_residual(k):
    found = stability(gf.Restart(gf.IEQ(), every=k), exact=True, steps=64)
    assert found.threshold == found.real_flow == found.exact.threshold == math.inf
    assert found.conserved == 0


class Turn(NamedTuple):
    theta: Any
    turn: Any
    d: Any


class TakesTurns:
    """The heavy ball with steps c_j dt, the j of which a count, a remainder, a flag or a number in the state tells."""

    def __init__(self, steps, beta, kind="count"):
        self.steps, self.beta, self.kind = steps, beta, kind

    def init(self, problem, theta):
        return Turn(theta, {"flag": False, "number": self.steps[0], "array": np.array(0)}.get(self.kind, 0), 0 * theta)

    def step(self, problem, state, dt):
        d, turn = self.beta * state.d + problem.energy_and_gradient(state.theta)[1], state.turn
        c = turn if self.kind == "number" else self.steps[int(turn) % len(self.steps)]
        new = {"flag": not turn, "number": sum(self.steps[:2]) - c, "round": (turn + 1) % len(self.steps)}
        return Turn(state.theta - c * dt * d, new.get(self.kind, turn + 1), d)


def radius_of(steps, beta, z):
    """Return the spectral radius of the product of the matrices of (theta, d)."""
    A = np.eye(2)
    for c in steps:
        A = np.array([[1 - c * z, -c * z * beta], [1, beta]]) @ A
    return np.abs(np.linalg.eigvals(A)).max()


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize(
    ("steps", "kind"),
    [((0.5, 1.5), kind) for kind in ("count", "round", "flag", "number", "array")]
    + [((0.5, 1.0, 1.5), "count"), ((2.0, 0.25, 0.25, 1.0), "round"), ((*(99 * [1.0]), 0.5), "round")],
)
def test_the_threshold_of_steps_that_take_turns_is_that_of_their_product(steps, kind, beta):
    found = stability(TakesTurns(steps, beta, kind), steps=64)
    assert found.period == len(steps)
    assert found.threshold < math.inf
    assert math.isnan(found.limit)  # the effective steps differ
    for m, stable in ((1 - 1e-6, True), (1 + 1e-6, False)):
        assert (radius_of(steps, beta, m * found.threshold) < 1) == stable
    path = run(TakesTurns(steps, beta, kind), 0.9 * found.threshold, 1e-6, 80 * len(steps))
    assert abs(path[-1, 0]) < 1e-7
    assert np.abs(run(TakesTurns(steps, beta, kind), 1.1 * found.threshold, 1e-6, 80 * len(steps))).max() > 1e-5
    for z in (0.3, 2.0):
        assert amplification(TakesTurns(steps, beta, kind), z) == ALMOST(
            radius_of(steps, beta, z) ** (1 / len(steps)), rel=1e-6
        )
    if beta == 0:
        assert found.real_flow == ALMOST(1 / max(steps), rel=1e-9)


class ByNumber(Multiplies):
    """Explicit Euler with a factor that depends on the number of the step."""

    def __init__(self, factor):
        super().__init__(lambda theta, a, k: factor(k + 1))


UNSETTLED = {
    "dt / n^(1/2)": lambda n: n**-0.5,
    "dt / n": lambda n: 1 / n,
    "dt / n^2": lambda n: n**-2.0,
    "dt 2^-n": lambda n: 0.5**n,
    "dt n^(1/2)": lambda n: n**0.5,
    "half a period of the cosine": lambda n: 0.5 + 0.5 * math.cos(math.pi * min(n / 50, 1)),
    "the cosine": lambda n: 1 + 0.5 * math.cos(n),
}


@pytest.mark.parametrize("name", UNSETTLED)
def test_a_step_that_changes_without_end_has_no_threshold(name):
    scheme = ByNumber(UNSETTLED[name])
    found = stability(scheme, exact=True, steps=64)
    assert (found.at_rest, found.decides, found.period, found.stable, found.exact) == (True, False, 0, (), None)
    assert math.isnan(found.threshold)
    assert math.isnan(found.real_flow)
    assert "undecided: the amplification depends on the number of steps" in str(found)
    threshold = measured_stability(scheme)[0]
    assert threshold.status == "undecided"
    assert threshold.detail == found.obstacle
    for call in (amplification, amplification_matrix):
        with pytest.raises(ValueError, match="depends on the number of steps"):
            call(scheme, 0.5)
    if "cosine" not in name:  # of which `math` has none for symbols
        with pytest.raises(ValueError, match="number of steps"):
            exact_stability(scheme)
    *_, (_, limit) = edge_of_stability(Quadratic(), scheme, 0.1)
    assert math.isnan(limit(scheme.init(Quadratic(), np.ones(1))))


@pytest.mark.parametrize("every", [101, 1000])
def test_a_period_that_is_too_long_is_told(every):
    found = stability(gf.Restart(gf.SAV(), every=every), steps=64)
    assert (found.at_rest, found.decides, found.carried) == (True, False, ())
    assert "depends on the number of steps" in str(found)


SETTLING = [lambda n: 1 + 1 / n, lambda n: 1 + n**-0.5, lambda n: min(1, n / 100), lambda n: 1 - 0.9**n]


@pytest.mark.parametrize("factor", SETTLING)
def test_a_step_that_settles_has_the_threshold_of_its_limit(factor):
    found = stability(ByNumber(factor), exact=True, steps=64)
    assert found.period == 1
    assert found.threshold == ALMOST(2.0, rel=1e-5)
    assert found.exact.threshold == 2


def test_a_count_may_stand_before_a_variable():
    """The threshold of the heavy ball is 2 (1 + beta) in numbers and on symbols."""
    found = stability(TakesTurns((sp.Integer(1),), sp.Rational(1, 2)), exact=True, steps=64)
    assert found.threshold == ALMOST(3.0, rel=1e-12)


def test_a_step_that_does_nothing_is_not_asymptotically_stable():
    found = stability(ByNumber(lambda n: 0.0), steps=64)
    assert (found.decides, found.threshold, found.conserved) == (True, 0.0, 0)


def test_the_edge_of_steps_that_take_turns():
    """The limit is known where the steps of a period have one effective step at the minimum."""
    problem, theta = Quadratic([1.0, 3.0], offset=0.5), np.array([1.0, -2.0])
    for scheme, known in ((gf.Restart(gf.SAV(), every=3), True), (TakesTurns((0.5, 1.5), 0.0), False)):
        (_, taken), (_, limit) = edge_of_stability(problem, scheme, 0.3)[1:]
        state = scheme.init(problem, theta)
        for _ in range(4):
            state = scheme.step(problem, state, 0.3)
            np.testing.assert_allclose(limit(state), 2 / taken(state) if known else np.nan, rtol=1e-9)


@pytest.mark.parametrize(("growing", "kind"), [(0, "converges"), (5, "converges"), (8, "diverges")])
def test_an_orbit_may_grow_before_it_converges(growing, kind):
    """It is multiplied by 100 in each of the first steps."""
    scheme = Multiplies(lambda theta, a, k: -198.0 if k < growing else 1.0)
    assert fate(scheme, 0.5).kind == kind


class Tent(Ascent):
    """x_new = s min(x, 1 - x), of the Lyapunov exponent log s."""

    def __init__(self, s):
        self.s = s

    def step(self, problem, state, dt):
        return TwoState(self.s * np.minimum(state.theta, 1 - state.theta))


@pytest.mark.parametrize("s", [1.03, 1.2, 1.9])
def test_weak_chaos_has_its_exponent(s):
    end = fate(Tent(s), 1.0, start=0.3)
    assert end.kind == "chaos"
    assert end.lyapunov == ALMOST(math.log(s), rel=1e-2)


@pytest.mark.parametrize("z", [5e-4, 2e-3, 1e-2])
def test_a_slow_orbit_decays(z):
    end = fate(gf.GradientDescent(), z, start=1.0)
    assert end.kind == "decays"
    assert end.amplitude == ALMOST((1 - z) ** 937, rel=1e-9)  # the first of the last 64 states


@pytest.mark.parametrize("curvature", [1e-80, 1e80])
def test_curvatures_at_the_ends_of_their_range(curvature):
    """The thresholds do not depend on the unit of time."""
    for scheme in (gf.GradientDescent(), gf.HeavyBall(momentum=0.5), gf.Nesterov(momentum=0.5)):
        wanted = stability(scheme, steps=64).threshold
        assert stability(scheme, Quadratic(curvature), steps=64).threshold == pytest.approx(wanted, rel=1e-12)
    dt, scheme = 2.0**20 / curvature, gf.GradientDescent()
    problem = gf.FunctionProblem(lambda t: t @ t + np.sum(t), lambda t: 2 * t + 1)
    limit = dict(edge_of_stability(problem, scheme, dt)[1:])["stability_limit"]
    assert limit(scheme.init(problem, np.zeros(2))) == pytest.approx(2 / dt, rel=1e-9)
    assert limit(scheme.init(problem, np.ones(2))) == (np.inf if 6 * dt < 2.0**-53 else pytest.approx(2 / dt, rel=1e-9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Quadratic(1e-300), r"curvature must lie in \[1e-80, 1e\+80\]"),
        (lambda: Quadratic([1.0, 1e300]), "curvature must lie in"),
        (lambda: CurvedResidual("a", 0, 0), "c must be a finite number"),
        (lambda: CurvedResidual(1.0, None, 1.0), "kappa must be a finite number"),
        (lambda: CurvedResidual(1.0, np.nan, 1.0), "kappa must be a finite number"),
        (lambda: CurvedResidual(1.0, 1.0, 0), "mu must be a finite number > 0"),
        (lambda: CurvedResidual(1.0, -2.0, 1.0), r"mu \+ c kappa must lie in"),
        (lambda: edge_of_stability(None, gf.GradientDescent(), 1e300), "dt must lie in"),
        (lambda: edge_of_stability(None, gf.GradientDescent(), 1e-300), "dt must lie in"),
    ],
)
def test_numbers_beyond_the_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_input_is_refused():
    for call in (
        lambda: stability(gf.SAV),
        lambda: stability(gf.SAV(), 1.0),
        lambda: stability(gf.SAV(), exact="yes"),
        lambda: fate(gf.SAV(), 0.0),
        lambda: fate(gf.SAV(), 1.0, steps=10),
        lambda: Quadratic([]),
        lambda: Quadratic(-1.0),
        lambda: Quadratic(1.0, offset=-1.0),
        lambda: CurvedResidual(1.0, 1.0, 0.0),
        lambda: edge_of_stability(Quadratic(), gf.SAV(), 0.0),
        lambda: stability(gf.SAV(C=-1.0)),
    ):
        with pytest.raises(ValueError, match=r"must|got|no "):
            call()


def test_numbers_need_no_sympy():
    code = (
        "import sys, gradflow as gf; from gradflow.backward_error.linear_stability import stability;"
        "stability(gf.SAV(), steps=64); assert 'sympy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Along a run


@pytest.mark.parametrize(
    "scheme",
    [gf.GradientDescent(), gf.HeavyBall(momentum=0.6), gf.Nesterov(momentum=0.6), gf.RungeKutta4(), gf.ImplicitEuler()],
)
def test_the_effective_step_of_these_is_dt(scheme):
    problem = Quadratic([1.0, 3.0])
    state = scheme.init(problem, np.array([1.0, -2.0]))
    state = scheme.step(problem, state, 0.1)
    assert effective_step(problem, scheme, state, 0.1) == ALMOST(0.1, rel=1e-9)


def test_the_effective_step_of_sav_shrinks_with_r():
    problem, scheme = Quadratic([1.0, 3.0]), gf.SAV(C=2.0, stabilization=0.5)
    state = scheme.init(problem, np.array([1.0, -2.0]))
    for _ in range(3):
        state = scheme.step(problem, state, 0.3)
    new = scheme.step(problem, state, 0.3)
    expected = 0.3 / 1.15 * new.aux / np.sqrt(problem.energy(state.theta) + 2.0)
    assert effective_step(problem, scheme, state, 0.3) == ALMOST(expected, rel=1e-12)
    least_squares = gf.Restart(gf.MSAV(parts=1, C=2.0))
    start = least_squares.init(problem, state.theta)
    single = gf.Restart(gf.SAV(C=2.0))
    assert effective_step(problem, least_squares, start, 0.3) == ALMOST(
        effective_step(problem, single, single.init(problem, state.theta), 0.3)
    )


def network():
    x = np.linspace(-1, 1, 20)[:, None]
    net = gf.TwoLayerNet(n_inputs=1, width=20, activation="tanh")
    return gf.Regression(net, x, np.cos(4 * np.arccos(x[:, 0]))), net.init(0)


def trained(scheme, dt, steps=2000, every=50):
    problem, theta = network()
    record = ("energy", *edge_of_stability(problem, scheme, dt))
    return problem, gf.solve(problem, scheme, theta, dt=dt, steps=steps, every=every, record=record)


def test_what_is_recorded_is_the_curvature_and_the_limit():
    problem, solution = trained(gf.Restart(gf.SAV(C=0.1)), 0.5, steps=20, every=20)
    theta, history = solution.theta, solution.history
    E, g = problem.energy_and_gradient(theta)
    H = np.array([problem.hvp(theta, v) for v in np.eye(theta.size)])
    assert history["largest_eigenvalue"][-1] == ALMOST(np.max(np.linalg.eigvals(H).real), rel=1e-6)
    eta = 0.5 / (1 + 0.5 * problem.inner(g, g) / (2 * (E + 0.1)))
    assert history["effective_step"][-1] == ALMOST(eta, rel=1e-12)
    assert history["stability_limit"][-1] == ALMOST(2 / eta, rel=1e-9)


def test_gradient_descent_sharpens_to_the_edge_and_stays_there():
    """On a small network with all data: the curvature rises from below 2/dt and then hovers around it, while the loss falls."""
    _, solution = trained(gf.GradientDescent(), 1.0)
    ratio = solution.history["largest_eigenvalue"] / solution.history["stability_limit"]
    np.testing.assert_allclose(solution.history["stability_limit"], 2.0, rtol=1e-12)
    assert ratio[0] < 0.8
    assert abs(np.median(ratio[10:]) - 1) < 0.05
    assert ratio[10:].max() < 1.3
    assert solution.history["energy"][-1] < 0.1 * solution.history["energy"][0]


def test_restarted_sav_stays_at_its_edge_where_gradient_descent_diverges():
    _, diverged = trained(gf.GradientDescent(), 3.0)
    assert diverged.status in ("nonfinite", "diverged")
    _, solution = trained(gf.Restart(gf.SAV(C=0.1)), 3.0)
    ratio = solution.history["largest_eigenvalue"] / solution.history["stability_limit"]
    assert solution.status == "done"
    assert 0.9 < np.median(ratio[10:]) < 1.6
    assert solution.history["energy"][-1] < 0.1 * solution.history["energy"][0]


def test_a_stabilization_shortens_the_step_and_moves_no_limit_of_it():
    problem, scheme = Quadratic(10.0), gf.GradientDescent(stabilization=3.0)
    record = edge_of_stability(problem, scheme, 0.2)
    history = gf.solve(problem, scheme, np.ones(1), dt=0.2, steps=1, record=record).history
    np.testing.assert_allclose(history["effective_step"], 0.2 / 1.6, rtol=1e-12)
    np.testing.assert_allclose(history["stability_limit"], 2 * 1.6 / 0.2, rtol=1e-9)


def test_schemes_without_a_threshold_have_no_limit():
    problem, theta = network()
    record = edge_of_stability(problem, gf.ImplicitEuler(), 1.0)
    history = gf.solve(problem, gf.ImplicitEuler(), theta, dt=1.0, steps=1, record=record).history
    assert np.all(np.isinf(history["stability_limit"]))


@pytest.mark.parametrize(
    ("scheme", "wanted"),
    [(gf.ImplicitEuler(), np.inf), (Ascent(), 0.0), (gf.GradientDescent(), np.nan)],
    ids=["all", "none", "some"],
)
def test_no_gradient_is_needed_where_all_steps_or_none_are_stable(scheme, wanted):
    """Where g vanishes the effective step is NaN, and so is a limit that it decides."""
    problem = Quadratic([1.0, 3.0])
    *_, (name, limit) = edge_of_stability(problem, scheme, 0.1)
    assert name == "stability_limit"
    np.testing.assert_equal(limit(scheme.init(problem, np.zeros(2))), wanted)


def test_the_plot_has_both_curves():
    _, solution = trained(gf.GradientDescent(), 1.0, steps=200, every=20)
    above, below = plot_edge_of_stability(solution, title="a network").axes
    assert [line.get_label() for line in above.lines] == ["of the energy in the run", "limit of the scheme"]
    np.testing.assert_array_equal(above.lines[0].get_ydata(), solution.history["largest_eigenvalue"])
    np.testing.assert_array_equal(above.lines[1].get_ydata(), solution.history["stability_limit"])
    assert above.get_ylabel()
    assert (below.get_xlabel(), below.get_ylabel()) == ("step", "energy $E$")
    plain = gf.solve(Quadratic(), gf.GradientDescent(), np.ones(1), dt=0.1, steps=2)
    with pytest.raises(ValueError, match="largest_eigenvalue must have been recorded"):
        plot_edge_of_stability(plain)
    with pytest.raises(ValueError, match="solution must be a Solution"):
        plot_edge_of_stability(None)
