"""The reproduction page: it is what the stored results make, and what is stored is what the figures run."""

import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments import REGISTRY, conventions
from gradflow.experiments.empirical import run_timed
from gradflow.experiments.figure import Curve, Figure, Series, run_curves
from gradflow.experiments.images import Images
from gradflow.experiments.judging import judge
from gradflow.experiments.page import command, reproduction_page
from gradflow.experiments.pictures import picture
from gradflow.experiments.published import Published
from gradflow.experiments.results import read_results
from gradflow.experiments.traces import load_curves
from gradflow.namespace import blas_threads
from toy_figures import toy, trace

DOCS = Path(gf.__file__).parents[1] / "docs"
PUBLISHED = {"x": {"x": {"energy": Published("fig07a", "PM-Euler_train")}}}


def results(folder, *figures, **changes):
    for figure in figures:
        figure.reproduce(folder / figure.name, say=lambda _: None, **changes)
    return read_results([folder], {figure.name: figure for figure in figures})


def cells(page):
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("|")]
    return [[re.sub(r"\\([^A-Za-z0-9])", r"\1", cell.strip()) for cell in row] for row in rows]


def test_the_page_is_the_stored_results():
    if not (DOCS / "results").exists():
        pytest.skip("docs/results holds no results yet")
    page = (DOCS / "reproduction.md").read_text(encoding="utf-8")
    results = read_results([DOCS / "results"], REGISTRY)
    names = {one.figure.name for one in results} | {"demo"}
    made = reproduction_page(results, [figure for name, figure in REGISTRY.items() if name not in names])
    assert page == made, "make it anew: gradflow report docs/results --all > docs/reproduction.md"


@pytest.fixture
def one_thread():
    """One thread of the BLAS, as the stored results have it; two that wait for each other take ten times as long."""
    with blas_threads(1):
        yield


class Nudged(Series):
    """Runs from initial parameters that are one part in a million away."""

    def train(self, draw, curve, stem):
        return super().train(draw._replace(theta0=draw.theta0 * (1 + 1e-6)), curve, stem)


def apart(one, other, of):
    """Return how far a quantity of two runs is apart, relative, at most up to each common epoch; an image more is nothing."""
    _, *at = np.intersect1d(one.history["epoch"], other.history["epoch"], return_indices=True)
    a, b = (
        np.nan_to_num(t.history[of][k].astype(float), nan=-1, posinf=1e30)
        for t, k in zip((one, other), at, strict=True)
    )
    assert a.size > 1
    least = 0.1 if of == "misclassified" else 0.0
    return np.maximum.accumulate(np.maximum(abs(a - b) - least, 0) / np.maximum(abs(b), 1e-30))


STORED = [name for name in REGISTRY if (DOCS / "results" / name).exists()]


@pytest.mark.parametrize("name", [name for name in STORED if REGISTRY[name].run in (run_curves, run_timed)])
@pytest.mark.usefixtures("one_thread")
def test_stored_curves_begin_as_the_figure_runs_today(tmp_path, monkeypatch, name):
    """Three epochs of the first draw, less of images: scheme, step size and task are those of the figure."""
    figure, kept = REGISTRY[name], load_curves(DOCS / "results" / name / "curves.npz")
    task, epochs = figure.task, 3 * figure.task.record_epochs
    if isinstance(task, Images):
        epochs = 2 if task.n_train else 1
        monkeypatch.setenv(
            "GRADFLOW_DATA_DIR", os.environ.get("GRADFLOW_DATA_DIR", str(DOCS.parents[1] / "shared/data"))
        )
    panels = {
        title: {label: c._replace(changes={**c.changes, "share": 1.0}) for label, c in curves.items()}
        for title, curves in figure.panels.items() if title != "smoothed particles"  # which take minutes
    }  # fmt: skip
    figure, task = replace(figure, panels=panels, claims=[], published={}), replace(task, epochs=epochs, draws=1)
    try:
        today = run_curves(figure, task, Series(tmp_path / "today", lambda _: None, False, figure.wanted))
    except ValueError as error:
        if "images whose files are there" not in str(error):
            raise
        pytest.skip(str(error))
    places = [(title, label) for title, curves in panels.items() for label in curves]
    for title, label in places:
        share = replace(REGISTRY[name].task, **REGISTRY[name].panels[title][label].changes).share
        end = max(1, round(share * REGISTRY[name].task.epochs))
        assert (
            kept[title][label][0].status != "done"
            or kept[title][label][0].rests
            or kept[title][label][0].history["epoch"][-1] == end
        )
    away = {(t, k, of): apart(today[t][k][0], kept[t][k][0], of) for t, k in places for of in figure.keep}
    beyond = {place: distance for place, distance in away.items() if distance[-1] > 2e-3}
    if beyond:  # the rounding errors of another processor grow as a nudge does
        nudged = run_curves(figure, task, Nudged(tmp_path / "nudged", lambda _: None, False, figure.wanted))
        for (title, label, of), distance in beyond.items():
            sensitive = apart(nudged[title][label][0], today[title][label][0], of)
            assert (distance <= 2e-3 + 100 * sensitive).all(), (title, label, of, distance, sensitive)


