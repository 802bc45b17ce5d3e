"""Where the failures that the empirical study reports of its experiment 4 come from, as claims that the runs decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import e, exp, inf, log

import numpy as np

from ...run.solution import Solution, Status
from ..experiment import Claim
from ..image_judging import decided
from ..image_runs import below_the_bound
from ..judging import READING
from ..words import range_text
from .exp4_judging import EPOCHS, POINTS, STATED, STATED_LOSSES
from .judging import whenever
from .thresholds import epochs_to

__all__ = ["double_softmax_bound", "explain"]

STOPPED = 10
"""Epochs after which the published run of ExpSAV stops, for reasons not known."""
HALF, LATE = 0.5, 3.0
"""An accuracy that every method which learns passes early; how much later is late."""


def explain(runs: Mapping[str, Sequence[Solution]]) -> list[Claim]:
    """Return where the failures come from, as claims that the data decide.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        For each method's name a run for each draw.
    """
    below, total = below_the_bound(runs)
    bound = "every mean cross-entropy is at least (1 - accuracy) log 2"
    sgd, late = runs["SGD"], f"after {EPOCHS} epochs"
    return [
        Claim(bound, below == 0, f"{total - below} of {total} records"),
        _doubled(runs),
        _frozen(runs["ExpSAV (Theorem 2.2)"], runs["ExpSAV (Theorem 2.3)"]),
        _diverges(runs["ExpSAV (Theorem 2.2)"]),
        _beside(
            f"ExpSAV of Theorem 2.3, with the same hyper-parameters, is within {POINTS:.0%} of SGD {late}, or above",
            runs["ExpSAV (Theorem 2.3)"], sgd, EPOCHS, -POINTS,
        ),
        _beside(
            f"IEQ-adaptive with 2 E for rho^2 is within {POINTS:.0%} of SGD {late}, or above",
            runs["IEQ-adaptive (inv.)"], sgd, EPOCHS, -POINTS,
        ),
        _beside(
            f"full IEQ, restarted, is above SGD by {POINTS:.0%} after 1 epoch", runs["restarted IEQ"], sgd, 1, POINTS
        ),
        whenever(
            "IEQ-adaptive with rho as stored stands still: rho falls below a tenth of sqrt(2 E)",
            runs["IEQ-adaptive (vanilla)"],
            lambda run: float(run.history["auxiliary_ratio"][-1]) < 0.1,
            lambda run: (
                f"rho / sqrt(2 E) = {run.history['auxiliary_ratio'][-1]:.0e}, "
                f"accuracy {run.history['test_accuracy'][-1]:.1%}, {run.status.value}"
            ),
        ),
    ]  # fmt: skip


def double_softmax_bound(accuracy: float) -> float:
    """Return the least mean cross-entropy of a softmax taken twice over ten classes, equation (1) of the experiment.

    Parameters
    ----------
    accuracy : float
        Share of right images, in [0, 1].
    """
    return accuracy * log(1 + 9 / e) + (1 - accuracy) * log(2 + 8 * exp(-0.5))


def _doubled(runs: Mapping[str, Sequence[Solution]]) -> Claim:
    """Return the claim that a softmax taken twice explains neither published loss."""
    slack = [
        float(loss) - double_softmax_bound(float(accuracy))
        for several in runs.values()
        for run in several
        for loss, accuracy in zip(run.history["double_softmax"], run.history["test_accuracy"], strict=True)
        if np.isfinite(loss)
    ]
    accuracy, of_exp, of_sav = STATED["ExpSAV"][0], STATED_LOSSES["ExpSAV"], STATED_LOSSES["SAV"]
    bounds = (double_softmax_bound(1.0), double_softmax_bound(accuracy))
    impossible = bounds[0] > of_sav and bounds[1] > of_exp
    return Claim(
        f"a softmax taken twice explains neither the loss {of_sav} nor {of_exp} at {accuracy:.0%}",
        impossible and min(slack) > -1e-5,
        f"at least {bounds[0]:.3f}, and {bounds[1]:.3f} at {accuracy:.0%}; recorded: {min(slack):.1e} above the bound or more",
    )


def _frozen(printed: Sequence[Solution], consistent: Sequence[Solution]) -> Claim:
    """Return the claim that exponential SAV is late with the step of Theorem 2.2, in every draw, not with that of 2.3."""
    pairs = [
        tuple(epochs_to(run, "test_accuracy", HALF, above=True) for run in runs)
        for runs in zip(printed, consistent, strict=True)
    ]
    told = "; ".join(
        f"E = {run.history['train_loss'][0]:.1f} at the start, "
        + ", ".join(f"{epochs:.0f}" if epochs < inf else f"more than {run.history['epoch'][-1]:.0f}" for epochs in pair)
        for run, pair in zip(printed, pairs, strict=True)
    )
    text = f"ExpSAV of Theorem 2.2, its step dt exp(-E), needs at least {LATE:g} times as long to {HALF:.0%} as of 2.3"
    if any(later == inf and sooner == inf for later, sooner in pairs):
        return Claim(text, None, told)
    late = [later >= LATE * sooner for later, sooner in pairs]
    return Claim(text, all(late), f"epochs of both: {told}")


def _diverges(runs: Sequence[Solution]) -> Claim:
    """Return the claim that exponential SAV of Theorem 2.2 ends where the published run does; None if a run was not to last."""
    ends = [float(run.history["epoch"][-1]) for run in runs]
    told = "; ".join(f"{run.status.value} after {end:.1f} epochs" for run, end in zip(runs, ends, strict=True))
    short = any(run.status is Status.DONE and end < EPOCHS for run, end in zip(runs, ends, strict=True))
    diverged = all(run.status is Status.NONFINITE for run in runs)
    near = STOPPED / READING <= float(np.median(ends)) <= STOPPED * READING
    text = f"ExpSAV of Theorem 2.2 diverges once its r has run out, after some {STOPPED} epochs, where the published run stops"
    return Claim(text, None if short else diverged and near, told)


def _beside(text: str, runs: Sequence[Solution], others: Sequence[Solution], epoch: float, by: float) -> Claim:
    """Return the claim that in every draw the accuracy at an epoch is above another method's plus `by`."""

    def decide(errors: list[list[float]]) -> tuple[bool | None, str]:
        accuracy, other = ([1 - min(error, 1.0) for error in several] for several in errors)
        told = f"{range_text(accuracy, '.1%')}; SGD {range_text(other, '.1%')}"
        return all(a > b + by for a, b in zip(accuracy, other, strict=True)), told

    return decided(text, (runs, others), "test_error", epoch, decide)
