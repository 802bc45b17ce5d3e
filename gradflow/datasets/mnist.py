"""MNIST and Fashion-MNIST: 60 000 + 10 000 images of 28 x 28 grey values in ten classes.

`gradflow.datasets.image_files` says where the files are looked for. A small part of Fashion-MNIST comes with the
package, for examples and tests without files or network: ``fashion_subset.npz`` holds, of each of the ten classes, the
first 100 training and the first 20 test images, all in the order of the original files (``tests/test_datasets.py``
makes it again from the full set and compares): uint8 arrays x_train (1000, 784), labels_train (1000,), x_test
(200, 784), labels_test (200,). Fashion-MNIST is copyright 2017 Zalando SE under the MIT licence, printed in
``fashion_subset.LICENSE`` beside it.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proc. IEEE 86 (1998) 2278 (MNIST);
H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747 (Fashion-MNIST).
"""

from __future__ import annotations

from importlib.resources import files
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..refusals import Floats, Seed, float_dtype, generator, instance, whole_number
from .idx import read_idx
from .image_files import FASHION_MNIST, MNIST, ImageSet, locate

N_TRAIN, N_TEST = 60_000, 10_000

__all__ = ["LabelledImages", "fashion_mnist", "fashion_subset", "mnist"]


def mnist(
    directory: str | PathLike[str] | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: Seed | None = None,
    dtype: DTypeLike = "float64",
    download: bool = False,
) -> LabelledImages:
    """Return MNIST, handwritten digits, or a random subset of it.

    Parameters
    ----------
    directory : path-like, optional
        Holds ``train-images-idx3-ubyte.gz``, ``train-labels-idx1-ubyte.gz``, ``t10k-images-idx3-ubyte.gz``
        and ``t10k-labels-idx1-ubyte.gz``, or a subfolder with them. Other places are then not looked at.
    n_train, n_test : int, optional
        Take that many images, at random without replacement, of the 60 000 for training and the 10 000 for
        testing. Default: all, in the order of the file. A smaller subset of the same seed is the head of a
        larger one.
    seed : int or numpy.random.Generator, optional
        Chooses the subsets, each from its own stream; needed if `n_train` or `n_test` is given, unused
        otherwise.
    dtype : dtype-like
        The dtype, float32 or float64, of the images.
    download : bool
        If the files are nowhere, fetch them: into the subfolder of `directory`, or into the cache if that is
        None.

    Returns
    -------
    LabelledImages
        Grey values k / 255 in [0, 1], dimensionless, and labels 0 to 9.

    Raises
    ------
    ValueError
        If an argument is out of range, or a file differs from the published one.
    FileNotFoundError
        If the files are not found, or no mirror delivered them.
    """
    return _load(MNIST, directory, n_train, n_test, seed, dtype, download)


def fashion_mnist(
    directory: str | PathLike[str] | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: Seed | None = None,
    dtype: DTypeLike = "float64",
    download: bool = False,
) -> LabelledImages:
    """Return Fashion-MNIST, pictures of clothes, or a random subset of it.

    Parameters, result and errors are those of `mnist`; the subfolder is called ``fashion``. For a fixed small
    part that needs no files, see `gradflow.datasets.fashion_subset`.

    Parameters
    ----------
    directory, n_train, n_test, seed, dtype, download : path, int, int, seed, dtype-like, bool
        The same arguments as of `mnist`.
    """
    return _load(FASHION_MNIST, directory, n_train, n_test, seed, dtype, download)


def fashion_subset(
    dtype: DTypeLike = "float64", n_train: int | None = None, n_test: int | None = None
) -> LabelledImages:
    """Return 1000 training and 200 test images of Fashion-MNIST, 100 and 20 of each class, always the same.

    Parameters
    ----------
    dtype : dtype-like
        The dtype, float32 or float64, of the images.
    n_train, n_test : int, optional
        Take the first of them only; up to 1000 and 200.

    Returns
    -------
    LabelledImages
        Grey values k / 255 in [0, 1], dimensionless, shapes (1000, 784) and (200, 784); int64 labels 0 to 9.
        The classes are mixed, as in the original files.

    Raises
    ------
    ValueError
        If `dtype` is not float32 or float64, or a number is out of range.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.
    """
    cast = float_dtype(dtype)
    with files(__package__).joinpath("fashion_subset.npz").open("rb") as file, np.load(file) as stored:
        arrays: list[NDArray[Any]] = []
        for part, count in (("train", n_train), ("test", n_test)):
            labels = stored[f"labels_{part}"].astype(np.int64)
            if count is not None:
                whole_number(f"n_{part}", count, 1, len(labels))
            arrays += [_scaled(stored[f"x_{part}"][:count], cast), labels[:count]]
    return LabelledImages(*arrays)


def _load(
    image_set: ImageSet,
    directory: str | PathLike[str] | None,
    n_train: int | None,
    n_test: int | None,
    seed: Seed | None,
    dtype: DTypeLike,
    download: bool,
) -> LabelledImages:
    """Return the images of a set, as `mnist` does, which describes the other arguments."""
    cast = float_dtype(dtype)
    instance("download", download, (bool, np.bool_), "True or False")
    if directory is not None:
        instance("directory", directory, (str, PathLike), "a path or None")
    for name, count, highest in (("n_train", n_train, N_TRAIN), ("n_test", n_test, N_TEST)):
        if count is not None:
            whole_number(name, count, 1, highest)
            if seed is None:
                raise ValueError(f"seed must be given: it chooses the images that {name} = {count} takes")
    streams = [None, None] if seed is None else generator(seed).spawn(2)

    folder = locate(image_set, directory, download)
    arrays: list[NDArray[Any]] = []
    for part, count, stream in zip(("train", "t10k"), (n_train, n_test), streams, strict=True):
        names = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        images, labels = (read_idx(folder / name, image_set.sha256[name]) for name in names)
        if count is not None and stream is not None:
            chosen = stream.permutation(len(labels))[:count]
            images, labels = images[chosen], labels[chosen]
        arrays += [_scaled(images, cast), labels.astype(np.int64)]
    return LabelledImages(*arrays)


def _scaled(images: NDArray[np.uint8], dtype: np.dtype[np.floating[Any]]) -> Floats:
    """Return uint8 images of shape (N, ...) as rows k / 255, shape (N, pixels), of the given dtype."""
    x: Floats = images.reshape(len(images), -1).astype(dtype)
    x /= 255  # in place: all of MNIST takes 376 MB in float64
    return x


class LabelledImages(NamedTuple):
    """Images and their classes."""

    x_train: Floats
    """Training images, shape (N, 784), float32 or float64, in [0, 1]."""
    y_train: NDArray[np.int64]
    """Their classes 0 to 9, shape (N,)."""
    x_test: Floats
    """Test images, shape (N_test, 784)."""
    y_test: NDArray[np.int64]
    """Their classes, shape (N_test,)."""

    @property
    def labels_train(self) -> NDArray[np.int64]:
        """Another name of `y_train`, shape (N,)."""
        return self.y_train

    @property
    def labels_test(self) -> NDArray[np.int64]:
        """Another name of `y_test`, shape (N_test,)."""
        return self.y_test
