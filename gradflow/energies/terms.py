r"""A sum of energies, whose terms a scheme may see one by one.

.. math:: E(\theta) = \sum_i w_i E_i(\theta), \qquad F_i = w_i\,\bigl(E_i - \tfrac12(\theta, L_i\theta)_M\bigr), \quad
   L = \sum_i w_i L_i.                                                                                     \tag{1}

All terms have one inner product. `gradflow.MSAV` with ``parts="terms"`` takes the ``F_i`` and their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..description import describe, found
from ..namespace import Array, array_namespace
from ..refusals import real_array, real_number, real_scalar
from .derivatives import third_derivative
from .linear import Diagonal, LinearPart, Zero, add, as_linear_part
from .probes import probe_vectors
from .protocols import Problem, linear_part, nonlinear_energy, nonlinear_energy_and_gradient, problem_ability
from .split import SplitEnergy

__all__ = ["SumOfEnergies"]


class SumOfEnergies(SplitEnergy):
    """The sum (1) of energies.

    Parameters
    ----------
    terms : sequence of Problem
        The ``E_i``, with one inner product, that of the first; where it is no known diagonal, two vectors compare it. They
        are problems of your own or of the library, such as the losses of groups of samples, ``problem.batch(rows)``. Their
        energy parts are numbers or diagonal.
    weights : sequence of float, optional
        The ``w_i > 0``; 1 by default.

    Raises
    ------
    ValueError
        If there is no term, a term is no problem, its inner product is not that of the first term, its energy part is not
        diagonal, or the weights are not one positive number for each term. Inner products that are no known diagonals are
        compared at the first gradient.

    Examples
    --------
    A cross-entropy, the mean over 60 samples, as a sum over its classes:

    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x, labels = rng.standard_normal((60, 2)), rng.integers(0, 3, 60)
    >>> whole = gf.Classification(gf.TwoLayerNet(2, 8, 3, activation="tanh"), x, labels)
    >>> groups = [np.flatnonzero(labels == k) for k in range(3)]
    >>> parts = gf.SumOfEnergies([whole.batch(rows) for rows in groups], [len(rows) / 60 for rows in groups])
    >>> theta = whole.net.init(0)
    >>> bool(abs(parts.energy(theta) - whole.energy(theta)) < 1e-14)
    True
    >>> run = gf.solve(parts, gf.MSAV(parts="terms"), theta, dt=0.5, steps=20)
    >>> run.state.aux.shape, bool(run.history["energy"][-1] < run.history["energy"][0])
    ((3,), True)
    """

    def __init__(self, terms: Sequence[Problem], weights: Sequence[float] | None = None) -> None:
        if not isinstance(terms, (list, tuple)) or not terms:
            raise ValueError(f"terms must be a list or tuple of problems, got {found(terms)}")
        for term in terms:
            if isinstance(term, type) or not callable(getattr(term, "energy_and_gradient", None)):
                raise ValueError(f"terms must be problems, with energy_and_gradient and inner; got {found(term)}")
        given = [1.0] * len(terms) if weights is None else weights
        if not isinstance(given, (list, tuple)) or len(given) != len(terms):
            raise ValueError(f"weights must be one number for each of the {len(terms)} terms, got {found(weights)}")
        self.weights = tuple(real_number("weights", w, 0, open_low=True) for w in given)
        self.terms = tuple(terms)
        self.mass: float | Array | None = problem_ability(terms[0], "mass")
        for term in terms[1:]:
            if not _same(problem_ability(term, "mass"), self.mass):
                raise ValueError("terms must have one inner product, got another `mass` than that of the first term")
        self.linear: LinearPart = Zero()
        self._compared: set[int] = set()
        for term, w in zip(terms, self.weights, strict=True):
            self.linear = add(self.linear, _scaled(linear_part(term), w))

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M of the first term, a 0-d array."""
        return self.terms[0].inner(u, v)

    def term_energies(self, theta: Array) -> Array:
        """Return the ``F_i``, (m,), at theta (P,)."""
        pairs = zip(self.weights, self.terms, strict=True)
        values = [w * real_scalar("the energy of a term", nonlinear_energy(term, theta), theta) for w, term in pairs]
        return array_namespace(theta).stack(values)

    def term_energies_and_gradients(self, theta: Array) -> tuple[Array, Array]:
        """Return the ``F_i``, (m,), and their gradients with respect to `inner`, (m, P), at theta (P,)."""
        xp, F, g = array_namespace(theta), list[Array](), list[Array]()
        self._compare_inner(theta)
        for w, term in zip(self.weights, self.terms, strict=True):
            F_i, g_i = nonlinear_energy_and_gradient(term, theta)
            F.append(w * real_scalar("the energy of a term", F_i, theta))
            g.append(w * real_array("the gradient of a term", g_i, {"P": theta.shape[0]}, theta.dtype, of="theta"))
        return xp.stack(F), xp.stack(g)

    def _compare_inner(self, theta: Array) -> None:
        """Raise ValueError unless the terms have one inner product on two vectors, once for each length of theta."""
        P = theta.shape[0]
        if self.mass is not None or P in self._compared:
            return
        u, v = probe_vectors(theta)
        tol = float(array_namespace(theta).finfo(theta.dtype).eps) ** 0.5
        first = [float(self.terms[0].inner(*pair)) for pair in ((u, u), (u, v), (v, v))]
        for term in self.terms[1:]:
            other = [float(term.inner(*pair)) for pair in ((u, u), (u, v), (v, v))]
            if not all(abs(a - b) <= tol * max(first[0], first[2]) for a, b in zip(first, other, strict=True)):
                raise ValueError(
                    f"terms must have one inner product, got (u, u), (u, v), (v, v) = {other} for a term, and {first} for the first"
                )
        self._compared.add(P)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return the sum of the ``F_i``, 0-d."""
        return array_namespace(theta).sum(self.term_energies(theta))

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return the sum of the ``F_i``, 0-d, and its gradient, (P,)."""
        xp, (F, g) = array_namespace(theta), self.term_energies_and_gradients(theta)
        return xp.sum(F), xp.sum(g, axis=0)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of the sum along v, (P,), for theta and v (P,)."""
        total = 0 * theta
        for w, term in zip(self.weights, self.terms, strict=True):
            L = linear_part(term)
            H_v = term.hvp(theta, v)
            total = total + w * (H_v if L.scalar == 0 else H_v - L.apply(v))
        return total

    @property
    def has_third_derivative(self) -> bool:
        """Whether all terms have third derivatives."""
        return all(problem_ability(term, "has_third_derivative") for term in self.terms)

    def third_derivative(self, theta: Array, u: Array, v: Array) -> Array:
        """Return D^3 E[u, v], (P,), the weighted sum of those of the terms.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        u, v : array (P,)
            Directions.

        Raises
        ------
        ValueError
            If a term has no third derivatives.
        """
        total = 0 * theta
        for w, term in zip(self.weights, self.terms, strict=True):
            total = total + w * third_derivative(term, theta, u, v)
        return total

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {"problem": "SumOfEnergies", "terms": [describe(t) for t in self.terms], "weights": list(self.weights)}


def _same(a: Array | float | None, b: Array | float | None) -> bool:
    """Return whether two diagonals are equal."""
    if a is None or b is None:
        return a is b
    if isinstance(a, (int, float)) or isinstance(b, (int, float)):
        return bool(isinstance(a, (int, float)) and isinstance(b, (int, float)) and a == b)
    return bool(a.shape == b.shape and array_namespace(a, b).all(a == b))


def _scaled(L: LinearPart, w: float) -> LinearPart:
    """Return w L."""
    if isinstance(L, Diagonal):
        return Diagonal(w * L.diagonal)
    if L.scalar is None:
        raise ValueError(f"terms must have energy parts that are numbers or diagonal, got {found(L)}")
    return as_linear_part(w * L.scalar, "linear")
