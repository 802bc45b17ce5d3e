r"""The methods that train networks on batches, each with its own best step size: a comparison of this library's own.

Published comparisons of SAV and IEQ with gradient descent and Adam mostly fix one dt for all, give each method another size of
batch, or show one seed. Which method comes first then says as much about the dt as about the method. Here:

1. Every method has the same data, initial parameters and batches, in the same order.
2. Every method has its own dt, and its own constant (C or kappa) where it has one: the pair of the least *train* error after
   ``tuning_epochs`` epochs, in the geometric mean over the first ``tuning_draws`` seeds. dt is sought on the lattice
   :math:`10^{k/n}`, from the same first points for all methods, and beyond them as long as the best is an end point.
3. Reported are the next ``draws`` seeds, which the search has not seen. No test error plays a part in any choice.
4. Errors are compared after equal epochs, and at equal processor time: that of gradient descent for all its epochs. A slower
   method gets fewer epochs, a faster one no more than the others. What a step costs is measured apart from the runs, on one
   thread, all methods taking turns: on a machine that does other work the clock of a whole run is off by a third.

A claim is open where the method that comes out worse has its best dt or constant at the edge of what was tried, for another one
might have helped it. A short search favours the dt that is best early; momentum, Adam's rates and eta are the library's; the
sizes are small, and the larger the batch, the more IEQ pays for its linear system.

Left out are vanilla and relaxed IEQ, which store a residual for every sample that batches do not keep up to date
(`gradflow.experiments.ieq_review`); SourceSAV, which is restarted SAV; vanilla and restarted adaptive SAV, which is published
relaxed; MSAV, whose ends are compared; Runge-Kutta and implicit Euler, which follow the flow for reference; the other
second-order methods, whose damping follows the decrease of one batch; and the methods that leave saddles, which test the
gradient of the whole problem.

The stabilization is 0 throughout. For SAV in its three forms, ExpSAV and element-wise SAV with :math:`S = \lambda I` the scheme at
dt *is* that without stabilization at

.. math:: \Delta t' = \frac{\Delta t}{1 + \lambda\,\Delta t},                                             \tag{1}

so that a search over dt covers it. (Relaxed, this holds for the budgets "dissipation" and "numerical".)

Source: the problems are after Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Example 1, and H. Xiao, K. Rasul,
R. Vollgraf, arXiv:1708.07747. No figure of theirs is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..datasets import fashion_subset, sin_cos
from ..models import Classification, Regression, TwoLayerNet
from ..refusals import one_of, whole_number
from ..run.batches import steps_per_epoch
from ..schemes import (
    IEQ,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    Nesterov,
    Relaxed,
    Restart,
    RMSProp,
)  # fmt: skip
from ..schemes.protocols import Scheme
from .claims import ALL, Claim, Curves, Values, of_draws, settled
from .figure import Curve, Draw, Figure, Series, check_settings, compiled
from .tasks import PAPER, WORDS
from .timing import first_step, take_turns
from .traces import Panels, Trace, thinned

__all__ = ["COMPARISON", "METHODS", "Comparison"]

EULER, ADAM, RESTARTED_IEQ = "gradient descent", "Adam", "restarted IEQ"
VANILLA, RESTARTED, RELAXED = "SAV", "restarted SAV", "relaxed SAV"
EXAMPLE, IMAGES = "Example 1", "Fashion-MNIST"
PROBLEMS = (EXAMPLE, IMAGES)
TIMED = ", equal time"
"""Behind the name of a problem, in the title of the panel whose axis is processor time."""
MARGIN = 0.1
"""What counts as lower, relative."""
COUNTS = 3
"""Seeds from which on a claim fails that none of them shows."""


METHODS: dict[str, Callable[[float], Scheme]] = {
    EULER: lambda _: GradientDescent(),
    "heavy ball": lambda _: HeavyBall(),
    "Nesterov": lambda _: Nesterov(),
    "Adagrad": lambda _: Adagrad(),
    "RMSProp": lambda _: RMSProp(),
    ADAM: lambda _: Adam(),
    VANILLA: lambda c: SAV(C=c),
    RESTARTED: lambda c: Restart(SAV(C=c)),
    RELAXED: lambda c: Relaxed(SAV(C=c)),
    "adaptive SAV, norm": lambda c: Relaxed(AdaptiveSAV(C=c, reading="norm")),
    "adaptive SAV, entries": lambda c: Relaxed(AdaptiveSAV(C=c, reading="elementwise")),
    "ExpSAV": lambda c: ExpSAV(scale=c),
    "element-wise SAV": lambda c: ElementwiseSAV(C=c),
    "adaptive IEQ": lambda _: AdaptiveIEQ(),
    RESTARTED_IEQ: lambda _: Restart(IEQ()),
}
"""All that are compared: for each the scheme of its constant, C or kappa, if it has one."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Sizes of both problems, the search, and seeds. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is below 1 (`extensions` and `seed` below 0), `points` even, or `n_images` above 1000.
    """

    epochs: int = 60
    """Of the runs that are reported."""
    tuning_epochs: int = 30
    """Of the runs of the search."""
    tuning_draws: int = 2
    """Seeds of the search, from ``seed`` on."""
    draws: int = 5
    """Reported seeds, those that follow."""
    per_decade: int = 2
    """Values of dt a decade."""
    points: int = 5
    """First values of dt, odd."""
    extensions: int = 6
    """Further values of dt at most, for each method and constant."""
    constants: int = 3
    """How many values of C or kappa are tried: 1, 100, 10 000, ..."""
    rounds: int = 50
    """How often each method has its turn in the measurement of costs."""
    n_inputs: int = 20
    """D of Example 1."""
    width: int = 200
    """m of Example 1."""
    n_samples: int = 4000
    """The pool of Example 1: 80 % of it for training."""
    batch_size: int = 64
    """Of Example 1."""
    n_images: int = 1000
    """Training images."""
    image_width: int = 30
    """m for the images."""
    image_batch_size: int = 50
    """Images in a batch."""
    seed: int = 0
    """The first seed."""
    dtype: str = "float32"
    """The dtype of data and parameters, "float32" or "float64"."""

    def __post_init__(self) -> None:
        check_settings(self, ("extensions", "seed"), WORDS)
        if self.points % 2 == 0:
            raise ValueError(f"points must be odd, got {self.points}")
        whole_number("n_images", self.n_images, 1, 1000)
        whole_number("constants", self.constants, 1, 100)

    def draw(self, n: int, problem: str = EXAMPLE) -> Draw:
        """Return a problem for seed number n, compiled: no method shall pay for that.

        Parameters
        ----------
        n : int
            Its number, 0, 1, ...; the first ones are those of the search.
        problem : {"Example 1", "Fashion-MNIST"}
            Example 1 of Ma, Mao & Shen, everything drawn from the seed, relative error; or the embedded part of
            Fashion-MNIST, initial parameters and batches drawn, the mean square in training and the share of the 200 test
            images that are misclassified in the test.
        """
        one_of("problem", problem, PROBLEMS)
        seed, train, test = self.seed + n, *(self._regression if problem == EXAMPLE else self._images)(self.seed + n)
        theta0 = train.net.init(seed, dtype=self.dtype, distribution="he")
        batch = self.batch_size if problem == EXAMPLE else self.image_batch_size
        how = {
            "epochs": self.epochs,
            "batch_size": batch,
            "seed": seed,
            "every": steps_per_epoch(train, batch),
            "record": (("train_error", lambda state: train.energy(state.theta)), ("test_error", test)),
            "threads": 1,
        }
        return compiled(Draw(train, theta0, how))

    def _regression(self, seed: int) -> tuple[Any, Callable[[Any], Any]]:
        data = sin_cos(self.n_inputs, self.n_samples, seed=seed, dtype=self.dtype, statistics="train")
        net = TwoLayerNet(self.n_inputs, self.width)
        train = Regression(net, data.x_train, data.y_train, loss="relative")
        test = Regression(net, data.x_test, data.y_test, loss="relative")
        return train, lambda state: test.energy(state.theta)

    def _images(self, seed: int) -> tuple[Any, Callable[[Any], Any]]:
        data, N = fashion_subset(self.dtype), self.n_images
        net = TwoLayerNet(data.x_train.shape[1], self.image_width, 10)
        train = Classification(net, data.x_train[:N], data.labels_train[:N], loss="squared_onehot")
        test = Classification(net, data.x_test, data.labels_test, loss="squared_onehot")
        return train, lambda state: 1 - test.accuracy(state.theta)


class Tuned(NamedTuple):
    """The dt and the constant with which a method runs."""

    dt: float
    """Step size."""
    constant: float | None
    """C or kappa; None if the method has none."""
    at_edge: bool
    """Whether a better dt or constant may lie beyond what was tried."""


CENTRE = -1
"""Number k of the middle of the first points: dt = 0.316 with two points a decade, 0.1 with one."""


def lattice(k: int, per_decade: int) -> float:
    """Return the step size number k, ``10**(k / per_decade)`` to three digits, so that names of files are short."""
    return float(f"{10 ** (k / per_decade):.3g}")


def search(score: Callable[[int], float], points: int, extensions: int) -> tuple[int, dict[int, float]]:
    """Return the best number k, and the score of every one that was tried; these are consecutive."""
    scores = {k: score(k) for k in range(CENTRE - points // 2, CENTRE + points // 2 + 1)}

    def best() -> int:  # of equals the smaller dt: all diverge where dt is too large
        return min(scores, key=lambda k: (scores[k], k))

    for _ in range(extensions):
        if min(scores) < best() < max(scores):
            break
        beyond = min(scores) - 1 if best() == min(scores) else max(scores) + 1
        scores[beyond] = score(beyond)
    return best(), scores


def tune(
    task: Comparison, draws: Sequence[Draw], method: Callable[[float], Scheme], series: Series, stem: str
) -> Tuned:
    """Return the dt and the constant of the least train error, in the geometric mean over some draws.

    A pair with which one of the draws diverges is out, unless all pairs are.
    """
    found: dict[float, tuple[int, dict[int, float]]] = {}
    has_constant = method(1.0) != method(2.0)
    constants = [100.0**k for k in range(task.constants if has_constant else 1)]
    for constant in constants:

        def score(k: int, constant: float = constant) -> float:
            curve = Curve(method(constant), lattice(k, task.per_decade))
            short = [draw._replace(how={**draw.how, "epochs": task.tuning_epochs}) for draw in draws]
            names = [f"{stem}-{constant!r}-dt{curve.dt:g}-seed{draw.how['seed']}" for draw in draws]
            runs = [series.train(draw, curve, name) for draw, name in zip(short, names, strict=True)]
            return float(np.exp(np.mean([np.log(settled(run, "train_error")) for run in runs])))

        found[constant] = search(score, task.points, task.extensions)
    best = min(found, key=lambda c: found[c][1][found[c][0]])
    k, scores = found[best]
    edge = k in (min(scores), max(scores)) or (has_constant and best in (min(constants), max(constants)))
    return Tuned(lattice(k, task.per_decade), best if has_constant else None, edge)


SMALL = 1e-4
"""dt of the steps whose costs are measured."""


def step_costs(draw: Draw, rounds: int) -> dict[str, float]:
    """Return the processor seconds of a step of each method on a batch, the median over the rounds."""
    steps = {label: first_step(draw, method(1.0), SMALL) for label, method in METHODS.items()}
    turns = take_turns(steps, rounds)
    return {label: float(np.median([costs[label] for costs in turns])) for label in METHODS}


def at_equal_time(trace: Trace, cost: float) -> Trace:
    """Return a trace over the epochs that gradient descent makes in the same time; a step costs `cost` times theirs."""
    epoch = trace.history["epoch"]
    within = epoch * np.float32(cost) <= epoch[-1] * (1 + 1e-6)
    history = {k: (v * np.float32(cost) if k == "epoch" else v)[within] for k, v in trace.history.items()}
    return replace(trace, history=history)


def run_comparison(figure: Figure, task: Comparison, series: Series) -> Panels:
    """Return the traces of every method, tuned, for every reported seed: two panels a problem, over epochs and over time."""
    panels: Panels = {title: {} for title in figure.panels}
    for problem in PROBLEMS:
        draws = [task.draw(n, problem) for n in range(task.tuning_draws + task.draws)]
        short = problem.partition(" ")[0]
        costs = series.kept(
            f"{short}-costs.json",
            partial(step_costs, draws[0], task.rounds),
            lambda found: (
                found.keys() == METHODS.keys()
                and all(type(cost) is float and 0 < cost < inf for cost in found.values())
            ),
        )
        for number, (label, method) in enumerate(METHODS.items()):
            tuned = tune(task, draws[: task.tuning_draws], method, series, f"{short}-{number}-search")
            curve = Curve(method(1.0 if tuned.constant is None else tuned.constant), tuned.dt)
            config = {**tuned._asdict(), "milliseconds": float(f"{1e3 * costs[label]:.3g}")}
            runs = [series.train(d, curve, f"{short}-{number}-seed{d.how['seed']}") for d in draws[task.tuning_draws :]]
            traces = [replace(thinned(run, figure.keep, points=figure.points), config=config) for run in runs]
            panels[problem][label] = traces
            panels[problem + TIMED][label] = [at_equal_time(trace, costs[label] / costs[EULER]) for trace in traces]
            constant = "" if tuned.constant is None else f", constant {tuned.constant:g}"
            series.say(
                f"{problem}, {label}: dt {tuned.dt:g}{constant}{', at the edge of what was tried' * tuned.at_edge}"
            )
    return panels


def ratio(a: float, b: float) -> float:
    """Return a / b, infinite where a is: what diverges is below nothing."""
    return inf if np.isinf(a) else a / b


def at_edge(traces: Sequence[Trace]) -> int:
    """Return how many curves have their dt or constant at the edge of what was tried."""
    return sum(bool(trace.config["at_edge"]) for trace in traces)


def below(one: Sequence[str], other: Sequence[str], text: str, high: float = 1 - MARGIN) -> Claim:
    """Return the claim on the lowest of some curves over the lowest of others, seed by seed.

    The value is NaN where those that come out worse might have done better with a dt or a constant that was not tried.
    """

    def quotient(*traces: Trace) -> float:
        a, b = traces[: len(one)], traces[len(one) :]
        value = ratio(*(min(settled(t, "train_error") for t in of) for of in (a, b)))
        return np.nan if at_edge(b if value <= high else a) else value

    return of_draws(text, (*one, *other), quotient, high=high, enough=COUNTS, ours=True)


def first_elsewhere(text: str, here: Sequence[str], there: Sequence[str], of: str = "train_error") -> Claim:
    """Return the claim on the method whose median train error is lowest here: its error there over the lowest there."""

    def quotients(c: Curves) -> Values:
        a, b = (
            [[settled(t, which) for t in c[k]] for k in labels]
            for labels, which in ((here, "train_error"), (there, of))
        )
        first, lowest = (int(np.argmin(np.median(found, axis=1))) for found in (a, b))
        return np.array([ratio(*pair) for pair in zip(b[first], b[lowest], strict=True)])

    return Claim(
        text, tuple(dict.fromkeys((*here, *there))), quotients, high=1 / (1 - MARGIN), enough=COUNTS, ours=True
    )


def _claims() -> list[Claim]:
    forms, others = [VANILLA, RESTARTED, RELAXED], [label for label in METHODS if label != RESTARTED_IEQ]
    made = [
        below(forms[1:], [EULER], "the lower of restarted and relaxed SAV over gradient descent"),
        below([VANILLA], [EULER], "SAV over gradient descent", high=1 / (1 - MARGIN)),
        below([ADAM], forms, "Adam over the lowest of SAV, restarted SAV and relaxed SAV"),
        below([RESTARTED_IEQ], others, "restarted IEQ over the lowest of all others"),
    ]
    for problem in PROBLEMS:
        epochs, timed = ([title + ALL + label for label in METHODS] for title in (problem, problem + TIMED))
        made += [
            first_elsewhere(f"{problem}, first at equal epochs: its train error at equal time over the lowest", epochs, timed),
            first_elsewhere(f"{problem}, first in the train error: its test error over the lowest", epochs, epochs, "test_error"),
            of_draws(f"{problem}: methods whose best dt or constant is at the edge of what was tried", epochs, lambda *t: at_edge(t), high=0.0, enough=1, ours=True),
        ]  # fmt: skip
    return made


COMPARISON = Figure(
    name="comparison",
    title="All methods with their own best dt, at equal epochs and at equal time",
    source=f"this library; the problems are after {PAPER}, Example 1, and Xiao et al., arXiv:1708.07747",
    problem="Example 1 in 20 dimensions (width 200, 3200 samples, batches of 64), and 1000 images of Fashion-MNIST (width 30, batches of 50).",
    task=Comparison(),
    quick={"epochs": 8, "tuning_epochs": 4, "tuning_draws": 1, "draws": 3, "per_decade": 1, "points": 3, "extensions": 3, "rounds": 8, "constants": 1, "n_samples": 2000, "n_images": 500},
    panels={
        problem + suffix: {label: Curve(method(1.0), lattice(CENTRE, Comparison.per_decade)) for label, method in METHODS.items()}
        for problem in PROBLEMS
        for suffix in ("", TIMED)
    },
    claims=_claims(),
    keep=("train_error", "test_error"),
    axis="epoch, at equal time epoch of gradient descent",
    points=200,
    run=run_comparison,
)  # fmt: skip
