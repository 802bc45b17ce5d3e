r"""Derivatives of user functions: the complex step and differences.

The complex step. For a function that is analytic, and is programmed so that it takes complex arguments,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{\operatorname{Im} q(\theta + i h e_j)}{h} + O(h^2),   \tag{1}

without a difference of close numbers: h is so small that the error is rounding alone. Central differences with the step
``eps^{1/3}`` have two thirds of the digits,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{q(\theta + h e_j) - q(\theta - h e_j)}{2h} + O(h^2).      \tag{2}

A function may take complex arguments and not be analytic: ``abs``, ``conj``, a comparison of real parts. `found_jacobian`
therefore compares (1) with (2) along one direction in which every column of the Jacobian counts alike, and along each
parameter whose column is zero, and takes (2) where they differ. Differences that do not settle as their step is shortened
overrule no column but a zero one. Steps are relative to the size of each parameter, so that
parameters may have any units.

The rounding errors of a function may be larger than ``eps |q|``: a residual is the difference of a model and data. They are
measured by a third difference with a short step, `rounding`, as in the tables of differences of Moré & Wild, SIAM J. Sci.
Comput. 33 (2011) 1292.

Source: Squire & Trapp, SIAM Rev. 40 (1998) 110.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..description import found
from ..namespace import Array, array_namespace, copied, is_numpy, quiet, read_only
from ..refusals import one_of, real_array
from .protocols import problem_ability

__all__ = [
    "MISSING",
    "STEPS",
    "Difference",
    "basis_vector",
    "complex_step",
    "difference",
    "differences",
    "found_jacobian",
    "jacobian_by",
    "rounding",
    "rounding_of_squares",
    "sizes",
    "third_derivative",
    "third_difference",
]

Function = Callable[[Array], Array]
NOISE = 1e4  # multiple of its rounding errors up to which a change of a function says little
GROWTH = 1e3  # factor by which a step grows
SHARE = 1e-6  # of the largest column of a Jacobian, below which a column counts less in its test
MISSING = ("refuse", "differences")
"""What a function does where a problem lacks a derivative."""
STEPS = (1.0, 1e-1, 1e-2, 1e-3)  # factors of the step of differences: a strongly nonlinear function needs a shorter one


def basis_vector(theta: Array, j: int) -> Array:
    """Return e_j, (P,).

    Parameters
    ----------
    theta : array (P,)
        It determines the array library, shape and dtype.
    j : int
        The place of the 1.
    """
    xp = array_namespace(theta)
    return xp.astype(xp.arange(theta.shape[0]) == j, theta.dtype)


def sizes(theta: Array) -> Array:
    """Return a size for every entry, (P,): its own, and for one that is zero or as good as zero the median of the others, or 1.

    Parameters
    ----------
    theta : array (P,)
        The point.
    """
    xp = array_namespace(theta)
    own, info = xp.abs(theta), xp.finfo(theta.dtype)
    least = float(info.smallest_normal) / float(info.eps) / _imaginary(theta)  # so that no step leaves the range
    others = xp.sort(own[own > least])
    typical = others[others.shape[0] // 2] if others.shape[0] > 0 else xp.ones_like(own[0])
    return xp.where(own > least, own, typical * xp.ones_like(own))


def _imaginary(theta: Array) -> float:
    """Return the complex step, relative to the size of a parameter."""
    return 1e-20 if array_namespace(theta).finfo(theta.dtype).bits == 64 else 1e-10


def _scaled(theta: Array, v: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Return a multiple w of v, (P,), of which no entry exceeds the size of that of theta and one has it, and the map ``x -> x v / w``."""
    xp = array_namespace(theta)
    top = xp.max(xp.abs(v))
    unit = v / xp.where(top > 0, top, 1 + 0 * top)
    stretch = xp.max(xp.abs(unit) / sizes(theta))
    return unit / xp.where(stretch > 0, stretch, 1 + 0 * stretch), lambda x: x * stretch * top


