"""Schemes as users write them: a few that are right, and many with one mistake each, which their certificate has to name.

`MISTAKES` maps the name of a class to the entry that is false and to words that its sentence has; those in `SEEN_IN_FULL` are not
seen with ``quick=True``. Under "Barely" each mistake is little more than what a tolerance lets pass.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

import gradflow as gf
from gradflow.curvature.damped_step import damped_step
from gradflow.energies.linear import Zero, add, as_linear_part, dissipation
from gradflow.energies.protocols import linear_part, nonlinear_energy, nonlinear_energy_and_gradient, problem_ability
from gradflow.namespace import array_namespace
from gradflow.schemes.msav import MSAV, msav_update
from gradflow.schemes.protocols import EnergyTerms
from gradflow.schemes.relaxation import Quadratic
from gradflow.schemes.state import AuxState, FlowState, MultiStepState, Past


@dataclass(frozen=True, kw_only=True)
class ExplicitMidpoint:
    """Right: theta - dt grad E(theta - dt grad E / 2)."""

    order: ClassVar[int] = 2

    def init(self, problem, theta):
        return FlowState(theta)

    def gradient(self, problem, theta):
        return problem.energy_and_gradient(theta)[1]

    def step(self, problem, state, dt):
        half = state.theta - dt / 2 * self.gradient(problem, state.theta)
        return FlowState(state.theta - dt * self.gradient(problem, half))


@dataclass(frozen=True, kw_only=True)
class MySAV:
    """Right: the scalar auxiliary variable r = sqrt(F + C), by its two equations, with L and S implicit."""

    C: float = 2.0
    stabilization: float = 0.0

    def init(self, problem, theta):
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem, theta):
        return (nonlinear_energy(problem, theta) + self.C) ** 0.5

    def operators(self, problem):
        return linear_part(problem), as_linear_part(self.stabilization, "stabilization")

    def inner(self, problem, u, v):
        return problem.inner(u, v)

    def solver(self, problem, dt):
        A = add(*self.operators(problem))
        return lambda u: A.solve_shifted(u, dt)

    def evaluated(self, problem, theta):
        return nonlinear_energy_and_gradient(problem, theta)

    def aux_step(self, problem, r, R, g, d):
        return r + self.inner(problem, g, d) / (2 * R)

    def step(self, problem, state, dt):
        theta = state.theta
        F, g = self.evaluated(problem, theta)
        R = (F + self.C) ** 0.5
        r = R if state.aux is None else state.aux
        solve = self.solver(problem, dt)
        L, _ = self.operators(problem)
        p, q = solve(g), solve(L.apply(theta))
        r_new = (r - dt * self.inner(problem, g, q) / (2 * R)) / (1 + dt * self.inner(problem, g, p) / (2 * R**2))
        return AuxState(theta - dt * (q + (r_new / R) * p), r_new)

    def modified_energy(self, problem, state):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        L, _ = self.operators(problem)
        return r**2 - self.C + problem.inner(state.theta, L.apply(state.theta)) / 2

    def law(self, problem, state):
        return Quadratic(1.0)

    def energy_terms(self, problem, state, new, dt):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        L, S = self.operators(problem)
        return EnergyTerms(dissipation(problem.inner, L, S, new.theta - state.theta, dt), (new.aux - r) ** 2)


@dataclass(frozen=True, kw_only=True)
class MyBDF2SAV(MySAV):
    """Right: SAV of second order by the backward differentiation formula, its first step by the midpoint; no S."""

    order: ClassVar[int] = 2
    stabilization: ClassVar[float] = 0.0

    def init(self, problem, theta):
        return MultiStepState(theta, self.auxiliary(problem, theta), ())

    def ahead(self, theta, before):
        return 2 * theta - before.theta

    def next_r(self, r, before, tau, share, stiff):
        """Return the solution of r_new = (4 r - r_before) / 3 - tau (stiff + share r_new)."""
        return ((4 * r - before.aux) / 3 - tau * stiff) / (1 + tau * share)

    def step(self, problem, state, dt):
        theta = state.theta
        r = self.auxiliary(problem, theta) if state.aux is None else state.aux
        L, _ = self.operators(problem)
        if not state.past:  # Crank-Nicolson about an explicit midpoint
            half = theta - dt / 2 * problem.energy_and_gradient(theta)[1]
            F, g = nonlinear_energy_and_gradient(problem, half)
            R = (F + self.C) ** 0.5
            p, q = L.solve_shifted(g, dt / 2), L.solve_shifted(L.apply(theta), dt / 2)
            mean = (r - dt / 2 * problem.inner(g, q) / (2 * R)) / (1 + dt / 2 * problem.inner(g, p) / (2 * R**2))
            new, r_new = theta - dt * (q + mean / R * p), 2 * mean - r
        else:
            before = state.past[0]
            F, g = nonlinear_energy_and_gradient(problem, self.ahead(theta, before))
            R, tau = (F + self.C) ** 0.5, 2 * dt / 3
            base = (4 * theta - before.theta) / 3
            p, q = L.solve_shifted(g, tau), L.solve_shifted(L.apply(base), tau)
            r_new = self.next_r(r, before, tau, problem.inner(g, p) / (2 * R**2), problem.inner(g, q) / (2 * R))
            new = base - tau * (q + r_new / R * p)
        return MultiStepState(new, r_new, (Past(theta, r, dt),))

    def modified_energy(self, problem, state):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        L, theta = linear_part(problem), state.theta
        if not state.past:
            return r**2 - self.C + problem.inner(theta, L.apply(theta)) / 2
        before = state.past[0]
        ahead = 2 * theta - before.theta
        L_terms = problem.inner(theta, L.apply(theta)) + problem.inner(ahead, L.apply(ahead))
        return L_terms / 4 + (r**2 + (2 * r - before.aux) ** 2) / 2 - self.C

    def law(self, problem, state):
        return Quadratic(5 / 2, 2 / 5 * state.past[0].aux) if state.past else Quadratic(1.0)

    def energy_terms(self, problem, state, new, dt):
        nothing = 0 * new.aux
        if not state.past:  # its law is of another form
            return EnergyTerms(nothing + np.nan, nothing + np.nan)
        L, before = linear_part(problem), state.past[0]
        d = new.theta - state.theta
        second, second_r = d - (state.theta - before.theta), (new.aux - state.aux) - (state.aux - before.aux)
        w = 2 * d + second
        D = problem.inner(w, w / (4 * dt)) + problem.inner(second, L.apply(second)) / 4
        return EnergyTerms(D, second_r**2 / 2)


class PlainSlots(NamedTuple):
    theta: object
    note: str = "started"


@dataclass(frozen=True, slots=True)
class SlottedDescent:
    """Right: a dataclass with slots, a field ``base`` that is no scheme, and a text in its state."""

    base: float = 1.0

    def init(self, problem, theta):
        return PlainSlots(theta)

    def step(self, problem, state, dt):
        return PlainSlots(state.theta - dt * problem.energy_and_gradient(state.theta)[1], "running")


@dataclass(frozen=True, kw_only=True)
class FloatAux(MySAV):
    """Right: its auxiliary variable is a Python float."""

    stabilization: ClassVar[float] = 0.0

    def auxiliary(self, problem, theta):
        return float(super().auxiliary(problem, theta))

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return AuxState(new.theta.astype(state.theta.dtype), float(new.aux))


class PastGradients(NamedTuple):
    theta: object
    past: tuple = ()


@dataclass(frozen=True)
class AdamsBashforth3:
    """Right: of order 3, started by Kutta's method; it first collects two gradients."""

    order: ClassVar[int] = 3

    def init(self, problem, theta):
        return PastGradients(theta)

    def step(self, problem, state, dt):
        def f(theta):
            return -problem.energy_and_gradient(theta)[1]

        now, past = f(state.theta), state.past
        if len(past) < 2:
            half = f(state.theta + dt / 2 * now)
            slope = (now + 4 * half + f(state.theta + dt * (2 * half - now))) / 6
        else:
            slope = (23 * now - 16 * past[0] + 5 * past[1]) / 12
        return PastGradients(state.theta + dt * slope, (now, *past)[:2])


