r"""The figures of Ma, Mao & Shen (2024) whose tasks are Examples 1 to 3: Figures 1 to 10.

Every figure is run with what its caption and text print, and with one convention for what they do not state: `CONVENTION` for
Figures 1 to 6, that of `QUADRATIC` for Figures 7 to 9. Both are assumptions, chosen before the search
`gradflow.experiments.conventions`, which puts them to the test. Figure 10 has He's parameters and the plain mean square.

The adaptive forms (Figures 4, 9, 10) replace the gradient g by Adam's average :math:`\hat m` and the step :math:`\Delta t` by
:math:`\Delta t / (\sqrt{\hat v} + \varepsilon)`. The paper prints v as an average of :math:`|g|^2`, one number; Adam has it element
by element. Either reading is a panel.

Captions and text disagree in places. Figure 2: lambda = 0 in the caption, 4 in the text; both are run. Figure 8: dt = 0.5 in
the caption, 0.4 above the panels; 0.4 is run. Figure 9: dt = 0.1 twice in the caption, 0.1 and 1 above the panels; these are
run.

Source: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Figs. 1 to 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ..schemes import SAV, Adagrad, Adam, AdaptiveSAV, GradientDescent, Relaxed, Restart, RMSProp
from ..schemes.protocols import Scheme
from .claims import above, everywhere, rises, together
from .figure import ALL, Curve, Figure
from .published import Published
from .tasks import PAPER, UNSAID, Example

__all__ = ["CONVENTION", "MA2024"]

EULER, SAV_, RESTARTED, RELAXED = "explicit Euler", "SAV", "restarted SAV", "relaxed SAV"
ANEW = "SAV, r anew in each epoch"
SAVS = (SAV_, RESTARTED, RELAXED)
COLUMNS = {EULER: "Euler", SAV_: "SAV", RESTARTED: "ResSAV", RELAXED: "RelSAV"}
A_EULER, A_SAV = "adaptive Euler", "adaptive SAV"
A_SAVS = tuple(f"adaptive {label}" for label in SAVS)
A_RELAXED = A_SAVS[2]
A_COLUMNS = {f"adaptive {label.removeprefix('explicit ')}": f"A{column}" for label, column in COLUMNS.items()}
ADAM = "Adam, dt = 0.001"
READINGS = {"norm": "v by the norm", "elementwise": "v element by element"}
CONVENTION: dict[str, Any] = {"loss": "mse", "targets": "min_max", "inputs": 0.3}
"""Targets scaled to [0, 1], the mean square of the error, inputs 0.3 (0, 1)^D."""


def relaxed(scheme: SAV | AdaptiveSAV) -> Relaxed:
    """Return a scheme relaxed as in the paper's Algorithm 4: what may be given back leaves out the stabilization's share."""
    return Relaxed(scheme, eta=0.99, budget="increment")


def anew(dt: float, C: float = 1.0, stabilization: float = 0.0) -> dict[str, Curve]:
    """Return SAV with r set anew in each epoch, as Figure 6 suggests: 1 - q falls there, which no carried r does."""
    return {ANEW: Curve(SAV(C=C, stabilization=stabilization), dt, {"restart": "epoch"})}


def euler_and_sav(dt: float, C: float = 1.0, stabilization: float = 0.0) -> dict[str, Curve]:
    """Return explicit Euler and SAV in its three forms."""
    sav = SAV(C=C, stabilization=stabilization)
    forms: dict[str, Scheme] = {EULER: GradientDescent(), SAV_: sav, RESTARTED: Restart(sav), RELAXED: relaxed(sav)}
    return {label: Curve(scheme, dt) for label, scheme in forms.items()}


def adaptive(dt: float, C: float, stabilization: float, reading: str) -> dict[str, Curve]:
    """Return explicit Euler and SAV in its three forms along Adam's averages."""
    sav = AdaptiveSAV(C=C, stabilization=stabilization, reading=reading)
    forms: tuple[Scheme, ...] = (Adam(reading=reading), sav, Restart(sav), relaxed(sav))
    return {label: Curve(scheme, dt) for label, scheme in zip((A_EULER, *A_SAVS), forms, strict=True)}


def errors(train: str, test: str, columns: Mapping[str, str]) -> dict[str, dict[str, Published]]:
    """Return the published train and test errors of curves, from the panel of either."""
    return {
        label: {"train_error": Published(train, f"{name}_train"), "test_error": Published(test, f"{name}_test")}
        for label, name in columns.items()
    }


def figure(number: int, **parts: Any) -> Figure:
    """Return a figure of the paper."""
    return Figure(name=f"ma2024-fig{number}", source=f"{PAPER}, Fig. {number}", unsaid=UNSAID, **parts)


