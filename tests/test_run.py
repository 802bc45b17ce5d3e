"""How a run goes and ends: step control, end times, tolerances, what status says, and functions that misbehave."""

import math
from typing import NamedTuple

import numpy as np
import pytest

import gradflow as gf
from cases import affine_case, auxiliary_schemes, residual_case, vanilla_schemes
from gradflow.energies.protocols import norm
from gradflow.namespace import quiet
from gradflow.run.history import QUANTITIES
from gradflow.run.steps import Attempt
from gradflow.run.stopping import _below
from gradflow.schemes import REGISTRY
from smooth_problems import double_well, flow, smooth_problem


def parabola(k=1.0, **more):
    return gf.FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t, **more)


def quartic():
    return gf.FunctionProblem(lambda t: (t @ t) ** 2 / 4, lambda t: (t @ t) * t)


# -- End times and step control -----------------------------------------------------------------------------------


@pytest.mark.parametrize("t_end", [1.0, 0.95, 1.0 + 1e-13, 1e-3])
@pytest.mark.parametrize("scheme", [gf.SAV(), gf.Relaxed(gf.IEQ()), gf.RungeKutta4()], ids=repr)
def test_the_end_time_is_hit_exactly(scheme, t_end):
    case = residual_case(0, 6, 4)
    run = gf.solve(case.problem, scheme, case.theta, dt=0.1, t_end=t_end)
    assert run.history["time"][-1] == t_end
    assert run.steps == max(1, round(np.ceil(t_end / 0.1 - 1e-9)))
    assert run.status is gf.Status.DONE
    state = scheme.init(case.problem, case.theta)
    for h in np.diff(run.history["time"]):
        state = scheme.step(case.problem, state, float(h))
    np.testing.assert_allclose(run.theta, state.theta, rtol=1e-12)


def test_snapshots_are_theta_at_steps_or_at_times_hit_exactly():
    case = residual_case(0, 6, 4)
    by_steps = gf.solve(case.problem, gf.SAV(), case.theta, dt=0.1, steps=7, snapshots=[0, 3, 7])
    assert [s.step for s in by_steps.snapshots] == [0, 3, 7]
    shorter = gf.solve(case.problem, gf.SAV(), case.theta, dt=0.1, steps=3)
    assert np.array_equal(by_steps.snapshots[1].theta, shorter.theta)
    by_times = gf.solve(case.problem, gf.SAV(), case.theta, dt=0.1, t_end=0.5, snapshots=[0, 0.25, 0.5])
    assert [s.time for s in by_times.snapshots] == [0, 0.25, 0.5]
    assert np.array_equal(by_times.snapshots[-1].theta, by_times.theta)
    assert len(by_times.history["time"]) == 7


@pytest.mark.parametrize(
    ("scheme", "order"),
    [(gf.SAV(), 1), (gf.GradientDescent(), 1), (gf.RungeKutta4(), 4), (gf.Relaxed(gf.SAV()), 1)],
    ids=repr,
)
def test_step_doubling_keeps_the_error_in_proportion_to_its_tolerance(scheme, order):
    problem, theta = smooth_problem()
    exact = flow(problem, theta, 2.0)
    errors = []
    for rtol in (1e-3, 1e-5):
        control = gf.ByError(rtol=rtol, dt_max=1.0, order=order)
        run = gf.solve(problem, scheme, theta, dt=control, t_end=2.0, record=["energy", "identity_residual"])
        errors.append(np.linalg.norm(run.theta - exact))
        assert run.history["time"][-1] == 2.0
        assert not np.any(np.abs(run.history["identity_residual"]) > 1e-13)  # NaN where there is no law
    expected = 100 ** (order / (order + 1))  # error per step ~ tol, so h ~ tol^(1/(p+1)) and the error ~ h^p
    assert expected / 3 < errors[0] / errors[1] < expected * 3


def test_a_refused_step_is_no_step():
    """From far up the quartic the first size is far too large: it is refused, and the accepted path does not know of it."""
    control = gf.ByError(rtol=1e-3, dt_init=100.0)
    run = gf.solve(quartic(), gf.GradientDescent(), np.array([3.0]), dt=control, t_end=1.0)
    assert run.rejected > 0
    assert run.status is gf.Status.DONE
    assert len(run.history["step"]) == run.steps + 1
    assert run.theta[0] == pytest.approx(3 / np.sqrt(1 + 18), rel=3e-2)
    assert np.all(np.diff(run.history["energy"]) < 0)


