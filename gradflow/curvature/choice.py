r"""Which solver ``auto`` takes: one table of costs.

A model has P parameters and a root of K rows: N, and P more with an energy part L, whose rows count as well. The multiply-adds of
a decomposition are, up to a factor,

=======  ==================  ====================================================
solver   cost w              taken up to
=======  ==================  ====================================================
svd      ``K P min(K, P)``   ``w = SVD_LIMIT``, with at most `ROOT_LIMIT` entries
gram     ``N^3``             ``N = DENSE_LIMIT``, for D = I and L = 0
eigh     ``P^3``             ``P = DENSE_LIMIT``
=======  ==================  ====================================================

The first one that is within its limits is taken, otherwise ``lanczos``.

Factorisations. From ``w = 10^7`` on, where a decomposition takes some 10 milliseconds, `factorises` prefers Cholesky
factorisations, of one system for a given multiplier (`gradflow.curvature.direct`) and of a few for a trust region or a cubic
model (`gradflow.curvature.rational`), if G is known to be positive semi-definite and the order of the matrix is that of the
smaller side. Smaller models keep their singular values, and the digits of these. For a given multiplier, a matrix that is not
known to be semi-definite is factorised at any size: if it has a factor, the accuracy does not depend on how single parameters
are scaled.

Products. Where ``lanczos`` is taken and the matrix ``R D^{-1} R^*`` of the residuals could be made, a Krylov space of
`first_vectors` is tried first, whose products cost as much as that matrix. Then the matrix is factorised.

Sparse Jacobians. ``J^T J`` is factorised if it is summed from few products, or if the root-mean-square width b of its
envelope is at most `SPARSE_WIDTH`: the factorisation takes ``P b^2`` multiply-adds at most, and a Krylov space of 200
vectors takes ``200^2 P`` to be made orthogonal. One core, seconds, Jacobians of P columns:

=====================  ======  =======  =============  ============
Jacobian               P       width    factorisation  200 products
=====================  ======  =======  =============  ============
31 entries a row       5000    30       0.03           0.08
101 entries a row      5000    99       0.2            0.2
201 entries a row      3000    190      0.4            0.2
grid of 200 x 200      40000   280      0.6            0.1
grid of 20 x 20 x 20   8000    470      0.9            0.02
5 random entries       2000    1100     0.6            0.05
=====================  ======  =======  =============  ============

The last column lacks the orthogonalisation.
"""

from __future__ import annotations

from typing import Any

from ..energies.protocols import sparse_jacobian
from ..energies.sparse import normal_entries, normal_width
from ..namespace import Array
from .gauss_newton import GaussNewtonModel
from .model import Model

__all__ = ["choose_form", "factorises", "first_vectors", "root_rows", "side_of"]

DENSE_LIMIT = 3000  # side of the largest matrix that `auto` decomposes
ROOT_LIMIT = 2 * 10**7  # entries of the largest root that `auto` stores
SVD_LIMIT = 10**9  # w of the singular values that `auto` takes, some seconds
FACTORISE_FROM = 10**7  # w of the decomposition that is saved by factorisations, some 10 milliseconds
PRODUCTS_PER_ROWS = 10  # N over the products in the time of J D^{-1} J^T; and the fewest:
FEWEST_VECTORS = 50
SPARSE_LIMIT = 10**8  # w of a sparse Jacobian that is made dense
SPARSE_ENTRIES = 50  # products that J^T J is summed from, over N + P, up to which `auto` factorises it
SPARSE_WIDTH = 200.0  # of the envelope of J^T J: a Krylov space of 200 vectors costs P 200^2 to make orthogonal


def root_rows(model: Model) -> int | None:
    """Return the number of rows of a root, those of the energy part included; None without a root.

    Parameters
    ----------
    model : Model
        The model.
    """
    N = model.rows
    return None if N is None else N if model.linear.scalar == 0 else N + model.shape[0]


def _costs(model: Model) -> dict[str, int]:
    """Return w of the decompositions that the model has."""
    rows, P = root_rows(model), model.shape[0]
    costs = {"eigh": P**3}
    if rows is not None:
        costs["svd"] = rows * P * min(rows, P)
        if model.has_gram:
            costs["gram"] = rows**3
    return costs


def _narrow(J: Any) -> bool:
    """Return whether J^T J is factorised at the cost of a Krylov space, or has few entries."""
    return normal_entries(J) <= SPARSE_ENTRIES * sum(J.shape) or normal_width(J, SPARSE_WIDTH) <= SPARSE_WIDTH


def choose_form(model: Model, weights: Array | None) -> str:
    """Return the eigenbasis that ``auto`` takes.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """
    P, rows = model.shape[0], root_rows(model)
    if model.mass is None:
        return "lanczos"
    if model.has_own_form(weights):
        return "own"
    J, w = sparse_jacobian(model.at) if isinstance(model, GaussNewtonModel) else None, _costs(model)
    if J is not None and J.shape[0] * P * min(J.shape) > SPARSE_LIMIT:
        return "sparse" if rows is not None and _narrow(J) else "lanczos"
    if rows is not None and rows * P <= ROOT_LIMIT and w["svd"] <= SVD_LIMIT:
        return "svd"
    if "gram" in w and rows is not None and rows <= DENSE_LIMIT and weights is None:
        return "gram"
    return "eigh" if P <= DENSE_LIMIT else "lanczos"


def side_of(model: Model) -> str:
    """Return the side of the normal equations of `gradflow.curvature.normal_equations`: "residuals" for (3), "parameters" for (2).

    Parameters
    ----------
    model : Model
        The model.
    """
    N, P = model.rows, model.shape[0]
    dual = N is not None and N < P and model.has_gram and model.in_range and model.residual is not None
    return "residuals" if dual else "parameters"


def first_vectors(model: Model, weights: Array | None) -> int | None:
    """Return the dimension of a Krylov space that costs as much as the matrix of the residuals; None if that is too large.

    Where ``auto`` takes products, a space of this dimension is tried first, then the matrix: together they cost at most
    twice what the better one costs.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """
    N = model.rows
    if N is None or N > DENSE_LIMIT or side_of(model) != "residuals":
        return None
    if N * model.shape[0] > ROOT_LIMIT or (
        isinstance(model, GaussNewtonModel) and sparse_jacobian(model.at) is not None
    ):
        return None
    return max(FEWEST_VECTORS, N // PRODUCTS_PER_ROWS)


def factorises(model: Model, weights: Array | None, *, several: bool = False) -> bool:
    """Return whether ``auto`` tries factorisations first, in place of an eigenbasis.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    several : bool
        Whether a multiplier is sought, by several factorisations: they save nothing in a small model.
    """
    form = choose_form(model, weights)
    if form not in ("svd", "gram", "eigh"):
        return False
    if not model.definite:
        return form == "eigh" and (not several or _costs(model)[form] >= FACTORISE_FROM)
    P, rows = model.shape[0], root_rows(model) or 0
    if side_of(model) == "parameters" and (P > DENSE_LIMIT or (form != "eigh" and rows < P)):
        return False
    return _costs(model)[form] >= FACTORISE_FROM
