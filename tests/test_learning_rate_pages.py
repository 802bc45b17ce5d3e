"""The gallery pages on learning rates: the stored runs are those of the code, and the pages say what is in them."""

import itertools
import os
import re
import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sympy as sp

import gradflow as gf

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "examples"
pytestmark = pytest.mark.skipif(not PAGES.exists(), reason="an installed wheel has no pages")


def run(name):
    """Return the names of a page after it has run, as the gallery runs it, and its figures."""
    path = str(PAGES / f"{name}.py")
    argv = sys.argv
    try:
        sys.argv = [path]
        with matplotlib.rc_context({"backend": "agg", "figure.max_open_warning": 0}):
            names = runpy.run_path(path, run_name="__main__")
            return names | {"figures": [matplotlib.pyplot.figure(n) for n in matplotlib.pyplot.get_fignums()]}
    finally:
        sys.argv = argv
        matplotlib.pyplot.close("all")


@pytest.fixture(scope="module")
def page():
    return run("plot_learning_rate_mnist")


@pytest.fixture(scope="module")
def stored(page):
    return page["stored"]


def text(name):
    """Return the text of a page in one line."""
    source = (PAGES / f"{name}.py").read_text(encoding="utf-8")
    return " ".join(source.replace("\n# ", " ").split())


def test_a_small_part_without_mnist_is_what_the_code_computes(page, stored):
    """On the images that come with the package."""
    found = page["study"](gf.datasets.fashion_subset(), **page["CHECK"])
    names = {name.removeprefix("check_") for name in stored if name.startswith("check_")}
    assert names == set(found)
    for name, value in found.items():
        np.testing.assert_allclose(value, stored[f"check_{name}"], rtol=1e-6, atol=1e-9, err_msg=name)


def test_the_first_steps_on_mnist_are_what_the_code_computes(page, stored, monkeypatch):
    if not os.environ.get("GRADFLOW_DATA_DIR"):
        monkeypatch.setenv("GRADFLOW_DATA_DIR", str(ROOT.parent / "shared" / "data"))
    try:
        images = gf.datasets.mnist(n_train=page["N_TRAIN"], seed=page["SEEDS"][1])
    except FileNotFoundError as error:
        pytest.skip(str(error))
    found = page["study"](images, page["SEEDS"][1], ticks=page["TICKS"][:3], levels=())
    for name, value in found.items():
        kept = stored[name][1][tuple(slice(n) for n in value.shape)]
        np.testing.assert_allclose(value, kept, rtol=1e-6, atol=1e-9, err_msg=name)
    assert np.isfinite(found["time"]).all()
    assert np.isfinite(found["distance"]).all()


def test_the_settings_are_the_stored_ones(page, stored):
    assert np.array_equal(stored["rates"], page["RATES"])
    assert np.array_equal(stored["levels"], page["LEVELS"])
    assert np.array_equal(stored["times"], page["RATES"][-1] * np.array(page["TICKS"]))
    assert len(stored["loss"]) == len(page["SEEDS"]) == 3


def changed(page, kind, name):
    """Return the measured and the predicted change of a quantity, (seeds, rates, places), in percent."""
    take = page["squared"] if name == "|g|^2" else page["quantity"](name)
    return page["changes"](kind, take)


def over(value, digits):
    """Return a bound with so many digits that is larger than the value."""
    return f"{(np.floor(value * 10**digits) + 1) / 10**digits:.{digits}f}"


def under(value, digits):
    """Return the largest number with so many digits that does not exceed the value."""
    return f"{np.floor(value * 10**digits) / 10**digits:.{digits}f}"


