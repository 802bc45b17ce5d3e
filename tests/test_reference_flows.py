"""Which flow each scheme follows as dt -> 0, and with which order: against an eighth-order reference at fixed time."""

import math

import numpy as np
import pytest

from gradflow.energies.function import FunctionProblem
from gradflow.schemes import (
    IEQ,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Relaxed,
    Restart,
    RMSProp,
    RungeKutta4,
    SourceSAV,
)
from smooth_problems import SPLITS, flow, follow, observed_order, run, smooth_problem

T = 1.0

GRADIENT_FLOW = {
    "GradientDescent": GradientDescent(),
    "GradientDescent-stabilized": GradientDescent(stabilization=2.0),
    "ImplicitEuler": ImplicitEuler(),
    "SAV": SAV(C=1.0),
    "SAV-stabilized": SAV(C=1.0, stabilization=2.0),
    "Restart-SAV": Restart(SAV(C=1.0)),
    "Relaxed-SAV": Relaxed(SAV(C=1.0)),
    "SourceSAV": SourceSAV(C=1.0),
    "Restart-SourceSAV": Restart(SourceSAV(C=1.0)),
    "Restart-ElementwiseSAV": Restart(ElementwiseSAV(C=1.0)),
    "ExpSAV-implicit": ExpSAV(form="implicit", scale=3.0),
    "ExpSAV-explicit": ExpSAV(form="explicit", scale=3.0),
    "ExpSAV-section_2.2.4": ExpSAV(form="section_2.2.4", scale=3.0),
    "Relaxed-ExpSAV-explicit": Relaxed(ExpSAV(form="explicit", scale=3.0)),
    "Restart-ExpSAV-explicit": Restart(ExpSAV(form="explicit", scale=3.0)),
    "IEQ-gram": IEQ(solver="gram"),
    "IEQ-parameter": IEQ(solver="parameter"),
    "IEQ-cg": IEQ(solver="cg"),
    "IEQ-stabilized": IEQ(stabilization=2.0),
    "Restart-IEQ": Restart(IEQ()),
    "Relaxed-IEQ": Relaxed(IEQ()),
    "AdaptiveIEQ-invariant": AdaptiveIEQ(),
    "AdaptiveIEQ-printed": AdaptiveIEQ(form="printed"),
    "Restart-AdaptiveIEQ": Restart(AdaptiveIEQ()),
}
"""Schemes whose theta follows theta' = -grad E, to first order."""

CONSISTENT_AUXILIARY = {
    name: GRADIENT_FLOW[name]
    for name in (
        "SAV",
        "SAV-stabilized",
        "Restart-SAV",
        "SourceSAV",
        "ExpSAV-implicit",
        "ExpSAV-explicit",
        "IEQ-gram",
        "IEQ-stabilized",
        "Restart-IEQ",
        "AdaptiveIEQ-invariant",
        "AdaptiveIEQ-printed",
    )
}
"""Schemes whose auxiliary variable tends to its definition along the flow, to first order."""


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", GRADIENT_FLOW)
def test_theta_follows_the_gradient_flow_to_first_order(name, split):
    problem, theta = smooth_problem(split)
    order = observed_order(GRADIENT_FLOW[name], problem, theta, T, flow(problem, theta, T))
    assert abs(order - 1) <= 0.1, order


@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass"])
@pytest.mark.parametrize("name", CONSISTENT_AUXILIARY)
def test_the_auxiliary_variable_follows_its_definition_to_first_order(name, split):
    problem, theta = smooth_problem(split)
    scheme = CONSISTENT_AUXILIARY[name]
    reference = scheme.auxiliary(problem, flow(problem, theta, T))
    order = observed_order(scheme, problem, theta, T, reference, value=lambda state: state.aux)
    assert abs(order - 1) <= 0.1, order


@pytest.mark.parametrize("name", ["SAV", "ExpSAV-explicit", "IEQ-gram"])
def test_the_relaxed_auxiliary_is_at_least_as_close_to_its_definition_as_the_vanilla_one(name):
    problem, theta = smooth_problem("energy-part-and-mass")
    vanilla, relaxed = GRADIENT_FLOW[name], Relaxed(GRADIENT_FLOW[name])
    gaps = []
    for scheme in (vanilla, relaxed):
        state = run(scheme, problem, theta, T / 50, 50)
        gaps.append(np.linalg.norm(state.aux - scheme.auxiliary(problem, state.theta)))
    assert gaps[1] <= gaps[0] * (1 + 1e-9)


