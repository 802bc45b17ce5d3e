"""The modified equation of a scheme to second order: its field, whether it has a modified loss, how it regularizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from ..backward_error.expansion import invariant, leaf
from ..backward_error.jets import NoResidual
from ..backward_error.lie import JetField, jet_field
from ..backward_error.modified import ModifiedField, modified_field
from ..backward_error.orders import MANY, order_table
from ..backward_error.symbolic_steps import NotOnSymbols, leaves, name_of, noted_conditions, replaced
from ..energies.dense import DenseLeastSquares
from ..namespace import Array, quiet
from ..schemes.protocols import scheme_ability
from ..symbolic import Undecided
from .certificate import Entry
from .trials import attributes, within

__all__ = ["modified_equation"]

ORDER = 2
STEPS, TOLERANCE, ROUNDING = (50, 100, 200), 0.3, 1e-11
"""In how many steps the times are reached, and how far below its value an observed order may be."""
ENDS, OTHER_ENDS = (1.0, 0.01), (0.01, 0.001)
"""The times, the second by schemes with a long memory; those of a scheme whose flow is not that of the gradient, whose dt may be a
length."""
RTOL, EVALUATIONS = 1e-12, 4000
RESIDUALS = 2
START = np.array([-0.8, 0.6])
"""Where no derivative of the energies is small."""
LONGEST = 400
"""Characters of a formula that is printed."""
PLANE = (
    "two coordinates, the sum of products as inner product, every positive energy with three derivatives where its first ones do not "
    "vanish, these parameters"
)
COORDINATES = "two coordinates and {} residuals, the sum of products as inner product, where no first derivative vanishes, these parameters"
SIDES = "[|o] = -J^* J o with the derivative J of the residual, and [o|] the rest of [o]"
EVERY = "every dimension and inner product, every positive energy with three derivatives, these parameters"

AS_FOR_SMALL = ", where every condition of the step is as it is for small dt, E and gradients"


def modified_equation(scheme: Any) -> list[Entry]:
    """Return the modified field of a scheme to second order, and what follows from it.

    Parameters
    ----------
    scheme : Scheme
        The scheme.

    Raises
    ------
    ValueError
        If the step has no expansion on abstract vectors, and none in two coordinates.
    """
    section = "modified equation"
    try:
        with noted_conditions() as conditions:
            found = modified_field(scheme, ORDER)
    except ValueError as error:
        return _in_coordinates(scheme, error)
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
    if "|" in terms:
        words = f"{words[:-2]}, {SIDES}: "
    scope = EVERY + _away_from(found) + (AS_FOR_SMALL if conditions else "")
    entries = [Entry(section, "modified field", claim, "proved", scope, f"{words}{terms}; {followed}")]
    kept = [] if not found.rates else _without_indices(sorted({str(x) for rate in found.rates for x in rate}))
    return [*entries, _loss(found, kept, scope), *_regularization(found, scheme, scope)]


def _away_from(found: ModifiedField) -> str:
    """Return what is to be added to the scope where a coefficient divides by the norm of the gradient."""
    square = invariant(leaf, leaf)
    under = [sp.fraction(sp.together(c))[1] for part in found.fields for c in part.values()]
    return ", where the gradient does not vanish" if any(e.subs(square, 0) == 0 for e in under) else ""


class _Coordinates(NamedTuple):
    """A modified field in two coordinates."""

    field: JetField
    letters: JetField
    """The same with letters for the settings."""
    settings: dict[sp.Symbol, float]
    """Their values."""
    residuals: int


def _in_coordinates(scheme: Any, refused: ValueError) -> list[Entry]:
    """Return the entries of a step that is a function of coordinates, or raise ValueError with both reasons."""
    section, name = "modified equation", "modified field"
    try:
        with noted_conditions() as conditions:
            found = _field_in_coordinates(scheme)
    except NotOnSymbols:
        raise refused from None
    except ValueError as error:
        raise ValueError(f"in two coordinates: {' '.join(str(error).split())}; in general: {refused}") from error
    followed = _require_iterates_follow_in_coordinates(found, scheme)
    field, algebra = found.letters, found.letters.algebra
    names = algebra.record.names
    claim = "in two coordinates, one step is the flow of the modified field at the time dt, modulo dt^3"
    memory = _without_indices(map(str, field.slaved))
    if memory:
        verb = "has" if len(memory) == 1 else "have"
        claim += f", where {' and '.join(memory)} of the state {verb} forgotten the start (on the slow manifold)"
    texts = [
        f"{variable}' = {_term(algebra.written(one))} + dt ({_term(algebra.written(two))})"
        for variable, one, two in zip(field.variables, *field.field[:ORDER], strict=True)
    ]
    of = "E" if names == ("E",) else f"the residuals {', '.join(names)}"
    words = f"derivatives of {of} are written {names[0]}_i and {names[0]}_ij"
    values = ", ".join(f"{letter} = {value:g}" for letter, value in found.settings.items())
    detail = "; ".join([words, *([values] if values else []), *texts, followed])
    scope = COORDINATES.format(found.residuals) if found.residuals else PLANE
    scope += AS_FOR_SMALL if conditions else ""
    entries = [Entry(section, name, claim, "proved", scope, detail)]
    return [*entries, _loss(found.field, _without_indices(field.variables[2:]), scope)]


def _without_indices(names: Iterable[str]) -> list[str]:
    """Return the names of the parts of a state to which components belong: ``aux`` for ``aux_0`` and ``aux_1``."""
    return sorted({name.rstrip("0123456789").rstrip("_") for name in names})


def _term(e: sp.Expr) -> str:
    text = str(e)
    return text if len(text) <= LONGEST else f"{len(text)} characters, which gradflow.backward_error.jet_field returns"


def _field_in_coordinates(scheme: Any) -> _Coordinates:
    """Return the field of a scheme with its settings as they are, and as letters where they are positive numbers of its own."""

    def made(letters: dict[str, sp.Symbol]) -> tuple[JetField, int]:
        try:
            return jet_field(scheme, ORDER, variables=2, symbols=letters), 0
        except NoResidual:
            return jet_field(scheme, ORDER, variables=2, symbols=letters, residuals=RESIDUALS), RESIDUALS

    field, residuals = made({})
    own = attributes(scheme) if within(scheme) is None else {}
    settings = {
        sp.Symbol(name, positive=True): value
        for name, value in own.items()
        if isinstance(value, float) and isfinite(value) and value > 0 and name != "stabilization"
    }
    plain = _Coordinates(field, field, {}, residuals)
    if not settings:
        return plain
    try:
        letters, _ = made({str(letter): letter for letter in settings})
    except ValueError:
        return plain
    numbers = {letter: sp.Rational(repr(value)) for letter, value in settings.items()}
    for one, two in zip((p for f in field.field for p in f), (p for f in letters.field for p in f), strict=True):
        difference = field.algebra.written(one) - letters.algebra.written(two).xreplace(numbers)
        at = {s: sp.Rational(k + 2, k + 7) for k, s in enumerate(sorted(difference.free_symbols, key=str))}
        if abs(sp.N(difference.xreplace(at), 40)) > 1e-30:
            return plain  # with letters the step takes another branch
    return _Coordinates(field, letters, settings, residuals)


def _require_iterates_follow_in_coordinates(found: _Coordinates, scheme: Any) -> str:
    """As `_require_iterates_follow`, with the field in two coordinates."""
    field, (x, y) = found.field, sp.symbols("x y", real=True)
    residual = _residual(np.array([x, y], dtype=object))[: found.residuals or None]
    energies = (
        dict(zip(field.algebra.record.names, residual, strict=True))
        if found.residuals
        else sum(q * q for q in residual) / 2
    )
    terms = [p for f in field.field[:ORDER] for p in f]
    velocity = field.algebra.function(terms, energies, (x, y))
    manifold = [p for series in field.slaved.values() for p in series]
    slaved = field.algebra.function(manifold, energies, (x, y))
    problem, m = _quartic_least_squares(found.residuals or None), len(field.variables)
    for end in _ends(scheme):
        errors = []
        for n in STEPS:
            dt = end / n
            state, start = _start(problem, scheme, field, slaved, dt)

            def right(_: float, u: Array, dt: float = dt) -> Array:
                values = velocity(list(u))
                return np.array([sum(dt**k * values[k * m + i] for k in range(ORDER)) for i in range(m)])

            reached = _integrated(right, start, end)
            with quiet():
                for _ in range(n):
                    state = scheme.step(problem, state, dt)
            errors.append(float(np.max(np.abs(state[0] - reached[:2]))))
        observed = (
            float(np.log2(errors[-2] / errors[-1])) if min(errors) > 0 and np.all(np.isfinite(errors)) else -np.inf
        )
        if observed >= ORDER - TOLERANCE or max(errors) <= ROUNDING:
            return f"measured: iterates follow it with order {ORDER} or more, {STEPS[-1]} steps"
    raise ValueError(
        f"iterates in floating point do not follow the field found on symbols: their order is {observed:.2f}"
    )


def _start(problem: Any, scheme: Any, field: JetField, slaved: Any, dt: float) -> tuple[Any, Array]:
    """Return a state on the slow manifold, after many steps, and the values of the variables there."""
    state = scheme.init(problem, START)
    needed = {*field.slaved, *field.variables[2:]}
    if not needed <= {name for name, *_ in _numbers_of(state)}:  # a two-step method has no past yet
        state = replaced(scheme.step(problem, state, dt), {(0,): START})
    known = {name: float(value) for name, _, value in _numbers_of(state)}
    start = np.array([*START, *(known[name] for name in field.variables[2:])])
    series = iter(slaved(list(start)))
    values = {name: sum(dt**k * next(series) for k, _ in enumerate(terms)) for name, terms in field.slaved.items()}
    new: dict[Any, Any] = {}
    for path, value in leaves(state):
        if isinstance(value, int) and not isinstance(value, bool):
            new[path] = MANY
        elif path != (0,) and np.ndim(value) > 0:
            names = ["_".join(map(str, (name_of(state, path), *at))) for at in np.ndindex(value.shape)]
            new[path] = np.array([values.get(n, e) for n, e in zip(names, value.ravel(), strict=True)]).reshape(
                value.shape
            )
        elif name_of(state, path) in values:
            new[path] = np.float64(values[name_of(state, path)])
    return replaced(state, new), start


def _numbers_of(state: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the numbers of a state by the names that `gradflow.backward_error.lie.jet_field` gives them, with their places."""
    for path, value in leaves(state):
        if isinstance(value, (np.ndarray, np.floating, float)):
            for at in np.ndindex(np.shape(value)):
                yield "_".join(map(str, (name_of(state, path), *at))), path, np.asarray(value)[at]


