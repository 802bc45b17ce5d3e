r"""Your own residual with an explicit Jacobian, and its linearisation in a diagonal inner product.

With weights ``w_i >= 0`` and a robust loss rho of the scale c (`gradflow.energies.robust`),

.. math:: F = \tfrac{c^2}{2}\sum_{w_i > 0} \rho\bigl((f_i/c)^2\bigr), \qquad f_i = w_i^{1/2} q_i(\theta).      \tag{1}

The loss is that of the weighted residual. With ``w_i = 1 / sigma_i^2`` for the standard deviations of the data, the scale
is a number of them. Without a loss F is ``sum(w * q^2) / 2``. The linearisation is that of the scaled residual ``s f``, whose
Jacobian has the rows ``t_i w_i^{1/2} J_i``, and ``F = |s f|^2 / 2``. A row of weight 0 is left out before anything is
computed from it; it may be NaN.

Second derivatives. With the scaled residual q and its Jacobian J, the derivative of the gradient along v is

.. math:: H v = J^* (J v) + \Bigl.\frac{d}{dt}\Bigr|_{t=0} J(\theta + t v)^*\, q(\theta).                  \tag{2}

The first term is exact. The second one is given as `hvp`, as a part of the whole, or found by central differences of J: two
Jacobians for each product. It vanishes with the residual, and so does its error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..description import describe, found
from ..namespace import Array, array_namespace, copied, is_sparse, shape_of, to_numpy
from ..refusals import evaluate, instance, mass_of, real_array, sparse_or_dense, weights_of
from .derivatives import differences, found_jacobian
from .linear import LinearPart, as_linear_part
from .protocols import Work
from .robust import RobustLoss, Scaling
from .sparse import as_dense, column_squares, rows_times
from .split import SplitEnergy, weighted_dot

__all__ = ["DenseLeastSquares", "DenseLinearization"]


class DenseLinearization:
    """A `Linearization` from an explicit Jacobian and a diagonal inner product.

    Parameters
    ----------
    residual : array (N,)
        The residual q.
    J : array (N, P) or callable
        Partial derivatives of q, dense or SciPy's sparse array, or a function without arguments that returns them. It is
        called once, when they are needed.
    mass : float or array (P,)
        Diagonal of the inner product.
    scaling : Scaling, optional
        How a robust loss made q, with arrays (N,); None without one.
    """

    def __init__(
        self,
        residual: Array,
        J: Array | Callable[[], Array],
        mass: Array | float = 1.0,
        scaling: Scaling | None = None,
    ) -> None:
        self.residual, self._given, self._mass, self.scaling = residual, J, mass, scaling

    @cached_property
    def _J(self) -> Array:
        return self._given() if callable(self._given) else self._given

    @property
    def sparse(self) -> Any:
        """J as SciPy's sparse array, (N, P), or None if it is dense."""
        return self._J if is_sparse(self._J) else None

    def jvp(self, d: Array) -> Array:
        """Return J d, shape (N,)."""
        return self._J @ real_array("d", d, {"P": self._J.shape[1]}, self._J.dtype)

    def vjp(self, u: Array) -> Array:
        """Return J^* u = M^{-1} J^T u, shape (P,)."""
        return (self._J.T @ real_array("u", u, {"N": self._J.shape[0]}, self._J.dtype)) / self._mass

    def gram(self) -> Array:
        """Return J M^{-1} J^T, shape (N, N), dense; symmetric to the last bit.

        Raises
        ------
        ValueError
            If J is sparse and has more rows than a dense matrix should have.
        """
        if not shape_of(self._mass):
            return as_dense(self._J @ self._J.T) / self._mass
        xp = array_namespace(self._mass)
        B = rows_times(self._J.T, 1 / xp.sqrt(self._mass)).T
        return as_dense(B @ B.T)

    @property
    def work(self) -> Work:
        """The cost of the products and of `gram`; an entry of J is read twice, which costs 12 multiply-adds."""
        N, P = self._J.shape
        entries = self._J.nnz if is_sparse(self._J) else N * P
        return Work(12 * entries, N * entries / 2)

    def gram_trace(self) -> Array:
        """Return the trace of J M^{-1} J^T, 0-d: the sum of squares of J, weighted."""
        xp = array_namespace(self.residual)
        if not shape_of(self._mass):
            entries = self._J.data if is_sparse(self._J) else xp.reshape(self._J, (-1,))
            return entries @ entries / self._mass
        return xp.sum(column_squares(self._J) / self._mass)

    def jacobian(self) -> Array:
        """Return J, shape (N, P), dense.

        Raises
        ------
        ValueError
            If J is sparse, and too large to be stored as a dense matrix.
        """
        return as_dense(self._J)


