r"""A trust region with a radius for each block of parameters, such as each layer of a network.

For blocks ``theta = (theta_1, ..., theta_L)`` and positive ratios ``r_l``, a step is bounded by

.. math:: |d_l|_D \le r_l\,\delta, \qquad l = 1, \dots, L.                                              \tag{1}

This is the ball of radius delta of the norm ``max_l |d_l|_D / r_l``. With a curvature of these blocks alone
(`gradflow.curvature.BlockDiagonal`) the model is a sum over blocks, and its minimum is that of L trust-region problems,
each with a multiplier of its own:

.. math:: (G_l + \nu_l D_l)\,d_l = -g_l, \qquad \nu_l \ge 0, \quad G_l + \nu_l D_l \ge 0, \quad
          \nu_l\,(r_l\delta - |d_l|_D) = 0.                                                             \tag{2}

The energy is not a sum over blocks. The actual decrease belongs to the whole step, and so do the gain ratio and delta.
A ratio for each block alone says nothing about the step: for ``E = (a + b - 1)^2 / 2`` from 0, each of a and b alone
reaches the minimum, and both together change nothing.

Source: Conn, Gould & Toint, Trust-Region Methods (2000), section 6.7, for the norm. Multilevel trust regions (Gratton,
Sartenaer & Toint, SIAM J. Optim. 19 (2008) 414) are another method.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number
from .eigenbasis import Form
from .globalization import Control, TrustRegion
from .spectral import Step
from .subproblem import Coefficients, trust_region

__all__ = ["BlockTrustRegion"]


@dataclass(frozen=True)
class BlockTrustRegion:
    """The trust region (1). It needs `gradflow.curvature.BlockDiagonal`, and its eigenbasis, ``solver="own"``.

    The multiplier that a state has is the largest ``nu_l``.

    Parameters
    ----------
    ratios : tuple of float, optional
        The ratios ``r_l`` > 0, one for each block, in the order of the blocks of the problem; by default ones.
    radius : float, optional
        First radius delta > 0, in the metric; by default ``|theta|_D``, or 1 if that is 0.
    most : float, optional
        The largest radius, > 0; unbounded by default.
    accept : float
        The smallest ratio (of decreases) that is accepted, in [0, 1/4).

    Raises
    ------
    ValueError
        If a number is out of its range; in a step, if the curvature has no blocks, or another number of them.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 4, activation="tanh"), x, np.sin(3 * x))
    >>> method = gf.SecondOrder(
    ...     curvature=gf.curvature.BlockDiagonal(),
    ...     globalization=gf.curvature.BlockTrustRegion((1.0, 0.1), radius=1.0),
    ... )
    >>> start = method.init(problem, problem.net.init(0))
    >>> d = method.step(problem, start, 1.0).theta - start.theta
    >>> bool(problem.inner(d, d) <= 1.0 + 0.1**2)
    True
    """

    ratios: tuple[float, ...] | None = None
    radius: float | None = None
    most: float | None = None
    accept: float = 1e-4

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.ratios is not None:
            if not isinstance(self.ratios, tuple) or not self.ratios:
                raise ValueError(f"ratios must be a tuple of numbers, one for each block; got {self.ratios!r}")
            numbers = tuple(real_number(f"ratios[{i}]", r, 0, open_low=True) for i, r in enumerate(self.ratios))
            object.__setattr__(self, "ratios", numbers)
        _ = self._rule  # which checks the other numbers

    @property
    def _rule(self) -> TrustRegion:
        return TrustRegion(radius=self.radius, most=self.most, accept=self.accept)

    def start(self, form: Form, length: Array) -> Control:
        """Return the first radius."""
        return self._rule.start(form, length)

    def solve(self, form: Form, size: Array) -> Coefficients:
        """Return the minimiser in (1), by (2) for each block.

        Raises
        ------
        ValueError
            If the form has no blocks, or another number of them.
        """
        if form.blocks is None:
            raise ValueError("BlockTrustRegion needs curvature=BlockDiagonal(...) and solver='own' or 'auto'")
        xp = array_namespace(form.mu)
        L = int(xp.max(form.blocks)) + 1
        ratios = (1.0,) * L if self.ratios is None else self.ratios
        if len(ratios) != L:
            raise ValueError(f"ratios must have one number for each of {L} blocks, got {len(ratios)}")
        parts, start = [], 0
        for block, r in enumerate(ratios):
            end = start + int(xp.sum(xp.astype(form.blocks == block, xp.int64)))
            parts.append(trust_region(form.gamma[start:end], form.mu[start:end], r * float(size)))  # (2)
            start = end
        nu = xp.max(xp.stack([part.nu for part in parts]))
        return Coefficients(xp.concat([part.z for part in parts]), nu, any(part.boundary for part in parts))

    def after(self, control: Control, step: Step, ratio: Array) -> Control:
        """Return the radius as that of `gradflow.curvature.TrustRegion`, where the shorter of delta and a bound of the norm of d counts."""
        xp = array_namespace(ratio)
        bound = step.length / (1.0 if self.ratios is None else min(self.ratios))  # of the norm
        return self._rule.after(control, step._replace(length=xp.minimum(control.size, bound)), ratio)
