"""The documents: README code runs as printed, the examples in the docstrings give what they show."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import matplotlib
import pytest

import gradflow as gf

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_IMPORTED = {"gradflow.__main__", "gradflow.kernels.cupy", "gradflow.kernels.numba"}
MODULES = ["gradflow", *sorted({m.name for m in pkgutil.walk_packages(gf.__path__, "gradflow.")} - NOT_IMPORTED)]


def examples(module):
    """Return the docstrings of a module that have examples."""
    return [test for test in doctest.DocTestFinder().find(module, module.__name__) if test.examples]


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names = {}
    for block in blocks:
        names.pop("solution", None)
        exec(compile(block, "README.md", "exec"), names)
        assert ("solution" in names) == ("solve(" in block)
        if "solution" in names:
            assert names["solution"].status is gf.Status.DONE, names["solution"].message
        for file in re.findall(r"savefig\(\"([^\"]+)\"", block):
            assert (tmp_path / file).stat().st_size > 1000
    assert (tmp_path / "run.png").exists()
    assert not names["found"].is_gradient(order=3)


PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_the_rows_of_a_table_have_the_cells_of_its_head(page):
    """A bar that is not escaped ends a cell, in mathematics and code too."""
    text = re.sub(
        r"^(`{3,}|:{3,}\{code).*?^\1`*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(cells) == 1, table[:300]


def test_the_readme_has_two_commands():
    assert sum(line.startswith("pip install ") for line in README.splitlines()) == 2


def test_the_figures_of_the_readme_exist():
    figures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert "docs/_static/demo.png" in figures
    for figure in figures:
        assert (ROOT / figure).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for test in examples(importlib.import_module(name)):
        results = doctest.DocTestRunner(verbose=False).run(test)
        assert results.failed == 0, f"{test.name}: {results}"


def test_some_docstrings_have_examples():
    assert sum(len(examples(importlib.import_module(name))) for name in MODULES) >= 4
