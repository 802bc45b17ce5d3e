r"""Diagonal blocks of a curvature.

For a partition of the parameters into blocks b, with the restriction ``E_b`` to one of them,

.. math:: G = \sum_b E_b^T\, (E_b\, G_0\, E_b^T)\, E_b                                                     \tag{1}

keeps of a curvature ``G_0`` what is within a block. For the two-layer network the blocks are those of a *layer*, W and a, or
of a *neuron*, ``(W_j, a_j)`` for each hidden unit j: m blocks of size D + 1 + k.

(1) is positive semi-definite if ``G_0`` is. Its eigenbasis is that of the blocks, each of which costs the cube of its
size: the damped step, a trust region and the cubic term are as exact as for a full matrix. A block of the size of
theta itself is ``G_0``. Blocks too large to be stored have products only: one with ``G_0`` for each block.

For two layers the block-tridiagonal part of a curvature is the whole of it.

Source: Le Roux, Manzagol & Bengio, NIPS 20 (2008); Martens & Grosse, arXiv:1503.05671, sections 4.2 and 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace
from ..refusals import one_of
from .choice import DENSE_LIMIT
from .eigenbasis import Form
from .generalized_gauss_newton import GeneralizedGaussNewton
from .lapack import eigh
from .model import Approximation, Curvature, Model, curvature_in

__all__ = ["PARTITIONS", "BlockDiagonal", "BlockDiagonalModel", "Restricted", "joined"]

STORED_ENTRIES = 1 << 27  # of all blocks, a gigabyte in float64
PARTITIONS = ("layer", "neuron")
"""What a block belongs to."""


class Restricted(Approximation):
    """A part of the curvature of another model, with the energy and the gradient of that model.

    Parameters
    ----------
    whole : Model
        The other model.
    groups : list of int arrays
        A partition of the parameters, each of shape (b, s): the indices of b blocks of size s.
    """

    def __init__(self, whole: Model, groups: list[Array]) -> None:
        super().__init__(whole)
        self.groups = groups

    def parts(self, v: Array) -> list[Array]:
        """Return the entries of each group, (b, s), of a vector v (P,)."""
        xp = array_namespace(v)
        return [xp.reshape(xp.take(v, xp.reshape(group, (-1,))), group.shape) for group in self.groups]

    def whole_of(self, parts: list[Array]) -> Array:
        """Return the vector (P,) of the entries of each group.

        Parameters
        ----------
        parts : list of arrays
            The entries, each of shape (b, s).
        """
        return array_namespace(parts[0]).take(joined(parts), self._place)

    @cached_property
    def _place(self) -> Array:
        """Where an entry of theta is in the joined groups."""
        order = joined(self.groups)
        return array_namespace(order).argsort(order)


def joined(parts: list[Array]) -> Array:
    """Return the entries of all parts, block by block, (P,).

    Parameters
    ----------
    parts : list of arrays
        The entries, each of shape (b, s).
    """
    xp = array_namespace(parts[0])
    return xp.concat([xp.reshape(part, (-1,)) for part in parts])


class BlockDiagonalModel(Restricted):
    """A model with the curvature (1).

    Parameters
    ----------
    whole : Model
        That of the curvature ``G_0``.
    groups : list of int arrays
        A partition of the parameters, each of shape (b, s): the indices of b blocks of size s.
    """

    def __init__(self, whole: Model, groups: list[Array]) -> None:
        super().__init__(whole, groups)
        self.in_range = whole.definite and whole.in_range
        self.known_mass("a curvature of blocks")

    @cached_property
    def dense(self) -> list[Array]:
        """The blocks of M G, (b, s, s) for each group, symmetric."""
        xp = array_namespace(self.theta)
        return [(B + xp.matrix_transpose(B)) / 2 for B in self.whole.blocks(self.groups)]

    @cached_property
    def stored(self) -> bool:
        """Whether the blocks are few enough numbers to be stored and decomposed; products with the whole serve otherwise."""
        shapes = [group.shape for group in self.groups]
        return bool(sum(b * s * s for b, s in shapes) <= STORED_ENTRIES and max(s for _, s in shapes) <= DENSE_LIMIT)

    @cached_property
    def _numbers(self) -> list[Array]:
        """The numbers of the blocks, in the shape (b, s) of each group."""
        xp, numbers, start = array_namespace(self.theta), list[Array](), 0
        for group in self.groups:
            numbers.append(xp.broadcast_to((start + xp.arange(group.shape[0]))[:, None], group.shape))
            start += group.shape[0]
        return numbers

    @cached_property
    def _number(self) -> Array:
        """The number of the block that an entry of theta belongs to, (P,)."""
        return self.whole_of(self._numbers)

    def apply(self, v: Array) -> Array:
        """Return G v of (1), (P,); without stored blocks, by one product with the whole for each block."""
        if self.stored:
            pairs = zip(self.dense, self.parts(v), strict=True)
            return self.whole_of([(B @ part[:, :, None])[:, :, 0] for B, part in pairs]) / self.known_mass("G")
        xp, u = array_namespace(v), 0 * v
        for b in range(sum(group.shape[0] for group in self.groups)):
            inside = xp.astype(self._number == b, self.dtype)
            u = u + inside * self.whole.apply(inside * v)
        return u

    def matrix(self) -> Array:
        """Return M G, (P, P), symmetric."""
        B = self.whole.matrix()
        return array_namespace(B).where(self._number[:, None] == self._number[None, :], B, 0 * B)

    @property
    def has_diagonal(self) -> bool:  # type: ignore[override]
        """Whether the whole has one."""
        return self.whole.has_diagonal

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,), that of the whole."""
        return self.whole.diagonal()

    def has_own_form(self, weights: Array | None) -> bool:
        """Return whether the blocks are stored: every diagonal metric, (P,), keeps them."""
        return self.stored

    def own_form(self, weights: Array | None) -> Form:
        """Return the eigenbases of the blocks, side by side."""
        xp, mass = array_namespace(self.theta), self.known_mass("a curvature of blocks")
        S = xp.sqrt(xp.ones_like(self.theta) * mass * (1.0 if weights is None else weights))
        scales = self.parts(S)
        mus, bases = [], []
        for B, s in zip(self.dense, scales, strict=True):
            mu, V = eigh(B / s[:, :, None] / s[:, None, :])
            mus.append(mu)
            bases.append(V)
        g = self.parts(self.gradient * mass / S)
        gamma = [(xp.matrix_transpose(V) @ part[:, :, None])[:, :, 0] for V, part in zip(bases, g, strict=True)]
        mu = joined(mus)
        longest = max(group.shape[1] for group in self.groups)

        def lift(z: Array) -> Array:
            parts, start = [], 0
            for V, s in zip(bases, scales, strict=True):
                b, size = s.shape
                part = xp.reshape(z[start : start + b * size], (b, size, 1))
                parts.append((V @ part)[:, :, 0] / s)
                start += b * size
            return self.whole_of(parts)

        tiny = float(xp.finfo(mu.dtype).eps) * longest * float(xp.max(xp.abs(mu)))
        return Form(joined(gamma), mu, lift, tiny, joined(self._numbers))


@dataclass(frozen=True)
class BlockDiagonal:
    """The diagonal blocks (1) of another curvature. It needs a problem with ``parameter_blocks``.

    Parameters
    ----------
    of : Curvature
        The curvature ``G_0``.
    blocks : {"layer", "neuron"}
        What a block belongs to.

    Raises
    ------
    ValueError
        If `of` is no curvature or the kind of blocks is unknown.
    """

    of: Curvature = GeneralizedGaussNewton()
    blocks: str = "layer"

    def __post_init__(self) -> None:
        curvature_in("of", self.of)
        one_of("blocks", self.blocks, PARTITIONS)

    def at(self, problem: Problem, theta: Array) -> BlockDiagonalModel:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the problem has no blocks of parameters, or the curvature refuses it.
        """
        partition = problem_ability(problem, "parameter_blocks")
        if partition is None:
            raise ValueError(
                f"BlockDiagonal needs a problem with parameter_blocks, which {type(problem).__name__} does not have"
            )
        return BlockDiagonalModel(self.of.at(problem, theta), partition(self.blocks))