@pytest.mark.parametrize("split", SPLITS)
def test_runge_kutta_is_of_order_four(split):
    problem, theta = smooth_problem(split)
    order = observed_order(RungeKutta4(), problem, theta, T, flow(problem, theta, T), steps=(16, 32))
    assert abs(order - 4) <= 0.1, order


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("scheme", [HeavyBall, Nesterov])
def test_momentum_follows_the_flow_sped_up_by_one_over_one_minus_beta(scheme, split, momentum):
    problem, theta = smooth_problem(split)
    speed = 1 / (1 - momentum)
    reference = flow(problem, theta, T, speed)
    n = 160 * int(speed)
    order = observed_order(scheme(momentum=momentum), problem, theta, T, reference, steps=(n, 2 * n))
    assert abs(order - 1) <= 0.1, order


@pytest.mark.parametrize("beta", [0.0, 0.8])
@pytest.mark.parametrize("name", ["Adam", "Adam-norm", "RMSProp"])
def test_adam_and_rmsprop_follow_the_flow_of_normalized_gradients(name, beta):
    eps = 0.3  # large, so that the limit is smooth where a component of the gradient changes sign
    norm = name == "Adam-norm"
    reading = "norm" if norm else "elementwise"
    scheme = (
        RMSProp(decay=beta, eps=eps) if name == "RMSProp" else Adam(reading=reading, beta1=beta, beta2=0.8, eps=eps)
    )
    problem, theta = smooth_problem("energy-part-and-mass")

    def velocity(t, y):
        g = problem.energy_and_gradient(y)[1]
        return -g / ((math.sqrt(problem.inner(g, g)) if norm else np.abs(g)) + eps)

    order = observed_order(scheme, problem, theta, T, follow(velocity, theta, T), steps=(400, 800))
    assert abs(order - 1) <= 0.1, order


def test_adagrad_follows_its_own_flow_in_the_time_n_dt_squared():
    """theta' = -g / sqrt(w), w' = g^2, w(0) = 0, in the variable sigma = sqrt(t), where it is smooth."""
    problem, theta = smooth_problem("plain", seed=4, scale=1.0)  # no component of g is near 0
    P, end, start = theta.shape[0], 0.4, 1e-8
    g = problem.energy_and_gradient(theta)[1]

    def velocity(s, y):
        g = problem.energy_and_gradient(y[:P])[1]
        return 2 * (s + start) * np.concatenate([-g / np.sqrt(y[P:]), g * g])

    beginning = np.concatenate([theta - 2 * start * np.sign(g), start**2 * g * g])
    reference = follow(velocity, beginning, end - start)[:P]
    errors = [
        np.linalg.norm(run(Adagrad(eps=1e-300), problem, theta, end / n, n * n).theta - reference) for n in (40, 80)
    ]
    order = np.log2(errors[0] / errors[1])
    assert abs(order - 1) <= 0.1, order


@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass"])
def test_exp_sav_of_theorem_2_2_follows_another_flow(split):
    """theta' = -grad E / r with r = C exp(E / kappa); the gap to the gradient flow does not close."""
    problem, theta = smooth_problem(split)
    kappa, C = 2.0, 1.5
    scheme = ExpSAV(form="theorem_2.2", scale=kappa, C=C)

    def velocity(t, y):
        E, g = problem.energy_and_gradient(y)
        return -g / (C * np.exp(E / kappa))

    slow = follow(velocity, theta, T)
    order = observed_order(scheme, problem, theta, T, slow)
    assert abs(order - 1) <= 0.1, order
    assert abs(observed_order(scheme, problem, theta, T, flow(problem, theta, T))) <= 0.1
    auxiliary = scheme.auxiliary(problem, slow)
    order = observed_order(scheme, problem, theta, T, auxiliary, value=lambda state: state.aux)
    assert abs(order - 1) <= 0.1, order


