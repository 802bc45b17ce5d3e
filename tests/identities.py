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
from typing import Any

import numpy as np
import sympy as sp

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
]  # fmt: skip
