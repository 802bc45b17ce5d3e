r"""The review of IEQ, sections 4.1 and 4.2: what drifts on mini-batches, which energy falls, what a step costs.

The review judges IEQ for training by its algebra and by experiments whose data it does not print. Its setting, as far as it is
said: a two-layer ReLU network, the energy :math:`\tfrac12 |q|^2`, q = f - y, without a factor for the number of samples,
Euclidean gradients, no weight decay, batches of 64. Chosen here: Example 1 of Ma, Mao & Shen (2024) with p and q from U(0, 1),
initial parameters of He's kind, float64, small sizes. What the review states of single steps is proved or refuted in the
derivation of IEQ.

**Drift** (4.2.4). Vanilla IEQ carries a residual for every sample. A step changes the entries of its batch, while theta changes
the residuals of all samples; the stored q leaves :math:`q(\theta)`, and "the method diverges". This has two readings. The loss
ends above its start: true. Theta runs to infinity: false; the stored energy that moves it is used up, and it comes to rest at a
wrong place.

**Energy** (4.1.1, 4.1.3). The identity of a step holds for the *stored* energy :math:`\tfrac12 |q^n|^2`, of which vanilla and
relaxed IEQ make a sum that telescopes. The review says that "the energy curves of Restart and Relax fall monotonically"; of the
true loss :math:`\tfrac12 |q(\theta^n)|^2` this is false.

**Cost** (4.2.2, 4.2.3). With a stored Jacobian, a step on a batch of m samples with d parameters forms J in O(md) operations and
:math:`J J^T` in :math:`O(m^2 d)`, and solves in :math:`O(m^3)`; the review prints O(md) + O(m^3), a factor 2 over SAV at m = 64,
and calls batches of 256 and more infeasible on its GPU of 4 GB. This library has :math:`J J^T` in closed form from the hidden
values, and conjugate gradients without a matrix. All steps take turns, in processor time on the threads that are set, so
that what disturbs one disturbs all; a round is a draw.

Source: "Assessment of the research value of the IEQ method" (in Chinese, 2026).
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..curvature.lapack import cholesky_solve
from ..datasets import sin_cos
from ..energies.dense import DenseLeastSquares
from ..models import Regression, TwoLayerNet
from ..refusals import whole_number
from ..schemes import IEQ, SAV, Relaxed, Restart
from ..schemes.protocols import Scheme
from .claims import ALL, Claim, of_draws, read
from .figure import Curve, Draw, Figure, Series, check_settings
from .tasks import WORDS, Training
from .timing import step, take_turns
from .traces import FAILED, Panels, Trace

__all__ = ["COST", "DRIFT", "ENERGY", "Cost", "Review"]

REVIEW = '"Assessment of the research value of the IEQ method" (in Chinese, 2026)'
VANILLA, RESTARTED, RELAXED = "vanilla IEQ", "restarted IEQ", "relaxed IEQ"
SCHEMES: dict[str, Scheme] = {VANILLA: IEQ(), RESTARTED: Restart(IEQ()), RELAXED: Relaxed(IEQ())}
COUNTS = 3
"""Draws from which on a claim fails that none of them shows."""
UNSTATED = ("epochs", "share", "record_epochs", "dtype", "n_inputs", "width", "n_samples", "draws", "seed")


@dataclass(frozen=True, kw_only=True)
class Review(Training):
    """Sizes and seeds of the network. All values are dimensionless.

    Raises
    ------
    ValueError
        As `Training`.
    """

    n_inputs: int = 10
    """D."""
    width: int = 50
    """m, neurons."""
    n_samples: int = 200
    """N."""
    batch_size: int = 0
    """Samples in a batch, 0 for all; every panel has its own."""
    draws: int = 3
    """Draws of p and q, inputs, initial parameters and batches."""
    dtype: str = "float64"
    """The dtype of data and parameters."""

    def __post_init__(self) -> None:
        check_settings(self, ("batch_size", "seed"), WORDS)

    def draw(self, n: int) -> Draw:
        """Return the task of draw n, which records the true and the stored energy, and the drift of q.

        The drift ``auxiliary_gap`` is ``|q - q(theta)| / |q(theta)|``.

        Parameters
        ----------
        n : int
            Its number, 0, 1, ...
        """
        seed, N = self.seed + n, self.n_samples
        data = sin_cos(self.n_inputs, -(-5 * N // 4) + 1, seed=seed, dtype=self.dtype)
        net = TwoLayerNet(self.n_inputs, self.width, scaling="standard")
        problem = Regression(net, data.x_train[:N], data.y_train[:N], loss="half_sum", time_scale="autograd")
        how = self._how(problem, seed, "energy", "modified_energy", "auxiliary_gap")
        return Draw(problem, net.init(seed, dtype=self.dtype, distribution="he"), how)


def panel(batch: int, dt: float) -> str:
    """Return the title of a panel."""
    return f"{f'batches of {batch}' if batch else 'full batch'}, dt = {dt:g}"


def grid(cells: Iterable[tuple[int, float]]) -> dict[str, dict[str, Curve]]:
    """Return for each batch size and step size a panel of the three forms."""
    return {
        panel(batch, dt): {label: Curve(scheme, dt, {"batch_size": batch}) for label, scheme in SCHEMES.items()}
        for batch, dt in cells
    }


def worst(
    text: str, where: Iterable[str], labels: Iterable[str], of: Callable[[Trace], float], *, low: float = -np.inf,
    high: float = np.inf, ours: bool = False,
) -> Claim:  # fmt: skip
    """Return the claim that a number of a run lies in an interval in all of some panels; its value is that which is farthest out."""
    every = [title + ALL + label for title in where for label in labels]
    farthest = np.min if low > -np.inf else np.max
    return of_draws(
        text, every, lambda *traces: farthest([of(trace) for trace in traces]), low, high, enough=COUNTS, ours=ours
    )


def at_end(number: Callable[[Mapping[str, Any]], Any]) -> Callable[[Trace], float]:
    """Return the function of a run that is a number of its history, infinite for a run that diverged."""
    return lambda trace: (
        np.inf
        if trace.status in FAILED
        else float(number({name: values.astype(np.float64) for name, values in trace.history.items()}))
    )


def growth(quantity: str) -> Callable[[Trace], float]:
    """Return the function of a run that is a quantity at the end over its start."""
    return at_end(lambda history: history[quantity][-1] / history[quantity][0])


drift = at_end(lambda history: history["auxiliary_gap"][-1])
"""``|q - q(theta)| / |q(theta)|`` at the end."""
motion = at_end(lambda history: abs(history["energy"][-1] / history["energy"][-2] - 1))
"""By which part the true loss has changed between the last two records that are kept."""


def rising(quantity: str) -> Callable[[Trace], float]:
    """Return the function of a run that is the share of epochs after which a quantity is higher than before, above rounding."""

    def number(trace: Trace) -> float:
        values = trace.history[quantity].astype(np.float64)
        return np.nan if np.isnan(values).any() else float(np.mean(values[1:] > (1 + ROUNDING) * values[:-1]))

    return number


ROUNDING = 1e-6
"""A rise by less than this part is rounding: the records are float32."""
BATCHES = [(64, 0.1), (16, 0.001), (16, 0.1), (16, 10.0), (4, 0.1)]
ON_BATCHES = [panel(*cell) for cell in BATCHES]
LARGE = [panel(16, 10.0)]
DRIFT = Figure(
    name="ieq-review-drift",
    title="Vanilla IEQ on mini-batches: the stored residual and the true one",
    source=f"{REVIEW}, section 4.2.4",
    problem="Example 1 in 10 dimensions, 200 samples, width 50, full batch and batches of 64, 16 and 4.",
    task=Review(epochs=40),
    quick={"epochs": 8},
    unstated=UNSTATED,
    panels=grid([(0, 0.1), *BATCHES]),
    claims=[
        worst("vanilla IEQ on batches: least |q - q(theta)| / |q(theta)| at the end", ON_BATCHES, [VANILLA], drift, low=0.5),
        worst("vanilla IEQ on batches: least loss at the end over that at the start", ON_BATCHES, [VANILLA], growth("energy"), low=1.0),
        worst("vanilla IEQ at dt = 10: stored energy at the end over that at the start", LARGE, [VANILLA], growth("modified_energy"), high=1e-6, ours=True),
        worst("vanilla IEQ at dt = 10: relative change of the loss between the last records", LARGE, [VANILLA], motion, high=1e-3, ours=True),
        worst("restarted IEQ on batches: largest loss at the end over that at the start", ON_BATCHES, [RESTARTED], growth("energy"), high=1.0, ours=True),
    ],
    show=("energy", "modified_energy", "auxiliary_gap"),
    keep=("energy", "modified_energy", "auxiliary_gap"),
    note="Vanilla IEQ diverges in that its loss ends above its start; theta itself comes to rest, once the stored energy is used up.",
)  # fmt: skip

CELLS = [(0, 0.1), (0, 10.0), (0, 1000.0), (64, 10.0), (16, 10.0)]
PANELS = [panel(*cell) for cell in CELLS]
ENERGY = Figure(
    name="ieq-review-energy",
    title="Stored and true energy of vanilla, restarted and relaxed IEQ",
    source=f"{REVIEW}, sections 4.1.1, 4.1.3",
    problem="Example 1 in 10 dimensions, 200 samples, width 10, full batch and batches of 64 and 16.",
    task=Review(epochs=100, width=10),
    quick={"epochs": 30},
    unstated=UNSTATED,
    panels=grid(CELLS),
    claims=[
        worst("vanilla and relaxed IEQ: largest share of epochs after which the stored energy is higher", PANELS, [VANILLA, RELAXED], rising("modified_energy"), high=0.0),
        worst("restarted IEQ: largest share of epochs after which the loss is higher", PANELS, [RESTARTED], rising("energy"), high=0.0),
        worst("relaxed IEQ: largest share of epochs after which the loss is higher", PANELS, [RELAXED], rising("energy"), high=0.0),
    ],
    show=("energy", "modified_energy"),
    keep=("energy", "modified_energy"),
    points=1000,
    note="If the energy of 4.1.3 is the stored one, the statement is a theorem for the relaxed form; of the loss it is false, as one exact step shows in the derivation of IEQ.",
)  # fmt: skip

STEP_SAV, CLOSED, STORED, FREE = "SAV", "IEQ, closed form of J J^T", "IEQ, stored Jacobian", "IEQ, conjugate gradients"
JACOBIAN, PRODUCT, SOLVE = "forming J", "forming J J^T", "solving"
STEP, PARTS = "a step", "parts of a step with a stored Jacobian"
DT = 0.1
"""Step size; only conjugate gradients depend on it."""
SMALLEST = 16
"""The smallest batch."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Sizes of the batches, the network and the measurement; data and parameters are float32.

    Raises
    ------
    ValueError
        If a count is below 1, or `largest` below 16.
    """

    draws: int = 9
    """Rounds of timing."""
    n_inputs: int = 40
    """D."""
    width: int = 1000
    """Neurons; d = width (D + 2) parameters."""
    largest: int = 4096
    """The largest batch; the smallest is 16, and each further one twice as large."""
    largest_stored: int = 1024
    """The largest batch for which the Jacobian is stored and conjugate gradients run."""
    threads: int = 1
    """BLAS threads of the processor."""

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("largest", "largest_stored"):
            whole_number(name, getattr(self, name), SMALLEST)

    def _functions(self, batch: int) -> dict[str, Callable[[], Any]]:
        """Return what is timed for a batch size, by name: the steps, and the parts of the one with a stored Jacobian."""
        data = sin_cos(self.n_inputs, batch * 5 // 4 + 2, seed=0, dtype="float32")
        net = TwoLayerNet(self.n_inputs, self.width, scaling="standard")
        theta = net.init(0, dtype="float32", distribution="he")
        problem = Regression(net, data.x_train[:batch], data.y_train[:batch], loss="half_sum", time_scale="autograd")

        made = {k: step(c.scheme, problem, theta, c.dt) for k, c in COST.panels[STEP].items() if k != STORED}
        if batch > self.largest_stored:
            del made[FREE]
            return made
        dense = DenseLeastSquares(
            lambda t: problem.linearize(t).residual, lambda t: problem.linearize(t).jacobian(), mass=problem.mass
        )
        at = problem.linearize(theta)
        J, q = at.jacobian(), at.residual
        M = np.eye(len(q), dtype=q.dtype) + DT * (J @ J.T)
        made[STORED] = step(COST.panels[STEP][STORED].scheme, dense, theta, DT)
        return made | {JACOBIAN: at.jacobian, PRODUCT: lambda: J @ J.T, SOLVE: lambda: cholesky_solve(M.copy(), q)}

    def _measure(self) -> dict[str, dict[str, list[float]]]:
        """Return one round: for each function the lists ``epoch`` (batch sizes), ``seconds`` of a call, and ``megabytes``."""
        found: dict[str, dict[str, list[float]]] = {}
        for batch in (SMALLEST * 2**k for k in range((self.largest // SMALLEST).bit_length())):
            functions = self._functions(batch)
            (times,) = take_turns(functions, 1, threads=self.threads)
            for name, f in functions.items():
                row = found.setdefault(name, {"epoch": [], "seconds": [], "megabytes": []})
                size = f().nbytes if name == JACOBIAN else peak(f)
                for values, value in zip(row.values(), (float(batch), times[name], 1e-6 * size), strict=True):
                    values.append(value)
        return found


def peak(f: Callable[[], Any]) -> int:
    """Return the most bytes that a call allocates at a time."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        f()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def run_cost(figure: Figure, task: Cost, series: Series) -> Panels:
    """Return a trace for each function and each round, over the batch size; rounds that are kept are not measured again."""
    names = {label for curves in figure.panels.values() for label in curves}

    def like(found: Any) -> bool:
        lists = [values for of in found.values() for values in of.values()]
        return found.keys() == names and all(type(x) is float and 0 < x < np.inf for values in lists for x in values)

    rounds = [series.kept(f"{n}.json", task._measure, like) for n in range(task.draws)]
    panels: Panels = {title: {} for title in figure.panels}
    for title, curves in figure.panels.items():
        for label in curves:
            for of in rounds:
                over = [s / sav for s, sav in zip(of[label]["seconds"], of[STEP_SAV]["seconds"], strict=False)]
                history = {k: np.asarray(v, dtype=np.float32) for k, v in {**of[label], "over_sav": over}.items()}
                trace = Trace(history, "done", seconds=float(sum(of[label]["seconds"])))
                panels[title].setdefault(label, []).append(trace)
    return panels


