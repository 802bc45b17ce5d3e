"""The experiments: what they write, what they refuse, how they go on, and that their verdicts come from the data."""

import json
from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import REGISTRY, Claim, Experiment, example1, ma2024_fig2
from gradflow.experiments.experiment import format_table

TINY = {"epochs": 4, "n_inputs": 3, "width": 10, "n_samples": 60, "batch_size": 8}
FIG2 = {**TINY, "draws": 2, "record_epochs": 1}


def silent(_):
    """Say nothing."""


def reproduce(name, out, **changes):
    return REGISTRY[name].reproduce(out, say=silent, **changes)


def numbers(folder):
    """Return theta and the histories of all runs in a folder of results, to the bit."""
    runs = {path.stem: gf.Solution.load(path) for path in sorted((folder / "data").glob("*.npz"))}
    return {name: (run.theta.tobytes(), {k: v.tobytes() for k, v in run.history.items()}) for name, run in runs.items()}


def test_every_experiment_says_what_it_is():
    for name, experiment in REGISTRY.items():
        assert isinstance(experiment, Experiment)
        assert experiment.name == name
        for text in (experiment.title, experiment.source, experiment.problem, experiment.time, experiment.quick_time):
            assert len(text) > 5
        assert type(experiment.full) is type(experiment.quick)
        assert experiment.quick != experiment.full


@pytest.mark.parametrize(("name", "changes", "runs"), [("demo", TINY, 5), ("ma2024-fig2", FIG2, 12)])
def test_files_are_written_and_load_back(tmp_path, name, changes, runs):
    outcome = reproduce(name, tmp_path, **changes)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"{name}.{suffix}").stat().st_size > 10_000
    assert json.loads((tmp_path / "settings.json").read_text())["settings"]["width"] == 10
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == outcome.verdict
    assert len(report["table"]) == runs
    text = (tmp_path / "report.txt").read_text()
    assert text.rstrip().endswith(f"Verdict: {outcome.verdict}")
    assert "width = 10" in outcome.note
    kept = [gf.Solution.load(path) for path in (tmp_path / "data").glob("*.npz")]
    assert len(kept) == runs
    for run in kept:
        assert run.theta.shape == (50,)
        assert run.theta.dtype == np.float32
        assert {"energy", "test_error", "modified_energy", "auxiliary_ratio"} <= set(run.history)


def test_the_table_is_what_the_runs_say(tmp_path):
    outcome = reproduce("demo", tmp_path, **TINY)
    table = [dict(zip(outcome.header, row, strict=True)) for row in outcome.rows]
    euler = gf.Solution.load(tmp_path / "data" / "explicit-Euler")
    data = gf.datasets.sin_cos(3, 60, seed=0, dtype="float32")
    net = gf.TwoLayerNet(3, 10)
    for row, x, y in (("train error", data.x_train, data.y_train), ("test error", data.x_test, data.y_test)):
        residual = net(euler.theta, x) - y
        assert float(table[0][row]) == pytest.approx(np.sum(residual**2) / np.sum(y**2), rel=1e-2)
    assert [row["scheme"] for row in table] == [
        "explicit Euler", "vanilla SAV", "restarted SAV", "relaxed SAV", "restarted IEQ",
    ]  # fmt: skip
    assert table[0]["mod. energy"] == table[0]["r/sqrt(E+C)"] == "-"
    assert table[0]["epochs"] == "4"


def test_the_same_settings_give_the_same_numbers(tmp_path):
    for folder in ("a", "b"):
        reproduce("demo", tmp_path / folder, **TINY)
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


def test_more_epochs_go_on_from_what_is_there(tmp_path):
    reproduce("demo", tmp_path / "two", **{**TINY, "epochs": 2})
    reproduce("demo", tmp_path / "two", **TINY)
    reproduce("demo", tmp_path / "one", **TINY)
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")


