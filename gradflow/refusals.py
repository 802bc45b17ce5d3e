"""Checks of arguments. A failed check raises a `ValueError` that names what was wanted and what was given.

A check returns the value that it accepts, and calls it `name` in its message. The value of a user function is checked
in the same way, under a name such as ``gradient(theta)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import wraps
from importlib import import_module
from inspect import signature
from math import inf, isfinite
from numbers import Integral
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .description import found
from .namespace import Array, array_namespace, copied, is_array, is_number, is_numpy, is_sparse, read_only

__all__ = [
    "Floats",
    "Seed",
    "as_float",
    "evaluate",
    "few_entries",
    "float_dtype",
    "generator",
    "instance",
    "integer_array",
    "lists_arguments",
    "mass_of",
    "one_of",
    "plain_numbers",
    "real_array",
    "real_number",
    "real_scalar",
    "real_value",
    "require_package",
    "rows_of",
    "sparse_or_dense",
    "weights_of",
    "whole_number",
]

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A float32 or float64 array."""

Seed: TypeAlias = int | np.random.Generator
"""A seed or a generator of random numbers."""

Kind = TypeVar("Kind")
LARGEST = 2**63 - 1
MOST_ENTRIES = 10**8  # of a matrix: 10 000 x 10 000, 0.8 GB, whose decomposition takes minutes
FLOATS = np.dtype(np.float32), np.dtype(np.float64)
WROTE = re.compile(
    r"((put: |putmask: )?output array|(sort |partition |underlying )?array|array to be byte-swapped|assignment destination"
    r"|WRITEBACKIFCOPY base|operand array with iterator write flag set|buffer source array|out) is read-only"
    r"|.*output array is not writeable|Supplied output array .* contiguous, writable.*"
    r"|cannot modify read-only memory|underlying buffer is not writable"
    r"|(\w+\(\) )?argument must be read-write bytes-like object, not numpy\.ndarray"
)
"""What NumPy and Python say to a program that writes into an array for reading only."""


def whole_number(name: str, value: Any, low: int = 0, high: int = LARGEST) -> int:
    """Return `value` as an int, or raise ValueError unless it is a whole number (not a bool) from `low` to `high`.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value.
    low, high : int
        The smallest and the largest value that are accepted.
    """
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else low - 1
    if not low <= number <= high:
        wanted = f">= {low}" if high == LARGEST else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {wanted}, got {found(value)}")
    return number


def real_number(
    name: str, value: Any, low: float = -inf, high: float = inf, *, open_low: bool = False, open_high: bool = False
) -> float:
    """Return `value` as a Python number, or raise ValueError unless it is finite and in an interval.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value.
    low, high : float
        Ends of the interval.
    open_low, open_high : bool
        Whether the ends are excluded.
    """
    number = as_float(value)
    if (
        number is None
        or not (isfinite(number) and low <= number <= high)
        or (number == low and open_low)
        or (number == high and open_high)
    ):
        if isfinite(high):
            wanted = f"lie in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        else:
            wanted = f"be a finite number{_bound(low, open_low)}"
        raise ValueError(f"{name} must {wanted}, got {found(value)}")
    return number


def real_scalar(name: str, value: Any, like: Array) -> Array:
    """Return a real number, NaN and infinity included, as a 0-d array like `like`, or raise ValueError.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value: a number, or a 0-d array of at least the precision of
        `like`.
    like : array
        Of any shape, float32 or float64. With an object array of symbols, every value is accepted.
    """
    dtype: Any = like.dtype
    if type(value) is getattr(dtype, "type", None) or getattr(dtype, "kind", "") == "O":
        return value
    xp, own, number = array_namespace(like), getattr(value, "dtype", None), as_float(value)
    ok = number is not None or (is_array(value) and value.shape == () and _is(value, "real floating", "integral"))
    if ok and own is not None and _is(value, "real floating"):
        ok = array_namespace(value).finfo(own).bits >= xp.finfo(dtype).bits
    if not ok:
        wanted = f"a real number or a 0-d array of dtype {dtype}"
        raise ValueError(f"{name} must be {wanted}, got {found(value)}{f' of dtype {own}' if own is not None else ''}")
    return xp.asarray(value if number is None else number, dtype=dtype, copy=True)[()]


def real_value(name: str, value: Any) -> Any:
    """Return a number (NaN included) as a NumPy scalar, an array or a symbol unchanged, or raise ValueError.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value.
    """
    if isinstance(value, (np.float32, np.float64)) or hasattr(value, "free_symbols"):
        return value
    number = as_float(value)
    if number is None and not is_array(value):
        raise ValueError(f"{name} must be a real number or an array, got {found(value)}")
    return real_array(name, value, {"N": None} if value.ndim else {}) if number is None else np.float64(number)