SAMPLES, GPU, MINUTE, PRINTED = 8000, 4000.0, 60.0, 1e-6 * 64 * 41_100 * 4
"""Samples of an epoch; megabytes of the review's GPU; seconds of an epoch that count as infeasible; megabytes of J, m = 64."""
M, MANY = 64, 256
READING = 1.3
"""Factor to which "about twice" is read."""


def most(trace: Trace) -> float:
    """Return the megabytes at the largest batch, NaN if that is below 256."""
    return float(trace.history["megabytes"][-1]) if trace.history["epoch"][-1] >= MANY else np.nan


def of_epoch(trace: Trace) -> float:
    """Return the least seconds of an epoch over all batches of 256 and more, NaN without one."""
    m, seconds = (trace.history[name].astype(np.float64) for name in ("epoch", "seconds"))
    return float(np.min((SAMPLES / m * seconds)[m >= MANY], initial=np.inf)) if m[-1] >= MANY else np.nan


def share_of_product(J: Trace, product: Trace, solve: Trace) -> float:
    """Return the largest quotient, over m, of forming J J^T over forming J and solving."""
    j, g, s = (trace.history["seconds"] for trace in (J, product, solve))
    return float(np.max(g / (j + s)))


GRAM = Restart(IEQ(solver="gram"))
STEPS: dict[str, Scheme] = {STEP_SAV: SAV(C=1.0), CLOSED: GRAM, STORED: GRAM, FREE: Restart(IEQ(solver="cg"))}
COST = Figure(
    name="ieq-review-cost",
    title="Time and memory of an IEQ step beside a SAV step",
    source=f"{REVIEW}, sections 4.2.2, 4.2.3",
    problem="Example 1 in 40 dimensions, width 1000, batches of 16 to 4096: one step of each kind, timed in turns.",
    task=Cost(),
    quick={"draws": 3, "largest": 1024, "largest_stored": 256},
    paper={"threads": "a GPU of 4 GB"},
    unstated=("draws", "n_inputs", "width", "largest", "largest_stored"),
    panels={STEP: {k: Curve(scheme, DT) for k, scheme in STEPS.items()}, PARTS: dict.fromkeys((JACOBIAN, PRODUCT, SOLVE), Curve(GRAM, DT))},
    claims=[
        of_draws("IEQ, stored Jacobian: time of a step over that of SAV, m = 64", [STORED], lambda t: read(t, "over_sav", M), low=2 / READING, high=2 * READING, spread=True, positive=True, enough=COUNTS),
        of_draws("IEQ, stored Jacobian: growth of that quotient from m = 64 to the largest m", [STORED], lambda t: float(t.history["over_sav"][-1]) / read(t, "over_sav", M), low=2.0, enough=COUNTS),
        of_draws("forming J J^T over forming J and solving: largest quotient of times", [JACOBIAN, PRODUCT, SOLVE], share_of_product, high=1.0, enough=COUNTS),
        of_draws("IEQ, closed form: least seconds of an epoch of 8000 samples, m >= 256", [CLOSED], of_epoch, low=MINUTE, enough=COUNTS),
        of_draws("IEQ, closed form: megabytes that a step at the largest m allocates at a time", [CLOSED], most, low=GPU, regardless=True, enough=COUNTS),
        of_draws("megabytes of the Jacobian, float32, m = 64", [JACOBIAN], lambda t: read(t, "megabytes", M), low=0.9 * PRINTED, high=1.1 * PRINTED, regardless=True, enough=COUNTS),
    ],
    show=("over_sav", "megabytes"),
    keep=("seconds", "over_sav", "megabytes"),
    axis="samples in a batch",
    run=run_cost,
    note="The operations of J J^T, O(m^2 d), are missing in the printed count and dominate it; the closed form avoids them and the stored Jacobian.",
)  # fmt: skip