def complex_step(function: Function, theta: Array, v: Array) -> Array:
    """Return the derivative of a function along v by (1), (N,).

    Parameters
    ----------
    function : callable
        Maps complex theta (P,) to an array (N,).
    theta, v : array (P,)
        The point and the direction, real. No entry moves by more than 1e-20 of its size, 1e-10 in float32.
    """
    xp, h = array_namespace(theta), _imaginary(theta)
    w, along_v = _scaled(theta, v)
    kind = xp.complex128 if xp.finfo(theta.dtype).bits == 64 else xp.complex64
    value = function(read_only(xp.astype(theta, kind) + 1j * xp.astype(h * w, kind)))
    return along_v(xp.imag(value) / h)


def third_difference(function: Function, theta: Array, value: Array, h: float) -> Array:
    """Return the size of the rounding errors of a function by a third difference, over ``20^{1/2}``, (N,).

    The points are ``theta + k h s`` with k = -1, 0, 1, 2 and the sizes s of the parameters. The third difference of a smooth
    function is of the size ``h^3``; that of independent errors of variance 1 has the variance 20, whatever h.

    Parameters
    ----------
    function : callable
        Maps theta (P,) to an array (N,).
    theta : array (P,)
        The point.
    value : array (N,)
        The function there.
    h : float
        The step, relative to the parameters. A power of two may make no rounding errors.
    """
    xp, s = array_namespace(theta), sizes(theta)
    before, after, last = (
        xp.asarray(function(read_only(theta + k * h * s)), copy=True) for k in (-1, 1, 2)
    )  # the function may reuse its array
    return xp.abs((last - after) - 2 * (after - value) + (value - before)) / 20**0.5


def rounding_of_squares(problem: Any, theta: Array) -> float:
    """Return a bound of the rounding errors of ``|q|^2 / 2``: four times ``|q|`` times that of q.

    They exceed ``eps |q|^2`` where q is a small difference of a model and data: q is rounded as the model is. The answer is
    0 for a problem without a residual, and where the number exceeds ``eps^{1/4} |q|^2``: it is none of rounding then, or no
    run should end because of it.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        The point.
    """
    linearize = problem_ability(problem, "linearize_later") or problem_ability(problem, "linearize")
    if linearize is None:
        return 0.0
    xp = array_namespace(theta)
    h = float(xp.finfo(theta.dtype).eps) ** 0.5

    def residual(t: Array) -> Array:
        return xp.asarray(linearize(t).residual, copy=True)

    with quiet():
        q = residual(theta)
        # next to a pole the longer one is none of rounding
        error = xp.minimum(*(third_difference(residual, theta, q, k * h) for k in (0.9, 0.016)))
        square, noise = float(q @ q), 4 * float((q @ q) ** 0.5 * (error @ error) ** 0.5)
    return noise if noise <= h**0.5 * square else 0.0


def rounding(function: Function, theta: Array, change: Array, times: int = 1) -> Array:
    """Return the size of the rounding errors of a function, (N,), by third differences of three evaluations each.

    It is one multiple of ``|q_i| + change_i``, at least eps: the same for all rows, since an error that a row happens not to
    show says nothing.

    Parameters
    ----------
    function : callable
        Maps theta (P,) to an array (N,).
    theta : array (P,)
        The point.
    change : array (N,)
        By how much q changes with parameters that change by their size: ``sum_j |J_ij| s_j``.
    times : int
        How many third differences are formed; a few rows need several, since one may show no error by chance.
    """
    xp = array_namespace(theta)
    eps = float(xp.finfo(theta.dtype).eps)
    value = xp.asarray(function(read_only(theta)), copy=True)
    error = 0 * xp.abs(value)
    for k in range(times):
        error = xp.maximum(error, third_difference(function, theta, value, 0.9 * 0.77**k * eps**0.5))
    size = xp.abs(value) + change
    share = float(xp.max(xp.where(size > 0, error / xp.where(size > 0, size, 1 + 0 * size), 0 * size)))
    return max(share, eps) * size


def differences(function: Function, theta: Array, v: Array, factor: float = 1.0) -> Array:
    """Return the derivative of a function along v by (2), (N,).

    The first step moves no entry by more than `factor` times ``eps^{1/3}`` of its size. While the change of the function is
    rounding, the step grows, until it would move an entry by as much of the largest one, or of 1: an entry that happens to
    be near zero says nothing about its scale.

    Parameters
    ----------
    function : callable
        Maps theta (P,) to an array (N,).
    theta, v : array (P,)
        The point and the direction.
    factor : float
        A multiple of that step.
    """
    return difference(function, theta, v, factor).slope