SIN_COS = "Learn y = sin(p.x) + cos(q.x) in {} dimensions: width 1000, {} samples, {}."
MANY = Example(epochs=201, n_samples=100_000, batch_size=256, **CONVENTION)
LATE = {"epochs": 10_000, "method": "smoothed"}
SMALL = {"n_samples": 5000, "width": 200, "draws": 2}

FIG1 = figure(
    1,
    title="Gradient descent and SAV, full batch",
    problem=SIN_COS.format(20, 8000, "one batch, dt = 0.6, lambda = 10"),
    task=Example(epochs=10_000, n_inputs=20, batch_size=0, **CONVENTION),
    quick={"epochs": 60, "width": 200, "draws": 2},
    panels={"full batch": {k: v for k, v in euler_and_sav(0.6, stabilization=10.0).items() if k != RESTARTED}},
    published={"full batch": errors("fig01a", "fig01b", {EULER: "PM-Euler", SAV_: "PM-SAV", RELAXED: "PM-RelSAV"})},
    claims=[
        rises(EULER, until=500, low=0.05),
        rises(SAV_, until=10_000, high=0.0),
        rises(RELAXED, until=10_000, high=0.0),
        *(together([SAV_, RELAXED], at=epoch, within=1.1) for epoch in (250, 10_000)),
    ],
)
FIG1_SMOOTHED = replace(
    FIG1,
    name="ma2024-fig1-smoothed",
    task=replace(FIG1.task, epochs=500, method="smoothed", draws=2),
    paper={"epochs": 10_000},
    published={
        "full batch": {
            EULER: {"train_error": Published("fig01c", "SPM-Euler_train", -1), "test_error": Published("fig01d", "SPM-Euler_test")},
            SAV_: {"train_error": Published("fig01c", "SPM-SAV_train", -1), "test_error": Published("fig01d", "SPM-SAV_test")},
            RELAXED: {"train_error": Published("fig01c", "SPM-RelSAV_train"), "test_error": Published("fig01d", "SPM-RelSAV_test")},
        }
    },
)  # fmt: skip

CAPTION, TEXT = "SAV, lambda = 0 (caption)", "SAV, lambda = 4 (text)"
OTHER = "SAV, product of the partial derivatives"


def figure_2() -> dict[str, Curve]:
    """Return the curves of Figure 2: both values of lambda, and r updated in the product of the partial derivatives."""
    curves = euler_and_sav(0.2)
    inconsistent = Curve(SAV(), 0.2, {"product": "partial_derivatives"})
    return {
        EULER: curves[EULER],
        CAPTION: curves[SAV_],
        TEXT: Curve(SAV(stabilization=4.0), 0.2),
        RESTARTED: curves[RESTARTED],
        RELAXED: curves[RELAXED],
        **anew(0.2),
        OTHER: inconsistent,
    }


FIG2 = figure(
    2,
    title="Explicit Euler and SAV on Example 1",
    problem=SIN_COS.format(40, 8000, "batches of 64, dt = 0.2, C = 1"),
    task=Example(epochs=1001, **CONVENTION),
    quick={"epochs": 30, "width": 200, "draws": 1},
    paper={"epochs": 10_000},
    panels={"particle method": figure_2()},
    published={"particle method": errors("fig02a", "fig02b", {EULER: "PM-Euler", CAPTION: "PM-SAV", ANEW: "PM-SAV"})},
    claims=[
        together([EULER, label], at=1001, within=2.0) for label in (CAPTION, TEXT, RESTARTED, RELAXED, ANEW, OTHER)
    ],
)  # fmt: skip

SLOW = "explicit Euler, dt = 0.01"
TWO_STEPS = {"dt = 0.5": ("a", "b"), "dt = 1": ("c", "d")}
FIG3 = figure(
    3,
    title="SAV at large steps, where explicit Euler fails",
    problem=SIN_COS.format(40, "80 000", "batches of 256, C = 100, lambda = 4"),
    task=MANY,
    quick=SMALL | {"epochs": 20},
    paper=LATE,
    panels={
        title: euler_and_sav(dt, 100.0, 4.0)
        | anew(dt, 100.0, 4.0)
        | ({SLOW: Curve(GradientDescent(), 0.01)} if dt == 1 else {})
        for title, dt in zip(TWO_STEPS, (0.5, 1.0), strict=True)
    },
    published={
        title: errors(f"fig03{train}", f"fig03{test}", COLUMNS | {ANEW: "SAV", SLOW: "Euler_lr0.01"})
        for title, (train, test) in TWO_STEPS.items()
    },
    claims=[
        *(together([SAV_, RESTARTED], at=epoch, within=1.02) for epoch in (1, 201)),
        together(SAVS, at=201, within=1.1),
        above(EULER, SAVS, at=201),
        above(f"dt = 1{ALL}{EULER}", f"dt = 1{ALL}{SAV_}", at=201, by=10.0),
    ],
)