def test_a_controller_that_accepts_nothing_ends_in_a_status():
    class Never(NamedTuple):
        def init(self):
            return None

        def propose(self, control, n):
            return 0.1

        def judge(self, control, attempt):
            return False, control

    run = gf.solve(parabola(), gf.SAV(), np.ones(2), dt=Never(), steps=5)
    assert (run.status, run.steps) == (gf.Status.STAGNATED, 0)
    assert "refused 50 steps in a row" in run.message
    assert run.rejected == 50


def test_the_energy_rate_chooses_the_step():
    control = gf.ByEnergyRate(dt_min=1e-3, dt_max=1.0, alpha=10.0)
    for scheme in (gf.SAV(), gf.GradientDescent()):
        record = ["energy", "modified_energy"]
        run = gf.solve(parabola(), scheme, np.array([5.0]), dt=control, t_end=20.0, record=record)
        h, name = np.diff(run.history["time"]), "modified_energy" if scheme == gf.SAV() else "energy"
        rate = np.diff(run.history[name]) / h
        assert h[0] == pytest.approx(1e-3)
        np.testing.assert_allclose(h[1:-1], np.maximum(1e-3, 1 / np.sqrt(1 + 10 * rate[:-2] ** 2)), rtol=1e-9)


@pytest.mark.parametrize("name", auxiliary_schemes())
def test_by_its_gain_ratio_every_auxiliary_scheme_decreases_the_true_energy(name):
    """From a step size at which the energy rises: each accepted step has E - E_new > accept (D + N)."""
    case, scheme = residual_case(4, 6, 9, scale=3.0), auxiliary_schemes()[name]
    control = gf.ByGainRatio(dt_init=1e3, accept=0.1)
    run = gf.solve(case.problem, scheme, case.theta, dt=control, steps=12, record=["energy", "dissipation"])
    E, noise = run.history["energy"], 64 * np.finfo(float).eps * run.history["energy"][0]
    assert E[-1] < 0.99 * E[0]
    assert np.all(np.diff(E) <= 0)
    assert np.all(-np.diff(E) >= 0.1 * run.history["dissipation"][1:] - noise)


def test_the_gain_ratio_needs_an_auxiliary_variable():
    with pytest.raises(ValueError, match="ByGainRatio needs a scheme with an auxiliary variable"):
        gf.solve(parabola(), gf.GradientDescent(), np.ones(2), dt=gf.ByGainRatio(dt_init=1.0), steps=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "scheme", [gf.Restart(gf.SAV()), gf.Relaxed(gf.SAV()), gf.Restart(gf.IEQ()), gf.MSAV()], ids=repr
)
def test_the_gain_ratio_takes_no_step_uphill(scheme, dtype):
    """A Jacobian of the wrong sign: every step is refused until it no longer moves theta, and a status says so."""
    uphill = gf.DenseLeastSquares(lambda t: 1 * t, lambda t: -np.eye(2, dtype=t.dtype))
    run = gf.solve(uphill, scheme, np.ones(2, dtype), dt=gf.ByGainRatio(dt_init=1.0), steps=20)
    assert run.status is gf.Status.STAGNATED
    assert run.rejected > 3
    assert np.array_equal(run.theta, np.ones(2))


def test_the_gain_ratio_at_a_minimum_stands_still():
    run = gf.solve(parabola(), gf.Restart(gf.SAV()), np.zeros(2), dt=gf.ByGainRatio(dt_init=1.0), steps=30)
    assert (run.status, run.rejected) == (gf.Status.DONE, 0)


