"""Stopping tolerances, and whether a run that no longer moves is at a stationary point."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf, isfinite
from typing import Any, NamedTuple

from ..energies.derivatives import rounding_of_squares
from ..energies.protocols import Problem, norm
from ..namespace import array_namespace
from ..refusals import lists_arguments, plain_numbers, real_number
from ..schemes import Restart
from ..schemes.protocols import AuxiliaryScheme, Scheme, scheme_ability
from .solution import Status

__all__ = ["Ending", "Tolerance", "standstill", "unheld"]


STATIONARY = "stationary"
"""First word of the message of a run that ends at a stationary point."""


class Ending(NamedTuple):
    """How a run ends."""

    status: Status
    """The status."""
    message: str
    """The status, in a sentence."""


@lists_arguments
@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Stopping tolerances; a run ends ``CONVERGED`` when one of them is met.

    They are tested at every record (see ``every=``) on the full problem, in its inner product. A tolerance on the
    change of the energy or on the step is met only if a step from the same theta with a fresh auxiliary variable meets
    it as well: a collapsed auxiliary variable makes every step small.

    Parameters
    ----------
    gradient : float, optional
        Bound on ``|grad E|_M``, > 0; with bounds on theta, without the entries of the gradient that a bound holds
        (`gradflow.curvature.bounds`, (5)), as in the method ``dogbox`` of SciPy.
    gradient_relative : float, optional
        The same, relative to its value at theta0.
    energy : float, optional
        Bound on the change of the energy in one step, > 0, in the units of the energy.
    energy_relative : float, optional
        The same, relative to ``|E|``.
    step : float, optional
        Bound on ``|theta^{n+1} - theta^n|_M``, > 0.
    step_relative : float, optional
        Bound on ``|theta^{n+1} - theta^n|_M / |theta^{n+1}|_M``, > 0. Of a `gradflow.SecondOrder`, also of that quotient in its
        metric D, as MINPACK's ``xtol``: a large parameter does not hide a small one.

    Raises
    ------
    ValueError
        If no bound is given, or a bound is not a finite number > 0.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> parabola = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy())
    >>> gf.solve(parabola, gf.GradientDescent(), np.ones(2), dt=0.5, steps=100, stop=gf.Tolerance(gradient=1e-6)).status
    <Status.CONVERGED: 'converged'>
    """

    gradient: float | None = None
    gradient_relative: float | None = None
    energy: float | None = None
    energy_relative: float | None = None
    step: float | None = None
    step_relative: float | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        if not given:
            raise ValueError(f"a tolerance must be given: one of {', '.join(f.name for f in fields(self))}")
        for name in given:
            real_number(name, getattr(self, name), 0, open_low=True)

    def met(
        self, problem: Problem, scheme: Scheme, old: Any, state: Any, dt: float, theta0: Any, *, by_step: bool = True
    ) -> str:
        """Return which tolerance is met, in a sentence; "" if none is.

        Parameters
        ----------
        problem, scheme : Problem, Scheme
            The full problem, and the scheme.
        old, state : NamedTuple
            The states before and after the last step.
        dt, theta0 : float, array (P,)
            The size of that step, and where the run began.
        by_step : bool
            Whether the tolerances of the energy and the step are tested; a step that was shortened to hit a time meets them
            always.
        """
        if self.gradient is not None or self.gradient_relative is not None:
            size = _steepness(problem, scheme, state.theta)
            if self.gradient is not None and size <= self.gradient:
                return f"gradient norm {size:.3g} <= {self.gradient:g}"
            if self.gradient_relative is not None:
                first = _steepness(problem, scheme, theta0)
                if isfinite(first) and size <= self.gradient_relative * first:
                    return f"gradient norm {size:.3g} <= {self.gradient_relative:g} of its first value {first:.3g}"
        small = self._small(problem, scheme, old, state) if by_step else ""
        if not small:
            return ""
        fresh = unheld(scheme)
        return small if fresh is scheme or self._small(problem, fresh, state, fresh.step(problem, state, dt)) else ""

    def _small(self, problem: Problem, scheme: Scheme, old: Any, new: Any) -> str:
        """Return which tolerance on the energy or on the step a step meets, "" if it meets no tolerance."""
        if self.energy is not None or self.energy_relative is not None:
            E, eps = float(problem.energy(new.theta)), float(array_namespace(new.theta).finfo(new.theta.dtype).eps)
            rounding = 4 * eps * abs(E)  # no smaller change is seen
            change = abs(E - float(problem.energy(old.theta))) + rounding
            if self.energy is not None and change <= self.energy:
                return f"change of the energy in a step {change:.3g} <= {self.energy:g}"
            if self.energy_relative is not None and 0 < abs(E) < inf and change <= self.energy_relative * abs(E):
                quotient = f"{change:.3g} / {abs(E):.3g}"
                return f"relative change of the energy in a step {quotient} <= {self.energy_relative:g}"
        if self.step is not None or self.step_relative is not None:
            d = new.theta - old.theta
            length = norm(problem.inner, d)
            if self.step is not None and length <= self.step:
                return f"length of a step {length:.3g} <= {self.step:g}"
            if self.step_relative is not None:
                measured, size = scheme_ability(scheme, "measured"), norm(problem.inner, new.theta)
                shares = [(length, size)]
                if measured is not None:
                    shares.append(
                        (norm(problem.inner, measured(new, d)), norm(problem.inner, measured(new, new.theta)))
                    )
                if all(0 < size < inf and length <= self.step_relative * size for length, size in shares):
                    length, size = shares[-1]
                    return f"relative length of a step {length:.3g} / {size:.3g} <= {self.step_relative:g}"
        return ""


