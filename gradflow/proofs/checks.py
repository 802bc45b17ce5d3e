"""A check: a function of a derivation that returns if a statement holds and raises if it does not."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..description import found

__all__ = ["METHODS", "Check", "check"]

METHODS = {
    "identity": "an identity, or a limit or derivative of one, decided exactly",
    "squares": "an inequality, as an explicit sum of squares or of nonnegative terms",
    "decision procedure": "an inequality or an implication, decided by z3 over the real numbers",
    "counterexample": "an instance in exact numbers, which refutes a claim or shows that two things differ",
    "argument": "a written argument, and the exact lemma that it rests on",
    "arithmetic": "numbers that follow from the definitions, computed exactly",
    "run": "the production code, run in floating point",
}
"""How a statement is settled."""
LAZY = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)


@dataclass(frozen=True)
class Check:
    """A statement with the function that settles it.

    Calling a check raises what the function raises: AssertionError if the statement does not hold.
    """

    function: Callable[[], None]
    """Returns if the statement holds, raises if not."""
    method: str
    """A key of `METHODS`, or several joined by commas."""
    scope: str
    """What the statement is shown for."""
    proves: tuple[str, ...] = ()
    """Ids of the claims that it shows to be true; with `refutes`, in one reading."""
    refutes: tuple[str, ...] = ()
    """Ids of the claims that it shows to be false; with `proves`, in another reading."""
    given: tuple[tuple[str, str], ...] = ()
    """Ids of the claims that it shows under a condition, each with the condition."""

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
        TypeError
            If the function returns something: whoever returns a truth value has left out its `assert`, and a generator
            has not run.
        """
        if not __debug__:
            raise RuntimeError("checks are assertions: run Python without -O and PYTHONOPTIMIZE")
        returned: object = self.function()  # type: ignore[func-returns-value]
        if returned is not None:
            raise TypeError(f"{self.name} must assert what it shows and return nothing, got {found(returned)}")


def check(
    method: str,
    scope: str,
    *,
    proves: Iterable[str] = (),
    refutes: Iterable[str] = (),
    given: Mapping[str, str] | None = None,
) -> Callable[[Callable[[], None]], Check]:
    """Mark a function of a derivation as a check.

    In a notebook, or a derivation run as a script, the check runs where it is defined. The verdict on a claim is
    computed from the checks that name it (`gradflow.proofs.ledger.decide`).

    Parameters
    ----------
    method : str
        A key of `METHODS`, or several joined by commas: "argument, run". A check that compares numbers within a
        tolerance, draws at random or runs a solver has "run" among them.
    scope : str
        What the statement is shown for: "every dimension and inner product", "sizes 1 to 3", "one generic coordinate",
        ...
    proves : iterable of str
        Ids of the claims of the ledger that the function shows to be true, as stated.
    refutes : iterable of str
        Ids of the claims that it shows to be false. An id in both is true in one reading and false in another.
    given : mapping of str to str
        Ids of the claims that it shows under a condition that the claim does not state, with the condition. If the id
        is in `refutes` as well, the function also shows that the claim is false without the condition.

    Returns
    -------
    callable
        The decorator, which makes a `Check`.

    Raises
    ------
    ValueError
        If the method is unknown, `proves` or `refutes` is no collection of ids, a condition is empty, an id is proved
        with and without a condition, or the function has no docstring, whose first line is the statement, or would not
        run when it is called: a generator, or an ``async`` function.
    """
    if not set(method.split(", ")) <= METHODS.keys():
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    proves, refutes = _ids(proves, "proves"), _ids(refutes, "refutes")
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"given must be a mapping of ids to conditions, got {found(given)}")
    conditions = tuple(zip(_ids(given or (), "given"), (given or {}).values(), strict=True))
    for name, condition in conditions:
        if not isinstance(condition, str) or not condition.strip() or not condition.isprintable():
            raise ValueError(f"given must state a condition for {name}, got {found(condition)}")
        if name in proves:
            raise ValueError(f"{name} must be in proves or in given, not in both")

    def mark(function: Callable[[], None]) -> Check:
        if not (function.__doc__ or "").strip():
            raise ValueError(f"{function.__name__} must state in its docstring what it checks")
        if any(is_lazy(function) for is_lazy in LAZY):
            raise ValueError(f"{function.__name__} must be a plain function: a call would not run it")
        made = Check(function, method, scope, proves, refutes, conditions)
        if function.__globals__["__name__"] == "__main__":
            start = time.perf_counter()
            made()
            print(f"holds ({method}; {scope}; {time.perf_counter() - start:.1f} s): {made.statement}")
        return made

    return mark


def _ids(names: Iterable[str], field: str) -> tuple[str, ...]:
    """Return ids of claims as a tuple, or raise ValueError; a single text would be read letter by letter."""
    if isinstance(names, str):
        raise ValueError(f"{field} must be a tuple of ids, got {found(names)}")
    names = tuple(names)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{field} must hold ids, which are texts, got {found(name)}")
    return names
