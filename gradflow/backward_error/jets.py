r"""Polynomials in the partial derivatives of any smooth energy, and the steps of schemes as Taylor series of them.

A *jet* is a partial derivative of the energy at x, taken as an independent unknown. Its derivative along a variable is
another jet, so that polynomials in jets have derivatives, and an identity between them holds for every smooth energy of
so many variables. What a step takes a root or an exponential of adds one unknown each,

.. math:: w = b^{-1/q}, \quad \partial_v w = -\frac1q\, w^{q+1} \partial_v b, \qquad\qquad
    w = e^{b}, \quad \partial_v w = w\, \partial_v b.                                                     \tag{1}

A step is run on symbols by `JetProblem`. What it evaluates at theta are jets. What it evaluates nearby are the Taylor
polynomials about theta in dt; their coefficients are found once the step is known.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from math import exp, factorial, prod
from typing import Any, ClassVar, TypeAlias

import numpy as np
import sympy as sp
from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement, PolyRing

from ..energies.linear import LinearPart
from .symbolic_steps import decimal

__all__ = ["JetAlgebra", "JetLinearization", "JetProblem", "NoResidual", "TooShort"]

Element: TypeAlias = PolyElement
Series: TypeAlias = list[Any]
Field: TypeAlias = tuple[Any, ...]
Order: TypeAlias = tuple[int, ...]


class JetRecord:
    """The symbols of one run of a step, and where it evaluated what."""

    def __init__(self, n: int, order: int, names: Sequence[str], positive: bool) -> None:
        self.n, self.order, self.names, self.positive = n, order, tuple(names), positive
        self.dt = sp.Symbol("dt", positive=True)
        self.theta = np.array([sp.Symbol(f"theta_{i}", real=True) for i in range(n)], dtype=object)
        self.jets: dict[sp.Symbol, tuple[str, Order]] = {}
        self.points: list[list[sp.Expr]] = []
        self.expansions: dict[sp.Symbol, tuple[int, str, Order, int]] = {}
        self.left_out: set[sp.Symbol] = set()
        self.zero = n * (0,)
        self.units = [tuple(int(i == j) for j in range(n)) for i in range(n)]
        for name in names:
            for alpha in orders_of(n, order + 1):
                self.jets[self.jet(name, alpha)] = name, alpha

    def jet(self, name: str, alpha: Order) -> sp.Symbol:
        """Return the symbol of a partial derivative; at a generic point the first ones do not vanish."""
        known: dict[str, bool] = {"real": True}
        if self.positive and sum(alpha) == 0:
            known = {"positive": True}
        elif sum(alpha) == 1:
            known = {"real": True, "nonzero": True}
        index = "".join(str(i) * k for i, k in enumerate(alpha))
        return sp.Symbol(f"{name}_{index}" if index else name, **known)

    def value(self, name: str, alpha: Order, theta: Any) -> sp.Expr:
        """Return a derivative at theta (n,): a jet, or its Taylor polynomial with coefficients that are found later."""
        entries = [decimal(t) for t in np.ravel(theta)]
        if len(entries) != self.n:
            raise ValueError(f"theta must have shape ({self.n},), got {np.shape(theta)}")
        if entries == list(self.theta):
            return self.jet(name, alpha)
        if entries not in self.points:
            self.points.append(entries)
        at = self.points.index(entries)
        total = self.jet(name, alpha)
        for k in range(1, self.order + 2):  # the last one stands for what is left out
            symbol = sp.Symbol(f"{self.jet(name, alpha)}@{at}.{k}", real=True)
            self.expansions[symbol] = at, name, alpha, k
            total += self.dt**k * symbol
        return total

    def unknown(self, shape: tuple[int, ...]) -> Any:
        """Return an array of symbols for what a truncated series leaves out; a step that asks for their values is refused."""
        first = len(self.left_out)
        made = [sp.Symbol(f"left out.{first + k}", real=True) for k in range(prod(shape))]
        self.left_out.update(made)
        return np.array(made, dtype=object).reshape(shape)

    def number(self, symbol: sp.Symbol, at: Callable[[Any], Any]) -> Any:
        """Return the number that a symbol of an evaluation near theta has where the jets have some; None for other symbols.

        The energy is its Taylor polynomial. The first of the coefficients stands for all that an evaluation adds.
        """
        if symbol in self.left_out:
            return sp.Float(0)
        if symbol not in self.expansions:
            return None
        point, name, alpha, k = self.expansions[symbol]
        if k > 1:
            return sp.Float(0)
        moved = [at(e - x) for e, x in zip(self.points[point], self.theta, strict=True)]
        total = sp.Float(0)
        for beta in orders_of(self.n, self.order + 1 - sum(alpha)):
            if any(beta):
                jet = at(self.jet(name, tuple(a + b for a, b in zip(alpha, beta, strict=True))))
                total += jet * prod(d**b / factorial(b) for d, b in zip(moved, beta, strict=True))
        return total / at(self.dt)


def orders_of(n: int, most: int) -> list[Order]:
    """Return the multi-indices of n entries with a sum of at most `most`."""
    return [a for a in itertools.product(range(most + 1), repeat=n) if sum(a) <= most]


class TooShort(ValueError):
    """A step needs a term that a truncated series leaves out."""


class NoResidual(ValueError):
    """A step needs the residuals of an energy that is given without."""


class JetLinearization:
    """The residual at one theta, and its Jacobian.

    Parameters
    ----------
    residual : object array (N,)
        The residual.
    jacobian : object array (N, n)
        The Jacobian.
    record : object
        The symbols of this run, and the highest power of dt in the solution of a damped system.
    """

    def __init__(self, residual: Any, jacobian: Any, record: Any) -> None:
        self.residual, self._jacobian, self._record = residual, jacobian, record

    def jvp(self, d: Any) -> Any:
        """Return J d, (N,)."""
        return self._jacobian @ d

    def vjp(self, u: Any) -> Any:
        """Return ``J^T u``, (n,)."""
        return self._jacobian.T @ u

    def solve_damped(self, q: Any, h: Any, A: LinearPart, dt: Any) -> Any:
        """Return d, (n,), of ``(1/dt + A + J^T J) d = -(J^T q + h)``, as a Neumann series.

        What is left out is ``dt^(order + 1) R (J^T q + h)`` with a matrix R of symbols.

        Parameters
        ----------
        q : object array (N,)
            The residual, or the auxiliary variable in its place.
        h : object array (n,) or None
            None for zero.
        A : LinearPart
            The stabilization.
        dt : Symbol
            Step size.
        """
        right = self.vjp(q) if h is None else self.vjp(q) + h
        term = -dt * A.solve_shifted(right, dt)
        d, order, n = term, self._record.order, len(right)
        for _ in range(order - 1):
            term = -dt * A.solve_shifted(self.vjp(self.jvp(term)), dt)
            d = d + term
        return d + dt ** (order + 1) * (self._record.unknown((n, n)) @ right)


class JetProblem:
    """An energy of n variables, or a residual, of which only the partial derivatives at one point have names.

    `gradflow.backward_error.lie.jet_field` makes it and hands it to the step.

    Parameters
    ----------
    record : object
        The symbols of this run.
    name : str
        The name of the energy, or the stem of the names of the residuals.
    residuals : int
        How many residuals there are; 0 for an energy of which nothing is known.
    """

    mass: ClassVar[int] = 1
    """The inner product is the sum of products."""

    def __init__(self, record: Any, name: str, residuals: int) -> None:
        self._record, self._name, self._residuals = record, name, residuals

    def inner(self, u: Any, v: Any) -> Any:
        """Return the sum of products u_i v_i of two vectors (n,)."""
        return u @ v

    def _value(self, alpha: Order, theta: Any, k: int | None = None) -> sp.Expr:
        return self._record.value(self._name if k is None else f"{self._name}{k}", alpha, theta)

    def energy(self, theta: Any) -> Any:
        """Return the energy at theta (n,), 0-d."""
        if self._residuals:
            q = self.linearize(theta).residual
            return q @ q / 2
        return self._value(self._record.zero, theta)

    def energy_and_gradient(self, theta: Any) -> tuple[Any, Any]:
        """Return the energy and its gradient (n,) at theta (n,)."""
        if self._residuals:
            at = self.linearize(theta)
            return at.residual @ at.residual / 2, at.vjp(at.residual)
        gradient = [self._value(unit, theta) for unit in self._record.units]
        return self.energy(theta), np.array(gradient, dtype=object)

    def hvp(self, theta: Any, v: Any) -> Any:
        """Return the product of the second derivative at theta (n,) and a vector v (n,)."""
        units, n = self._record.units, self._record.n
        second = [[tuple(np.add(units[i], units[j])) for j in range(n)] for i in range(n)]

        def hessian(k: int | None) -> Any:
            return np.array([[self._value(alpha, theta, k) for alpha in row] for row in second], dtype=object)

        if not self._residuals:
            return hessian(None) @ v
        at = self.linearize(theta)
        return at.vjp(at.jvp(v)) + sum(q * (hessian(k) @ v) for k, q in enumerate(at.residual))

    def linearize(self, theta: Any) -> JetLinearization:
        """Return the residual (N,) and its Jacobian (N, n) at theta (n,).

        Raises
        ------
        NoResidual
            If the energy is no sum of squares of residuals.
        """
        if not self._residuals:
            raise NoResidual("this energy has no residual: ask for residuals=N")
        q = [self._value(self._record.zero, theta, k) for k in range(self._residuals)]
        J = [[self._value(unit, theta, k) for unit in self._record.units] for k in range(self._residuals)]
        return JetLinearization(np.array(q, dtype=object), np.array(J, dtype=object), self._record)


class JetAlgebra:
    """Polynomials in the variables x, the jets, and the roots and exponentials of (1), with rational coefficients.

    `gradflow.backward_error.lie.jet_field` makes it. Its elements are those of a sparse polynomial ring of SymPy; sums,
    products and ``as_expr()`` are theirs.

    Parameters
    ----------
    record : object
        The symbols of the run of a step.
    variables : sequence of Symbol
        The variables x: theta, and the memory of the scheme that is not slaved.
    parameters : iterable of Symbol
        Further symbols; coefficients are rational functions of them.
    roots : int
        The largest number of unknowns w.
    degree : int
        The q of all roots in (1).
    """

    def __init__(
        self,
        record: Any,
        variables: Sequence[sp.Symbol],
        parameters: Iterable[sp.Symbol],
        roots: int,
        degree: int,
    ) -> None:
        self.record, self.variables, self.degree = record, tuple(variables), degree
        parameters = sorted(parameters, key=str)
        self._parameters = tuple(parameters)
        domain = QQ.frac_field(*parameters) if parameters else QQ
        spare = [sp.Symbol(f"w{k}") for k in range(roots)]
        self.ring = PolyRing([*variables, *record.jets, *spare], domain, "lex")
        self.generators: dict[sp.Symbol, Element] = dict(zip(self.ring.symbols, self.ring.gens, strict=True))
        self._spare = [self.generators[symbol] for symbol in spare]
        self._made: list[tuple[Element, int]] = []  # b and q of each w in use; q = 0 for an exponential
        self._derivatives: dict[tuple[int, int], Element] = {}

    def jet(self, *along: int, name: str = "E") -> Element:
        """Return a partial derivative of the energy.

        Parameters
        ----------
        *along : int
            The variables along which it is taken, from 0; none for the energy itself.
        name : str, optional
            The function: "E"; "E0", "E1", ... of several energies; "q0", "q1", ... of residuals.

        Raises
        ------
        ValueError
            If it is not among the jets of this algebra.
        """
        alpha = tuple(along.count(i) for i in range(self.record.n))
        symbol = self.record.jet(name, alpha)
        if sum(alpha) != len(along) or symbol not in self.generators:
            raise ValueError(f"no derivative of {name} along {along} up to the order {self.record.order + 1}")
        return self.generators[symbol]

    def element(self, expression: Any) -> Element:
        """Return an expression in the symbols of the step as an element.

        Parameters
        ----------
        expression : SymPy expression
            Free of dt: of jets, variables and parameters.

        Raises
        ------
        ValueError
            If it is not a polynomial, or a root or an exponential that the step does not have.
        """
        return JetExpansion(self, {}).series(sp.sympify(expression), 0)[0]

    def derivative(self, p: Element, v: int) -> Element:
        """Return the derivative of p along the v-th variable.

        Parameters
        ----------
        p : Element
            What is differentiated.
        v : int
            Number of the variable, from 0.

        Raises
        ------
        ValueError
            If that takes a derivative of the energy beyond the jets.
        """
        return self.lie([self.ring(int(u == v)) for u in range(len(self.variables))], p)

    def lie(self, f: Sequence[Element], p: Element) -> Element:
        """Return the derivative of p along a field, the sum over the variables of ``f_v d_v p``.

        Parameters
        ----------
        f : sequence of Element
            The field: one component for each variable.
        p : Element
            What is differentiated.
        """
        total = self.ring.zero
        for k, (gen, degree) in enumerate(zip(self.ring.gens, p.degrees(), strict=True)):
            if degree > 0:
                along = self.ring.zero
                for v, component in enumerate(f):
                    if component:
                        along += component * self._derivative(k, v)
                if along:
                    total += p.diff(gen) * along
        return total

    def _derivative(self, k: int, v: int) -> Element:
        """Return the derivative of the k-th generator along the v-th variable."""
        if (k, v) not in self._derivatives:
            ring, n, jets = self.ring, len(self.variables), self.record.jets
            symbol = ring.symbols[k]
            if k < n:
                value = ring(int(k == v))
            elif symbol in jets:
                name, alpha = jets[symbol]
                if v >= self.record.n:
                    value = ring.zero
                else:
                    raised = tuple(a + (i == v) for i, a in enumerate(alpha))
                    value = self.jet(*(i for i, a in enumerate(raised) for _ in range(a)), name=name)
            else:
                at = k - n - len(jets)
                b, q = self._made[at]
                w, db = ring.gens[k], self.derivative(b, v)
                value = -(w ** (q + 1)) * db / q if q else w * db
            self._derivatives[k, v] = value
        return self._derivatives[k, v]

    def gradient(self, p: Element) -> Field:
        """Return the derivatives of p along theta.

        Parameters
        ----------
        p : Element
            What is differentiated.
        """
        return tuple(self.derivative(p, i) for i in range(self.record.n))

    def curl(self, f: Sequence[Element]) -> Field:
        """Return the derivatives ``d_i f_j - d_j f_i`` along theta, i < j, which all vanish for a gradient only.

        Parameters
        ----------
        f : sequence of Element
            A field.
        """
        n = self.record.n
        return tuple(self.derivative(f[j], i) - self.derivative(f[i], j) for i in range(n) for j in range(n) if i < j)

    def reduced(self, p: Element) -> Element:
        """Return p with fewer roots, by division by the relations ``w^q b - 1``.

        Parameters
        ----------
        p : Element
            What is reduced.
        """
        relations = [w**q * b - 1 for (b, q), w in zip(self._made, self._spare, strict=False) if q]
        return p.rem(relations) if relations else p

    def is_zero(self, *elements: Element) -> bool:
        """Decide whether elements vanish for every energy, by the relations ``w^q b = 1``.

        Parameters
        ----------
        *elements : Element
            What is looked at.

        Returns
        -------
        bool
            Whether all of them vanish. True is a proof. False is a refutation if no b is a power of another element, as for
            ``b = E + C``, and no two exponents are multiples of each other.
        """
        return all(self._vanishes(p) for p in elements)

    def _vanishes(self, p: Element) -> bool:
        for (b, q), gen in zip(reversed(self._made), reversed(self._spare[: len(self._made)]), strict=True):
            degree = p.degree(gen)
            if q > 0 and degree > 0:
                parts = [self.ring.zero] * q  # by powers of w modulo q, each multiplied by a power of b
                for power in range(degree + 1):
                    parts[power % q] += _coefficient(p, self.ring, gen, power) * b ** (degree // q + 1 - power // q)
                return self.is_zero(*parts)
        return not p

    def at(self, p: Element, energies: Any, theta: Sequence[sp.Symbol], parameters: Any = ()) -> sp.Expr:
        """Return p for a particular energy.

        Parameters
        ----------
        p : Element
            What is evaluated.
        energies : SymPy expression or dict
            The energy as an expression in the symbols theta; a dict by names where there are several functions.
        theta : sequence of Symbol
            The variables of that expression.
        parameters : dict, optional
            Values of other symbols, such as the parameters and the memory of the scheme.

        Returns
        -------
        SymPy expression
            In the symbols theta.

        Raises
        ------
        ValueError
            If the functions have other names, or there are not as many symbols as variables.
        """
        if not isinstance(energies, dict):
            energies = {"E": sp.sympify(energies)}
        if set(energies) != set(self.record.names) or len(theta) != self.record.n:
            wanted = f"{', '.join(self.record.names)} of {self.record.n} symbols"
            raise ValueError(f"energies must give {wanted}, got {', '.join(energies)} of {len(theta)}")
        values: dict[Any, Any] = dict(zip(self.record.theta, theta, strict=True))
        for symbol, (name, alpha) in self.record.jets.items():
            if p.degree(self.generators[symbol]) > 0 or any(
                b.degree(self.generators[symbol]) > 0 for b, _ in self._made
            ):
                along = [(x, k) for x, k in zip(theta, alpha, strict=True) if k]
                values[symbol] = sp.diff(energies[name], *along) if along else energies[name]
        for gen, (b, q) in zip(self._spare, self._made, strict=False):
            base = b.as_expr().xreplace(values)
            values[gen.as_expr()] = base ** sp.Rational(-1, q) if q else sp.exp(base)
        return sp.sympify(p.as_expr().xreplace(values).subs(dict(parameters)))

    def vanish_at(self, elements: Sequence[Element], seed: int = 0) -> bool:
        """Return whether elements vanish at random values of everything, to 40 of 50 digits.

        Parameters
        ----------
        elements : sequence of Element
            What is looked at.
        seed : int, optional
            For the values: of either sign for jets and variables that may have it, 0.2 to 0.8 for parameters.

        Returns
        -------
        bool
            False is a refutation: there is an energy with these derivatives at one point.
        """
        draw, digits = random.Random(seed), 50
        values: dict[sp.Symbol, Any] = {}
        for symbol in (*self.variables, *self.record.jets, *self._parameters):
            number = sp.Float(sp.Rational(draw.randint(200, 800), 1000), digits)
            free = symbol not in self._parameters and not symbol.is_nonnegative
            values[symbol] = draw.choice((-1, 1)) * number if free else number
        for gen, (b, q) in zip(self._spare, self._made, strict=False):
            base = b.as_expr().xreplace(values)
            values[gen.as_expr()] = base ** sp.Rational(-1, q) if q else sp.exp(base)
        return all(abs(sp.N(p.as_expr().xreplace(values), digits)) < 1e-40 for p in elements)

    def function(
        self, elements: Sequence[Element], energies: Any, theta: Sequence[sp.Symbol]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        """Return a function that evaluates elements in floating point for a particular energy.

        Parameters
        ----------
        elements : sequence of Element
            What is evaluated; without parameters.
        energies : SymPy expression or dict
            As for `at`.
        theta : sequence of Symbol
            The variables of that expression.

        Returns
        -------
        callable
            Takes the values of the variables x, theta first, and returns those of the elements.
        """
        if not isinstance(energies, dict):
            energies = {"E": sp.sympify(energies)}
        used = [
            k for k in self.record.jets if any(p.degree(self.generators[k]) > 0 for p in (*elements, *self._bases()))
        ]
        derivatives = []
        for symbol in used:
            name, alpha = self.record.jets[symbol]
            along = [(x, k) for x, k in zip(theta, alpha, strict=True) if k]
            derivatives.append(sp.diff(energies[name], *along) if along else energies[name])
        jets = sp.lambdify([list(theta)], derivatives, "math", cse=True)
        arguments, roots = [*self.variables, *used], []
        for gen, (b, q) in zip(self._spare, self._made, strict=False):
            base = sp.lambdify([arguments], b.as_expr(), "math")
            roots.append((base, q))
            arguments = [*arguments, gen.as_expr()]
        values = sp.lambdify([arguments], [p.as_expr() for p in elements], "math", cse=True)

        def evaluated(x: Sequence[Any]) -> list[Any]:
            known = [*x, *jets(list(x)[: len(theta)])]
            for base, q in roots:
                b = base(known)
                known.append(b ** (-1 / q) if q else exp(b))
            return list(values(known))

        return evaluated

    def _bases(self) -> list[Element]:
        return [b for b, _ in self._made]

    def written(self, p: Element) -> sp.Expr:
        """Return an element as a formula: a sum over its second and higher derivatives, with ``|E_0|`` for a root of E_0^2.

        Parameters
        ----------
        p : Element
            What is written.
        """
        n = len(self.ring.gens) - len(self._spare)
        sizes: dict[
            int, tuple[int, sp.Symbol]
        ] = {}  # of a generator: the number of the root of its square, and its symbol
        for k, (b, q) in enumerate(self._made):
            square = b.as_expr()
            if q == 2 and square.is_Pow and square.base in self.ring.symbols and square.exp == 2:
                sizes[self.ring.symbols.index(square.base)] = n + k, sp.Symbol(f"|{square.base}|", positive=True)
        taken = {k for k, _ in sizes.values()}
        bent = {k for k, s in enumerate(self.ring.symbols) if sum(self.record.jets.get(s, ("", ()))[1]) > 1}
        roots: dict[sp.Symbol, sp.Expr] = {}
        # a root that occurs as such is one symbol in all its powers, so that they meet
        degrees = [q for _, q in self._made]
        irrational = {
            n + k for powers, _ in p.terms() for k, q in enumerate(degrees) if q and powers[n + k] % q
        } - taken

        def plain(of: Element) -> dict[sp.Expr, sp.Expr]:
            parts: dict[sp.Expr, sp.Expr] = {}
            for powers, c in of.terms():
                factor, over = sp.Integer(1), self.ring.domain.to_sympy(c)
                for k, m in enumerate(powers):
                    if k in bent:
                        factor *= self.ring.symbols[k] ** m
                    elif k in sizes:
                        root, size = sizes[k]
                        over *= self.ring.symbols[k] ** (m % 2) * size ** (m - m % 2 - powers[root])
                    elif k >= n and m and k not in taken:
                        b, q = self._made[k - n]
                        base = sum(plain(b).values()) if q else sp.exp(sum(plain(b).values()))
                        if k in irrational:
                            symbol = sp.Dummy(positive=True)
                            symbol = next((s for s, e in roots.items() if e == base ** sp.Rational(1, q)), symbol)
                            roots[symbol] = base ** sp.Rational(1, q)
                            over *= symbol**-m
                        else:
                            over *= base ** sp.Rational(-m, q) if q else base**m
                    elif k < n and k not in sizes:
                        over *= self.ring.symbols[k] ** m
                parts[factor] = parts.get(factor, 0) + over
            return parts

        return sp.Add(*(factor * sp.factor(over).xreplace(roots) for factor, over in plain(p).items()))

    def power(self, b: Element, exponent: sp.Rational) -> Element:
        """Return ``b^exponent``, by equation (1) unless b is a number.

        Parameters
        ----------
        b : Element
            Not zero.
        exponent : Rational
            Of either sign.

        Raises
        ------
        ValueError
            If the step has no such root, or it is an irrational number.
        """
        domain = self.ring.domain
        factor = domain.to_sympy(b.LC) ** exponent
        if exponent.is_Integer or factor.is_Rational:
            b = b.monic()
        elif not b.is_ground:
            factor = sp.Integer(1)
        else:
            raise ValueError(f"the step has an irrational number, {factor}")
        scale = self.ring(domain.from_sympy(factor))
        if b == 1:
            return scale
        w, power = self._root(b, self.degree), int(exponent * self.degree)  # b^exponent = w^(-power)
        whole = max(0, -(-power // self.degree))
        return scale * b**whole * w ** (whole * self.degree - power)

    def exponential(self, b: Element) -> Element:
        """Return ``exp(b)``, by equation (1) unless b is 0.

        Parameters
        ----------
        b : Element
            The exponent.

        Raises
        ------
        ValueError
            If the step has no such exponential.
        """
        if not b:
            return self.ring.one
        factor = self.ring.domain.to_sympy(b.LC)
        times = abs(int(factor)) if factor.is_Integer else 1
        return self._root(b / times, 0) ** times

    def _root(self, b: Element, q: int) -> Element:
        for gen, made in zip(self._spare, self._made, strict=False):
            if made == (b, q):
                return gen
        if len(self._made) == len(self._spare):
            raise ValueError(f"the step has no root or exponential of {b}")
        self._made.append((b, q))
        return self._spare[len(self._made) - 1]


def product(ring: PolyRing, a: Series, b: Series) -> Series:
    """Return the product of two series in dt, as long as the shorter one."""
    n = min(len(a), len(b))
    result = [ring.zero] * n
    for i, x in enumerate(a):
        if x:
            for j in range(n - i):
                if b[j]:
                    result[i + j] += x * b[j]
    return result


def shifted(algebra: JetAlgebra, p: Element, a: Sequence[Series]) -> Series:
    """Return p at x + a as a series in dt, by Taylor's theorem; a has one series for each variable, without constants."""
    n = len(a[0])
    result = [algebra.ring.zero] * n
    one = [algebra.ring.one] + [algebra.ring.zero] * (n - 1)
    todo: dict[Order, tuple[Any, Series]] = {len(a) * (0,): (p, one)}
    for total in range(n):
        new: dict[Order, tuple[Any, Series]] = {}
        for alpha, (derivative, factor) in todo.items():
            for k in range(total, n):
                if factor[k]:
                    result[k] += factor[k] * derivative
            last = max((i for i, m in enumerate(alpha) if m), default=0)
            for v in range(last, len(a)):  # each multi-index once
                if total < n - 1 and any(a[v]):
                    raised = tuple(m + (i == v) for i, m in enumerate(alpha))
                    more = product(algebra.ring, factor, a[v])
                    along = algebra.derivative(derivative, v) if any(more) else algebra.ring.zero
                    if along:
                        new[raised] = along, [x / raised[v] for x in more]
        todo = new
    return result


