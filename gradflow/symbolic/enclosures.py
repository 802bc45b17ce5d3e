"""Values of expressions that are exact, or known to lie in a box: what refutes an identity.

A point gives every symbol a number that has the properties that SymPy assumes of the symbol. `value` computes what an
expression is there: a rational number without error as long as all operations lead from rational numbers to rational
numbers, and otherwise an interval of real numbers, or a box of complex ones, with outward rounding. A box that does not
contain zero proves that the expression is not zero at that point. Roots, powers and logarithms have their principal
values; a box that meets a branch cut, or zero where a quotient needs another number, gives no value.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import sympy as sp
from sympy.core.function import AppliedUndef

__all__ = ["Box", "NoValue", "admissible", "contains_zero", "precision", "sample", "value"]

LIBMP: Any = import_module("mpmath.libmp")  # without types
IV: Any = import_module("mpmath.ctx_iv").MPIntervalContext()
EXACT: Any = sp.QQ.dtype
PROPERTIES = ("real", "positive", "negative", "zero", "integer", "rational", "imaginary", "even")


class NoValue(ValueError):
    """An expression is not defined at a point, or no enclosure of its value is known."""


class Box(NamedTuple):
    """A complex number whose real and imaginary parts lie in intervals."""

    re: Any
    """Interval of the real part."""
    im: Any
    """Interval of the imaginary part, None for a real number."""


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute enclosures with this many bits.

    Parameters
    ----------
    bits : int
        Of the ends of intervals.

    Yields
    ------
    None
        While the precision holds.
    """
    before, IV.prec = IV.prec, bits
    try:
        yield
    finally:
        IV.prec = before


def sample(symbol: sp.Symbol, attempt: int, rng: random.Random) -> sp.Expr | None:
    """Return a number that the symbol may be, or None if none is found.

    Parameters
    ----------
    symbol : Symbol
        Its assumptions say what it may be.
    attempt : int
        Even ones prefer positive rational numbers; odd ones take any sign, and every fourth a complex number if that is
        admissible.
    rng : random.Random
        Where the number is taken from.
    """
    size, whole = sp.Rational(rng.randint(1, 97), rng.randint(2, 89)), sp.Integer(rng.randint(2, 9))
    if attempt % 8 == 5:
        size, whole = size * 10**6, whole * rng.randint(10, 1000)
    sign = 1 if attempt % 2 == 0 else -1 if attempt % 8 in (1, 3) else rng.choice((1, -1))
    other = sp.Rational(rng.randint(1, 97), rng.randint(2, 89))
    real = [sign * size, -sign * size, sign * whole, -sign * whole, whole + 1]
    if attempt % 8 == 7:
        real = [*rng.sample([sp.Integer(0), sp.Integer(1), sp.Integer(-1), sp.Rational(1, 2)], 4), *real]
    numbers = (
        [size * sign + other * (1 if attempt % 8 == 3 else rng.choice((1, -1))) * sp.I] if attempt % 4 == 3 else []
    )
    for number in (*numbers, *real, sign * size * sp.I, sp.Integer(0)):
        if admissible(symbol, number):
            return number
    return None


def admissible(symbol: sp.Symbol, number: sp.Expr) -> bool:
    """Return True if the number has all properties that are assumed of the symbol.

    Parameters
    ----------
    symbol : Symbol
        Its assumptions are looked at.
    number : SymPy number
        What it may be.
    """
    return all(getattr(number, f"is_{key}") is known for key, known in symbol.assumptions0.items())


def contains_zero(x: Any) -> bool:
    """Return False if the exact or enclosed number is known to be other than zero.

    Parameters
    ----------
    x : rational number or Box
        A value, as `value` returns it.
    """
    if not isinstance(x, Box):
        return bool(x == 0)
    return 0 in x.re and (x.im is None or 0 in x.im)


def value(e: sp.Expr, at: Mapping[sp.Symbol, sp.Expr], known: dict[Any, Any] | None = None) -> Any:
    """Return the value of an expression at a point: an exact rational number, or a `Box`.

    Parameters
    ----------
    e : SymPy expression
        What is evaluated.
    at : dict
        Numbers by symbol.
    known : dict, optional
        Values of subexpressions at this point with this precision; filled.

    Raises
    ------
    NoValue
        If the expression is not defined there, or no enclosure is found.
    """
    known = {} if known is None else known
    found = known.get(e)
    if found is None:
        found = known[e] = _value(e, at, known)
    return found