@dataclass(frozen=True)
class SlowDescent:
    """Right: it follows theta' = -1e-6 grad E, hidden by rounding if dt is too small."""

    speed: ClassVar[float] = 1e-6

    def init(self, problem, theta):
        return FlowState(theta)

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt * self.speed * problem.energy_and_gradient(state.theta)[1])


@dataclass(frozen=True, kw_only=True)
class LawThroughAConstant(MySAV):
    """Right: a number that cancels leaves a few of its last bits in the law."""

    number: ClassVar[float] = 20.0

    def modified_energy(self, problem, state):
        return super().modified_energy(problem, state) + self.number - self.number


@dataclass(frozen=True)
class OrderThatShowsLate(ExplicitMidpoint):
    """Right: of order 2, which shows where 50 dt is small; before it seems to be 1."""

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return FlowState(new - dt**2 * (50 * dt / (1 + 50 * dt)) * self.gradient(problem, state.theta))


@dataclass(frozen=True)
class KeepsEightGradients(ExplicitMidpoint):
    """Right: its state grows in eight steps, and then no longer."""

    number: ClassVar[int] = 8
    order: ClassVar[int] = 1

    def init(self, problem, theta):
        return PastGradients(theta)

    def step(self, problem, state, dt):
        g = self.gradient(problem, state.theta)
        return PastGradients(state.theta - dt * g, (g, *state.past)[: self.number])


@dataclass(frozen=True, kw_only=True)
class MyIEQ:
    """Right: the residual as an auxiliary variable, by its two equations; the solution of the linear system is taken whole."""

    stabilization: float = 0.0

    def init(self, problem, theta):
        if problem_ability(problem, "linearize") is None:
            raise ValueError("MyIEQ needs a residual")
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem, theta):
        return problem.linearize(theta).residual

    def operators(self, problem):
        return linear_part(problem), as_linear_part(self.stabilization, "stabilization")

    def solved(self, problem, theta, at, q, dt):
        L, S = self.operators(problem)
        mass, n = problem_ability(problem, "mass"), theta.shape[0]
        return damped_step(at, q, L.apply(theta), add(L, S), dt, mass=mass, n_parameters=n).d

    def next_q(self, at, q, d):
        return q + at.jvp(d)

    def step(self, problem, state, dt):
        at = problem.linearize(state.theta)
        q = at.residual if state.aux is None else state.aux
        d = self.solved(problem, state.theta, at, q, dt)
        return AuxState(state.theta + d, self.next_q(at, q, d))

    def modified_energy(self, problem, state):
        q = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        L = linear_part(problem)
        return q @ q / 2 + problem.inner(state.theta, L.apply(state.theta)) / 2

    def law(self, problem, state):
        return Quadratic(0.5)

    def energy_terms(self, problem, state, new, dt):
        q = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        L, S = self.operators(problem)
        D = dissipation(problem.inner, L, S, new.theta - state.theta, dt)
        return EnergyTerms(D, (new.aux - q) @ (new.aux - q) / 2)


@dataclass(frozen=True, kw_only=True)
class MiddleSAV:
    """Right: r in the middle of the step, so that r^2 falls by ``|d|_M^2 / dt`` and nothing else."""

    C: float = 1.0

    def init(self, problem, theta):
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem, theta):
        return (problem.energy(theta) + self.C) ** 0.5

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        b = g / (E + self.C) ** 0.5
        r, k = (E + self.C) ** 0.5 if state.aux is None else state.aux, dt * problem.inner(b, b) / 4
        r_new = r * (1 - k) / (1 + k)
        return AuxState(state.theta - dt * ((r + r_new) / 2) * b, r_new)

    def modified_energy(self, problem, state):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return r**2 - self.C

    def law(self, problem, state):
        return Quadratic(1.0)

    def energy_terms(self, problem, state, new, dt):
        d = new.theta - state.theta
        return EnergyTerms(problem.inner(d, d) / dt, 0 * new.aux)


@dataclass(frozen=True, kw_only=True)
class MiddleIEQ(MyIEQ):
    """The residual in the middle of the step, without L: the modified field has a loss with the residual fixed, and else none."""

    def step(self, problem, state, dt):
        at = problem.linearize(state.theta)
        q = at.residual if state.aux is None else state.aux
        mass, n = problem_ability(problem, "mass"), state.theta.shape[0]
        d = damped_step(at, 2 * q, 0 * state.theta, Zero(), dt / 2, mass=mass, n_parameters=n).d
        return AuxState(state.theta + d, q + at.jvp(d))


@dataclass(frozen=True, kw_only=True)
class RefusesAll(MySAV):
    """Takes no problem."""

    def init(self, problem, theta):
        raise ValueError("no problem is taken")


RIGHT = (
    "ExplicitMidpoint",
    "MySAV",
    "MyBDF2SAV",
    "SlottedDescent",
    "FloatAux",
    "AdamsBashforth3",
    "SlowDescent",
    "LawThroughAConstant",
    "OrderThatShowsLate",
    "KeepsEightGradients",
    "MyIEQ",
    "MiddleSAV",
)
MISTAKES = {}
SEEN_IN_FULL = set()


def mistake(entry, *words, quick=True):
    """Register a class with the entry that is false, with words that its sentence has, and whether a quick certificate sees it."""

    def register(kind):
        MISTAKES[kind.__name__] = (entry, words)
        if not quick:
            SEEN_IN_FULL.add(kind.__name__)
        return kind

    return register


# Baselines without an energy law.


@mistake("limit flow", "-0.5 grad E")
class WrongFactor(ExplicitMidpoint):
    """A half step along the gradient."""

    order: ClassVar[int] = 1

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt / 2 * self.gradient(problem, state.theta))


