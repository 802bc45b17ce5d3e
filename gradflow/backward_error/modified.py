r"""The modified equation of a step, by running the step on a smooth energy of which only derivatives are known.

One step maps theta to :math:`\Phi_{\Delta t}(\theta)`. Its *modified field* is the formal series
:math:`\tilde f = f_1 + \Delta t\, f_2 + \Delta t^2 f_3 + \cdots` whose flow passes through the iterates,

.. math:: \Phi_{\Delta t} = \exp(\Delta t\,\mathcal L_{\tilde f}), \qquad
          \mathcal L_X Y = Y' X.                                                                                  \tag{1}

With the Taylor fields :math:`\Phi_{\Delta t}(\theta) = \theta + \sum_n \Delta t^n d_n(\theta)`, (1) gives in turn

.. math:: f_n = d_n - \sum_{k=2}^{n} \frac{1}{k!} W_{k,n}, \qquad W_{1,n} = f_n, \quad
          W_{k,n} = \sum_{j=1}^{n-k+1} \mathcal L_{f_j} W_{k-1,n-j}.                                              \tag{2}

The Taylor fields come from `gradflow.symbolic.taylor.SmoothEnergy` and the scheme's own ``step``. They are combinations of
elementary differentials (`gradflow.backward_error.expansion`), so that the result holds in every dimension, in every
inner product, and for every energy with enough derivatives.

**States.** What a state carries besides theta is one of three things. A value on which the next step does not depend is left
out. A number x with :math:`x^{n+1} = x^n + O(\Delta t)`, such as the auxiliary variable of `gradflow.SAV`, is a
further unknown of the modified equation, :math:`x' = \rho_1 + \Delta t\,\rho_2 + \cdots`. A vector or number with
:math:`m^{n+1} = \kappa\, m^n + \cdots`, :math:`|\kappa| < 1`, such as an increment with momentum, forgets its initial value
geometrically. It then follows theta on the slow manifold :math:`m = M(\theta) = \sum_n \Delta t^n M_n(\theta)`,

.. math:: M(\Phi_{\Delta t}(\theta)) = \exp(\Delta t\,\mathcal L_{\tilde f}) M(\theta),                                \tag{3}

which is solved for one :math:`M_n` after the other; (1) is the modified equation on that manifold. A number that starts positive
is taken to be positive if one step keeps every positive one so; otherwise a step that chooses by it is refused. Truth values and texts are
those after some steps, and a number of steps is large: its powers :math:`c^n` have vanished, and a step that uses it otherwise
is refused (`gradflow.backward_error.symbolic_steps.Count`).

**Modified loss.** A field is a gradient for every energy if and only if :math:`(\tilde f'(u), v)_M` is symmetric in u and v as an
expression in E and its derivatives; these are independent of one another in large dimension. For the combination
:math:`\sum_t c_t F(t)` with constant :math:`c_t` this says that :math:`c_t` times the symmetry of t
depends on the tree without its root alone. The modified loss is then

.. math:: \tilde E = E - \sum_{s} \varphi_s\, (F(u), F(v))_M, \qquad \varphi_s = c_t / \mu_t,                      \tag{4}

over the trees s without root, cut into u and v at some edge; :math:`\mu_t` is the multiplicity of the rooted tree t among
those that s becomes when each of its nodes in turn is the root.

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration, 2nd ed., 2006, section IX.1 for (1) and (2), IX.9.2 for
trees; (3) is the underlying one-step method of section XV.2.2. The treatment of further unknowns and the criterion for
coefficients that are not constant are derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from itertools import takewhile
from math import factorial
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from ..description import found
from ..refusals import whole_number
from ..symbolic.decide import is_zero
from ..symbolic.gram import is_known_positive
from ..symbolic.vectors import Vector
from .expansion import (
    ENERGY,
    Field,
    Node,
    derivative,
    field_derivative,
    grafted,
    in_latex,
    invariant,
    invariant_trees,
    is_varying,
    latex_of,
    leaf,
    normal,
    rooted,
    size,
    split,
    split_number,
    written,
)
from .symbolic_steps import (
    DT,
    HIGHEST,
    Count,
    Path,
    at_place,
    equation_of,
    exact_settings,
    generic,
    is_mark,
    is_number,
    leaves,
    name_of,
    not_on_symbols,
    replaced,
    require_counting,
    require_step,
    settings_of,
    settled,
)
from .taylor_fields import THETA, Reader, is_unknown

__all__ = ["ModifiedField", "modified_field"]

U, V = Node("u"), Node("v")
SIZES = (
    sp.Rational(1, 1000),
    sp.Integer(1),
    sp.Integer(1000),
)  # of energies and invariants, at which a memory must fade


@dataclass(frozen=True)
class ModifiedField:
    """The modified field of a step, equation (2), up to a power of dt.

    Examples
    --------
    >>> from gradflow import HeavyBall
    >>> import sympy as sp
    >>> beta = sp.Symbol("beta", positive=True)
    >>> found = modified_field(HeavyBall(), 2, symbols={"momentum": beta})
    >>> sp.factor(found.regularization)
    (beta + 1)/(4*(beta - 1)**2)
    """

    order: int
    """The highest n of f_n."""
    fields: tuple[Field, ...]
    """f_1, f_2, ...: coefficients by tree."""
    rates: tuple[dict[sp.Symbol, Any], ...] = ()
    """rho_1, rho_2, ...: what the further unknowns move with, by their symbols."""
    manifold: dict[str, Any] = field(default_factory=dict)
    """M_0, M_1, ... of (3) by the name of the value in the state: fields or numbers."""

    @property
    def coefficients(self) -> dict[str, Any]:
        """The coefficients by tree, written in brackets; that of a tree with n nodes is multiplied by ``dt^(n - 1)``.

        - ``o`` is f = -grad E, and ``[o]``, ``[o,o]``, ``[[o]]`` are f'f, f''(f, f), f'f'f: the branches of a node are what the
          derivative of f is applied to.
        - For a scheme that uses the residual of ``E = |q|^2 / 2``, a node has two sides: ``[|o]`` is ``-J^* J f``, and ``[o|]``,
          ``-q''(f, .)^* q``, is the rest of ``[o]``.
        - ``S(o)`` is the stabilization applied to f, where it has a name.

        Coefficients may contain E, the inner products ``(o, o)``, the square of the norm of f, ``(o, [o])`` = (f, f'f) and so
        on, and what the state carries, such as ``aux``. A coefficient with an inner product may contain further powers of dt.
        """
        total: dict[str, Any] = {}
        sizes: dict[str, int] = {}
        for n, part in enumerate(self.fields, 1):
            for tree, c in part.items():
                name = written(tree)
                sizes[name] = size(tree)
                total[name] = total.get(name, 0) + DT ** (n - size(tree)) * c
        return {name: total[name] for name in sorted(total, key=lambda name: (sizes[name], name))}

    @property
    def regularization(self) -> Any:
        """The c of ``E + c dt |grad E|_M^2``, of which the step follows the gradient flow up to second order and a change of time.

        None if the second term of the field has other directions than f and f'f, or if c is a function of anything but E, constants
        and variables that the state carries: a penalty whose factor varies with theta has another gradient.

        Raises
        ------
        ValueError
            If the field is known to order 1 only.
        """
        if self.order < 2:
            raise ValueError("the regularization is a coefficient of f_2: ask for order 2")
        if set(self.fields[0]) - {leaf} or set(self.fields[1]) - {leaf, _CHAIN} or leaf not in self.fields[0]:
            return None
        c = sp.cancel(-self.fields[1].get(_CHAIN, 0) / (2 * self.fields[0][leaf]))
        return None if _energy_symbols(c) - {ENERGY} else c

    def is_gradient(self, order: int) -> bool:
        """Return whether the terms f_1, ..., f_order are gradients for every energy.

        Parameters
        ----------
        order : int
            From 1 to the order of the field; 2 asks for the first correction.

        Raises
        ------
        ValueError
            If the field is not known to this order.
        Undecided
            If it cannot be decided whether a coefficient vanishes.
        """
        order = whole_number("order", order, 1, self.order)
        return all(is_zero(_asymmetry(part)) for part in self.fields[:order])

    def loss(self, order: int | None = None) -> Any:
        """Return the modified loss (4), of which the field is minus the gradient: in E, dt and invariants.

        Parameters
        ----------
        order : int, optional
            Up to which term; by default all.

        Raises
        ------
        ValueError
            If the field is no gradient for every energy, or a potential is not known: that of a coefficient which is not
            constant, but for ``psi(E) f``, whose potential is the integral of psi.
        """
        order = self.order if order is None else whole_number("order", order, 1, self.order)
        if not self.is_gradient(order):
            first = next(n for n in range(1, order + 1) if not self.is_gradient(n))
            raise ValueError(f"there is no modified loss: f_{first} is no gradient")
        total: Any = sp.Integer(0)
        for n, part in enumerate(self.fields[:order], 1):
            left = dict(part)
            varies = {tree for tree, c in part.items() if _energy_symbols(c)}
            if varies and (set(part) != {leaf} or _energy_symbols(part[leaf]) != {ENERGY}):
                raise ValueError(f"the potential of f_{n} is not known: its coefficients depend on theta")
            if left.pop(leaf, None) is not None:
                total += DT ** (n - 1) * sp.integrate(part[leaf], ENERGY)  # -psi(E) grad E, psi = 1 for the flow
            while left:
                tree = next(iter(left))
                if tree.label:
                    raise ValueError(f"the potential of {written(tree)} is not known")
                u = tree.branches[0]
                rest = Node("", tree.branches[1:])
                roots = rooted(u, rest)
                total -= DT ** (n - 1) * part[tree] / roots[tree] * invariant(u, rest)
                for other in roots:
                    left.pop(other, None)
        return total

    def latex(self) -> str:
        r"""Return the field in LaTeX, as a sum over trees; `gradflow.backward_error.expansion.in_latex` writes a loss.

        Examples
        --------
        >>> from gradflow import GradientDescent
        >>> print(modified_field(GradientDescent(), 3).latex())
        \tilde f = f - \frac{\Delta t}{2} f'f + \frac{\Delta t^{2}}{12} f''(f, f) + \frac{\Delta t^{2}}{3} f'f'f
        """
        total: dict[Node, Any] = {}
        for n, part in enumerate(self.fields, 1):
            for tree, c in part.items():
                total[tree] = total.get(tree, 0) + DT ** (n - 1) * c
        text = ""
        for tree in sorted(total, key=lambda tree: (size(tree), -len(tree.branches), written(tree))):
            sign, vector = latex_of(tree)
            c = sp.collect(sp.expand(sign * total[tree]), DT, sp.factor)
            minus = not c.is_Add and c.could_extract_minus_sign()
            factor = in_latex(-c if minus else c)
            factor = "" if factor == "1" else f"\\left({factor}\\right) " if c.is_Add else f"{factor} "
            text += f" {'-' if minus else '+'} {factor}{vector}"
        return rf"\tilde f = {text[3:] if text.startswith(' +') else text.strip() or '0'}"

    def __str__(self) -> str:
        lines = []
        for n, part in enumerate(self.fields, 1):
            lines.append(f"f_{n} = {_text(part)}")
        for n, rate in enumerate(self.rates, 1):
            lines += [f"{symbol}' : dt^{n - 1} ({c})" for symbol, c in rate.items() if c != 0]
        return "\n".join(lines)


_CHAIN = Node("", (leaf,))


def _energy_symbols(c: Any) -> set[sp.Symbol]:
    """Return the symbols of a coefficient that depend on theta."""
    return {s for s in sp.sympify(c).free_symbols if is_varying(s)}


def _asymmetry(part: Field) -> Any:
    """Return (X'(u), v) - (X'(v), u) of a field X, written in independent invariants."""
    total: Any = sp.Integer(0)
    for a, b, sign in ((U, V, 1), (V, U, -1)):
        for tree, c in part.items():
            total += sign * c * sum(times * invariant(grown, b) for grown, times in grafted(tree, a))
            total += sign * derivative(c, {a: sp.Integer(1)}, {}) * invariant(tree, b)
    if any("|" in written(tree) for tree in part):
        total = split_number(total)
    return sp.expand(total)


class _StepFunction:
    """A function (problem, theta, dt) -> theta as a scheme."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.function = step

    def init(self, problem: Any, theta: Any) -> tuple[Any]:
        """Return a state that holds theta alone."""
        return (theta,)

    def step(self, problem: Any, state: tuple[Any], dt: Any) -> tuple[Any]:
        """Return the state one step later."""
        return (self.function(problem, state[0], dt),)


def modified_field(scheme: Any, order: int = 3, *, symbols: Mapping[str, Any] | None = None) -> ModifiedField:
    """Return the modified field of a scheme, by running its own step on a smooth energy.

    Parameters
    ----------
    scheme : object
        Has ``init(problem, theta)`` and ``step(problem, state, dt)``, as `gradflow.Scheme`; or a function
        ``(problem, theta, dt) -> theta``.
    order : int
        The highest n of f_n, which is multiplied by ``dt^(n - 1)``; 1 to 8, of which the last takes seconds.
    symbols : mapping, optional
        SymPy expressions in the place of fields of the scheme, by name: ``{"C": C}``. All other floats are taken for the
        decimal fractions that they print as.

    Returns
    -------
    ModifiedField
        In every dimension and inner product. Its ``coefficients`` say how trees are written, ``[o]`` for f'f; ``latex()`` writes
        the field as formulas do.

    Raises
    ------
    ValueError
        If the scheme is neither, the order is not in this range, no part of the scheme has a field of a name among `symbols`,
        or the step has no expansion of this kind: it works on entries of theta, it depends on the number of steps, its
        branch depends on theta, or it solves a system by iteration and declares no ``equation``, as `gradflow.ImplicitEuler` does.

    Examples
    --------
    >>> from gradflow import GradientDescent
    >>> found = modified_field(GradientDescent(), 3)
    >>> found.coefficients
    {'o': 1, '[o]': -1/2, '[[o]]': 1/3, '[o,o]': 1/12}
    >>> found.is_gradient(order=2), found.is_gradient(order=3)
    (True, False)
    >>> found.loss(order=2)
    (o, o)*dt/4 + E
    """
    order = whole_number("order", order, 1, HIGHEST)
    require_step(scheme)
    made = exact_settings(scheme, {} if symbols is None else symbols)
    if not (hasattr(made, "init") and hasattr(made, "step")):
        made = _StepFunction(made)
    settings = settings_of(symbols)
    try:
        return _with_signs(made, order, order, settings).result()
    except _Unknown:  # a product with the Hessian ahead of theta needs one derivative more
        return _with_signs(made, order, order + 1, settings).result()


def _with_signs(scheme: Any, order: int, known: int, settings: set[sp.Symbol]) -> _Recursion:
    """Return the recursion for a step whose numbers are positive symbols if they start so.

    Those that a step is not shown to keep so are real, unless the step is the same for real ones.
    """
    first = last = _Recursion(scheme, order, known, settings)
    lost: set[str] = set()
    while more := last.signs_lost():
        lost |= more
        last = _Recursion(scheme, order, known, settings, lost)
    return last if lost and first.looks(lost) != last.looks(lost) else first


class _Unknown(ValueError):
    """A field would hold what the Taylor polynomials of the energy leave out."""


class _Slot(NamedTuple):
    """A value of the state that the step depends on."""

    path: Path
    name: str
    probe: Any
    """What stands for its unknown term: a vector or a symbol."""
    multiple: Any
    """Of a vector, the multiple of theta in it; None for a number."""
    start: int
    """The first power of dt that is unknown."""


class _Recursion:
    """The orders of (2) and (3), one after the other."""

    def __init__(
        self, scheme: Any, order: int, known: int, settings: set[sp.Symbol], lost: Set[str] = frozenset()
    ) -> None:
        self.scheme, self.order, self.lost = scheme, order, lost
        self.equation = equation_of(scheme)
        self.reader = Reader(order, known)
        self.start: dict[sp.Symbol, Any] = {}
        self.numbers: dict[str, sp.Symbol] = {}
        self.first: dict[str, Any] = {}
        self.settings = settings
        self.fixed: dict[Path, Any] = {}
        self.state = self._initial()
        slots = self._slots()
        self.slow = [slot for slot in slots if slot.start < 0]
        self.slaved = [slot for slot in slots if slot.start >= 0]
        self.fields: list[Field] = []
        self.rates: list[dict[sp.Symbol, Any]] = []
        self.manifold: dict[Path, list[Any]] = {
            slot.path: [] if slot.start == 0 else [{THETA: slot.multiple} if slot.multiple else {}]
            for slot in self.slaved
        }

    # -- the state ----------------------------------------------------------------------------------------------------

    def _step(self, state: Any) -> Any:
        problem = self.reader.problem
        equation = self.equation
        try:
            if equation is None:
                after = generic(lambda: self.scheme.step(problem, state, DT), self.start, unsure=self.lost)
                if not (isinstance(after, tuple) and after and isinstance(after[0], Vector)):
                    got = after[0] if isinstance(after, tuple) and after else after
                    raise ValueError(
                        f"a step must return the new theta, a vector, first in its state; got {found(got)}"
                    )
                return after
            new = state[0]
            for _ in range(self.order + 1):  # each of which is right to one more power of dt
                new = new - equation(problem, state[0], new, DT)
            return replaced(state, {(0,): self.reader.truncated(new)})
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise not_on_symbols("the step does not run on abstract vectors", error) from error

    def _initial(self) -> Any:
        """Return a state of the form that steps keep."""
        problem, theta = self.reader.problem, self.reader.theta
        try:
            state = (theta,) if self.equation is not None else generic(lambda: self.scheme.init(problem, theta))
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise not_on_symbols("the initial state cannot be formed on abstract vectors", error) from error

        self.first = {name_of(state, path): value for path, value in leaves(state) if is_number(value)}

        def one_step(before: Any) -> Any:
            """Return the state after a step whose numbers are symbols: what they have become grows from step to step."""
            symbols = {
                path: self._number(name_of(before, path), value)
                for path, value in leaves(before)
                if isinstance(value, sp.Basic) and not is_number(value)
            }
            return self._step(replaced(before, {(0,): theta, **symbols}))

        state, counts = settled(state, one_step)
        for path, least in counts.items():
            self.fixed[path] = Count(name_of(state, path), least, self.settings)
        return replaced(state, {(0,): theta, **self.fixed})

    def _number(self, name: str, value: Any) -> sp.Symbol:
        """Return the symbol of a number of the state. A step may choose by it; it then chooses as from the first value."""
        if name not in self.numbers:
            value = self.first.get(name, value)
            positive = name not in self.lost and sp.sympify(value).is_positive
            self.numbers[name] = sp.Symbol(name, **({"positive": True} if positive else {"real": True}))
            self.start[self.numbers[name]] = value
        return self.numbers[name]

    def _slots(self) -> list[_Slot]:
        reader = self.reader
        slots: list[_Slot] = []
        for path, value in leaves(self.state):
            if path == (0,) or path in self.fixed or is_mark(value) or isinstance(value, (int, np.integer)):
                continue
            name = name_of(self.state, path)
            if isinstance(value, Vector) and value.space is not reader.problem.space:
                slots.append(_Slot(path, name, value.space.vector(_PREFIX + name), sp.Integer(0), 0))
            elif isinstance(value, Vector):
                leading = reader.vector(value)[0]
                slots.append(
                    _Slot(path, name, reader.problem.space.vector(_PREFIX + name), leading.get(THETA, sp.Integer(0)), 0)
                )
            elif hasattr(value, "free_symbols") or is_number(value):
                slots.append(_Slot(path, name, self._number(name, value), None, 0))
            else:
                raise ValueError(f"the state has a value {name} that is no vector and no number, {value!r}")
        # what is near theta, or by what theta is moved, has no other term of order 0: the energy is not asked far away
        for start in (0, 1):
            slots = [
                slot._replace(start=1 if slot.multiple else start) if slot.multiple is not None else slot
                for slot in slots
            ]
            try:
                new = self._probed(slots)
                break
            except ValueError:
                if start == 1:
                    raise
        remembered = {}
        for slot in slots:  # a step size that the state remembers
            value = None if slot.multiple is not None else sp.sympify(at_place(new, slot.path))
            if value is not None and value.free_symbols <= {DT}:
                remembered[slot.path] = value
        if remembered:
            self.fixed |= remembered
            slots = [slot for slot in slots if slot.path not in remembered]
            new = self._probed(slots)
        needed = self._needed(slots, new)
        self.numbers_after = {slot.probe: at_place(new, slot.path) for slot in slots if slot.multiple is None}
        self.after = [new[0], *(at_place(new, slot.path) for slot in needed)]
        chosen = []
        for slot in needed:
            if slot.multiple is None and reader.number(at_place(new, slot.path))[0] == slot.probe:
                slot = slot._replace(start=-1)
            chosen.append(slot)
        return chosen

    def signs_lost(self) -> set[str]:
        """Return the names of the numbers that are taken to be positive, and are not shown to be so after a step."""
        after = self.numbers_after.items()
        return {z.name for z, e in after if z.is_positive and not is_known_positive(sp.sympify(e))}

    def looks(self, lost: Set[str]) -> list[Any]:
        """Return what a step makes of the state that it needs, with real symbols for some numbers."""
        real = {z: sp.Symbol(name, real=True) for name, z in self.numbers.items() if name in lost}
        found: list[Any] = []
        for value in self.after:
            is_vector = isinstance(value, Vector)
            parts = self.reader.vector(value) if is_vector else [{leaf: c} for c in self.reader.number(value)]
            found.append([{tree: sp.sympify(c).xreplace(real) for tree, c in part.items()} for part in parts])
        return found

    def _probed(self, slots: list[_Slot]) -> Any:
        values: dict[Path, Any] = {}
        for slot in slots:
            if slot.multiple is None or slot.probe.space is not self.reader.problem.space:
                values[slot.path] = slot.probe
            else:
                values[slot.path] = self.reader.theta * slot.multiple + slot.probe * DT**slot.start
        new = self._step(replaced(self.state, {**self.fixed, **values}))
        require_counting(self.fixed, new)
        return new

    def _needed(self, slots: list[_Slot], new: Any) -> list[_Slot]:
        """Return the slots on which theta depends, or what theta depends on."""
        space = self.reader.problem.space
        elsewhere = {slot.path for slot in slots if isinstance(slot.probe, Vector) and slot.probe.space is not space}
        uses = {}
        for path in ((0,), *(slot.path for slot in slots if slot.path not in elsewhere)):
            value = at_place(new, path)
            is_vector = isinstance(value, Vector)
            parts = self.reader.vector(value) if is_vector else [{leaf: c} for c in self.reader.number(value)]
            # a number may enter by a power of dt that is not looked at, and vanish with dt itself: nothing is left out
            asked = set().union(*(sp.sympify(c).free_symbols for c in (value.terms.values() if is_vector else [value])))
            uses[path] = [
                slot
                for slot in slots
                if any(_mentions(part, slot) for part in parts) or (slot.multiple is None and slot.probe in asked)
            ]
        found: list[_Slot] = []
        todo = list(uses[(0,)])
        while todo:
            slot = todo.pop()
            if slot.path in elsewhere:
                raise ValueError(
                    f"the state carries a vector of residuals, {slot.name}, with which theta does not move alone"
                )
            if slot not in found:
                found.append(slot)
                todo += uses[slot.path]
        return [slot for slot in slots if slot in found]

    # -- the orders ---------------------------------------------------------------------------------------------------

    def result(self) -> ModifiedField:
        """Return the modified field."""
        for n in range(self.order + 1):
            self._advance(n)
        fields, rates = self.fields, self.rates
        if any(is_unknown(tree) for part in fields for tree in part):
            raise _Unknown("the step needs derivatives of the energy of a higher order than its modified field has")
        if any("|" in written(tree) for part in fields for tree in part):
            fields = [_split(part) for part in fields]
            rates = [{symbol: split_number(c) for symbol, c in one.items()} for one in rates]
        # the last term of a memory may hold what the energy is not known to; it enters no term of the field
        names = {
            slot.name: list(
                takewhile(lambda part: not any(map(is_unknown, part if isinstance(part, dict) else ())), terms)
            )
            for slot in self.slaved
            for terms in [self.manifold[slot.path]]
        }
        return ModifiedField(
            self.order,
            tuple(_tidied(part) for part in fields),
            tuple({symbol: _tidy(c) for symbol, c in one.items()} for one in rates) if self.slow else (),
            names,
        )

    def _values(self, n: int) -> dict[Path, Any]:
        """Return the values of the state with the terms through dt^(n-1), and the unknown ones of dt^n."""
        values: dict[Path, Any] = dict(self.fixed)
        for slot in self.slow:
            values[slot.path] = slot.probe
        for slot in self.slaved:
            unknown = slot.probe if n >= slot.start else None
            known = self.manifold[slot.path]
            if slot.multiple is None:
                values[slot.path] = sum((DT**k * self._symbolic(c) for k, c in enumerate(known)), sp.Integer(0))
                values[slot.path] += 0 if unknown is None else DT**n * unknown
            else:
                total = self.reader.problem.space.zero
                for k, part in enumerate(known):
                    for tree, c in part.items():
                        total = total + self._vector(tree) * (DT**k * self._symbolic(c))
                values[slot.path] = total if unknown is None else total + unknown * DT**n
        return values

    def _vector(self, tree: Node) -> Vector:
        """Return a tree as an abstract vector, (1) of `taylor_fields` read backwards."""
        problem = self.reader.problem
        if tree == THETA:
            return self.reader.theta
        if tree.label:
            raise ValueError(f"{written(tree)} cannot be a term of what the state carries")
        return -problem.derivative([self._vector(one) for one in tree.branches])

    def _symbolic(self, c: Any) -> Any:
        """Return a coefficient in the symbols of the problem."""
        c = sp.sympify(c)
        values = {ENERGY: self.reader.problem.F}
        for s in _energy_symbols(c) - {ENERGY}:
            u, v = invariant_trees(s)
            values[s] = self.reader.problem.inner(self._vector(u), self._vector(v))
        return c.xreplace(values)

    def _advance(self, n: int) -> None:
        reader = self.reader
        new = self._step(replaced(self.state, self._values(n)))
        moved = reader.vector(new.theta if hasattr(new, "theta") else new[0] - 0 * reader.theta)[n]
        told: dict[Path, Any] = {}
        for slot in (*self.slow, *self.slaved):
            value = at_place(new, slot.path)
            told[slot.path] = reader.number(value)[n] if slot.multiple is None else reader.vector(value)[n]
        open_slots = [slot for slot in self.slaved if n >= slot.start]
        numbers = [slot for slot in open_slots if slot.multiple is None]
        vectors = [slot for slot in open_slots if slot.multiple is not None]
        unknown = {_node(slot) for slot in vectors}
        for slot in self.slaved if n == 0 else ():
            if slot.start == 1 and told[slot.path] != self.manifold[slot.path][0]:
                raise ValueError(
                    f"the value {slot.name} of the state does not tend to its initial value as dt tends to 0"
                )
        if n == 0 and {tree: c for tree, c in moved.items() if tree not in unknown} != {THETA: sp.Integer(1)}:
            raise ValueError(f"the step does not tend to theta as dt tends to 0, but to {_text(moved)}")
        moved.pop(THETA, None)
        first = not unknown & set(moved) and not any(
            sp.sympify(c).has(slot.probe) for slot in numbers for c in moved.values()
        )
        if n >= 1 and first:
            self.fields.append(_combined((1, moved), (-1, self._correction(n))))
            self.rates.append({})
        if numbers:
            found = self._solve_numbers(numbers, told, {slot.path: self._lower(slot, n) for slot in numbers})
            moved = _substituted(moved, found)
            told = {path: _substituted(value, found) for path, value in told.items()}
            for slot in numbers:
                self.manifold[slot.path].append(found[slot.probe])
        self._solve_vectors(vectors, moved, told, n)
        if n >= 1:
            self.rates[n - 1] = {
                slot.probe: normal(told[slot.path] - self._rate_correction(slot.probe, n)) for slot in self.slow
            }

    def _solve_numbers(self, slots: list[_Slot], told: Any, lower: Any) -> dict[sp.Symbol, Any]:
        # a later term of a positive number may have any sign
        unknown = {slot.probe: sp.Dummy(slot.name) for slot in slots}
        names = ", ".join(slot.name for slot in slots)
        at_zero = dict.fromkeys(unknown.values(), sp.Integer(0))
        maps = [told[slot.path].xreplace(unknown) for slot in slots]
        kappa = sp.Matrix(maps).jacobian([*unknown.values()])
        if kappa.free_symbols & set(at_zero):
            raise ValueError(f"the state does not forget {names}, or enters its own step in no linear way")
        # coefficients in lowest terms: with kappa a function of theta, sums of fractions would grow without end
        kappa = kappa.applyfunc(normal)
        self._require_forgetting(kappa, slots)
        known = sp.Matrix([e.xreplace(at_zero) - lower[slot.path] for e, slot in zip(maps, slots, strict=True)])
        found = (sp.eye(len(slots)) - kappa).LUsolve(known.applyfunc(normal)).applyfunc(normal)
        return dict(zip(unknown, found, strict=True))

    def _solve_vectors(self, slots: list[_Slot], moved: Field, told: Any, n: int) -> None:
        """Find the terms of dt^n of the vectors m_i, and f_n if they enter it.

        With what is known, f_n = a . m + k, and (3) says m_i + multiple_i f_n + lower_i = sum_j kappa_ij m_j + known_i.
        """
        names = [_node(slot) for slot in slots]

        def parts(value: Field) -> tuple[list[Any], Field]:
            rest = {tree: c for tree, c in value.items() if tree not in names}
            for tree in rest:
                if any(_contains(tree, name) for name in names):
                    raise ValueError(f"the state enters the step in {written(tree)}, which is not linear")
            return [value.get(name, sp.Integer(0)) for name in names], rest

        a, known_f = parts(moved)
        together = n >= 1 and len(self.fields) < n
        if together:
            known_f = _combined((1, known_f), (-1, self._correction(n)))
        system, right = sp.eye(len(slots)), []
        for i, slot in enumerate(slots):
            kappa, known = parts(told[slot.path])
            known.pop(THETA, None)
            if together and any(tree != THETA for tree in self.manifold[slot.path][0]):
                raise ValueError(f"theta depends on {slot.name} at once, whose leading term is no multiple of theta")
            for j in range(len(slots)):
                system[i, j] += (slot.multiple * a[j] if together else 0) - kappa[j]
            right.append(
                _combined((1, known), (-1, self._lower(slot, n)), (-slot.multiple if together else 0, known_f))
            )
        self._require_forgetting(sp.eye(len(slots)) - system, slots)
        inverse = system.inv()
        found = [_combined(*((inverse[i, j], right[j]) for j in range(len(slots)))) for i in range(len(slots))]
        if together:
            self.fields.append(_combined((1, known_f), *zip(a, found, strict=True)))
            self.rates.append({})
        for slot, solution in zip(slots, found, strict=True):
            self.manifold[slot.path].append(_tidied(solution))

    @staticmethod
    def _require_forgetting(kappa: sp.Matrix, slots: list[_Slot]) -> None:
        """Raise ValueError unless powers of the matrix tend to 0; symbols of settings in it are taken to see to it.

        What varies with theta is looked at for a few sizes of the energy and the invariants.
        """
        if not slots:
            return
        settings = {s for c in kappa for s in c.free_symbols if not is_varying(s)}
        decays = (sp.eye(len(slots)) - kappa).det() != 0
        for value in SIZES if decays and not settings else ():
            at = dict.fromkeys(kappa.free_symbols, value)
            decays &= all(abs(complex(root)) < 1 - 1e-12 for root in kappa.xreplace(at).eigenvals())
        if not decays:
            every = " for every energy" if any(c.free_symbols - settings for c in kappa) else ""
            raise ValueError(f"the state does not forget {', '.join(slot.name for slot in slots)}{every}")

    # -- the tables ---------------------------------------------------------------------------------------------------

    def _correction(self, n: int) -> Field:
        """Return the sum of (2) over k >= 2."""
        table = {(1, m): self.fields[m - 1] for m in range(1, n)}
        total: Field = {}
        for k in range(2, n + 1):
            for m in range(k, n + 1):
                value: Field = {}
                for j in range(1, m - k + 2):
                    change = field_derivative(table[k - 1, m - j], self.fields[j - 1], self.rates[j - 1])
                    value = _combined((1, value), (1, change))
                table[k, m] = value
            total = _combined((1, total), (sp.Rational(1, factorial(k)), table[k, n]))
        return total

    def _rate_correction(self, symbol: sp.Symbol, n: int) -> Any:
        table = {(1, m): self.rates[m - 1][symbol] for m in range(1, n)}
        total: Any = sp.Integer(0)
        for k in range(2, n + 1):
            for m in range(k, n + 1):
                table[k, m] = sum(
                    derivative(table[k - 1, m - j], self.fields[j - 1], self.rates[j - 1]) for j in range(1, m - k + 2)
                )
            total += table[k, n] / factorial(k)
        return total

    def _lower(self, slot: _Slot, n: int) -> Any:
        """Return the terms of dt^n of exp(dt L) M less M_n, and less the multiple of f_n if that is not known yet."""
        known = self.manifold[slot.path]
        is_number = slot.multiple is None
        table: dict[tuple[int, int], Any] = {(0, m): value for m, value in enumerate(known)}
        total: Any = sp.Integer(0) if is_number else {}
        for k in range(1, n + 1):
            for m in range(k, n + 1):
                value: Any = sp.Integer(0) if is_number else {}
                for j in range(1, m - k + 2):
                    one = table[k - 1, m - j]
                    if j > len(self.fields):  # f_n along the multiple of theta, which the caller has
                        if _energy_symbols(one) if is_number else set(one) - {THETA}:
                            raise ValueError(f"the value of {slot.name} and the step depend on one another")
                    elif is_number:
                        value += derivative(one, self.fields[j - 1], self.rates[j - 1])
                    else:
                        moved = {tree: c * one.get(THETA, 0) for tree, c in self.fields[j - 1].items()}
                        rest = {tree: c for tree, c in one.items() if tree != THETA}
                        change = field_derivative(rest, self.fields[j - 1], self.rates[j - 1])
                        value = _combined((1, value), (1, moved), (1, change))
                table[k, m] = value
            one = table[k, n]
            if is_number:
                total = normal(total + one / factorial(k))
            else:
                total = _combined((1, total), (sp.Rational(1, factorial(k)), one))
        return total


def _combined(*parts: tuple[Any, Field]) -> Field:
    total: Field = {}
    for factor, part in parts:
        if factor != 0:
            for tree, c in part.items():
                total[tree] = total.get(tree, 0) + factor * c
    return {tree: value for tree, c in total.items() if (value := normal(c)) != 0}


def _split(part: Field) -> Field:
    return _combined(*((c, {one: sp.Integer(times) for one, times in split(tree)}) for tree, c in part.items()))


_PREFIX = "state."


def _node(slot: _Slot) -> Node:
    """Return the tree of the unknown vector of a slot."""
    return Node(_PREFIX + slot.name)


def _mentions(part: Field, slot: _Slot) -> bool:
    """Return whether a field depends on a slot."""
    if slot.multiple is None:
        return any(sp.sympify(c).has(slot.probe) for c in part.values())
    name = _node(slot)
    inside = [invariant_trees(s) for c in part.values() for s in _energy_symbols(c) - {ENERGY}]
    return any(_contains(tree, name) for tree in (*part, *(tree for pair in inside for tree in pair)))


def _substituted(value: Any, found: Mapping[sp.Symbol, Any]) -> Any:
    if isinstance(value, dict):
        return {tree: sp.expand(sp.sympify(c).xreplace(found)) for tree, c in value.items()}
    return sp.sympify(value).xreplace(found)


def _contains(tree: Node, name: Node) -> bool:
    return tree == name or any(_contains(one, name) for one in (*tree.branches, *tree.other))


def _text(part: Field) -> str:
    return " + ".join(f"({c}) {written(tree)}" for tree, c in part.items()) or "0"


def _tidied(part: Field) -> Field:
    return {tree: value for tree, c in part.items() if (value := _tidy(c)) != 0}


def _tidy(c: Any) -> Any:
    c = normal(c)
    if c.has(sp.Pow):
        c = sp.cancel(sp.together(c))
    return sp.simplify(c) if any(p.exp.is_Rational and not p.exp.is_Integer for p in c.atoms(sp.Pow)) else c
