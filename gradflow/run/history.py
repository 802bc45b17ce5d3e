"""The quantities that a run records, as functions of a problem, a scheme and two consecutive states."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from math import copysign, exp, expm1, inf, isnan, log, nan
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..curvature.eigenvalues import extreme_eigenvalues
from ..curvature.hessian import Hessian
from ..description import found
from ..energies.protocols import Problem, norm
from ..namespace import Array, shape_of
from ..refusals import instance, real_value
from ..schemes.protocols import AuxiliaryScheme, EnergyTerms, Scheme, scheme_ability
from ..schemes.relaxation import Logarithmic

__all__ = ["QUANTITIES", "Moment", "Record", "recorded", "resolve"]


class Moment(NamedTuple):
    """The arguments of a recorded quantity."""

    problem: Problem
    """The full problem (not the batch)."""
    scheme: Scheme
    """The scheme."""
    state: Any
    """The current state."""
    energies: tuple[Array, Array] | None
    """Modified energy before and after the last step, for the problem (of the batch) on which it was taken."""
    terms: EnergyTerms | None
    """The terms of the last step's energy identity; None if it has no identity."""
    energy: Array | None = None
    """E of the full problem at the current state, 0-d, if the step has evaluated it."""


Quantity: TypeAlias = Callable[[Moment], Any]
"""A function of a `Moment`. Its value, a number or 0-d, is recorded; None if the scheme does not define it."""
Record: TypeAlias = Iterable[str | tuple[str, Callable[[Any], Any]]]
"""Names from `QUANTITIES`, or pairs of a name and a function of the state."""

LARGEST = sys.float_info.max


def _energy(at: Moment) -> Any:
    return at.problem.energy(at.state.theta) if at.energy is None else at.energy


def _modified_energy(at: Moment) -> Any:
    if not isinstance(at.scheme, AuxiliaryScheme):
        return None
    return at.scheme.modified_energy(at.problem, at.state)


def _consistent(at: Moment) -> Any:
    """Return the auxiliary variable by its definition, None if it cannot be compared with that of the state."""
    if not isinstance(at.scheme, AuxiliaryScheme):
        return None
    consistent = at.scheme.auxiliary(at.problem, at.state.theta)
    return consistent if consistent.shape == at.state.aux.shape else None  # a restarted residual is the last batch's


def _logarithmic(at: Moment) -> bool:
    """Return whether the auxiliary variable is stored as its logarithm."""
    return isinstance(at.scheme, AuxiliaryScheme) and isinstance(at.scheme.law(at.problem, at.state), Logarithmic)


def _quotient(part: float, whole: float, neither: float) -> float:
    """Return part / whole, `neither` for 0 / 0, and at most the largest finite number."""
    if part == 0 and whole == 0:
        return neither
    value = part / whole if whole != 0 else inf
    return copysign(min(abs(value), LARGEST), part) if not isnan(value) else value


def _euclidean(u: Array) -> float:
    """Return |u|, also if its square leaves the range of the dtype."""
    return abs(float(u)) if u.ndim == 0 else norm(lambda a, b: a @ b, u)


def _auxiliary_ratio(at: Moment) -> Any:
    """Return r / sqrt(E + C) with its sign, |q| / |q^| for a vector, exp(s - s^) for a logarithm."""
    consistent = _consistent(at)
    if consistent is None:
        return None
    if _logarithmic(at):
        gap = float(at.state.aux - consistent)
        return exp(gap) if gap < log(LARGEST) else LARGEST
    sign = float(at.state.aux) if consistent.ndim == 0 else 1.0
    return copysign(_quotient(_euclidean(at.state.aux), _euclidean(consistent), 1.0), sign)


def _auxiliary_gap(at: Moment) -> Any:
    """Return |aux - its definition| / |its definition|."""
    consistent = _consistent(at)
    if consistent is None:
        return None
    if _logarithmic(at):
        gap = float(at.state.aux - consistent)
        return abs(expm1(gap)) if gap < log(LARGEST) else LARGEST
    return _quotient(_euclidean(at.state.aux - consistent), _euclidean(consistent), 0.0)


def _gradient_norm(at: Moment) -> Any:
    return norm(at.problem.inner, at.problem.energy_and_gradient(at.state.theta)[1])


