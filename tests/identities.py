r"""Statements with their truth, by which `is_zero`, `is_small` and `follows` are judged.

A row is ``(name, statement, truth, duty)``. The statement is a text that Python evaluates in `SYMBOLS`, or a function
without arguments. What the truth of a row of `ZERO` means:

- True: zero for every admissible value of the symbols for which the expression is defined, and defined for some. A
  value is admissible if it agrees with SymPy's assumptions about the symbol; a symbol without assumptions is a complex
  number. Roots, powers and logarithms have their principal values, floats the binary number that is stored.
- False: other than zero for some admissible value for which it is defined.
- None: meaningless (a denominator that vanishes identically, no number, nothing at all).

The duty says whether the procedure has to decide (`DECIDE`), may leave the row undecided (`MAY_REFUSE`), or has to
refuse with a sentence (`REFUSE`). A wrong answer is never allowed.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from gradflow.symbolic import Map, Space

DECIDE, MAY_REFUSE, REFUSE = "decide", "may refuse", "must refuse"

SYMBOLS: dict[str, Any] = {name: getattr(sp, name) for name in sp.__all__ if not name.startswith("_")}
SYMBOLS |= {"np": np, "Fraction": Fraction, "Q": sp.Rational, "isqrt": math.isqrt, "nan": sp.nan}
for _names, _signs in (
    ("z w u z1 z2 z3 z4 w1 w2 w3 w4", {}),
    ("x y s t x1 x2 x3 y1 y2 y3", {"real": True}),
    ("a b c d", {"positive": True}),
    ("neg", {"negative": True}),
    ("p q", {"nonnegative": True}),
    ("npos", {"nonpositive": True}),
    ("j k", {"integer": True}),
    ("n m", {"integer": True, "nonnegative": True}),
    ("ev", {"even": True}),
    ("od", {"odd": True}),
    ("ze", {"zero": True}),
    ("nz", {"nonzero": True}),
    ("im_", {"imaginary": True}),
    ("inf", {"finite": False}),
    ("dt", {"positive": True}),
    ("ra", {"rational": True}),
    ("ir", {"irrational": True}),
    ("pr", {"prime": True}),
    ("cz", {"complex": True, "zero": False}),
    ("A B C D", {"commutative": False}),
):
    SYMBOLS |= {name: sp.Symbol(name, **_signs) for name in _names.split()}
SYMBOLS |= {name: sp.Function(name) for name in ["f", "g", "h"]}
# Four expressions that vanish identically, without SymPy's seeing it when it makes them.
SYMBOLS |= {
    name: eval(text, SYMBOLS)
    for name, text in {
        "hidden_1": "sqrt(a**2 + 2*a + 1) - a - 1",
        "hidden_2": "sqrt(b**2 + 4*b + 4) - b - 2",
        "hidden_3": "log(a*b) - log(a) - log(b)",
        "hidden_4": "sin(x)**2 + cos(x)**2 - 1",
        "hidden_5": "(exp(x) - 1) - (exp(x/2) - 1)*(exp(x/2) + 1)",
        "hidden_6": "sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)",
    }.items()
}


def _lagrange(sign: int) -> Any:
    """Lagrange: |u|^2 |v|^2 - (u, v)^2 is the sum of the squares of the minors; in four dimensions."""
    u, v = (sp.symbols(f"{letter}1:5") for letter in "uv")
    minors = [u[i] * v[j] + sign * u[j] * v[i] for i, j in combinations(range(4), 2)]
    return (
        sum(x**2 for x in u) * sum(y**2 for y in v)
        - sum(x * y for x, y in zip(u, v, strict=True)) ** 2
        - sum(m**2 for m in minors)
    )


def _cauchy_binet(last: int) -> Any:
    """Cauchy-Binet for 2 x 4 matrices: det(M N^T) is the sum of the products of the six minors."""
    M, N = (sp.Matrix(2, 4, sp.symbols(f"{letter}1:9")) for letter in "MN")
    pairs = list(combinations(range(4), 2))[:last]
    return (M * N.T).det() - sum(M[:, list(J)].det() * N[:, list(J)].det() for J in pairs)


def _euler_four_squares(sign: int) -> Any:
    (p1, p2, p3, p4), (q1, q2, q3, q4) = (sp.symbols(f"{letter}1:5") for letter in "pq")
    squares = (
        (p1 * q1 + p2 * q2 + p3 * q3 + p4 * q4) ** 2
        + (p1 * q2 - p2 * q1 + p3 * q4 - p4 * q3) ** 2
        + (p1 * q3 - p2 * q4 - p3 * q1 + sign * p4 * q2) ** 2
        + (p1 * q4 + p2 * q3 - p3 * q2 - p4 * q1) ** 2
    )
    return (p1**2 + p2**2 + p3**2 + p4**2) * (q1**2 + q2**2 + q3**2 + q4**2) - squares


def _vandermonde(sign: int) -> Any:
    z = sp.symbols("z1:5")
    product = sp.Mul(*(z[j] - z[i] for i, j in combinations(range(4), 2)))
    return sp.Matrix(4, 4, lambda i, j: z[i] ** j).det() - sign * product


def _alternating_roots(start: int, order: int) -> Any:
    """A difference of order m of the square root at integers: about N^(1/2 - m), and never zero (the root is no
    polynomial; its differences of order m have the sign of its m-th derivative).
    """
    return sp.Add(*((-1) ** i * sp.binomial(order, i) * sp.sqrt(start + i) for i in range(order + 1)))


def _double_zero(x: Any) -> Any:
    t = sp.sqrt(x**2 + 1)
    return sp.sqrt(x**2 + (t - 1) ** 2) - x * sp.sqrt(2 * t / (t + 1))


SYMBOLS |= {"double_zero": _double_zero}

ZERO: list[tuple[str, Any, bool | None, str]] = [
    # Rational functions.
    ("square of a sum", "(x + y)**2 - x**2 - 2*x*y - y**2", True, DECIDE),
    ("square of a sum, cross term lost", "(x + y)**2 - x**2 - y**2", False, DECIDE),
    ("partial fractions", "1/(z - 1) - 1/(z + 1) - 2/(z**2 - 1)", True, DECIDE),
    ("removable singularity", "(z**2 - 1)/(z - 1) - z - 1", True, DECIDE),
    ("removable singularity, wrong sign", "(z**2 - 1)/(z - 1) - z + 1", False, DECIDE),
    ("difference quotient of a cube", "(z**3 - w**3)/(z - w) - z**2 - z*w - w**2", True, DECIDE),
    ("a constant", "(x + 1)**2 - x**2 - 2*x", False, DECIDE),
    ("Brahmagupta", "(z1**2 + z2**2)*(w1**2 + w2**2) - (z1*w1 - z2*w2)**2 - (z1*w2 + z2*w1)**2", True, DECIDE),
    ("Brahmagupta, wrong", "(z1**2 + z2**2)*(w1**2 + w2**2) - (z1*w1 - z2*w2)**2 - (z1*w2 - z2*w1)**2", False, DECIDE),
    ("Lagrange", lambda: _lagrange(-1), True, DECIDE),
    ("Lagrange, wrong", lambda: _lagrange(1), False, DECIDE),
    ("Cauchy-Binet", lambda: _cauchy_binet(6), True, DECIDE),
    ("Cauchy-Binet, a minor lost", lambda: _cauchy_binet(5), False, DECIDE),
    ("Euler's four squares", lambda: _euler_four_squares(1), True, DECIDE),
    ("Euler's four squares, one sign wrong", lambda: _euler_four_squares(-1), False, DECIDE),
    ("Vandermonde", lambda: _vandermonde(1), True, DECIDE),
    ("Vandermonde, wrong", lambda: _vandermonde(-1), False, DECIDE),
    ("zero at the integers up to 30", "Mul(*(z - i for i in range(-30, 31)))", False, DECIDE),
    ("zero at many fractions", "Mul(*(x - v for v in {Q(i, l) for i in range(-9, 10) for l in range(1, 8)}))", False, DECIDE),
    ("zero at all integers mod 97", "z**97 - z", False, DECIDE),
    ("Frobenius", "(z + w)**7 - z**7 - w**7", False, DECIDE),
    ("binomial theorem of degree 40", "(1 + z)**40 - Add(*(binomial(40, i)*z**i for i in range(41)))", True, DECIDE),
    ("the same but 1e-80 z^20", "(1 + z)**40 - Add(*(binomial(40, i)*z**i for i in range(41))) + z**20/10**80", False, DECIDE),
    ("1 + 1e-100 is not 1", "Q(10**100 + 1, 10**100) - 1", False, DECIDE),
    ("(1 + 1e-100) x is not x", "x*Q(10**100 + 1, 10**100) - x*(x + 1)/(x + 1)", False, DECIDE),
    ("two symbols of one name", "Symbol('x', positive=True) - x", False, DECIDE),
    ("a dummy of the same name", "Dummy('x', real=True) - x", False, DECIDE),
    # Roots of numbers.
    ("sqrt(3 + 2 sqrt 2)", "sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)", True, DECIDE),
    ("sqrt(3 - 2 sqrt 2)", "sqrt(3 - 2*sqrt(2)) - sqrt(2) + 1", True, DECIDE),
    ("sqrt(3 - 2 sqrt 2), the other root", "sqrt(3 - 2*sqrt(2)) + sqrt(2) - 1", False, DECIDE),
    ("sqrt 2 sqrt 3 z", "sqrt(2)*(sqrt(3)*z + 1) - sqrt(6)*z - sqrt(2)", True, DECIDE),
    ("sqrt(5 + 2 sqrt 6)", "sqrt(5 + 2*sqrt(6)) - sqrt(2) - sqrt(3)", True, DECIDE),
    ("(sqrt 2 + sqrt 3)^2", "(sqrt(2) + sqrt(3))**2 - 5 - 2*sqrt(6)", True, DECIDE),
    ("1/(sqrt 2 + sqrt 3)", "1/(sqrt(2) + sqrt(3)) - sqrt(3) + sqrt(2)", True, DECIDE),
    ("1/(1 + sqrt 2 + sqrt 3)", "1/(1 + sqrt(2) + sqrt(3)) - (2 + sqrt(2) - sqrt(6))/4", True, DECIDE),
    ("sqrt(-2) sqrt(-3)", "sqrt(-2)*sqrt(-3) - sqrt(6)", False, DECIDE),
    ("cube root of -8 is not -2", "cbrt(-8) + 2", False, DECIDE),
    ("cube root of -8", "cbrt(-8) - 1 - sqrt(3)*I", True, MAY_REFUSE),
    # The cube is 2 + sqrt 5 for (1 + sqrt 5)/2, sqrt 5 - 2 for (sqrt 5 - 1)/2.
    ("golden cube roots", "cbrt(sqrt(5) + 2) - cbrt(sqrt(5) - 2) - 1", True, MAY_REFUSE),
    ("golden cube roots, principal value", "cbrt(2 + sqrt(5)) + cbrt(2 - sqrt(5)) - 1", False, DECIDE),
    ("Ramanujan, cube roots", "cbrt(cbrt(2) - 1) - cbrt(Q(1, 9)) + cbrt(Q(2, 9)) - cbrt(Q(4, 9))", True, MAY_REFUSE),
    ("Ramanujan, a square root", "sqrt(cbrt(5) - cbrt(4)) - (cbrt(2) + cbrt(20) - cbrt(25))/3", True, MAY_REFUSE),
    ("Ramanujan, wrong sign", "sqrt(cbrt(5) - cbrt(4)) - (cbrt(2) - cbrt(20) + cbrt(25))/3", False, DECIDE),
    # Shanks 1974; both sides squared.
    ("Shanks", "sqrt(5) + sqrt(22 + 2*sqrt(5)) - sqrt(11 + 2*sqrt(29)) - sqrt(16 - 2*sqrt(29) + 2*sqrt(55 - 10*sqrt(29)))",
     True, MAY_REFUSE),
    ("roots of unity", "Add(*((-1)**Q(2*i, 7) for i in range(7)))", True, MAY_REFUSE),
    ("roots of unity, one lost", "Add(*((-1)**Q(2*i, 7) for i in range(6)))", False, DECIDE),
    ("cosines of sevenths", "cos(pi/7) - cos(2*pi/7) + cos(3*pi/7) - Q(1, 2)", True, MAY_REFUSE),
    ("golden ratio", "GoldenRatio**2 - GoldenRatio - 1", True, MAY_REFUSE),
    ("difference of roots, 1e-21", lambda: _alternating_roots(10**6, 4), False, DECIDE),
    ("difference of roots, 1e-45", lambda: _alternating_roots(10**6, 8), False, MAY_REFUSE),
    ("difference of roots, 1e-95", lambda: _alternating_roots(10**12, 8), False, MAY_REFUSE),
    ("sqrt 2 to 30 digits", "sqrt(2) - Q(isqrt(2*10**60), 10**30)", False, DECIDE),
    ("sqrt 2 to 80 digits", "sqrt(2) - Q(isqrt(2*10**160), 10**80)", False, MAY_REFUSE),
    # Other constants.
    ("Ramanujan's constant", "exp(pi*sqrt(163)) - 262537412640768744", False, DECIDE),
    ("355/113", "pi - Q(355, 113)", False, DECIDE),
    ("cos 355", "cos(355) + 1", False, DECIDE),
    ("pi to 30 digits", "pi - Q(3141592653589793238462643383279, 10**30)", False, DECIDE),
    ("e^pi - pi", "exp(pi) - pi - 20", False, DECIDE),
    ("log 6", "log(6) - log(2) - log(3)", True, DECIDE),
    ("log 8", "log(8) - 3*log(2)", True, DECIDE),
    ("log 3/2", "log(Q(3, 2)) - log(3) + log(2)", True, DECIDE),
    ("log sqrt 2", "log(sqrt(2)) - log(2)/2", True, DECIDE),
    ("log 5 - log 4", "log(5) - log(4) - log(Q(6, 5))", False, DECIDE),
    ("Machin", "4*atan(Q(1, 5)) - atan(Q(1, 239)) - pi/4", True, MAY_REFUSE),
    ("Machin, wrong", "4*atan(Q(1, 5)) - atan(Q(1, 240)) - pi/4", False, DECIDE),
    ("1/10^80", "Q(1, 10**80)", False, DECIDE),
    ("the float 0.1 + 0.2 - 0.3", "0.1 + 0.2 - 0.3", False, DECIDE),
    ("the float 0.1 x + 0.2 x - 0.3 x", "Float(0.1)*x + Float(0.2)*x - Float(0.3)*x", False, DECIDE),
    ("the float 0.25 x", "0.25*x + 0.5*x - Q(3, 4)*x*(x + 1)/(x + 1)", True, DECIDE),
    # Roots of symbols.
    ("sqrt(a^2 + 2a + 1), a > 0", "hidden_1", True, DECIDE),
    ("sqrt(x^2 + 2x + 1), x real", "sqrt(x**2 + 2*x + 1) - x - 1", False, DECIDE),
    ("sqrt(x^2 + 2x + 1), absolute value", "sqrt(x**2 + 2*x + 1) - Abs(x + 1)", True, DECIDE),
    ("sqrt(z^2) is not z", "sqrt(z**2) - z", False, DECIDE),
    ("sqrt(z^2) is not |z|", "sqrt(z**2) - Abs(z)", False, DECIDE),
    ("sqrt(x^2) is not x", "sqrt(x**2) - x", False, DECIDE),
    ("sqrt(x^2) is |x|", "sqrt(x**2) - Abs(x)", True, DECIDE),
    ("sqrt(z w), complex", "sqrt(z*w) - sqrt(z)*sqrt(w)", False, DECIDE),
    ("sqrt(x y), real", "sqrt(x*y) - sqrt(x)*sqrt(y)", False, DECIDE),
    ("sqrt(a b), positive", "sqrt(a*b) - sqrt(a)*sqrt(b)", True, DECIDE),
    ("sqrt(a (b + c))", "sqrt(a*b + a*c) - sqrt(a)*sqrt(b + c)", True, DECIDE),
    ("sqrt(1/z), z = -1", "sqrt(1/z) - 1/sqrt(z)", False, DECIDE),
    ("sqrt(1/a)", "sqrt(1/a) - 1/sqrt(a)", True, DECIDE),
    ("sqrt(z^2 - 1)", "sqrt(z**2 - 1) - sqrt(z - 1)*sqrt(z + 1)", False, DECIDE),
    # The arguments of 1 - z and 1 + z have different signs, or one is 0: their sum is in (-pi, pi].
    ("sqrt(1 - z^2)", "sqrt(1 - z**2) - sqrt(1 - z)*sqrt(1 + z)", True, MAY_REFUSE),
    ("sqrt(z^3)", "sqrt(z**3) - z*sqrt(z)", False, DECIDE),
    ("sqrt(z^4)", "sqrt(z**4) - z**2", False, DECIDE),
    ("third binomial formula", "(sqrt(z) + sqrt(w))*(sqrt(z) - sqrt(w)) - z + w", True, DECIDE),
    ("rational denominator", "1/(sqrt(a) + sqrt(b)) - (sqrt(a) - sqrt(b))/(a - b)", True, DECIDE),
    ("rational denominator, wrong", "1/(sqrt(a) + sqrt(b)) - (sqrt(a) + sqrt(b))/(a - b)", False, DECIDE),
    ("nested root, squared", "(sqrt(z + sqrt(w)) + 1)*(sqrt(z + sqrt(w)) - 1) - z - sqrt(w) + 1", True, DECIDE),
    ("sqrt(a + b + 2 sqrt(a b))", "sqrt(a + b + 2*sqrt(a*b)) - sqrt(a) - sqrt(b)", True, MAY_REFUSE),
    ("sqrt(a + b - 2 sqrt(a b))", "sqrt(a + b - 2*sqrt(a*b)) - sqrt(a) + sqrt(b)", False, DECIDE),
    ("cube root of x^3, x real", "cbrt(x**3) - x", False, DECIDE),
    ("sum of cubes, a and b > 0", "(cbrt(a) + cbrt(b))*(cbrt(a)**2 - cbrt(a*b) + cbrt(b)**2) - a - b", True, DECIDE),
    ("sum of cubes, x and y real", "(cbrt(x) + cbrt(y))*(cbrt(x)**2 - cbrt(x*y) + cbrt(y)**2) - x - y", False, DECIDE),
    ("sum of cubes, complex", "(cbrt(z) + cbrt(w))*(cbrt(z)**2 - cbrt(z)*cbrt(w) + cbrt(w)**2) - z - w", True, DECIDE),
    ("power 5/2", "(z + 1)**Q(5, 2) - (z**2 + 2*z + 1)*sqrt(z + 1)", True, DECIDE),
    ("sqrt of a power 4/3", "sqrt(z**Q(4, 3)) - z**Q(2, 3)", False, DECIDE),
    ("sqrt(-z)", "sqrt(-z) - I*sqrt(z)", False, DECIDE),
    ("root of a negative number", "sqrt(neg) - I*sqrt(-neg)", True, DECIDE),
    ("root of a negative square", "sqrt(neg**2*(a + 1)**2) + neg*(a + 1)", True, DECIDE),
    ("root of a negative square, wrong", "sqrt(neg**2*(a + 1)**2) - neg*(a + 1)", False, DECIDE),
    ("root of a square, nonpositive", "sqrt(npos**2) + npos", True, DECIDE),
    ("root of a difference squared", "sqrt(x**2 - 2*x*y + y**2) - Abs(x - y)", True, DECIDE),
    ("hypotenuse", "sqrt(x**2 + y**2) - Abs(x) - Abs(y)", False, DECIDE),
    ("conjugate of a root", "(sqrt(1 + x**2) + x)*(sqrt(1 + x**2) - x) - 1", True, DECIDE),
    ("removable, roots", "(sqrt(a) - 1)/(a - 1) - 1/(sqrt(a) + 1)", True, DECIDE),
    ("sign by a root", "sqrt(x**2 + 2*x + 1)/(x + 1) - 1", False, DECIDE),
    # Exponentials and logarithms.
    ("sqrt(exp(2 u)), u = i pi", "sqrt(exp(2*u)) - exp(u)", False, DECIDE),
    ("sqrt(exp(2 x)), x real", "sqrt(exp(2*x)) - exp(x)", True, DECIDE),
    ("exp(x/2) and exp(x)", "(exp(x) - 1)/(exp(x/2) - 1) - exp(x/2) - 1", True, DECIDE),
    ("exp(z/2), exp(z/3)", "exp(z/2) - exp(z/3) - exp(z/3)*(exp(z/6) - 1)", True, DECIDE),
    ("exp(z/2), exp(z/3), wrong", "exp(z/2) - exp(z/3) - exp(z/3)*(exp(z/5) - 1)", False, DECIDE),
    ("exp(z + w)", "(exp(z + w) - 1) - (exp(z) - 1)*(exp(w) - 1) - (exp(z) - 1) - (exp(w) - 1)", True, DECIDE),
    ("exp(z)^w", "exp(z*w) - exp(z)**w", False, DECIDE),
    ("exp(2 log z)", "exp(2*log(z)) - z**2", True, DECIDE),
    ("exp(log(z)/2)", "exp(log(z)/2) - sqrt(z)", True, DECIDE),
    ("log(exp z)", "log(exp(z)) - z", False, DECIDE),
    ("log(a b), positive", "log(a*b) - log(a) - log(b)", True, DECIDE),
    ("log(z w), complex", "log(z*w) - log(z) - log(w)", False, DECIDE),
    ("log(x y), real", "log(x*y) - log(x) - log(y)", False, DECIDE),
    ("log(a/b)", "log(a/b) - log(a) + log(b)", True, DECIDE),
    ("log(a^3 sqrt b)", "log(a**3*sqrt(b)) - 3*log(a) - log(b)/2", True, DECIDE),
    ("log(a^2 + 2 a b + b^2)", "log(a**2 + 2*a*b + b**2) - 2*log(a + b)", True, DECIDE),
    ("log(z^2)", "log(z**2) - 2*log(z)", False, DECIDE),
    ("log(x^2), x real", "log(x**2) - 2*log(x)", False, DECIDE),
    ("log(x^2), absolute value", "log(x**2) - 2*log(Abs(x))", True, MAY_REFUSE),
    ("log(1/z), z = -1", "log(1/z) + log(z)", False, DECIDE),
    ("log(a + b)", "log(a + b) - log(a) - log(b)", False, DECIDE),
    ("powers with a symbolic exponent", "(z**x)**y - z**(x*y)", False, DECIDE),
    ("a^x a^y", "(a**x + 1)*(a**y + 1) - a**(x + y) - a**x - a**y - 1", True, DECIDE),
    ("(z w)^t", "z**t*w**t - (z*w)**t", False, DECIDE),
    ("(a b)^t", "a**t*b**t - (a*b)**t", True, DECIDE),
    ("2^(x + 1)", "2**(x + 1) - 2*2**x", True, DECIDE),
    ("6^x", "6**x - 2**x*3**x", True, MAY_REFUSE),
    ("Taylor polynomial", "exp(x) - 1 - x - x**2/2", False, DECIDE),
    # Powers whose exponents are symbols, and integers.
    ("(x^2)^t", "(x**2)**t - x**(2*t)", False, DECIDE),
    ("(x^2)^t, absolute value", "(x**2)**t - Abs(x)**(2*t)", True, MAY_REFUSE),
    ("(z w)^k", "z**k*w**k - (z*w)**k", True, DECIDE),
    ("z^x z^y", "(z**x - 1)*z**y - z**(x + y) + z**y", True, DECIDE),
    ("z^w by its definition", "z**w - exp(w*log(z))", True, MAY_REFUSE),
    ("4^x", "4**x - (2**x)**2", True, MAY_REFUSE),
    ("(-1)^k", "(-1)**k - 1", False, MAY_REFUSE),
    ("(-1)^k and (-1)^-k", "(-1)**k - (-1)**(-k)", True, MAY_REFUSE),
    ("(-1)^(k (k + 1))", "(-1)**(k*(k + 1)) - 1", True, MAY_REFUSE),
    ("(-1)^(even/2)", "(-1)**(ev/2) - 1", False, MAY_REFUSE),
    ("(-1)^odd", "(-1)**od + 1", True, DECIDE),
    ("(-1)^x, x real", "((-1)**x)**2 - 1", False, DECIDE),
    ("k (k - 1)", "k*(k - 1)", False, DECIDE),
    ("zero for all small integers", "Mul(*(k - i for i in range(-25, 26)))", False, DECIDE),
    ("k (k + 1) is even", "Mod(k*(k + 1), 2)", True, MAY_REFUSE),
    ("k^2 is not even", "Mod(k**2, 2)", False, MAY_REFUSE),
    ("exp(2 pi i k)", "exp(2*pi*I*k) - 1", True, DECIDE),
    ("exp(2 pi i x)", "exp(2*pi*I*x) - 1", False, DECIDE),
    ("factorial", "factorial(n + 1) - (n + 1)*factorial(n)", True, MAY_REFUSE),
    ("factorial, wrong", "factorial(n + 1) - n*factorial(n)", False, MAY_REFUSE),
    ("Gamma", "gamma(z + 1) - z*gamma(z)", True, MAY_REFUSE),
    ("Gamma, wrong", "gamma(z + 1) - gamma(z)", False, MAY_REFUSE),
    ("Pascal", "binomial(n + 1, 2) - binomial(n, 2) - n", True, MAY_REFUSE),
    # Trigonometric and hyperbolic functions, and their inverses.
    ("sin^2 + cos^2", "sin(z)**2 + cos(z)**2 - 1", True, DECIDE),
    ("sin^2 + cos^2, two arguments", "sin(z)**2 + cos(w)**2 - 1", False, DECIDE),
    ("cos 2z", "cos(2*z) - 2*cos(z)**2 + 1", True, DECIDE),
    ("cos 2z, wrong", "cos(2*z) - 2*cos(z)**2 - 1", False, DECIDE),
    ("sin 3z", "sin(3*z) - 3*sin(z) + 4*sin(z)**3", True, DECIDE),
    ("sin(x + y)", "sin(x + y) - sin(x)*cos(y) - cos(x)*sin(y)", True, DECIDE),
    ("sin(x + y), wrong", "sin(x + y) - sin(x)*cos(y) + cos(x)*sin(y)", False, DECIDE),
    ("half an angle", "sin(x/2)**2 - (1 - cos(x))/2", True, DECIDE),
    ("tan", "tan(z)*cos(z) - sin(z)", True, DECIDE),
    ("tan 2z", "tan(2*z) - 2*tan(z)/(1 - tan(z)**2)", True, MAY_REFUSE),
    ("1 + tan^2", "1 + tan(z)**2 - 1/cos(z)**2", True, MAY_REFUSE),
    ("cosh^2 - sinh^2", "cosh(z)**2 - sinh(z)**2 - 1", True, DECIDE),
    ("cosh + sinh", "cosh(z) + sinh(z) - exp(z)", True, DECIDE),
    ("cosh - sinh, wrong", "cosh(z) - sinh(z) - exp(z)", False, DECIDE),
    ("tanh", "tanh(x) - (1 - exp(-2*x))/(1 + exp(-2*x))", True, DECIDE),
    ("derivative of tanh", "diff(tanh(x), x) - 1/cosh(x)**2", True, DECIDE),
    ("logistic function", "1/(1 + exp(-x)) - (1 + tanh(x/2))/2", True, DECIDE),
    ("logistic function, wrong", "1/(1 + exp(-x)) - (1 + tanh(x))/2", False, DECIDE),
    ("Euler's formula", "exp(I*z) - cos(z) - I*sin(z)", True, DECIDE),
    ("cosh(i z)", "cosh(I*z + 0) - cos(z)", True, DECIDE),
    ("sin x is not x", "sin(x) - x", False, DECIDE),
    ("asin(sin x)", "asin(sin(x)) - x", False, DECIDE),
    ("acos(cos x)", "acos(cos(x)) - x", False, DECIDE),
    ("atan(tan x)", "atan(tan(x)) - x", False, DECIDE),
    ("atan x + atan 1/x, x real", "atan(x) + atan(1/x) - pi/2", False, DECIDE),
    ("atan a + atan 1/a, a > 0", "atan(a) + atan(1/a) - pi/2", True, MAY_REFUSE),
    ("asin + acos", "asin(x) + acos(x) - pi/2", True, MAY_REFUSE),
    ("asinh", "asinh(x) - log(x + sqrt(x**2 + 1))", True, MAY_REFUSE),
    ("asinh, wrong", "asinh(x) - log(x + sqrt(x**2 - 1))", False, MAY_REFUSE),
    ("root of sin^2", "sqrt(sin(x)**2) - sin(x)", False, DECIDE),
    ("root of 1 - cos^2", "sqrt(1 - cos(x)**2) - Abs(sin(x))", True, MAY_REFUSE),
    ("root of 1 - sin^2", "sqrt(1 - sin(x)**2) - cos(x)", False, DECIDE),
    ("root of half of 1 + cos", "sqrt((1 + cos(x))/2) - cos(x/2)", False, DECIDE),
    ("root of 1 + sinh^2, real", "sqrt(1 + sinh(x)**2) - cosh(x)", True, MAY_REFUSE),
    ("root of 1 + sinh^2, complex", "sqrt(1 + sinh(z)**2) - cosh(z)", False, DECIDE),
    ("sin(pi x)", "sin(pi*x)", False, DECIDE),
    ("sin(pi k)", "sin(pi*k)", True, DECIDE),
    # It vanishes wherever x is a multiple of 1/5040.
    ("sin(5040 pi x)", "sin(5040*pi*x)", False, MAY_REFUSE),
    ("Morrie", "cos(pi/9)*cos(2*pi/9)*cos(4*pi/9) - Q(1, 8)", True, MAY_REFUSE),
    ("atan 1/2 + atan 1/3", "atan(Q(1, 2)) + atan(Q(1, 3)) - pi/4", True, MAY_REFUSE),
    ("asin 3/5, acos 4/5", "asin(Q(3, 5)) - acos(Q(4, 5))", True, MAY_REFUSE),
    ("cos 1 and cos 2", "cos(2) - 2*cos(1)**2 + 1", True, MAY_REFUSE),
    ("i^i", "I**I - exp(-pi/2)", True, MAY_REFUSE),
    ("163/log 163", "163/log(163) - 32", False, DECIDE),
    ("log 9/log 3", "log(9)/log(3) - 2", True, DECIDE),
    ("log_2 6", "log(6)/log(2) - 1 - log(3)/log(2)", True, DECIDE),
    ("softplus", "log(1 + exp(x)) - x - log(1 + exp(-x))", True, MAY_REFUSE),
    ("softplus, wrong", "log(1 + exp(x)) - x + log(1 + exp(-x))", False, DECIDE),
    ("log exp x, x real", "log(exp(x)*exp(y) + 0) - x - y", True, DECIDE),
    # If a < b then both sides have the imaginary part pi; a + b > 0.
    ("log(a^2 - b^2)", "log(a**2 - b**2) - log(a - b) - log(a + b)", True, MAY_REFUSE),
    ("log(x^2 - y^2), x and y real", "log(x**2 - y**2) - log(x - y) - log(x + y)", False, DECIDE),
    ("log of a negative number", "log(neg) - log(-neg) - I*pi", True, MAY_REFUSE),
    ("log of a negative number, wrong", "log(neg) - log(-neg)", False, DECIDE),
    ("log sqrt z", "log(sqrt(z)) - log(z)/2", True, MAY_REFUSE),
    ("log(a^x)", "log(a**x*b) - x*log(a) - log(b)", True, DECIDE),
    ("removable, exponentials", "(exp(2*z) - 1)/(exp(z) - 1) - exp(z) - 1", True, DECIDE),
    ("removable, cube of an exponential", "(exp(3*x) - 1)/(exp(x) - 1) - exp(2*x) - exp(x) - 1", True, DECIDE),
    ("exponential of a sum of logarithms", "exp(log(a) + 2*log(b) + x) - a*b**2*exp(x)", True, DECIDE),
    ("exponential of i pi/2", "exp(x + I*pi/2) - I*exp(x)", True, MAY_REFUSE),
    ("log of log", "log(log(a**2)) - log(log(a)) - log(2)", True, MAY_REFUSE),
    # Absolute values, signs, the larger, the smaller, pieces, integer parts.
    ("|x|^2", "Abs(x)*(Abs(x) + 1) - x**2 - Abs(x)", True, DECIDE),
    ("|z|^2 is not z^2", "Abs(z)**2 - z**2", False, DECIDE),
    ("|z|^2", "Abs(z)**2 - z*conjugate(z)", True, MAY_REFUSE),
    ("|x| + |y|", "Abs(x) + Abs(y) - Abs(x + y)", False, DECIDE),
    ("|a - b|", "Abs(a - b) - a + b", False, DECIDE),
    ("|x^3|", "Abs(x**3) - x**2*Abs(x)", True, DECIDE),
    ("|x y|", "Abs(x*y + x) - Abs(x)*Abs(y + 1)", True, DECIDE),
    ("max and min", "Max(x, y) + Min(x, y) - x - y", True, DECIDE),
    ("product of max and min", "Max(x, y)*Min(x, y) - x*y", True, DECIDE),
    ("max by an absolute value", "Max(x, y) - (x + y + Abs(x - y))/2", True, DECIDE),
    ("max by an absolute value, wrong", "Max(x, y) - (x + y - Abs(x - y))/2", False, DECIDE),
    ("positive part", "Max(x, 0) - (x + Abs(x))/2", True, DECIDE),
    ("positive part, wrong", "Max(x, 0) - x", False, DECIDE),
    ("positive and negative part", "Max(x, 0)*Min(x, 0)", True, DECIDE),
    ("positive part of x - 10^9", "Max(x - 10**9, 0)", False, MAY_REFUSE),
    ("sign times absolute value", "sign(x)*Abs(x) - x", True, DECIDE),
    ("absolute value by sign", "Abs(x)/x - sign(x)", True, MAY_REFUSE),
    ("sign^2, x = 0", "sign(x)**2 - 1", False, MAY_REFUSE),
    ("sign^2, nonzero", "sign(nz)**2 - 1", True, MAY_REFUSE),
    ("absolute value in pieces", "Piecewise((x, x > 0), (-x, True)) - Abs(x)", True, DECIDE),
    ("pieces, wrong", "Piecewise((x, x > 0), (x**2, True)) - x", False, DECIDE),
    ("a piece that is far away", "Piecewise((x, x > 10**6), (0, True))", False, MAY_REFUSE),
    ("a piece of one point", "Piecewise((1, Eq(x, Q(22, 7))), (0, True))", False, MAY_REFUSE),
    ("a piece without points", "Piecewise((1, x**2 < 0), (0, True))", True, MAY_REFUSE),
    ("pieces that leave a gap", "Piecewise((sqrt(x**2) - x, x > 0))", True, MAY_REFUSE),
    ("floor", "floor(x) - x", False, DECIDE),
    ("floor(x + 1)", "floor(x + 1) - floor(x) - 1", True, MAY_REFUSE),
    ("floor(-x)", "floor(x) + floor(-x)", False, DECIDE),
    ("floor and ceiling", "ceiling(x) + floor(-x)", True, MAY_REFUSE),
    ("Heaviside", "Heaviside(x) + Heaviside(-x) - 1", True, MAY_REFUSE),
    # Complex parts.
    ("real and imaginary part", "re(z) + I*im(z) - z", True, MAY_REFUSE),
    ("real part of a product", "re(z*w) - re(z)*re(w) + im(z)*im(w)", True, MAY_REFUSE),
    ("real part of a product, wrong", "re(z*w) - re(z)*re(w)", False, DECIDE),
    ("modulus", "re(z)**2 + im(z)**2 - Abs(z)**2", True, MAY_REFUSE),
    ("conjugate", "conjugate(z) - z", False, DECIDE),
    ("conjugate of a root, z = -1", "conjugate(sqrt(z)) - sqrt(conjugate(z))", False, MAY_REFUSE),
    ("an imaginary number", "im_**2 + Abs(im_)**2", True, MAY_REFUSE),
    ("an imaginary number is not zero", "im_ - conjugate(im_)", False, DECIDE),
    ("complex modulus of x + i y", "sqrt(x**2 + y**2) - Abs(x + I*y)", True, MAY_REFUSE),
    ("i x", "(x + I*y)*(x - I*y) - x**2 - y**2", True, DECIDE),
    ("i x, wrong", "(x + I*y)**2 - x**2 - y**2", False, DECIDE),
    # Signs and kinds of symbols.
    ("the symbol that is zero", "ze", True, MAY_REFUSE),
    ("the symbol that is zero, added", "sqrt(x**2 + ze) - Abs(x)", True, MAY_REFUSE),
    ("the symbol that is zero, and 1", "ze*x + 1", False, MAY_REFUSE),
    ("one over the symbol that is zero", "1/ze", None, REFUSE),
    ("a symbol that is not zero", "nz", False, DECIDE),
    ("product of roots of nonnegative numbers", "sqrt(p*q + p) - sqrt(p)*sqrt(q + 1)", True, DECIDE),
    ("product of roots of negative numbers", "sqrt(neg)*sqrt(npos - 1) + sqrt(neg*(npos - 1))", True, MAY_REFUSE),
    ("product of roots of negative numbers, wrong", "sqrt(neg)*sqrt(npos - 1) - sqrt(neg*(npos - 1))", False, DECIDE),
    ("fourth root of z^2", "(z**2)**Q(1, 4) - sqrt(z)", False, DECIDE),
    ("fourth root of x^2", "(x**2)**Q(1, 4) - sqrt(Abs(x))", True, DECIDE),
    ("root of a root", "sqrt(sqrt(z)) - z**Q(1, 4)", True, DECIDE),
    ("sixth and third root", "(a**Q(1, 6) + 1)*(a**Q(1, 3) - a**Q(1, 6) + 1) - sqrt(a) - 1", True, DECIDE),
    ("seventh root", "(a**Q(1, 7) - 1)*Add(*(a**Q(i, 7) for i in range(7))) - a + 1", True, DECIDE),
    ("seventh root, wrong", "(a**Q(1, 7) - 1)*Add(*(a**Q(i, 7) for i in range(6))) - a + 1", False, DECIDE),
    ("cube root of (a + 1)^3", "cbrt(a**3 + 3*a**2 + 3*a + 1) - a - 1", True, MAY_REFUSE),
    ("cube root of (x + 1)^3, x real", "cbrt(x**3 + 3*x**2 + 3*x + 1) - x - 1", False, DECIDE),
    # The left side squared is b + c + sqrt(c^2 + 2 b c), and both are positive.
    ("nested root, denested", "sqrt(b + c + sqrt(c**2 + 2*b*c)) - sqrt(b + c/2) - sqrt(c/2)", True, MAY_REFUSE),
    ("root of a + b - 2 sqrt(a b)", "sqrt(a + b - 2*sqrt(a*b)) - Abs(sqrt(a) - sqrt(b))", True, MAY_REFUSE),
    ("root of a quotient", "sqrt((a + 1)/(b + 1)) - sqrt(a + 1)/sqrt(b + 1)", True, DECIDE),
    ("root of a quotient, real", "sqrt((x + 1)/(y + 1)) - sqrt(x + 1)/sqrt(y + 1)", False, DECIDE),
    ("root of x^4 + 2 x^2 + 1", "sqrt(x**4 + 2*x**2 + 1) - x**2 - 1", True, DECIDE),
    ("root of z^4 + 2 z^2 + 1", "sqrt(z**4 + 2*z**2 + 1) - z**2 - 1", False, DECIDE),
    ("root of a common factor", "sqrt(2*x**2 + 2*y**2) - sqrt(2)*sqrt(x**2 + y**2)", True, DECIDE),
    ("root of (x^2 + 1) (y^2 + 1)", "sqrt(x**2*y**2 + x**2 + y**2 + 1) - sqrt(x**2 + 1)*sqrt(y**2 + 1)", True, DECIDE),
    ("root of 8 a + 8", "sqrt(8*a + 8) - 2*sqrt(2)*sqrt(a + 1)", True, DECIDE),
    ("three roots", "(sqrt(a) + sqrt(b) + sqrt(c))**2 - a - b - c - 2*(sqrt(a*b) + sqrt(b*c) + sqrt(a*c))", True, DECIDE),
    # Heron: the product of the four conjugates is a polynomial.
    ("four conjugates",
     "(sqrt(a) + sqrt(b) + sqrt(c))*(sqrt(a) + sqrt(b) - sqrt(c))*(sqrt(a) - sqrt(b) + sqrt(c))"
     "*(sqrt(b) + sqrt(c) - sqrt(a)) - 2*(a*b + b*c + c*a) + a**2 + b**2 + c**2", True, DECIDE),
    ("near miss of roots of symbols", "sqrt(x**2 + Q(1, 10**20)) - Abs(x)", False, DECIDE),
    ("near miss, 1e-60", "sqrt(x**2 + Q(1, 10**60)) - Abs(x)", False, MAY_REFUSE),
    ("sqrt(4 + sqrt 15)", "sqrt(4 + sqrt(15)) - (sqrt(10) + sqrt(6))/2", True, DECIDE),
    ("sqrt(8 - 2 sqrt 15)", "sqrt(8 - 2*sqrt(15)) - sqrt(5) + sqrt(3)", True, DECIDE),
    ("sqrt(8 - 2 sqrt 15), the other root", "sqrt(8 - 2*sqrt(15)) + sqrt(5) - sqrt(3)", False, DECIDE),
    ("product of conjugate roots", "sqrt(1 + sqrt(2))*sqrt(sqrt(2) - 1) - 1", True, DECIDE),
    ("cube root of 10 + 6 sqrt 3", "cbrt(10 + 6*sqrt(3)) - 1 - sqrt(3)", True, MAY_REFUSE),
    ("cube root of 26 + 15 sqrt 3", "cbrt(26 + 15*sqrt(3)) - 2 - sqrt(3)", True, MAY_REFUSE),
    ("2 cos(pi/16)", "sqrt(2 + sqrt(2 + sqrt(2))) - 2*cos(pi/16)", True, MAY_REFUSE),
    ("root of -3 + 4i", "sqrt(-3 + 4*I) - 1 - 2*I", True, MAY_REFUSE),
    ("root of -3 - 4i", "sqrt(-3 - 4*I) - 1 + 2*I", True, MAY_REFUSE),
    ("root of -3 - 4i, the other one", "sqrt(-3 - 4*I) + 1 - 2*I", False, DECIDE),
    ("root of i", "sqrt(I) - (1 + I)/sqrt(2)", True, MAY_REFUSE),
    ("conjugate roots of a symbol", "sqrt(sqrt(x**2 + 1) + x)*sqrt(sqrt(x**2 + 1) - x) - 1", True, MAY_REFUSE),
    ("sqrt(2a + 1 + 2 sqrt(a^2 + a))", "sqrt(2*a + 1 + 2*sqrt(a**2 + a)) - sqrt(a) - sqrt(a + 1)", True, MAY_REFUSE),
    ("sqrt(2a + 1 - 2 sqrt(a^2 + a))", "sqrt(2*a + 1 - 2*sqrt(a**2 + a)) - sqrt(a + 1) + sqrt(a)", True, MAY_REFUSE),
    ("sqrt(2a + 1 - 2 sqrt(a^2 + a)), the other root", "sqrt(2*a + 1 - 2*sqrt(a**2 + a)) - sqrt(a) + sqrt(a + 1)", False, DECIDE),
    # The radicand x^2 + (t - 1)^2, t = sqrt(x^2 + 1), is 2 t (t - 1), and x^2 = (t - 1) (t + 1): the root is |x| sqrt(2 t/(t + 1)). A
    # proof for x > 0 does not continue to x < 0, although the radicand is positive at every admissible x.
    ("a radicand with a double zero, not admissible", "double_zero(nz)", False, MAY_REFUSE),
    ("a radicand with a double zero, absolute value", "double_zero(Abs(nz))", True, MAY_REFUSE),
    ("a radicand with a double zero, odd", "double_zero(od)", False, MAY_REFUSE),
    ("a radicand with a double zero, 2k + 1", "double_zero(2*k + 1)", False, MAY_REFUSE),
    ("a radicand with a double zero, x - sqrt 2 for rational x", "double_zero(ra - sqrt(2))", False, MAY_REFUSE),
    ("a radicand with a double zero, irrational x - 1/2", "double_zero(ir - Q(1, 2))", False, MAY_REFUSE),
    ("a radicand with a double zero, a product", "double_zero(nz*a)", False, MAY_REFUSE),
    ("a radicand with a double zero, hyperbolic sine", "double_zero(sinh(nz))", False, MAY_REFUSE),
    ("a radicand with a double zero, third of an integer", "double_zero(k + Q(1, 3))", False, MAY_REFUSE),
    ("a radicand with a double zero, sign", "double_zero(sign(nz))", False, MAY_REFUSE),
    ("a radicand with a double zero, negative", "double_zero(neg)", False, MAY_REFUSE),
    ("a radicand with a double zero, positive", "double_zero(a)", True, MAY_REFUSE),
    # For p > 0 the two agree; at p = 0 the radicand is on the cut, and they are i and -i.
    ("the cut at the end of an interval", "sqrt(-1 - I*p) + I*sqrt(1 + I*p)", False, MAY_REFUSE),
    ("the cut at the end of an interval, continuous", "sqrt(-1 + I*p) - I*sqrt(1 - I*p)", True, MAY_REFUSE),
    ("the cut of the logarithm at the end of an interval", "log(-1 - I*p) - log(1 + I*p) + I*pi", False, MAY_REFUSE),
    ("the cut of a cube root at the end of an interval", "cbrt(-1 - I*p) - exp(-I*pi/3)*cbrt(1 + I*p)", False, MAY_REFUSE),
    ("the cut within an interval", "sqrt(-1 - I*x**2) + I*sqrt(1 + I*x**2)", False, MAY_REFUSE),
    ("root of (x + i)^2", "sqrt(x**2 + 2*I*x - 1) - x - I", False, DECIDE),
    ("root of (a + i)^2", "sqrt(a**2 + 2*I*a - 1) - a - I", True, MAY_REFUSE),
    ("logarithm of (x + i)^2", "log((x + I)**2) - 2*log(x + I)", False, DECIDE),
    ("logarithm of (a + i)^2", "log((a + I)**2) - 2*log(a + I)", True, MAY_REFUSE),
    ("logarithm of (a + i)^3", "log((a + I)**3) - 3*log(a + I)", False, DECIDE),
    ("roots of x + i and y + i", "sqrt((x + I)*(y + I)) - sqrt(x + I)*sqrt(y + I)", False, DECIDE),
    ("roots of a + i and b + i", "sqrt((a + I)*(b + I)) - sqrt(a + I)*sqrt(b + I)", True, MAY_REFUSE),
    ("root of exp(i x)", "sqrt(exp(I*x)) - exp(I*x/2)", False, DECIDE),
    # The arguments are 6 and 2, and pi is between them.
    ("root of exp(2 x + 6 i)", "sqrt(exp(2*x + 6*I)) - exp(x + 3*I)", False, DECIDE),
    ("root of exp(2 x + 2 i)", "sqrt(exp(2*x + 2*I)) - exp(x + I)", True, MAY_REFUSE),
    ("logarithm of exp(x + 4 i)", "log(exp(x + 4*I)) - x - 4*I", False, DECIDE),
    ("logarithm of exp(x + i)", "log(exp(x + I)) - x - I", True, MAY_REFUSE),
    ("roots of x and -x", "sqrt(x)*sqrt(-x) - I*Abs(x)", True, MAY_REFUSE),
    ("roots of x and -x, wrong", "sqrt(x)*sqrt(-x) - I*x", False, DECIDE),
    ("roots of z and -z", "sqrt(z)*sqrt(-z) - I*z", False, DECIDE),
    ("cube root of x^6", "cbrt(x**6) - x**2", True, MAY_REFUSE),
    ("(z^pi)^(1/pi)", "(z**pi)**(1/pi) - z", False, DECIDE),
    ("power k of z^2 - w^2", "(z + w)**k*(z - w)**k - (z**2 - w**2)**k", True, MAY_REFUSE),
    ("power x of z^2 - w^2", "(z + w)**x*(z - w)**x - (z**2 - w**2)**x", False, DECIDE),
    ("x^n", "x**n - Abs(x)**n", False, DECIDE),
    ("x^(2 n)", "x**(2*n) - Abs(x)**(2*n)", True, MAY_REFUSE),
    ("one point in three pieces", "Piecewise((0, x > y), (0, x < y), (1, True))", False, MAY_REFUSE),
    ("max of three", "Max(x, y, s) + Min(-x, -y, -s)", True, MAY_REFUSE),
    ("max of squares", "Max(x, y)**2 - Max(x**2, y**2)", False, DECIDE),
    # The radicand is a negative number, (1 + i s)(1 - i s) = 1 + s^2.
    ("a radicand on the cut", "sqrt((1 + I*sin(1))*(1 - I*sin(1)) - 10) - I*sqrt(9 - sin(1)**2)", True, MAY_REFUSE),
    ("a radicand on the cut, wrong", "sqrt((1 + I*sin(1))*(1 - I*sin(1)) - 10) + I*sqrt(9 - sin(1)**2)", False, MAY_REFUSE),
    ("zero to the power p", "0**p", False, MAY_REFUSE),
    ("one point in pieces", "Piecewise((1, Eq(x, 0)), (0, True))", False, MAY_REFUSE),
    ("sign of a nonnegative number", "sign(p) - 1", False, MAY_REFUSE),
    ("sign of a nonnegative number times it", "sign(p)*p - p", True, MAY_REFUSE),
    ("defined for p > 0 only", "p/(p + hidden_1) - 1", True, MAY_REFUSE),
    ("sin(pi k/2)", "sin(pi*k/2)", False, MAY_REFUSE),
    ("sin(pi k/2) cos(pi k/2)", "sin(pi*k/2)*cos(pi*k/2)", True, MAY_REFUSE),
    ("cos(pi k)", "cos(pi*k) - 1", False, MAY_REFUSE),
    ("exp(i pi k)", "exp(I*pi*k) - (-1)**k", True, MAY_REFUSE),
    ("a rational number is not sqrt 2", "ra**2 - 2", False, DECIDE),
    ("an irrational number may be pi", "ir**2 - 2", False, MAY_REFUSE),
    ("a prime number", "pr - 2", False, MAY_REFUSE),
    ("a complex number that is not zero", "sqrt(cz**2) - cz", False, DECIDE),
    ("(-2)^x", "(-2)**x - (-1)**x*2**x", True, MAY_REFUSE),
    ("(-x)^t", "(-x)**t - (-1)**t*x**t", False, DECIDE),
    ("modulus of a cube root", "Abs(z)**Q(1, 3) - Abs(cbrt(z))", True, MAY_REFUSE),
    ("modulus of an exponential", "Abs(exp(z)) - exp(re(z))", True, MAY_REFUSE),
    ("modulus of exp(i z)", "Abs(exp(I*z)) - 1", False, DECIDE),
    ("a root and its conjugate", "sqrt(z)*conjugate(sqrt(z)) - Abs(z)", True, MAY_REFUSE),
    ("real part of a logarithm", "re(log(z)) - log(Abs(z))", True, MAY_REFUSE),
    ("a^log b", "a**log(b) - b**log(a)", True, MAY_REFUSE),
    ("x^x", "x**x - exp(x*log(x))", True, MAY_REFUSE),
    ("exponents that sum to 1", "(exp(a/(a + b)) + 1)*exp(b/(a + b)) - E - exp(b/(a + b))", True, MAY_REFUSE),
    # Degrees, many symbols.
    ("power 300", "(z + 1)**300 - z**300", False, DECIDE),
    ("geometric sum", "(z**60 - 1)/(z - 1) - Add(*(z**i for i in range(60)))", True, DECIDE),
    ("geometric sum, the last lost", "(z**60 - 1)/(z - 1) - Add(*(z**i for i in range(59)))", False, DECIDE),
    ("Carmichael", "z**561 - z", False, DECIDE),
    ("square of a sum of twelve", "Add(*symbols('v1:13'))**2 - Add(*(v*v2 for v in symbols('v1:13') for v2 in symbols('v1:13')))",
     True, DECIDE),
    ("a product of twelve and another", "Mul(*(v + 1 for v in symbols('v1:13'))) - Mul(*(v + 1 for v in symbols('v2:14')))", False,
     DECIDE),
    ("Sophie Germain", "z**4 + 4*w**4 - (z**2 + 2*w**2 - 2*z*w)*(z**2 + 2*w**2 + 2*z*w)", True, DECIDE),
    ("sum of cubes of three", "z1**3 + z2**3 + z3**3 - 3*z1*z2*z3 - (z1 + z2 + z3)*(z1**2 + z2**2 + z3**2 - z1*z2 - z2*z3 - z1*z3)",
     True, DECIDE),
    ("Lagrange interpolation of 1",
     "(z - z2)*(z - z3)/((z1 - z2)*(z1 - z3)) + (z - z1)*(z - z3)/((z2 - z1)*(z2 - z3))"
     " + (z - z1)*(z - z2)/((z3 - z1)*(z3 - z2)) - 1", True, DECIDE),
    ("Ramanujan's sixth and tenth powers",
     "64*((z1+z2+z3)**6 + (z2+z3+z4)**6 - (z3+z4+z1)**6 - (z4+z1+z2)**6 + (z1-z4)**6 - (z2-z3)**6)"
     "*((z1+z2+z3)**10 + (z2+z3+z4)**10 - (z3+z4+z1)**10 - (z4+z1+z2)**10 + (z1-z4)**10 - (z2-z3)**10)"
     " - 45*((z1+z2+z3)**8 + (z2+z3+z4)**8 - (z3+z4+z1)**8 - (z4+z1+z2)**8 + (z1-z4)**8 - (z2-z3)**8)**2", False, MAY_REFUSE),
    # Functions of which nothing is known, and what is not evaluated.
    ("product rule", "diff(f(x)*g(x), x) - f(x)*diff(g(x), x) - g(x)*diff(f(x), x)", True, DECIDE),
    ("product rule, wrong", "diff(f(x)*g(x), x) - f(x)*diff(g(x), x)", False, MAY_REFUSE),
    ("mixed derivatives", "diff(f(x, y), x, y) - diff(f(x, y), y, x)", True, DECIDE),
    ("chain rule", "diff(f(x)**3, x) - 3*f(x)**2*diff(f(x), x)", True, DECIDE),
    ("two values of a function", "f(x) - f(y)", False, MAY_REFUSE),
    ("one value of a function", "f((x + 1)**2) - f(x**2 + 2*x + 1)", True, MAY_REFUSE),
    ("f is not the identity", "f(x) - x", False, MAY_REFUSE),
    ("root of f^2", "sqrt(f(x)**2) - f(x)", False, MAY_REFUSE),
    ("a derivative to be taken", "Derivative(x**2, x) - 2*x", True, MAY_REFUSE),
    ("a derivative to be taken, wrong", "Derivative(x**3, x) - 3*x", False, MAY_REFUSE),
    ("an integral", "Integral(t, (t, 0, x)) - x**2/2", True, MAY_REFUSE),
    ("an integral, wrong", "Integral(t, (t, 0, x)) - x", False, MAY_REFUSE),
    ("Gauss's integral", "Integral(exp(-t**2), (t, -oo, oo)) - sqrt(pi)", True, MAY_REFUSE),
    ("a limit", "Limit(sin(t)/t, t, 0) - 1", True, MAY_REFUSE),
    ("a finite sum", "Sum(k, (k, 1, 10)) - 55", True, MAY_REFUSE),
    ("Basel", "Sum(1/k**2, (k, 1, oo)) - pi**2/6", True, MAY_REFUSE),
    ("Basel to six digits", "Sum(1/k**2, (k, 1, oo)) - Q(1644934, 10**6)", False, MAY_REFUSE),
    # Numbers as Python and NumPy have them, matrices, arrays, lists.
    ("zero", "0", True, DECIDE),
    ("float zero", "-0.0", True, DECIDE),
    ("complex zero", "0j", True, DECIDE),
    ("a small float", "5e-324", False, DECIDE),
    ("a fraction", "Fraction(1, 3) - Fraction(2, 6)", True, DECIDE),
    ("an integer of NumPy", "np.int64(3) - 3", True, DECIDE),
    ("a float of NumPy", "np.float64(0.1) + np.float64(0.2) - 0.3", False, DECIDE),
    ("a stored float is no tenth", "Add(Float(0.1), Q(-1, 10), evaluate=False)", False, DECIDE),
    ("a quarter as a float", "(0.25*x + 1)*4 - x - 4", True, DECIDE),
    ("square root of the float 2", "Pow(Float(2.0), Q(1, 2))**2 - 2", False, DECIDE),
    ("exponent 0.5", "x**0.5 - sqrt(x)", True, MAY_REFUSE),
    ("exponent 0.1", "a**0.1 - a**Q(1, 10)", False, MAY_REFUSE),
    ("a zero matrix", "Matrix([[0, (x + 1)**2 - x**2 - 2*x - 1]])", True, DECIDE),
    ("a matrix", "Matrix([[0, 0], [0, x]])", False, DECIDE),
    ("inverse matrix", "Matrix([[x, y], [s, t]])*Matrix([[x, y], [s, t]]).inv() - eye(2)", True, DECIDE),
    ("commutator of matrices", "Matrix([[x, y], [s, t]])*Matrix([[0, 1], [0, 0]]) - Matrix([[0, 1], [0, 0]])*Matrix([[x, y], [s, t]])",
     False, DECIDE),
    ("Cayley-Hamilton",
     "(lambda M: M**2 - M.trace()*M + M.det()*eye(2))(Matrix([[z1, z2], [w1, w2]]))", True, DECIDE),
    ("an array of zeros", "np.zeros((2, 3))", True, DECIDE),
    ("an array with a small number", "np.array([0.0, 1e-300])", False, DECIDE),
    ("an object array", "np.array([hidden_1, hidden_6], dtype=object)", True, DECIDE),
    ("an object array, wrong", "np.array([hidden_1, hidden_6 + x], dtype=object)", False, DECIDE),
    ("nested lists", "[[hidden_1, 0], (0.0, [hidden_6])]", True, DECIDE),
    ("nested lists, wrong", "[[hidden_1, 0], (0.0, [hidden_6, a])]", False, DECIDE),
    ("a list with a truth value", "[0, False]", None, REFUSE),
    ("a list with a relation", "[0, x > 0]", None, REFUSE),
    ("a matrix with nan", "Matrix([[0, nan]])", None, REFUSE),
    ("a matrix with infinity", "Matrix([[0, zoo*x]])", None, REFUSE),
    # Denominators that vanish identically, and other things without a value.
    ("zero over zero, roots", "hidden_1/hidden_2 - 5", None, REFUSE),
    ("zero over zero, roots, another number", "hidden_1/hidden_2 + 7", None, REFUSE),
    ("one over zero, roots", "1/hidden_1", None, REFUSE),
    ("one over zero, logarithms", "x/hidden_3 - x", None, REFUSE),
    ("one over zero, trigonometric", "x/hidden_4", None, REFUSE),
    ("one over zero, exponentials", "1/hidden_5 - 1", None, REFUSE),
    ("one over zero, a number", "z/hidden_6", None, REFUSE),
    ("zero over zero, mixed", "hidden_3/hidden_2", None, REFUSE),
    ("zero over a zero root", "hidden_1/sqrt(hidden_2)", None, REFUSE),
    ("infinity", "oo", None, REFUSE),
    ("complex infinity", "zoo", None, REFUSE),
    ("not a number", "nan", None, REFUSE),
    ("a float that is not a number", "float('nan')", None, REFUSE),
    ("an infinite float", "float('inf')", None, REFUSE),
    ("infinity plus a symbol", "x + oo", None, REFUSE),
    ("an infinite symbol", "inf*(x + 1) - inf*x - inf", None, REFUSE),
    ("an empty list", "[]", None, REFUSE),
    ("an empty tuple", "()", None, REFUSE),
    ("an empty array", "np.array([])", None, REFUSE),
    ("an empty object array", "np.empty((0, 2), dtype=object)", None, REFUSE),
    ("an empty matrix", "Matrix(0, 0, [])", None, REFUSE),
    ("empty lists in a list", "[[], []]", None, REFUSE),
    ("zero and an empty list", "[0, []]", None, REFUSE),
    ("zero and nan", "[0, nan]", None, REFUSE),
    ("an array with nan", "np.array([0.0, np.nan])", None, REFUSE),
    ("a truth value", "True", None, REFUSE),
    ("False is not zero", "False", None, REFUSE),
    ("a SymPy truth value", "false", None, REFUSE),
    ("truth values", "np.array([False])", None, REFUSE),
    ("a relation", "x > 0", None, REFUSE),
    ("an equation", "Eq(x, y)", None, REFUSE),
    ("None", "None", None, REFUSE),
    ("a text", "'0'", None, REFUSE),
    ("zero over zero below a root", "sqrt(hidden_1/hidden_2)", None, REFUSE),
    ("zero over zero in an exponential", "exp(hidden_1/hidden_2) - 1", None, REFUSE),
    ("logarithm of zero", "log(hidden_1)", None, REFUSE),
    ("logarithm of zero times zero", "hidden_2*log(hidden_1)", None, REFUSE),
    ("one over zero in a list", "[0, 1/hidden_1]", None, REFUSE),
    ("one over zero, cube roots", "x/((cbrt(a) + 1)*(cbrt(a)**2 - cbrt(a) + 1) - a - 1)", None, REFUSE),
    ("one over zero, maximum", "x/(Max(x, y) + Min(x, y) - x - y)", None, REFUSE),
    ("one over zero, hyperbolic", "(x - x*cosh(y))/(cosh(x)**2 - sinh(x)**2 - 1)", None, REFUSE),
    ("one over zero, a polynomial", "1/((x + y)**2 - x**2 - 2*x*y - y**2)", None, REFUSE),
    ("negative power of zero", "hidden_1**(-Q(3, 2)) - 1", None, REFUSE),
    ("zero times one over zero", "hidden_1*(1/hidden_2 + 1)", None, REFUSE),
    ("one over zero, subtracted from itself", "(1/hidden_1 + x)**2 - 1/hidden_1**2 - 2*x/hidden_1 - x**2", None, REFUSE),
    ("one over zero, noncommuting", "(A/hidden_1 + B)**2 - A**2/hidden_1**2 - A*B/hidden_1 - B*A/hidden_1 - B**2", None, REFUSE),
    ("zero over zero times a commutator", "hidden_1/hidden_2*(A*B - B*A)", None, REFUSE),
    ("one over zero times a matrix", "A/hidden_1", None, REFUSE),
    ("absolute value of one over zero", "Abs(1/hidden_1)", None, REFUSE),
    ("maximum with one over zero", "Max(x, 1/hidden_1)", None, REFUSE),
    ("one over zero in all pieces", "Piecewise((1/hidden_1, x > 0), (1/hidden_2, True))", None, REFUSE),
    ("one over zero as an exponent", "x**(1/hidden_1)", None, REFUSE),
    ("over a difference of tangents", "1/(tan(x) - sin(x)/cos(x))", None, REFUSE),
    ("interval", "AccumBounds(-1, 1)", None, REFUSE),
    ("a set", "Interval(0, 1)", None, REFUSE),
    ("a dictionary", "{x: 0}", None, REFUSE),
    # Noncommuting symbols: elements of any associative algebra.
    ("commutator", "A*B - B*A", False, DECIDE),
    ("noncommuting square", "(A + B)**2 - A**2 - A*B - B*A - B**2", True, DECIDE),
    ("noncommuting square, commuting formula", "(A + B)**2 - A**2 - 2*A*B - B**2", False, DECIDE),
    ("noncommuting third binomial formula", "(A - B)*(A + B) - A**2 + B**2", False, DECIDE),
    ("Jacobi", "(A*(B*C - C*B) - (B*C - C*B)*A) + (B*(C*A - A*C) - (C*A - A*C)*B) + (C*(A*B - B*A) - (A*B - B*A)*C)",
     True, DECIDE),
    ("Jacobi, wrong", "(A*(B*C - C*B) - (B*C - C*B)*A) + (B*(C*A - A*C) - (C*A - A*C)*B) - (C*(A*B - B*A) - (A*B - B*A)*C)",
     False, DECIDE),
    ("inverse", "A**-1*A - 1", True, DECIDE),
    ("conjugation", "A**-1*B*A - B", False, DECIDE),
    ("A B A", "A*B*A - A**2*B", False, DECIDE),
    ("commuting coefficients", "x*A*y*B - x*y*A*B", True, DECIDE),
    ("hidden zero times A B", "hidden_6*A*B + hidden_1*B*A", True, DECIDE),
    ("root times A", "(sqrt(exp(2*u)) - exp(u))*A", False, DECIDE),
    ("inverse of a product", "(A*B)**-1 - B**-1*A**-1", True, DECIDE),
    ("inverse of a product, wrong", "(A*B)**-1 - A**-1*B**-1", False, MAY_REFUSE),
    ("push-through", "A*(1 + B*A)**-1 - (1 + A*B)**-1*A", True, MAY_REFUSE),
    ("push-through, wrong", "A*(1 + B*A)**-1 - (1 + B*A)**-1*A", False, MAY_REFUSE),
    ("exponentials do not add", "exp(A)*exp(B) - exp(A + B)", False, MAY_REFUSE),
    ("double commutator", "A*(A*B - B*A) - (A*B - B*A)*A", False, DECIDE),
    ("derivation", "(A*B*C - B*C*A) - (A*B - B*A)*C - B*(A*C - C*A)", True, DECIDE),
    ("derivation, wrong", "(A*B*C - B*C*A) - (A*B - B*A)*C - (A*C - C*A)*B", False, DECIDE),
    ("standard identity of degree 3", "A*B*C + B*C*A + C*A*B - B*A*C - A*C*B - C*B*A", False, DECIDE),
    ("a cubic with a real factor", "(x*A + y*B)**3 - x**3*A**3 - y**3*B**3 - x**2*y*(A**2*B + A*B*A + B*A**2)"
     " - x*y**2*(A*B**2 + B*A*B + B**2*A)", True, DECIDE),
    ("Baker-Campbell-Hausdorff to order 2", "(1 + A + A**2/2)*(1 + B + B**2/2) - 1 - (A + B) - (A + B)**2/2 - (A*B - B*A)/2"
     " - A**2*B/2 - A*B**2/2 - A**2*B**2/4", True, DECIDE),
    ("noncommuting entries of a matrix", "Matrix([[A*B - B*A, 0]])", False, DECIDE),
    ("noncommuting in an array", "np.array([A*B - B*A, 0], dtype=object)", False, DECIDE),
    ("noncommuting power 8", "(A + B)**8 - (B + A)**8 + A*B - B*A", False, DECIDE),
    ("a matrix symbol", "MatrixSymbol('X', 2, 2)*MatrixSymbol('Y', 2, 2) - MatrixSymbol('Y', 2, 2)*MatrixSymbol('X', 2, 2)", False,
     MAY_REFUSE),
]  # fmt: skip

# A row of SMALL is (name, expression, order, truth, duty): whether the expression is O(dt^order) as dt > 0 tends to 0, all
# other symbols held fixed, at every admissible value for which it is defined for small dt.
SMALL: list[tuple[str, Any, int, bool | None, str]] = [
    ("dt^2", "dt**2", 2, True, DECIDE),
    ("dt^2, one order too many", "dt**2", 3, False, DECIDE),
    ("a constant", "x*0 + 1", 1, False, DECIDE),
    ("x dt", "x*dt", 1, True, DECIDE),
    ("x dt + dt^2", "x*dt + dt**2", 2, False, DECIDE),
    ("zero", "hidden_1", 5, True, DECIDE),
    ("zero over dt^5", "hidden_1/dt**5 + dt**2", 2, True, DECIDE),
    ("exponential", "exp(x*dt) - 1 - x*dt", 2, True, DECIDE),
    ("exponential, one order too many", "exp(x*dt) - 1 - x*dt", 3, False, DECIDE),
    ("square root", "sqrt(1 + dt) - 1 - dt/2 + dt**2/8", 3, True, DECIDE),
    ("square root, one order too many", "sqrt(1 + dt) - 1 - dt/2 + dt**2/8", 4, False, DECIDE),
    ("geometric series", "1/(1 + a*dt) - 1 + a*dt", 2, True, DECIDE),
    ("logarithm", "log(1 + a*dt) - a*dt", 2, True, DECIDE),
    ("logarithm, sign lost", "log(1 + a*dt) + a*dt", 2, False, DECIDE),
    ("cosine", "cos(dt) - 1", 2, True, MAY_REFUSE),
    ("sqrt(a^2 + dt)", "sqrt(a**2 + dt) - a - dt/(2*a)", 2, True, DECIDE),
    ("half an order", "sqrt(dt)", 1, False, MAY_REFUSE),
    ("one order and a half", "dt**Q(3, 2)", 1, True, MAY_REFUSE),
    ("one order and a half are not two", "dt**Q(3, 2)", 2, False, MAY_REFUSE),
    ("dt log dt", "dt*log(dt)", 1, False, MAY_REFUSE),
    ("dt^2 log dt", "dt**2*log(dt)", 1, True, MAY_REFUSE),
    ("dt sin(1/dt)", "dt*sin(1/dt)", 1, True, MAY_REFUSE),
    ("exp(-1/dt)", "exp(-1/dt)", 4, True, MAY_REFUSE),
    ("dt exp(1/dt)", "dt**4*exp(1/dt)", 2, False, MAY_REFUSE),
    ("1/dt, hidden by a root", "dt/(sqrt(1 + dt) - 1)", 1, False, DECIDE),
    ("1/dt, hidden by an exponential", "dt/(exp(dt) - 1)", 1, False, DECIDE),
    ("1/dt^2, hidden", "dt**3/(exp(dt) - 1 - dt)", 2, False, DECIDE),
    ("1/dt^2, hidden, the true order", "dt**3/(exp(dt) - 1 - dt)", 1, True, DECIDE),
    # The value 0 of x is admissible, and there it is dt/dt, or sqrt(dt).
    ("dt/(dt + x^2), x = 0", "dt/(dt + x**2)", 1, False, MAY_REFUSE),
    ("sqrt(dt + x^2), x = 0", "sqrt(dt + x**2) - Abs(x)", 1, False, MAY_REFUSE),
    ("dt/(dt + a)", "dt/(dt + a)", 1, True, DECIDE),
    ("a list", "[dt**2, (dt**3, 0)]", 2, True, DECIDE),
    ("a list, one entry too large", "[dt**2, (dt**3, dt)]", 2, False, DECIDE),
    ("a matrix", "Matrix([[dt**2, x*dt**3]])", 2, True, DECIDE),
    ("noncommuting", "(1 + dt*A)*(1 + dt*B) - (1 + dt*B)*(1 + dt*A)", 2, True, MAY_REFUSE),
    ("noncommuting, one order too many", "(1 + dt*A)*(1 + dt*B) - (1 + dt*B)*(1 + dt*A)", 3, False, MAY_REFUSE),
    # At x = 1, at p = 0, at z = i pi/2.
    ("dt^2/(dt + x - 1), x = 1", "dt**2/(dt + x - 1)", 2, False, MAY_REFUSE),
    ("dt/(dt + p), p = 0", "dt/(dt + p)", 1, False, MAY_REFUSE),
    ("dt tanh(z + dt), z = i pi/2", "dt*tanh(z + dt)", 1, False, MAY_REFUSE),
    ("dt tanh(x + dt), x real", "dt*tanh(x + dt)", 1, True, MAY_REFUSE),
    ("dt^x, x = 0", "dt**x", 1, False, MAY_REFUSE),
    ("over dt and a hidden zero", "dt**2/(dt + hidden_1)", 1, True, MAY_REFUSE),
    ("over dt and a hidden zero, one order too many", "dt**2/(dt + hidden_1)", 2, False, MAY_REFUSE),
    ("a^dt", "a**dt - 1 - dt*log(a)", 2, True, DECIDE),
    ("a^dt, one order too many", "a**dt - 1 - dt*log(a)", 3, False, DECIDE),
    # The value at dt = 0 is i, the limit -i.
    ("below the cut", "sqrt(-1 - I*dt) - I", 1, False, MAY_REFUSE),
    ("above the cut", "sqrt(-1 + I*dt) - I", 1, True, MAY_REFUSE),
    ("below the cut of the logarithm", "log(-1 - I*dt) - I*pi", 1, False, MAY_REFUSE),
    ("larger of dt and dt^2", "Max(dt, dt**2)", 2, False, MAY_REFUSE),
    ("a piece that ends before 0", "Piecewise((dt, dt > 1), (dt**2, True))", 2, True, MAY_REFUSE),
    ("a piece near 0", "Piecewise((dt**2, dt > Q(1, 1000)), (dt, True))", 2, False, MAY_REFUSE),
    ("floor", "floor(dt)", 3, True, MAY_REFUSE),
    ("ceiling", "ceiling(dt)", 1, False, MAY_REFUSE),
    # f may be a square root.
    ("a difference of a function", "f(dt) - f(0)", 1, False, MAY_REFUSE),
    ("absolute value", "Abs(dt - dt**2)", 1, True, MAY_REFUSE),
    ("one over zero", "dt**2/hidden_1", 1, None, REFUSE),
    ("an empty list", "[]", 1, None, REFUSE),
    ("a relation", "dt > 0", 1, None, REFUSE),
    ("not a number", "nan*dt", 1, None, REFUSE),
]  # fmt: skip

# A row of FOLLOWS is (name, conclusion, assumptions, truth, duty). True: the conclusion is defined and holds for all real
# values of the symbols, admissible by their signs, that satisfy the assumptions (an assumption that is not defined is not
# satisfied). False: somewhere there it is defined and fails. None: no value satisfies the assumptions; or the conclusion
# fails nowhere and is undefined somewhere, a division by zero or a root of a negative number.
FOLLOWS: list[tuple[str, str, str, bool | None, str]] = [
    ("a square", "x**2 >= 0", "", True, DECIDE),
    ("a square is not positive", "x**2 > 0", "", False, DECIDE),
    ("a square of something else than zero", "x**2 > 0", "Ne(x, 0)", True, DECIDE),
    ("arithmetic and geometric mean", "(a + b)/2 >= sqrt(a*b)", "", True, DECIDE),
    ("arithmetic and geometric mean, strict", "(a + b)/2 > sqrt(a*b)", "", False, DECIDE),
    ("harmonic and geometric mean", "2/(1/a + 1/b) <= sqrt(a*b)", "", True, DECIDE),
    ("a/b + b/a", "a/b + b/a >= 2", "", True, DECIDE),
    ("x/y + y/x", "x/y + y/x >= 2", "x > 0", False, DECIDE),
    ("Cauchy-Schwarz", "(x1*y1 + x2*y2)**2 <= (x1**2 + x2**2)*(y1**2 + y2**2)", "", True, DECIDE),
    ("Cauchy-Schwarz, strict", "(x1*y1 + x2*y2)**2 < (x1**2 + x2**2)*(y1**2 + y2**2)", "", False, DECIDE),
    ("three squares", "x**2 + y**2 + s**2 >= x*y + y*s + s*x", "", True, DECIDE),
    ("Motzkin", "x**4*y**2 + x**2*y**4 + 1 >= 3*x**2*y**2", "", True, MAY_REFUSE),
    ("Motzkin, a little less", "x**4*y**2 + x**2*y**4 + 1 >= Q(301, 100)*x**2*y**2", "", False, DECIDE),
    ("Nesbitt", "a/(b + c) + b/(c + a) + c/(a + b) >= Q(3, 2)", "", True, MAY_REFUSE),
    ("on the circle", "x*y <= Q(1, 2)", "Eq(x**2 + y**2, 1)", True, DECIDE),
    ("on the circle, strict", "x*y < Q(1, 2)", "Eq(x**2 + y**2, 1)", False, DECIDE),
    ("a discriminant of 1e-20", "x**2 - 2*x*(1 + Q(1, 10**20)) + 1 >= 0", "", False, DECIDE),
    ("a distance of 1e-40", "x**2 - 2*x + 1 + Q(1, 10**40) > 0", "", True, DECIDE),
    ("weaker", "x >= 1", "x > 1", True, DECIDE),
    ("stronger", "x > 1", "x >= 1", False, DECIDE),
    ("implication", "Implies(x > 1, x**2 > 1)", "", True, DECIDE),
    ("implication, the other way", "Implies(x**2 > 1, x > 1)", "", False, DECIDE),
    ("equivalence", "Equivalent(x > 0, x**3 > 0)", "", True, MAY_REFUSE),
    ("a conjunction", "And(x + y > 1, x*y > 0)", "x > 1, y > 0", True, DECIDE),
    ("false", "false", "x > 0", False, DECIDE),
    ("true", "true", "x > 0", True, DECIDE),
    ("false without assumptions", "false", "", False, DECIDE),
    # Roots and quotients that are not defined everywhere.
    ("a root shrinks the domain", "Or(x >= 0, sqrt(x) < 0)", "", None, REFUSE),
    ("a root", "sqrt(x) >= 0", "", None, REFUSE),
    ("a root of a nonnegative number", "sqrt(x) >= 0", "x >= 0", True, DECIDE),
    ("a root is not positive", "sqrt(x) > 0", "x >= 0", False, DECIDE),
    ("a root by its symbol", "sqrt(p + 1) >= 1", "", True, DECIDE),
    ("a root that fails, and is undefined elsewhere", "sqrt(x) >= x", "", False, DECIDE),
    ("a root that holds, and is undefined elsewhere", "sqrt(x) >= x", "x <= 1", None, REFUSE),
    ("a root between 0 and 1", "sqrt(x) >= x", "x >= 0, x <= 1", True, DECIDE),
    ("a root of 1 - x^2", "sqrt(1 - x**2) <= 1", "", None, REFUSE),
    ("a root of 1 - x^2 in the interval", "sqrt(1 - x**2) <= 1", "x**2 <= 1", True, DECIDE),
    ("a root in a root", "sqrt(sqrt(x) - 1) >= 0", "x >= 0", None, REFUSE),
    ("a root in a root, x >= 1", "sqrt(sqrt(x) - 1) >= 0", "x >= 1", True, DECIDE),
    ("a product of roots", "sqrt(x - 1)*sqrt(x + 1) >= 0", "x**2 >= 1", None, REFUSE),
    ("subadditive root", "sqrt(p + q) <= sqrt(p) + sqrt(q)", "", True, DECIDE),
    ("subadditive root, the other way", "sqrt(p + q) >= sqrt(p) + sqrt(q)", "", False, DECIDE),
    ("power 3/2", "x**Q(3, 2) >= 0", "", None, REFUSE),
    ("power 3/2, x >= 1", "x**Q(3, 2) >= x", "x >= 1", True, MAY_REFUSE),
    ("cube root", "cbrt(x) <= x", "x >= 1", True, MAY_REFUSE),
    ("cube root, x = 1/8", "cbrt(x) <= x", "x >= 0", False, MAY_REFUSE),
    ("cube root of a negative number", "cbrt(x) >= 0", "", None, REFUSE),
    ("a reciprocal that fails", "1/x > 0", "", False, DECIDE),
    ("a reciprocal, x = 0", "1/x > 0", "x >= 0", None, REFUSE),
    ("a reciprocal", "1/x > 0", "x > 0", True, DECIDE),
    ("a reciprocal of a square", "1/x**2 > 0", "", None, REFUSE),
    ("a reciprocal of 1 + x^2", "1/(1 + x**2) <= 1", "", True, DECIDE),
    ("a reciprocal of 1 + x^2, strict", "1/(1 + x**2) < 1", "", False, DECIDE),
    ("removable", "Eq((x**2 - 1)/(x - 1), x + 1)", "", None, REFUSE),
    ("removable, x is not 1", "Eq((x**2 - 1)/(x - 1), x + 1)", "Ne(x, 1)", True, DECIDE),
    ("nothing is known of 1/0", "Ne(1/x, 5)", "Eq(x, 0)", None, REFUSE),
    ("partial fractions", "Eq(1/(y*(y - 1)) + 1/y, 1/(y - 1))", "y > 0", None, REFUSE),
    ("partial fractions, y > 1", "Eq(1/(y*(y - 1)) + 1/y, 1/(y - 1))", "y > 1", True, DECIDE),
    ("two names of 1/0", "Eq(1/x + 1/y, (x + y)/(x*y))", "x >= 0, y > 0", None, REFUSE),
    ("a denominator that is zero", "x/(sqrt(y**2 + 2*y + 1) - y - 1) >= 0", "x >= 0, y >= 0", None, REFUSE),
    ("undefined in one piece of a conjunction", "And(x**2 >= 0, 1/x**2 >= 0)", "", None, REFUSE),
    ("undefined in an equation of roots", "Eq(sqrt(x)**2, x) & (sqrt(x) >= 0)", "x >= -1", None, REFUSE),
    # Roots and quotients in assumptions.
    ("an assumption that is defined", "x >= 0", "sqrt(x) >= 0", True, DECIDE),
    ("an assumption that is defined, strict", "x > 0", "sqrt(x) >= 0", False, DECIDE),
    ("a reciprocal in an assumption", "Ne(x, 0)", "1/x < 5", True, DECIDE),
    ("a reciprocal in an assumption, the sign", "x > 0", "1/x < 5", False, DECIDE),
    ("an assumption makes the conclusion defined", "sqrt(x) < 2", "sqrt(x) < 1", True, DECIDE),
    ("an assumption bounds a root", "x < 4", "sqrt(x) < 2", True, DECIDE),
    # Assumptions that contradict each other.
    ("contradiction", "x < 5", "x > 1, x < 0", None, REFUSE),
    ("contradiction, false", "false", "x > 1, x < 0", None, REFUSE),
    ("contradiction, true", "true", "x > 1, x < 0", None, REFUSE),
    ("a negative square", "x > 5", "x**2 < 0", None, REFUSE),
    ("a negative root", "x > 5", "sqrt(x) < 0", None, REFUSE),
    ("a zero reciprocal", "x > 5", "Eq(1/x, 0)", None, REFUSE),
    ("a sign that the symbol has not", "x > 5", "a*x < 0, x > 0", None, REFUSE),
    ("false assumed", "x > 5", "false", None, REFUSE),
    ("no root of a negative number", "x < 5", "x < 0, sqrt(x) > -1", None, REFUSE),
    ("no reciprocal of zero", "x < 5", "Eq(x, 0), 1/x > 3", None, REFUSE),
    ("three that contradict", "x < 5", "x + y > 2, x < 1, y < 1", None, REFUSE),
    ("no integer", "j < 5", "j > 0, j < 1", None, REFUSE),
    ("no half of an integer", "j < 5", "Eq(2*j, 1)", None, REFUSE),
    ("an infinite symbol", "inf > 0", "", None, REFUSE),
    # Kinds of symbols.
    ("an integer", "Or(k <= 0, k >= 1)", "", True, DECIDE),
    ("no integer, real", "Or(x <= 0, x >= 1)", "", False, DECIDE),
    ("square of an integer", "k**2 >= k", "", True, DECIDE),
    ("square of a real number", "x**2 >= x", "", False, DECIDE),
    ("odd", "Ne(od, 2*j)", "", True, MAY_REFUSE),
    ("even", "Ne(ev, 2*j)", "", False, MAY_REFUSE),
    ("negative times positive", "neg*x < 0", "x > 0", True, DECIDE),
    ("nonpositive times positive", "npos*x < 0", "x > 0", False, DECIDE),
    ("nonpositive times positive, weak", "npos*x <= 0", "x > 0", True, DECIDE),
    ("a symbol that is not zero", "x/nz**2 >= 0", "x >= 0", True, DECIDE),
    ("a reciprocal of a symbol that is not zero", "nz*(1/nz + 1) >= 1 + nz", "", True, DECIDE),
    # Absolute values, the larger, floats, functions.
    ("triangle inequality", "Abs(x + y) <= Abs(x) + Abs(y)", "", True, DECIDE),
    ("triangle inequality, strict", "Abs(x + y) < Abs(x) + Abs(y)", "", False, DECIDE),
    ("reverse triangle inequality", "Abs(Abs(x) - Abs(y)) <= Abs(x - y)", "", True, DECIDE),
    ("max", "Max(x, y) >= x", "", True, DECIDE),
    ("max, strict", "Max(x, y) > x", "", False, DECIDE),
    ("max and min", "Eq(Max(x, y) + Min(x, y), x + y)", "", True, DECIDE),
    ("sign", "sign(x)*x >= 0", "", True, MAY_REFUSE),
    ("sign^2", "sign(x)**2 >= 1", "", False, MAY_REFUSE),
    ("pieces", "Piecewise((x, x > 0), (-x, True)) >= 0", "", True, MAY_REFUSE),
    ("pieces, wrong", "Piecewise((x, x > 0), (-x, True)) > 0", "", False, MAY_REFUSE),
    ("a piece that guards a reciprocal", "Piecewise((1/x, x > 0), (0, True)) >= 0", "", True, MAY_REFUSE),
    ("pieces with a gap", "Piecewise((x, x > 0)) > 0", "", None, REFUSE),
    ("a float", "x >= 0.3", "x >= 0.1 + 0.2", True, DECIDE),
    ("a float, the other way", "x >= 0.1 + 0.2", "x >= 0.3", False, DECIDE),
    ("1.4 < sqrt 2", "sqrt(2)*x >= Q(7, 5)*x", "x >= 0", True, DECIDE),
    ("1.41422 > sqrt 2", "sqrt(2)*x >= Q(141422, 100000)*x", "x >= 0", False, DECIDE),
    ("3 < pi", "pi*x >= 3*x", "x >= 0", True, MAY_REFUSE),
    ("exponential", "exp(x) > 0", "", True, MAY_REFUSE),
    ("exponential, convex", "exp(x) >= 1 + x", "", True, MAY_REFUSE),
    # At x = -1: 0.37 and 0.5.
    ("exponential, Taylor", "exp(x) >= 1 + x + x**2/2", "", False, MAY_REFUSE),
    ("logarithm", "log(a) <= a - 1", "", True, MAY_REFUSE),
    ("logarithm of a negative number", "log(x) <= x - 1", "", None, REFUSE),
    ("sine", "sin(x) <= Q(9, 10)", "", False, MAY_REFUSE),
    ("a function", "f(x) >= 0", "", False, MAY_REFUSE),
    ("a function of equal values", "Eq(f(x), f(y))", "Eq(x, y)", True, MAY_REFUSE),
    ("powers of integers", "2**n >= n + 1", "", True, MAY_REFUSE),
    ("a root of a square", "Eq(sqrt(x**2 + 2*x + 1), Abs(x + 1))", "", True, DECIDE),
    ("a root of a square, wrong", "Eq(sqrt(x**2 + 2*x + 1), x + 1)", "", False, DECIDE),
    ("a root is not negative, undefined", "Ne(sqrt(x), -1)", "", None, REFUSE),
    ("a negation, undefined", "Not(sqrt(x) < 0)", "", None, REFUSE),
    ("undefined in a maximum", "Max(1/x, 1) >= 1", "", None, REFUSE),
    ("undefined in an absolute value", "Abs(1/x) > 0", "", None, REFUSE),
    ("a piece that does not guard", "Piecewise((1/x, x >= 0), (1, True)) > 0", "", None, REFUSE),
    ("a piece that guards a root", "Piecewise((sqrt(x), x >= 0), (0, True)) >= 0", "", True, MAY_REFUSE),
    ("a condition that is undefined", "Piecewise((x, sqrt(x) > 1), (x**2, True)) >= 0", "", None, REFUSE),
    ("an integer, zero or not", "Or(Eq(j, 0), j**2 >= 1)", "", True, DECIDE),
    ("a real number, zero or not", "Or(Eq(x, 0), x**2 >= 1)", "", False, DECIDE),
    ("multiples of three", "Ne(3*j, 3*k + 1)", "", True, MAY_REFUSE),
    ("no rational root of 2", "ra < 5", "Eq(ra**2, 2)", None, REFUSE),
    ("a rational number is not sqrt 2", "Ne(ra**2, 2)", "", True, MAY_REFUSE),
    ("a real number may be sqrt 2", "Ne(x**2, 2)", "", False, DECIDE),
    ("a hidden zero times 1e200", "x*(sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)) >= 0", "x >= 10**200", True, MAY_REFUSE),
    ("a hidden zero times 1e200, strict", "x*(sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)) > 0", "x >= 10**200", False, MAY_REFUSE),
    ("over a hidden zero", "x/(sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)) >= 0", "x >= 0", None, REFUSE),
    ("Schur", "a*(a - b)*(a - c) + b*(b - a)*(b - c) + c*(c - a)*(c - b) >= 0", "", True, MAY_REFUSE),
    # Cirtoaje 1992.
    ("a quartic", "(x**2 + y**2 + s**2)**2 >= 3*(x**3*y + y**3*s + s**3*x)", "", True, MAY_REFUSE),
    ("a quartic, factor 4", "(x**2 + y**2 + s**2)**2 >= 4*(x**3*y + y**3*s + s**3*x)", "", False, DECIDE),
    ("undefined where another part holds", "Or(x <= 0, x + 1/x >= 2)", "", None, REFUSE),
    ("no relation", "x", "", None, REFUSE),
    ("no relation, zero", "Integer(0)", "", None, REFUSE),
    ("an assumption that is no relation", "x > 0", "x", None, REFUSE),
]  # fmt: skip

# A row of VECTORS is (name, expression, truth, duty). The expression is a function of a `Kit`, whose vectors and operators
# are abstract, or numbers: so each truth is looked at with matrices too. True: zero in every space of finite dimension with
# any inner product, for all positive semi-definite L and S, all maps J and K, all vectors, and all a, b > 0.


class Kit(NamedTuple):
    """One space V with vectors u, v, w, self-adjoint positive semi-definite operators L and S, and a map K to itself; a
    space W with a vector r, and a map J from V to W; two positive numbers.
    """

    V: Any
    W: Any
    u: Any
    v: Any
    w: Any
    r: Any
    L: Any
    S: Any
    J: Any
    K: Any
    a: Any
    b: Any


def abstract_kit() -> Kit:
    V, W = Space("P"), Space("N")
    operators = V.operator("L"), V.operator("S"), Map.between("J", V, W), Map.between("K", V, V)
    return Kit(V, W, *V.vectors("u v w"), W.vector("r"), *operators, SYMBOLS["a"], SYMBOLS["b"])


def gram(*vectors: Any) -> Any:
    return sp.Matrix(len(vectors), len(vectors), lambda i, j: vectors[i] @ vectors[j]).det()


def _moved_before_the_relation(k: Kit) -> Any:
    before = k.L(k.u) @ k.v
    k.L.solve_shifted(k.u, k.a)
    return before - k.u @ k.L(k.v)


def _solved_after(k: Kit) -> Any:
    before = k.u @ k.v
    k.L.solve_shifted(k.u, k.a)
    return before - k.u @ k.v


def _solved_on_both_sides(k: Kit) -> Any:
    p, q = k.L.solve_shifted(k.u, k.a), k.L.solve_shifted(k.v, k.a)
    return k.L(p) @ q - p @ k.L(q)


def _energy_of_a_resolvent(k: Kit) -> Any:
    p = k.L.solve_shifted(k.u, k.a)
    return k.u @ k.u - p @ p - 2 * k.a * (k.L(p) @ p) - k.a**2 * (k.L(p) @ k.L(p))


def _resolvents(k: Kit, factor: Any) -> Any:
    """R_a - R_b = (b - a) L R_a R_b, for R_a = (1 + a L)^-1."""
    p, q = k.L.solve_shifted(k.u, k.a), k.L.solve_shifted(k.u, k.b)
    return p - q - factor * k.L(k.L.solve_shifted(q, k.a))


def _solve(operator: Any, u: Any, *steps: Any) -> Any:
    for dt in steps:
        u = operator.solve_shifted(u, dt)
    return u


VECTORS: list[tuple[str, Any, bool | None, str]] = [
    ("zero vector", lambda k: k.u - k.u, True, DECIDE),
    ("two vectors", lambda k: k.u - k.v, False, DECIDE),
    ("a multiple that is hidden", lambda k: ((k.a + 1) ** 2 - k.a**2 - 2 * k.a - 1) * k.u, True, DECIDE),
    ("parallelogram", lambda k: (k.u + k.v) @ (k.u + k.v) + (k.u - k.v) @ (k.u - k.v) - 2 * (k.u @ k.u + k.v @ k.v), True, DECIDE),
    ("polarisation", lambda k: (k.u + k.v) @ (k.u + k.v) - (k.u - k.v) @ (k.u - k.v) - 4 * (k.u @ k.v), True, DECIDE),
    ("Pythagoras", lambda k: (k.u + k.v) @ (k.u + k.v) - k.u @ k.u - k.v @ k.v, False, DECIDE),
    ("L S and S L", lambda k: k.L(k.S(k.u)) - k.S(k.L(k.u)), False, DECIDE),
    ("L S and S L, form", lambda k: k.L(k.S(k.u)) @ k.v - k.S(k.L(k.u)) @ k.v, False, DECIDE),
    ("L S and S L, quadratic form", lambda k: k.L(k.S(k.u)) @ k.u - k.S(k.L(k.u)) @ k.u, True, DECIDE),
    ("self-adjoint", lambda k: k.L(k.u) @ k.v - k.u @ k.L(k.v), True, DECIDE),
    ("square of L", lambda k: k.L(k.L(k.u)) @ k.u - k.L(k.u) @ k.L(k.u), True, DECIDE),
    ("L is no identity", lambda k: k.L(k.u) @ k.u - k.u @ k.u, False, DECIDE),
    ("adjoint", lambda k: k.J(k.u) @ k.r - k.u @ k.J.adjoint(k.r), True, DECIDE),
    ("J* J", lambda k: k.J.adjoint(k.J(k.u)) @ k.v - k.J(k.u) @ k.J(k.v), True, DECIDE),
    ("J* J is self-adjoint", lambda k: k.J.adjoint(k.J(k.u)) @ k.v - k.u @ k.J.adjoint(k.J(k.v)), True, DECIDE),
    ("J J* J", lambda k: k.J(k.J.adjoint(k.J(k.u))) @ k.r - k.J(k.u) @ k.J(k.J.adjoint(k.r)), True, DECIDE),
    ("K* K and K K*", lambda k: k.K.adjoint(k.K(k.u)) - k.K(k.K.adjoint(k.u)), False, DECIDE),
    ("K* K and K K*, quadratic form", lambda k: k.K(k.u) @ k.K(k.u) - k.K.adjoint(k.u) @ k.K.adjoint(k.u), False, DECIDE),
    ("K is not self-adjoint", lambda k: k.K(k.u) @ k.v - k.u @ k.K(k.v), False, DECIDE),
    ("K - K* is skew", lambda k: (k.K(k.u) - k.K.adjoint(k.u)) @ k.u, True, DECIDE),
    ("K - K* is not zero", lambda k: (k.K(k.u) - k.K.adjoint(k.u)) @ k.v, False, DECIDE),
    ("sum of operators", lambda k: (k.L + k.S)(k.u) - k.S(k.u) - k.L(k.u), True, DECIDE),
    # Resolvents.
    ("defining relation", lambda k: _solve(k.L, k.u, k.a) + k.a * k.L(_solve(k.L, k.u, k.a)) - k.u, True, DECIDE),
    ("resolvent and identity", lambda k: _solve(k.L, k.u, k.a) - k.u, False, DECIDE),
    ("A^-1 S = S A^-1", lambda k: _solve(k.S, k.S(k.u), k.a) - k.S(_solve(k.S, k.u, k.a)), True, DECIDE),
    ("S A^-1 = A^-1 S, formed the other way", lambda k: k.S(_solve(k.S, k.u, k.a)) - _solve(k.S, k.S(k.u), k.a), True, DECIDE),
    ("A^-1 S S = S S A^-1", lambda k: _solve(k.S, k.S(k.S(k.u)), k.a) - k.S(k.S(_solve(k.S, k.u, k.a))), True, DECIDE),
    ("a resolvent of L and S", lambda k: _solve(k.L, k.S(k.u), k.a) - k.S(_solve(k.L, k.u, k.a)), False, MAY_REFUSE),
    ("two resolvents of L", lambda k: _solve(k.L, k.u, k.a, k.b) - _solve(k.L, k.u, k.b, k.a), True, DECIDE),
    ("two resolvents of L, different", lambda k: _solve(k.L, k.u, k.a) - _solve(k.L, k.u, k.b), False, DECIDE),
    ("one resolvent, not two", lambda k: _solve(k.L, k.u, k.a) - _solve(k.L, k.u, k.a, k.a), False, DECIDE),
    ("resolvents of L and of S", lambda k: _solve(k.L, k.u, k.a) - _solve(k.S, k.u, k.a), False, MAY_REFUSE),
    ("resolvents of L and S do not commute",
     lambda k: _solve(k.L, _solve(k.S, k.u, k.a), k.a) - _solve(k.S, _solve(k.L, k.u, k.a), k.a), False, MAY_REFUSE),
    ("resolvent identity", lambda k: _resolvents(k, k.b - k.a), True, DECIDE),
    ("resolvent identity, sign", lambda k: _resolvents(k, k.a - k.b), False, DECIDE),
    ("linear", lambda k: _solve(k.L, k.u + 2 * k.v, k.a) - _solve(k.L, k.u, k.a) - 2 * _solve(k.L, k.v, k.a), True, DECIDE),
    ("a resolvent is self-adjoint", lambda k: _solve(k.L, k.u, k.a) @ k.v - k.u @ _solve(k.L, k.v, k.a), True, DECIDE),
    ("two resolvents in a form", lambda k: _solve(k.L, k.u, k.a) @ _solve(k.L, k.v, k.b)
     - _solve(k.L, k.u, k.b) @ _solve(k.L, k.v, k.a), True, MAY_REFUSE),
    ("energy of a resolvent", _energy_of_a_resolvent, True, DECIDE),
    ("(L p, q) = (p, L q)", _solved_on_both_sides, True, DECIDE),
    ("(L u, v) = (u, L v), u solved between", _moved_before_the_relation, True, DECIDE),
    ("(u, v), u solved between", _solved_after, True, DECIDE),
    ("one step written in two ways", lambda k: _solve(k.L, k.u, k.a * (k.a + 1)) - _solve(k.L, k.u, k.a**2 + k.a), True, MAY_REFUSE),
    ("L + S and S + L", lambda k: _solve(k.L + k.S, k.u, k.a) - _solve(k.S + k.L, k.u, k.a), True, MAY_REFUSE),
    ("L + S and its resolvent",
     lambda k: _solve(k.L + k.S, (k.L + k.S)(k.u), k.a) - (k.L + k.S)(_solve(k.L + k.S, k.u, k.a)), True, MAY_REFUSE),
    ("L and the resolvent of L + S", lambda k: _solve(k.L + k.S, k.L(k.u), k.a) - k.L(_solve(k.L + k.S, k.u, k.a)), False, MAY_REFUSE),
    ("resolvent in J", lambda k: k.J(_solve(k.L, k.u, k.a)) @ k.r - _solve(k.L, k.u, k.a) @ k.J.adjoint(k.r), True, DECIDE),
    ("resolvent in J, moved", lambda k: k.J(_solve(k.L, k.u, k.a)) @ k.r - k.u @ _solve(k.L, k.J.adjoint(k.r), k.a), True, MAY_REFUSE),
    # Gram determinants are nonnegative.
    ("Cauchy-Schwarz is no equality", lambda k: gram(k.u, k.v), False, DECIDE),
    ("root of a squared Gram determinant", lambda k: sp.sqrt(gram(k.u, k.v) ** 2) - gram(k.u, k.v), True, DECIDE),
    ("absolute value of a Gram determinant", lambda k: abs(gram(k.u, k.v)) - gram(k.u, k.v), True, DECIDE),
    ("root of a squared Gram determinant, wrong", lambda k: sp.sqrt(gram(k.u, k.v) ** 2) + gram(k.u, k.v), False, DECIDE),
    ("root of a squared Gram determinant of three",
     lambda k: sp.sqrt(gram(k.u, k.v, k.w) ** 2) - gram(k.u, k.v, k.w), True, MAY_REFUSE),
    ("four vectors, no Gram matrix of theirs is like that",
     lambda k: sp.sqrt((k.u @ k.u + k.v @ k.v - 2 * (k.u @ k.v)) ** 2) - (k.u - k.v) @ (k.u - k.v), True, MAY_REFUSE),
    ("root of |u|^4", lambda k: sp.sqrt((k.u @ k.u) ** 2) - k.u @ k.u, True, DECIDE),
    ("root of (u, v)^2", lambda k: sp.sqrt((k.u @ k.v) ** 2) - k.u @ k.v, False, DECIDE),
    ("root of |u|^2 |v|^2", lambda k: sp.sqrt((k.u @ k.u) * (k.v @ k.v)) - abs(k.u @ k.v), False, DECIDE),
    ("root of (L u, u)^2", lambda k: sp.sqrt((k.L(k.u) @ k.u) ** 2) - k.L(k.u) @ k.u, True, DECIDE),
    ("root of (K u, u)^2", lambda k: sp.sqrt((k.K(k.u) @ k.u) ** 2) - k.K(k.u) @ k.u, False, DECIDE),
    ("Gram determinant for L", lambda k: sp.sqrt(
        ((k.L(k.u) @ k.u) * (k.L(k.v) @ k.v) - (k.L(k.u) @ k.v) ** 2) ** 2)
     - (k.L(k.u) @ k.u) * (k.L(k.v) @ k.v) + (k.L(k.u) @ k.v) ** 2, True, MAY_REFUSE),
    ("determinant for K is of either sign", lambda k: sp.sqrt(
        ((k.K(k.u) @ k.u) * (k.K(k.v) @ k.v) - (k.K(k.u) @ k.v) ** 2) ** 2)
     - (k.K(k.u) @ k.u) * (k.K(k.v) @ k.v) + (k.K(k.u) @ k.v) ** 2, False, DECIDE),
    ("(L u, v) is of either sign", lambda k: sp.sqrt((k.L(k.u) @ k.v) ** 2) - k.L(k.u) @ k.v, False, DECIDE),
    ("(R u, u) is nonnegative", lambda k: abs(_solve(k.L, k.u, k.a) @ k.u) - _solve(k.L, k.u, k.a) @ k.u, True, MAY_REFUSE),
    ("dependent vectors", lambda k: gram(k.u, k.v, k.u - 3 * k.v), True, DECIDE),
    ("over the Gram determinant of dependent vectors", lambda k: 1 / gram(k.u, k.v, k.u - 3 * k.v), None, REFUSE),
    ("Gram-Schmidt", lambda k: (k.v - ((k.u @ k.v) / (k.u @ k.u)) * k.u) @ k.u, True, DECIDE),
    ("Gram-Schmidt, the square", lambda k: (lambda d: d @ d * (k.u @ k.u) - gram(k.u, k.v))(
        k.v - ((k.u @ k.v) / (k.u @ k.u)) * k.u), True, DECIDE),
    ("unit vector", lambda k: (k.u / sp.sqrt(k.u @ k.u)) @ (k.u / sp.sqrt(k.u @ k.u)) - 1, True, DECIDE),
    ("Jordan-von Neumann with L", lambda k: k.L(k.u - k.v) @ (k.u - k.v) - k.L(k.u) @ k.u + 2 * (k.L(k.u) @ k.v)
     - k.L(k.v) @ k.v, True, DECIDE),
    ("telescope", lambda k: 2 * ((k.u - k.v) @ k.u) - k.u @ k.u + k.v @ k.v - (k.u - k.v) @ (k.u - k.v), True, DECIDE),
    ("telescope of BDF2", lambda k: 2 * ((3 * k.u - 4 * k.v + k.w) @ k.u) - k.u @ k.u - (2 * k.u - k.v) @ (2 * k.u - k.v)
     + k.v @ k.v + (2 * k.v - k.w) @ (2 * k.v - k.w) - (k.u - 2 * k.v + k.w) @ (k.u - 2 * k.v + k.w), True, DECIDE),
    ("telescope of BDF2, wrong", lambda k: 2 * ((3 * k.u - 4 * k.v + k.w) @ k.u) - k.u @ k.u - (2 * k.u - k.v) @ (2 * k.u - k.v)
     + k.v @ k.v + (2 * k.v + k.w) @ (2 * k.v - k.w) - (k.u - 2 * k.v + k.w) @ (k.u - 2 * k.v + k.w), False, DECIDE),
    ("a list of vectors", lambda k: [k.u - k.u, 0, [k.L(k.u) @ k.v - k.u @ k.L(k.v)]], True, DECIDE),
    ("a list of vectors, wrong", lambda k: [k.u - k.u, 0, [k.v]], False, DECIDE),
]  # fmt: skip


def _cayley(u: Any, operator: Any, dt: Any) -> Any:
    return 2 * operator.solve_shifted(u, dt) - u


def _second_identity(k: Kit, sign: int) -> Any:
    """R_L - R_S = a R_L (S - L) R_S."""
    q = _solve(k.S, k.u, k.a)
    return _solve(k.L, k.u, k.a) - q - sign * k.a * _solve(k.L, k.S(q) - k.L(q), k.a)


def _energy_of_a_cayley_transform(k: Kit) -> Any:
    p, c = _solve(k.L, k.u, k.a), _cayley(k.u, k.L, k.a)
    return c @ c - k.u @ k.u + 4 * k.a * (k.L(p) @ p)


def _of_three_sums(k: Kit) -> Any:
    """Second resolvent identities of L and L + S, and of S and L + S."""
    T, p, q = k.L + k.S, _solve(k.L, k.u, k.a), _solve(k.S, k.v, k.a)
    return p - _solve(T, k.u + k.a * k.S(p), k.a) + q - _solve(T, k.v + k.a * k.L(q), k.a)


def _excess(d: Any) -> Any:
    return abs(d) - d


VECTORS += [
    # Resolvents of several operators, sums and maps.
    ("second resolvent identity", lambda k: _second_identity(k, 1), True, DECIDE),
    ("second resolvent identity, sign", lambda k: _second_identity(k, -1), False, DECIDE),
    ("resolvents of L and L + S", lambda k: _solve(k.L, k.u, k.a) - _solve(k.L + k.S, k.u, k.a)
     - k.a * _solve(k.L + k.S, k.S(_solve(k.L, k.u, k.a)), k.a), True, DECIDE),
    ("resolvents of L and L + S, wrong", lambda k: _solve(k.L, k.u, k.a) - _solve(k.L + k.S, k.u, k.a)
     - k.a * _solve(k.L + k.S, k.S(_solve(k.L + k.S, k.u, k.a)), k.a), False, DECIDE),
    ("resolvents of L, S and L + S", _of_three_sums, True, MAY_REFUSE),
    ("L + S and two of its resolvents", lambda k: _solve(k.L + k.S, (k.L + k.S)(_solve(k.L + k.S, k.u, k.b)), k.a)
     - (k.L + k.S)(_solve(k.L + k.S, k.u, k.a, k.b)), True, DECIDE),
    ("the resolvent of L + S, term by term", lambda k: _solve(k.L + k.S, k.S(k.u), k.a) + _solve(k.L + k.S, k.L(k.u), k.a)
     - (k.L + k.S)(_solve(k.L + k.S, k.u, k.a)), True, DECIDE),
    ("L + L is 2 L", lambda k: _solve(k.L + k.L, k.u, k.a) - _solve(k.L, k.u, 2 * k.a), True, DECIDE),
    ("L + L is not L", lambda k: _solve(k.L + k.L, k.u, k.a) - _solve(k.L, k.u, k.a), False, DECIDE),
    ("three resolvents", lambda k: _solve(k.L, k.u, k.a, k.b, k.a + k.b) - _solve(k.L, k.u, k.a + k.b, k.a, k.b), True, MAY_REFUSE),
    ("inverse of a product", lambda k: _solve(
        k.L, k.u + (k.a + k.b) * k.L(k.u) + k.a * k.b * k.L(k.L(k.u)), k.a, k.b) - k.u, True, DECIDE),
    ("inverse of a product, wrong", lambda k: _solve(
        k.L, k.u + (k.a + k.b) * k.L(k.u) + k.a * k.a * k.L(k.L(k.u)), k.a, k.b) - k.u, False, DECIDE),
    ("Cayley transforms commute", lambda k: _cayley(_cayley(k.u, k.L, k.a), k.L, k.b)
     - _cayley(_cayley(k.u, k.L, k.b), k.L, k.a), True, DECIDE),
    ("energy of a Cayley transform", _energy_of_a_cayley_transform, True, DECIDE),
    ("adjoint of Lie splitting", lambda k: _solve(k.L, _solve(k.S, k.u, k.b), k.a) @ k.v
     - k.u @ _solve(k.S, _solve(k.L, k.v, k.a), k.b), True, DECIDE),
    ("Lie splitting is not self-adjoint", lambda k: _solve(k.L, _solve(k.S, k.u, k.b), k.a) @ k.v
     - k.u @ _solve(k.L, _solve(k.S, k.v, k.b), k.a), False, DECIDE),
    ("quadratic form of Lie splitting", lambda k: _solve(k.L, _solve(k.S, k.u, k.b), k.a) @ k.u
     - _solve(k.S, _solve(k.L, k.u, k.a), k.b) @ k.u, True, DECIDE),
    ("Strang splitting is self-adjoint", lambda k: _solve(k.L, _solve(k.S, _solve(k.L, k.u, k.a), k.b), k.a) @ k.v
     - k.u @ _solve(k.L, _solve(k.S, _solve(k.L, k.v, k.a), k.b), k.a), True, DECIDE),
    ("R J* J R is self-adjoint", lambda k: _solve(k.L, k.J.adjoint(k.J(_solve(k.L, k.u, k.a))), k.a) @ k.v
     - k.u @ _solve(k.L, k.J.adjoint(k.J(_solve(k.L, k.v, k.a))), k.a), True, DECIDE),
    ("R J* J R' is not self-adjoint", lambda k: _solve(k.L, k.J.adjoint(k.J(_solve(k.L, k.u, k.a))), k.b) @ k.v
     - k.u @ _solve(k.L, k.J.adjoint(k.J(_solve(k.L, k.v, k.a))), k.b), False, DECIDE),
    ("K R K* is self-adjoint", lambda k: k.K(_solve(k.L, k.K.adjoint(k.u), k.a)) @ k.v
     - k.u @ k.K(_solve(k.L, k.K.adjoint(k.v), k.a)), True, DECIDE),
    ("K R K is not self-adjoint", lambda k: k.K(_solve(k.L, k.K(k.u), k.a)) @ k.v
     - k.u @ k.K(_solve(k.L, k.K(k.v), k.a)), False, DECIDE),
    ("product of forms of resolvents", lambda k: (_solve(k.L, k.u, k.a, k.b) @ k.v) * (_solve(k.L, k.w, k.a) @ k.v)
     - (_solve(k.L, k.u, k.a) @ _solve(k.L, k.v, k.b)) * (k.w @ _solve(k.L, k.v, k.a)), True, DECIDE),
    ("product of forms, vectors exchanged", lambda k: (_solve(k.L, k.u, k.a) @ k.v) * (_solve(k.L, k.w, k.a) @ k.v)
     - (k.u @ _solve(k.L, k.w, k.a)) * (k.v @ _solve(k.L, k.v, k.a)), False, DECIDE),
    ("product of forms, steps exchanged", lambda k: (_solve(k.L, k.u, k.a) @ k.u) * (_solve(k.L, k.u, k.b) @ k.u)
     - (_solve(k.L, k.u, k.a, k.b) @ k.u) * (k.u @ k.u), False, DECIDE),
    ("quotient of forms", lambda k: (_solve(k.L, k.u, k.a, k.b) @ k.u) / (k.v @ k.v)
     - (_solve(k.L, k.u, k.a) @ _solve(k.L, k.u, k.b)) / (k.v @ k.v), True, DECIDE),
    # Signs of Gram matrices.
    ("Gram determinant of combinations", lambda k: _excess(gram(k.u - k.a * k.v, k.w)), True, DECIDE),
    ("norm of a combination", lambda k: _excess((k.u - k.a * k.v) @ (k.u - k.a * k.v)), True, DECIDE),
    ("norm of a sum of images", lambda k: _excess((k.J(k.u) - k.r) @ (k.J(k.u) - k.r)), True, DECIDE),
    ("Gram determinant of images", lambda k: _excess(gram(k.J(k.u), k.J(k.v))), True, DECIDE),
    ("Gram determinant, negative", lambda k: abs(-gram(k.u, k.v)) - gram(k.u, k.v), True, DECIDE),
    ("Gram determinant over a norm", lambda k: sp.sqrt((gram(k.u, k.v) / (k.u @ k.u)) ** 2) - gram(k.u, k.v) / (k.u @ k.u),
     True, DECIDE),
    ("root of a product of Gram determinants", lambda k: sp.sqrt(gram(k.u, k.v) * gram(k.u, k.w))
     - sp.sqrt(gram(k.u, k.v)) * sp.sqrt(gram(k.u, k.w)), True, DECIDE),
    ("a minor that is not principal", lambda k: _excess((k.u @ k.u) * (k.v @ k.w) - (k.u @ k.v) * (k.u @ k.w)), False, DECIDE),
    ("moments 0, 1, 2", lambda k: _excess((k.u @ k.u) * (k.L(k.u) @ k.L(k.u)) - (k.L(k.u) @ k.u) ** 2), True, DECIDE),
    ("moments 1, 2, 3", lambda k: _excess(
        (k.L(k.u) @ k.u) * (k.L(k.L(k.u)) @ k.L(k.u)) - (k.L(k.u) @ k.L(k.u)) ** 2), True, DECIDE),
    ("Gram determinant of resolvents", lambda k: _excess(gram(_solve(k.L, k.u, k.a), _solve(k.S, k.v, k.b))), True, DECIDE),
    ("a form that is no square", lambda k: _excess(k.u @ k.u - 3 * (k.u @ k.v)), False, DECIDE),
]  # fmt: skip


def _in_dt(make: Any) -> Any:
    """A row of SMALL about vectors: `make` of a kit whose step a is dt."""
    return lambda: make(abstract_kit()._replace(a=SYMBOLS["dt"]))


def _related(k: Kit) -> Any:
    k.V.relate(k.w, k.u / k.a)
    return k.a * k.w


def _related_later(k: Kit) -> Any:
    form = k.a * (k.w @ k.v)
    k.V.relate(k.w, k.u / k.a)
    return form


SMALL += [
    ("a vector", _in_dt(lambda k: k.a * k.u), 1, True, DECIDE),
    ("a vector, one order too many", _in_dt(lambda k: k.a * k.u), 2, False, DECIDE),
    ("a resolvent", _in_dt(lambda k: _solve(k.L, k.u, k.a) - k.u), 1, True, DECIDE),
    ("a resolvent, one order too many", _in_dt(lambda k: _solve(k.L, k.u, k.a) - k.u), 2, False, MAY_REFUSE),
    ("implicit and explicit step", _in_dt(lambda k: _solve(k.L, k.u, k.a) - k.u + k.a * k.L(k.u)), 2, True, DECIDE),
    ("implicit and explicit step, one order too many", _in_dt(lambda k: _solve(k.L, k.u, k.a) - k.u + k.a * k.L(k.u)), 3, False,
     MAY_REFUSE),
    ("a form of a resolvent", _in_dt(lambda k: (_solve(k.L, k.u, k.a) - k.u) @ k.v), 1, True, DECIDE),
    ("a vector that hides 1/dt", _in_dt(_related), 1, False, MAY_REFUSE),
    ("a form that hides 1/dt", _in_dt(_related_later), 1, False, MAY_REFUSE),
    # dt (S L - L S) u + O(dt^2), of atoms whose coefficients do not depend on dt.
    ("S and a resolvent of L", _in_dt(lambda k: _solve(k.L, k.S(k.u), k.a) - k.S(_solve(k.L, k.u, k.a))), 1, True, MAY_REFUSE),
    ("S and a resolvent of L, one order too many",
     _in_dt(lambda k: _solve(k.L, k.S(k.u), k.a) - k.S(_solve(k.L, k.u, k.a))), 2, False, MAY_REFUSE),
    ("a form of S and a resolvent of L, one order too many",
     _in_dt(lambda k: _solve(k.L, k.S(k.u), k.a) @ k.v - _solve(k.L, k.u, k.a) @ k.S(k.v)), 2, False, MAY_REFUSE),
    ("S and a resolvent of S", _in_dt(lambda k: _solve(k.S, k.S(k.u), k.a) - k.S(_solve(k.S, k.u, k.a))), 5, True, DECIDE),
    # With L = 0 it is u.
    ("a resolvent with the step 1/dt", _in_dt(lambda k: _solve(k.L, k.u, 1 / k.a)), 1, False, MAY_REFUSE),
]  # fmt: skip
