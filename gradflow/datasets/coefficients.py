"""The coefficients of the synthetic targets: drawn from a law, or given and checked."""

from __future__ import annotations

from collections.abc import Sized
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..refusals import Seed, spawn_generators

Law: TypeAlias = Literal["uniform", "normal"]
"""How coefficients are drawn: U(0, 1) or N(0, 1), each entry by itself."""

__all__ = ["Law", "chosen_coefficients"]


def chosen_coefficients(
    given: Law | str | tuple[ArrayLike, ...],
    names: str,
    n_inputs: int,
    generator: np.random.Generator,
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
    generator : numpy.random.Generator
        Draws them, unless `coefficient_seed` is given.
    coefficient_seed : int, numpy.random.Generator or None
        Draws them instead.

    Raises
    ------
    ValueError
        If the law is unknown, the arrays have another number or shape or are not finite, or they are given together with a
        `coefficient_seed`.
    """
    if isinstance(given, str):
        if given not in ("uniform", "normal"):
            raise ValueError(f"coefficients must be 'uniform', 'normal' or {', '.join(names)}, got {given!r}")
        if coefficient_seed is not None:
            _, generator = spawn_generators(coefficient_seed, 2)  # the child that draws them for `seed`, too
        draw = generator.random if given == "uniform" else generator.standard_normal
        return list(draw((len(names), n_inputs)))
    if coefficient_seed is not None:
        raise ValueError("coefficient_seed draws coefficients, but they were given; leave one of the two out")
    if not isinstance(given, Sized):
        kind = type(given).__name__
        raise ValueError(
            f"coefficients must be the {len(names)} arrays {', '.join(names)}, got an object of type {kind}"
        )
    if len(given) != len(names):
        raise ValueError(f"coefficients must be the {len(names)} arrays {', '.join(names)}, got {len(given)}")
    arrays = [np.array(values, dtype=np.float64) for values in given]  # copies: the caller may change its own
    for name, array in zip(names, arrays, strict=True):
        if array.shape != (n_inputs,):
            raise ValueError(f"{name} must have shape (n_inputs,), n_inputs = {n_inputs}; got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got {np.sum(~np.isfinite(array))} entries that are not")
    return arrays
