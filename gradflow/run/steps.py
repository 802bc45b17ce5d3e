r"""The size of a step: a number, a function of the step number, or a controller that may refuse a step.

A controller proposes the size of the next step, and then judges the step that was made. Nothing of a refused step is
kept: another size is tried from the same state. Each accepted step is one step of the scheme with one size. The
scheme's energy identity therefore holds on it, whatever the controller.

`ByError` compares the step of size h with two of size h / 2, both from the same state. For a scheme of order p and
smooth E their difference is, to leading order, the share ``1 - 2^{-p}`` of the error of the long step,

.. math:: \text{err} = \frac{2^p}{2^p - 1}\,|\theta_{h} - \theta_{h/2,h/2}|_M,                          \tag{1}

which must not exceed ``tol = atol + rtol max(|\theta^n|_M, |\theta^{n+1}|_M)``. The next size is

.. math:: h \cdot \min\bigl(g, \max(s, 0.9\,(\text{tol}/\text{err})^{1/(p+1)})\bigr).                    \tag{2}

The long step is kept, since the energy identity is that of the long step. `ByEnergyRate` refuses only a state that is
not finite,

.. math:: h = \max\Bigl(h_{\min}, \frac{h_{\max}}{\sqrt{1 + \alpha\,|E'|^2}}\Bigr), \qquad
          E' = \frac{\tilde E^{n+1} - \tilde E^n}{h},                                                   \tag{3}

with the modified energy where the scheme has one and the energy otherwise.

`ByGainRatio` refuses a step that the true energy does not confirm. The identity of an auxiliary scheme states the
guaranteed decrease ``D + N`` of its modified energy (`EnergyTerms`). The gain ratio is that of the true energy to it,

.. math:: \rho = \frac{E(\theta^n) - E(\theta^{n+1})}{D + N},                                             \tag{4}

a step is accepted if ``rho > accept``, and the damping ``lambda = 1 / h`` follows the rule of `NielsenDamping`:

.. math:: \lambda \leftarrow \lambda \max\bigl(\tfrac13, 1 - (2\rho - 1)^3\bigr) \ \text{(accepted)}, \qquad
          \lambda \leftarrow 2\lambda,\ 4\lambda,\ 8\lambda, \dots \ \text{(refused, in a row)}.             \tag{5}

For `Restart` of `IEQ`, D + N is the predicted reduction of Levenberg-Marquardt, so the run is that method: the iterates
are those of `SecondOrder` with the Gauss-Newton curvature, the identity metric and the same damping.

Source: for (1) and (2), Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, section II.4; for (3), Qiao, Zhang
& Tang, SIAM J. Sci. Comput. 33 (2011) 1395; for (5), Nielsen, IMM-REP-1999-05, Technical University of Denmark, eq. (2.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from math import inf, isfinite
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from ..curvature.descent import ROUNDING
from ..curvature.globalization import Control, NielsenDamping
from ..description import found
from ..energies.protocols import Problem, norm
from ..namespace import array_namespace
from ..refusals import lists_arguments, plain_numbers, real_number, whole_number
from ..schemes.protocols import AuxiliaryScheme, Scheme
from ..schemes.second_order import gain_ratio
from .states import own_state

__all__ = [
    "Attempt",
    "ByEnergyRate",
    "ByError",
    "ByGainRatio",
    "Controller",
    "Damping",
    "Fixed",
    "Schedule",
    "StepSize",
    "Verdict",
    "hashed",
]


class Attempt(NamedTuple):
    """A step that was made, for a controller to judge."""

    problem: Problem
    """The problem (of the batch) on which it was made."""
    scheme: Scheme
    """The scheme."""
    old: Any
    """The state before."""
    new: Any
    """The state after."""
    dt: float
    """Its size, which is shorter than proposed if a time is to be hit."""
    finite: bool
    """Whether the new state is finite. If it is not and the step is accepted, the run ends."""


class Verdict(NamedTuple):
    """A controller's decision on an attempt."""

    accepted: bool
    """Whether the step counts."""
    control: Any
    """The controller's state after the attempt."""


