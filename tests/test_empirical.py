"""The empirical study's regressions: thresholds, methods as printed, tasks, and claims that the data decide."""

import dataclasses
import json
from math import e, inf, nan

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import Claim, training
from gradflow.experiments.empirical import corrections, exp1, exp2, exp3
from gradflow.experiments.empirical import explanations as why
from gradflow.experiments.empirical import report as empirical_report
from gradflow.experiments.empirical import study as empirical_study
from gradflow.experiments.empirical.judging import any_of, level, never_below, unless_short, verdict, whenever
from gradflow.experiments.empirical.methods import COLUMNS, FORMS, PRINTED_FORMS, columns_of, empirical_methods
from gradflow.experiments.empirical.orders import Order, of_order, order_claims
from gradflow.experiments.empirical.report import Thresholds, method_table
from gradflow.experiments.empirical.tasks import INITS, EmpiricalSettings, empirical_task, unsaid
from gradflow.experiments.empirical.thresholds import epochs_to, spread_text
from gradflow.experiments.empirical.times import REGRESSION_TIMES, epoch_times, step_times

MODULES = {"exp1": exp1, "exp2": exp2, "exp3": exp3}
EXPERIMENTS = {"exp1": exp1.EMPIRICAL_EXP1, "exp2": exp2.EMPIRICAL_EXP2, "exp3": exp3.EMPIRICAL_EXP3}
TINY = {"epochs": 2, "record_epochs": 1, "n_inputs": 3, "width": 10, "n_samples": 400, "draws": 2}
SMALL = EmpiricalSettings(target="sin_cos", epochs=1, n_inputs=3, width=10, n_samples=400, dtype="float64")


def silent(_):
    """Say nothing."""


def run_with(train, *, test=None, status=gf.Status.DONE, step=1.0, wall=1.0, **others):
    n = np.arange(len(train))
    history = {
        "step": n,
        "epoch": step * n,
        "time": n,
        "train_mse": np.asarray(train, dtype=float),
        "test_mse": np.asarray(train if test is None else test, dtype=float),
        **{name: np.asarray(values, dtype=float) for name, values in others.items()},
    }
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, len(n), wall, wall)


# -- Thresholds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_epochs_to_a_threshold_is_the_first_record_at_or_beyond_it(seed):
    values = np.random.default_rng(seed).random(30)
    run = run_with(values, step=3.0)
    for at in (0.0, 0.05, 0.5, values.min(), values.max(), 2.0):
        below, above = epochs_to(run, "train_mse", at), epochs_to(run, "train_mse", at, above=True)
        assert below == next((3.0 * i for i, v in enumerate(values) if v <= at), inf)
        assert above == next((3.0 * i for i, v in enumerate(values) if v >= at), inf)
    levels = [epochs_to(run, "train_mse", at) for at in np.linspace(0, 1, 20)]
    assert levels == sorted(levels, reverse=True)


def test_what_is_no_number_has_not_reached_a_threshold():
    run = run_with([1.0, nan, inf], status=gf.Status.NONFINITE)
    assert epochs_to(run, "train_mse", 0.5) == inf
    assert epochs_to(run, "train_mse", 5.0, above=True) == 2.0
    with pytest.raises(ValueError, match=r"name must be one of .*train_mse.*; got 'loss'"):
        epochs_to(run, "loss", 1.0)
    with pytest.raises(ValueError, match="level must be a number"):
        epochs_to(run, "train_mse", nan)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([7], "7, 1 of 1 reach it"),
        ([12, 10, 15], "12 (10 to 15), 3 of 3 reach it"),
        ([inf, 10, 15], "15 (10 to never), 2 of 3 reach it"),
        ([inf, 10, inf, 15], "never (10 to never), 2 of 4 reach it"),
        ([inf, inf], "never, 0 of 2 reach it"),
    ],
)
def test_a_spread_counts_what_never_gets_there(values, text):
    assert spread_text(values) == spread_text(reversed(values)) == text
    assert text.endswith(f"{sum(v < inf for v in values)} of {len(values)} reach it")


@pytest.mark.parametrize("values", [[], [1.0, nan]])
def test_a_spread_needs_numbers(values):
    with pytest.raises(ValueError, match="values must be numbers"):
        spread_text(values)


# -- Methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_every_form_that_a_column_or_a_claim_names_is_run(module):
    methods = empirical_methods(module.PRINTED)
    named = {name for column in COLUMNS.values() for name in column.values()}
    assert named == set(methods)
    assert {name for forms in FORMS.values() for name in forms} < named
    for family, forms in FORMS.items():  # all forms of a method share its hyper-parameters
        assert len({(methods[name].dt, methods[name].batch_size, methods[name].loss) for name in forms}) == 1, family