def test_a_step_that_a_time_shortens_leaves_the_gain_ratios_size(tmp_path):
    """The end is hit exactly; the size after a shortened step is at least the one proposed before; a stored run continues."""
    problem, theta = smooth_problem()
    how = {"dt": gf.ByGainRatio(dt_init=0.5), "t_end": 20.0, "snapshots": [0.3, 4.0]}
    whole = gf.solve(problem, gf.Restart(gf.IEQ()), theta, **how)
    sizes = np.diff(whole.history["time"])
    assert whole.history["time"][-1] == 20.0
    assert sizes[0] == pytest.approx(0.3)
    assert sizes[1] >= 0.5
    stop = lambda n, state: n == 3  # noqa: E731
    gf.solve(problem, gf.Restart(gf.IEQ()), theta, callback=stop, checkpoint=tmp_path / "run", **how)
    again = gf.solve(problem, gf.Restart(gf.IEQ()), theta, checkpoint=tmp_path / "run", **how)
    assert np.array_equal(again.theta, whole.theta)
    assert again.control == whole.control


def test_control_survives_a_checkpoint(tmp_path):
    problem, theta = smooth_problem()
    how = {"dt": gf.ByError(rtol=1e-4, dt_max=0.5), "t_end": 2.0, "snapshots": [0.5, 1.5]}
    whole = gf.solve(problem, gf.Relaxed(gf.SAV()), theta, **how)
    stop = lambda n, state: n == 9  # noqa: E731
    gf.solve(problem, gf.Relaxed(gf.SAV()), theta, callback=stop, checkpoint=tmp_path / "run", **how)
    again = gf.solve(problem, gf.Relaxed(gf.SAV()), theta, checkpoint=tmp_path / "run", **how)
    assert np.array_equal(again.theta, whole.theta)
    assert (again.rejected, again.steps, again.control) == (whole.rejected, whole.steps, whole.control)
    assert [s.time for s in again.snapshots] == [0.5, 1.5]
    np.testing.assert_array_equal(again.history["time"], whole.history["time"])


def test_an_evaluation_is_handed_on_so_that_relaxation_costs_no_pass():
    """On the full batch relaxed SAV asks for one energy and gradient a step, and for no energy; theta is that of `step`."""
    problem, theta = smooth_problem("energy-part")
    calls = {"gradient": 0, "energy": 0}
    inside = problem.nonlinear_energy_and_gradient, problem.nonlinear_energy

    def counted(name, function):
        def call(*args):
            calls[name] += 1
            return function(*args)

        return call

    problem.nonlinear_energy_and_gradient = counted("gradient", inside[0])
    problem.nonlinear_energy = counted("energy", inside[1])
    scheme = gf.Relaxed(gf.SAV())
    state = scheme.init(problem, theta)
    for _ in range(20):
        state = scheme.step(problem, state, 0.1)
    calls.update(gradient=0, energy=0)
    run = gf.solve(problem, scheme, theta, dt=0.1, steps=20, every=20)
    assert np.array_equal(run.theta, state.theta)
    assert calls["gradient"] == 21
    assert calls["energy"] < 10  # the start, two records


# -- Tolerances ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stop",
    [
        {"gradient": 1e-6}, {"gradient_relative": 1e-6}, {"energy": 1e-12}, {"energy_relative": 1e-3}, {"step": 1e-7},
        {"step_relative": 1e-2},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("scheme", [gf.GradientDescent(), gf.SAV(), gf.Restart(gf.IEQ())], ids=repr)
def test_a_tolerance_that_is_met_ends_the_run(scheme, stop):
    case = affine_case(1, 3, 8)
    run = gf.solve(case.problem, scheme, case.theta, dt=0.02, steps=20_000, stop=gf.Tolerance(**stop))
    assert run.status is gf.Status.CONVERGED
    assert run.check() is run
    E, g = case.problem.energy_and_gradient(run.theta)
    h = run.history
    measured = {
        "gradient": np.linalg.norm(g),
        "gradient_relative": np.linalg.norm(g) / np.linalg.norm(case.problem.energy_and_gradient(case.theta)[1]),
        "energy": abs(h["energy"][-1] - h["energy"][-2]),
        "energy_relative": abs(h["energy"][-1] - h["energy"][-2]) / E,
    }
    ((name, bound),) = stop.items()
    assert measured.get(name, 0.0) <= bound
    short = gf.solve(case.problem, scheme, case.theta, dt=0.02, steps=run.steps - 1, stop=gf.Tolerance(**stop))
    assert short.status is gf.Status.DONE  # one step less, and it is not met


def test_a_collapsed_auxiliary_variable_meets_no_tolerance():
    stiff = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
    problem = gf.FunctionProblem(lambda t: (stiff * t) @ t / 2, lambda t: stiff * t)
    for stop in ({"step": 1e-9}, {"energy": 1e-9}, {"step_relative": 1e-9}, {"energy_relative": 1e-9}):
        run = gf.solve(problem, gf.SAV(C=1.0), np.ones(5), dt=0.8, steps=5000, stop=gf.Tolerance(**stop))
        assert run.status is gf.Status.STAGNATED
        assert run.history["energy"][-1] > 1


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_no_tolerance_is_met_by_what_is_no_number(value):
    """The gradient turns infinite or NaN where the iterate goes; every tolerance is on."""
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t * value if t[0] < 0.5 else t)
    stop = gf.Tolerance(gradient=1e30, gradient_relative=1e-9, energy=1e-30, step=1e-30)
    run = gf.solve(
        problem, gf.GradientDescent(), np.ones(1), dt=0.3, steps=50, stop=gf.Tolerance(gradient_relative=1e-9)
    )
    assert run.status is gf.Status.NONFINITE
    assert (
        stop.met(problem, gf.GradientDescent(), run.state, run.state._replace(theta=np.array([0.4])), 0.3, np.ones(1))
        == ""
    )


