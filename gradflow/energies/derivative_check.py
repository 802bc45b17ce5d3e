r"""A check of what a problem says of its derivatives.

Jacobian and gradient are compared with central differences ``Delta_k`` of decreasing step sizes, entry by entry. The error
of an entry is

.. math:: \frac{\bigl(|f' - \Delta_k f| - \eta_k\bigr)_+}{\max(|f'|, |\Delta_k f|)}, \qquad
          \eta_k = |\Delta_k f - \Delta_{k-1} f| + 10\,\epsilon_k,                                           \tag{1}

for the k with the smallest ``eta_k``: what neither the change with the step size nor the rounding errors of f explain, which
a difference divides by its step (``epsilon_k``, from `gradflow.energies.derivatives.rounding`). A derivative that differences
cannot resolve has no error.

Of a residual q with the Jacobian J, its adjoint ``J^*`` in the inner product M, and fixed vectors u and v, these are
compared too, with the tolerance of differences:

.. math::
   Jv &= \texttt{jvp}(v), \qquad (\texttt{vjp}(u), v)_M = u \cdot Jv, \qquad J J^* u = \texttt{gram}\,u,        \tag{2} \\
   (u, v)_M &= \textstyle\sum_j \texttt{mass}_j\, u_j v_j, \qquad (g, v)_M = E'(\theta)\,v, \qquad
   (Hu, v)_M = (u, Hv)_M, \qquad (D^3E[u, v], v)_M = (D^3E[v, v], u)_M.                             \tag{3}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, NamedTuple

from ..description import found
from ..namespace import Array, array_namespace, copied, quiet
from ..refusals import real_array
from .derivatives import STEPS, basis_vector, difference, rounding, sizes
from .probes import probe_vectors
from .protocols import norm, problem_ability

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
    """What has that error: the first of jacobian or gradient, jvp, vjp, gram, hvp, third_derivative, mass that failed, or the one with the largest error."""

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
    with quiet():
        errors = [
            DerivativeCheck(e, tolerance, e <= tolerance, worst, name) for name, e, worst in _errors(problem, theta)
        ]
    failed = [one for one in errors if not one.passed]
    return failed[0] if failed else max(errors, key=lambda one: one.error)  # what follows a failure may follow from it


def _errors(problem: Any, theta: Array) -> Iterator[tuple[str, float, tuple[int, ...]]]:
    """Yield quantity, error and worst entry of all that is compared; the entries of the derivative itself first."""
    xp, (u, v) = array_namespace(theta), probe_vectors(theta)
    v = v * sizes(theta)
    g, inner = problem.energy_and_gradient(theta)[1], problem.inner
    basis = [basis_vector(theta, j) for j in range(theta.shape[0])]
    slopes = xp.stack([inner(g, e) for e in basis])  # (g, e_j)_M = dE/dtheta_j
    linearize = problem_ability(problem, "linearize")
    if linearize is None:
        energies = lambda t: xp.reshape(problem.energy(t), (1,))  # noqa: E731
        error, (_, column) = _entries(slopes[None, :], energies, theta, basis)
        yield "gradient", error, (column,)
    else:
        at, residual = linearize(theta), problem_ability(problem, "linearize_later") or linearize
        J = at.jacobian()
        yield "jacobian", *_entries(J, lambda t: residual(t).residual, theta, basis)
        n = xp.cumulative_sum(xp.ones_like(at.residual))
        w, Jv = xp.sin(2 + 1.3 * n), J @ v
        yield "jvp", _apart(at.jvp(v), Jv, abs(J) @ abs(v)), ()
        adjoint = at.vjp(w)
        yield "vjp", _apart(inner(adjoint, v), w @ Jv, abs(w) @ (abs(J) @ abs(v))), ()
        if hasattr(at, "gram"):
            yield "gram", _apart(at.gram() @ w, J @ adjoint, abs(J) @ abs(adjoint)), ()
        L = problem_ability(problem, "linear")
        if isinstance(L, (int, float)):
            own = at.residual @ J + L * xp.stack([inner(theta, e) for e in basis])
            size = abs(at.residual) @ abs(J) + abs(own)
            yield "gradient", _apart(slopes * sizes(theta), own * sizes(theta), size * sizes(theta)), ()
    if problem_ability(problem, "has_hvp") and callable(getattr(problem, "hvp", None)):
        u_s = u * sizes(theta)
        H_u, H_v = copied(problem.hvp(theta, u_s)), copied(problem.hvp(theta, v))
        if getattr(problem, "second_derivative", "given") == "given":  # what is found has the errors of differences
            gradient = lambda t: problem.energy_and_gradient(t)[1]  # noqa: E731
            error, (row, _) = _entries(H_v[:, None], gradient, theta, [v])
            yield "hvp", error, (row,)
            size = norm(inner, H_u) * norm(inner, v) + norm(inner, H_v) * norm(inner, u_s)
            yield "hvp", _apart(inner(H_u, v), inner(u_s, H_v), size + 0 * H_u), ()
            if problem_ability(problem, "has_third_derivative"):
                T_uv, T_vv = (copied(problem.third_derivative(theta, one, v)) for one in (u_s, v))
                error, (row, _) = _entries(T_uv[:, None], lambda t: problem.hvp(t, u_s), theta, [v])
                yield "third_derivative", error, (row,)
                size = norm(inner, T_uv) * norm(inner, v) + norm(inner, T_vv) * norm(inner, u_s)
                yield "third_derivative", _apart(inner(T_uv, v), inner(T_vv, u_s), size + 0 * T_uv), ()
    mass = problem_ability(problem, "mass")
    if mass is not None:
        yield "mass", _apart(xp.sum(mass * u * v), inner(u, v), xp.sum(abs(mass * u * v))), ()


def _entries(
    given: Array, function: Callable[[Array], Array], theta: Array, directions: list[Array]
) -> tuple[float, tuple[int, int]]:
    """Return the largest error (1) of derivatives along K directions, (N, K), of a function with N values, and its place."""
    xp = array_namespace(theta)
    lengths = xp.stack(
        [
            xp.max(xp.where(abs(v) > 0, sizes(theta) / xp.where(abs(v) > 0, abs(v), 1 + 0 * v), 0 * v))
            for v in directions
        ]
    )
    noise = rounding(function, theta, abs(given) @ lengths, times=8)
    before, error, least = given, 0 * given, abs(given) + inf
    for k, factor in enumerate(STEPS):
        slopes = [difference(function, theta, v, factor, noise) for v in directions]
        own = xp.stack([slope for slope, _, _ in slopes], axis=1)
        doubt = 10 * xp.stack([unsure for _, unsure, _ in slopes], axis=1) + abs(own - before)
        if k > 0:
            size = xp.maximum(abs(given), abs(own))
            relative = (abs(given - own) - doubt) / xp.where(size > 0, size, 1 + 0 * size)
            best = (doubt < least) | (relative != relative)
            error, least = xp.where(best, relative, error), xp.where(best, doubt, least)
        before = own
    error = xp.where(error < 0, 0 * error, error)
    row, column = divmod(int(xp.argmax(xp.reshape(error, (-1,)))), len(directions))
    return float(error[row, column]), (row, column)


def _apart(a: Array, b: Array, size: Array) -> float:
    """Return the largest difference of two arrays of one shape, relative to the largest `size`; infinite if the shapes differ."""
    xp = array_namespace(b)
    if getattr(a, "shape", None) != b.shape:
        return inf
    gap, most = float(xp.max(abs(a - b))), float(xp.max(size))
    return gap / most if gap > 0 and most > 0 else gap
