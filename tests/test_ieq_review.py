"""The review of IEQ: what drifts, which energy falls, what a step costs."""

from dataclasses import replace

import numpy as np
import pytest

from gradflow.experiments.ieq_review import COST, DRIFT, ENERGY, Cost, peak, rising
from gradflow.experiments.judging import Report, judge
from gradflow.experiments.timing import take_turns
from gradflow.experiments.traces import load_curves
from toy_figures import silent, trace


@pytest.mark.parametrize(
    ("figure", "epochs", "holds"),
    [(DRIFT, 5, [True] * 5), (ENERGY, 12, [True, False, False])],
    ids=["drift", "energy"],
)
def test_small_forms_show_what_the_full_ones_do(figure, epochs, holds, tmp_path):
    report = figure.reproduce(tmp_path, say=silent, epochs=epochs)
    assert [row["holds"] for row in report.claims] == holds


def test_rises_are_counted_above_rounding():
    assert rising("train_error")(trace([4, 3, 3 * (1 + 1e-7), 2, 2.5])) == 0.25


def test_functions_take_turns_in_their_own_time_and_the_peak_is_what_is_allocated():
    now, calls = [0.0], []

    def call(name, seconds):
        now[0] += seconds
        calls.append(name)

    functions = {name: lambda name=name, s=s: call(name, s) for name, s in {"a": 0.25, "b": 3.0}.items()}
    assert take_turns(functions, 2, clock=lambda: now[0], least=1.0) == 2 * [{"a": 0.25, "b": 3.0}]
    assert calls == ["a", "a", "b", "b", *2 * [*4 * ["a"], "b"]]
    assert 8e5 <= peak(lambda: np.ones(10**5) + 1) < 2e6


def test_rounds_of_the_cost_are_kept_and_counts_are_of_arrays(tmp_path, monkeypatch):
    small = {"draws": 2, "width": 20, "largest": 64, "largest_stored": 32, "n_inputs": 5}
    report = COST.reproduce(tmp_path, say=lambda _: None, **small)
    panels = load_curves(tmp_path / "curves.npz")
    steps, parts = panels.values()
    assert all(len(traces) == 2 for curves in (steps, parts) for traces in curves.values())
    assert steps["SAV"][0].history["epoch"].tolist() == [16, 32, 64]
    assert steps["IEQ, stored Jacobian"][0].history["epoch"].tolist() == [16, 32]
    np.testing.assert_array_equal(steps["SAV"][1].history["over_sav"], 1)
    np.testing.assert_allclose(parts["forming J"][0].history["megabytes"], [1e-6 * m * 20 * 7 * 4 for m in (16, 32)])
    monkeypatch.setattr(Cost, "_measure", lambda self: pytest.fail("measured again"))
    assert COST.reproduce(tmp_path, say=lambda _: None, **small).claims == report.claims


@pytest.mark.parametrize(("megabytes", "verdict"), [(20.0, "refuted"), (5000.0, "reproduced in part")])
def test_times_of_another_machine_refute_nothing_but_allocations_do(megabytes, verdict):
    one = trace([1, 1, 1], [16, 64, 256], seconds=[1, 1, 1], over_sav=[9, 9, 9], megabytes=3 * [megabytes])
    panels = {title: dict.fromkeys(curves, [one] * 5) for title, curves in COST.panels.items()}
    jacobian = replace(one, history={**one.history, "megabytes": np.full(3, 10.5)})
    panels["parts of a step with a stored Jacobian"]["forming J"] = [jacobian] * 5
    report = Report("", {}, {"threads": [1, 2]}, {}, 0.0, judge(COST, panels))
    assert report.headline.startswith(f"{verdict}: ")
