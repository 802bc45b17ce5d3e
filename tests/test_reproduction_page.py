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
from gradflow.experiments.conventions import run_search
from gradflow.experiments.empirical import run_timed
from gradflow.experiments.figure import Curve, Figure, Series, judge, run_curves
from gradflow.experiments.images import Images
from gradflow.experiments.page import command, reproduction_page
from gradflow.experiments.pictures import picture
from gradflow.experiments.published import Published
from gradflow.experiments.results import read_results
from gradflow.experiments.traces import load_curves
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


ROUGH = {
    ("ma2024-fig8", "explicit Euler"),
    ("ma2024-fig12", "Levenberg-Marquardt"),
    ("empirical-exp2", "SAV (2.2.3)"),
    ("empirical-exp2", "IEQ, q carried"),
    ("empirical-exp2", "IEQ, q anew"),
    ("empirical-exp2", "adaptive IEQ, 2 E"),
}
"""Figures and curves whose rounding errors grow by more than a factor 1e4 in three epochs: another processor has others."""


@pytest.mark.parametrize(
    "name", [name for name, figure in REGISTRY.items() if figure.run in (run_curves, run_timed, run_search)]
)
def test_stored_curves_begin_as_the_figure_runs_today(tmp_path, monkeypatch, name):
    """Three epochs of the first draw, one of images, at the stored settings: scheme, step size and task are those of the figure."""
    figure, folder = REGISTRY[name], DOCS / "results" / name
    if not folder.exists():
        pytest.skip(f"docs/results holds no results of {name} yet")
    kept, task = load_curves(folder / "curves.npz"), figure.task
    places = range(len(conventions.CONVENTIONS))
    if figure.run is run_search:
        places = [108, 119]  # the nearest to all figures, the nearest to Figure 7
        few = {k: v for n, (k, v) in enumerate(conventions.CONVENTIONS.items()) if n in places}
        monkeypatch.setattr(conventions, "CONVENTIONS", few)
        task = replace(task, draws=1)
    else:
        for trace, curve in ((of[0], figure.panels[t][k]) for t, c in kept.items() for k, of in c.items()):
            end = (
                max(1, round(replace(task, **curve.changes).share * task.epochs))
                if hasattr(task, "share")
                else task.epochs
            )
            assert trace.status != "done" or trace.history["epoch"][-1] == end
        images = isinstance(task, Images)
        epochs = 3 * task.record_epochs if not images else 2 if task.n_train else 1  # of all images one epoch
        whole = {  # of the images one panel
            title: {k: c._replace(changes={**c.changes, "share": 1.0}) if "share" in c.changes else c for k, c in curves.items()}
            for title, curves in figure.panels.items() if title != "smoothed particles"
        }  # fmt: skip
        figure, task = (
            replace(figure, panels=whole, claims=[], published={}, run=run_curves),
            replace(task, epochs=epochs, draws=1),
        )
    monkeypatch.setenv(
        "GRADFLOW_DATA_DIR", os.environ.get("GRADFLOW_DATA_DIR", str(DOCS.parents[1] / "shared" / "data"))
    )
    try:
        found = figure.run(figure, task, Series(tmp_path, lambda _: None, False, figure.wanted))
    except ValueError as error:
        if "images whose files are there" not in str(error):
            raise
        pytest.skip(str(error))
    for title, label, now, then in ((t, k, c[k][0], kept[t][k][0]) for t, c in found.items() for k in c):
        if figure.run is run_search:
            at, where = np.arange(len(places)), np.array(places)
        else:
            _, at, where = np.intersect1d(now.history["epoch"], then.history["epoch"], return_indices=True)
            assert at.size > 1
        for of in () if (name, label) in ROUGH else figure.keep:
            ours, theirs = (np.clip(t.history[of][k], -1e30, 1e30) for t, k in ((now, at), (then, where)))
            np.testing.assert_allclose(
                ours, theirs, rtol=2e-3, atol=0.1 if of == "misclassified" else 1e-30, err_msg=f"{title}: {label}, {of}"
            )


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