def real_array(
    name: str,
    a: Any,
    shape: Mapping[str, int | None],
    dtype: Any = None,
    *,
    of: str = "the data",
    least: int = 1,
    low: float | None = None,
    open_low: bool = False,
) -> Array:
    """Return `a`, of the same shape, or raise ValueError unless it is a real array; this runs in every evaluation.

    An array is one of NumPy, a memory map, or one of a library that follows the array API standard; an object array
    must hold symbols. A masked array, a matrix, a sparse array and a list are refused.

    Parameters
    ----------
    name, a : str, object
        The name in the error message, and the given value.
    shape : mapping of str to int or None
        The length of each axis by its letter; None for any length >= `least`.
    dtype, of : dtype, str
        The dtype, by default float32 or float64, and whose it is, for the message.
    least : int
        The smallest length of an axis whose length is free.
    low, open_low : float, bool
        If `low` is given, entries must be finite and >= low, or > low if it is excluded.
    """
    if type(a) is not np.ndarray or a.dtype is not dtype or a.shape != tuple(shape.values()):
        _check_shape(name, a, shape, least)
        if dtype is None:
            if not _is_float(a) and not _is_symbolic(a):
                advice = (
                    f": np.asarray({name}, dtype=float) is so" if name.isidentifier() and _is(a, "integral") else ""
                )
                raise ValueError(f"{name} must be float32 or float64, got {a.dtype}{advice}")
        elif a.dtype is not dtype and str(a.dtype) != str(dtype):  # dtypes of two libraries cannot be compared
            raise ValueError(f"{name} must have the dtype of {of}, {dtype}; got {a.dtype}")
    if low is not None and not _is_symbolic(a):
        xp = array_namespace(a)
        if not bool(xp.all(xp.isfinite(a) & (a > low if open_low else a >= low))):
            raise ValueError(f"{name} must have finite entries{_bound(low, open_low)}")
    return a


def integer_array(name: str, a: Any, shape: Mapping[str, int | None], high: int, like: Array) -> Array:
    """Return a copy of `a` as int64, of the given shape, or raise ValueError unless it holds integers in [0, high).

    Parameters
    ----------
    name, a : str, object
        The name in the error message, and the given value: an array of NumPy or of the library wanted.
    shape : mapping of str to int or None
        The length of each axis by its letter; None for any length >= 1.
    high : int
        One more than the largest entry accepted.
    like : array
        Of the library wanted, of any shape.
    """
    _check_shape(name, a, shape, 1)
    if not _is(a, "integral"):
        raise ValueError(f"{name} must be integers, got {a.dtype}")
    own, xp = array_namespace(a), array_namespace(like)
    if bool(own.any((a < 0) | (a >= high))):
        raise ValueError(f"{name} must lie in [0, {high}); got {int(own.min(a))} to {int(own.max(a))}")
    return xp.asarray(own.astype(a, own.int64), copy=True)


def few_entries(name: str, rows: int, columns: int, instead: str) -> None:
    """Raise ValueError unless a matrix has at most 10^8 entries, those of 10 000 x 10 000.

    Parameters
    ----------
    name : str
        What stores the matrix, for the message.
    rows, columns : int
        Its shape.
    instead : str
        What stores less, for the message.
    """
    if rows * columns > MOST_ENTRIES:
        raise ValueError(
            f"{name} stores a matrix of shape ({rows}, {columns}), more than {MOST_ENTRIES} numbers: {instead}"
        )


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """Return `value`, or raise ValueError unless it is among the known names.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value.
    known : iterable of str
        The accepted values.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {found(value)}")
    return value


def instance(name: str, value: Any, kinds: Any, wanted: str) -> Any:
    """Return `value`, or raise ValueError unless it is an instance of one of the types.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the given value.
    kinds, wanted : type or tuple of types, str
        The accepted types, and these in words.
    """
    if not isinstance(value, kinds):
        raise ValueError(f"{name} must be {wanted}, got {found(value)}")
    return value


def generator(seed: Seed, name: str = "seed") -> np.random.Generator:
    """Return the generator for a whole number >= 0 of any size, or the generator given, or raise ValueError.

    Parameters
    ----------
    seed : int or numpy.random.Generator
        The given value.
    name : str
        The name in the error message.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"{name} must be a whole number >= 0 or a numpy.random.Generator, got {found(seed)}")
    return np.random.default_rng(int(seed))


