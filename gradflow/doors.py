"""Checks of the numbers and names that configure a scheme or an experiment, or choose a formula, so that each refusal reads alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from math import isfinite
from numbers import Integral
from typing import Any

from .description import found
from .namespace import is_number

__all__ = ["plain_numbers", "require_at_least", "require_finite", "require_in", "require_one_of", "require_positive"]


def plain_numbers(scheme: Any) -> None:
    """Turn the NumPy numbers among the fields of a frozen dataclass into Python's, which never promote an array.

    Parameters
    ----------
    scheme : dataclass instance
        The scheme; changed in place.
    """
    for field in fields(scheme):
        value = getattr(scheme, field.name)
        if is_number(value) and type(value) not in (int, float):
            object.__setattr__(scheme, field.name, int(value) if isinstance(value, Integral) else float(value))


def require_finite(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    """
    if not is_number(value) or not isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def require_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number > 0.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    """
    if not is_number(value) or not (isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def require_at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless `value` is a finite number >= `least`.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    least : float
        The smallest value that is accepted.
    """
    if not is_number(value) or not (isfinite(value) and value >= least):
        kind = "" if isinstance(value, int) else "a finite number "
        raise ValueError(f"{name} must be {kind}>= {least:g}, got {value!r}")


def require_in(name: str, value: float, low: float, high: float, *, open_end: bool = False) -> None:
    """Raise ValueError unless low <= value <= high (or < high).

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    low, high : float
        Ends of the interval.
    open_end : bool
        Whether `high` itself is refused.
    """
    ok = is_number(value) and low <= value and (value < high if open_end else value <= high)
    if not ok:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}{')' if open_end else ']'}, got {value!r}")


def require_one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raise ValueError unless `value` is among the known names.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    known : iterable of str
        What is accepted.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {found(value)}")
