"""The values by which identities are refuted: every enclosure holds the number that mpmath finds with more digits."""

import pytest

pytest.importorskip("sympy")

import mpmath
import sympy as sp

from gradflow.symbolic.enclosures import FUNCTIONS, Box, NoValue, contains_zero, precision, value

z = sp.Symbol("z")
Q = sp.Rational
REAL = (Q(1, 3), Q(-2, 5), Q(7, 3), Q(-9, 4), sp.Integer(2))
COMPLEX = tuple(Q(a, 7) + Q(b, 5) * sp.I for a, b in ((3, 4), (-9, 2), (-5, -8), (11, -3), (1, 12), (-2, -1)))
POWERS = [z**n for n in (-3, -1, 2, 5, Q(1, 2), Q(-1, 2), Q(1, 3), Q(-5, 3), Q(7, 4))]
OTHERS = [z**z, sp.pi**z, 2**z, 1 / (1 + z**2), (z + 1) * (z - sp.sqrt(2)) / z, sp.exp(z) / (3 + z) - sp.log(z)]
REAL_ONLY = (sp.floor, sp.ceiling, sp.Max, sp.Min)
REFUSED = (sp.atan, sp.atanh, sp.sign)  # their complex values are not known
ONE = [f(z) for f in FUNCTIONS if f not in (sp.Max, sp.Min)]


def number(x):
    """Return a SymPy number as one of mpmath."""
    return mpmath.mpc(*(mpmath.mpf(int(part.p)) / int(part.q) for part in x.as_real_imag()))


def holds(box, exact):
    """Return whether a box, or a rational number, is narrow and holds a number that is known to about 300 bits."""
    if not isinstance(box, Box):
        return abs(mpmath.mpf(int(box.numerator)) / int(box.denominator) - exact) < mpmath.mpf(2) ** -280
    slack = mpmath.mpf(2) ** -280 * (1 + abs(exact))
    for interval, part in ((box.re, exact.real), (box.im, exact.imag)):
        if interval is None:
            if abs(part) > slack:
                return False
            continue
        low, high = (mpmath.mpf(end) for end in (interval.a.a, interval.b.b))
        if not low - slack <= part <= high + slack or high - low > mpmath.mpf(2) ** -40 * (1 + abs(exact)):
            return False
    return True


def off_its_cuts(e, point):
    return not (point.is_real and e.func in (sp.asin, sp.acos, sp.acosh, sp.atanh))


@pytest.mark.parametrize("e", [*POWERS, *OTHERS, *ONE], ids=str)
def test_an_enclosure_holds_the_value(e):
    oracle = sp.lambdify(z, e, "mpmath")
    points = [p for p in (*REAL, *COMPLEX) if p.is_real or e.func not in REAL_ONLY]
    found = 0
    for point in points:
        with mpmath.workprec(300), precision(64):
            try:
                box = value(e, {z: point})
            except NoValue:
                assert e.func in REFUSED or not off_its_cuts(e, point), point
                continue
            exact = mpmath.mpmathify(oracle(number(point) if not point.is_real else number(point).real))
            assert holds(box, exact), (point, box, exact)
            assert contains_zero(box) or exact != 0
            found += 1
    assert found >= len(points) // 3


@pytest.mark.parametrize(("f", "oracle"), [(sp.Max, max), (sp.Min, min)])
def test_the_extremum_is_one_of_its_arguments(f, oracle):
    for point in REAL:
        with precision(64), mpmath.workprec(300):
            box = value(f(z, sp.sqrt(2), evaluate=False), {z: point})
            assert holds(box, mpmath.mpf(oracle(number(point).real, mpmath.sqrt(2))))


def test_what_has_no_value_is_refused():
    for e, point in (
        (1 / z, 0),
        (sp.log(z), 0),
        (z ** Q(-1, 2), 0),
        (sp.tan(z) / (z - z**1), 1),
        (1 / (z**2 - 2), sp.sqrt(2)),
    ):
        with pytest.raises(NoValue), precision(64):
            value(e, {z: sp.sympify(point)})