def _integrated(right: Callable[[float, Array], Array], start: Array, end: float) -> Array:
    """Return the solution at the end; NaN where the field is not smooth, so that it takes too many evaluations."""
    from scipy.integrate import solve_ivp

    left = [EVALUATIONS]

    def limited(t: float, u: Array) -> Array:
        left[0] -= 1
        return right(t, u) if left[0] >= 0 else np.full_like(u, np.nan)

    with quiet():
        try:
            run = solve_ivp(limited, (0.0, end), start, method="DOP853", rtol=RTOL, atol=RTOL)
        except (ArithmeticError, ValueError):  # Python's numbers raise where NumPy's are not finite
            return np.full_like(start, np.nan)
    return run.y[:, -1] if run.success else np.full_like(start, np.nan)


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
    for end in _ends(scheme):
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


A = np.array([[[0.6, 0.1], [0.1, -0.4]], [[0.0, 0.5], [0.5, 0.3]], [[-0.3, 0.0], [0.0, 0.2]]])
B = np.array([[0.9, -0.2], [0.3, 0.8], [-0.4, 0.5]])


def _residual(t: Array) -> Array:
    """Return a residual of two parameters, (3,), that is curved."""
    return A @ t @ t / 2 + B @ t - np.array([0.7, -0.5, 0.4])


