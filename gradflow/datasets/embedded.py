"""A small part of Fashion-MNIST that comes with the package, for examples and tests without files or network.

``fashion_subset.npz`` holds, of each of the ten classes, the first 100 training and the first 20 test images,
all in the order of the original files (``tests/test_datasets.py`` makes it again from the full set and
compares): uint8 arrays x_train (1000, 784), labels_train (1000,), x_test (200, 784), labels_test (200,).
Fashion-MNIST is copyright 2017 Zalando SE under the MIT licence, printed in ``fashion_subset.LICENSE`` beside
it.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import DTypeLike

from ..refusals import float_dtype
from .mnist import LabelledImages, scaled

__all__ = ["fashion_subset"]


def fashion_subset(dtype: DTypeLike = "float64") -> LabelledImages:
    """Return 1000 training and 200 test images of Fashion-MNIST, 100 and 20 of each class, always the same.

    Parameters
    ----------
    dtype : dtype-like
        The dtype, float32 or float64, of the images.

    Returns
    -------
    LabelledImages
        Grey values k / 255 in [0, 1], dimensionless, shapes (1000, 784) and (200, 784); int64 labels 0 to 9.
        The classes are mixed, as in the original files.

    Raises
    ------
    ValueError
        If `dtype` is not float32 or float64.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.
    """
    cast = float_dtype(dtype)
    with files(__package__).joinpath("fashion_subset.npz").open("rb") as file, np.load(file) as stored:
        return LabelledImages(
            x_train=scaled(stored["x_train"], cast),
            y_train=stored["labels_train"].astype(np.int64),
            x_test=scaled(stored["x_test"], cast),
            y_test=stored["labels_test"].astype(np.int64),
        )
