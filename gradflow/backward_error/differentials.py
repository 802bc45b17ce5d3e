r"""The numbers behind a tree: elementary differentials of a gradient flow at one theta.

For f = -grad E and trees as in `gradflow.backward_error.expansion`,

.. math:: F(o) = -g, \qquad F([t]) = -D^2E\,F(t), \qquad F([s, t]) = -D^3E[F(s), F(t)],                          \tag{1}

from the gradient, `hvp` and the third derivative of a problem, in its inner product. For a residual q the two sides of
a node are

.. math:: F([\,|\,t]) &= -J^*J\,F(t), \qquad F([t\,|\,]) = F([t]) - F([\,|\,t]), \tag{2} \\
   F([\,|\,s, t]) &= -J^*\,D_s(J F(t)), \qquad F([s\,|\,t]) = -(D_s J^*)\,J F(t), \tag{3} \\
   F([s, t\,|\,]) &= F([s, t]) - F([s\,|\,t]) - F([t\,|\,s]) - F([\,|\,s, t]),                                       \tag{4}

with the derivative D_s along F(s), of what depends on theta through J alone. Nodes with three or more branches would need the
fourth derivative of E.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ..description import found
from ..energies.derivatives import MISSING, differences, third_derivative
from ..energies.protocols import linear_part, problem_ability
from ..namespace import Array
from ..refusals import instance, one_of, real_array
from .expansion import Node, leaf, node, residual_node, written

__all__ = ["Differentials", "parsed", "require_problem"]


def parsed(text: str) -> Node:
    """Return the tree that is written in brackets: ``o``, ``[o]``, ``[o,[o]]``, ``[o|]``, ``[|o,o]``.

    Parameters
    ----------
    text : str
        As `gradflow.backward_error.expansion.written` returns it; the order of branches does not matter.

    Raises
    ------
    ValueError
        If the text is not a tree.
    """
    whole = "".join(instance("tree", text, str, "a text such as 'o' or '[o,o]'").split())
    tree, rest = _first(whole)
    if tree is None or rest or sorted(written(tree)) != sorted(whole):
        raise ValueError(f"a tree must be written as 'o', '[o]', '[o,[o]]' or '[o|o]', got {found(text)}")
    return tree


def _first(text: str) -> tuple[Node | None, str]:
    """Return the tree at the beginning of a text, or None, and the rest."""
    if text.startswith("o"):
        return leaf, text[1:]
    if not text.startswith("["):
        return None, text
    sides, text = [list[Node]()], text[1:]
    while text and not text.startswith("]"):
        if text[0] == "|":
            sides.append([])
        if text[0] in "|,":
            text = text[1:]
            continue
        tree, text = _first(text)
        if tree is None:
            return None, text
        sides[-1].append(tree)
    if len(sides) > 2 or not (sides[0] or sides[-1]):
        return None, text
    return node(*sides[0]) if len(sides) == 1 else residual_node(*sides), text[1:]


def require_problem(problem: Any) -> Any:
    """Return a problem, or raise ValueError unless it is an object with ``energy_and_gradient`` and ``inner``.

    Parameters
    ----------
    problem : object
        Whatever is said to be a problem.
    """
    if isinstance(problem, type) or not all(
        callable(getattr(problem, name, None)) for name in ("energy_and_gradient", "inner")
    ):
        raise ValueError(f"problem must be a problem, with energy_and_gradient and inner; got {found(problem)}")
    return problem


class Differentials:
    """The elementary differentials of a problem at one theta; each is evaluated once, when it is first asked for.

    All trees with up to three nodes cost a gradient, two products with the Hessian and one third derivative.

    Parameters
    ----------
    problem : Problem
        The energy. Its ``hvp`` is needed from ``[o]`` on, its third derivative for ``[o,o]``.
    theta : array (P,)
        The point.
    missing : {"refuse", "differences"}
        What is done where a derivative is not coded, a third derivative of the energy or a second one of the residual: a tree
        with it is refused, or differences of `hvp` and of products with J are taken, of a relative error of ``eps^{2/3}``.

    Raises
    ------
    ValueError
        If the problem has no gradient, `missing` is unknown or theta is not a vector.

    Examples
    --------
    >>> import numpy as np
    >>> from gradflow import FunctionProblem
    >>> quartic = FunctionProblem(
    ...     lambda t: t @ t**3 / 4, lambda t: t**3, lambda t, v: 3 * t**2 * v, third_derivative=lambda t, u, v: 6 * t * u * v
    ... )
    >>> F = Differentials(quartic, np.array([1.0, 2.0]))
    >>> F("[o]"), F("[o,o]")
    (array([ 3., 96.]), array([  -6., -768.]))
    >>> float(F.inner("o", "[o]"))
    -771.0
    """

    def __init__(self, problem: Any, theta: Array, *, missing: str = "refuse") -> None:
        self.problem, self.theta = require_problem(problem), real_array("theta", theta, {"P": None})
        self.missing = one_of("missing", missing, MISSING)
        self._found: dict[Node, Array] = {}

    @cached_property
    def _energy_and_gradient(self) -> tuple[Array, Array]:
        both: tuple[Array, Array] = self.problem.energy_and_gradient(self.theta)
        return both

    @property
    def energy(self) -> Array:
        """E, 0-d."""
        return self._energy_and_gradient[0]

    @cached_property
    def _at(self) -> Any:
        if problem_ability(self.problem, "linearize") is None or linear_part(self.problem).scalar != 0:
            raise ValueError(
                f"a tree with two sides needs an energy |q|^2 / 2 without a linear part, got {type(self.problem).__name__}"
            )
        return self.problem.linearize(self.theta)

    def __call__(self, tree: Node | str) -> Array:
        """Return F(tree), (P,).

        Parameters
        ----------
        tree : Node or str
            A tree whose nodes have two branches at most; as text in brackets.

        Raises
        ------
        ValueError
            If the tree needs a derivative that the problem does not have.
        """
        key = parsed(tree) if isinstance(tree, str) else tree
        if key not in self._found:
            self._found[key] = self._evaluated(key)
        return self._found[key]

    def inner(self, u: Node | str, v: Node | str) -> Array:
        """Return (F(u), F(v))_M, 0-d.

        Parameters
        ----------
        u, v : Node or str
            Trees. The number is evaluated with the smallest trees that have it: (f, f'f'f) is (f'f, f'f).
        """
        one, other = (parsed(t) if isinstance(t, str) else t for t in (u, v))
        while _is_chain(other) and _depth(other) > _depth(one) + 1:  # (u, f'v) = (f'u, v)
            one, other = node(one), other.branches[0]
        return self.problem.inner(self(one), self(other))

    def _evaluated(self, tree: Node) -> Array:
        if tree == leaf:
            return -self._energy_and_gradient[1]
        branches, count = tree.branches, len(tree.branches) + len(tree.other)
        if tree.label not in ("", "|") or count > 2:
            raise ValueError(f"the tree {written(tree)} needs derivatives that problems do not have")
        if tree.label == "|":
            return self._two_sided(branches, tree.other)
        if count == 1:
            return -self.problem.hvp(self.theta, self(branches[0]))
        return -third_derivative(self.problem, self.theta, *map(self, branches), missing=self.missing)  # (1)

    def _two_sided(self, first: tuple[Node, ...], second: tuple[Node, ...]) -> Array:
        """Return F([first|second]), (P,)."""
        at, both = self._at, (*first, *second)
        if len(both) == 1:
            if second:
                return -at.vjp(at.jvp(self(second[0])))
            return self(node(*first)) - self(residual_node((), first))  # (2)
        s, t = both
        if len(first) == 2:
            parts = (residual_node((s,), (t,)), residual_node((t,), (s,)), residual_node((), both))
            return self(node(s, t)) - sum(map(self, parts))  # (4)
        if self.missing == "refuse":
            raise ValueError(
                f'{type(self.problem).__name__} has no second derivatives of its residual: pass missing="differences" for '
                "differences of products with J"
            )
        linearize, along = self.problem.linearize, self(s)
        if first:
            y = at.jvp(self(t))
            return -differences(lambda theta: linearize(theta).vjp(y), self.theta, along)  # (3)
        v = self(t)
        return -at.vjp(differences(lambda theta: linearize(theta).jvp(v), self.theta, along))  # (3)


def _is_chain(tree: Node) -> bool:
    """Return whether the root has one branch, so that F(tree) is a symmetric operator at it."""
    return tree.label == "" and len(tree.branches) == 1


def _depth(tree: Node) -> int:
    """Return how many operators are applied to the last branching or to f."""
    return 1 + _depth(tree.branches[0]) if _is_chain(tree) else 0