@mistake("limit flow", "ascends")
class Ascent(ExplicitMidpoint):
    def gradient(self, problem, theta):
        return -super().gradient(problem, theta)


@mistake("limit flow", "the first step of its usual size, 0.1")
class IterationThatAscends(Ascent):
    usual_dt: ClassVar[float] = 0.1


@mistake("order", "observed order is 1", "declared is 2")
class FirstOrderOnly(ExplicitMidpoint):
    def step(self, problem, state, dt):
        return FlowState(state.theta - dt * self.gradient(problem, state.theta))


@mistake("limit flow", "the step does not vanish with dt")
class NoDt(ExplicitMidpoint):
    def step(self, problem, state, dt):
        return FlowState(state.theta - self.gradient(problem, state.theta))


@mistake("limit flow", "no energy part L")
class ForgetsL(ExplicitMidpoint):
    """The gradient of F in the place of that of E."""

    def gradient(self, problem, theta):
        return nonlinear_energy_and_gradient(problem, theta)[1]


@mistake("limit flow", "dot product")
class MassTwice(ExplicitMidpoint):
    """Divides by the mass although the gradient has been divided by it."""

    def gradient(self, problem, theta):
        mass = getattr(problem, "mass", None)
        return super().gradient(problem, theta) / (1.0 if mass is None else mass)


@mistake("limit flow", "a batch")
class BatchScaling(ExplicitMidpoint):
    """Scales the gradient by the share of the samples of which it was computed."""

    def gradient(self, problem, theta):
        return super().gradient(problem, theta) * (getattr(problem, "n_samples", 8) / 8)


@mistake("purity", "writes into the state")
class Mutates(ExplicitMidpoint):
    def step(self, problem, state, dt):
        theta = state.theta
        theta -= dt * self.gradient(problem, theta)
        return FlowState(theta)


@mistake("purity", "two calls with the same arguments")
class GlobalCounter(ExplicitMidpoint):
    calls: ClassVar[list] = []

    def step(self, problem, state, dt):
        self.calls.append(dt)
        return FlowState(state.theta - dt * (1 + 1 / len(self.calls)) * self.gradient(problem, state.theta))


@mistake("purity", "two calls with the same arguments")
class HiddenNoise(ExplicitMidpoint):
    generator: ClassVar = np.random.default_rng(0)

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return FlowState(new.theta + dt**2 * self.generator.standard_normal(new.theta.shape).astype(new.theta.dtype))


@mistake("dtypes and shapes", "float32", "becomes float64")
class HardCodedFloat64(ExplicitMidpoint):
    def step(self, problem, state, dt):
        return FlowState(state.theta - np.float64(dt) * self.gradient(problem, state.theta))


@mistake("runs", "step raises", "(5, 1)")
class ColumnVector(ExplicitMidpoint):
    def step(self, problem, state, dt):
        return FlowState(super().step(problem, state, dt).theta[:, None])


@mistake("runs", "step raises", "ValueError")
class RefusesLate(ExplicitMidpoint):
    def step(self, problem, state, dt):
        if linear_part(problem).scalar != 0:
            raise ValueError("no energy part, please")
        return super().step(problem, state, dt)


@mistake("stationary points", "theta moves")
class Drifts(ExplicitMidpoint):
    """Weight decay of its own: at a stationary point of E it moves on."""

    def step(self, problem, state, dt):
        return FlowState(super().step(problem, state, dt).theta + dt**2)


@mistake("finite steps", "dt >= 1e2")
class NaNForLargeDt(ExplicitMidpoint):
    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return new if dt < 50 else FlowState(new.theta * np.nan)


# Schemes with an auxiliary variable.


@mistake("identity", "|aux_new - aux|^2")
class DropsNumericalDissipation(MySAV):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(terms.dissipation, 0 * terms.numerical)


@mistake("negative energies", "E = -5", "(grad E, theta_new - theta) = ")
class SignOfE(ExplicitMidpoint):
    """It descends only where E is positive."""

    order: ClassVar[int] = 1

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        return FlowState(state.theta - dt * (E / abs(E)) * g)


@mistake("identity", "they differ by")
class WrongWhereThereIsAResidual(MySAV):
    def aux_after(self, problem, new):
        return new if problem_ability(problem, "linearize") is None else new._replace(aux=2 * new.aux)

    def step(self, problem, state, dt):
        return self.aux_after(problem, super().step(problem, state, dt))


# IEQ and several scalar auxiliary variables, whose linear systems are known on symbols by their equations only.


@mistake("identity", "|d|_M^2 / dt")
class HalfTheDamping(MyIEQ):
    """The system of the step 2 dt."""

    def solved(self, problem, theta, at, q, dt):
        return super().solved(problem, theta, at, q, 2 * dt)


@mistake("identity", "S")
class StabilizationNotSolvedWith(MyIEQ):
    """S is not in the system, and is in the law."""

    stabilization: float = 3.0

    def solved(self, problem, theta, at, q, dt):
        L, mass = linear_part(problem), problem_ability(problem, "mass")
        return damped_step(at, q, L.apply(theta), L, dt, mass=mass, n_parameters=theta.shape[0]).d


@mistake("identity", "in none with no energy part L")
class PullOfLForgotten(MyIEQ):
    """L theta is not on the right-hand side."""

    def solved(self, problem, theta, at, q, dt):
        A, mass = add(*self.operators(problem)), problem_ability(problem, "mass")
        return damped_step(at, q, None, A, dt, mass=mass, n_parameters=theta.shape[0]).d


@mistake("runs", "ValueError")
class NotTransposed(MyIEQ):
    """J in the place of its adjoint, in one step of the gradient flow."""

    def solved(self, problem, theta, at, q, dt):
        return -dt * at.jvp(q)


@mistake("identity", "they differ by")
class ResidualFromItsDefinition(MyIEQ):
    """The new q is the residual at the new theta, and not q + J d."""

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return AuxState(new.theta, self.auxiliary(problem, new.theta))


@mistake("identity", "they differ by")
class ResidualTheOtherWay(MyIEQ):
    def next_q(self, at, q, d):
        return q - at.jvp(d)


@mistake("dissipation", "negative")
class DissipationOfTheOtherSign(MyIEQ):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(-terms.dissipation, terms.numerical + 2 * terms.dissipation)


@mistake("identity", "they differ by")
class LawOfTheWrongDissipation(MyIEQ):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(-terms.dissipation, terms.numerical)