def test_shares_are_shares():
    for wrong in (0.0, 1.5):
        with pytest.raises(ValueError, match="kept_share must be in"):
            empirical_methods(exp1.PRINTED, kept_share=wrong)
        with pytest.raises(ValueError, match="ieq_share must be in"):
            empirical_methods(exp1.PRINTED._replace(ieq_share=wrong))


def test_r_cancels_from_the_sav_of_section_2_2_3():
    """What is printed, with r carried from a wrong start, moves theta as restarted SAV does."""
    task = empirical_task(SMALL, 0)
    method = empirical_methods(exp1.PRINTED)["SAV (2.2.3)"]
    C, stabilization, dt = 100.0, 4.0, method.dt
    theta, r, state = task.theta0.copy(), 123.0, method.scheme.init(task.train, task.theta0)
    for _ in range(5):
        E, g = task.train.energy_and_gradient(theta)
        A = 1 + dt * stabilization
        new = r / (1 + dt * (g @ g / A) / (2 * (E + C)))
        theta, r = theta - (new / r) * dt * g / A, new
        state = method.scheme.step(task.train, state, dt)
    np.testing.assert_allclose(theta, state.theta, rtol=1e-12)


def test_the_step_of_theorem_2_2_is_bounded_by_its_variable():
    task = empirical_task(SMALL, 1)
    method = empirical_methods(exp1.PRINTED)["ExpSAV (Theorem 2.2)"]
    state = method.scheme.init(task.train, task.theta0)
    r = np.exp(task.train.energy(task.theta0))
    for _ in range(5):
        _, g = task.train.energy_and_gradient(state.theta)
        sigma = g @ g / (1 + method.dt)  # lambda is 1
        new = r**2 / (r + method.dt * sigma)
        after = method.scheme.step(task.train, state, method.dt)
        np.testing.assert_allclose(
            after.theta, state.theta - (new / r**2) * method.dt * g / (1 + method.dt), rtol=1e-12
        )
        assert np.linalg.norm(after.theta - state.theta) <= method.dt / r * np.linalg.norm(g)
        state, r = after, new


def test_the_printed_adaptive_ieq_divides_by_the_residuals_of_all_samples():
    task = empirical_task(SMALL, 2)
    methods = empirical_methods(exp1.PRINTED)
    q = task.half_sum.linearize(task.theta0).residual
    part = task.train.batch(np.arange(16))
    _, g = part.energy_and_gradient(task.theta0)
    squares = {"vanilla": q @ q, "batch": q[:16] @ q[:16], "inv.": 2 * part.energy(task.theta0)}
    for form, square in squares.items():
        method = methods[f"IEQ-adaptive ({form})"]
        scheme, dt = method.scheme, method.dt
        state = scheme.init(task.train, task.theta0)
        alpha = 1 / (1 + dt * (g @ g) / (square + 1e-8))
        np.testing.assert_allclose(scheme.step(part, state, dt).theta, task.theta0 - dt * alpha * g, rtol=1e-12)


def test_restarted_ieq_is_levenberg_marquardt_on_the_sum_over_the_batch():
    task = empirical_task(SMALL, 0)
    method = empirical_methods(exp1.PRINTED)["restarted IEQ"]
    part = task.half_sum.batch(np.arange(7))
    at = part.linearize(task.theta0)
    J = at.jacobian()
    step = -np.linalg.solve(J.T @ J + np.eye(J.shape[1]) / method.dt, J.T @ at.residual)
    after = method.scheme.step(part, method.scheme.init(part, task.theta0), method.dt)
    np.testing.assert_allclose(after.theta - task.theta0, step, rtol=1e-9, atol=1e-13)
    assert task.half_sum.batch(np.arange(7)).energy(task.theta0) == pytest.approx(
        3.5 * task.train.batch(np.arange(7)).energy(task.theta0)
    )  # dt with the sum over B is dt B / 2 with the mean


# -- Tasks ------------------------------------------------------------------------------------------------------


def test_a_draw_is_new_in_everything_and_the_same_each_time():
    one, same, other = (empirical_task(SMALL, draw) for draw in (0, 0, 1))
    for part in ("train", "half_sum", "test"):
        a, b, c = (getattr(task, part) for task in (one, same, other))
        assert np.array_equal(a.x, b.x)
        assert np.array_equal(a.y, b.y)
        assert not np.array_equal(a.x, c.x)
    assert np.array_equal(one.theta0, same.theta0)
    assert not np.array_equal(one.theta0, other.theta0)


