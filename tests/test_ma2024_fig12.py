"""Figure 12 of Ma, Mao & Shen on a two-layer network: the task, what is run and taken up again, how it is judged."""

import json

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments.judging import ends_above
from gradflow.experiments.ma2024 import fig12 as ma2024_fig12
from gradflow.experiments.ma2024.adaptive_judging import of_reading
from gradflow.experiments.ma2024.adaptive_panels import READINGS
from gradflow.experiments.ma2024.burgers_reference import burgers_solution
from gradflow.experiments.ma2024.burgers_task import BurgersSettings, burgers_task, initial_parameters, train_burgers
from gradflow.experiments.ma2024.fig12 import (
    DRAWS,
    EPOCH,
    MA2024_FIG12,
    STEPS,
    burgers_curves,
    in_rows,
    judge,
    row_title,
    stated,
)

SMALL = {"epochs": 3, "record_epochs": 1, "n_x": 8, "n_t": 5, "n_initial": 5, "n_walls": 3, "width": 6, "batch_size": 8}
TINY = {**SMALL, "draws": 2}


def silent(_):
    """Say nothing."""


def run_with(error, *, status=gf.Status.DONE, epochs=200):
    """Return a run that stays at an error."""
    n = np.arange(epochs + 1)
    ones = np.ones(epochs + 1)
    history = {
        "step": n,
        "epoch": n,
        "time": n,
        "relative_error": error * ones,
        "energy": ones,
        "auxiliary_ratio": ones,
    }
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, epochs, 0.0, 0.0)


# -- The task ---------------------------------------------------------------------------------------------------------


def test_the_points_fill_the_domain():
    task = burgers_task(BurgersSettings(epochs=1, n_x=4, n_t=2, n_initial=3, n_walls=2, dtype="float64"), 0)
    X = task.problem._points.X
    assert task.problem.n_samples == 8
    assert sorted(set(X[:8, 0])) == [0.5, 1.0]
    assert sorted(set(X[:8, 1])) == [-0.75, -0.25, 0.25, 0.75]
    np.testing.assert_allclose(task.problem._points.y[8:11], [0, 0, 0], atol=1e-15)  # -sin(pi x) at -1, 0, 1
    assert [tuple(p) for p in X[11:, :2]] == [(0, -1), (1, -1), (0, 1), (1, 1)]


def test_the_error_is_that_of_the_solution():
    """0 is as far as u is large; a frozen start is as far as it is from the moving solution."""
    task = burgers_task(BurgersSettings(epochs=1, **{k: TINY[k] for k in ("n_x", "n_t", "width")}, dtype="float64"), 0)
    assert task.error(gf.FlowState(0 * task.theta0)) == 1.0
    m, one = task.problem.net.width, 1e-3
    theta = np.zeros(4 * m)  # f = -x, almost
    theta[m], theta[3 * m] = one, -1 / one
    t, x = np.meshgrid(np.linspace(0, 1, 41), np.linspace(-1, 1, 201), indexing="ij")
    u = burgers_solution(t, x, task.problem.nu)
    assert task.error(gf.FlowState(theta)) == pytest.approx(np.linalg.norm(-x - u) / np.linalg.norm(u), rel=1e-5)


def test_the_first_fronts_cross_the_domain():
    net = gf.TwoLayerNet(2, 400, activation="tanh", scaling="standard")
    W, a = net.unpack(initial_parameters(net, 0, 15.0, "float64"))
    assert np.min(np.abs(W[1])) >= 1
    assert np.max(np.abs(W[1])) <= 15
    assert 0.4 < np.mean(W[1] > 0) < 0.6
    assert np.median(np.abs(W[1])) == pytest.approx(np.sqrt(15), rel=0.2)  # log-uniform
    corners = np.array([[t, x, 1] for t in (0, 1) for x in (-1, 1)]) @ W
    assert np.all((corners.min(axis=0) <= 0) & (corners.max(axis=0) >= 0))
    assert np.std(a) == pytest.approx(1 / np.sqrt(800), rel=0.15)
    single = initial_parameters(net, 0, 15.0, "float32")
    assert np.array_equal(single, initial_parameters(net, 0, 15.0, "float64").astype("float32"))
    assert not np.array_equal(single, initial_parameters(net, 1, 15.0, "float32"))


def test_draws_differ_in_the_initial_parameters_alone():
    settings = BurgersSettings(**TINY)
    one, same, other = (burgers_task(settings, draw) for draw in (0, 0, 1))
    assert one.problem.describe() == other.problem.describe()
    assert np.array_equal(one.theta0, same.theta0)
    assert not np.array_equal(one.theta0, other.theta0)


