r"""All methods for training networks, each with its own best dt, on equal terms: a comparison of the library's own.

Published comparisons of SAV and IEQ with gradient descent and Adam mostly fix one dt for all, give each method another
size of batch, or show one seed. Which method comes first then says as much about the dt as about the method. Here:

1. Every method has the same data, initial parameters and batches, in the same order.
2. Every method has its own dt, and its own constant (C or kappa) where it has one: the pair of the least *train* error
   after ``tuning_epochs`` epochs, in the mean over the seeds 0 to ``tuning_seeds - 1``. dt is sought on a lattice of
   two points a decade, from the same first points for all, and beyond them as long as the best is an end point
   (`gradflow.experiments.comparison.tuning`); one that stays an end point is marked with a star. The search is not
   counted in the time; it tries more pairs for a method with a constant.
3. Reported are the next ``seeds`` seeds, which the search has not seen: medians, and the range between the extremes.
   No test error plays a part in any choice.
4. Errors are compared after equal epochs, and at equal processor time: the time T that gradient descent takes for all
   its epochs. A method that is slower gets fewer epochs (its records up to T count), one that is faster no more than
   the others; dt is that of equal epochs in both. What a step costs is measured apart from the runs, in processor
   seconds on one BLAS thread, all methods taking turns: on a machine that does other work the clock of a whole run is
   off by a third (`gradflow.experiments.comparison.costs`).

Limits. A short search favours the dt that is best early. Momentum, Adam's rates and eta are the library's, and no dt
changes during a run. The sizes are small: much of a step is the overhead of its calls, not its products; relaxation
evaluates the energy once more; and the larger the batch, the more IEQ pays for its linear system, of one row for each
output of a sample. The network is a mean over its units; another scaling may suit other methods. The quick form, of a
few epochs and one dt a decade, shows how it goes; its claims are about itself.

Problems. (a) Example 1 of Ma, Mao & Shen, reduced to 20 inputs, width 200 and 4000 samples, relative error; a seed
draws inputs, p and q, initial parameters (He's) and batches. (b) 1000 images of Fashion-MNIST, the mean square of the
outputs less the indicator of the class, so that IEQ applies; a seed draws initial parameters and batches, the data
stay. Both in mean-field time, :math:`(u, v)_M = u \cdot v / m`.

Source: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, for Example 1 and most of the methods; H. Xiao, K.
Rasul, R. Vollgraf, arXiv:1708.07747, for the images. No figure of theirs is repeated.
"""

from __future__ import annotations

from collections.abc import Callable

from ...plotting import save_figure
from ...run.batches import steps_per_epoch
from ..experiment import Context, Experiment, Outcome
from ..ma2024.tasks import PAPER
from .costs import kept_costs
from .judging import judge_problem, summary
from .methods import METHODS, ComparedTask, example_task, image_task
from .settings import ComparisonSettings
from .tables import COMPARISON_TABLE, comparison_figure, comparison_rows
from .tuning import TunedMethod, train_compared, tune

__all__ = ["COMPARISON"]

EXAMPLE, IMAGES = "Example 1", "Fashion-MNIST subset"
AXES = {
    EXAMPLE: ("train relative error", "test relative error"),
    IMAGES: ("train mean square", "share of test images misclassified"),
}
NOTE = (
    "Medians over the seeds, the range in brackets. Errors: of Example 1 sum (f - y)^2 / sum y^2; of the images the "
    "mean square in training and the share misclassified in the test; each the geometric mean over the last tenth of "
    "its epochs. Equal time is the processor time of gradient descent's epochs, the cost of a step measured with all "
    "methods taking turns, on one BLAS thread: processor time, since on a machine that does other work the clock on the "
    "wall also counts what the others take. It is that of one core; more threads would help large products most. A star marks a dt, or a constant, at the edge of what was tried. One method is below "
    "another if its error is more than 10 % lower for every seed. A range that leaves its panel has a seed that diverged."
)


