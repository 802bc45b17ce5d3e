r"""Figure 11 of Ma, Mao & Shen: digits of MNIST, classified after 10 epochs.

The paper shows accuracies on the test part that rise from 94.8 % after the first epoch to 98.2 % after the tenth with the
particle method and to 98.4 % with smoothed particles, and train losses that end at 0.0043 for explicit Euler and at 0.0029
for relaxed SAV. It gives neither width nor batch, step size, C, lambda, loss or initial parameters, nor how the images are
scaled. So all of these are chosen here, by hand, and a failure does not refute the figure.

The network has 500 neurons in the mean-field scaling and mean-field time of the paper's other examples and starts from
He's parameters; images are in [0, 1]; the loss is cross-entropy, relative errors meaning nothing for classes; batches are
of 64. Tried were, with 20 000 images for training and 5000 for testing, one seed, 10 epochs: explicit Euler with dt =
0.1, 0.3 (of 1000 neurons), 0.6, 1, and with 1 in batches of 128; the SAV schemes with dt = 1 and C = 1, 10, 100, and with
dt = 0.6 and C = 100; adaptive relaxed SAV with 0.03, 0.1, 0.2, 0.3; Adam with 0.001 and 0.01. Kept is, for each kind,
what classified best, with one dt and one C for all SAV schemes but the adaptive one. With C = 1, vanilla and relaxed SAV
stand still in the first epochs, their auxiliary variable gone, while restarted SAV learns on, a little better than with C
= 100. On all images, one draw (``--set draws=1 --set smoothed_draws=0 --set dt=1``), dt = 1 gave 98.00 % with explicit Euler and
97.95 % with relaxed SAV, less than dt = 0.6.

Smoothed particles cost J times as much, J = 10 in the paper. With h = 1e-4 the displacements are far below the size of the
parameters, so the second row runs one draw with J = 2; ``--set displacements=10`` has the paper's J.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...plotting import plot_rows, save_figure
from ...run.solution import Solution
from ...schemes import SAV, Adam, AdaptiveSAV, GradientDescent, Restart
from ..experiment import Context, Experiment, Outcome
from ..image_runs import ImageCurve, ImageRuns, run_curves
from ..image_tasks import ImageSettings
from ..judging import at_epoch
from ..verdicts import differences, overall, told
from ..words import range_text
from .curves import EULER, RELAXED, RESTARTED, VANILLA, relaxed
from .fig11_judging import EPOCHS, FIRST, LAST_ACCURACY, SMOOTHED, judge
from .tasks import PAPER

__all__ = ["MA2024_FIG11", "Fig11Settings", "curves"]

ADAPTIVE, ADAM = "adaptive relaxed SAV", "Adam"
TABLE = ("curve", "epochs", "train loss", "test loss", "accuracy, epoch 1", "accuracy, end", "r/sqrt(E+C)", "status")
CHOSEN = ("width", "batch_size", "init", "smoothing", "displacements", "draws", "seed", "dtype", "threads", "dt", "C",
          "stabilization", "adaptive_dt", "adam_dt", "smoothed_draws")  # fmt: skip
"""Settings of which the paper says nothing, or that the verdict tells otherwise."""
NOTE = (
    "Losses are mean cross-entropies on all images of a part, accuracies those on the test part; the range over the draws "
    "of initial parameters and batches. Width, batch, dt, C, initial parameters and loss are not in the paper: chosen by hand."
)


@dataclass(frozen=True, kw_only=True)
class Fig11Settings(ImageSettings):
    """Settings of the figure: sizes, and the constants chosen by hand.

    Raises
    ------
    ValueError
        As for `ImageSettings`, and if `smoothed_draws` is not from 0 to `draws`.
    """

    dt: float = 0.6
    """Step size of explicit Euler and the SAV schemes."""
    C: float = 100.0
    """Constant of the SAV schemes."""
    stabilization: float = 0.0
    """Their lambda."""
    adaptive_dt: float = 0.3
    """Step size of adaptive relaxed SAV."""
    adam_dt: float = 0.01
    """That of Adam; 0.001 is small for mean-field parameters, which are of order one."""
    displacements: int = 2
    """J; 10 in the paper."""
    smoothed_draws: int = 1
    """Draws of the curves with smoothed particles; 0 leaves them out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.smoothed_draws <= self.draws:
            raise ValueError(f"smoothed_draws must be from 0 to draws = {self.draws}, got {self.smoothed_draws}")


