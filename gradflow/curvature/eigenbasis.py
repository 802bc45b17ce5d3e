r"""The eigenbasis of a model by a dense decomposition.

In a basis in which the metric D is the identity and the curvature G is diagonal, a model is the pair gamma, mu of
`gradflow.curvature.subproblem`. With the diagonal ``S = (M D)^{1/2}``, and B the matrix of G in coordinates:

* **own**: that which the structure of the model gives, such as one for each block.
* **svd**: of a root, ``R S^{-1} = U diag(sigma) V^T``. Then ``mu = sigma^2`` and ``gamma = sigma U^T r``. The condition
  number of R is not squared. Without a residual r, ``gamma = V^T S^{-1} M g``.
* **gram**: for L = 0, from the (K, K) matrix ``R D^{-1} R^* = U diag(mu) U^T``, which may have a closed form where D = I.
  Then ``gamma = mu^{1/2} U^T r``, or ``mu^{-1/2} U^T R D^{-1} g``, and ``d = D^{-1} R^* U mu^{-1/2} z``.
* **eigh**: of ``S^{-1} B S^{-1} = V diag(mu) V^T``, with ``gamma = V^T S^{-1} M g``.

In svd and gram, the part of g that is orthogonal to the rows of R is one more vector of the basis, with the eigenvalue 0:
g need not be in the range of G, as for the Fisher matrix of drawn labels. In each, ``d = S^{-1} V z`` or its counterpart,
computed by `Form.lift`.

Source: Björck, Numerical Methods for Least Squares Problems (1996), section 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..energies.protocols import norm
from ..namespace import Array, array_namespace
from .lapack import eigh, svd
from .model import Model

__all__ = ["DENSE_SOLVERS", "Form", "beside", "dense_form", "felt_form", "matrix_of", "row_matrix", "scale_of"]

DENSE_SOLVERS = ("own", "svd", "gram", "eigh")
"""The decompositions."""
ROUNDING = 64.0  # multiple of eps up to which a share of the gradient is a rounding error


class Form(NamedTuple):
    """A model in an eigenbasis."""

    gamma: Array
    """Coefficients of the gradient, (K,)."""
    mu: Array
    """Eigenvalues of the curvature, (K,)."""
    lift: Callable[[Array], Array]
    """Maps z, (K,), to d, (P,)."""
    tiny: float
    """Size of an eigenvalue that is zero to rounding."""
    blocks: Array | None = None
    """The number of the block of parameters that each vector of the basis belongs to, ascending, (K,); None if there are no blocks."""


def dense_form(solver: str, model: Model, weights: Array | None) -> Form:
    """Return the eigenbasis by one of `DENSE_SOLVERS`, made once for a model and a metric.

    It is one of NaN if the model is not finite, so that the step is not finite and `gradflow.solve` reports it.

    Parameters
    ----------
    solver : {"own", "svd", "gram", "eigh"}
        The decomposition.
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.

    Raises
    ------
    ValueError
        If the model lacks what the decomposition needs.
    """
    kept = model.forms.get(solver)
    if kept is None or kept[0] is not weights:
        make = {"own": _own, "svd": _svd, "gram": _gram, "eigh": _eigh}[solver]
        made = _made(make, model, weights)
        kept = model.forms[solver] = weights, felt_form(made, model.in_range) if model.definite else made
    form: Form = kept[1]
    return form


def _made(make: Callable[[Model, Array | None], Form], model: Model, weights: Array | None) -> Form:
    """Return a form; one of NaN if the model is not finite, so that the step is not finite and `solve` reports it."""
    try:
        form = make(model, weights)
        xp = array_namespace(form.mu)
        if bool(xp.all(xp.isfinite(form.mu)) & xp.all(xp.isfinite(form.gamma))):
            return form
    except Exception as error:  # every library has its own LinAlgError
        if "LinAlgError" not in type(error).__name__:
            raise
    return _nothing(model)


def _nothing(model: Model) -> Form:
    """Return a form of NaN."""
    nan = float("nan") * model.theta[:1]
    return Form(nan, nan, lambda z: z[0] + 0 * model.theta, 0.0)


def felt_form(form: Form, in_range: bool) -> Form:
    """Return a semi-definite form whose eigenvalues that are zero to rounding are zero, and g with them where it is so too.

    A component of g that is a rounding error would be as long as a trust region where nothing bends. If g is in the
    range of G, every such component is one.

    Parameters
    ----------
    form : Form
        The form.
    in_range : bool
        Whether g is in the range of G.
    """
    xp = array_namespace(form.mu)
    felt = form.mu > form.tiny
    noise = ROUNDING * float(xp.finfo(form.mu.dtype).eps) * norm(lambda u, v: u @ v, form.gamma)
    kept = felt if in_range else felt | (xp.abs(form.gamma) > noise)
    return form._replace(gamma=xp.where(kept, form.gamma, 0 * form.gamma), mu=xp.where(felt, form.mu, 0 * form.mu))


def scale_of(model: Model, weights: Array | None, what: str) -> Array | float:
    """Return the diagonal S = (M D)^{1/2}, a number or (P,).

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    what : str
        What needs it, for the message.

    Raises
    ------
    ValueError
        If the inner product is not known to be diagonal.
    """
    mass = model.known_mass(what)
    if weights is not None:
        return array_namespace(weights).sqrt(mass * weights)
    return mass**0.5


def _own(model: Model, weights: Array | None) -> Form:
    if not model.has_own_form(weights):
        raise ValueError(
            "solver='own' needs a curvature of blocks, of low rank or of a sketch; one of Kronecker factors, and one of low "
            "rank with an energy part, also need metric=Identity()"
        )
    form: Form = model.own_form(weights)
    return form


def _svd(model: Model, weights: Array | None) -> Form:
    root = model.root()
    if root is None:
        raise ValueError("solver='svd' needs a curvature with a root, and a linear part that is a number or diagonal")
    xp, S = array_namespace(root.R), scale_of(model, weights, "solver='svd'")
    U, sigma, Vt = svd(root.R / S)
    largest = float(xp.max(sigma))
    tiny = float(xp.finfo(sigma.dtype).eps) * max(root.R.shape) * largest
    if root.r is not None:
        return Form(sigma * (U.T @ root.r), sigma * sigma, lambda z: (Vt.T @ z) / S, tiny * tiny)
    tiny = tiny * largest  # gamma has no more digits
    g = model.gradient * model.known_mass("solver='svd'") / S
    gamma = Vt @ g
    rest, length = beside(g, lambda u: u - Vt.T @ (Vt @ u), lambda u: u @ u)
    if length == 0:
        return Form(gamma, sigma * sigma, lambda z: (Vt.T @ z) / S, tiny)
    return Form(
        xp.concat([gamma, xp.ones_like(gamma[:1]) * length]),
        xp.concat([sigma * sigma, xp.zeros_like(sigma[:1])]),
        lambda z: (Vt.T @ z[:-1] + z[-1] * rest) / S,
        tiny,
    )


def beside(g: Array, without: Callable[[Array], Array], square: Callable[[Array], Array]) -> tuple[Array, float]:
    """Return the unit vector, (P,), and the length of what a projection leaves of g; the length is 0 for a rounding error.

    Parameters
    ----------
    g : array (P,)
        The gradient.
    without : callable
        Maps u, (P,), to what the projection leaves of it.
    square : callable
        Maps u, (P,), to the square of its length, 0-d.
    """
    eps = float(array_namespace(g).finfo(g.dtype).eps)
    rest = without(without(g))  # twice is enough
    length = float(square(rest)) ** 0.5
    if not length > ROUNDING * eps * float(square(g)) ** 0.5:
        return rest, 0.0
    return rest / length, length


def matrix_of(model: Model) -> Array:
    """Return the matrix B of a model, (P, P), made once.

    Parameters
    ----------
    model : Model
        The model.
    """
    if "matrix" not in model.forms:
        model.forms["matrix"] = model.matrix()
    B: Array = model.forms["matrix"]
    return B


def row_matrix(model: Model, weights: Array | None) -> Array:
    """Return ``R D^{-1} R^*``, (K, K), for the root R of a model without energy part; made once for a model and a metric.

    With D = I it has a closed form where the model has one. Otherwise the root is stored.

    Parameters
    ----------
    model : Model
        The model; its `has_gram` is True.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """
    kept = model.forms.get("rows")
    if kept is None or kept[0] is not weights:
        root = None if weights is None else model.root()
        if root is None:
            K = model.gram()
        else:
            R = root.R / scale_of(model, weights, "a matrix of the rows")
            K = R @ R.T
        kept = model.forms["rows"] = weights, K
    K = kept[1]
    return K


def _gram(model: Model, weights: Array | None) -> Form:
    if not model.has_gram:
        raise ValueError("solver='gram' needs a curvature with a Gram matrix, and no energy part")
    K = row_matrix(model, weights)
    xp = array_namespace(K)
    mu, U = eigh(K)
    tiny = float(xp.finfo(mu.dtype).eps) * K.shape[0] * float(xp.max(xp.abs(mu)))
    mu = xp.where(mu > tiny, mu, 0 * mu)
    root = xp.sqrt(mu)
    inverse = xp.where(root > 0, 1 / xp.where(root > 0, root, 1 + root), root)
    D: Array | float = 1.0 if weights is None else weights

    def lift(z: Array) -> Array:
        return model.from_rows(U @ (inverse * z)) / D

    if model.residual is not None:
        return Form(root * (U.T @ model.residual), mu, lift, tiny)
    u = model.gradient / D
    gamma = inverse * (U.T @ model.along_rows(u))

    def without(u: Array) -> Array:
        return u - lift(inverse * (U.T @ model.along_rows(u)))

    rest, length = beside(u, without, lambda u: model.problem.inner(u, D * u))
    if length == 0:
        return Form(gamma, mu, lift, tiny)
    return Form(
        xp.concat([gamma, xp.ones_like(gamma[:1]) * length]),
        xp.concat([mu, xp.zeros_like(mu[:1])]),
        lambda z: lift(z[:-1]) + z[-1] * rest,
        tiny,
    )


def _eigh(model: Model, weights: Array | None) -> Form:
    S = scale_of(model, weights, "solver='eigh'")
    B, xp = matrix_of(model), array_namespace(model.theta)
    B = B / S / S if isinstance(S, (int, float)) else B / S / S[:, None]
    mu, V = eigh(B)
    tiny = float(xp.finfo(mu.dtype).eps) * B.shape[0] * float(xp.max(xp.abs(mu)))
    return Form(V.T @ (model.gradient * model.known_mass("solver='eigh'") / S), mu, lambda z: (V @ z) / S, tiny)
