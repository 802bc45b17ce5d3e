r"""A trust region that is measured by the curvature itself, such as a bound of the Kullback-Leibler divergence.

With the curvature G, the metric D and a damping ``lambda >= 0``, lengths are measured by

.. math:: |d|_A^2 = (d, A d)_M, \qquad A = |G| + \lambda D,                                             \tag{1}

where ``|G|`` has the absolute eigenvalues of G in D. For the Fisher matrix, the divergence of the model after the step from
the model before is, to second order in d,

.. math:: \tfrac12 |d|_A^2 - \tfrac12 (d, L d)_M - \tfrac12 \lambda\,|d|_D^2,

with the energy part L that G contains, such as a weight decay: a radius delta is a bound ``delta^2 / 2`` of the divergence, which
is attained for ``L = 0`` and ``lambda = 0``.
For the Hessian, it is the region of saddle-free Newton. The step minimises in ``|d|_A <= delta`` one of

.. math::
   \text{linear} \quad (g, d)_M: &\qquad d = -t\,A^{-1} g, \quad t = \delta / |A^{-1} g|_A              \tag{2} \\
   \text{quadratic} \quad (g, d)_M + \tfrac12 (d, G d)_M: &\qquad (G + \nu A)\,d = -g, \quad
        \nu \ge 0, \quad \nu\,(\delta - |d|_A) = 0, \quad G + \nu A \ge 0                                \tag{3}

* (2) is the step of TRPO: the damped natural gradient with the damping lambda, and the step size t. A component in which A
  is zero to rounding is left out.
* (3) with ``G >= 0`` is the damped natural gradient with the damping ``nu lambda / (1 + nu)`` and the step size
  ``1 / (1 + nu)``. With ``lambda = 0`` it is (2) with ``min(t, 1)``.

In the eigenbasis of G in D with the eigenvalues ``mu_i``, A is ``a_i = |mu_i| + lambda``. With ``y_i = a_i^{1/2} z_i``,
(3) is a trust region in the Euclidean length of y, with the gradient ``a_i^{-1/2} gamma_i`` and the eigenvalues
``mu_i / a_i``. Any eigenbasis will do, that of Kronecker factors included.

The gain ratio has the quadratic model in both cases. For (2) and ``G >= 0`` it predicts a decrease up to

.. math:: t < \frac{2\,|A^{-1} g|_A^2}{(A^{-1} g, G A^{-1} g)_M},                                       \tag{4}

which is 2 for ``lambda = 0`` and at least 2 otherwise. A longer trial is rejected. Rejected trials are the backtracking of
TRPO: the eigenbasis is kept, and d becomes shorter. With ``most_divergence``, a trial is also rejected if its divergence
(`gradflow.curvature.fisher.divergence`), evaluated without an expansion, exceeds this number.

========  ==========  =====
symbol    code        shape
========  ==========  =====
lambda    damping     float
delta     size        0-d
a         a           (K,)
t         t           0-d
nu        nu          0-d
========  ==========  =====

Source: Schulman, Levine, Abbeel, Jordan & Moritz, ICML 32 (2015), appendix C, for (2); Dauphin, Pascanu, Gulcehre, Cho,
Ganguli & Bengio, NIPS 27 (2014), for the region of ``|H|``; Conn, Gould & Toint, Trust-Region Methods (2000), section 6.7.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..namespace import Array, array_namespace, quiet
from ..refusals import instance, one_of, plain_numbers, real_number
from .eigenbasis import Form
from .fisher import divergence
from .globalization import Control, TrustRegion
from .model import Model
from .spectral import Step
from .subproblem import Coefficients, trust_region

__all__ = ["OBJECTIVES", "CurvatureRegion", "curvature_region"]

OBJECTIVES = ("quadratic", "linear")
"""What is minimised: (3) or (2)."""


def curvature_region(
    gamma: Array, mu: Array, radius: Array, damping: float, *, linear: bool, tiny: float = 0.0
) -> Coefficients:
    """Return the solution of (2) or (3) in the eigenbasis.

    Parameters
    ----------
    gamma, mu : array (K,)
        The model, as in `gradflow.curvature.subproblem`.
    radius : 0-d array
        The radius delta, > 0.
    damping : float
        The damping lambda >= 0.
    linear : bool
        Whether (2) is solved.
    tiny : float
        Size of an eigenvalue that is zero to rounding.
    """
    xp = array_namespace(gamma, mu)
    a = xp.abs(mu) + damping  # (1)
    bounded = a > tiny
    over_root = xp.where(bounded, 1 / xp.sqrt(xp.where(bounded, a, 1 + 0 * a)), 0 * a)
    y_gamma = over_root * gamma
    if not linear:
        y, nu, boundary = trust_region(y_gamma, over_root * over_root * mu, float(radius))  # (3)
        return Coefficients(over_root * y, nu, boundary)
    with quiet():  # a square may overflow
        length = xp.sqrt(y_gamma @ y_gamma)
    moves = length > 0
    t = xp.where(moves, radius / xp.where(moves, length, 1 + length), 0 * length)
    return Coefficients(-t * over_root * y_gamma, length / radius, bool(moves))  # (2)


@dataclass(frozen=True)
class CurvatureRegion:
    """A trust region measured by the curvature, (1).

    Parameters
    ----------
    radius : float
        First radius delta > 0: for a Fisher matrix, the square root of twice the divergence that is allowed, to second order.
    most : float, optional
        The largest radius, > 0; unbounded by default.
    damping : float
        The damping lambda >= 0 of the metric, 1 / time. Where G is singular, it bounds the step.
    objective : {"quadratic", "linear"}
        Whether the step is (3) or (2).
    adaptive : bool
        Whether the radius follows the ratio, as that of `gradflow.curvature.TrustRegion` does. If not, an accepted trial
        sets it back to the first one, and a rejected one divides it by 4.
    most_divergence : float, optional
        The largest divergence of a trial that is accepted, > 0; by default it is not computed. It needs a problem with
        outputs.
    accept : float
        The smallest ratio that is accepted, in [0, 1/4).

    Raises
    ------
    ValueError
        If an argument is out of its range; in a step, if there is a largest divergence and the problem has no outputs.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 2))
    >>> labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> problem = gf.Classification(gf.TwoLayerNet(2, 8, 2, activation="tanh", scaling="ntk"), x, labels)
    >>> region = gf.curvature.CurvatureRegion(radius=(2 * 0.05) ** 0.5, most_divergence=0.1)
    >>> method = gf.SecondOrder(curvature=gf.curvature.Fisher(), globalization=region)
    >>> run = gf.solve(problem, method, problem.net.init(0), steps=40)
    >>> problem.accuracy(run.theta)
    1.0
    """

    radius: float
    most: float | None = None
    damping: float = 1e-3
    objective: str = "quadratic"
    adaptive: bool = True
    most_divergence: float | None = None
    accept: float = 1e-4

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("radius", self.radius, 0, open_low=True)
        real_number("damping", self.damping, 0)
        one_of("objective", self.objective, OBJECTIVES)
        instance("adaptive", self.adaptive, bool, "True or False")
        if self.most_divergence is not None:
            real_number("most_divergence", self.most_divergence, 0, open_low=True)
        _ = self._rule  # which checks the other numbers

    @property
    def _rule(self) -> TrustRegion:
        return TrustRegion(radius=self.radius, most=self.most, accept=self.accept)

    def start(self, form: Form, length: Array) -> Control:
        """Return the first radius."""
        return self._rule.start(form, length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the solution of (2) or (3)."""
        linear = self.objective == "linear"
        return curvature_region(form.gamma, form.mu, size, self.damping, linear=linear, tiny=form.tiny)

    def accepts(self, model: Model, new: Model, weights: Array | None, size: Array, ratio: Array) -> bool:
        """Return whether the ratio exceeds `accept`, and the divergence is at most `most_divergence`."""
        if not bool(ratio > self.accept):
            return False
        most = self.most_divergence
        return most is None or bool(divergence(model.problem, model.theta, new.theta) <= most)

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the radius by the rule of `gradflow.curvature.TrustRegion`, with the length (1)."""
        xp, size = array_namespace(ratio), control.size
        if not step.length > 0:  # a step of length 0 says nothing of the radius
            return control
        if not self.adaptive:
            return control._replace(
                size=self._rule.bounded(xp.where(ratio > self.accept, self.radius + 0 * size, size / 4))
            )
        if step.boundary:
            return self._rule.after(control, step._replace(length=size), ratio)
        inside = xp.sqrt(xp.abs(step.bend) + self.damping * step.length**2)  # nu = 0, where G >= 0
        return self._rule.after(control, step._replace(length=xp.clip(inside, size / 4, size)), ratio)
