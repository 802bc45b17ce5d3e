"""The figures of the adaptive forms: what runs in them, the two readings of v, and how they are judged."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import Claim, training
from gradflow.experiments.judging import ends_above
from gradflow.experiments.ma2024 import adaptive_panels, panels
from gradflow.experiments.ma2024.adaptive_judging import falls, levels, of_reading, verdict_by_reading
from gradflow.experiments.ma2024.adaptive_panels import (
    ADAM,
    ADAPTIVE_EULER,
    ADAPTIVE_RELAXED,
    ADAPTIVE_RESTARTED,
    ADAPTIVE_SAV,
    ADAPTIVE_SAVS,
    READINGS,
    adaptive_curves,
    by_reading,
)
from gradflow.experiments.ma2024.curves import SMOOTHED
from gradflow.experiments.ma2024.fig4 import MA2024_FIG4
from gradflow.experiments.ma2024.fig4 import judge as judge_fig4
from gradflow.experiments.ma2024.fig9 import MA2024_FIG9
from gradflow.experiments.ma2024.fig9 import judge as judge_fig9
from gradflow.experiments.ma2024.fig10 import MA2024_FIG10, ORDER
from gradflow.experiments.ma2024.fig10 import judge as judge_fig10
from gradflow.experiments.ma2024.tasks import TaskSettings, regression_task

FIGURES = {MA2024_FIG4: (17, 12), MA2024_FIG9: (17, 10), MA2024_FIG10: (8, 7)}
"""Curves of each, and claims of a run that is too short for the paper's levels."""
TINY = {"epochs": 2, "n_inputs": 3, "width": 10, "n_samples": 60, "batch_size": 16, "draws": 2, "record_epochs": 1}
figures = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
readings = pytest.mark.parametrize("reading", READINGS)


def silent(_):
    """Say nothing."""


def run_with(train, *, test=1.0, epochs=None, status=gf.Status.DONE):
    """Return a run with these train errors at every epoch, or at these epochs."""
    train = np.asarray(train, dtype=float)
    epochs = np.arange(len(train)) if epochs is None else np.asarray(epochs)
    history = {"step": epochs, "epoch": 1.0 * epochs, "time": epochs, "train_error": train}
    history["test_error"] = np.full(len(train), test)
    history["auxiliary_ratio"] = np.ones(len(train))
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, len(train), 0.0, 0.0)


def level(value, end=1000, **more):
    """Return a run whose train error is the same throughout."""
    return run_with([value, value, value], epochs=[0, end / 2, end], **more)


DIVERGED = run_with([1.0, 1.0], status=gf.Status.NONFINITE)
STAGNATED = run_with([1.0, 0.5, 0.5], status=gf.Status.STAGNATED)


# -- What runs --------------------------------------------------------------------------------------------------


@pytest.fixture
def undrawn(monkeypatch):
    """Draw nothing: a figure takes seconds."""
    monkeypatch.setattr(panels, "draw_panels", lambda *_: None)


@figures
def test_every_curve_is_run_for_every_draw_and_kept(figure, tmp_path, undrawn):
    curves, claims = FIGURES[figure]
    outcome = figure.reproduce(tmp_path, say=silent, **TINY)
    kept = {path: gf.Solution.load(path).theta.tobytes() for path in (tmp_path / "data").glob("*.npz")}
    assert len(kept) == 2 * curves
    assert len(outcome.rows) == curves
    assert len(outcome.claims) == claims
    assert {claim.holds for claim in outcome.claims} == {None}  # too short to tell
    assert outcome.verdict.startswith("not decided")
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == outcome.verdict
    again = figure.reproduce(tmp_path, say=silent, **TINY)
    assert again == outcome
    assert {path: gf.Solution.load(path).theta.tobytes() for path in (tmp_path / "data").glob("*.npz")} == kept


def test_the_figure_is_drawn(tmp_path):
    MA2024_FIG10.reproduce(tmp_path, say=silent, **{**TINY, "draws": 1})
    for suffix in ("png", "svg"):
        assert (tmp_path / f"ma2024-fig10.{suffix}").stat().st_size > 10_000


@figures
def test_the_smoothed_method_is_run_and_judged_as_the_other(figure, tmp_path, undrawn):
    changes = {**TINY, "draws": 1, "epochs": 1, "displacements": 2, "smoothing": 0.1}
    smoothed = figure.reproduce(tmp_path / "smoothed", say=silent, **changes, method="smoothed")
    both = figure.reproduce(tmp_path / "both", say=silent, **changes, method="both")
    curves, claims = FIGURES[figure]
    assert (len(smoothed.rows), len(smoothed.claims)) == (curves, claims)
    assert (len(both.rows), len(both.claims)) == (2 * curves, 2 * claims)
    assert all(SMOOTHED in row[0] for row in smoothed.rows)
    rows = {row[0]: row for row in both.rows}
    assert all(rows[row[0]] == row for row in smoothed.rows)


