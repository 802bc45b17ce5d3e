"""The coefficients of the synthetic targets: drawn from a law, or given and checked."""

from __future__ import annotations

from math import inf
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..description import found
from ..namespace import copied, is_array, is_number, is_numpy
from ..refusals import Seed, generator, real_array, real_number

Law: TypeAlias = Literal["uniform", "normal"]
"""How coefficients are drawn: U(0, 1) or N(0, 1), each entry by itself."""

__all__ = ["Law", "chosen_coefficients"]


def chosen_coefficients(
    given: Law | str | tuple[ArrayLike, ...],
    names: str,
    n_inputs: int,
    rng: np.random.Generator,
    coefficient_seed: Seed | None,
) -> list[NDArray[np.float64]]:
    """Return one float64 array of shape (n_inputs,) for each of the one-letter `names`: drawn, or checked.

    Parameters
    ----------
    given : {"uniform", "normal"} or tuple of arrays (n_inputs,)
        The law, or the coefficients themselves.
    names : str
        One letter for each array.
    n_inputs : int
        Entries in each.
    rng : numpy.random.Generator
        Draws them, unless `coefficient_seed` is given.
    coefficient_seed : int, numpy.random.Generator or None
        Draws them instead.

    Raises
    ------
    ValueError
        If the law is unknown, the arrays have another number or shape or are not finite, or they are given together
        with a `coefficient_seed`.
    """
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
