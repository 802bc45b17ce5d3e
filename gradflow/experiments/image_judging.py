"""Claims about accuracies and losses at an epoch, decided from runs over several draws.

A rate near 0 or 1 changes fast in the first epochs, so it is read at the record of the epoch itself, not averaged around
it. A run that ended before decides nothing, unless it diverged; one that stood still stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TypeAlias

from ..run.solution import Solution
from .experiment import Claim
from .judging import ENOUGH, READING, at_epoch
from .verdicts import too_short
from .words import range_text

__all__ = ["Decide", "decided", "near"]

Decide: TypeAlias = Callable[[list[list[float]]], tuple[bool | None, str]]
"""From the values for each curve and draw: whether the claim holds (None: open), and what that rests on."""


def decided(text: str, curves: Sequence[Sequence[Solution]], name: str, epoch: float, decide: Decide) -> Claim:
    """Return a claim about the values of a quantity at an epoch, for as many draws as all curves have.

    Parameters
    ----------
    text : str
        What is claimed.
    curves : sequence of sequences of Solution
        For each curve a run for each draw.
    name : str
        A recorded quantity.
    epoch : float
        When; a run that is too short leaves the claim open.
    decide : callable
        From the values for each curve and draw: whether it holds, and what that rests on.
    """
    found = [[at_epoch(run, name, epoch, average=False) for run in runs] for runs in zip(*curves, strict=False)]
    if any(value is None for values in found for value in values):
        return Claim(text, None, too_short(epoch))
    of_curves = [[float(value) for value in values if value is not None] for values in zip(*found, strict=True)]
    return Claim(text, *decide(of_curves))


def near(published: float, within: float = READING, enough: int = ENOUGH) -> Decide:
    """Return the rule that a published rate lies in the spread of the first curve, widened by the reading error.

    Parameters
    ----------
    published : float
        A rate, > 0.
    within : float
        The reading error, a factor.
    enough : int
        Draws from which on a value outside the spread counts against the claim.
    """

    def decide(found: list[list[float]]) -> tuple[bool | None, str]:
        low, high = min(found[0]), max(found[0])
        inside = high < inf and low / within <= published <= high * within  # a draw that diverges is in no spread
        evidence = f"{range_text(found[0], '.2%')} (draws: {len(found[0])}); published {published:.1%}"
        return True if inside else False if len(found[0]) >= enough else None, evidence

    return decide