@pytest.mark.parametrize("dt", STEPS)
def test_element_by_element_and_with_a_large_constant_it_is_adam_with_another_epsilon(dt):
    """Equation (1): epsilon + lambda dt in the place of epsilon; restarted, relaxed or neither."""
    task = burgers_task(BurgersSettings(**{**TINY, "dtype": "float64"}), 0)
    sav = gf.AdaptiveSAV(C=1e12, stabilization=4.0, reading="elementwise")
    adam = gf.solve(task.problem, gf.Adam(eps=1e-8 + 4.0 * dt), task.theta0, dt=dt, steps=50)
    plain = gf.solve(task.problem, gf.Adam(), task.theta0, dt=dt, steps=50)
    size = np.linalg.norm(adam.theta - task.theta0)
    for scheme in (sav, gf.Restart(sav), gf.Relaxed(sav)):
        run = gf.solve(task.problem, scheme, task.theta0, dt=dt, steps=50)
        assert np.linalg.norm(run.theta - adam.theta) < 1e-8 * size
    assert np.linalg.norm(plain.theta - adam.theta) > 1e-3 * size


def test_levenberg_marquardt_gets_near_the_solution():
    """Equation, conditions and reference are of one problem: in a viscous flow, where a small network is enough, the error falls."""
    sizes = {"n_x": 30, "n_t": 30, "n_initial": 40, "n_walls": 20, "width": 30}
    task = burgers_task(BurgersSettings(epochs=1, nu=0.3, steepest=4.0, dtype="float64", **sizes), 0)
    run = gf.solve(task.problem, gf.Restart(gf.IEQ()), task.theta0, dt=lambda n: 30.0 * 1.1**n, steps=40)
    assert task.error(gf.FlowState(task.theta0)) > 0.5
    assert task.error(run.state) < 0.02


class Interrupted:
    """Adam, interrupted by the user at its fifth step."""

    def __init__(self):
        self.left = 5

    def init(self, problem, theta):
        return gf.Adam().init(problem, theta)

    def step(self, problem, state, dt):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return gf.Adam().step(problem, state, dt)

    def describe(self):
        return {"type": "Adam"}


def test_an_interrupted_run_goes_on(tmp_path):
    settings = BurgersSettings(**TINY)
    task, scheme = burgers_task(settings, 0), Interrupted()
    arguments = {"dt": 0.01, "batch_size": 8}
    with pytest.raises(KeyboardInterrupt):
        train_burgers(task, scheme, settings, path=tmp_path / "run", **arguments)
    assert gf.Solution.load(tmp_path / "run").steps == 3  # of five calls one is the comparison of schemes of the user
    again = train_burgers(task, scheme, settings, path=tmp_path / "run", **arguments)
    straight = train_burgers(task, gf.Adam(), settings, path=tmp_path / "other", **arguments)
    assert again.status is gf.Status.DONE
    assert np.array_equal(again.theta, straight.theta)
    assert np.array_equal(again.history["relative_error"], straight.history["relative_error"])


# -- The experiment ---------------------------------------------------------------------------------------------------