@pytest.mark.parametrize("init", INITS)
def test_the_laws_of_the_initial_parameters(init):
    D, m = 9, 4000
    settings = EmpiricalSettings(target="sin_cos", epochs=1, n_inputs=D, width=m, n_samples=10, init=init)
    task = empirical_task(settings, 0)
    W, a = task.train.net.unpack(task.theta0.astype("float64"))
    wanted = {"kaiming": (2 / m, 2.0), "he": (2 / (D + 1), 2 / m), "linear": (1 / (3 * (D + 1)), 1 / (3 * m))}[init]
    assert np.var(W) == pytest.approx(wanted[0], rel=0.05)
    assert np.var(a) == pytest.approx(wanted[1], rel=0.1)
    assert task.train.net.scale == 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", "cubic"),
        ("init", "zeros"),
        ("coefficients", "given"),
        ("inputs", "scaled"),
        ("draws", 0),
        ("seed", -1),
    ],
)
def test_wrong_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*; got|{name} must be a .* number >= ., got"):
        EmpiricalSettings(**{"target": "sin_cos", "epochs": 1, name: value})


# -- Experiments ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=EXPERIMENTS)
def results(request, tmp_path_factory):
    """Return an experiment, a folder of its results, and what it came to; only the first keeps its figure, which takes seconds."""
    folder = tmp_path_factory.mktemp(request.param)
    experiment = EXPERIMENTS[request.param]
    figures = []
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "exp1":
            patch.setattr(empirical_report, "save_figure", lambda figure, path: figures.append((figure, path)))
        outcome = experiment.reproduce(folder, say=silent, **TINY)
    for figure, path in figures:
        assert path == folder / experiment.name
        assert len(figure.axes) == 6
    return experiment, folder, outcome


def thetas(folder):
    return {path.stem: gf.Solution.load(path).theta.tobytes() for path in sorted((folder / "data").glob("*.npz"))}


def test_every_form_is_run_for_every_draw_and_kept(results):
    experiment, folder, outcome = results
    assert len(thetas(folder)) == 2 * 12
    assert [row[0] for row in outcome.rows] == list(empirical_methods(exp1.PRINTED))
    assert json.loads((folder / "report.json").read_text())["verdict"] == outcome.verdict
    for suffix in ("png", "svg") if experiment is EXPERIMENTS["exp1"] else ():
        assert (folder / f"{experiment.name}.{suffix}").stat().st_size > 10_000
    decided = outcome.verdict.startswith(("refuted", "reproduced:", "reproduced with"))
    assert not decided  # two epochs of a small network are too few for what was published
    assert any(claim.holds is None for claim in outcome.claims)


def test_the_table_is_what_the_runs_say(results):
    experiment, folder, outcome = results
    table = {row[0]: dict(zip(outcome.header, row, strict=True)) for row in outcome.rows}
    settings = experiment.settings(**TINY)
    errors = []
    for draw in range(2):
        task = empirical_task(settings, draw)
        run = gf.Solution.load(folder / "data" / f"1-{draw}")
        errors.append(float(np.mean((task.test.net(run.theta, task.test.x) - task.test.y) ** 2)))
    low, _, high = table["Adam"]["test MSE"].partition(" to ")
    assert float(low) == pytest.approx(min(errors), rel=0.06)
    assert float(high or low) == pytest.approx(max(errors), rel=0.06)
    assert (table["SGD"]["time/epoch"], table["SGD"]["published time"]) == ("1.0", "1")


def test_what_is_there_is_taken_up(tmp_path, monkeypatch):
    experiment, calls = EXPERIMENTS["exp1"], []
    monkeypatch.setattr(empirical_study, "draw_columns", lambda *_, **__: None)

    def interrupted(*args, **kwargs):
        calls.append(1)
        return gf.solve(*args, **kwargs, callback=(lambda step, state: step == 2) if len(calls) == 7 else None)

    changes = {**TINY, "draws": 1}
    with monkeypatch.context() as patch:
        patch.setattr(training, "solve", interrupted)
        with pytest.raises(KeyboardInterrupt):
            experiment.reproduce(tmp_path / "broken", say=silent, **changes)
    assert len(calls) == 7
    experiment.reproduce(tmp_path / "broken", say=silent, **changes)
    experiment.reproduce(tmp_path / "whole", say=silent, **changes)
    assert thetas(tmp_path / "broken") == thetas(tmp_path / "whole")
    with pytest.raises(ValueError, match="holds results of other settings"):
        experiment.reproduce(tmp_path / "whole", say=silent, **{**changes, "init": "he"})


# -- Judging ----------------------------------------------------------------------------------------------------


def at_order(*values, epochs=100, **kwargs):
    runs = [run_with(np.full(epochs + 1, value), **kwargs) for value in values]
    return of_order("x", {"one": runs}, "train_mse", 100, 1e-2, 1e-1)[0].holds