def _value(e: Any, at: Mapping[sp.Symbol, sp.Expr], known: dict[Any, Any]) -> Any:
    if e.is_Rational:
        return EXACT(e.p, e.q)
    if e.is_Symbol:
        if e not in at:
            raise NoValue(f"no number is known for {e}")
        return value(at[e], {}, known)
    if e.is_Add:
        total = value(e.args[0], at, known)
        for x in e.args[1:]:
            total = _sum(total, value(x, at, known))
        return total
    if e.is_Mul:
        total = value(e.args[0], at, known)
        for x in e.args[1:]:
            total = _product(total, value(x, at, known))
        return total
    if e.is_Pow:
        return _power(value(e.base, at, known), e.exp, at, known)
    if e in CONSTANTS:
        return CONSTANTS[e]()
    if isinstance(e, sp.Piecewise):
        for branch, condition in e.args:
            if _holds(condition, at, known):
                return value(branch, at, known)
        raise NoValue(f"no case of {e} applies")
    if isinstance(e, AppliedUndef):
        arguments = [value(x, at, known) for x in e.args]
        if any(isinstance(x, Box) for x in arguments):
            raise NoValue(f"the arguments of {e} are not rational numbers")
        rng = random.Random(repr((e.func.__name__, arguments)))  # any function is admissible: this is one
        number = sp.Rational(rng.randint(-97, 97), rng.randint(1, 89))
        if not all(getattr(e, f"is_{key}") in (None, getattr(number, f"is_{key}")) for key in PROPERTIES):
            raise NoValue(f"no number is known for {e}")
        return value(number, {}, known)
    if type(e) not in FUNCTIONS:
        raise NoValue(f"the function {type(e).__name__} is not known")
    return FUNCTIONS[type(e)](*(value(x, at, known) for x in e.args))


def _boxed(x: Any) -> Box:
    if isinstance(x, Box):
        return x
    return Box(IV.mpf(int(x.numerator)) / int(x.denominator), None)


def _widened(x: Any) -> Any:
    """Return the interval with a margin for functions whose last bit the interval arithmetic does not guarantee."""
    size = max(abs(x.a), abs(x.b)) * IV.mpf(2) ** (6 - IV.prec)
    return x + IV.mpf([-1, 1]) * size


def _sum(x: Any, y: Any) -> Any:
    if not isinstance(x, Box) and not isinstance(y, Box):
        return x + y
    x, y = _boxed(x), _boxed(y)
    im = y.im if x.im is None else x.im if y.im is None else x.im + y.im
    return Box(x.re + y.re, im)


def _product(x: Any, y: Any) -> Any:
    if not isinstance(x, Box) and not isinstance(y, Box):
        return x * y
    for factor in (x, y):
        if not isinstance(factor, Box) and factor == 0:
            return factor
    x, y = _boxed(x), _boxed(y)
    if x.im is None and y.im is None:
        return Box(x.re * y.re, None)
    if x.im is None or y.im is None:
        real, z = (x.re, y) if x.im is None else (y.re, x)
        return Box(real * z.re, real * z.im)
    return Box(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re)


def _reciprocal(x: Any) -> Any:
    if contains_zero(x):
        raise NoValue("a denominator vanishes, or may vanish")
    if not isinstance(x, Box):
        return 1 / x
    if x.im is None:
        return Box(1 / x.re, None)
    square = x.re**2 + x.im**2
    if 0 in square:
        raise NoValue("a denominator may vanish")
    return Box(x.re / square, -x.im / square)


def _integer_power(x: Any, n: int) -> Any:
    if n < 0:
        return _integer_power(_reciprocal(x), -n)
    if not isinstance(x, Box):
        return x**n
    if x.im is None:
        return Box(x.re**n, None)
    result: Any = EXACT(1)
    while n:
        if n % 2:
            result = _product(result, x)
        x, n = _product(x, x), n // 2
    return result


def _power(base: Any, exponent: Any, at: Mapping[sp.Symbol, sp.Expr], known: dict[Any, Any]) -> Any:
    if exponent.is_Integer:
        if abs(int(exponent)) > 10**4:
            raise NoValue("an exponent is too large")
        return _integer_power(base, int(exponent))
    if exponent.is_Rational:
        if not isinstance(base, Box) and base == 0:
            if exponent > 0:
                return base
            raise NoValue("a denominator vanishes")
        if not isinstance(base, Box) and base > 0:
            p, q = (sp.integer_nthroot(int(k), int(exponent.q)) for k in (base.numerator, base.denominator))
            if p[1] and q[1]:
                return _integer_power(EXACT(p[0], q[0]), int(exponent.p))
        if exponent.q == 2:
            x = _boxed(base)
            if x.im is None and x.re.a >= 0:
                return _integer_power(Box(IV.sqrt(x.re), None), int(exponent.p))
            if x.im is None and x.re.b < 0:
                return _integer_power(Box(IV.mpf(0), IV.sqrt(-x.re)), int(exponent.p))
    power = value(exponent, at, known)
    if not isinstance(power, Box) and power.denominator == 1 and abs(power.numerator) < 1000:
        return _integer_power(base, int(power.numerator))
    if not isinstance(base, Box) and base == 0:
        raise NoValue("a power of zero")
    return _exp(_product(power, _log(base)))


