r"""Curvatures that are sums of outer products over samples.

For a model with the outputs ``f_i = f(x_i; theta)``, (k,), and their partial derivatives ``J_i``, (k, P), each curvature of this
kind is, in coordinates,

.. math:: B = M G = \sum_{i=1}^N \sum_j \rho_{ij} \rho_{ij}^T + M L, \qquad
          \rho_{ij} = J_i^T Q_{ij} - s_{ij}\,\bar\rho,                                                  \tag{1}

with rows ``Q_ij`` in the space of the outputs and, for centred sums, a mean ``rho`` with weights s. What Q is makes the
curvature: a root of the loss's second derivative, scores, slopes.

A product with G is one forward and one backward sweep, and no matrix; sums go over blocks of samples, so that memory
does not grow with N. A root has the rows ``rho_ij``, and ``(M L)^{1/2}`` below them. Without L and without a mean, its Gram
matrix follows from that of the outputs,

.. math:: R R^* = Q\,(J J^*)\,Q^T.                                                                       \tag{2}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, cast

from ..energies.linear import Diagonal
from ..energies.protocols import Layer, OutputLinearization, Problem, problem_ability
from ..namespace import Array, array_namespace
from .model import Model, Root, picked

__all__ = ["Block", "OuterProducts", "Rows", "gradient_rows", "predicting"]

BLOCK_ENTRIES = 1 << 22  # of the rows that are held at a time


class Block(NamedTuple):
    """A block of n samples."""

    at: OutputLinearization
    """Their outputs and the derivative."""
    Q: Array
    """Rows of (1), (n, j, k)."""
    s: Array | None
    """Weights of the mean, (n, j); None without one."""


class Rows(NamedTuple):
    """What makes a curvature of the kind (1)."""

    Q: Callable[[Any, Array, slice], Array]
    """Maps the loss of a block, its outputs (n, k) and its samples to Q, (n, j, k)."""
    each: int
    """The number j of rows of a sample."""
    s: Array | None = None
    """Weights of the mean, (N,), for one row of each sample; None without one."""
    mean: Array | None = None
    """The mean in coordinates, (P,)."""
    relative: Array | None = None
    """The weights of the samples relative to their mean, (N,), which Q contains; None for ones."""


def predicting(problem: Problem, what: str) -> None:
    """Raise ValueError unless the problem is one of `gradflow.energies.protocols.Predicting`.

    Parameters
    ----------
    problem : Problem
        The energy.
    what : str
        What needs it, for the message.
    """
    if problem_ability(problem, "output_blocks") is None or problem_ability(problem, "output_loss") is None:
        raise ValueError(f"{what} needs a problem with outputs, got {type(problem).__name__} without output_blocks")


def gradient_rows(layers: list[Layer]) -> Array:
    """Return ``J_i^T Q_ij`` of a block, of shape (n j, P).

    Parameters
    ----------
    layers : list of Layer
        The factors of the rows.
    """
    xp = array_namespace(layers[0].inputs)
    n, j, _ = layers[0].sensitivities.shape
    parts = [xp.reshape(x[:, None, :, None] * d[:, :, None, :], (n * j, -1)) for x, d in layers]
    return xp.concat(parts, axis=1)


class OuterProducts(Model):
    """A model with the curvature (1).

    Parameters
    ----------
    problem : Predicting
        The energy.
    theta : array (P,)
        Where the model is made.
    rows : Rows
        The rows.
    """

    has_diagonal = True
    definite = True

    def __init__(self, problem: Problem, theta: Array, rows: Rows) -> None:
        super().__init__(problem, theta)
        self.of = rows
        self.known_mass("a sum of outer products")

    def _made(self, most: int | None) -> Iterator[Block]:
        start = 0
        for at, loss in problem_ability(self.problem, "output_blocks")(self.theta, most):
            f = at.outputs
            part = slice(start, start + f.shape[0])
            s = None if self.of.s is None else self.of.s[part][:, None]
            yield Block(at, self.of.Q(loss, f, part), s)
            start = part.stop

    @cached_property
    def _only(self) -> Block | None:
        """The block of all samples, if there is only one."""
        blocks = self._made(None)
        first = next(blocks)
        return first if next(blocks, None) is None else None

    def blocks_of_samples(self) -> Iterator[Block]:
        """Return the blocks for products: a single one is made once."""
        return self._made(None) if self._only is None else iter((self._only,))

    def blocks_of_rows(self) -> Iterator[tuple[Block, Array]]:
        """Yield blocks of a bounded size with their rows ``rho_ij``, of shape (n j, P)."""
        xp = array_namespace(self.theta)
        for block in self._made(max(1, BLOCK_ENTRIES // (self.of.each * self.shape[0]))):
            rho = gradient_rows(block.at.layers(block.Q))
            if block.s is not None:
                rho = rho - xp.reshape(block.s, (-1, 1)) * self.of.mean  # (1)
            yield block, rho

    @property
    def _linear_diagonal(self) -> Array | float | None:
        """L, if it is a number or diagonal."""
        return self.linear.diagonal if isinstance(self.linear, Diagonal) else self.linear.scalar

    def _linear_matrix(self) -> Array:
        """M L, (P, P)."""
        L = self.linear.apply(array_namespace(self.theta).eye(self.shape[0], dtype=self.dtype))
        L = L * self.known_mass("a matrix of the curvature")
        return (L + L.T) / 2

    def _products(self, block: Block, v: Array) -> Array:
        """``R_block v``, (n, j)."""
        xp, (n, _, k) = array_namespace(v), block.Q.shape
        u = (block.Q @ xp.reshape(block.at.jvp(v), (n, k, 1)))[:, :, 0]
        return u if block.s is None else u - block.s * (self.of.mean @ v)

    def _adjoint(self, block: Block, u: Array) -> Array:
        """``R_block^* u``, (P,), for u of shape (n, j)."""
        xp, Q = array_namespace(u), block.Q
        back = block.at.vjp(xp.reshape(xp.sum(u[:, :, None] * Q, axis=1), (-1,)))
        if block.s is None:
            return back
        return back - xp.sum(block.s * u) * self.of.mean / self.known_mass("a sum of outer products")

    def apply(self, v: Array) -> Array:
        """Return G v, (P,): a forward and a backward sweep.

        Parameters
        ----------
        v : array (P,)
            A direction.
        """
        total = 0 * v if self.linear.scalar == 0 else self.linear.apply(v)
        for block in self.blocks_of_samples():
            total = total + self._adjoint(block, self._products(block, v))
        return total

    def matrix(self) -> Array:
        """Return (1), (P, P), symmetric."""
        B = 0.0
        for _, rho in self.blocks_of_rows():
            B = B + rho.T @ rho
        return B if self.linear.scalar == 0 else B + self._linear_matrix()

    def blocks(self, groups: list[Array]) -> list[Array]:
        """Return diagonal blocks of (1), for each group of shape (b, s, s); the other entries are not computed.

        Parameters
        ----------
        groups : list of int arrays
            Each of shape (b, s): the indices of b blocks of size s.
        """
        xp = array_namespace(self.theta)
        B = [xp.zeros((*group.shape, group.shape[1]), dtype=self.dtype) for group in groups]
        for _, rho in self.blocks_of_rows():
            for at, group in enumerate(groups):
                part = xp.reshape(xp.take(rho, xp.reshape(group, (-1,)), axis=1), (-1, *group.shape))
                part = xp.permute_dims(part, (1, 0, 2))
                B[at] = B[at] + xp.matrix_transpose(part) @ part
        L = self._linear_diagonal
        if L is None:
            ML = self._linear_matrix()
            return [b + picked(ML, group) for b, group in zip(B, groups, strict=True)]
        ML = xp.ones_like(self.theta) * L * self.known_mass("a matrix of the curvature")
        eyes = [xp.eye(group.shape[1], dtype=self.dtype) for group in groups]
        taken = [xp.reshape(xp.take(ML, xp.reshape(group, (-1,))), group.shape) for group in groups]
        return [b + part[:, :, None] * eye for b, part, eye in zip(B, taken, eyes, strict=True)]

    def diagonal(self) -> Array:
        """Return the diagonal of G, (P,)."""
        xp, total = array_namespace(self.theta), 0 * self.theta
        for _, rho in self.blocks_of_rows():
            total = total + xp.sum(rho * rho, axis=0)
        return total / self.known_mass("the diagonal of the curvature") + self.linear_diagonal()

    @property
    def rows(self) -> int | None:  # type: ignore[override]
        """N j; None if L is not diagonal."""
        if self._linear_diagonal is None:
            return None
        return int(problem_ability(self.problem, "n_samples")) * self.of.each

    def root(self) -> Root | None:
        """Return the rows ``rho_ij``, and those of L below; None if L is not diagonal."""
        L = self._linear_diagonal
        if L is None:
            return None
        xp = array_namespace(self.theta)
        parts = [rho for _, rho in self.blocks_of_rows()]
        if self.linear.scalar != 0:
            s = xp.sqrt(xp.ones_like(self.theta) * L * self.known_mass("a root of the curvature"))
            parts.append(s[:, None] * xp.eye(self.shape[0], dtype=self.dtype))
        return Root(parts[0] if len(parts) == 1 else xp.concat(parts), None)

    def weighted_rows(self, weights: Array) -> Array:
        """Return ``sum_i weights_i J_i^T Q_i1``, (P,), in coordinates, for one row of each sample.

        Parameters
        ----------
        weights : array (N,)
            Coefficients of the rows.
        """
        return self.from_rows(weights) * self.known_mass("a sum of outer products")

    @property
    def has_gram(self) -> bool:
        """Whether (2) holds: there is neither L nor a mean, and the samples are one block."""
        return self.linear.scalar == 0 and self.of.s is None and self._only is not None

    def gram(self) -> Array:
        """Return (2), (N j, N j), without a row of P entries. It raises ValueError where `has_gram` is False."""
        if not self.has_gram:
            raise ValueError(
                "the Gram matrix is known without an energy part, without a mean, and for one block of samples"
            )
        block = cast(Block, self._only)
        xp, Q = array_namespace(self.theta), block.Q
        n, j, k = Q.shape
        K = Q @ xp.reshape(block.at.gram(), (n, k, n * k))
        K = Q @ xp.reshape(xp.reshape(K, (n * j, n * k)).T, (n, k, n * j))
        K = xp.reshape(K, (n * j, n * j))
        return (K + K.T) / 2

    def along_rows(self, v: Array) -> Array:
        """Return R v, (N j,), for L = 0 and v of shape (P,)."""
        xp = array_namespace(v)
        return xp.concat([xp.reshape(self._products(block, v), (-1,)) for block in self.blocks_of_samples()])

    def from_rows(self, u: Array) -> Array:
        """Return R^* u, (P,), for L = 0 and u of shape (N j,)."""
        xp, total, start = array_namespace(u), 0 * self.theta, 0
        for block in self.blocks_of_samples():
            n, j, _ = block.Q.shape
            total = total + self._adjoint(block, xp.reshape(u[start : start + n * j], (n, j)))
            start += n * j
        return total
