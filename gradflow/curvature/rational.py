r"""Subproblems by a few factorisations: a space made by shifted solves.

Each subproblem of `gradflow.curvature.subproblem` is a system with an unknown multiplier,

.. math:: (A + \nu I)\,y = -b,                                                                          \tag{1}

with an operator A that is self-adjoint and positive semi-definite in an inner product ``(u, v)_W = u^T W v``, in which
``|y|_W`` is the length of the step. On the side of the parameters A is ``S^{-1} B S^{-1}`` and W the identity, on that of the
residuals ``A = R D^{-1} R^*`` and W = A (`gradflow.curvature.normal_equations`).

In the span of the W-orthonormal columns of V, the subproblem has the matrix and the gradient

.. math:: T = V^T W A V, \qquad c = V^T W b,                                                            \tag{2}

and an eigenbasis of T solves it: y and nu. If the residual of (1),

.. math:: r = b + (A + \nu I)\,y,                                                                       \tag{3}

exceeds the tolerance, V grows by

.. math:: (A + \nu I)^{-1} r, \qquad (A + \nu I)^{-2} r, \qquad (A + \nu I)^{-3} r,                     \tag{4}

of one factorisation. V begins with ``b, A b, A^2 b, ...``, products only, which make the first nu a good one. With k vectors of
(4) for a shift nu, ``|y|`` as a function of the shift has the 2 k - 2 derivatives of the length of the whole solution there,
value included: nu converges faster than in Newton's method on the secular equation (Conn, Gould & Toint, Algorithm
7.3.4), whose step uses two. Where nu has become constant, (4) is iterative refinement. V is kept: at the same theta another
radius takes fewer factorisations, or none.

Digits. For W = A the inner products are those of the steps ``S d``, (P,), which are kept beside V: ``y . A y`` has half as many
digits where y has a part in the null space of A, which d does not feel.

The hard case needs a negative eigenvalue. It does not exist here.

A subproblem that is not (1), such as that of a region of another shape, is found out by its solution in the first space,
which does not satisfy the projected (1).

======  ====  ===========================================
symbol  code  shape
======  ====  ===========================================
b       b     (K,)
V       V     (K, k)
W V     Z     (K, k), for W = A the steps of V, (P, k)
A V     U     (K, k)
r       r     (K,)
======  ====  ===========================================

Source: Conn, Gould & Toint, Trust-Region Methods (2000), section 7.3; Ruhe, Linear Algebra Appl. 58 (1984) 391, for spaces of
shifted solves.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import NamedTuple, TypeAlias

from ..energies.protocols import norm
from ..namespace import Array, array_namespace, quiet
from .eigenbasis import ROUNDING, Form, felt_form
from .lapack import eigh
from .subproblem import Coefficients

__all__ = ["ShiftedSpace", "ShiftedSystem", "Solved", "Subproblem", "default_tolerance"]

PRODUCTS = 8  # of the first space
SOLVES = 3  # with one factor

Subproblem: TypeAlias = Callable[[Form], Coefficients]
"""A problem of `gradflow.curvature.subproblem`, with all but the form given."""


class ShiftedSystem(NamedTuple):
    """The system (1)."""

    b: Array
    """(K,)."""
    apply: Callable[[Array], Array]
    """Maps v, (K,), to A v."""
    factor: Callable[[float], Callable[[Array], Array] | None]
    """Maps a shift nu > 0 to the function v -> ``(A + nu I)^{-1} v``; to None if there is no factor."""
    lift: Callable[[Array], Array]
    """Maps y, (K,), to the step d, (P,)."""
    image: Callable[[Array], Array] | None
    """Maps y, (K,), to S d, (P,), whose plain inner product is (., .)_W, for W = A; None where W is the identity."""
    least: float
    """The smallest shift that is factorised, > 0."""
    in_range: bool
    """Whether b lies in the range of A for certain."""


class Solved(NamedTuple):
    """The solution of a subproblem in a space."""

    form: Form
    """The model in the space."""
    solution: Coefficients
    """The solution."""
    factors: int
    """Factorisations that it took."""
    residual: float
    """The length of (3), relative to b."""


class ShiftedSpace:
    """The space V of a system; it grows with the subproblems that are solved in it.

    Parameters
    ----------
    system : ShiftedSystem
        The system (1).
    """

    def __init__(self, system: ShiftedSystem) -> None:
        xp, b = array_namespace(system.b), system.b
        self.system, self.eps = system, float(xp.finfo(b.dtype).eps)
        size = float(xp.max(xp.abs(b)))
        self.size = size if 0 < size < inf else 1.0  # without it, the square of b may underflow or overflow
        self.b = b / self.size
        self.first = _length(self._image(self.b)) if 0 < size < inf else 0.0
        self.V = self.U = xp.zeros((b.shape[0], 0), dtype=b.dtype)
        self.c, self.root = self._image(self.b), 0.0
        self.Z = xp.zeros((self.c.shape[0], 0), dtype=b.dtype)

    def solve(self, subproblem: Subproblem, tol: float, most: int) -> Solved | None:
        """Return the solution with a residual of at most `tol`, or that of the largest space.

        It is None for a subproblem that is not (1), and where b is zero or not finite.

        Parameters
        ----------
        subproblem : callable
            Maps a `Form` to its solution.
        tol : float
            The residual (3) to reach, relative to b in the norm of W.
        most : int
            The largest number of factorisations.
        """
        if not 0 < self.first < inf:
            return None
        if self.V.shape[1] == 0:
            v = self.b
            for _ in range(min(PRODUCTS, self.b.shape[0])):
                if not self._grow(v):
                    break
                v = self.U[:, -1]
            if self.V.shape[1] == 0:
                return None
        used, before, r = 0, inf, self.b
        while True:
            form, solution, y = self._projected(subproblem)
            left = (form.mu + solution.nu) * solution.z + form.gamma
            if not _length(left) <= sqrt(self.eps) * _length(form.gamma):
                return None
            r = self.b + self.system.apply(y) + solution.nu * y  # (3)
            residual = _length(self._image(r)) / self.first
            enough = residual <= tol or not residual < inf or used == most or (used > 2 and residual > before / 2)
            if enough or not self._enlarge(max(float(solution.nu), self.system.least), r):
                return Solved(form, solution, used, residual)
            used, before = used + 1, residual

    def _enlarge(self, nu: float, r: Array) -> bool:
        """Add the vectors (4), and return whether the space has grown."""
        solve, grown = self.system.factor(nu), False
        if solve is None:
            return False
        for _ in range(SOLVES):
            with quiet():  # a factor may be singular to rounding
                r = solve(r)
            size = float(array_namespace(r).max(array_namespace(r).abs(r)))
            if not 0 < size < inf:
                break
            r = r / size
            grown = self._grow(r) or grown
        return grown

    def _projected(self, subproblem: Subproblem) -> tuple[Form, Coefficients, Array]:
        """Return the model (2) in its eigenbasis, the solution, and y, (K,), over the size of b."""
        xp, V = array_namespace(self.b), self.V
        T = (self.Z if self.system.image is None else self.U).T @ self.U  # (2)
        mu, Q = eigh((T + T.T) / 2)
        tiny = self.eps * mu.shape[0] * float(xp.max(xp.abs(mu)))
        form = Form(self.size * ((self.Z.T @ self.c) @ Q), mu, lambda z: self.system.lift(V @ (Q @ z)), tiny)
        form = felt_form(form, self.system.in_range)
        solution = subproblem(form)
        return form, solution, V @ (Q @ (solution.z / self.size))

    def _image(self, y: Array) -> Array:
        """Return the image of y, in which the inner product is the plain one."""
        return y if self.system.image is None else self.system.image(y)

    def _grow(self, w: Array) -> bool:
        """Add a vector to V, and return whether it was a new one."""
        xp, z = array_namespace(w), self._image(w)
        before = _length(z)
        if not 0 < before < inf:
            return False
        w, z = w / before, z / before
        for _ in range(2):  # twice is enough
            c = self.Z.T @ z
            w, z = w - self.V @ c, z - self.Z @ c
        length = _length(z)
        noise = 1.0 if self.system.image is None else max(1.0, self.root * _length(w))
        if self.V.shape[1] == min(self.b.shape[0], self.c.shape[0]) or not ROUNDING * self.eps * noise < length < inf:
            return False
        w = w / length
        z = self._image(w)
        c = self.Z.T @ z
        w, z = w - self.V @ c, z - self.Z @ c
        length = _length(z)
        u = self.system.apply(w)
        self.root = max(self.root, _length(u) / length)  # |A v| <= |A|^{1/2} |v|_W for W = A
        self.V, self.Z, self.U = (
            xp.concat([X, x[:, None] / length], axis=1) for X, x in ((self.V, w), (self.Z, z), (self.U, u))
        )
        return True


def _length(z: Array) -> float:
    """Return the length of a vector."""
    return norm(lambda u, v: u @ v, z)


def default_tolerance(eps: float) -> float:
    """Return the residual to reach by default: 1e-10 in float64 and 1e-5 in float32.

    Parameters
    ----------
    eps : float
        The unit roundoff of the dtype.
    """
    return 1e-10 if eps < 1e-10 else 1e-5