def test_an_interrupted_run_goes_on_from_what_is_there(tmp_path, monkeypatch):
    def interrupt(step, state):
        if step == 7:
            raise KeyboardInterrupt

    def interrupted(*args, **kwargs):
        return gf.solve(*args, **kwargs, callback=interrupt)

    with monkeypatch.context() as patch:
        patch.setattr(example1, "solve", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reproduce("demo", tmp_path / "broken", **TINY)
    reproduce("demo", tmp_path / "broken", **TINY)
    reproduce("demo", tmp_path / "whole", **TINY)
    broken, whole = numbers(tmp_path / "broken"), numbers(tmp_path / "whole")
    for name, (theta, _) in whole.items():
        assert broken[name][0] == theta


def test_a_report_does_not_outlive_its_settings(tmp_path, monkeypatch):
    reproduce("demo", tmp_path, **TINY)
    monkeypatch.setattr("gradflow.experiments.demo.save_figure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        reproduce("demo", tmp_path, **{**TINY, "epochs": 5})
    assert json.loads((tmp_path / "settings.json").read_text())["settings"]["epochs"] == 5
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dt": 0.1}, "dt 0.2, not 0.1"),
        ({"epochs": 3}, "epochs 4, not 3"),
        ({"seed": 1}, "seed 0, not 1"),
    ],
)
def test_results_of_other_settings_are_not_overwritten(tmp_path, changes, message):
    reproduce("demo", tmp_path, **TINY)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=f"other settings.*{message}"):
        reproduce("demo", tmp_path, **{**TINY, **changes})
    with pytest.raises(ValueError, match="experiment demo, not ma2024-fig2"):
        reproduce("ma2024-fig2", tmp_path, **FIG2)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_refused_setting_does_not_spoil_the_folder(tmp_path):
    with pytest.raises(ValueError, match="dt must be"):
        reproduce("demo", tmp_path, **{**TINY, "dt": -1.0})
    reproduce("demo", tmp_path, **TINY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "demo has the settings epochs, .*; got 'epoch'"),
        ({"epochs": "many"}, "epochs must be of type int, got 'many'"),
        ({"epochs": 2.5}, "epochs must be of type int, got 2.5"),
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"dtype": "float16"}, "float32 or float64"),
        ({"batch_size": 49}, "batch_size must be .* 1 to n_samples = 48"),
        ({"C": -1.0}, r"F \+ C > 0|F\(theta\) \+ C > 0"),
    ],
)
def test_wrong_settings(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        reproduce("demo", tmp_path, **{**TINY, **changes})


def test_text_is_read_as_the_setting(tmp_path):
    settings = REGISTRY["demo"].settings(quick=True, epochs="7", dt="1e-2", C=2, dtype="float64")
    assert settings == replace(REGISTRY["demo"].quick, epochs=7, dt=0.01, C=2.0, dtype="float64")


def verdict(*holds):
    return ma2024_fig2.verdict([Claim(f"claim {i}", h, f"evidence {i}") for i, h in enumerate(holds)])


def test_the_verdict_on_figure_2_follows_from_the_claims():
    assert verdict(True, True, True, False, True, True, True) == "reproduced, with the lambda of the caption"
    changed = verdict(True, True, False, False, True, False, True)
    assert changed.startswith("reproduced with a stated change: vanilla SAV leaves")
    assert changed.endswith("(evidence 2) and lies on it when restarted or updated in the inconsistent product")
    assert verdict(True, False, True, True, True, True, True) == "refuted: claim 1 fails (evidence 1)"
    assert verdict(True, True, False, False, False, False, False).startswith("refuted: vanilla SAV")
    assert verdict(None, True, True, True, True, True, True).startswith("not decided (claim 0); so far reproduced")


def run_with(energy, dtype="float32", status=gf.Status.DONE, test_error=2e-3):
    n = np.arange(len(energy))
    history = {
        "step": n,
        "epoch": 10.0 * n,
        "time": n,
        "energy": np.asarray(energy),
        "test_error": np.full(len(n), test_error),
    }
    history["auxiliary_ratio"] = np.ones(len(n))
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {"problem": {"dtype": dtype}}, len(n), 0.0, 0.0)


