r"""Whether a point is stationary, and to which order.

A point is *stationary to second order*, to ``(eps, sqrt(rho eps))``, if

.. math:: |g|_M \le \varepsilon, \qquad \lambda_{\min}(H) \ge -\sqrt{\rho\,\varepsilon},                \tag{1}

with the gradient g, the Hessian H, both in the problem's inner product, and a Lipschitz constant rho of H. The two belong
together: along an eigenvector of ``-sqrt(rho eps)`` the energy falls by ``2 sqrt(eps^3 / rho) / 3``, of the order of what
a gradient of length eps gives over the length ``sqrt(eps / rho)``. The gradient alone does not tell a saddle from a
minimum, and a small gradient does not tell that a minimum is near.

Points that satisfy (1) include degenerate saddles, such as the origin of ``x^3 + y^2``. Where the smallest eigenvalue is at
least ``lambda > 0`` and

.. math:: 2\rho\,|g|_M < \lambda^2,                                                                        \tag{2}

Newton's method converges to a stationary point at most ``2 |g|_M / lambda`` away (Kantorovich), and between the two H is positive
definite, so that it is a minimum. That is the answer ``minimum``; where (1) is all that is known, the answer is
``second-order stationary``.

The smallest eigenvalue is estimated by `gradflow.curvature.eigenvalues`. A saddle is proved by its direction, to rounding. That
there is none is known with a probability: with ``1 - delta``, the bound (3) there holds. Where the products are not enough for
either, the answer is ``undecided``.

By *blocks* of parameters, the smallest eigenvalue of a block takes the place of that of H
(`gradflow.curvature.block_eigenvalues`). It is an upper bound: a saddle is proved by it, and its direction moves one block;
that there is none, never.

A network with ReLU has a gradient and a Hessian almost everywhere, and neither on its kinks, where a pre-activation is
zero. There, the problem returns those of one side. H has no Lipschitz constant across a kink, and a minimum that lies on
one is not found by (1): the gradient of one side need not be small. `gradflow.stationarity` then speaks of the smooth
piece that the problem differentiates.

Source: Nesterov & Polyak, Math. Program. 108 (2006) 177, for the pair (1); Jin, Ge, Netrapalli, Kakade & Jordan, ICML 2017,
PMLR 70, 1724, Definition 5.
"""

from __future__ import annotations

from math import inf, isfinite, nan, sqrt
from typing import NamedTuple

from ..energies.protocols import Problem, norm
from ..namespace import Array
from ..refusals import instance, one_of, real_array, real_number, whole_number
from .block_diagonal import PARTITIONS
from .block_eigenvalues import block_eigenvalues
from .eigenvalues import MOST_PRODUCTS, ritz
from .hessian import Hessian

__all__ = ["KINDS", "Stationarity", "stationarity"]

KINDS = ("minimum", "second-order stationary", "saddle", "not stationary", "undecided", "not finite")
"""The answers of `stationarity`: ``minimum`` is (1) and (2), ``second-order stationary`` is (1), which a degenerate saddle satisfies
too."""


class Stationarity(NamedTuple):
    """What is known of a point."""

    kind: str
    """One of `KINDS`."""
    gradient_norm: float
    """``|g|_M``."""
    eigenvalue: float
    """The estimate of the smallest eigenvalue of the Hessian, never below it; NaN if the gradient is not small."""
    bound: float
    """Below which it does not lie, with a probability of at least ``1 - failure``; minus infinity if there is no bound."""
    direction: Array
    """The Ritz vector of the estimate, (P,), of length 1; a descent direction of second order at a saddle."""
    failure: float
    """The probability that the bound is wrong, at most; 0 for an answer that does not depend on it."""
    products: int
    """Products with the Hessian."""

    def __str__(self) -> str:
        """Return one line."""
        sure = "" if self.failure == 0 else f", wrong with a probability of at most {self.failure:g}"
        ends = [f"at most {self.eigenvalue:.3g}"] * isfinite(self.eigenvalue)
        ends += [f"at least {self.bound:.3g}"] * isfinite(self.bound)
        known = f", smallest eigenvalue {' and '.join(ends)}" if ends else ""
        return f"{self.kind}: gradient norm {self.gradient_norm:.3g}{known}{sure}"


def stationarity(
    problem: Problem,
    theta: Array,
    *,
    gradient_tol: float = 1e-6,
    rho: float = 1.0,
    failure: float = 1e-6,
    most: int = MOST_PRODUCTS,
    seed: int = 0,
    blocks: str | None = None,
) -> Stationarity:
    """Return whether theta is stationary to second order, equation (1).

    Parameters
    ----------
    problem : Problem
        The energy; it needs ``hvp``.
    theta : array (P,)
        The point.
    gradient_tol : float
        The bound eps of the gradient, > 0.
    rho : float
        The Lipschitz constant of the Hessian, > 0; with eps it determines which negative eigenvalues count.
    failure : float
        The probability of a wrong ``minimum`` or ``second-order stationary`` that is accepted, in (0, 1).
    most : int
        The largest number of products with the Hessian, >= 1.
    seed : int
        Of the random start, >= 0.
    blocks : {"neuron", "layer"}, optional
        By which blocks a saddle is looked for, by P products, whatever `most`; by default in H itself. The answer then is
        ``saddle`` or ``undecided``.

    Raises
    ------
    ValueError
        If an argument is out of its range, the problem has no second derivatives, or no blocks of parameters.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(
    ...     lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    ...     lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    ...     hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    ... )
    >>> [gf.stationarity(well, np.array([0.0, y])).kind for y in (0.0, 0.5, 1.0)]
    ['saddle', 'not stationary', 'minimum']
    """
    instance("problem", problem, Problem, "an energy with the methods of gradflow.Problem")
    eps = real_number("gradient_tol", gradient_tol, 0, open_low=True)
    threshold = -sqrt(real_number("rho", rho, 0, open_low=True) * eps)
    real_number("failure", failure, 0, 1, open_low=True, open_high=True)
    whole_number("most", most, 1)
    whole_number("seed", seed)
    if blocks is not None:
        one_of("blocks", blocks, PARTITIONS)
    real_array("theta", theta, {"P": None}, low=-inf)
    energy, gradient = problem.energy_and_gradient(theta)
    size = norm(problem.inner, gradient)
    if not size <= eps or not isfinite(float(energy)):
        kind = "not stationary" if isfinite(size) and isfinite(float(energy)) else "not finite"
        return Stationarity(kind, size, nan, -inf, 0 * theta, 0.0, 0)
    if blocks is not None:
        in_blocks = block_eigenvalues(Hessian().at(problem, theta), blocks)
        value, v = in_blocks.value, in_blocks.vector
        kind = "not finite" if not isfinite(value) else "saddle" if value < threshold else "undecided"
        return Stationarity(kind, size, value, -inf, v, 0.0, theta.shape[0])
    for found in ritz(Hessian().at(problem, theta), most=most, seed=seed):
        (value, v, residual), bound = found.smallest, found.bound(failure)
        proved = value < threshold and residual <= -value / 10  # a tenth, so that the direction is worth something
        if proved or bound >= threshold or not isfinite(value):
            break
    kind = "not finite" if not isfinite(value) else "saddle" if value < threshold else "undecided"
    if bound >= threshold:
        kind = "minimum" if bound > 0 and 2 * rho * size < bound * bound else "second-order stationary"  # (2)
    sure = found.invariant or bound < threshold
    return Stationarity(kind, size, value, bound, v, 0.0 if sure else failure, found.products)
