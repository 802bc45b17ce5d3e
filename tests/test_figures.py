"""The frame of the figures: claims, traces, published curves, folders of results, and the search over conventions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

import gradflow as gf
from gradflow.experiments import REGISTRY
from gradflow.experiments import figure as frame
from gradflow.experiments.claims import (
    ALL,
    Claim,
    above,
    below,
    follows,
    further_draws,
    of_draws,
    read,
    rises,
    together,
)
from gradflow.experiments.conventions import CONVENTIONS, Search, count_of_near, held_out, not_farther
from gradflow.experiments.figure import Curve
from gradflow.experiments.judging import Report, judge, verdict
from gradflow.experiments.published import Published
from gradflow.experiments.tasks import Example
from gradflow.experiments.traces import Trace, load_curves, save_curves, thinned
from toy_figures import Quadratic, silent, toy, trace

INF, NAN = np.inf, np.nan
CURVES = Path(frame.__file__).parent / "published_curves"
BIT = np.testing.assert_array_equal


def claim(low, high, spread=False):
    return Claim("x", ("x",), lambda curves: np.zeros(1), low, high, bool(spread), positive=spread == "decades")


# --- claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "low", "high", "spread", "holds"),
    [
        ([1, 2, 3], 1, 3, False, True),
        ([1, 2, 3], 1.5, 3, False, None),  # the draws disagree
        ([1, 2], 3, 4, False, None),  # too few
        ([1, 2, 1, 2, 1], 3, 4, False, False),
        ([INF] * 5, 0, 4, False, False),
        ([INF] * 5, 0, INF, False, True),
        ([1, NAN], 0, 4, False, None),
        ([], 0, 4, False, None),
        ([1, 3], 2, 2.1, True, True),  # one more draw may lie there
        ([1, 1.1, 1.2, 1.1, 1], 1.25, 2, True, None),  # outside of the draws, inside of further ones
        ([1, 1.1, 1.2, 1.1, 1], 2, 3, True, False),
        ([1, 1.1], 2, 3, True, None),
        ([INF] * 5, 0, 4, True, False),
        ([1, 1, INF, 1, 1], 0, 4, True, False),
        ([INF] * 2, 0, 4, True, None),
        ([1, 10, 100, 10, 1], 0, 0.5, "decades", None),  # 0.018 to 2200; as normal values from -105 on
        ([1, 10, 100, 10, 1], 0, 0.01, "decades", False),
        ([1, 10, 100, 10, 1], 0, 0.01, True, None),
        ([1, NAN, 1, 1, 1], 0, 4, True, None),
    ],
)
def test_what_holds(values, low, high, spread, holds):
    assert claim(low, high, spread).holds(np.array(values, dtype=float)) is holds


@pytest.mark.parametrize("spread", [False, True, "decades"])
def test_what_holds_in_an_interval_holds_in_a_wider_one(spread):
    draw, rank = np.random.default_rng(0), {False: 0, None: 1, True: 2}
    for _ in range(2000):
        values = np.abs(draw.normal(size=draw.integers(1, 8)))
        values[draw.random(len(values)) < 0.05] = INF
        values[draw.random(len(values)) < 0.02] = NAN
        low, high = np.sort(draw.normal(1, 1, size=2))
        wider = claim(low - draw.exponential(), high + draw.exponential(), spread)
        assert rank[claim(low, high, spread).holds(values)] <= rank[wider.holds(values)]


def test_a_further_draw_is_where_it_is_expected_in_95_of_100_cases():
    draws = np.random.default_rng(1).normal(3.0, 2.0, size=(4000, 6))
    inside = [low <= row[-1] <= high for row in draws for low, high in [further_draws(row[:5])]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


def test_a_curve_is_read_around_an_epoch():
    run = trace([1.0, 10.0, 1000.0], [96, 100, 110])
    assert read(run, "train_error", 100) == pytest.approx(10**0.5)
    assert np.isnan(read(run, "train_error", 111))
    assert read(replace(run, status="nonfinite"), "train_error", 111) == INF
    assert read(replace(run, status="stagnated"), "train_error", 111) == 1000
    assert read(replace(run, message="stationary point"), "train_error", 111) == 1000


FALLING, HIGH = trace(np.geomspace(1, 1e-4, 11)), trace(np.geomspace(1, 1e-2, 11))
SHORT, LOST = trace(np.geomspace(1, 1e-2, 6)), trace(np.geomspace(1, 1e2, 6), status="nonfinite")


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda: together(["a", "b"], at=10, within=2), [100, INF, NAN]),
        (lambda: above("b", "a", at=10), [100, INF, NAN]),
        (lambda: above("a", "b", at=10), [0.01, 0, NAN]),
        (lambda: above(["a", "b"], "a", at=10), [1, 1, NAN]),
        (lambda: below("b", 1.0, at=10), [1e-2, INF, NAN]),
        (lambda: rises("b", until=10), [0, INF, NAN]),
        (lambda: rises("b", until=5), [0, 1, 0]),
    ],
)
def test_the_numbers_of_claims(make, values):
    """Of a curve beside one that falls: higher; divergent; ended too early."""
    curves = {"a": [FALLING] * 3, "b": [HIGH, LOST, SHORT]}
    found = np.asarray(make().value(curves))
    np.testing.assert_allclose(found, values, rtol=1e-5)
    row = make().row(curves, "panel")
    assert json.loads(json.dumps(row)) == row  # which has no infinity and no NaN
    assert row["values"] == [None if np.isnan(v) else str(v) if np.isinf(v) else float(f"{v:.5g}") for v in found]


def test_a_published_curve_is_followed_by_no_other():
    curve = Published("fig07a", "PM-Euler_train")
    level, shape = follows("a", curve)
    tilted = trace(curve.values * np.geomspace(0.01, 100, len(curve.values)), curve.epochs)
    early = trace(curve.values[:2], curve.epochs[:2])
    curves = {"a": [tilted, early, replace(early, status="nonfinite")]}
    distances, shapes = level.value(curves), shape.value(curves)
    assert shapes[0] > shape.high
    assert np.isnan(shapes[1])
    assert distances[2] == shapes[2] == INF
    assert [level.holds(np.full(5, np.log10(factor))) for factor in (1, 2)] == [True, False]


# --- traces and published curves ---------------------------------------------------------------------------------


def test_thinning_keeps_what_is_wanted_and_both_ends():
    run = gf.solve(gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t), gf.SAV(), np.full(2, 1e30), dt=1e-3, epochs=500, record=["energy"])  # fmt: skip
    kept = thinned(run, ["energy"], wanted=[101, 201.0, 433, 900], points=20)
    epochs = kept.history["epoch"]
    assert {0, 101, 201, 433, 500} <= set(epochs.tolist())
    assert len(epochs) <= 24
    assert (np.diff(epochs) > 0).all()
    assert kept.history["energy"][0] == INF  # beyond float32
    assert (kept.status, kept.steps) == ("done", 500)
    assert set(thinned(run, [], points=1000).history["epoch"]) == set(range(501))


@pytest.mark.parametrize("draws", [[trace([1, 2]), trace([1, 2], other=[1, 2])], [trace([1, 2], other=[1])]])
def test_draws_that_differ_in_their_quantities_are_refused(tmp_path, draws):
    with pytest.raises(ValueError, match="must have the same quantities"):
        save_curves(tmp_path / "c.npz", {"p": {"a": draws}})


def test_traces_come_back_to_the_bit(tmp_path):
    panels = {
        "p | q/1": {"a/b": [FALLING, trace([NAN, INF], status="nonfinite", message="é")], "": [trace([1], other=[2])]},
        "": {"c": []},
    }
    save_curves(tmp_path / "c.npz", panels)
    back = load_curves(tmp_path / "c.npz")
    assert list(back) == list(panels)
    for one, other in zip(panels["p | q/1"]["a/b"], back["p | q/1"]["a/b"], strict=True):
        for name in ("status", "message", "steps"):
            assert getattr(one, name) == getattr(other, name)
        assert list(one.history) == list(other.history)
        for name, values in one.history.items():
            BIT(values, other.history[name])
    assert back[""] == {"c": []}


@pytest.mark.parametrize("cut", [0, 1, 30, 200, -1])
def test_a_damaged_file_of_curves_is_refused(tmp_path, cut):
    save_curves(tmp_path / "c.npz", {"p": {"a": [FALLING]}})
    content = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(content[:cut])
    with pytest.raises(ValueError, match="must be a file of curves"):
        load_curves(tmp_path / "c.npz")


TOLD = {"status": "done", "message": "", "steps": 1, "seconds": 0.0, "config": {}, "records": 2}


@pytest.mark.parametrize(
    "arrays",
    [
        {}, {"index": np.array("[")}, {"index": np.array("[" * 10**5)}, {"index": np.array('{"p": {"a": [{}]}}')}, {"index": np.array([None])},
        {"index": np.array("{}"), "x": np.zeros(3, "f4")}, {"index": np.array("{}"), "0/0/epoch": np.zeros(3, "f4")}, {"index": np.zeros(2**27, "u1")},
        *({"index": np.array(json.dumps({"p": {"a": [TOLD]}})), "0/0/epoch": values} for values in (np.zeros(2), np.zeros(3, "f4"), np.zeros((2, 1), "f4"))),
    ],
)  # fmt: skip
def test_a_strange_file_of_curves_is_refused(tmp_path, arrays):
    np.savez_compressed(tmp_path / "c.npz", **arrays)
    with pytest.raises(ValueError, match="must be a file of curves"):
        load_curves(tmp_path / "c.npz")


def test_published_curves_are_where_figures_say_and_are_followed_by_themselves():
    for figure in REGISTRY.values():
        for title, curves in figure.published.items():
            for label, quantities in curves.items():
                for of, curve in quantities.items():
                    assert title in figure.panels or not figure.panels
                    assert of in figure.keep
                    assert curve.epochs.shape == curve.values.shape != (0,)
                    assert np.isfinite(curve.values).all()
                    assert (curve.values > 0).all()
                    assert (np.diff(curve.epochs) > 0).all()
                    assert set(figure.wanted(title, label)) >= set(curve.epochs)
                    for factor, away in ((1, 0.0), (10, 1.0)):  # a run that is the published one follows it
                        runs = {label: [Trace({"epoch": curve.epochs, of: factor * curve.values}, "done")]}
                        apart = [claim.value(runs)[0] for claim in follows(label, curve, of=of)]
                        assert apart == pytest.approx([away, 0.0], abs=1e-12, nan_ok=True)
    for wrong in (("fig99a", "x"), ("../secret", "x"), ("fig07a", "epoch"), ("fig07a", "x")):
        with pytest.raises(ValueError, match=r"must be a published figure|has the columns"):
            Published(*wrong).values  # noqa: B018


def test_claims_on_published_curves_are_what_the_files_hold():
    """The files are read anew, and what is claimed is worked out record by record."""

    def column(name, file):
        head, *rows = [line.split(",") for line in (CURVES / f"fig{file}.csv").read_text().splitlines()]
        return np.array([float(row[head.index(name)] or NAN) for row in rows])

    def apart(*curves):
        return max(np.max(one / other) for one in curves for other in curves)

    next_epoch = np.flatnonzero(np.diff(column("epoch", "01c")) == 1)
    first = {p: column(f"RelSAV_{of}", f"03{p}")[0] / column(f"SAV_{of}", f"03{p}")[0] for p, of in zip("abcd", ("train", "test") * 2, strict=True)}  # fmt: skip
    lost, once = ([column(f"{k}_1-q", f"06{p}") for p in "ab"] for k in ("SAV", "ResSAV"))
    expected = {
        ("1-smoothed", 0): [apart(column("SPM-SAV_train", "01c")[next_epoch + 1], column("SPM-RelSAV_train", "01c")[next_epoch]), 1],
        ("3", 1): [apart(*(column(f"{k}_{of}", f"03{p}") for k in ("SAV", "ResSAV", "RelSAV"))) for of, p in (("train", "c"), ("test", "d"))],
        ("3", 3): [first["a"] / first["b"], first["c"] / first["d"]],
        ("6", 0): [max((1 - b) / (1 - a) for k, a in enumerate(d) for b in d[k:]) for d in lost],
        ("6", 3): [-np.log1p(-d).sum() / e.sum() for d, e in zip(lost, once, strict=True)],
        ("8", 0): [apart(column(f"Euler_lr0.01_{of}", f"08{p}"), column(f"PM-Euler_{of}", f"07{p}")[:100]) for of, p in (("train", "a"), ("test", "b"))],
    }  # fmt: skip
    for (name, k), numbers in expected.items():
        told = [one.value({}) for one in REGISTRY[f"ma2024-fig{name}"].claims if not one.labels][k]
        np.testing.assert_allclose(told, numbers, rtol=1e-12)


CSV = "epoch,a\n1,2\n10,1\n"


@pytest.mark.parametrize(
    "content",
    [
        "", "epoch,a", "x,a\n1,2", "step,a\n1,2", "epoch,a,a\n1,2,3", "epoch,a\n10,1\n1,2", "epoch,a\n1,2\n1,2", "epoch,a\n1", "epoch,a\n1,many",
        "epoch,a\n1,2,3", "epoch,a\n1,0", "epoch,a\n1,-1", "epoch,a\n1,", "epoch,a\n1,inf", "epoch,a\ninf,1", "epoch,a\nnan,1", "epoch,a\n-1,1", "epoch;a\n1;2", "epoch,b\n1,2", None,
    ],
)  # fmt: skip
def test_a_curve_of_your_own_is_read_or_refused(tmp_path, content):
    good, path = tmp_path / "good.csv", tmp_path / "p.csv"
    for encoding in ("utf-8", "utf-8-sig"):
        good.with_stem(encoding).write_text(CSV, encoding=encoding)
        curve = Published(str(good.with_stem(encoding)), "a")
        assert (curve.epochs.tolist(), curve.values.tolist()) == ([1, 10], [2, 1])
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match=r"p\.csv"):
        Published(str(path), "a").values  # noqa: B018
    with pytest.raises(ValueError, match=r"p\.csv"):
        toy(published={"x": {"x": {"energy": Published(str(path), "a")}}}).reproduce(tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


# --- figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("figure", REGISTRY.values(), ids=REGISTRY)
def test_every_figure_says_what_it_is(figure):
    assert REGISTRY[figure.name] is figure
    for text in (figure.title, figure.source, figure.problem):
        assert len(text) > 5
    assert figure.note.count(". ") <= 1  # two sentences
    assert figure.settings(quick=True) != figure.settings()
    assert set(figure.paper) | set(figure.quick) <= set(vars(figure.task))
    known = [set(curves) for curves in figure.panels.values()]
    known.append({f"{title}{ALL}{label}" for title, curves in figure.panels.items() for label in curves})
    for one in figure.claims:
        assert one.low <= one.high
        assert not figure.panels or any(set(one.labels) <= labels for labels in known), one.text


MA2024 = [figure for figure in REGISTRY.values() if figure.name.startswith("ma2024") and figure.published]


@pytest.mark.parametrize("figure", MA2024, ids=lambda figure: figure.name)
def test_the_claims_of_a_figure_hold_for_the_published_curves_themselves(figure):
    def as_trace(quantities):
        at = np.unique(np.concatenate([curve.epochs for curve in quantities.values()]))
        read_at = {of: np.exp(np.interp(at, c.epochs, np.log(c.values))) for of, c in quantities.items()}
        return [Trace({"epoch": at, **read_at}, "done")]

    panels = {title: {k: as_trace(q) for k, q in curves.items()} for title, curves in figure.published.items()}
    rows = [row for row in judge(replace(figure, follow=False), panels) if row["panel"] or "|" in row["claim"]]
    assert {row["claim"]: row["values"] for row in rows if row["holds"] is not True} == {}


def test_what_is_stored_is_what_is_judged(tmp_path):
    figure, said = toy(), []
    report = figure.reproduce(tmp_path, say=said.append)
    assert said == ["small: draw 1 of 2 done", "small: draw 2 of 2 done"]
    told = json.loads((tmp_path / "claims.json").read_text())
    assert told == json.loads(json.dumps(report._asdict()))
    assert judge(figure, load_curves(tmp_path / "curves.npz")) == told["claims"]
    assert [row["holds"] for row in told["claims"]] == [True, None, None]
    assert report.headline == "not decided: 1 hold, 0 fail, 2 open"
    assert json.loads((tmp_path / "settings.json").read_text())["settings"] == told["settings"] == vars(Quadratic())
    run = gf.Solution.load(tmp_path / "data" / "0-1-1")  # panel, curve, draw
    BIT(
        run.history["energy"].astype(np.float32),
        load_curves(tmp_path / "curves.npz")["x"]["Euler"][1].history["energy"],
    )


def test_panels_share_runs_and_claims_name_curves_of_either(tmp_path):
    curve = Curve(gf.SAV(), 0.5)
    panels = {"p": {"a": curve}, "q": {"a": curve, "b": curve._replace(changes={"size": 2.0})}}
    across = together([f"p{ALL}a", f"q{ALL}a"], at=8, within=1.0, of="energy")
    report = toy(panels=panels, claims=[across, above("a", "b", at=8, of="energy")]).reproduce(tmp_path, say=silent)
    assert [(row["panel"], row["values"][0] > 1, row["holds"]) for row in report.claims] == [
        ("", False, True),
        ("q", True, True),
    ]
    assert len(list((tmp_path / "data").glob("*.npz"))) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "small has the settings epochs, .*; got 'epoch'"),
        ({"epochs": "many"}, "epochs must be of type int, got 'many'"),
        ({"epochs": 2.5}, "epochs must be of type int, got 2.5"),
        ({"epochs": True}, "epochs must be of type int, got True"),
        ({"size": -1.0}, "size must be > 0, got -1.0"),
        ({"data": 3}, "data must be of type str, got 3"),
        ({"size": INF}, "settings must be finite numbers"),
        ({"draws": 0}, "draws must be a whole number >= 1, got 0"),
    ],
)
def test_wrong_settings_leave_no_folder(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        toy().reproduce(tmp_path / "new", say=silent, **changes)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "setting", "value", "words"),
    [
        ("ma2024-fig11", "data", "letters", "must be one of"), ("ma2024-fig11", "loss", "relative", "must be one of"),
        ("ma2024-fig11", "init", "zero", "must be one of"), ("ma2024-fig11", "width", 0, "must be a whole number >= 1"),
        ("ma2024-fig11", "share", 0.0, "must lie in"), ("ma2024-fig11", "smoothing", 0.0, "must be a finite number > 0"),
        ("ma2024-fig12", "steepest", 1.0, "must be a finite number > 1"), ("ieq-review-drift", "epochs", 0, "must be a whole number >= 1"),
        ("ieq-review-cost", "largest", 8, "must be a whole number >= "), ("comparison", "points", 4, "must be odd"),
        ("comparison", "constants", 0, ">= 1"), ("comparison", "n_images", 1001, "1000"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(name, setting, value, words):
    with pytest.raises(ValueError, match=f"{setting}.*{words}"):
        replace(REGISTRY[name].task, **{setting: value})


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"name": "a/b"}, "name must have letters"), ({"show": ("loss",)}, "has no .* loss"), ({"paper": {"speed": 1}}, "has no .* speed"),
        ({"claims": [below("y", 1.0, at=1)]}, "a claim must be about curves"), ({"published": {"x": {"x": {"loss": None}}}}, "has no .* loss"),
        ({"claims": [above(f"x{ALL}x", "x", at=1)]}, "a claim must be about curves"), ({"published": {"y": {"x": {}}}}, r"has no .* y \| x"),
        ({"quick": {"speed": 1}}, "has no .* speed"), ({"unstated": ("speed",)}, "has no .* speed"), ({"published": {"x": {"y": {}}}}, r"has no .* x \| y"),
    ],
)  # fmt: skip
def test_a_figure_knows_the_names_that_it_uses(parts, words):
    with pytest.raises(ValueError, match=words):
        toy(**{"name": "small"} | parts)


@pytest.mark.parametrize("number", [lambda _: np.ones(3), lambda _: 1j, lambda _: "one", lambda t: t.history["no"][0]])
def test_a_claim_that_cannot_be_judged_is_named_and_the_runs_are_kept(tmp_path, number):
    toy().reproduce(tmp_path, say=silent, epochs=3)
    before = [(tmp_path / name).read_bytes() for name in ("claims.json", "curves.npz")]
    with pytest.raises(ValueError, match="small: the claim 'mine' cannot be judged"):
        toy(claims=[of_draws("mine", ["x"], number)]).reproduce(tmp_path, say=silent)
    assert len(list((tmp_path / "data").glob("*.npz"))) == 4
    assert before == [(tmp_path / name).read_bytes() for name in ("claims.json", "curves.npz")]
    for values in (np.ones(3), np.ones((2, 1)), np.array([1j, 1])):
        with pytest.raises(ValueError, match="must be a real number for each draw"):
            Claim("", ("a",), lambda _, v=values: v).row({"a": [FALLING] * 2})
    with pytest.raises(ValueError, match="must not be empty"):
        claim(2, 1)


@pytest.mark.parametrize("content", ["", "[]", '{"a": 0}', '{"a": "one"}', "[" * 10**5, None])
def test_measurements_that_are_kept_are_read_or_refused(tmp_path, content):
    series, like = frame.Series(tmp_path, silent, False, None), lambda found: all(v > 0 for v in found.values())
    assert series.kept("good.json", lambda: {"a": 1.5}, like) == series.kept("good.json", None, like) == {"a": 1.5}
    with pytest.raises(ValueError, match="measured just now cannot be used"):
        series.kept("new.json", lambda: {"a": 0.0}, like)
    path = tmp_path / "m.json"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match="must hold what was measured before"):
        series.kept("m.json", None, like)


def test_text_is_read_as_the_setting():
    assert toy().settings(quick=True, size="2e-1", draws="3") == Quadratic(epochs=2, size=0.2, draws=3)
    assert toy().settings(size=2) == Quadratic(size=2.0)


def test_what_differs_from_the_paper_is_told():
    figure = toy(paper={"epochs": 100}, unstated=("data",))
    assert figure.changed(vars(Quadratic(size=2.0, data="other"))) == {"epochs": [8, 100], "size": [2.0, 1.0]}


@pytest.mark.parametrize(
    ("holds", "changed", "words"),
    [
        ([True], False, "reproduced"), ([True], True, "reproduced"), ([True, None], False, "not decided"), ([], False, "not decided"),
        ([None, False], False, "refuted"), ([True, False], True, "reproduced in part"), ([None, False], True, "not reproduced"),
    ],
)  # fmt: skip
def test_verdicts(holds, changed, words):
    assert verdict(holds, changed) == words


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ([False, True], "reproduced"),
        ([True, False], "reproduced"),
        ([None, False], "not decided"),
        ([False, False], "refuted"),
    ],
)
def test_of_alternatives_the_best_counts(held, words):
    rows = [{"holds": holds, "ours": False, "regardless": False, "either": "one"} for holds in held]
    report = Report("small", {}, {}, {}, 0.0, [*rows, {**rows[0], "holds": True, "either": ""}])
    assert report.headline.startswith(words)
    apart = report._replace(claims=[{**row, "either": ""} for row in report.claims])
    assert apart.headline.startswith("refuted") is (False in held)
    strict = [{**row, "regardless": True} for row in report.claims]
    assert report._replace(changed={"x": [1, 2]}, claims=strict).headline.startswith(words)
    assert report._replace(claims=[{**row, "ours": True} for row in strict]).headline.startswith("measured")


def test_draws_are_compared_over_the_same_epochs_and_show_nothing_if_they_are_far_apart():
    curve = Published("fig07a", "PM-Euler_train")
    level, _ = follows("a", curve)
    runs = trace(curve.values[:4], curve.epochs[:4])
    rests = trace(curve.values[:4], curve.epochs[:4], status="stagnated")
    assert level.value({"a": [runs, rests]}) == pytest.approx([0, 0], abs=1e-6)
    assert level.value({"a": [rests]}) == pytest.approx([0], abs=1e-6)  # by itself up to its own end
    beside = {"a": [rests], "b": [trace([1, 1], [0, curve.epochs[-1]])]}
    assert level.value(beside)[0] > 0.1  # as far as the other runs of the panel
    lost = {"a": [rests], "b": [replace(beside["b"][0], status="nonfinite")], "c": [runs]}
    assert level.value(lost) == pytest.approx([0], abs=1e-6)
    longer = trace([*curve.values[:4], 1], [*curve.epochs[:4], curve.epochs[4]], status="stagnated")
    assert level.value({"a": [longer], "b": [runs]})[0] > 0.1  # its own records count in any case
    assert level.holds(np.array([-0.4, 0.5])) is True
    assert level.holds(np.array([-0.6, 0.5])) is None


@pytest.mark.parametrize("data", [True, False])
def test_results_of_other_settings_are_not_overwritten(tmp_path, data):
    toy().reproduce(tmp_path, say=silent)
    if not data:  # as results are handed on
        for path in (tmp_path / "data").iterdir():
            path.unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for figure, changes, message in (
        (toy(), {"size": 2.0}, "size 1.0, not 2.0"), (toy(), {"epochs": 7}, "epochs 8, not 7"), (toy("other"), {}, "small, not other"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"other settings.*{message}"):
            figure.reproduce(tmp_path, say=silent, **changes)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"figure": "small", "settings": 1}', "[" * 10**5, None])
def test_what_is_no_folder_of_results_is_left_alone(tmp_path, text):
    path = tmp_path / ("note.md" if text is None else "settings.json")
    path.write_text(text or "")
    with pytest.raises(ValueError, match=r"must be a folder of results|is not a settings file"):
        toy().reproduce(tmp_path, say=silent)
    with pytest.raises(ValueError, match="must be a folder of results"):
        toy().reproduce(path, say=silent)
    assert [path.read_text() for path in tmp_path.iterdir()] == [text or ""]


def test_the_versions_that_ran_are_kept(tmp_path):
    now = toy().reproduce(tmp_path, say=silent).versions
    told = json.loads((tmp_path / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps({**told, "versions": {**now, "numpy": "1.0"}}))
    assert toy().reproduce(tmp_path, say=silent).versions["numpy, of runs taken up"] == "1.0"


def stored(folder):
    """Return the last states and the curves of a folder of results, to the bit."""
    ends = {path.stem: gf.Solution.load(path).theta.tobytes() for path in sorted((folder / "data").glob("*.npz"))}
    curves = load_curves(folder / "curves.npz")["x"]
    return ends, {
        (label, n, k): v.tobytes()
        for label, of in curves.items()
        for n, t in enumerate(of)
        for k, v in t.history.items()
    }


def test_more_epochs_and_interrupted_runs_go_on_from_what_is_there(tmp_path, monkeypatch):
    toy().reproduce(tmp_path / "one", say=silent)
    toy().reproduce(tmp_path / "two", say=silent, epochs=3)
    toy().reproduce(tmp_path / "two", say=silent)
    assert stored(tmp_path / "two") == stored(tmp_path / "one")
    steps = []

    def interrupt(step, state):
        steps.append(step)
        if len(steps) == 12:  # in the second run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(frame, "solve", lambda *args, **how: gf.solve(*args, **how, callback=interrupt))
        with pytest.raises(KeyboardInterrupt):
            toy().reproduce(tmp_path / "broken", say=silent)
    assert not (tmp_path / "broken" / "claims.json").exists()
    toy().reproduce(tmp_path / "broken", say=silent)
    assert stored(tmp_path / "broken")[0] == stored(tmp_path / "one")[0]


def test_claims_stay_with_their_settings_until_there_are_others(tmp_path, monkeypatch):
    toy().reproduce(tmp_path, say=silent)
    before = stored(tmp_path)
    monkeypatch.setattr(frame, "solve", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        toy().reproduce(tmp_path, say=silent, epochs=9)
    assert stored(tmp_path) == before


def test_the_decades_of_a_convention_are_those_of_its_curves():
    task, convention = Search(width=5, n_samples=150), "relative error, y / max |y|; x; N(0, 1); p, q, c of U(0, 1)"
    figure = REGISTRY["ma2024-fig7"]
    draw = replace(figure.task, epochs=101, width=5, n_samples=150, **CONVENTIONS[convention] | {"inputs": 0.2}).draw(3)
    run = gf.solve(draw.problem, gf.GradientDescent(), draw.theta0, dt=0.01, **draw.how)
    apart = [
        abs(np.log10(read(run, of, epoch) / curve.values[curve.epochs == epoch][0]))
        for of, curve in figure.published["dt = 0.01"]["explicit Euler"].items()
        for epoch in (1, 101)
        if (of, epoch) != ("train_error", 1)
    ]
    assert np.abs(task.apart("Figure 7", convention, 3)) == pytest.approx(apart, rel=1e-4)


def test_the_nearest_convention_is_chosen_in_one_half_of_the_draws_and_reported_for_the_other():
    found = np.array([[0.1, 0.2, 0.05], [0.1, 0.2, 0.4], [0.9, 0.3, 0.1], [0.8, 0.3, INF]])
    BIT(held_out(found), [0.9, 0.8])
    assert np.isnan(held_out(found[:1])).all()  # no draw is left


def test_conventions_are_farther_by_the_paired_t_test_with_holms_correction():
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = rng.uniform(0.1, 0.2, (6, 1)) + rng.uniform(0, 0.02, (6, 30)) + np.linspace(0, 0.2, 30)
        found[2, 7] = INF
        best = np.argmin(found.mean(axis=0))
        left = {
            k: ttest_rel(found[:, k], found[:, best], alternative="greater").pvalue
            for k in range(30)
            if k not in (7, best)
        }
        while left and min(left.values()) <= 0.025 / (len(left) + 1):  # one diverged
            left.pop(min(left, key=left.get))
        BIT(np.flatnonzero(not_farther(found)), sorted([*left, best]))
    assert np.isnan(count_of_near(found[:1])).all()
    assert np.isnan(count_of_near(np.full((3, 4), INF))).all()
    equal = rng.uniform(0.1, 0.2, (500, 4, 40))
    assert (
        np.mean([40 - count_of_near(one) for one in equal]) / 39 < 0.025
    )  # although the nearest is chosen from the same draws


@pytest.mark.parametrize("target", ["sin_cos", "quadratic", "exponential"])
def test_targets_and_inputs_are_scaled_as_a_convention_says(target):
    task = Example(target=target, epochs=1, n_inputs=4, width=3, n_samples=200, inputs=0.3)
    draws = [replace(task, targets=name).draw(0) for name in ("raw", "min_max", "max")]
    raw, unit, largest = (draw.problem for draw in draws)
    both = np.concatenate([unit.y, draws[1].test.y])  # of either part
    assert (both.min(), both.max()) == (0, 1)
    assert 0.7 < np.abs(largest.y).max() <= 1
    slope = np.ptp(raw.y) / np.ptp(unit.y)
    np.testing.assert_allclose(unit.y * slope - raw.y, (unit.y * slope - raw.y)[0, 0], atol=1e-5)
    np.testing.assert_allclose(largest.y * np.abs(raw.y).max(), raw.y * np.abs(largest.y).max(), atol=1e-5)
    if target != "exponential":  # its inputs are normal
        side = 1 if target == "sin_cos" else 5
        assert 0 <= raw.x.min() < 0.1 * side
        assert 0.2 * side < raw.x.max() <= 0.3 * side * (1 + 1e-6)