@mistake("identity", "they differ by")
class PartsOfWrongLength(MSAV):
    """The increment is scaled with the damping of 2 dt."""

    def step_at(self, problem, state, dt, at):
        theta, A = state.theta, add(linear_part(problem), as_linear_part(self.stabilization, "stabilization"))
        mass, n = problem_ability(problem, "mass"), theta.shape[0]
        theta, r = msav_update(
            theta,
            self.auxiliary_at(at) if state.aux is None else state.aux,
            linear_part(problem).apply(theta),
            inner=problem.inner,
            damping=lambda d: dissipation(problem.inner, Zero(), A, d, 2 * dt),
            direction=lambda q, h: damped_step(at, q, h, A, dt, mass=mass, n_parameters=n),
        )
        return AuxState(theta, r)


@mistake("identity", "|aux_new - aux|^2")
class PartsWithoutTheirChange(MSAV):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(terms.dissipation, terms.numerical / 2)


@mistake("identity", "they differ by")
class PartsMovedTwice(MSAV):
    def step_at(self, problem, state, dt, at):
        new = super().step_at(problem, state, dt, at)
        r = self.auxiliary_at(at) if state.aux is None else state.aux
        return AuxState(new.theta, 2 * new.aux - r)


@mistake("modified energy", "they differ by")
class OneConstantForAllParts(MSAV):
    def modified_energy(self, problem, state):
        energy = super().modified_energy(problem, state)
        return energy if state.aux is None else energy + self.C


@mistake("identity", "they differ by")
class LawWithoutTheRest(ExplicitMidpoint):
    """An energy law that is false, of a scheme with no auxiliary variable to define."""

    def modified_energy(self, problem, state):
        return problem.energy(state.theta)

    def energy_terms(self, problem, state, new, dt):
        d = new.theta - state.theta
        return EnergyTerms(7 * problem.inner(d, d / dt), 0 * problem.inner(d, d))


@mistake("identity", "1/2 |d|_M^2 / dt")
class HalfTheDissipation(MySAV):
    stabilization: ClassVar[float] = 0.0

    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        d = new.theta - state.theta
        return EnergyTerms(terms.dissipation + problem.inner(d, d / (2 * dt)), terms.numerical)


@mistake("identity", "(S d, d)_M", "no stabilization")
class DropsSInTheLaw(MySAV):
    def energy_terms(self, problem, state, new, dt):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        L, _ = self.operators(problem)
        return EnergyTerms(dissipation(problem.inner, L, Zero(), new.theta - state.theta, dt), (new.aux - r) ** 2)


@mistake("identity", "1/2 (L d, d)_M")
class WrongFactorOfL(MySAV):
    def energy_terms(self, problem, state, new, dt):
        terms, d = super().energy_terms(problem, state, new, dt), new.theta - state.theta
        return EnergyTerms(
            terms.dissipation + problem.inner(self.operators(problem)[0].apply(d), d) / 2, terms.numerical
        )


@mistake("identity", "the dot product")
class PlainDotProduct(MySAV):
    """r moves by the dot product while theta moves along the gradient of another one."""

    def inner(self, problem, u, v):
        return u @ v


@mistake("identity", "the identity fails")
class FactorTwoInR(MySAV):
    """r_new = r + (g, d) / R: a factor 1/2 is missing."""

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return AuxState(new.theta, r + 2 * (new.aux - r))


@mistake("limit flow", "no stabilization")
class StabilizationOnlyImplicit(MySAV):
    """S theta_new is added and S theta not subtracted: S is an energy part of its own."""

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        _, S = self.operators(problem)
        return AuxState(new.theta - dt * self.solver(problem, dt)(S.apply(state.theta)), new.aux)


@mistake("limit flow", "no stabilization")
class StabilizationOnlyExplicit(MySAV):
    """S theta is subtracted, and S theta_new not added."""

    def solver(self, problem, dt):
        L, _ = self.operators(problem)
        return lambda u: L.solve_shifted(u, dt)

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        _, S = self.operators(problem)
        return AuxState(new.theta + dt * S.apply(state.theta), new.aux)


@mistake("identity", "in no case with no stabilization")
class WrongSignOfS(MySAV):
    """I - dt S in the place of I + dt S."""

    def solver(self, problem, dt):
        L, S = self.operators(problem)
        return lambda u: L.solve_shifted(u, dt) / (1 - dt * S.apply(1 + 0 * u))


@mistake("modified energy", "they differ by 2")
class ConstantLeftIn(MySAV):
    def modified_energy(self, problem, state):
        return super().modified_energy(problem, state) + self.C


@mistake("modified energy", "they differ")
class ForgetsLInTheEnergy(MySAV):
    def modified_energy(self, problem, state):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return r**2 - self.C


@mistake("modified energy", "they differ", "L a number")
class EInPlaceOfF(MySAV):
    """r^2 = E + C, while L is treated by itself as well: it counts twice."""

    def auxiliary(self, problem, theta):
        return (problem.energy(theta) + self.C) ** 0.5

    def evaluated(self, problem, theta):
        return problem.energy(theta), nonlinear_energy_and_gradient(problem, theta)[1]


@mistake("identity", "the identity fails")
class RootOfTheWrongArgument(MySAV):
    """R = sqrt(F) + C in the step."""

    def step(self, problem, state, dt):
        F, g = self.evaluated(problem, state.theta)
        R = F**0.5 + self.C
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        new = super().step(problem, state, dt)
        return AuxState(new.theta, r + self.inner(problem, g, new.theta - state.theta) / (2 * R))


@mistake("identity", "in no case with a consistent auxiliary variable")
class NeverUsesR(MySAV):
    """Each step starts from R, and the law is that of r."""

    def step(self, problem, state, dt):
        return super().step(problem, state._replace(aux=None), dt)


@mistake("dissipation", "negative")
class NegativeDissipation(MySAV):
    """The terms add up to the change of the energy, and are exchanged and shifted."""

    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(-terms.numerical, terms.dissipation + 2 * terms.numerical)


@mistake("numerical dissipation", "negative")
class NegativeNumericalDissipation(MySAV):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(terms.dissipation + 2 * terms.numerical, -terms.numerical)


@mistake("limit flow", "ascends")
class AscentWithALaw(MySAV):
    """The vanilla law holds for gradient ascent as well: r rises as F does."""

    def evaluated(self, problem, theta):
        F, g = super().evaluated(problem, theta)
        return F, -g

    def operators(self, problem):
        return Zero(), as_linear_part(self.stabilization, "stabilization")

    def init(self, problem, theta):
        if linear_part(problem).scalar != 0:
            raise ValueError("an energy without an energy part is needed")
        return super().init(problem, theta)


@mistake("aux left out", "theta differs")
class AnotherDefinition(MySAV):
    """aux=None means the definition, and the step takes 1 for it."""

    def step(self, problem, state, dt):
        return super().step(problem, state if state.aux is not None else state._replace(aux=1 + 0 * state.theta[0]), dt)


@mistake("purity", "writes into the state that it returned before")
class ReusesItsArray(ExplicitMidpoint):
    store: ClassVar[dict] = {}

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        buffer = self.store.setdefault((new.dtype.str, new.shape), np.empty_like(new))
        buffer[:] = new
        return FlowState(buffer)


