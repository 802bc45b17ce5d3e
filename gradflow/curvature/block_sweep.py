r"""One sweep over blocks of parameters, in the place of the linear system of IEQ: per-layer and per-neuron IEQ.

Let theta consist of blocks b = 1, ..., l with derivatives ``J_b``, and let A be diagonal. A sweep replaces the system ``(A /
dt + J^* J) d = -(J^* q + h)`` (`gradflow.curvature.damped_step`) by one for each block,

.. math:: \Bigl(\frac{A_b}{\Delta t} + J_b^* J_b\Bigr)\, d_b = -(J_b^* q_b + h_b),                       \tag{1}

.. math::
   \text{Gauss-Seidel:}\quad q_b = q + \sum_{c < b} J_c d_c, \qquad \text{Jacobi:}\quad q_b = q.          \tag{2}

This is one iteration, from 0, of the method of that name. With B the operator of the whole system and D its diagonal
blocks, the decrease along d is

.. math::
   -(J^* q + h, d)_M = \tfrac12 (d, (B + D) d)_M \quad\text{(Gauss-Seidel)}, \qquad
   (d, D d)_M \quad\text{(Jacobi)}.                                                                       \tag{3}

The law. `gradflow.IEQ` takes the best multiple ``tau d``, and then has its own law, of the full ``|q|^2 / 2``, for every
dt: with (3) and ``B <= l D``,

.. math::
   \tau = \tfrac12 + \tfrac12\frac{(d, D d)_M}{(d, B d)_M} \ge \tfrac12 + \frac{1}{2l}, \qquad
   \tau = \frac{(d, D d)_M}{(d, B d)_M} \ge \frac1l,                                                       \tag{4}

and tau = 1 to first order in dt, so that the flow is the same. Without tau, Gauss-Seidel has a law with the sum of the ``|J_b
d_b|^2 / 2``, and Jacobi none for three blocks or more. The safe factor 1 / l of Jacobi is the least value of its tau.

The matrices of (1) cost ``N P s`` for blocks of size s, where the whole system costs ``N P min(N, P)``. If J has too
many entries to be stored, each block is solved by conjugate gradients with products of the whole of J, which is
worthwhile for few blocks only.

======  ====  ================
symbol  code  shape
======  ====  ================
q       q     (N,)
d_b     d     (s,)
J_b     at_b  map (s,) to (N,)
======  ====  ================

Source: "Assessment of the research value of the IEQ method", for layers; (3) and (4) are derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..description import found
from ..energies.dense import DenseLinearization
from ..energies.linear import Diagonal, LinearPart, Shift
from ..energies.protocols import Linearization, Problem, problem_ability
from ..namespace import Array, array_namespace
from ..refusals import one_of, whole_number
from .block_diagonal import PARTITIONS
from .damped_step import DampedStep, DampedSystem, damped_step

__all__ = ["SWEEPS", "BlockLinearization", "BlockSweep", "swept"]

SWEEPS = ("gauss-seidel", "jacobi")
"""The orders of a sweep, equation (2)."""


def swept(
    q: Array, blocks: Iterable[Callable[[Array], tuple[Array, Array]]], *, sequential: bool
) -> tuple[list[Array], Array]:
    """Return the increment of each block, (s,), and J d, (N,).

    Parameters
    ----------
    q : array (N,)
        The residual, or the auxiliary variable in its place.
    blocks : iterable of callables
        Each maps ``q_b``, (N,), to ``d_b``, (s,), and ``J_b d_b``, (N,).
    sequential : bool
        Whether a block sees what the earlier ones have changed: Gauss-Seidel.
    """
    parts, J_d = [], 0 * q
    for solve in blocks:
        d, moved = solve(q + J_d if sequential else q)  # (1), (2)
        parts.append(d)
        J_d = J_d + moved
    return parts, J_d


class BlockLinearization:
    """The derivative ``J_b`` from products with J: the increment is zero outside of the block.

    Parameters
    ----------
    at : Linearization
        With J, (N, P).
    inside, outside : callable
        Restrict an array (P,) to the block, (s,), and extend one by zeros.
    """

    def __init__(self, at: Linearization, inside: Callable[[Array], Array], outside: Callable[[Array], Array]) -> None:
        self._at, self._inside, self._outside = at, inside, outside
        self.residual: Array = at.residual
        """q, (N,)."""

    def jvp(self, d: Array) -> Array:
        """Return J_b d, shape (N,), for d of shape (s,)."""
        return self._at.jvp(self._outside(d))

    def vjp(self, u: Array) -> Array:
        """Return J_b^* u, shape (s,), for u of shape (N,)."""
        return self._inside(self._at.vjp(u))

    def jacobian(self) -> Array:
        """Return J_b, shape (N, s), from the whole of J."""
        xp, J = array_namespace(self.residual), self._at.jacobian()
        return xp.stack([self._inside(J[i, :]) for i in range(J.shape[0])])

    def gram(self) -> Array:
        """Return J_b J_b^*, shape (N, N), by N pairs of products."""
        xp, N = array_namespace(self.residual), self.residual.shape[0]
        identity = xp.eye(N, dtype=self.residual.dtype)
        return xp.stack([self.jvp(self.vjp(identity[i, :])) for i in range(N)])


@dataclass(frozen=True)
class BlockSweep:
    """One sweep over blocks of parameters, equation (1): ``gf.IEQ(solver=gf.curvature.BlockSweep("neuron"))``.

    Parameters
    ----------
    blocks : {"layer", "neuron"} or sequence of sequences of int
        The kind of the blocks, for a problem with ``parameter_blocks``; or the indices in each block, every one of the P
        parameters in one block. The blocks are taken in their order.
    sweep : {"gauss-seidel", "jacobi"}
        Which residual a block sees, equation (2).

    Raises
    ------
    ValueError
        If the blocks or the sweep are unknown, or an index is no whole number or is repeated; at a step, if the blocks do not
        have all parameters, the problem has no blocks of this kind or no diagonal inner product, or the linear part is not
        diagonal.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> problem = gf.Regression(gf.TwoLayerNet(1, 20, activation="tanh", scaling="ntk"), x, np.sin(3 * x))
    >>> scheme = gf.Restart(gf.IEQ(solver=gf.curvature.BlockSweep("neuron")))
    >>> run = gf.solve(problem, scheme, problem.net.init(0), dt=10.0, steps=50)
    >>> bool(run.history["energy"][-1] < 1e-2 * run.history["energy"][0])
    True
    """

    blocks: str | tuple[tuple[int, ...], ...] = "layer"
    sweep: str = "gauss-seidel"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", _blocks(self.blocks))
        one_of("sweep", self.sweep, SWEEPS)

    def groups(self, problem: Problem, theta: Array) -> list[Array]:
        """Return the indices of each block, int arrays (s,).

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Parameters.

        Raises
        ------
        ValueError
            If the problem has no such blocks, or the blocks do not have each of its parameters.
        """
        xp, P = array_namespace(theta), theta.shape[0]
        if isinstance(self.blocks, str):
            partition = problem_ability(problem, "parameter_blocks")
            if partition is None:
                raise ValueError(
                    f"BlockSweep({self.blocks!r}) needs a problem with parameter_blocks, which "
                    f"{type(problem).__name__} does not have; give the indices in each block"
                )
            return [group[b, :] for group in partition(self.blocks) for b in range(group.shape[0])]
        count, most = sum(map(len, self.blocks)), max(map(max, self.blocks))
        if not count == P == most + 1:
            raise ValueError(
                f"blocks must have each of the {P} parameters once, got {count} indices, the largest {most}"
            )
        return [xp.asarray(block) for block in self.blocks]

    def direction(self, system: DampedSystem) -> DampedStep:
        """Return d, (P,), of the sweep (1) and J d, (N,).

        Parameters
        ----------
        system : DampedSystem
            The system of a step.

        Raises
        ------
        ValueError
            If the blocks do not suit the problem, or A or the inner product is not diagonal.
        """
        problem, theta, at, q, h, _, dt, tol = system
        xp, mass, diagonal = array_namespace(theta), system.mass_for("BlockSweep"), system.diagonal_for("BlockSweep")
        groups, P = self.groups(problem, theta), theta.shape[0]
        order = xp.concat(groups)
        place = xp.argsort(order)  # of an entry of theta in the joined blocks
        J = system.jacobian()

        def of_block(group: Array, before: int) -> Callable[[Array], tuple[Array, Array]]:
            def inside(v: Array) -> Array:
                return v if isinstance(v, (int, float)) else xp.take(v, group)

            s, mass_b = group.shape[0], inside(mass)

            def outside(d: Array) -> Array:
                zeros = [xp.zeros(n, dtype=theta.dtype) for n in (before, P - before - s)]
                return xp.take(xp.concat([zeros[0], d, zeros[1]]), place)

            A_b: LinearPart = Shift(diagonal) if isinstance(diagonal, (int, float)) else Diagonal(inside(diagonal))
            at_b: Linearization = (
                BlockLinearization(at, inside, outside)
                if J is None
                else DenseLinearization(at.residual, xp.take(J, group, axis=1), mass_b)
            )
            solver, h_b = "cg" if J is None else "auto", None if h is None else inside(h)
            return lambda q: damped_step(at_b, q, h_b, A_b, dt, mass=mass_b, n_parameters=s, solver=solver, tol=tol)

        starts = [0]
        for group in groups:
            starts.append(starts[-1] + group.shape[0])
        blocks = (of_block(group, before) for group, before in zip(groups, starts, strict=False))
        parts, J_d = swept(q, blocks, sequential=self.sweep == "gauss-seidel")
        return DampedStep(xp.take(xp.concat(parts), place), J_d)


def _blocks(blocks: Any) -> str | tuple[tuple[int, ...], ...]:
    """Return the kind of the blocks, or their indices as tuples."""
    if isinstance(blocks, (list, tuple)) and blocks:
        each = tuple(tuple(whole_number("blocks", i) for i in _entries(block)) for block in blocks)
        indices = [i for block in each for i in block]
        if all(each) and len(set(indices)) == len(indices):
            return each
        raise ValueError(f"blocks must not be empty, and must have each index once, got {found(blocks)}")
    return one_of("blocks", blocks, PARTITIONS)


def _entries(block: Any) -> list[Any]:
    """Return the entries of a list, a tuple, a range or an array (s,)."""
    if getattr(block, "ndim", 0) == 1:
        return list(block.tolist())
    if isinstance(block, (list, tuple, range)):
        return list(block)
    raise ValueError(f"blocks must have sequences of whole numbers, got {found(block)}")