def float_dtype(dtype: DTypeLike) -> np.dtype[np.floating[Any]]:
    """Return `dtype` as a dtype of NumPy, or raise ValueError unless it is float32 or float64.

    Parameters
    ----------
    dtype : dtype-like
        The given value.
    """
    # NumPy reads None as float64; here it can only be a forgotten argument
    if isinstance(dtype, (str, type, np.dtype)):
        with suppress(TypeError, ValueError):  # not a dtype, or not among these
            return FLOATS[FLOATS.index(np.dtype(dtype))]
    raise ValueError(f"dtype must be float32 or float64, got {found(dtype)}")


def mass_of(mass: Any) -> Array | float:
    """Return the diagonal of an inner product as a number of Python or a copy of an array (P,), or raise ValueError.

    Parameters
    ----------
    mass : float, array (P,) or None
        The given value, with entries > 0; None means 1.
    """
    if mass is None or is_number(mass):
        return 1.0 if mass is None else real_number("mass", mass, 0, open_low=True)
    if not is_array(mass):
        raise ValueError(f"mass must be a number > 0 or an array of shape (P,), got {found(mass)}")
    return read_only(copied(real_array("mass", mass, {"P": None}, low=0, open_low=True)))


def weights_of(weights: Any) -> Array | None:
    """Return weights of residuals as a copy, (N,), real or of truth values, or raise ValueError; None stays None.

    Parameters
    ----------
    weights : array (N,) or None
        The given value: finite entries >= 0 or truth values, not all zero.
    """
    if weights is None:
        return None
    if is_array(weights) and _is(weights, "bool"):
        _check_shape("weights", weights, {"N": None}, 1)
    else:
        real_array("weights", weights, {"N": None}, low=0)
    if not bool(array_namespace(weights).any(weights != 0)):
        raise ValueError("weights must not all be zero: no residual would be left")
    return read_only(copied(weights))


def sparse_or_dense(name: str, a: Any, shape: tuple[int, int], like: Array) -> Array:
    """Return a matrix, (N, P), in SciPy's canonical format CSR if it is sparse, or raise ValueError.

    Parameters
    ----------
    name, a : str, object
        The name in the error message, and the given value: an array, or a sparse array or matrix of any format.
    shape : tuple (N, P)
        The shape.
    like : array (P,)
        Has the library and the dtype wanted; a sparse matrix goes with NumPy only.
    """
    if not is_sparse(a):
        return real_array(name, a, dict(zip("NP", shape, strict=True)), like.dtype, of="theta")
    if not is_numpy(like):
        raise ValueError(f"{name} must be an array of the library of theta, got {found(a)}")
    if a.shape != shape:
        raise ValueError(f"{name} must have shape (N, P), N = {shape[0]} and P = {shape[1]}; got {found(a)}")
    if a.dtype != like.dtype:
        raise ValueError(f"{name} must have the dtype of theta, {like.dtype}; got {a.dtype}")
    from scipy.sparse import csr_array

    a = csr_array(a)  # shares the arrays of one in the same format
    if not a.has_canonical_format:
        a = a.copy()
        a.sum_duplicates()
    return a


def require_package(package: str, extra: str, what: str) -> None:
    """Raise ImportError that says what to install unless a package can be imported.

    Parameters
    ----------
    package : str
        Its name.
    extra : str
        The extra of gradflow that installs it.
    what : str
        What needs it.

    Raises
    ------
    ImportError
        If it is not installed.

    Examples
    --------
    >>> require_package("nothing", "proofs", "the exact threshold")
    Traceback (most recent call last):
        ...
    ImportError: the exact threshold needs nothing: pip install 'gradflow[proofs]'
    """
    try:
        import_module(package)
    except ImportError as error:
        if error.name != package:
            raise
        raise ImportError(f"{what} needs {package}: pip install 'gradflow[{extra}]'", name=package) from error


def rows_of(indices: Any, N: int, like: Array) -> Array | slice:
    """Return the rows of a batch, a slice or of shape (B,), or raise ValueError unless there are rows, all in [0, N).

    Parameters
    ----------
    indices : slice, array or list
        The given value; an integer array (B,) is copied.
    N, like : int, array
        Number of samples, and an array of the library wanted, of any shape.
    """
    if isinstance(indices, list):
        indices = np.array([whole_number("each of indices", i) for i in indices], dtype=np.int64)
    if not isinstance(indices, slice):
        return integer_array("indices", indices, {"B": None}, N, like)
    try:
        rows = range(*indices.indices(N))
    except (TypeError, ValueError) as error:
        raise ValueError(f"indices must be an array or a slice with integer ends, got {indices}") from error
    if len(rows) == 0:
        raise ValueError(f"indices must have at least one sample; {indices} of {N} is empty")
    return slice(rows.start, rows.stop, rows.step) if rows.step > 0 else indices  # in the standard: ends within N


