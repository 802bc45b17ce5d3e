"""The loop: what it records, how it ends, that runs can be repeated, resumed and read back."""

import json

import numpy as np
import pytest

import gradflow as gf
from cases import affine_case, residual_case
from gradflow.run.history import QUANTITIES
from gradflow.schemes.protocols import scheme_ability


def small_network(dtype="float64", n=24, **kwargs):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)).astype(dtype)
    y = np.sin(x.sum(axis=1)).astype(dtype)
    net = gf.TwoLayerNet(3, 10)
    return gf.Regression(net, x, y, **kwargs), net.init(1, dtype=dtype)


def parabola(k=1.0):
    return gf.FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t)


def test_a_run_is_the_same_as_stepping_by_hand():
    case = residual_case(0, 6, 4)
    scheme = gf.Relaxed(gf.SAV())
    solution = gf.solve(case.problem, scheme, case.theta, dt=0.1, steps=7)
    state = scheme.init(case.problem, case.theta)
    for _ in range(7):
        state = scheme.step(case.problem, state, 0.1)
    assert np.array_equal(solution.theta, state.theta)
    assert solution.status is gf.Status.DONE
    assert solution.check() is solution
    np.testing.assert_allclose(solution.history["time"], 0.1 * np.arange(8), rtol=1e-14)
    assert solution.history["energy"][-1] == case.problem.energy(state.theta)


def test_variable_steps_and_every():
    case = residual_case(0, 6, 4)
    solution = gf.solve(case.problem, gf.SAV(), case.theta, dt=lambda n: 0.1 * (n + 1), steps=7, every=3)
    np.testing.assert_array_equal(solution.history["step"], [0, 3, 6, 7])
    np.testing.assert_allclose(solution.history["time"], [0, 0.6, 2.1, 2.8])


def test_every_quantity_is_recorded_and_the_identity_holds_along_the_run():
    problem, theta = small_network(weight_decay=0.1)
    for scheme in (
        gf.SAV(),
        gf.Relaxed(gf.SAV()),
        gf.Restart(gf.SAV()),
        gf.IEQ(),
        gf.Relaxed(gf.IEQ()),
        gf.ExpSAV(form="explicit"),
    ):
        for batch_size in (None, 8):
            mine = ("first", lambda state: state.theta[0])
            solution = gf.solve(
                problem,
                scheme,
                theta,
                dt=0.5,
                epochs=3,
                batch_size=batch_size,
                seed=0,
                record=[*QUANTITIES, mine],
                every=1,
            )
            h = solution.history
            assert set(h) == {*QUANTITIES, "first", "step", "epoch", "time"}
            assert h["first"][-1] == solution.theta[0]
            assert np.all(h["dissipation"][1:] >= 0)
            assert np.all(np.abs(h["identity_residual"][1:]) <= 1e-13)
            if isinstance(scheme, gf.Relaxed):
                assert np.all((h["xi0"] >= 0) & (h["xi0"] <= 1))


