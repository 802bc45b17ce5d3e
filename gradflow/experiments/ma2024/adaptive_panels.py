r"""Panels of the adaptive forms: explicit Euler and SAV in its three forms, along Adam's averages.

The adaptive forms replace the gradient g by its average :math:`\hat m` and the step :math:`\Delta t` by
:math:`\Delta t / (\sqrt{\hat v} + \varepsilon)`, v an average of the square of g. Ma, Mao & Shen print the squared
norm, so that v is one number for all parameters; Adam, which they start from, has it element by element. The curves
need not agree: for mass c in every one of P coordinates (c = 1 / m in mean-field time),

.. math::
   |d|_M = \Delta t \ \text{ by the norm}, \qquad |d|_M = \Delta t \sqrt{c P} \ \text{ element by element}     \tag{1}

is the length of the first step of explicit Euler, and no later one shrinks as g does. Those of SAV do, by its
stabilization: with :math:`|g|_M \to 0` the step tends to :math:`\hat m / \lambda`, whatever :math:`\Delta t` and the
reading are. So both readings are panels of the figures.

Source: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Algorithm 5, eqs. (3)-(4), Figs. 4, 9, 10.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...schemes import Adam, AdaptiveSAV, Restart
from ...schemes.protocols import Scheme
from .curves import Curve, Panel, relaxed
from .panels import PanelRuns
from .tasks import TaskSettings

__all__ = [
    "ADAM",
    "ADAPTIVE_EULER",
    "ADAPTIVE_RELAXED",
    "ADAPTIVE_RESTARTED",
    "ADAPTIVE_SAV",
    "ADAPTIVE_SAVS",
    "PRINTED",
    "READINGS",
    "adam_curve",
    "adaptive_curves",
    "adaptive_panels",
    "by_reading",
]

ADAPTIVE_EULER, ADAPTIVE_SAV = "adaptive Euler", "adaptive SAV"
ADAPTIVE_RESTARTED, ADAPTIVE_RELAXED = "adaptive restarted SAV", "adaptive relaxed SAV"
ADAPTIVE_SAVS = (ADAPTIVE_SAV, ADAPTIVE_RESTARTED, ADAPTIVE_RELAXED)
"""The three adaptive forms of SAV."""
ADAM = "Adam, dt = 0.001"
PRINTED = "norm"
"""The reading of v that the paper prints."""
READINGS = {PRINTED: "v by the norm", "elementwise": "v element by element"}
"""For each reading of v what a panel says of it."""


def adaptive_curves(settings: TaskSettings, dt: float, reading: str) -> tuple[Curve, ...]:
    """Return explicit Euler and SAV in its three forms, all along Adam's averages.

    Parameters
    ----------
    settings : TaskSettings
        C and the stabilization.
    dt : float
        Step size > 0: a length in the space of parameters.
    reading : {"norm", "elementwise"}
        Whether v is a number, from the squared norm of the gradient, or has an entry for each parameter.

    Raises
    ------
    ValueError
        If the reading is unknown.
    """
    sav = AdaptiveSAV(C=settings.C, stabilization=settings.stabilization, reading=reading)
    schemes: dict[str, Scheme] = {
        ADAPTIVE_EULER: Adam(reading=reading),
        ADAPTIVE_SAV: sav,
        ADAPTIVE_RESTARTED: Restart(sav),
        ADAPTIVE_RELAXED: relaxed(sav),
    }
    return tuple(Curve(label, scheme, dt) for label, scheme in schemes.items())


def adam_curve() -> Curve:
    """Return Adam with its usual rate, 0.001: the adaptive Euler, element by element, that the paper compares with."""
    return Curve(ADAM, Adam(), 1e-3)


def adaptive_panels(settings: TaskSettings, steps: Iterable[float]) -> tuple[Panel, ...]:
    """Return a panel for each reading and step size; Adam is in the last of them.

    Parameters
    ----------
    settings : TaskSettings
        C and the stabilization.
    steps : iterable of float
        Step sizes > 0.

    Returns
    -------
    tuple of Panel
        For the particle method.
    """
    sizes = tuple(steps)
    panels = [
        Panel(f"{told_reading}, dt = {dt:g}", f"{reading}-dt{dt:g}", adaptive_curves(settings, dt, reading))
        for reading, told_reading in READINGS.items()
        for dt in sizes
    ]
    panels[-1] = panels[-1]._replace(curves=(*panels[-1].curves, adam_curve()))
    return tuple(panels)


def by_reading(runs: PanelRuns, dt: float) -> dict[str, PanelRuns]:
    """Return for each reading its panels of one step size.

    Parameters
    ----------
    runs : dict
        From `gradflow.experiments.ma2024.panels.run_panels`, of `adaptive_panels`.
    dt : float
        The step size.
    """
    starts = {reading: f"{text}, dt = {dt:g}" for reading, text in READINGS.items()}
    return {
        reading: {title: curves for title, curves in runs.items() if title == start or title.startswith(f"{start},")}
        for reading, start in starts.items()
    }
