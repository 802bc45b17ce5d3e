"""The modified equation of a scheme to second order: its field, whether it has a modified loss, how it regularizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backward_error.expansion import leaf
from ..backward_error.modified import ModifiedField, modified_field
from ..backward_error.orders import order_table
from ..energies.dense import DenseLeastSquares
from ..namespace import Array
from ..schemes.protocols import scheme_ability
from .certificate import Entry

__all__ = ["modified_equation"]

ORDER = 2
STEPS, ENDS, TOLERANCE, ROUNDING = (50, 100, 200), (1.0, 0.01), 0.3, 1e-11
"""In how many steps the times are reached, the second by schemes with a long memory, and how far below its value an observed order
may be."""
START = np.array([0.4, -0.3])
LONGEST = 400
"""Characters of a formula that is printed."""
EVERY = "every dimension and inner product, every positive energy with three derivatives, these parameters"


def modified_equation(scheme: Any) -> list[Entry]:
    """Return the modified field of a scheme to second order, and what follows from it.

    Parameters
    ----------
    scheme : Scheme
        The scheme.

    Raises
    ------
    ValueError
        If the step has no expansion on abstract vectors.
    """
    section = "modified equation"
    found = modified_field(scheme, ORDER)
    _require_agreement(found, scheme)
    followed = _require_iterates_follow(found, scheme)
    terms = ", ".join(f"{tree}: {c}" for tree, c in found.coefficients.items())
    claim = "one step is the flow of the modified field at the time dt, modulo dt^3"
    if found.manifold:
        claim += (
            f", where {' and '.join(found.manifold)} of the state "
            + ("has" if len(found.manifold) == 1 else "have")
            + " forgotten the start (on the slow manifold)"
        )
    if len(terms) > LONGEST:
        terms = f"the coefficients have {len(terms)} characters; gradflow.backward_error.modified_field returns them"
    words = "coefficients of o = -grad E and [o] = (-grad E)'(-grad E), a tree of n nodes times dt^(n - 1): "
    entries = [Entry(section, "modified field", claim, "proved", EVERY, f"{words}{terms}; {followed}")]
    return [*entries, _loss(found), *_regularization(found, scheme)]


def _require_agreement(found: ModifiedField, scheme: Any) -> None:
    """Raise ValueError if the field is not that of a scheme with the declared speed and order."""
    speed, order = scheme_ability(scheme, "speed"), int(scheme_ability(scheme, "order"))
    if speed is None or set(found.fields[0]) != {leaf} or not found.fields[0][leaf].is_number:
        return
    if abs(float(found.fields[0][leaf]) - float(speed)) > 1e-9 * float(speed):
        raise ValueError(f"by its modified field the scheme has the speed {found.fields[0][leaf]}, it declares {speed}")
    if order >= 2 and found.fields[1]:
        raise ValueError(f"by its modified field the scheme has order 1, it declares {order}")


def _require_iterates_follow(found: ModifiedField, scheme: Any) -> str:
    """Return how closely iterates in floating point follow the field, or raise ValueError if they do not.

    A step may behave on symbols as it does not on numbers, or later in a run as it does not at its start.
    """
    c = found.fields[0].get(leaf)
    speed = abs(float(c)) if c is not None and c.is_number and c != 0 else 1.0
    for end in ENDS:
        dts = tuple(end / speed / n for n in STEPS)
        table = order_table(_quartic_least_squares(), scheme, START, dts, end / speed, order=ORDER, field=found)
        observed = table.orders[-1][-1]
        if observed >= ORDER - TOLERANCE or max(table.errors[-1]) <= ROUNDING:
            break
    else:
        raise ValueError(
            f"iterates in floating point do not follow the field found on symbols: their order is {observed:.2f}"
        )
    return f"measured: iterates follow it with order {ORDER} or more, {STEPS[-1]} steps"


def _quartic_least_squares() -> DenseLeastSquares:
    """Return a residual of two parameters that is curved, with its second derivative."""
    A = np.array([[[0.6, 0.1], [0.1, -0.4]], [[0.0, 0.5], [0.5, 0.3]], [[-0.3, 0.0], [0.0, 0.2]]])
    B = np.array([[0.9, -0.2], [0.3, 0.8], [-0.4, 0.5]])
    c = np.array([0.7, -0.5, 0.4])

    def q(t: Array) -> Array:
        return A @ t @ t / 2 + B @ t - c

    def J(t: Array) -> Array:
        return A @ t + B

    def hvp(t: Array, v: Array) -> Array:
        return J(t).T @ (J(t) @ v) + np.einsum("i,ijk,k", q(t), A, v)

    return DenseLeastSquares(q, J, hvp=hvp)


def _loss(found: ModifiedField) -> Entry:
    section, name = "modified equation", "modified loss"
    if found.is_gradient(ORDER):
        return Entry(section, name, "to second order the modified field is minus the gradient of a loss", "proved", EVERY,
                     f"the loss is {found.loss(ORDER)}, (o, o) = |grad E|_M^2")  # fmt: skip
    claim = "to second order the modified field is not, for every energy, the gradient of a loss"
    return Entry(section, name, claim, "proved", EVERY)


def _regularization(found: ModifiedField, scheme: Any) -> list[Entry]:
    c = found.regularization
    if c is None or len(str(c)) > LONGEST:
        return []
    effect = "no implicit regularization by the gradient to this order" if c == 0 else ""
    if c != 0 and c.is_number:
        effect = "small gradients are preferred" if c > 0 else "large gradients are preferred"
    claim = f"up to a change of time, a step is the gradient flow of E + c dt |grad E|_M^2 modulo dt^3, with c = {c}"
    start = (
        " with aux the auxiliary variable" if scheme_ability(scheme, "carries_auxiliary") and "aux" in str(c) else ""
    )
    return [Entry("modified equation", "regularization", claim + start, "proved", EVERY, effect)]