def test_mini_batches_are_repeatable_drop_the_rest_and_depend_on_the_seed():
    problem, theta = small_network(n=25)
    run = lambda seed: gf.solve(problem, gf.SAV(), theta, dt=0.1, epochs=2, batch_size=8, seed=seed)  # noqa: E731
    a, b, c = run(1), run(1), run(2)
    assert a.steps == 2 * (25 // 8)
    assert np.array_equal(a.theta, b.theta)
    assert not np.array_equal(a.theta, c.theta)
    drawn = gf.solve(problem, gf.SAV(), theta, dt=0.1, epochs=2, batch_size=8)
    assert np.array_equal(run(drawn.config["seed"]).theta, drawn.theta)


@pytest.mark.parametrize(("N", "dt", "seed"), [(4, 9.0, 0), (16, 0.5, 1), (3, 100.0, 2)])
def test_vanilla_ieq_on_mini_batches_goes_where_the_docstring_says(N, dt, seed):
    """N copies of q_i = theta in batches of one, from 1: theta = 1 - N (1 - (1 + dt)^-k) after k epochs in any order."""

    class Copies(gf.DenseLeastSquares):
        n_samples = N

        def __init__(self, rows=None):
            self.rows = np.arange(N) if rows is None else rows
            n = len(self.rows)
            super().__init__(lambda t: np.repeat(t, n), lambda t: np.ones((n, 1)))

        def batch(self, rows):
            return Copies(rows)

        def gather(self, q):
            return q[self.rows]

        def scatter(self, q, part):
            q = q.copy()
            q[self.rows] = part
            return q

    how = {"dt": dt, "epochs": 60, "batch_size": 1, "seed": seed, "every": N}
    record = ["energy", "modified_energy", ("theta", lambda state: state.theta[0])]
    solution = gf.solve(Copies(), gf.IEQ(), np.ones(1), record=record, **how)
    k = solution.history["epoch"]
    np.testing.assert_allclose(solution.history["theta"], 1 - N * (1 - (1 + dt) ** -k), rtol=0, atol=1e-12 * N)
    assert solution.history["modified_energy"][-1] < 1e-20
    assert solution.history["energy"][-1] == pytest.approx((N - 1) ** 2 * solution.history["energy"][0])
    restarted = gf.solve(Copies(), gf.Restart(gf.IEQ()), np.ones(1), **how)
    assert abs(restarted.theta[0]) < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_a_status_and_keeps_the_last_finite_state(dtype):
    case = residual_case(0, 4, 4, dtype=dtype)
    problem = gf.FunctionProblem(lambda t: (t @ t) ** 2, lambda t: 4 * (t @ t) * t)
    solution = gf.solve(problem, gf.GradientDescent(), case.theta, dt=10.0, steps=100)
    assert solution.status is gf.Status.NONFINITE
    assert solution.steps < 20
    assert np.all(np.isfinite(solution.theta))
    assert solution.theta.dtype == dtype
    with pytest.raises(RuntimeError, match="nonfinite after"):
        solution.check()


@pytest.mark.parametrize(
    "scheme", [gf.SAV(C=1.0), gf.Relaxed(gf.SAV(C=1.0)), gf.Restart(gf.SAV(C=1.0)), gf.ElementwiseSAV()]
)
def test_an_energy_that_falls_below_minus_c_is_inadmissible(scheme):
    slope = gf.FunctionProblem(lambda t: t.sum(), lambda t: np.ones_like(t))
    solution = gf.solve(slope, scheme, np.zeros(2), dt=0.3, steps=1000)
    assert solution.status is gf.Status.INADMISSIBLE
    assert np.all(np.isfinite(solution.theta))
    with pytest.raises(ValueError, match=r"C must satisfy F\(theta\) \+ C > 0"):
        gf.solve(slope, scheme, -np.ones(2), dt=0.3, steps=1)


def test_a_collapsed_auxiliary_variable_is_stagnation_and_a_minimum_is_not():
    stiff = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
    problem = gf.FunctionProblem(lambda t: (stiff * t) @ t / 2, lambda t: stiff * t)
    collapsed = gf.solve(problem, gf.SAV(C=1.0), np.ones(5), dt=0.8, steps=100_000)
    assert collapsed.status is gf.Status.STAGNATED
    assert collapsed.history["energy"][-1] > 1
    assert "gradient has norm" in collapsed.message
    at_minimum = gf.solve(problem, gf.SAV(C=1.0), np.zeros(5), dt=0.8, steps=1000)
    assert at_minimum.status is gf.Status.DONE
    assert at_minimum.steps < 20
    assert "stationary" in at_minimum.message


def test_callback_and_keyboard_stop_a_run():
    stop = gf.solve(parabola(), gf.SAV(), np.ones(2), dt=0.1, steps=50, callback=lambda n, state: n == 5)
    assert (stop.status, stop.steps) == (gf.Status.STOPPED, 5)
    assert stop.history["step"][-1] == 5

    def press(n, state):
        if n == 3:
            raise KeyboardInterrupt

    run = {"dt": 0.1, "steps": 50, "callback": press}
    interrupted = gf.solve(parabola(), gf.SAV(), np.ones(2), on_interrupt="return", **run)
    assert (interrupted.status, interrupted.steps) == (gf.Status.STOPPED, 3)
    with pytest.raises(KeyboardInterrupt) as caught:  # one Ctrl-C ends a sweep
        gf.solve(parabola(), gf.SAV(), np.ones(2), **run)
    assert np.array_equal(caught.value.solution.theta, interrupted.theta)


@pytest.mark.parametrize(
    "scheme",
    [gf.SAV(), gf.Relaxed(gf.AdaptiveSAV()), gf.IEQ(), gf.Adam(), gf.Relaxed(gf.IEQ()), gf.HeavyBall()],
    ids=repr,
)
def test_checkpoints_resume_to_the_same_bits(tmp_path, scheme):
    problem, theta = small_network()
    settings = {"dt": 0.05, "batch_size": 5, "seed": 3, "every": 2}
    whole = gf.solve(problem, scheme, theta, epochs=6, **settings)
    path = tmp_path / "run"
    gf.solve(problem, scheme, theta, steps=11, checkpoint=path, **settings)
    resumed = gf.solve(problem, scheme, theta, epochs=6, checkpoint=path, **settings)
    assert np.array_equal(resumed.theta, whole.theta)
    for name in whole.history:
        common = np.isin(resumed.history["step"], whole.history["step"])
        np.testing.assert_array_equal(resumed.history[name][common], whole.history[name])
    with pytest.raises(ValueError, match="other settings"):
        gf.solve(problem, scheme, theta, epochs=6, checkpoint=path, **{**settings, "dt": 0.1})
    with pytest.raises(ValueError, match="more than the 3 asked for"):
        gf.solve(problem, scheme, theta, steps=3, checkpoint=path, **settings)
    other = gf.Regression(problem.net, problem.x, problem.y + 1e-9)
    with pytest.raises(ValueError, match=r"other settings \(problem differ"):
        gf.solve(other, scheme, theta, epochs=6, checkpoint=path, **settings)


def test_save_and_load_without_pickle(tmp_path):
    problem, theta = small_network("float32")
    solution = gf.solve(problem, gf.Relaxed(gf.AdaptiveSAV()), theta, dt=0.05, epochs=2, batch_size=8, seed=0)
    path = solution.save(tmp_path / "sub" / "run")
    assert path == tmp_path / "sub" / "run.npz"
    again = gf.Solution.load(tmp_path / "sub" / "run")
    assert type(again.state) is type(solution.state)
    assert type(again.state.base) is type(solution.state.base)
    plain = gf.solve(problem, gf.SAV(), theta, dt=0.05, steps=1)
    assert isinstance(gf.Solution.load(plain.save(tmp_path / "plain")).state, gf.AuxState)
    assert again.theta.dtype == np.float32
    assert np.array_equal(again.theta, solution.theta)
    assert again.state.base.n == solution.state.base.n
    assert again.status is solution.status
    assert again.config == json.loads(json.dumps(solution.config))
    for key in ("loss", "time_scale", "scaling"):
        assert key in again.config["problem"]
    assert again.config["versions"]["numpy"] == np.__version__
    (tmp_path / "bad.npz").write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="format"):
        gf.Solution.load(tmp_path / "bad")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta0": np.ones((2, 2))}, r"theta0 must have shape \(P,\), P >= 1; got \(2, 2\)"),
        ({"theta0": np.array([1.0, np.nan])}, "theta0 must have finite entries"),
        ({"theta0": np.array([1, 2])}, "theta0 must be float32 or float64, got int64"),
        ({"dt": 0.0}, "dt must be a finite number > 0, got 0.0"),
        ({"dt": -1.0}, "dt must be"),
        ({"dt": float("inf")}, "dt must be"),
        ({"dt": "big"}, "dt must be"),
        ({"steps": None}, "exactly one"),
        ({"epochs": 3}, "exactly one"),
        ({"steps": -1}, "steps must be a whole number >= 0, got -1"),
        ({"batch_size": 5}, "batch_size needs a problem with n_samples"),
        ({"record": ["speed"]}, "a name in record must be one of energy.*got 'speed'"),
        ({"record": ["energy", "energy"]}, "twice"),
        ({"every": 0}, "every must be"),
        ({"record": "energy"}, "record must be a list"),
        ({"callback": 3}, "callback must be a function"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"scheme": gf.SAV}, "scheme must be an instance"),
        ({"problem": gf.SAV()}, "problem must be an instance"),
        ({"theta0": np.ones(2, dtype=np.float16)}, "theta0 must be float32 or float64, got float16"),
        ({"scheme": gf.SAV(stabilization=gf.Diagonal(np.ones(1)))}, r"stabilization must have theta's shape \(2,\)"),
        ({"scheme": gf.Restart(gf.SAV(stabilization=gf.Diagonal(np.ones(2, np.float32))))}, "dtype float64, got"),
        ({"problem": gf.FunctionProblem(lambda t: np.nan, lambda t: t)}, "energy at theta0 must be finite, got nan"),
        ({"threads": 0}, "threads must be a whole number >= 1, got 0"),
        ({"scheme": gf.IEQ()}, "least-squares problem"),
    ],
)
def test_doors(change, message):
    arguments = {
        "problem": parabola(),
        "scheme": gf.SAV(),
        "theta0": np.ones(2),
        "dt": 0.1,
        "steps": 2,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        gf.solve(arguments.pop("problem"), arguments.pop("scheme"), arguments.pop("theta0"), **arguments)


def test_numpy_numbers_are_numbers_and_promote_nothing():
    problem, theta = small_network("float32")
    scheme = gf.Relaxed(gf.SAV(C=np.float64(1.0), stabilization=np.float64(0.5)), eta=np.float64(0.9))
    run = gf.solve(
        problem, scheme, theta, dt=np.float64(0.1), epochs=np.int64(2), batch_size=np.int64(8), seed=np.int64(1)
    )
    assert run.theta.dtype == np.float32
    assert run.state.aux.dtype == np.float32
    again = gf.solve(
        problem, gf.Relaxed(gf.SAV(C=1.0, stabilization=0.5), eta=0.9), theta, dt=0.1, epochs=2, batch_size=8, seed=1
    )
    assert np.array_equal(run.theta, again.theta)


def test_an_inner_product_of_higher_precision_promotes_nothing():
    wide = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, inner=lambda u, v: np.float64(u @ v))
    assert gf.solve(wide, gf.SAV(), np.ones(2, dtype=np.float32), dt=0.1, steps=2).theta.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gradient_that_turns_nan_is_a_status_for_every_scheme(dtype):
    def gradient(t):
        return t * t.dtype.type(np.nan) if t[1] < 1.5 else t

    problem = gf.FunctionProblem(lambda t: t @ t / 2, gradient)
    for name in ("SAV", "SourceSAV", "ExpSAV", "ElementwiseSAV", "AdaptiveIEQ"):
        base = getattr(gf, name)()
        schemes = [base, gf.Restart(base), gf.Relaxed(base)]
        if name != "ExpSAV":
            schemes.append(gf.Relaxed(base, budget="numerical"))
        for scheme in schemes:
            run = gf.solve(problem, scheme, np.array([0.1, 2.0], dtype=dtype), dt=0.1, steps=50)
            assert run.status is gf.Status.NONFINITE
            assert np.all(np.isfinite(run.theta))


