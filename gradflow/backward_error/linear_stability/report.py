r"""All that is known of the stability of a scheme on a quadratic: thresholds, real flow, and orbits on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import Any

from ...refusals import instance, require_package
from .edge import limit_of
from .linearization import AmplificationMap
from .orbits import Fate, fate
from .quadratics import Quadratic, energy_of
from .states import require_scheme
from .thresholds import ExactStability, exact_or_none, first_end, intervals

__all__ = ["Stability", "stability"]

BEYOND = (0.5, 0.95, 1.05, 1.5, 2.25, 5.0)
"""Multiples of the threshold at which an orbit is run."""
WITHOUT_END = (0.5, 3.0, 30.0, 300.0)
"""The z at which an orbit is run if there is no threshold."""


@dataclass(frozen=True)
class Stability:
    """What `stability` found. All z are step sizes times the largest eigenvalue, dimensionless."""

    scheme: str
    """The scheme, in words."""
    energy: str
    """The energy (1), in words."""
    at_rest: bool
    """Whether the scheme stays at the minimum."""
    decides: bool
    """Whether the linearisation (2) describes the orbits close to the minimum: a few steps from a small perturbation are those of
    A. If not, the numbers from A are NaN and empty, and `obstacle` says why."""
    obstacle: str
    """Why a scheme that stays at the minimum has no threshold: it is not differentiable there, controls its own step, or takes steps
    that depend on their number without end. Empty if it has one."""
    period: int
    """The steps over which A is taken: the period of a scheme whose steps take turns, as `gradflow.Restart` has one of `every` steps;
    otherwise 1, and 0 without a period of at most 100."""
    variables: tuple[str, ...]
    """The variables of the state that matter."""
    carried: tuple[str, ...]
    """The variables that keep any value at the minimum, and on which the multiplier depends: a continuum of fixed points, each with a
    threshold of its own."""
    conserved: int
    """The number of quantities that A conserves, such as the inconsistency of a carried residual; their eigenvalue 1 is left out."""
    threshold: float
    """The end of the first interval of `stable`; infinite if there is no end up to 1e8."""
    stable: tuple[tuple[float, float], ...]
    """The intervals of z with asymptotic stability, between 1e-14 and 1e8. One narrower than a factor 2 may be missed."""
    real_flow: float
    """The end of the first interval of z with a real modified flow, of `period` if this is not 1; 0 if small z have none."""
    limit: float
    """The threshold in terms of the step that the scheme takes against a constant gradient (`effective_step`): the largest
    eigenvalue times the effective step at `threshold`, dimensionless. 2 for gradient descent with any stabilization; NaN if the steps
    of a period differ in it."""
    fates: tuple[Fate, ...]
    """Orbits at z below and beyond the threshold. An orbit that came close to the minimum beyond the threshold is said to decay, not to
    converge, if the scheme carries nothing that could stop the growth for good."""
    exact: ExactStability | None
    """The exact threshold; None where the step does not run on symbols or it was not asked for."""

    @property
    def beyond(self) -> tuple[str, ...]:
        """What happens beyond the threshold: the kinds of `fates` there, in the order of z, without repetitions."""
        kinds = [
            _named(end)
            for end in self.fates
            if end.z > self.threshold or self.threshold in (0.0, inf) or self.threshold != self.threshold
        ]
        return tuple(dict.fromkeys(kinds))

    def __str__(self) -> str:
        lines = [f"stability of {self.scheme} on {self.energy}, z = dt max lambda_i"]
        if not self.at_rest:
            lines.append("the scheme does not stay at the minimum")
        elif not self.decides:
            lines.append(self.obstacle if self.period else f"undecided: {self.obstacle}")
        elif not self.stable:
            lines.append("the minimum is not asymptotically stable for any z in [1e-14, 1e8]")
        else:
            exactly = "" if self.exact is None else f", exactly {self.exact.threshold}"
            every = "every z up to 1e8" if self.exact is None else "every z, exactly"
            until = every if self.threshold == inf else f"z < {self.threshold:.12g}{exactly}"
            lines.append(f"the minimum is asymptotically stable for {until}")
            lines += [f"and again for {a:.12g} < z < {b:.12g}" for a, b in self.stable[1:]]
            if self.period > 1:
                lines.append(f"the steps take turns: this is for the product of {self.period} steps")
            until = "every z" if self.real_flow == inf else f"z < {self.real_flow:.12g}"
            lines.append(f"there is a real modified flow for {until}")
        if self.carried:
            lines.append(
                f"a continuum of fixed points: {', '.join(self.carried)} may have any value; this is the consistent one"
            )
        if self.conserved:
            lines.append(
                f"{self.conserved} conserved quantity of A is left out: an inconsistent start stays inconsistent"
            )
        lines += [f"measured, z = {end.z:.6g}: {_told(end)}" for end in self.fates]
        return "\n".join(lines)


def _named(end: Fate) -> str:
    return f"{end.period}-cycle" if end.kind == "cycle" else end.kind


def _told(end: Fate) -> str:
    if end.kind in ("converges", "diverges", "fails"):
        return end.kind
    told = f"{_named(end)}, E - e up to {end.energy:.6g}"
    if end.kind == "cycle":
        return f"{told}, multiplier {end.multiplier:.6g}"
    return told if end.lyapunov != end.lyapunov else f"{told}, Lyapunov exponent {end.lyapunov:.3g}"


def stability(scheme: Any, energy: Quadratic | None = None, *, exact: bool = False, steps: int = 1000) -> Stability:
    """Return the linear stability of a scheme on the quadratic (1), and what lies beyond its threshold.

    Parameters
    ----------
    scheme : Scheme
        Any object with ``init`` and ``step``, yours too.
    energy : Quadratic, optional
        The energy (1); by default ``theta^2 / 2``. A stabilization and an epsilon have units: their effect depends on it.
    exact : bool
        Whether to run the step on symbols as well, for the exact threshold (some seconds).
    steps : int
        The steps of each orbit, >= 64.

    Returns
    -------
    Stability
        What was found.

    Raises
    ------
    ValueError
        If an argument is out of range, or the scheme refuses the quadratic.
    ImportError
        If `exact` is True and SymPy is not installed.

    Examples
    --------
    >>> import gradflow as gf
    >>> from gradflow.backward_error.linear_stability import stability
    >>> found = stability(gf.HeavyBall(momentum=0.5))
    >>> found.threshold, found.variables, found.beyond
    (3.0, ('theta', 'd'), ('diverges',))
    >>> print(stability(gf.Restart(gf.SAV(C=1.0)), exact=True))
    stability of Restart(base=SAV(C=1.0, stabilization=0.0), every=1) on Quadratic(1.0), z = dt max lambda_i
    the minimum is asymptotically stable for z < 2, exactly 2
    there is a real modified flow for z < 1
    measured, z = 1: converges
    measured, z = 1.9: converges
    measured, z = 2.1: 2-cycle, E - e up to 0.0243902, multiplier 0.662692
    measured, z = 3: 2-cycle, E - e up to 0.2, multiplier 0.0123457
    measured, z = 4.5: 2-cycle, E - e up to 0.384615, multiplier 0.36595
    measured, z = 10: 2-cycle, E - e up to 0.666667, multiplier 0.8464
    """
    require_scheme(scheme)
    instance("exact", exact, bool, "True or False")
    if exact:
        require_package("sympy", "proofs", "stability(exact=True)")
    problem = energy_of(energy)
    at = AmplificationMap(scheme, problem)
    stable: tuple[tuple[float, float], ...] = ()
    threshold = real_flow = limit = nan
    if at.decides:
        stable = intervals(lambda z: at.radius(z) < 1)
        threshold, real_flow = first_end(stable), first_end(intervals(at.has_flow))
        limit = limit_of(at, threshold)
    multiples = [m * threshold for m in BEYOND] if 0 < threshold < inf else WITHOUT_END
    fates = [fate(scheme, z, problem, steps=steps) for z in multiples]
    if (
        at.decides and at.linear is not None and at.linear.forgets and not at.conserved
    ):  # nothing stops the growth for good
        fates = [end._replace(kind="decays") if end.kind == "converges" and end.z > threshold else end for end in fates]
    return Stability(
        scheme=repr(scheme),
        energy=repr(problem),
        at_rest=at.at_rest,
        decides=at.decides,
        obstacle=at.obstacle,
        period=at.period,
        variables=() if at.linear is None else at.linear.variables,
        carried=at.linear.carried if at.linear is not None and at.period else (),
        conserved=at.conserved,
        threshold=threshold,
        stable=stable,
        real_flow=real_flow,
        limit=limit,
        fates=tuple(fates),
        exact=exact_or_none(scheme, at) if exact and at.decides else None,
    )
