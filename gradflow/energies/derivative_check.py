r"""A check of what a problem says of its derivatives.

Jacobian and gradient are compared with central differences, entry by entry, and so is a Hessian-vector product. For a
function f, a given derivative ``f'`` along ``e_j``, and the size ``s_j`` of a parameter, the error of an entry is

.. math:: \frac{s_j\,|f_i' - \Delta_j f_i|}{s_j\,|f_i'| + \tfrac1{10}\bigl(|f_i| + \max_k s_k |f_{i,k}'|\bigr)}.        \tag{1}

The second term of the denominator stands for the rounding errors of ``f_i``, which a difference divides by its step: a
derivative that changes f by less than that is not resolved.

Of a residual q with the Jacobian J, its adjoint ``J^*`` in the inner product M, and fixed vectors u and v, these are
compared too, with the tolerance of differences:

.. math::
   Jv &= \texttt{jvp}(v), \qquad (\texttt{vjp}(u), v)_M = u \cdot Jv, \qquad J J^* u = \texttt{gram}\,u,        \tag{2} \\
   (u, v)_M &= \textstyle\sum_j \texttt{mass}_j\, u_j v_j, \qquad (g, v)_M = E'(\theta)\,v.                         \tag{3}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import Any, NamedTuple

from ..description import found
from ..namespace import Array, array_namespace
from ..refusals import real_array
from .derivatives import STEPS, basis_vector, differences, jacobian_by, sizes
from .probes import probe_vectors
from .protocols import problem_ability

__all__ = ["DerivativeCheck", "check_derivatives"]


class DerivativeCheck(NamedTuple):
    """What `check_derivatives` found."""

    error: float
    """The error, (1)."""
    tolerance: float
    """What differences can resolve."""
    passed: bool
    """Whether the error is within the tolerance."""
    worst: tuple[int, ...]
    """Index of the entry with the largest error: (residual, parameter) or (parameter,); (), where one number is compared."""
    quantity: str
    """What has that error: the first of jacobian or gradient, jvp, vjp, gram, mass that failed, or the one with the largest error."""

    def __bool__(self) -> bool:
        return self.passed


def check_derivatives(problem: Any, theta: Array) -> DerivativeCheck:
    """Compare the derivatives of a problem with differences of its values, and what must be equal, (2) and (3), with each other.

    Parameters
    ----------
    problem : Problem
        One with ``linearize`` has its Jacobian checked, entry by entry; another one its gradient.
    theta : array (P,)
        The point. The cost is about 8 P evaluations.

    Returns
    -------
    DerivativeCheck
        True as a truth value if all agree.

    Raises
    ------
    ValueError
        If the problem lacks a method, or theta is not a finite vector that it accepts.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> right = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t.copy())
    >>> wrong = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 2 * t)
    >>> bool(gf.check_derivatives(right, np.ones(2))), bool(gf.check_derivatives(wrong, np.ones(2)))
    (True, False)
    """
    real_array("theta", theta, {"P": None}, low=-inf)
    methods = ("energy", "energy_and_gradient", "inner")
    if isinstance(problem, type) or not all(callable(getattr(problem, method, None)) for method in methods):
        raise ValueError(f"problem must be an instance with the methods {', '.join(methods)}, got {found(problem)}")
    tolerance = 100 * float(array_namespace(theta).finfo(theta.dtype).eps) ** (2 / 3)
    errors = [DerivativeCheck(e, tolerance, e <= tolerance, worst, name) for name, e, worst in _errors(problem, theta)]
    failed = [one for one in errors if not one.passed]
    return failed[0] if failed else max(errors, key=lambda one: one.error)  # what follows a failure may follow from it


def _errors(problem: Any, theta: Array) -> Iterator[tuple[str, float, tuple[int, ...]]]:
    """Yield quantity, error and worst entry of all that is compared; the entries of the derivative itself first."""
    xp, (u, v) = array_namespace(theta), probe_vectors(theta)
    v = v * sizes(theta)
    g, inner = problem.energy_and_gradient(theta)[1], problem.inner
    slopes = xp.stack([inner(g, basis_vector(theta, j)) for j in range(theta.shape[0])])  # (g, e_j)_M = dE/dtheta_j
    linearize = problem_ability(problem, "linearize")
    if linearize is None:
        energies = lambda t: xp.reshape(problem.energy(t), (1,))  # noqa: E731
        error, (_, column) = _entries(slopes[None, :], energies, theta)
        yield "gradient", error, (column,)
    else:
        at, residual = linearize(theta), problem_ability(problem, "linearize_later") or linearize
        J = at.jacobian()
        yield "jacobian", *_entries(J, lambda t: residual(t).residual, theta)
        n = xp.cumulative_sum(xp.ones_like(at.residual))
        w, Jv = xp.sin(2 + 1.3 * n), J @ v
        yield "jvp", _apart(at.jvp(v), Jv, abs(J) @ abs(v)), ()
        adjoint = at.vjp(w)
        yield "vjp", _apart(inner(adjoint, v), w @ Jv, abs(w) @ (abs(J) @ abs(v))), ()
        if hasattr(at, "gram"):
            yield "gram", _apart(at.gram() @ w, J @ adjoint, abs(J) @ abs(adjoint)), ()
        L = problem_ability(problem, "linear")
        if isinstance(L, (int, float)):
            own = at.residual @ J + L * xp.stack([inner(theta, basis_vector(theta, j)) for j in range(theta.shape[0])])
            size = abs(at.residual) @ abs(J) + abs(own)
            yield "gradient", _apart(slopes * sizes(theta), own * sizes(theta), size * sizes(theta)), ()
    mass = problem_ability(problem, "mass")
    if mass is not None:
        yield "mass", _apart(xp.sum(mass * u * v), inner(u, v), xp.sum(abs(mass * u * v))), ()


def _entries(given: Array, function: Callable[[Array], Array], theta: Array) -> tuple[float, tuple[int, int]]:
    """Return the largest error (1) of a derivative, (N, P), of a function with N values, and its place."""
    xp, s = array_namespace(theta), sizes(theta)
    size = abs(given) * s
    noise = (abs(function(theta)) + xp.max(size, axis=1)) / 10
    error = size + inf
    for factor in STEPS:
        own = jacobian_by(partial(differences, factor=factor), function, theta)
        total = xp.maximum(size, abs(own) * s) + noise[:, None]
        gap = abs(given - own) * s
        error = xp.minimum(error, xp.where(gap > 0, gap / xp.where(total > 0, total, 1 + 0 * total), 0 * gap))
    row, column = divmod(int(xp.argmax(xp.reshape(error, (-1,)))), theta.shape[0])
    return float(error[row, column]), (row, column)


def _apart(a: Array, b: Array, size: Array) -> float:
    """Return the largest difference of two arrays of one shape, relative to the largest `size`; infinite if the shapes differ."""
    xp = array_namespace(b)
    if getattr(a, "shape", None) != b.shape:
        return inf
    gap, most = float(xp.max(abs(a - b))), float(xp.max(size))
    return gap / most if gap > 0 and most > 0 else gap
