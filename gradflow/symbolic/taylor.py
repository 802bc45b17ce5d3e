r"""Energies that are smooth: their Taylor polynomials about one theta, for statements about the order of a scheme.

With the derivatives :math:`D^m F` at theta and a displacement d that vanishes with dt,

.. math:: \nabla F(\theta + d) = \sum_{m=0}^{k-1} \frac1{m!}\, D^{m+1}F[d, \dots, d] + O(\Delta t^k), \qquad
    F(\theta + d) = \sum_{m=0}^{k} \frac1{m!}\, (D^m F[d, \dots, d]) + O(\Delta t^{k+1}).                \tag{1}

:math:`D^2F` is a self-adjoint operator of any sign and each :math:`D^mF` a symmetric multilinear map, see
`gradflow.symbolic.vectors` (3). Nothing else is assumed, so that what is shown holds for every energy with k + 1
continuous derivatives, in every dimension and inner product. What is left out in (1) is a multiple of :math:`\Delta
t^k` or :math:`\Delta t^{k+1}` by a vector or number of which nothing is known: a statement modulo :math:`\Delta
t^{k+1}` can be decided, one modulo a higher power is `Undecided`.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import sympy as sp

from .problems import AbstractEnergy, AbstractLinearization
from .vectors import Map, SelfAdjoint, Space, Symmetric, Vector

__all__ = ["SeriesLinearization", "SmoothEnergy", "SmoothLeastSquares", "taylor_coefficients"]


def taylor_coefficients(c: sp.Expr, dt: sp.Symbol, order: int) -> list[sp.Expr]:
    """Return the coefficients of 1, dt, ..., dt^order of an expression that is smooth in dt at 0.

    Parameters
    ----------
    c : SymPy expression
        What is expanded.
    dt : Symbol
        In what.
    order : int
        The highest power.

    Raises
    ------
    ValueError
        If the expression or a derivative is not defined at 0.

    Examples
    --------
    >>> import sympy as sp
    >>> dt = sp.Symbol("dt", positive=True)
    >>> taylor_coefficients(sp.exp(-dt), dt, 3)
    [1, -1, 1/2, -1/6]
    """
    if c.is_polynomial(dt):
        found = sp.Poly(c, dt).all_coeffs()[::-1]
        return [*found, *(order + 1) * [sp.Integer(0)]][: order + 1]
    for reduced in (False, True):  # dt / dt is 1
        found, term = [], sp.cancel(sp.together(c)) if reduced else c
        for n in range(order + 1):
            found.append(term.subs(dt, 0) / sp.factorial(n))
            term = sp.diff(term, dt) if n < order else term
        if not any(value.has(sp.nan, sp.zoo, sp.oo, -sp.oo) for value in found):
            return found
    raise ValueError(f"{c} has no Taylor polynomial in {dt}")


class SmoothEnergy(AbstractEnergy):
    """Any energy ``(theta, L theta) / 2 + F(theta)`` with k + 1 derivatives at one theta, near which it is evaluated.

    Parameters
    ----------
    space : Space
        The space of theta, with its inner product.
    theta : Vector
        Where the derivatives are.
    dt : Symbol
        What tends to 0.
    order : int
        The k of (1): steps are known modulo ``dt^(k + 1)``.
    linear : LinearPart, optional
        The energy part L.

    Raises
    ------
    ValueError
        If dt is no symbol, the order no positive integer, or a relation of the space holds dt.

    Examples
    --------
    >>> import sympy as sp
    >>> from gradflow.symbolic import Space, is_small
    >>> V, dt = Space(), sp.Symbol("dt", positive=True)
    >>> theta = V.vector("theta")
    >>> problem = SmoothEnergy(V, theta, dt, order=2)
    >>> gradient = lambda at: problem.energy_and_gradient(at)[1]
    >>> heun = theta - dt / 2 * (gradient(theta) + gradient(theta - dt * gradient(theta)))
    >>> is_small(heun - problem.flow(), dt, 3)
    True
    """

    def __init__(self, space: Space, theta: Vector, dt: sp.Symbol, order: int, linear: Any = None) -> None:
        super().__init__(space, linear)
        if not isinstance(dt, sp.Symbol):
            raise ValueError(f"dt must be a symbol, got {dt!r}")
        if isinstance(order, bool) or not isinstance(order, int) or order < 1:
            raise ValueError(f"order must be a positive integer, got {order!r}")
        self.theta, self.dt, self.order = theta, dt, order
        self.F, self.g = sp.Symbol("F", positive=True), space.vector("g")
        self.hessian = space.operator("D2F", positive=False)
        self._forms = {m: Symmetric(f"D{m}F", space) for m in range(3, order + 1)}
        self._known: list[tuple[Vector, Any, Vector]] = []
        if any(dt in value.free_symbols for value in space.relations.values()):
            raise ValueError(f"a relation of {space.name} holds {dt}: make the energy before a system is solved")
        self._solution = theta
        for n in range(1, order + 1):  # Picard's iteration, each of which adds a power of dt
            _, gradient = self.energy_and_gradient(self._solution)
            self._solution = theta
            for k, part in enumerate(self.series(gradient, n - 1)):
                self._solution = self._solution - dt ** (k + 1) / (k + 1) * part

    def series(self, v: Vector, order: int) -> list[Vector]:
        """Return the vectors v_0, v_1, ..., v_order of the Taylor polynomial of v in dt.

        Parameters
        ----------
        v : Vector
            Its coefficients are smooth in dt at 0.
        order : int
            The highest power.

        Raises
        ------
        ValueError
            If a coefficient has no Taylor polynomial.
        """
        terms: list[dict[Any, Any]] = [{} for _ in range(order + 1)]
        for atom, c in self.space.combine(v.terms).terms.items():
            for n, value in enumerate(taylor_coefficients(sp.sympify(c), self.dt, order)):
                if value != 0:
                    terms[n][atom] = value
        return [Vector(self.space, part) for part in terms]

    def nonlinear_energy_and_gradient(self, theta: Vector) -> tuple[Any, Vector]:
        """Return F, modulo ``dt^(k + 1)``, and its gradient, modulo ``dt^k``.

        Parameters
        ----------
        theta : Vector
            The theta of the energy and what vanishes with dt.

        Raises
        ------
        ValueError
            If theta is not the theta of the energy at dt = 0.
        """
        if not (theta - self.theta).terms:
            return self.F, self.g
        for seen, F, gradient in self._known:
            if not any(sp.expand(c) != 0 for c in (theta - seen).terms.values()):
                return F, gradient
        d = self.series(theta - self.theta, self.order)
        if d[0].terms:
            raise ValueError(f"the energy is known near {self.theta}, got {theta}")
        F, gradient = self.F, self.g
        for m in range(2, self.order + 1):
            for powers in combinations_with_replacement(range(1, self.order), m - 1):
                if sum(powers) < self.order:
                    times = sp.Rational(1, sp.prod([sp.factorial(powers.count(n)) for n in set(powers)]))
                    gradient = gradient + times * self.dt ** sum(powers) * self.derivative([d[n] for n in powers])
        for m in range(1, self.order + 1):
            for powers in combinations_with_replacement(range(1, self.order + 1), m):
                if sum(powers) <= self.order:
                    times = sp.Rational(1, sp.prod([sp.factorial(powers.count(n)) for n in set(powers)]))
                    *others, last = [d[n] for n in powers]
                    F += times * self.dt ** sum(powers) * self.inner(self.derivative(others), last)
        gradient = gradient + self.dt**self.order * self._rest()
        F += self.dt ** (self.order + 1) * self.inner(self.g, self._rest())
        self._known.append((theta, F, gradient))
        return F, gradient

    def derivative(self, along: list[Vector]) -> Vector:
        """Return D^mF[u, v, ...] at the theta of the energy.

        Parameters
        ----------
        along : list of Vector
            The m - 1 vectors u, v, ...; without any, the gradient.
        """
        if len(along) < 2:
            return self.hessian(along[0]) if along else self.g
        return self._forms[len(along) + 1](*along)

    def _rest(self) -> Vector:
        return self.space.unknown("rest")

    def nonlinear_energy(self, theta: Vector) -> Any:
        """Return F(theta), modulo ``dt^(k + 1)``."""
        return self.nonlinear_energy_and_gradient(theta)[0]

    def hvp(self, theta: Vector, v: Vector) -> Vector:
        """Return the derivative of the gradient at theta along v, modulo ``dt^(k - 1)``.

        Parameters
        ----------
        theta : Vector
            As for `nonlinear_energy_and_gradient`.
        v : Vector
            Any vector.

        Raises
        ------
        ValueError
            If theta is not the theta of the energy at dt = 0.
        """
        d = self.series(theta - self.theta, self.order)
        if d[0].terms:
            raise ValueError(f"the energy is known near {self.theta}, got {theta}")
        product = self.derivative([v]) if self._L is None else self.derivative([v]) + self._L.apply(v)
        for m in range(3, self.order + 1):
            for powers in combinations_with_replacement(range(1, self.order), m - 2):
                if sum(powers) < self.order - 1:
                    times = sp.Rational(1, sp.prod([sp.factorial(powers.count(n)) for n in set(powers)]))
                    product = product + times * self.dt ** sum(powers) * self.derivative([*(d[n] for n in powers), v])
        return product + self.dt ** max(self.order - 1, 1) * self._rest() if any(part.terms for part in d) else product

    def flow(self, time: Any = 1) -> Vector:
        """Return the exact solution of theta' = -grad E at the time ``time dt``, modulo ``dt^(k + 1)``.

        Parameters
        ----------
        time : number, optional
            A multiple of dt, of either sign.
        """
        at = self._solution.map_coefficients(lambda c: sp.sympify(c).subs(self.dt, time * self.dt))
        solution: Vector = at + self._rest() * self.dt ** (self.order + 1)
        return solution


class SmoothLeastSquares(SmoothEnergy):
    """The same with ``F = |q|^2 / 2``: a residual q that is linearised at the theta of the energy alone.

    Systems with ``I + dt (A + J^* J)`` are solved by the Neumann series, modulo ``dt^(k + 1)``.

    Parameters
    ----------
    space : Space
        The space of theta.
    theta : Vector
        Where the derivatives are.
    dt : Symbol
        What tends to 0.
    order : int
        The k of (1).
    linear : LinearPart, optional
        The energy part L.
    """

    def __init__(self, space: Space, theta: Vector, dt: sp.Symbol, order: int, linear: Any = None) -> None:
        super().__init__(space, theta, dt, order, linear)
        residuals = Space("N")
        self.J = Map.between("J", space, residuals)
        self.q = residuals.vector("q")
        space.relate(self.J.adjoint(self.q), self.g)
        self._at = SeriesLinearization(self.q, self.J, self)

    def linearize(self, theta: Vector) -> SeriesLinearization:
        """Return q and J.

        Parameters
        ----------
        theta : Vector
            The theta of the energy.

        Raises
        ------
        ValueError
            If it is another one.
        """
        if (theta - self.theta).terms:
            raise ValueError(f"the residual is linearised at {self.theta} only, got {theta}")
        return self._at


class SeriesLinearization(AbstractLinearization):
    """A residual and its derivative, with the solution of damped systems as a series in dt.

    Parameters
    ----------
    residual : Vector
        The residual q.
    J : Map
        Its derivative.
    problem : SmoothLeastSquares
        Where it is from.
    """

    def __init__(self, residual: Vector, J: Map, problem: SmoothLeastSquares) -> None:
        super().__init__(residual, J)
        self.problem = problem
        self.solved: list[tuple[Vector, Any, Any, Vector]] = []

    def solve_damped(self, q: Vector, h: Vector | None, A: Any, dt: Any) -> Vector:
        """Return d of ``(1/dt + A + J^* J) d = -(J^* q + h)``, modulo ``dt^(k + 1)``.

        Parameters
        ----------
        q : Vector
            Of the space of residuals.
        h : Vector or None
            Of the space of parameters; None for zero.
        A : LinearPart
            An operator.
        dt : SymPy expression
            A multiple of the dt of the problem.
        """
        problem = self.problem
        image = self.vjp(q) if h is None else self.vjp(q) + h
        operator = A.terms if isinstance(A, SelfAdjoint) else A
        for seen, before, step, known in self.solved:
            if not (image - seen).terms and operator == before and dt == step:
                return known
        term = image * -dt
        d: Vector = problem.space.zero
        for _ in range(problem.order):
            d, term = d + term, (A.apply(term) + self.vjp(self.jvp(term))) * -dt
        d = d + problem._rest() * problem.dt ** (problem.order + 1)
        self.solved.append((image, operator, dt, d))
        return d