@runtime_checkable
class Controller(Protocol):
    """Chooses the sizes of the steps. It is an immutable configuration; its state is passed along."""

    def init(self) -> Any:
        """Return the state of the controller at the start: None, or a NamedTuple of numbers."""

    def propose(self, control: Any, n: int) -> float:
        """Return the size of step n, > 0.

        Parameters
        ----------
        control : object
            The controller's state.
        n : int
            Number of the step, 0, 1, ...
        """

    def judge(self, control: Any, attempt: Attempt) -> Verdict:
        """Return whether a step counts, and the state of the controller after it.

        Parameters
        ----------
        control : object
            The controller's state.
        attempt : Attempt
            The step.
        """


@dataclass(frozen=True)
class Fixed:
    """Steps of one size."""

    dt: float
    """The size, a finite number > 0; any other value raises ValueError."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt", real_number("dt", self.dt, 0, open_low=True))

    def init(self) -> None:
        """Return None: there is nothing to remember."""

    def propose(self, control: None, n: int) -> float:
        """Return the size."""
        return self.dt

    def judge(self, control: None, attempt: Attempt) -> Verdict:
        """Accept."""
        return Verdict(True, None)


@dataclass(frozen=True)
class Schedule:
    """Steps whose size is a function of their number."""

    function: Callable[[int], float]
    """Maps n = 0, 1, ... to a finite number > 0; any other value raises ValueError."""

    def init(self) -> None:
        """Return None: there is nothing to remember."""

    def propose(self, control: None, n: int) -> float:
        """Return the size of step n."""
        return real_number("dt", self.function(n), 0, open_low=True)

    def judge(self, control: None, attempt: Attempt) -> Verdict:
        """Accept."""
        return Verdict(True, None)


class StepSize(NamedTuple):
    """State of `ByError` and `ByEnergyRate`."""

    dt: float
    """The size of the next step."""


@lists_arguments
@dataclass(frozen=True, kw_only=True)
class ByError:
    """Steps whose error, estimated by halving them, stays below a tolerance, equations (1) and (2).

    An attempt costs three steps of the scheme. A multi-step scheme sees the sizes vary.

    Parameters
    ----------
    rtol, atol : float
        Relative and absolute tolerance of the error in one step, in the problem's inner product; >= 0, not both 0.
    dt_init : float, optional
        Size of the first attempt; `dt_max` by default.
    dt_min, dt_max : float
        Bounds of the size. A step of size `dt_min` is accepted whatever its error.
    order : int
        Order p of the scheme.
    shrink, grow : float
        Bounds s < 1 and g > 1 of (2).

    Raises
    ------
    ValueError
        If a number is out of range, or neither `dt_init` nor `dt_max` is given.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> stiff = gf.FunctionProblem(lambda t: (t @ t) ** 2 / 4, lambda t: (t @ t) * t)
    >>> run = gf.solve(stiff, gf.SAV(), np.array([3.0]), dt=gf.ByError(rtol=1e-3, dt_max=1.0), t_end=10.0)
    >>> bool(run.history["time"][-1] == 10.0), bool(abs(run.theta[0] - 3 / np.sqrt(1 + 180)) < 0.02)
    (True, True)
    """

    rtol: float = 1e-3
    atol: float = 0.0
    dt_init: float | None = None
    dt_min: float = 0.0
    dt_max: float = inf
    order: int = 1
    shrink: float = 0.2
    grow: float = 5.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("rtol", self.rtol, 0)
        real_number("atol", self.atol, 0)
        if self.rtol == 0 and self.atol == 0:
            raise ValueError("rtol or atol must be > 0, got 0 for both")
        _check_bounds(self.dt_min, self.dt_max)
        if self.dt_init is not None:
            real_number("dt_init", self.dt_init, 0, open_low=True)
        elif not isfinite(self.dt_max):
            raise ValueError("ByError needs a first size: give dt_init or dt_max")
        whole_number("order", self.order, 1)
        real_number("shrink", self.shrink, 0, 1, open_low=True, open_high=True)
        real_number("grow", self.grow, 1, open_low=True)

    def init(self) -> StepSize:
        """Return the size of the first attempt."""
        first = self.dt_max if self.dt_init is None else self.dt_init
        return StepSize(min(self.dt_max, max(self.dt_min, first)))

    def propose(self, control: StepSize, n: int) -> float:
        """Return the size."""
        return control.dt

    def judge(self, control: StepSize, attempt: Attempt) -> Verdict:
        """Accept a step whose estimated error is within the tolerance; NaN is not."""
        problem, scheme, old, new, h, finite = attempt
        if not finite:
            return Verdict(h <= self.dt_min, StepSize(max(self.dt_min, self.shrink * h)))
        middle = own_state(scheme.step(problem, old, h / 2))  # a scheme of the user may use its arrays again
        half = scheme.step(problem, middle, h / 2)
        share = 2.0**self.order / (2.0**self.order - 1)
        err = share * norm(problem.inner, new.theta - half.theta)  # (1)
        eps = float(array_namespace(new.theta).finfo(new.theta.dtype).eps)
        # departs from the formula below (1): the rounding of theta is in err, and no step size removes it
        tol = self.atol + max(self.rtol, 4 * eps) * max(norm(problem.inner, old.theta), norm(problem.inner, new.theta))
        if not err < inf:
            factor = self.shrink
        elif err == 0:
            factor = self.grow
        else:
            factor = min(self.grow, max(self.shrink, 0.9 * (tol / err) ** (1 / (self.order + 1))))  # (2)
        accepted = err <= tol or h <= self.dt_min
        dt = min(self.dt_max, max(self.dt_min, factor * h))
        if accepted and h < control.dt:  # shortened to hit a time: the proposed size remains valid
            dt = max(dt, control.dt)
        return Verdict(accepted, StepSize(dt))


@lists_arguments
@dataclass(frozen=True, kw_only=True)
class ByEnergyRate:
    """Steps that are short while the energy changes fast, equation (3).

    Parameters
    ----------
    dt_min, dt_max : float
        Bounds of the size, 0 < dt_min <= dt_max; the first step has size `dt_min`.
    alpha : float
        The constant of (3), >= 0, in the units of (time / energy)^2.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    dt_min: float
    dt_max: float
    alpha: float = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("dt_min", self.dt_min, 0, open_low=True)
        real_number("dt_max", self.dt_max, 0, open_low=True)
        _check_bounds(self.dt_min, self.dt_max)
        real_number("alpha", self.alpha, 0)

    def init(self) -> StepSize:
        """Return the shortest size, since the rate of the energy is not yet known."""
        return StepSize(self.dt_min)

    def propose(self, control: StepSize, n: int) -> float:
        """Return the size."""
        return control.dt

    def judge(self, control: StepSize, attempt: Attempt) -> Verdict:
        """Accept, and choose the next size from the change of the energy."""
        problem, scheme, old, new, h, finite = attempt
        if not finite:
            return Verdict(h <= self.dt_min, StepSize(max(self.dt_min, h / 10)))
        if isinstance(scheme, AuxiliaryScheme):
            change = float(scheme.modified_energy(problem, new)) - float(scheme.modified_energy(problem, old))
        else:
            change = float(problem.energy(new.theta)) - float(problem.energy(old.theta))
        rate = change / h
        size = self.dt_max / (1 + self.alpha * rate**2) ** 0.5 if abs(rate) < 1e150 else 0.0  # (3)
        return Verdict(True, StepSize(max(self.dt_min, size)))


