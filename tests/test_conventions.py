"""The convention study: the grid, the law behind its factor 1/2, the criteria, and what is told of them."""

import json
from itertools import product

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments.experiment import Context
from gradflow.experiments.ma2024.convention_study import MA2024_CONVENTIONS, STUDIES, misses
from gradflow.experiments.ma2024.conventions import (
    CONVENTIONS,
    Convention,
    constants,
    multiplied,
    run_conventions,
    with_convention,
)
from gradflow.experiments.ma2024.products import PRODUCTS
from gradflow.experiments.ma2024.tasks import TaskSettings

TINY = {"epochs": 2, "n_inputs": 3, "width": 10, "n_samples": 60, "draws": 2, "record_epochs": 1}
STUDY = {study.number: study for study in STUDIES}


def silent(_):
    """Say nothing."""


def test_the_grid_has_every_convention_once():
    assert len(set(CONVENTIONS)) == len(CONVENTIONS) == 32
    assert (
        len({convention.stem for convention in CONVENTIONS})
        == len({str(convention) for convention in CONVENTIONS})
        == 32
    )
    motions = {(convention.time_scale, convention.product) for convention in CONVENTIONS}
    assert motions == {*product(["mean_field"], PRODUCTS), ("autograd", "consistent")}


class Half:
    """Half of a problem's energy."""

    def __init__(self, problem):
        self.problem, self.inner, self.mass = problem, problem.inner, problem.mass

    def energy(self, theta):
        return self.problem.energy(theta) / 2

    def energy_and_gradient(self, theta):
        E, g = self.problem.energy_and_gradient(theta)
        return E / 2, g / 2


@pytest.mark.parametrize("wrap", [gf.Relaxed, gf.Restart, lambda scheme: scheme])
@pytest.mark.parametrize("stabilization", [0.0, 4.0])
def test_half_an_energy_is_half_a_step_with_twice_the_constants(wrap, stabilization):
    data = gf.datasets.sin_cos(3, 60, seed=0)
    net = gf.TwoLayerNet(3, 10)
    problem, theta = gf.Regression(net, data.x_train, data.y_train), net.init(0)
    half = Convention("mean_field", "consistent", "mse", "normal", True)
    dt, C, S = constants(half, 0.2, 3.0, stabilization)
    direct = gf.solve(Half(problem), wrap(gf.SAV(C=3.0, stabilization=stabilization)), theta, dt=0.2, steps=20)
    other = gf.solve(problem, wrap(gf.SAV(C=C, stabilization=S)), theta, dt=dt, steps=20)
    np.testing.assert_allclose(direct.theta, other.theta, rtol=1e-11)
    whole = gf.solve(problem, wrap(gf.SAV(C=3.0, stabilization=stabilization)), theta, dt=0.2, steps=20)
    assert not np.allclose(direct.theta, whole.theta, rtol=1e-3)
    assert constants(half._replace(half=False), 0.2, 3.0, 4.0) == (0.2, 3.0, 4.0)
    dt, C, S = multiplied(0.5, 0.2, 3.0, stabilization)
    assert (dt, C, S) == constants(half, 0.2, 3.0, stabilization)
    assert multiplied(4.0, 0.2, 3.0, 8.0) == (0.8, 0.75, 2.0)


def test_a_convention_is_in_the_settings_of_its_runs(tmp_path):
    settings = TaskSettings(**TINY, batch_size=8)
    chosen = [CONVENTIONS[1], CONVENTIONS[10], CONVENTIONS[-1]]
    context = Context("study", tmp_path, silent, False, lambda: None)
    runs = run_conventions(settings, 0.1, context, restarted=True, conventions=chosen)
    assert list(runs) == chosen
    for convention, curves in runs.items():
        assert set(curves) == {"explicit Euler", "SAV", "restarted SAV"}
        for several in curves.values():
            assert len(several) == 2
        run = curves["SAV"][0]
        assert run.config["dt"] == (0.05 if convention.half else 0.1)
        told = run.config["problem"]
        assert (told["loss"], told["time_scale"]) == (convention.loss, convention.time_scale)
        assert ("inner" in told) == (convention.product != "consistent")
        assert with_convention(settings, convention).init == convention.init


def test_explicit_euler_runs_once_for_all_products(tmp_path):
    settings = TaskSettings(**TINY, batch_size=8)
    chosen = [c for c in CONVENTIONS if (c.time_scale, c.loss, c.init, c.half) == ("mean_field", "mse", "he", False)]
    context = Context("study", tmp_path, silent, False, lambda: None)
    runs = run_conventions(settings, 0.1, context, restarted=False, conventions=chosen)
    assert len(chosen) == 3
    assert len(list((tmp_path / "data").glob("*euler*.npz"))) == settings.draws
    ends = {tuple(run.theta[0] for run in curves["SAV"]) for curves in runs.values()}
    assert len(ends) == 3


def kept(folder):
    """Return theta of every run in a folder of results, to the bit."""
    return {path.name: gf.Solution.load(path).theta.tobytes() for path in (folder / "data").glob("*.npz")}