def numbers(page):
    """Return the numbers that the page prints in its text, by name: means are rounded, bounds are bounds."""
    stored, levels = page["stored"], list(page["LEVELS"])
    g, g_predicted = changed(page, "loss", "|g|^2")
    curvature, _ = changed(page, "loss", "sharpness")
    test_loss, test_predicted = changed(page, "loss", "test loss")
    error = 100 * page["quantity"]("test error")(stored["loss"])
    more = (error[:, 3] - error[:, 0])[:, -1]
    sharpness = page["quantity"]("sharpness")(stored["time"])
    energy, _ = changed(page, "time", "energy")
    g_time, _ = changed(page, "time", "|g|^2")
    shares = 100 * stored["time"][..., 1:4] / page["squared"](stored["time"])[..., None]
    parts, of = stored["loss"][..., 1:4], page["squared"](stored["loss"])[:, 0]
    drop = (parts[:, 2] - parts[:, 0]).sum(axis=0)  # over the seeds: (losses, layers)
    drop = 100 * drop[:, 0] / drop.sum(axis=1)
    ratio = np.exp(stored["batched"][..., 0]) / of[:, None, None, None]
    at = levels.index(0.7)
    late = g[:, 3, levels.index(0.5) :].mean(axis=0) - g_predicted[:, 3, levels.index(0.5) :].mean(axis=0)
    return {
        "limits": "{:.3f}, {:.3f} and {:.3f}".format(*2 / sharpness[:, 0, 0]),
        "limit_last": under(2 / sharpness[:, 0, -1].max(), 3),
        "g_first": f"{-g[:, 2, 0].mean():.1f}",
        "g_last": f"{-g[:, 2, -1].mean():.1f}",
        "p_first": f"{-g_predicted[:, 2, 0].mean():.1f}",
        "p_last": f"{-g_predicted[:, 2, -1].mean():.1f}",
        "c_first": f"{-curvature[:, 2, 0].mean():.1f}",
        "c_last": f"{-curvature[:, 2, -1].mean():.1f}",
        "t_most": over(np.abs(test_loss[:, 2].mean(axis=0)).max(), 3),
        "t_predicted": over(np.abs(test_predicted[:, 2].mean(axis=0)).max(), 3),
        "e_mean": f"{more.mean():.2f}",
        "e_low": f"{more.min():.2f}",
        "e_high": f"{more.max():.2f}",
        "e_seeds": f"{np.ptp(error[:, 0, -1]):.1f}",
        "off_02": over(np.abs(g[:, 1] - g_predicted[:, 1]).max(), 2),
        "off_04": over(np.abs(g[:, 2] - g_predicted[:, 2]).max(), 2),
        "off_08": over(np.abs(g[:, 3] - g_predicted[:, 3]).max(), 1),
        "off_08_late": over(np.abs(late).max(), 2),
        "ahead": f"{-energy[:, 2, 1].mean():.1f}",
        "behind": f"{energy[:, 2, -1].mean():.1f}",
        "smaller_until": f"{stored['times'][np.argmin((g_time[:, 2] < 0).all(axis=0)) - 1]:.2f}",
        "late_g": over(np.abs(g_time[:, 2, stored["times"] > 5]).max(), 1),
        "hidden_first": f"{shares[..., 0, 0].mean():.0f}",
        "hidden_last": f"{shares[..., -1, 0].mean():.0f}",
        "bias": over(shares[..., 1].max(), 1),
        "drop_first": f"{drop[0]:.0f}",
        "drop_last": f"{drop[-1]:.0f}",
        "sgd_small": f"{ratio[:, :, 0, 0, at].mean():.1f}",
        "sgd_large": f"{ratio[:, :, 3, 0, at].mean():.1f}",
        "mean_low": under(ratio[:, :, :, 1, at].min(), 2),
        "mean_high": over(ratio[:, :, :, 1, at].max(), 2),
        "mean_without": over(np.nanmax(ratio[:, 0, :, 1, levels.index(0.36)]), 2),
        "mean_with": over(np.nanmax(ratio[:, 1, :, 1, levels.index(0.36)]), 2),
    }


SENTENCES = (
    "At the time 0.08, the first that is stored, it is {limits} in the three seeds, on the paths with 0.005",
    "rises to {limit_last} or more at the time 16",
    "by {g_first} % at the loss 1.4 and by {g_last} % at 0.23",
    "predicts {p_first} % and {p_last} %",
    "by {c_first} % and {c_last} %",
    "by less than {t_most} % at each of the losses, as predicted (less than {t_predicted} %)",
    "by {e_mean} points in the mean, and by {e_low} to {e_high} points in the single seeds",
    "while the seeds differ among themselves by {e_seeds} points",
    "less than {off_02} points in every seed for the rate 0.02, and by less than {off_04} points for 0.04",
    "up to {off_08} points in a seed. From the loss 0.5 on it is off by less than {off_08_late} points in the mean",
    "is lower by {ahead} % at the time 0.16 and higher by {behind} % at the end, in the mean of the seeds",
    "is smaller up to the time {smaller_until} in every seed. From the time 5 on it differs by less than {late_g} %",
    "{hidden_first} % of :math:`|g|^2` at the first time and {hidden_last} % at the last",
    "less than {bias} %, and the output weights have the rest",
    "{drop_first} % of the decrease at the loss 1.4 and {drop_last} % at 0.23",
    "{sgd_small} times the :math:`|g|^2` of gradient descent with 0.01, and {sgd_large} times with 0.08",
    "has {mean_low} to {mean_high} times that of gradient descent at the loss 0.7",
    "up to {mean_without} times without replacement and up to {mean_with} times with it",
)