class Damping(NamedTuple):
    """State of `ByGainRatio`."""

    damping: float
    """lambda, 1 over the size of the next step."""
    factor: float
    """By which the next refusal multiplies lambda."""


@dataclass(frozen=True, kw_only=True)
class ByGainRatio:
    """Steps that the true energy confirms, equations (4) and (5), for every scheme with an auxiliary variable.

    With ``Restart(IEQ())`` it is the damped Levenberg-Marquardt method; with ``Restart(SAV())``, gradient descent whose
    damping follows the same rule. On a carried variable (vanilla, `Relaxed`), D + N is still the decrease of the
    modified energy, which starts from the carried variable and not from E; an accepted step decreases E all the same. A
    step without an identity (`EnergyTerms` are NaN) is refused. With mini-batches, E is that of the batch.

    Where both decreases are rounding errors of E, a step that does not increase E is accepted.

    Parameters
    ----------
    dt_init : float
        Size of the first attempt, > 0: 1 / dt_init is the first damping.
    accept : float
        The smallest ratio that is accepted, in [0, 1).

    Raises
    ------
    ValueError
        If a number is out of range; in the first step, if the scheme has no auxiliary variable.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rosenbrock = gf.DenseLeastSquares(
    ...     lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]), lambda t: np.array([[-20 * t[0], 10.0], [-1.0, 0.0]])
    ... )
    >>> start, control = np.array([-1.2, 1.0]), gf.ByGainRatio(dt_init=1.0)
    >>> run = gf.solve(rosenbrock, gf.Restart(gf.IEQ()), start, dt=control, steps=40)
    >>> bool(abs(run.theta - 1).max() < 1e-12), run.rejected > 0, bool(np.all(np.diff(run.history["energy"]) <= 0))
    (True, True, True)
    """

    dt_init: float
    accept: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("dt_init", self.dt_init, 0, open_low=True)
        real_number("accept", self.accept, 0, 1, open_high=True)

    def init(self) -> Damping:
        """Return the first damping."""
        return Damping(1 / self.dt_init, 2.0)

    def propose(self, control: Damping, n: int) -> float:
        """Return 1 / lambda."""
        return 1 / control.damping

    def judge(self, control: Damping, attempt: Attempt) -> Verdict:
        """Accept a step whose ratio (4) exceeds `accept`, and one that does not move.

        Raises
        ------
        ValueError
            If the scheme has no auxiliary variable.
        """
        _, scheme, old, new, h, finite = attempt
        if not isinstance(scheme, AuxiliaryScheme):
            raise ValueError(f"ByGainRatio needs a scheme with an auxiliary variable, got {found(scheme)}")
        if finite and bool(array_namespace(new.theta).all(new.theta == old.theta)):
            return Verdict(True, control)
        ratio, rule = np.float64(_gain(attempt)), NielsenDamping(accept=self.accept)
        before = Control(np.float64(1 / h), np.float64(control.factor))
        after = rule.after(before, cast(Any, None), ratio)  # (5), which asks nothing of the step
        accepted, damping = bool(ratio > self.accept), float(after.size)
        if accepted and h < 1 / control.damping:  # shortened to hit a time: the proposed size remains valid
            damping = min(damping, control.damping)
        return Verdict(accepted, Damping(damping, float(after.factor)))