def third_derivative(problem: Any, theta: Array, u: Array, v: Array, *, missing: str = "refuse") -> Array:
    """Return the third derivative ``D^3 E[u, v]``, (P,), the derivative of ``hvp(theta, u)`` along v.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta, u, v : array (P,)
        The point and two directions.
    missing : {"refuse", "differences"}
        What is done for a problem without the method ``third_derivative``: it is refused, or differences (2) of `hvp` are taken,
        whose relative error is of the size ``eps^{2/3}``.

    Raises
    ------
    ValueError
        If `missing` is unknown, the problem has no third derivatives and is refused, or differences are asked for and it has
        no `hvp`, or theta, u and v are no float vectors of one length and dtype.
    """
    one_of("missing", missing, MISSING)
    if isinstance(problem, type):
        raise ValueError(f"problem must be a problem, got {found(problem)}")
    if problem_ability(problem, "has_third_derivative"):
        exact: Array = problem.third_derivative(theta, u, v)
        return exact
    if missing == "refuse":
        raise ValueError(
            f"{type(problem).__name__} has no third derivatives: give it a function third_derivative, or pass "
            'missing="differences" for differences of hvp'
        )
    if not problem_ability(problem, "has_hvp") or not callable(getattr(problem, "hvp", None)):
        raise ValueError(f"problem must have second derivatives, hvp, for differences of them; got {found(problem)}")
    real_array("theta", theta, {"P": None})
    for name, vector in (("u", u), ("v", v)):
        real_array(name, vector, {"P": theta.shape[0]}, theta.dtype, of="theta")
    return differences(lambda t: problem.hvp(t, u), theta, v)


class Difference(NamedTuple):
    """A derivative by (2)."""

    slope: Array
    """The derivative along v, (N,)."""
    unsure: Array
    """What rounding errors of the function may make of it, (N,)."""
    direction: Array
    """The direction of the rounded points, (P,), which is v to rounding relative to the step."""


def difference(
    function: Function, theta: Array, v: Array, factor: float, noise: Array | None = None, *, grows: bool = True
) -> Difference:
    """Return the derivative along v by (2), with its errors.

    Parameters
    ----------
    function, theta, v, factor : callable, array (P,), array (P,), float
        As in `differences`.
    noise : array (N,), optional
        `rounding` of the function here; by default ``eps max_i |q_i|``.
    grows : bool
        Whether the step grows as in `differences`.
    """
    xp = array_namespace(theta)
    eps, (w, along_v) = float(xp.finfo(theta.dtype).eps), _scaled(theta, v)
    moved = xp.abs(w) > 0
    shortest = factor * eps ** (1 / 3)
    reach = xp.max(xp.abs(w))
    longest = (
        shortest * max(1.0, float(xp.max(xp.abs(theta)) / reach), float(1 / reach)) if float(reach) > 0 else shortest
    )
    h = shortest
    while True:
        high, low = theta + h * w, theta - h * w
        width = xp.max(xp.where(moved, (high - low) / xp.where(moved, w, 1 + 0 * w), 0 * w))  # what was really moved
        width = xp.where(width > 0, width, 1 + 0 * width)
        above = xp.asarray(function(read_only(high)), copy=True)
        change = above - function(read_only(low))
        rounded = eps * xp.max(xp.abs(above)) + 0 * xp.abs(change) if noise is None else noise
        significant = bool(xp.any(xp.abs(change) > NOISE * rounded))
        if significant or not grows or not h < longest or not bool(xp.all(xp.isfinite(change))):
            return Difference(along_v(change / width), along_v(2 * rounded / width), along_v((high - low) / width))
        h = min(GROWTH * h, longest)


def jacobian_by(rule: Callable[[Function, Array, Array], Array], function: Function, theta: Array) -> Array:
    """Return the Jacobian, (N, P), column by column.

    Parameters
    ----------
    rule : callable
        `complex_step` or `differences`: maps function, theta and a direction (P,) to an array (N,).
    function : callable
        Maps theta (P,) to an array (N,).
    theta : array (P,)
        The point.
    """
    columns = [copied(rule(function, theta, basis_vector(theta, j))) for j in range(theta.shape[0])]
    return array_namespace(theta).stack(columns, axis=1)


