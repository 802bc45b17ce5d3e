"""Figure 2: its claims follow from the runs, its verdict from the claims; and the inner products it is run in."""

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import Claim
from gradflow.experiments.ma2024 import fig2 as ma2024_fig2
from gradflow.experiments.ma2024.curves import SMOOTHED
from gradflow.experiments.ma2024.products import PRODUCTS, InconsistentProduct
from gradflow.experiments.ma2024.tasks import TaskSettings, regression_task, unsaid

FALLING = 10.0 ** -(np.arange(101.0) / 6)  # 1e-10 after 600 epochs
LABELS = [getattr(ma2024_fig2, name) for name in ("EULER", "CAPTION", "TEXT", "RESTARTED", "RELAXED", "INCONSISTENT")]


def verdict(*holds, changed="half of it"):
    claims = [Claim(f"claim {i}" + SMOOTHED * (i >= 7), h, f"evidence {i}") for i, h in enumerate(holds)]
    return ma2024_fig2.verdict(claims, changed)


def test_the_verdict_follows_from_the_claims():
    stated = "with a stated change: half of it"
    both = "SAV lies on explicit Euler's curve with the lambda of the caption and with the lambda of the text"
    assert verdict(*[True] * 7).startswith(f"reproduced {stated}; {both} and restarted and relaxed")
    mended = verdict(True, True, False, False, True, False, True)
    assert mended.startswith(f"reproduced in part {stated}; 4 of 7 claims hold; what fails: claim 2 (evidence 2); ")
    assert mended.endswith("; SAV lies on explicit Euler's curve restarted and with r in the other product")
    none = verdict(True, True, *[False] * 5)
    assert none.endswith("; SAV lies on explicit Euler's curve in no form for certain")
    assert verdict(None, *[True] * 6).startswith("not decided: 6 of 7 claims hold, 1 open: claim 0")
    assert verdict(True, False, *[True] * 5, changed="").startswith("refuted: claim 1 fails (evidence 1)")


def test_the_verdict_counts_both_methods():
    told = verdict(*[True] * 7, *[False] * 7)
    assert told.startswith("reproduced in part with a stated change: half of it; 7 of 14 claims hold")
    assert told.endswith(f"in no form for certain{SMOOTHED}")


def run_with(energy, dtype="float32", status=gf.Status.DONE, test_error=2e-3):
    n = np.arange(len(energy))
    history = {
        "step": n,
        "epoch": 10.0 * n,
        "time": n,
        "train_error": np.asarray(energy, dtype=dtype),
        "test_error": np.full(len(n), test_error),
        "auxiliary_ratio": np.ones(len(n)),
    }
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, len(n), 0.0, 0.0)


def draws_with(*draws):
    """Return the runs by label: explicit Euler's for those that a draw does not give."""
    return {label: [draw.get(label, draw[ma2024_fig2.EULER]) for draw in draws] for label in LABELS}


def holds(*draws):
    return [claim.holds for claim in ma2024_fig2.judge(draws_with(*draws))]


def test_curves_are_judged_by_their_numbers():
    draw = {
        ma2024_fig2.EULER: run_with(FALLING),
        ma2024_fig2.CAPTION: run_with(FALLING**0.8),
        ma2024_fig2.TEXT: run_with(np.full(101, 0.3)),
        ma2024_fig2.RELAXED: run_with(np.where(np.arange(101) < 20, FALLING, np.inf)),
        ma2024_fig2.INCONSISTENT: run_with(FALLING[:4], status=gf.Status.NONFINITE),
    }
    assert holds(draw) == [True, True, True, None, True, None, None]  # one draw, or a few, refute nothing
    assert holds(*[draw] * 5) == [True, True, True, False, True, False, False]


def test_explicit_euler_must_fall_in_time_for_every_draw():
    good, slow, short = (run_with(curve) for curve in (FALLING, np.sqrt(FALLING), np.sqrt(FALLING[:20])))
    diverged = run_with(FALLING[:1], status=gf.Status.NONFINITE)
    found = [holds({ma2024_fig2.EULER: run})[0] for run in (good, slow, short, diverged)]
    assert found == [True, False, None, False]
    assert holds({ma2024_fig2.EULER: good}, {ma2024_fig2.EULER: slow})[0] is False
    assert holds({ma2024_fig2.EULER: good}, {ma2024_fig2.EULER: short})[0] is None


