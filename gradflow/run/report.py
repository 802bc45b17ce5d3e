"""The report of a fit: parameters with standard errors, and what they are worth, as lines of text."""

from __future__ import annotations

import numpy as np

from ..curvature.gauss_newton import GaussNewton, GaussNewtonModel
from ..curvature.spectral import SVD_LIMIT
from ..energies.protocols import Problem, robust_scaling
from ..namespace import Array, to_numpy
from .fit import Covariance, covariance_of, is_large
from .sparse_fit import SparseSpread

__all__ = ["table"]

QUICK = 10**8  # P times the entries of sparse factors up to which a report has all errors, half a second
CORRELATED = 0.1  # the correlation from which on a report names it, as that of lmfit
MOST_PAIRS = 10


def table(
    problem: Problem | None,
    theta: Array,
    most: int = 20,
    active: Array | None = None,
    names: tuple[str, ...] | None = None,
) -> list[str]:
    """Return the parameters with their standard errors as lines of text; without errors where there are none.

    Parameters
    ----------
    problem : Problem or None
        The energy; None if it is not at hand.
    theta : array (P,)
        The end of a run.
    most : int
        How many parameters are shown.
    active : array (P,), optional
        -1 for a parameter at its lower bound, 1 at its upper one, else 0.
    names : tuple of str, optional
        The names of the parameters.
    """
    if problem is None:
        why = "errors   none: a stored run does not hold its problem; call summary(problem=...) or covariance(problem=...)"
        return [why, *_rows(theta, None, most, active, names)]
    found = errors = None
    try:
        model = GaussNewton().at(problem, theta)
        N, P = model.residual.shape[0], theta.shape[0]
        large = is_large(model)
        if not large and N * P * min(N, P) > SVD_LIMIT:
            head = [f"errors   not computed, for {N} residuals and {P} parameters: call covariance()"]
            return [*head, *_rows(theta, None, most, active, names)]
        found = covariance_of(model, "gauss-newton", None if active is None else active != 0)
        errors = _shown_errors(found, most)
        lines = _quality(model, found)
    except ValueError as error:
        lines = [f"errors   none: {error}"]
    lines += _rows(theta, errors, most, active, names)
    if found is not None and not large:
        lines += _correlations(found)
    return lines


def _quality(model: GaussNewtonModel, found: Covariance) -> list[str]:
    """Return the size of the residual in words, and how the errors were computed if not by singular values."""
    robust = robust_scaling(model.at) is not None
    dispersion = "dispersion" if robust else "dispersion (reduced chi-square)"
    line = (
        f"residual |q| = {float(model.residual @ model.residual) ** 0.5:.8g}, "
        f"{dispersion} {found.dispersion:.6g}, {found.degrees_of_freedom} degrees of freedom"
    )
    return [line, *([f"errors   by {found.method}"] if isinstance(found.spread, SparseSpread) else [])]


def _shown_errors(found: Covariance, most: int) -> Array:
    """Return the standard errors of the parameters that are shown, (K,)."""
    spread, P = found.spread, found.theta.shape[0]
    if isinstance(spread, SparseSpread) and spread.work > QUICK:
        return found.errors_of(np.eye(min(most, P), P, dtype=found.theta.dtype))
    return found.standard_errors


def _rows(
    theta: Array, errors: Array | None, most: int, active: Array | None, names: tuple[str, ...] | None
) -> list[str]:
    """Return one line for each parameter that is shown, below their titles."""
    P = theta.shape[0]
    labels = [f"[{j}]" if names is None else names[j] for j in range(min(most, P))]
    width = max(8, *map(len, labels))
    lines = [f"{'':{width}} {'parameter':>16} {'standard error' if errors is not None else '':>16}".rstrip()]
    for j, label in enumerate(labels):
        line = f"{label:{width}} {float(theta[j]):16.9g}"
        if active is not None and float(active[j]) != 0:
            line += f" {'fixed':>16}  at its {'upper' if active[j] > 0 else 'lower'} bound"
        elif errors is not None:
            line += f" {float(errors[j]):16.4g}"
            line += f"  ({100 * abs(float(errors[j]) / float(theta[j])):.2g} %)" if float(theta[j]) != 0 else ""
        lines.append(line)
    return [*lines, *([f"{'':{width}} and {P - most} more"] if most < P else [])]


def _correlations(found: Covariance) -> list[str]:
    """Return the largest correlations of parameters, from `CORRELATED` on, one in each line."""
    C = to_numpy(found.correlation)
    i, j = np.nonzero(np.triu(np.abs(C) > CORRELATED, 1))
    order = np.argsort(-np.abs(C[i, j]), kind="stable")
    if not order.size:
        return []
    pairs = [f"({found.names[i[k]]}, {found.names[j[k]]}) {C[i[k], j[k]]:+.3f}" for k in order[:MOST_PAIRS]]
    more = f"; and {order.size - MOST_PAIRS} more" if order.size > MOST_PAIRS else ""
    return [f"correlations beyond {CORRELATED:g}: {', '.join(pairs)}{more}"]
