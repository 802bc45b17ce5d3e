"""The error function: not in the array API standard, so each library's own is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..namespace import Array, is_numpy

__all__ = ["erf", "erfc"]


def erf(z: Array) -> Array:
    """Return the error function of `z`, an array of NumPy or CuPy of any shape, in its dtype, float32 or float64.

    Raises
    ------
    ValueError
        If `z` is neither a NumPy nor a CuPy array.
    """
    return _special(z).erf(z)


def erfc(z: Array) -> Array:
    """Return ``1 - erf(z)`` without cancellation, for `z` of NumPy or CuPy, of any shape, in its dtype.

    Raises
    ------
    ValueError
        If `z` is neither a NumPy nor a CuPy array.
    """
    return _special(z).erfc(z)


def _special(z: Array) -> Any:
    if is_numpy(z):
        return import_module("scipy.special")
    library = type(z).__module__.partition(".")[0]
    if library == "cupy":
        return import_module("cupyx.scipy.special")
    raise ValueError(
        f"'erf' and 'gelu' need NumPy or CuPy arrays, since the array API standard has no erf; got {library}"
    )
