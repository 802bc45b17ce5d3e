r"""From one pool of samples to a train and a test part.

The published studies draw one pool, z-score its inputs and cut it in two:

.. math::
   \hat x_{nj} = (x_{nj} - \mu_j) / \sigma_j, \qquad
   \sigma_j^2 = \frac1n \sum_n (x_{nj} - \mu_j)^2, \tag{1}

with the targets computed from the raw x. All arithmetic is done in float64 and cast at the very end, so that
a seed gives the same numbers in float32 and in float64, up to that one rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..refusals import Floats, instance, one_of

Statistics: TypeAlias = Literal["pool", "train"]
"""Whose mean and standard deviation z-score the inputs."""

__all__ = ["Dataset", "Statistics", "split_pool"]


def split_pool(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    n_train: int,
    *,
    dtype: np.dtype[np.floating[Any]],
    standardize: bool,
    statistics: Statistics,
    coefficients: Mapping[str, NDArray[np.float64]],
) -> Dataset:
    """Return the two parts of a pool: raw inputs z-scored by equation (1), cut after `n_train` rows, and cast.

    The samples are independent, so the first rows are as random a part as any.

    Parameters
    ----------
    x : (N, D) float64 array
        Raw inputs, dimensionless.
    y : (N,) float64 array
        Targets.
    n_train : int
        Rows of the training part.
    dtype : numpy.dtype
        The dtype, float32 or float64, of the four arrays returned.
    standardize : bool
        If False, the inputs stay raw.
    statistics : {"pool", "train"}
        Whose mean and standard deviation are taken.
    coefficients : mapping of float64 arrays (D,)
        Stored as they are.

    Raises
    ------
    ValueError
        If `statistics` is unknown, or if an input column is constant: it has no z-score.
    """
    one_of("statistics", statistics, ("pool", "train"))
    instance("standardize", standardize, (bool, np.bool_), "True or False")
    mean, std = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if standardize:
        sample = x if statistics == "pool" else x[:n_train]
        # Not std == 0: the mean of equal numbers may be off by a rounding, and std then is not zero.
        constant = np.flatnonzero(sample.max(axis=0) == sample.min(axis=0))
        if constant.size:
            raise ValueError(
                f"a constant input column has no z-score: columns {constant.tolist()} are constant over the "
                f"{len(sample)} sample(s) of the {statistics}; take more samples or standardize=False"
            )
        mean, std = sample.mean(axis=0), sample.std(axis=0)
        x = (x - mean) / std
    x_cast, y_cast = x.astype(dtype), y[:, None].astype(dtype)
    return Dataset(
        x_train=x_cast[:n_train],
        y_train=y_cast[:n_train],
        x_test=x_cast[n_train:],
        y_test=y_cast[n_train:],
        coefficients=coefficients,
        mean=mean,
        std=std,
    )


class Dataset(NamedTuple):
    """A regression problem y = f(x). All values are dimensionless.

    The four sample arrays have the requested dtype; `coefficients`, `mean` and `std` describe how they were
    made and stay in float64. The raw inputs are ``x * std + mean``, and ``(x_raw - mean) / std`` prepares new
    ones.
    """

    x_train: Floats
    """Training inputs, shape (N, D)."""
    y_train: Floats
    """Training targets, shape (N, 1)."""
    x_test: Floats
    """Test inputs, shape (N_test, D)."""
    y_test: Floats
    """Test targets, shape (N_test, 1)."""
    coefficients: Mapping[str, NDArray[np.float64]]
    """The coefficients of the target by their name in the paper, each of shape (D,); empty if it has none."""
    mean: NDArray[np.float64]
    """What was subtracted from the raw inputs, shape (D,): zeros if they were not z-scored."""
    std: NDArray[np.float64]
    """What they were divided by, shape (D,): ones if they were not z-scored."""
