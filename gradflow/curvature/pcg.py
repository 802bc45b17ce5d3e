r"""The damped step by preconditioned conjugate gradients.

For ``(G + nu D) d = -g`` and a preconditioner Pi (`gradflow.curvature.preconditioners`), from ``d_0 = 0``, ``r_0 = g`` and
``p_0 = -Pi^{-1} g``,

.. math::
   \alpha_k &= \frac{(r_k, \Pi^{-1} r_k)_M}{(p_k, (G + \nu D) p_k)_M}, \qquad d_{k+1} = d_k + \alpha_k p_k, \qquad
   r_{k+1} = r_k + \alpha_k (G + \nu D) p_k,                                                           \tag{1} \\
   p_{k+1} &= -\Pi^{-1} r_{k+1} + \frac{(r_{k+1}, \Pi^{-1} r_{k+1})_M}{(r_k, \Pi^{-1} r_k)_M}\; p_k,            \tag{2}

until ``|r_k| <= tol |g|`` in the norm of ``D^{-1}``. With the condition number kappa of ``Pi^{-1}(G + nu D)``, the error
in the norm of ``G + nu D`` satisfies

.. math:: \|d_k - d\| \le 2\Bigl(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\Bigr)^k \|d\|,                    \tag{3}

and k distinct eigenvalues need k steps.

Negative curvature. If ``(p, (G + nu D) p)_M <= 0``, the damped system has no minimiser. The step is declared to have
negative curvature. The iteration starts again with ``nu + 2 |(p, (G + nu D) p)_M| / (p, D p)_M`` in place of nu, or
with ``3 nu / 2`` if that is larger. It ends as soon as nu exceeds minus the least eigenvalue. Its result is a direction
of descent, and the step states the multiplier.

The decrease of the model at its minimiser, ``most``. With weights ``w_i = gamma_i^2 / (mu_i + nu)^2`` it is
``sum_i w_i (mu_i + nu)^2 / (2 mu_i)``, and by Jensen's inequality for ``1 / mu``

.. math:: \text{most} \ge -\tfrac12 (g, d)_M\,\Bigl(1 + \nu\,\frac{|d|_D^2}{(d, G d)_M}\Bigr).              \tag{4}

Where the decrease that the step predicts is less than half of this bound, ``most`` is the bound: the step is then a
damped one, whatever the exact value is. Otherwise the iteration continues from d without damping.

======  ====  =====
symbol  code  shape
======  ====  =====
d       d     (P,)
r       r     (P,)
p       p     (P,)
======  ====  =====

Source: Hestenes & Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409; Nocedal & Wright, Numerical Optimization (2006),
Algorithm 5.3 and equation (5.36).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import frexp, inf, isfinite, nan
from typing import Any, NamedTuple

from ..description import found as told
from ..namespace import Array, array_namespace, copied
from ..refusals import evaluate, plain_numbers, real_array, real_number
from .model import Model
from .preconditioners import Inverse, Jacobi, Preconditioner
from .rational import default_tolerance
from .step import Step, measured

__all__ = ["PCG", "Iterated", "conjugate_gradients"]

PRODUCTS_PER_PARAMETER = 4  # at which the iteration is ended; without rounding, 1 is enough
MOST_RESTARTS = 64  # each at least doubles the additional damping


class Iterated(NamedTuple):
    """The result of the iteration (1), (2)."""

    x: Array
    """The iterate, (P,)."""
    r: Array
    """Its residual, (P,)."""
    flat: float | None
    """``(p, A p) / (p, D p)`` of a direction with ``(p, A p) <= 0``, which ended the iteration, NaN if it is not finite;
    otherwise None."""
    products: int
    """Products with A."""


def conjugate_gradients(
    operator: Callable[[Array], Array],
    inner: Callable[[Array, Array], Array],
    inverse: Callable[[Array], Array],
    x: Array,
    r: Array,
    D: Array | float,
    *,
    target: float,
) -> Iterated:
    """Return the iteration (1), (2) for ``A x + b = 0``, from x.

    Parameters
    ----------
    operator : callable
        Maps v, (P,), to A v.
    inner : callable
        The inner product, 0-d.
    inverse : callable
        Maps v, (P,), to ``Pi^{-1} v``.
    x, r : array (P,)
        The first iterate, and its residual ``A x + b``.
    D : float or array (P,)
        The diagonal of the metric.
    target : float
        The length of the residual, in the norm of ``D^{-1}``, to reach.
    """
    xp, z = array_namespace(r), inverse(r)
    scale = float(xp.max(xp.abs(z)))
    if not 0 < scale < inf:
        return Iterated(x, r, None, 0)
    scale = 2.0 ** (frexp(scale)[1] - 1)  # of Pi: (1), (2) do not depend on it, but the squares of p may underflow
    z = z / scale
    p, rz = -z, float(inner(r, z))
    for k in range(PRODUCTS_PER_PARAMETER * r.shape[0]):
        size = float(inner(r, r / D)) ** 0.5
        if not (size > target and 0 < rz < inf):
            return Iterated(x, r, None, k)
        A_p = operator(p)
        bend = float(inner(p, A_p))
        if not bend > 0:
            square = float(inner(p, D * p))
            return Iterated(x, r, bend / square if square > 0 else nan, k + 1)
        alpha = rz / bend  # (1)
        x, r = x + alpha * p, r + alpha * A_p  # (1)
        z = inverse(r) / scale
        rz, rz_old = float(inner(r, z)), rz
        p = -z + (rz / rz_old) * p  # (2)
    return Iterated(x, r, None, PRODUCTS_PER_PARAMETER * r.shape[0])


JACOBI = Jacobi()


@dataclass(frozen=True)
class PCG:
    """Preconditioned conjugate gradients, as a solver of `gradflow.SecondOrder`; ``solver="pcg"`` is ``PCG()``.

    Parameters
    ----------
    preconditioner : Preconditioner
        `Jacobi`, `NystromPreconditioner`, or yours.
    tol : float, optional
        The residual to reach, relative to the gradient; by default that of the method, or 1e-10 in float64 and 1e-5 in float32.

    Raises
    ------
    ValueError
        If the preconditioner has no `at`, or the tolerance is not positive; at a step, if the preconditioner does not map an array
        (P,) to one of its dtype, or writes into it.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 300, activation="tanh", scaling="ntk"), x, np.sin(3 * x))
    >>> method = gf.SecondOrder(
    ...     curvature=gf.curvature.GaussNewton(),
    ...     globalization=gf.curvature.NielsenDamping(),
    ...     solver=gf.curvature.PCG(gf.curvature.NystromPreconditioner(rank=15)),
    ... )
    >>> run = gf.solve(problem, method, problem.net.init(0), steps=20)
    >>> bool(run.history["energy"][-1] < 1e-3 * run.history["energy"][0])
    True
    """

    preconditioner: Preconditioner = JACOBI
    tol: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.preconditioner, type) or not callable(getattr(self.preconditioner, "at", None)):
            raise ValueError(f"preconditioner must be an object with a method at, got {self.preconditioner!r}")
        plain_numbers(self)
        if self.tol is not None:
            real_number("tol", self.tol, 0, open_low=True)

    def step(self, model: Model, weights: Array | None, nu: Array | float, tol: float | None = None) -> Step:
        """Return the damped step.

        Parameters
        ----------
        model : Model
            The model.
        weights : array (P,) or None
            Diagonal of D, entries > 0; None for the identity.
        nu : float or 0-d array
            The multiplier, >= 0.
        tol : float, optional
            The residual to reach, where the solver itself has none.
        """
        model.unconfined("solver='pcg'")
        g, inner, D = model.gradient, model.problem.inner, 1.0 if weights is None else weights
        xp, shift = array_namespace(g), float(nu)
        size = float(xp.max(xp.abs(g)))
        if not 0 < size < inf:
            return measured(model, weights, 0 * g, nu=shift, most=0.0)
        tol = self.tol or tol or default_tolerance(float(xp.finfo(g.dtype).eps))
        b = g / size  # the square of g may underflow or overflow, that of b does not
        make, target = self._inverse(model, weights), tol * float(inner(b, b / D)) ** 0.5

        def iterated(x: Array, r: Array, nu: float) -> Iterated:
            shifted = model.apply if nu == 0 else lambda v: model.apply(v) + nu * (D * v)
            return conjugate_gradients(shifted, inner, lambda v: make(v, nu), x, r, D, target=target)

        used, negative = 0, False
        for _ in range(MOST_RESTARTS):
            found = iterated(0 * b, b, shift)
            used += found.products
            if found.flat is None or model.definite or not isfinite(found.flat):
                break
            negative = True
            shift = max(shift + 2 * abs(found.flat), 1.5 * shift)
        step = measured(model, weights, size * found.x, nu=shift, negative=negative, products=used)
        if found.flat is not None or negative or not float(step.bend) > 0:
            return step
        bound = -step.slope * (1 + shift * (step.length / step.bend) * step.length) / 2  # (4)
        if shift == 0 or -step.slope - step.bend / 2 < bound / 2:
            return step._replace(most=bound)
        plain = iterated(found.x, found.r - shift * (D * found.x), 0.0)
        most = bound if plain.flat is None or model.in_range else 0 * bound + inf
        most = xp.maximum(most, -inner(model.gradient, size * plain.x) / 2)
        return step._replace(
            most=most, negative=plain.flat is not None and not model.definite, products=used + plain.products
        )

    def _inverse(self, model: Model, weights: Array | None) -> Inverse:
        """Return the preconditioner, made once for a model and a metric."""
        kept, of = model.forms.get("preconditioner"), self.preconditioner
        if kept is None or kept[0] is not weights or kept[1] is not of:
            kept = model.forms["preconditioner"] = weights, of, _checked(of, of.at(model, weights), model)
        inverse: Inverse = kept[2]
        return inverse


def _checked(of: Preconditioner, inverse: Any, model: Model) -> Inverse:
    """Return the inverse of Pi, whose results are copied, or raise ValueError where it, or one of them, is none."""
    if not callable(inverse):
        raise ValueError(f"{type(of).__name__}.at must return a function of v and nu, got {told(inverse)}")
    name, shape = f"the preconditioner {type(of).__name__}", {"P": model.shape[0]}

    def checked(v: Array, nu: float) -> Array:
        u = evaluate(name, lambda v: inverse(v, nu), v)
        return copied(real_array(f"{name}(v, nu)", u, shape, model.dtype, of="theta"))

    return checked