def test_an_order_of_magnitude_is_met_missed_or_open():
    assert at_order(1e-2) is at_order(5e-2, 5.0, 50.0) is at_order(0.2, 0.3, 1.0) is True  # the range meets it
    assert at_order(1e-3, 1.0) is True  # it lies within the range
    assert at_order(1e-3, 1.0, inf) is at_order(1e-2, inf, inf) is None  # which has no end where a draw diverges
    assert at_order(1.0, 1.0, 1.0) is None  # less than a decade beyond
    assert at_order(20.0, 20.0, 20.0) is at_order(1e-5, 1e-5, 1e-5) is False
    assert at_order(20.0, 20.0) is None  # too few draws
    assert at_order(20.0, 20.0, 20.0, epochs=50) is None  # too short
    assert at_order(20.0, 20.0, 20.0, epochs=50, status=gf.Status.STAGNATED) is False  # it stays where it ended
    assert at_order(1.0, 1.0, 1.0, epochs=50, status=gf.Status.NONFINITE) is False


def test_a_divergent_draw_is_of_no_order():
    def judged(*values, **options):
        runs = [run_with(np.full(101, value)) for value in values]
        return of_order("x", {"one": runs}, "train_mse", 100, 1e6, 1e6, **options)[0]

    assert judged(5.0, inf, inf).holds is False  # none is near it
    assert judged(5.0, inf, inf, blow_up=True).holds is None  # one draw is elsewhere, two say nothing
    assert judged(5.0, 5.0, 5.0, inf, blow_up=True).holds is False
    assert judged(inf, inf, inf).holds is False
    assert judged(inf, inf, inf, blow_up=True).holds is None
    assert judged(2e6, inf, inf).holds is None
    assert judged(2e6, inf, inf, blow_up=True).holds is True
    assert "divergence" in judged(5.0, inf, inf, blow_up=True).evidence


def test_ties_of_the_worst_are_told_and_decide_nothing():
    small, large, gone = (run_with(np.full(101, value)) for value in (0.1, 10.0, inf))

    def worst(draws=3, **changed):
        names = {"frozen": "ExpSAV (Theorem 2.2)", "other": "IEQ-adaptive (vanilla)"}
        runs = {name: [small] * draws for name in exp3.PRINTED_FORMS}
        return exp3._worst({**runs, **{names[key]: of for key, of in changed.items()}})

    assert worst(frozen=[large] * 3).holds is True
    assert worst(other=[large] * 3).holds is False
    assert worst(frozen=[gone] * 3).holds is True
    for tied in ({"frozen": [gone] * 3, "other": [gone] * 3}, {}):  # of infinities, and of all methods
        assert worst(**tied).holds is None
    both = worst(frozen=[gone] * 3, other=[gone] * 3).evidence
    assert "ExpSAV (Theorem 2.2), IEQ-adaptive (vanilla) (divergence) in 3 of 3" in both
    assert worst(frozen=[gone, large, large], other=[gone, small, small]).holds is True
    assert worst(frozen=[gone, small, small], other=[gone, large, large]).holds is False


def as_published(module, epochs_of, **changed):
    """Return runs of every form that meet the orders of a study, but for what is changed to be of other errors."""
    errors = {}
    for order in module.ORDERS:
        for form in FORMS[order.family]:
            errors.setdefault(form, {})[order.name] = order.high
    runs = {}
    for form in empirical_methods(module.PRINTED):
        n = round(epochs_of.get(form, module.EPOCHS)) + 1
        at = {"train_mse": 1e3, "test_mse": 1e3, **errors.get(form, {}), **changed.get(form, {})}
        swings = np.where(np.arange(n) % 2, 2.0, 1.0) if form == "SAV (2.2.3)" else 1.0
        run = run_with(np.full(n, at["train_mse"]) * swings, test=np.full(n, at["test_mse"]))
        runs[form] = [run] * 3
    return runs


SHORT = {"exp1": {"vanilla IEQ": 100}, "exp2": {"restarted IEQ": 50, "vanilla IEQ": 10}}


def judged(name, **changed):
    module = MODULES[name]
    return module.judge(as_published(module, SHORT[name], **changed), [200.0] * 3)


WRONG = {"train_mse": 1e8, "test_mse": 1e8}


@pytest.mark.parametrize("name", SHORT)
def test_a_failing_of_another_method_refutes_though_vanilla_ieq_is_cut_short(name):
    assert all(claim.holds for claim in judged(name))
    failing = [claim for claim in judged(name, SGD=WRONG) if claim.holds is False]
    assert failing
    assert all(claim.text.startswith("SGD") for claim in failing)
    assert verdict(judged(name, SGD=WRONG), [], "kaiming").startswith("refuted")