FIG4 = figure(
    4,
    title="Adaptive SAV at a small and a large step, where adaptive Euler stalls",
    problem=SIN_COS.format(40, 8000, "here of width 200, batches of 256, C = 100, lambda = 4, dt = 0.01 and 1"),
    task=Example(epochs=401, width=200, batch_size=256, **CONVENTION),
    quick={"epochs": 60, "draws": 1},
    paper=LATE | {"width": 1000, "n_samples": 100_000},
    panels={
        f"dt = {dt:g}, {text}": adaptive(dt, 100.0, 4.0, reading)
        | ({ADAM: Curve(Adam(), 1e-3)} if (dt, reading) == (1.0, "elementwise") else {})
        for reading, text in READINGS.items()
        for dt in (0.01, 1.0)
    },
    published={
        f"dt = {dt}, {text}": errors(f"fig04{train}", f"fig04{test}", A_COLUMNS | {ADAM: "AEuler_lr0.001"})
        for text in READINGS.values()
        for dt, (train, test) in {"0.01": ("a", "b"), "1": ("c", "d")}.items()
    },
    claims=[
        claim
        for text in READINGS.values()
        for large in [f"dt = 1, {text}{ALL}"]
        for claim in (
            above(large + A_EULER, large + A_SAV, at=400, by=3.0),
            together([large + label for label in A_SAVS], at=400, within=1.3),
        )
    ],
)

LAMBDAS = {f"lambda = {value:g}": Curve(SAV(C=100.0, stabilization=value), 0.5) for value in (0.0, 1.0, 4.0, 10.0)}
FIG5 = figure(
    5,
    title="How much stabilization SAV needs",
    problem=SIN_COS.format(40, "80 000", "batches of 256, dt = 0.5, C = 100"),
    task=MANY,
    quick=SMALL | {"epochs": 20},
    paper=LATE,
    panels={"SAV, dt = 0.5": LAMBDAS},
    published={"SAV, dt = 0.5": errors("fig05a", "fig05b", {k: f"SAV_{k.replace(' = ', '')}" for k in LAMBDAS})},
    claims=[
        *(above("lambda = 0", label, at=201) for label in LAMBDAS if label != "lambda = 0"),
        above([label for label in LAMBDAS if label != "lambda = 4"], "lambda = 4", at=1001),
    ],
)

STABILIZED = {"lambda = 0": 0.0, "lambda = 4": 4.0}
DEFICIT = "auxiliary_deficit"
FIG6 = figure(
    6,
    title="How far the auxiliary variable of SAV runs away",
    problem=SIN_COS.format(40, "80 000", "batches of 256, dt = 0.5, C = 10"),
    task=MANY,
    quick=SMALL | {"epochs": 20},
    paper=LATE,
    panels={
        title: {k: v for k, v in (euler_and_sav(0.5, 10.0, value) | anew(0.5, 10.0, value)).items() if k != EULER}
        for title, value in STABILIZED.items()
    },
    published={
        title: {
            label: {DEFICIT: Published(f"fig06{panel}", f"{COLUMNS.get(label, 'SAV')}_1-q")} for label in (*SAVS, ANEW)
        }
        for title, panel in zip(STABILIZED, "ab", strict=True)
    },
    show=(DEFICIT, "train_error"),
    keep=("train_error", "auxiliary_ratio", DEFICIT),
    claims=[
        above(RELAXED, RESTARTED, at=201, of=DEFICIT),
        above(f"lambda = 0{ALL}{SAV_}", f"lambda = 0{ALL}{RELAXED}", at=201, of=DEFICIT),
        above(f"lambda = 0{ALL}{SAV_}", f"lambda = 4{ALL}{SAV_}", at=201, of=DEFICIT),
        everywhere(f"lambda = 4{ALL}{SAV_}", until=201, of=DEFICIT, high=0.25 * 1.03),
        together([f"lambda = 4{ALL}{SAV_}", f"lambda = 4{ALL}{RELAXED}"], at=201, within=2.0, of=DEFICIT),
    ],
)