def _coefficient(p: Element, ring: PolyRing, gen: Element, power: int) -> Element:
    """Return the coefficient of gen^power in p, an element without gen."""
    k = ring.gens.index(gen)
    terms = {}
    for exponents, c in p.terms():
        if exponents[k] == power:
            terms[(*exponents[:k], 0, *exponents[k + 1 :])] = c
    return ring.from_dict(terms)


def _is_power(e: sp.Pow) -> bool:
    """Return whether an expression is the power of another one with a positive whole exponent."""
    return bool(e.exp.is_Integer and e.exp > 0)


class JetExpansion:
    """Taylor series in dt of expressions of the step, for given series of the slaved memory."""

    def __init__(self, algebra: JetAlgebra, slaved: dict[sp.Symbol, Series]) -> None:
        self.algebra, self.slaved = algebra, slaved
        self.record, self.ring = algebra.record, algebra.ring
        self._found: dict[Any, Series] = {}
        self._valuations: dict[sp.Expr, int] = {}
        self._values: dict[tuple[int, str, Order], Series] = {}

    def series(self, e: sp.Expr, order: int) -> Series:
        """Return the coefficients of dt^0 ... dt^order of an expression that is smooth at dt = 0."""
        first, found = self.valuation(e), self.laurent(e, order)
        if not self.algebra.is_zero(*found[: max(0, -first)]):
            raise ValueError(f"the step is not smooth at dt = 0: {e}")
        return [self.ring.zero] * min(max(0, first), order + 1) + found[max(0, -first) :]

    def laurent(self, e: sp.Expr, order: int) -> Series:
        """Return the coefficients of dt^v ... dt^order, v the valuation."""
        if (e, order) not in self._found:
            self._found[e, order] = self._laurent(e, order) if self.valuation(e) <= order else []
        return self._found[e, order]

    def valuation(self, e: sp.Expr) -> int:
        """Return a power of dt such that e has no lower ones."""
        if e not in self._valuations:
            value = 0
            if e == self.record.dt:
                value = 1
            elif e.is_Add:
                value = min(map(self.valuation, e.args))
            elif e.is_Mul:
                value = sum(map(self.valuation, e.args))
            elif e.is_Pow and e.exp.is_Rational:
                first = self.valuation(e.base) if _is_power(e) else self._first(e.base)
                if not (first * e.exp).is_Integer:
                    raise ValueError(f"the step is not smooth at dt = 0: {e}")
                value = int(first * e.exp)
            self._valuations[e] = value
        return self._valuations[e]

    def _first(self, e: sp.Expr) -> int:
        """Return the lowest power of dt in e."""
        start = self.valuation(e)
        for power in range(start, start + self.record.order + 1):
            if not self.algebra.is_zero(*self.laurent(e, power)):
                return power
        raise ValueError(f"the step divides by zero, or by a high power of dt: {e}")

    def _laurent(self, e: sp.Expr, order: int) -> Series:
        ring, zero = self.ring, self.ring.zero
        first = self.valuation(e)
        n = order - first + 1
        if e.is_Add:
            result = [zero] * n
            for term in e.args:
                for k, c in enumerate(self.laurent(term, order), self.valuation(term) - first):
                    result[k] += c
            return result
        if e.is_Mul:
            result = [ring.one] + (n - 1) * [zero]
            for factor in e.args:
                result = product(ring, result, self.laurent(factor, self.valuation(factor) + n - 1))
            return result
        if e.is_Pow and e.exp.is_Rational:
            return self._power(e, n)
        if isinstance(e, sp.exp):
            return self._exponential(self.series(e.args[0], order))
        if isinstance(e, sp.log):
            return self._logarithm(self.series(e.args[0], order), e)
        if e.is_Symbol and e in self.slaved:
            return [*self.slaved[e], *n * [zero]][:n]
        return [self._constant(e), *(n - 1) * [zero]]

    def _constant(self, e: sp.Expr) -> Element:
        ring = self.ring
        if e == self.record.dt:
            return ring.one  # with valuation 1
        if e.is_Rational or e.is_Float:
            return ring(ring.domain.from_sympy(sp.Rational(e)))
        if e in self.record.left_out:
            raise TooShort("the step divides by dt, so that it needs more terms of a damped system than there are")
        if e in self.record.expansions:
            return self._coefficient(e)
        if e in self.algebra.generators:
            return self.algebra.generators[e]
        if ring.domain != QQ and e in ring.domain.symbols:
            return ring(ring.domain.from_sympy(e))
        raise ValueError(f"the step must be made of sums, products, powers, exponentials and logarithms, got {e}")

    def _power(self, e: sp.Pow, n: int) -> Series:
        """Return n coefficients of a power, from the lowest power of dt on."""
        ring, exponent = self.ring, e.exp
        if _is_power(e):
            b = self.laurent(e.base, self.valuation(e.base) + n - 1)
            result = b
            for _ in range(int(exponent) - 1):
                result = product(ring, result, b)
            return result
        start = self._first(e.base)
        b = self.laurent(e.base, start + n - 1)[start - self.valuation(e.base) :]
        p, q = int(exponent.p), int(exponent.q)
        result, inverse = [self.algebra.power(b[0], exponent)], self.algebra.power(b[0], sp.Integer(-1))
        for m in range(1, n):  # b c' = exponent b' c, for c = b^exponent
            total = ring.zero
            for k in range(1, m + 1):
                total += b[k] * result[m - k] * QQ(p * k - q * (m - k), q)
            result.append(total * inverse / m)
        return result

    def _exponential(self, a: Series) -> Series:
        result = [self.algebra.exponential(a[0])]
        for n in range(1, len(a)):
            result.append(sum((a[k] * result[n - k] * k for k in range(1, n + 1)), self.ring.zero) / n)
        return result

    def _logarithm(self, b: Series, e: sp.Expr) -> Series:
        if b[0] != 1:
            raise ValueError(f"logarithms must tend to 0 with dt, got {e}")
        result = [self.ring.zero]
        for n in range(1, len(b)):
            result.append(b[n] - sum((result[k] * b[n - k] * k for k in range(1, n)), self.ring.zero) / n)
        return result

    def _coefficient(self, symbol: sp.Symbol) -> Element:
        """Return the coefficient that a symbol of an evaluation near theta stands for."""
        at, name, alpha, k = self.record.expansions[symbol]
        if k > self.record.order:
            raise TooShort("the step divides by dt, so that its terms need more terms of the energy than there are")
        known = self._values.get((at, name, alpha), [])
        if k >= len(known):
            moved = self.moved([(e, x) for e, x in zip(self.record.points[at], self.record.theta, strict=True)], k)
            moved += [[self.ring.zero] * (k + 1)] * (len(self.algebra.variables) - self.record.n)
            start = self.algebra.generators[self.record.jet(name, alpha)]
            self._values[at, name, alpha] = known = shifted(self.algebra, start, moved)
        return known[k]

    def moved(self, pairs: Iterable[tuple[sp.Expr, sp.Symbol]], order: int) -> list[Series]:
        """Return the series of the first less the second of each pair, which must vanish with dt."""
        result = []
        for e, x in pairs:
            difference = self.series(e, order)
            difference = [difference[0] - self.algebra.generators[x], *difference[1:]]
            if not self.algebra.is_zero(difference[0]):
                raise ValueError(f"with dt = 0 a step must evaluate at theta and leave it there, got {x} moved")
            result.append([self.ring.zero, *difference[1:]])
        return result