def _gain(attempt: Attempt) -> float:
    """Return the ratio (4), -1 if an energy or the guaranteed decrease is not finite."""
    problem, scheme, old, new, h, finite = attempt
    if not finite:
        return -1.0
    E = problem.energy(old.theta)
    actual, terms = E - problem.energy(new.theta), cast(AuxiliaryScheme, scheme).energy_terms(problem, old, new, h)
    predicted = terms.dissipation + terms.numerical
    if not isfinite(float(actual)) or not isfinite(float(predicted)):
        return -1.0
    eps = float(array_namespace(new.theta).finfo(new.theta.dtype).eps)
    return float(gain_ratio(actual, predicted, ROUNDING * eps * abs(float(E))))  # (4)


def hashed(sizes: Iterable[float], before: str = "") -> str:
    """Return the hash of a sequence of sizes, "" for none.

    Parameters
    ----------
    sizes : iterable of float
        The sizes, or those by which a sequence is longer than another.
    before : str
        The hash of the other sequence.
    """
    for size in sizes:
        before = sha256(f"{before} {size!r}".encode()).hexdigest()
    return before


def _check_bounds(low: float, high: float) -> None:
    real_number("dt_min", low, 0)
    if not (isinstance(high, float) and high == inf):
        real_number("dt_max", high, 0, open_low=True)
    if not low <= high:
        raise ValueError(f"dt_min and dt_max must be such that dt_min <= dt_max, got {low!r}, {high!r}")
