r"""The linearisation of the roots of the parts of a sum of squares, or of any sum.

The residuals of a least-squares problem are divided into m parts. With ``F_i`` half the sum of squares in part i and a
constant C, the roots

.. math:: Q_i = \sqrt{2 (F_i + C)}, \qquad F + m C = \tfrac12 |Q|^2,                                      \tag{1}

are residuals of the same energy up to a constant. Their derivative is a row sketch of J,

.. math:: \mathrm{d}Q = W J, \qquad W_{ik} = q_k / Q_i \ \text{for k in part i, else 0}.                   \tag{2}

For terms ``F_i`` of any kind, with gradients ``g_i``, the derivative is ``(g_i, .)_M / Q_i``.

For one residual in each part and C = 0, W is a diagonal of signs: Q is q up to signs.

==========  ===========  ======
symbol      code         shape
==========  ===========  ======
q           q            (N,)
W           W            (m, N)
F           energies     (m,)
Q           residual     (m,)
C           C            float
==========  ===========  ======
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from ..namespace import Array, array_namespace
from ..refusals import real_array
from .protocols import Linearization, estimates

__all__ = ["PartsLinearization", "RowsLinearization", "TermsLinearization", "part_of_each"]


def part_of_each(parts: int | tuple[int, ...], n_residuals: int) -> tuple[int, ...]:
    """Return the part of each of N residuals, numbers from 0 to m - 1.

    Parameters
    ----------
    parts : int or tuple of int
        The number m of consecutive blocks, whose sizes differ by 1 at most; or the part of each residual.
    n_residuals : int
        N.

    Raises
    ------
    ValueError
        If there are more blocks than residuals, or not one number for each residual.
    """
    N = n_residuals
    if isinstance(parts, int):
        if parts > N:
            raise ValueError(f"parts must be at most the number of residuals, {N}, got {parts}")
        return tuple(k * parts // N for k in range(N))
    if len(parts) != N:
        raise ValueError(f"parts must have one number for each of the {N} residuals, got {len(parts)}")
    return parts


class RowsLinearization:
    """A `Linearization` of combinations of residuals, ``W q``.

    Parameters
    ----------
    at : Linearization
        That of the residual q, (N,).
    W : array (m, N) or callable
        The combinations, or a function without arguments that returns them, called when they are first needed.
    residual : array (m,)
        The value.
    mass : float or array (P,) or None
        Diagonal of the inner product; None if it is not known, and then `jacobian` is of no use.
    """

    def __init__(
        self,
        at: Linearization,
        W: Array | Callable[[], Array],
        residual: Array,
        mass: Array | float | None = None,
    ) -> None:
        self._at, self._given, self._mass = at, W, mass
        self.residual: Array = residual
        """The value, (m,)."""

    @cached_property
    def _W(self) -> Array:
        return self._given() if callable(self._given) else self._given

    def jvp(self, d: Array) -> Array:
        """Return W J d, shape (m,), for d of shape (P,)."""
        return self._W @ self._at.jvp(d)

    def vjp(self, u: Array) -> Array:
        """Return J^* W^T u, shape (P,): the adjoint of `jvp` in the problem's inner product."""
        real_array("u", u, {"m": self.residual.shape[0]}, self.residual.dtype)
        return self._at.vjp(self._W.T @ u)

    def _gradients(self) -> list[Array]:
        """Return the gradients of the entries, m arrays (P,)."""
        xp, m = array_namespace(self.residual), self.residual.shape[0]
        identity = xp.eye(m, dtype=self.residual.dtype)
        return [self.vjp(identity[i, :]) for i in range(m)]

    def gram(self) -> Array:
        """Return W J J^* W^T, shape (m, m), symmetric to the last bit: from the Gram matrix, or from m pairs of products.

        Products are taken where the linearisation declares (`Estimated`) that they cost less, or declares nothing.
        """
        W, known = self._W, estimates(self._at)
        m, N = W.shape
        if known is not None and m * known.work.products > known.work.gram + m * N**2:
            K = W @ self._at.gram() @ W.T
        else:
            K = array_namespace(W).stack([self.jvp(g) for g in self._gradients()])
        return (K + K.T) / 2

    def jacobian(self) -> Array:
        """Return W J, shape (m, P), the partial derivatives.

        Raises
        ------
        ValueError
            If the diagonal of the inner product is not known.
        """
        if self._mass is None:
            raise ValueError("the partial derivatives of parts need a problem with `mass`")
        return array_namespace(self.residual).stack([self._mass * g for g in self._gradients()])


