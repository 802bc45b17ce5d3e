r"""Derivatives of user functions: the complex step and differences.

The complex step. For a function that is analytic, and is programmed so that it takes complex arguments,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{\operatorname{Im} q(\theta + i h e_j)}{h} + O(h^2),   \tag{1}

without a difference of close numbers: h is so small that the error is rounding alone. Central differences with the step
``eps^{1/3}`` have two thirds of the digits,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{q(\theta + h e_j) - q(\theta - h e_j)}{2h} + O(h^2).      \tag{2}

A function may take complex arguments and not be analytic: ``abs``, ``conj``, a comparison of real parts. `found_jacobian`
therefore compares (1) with (2) along one direction in which every column of the Jacobian counts alike, and along each
parameter whose column is zero, and takes (2) where they differ. Steps are relative to the size of each parameter, so that
parameters may have any units.

The rounding errors of a function may be larger than ``eps |q|``: a residual is the difference of a model and data. They are
measured by a third difference with a short step, `rounding`, as in the tables of differences of Moré & Wild, SIAM J. Sci.
Comput. 33 (2011) 1292.

Source: Squire & Trapp, SIAM Rev. 40 (1998) 110.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..namespace import Array, array_namespace, copied, is_numpy, quiet, read_only
from .protocols import problem_ability

__all__ = [
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
    "third_difference",
]

Function = Callable[[Array], Array]
NOISE = 1e4  # multiple of its rounding errors up to which a change of a function says little
GROWTH = 1e3  # factor by which a step grows
SHARE = 1e-6  # of the largest column of a Jacobian, below which a column counts less in its test
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
    """Return a size for every entry, (P,): its own, and for a zero the median of the others, or 1.

    Parameters
    ----------
    theta : array (P,)
        The point.
    """
    xp = array_namespace(theta)
    own = xp.abs(theta)
    others = xp.sort(own[own > 0])
    typical = others[others.shape[0] // 2] if others.shape[0] > 0 else xp.ones_like(own[0])
    return xp.where(own > 0, own, typical * xp.ones_like(own))


def _longest(theta: Array, v: Array) -> float:
    """Return the largest h for which no entry of h v exceeds the size of that of theta."""
    xp = array_namespace(theta)
    moved = xp.abs(v) > 0
    return float(
        xp.min(xp.where(moved, sizes(theta) / xp.where(moved, xp.abs(v), xp.ones_like(v)), inf * xp.ones_like(v)))
    )


def complex_step(function: Function, theta: Array, v: Array) -> Array:
    """Return the derivative of a function along v by (1), (N,).

    Parameters
    ----------
    function : callable
        Maps complex theta (P,) to an array (N,).
    theta, v : array (P,)
        The point and the direction, real. No entry moves by more than 1e-20 of its size, 1e-10 in float32.
    """
    xp = array_namespace(theta)
    double = xp.finfo(theta.dtype).bits == 64
    h = (1e-20 if double else 1e-10) * _longest(theta, v)
    kind = xp.complex128 if double else xp.complex64
    value = function(read_only(xp.astype(theta, kind) + 1j * xp.astype(h * v, kind)))
    return xp.imag(value) / h


def third_difference(function: Function, theta: Array) -> tuple[Array, Array]:
    """Return q(theta) and the size of its rounding errors, (N,) each, by third differences, over ``20^{1/2}``.

    The points are ``theta + k h s`` with k = -1, 0, 1, 2 and the sizes s of the parameters. The third difference of a smooth function is of the size ``h^3``; that of
    independent errors of variance 1 has the variance 20, whatever h. Of two steps h, about ``eps^{1/2}`` and 1/57 of it, the smaller
    result counts: next to a pole the longer one is none of rounding.

    Parameters
    ----------
    function : callable
        Maps theta (P,) to an array (N,).
    theta : array (P,)
        The point.
    """
    xp = array_namespace(theta)

    def at(h: float) -> Array:
        return xp.asarray(function(read_only(theta + h * sizes(theta))), copy=True)  # the function may reuse its array

    value, found = at(0.0), list[Array]()
    longest = 0.9 * float(xp.finfo(theta.dtype).eps) ** 0.5  # a power of two may make no rounding errors
    for h in (longest, longest / 57):
        before, after, last = at(-h), at(h), at(2 * h)
        found.append(xp.abs((last - after) - 2 * (after - value) + (value - before)) / 20**0.5)
    return value, xp.minimum(*found)


def rounding_of_squares(problem: Any, theta: Array) -> float:
    """Return a bound of the rounding errors of ``|q|^2 / 2``: four times ``|q|`` times that of q.

    They exceed ``eps |q|^2`` where q is a small difference of a model and data: q is rounded as the model is. The answer is 0 for a
    problem without a residual, and where the number exceeds ``eps^{1/4} |q|^2``: it is none of rounding then, or no run should
    end because of it.

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
    with quiet():
        q, error = third_difference(lambda t: linearize(t).residual, theta)
        square, noise = float(q @ q), 4 * float((q @ q) ** 0.5 * (error @ error) ** 0.5)
    return noise if noise <= float(array_namespace(theta).finfo(theta.dtype).eps) ** 0.25 * square else 0.0


