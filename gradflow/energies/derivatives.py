r"""Derivatives of user functions: the complex step, differences, and a check of given ones.

The complex step. For a function that is analytic, and is programmed so that it takes complex arguments,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{\operatorname{Im} q(\theta + i h e_j)}{h} + O(h^2),   \tag{1}

without a difference of close numbers: h is so small that the error is rounding alone. Central differences with the step
``eps^{1/3}`` have two thirds of the digits,

.. math:: \frac{\partial q}{\partial\theta_j} = \frac{q(\theta + h e_j) - q(\theta - h e_j)}{2h} + O(h^2).      \tag{2}

A function may take complex arguments and not be analytic: ``abs``, ``conj``, a comparison of real parts. `derivative_of`
therefore compares (1) with (2) along one direction, and takes (2) where they differ.

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
from ..namespace import Array, array_namespace, is_numpy, quiet, read_only
from ..refusals import real_array
from .protocols import problem_ability

__all__ = ["DerivativeCheck", "check_derivatives", "complex_step", "derivative_of", "differences"]

Function = Callable[[Array], Array]
STEPS = (1.0, 1e-1, 1e-2, 1e-3)  # factors of the step of differences: a strongly nonlinear function needs a shorter one


def _basis(theta: Array, j: int) -> Array:
    """Return e_j, (P,)."""
    xp = array_namespace(theta)
    return xp.astype(xp.arange(theta.shape[0]) == j, theta.dtype)


def complex_step(function: Function, theta: Array, v: Array) -> Array:
    """Return the derivative of a function along v by (1), (N,).

    Parameters
    ----------
    function : callable
        Maps complex theta (P,) to an array (N,).
    theta, v : array (P,)
        The point and the direction, real.
    """
    xp = array_namespace(theta)
    h = 1e-20 if xp.finfo(theta.dtype).bits == 64 else 1e-10
    kind = xp.complex128 if xp.finfo(theta.dtype).bits == 64 else xp.complex64
    value = function(read_only(xp.astype(theta, kind) + 1j * h * xp.astype(v, kind)))
    return xp.imag(value) / h


def differences(function: Function, theta: Array, v: Array, factor: float = 1.0) -> Array:
    """Return the derivative of a function along v by (2), (N,).

    Parameters
    ----------
    function : callable
        Maps theta (P,) to an array (N,).
    theta, v : array (P,)
        The point and the direction. No entry of theta moves by more than `factor` times ``eps^{1/3}`` of its size, or of a
        thousandth of the largest one.
    factor : float
        A multiple of that step.
    """
    xp = array_namespace(theta)
    moved = xp.abs(v) > 0
    sizes = xp.where(
        moved, xp.maximum(xp.abs(theta), _typical(theta)) / xp.where(moved, xp.abs(v), 1 + 0 * v), 0 * v + float("inf")
    )
    h = factor * float(xp.finfo(theta.dtype).eps) ** (1 / 3) * float(xp.min(sizes))
    high, low = theta + h * v, theta - h * v
    width = xp.max(xp.where(moved, (high - low) / xp.where(moved, v, 1 + 0 * v), 0 * v))  # what was really moved
    above = function(read_only(high))
    above = xp.asarray(above, copy=True)  # the function may reuse its array
    return (above - function(read_only(low))) / width


def _typical(theta: Array) -> Array:
    """Return a size for entries that are zero, 0-d: a thousandth of the largest, or 1."""
    xp = array_namespace(theta)
    largest = xp.max(xp.abs(theta))
    return xp.where(largest > 0, largest / 1000, 1 + largest)


def jacobian_by(rule: Callable[[Function, Array, Array], Array], function: Function, theta: Array) -> Array:
    """Return the Jacobian, (N, P), column by column.

    Parameters
    ----------
    rule : callable
        `complex_step` or `differences`.
    function : callable
        Maps theta (P,) to an array (N,).
    theta : array (P,)
        The point.
    """
    columns = [rule(function, theta, _basis(theta, j)) for j in range(theta.shape[0])]
    return array_namespace(theta).stack(columns, axis=1)


def derivative_of(function: Function, theta: Array) -> str:
    """Return ``"complex step"`` if the function is analytic near theta as far as one direction tells, else ``"differences"``.

    Parameters
    ----------
    function : callable
        Maps theta (P,), real or complex, to an array (N,).
    theta : array (P,)
        The point, real.
    """
    if not is_numpy(theta):
        return "differences"
    v = np.random.default_rng(0).uniform(0.5, 1.0, theta.shape[0]).astype(theta.dtype)
    v = v * np.maximum(np.abs(theta), _typical(theta))
    eps = float(np.finfo(theta.dtype).eps)
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("error")
        try:
            there = function(read_only(theta.astype(np.result_type(theta.dtype, np.complex64))))
            if not np.iscomplexobj(there):
                return "differences"
            exact = np.asarray(complex_step(function, theta, v))
        except Exception:  # whatever a function does that was not made for complex numbers
            return "differences"
    here = np.asarray(function(read_only(theta)))
    for factor in STEPS:
        rough = np.asarray(differences(function, theta, v, factor))
        size = np.abs(exact).max() + np.abs(rough).max() + np.abs(here).max() * eps ** (1 / 3)
        if np.all(np.isfinite(exact)) and np.abs(exact - rough).max() <= 10 * eps ** (1 / 3) * size:
            return "complex step"
    return "differences"


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
    scale = xp.maximum(
        xp.abs(theta), _typical(theta)
    )  # an entry counts by what it changes over the size of its parameter
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