# -- What a status says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("big", [True, False], ids=["overflow", "underflow"])
@pytest.mark.parametrize(
    "name",
    [
        n
        for n in REGISTRY
        if n not in ("Restart", "Relaxed", "IEQ", "MSAV", "ImplicitEuler", "AdaptiveIEQ")
        and n not in ("SecondOrder", "NegativeCurvatureDescent", "NewtonCG")
    ],
)
def test_no_run_is_done_without_having_moved(name, big, dtype):
    """E = k |t|^2 / 2 where |g|^2 leaves the range of the dtype: the run moves, or its status is not DONE."""
    k = {("float64", True): 1e200, ("float64", False): 1e-200, ("float32", True): 1e25, ("float32", False): 1e-30}[
        dtype, big
    ]
    problem = gf.FunctionProblem(lambda t: t.dtype.type(k / 2) * (t @ t), lambda t: t.dtype.type(k) * t)
    schemes = [REGISTRY[name]()]
    if isinstance(schemes[0], gf.AuxiliaryScheme):
        schemes += [gf.Restart(schemes[0]), gf.Relaxed(schemes[0])]
    for scheme in schemes:
        for steps in (1, 5, 60):
            run = gf.solve(problem, scheme, np.ones(2, dtype), dt=0.01, steps=steps)
            moved = not np.array_equal(run.theta, np.ones(2, dtype))
            assert moved or run.status is not gf.Status.DONE, (scheme, steps, run.message)
            assert "gradient is zero" not in run.message
            if run.status is gf.Status.DONE:
                assert all(np.isfinite(v[1:]).all() for k, v in run.history.items())


def test_a_minimum_to_rounding_is_done_wherever_the_run_began():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 4, 60)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.02 * rng.standard_normal(60)
    fit = gf.DenseLeastSquares(
        lambda b: b[0] * np.exp(-b[1] * t) + b[2] - y,
        lambda b: np.stack([np.exp(-b[1] * t), -b[0] * t * np.exp(-b[1] * t), np.ones(60)], axis=1),
    )
    for scheme in (gf.Relaxed(gf.IEQ()), gf.Restart(gf.IEQ())):
        run = gf.solve(fit, scheme, np.array([1.0, 1.0, 0.0]), dt=1.0, steps=20_000)
        assert run.status is gf.Status.DONE, run.message
        assert np.linalg.norm(fit.energy_and_gradient(run.theta)[1]) < 1e-6
        again = gf.solve(fit, scheme, run.theta, dt=1.0, steps=500)
        assert again.status is gf.Status.DONE, again.message


