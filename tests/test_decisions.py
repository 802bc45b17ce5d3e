r"""`is_zero`, `is_small` and `follows` against a table of statements whose truth is known (`identities`)."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("sympy")

from gradflow.symbolic import is_zero
from identities import DECIDE, MAY_REFUSE, REFUSE, SYMBOLS, ZERO


def statement_of(source: Any) -> Any:
    return eval(source, SYMBOLS) if isinstance(source, str) else source()


def fault_of(answer: Callable[[], bool], truth: bool | None, duty: str) -> str | None:
    """Return what is wrong with the answer: a wrong one, or none where it is due, or one where there is none."""
    try:
        result = answer()
    except (ValueError, TypeError) as error:
        if duty == DECIDE:
            return f"refused: {error}"
        return None if " " in str(error) else f"a refusal says why, got {error!r}"
    return None if duty in (DECIDE, MAY_REFUSE) and result is truth else f"{result}, but the truth is {truth}"


@pytest.mark.parametrize(("name", "source", "truth", "duty"), ZERO, ids=[name for name, *_ in ZERO])
def test_what_is_zero(name: str, source: Any, truth: bool | None, duty: str) -> None:
    statement = statement_of(source)
    assert fault_of(lambda: is_zero(statement), truth, duty) is None


def test_the_table_says_something_else_for_each_name() -> None:
    names = [name for name, *_ in ZERO]
    assert len(set(names)) == len(names)
    assert all((truth is None) == (duty == REFUSE) for _, _, truth, duty in ZERO)