def test_an_interrupted_figure_goes_on(tmp_path, monkeypatch, undrawn):
    def interrupted(*args, **kwargs):
        def interrupt(step, state):
            if step == 3 and isinstance(args[1], gf.Relaxed):
                raise KeyboardInterrupt

        return gf.solve(*args, **kwargs, callback=interrupt)

    changes = {**TINY, "draws": 1}
    with monkeypatch.context() as patch:
        patch.setattr(training, "solve", interrupted)
        with pytest.raises(KeyboardInterrupt):
            MA2024_FIG9.reproduce(tmp_path / "broken", say=silent, **changes)
    assert not (tmp_path / "broken" / "report.json").exists()
    broken, whole = (MA2024_FIG9.reproduce(tmp_path / name, say=silent, **changes) for name in ("broken", "whole"))
    assert broken.claims == whole.claims
    assert broken.rows == whole.rows


@readings
def test_the_labels_say_what_runs(reading):
    curves = adaptive_curves(TaskSettings(epochs=1, C=3.0, stabilization=2.0), 0.5, reading)
    sav = gf.AdaptiveSAV(C=3.0, stabilization=2.0, reading=reading)
    assert {curve.label: curve.scheme for curve in curves} == {
        "adaptive Euler": gf.Adam(reading=reading),
        "adaptive SAV": sav,
        "adaptive restarted SAV": gf.Restart(sav),
        "adaptive relaxed SAV": gf.Relaxed(sav, budget="increment"),
    }
    assert {curve.dt for curve in curves} == {0.5}
    adam = adaptive_panels.adam_curve()
    assert (adam.label, adam.scheme, adam.dt) == (ADAM, gf.Adam(), 1e-3)


def test_an_unknown_reading_is_refused():
    with pytest.raises(ValueError, match="reading must be one of"):
        adaptive_curves(TaskSettings(epochs=1), 0.5, "scalar")


@figures
def test_a_wrong_setting_writes_nothing(figure, tmp_path):
    with pytest.raises(ValueError, match="C"):
        figure.reproduce(tmp_path / "out", say=silent, **{**TINY, "C": -1000.0})
    assert not (tmp_path / "out").exists()


# -- What the two readings mean (the laws told in adaptive_panels) --------------------------------------------------


def small_task(**changes):
    settings = TaskSettings(epochs=1, n_inputs=3, width=20, n_samples=80, dtype="float64", **changes)
    return settings, regression_task(settings, 0)


@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_the_first_step_of_adaptive_euler_has_the_told_length(time_scale):
    settings, task = small_task(time_scale=time_scale)
    mass = {"mean_field": 1 / settings.width, "autograd": 1.0}[time_scale]
    for reading in READINGS:
        scheme = adaptive_curves(settings, 1.0, reading)[0].scheme
        d = scheme.step(task.problem, scheme.init(task.problem, task.theta0), 0.25).theta - task.theta0
        moved = d != 0  # a neuron that is off everywhere has no gradient
        told = {"norm": 0.25, "elementwise": 0.25 * math.sqrt(mass * moved.sum())}[reading]
        assert math.sqrt(task.problem.inner(d, d)) == pytest.approx(told, rel=1e-4)


@readings
@pytest.mark.parametrize("dt", [0.01, 1.0])
def test_where_the_gradient_vanishes_the_step_of_sav_is_that_of_the_stabilization(reading, dt):
    """E = 1e-16 (theta, K theta) / 2: whatever dt is, d tends to -m_hat / lambda, r to its definition."""
    K, theta = np.diag([3.0, 0.5, 1.0]), np.array([1.0, -2.0, 0.5])
    small = 1e-16
    problem = gf.FunctionProblem(lambda t: small * (t @ K @ t) / 2, lambda t: small * (K @ t), mass=0.05)
    scheme = adaptive_curves(TaskSettings(epochs=1, C=100.0, stabilization=4.0), dt, reading)[1].scheme
    scheme = replace(scheme, eps=1e-30)
    state = scheme.init(problem, theta)
    for n in range(1, 4):
        new = scheme.step(problem, state, dt)
        m_hat = new.m / (1 - scheme.beta1**n)
        np.testing.assert_allclose((new.theta - state.theta) + m_hat / 4, 0.0, rtol=0, atol=1e-14)
        state = new
    euler = adaptive_curves(TaskSettings(epochs=1), dt, reading)[0].scheme
    moved = replace(euler, eps=1e-30).step(problem, euler.init(problem, theta), dt).theta - theta
    assert math.sqrt(problem.inner(moved, moved)) >= 0.3 * dt  # as long as ever


