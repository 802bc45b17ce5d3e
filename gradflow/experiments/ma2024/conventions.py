r"""Which unstated conventions show the published curves: a grid over all of them.

Ma, Mao & Shen leave open, and no choice of ours can decide, in which time the network moves, in which inner product r is updated,
which loss is trained, from which initial parameters, and whether a square carries its factor 1/2. A convention is one choice of each:

* time: mean-field, equation (9) of the paper, or that of automatic differentiation, m times slower;
* product, see `gradflow.experiments.ma2024.products`: the consistent one, that of the partial derivatives, that of the velocity (in the
  time of automatic differentiation the three are one);
* loss: the relative error, or the mean of the squares;
* initial parameters: He's, or all N(0, 1);
* factor: the loss E, or E / 2.

The last needs no code of its own. SAV on E / 2 with dt, C, lambda takes the steps of SAV on E with

.. math:: \Delta t' = \tfrac12 \Delta t, \qquad C' = 2 C, \qquad \lambda' = 2\lambda,                              \tag{1}

since then :math:`\Delta t'\lambda' = \Delta t\lambda` and :math:`\Delta t'(g, A^{-1}g)/(2(E + C'))` is what
:math:`\Delta t\,(\tfrac12 g, A^{-1}\tfrac12 g)/(2(\tfrac12 E + C))` is; explicit Euler likewise with :math:`\Delta t'`.

These are 32 conventions, each run with explicit Euler and SAV for every draw of the coefficients. What a figure shows is put as criteria on
those runs, each true or false; a convention matches the figure if all of them hold.

Source of the curves: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Figs. 1, 2, 3 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product as all_of
from typing import NamedTuple, TypeAlias

from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes import SAV, GradientDescent, Restart
from ...schemes.protocols import Scheme
from ..experiment import Context
from .curves import EULER, RESTARTED, VANILLA
from .products import PRODUCTS
from .tasks import TaskSettings, regression_task, train_task

__all__ = [
    "CONVENTIONS",
    "Convention",
    "ConventionRuns",
    "constants",
    "multiplied",
    "run_conventions",
    "with_convention",
]


class Convention(NamedTuple):
    """One choice of everything that is left open."""

    time_scale: str
    """"mean_field" or "autograd"."""
    product: str
    """One of `gradflow.experiments.ma2024.products.PRODUCTS`."""
    loss: str
    """"relative" or "mse"."""
    init: str
    """"he" or "normal"."""
    half: bool
    """Whether E / 2 is trained instead of E."""

    def __str__(self) -> str:
        """Return the convention in words."""
        time = "mean-field" if self.time_scale == "mean_field" else "autograd"
        products = {"consistent": "consistent", "partial_derivatives": "|dE|^2", "velocity": "|v|^2"}
        init = "He" if self.init == "he" else "N(0, 1)"
        return f"{time}, {products[self.product]}, {self.loss}{' / 2' * self.half}, {init}"

    @property
    def stem(self) -> str:
        """Of the names of the files."""
        return "-".join((self.time_scale, self.product, self.loss, self.init, "half" if self.half else "whole"))


_MOTIONS = (*(("mean_field", product) for product in PRODUCTS), ("autograd", "consistent"))
CONVENTIONS = tuple(
    Convention(*motion, loss, init, half)
    for motion, loss, init, half in all_of(_MOTIONS, ("relative", "mse"), ("he", "normal"), (False, True))
)
"""All 32."""
ConventionRuns: TypeAlias = dict[Convention, dict[str, list[Solution]]]
"""For each convention and each curve's label the runs, one for each draw."""


def constants(convention: Convention, dt: float, C: float, stabilization: float) -> tuple[float, float, float]:
    """Return the dt, C and lambda with which SAV on E takes the steps that the convention asks for, equation (1).

    Parameters
    ----------
    convention : Convention
        Its ``half``.
    dt : float
        The figure's step size, > 0.
    C : float
        The figure's constant.
    stabilization : float
        The figure's lambda, >= 0.
    """
    return multiplied(0.5 if convention.half else 1.0, dt, C, stabilization)


def multiplied(multiple: float, dt: float, C: float, stabilization: float) -> tuple[float, float, float]:
    """Return the dt, C and lambda with which SAV on E takes the steps of SAV on a multiple of E, as in equation (1).

    Parameters
    ----------
    multiple : float
        Of E, > 0.
    dt : float
        The step size for the multiple, > 0.
    C : float
        Its constant.
    stabilization : float
        Its lambda, >= 0.
    """
    return multiple * dt, C / multiple, stabilization / multiple


def with_convention(settings: TaskSettings, convention: Convention) -> TaskSettings:
    """Return settings in which a convention's time, loss and initial parameters stand.

    Parameters
    ----------
    settings : TaskSettings
        Of the figure.
    convention : Convention
        What to change.
    """
    return replace(settings, time_scale=convention.time_scale, loss=convention.loss, init=convention.init)


def run_conventions(
    settings: TaskSettings,
    dt: float,
    context: Context,
    *,
    restarted: bool,
    conventions: Sequence[Convention] = CONVENTIONS,
) -> ConventionRuns:
    """Run explicit Euler and SAV under every convention for every draw, or take up what is kept.

    Parameters
    ----------
    settings : TaskSettings
        Of the figure; C and the stabilization are those of SAV.
    dt : float
        Step size, > 0.
    context : Context
        Where the data go.
    restarted : bool
        Run restarted SAV, too.
    conventions : sequence of Convention
        Which.

    Returns
    -------
    dict
        For each convention and each curve's label the runs, one for each draw.
    """
    first = regression_task(settings, 0)
    steps_per_epoch(first.problem, settings.batch_size or None)
    for convention in conventions:
        _, C, stabilization = constants(convention, dt, settings.C, settings.stabilization)
        SAV(C=C, stabilization=stabilization).init(first.problem, first.theta0)
    context.claim()
    runs: ConventionRuns = {}
    euler: dict[Convention, list[Solution]] = {}
    for number, convention in enumerate(conventions, start=1):
        chosen = with_convention(settings, convention)
        h, C, stabilization = constants(convention, dt, settings.C, settings.stabilization)
        sav = SAV(C=C, stabilization=stabilization)
        schemes: Mapping[str, Scheme] = {VANILLA: sav, **({RESTARTED: Restart(sav)} if restarted else {})}
        plain = convention._replace(product="consistent")
        if plain not in euler:  # explicit Euler knows no product
            euler[plain] = _run_draws(GradientDescent(), chosen, plain, h, "euler", context)
        runs[convention] = {
            EULER: euler[plain],
            **{
                label: _run_draws(scheme, chosen, convention, h, label.split()[0].lower(), context)
                for label, scheme in schemes.items()
            },
        }
        context.say(f"{number} of {len(conventions)}: {convention}")
    return runs


def _run_draws(
    scheme: Scheme, settings: TaskSettings, convention: Convention, dt: float, name: str, context: Context
) -> list[Solution]:
    """Return the runs of a scheme, one for each draw."""
    return [
        train_task(
            regression_task(settings, draw, product=convention.product),
            scheme,
            settings,
            dt=dt,
            path=context.out / "data" / f"{convention.stem}-{name}-{draw}",
            progress=context.progress and f"{convention} {name} {draw + 1}",
        )
        for draw in range(settings.draws)
    ]
