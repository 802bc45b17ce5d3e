r"""What an orbit of a scheme does on a quadratic: the scheme runs, from one start, and the orbit is classified.

All of this is measured. The Lyapunov exponent is the mean of ``log |D Phi|`` along the orbit, by the separation of two
neighbouring orbits; the multiplier of a cycle is the leading eigenvalue of the derivative of its steps, by central differences.

Source: Strogatz, Nonlinear Dynamics and Chaos (1994), chapter 10, for cycles of maps and Lyapunov exponents.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf, isfinite, log, nan
from typing import Any, NamedTuple

import numpy as np

from ...namespace import quiet
from ...refusals import real_number, whole_number
from .linearization import closure
from .quadratics import Quadratic, energy_of
from .states import require_scheme, values_of, with_values

__all__ = ["Fate", "fate"]

ROUND, TINY = 1e-9, 1e-120
"""What is zero in an orbit, relative to its size, and what is so small that the orbit need not be followed further."""


class Fate(NamedTuple):
    """What an orbit of a scheme does on the quadratic, measured."""

    z: float
    """The step size times the largest eigenvalue, dimensionless."""
    kind: str
    """``converges`` (to the minimum), ``decays`` (on its way there), ``stops`` (elsewhere), ``cycle``, ``chaos`` (bounded, with a
    Lyapunov exponent above 0.02), ``bounded`` (none of these within the steps taken), ``diverges`` or ``fails`` (a value that is
    not finite)."""
    period: int
    """Of a cycle, in steps; otherwise 0."""
    amplitude: float
    """The largest ``|theta|`` at the end of the orbit."""
    energy: float
    """The largest ``E - e`` at the end of the orbit, in the units of the energy."""
    multiplier: float
    """Of a cycle: the derivative of the map of `period` steps, the eigenvalue of largest modulus, dimensionless; else NaN."""
    lyapunov: float
    """The mean of ``log |D Phi|`` along the end of the orbit, 1 / step; NaN where it was not computed."""


def fate(
    scheme: Any,
    z: float,
    energy: Quadratic | None = None,
    *,
    start: float | None = None,
    steps: int = 1000,
) -> Fate:
    """Run a scheme on the quadratic and return what its orbit does.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``.
    z : float
        The step size times the largest eigenvalue, dimensionless, > 0.
    energy : Quadratic, optional
        The energy (1); by default ``theta^2 / 2``.
    start : float, optional
        Every entry of theta at the start; by default 1, or ``20 dt`` if that is less: for Adam and its relatives dt is a length.
    steps : int
        The steps that are taken before the orbit is classified, >= 64. 1000 more are taken for a Lyapunov exponent.

    Returns
    -------
    Fate
        What was measured.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    The true energy of restarted SAV beyond ``z = 2`` is that of a cycle of two steps, ``C (z - 2) / (z + 2)``:

    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import fate
    >>> end = fate(gf.Restart(gf.SAV(C=1.0)), 5.0)
    >>> end.kind, end.period, round(end.energy, 9), round(end.multiplier, 6)
    ('cycle', 2, 0.428571429, 0.4624)
    """
    require_scheme(scheme)
    problem = energy_of(energy)
    dt = real_number("z", z, 0, open_low=True) / problem.largest
    steps = whole_number("steps", steps, 64)
    first = min(1.0, 20 * dt) if start is None else real_number("start", start)
    with quiet():
        state = scheme.init(problem, first + 0 * problem.curvature)
        states, sizes, tiny = [state], [abs(first)], 0
        bound = 1e12 * max(1.0, z) * abs(first)
        for _ in range(steps):
            state = scheme.step(problem, state, dt)
            size = float(np.max(np.abs(state.theta)))
            if not size <= bound:
                return Fate(z, "diverges" if size > bound else "fails", 0, size, inf, nan, nan)
            states, sizes = [*states[-63:], state], [*sizes, size]
            tiny = tiny + 1 if size <= TINY * abs(first) else 0
            if tiny == 8:  # a momentum may cross the minimum in one step, but does not stay there
                return Fate(z, "converges", 0, size, float(problem.energy(state.theta) - problem.offset), nan, nan)
        return _classified(scheme, problem, dt, z, states, np.array(sizes))


def _classified(scheme: Any, problem: Quadratic, dt: float, z: float, tail: list[Any], sizes: Any) -> Fate:
    """Return the fate of an orbit that ends with some states, from the sizes of theta along all of it."""
    thetas = np.array([state.theta for state in tail])
    amplitude = float(np.max(np.abs(thetas)))
    energy = float(max(problem.energy(theta) for theta in thetas) - problem.offset)
    if amplitude <= ROUND * sizes[0]:
        return Fate(z, "converges", 0, amplitude, energy, nan, nan)
    for p in range(1, 17):
        if np.max(np.abs(thetas[p:] - thetas[:-p])) <= ROUND * amplitude:
            if p == 1:
                return Fate(z, "stops", 0, amplitude, energy, nan, nan)
            return Fate(z, "cycle", p, amplitude, energy, _cycle_multiplier(scheme, problem, dt, tail[-1], p), nan)
    if amplitude < 0.9 * np.max(sizes[sizes.size // 2 :][:64]):
        return Fate(z, "decays", 0, amplitude, energy, nan, nan)
    exponent = _lyapunov(scheme, problem, dt, tail[-1], 1000)
    return Fate(z, "chaos" if exponent > 0.02 else "bounded", 0, amplitude, energy, nan, exponent)


def _moved(scheme: Any, problem: Quadratic, dt: float, state: Any, p: int) -> Any:
    for _ in range(p):
        state = scheme.step(problem, state, dt)
    return np.array(values_of(state), dtype=np.float64)


def _cycle_multiplier(scheme: Any, problem: Quadratic, dt: float, state: Any, p: int) -> float:
    """Return the eigenvalue of largest modulus of the derivative of p steps, by central differences."""
    x = np.array(values_of(state), dtype=np.float64)
    size = np.max(np.abs(state.theta))
    places = [i for i in range(x.size) if isfinite(x[i])]
    J = np.zeros((x.size, x.size))
    for i in places:
        h = 2.0**-18 * (abs(x[i]) or 2.0**-10 * size)
        ends = []
        with suppress(ValueError):  # a constant of the state, of which the scheme refuses other values
            for sign in (-1, 1):
                y = x.copy()
                y[i] += sign * h
                ends.append(_moved(scheme, problem, dt, with_values(state, iter(y)), p))
            J[:, i] = (ends[1] - ends[0]) / (2 * h)
    if not np.isfinite(J[np.ix_(places, places)]).all():
        return nan
    noise = 1e-8 * np.max(np.abs(J[places]))
    matters = sorted(closure(set(range(problem.curvature.size)), (np.abs(J) > noise).tolist()))
    J = J[np.ix_(matters, matters)]
    values = np.linalg.eigvals(J)
    moving = values[np.abs(values - 1) > 1e-6]  # 1 is the multiplier of a variable that is carried
    if not moving.size:
        return 1.0
    leading = moving[np.argmax(np.abs(moving))]
    return float(leading.real) if leading.imag == 0 else float(abs(leading))


def _lyapunov(scheme: Any, problem: Quadratic, dt: float, state: Any, steps: int) -> float:
    """Return the mean growth of the separation of two orbits, which is brought back to 1e-8 of theta in each step."""
    size = float(np.max(np.abs(state.theta)))
    x = np.array(values_of(state), dtype=np.float64)
    places = [i for i in range(x.size) if isfinite(x[i])]
    gap = np.zeros(x.size)
    gap[: problem.curvature.size] = 1e-8 * size
    total = 0.0
    for _ in range(steps):
        other = scheme.step(problem, with_values(state, iter(x + gap)), dt)
        state = scheme.step(problem, state, dt)
        x = np.array(values_of(state), dtype=np.float64)
        gap = np.array(values_of(other), dtype=np.float64) - x
        length = float(np.linalg.norm(gap[places]))
        if not 0 < length < inf:
            return nan if length else -inf
        total += log(length / (1e-8 * size))
        gap = np.where(np.isfinite(gap), gap * (1e-8 * size / length), 0.0)
    return total / steps