@pytest.mark.usefixtures("one_thread")
def test_stored_distances_of_conventions_are_those_of_today(tmp_path, monkeypatch):
    """The nearest convention to all figures and the nearest to Figure 7, for the first draw."""
    places, figure = [108, 119], REGISTRY["ma2024-conventions"]
    names = list(conventions.CONVENTIONS)
    monkeypatch.setattr(conventions, "CONVENTIONS", {names[k]: conventions.CONVENTIONS[names[k]] for k in places})
    kept = load_curves(DOCS / "results" / figure.name / "curves.npz")
    for title, curves in figure.run(
        figure, replace(figure.task, draws=1), Series(tmp_path, lambda _: None, False, None)
    ).items():
        for label, (now,) in curves.items():
            then = kept[title][label][0].history["distance"][places]
            np.testing.assert_allclose(now.history["distance"], then, rtol=2e-3, err_msg=label)


def test_the_page_has_the_numbers_and_the_interval_of_every_claim(tmp_path):
    figure = toy(published=PUBLISHED, paper={"epochs": 100}, note="One sentence.")
    page = reproduction_page(results(tmp_path, figure, epochs=101, size=0.1))
    rows, told = cells(page), json.loads((tmp_path / "small" / "claims.json").read_text())
    holds = [row["holds"] for row in told["claims"]]
    words = "not reproduced" if True not in holds else "reproduced in part" if False in holds else "not decided"
    counts = " / ".join(str(holds.count(one)) for one in (True, False, None))
    summary = next(row for row in rows if row[0] == "[small](#reproduction-small): Title of small")
    assert summary[1:3] == [f"[{words}]{{.verdict .verdict-{words.replace(' ', '-')}}}", counts]
    assert re.fullmatch(
        r"x, energy: 0.0017 published at epoch 101, \S+ \(\S+ to \S+\) ours; distance \S+ \(.*\)", summary[3]
    )
    assert summary[4] == "epochs, size"
    assert page.count("(reproduction-small)=\n## small: Title of small") == 1
    (curve,) = [row for row in rows if row[0] == "x" and row[1] == "energy"]
    assert curve[2:4] == ["101", "0.0017"]
    assert re.fullmatch(r"\S+ \(\S+ to \S+\)", curve[4])
    claim = next(row for row in rows if row[0] == "x: energy at epoch 8")
    values = sorted(told["claims"][0]["values"])
    assert claim[1:] == ["at most 10", f"{sum(values) / 2:.2g}", f"{values[0]:.2g} to {values[1]:.2g}", "yes"]
    for text in (
        "A paper, Fig. 1. A problem.",
        "epochs = 101 (paper: 100), size = 0.1 (paper: 1.0)",
        "$ gradflow reproduce small --set epochs=101 --set size=0.1",
    ):
        assert text in page
    assert "One sentence." not in page  # it is about the full form
    assert "One sentence." in reproduction_page(results(tmp_path / "full", figure))
    assert "```{figure} " + f'{tmp_path.name}/small/small.png\n:alt: "small: Title of small"' in page