def test_exp_sav_of_section_2_2_4_tracks_the_energy_plus_a_constant():
    """Its r follows r' = -|grad E|^2 / kappa, so that r - E / kappa stays what it was at the start."""
    problem, theta = smooth_problem("energy-part-and-mass")
    kappa = 2.0
    scheme = ExpSAV(form="section_2.2.4", scale=kappa)
    end = flow(problem, theta, T)
    constant = np.exp(scheme.auxiliary(problem, theta)) - problem.energy(theta) / kappa
    wanted = np.log(problem.energy(end) / kappa + constant)
    order = observed_order(scheme, problem, theta, T, wanted, value=lambda state: state.aux)
    assert abs(order - 1) <= 0.1, order
    defined = scheme.auxiliary(problem, end)
    assert abs(observed_order(scheme, problem, theta, T, defined, value=lambda state: state.aux)) <= 0.1


def test_vanilla_element_wise_sav_follows_another_flow():
    """theta_i' = -(r_i / R) g_i, r_i' = -m_i g_i^2 r_i / (2 R^2): the components fall behind, each by its own gradient."""
    problem, theta = smooth_problem("mass")
    P, C = theta.shape[0], 1.0

    def velocity(t, y):
        E, g = problem.energy_and_gradient(y[:P])
        R2 = E + C
        return np.concatenate([-y[P:] / np.sqrt(R2) * g, -problem.mass * g * g * y[P:] / (2 * R2)])

    start = np.concatenate([theta, np.full(P, np.sqrt(problem.energy(theta) + C))])
    end = follow(velocity, start, T)
    scheme = ElementwiseSAV(C=C)
    both = observed_order(scheme, problem, theta, T, end, value=lambda state: np.concatenate([state.theta, state.aux]))
    assert abs(both - 1) <= 0.1, both
    assert abs(observed_order(scheme, problem, theta, T, flow(problem, theta, T))) <= 0.15


@pytest.mark.parametrize("reading", ["norm", "elementwise"])
def test_adaptive_sav_follows_the_normalized_flow(reading):
    """theta' = -(r / R) g / (|g| + eps); by the norm, r = R along it."""
    problem, theta = smooth_problem("mass")
    eps, C = 0.3, 1.0
    scheme = AdaptiveSAV(C=C, beta1=0.5, beta2=0.5, eps=eps, reading=reading)

    def velocity(t, y):
        E, g = problem.energy_and_gradient(y[:-1])
        size = np.abs(g) if reading == "elementwise" else np.sqrt(problem.inner(g, g))
        p, R2 = g / (size + eps), E + C
        return np.append(-(y[-1] / np.sqrt(R2)) * p, -y[-1] * problem.inner(g, p) / (2 * R2))

    end = follow(velocity, np.append(theta, np.sqrt(problem.energy(theta) + C)), T)
    order = observed_order(
        scheme, problem, theta, T, end, value=lambda state: np.append(state.theta, state.aux), steps=(400, 800)
    )
    assert abs(order - 1) <= 0.1, order
    assert abs(end[-1] - scheme.auxiliary(problem, end[:-1])) <= 1e-10  # also element by element: (g, p) is what counts


def test_printed_adaptive_ieq_loses_its_auxiliary_when_the_residual_is_scaled():
    """Its theta still follows the flow, but rho tends to something else than |f - y|."""
    problem, theta = smooth_problem("plain")
    for scale, consistent in ((1.0, True), (0.5, False)):
        scaled = FunctionProblem(problem.energy, lambda t: problem.energy_and_gradient(t)[1])
        scaled.residual_scale = scale
        scheme = AdaptiveIEQ(form="printed")
        end = flow(scaled, theta, T)
        assert abs(observed_order(scheme, scaled, theta, T, end) - 1) <= 0.1
        rho = scheme.auxiliary(scaled, end)
        order = observed_order(scheme, scaled, theta, T, rho, value=lambda state: state.aux)
        assert abs(order - (1 if consistent else 0)) <= 0.1, order


def test_float32_runs_reach_the_flow_to_single_precision():
    problem, theta = smooth_problem("energy-part-and-mass")
    single, theta32 = smooth_problem("energy-part-and-mass", dtype="float32")
    found = run(RungeKutta4(), single, theta32, 0.02, 50).theta
    assert found.dtype == np.float32
    assert np.linalg.norm(found - flow(problem, theta, T)) <= 1e-5
