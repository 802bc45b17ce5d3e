"""Checks of the numbers that configure a scheme, so that each refusal reads alike."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

__all__ = ["require_finite", "require_in", "require_one_of", "require_positive"]


def require_finite(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number."""
    if not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def require_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number > 0."""
    if not isinstance(value, (int, float)) or not (isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def require_in(name: str, value: float, low: float, high: float, *, open_end: bool = False) -> None:
    """Raise ValueError unless low <= value <= high (or < high)."""
    ok = isinstance(value, (int, float)) and low <= value and (value < high if open_end else value <= high)
    if not ok:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}{')' if open_end else ']'}, got {value!r}")


def require_one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raise ValueError unless `value` is among the known names."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}")
