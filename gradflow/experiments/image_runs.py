"""Training on images: every curve of a figure, for several draws of initial parameters and batches, kept and taken up again.

What is measured at each epoch, on all images of both parts, is said in `gradflow.experiments.image_tasks`. A curve trains
one of the two losses, or the cross-entropy with smoothed particles (`gradflow.SmoothedParticles`); what is measured is
the network without displacements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, log
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..datasets import LabelledImages
from ..models import SmoothedParticles, TwoLayerNet
from ..namespace import Array
from ..run.batches import steps_per_epoch
from ..run.solution import Solution
from ..schemes.protocols import AuxiliaryScheme, Scheme
from .experiment import Context
from .image_tasks import CLASSES, ImageSettings, image_problem, images, initial, scores
from .training import train

__all__ = ["Also", "ImageCurve", "ImageRuns", "below_the_bound", "run_curves"]

ImageRuns: TypeAlias = dict[str, list[Solution]]
"""For each curve's label the runs, one for each draw."""
Also: TypeAlias = Mapping[str, Callable[[Array, Array], float]]
"""Further quantities, by name: functions of the outputs (N, 10) and the labels (N,) of the test part."""


def run_curves(
    curves: Mapping[str, ImageCurve], settings: ImageSettings, context: Context, also: Also | None = None
) -> ImageRuns:
    """Run every curve for every draw, or take up what is kept.

    Parameters
    ----------
    curves : mapping of str to ImageCurve
        What to run, by its label.
    settings : ImageSettings
        Images, sizes, seeds.
    context : Context
        Where the data go; the folder is claimed once all is found good.
    also : mapping of str to callable, optional
        Further quantities of the test part, by name: functions of the outputs (N, 10) and the labels (N,).

    Returns
    -------
    dict
        For each label the runs, one for each draw, with ``train_loss``, ``test_loss``, ``train_accuracy``,
        ``test_accuracy``, ``test_error`` (1 less the accuracy) at each epoch, and ``auxiliary_ratio`` where a scheme
        carries an auxiliary variable and particles are not smoothed.

    Raises
    ------
    ValueError
        If a setting or a curve is refused.
    FileNotFoundError
        If the files of the images are nowhere.
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    data = images(settings)
    net = TwoLayerNet(data.x_train.shape[1], settings.width, CLASSES, scaling=settings.scaling)
    problems = {loss: image_problem(net, data, loss, settings) for loss in {curve.loss for curve in curves.values()}}
    theta0 = initial(net, settings.init, settings.seed, settings.dtype)
    for curve in curves.values():
        steps_per_epoch(problems[curve.loss], settings.batch_size)
        if not (isfinite(curve.dt) and curve.dt > 0):
            raise ValueError(f"dt must be a finite number > 0, got {curve.dt}")
        curve.scheme.init(_smoothed(problems[curve.loss], curve, settings, 0), theta0)
    few = next(iter(problems.values())).batch(slice(0, 2))
    few.energy_and_gradient(theta0)  # what is compiled on first use is compiled now, and not within a run
    context.claim()
    runs: ImageRuns = {label: [] for label in curves}
    for draw in range(settings.draws):
        theta0 = initial(net, settings.init, settings.seed + draw, settings.dtype)
        for number, (label, curve) in enumerate(curves.items()):
            if draw >= (curve.draws or settings.draws):
                continue
            problem = _smoothed(problems[curve.loss], curve, settings, draw)
            name = context.progress and f"{label} {draw + 1}/{settings.draws}"
            path = context.out / "data" / f"{number}-{draw}"
            run = train(
                problem,
                curve.scheme,
                theta0,
                path=path,
                dt=curve.dt,
                epochs=curve.epochs or settings.epochs,
                batch_size=settings.batch_size,
                seed=settings.seed + draw,
                record=_quantities(net, data, also or {}, _ratio(curve)),
                progress=name,
                threads=settings.threads or None,
            )
            runs[label].append(run)
        context.say(f"draw {draw + 1} of {settings.draws}: done")
    return runs


def below_the_bound(runs: Mapping[str, Sequence[Solution]]) -> tuple[int, int]:
    """Return how many records of both parts have a mean cross-entropy below (1) of `image_tasks`, and of how many.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        From `run_curves`.

    Returns
    -------
    tuple of int
        Both counts. Rounding, 1e-5 of the bound, does not count; neither do records that are not finite.
    """
    below = total = 0
    for several in runs.values():
        for run in several:
            for part in ("train", "test"):
                loss, accuracy = run.history[f"{part}_loss"], run.history[f"{part}_accuracy"]
                finite = np.isfinite(loss)
                below += int(np.sum(loss[finite] < (1 - accuracy[finite]) * log(2) * (1 - 1e-5)))
                total += int(np.sum(finite))
    return below, total


def _smoothed(problem: Any, curve: ImageCurve, settings: ImageSettings, draw: int) -> Any:
    """Return the problem, with smoothed particles if the curve has them."""
    if not curve.smoothed:
        return problem
    return SmoothedParticles(
        problem, h=settings.smoothing, draws=settings.displacements, seed=settings.seed + draw
    )  # fmt: skip


def _ratio(curve: ImageCurve) -> tuple[str, ...]:
    """Return the name of the ratio r / sqrt(E + C) if the curve has one that costs only one evaluation of the loss."""
    carries = isinstance(curve.scheme, AuxiliaryScheme) and getattr(curve.scheme, "carries_auxiliary", True)
    return ("auxiliary_ratio",) if carries and not curve.smoothed else ()


def _quantities(net: TwoLayerNet, data: LabelledImages, also: Also, more: tuple[str, ...]) -> tuple[Any, ...]:
    """Return what to record; the outputs are computed once for all quantities of a state."""
    last: dict[str, Any] = {"theta": None}

    def measured(state: Any, name: str) -> float:
        if last["theta"] is not state.theta:
            train = scores(net(state.theta, data.x_train), data.labels_train)
            f = net(state.theta, data.x_test)
            test = scores(f, data.labels_test)
            last.update(theta=state.theta, train_loss=train.loss, train_accuracy=train.accuracy)
            last.update(test_loss=test.loss, test_accuracy=test.accuracy, test_error=1 - test.accuracy)
            last.update({name: quantity(f, data.labels_test) for name, quantity in also.items()})
        return float(last[name])

    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "test_error", *also)
    return (*((name, lambda state, name=name: measured(state, name)) for name in names), *more)


class ImageCurve(NamedTuple):
    """A scheme, its step size, and what it trains."""

    scheme: Scheme
    """What runs."""
    dt: float
    """Step size > 0."""
    loss: str = "cross_entropy"
    """"cross_entropy" (the mean), or "half_squares" (half the sum over batch and outputs), which has a residual."""
    epochs: int = 0
    """0 for those of the settings."""
    smoothed: bool = False
    """Whether the particles are smoothed."""
    draws: int = 0
    """0 for those of the settings."""
