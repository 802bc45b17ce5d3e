r"""Derivatives of user functions: the complex step and differences.

The complex step. For a function that is analytic, and is programmed so that it takes complex arguments,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{\operatorname{Im} q(\theta + i h e_j)}{h} + O(h^2),   \tag{1}

without a difference of close numbers: h is so small that the error is rounding alone. Central differences with the step
``eps^{1/3}`` have two thirds of the digits,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{q(\theta + h e_j) - q(\theta - h e_j)}{2h} + O(h^2).      \tag{2}

A function may take complex arguments and not be analytic: ``abs``, ``conj``, a comparison of real parts. `found_jacobian`
therefore compares (1) with (2) along one direction, and takes (2) where they differ. Steps are relative to the size of each
parameter, so that parameters may have any units.

Source: Squire & Trapp, SIAM Rev. 40 (1998) 110.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from ..namespace import Array, array_namespace, copied, is_numpy, quiet, read_only

__all__ = ["STEPS", "basis_vector", "complex_step", "differences", "found_jacobian", "jacobian_by", "sizes"]

Function = Callable[[Array], Array]
NOISE = 1e4  # multiple of eps up to which a change of a function may be rounding
GROWTH = 1e3  # factor by which a step grows
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
    xp = array_namespace(theta)
    eps, moved, one = float(xp.finfo(theta.dtype).eps), xp.abs(v) > 0, xp.ones_like(v)
    h = factor * eps ** (1 / 3) * _longest(theta, v)
    longest = factor * eps ** (1 / 3) * max(1.0, float(xp.max(xp.abs(theta)))) / float(xp.max(xp.abs(v)))
    while True:
        high, low = theta + h * v, theta - h * v
        width = xp.max(xp.where(moved, (high - low) / xp.where(moved, v, one), 0 * one))  # what was really moved
        above = xp.asarray(function(read_only(high)), copy=True)  # the function may reuse its array
        change = above - function(read_only(low))
        significant = bool(xp.any(xp.abs(change) > NOISE * eps * xp.max(xp.abs(above))))
        if significant or not h < longest or not bool(xp.all(xp.isfinite(change))):
            return change / width
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
        if J is not None and _agrees(function, theta, J):
            return J, "complex step"
    return jacobian_by(differences, function, theta), "differences"


def _agrees(function: Function, theta: Array, J: Any) -> bool:
    """Return whether a Jacobian agrees with differences along one direction in every row."""
    eps = float(np.finfo(theta.dtype).eps)
    v = (np.random.default_rng(0).uniform(0.5, 1.0, theta.shape[0]) * sizes(theta)).astype(theta.dtype)
    if J.dtype != theta.dtype or not np.all(np.isfinite(J)):
        return False
    with quiet():
        exact, size = J @ v, np.abs(J) @ np.abs(v)
        right = np.zeros(J.shape[0], dtype=bool)
        for factor in STEPS:
            rough = np.asarray(differences(function, theta, v, factor))
            if rough.shape != exact.shape:
                return False
            right |= np.abs(exact - rough) <= 10 * eps ** (1 / 3) * (size + np.abs(rough))
            if np.all(right):
                return True
    return False
