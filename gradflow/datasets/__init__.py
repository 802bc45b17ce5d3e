"""Data sets of the published studies: synthetic regression targets, MNIST and Fashion-MNIST.

Nothing here reads the network unless ``download=True`` is said, and no data set stands in for another: what
is not there is an error that says what to do. `fashion_subset` is the one that always works, being part of
the package.
"""

from __future__ import annotations

from .idx import read_idx
from .mnist import LabelledImages, fashion_mnist, fashion_subset, mnist
from .synthetic import Dataset, gaussian, quadratic, sin_cos

__all__ = [
    "Dataset",
    "LabelledImages",
    "fashion_mnist",
    "fashion_subset",
    "gaussian",
    "mnist",
    "quadratic",
    "read_idx",
    "sin_cos",
]
