r"""B-series: one-step methods and their modified equations as exact objects.

A B-series of the vector field f assigns to each rooted tree t a number b(t). With the elementary differentials

.. math:: F(\bullet) = f, \qquad F([t_1, \dots, t_m]) = D^m f\,[F(t_1), \dots, F(t_m)]                   \tag{1}

it is the formal series

.. math:: B(b)(\theta) = b(\emptyset)\,\theta + \sum_t \frac{\Delta t^{|t|}}{\sigma(t)}\, b(t)\, F(t)(\theta).   \tag{2}

A series with ``b(empty) = 1`` is a *map*, such as one step of a method; one with ``b(empty) = 0`` is dt times a *vector
field*, whose coefficients multiply ``dt^(|t| - 1)``. `BSeries` stores the normalised numbers b(t); its ``coefficients``
are ``b(t) / sigma(t)``, what multiplies F(t), under the texts of the trees. For gradient flows, ``f = -grad E``.

*Methods.* The flow of f has ``b(t) = 1 / gamma(t)``. A Runge-Kutta method with the tableau A, w has

.. math:: b(t) = \sum_i w_i\, \varphi_i(t), \qquad \varphi_i([t_1, \dots, t_m]) = \prod_k \sum_j A_{ij}\, \varphi_j(t_k).   \tag{3}

*Composition.* If a is a map, B(b) after B(a) is B(ab), by the splittings of t into a subtree s with the root, which may
be empty, and the forest that is left,

.. math:: (ab)(t) = \sum_{s} b(s) \prod_{u \in t \setminus s} a(u).                                      \tag{4}

Maps are a group under (4). The *adjoint* of a method is its inverse with -dt in the place of dt.

*Substitution.* If b is a vector field, then B(a) of the field ``B(b) / dt`` is that of the series

.. math:: (b \star a)(t) = \sum_{p} a(\text{skeleton of } p) \prod_{u \in \text{components of } p} b(u),        \tag{5}

the sum over the partitions p of t. The partition without removed edges has the skeleton of one node, so that (5) is
``a(leaf) b(t)`` and terms with trees of fewer nodes. Both of the following are solved for b, tree by tree.

.. math::
   b \star e &= a && \text{modified equation: its flow is the method a,}                                  \tag{6} \\
   b \star a &= e && \text{modifying integrator: a, applied to this field, is the flow of f.}             \tag{7}

Here e is the flow of f.

*Momentum.* The recursion with ``d^n = theta^n - theta^{n-1}``,

.. math:: \theta^{n+1} = \theta^n + \beta d^n + \Delta t\, f(\theta^n + \kappa d^n),                    \tag{10}

is the heavy ball for ``kappa = 0`` and Nesterov's method for ``kappa = beta``. The *underlying one-step method* a
satisfies (10) along its own iterates. With the inverse c of a under (4),

.. math:: a(t) = -\beta c(t) + \prod_k (-\kappa\, c(t_k)), \qquad t = [t_1, \dots, t_m],                 \tag{11}

where the product of the leaf is 1. Since c(t) is -a(t) and terms with fewer nodes, (11) determines a; its modified
equation is that of the method on its slow manifold, where ``d^n`` is a function of ``theta^n``. As a(leaf) is
``1 / (1 - beta)``, time runs faster by this factor. In the form with an average of the gradients
(``m = beta m + (1 - beta) g``) the step is ``(1 - beta)`` times as long: ``scaled(momentum(...), 1 - beta)``.

When a field is a gradient, (8) and (9), is the subject of `gradflow.backward_error.gradient_criterion`.

All numbers are exact: `fractions.Fraction`, or SymPy expressions if SymPy's are given. They are dimensionless.

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), sections III.1 and IX.9 to IX.10; Chartier,
Hairer & Vilmart, Found. Comput. Math. 10 (2010) 407, for (5) to (7). The underlying one-step method of a multistep
method: Kirchgraber, Numer. Math. 48 (1986) 85, and Hairer, Lubich & Wanner, section XV.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from types import MappingProxyType
from typing import Any

from ..refusals import instance, whole_number
from .exact_numbers import Coefficient, canonical, exact, in_a_field, vanishes
from .trees import (
    LARGEST,
    Forest,
    Tree,
    density,
    order,
    partitions,
    splittings,
    symmetry,
    text,
    tree,
    trees_up_to,
)

__all__ = [
    "BSeries",
    "adjoint",
    "applied",
    "composed",
    "exact_flow",
    "flow",
    "from_coefficients",
    "identity_field",
    "identity_map",
    "inverse",
    "lie_derivative",
    "modified_equation",
    "modifying_integrator",
    "momentum",
    "order_of",
    "runge_kutta",
    "scaled",
    "substituted",
]


MAP, FIELD = Fraction(1), Fraction(0)  # the numbers of the empty tree


@dataclass(frozen=True)
class BSeries:
    """A B-series (2), known up to an order: a map if ``empty`` is 1, dt times a vector field if it is 0.

    ``series["[o,o]"]`` is the normalised b(t) of a tree. The sum and the difference of two series, and a multiple, are
    taken tree by tree, up to the smaller order. Series are compared as they are stored: rational numbers and rational
    functions of symbols have one form, other expressions may have several.

    Raises
    ------
    ValueError
        If a key is no tree, the trees are not all those up to some order, or a number is not exact: a float, a bool,
        infinite or noncommutative.

    Examples
    --------
    >>> euler = runge_kutta([[0]], [1], order=3)
    >>> {t: str(c) for t, c in modified_equation(euler).coefficients.items()}
    {'o': '1', '[o]': '-1/2', '[o,o]': '1/12', '[[o]]': '1/3'}
    >>> print(modified_equation(euler)["[o,o]"])
    1/6
    """

    values: Mapping[Tree, Coefficient]
    """The numbers b(t) of all trees up to the order, in the canonical order."""
    empty: Coefficient = Fraction(0)
    """The number of the empty tree, which multiplies theta."""

    def __post_init__(self) -> None:
        instance("values", self.values, Mapping, "a mapping of trees to numbers")
        values = {tree(t): exact(f"the coefficient of {text(t)}", c) for t, c in self.values.items()}
        if len(values) != len(self.values):
            raise ValueError("values must have each tree once")
        largest = max(map(order, values), default=1)
        known = trees_up_to(largest)
        for t in known:
            if t not in values:
                raise ValueError(f"values must have all trees up to order {largest}, {text(t)} is missing")
        (lifted,), lowered = in_a_field([{t: values[t] for t in known}])
        _store(self, {t: lowered(b) for t, b in lifted.items()}, canonical(exact("empty", self.empty)))

    @property
    def order(self) -> int:
        """The number of nodes of the largest trees."""
        return max(map(order, self.values))

    @property
    def coefficients(self) -> dict[str, Coefficient]:
        """The numbers ``b(t) / sigma(t)``, which multiply F(t), under the texts of the trees."""
        (lifted,), lowered = in_a_field([self.values])
        return {text(t): lowered(b / symmetry(t)) for t, b in lifted.items()}

    def __getitem__(self, t: str | Tree) -> Coefficient:
        at = tree(t)
        if at not in self.values:
            raise ValueError(f"the series is known up to order {self.order}, {text(at)} has order {order(at)}")
        return self.values[at]

    def __add__(self, other: BSeries) -> BSeries:
        return _sum(self, 1, other) if isinstance(other, BSeries) else NotImplemented

    def __sub__(self, other: BSeries) -> BSeries:
        return _sum(self, -1, other) if isinstance(other, BSeries) else NotImplemented

    def __rmul__(self, factor: Coefficient) -> BSeries:
        c = {0: exact("factor", factor)}
        return _series(self.order, canonical(c[0] * self.empty), lambda t, _, b, c: c[0] * b[t], self.values, c)


def _store(series: BSeries, values: Mapping[Tree, Coefficient], empty: Coefficient) -> None:
    object.__setattr__(series, "values", MappingProxyType(values))
    object.__setattr__(series, "empty", empty)


def _order_at_least_one(largest: int) -> int:
    return whole_number("order", largest, 1, LARGEST)


def _series(largest: int, empty: Coefficient, rule: Callable[..., Any], *given: Mapping[Any, Coefficient]) -> BSeries:
    """Return the series whose number at t is ``rule(t, numbers of smaller trees, *given)``, computed in one field."""
    lifted, lowered = in_a_field(given)
    values: dict[Tree, Any] = {}
    for t in trees_up_to(largest):
        values[t] = rule(t, values, *lifted)
    series = object.__new__(BSeries)  # these numbers need no check
    _store(series, {t: lowered(b) for t, b in values.items()}, empty)
    return series


def _with_empty(series: BSeries) -> Mapping[Tree | None, Coefficient]:
    """Return the numbers of a series, with that of the empty tree under None."""
    return {None: series.empty} | dict(series.values.items())


def _sum(one: BSeries, sign: int, other: BSeries) -> BSeries:
    return _series(
        min(one.order, other.order),
        canonical(one.empty + sign * other.empty),
        lambda t, _, a, b: a[t] + sign * b[t],
        one.values,
        other.values,
    )


def _product(values: Mapping[Any, Any], forest: Forest) -> Any:
    return prod(values[t] for t in forest)


def _require_series(name: str, series: Any) -> None:
    instance(name, series, BSeries, "a BSeries")


def _require_map(name: str, series: Any) -> None:
    _require_series(name, series)
    if series.empty != 1:
        raise ValueError(f"{name} must be a map, with 1 for the empty tree; got {series.empty}")


def require_field(name: str, series: Any) -> None:
    _require_series(name, series)
    if series.empty != 0:
        raise ValueError(f"{name} must be a vector field, with 0 for the empty tree; got {series.empty}")


def from_coefficients(
    coefficients: Mapping[str, Coefficient], order: int | None = None, *, empty: Coefficient = 0
) -> BSeries:
    """Return the series with given numbers ``b(t) / sigma(t)``.

    Parameters
    ----------
    coefficients : mapping of str to number
        Under the texts of trees; int, Fraction or SymPy expression. A tree that is missing has the number 0.
    order : int, optional
        Up to which order the series is known; by default that of the largest tree. Larger trees are left out.
    empty : number
        The number of the empty tree.

    Raises
    ------
    ValueError
        If a text is no tree, a tree occurs twice, or a number is not exact.

    Examples
    --------
    >>> series = from_coefficients({"o": 1, "[o]": -1}, order=3)
    >>> print(series["[o]"], series["[o,o]"])
    -1 0
    """
    instance("coefficients", coefficients, Mapping, "a mapping of texts of trees to numbers")
    values: dict[Tree, Coefficient] = {}
    for name, c in coefficients.items():
        t = tree(name)
        if t in values:
            raise ValueError(f"coefficients must have each tree once, {text(t)} is there twice")
        values[t] = symmetry(t) * exact(f"the coefficient of {text(t)}", c)
    if order is None:
        order = max((_number_of_nodes(t) for t in values), default=1)
    known = trees_up_to(_order_at_least_one(order))
    return BSeries({t: values.get(t, Fraction(0)) for t in known}, empty)


_number_of_nodes = order  # under a name that no argument has


def identity_map(order: int) -> BSeries:
    """Return the map theta -> theta, the unit of `composed`.

    Parameters
    ----------
    order : int
        Up to which order, 1 to 14.
    """
    return _series(_order_at_least_one(order), MAP, lambda t, _: Fraction(0))


def identity_field(order: int) -> BSeries:
    """Return the vector field f, the unit of `substituted`.

    Parameters
    ----------
    order : int
        Up to which order, 1 to 14.
    """
    return _series(_order_at_least_one(order), FIELD, lambda t, _: Fraction(not t))


def exact_flow(order: int) -> BSeries:
    """Return the flow of f at the time dt: ``1 / gamma(t)``; see `scaled` for other times.

    Parameters
    ----------
    order : int
        Up to which order, 1 to 14.
    """
    return _series(_order_at_least_one(order), MAP, lambda t, _: Fraction(1, density(t)))


def runge_kutta(A: Sequence[Sequence[Coefficient]], weights: Sequence[Coefficient], order: int) -> BSeries:
    """Return one step of a Runge-Kutta method, explicit or implicit, equation (3).

    Parameters
    ----------
    A : sequence of s sequences of s numbers
        The coefficients of the stages; int, Fraction or SymPy expression.
    weights : sequence of s numbers
        The weights of the stages.
    order : int
        Up to which order, 1 to 14.

    Raises
    ------
    ValueError
        If A is not square, the weights are not as many as its rows, there are none, or a number is not exact.

    Examples
    --------
    >>> midpoint = runge_kutta([[0, 0], [Fraction(1, 2), 0]], [0, 1], order=4)
    >>> order_of(midpoint)
    2
    """
    largest = _order_at_least_one(order)
    w = [exact("an entry of weights", c) for c in weights]
    rows = [[exact("an entry of A", c) for c in row] for row in A]
    if not w or len(rows) != len(w) or any(len(row) != len(w) for row in rows):
        raise ValueError(
            f"A must be s x s and weights of length s >= 1, got rows of lengths {[len(row) for row in rows]} and {len(w)} weights"
        )
    stages = range(len(w))
    inner: dict[Tree, list[Any]] = {}  # sum_j A_ij phi_j(t), of all stages

    def rule(t: Tree, _: object, a: Mapping[tuple[int, int], Any], b: Mapping[int, Any]) -> Any:
        phi = [prod(inner[branch][i] for branch in t) for i in stages]  # (3)
        inner[t] = [sum(a[i, j] * phi[j] for j in stages) for i in stages]
        return sum(b[i] * phi[i] for i in stages)  # (3)

    return _series(largest, MAP, rule, {(i, j): rows[i][j] for i in stages for j in stages}, dict(enumerate(w)))


def scaled(series: BSeries, factor: Coefficient) -> BSeries:
    """Return the series with ``factor * dt`` in the place of dt.

    Parameters
    ----------
    series : BSeries
        A map, or dt times a field, in which this dt is multiplied as well.
    factor : number
        Of either sign; int, Fraction or SymPy expression.

    Raises
    ------
    ValueError
        If the first is no series, or the factor is not an exact number.
    """
    _require_series("series", series)
    c = {0: exact("factor", factor)}
    return _series(series.order, series.empty, lambda t, _, b, c: b[t] * c[0] ** order(t), series.values, c)


def _over_splittings(
    t: Tree,
    a: Mapping[Tree, Any],
    b: Mapping[Any, Any],
    chosen: Callable[[Tree | None, Forest], bool] = lambda kept, forest: True,
) -> Any:
    """Return the sum (4) over the chosen splittings."""
    return sum(
        times * b[kept] * _product(a, forest) for (kept, forest), times in splittings(t).items() if chosen(kept, forest)
    )


def composed(first: BSeries, second: BSeries) -> BSeries:
    """Return the series of the second after the first, equation (4).

    Parameters
    ----------
    first : BSeries
        A map.
    second : BSeries
        A map, or dt times a field, which is then evaluated at the image of the first.

    Raises
    ------
    ValueError
        If the first is no map, or the second no series.

    Examples
    --------
    >>> half = scaled(exact_flow(5), Fraction(1, 2))
    >>> composed(half, half) == exact_flow(5)
    True
    """
    _require_map("first", first)
    _require_series("second", second)

    def rule(t: Tree, _: object, a: Mapping[Tree, Any], b: Mapping[Tree | None, Any]) -> Any:
        return _over_splittings(t, a, b)

    return _series(min(first.order, second.order), second.empty, rule, first.values, _with_empty(second))


def applied(series: BSeries) -> BSeries:
    """Return dt times f at the image of a map: the number of ``[t1, ..., tm]`` is the product of those of its branches.

    Parameters
    ----------
    series : BSeries
        A map.

    Raises
    ------
    ValueError
        If the series is no map.

    Examples
    --------
    >>> flow_of_f = exact_flow(4)
    >>> heun = identity_map(4) + Fraction(1, 2) * (identity_field(4) + applied(runge_kutta([[0]], [1], 4)))
    >>> order_of(heun)
    2
    """
    _require_map("series", series)
    return _series(series.order, FIELD, lambda t, _, a: _product(a, t), series.values)


def _inverse_without_itself(t: Tree, a: Mapping[Tree, Any], inverse_of_a: Mapping[Tree, Any]) -> Any:
    """Return the number at t of the inverse plus a(t), which depends on smaller trees."""
    return -_over_splittings(t, a, inverse_of_a, lambda kept, forest: kept is not None and forest != ())


def inverse(series: BSeries) -> BSeries:
    """Return the inverse of a map under `composed`.

    Parameters
    ----------
    series : BSeries
        A map.

    Raises
    ------
    ValueError
        If the series is no map.
    """
    _require_map("series", series)
    return _series(series.order, MAP, lambda t, done, a: _inverse_without_itself(t, a, done) - a[t], series.values)


def adjoint(series: BSeries) -> BSeries:
    """Return the adjoint of a method: the inverse of its step with -dt. A method is symmetric if it is its own adjoint.

    Parameters
    ----------
    series : BSeries
        A map.

    Raises
    ------
    ValueError
        If the series is no map.

    Examples
    --------
    >>> adjoint(runge_kutta([[0]], [1], 5)) == runge_kutta([[1]], [1], 5)  # explicit and implicit Euler
    True
    """
    return scaled(inverse(series), -1)


def _over_partitions(t: Tree, field: Mapping[Tree, Any], series: Mapping[Tree, Any], *, whole: bool) -> Any:
    """Return the sum (5), with or without the partition that removes no edge."""
    return sum(
        times * series[skeleton] * _product(field, components)
        for (skeleton, components), times in partitions(t).items()
        if whole or skeleton
    )


def substituted(field: BSeries, series: BSeries) -> BSeries:
    """Return the series with a field in the place of f, equation (5).

    Parameters
    ----------
    field : BSeries
        The vector field, times dt.
    series : BSeries
        A map or dt times a field.

    Raises
    ------
    ValueError
        If the first is no field, or the second no series.

    Examples
    --------
    >>> euler = runge_kutta([[0]], [1], 5)
    >>> substituted(modified_equation(euler), exact_flow(5)) == euler
    True
    """
    require_field("field", field)
    _require_series("series", series)
    return _series(
        min(field.order, series.order),
        series.empty,
        lambda t, _, b, a: _over_partitions(t, b, a, whole=True),
        field.values,
        series.values,
    )


def flow(field: BSeries) -> BSeries:
    """Return the flow of a vector field at the time dt.

    Parameters
    ----------
    field : BSeries
        The vector field, times dt.

    Raises
    ------
    ValueError
        If the argument is no field.
    """
    require_field("field", field)
    return substituted(field, exact_flow(field.order))


def lie_derivative(field: BSeries, series: BSeries) -> BSeries:
    r"""Return dt times the derivative of a series along a field.

    In (4), only the splittings that remove one branch are left:
    :math:`\sum_{|t \setminus s| \text{ one tree}} b(s)\, a(t \setminus s)`.

    Parameters
    ----------
    field : BSeries
        The vector field along which is derived, times dt.
    series : BSeries
        What is derived: a map or dt times a field.

    Raises
    ------
    ValueError
        If the first is no field, or the second no series.

    Examples
    --------
    >>> f = identity_field(4)
    >>> print(lie_derivative(f, f).coefficients["[o]"])  # f' f
    1
    """
    require_field("field", field)
    _require_series("series", series)

    def rule(t: Tree, _: object, a: Mapping[Tree, Any], b: Mapping[Tree | None, Any]) -> Any:
        return _over_splittings(t, a, b, lambda kept, forest: len(forest) == 1)

    return _series(min(field.order, series.order), FIELD, rule, field.values, _with_empty(series))


def _solved(method: BSeries, outer: BSeries) -> BSeries:
    """Return the field b with b * outer = method, in the sense of (5)."""

    def rule(t: Tree, done: Mapping[Tree, Any], a: Mapping[Tree, Any], c: Mapping[Tree, Any]) -> Any:
        # not a difference: SymPy 1.14 cannot subtract 0, the empty sum, from an algebraic number
        return (a[t] + -_over_partitions(t, done, c, whole=False)) / c[()]

    return _series(min(method.order, outer.order), FIELD, rule, method.values, outer.values)


def modified_equation(method: BSeries) -> BSeries:
    """Return the vector field whose flow at the time dt is the method, equation (6).

    The work grows about fivefold with each order: order 8 takes a second, order 10 ten, order 12 minutes.

    Parameters
    ----------
    method : BSeries
        A map.

    Returns
    -------
    BSeries
        The field, times dt.

    Raises
    ------
    ValueError
        If the argument is no map.

    Examples
    --------
    >>> midpoint = runge_kutta([[Fraction(1, 2)]], [1], order=3)
    >>> {t: str(c) for t, c in modified_equation(midpoint).coefficients.items()}
    {'o': '1', '[o]': '0', '[o,o]': '-1/24', '[[o]]': '1/12'}
    """
    _require_map("method", method)
    return _solved(method, exact_flow(method.order))


def modifying_integrator(method: BSeries) -> BSeries:
    """Return the vector field to which the method must be applied to give the flow of f, equation (7).

    Parameters
    ----------
    method : BSeries
        A map, with a number other than 0 for the leaf.

    Returns
    -------
    BSeries
        The field, times dt.

    Raises
    ------
    ValueError
        If the argument is no map, or its number for the leaf is 0.

    Examples
    --------
    >>> euler = runge_kutta([[0]], [1], order=3)
    >>> {t: str(c) for t, c in modifying_integrator(euler).coefficients.items()}
    {'o': '1', '[o]': '1/2', '[o,o]': '1/6', '[[o]]': '1/6'}
    """
    _require_map("method", method)
    if vanishes(method.values[()]):
        raise ValueError("method must have a number other than 0 for the leaf")
    return _solved(exact_flow(method.order), method)


def order_of(method: BSeries) -> int:
    """Return the largest p for which the method agrees with the flow of f on all trees with at most p nodes.

    It is at least this if p is the order up to which the series is known. With symbols it is that for all their values.

    Parameters
    ----------
    method : BSeries
        A map.

    Raises
    ------
    ValueError
        If the argument is no map.
    """
    _require_map("method", method)
    for t, a in method.values.items():
        if not vanishes(canonical(a - Fraction(1, density(t)))):
            return order(t) - 1
    return method.order


def momentum(order: int, beta: Coefficient, ahead: Coefficient = 0) -> BSeries:
    """Return the underlying one-step method of a method with momentum, equations (10) and (11).

    Parameters
    ----------
    order : int
        Up to which order, 1 to 14.
    beta : number
        The momentum, not 1; int, Fraction or SymPy expression.
    ahead : number
        The number kappa: by how many increments ahead of theta the gradient is evaluated. 0 is the heavy ball, beta is
        Nesterov's method.

    Raises
    ------
    ValueError
        If beta is 1, or a number is not exact.

    Examples
    --------
    >>> from gradflow.backward_error.gradient_criterion import loss
    >>> heavy_ball = scaled(momentum(2, Fraction(9, 10)), Fraction(1, 10))  # in the form with an average
    >>> print(loss(modified_equation(heavy_ball))["[o]"])  # 19 times that of explicit Euler, 1/4
    19/4
    """
    largest = _order_at_least_one(order)
    numbers = {"beta": exact("beta", beta), "kappa": exact("ahead", ahead)}
    if vanishes(canonical(1 - numbers["beta"])):
        raise ValueError("beta must not be 1")
    c: dict[Tree, Any] = {}  # the inverse of a

    def rule(t: Tree, a: Mapping[Tree, Any], numbers: Mapping[str, Any]) -> Any:
        beta, kappa = numbers["beta"], numbers["kappa"]
        smaller = _inverse_without_itself(t, a, c)  # c(t) = smaller - a(t)
        force = prod(-kappa * c[branch] for branch in t)
        value = (force - beta * smaller) / (1 - beta)  # (11), solved for a(t)
        c[t] = smaller - value
        return value

    return _series(largest, MAP, rule, numbers)
