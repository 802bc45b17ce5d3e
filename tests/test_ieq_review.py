"""The review of IEQ: what drifts, which energy falls, what a step costs; claims follow from the curves and catch impostors."""

from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments.figure import Report, judge
from gradflow.experiments.ieq_review import COST, DRIFT, ENERGY, Cost, Review, peak, rising, take_turns
from gradflow.experiments.traces import Trace, load_curves


def trace(status="done", **history):
    n = len(next(iter(history.values())))
    values = {name: np.asarray(of, dtype=np.float32) for name, of in {"epoch": np.arange(n), **history}.items()}
    return Trace(values, status)


class Copies(gf.DenseLeastSquares):
    """N copies of the residual q_i = theta."""

    def __init__(self, n_samples, rows=None):
        self.n_samples = n_samples if rows is None else len(rows)
        self.whole, self.rows = n_samples, rows
        super().__init__(lambda t: np.repeat(t, self.n_samples), lambda t: np.ones((self.n_samples, 1)))

    def batch(self, indices):
        return Copies(self.whole, indices)

    def gather(self, q_full):
        return q_full[self.rows]

    def scatter(self, q_full, q_batch):
        q = np.array(q_full)
        q[self.rows] = q_batch
        return q


@pytest.mark.parametrize(("N", "dt", "seed"), [(4, 9.0, 0), (16, 0.5, 1), (3, 100.0, 2)])
def test_copies_in_batches_of_one_go_to_1_minus_N(N, dt, seed):
    """The derivation's law of stored residuals, by the loop that trains: theta = 1 - N (1 - (1 + dt)^-k) in any order."""
    record = {"epochs": 6, "batch_size": 1, "seed": seed, "every": N, "record": [("theta", lambda s: s.theta[0])]}
    run = gf.solve(Copies(N), gf.IEQ(), np.ones(1), dt=dt, **record)
    k = run.history["epoch"]
    np.testing.assert_allclose(run.history["theta"], 1 - N * (1 - (1 + dt) ** -k), rtol=0, atol=1e-12 * N)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return reports and curves of small forms of the two figures of the network."""
    made = {}
    for figure, epochs in ((DRIFT, 5), (ENERGY, 12)):
        folder = tmp_path_factory.mktemp(figure.name)
        report = figure.reproduce(folder, say=lambda _: None, epochs=epochs)
        made[figure.name] = figure, report, load_curves(folder / "curves.npz")
    return made


def test_small_forms_show_what_the_full_ones_do_and_can_be_judged_again(results):
    figure, report, panels = results["ieq-review-drift"]
    assert [row["holds"] for row in report.claims] == [True] * 5
    assert report.headline.startswith("reproduced: 5 hold")
    assert judge(figure, panels) == report.claims
    figure, report, panels = results["ieq-review-energy"]
    assert [row["holds"] for row in report.claims] == [True, False, False]
    assert report.headline.startswith("refuted: 1 hold, 2 fail")
    assert judge(figure, panels) == report.claims


@pytest.mark.parametrize(
    ("name", "curve", "impostor", "after"),
    [
        ("drift", "vanilla IEQ", "restarted IEQ", [None, False]),
        ("drift", "restarted IEQ", "vanilla IEQ", [True, True, True, True, False]),
        ("energy", "vanilla IEQ", "restarted IEQ", [False]),
    ],
)
def test_another_method_in_the_place_of_one_is_caught(results, name, curve, impostor, after):
    figure, _, panels = results[f"ieq-review-{name}"]
    swapped = {title: {**curves, curve: curves[impostor]} for title, curves in panels.items()}
    assert [row["holds"] for row in judge(figure, swapped)][: len(after)] == after


def test_rises_are_counted_above_rounding():
    assert rising("energy")(trace(energy=[4, 3, 3 * (1 + 1e-7), 2, 2.5])) == 0.25


def test_functions_take_turns_in_their_own_time_and_the_peak_is_what_is_allocated():
    now, calls = [0.0], []

    def call(name, seconds):
        now[0] += seconds
        calls.append(name)

    functions = {name: lambda name=name, s=s: call(name, s) for name, s in {"a": 0.25, "b": 3.0}.items()}
    assert take_turns(functions, lambda: now[0], 1.0) == {"a": 0.25, "b": 3.0}
    assert calls == ["a", "a", "b", "b", *4 * ["a"], "b"]
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
    assert judge(COST, panels) == report.claims
    monkeypatch.setattr(Cost, "_measure", lambda self: pytest.fail("measured again"))
    assert COST.reproduce(tmp_path, say=lambda _: None, **small).claims == report.claims


@pytest.mark.parametrize(("megabytes", "verdict"), [(20.0, "refuted"), (5000.0, "reproduced in part")])
def test_times_of_another_machine_refute_nothing_but_allocations_do(megabytes, verdict):
    one = trace(epoch=[16, 64, 256], seconds=[1, 1, 1], over_sav=[9, 9, 9], megabytes=3 * [megabytes])
    panels = {title: dict.fromkeys(curves, [one] * 5) for title, curves in COST.panels.items()}
    jacobian = replace(one, history={**one.history, "megabytes": np.full(3, 10.5)})
    panels["parts of a step with a stored Jacobian"]["forming J"] = [jacobian] * 5
    report = Report("", {}, {"threads": [1, 2]}, {}, 0.0, judge(COST, panels))
    assert report.headline.startswith(f"{verdict}: ")


def test_wrong_settings_are_refused():
    for task, changes in ((Review, {"epochs": 0}), (Cost, {"largest": 8})):
        with pytest.raises(ValueError, match="must be a whole number >= "):
            task(**changes)
