"""Faults that runs must survive or report: each by its kind, on other inputs than the ones that showed it first."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import gradflow as gf
from gradflow.energies.linear import Matrix
from gradflow.run.states import same_state, same_vector
from gradflow.run.steps import Attempt, ByError, StepSize
from gradflow.schemes.negative_curvature_descent import CurvatureState
from gradflow.schemes.relaxation import Quadratic, _own_loss, relax, relax_quadratic
from gradflow.schemes.state import AuxState


def parabola(k=1.0, **more):
    return gf.FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t, **more)


SAV_KINDS = [
    gf.SAV(),
    gf.Relaxed(gf.SAV()),
    gf.Restart(gf.SAV()),
    gf.SourceSAV(),
    gf.ElementwiseSAV(),
    gf.AdaptiveIEQ(),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scheme", SAV_KINDS, ids=repr)
def test_an_overflow_of_the_squared_gradient_is_no_step(scheme, dtype):
    """The gradient is finite and its square is not, after theta has moved: the auxiliary variable is not merely 0."""
    steep = {"float64": 1e170, "float32": 1e25}[dtype]

    def gradient(t):
        return np.full(1, -1.0 if t[0] <= 1 else steep, dtype)

    problem = gf.FunctionProblem(lambda t: t.dtype.type(1.0 if t[0] <= 1 else 0.5), gradient)
    run = gf.solve(problem, scheme, np.ones(1, dtype), dt=0.1, steps=4)
    assert run.status is gf.Status.NONFINITE
    assert run.theta[0] > 1


@pytest.mark.parametrize("record", [["energy"], [], ["gradient_norm"]])
@pytest.mark.parametrize("stop", [None, gf.Tolerance(gradient=1e-6), gf.Tolerance(step=1e-6)], ids=repr)
@pytest.mark.parametrize("every", [1, 1000])
def test_an_infinite_energy_ends_no_run_well(record, stop, every):
    problem = gf.FunctionProblem(
        lambda t: float(t[0]) if t[0] > 0 else np.inf, lambda t: np.ones(1) if t[0] > 0.5 else np.full(1, 1e-20)
    )
    how = {"dt": 2.0, "steps": 60, "record": record, "stop": stop, "every": every}
    run = gf.solve(problem, gf.GradientDescent(), np.ones(1), **how)
    assert run.status is gf.Status.NONFINITE
    if record == ["energy"]:
        assert np.isfinite(run.history["energy"]).all()
        assert np.isfinite(problem.energy(run.theta))
        assert run.history["step"][-1] == run.steps


def test_a_step_that_is_short_says_nothing_about_convergence():
    slope = gf.FunctionProblem(lambda t: 1e-2 * t[0], lambda t: np.array([1e-2]))
    stop = gf.Tolerance(energy=1e-9, step=1e-9)
    for how in (
        {"dt": 0.1, "t_end": 1.0, "snapshots": [0.30001]},
        {"dt": gf.ByError(rtol=1e-3, dt_init=1e-9), "t_end": 1.0},
        {"dt": gf.ByEnergyRate(dt_min=1e-9, dt_max=0.1), "t_end": 1.0},
    ):
        run = gf.solve(slope, gf.GradientDescent(), np.ones(1), stop=stop, **how)
        assert run.status is gf.Status.DONE, run.message
        assert run.history["time"][-1] == 1.0


def test_rounding_of_the_time_adds_no_step():
    for dt, steps in ((0.1, 20_000), (0.001, 50_000)):
        run = gf.solve(parabola(1e-3), gf.GradientDescent(), np.ones(1), dt=dt, t_end=dt * steps, every=steps)
        assert run.steps == steps


def test_convergence_is_not_an_underflow():
    small = gf.solve(parabola(), gf.GradientDescent(), np.full(1, 1e-170), dt=1e-20, steps=60)
    assert small.status is gf.Status.STAGNATED
    start, stop = np.full(1, 1e-23, np.float32), gf.Tolerance(energy_relative=1e-6)
    assert gf.solve(parabola(), gf.GradientDescent(), start, dt=0.01, steps=60, stop=stop).status is gf.Status.DONE
    flat = gf.FunctionProblem(lambda t: 1e12 + t @ t / 2, lambda t: t.copy())
    run = gf.solve(flat, gf.GradientDescent(), np.ones(1), dt=1e-6, steps=5, stop=gf.Tolerance(energy=1e-8))
    assert run.status is gf.Status.DONE  # the change is below the rounding of E, which is not below 1e-8


def test_a_tiny_step_makes_nothing_stationary():
    offset = gf.FunctionProblem(lambda t: 1e6 + t @ t / 2, lambda t: t.copy())
    assert gf.solve(offset, gf.GradientDescent(), np.array([0.1]), dt=1e-17, steps=100).status is gf.Status.STAGNATED
    k = np.array([1e8, 1.0], np.float32)
    stiff = gf.FunctionProblem(lambda t: (k * t) @ t / np.float32(2), lambda t: k * t)
    run = gf.solve(stiff, gf.GradientDescent(), np.ones(2, np.float32), dt=0.9e-8, steps=1000)
    assert run.status is gf.Status.STAGNATED


def test_an_exact_fit_is_a_stationary_point():
    rng = np.random.default_rng(0)
    for scheme, dt in ((gf.IEQ(), 1.0), (gf.SAV(C=1.0), 0.05), (gf.Relaxed(gf.SAV(C=1.0)), 0.05)):
        for _ in range(5):
            A, x = rng.standard_normal((8, 5)), rng.standard_normal(5)
            fit = gf.DenseLeastSquares(lambda t, A=A, b=A @ x: A @ t - b, lambda t, A=A: A)
            run = gf.solve(fit, scheme, np.zeros(5), dt=dt, steps=8000, every=8000)
            assert run.status is gf.Status.DONE, run.message


def test_time_is_finite():
    run = gf.solve(parabola(1e-310), gf.GradientDescent(), np.ones(1), dt=1.5e308, steps=2)
    assert run.status is gf.Status.NONFINITE
    assert np.isfinite(run.history["time"]).all()


# -- Resumed runs -------------------------------------------------------------------------------------------------


def test_a_resumed_run_stands_still_as_long_as_a_whole_one(tmp_path):
    for steps, cut in ((8, 5), (200, 5), (200, 8)):
        how = {"dt": 0.1, "steps": steps}
        whole = gf.solve(parabola(1e-30), gf.GradientDescent(), np.ones(2), **how)
        path = tmp_path / f"{steps}-{cut}"
        gf.solve(
            parabola(1e-30),
            gf.GradientDescent(),
            np.ones(2),
            checkpoint=path,
            callback=lambda n, s, m=cut: n == m,
            **how,
        )
        again = gf.solve(parabola(1e-30), gf.GradientDescent(), np.ones(2), checkpoint=path, **how)
        assert (again.status, again.steps) == (whole.status, whole.steps)


def test_the_same_call_on_a_finished_run_changes_nothing(tmp_path):
    how = {"dt": 1e-3, "steps": 7, "every": 3, "record": ["energy", "identity_residual"], "checkpoint": tmp_path / "a"}
    first = gf.solve(parabola(), gf.SAV(), np.ones(2), **how)
    data = (tmp_path / "a.npz").read_bytes()
    again = gf.solve(parabola(), gf.SAV(), np.ones(2), **how)
    np.testing.assert_array_equal(first.history["identity_residual"], again.history["identity_residual"])
    assert (tmp_path / "a.npz").read_bytes() == data


def test_a_schedule_is_compared_in_all_its_steps(tmp_path):
    one, other = (lambda n: 0.1 if n < 20 else 0.2), (lambda n: 0.1 if n < 10 or 20 <= n < 30 else 0.2)
    for how in ({"steps": 40}, {"t_end": 5.0}):
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        gf.solve(parabola(), gf.SAV(), np.ones(2), dt=one, checkpoint=path, callback=lambda n, s: n == 30, **how)
        with pytest.raises(ValueError, match="dt differs"):
            gf.solve(parabola(), gf.SAV(), np.ones(2), dt=other, checkpoint=path, **how)
        assert gf.solve(parabola(), gf.SAV(), np.ones(2), dt=one, checkpoint=path, **how).status is gf.Status.DONE
    sizes = [0.1, 0.2, 0.3]  # as long as the run, and no longer
    gf.solve(parabola(), gf.SAV(), np.ones(2), dt=lambda n: sizes[n], steps=3, checkpoint=tmp_path / "list")


class OwnState(NamedTuple):
    theta: np.ndarray


class OwnScheme:
    def __init__(self, gain=1.0, buffer=False):
        self.gain, self.out = gain, np.empty(2) if buffer else None

    def init(self, problem, theta):
        return OwnState(theta)

    def step(self, problem, state, dt):
        new = state.theta - dt * self.gain * problem.energy_and_gradient(state.theta)[1]
        if self.out is not None:
            self.out[:] = new
            new = self.out
        return OwnState(new)


class OwnSteps:
    def __init__(self, h):
        self.h = h

    def init(self):
        return None

    def propose(self, control, n):
        return self.h

    def judge(self, control, attempt):
        return True, None


def test_objects_of_the_user_are_compared_by_what_they_do(tmp_path):
    def operator(c):
        return gf.SAV(stabilization=gf.Operator(lambda u: c * u, lambda u, dt: u / (1 + c * dt)))

    for k, make in enumerate(
        (
            lambda c: (OwnScheme(c), 0.1),
            lambda c: (operator(c), 0.1),
            lambda c: (OwnScheme(), OwnSteps(0.1 * c)),
            lambda c: (gf.SAV(), OwnSteps(0.1 * c)),
        )
    ):
        for c, refused in ((1.0, False), (1.0, False), (3.0, True)):
            scheme, dt = make(c)
            call = lambda s=scheme, h=dt, k=k: gf.solve(  # noqa: E731
                parabola(), s, np.ones(2), dt=h, steps=9, checkpoint=tmp_path / str(k), callback=lambda n, s: n == 5
            )
            if refused:
                with pytest.raises(ValueError, match="other settings"):
                    call()
            else:
                call()


# -- Objects of the user ------------------------------------------------------------------------------------------


def test_a_scheme_may_use_its_arrays_again():
    plain = gf.solve(parabola(), OwnScheme(), np.ones(2), dt=0.1, steps=30)
    again = gf.solve(parabola(), OwnScheme(buffer=True), np.ones(2), dt=0.1, steps=30)
    assert np.array_equal(plain.theta, again.theta)
    assert np.array_equal(plain.best.theta, again.best.theta)
    control = gf.ByError(rtol=1e-3, dt_init=1.0)
    ends = [gf.solve(parabola(), OwnScheme(buffer=b), np.ones(2), dt=control, t_end=1.0).theta for b in (False, True)]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-14)


class OwnProblem:
    """Returns one array for all its gradients."""

    def __init__(self):
        self.out = np.empty(2)

    def inner(self, u, v):
        return u @ v

    def energy(self, theta):
        return theta @ theta / 2

    def energy_and_gradient(self, theta):
        self.out[:] = theta
        return theta @ theta / 2, self.out


def test_a_problem_may_use_its_arrays_again():
    control = gf.ByError(rtol=1e-3, dt_init=0.5)
    for scheme in (gf.Relaxed(gf.SAV()), gf.SAV(), gf.HeavyBall()):
        ends = [gf.solve(p, scheme, np.array([1.0, 2.0]), dt=control, t_end=2.0) for p in (OwnProblem(), parabola())]
        assert np.array_equal(ends[0].theta, ends[1].theta)


@pytest.mark.parametrize("size", [-0.1, 0.0, True, np.nan, np.inf, "0.1", None, np.ones(1), 1j])
def test_the_sizes_of_a_controller_are_checked(size):
    with pytest.raises(ValueError, match="the step size of the controller must be"):
        gf.solve(parabola(), gf.SAV(), np.ones(2), dt=OwnSteps(size), steps=3)
    for good in (np.float64(0.1), np.float32(0.1)):
        run = gf.solve(parabola(), gf.SAV(), np.ones(2, np.float32), dt=OwnSteps(good), steps=3)
        assert run.theta.dtype == np.float32


@pytest.mark.parametrize("verdict", [None, True, (True,), (1, None), (np.ones(2), None), "yes"])
def test_the_verdict_of_a_controller_is_checked(verdict):
    class Judging(OwnSteps):
        def judge(self, control, attempt):
            return verdict

    with pytest.raises(ValueError, match="judge of the controller must return a Verdict"):
        gf.solve(parabola(), gf.SAV(), np.ones(2), dt=Judging(0.1), steps=3)


def test_a_controller_cannot_write_into_the_new_state():
    class Writing(OwnSteps):
        def judge(self, control, attempt):
            attempt.new.theta[:] = 9
            return True, None

    with pytest.raises(ValueError, match="read-only"):
        gf.solve(parabola(), gf.SAV(), np.ones(2), dt=Writing(0.1), steps=3)


def test_a_callback_returns_a_truth_value():
    with pytest.raises(ValueError, match="callback must return a truth value"):
        gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=3, callback=lambda n, s: s.theta > 0)
    for answer, steps in ((np.True_, 1), (np.array(True), 1), (None, 3), (0, 3), ("stop", 1)):
        run = gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=3, callback=lambda n, s, a=answer: a)
        assert run.steps == steps


@dataclass(frozen=True)
class FrozenError(Exception):
    """Takes neither notes nor attributes."""

    text: str = "frozen"


@pytest.mark.parametrize("kind", [SystemExit, FrozenError, GeneratorExit, MemoryError])
def test_no_exception_costs_the_run(kind, tmp_path):
    def callback(n, state):
        if n == 3:
            raise kind()

    how = {"dt": 0.1, "steps": 9, "checkpoint": tmp_path / "run"}
    with pytest.raises(kind) as caught:
        gf.solve(parabola(), gf.SAV(), np.ones(2), callback=callback, **how)
    assert gf.Solution.load(tmp_path / "run").steps == 3
    if kind is not FrozenError:
        assert caught.value.solution.steps == 3
        assert "in the callback after step 3" in caught.value.__notes__[0]
    again = gf.solve(parabola(), gf.SAV(), np.ones(2), **how)
    assert np.array_equal(again.theta, gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=9).theta)


def test_refused_steps_are_counted_once(tmp_path):
    calls = [0]

    def energy(t):
        calls[0] += 1
        if calls[0] == 40:
            raise KeyboardInterrupt
        return (t @ t) ** 2 / 4

    problem = gf.FunctionProblem(energy, lambda t: (t @ t) * t)
    how = {"dt": gf.ByError(rtol=1e-3, dt_init=100.0), "t_end": 1.0}
    whole = gf.solve(problem, gf.SAV(), np.array([3.0]), on_interrupt="return", checkpoint=tmp_path / "run", **how)
    assert whole.status is gf.Status.STOPPED
    calls[0] = 41
    again = gf.solve(problem, gf.SAV(), np.array([3.0]), checkpoint=tmp_path / "run", **how)
    calls[0] = 41
    assert again.rejected == gf.solve(problem, gf.SAV(), np.array([3.0]), **how).rejected


# -- What the laws do not see -------------------------------------------------------------------------------------


def test_relaxation_about_a_centre_in_the_swapped_orientation():
    c, q, h, B = np.float64(1.0), np.float64(3.0), np.float64(2.0), 0.5
    found = relax(Quadratic(2.0, c), q, q, h, lambda: np.float64(B), eta=1.0, orientation="swapped")
    wanted = relax_quadratic(q - c, h - c, np.float64(B / 2), orientation="swapped")
    assert (found.aux, found.xi0) == (wanted.aux + c, wanted.xi0)
    assert found.xi0 > 0


@pytest.mark.parametrize("x", [0.9, 5.0, 29.0, 31.0, 800.0])
@pytest.mark.parametrize("eta", [0.5, 1e-10, 1e-14])
def test_the_budget_of_the_own_loss_keeps_its_digits(x, eta):
    import mpmath

    with mpmath.workdps(60):
        wanted = mpmath.log(1 + mpmath.mpf(eta) * mpmath.expm1(x))
    assert float(_own_loss(np.float64(x), eta)) == pytest.approx(float(wanted), rel=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_relaxed_vector_keeps_its_bound_however_long_its_definition_is(dtype):
    rng = np.random.default_rng(0)
    eps = np.finfo(dtype).eps
    for size in (1e1, 1e3, 1e6):
        for slack in (0.0, 0.3):
            q, h = rng.standard_normal(7).astype(dtype), (size * rng.standard_normal(7)).astype(dtype)
            aux, xi0 = relax_quadratic(q, h, np.dtype(dtype).type(slack))
            assert 0 < xi0 <= 1
            assert np.sum(aux.astype(float) ** 2) <= (np.sum(q.astype(float) ** 2) + slack) * (1 + 8 * eps)


def test_sums_of_matrices_are_those_of_their_terms():
    A, B, C = Matrix(np.eye(2)), Matrix(2 * np.eye(2)), Matrix(5 * np.eye(2))
    assert [(A + other).A[0, 0] for other in (B, C, B)] == [3, 6, 3]
    V = np.random.default_rng(0).standard_normal((6, 2))
    x = Matrix(V @ V.T).solve_shifted(np.ones(6), 1e16)
    assert np.linalg.norm(x) <= np.linalg.norm(np.ones(6)) * (1 + 1e-9)


def test_the_error_of_a_step_is_that_of_the_long_one():
    """Gradient descent on t^2 / 2: the step of size h and the two of h / 2 differ by h^2 / 4, and the error is twice that."""
    problem, scheme, h = parabola(), gf.GradientDescent(), 0.1
    state = scheme.init(problem, np.ones(1))
    attempt = Attempt(problem, scheme, state, scheme.step(problem, state, h), h, True)
    for rtol, accepted in ((0.9 * h * h / 2, False), (1.1 * h * h / 2, True)):
        assert ByError(rtol=rtol, dt_init=h).judge(StepSize(h), attempt).accepted is accepted
    # the tolerance is relative to the longer of both ends, and a shortened step does not shorten the next
    assert ByError(rtol=1.0, dt_init=1.0).judge(StepSize(1.0), attempt).control.dt >= 1.0


def test_states_are_compared_in_all_that_matters():
    state = AuxState(np.arange(40.0), np.float64(1.0))
    other = state._replace(aux=np.float64(2.0))
    assert same_state(gf.Restart(gf.SAV()), state, other)
    assert not same_state(gf.SAV(), state, other)
    one = CurvatureState(state.theta, 5, np.float64(0.0), np.float64(0.0), 5)  # holds the object 5 twice
    assert same_state(gf.NegativeCurvatureDescent(), one, one._replace(n=6))
    assert not same_state(gf.NegativeCurvatureDescent(), one, one._replace(n=6, promised=np.float64(1.0)))
    moved = state.theta.copy()
    moved[30] = 7.0
    assert not same_vector(state.theta, moved)


def test_batches_that_move_nothing_end_no_run():
    """20 batches an epoch, of which 12 have no gradient: a standstill is one of a whole epoch."""

    class Gaps(gf.FunctionProblem):
        n_samples = 20

        def __init__(self, row=None):
            still = row is not None and row % 20 < 12
            super().__init__(lambda t: t @ t / 2, lambda t: 0 * t if still else t.copy())

        def batch(self, rows):
            return Gaps(int(rows[0]))

    run = gf.solve(Gaps(), gf.GradientDescent(), np.ones(1), dt=0.01, epochs=10, batch_size=1, seed=0)
    assert (run.status, run.steps) == (gf.Status.DONE, 200)
