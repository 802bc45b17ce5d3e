r"""The flow of a modified equation in numbers.

The modified field :math:`\tilde f = f_1 + \Delta t\,f_2 + \cdots` of `gradflow.backward_error.modified` is truncated after
:math:`f_k` and integrated,

.. math:: y' = \sum_{n=1}^{k} \Delta t^{n-1} f_n(y), \qquad \theta^n - y(n \Delta t) = O(\Delta t^{k})
          \quad \text{for } n \Delta t \le T,                                                                    \tag{1}

of higher order where :math:`f_{k+1}` vanishes. The terms are evaluated from the derivatives of the problem,
`gradflow.backward_error.differentials`; coefficients that depend on E and on invariants are evaluated along the way, and
further unknowns, such as a carried auxiliary variable, are integrated with theta.

For a method with momentum (1) holds on the slow manifold only: `gradflow.backward_error.orders.start` returns the state there.

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration, 2nd ed., 2006, section IX.1 and theorem IX.7.6; the
integrator is that of section II.5 of Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, 8(5,3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from math import inf, isfinite, log
from typing import Any

import numpy as np
import sympy as sp

from ..description import found
from ..energies.derivatives import MISSING
from ..energies.protocols import linear_part
from ..namespace import Array, is_numpy, quiet
from ..refusals import as_float, one_of, real_array, real_number, whole_number
from .differentials import Differentials, parsed, require_problem
from .expansion import ENERGY, Field, Node, invariant_trees, size, written
from .modified import ModifiedField, modified_field
from .symbolic_steps import DT, HIGHEST, Path, leaves

__all__ = ["ModifiedFlow", "as_modified_field", "modified_flow"]

RTOL = 1e-12
KNOWN = 3  # nodes of the largest trees of which problems have the derivatives
LEAST_RTOL = 100 * float(np.finfo(float).eps)  # below which SciPy replaces it
MOST_EVALUATIONS = 20_000  # from one time to the next: the errors of a field may be larger than the tolerance
NOT_FINITE = (sp.nan, sp.zoo, sp.oo, -sp.oo)
NOISY_RTOL = 1e-9  # where the field has the errors of differences, which no step size makes smaller


def as_modified_field(given: Any, order: int) -> ModifiedField:
    """Return the modified field up to f_order of a scheme, of a mapping, or of a field that is known.

    Parameters
    ----------
    given : Scheme, ModifiedField or mapping
        A mapping has numbers or SymPy expressions by tree, ``{"o": 1, "[o]": -1 / 2}``. The coefficient of a tree with n nodes is
        multiplied by ``dt^(n - 1)``; it is real, and may contain dt (`gradflow.backward_error.symbolic_steps.DT`), E and invariants of
        `gradflow.backward_error.expansion`.
    order : int
        The highest n of f_n, 1 to 8.

    Raises
    ------
    ValueError
        If a field is not known to this order, a key is not a tree, a coefficient is no finite real number or expression, or a
        scheme has no modified field.
    """
    order = whole_number("order", order, 1, HIGHEST)
    if not isinstance(given, (ModifiedField, Mapping)):
        given = modified_field(given, order)
    if isinstance(given, ModifiedField):
        if given.order < order:
            raise ValueError(f"order must be at most that of the field, {given.order}, got {order}")
        for part in given.fields[:order]:
            for tree, c in part.items():
                _coefficient(written(tree), c)
        return ModifiedField(order, given.fields[:order], given.rates[:order], given.manifold)
    fields: tuple[Field, ...] = tuple({} for _ in range(order))
    for name, value in given.items():
        tree = name if isinstance(name, Node) else parsed(name)
        c = _coefficient(written(tree), value)
        for n in range(size(tree), order + 1):
            power = n - size(tree)
            part = sp.diff(c, DT, power).subs(DT, 0) / sp.factorial(power)
            if part.has(*NOT_FINITE):
                raise ValueError(f"the coefficient of {written(tree)} has no Taylor polynomial in dt, got {c}")
            if part != 0:
                fields[n - 1][tree] = part
    return ModifiedField(order, fields)


def _coefficient(tree: str, value: Any) -> Any:
    """Return the coefficient of a tree as a SymPy expression, or raise ValueError unless it is finite and not known to be complex."""
    c = None
    if not isinstance(value, (bool, str, bytes)) and value is not None:
        with suppress(sp.SympifyError, TypeError, ValueError, AttributeError):
            c = sp.sympify(value)
    if not isinstance(c, sp.Expr) or c.has(*NOT_FINITE) or c.is_real is False:
        raise ValueError(
            f"the coefficient of {tree} must be a finite real number or a SymPy expression, got {found(value)}"
        )
    return c


class ModifiedFlow:
    """The flow of (1); `modified_flow` makes it.

    Parameters
    ----------
    problem : Problem
        The energy.
    field : ModifiedField
        Its field.
    dt : float
        The step size, > 0.
    scheme : Scheme or None
        Its ``init`` gives the further unknowns their initial values.
    missing : {"refuse", "differences"}
        As in `gradflow.backward_error.differentials.Differentials`.

    Raises
    ------
    ValueError
        If the problem has no gradient, a coefficient has a symbol of which no value is known, dt is not positive or has a power
        in the field that overflows, or `missing` is unknown.
    """

    def __init__(
        self, problem: Any, field: ModifiedField, dt: float, scheme: Any = None, missing: str = "refuse"
    ) -> None:
        self.problem, self.field, self.scheme = require_problem(problem), field, scheme
        self.missing = one_of("missing", missing, MISSING)
        self.dt = real_number("dt", dt, 0, open_low=True)
        if self.dt > 1 and (field.order - 1) * log(self.dt) > log(np.finfo(float).max):
            raise ValueError(f"dt must have a power dt^{field.order - 1} that is finite, got {found(dt)}")
        self._trees = list(dict.fromkeys(tree for part in field.fields for tree in part))
        self.unknowns = tuple(dict.fromkeys(str(symbol) for rate in field.rates for symbol in rate))
        """The names of the further unknowns."""
        self._coefficients = Expressions(
            [
                *(polynomial([part.get(tree, 0) for part in field.fields]) for tree in self._trees),
                *(polynomial([rate.get(symbol, 0) for rate in field.rates]) for symbol in _symbols(field)),
            ],
            self.unknowns,
        )

    def velocity(self, theta: Array, unknowns: Sequence[float] = ()) -> tuple[Array, tuple[float, ...]]:
        """Return the right-hand side of (1), (P,), and those of the further unknowns.

        Parameters
        ----------
        theta : array (P,)
            The point.
        unknowns : sequence of float
            Their values, in the order of the names.

        Raises
        ------
        ValueError
            If a tree needs a derivative that the problem does not have.
        """
        F = Differentials(self.problem, theta, missing=self.missing)
        values = self._coefficients(F, self.dt, unknowns)
        total, n = 0 * theta, len(self._trees)
        for tree, c in zip(self._trees, values[:n], strict=True):
            total = total + c * F(tree)
        return total, tuple(values[n:])

    def __call__(
        self, theta0: Array, times: Any, unknowns: Sequence[float] | None = None, *, rtol: float | None = None
    ) -> Array:
        """Return y at some times, (P,) for a number and (n, P) for n of them.

        The integrator is SciPy's DOP853, from one time to the next. Where it fails, since the field is not finite, its steps
        vanish or 20,000 evaluations do not suffice, the rest is NaN.

        Parameters
        ----------
        theta0 : array (P,)
            The start, NumPy.
        times : float, sequence of float or array (n,)
            Numbers >= 0 that do not fall, at least one.
        unknowns : sequence of float, optional
            Initial values of the further unknowns; by default those of the scheme's ``init``.
        rtol : float, optional
            Relative tolerance, dimensionless, from 2.3e-14 to 1; also relative to the largest entry of theta0. By default
            1e-12, and 1e-9 where derivatives are found by differences.

        Raises
        ------
        ValueError
            If an argument is outside what is said above, or the problem lacks a derivative.
        """
        from scipy.integrate import solve_ivp

        y = numpy_vector("theta0", theta0)
        at = numbers_of(times)
        if not at or any(later < earlier for earlier, later in pairwise([0.0, *at])):
            raise ValueError(f"times must be finite numbers >= 0 that do not fall, got {found(times)}")
        if rtol is not None:
            rtol = real_number("rtol", rtol, LEAST_RTOL, 1)
        if unknowns is None:
            unknowns = self._initial(y)
        given, unknowns = unknowns, numbers_of(unknowns)
        if unknowns is None or np.ndim(given) != 1 or len(unknowns) != len(self.unknowns):
            raise ValueError(
                f"unknowns must be {len(self.unknowns)} numbers ({', '.join(self.unknowns)}), got {given!r}"
            )
        P, state = y.shape[0], np.concatenate([y, np.asarray(unknowns, dtype=float)])
        if rtol is None:
            with quiet():
                self.velocity(y, unknowns)  # a problem knows afterwards what it took
            noisy = self.missing != "refuse" or getattr(self.problem, "second_derivative", "given").startswith(
                "differences"
            )
            rtol = NOISY_RTOL if noisy else RTOL
        atol = rtol * max(float(np.max(np.abs(state))), np.finfo(float).tiny)
        left = [0]

        def right_hand_side(_: float, z: Array) -> Array:
            left[0] -= 1
            if left[0] < 0:
                return np.full_like(z, np.nan)
            velocity, rates = self.velocity(z[:P], tuple(map(float, z[P:])))
            return np.concatenate([velocity, rates])

        rows, now = [], 0.0
        for time in at:
            if time > now and np.all(np.isfinite(state)):
                left[0] = MOST_EVALUATIONS
                with quiet():
                    # the integrator never ends if its first step is not a number
                    if np.all(np.isfinite(right_hand_side(now, state))):
                        run = solve_ivp(right_hand_side, (now, time), state, method="DOP853", rtol=rtol, atol=atol)
                        state = run.y[:, -1] if run.success else np.full_like(state, np.nan)
                    else:
                        state = np.full_like(state, np.nan)
                now = time
            rows.append(state[:P].copy())
        return rows[0] if np.ndim(times) == 0 else np.stack(rows)

    def _initial(self, theta0: Array) -> tuple[float, ...]:
        if not self.unknowns:
            return ()
        if self.scheme is None:
            raise ValueError(f"unknowns must be given: the initial values of {', '.join(self.unknowns)}")
        values = named_values(self.scheme.init(self.problem, theta0))
        return tuple(float(values[name][1]) for name in self.unknowns)


def modified_flow(problem: Any, scheme: Any, dt: float, order: int = 3, *, missing: str = "refuse") -> ModifiedFlow:
    """Return the flow of the modified equation of a scheme, truncated after ``dt^(order - 1)``.

    Parameters
    ----------
    problem : Problem
        The energy. Its ``hvp`` is needed for order 2, its third derivative for order 3.
    scheme : Scheme, ModifiedField or mapping
        Whose field, as in `as_modified_field`; or a function ``(problem, theta, dt) -> theta``.
    dt : float
        The step size, > 0.
    order : int
        The number of terms, 1 to 3 for a scheme: terms beyond have derivatives that problems do not have.
    missing : {"refuse", "differences"}
        What is done where the problem has a derivative that is not coded; see
        `gradflow.backward_error.differentials.Differentials`.

    Returns
    -------
    ModifiedFlow
        Called with theta0 and times, it returns the solution.

    Raises
    ------
    ValueError
        If an argument is outside what is said above, the scheme has no modified field to this order, or the problem has an energy part, which schemes treat implicitly.

    Examples
    --------
    Five steps of gradient descent on ``E = theta^4 / 4``, and the flow with one, two and three terms:

    >>> import numpy as np, gradflow as gf
    >>> quartic = gf.FunctionProblem(
    ...     lambda t: t @ t**3 / 4, lambda t: t**3, lambda t, v: 3 * t**2 * v, third_derivative=lambda t, u, v: 6 * t * u * v
    ... )
    >>> end = gf.solve(quartic, gf.GradientDescent(), np.array([1.0]), dt=0.02, steps=5).theta
    >>> flows = [modified_flow(quartic, gf.GradientDescent(), 0.02, order) for order in (1, 2, 3)]
    >>> [f"{abs(flow(np.array([1.0]), 0.1) - end)[0]:.0e}" for flow in flows]
    ['2e-03', '9e-05', '5e-06']
    """
    known = isinstance(scheme, (ModifiedField, Mapping))
    require_problem(problem)
    whole_number("order", order, 1, HIGHEST if known else KNOWN)
    if not known and linear_part(problem).scalar != 0:
        raise ValueError(
            "the modified field of a scheme is that on an energy without a linear part, which schemes treat implicitly; got "
            f"{found(linear_part(problem))}: give the coefficients by tree"
        )
    return ModifiedFlow(problem, as_modified_field(scheme, order), dt, None if known else scheme, missing)


def named_values(state: Any) -> dict[str, tuple[Path, Any]]:
    """Return the values of a state with their places, by the names that modified fields have for them."""
    named = {}
    for path, value in leaves(state):
        names, part = [], state
        for k in path:
            names.append(part._fields[k] if hasattr(part, "_fields") else str(k))
            part = part[k]
        named["_".join(names)] = path, value
    return named


def pair_of(symbol: sp.Symbol) -> tuple[Node, ...]:
    """Return the two trees of an invariant, none for another symbol."""
    try:
        return invariant_trees(symbol)
    except KeyError:
        return ()


def _symbols(field: ModifiedField) -> list[sp.Symbol]:
    """Return the symbols of the further unknowns."""
    return list(dict.fromkeys(symbol for rate in field.rates for symbol in rate))


def polynomial(terms: Sequence[Any]) -> Any:
    """Return the polynomial in dt with these coefficients."""
    return sum((DT**n * c for n, c in enumerate(terms)), sp.Integer(0))


class Expressions:
    """SymPy expressions in dt, E, invariants and further unknowns, as a function of numbers."""

    def __init__(self, expressions: list[Any], unknowns: Sequence[str] = ()) -> None:
        free = sorted(set().union(*(sp.sympify(e).free_symbols for e in expressions)) - {DT}, key=str)
        self._pairs: list[tuple[Node, ...] | str] = []
        for symbol in free:
            if symbol == ENERGY or str(symbol) in unknowns:
                self._pairs.append(str(symbol))
                continue
            pair = pair_of(symbol)
            if not pair:
                raise ValueError(f"a coefficient contains {symbol}, of which no value is known")
            self._pairs.append(pair)
        self._unknowns = tuple(unknowns)
        self._function = sp.lambdify([DT, *free], expressions, modules="numpy", cse=True)

    def __call__(self, F: Differentials, dt: float, unknowns: Sequence[float] = ()) -> list[float]:
        values = dict(zip(self._unknowns, unknowns, strict=True))
        numbers = []
        for pair in self._pairs:
            if isinstance(pair, tuple):
                numbers.append(float(F.inner(*pair)))
            else:
                numbers.append(values[pair] if pair in values else float(F.energy))
        with quiet():
            found_values: list[float] = self._function(np.float64(dt), *map(np.float64, numbers))
        return found_values


def numbers_of(values: Any) -> list[float] | None:
    """Return a number, a list, a tuple or an array of them as a list of finite numbers, None for anything else."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    numbers = [as_float(x) for x in (values if isinstance(values, (list, tuple)) else [values])]
    return [x for x in numbers if x is not None] if all(x is not None and isfinite(x) for x in numbers) else None


def numpy_vector(name: str, theta: Array) -> Array:
    """Return a float64 copy of an array of NumPy, (P,), or raise ValueError."""
    real_array(name, theta, {"P": None}, low=-inf)
    if not is_numpy(theta) or theta.dtype != np.float64:
        raise ValueError(f"{name} must be a float64 array of NumPy, got {found(theta)} of {theta.dtype}")
    return np.array(theta)