def test_the_row_of_a_figure_has_the_farthest_published_curve_in_its_nearest_form(tmp_path):
    curve = Curve(gf.SAV(), 0.5)
    theirs = {
        k: {"energy": Published("fig07a", f"PM-{column}_train")}
        for k, column in (("a", "Euler"), ("b", "SAV"), ("c", "SAV"))
    }
    figure = toy(panels={"x": dict.fromkeys("abc", curve)}, published={"x": theirs}, claims=[])
    (kept,) = results(tmp_path, figure)
    for scale, row in (
        ({"a": 1, "b": 9, "c": 2}, "c"),
        ({"a": 5, "b": 9, "c": 2}, "a"),
        ({"a": np.nan, "b": 3, "c": 2}, "c"),
    ):
        published = theirs["a"]["energy"]
        made = {
            k: [trace(s * published.values, published.epochs, energy=s * published.values)] * 2
            for k, s in scale.items()
        }
        rows = judge(figure, {"x": made})
        page = reproduction_page([kept._replace(panels={"x": made}, report=kept.report._replace(claims=rows))])
        summary = next(row for row in cells(page) if row[0].startswith("[small]"))
        assert summary[3].startswith(f"{row}, energy: ")


def test_figures_stand_in_the_order_of_the_registry_and_once(tmp_path):
    figures = [toy(name) for name in ("b", "a")]
    page = reproduction_page(results(tmp_path, *figures))
    assert re.findall(r"^\((\S+)\)=$", page, re.MULTILINE) == ["reproduction-b", "reproduction-a"]
    figures[0].reproduce(tmp_path / "again", say=lambda _: None)
    with pytest.raises(ValueError, match="a page has one result of a figure, got another one of b"):
        results(tmp_path, *figures)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, "gradflow reproduce small"),
        ({"quick": True}, "gradflow reproduce small --quick"),
        ({"epochs": 7}, "gradflow reproduce small --set epochs=7"),
        (
            {"quick": True, "data": "a b", "size": 0.1},
            "gradflow reproduce small --quick --set size=0.1 --set 'data=a b'",
        ),
    ],
)
def test_the_command_of_a_section_gives_its_settings(tmp_path, form, expected):
    figure = toy()
    (kept,) = results(tmp_path, figure, **form)
    assert command(kept) == expected
    words = shlex.split(expected)
    changes = dict(word.split("=", 1) for word in words if "=" in word)
    assert vars(figure.settings(quick="--quick" in words, **changes)) == kept.report.settings


def test_claims_that_do_not_follow_from_the_curves_are_refused(tmp_path):
    figure = toy()
    results(tmp_path, figure)
    path = tmp_path / "small" / "claims.json"
    good = path.read_text()
    for wrong in (good.replace('"holds": true', '"holds": false'), good.replace('"high": 10.0', '"high": 9.0')):
        assert wrong != good
        path.write_text(wrong)
        with pytest.raises(ValueError, match="must hold the claims that follow from"):
            read_results([tmp_path], {"small": figure})
    (found,) = read_results([tmp_path], {"small": figure}, again=True)
    assert path.read_text() == good
    assert found == read_results([tmp_path], {"small": figure})[0]._replace(panels=found.panels)


def test_the_picture_has_a_row_for_each_panel_and_the_published_curve_behind(tmp_path):
    curve = Curve(gf.SAV(), 0.5)
    figure: Figure = toy(
        panels={"x": {"x": curve}, "y": {"x": curve}},
        published=PUBLISHED,
        show=("energy", "auxiliary_ratio"),
        keep=("energy", "auxiliary_ratio"),
    )
    figure.reproduce(tmp_path, say=lambda _: None)
    drawn = picture(figure, load_curves(tmp_path / "curves.npz"))
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["x", "", "y", ""]
    most = [max(len(line.get_xdata()) for line in axes.get_lines()) for axes in drawn.axes]
    assert most == [len(Published("fig07a", "PM-Euler_train").epochs), 9, 9, 9]
    assert [text.get_text() for text in drawn.legends[0].texts] == ["x", "published"]