# -- Judging ----------------------------------------------------------------------------------------------------


def test_a_curve_ends_above_another_only_if_it_does_for_every_draw():
    high, low, near = level(1.0), level(0.1), level(0.3)

    def holds(above, below, n=5):
        return ends_above("x", [[run] * n for run in above], [[run] * n for run in below], 1000, 5.0).holds

    assert holds([high], [low]) is True
    assert holds([high, near], [low]) is False  # the lowest of the higher ones counts
    assert holds([high], [low, near]) is False
    assert holds([near], [low]) is False
    assert holds([near], [low], n=4) is None  # too few to count against it
    assert ends_above("x", [[high, near, high, high, high]], [[low] * 5], 1000, 5.0).holds is None  # the draws disagree
    assert holds([DIVERGED], [low]) is True
    assert holds([DIVERGED], [DIVERGED]) is False
    assert holds([level(1.0, end=500)], [low]) is None
    assert holds([high], [STAGNATED]) is False  # it stays where it ended, at 0.5
    dead = replace(level(1.0, end=300), message="stationary point: the gradient is zero")
    assert holds([dead], [low]) is True  # and so does one whose neurons are all dead


def test_a_curve_falls_or_does_not():
    epochs = np.arange(0, 1001, 50)
    falling, risen = (run_with(np.geomspace(1.0, end, len(epochs)), epochs=epochs) for end in (0.01, 4.0))
    flat = run_with(np.ones(len(epochs)), epochs=epochs)
    assert falls("x", [falling], 500, 1000, 1.5).holds is True
    assert falls("x", [falling, flat], 500, 1000, 1.5).holds is None
    assert falls("x", [flat] * 5, 500, 1000, 1.5).holds is False
    assert falls("x", [flat] * 4, 500, 1000, 1.5).holds is None
    assert falls("x", [falling, flat], 500, 1000, 1.5, at_all=False).holds is None
    assert falls("x", [falling] * 3 + [flat] * 2, 500, 1000, 1.5, at_all=False).holds is False
    assert falls("x", [risen, flat], 500, 1000, 1.5, at_all=False).holds is True
    assert falls("x", [falling, flat, flat], 500, 1000, 1.5, at_all=False).holds is True  # one draw of three
    assert falls("x", [DIVERGED], 500, 1000, 1.5, at_all=False).holds is True
    assert falls("x", [level(1.0, end=600)], 500, 1000, 1.5).holds is None


def test_levels_are_judged_only_in_runs_as_long_as_the_papers():
    published = {"a": (1e-2, 1.0), "b": (1e-2,)}
    curves = {"a": [level(1e-2)] * 5, "b": [level(2e-2)] * 5}
    found = levels("panel", curves, 1000, published)
    assert [claim.holds for claim in found] == [True, True, False]
    (open_,) = levels("panel", curves, 10_000, published)
    assert (open_.holds, open_.evidence) == (None, "the runs end before epoch 10000")
    assert levels("panel", {**curves, "b": [DIVERGED] * 5}, 1000, published)[-1].holds is False


def test_panels_of_a_step_size_are_found_whatever_they_begin_with():
    titles = [
        "v by the norm, dt = 1",
        "v by the norm, dt = 0.1",
        "v element by element, dt = 1",
        "v element by element, dt = 10",
    ]
    runs = {title + suffix: {"curve": title} for title in titles for suffix in ("", SMOOTHED)}
    found = by_reading(runs, 1.0)
    assert {reading: list(panels) for reading, panels in found.items()} == {
        "norm": [titles[0], titles[0] + SMOOTHED],
        "elementwise": [titles[2], titles[2] + SMOOTHED],
    }


def test_the_verdict_is_that_of_the_reading_that_fits_better():
    yes, no, open_ = (Claim(text, holds, "so") for text, holds in (("a", True), ("b", False), ("c", None)))

    def verdict(norm, elementwise, changed=""):
        of = {"norm": norm, "elementwise": elementwise}
        claims = [claim._replace(text=f"{READINGS[r]}, {claim.text}") for r, several in of.items() for claim in several]
        return verdict_by_reading(claims, changed)

    printed = "this counts v by the norm, as printed; v element by element,"
    assert verdict([yes], [yes]) == f"reproduced; {printed} 1 hold, 0 fail, 0 are open"
    assert verdict([yes], [no, open_], "half of it") == (
        f"reproduced with a stated change: half of it; {printed} 0 hold, 1 fail, 1 are open"
    )
    assert verdict([no], [yes]) == (
        "reproduced with a stated change: v element by element; this counts v element by element; "
        "v by the norm, as printed, 0 hold, 1 fail, 0 are open"
    )
    assert verdict([yes, no], [no, open_]).startswith("refuted: v by the norm, b fails (so)")
    assert verdict([yes, no], [yes, open_]).startswith("not decided: 1 of 2")  # what fails counts more than what holds
    assert verdict([yes, open_], [yes, yes]).startswith("reproduced with a stated change: v element by element")
    assert verdict([open_], [open_]).startswith("not decided: 0 of 1 claims hold, 1 open: v by the norm, c")
    assert verdict([no], [yes, no], "half of it").startswith(
        "reproduced in part with a stated change: half of it, v element"
    )