def _free(scheme: Scheme, theta: Any, g: Any) -> Any:
    """Return the gradient, (P,), without the entries that the bounds of a scheme hold."""
    bounds = scheme_ability(scheme, "bounds")
    return g if bounds is None else bounds.free(theta, g)


def _steepness(problem: Problem, scheme: Scheme, theta: Any) -> float:
    """Return ``|grad E|_M`` at theta, with bounds that of the free gradient."""
    return norm(problem.inner, _free(scheme, theta, problem.energy_and_gradient(theta)[1]))


def unheld(scheme: Scheme) -> Scheme:
    """Return the scheme with a fresh auxiliary variable in each step, which moves even if the variable has collapsed.

    Parameters
    ----------
    scheme : Scheme
        The scheme. It is returned itself if it has no auxiliary variable or restarts it in each step.
    """
    if isinstance(scheme, AuxiliaryScheme) and scheme_ability(scheme, "carries_auxiliary"):
        return Restart(scheme)
    return scheme


def standstill(problem: Problem, scheme: Scheme, state: Any, dt: float, theta0: Any, still: int) -> Ending:
    """Return how a run ends that no longer moves: DONE, STAGNATED, INADMISSIBLE or NONFINITE.

    A stationary point is distinguished from an iterate held in place by a tiny step or a collapsed auxiliary variable.

    A point is stationary to rounding where the gradient has become small, relative to its value at theta0 or to what would
    change E in half of its digits, a step with a fresh auxiliary variable would change theta or E by rounding only, and no
    longer step along the gradient lowers E by more: a tiny dt alone makes nothing stationary. The rounding errors of a sum of
    squares are measured.

    Parameters
    ----------
    problem, scheme : Problem, Scheme
        The full problem, and the scheme.
    state : NamedTuple
        The state that no longer changes.
    dt, theta0 : float, array (P,)
        The size of the last step, and where the run began.
    still : int
        Number of steps without a change.
    """
    why = scheme_ability(scheme, "undefined")(problem, state.theta)
    if why:
        return Ending(Status.INADMISSIBLE, why)
    theta = state.theta
    E, g = problem.energy_and_gradient(theta)
    xp = array_namespace(g)
    if not bool(xp.all(xp.isfinite(g))):
        return Ending(Status.NONFINITE, "the gradient is not finite; the last finite state is kept")
    left = _free(scheme, theta, g)
    size, energy, eps = norm(problem.inner, left), abs(float(E)), float(xp.finfo(g.dtype).eps)
    if not energy < inf:
        return Ending(Status.NONFINITE, "the energy is not finite")
    if size == 0:
        return Ending(Status.DONE, f"{STATIONARY} point: no change in {still} steps and the gradient is zero")
    E0, g0 = problem.energy_and_gradient(theta0)
    first, length = norm(problem.inner, _free(scheme, theta0, g0)), norm(problem.inner, theta)
    noise = rounding_of_squares(problem, theta)
    change = max(
        eps**0.5 * energy, 128 * (noise * energy) ** 0.5
    )  # of a sum of squares, |g|^2 / K may be noise before E is
    small = (isfinite(first) and size <= eps**0.5 * first) or _below(size, change, length)
    if small:
        moved = unheld(scheme).step(problem, state, dt).theta - theta
        scale = max(energy, eps * abs(float(E0)), noise / eps)
        seen = abs(float(problem.inner(g, moved))) > 8 * eps * scale and norm(problem.inner, moved) > 8 * eps * length
        if not seen and not _descends(problem, scheme, theta, g, dt, scale, eps):
            return Ending(
                Status.DONE, f"{STATIONARY} to rounding: no change in {still} steps, gradient norm {size:.3g}"
            )
    return Ending(Status.STAGNATED, f"nothing changed in {still} steps, yet the gradient has norm {size:.3g}")


def _below(size: float, energy: float, length: float) -> bool:
    """Return whether size * length <= energy, without the product, which may underflow."""
    return 0 < length < inf and 0 < energy < inf and size <= energy / length


def _descends(problem: Problem, scheme: Scheme, theta: Any, g: Any, dt: float, scale: float, eps: float) -> bool:
    """Return whether the energy falls by more than rounding along the gradient, for some step longer than dt."""
    h, E, bounds = dt, float(problem.energy(theta)), scheme_ability(scheme, "bounds")
    for _ in range(60):
        h *= 4.0
        trial = theta - h * g if bounds is None else bounds.project(theta - h * g)
        fall = E - float(problem.energy(trial))
        if not isfinite(fall) or fall < -8 * eps * scale:
            return False
        if fall > 64 * eps * scale:
            return True
    return False