def test_the_page_says_what_is_stored(page):
    found, said = numbers(page), text("plot_learning_rate_mnist")
    for sentence in SENTENCES:
        assert sentence.format(**found) in said


def test_which_rates_are_beyond_the_limit_of_stability(page, stored):
    """On the paths with 0.005: 0.04 never, 0.08 in one seed, at the first two times; the limit is least at one of these."""
    limits = 2 / page["quantity"]("sharpness")(stored["time"])[:, 0]  # seeds, times
    assert np.array_equal(limits, page["limits"])
    assert (limits > 0.04).all()
    assert [np.flatnonzero(row < 0.08).tolist() for row in limits if (row < 0.08).any()] == [[0, 1]]
    assert (np.argmin(limits, axis=1) < 2).all()


@pytest.mark.parametrize("name", ["page", "penalties", "schemes"])
def test_the_labels_of_the_axes_do_not_touch(name, request):
    for figure in request.getfixturevalue(name)["figures"]:
        figure.draw_without_rendering()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                drawn = [label for label in axis.get_ticklabels() if label.get_text()]
                outlines = [corners(label) for label in drawn]
                assert not any(overlap(p, q) for p, q in itertools.pairwise(outlines)), [x.get_text() for x in drawn]


def corners(label):
    """Return the corners of a label, turned as it is and wider by half a letter, (4, 2)."""
    angle = label.get_rotation()
    label.set_rotation(0)
    box = label.get_window_extent()
    label.set_rotation(angle)
    center = np.mean(label.get_window_extent().get_points(), axis=0)
    half = np.array([box.width / 2 + label.get_fontsize() / 4, box.height / 2])
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)])
    return center + signs * half @ np.array([[c, s], [-s, c]])


def overlap(p, q):
    """Return whether two rectangles overlap: whether no side of either separates them."""
    for side in (p[1] - p[0], p[2] - p[1], q[1] - q[0], q[2] - q[1]):
        a, b = p @ side, q @ side
        if a.max() < b.min() or b.max() < a.min():
            return False
    return True


def test_the_legends_name_the_predictions(page):
    """Every line of the first three figures that is not a mark is named, but for the line at zero and the left of the third."""
    for figure, predicted in zip(page["figures"][:3], (4, 4, 3), strict=True):
        (legend,) = figure.legends
        names = [entry.get_text() for entry in legend.get_texts()]
        assert sum("predicted" in name for name in names) == sum("measured" in name for name in names) == predicted


def test_a_mark_is_missing_where_a_seed_has_not_reached_the_loss(page, stored):
    """As the page says: and there only."""
    batched = stored["batched"][..., :5, 0]
    drawn = np.isfinite(page["ratio"][..., :5].mean(axis=0))
    assert np.array_equal(drawn, np.isfinite(batched).all(axis=0))
    assert not drawn.all()


def test_the_larger_rate_has_the_smaller_gradient_at_equal_loss(page, stored):
    """In every seed and at every loss, up to the rate 0.04; so has the curvature, in the mean of the seeds."""
    assert np.isfinite(stored["loss"]).all()
    g, predicted = changed(page, "loss", "|g|^2")
    assert (g[:, :3] < 0).all()
    assert (predicted < 0).all()
    assert (np.diff(g[:, :3], axis=1) < 0).all()  # the larger the smaller
    assert (changed(page, "loss", "sharpness")[0].mean(axis=0) < 0).all()


@pytest.mark.parametrize("kind", ["loss", "time"])
@pytest.mark.parametrize("name", ["energy", "|g|^2", "sharpness", "test loss"])
def test_the_prediction_is_of_second_order(page, kind, name):
    """What the first order misses grows by about four as the rate doubles, where it is not lost in the eigenvalue's error."""
    change, predicted = changed(page, kind, name)
    if (kind, name) == ("loss", "energy"):
        assert np.abs(change[:, :3]).max() < 0.1  # equal, to the second order of the chord
        return
    step = page["RATES"][1:] - page["RATES"][0]
    missed = np.abs(change - predicted).mean(axis=(0, 2))
    assert missed[0] < 0.15 * np.abs(change[:, 0]).mean()
    assert missed[1] / missed[0] < 1.5 * (step[1] / step[0]) ** 2


def test_the_values_are_consistent(page, stored):
    """The energy at a level is the level, to second order of the chord."""
    values = page["quantity"]("energy")(stored["loss"])
    off = np.abs(values / stored["levels"] - 1)
    assert off[:, 0].max() < 1e-5
    assert off.max() < 1e-2