def test_standing_still_is_judged_on_the_whole_state():
    """A radius that shrinks while theta waits is progress: a trust region may refuse more steps than the patience."""

    class Waiting(NamedTuple):
        theta: np.ndarray
        radius: np.ndarray

    class Patient:
        records = ("radius",)

        def init(self, problem, theta):
            return Waiting(theta, np.float64(1e6))

        def step(self, problem, state, dt):
            _, g = problem.energy_and_gradient(state.theta)
            if state.radius > 1e-3:
                return state._replace(radius=state.radius / 2)
            return Waiting(state.theta - dt * g, state.radius)

    run = gf.solve(parabola(), Patient(), np.ones(2), dt=0.1, steps=60, record=["energy", "radius"])
    assert (run.status, run.steps) == (gf.Status.DONE, 60)
    assert run.history["energy"][-1] < 1e-2
    assert run.history["radius"][0] == 1e6
    with pytest.raises(ValueError, match=r"a name in record must be one of .* got 'radius'"):
        gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=1, record=["radius"])


def test_a_collapse_within_an_epoch_is_seen_at_once():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 2))
    problem = gf.Regression(gf.TwoLayerNet(2, 20), x, np.sin(x[:, 0]), loss="half_sum")
    run = gf.solve(problem, gf.SAV(C=1e-6), problem.net.init(0), dt=1e6, epochs=3, batch_size=2, seed=0)
    assert run.status is gf.Status.STAGNATED
    assert run.steps < 100  # an epoch has 200


def test_the_lowest_energy_is_kept_and_a_rise_is_said():
    arctan = gf.DenseLeastSquares(lambda t: np.arctan(t), lambda t: np.diag(1 / (1 + t**2)))
    run = gf.solve(arctan, gf.Restart(gf.IEQ()), np.array([2.0]), dt=1e4, steps=8)
    assert "the energy rose from" in run.message
    assert run.best.step == 0
    assert run.best.theta[0] == 2.0
    down = gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=5)
    assert down.warnings == ()
    assert (down.best.step, down.best.energy) == (5, down.history["energy"][-1])
    assert gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=5, record=["gradient_norm"]).best is None


def test_unsolved_steps_are_counted():
    scheme = gf.ImplicitEuler(max_newton=1, tol=1e-14)
    run = gf.solve(
        double_well(), scheme, np.array([0.3, 1.7]), dt=5.0, steps=3, record=["energy", "residual", "converged"]
    )
    assert run.unsolved > 0
    assert f"{run.unsolved} of 3 steps are not solved: the nonlinear system" in run.message
    assert np.sum(run.history["converged"][1:] == 0) == run.unsolved


@pytest.mark.parametrize("name", list(vanilla_schemes()))
def test_diagnostics_at_an_exact_fit_are_numbers(name):
    base = vanilla_schemes()[name]
    problem = gf.DenseLeastSquares(lambda t: t - 1, lambda t: np.eye(2))
    for scheme in (base, gf.Restart(base), gf.Relaxed(base)):
        record = [q for q in QUANTITIES if "eigenvalue" not in q]
        record = [q for q in record if q != "xi0" or isinstance(scheme, gf.Relaxed)]
        h = gf.solve(problem, scheme, np.ones(2), dt=0.1, steps=3, record=record).history
        assert all(np.isfinite(values[1:]).all() for values in h.values())
        assert np.all(h["auxiliary_gap"] <= 1e-15)


# -- Functions that misbehave -------------------------------------------------------------------------------------


def writing(kind):
    """Return a problem, a scheme and more arguments in which one function writes into what it is given."""
    problem, scheme, more = parabola(), gf.SAV(), {}
    if kind == "energy":
        problem = gf.FunctionProblem(lambda t: t.__imul__(2) @ t, lambda t: t.copy())
    elif kind == "gradient":
        problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.__isub__(1))
    elif kind == "record":
        more["record"] = [("x", lambda state: float(state.theta.__imul__(0)[0]))]
    elif kind == "callback":
        more["callback"] = lambda n, state: state.theta.__imul__(0) is None
    elif kind == "scheme":

        class Writing(gf.GradientDescent):
            def step(self, problem, state, dt):
                state.theta[0] = 7.0
                return super().step(problem, state, dt)

        scheme = Writing()
    return problem, scheme, more