def adaptive_runs(dts, euler, savs):
    """Return runs of five draws for both readings: one level for adaptive Euler, one for each adaptive SAV."""
    curves = {ADAPTIVE_EULER: [euler] * 5, **{label: [run] * 5 for label, run in zip(ADAPTIVE_SAVS, savs, strict=True)}}
    return {f"{text}, dt = {dt:g}": curves for text in READINGS.values() for dt in dts}


def test_figure_4_is_judged_by_its_curves():
    def holds(euler, *savs):
        claims = judge_fig4(adaptive_runs((0.01, 1.0), euler, savs))
        return [claim.holds for claim in of_reading(claims, "norm")]

    epochs = [0, 200, 400]
    falling, near = run_with([1.0, 0.2, 0.1], epochs=epochs), run_with([1.0, 0.2, 0.105], epochs=epochs)
    flat, far = level(1.0, end=400), run_with([1.0, 0.4, 0.2], epochs=epochs)
    later = [None, None]  # the levels with either step
    assert holds(flat, falling, near, falling) == [True, True, True, True, *later]
    assert holds(falling, falling, near, falling) == [False, True, False, True, *later]
    assert holds(DIVERGED, falling, near, falling) == [True, True, True, True, *later]
    assert holds(flat, falling, far, falling) == [True, True, True, False, *later]
    assert holds(flat, flat, flat, flat) == [False, False, True, True, *later]
    short = level(1.0, end=100)
    assert holds(short, short, short, short) == [None] * 6


def test_figure_4_asks_for_the_papers_levels_of_a_run_as_long_as_the_papers():
    train, test = {"dt = 0.01": 2e-5, "dt = 1": 3e-2}, {"dt = 0.01": 3e-5, "dt = 1": 3e-2}
    runs = {
        f"{text}, {dt}": {
            ADAPTIVE_EULER: [level(train[dt], end=10_000, test=test[dt])] * 5,
            **dict.fromkeys(ADAPTIVE_SAVS, [level(4e-6, end=10_000, test=1e-5)] * 5),
        }
        for text in READINGS.values()
        for dt in train
    }
    for reading in READINGS:
        claims = of_reading(judge_fig4(runs), reading)
        assert len(claims) == 4 + 2 * 8
        assert all(claim.holds for claim in claims[4:]), claims


def test_figure_9_is_judged_by_its_curves():
    def holds(euler, *savs):
        claims = judge_fig9(adaptive_runs((0.1, 1.0), euler, savs))
        return [claim.holds for claim in of_reading(claims, "elementwise")]

    low, high = level(0.1, end=100), level(1.0, end=100)
    assert holds(high, low, low, low) == [True, True, True, None, None]
    assert holds(high, STAGNATED, low, high) == [False, True, False, None, None]
    assert holds(DIVERGED, low, high, low) == [True, True, True, None, None]
    assert holds(level(1.0, end=50), low, low, low) == [None] * 5


def test_figure_10_is_judged_by_the_order_of_its_curves():
    values = dict(zip(ORDER, (1e-7, 1e-5, 1e-3, 2e-3, 4e-3, 1e-2), strict=True))
    runs = {label: [level(value)] * 5 for label, value in values.items()}
    ours = (ADAPTIVE_RELAXED, ADAPTIVE_EULER)
    panels = {READINGS["norm"]: runs, READINGS["elementwise"]: {label: runs[label] for label in ours}}

    def holds(reading):
        return [claim.holds for claim in of_reading(judge_fig10(panels), reading)]

    assert holds("norm") == holds("elementwise") == [True] * 5
    panels[READINGS["elementwise"]] = {ADAPTIVE_RELAXED: [level(1.0)] * 5, ADAPTIVE_EULER: [level(1e-3)] * 5}
    assert holds("norm") == [True] * 5
    assert holds("elementwise") == [False, True, True, True, False]


def test_the_names_are_those_of_the_curves():
    assert ADAPTIVE_SAVS == (ADAPTIVE_SAV, ADAPTIVE_RESTARTED, ADAPTIVE_RELAXED)
    assert {*ADAPTIVE_SAVS, ADAPTIVE_EULER} == {c.label for c in adaptive_curves(TaskSettings(epochs=1), 1.0, "norm")}
