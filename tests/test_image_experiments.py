"""Classification of images as a task, and Figure 11: what is drawn, what is measured, what a wrong setting says."""

from dataclasses import replace
from math import log

import numpy as np
import pooch
import pytest

import gradflow as gf
from gradflow.experiments.images import FIG11, Images
from gradflow.experiments.judging import judge
from gradflow.experiments.published import Published

TINY = {"data": "fashion_subset", "n_train": 120, "n_test": 60, "width": 8, "batch_size": 40, "epochs": 2, "draws": 2}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "half_sum"])
def test_what_is_measured_is_that_of_the_outputs(loss):
    task = Images(**TINY, loss=loss, scaling="standard")
    draw = task.draw(1)
    run = gf.solve(draw.problem, gf.GradientDescent(), draw.theta0, dt=0.01, **draw.how)
    data = gf.datasets.fashion_subset("float32")
    x, labels = data.x_test[:60], data.y_test[:60]
    f = gf.TwoLayerNet(784, 8, 10, scaling="standard")(run.theta, x).astype(float)
    assert run.history["misclassified"][-1] == pytest.approx(100 * np.mean(f.argmax(axis=1) != labels))
    squares = np.mean((f - np.eye(10)[labels]) ** 2)
    entropy = np.mean(np.log(np.exp(f).sum(axis=1)) - f[np.arange(60), labels])
    assert run.history["test_loss"][-1] == pytest.approx(squares if loss == "mse" else entropy, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_misclassified_image_takes_its_part_of_either_loss(seed):
    rng = np.random.default_rng(seed)
    f, labels = np.round(2 * rng.standard_normal((500, 10))) / 2, rng.integers(0, 10, 500)  # with ties
    best = f.max(axis=1, keepdims=True) == f
    wrong = np.mean(~best[np.arange(500), labels] | (best.sum(axis=1) > 1))
    assert np.mean(np.log(np.exp(f).sum(axis=1)) - f[np.arange(500), labels]) >= wrong * log(2)
    assert np.mean(((f - np.eye(10)[labels]) ** 2).sum(axis=1)) >= wrong / 2


def test_draws_differ_and_one_draw_is_the_same_each_time():
    task = Images(**TINY)
    first, again, other = task.draw(0), task.draw(0), task.draw(1)
    assert np.array_equal(first.theta0, again.theta0)
    assert not np.array_equal(first.theta0, other.theta0)
    assert replace(task, share=0.5).draw(0).how["epochs"] == 1


def test_more_images_than_there_are_and_images_that_are_nowhere_are_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="n_train must be a whole number from 1 to 1000"):
        Images(**{**TINY, "n_train": 1001}).draw(0)
    monkeypatch.setenv("GRADFLOW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    with pytest.raises(ValueError, match="GRADFLOW_DATA_DIR"):
        Images(**{**TINY, "data": "mnist", "seed": 987}).draw(0)


def test_a_misclassified_share_is_what_an_accuracy_leaves():
    wrong, right = (Published("fig11b", f"PM-Euler_{of}").values for of in ("misclassified", "accuracy"))
    assert np.allclose(wrong + right, 100)
    wrong = Published("second_study_exp4", "IEQ_misclassified")  # NaN from epoch 8 on, stored as the accuracy 0
    assert wrong.epochs[-1] == 7
    assert wrong.values.min() == pytest.approx(7.95)


def test_the_published_accuracies_exclude_two_losses_without_a_run():
    assert {row["holds"] for row in judge(FIG11, {})} == {True}