def test_a_test_error_outside_the_spread_of_enough_draws_counts():
    short = {ma2024_fig2.EULER: run_with(np.sqrt(FALLING[:20]), test_error=0.5)}
    long = {ma2024_fig2.EULER: run_with(FALLING, test_error=0.5)}
    assert [holds(short)[1], holds(long)[1], holds(*[long] * 5)[1]] == [None, None, False]


def test_the_smoothed_method_has_levels_of_its_own():
    curves = draws_with(*[{ma2024_fig2.EULER: run_with(np.full(1001, 2e-6), test_error=7e-4)}] * 5)
    assert [claim.holds for claim in ma2024_fig2.judge(curves, ", smoothed")][:2] == [True, True]
    assert [claim.holds for claim in ma2024_fig2.judge(curves)][:2] == [False, False]
    short = draws_with(*[{ma2024_fig2.EULER: run_with(np.full(101, 2e-6), test_error=7e-4)}] * 5)
    assert [claim.holds for claim in ma2024_fig2.judge(short, ", smoothed")][:2] == [None, None]


def test_curves_are_compared_where_explicit_euler_is_finite():
    good = {ma2024_fig2.EULER: run_with(FALLING), ma2024_fig2.TEXT: run_with(np.ones(101))}
    diverged = {
        ma2024_fig2.EULER: run_with(FALLING[:1], status=gf.Status.NONFINITE),
        ma2024_fig2.TEXT: run_with(FALLING),
    }
    assert holds(diverged, *[good] * 5)[2:] == [True, False, True, True, True]
    assert holds(diverged)[2:] == [None] * 5


def test_below_round_off_curves_count_as_one():
    noise = np.random.default_rng(0).uniform(size=(2, 49))
    a, b = (run_with(np.concatenate([[1.0], 10.0 ** (-14.5 - 3 * n)])) for n in noise)
    assert ma2024_fig2._gap(a, b) == 0
    assert ma2024_fig2._gap(a, run_with(np.ones(50))) == np.inf


@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_an_inconsistent_product_changes_the_update_of_r_alone(time_scale):
    settings = TaskSettings(epochs=1, n_inputs=3, width=10, n_samples=60, dtype="float64", time_scale=time_scale)
    tasks = {product: regression_task(settings, 0, product=product) for product in PRODUCTS}
    theta = tasks["consistent"].theta0
    E, g = tasks["consistent"].problem.energy_and_gradient(theta)
    mass = tasks["consistent"].problem.mass
    for product, weight in zip(PRODUCTS, (mass, mass**2, 1.0), strict=True):
        problem = tasks[product].problem
        other = problem.energy_and_gradient(theta)
        assert other[0] == E
        np.testing.assert_array_equal(other[1], g)
        assert problem.inner(g, g) == pytest.approx(weight * (g @ g), rel=1e-14)
        assert problem.batch(slice(0, 8)).inner(g, g) == problem.inner(g, g)
        if product != "consistent":
            assert problem.describe() != tasks["consistent"].problem.describe()
        if time_scale == "autograd":
            assert problem.inner(g, g) == tasks["consistent"].problem.inner(g, g)


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_product_is_a_setting_which_a_curve_may_override(product):
    settings = TaskSettings(epochs=1, n_inputs=3, width=5, n_samples=50, product=product)
    set_, asked = regression_task(settings, 0), regression_task(settings, 0, product="consistent")
    assert getattr(set_.problem, "product", "consistent") == product
    assert type(asked.problem) is gf.Regression
    assert ("r updated in the product of the" in unsaid(settings)) is (product != "consistent")
    with pytest.raises(ValueError, match="product must be one of"):
        TaskSettings(epochs=1, product="other")


def test_unknown_products_are_refused():
    task = regression_task(TaskSettings(epochs=1, n_inputs=3, width=5, n_samples=50), 0)
    with pytest.raises(ValueError, match="product must be one of partial_derivatives, velocity; got 'other'"):
        InconsistentProduct(task.problem, "other")