@pytest.mark.parametrize("kind", ["energy", "gradient", "record", "callback", "scheme"])
def test_nobody_writes_into_a_state(kind):
    problem, scheme, more = writing(kind)
    start = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"read-only|writ"):
        gf.solve(problem, scheme, start, dt=0.1, steps=3, **more)
    assert np.array_equal(start, [1.0, 2.0])


def test_results_share_no_memory_with_what_was_given():
    start = np.array([1.0, 2.0])
    for steps in (0, 3):
        run = gf.solve(parabola(), gf.SAV(), start, dt=0.1, steps=steps, snapshots=[0])
        for array in (run.theta, run.best.theta, run.snapshots[0].theta):
            assert not np.shares_memory(array, start)
            array += 1  # the caller's own
        assert run.theta is run.state.theta
    assert np.array_equal(start, [1.0, 2.0])


def test_an_exception_of_the_user_keeps_the_run(tmp_path):
    def gradient(t):
        if t[0] < 0.7:
            raise RuntimeError("the model failed")
        return t.copy()

    problem = gf.FunctionProblem(lambda t: t @ t / 2, gradient)
    with pytest.raises(RuntimeError, match="the model failed") as caught:
        gf.solve(problem, gf.GradientDescent(), np.ones(1), dt=0.1, steps=50, checkpoint=tmp_path / "run")
    run = caught.value.solution
    assert f"step {run.steps + 1} of gradflow.solve" in caught.value.__notes__[0]
    assert run.steps == 4
    assert run.theta[0] == pytest.approx(0.9**4)
    healed = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy())
    again = gf.solve(healed, gf.GradientDescent(), np.ones(1), dt=0.1, steps=50, checkpoint=tmp_path / "run")
    assert again.theta[0] == pytest.approx(0.9**50)
    np.testing.assert_array_equal(again.history["step"], np.arange(51))


def test_a_quantity_that_the_scheme_does_not_have_can_be_recorded_and_resumed(tmp_path):
    how = {"dt": 0.1, "record": ["xi0"], "checkpoint": tmp_path / "run"}
    for steps in (3, 6):
        run = gf.solve(parabola(), gf.GradientDescent(), np.ones(2), steps=steps, **how)
    np.testing.assert_array_equal(run.history["step"], np.arange(7))
    assert np.isnan(run.history["xi0"]).all()


