"""The command line: its commands, what they print, and one line with exit code 2 for every mistake."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib import metadata

import pytest
from typer.testing import CliRunner

import gradflow as gf
from gradflow.cli import app
from gradflow.cli.experiments import overview
from gradflow.experiments import REGISTRY
from gradflow.experiments import figure as frame
from gradflow.experiments.figure import run_curves
from gradflow.installation import installation
from toy_figures import toy

TINY = [f"--set={s}" for s in ("epochs=3", "n_inputs=3", "width=10", "n_samples=60", "batch_size=8")]


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def assert_refused(result, *words):
    assert result.exit_code == 2
    assert result.stderr.startswith("gradflow: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_version():
    assert call("--version").stdout == f"gradflow {gf.__version__}\n"


def test_list_has_a_line_for_every_figure():
    result = call("list")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if re.match(" {4}[^ ]", line)}
    printed = " ".join(result.stdout.split())
    assert set(lines) == set(REGISTRY)
    for name, figure in REGISTRY.items():
        assert lines[name].endswith(figure.title)
        assert figure.source.split(",")[0] in result.stdout
        assert " ".join(figure.problem.split()) in printed


@pytest.mark.parametrize("arguments", [["--long"], list(REGISTRY), ["ma2024-fig2"]])
def test_list_prints_all_about_those_that_are_named(arguments):
    result = call("list", *arguments)
    assert result.exit_code == 0
    printed = " ".join(result.stdout.split())
    named = REGISTRY if "--long" in arguments else arguments
    for name, figure in REGISTRY.items():
        assert (f"{name}: {figure.title}" in printed) == (name in named)
        for text in (figure.source, figure.problem, f"draws = {figure.task.draws}"):
            assert " ".join(text.split()) in printed or name not in named


def test_list_refuses_an_unknown_name_before_it_prints():
    result = call("list", "ma2024-fig2", "fig2")
    assert_refused(result, "'fig2'", *REGISTRY)
    assert result.stdout == ""


def test_list_groups_by_what_is_cited():
    places = (
        ", Fig. 3",
        ", Figs. 9 and 10 (smoothed)",
        ", sections 2.3, 2.4",
        ", Example 1",
        ", Experiment 4, table 2",
        "",
    )
    cited = [("A, J. X 5 (2024) 1", place) for place in places] + [("B and C, arXiv:1234.5678, and D", "")]
    several = [
        replace(toy(f"e{n}"), source=f"{citation}{place}")
        for n, (citation, place) in enumerate(cited[::2] + cited[1::2])
    ]
    lines = list(overview(several))
    assert [line for line in lines if line and not line.startswith(" ")] == ["A, J. X 5 (2024) 1", cited[-1][0]]
    assert lines[-3:] == [cited[-1][0], "    e3  Title of e3", f"        {several[0].problem}"]
    assert list(overview([])) == []


def test_info():
    result = call("info")
    assert result.exit_code == 0
    for word in ("gradflow", "numpy", "numba", "BLAS", "processors", "kernels", "MNIST", "GRADFLOW_DATA_DIR"):
        assert word in result.stdout


def test_what_is_missing_is_told(monkeypatch):
    def missing(*_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setitem(sys.modules, "cupy", None)
    found = dict(installation())
    assert found["numpy"] == found["cupy"] == "not installed"
    assert found["CUDA devices"] == "none (ModuleNotFoundError)"


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
def test_threads_are_told_where_they_are_set(monkeypatch, variable):
    monkeypatch.delenv(variable, raising=False)
    assert variable not in dict(installation())
    monkeypatch.setenv(variable, "3")
    assert dict(installation())[variable] == "3"


def test_info_finds_data(tmp_path, monkeypatch):
    from gradflow.datasets.image_files import MNIST

    (tmp_path / "mnist").mkdir()
    for name in MNIST.sha256:
        (tmp_path / "mnist" / name).touch()
    monkeypatch.setenv("GRADFLOW_DATA_DIR", str(tmp_path))
    lines = {line.split()[0]: line for line in call("info").stdout.splitlines()}
    assert str(tmp_path / "mnist") in lines["MNIST"]
    assert str(tmp_path) in lines["GRADFLOW_DATA_DIR"]


def test_a_figure_is_run_drawn_and_judged(tmp_path):
    result = call("reproduce", "ma2024-fig7", "--out", tmp_path / "results", *TINY)
    assert result.exit_code == 0, result.output
    assert {"claims.json", "curves.npz", "ma2024-fig7.png", "ma2024-fig7.svg"} <= {
        p.name for p in (tmp_path / "results").iterdir()
    }
    for text in (
        "explicit Euler",
        "relaxed SAV",
        "open ",
        "dt = 0.01",
        "epochs = 3 (10000)",
        "Verdict: ",
    ):
        assert text in result.stdout
    assert "\x1b" not in result.stdout


def test_the_demonstration_is_a_figure_with_a_command_of_its_own(registry):
    folder = registry("demo")
    result = call("demo", "--set", "epochs=3")
    assert result.exit_code == 0, result.output
    assert (folder / "gradflow-demo" / "demo.png").exists()


def test_results_go_to_a_folder_of_their_own(registry):
    folder = registry("one")
    assert call("reproduce", "one", "--quick").exit_code == 0
    assert (folder / "gradflow-one-quick" / "claims.json").exists()


def test_other_settings_are_refused(registry):
    registry("one")
    assert call("reproduce", "one").exit_code == 0
    assert call("reproduce", "one").exit_code == 0  # taken up
    assert_refused(call("reproduce", "one", "--set", "size=2"), "other settings", "size 1.0, not 2.0")


@pytest.mark.parametrize("name", ["one", "all"])
def test_a_folder_that_cannot_be_made_is_refused_by_its_name(name, registry):
    place = registry("one") / "file"
    place.touch()
    assert_refused(
        call("reproduce", name, "--out", place / "here"), f"{place / 'here'} must be a folder that can be made"
    )
    assert_refused(call("reproduce", name, "--out", place), "file")


def test_unknown_figure():
    assert_refused(call("reproduce", "fig2"), "'fig2'", *REGISTRY)


@pytest.mark.parametrize(
    ("change", "message"),
    [("epochs", "NAME=VALUE"), ("epoch=3", "epochs"), ("epochs=x", "of type int"),
     ("batch_size=-1", "batch_size must be"), ("epochs=0", "epochs must be a whole number >= 1"), ("seed=-1", "seed must be"),
     ("inputs=nan", "inputs must be a finite number")],
)  # fmt: skip
def test_wrong_settings(tmp_path, change, message):
    assert_refused(call("reproduce", "ma2024-fig7", "--out", tmp_path, *TINY, "--set", change), message)


def test_an_interruption_says_how_to_go_on(registry, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    registry("one")
    with monkeypatch.context() as patch:
        patch.setattr(frame, "solve", interrupted)
        result = call("reproduce", "one")
    assert result.exit_code == 130
    assert "same command goes on" in result.stderr
    assert call("reproduce", "one").exit_code == 0


def test_the_module_runs_and_help_loads_nothing_heavy():
    code = (
        "import sys, runpy; sys.argv = ['gradflow', '--help']\n"
        "try: runpy.run_module('gradflow', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert not end.code\n"
        "print([m for m in ('matplotlib', 'numba', 'scipy', 'sympy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("Usage: gradflow")
    assert run.stdout.splitlines()[-1] == "[]"


def refused(figure, task, series):
    """Run nothing."""
    raise ValueError("dt must be\n> 0")


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """Return a function that puts figures that take no time in the place of those there are."""

    kept = dict(REGISTRY)  # put back as a whole: its order is that of the page

    def put(*names, **runs):
        monkeypatch.chdir(tmp_path)
        REGISTRY.clear()
        REGISTRY.update({name: toy(name, run=runs.get(name, run_curves)) for name in names})
        return tmp_path

    yield put
    REGISTRY.clear()
    REGISTRY.update(kept)


def last_table(text):
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("figure "))
    return [re.split(r" {2,}", line)[:-1] for line in lines[start + 2 : lines.index("", start)]]


def test_no_figure_is_called_as_all_of_them():
    assert "all" not in REGISTRY


def test_all_runs_everything_but_the_demonstration(registry):
    folder = registry("one", "demo", "two") / "gradflow-results-quick"
    result = call("reproduce", "all", "--quick")
    assert result.exit_code == 0, result.output
    assert "Verdict: not decided: 0 hold, 0 fail, 3 open" in result.stdout
    assert last_table(result.stdout) == [[name, "not decided", "0 hold, 0 fail, 3 open"] for name in ("one", "two")]
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert json.loads((folder / "two" / "settings.json").read_text())["settings"]["epochs"] == 2
    assert (folder / "two" / "two.png").exists()


def test_one_that_is_refused_does_not_stop_the_others(registry):
    registry("one", "two", one=refused)
    result = call("reproduce", "all", "--out", "here")
    assert result.exit_code == 1
    assert "Not run: dt must be > 0" in result.stdout
    assert [row[:2] for row in last_table(result.stdout)] == [["one", "not run"], ["two", "not decided"]]
    assert result.stderr == "gradflow: not run: one\n"


def test_a_folder_of_other_settings_does_not_stop_the_others(registry):
    folder = registry("one", "two") / "here"
    assert call("reproduce", "one", "--out", folder / "one", "--set", "epochs=9").exit_code == 0
    result = call("reproduce", "all", "--out", "here")
    assert result.exit_code == 1
    assert "other settings" in result.stdout
    assert [row[0] for row in last_table(result.stdout)] == ["one", "two"]


def test_all_goes_on_after_an_interruption(registry):
    def interrupted(figure, task, series):
        if not (series.data.parent / "again").exists():
            (series.data.parent / "again").touch()
            raise KeyboardInterrupt
        return run_curves(figure, task, series)

    registry("one", "two", "three", two=interrupted)
    result = call("reproduce", "all")
    assert result.exit_code == 130
    assert "Title of three" not in result.stdout
    assert "the same command goes on from what gradflow-results holds" in result.stderr
    assert call("reproduce", "all").exit_code == 0


def test_all_takes_no_settings(registry):
    folder = registry("one")
    assert_refused(call("reproduce", "all", "--set", "epochs=3"), "--set changes one figure", "'epochs=3'")
    assert list(folder.iterdir()) == []


def test_report_prints_the_page_of_the_results(registry):
    registry("one", "two")
    assert call("reproduce", "all").exit_code == 0
    result = call("report", "gradflow-results")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# Reproduction\n")
    for text in ("## one: Title of one", "## two: Title of two", "x: energy at epoch 8", "$ gradflow reproduce two"):
        assert text in result.stdout
    assert_refused(call("report", "nowhere"), "nowhere", "claims.json")
