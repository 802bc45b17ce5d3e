r"""What Fig. 11 of Ma, Mao & Shen shows, and what the runs say about it.

The paper has one curve for each method and does not say of which scheme the accuracies are; relaxed SAV is taken.

The published gain of smoothed particles, 0.2 points, is about the sampling error of the difference of two accuracies p on
N = 10 000 images,

.. math:: \sqrt{2\, p (1 - p) / N} \approx 0.19\,\% \quad \text{at } p = 0.982,

so that single runs cannot tell; the claim about it is decided only beyond twice that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, sqrt

import numpy as np

from ...run.solution import Solution
from ..experiment import Claim
from ..image_judging import Decide, decided, near
from ..judging import at_epoch, over_draws
from ..verdicts import too_short
from .curves import EULER, RELAXED

__all__ = ["EPOCHS", "FIRST", "LAST_ACCURACY", "SMOOTHED", "judge"]

EPOCHS, FIRST = 10, 1
"""When the accuracies are read."""
LAST_ACCURACY, FIRST_ACCURACY, SMOOTHED_ACCURACY, GOAL = 0.982, 0.948, 0.984, 0.98
DRAWS = 3
"""Draws from which on they count against a claim."""
SMOOTHED = "smoothed: "
"""Before the label of a curve with smoothed particles."""


def judge(runs: Mapping[str, Sequence[Solution]], n_test: int, *, whole: bool = True) -> list[Claim]:
    """Return what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        For each label a run for each draw.
    n_test : int
        Images that the accuracies are measured on.
    whole : bool
        Whether all images of MNIST are used; with a part of them the published accuracies cannot be told.
    """
    particles = {label: several for label, several in runs.items() if not label.startswith(SMOOTHED)}
    claims = [_goal(particles)]
    for epoch, accuracy in ((FIRST, FIRST_ACCURACY), (EPOCHS, LAST_ACCURACY)):
        text = f"relaxed SAV classifies {1 - accuracy:.1%} of the test images wrongly after epoch {epoch}"
        claims.append(decided(text, (runs[RELAXED],), "test_error", epoch, near(1 - accuracy)))
    if not whole:
        claims = [claim._replace(holds=None, evidence=f"a part of the images: {claim.evidence}") for claim in claims]
    losses = (runs[RELAXED], runs[EULER])
    text = f"relaxed SAV ends at a lower train loss than explicit Euler (paper: 0.0029, 0.0043 after {EPOCHS} epochs)"
    claims.append(decided(text, losses, "train_loss", EPOCHS, _lower))
    if SMOOTHED + RELAXED in runs:
        pairs = (runs[SMOOTHED + RELAXED], runs[RELAXED])
        text = f"smoothed, relaxed SAV classifies better (paper: {SMOOTHED_ACCURACY:.1%} after {LAST_ACCURACY:.1%})"
        claims.append(decided(text, pairs, "test_error", EPOCHS, _beyond_sampling(n_test)))
    return claims


def _goal(runs: Mapping[str, Sequence[Solution]]) -> Claim:
    """Return the claim that some method gets to 98 per cent, by the median of its draws."""
    text = (
        f"a method classifies {GOAL:.0%} of the test images rightly after {EPOCHS} epochs (paper: {LAST_ACCURACY:.1%})"
    )
    errors = {
        label: [at_epoch(run, "test_error", EPOCHS, average=False) for run in several]
        for label, several in runs.items()
    }
    known = {label: [e for e in several if e is not None] for label, several in errors.items() if None not in several}
    if not known:
        return Claim(text, None, too_short(EPOCHS))
    told = ", ".join(f"{label} {1 - float(np.median(several)):.2%}" for label, several in known.items())
    return Claim(text, any(float(np.median(several)) <= 1 - GOAL for several in known.values()), told)


def _lower(found: list[list[float]]) -> tuple[bool | None, str]:
    """Return whether the first curve is below the second in every draw; None if in some only, or if the draws are few."""
    below = [first < second for first, second in zip(*found, strict=True)]
    told = "; ".join(f"{first:.2e} and {second:.2e}" for first, second in zip(*found, strict=True))
    return over_draws(below, enough=DRAWS), told


def _beyond_sampling(n_test: int) -> Decide:
    """Return the rule: is the first error rate below the second by more than two standard errors of the difference?"""

    def decide(found: list[list[float]]) -> tuple[bool | None, str]:
        first, second = found
        gain = float(np.mean(second) - np.mean(first))
        p = float(np.mean(first + second))
        error = sqrt(2 * p * (1 - p) / n_test) if 0 <= p <= 1 else inf
        told = f"{gain:+.2%} (standard error {error:.2%}, paper {SMOOTHED_ACCURACY - LAST_ACCURACY:+.1%})"
        return True if gain > 2 * error else False if gain < -2 * error else None, told

    return decide