def _ends(scheme: Any) -> tuple[float, ...]:
    return OTHER_ENDS if scheme_ability(scheme, "speed") is None else ENDS


def _quartic_least_squares(n: int | None = None) -> DenseLeastSquares:
    """Return half the sum of squares of n residuals, by default of all, with its second derivative."""

    def J(t: Array) -> Array:
        return (A @ t + B)[:n]

    def hvp(t: Array, v: Array) -> Array:
        return J(t).T @ (J(t) @ v) + np.einsum("i,ijk,k", _residual(t)[:n], A[:n], v)

    return DenseLeastSquares(lambda t: _residual(t)[:n], J, hvp=hvp)


def _loss(found: ModifiedField | JetField, kept: list[str], scope: str) -> Entry:
    """Return whether the field of theta is minus the gradient of a loss, with the further unknowns of these names fixed."""
    section, name = "modified equation", "modified loss"
    where = f"with {' and '.join(kept)} of the state fixed, " if kept else ""
    depend = "depends" if len(kept) == 1 else "depend"
    other = (
        f"where {' and '.join(kept)} {depend} on theta, the field of theta is another one, of which this says nothing"
    )
    try:
        first = next((k for k in range(1, ORDER + 1) if not found.is_gradient(k)), None)
    except Undecided as error:
        claim = f"{where}to second order the modified field is minus the gradient of a loss"
        return Entry(section, name, claim, "undecided", detail=str(error))
    if first is not None:
        claim = f"{where}to second order the modified field is not, for every energy, minus the gradient of a loss"
        details = [f"the derivative of f_{first} is not symmetric"]
    else:
        plane = "" if isinstance(found, ModifiedField) else "in two coordinates, "
        claim = f"{plane}{where}to second order the modified field is minus the gradient of a loss"
        details = [_potential(found)] if isinstance(found, ModifiedField) else []
    return Entry(section, name, claim, "proved", scope, "; ".join([*details, *([other] if kept else [])]))


def _potential(found: ModifiedField) -> str:
    """Return the loss as a sentence, or why no formula for it is known."""
    try:
        loss = str(found.loss(ORDER))
    except ValueError as error:
        return f"no potential was found: {error}"
    return f"the loss is {loss}" + (", (o, o) = |grad E|_M^2" if "(o, o)" in loss else "")


def _regularization(found: ModifiedField, scheme: Any, scope: str) -> list[Entry]:
    c = found.regularization
    if c is None or len(str(c)) > LONGEST:
        return []
    effect = "no implicit regularization by the gradient to this order" if c == 0 else ""
    if c != 0 and c.is_number:
        effect = "small gradients are preferred" if c > 0 else "large gradients are preferred"
    claim = f"up to a change of time, a step is the gradient flow of E + c dt |grad E|_M^2 modulo dt^3, with c = {c}"
    start = (
        " with aux the auxiliary variable, fixed in the gradient"
        if scheme_ability(scheme, "carries_auxiliary") and "aux" in str(c)
        else ""
    )
    return [Entry("modified equation", "regularization", claim + start, "proved", scope, effect)]
