r"""A trust region for energies that are estimated, such as those of mini-batches.

A trial d minimises a model m in ``|d|_D <= delta``. With estimates ``f_0`` and ``f_d`` of the energy before and after, it is
accepted if both

.. math:: \rho = \frac{f_0 - f_d}{m(0) - m(d)} \ge \eta_1, \qquad |g|_{D^{-1}} \ge \eta_2\,\delta,        \tag{1}

with the gradient g of the model. Then delta becomes ``min(gamma delta, delta_max)``; otherwise it becomes
``delta / gamma``. The second test ties the radius to the gradient: an estimated decrease in a region that is large relative to
the gradient may be noise.

In `gradflow.solve` with batches, ``f_0``, ``f_d`` and m are those of the batch of the step. The noise of the two energies is
the same, and cancels from their difference to first order.

What is certain, for each step with ``dt = 1``, is a decrease of the estimate. The minimiser is no worse than the Cauchy point, so
that an accepted trial with ``kappa`` an upper bound of the eigenvalues of G in D has

.. math:: f_0 - f_d \ge \eta_1\,\tfrac12\,|g|_{D^{-1}} \min\Bigl(\frac{|g|_{D^{-1}}}{\kappa}, \delta\Bigr)
                    \ge c\,\delta^2, \qquad c = \tfrac12\,\eta_1\eta_2 \min\Bigl(\frac{\eta_2}{\kappa}, 1\Bigr).  \tag{2}

Without noise the estimates are the energy, and ``delta_n`` tends to 0, with or without a largest radius ``delta_max``:

.. math:: (1 - \gamma^{-2}) \sum_{n} \delta_n^2
          \le \delta_0^2 + (\gamma^2 - \gamma^{-2})\,\frac{E(\theta^0) - \inf E}{c}.                      \tag{3}

A step ``dt <= 1`` goes to ``dt d``. The model decreases by at least ``dt^2 (m(0) - m(d))`` there, since ``(g, d)_M <= 0``:
(2) and (3) hold with ``dt^2 c`` for c. Beyond ``dt = 1`` nothing follows. Where the trial rounds to theta, (2) holds to
rounding, and the radius changes by (1) as elsewhere.

With noise, convergence is almost sure if models and estimates are accurate often enough: to order ``delta^2`` for the energy
and delta for the gradient, with probabilities above a bound. Batches of a fixed size do not have this accuracy for small
delta. That theorem is of the source, and it is not proved here. It is one of first order: with ``g = 0`` no trial is accepted,
at a saddle either.

Source: Chen, Menickelly & Scheinberg, Math. Program. 169 (2018) 447, Algorithm 1 (STORM); Bandeira, Scheinberg & Vicente,
SIAM J. Optim. 24 (2014) 1238.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.protocols import norm
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number
from .eigenbasis import Form
from .globalization import Control, TrustRegion
from .model import Model
from .spectral import Step
from .subproblem import Coefficients, trust_region

__all__ = ["StochasticTrustRegion"]


@dataclass(frozen=True)
class StochasticTrustRegion:
    """The trust region with the tests (1).

    Parameters
    ----------
    radius : float
        First radius delta > 0, in the metric.
    most : float, optional
        The largest radius, > 0; unbounded by default.
    accept : float
        The ratio ``eta_1``, in (0, 1).
    steepness : float
        The number ``eta_2 > 0``: the length of the gradient that a step needs, relative to the radius.
    factor : float
        The number gamma > 1.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 3))
    >>> problem = gf.Regression(gf.TwoLayerNet(3, 10, activation="tanh"), x, np.sin(x.sum(1)))
    >>> method = gf.SecondOrder(
    ...     curvature=gf.curvature.GaussNewton(), globalization=gf.curvature.StochasticTrustRegion(1.0, steepness=1e-3)
    ... )
    >>> run = gf.solve(problem, method, problem.net.init(0), epochs=20, batch_size=50, seed=0)
    >>> bool(run.history["energy"][-1] < 0.05 * run.history["energy"][0])
    True
    """

    radius: float
    most: float | None = None
    accept: float = 0.1
    steepness: float = 1e-3
    factor: float = 2.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("radius", self.radius, 0, open_low=True)
        real_number("accept", self.accept, 0, 1, open_low=True, open_high=True)
        real_number("steepness", self.steepness, 0, open_low=True)
        real_number("factor", self.factor, 1, open_low=True)
        _ = self._rule  # which checks the other numbers

    @property
    def _rule(self) -> TrustRegion:
        return TrustRegion(radius=self.radius, most=self.most)

    def start(self, form: Form, length: Array) -> Control:
        """Return the first radius."""
        return self._rule.start(form, length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the minimiser in the ball."""
        return trust_region(form.gamma, form.mu, float(size))

    def accepts(self, model: Model, new: Model, weights: Array | None, size: Array, ratio: Array) -> bool:
        """Return whether both tests (1) hold."""
        g = model.gradient
        slope = norm(model.problem.inner, g if weights is None else g / array_namespace(g).sqrt(weights))
        return bool(ratio >= self.accept) and bool(slope >= self.steepness * float(size))

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the longer radius after an accepted trial, and the shorter one after a rejected one."""
        xp, size = array_namespace(ratio), control.size
        size = xp.where(ratio >= self.accept, self.factor * size, size / self.factor)
        return control._replace(size=self._rule.bounded(size))