def run(settings: ComparisonSettings, context: Context) -> Outcome:
    """Search every method's dt, run the reported seeds, draw the figure, and judge it."""
    tasks = {
        title: [task(seed) for seed in range(settings.tuning_seeds + settings.seeds)]
        for title, task in _tasks(settings).items()
    }
    constants = settings.constant_values()
    for first, *_ in tasks.values():
        steps_per_epoch(first.problem, first.batch_size)
        for method in METHODS:
            for constant in constants:
                method.scheme(constant).init(first.problem, first.theta0)
    context.claim()
    problems = {
        title: _compare(title, stem, several, settings, context)
        for (title, several), stem in zip(tasks.items(), ("example", "images"), strict=True)
    }
    figure = comparison_figure(
        problems,
        AXES,
        settings.epochs,
        f"Every method with its own best dt, found on other seeds than are shown; medians over {settings.seeds} "
        f"seed{'s' if settings.seeds > 1 else ''}, to the right also the range; the same data, start and batches for all",
    )
    save_figure(figure, context.out / context.name)
    claims = [claim for title, methods in problems.items() for claim in judge_problem(title, methods, settings.epochs)]
    rows = comparison_rows(problems, settings.epochs)
    return Outcome(COMPARISON_TABLE, rows, NOTE, tuple(claims), summary(problems, settings.epochs))


def _tasks(settings: ComparisonSettings) -> dict[str, Callable[[int], ComparedTask]]:
    """Return for each problem's title its task as a function of the seed."""
    return {
        EXAMPLE: lambda seed: example_task(
            seed,
            n_inputs=settings.n_inputs,
            width=settings.width,
            n_samples=settings.n_samples,
            batch_size=settings.batch_size,
            dtype=settings.dtype,
        ),
        IMAGES: lambda seed: image_task(
            seed,
            width=settings.image_width,
            n_images=settings.n_images,
            batch_size=settings.image_batch_size,
            dtype=settings.dtype,
        ),
    }


def _compare(
    title: str, stem: str, tasks: list[ComparedTask], settings: ComparisonSettings, context: Context
) -> dict[str, TunedMethod]:
    """Return every method on one problem: the first tasks are those of the search."""
    searched, reported = tasks[: settings.tuning_seeds], tasks[settings.tuning_seeds :]
    steps = steps_per_epoch(tasks[0].problem, tasks[0].batch_size)
    costs = kept_costs(
        context.out / "data" / f"{stem}-costs.json",
        tasks[0],
        {method.label: method.scheme(settings.constant_values()[0]) for method in METHODS},
        settings.rounds,
    )
    methods = {}
    for method in METHODS:
        tuned = tune(
            searched,
            method,
            constants=settings.constant_values(),
            epochs=settings.tuning_epochs,
            per_decade=settings.per_decade,
            points=settings.points,
            extensions=settings.extensions,
            stem=context.out / "data" / f"{stem}-{method.stem}-search",
            progress=f"{stem} {method.label}" if context.progress else "",
        )
        methods[method.label] = TunedMethod(tuned, [], costs[method.label], steps)
        constant = "" if tuned.constant is None else f", constant {tuned.constant:g}"
        edge = ", at the edge of what was tried" if tuned.at_edge else ""
        context.say(f"{title}, {method.label}: dt {tuned.dt:g}{constant} is the best of {tuned.scores}{edge}")
    for task in reported:
        for method in METHODS:
            so_far = methods[method.label]
            tuned = so_far.tuned
            run = train_compared(
                task,
                method.scheme(1.0 if tuned.constant is None else tuned.constant),
                dt=tuned.dt,
                epochs=settings.epochs,
                path=context.out / "data" / f"{stem}-{method.stem}-seed{task.seed}",
                progress=context.progress and f"{stem} {method.label} seed {task.seed}",
            )
            methods[method.label] = so_far._replace(runs=[*so_far.runs, run])
        context.say(f"{title}, seed {task.seed}: done")
    return methods


FULL = ComparisonSettings(epochs=60, tuning_epochs=30)

COMPARISON = Experiment(
    name="comparison",
    title="All methods with their own best dt, at equal epochs and at equal time",
    source=f"this library; problems after {PAPER}, and Xiao et al., arXiv:1708.07747",
    problem="Example 1 in 20 dimensions (width 200, 3200 samples, batches of 64), and 1000 images of Fashion-MNIST "
    "(width 30, batches of 50).",
    time="about 3 minutes of one core",
    quick_time="about 40 seconds of one core",
    full=FULL,
    quick=ComparisonSettings(
        epochs=8,
        tuning_epochs=4,
        tuning_seeds=1,
        seeds=3,
        per_decade=1,
        points=3,
        extensions=3,
        rounds=20,
        constants="1",
    ),
    run=run,
)
"""The experiment ``comparison``."""
