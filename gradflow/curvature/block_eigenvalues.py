r"""The smallest eigenvalue of each diagonal block of a curvature: an upper bound of the smallest of all.

For a partition of the parameters into blocks b and a vector v whose entries outside of b are zero,

.. math:: \frac{(v, G v)_M}{|v|_M^2} = \frac{v_b^T B_{bb}\, v_b}{v_b^T M_b\, v_b}, \qquad\text{so that}\qquad
          \min_b \lambda_{\min}(G_{bb}) \ge \lambda_{\min}(G),                                          \tag{1}

by Courant and Fischer (the first of the interlacing inequalities). A negative eigenvalue of a block therefore is a
direction of negative curvature of G, with the same quotient. If no block has one, nothing follows: ``G = ((0, 1), (1, 0))``
has the eigenvalue -1 and the blocks 0. The direction must be within one block. If several have the same eigenvalue, a
combination of their vectors has another quotient.

Of a two-layer network with ReLU and a convex loss, the two blocks of the layers are positive semi-definite almost everywhere: this test
never sees a saddle by layers. By neurons it sees each one, if there is one output; with more outputs it need not
(``derivations/saddles.nb.py``).

Source: Horn & Johnson, Matrix Analysis (2013), Theorem 4.3.28.
"""

from __future__ import annotations

from typing import NamedTuple

from ..energies.protocols import problem_ability
from ..namespace import Array, array_namespace
from ..refusals import instance, one_of
from .block_diagonal import PARTITIONS, BlockDiagonalModel
from .lapack import eigh
from .model import Model

__all__ = ["BlockEigenvalues", "block_eigenvalues"]


class BlockEigenvalues(NamedTuple):
    """The smallest eigenvalues of blocks."""

    values: Array
    """One for each block, (b,), in the order of ``parameter_blocks``; NaN for all if one is not finite."""
    value: float
    """The smallest of them, the left-hand side of (1)."""
    vector: Array
    """Its eigenvector, (P,), of length 1 in the problem's inner product, zero outside of the block."""


def block_eigenvalues(model: Model, blocks: str = "neuron") -> BlockEigenvalues:
    """Return the smallest eigenvalue of each diagonal block of a model, by P products and dense decompositions of the blocks.

    Parameters
    ----------
    model : Model
        The model, of a problem with ``parameter_blocks`` and a diagonal inner product.
    blocks : {"neuron", "layer"}
        What a block belongs to.

    Raises
    ------
    ValueError
        If the kind of blocks is unknown, the problem has none, they are too large to be decomposed, or the problem lacks what the
        curvature needs.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> net = gf.TwoLayerNet(n_inputs=1, width=3, activation="relu", scaling="standard")
    >>> saddle = np.array([0, 0, 0, 1.0, 1.5, 2.0, 0, 0, 0])
    >>> H = gf.curvature.Hessian().at(gf.Regression(net, x, x[:, 0]), saddle)
    >>> [bool(gf.curvature.block_eigenvalues(H, blocks).value < -0.1) for blocks in ("layer", "neuron")]
    [False, True]
    """
    instance("model", model, Model, "a Model, from the `at` of a curvature")
    one_of("blocks", blocks, PARTITIONS)
    partition = problem_ability(model.problem, "parameter_blocks")
    if partition is None:
        raise ValueError(
            f"block_eigenvalues needs a problem with parameter_blocks, which {type(model.problem).__name__} does not have"
        )
    of_blocks = BlockDiagonalModel(model, partition(blocks))
    if not of_blocks.stored:
        raise ValueError(f"blocks={blocks!r} has blocks that are too large to be decomposed")
    xp, mass = array_namespace(model.theta), of_blocks.known_mass("a curvature of blocks")
    scales = of_blocks.parts(xp.sqrt(mass + 0 * model.theta))
    scaled = [B / s[:, :, None] / s[:, None, :] for B, s in zip(of_blocks.dense, scales, strict=True)]
    pairs = [eigh(B) for B in scaled]
    values = xp.concat([mu[:, 0] for mu, _ in pairs])
    least = int(xp.argmin(values))
    parts, start = [], 0
    for (_, V), s in zip(pairs, scales, strict=True):
        inside = xp.astype(start + xp.arange(s.shape[0]) == least, model.dtype)
        parts.append(inside[:, None] * V[:, :, 0] / s)
        start += s.shape[0]
    return BlockEigenvalues(values, float(values[least]), of_blocks.whole_of(parts))
