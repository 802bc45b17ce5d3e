"""The two-step schemes of derivations/two_step_laws.nb.py, and what the wrappers and `solve` make of them."""

from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import gradflow as gf
from cases import residual_case
from gradflow.schemes.relaxation import relax_quadratic
from gradflow.schemes.state import AuxState, MultiStepState, Past, reset
from smooth_problems import SPLITS, flow, observed_order, run, smooth_problem

T = 1.0


SPEC = spec_from_file_location("two_step_laws", Path(__file__).parents[1] / "derivations" / "two_step_laws.nb.py")
two_step_laws = module_from_spec(SPEC)
SPEC.loader.exec_module(two_step_laws)
BDF2SAV, CrankNicolsonSAV = two_step_laws.BDF2SAV, two_step_laws.CrankNicolsonSAV
SCHEMES = {
    "BDF2": BDF2SAV(),
    "BDF2 stabilized": BDF2SAV(stabilization=0.5),
    "Crank-Nicolson": CrankNicolsonSAV(),
    "Crank-Nicolson stabilized": CrankNicolsonSAV(stabilization=0.5),
}


def states(scheme, problem, theta, sizes):
    """Return all states of a run with these step sizes."""
    found = [scheme.init(problem, theta)]
    for dt in sizes:
        found.append(scheme.step(problem, found[-1], dt))
    return found


def left_over(scheme, problem, old, new, dt):
    """Return what the identity leaves over, and the sum of magnitudes."""
    terms = scheme.energy_terms(problem, old, new, dt)
    before, after = scheme.modified_energy(problem, old), scheme.modified_energy(problem, new)
    sizes = np.abs([before, after, *terms, 2.0])
    return abs(after - before + sum(terms)), np.sum(sizes)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("linear", ["none", "shift", "diagonal"])
@pytest.mark.parametrize("dt", [1e-6, 0.1, 1.0, 1e3, 1e6])
def test_the_law_holds_to_rounding_from_the_first_step_on(linear, dt, name):
    problem, theta, *_ = residual_case(3, 7, 9, linear=linear, mass="diagonal")
    scheme = SCHEMES[name]
    found = states(scheme, problem, theta, 12 * [dt])
    assert scheme.modified_energy(problem, found[0]) == pytest.approx(problem.energy(theta), rel=1e-14)
    for n, (old, new) in enumerate(pairwise(found)):
        error, magnitude = left_over(scheme, problem, old, new, dt)
        rounding = problem.inner(np.abs(new.theta), np.abs(new.theta - old.theta)) / dt
        assert error <= 1e-14 * (magnitude + rounding), (n, error, magnitude)
        terms = scheme.energy_terms(problem, old, new, dt)
        assert min(terms) >= 0


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("split", SPLITS)
def test_it_is_of_order_two(split, name):
    problem, theta = smooth_problem(split)
    scheme, exact = SCHEMES[name], flow(problem, theta, T)
    assert 1.95 <= observed_order(scheme, problem, theta, T, exact) <= 2.05
    r = scheme.auxiliary(problem, exact)
    error = [abs(run(scheme, problem, theta, T / n, n).aux - r) for n in (160, 320)]
    assert 1.9 <= np.log2(error[0] / error[1]) <= 2.1


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("ratios", [(1.0, 2.0), (2.0, 1.0), (1.0, 2.0, 1.0, 0.5)])
def test_it_is_of_order_two_with_steps_that_change(ratios, name):
    problem, theta = smooth_problem("energy-part-and-mass")
    exact, errors = flow(problem, theta, T), []
    for n in (80, 160):
        sizes = np.tile(ratios, n)
        sizes = sizes * (T / np.sum(sizes))
        q = sizes[1:] / sizes[:-1]
        assert 0.5 - 1e-12 <= np.min(q) < 1 < np.max(q) <= 2 + 1e-12
        errors.append(np.linalg.norm(states(SCHEMES[name], problem, theta, map(float, sizes))[-1].theta - exact))
    assert 1.95 <= np.log2(errors[0] / errors[1]) <= 2.05


