"""The demonstration: one problem, five schemes, and what becomes of their auxiliary variables.

The problem is Example 1 of Ma, Mao & Shen for one draw of p and q. What is trained is the relative error, so that the modified
energy can be set beside the train error. All runs share the data, the initial parameters, the batches and the step size. With
C = 1 and no stabilization SAV collapses within an epoch: its modified energy decays as the identity promises, and the network has
stopped learning.
"""

from __future__ import annotations

from ..schemes import IEQ, SAV, GradientDescent, Relaxed, Restart
from ..schemes.protocols import Scheme
from .claims import of_draws, settled
from .figure import Curve, Figure
from .tasks import PAPER, Example
from .traces import Trace

__all__ = ["DEMO"]

EULER, VANILLA, RESTARTED, RELAXED, IEQ_ = (
    "explicit Euler",
    "vanilla SAV",
    "restarted SAV",
    "relaxed SAV",
    "restarted IEQ",
)
OTHERS = (RESTARTED, RELAXED, IEQ_)


def end(trace: Trace) -> float:
    """Return the settled train error."""
    return settled(trace, "train_error")


SAV_ = SAV(C=1.0)
SCHEMES: dict[str, Scheme] = {
    EULER: GradientDescent(),
    VANILLA: SAV_,
    RESTARTED: Restart(SAV_),
    RELAXED: Relaxed(SAV_),
    IEQ_: Restart(IEQ()),
}
DEMO = Figure(
    name="demo",
    title="Five schemes on the 40-dimensional Example 1",
    source=f"{PAPER}, Example 1",
    problem="Learn y = sin(p.x) + cos(q.x) in 40 dimensions: width 1000, 8000 samples, batches of 64, dt = 0.2, C = 1.",
    task=Example(epochs=200, record_epochs=2, draws=1),
    quick={"epochs": 10, "record_epochs": 1},
    panels={"dt = 0.2": {label: Curve(scheme, 0.2) for label, scheme in SCHEMES.items()}},
    claims=[
        of_draws(
            f"{VANILLA}: settled r / sqrt(E + C)", [VANILLA], lambda trace: settled(trace, "auxiliary_ratio"), high=0.01, ours=True,
        ),
        of_draws(
            "vanilla SAV over the lowest of the restarted and relaxed schemes, settled train error", [VANILLA, *OTHERS],
            lambda vanilla, *others: end(vanilla) / min(map(end, others)), low=10.0, ours=True,
        ),
        of_draws(
            "the highest of the restarted and relaxed schemes over explicit Euler, settled train error", [EULER, *OTHERS],
            lambda euler, *others: max(map(end, others)) / end(euler), high=3.0, ours=True,
        ),
    ],
    show=("train_error", "test_error", "auxiliary_ratio"),
    keep=("train_error", "test_error", "auxiliary_ratio", "modified_energy"),
    note="The auxiliary variable of vanilla SAV collapses, and the network stops learning; restarted or relaxed it learns as explicit Euler does.",
)  # fmt: skip
"""What `gradflow demo` runs, within a minute."""