@pytest.mark.parametrize("name", ["loss", "time_scale", "init", "method"])
def test_what_the_conventions_decide_cannot_be_set(name, tmp_path):
    value = {"loss": "mse", "time_scale": "autograd", "init": "he", "method": "smoothed"}[name]
    with pytest.raises(ValueError, match=f"{name} is a part of the conventions"):
        MA2024_CONVENTIONS[1].reproduce(tmp_path, quick=True, say=silent, **{name: value})
    with pytest.raises(ValueError, match="batch_size must be"):
        MA2024_CONVENTIONS[1].reproduce(tmp_path, quick=True, say=silent, n_samples=40)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("experiment", MA2024_CONVENTIONS, ids=lambda experiment: experiment.name)
def test_a_study_tells_each_convention_and_is_taken_up_again(experiment, tmp_path):
    changes = {**TINY, "draws": 1, "n_samples": 40, "batch_size": 8 if experiment.full.batch_size else 0}
    outcome = experiment.reproduce(tmp_path, say=silent, **changes)
    assert [row[0] for row in outcome.rows] == [str(convention) for convention in CONVENTIONS]
    assert outcome.verdict.startswith("not decided: the runs are too short")
    assert all(claim.holds is None for claim in outcome.claims)
    assert (tmp_path / f"{experiment.name}.png").stat().st_size > 10_000
    before = kept(tmp_path)
    assert experiment.reproduce(tmp_path, say=silent, **changes) == outcome
    assert kept(tmp_path) == before
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == outcome.verdict


def run_with(train, test=1.0, status=gf.Status.DONE):
    n = np.arange(len(train))
    history = {"step": n, "epoch": n, "time": n, "train_error": np.asarray(train, float)}
    history["test_error"] = np.full(len(n), test)
    history["auxiliary_ratio"] = np.ones(len(n))
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, len(n), 0.0, 0.0)


def level(value, test=1.0, epochs=301):
    return run_with(np.full(epochs, value), test)


DIVERGED = run_with(np.ones(3), status=gf.Status.NONFINITE)
WILD = run_with(np.where(np.arange(301) % 2, 1.5, 1.0))
ONCE = run_with(np.where(np.arange(301) == 100, 1.5, 1.0))


@pytest.mark.parametrize(
    ("number", "euler", "sav", "restarted", "wanted"),
    [
        (1, [WILD], [level(2e-2)], [], (True, True, True)),
        (1, [WILD, level(1.0)], [level(1e-2), level(3e-2)], [], (False, True, True)),
        (1, [DIVERGED], [WILD], [], (False, False, False)),
        (1, [ONCE], [ONCE], [], (False, False, False)),  # one rise is no oscillation, and not smooth
        (1, [DIVERGED], [DIVERGED], [], (False, False, False)),
        (1, [WILD, WILD], [level(2e-2), DIVERGED], [], (True, False, False)),
        (2, [level(1e-3, 1.5e-3)], [level(1.9e-3)], [], (True, True, True)),
        (2, [level(1e-3, 0.1)], [level(2.1e-3)], [], (True, False, False)),
        (2, [DIVERGED], [level(1e-3)], [], (False, False, False)),
        (3, [level(1.0)], [level(1e-3)], [level(1.05e-3)], (True, True, True)),
        (3, [DIVERGED], [level(1e-3)], [level(1.2e-3)], (True, False, True)),
        (3, [level(5e-3)], [level(2e-2)], [level(2e-2)], (False, True, False)),
        (3, [DIVERGED], [DIVERGED], [DIVERGED], (False, False, False)),
        (7, [level(9e-4)], [level(1e-3)], [], (True, True)),
        (7, [level(9e-3), level(8e-4)], [level(1e-3), level(1e-3)], [], (True, False)),
    ],
)
def test_criteria_are_met_by_the_curves_of_all_draws(number, euler, sav, restarted, wanted):
    curves = {"explicit Euler": euler, "SAV": sav, "restarted SAV": restarted}
    missed = misses(STUDY[number], curves, STUDY[number].settings.epochs)
    assert tuple(factor <= 1 for factor in missed) == wanted


@pytest.mark.parametrize(
    ("number", "euler", "sav", "wanted"),
    [
        (2, [level(2e-2, 1.7e-3), level(5e-2, 1.7e-3)], [level(2e-2)] * 2, (5.0, 1.25, 1 / 1.3)),
        (2, [level(1e-3, 1.7e-2)], [level(4e-3)], (0.1, 2.0, 10 / 1.3)),
        (2, [DIVERGED], [level(1e-3)], (np.inf, np.inf, np.inf)),
        (3, [level(1.0)], [level(0.5)], (5.0, 1 / 1.1, 50.0)),
        (3, [DIVERGED], [level(0.5)], (0.0, 1 / 1.1, 50.0)),
        (7, [level(1e-4), level(1e-5)], [level(1e-4), level(1e-5)], (10 / 1.3, 0.5)),
    ],
)
def test_a_criterion_is_missed_by_what_the_worst_draw_lacks(number, euler, sav, wanted):
    curves = {"explicit Euler": euler, "SAV": sav, "restarted SAV": sav}
    assert misses(STUDY[number], curves, STUDY[number].settings.epochs) == pytest.approx(wanted)
