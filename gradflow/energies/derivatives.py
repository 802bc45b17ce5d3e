r"""Derivatives of user functions: the complex step, differences, and a check of given ones.

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
from functools import partial
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..description import found
from ..namespace import Array, array_namespace, copied, is_numpy, quiet, read_only
from ..refusals import real_array
from .protocols import problem_ability

__all__ = ["DerivativeCheck", "check_derivatives", "complex_step", "differences", "found_jacobian", "jacobian_by"]

Function = Callable[[Array], Array]
NOISE = 1e4  # multiple of eps up to which a change of a function may be rounding
GROWTH = 1e3  # factor by which a step grows
STEPS = (1.0, 1e-1, 1e-2, 1e-3)  # factors of the step of differences: a strongly nonlinear function needs a shorter one


def _basis(theta: Array, j: int) -> Array:
    """Return e_j, (P,)."""
    xp = array_namespace(theta)
    return xp.astype(xp.arange(theta.shape[0]) == j, theta.dtype)


def _sizes(theta: Array) -> Array:
    """Return a size for every entry, (P,): its own, and for a zero the median of the others, or 1."""
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
        xp.min(xp.where(moved, _sizes(theta) / xp.where(moved, xp.abs(v), xp.ones_like(v)), inf * xp.ones_like(v)))
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
    columns = [copied(rule(function, theta, _basis(theta, j))) for j in range(theta.shape[0])]
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
    v = (np.random.default_rng(0).uniform(0.5, 1.0, theta.shape[0]) * _sizes(theta)).astype(theta.dtype)
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


class DerivativeCheck(NamedTuple):
    """What `check_derivatives` found."""

    error: float
    """The largest difference, relative to the derivative along its direction."""
    tolerance: float
    """What differences can resolve."""
    passed: bool
    """Whether the error is within the tolerance."""
    worst: tuple[int, ...]
    """Index of the entry with the largest difference: (residual, parameter) or (parameter,)."""
    quantity: str
    """``"jacobian"`` or ``"gradient"``: what was compared."""

    def __bool__(self) -> bool:
        return self.passed


def check_derivatives(problem: Any, theta: Array) -> DerivativeCheck:
    """Compare the derivatives of a problem with differences of its values.

    Parameters
    ----------
    problem : Problem
        One with ``linearize`` has its Jacobian checked, entry by entry; another one its gradient.
    theta : array (P,)
        The point. The cost is 8 P evaluations.

    Returns
    -------
    DerivativeCheck
        True as a truth value if the derivatives agree.

    Raises
    ------
    ValueError
        If the problem lacks a method, or theta is not a finite vector that it accepts.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> right = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy())
    >>> wrong = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 2 * t)
    >>> bool(gf.check_derivatives(right, np.ones(2))), bool(gf.check_derivatives(wrong, np.ones(2)))
    (True, False)
    """
    real_array("theta", theta, {"P": None}, low=-inf)
    methods = ("energy", "energy_and_gradient", "inner")
    if isinstance(problem, type) or not all(callable(getattr(problem, method, None)) for method in methods):
        raise ValueError(f"problem must be an instance with the methods {', '.join(methods)}, got {found(problem)}")
    xp = array_namespace(theta)
    eps = float(xp.finfo(theta.dtype).eps)
    linearize = problem_ability(problem, "linearize")
    if linearize is not None:
        at = linearize(theta)
        quantity, given, values = "jacobian", at.jacobian(), at.residual
        residual = problem_ability(problem, "linearize_later") or linearize
        function = lambda t: residual(t).residual  # noqa: E731
    else:
        # the gradient g has (g, v)_M as the derivative along v
        quantity, g = "gradient", problem.energy_and_gradient(theta)[1]
        given = xp.stack([problem.inner(g, _basis(theta, j)) for j in range(theta.shape[0])])
        given, function = given[None, :], lambda t: xp.reshape(problem.energy(t), (1,))
        values = xp.reshape(problem.energy(theta), (1,))
    scale = _sizes(theta)  # an entry counts by what it changes over the size of its parameter
    gap, size = xp.abs(given) * scale + inf, xp.abs(given) * scale
    for factor in STEPS:
        own = jacobian_by(partial(differences, factor=factor), function, theta)
        gap, size = xp.minimum(gap, xp.abs(given - own) * scale), xp.maximum(size, xp.abs(own) * scale)
    total = float(xp.max(size)) + eps ** (1 / 3) * float(xp.max(xp.abs(values)))
    index = int(xp.argmax(xp.reshape(gap, (-1,))))
    row, column = divmod(index, gap.shape[1])
    worst = (row, column) if quantity == "jacobian" else (column,)
    error = float(gap[row, column]) / total if total > 0 else float(gap[row, column])
    tolerance = 100 * eps ** (2 / 3)
    return DerivativeCheck(error, tolerance, error <= tolerance, worst, quantity)
