r"""The network of the review of IEQ, and what its experiments share.

The review judges IEQ for training by its algebra and by experiments whose data it does not print. Its setting, as far
as it is said: a two-layer ReLU network, the energy

.. math:: E(\theta) = \tfrac12 |q(\theta)|^2, \qquad q = f(\theta) - y                                     \tag{1}

without a factor for the number of samples, Euclidean gradients, no weight decay, batches of 64. Here that is
``loss="half_sum"``, ``time_scale="autograd"``, ``scaling="standard"``, so that a restarted step is a
Levenberg-Marquardt step with damping exactly 1 / dt. Chosen here, because the review leaves it open: Example 1 of Ma,
Mao & Shen (2024) with p and q from U(0, 1), initial parameters of He's kind, float64, and sizes so small that every
step can be looked at. A statement of the review that speaks of the method, not of its own curves, is refuted by one run
in which it fails. The claims also hold checks of this library: of its rounding, of its bounds, of why a statement
holds or fails. These begin with "ours:", and none of them can refute the review. Vanilla IEQ is the scheme that carries
q from step to step, restarted IEQ the one that takes ``q(theta)`` anew in each.

Source: "Assessment of the research value of the IEQ method" (in Chinese, 2026).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

from ...datasets import sin_cos
from ...models import Regression, TwoLayerNet
from ...namespace import Array
from ...refusals import whole_number
from ..experiment import Claim
from ..verdicts import overall

__all__ = ["OURS", "REVIEW", "UNDER", "ReviewSettings", "ReviewTask", "numbers", "review_task", "verdict"]

REVIEW = '"Assessment of the research value of the IEQ method" (in Chinese, 2026)'
"""The citation."""
OURS = "ours: "
"""How the text of a claim begins that is a check or an explanation of this library, not a statement of the review."""
UNDER = ", under the reading that "
"""What stands in the text of a claim between an ambiguous statement and how it is read."""


@dataclass(frozen=True, kw_only=True)
class ReviewSettings:
    """Sizes and seeds. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is below 1.
    """

    epochs: int
    """Passes through the data; steps, with the full batch."""
    seeds: int = 3
    """How many draws of p and q, inputs, initial parameters and batches, all by one number."""
    n_inputs: int = 10
    """D."""
    width: int = 50
    """Neurons."""
    n_samples: int = 200
    """N."""

    def __post_init__(self) -> None:
        for name in ("epochs", "seeds", "n_inputs", "width", "n_samples"):
            whole_number(name, getattr(self, name), 1)


class ReviewTask(NamedTuple):
    """What is trained, and from where."""

    problem: Regression
    """Equation (1)."""
    theta0: Array
    """Initial parameters, shape (P,)."""


def numbers(name: str, text: str, kind: type) -> tuple[Any, ...]:
    """Return the numbers that a setting lists.

    Parameters
    ----------
    name : str
        The setting, for the message.
    text : str
        Numbers with spaces between them.
    kind : type
        ``float`` (finite, > 0) or ``int`` (>= 0).

    Raises
    ------
    ValueError
        If there is none, or one is not of the kind or out of range, or stands there twice.
    """
    try:
        values = tuple(kind(word) for word in text.split())
    except ValueError as error:
        raise ValueError(f"{name} must be {kind.__name__}s with spaces between them, got {text!r}") from error
    good = all(value >= 0 if kind is int else isfinite(value) and value > 0 for value in values)
    if not values or not good or len({f"{value:g}" for value in values}) < len(values):
        least = ">= 0" if kind is int else "> 0"
        raise ValueError(f"{name} must list different numbers {least}, got {text!r}")
    return values


def review_task(settings: ReviewSettings, seed: int, *, width: int = 0, activation: str = "relu") -> ReviewTask:
    """Return the task of one seed.

    Parameters
    ----------
    settings : ReviewSettings
        The sizes.
    seed : int
        Which draw.
    width : int
        Instead of the settings'; 0 for the settings'.
    activation : str
        Of `gradflow.TwoLayerNet`.
    """
    N = settings.n_samples
    data = sin_cos(settings.n_inputs, -(-5 * N // 4) + 1, seed=seed, coefficient_seed=seed)
    net = TwoLayerNet(settings.n_inputs, width or settings.width, activation=activation, scaling="standard")
    problem = Regression(net, data.x_train[:N], data.y_train[:N], loss="half_sum", time_scale="autograd")
    return ReviewTask(problem, net.init(seed, distribution="he"))


def verdict(claims: Iterable[Claim], changed: str = "") -> str:
    """Return the verdict on the review: of what it states, unless a check of this library fails.

    Parameters
    ----------
    claims : iterable of Claim
        All of them; those of the library begin with `OURS`.
    changed : str
        What was not done as in the review, as for `gradflow.experiments.verdicts.overall`; empty if nothing.

    Returns
    -------
    str
        A check that fails leaves everything undecided: it may be the runs that are wrong. One that is open decides
        nothing. If all that fails, or something that holds, is read in one of several ways (`UNDER`), the verdict says so.
    """
    claims = list(claims)
    ours = [claim for claim in claims if claim.text.startswith(OURS)]
    broken = [f"{claim.text.removeprefix(OURS)} ({claim.evidence})" for claim in ours if claim.holds is False]
    if broken:
        return f"not decided: a check of this library fails: {'; '.join(broken)}"
    published = [claim for claim in claims if claim not in ours]
    failing = [claim for claim in published if claim.holds is False]
    readings = dict.fromkeys(claim.text.partition(UNDER)[2] for claim in failing or published)
    first, colon, why = overall(published, changed).partition(":")
    read_as = " and that ".join(reading for reading in readings if reading)
    if read_as and not (failing and "" in readings):
        first += f" ({UNDER.strip(', ')} {read_as})"
    held = sum(claim.holds is True for claim in ours)
    checks = f"; {held} of {len(ours)} checks of this library hold" if ours else ""
    return f"{first}{colon}{why}{checks}"
