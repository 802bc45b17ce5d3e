r"""Classification of images by a two-layer network, as a task for any scheme: what is trained, what is measured, where to
start.

Images are rows of 784 grey values k / 255 in ten classes; the network is that of `gradflow.TwoLayerNet` with ten outputs
and no output bias. Trained is the mean cross-entropy of the softmax of the outputs, or, for the schemes that need a
residual, half the sum of squares of outputs minus the indicator of the label. Measured, whatever is trained and on all
images of each part, are the mean cross-entropy and the accuracy, the share of images whose largest output is that of
their label.

The two are not independent. An image that is not counted as right has some output at least as large as that of its label
l, so the softmax gives the label at most the share 1/2, and its loss :math:`-\log p_l` is at least log 2; all other
losses are at least 0:

.. math:: \text{mean cross-entropy} \;\ge\; (1 - \text{accuracy}) \log 2.                                          \tag{1}

A set of images whose files are nowhere is refused with the message of `gradflow.datasets.mnist`, which says how to get
them. `gradflow.experiments.image_runs` does the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from ..datasets import LabelledImages, fashion_subset, mnist
from ..models import Classification, Regression, TwoLayerNet
from ..models.losses import CrossEntropy, onehot
from ..namespace import Array
from ..refusals import one_of, real_number, whole_number

__all__ = [
    "CLASSES",
    "ImageSettings",
    "Scores",
    "image_problem",
    "images",
    "initial",
    "scores",
]

CLASSES = 10
"""Digits, or kinds of clothes."""
IMAGES = ("mnist", "fashion_subset")
INITS = ("normal", "he", "uniform", "kaiming")
LOSSES = ("cross_entropy", "half_squares")


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Sizes, constants and seeds. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is too small, a constant not finite or negative, or a name unknown.
    """

    epochs: int
    """Passes through the training part."""
    data: str = "mnist"
    """"mnist", or "fashion_subset": 1000 and 200 pictures of clothes that come with the package."""
    n_train: int = 0
    """Images for training, drawn from all; 0 for all."""
    n_test: int = 0
    """Images for testing; 0 for all."""
    width: int = 500
    """m."""
    batch_size: int = 64
    """Images in a batch."""
    scaling: str = "mean_field"
    """Factor of the network, of `gradflow.TwoLayerNet`."""
    time_scale: str = "mean_field"
    """Inner product, of `gradflow.Classification`."""
    init: str = "he"
    """A distribution of `gradflow.TwoLayerNet.init`, or "kaiming", see `initial`."""
    smoothing: float = 1e-4
    """h of the smoothed particle method, > 0, for the curves that are smoothed."""
    displacements: int = 10
    """J, the displacements of a step of the smoothed particle method."""
    draws: int = 3
    """How many seeds of initial parameters and batches."""
    seed: int = 0
    """Of the choice of images and of the first draw; the other draws follow."""
    dtype: str = "float32"
    """The dtype of data and parameters, "float32" or "float64"."""
    threads: int = 1
    """BLAS threads; 0 leaves them to `gradflow.solve`. On a busy machine several wait for one another."""

    def __post_init__(self) -> None:
        for name in ("epochs", "width", "batch_size", "displacements", "draws"):
            whole_number(name, getattr(self, name), 1)
        for name in ("n_train", "n_test", "seed", "threads"):
            whole_number(name, getattr(self, name))
        one_of("data", self.data, IMAGES)
        one_of("init", self.init, INITS)
        real_number("smoothing", self.smoothing, 0, open_low=True)


class Scores(NamedTuple):
    """How good a network is on a set of images; equation (1) holds between the two."""

    loss: float
    """Mean cross-entropy."""
    accuracy: float
    """Share of images whose largest output is that of their label."""


def images(settings: ImageSettings) -> LabelledImages:
    """Return the images that the settings ask for: a random subset of MNIST, or the head of the embedded set.

    Parameters
    ----------
    settings : ImageSettings
        Which set, how many, which seed.

    Returns
    -------
    LabelledImages
        Arrays (N, 784) in [0, 1] and labels (N,), int64.

    Raises
    ------
    ValueError
        If there are fewer images than asked for.
    FileNotFoundError
        If the files of MNIST are nowhere.
    """
    n_train, n_test = settings.n_train or None, settings.n_test or None
    if settings.data == "mnist":
        return mnist(n_train=n_train, n_test=n_test, seed=settings.seed, dtype=settings.dtype)
    data = fashion_subset(settings.dtype)
    for name, count, x in (("n_train", n_train, data.x_train), ("n_test", n_test, data.x_test)):
        if count is not None and count > len(x):
            raise ValueError(f"{name} must be at most {len(x)} for {settings.data}, got {count}")
    chosen = (data.x_train[:n_train], data.labels_train[:n_train], data.x_test[:n_test], data.labels_test[:n_test])
    return LabelledImages(*chosen)


def initial(net: TwoLayerNet, init: str, seed: int, dtype: str) -> Array:
    """Return initial parameters, (P,): of `gradflow.TwoLayerNet.init`, or W ~ N(0, 2/m), a ~ N(0, 2/k) for "kaiming".

    The latter is what Kaiming's law comes to in PyTorch for matrices of the shapes (D+1, m) and (m, k), whose second
    length it takes for the number of inputs.

    Parameters
    ----------
    net : TwoLayerNet
        The network.
    init : str
        Which law.
    seed : int
        Of the draws, >= 0.
    dtype : str
        "float32" or "float64".

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if init != "kaiming":
        return net.init(seed, dtype=dtype, distribution=init)
    theta = net.init(seed, distribution="normal")
    W, a = net.unpack(theta)  # views
    W *= sqrt(2 / net.width)
    a *= sqrt(2 / net.n_outputs)
    return theta.astype(dtype)


def scores(f: Array, labels: Array) -> Scores:
    """Return mean cross-entropy and accuracy for given outputs.

    Parameters
    ----------
    f : array (N, k)
        Outputs of the network, before the softmax.
    labels : int array (N,)
        Classes in [0, k).

    Returns
    -------
    Scores
        In the units of the library's `gradflow.Classification`.
    """
    loss = CrossEntropy(onehot(labels, f.shape[1], f), 1 / f.shape[0]).energy(f)
    return Scores(float(loss), float(np.mean(np.argmax(f, axis=1) == labels)))


def image_problem(
    net: TwoLayerNet, data: LabelledImages, loss: str, settings: ImageSettings
) -> Classification | Regression:
    """Return what is trained, on the training part.

    Parameters
    ----------
    net : TwoLayerNet
        The network.
    data : LabelledImages
        From `images`.
    loss : str
        "cross_entropy" (the mean), or "half_squares" (half the sum over batch and outputs), which has a residual.
    settings : ImageSettings
        The inner product.

    Raises
    ------
    ValueError
        If the loss is unknown.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    if loss == "cross_entropy":
        return Classification(net, data.x_train, data.labels_train, time_scale=settings.time_scale)
    y = onehot(data.labels_train, CLASSES, data.x_train)
    return Regression(net, data.x_train, y, loss="half_sum", time_scale=settings.time_scale)
