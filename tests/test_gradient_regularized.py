"""Explicit gradient regularization: its derivatives, its batches, and the step size that it stands for."""

import array_api_strict as strict
import numpy as np
import pytest

import gradflow as gf
from gradflow.energies.linear import Diagonal
from gradflow.energies.protocols import problem_ability
from gradflow.run.batches import parts
from gradflow.run.loop import terms_of
from network_cases import network_case

EPS = np.finfo(float).eps


def wells(mass=None, linear=0.0, xp=np):
    """Return E = sum(theta^4) / 4 - theta_0 theta_1^2 / 2 with all derivatives, in a diagonal inner product."""
    m = 1.0 if mass is None else mass
    row = lambda *entries: xp.stack(entries)  # noqa: E731
    return gf.FunctionProblem(
        lambda t: xp.sum(t**4) / 4 - t[0] * t[1] ** 2 / 2,
        lambda t: (t**3 - row(t[1] ** 2 / 2, t[0] * t[1])) / m,
        lambda t, v: (3 * t**2 * v - row(t[1] * v[1], t[0] * v[1] + t[1] * v[0])) / m,
        third_derivative=lambda t, u, v: (6 * t * u * v - row(u[1] * v[1], u[0] * v[1] + u[1] * v[0])) / m,
        mass=mass,
        linear=linear,
    )


THETA = np.array([0.9, -0.6])
MASS = np.array([0.5, 2.0])
KINDS = {
    "plain": wells,
    "mass": lambda: wells(MASS),
    "energy part": lambda: wells(linear=0.7),
    "mass and diagonal energy part": lambda: wells(MASS, Diagonal(np.array([0.3, 1.0]))),
}


def problems():
    for kind, make in KINDS.items():
        yield pytest.param(make(), THETA, id=kind)
    for loss, k in (("mse", 1), ("cross_entropy", 3)):
        case = network_case("tanh", k, loss, weight_decay=0.2)
        yield pytest.param(case.problem, case.theta, id=loss)


@pytest.mark.parametrize("mu", [0.3, -0.05])
@pytest.mark.parametrize(("problem", "theta"), list(problems()))
def test_its_derivatives(problem, theta, mu):
    egr = gf.GradientRegularized(problem, mu)
    E, g = problem.energy_and_gradient(theta)
    assert egr.energy(theta) == pytest.approx(E + mu * problem.inner(g, g), rel=8 * EPS)
    both, gradient = egr.energy_and_gradient(theta)
    assert both == pytest.approx(egr.energy(theta), rel=8 * EPS)
    np.testing.assert_allclose(
        gradient, g + 2 * mu * problem.hvp(theta, g), rtol=0, atol=64 * EPS * np.max(np.abs(gradient))
    )
    check = gf.check_derivatives(egr, theta)  # gradient, hvp and its symmetry, mass
    assert check.passed, check
    assert egr.has_hvp
    assert egr.inner(theta, g) == problem.inner(theta, g)
    split = egr.nonlinear_energy_and_gradient(theta)[1] + egr.linear.apply(theta)
    np.testing.assert_allclose(split, gradient, rtol=0, atol=64 * EPS * np.max(np.abs(gradient)))


@pytest.mark.parametrize("problem", [wells(), wells(MASS)], ids=["plain", "mass"])
def test_it_reproduces_a_larger_step(problem):
    """The distance of small steps on it to steps dt' on E is of order 2 in dt', on E of order 1."""
    T, descent = 0.8, gf.GradientDescent()
    errors = {name: [] for name in ("regularized", "plain", "twice")}
    for n in (40, 80, 160):
        large = gf.solve(problem, descent, THETA, dt=T / n, steps=n).theta
        for name, egr in (
            ("regularized", gf.GradientRegularized.reproducing(problem, T / n / 4, T / n)),
            ("plain", gf.GradientRegularized(problem, 0.0)),
            ("twice", gf.GradientRegularized(problem, 2 * (T / n - T / n / 4) / 4)),
        ):
            small = gf.solve(egr, descent, THETA, dt=T / n / 4, steps=4 * n).theta
            errors[name].append(np.linalg.norm(small - large))
    for name, order in (("regularized", 2), ("plain", 1), ("twice", 1)):
        np.testing.assert_allclose(np.log2(np.array(errors[name][:-1]) / errors[name][1:]), order, atol=0.15)


def test_no_penalty_is_the_problem():
    problem = wells(MASS, 0.4)
    egr = gf.GradientRegularized.reproducing(problem, 0.1, 0.1)
    assert egr.mu == 0
    np.testing.assert_allclose(egr.energy_and_gradient(THETA)[1], problem.energy_and_gradient(THETA)[1], rtol=8 * EPS)
    np.testing.assert_allclose(egr.hvp(THETA, THETA), problem.hvp(THETA, THETA), rtol=8 * EPS)
    assert gf.GradientRegularized.reproducing(problem, 0.1, 0.3).mu == pytest.approx(0.05, rel=8 * EPS)
    assert gf.GradientRegularized.reproducing(problem, 0.3, 0.1).mu == pytest.approx(-0.05, rel=8 * EPS)