QUADRATIC = Example(target="quadratic", epochs=301, width=100, loss="relative", targets="max", inputs=0.2)
"""Targets divided by their largest value, inputs x / 5 with x of (0, 5)^D, the relative error as printed."""
SQUARES = "Learn y = sum c_i x_i^2 in 40 dimensions: width 100, 8000 samples, batches of 64, "
FIG7 = figure(
    7,
    title="Explicit Euler and SAV on a sum of squares",
    problem=SQUARES + "dt = 0.01.",
    task=QUADRATIC,
    quick={"draws": 1},
    paper={"epochs": 10_000},
    panels={"dt = 0.01": euler_and_sav(0.01)},
    published={"dt = 0.01": errors("fig07a", "fig07b", {EULER: "PM-Euler", SAV_: "PM-SAV"})},
    claims=[together([EULER, label], at=301, within=1.1) for label in SAVS],
    note="At this step size SAV takes nearly the steps of explicit Euler: the figure cannot tell one from the other.",
)
FIG8 = figure(
    8,
    title="SAV at large steps on a sum of squares",
    problem=SQUARES + "lambda = 4, dt = 0.4 and 1.",
    task=QUADRATIC,
    quick={"draws": 1},
    paper=LATE,
    panels={
        title: euler_and_sav(dt, 1.0, 4.0) | {SLOW: Curve(GradientDescent(), 0.01)}
        for title, dt in {"dt = 0.4": 0.4, "dt = 1": 1.0}.items()
    },
    published={
        title: errors(f"fig08{train}", f"fig08{test}", COLUMNS | {SLOW: "Euler_lr0.01"})
        for title, (train, test) in {"dt = 0.4": ("a", "b"), "dt = 1": ("c", "d")}.items()
    },
    claims=[above(EULER, label, at=301, by=3.0) for label in SAVS],
)
FIG9 = figure(
    9,
    title="Adaptive SAV on a sum of squares",
    problem=SQUARES + "C = 1, lambda = 4, dt = 0.1 and 1.",
    task=replace(QUADRATIC, epochs=201),
    quick={"epochs": 15, "draws": 1},
    paper=LATE,
    panels={
        f"dt = {dt:g}, {text}": adaptive(dt, 1.0, 4.0, reading)
        | ({ADAM: Curve(Adam(), 1e-3)} if (dt, reading) == (1.0, "elementwise") else {})
        for reading, text in READINGS.items()
        for dt in (0.1, 1.0)
    },
    published={
        f"dt = {dt}, {text}": errors(f"fig09{train}", f"fig09{test}", A_COLUMNS | {ADAM: "AEuler_lr0.001"})
        for text in READINGS.values()
        for dt, (train, test) in {"0.1": ("a", "b"), "1": ("c", "d")}.items()
    },
    claims=[
        above(f"dt = 1, {text}{ALL}{A_EULER}", f"dt = 1, {text}{ALL}{label}", at=101, by=5.0)
        for text in READINGS.values()
        for label in A_SAVS
    ],
)

RMSPROP, ADAGRAD = "RMSProp, dt = 0.001", "Adagrad, dt = 0.001"
ORDER = (A_RELAXED, ADAM, RELAXED, ADAGRAD, RMSPROP, A_EULER)
"""The paper's order of the train errors, the lowest first."""


def figure_10() -> dict[str, dict[str, Curve]]:
    """Return a panel for each reading of v, with the methods that do not depend on it in both."""
    others = {
        ADAM: Curve(Adam(), 1e-3),
        RELAXED: Curve(relaxed(SAV(C=100.0, stabilization=4.0)), 1.0),
        ADAGRAD: Curve(Adagrad(), 1e-3),
        RMSPROP: Curve(RMSProp(), 1e-3),
    }
    panels = {}
    for reading, text in READINGS.items():
        curves = adaptive(1.0, 100.0, 4.0, reading)
        panels[text] = {A_RELAXED: curves[A_RELAXED], A_EULER: curves[A_EULER], **others}
    return panels


FIG10 = figure(
    10,
    title="Adaptive relaxed SAV among the adaptive methods, on a narrow peak",
    problem="Learn y = exp(-10 |x|), x normal, here in 5 dimensions: width 200, 4000 samples, batches of 256, C = 100, lambda = 4, dt = 1.",
    task=Example(target="exponential", epochs=1001, record_epochs=5, n_inputs=5, width=200, n_samples=5000, batch_size=256, loss="mse", init="he"),
    quick={"epochs": 200, "draws": 1},
    paper=LATE | {"epochs": 50_000, "n_inputs": 20, "width": 10_000, "n_samples": 100_000, "loss": "relative", "smoothing": 1e-6},
    panels=figure_10(),
    claims=[above(high, low, at=1000) for low, high in pairwise(ORDER)],
)  # fmt: skip

MA2024 = (FIG1, FIG1_SMOOTHED, FIG2, FIG3, FIG4, FIG5, FIG6, FIG7, FIG8, FIG9, FIG10)
"""Figures 1 to 10."""