@pytest.mark.parametrize("name", SHORT)
def test_a_miss_that_rests_on_the_form_that_was_cut_short_is_open(name):
    both = judged(name, **{"vanilla IEQ": WRONG, "restarted IEQ": WRONG})
    of_ieq = [claim for claim in both if claim.text.startswith("IEQ:")]
    assert {claim.holds for claim in of_ieq} == {None}
    assert "vanilla IEQ 1.0e+08 by epoch 10" in of_ieq[0].evidence
    assert "fewer than printed" in of_ieq[0].evidence
    assert verdict(both, [], "kaiming").startswith("not decided")
    assert all(claim.holds for claim in judged(name, **{"restarted IEQ": WRONG}))  # it may meet what was published


@pytest.mark.parametrize(
    ("name", "family", "error", "holds"),
    [
        ("exp1", "Adam", 1e-9, False),
        ("exp1", "SGD", 1e-9, False),
        ("exp1", "IEQ-adaptive", inf, None),  # a blow-up itself
        ("exp1", "ExpSAV", inf, False),
        ("exp3", "IEQ", 1e-12, True),  # "gets to 1e-6": less is as good
        ("exp3", "ExpSAV", 1e-9, False),
    ],
)
def test_what_does_better_than_published_or_blows_up_further(name, family, error, holds):
    module = MODULES[name]
    changed = {form: {"train_mse": error} for form in FORMS[family]}
    claims = module.judge(as_published(module, SHORT.get(name, {}), **changed), [200.0] * 3)
    assert [claim.holds for claim in claims if claim.text.startswith(f"{family}: the train error")] == [holds]


def test_whoever_runs_fewer_epochs_may_meet_an_order_and_not_miss_it():
    good, bad = ([run_with(np.full(11, value))] * 3 for value in (0.1, 1e3))

    def told(a, b=(), **options):
        forms = {"a": a, **({"b": b} if b else {})}
        return of_order("x", forms, "train_mse", 10, 0.1, 0.1, **options)[0].holds

    assert told(bad) is False
    assert told(bad, fewer=("a",)) is told(bad, bad, fewer=("a",)) is told(bad, bad, fewer={"b"}) is None
    assert told(good, fewer=("a",)) is told(bad, good, fewer={"a", "b"}) is True


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("whole", [True, False])
def test_only_what_touches_all_claims_changes_the_verdict(name, whole, tmp_path, monkeypatch):
    module, no = MODULES[name], Claim("it is so", False, "it is not")
    made = {"claim": lambda self: None, "out": tmp_path, "name": "x", "say": silent}
    context = type("Context", (), made)()
    for of in ("run_methods", "draw_columns"):
        monkeypatch.setattr(empirical_study, of, lambda *_, **__: ())
    monkeypatch.setattr(empirical_study, "method_table", lambda *_: ((), ()))
    study = module.STUDY._replace(judge=lambda *_: [no], explain=lambda *_: [])
    epochs = module.EPOCHS if whole else 7
    n = study.n_samples
    settings = EmpiricalSettings(target=study.target, epochs=epochs, n_inputs=40, width=1000, n_samples=n, draws=1)
    few = {
        "n_inputs": 2,
        "width": 3,
        "n_samples": 20,
    }  # of the tasks, which are not run: as printed they take seconds to draw
    tasks = empirical_study.empirical_tasks(dataclasses.replace(settings, **few))
    monkeypatch.setattr(empirical_study, "empirical_tasks", lambda settings: tasks)
    outcome = empirical_study.carry_out(study, settings, context)
    given = f", with {unsaid(settings)}, which the study leaves unsaid; 0 of 1 statements hold"
    changed = f"not reproduced with a stated change: epochs 7 (printed: {module.EPOCHS}){given}"
    assert outcome.verdict.startswith("refuted" if whole else changed)
    sooner = study._replace(judge=lambda *_: [no._replace(regardless=True)])
    assert empirical_study.carry_out(sooner, settings, context).verdict.startswith("refuted")
    small = dataclasses.replace(settings, width=3, n_samples=20)
    resized = empirical_study.carry_out(sooner, small, context).verdict
    assert resized.startswith("not reproduced with a stated change: ")
    assert f"width 3 (printed: 1000), n samples 20 (printed: {n})" in resized
    another = dataclasses.replace(settings, target="gaussian" if study.target != "gaussian" else "quadratic")
    other = empirical_study.carry_out(sooner, another, context).verdict
    assert other.startswith("not reproduced with a stated change: ")
    assert f"target {another.target} (printed: {study.target})" in other
    longer = empirical_study.carry_out(study, dataclasses.replace(settings, epochs=2 * module.EPOCHS), context).verdict
    assert longer.startswith("refuted")  # what is stated is read at the printed epoch
    assert ("anilla IEQ" in outcome.note and "not miss it" in outcome.note) is (module is not exp3)


def test_the_best_of_the_forms_counts():
    for yes in ([True], [False, None, True], [None, True]):
        assert any_of(iter(yes)) is True
    assert any_of([False, None]) is any_of([None]) is None
    assert any_of([False, False]) is any_of([False]) is False


