r"""The Gauss-Newton curvature with a secant approximation of the second-order term of least squares.

The Hessian of ``F = |q|^2 / 2`` is ``J^* J + sum_i q_i (q_i)''``. Gauss-Newton leaves the second term out, and converges
slowly or not at all near a minimum where it is not small against ``J^* J``. Here it is replaced by an operator ``S_n`` that
follows from changes of the gradient:

.. math:: G = J^* J + S_n + L.                                                                         \tag{1}

Let ``theta_-`` and ``J_-`` be those of the step before, and ``s = theta - theta_-``. The changes of the gradient are

.. math:: y = J^* q - J_-^* q_-, \qquad y^\# = (J - J_-)^* q.                                            \tag{2}

``y#`` is the sum of ``q_i`` times the change of the gradient of ``q_i``. This is the second-order term times s, up to
``O(|s|^2)``. With ``w = y# - sigma S s``,

.. math:: S_+ = \sigma S + \frac{w\,y^* + y\,w^*}{(y, s)_M} - \frac{(w, s)_M}{(y, s)_M^2}\,y\,y^*, \qquad
          \sigma = \min\Bigl(1, \frac{|(s, y^\#)_M|}{|(s, S s)_M|}\Bigr).                                \tag{3}

The secant equation ``S_+ s = y#`` holds for every sigma. Of all self-adjoint operators with it, ``S_+`` is the nearest to
sigma S in the Frobenius norm of ``W^{-1/2} (S_+ - sigma S) W^{-1/2}``, for every positive definite W with ``W s = y``. The
factor sigma makes S small once the residual is small; without it, S keeps the size of earlier residuals. A pair without
``(y, s)_M > 0`` changes nothing. S need not be semi-definite: the method needs a trust region or a damping that rejects
trials.

The choice of the model. Where the residual vanishes at the minimum, Gauss-Newton converges quadratically, and S makes
its steps worse. S is used in the next step under two conditions: the last step has decreased F by less than a share of
it, and the previous S has brought the model at theta nearer to the value at ``theta_-``:

.. math:: F(\theta_-) - F(\theta) < \text{share} \cdot F(\theta_-), \qquad
          \bigl|e + \tfrac12 (s, S s)_M\bigr| < |e|, \qquad
          e = F(\theta) - (J^* q, s)_M + \tfrac12 |J s|^2 - F(\theta_-).                                 \tag{4}

Near a minimum with F > 0 the first condition holds. Near one with F = 0 it does not, since a Gauss-Newton step removes
almost all of F. F may also decrease slowly in an ill-conditioned problem with a small residual, where S is of little
use; the second condition excludes that case. S is updated in every case.

The state does not keep ``J_-``, whose shape depends on the number of residuals. ``J_-`` is evaluated a second time, at
the price of one linearisation for each accepted step. Both gradients of (2) are those of the present batch.

=========  =======  ========
symbol     code     shape
=========  =======  ========
M S        S        (P, P)
s          s        (P,)
y          y        (P,)
y#         y_sharp  (P,)
=========  =======  ========

Source: Dennis, Gay & Welsch, ACM Trans. Math. Softw. 7 (1981) 348, section 3, for (2) and (3); Fletcher & Xu, IMA J.
Numer. Anal. 7 (1987) 371, for the first part of (4); the second is the test of Dennis, Gay & Welsch, section 4, applied
backwards from theta.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import few_entries, plain_numbers, real_number
from .gauss_newton import GaussNewton, GaussNewtonModel
from .model import Approximation, Model

__all__ = ["StructuredModel", "StructuredSecant", "structured_secant_update"]


def structured_secant_update(S: Array, s: Array, y: Array, y_sharp: Array, *, mass: Array | float) -> Array:
    """Return M S of (3), (P, P), symmetric; unchanged if (y, s)_M is not positive.

    Parameters
    ----------
    S : array (P, P)
        M S of the step before.
    s, y, y_sharp : array (P,)
        The changes (2).
    mass : array (P,) or float
        Diagonal of the inner product.
    """
    xp, numbers, one = array_namespace(s), array_namespace(s).finfo(s.dtype), 1 + 0 * s[0]
    M_y, S_s = mass * y, S @ s
    ys, target, own = M_y @ s, xp.abs(s @ (mass * y_sharp)), xp.abs(s @ S_s)
    keep = (ys > float(numbers.eps) * xp.sqrt(s @ (mass * s)) * xp.sqrt(y @ M_y)) & (
        ys > float(numbers.smallest_normal)
    )
    sized = target < own
    sigma = xp.where(sized, target / xp.where(sized, own, one), one)  # (3)
    w, u = mass * y_sharp - sigma * S_s, M_y / xp.where(keep, ys, one)
    w_u = w[:, None] * u[None, :]
    S_new = sigma * S + w_u + w_u.T - (w @ s) * (u[:, None] * u[None, :])  # (3)
    return xp.where(keep, S_new, S)


class StructuredModel(Approximation):
    """A model with the curvature (1).

    Parameters
    ----------
    whole : Model
        That of Gauss-Newton.
    S : array (P, P)
        M S, symmetric.
    """

    def __init__(self, whole: Model, S: Array) -> None:
        super().__init__(whole)
        self.S, self.definite = S, False

    def apply(self, v: Array) -> Array:
        """Return G v of (1), (P,)."""
        return self.whole.apply(v) + self.S @ v / self.known_mass("a secant approximation")  # (1)

    def matrix(self) -> Array:
        """Return M G, (P, P), symmetric."""
        return self.whole.matrix() + self.S

    @property
    def has_diagonal(self) -> bool:  # type: ignore[override]
        """Whether the whole has one."""
        return self.whole.has_diagonal

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        own = array_namespace(self.theta).linalg.diagonal(self.S) / self.known_mass("a secant approximation")
        return self.whole.diagonal() + own


@dataclass(frozen=True)
class StructuredSecant:
    """The curvature (1) of a least-squares problem, for `gradflow.SecondOrder`. It keeps a matrix of P^2 numbers.

    It is meant for residuals that do not vanish. Of the NIST problems, ENSO and Thurber take fewer steps than with Gauss-Newton;
    Lanczos3, which is ill-conditioned with a small residual, and Nelson take more.

    Parameters
    ----------
    share : float
        The share of (4), in [0, 1]. With 1, the second part of (4) decides; with 0, S is used after a step that has not
        decreased F.

    Raises
    ------
    ValueError
        If the share is outside [0, 1]; at `init`, if the problem is not one of least squares, or its inner product is not
        diagonal.

    Examples
    --------
    The residual of Freudenstein and Roth's function does not vanish at the minimum that is found from its start:

    >>> import numpy as np, gradflow as gf
    >>> problem = gf.DenseLeastSquares(
    ...     lambda t: np.array([-13 + t[0] + ((5 - t[1]) * t[1] - 2) * t[1], -29 + t[0] + ((1 + t[1]) * t[1] - 14) * t[1]])
    ... )
    >>> trials = []
    >>> for curvature in (gf.curvature.GaussNewton(), gf.curvature.StructuredSecant()):
    ...     method = gf.SecondOrder(curvature=curvature, globalization=gf.curvature.TrustRegion())
    ...     run = gf.solve(problem, method, np.array([0.5, -2.0]), steps=200, stop=gf.Tolerance(gradient=1e-4))
    ...     trials.append(len(run.history["energy"]) - 1)
    >>> trials[1] < trials[0] / 2
    True
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("share", self.share, 0, 1)

    def at(self, problem: Problem, theta: Array) -> GaussNewtonModel:
        """Return the model of Gauss-Newton at theta.

        Raises
        ------
        ValueError
            If the problem is not one of least squares, or its inner product is not diagonal.
        """
        model = GaussNewton().at(problem, theta)
        model.known_mass("a secant approximation")
        return model

    def start(self, theta: Array) -> tuple[Array, ...]:
        """Return theta, (P,), whether there is a step before and whether S is used, 0-d, and M S = 0, (P, P).

        Raises
        ------
        ValueError
            If that is too many numbers.
        """
        few_entries("StructuredSecant", theta.shape[0], theta.shape[0], "GaussNewton() stores none")
        zero = 0 * theta
        return theta, zero[0], zero[0], zero[:, None] * zero

    def update(self, model: Model, memory: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return theta, (P,), both flags, 0-d, and M S, (P, P)."""
        before, known, used, S = memory
        xp, mass, here = array_namespace(model.theta), model.known_mass("a secant approximation"), model
        if isinstance(here, GaussNewtonModel) and bool(known > 0):
            there, q = GaussNewton().at(here.problem, before), here.residual
            s, J_q, F, F_before = here.theta - before, here.at.vjp(q), q @ q / 2, there.residual @ there.residual / 2
            J_s = here.at.jvp(s)
            e = F - (mass * J_q) @ s + J_s @ J_s / 2 - F_before  # (4)
            needed = (F_before - F < self.share * F_before) & (xp.abs(e + s @ (S @ s) / 2) < xp.abs(e))  # (4)
            used = xp.where(needed, 1 + 0 * F, 0 * F)
            y = J_q - there.at.vjp(there.residual)  # (2)
            S = structured_secant_update(S, s, y, J_q - there.at.vjp(q), mass=mass)
        return here.theta, 1 + 0 * known, used, S

    def remembered(self, model: Model, memory: tuple[Array, ...]) -> Model:
        """Return the model with G of (1), for theta (P,), two flags (0-d) and M S (P, P)."""
        *_, used, S = memory
        return StructuredModel(model, S) if bool(used > 0) else model
