r"""When a B-series of a gradient flow is itself a gradient, and of which energy.

For ``f = -grad E`` the field B(b) / dt of `gradflow.backward_error.bseries` is a gradient for every E and in every dimension if
and only if

.. math:: b(u \circ v) = b(v \circ u) \quad \text{for all trees } u, v,                                  \tag{8}

that is, if b(t) depends only on the free tree of t (``derivations/b_series.nb.py``). It is then minus the gradient of

.. math:: \tilde E = \sum_{\tau} (-1)^{|\tau| + 1}\, \frac{b(\tau)}{\sigma(\tau)}\, \Delta t^{|\tau| - 1}\, E(\tau),   \tag{9}

the sum over the free trees, :math:`\sigma(\tau)` the number of symmetries of the free tree. :math:`E(\tau)` has in each
node with k edges the k-th derivative of E and contracts along the edges: ``E(o) = E``, ``E([o]) = (g, g)``,
``E([o,o]) = (g, Hg)``, with the gradient g and the Hessian H of E, not of -E. Explicit Euler has the coefficient 1/4 of
``(g, g)``, and no modified energy with the terms of order ``dt^2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..refusals import whole_number
from .bseries import BSeries, from_coefficients, require_field
from .exact_numbers import Coefficient, canonical, vanishes
from .trees import Tree, butcher_product, free_symmetry, free_trees, text, trees_up_to

__all__ = ["gradient_violation", "is_gradient", "loss"]


def _edges(t: Tree) -> Iterator[tuple[Tree, Tree]]:
    """Yield u, v with ``t = u o v``, for each of the edges at the root."""
    for n, branch in enumerate(t):
        yield t[:n] + t[n + 1 :], branch


def _as_series(coefficients: BSeries | Mapping[str, Coefficient], order: int | None) -> tuple[BSeries, int]:
    if not isinstance(coefficients, BSeries):
        coefficients = from_coefficients(coefficients, order)
    return coefficients, whole_number(
        "order", coefficients.order if order is None else order, 1, high=coefficients.order
    )


def gradient_violation(
    coefficients: BSeries | Mapping[str, Coefficient], order: int | None = None
) -> tuple[str, str] | None:
    """Return the first pair of trees that violates the gradient criterion (8).

    The numbers are constants. Numbers that depend on theta, such as those of schemes with an auxiliary variable, are
    decided by `gradflow.backward_error.ModifiedField.is_gradient`.

    Parameters
    ----------
    coefficients : BSeries or mapping of str to number
        A series of ``f = -grad E``, or its numbers ``b(t) / sigma(t)`` under the texts of the trees, where a tree that
        is missing has the number 0.
    order : int, optional
        Up to how many nodes; by default all that are known.

    Returns
    -------
    tuple of two str, or None
        ``u o v`` and ``v o u``; None if (8) holds up to the order.

    Raises
    ------
    ValueError
        If the numbers are not exact, the order is larger than that of the series, or whether two numbers with symbols
        are equal is not decided.

    Examples
    --------
    >>> from fractions import Fraction
    >>> gradient_violation({"o": 1, "[o]": -1, "[o,o]": Fraction(1, 2), "[[o]]": 1})
    >>> gradient_violation({"o": 1, "[o]": -1, "[o,o]": Fraction(1, 12), "[[o]]": Fraction(1, 3)})
    ('[o,o]', '[[o]]')
    """
    series, largest = _as_series(coefficients, order)
    for t in trees_up_to(largest):
        for u, v in _edges(t):
            other = butcher_product(v, u)
            if not vanishes(canonical(series.values[t] - series.values[other])):
                return text(t), text(other)
    return None


def is_gradient(coefficients: BSeries | Mapping[str, Coefficient], order: int | None = None) -> bool:
    """Return whether a B-series of ``f = -grad E`` is a gradient for every E, equation (8).

    Parameters
    ----------
    coefficients : BSeries or mapping of str to number
        A series, or its numbers ``b(t) / sigma(t)`` under the texts of the trees; see `gradient_violation`.
    order : int, optional
        Up to how many nodes; by default all that are known.

    Raises
    ------
    ValueError
        As `gradient_violation`.

    Examples
    --------
    >>> from gradflow.backward_error.bseries import modified_equation, runge_kutta
    >>> modified = modified_equation(runge_kutta([[0]], [1], order=3))
    >>> is_gradient(modified, order=2), is_gradient(modified, order=3)
    (True, False)
    """
    return gradient_violation(coefficients, order) is None


def loss(coefficients: BSeries | Mapping[str, Coefficient], order: int | None = None) -> dict[str, Coefficient]:
    """Return the modified energy (9) of a modified field.

    Parameters
    ----------
    coefficients : BSeries or mapping of str to number
        A vector field times dt, or its numbers ``b(t) / sigma(t)`` under the texts of the trees; see
        `gradient_violation`.
    order : int, optional
        Up to how many nodes; by default all that are known.

    Returns
    -------
    dict of str to number
        For the free tree tau, under the text of its first rooted tree, what multiplies ``dt^(|tau| - 1) E(tau)``.

    Raises
    ------
    ValueError
        If the series is no field, or there is no modified energy for every E.

    Examples
    --------
    >>> from gradflow.backward_error.bseries import modified_equation, runge_kutta
    >>> modified = modified_equation(runge_kutta([[0]], [1], order=3))
    >>> {t: str(c) for t, c in loss(modified, order=2).items()}
    {'o': '1', '[o]': '1/4'}
    """
    series, largest = _as_series(coefficients, order)
    require_field("coefficients", series)
    pair = gradient_violation(series, largest)
    if pair is not None:
        raise ValueError(f"there is no modified energy up to order {largest}: {pair[0]} and {pair[1]} differ")
    return {
        text(t): canonical(-((-1) ** n) * series.values[t] / free_symmetry(t))
        for n in range(1, largest + 1)
        for t in free_trees(n)
    }