def test_what_is_untrue_of_a_short_run_is_open():
    whole, short = run_with([1.0] * 11), run_with([1.0] * 3)
    gone, still = (run_with([1.0] * 3, status=status) for status in (gf.Status.NONFINITE, gf.Status.STAGNATED))
    assert unless_short([True, True], [whole, short], 10) is True
    assert unless_short([False, True], [whole, short], 10) is False
    assert unless_short([True, False], [whole, short], 10) is None
    assert unless_short([True, False], [whole, short], 2) is False
    assert unless_short([False, False], [gone, still], 10) is False


# -- What is published ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_the_published_numbers_stand_beside_ours(name):
    module = MODULES[name]
    runs = as_published(module, SHORT.get(name, {}))
    header, rows = method_table(runs, Thresholds(1e-4, (0.1,), "y", (2.0,) * 3), module.ORDERS)
    table = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert {row["published epochs"] for row in table.values()} == {"never"}
    for title, column in COLUMNS.items():
        for family, form in column.items():
            assert title.partition(":")[0] in table[form]["column"].split(", ")
            assert table[form]["published time"] == f"{REGRESSION_TIMES[family]:g}"
            for part in ("train", "test"):
                of = [order for order in module.ORDERS if (order.family, order.name) == (family, f"{part}_mse")]
                if any(order.name == f"{part}_mse" for order in module.ORDERS):
                    ends = {f"{value:.0e}" for order in of for value in (order.low, order.high)} or {"-"}
                    assert set(table[form][f"published {part}"].split(" to ")) == ends
                    assert header.index(f"published {part}") == header.index(f"{part} MSE") + 1
                else:
                    assert f"published {part}" not in header
    assert sum(cell.startswith("published") for cell in header) == len({o.name for o in module.ORDERS}) + 2


def test_a_form_may_be_of_two_columns():
    columns = columns_of(COLUMNS)
    assert columns["SAV (2.2.3)"] == "as printed, corrected"
    assert columns["SAV (2.5.1)"] == "second reading"
    assert columns["restarted IEQ"] == "corrected"
    assert set(columns) == set(empirical_methods(exp1.PRINTED))


def test_an_order_is_claimed_of_all_printed_forms():
    runs = {name: [run_with(np.full(11, 0.5))] * 3 for name in PRINTED_FORMS}
    orders = (Order("SGD", "train_mse", 1e-3, 1e-3, or_less=True), Order("SAV", "test_mse", 1e-1, 1.0))
    less, between = order_claims(runs, orders, 10)
    assert (less.text, less.holds) == ("SGD: the train error is down to 0.001", False)
    assert (between.text, between.holds) == ("SAV: the test error is between 0.1 and 1", True)
    assert all(form in between.evidence for form in FORMS["SAV"])
    runs["SGD"] = [run_with(np.full(11, 1e-9))] * 3
    assert order_claims(runs, orders, 10)[0].holds is True  # less is as good
    assert order_claims(runs, (orders[0]._replace(or_less=False),), 10)[0].holds is False
    runs["SGD"] = [run_with(np.full(11, inf))] * 3
    blown = Order("SGD", "train_mse", 1e6, 1e6)
    assert order_claims(runs, (blown,), 10)[0].holds is False
    assert order_claims(runs, (blown._replace(blow_up=True),), 10)[0].holds is None


def test_one_form_is_enough_to_meet_an_order_and_all_to_miss_it():
    good, bad, short = ([run_with(np.full(n, v))] * 3 for n, v in ((101, 0.1), (101, 1e3), (11, 1e3)))

    def judged(**forms):
        return of_order("x", forms, "train_mse", 100, 0.1, 0.1)[0].holds

    assert judged(a=good, b=bad) is judged(a=short, b=good) is True
    assert judged(a=bad, b=bad) is False
    assert judged(a=bad, b=short) is None
    assert of_order("x", {"a": bad, "b": short}, "train_mse", 100, 0.1, 0.1, epochs_of={"b": 10})[0].holds is False


def test_one_form_is_asked_for_all_that_is_stated_of_its_method():
    sav = FORMS["SAV"]
    orders = (Order("SAV", "train_mse", 1.0, 1.0), Order("SAV", "test_mse", 1.0, 1.0))

    def judged(*levels):
        runs = {
            form: [run_with(np.full(11, train), test=np.full(11, test))] * 3
            for form, (train, test) in zip(sav, levels, strict=True)
        }
        return order_claims(runs, orders, 10)

    assert [claim.holds for claim in judged((1.0, 1.0), (1e3, 1e3))] == [True, True, True]
    *each, together = judged((1.0, 1e3), (1e3, 1.0))
    assert all(claim.holds for claim in each)
    assert together.holds is False
    assert all(f"{form} shows 1 of 2" in together.evidence for form in sav)
    assert [claim.holds for claim in judged((1.0, 1.0), (1.0, 8.0))] == [True, True, True]
    assert judged((1.0, 8.0), (8.0, 1.0))[-1].holds is None  # within a decade: each is open, not wrong
    assert [claim.holds for claim in judged((1.0, 1e3), (1.0, 1e3))] == [True, False]  # that says it already


