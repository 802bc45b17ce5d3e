"""The step size of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..namespace import is_number

__all__ = ["step_size"]


def step_size(dt: float | Callable[[int], float]) -> Callable[[int], float]:
    """Return the step size as a checked function of the step number.

    Parameters
    ----------
    dt : float or callable
        Step size, or a function of the step number.

    Raises
    ------
    ValueError
        If it is not a finite number > 0; of a function's values, when they are asked for.
    """

    def checked(value: Any) -> float:
        if not is_number(value) or not 0 < value < float("inf"):
            raise ValueError(f"dt must be a finite number > 0, got {value!r}")
        return float(value)  # a NumPy double would promote a float32 state

    if callable(dt):
        return lambda n: checked(dt(n))
    fixed = checked(dt)
    return lambda n: fixed