@mistake("order", "observed order is 1", "declared is 2")
class FirstOrderExtrapolation(MyBDF2SAV):
    """BDF2 with the gradient at theta, not ahead."""

    def ahead(self, theta, before):
        return theta


@mistake("order of the auxiliary variable", "observed order is 1", "declared is 2")
class FirstOrderR(MyBDF2SAV):
    """BDF2 for theta, and the implicit Euler method for r."""

    def next_r(self, r, before, tau, share, stiff):
        dt = before.dt
        return (r - dt * stiff) / (1 + dt * share)

    def energy_terms(self, problem, state, new, dt):
        nothing = 0 * new.aux
        return EnergyTerms(nothing + np.nan, nothing + np.nan)


@mistake("identity", "not finite in any step")
class NoTermsAtAll(MySAV):
    def energy_terms(self, problem, state, new, dt):
        return EnergyTerms(0 * new.aux + np.nan, 0 * new.aux + np.nan)


class ForgetfulState(NamedTuple):
    velocity: object
    theta: object


@mistake("dtypes and shapes", "first field")
class ThetaSecond(ExplicitMidpoint):
    def init(self, problem, theta):
        return ForgetfulState(0 * theta, theta)

    def step(self, problem, state, dt):
        return ForgetfulState(state.velocity, super().step(problem, state, dt).theta)


@mistake("limit flow", "no multiple of the gradient")
class SignDescent(ExplicitMidpoint):
    """The sign of the gradient, while the gradient flow is claimed."""

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt * np.sign(self.gradient(problem, state.theta)))


@mistake("runs", "step raises SystemExit")
class EndsTheProcess(ExplicitMidpoint):
    def step(self, problem, state, dt):
        raise SystemExit(0)


@mistake("purity", "last_theta of the problem is changed")
class WritesIntoTheProblem(ExplicitMidpoint):
    def step(self, problem, state, dt):
        problem.last_theta = state.theta
        return super().step(problem, state, dt)


@mistake("purity", "modified_energy or energy_terms writes into a state")
class TermsOverwriteTheState(MySAV):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        new.theta[:] = 0
        return terms


@mistake("dtypes and shapes", "becomes")
class KeepsEveryGradient(ExplicitMidpoint):
    order: ClassVar[int] = 1

    def init(self, problem, theta):
        return PastGradients(theta)

    def step(self, problem, state, dt):
        g = self.gradient(problem, state.theta)
        return PastGradients(state.theta - dt * g, (g, *state.past))


@mistake("identity", "the identity fails")
class WrongBetweenTheDecades(MySAV):
    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return new._replace(aux=2 * new.aux) if 2 < dt < 50 else new


class RememberedStep(NamedTuple):
    theta: object
    aux: object
    last: object


@mistake("identity", "the identity fails", "a later step")
class WrongAfterAChangeOfDt(MySAV):
    def init(self, problem, theta):
        return RememberedStep(theta, self.auxiliary(problem, theta), 0 * theta[0])

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        same = state.last == 0 or abs(state.last - dt) < 1e-6 * dt
        return RememberedStep(new.theta, new.aux if same else 2 * new.aux, 0 * state.last + dt)


@mistake("identity", "NaN in", "not in the first steps of runs only")
class NaNWhereTheLawFails(DropsNumericalDissipation):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(terms.dissipation + np.nan, terms.numerical) if dt > 1e-7 else terms


class CountedState(NamedTuple):
    theta: object
    aux: object
    k: int


@dataclass(frozen=True, kw_only=True)
class CountingSAV(MySAV):
    """Right, but a proof about its first steps would say nothing of later ones."""

    def init(self, problem, theta):
        return CountedState(theta, self.auxiliary(problem, theta), 0)

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return CountedState(new.theta, new.aux, state.k + 1)


@mistake("identity", "the identity fails", "a later step")
class LateFault(CountingSAV):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(terms.dissipation, 0 * terms.numerical) if state.k >= 3 else terms


@dataclass(frozen=True, kw_only=True)
class FlaggedSAV(CountingSAV):
    """Right: the flag of the first step does not change later, so proofs are of all steps."""

    def step(self, problem, state, dt):
        return super().step(problem, state, dt)._replace(k=1)


@dataclass(frozen=True, kw_only=True)
class HiddenByRounding(DropsNumericalDissipation):
    """A false law: a large multiple of |copy - theta|^2, which is 0, hides the fault in rounding; on symbols it shows."""

    def init(self, problem, theta):
        return RememberedStep(theta, self.auxiliary(problem, theta), theta)

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return RememberedStep(new.theta, new.aux, new.theta)

    def modified_energy(self, problem, state):
        away = state.last - state.theta
        return super().modified_energy(problem, state) + 10**34 * problem.inner(away, away)


@dataclass(frozen=True)
class Damped(ExplicitMidpoint):
    """theta - dt g / (1 + a dt |g|^2); for a < 0 the denominator vanishes."""

    order: ClassVar[int] = 1
    a: float = 1.0

    def step(self, problem, state, dt):
        g = self.gradient(problem, state.theta)
        return FlowState(state.theta - dt * g / (1 + self.a * dt * problem.inner(g, g)))


class RootOfDt(ExplicitMidpoint):
    """It exists for dt < 1e9 only."""

    order: ClassVar[int] = 1

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt * (1 - dt / 10**9) ** 0.5 * self.gradient(problem, state.theta))


class RootByNumPy(ExplicitMidpoint):
    """Right, but its root is NumPy's, which symbols have not."""

    order: ClassVar[int] = 1

    def step(self, problem, state, dt):
        g = self.gradient(problem, state.theta)
        return FlowState(state.theta - dt * g / np.sqrt(1 + dt * problem.inner(g, g)).astype(g.dtype))


class DriftKick(NamedTuple):
    theta: object
    velocity: object


class Inertial:
    """theta'' = -3 theta' - grad E: its first step is orthogonal to the gradient, or none."""

    speed = None

    def init(self, problem, theta):
        return DriftKick(theta, 0 * theta)

    def step(self, problem, state, dt):
        theta = state.theta + dt * state.velocity
        return DriftKick(theta, (state.velocity - dt * problem.energy_and_gradient(theta)[1]) / (1 + 3 * dt))


class InertialKick(Inertial):
    """The kick comes first: the first step is of the size dt^2."""

    def step(self, problem, state, dt):
        velocity = (state.velocity - dt * problem.energy_and_gradient(state.theta)[1]) / (1 + 3 * dt)
        return DriftKick(state.theta + dt * velocity, velocity)


class Momentum(NamedTuple):
    theta: object
    aux: object


class AuxOfAnotherMeaning:
    """Right: no auxiliary scheme, its field aux is the theta before."""

    speed = None

    def init(self, problem, theta):
        return Momentum(theta, theta)

    def step(self, problem, state, dt):
        ahead = state.theta + (state.theta - state.aux) / 2
        return Momentum(ahead - dt * problem.energy_and_gradient(ahead)[1], state.theta)