@pytest.fixture(scope="module")
def penalties():
    return run("plot_explicit_regularization")


class Epoch:
    """k steps of dt / k of SAV, from a variable that equals its definition."""

    def __init__(self, k):
        self.k = k

    def init(self, problem, theta):
        return gf.SAV(C=1.0).init(problem, theta)

    def step(self, problem, state, dt):
        state = state._replace(aux=None)
        for _ in range(self.k):
            state = gf.SAV(C=1.0).step(problem, state, dt / self.k)
        return state


@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_restart_every_k_steps_has_the_field_of_a_restart_in_every_step(k):
    """To first order, as the theory says: the second term of k steps of dt / k is that of one step, divided by k."""
    once, period = (gf.backward_error.modified_field(Epoch(n), 2).fields for n in (1, k))
    assert once[0] == period[0]
    assert once[1].keys() == period[1].keys()
    assert len(once[1]) == 2
    assert all(sp.simplify(k * period[1][tree] - once[1][tree]) == 0 for tree in once[1])


@pytest.fixture(scope="module")
def schemes():
    return run("plot_regularization_of_schemes")


def test_the_order_of_the_penalties(penalties):
    """Two with the factor of the theory, and one with every other."""
    *others, right = penalties["orders"].values()
    assert len(others) == 3
    assert np.abs(right[1:] - 2).max() < 0.1
    assert all(np.abs(order - 1).max() < 0.05 for order in others)


def test_on_mnist_the_penalty_removes_what_the_page_says(penalties):
    """The distance falls as the square while dt' lambda < 1, in every seed; the essay's factor leaves nearly all of it."""
    none, right, essay = penalties["mnist"].transpose(2, 1, 0)
    removed = [100 * (1 - own.mean(axis=1) / none.mean(axis=1)) for own in (right, essay)]
    said = text("plot_explicit_regularization")
    assert f"removes {removed[0][0]:.0f} % of the distance, that of the essay {removed[1][0]:.0f} %" in said
    assert f"the first removes {removed[0][2]:.0f} %" in said
    assert (right[0] < 0.15 * none[0]).all()
    assert (essay[0] > 0.85 * none[0]).all()
    assert (np.abs(np.log2(right[1] / right[0]) - 2) < 0.35).all()
    assert (np.abs(np.log2(essay[1] / essay[0]) - 1) < 0.15).all()


def test_with_mini_batches_the_iterates_have_the_larger_gradient(page, stored):
    """In the mean of the seeds and samplings at the loss 0.7, the more the larger the rate; the means over an epoch far less."""
    of = page["squared"](stored["loss"])[:, 0]
    ratio = np.exp(stored["batched"][..., 0]) / of[:, None, None, None]
    iterates, means = ratio[..., list(page["LEVELS"]).index(0.7)].mean(axis=(0, 1)).T
    assert (np.diff(iterates) > 0).all()
    assert iterates[0] > 1
    assert (iterates - 1 > 3 * np.abs(means - 1)).all()


def test_the_layers(page, stored):
    """Most of the decrease is that of the hidden weights, in every seed and at every loss."""
    parts = stored["loss"][..., 1:4]
    change = parts[:, 2] - parts[:, 0]
    assert (change[..., 0] / change.sum(axis=-1) > 0.5).all()
    shares = stored["time"][..., 1:4] / page["squared"](stored["time"])[..., None]
    assert np.abs(shares[:, 0] - shares[:, -1]).max() < 0.05


def test_where_the_modified_equation_ends(page, stored):
    """At dt lambda = 1: for 0.08 up to the time 1.28 in every seed, for 0.04 up to 0.16 in one."""
    beyond = page["quantity"]("sharpness")(stored["time"])[:, 0, :, None] * page["RATES"] > 1  # seeds, times, rates
    assert beyond[:, stored["times"] < 1.3, 4].all()
    assert np.array_equal(np.sort(beyond[:, :, 3].sum(axis=1)), [0, 0, 2])
    assert not beyond[:, :, :3].any()


def test_figures_lead_to_pages_relative_to_their_own():
    """A target that begins with / is dead where the site is not at the root of its host; it is not checked by Sphinx."""
    found = 0
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"^ *:target: *(\S+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if "://" in target:
                continue
            assert not target.startswith("/"), (page, target)
            place = (page.parent / target).resolve().relative_to(ROOT / "docs")
            source = PAGES / place.with_suffix(".py").name if place.parts[0] == "gallery" else place.with_suffix(".md")
            assert (ROOT / "docs" / source).exists(), (page, target)
            found += 1
    assert found