def evaluate(name: str, of_user: Callable[..., Any], *arrays: Array) -> Any:
    """Return the value of a user function; raise ValueError if the function writes into its arguments.

    Parameters
    ----------
    name : str
        The name of the function in the error message.
    of_user : callable
        The function. It gets NumPy arrays as read-only views, and arrays of other libraries as copies.
    *arrays : array (P,)
        Its arguments.
    """
    try:
        return of_user(*map(read_only, arrays))
    except Exception as error:
        if type(error) in (ValueError, TypeError) and WROTE.fullmatch(str(error)):
            raise ValueError(f"{name} must not write into its arguments, but tried to ({error})") from error
        raise


def plain_numbers(scheme: Any) -> None:
    """Turn the NumPy numbers among the fields of a frozen dataclass into Python's, which never promote an array.

    Parameters
    ----------
    scheme : dataclass instance
        The scheme; changed in place.
    """
    for field in fields(scheme):
        value = getattr(scheme, field.name)
        number = as_float(value)
        if number is not None and type(value) not in (int, float):
            object.__setattr__(scheme, field.name, int(value) if isinstance(value, Integral) else number)


def lists_arguments(kind: type[Kind]) -> type[Kind]:
    """Return a class whose constructor lists its arguments in the error for a wrong one; a decorator.

    Parameters
    ----------
    kind : type
        The class; its ``__init__`` is wrapped.
    """
    init: Any = vars(kind)["__init__"]
    takes = signature(init)
    names = ", ".join(list(takes.parameters)[1:]) or "none"

    @wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            takes.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{kind.__name__}: {error}; its arguments are {names}") from None
        init(self, *args, **kwargs)

    setattr(kind, "__init__", checked)  # noqa: B010
    return kind


def as_float(value: Any) -> float | None:
    """Return a real number as a float, None for anything else and for an integer of more than 308 digits.

    Parameters
    ----------
    value : object
        What was given.
    """
    try:
        return float(value) if is_number(value) else None
    except OverflowError:
        return None


def _bound(low: float, open_low: bool) -> str:
    return "" if low == -inf else f" {'>' if open_low else '>='} {low:g}"


def _is(a: Array, *kinds: str) -> bool:
    """Return whether the dtype is of one of the kinds of the standard, in the byte order of the machine."""
    if getattr(a.dtype, "kind", "") == "O" or not getattr(a.dtype, "isnative", True):
        return False
    return bool(array_namespace(a).isdtype(a.dtype, kinds))


def _is_float(a: Array) -> bool:
    """Return whether the dtype is float32 or float64."""
    if isinstance(a, np.ndarray):
        return a.dtype in FLOATS
    return str(a.dtype).rpartition(".")[2] in ("float32", "float64")


def _is_symbolic(a: Array) -> bool:
    return getattr(a.dtype, "kind", "") == "O" and all(hasattr(entry, "free_symbols") for entry in a.flat)


def _check_shape(name: str, a: Any, shape: Mapping[str, int | None], least: int) -> None:
    """Raise ValueError unless `a` is an array of the shape."""
    is_one = is_array(a)
    if is_one and len(a.shape) == len(shape):
        lengths = zip(a.shape, shape.values(), strict=True)
        if all(n >= least if wanted is None else n == wanted for n, wanted in lengths):
            return
    letters = ", ".join(shape) + ("," if len(shape) == 1 else "")
    free = f">= {least}" if least else ""
    says = {letter: free if n is None else f"= {n}" for letter, n in shape.items() if letter != str(n)}
    lengths_wanted = " and ".join(f"{letter} {text}" for letter, text in says.items() if text)
    wanted = f"({letters}){', ' if lengths_wanted else ''}{lengths_wanted}"
    listed = isinstance(a, (list, tuple)) or (
        hasattr(a, "__array__") and not isinstance(a, (np.ndarray, np.generic, type))
    )
    advice = "; np.asarray(..., dtype=float) makes an array of it" if listed and not is_one and not is_sparse(a) else ""
    raise ValueError(f"{name} must {'have' if is_one else 'be an array of'} shape {wanted}; got {found(a)}{advice}")
