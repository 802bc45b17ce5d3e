"""The command line: its commands, what they print, and one line with exit code 2 for every mistake."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import metadata

import pytest
from typer.testing import CliRunner

import gradflow as gf
from gradflow.cli import app
from gradflow.experiments import REGISTRY, Claim, Experiment, Outcome, training
from gradflow.experiments.listing import overview
from gradflow.installation import installation

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


def test_list_has_a_line_for_every_experiment():
    result = call("list")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if re.match(" {4}[^ ]", line)}
    printed = " ".join(result.stdout.split())
    assert set(lines) == set(REGISTRY)
    for name, experiment in REGISTRY.items():
        assert lines[name].endswith(experiment.title)
        assert experiment.source.split(",")[0] in result.stdout
        assert " ".join(experiment.problem.split()) in printed


@pytest.mark.parametrize("arguments", [["--long"], list(REGISTRY), ["demo"]])
def test_list_prints_all_about_those_that_are_named(arguments):
    result = call("list", *arguments)
    assert result.exit_code == 0
    printed = " ".join(result.stdout.split())
    named = REGISTRY if "--long" in arguments else arguments
    for name, experiment in REGISTRY.items():
        assert (f"{name}: {experiment.title}" in printed) == (name in named)
        for text in (experiment.source, experiment.problem, f"{experiment.time}; --quick: {experiment.quick_time}"):
            assert " ".join(text.split()) in printed or name not in named


def test_list_refuses_an_unknown_name_before_it_prints():
    result = call("list", "demo", "fig2")
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
        replace(fake(f"e{n}"), source=f"{citation}{place}", time="an hour for 3 draws; 4 h as printed")
        for n, (citation, place) in enumerate(cited[::2] + cited[1::2])
    ]
    lines = list(overview(several))
    assert [line for line in lines if line and not line.startswith(" ")] == ["A, J. X 5 (2024) 1", cited[-1][0]]
    assert lines[-3:] == [cited[-1][0], "    e3  an hour  Title of e3", f"        {several[0].problem}"]
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


def test_demo_prints_a_table_and_draws_a_figure(tmp_path):
    result = call("demo", "--out", tmp_path / "results", *TINY)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "results" / "demo.png").exists()
    for word in ("explicit Euler", "vanilla SAV", "restarted SAV", "relaxed SAV", "restarted IEQ", "Verdict: "):
        assert word in result.stdout
    header = next(line for line in result.stdout.splitlines() if line.startswith("scheme"))
    columns = ("scheme", "epochs", "train error", "test error", "mod. energy", "r/sqrt(E+C)", "ms/step", "status")
    assert " ".join(header.split()) == " ".join(columns)
    assert "\x1b" not in result.stdout


def test_results_go_to_a_folder_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("reproduce", "demo", "--quick", *TINY).exit_code == 0
    assert (tmp_path / "gradflow-demo-quick" / "report.txt").exists()


def test_other_settings_are_refused(tmp_path):
    assert call("demo", "--out", tmp_path, *TINY).exit_code == 0
    assert call("demo", "--out", tmp_path, *TINY).exit_code == 0  # taken up
    assert_refused(call("demo", "--out", tmp_path, *TINY, "--set", "dt=0.1"), "other settings", "dt 0.2, not 0.1")


@pytest.mark.parametrize("command", [("demo",), ("reproduce", "all")])
def test_a_folder_that_cannot_be_made_is_refused_by_its_name(command, tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "here"
    changes = TINY if command == ("demo",) else ()
    assert_refused(call(*command, "--out", folder, *changes), f"{folder} must be a folder that can be made")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("C=-5", "C must satisfy"),
        ("C=nan", "C must be a finite number, got nan"),
        ("dt=nan", "dt must be a finite number > 0, got nan"),
        ("dt=-1", "dt must be a finite number > 0, got -1.0"),
        ("batch_size=-1", "batch_size must be"),
        ("batch_size=49", "batch_size must be"),
        ("epochs=0", "epochs must be a whole number >= 1"),
        ("seed=-1", "seed must be"),
    ],
)
@pytest.mark.parametrize("name", ["demo", "ma2024-fig2"])
def test_a_refused_setting_claims_no_folder_and_is_named_before_it(tmp_path, monkeypatch, name, change, message):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / f"gradflow-{name}-quick"
    assert_refused(call("reproduce", name, "--quick", *TINY, "--set", change), message)
    assert not folder.exists()
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "run.npz").touch()
    (folder / "settings.json").write_text('{"experiment": "another", "settings": {}}')
    assert_refused(call("reproduce", name, "--quick", *TINY, "--set", change), message)
    assert_refused(call("reproduce", name, "--quick", *TINY), "other settings", "experiment another")


def test_unknown_experiment():
    assert_refused(call("reproduce", "fig2"), "'fig2'", *REGISTRY)


@pytest.mark.parametrize(
    ("change", "message"),
    [("epochs", "NAME=VALUE"), ("epoch=3", "epochs"), ("epochs=x", "of type int"), ("dt=-1", "dt must be")],
)
def test_wrong_settings(tmp_path, change, message):
    assert_refused(call("demo", "--out", tmp_path, *TINY, "--set", change), message)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").touch()
    assert_refused(call("demo", "--out", tmp_path / "file", *TINY), "file")


def test_an_interruption_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "solve", interrupted)
        result = call("demo", "--out", tmp_path, *TINY)
    assert result.exit_code == 130
    assert "same command goes on" in result.stderr
    assert call("demo", "--out", tmp_path, *TINY).exit_code == 0


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


@dataclass(frozen=True)
class Nothing:
    """Settings of an experiment that does next to nothing."""

    epochs: int = 2
    what: str = "ends"


def fake(name, what="ends"):
    """Return an experiment that ends, is refused, or is interrupted at first."""

    def run(settings, context):
        context.claim()
        if what == "is refused":
            raise ValueError("dt must be\n> 0")
        if what == "is interrupted" and not (context.out / "again").exists():
            (context.out / "again").touch()
            raise KeyboardInterrupt
        claim = Claim(f"the claim of {name}", True, "seen")
        return Outcome(("run",), ((name,),), "A note.", (claim,), f"reproduced: {name}")

    return Experiment(
        name=name, title=f"Title of {name}", source="A paper", problem="A problem.", time="0 s", quick_time="0 s",
        full=Nothing(), quick=Nothing(epochs=1), run=run,
    )  # fmt: skip


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """Return a function that puts fake experiments in the place of those there are, but for the demonstration."""

    kept = dict(REGISTRY)  # put back as a whole: its order is that of the page

    def put(**kinds):
        monkeypatch.chdir(tmp_path)
        REGISTRY.clear()
        REGISTRY.update({"demo": kept["demo"], **{name: fake(name, what) for name, what in kinds.items()}})
        return tmp_path

    yield put
    REGISTRY.clear()
    REGISTRY.update(kept)


def last_table(text):
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("experiment "))
    return [line.split()[:-1] for line in lines[start + 2 : lines.index("", start)]]


def test_no_experiment_is_called_as_all_of_them():
    assert "all" not in REGISTRY


def test_all_runs_everything_but_the_demonstration(registry):
    folder = registry(one="ends", two="ends") / "gradflow-results-quick"
    result = call("reproduce", "all", "--quick")
    assert result.exit_code == 0, result.output
    assert "Verdict: reproduced: one" in result.stdout
    assert last_table(result.stdout) == [["one", "reproduced"], ["two", "reproduced"]]
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert json.loads((folder / "two" / "settings.json").read_text())["settings"]["epochs"] == 1


def test_one_that_is_refused_does_not_stop_the_others(registry):
    registry(one="is refused", two="ends")
    result = call("reproduce", "all", "--out", "here")
    assert result.exit_code == 1
    assert "Not run: dt must be > 0" in result.stdout
    assert last_table(result.stdout) == [["one", "not", "run"], ["two", "reproduced"]]
    assert result.stderr == "gradflow: not run: one\n"


def test_a_folder_of_other_settings_does_not_stop_the_others(registry):
    folder = registry(one="ends", two="ends") / "here"
    assert call("reproduce", "all", "--out", "here").exit_code == 0
    (folder / "one" / "data").mkdir()
    (folder / "one" / "data" / "run.npz").touch()
    (folder / "one" / "settings.json").write_text('{"experiment": "one", "settings": {"epochs": 9}}')
    result = call("reproduce", "all", "--out", "here")
    assert result.exit_code == 1
    assert "other settings" in result.stdout
    assert "Verdict: reproduced: two" in result.stdout


def test_all_goes_on_after_an_interruption(registry):
    registry(one="ends", two="is interrupted", three="ends")
    result = call("reproduce", "all")
    assert result.exit_code == 130
    assert "Title of three" not in result.stdout
    assert "the same command goes on from what gradflow-results holds" in result.stderr
    assert call("reproduce", "all").exit_code == 0


def test_all_takes_no_settings(registry):
    folder = registry(one="ends")
    assert_refused(call("reproduce", "all", "--set", "epochs=3"), "--set changes one experiment", "'epochs=3'")
    assert list(folder.iterdir()) == []


def test_report_prints_the_page_of_the_results(registry):
    registry(one="ends", two="ends")
    assert call("reproduce", "all").exit_code == 0
    result = call("report", "gradflow-results")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# Reproduction\n")
    for text in ("## Title of one", "## Title of two", "the claim of two", "$ gradflow reproduce two"):
        assert text in result.stdout
    assert_refused(call("report", "nowhere"), "nowhere", "settings.json")
