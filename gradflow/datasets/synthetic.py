r"""The three synthetic regression targets of Ma, Mao & Shen.

1. :math:`y = \sin(p \cdot x) + \cos(q \cdot x)`, x uniform in :math:`(0, 1)^D`: `sin_cos`;
2. :math:`y = \sum_i c_i x_i^2`, x uniform in :math:`[0, 5]^D`: `quadratic`;
3. :math:`y = \exp(-10 |x|^2)` or :math:`\exp(-10 |x|)`, x normal, :math:`N(0, \sigma^2 I)`: `gaussian`.

The paper prints neither p, q, c nor a seed, so a published curve can be compared in shape and size, not digit
by digit. It draws one pool of samples, z-scores its inputs,

.. math::
   \hat x_{nj} = (x_{nj} - \mu_j) / \sigma_j, \qquad
   \sigma_j^2 = \frac1n \sum_n (x_{nj} - \mu_j)^2, \tag{1}

and keeps 80 % of the samples for training; so do the defaults here. The targets are computed from the raw x. All
arithmetic is done in float64 and cast at the very end, so that a seed gives the same numbers in float32 and in float64,
up to that one rounding.

Source: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Examples 1 to 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..description import found
from ..namespace import copied, is_array, is_number, is_numpy
from ..refusals import Floats, Seed, float_dtype, generator, instance, one_of, real_array, real_number, whole_number

Law: TypeAlias = Literal["uniform", "normal"]
"""How coefficients are drawn: U(0, 1) or N(0, 1), each entry by itself."""

Statistics: TypeAlias = Literal["pool", "train"]
"""Whose mean and standard deviation z-score the inputs."""

__all__ = ["Dataset", "Law", "Statistics", "gaussian", "quadratic", "sin_cos"]


def sin_cos(
    n_inputs: int = 40,
    n_samples: int = 10_000,
    *,
    seed: Seed,
    dtype: DTypeLike = "float64",
    standardize: bool = True,
    statistics: Statistics = "pool",
    coefficients: Law | tuple[ArrayLike, ArrayLike] = "uniform",
    coefficient_seed: Seed | None = None,
    test_fraction: float = 0.2,
) -> Dataset:
    """Return Example 1: y = sin(p.x) + cos(q.x), x uniform in the unit cube.

    Parameters
    ----------
    n_inputs : int
        D, the number of inputs.
    n_samples : int
        Size of the pool, train and test together.
    seed : int or numpy.random.Generator
        Determines inputs and coefficients. Numbers are drawn in float64 and cast at the end: float32 and
        float64 data of one seed differ by one rounding only. Inputs and coefficients come from separate
        streams, so the coefficients do not depend on `n_samples`.
    dtype : dtype-like
        The dtype, float32 or float64, of inputs and targets.
    standardize : bool
        Z-score the inputs. The targets are always those of the raw inputs.
    statistics : {"pool", "train"}
        Whose mean and standard deviation (divided by n, not n - 1) z-score the inputs. The paper does not
        say; "pool", the default, lets two numbers for each input leak from the test part, "train" does not.
    coefficients : {"uniform", "normal"} or (p, q)
        Entries U(0, 1) or N(0, 1), or two arrays of shape (D,). Unpublished: "uniform" keeps y of moderate
        frequency.
    coefficient_seed : int or numpy.random.Generator, optional
        Varies the coefficients alone: they are those of ``seed=coefficient_seed``. Default: `seed`.
    test_fraction : float
        The test part holds ``round(test_fraction * n_samples)`` samples, the last of the pool.

    Returns
    -------
    Dataset
        With ``coefficients`` {"p": (D,), "q": (D,)}. All values are dimensionless.

    Raises
    ------
    ValueError
        If an argument is outside what is said above, if a part of the split would be empty, or if an input to
        be z-scored is constant.
    """
    n_train, cast = _checked(n_inputs, n_samples, test_fraction, dtype)
    inputs, weights = generator(seed).spawn(2)
    p, q = _coefficients(coefficients, "pq", n_inputs, weights, coefficient_seed)
    x = inputs.random((n_samples, n_inputs))
    y = np.sin(x @ p) + np.cos(x @ q)
    return _split(
        x,
        y,
        n_train,
        dtype=cast,
        standardize=standardize,
        statistics=statistics,
        coefficients={"p": p, "q": q},
    )


def quadratic(
    n_inputs: int = 40,
    n_samples: int = 10_000,
    *,
    seed: Seed,
    dtype: DTypeLike = "float64",
    standardize: bool = True,
    statistics: Statistics = "pool",
    coefficients: Law | ArrayLike = "uniform",
    coefficient_seed: Seed | None = None,
    test_fraction: float = 0.2,
) -> Dataset:
    """Return Example 2: y = sum_i c_i x_i^2, x uniform in [0, 5]^D.

    For given c, the mean of y is ``25/3 * sum(c)`` and its variance ``500/9 * sum(c**2)``.

    Parameters
    ----------
    n_inputs, n_samples, seed, dtype, standardize, statistics : int, int, seed, dtype-like, bool, str
        The same arguments as of `sin_cos`.
    coefficients : {"uniform", "normal"} or array (D,)
        Entries U(0, 1) or N(0, 1), or c itself. Unpublished.
    coefficient_seed, test_fraction : seed, float
        The same arguments as of `sin_cos`.

    Returns
    -------
    Dataset
        With ``coefficients`` {"c": (D,)}. All values are dimensionless.

    Raises
    ------
    ValueError
        As in `sin_cos`.
    """
    n_train, cast = _checked(n_inputs, n_samples, test_fraction, dtype)
    inputs, weights = generator(seed).spawn(2)
    given = coefficients if isinstance(coefficients, str) else (coefficients,)
    (c,) = _coefficients(given, "c", n_inputs, weights, coefficient_seed)
    x = 5 * inputs.random((n_samples, n_inputs))
    y = x**2 @ c
    return _split(x, y, n_train, dtype=cast, standardize=standardize, statistics=statistics, coefficients={"c": c})


def gaussian(
    n_inputs: int = 40,
    n_samples: int = 10_000,
    *,
    seed: Seed,
    dtype: DTypeLike = "float64",
    standardize: bool = True,
    statistics: Statistics = "pool",
    squared: bool = True,
    std: float = 0.2,
    test_fraction: float = 0.2,
) -> Dataset:
    """Return Example 3: ``y = exp(-10 |x|^2)``, or ``y = exp(-10 |x|)`` as the paper's formula prints, x normal.

    With `squared`, the mean of y is ``(1 + 20 std^2)^(-D/2)`` and that of y^2 is ``(1 + 40 std^2)^(-D/2)``:
    for the defaults 7.8e-6 and 5.0e-9. The prediction 0 therefore has a mean squared error of only 5e-9. Use a relative
    error to judge a fit.

    Parameters
    ----------
    n_inputs, n_samples, seed, dtype, standardize, statistics : int, int, seed, dtype-like, bool, str
        The same arguments as of `sin_cos`.
    squared : bool
        True for the Gaussian that the paper's text names, False for the exponential of the norm that its formula
        prints.
    std : float
        Standard deviation of each input. The paper's "N(0, 0.2)" may mean a standard deviation of 0.2, taken
        here, or a variance of 0.2, which is ``std=0.2 ** 0.5``.
    test_fraction : float
        The fraction of the samples in the test set, as in `sin_cos`.

    Returns
    -------
    Dataset
        With empty ``coefficients``, since the target has no coefficients. All values are dimensionless.

    Raises
    ------
    ValueError
        As in `sin_cos`, and if `std` is not positive and finite.
    """
    n_train, cast = _checked(n_inputs, n_samples, test_fraction, dtype)
    std = real_number("std", std, 0, open_low=True)
    instance("squared", squared, (bool, np.bool_), "True or False")
    inputs, _ = generator(seed).spawn(2)  # the same stream of inputs as in the other examples
    x = std * inputs.standard_normal((n_samples, n_inputs))
    square = np.sum(x**2, axis=1)
    y = np.exp(-10 * (square if squared else np.sqrt(square)))
    return _split(x, y, n_train, dtype=cast, standardize=standardize, statistics=statistics, coefficients={})


def _checked(
    n_inputs: int, n_samples: int, test_fraction: float, dtype: DTypeLike
) -> tuple[int, np.dtype[np.floating[Any]]]:
    """Check the common arguments of the three targets; return the size of the training part and the dtype."""
    whole_number("n_inputs", n_inputs, 1)
    n_samples = whole_number("n_samples", n_samples, 2)
    test_fraction = real_number("test_fraction", test_fraction, 0, 1, open_low=True, open_high=True)
    n_test = round(test_fraction * n_samples)
    if not 0 < n_test < n_samples:
        raise ValueError(
            f"the train and the test part must each hold a sample: n_samples = {n_samples} with "
            f"test_fraction = {test_fraction} gives {n_samples - n_test} and {n_test}"
        )
    return n_samples - n_test, float_dtype(dtype)


def _coefficients(
    given: Law | str | tuple[ArrayLike, ...],
    names: str,
    n_inputs: int,
    rng: np.random.Generator,
    coefficient_seed: Seed | None,
) -> list[NDArray[np.float64]]:
    """Return an array (n_inputs,) for each of the one-letter names, drawn from a law or given."""
    if isinstance(given, str):
        if given not in ("uniform", "normal"):
            raise ValueError(f"coefficients must be 'uniform', 'normal' or {', '.join(names)}, got {given!r}")
        if coefficient_seed is not None:  # the child that draws them for `seed`, too
            _, rng = generator(coefficient_seed, "coefficient_seed").spawn(2)
        draw = rng.random if given == "uniform" else rng.standard_normal
        return list(draw((len(names), n_inputs)))
    if coefficient_seed is not None:
        raise ValueError("coefficient_seed must be left out where coefficients are given: it draws them")
    if not isinstance(given, (tuple, list)) or len(given) != len(names):
        raise ValueError(f"coefficients must be the {len(names)} arrays {', '.join(names)}, got {found(given)}")
    shape: dict[str, int | None] = {"n_inputs": n_inputs}
    return [
        copied(real_array(f"coefficients ({name})", _floats(values), shape, low=-inf)).astype(np.float64)
        for name, values in zip(names, given, strict=True)
    ]


def _floats(values: Any) -> Any:
    """Return a list of numbers, or an array of integers, as an array (n,) of doubles."""
    if isinstance(values, (list, tuple)) and all(map(is_number, values)):
        return np.array([real_number("an entry of coefficients", value) for value in values], dtype=np.float64)
    whole = is_array(values) and is_numpy(values) and values.dtype.kind in "iu"
    return values.astype(np.float64) if whole else values


def _split(
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
