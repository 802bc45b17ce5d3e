"""The demonstration: one problem, five schemes, and what becomes of their auxiliary variables.

All runs share the data, the initial parameters, the batches and the step size; see
`gradflow.experiments.example1`. With C = 1 and no stabilization the vanilla scheme collapses within an
epoch, which is worth seeing: its modified energy decays as the identity promises, and the network has
stopped learning.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..plotting import plot_histories, save_figure
from ..schemes import IEQ, SAV, GradientDescent, Relaxed, Restart, Scheme
from ..solution import Solution, Status
from .example1 import NOTE, PAPER, TABLE, Example1Settings, check, example1, final, settled, table_row, train
from .experiment import Claim, Context, Experiment, Outcome

__all__ = ["DEMO", "DemoSettings"]


@dataclass(frozen=True, kw_only=True)
class DemoSettings(Example1Settings):
    """Settings of the demonstration."""

    epochs: int = 200
    """As in `Example1Settings`."""
    record_epochs: int = 2
    """As there."""


def run(settings: DemoSettings, context: Context) -> Outcome:
    """Train with five schemes, draw their curves, and say what was seen."""
    C = settings.C
    schemes: dict[str, Scheme] = {
        "explicit Euler": GradientDescent(),
        "vanilla SAV": SAV(C=C),
        "restarted SAV": Restart(SAV(C=C)),
        "relaxed SAV": Relaxed(SAV(C=C)),
        "restarted IEQ": Restart(IEQ()),
    }
    context.say(
        f"Example 1 of Ma, Mao & Shen (2024): {settings.n_inputs} inputs, width {settings.width}, "
        f"{settings.n_samples} samples (80 % for training),\nbatches of {settings.batch_size}, "
        f"dt = {settings.dt:g}, C = {C:g}, {settings.epochs} epochs. The first run on a machine compiles for some seconds."
    )
    problem = example1(settings, settings.seed)
    check(problem, schemes.values(), settings)
    context.claim()
    runs: dict[str, Solution] = {}
    for label, scheme in schemes.items():
        path = context.out / "data" / label.replace(" ", "-")
        runs[label] = train(problem, scheme, settings, path=path, progress=context.progress and f"{label:14}")
    figure = plot_histories(
        runs,
        ("energy", "test_error", "auxiliary_ratio"),
        title=f"One problem, five schemes: {settings.n_inputs} inputs, width {settings.width}, "
        f"dt = {settings.dt:g}, C = {C:g}",
        labels={"energy": "train relative error", "test_error": "test relative error"},
    )
    save_figure(figure, context.out / context.name)
    claims = judge(runs)
    failed = [claim.text for claim in claims if not claim.holds]
    verdict = "as expected" if not failed else f"not as expected: {'; '.join(failed)}"
    rows = tuple(table_row(label, r) for label, r in runs.items())
    return Outcome(TABLE, rows, NOTE, tuple(claims), verdict)


def judge(runs: dict[str, Solution]) -> list[Claim]:
    """Return what the demonstration is to show, with what the data say about it."""
    error = {label: settled(r, "energy") for label, r in runs.items()}
    euler, vanilla = error["explicit Euler"], runs["vanilla SAV"]
    ratio = final(vanilla, "auxiliary_ratio")
    others = {label: error[label] for label in ("restarted SAV", "relaxed SAV", "restarted IEQ")}
    return [
        Claim(
            "the auxiliary variable of vanilla SAV collapses, and the network stops learning",
            ratio < 0.01 and error["vanilla SAV"] > 10 * min(others.values()),
            f"r / sqrt(E + C) = {ratio:.0e}; train error {error['vanilla SAV']:.2e}, {vanilla.message}",
        ),
        Claim(
            "restarted and relaxed, the schemes learn as explicit Euler does (within a factor 3) or better",
            all(value < 3 * euler for value in others.values()),
            ", ".join(f"{label} {value:.2e}" for label, value in error.items()),
        ),
        Claim(
            "no run diverges",
            all(r.status in (Status.DONE, Status.STAGNATED) for r in runs.values()),
            ", ".join(f"{label}: {r.status.value}" for label, r in runs.items()),
        ),
    ]


DEMO = Experiment(
    name="demo",
    title="Five schemes on the 40-dimensional Example 1",
    source=f"{PAPER}, Example 1",
    problem="Learn y = sin(p.x) + cos(q.x) in 40 dimensions with a two-layer ReLU network of width 1000.",
    time="about a minute on 2 cores",
    quick_time="a few seconds",
    full=DemoSettings(),
    quick=DemoSettings(epochs=10, record_epochs=1),
    run=run,
)
"""The experiment ``demo``."""