def test_less_than_was_published_is_as_good_where_the_order_has_no_lower_end():
    runs = [run_with(np.full(101, value)) for value in (1e-9, 1e-10, 1e-11)]
    assert of_order("x", {"a": runs}, "train_mse", 100, 0.0, 1e-6)[0].holds is True
    assert of_order("x", {"a": runs}, "train_mse", 100, 1e-6, 1e-6)[0].holds is False
    assert of_order("x", {"a": runs}, "train_mse", 100, 0.0, 1e-20)[0].holds is False


def test_level_is_infinite_where_there_is_no_number():
    assert level(run_with([1.0, nan, nan]), "train_mse", 2) == inf
    assert level(run_with([1.0, 2.0]), "train_mse", 2) is None


def test_never_below_asks_every_draw_for_its_own_threshold():
    runs = [run_with(np.geomspace(1.0, low, 101)) for low in (1e-2, 1e-3)]

    def judged(*thresholds, epoch=100):
        return never_below("x", {"a": runs}, "test_mse", thresholds, epoch).holds

    assert judged(5e-3, 5e-4) is True
    assert judged(2e-2, 5e-4) is judged(5e-3, 2e-3) is False
    assert judged(5e-3, 5e-4, epoch=200) is None
    assert judged(2e-2, 5e-4, epoch=50) is True  # it gets there later
    assert never_below("x", {"a": runs}, "test_mse", (2e-2, 5e-4), 100, epochs_of={"a": 50}).holds is True
    assert never_below("x", {"a": runs}, "test_mse", (5e-3, 5e-4), 200, epochs_of={"a": 100}).holds is True
    assert never_below("x", {"a": runs}, "test_mse", (5e-3, 5e-4), 200, epochs_of={"b": 100}).holds is None


def test_a_claim_about_no_draw_is_open():
    assert whenever("x", [], lambda run: True, lambda run: "").holds is None
    runs = [run_with([1.0]), run_with([2.0])]
    assert whenever("x", runs, lambda run: run.history["train_mse"][0] < 2, lambda run: "a").holds is False


def test_the_verdict_follows_from_what_was_published():
    yes, no, open_ = (Claim(text, holds, "so") for text, holds in (("a", True), ("b", False), ("c", None)))
    assert verdict([yes], [no], "initial parameters of the law he").startswith("reproduced: 1 of 1 statements hold")
    assert verdict([yes], [], "initial parameters of the law he", "half").startswith(
        "reproduced with a stated change: half"
    )
    refuted = verdict([yes, no, open_], [], "initial parameters of the law he")
    assert refuted.startswith("refuted (with initial parameters of the law he, ")
    assert "1 of 3 statements hold, 1 fail, 1 are open; what fails: b" in refuted
    assert verdict([yes, no], [], "initial parameters of the law he", "half").startswith(
        "reproduced in part with a stated change: half, with initial parameters of the law he, which the study leaves unsaid; 1 of 2"
    )
    sooner = verdict([yes, no, no._replace(text="c", regardless=True)], [], "initial parameters of the law he", "half")
    assert sooner.startswith("refuted (with initial parameters of the law he")
    assert sooner.endswith("2 fail, 0 are open; what fails: b; c; with the stated change (half) 1 of these refute: c")
    assert verdict([yes, open_], [yes, no], "initial parameters of the law he").endswith("1 of 2 explanations hold")


def single(run):
    return dataclasses.replace(run, theta=run.theta.astype("float32"))