def draw_with(**curves):
    """Return the runs of one draw: explicit Euler's for those that are not given."""
    names = ("EULER", "CAPTION", "TEXT", "RESTARTED", "RELAXED", "INCONSISTENT")
    return {getattr(ma2024_fig2, name): curves.get(name, curves["EULER"]) for name in names}


FALLING = 10.0 ** -(np.arange(101.0) / 6)  # 1e-10 after 600 epochs


def test_curves_of_figure_2_are_judged_by_their_numbers():
    draw = draw_with(
        EULER=run_with(FALLING),
        CAPTION=run_with(FALLING**0.8),
        TEXT=run_with(np.full(101, 0.3)),
        RELAXED=run_with(np.where(np.arange(101) < 20, FALLING, np.inf)),
        INCONSISTENT=run_with(FALLING[:4], status=gf.Status.NONFINITE),
    )
    assert [claim.holds for claim in ma2024_fig2.judge([draw])] == [True, True, True, False, True, False, False]


def test_explicit_euler_must_fall_in_time():
    slow = draw_with(EULER=run_with(np.sqrt(FALLING)))  # 1e-5 after 600 epochs
    short = draw_with(EULER=run_with(np.sqrt(FALLING[:20])))
    diverged = draw_with(EULER=run_with(FALLING[:1], status=gf.Status.NONFINITE))
    assert [ma2024_fig2.judge([draw])[0].holds for draw in (slow, short, diverged)] == [False, None, False]


def test_a_run_too_short_for_the_train_error_does_not_refute_the_test_error():
    short = draw_with(EULER=run_with(np.sqrt(FALLING[:20]), test_error=0.5))
    long = draw_with(EULER=run_with(FALLING, test_error=0.5))
    assert [ma2024_fig2.judge([draw])[1].holds for draw in (short, long)] == [None, False]


def test_one_draw_that_shows_it_is_enough_and_others_are_told():
    good = draw_with(EULER=run_with(FALLING), TEXT=run_with(np.ones(101)))
    diverged = draw_with(EULER=run_with(FALLING[:1], status=gf.Status.NONFINITE), TEXT=run_with(FALLING))
    claims = ma2024_fig2.judge([diverged, good])
    assert [claim.holds for claim in claims] == [True, True, True, False, True, True, True]
    assert "p, q no. 1: divergence" in claims[0].evidence
    assert "no. 1" not in claims[3].evidence  # there is no curve of explicit Euler to compare with


def test_below_round_off_curves_count_as_one():
    noise = np.random.default_rng(0).uniform(size=(2, 49))
    a, b = (run_with(np.concatenate([[1.0], 10.0 ** (-14.5 - 3 * n)])) for n in noise)
    assert ma2024_fig2._gap(a, b) == 0
    assert ma2024_fig2._gap(a, run_with(np.ones(50))) == np.inf


def test_the_inconsistent_product_changes_the_update_of_r_alone():
    problem = example1.example1(example1.Example1Settings(**TINY), 0)
    other = ma2024_fig2._inconsistent(problem)
    E, g = problem.train.energy_and_gradient(problem.theta0)
    E_other, g_other = other.energy_and_gradient(problem.theta0)
    assert E_other == E
    np.testing.assert_array_equal(g, g_other)
    partial = g / 10  # m = 10: the velocity is m times the partial derivatives
    assert other.inner(g, g) == pytest.approx(partial @ partial)
    assert problem.train.inner(g, g) == pytest.approx(10 * other.inner(g, g))
    assert other.batch(slice(0, 8)).inner(g, g) == other.inner(g, g)
    assert other.describe() != problem.train.describe()


def test_tables_are_aligned():
    lines = format_table(("name", "value"), [("a", "1.0"), ("longer", "12.50")])
    assert lines == ["name    value", "-" * 13, "a         1.0", "longer  12.50"]