@pytest.mark.parametrize("fault", ["dtype", "shape", "complex", "field", "type"])
def test_a_scheme_that_changes_its_state_later_is_refused(fault):
    class Changing(gf.Adam):
        def step(self, problem, state, dt):
            new = super().step(problem, state, dt)
            if new.n < 3:
                return new
            theta = new.theta
            return {
                "dtype": lambda: new._replace(theta=theta.astype(np.float32)),
                "shape": lambda: new._replace(theta=theta[:1]),
                "complex": lambda: new._replace(theta=theta + 0j),
                "field": lambda: new._replace(v=new.v.astype(np.float32)),
                "type": lambda: theta,
            }[fault]()

    with pytest.raises(ValueError, match=r"a step must keep|must return a NamedTuple") as caught:
        gf.solve(parabola(), Changing(), np.ones(2), dt=0.1, steps=5)
    assert caught.value.solution.steps == 2


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (lambda u, v: -(u @ v), "inner must be positive"),
        (lambda u, v: 0 * (u @ v), "inner must be positive"),
        (lambda u, v: np.sum(u) * v[0], "inner must be"),
        (lambda u, v: (u @ v) * 1j, "inner must return a real number"),
        (lambda u, v: u * v, "inner must return"),
        (lambda u, v: (u @ v) * np.nan, "inner must be positive"),
    ],
)
def test_an_inner_product_is_tried_at_the_start(inner, message):
    problem = parabola()
    problem.inner = inner
    with pytest.raises(ValueError, match=message):
        gf.solve(problem, gf.SAV(), np.ones(2), dt=0.1, steps=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t_end": 1.0, "steps": 3}, "exactly one"),
        ({"t_end": 0.0}, "t_end must be a finite number > 0, got 0.0"),
        ({"t_end": float("nan")}, "t_end must be"),
        ({"t_end": True}, "t_end must be"),
        ({"t_end": 1.0, "snapshots": [2.0]}, r"snapshots must lie in \[0, 1\], got 2.0"),
        ({"steps": 3, "snapshots": [4]}, "snapshots must be a whole number from 0 to 3, got 4"),
        ({"steps": 3, "snapshots": [0.5]}, "snapshots must be a whole number"),
        ({"steps": 3, "snapshots": "all"}, "snapshots must be a sequence"),
        ({"steps": 3, "stop": 1e-6}, "stop must be a Tolerance"),
        ({"steps": 3, "on_interrupt": "ignore"}, "on_interrupt must be one of raise, return"),
        ({"steps": 3, "record": [("x", 3)]}, "x in record must be a function of the state, got 3"),
        ({"steps": 3, "record": 5}, "record must be a list"),
        ({"steps": 3, "record": [("x", lambda s: s.theta)]}, "x in record must be a number, got"),
        ({"steps": 3, "record": [("x", lambda s: 1j)]}, "x in record must be a real number"),
        ({"steps": 3, "record": [("x", lambda s: "1")]}, "x in record must be a real number"),
        ({"steps": 3, "dt": gf.ByError}, "dt must be"),
    ],
)
def test_doors(change, message):
    with pytest.raises(ValueError, match=message):
        gf.solve(parabola(), gf.SAV(), np.ones(2), **{"dt": 0.1, **change})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gf.ByError(), "give dt_init or dt_max"),
        (lambda: gf.ByError(rtol=0, dt_max=1.0), "rtol or atol must be > 0"),
        (lambda: gf.ByError(dt_max=1.0, shrink=1.0), "shrink must lie in"),
        (lambda: gf.ByError(dt_max=1.0, grow=1.0), "grow must be"),
        (lambda: gf.ByError(dt_min=2.0, dt_max=1.0), "dt_min and dt_max"),
        (lambda: gf.ByError(dt_max=1.0, order=0), "order must be"),
        (lambda: gf.ByEnergyRate(dt_min=0.0, dt_max=1.0), "dt_min must be"),
        (lambda: gf.ByEnergyRate(dt_min=1.0, dt_max=0.5), "dt_min and dt_max"),
        (lambda: gf.Tolerance(), "a tolerance must be given"),
        (lambda: gf.Tolerance(step=0.0), "step must be"),
        (lambda: gf.Tolerance(gradient=True), "gradient must be"),
    ],
)
def test_doors_of_step_control_and_tolerances(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Held(NamedTuple):
    """A state of somebody else's scheme that holds an array of its own."""

    theta: np.ndarray
    table: np.ndarray


class Holding:
    """Somebody else's scheme: it writes into one array again and again, and keeps a table of the user."""

    def __init__(self, table):
        self.table = table

    def init(self, problem, theta):
        self.out = np.array(theta)
        return Held(self.out, self.table)

    def step(self, problem, state, dt):
        self.out[:] = state.theta - dt * problem.energy_and_gradient(state.theta)[1]
        return Held(self.out, self.table[:])


def bowl():
    return gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t)


def by_flag(a):
    a.setflags(write=True)
    a[...] = 5


def by_owner(a):
    a.base.fill(5)


@pytest.mark.parametrize("write", [by_flag, by_owner])
@pytest.mark.parametrize(
    "scheme", [gf.GradientDescent(), gf.SAV(), gf.Relaxed(gf.IEQ()), gf.Adam(), Holding(np.ones(3))]
)
@pytest.mark.parametrize("where", ["callback", "record"])
def test_a_state_handed_out_cannot_be_made_writable(write, scheme, where):
    problem, start = gf.DenseLeastSquares(lambda t: t - 3, lambda t: np.eye(2)), np.ones(2)
    refused = []

    def spoil(state):
        for a in _arrays(state):
            with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
                write(a)
            refused.append(a)
        return 0.0

    use = {"callback": lambda n, s: spoil(s)} if where == "callback" else {"record": [("spoil", spoil)], "every": 1}
    end = gf.solve(problem, scheme, start, dt=0.1, steps=4, **use)
    assert len(refused) >= 4
    assert np.array_equal(end.theta, gf.solve(problem, scheme, start, dt=0.1, steps=4).theta)
    assert start.flags.writeable
    assert np.array_equal(start, [1.0, 1.0])
    end.theta[:] = 0  # the result is the caller's


