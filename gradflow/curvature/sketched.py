r"""Steps in a random subspace: sketched curvatures.

For a random matrix S with d columns, the *sketch*, the step is the minimiser of the model in the range of S,

.. math:: d = S y, \qquad (S^* G\,S + \nu\,S^* D\,S)\,y = -S^* g,                                          \tag{1}

for d products with G. Here ``S^*`` is the adjoint in the inner product. ``S^* G S`` is no curvature of the framework: it
acts on y. (1) does not depend on the scale of S, and for an S of rank P it is the step of the model itself.

With ``S = M^{-1/2} T``, the entries of T, (P, d), are

* **gaussian**: independent, normal, of the variance 1/d;
* **sparse**: one entry in each row, a random sign in a random column;
* **srht**: d columns, drawn without repetition, of a Hadamard matrix, whose rows have random signs; divided by
  ``d^{1/2}``. The number of its rows is the next power of 2, and those beyond P are left out.

In each case ``E[S S^*] = I``, and for the last two the diagonal of ``T T^T`` is 1 for every draw.

The eigenbasis. With ``W = (M D)^{1/2} S``, ``W = Q diag(sigma) V^T`` and the columns of Q with ``sigma > 0``, the curvature in
the subspace is the symmetric matrix

.. math:: Q^T (M D)^{-1/2}\,B\,(M D)^{-1/2}\,Q,                                                          \tag{2}

so that damping, a trust region and the cubic term are exact in it. By the interlacing theorem its eigenvalues lie between those
of G; a negative one proves that G has one.

The draw. It depends on the seed and, if `fresh`, on theta, by a digest of its bytes: one theta has one sketch, and a new one
another. A rejected trial keeps its sketch. Without `fresh` a run stays in ``theta_0 + range(S)``, and its limit is a minimiser
there. With it, a rounding error in theta changes the steps that follow: two machines need not agree.

Source: Gower, Kovalev, Lieder & Richtárik, NeurIPS 32 (2019), for (1) with a fresh sketch in each step; Clarkson &
Woodruff, STOC (2013), for the sparse sketch; Tropp, Adv. Adapt. Data Anal. 3 (2011) 115, for the Hadamard matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..energies.protocols import Problem
from ..namespace import Array, array_namespace, fingerprint
from ..refusals import Floats, few_entries, instance, one_of, whole_number
from .eigenbasis import Form
from .lapack import eigh, svd
from .model import Approximation, Curvature, Model, curvature_in

__all__ = ["SKETCHES", "Sketched", "SketchedModel", "draw", "draw_at", "hadamard_columns", "signs_in_columns"]

SKETCHES = ("gaussian", "sparse", "srht")
"""The kinds of a sketch."""
_PURPOSE = 0x736B6574
"""Keeps these numbers apart from others of the same seed."""


def signs_in_columns(signs: Floats, columns: Array, d: int) -> Array:
    """Return T of the sparse sketch, (P, d): the sign of a row in its column.

    Parameters
    ----------
    signs : array (P,)
        Signs, 1 or -1.
    columns : int array (P,)
        Columns, in [0, d).
    d : int
        The number of columns.
    """
    return np.where(columns[:, None] == np.arange(d), signs[:, None], 0.0)


def hadamard_columns(signs: Floats, columns: Array) -> Array:
    """Return ``d^{1/2} T`` of the Hadamard sketch, (P, d), of entries 1 and -1.

    The entry (i, j) of the Hadamard matrix is -1 to the number of binary digits that i and j share.

    Parameters
    ----------
    signs : array (P,)
        Signs of the rows, 1 or -1.
    columns : int array (d,)
        Columns, from 0 to less than the next power of 2.
    """
    shared = np.arange(signs.shape[0])[:, None] & columns
    for shift in (32, 16, 8, 4, 2, 1):
        shared = shared ^ (shared >> shift)  # the last digit becomes the parity
    return signs[:, None] * (1 - 2 * (shared & 1))


def draw(kind: str, P: int, d: int, rng: np.random.Generator) -> Array:
    """Return a matrix T, (P, d), in float64.

    Parameters
    ----------
    kind : {"gaussian", "sparse", "srht"}
        The kind.
    P, d : int
        The shape, d <= P.
    rng : numpy.random.Generator
        The random numbers.
    """
    if kind == "gaussian":
        return rng.standard_normal((P, d)) / d**0.5
    signs = rng.choice((-1.0, 1.0), P)
    if kind == "sparse":
        return signs_in_columns(signs, rng.integers(d, size=P), d)
    return hadamard_columns(signs, rng.choice(1 << (P - 1).bit_length(), d, replace=False)) / d**0.5


def draw_at(theta: Array, n: int, kind: str, size: int, seed: int, *, fresh: bool = True) -> Array:
    """Return the matrix T of shape (n, d), d = min(size, n), of one theta, in its dtype and library.

    Parameters
    ----------
    theta : array (P,)
        Parameters; a digest of their bytes is part of the seed.
    n, kind, size, seed : int, str, int, int
        The number of rows, the kind, the number of columns wanted, and the seed.
    fresh : bool
        Whether the draw depends on theta.

    Raises
    ------
    ValueError
        If that is too many numbers.
    """
    few_entries("a sketch", n, min(size, n), "take a smaller size")
    own = int(fingerprint(theta), 16) if fresh else 0
    T = draw(kind, n, min(size, n), np.random.default_rng([seed, own, _PURPOSE]))
    return array_namespace(theta).asarray(T, dtype=theta.dtype)


class SketchedModel(Approximation):
    """A model whose steps (1) are confined to a subspace. Its curvature, energy and gradient are those of the whole.

    Parameters
    ----------
    whole : Model
        The model.
    drawn : callable
        Returns T, (P, d); it is called once, for the first step.
    """

    confined = True

    def __init__(self, whole: Model, drawn: Callable[[], Array]) -> None:
        super().__init__(whole)
        self._drawn, self.in_range = drawn, whole.definite and whole.in_range
        self.known_mass("a sketched curvature")

    @cached_property
    def T(self) -> Array:
        """The matrix T, (P, d)."""
        return self._drawn()

    def apply(self, v: Array) -> Array:
        """Return G v, (P,), of the whole."""
        return self.whole.apply(v)

    def matrix(self) -> Array:
        """Return M G, (P, P), of the whole."""
        return self.whole.matrix()

    @property
    def has_diagonal(self) -> bool:  # type: ignore[override]
        """Whether the whole has one."""
        return self.whole.has_diagonal

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,), of the whole."""
        return self.whole.diagonal()

    def has_own_form(self, weights: Array | None) -> bool:
        """Return True: (2) is made for every metric, (P,)."""
        return True

    def own_form(self, weights: Array | None) -> Form:
        """Return the eigenbasis of (2); the weights of the metric are (P,) or None."""
        xp, mass = array_namespace(self.theta), self.known_mass("a sketched curvature")
        root = (1.0 if weights is None else weights) ** 0.5 + 0 * self.theta
        S = mass**0.5 * root
        Q, sigma, _ = svd(root[:, None] * self.T)
        eps = float(xp.finfo(sigma.dtype).eps)
        rank = max(1, int(xp.sum(xp.astype(sigma > eps * self.shape[0] * sigma[0], xp.int64))))  # 0 for NaN
        Q = Q[:, :rank]
        products = [mass * self.whole.apply(Q[:, j] / S) / S for j in range(rank)]
        H = Q.T @ xp.stack(products, axis=1)  # (2)
        mu, V = eigh((H + H.T) / 2)
        Q = Q @ V
        tiny = eps * self.shape[0] * float(xp.max(xp.abs(mu)))
        return Form(Q.T @ (self.gradient * mass / S), mu, lambda z: (Q @ z) / S, tiny)


