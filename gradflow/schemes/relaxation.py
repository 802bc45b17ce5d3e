r"""The relaxation factor xi_0: how far an auxiliary variable may be pulled back to its definition.

After a step, an auxiliary variable has two values: the *intermediate* one, ``q~``, that carries the energy law, and the
*consistent* one, ``q^``, given by its definition at the new theta. Relaxation takes the point of the segment between them
that is nearest to the consistent one among those that spend at most a slack B >= 0 of the guaranteed dissipation:

.. math::
   q^{n+1} = \xi_0 \tilde q + (1 - \xi_0)\hat q, \qquad
   \xi_0 = \min\{\xi \in [0,1] : |\xi\tilde q + (1-\xi)\hat q|^2 \le |\tilde q|^2 + B\}.                    \tag{1}

The constraint is ``a xi^2 + b xi + c <= 0`` with ``a = |q~ - q^|^2``, ``c = |q^|^2 - |q~|^2 - B``. At xi = 1 it reads
``-B <= 0``, so the set is never empty, the discriminant is never negative, and xi_0 = 0 exactly when c <= 0. The
textbook root ``(-b - sqrt(b^2 - 4ac)) / 2a`` loses half the digits (or divides by zero) as q~ approaches q^; with the
identity ``-b = a + B + c`` its conjugate has only positive terms:

.. math::
   \xi_0 = \frac{2 c}{t + \sqrt{(a - B - c)^2 + 4 a B}}, \qquad t = a + B + c.                              \tag{2}

The one remaining cancellation, in c, is done in twice the working precision. For a linear constraint,
``xi v~ + (1 - xi) v^ <= v~ + B``,

.. math::
   \xi_0 = \max\{0, 1 - B / (\hat v - \tilde v)\} \quad (\hat v > \tilde v), \qquad 0 \text{ otherwise},     \tag{3}

and for a positive variable kept as its logarithm, ``v = e^s``, with the slack ``B = v~ (e^l - 1)``,

.. math::
   \xi_0 = \frac{\mathrm{expm1}(\tilde s + l - \hat s)}{\mathrm{expm1}(\tilde s - \hat s)}
   \quad (\hat s > \tilde s + l), \qquad s^{n+1} = \min(\hat s, \tilde s + l).                              \tag{4}

========  =============  ============
symbol    code           shape
========  =============  ============
q~, v~    intermediate   (N,) or 0-d
q^, v^    consistent     (N,) or 0-d
B         slack          0-d, >= 0
xi_0      xi0            0-d
========  =============  ============

Orientation. (1) is the literature's: Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, eqs. (22)-(24), after Jiang,
Zhang & Zhao (2022). The *swapped* orientation, printed in "Empirical evaluation of energy-stable gradient-flow methods
in deep learning", section 2.4, exchanges the two roles everywhere: it then keeps as much as it may of the *uncorrected*
value, and leaves it alone whenever ``|q~| <= |q^|``, the very case that relaxation exists for. It is the same function
with its first two arguments exchanged, and is offered under that name so that what was published can be run.
"""

from __future__ import annotations

from typing import NamedTuple

from ..namespace import Array, Namespace, array_namespace, as_array, shape_of
from ..refusals import require_one_of

__all__ = ["ORIENTATIONS", "Blend", "relax_log", "relax_quadratic", "xi0_linear", "xi0_log", "xi0_quadratic"]

ORIENTATIONS = ("literature", "swapped")
"""Which of its two values xi_0 weighs."""


class Blend(NamedTuple):
    """A relaxed auxiliary variable and the factor that made it."""

    aux: Array
    """The relaxed variable, of the shape of the intermediate one."""
    xi0: Array
    """0-d, in [0, 1]: weight of the intermediate value (literature) or of the consistent value (swapped)."""