def curves(settings: Fig11Settings) -> dict[str, ImageCurve]:
    """Return the curves of both rows, by label.

    Parameters
    ----------
    settings : Fig11Settings
        Constants.

    Raises
    ------
    ValueError
        If a constant is refused by its scheme.
    """
    sav = SAV(C=settings.C, stabilization=settings.stabilization)
    adaptive = relaxed(AdaptiveSAV(C=settings.C, stabilization=settings.stabilization))
    particles = {
        EULER: ImageCurve(GradientDescent(), settings.dt),
        VANILLA: ImageCurve(sav, settings.dt),
        RESTARTED: ImageCurve(Restart(sav), settings.dt),
        RELAXED: ImageCurve(relaxed(sav), settings.dt),
        ADAPTIVE: ImageCurve(adaptive, settings.adaptive_dt),
        ADAM: ImageCurve(Adam(), settings.adam_dt),
    }
    if not settings.smoothed_draws:
        return particles
    smoothed = {
        SMOOTHED + label: particles[label]._replace(smoothed=True, draws=settings.smoothed_draws)
        for label in (EULER, RELAXED)
    }
    return {**particles, **smoothed}


def run(settings: Fig11Settings, context: Context) -> Outcome:
    """Train with every scheme for every draw, draw the figure, and judge it."""
    runs = run_curves(curves(settings), settings, context)
    draw(runs, settings, context)
    whole = not (settings.n_train or settings.n_test) and settings.data == "mnist"
    claims = judge(runs, settings.n_test or 10_000, whole=whole)
    changed = told(
        f"all constants chosen here, width {settings.width}",
        f"smoothed particles with J = {settings.displacements}, draws: {settings.smoothed_draws}"
        if settings.smoothed_draws
        else "no smoothed particles",
        *differences(settings, FULL, unprinted=CHOSEN),
    )
    rows = tuple(_row(label, several) for label, several in runs.items())
    return Outcome(TABLE, rows, NOTE, tuple(claims), overall(claims, changed))


def draw(runs: ImageRuns, settings: Fig11Settings, context: Context) -> None:
    """Draw train loss, test loss and the share of wrong test images: a row for particles, one for smoothed particles.

    Parameters
    ----------
    runs : dict
        For each label the runs.
    settings : Fig11Settings
        Told in the title.
    context : Context
        Where the figure goes.
    """
    rows: dict[str, dict[str, list[Solution]]] = {"particle method": {}}
    for label, several in runs.items():
        row = f"smoothed particles, J = {settings.displacements}" if label.startswith(SMOOTHED) else "particle method"
        rows.setdefault(row, {})[label.removeprefix(SMOOTHED)] = several
    figure = plot_rows(
        rows,
        ("train_loss", "test_loss", "test_error"),
        title=f"Ma, Mao & Shen (2024), Fig. 11: {settings.data}, m = {settings.width}, batches of {settings.batch_size}, "
        f"dt = {settings.dt:g}, C = {settings.C:g} (all chosen here), draws: {settings.draws}",
        labels={
            "train_loss": "train cross-entropy",
            "test_loss": "test cross-entropy",
            "test_error": "share of wrong test images",
        },
        levels={"test_error": {"paper, particle method": 1 - LAST_ACCURACY}},
    )
    for axes in figure.axes:
        axes.set_yscale("log")
    save_figure(figure, context.out / context.name)


def _row(label: str, runs: Sequence[Solution]) -> tuple[str, ...]:
    """Return the row of `TABLE` for one curve."""
    losses = (range_text([float(run.history[name][-1]) for run in runs], ".1e") for name in ("train_loss", "test_loss"))
    first = [1 - error for run in runs if (error := at_epoch(run, "test_error", FIRST, average=False)) is not None]
    last = [float(run.history["test_accuracy"][-1]) for run in runs]
    ratio = [float(run.history["auxiliary_ratio"][-1]) for run in runs if "auxiliary_ratio" in run.history]
    epochs = f"{min(float(run.history['epoch'][-1]) for run in runs):.0f}"
    status = ", ".join(dict.fromkeys(run.status.value for run in runs))
    return (
        label,
        epochs,
        *losses,
        range_text(first, ".1%"),
        range_text(last, ".2%"),
        range_text(ratio, ".1g"),
        status,
    )


FULL = Fig11Settings(epochs=EPOCHS)

MA2024_FIG11 = Experiment(
    name="ma2024-fig11",
    title="Handwritten digits: explicit Euler, SAV and Adam",
    source=f"{PAPER}, Fig. 11",
    problem="Classify MNIST by a two-layer ReLU network of width 500: 60 000 images, cross-entropy, 10 epochs.",
    time="about 12 minutes for 10 epochs and 3 draws, smoothed particles for one",
    quick_time="about 40 seconds for 5000 images and 1 draw",
    full=FULL,
    fixed={"accuracies read at epochs": [FIRST, EPOCHS], "published accuracy": LAST_ACCURACY},
    quick=replace(FULL, n_train=5000, n_test=2000, draws=1, smoothed_draws=0),
    run=run,
)
"""The experiment ``ma2024-fig11``."""