def test_explanations_can_fail():
    nonfinite, stagnated = gf.Status.NONFINITE, gf.Status.STAGNATED
    frozen = run_with([30.0] * 3, moved=[0, 1e-5, 1e-4])
    blown = run_with([30.0, 30.0, inf], moved=[0, 1e-5, 1e4], status=nonfinite)
    moving = run_with([30.0, 3.0, 1.0], moved=[0, 0.1, 0.2])
    assert why.freezes([frozen, blown]).holds is True
    assert why.freezes([frozen, moving]).holds is False
    cool = run_with([8.0, inf], moved=[0, 1e4], status=nonfinite)
    assert why.freezes([frozen, cool]).holds is True  # it is said of high energies
    assert why.freezes([cool]).holds is None
    assert why.overflows("x", [single(frozen)], does=False).holds is True
    hot = run_with([100.0])
    assert why.overflows("x", [single(hot)], does=True).holds is True
    assert why.overflows("x", [hot], does=True).holds is False
    assert why.overflows("x", [single(hot), single(frozen)], does=True).holds is False
    assert why.blows_up([run_with([1.0, 1e6], status=stagnated), run_with([1.0, nan])]).holds is True
    assert why.blows_up([run_with([1.0, 5.0])]).holds is False
    assert why.collapses([run_with([1.0, 1.0], auxiliary_ratio=[1, 1e-9], status=stagnated)]).holds is True
    assert why.collapses([run_with([1.0, 1.0], auxiliary_ratio=[1, 0.5])]).holds is False
    assert why.stores([run_with([1.0, 9.0], auxiliary_ratio=[1, 1e-3])]).holds is True
    assert why.stores([run_with([1.0, 0.5], auxiliary_ratio=[1, 1e-3])]).holds is False
    assert corrections.recovers("it", [moving], 2).holds is True
    assert corrections.recovers("it", [frozen], 2).holds is False
    lost = dataclasses.replace(moving, status=nonfinite)
    assert corrections.recovers("it", [lost], 2).holds is False  # it has fallen, and blown up then
    assert corrections.recovers("it", [frozen], 100).holds is None  # too short
    assert corrections.recovers("it", [run_with([1.0, 0.01, 2.0])], 2).holds is False  # it has forgotten
    flat = run_with(np.full(101, 1.0))
    assert corrections.learns("it", [flat, flat], [2.0, 3.0], 100).holds is True
    assert corrections.learns("it", [flat, flat], [2.0, 0.5], 100).holds is False
    assert corrections.learns("it", [flat, flat], [2.0, 0.5], 200).holds is None  # too short
    assert corrections.learns("it", [run_with([1.0, inf], status=nonfinite)], [2.0], 100).holds is False


def test_cheap_is_what_takes_the_time_of_sgd():
    one, more = [run_with([1.0] * 4, wall=1.0)], [run_with([1.0] * 4, wall=1.5)]
    assert corrections.costs_as_sgd({"a": one}, one).holds is True
    assert corrections.costs_as_sgd({"a": one, "b": more}, one).holds is False


def test_times_are_those_of_an_epoch_over_sgd():
    runs = {"SGD": [run_with([1.0] * 5, wall=2.0)] * 3, "other": [run_with([1.0] * 3, wall=3.0)] * 3}
    assert epoch_times(runs) == {"SGD": 1.0, "other": 3.0}
    at_once = run_with([1.0], wall=9.0)
    assert np.isnan(epoch_times({"SGD": [at_once]})["SGD"])  # less than an epoch
    some = epoch_times({"SGD": [at_once, runs["SGD"][0]], "other": runs["other"][:2]})
    assert some == {"SGD": 1.0, "other": 3.0}


def test_times_of_a_step_are_medians_of_the_draws():
    def run(cpu, steps):
        return dataclasses.replace(run_with([1.0] * 3), cpu_time=cpu, steps=steps)

    sgd = [run(1.0, 10), run(2.0, 10), run(4.0, 10)]
    other = [run(1.0, 5), run(12.0, 10), run(4.0, 10)]
    assert step_times({"SGD": sgd, "other": other}) == {"SGD": 1.0, "other": 2.0}
    never = [run(0.0, 0)] * 3
    times = step_times({"SGD": sgd, "never": never})
    assert np.isnan(times["never"])
    assert np.isnan(step_times({"SGD": never, "other": other})["other"])
    assert corrections.costs_as_sgd({"a": never}, sgd).holds is None


def test_the_zero_network_of_experiment_3_and_the_variance_of_experiment_2():
    """The closed forms of the docstrings, in few dimensions where a sample shows them."""
    settings = EmpiricalSettings(target="gaussian", epochs=1, n_inputs=2, width=2, n_samples=200_000)
    y = empirical_task(settings, 0).train.y.astype("float64")
    assert np.mean(y) == pytest.approx(1.8**-1, rel=0.01)
    assert np.mean(y**2) == pytest.approx(2.6**-1, rel=0.01)
    assert pytest.approx(7.8e-6, rel=0.01) == 1.8**-20
    assert pytest.approx(5.0e-9, rel=0.01) == 2.6**-20
    data = gf.datasets.quadratic(3, 200_000, seed=0, coefficients="normal", standardize=False)
    assert np.var(data.y_train) == pytest.approx(500 / 9 * np.sum(data.coefficients["c"] ** 2), rel=0.02)


def test_the_overflow_of_the_exponential_is_where_it_is_said():
    for dtype, limit in why.LARGEST_EXPONENT.items():
        largest = np.log(np.finfo(dtype).max.astype("float64") if dtype == "float32" else np.finfo(dtype).max)
        assert limit == pytest.approx(largest, abs=0.1)
    assert e**88 < np.finfo("float32").max
