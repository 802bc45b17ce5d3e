r"""How far a step may go: damping, trust regions, cubic regularisation.

A globalisation keeps one number, its `control`, and a `factor`. It says which subproblem of
`gradflow.curvature.subproblem` a step solves, and how the control follows from the gain ratio

.. math:: \rho = \frac{E(\theta) - E(\theta + d)}{m(0) - m(d)},                                         \tag{1}

the actual over the predicted decrease. A trial is accepted if ``rho > accept``.

==================  ==========  ==============================================================================
globalisation       control     after a trial
==================  ==========  ==============================================================================
`FixedDamping`      lambda      unchanged; every trial is accepted
`MarquardtDamping`  lambda      accepted: lambda / 10; rejected: 10 lambda
`NielsenDamping`    lambda      accepted: ``lambda max(1/3, 1 - (2 rho - 1)^3)``; rejected: lambda times 2, 4, 8, ...
`TrustRegion`       delta       ``rho < 1/4``: ``|d| / 4``; ``rho > 3/4`` at the boundary: ``2 delta``
`Cubic`             sigma       ``rho > 9/10``: sigma / 2; ``rho < 1/10``: 2 sigma
==================  ==========  ==============================================================================

Regions of other shapes are `gradflow.curvature.CurvatureRegion` and `gradflow.curvature.BlockTrustRegion`, and
`gradflow.curvature.StochasticTrustRegion` is for energies that are estimates.

lambda and sigma are the multiplier ``nu = lambda`` and ``nu = sigma |d|_D`` of the metric. In a model with a negative
eigenvalue ``mu_1``, the damped methods take ``nu = lambda - mu_1``. A trial whose energy is not finite has the ratio -1.

Departures from the sources.

* `TrustRegion` shrinks from the length of the step, as in the first edition of Nocedal & Wright (1999); the second has
  ``delta / 4``. A rejected step from the interior, ``|d| <= delta / 4``, would otherwise be tried again unchanged. By default
  there is no largest radius.
* `Cubic` has the decrease of the quadratic model in (1); Algorithm 2.1 of Cartis, Gould & Toint has that of the cubic one,
  which is smaller by ``sigma |d|^3 / 3``, and at least a third of it. Equation (1) then has one meaning for all
  globalisations, as in Birgin et al., and is 1 for a quadratic energy. A trial with ``rho > 0`` has a larger ratio in the
  source, up to ``3 rho``.
* `Cubic` accepts from ``rho > accept = 1e-4`` on and doubles sigma below ``rho = 1/10``; the source has one number eta_1 for
  both, 1/10 in its experiments. A trial between the two decreases the energy, and its evaluation is not discarded.

Source: Marquardt, SIAM J. Appl. Math. 11 (1963) 431; Nielsen, IMM-REP-1999-05, Technical University of Denmark, eq. (2.5);
Nocedal & Wright, Numerical Optimization (1999, 2006), Algorithm 4.1; Cartis, Gould & Toint, Math. Program. 127 (2011) 245,
Algorithm 2.1; Birgin, Gardenghi, Martínez, Santos & Toint, Math. Program. 163 (2017) 359, for the ratio of `Cubic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number
from .direct import largest_eigenvalue
from .eigenbasis import Form
from .model import Model
from .spectral import Step
from .subproblem import Coefficients, cubic, damped, trust_region
from .truncated import steihaug

__all__ = [
    "Control",
    "Cubic",
    "Damping",
    "Direct",
    "FixedDamping",
    "Globalization",
    "Judging",
    "MarquardtDamping",
    "NielsenDamping",
    "TrustRegion",
]


class Control(NamedTuple):
    """What a globalisation keeps."""

    size: Array
    """lambda, delta or sigma, 0-d."""
    factor: Array
    """By which the next rejection multiplies lambda, 0-d; 1 where it is not used."""


class Globalization(Protocol):
    """A choice of the subproblem; implementations are frozen dataclasses."""

    @property
    def accept(self) -> float | None:
        """The ratio that a trial must exceed to be accepted; None accepts every trial."""

    def start(self, form: Form, length: Array) -> Control:
        """Return the first control.

        Parameters
        ----------
        form : Form
            The first model.
        length : 0-d array
            ``|theta|_D``.
        """

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the solution of the subproblem.

        Parameters
        ----------
        form : Form
            The model.
        size : 0-d array
            Damping, radius or weight.
        """

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the control after a trial.

        Parameters
        ----------
        control : Control
            That of the trial.
        step : Step
            The trial.
        ratio : 0-d array
            Equation (1).
        """


@runtime_checkable
class Direct(Globalization, Protocol):
    """A globalisation whose subproblem can also be solved without an eigenbasis; its `start` takes None for the form."""

    @property
    def direct(self) -> tuple[str, ...]:
        """The names of these solvers."""

    def solve_directly(self, model: Model, weights: Array | None, size: Array, tol: float | None) -> Step:
        """Return the step.

        Parameters
        ----------
        model : Model
            The model.
        weights : array (P,) or None
            Diagonal of D, entries > 0; None for the identity.
        size : 0-d array
            Damping, radius or weight.
        tol : float or None
            The residual to reach, relative to the gradient.
        """


@runtime_checkable
class Damping(Globalization, Protocol):
    """A globalisation whose control is the multiplier: its steps are those of `gradflow.curvature.direct`, too."""

    def start_directly(self, model: Model, weights: Array | None, length: Array) -> Control:
        """Return the first control, without an eigenbasis.

        Parameters
        ----------
        model : Model
            The first model.
        weights : array (P,) or None
            Diagonal of D, entries > 0; None for the identity.
        length : 0-d array
            ``|theta|_D``.
        """


@runtime_checkable
class Judging(Globalization, Protocol):
    """A globalisation with a test of its own; after a trial that it rejects, `after` is given the ratio -1."""

    def accepts(self, model: Model, new: Model, weights: Array | None, size: Array, ratio: Array) -> bool:
        """Return whether a trial with a finite energy is accepted.

        Parameters
        ----------
        model, new : Model
            The model of the step, and the one at the trial.
        weights : array (P,) or None
            Diagonal of D, entries > 0; None for the identity.
        size : 0-d array
            Damping, radius or weight of the trial.
        ratio : 0-d array
            Equation (1).
        """


def _largest(form: Form) -> Array:
    """Return the largest eigenvalue in absolute value, 1 for a zero model; 0-d."""
    xp = array_namespace(form.mu)
    size = xp.max(xp.abs(form.mu))
    return xp.where(size > 0, size, 1 + 0 * size)


def _bounded(size: Array) -> Array:
    """Return the number within the range in which its products with the model stay finite, 0-d."""
    xp = array_namespace(size)
    info = xp.finfo(size.dtype)
    return xp.clip(size, float(info.smallest_normal) / float(info.eps), float(info.max) ** 0.5)


def _damped(form: Form, size: Array) -> Coefficients:
    """Return the damped step; a negative eigenvalue is damped away."""
    xp = array_namespace(form.mu)
    least = xp.min(form.mu)
    return damped(form.gamma, form.mu, size + xp.where(least < 0, -least, 0 * least), form.tiny)


@dataclass(frozen=True)
class FixedDamping:
    """Constant damping; with 0, the full step of the model.

    Parameters
    ----------
    damping : float
        The multiplier lambda >= 0, 1 / time. With lambda = 1 / dt and `Identity`, a Gauss-Newton step is one of restarted IEQ.

    Raises
    ------
    ValueError
        If the damping is negative.
    """

    damping: float = 0.0
    accept: ClassVar[None] = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("damping", self.damping, 0)

    def start(self, form: Form, length: Array) -> Control:
        """Return the damping."""
        return Control(0 * length + self.damping, 1 + 0 * length)

    def start_directly(self, model: Model, weights: Array | None, length: Array) -> Control:
        """Return the damping."""
        return Control(0 * length + self.damping, 1 + 0 * length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the step of (3) of the subproblem; for an indefinite model, that of Newton's method."""
        return damped(form.gamma, form.mu, size, form.tiny)

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the same control."""
        return control


@dataclass(frozen=True)
class MarquardtDamping:
    """Damping that is divided or multiplied by a constant.

    Parameters
    ----------
    start_relative : float
        First lambda, relative to the largest eigenvalue of the first model, > 0.
    factor : float
        The constant, > 1.
    accept : float
        The smallest ratio that is accepted, in [0, 1).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    start_relative: float = 1e-3
    factor: float = 10.0
    accept: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("start_relative", self.start_relative, 0, open_low=True)
        real_number("factor", self.factor, 1, open_low=True)
        real_number("accept", self.accept, 0, 1, open_high=True)

    def start(self, form: Form, length: Array) -> Control:
        """Return lambda, relative to the largest eigenvalue."""
        return Control(self.start_relative * _largest(form), 1 + 0 * length)

    def start_directly(self, model: Model, weights: Array | None, length: Array) -> Control:
        """Return lambda, relative to the largest eigenvalue of a Krylov space."""
        return Control(self.start_relative * largest_eigenvalue(model, weights) + 0 * length, 1 + 0 * length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the damped step."""
        return _damped(form, size)

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return lambda divided by the factor after an accepted trial, and multiplied by it after a rejected one."""
        xp = array_namespace(ratio)
        size = xp.where(ratio > self.accept, control.size / self.factor, control.size * self.factor)
        return control._replace(size=_bounded(size))


@dataclass(frozen=True)
class NielsenDamping:
    """Damping that follows the ratio smoothly, and rises faster with every rejection in a row.

    Parameters
    ----------
    start_relative : float
        First lambda, relative to the largest eigenvalue of the first model, > 0.
    accept : float
        The smallest ratio that is accepted, in [0, 1).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    start_relative: float = 1e-3
    accept: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("start_relative", self.start_relative, 0, open_low=True)
        real_number("accept", self.accept, 0, 1, open_high=True)

    def start(self, form: Form, length: Array) -> Control:
        """Return lambda, relative to the largest eigenvalue, and the factor 2."""
        return Control(self.start_relative * _largest(form), 2 + 0 * length)

    def start_directly(self, model: Model, weights: Array | None, length: Array) -> Control:
        """Return lambda, relative to the largest eigenvalue of a Krylov space, and the factor 2."""
        return Control(self.start_relative * largest_eigenvalue(model, weights) + 0 * length, 2 + 0 * length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the damped step."""
        return _damped(form, size)

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return lambda and the factor as in the table of the module."""
        xp, good = array_namespace(ratio), ratio > self.accept
        smaller = xp.maximum(1 - (2 * xp.minimum(ratio, 1 + 0 * ratio) - 1) ** 3, 1 / 3 + 0 * ratio)
        size = control.size * xp.where(good, smaller, control.factor)
        return Control(_bounded(size), _bounded(xp.where(good, 2 + 0 * ratio, 2 * control.factor)))


@dataclass(frozen=True)
class TrustRegion:
    """A ball in which the model is trusted.

    Parameters
    ----------
    radius : float, optional
        First radius delta > 0, in the metric; by default ``|theta|_D``, or 1 if that is 0.
    most : float, optional
        The largest radius, > 0; unbounded by default.
    accept : float
        The smallest ratio that is accepted, in [0, 1/4).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    radius: float | None = None
    most: float | None = None
    accept: float = 1e-4
    direct: ClassVar[tuple[str, ...]] = ("steihaug",)

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.radius is not None:
            real_number("radius", self.radius, 0, open_low=True)
        if self.most is not None:
            real_number("most", self.most, 0, open_low=True)
        real_number("accept", self.accept, 0, 0.25, open_high=True)

    def start(self, form: Form | None, length: Array) -> Control:
        """Return the first radius."""
        xp = array_namespace(length)
        size = xp.where(length > 0, length, 1 + length) if self.radius is None else 0 * length + self.radius
        return Control(self.bounded(size), 1 + 0 * length)

    def bounded(self, size: Array) -> Array:
        """Return a radius of at most `most`, within the range of its dtype, 0-d.

        Parameters
        ----------
        size : 0-d array
            A radius.
        """
        return _bounded(size) if self.most is None else array_namespace(size).clip(_bounded(size), max=self.most)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the minimiser in the ball."""
        return trust_region(form.gamma, form.mu, float(size))

    def solve_directly(self, model: Model, weights: Array | None, size: Array, tol: float | None) -> Step:
        """Return the step of truncated conjugate gradients."""
        return steihaug(model, weights, size, tol=tol)

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the radius as in the table of the module. At the boundary: the subproblem says so, no length is compared."""
        xp, size = array_namespace(ratio), control.size
        if step.boundary:
            size = xp.where(ratio > 0.75, 2 * size, size)
        return control._replace(size=self.bounded(xp.where(ratio < 0.25, step.length / 4, size)))


@dataclass(frozen=True)
class Cubic:
    """Adaptive cubic regularisation: ``sigma |d|_D^3 / 3`` is added to the model.

    Parameters
    ----------
    weight : float
        First sigma, > 0.
    accept : float
        The smallest ratio that is accepted, in [0, 1/10).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    weight: float = 1.0
    accept: float = 1e-4

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("weight", self.weight, 0, open_low=True)
        real_number("accept", self.accept, 0, 0.1, open_high=True)

    def start(self, form: Form, length: Array) -> Control:
        """Return the first weight."""
        return Control(0 * length + self.weight, 1 + 0 * length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the minimiser of the regularised model."""
        return cubic(form.gamma, form.mu, float(size))

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the weight as in the table of the module."""
        xp, size = array_namespace(ratio), control.size
        size = xp.where(ratio > 0.9, size / 2, xp.where(ratio < 0.1, 2 * size, size))
        return control._replace(size=_bounded(size))
