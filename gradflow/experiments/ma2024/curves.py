"""The curves of most figures of Ma, Mao & Shen, and the panels that they are drawn in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...schemes import SAV, AdaptiveSAV, GradientDescent, Relaxed, Restart
from ...schemes.protocols import Scheme
from .tasks import TaskSettings

__all__ = [
    "EULER",
    "RELAXED",
    "RESTARTED",
    "SMOOTHED",
    "VANILLA",
    "Curve",
    "Panel",
    "by_method",
    "euler_and_sav",
    "relaxed",
]

EULER, VANILLA, RESTARTED, RELAXED = "explicit Euler", "SAV", "restarted SAV", "relaxed SAV"
SMOOTHED = ", smoothed particles"
"""Behind the title of a panel of the smoothed particle method."""


class Curve(NamedTuple):
    """A scheme with its step size."""

    label: str
    """The legend's entry."""
    scheme: Scheme
    """What runs."""
    dt: float
    """Step size > 0."""
    product: str | None = None
    """One of `gradflow.experiments.ma2024.products.PRODUCTS`; None for that of the settings."""


class Panel(NamedTuple):
    """Curves that the paper draws over one another."""

    title: str
    """Above the row."""
    stem: str
    """Of the names of the files."""
    curves: tuple[Curve, ...]
    """In the order of the legend."""
    smoothed: bool = False
    """Whether the smoothed particle method runs."""


def relaxed(scheme: SAV | AdaptiveSAV) -> Relaxed:
    """Return a scheme relaxed as the paper prints it, Algorithm 4: what may be given back leaves out the stabilization's share.

    Parameters
    ----------
    scheme : SAV or AdaptiveSAV
        The vanilla scheme.
    """
    return Relaxed(scheme, eta=0.99, budget="increment")


def euler_and_sav(settings: TaskSettings, dt: float) -> tuple[Curve, ...]:
    """Return explicit Euler and SAV in its three forms, the curves of most figures.

    Parameters
    ----------
    settings : TaskSettings
        C and the stabilization.
    dt : float
        Step size > 0.
    """
    sav = SAV(C=settings.C, stabilization=settings.stabilization)
    schemes: dict[str, Scheme] = {
        EULER: GradientDescent(),
        VANILLA: sav,
        RESTARTED: Restart(sav),
        RELAXED: relaxed(sav),
    }
    return tuple(Curve(label, scheme, dt) for label, scheme in schemes.items())


def by_method(settings: TaskSettings, panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """Return panels for the methods that the settings ask for; with both, each panel and then its smoothed form.

    Parameters
    ----------
    settings : TaskSettings
        Its ``method``.
    panels : iterable of Panel
        For the particle method.

    Returns
    -------
    tuple of Panel
        Those of the smoothed particle method have ``SMOOTHED`` behind their titles.
    """
    found = []
    for panel in panels:
        if settings.method != "smoothed":
            found.append(panel)
        if settings.method != "particle":
            found.append(panel._replace(title=panel.title + SMOOTHED, stem=f"{panel.stem}-smoothed", smoothed=True))
    return tuple(found)
