"""Claims about the adaptive forms, for each reading of v, and the verdict under the reading that fits better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...run.solution import Solution
from ..experiment import Claim
from ..judging import ENOUGH, at_epoch, in_spread, over_draws
from ..verdicts import overall, told, too_short
from ..words import median_text
from .adaptive_panels import PRINTED, READINGS

__all__ = ["falls", "levels", "of_reading", "verdict_by_reading"]


def falls(
    text: str, runs: Sequence[Solution], since: float, until: float, factor: float, *, at_all: bool = True
) -> Claim:
    """Return the claim that the train error falls by at least a factor between two epochs, or does not.

    Parameters
    ----------
    text : str
        What is claimed.
    runs : sequence of Solution
        One for each draw.
    since, until : float
        From which epoch to which.
    factor : float
        The least quotient of the errors there.
    at_all : bool
        False claims that it does not, in the median of the draws: a curve that stalls may be noisy.

    Returns
    -------
    Claim
        Decided by `gradflow.experiments.judging.over_draws`; open if a run ended before. A divergent run does not fall.
    """
    quotients = []
    for run in runs:
        a, b = (at_epoch(run, "train_error", epoch) for epoch in (since, until))
        if a is None or b is None:
            return Claim(text, None, too_short(until))
        quotients.append(0.0 if b == np.inf else a / b)
    shown = [quotient >= factor for quotient in quotients]
    stalls = float(np.median(quotients)) < factor
    holds = over_draws(shown) if at_all else True if stalls else False if len(shown) >= ENOUGH else None
    found = f"from epoch {since:g} to {until:g} by a factor {median_text(quotients, '.2g')}, draws: {len(quotients)}"
    return Claim(text, holds, found)


def levels(
    title: str, curves: Mapping[str, Sequence[Solution]], epoch: float, published: Mapping[str, Sequence[float]]
) -> list[Claim]:
    """Return the claims that published train and test errors lie in the spread of the draws.

    Parameters
    ----------
    title : str
        Of the panel.
    curves : mapping of str to sequence of Solution
        For each label the runs.
    epoch : float
        When.
    published : mapping of str to sequence of float
        For each label the train and, if there is one, the test error that the paper shows.

    Returns
    -------
    list of Claim
        One open claim for all if a run ended, without diverging, before the epoch: the paper says nothing of how its curves get there.
    """
    ended = {label: curves[label] for label in published}
    if any(at_epoch(run, "train_error", epoch) is None for runs in ended.values() for run in runs):
        return [Claim(f"{title}: all curves end at the published errors", None, too_short(epoch))]
    return [
        in_spread(
            f"{title}: {label} ends at a {part} error of {value:.1e}", ended[label], f"{part}_error", epoch, value
        )
        for label, values in published.items()
        for part, value in zip(("train", "test"), values, strict=False)
    ]


def of_reading(claims: Sequence[Claim], reading: str) -> list[Claim]:
    """Return the claims that rest on one reading of v, or on none.

    Parameters
    ----------
    claims : sequence of Claim
        Of all readings; the text of one that rests on a reading begins with what `READINGS` says of it.
    reading : str
        A key of `READINGS`.
    """
    others = tuple(text for name, text in READINGS.items() if name != reading)
    return [claim for claim in claims if not claim.text.startswith(others)]


def verdict_by_reading(claims: Sequence[Claim], changed: str, unsaid: str = "") -> str:
    """Return the verdict on a figure of which either reading of v may be what was run.

    Parameters
    ----------
    claims : sequence of Claim
        Of all readings, see `of_reading`.
    changed : str
        What was not done as in the paper.
    unsaid : str
        As for `gradflow.experiments.verdicts.overall`.

    Returns
    -------
    str
        That of the reading under which the fewest claims fail, and the most hold, the printed one if it is a tie; the other one is a
        stated change, and of the other reading it is told how many claims hold.
    """
    answers = {reading: [claim.holds for claim in of_reading(claims, reading)] for reading in READINGS}
    best = max(READINGS, key=lambda reading: (-answers[reading].count(False), answers[reading].count(True)))
    other = next(reading for reading in READINGS if reading != best)
    of_other = answers[other]
    found = f"{of_other.count(True)} hold, {of_other.count(False)} fail, {of_other.count(None)} are open"
    chosen, beside = (f"{READINGS[one]}{', as printed' if one == PRINTED else ''}" for one in (best, other))
    first = overall(of_reading(claims, best), told(changed, "" if best == PRINTED else READINGS[best]), unsaid)
    return f"{first}; this counts {chosen}; {beside}, {found}"
