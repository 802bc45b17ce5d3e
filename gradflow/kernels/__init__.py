"""The hot loops, once for each array library: everything that loops over data or neurons.

`reference` defines each of them in array-API Python. `numba` and `cupy` have the same names and override only
what a measurement has shown to be faster. Which set runs is chosen once, on the model; results agree to round-off.

==============  =====================================================================================
name            kernel set
==============  =====================================================================================
``auto``        ``numba`` for NumPy arrays, ``cupy`` for CuPy arrays, ``reference`` otherwise or when the
                library cannot be imported (numba refuses a NumPy that is newer than it knows)
``reference``   array-API Python on any array library
``numba``       fused loops over NumPy arrays; numba is imported when this set is first selected
``cupy``        CuPy arrays on a GPU
==============  =====================================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeAlias

from ..description import found
from ..namespace import Array, is_array, is_numpy
from ..refusals import one_of
from . import reference

__all__ = ["KERNELS", "Kernels", "kernel_name", "reference", "select"]

KERNELS = ("auto", "reference", "numba", "cupy")
"""The names that `select` takes."""

UNAVAILABLE = (ImportError, OSError, RuntimeError)
"""What importing numba or CuPy may raise: not installed or not fitting this NumPy; a missing shared library; no
place for numba's cache."""

Kernels: TypeAlias = Any
"""A kernel set: the module `reference` or one with the same names (a static name only)."""


def select(name: str = "auto", array: Array | None = None) -> Kernels:
    """Return the kernel set `name`.

    Parameters
    ----------
    name : {"auto", "reference", "numba", "cupy"}
        Which set.
    array : array, optional
        An array, of any shape, of the library of the kernels' arguments; by default NumPy.

    Returns
    -------
    module
        With the names of `gradflow.kernels.reference`.

    Raises
    ------
    ValueError
        If the name is unknown, `array` is not an array, or the set cannot be imported or does not fit `array`; "auto"
        always fits.
    """
    one_of("kernels", name, KERNELS)
    if array is not None and not is_array(array):
        raise ValueError(f"array must be an array or None, got {found(array)}")
    library = _library(array)
    if name == "auto":
        wanted = {"numpy": "numba", "cupy": "cupy"}.get(library, "reference")
        try:
            return _load(wanted)
        except UNAVAILABLE:
            return _load("reference")
    if name != "reference" and array is not None and library != {"numba": "numpy"}.get(name, name):
        raise ValueError(f"kernels={name!r} cannot run on arrays of {library}; take 'auto' or 'reference'")
    try:
        return _load(name)
    except UNAVAILABLE as error:
        raise ValueError(f"kernels={name!r} is not available ({error}); take 'auto' or 'reference'") from error


def kernel_name(kernels: Kernels) -> str:
    """Return the name of one of the `kernels` of `select`, for descriptions: "reference", "numba" or "cupy"."""
    return str(kernels.__name__.rpartition(".")[2])


def _library(array: Array | None) -> str:
    return "numpy" if array is None or is_numpy(array) else type(array).__module__.partition(".")[0]


def _load(name: str) -> Kernels:
    return import_module(f"{__name__}.{name}")
