r"""`is_zero`, `is_small` and `follows` against a table of statements whose truth is known (`identities`)."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest

pytest.importorskip("sympy")
pytest.importorskip("z3")

import sympy as sp
from sympy.core.function import AppliedUndef

from gradflow.proofs.inequalities import follows
from gradflow.symbolic import is_small, is_zero
from identities import DECIDE, FOLLOWS, MAY_REFUSE, REFUSE, SMALL, SYMBOLS, VECTORS, ZERO, Kit, abstract_kit


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


def rows(table: list[Any]) -> Any:
    return pytest.mark.parametrize("row", table, ids=[row[0] for row in table])


@rows(ZERO)
def test_what_is_zero(row: Any) -> None:
    _, source, truth, duty = row
    statement = statement_of(source)
    assert fault_of(lambda: is_zero(statement), truth, duty) is None


@rows(VECTORS)
def test_what_is_zero_in_every_space(row: Any) -> None:
    _, make, truth, duty = row
    assert fault_of(lambda: is_zero(make(abstract_kit())), truth, duty) is None


@rows(SMALL)
def test_what_is_small(row: Any) -> None:
    _, source, order, truth, duty = row
    assert fault_of(lambda: is_small(statement_of(source), SYMBOLS["dt"], order), truth, duty) is None


@rows(FOLLOWS)
def test_what_follows(row: Any) -> None:
    _, conclusion, assumptions, truth, duty = row
    conclusion, assumptions = statement_of(conclusion), statement_of(f"[{assumptions}]")
    assert fault_of(lambda: follows(conclusion, assumptions), truth, duty) is None


@pytest.mark.parametrize("table", [ZERO, VECTORS, SMALL, FOLLOWS])
def test_each_row_has_a_name_and_a_truth_or_none(table: list[Any]) -> None:
    names = [row[0] for row in table]
    assert len(set(names)) == len(names)
    assert all((row[-2] is None) == (row[-1] == REFUSE) for row in table)


class Coordinates:
    """A vector in coordinates; the inner product has a Gram matrix that is not the identity."""

    def __init__(self, values: Any, gram: Any) -> None:
        self.values, self.gram = values, gram

    def __add__(self, other: "Coordinates") -> "Coordinates":
        return Coordinates(self.values + other.values, self.gram)

    def __mul__(self, c: Any) -> "Coordinates":
        return Coordinates(float(c) * self.values, self.gram)

    __rmul__ = __mul__

    def __neg__(self) -> "Coordinates":
        return self * -1

    def __sub__(self, other: "Coordinates") -> "Coordinates":
        return self + -other

    def __truediv__(self, c: Any) -> "Coordinates":
        return self * (1 / c)

    def __matmul__(self, other: "Coordinates") -> sp.Float:
        return sp.Float(self.values @ self.gram @ other.values)


class MatrixMap:
    """A matrix, as the operators of a kit are used."""

    def __init__(self, matrix: Any, source: Any, target: Any) -> None:
        self.matrix, self.source, self.target = matrix, source, target

    def __call__(self, u: Coordinates) -> Coordinates:
        return Coordinates(self.matrix @ u.values, self.target)

    def __add__(self, other: "MatrixMap") -> "MatrixMap":
        return MatrixMap(self.matrix + other.matrix, self.source, self.target)

    @property
    def adjoint(self) -> "MatrixMap":
        return MatrixMap(np.linalg.solve(self.source, self.matrix.T @ self.target), self.target, self.source)

    def solve_shifted(self, u: Coordinates, dt: Any) -> Coordinates:
        matrix = np.eye(len(self.matrix)) + float(dt) * self.matrix
        return Coordinates(np.linalg.solve(matrix, u.values), self.target)


def numerical_kit(rng: np.random.Generator, n: int, m: int) -> Kit:
    def square(k: int) -> Any:
        root = rng.normal(size=(k, k))
        return root @ root.T + np.eye(k)

    V, W = square(n), square(m)
    u, v, w = (Coordinates(rng.normal(size=n), V) for _ in "uvw")
    L, S = (MatrixMap(np.linalg.solve(V, square(n)), V, V) for _ in "LS")
    J, K = (MatrixMap(rng.normal(size=(len(X), n)), V, X) for X in (W, V))
    a, b = (sp.Float(x) for x in rng.uniform(0.2, 2, size=2))
    return Kit(V, W, u, v, w, Coordinates(rng.normal(size=m), W), L, S, J, K, a, b)


def sizes_of(value: Any) -> Iterator[float]:
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from sizes_of(entry)
    else:
        yield float(np.max(np.abs(value.values))) if isinstance(value, Coordinates) else abs(float(value))


@rows([row for row in VECTORS if row[2] is not None])
def test_the_truth_about_vectors_agrees_with_matrices(row: Any) -> None:
    """Of a random space, of any dimension, zero to rounding or not."""
    _, make, truth, _ = row
    rng = np.random.default_rng(16)
    worst = [max(sizes_of(make(numerical_kit(rng, n, m)))) for n, m in ((4, 3), (3, 4), (5, 2), (4, 5))]
    assert max(worst) < 1e-9 if truth else max(worst) > 1e-3


POINTS = [
    sp.Rational(*x) for x in ((3, 7), (-5, 3), (11, 4), (-2, 9), (0, 1), (2, 1), (-1, 1), (3, 1), (9, 1), (-4, 1))
]
COMPLEX = [*POINTS, sp.Rational(1, 3) + 2 * sp.I, -sp.Rational(7, 2) + 5 * sp.I / 3, -2 - 3 * sp.I, 4 * sp.I, -5 * sp.I]


def admissible(symbol: sp.Symbol) -> list[sp.Expr]:
    known = symbol.assumptions0
    numbers = COMPLEX if symbol.is_real is None else [*POINTS, sp.I, sp.pi, -sp.pi]
    return [x for x in numbers if all(getattr(x, f"is_{key}") is is_so for key, is_so in known.items())]


def largest_value(statement: sp.Expr) -> Any:
    """Return the largest modulus at eighteen points, computed with 150 digits by mpmath where it is defined."""
    rng = random.Random(16)
    symbols = sorted(statement.free_symbols, key=str)
    names = {symbol: sp.Dummy() for symbol in (*symbols, sp.I)}  # symbols may share a name, and Python would round i^i
    function = sp.lambdify(list(names.values()), statement.xreplace(names), modules="mpmath")
    numbers = {symbol: admissible(symbol) for symbol in symbols}
    largest = mpmath.mpf(0)
    for fit in numbers.values():
        rng.shuffle(fit)
    for k in range(18 if symbols and all(numbers.values()) else not symbols):
        point = [numbers[symbol][k % len(numbers[symbol])] for symbol in symbols]
        with mpmath.workdps(150):
            try:
                size = abs(function(*(mpmath.mpmathify(x.evalf(150)) for x in point), mpmath.mpc(0, 1)))
            except (ArithmeticError, ValueError, TypeError):
                continue
            largest = max(largest, size) if mpmath.isfinite(size) else largest
    return largest


SCALAR = [
    row
    for row in ZERO
    if row[2] is not None
    and isinstance(statement := statement_of(row[1]), sp.Expr)
    and statement.is_commutative
    and not statement.has(sp.Derivative, sp.Integral, sp.Sum, sp.Limit, AppliedUndef)
]


FAR_AWAY = (
    "zero for all small integers",
    "positive part of x - 10^9",
    "a piece that is far away",
    "a piece of one point",
)


@rows([row for row in SCALAR if row[0] not in FAR_AWAY])
def test_the_truth_agrees_with_numbers(row: Any) -> None:
    """Zero at all points, or not at one of them."""
    _, source, truth, _ = row
    largest = largest_value(statement_of(source))
    assert largest < 1e-60 if truth else largest > 1e-105


@pytest.mark.parametrize("wrong", [(x for x in (0,)), object(), {0}, {}, None, True])
def test_what_is_no_expression_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is_zero takes expressions"):
        is_zero(wrong)


@pytest.mark.parametrize("assumed", [{"zero": True}, {"integer": True}, {"commutative": False}, {"infinite": True}])
def test_what_cannot_tend_to_zero_is_refused(assumed: dict[str, bool]) -> None:
    dt = sp.Symbol("dt", **assumed)
    with pytest.raises(ValueError, match="can tend to 0"):
        is_small(dt**2, dt, 2)


def test_a_power_is_not_expanded_without_bound() -> None:
    x, y = sp.symbols("x y", real=True)
    for n in (10**6, -(10**6)):
        with pytest.raises(ValueError, match=r"too large|no point"):
            is_zero((x + 1) ** n * y - (x + 1) ** n * (y + 1) + (x + 1) ** n)
