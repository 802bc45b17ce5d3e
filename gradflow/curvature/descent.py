r"""Globalisation by a line search along a direction of descent.

The direction solves

.. math:: (G + \nu D)\,d = -g                                                                           \tag{1}

with ``nu = 0`` where G is positive definite, and otherwise with

.. math:: \nu = -\mu_1 + \beta \max_i |\mu_i|,                                                           \tag{2}

``mu_1`` the least eigenvalue of G in the metric D. Then ``(g, d)_M < 0``. The length alpha of the step is found by a search
of `gradflow.curvature.line_search` that starts from the full step: it takes the place of the gain ratio, and of the control
of the other globalisations.

With ``solver="cholesky"``, nu is the first of 0, a number of the size ``beta max |B_ij|``, and its doublings for which a
Cholesky factorisation exists (`gradflow.curvature.cholesky`).

Where (1) predicts a decrease ``-(g, d)_M`` of at most ``(64 eps)^2 |E|``, the gradient itself is a rounding error, and the
search ends without a length.

Source: Nocedal & Wright, Numerical Optimization (2006), sections 3.4 and 6.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from ..energies.protocols import Problem, norm
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number
from .eigenbasis import Form
from .globalization import Control, Globalization
from .line_search import Found, Phi, Trial, armijo, strong_wolfe
from .model import Model
from .normal_equations import cholesky_step
from .spectral import Step
from .subproblem import Coefficients, damped

__all__ = ["Armijo", "Point", "Searching", "StrongWolfe", "search_along"]

ROUNDING = 64.0  # a difference of energies of at most this multiple of eps |E| is a rounding error


@runtime_checkable
class Searching(Globalization, Protocol):
    """A globalisation that searches along the direction that its subproblem gives."""

    def search(self, phi: Phi, slope: float, *, start: float, shortest: float) -> Found:
        """Return the length of the step.

        Parameters
        ----------
        phi : callable
            Maps a length to its `gradflow.curvature.line_search.Trial`.
        slope : float
            The slope phi'(0).
        start : float
            First length, > 0.
        shortest : float
            Length that no longer changes theta, >= 0.
        """


class Point(NamedTuple):
    """What a search evaluates."""

    energy: float
    """E at the point."""
    change: float
    """E at the point less E at theta."""
    gradient: Callable[[], Array]
    """Returns the gradient, (P,)."""
    at: Any
    """What the caller keeps of the evaluation."""


def search_along(
    search: Searching,
    problem: Problem,
    theta: Array,
    d: Array,
    evaluate: Callable[[Array], Point],
    *,
    energy: float,
    slope: float,
    start: float,
) -> Found:
    """Return the length that a search finds along a direction.

    Parameters
    ----------
    search : Searching
        The search.
    problem : Problem
        The energy.
    theta, d : array (P,)
        Where the search starts, and the direction.
    evaluate : callable
        Maps parameters (P,) to a `Point`.
    energy : float
        E(theta).
    slope : float
        (g, d)_M.
    start : float
        First length, > 0.
    """
    eps = float(array_namespace(d).finfo(d.dtype).eps)

    def phi(alpha: float) -> Trial:
        E, change, gradient, at = evaluate(theta + alpha * d)
        noise = ROUNDING * eps * max(abs(energy), abs(E))
        return Trial(alpha, change, lambda: float(problem.inner(gradient(), d)), noise, at)

    size, length = norm(problem.inner, theta), norm(problem.inner, d)
    shortest = 1e-3 * eps * size / length if 0 < length < inf else 0.0  # below, theta would not change
    if -slope <= (ROUNDING * eps) ** 2 * abs(energy):
        slope = 0.0
    return search.search(phi, slope, start=start, shortest=shortest)


class _Descending:
    """What the searches share: the direction."""

    accept: ClassVar[None] = None
    direct: ClassVar[tuple[str, ...]] = ("cholesky",)
    beta: float

    def start(self, form: Form | None, length: Array) -> Control:
        """Return the length 1."""
        return Control(1 + 0 * length, 1 + 0 * length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return a direction of descent, the solution of (1) with (2)."""
        xp = array_namespace(form.mu)
        least, largest = xp.min(form.mu), xp.max(xp.abs(form.mu))
        zero = form.mu <= form.tiny
        bent = (least < -form.tiny) | xp.any(zero & (form.gamma != 0))
        nu = xp.where(bent, self.beta * largest - least, 0 * largest)  # (2)
        return damped(form.gamma, form.mu, nu, form.tiny)

    def solve_directly(self, model: Model, weights: Array | None, size: Array, tol: float | None) -> Step:
        """Return a direction of descent by a modified Cholesky factorisation."""
        return cholesky_step(model, weights, 0.0, beta=self.beta)

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the same control: each search starts from the full step."""
        return control


@dataclass(frozen=True)
class Armijo(_Descending):
    """Backtracking from the full step to one with sufficient decrease.

    Parameters
    ----------
    c1 : float
        The least share of the decrease ``-alpha (g, d)_M`` of the linear model, in (0, 1/2).
    beta : float
        The shift (2) of a curvature that is not positive definite, relative to its largest eigenvalue, in (0, 1].

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    c1: float = 1e-4
    beta: float = 1e-3

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("c1", self.c1, 0, 0.5, open_low=True, open_high=True)
        real_number("beta", self.beta, 0, 1, open_low=True)

    def search(self, phi: Phi, slope: float, *, start: float, shortest: float) -> Found:
        """Return the length by backtracking."""
        return armijo(phi, slope, start=start, c1=self.c1, shortest=shortest)


@dataclass(frozen=True)
class StrongWolfe(_Descending):
    """A length with the strong Wolfe conditions, which may be longer than the full step.

    Parameters
    ----------
    c1 : float
        The least share of the decrease ``-alpha (g, d)_M`` of the linear model, in (0, 1/2).
    c2 : float
        The largest share of the slope that may be left, in (c1, 1). For conjugate gradients 0.1 is usual; a small number
        makes the search exact.
    beta : float
        The shift (2) of a curvature that is not positive definite, relative to its largest eigenvalue, in (0, 1].

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    c1: float = 1e-4
    c2: float = 0.9
    beta: float = 1e-3

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("c1", self.c1, 0, 0.5, open_low=True, open_high=True)
        real_number("c2", self.c2, self.c1, 1, open_low=True, open_high=True)
        real_number("beta", self.beta, 0, 1, open_low=True)

    def search(self, phi: Phi, slope: float, *, start: float, shortest: float) -> Found:
        """Return the length by bracketing and zoom."""
        return strong_wolfe(phi, slope, start=start, c1=self.c1, c2=self.c2, shortest=shortest)