def test_a_batch_has_the_penalty_of_its_own_gradient():
    """The mean over the batches exceeds the penalty of the full gradient by the variance of the gradients of batches."""
    case, mu = network_case("tanh", N=12, weight_decay=0.2), 0.3
    egr, rows = gf.GradientRegularized(case.problem, mu), np.arange(12).reshape(4, 3)
    assert egr.n_samples == 12
    batched = [egr.batch(r) for r in rows]
    gradients = [case.problem.batch(r).energy_and_gradient(case.theta)[1] for r in rows]
    mean = np.mean(gradients, axis=0)
    spread = np.mean([egr.inner(g - mean, g - mean) for g in gradients])
    wanted = egr.energy(case.theta) + mu * spread
    assert np.mean([part.energy(case.theta) for part in batched]) == pytest.approx(wanted, rel=1e-13)
    run = gf.solve(egr, gf.GradientDescent(), case.theta, dt=0.1, epochs=2, batch_size=3, seed=0)
    by_hand = case.theta
    for part in parts(egr, 3, 0, 0, 8):
        by_hand = gf.GradientDescent().step(part, gf.FlowState(by_hand), 0.1).theta
    np.testing.assert_allclose(run.theta, by_hand, rtol=1e-12)


def test_problems_that_change_from_step_to_step():
    case = network_case("tanh", N=6)
    particles = gf.SmoothedParticles(case.problem, h=0.1, draws=2, seed=1)
    egr = gf.GradientRegularized(particles, 0.2)
    assert egr.at_step(3).energy(case.theta) == gf.GradientRegularized(particles.at_step(3), 0.2).energy(case.theta)
    assert egr.at_step(3).energy(case.theta) != egr.at_step(4).energy(case.theta)
    assert not egr.has_hvp
    for plain in (wells(), case.problem):
        assert problem_ability(gf.GradientRegularized(plain, 0.2), "at_step") is None
    assert problem_ability(gf.GradientRegularized(wells(), 0.2), "batch") is None


def test_arrays_of_another_library_and_float32():
    egr, other = (
        gf.GradientRegularized(wells(linear=0.5), 0.3),
        gf.GradientRegularized(wells(linear=0.5, xp=strict), 0.3),
    )
    theta = strict.asarray(THETA)
    for one, two in (
        (egr.energy(THETA), other.energy(theta)),
        (egr.energy_and_gradient(THETA)[1], other.energy_and_gradient(theta)[1]),
        (egr.hvp(THETA, THETA), other.hvp(theta, theta)),
    ):
        np.testing.assert_allclose(np.asarray(two), one, rtol=8 * EPS)
    case = network_case("silu", dtype="float32", weight_decay=0.1)
    single = gf.GradientRegularized(case.problem, 0.3)
    for value in (
        single.energy(case.theta),
        *single.energy_and_gradient(case.theta),
        single.hvp(case.theta, case.theta),
    ):
        assert value.dtype == np.float32


def test_what_identifies_it():
    egr = gf.GradientRegularized(wells(), 0.3)
    assert egr.describe()["wrapped"] == wells().describe() | {
        name: egr.describe()["wrapped"][name] for name in ("energy", "hvp", "third_derivative")
    }
    assert egr.describe()["mu"] == 0.3
    assert list(terms_of(gf.SumOfEnergies([egr])))[1:] == [egr, egr.wrapped]


def test_its_text_names_the_problem():
    once = gf.GradientRegularized(wells(), 0.25)
    assert repr(once) == "GradientRegularized(FunctionProblem, mu=0.25)"
    assert repr(gf.GradientRegularized(once, 0.5)) == f"GradientRegularized({once!r}, mu=0.5)"


def test_refusals():
    without = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t)
    no_third = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, lambda t, v: 2 * v)
    for build, message in (
        (
            lambda: gf.GradientRegularized(without, 0.1),
            "problem must have second derivatives, hvp; got FunctionProblem",
        ),
        (lambda: gf.GradientRegularized(gf.FunctionProblem, 0.1), "problem must be a problem"),
        (lambda: gf.GradientRegularized(wells(), np.inf), "mu must be a finite number"),
        (lambda: gf.GradientRegularized.reproducing(wells(), 0.0, 0.1), "dt must be"),
        (lambda: gf.GradientRegularized.reproducing(wells(), 0.1, -0.1), "dt_large must be"),
        (lambda: gf.GradientRegularized(no_third, 0.1).hvp(THETA, THETA), "FunctionProblem has no third derivatives"),
        (lambda: gf.ImplicitEuler().init(gf.GradientRegularized(no_third, 0.1), THETA), "third derivatives|hvp"),
    ):
        with pytest.raises(ValueError, match=message):
            build()
