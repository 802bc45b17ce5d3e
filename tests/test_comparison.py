"""The comparison of all methods and the demonstration: the search for dt, equal terms, claims that follow from the curves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf
from gradflow.cli.experiments import ends
from gradflow.experiments import comparison
from gradflow.experiments.comparison import CENTRE, COMPARISON, METHODS, Comparison, Tuned, at_equal_time, search, tune
from gradflow.experiments.demo import DEMO
from gradflow.experiments.figure import Series
from gradflow.experiments.judging import judge
from gradflow.experiments.traces import Trace, load_curves
from toy_figures import silent

TINY = {
    "epochs": 2, "tuning_epochs": 1, "tuning_draws": 1, "draws": 2, "points": 1, "extensions": 1, "rounds": 1, "constants": 1,
    "n_inputs": 3, "width": 5, "n_samples": 40, "batch_size": 8, "n_images": 40, "image_width": 3, "image_batch_size": 20,
}  # fmt: skip


def panels_with(levels, *, costs=(), edges=(), draws=3, status="done"):
    """Return panels in which every method ends at a level, that of draw n being n + 1 times as high."""
    panels = {title: {} for title in COMPARISON.panels}
    for label in METHODS:
        config = {**Tuned(0.1, None, label in edges)._asdict(), "milliseconds": 1.0}
        level, epoch = levels.get(label, 1.0), np.arange(41, dtype=np.float32)
        curves = [np.float32(level * (n + 1)) * np.exp(-epoch / 10) for n in range(draws)]
        traces = [Trace({"epoch": epoch, "train_error": v, "test_error": v}, status, config=config) for v in curves]
        for title in panels:
            slower = dict(costs).get(label, 1.0) if title.endswith("equal time") else 1.0
            panels[title][label] = [at_equal_time(trace, slower) for trace in traces]
    return panels


def holds(panels, text, panel=""):
    (row,) = [row for row in judge(COMPARISON, panels) if text in row["claim"] and row["panel"] == panel]
    return row["holds"]


@settings(deadline=None)
@given(st.integers(-12, 12), st.sampled_from([3, 5, 7]), st.integers(0, 8))
def test_the_search_finds_a_single_minimum_within_its_reach(at, points, extensions):
    lowest, _ = search(lambda _: float("inf"), points, extensions)  # smaller steps are tried where everything diverges
    assert lowest == CENTRE - points // 2 - extensions
    best, scores = search(lambda k: float("inf") if k > at + 2 else (k - at) ** 2 + 1.0, points, extensions)
    assert sorted(scores) == list(range(min(scores), max(scores) + 1))
    assert len(scores) <= points + extensions
    if abs(at - CENTRE) < points // 2 + extensions:  # one point beyond the minimum is needed to see that it is one
        assert best == at
        assert min(scores) < best < max(scores)


def test_the_search_takes_the_pair_of_the_least_train_error(tmp_path):
    task = Comparison(**{**TINY, "constants": 3, "per_decade": 1, "points": 3})
    found = {}

    class Recording(Series):
        def train(self, draw, curve, stem):
            run = super().train(draw, curve, stem)
            found.setdefault((curve.dt, curve.scheme.C), []).append(comparison.settled(run, "train_error"))
            return run

    series = Recording(tmp_path, silent, False, lambda panel, label: ())
    tuned = tune(task, [task.draw(0), task.draw(1)], METHODS["SAV"], series, "s")
    assert min(found, key=lambda pair: np.prod(found[pair])) == (tuned.dt, tuned.constant)
    assert all(len(errors) == 2 for errors in found.values())


@pytest.mark.parametrize("make", [gf.SAV, gf.ExpSAV, gf.ElementwiseSAV])
@pytest.mark.parametrize("wrap", [lambda base: base, gf.Restart, gf.Relaxed])
def test_a_stabilization_is_another_dt(make, wrap):
    """That is why dt alone is searched for: equation (1)."""
    drawn, ends = Comparison(**{**TINY, "dtype": "float64"}).draw(0), []
    for scheme, dt in ((wrap(make(stabilization=10.0)), 3.0), (wrap(make()), 3.0 / 31.0)):
        state = scheme.init(drawn.problem, drawn.theta0)
        for _ in range(5):
            state = scheme.step(drawn.problem, state, dt)
        ends.append(state.theta)
    np.testing.assert_allclose(*ends, rtol=1e-10, atol=1e-12)


def test_equal_time_is_that_of_gradient_descent_and_never_more_epochs():
    epoch = np.arange(41, dtype=np.float32)
    whole = Trace({"epoch": epoch, "train_error": 41 - epoch}, "done")
    for cost, last in ((4.0, 10), (1.0, 40), (0.5, 40)):
        timed = at_equal_time(whole, cost)
        assert timed.history["train_error"][-1] == 41 - last
        assert timed.history["epoch"][-1] == cost * last


def test_the_claims_follow_from_the_errors_and_are_open_for_a_loser_at_the_edge():
    best, ieq = {"restarted IEQ": 0.5, "Adam": 0.7}, "restarted IEQ over"
    elsewhere, test, at_edge = "Example 1, first at equal epochs", "Example 1, first in the train", "Example 1: methods"
    cheap = panels_with(best)
    assert all(holds(cheap, ieq, panel) for panel in COMPARISON.panels)
    assert holds(cheap, elsewhere) is holds(cheap, test) is holds(cheap, at_edge) is True
    dear = panels_with(best, costs={"restarted IEQ": 4.0})
    assert (holds(dear, ieq, "Example 1"), holds(dear, ieq, "Example 1, equal time")) == (True, False)
    assert holds(dear, elsewhere) is False
    edge = panels_with(best, edges=["RMSProp"])
    assert (holds(edge, ieq, "Example 1"), holds(edge, at_edge)) == (None, False)
    sav, adam, forms = "SAV over gradient", "Adam over the lowest", "the lower of restarted"
    assert holds(panels_with({"SAV": 1.05}), forms, "Example 1") is False
    assert holds(panels_with({"relaxed SAV": 0.8}), forms, "Example 1") is True
    assert holds(panels_with({"relaxed SAV": 0.8}, draws=2), forms, "Fashion-MNIST") is True
    assert holds(panels_with({"Adam": 0.85, "restarted SAV": 0.9}), adam, "Example 1") is False
    rows = judge(COMPARISON, panels_with({}, status="nonfinite"))
    assert {row["holds"] for row in rows if sav in row["claim"] and row["panel"]} == {False}


def test_files_are_taken_up_and_all_are_the_librarys_own_claims(tmp_path, monkeypatch):
    report = COMPARISON.reproduce(tmp_path, say=silent, **TINY)
    panels = load_curves(tmp_path / "curves.npz")
    assert report.headline.startswith("measured: ")
    assert all(set(curves) == set(METHODS) for curves in panels.values())
    monkeypatch.setattr(comparison, "step_costs", lambda *_: pytest.fail("measured again"))
    assert COMPARISON.reproduce(tmp_path, say=silent, **TINY).claims == report.claims


def test_the_demonstration_has_a_row_for_each_scheme_and_catches_an_impostor(tmp_path):
    sizes = {"epochs": 20, "n_inputs": 5, "width": 40, "n_samples": 400, "batch_size": 16}
    report = DEMO.reproduce(tmp_path, say=silent, **sizes)
    panels = load_curves(tmp_path / "curves.npz")
    head, _, *rows = ends(DEMO, tmp_path)[1:]
    assert [row[: head.index("epoch")].strip() for row in rows] == list(DEMO.panels["dt = 0.2"])
    assert report.headline.startswith("measured: ")
    (curves,) = panels.values()
    stuck = {"auxiliary_ratio": np.zeros(1), "train_error": np.full(1, 0.3), "epoch": np.ones(1)}
    curves["vanilla SAV"] = collapsed = [replace(trace, history=stuck) for trace in curves["relaxed SAV"]]
    assert [row["holds"] for row in judge(DEMO, panels)] == [True] * 3
    curves["vanilla SAV"] = curves["restarted SAV"]
    assert [row["holds"] for row in judge(DEMO, panels)][:2] != [True, True]
    curves["relaxed SAV"] = collapsed
    assert judge(DEMO, panels)[2]["holds"] is not True