def _eigenvalue(end: str) -> Quantity:
    """Return an extreme eigenvalue of the Hessian as a quantity."""
    return lambda at: getattr(extreme_eigenvalues(Hessian().at(at.problem, at.state.theta), end), end).value


def _term(name: str) -> Quantity:
    """Return a term of the last step's energy identity as a quantity."""
    return lambda at: None if at.terms is None else getattr(at.terms, name)


def _identity_residual(at: Moment) -> Any:
    """Return the residual of the last step's energy identity, which is round-off."""
    if at.terms is None or at.energies is None:
        return None
    return at.energies[1] - at.energies[0] + at.terms.dissipation + at.terms.numerical


def _field(name: str) -> Quantity:
    """Return a field of the state as a quantity, None for a scheme that does not declare it."""
    return lambda at: getattr(at.state, name) if name in scheme_ability(at.scheme, "records") else None


QUANTITIES: dict[str, Quantity] = {
    "energy": _energy,
    "modified_energy": _modified_energy,
    "auxiliary_ratio": _auxiliary_ratio,
    "auxiliary_gap": _auxiliary_gap,
    "gradient_norm": _gradient_norm,
    "smallest_eigenvalue": _eigenvalue("smallest"),
    "largest_eigenvalue": _eigenvalue("largest"),
    "dissipation": _term("dissipation"),
    "numerical_dissipation": _term("numerical"),
    "identity_residual": _identity_residual,
    "xi0": _field("xi0"),
}
"""Quantities that `solve` records by name: E, the modified energy, the ratio of the auxiliary variable to its
definition (r / sqrt(E + C) for `SAV`) and its relative distance from it, the gradient's norm in the problem's inner
product, the smallest and the largest eigenvalue of the Hessian, the two terms of the last step's energy identity and its
residual, and xi_0. An eigenvalue costs some tens of ``hvp`` on the full problem in each record, at most 300, by
`gradflow.curvature.extreme_eigenvalues`. A quantity that a scheme does not define is NaN. A scheme's own numbers are
recorded by the names that it declares as ``records``. A ratio beyond the
range of doubles is recorded as the largest double."""


def resolve(record: Record | None, scheme: Scheme) -> dict[str, Quantity]:
    """Return name -> function of a `Moment`, or raise ValueError if a name is unknown or appears twice.

    Parameters
    ----------
    record : iterable or None
        Names from `QUANTITIES` or of the scheme's own ``records``, or pairs of a name and a function of the state. By
        default the energy, and the modified energy if there is one.
    scheme : Scheme
        The scheme.
    """
    if record is None:
        record = ("energy", "modified_energy") if isinstance(scheme, AuxiliaryScheme) else ("energy",)
    own = scheme_ability(scheme, "records")
    if isinstance(record, (str, bytes)) or not isinstance(record, Iterable) or hasattr(record, "shape"):
        raise ValueError(f"record must be a list of names or (name, function) pairs, got {found(record)}")
    chosen: dict[str, Quantity] = {}
    for item in record:
        if isinstance(item, str):
            if item not in QUANTITIES and item not in own:
                theirs = f"; {type(scheme).__name__} records {', '.join(own) or 'nothing'} of its own"
                raise ValueError(f"a name in record must be one of {', '.join(QUANTITIES)}{theirs}; got {found(item)}")
            name = item
            quantity = QUANTITIES.get(name) or _field(name)
        elif isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str):
            name = item[0]
            quantity = _of_state(instance(f"{name} in record", item[1], Callable, "a function of the state"))
        else:
            raise ValueError(f"record must be a list of names or (name, function) pairs, got {found(item)} in it")
        if name in chosen or name in ("step", "time", "epoch"):
            raise ValueError(f"record has the name {name!r} twice")
        chosen[name] = quantity
    return chosen


def recorded(name: str, value: Any) -> float:
    """Return a quantity's value as a float, NaN for None, or raise ValueError unless it is a real number or 0-d array.

    Parameters
    ----------
    name, value : str, object
        The name in the error message, and the value that the quantity returned.
    """
    if value is None:
        return nan
    value = real_value(f"{name} in record", int(value) if isinstance(value, (bool, np.bool)) else value)
    if shape_of(value) != ():
        raise ValueError(f"{name} in record must be a number, got {found(value)}")
    return float(value)


def _of_state(function: Callable[[Any], Any]) -> Quantity:
    return lambda at: function(at.state)