class SizedState(NamedTuple):
    theta: object
    size: object


class DividesByTheLastStep(ExplicitMidpoint):
    """It has no second step where the first one was 0."""

    order: ClassVar[int] = 1

    def init(self, problem, theta):
        return SizedState(theta, 1 + 0 * problem.inner(theta, theta))

    def step(self, problem, state, dt):
        d = -dt * self.gradient(problem, state.theta) / (1 + dt**3 / state.size)
        return SizedState(state.theta + d, problem.inner(d, d))


class SignsThatChange(DividesByTheLastStep):
    """The number in its state is positive after the first step, and not after the second."""

    def step(self, problem, state, dt):
        d = -dt * self.gradient(problem, state.theta) / (1 + dt * state.size)
        return SizedState(state.theta + d, 2 - state.size + problem.inner(d, d))


@dataclass(frozen=True, kw_only=True)
class WrapperWithAConstant(ExplicitMidpoint):
    """It and the scheme within have a parameter C each; the step exists as long as theirs differ by less than 1."""

    base: MySAV = MySAV()
    C: float = 2.0
    order: ClassVar[int] = 1

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt / (1 + self.C - self.base.C) * self.gradient(problem, state.theta))


# Barely: mistakes that are little more than what a tolerance lets pass.


class OtherTerms(MySAV):
    """A scheme with its law as the terms D, N of the class above; `changed` makes others of them."""

    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(*self.changed(problem, state, new, *terms))


@mistake("identity", "the identity fails")
class WrongInTheTwelfthDigit(OtherTerms):
    def changed(self, problem, state, new, D, N):
        return D * (1 + 1e-12), N


@mistake("identity", "in float32", quick=False)
class WrongInFloat32Only(OtherTerms):
    def changed(self, problem, state, new, D, N):
        return D * (1 + (1e-4 if new.theta.dtype == np.float32 else 0)), N


@mistake("modified energy", "they differ by")
class EnergyWrongInTheTwelfthDigit(MySAV):
    def modified_energy(self, problem, state):
        return super().modified_energy(problem, state) + 1e-11


@mistake("dissipation", "negative")
class HardlyNegativeDissipation(OtherTerms):
    def changed(self, problem, state, new, D, N):
        small = 1e-11 * (1 + problem.energy(new.theta)) if D < 1 else 0
        return -small, D + N + small


@mistake("numerical dissipation", "negative")
class HardlyNegativeNumericalDissipation(OtherTerms):
    def changed(self, problem, state, new, D, N):
        small = 1e-11 * (1 + problem.energy(new.theta)) if D < 1 else 0
        return D + N + small, -small


@mistake("numerical dissipation", "negative", "in no case with a consistent auxiliary variable")
class NegativeOffTheDefinition(OtherTerms):
    """(r - R)^2 is taken from the one term and given to the other: 0 where the auxiliary variable is consistent."""

    def changed(self, problem, state, new, D, N):
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        away = (r - self.auxiliary(problem, state.theta)) ** 2
        return D + away, N - away


@mistake("decay", "negative")
class EnergyThatRises(ExplicitMidpoint):
    """The energy falls by |d|^2 / dt and a rest of either sign."""

    def modified_energy(self, problem, state):
        return problem.energy(state.theta)

    def energy_terms(self, problem, state, new, dt):
        d = new.theta - state.theta
        D = problem.inner(d, d / dt)
        return EnergyTerms(D, problem.energy(state.theta) - problem.energy(new.theta) - D)


@mistake("limit flow", "-0.99995 grad E")
class SlowByATenThousandth(ExplicitMidpoint):
    def gradient(self, problem, theta):
        g = super().gradient(problem, theta)
        return g * g.dtype.type(1 - 5e-5)


@mistake("limit flow", "no multiple of the gradient")
class DirectionOffByATenThousandth(ExplicitMidpoint):
    def gradient(self, problem, theta):
        g = super().gradient(problem, theta)
        return g + g[::-1] * g.dtype.type(5e-5)


@mistake("stationary points", "theta moves by")
class DriftsByTheLastBits(ExplicitMidpoint):
    """In a large step it drifts by 1e-12, from its second step on."""

    def init(self, problem, theta):
        return PastGradients(theta)

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return PastGradients(new + new.dtype.type(1e-12 if dt > 0.5 and state.past else 0), (new,))


@mistake("order", "declared is 2")
class OrderOneAndThreeQuarters(ExplicitMidpoint):
    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return FlowState(new - 4 * dt**2.75 * self.gradient(problem, state.theta))


@mistake("order", "declared is 2")
class HardlyFirstOrder(ExplicitMidpoint):
    """A term of the first order with the factor 1e-3."""

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return FlowState(new - dt**2 / 250 * self.gradient(problem, state.theta))


@mistake("order of the auxiliary variable", "declared is 1")
class AuxOfOrderThreeQuarters(MySAV):
    """Off its definition it is pulled away by dt^1.7 in each step, and no law is stated."""

    stabilization: ClassVar[float] = 0.0

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return AuxState(new.theta, new.aux + dt**1.7)

    def energy_terms(self, problem, state, new, dt):
        return EnergyTerms(*(0 * new.aux + np.nan for _ in range(2)))


@mistake("finite steps", "in no case with dt <= 1e-2 or dt = 1")
class AuxOverflows(ExplicitMidpoint):
    """Theta is finite, and a record of it overflows for the largest dt."""

    def init(self, problem, theta):
        return SizedState(theta, 0 * theta[0])

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return SizedState(new, 0 * new[0] + new.dtype.type(np.inf if dt > 1e7 else 0))


@mistake("finite steps", "in no case with dt = 1 or dt >= 1e2")
class SecondStepFails(ExplicitMidpoint):
    """NaN in the second step of a run with a very small dt."""

    def init(self, problem, theta):
        return SizedState(theta, 0 * theta[0])

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return SizedState(new * (np.nan if dt < 1e-7 and state.size else 1), state.size + 1)


@mistake("finite steps", "a curvature near 1e6", quick=False)
class OverflowsWhereItIsSteep(ExplicitMidpoint):
    def step(self, problem, state, dt):
        g = nonlinear_energy_and_gradient(problem, state.theta)[1]
        factor = np.exp(-np.exp(problem.inner(g, g) / 1e4))
        new = super().step(problem, state, dt).theta
        return FlowState(new + 0 * (factor / factor))


class CallsCounted(ExplicitMidpoint):
    """It counts how often it was called with the same arguments, and in some of these calls the last bit is another one."""

    other: ClassVar[int] = 0

    def __init__(self):
        object.__setattr__(self, "calls", {})

    def step(self, problem, state, dt):
        key = state.theta.tobytes(), float(dt), id(problem)
        n = self.calls[key] = self.calls.get(key, -1) + 1
        new = super().step(problem, state, dt).theta
        return FlowState(np.nextafter(new, new + 1) if n == self.other else new)


