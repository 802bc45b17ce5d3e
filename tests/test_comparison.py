"""The comparison of all methods: the search for dt, equal terms, and claims that follow from the data."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradflow as gf
from gradflow.experiments import training
from gradflow.experiments.comparison import methods as compared_methods
from gradflow.experiments.comparison import study as comparison
from gradflow.experiments.comparison.costs import kept_costs, step_costs
from gradflow.experiments.comparison.judging import (
    below,
    best_first,
    epochs_in_time,
    errors,
    judge_problem,
    summary,
)
from gradflow.experiments.comparison.methods import METHODS, example_task, image_task
from gradflow.experiments.comparison.settings import ComparisonSettings
from gradflow.experiments.comparison.study import COMPARISON
from gradflow.experiments.comparison.tables import comparison_figure, comparison_rows
from gradflow.experiments.comparison.tuning import (
    CENTRE,
    Tuned,
    TunedMethod,
    error_at,
    lattice_dt,
    search,
    train_compared,
    tune,
)

EXAMPLE = {"n_inputs": 3, "width": 5, "n_samples": 40, "batch_size": 8, "dtype": "float64"}
TINY = {
    "epochs": 2, "tuning_epochs": 1, "tuning_seeds": 1, "seeds": 2, "points": 1, "extensions": 1, "rounds": 1, "constants": "1",
    "n_inputs": 3, "width": 5, "n_samples": 40, "batch_size": 8,
    "n_images": 40, "image_width": 3, "image_batch_size": 20,
}  # fmt: skip
LABELS = [method.label for method in METHODS]
JUDGED = ("gradient descent", "Adam", "SAV", "restarted SAV", "relaxed SAV", "restarted IEQ")


def silent(_):
    """Say nothing."""


def reproduce(out, **changes):
    return COMPARISON.reproduce(out, say=silent, **{**TINY, **changes})


def run_with(train, *, test=None, status=gf.Status.DONE):
    n = np.arange(len(train))
    train = np.asarray(train, dtype=float)
    history = {"step": 10 * n, "epoch": n * 1.0, "time": n, "energy": train}
    history["test_error"] = train if test is None else np.full(len(train), test)
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, 10 * n[-1], 0.0, 0.0)


def methods_with(levels, *, costs=(), edges=(), seeds=3, epochs=40):
    """Return methods whose errors fall by a factor e every 10 epochs, from the levels of the methods."""
    fall = np.exp(-np.arange(epochs + 1) / 10)
    methods = {}
    for label in LABELS:
        tuned = Tuned(0.1, None, label in edges, (0.01, 1.0), 5)
        runs = [run_with(levels.get(label, 1.0) * (seed + 1) * fall) for seed in range(seeds)]
        methods[label] = TunedMethod(tuned, runs, dict(costs).get(label, 1e-3), 10)
    return methods


def holds(methods, text, epochs=40):
    (claim,) = [claim for claim in judge_problem("P", methods, epochs) if text in claim.text]
    return claim.holds


# -- The search -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(-12, 12), st.sampled_from([3, 5, 7]), st.integers(0, 8))
def test_the_search_finds_a_single_minimum_within_its_reach(at, points, extensions):
    asked = []

    def score(k):
        asked.append(k)
        return float("inf") if k > at + 2 else (k - at) ** 2 + 1.0

    best, scores = search(score, points, extensions)
    half = points // 2
    assert len(asked) == len(set(asked)) <= points + extensions
    assert sorted(scores) == list(range(min(scores), max(scores) + 1))
    if abs(at - CENTRE) < half + extensions:  # one point beyond the minimum is needed to see that it is one
        assert best == at
        assert min(scores) < best < max(scores)
    elif abs(at - CENTRE) > half + extensions:
        assert best in (min(scores), max(scores))


def test_where_everything_diverges_smaller_steps_are_tried():
    best, scores = search(lambda _: float("inf"), 3, 4)
    assert best == min(scores) == CENTRE - 1 - 4
    assert max(scores) == CENTRE + 1


def test_the_lattice_has_so_many_points_a_decade():
    for per_decade in (1, 2, 3):
        for k in range(-6, 6):
            assert lattice_dt(k + per_decade, per_decade) == pytest.approx(10 * lattice_dt(k, per_decade), rel=1e-2)


def test_the_search_takes_the_pair_of_the_least_train_error_and_no_test_error(tmp_path):
    tasks = [example_task(seed, **EXAMPLE) for seed in (0, 1)]
    method = next(method for method in METHODS if method.label == "SAV")
    options = {"constants": (1.0, 100.0), "epochs": 3, "per_decade": 1, "points": 3, "extensions": 1}
    tuned = tune(tasks, method, stem=tmp_path / "a", **options)
    scores = {}
    for path in tmp_path.glob("*.npz"):
        run = gf.Solution.load(path)
        scores.setdefault((run.config["dt"], run.config["scheme"]["C"]), []).append(error_at(run, "energy", 3))
    assert len(scores) == tuned.scores
    assert all(len(errors_of_pair) == 2 for errors_of_pair in scores.values())
    assert min(scores, key=lambda pair: np.prod(scores[pair])) == (tuned.dt, tuned.constant)
    assert tuned.constant_at_edge  # of two constants either is
    around = tune(tasks, method, stem=tmp_path / "a", **{**options, "constants": (1e-3, tuned.constant, 1e6)})
    assert around.constant_at_edge is (around.constant != tuned.constant)
    plain = next(method for method in METHODS if not method.has_constant)
    assert not tune(tasks, plain, stem=tmp_path / "c", **options).constant_at_edge
    blind = [replace(task, test_error=lambda state: np.nan) for task in tasks]
    assert tune(blind, method, stem=tmp_path / "b", **options) == tuned


@pytest.mark.parametrize("stabilization", [0.5, 10.0])
@pytest.mark.parametrize("dt", [0.1, 3.0])
def test_a_stabilization_is_another_dt_for_the_methods_that_have_one(dt, stabilization):
    """That is why the search is over dt alone: module docstring of methods, equation (1)."""
    for wrap in (lambda base: base, gf.Restart, gf.Relaxed):
        for make in (gf.SAV, gf.ExpSAV, gf.ElementwiseSAV):
            ends = ends_with_and_without(lambda base: wrap(base), make, stabilization, dt)  # noqa: B023
            np.testing.assert_allclose(*ends, rtol=1e-10, atol=1e-12)


def ends_with_and_without(wrap, make, stabilization, dt, steps=5):
    """Return theta after some steps with a stabilization at dt, and without one at the dt of equation (1)."""
    part = example_task(0, **EXAMPLE)
    ends = []
    for base, step in ((make(stabilization=stabilization), dt), (make(), dt / (1 + stabilization * dt))):
        scheme = wrap(base)
        state = scheme.init(part.problem, part.theta0)
        for _ in range(steps):
            state = scheme.step(part.problem, state, step)
        ends.append(state.theta)
    return ends


@pytest.mark.parametrize(("budget", "same"), [("dissipation", True), ("numerical", True), ("increment", False)])
def test_relaxed_that_is_so_for_the_budgets_that_know_the_stabilization(budget, same):
    one, other = ends_with_and_without(lambda base: gf.Relaxed(base, budget=budget), gf.SAV, 0.5, 3.0, steps=12)
    assert np.allclose(one, other, rtol=1e-10, atol=1e-12) is same
    assert (np.max(np.abs(one - other)) > 0.1 * np.max(np.abs(one))) is not same
    assert gf.Relaxed(gf.SAV()).budget == "dissipation"  # the default
    relaxed = [method.scheme(1.0) for method in METHODS if isinstance(method.scheme(1.0), gf.Relaxed)]
    assert {scheme.budget for scheme in relaxed} == {"dissipation"}


def test_what_trains_networks_and_is_left_out_is_named():
    bases = {type(getattr(scheme, "base", scheme)) for scheme in (method.scheme(1.0) for method in METHODS)}
    schemes = {value for value in vars(gf.schemes).values() if isinstance(value, type) and hasattr(value, "step")}
    left_out = {kind for kind in schemes - bases if not getattr(kind, "_is_protocol", False)} - {gf.Restart, gf.Relaxed}
    escapes = {gf.PerturbedGradientDescent, gf.NegativeCurvatureDescent, gf.NewtonCG, gf.NoisyGradientDescent}
    second = {gf.SecondOrder, gf.LBFGS, gf.BFGS}
    assert left_out == {gf.SourceSAV, gf.MSAV, gf.RungeKutta4, gf.ImplicitEuler} | second | escapes
    for name in (
        "vanilla and relaxed IEQ",
        "SourceSAV",
        "MSAV",
        "vanilla and restarted A-SAV",
        "RK4",
        "implicit Euler",
        "second-order methods",
        "methods that leave saddles",
    ):
        assert name in compared_methods.__doc__
    assert "processor time, since" in comparison.NOTE


# -- Equal terms ------------------------------------------------------------------------------------------------


def test_of_one_seed_everything_is_the_same_and_another_seed_draws_anew():
    one, same, other = (example_task(seed, **EXAMPLE) for seed in (0, 0, 1))
    for name in ("x", "y"):
        assert np.array_equal(getattr(one.problem, name), getattr(same.problem, name))
        assert not np.array_equal(getattr(one.problem, name), getattr(other.problem, name))
    assert np.array_equal(one.theta0, same.theta0)
    assert not np.array_equal(one.theta0, other.theta0)


def test_the_images_are_the_same_for_every_seed_and_the_test_error_is_a_share():
    options = {"width": 3, "n_images": 40, "batch_size": 20, "dtype": "float32"}
    one, other = image_task(0, **options), image_task(1, **options)
    assert np.array_equal(one.problem.x, other.problem.x)
    assert not np.array_equal(one.theta0, other.theta0)
    share = float(one.test_error(gf.FlowState(one.theta0)))
    assert 0 <= share <= 1
    assert 200 * share == pytest.approx(round(200 * share), abs=1e-9)
    with pytest.raises(ValueError, match="n_images must be 1 to 1000, got 1001"):
        image_task(0, **{**options, "n_images": 1001})


def test_every_method_trains_on_the_batches_of_the_seed(tmp_path):
    task = example_task(4, **EXAMPLE)
    for method in METHODS:
        run = train_compared(task, method.scheme(1.0), dt=0.01, epochs=1, path=tmp_path / method.stem)
        assert (run.config["seed"], run.config["batch_size"], run.config["dt"]) == (4, 8, 0.01)
        assert run.history["energy"][0] == task.problem.energy(task.theta0)
        assert run.history["energy"][-1] < run.history["energy"][0]


def test_equal_time_is_that_of_gradient_descent_and_never_more_epochs():
    costs = {"gradient descent": 2e-3, "Adam": 4e-3, "restarted IEQ": 1e-2, "SAV": 1e-3}
    methods = methods_with({}, costs=costs)
    made = {label: epochs_in_time(methods, label, 40) for label in costs}
    assert made == pytest.approx({"gradient descent": 40, "Adam": 20, "restarted IEQ": 8, "SAV": 40})
    for label, epochs in made.items():
        found = errors(methods, "energy", 40, equal_time=True)[label]
        assert found == pytest.approx([error_at(run, "energy", epochs) for run in methods[label].runs])
        assert methods[label].seconds * epochs <= 40 * methods["gradient descent"].seconds * (1 + 1e-12)


def test_an_error_is_a_mean_over_the_last_tenth_and_knows_nothing_of_later():
    values = np.geomspace(1, 1e-4, 101)
    run, longer = run_with(values), run_with([*values, *np.full(50, 1e9)])
    assert error_at(run, "energy", 100) == pytest.approx(np.exp(np.mean(np.log(values[91:]))))
    for epoch in (0.5, 1, 7, 50, 100):
        assert error_at(run, "energy", epoch) == error_at(longer, "energy", epoch)
        assert error_at(run, "energy", epoch) <= error_at(run, "energy", epoch / 2)
    assert error_at(run, "energy", 0.5) == values[0]
    assert error_at(run_with([1.0, 0.1], status=gf.Status.STAGNATED), "energy", 100) == pytest.approx(0.1)
    assert error_at(run_with([1.0, 0.1], status=gf.Status.NONFINITE), "energy", 1) == np.inf


def test_costs_are_of_the_steps_taken_and_are_kept(tmp_path):
    class Thrice:
        """Gradient descent that does its work three times."""

        def init(self, problem, theta):
            return gf.GradientDescent().init(problem, theta)

        def step(self, problem, state, dt):
            return [gf.GradientDescent().step(problem, state, dt) for _ in range(3)][-1]

    task = example_task(0, **EXAMPLE)
    schemes = {"one": gf.GradientDescent(), "three": Thrice()}
    costs = step_costs(task, schemes, 11)
    assert 1.5 < costs["three"] / costs["one"] < 6
    path = tmp_path / "data" / "costs.json"
    first = kept_costs(path, task, schemes, 1)
    assert kept_costs(path, task, schemes, 1) == first == json.loads(path.read_text())
    assert set(kept_costs(path, task, {"one": gf.GradientDescent()}, 1)) == {"one"}


# -- Judging ----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 100))
def test_one_is_below_another_by_more_than_the_margin_or_not(quotient):
    assume(abs(quotient - 0.9) > 1e-6)  # rounding decides there
    methods = methods_with({"Adam": quotient, "SAV": 1.0})
    found = errors(methods, "energy", 40, equal_time=False)
    assert below(methods, found, "Adam", "SAV") is (quotient < 0.9)
    assert not (below(methods, found, "Adam", "SAV") and below(methods, found, "SAV", "Adam"))


def test_nothing_is_decided_by_few_seeds_or_for_a_loser_at_the_edge_or_across_seeds():
    few = methods_with({"Adam": 0.1}, seeds=2)
    assert below(few, errors(few, "energy", 40, equal_time=False), "Adam", "SAV") is None
    for edge, wins, loses in (("SAV", None, False), ("Adam", True, None)):
        at_edge = methods_with({"Adam": 0.1, "Nesterov": 0.01}, edges=[edge])
        found = errors(at_edge, "energy", 40, equal_time=False)
        assert below(at_edge, found, "Adam", "SAV") is wins
        assert below(at_edge, found, "Adam", "Nesterov") is loses
    methods = methods_with({})
    found = {**errors(methods, "energy", 40, equal_time=False), "Adam": np.array([1e-3, 9.0, 1e-3])}
    assert below(methods, found, "Adam", "SAV") is None
    diverged = {**found, "Adam": np.full(3, np.inf), "SAV": np.full(3, np.inf)}
    assert below(methods, diverged, "Adam", "SAV") is False


def test_the_claims_follow_from_the_errors():
    first, timed = "restarted IEQ ends lowest at equal epochs", "restarted IEQ ends lowest at equal processor time"
    same, inside = "the same method has the lowest median", "lie inside"
    best = {"restarted IEQ": 0.5, "Adam": 0.7}
    cheap = methods_with(best)
    assert holds(cheap, first) is holds(cheap, timed) is holds(cheap, same) is holds(cheap, inside) is True
    dear = methods_with(best, costs={"restarted IEQ": 1e-2})
    assert (holds(dear, first), holds(dear, timed), holds(dear, same)) == (True, False, False)
    edge = methods_with(best, edges=["RMSProp"])
    assert (holds(edge, first), holds(edge, inside)) == (None, False)
    helps, vanilla, adam = (
        "restarted or relaxed SAV ends below",
        "vanilla SAV does not end above",
        "Adam ends below SAV",
    )
    assert holds(methods_with({"relaxed SAV": 0.5}), helps) is True
    assert holds(methods_with({"SAV": 0.5}), helps) is False
    assert holds(methods_with({"SAV": 2.0}), vanilla) is False
    assert holds(methods_with({"SAV": 1.05}), vanilla) is True
    assert holds(methods_with({"Adam": 0.5}), adam) is True
    assert holds(methods_with({"Adam": 0.5, "relaxed SAV": 0.52}), adam) is False
    assert all(claim.holds is None for claim in judge_problem("P", methods_with(best, seeds=2), 40)[:7])


def test_a_low_train_error_need_not_mean_a_low_test_error():
    methods = methods_with({"Adam": 0.1})
    text = "the lowest train error has the lowest test error"
    assert holds(methods, text) is True
    over = [run_with(run.history["energy"], test=5.0) for run in methods["Adam"].runs]
    assert holds({**methods, "Adam": methods["Adam"]._replace(runs=over)}, text) is False


def test_the_summary_names_the_first_at_equal_epochs_and_at_equal_time():
    methods = methods_with({"restarted IEQ": 0.5, "Adam": 0.7}, costs={"restarted IEQ": 1e-2})
    told = summary({"P": methods}, 40)
    assert told.startswith("measured: ")
    assert "restarted IEQ after 40 epochs" in told
    assert "Adam at equal processor time" in told


def test_the_table_stands_in_the_order_of_the_errors_and_marks_the_edge():
    methods = methods_with({"Adam": 0.1, "SAV": 0.3}, edges=["SAV"])
    rows = comparison_rows({"P": methods}, 40)
    assert [row[0] for row in rows[:2]] == ["P: Adam", "P: SAV"]
    assert [row[1] for row in rows[:2]] == ["0.1", "0.1*"]
    tuned = methods["SAV"].tuned._replace(dt_at_edge=False, constant=100.0, constant_at_edge=True)
    rows = comparison_rows({"P": {**methods, "SAV": methods["SAV"]._replace(tuned=tuned)}}, 40)
    assert [row[1:3] for row in rows[:2]] == [("0.1", "-"), ("0.1", "100*")]
    assert tuned.at_edge
    assert best_first(errors(methods, "energy", 40, equal_time=False))[0] == "Adam"


def test_a_seed_that_diverged_is_said_so_in_the_table_and_in_the_evidence():
    methods = methods_with({"SAV": 0.5})
    diverged = run_with([1.0, 5.0], status=gf.Status.NONFINITE)
    methods["Adam"] = methods["Adam"]._replace(runs=[diverged, *methods["Adam"].runs[1:]])
    methods["SAV"] = methods["SAV"]._replace(runs=[methods["SAV"].runs[0]] * 3)
    errors_of = {row[0]: row[4] for row in comparison_rows({"P": methods}, 40)}
    found = errors(methods, "energy", 40, equal_time=False)
    least, middle = sorted(found["Adam"])[:2]
    assert errors_of["P: Adam"] == f"{middle:.1e} ({least:.1e} to divergence)"
    assert errors_of["P: SAV"] == f"{found['SAV'][0]:.1e}"  # all seeds alike
    (claim,) = [claim for claim in judge_problem("P", methods, 40) if "Adam ends below" in claim.text]
    assert claim.evidence.startswith(f"Adam {middle:.2e} ({least:.2e} to divergence), SAV {found['SAV'][0]:.2e}, ")


def test_the_figure_has_a_line_for_each_method_in_epochs_and_in_seconds():
    methods = methods_with({}, costs={"restarted IEQ": 1e-2})
    diverged = run_with([1.0, 5.0, 7.0], status=gf.Status.NONFINITE)
    still = run_with([1.0, 0.5], status=gf.Status.STAGNATED)
    methods["Adam"] = methods["Adam"]._replace(runs=[diverged] * 3)
    methods["SAV"] = methods["SAV"]._replace(runs=[still, *methods["SAV"].runs[1:]])
    figure = comparison_figure({"P": methods}, {"P": ("train error", "test error")}, 40, "title")
    over_epochs, over_time, tests = figure.axes
    curves = {label: (over_epochs.lines[n], over_time.lines[n]) for n, label in enumerate(LABELS)}
    for label, (in_epochs, in_seconds) in curves.items():
        assert in_epochs.get_xdata()[-1] == (2 if label == "Adam" else 40)
        assert in_epochs.get_xdata()[0] == 1  # the start has no place on a logarithmic axis of time
        np.testing.assert_allclose(in_seconds.get_xdata(), methods[label].seconds * in_epochs.get_xdata())
        np.testing.assert_array_equal(in_seconds.get_ydata(), in_epochs.get_ydata())
    assert next(label.get_text() for label in tests.get_yticklabels()) == "Adam"  # the worst at the bottom


@pytest.mark.parametrize("diverging", [1, 3])
def test_draws_that_diverge_are_not_lost_from_the_figure(diverging):
    methods = methods_with({}, seeds=5)
    whole = methods["Adam"].runs
    bad = [run_with([1.0, 0.9, 0.8], status=gf.Status.NONFINITE)] * diverging
    methods["Adam"] = methods["Adam"]._replace(runs=[*bad, *whole[diverging:]])
    over_epochs, _, tests = comparison_figure({"P": methods}, {"P": ("train error", "test error")}, 40, "title").axes
    number = LABELS.index("Adam")
    middle = over_epochs.lines[number].get_ydata()
    found = np.array([np.inf] * diverging + [run.history["energy"][-1] for run in whole[diverging:]])
    assert np.isnan(middle[-1]) if diverging == 3 else middle[-1] == np.median(found)
    assert np.isfinite(middle[:2]).all()  # epochs 1 and 2
    height = [label.get_text() for label in tests.get_yticklabels()].index("Adam")
    at = [line for line in tests.lines if abs(line.get_ydata()[0] - height) < 0.3]
    assert max(float(np.max(line.get_xdata())) for line in at) > tests.get_xlim()[1]  # the range leaves the panel
    marks = [line for line in at if line.get_marker() == "o"]
    assert len(marks) == (2 if diverging == 1 else 0)


# -- The experiment ---------------------------------------------------------------------------------------------


def theta_of(folder):
    return {path.stem: gf.Solution.load(path).theta.tobytes() for path in (folder / "data").glob("*.npz")}


def without_figure(monkeypatch):
    """Drawing takes most of the time of a tiny comparison."""
    for name in ("comparison_figure", "save_figure"):
        monkeypatch.setattr(comparison, name, lambda *_: None)


def test_files_are_written_and_the_same_again(tmp_path, monkeypatch):
    outcome = reproduce(tmp_path)
    assert len(outcome.rows) == 2 * len(METHODS)
    assert len(outcome.claims) == 16
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == outcome.verdict
    assert outcome.verdict.startswith("measured: ")
    for suffix in ("png", "svg"):
        assert (tmp_path / f"comparison.{suffix}").stat().st_size > 10_000
    before = theta_of(tmp_path)
    assert {name.rpartition("-")[2] for name in before if "search" not in name} == {"seed1", "seed2"}
    assert all(gf.Solution.load(p).config["seed"] == 0 for p in (tmp_path / "data").glob("*search*.npz"))
    without_figure(monkeypatch)
    assert reproduce(tmp_path) == outcome
    assert theta_of(tmp_path) == before


def test_an_interrupted_comparison_goes_on_and_more_epochs_do_too(tmp_path, monkeypatch):
    without_figure(monkeypatch)
    monkeypatch.setattr(comparison, "METHODS", [method for method in METHODS if method.label in JUDGED])
    whole = tmp_path / "whole"
    reproduce(whole, epochs=2)
    reproduce(whole, epochs=3)
    steps = []

    def interrupt(step, state):
        steps.append(step)
        if len(steps) == 60:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "solve", lambda *a, **k: gf.solve(*a, **k, callback=interrupt))
        with pytest.raises(KeyboardInterrupt):
            reproduce(tmp_path / "broken", epochs=3)
    assert not (tmp_path / "broken" / "report.json").exists()
    reproduce(tmp_path / "broken", epochs=3)
    assert theta_of(tmp_path / "broken") == theta_of(whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds must be a whole number >= 1, got 0"),
        ({"points": 4}, "points must be odd, got 4"),
        ({"extensions": -1}, "extensions must be a whole number >= 0, got -1"),
        ({"constants": "1 -2"}, "constants must be different numbers > 0"),
        ({"constants": ""}, "constants must be different numbers > 0"),
        ({"constants": "1 1.0"}, "constants must be different numbers > 0"),
        ({"batch_size": 33}, "batch_size must be"),
        ({"image_batch_size": 41}, "batch_size must be"),
        ({"n_images": 0}, "n_images must be 1 to 1000, got 0"),
        ({"dtype": "float16"}, "float32 or float64"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        reproduce(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_the_quick_form_is_smaller_and_decides_by_as_many_seeds():
    full, quick = COMPARISON.full, COMPARISON.quick
    assert isinstance(full, ComparisonSettings)
    assert quick.epochs < full.epochs
    assert quick.tuning_epochs < full.tuning_epochs
    assert min(full.seeds, quick.seeds) >= 3