def xi0_quadratic(intermediate: Array, consistent: Array, slack: Array | float) -> Array:
    """Return xi_0 of equation (1), for a 0-d variable or one of shape (N,).

    Parameters
    ----------
    intermediate, consistent : array, 0-d or (N,)
        The values q~ and q^, floating, the same shape and dtype.
    slack : float or 0-d array
        The slack B >= 0, in the units of ``|q|^2``.

    Returns
    -------
    0-d array
        In [0, 1], with a relative error of a few units of round-off as long as ``|q|^2`` and its rounding errors neither
        overflow nor underflow: ``1e-140 < |q| < 1e150`` in float64, ``1e-15 < |q| < 1e18`` in float32.

    Raises
    ------
    ValueError
        If the shapes differ, or `slack` is a negative Python number.
    """
    a, c, B = _quadratic_terms(intermediate, consistent, slack)
    xp = array_namespace(c)
    c = xp.maximum(c, 0 * a)  # +0, which 0 * c is not; c <= 0: the consistent value itself is admissible
    t = a + B + c
    t = (
        t + xp.finfo(getattr(t, "dtype", object)).smallest_normal
    )  # 0/0 becomes 0; scaling by t avoids squares of squares
    root = xp.sqrt(((a - B - c) / t) ** 2 + 4 * (a / t) * (B / t))
    xi0 = 2 * (c / t) / (1 + root)  # (2)
    return xp.minimum(xi0, 1 + 0 * xi0)  # xi = 1 is admissible, so only the last bit is cut here


def xi0_linear(intermediate: Array, consistent: Array, slack: Array | float) -> Array:
    """Return xi_0 of equation (3) for a scalar variable that enters the energy linearly.

    Parameters
    ----------
    intermediate, consistent : 0-d array
        The values v~ and v^, floating.
    slack : float or 0-d array
        The slack B >= 0, in the units of v.

    Returns
    -------
    0-d array
        In [0, 1].

    Raises
    ------
    ValueError
        If `slack` is a negative Python number.
    """
    intermediate, consistent = _checked(intermediate, consistent, slack)
    xp = array_namespace(intermediate, consistent)
    gap, rounding = _two_sum(consistent, -intermediate)
    excess = (gap - slack) + rounding  # exact to one rounding when the gap is close to the slack
    active = (excess > 0) & (gap > 0)
    xi0 = excess / xp.where(active, gap, 1 + 0 * gap)
    return xp.where(active, xp.where(xi0 > 1, 1 + 0 * xi0, xi0), 0 * xi0)


def xi0_log(intermediate: Array, consistent: Array, log_slack: Array | float) -> Array:
    """Return xi_0 of equation (4) for a positive variable v = exp(s) of which only s is kept.

    Parameters
    ----------
    intermediate, consistent : 0-d array
        The logarithms s~ and s^, floating; exp of either may overflow.
    log_slack : float or 0-d array
        The slack as l = log(1 + B / v~) >= 0, dimensionless.

    Returns
    -------
    0-d array
        In [0, 1].

    Raises
    ------
    ValueError
        If `log_slack` is a negative Python number.
    """
    intermediate, consistent = _checked(intermediate, consistent, log_slack)
    xp = array_namespace(intermediate, consistent)
    gap, rounding = _two_sum(consistent, -intermediate)
    excess = (gap - log_slack) + rounding
    active = (excess > 0) & (gap > 0)
    down = xp.expm1(-xp.where(active, gap, 1 + 0 * gap))
    xi0 = xp.expm1(-xp.where(active, excess, 0 * excess)) / down
    return xp.where(xi0 > 1, 1 + 0 * xi0, xi0)


def relax_quadratic(
    intermediate: Array, consistent: Array, slack: Array | float, *, orientation: str = "literature"
) -> Blend:
    """Return the relaxed variable of equation (1) and its xi_0, in the orientation asked for.

    Parameters
    ----------
    intermediate, consistent : array, 0-d or (N,)
        The values q~ and q^.
    slack : float or 0-d array
        The slack B >= 0, in the units of ``|q|^2``.
    orientation : {"literature", "swapped"}
        See the module's text.

    Raises
    ------
    ValueError
        As `xi0_quadratic`, and if the orientation is none of the two.
    """
    require_one_of("orientation", orientation, ORIENTATIONS)
    if orientation == "swapped":
        intermediate, consistent = consistent, intermediate
    xi0 = xi0_quadratic(intermediate, consistent, slack)
    if shape_of(intermediate) == ():  # the bound itself, to full relative accuracy however small r~ is beside r^
        xp = array_namespace(xi0)
        bound = xp.hypot(intermediate, xp.sqrt(0 * xi0 + slack))
        return Blend(xp.where(xi0 > 0, xp.copysign(bound, consistent), consistent), xi0)
    return Blend(consistent + xi0 * (intermediate - consistent), xi0)