def test_a_step_of_another_size_has_no_law():
    problem, theta = smooth_problem("energy-part")
    scheme = BDF2SAV()
    found = states(scheme, problem, theta, [0.1, 0.1, 0.2, 0.2])
    linked = [
        np.isfinite(sum(scheme.energy_terms(problem, old, new, dt)))
        for old, new, dt in zip(found, found[1:], [0.1, 0.1, 0.2, 0.2], strict=False)
    ]
    assert linked == [True, True, False, True]


@pytest.mark.parametrize("split", SPLITS)
def test_restarted_it_is_restarted_sav_bit_for_bit(split):
    problem, theta = smooth_problem(split)
    scheme, sav = gf.Restart(BDF2SAV()), gf.Restart(gf.SAV(C=1.0))
    for one, two in zip(*(states(s, problem, theta, 20 * [0.3]) for s in (scheme, sav)), strict=True):
        assert np.array_equal(one.theta, two.theta)
        assert np.array_equal(one.aux, two.aux)
        assert len(one.past) <= 1
    old, new = states(scheme, problem, theta, [0.3, 0.3])[1:]
    terms = scheme.energy_terms(problem, old, new, 0.3)
    fall = problem.energy(old.theta) - scheme.modified_energy(problem, new)  # from the true energy
    assert sum(terms) == pytest.approx(fall, rel=1e-12)


def test_a_reset_reaches_the_state_of_a_wrapped_scheme():
    problem, theta = smooth_problem("energy-part")
    both, plain = gf.Restart(gf.Relaxed(BDF2SAV())), gf.Restart(BDF2SAV())
    for one, two in zip(*(states(s, problem, theta, 10 * [0.3]) for s in (both, plain)), strict=True):
        assert np.array_equal(one.theta, two.theta)
    fresh = reset(states(both, problem, theta, [0.3, 0.3])[-1])
    assert fresh.aux is None
    assert fresh.base.aux is None
    assert fresh.base.past == ()
    assert both.records == ("xi0",)
    assert plain.records == ()


@pytest.mark.parametrize("budget", ["dissipation", "increment", "numerical"])
@pytest.mark.parametrize("orientation", ["literature", "swapped"])
@pytest.mark.parametrize("dt", [0.01, 1.0, 100.0])
def test_relaxed_its_modified_energy_decays_and_r_is_nearer_to_its_definition(dt, orientation, budget):
    problem, theta, *_ = residual_case(3, 7, 9, linear="diagonal", mass="diagonal")
    base = BDF2SAV()
    scheme = gf.Relaxed(base, eta=0.9, budget=budget, orientation=orientation)
    found = states(scheme, problem, theta, 30 * [dt])
    energies = [scheme.modified_energy(problem, state) for state in found]
    assert np.all(np.diff(energies) <= 1e-13 * np.abs(energies[0]))
    moved = 0
    for old, new in pairwise(found):
        terms = base.energy_terms(problem, old.base._replace(aux=old.aux), new.base, dt)
        left = (1 - 0.9) * terms.dissipation + (0 if budget == "numerical" else terms.numerical)
        fall = scheme.modified_energy(problem, old) - scheme.modified_energy(problem, new)
        assert fall >= left - 1e-12 * (1 + abs(left))
        assert fall == pytest.approx(sum(scheme.energy_terms(problem, old, new, dt)), rel=1e-9, abs=1e-12)
        defined = base.auxiliary(problem, new.theta)
        assert abs(new.aux - defined) <= abs(new.base.aux - defined)
        assert new.base.past[0].aux == old.aux  # the past that the next step reads is the relaxed one
        moved += new.aux != new.base.aux
    assert moved > (10 if orientation == "literature" else -1)