def _exp(x: Any) -> Any:
    if not isinstance(x, Box) and x == 0:
        return EXACT(1)
    x = _boxed(x)
    if max(abs(x.re.a), abs(x.re.b)) > 10**6:
        raise NoValue("an exponential is too large")
    size = _widened(IV.exp(x.re))
    if x.im is None:
        return Box(size, None)
    return Box(size * _circular(IV.cos, x.im), size * _circular(IV.sin, x.im))


def _circular(function: Any, x: Any) -> Any:
    return function(x) + IV.mpf([-1, 1]) * IV.mpf(2) ** (6 - IV.prec)


def _log(x: Any) -> Any:
    if not isinstance(x, Box) and x == 1:
        return EXACT(0)
    if contains_zero(x):
        raise NoValue("the logarithm of zero, or of what may be zero")
    x = _boxed(x)
    if x.im is None:
        if x.re.a > 0:
            return Box(_widened(IV.log(x.re)), None)
        return Box(_widened(IV.log(-x.re)), _pi())
    square = x.re**2 + x.im**2
    if 0 in square:
        raise NoValue("the logarithm of what may be zero")
    return Box(_widened(IV.log(square) / 2), _argument(x))


def _pi() -> Any:
    return _widened(IV.mpf(IV.pi))


def _argument(x: Box) -> Any:
    """Return an enclosure of the argument of a number that is not zero and has an imaginary part."""
    if x.im.a > 0:
        return _pi() / 2 - _arctan(x.re / x.im)
    if x.im.b < 0:
        return -_pi() / 2 - _arctan(x.re / x.im)
    if x.re.a > 0:
        return _arctan(x.im / x.re)
    raise NoValue("a branch cut")


def _arctan(x: Any) -> Any:
    """Return an enclosure: arctan is increasing, and computed to a relative error below the margin at both ends."""
    low, high = x._mpi_
    ends = IV.make_mpf(
        (LIBMP.mpf_atan(low, IV.prec, LIBMP.round_floor), LIBMP.mpf_atan(high, IV.prec, LIBMP.round_ceiling))
    )
    return _widened(ends)


def _real_function(name: str) -> Any:
    def function(x: Any) -> Any:
        if not isinstance(x, Box) and x == 0:
            return EXACT(0 if name == "sin" else 1)
        x = _boxed(x)
        if x.im is None:
            return Box(_circular(getattr(IV, name), x.re), None)
        turn = _product(Box(IV.mpf(0), IV.mpf(1)), x)
        back = _product(EXACT(-1), turn)
        if name == "cos":
            return _product(EXACT(1, 2), _sum(_exp(turn), _exp(back)))
        difference = _sum(_exp(turn), _product(EXACT(-1), _exp(back)))
        return _product(Box(IV.mpf(0), -IV.mpf(1) / 2), difference)

    return function


_cos, _sin = _real_function("cos"), _real_function("sin")


def _hyperbolic(sign: int) -> Any:
    def function(x: Any) -> Any:
        back = _exp(_product(EXACT(-1), x))
        return _product(EXACT(1, 2), _sum(_exp(x), _product(EXACT(sign), back)))

    return function


_cosh, _sinh = _hyperbolic(1), _hyperbolic(-1)


def _quotient(top: Any, bottom: Any) -> Any:
    return lambda x: _product(top(x), _reciprocal(bottom(x)))


def _atan(x: Any) -> Any:
    x = _boxed(x)
    if x.im is not None:
        raise NoValue("the arc tangent of a complex number is not known")
    return Box(_arctan(x.re), None)


def _minus(x: Any) -> Any:
    return _product(EXACT(-1), x)


def _times_i(x: Any) -> Any:
    return _product(Box(IV.mpf(0), IV.mpf(1)), x)


def _root_of(x: Any) -> Any:
    return _power(x, sp.Rational(1, 2), {}, {})


def _asin(x: Any) -> Any:
    """Return -i log(i x + sqrt(1 - x^2))."""
    return _minus(_times_i(_log(_sum(_times_i(x), _root_of(_sum(EXACT(1), _minus(_product(x, x))))))))


