"""The four experiments of the empirical study: what is run, what is claimed, and what its own stored results say."""

from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import empirical
from gradflow.experiments.claims import read
from gradflow.experiments.empirical import EMPIRICAL, WHERE, RegressionTask
from gradflow.experiments.figure import judge
from toy_figures import trace

EXP1, EXP2, EXP3, EXP4 = EMPIRICAL


def test_stored_results_are_judged_without_a_run():
    def told(figure):
        return {row["claim"].removeprefix("stored result of "): row["holds"] for row in judge(figure, {})}

    assert [text for text, holds in told(EXP1).items() if not holds] == [
        "stored results of SAV, ExpSAV, IEQ and adaptive IEQ: share of epochs whose test error is the train error"
    ]
    assert told(EXP2)["SGD: train at epoch 100"] is False
    assert told(EXP2)["IEQ: test at epoch 50"] is True
    assert told(EXP3)["ExpSAV: epochs with a finite test loss"] is False
    accuracies = told(EXP4)
    assert accuracies["SGD: misclassified at epoch 50"] is False  # 92.8 per cent, not 60
    assert accuracies["adaptive IEQ: misclassified at epoch 50"] is True
    assert accuracies["Adam: epochs with a finite test loss"] is False  # Table 3.8 has its time


def test_an_order_is_met_by_what_rounds_to_it_or_begins_with_it():
    ours, stored = empirical.orders(1, 2, ("SGD", "train", 1e-2, 1e-2))
    for value, holds in ((0.0033, True), (0.099, True), (0.003, False), (0.11, False), (np.inf, False)):
        curves = {WHERE["SGD"]: [trace([1, value, value])] * 5}
        assert ours.holds(ours.value(curves)) is holds
    assert stored.labels == ()


def test_the_nearest_form_counts_and_a_short_one_leaves_it_open():
    labels = [WHERE[label] for label in empirical.FORMS["IEQ"]]
    claim = empirical.of_nearest("", "IEQ", lambda t: read(t, "train_error", 2), 1.0, 10.0)
    far, near, short = trace([1, 1, 1e4]), trace([1, 1, 20]), trace([1, 5])
    assert claim.value(dict(zip(labels, ([far] * 2, [near] * 2), strict=True))).tolist() == pytest.approx([20, 20])
    assert np.isnan(claim.value(dict(zip(labels, ([far] * 2, [short] * 2), strict=True)))).all()
    inside = claim.value(dict(zip(labels, ([trace([1, 1, 3])] * 2, [short] * 2), strict=True)))
    assert inside.tolist() == pytest.approx([3, 3])


@pytest.mark.parametrize("number", [1, 4])
def test_every_entry_of_the_table_of_times_has_an_interval(number):
    claims = empirical.times(number)
    assert len(empirical.TABLE_3_8[number]) == 5
    for claim, entry in zip(claims, [1.0, *empirical.TABLE_3_8[number].values()], strict=True):
        curves = {label: [replace(trace([1, 1]), seconds=entry)] * 5 for label in claim.labels}
        curves[WHERE["SGD"]] = [replace(trace([1, 1]), seconds=1.0)] * 5
        assert claim.low <= claim.value(curves)[0] <= claim.high
        curves[claim.labels[0]] = [replace(trace([1, 1]), seconds=1.3 * entry * (n + 1)) for n in range(5)]
        assert claim.holds(claim.value(curves)) is not True
    curves = {label: [replace(trace([1, 1]), seconds=d) for d in (1.0, 1.5)] for label in claims[1].labels}
    assert claims[0].holds(claims[0].value(curves)) is None
    assert np.isnan(claims[1].value(curves)).all()  # on a machine on which SGD's times do not repeat


def test_the_scales_of_the_targets():
    draw = RegressionTask(target="quadratic", epochs=1, width=2, n_samples=20_000).draw(0)
    c = gf.datasets.quadratic(40, 10, seed=0, coefficients="normal").coefficients["c"]
    assert np.var(draw.problem.y) == pytest.approx(500 / 9 * np.sum(np.square(c)), rel=0.05)
    draw = RegressionTask(target="gaussian", epochs=1, width=2, n_samples=1000).draw(0)
    at_zero = {name: f(gf.FlowState(0 * draw.theta0)) for name, f in draw.how["record"][1:]}
    assert at_zero["test_error"] < 1e-7
    assert at_zero["unexplained"] == pytest.approx(1, abs=0.1)