@pytest.mark.parametrize("dt", [0.05, 1.0, 20.0])
def test_relaxing_with_a_centre_is_relaxing_the_pair(dt):
    problem, theta, *_ = residual_case(5, 7, 9, linear="shift", mass="diagonal")
    base = BDF2SAV()
    scheme = gf.Relaxed(base, eta=0.99)
    found, inside = states(scheme, problem, theta, 20 * [dt]), 0
    for old, new in pairwise(found):
        r_old, defined = old.aux, base.auxiliary(problem, new.theta)
        terms = base.energy_terms(problem, old.base._replace(aux=old.aux), new.base, dt)
        pair = lambda r, r_old=r_old: np.array([r, 2 * r - r_old]) / np.sqrt(2)  # noqa: E731
        relaxed, xi0 = relax_quadratic(pair(new.base.aux), pair(defined), 0.99 * terms.dissipation)
        gap = abs(defined - new.base.aux)
        assert new.aux == pytest.approx(np.sqrt(2) * relaxed[0], abs=1e-12 * (1 + gap))
        assert new.xi0 == pytest.approx(float(xi0), abs=1e-9)
        inside += 0 < new.xi0 < 1
    assert dt < 1 or inside > 0


def test_relaxed_over_steps_that_change_nothing_is_spent_where_no_law_links():
    problem, theta, *_ = residual_case(3, 7, 9, linear="diagonal")
    base, sizes = BDF2SAV(), [0.5, 0.5, 1.0, 0.5, 0.5, 0.25, 0.5]
    for budget in ("dissipation", "increment", "numerical"):
        found = states(gf.Relaxed(base, budget=budget), problem, theta, sizes)
        for n, (state, dt) in enumerate(zip(found[1:], sizes, strict=True)):
            assert np.isfinite(state.aux)
            assert 0 <= state.xi0 <= 1
            if n and sizes[n - 1] != dt:
                intermediate = base.modified_energy(problem, state.base)
                relaxed = base.modified_energy(problem, state.base._replace(aux=state.aux))
                assert relaxed <= intermediate + 1e-13


def test_its_law_is_that_of_its_modified_energy():
    problem, theta, *_ = residual_case(3, 7, 9, linear="diagonal")
    scheme, rng = BDF2SAV(), np.random.default_rng(0)
    for state in states(scheme, problem, theta, [0.5, 0.5]):
        law = scheme.law(problem, state)
        for a, b in rng.standard_normal((20, 2)):
            rise = scheme.modified_energy(problem, state._replace(aux=a))
            rise -= scheme.modified_energy(problem, state._replace(aux=b))
            assert rise == pytest.approx(law.weight * ((a - law.centre) ** 2 - (b - law.centre) ** 2), abs=1e-13)


def test_solve_runs_it_with_records():
    problem, theta, *_ = residual_case(3, 7, 9, linear="diagonal")
    names = ["energy", "modified_energy", "auxiliary_ratio", "dissipation", "identity_residual"]
    for scheme in (BDF2SAV(), gf.Relaxed(BDF2SAV())):
        own = ["xi0"] if isinstance(scheme, gf.Relaxed) else []
        run = gf.solve(problem, scheme, theta, dt=0.1, steps=50, record=[*names, *own], every=1)
        assert run.status is gf.Status.DONE
        assert isinstance(getattr(run.state, "base", run.state), MultiStepState)
        assert np.max(np.abs(run.history["identity_residual"][1:])) < 1e-13
        assert np.all(np.diff(run.history["modified_energy"]) <= 1e-14)
        assert run.history["energy"][-1] < run.history["energy"][0]
    changing = gf.solve(problem, BDF2SAV(), theta, dt=lambda n: 0.1 / (1 + n % 2), steps=20, record=names, every=1)
    assert changing.status is gf.Status.DONE
    assert np.isnan(changing.history["dissipation"][2])


def test_a_state_without_a_past_is_reset_as_before():
    assert reset(AuxState(np.ones(2), np.float64(3.0))).aux is None
    state = MultiStepState(np.ones(2), np.float64(3.0), (Past(np.zeros(2), np.float64(1.0), 0.1),))
    assert reset(state).past == ()
    assert len(state.past) == 1  # the old one stays as it was