def _arrays(state):
    for part in state:
        if isinstance(part, tuple):
            yield from _arrays(part)
        elif isinstance(part, np.ndarray):
            yield part


def test_a_scheme_keeps_its_own_arrays():
    table = np.arange(3.0)
    end = gf.solve(bowl(), Holding(table), np.ones(2), dt=0.1, steps=3)
    assert table.flags.writeable
    assert end.theta == pytest.approx(0.9**3 * np.ones(2))


class Kept(NamedTuple):
    """A state of somebody else's scheme."""

    theta: np.ndarray
    more: object = None


PLAIN_NOT = {
    "masked": lambda a: np.ma.masked_array(a, [1, 0]),
    "an unmasked one": lambda a: np.ma.masked_array(a),
    "a matrix": lambda a: a.view(np.matrix),
    "a record": lambda a: a.view(np.recarray),
    "the masked number": lambda a: np.ma.masked,
}


@pytest.mark.parametrize("wrong", PLAIN_NOT.values(), ids=PLAIN_NOT)
@pytest.mark.parametrize("place", ["theta", "more"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_state_is_made_of_plain_arrays(wrong, place, first):
    class Own:
        def init(self, problem, theta):
            return Kept(theta) if first else self.step(problem, Kept(theta), 0.1)

        def step(self, problem, state, dt):
            return Kept(state.theta * 0.9, (1.0, state.theta))._replace(
                **{place: wrong(state.theta) if place == "theta" else (1.0, wrong(state.theta))}
            )

    with pytest.raises(
        ValueError, match=r"a scheme must return a state of plain arrays, got .* in a Kept|must keep theta's shape"
    ):
        gf.solve(bowl(), Own(), np.ones(2), dt=0.1, steps=3)


def test_theta_that_is_no_array_is_refused():
    class Own:
        def init(self, problem, theta):
            return Kept(theta)

        def step(self, problem, state, dt):
            return Kept([1.0, 2.0])

    with pytest.raises(ValueError, match="a step must keep theta's shape"):
        gf.solve(bowl(), Own(), np.ones(2), dt=0.1, steps=3)


@pytest.mark.parametrize(("scheme", "order"), [(gf.GradientDescent(), 1), (gf.RungeKutta4(), 4)])
@pytest.mark.parametrize("shortage", [0.5, 0.9, 1.5])
def test_the_next_size_is_that_of_the_error_equation(scheme, order, shortage):
    """On t' = -t a step multiplies by the truncated series of e^-h, so that (1) and (2) are known in closed form."""
    factor = lambda h: sum((-h) ** k / math.factorial(k) for k in range(order + 1))  # noqa: E731
    h, start = 0.1, 2.0
    err = 2**order / (2**order - 1) * abs(factor(h) - factor(h / 2) ** 2) * start
    tol = err / shortage
    control = gf.ByError(rtol=0.0, atol=tol, order=order, dt_init=h)
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy())
    old = scheme.init(problem, np.array([start]))
    new = scheme.step(problem, old, h)
    accepted, after = control.judge(control.init(), Attempt(problem, scheme, old, new, h, True))
    assert accepted == (shortage <= 1)
    tol += 4 * np.finfo(float).eps * start
    assert after.dt == pytest.approx(0.9 * (tol / err) ** (1 / (order + 1)) * h, rel=1e-6)


def test_a_gradient_is_compared_with_energy_over_length():
    """A gradient is small if it changes the energy little over the length of theta; the product is never formed."""
    for length in (1e-200, 1e-2, 1e2, 1e200):
        assert _below(0.5 / length, 1.0, length)
        assert not _below(2 / length, 1.0, length)


@pytest.mark.parametrize("size", [1e-200, 1e-100, 1.0, 1e100, 1e200])
def test_a_norm_keeps_its_scale(size):
    """The square of the norm of size (3, 4) may leave the range of float64; the norm is 5 size."""
    with quiet():  # as in `solve`
        found = norm(lambda u, v: u @ v, size * np.array([3.0, 4.0]))
    assert found == pytest.approx(5 * size, rel=1e-14, abs=0)