@dataclass(frozen=True)
class Sketched:
    """The steps (1) of another curvature in a random subspace. Only ``solver="own"``, and ``"auto"``, keep to it.

    Parameters
    ----------
    of : Curvature
        The curvature G.
    size : int
        The number d >= 1 of columns; more than P is P.
    kind : {"gaussian", "sparse", "srht"}
        The kind of the sketch.
    seed : int
        Of the draws, >= 0.
    fresh : bool
        Whether each theta has a sketch of its own. Without, a run stays in one subspace.

    Raises
    ------
    ValueError
        If `of` is no curvature, `kind` is unknown, `fresh` is not True or False, or a number is out of its range.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 200, activation="tanh", scaling="ntk"), x, np.sin(3 * x))
    >>> method = gf.SecondOrder(curvature=gf.curvature.Sketched(gf.curvature.GaussNewton(), size=20))
    >>> run = gf.solve(problem, method, problem.net.init(0), steps=30)
    >>> bool(run.history["energy"][-1] < 1e-2 * run.history["energy"][0])
    True
    """

    of: Curvature
    size: int
    kind: str = "gaussian"
    seed: int = 0
    fresh: bool = True

    def __post_init__(self) -> None:
        curvature_in("of", self.of)
        object.__setattr__(self, "size", whole_number("size", self.size, 1))
        one_of("kind", self.kind, SKETCHES)
        object.__setattr__(self, "seed", whole_number("seed", self.seed))
        instance("fresh", self.fresh, bool, "True or False")

    def at(self, problem: Problem, theta: Array) -> SketchedModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the curvature refuses the problem, or its inner product is not diagonal.
        """
        return SketchedModel(self.of.at(problem, theta), lambda: self._drawn(theta))

    def _drawn(self, theta: Array) -> Array:
        return draw_at(theta, theta.shape[0], self.kind, self.size, self.seed, fresh=self.fresh)
