"""A check: a function of a derivation that returns if a statement holds and raises if it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["METHODS", "Check", "check"]

METHODS = {
    "identity": "an identity, or a limit or derivative of one, decided exactly",
    "squares": "an inequality, as an explicit sum of squares or of nonnegative terms",
    "decision procedure": "an inequality or an implication, decided by z3 over the real numbers",
    "counterexample": "a false claim, by exact numbers",
    "argument": "a written argument, and the exact lemma that it rests on",
    "arithmetic": "numbers that follow from the definitions, computed exactly",
    "run": "the production code, run in floating point",
}
"""How a statement is settled."""


@dataclass(frozen=True)
class Check:
    """A statement with the function that settles it.

    Calling a check raises what the function raises: AssertionError if the statement does not hold.
    """

    function: Callable[[], None]
    """Returns if the statement holds, raises if not."""
    method: str
    """A key of `METHODS`."""
    scope: str
    """What the statement is shown for."""

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def statement(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def __call__(self) -> None:
        """Run the check.

        Raises
        ------
        RuntimeError
            If Python runs without assertions (-O): every check would hold.
        """
        if not __debug__:
            raise RuntimeError("checks are assertions: run Python without -O and PYTHONOPTIMIZE")
        self.function()


def check(method: str, scope: str) -> Callable[[Callable[[], None]], Check]:
    """Mark a function of a derivation as a check.

    In a notebook, or a derivation run as a script, the check runs where it is defined.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    scope : str
        What the statement is shown for: "every dimension and inner product", "sizes 1 to 3", "one generic coordinate",
        ...

    Returns
    -------
    callable
        The decorator, which makes a `Check`.

    Raises
    ------
    ValueError
        If the method is unknown or the function has no docstring, whose first line is the statement.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")

    def mark(function: Callable[[], None]) -> Check:
        if not (function.__doc__ or "").strip():
            raise ValueError(f"{function.__name__} must state in its docstring what it checks")
        made = Check(function, method, scope)
        if function.__globals__["__name__"] == "__main__":
            start = time.perf_counter()
            made()
            print(f"holds ({method}; {scope}; {time.perf_counter() - start:.1f} s): {made.statement}")
        return made

    return mark