def rounding(function: Function, theta: Array, change: Array) -> Array:
    """Return the size of the rounding errors of a function, (N,), by `third_difference`, seven evaluations.

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
    """
    xp = array_namespace(theta)
    eps = float(xp.finfo(theta.dtype).eps)
    value, error = third_difference(function, theta)
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


class Difference(NamedTuple):
    """A derivative by (2)."""

    slope: Array
    """The derivative along v, (N,)."""
    unsure: Array
    """What rounding errors of the function may make of it, (N,)."""
    direction: Array
    """The direction of the rounded points, (P,), which is v to rounding relative to the step."""


def difference(function: Function, theta: Array, v: Array, factor: float, noise: Array | None = None) -> Difference:
    """Return the derivative along v by (2), with its errors.

    Parameters
    ----------
    function, theta, v, factor : callable, array (P,), array (P,), float
        As in `differences`.
    noise : array (N,), optional
        `rounding` of the function here; by default ``eps max_i |q_i|``.
    """
    xp = array_namespace(theta)
    eps, moved, one = float(xp.finfo(theta.dtype).eps), xp.abs(v) > 0, xp.ones_like(v)
    h = factor * eps ** (1 / 3) * _longest(theta, v)
    longest = factor * eps ** (1 / 3) * max(1.0, float(xp.max(xp.abs(theta)))) / float(xp.max(xp.abs(v)))
    while True:
        high, low = theta + h * v, theta - h * v
        width = xp.max(xp.where(moved, (high - low) / xp.where(moved, v, one), 0 * one))  # what was really moved
        above = xp.asarray(function(read_only(high)), copy=True)
        change = above - function(read_only(low))
        rounded = eps * xp.max(xp.abs(above)) + 0 * xp.abs(change) if noise is None else noise
        significant = bool(xp.any(xp.abs(change) > NOISE * rounded))
        if significant or not h < longest or not bool(xp.all(xp.isfinite(change))):
            return Difference(change / width, 2 * rounded / width, (high - low) / width)
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
                noise = rounding(function, theta, np.abs(J) @ sizes(theta))
                if all(_agrees(function, theta, J, v, noise) for v in _tests(theta, J)):
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


def _tests(theta: Array, J: Any) -> Iterator[Array]:
    """Yield directions, (P,): one in which the columns of J have one size, within limits, and each in which J has a zero column."""
    size = sizes(theta)
    felt = np.max(np.abs(J), axis=0) * size
    most = np.max(felt)
    if most > 0:
        weight = most / np.maximum(felt, SHARE * most)
        yield (np.random.default_rng(0).uniform(0.5, 1.0, theta.shape[0]) * size * weight).astype(theta.dtype)
    for j in np.flatnonzero(felt == 0):
        yield size[j] * basis_vector(theta, int(j))


def _agrees(function: Function, theta: Array, J: Any, v: Array, noise: Array) -> bool:
    """Return whether a Jacobian agrees with differences along a direction in every row."""
    tolerance = 10 * float(np.finfo(theta.dtype).eps) ** 0.5
    right = np.zeros(J.shape[0], dtype=bool)
    for factor in STEPS:
        rough, unsure, moved = difference(function, theta, v, factor, noise)
        rough, exact, size = np.asarray(rough), J @ moved, np.abs(J) @ np.abs(moved)
        if rough.shape != exact.shape:
            return False
        size_here = size + np.abs(rough)
        decides = (factor == STEPS[0]) | (100 * unsure <= size_here)  # a shorter step must not hide behind its rounding
        right |= decides & (np.abs(exact - rough) <= tolerance * size_here + 10 * unsure)
        if np.all(right):
            return True
    return False
