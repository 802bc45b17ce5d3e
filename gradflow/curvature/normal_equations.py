r"""The damped step by one Cholesky factorisation, on the smaller of two sides.

A damped step has a given multiplier, and needs the solution of one linear system,

.. math:: (G + \nu D)\,d = -g.                                                                          \tag{1}

With the matrix B of G in coordinates and the diagonal ``S = (M D)^{1/2}``, it is on the side of the parameters

.. math:: (A + \nu I)\,y = -S^{-1} M g, \qquad A = S^{-1} B S^{-1}, \qquad d = S^{-1} y,                \tag{2}

and for ``G = R^* R`` and ``g = R^* r`` on the side of the residuals, by push-through,

.. math:: (A + \nu I)\,y = -r, \qquad A = R D^{-1} R^*, \qquad d = D^{-1} R^* y.                        \tag{3}

(3) is taken if R has fewer rows than columns. It needs a residual and no energy part. For D = I, ``R R^*`` has a closed
form where the model has one.

Accuracy. A factorisation solves (2) or (3) with a residual of the size ``eps |A| |y|``. Unlike singular values of R, it
has the square of the condition number of R: the directions with ``mu_i + nu < eps mu_max`` are lost. The residual of (1),
relative to g in the norm of ``D^{-1}``, is therefore measured, and `NormalEquations.step` gives None where it exceeds
``eps^{1/2}``.

The decrease of the model at its minimiser, ``most``, does not depend on nu. With the diagonal C for which ``C A C`` has
the diagonal 1, in (3) a number for which its largest entry is 1, the order K of A, its right-hand side b and ``s = K eps``,
it is

.. math:: \tfrac12\, b^T x \;\text{ in (2)}, \qquad \tfrac12\, b^T A\, x \;\text{ in (3)}, \qquad
          x = C\,(C A C + s I)^{-1} C b.                                                                 \tag{4}

Relative to an eigenvalue mu of ``C A C``, the error of its share is ``s / mu``. In (3) with a positive definite A, it is
``|b|^2 / 2``. Otherwise b has a part outside of the range of A, for which x has the relative error ``eps / s``: there
``s = 1000 K eps``. In (2), g has a component where G is zero
if ``|s C^{-1} x|^2 > eps |C b|^2``. There is then no minimiser, and ``most`` is infinite.

======  ====  =================
symbol  code  shape
======  ====  =================
A       A     (P, P) or (N, N)
b       b     (P,) or (N,)
C       C     (P,) or (N,)
======  ====  =================

All numbers have the dtype of the problem. A factor in float32 with refinement in float64 (Higham & Mary, Acta Numer. 31 (2022)
347) needs a condition number below 1e7, and saves 2 of 11 milliseconds at K = 1000 on one core, of a step of 90: it is not
used.

Source: Nocedal & Wright, Numerical Optimization (2006), section 10.3; Higham, Accuracy and Stability of Numerical
Algorithms (2002), section 10.1, for the residual of a Cholesky factorisation; van der Sluis, Numer. Math. 14 (1969) 14:
the accuracy of (2) does not depend on a diagonal scaling of B.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import inf

from ..namespace import Array, array_namespace
from .cholesky import modified_cholesky, solved
from .eigenbasis import matrix_of, row_matrix, scale_of
from .model import Model
from .spectral import Step

__all__ = ["NormalEquations", "cholesky_step", "normal_equations", "side_of"]


def side_of(model: Model, weights: Array | None) -> str:
    """Return "residuals" for (3), "parameters" for (2).

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """
    N, P = model.rows, model.shape[0]
    dual = N is not None and N < P and model.has_gram and model.in_range and model.residual is not None
    return "residuals" if dual else "parameters"


MARGIN = 1000.0  # of s, where b is not in the range of A


class NormalEquations:
    """The system (2) or (3) of a model in a metric, for every damping.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """

    def __init__(self, model: Model, weights: Array | None) -> None:
        model.unconfined("solver='cholesky'")
        self.model, self.weights = model, weights
        self.lift: Callable[[Array], Array]
        self.side = side_of(model, weights)
        if self.side == "residuals":
            D: Array | float = 1.0 if weights is None else weights
            self.A, self.b = row_matrix(model, weights), -model.residual  # type: ignore[operator]
            self.lift = lambda y: model.from_rows(y) / D  # (3)
        else:
            S = scale_of(model, weights, "solver='cholesky'") + 0 * model.theta
            self.A = matrix_of(model) / S[:, None] / S  # (2)
            self.b = -(model.known_mass("solver='cholesky'") * model.gradient) / S
            self.lift = lambda y: y / S  # (2)

    @cached_property
    def _scaled(self) -> tuple[Array, Array, float]:
        """``C A C``, C and s of (4)."""
        xp, A = array_namespace(self.A), self.A
        diagonal = xp.linalg.diagonal(A)
        if self.side == "residuals":  # b need not be in the range of A: the projection in (4) is to be orthogonal
            diagonal = xp.max(diagonal) + 0 * diagonal
        C = 1 / xp.sqrt(xp.where(diagonal > 0, diagonal, 1 + 0 * diagonal))
        return A * C * C[:, None], C, float(xp.finfo(A.dtype).eps) * A.shape[0]

    @cached_property
    def minimum(self) -> float:
        """The decrease (4), for a positive semi-definite G; infinite if the model has no minimiser."""
        A, C, s = self._scaled
        right, dual = C * self.b, self.side == "residuals"
        if dual and self.positive:
            return float(self.b @ self.b) / 2
        s = MARGIN * s if dual else s
        for _ in range(4):  # one is enough but for eigenvalues that are negative by rounding
            x = solved(A, s, right)
            if x is not None:
                break
            s = 16 * s
        else:
            return inf
        if dual:
            return float(self.b @ (self.A @ (C * x))) / 2  # (4)
        eps = float(array_namespace(x).finfo(x.dtype).eps)
        if not self.model.in_range and s * s * float(x @ x) > eps * float(right @ right):
            return inf
        return float(right @ x) / 2  # (4)

    @cached_property
    def positive(self) -> bool:
        """Whether ``C A C`` is positive definite, with a margin of 4 s for rounding errors."""
        A, _, s = self._scaled
        return solved(A, -4 * s, self.b) is not None

    def step(self, nu: float) -> Step | None:
        """Return the damped step, or None if it is not as accurate as stated above.

        Without it, an indefinite G would get less damping than its other solvers give it: the answer is None for a G that is
        not known to be positive semi-definite and has no Cholesky factor.

        Parameters
        ----------
        nu : float
            The multiplier, >= 0.
        """
        model = self.model
        if not (model.definite or self.positive) or (nu == 0 and model.definite and not self.positive):
            return None
        y = solved(self.A, nu, self.b)
        if y is None:
            return None
        A_y = self.A @ y
        r = A_y + nu * y - self.b
        eps = float(array_namespace(y).finfo(y.dtype).eps)
        if not self._square(r) <= eps * self._square(self.b):
            return None
        return self._step(y, A_y, nu, self.minimum, False)

    def _square(self, r: Array) -> float:
        """Return the square of the length of the residual of (1) in the norm of ``D^{-1}``, for a residual of (2) or (3)."""
        return float(r @ (self.A @ r)) if self.side == "residuals" else float(r @ r)

    def _step(self, y: Array, A_y: Array, nu: float, most: float, negative: bool) -> Step:
        """Return the step of y, with what A says of it: ``|d|_D^2 = y . y``, ``(d, G d)_M = y . A y`` in (2), and so on."""
        xp, of = array_namespace(y), A_y if self.side == "residuals" else y  # of = R d in (3), S d in (2)
        return Step(
            d=self.lift(y),
            nu=0 * y[0] + nu,
            length=xp.sqrt(xp.maximum(y @ of, 0 * y[0])),
            slope=-(self.b @ of),
            bend=of @ A_y,
            most=xp.asarray(most, dtype=y.dtype),
            boundary=False,
            negative=negative,
            products=0,
        )

    def safe_step(self, nu: float, beta: float = 1e-3) -> Step:
        """Return the damped step, with the additional damping of `modified_cholesky` where there is no factorisation.

        Parameters
        ----------
        nu : float
            The least multiplier, >= 0.
        beta : float
            As in `modified_cholesky`.
        """
        xp, tau = array_namespace(self.A), 0.0
        y = solved(self.A, nu, self.b) if self.model.definite and nu > 0 else None
        if y is None:
            shifted = self.A + nu * xp.eye(self.A.shape[0], dtype=self.A.dtype)
            y, tau, _ = modified_cholesky(shifted, self.b, beta=beta)
        known = self.model.definite or (tau == 0 and (nu == 0 or self.positive))
        most, negative = self.minimum if known else inf, tau > 0 and not self.model.definite
        return self._step(y, self.A @ y, nu + tau if tau < inf else 0.0, most, negative)


def cholesky_step(model: Model, weights: Array | None, nu: Array | float, *, beta: float = 1e-3) -> Step:
    """Return the damped step of a model, with more damping where its curvature is not positive definite.

    A direction of descent results, or NaN if the curvature is zero or not finite. `negative` of the step says that the
    curvature is not positive definite: a factorisation does not distinguish an eigenvalue 0 from a negative one.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    nu : float or 0-d array
        The least multiplier, >= 0.
    beta : float
        As in `gradflow.curvature.cholesky.modified_cholesky`.
    """
    return normal_equations(model, weights).safe_step(float(nu), beta)


def normal_equations(model: Model, weights: Array | None) -> NormalEquations:
    """Return the system of a model in a metric, made once.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """
    kept = model.forms.get("normal")
    if kept is None or kept.weights is not weights:
        kept = model.forms["normal"] = NormalEquations(model, weights)
    made: NormalEquations = kept
    return made