def test_it_writes_what_it_ran_and_takes_it_up(tmp_path, monkeypatch):
    outcome = MA2024_FIG12.reproduce(tmp_path, say=silent, **TINY)
    kept = {path.stem: gf.Solution.load(path) for path in (tmp_path / "data").glob("*.npz")}
    assert len(kept) == 2 * (2 * 2 * 3 + 2 * 3 + 1)
    assert all(run.history["epoch"][-1] == 3 for run in kept.values())
    assert (tmp_path / "ma2024-fig12.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "ma2024-fig12.svg").stat().st_size > 10_000
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == outcome.verdict
    assert len(outcome.rows) == 19
    # too short for the paper: nothing is decided
    assert {claim.holds for claim in outcome.claims} == {None}
    assert outcome.verdict.startswith("not decided")
    thetas = {name: run.theta.tobytes() for name, run in kept.items()}
    monkeypatch.setattr(ma2024_fig12, "save_figure", lambda *_: None)  # once is enough
    assert MA2024_FIG12.reproduce(tmp_path, say=silent, **TINY) == outcome
    assert {p.stem: gf.Solution.load(p).theta.tobytes() for p in (tmp_path / "data").glob("*.npz")} == thetas
    with pytest.raises(ValueError, match="holds results of other settings"):
        MA2024_FIG12.reproduce(tmp_path, say=silent, **{**TINY, "nu": 0.2})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_walls", 0, "n_walls must be a whole number >= 1"),
        ("nu", 0.0, "nu must be a finite number > 0"),
        ("steepest", 1.0, "steepest must be a finite number > 1"),
        ("damping", float("inf"), "damping must be a finite number > 0"),
        ("C", float("nan"), "C must be a finite number"),
        ("stabilization", -1.0, "stabilization must be a finite number >= 0"),
        ("seed", -1, "seed must be a finite number >= 0"),
        ("dtype", "float16", "dtype must be one of float32, float64"),
        ("batch_size", 41, "batch_size must be a whole number from 1 to 40"),
        ("C", -1e6, "C must satisfy"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(name, value, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        MA2024_FIG12.reproduce(tmp_path / "out", say=silent, **{**TINY, name: value})
    assert not (tmp_path / "out").exists()


def test_the_quick_form_is_the_shorter_one():
    full, quick = MA2024_FIG12.full, MA2024_FIG12.quick
    assert quick.epochs < full.epochs
    assert (full.draws, quick.draws) == (3, 1)
    assert (full.C, full.stabilization, full.n_x, full.n_t) == (1e4, 4.0, 200, 60)


# -- Judging ----------------------------------------------------------------------------------------------------------


def test_a_curve_is_above_another_for_every_draw_or_not():
    low, near, high = (run_with(error) for error in (1e-2, 1.2e-2, 3e-2))
    diverged, short = run_with(1.0, status=gf.Status.NONFINITE), run_with(1e-2, epochs=100)

    def above(higher, lower):
        return ends_above("x", higher, lower, EPOCH, name="relative_error", enough=DRAWS).holds

    of = lambda higher, lower: above([higher], [lower])  # noqa: E731
    assert of([high] * 3, [low] * 3) is True
    assert of([near] * 3, [low] * 3) is False
    assert of([low] * 3, [high] * 3) is False
    assert of([high, near, high], [low] * 3) is None  # the draws disagree
    assert of([near] * 2, [low] * 2) is None  # too few to count against it
    assert of([short] * 3, [low] * 3) is None
    assert of([diverged] * 3, [low] * 3) is True
    assert of([diverged] * 3, [diverged] * 3) is False
    assert above([[high] * 3, [near] * 3], [[low] * 3]) is False  # the lowest of the higher ones counts
    assert above([[high] * 3], [[low] * 3, [high] * 3]) is False


PAPERS = {"A-SAV": 1.6e-4, "A-RelSAV": 1.6e-4, "Adam": 3e-3, "A-ResSAV": 1e-2, "RMSProp": 1e-2, "Adagrad": 2e-2}


def rows_with(errors):
    settings = BurgersSettings(epochs=1)
    curves = burgers_curves(settings)
    return in_rows(curves, {curve.stem: [run_with(errors.get(curve.label, 1e-3))] * 3 for curve in curves})


def test_the_papers_curves_would_be_judged_so():
    claims = judge(rows_with(PAPERS))
    assert len(claims) == 10
    assert {claim.holds for claim in claims} == {True}
    together = judge(rows_with({**PAPERS, "A-ResSAV": 1.6e-4}))
    assert [claim.holds for claim in of_reading(together, "norm")] == [True, False, True] * 2
    adam_wins = judge(rows_with({**PAPERS, "Adam": 1e-4}))
    assert [claim.holds for claim in of_reading(adam_wins, "elementwise")] == [False, True, True] * 2


def test_what_is_changed_is_stated():
    settings, paper_nu = (BurgersSettings(epochs=200, draws=5, nu=nu) for nu in (0.1 / np.pi, 0.01 / np.pi))
    network = "a two-layer network of width 50, its initial parameters, weights and the damping chosen here"
    assert stated(paper_nu) == network
    assert stated(settings) == f"{network}, nu 0.0318 (paper: 0.00318)"
    assert ", 3 draws" in stated(BurgersSettings(epochs=200, draws=3))
    other = BurgersSettings(epochs=20, draws=5, C=1.0, stabilization=0.0, n_x=20)
    for change in ("epochs 20 (paper: 200)", "C 1 (paper: 1e+04)", "stabilization 0 (paper: 4)", "n x 20 (paper: 200)"):
        assert change in stated(other)


def test_every_row_has_its_curves():
    settings = BurgersSettings(epochs=1, C=3.0, stabilization=2.0, damping=0.5)
    everything = burgers_curves(settings)
    assert len({curve.stem for curve in everything}) == len(everything) == 19
    rows = in_rows(everything, {curve.stem: [curve] for curve in everything})
    assert list(rows) == [row_title(reading, dt) for reading in READINGS for dt in STEPS]
    for reading in READINGS:
        for dt in STEPS:
            (sav,), (adam,), (lm,) = (
                rows[row_title(reading, dt)][label] for label in ("A-SAV", "Adam", "Levenberg-Marquardt")
            )
            assert sav.scheme == gf.AdaptiveSAV(C=3.0, stabilization=2.0, reading=reading)
            assert rows[row_title(reading, dt)]["A-RelSAV"][0].scheme == gf.Relaxed(sav.scheme, budget="increment")
            assert rows[row_title(reading, dt)]["A-ResSAV"][0].scheme == gf.Restart(sav.scheme)
            assert sav.dt == adam.dt == dt
            assert (lm.dt, lm.batch_size) == (2.0, None)
