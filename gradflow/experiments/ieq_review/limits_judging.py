"""What the review says of a restarted step, of large dt and of their speed, and what sweeps and runs say about it.

See `gradflow.experiments.ieq_review.limits`. Rounding, observed orders, the limit as it should read and the bound are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..experiment import Claim
from ..words import range_text
from .bound import StepsSeen
from .shared import OURS, UNDER
from .sweep import SWEEP, Sweep, orders

__all__ = ["NARROW", "SMOOTH", "WIDE", "faster", "judge"]

WIDE, NARROW, SMOOTH = "fewer samples than parameters", "more samples, ReLU", "more samples, tanh"
ORDER, SAME = 0.05, 100.0
"""How far an observed order may be from 1, and how far two computations of one step may differ, in units of rounding."""
NEAR, PLAIN = 1e-2, 1e-6
"""Relative distances: from the limit at the smallest dt swept, and of the two computations up to dt = 1."""
MORE, STEP = 1.25, 1.0
"""As fast counts what takes up to a quarter, or one step, more."""


def judge(
    sweeps: Mapping[str, Sequence[Sweep]], seen: Mapping[str, Mapping[float, Sequence[StepsSeen]]]
) -> list[Claim]:
    """Return what the review says of the limits and of large steps, and what the data say about it.

    Parameters
    ----------
    sweeps : mapping of str to sequence of Sweep
        For each case a sweep for each seed.
    seen : mapping of str to mapping of float to sequence
        For each network and dt what the run of each seed shows.
    """
    every = [s for several in sweeps.values() for s in several]
    # the systems that the library solves are of condition 1 + dt |J|^2
    units = [s.difference / (np.finfo(np.float64).eps * (1 + SWEEP * s.extremes[0])) for s in every]
    difference = max(float(u.max()) for u in units)
    plain = max(float(s.difference[SWEEP <= 1].max()) for s in every)
    descent, newton = zip(*(orders(s) for s in every), strict=True)
    start = [float(s.distances[0][0]) for s in every]
    ranks = "; ".join(
        f"{case}: rank {range_text([s.rank for s in several], 'd')} of P = {several[0].shape[1]}, N = {several[0].shape[0]}"
        for case, several in sweeps.items()
    )
    return [
        Claim(
            "a restarted step is the Levenberg-Marquardt step with mu = 1 / dt (2.3)",
            plain <= PLAIN,
            f"up to dt = 1 at most {plain:.0e} from the equation with singular values, relative",
        ),
        Claim(
            f"{OURS}it is so to rounding, for all dt",
            difference <= SAME,
            f"at most {difference:.1f} eps (1 + dt |J|^2) away, dt from {SWEEP[0]:.0e} to {SWEEP[-1]:.0e}",
        ),
        Claim(
            "for dt to 0 it is gradient descent (2.4)",
            max(start) <= NEAR,
            f"|d / dt + g| / |g| is {range_text(start)} at dt = {SWEEP[0]:.0e}",
        ),
        Claim(
            f"{OURS}that distance is of first order in dt",
            _first_order(descent),
            f"observed order {range_text(descent, '.3f')} (fitted)",
        ),
        Claim(
            "for dt to infinity it is -(J^T J)^{-1} J^T q (2.4; printed without a condition, it needs P independent columns of J)",
            all(s.rank == s.shape[1] for case in (WIDE, NARROW) for s in sweeps[case]),
            ranks,
        ),
        Claim(
            f"{OURS}for dt to infinity it is the Gauss-Newton step of smallest norm, -J^+ q",
            _first_order(newton),
            f"|d - d_GN| / |d_GN| is of observed order {range_text(newton, '.3f')} in 1 / dt (fitted)",
        ),
        *_rises(seen),
        *(faster(f"large dt converge faster (5.4): {case}", seen[case]) for case in (WIDE, NARROW)),
    ]


def faster(text: str, seen: Mapping[float, Sequence[StepsSeen]]) -> Claim:
    """Return the claim that steps to the target fall with dt, for every seed and from each dt to the next larger.

    Parameters
    ----------
    text : str
        What is claimed.
    seen : mapping of float to sequence of StepsSeen
        For each dt what the run of each seed shows.

    Returns
    -------
    Claim
        It fails if a larger dt takes more steps than the next smaller, by more than `MORE` and `STEP`, or if the largest
        takes no fewer than the smallest. A run that does not get there is slower than all that do; of seeds of which
        fewer than two runs get there nothing is known.
    """
    dts = sorted(seen)
    steps = np.array([[s.steps for s in seen[dt]] for dt in dts])
    slower = steps[1:] > np.fmax(MORE * steps[:-1], steps[:-1] + STEP)
    known = (np.isfinite(steps).sum(axis=0) >= 2).all()
    least = np.isfinite(steps).any(axis=0)
    wrong = bool(slower.any() or (steps[-1] >= steps[0])[least].any())
    where = [f"{a:g} to {b:g}" for a, b, s in zip(dts[:-1], dts[1:], slower, strict=True) if s.any()]
    ranges = ", ".join(
        f"{range_text(of, '.0f', infinite='never')} (dt = {dt:g})" for dt, of in zip(dts, steps, strict=True)
    )
    return Claim(
        text,
        False if wrong else True if known else None,
        f"steps to the target {ranges}{'; more from dt = ' + ' and '.join(where) if where else ''}",
    )


def _rises(seen: Mapping[str, Mapping[float, Sequence[StepsSeen]]]) -> list[Claim]:
    """Return the claims about rises of the loss: the statement as it is read here, and the bound."""
    every = [s for of in seen.values() for several in of.values() for s in several]
    rising = [s for s in every if s.rises]
    least = min(s.least for s in every)
    counts = []
    for case, of in seen.items():
        dts = [dt for dt, several in of.items() if any(s.rises for s in several)]
        smallest = f", smallest dt {min(dts):g}" if dts else ""
        count = sum(s.rises > 0 for several in of.values() for s in several)
        counts.append(f"{case}: rises in {count} of {sum(map(len, of.values()))} runs{smallest}")
    return [
        Claim(
            f"any dt is energy stable (5.4){UNDER}the energy is the loss",
            not rising,
            f"{'; '.join(counts)}; largest rise in one step a factor {max(s.largest for s in every):.3g}",
        ),
        Claim(
            f"{OURS}no rise where K dt |q_new| <= 2, K = 2 |q(new) - q - J d| / |d|^2 of the step d, q_new = q + J d",
            least > 2 if rising else None,
            f"least K dt |q_new| of a step with a rise {least:.2f}, {sum(s.rises for s in every)} such steps"
            if rising
            else "no step with a rise",
        ),
    ]


def _first_order(orders: Sequence[float]) -> bool | None:
    """Return whether all orders are 1; None where a limit lies outside of the sweep."""
    return None if np.isnan(orders).any() else max(abs(order - 1) for order in orders) <= ORDER
