r"""Which unstated conventions give the published curves: a search, scored by the distance to the curves in decades.

Ma, Mao & Shen print z-scored inputs and the relative error, and do not say the laws of the coefficients and of the initial
parameters. A convention is one choice of all four. Each is run at the printed sizes over the first
published epochs: Figure 3 up to epoch 1, Figure 1 up to 12, Figures 2 and 7 up to 101. The distance of a draw is

.. math:: \frac1n \sum_{i=1}^n \Bigl|\log_{10} \frac{\text{ours}_i}{\text{published}_i}\Bigr|                     \tag{1}

over all n published values but the train errors of epoch 1 (the paper's are up to 2 times its test errors there, and so not the errors
after the epoch), of the curves in ``SEARCHED``. Explicit Euler of Figure 3 at dt = 1 is not among them: what becomes of a
run that is unstable is no matter of convention. Draw n has the same seed under every convention. A published curve is one
more draw of what is unpublished. Hence

* the convention that is nearest in the first half of the draws is chosen there and reported for the second half;
* a convention is *significantly farther* than the nearest if Student's paired t test rejects equal mean distances at the one-sided level
  0.025, with Holm's correction for the number of conventions. A convention that diverges in a draw counts as farther without a test.

The figures themselves run longer, with `gradflow.experiments.ma2024.CONVENTION`, and show how far it follows the later curves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..run.solution import Status
from ..run.solve import solve
from .claims import Claim, Curves, Values, decades
from .figure import Figure, Series, check_settings
from .ma2024 import FIG1, FIG2, FIG3, FIG7
from .tasks import PAPER
from .traces import Panels, Trace, thinned

__all__ = ["CONVENTIONS", "MA2024_CONVENTIONS"]

SCALINGS: dict[str, dict[str, Any]] = {
    "relative error": {"loss": "relative", "targets": "raw"},
    "relative error, y / max |y|": {"loss": "relative", "targets": "max"},
    "mean square, y in [0, 1]": {"loss": "mse", "targets": "min_max"},
    "mean square, y / max |y|": {"loss": "mse", "targets": "max"},
}
INPUTS = {"z-scored x": 0.0} | {
    f"{c} x".removeprefix("1 "): float(c) for c in ("1", "0.5", "0.4", "0.3", "0.2", "0.15")
}
INITS = {"N(0, 1)": "normal", "U(-1, 1)": "uniform", "He": "he"}
LAWS = {"p, q, c of U(0, 1)": "uniform", "of N(0, 1)": "normal"}
CONVENTIONS: dict[str, dict[str, Any]] = {
    f"{scaling}; {inputs}; {init}; {law}": {
        **SCALINGS[scaling], "inputs": INPUTS[inputs], "init": INITS[init], "coefficients": LAWS[law],
    }
    for scaling, inputs, init, law in product(SCALINGS, INPUTS, INITS, LAWS)
}  # fmt: skip
"""For each convention the settings of `gradflow.experiments.tasks.Example`; x is of (0, 1)."""
EULER, SAV_ = "explicit Euler", "SAV"
SEARCHED: dict[str, tuple[Figure, int, dict[str, tuple[str, ...]], float]] = {
    "Figure 1": (FIG1, 12, {"full batch": (EULER, SAV_)}, 1.0),
    "Figure 2": (FIG2, 101, {"particle method": (EULER,)}, 1.0),
    "Figure 3": (FIG3, 1, {"dt = 0.5": (EULER, SAV_), "dt = 1": (SAV_, "explicit Euler, dt = 0.01")}, 1.0),
    "Figure 7": (FIG7, 101, {"dt = 0.01": (EULER,)}, 0.2),
}
"""For each figure itself, the epochs that are run, the curves that are compared, and what brings its inputs to (0, 1)."""
ALL_FIGURES = "all figures"
NEAR = 0.1
"""Distance (1) within which a convention is said to show a figure: a factor 1.26 in the mean."""
DISTANCE = "distance"


@dataclass(frozen=True, kw_only=True)
class Search:
    """Draws of the search, and smaller sizes for a trial."""

    draws: int = 4
    """Draws of everything unpublished; draw n has the seed ``seed + n``."""
    seed: int = 0
    """Of the first draw."""
    width: int = 0
    """m; 0 for the printed one."""
    n_samples: int = 0
    """The pool; 0 for the printed one."""
    horizon: int = 0
    """Epochs at most; 0 for those of ``SEARCHED``."""

    def __post_init__(self) -> None:
        check_settings(self, ("seed", "width", "n_samples", "horizon"))

    def apart(self, name: str, convention: str, n: int) -> list[float]:
        """Return the decimal logarithms of (1) for a convention and draw n; an infinity if a run diverged."""
        figure, epochs, compared, side = SEARCHED[name]
        settings = dict(CONVENTIONS[convention])
        settings["inputs"] *= side
        settings |= {k: getattr(self, k) for k in ("width", "n_samples") if getattr(self, k)}
        task = replace(figure.task, epochs=min(epochs, self.horizon or epochs), seed=self.seed, **settings)
        draw, found = task.draw(n), []
        for title, label in ((title, label) for title, labels in compared.items() for label in labels):
            curve, of = figure.panels[title][label], figure.published[title][label]
            run = solve(draw.problem, curve.scheme, draw.theta0, dt=curve.dt, **draw.how)
            if run.status is Status.STOPPED:
                raise KeyboardInterrupt
            trace = thinned(run, of, [1.0], points=task.epochs + 1)
            for quantity, theirs in of.items():
                x = decades(trace, theirs, quantity)
                first = quantity == "train_error" and theirs.epochs[0] <= 1
                found += x[np.isinf(x) | (theirs.epochs[: len(x)] > 1)].tolist() if first else x.tolist()
        return found


def run_search(figure: Figure, task: Search, series: Series) -> Panels:
    """Return a trace for each figure and draw: the distance of every convention, over its number."""

    def distances(name: str, convention: str) -> list[float]:
        decades = series.kept(
            re.sub(r"[^\w.]+", "-", f"{name} {convention}") + ".json",
            lambda: [
                [str(x) for x in task.apart(name, convention, n)] for n in range(task.draws)
            ],  # infinities as text
            lambda found: (
                len(found) == task.draws and all(of and not np.isnan([float(x) for x in of]).any() for of in found)
            ),
        )
        return [float(np.mean(np.abs([float(x) for x in of]))) for of in decades]

    def trace(rows: Sequence[Sequence[float]]) -> Trace:
        number, found = np.arange(1, len(CONVENTIONS) + 1), np.mean(rows, axis=0)
        return Trace({"epoch": number.astype(np.float32), DISTANCE: found.astype(np.float32)}, "done")

    rows = {name: np.transpose([distances(name, convention) for convention in CONVENTIONS]) for name in SEARCHED}
    traces = {name: [trace([row]) for row in found] for name, found in rows.items()}
    traces[ALL_FIGURES] = [trace(found) for found in zip(*rows.values(), strict=True)]
    return {PANEL: traces}


def _distances(curves: Curves, name: str) -> Values:
    """Return the distances, shape (draws, conventions)."""
    return np.array([trace.history[DISTANCE] for trace in curves[name]], dtype=np.float64)


def held_out(found: Values) -> Values:
    """Return the distances, in the second half of the draws, of what is nearest in the first half."""
    half = (len(found) + 1) // 2
    return np.asarray(found[half:, np.argmin(found[:half].mean(axis=0))]) if half < len(found) else np.array([np.nan])


def not_farther(found: Values) -> NDArray[np.bool_] | None:
    """Return which conventions are not significantly farther than the one that is nearest in the mean over the draws.

    None if the nearest diverges in a draw, or there is one draw alone.
    """
    from scipy.stats import ttest_rel  # here, so that a list of the experiments does not wait for SciPy

    n, nearest = found.shape[1], found[:, np.argmin(found.mean(axis=0))]
    if len(found) < 2 or not np.isfinite(nearest).all():
        return None
    tested = np.flatnonzero(np.isfinite(found).all(axis=0) & (nearest != found.T).any(axis=1))
    p = ttest_rel(found[:, tested].T, nearest, axis=1, alternative="greater").pvalue
    order = np.argsort(p)
    least = 0.025 / np.arange(n - 1, n - 1 - len(p), -1)  # Holm's, as many as there are other conventions
    beyond = int(np.argmax([*(p[order] > least), True]))  # one after the other, up to the first that is not
    same: NDArray[np.bool_] = np.asarray(np.isfinite(found).all(axis=0))
    same[tested[order[:beyond]]] = False
    return same


def count_of_near(found: Values) -> Values:
    """Return how many conventions are not significantly farther than the nearest, itself among them; NaN if that cannot be told."""
    near = not_farther(found)
    return np.array([np.nan if near is None else float(near.sum())])


def _claims() -> list[Claim]:
    def about(text: str, name: str, value: Callable[[Values], Values], high: float, enough: int = 1) -> Claim:
        return Claim(text, (name,), lambda c: value(_distances(c, name)), 0.0, high, enough=enough, ours=True)

    made, printed = [], [k for k, name in enumerate(CONVENTIONS) if name.startswith("relative error; z-scored x;")]
    for name in (*SEARCHED, ALL_FIGURES):
        made += [
            about(f"{name}: distance of the nearest convention, draws held out", name, held_out, NEAR),
            about(f"{name}: least distance of what is printed", name, lambda d: d[:, printed].min(axis=1), NEAR),
            about(f"{name}: conventions that are not significantly farther than the nearest", name, count_of_near, 1.0),
        ]
        for k, convention in enumerate(CONVENTIONS):
            made.append(about(f"{convention}: distance from {name}", name, lambda d, k=k: d[:, k], NEAR))  # type: ignore[misc]
    return made


PANEL = "every convention"
MA2024_CONVENTIONS = Figure(
    name="ma2024-conventions",
    title="Which conventions show Figures 1, 2, 3 and 7",
    source=f"{PAPER}, Figs. 1, 2, 3, 7",
    problem=f"Run each of {len(CONVENTIONS)} conventions at the printed sizes over the first published epochs.",
    task=Search(),
    quick={"draws": 2, "width": 50, "n_samples": 400, "horizon": 2},
    unstated=("draws", "seed"),
    claims=_claims(),
    show=(),
    keep=(DISTANCE,),
    axis="number of the convention",
    least=6,
    note="None shows all four figures: chosen in half of the draws, the nearest is off by 1.6 in the mean in the other half. Over four draws "
    "all that is printed is significantly farther, but neither the factor of the inputs nor the laws of parameters and coefficients are decided.",
    run=run_search,
)
"""The search."""