class DenseLeastSquares(SplitEnergy):
    """Your own residual: ``F(theta) = |residual(theta)|^2 / 2``, or (1) with weights and a robust loss.

    The value of a function is checked and copied in every call, so that a function may reuse an array. The argument is
    read-only: in NumPy it is a view that cannot be written.

    Parameters
    ----------
    residual : callable
        Maps theta (P,) to q, shape (N,), N >= 1.
    jacobian : callable, optional
        Maps theta (P,) to J, shape (N, P), the partial derivatives, without the inner product. Without it, J is found by
        the complex step if the residual takes complex arguments and is analytic, and by central differences otherwise;
        `derivative` says which. J may be one of SciPy's sparse arrays or matrices, of any format; with NumPy only. It is
        then stored in the format CSR, and second-order methods take the solver ``sparse`` or ``lanczos`` for large problems.
    hvp : callable, optional
        Maps theta and v, both (P,), to the derivative of the gradient of F along v, (P,), with respect to `inner`. Without it,
        (2) with differences of J is taken; `second_derivative` says which. Schemes without second derivatives never call it.
    third_derivative : callable, optional
        Maps theta, u and v, all (P,), to the derivative of ``hvp(theta, u)`` along v, (P,), symmetric in u and v. There is no
        other source of it: differences of differences of J have few digits.
    weights : array (N,), optional
        Factors >= 0 of the squares, one of them > 0; or truth values, True for a row that counts. Rows of weight 0 are left
        out, and may be NaN: a residual then has as many entries as there are weights > 0. Copied.
    loss : RobustLoss, optional
        `gradflow.Huber`, `gradflow.SoftL1` or `gradflow.Cauchy`, of the weighted residual.
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in the inner product.
    mass : float or array (P,), optional
        Diagonal of the inner product, entries > 0; 1 by default. Copied.
    names : sequence of str, optional
        The names of the P parameters, no two alike, for reports.

    Raises
    ------
    ValueError
        If an argument is not callable, `linear` is negative, `mass` is not positive, a weight is negative, all are zero, or
        `loss` is not a loss, or names are not texts or not different; later, if there are more or fewer names than
        parameters, if a function writes into its argument, or its value is not real or has a wrong shape or dtype.

    Examples
    --------
    A line through points one of which is missing, and one far off:

    >>> import numpy as np, gradflow as gf
    >>> x, y = np.arange(6.0), np.array([1.0, 3.1, np.nan, 6.9, 30.0, 11.0])
    >>> line = gf.DenseLeastSquares(lambda t: t[0] + t[1] * x - y, weights=~np.isnan(y), loss=gf.Huber(0.5))
    >>> fit = gf.solve(line, gf.LevenbergMarquardt(), np.zeros(2), steps=100, stop=gf.Tolerance(step_relative=1e-8))
    >>> np.round(fit.theta, 2)
    array([1.02, 2.05])
    """

    def __init__(
        self,
        residual: Callable[[Array], Array],
        jacobian: Callable[[Array], Array] | None = None,
        *,
        hvp: Callable[[Array, Array], Array] | None = None,
        third_derivative: Callable[[Array, Array, Array], Array] | None = None,
        weights: Array | None = None,
        loss: RobustLoss | None = None,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self._residual = instance("residual", residual, Callable, "a function of theta")
        self._jacobian = None
        if jacobian is not None:
            self._jacobian = instance("jacobian", jacobian, Callable, "a function of theta")
        self._hvp = instance("hvp", hvp, (Callable, type(None)), "a function of two vectors or None")
        self._third = instance(
            "third_derivative", third_derivative, (Callable, type(None)), "a function of three vectors or None"
        )
        self.weights, self.loss = weights_of(weights), loss
        if loss is not None and (isinstance(loss, type) or not isinstance(loss, RobustLoss)):
            raise ValueError(
                f"loss must be gradflow.Huber(scale), SoftL1(scale), Cauchy(scale) or None, got {found(loss)}"
            )
        if self.weights is not None:
            w = to_numpy(self.weights)
            self._kept = w.nonzero()[0]
            self._root_weights = w[self._kept].astype(float) ** 0.5
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array = mass_of(mass)
        self.names = _checked_names(names)
        """The names of the parameters, or None."""
        self.derivative = "differences" if self._jacobian is None else "given"
        """Where J comes from: given, complex step or differences; known after the first J."""
        self.second_derivative = "not used"
        """Where H v of (2) comes from: given, or differences of J; known after the first product."""
        self.calls = {"residual": 0, "jacobian": 0}
        """Calls of the functions so far; those for a J by differences or the complex step count as of the residual."""
        self._lengths: dict[int, int] = {}

    @property
    def hvp_given(self) -> bool:
        """Whether `hvp` was given."""
        return self._hvp is not None

    @property
    def has_third_derivative(self) -> bool:
        """Whether `third_derivative` was given."""
        return self._third is not None

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        return weighted_dot(self.mass, u, v)

    def _residual_at(self, theta: Array) -> Array:
        """Return a copy of f of (1), (N,): `jacobian` may call `residual`, which may reuse its array."""
        self.calls["residual"] += 1
        q = evaluate("residual", self._residual, real_array("theta", theta, {"P": None}))
        N = self._lengths.get(theta.shape[0])  # that of the first call
        if N is None and self.names is not None and len(self.names) != theta.shape[0]:
            raise ValueError(f"names must be one for each of the {theta.shape[0]} parameters, got {len(self.names)}")
        if N is None and self.weights is not None:
            N = self.weights.shape[0]
        q = copied(real_array("residual(theta)", q, {"N": N}, theta.dtype, of="theta"))
        self._lengths[theta.shape[0]] = q.shape[0]
        return self._weighted(q)

    def _weighted(self, a: Array) -> Array:
        """Return the rows of q or J, real or complex, that count, times the roots of their weights."""
        if self.weights is None:
            return a
        if is_sparse(a):
            return rows_times(a[self._kept], self._root_weights.astype(a.dtype))
        xp = array_namespace(a)
        kind = xp.float64 if xp.finfo(a.dtype).bits == 64 else xp.float32
        return rows_times(xp.take(a, xp.asarray(self._kept), axis=0), xp.asarray(self._root_weights, dtype=kind))

    def _jacobian_at(self, theta: Array, scaling: Scaling | None) -> Array:
        """Return the Jacobian of the scaled residual, (N, P), dense or sparse."""
        if self._jacobian is None:
            J = self._found_jacobian(theta)
        else:
            self.calls["jacobian"] += 1
            J, shape = evaluate("jacobian", self._jacobian, theta), (self._lengths[theta.shape[0]], theta.shape[0])
            J = sparse_or_dense("jacobian(theta)", J, shape, theta)
            J = self._weighted(J)
        return J if scaling is None else rows_times(J, scaling.t)

    def _found_jacobian(self, theta: Array) -> Array:
        """Return the Jacobian of f, (N, P), from values of the residual."""
        J, self.derivative = found_jacobian(self._residual_at, self._on_complex, theta)
        return J

    def _on_complex(self, theta: Array) -> Array:
        """Return f for complex theta, (N,)."""
        self.calls["residual"] += 1
        q = evaluate("residual", self._residual, theta)
        if q.shape != (self._lengths[theta.shape[0]],) or not np.iscomplexobj(q):
            raise ValueError("residual(theta) is not complex")
        return self._weighted(np.array(q))

    def why_not_finite(self, theta: Array) -> str:
        """Return in words which entries of the residual are not finite at theta, and what helps; empty if all are finite.

        Parameters
        ----------
        theta : array (P,)
            The point.
        """
        f = to_numpy(self._residual_at(theta))
        missing, rows = np.flatnonzero(np.isnan(f)), np.flatnonzero(~np.isfinite(f))
        if not rows.size:
            return ""
        said = f"the residual is not finite in {rows.size} of {f.size} rows, the first is row {rows[0]}"
        if self.weights is not None:
            said += " of those whose weight is not 0"
        if 0 < missing.size < f.size:
            said += "; missing data are left out by weights=~np.isnan(y) with the data y, as are all rows of weight 0"
        return said

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return the residual (N,) and the Jacobian (N, P) at theta; N counts the rows that are not left out.

        Raises
        ------
        ValueError
            If the value of a function has a wrong shape or dtype.
        """
        q, scaling = self._scaled(theta)
        return DenseLinearization(q, copied(self._jacobian_at(theta, scaling)), self.mass, scaling)

    def linearize_later(self, theta: Array) -> DenseLinearization:
        """Return the residual (N,) at theta, and the Jacobian (N, P), which is evaluated when it is first needed.

        Raises
        ------
        ValueError
            As `linearize`; of the Jacobian, when it is needed.
        """
        q, scaling = self._scaled(theta)
        return DenseLinearization(q, lambda: copied(self._jacobian_at(theta, scaling)), self.mass, scaling)

    def _scaled(self, theta: Array) -> tuple[Array, Scaling | None]:
        """Return the scaled residual ``s f``, (N,), and its scaling."""
        f = self._residual_at(theta)
        if self.loss is None:
            return f, None
        scaling = self.loss.at(f)
        return scaling.s * f, scaling

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array.

        Raises
        ------
        ValueError
            If the residual does not have the shape (N,) and the dtype of theta.
        """
        q, _ = self._scaled(theta)
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient J^* q, shape (P,).

        Raises
        ------
        ValueError
            As `linearize`.
        """
        q, scaling = self._scaled(theta)
        return q @ q / 2, DenseLinearization(q, self._jacobian_at(theta, scaling), self.mass).vjp(q)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, (P,): that which was given, or (2).

        Raises
        ------
        ValueError
            As `linearize`, or if `hvp` does not return an array of the shape and the dtype of theta.
        """
        real_array("v", v, {"P": real_array("theta", theta, {"P": None}).shape[0]}, theta.dtype, of="theta")
        if self._hvp is not None:
            self.second_derivative, value = "given", evaluate("hvp", self._hvp, theta, v)
            return copied(real_array("hvp(theta, v)", value, {"P": theta.shape[0]}, theta.dtype, of="theta"))
        self.second_derivative = "differences of the Jacobian"
        at = self.linearize(theta)
        first, q = at.vjp(at.jvp(v)), at.residual
        if not bool(array_namespace(v).any(v != 0)):
            return first
        return first + differences(lambda t: self.linearize(t).vjp(q), theta, v)  # (2)

    def third_derivative(self, theta: Array, u: Array, v: Array) -> Array:
        """Return D^3 E[u, v], (P,), as it was given; the energy part has none.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        u, v : array (P,)
            Directions.

        Raises
        ------
        ValueError
            If `third_derivative` was not given, or does not return an array of the shape and the dtype of theta.
        """
        if self._third is None:
            raise ValueError(
                "this problem was given no third derivatives: pass DenseLeastSquares(..., third_derivative=...)"
            )
        P = real_array("theta", theta, {"P": None}).shape[0]
        for name, w in (("u", u), ("v", v)):
            real_array(name, w, {"P": P}, theta.dtype, of="theta")
        value = evaluate("third_derivative", self._third, theta, u, v)
        return copied(real_array("third_derivative(theta, u, v)", value, {"P": P}, theta.dtype, of="theta"))

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        options = (
            ("hvp", self._hvp),
            ("third_derivative", self._third),
            ("weights", self.weights),
            ("loss", self.loss),
            ("names", self.names),
        )
        given = {name: value for name, value in options if value is not None}
        return {
            "problem": "DenseLeastSquares",
            "residual": describe(self._residual),
            **describe(given),
            "mass": describe(self.mass),
            "linear": describe(self.linear),
        }


def _checked_names(names: object) -> tuple[str, ...] | None:
    """Return names as a tuple, or raise ValueError unless they are different texts; None stays None."""
    if names is None:
        return None
    if isinstance(names, (str, bytes)) or not isinstance(names, Sequence) or not names:
        raise ValueError(f"names must be a sequence of texts, one for each parameter, got {found(names)}")
    for name in names:
        instance("each of names", name, str, "a text")
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"names must be different and not empty, got {', '.join(map(repr, names))}")
    return tuple(names)