def relax_log(
    intermediate: Array, consistent: Array, log_slack: Array | float, *, orientation: str = "literature"
) -> Blend:
    """Return the relaxed logarithm of equation (4) and its xi_0, in the orientation asked for.

    Parameters
    ----------
    intermediate, consistent : 0-d array
        The logarithms s~ and s^.
    log_slack : float or 0-d array
        The slack as l = log(1 + B / v~) >= 0, in either orientation.
    orientation : {"literature", "swapped"}
        See the module's text.

    Raises
    ------
    ValueError
        As `xi0_log`, and if the orientation is none of the two.
    """
    require_one_of("orientation", orientation, ORIENTATIONS)
    xp = array_namespace(intermediate, consistent)
    if orientation == "swapped":  # the same B, now relative to v^
        log_slack = 0 * intermediate + log_slack
        some = log_slack > 0
        l = xp.where(some, log_slack, 1 + 0 * log_slack)
        log_B = l + xp.log(-xp.expm1(-l)) + intermediate  # log(e^l - 1) without overflow
        log_slack = xp.where(some, xp.logaddexp(0 * log_B, log_B - consistent), 0 * log_slack)
        intermediate, consistent = consistent, intermediate
    xi0 = xi0_log(intermediate, consistent, log_slack)
    bound = intermediate + log_slack
    return Blend(xp.where(xi0 > 0, bound, consistent), xi0)


def _checked(intermediate: Array, consistent: Array, slack: Array | float) -> tuple[Array, Array]:
    intermediate, consistent = as_array(intermediate), as_array(consistent)
    if shape_of(intermediate) != shape_of(consistent):
        shapes = f"{shape_of(intermediate)}, {shape_of(consistent)}"
        raise ValueError(f"intermediate and consistent differ in shape: {shapes}")
    if isinstance(slack, (int, float)) and slack < 0:  # a NaN goes through: numerical trouble is for `solve` to report
        raise ValueError(f"slack must be >= 0, got {slack!r}")
    return intermediate, consistent


def _quadratic_terms(intermediate: Array, consistent: Array, slack: Array | float) -> tuple[Array, Array, Array]:
    """Return a, c and B of the constraint, c from sums in twice the working precision."""
    intermediate, consistent = _checked(intermediate, consistent, slack)
    xp = array_namespace(intermediate, consistent)
    # |q^|^2 - |q~|^2 = (q^ - q~).(q^ + q~), and both factors are exact as unevaluated sums
    sigma, sigma_err = _two_sum(consistent, intermediate)
    delta, delta_err = _two_sum(consistent, -intermediate)
    high, low = _two_product(xp, delta, sigma)
    low = low + (delta * sigma_err + delta_err * sigma)
    scalar = shape_of(delta) == ()
    a = delta * delta if scalar else delta @ delta
    if not scalar:
        high, low = _sum_twice(xp, high, low)
    B = 0 * a + slack
    high, rest = _two_sum(high, -B)
    return a, high + (rest + low), B


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return s = fl(a + b) and e with s + e = a + b exactly (Knuth)."""
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


def _two_product(xp: Namespace, a: Array, b: Array) -> tuple[Array, Array]:
    """Return p = fl(a b) and e with p + e = a b exactly (Dekker, Veltkamp), barring overflow of the splitting."""
    splitter = 2 ** (12 if xp.finfo(getattr(a, "dtype", object)).bits == 32 else 27) + 1
    p = a * b
    a_high = splitter * a - (splitter * a - a)
    b_high = splitter * b - (splitter * b - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _sum_twice(xp: Namespace, high: Array, low: Array) -> tuple[Array, Array]:
    """Return the sum of high + low, (N,) each, as an unevaluated 0-d sum in twice the working precision."""
    while high.shape[0] > 1:
        if high.shape[0] % 2:
            zero = 0 * high[:1]
            high, low = xp.concat([high, zero]), xp.concat([low, zero])
        half = high.shape[0] // 2
        s, e = _two_sum(high[:half], high[half:])
        low = low[:half] + low[half:] + e
        high, low = _two_sum(s, low)
    return high[0], low[0]