class PartsLinearization(RowsLinearization):
    """A `Linearization` of the roots (1) of the parts of a residual, with the combinations (2).

    Parameters
    ----------
    at : Linearization
        That of the residual q.
    parts : int or tuple of int
        As in `part_of_each`.
    C : float
        The constant of (1), in the units of the energy.
    mass : float or array (P,) or None
        Diagonal of the inner product; None if it is not known, and then `jacobian` is of no use.

    Raises
    ------
    ValueError
        As `part_of_each`.
    """

    def __init__(
        self, at: Linearization, parts: int | tuple[int, ...], C: float, mass: Array | float | None = None
    ) -> None:
        q = at.residual
        xp, labels = array_namespace(q), part_of_each(parts, q.shape[0])
        m = max(labels) + 1
        of = xp.asarray(labels)
        B = xp.astype(xp.arange(m)[:, None] == of[None, :], q.dtype)
        self.energies: Array = B @ (q * q) / 2
        """F of each part, (m,)."""
        Q = xp.sqrt(2 * (self.energies + C))  # (1)
        super().__init__(at, lambda: B * q / Q[:, None], Q, mass)  # (2)


class TermsLinearization:
    """A `Linearization` of the roots (1) of energies ``F_i`` of any kind, from their gradients.

    Parameters
    ----------
    energies : array (m,)
        The energies.
    gradients : array (m, P)
        Their gradients in the inner product.
    C : float
        The constant of (1), in the units of the energy.
    inner : callable
        The inner product, of two vectors (P,); returns 0-d.
    mass : float or array (P,) or None
        Its diagonal; None if it is not known, and then `jacobian` is of no use.
    """

    def __init__(
        self,
        energies: Array,
        gradients: Array,
        C: float,
        inner: Callable[[Array, Array], Array],
        mass: Array | float | None = None,
    ) -> None:
        self._g, self._inner, self._mass = gradients, inner, mass
        self.energies: Array = energies
        """F of each part, (m,)."""
        self.residual: Array = array_namespace(energies).sqrt(2 * (energies + C))  # (1)
        """Q, (m,)."""

    def jvp(self, d: Array) -> Array:
        """Return the derivatives of the roots along d, shape (m,), for d of shape (P,)."""
        xp, m = array_namespace(d), self.residual.shape[0]
        return xp.stack([self._inner(self._g[i, :], d) for i in range(m)]) / self.residual

    def vjp(self, u: Array) -> Array:
        """Return the sum of ``u_i g_i / Q_i``, shape (P,): the adjoint of `jvp` in the inner product."""
        return (real_array("u", u, {"m": self.residual.shape[0]}, self.residual.dtype) / self.residual) @ self._g

    def gram(self) -> Array:
        """Return ``(g_i, g_j)_M / (Q_i Q_j)``, shape (m, m), symmetric to the last bit."""
        Q = self.residual
        K = array_namespace(Q).stack([self.jvp(self._g[i, :]) for i in range(Q.shape[0])]) / Q[:, None]
        return (K + K.T) / 2

    def jacobian(self) -> Array:
        """Return the partial derivatives of Q, shape (m, P).

        Raises
        ------
        ValueError
            If the diagonal of the inner product is not known.
        """
        if self._mass is None:
            raise ValueError("the partial derivatives of parts need a problem with `mass`")
        return self._mass * self._g / self.residual[:, None]
