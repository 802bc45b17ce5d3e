"""The experiments: what they write, what they refuse, how they go on, and that their verdicts come from the data."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import REGISTRY, Experiment, demo, training
from gradflow.experiments.experiment import format_table
from gradflow.experiments.ma2024 import tasks

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


@pytest.mark.parametrize(("name", "changes", "runs", "rows"), [("demo", TINY, 5, 5), ("ma2024-fig2", FIG2, 12, 6)])
def test_files_are_written_and_load_back(tmp_path, name, changes, runs, rows):
    outcome = reproduce(name, tmp_path, **changes)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"{name}.{suffix}").stat().st_size > 10_000
    told = json.loads((tmp_path / "settings.json").read_text())
    assert told["settings"]["width"] == 10
    assert told["fixed"] == REGISTRY[name].fixed
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == outcome.verdict
    assert len(report["table"]) == rows
    text = (tmp_path / "report.txt").read_text()
    assert text.rstrip().endswith(f"Verdict: {outcome.verdict}")
    assert "width = 10" in outcome.note
    kept = [gf.Solution.load(path) for path in (tmp_path / "data").glob("*.npz")]
    assert len(kept) == runs
    for run in kept:
        assert run.theta.shape == (50,)
        assert run.theta.dtype == np.float32
        assert {"train_error", "test_error", "modified_energy", "auxiliary_ratio"} <= set(run.history)


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


def test_what_no_setting_changes_is_told(tmp_path):
    for name, experiment in REGISTRY.items():
        assert json.loads(json.dumps(experiment.fixed)) == experiment.fixed, name
        if name.startswith(("ma2024", "empirical")):
            assert experiment.fixed, name
    folder = tmp_path / "fig1"
    small = {"epochs": 1, "n_inputs": 3, "width": 10, "n_samples": 60, "draws": 1}
    REGISTRY["ma2024-fig1"].reproduce(folder, say=silent, **small)
    kept = json.loads((folder / "settings.json").read_text())["fixed"]
    run = gf.Solution.load(folder / "data" / "full-0-0")
    assert kept["dt"] == run.config["dt"] == 0.6


def test_the_demo_has_the_task_of_its_seed(tmp_path):
    reproduce("demo", tmp_path, **TINY, seed=3)
    run = gf.Solution.load(tmp_path / "data" / "explicit-Euler")
    task = tasks.regression_task(tasks.TaskSettings(**{**TINY, "seed": 3}), 0)
    assert run.history["train_error"][0] == pytest.approx(float(task.train.energy(task.theta0)), rel=1e-6)
    assert run.config["seed"] == task.seed == 3


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
        patch.setattr(training, "solve", interrupted)
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
@pytest.mark.parametrize("data", [True, False])
def test_results_of_other_settings_are_not_overwritten(tmp_path, changes, message, data):
    reproduce("demo", tmp_path, **TINY)
    if not data:  # as results are handed on: a report, its settings and a figure
        shutil.rmtree(tmp_path / "data")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=f"other settings.*{message}"):
        reproduce("demo", tmp_path, **{**TINY, **changes})
    with pytest.raises(ValueError, match="experiment demo, not ma2024-fig2"):
        reproduce("ma2024-fig2", tmp_path, **FIG2)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_what_is_no_folder_of_results_is_left_alone(tmp_path):
    theirs = {"settings.json": '{"mine": 1}', "report.txt": "mine", "note.md": "mine"}
    for name, text in theirs.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(ValueError, match=r"must be a folder of results|is not a settings file"):
            reproduce("demo", folder, **TINY)
        assert [path.read_text() for path in folder.iterdir()] == [text]
    with pytest.raises(ValueError, match="must be a folder of results"):
        reproduce("demo", tmp_path / "note" / "note.md", **TINY)
    (tmp_path / "empty").mkdir()
    reproduce("demo", tmp_path / "empty", **TINY)


def test_the_versions_that_ran_are_kept(tmp_path):
    reproduce("demo", tmp_path, **TINY)
    path = tmp_path / "settings.json"
    told = json.loads(path.read_text())
    now = told["versions"]
    path.write_text(json.dumps({**told, "versions": {**now, "numpy": "1.0"}}))
    reproduce("demo", tmp_path, **TINY)
    told = json.loads(path.read_text())
    assert told["versions"]["numpy"] == "1.0"
    assert told["taken up with"] == now


def test_a_refused_setting_does_not_spoil_the_folder(tmp_path):
    with pytest.raises(ValueError, match="dt must be"):
        reproduce("demo", tmp_path, **{**TINY, "dt": -1.0})
    reproduce("demo", tmp_path, **TINY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "demo has the settings .*epochs, .*; got 'epoch'"),
        ({"epochs": "many"}, "epochs must be of type int, got 'many'"),
        ({"epochs": 2.5}, "epochs must be of type int, got 2.5"),
        ({"epochs": 0}, "epochs must be a whole number >= 1, got 0"),
        ({"dtype": "float16"}, "float32 or float64"),
        ({"batch_size": 49}, "batch_size must be .* 1 to 48"),
        ({"batch_size": -1}, "batch_size must be a finite number >= 0, got -1"),
        ({"C": -1.0}, r"F \+ C > 0|F\(theta\) \+ C > 0"),
        ({"draws": 2}, "draws must be 1 .*, got 2"),
        ({"method": "both"}, "method must be 'particle' .*, got 'both'"),
        ({"target": "cubic"}, "target must be one of sin_cos, quadratic, exponential"),
    ],
)
def test_wrong_settings(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        reproduce("demo", tmp_path, **{**TINY, **changes})


def test_text_is_read_as_the_setting(tmp_path):
    settings = REGISTRY["demo"].settings(quick=True, epochs="7", dt="1e-2", C=2, dtype="float64")
    assert settings == replace(REGISTRY["demo"].quick, epochs=7, dt=0.01, C=2.0, dtype="float64")


@pytest.mark.parametrize("target", tasks.TARGETS)
def test_the_demonstration_says_which_example_it_runs(tmp_path, target):
    said = []
    REGISTRY["demo"].reproduce(tmp_path, say=said.append, **{**TINY, "target": target, "batch_size": 0})
    assert said[0].startswith(f"Example {list(tasks.TARGETS).index(target) + 1} of Ma, Mao & Shen")
    assert "one batch" in said[0]
    run = gf.Solution.load(tmp_path / "data" / "explicit-Euler")
    assert run.steps == TINY["epochs"]


def run_with(train_error, dtype="float32", status=gf.Status.DONE, test_error=2e-3, ratio=1.0, step=10.0):
    """Return a run with a record every `step` epochs."""
    n = np.arange(len(train_error))
    history = {"step": n, "epoch": step * n, "time": n, "train_error": np.asarray(train_error, dtype=dtype)}
    history |= {"test_error": np.full(len(n), test_error), "auxiliary_ratio": np.full(len(n), ratio)}
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", {}, len(n), 0.0, 0.0)


def demo_with(**changes):
    """Return what the demonstration expects to see, with some of the runs changed."""
    runs = {label: run_with(np.geomspace(1, 1e-5, 51)) for label in ("explicit Euler", "restarted SAV", "relaxed SAV")}
    runs |= {"restarted IEQ": run_with(np.geomspace(1, 1e-6, 51))}
    runs |= {"vanilla SAV": run_with(np.full(11, 0.3), status=gf.Status.STAGNATED, ratio=1e-14)}
    return {**runs, **{label.replace("_", " "): run for label, run in changes.items()}}


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, [True, True, True]),
        ({"vanilla_SAV": run_with(np.full(51, 0.3), ratio=0.5)}, [False, True, True]),
        ({"vanilla_SAV": run_with(np.geomspace(1, 1e-5, 51), ratio=1e-14)}, [False, True, True]),
        ({"relaxed_SAV": run_with(np.geomspace(1, 1e-4, 51))}, [True, False, True]),
        ({"relaxed_SAV": run_with(np.geomspace(1, 1e-5, 51), status=gf.Status.NONFINITE)}, [True, True, False]),
    ],
)
def test_the_demonstration_is_judged_by_its_numbers(changes, holds):
    assert [claim.holds for claim in demo.judge(demo_with(**changes))] == holds


def test_the_last_record_alone_decides_nothing():
    """An average over the last tenth: one low record at the end does not make a curve a low one."""
    noisy = run_with(np.append(np.full(100, 1e-2), 1e-7))
    claims = demo.judge(demo_with(relaxed_SAV=noisy))
    assert claims[1].holds is False
    assert f"relaxed SAV {10**-2.5:.2e}" in claims[1].evidence  # nine records of 1e-2 and one of 1e-7


def test_tables_are_aligned():
    lines = format_table(("name", "value"), [("a", "1.0"), ("longer", "12.50")])
    assert lines == ["name    value", "-" * 13, "a         1.0", "longer  12.50"]
