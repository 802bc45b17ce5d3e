"""What a run records: named quantities of a problem, a scheme and two consecutive states."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..schemes.protocols import AuxiliaryScheme, EnergyTerms, Scheme

__all__ = ["QUANTITIES", "Moment", "Record", "default_record", "resolve"]


class Moment(NamedTuple):
    """All that a recorded quantity may depend on."""

    problem: Problem
    """The full problem (not the batch)."""
    scheme: Scheme
    """The scheme."""
    state: Any
    """The state now."""
    energies: tuple[Array, Array] | None
    """Modified energy before and after the last step, on the problem (batch) that it was taken on."""
    terms: EnergyTerms | None
    """The terms of the last step's energy identity."""
    dt: Scalar
    """Its step size."""


Quantity: TypeAlias = Callable[[Moment], Any]
"""A function of a `Moment` whose value is recorded."""
Record: TypeAlias = Iterable[str | tuple[str, Callable[[Any], Any]]]
"""Names from `QUANTITIES`, or pairs of your own name and a function of the state."""

NAN = float("nan")


def _energy(at: Moment) -> Any:
    return at.problem.energy(at.state.theta)


def _modified_energy(at: Moment) -> Any:
    if not isinstance(at.scheme, AuxiliaryScheme):
        return NAN
    return at.scheme.modified_energy(at.problem, at.state)


def _consistent(at: Moment) -> Any:
    """Return the auxiliary variable by its definition, None where that cannot be set beside the state's."""
    if not isinstance(at.scheme, AuxiliaryScheme):
        return None
    consistent = at.scheme.auxiliary(at.problem, at.state.theta)
    return consistent if consistent.shape == at.state.aux.shape else None  # a restarted residual is the last batch's


def _logarithmic(scheme: Any) -> bool:
    """Return whether the auxiliary variable is kept as its logarithm."""
    return bool(getattr(getattr(scheme, "base", scheme), "logarithmic_auxiliary", False))


def _auxiliary_ratio(at: Moment) -> Any:
    """Return r / sqrt(E + C), with its sign, or its like: |q| / |q^| for vectors, exp(s - s^) for logarithms."""
    consistent = _consistent(at)
    if consistent is None:
        return NAN
    xp = array_namespace(at.state.theta)
    if _logarithmic(at.scheme):
        return xp.exp(at.state.aux - consistent)
    if consistent.ndim == 0:
        return at.state.aux / consistent
    return xp.sqrt(xp.sum(at.state.aux**2) / xp.sum(consistent**2))


def _auxiliary_gap(at: Moment) -> Any:
    """Return |aux - its definition| / |its definition|."""
    consistent = _consistent(at)
    if consistent is None:
        return NAN
    xp = array_namespace(at.state.theta)
    if _logarithmic(at.scheme):
        return abs(xp.expm1(at.state.aux - consistent))
    return xp.sqrt(xp.sum((at.state.aux - consistent) ** 2) / xp.sum(consistent**2))


def _gradient_norm(at: Moment) -> Any:
    _, g = at.problem.energy_and_gradient(at.state.theta)
    return array_namespace(g).sqrt(at.problem.inner(g, g))


def _dissipation(at: Moment) -> Any:
    return NAN if at.terms is None else at.terms.dissipation


def _numerical_dissipation(at: Moment) -> Any:
    return NAN if at.terms is None else at.terms.numerical


def _identity_residual(at: Moment) -> Any:
    """Return what the energy identity of the last step leaves over: round-off."""
    if at.terms is None or at.energies is None:
        return NAN
    return at.energies[1] - at.energies[0] + at.terms.dissipation + at.terms.numerical


def _xi0(at: Moment) -> Any:
    return getattr(at.state, "xi0", NAN)


QUANTITIES: dict[str, Quantity] = {
    "energy": _energy,
    "modified_energy": _modified_energy,
    "auxiliary_ratio": _auxiliary_ratio,
    "auxiliary_gap": _auxiliary_gap,
    "gradient_norm": _gradient_norm,
    "dissipation": _dissipation,
    "numerical_dissipation": _numerical_dissipation,
    "identity_residual": _identity_residual,
    "xi0": _xi0,
}
"""Quantities that `solve` records by name: E, the modified energy, r / sqrt(E + C) and its like, the distance of the
auxiliary variable from its definition, the gradient's norm in the problem's inner product, the two terms of the last
step's energy identity and what they leave over, and xi_0. NaN where a scheme has no such thing."""


def default_record(scheme: Scheme) -> tuple[str, ...]:
    """Return the quantities recorded when the caller names none.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    """
    return ("energy", "modified_energy") if isinstance(scheme, AuxiliaryScheme) else ("energy",)


def resolve(record: Record) -> dict[str, Quantity]:
    """Return name -> function of a `Moment`.

    Parameters
    ----------
    record : iterable
        Names from `QUANTITIES`, or pairs of a name and a function of the state.

    Raises
    ------
    ValueError
        If a name is unknown, or appears twice.
    """
    if isinstance(record, str):
        raise ValueError(f"record must be a list of names or (name, function) pairs, got the string {record!r}")
    chosen: dict[str, Quantity] = {}
    for item in record:
        if isinstance(item, str):
            if item not in QUANTITIES:
                raise ValueError(f"record knows {', '.join(QUANTITIES)}; got {item!r}")
            name, quantity = item, QUANTITIES[item]
        else:
            name, function = item
            quantity = _of_state(function)
        if name in chosen or name in ("step", "time", "epoch"):
            raise ValueError(f"record has the name {name!r} twice")
        chosen[name] = quantity
    return chosen


def _of_state(function: Callable[[Any], Any]) -> Quantity:
    return lambda at: function(at.state)