def found_jacobian(function: Function, on_complex: Function, theta: Array) -> tuple[Array, str]:
    """Return the Jacobian, (N, P), and its origin: ``"complex step"`` if the function is analytic here, else ``"differences"``.

    Every Jacobian is tested along one direction, row by row: a function may be analytic at one point and not at another,
    in one row and not in the next.

    Parameters
    ----------
    function, on_complex : callable
        Map theta (P,) to an array (N,), the latter complex theta; whatever it raises means that it is not made for that.
    theta : array (P,)
        The point, real.
    """
    if is_numpy(theta):
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("error")
            try:
                J = jacobian_by(complex_step, on_complex, theta)
            except Exception:  # whatever a function does that was not made for complex numbers
                J = None
        if J is not None and J.dtype == theta.dtype and np.all(np.isfinite(J)):
            with quiet():
                if all(_agrees(function, theta, J, v, whole) for v, whole in _tests(theta, J)):
                    return J, "complex step"
    return _differenced(function, theta), "differences"


def _differenced(function: Function, theta: Array) -> Array:
    """Return the Jacobian by (2), (N, P); a column whose changes are within the rounding errors is made with longer steps."""
    xp, J = array_namespace(theta), jacobian_by(differences, function, theta)
    eps = float(xp.finfo(theta.dtype).eps)
    with quiet():
        noise = rounding(function, theta, xp.abs(J) @ sizes(theta))
        change = 2 * eps ** (1 / 3) * xp.abs(J) * sizes(theta)
        faint = ~xp.any(change > NOISE * noise[:, None], axis=0)
    columns = [J[:, j] for j in range(theta.shape[0])]
    for j, again in enumerate(faint):
        if bool(again) and bool(xp.all(xp.isfinite(noise))) and bool(xp.any(noise > 0)):
            columns[j] = difference(function, theta, basis_vector(theta, j), 1.0, noise).slope
    return xp.stack(columns, axis=1)


def _tests(theta: Array, J: Any) -> Iterator[tuple[Array, bool]]:
    """Yield directions, (P,): one in which the columns of J have one size, within limits, with True; that of each zero column, with False."""
    size = sizes(theta)
    felt = np.max(np.abs(J), axis=0) * size
    most = np.max(felt)
    if most > 0:
        weight = most / np.maximum(felt, SHARE * most)
        v = np.random.default_rng(0).uniform(0.5, 1.0, theta.shape[0]) * size * weight
        yield v.astype(theta.dtype), True
    for j in np.flatnonzero(felt == 0):
        yield size[j] * basis_vector(theta, int(j)), False


def _agrees(function: Function, theta: Array, J: Any, v: Array, whole: bool) -> bool:
    """Return whether a Jacobian agrees with differences along a direction in every row.

    Where these do not settle with shorter steps they overrule nothing, but for a column that is zero (`whole` is then False).
    """
    tolerance, noise = 10 * float(np.finfo(theta.dtype).eps) ** 0.5, None
    right, settled = np.zeros(J.shape[0], dtype=bool), np.full(J.shape[0], not whole)
    before: Any = None
    for k, factor in enumerate((STEPS[0], *STEPS)):
        rough, unsure, moved = map(np.asarray, difference(function, theta, v, factor, noise, grows=k < 2))
        exact, size = J @ moved, np.abs(J) @ np.abs(moved) + np.abs(rough)
        if rough.shape != exact.shape:
            return False
        apart = np.abs(exact - rough)
        if k < 2:
            right |= apart <= tolerance * size + 10 * unsure
        else:
            spread = np.abs(rough - before)
            settled |= spread <= 0.1 * np.abs(rough)
            right |= (100 * unsure <= size) & (
                apart <= tolerance * size + spread
            )  # a short step must not hide behind rounding
        if np.all(right):
            return True
        noise = rounding(function, theta, np.abs(J) @ sizes(theta)) if noise is None else noise
        before = rough
    return not bool(np.any(settled & ~right))
