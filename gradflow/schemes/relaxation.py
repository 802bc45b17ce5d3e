r"""The relaxation factor xi_0: how far an auxiliary variable may be moved back to its definition.

After a step, an auxiliary variable has two values. The *intermediate* value ``q~`` satisfies the energy law; the
*consistent* value ``q^`` is given by the definition at the new theta. Some points on the segment between them spend at
most a slack B >= 0 of the guaranteed dissipation. Relaxation takes the one among these that is nearest to the
consistent value:

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

Orientation. (1) is the orientation of the literature: Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, eqs.
(22)-(24), after Jiang, Zhang & Zhao (2022). The *swapped* orientation is printed in "Empirical evaluation of
energy-stable gradient-flow methods in deep learning", section 2.4. It exchanges the two roles everywhere. It therefore
keeps as much as possible of the *uncorrected* value, and does not correct it if ``|q~| <= |q^|``, the case for which
relaxation was made. It is the same function with its first two arguments exchanged, and is available under that name so
that the published form can be run.

The law. The form of the constraint and the units of B depend on how the auxiliary variable enters the modified energy.
A scheme states this as data, `Quadratic` or `Logarithmic`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ..namespace import Array, Namespace, array_namespace, shape_of
from ..refusals import one_of, real_value

__all__ = [
    "BUDGETS",
    "ORIENTATIONS",
    "Blend",
    "EnergyLaw",
    "Logarithmic",
    "Quadratic",
    "relax",
    "relax_log",
    "relax_quadratic",
    "xi0_linear",
    "xi0_log",
    "xi0_quadratic",
]

BUDGETS = ("dissipation", "increment", "numerical")
"""The budgets of relaxation."""
ORIENTATIONS = ("literature", "swapped")
"""Whether xi_0 is the weight of the intermediate value (literature) or of the consistent one (swapped)."""


class Blend(NamedTuple):
    """A relaxed auxiliary variable and the factor that made it."""

    aux: Array
    """The relaxed variable, of the shape of the intermediate one."""
    xi0: Array
    """0-d, in [0, 1]: weight of the intermediate value (literature) or of the consistent value (swapped)."""


class Quadratic(NamedTuple):
    """The modified energy is ``weight |q - centre|^2`` plus terms that do not depend on the auxiliary variable q."""

    weight: float | Array
    """> 0, dimensionless; a number or 0-d."""
    centre: float | Array = 0.0
    """A number, or an array of the shape of q. It is not 0 in two-step schemes: ``r^2 + (2r - r_old)^2`` is
    ``5 (r - 2 r_old / 5)^2`` plus a constant."""


class Logarithmic(NamedTuple):
    """The modified energy increases with ``s = log r``, which is stored as the auxiliary variable."""

    scale: float
    """The factor kappa of ``kappa s`` in the modified energy, in the units of the energy."""
    own_loss: bool = False
    """Whether the budget is ``eta (r^n - r~)``, a share of the decrease of r, in place of the dissipation."""


EnergyLaw: TypeAlias = Quadratic | Logarithmic
"""How an auxiliary variable enters a modified energy."""


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
        In [0, 1], with a relative error of a few units of round-off as long as ``|q|^2`` and its rounding errors
        neither overflow nor underflow: ``1e-140 < |q| < 1e150`` in float64, ``1e-15 < |q| < 1e18`` in float32.

    Raises
    ------
    ValueError
        If a value is not real, the shapes or dtypes differ, or `slack` is a negative Python number.
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
    """Return xi_0 of equation (3), 0-d, in [0, 1], for a scalar variable that enters the energy linearly.

    Parameters
    ----------
    intermediate, consistent : 0-d array
        The values v~ and v^, floating.
    slack : float or 0-d array
        The slack B >= 0, in the units of v.

    Raises
    ------
    ValueError
        If a value is not real, the dtypes differ, or `slack` is a negative Python number.
    """
    intermediate, consistent = _checked(intermediate, consistent, slack)
    xp = array_namespace(intermediate, consistent)
    gap, rounding = _two_sum(consistent, -intermediate)
    excess = (gap - slack) + rounding  # exact to one rounding when the gap is close to the slack
    active = (excess > 0) & (gap > 0)
    xi0 = excess / xp.where(active, gap, 1 + 0 * gap)
    return xp.where(active, xp.where(xi0 > 1, 1 + 0 * xi0, xi0), 0 * xi0)


def xi0_log(intermediate: Array, consistent: Array, log_slack: Array | float) -> Array:
    """Return xi_0 of equation (4), 0-d, in [0, 1], for a positive variable v = exp(s) that is stored as s.

    Parameters
    ----------
    intermediate, consistent : 0-d array
        The logarithms s~ and s^, floating; exp of either may overflow.
    log_slack : float or 0-d array
        The slack as l = log(1 + B / v~) >= 0, dimensionless.

    Raises
    ------
    ValueError
        If a value is not real, the dtypes differ, or `log_slack` is a negative Python number.
    """
    intermediate, consistent = _checked(intermediate, consistent, log_slack, "log_slack")
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
    """Return the relaxed variable of equation (1) and its xi_0, in the given orientation.

    Parameters
    ----------
    intermediate, consistent : array, 0-d or (N,)
        The values q~ and q^.
    slack : float or 0-d array
        The slack B >= 0, in the units of ``|q|^2``.
    orientation : {"literature", "swapped"}
        See the module docstring.

    Raises
    ------
    ValueError
        As `xi0_quadratic`, or if the orientation is unknown.
    """
    one_of("orientation", orientation, ORIENTATIONS)
    if orientation == "swapped":
        intermediate, consistent = consistent, intermediate
    xi0 = xi0_quadratic(intermediate, consistent, slack)
    if shape_of(intermediate) == ():  # the bound itself, to full relative accuracy even if r~ is much smaller than r^
        xp = array_namespace(xi0)
        bound = xp.hypot(intermediate, xp.sqrt(0 * xi0 + slack))
        return Blend(xp.where(xi0 > 0, xp.copysign(bound, consistent), consistent), xi0)
    return Blend(_within_bound(consistent + xi0 * (intermediate - consistent), intermediate, slack, xi0), xi0)


def _within_bound(aux: Array, intermediate: Array, slack: Array | float, xi0: Array) -> Array:
    """Return a vector, scaled to the bound of (1) if xi_0 > 0 and rounding has left it outside.

    Where q^ is far longer than q~, the rounding of q^ alone would break the bound.
    """
    xp = array_namespace(aux)
    square, bound = aux @ aux, intermediate @ intermediate + slack
    outside = (xi0 > 0) & (square > bound)
    one = 1 + 0 * square
    return xp.where(outside, xp.sqrt(bound / xp.where(outside, square, one)), one) * aux


def relax_log(
    intermediate: Array, consistent: Array, log_slack: Array | float, *, orientation: str = "literature"
) -> Blend:
    """Return the relaxed logarithm of equation (4) and its xi_0, in the given orientation.

    Parameters
    ----------
    intermediate, consistent : 0-d array
        The logarithms s~ and s^.
    log_slack : float or 0-d array
        The slack as l = log(1 + B / v~) >= 0, in either orientation.
    orientation : {"literature", "swapped"}
        See the module docstring.

    Raises
    ------
    ValueError
        As `xi0_log`, or if the orientation is unknown.
    """
    one_of("orientation", orientation, ORIENTATIONS)
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


def relax(
    law: EnergyLaw,
    old: Array,
    intermediate: Array,
    consistent: Array,
    slack: Callable[[], Array],
    *,
    eta: float,
    orientation: str = "literature",
) -> Blend:
    """Return the relaxed auxiliary variable and its xi_0 under a law.

    Parameters
    ----------
    law : Quadratic or Logarithmic
        How the variable enters the modified energy.
    old : array
        The variable before the step, 0-d, (P,) or (N,).
    intermediate, consistent : array
        The values q~ and q^, of that shape.
    slack : callable
        Returns the energy that may be spent, 0-d. It is not called if the law has a budget of its own.
    eta : float
        Share of the dissipation that may be spent, in [0, 1]; used only if the law has a budget of its own.
    orientation : {"literature", "swapped"}
        See the module docstring.

    Raises
    ------
    ValueError
        As `relax_quadratic` and `relax_log`.
    """
    if isinstance(law, Quadratic):
        slack_of_square = slack() / law.weight
        if isinstance(law.centre, (int, float)) and law.centre == 0:
            return relax_quadratic(intermediate, consistent, slack_of_square, orientation=orientation)
        aux, xi0 = relax_quadratic(
            intermediate - law.centre, consistent - law.centre, slack_of_square, orientation=orientation
        )
        return Blend(aux + law.centre, xi0)
    budget = _own_loss(old - intermediate, eta) if law.own_loss else slack() / law.scale
    return relax_log(intermediate, consistent, budget, orientation=orientation)


def _own_loss(x: Array, eta: float) -> Array:
    """Return log(1 - eta + eta e^x), x = log(r^n / r~): without overflow for large x, or cancellation for small x."""
    if eta == 0:
        return 0 * x
    xp = array_namespace(x)
    small, large = xp.where(x < 30, x, 0 * x), xp.where(x < 30, 30 + 0 * x, x)
    return xp.where(x < 30, xp.log1p(eta * xp.expm1(small)), large + xp.log(eta + (1 - eta) * xp.exp(-large)))


def _checked(intermediate: Array, consistent: Array, slack: Array | float, name: str = "slack") -> tuple[Array, Array]:
    intermediate, consistent = real_value("intermediate", intermediate), real_value("consistent", consistent)
    kinds = [(shape_of(v), getattr(v, "dtype", None)) for v in (intermediate, consistent)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"intermediate and consistent must not differ in shape or dtype, got {kinds[0]} and {kinds[1]}"
        )
    if shape_of(real_value(name, slack)) != ():
        raise ValueError(f"{name} must be 0-d, got shape {shape_of(slack)}")
    if isinstance(slack, (int, float)) and slack < 0:  # a NaN is accepted: `solve` reports numerical trouble
        raise ValueError(f"{name} must be >= 0, got {slack!r}")
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