@mistake("purity", "two calls with the same arguments")
class FirstCallDiffers(CallsCounted):
    other: ClassVar[int] = 0


@mistake("purity", "two calls with the same arguments")
class SecondCallDiffers(CallsCounted):
    other: ClassVar[int] = 1


@mistake("purity", "two calls with the same arguments")
class ThirdCallDiffers(CallsCounted):
    other: ClassVar[int] = 2


@mistake("aux left out", "aux differs", quick=False)
class NearlyTheDefinition(MySAV):
    def step(self, problem, state, dt):
        if state.aux is None:
            r = self.auxiliary(problem, state.theta)
            state = state._replace(aux=r * r.dtype.type(1 + 1e-12))
        return super().step(problem, state, dt)


@mistake("dtypes and shapes", "becomes")
class KeepsNineGradients(KeepsEightGradients):
    number: ClassVar[int] = 9


@mistake("dtypes and shapes", "float64")
class SecondStateIsFloat64(ExplicitMidpoint):
    def init(self, problem, theta):
        return SizedState(theta, np.zeros((), theta.dtype))

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return SizedState(new, np.asarray(state.size + 1 if state.size == 0 else np.float64(2)))


@mistake("identity", "the identity fails", "a later step")
class WrongInTheTwelfthStep(CountingSAV):
    def energy_terms(self, problem, state, new, dt):
        terms = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(terms.dissipation, 0 * terms.numerical) if state.k == 11 else terms


@mistake("identity", "in no case with a consistent auxiliary variable")
class WrongFarOffTheDefinition(CountingSAV):
    """The law is wrong in a first step from an r that is above its definition by a tenth or more."""

    def energy_terms(self, problem, state, new, dt):
        D, N = super().energy_terms(problem, state, new, dt)
        far = state.k == 0 and state.aux is not None and state.aux > 1.1 * self.auxiliary(problem, state.theta)
        return EnergyTerms(D, N * (1 + far))


@mistake("limit flow", "ascends")
class HardlyAscends(ExplicitMidpoint):
    """It claims no flow, and moves along a vector that is orthogonal to the gradient but for a small part."""

    speed = None
    part: ClassVar[float] = 1e-3

    def step(self, problem, state, dt):
        g, e = self.gradient(problem, state.theta), 1 + 0 * state.theta
        across = e - problem.inner(e, g) / problem.inner(g, g) * g
        return FlowState(state.theta + dt * (across + self.part * g))


@mistake("limit flow", "the first step of its usual size, 0.1")
class IterationThatHardlyAscends(HardlyAscends):
    usual_dt: ClassVar[float] = 0.1
    part: ClassVar[float] = 1e-6


@mistake("order", "no energy part L", quick=False)
class FirstOrderWithoutL(ExplicitMidpoint):
    def step(self, problem, state, dt):
        euler = FlowState(state.theta - dt * self.gradient(problem, state.theta))
        return euler if linear_part(problem).scalar == 0 else super().step(problem, state, dt)


@mistake("purity", "_targets of the problem is changed")
class ClipsTheData(ExplicitMidpoint):
    """It clips the targets of the problem in place: every call returns the same."""

    def step(self, problem, state, dt):
        targets = getattr(problem, "_targets", np.zeros(1))
        np.clip(targets, -0.5, 0.5, out=targets)
        return super().step(problem, state, dt)


@mistake("purity", "two calls with the same arguments")
class RemembersTheStepSize(ExplicitMidpoint):
    """It takes the mean of dt and that of the call before."""

    last: ClassVar[dict] = {}

    def step(self, problem, state, dt):
        before, self.last[0] = self.last.get(0, dt), dt
        return super().step(problem, state, (before + dt) / 2)


class RecordsTheLogarithm(ExplicitMidpoint):
    """It records log |grad E|^2, which is -oo at a stationary point."""

    order: ClassVar[int] = 1

    def init(self, problem, theta):
        return SizedState(theta, 1 + 0 * problem.inner(theta, theta))

    def step(self, problem, state, dt):
        g = self.gradient(problem, state.theta)
        square = problem.inner(g, g)
        return SizedState(state.theta - dt * g, array_namespace(square).log(square))


class RecordsTheInverse(ExplicitMidpoint):
    """It records 1 / |grad E|^2: a division by a number that is nonnegative, and 0 at a stationary point."""

    order: ClassVar[int] = 1

    def init(self, problem, theta):
        return SizedState(theta, 1 + 0 * problem.inner(theta, theta))

    def step(self, problem, state, dt):
        g = self.gradient(problem, state.theta)
        return SizedState(state.theta - dt * g, 1 / problem.inner(g, g))


@dataclass(frozen=True, kw_only=True)
class AuxOffByDt(MySAV):
    """Its auxiliary variable is its definition modulo dt, not dt^2."""

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt)
        return AuxState(
            new.theta, new.aux + dt * problem.inner(new.theta - state.theta, new.theta - state.theta) / dt**2
        )


class RecordsItsEnergy(OrderThatShowsLate):
    """Its auxiliary variable is exact in every step, while the order of theta shows late; its law is no affair of the test."""

    def init(self, problem, theta):
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem, theta):
        return problem.energy(theta)

    def step(self, problem, state, dt):
        new = super().step(problem, state, dt).theta
        return AuxState(new, self.auxiliary(problem, new))

    def modified_energy(self, problem, state):
        return problem.energy(state.theta)

    def law(self, problem, state):
        return Quadratic(1.0)

    def energy_terms(self, problem, state, new, dt):
        return EnergyTerms(problem.energy(state.theta) - problem.energy(new.theta), 0 * new.aux)


class NeverEndsOnSymbols(MySAV):
    """Right in floating point, where the loop ends at once."""

    def step(self, problem, state, dt):
        while not isinstance(dt, float):
            pass
        return super().step(problem, state, dt)


@dataclass(frozen=True)
class FixedPreconditioner(ExplicitMidpoint):
    """Right, for problems with three parameters: a descent with a fixed diagonal in front of the gradient."""

    order: ClassVar[int] = 1
    speed: ClassVar[None] = None

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt * np.array([1.0, 2.0, 3.0]) * self.gradient(problem, state.theta))


@dataclass(frozen=True)
class DescentOfNetworks(ExplicitMidpoint):
    """Right, for networks: a step along the gradient, which needs to know how many outputs there are."""

    order: ClassVar[int] = 1

    def init(self, problem, theta):
        if problem_ability(problem, "n_outputs") is None:
            raise ValueError("a network is needed")
        return FlowState(theta)

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt * self.gradient(problem, state.theta))


class HalfDescentOfNetworks(DescentOfNetworks):
    """Wrong: half of the step."""

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt / 2 * self.gradient(problem, state.theta))


