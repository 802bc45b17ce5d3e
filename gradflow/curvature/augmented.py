r"""The damped step by an orthogonal factorisation of the augmented matrix.

For ``G = R^* R`` and ``g = R^* r``, the damped step ``(G + nu D) d = -g`` is the solution of the least-squares problem

.. math:: \min_y \left|\begin{pmatrix} A \\ \nu^{1/2} I \end{pmatrix} y + \begin{pmatrix} r \\ 0 \end{pmatrix}\right|,
          \qquad A = R S^{-1}, \quad S = (M D)^{1/2}, \quad d = S^{-1} y.                                 \tag{1}

With the factorisation ``(A; nu^{1/2} I) = Q T``, T upper triangular, it is

.. math:: y = -T^{-1} Q_1^T r                                                                           \tag{2}

for the rows ``Q_1`` of Q beside A. If A has fewer rows than columns, y is a part of the shortest solution of
``(A, nu^{1/2} I)(y; w) = -r``, and with ``(A^T; nu^{1/2} I) = Q T``

.. math:: y = -Q_1\, T^{-T} r.                                                                          \tag{3}

Neither forms a product of A with its transpose. The error grows with the condition number of (1), that of the normal
equations with its square. For Läuchli's matrix ``A = (1 1; e 0; 0 e)``, e below ``eps^{1/2}``, the product is singular
to rounding.

Where an entry of the diagonal of T is zero to rounding, which needs ``nu^{1/2} < K eps |A|``, T has no inverse to rely on.
The step is then that of the singular values of A, the shortest one where nu = 0 (`gradflow.curvature.eigenbasis`).

The decrease of the model at its minimiser is ``|Q_0^T r|^2 / 2`` for the columns ``Q_0`` of Q of a factorisation without
damping; where T has no inverse, it is that of the singular values.

======  ====  ================
symbol  code  shape
======  ====  ================
A       A     (K, P)
Q, T    Q, T  one side (P + K)
r       r     (K,)
======  ====  ================

Source: Björck, Numerical Methods for Least Squares Problems (1996), sections 2.4 and 5.3.
"""

from __future__ import annotations

from ..namespace import Array, array_namespace
from .eigenbasis import scale_of
from .model import Model
from .spectral import Step, measured, minimise
from .subproblem import damped

__all__ = ["qr_step"]


def qr_step(model: Model, weights: Array | None, nu: Array | float) -> Step:
    """Return the damped step (2) or (3).

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    nu : float or 0-d array
        The multiplier, >= 0.

    Raises
    ------
    ValueError
        If the model has no root, or no residual.
    """
    model.unconfined("solver='qr'")
    root = model.root()
    if root is None or root.r is None:
        raise ValueError(
            "solver='qr' needs a curvature with a root and a residual, such as GaussNewton, and a linear part that is a "
            "number or diagonal"
        )
    S = scale_of(model, weights, "solver='qr'")
    A, r, xp = root.R / S, root.r, array_namespace(root.R)
    y = _shortest(A, r, float(nu) ** 0.5)

    def svd() -> Step:
        return minimise(model, weights, lambda form: damped(form.gamma, form.mu, 0 * form.mu[0] + nu, form.tiny), "svd")

    if y is None:
        return svd()
    if "most" not in model.forms:
        plain = _shortest(A, r, 0.0)
        model.forms["most"] = svd().most if plain is None else -(r @ (A @ plain)) / 2
    nu = 0 * model.theta[0] + nu
    step = measured(model, weights, y / S, nu=nu, most=model.forms["most"])
    return step._replace(length=xp.sqrt(y @ y), slope=r @ (A @ y))


def _shortest(A: Array, r: Array, shift: float) -> Array | None:
    """Return y of (2) or (3), (P,), for ``shift = nu^{1/2}``; None if T is singular to rounding, NaN if A is not finite."""
    xp, wide = array_namespace(A), A.shape[0] < A.shape[1]
    if not bool(xp.all(xp.isfinite(A)) & xp.all(xp.isfinite(r))):
        return xp.sum(A, axis=0) * float("nan")
    tall = A.T if wide else A
    K, n = tall.shape
    augmented = tall if shift == 0 else xp.concat([tall, shift * xp.eye(n, dtype=A.dtype)])
    Q, T = xp.linalg.qr(augmented)
    pivots = xp.abs(xp.linalg.diagonal(T))
    if not float(xp.min(pivots)) > float(xp.finfo(A.dtype).eps) * max(K, n) * float(xp.max(pivots)):
        return None
    Q_1 = Q[:K, :]
    if wide:
        return -(Q_1 @ xp.linalg.solve(T.T, r[:, None])[:, 0])  # (3)
    return -xp.linalg.solve(T, (Q_1.T @ r)[:, None])[:, 0]  # (2)
