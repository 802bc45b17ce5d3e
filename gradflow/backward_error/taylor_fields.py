r"""The Taylor coefficients of a step in dt, as combinations of elementary differentials.

A scheme's own ``init`` and ``step`` run on `gradflow.symbolic.taylor.SmoothLeastSquares`: abstract vectors, an energy of
which the derivatives at theta are known by name, the same as residual and Jacobian there. What comes out is rewritten in
trees (`gradflow.backward_error.expansion`),

.. math:: g = -F(o), \qquad D^{k+1}E[F(t_1), \dots, F(t_k)] = -F([t_1, \dots, t_k]), \qquad
    J^*J\,F(t) = -F([\,|\,t]),                                                                                    \tag{1}

and expanded in dt. A resolvent is expanded as :math:`(I + \Delta t A)^{-1} = \sum_k (-\Delta t A)^k`.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy as sp

from ..symbolic.taylor import SmoothLeastSquares, taylor_coefficients
from ..symbolic.vectors import Atom, Map, SelfAdjoint, Space, Vector, entry_of
from .expansion import ENERGY, Field, Node, invariant, leaf, node, residual_node
from .symbolic_steps import DT, decimal

__all__ = ["THETA", "Reader", "is_unknown"]

THETA = Node("theta")
"""theta itself, as a term of an expansion."""


def is_unknown(tree: Node) -> bool:
    """Return whether a tree has a node of which nothing is known: what a Taylor polynomial leaves out.

    Parameters
    ----------
    tree : Node
        A tree.
    """
    return tree.label.startswith("rest") or any(map(is_unknown, (*tree.branches, *tree.other)))


class Reader:
    """A smooth energy and its vectors and numbers as polynomials in dt.

    Parameters
    ----------
    order : int
        The highest power of dt.
    known : int
        The k of `gradflow.symbolic.taylor.SmoothEnergy`, the order or more.
    """

    def __init__(self, order: int, known: int) -> None:
        self.order = order
        space = Space()
        self.theta = space.vector("theta")
        self.problem = SmoothLeastSquares(space, self.theta, DT, known)
        self._atoms: dict[Any, list[Field]] = {}

    def vector(self, v: Vector) -> list[Field]:
        """Return the coefficients of 1, dt, ... of a vector.

        Parameters
        ----------
        v : Vector
            Of the space of theta.
        """
        total: list[Field] = [{} for _ in range(self.order + 1)]
        for atom, c in self.problem.space.combine(v.terms).terms.items():
            powers = self.number(c)
            for k, part in enumerate(self._atom(atom)):
                for n, value in enumerate(powers[: self.order + 1 - k]):
                    if value == 0:
                        continue
                    for tree, x in part.items():
                        total[k + n][tree] = total[k + n].get(tree, 0) + value * x
        return [{tree: value for tree, c in part.items() if (value := sp.expand(c)) != 0} for part in total]

    def truncated(self, v: Vector) -> Vector:
        """Return a vector without the powers of dt beyond the order.

        Parameters
        ----------
        v : Vector
            Of the space of theta, with coefficients that are polynomials in dt.
        """
        parts = self.problem.series(v, self.order)
        total = self.problem.space.zero
        for n, part in enumerate(parts):
            total = total + part * DT**n
        return total

    def number(self, c: Any) -> list[Any]:
        """Return the coefficients of 1, dt, ... of a number.

        Parameters
        ----------
        c : SymPy expression
            In E, inner products, dt and constants.
        """
        c = decimal(c)
        values = {s: self._inner(s) for s in c.free_symbols if entry_of(s) is not None}
        return taylor_coefficients(c.xreplace({self.problem.F: ENERGY, **values}), DT, self.order)

    def _inner(self, symbol: sp.Symbol) -> Any:
        entry = entry_of(symbol)
        assert entry is not None
        total: Any = sp.Integer(0)
        right = self._atom((entry.word, entry.right))
        for k, one in enumerate(self._atom(((), entry.left))):
            for n, other in enumerate(right[: self.order + 1 - k]):
                for (u, a), (v, b) in product(one.items(), other.items()):
                    total += DT ** (k + n) * a * b * _paired(u, v)
        return total

    def _atom(self, atom: Atom) -> list[Field]:
        if atom not in self._atoms:
            word, base = atom
            series = self._named(base)
            for step in reversed(word):
                series = [self._image(step, part) for part in series]
            self._atoms[atom] = series
        return self._atoms[atom]

    def _named(self, base: str) -> list[Field]:
        nothing: list[Field] = [{} for _ in range(self.order)]
        space = self.problem.space
        known = {"theta": {THETA: sp.Integer(1)}, "g": {leaf: sp.Integer(-1)}, "q": {_half(): sp.Integer(1)}}
        if base in known:
            return [known[base], *nothing]
        form, arguments = space.values.get(base, (None, ()))
        if form is not None:
            series: list[dict[tuple[Node, ...], Any]] = [{(): sp.Integer(-1)}, *({} for _ in range(self.order))]
            for argument in arguments:
                longer: list[dict[tuple[Node, ...], Any]] = [{} for _ in range(self.order + 1)]
                for (k, one), (n, other) in product(enumerate(series), enumerate(self._atom(argument))):
                    for (trees, a), (tree, b) in product(one.items(), other.items()) if k + n <= self.order else ():
                        key = (*trees, _field_tree(tree))
                        longer[k + n][key] = longer[k + n].get(key, 0) + a * b
                series = longer
            return [_collected((node(*trees), c) for trees, c in part.items()) for part in series]
        for (right, terms, step), solution in space.systems.items():
            if ((), base) in solution.terms:
                factor = decimal(step) / DT
                if factor.has(DT):
                    raise ValueError(f"a system with the step {step}, which is no multiple of dt, has no series")
                total, power = list(self._atom(right)), list(self._atom(right))
                for k in range(1, self.order + 1):
                    power = [self._sum(terms, -factor, part) for part in power]
                    total = [
                        _collected([*part.items(), *(power[n - k].items() if n >= k else ())])
                        for n, part in enumerate(total)
                    ]
                return total
        return [{Node(base): sp.Integer(1)}, *nothing]

    def _sum(self, terms: tuple[SelfAdjoint, ...], factor: Any, part: Field) -> Field:
        images = [self._image(X, part).items() for X in terms]
        return _collected((tree, factor * c) for image in images for tree, c in image)

    def _image(self, step: Map, part: Field) -> Field:
        problem = self.problem
        if step is problem.hessian:
            return {node(_field_tree(tree)): -c for tree, c in part.items()}
        if step is problem.J:
            return {_half(_field_tree(tree)): c for tree, c in part.items()}
        if step is problem.J.adjoint:
            return {
                residual_node((), tree.branches) if tree.label == "q" else Node(step.name, (tree,)): -c
                for tree, c in part.items()
            }
        return {Node(step.name, (_field_tree(tree),)): c for tree, c in part.items()}


def _collected(terms: Any) -> Field:
    total: Field = {}
    for tree, c in terms:
        total[tree] = total.get(tree, 0) + c
    return {tree: c for tree, c in total.items() if c != 0}


def _half(*branches: Node) -> Node:
    """Return q, or J F(t): a vector of residuals."""
    return Node("q", branches)


def _field_tree(tree: Node) -> Node:
    if tree == THETA:
        raise ValueError("the step uses theta itself, not only the derivatives of the energy there")
    return tree


def _paired(u: Node, v: Node) -> Any:
    """Return the inner product of two vectors of parameters, or of two of residuals."""
    if u.label != "q":
        return invariant(_field_tree(u), _field_tree(v))
    if not u.branches and not v.branches:
        return 2 * ENERGY
    if not u.branches or not v.branches:
        return -invariant(leaf, *u.branches, *v.branches)
    return -invariant(u.branches[0], residual_node((), v.branches))