def _acos(x: Any) -> Any:
    return _sum(Box(_pi() / 2, None), _minus(_asin(x)))


def _asinh(x: Any) -> Any:
    return _log(_sum(x, _root_of(_sum(_product(x, x), EXACT(1)))))


def _acosh(x: Any) -> Any:
    return _log(_sum(x, _product(_root_of(_sum(x, EXACT(1))), _root_of(_sum(x, EXACT(-1))))))


def _atanh(x: Any) -> Any:
    return _product(EXACT(1, 2), _sum(_log(_sum(EXACT(1), x)), _minus(_log(_sum(EXACT(1), _minus(x))))))


def _floor(x: Any) -> Any:
    if isinstance(x, Box):
        raise NoValue("the integer part of a number that is not rational")
    return EXACT(x.numerator // x.denominator)


def _abs(x: Any) -> Any:
    if not isinstance(x, Box):
        return abs(x)
    if x.im is None:
        return Box(abs(x.re), None)
    return Box(IV.sqrt(x.re**2 + x.im**2), None)


def _sign(x: Any) -> Any:
    x_box = _boxed(x)
    if x_box.im is None and not contains_zero(x):
        return EXACT(1 if x_box.re.a > 0 else -1)
    if not isinstance(x, Box):
        return EXACT(0)
    raise NoValue("a sign is not known")


def _extremum(sign: int) -> Any:
    def function(*values: Any) -> Any:
        best = values[0]
        for x in values[1:]:
            order = _sign(_sum(x, _product(EXACT(-1), best)))
            best = x if order * sign > 0 else best
        return best

    return function


def _real_part(x: Any) -> Any:
    return Box(x.re, None) if isinstance(x, Box) else x


def _imaginary_part(x: Any) -> Any:
    return Box(x.im, None) if isinstance(x, Box) and x.im is not None else EXACT(0)


def _conjugate(x: Any) -> Any:
    return Box(x.re, -x.im) if isinstance(x, Box) and x.im is not None else x


CONSTANTS: dict[Any, Any] = {
    sp.pi: lambda: Box(_pi(), None),
    sp.E: lambda: _exp(EXACT(1)),
    sp.I: lambda: Box(IV.mpf(0), IV.mpf(1)),
    sp.GoldenRatio: lambda: Box((1 + IV.sqrt(IV.mpf(5))) / 2, None),
}
FUNCTIONS: dict[Any, Any] = {
    sp.exp: _exp,
    sp.log: _log,
    sp.cos: _cos,
    sp.sin: _sin,
    sp.tan: _quotient(_sin, _cos),
    sp.cot: _quotient(_cos, _sin),
    sp.sec: lambda x: _reciprocal(_cos(x)),
    sp.csc: lambda x: _reciprocal(_sin(x)),
    sp.cosh: _cosh,
    sp.sinh: _sinh,
    sp.tanh: _quotient(_sinh, _cosh),
    sp.coth: _quotient(_cosh, _sinh),
    sp.sech: lambda x: _reciprocal(_cosh(x)),
    sp.csch: lambda x: _reciprocal(_sinh(x)),
    sp.atan: _atan,
    sp.asin: _asin,
    sp.acos: _acos,
    sp.asinh: _asinh,
    sp.acosh: _acosh,
    sp.atanh: _atanh,
    sp.floor: _floor,
    sp.ceiling: lambda x: _minus(_floor(_minus(x))),
    sp.Abs: _abs,
    sp.sign: _sign,
    sp.Max: _extremum(1),
    sp.Min: _extremum(-1),
    sp.re: _real_part,
    sp.im: _imaginary_part,
    sp.conjugate: _conjugate,
}


def _holds(condition: Any, at: Mapping[sp.Symbol, sp.Expr], known: dict[Any, Any]) -> bool:
    if condition in (sp.true, sp.false):
        return bool(condition)
    if isinstance(condition, sp.Not):
        return not _holds(condition.args[0], at, known)
    if isinstance(condition, sp.And):
        return all(_holds(x, at, known) for x in condition.args)
    if isinstance(condition, sp.Or):
        return any(_holds(x, at, known) for x in condition.args)
    if isinstance(condition, sp.Rel):
        difference = _sum(value(condition.lhs, at, known), _product(EXACT(-1), value(condition.rhs, at, known)))
        if isinstance(condition, (sp.Eq, sp.Ne)) and not contains_zero(difference):
            return isinstance(condition, sp.Ne)
        order = _sign(difference)
        return bool(condition.func(sp.Integer(int(order)), 0))
    raise NoValue(f"the condition {condition} is not known")