def test_an_infinite_energy_is_not_done():
    quartic = gf.FunctionProblem(lambda t: (t @ t) ** 2 / 4, lambda t: (t @ t) * t)
    for record in (["energy"], ["gradient_norm"]):
        run = gf.solve(quartic, gf.GradientDescent(), np.array([3.0, 3.0]), dt=10.0, steps=5, record=record)
        assert run.status is gf.Status.NONFINITE


def test_convergence_to_rounding_is_done_and_a_step_too_small_is_not():
    case = affine_case(3, 3, 12)
    run = gf.solve(case.problem, gf.Restart(gf.IEQ()), case.theta, dt=10.0, steps=5000)
    assert run.status is gf.Status.DONE
    assert run.steps < 5000
    assert "stationary" in run.message
    tiny = gf.solve(case.problem, gf.Restart(gf.IEQ()), case.theta, dt=1e-25, steps=5000)
    assert tiny.status is gf.Status.STAGNATED


def test_a_checkpoint_of_another_problem_or_a_damaged_one_is_refused(tmp_path):
    path, start = tmp_path / "run", np.array([1.0, 2.0])
    gf.solve(parabola(1.0), gf.SAV(), start, dt=0.1, steps=10, checkpoint=path)
    with pytest.raises(ValueError, match="energy or gradient at theta0"):
        gf.solve(parabola(2.0), gf.SAV(), start, dt=0.1, steps=10, checkpoint=path)
    gf.solve(parabola(1.0), gf.SAV(), start, dt=lambda n: 0.1, steps=10, checkpoint=tmp_path / "b")
    with pytest.raises(ValueError, match="dt differ"):
        gf.solve(parabola(1.0), gf.SAV(), start, dt=lambda n: 0.1 * (n + 1), steps=10, checkpoint=tmp_path / "b")
    file = path.with_suffix(".npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="must be a file that"):
        gf.solve(parabola(1.0), gf.SAV(), start, dt=0.1, steps=30, checkpoint=path)
    with pytest.raises(ValueError, match="must be a file that"):
        gf.Solution.load(path)


def test_a_drawn_seed_is_taken_up_again(tmp_path):
    problem, theta = small_network()
    run = {"dt": 0.1, "batch_size": 8, "checkpoint": tmp_path / "run"}
    first = gf.solve(problem, gf.SAV(), theta, epochs=1, **run)
    assert gf.solve(problem, gf.SAV(), theta, epochs=3, **run).config["seed"] == first.config["seed"]


def test_batch_larger_than_the_data():
    problem, theta = small_network()
    with pytest.raises(ValueError, match="from 1 to 24, got 25"):
        gf.solve(problem, gf.SAV(), theta, dt=0.1, epochs=1, batch_size=25)


@pytest.mark.parametrize("dt", [1e-8, 1e8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 24])
def test_extreme_steps_on_a_network_end_in_a_status(dt, dtype, n):
    problem, theta = small_network(dtype, n=n)
    for name in ("SAV", "SourceSAV", "ExpSAV", "ElementwiseSAV", "AdaptiveSAV", "IEQ", "AdaptiveIEQ"):
        base = getattr(gf, name)()
        for scheme in (base, gf.Restart(base), gf.Relaxed(base)):
            solution = gf.solve(problem, scheme, theta, dt=dt, steps=30)
            assert np.all(np.isfinite(solution.theta)), scheme
            assert solution.status in gf.Status


def test_small_steps_hold_blas_at_one_thread_and_give_it_back():
    from threadpoolctl import threadpool_info

    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    problem, theta = small_network()
    outside, inside = threads(), []
    for asked in (None, 2):
        gf.solve(
            problem, gf.SAV(), theta, dt=0.1, steps=1, threads=asked, callback=lambda n, s: inside.append(threads())
        )
    assert threads() == outside
    assert set(inside[0]) == {1}
    assert set(inside[1]) == {2}


def test_recorded_quantities_are_what_their_names_say():
    """Each against its definition, on a problem whose inner product is not the dot product."""
    case = residual_case(2, 7, 5, mass="mean_field")
    problem, dt = case.problem, 0.3
    names = [name for name in QUANTITIES if "eigenvalue" not in name]  # this problem has no Hessian
    for scheme in (
        gf.SAV(C=2.0),
        gf.Relaxed(gf.SAV(C=2.0)),
        gf.ExpSAV(form="explicit", scale=5.0),
        gf.IEQ(),
        gf.Restart(gf.SAV()),
    ):
        h = gf.solve(problem, scheme, case.theta, dt=dt, steps=4, record=names).history
        state = scheme.init(problem, case.theta)
        for n in range(1, 5):
            new = scheme.step(problem, state, dt)
            hat, d = scheme.auxiliary(problem, new.theta), new.theta - state.theta
            _, g = problem.energy_and_gradient(new.theta)
            ratio, gap = (
                np.linalg.norm(new.aux) / np.linalg.norm(hat),
                np.linalg.norm(new.aux - hat) / np.linalg.norm(hat),
            )
            if isinstance(scheme, gf.ExpSAV):
                ratio, gap = np.exp(new.aux - hat), abs(np.exp(new.aux - hat) - 1)
            assert h["energy"][n] == problem.energy(new.theta)
            assert h["modified_energy"][n] == scheme.modified_energy(problem, new)
            assert h["auxiliary_ratio"][n] == pytest.approx(ratio, rel=1e-13)
            assert h["auxiliary_gap"][n] == pytest.approx(gap, rel=1e-10)
            assert h["gradient_norm"][n] == pytest.approx(np.sqrt(0.01 * g @ g), rel=1e-13)
            if not isinstance(scheme, gf.Relaxed):
                assert h["dissipation"][n] == pytest.approx(0.01 * d @ d / dt, rel=1e-12)
            terms = scheme.energy_terms(problem, state, new, dt)
            assert h["numerical_dissipation"][n] == terms.numerical
            assert h["xi0"][n] == new.xi0 if isinstance(scheme, gf.Relaxed) else np.isnan(h["xi0"][n])
            state = new


def test_the_ratio_keeps_the_sign_of_r():
    """Weight decay can turn r negative: mu = 2, theta = 10, r = 1, lambda = dt = 1 gives r = -2."""
    problem = gf.FunctionProblem(lambda t: ((t - 9) @ (t - 9)) - 1.0, lambda t: 2 * (t - 9), linear=1.0)
    run = gf.solve(problem, gf.SAV(C=1.0), np.array([10.0]), dt=1.0, steps=1, record=["auxiliary_ratio"])
    assert run.state.aux == pytest.approx(-2.0, rel=1e-14)
    assert run.history["auxiliary_ratio"][1] == pytest.approx(-2.0 / abs(run.theta[0] - 9))


def test_standing_still_means_every_bit_for_long_enough():
    back_and_forth = gf.solve(parabola(), gf.GradientDescent(), np.array([3.0, 4.0]), dt=2.0, steps=50)
    assert (back_and_forth.status, back_and_forth.steps) == (gf.Status.DONE, 50)  # theta, -theta: the norm stays
    late = gf.solve(parabola(), gf.GradientDescent(), np.ones(2), dt=lambda n: 1e-30 if n < 5 else 0.1, steps=20)
    assert (late.status, late.steps) == (gf.Status.DONE, 20)
    faint = gf.solve(parabola(1e-9), gf.GradientDescent(), np.ones(2), dt=1e-12, steps=100)
    assert faint.status is gf.Status.STAGNATED  # a small gradient is not a gradient that has become small


def test_larger_steps_leave_blas_alone(monkeypatch):
    import sys

    from threadpoolctl import threadpool_info

    monkeypatch.setattr(sys.modules["gradflow.run.solve"], "SMALL_STEP", 0)
    problem, theta = small_network()
    count = lambda: [b["num_threads"] for b in threadpool_info() if b["user_api"] == "blas"]  # noqa: E731
    inside = []
    gf.solve(problem, gf.SAV(), theta, dt=0.1, steps=1, callback=lambda n, s: inside.append(count()))
    assert inside == [count()]


@pytest.mark.parametrize("every", [2, 5, 50])
@pytest.mark.parametrize("base", [gf.SAV(), gf.Relaxed(gf.SAV()), gf.ExpSAV(), gf.ElementwiseSAV()], ids=repr)
def test_a_restart_in_every_kth_step_is_the_base_in_between(base, every):
    """The same bits as the base scheme, started anew from theta at 0, k, 2k, ..., taken up from a file or not."""
    problem, theta = gf.FunctionProblem(lambda w: np.cosh(w).sum(), np.sinh), np.array([1.0, 2.0])
    run = gf.solve(problem, gf.Restart(base, every=every), theta, dt=0.3, steps=103, snapshots=range(104))
    for snapshot in run.snapshots[1:]:
        if (snapshot.step - 1) % every == 0:
            state = base.init(problem, theta)
        state = base.step(problem, state, 0.3)
        theta = state.theta
        np.testing.assert_array_equal(snapshot.theta, theta)


def test_a_collapsed_variable_does_not_end_a_run_before_the_next_restart():
    """SAV comes to rest where r has run out; with a restart in every 50th step theta moves again."""
    problem, theta = gf.FunctionProblem(lambda w: 5e7 * (w @ w), lambda w: 1e8 * w), np.array([1.0, 2.0])
    rest = gf.solve(problem, gf.SAV(), theta, dt=1.0, steps=500)
    assert rest.status is gf.Status.STAGNATED
    assert rest.steps < 50
    run = gf.solve(problem, gf.Restart(gf.SAV(), every=50), theta, dt=1.0, steps=500)
    assert run.status is gf.Status.DONE
    assert run.steps == 500
    still = gf.solve(problem, gf.Restart(gf.SAV(), every=50), 0 * theta, dt=1.0, steps=500)
    assert still.message.startswith("stationary")
    assert still.steps == 50


@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("base", [gf.SAV(), gf.ExpSAV(), gf.ElementwiseSAV(), gf.Relaxed(gf.SAV())], ids=repr)
def test_the_identity_of_a_restart_is_recorded_from_where_the_step_begins(base, every):
    """The energy at the start of a step is that of the variable set anew, where it is."""
    problem, theta = gf.FunctionProblem(lambda w: np.cosh(w).sum(), np.sinh), np.array([1.0, 2.0])
    scheme = gf.Restart(base, every=every)
    run = gf.solve(problem, scheme, theta, dt=0.3, steps=23, record=("identity_residual",))
    assert np.nanmax(np.abs(run.history["identity_residual"])) < 1e-13


@pytest.mark.parametrize("every", [1, 2, 7])
@pytest.mark.parametrize("base", [gf.SAV(), gf.IEQ(), gf.MSAV(), gf.ElementwiseSAV()], ids=repr)
def test_a_variable_is_carried_by_a_restart_that_is_not_due_in_every_step(base, every):
    scheme = gf.Restart(base, every=every)
    for name in ("carries_auxiliary", "per_sample_auxiliary"):
        carried = every > 1 and bool(scheme_ability(base, name))
        assert getattr(scheme, name) is carried


@pytest.mark.parametrize("base", [gf.SAV(), gf.ElementwiseSAV()], ids=repr)
def test_a_step_between_restarts_starts_from_theta_and_the_variable_of_its_state(base):
    """A caller may project theta, or mend the variable."""
    problem, theta = gf.FunctionProblem(lambda w: np.cosh(w).sum(), np.sinh), np.array([1.0, 2.0])
    scheme = gf.Restart(base, every=5)
    state = scheme.step(problem, scheme.init(problem, theta), 0.3)
    own = base.step(problem, base.init(problem, theta), 0.3)
    changed = {"theta": np.array([0.5, -1.5]), "aux": 0.9 * own.aux}
    state, own = state._replace(**changed), own._replace(**changed)
    np.testing.assert_array_equal(scheme.step(problem, state, 0.3).theta, base.step(problem, own, 0.3).theta)
    assert scheme.modified_energy(problem, state) == base.modified_energy(problem, own)


@pytest.mark.parametrize(("inner", "outer"), [(1, 3), (2, 3), (3, 2), (2, 1)])
def test_a_restart_of_a_restart_begins_where_either_is_due(inner, outer):
    """The identity of every step holds, and theta is that of SAV started anew at the multiples of both."""
    problem, theta = gf.FunctionProblem(lambda w: np.cosh(w).sum(), np.sinh), np.array([1.0, 2.0])
    scheme = gf.Restart(gf.Restart(gf.SAV(), every=inner), every=outer)
    run = gf.solve(problem, scheme, theta, dt=0.7, steps=20, snapshots=range(21), record=("identity_residual",))
    assert np.nanmax(np.abs(run.history["identity_residual"])) < 1e-14
    for n, snapshot in enumerate(run.snapshots[1:]):
        if n % inner == 0 or n % outer == 0:
            state = gf.SAV().init(problem, theta)
        state = gf.SAV().step(problem, state, 0.7)
        theta = state.theta
        np.testing.assert_array_equal(snapshot.theta, theta)