def network():
    """Return a small network with a start."""
    net = gf.TwoLayerNet(2, 5, activation="tanh")
    X = np.random.default_rng(0).standard_normal((6, 2))
    return gf.Regression(net, X, np.sin(X[:, 0])), net.init(0)


def three_parameters():
    """Return two problems with three parameters, with starts."""
    A, theta = np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.5], [0.3, 0.0, 1.0]]), np.array([0.5, -0.5, 1.0])
    problem = gf.DenseLeastSquares(lambda t: np.sin(A @ t) - 0.3, lambda t: np.cos(A @ t)[:, None] * A)
    return [(problem, theta), (problem, -theta)]


class MemoryState(NamedTuple):
    """A state with something that the step keeps."""

    theta: Any
    aux: Any
    x: Any


@dataclass(frozen=True, kw_only=True)
class KeepsMore(gf.SAV):
    """SAV that keeps 0; its law is false where what it keeps is larger than `few`, and less than twice as large."""

    evaluates: ClassVar[bool] = False
    few: ClassVar[float] = 1.5

    def init(self, problem, theta):
        return MemoryState(theta, super().init(problem, theta).aux, 0 * problem.inner(theta, theta))

    def kept(self, problem, state, new, dt):
        return state.x

    def step(self, problem, state, dt):
        at = self.evaluate(problem, state.theta)
        new = self.step_at(problem, AuxState(state.theta, state.aux), dt, at)
        return MemoryState(new.theta, new.aux, self.kept(problem, state, new, dt))

    def energy_terms(self, problem, state, new, dt):
        D, N = super().energy_terms(problem, state, new, dt)
        where = array_namespace(state.theta).where
        return EnergyTerms(where(state.x > self.few * dt, where(state.x < 2 * self.few * dt, 2 * D, D), D), N)


class KeepsTheStepSize(KeepsMore):
    """Its law is false where the step before was larger."""

    def kept(self, problem, state, new, dt):
        return 0 * state.x + dt


class KeepsTheTime(KeepsMore):
    """Its law is false in the steps from 20 to 40."""

    few: ClassVar[float] = 20.0

    def kept(self, problem, state, new, dt):
        return state.x + dt


class RecordsTheIncrement(KeepsMore):
    """It names what it reads among what is only recorded."""

    records: ClassVar[tuple[str, ...]] = ("x",)

    def kept(self, problem, state, new, dt):
        d = new.theta - state.theta
        return problem.inner(d, d)


class AuxInATuple(gf.SAV):
    """Its auxiliary variable is a tuple of one number; its law is false where that is more than twice its definition."""

    evaluates: ClassVar[bool] = False

    def packed(self, r):
        return (r,)

    def unpacked(self, state):
        return AuxState(state.theta, None if state.aux is None else self.number(state.aux))

    def number(self, aux):
        return aux[0]

    def init(self, problem, theta):
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem, theta):
        return self.packed(super().auxiliary(problem, theta))

    def step(self, problem, state, dt):
        new = self.step_at(problem, self.unpacked(state), dt, self.evaluate(problem, state.theta))
        return AuxState(new.theta, self.packed(new.aux))

    def modified_energy(self, problem, state):
        return super().modified_energy(problem, self.unpacked(state))

    def energy_terms(self, problem, state, new, dt):
        defined = self.number(self.auxiliary(problem, state.theta))
        r = defined if state.aux is None else self.number(state.aux)
        D = self.dissipation(problem, state.theta, new.theta, dt)
        where = array_namespace(state.theta).where
        return EnergyTerms(where(r > 2 * defined, 2 * D, D), (self.number(new.aux) - r) ** 2)


class AuxInAMatrix(AuxInATuple):
    """Its auxiliary variable is an array (1, 1)."""

    def packed(self, r):
        return np.array([[r]], dtype=object) if np.asarray(r).dtype == object else np.asarray(r)[None, None]

    def number(self, aux):
        return aux[0, 0]


class NeitherNumberNorArray:
    """A number behind a text that does not tell it."""

    def __init__(self, r):
        self.r = r

    def __repr__(self):
        return "a number"


class AuxInAnObject(AuxInATuple):
    """Its auxiliary variable is an object of its own."""

    def packed(self, r):
        return NeitherNumberNorArray(r)

    def number(self, aux):
        return aux.r


class ReadsTheResidualScale(gf.IEQ):
    """Its law is false unless the residual is scaled by 1."""

    evaluates: ClassVar[bool] = False

    def energy_terms(self, problem, state, new, dt):
        D, N = super().energy_terms(problem, state, new, dt)
        return EnergyTerms(D, N / problem_ability(problem, "residual_scale"))


class SolvesInTheDotProduct(gf.IEQ):
    """It solves its system in the dot product, whatever the inner product of the problem is."""

    evaluates: ClassVar[bool] = False

    def step(self, problem, state, dt):
        at, L = problem.linearize(state.theta), linear_part(problem)
        A = add(L, as_linear_part(self.stabilization, "stabilization"))
        q = at.residual if state.aux is None else state.aux
        h = None if L.scalar == 0 else L.apply(state.theta)
        d, Jd = damped_step(at, q, h, A, dt, mass=1.0, n_parameters=state.theta.shape[0])
        return AuxState(state.theta + d, q + Jd)


class ClipsSteepGradients:
    """Descent that halves large gradients: its modified field is another one there."""

    def init(self, problem, theta):
        return FlowState(theta)

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        large = problem.inner(g, g) > 10_000
        return FlowState(state.theta - dt * array_namespace(state.theta).where(large, g / 2, g))


class ClipsSteepCoordinates(ClipsSteepGradients):
    """Descent along the cubes of the entries, that halves large gradients."""

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(state.theta)[1]
        large = problem.inner(g, g) > 10_000
        return FlowState(state.theta - dt * array_namespace(g).where(large, g / 2, g) * g * g)


class GuardsAgainstNoEnergy(ClipsSteepGradients):
    """Descent that stands still where energy and gradient vanish; of a positive energy it is descent everywhere."""

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        none = E * (1 + problem.inner(g, g)) <= 0
        return FlowState(state.theta - dt * array_namespace(g).where(none, 0 * g, g))


class AuxWithoutDefinition:
    """What it calls aux is the increment before, and it has no definition; its law is false where that is large."""

    def init(self, problem, theta):
        return AuxState(theta, 0 * theta)

    def step(self, problem, state, dt):
        d = gf.SAV().step(problem, AuxState(state.theta, None), dt).theta - state.theta
        return AuxState(state.theta + d, d)

    def modified_energy(self, problem, state):
        return problem.energy(state.theta)

    def energy_terms(self, problem, state, new, dt):
        D = problem.energy(state.theta) - problem.energy(new.theta)
        large = problem.inner(state.aux, state.aux) > 1e6
        return EnergyTerms(array_namespace(state.theta).where(large, 2 * D, D), 0 * D)
